"""Activations and distances on disk: npy, npz, safetensors, csv; read without ever unpickling."""

from repsim_geo.io.activations import array_names as array_names
from repsim_geo.io.activations import load_activations as load_activations
from repsim_geo.io.activations import save_activations as save_activations
from repsim_geo.io.distances import DistanceTable as DistanceTable
from repsim_geo.io.distances import load_distances as load_distances
from repsim_geo.io.distances import save_distances as save_distances
from repsim_geo.sources.names import row_ids as row_ids

__all__ = [
    "DistanceTable",
    "array_names",
    "load_activations",
    "load_distances",
    "row_ids",
    "save_activations",
    "save_distances",
]
