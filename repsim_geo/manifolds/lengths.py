"""Lengths of tangent vectors of any ``geoopt.Manifold``, in one shape, and scales of ``geoopt.Scaled``."""

from __future__ import annotations

from typing import Any

from geoopt.manifolds.base import Manifold
from torch import Tensor


def product(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor | None = None) -> Tensor:
    """Inner product with exactly the batch axes of `u`, whatever habits the manifold has without keepdim."""
    return manifold.inner(x, u, v, keepdim=True).reshape(u.shape[: u.dim() - manifold.ndim])


def length(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor:
    """Length of tangent vectors; zero where rounding makes its square negative."""
    return product(manifold, x, u).clamp_min(0).sqrt()


def unscaled(manifold: Any) -> tuple[Any, list[Tensor]]:
    """Manifold without ``geoopt.Scaled`` around it, and the scales that were, from the outside in."""
    scales = []
    while hasattr(manifold, "scale") and hasattr(manifold, "base"):
        scales.append(manifold.scale.detach())
        manifold = manifold.base
    return manifold, scales
