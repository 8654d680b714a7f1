"""Distances between all pairs of many representations."""

from repsim_geo.pairwise.engine import pairwise as pairwise

__all__ = ["pairwise"]
