"""A demonstration on networks that are trained on the spot: ``python -m repsim_geo.demo``."""
