"""Distances between all pairs of many representations, in bounded memory, on one machine or many."""

from repsim_geo.pairwise.engine import pairwise as pairwise
from repsim_geo.pairwise.engine import plan_pairwise as plan_pairwise
from repsim_geo.pairwise.plan import Plan as Plan
from repsim_geo.pairwise.plan import Route as Route
from repsim_geo.sources.base import Source as Source
from repsim_geo.sources.source import as_source as as_source

__all__ = ["Plan", "Route", "Source", "as_source", "pairwise", "plan_pairwise"]
