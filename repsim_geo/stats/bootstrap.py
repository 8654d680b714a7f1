"""Intervals from resampling: how much would an answer change with other stimuli, or other networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from geoopt import Scaled
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._extras import need
from repsim_geo._warnings import warn_user
from repsim_geo.activations import as_labeled_as
from repsim_geo.errors import DegenerateRepresentationError, DegenerateRepresentationWarning, ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.stats.arrangements import as_labels, random_orders
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import (
    MOST_NUMBERS,
    as_generator,
    as_one_number,
    as_points,
    check_metric,
    check_room,
    check_whole,
    in_span,
    like,
    named,
)
from repsim_geo.stats.records import Interval


@dataclass(frozen=True)
class Resampled(Interval):
    """
    Interval with what resampling says of its own quality.

    Attributes
    ----------
    estimate, low, high, level, standard_error, replicates
        As `Interval`. Replicates are rescaled to spread like the estimate.
    bias : float
        How far the estimate lies above what it would be with endless data, to first order in ``1 / m``; the
        interval is around ``estimate - bias``.
    monte_carlo_error : float
        Standard deviation of `low` and `high` over seeds; zero where nothing is random.
    """

    bias: float
    monte_carlo_error: float


# ---------------------------------------------------------------------- one distance


@torch.no_grad()
def bootstrap_distance(
    x: Any,
    y: Any,
    metric: Any,
    *,
    n_resamples: int = 999,
    level: float = 0.95,
    method: str = "half",
    growth: float | None = None,
    seed: int | torch.Generator = 0,
) -> Resampled:
    """
    Confidence interval for the distance of two representations over all stimuli like the given ones.

    Parameters
    ----------
    x : Tensor or array, shape (m, d)
    y : Tensor or array, shape (m, e)
        Responses to the same m stimuli, drawn independently from a population.
    metric : metric or callable
        An object with ``embed`` and ``dist`` (``resolve``, ``prepare`` and ``between`` are used where it has
        them); or a function of two matrices that returns a number, called for one pair at a time.
    n_resamples : int
        Not used by the jackknife, which takes m.
    level : float
    method : "half", "jackknife" or "bootstrap"
        Take random halves of the stimuli, leave out one at a time, or draw m with replacement.
    growth : float, optional
        Power of m with which the distance grows, not negative: 1/2 for sums over stimuli such as
        `SizeAndShape`, 0 for angles and averages. By default it is measured by showing every stimulus
        twice, to the nearest half, and is 0 for bounded distances.
    seed : int or torch.Generator

    Returns
    -------
    Resampled
        In the unit of the distance.

    Raises
    ------
    ShapeError, TypeError, ValueError
        Not two representations of the same stimuli, too few of them, or not finite.
    DegenerateRepresentationError
        A resample is constant: nearly all stimuli have the same response.

    Notes
    -----
    A sample of b of m stimuli, without replacement, has the error of b stimuli less that of m, which is
    ``f = (m - b) / b`` times the error that m stimuli have: f times its variance and f times its bias. For
    halves f is 1: no stimulus appears twice, and both are right without any rescaling (Politis and Romano
    1994; Shao and Wu 1989; McCarthy 1969). The jackknife is b = m - 1, f = 1 / (m - 1).

    The interval is ``log estimate - bias ± t * standard_error``, all of the logarithm, with m - 1 degrees of
    freedom; distances are positive, and their logarithm varies more evenly than they do. Where resamples have
    distance zero it is of the distance itself. Distances from few stimuli are biased: by noise, flexible
    alignment, or shared width. The *estimate* is the plain distance, and can lie outside of its interval.

    Drawing with replacement shows stimuli twice. Debiased estimates then count the similarity of a stimulus
    to itself after all, and a third of the rank of a shape is lost; it is here for comparison.

    Share of 95 % intervals that contain the distance over all stimuli, from 400 simulated data sets
    (6 latent dimensions, networks of 8 and 12 units, skewed and heavy responses; 199 resamples; Monte Carlo
    error 0.011):

    ====================  =============  =============  =============
    m = 20 / 50           half           jackknife      bootstrap
    ====================  =============  =============  =============
    AngularCKA            0.983 / 0.948  0.963 / 0.945  0.968 / 0.940
    AngularCKA, debiased  0.988 / 0.953  0.970 / 0.945  0.943 / 0.930
    AngularRDM euclidean  0.950 / 0.935  0.922 / 0.932  0.920 / 0.920
    ... correlation       0.983 / 0.958  0.943 / 0.948  0.828 / 0.858
    Stress                0.915 / 0.945  0.907 / 0.950  0.882 / 0.950
    SizeAndShape          0.948 / 0.953  0.917 / 0.943  0.892 / 0.925
    AngularShape          1.000 / 0.950  0.970 / 0.930  0.965 / 0.902
    ... whiten=1          -     / 0.845  -     / 0.825  -     / 0.517
    ====================  =============  =============  =============

    For comparison, percentile intervals of the bootstrap covered 0.04 to 0.91 for five of these metrics on 30
    stimuli, and bias-corrected accelerated ones 0.15 to 0.91: neither corrects the bias of few stimuli.
    Whitened, 8 + 12 units are too many for halves of 25 stimuli.

    Where it is delicate: equal representations have distance zero in every resample, and the interval is
    the point 0. With fewer stimuli than units the bias is not of first order, and intervals of biased
    metrics are too optimistic. Where no power of m describes the growth (Gram matrices as SPD matrices, whose
    number of eigenvalues grows) there is no distance over all stimuli to cover. Jackknifing is not valid for
    distances with jumps in their derivative, such as matchings and medians; halves are.

    References
    ----------
    Politis and Romano 1994; Shao and Wu 1989; McCarthy 1969; Efron and Tibshirani 1993.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    >>> interval = bootstrap_distance(x, x + x.roll(1, -1) / 2, AngularCKA(), n_resamples=200)
    >>> bool(interval.low < interval.estimate < interval.high)
    True
    """
    _check_options(n_resamples, level)
    check_metric(metric)
    x, y = as_representation(x, "x"), as_representation(y, "y")
    _checks.check_pair(x, y, "bootstrap_distance()")
    m = x.shape[0]
    _check_room(n_resamples, m)
    generator = as_generator(seed)
    growth = _growth(metric, [x, y], growth)
    chosen, share = _stimuli(method, m, n_resamples, metric, generator, x.device)
    estimate = float(distances_of_stacks(metric, x[None], y[None]))
    size = (m / chosen.shape[1]) ** growth
    rows = rows_at_once(chosen.shape[1], max(x.shape[1], y.shape[1]))
    values = torch.cat([_resampled(metric, x[i], y[i]) for i in chosen.split(rows)])
    values = size * values.double().cpu()
    random = 0 if method == "jackknife" else n_resamples
    if estimate <= 0 or bool((values <= 0).any()):
        return _interval(estimate, values - estimate, share, level, m - 1, random)
    logs = _interval(math.log(estimate), values.log() - math.log(estimate), share, level, m - 1, random)
    return _exponential(logs, _largest(metric))


def _resampled(metric: Any, x: Tensor, y: Tensor) -> Tensor:
    try:
        return distances_of_stacks(metric, x, y)
    except DegenerateRepresentationError as error:
        raise _constant_resample(x.shape[-2], error) from error


def _constant_resample(b: int, error: Exception) -> DegenerateRepresentationError:
    return DegenerateRepresentationError(
        f"a resample of {b} stimuli cannot be compared: {error} Nearly all stimuli have the same response; "
        "leave out repeats of stimuli, or record more different ones."
    )


def distances_of_stacks(metric: Any, x: Tensor, y: Tensor) -> Tensor:
    """
    Distances of stacks of representations, entry by entry.

    Parameters
    ----------
    metric : metric or callable
        As in `bootstrap_distance`.
    x : Tensor, shape (B, m, d)
    y : Tensor, shape (B, m, e)

    Returns
    -------
    Tensor, shape (B)
    """
    if not hasattr(metric, "embed"):
        return torch.stack([as_one_number(metric(a, b), "metric") for a, b in zip(x, y, strict=True)])
    metric = _resolved(metric, [x, y])
    prepared = hasattr(metric, "between") and not isinstance(metric, Scaled)
    embed, between = (metric.prepare, metric.between) if prepared else (metric.embed, metric.dist)
    with named("x"):
        a = embed(x)
    with named("y"):
        b = embed(y)
    return between(a, b)


def _resolved(metric: Any, reps: Sequence[Tensor]) -> Any:
    fixed = metric.resolve(reps) if hasattr(metric, "resolve") else metric
    # geoopt.Scaled passes resolve on to what it wraps, and its scale is not in the copy.
    return Scaled(fixed, scale=float(metric.scale)) if isinstance(metric, Scaled) else fixed


def _largest(metric: Any) -> float:
    """Largest distance that the metric says it has."""
    if hasattr(metric, "card") and not isinstance(metric, Scaled):
        return float(metric.card.range[1])
    return float(getattr(metric, "diameter", math.inf))


# ---------------------------------------------------------------------- a statistic of many networks


@torch.no_grad()
def bootstrap_statistic(
    reps: Sequence[Any] | Tensor,
    metric: Any,
    statistic: Callable[[Tensor, Tensor], Tensor],
    *,
    over: str | Iterable[str] = ("networks", "stimuli"),
    groups: Sequence[Any] | None = None,
    n_resamples: int = 999,
    level: float = 0.95,
    growth: float | None = None,
    seed: int | torch.Generator = 0,
) -> Resampled:
    """
    Confidence interval for a statistic of the distances between networks.

    Parameters
    ----------
    reps : sequence of n arrays of shape (m, d_i), or a Tensor of shape (n, m, d)
    metric : metric or callable
        As in `bootstrap_distance`; metrics need ``cdist`` or ``dist``.
    statistic : callable
        Takes distances and weights, both (B, n, n), and returns (B). The weight of a pair is how often it was
        drawn: the product of the numbers of times that its networks were, and zero for a network with itself,
        which is not a pair. For example
        ``lambda d, w: (w * d).sum((-2, -1)) / w.sum((-2, -1))``, the mean distance.
    over : "networks", "stimuli" or both
        What would be drawn anew if the study were repeated. The rest is kept.
    groups : sequence of n labels, optional
        Networks are drawn within groups, which then keep their sizes. Use it where the statistic compares
        groups.
    n_resamples : int
    level : float
    growth : float, optional
        As in `bootstrap_distance`.
    seed : int or torch.Generator

    Returns
    -------
    Resampled

    Raises
    ------
    ShapeError, TypeError, ValueError
        Fewer than two networks, or as `bootstrap_distance`; a statistic that is not a finite number for
        each resample.

    Warns
    -----
    DegenerateRepresentationWarning
        Resamples without a finite statistic, such as a group that is one network twice, are left out.

    Notes
    -----
    Networks are drawn with replacement, stimuli by random halves (see `bootstrap_distance`). Drawing both at
    once counts what is due to neither alone, the interaction, three times. The variance is therefore taken as
    ``2 (V_networks + V_stimuli) - V_both``, no less than either and no more than ``V_both`` (Schütt et al.
    2023), and the replicates of both are drawn together around their mean to have it. The resampled distances
    serve all three.

    The interval is ``estimate - bias ± t * standard_error`` with as many degrees of freedom as the smallest
    of what is resampled has members, less one. Variances over n networks are multiplied by ``n / (n - 1)``.

    Coverage of 95 % intervals for the mean debiased CKA angle of n networks on 40 stimuli, from 200 simulated
    studies (Monte Carlo error 0.015): over both 0.995 (n = 6) and 0.955 (n = 12), over networks 0.975 and
    0.945, over stimuli 0.985 and 0.965.

    References
    ----------
    Schütt et al. 2023; Politis and Romano 1994.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> reps = torch.randn(6, 40, 5, generator=torch.Generator().manual_seed(0))
    >>> mean = lambda d, w: (w * d).sum((-2, -1)) / w.sum((-2, -1))
    >>> interval = bootstrap_statistic(reps, AngularCKA(debiased=True), mean, n_resamples=100)
    >>> bool(interval.low < 3.14159 / 2 < interval.high)  # unrelated networks are at right angles
    True
    """
    _check_options(n_resamples, level)
    check_metric(metric)
    if not callable(statistic):
        raise TypeError(
            f"statistic must be a function of distances and weights, got {statistic!r}. The mean distance is "
            "lambda d, w: (w * d).sum((-2, -1)) / w.sum((-2, -1))."
        )
    wanted = _known_over(over)
    reps = as_networks(reps)
    n, m = len(reps), reps[0].shape[0]
    _check_room(n_resamples, max(m, n * n))
    members = _members(groups, n)
    generator = as_generator(seed)
    once = _counts(members, 1, generator, drawn=False)
    distances = all_distances(metric, [x[None] for x in reps])
    estimate = float(_evaluated(statistic, distances, once)[0])
    if not math.isfinite(estimate):
        raise ValueError(
            f"statistic of the data must be a finite number, got {estimate}. Weights are zero between a "
            "network and itself, so groups need two networks for a distance within."
        )
    counts = _counts(members, n_resamples, generator, drawn="networks" in wanted)
    deviations: dict[str, Tensor] = {}
    if "networks" in wanted:
        values = _evaluated(statistic, distances.expand(n_resamples, n, n), counts) - estimate
        deviations["networks"] = values
    share = 1.0
    if "stimuli" in wanted:
        growth = _growth(metric, reps[:2], growth)
        chosen, share = _stimuli("half", m, n_resamples, metric, generator, reps[0].device)
        size = (m / chosen.shape[1]) ** growth
        alone, both = [], []
        widest = max(x.shape[1] for x in reps)
        rows = rows_at_once(chosen.shape[1], widest, n * n)
        for i, c in zip(chosen.split(rows), counts.split(rows), strict=True):
            try:
                d = size * all_distances(metric, [x[i] for x in reps])
            except DegenerateRepresentationError as error:
                raise _constant_resample(i.shape[1], error) from error
            alone.append(_evaluated(statistic, d, once.expand(len(i), n)))
            both.append(_evaluated(statistic, d, c))
        deviations["stimuli"] = (torch.cat(alone) - estimate) / math.sqrt(share)
        deviations["both"] = torch.cat(both) - estimate
    deviations = {k: _finite_ones(v) for k, v in deviations.items()}
    few = min(len(g) for g in members)
    inflation = few / (few - 1) if few > 1 else 1.0
    degrees = min([few - 1] * ("networks" in wanted) + [m - 1] * ("stimuli" in wanted))
    if len(wanted) == 1:
        shown = deviations[wanted[0]] * math.sqrt(inflation if wanted == ["networks"] else 1.0)
        return _interval(estimate, shown, 1.0, level, max(degrees, 1), n_resamples)
    variances = {k: float(v.var(correction=0)) for k, v in deviations.items()}
    variances["networks"] *= inflation
    variances["both"] *= inflation
    variance = 2 * (variances["networks"] + variances["stimuli"]) - variances["both"]
    variance = min(max(variance, variances["networks"], variances["stimuli"]), variances["both"])
    both = deviations["both"]
    spread = float(both.std(correction=0))
    shrink = math.sqrt(variance) / spread if spread > 0 else 1.0
    shown = both.mean() + shrink * (both - both.mean())
    return _interval(estimate, shown, 1.0, level, max(degrees, 1), n_resamples)


def _known_over(over: str | Iterable[str]) -> list[str]:
    known = ("networks", "stimuli")
    wanted = [over] if isinstance(over, str) else list(over) if isinstance(over, Iterable) else []
    if not wanted or any(w not in known for w in wanted) or len(wanted) > len(set(wanted)):
        raise ValueError(
            f"over must be 'networks', 'stimuli', or both of them, got {over!r}. Name what another study "
            "would draw anew."
        )
    return wanted


def _members(groups: Sequence[Any] | None, n: int) -> list[list[int]]:
    """Numbers of the networks of each group."""
    if groups is None:
        return [list(range(n))]
    codes, names = as_labels(groups, n, "groups")
    return [(codes == code).nonzero().flatten().tolist() for code in range(len(names))]


def _counts(members: list[list[int]], n_resamples: int, generator: torch.Generator, *, drawn: bool) -> Tensor:
    """How often each network was drawn, within groups; shape (n_resamples, n)."""
    counts = torch.ones(n_resamples, sum(map(len, members)), dtype=torch.float64, device=generator.device)
    for group in members if drawn else []:
        k = len(group)
        picks = torch.randint(k, (n_resamples, k), generator=generator, device=generator.device)
        zero = counts.new_zeros(n_resamples, k)
        counts[:, group] = zero.scatter_add(1, picks, torch.ones_like(picks, dtype=zero.dtype))
    return counts


def _evaluated(statistic: Callable[[Tensor, Tensor], Tensor], d: Tensor, counts: Tensor) -> Tensor:
    """The statistic in every resample, in float64; shape (B)."""
    counts = counts.to(d)
    off = 1 - torch.eye(d.shape[-1], dtype=d.dtype, device=d.device)
    given = statistic(d, counts[:, :, None] * counts[:, None, :] * off)
    try:
        values = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"statistic must return a tensor with one number for each resample, got {type(given).__name__}. "
            "Compute it from distances and weights with torch."
        ) from error
    if values.shape != (d.shape[0],):
        raise ShapeError(
            f"statistic must return one number for each resample, shape ({d.shape[0]},), got "
            f"{tuple(values.shape)} for distances and weights of shape {tuple(d.shape)}. Reduce the last two "
            "axes only."
        )
    return values.double().cpu()


def _finite_ones(values: Tensor) -> Tensor:
    good = values[values.isfinite()]
    missing = len(values) - len(good)
    if 2 * missing >= len(values):
        raise ValueError(
            f"statistic must be finite in most resamples, got nan or infinity in {missing} of {len(values)}. "
            "Add networks to the smallest group, or resample stimuli only."
        )
    if missing:
        warn_user(
            f"{missing} of {len(values)} resamples have no finite statistic and were left out: a group may "
            "have consisted of one network only. Add networks.",
            DegenerateRepresentationWarning,
        )
    return good


def all_distances(metric: Any, reps: Sequence[Tensor]) -> Tensor:
    """
    Distances between networks, for every entry of a batch.

    Parameters
    ----------
    metric : metric or callable
        As in `bootstrap_statistic`.
    reps : sequence of n Tensors, shape (B, m, d_i)

    Returns
    -------
    Tensor, shape (B, n, n)
        Zero on the diagonal.
    """
    n = len(reps)
    if not hasattr(metric, "embed"):
        i, j = torch.triu_indices(n, n, 1)
        pairs = zip(i.tolist(), j.tolist(), strict=True)
        upper = torch.stack([distances_of_stacks(metric, reps[a], reps[b]) for a, b in pairs], -1)
        d = upper.new_zeros(len(upper), n, n)
        d[:, i, j] = d[:, j, i] = upper
        return d
    metric = _resolved(metric, reps)
    embedded = []
    for i, x in enumerate(reps):
        with named(f"reps[{i}]"):
            embedded.append(metric.embed(x))
    points = torch.stack(embedded, 1)
    if hasattr(metric, "cdist"):
        d = metric.cdist(points, points)
    else:
        d = metric.dist(points.unsqueeze(1), points.unsqueeze(2))
    return d * (1 - torch.eye(n, dtype=d.dtype, device=d.device))


# ---------------------------------------------------------------------- a mean


@dataclass(frozen=True)
class MeanRegion:
    """
    Confidence region of a Fréchet mean: a geodesic ball.

    Attributes
    ----------
    mean : Tensor, shape (*point)
        Of the data; the center.
    radius : float
        In the unit of the distance.
    level : float
        Nominal coverage.
    standard_error : float
        Root-mean-square distance of a mean of n points from the true one, as seen by resampling.
    replicates : Tensor, shape (n_resamples,)
        Distances of resampled means from `mean`, times the root of ``n / (n - 1)``.
    monte_carlo_error : float
        Standard deviation of `radius` over seeds.
    converged : bool
        Whether all means reached their tolerance.
    manifold : geoopt.Manifold
        Where the region lies.
    """

    mean: Tensor
    radius: float
    level: float
    standard_error: float
    replicates: Tensor
    monte_carlo_error: float
    converged: bool
    manifold: Manifold

    def contains(self, points: Any) -> Any:
        """
        Whether points are inside.

        Parameters
        ----------
        points : Tensor or array, shape (*point) or (n, *point)

        Returns
        -------
        Tensor or ndarray, shape () or (n,), bool
        """
        x = torch.as_tensor(points).to(self.mean)
        single = x.dim() == self.manifold.ndim
        x = as_points(self.manifold, x.unsqueeze(0) if single else x)
        inside = self.manifold.dist(self.mean, x) <= self.radius
        return like(inside[0] if single else inside, points)

    def __str__(self) -> str:
        return (
            f"ball of radius {self.radius:.4g} ± {self.monte_carlo_error:.1g} around the mean "
            f"({100 * self.level:g} %)"
        )


@torch.no_grad()
def bootstrap_mean(
    manifold: Any,
    points: Any,
    *,
    n_resamples: int = 999,
    level: float = 0.95,
    seed: int | torch.Generator = 0,
) -> MeanRegion:
    """
    Confidence region of the Fréchet mean of the population that points were drawn from.

    Parameters
    ----------
    manifold : geoopt.Manifold
        As for `FrechetMean`.
    points : Tensor or array, shape (n, *point), n >= 2
    n_resamples : int
    level : float
    seed : int or torch.Generator

    Returns
    -------
    MeanRegion

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
        As `FrechetMean`; fewer than two points.

    Notes
    -----
    Means of resamples are weighted means, with multinomial weights, in batches that start at the mean of the
    data. On spheres they are computed in the span of the points. A resample of n points varies by a factor
    ``(n - 1) / n`` too little, which is made up for. The radius is the quantile of the distances of these
    means from the mean of the data; a ball does not tell in which directions the mean is uncertain.

    Coverage of 95 % regions, from 300 simulated populations (Monte Carlo error 0.013), for n = 8, 20 and 50
    points: 0.95, 0.94, 0.95 in three flat dimensions; 0.99, 0.98, 0.98 in twenty; 0.87, 0.91, 0.94 on a
    3-sphere where points are spread by 0.87 radians from their mean. Where space is as curved as the data are
    spread, regions from few points are too small.

    Where it is delicate: a population without a unique mean has no region; resampled means then jump, and
    the radius becomes as large as their distance.

    References
    ----------
    Efron and Tibshirani 1993; Bhattacharya and Patrangenaru 2005.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> points = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]])
    >>> region = bootstrap_mean(Flat(1), points)
    >>> region.mean, region.contains(torch.tensor([[2.5], [9.0]]))
    (tensor([2.]), tensor([ True, False]))
    """
    _check_options(n_resamples, level)
    x = as_points(manifold, points, least=2)
    n = x.shape[0]
    _check_room(n_resamples, n)
    generator = as_generator(seed)
    center = FrechetMean(manifold).fit(x)
    picks = torch.randint(n, (n_resamples, n), generator=generator, device=generator.device).to(x.device)
    weights = x.new_zeros(n_resamples, n).scatter_add(1, picks, x.new_ones(n_resamples, n))
    inside, here, start, scale = _reduced(manifold, x, center.mean_)
    rows = max(1, BLOCK_ELEMENTS // here.numel())
    distances, converged = [], center.converged_
    for w in weights.split(rows):
        fitted = FrechetMean(inside, init=start).fit(here.expand(len(w), *here.shape), w)
        distances.append(scale * inside.dist(start, fitted.mean_))
        converged = converged and fitted.converged_
    replicates = torch.cat(distances) * math.sqrt(n / (n - 1))
    radius, error = _upper_quantile(replicates, level)
    rms = float(replicates.double().square().mean().sqrt())
    return MeanRegion(center.mean_, radius, level, rms, replicates, error, converged, manifold)


def _reduced(manifold: Any, x: Tensor, mean: Tensor) -> tuple[Any, Tensor, Tensor, float]:
    """
    Manifold, points, mean and unit of distance with the same distances, in as few coordinates as possible.

    On a sphere means are in the span of the points: that is a sphere of at most n coordinates.
    """
    if not getattr(manifold, "spherical", False):
        return manifold, x, mean, 1.0
    sphere, (basis, here) = UnitSphere(1), in_span(x)
    start = sphere.projx(mean.flatten().to(basis) @ basis).to(x)
    return sphere, here, start, float(getattr(manifold, "scale", 1.0))


def _upper_quantile(values: Tensor, level: float) -> tuple[float, float]:
    """Order statistic that a new value stays below with this probability, and its error over seeds."""
    ordered = values.double().sort().values
    n = len(ordered)

    def at(q: float) -> float:
        return float(ordered[min(max(math.ceil(q * (n + 1)), 1), n) - 1])

    slack = math.sqrt(level * (1 - level) / n)
    return at(level), (at(level + slack) - at(level - slack)) / 2


# ---------------------------------------------------------------------- shared


def _interval(
    estimate: float,
    deviations: Tensor,
    share: float,
    level: float,
    degrees: int,
    random: int,
) -> Resampled:
    """Interval of deviations with `share` times the bias and variance of the estimate."""
    special = need("scipy.special", "stats", "A confidence interval")
    t = float(special.stdtrit(degrees, (1 + level) / 2))
    bias = float(deviations.mean()) / share
    error = float(deviations.std(correction=0)) / math.sqrt(share)
    center = estimate - bias
    # Error of a mean, and of t standard deviations.
    noise = error * math.sqrt((1 / share + t * t / 2) / random) if random else 0.0
    replicates = estimate + deviations / math.sqrt(share)
    return Resampled(estimate, center - t * error, center + t * error, level, error, replicates, bias, noise)


def _exponential(logs: Resampled, largest: float) -> Resampled:
    """Interval of a positive number, at most `largest`, from that of its logarithm."""
    estimate, low, high = (math.exp(v) for v in (logs.estimate, logs.low, logs.high))
    replicates = logs.replicates.exp()
    bias = estimate - math.exp(logs.estimate - logs.bias)
    error = float(replicates.std(correction=0))
    low, high = min(low, largest), min(high, largest)
    return Resampled(estimate, low, high, logs.level, error, replicates, bias, high * logs.monte_carlo_error)


def _stimuli(
    method: str, m: int, n_resamples: int, metric: Any, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, float]:
    """Numbers of the stimuli of each resample, (B, b), and the share f of the variance that they show."""
    fewest = int(getattr(metric, "fewest_rows", 2))
    sizes = {"half": m // 2, "jackknife": m - 1, "bootstrap": m // 2}
    kept = sizes.get(method) if isinstance(method, str) else None
    if kept is None:
        raise ValueError(
            f"method must be 'half', 'jackknife' or 'bootstrap', got {method!r}. 'half' suits most metrics."
        )
    if kept < fewest:
        raise ShapeError(
            f"{m} stimuli are too few to resample: method={method!r} leaves {kept} different ones, and this "
            f"metric needs {fewest}. Record at least {fewest + 1 if method == 'jackknife' else 2 * fewest}."
        )
    if method == "jackknife":
        others = ~torch.eye(m, dtype=torch.bool, device=device)
        return torch.arange(m, device=device).expand(m, m)[others].reshape(m, m - 1), 1 / (m - 1)
    if method == "bootstrap":
        picks = torch.randint(m, (n_resamples, m), generator=generator, device=generator.device)
        return picks.to(device), 1.0
    order = random_orders(n_resamples, m, generator)
    return order[:, :kept].sort(-1).values.to(device), (m - kept) / kept


def _growth(metric: Any, reps: Sequence[Tensor], growth: float | None) -> float:
    """Power of the number of stimuli with which a distance grows."""
    if growth is not None:
        if not isinstance(growth, Real) or not 0 <= growth < math.inf:
            raise ValueError(
                f"growth must be a number, zero or more, or None, got {growth!r}. It is 0 for angles and 1/2 "
                "for norms; None measures it."
            )
        return float(growth)
    if _largest(metric) < math.inf:
        return 0.0
    once, twice = (float(distances_of_stacks(metric, *(x.repeat(k, 1)[None] for x in reps))) for k in (1, 2))
    return round(2 * math.log2(twice / once)) / 2 if once > 0 and twice > 0 else 0.0


def rows_at_once(m: int, d: int, pairs: int = 2) -> int:
    """
    Resamples to compute in one go.

    Parameters
    ----------
    m, d : int
        Size of a representation.
    pairs : int
        Points, or pairs of points, that are held for each resample.

    Returns
    -------
    int
    """
    return max(1, BLOCK_ELEMENTS // (pairs * m * max(m, d)))


def as_representation(x: Any, name: str) -> Tensor:
    """
    One representation, checked and without history.

    Parameters
    ----------
    x : Tensor or array, shape (m, d)
    name : str
        What to call it in messages.

    Returns
    -------
    Tensor, shape (m, d)

    Raises
    ------
    ShapeError, TypeError, ValueError
    """
    x = _checks.as_activations(x, name)
    if x.dim() != 2:
        raise ShapeError(
            f"{name} must be one representation (m, d), got shape {tuple(x.shape)}. "
            "Its rows are resampled; flatten tokens or positions first."
        )
    _checks.check_finite(x, name)
    return as_labeled_as(x.detach(), x)


def as_networks(reps: Any, least: int = 2) -> list[Tensor]:
    """
    Representations of the same stimuli, checked and without history.

    Parameters
    ----------
    reps : sequence of arrays of shape (m, d_i)
    least : int
        Fewest that make sense.

    Returns
    -------
    list of Tensor

    Raises
    ------
    ShapeError, TypeError, ValueError
    """
    if isinstance(reps, str) or not isinstance(reps, Iterable):
        raise TypeError(
            f"reps must be a sequence of representations (m, d), got {type(reps).__name__}. Use a list."
        )
    checked = [as_representation(x, f"reps[{i}]") for i, x in enumerate(reps)]
    if len(checked) < least:
        raise ShapeError(f"reps must hold at least {least} networks, got {len(checked)}. Add networks.")
    for i, x in enumerate(checked):
        _checks.check_pair(checked[0], x, "Resampling", ("reps[0]", f"reps[{i}]"))
    return checked


def _check_room(n_resamples: int, columns: int) -> None:
    hint = "999 of them are usual."
    check_room(n_resamples, "n_resamples", MOST_NUMBERS // columns, hint=hint)


def _check_options(n_resamples: Any, level: Any) -> None:
    check_whole(n_resamples, "n_resamples", 20)
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}. 0.95 is usual.")
