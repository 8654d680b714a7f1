"""Flat space: a linear subspace of tensors with a multiple of the Euclidean inner product."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from repsim_geo.manifolds.base import InSubspace, point_shape, within
from repsim_geo.numerics.norms import inner, squared_norm
from repsim_geo.numerics.subspaces import Everything

Weight = float | Callable[..., float]


class Flat(InSubspace):
    """
    Linear subspace with inner product ``weight * sum(u * v)``: straight lines, no curvature.

    Parameters
    ----------
    ndim : int
        Trailing axes of one point.
    subspace : Everything or a subspace of it
        Where points live.
    weight : float or callable
        Factor of the inner product; a callable gets the sizes of a point and returns the factor, for
        averages over entries.

    Examples
    --------
    >>> import torch
    >>> Flat(ndim=1).dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
    tensor(5.)
    """

    __scaling__ = InSubspace.__scaling__.copy()
    name = "Flat"
    second_order = True
    flat = True

    def __init__(self, ndim: int = 2, subspace: Everything = Everything(), weight: Weight = 1.0):
        super().__init__(ndim, subspace)
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not callable(weight) and not (number and 0 < weight < math.inf):
            raise ValueError(
                f"weight must be a positive number, or a function of the sizes of a point, got {weight!r}. "
                "Leave it out for the Euclidean inner product."
            )
        self.weight: Weight = weight if callable(weight) else float(weight)
        # geoopt's samplers assume the Euclidean inner product.
        self.reversible = weight == 1.0

    def _factor(self, x: Tensor) -> float:
        return self.weight(*x.shape[-self.ndim :]) if callable(self.weight) else self.weight

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product of tangent vectors; shape (*batch)."""
        v = u if v is None else v
        return self._expand(
            self._factor(u) * inner(u, v, self.ndim, keepdim=keepdim), x, u, v, keepdim=keepdim
        )

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """Straight line: ``x + u``."""
        return x + u

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Straight line: ``y - x``."""
        return y - x

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance; shape (*batch)."""
        return self._factor(x) * squared_norm(x - y, self.ndim, keepdim=keepdim)

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Difference, and the identity."""
        return self.logmap(x, y), lambda u: u

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Transport is the identity."""
        return v.expand(torch.broadcast_shapes(x.shape, u.shape, v.shape)).contiguous()

    def projx(self, x: Tensor) -> Tensor:
        """Nearest point of the subspace."""
        return self.subspace.project(x).contiguous()

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection to the subspace; the same at every point."""
        return self.subspace.project(u.expand(torch.broadcast_shapes(x.shape, u.shape)))

    def egrad2rgrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian gradient: projected and divided by the weight of the inner product."""
        return self.proju(x, u) / self._factor(u)

    def rgrad2egrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Euclidean gradient from a Riemannian one."""
        return u * self._factor(u)

    def isotropic(self, x: Tensor, z: Tensor) -> Tensor:
        """Projection of `z`, divided by the root of the weight of the inner product."""
        return self.proju(x, z) / math.sqrt(self._factor(z))

    def origin(self, *size, dtype=None, device=None, seed: int | None = 42) -> Tensor:
        """Return the zero tensor; `seed` is ignored."""
        shape = point_shape(size)
        self._assert_check_shape(shape, "x")
        return self._as_point(torch.zeros(shape, dtype=dtype, device=device))

    def dim(self, *point) -> int:
        """Dimension of the subspace."""
        return self.subspace.dim(*point_shape(point))

    def injectivity_radius(self, x: Tensor | None = None) -> float:
        """Infinite: all straight lines are shortest paths."""
        return math.inf

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """Infinite; shape (*batch)."""
        return torch.full_like(self.inner(x, u), math.inf)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Zero; shape (*batch)."""
        return torch.zeros_like(self.inner(x, u, v))

    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """Infinite: the arithmetic mean is the only mean."""
        return torch.full_like(super().uniqueness_radius(x), math.inf)

    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """One: half of the squared distance has the identity as its Hessian."""
        return torch.ones_like(d)

    # ------------------------------------------------------------------ checks

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5):
        if not within(u - self.proju(x, u), u, self.ndim, atol, rtol):
            return False, f"not in the subspace {self.subspace}, or not finite"
        return True, None
