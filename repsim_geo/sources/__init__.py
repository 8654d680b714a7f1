"""Activations wherever they live: in memory, in files, behind functions."""

from repsim_geo.sources.base import Source as Source
from repsim_geo.sources.base import split_name as split_name
from repsim_geo.sources.names import names_of_arrays as names_of_arrays
from repsim_geo.sources.names import row_ids as row_ids
from repsim_geo.sources.source import as_source as as_source

__all__ = ["Source", "as_source", "names_of_arrays", "row_ids", "split_name"]
