"""
Paths of different numbers of layers, compared by coupling their layers in order; and their mean.

A coupling of paths with k and n points is a staircase of pairs (i, j) from (0, 0) to (k - 1, n - 1), in which
each pair advances in one of the paths or in both. Dynamic time warping takes the one with the least sum of
distances, the discrete Fréchet distance the one with the least maximum.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor
from torch.nn.functional import pad

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.manifolds.paths import path_axis
from repsim_geo.numerics.norms import safe_sqrt, with_axes
from repsim_geo.stats.distances import between
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.layer_paths import as_even_paths, as_paths
from repsim_geo.stats.points import as_weights, check_whole


@dataclass(frozen=True)
class Warping:
    """
    The cheapest coupling of two paths.

    Attributes
    ----------
    distance : Tensor, shape (*batch)
        What it costs.
    coupling : Tensor, shape (*batch, k, n), bool
        Which points are coupled: point i of the first path and point j of the second.
    """

    distance: Tensor
    coupling: Tensor

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Coupled pairs of one warping, in order."""
        if self.coupling.dim() != 2:
            raise ShapeError(
                f"pairs are listed for one pair of paths, got a batch of shape "
                f"{tuple(self.distance.shape)}. Take the entry you want from coupling, and its nonzero()."
            )
        # The order of the rows of a staircase is that of its steps.
        return [(i, j) for i, j in self.coupling.nonzero().tolist()]


def dynamic_time_warping(
    manifold: Manifold, a: Tensor, b: Tensor, *, squared: bool = False, diagonal: float = 1.0
) -> Warping:
    """
    Least sum of distances between coupled points of two paths.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``; uses ``cdist``.
    a : Tensor, shape (*batch, k, *point)
    b : Tensor, shape (*batch, n, *point)
    squared : bool
        Take the root of the least sum of squared distances instead, as `WarpedMeanPath` does.
    diagonal : float
        Weight of the pairs that are reached by a step in both paths at once (the first pair is one of them).
        With 1 every pair counts once. With 2, the symmetric form of Sakoe and Chiba, the weights add up to
        k + n whatever the coupling, so that ``distance / (k + n)`` is a mean.

    Returns
    -------
    Warping
        Distance in the unit of the manifold, and coupling. The gradient of the distance is that at the best
        coupling held fixed (envelope theorem); it jumps where two couplings cost the same.

    Raises
    ------
    TypeError, ShapeError
        Not paths.
    ValueError
        `diagonal` is not positive.

    Notes
    -----
    Not a metric. A path and the same path with a layer repeated are at distance zero; and the triangle
    inequality fails: on the line, 0 1 2 is at distance 0 from 0 1 1 2 and 1 from 0 2 2, which are 2 apart.
    Use `discrete_frechet_distance` where an inequality is needed. The distance grows with the number of
    layers.

    Of couplings with equal costs that is returned which, read from the end, first steps in both paths, else
    in `a`. Costs are equal here if their sums are, to the last digit.
    A nan in a layer makes the distance of its path nan.

    Time k n, in k + n - 1 steps: cells of an anti-diagonal, of all pairs in the batch, are computed at once.

    References
    ----------
    Sakoe and Chiba 1978.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> a, b = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([[0.0], [5.0]])
    >>> warping = dynamic_time_warping(Flat(ndim=1), a, b)
    >>> warping.distance, warping.pairs
    (tensor(2.), [(0, 0), (1, 0), (2, 1)])
    """
    return _time_warping(_all_distances(manifold, a, b), None, squared, diagonal)


def discrete_frechet_distance(manifold: Manifold, a: Tensor, b: Tensor) -> Warping:
    """
    Least maximum of the distances between coupled points of two paths.

    How long the leash must be if a dog runs through the points of one path and its owner through those of the
    other, neither ever going back.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``; uses ``cdist``.
    a : Tensor, shape (*batch, k, *point)
    b : Tensor, shape (*batch, n, *point)

    Returns
    -------
    Warping
        Distance in the unit of the manifold, and a coupling that attains it. The gradient is that of the pair
        that is farthest apart; it jumps where two pairs are.

    Raises
    ------
    TypeError, ShapeError
        Not paths.

    Notes
    -----
    A pseudometric: symmetric, with the triangle inequality, and zero only for paths that are the same but for
    repeated layers. Repeating layers never changes it. At most the distance of corresponding points; at least
    the Hausdorff distance of the two sets of points.

    Many couplings can attain the maximum; see `dynamic_time_warping` for which is returned, and for cost and
    nan.

    References
    ----------
    Eiter and Mannila 1994.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> a, b = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([[0.0], [5.0]])
    >>> discrete_frechet_distance(Flat(ndim=1), a, b).distance
    tensor(1.)
    """
    return _frechet(_all_distances(manifold, a, b), None)


@torch.no_grad()
def pairwise_time_warping(
    manifold: Manifold, paths: Any, *, squared: bool = False, diagonal: float = 1.0
) -> Tensor:
    """
    Dynamic time warping of all pairs of a family of paths.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``; uses ``cdist``.
    paths : sequence of n Tensor or ndarray (k_i, *point), or a stack (n, k, *point)
    squared, diagonal
        As in `dynamic_time_warping`.

    Returns
    -------
    Tensor, shape (n, n)
        Unit of the distance; symmetric, without history.

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
        Not paths on the manifold; says which.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> paths = [torch.tensor(p)[:, None] for p in ([0.0, 1.0, 2.0], [0.0, 1.0, 1.0, 2.0], [0.0, 2.0, 2.0])]
    >>> pairwise_time_warping(Flat(ndim=1), paths)
    tensor([[0., 0., 1.],
            [0., 0., 2.],
            [1., 2., 0.]])
    """
    return _pairwise(manifold, paths, lambda costs, last: _time_warping(costs, last, squared, diagonal))


@torch.no_grad()
def pairwise_discrete_frechet(manifold: Manifold, paths: Any) -> Tensor:
    """
    Discrete Fréchet distances of all pairs of a family of paths.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``; uses ``cdist``.
    paths : sequence of n Tensor or ndarray (k_i, *point), or a stack (n, k, *point)

    Returns
    -------
    Tensor, shape (n, n)
        Unit of the distance; symmetric, without history.

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
        Not paths on the manifold; says which.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> paths = [torch.tensor(p)[:, None] for p in ([0.0, 1.0, 2.0], [0.0, 1.0, 1.0, 2.0], [0.0, 2.0, 2.0])]
    >>> pairwise_discrete_frechet(Flat(ndim=1), paths)
    tensor([[0., 0., 1.],
            [0., 0., 1.],
            [1., 1., 0.]])
    """
    return _pairwise(manifold, paths, _frechet)


def _all_distances(manifold: Manifold, a: Tensor, b: Tensor) -> Tensor:
    """Distances of all points of one path to all of another, shape (*batch, k, n)."""
    path_axis(manifold, a)
    path_axis(manifold, b)
    return between(manifold, a, b)


def _between_families(manifold: Manifold, a: Tensor, b: Tensor) -> Tensor:
    """Distances of all points of r paths to all points of s paths, shape (r, s, k, n)."""
    costs = _all_distances(manifold, a.flatten(0, 1), b.flatten(0, 1))
    return costs.unflatten(0, a.shape[:2]).unflatten(-1, b.shape[:2]).transpose(1, 2)


def _pairwise(
    manifold: Manifold, paths: Any, warp: Callable[[Tensor, tuple[Tensor, Tensor]], Warping]
) -> Tensor:
    points, counts = as_paths(manifold, paths)
    n, k = points.shape[:2]
    # A few bands of rows, so that little is computed of what symmetry gives.
    band = max(1, min(-(-n // 8), BLOCK_ELEMENTS // (8 * n * k * k)))
    distances = points.new_zeros(n, n)
    for i in range(0, n - 1, band):
        rows, columns = points[i : i + band], points[i + 1 :]
        costs = _between_families(manifold, rows, columns)
        x, y = torch.ones(costs.shape[:2], dtype=torch.bool, device=costs.device).triu().nonzero().unbind(-1)
        last = counts[i : i + band][x] - 1, counts[i + 1 :][y] - 1
        distances[i + x, i + 1 + y] = warp(costs[x, y], last).distance
    return distances + distances.mT


# ---------------------------------------------------------------------- the cheapest coupling

# Steps that lead to a pair: in both paths, in the first, in the second.
_BOTH, _FIRST, _SECOND = 0, 1, 2
Last = tuple[Tensor, Tensor] | None


def _time_warping(distances: Tensor, last: Last, squared: bool, diagonal: float) -> Warping:
    if isinstance(diagonal, bool) or not isinstance(diagonal, Real) or not 0 < diagonal < math.inf:
        raise ValueError(
            f"diagonal must be a positive weight of the steps in both paths, got {diagonal!r}. "
            "Use 1, or 2 for the symmetric form of Sakoe and Chiba."
        )
    costs = distances.square() if squared else distances
    weights = _cheapest(costs.detach(), last, torch.add, diagonal)
    coupling = weights > 0
    total = torch.where(coupling, weights * costs, 0.0).sum((-2, -1))
    return Warping(safe_sqrt(total) if squared else total, coupling)


def _frechet(distances: Tensor, last: Last) -> Warping:
    coupling = _cheapest(distances.detach(), last, torch.maximum, 1.0) > 0
    return Warping(torch.where(coupling, distances, 0.0).amax((-2, -1)), coupling)


def _cheapest(costs: Tensor, last: Last, join: Callable[[Tensor, Tensor], Tensor], diagonal: float) -> Tensor:
    """
    The cheapest coupling, by dynamic programming along anti-diagonals.

    Parameters
    ----------
    costs : Tensor, shape (*batch, k, n)
        Of pairs.
    last : two Tensors, shape (*batch), or None
        Pair at which the coupling ends, for padded paths: what lies beyond it is never looked at.
    join : callable
        Cost of a coupling and of one pair more.
    diagonal : float
        Factor for pairs that are reached by a step in both paths.

    Returns
    -------
    Tensor, shape (*batch, k, n)
        Zero where not coupled, else the factor.
    """
    k, n = costs.shape[-2:]
    i = torch.arange(k, device=costs.device)
    j = torch.arange(k + n - 1, device=costs.device)[:, None] - i
    # Row s holds the pairs with i + j = s, at their i.
    skewed = torch.where((j >= 0) & (j < n), costs[..., i, j.clamp(0, n - 1)], math.inf)
    first, *rows = skewed.unbind(-2)
    before, here = torch.full_like(first, math.inf), diagonal * first
    steps = [torch.full_like(first, _BOTH, dtype=torch.int8)]
    for cost in rows:
        options = join(_shifted(before), diagonal * cost), join(_shifted(here), cost), join(here, cost)
        best = torch.minimum(torch.minimum(options[_BOTH], options[_FIRST]), options[_SECOND])
        step = torch.where(options[_FIRST] == best, _FIRST, _SECOND)
        steps.append(torch.where(options[_BOTH] == best, _BOTH, step).to(torch.int8))
        before, here = here, best
    return _traced(torch.stack(steps, -2), costs.shape, last, costs.new_tensor([diagonal, 1.0, 1.0]))


def _shifted(row: Tensor) -> Tensor:
    """What stood at i - 1, at i."""
    return pad(row[..., :-1], (1, 0), value=math.inf)


def _traced(steps: Tensor, shape: torch.Size, last: Last, weight: Tensor) -> Tensor:
    """Follow the steps back from the last pair, and leave at every pair the weight of the step to it."""
    *batch, k, n = shape
    steps = steps.flatten(0, -3) if batch else steps[None]
    entry = torch.arange(len(steps), device=steps.device)
    if last is None:
        i, j = torch.full_like(entry, k - 1), torch.full_like(entry, n - 1)
    else:
        i, j = (w.flatten() for w in last)
    weights = weight.new_zeros(len(entry), k, n)
    for _ in range(k + n - 1):
        step = steps[entry, i + j, i]
        # At an edge there is no choice, whatever a nan has left there. The first pair stays where it is.
        step = torch.where(i == 0, torch.where(j == 0, _BOTH, _SECOND), torch.where(j == 0, _FIRST, step))
        weights[entry, i, j] = weight[step]
        i, j = (i - (step != _SECOND).long()).clamp_min(0), (j - (step != _FIRST).long()).clamp_min(0)
    return weights.reshape(shape)


# ---------------------------------------------------------------------- mean of warped paths


class WarpedMeanPath(Estimator):
    """
    Mean path under dynamic time warping: every network finds for itself which of its layers correspond.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `MeanPath` does.
    n_points : int, optional
        Points of the mean path. By default as many as the networks have layers, which must be equally many.
    tol : float, optional
        As in `FrechetMean`.
    max_iter : int
        Rounds of coupling and averaging.

    Attributes
    ----------
    mean_ : Tensor, shape (k, *point)
    variance_ : Tensor, shape (k,)
        Weighted mean of the squared distances of the layers coupled to each point of the mean.
    distances_ : Tensor, shape (n,)
        Dynamic time warping, squared, of every network to the mean path.
    objective_ : Tensor, shape (n_iter_ + 1,)
        Weighted mean of the squared `distances_`, at the start and after every round; it never rises.
    n_iter_ : int
    converged_ : bool
        Whether the last round left nothing to gain: the couplings are the cheapest ones, and every point is
        the mean of what is coupled to it.
    unique_ : None
        Never known: the objective has many local minima.

    Notes
    -----
    Barycenter averaging (Petitjean, Ketterlin and Gançarski 2011) with Fréchet means in the place of
    averages. It starts from `MeanPath` of paths resampled to `n_points` (as they are for None), or from a
    network with that many layers if that has the lower objective, and takes turns: couple every network to
    the mean, for all at once, and replace every point of the mean by the Fréchet mean of what is coupled to
    it, unless that would raise the objective. The couplings are finitely many, so this ends; where, depends
    on the start.

    References
    ----------
    Petitjean et al. 2011; Sakoe and Chiba 1978.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> a = torch.tensor([0.0, 0.0, 0.0, 4.0])[:, None]
    >>> b = torch.tensor([0.0, 6.0, 6.0, 6.0])[:, None]
    >>> mean = WarpedMeanPath(Flat(ndim=1), n_points=2).fit([a, b])
    >>> mean.mean_
    tensor([[0.0000],
            [5.5000]])
    """

    def __init__(
        self,
        manifold: Manifold,
        n_points: int | None = None,
        *,
        tol: float | None = None,
        max_iter: int = 50,
    ):
        self.manifold = manifold
        self.n_points = n_points
        self.tol = tol
        self.max_iter = max_iter

    @torch.no_grad()
    def fit(self, paths: Any, y: Any = None, *, weights: Any = None) -> WarpedMeanPath:
        """
        Find a mean path.

        Parameters
        ----------
        paths : sequence of n Tensor or ndarray (k_i, *point), or a stack (n, k, *point)
        y : None
            Not used.
        weights : array-like, shape (n,), optional
            Of the networks; only their ratios matter.

        Returns
        -------
        WarpedMeanPath
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError, NotOnManifoldError
            No paths, different numbers of layers without `n_points`, not finite, not points.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` rounds were not enough, or the mean of a point was not reached.
        """
        points, counts = as_paths(self.manifold, paths)
        weights = as_weights(weights, points, self.manifold.ndim + 1)
        check_whole(self.max_iter, "max_iter", 0)
        mean = self._start(points, counts, weights)
        warping = self._couple(mean[None], points, counts)
        objective, settled, reached = [weights @ warping.distance.square()], False, False
        for _ in range(self.max_iter):
            trial, reached = self._averaged(mean, points, with_axes(weights, 2) * warping.coupling)
            again = self._couple(trial[None], points, counts)
            value = weights @ again.distance.square()
            settled = bool((again.coupling == warping.coupling).all()) or not bool(value < objective[-1])
            if bool(value <= objective[-1]):
                mean, warping = trial, again
                objective.append(value)
            if settled:
                break
        self.mean_ = mean
        self.distances_ = warping.distance
        self.variance_ = self._variances(mean, points, with_axes(weights, 2) * warping.coupling)
        self.objective_ = torch.stack(objective)
        self.n_iter_, self.converged_, self.unique_ = len(objective) - 1, settled and reached, None
        if not self.converged_:
            warn_user(
                f"WarpedMeanPath stopped after {self.n_iter_} rounds, "
                f"{'at a layer whose mean was not reached' if settled else 'still improving'}. "
                f"The estimate is in mean_; {'set tol' if settled else 'raise max_iter'}.",
                ConvergenceWarning,
            )
        return self

    def _start(self, points: Tensor, counts: Tensor, weights: Tensor) -> Tensor:
        """The mean of even paths, or a network with as many points, whichever has the lowest objective."""
        even = as_even_paths(self.manifold, points, counts, self.n_points).transpose(0, 1)
        k = len(even)
        mean, _ = self._means(even, weights.expand(even.shape[:2]), "medoid")
        members = points[counts == k, :k] if k <= points.shape[1] else points.new_empty(0, *mean.shape)
        candidates = torch.cat([mean[None], members])
        block = max(1, BLOCK_ELEMENTS // (8 * k * points.shape[:2].numel()))
        distances = torch.cat([self._couple(c, points, counts).distance for c in candidates.split(block)])
        return candidates[(distances.reshape(len(candidates), -1).square() @ weights).argmin()]

    def _couple(self, means: Tensor, points: Tensor, counts: Tensor) -> Warping:
        """Every network coupled to each of some mean paths; these and the networks make one batch axis."""
        costs = _between_families(self.manifold, means, points).flatten(0, 1)
        last = counts.repeat(len(means)) - 1
        return _time_warping(costs, (torch.full_like(last, means.shape[1] - 1), last), True, 1.0)

    def _means(self, layers: Tensor, weights: Tensor, init: Any) -> tuple[Tensor, bool]:
        """Fréchet mean of each row of layers, shape (k, n, *point)."""
        with warnings.catch_warnings():
            # One warning at the end, if it is still so, says all.
            warnings.simplefilter("ignore", ConvergenceWarning)
            means = FrechetMean(self.manifold, tol=self.tol, init=init).fit(layers, weights)
        return means.mean_, means.converged_

    def _averaged(self, mean: Tensor, points: Tensor, shares: Tensor) -> tuple[Tensor, bool]:
        """Means of what is coupled to each point of the mean path, where they are no worse than it."""
        shares = shares.transpose(0, 1).flatten(1)
        # Few layers are coupled to each point: only they are brought together.
        most = int((shares > 0).sum(-1).amax())
        shares, which = (w[:, :most] for w in shares.sort(dim=-1, descending=True, stable=True))
        layers = points.flatten(0, 1)[which]
        # On spheres a mean in the span of few layers is found faster than by steps of whole points.
        init = "medoid" if getattr(self.manifold, "spherical", False) else mean
        trial, reached = self._means(layers, shares, init)
        before, after = (
            (shares * self.manifold.dist(x.unsqueeze(1), layers).square()).sum(-1) for x in (mean, trial)
        )
        return torch.where(with_axes(after <= before, self.manifold.ndim), trial, mean), reached

    def _variances(self, mean: Tensor, points: Tensor, shares: Tensor) -> Tensor:
        costs = _between_families(self.manifold, mean[None], points)[0]
        return (shares * costs.square()).sum((0, 2)) / shares.sum((0, 2))
