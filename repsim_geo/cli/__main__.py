"""``python -m repsim_geo.cli``."""

from repsim_geo.cli.application import main

main()
