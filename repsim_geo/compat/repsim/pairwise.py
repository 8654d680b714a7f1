"""Maps between the inputs of one representation, with the names of ``repsim.pairwise``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from repsim_geo.kernels import maps
from repsim_geo.kernels.base import Kernel

__all__ = ["angle", "cosine", "euclidean", "inner_product", "squared_euclidean"]


def inner_product(x: Any, *, kernel: Kernel | None = None) -> Tensor:
    """Gram matrix (m, m) of activations (m, d): `inner_product_matrix`."""
    return maps.inner_product_matrix(x, kernel)


def cosine(x: Any, *, kernel: Kernel | None = None) -> Tensor:
    """Cosines (m, m) of activations (m, d), seen from the origin of feature space: `cosine_matrix`."""
    return maps.cosine_matrix(x, kernel)


def angle(x: Any, *, kernel: Kernel | None = None) -> Tensor:
    """Angles (m, m) of activations (m, d), in radians: `angle_matrix`."""
    return maps.angle_matrix(x, kernel)


def squared_euclidean(x: Any, *, kernel: Kernel | None = None) -> Tensor:
    """Squared distances (m, m) of activations (m, d): `squared_distance_matrix`."""
    return maps.squared_distance_matrix(x, kernel)


def euclidean(x: Any, *, kernel: Kernel | None = None) -> Tensor:
    """Distances (m, m) of activations (m, d), with finite gradients: `distance_matrix`."""
    return maps.distance_matrix(x, kernel)
