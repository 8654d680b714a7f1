"""Activations of the layers of a torch module, by the names of its submodules."""

from repsim_geo.extract.extraction import extract as extract
from repsim_geo.extract.names import layer_names as layer_names

__all__ = ["extract", "layer_names"]
