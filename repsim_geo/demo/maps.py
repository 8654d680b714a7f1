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
    Stress majorization by scikit-learn, from the classical solution, so nothing is left to chance.
    """
    from sklearn.manifold import smacof

    start = _classical(distances.double())
    given = distances.double().numpy()
    options = {"n_init": 1, "max_iter": 1000, "eps": 1e-9, "normalized_stress": False}
    coordinates = np.asarray(smacof(given, n_components=2, init=start, **options)[0])
    above = np.triu_indices(len(given), 1)
    drawn = np.linalg.norm(coordinates[:, None] - coordinates, axis=-1)
    return FlatMap(coordinates, float(np.abs(drawn - given)[above].mean()))


def _classical(distances: Tensor) -> np.ndarray:
    """Positions in the plane of largest spread, shape (n, 2); axes point away from the first point."""
    squares = distances**2
    inner = -0.5 * (squares - squares.mean(0) - squares.mean(1, keepdim=True) + squares.mean())
    values, vectors = torch.linalg.eigh(inner)
    coordinates = vectors[:, [-1, -2]] * values[[-1, -2]].clamp(min=0).sqrt()
    return (coordinates * torch.where(coordinates[0] > 0, -1.0, 1.0)).numpy()
