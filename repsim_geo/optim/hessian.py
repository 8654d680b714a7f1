"""
Products of a Riemannian Hessian with vectors.

Along a geodesic a function has the second derivative ``<Hess f(x)[u], u>``, so that the Hessian at `x` is
the second derivative of ``u -> f(expmap(x, u))`` at zero, turned into a tangent vector as gradients are
(Boumal 2023, section 5.10). Where that derivative cannot be had, gradients of two points nearby are carried
back and subtracted.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo.manifolds.lengths import length
from repsim_geo.numerics.norms import with_axes
from repsim_geo.optim.objective import Objective, transported

# What autograd says where a derivative has no derivative.
_NOT_TWICE = (NotImplementedError, RuntimeError)

Product = Callable[[Tensor, Tensor], Tensor]


class HessianProducts:
    """
    From a tangent vector to the Hessian times it.

    Parameters
    ----------
    objective : Objective
        Its manifold needs ``expmap`` and ``egrad2rgrad``; for differences ``expmap`` and, best, ``transp``.
    how : "auto", "exact", "difference" or callable
        "exact" is the second derivative, "difference" are central differences of gradients. "auto" is the
        first as long as it is written and finite, if it agrees with the second at the first point. A callable
        takes points and tangent vectors in the shape that the function takes, and returns tangent vectors.

    Notes
    -----
    Exact products are exact to rounding and cost two backward passes; what they share is kept while the point
    stays. Differences have errors of the order of ``eps ** (2 / 3)``, and cost two gradients.

    The comparison is there because autograd does not always say that a second derivative is missing: that of
    a ``once_differentiable`` function is silently zero wherever the incoming gradient is a constant.
    """

    def __init__(self, objective: Objective, how: str | Product = "auto"):
        if not callable(how) and how not in ("auto", "exact", "difference"):
            raise ValueError(
                f"hessian must be 'auto', 'exact', 'difference' or a function of points and tangent vectors, "
                f"got {how!r}. 'auto' takes the exact one where it exists."
            )
        self.objective, self.how = objective, how
        self._point = self._zero = self._slope = None
        self._trusted = False

    @torch.no_grad()
    def __call__(self, x: Tensor, u: Tensor, rows: Tensor) -> Tensor:
        """
        Hessian at points, times tangent vectors.

        Parameters
        ----------
        x, u : Tensor, shape (k, *point)
        rows : Tensor, shape (k)
            Which entries of the batch they are.

        Returns
        -------
        Tensor, shape (k, *point)
        """
        if callable(self.how):
            return self._given(self.how, x, u, rows)
        if self.how == "exact":
            return self._exact(x, u, rows)
        product = self._exact_or_none(x, u, rows) if self.how == "auto" else None
        if product is not None and self._trusted:
            return product
        differences = self._difference(x, u, rows)
        if product is not None and self._agree(x, product, differences):
            self._trusted = True
            return product
        self.how = "difference"
        return differences

    def _exact_or_none(self, x: Tensor, u: Tensor, rows: Tensor) -> Tensor | None:
        try:
            product = self._exact(x, u, rows)
        except _NOT_TWICE:
            return None
        return product if bool(product.isfinite().all()) else None

    def _agree(self, x: Tensor, product: Tensor, differences: Tensor) -> bool:
        """Whether two products are equal up to the error of differences."""
        manifold = self.objective.manifold
        error, size = length(manifold, x, product - differences), length(manifold, x, differences)
        return bool((error <= torch.finfo(x.dtype).eps ** 0.25 * size).all())

    def _given(self, function: Product, x: Tensor, u: Tensor, rows: Tensor) -> Tensor:
        objective = self.objective
        if objective.pointwise:
            return function(x, u)
        points = objective.full(x, rows)
        vectors = torch.zeros_like(objective.start).index_copy(0, rows, u).reshape(points.shape)
        return function(points, vectors).reshape(objective.start.shape)[rows]

    def _exact(self, x: Tensor, u: Tensor, rows: Tensor) -> Tensor:
        manifold = self.objective.manifold
        if self._point is not x:
            with torch.enable_grad():
                self._zero = torch.zeros_like(x).requires_grad_()
                values = self.objective.values(manifold.expmap(x, self._zero), rows)
                (self._slope,) = torch.autograd.grad(values.sum(), self._zero, create_graph=True)
            self._point = x
        (bent,) = torch.autograd.grad(self._slope, self._zero, u, retain_graph=True)
        return manifold.egrad2rgrad(x, bent)

    def _difference(self, x: Tensor, u: Tensor, rows: Tensor) -> Tensor:
        manifold, ndim = self.objective.manifold, self.objective.manifold.ndim
        # In the unit of the distance: a point as a vector at itself has the size of what can be seen there.
        size, long = length(manifold, x, x), length(manifold, x, u)
        near = torch.finfo(x.dtype).eps ** (1 / 3) * torch.where(size > 0, size, 1.0)
        h = with_axes(near / torch.where(long > 0, long, 1.0), ndim)
        ends = []
        for way in (h, -h):
            y = manifold.expmap(x, way * u)
            ends.append(transported(manifold, y, x, self.objective.look(y, rows)[1]))
        return (ends[0] - ends[1]) / (2 * h)
