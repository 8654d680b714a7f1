"""Activations wherever they live: in memory, in files, behind functions."""

from repsim_geo.sources.source import Source as Source
from repsim_geo.sources.source import as_source as as_source
from repsim_geo.sources.source import row_ids as row_ids

__all__ = ["Source", "as_source", "row_ids"]
