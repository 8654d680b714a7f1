"""The Fréchet mean: the point with the least sum of squared distances to the data."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.numerics.alignment import finite_svd, working_precision
from repsim_geo.numerics.angles import inverse_sinc, one_minus_cos, sinc
from repsim_geo.numerics.norms import trailing, with_axes
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.points import as_points, as_weights

# Gradient norms below these are rounding, relative to the spread of the data.
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
# A step may raise the variance as long as one of so many before was higher.
_MEMORY = 10
# Angle from which on a point counts as opposite: its logarithm is nearly arbitrary.
_NEAR_ANTIPODE = math.pi - 1e-3


class FrechetMean(Estimator):
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
        Where to start: the data point with the least sum of squared distances (on spheres the normalized
        arithmetic mean where that is better; a manifold that has a ``rough_mean`` starts there), the first
        point, or a point of your own.

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
        An exact minimum of the variance is within this distance of ``mean_``; it is *the* mean if
        ``unique_``. The gradient norm divided by a lower bound of the Hessian around ``mean_``; infinite
        where none is known.
    unique_ : True or None
        True when a theorem says that these data have only one mean; None when none applies.

    Notes
    -----
    The iteration is the Karcher flow, ``x <- exp_x(s * mean of log_x(points))``. It starts with s = 1, which
    cannot increase the variance in nonnegative curvature; then s follows the curvature that the last step
    has seen (Barzilai and Borwein 1988), never below 1 unless the variance exceeds all of the last ten, when
    it is halved. All logarithms are computed in one batch. On spheres the mean lies in the span of the data,
    and the iteration needs only their inner products: it costs n^2 a step, whatever the size of a point.

    Shapes of networks that have little in common have several local means, far from each other and slow to
    reach; ``unique_`` and the warning tell.

    References
    ----------
    Karcher 1977; Afsari 2011; Pennec 2006; Barzilai and Borwein 1988.

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
        NotOnManifoldError
            Tensors that are not points, such as activations that were not embedded.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` steps were not enough.
        """
        points, weights = self._checked(points, weights)
        tol = _TOLERANCE[points.dtype] if self.tol is None else self.tol
        start, taken = None, 0
        if getattr(self.manifold, "spherical", False) and self.init == "medoid":
            start, taken = _mean_in_span(points, weights, self.manifold.ndim, tol, self.max_iter)
        # Where the span was precise enough the flow has nothing to do. It has for clusters as tight as the
        # rounding of their inner products, and for points near an antipode.
        start = self._start(points, weights) if start is None else self.manifold.projx(start)
        mean, more = _karcher_flow(self.manifold, points, weights, start, tol, self.max_iter - taken)
        self.n_iter_ = taken + more
        self._certify(self.manifold.projx(mean), points, weights, tol)
        return self

    def _checked(self, points: Any, weights: Any) -> tuple[Tensor, Tensor]:
        points = as_points(self.manifold, points, batched=True)
        ndim = self.manifold.ndim
        if not (isinstance(self.max_iter, Integral) and self.max_iter >= 0):
            raise ValueError(f"max_iter must be a whole number of steps, 0 or more, got {self.max_iter!r}.")
        if self.tol is not None and not self.tol > 0:
            raise ValueError(
                f"tol must be positive or None, got {self.tol!r}. None takes what the dtype allows."
            )
        given, weights = weights, as_weights(weights, points, ndim)
        if given is None:
            return points, weights
        # A point without weight has no say: the heaviest one takes its place.
        heaviest = _take(points, weights.expand(points.shape[: points.dim() - ndim]).argmax(-1), ndim)
        return torch.where(with_axes(weights > 0, ndim), points, heaviest.unsqueeze(-ndim - 1)), weights

    def _start(self, points: Tensor, weights: Tensor) -> Tensor:
        axis = -self.manifold.ndim - 1
        first = points.select(axis, 0)
        if isinstance(self.init, Tensor):
            start = self.init.detach().as_subclass(Tensor).to(points)
            if not bool(start.isfinite().all()) or start.shape != first.shape[first.dim() - start.dim() :]:
                raise ShapeError(
                    f"init must be a finite point of shape {tuple(first.shape)}, got {tuple(start.shape)}. "
                    "Or use init='medoid'."
                )
            return start.expand_as(first)
        if self.init == "first":
            return first
        if self.init == "medoid":
            rough = getattr(self.manifold, "rough_mean", lambda *_: None)(points, weights)
            return _medoid(self.manifold, points, weights) if rough is None else rough
        raise ValueError(f"init must be 'medoid', 'first' or a point, got {self.init!r}.")

    def _certify(self, mean: Tensor, points: Tensor, weights: Tensor, tol: float) -> None:
        """Judge the mean by the manifold's own distances and logarithms, however it was found."""
        manifold = self.manifold
        center = mean.unsqueeze(-manifold.ndim - 1)
        distances = manifold.dist(center, points)
        self.mean_ = mean
        gradient = _weighted(manifold.logmap(center, points), weights, manifold.ndim)
        self.gradient_norm_ = _inner(manifold, mean, gradient).sqrt()
        self.variance_ = (weights * distances.square()).sum(-1)
        self.radius_ = distances.amax(-1)
        goal = _goal(manifold, tol, self.variance_, points)
        self.converged_ = bool((self.gradient_norm_ <= goal).all())
        # What is computed as the gradient has rounding of its own.
        gradient_norm = self.gradient_norm_ + _rounding(manifold, points)
        self.error_bound_ = _error_bound(manifold, mean, distances, weights, gradient_norm)
        radius = getattr(manifold, "uniqueness_radius", None)
        proven = self.converged_ and radius is not None and bool((self.radius_ < radius(mean)).all())
        self.unique_ = True if proven else None
        if not self.converged_:
            worst = float((self.gradient_norm_ / goal).max())
            warn_user(
                f"FrechetMean stopped after {self.n_iter_} iterations with gradient norm "
                f"{float(self.gradient_norm_.max()):.3g}, {worst:.3g} times the tolerance. "
                "The estimate is in mean_; raise max_iter or set tol.",
                ConvergenceWarning,
            )


def _weighted(values: Tensor, weights: Tensor, ndim: int) -> Tensor:
    """Weighted sum over the axis of points."""
    return (with_axes(weights, ndim) * values).sum(-ndim - 1)


def _inner(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor | None = None) -> Tensor:
    """Inner product with exactly the batch axes of `u`, whatever habits the manifold has without keepdim."""
    return manifold.inner(x, u, v, keepdim=True).reshape(u.shape[: u.dim() - manifold.ndim]).clamp_min(0)


def _take(points: Tensor, index: Tensor, ndim: int) -> Tensor:
    """Point number `index` of every population."""
    return points.take_along_dim(with_axes(index, ndim + 1), -ndim - 1).squeeze(-ndim - 1)


def _goal(manifold: Manifold, tol: float, variance: Tensor, points: Tensor) -> Tensor:
    """Gradient norm to reach: relative to the spread, but not below the rounding of the points themselves."""
    return tol * variance.sqrt() + _rounding(manifold, points)


def _rounding(manifold: Manifold, points: Tensor) -> Tensor:
    """Rounding of a mean logarithm."""
    eps = 8 * torch.finfo(points.dtype).eps
    if not hasattr(manifold, "rough_mean"):
        return eps * torch.linalg.vector_norm(points, dim=trailing(manifold.ndim)).amax(-1)
    # In the unit of the distance, which need not be that of the points.
    size = _inner(manifold, points, points).sqrt().amax(-1)
    if getattr(manifold, "sensitive", False) and getattr(manifold, "full_rank", False):
        # Logarithms of eigenvalues, whose rounding is that of the largest relative to the smallest.
        s = finite_svd(points)[1]
        size = size * (s[..., 0] / s[..., -1]).amax(-1)
    return eps * size


def _medoid(manifold: Manifold, points: Tensor, weights: Tensor) -> Tensor:
    axis = -manifold.ndim - 1
    rows = [
        (weights * manifold.dist(points.narrow(axis, i, 1), points).square()).sum(-1)
        for i in range(points.shape[axis])
    ]
    return _take(points, torch.stack(rows, -1).argmin(-1), manifold.ndim)


def _karcher_flow(
    manifold: Manifold, points: Tensor, weights: Tensor, x: Tensor, tol: float, max_iter: int
) -> tuple[Tensor, int]:
    ndim = manifold.ndim

    def variance_and_pull(x: Tensor) -> tuple[Tensor, Tensor]:
        center = x.unsqueeze(-ndim - 1)
        logs = manifold.logmap(center, points)
        return (weights * _inner(manifold, center, logs)).sum(-1), _weighted(logs, weights, ndim)

    rounding = 64 * torch.finfo(x.dtype).eps
    variance, pull = variance_and_pull(x)
    size = torch.ones_like(variance)
    recent = [variance]
    for n_iter in range(max_iter):
        if bool((_inner(manifold, x, pull).sqrt() <= _goal(manifold, tol, variance, points)).all()):
            return x, n_iter
        step = with_axes(size, ndim) * pull
        trial = manifold.retr(x, step)
        trial_variance, trial_pull = variance_and_pull(trial)
        better = trial_variance <= torch.stack(recent).amax(0) * (1 + rounding)
        fitted = _curvature_step(manifold, trial, step, pull, trial_pull)
        size = torch.where(better, fitted, torch.where(size > 1, torch.ones_like(size), size / 2))
        accepted = with_axes(better, ndim)
        x, pull = torch.where(accepted, trial, x), torch.where(accepted, trial_pull, pull)
        variance = torch.where(better, trial_variance, variance)
        recent = [*recent, variance][-_MEMORY:]
    return x, max_iter


def _curvature_step(manifold: Manifold, x: Tensor, step: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """
    Step size that the change of the gradient over the last step suggests, at most 100.

    Without negative curvature it is at least 1; with it, a step of 1 can overshoot for ever.
    """
    step, before = manifold.proju(x, step), manifold.proju(x, before)
    bent = manifold.inner(x, step, before - after, keepdim=True).reshape(
        step.shape[: step.dim() - manifold.ndim]
    )
    return torch.where(bent > 0, _inner(manifold, x, step) / torch.where(bent > 0, bent, 1.0), 1.0).clamp(
        1e-6, 100
    )


def _mean_in_span(
    points: Tensor, weights: Tensor, ndim: int, tol: float, max_iter: int
) -> tuple[Tensor | None, int]:
    """
    Karcher flow on a sphere in coefficients, ``sum_i c_i x_i``; None if a point is near an antipode.

    Inner products, kept in float64, are enough as long as the points are farther apart than the root of their
    rounding: the factor a / sin(a) of a logarithm is flat where the angle a is small.
    """
    flat = points.flatten(-ndim)
    gram = working_precision(flat) @ working_precision(flat).mT
    weights = weights.to(gram.dtype).expand(gram.shape[:-1])
    coefficients = _best_start(gram, weights)
    eps = torch.finfo(points.dtype).eps
    n_iter = 0
    for n_iter in range(max_iter + 1):
        cosines = (gram @ coefficients[..., None])[..., 0].clamp(-1, 1)
        angles2 = cosines.acos().square()
        if bool((angles2.sqrt() > _NEAR_ANTIPODE).any()):
            return None, 0
        pull = weights * inverse_sinc(angles2)
        step = pull - (pull * cosines).sum(-1, keepdim=True) * coefficients
        length2 = _quadratic(gram, step)
        variance = (weights * angles2).sum(-1)
        if n_iter == max_iter or bool((length2.sqrt()[..., 0] <= tol * variance.sqrt() + 8 * eps).all()):
            break
        coefficients = (1 - length2 * one_minus_cos(length2)) * coefficients + sinc(length2) * step
        coefficients = coefficients / _quadratic(gram, coefficients).sqrt()
    mean = (coefficients.to(points.dtype)[..., None, :] @ flat).squeeze(-2)
    return mean.unflatten(-1, points.shape[-ndim:]), n_iter


def _best_start(gram: Tensor, weights: Tensor) -> Tensor:
    """Coefficients of the normalized average or of a data point, whichever has the least variance."""
    length = _quadratic(gram, weights).sqrt()
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand(gram.shape)
    average = torch.where(length > 1e-6, weights / length, eye[..., 0, :])
    candidates = torch.cat([average[..., None, :], eye], -2)
    angles2 = (candidates @ gram).clamp(-1, 1).acos().square()
    best = (angles2 @ weights[..., None])[..., 0].argmin(-1)
    return candidates.take_along_dim(best[..., None, None], -2).squeeze(-2)


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

    # The bound must hold on a ball that contains the minimum: try the ball of twice the first guess.
    here_convex = hessian(torch.zeros_like(gradient))
    ball = 2 * gradient / here_convex
    convex = hessian(ball.clamp_min(0))
    bound = gradient / convex
    return torch.where((here_convex > 0) & (convex > 0) & (bound <= ball), bound, math.inf)
