"""
The command ``repsim-geo``.

Neither torch nor typer is imported before it is needed: help is quick, and a missing typer is one line.
"""

from repsim_geo.cli.application import app as app
from repsim_geo.cli.application import main as main
from repsim_geo.cli.verify import Profile as Profile

__all__ = ["Profile", "app", "main"]
