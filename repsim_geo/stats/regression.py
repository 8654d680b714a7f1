"""Regression of points on a number: the geodesic that is nearest to them at their times."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.manifolds.lengths import product
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.norms import with_axes
from repsim_geo.stats.arrangements import as_labels, row_orders
from repsim_geo.stats.descent import rounding_of_logs
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import (
    as_numbers,
    as_points,
    as_weights,
    check_positive,
    check_whole,
    in_span,
    like,
)
from repsim_geo.stats.records import TestResult, judged
from repsim_geo.stats.tangent_pca import covectors, inner_products

# Gradient norm to reach, relative to the spread of the data. R2 is flat there: its error is the square.
_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
_TOLERANCE_OF_PERMUTATIONS = {torch.float64: 1e-6, torch.float32: 1e-3}
# A step may raise the sum of squares as long as one of so many before was higher.
_MEMORY = 10
# Permutations are fitted together while their points have fewer numbers than this; autograd keeps several.
_ELEMENTS = BLOCK_ELEMENTS // 8


class GeodesicRegression(Estimator):
    """
    Geodesic that describes how points depend on a covariate, such as depth, width or training time.

    Minimizes ``sum_i w_i d(exp_p((t_i - mean t) v), y_i)^2`` over the intercept p and the slope v. On a flat
    space this is linear least squares.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``inner``, ``dist``, ``proju``, ``projx``, ``retr`` and ``egrad2rgrad``,
        with maps that autograd can differentiate. Where it has them, ``spherical``, ``flat`` and
        ``rgrad2egrad`` are used.
    tol : float, optional
        Gradient norm at which to stop, relative to the root-mean-square distance of the points from their
        mean. Default 1e-10 in float64 and 1e-4 in float32.
    max_iter : int

    Attributes
    ----------
    intercept_ : Tensor, shape (*point)
        Point of the geodesic at ``covariate_mean_``, where it is known best.
    slope_ : Tensor, shape (*point)
        Velocity at the intercept, per unit of the covariate.
    slope_norm_ : float
        Its length: distance per unit of the covariate.
    covariate_mean_ : float
        Weighted mean of the covariate.
    r2_ : float
        ``1 - residual variance / Fréchet variance``, from 0 to 1; 0 if the points do not vary.
    residuals_ : Tensor, shape (n,)
        Distances of the points from their predictions.
    variance_ : float
        Fréchet variance of the points.
    n_iter_ : int
    converged_ : bool
    gradient_norm_ : float
        Of the residual variance, with respect to the points of the geodesic one standard deviation of the
        covariate before and after the mean, together; unit of the distance.

    Notes
    -----
    The geodesic is sought through these two points: each Riemannian gradient takes one pass of autograd
    through logarithm and exponential, which are Jacobi fields and their adjoints, and on a flat space the
    Hessian is the identity, so that the first step is the last. Steps follow the curvature that the last one
    has seen (Barzilai and Borwein 1988), and are halved where the sum of squares exceeds all of the last ten.
    It starts from linear regression of the logarithms at the Fréchet mean. The minimum that is reached is
    local; where data wrap around the manifold there can be several. The two points have one shortest path
    between them, so that a geodesic never winds around to pass near the points by chance.

    On spheres all happens in the span of the points; the cost of a step then does not grow with their size.

    References
    ----------
    Fletcher 2013; Barzilai and Borwein 1988.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> depth = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    >>> points = torch.stack([(0.1 * depth).cos(), (0.1 * depth).sin()], -1)
    >>> line = GeodesicRegression(UnitSphere(ndim=1)).fit(depth, points)
    >>> line.slope_norm_, line.r2_
    (0.1000, 1.0000)
    """

    def __init__(self, manifold: Manifold, *, tol: float | None = None, max_iter: int = 500):
        self.manifold = manifold
        self.tol = tol
        self.max_iter = max_iter

    @torch.no_grad()
    def fit(self, covariate: Any, points: Any, *, weights: Any = None) -> GeodesicRegression:
        """
        Find the geodesic.

        The order is that of scikit-learn: first what predicts, then what is predicted.

        Parameters
        ----------
        covariate : array-like, shape (n,) or (n, 1)
            Not constant.
        points : Tensor or array, shape (n, *point)
            At least two.
        weights : array-like, shape (n,), optional
            Nonnegative, not all zero; only their ratios matter.

        Returns
        -------
        GeodesicRegression
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            Fewer than two points, numbers that do not fit, are not finite, or a constant covariate.
        NotOnManifoldError
            Tensors that are not points.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` steps were not enough.
        CutLocusWarning
            Where ``logmap`` does, for example for two antipodal points.
        """
        manifold = self.manifold
        given, t, weights = self._checked(covariate, points, weights)
        # Points without weight have no say.
        heavy = weights > 0
        points, w = given[heavy], weights[heavy]
        s, middle, deviation = _standardized(t[heavy], w)
        small, coordinates, lifted = _in_span(manifold, points)
        tol = _TOLERANCE[points.dtype] if self.tol is None else self.tol

        mean, variance = _mean(small, coordinates, w)
        start = _tangent_fit(small, mean, variance, coordinates, s, w)
        ends, taken, _, _ = _descend(small, start, coordinates, s, w, tol, variance, self.max_iter)
        # In the span there is nothing left to do but for rounding.
        center = manifold.projx(lifted(mean))
        variance = (w * manifold.dist(center, points).square()).sum()
        ends = manifold.projx(lifted(ends))
        ends, more, norm, goal = _descend(manifold, ends, points, s, w, tol, variance, self.max_iter - taken)
        before, after = ends.unbind(0)
        self.intercept_ = manifold.projx(manifold.expmap(before, manifold.logmap(before, after) / 2))
        self.slope_ = manifold.logmap(self.intercept_, after) / deviation
        self.slope_norm_ = float(product(manifold, self.intercept_, self.slope_).sqrt())
        self.covariate_mean_ = float(middle)
        self.residuals_ = manifold.dist(self._along(t - middle), given)
        self.variance_ = float(variance)
        self.r2_ = _explained(float((w * self.residuals_[heavy].square()).sum()), variance, manifold, points)
        self.n_iter_ = taken + more
        self.gradient_norm_ = float(norm)
        self.converged_ = bool(norm <= goal)
        if not self.converged_:
            length = float(manifold.dist(before, after))
            wraps = length > 0.99 * float(getattr(manifold, "diameter", math.inf))
            advice = (
                "the points wrap around the manifold: two standard deviations of the covariate are "
                f"{length:.4g} of the geodesic, and no shortest path is longer. Take a shorter range of the "
                "covariate."
                if wraps
                else "raise max_iter or set tol."
            )
            warn_user(
                f"GeodesicRegression stopped after {self.n_iter_} iterations with gradient norm "
                f"{self.gradient_norm_:.3g} (goal {float(goal):.3g}). The estimate is in intercept_ and "
                f"slope_; {advice}",
                ConvergenceWarning,
            )
        return self

    @torch.no_grad()
    def predict(self, covariate: Any) -> Any:
        """
        Points of the geodesic.

        Parameters
        ----------
        covariate : array-like, shape (q,) or (q, 1)
            In the unit of the covariate that was fitted.

        Returns
        -------
        Tensor or array, shape (q, *point)
            An array if `covariate` is one.
        """
        self._fitted()
        t = _as_covariate(covariate).to(self.intercept_)
        return like(self._along(t - self.covariate_mean_), covariate)

    def score(self, covariate: Any, points: Any, *, weights: Any = None) -> float:
        """
        R2 of the predictions for other points, which is negative where they are worse than the mean of these.

        Parameters
        ----------
        covariate : array-like, shape (q,) or (q, 1)
        points : Tensor or array, shape (q, *point)
        weights : array-like, shape (q,), optional

        Returns
        -------
        float
        """
        self._fitted()
        points, t, weights = self._checked(covariate, points, weights, constant=True)
        residuals = self.manifold.dist(self._along(t - self.covariate_mean_).to(points), points)
        _, variance = _mean(self.manifold, points, weights)
        return _explained(float((weights * residuals.square()).sum()), variance, self.manifold, points)

    @torch.no_grad()
    def permutation_test(
        self,
        covariate: Any,
        points: Any,
        *,
        weights: Any = None,
        n_permutations: int = 999,
        seed: int | torch.Generator = 0,
        restrict: Any = None,
    ) -> TestResult:
        """
        Test of the hypothesis that the points have nothing to do with the covariate.

        Parameters
        ----------
        covariate : array-like, shape (n,) or (n, 1)
        points : Tensor or array, shape (n, *point)
            The data are given again: a fitted estimator keeps no networks. It is not changed.
        weights : array-like, shape (n,), optional
            They stay with the points.
        n_permutations : int
            Random assignments of the values of the covariate to the points; all of them, if there are not
            more than so many.
        seed : int or torch.Generator
        restrict : sequence, length n, optional
            Points change places only with points of the same label.

        Returns
        -------
        TestResult
            Of R2; large values are extreme.

        Warns
        -----
        ConvergenceWarning
            When some of the permuted fits did not reach their tolerance.

        Notes
        -----
        All permutations are fitted together, in blocks of bounded memory, each as carefully as the data as
        they are. On flat spaces the statistic is a quadratic form of the inner products of the points.

        Examples
        --------
        >>> import torch
        >>> from repsim_geo import Flat
        >>> points = torch.tensor([[0.0, 0.1], [1.0, 0.0], [2.0, 0.2], [3.0, 0.0]])
        >>> print(GeodesicRegression(Flat(ndim=1)).permutation_test([1, 2, 3, 4], points))
        statistic 0.994629, p = 0.08333 ± 0 (24 permutations)
        """
        points, t, weights = self._checked(covariate, points, weights)
        counts = weights > 0
        points, t, w = points[counts], t[counts], weights[counts]
        if restrict is not None:
            restrict = as_labels(restrict, len(counts), "restrict")[0][counts.cpu()]
        orders, exact = row_orders(len(points), n_permutations, seed, restrict)
        s, _, _ = _standardized(torch.cat([t[None], t[orders.to(t.device)]]), w)
        r2 = self._r2(points, s, w)
        return judged(float(r2[0]), r2[1:], exact=exact)

    # ------------------------------------------------------------------ steps

    def _along(self, t: Tensor) -> Tensor:
        """Points of the geodesic, at times after the intercept."""
        times = with_axes(t.to(self.intercept_), self.manifold.ndim)
        return self.manifold.projx(self.manifold.expmap(self.intercept_, times * self.slope_))

    def _r2(self, points: Tensor, s: Tensor, w: Tensor) -> Tensor:
        """R2 for every row of standardized covariates (k, n); shape (k)."""
        manifold, points, _ = _in_span(self.manifold, points)
        mean, variance = _mean(manifold, points, w)
        if not float(variance) > float(rounding_of_logs(manifold, points)) ** 2:
            return torch.zeros_like(s[:, 0])
        if getattr(manifold, "flat", False):
            logs = manifold.logmap(mean, points)
            pull = working_precision(w * s)
            return ((pull @ inner_products(manifold, mean, logs, logs)) * pull).sum(-1) / variance
        tol = _TOLERANCE_OF_PERMUTATIONS[points.dtype]
        tol = tol if self.tol is None else max(tol, self.tol)
        block = max(1, _ELEMENTS // points.numel())
        values, missed = [], 0
        for part in s.split(block):
            start = _tangent_fit(manifold, mean, variance, points, part, w)
            ends, _, norm, goal = _descend(manifold, start, points, part, w, tol, variance, self.max_iter)
            values.append(1 - _residual_variance(manifold, ends, points, part, w).value / variance)
            missed += int((norm > goal).sum())
        if missed:
            warn_user(
                f"GeodesicRegression: {missed} of {len(s)} permuted fits did not reach their tolerance in "
                f"{self.max_iter} iterations, so their R2 is a lower bound. Raise max_iter.",
                ConvergenceWarning,
            )
        return torch.cat(values)

    def _checked(
        self, covariate: Any, points: Any, weights: Any, *, constant: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        t = _as_covariate(covariate)  # first, because the two are easily swapped
        points = as_points(self.manifold, points, least=1 if constant else 2)
        check_whole(self.max_iter, "max_iter", 0)
        check_positive(self.tol, "tol", hint="None takes what the dtype allows.", none=True)
        t = t.to(points)
        if len(t) != len(points):
            raise ShapeError(
                f"covariate must have one value for each point: got {len(t)} values and {len(points)} "
                "points. The order is fit(covariate, points)."
            )
        weights = as_weights(weights, points, self.manifold.ndim)
        seen = t[weights > 0]
        if not constant and not bool(
            seen.max() - seen.min() > 8 * torch.finfo(t.dtype).eps * seen.abs().max()
        ):
            raise ValueError(
                f"covariate must not be constant, got {float(seen[0]):.6g} for all points (of positive "
                "weight). Without differences there is no slope; FrechetMean finds the mean."
            )
        return points, t, weights


def _as_covariate(covariate: Any) -> Tensor:
    """Numbers (n,)."""
    t = as_numbers(covariate, "covariate")
    if t.dim() == 2 and t.shape[1] == 1:
        t = t[:, 0]
    if t.dim() != 1:
        raise ShapeError(
            f"covariate must be real numbers of shape (n,) or (n, 1), got {t.dtype} of shape "
            f"{tuple(t.shape)}. Fit one covariate at a time; the order is fit(covariate, points)."
        )
    if not bool(t.isfinite().all()):
        raise ValueError("covariate must be finite, got nan or infinity. Leave these points out.")
    return t


def _standardized(t: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Covariate with weighted mean 0 and variance 1, and what its mean and standard deviation were."""
    mean = (w * t).sum(-1, keepdim=True)
    s = t - mean
    deviation = (w * s.square()).sum(-1, keepdim=True).sqrt()
    return s / deviation, mean.squeeze(-1), deviation.squeeze(-1)


def _mean(manifold: Manifold, points: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    mean = FrechetMean(manifold).fit(points, w)
    return mean.mean_, mean.variance_


def _explained(residual: float, variance: Tensor, manifold: Manifold, points: Tensor) -> float:
    """R2; 0 where the points vary no more than rounding does."""
    total = float(variance)
    return 1 - residual / total if total > float(rounding_of_logs(manifold, points)) ** 2 else 0.0


def _in_span(manifold: Manifold, points: Tensor) -> tuple[Manifold, Tensor, Any]:
    """
    Sphere of the span of the points, their coordinates in it, and the way back.

    Great circles that are nearest to points lie in their span. Elsewhere nothing changes.
    """
    if not getattr(manifold, "spherical", False) or points[0].numel() <= len(points):
        return manifold, points, lambda x: x
    basis, coordinates = in_span(points)
    shape = points.shape[1:]
    return (
        UnitSphere(1),
        coordinates,
        lambda x: (x.to(basis) @ basis.mT).unflatten(-1, shape).to(points),
    )


# ---------------------------------------------------------------------- the minimization

# A geodesic is given by `ends`, shape (*batch, 2, *point): its points one standard deviation before and
# after the mean of the covariate. `s`, shape (*batch, n), is the standardized covariate; `w`, shape (n,),
# are the weights.


class _State(NamedTuple):
    """Residual variance (*batch) of geodesics, and its Riemannian gradient with respect to their ends."""

    value: Tensor
    gradient: Tensor


def _residual_variance(manifold: Manifold, ends: Tensor, points: Tensor, s: Tensor, w: Tensor) -> _State:
    """
    ``sum w d(y, g(s))^2`` for the geodesic g through the ends.

    The distance needs no derivative of its own: by the first variation formula its gradient is the logarithm,
    which is pulled back to the ends.
    """
    ndim = manifold.ndim
    axis = -ndim - 1
    with torch.enable_grad():
        free = ends.detach().requires_grad_()
        before, after = free.unbind(axis)
        velocity = manifold.logmap(before, after)
        times = with_axes((1 + s) / 2, ndim)
        at = manifold.expmap(before.unsqueeze(axis), times * velocity.unsqueeze(axis))
    here = at.detach()
    logs = manifold.logmap(here, points)
    value = (w * product(manifold, here, logs)).sum(-1)
    (pull,) = torch.autograd.grad(at, free, -2 * with_axes(w, ndim) * covectors(manifold, here, logs))
    return _State(value, manifold.egrad2rgrad(ends, pull))


def _tangent_fit(
    manifold: Manifold, mean: Tensor, variance: Tensor, points: Tensor, s: Tensor, w: Tensor
) -> Tensor:
    """Ends from linear regression of the logarithms at the mean; twice the mean where that is better."""
    ndim = manifold.ndim
    logs = manifold.logmap(mean, points)
    slope = torch.tensordot(w * s, logs, 1)
    ends = manifold.retr(mean, torch.stack((-slope, slope), -ndim - 1))
    value = _residual_variance(manifold, ends, points, s, w).value
    return torch.where(with_axes(value <= variance, ndim + 1), ends, mean)


def _descend(
    manifold: Manifold,
    ends: Tensor,
    points: Tensor,
    s: Tensor,
    w: Tensor,
    tol: float,
    variance: Tensor,
    max_iter: int,
) -> tuple[Tensor, int, Tensor, Tensor]:
    """
    Gradient steps until the norm of the gradient is small in every batch.

    Returns ends, number of steps, gradient norms (*batch), and the norm that was to be reached.
    """
    ndim = manifold.ndim
    goal = tol * variance.sqrt() + rounding_of_logs(manifold, points)
    slack = 1 + 64 * torch.finfo(points.dtype).eps
    state = _residual_variance(manifold, ends, points, s, w)
    size, recent, taken = torch.ones_like(state.value), [state.value], 0

    def norm(x: Tensor, u: Tensor, v: Tensor | None = None) -> Tensor:
        return product(manifold, x, u, v).sum(-1)

    while taken < max_iter and not bool((norm(ends, state.gradient).sqrt() <= goal).all()):
        step = -with_axes(size, ndim + 1) * state.gradient
        trial = manifold.retr(ends, step)
        new = _residual_variance(manifold, trial, points, s, w)
        better = new.value <= torch.stack(recent).amax(0) * slack
        # Barzilai and Borwein: the step that would have been right for the change of the gradient.
        moved, old = manifold.proju(trial, step), manifold.proju(trial, state.gradient)
        bent = norm(trial, moved, new.gradient - old)
        fitted = norm(trial, moved) / torch.where(bent > 0, bent, 1.0)
        fitted = torch.where(bent > 0, fitted, 1.0).clamp(1e-6, 100)
        size = torch.where(better, fitted, torch.where(size > 1, 1.0, size / 2))
        accepted = with_axes(better, ndim + 1)
        ends = torch.where(accepted, trial, ends)
        state = _State(
            torch.where(better, new.value, state.value),
            torch.where(accepted, new.gradient, state.gradient),
        )
        recent, taken = [*recent, state.value][-_MEMORY:], taken + 1
    return ends, taken, norm(ends, state.gradient).sqrt(), goal
