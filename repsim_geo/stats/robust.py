"""Centers that a few strange networks cannot move far: the Fréchet median and the trimmed mean."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning
from repsim_geo.manifolds.lengths import length, product
from repsim_geo.numerics.norms import with_axes
from repsim_geo.stats.descent import Hessian, Variance, best_point, descend, weighted
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import as_points, as_weights, check_positive, check_whole

_TOLERANCE = {torch.float64: 1e-11, torch.float32: 1e-5}
# Directions that span less than this besides the first one lie on one geodesic.
_ALIGNED = 1e-6


class FrechetMedian(Estimator):
    """
    Fréchet median (geometric median): the point with the least sum of distances to the data.

    Half of the points must be moved to move it without bound; the mean follows a single one.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``dist`` and ``inner``.
    tol : float, optional
        Gradient norm at which to stop; dimensionless, of a sum of unit vectors. Default 1e-11 in float64 and
        1e-5 in float32.
    max_iter : int

    Attributes
    ----------
    median_ : Tensor, shape (*batch, *point)
    n_iter_ : int
    converged_ : bool
    gradient_norm_ : Tensor, shape (*batch)
        Length of the weighted sum of unit vectors towards the data, less the weight of a point that the
        median coincides with, not below zero. Dimensionless; zero at a median.
    deviation_ : Tensor, shape (*batch)
        Weighted mean of the distances. Unit of the distance.
    unique_ : True or None
        True when a theorem says that these data have only one median.

    Notes
    -----
    The distance has a kink at the data. So first the best point of the data is tested: it is a median if the
    other points pull with no more than its own weight. Otherwise the search starts below it, where no kink
    can be met again, with steps of Weiszfeld's algorithm ``x <- exp_x(sum w log / d over sum w / d)`` and
    then Newton's method.

    Unique for data that do not lie on one geodesic, everywhere without positive curvature, and otherwise if
    their diameter is below the radius that makes means unique (Fletcher et al. 2009). Two points have all
    points between them as medians.

    References
    ----------
    Fletcher, Venkatasubramanian and Joshi 2009; Vardi and Zhang 2000; Weiszfeld 1937.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> points = torch.tensor([[0.0], [1.0], [100.0]])
    >>> FrechetMedian(Flat(ndim=1)).fit(points).median_
    tensor([1.])
    """

    def __init__(self, manifold: Manifold, *, tol: float | None = None, max_iter: int = 200):
        self.manifold = manifold
        self.tol = tol
        self.max_iter = max_iter

    @torch.no_grad()
    def fit(self, points: Any, weights: Any = None) -> FrechetMedian:
        """
        Find the median.

        Parameters
        ----------
        points : Tensor or ndarray, shape (*batch, n, *point)
        weights : array-like, shape (n,) or (*batch, n), optional
            Nonnegative, not all zero; only their ratios matter.

        Returns
        -------
        FrechetMedian
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError, NotOnManifoldError

        Warns
        -----
        ConvergenceWarning
        """
        points = as_points(self.manifold, points, batched=True)
        weights = as_weights(weights, points, self.manifold.ndim)
        weights = weights.expand(points.shape[: points.dim() - self.manifold.ndim])
        check_whole(self.max_iter, "max_iter", 0, hint="200 steps are enough for most.")
        check_positive(self.tol, "tol", hint="None takes what the dtype allows.", none=True)
        tol = _TOLERANCE[points.dtype] if self.tol is None else self.tol
        problem = _Deviation(self.manifold, points, weights)
        start = problem.start()
        x, self.n_iter_ = descend(problem, start, tol, self.max_iter)
        x = self.manifold.projx(x)
        self.median_ = torch.where(with_axes(problem.settled, self.manifold.ndim), start, x)
        self.deviation_, pull = problem.look(self.median_)
        excess = length(self.manifold, self.median_, pull) * problem.rate(self.median_)
        self.gradient_norm_ = torch.where(problem.settled, 0.0, excess)
        goal = problem.goal(self.deviation_, tol) * problem.rate(self.median_)
        self.converged_ = bool((problem.settled | (excess <= goal)).all())
        self.unique_ = True if self.converged_ and problem.unique(self.median_) else None
        if not self.converged_:
            warn_user(
                f"FrechetMedian stopped after {self.n_iter_} iterations with gradient norm "
                f"{float(self.gradient_norm_.max()):.3g}. The estimate is in median_; raise max_iter or set "
                "tol.",
                ConvergenceWarning,
            )
        return self


class _Deviation(Variance):
    """Weighted mean of the distances; its gradient is divided by ``sum w / d``, which makes it a length."""

    def __init__(self, manifold: Manifold, points: Tensor, weights: Tensor):
        super().__init__(manifold, points, weights)
        self.settled = weights.new_zeros(weights.shape[:-1], dtype=torch.bool)

    def start(self) -> Tensor:
        """The best data point if it is a median, else a point below it."""
        manifold, ndim = self.manifold, self.manifold.ndim
        medoid = best_point(manifold, self.points, self.weights, 1)
        distances = self.distances(medoid)
        here = distances <= self.rounding[..., None]
        _, pull = self.look(medoid)
        strength = length(manifold, medoid, pull) * self.rate(medoid)
        own = (self.weights * here).sum(-1)
        self.settled = strength <= own
        # As far as Weiszfeld's step, less what holds the point back (Vardi and Zhang 2000).
        share = torch.where(self.settled, 0.0, 1 - own / torch.where(strength > 0, strength, 1.0))
        return manifold.expmap(medoid, with_axes(share, ndim) * pull)

    def goal(self, value: Tensor, tol: float) -> Tensor:
        return torch.where(self.settled, math.inf, tol * value + self.rounding)

    def unit(self, value: Tensor) -> Tensor:
        return torch.where(value > 0, value, 1.0)

    def rate(self, x: Tensor) -> Tensor:
        """``sum w / d``, over the points that are not at x."""
        return self._rates(self.distances(x)).sum(-1)

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._pulled(self.manifold.logmap(self._center(x), self.points), self.distances(x))

    def look_twice(self, x: Tensor) -> tuple[Tensor, Tensor, Hessian]:
        manifold: Any = self.manifold
        center, distances = self._center(x), self.distances(x)
        logs, squared = manifold.log_and_hessian(center, self.points)
        rates = self._rates(distances)
        total = rates.sum(-1, keepdim=True)
        inverse2 = torch.where(distances > 0, 1 / torch.where(distances > 0, distances, 1.0).square(), 0.0)

        def hessian(u: Tensor) -> Tensor:
            # The distance does not bend along its own gradient.
            along = product(manifold, center, logs, self._center(u).expand_as(logs)) * inverse2
            across = squared(self._center(u)) - with_axes(along, manifold.ndim) * logs
            return weighted(across, rates / total, manifold.ndim)

        return *self._pulled(logs, distances), hessian

    def _rates(self, distances: Tensor) -> Tensor:
        apart = distances > self.rounding[..., None]
        return torch.where(apart, self.weights / torch.where(apart, distances, 1.0), 0.0)

    def _pulled(self, logs: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        rates = self._rates(distances)
        total = rates.sum(-1, keepdim=True)
        pull = weighted(logs, rates / torch.where(total > 0, total, 1.0), self.manifold.ndim)
        return (self.weights * distances).sum(-1), pull

    def unique(self, x: Tensor) -> bool:
        """Whether the data are near enough to each other, and not on one geodesic."""
        radius = getattr(self.manifold, "uniqueness_radius", None)
        distances = self.distances(x)
        if radius is None or not bool((2 * distances.amax(-1) < radius(x)).all()):
            return False
        center = self._center(x)
        logs = self.manifold.logmap(center, self.points)
        apart = (distances > self.rounding[..., None]) & (self.weights > 0)
        unit = logs / with_axes(torch.where(apart, distances, math.inf), self.manifold.ndim)
        axis = -self.manifold.ndim - 1
        rows, columns = torch.broadcast_tensors(unit.unsqueeze(axis), unit.unsqueeze(axis - 1))
        between = product(self.manifold, center.unsqueeze(axis), rows, columns)
        spread = torch.linalg.eigvalsh(between)
        coincident = ((self.weights * ~apart).sum(-1) > 0.5) | (apart.sum(-1) == 0)
        several = spread[..., -2] > _ALIGNED if spread.shape[-1] > 1 else torch.zeros_like(coincident)
        return bool((coincident | several).all())


class TrimmedMean(Estimator):
    """
    Fréchet mean of the points that are nearest to it: the farthest share is left out.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `FrechetMean` and `FrechetMedian` need.
    trim : float
        Share of the points to leave out, from 0 (the Fréchet mean) to below 1/2.
    max_iter : int
        Rounds of leaving out and averaging.

    Attributes
    ----------
    mean_ : Tensor, shape (*point)
    kept_ : Tensor, shape (n,), bool
        Points that count.
    variance_ : Tensor, shape ()
        Mean of the squared distances of these.
    n_iter_ : int
    converged_ : bool
        Whether the points that count are those nearest to the mean, and their mean was found.

    Notes
    -----
    Starts at the Fréchet median. Every round takes the mean of the nearest points, and can only lower the sum
    of their squared distances, so that it ends (the concentration steps of least trimmed squares, Rousseeuw
    and Van Driessen 2006); possibly at a local minimum.

    References
    ----------
    Rousseeuw and Van Driessen 2006.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> points = torch.tensor([[0.0], [1.0], [2.0], [3.0], [100.0]])
    >>> TrimmedMean(Flat(ndim=1), trim=0.2).fit(points).mean_
    tensor([1.5000])
    """

    def __init__(self, manifold: Manifold, *, trim: float = 0.1, max_iter: int = 50):
        self.manifold = manifold
        self.trim = trim
        self.max_iter = max_iter

    @torch.no_grad()
    def fit(self, points: Any, y: Any = None) -> TrimmedMean:
        """
        Find the points that count, and their mean.

        Parameters
        ----------
        points : Tensor or ndarray, shape (n, *point)
        y : None
            Ignored.

        Returns
        -------
        TrimmedMean
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError, NotOnManifoldError

        Warns
        -----
        ConvergenceWarning
        """
        points = as_points(self.manifold, points)
        if not (isinstance(self.trim, Real) and 0 <= self.trim < 0.5):
            raise ValueError(f"trim must be a share from 0 to below 0.5, got {self.trim!r}. 0.1 is usual.")
        check_whole(self.max_iter, "max_iter", 0, hint="50 rounds are enough for most.")
        n = points.shape[0]
        count = n - math.floor(n * float(self.trim))
        kept = self._nearest(FrechetMedian(self.manifold).fit(points).median_, points, count)
        stable = False
        for n_iter in range(1, max(1, self.max_iter) + 1):
            self.n_iter_ = n_iter
            mean = FrechetMean(self.manifold).fit(points[kept])
            self.mean_, self.kept_, self.variance_ = mean.mean_, kept, mean.variance_
            kept = self._nearest(mean.mean_, points, count)
            stable = bool((kept == self.kept_).all())
            self.converged_ = stable and mean.converged_
            if stable:
                break
        if not stable:
            warn_user(
                f"TrimmedMean still changed its points after {self.n_iter_} rounds. The last mean is in "
                "mean_; raise max_iter.",
                ConvergenceWarning,
            )
        return self

    def _nearest(self, center: Tensor, points: Tensor, count: int) -> Tensor:
        nearest = torch.zeros(points.shape[0], dtype=torch.bool, device=points.device)
        nearest[self.manifold.dist(center, points).argsort(stable=True)[:count]] = True
        return nearest
