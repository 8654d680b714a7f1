"""The Fréchet mean as a differentiable function of the points and weights."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor
from torch.autograd.function import once_differentiable

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning
from repsim_geo.manifolds.lengths import product
from repsim_geo.stats.descent import Hessian, Variance, conjugate_gradients, weighted
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import as_stack, as_weights

# Residual of the linear equation behind a derivative, relative to the right-hand side.
_SOLVED = {torch.float64: 1e-12, torch.float32: 1e-5}
_LONGEST_SOLVE = 500


def frechet_mean(
    manifold: Manifold,
    points: Any,
    weights: Any = None,
    *,
    tol: float | None = None,
    max_iter: int = 100,
    init: Any = "medoid",
) -> Tensor:
    """
    Fréchet mean of points, with exact first derivatives.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `FrechetMean` needs, and ``egrad2rgrad``.
    points : Tensor, ndarray or sequence of them, shape (*batch, n, *point)
    weights : Tensor or array-like, shape (n,) or (*batch, n), optional
        Nonnegative, not all zero; only their ratios matter.
    tol, max_iter, init
        See `FrechetMean`.

    Returns
    -------
    Tensor, shape (*batch, *point)
        Differentiable with respect to `points` and `weights`, whatever the number of iterations that found
        it: nothing of them is kept.

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
        See `FrechetMean`.

    Warns
    -----
    ConvergenceWarning
        When the mean was not found; in the backward pass, when the variance has no positive curvature there,
        so that the mean is not determined and has no derivative.

    Notes
    -----
    At the mean x the logarithms of the points cancel. So a change of the points moves x by ``H^-1 (change of
    the mean logarithm)`` with the Hessian H of half the variance (implicit function theorem), and the
    backward pass solves one equation with H, by conjugate gradients. The Hessian is that of the manifold
    where it has one, else the derivative of its logarithm: where logarithms cancel, any derivative will do.

    On a quotient the gradient of what depends on the orbit only is exact; dependence on the representative
    has no meaning and is dropped. Second derivatives raise an error.

    References
    ----------
    Fletcher 2013; Lou et al. 2020.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> x = torch.tensor([[0.0], [4.0]], requires_grad=True)
    >>> frechet_mean(Flat(ndim=1), x, [3.0, 1.0]).sum().backward()
    >>> x.grad.flatten()
    tensor([0.7500, 0.2500])
    """
    points = as_stack(points)
    estimator = FrechetMean(manifold, tol=tol, max_iter=max_iter, init=init)
    estimator.fit(points, weights.detach() if isinstance(weights, Tensor) else weights)
    if weights is None or not isinstance(weights, Tensor):
        weights = as_weights(weights, points.detach(), manifold.ndim)
    else:
        weights = weights / weights.sum(-1, keepdim=True)
    return _Mean.apply(manifold, estimator.mean_, points.as_subclass(Tensor), weights)  # type: ignore[no-any-return]


def frechet_variance(manifold: Manifold, points: Any, weights: Any = None) -> Tensor:
    """
    Fréchet variance: the least weighted mean of squared distances to a point.

    Parameters
    ----------
    manifold : geoopt.Manifold
    points : Tensor, ndarray or sequence of them, shape (*batch, n, *point)
    weights : Tensor or array-like, shape (n,) or (*batch, n), optional

    Returns
    -------
    Tensor, shape (*batch)
        Unit of the distance, squared. Divided by n, not by n - 1.

    Notes
    -----
    Differentiable; the mean needs no derivative here, because the variance is stationary at it.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> frechet_variance(Flat(ndim=1), torch.tensor([[0.0], [4.0]]))
    tensor(4.)
    """
    points = as_stack(points)
    fixed = weights.detach() if isinstance(weights, Tensor) else weights
    mean = FrechetMean(manifold).fit(points, fixed).mean_.unsqueeze(-manifold.ndim - 1)
    if not isinstance(weights, Tensor):
        weights = as_weights(weights, points.detach(), manifold.ndim)
    squared = getattr(manifold, "dist2", lambda x, y: manifold.dist(x, y).square())
    return (weights / weights.sum(-1, keepdim=True) * squared(mean, points)).sum(-1)


class _Mean(torch.autograd.Function):
    """The mean found elsewhere, with dx = H^-1 d(mean logarithm)."""

    @staticmethod
    def forward(ctx: Any, manifold: Manifold, mean: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        ctx.manifold = manifold
        ctx.save_for_backward(mean, points, weights)
        return mean.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        manifold: Manifold = ctx.manifold
        mean, points, weights = ctx.saved_tensors
        # What the loss gains by a small step of the manifold, whose vectors may have another unit than
        # the points (`geoopt.Scaled`).
        with torch.enable_grad():
            step = torch.zeros_like(mean).requires_grad_()
            (gain,) = torch.autograd.grad(manifold.retr(mean, step), step, grads[0])
        wanted = manifold.egrad2rgrad(mean, gain)
        relative = wanted.new_tensor(_SOLVED[points.dtype])
        hessian = _hessian(manifold, mean, points, weights)
        inner = partial(product, manifold, mean)
        z, convex = conjugate_gradients(inner, hessian, wanted, relative, _LONGEST_SOLVE, manifold.ndim)
        if not bool(convex.all()):
            warn_user(
                "the variance has no positive curvature at this Fréchet mean: the data do not determine the "
                "mean, and its gradient means nothing. Use points that are nearer to each other.",
                ConvergenceWarning,
            )
        center = mean.unsqueeze(-manifold.ndim - 1)
        with torch.enable_grad():
            points, weights = points.detach().requires_grad_(), weights.detach().requires_grad_()
            logs = manifold.logmap(center, points)
            along = product(manifold, center, z.unsqueeze(-manifold.ndim - 1).expand_as(logs), logs)
            total = (weights * along).sum()
        by_points, by_weights = torch.autograd.grad(total, (points, weights), allow_unused=True)
        return None, None, by_points, by_weights


def _hessian(manifold: Any, mean: Tensor, points: Tensor, weights: Tensor) -> Hessian:
    """Hessian of half the variance, where its gradient vanishes."""
    problem = Variance(manifold, points, weights)
    if problem.second_order:
        return problem.look_twice(mean)[2]

    def logarithm(x: Tensor) -> Tensor:
        return weighted(manifold.logmap(x.unsqueeze(-manifold.ndim - 1), points), weights, manifold.ndim)

    def hessian(u: Tensor) -> Tensor:
        with torch.enable_grad():
            change = torch.autograd.functional.jvp(logarithm, mean, u)[1]
        return -manifold.proju(mean, change)

    return hessian
