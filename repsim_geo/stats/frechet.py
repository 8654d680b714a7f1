"""The Fréchet mean: the point with the least sum of squared distances to the data."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from sklearn.base import BaseEstimator
from torch import Tensor

from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.numerics.angles import inverse_sinc, one_minus_cos, sinc

# Gradient norms below these are rounding, relative to the spread of the data.
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


class FrechetMean(BaseEstimator):
    """
    Fréchet mean of points on a manifold, with a certificate.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``dist``, ``norm`` and ``inner``. Where it has them, ``spherical``,
        ``uniqueness_radius`` and ``distance_convexity`` are used.
    tol : float, optional
        Gradient norm at which to stop, relative to the root-mean-square distance of the data from the mean.
        Default 1e-12 in float64 and 1e-5 in float32.
    max_iter : int
    init : "medoid", "first" or Tensor
        Where to start: the data point with the least sum of squared distances, the first point, or a
        point of your own. On spheres always the normalized arithmetic mean.

    Attributes
    ----------
    mean_ : Tensor, shape (*batch, *point)
    n_iter_ : int
        Steps taken.
    converged_ : bool
        Whether every gradient norm reached the tolerance.
    gradient_norm_ : Tensor, shape (*batch)
        Length of the mean logarithm at ``mean_``; zero at the true mean. Unit of the distance.
    variance_ : Tensor, shape (*batch)
        Weighted mean of the squared distances.
    radius_ : Tensor, shape (*batch)
        Largest distance of a point (of positive weight) from ``mean_``.
    error_bound_ : Tensor, shape (*batch)
        The true mean is within this distance of ``mean_``: the gradient norm divided by a lower
        bound of the Hessian around ``mean_``. Infinite where no bound is known.
    unique_ : True or None
        True when a theorem says that these data have only one mean; None when none applies.

    Notes
    -----
    The iteration is the Karcher flow, ``x <- exp_x(s * mean of log_x(points))``, with s = 1 at first, which
    cannot increase the variance in nonnegative curvature (all our spaces so far). Elsewhere, or when
    rounding gets in the way, s is halved until the variance does not grow. All logarithms are computed in
    one batch. On spheres the mean lies in the span of the data, and the iteration needs only their inner
    products: it costs n^2 a step, whatever the size of a point.

    References
    ----------
    Karcher 1977; Afsari 2011; Pennec 2006.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> FrechetMean(UnitSphere(ndim=1)).fit(points).mean_
    tensor([0.7071, 0.7071], dtype=torch.float64)
    """

    def __init__(
        self, manifold: Manifold, *, tol: float | None = None, max_iter: int = 100, init: Any = "medoid"
    ):
        self.manifold = manifold
        self.tol = tol
        self.max_iter = max_iter
        self.init = init

    @torch.no_grad()
    def fit(self, points: Tensor, weights: Any = None) -> FrechetMean:
        """
        Find the mean.

        Parameters
        ----------
        points : Tensor, shape (*batch, n, *point)
            Several populations at once along the batch axes.
        weights : array-like, shape (n,) or (*batch, n), optional
            Nonnegative, not all zero; only their ratios matter.

        Returns
        -------
        FrechetMean
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            No points, wrong weights, not finite.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` steps were not enough.
        """
        points, weights = self._checked(points, weights)
        tol = _TOLERANCE[points.dtype] if self.tol is None else self.tol
        if getattr(self.manifold, "spherical", False):
            mean, self.n_iter_ = _mean_in_span(points, weights, self.manifold.ndim, tol, self.max_iter)
            mean = self.manifold.projx(mean)
        else:
            start = self._start(points, weights)
            mean, self.n_iter_ = _karcher_flow(self.manifold, points, weights, start, tol, self.max_iter)
        self._certify(mean, points, weights, tol)
        return self

    def _checked(self, points: Any, weights: Any) -> tuple[Tensor, Tensor]:
        ndim = self.manifold.ndim
        if not isinstance(points, Tensor) or points.dtype not in _TOLERANCE:
            kind = points.dtype if isinstance(points, Tensor) else type(points).__name__
            raise TypeError(
                f"points must be a float32 or float64 Tensor (n, *point), got {kind}. "
                "Stack them with torch.stack."
            )
        if points.dim() < ndim + 1 or points.shape[-ndim - 1] == 0:
            raise ShapeError(
                f"points must have shape (n, *point) with {ndim} axes for a point, "
                f"got {tuple(points.shape)}. "
                "Stack the points of one population along a leading axis."
            )
        if not bool(points.isfinite().all()):
            raise ValueError("points must be finite, got nan or infinity. Remove the networks that failed.")
        ok, reason = self.manifold.check_point(points, explain=True)  # pyright: ignore[reportGeneralTypeIssues]
        if not ok:
            raise ShapeError(f"points do not fit the manifold: {reason}")
        points = points.detach().as_subclass(Tensor)
        n = points.shape[-ndim - 1]
        if weights is None:
            return points, points.new_full((n,), 1 / n)
        weights = torch.as_tensor(weights, dtype=points.dtype, device=points.device)
        if weights.shape[-1:] != (n,) or weights.dim() > points.dim() - ndim:
            raise ShapeError(
                f"weights must have shape ({n},), one for each point, got {tuple(weights.shape)}."
            )
        total = weights.sum(-1, keepdim=True)
        if not bool((weights >= 0).all()) or not bool((total > 0).all()) or not bool(total.isfinite().all()):
            raise ValueError(
                "weights must be nonnegative, finite and not all zero; only their ratios matter."
            )
        return points, weights / total

    def _start(self, points: Tensor, weights: Tensor) -> Tensor:
        axis = -self.manifold.ndim - 1
        if isinstance(self.init, Tensor):
            return self.init.detach().as_subclass(Tensor).to(points)
        if self.init == "first":
            return points.select(axis, 0)
        if self.init == "medoid":
            return _medoid(self.manifold, points, weights)
        raise ValueError(f"init must be 'medoid', 'first' or a point, got {self.init!r}.")

    def _certify(self, mean: Tensor, points: Tensor, weights: Tensor, tol: float) -> None:
        """Judge the mean by the manifold's own distances and logarithms, however it was found."""
        manifold = self.manifold
        center = mean.unsqueeze(-manifold.ndim - 1)
        distances = manifold.dist(center, points)
        counted = torch.where(weights > 0, distances, 0.0)
        self.mean_ = mean
        self.gradient_norm_ = manifold.norm(
            mean, _weighted(manifold.logmap(center, points), weights, manifold.ndim)
        )
        self.variance_ = (weights * distances.square()).sum(-1)
        self.radius_ = counted.amax(-1)
        goal = _goal(tol, self.variance_, points, manifold.ndim)
        self.converged_ = bool((self.gradient_norm_ <= goal).all())
        self.error_bound_ = _error_bound(manifold, mean, counted, weights, self.gradient_norm_)
        radius = getattr(manifold, "uniqueness_radius", None)
        proven = self.converged_ and radius is not None and bool((self.radius_ < radius(mean)).all())
        self.unique_ = True if proven else None
        if not self.converged_:
            worst = float((self.gradient_norm_ / goal).max())
            warnings.warn(
                f"FrechetMean stopped after {self.n_iter_} iterations with gradient norm "
                f"{float(self.gradient_norm_.max()):.3g}, {worst:.3g} times the tolerance. "
                "The estimate is in mean_; raise max_iter or set tol.",
                ConvergenceWarning,
                stacklevel=3,
            )


def _weighted(values: Tensor, weights: Tensor, ndim: int) -> Tensor:
    """Weighted sum over the axis of points."""
    return (weights.reshape(*weights.shape, *[1] * ndim) * values).sum(-ndim - 1)


def _goal(tol: float, variance: Tensor, points: Tensor, ndim: int) -> Tensor:
    """Gradient norm to reach: relative to the spread, but not below the rounding of the points themselves."""
    axes = tuple(range(-ndim, 0))
    size = torch.linalg.vector_norm(points, dim=axes).amax(-1)
    return tol * variance.sqrt() + 8 * torch.finfo(points.dtype).eps * size


def _medoid(manifold: Manifold, points: Tensor, weights: Tensor) -> Tensor:
    axis = -manifold.ndim - 1
    rows = [
        (weights * manifold.dist(points.narrow(axis, i, 1), points).square()).sum(-1)
        for i in range(points.shape[axis])
    ]
    best = torch.stack(rows, -1).argmin(-1)
    index = best.reshape(*best.shape, *[1] * (manifold.ndim + 1))
    return points.take_along_dim(index, axis).squeeze(axis)


def _karcher_flow(
    manifold: Manifold, points: Tensor, weights: Tensor, x: Tensor, tol: float, max_iter: int
) -> tuple[Tensor, int]:
    axis = -manifold.ndim - 1

    def variance_and_step(x: Tensor) -> tuple[Tensor, Tensor]:
        logs = manifold.logmap(x.unsqueeze(axis), points)
        squares = manifold.inner(x.unsqueeze(axis), logs)
        return (weights * squares).sum(-1), _weighted(logs, weights, manifold.ndim)

    variance, step = variance_and_step(x)
    size = torch.ones_like(variance)
    for n_iter in range(max_iter):
        gradient = manifold.norm(x, step)
        if bool((gradient <= _goal(tol, variance, points, manifold.ndim)).all()):
            return x, n_iter
        trial = manifold.retr(x, size.reshape(*size.shape, *[1] * manifold.ndim) * step)
        trial_variance, trial_step = variance_and_step(trial)
        better = trial_variance <= variance * (1 + 8 * torch.finfo(x.dtype).eps)
        keep = better.reshape(*better.shape, *[1] * manifold.ndim)
        x, step = torch.where(keep, trial, x), torch.where(keep, trial_step, step)
        variance = torch.where(better, trial_variance, variance)
        size = torch.where(better, size, size / 2)
    return x, max_iter


def _mean_in_span(
    points: Tensor, weights: Tensor, ndim: int, tol: float, max_iter: int
) -> tuple[Tensor, int]:
    """
    Karcher flow on a sphere in coefficients: the mean is ``sum_i c_i x_i``.

    Inner products are enough: the factor a / sin(a) of a logarithm is flat where the angle a is small, so
    nothing is lost by not knowing small angles to all digits. They are kept in float64.
    """
    flat = points.flatten(-ndim)
    gram = (flat @ flat.mT).double()
    weights = weights.double().expand(gram.shape[:-1])
    coefficients = weights / _quadratic(gram, weights).sqrt()
    n_iter = 0
    for n_iter in range(max_iter + 1):
        cosines = (gram @ coefficients[..., None])[..., 0].clamp(-1, 1)
        angles2 = cosines.acos().square()
        pull = weights * inverse_sinc(angles2)
        step = pull - (pull * cosines).sum(-1, keepdim=True) * coefficients
        length2 = _quadratic(gram, step)
        variance = (weights * angles2).sum(-1)
        eps = torch.finfo(points.dtype).eps
        if n_iter == max_iter or bool((length2.sqrt()[..., 0] <= tol * variance.sqrt() + 8 * eps).all()):
            break
        coefficients = (1 - length2 * one_minus_cos(length2)) * coefficients + sinc(length2) * step
        coefficients = coefficients / _quadratic(gram, coefficients).sqrt()
    mean = (coefficients.to(points.dtype)[..., None, :] @ flat).squeeze(-2)
    return mean.unflatten(-1, points.shape[-ndim:]), n_iter


def _quadratic(gram: Tensor, c: Tensor) -> Tensor:
    return (c * (gram @ c[..., None])[..., 0]).sum(-1, keepdim=True).clamp_min(0)


def _error_bound(
    manifold: Manifold, mean: Tensor, distances: Tensor, weights: Tensor, gradient: Tensor
) -> Tensor:
    """Distance to the true mean, from a Hessian bounded below on a ball that contains it."""
    convexity = getattr(manifold, "distance_convexity", None)
    if convexity is None:
        return torch.full_like(gradient, math.inf)
    here = mean.unsqueeze(-manifold.ndim - 1)
    center = here.expand(*distances.shape, *mean.shape[mean.dim() - manifold.ndim :])

    def hessian(slack: Tensor) -> Tensor:
        return (weights * convexity(center, distances + slack[..., None])).sum(-1)

    # The bound must hold on a ball that contains the true mean: try the ball of twice the first guess.
    bound = gradient / hessian(torch.zeros_like(gradient))
    convex = hessian(2 * bound.clamp_min(0))
    bound = torch.where(convex > 0, gradient / convex, math.inf)
    return torch.where(gradient == 0, 0.0, bound)
