"""The Fréchet mean: the point with the least sum of squared distances to the data."""

from __future__ import annotations

import math
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.norms import with_axes
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.stats.congruence import mean_by_congruence
from repsim_geo.stats.descent import BatchedVariance, Variance, best_point, descend
from repsim_geo.stats.distances import as_symmetric
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.points import as_numbers, as_points, as_weights, check_positive, check_whole
from repsim_geo.stats.span import mean_in_span

# Gradient norms below these are rounding, relative to the spread of the data.
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}

# Most columns of shapes at full width, and how near their mean has to be found, to start from.
_WIDEST = 256
_NEAR_ENOUGH = 1e-4
# Data points to start from besides, where no theorem says that there is one mean only.
_STARTS = 8
# Steps in the span of the data; where curvature is hardly positive the general search is faster.
_IN_SPAN = 20


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
    n_seen_ : int
        After ``partial_fit`` only: points so far.
    coefficients_ : Tensor, shape (n,)
        After ``fit_cosines`` only, in place of ``mean_``.

    Notes
    -----
    Newton's method, with the Hessian of the manifold where it has one (all of ours but Gaussian shapes),
    after steps of the Karcher flow ``x <- exp_x(s * mean of log_x(points))``. On spheres the mean lies in the
    span of the data, and all follows from their n x n inner products, whatever the size of a point; on spaces
    without positive curvature Newton's method begins at once; elsewhere near a minimum. Newton steps that
    raise the variance are taken back; the step s of the flow follows the curvature that the last one has seen
    (Barzilai and Borwein 1988), and is halved when the variance exceeds all of the last ten. All logarithms
    are computed in one batch. In flat spaces the first step is exact.

    Shapes of networks that have little in common have several local means, far from each other and slow to
    reach; ``unique_`` and the warning tell. At full width, ``SizeAndShape(p=m - 1)``, the variance is a
    convex function of the Gram matrix, so that a mean of full rank is the only one (Agueh and Carlier 2011);
    embedding it with a metric of smaller p keeps its principal axes.

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
        problem = Variance(self.manifold, points, weights)
        start = self._in_coordinates(problem, tol)
        # The span is not precise enough for clusters as tight as the rounding of their inner products, and
        # for points near an antipode.
        if start is None or not self.converged_:
            start = self._start(points, weights) if start is None else start
            mean, more = descend(problem, start, tol, self.max_iter - self.n_iter_)
            self.n_iter_ += more
            self._certify(self.manifold.projx(mean), problem, tol)
        if isinstance(self.init, str) and self.init == "medoid" and self._doubtful(problem):
            other, more = descend(problem, self._better_start(problem), tol, self.max_iter - self.n_iter_)
            better = problem.look(other)[0] < self.variance_ * (1 - 1e-9)
            if bool(better.any()):
                self.n_iter_ += more
                mean = torch.where(with_axes(better, self.manifold.ndim), other, self.mean_)
                self._certify(self.manifold.projx(mean), problem, tol)
        self._warn_unless_converged(problem, tol)
        return self

    @torch.no_grad()
    def fit_batches(self, batches: Any) -> FrechetMean:
        """
        Find the mean of more points than fit in memory: the exact one, in several passes.

        Parameters
        ----------
        batches : iterable, or callable that returns one
            Of stacks (n_i, *point). It is gone through once for every step and twice more, so that a
            generator must be wrapped in a function.

        Returns
        -------
        FrechetMean
            Itself, with the same attributes as after ``fit``.

        Raises
        ------
        ShapeError, TypeError, ValueError, NotOnManifoldError

        Warns
        -----
        ConvergenceWarning

        Notes
        -----
        Every pass adds up the logarithms of all points. The search is the Karcher flow with fitted steps,
        from the mean of the first batch.

        Examples
        --------
        >>> import torch
        >>> from repsim_geo import Flat
        >>> batches = [torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0]])]
        >>> FrechetMean(Flat(ndim=1)).fit_batches(batches).mean_
        tensor([2.])
        """
        self._check_search()
        problem = BatchedVariance(self.manifold, batches)
        tol = _TOLERANCE[problem.first.dtype] if self.tol is None else self.tol
        equal = as_weights(None, problem.first, self.manifold.ndim)
        start = self._start(problem.first, equal)
        start, _ = descend(Variance(self.manifold, problem.first, equal), start, 1e-3, self.max_iter)
        mean, self.n_iter_ = descend(problem, start, tol, self.max_iter)
        self._certify(self.manifold.projx(mean), problem, tol)
        self._warn_unless_converged(problem, tol)
        return self

    @torch.no_grad()
    def fit_cosines(self, cosines: Any, weights: Any = None) -> FrechetMean:
        """
        Find a mean on a sphere from the inner products of the points alone, without forming a point.

        Parameters
        ----------
        cosines : Tensor or ndarray, shape (n, n)
            Inner products of unit vectors, such as ``pairwise(networks, "angular_cka").cos()``.
        weights : array-like, shape (n,), optional

        Returns
        -------
        FrechetMean
            Itself, with all attributes but ``mean_``, and with ``coefficients_``, shape (n,): the mean is the
            sum of the points with these factors, which `combine` forms.

        Raises
        ------
        TypeError
            The manifold is no sphere.
        ShapeError, ValueError
            Not a matrix of cosines.

        Warns
        -----
        ConvergenceWarning

        Notes
        -----
        Points nearer to each other than 1e-7 radians cannot be told apart by their cosines.

        Examples
        --------
        >>> import torch
        >>> from repsim_geo import UnitSphere
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> mean = FrechetMean(UnitSphere(ndim=1)).fit_cosines(x @ x.T)
        >>> mean.combine(x)
        tensor([0.7071, 0.7071])
        """
        manifold: Any = self.manifold
        if not getattr(manifold, "spherical", False) or hasattr(manifold, "scale"):
            raise TypeError(
                f"fit_cosines is for spheres such as AngularCKA(), got {manifold}. Use fit with points."
            )
        values, basis = spectrum(as_symmetric(cosines, "cosines"))
        if bool((values[0] < -1e-6 * values[-1]).any()):
            raise ValueError(
                f"cosines must be inner products of unit vectors, got a matrix with eigenvalue "
                f"{float(values[0]):.3g}. Angles of AngularCKA() without debiasing give one."
            )
        root = values.clamp_min(0).sqrt()
        # Unit vectors with the same inner products, as long as there are points.
        sphere = UnitSphere(ndim=1)
        inside = FrechetMean(sphere, tol=self.tol, max_iter=self.max_iter, init=self.init)
        inside.fit(sphere.projx(basis * root), weights)
        present = root > 1e-7 * root[-1]
        inverse = torch.where(present, 1.0, 0.0) / torch.where(present, root, 1.0)
        self.coefficients_ = basis @ (inverse * inside.mean_)
        for name, value in vars(inside).items():
            if name.endswith("_") and name != "mean_":
                setattr(self, name, value)
        return self

    def combine(self, points: Any) -> Tensor:
        """
        The mean as a point, after ``fit_cosines``.

        Parameters
        ----------
        points : Tensor or ndarray, shape (n, *point)
            In the order of the cosines.

        Returns
        -------
        Tensor, shape (*point)
        """
        self._fitted()
        points = as_points(self.manifold, points)
        c = with_axes(self.coefficients_.to(points), self.manifold.ndim)
        return self.manifold.projx((c * points).sum(0))

    @torch.no_grad()
    def partial_fit(self, points: Any, y: Any = None) -> FrechetMean:
        """
        Move the mean towards more points, once, and forget them.

        Parameters
        ----------
        points : Tensor or ndarray, shape (n, *point)
            A single network is a stack of one.
        y : None
            Ignored.

        Returns
        -------
        FrechetMean
            Itself, with ``mean_`` and ``n_seen_``, the number of points so far. There is no certificate.

        Notes
        -----
        The step is ``exp_mean(sum of log_mean(points) / n_seen)``. Exact in flat spaces; elsewhere biased,
        and the result depends on the order of the points. `fit_batches` has no bias.

        Examples
        --------
        >>> import torch
        >>> from repsim_geo import Flat
        >>> mean = FrechetMean(Flat(ndim=1))
        >>> for x in (0.0, 1.0, 5.0):
        ...     mean = mean.partial_fit(torch.tensor([[x]]))
        >>> mean.mean_, mean.n_seen_
        (tensor([2.]), 3)
        """
        points = as_points(self.manifold, points)
        n = points.shape[0]
        seen = getattr(self, "n_seen_", 0)
        if seen == 0:
            self.mean_ = FrechetMean(self.manifold, tol=self.tol, max_iter=self.max_iter).fit(points).mean_
        else:
            pull = self.manifold.logmap(self.mean_.unsqueeze(0), points).sum(0)
            self.mean_ = self.manifold.projx(self.manifold.expmap(self.mean_, pull / (seen + n)))
        self.n_seen_ = seen + n
        return self

    def _checked(self, points: Any, weights: Any) -> tuple[Tensor, Tensor]:
        points = as_points(self.manifold, points, batched=True)
        ndim = self.manifold.ndim
        self._check_search()
        given, weights = weights, as_weights(weights, points, ndim)
        if given is None:
            return points, weights
        # A point without weight has no say: the heaviest one takes its place.
        heaviest = _take(points, weights.expand(points.shape[: points.dim() - ndim]).argmax(-1), ndim)
        return torch.where(with_axes(weights > 0, ndim), points, heaviest.unsqueeze(-ndim - 1)), weights

    def _check_search(self) -> None:
        check_whole(self.max_iter, "max_iter", 0, hint="100 steps are enough for most.")
        check_positive(self.tol, "tol", hint="None takes what the dtype allows.", none=True)

    def _start(self, points: Tensor, weights: Tensor) -> Tensor:
        axis = -self.manifold.ndim - 1
        first = points.select(axis, 0)
        if not isinstance(self.init, str):
            start = as_numbers(self.init, "init").to(points)
            fits = (
                start.dim() >= self.manifold.ndim and start.shape == first.shape[first.dim() - start.dim() :]
            )
            if not fits or not bool(start.isfinite().all()):
                raise ShapeError(
                    f"init must be a finite point of shape {tuple(first.shape)}, got {tuple(start.shape)}. "
                    "Or use init='medoid'."
                )
            return start.expand_as(first)
        if self.init == "first":
            return first
        if self.init == "medoid":
            return self._good_start(points, weights)
        raise ValueError(
            f"init must be 'medoid', 'first' or a point, got {self.init!r}. Leave it out for 'medoid'."
        )

    def _good_start(self, points: Tensor, weights: Tensor) -> Tensor:
        rough = getattr(self.manifold, "rough_mean", lambda *_: None)(points, weights)
        return best_point(self.manifold, points, weights, 2) if rough is None else rough

    def _in_coordinates(self, problem: Variance, tol: float) -> Tensor | None:
        """The mean, certified, by way of coordinates that some manifolds have; None where there are none."""
        manifold: Any = self.manifold
        points, weights = problem.points, problem.weights
        good_start = isinstance(self.init, str) and self.init == "medoid"
        self.n_iter_ = 0
        if getattr(manifold, "congruent", False):
            start = None if good_start else self._start(points, weights)
            found = mean_by_congruence(points, weights, start, tol, problem.rounding, self.max_iter)
            if found is None:
                return None
            self.n_iter_ = found.n_iter
            # A Scaled space has other lengths, and a mean in float32 is not where the search ended.
            same = points.dtype == torch.float64 and not hasattr(manifold, "scale")
            self._certify(found.mean, problem, tol, (found.distances, found.gradient_norm) if same else None)
            return found.mean
        if getattr(manifold, "spherical", False) and good_start:
            steps = min(self.max_iter, _IN_SPAN)
            mean, self.n_iter_ = mean_in_span(points, weights, manifold.ndim, tol, steps)
            if mean is not None:
                mean = manifold.projx(mean)
                self._certify(mean, problem, tol)
            return mean
        return None

    def _doubtful(self, problem: Variance) -> bool:
        """Whether there may be a better mean elsewhere, and time to look for it."""
        manifold: Any = self.manifold
        if self.unique_ or not self.converged_ or self.n_iter_ >= self.max_iter:
            return False
        # On spheres the search began at the best of all points and their average.
        if getattr(manifold, "spherical", False) or not hasattr(manifold, "uniqueness_radius"):
            return False
        if getattr(manifold, "pads", False):
            return bool(manifold.wants_columns(self.mean_, problem.points, problem.weights).any())
        return True

    def _better_start(self, problem: Variance) -> Tensor:
        """
        The best of several rough means.

        From some data points, of permutations also from between two of them, and of shapes from full width:
        shapes of few columns have many local means, those of full width hardly any: the principal axes of
        that one are near the best mean of few columns.
        """
        manifold: Any = self.manifold
        points, weights, ndim = problem.points, problem.weights, manifold.ndim
        n = points.shape[-ndim - 1]
        chosen = torch.arange(0, n, -(-n // _STARTS), device=points.device)
        starts = points.movedim(-ndim - 1, 0)[chosen]
        if getattr(getattr(manifold, "action", None), "finite", False):
            # Every order of the units has a mean of its own; those of two networks are tried besides.
            i, j = torch.triu_indices(len(starts), len(starts), 1, device=points.device)
            starts = torch.cat([starts, manifold.geodesic(0.5, starts[i], starts[j])])
        if getattr(manifold, "pads", False):
            m, p = points.shape[-2:]
            width = min(m - 1, n * p)
            if p < width <= _WIDEST:
                wide = manifold.with_columns(points, width)
                start = manifold.with_columns(manifold.rough_mean(wide, weights), width)
                start, _ = descend(Variance(manifold, wide, weights), start, _NEAR_ENOUGH, self.max_iter)
                starts = torch.cat([starts, manifold.with_columns(start, p)[None]])
        several = Variance(manifold, points.expand(len(starts), *points.shape), weights)
        starts, _ = descend(several, starts, _NEAR_ENOUGH, self.max_iter)
        best = with_axes(several.look(starts)[0].argmin(0, keepdim=True), ndim)
        return starts.take_along_dim(best, 0)[0]

    def _certify(
        self, mean: Tensor, problem: Variance, tol: float, seen: tuple[Tensor, Tensor] | None = None
    ) -> None:
        """
        Judge the mean by distances and gradient norm, the manifold's own or equally exact ones.

        Those are `seen`: what the search ended with.
        """
        manifold = self.manifold
        self.mean_ = mean
        distances, self.gradient_norm_ = problem.judge(mean) if seen is None else seen
        self.variance_ = (problem.weights * distances.square()).sum(-1)
        self.radius_ = distances.amax(-1)
        self.converged_ = bool((self.gradient_norm_ <= problem.goal(self.variance_, tol)).all())
        # What is computed as the gradient has rounding of its own.
        gradient_norm = self.gradient_norm_ + problem.rounding
        self.error_bound_ = _error_bound(manifold, mean, distances, problem.weights, gradient_norm)
        radius = getattr(manifold, "uniqueness_radius", None)
        proven = self.converged_ and radius is not None and bool((self.radius_ < radius(mean)).all())
        self.unique_ = True if proven else None

    def _warn_unless_converged(self, problem: Variance, tol: float) -> None:
        if not self.converged_:
            worst = float((self.gradient_norm_ / problem.goal(self.variance_, tol)).max())
            warn_user(
                f"FrechetMean stopped after {self.n_iter_} iterations with gradient norm "
                f"{float(self.gradient_norm_.max()):.3g}, {worst:.3g} times the tolerance. "
                "The estimate is in mean_; raise max_iter or set tol.",
                ConvergenceWarning,
            )


def _take(points: Tensor, index: Tensor, ndim: int) -> Tensor:
    """Point number `index` of every population."""
    return points.take_along_dim(with_axes(index, ndim + 1), -ndim - 1).squeeze(-ndim - 1)


def _error_bound(
    manifold: Manifold, mean: Tensor, distances: Tensor, weights: Tensor, gradient: Tensor
) -> Tensor:
    """Distance to the true mean, from a Hessian bounded below on a ball that contains it."""
    convexity = getattr(manifold, "distance_convexity", None)
    if convexity is None:
        return torch.full_like(gradient, math.inf)
    center = mean.unsqueeze(-manifold.ndim - 1)

    def hessian(slack: Tensor) -> Tensor:
        return (weights * convexity(center, distances + slack[..., None])).sum(-1)

    # The bound must hold on a ball that contains the minimum: try the ball of twice the first guess.
    here_convex = hessian(torch.zeros_like(gradient))
    ball = 2 * gradient / here_convex
    convex = hessian(ball.clamp_min(0))
    bound = gradient / convex
    return torch.where((here_convex > 0) & (convex > 0) & (bound <= ball), bound, math.inf)
