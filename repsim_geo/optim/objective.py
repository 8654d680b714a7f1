"""A function on a manifold as searches see it: values and Riemannian gradients of some entries of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.lengths import unscaled
from repsim_geo.numerics.norms import with_axes

Function = Callable[[Tensor], Tensor]


def transported(manifold: Manifold, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """Vectors at `x` carried to `y`: by ``transp``, or by projection where a manifold has none."""
    try:
        return manifold.transp(x, y, u)
    except NotImplementedError:
        return manifold.proju(y, u)


def finite(x: Tensor) -> Tensor:
    """Whether all numbers of a point are finite; from shape (n, *point) to (n)."""
    return x.isfinite().flatten(1).all(1)


def unit(manifold: Any) -> float:
    """
    By what a Riemannian gradient has to be multiplied.

    ``geoopt.Scaled`` relabels tangent vectors, and passes gradients on as they are: in its own labels they
    are too long by the scale.
    """
    # As Scaled computes it, in its dtype.
    return math.prod(float(scale**-1) for scale in unscaled(manifold)[1])


class Objective:
    """
    A function of a batch of points, of which any entries can be looked at.

    Parameters
    ----------
    manifold : geoopt.Manifold
    fun : callable
        From points (*batch, *point) to values (*batch).
    start : Tensor, shape (*batch, *point)
    pointwise : bool
        Whether `fun` takes any number of points, (k, *point) to (k).

    Attributes
    ----------
    start : Tensor, shape (n, *point)
    n_evaluations : Tensor, shape (n)
    """

    def __init__(self, manifold: Manifold, fun: Function, start: Tensor, *, pointwise: bool = False):
        self.manifold, self.fun, self.pointwise = manifold, fun, pointwise
        self.batch = start.shape[: start.dim() - manifold.ndim]
        self.start = start.reshape(-1, *start.shape[start.dim() - manifold.ndim :])
        self.unit = unit(manifold)
        self.n_evaluations = torch.zeros(len(self.start), dtype=torch.long, device=start.device)

    def full(self, x: Tensor, rows: Tensor) -> Tensor:
        """Points in the shape that the function takes; other entries are at their start."""
        if self.pointwise:
            return x
        return self.start.index_copy(0, rows, x).reshape(self.batch + self.start.shape[1:])

    def values(self, x: Tensor, rows: Tensor) -> Tensor:
        """
        Values of some entries, differentiable.

        Parameters
        ----------
        x : Tensor, shape (k, *point)
        rows : Tensor, shape (k)
            Which entries they are.

        Returns
        -------
        Tensor, shape (k)
        """
        self.n_evaluations[rows] += 1
        points = self.full(x, rows)
        values = self.fun(points)
        batch = points.shape[: points.dim() - self.manifold.ndim]
        if not isinstance(values, Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
            raise TypeError(
                f"fun must return a tensor of real numbers, got {kind}. Compute it from its argument with "
                "torch."
            )
        if values.shape != batch:
            raise ShapeError(
                f"fun must return one value for each point: from points of shape {tuple(points.shape)} "
                f"values of shape {tuple(batch)}, got {tuple(values.shape)}. Sum over the axes of a point, "
                f"{', '.join(map(str, range(-self.manifold.ndim, 0)))}, and keep the batch."
            )
        return values if self.pointwise else values.reshape(-1)[rows]

    def look(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """
        Values and Riemannian gradients of some entries.

        Parameters
        ----------
        x : Tensor, shape (k, *point)
        rows : Tensor, shape (k)

        Returns
        -------
        value : Tensor, shape (k)
            ``inf`` where the point, the value or the gradient is not finite.
        gradient : Tensor, shape (k, *point)
            Zero there.
        """
        ndim = self.manifold.ndim
        fine = finite(x)
        # Not every function of linear algebra takes nan; a point that is none must not stop the others.
        x = torch.where(with_axes(fine, ndim), x, self.start[rows])
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            values = self.values(leaf, rows)
            if not values.requires_grad:
                raise ValueError(
                    "fun must be differentiable, got values without a history. Compute them from its "
                    "argument with torch, without detach(), item() or numpy."
                )
            (slope,) = torch.autograd.grad(values.sum(), leaf)
        values = values.detach()
        fine = fine & values.isfinite() & finite(slope)
        gradient = self.manifold.egrad2rgrad(x, torch.where(with_axes(fine, ndim), slope, 0.0)) * self.unit
        fine = fine & finite(gradient)
        return torch.where(fine, values, torch.inf), torch.where(with_axes(fine, ndim), gradient, 0.0)
