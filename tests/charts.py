"""Points from free parameters, so that differences and derivatives stay on a manifold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import repsim_geo as rg
from repsim_geo.manifolds.spd import SPD


def symmetric(a: Tensor) -> Tensor:
    """Symmetric part."""
    return (a + a.mT) / 2


def chart(manifold: Any) -> Callable[[Tensor], Tensor]:
    """Smooth map from tensors to points that keeps points as they are."""
    if isinstance(manifold, SPD):
        return symmetric
    if isinstance(manifold, rg.Grassmannian):
        # Not projx: the singular values of a frame are equal, and those of torch have no derivative there.
        def orthonormalized(a: Tensor) -> Tensor:
            q, r = torch.linalg.qr(manifold.subspace.project(a))
            return q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]

        return orthonormalized
    return manifold.projx
