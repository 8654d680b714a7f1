"""Maps of distances in the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class FlatMap:
    """
    Points in the plane whose distances resemble given ones.

    Attributes
    ----------
    coordinates : ndarray, shape (n, 2)
        Same unit as the distances.
    error : float
        Mean absolute difference between distances on the map and the given ones, same unit.
    """

    coordinates: np.ndarray
    error: float


def flat_map(distances: Tensor) -> FlatMap:
    """
    Multidimensional scaling: positions in the plane that keep the distances as well as a plane can.

    Parameters
    ----------
    distances : Tensor, shape (n, n)
        Symmetric.

    Returns
    -------
    FlatMap
        The first point has negative coordinates.

    Notes
    -----
    `MetricMDS` with its fixed seed; of its starts the one of least stress is shown.
    """
    import repsim_geo

    coordinates = repsim_geo.MetricMDS().fit_transform(distances.double())
    coordinates = coordinates * torch.where(coordinates[0] > 0, -1.0, 1.0)
    above = torch.triu_indices(len(distances), len(distances), 1)
    drawn = (coordinates[above[0]] - coordinates[above[1]]).norm(dim=-1)
    error = (drawn - distances[above[0], above[1]]).abs().mean()
    return FlatMap(coordinates.numpy(), float(error))
