"""How far an answer can be trusted: halves of trials, halves of stimuli, and stimuli not seen before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.numerics.alignment import finite_svd
from repsim_geo.numerics.angles import angle
from repsim_geo.stats.arrangements import random_orders
from repsim_geo.stats.bootstrap import (
    all_distances,
    as_networks,
    as_representation,
    distances_of_stacks,
    rows_at_once,
)
from repsim_geo.stats.points import MOST_NUMBERS, check_metric, check_room, check_whole

# ---------------------------------------------------------------------- halves of trials


@dataclass(frozen=True)
class TrialNoise:
    """
    Distances that measurement noise alone makes.

    Attributes
    ----------
    halves : float
        Mean distance between the means of two halves of the trials.
    floor : float
        Distance to expect between two measurements like the given one, with all their trials.
    error : float
        Distance to expect between the mean of all trials and that of endlessly many.
    standard_error : float
        Monte Carlo error of `halves`.
    replicates : Tensor, shape (n_splits,)
        The distance for each split.
    """

    halves: float
    floor: float
    error: float
    standard_error: float
    replicates: Tensor

    def __str__(self) -> str:
        return (
            f"noise floor {self.floor:.4g} (halves of trials {self.halves:.4g} ± {self.standard_error:.1g})"
        )


@torch.no_grad()
def trial_noise(
    trials: Any, metric: Any, *, n_splits: int = 100, seed: int | torch.Generator = 0
) -> TrialNoise:
    """
    Distance between halves of the repeated measurements of one representation.

    Parameters
    ----------
    trials : Tensor or array, shape (r, m, d), r >= 2
        r measurements of the responses of d units to m stimuli.
    metric : metric or callable
        As in `bootstrap_distance`.
    n_splits : int
        Random splits of the trials into two sets of ``r // 2``.
    seed : int or torch.Generator

    Returns
    -------
    TrialNoise
        In the unit of the distance.

    Raises
    ------
    ShapeError, TypeError, ValueError
        Fewer than two trials, or not finite.

    Notes
    -----
    Spearman and Brown's formula is for correlations. For distances: where noise is small the space is flat,
    and a mean of k trials is off by a vector of mean square ``v / k``. Two means of r/2 trials differ by
    ``4 v / r``; a mean of r trials is off by ``v / r``, and two such means differ by ``2 v / r``. So, with
    ``h = r // 2``, `floor` is ``halves * sqrt(h / r)`` and `error` is ``halves * sqrt(h / (2 r))``, half of
    `halves` for even r. With large noise the mean embeds with a bias (Gram matrices contain the squared
    noise), which both halves share and no split can show.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import SizeAndShape
    >>> trials = torch.tensor([[[1.0], [-1.0]], [[3.0], [-3.0]]])
    >>> noise = trial_noise(trials, SizeAndShape(), n_splits=2)
    >>> noise.halves**2, noise.floor**2, noise.error**2  # 2 apart in each of two stimuli
    (8.0, 4.0, 2.0)
    """
    check_whole(n_splits, "n_splits", 2)
    check_metric(metric)
    x = _checks.as_activations(trials, "trials").detach()
    if x.dim() != 3 or x.shape[0] < 2:
        raise ShapeError(
            f"trials must have shape (r, m, d) with at least 2 repeated measurements, got {tuple(x.shape)}. "
            "Stack the measurements along the first axis; split_half_reliability is for many networks "
            "measured once."
        )
    _checks.check_finite(x, "trials")
    r, m, d = x.shape
    _check_room(n_splits, r)
    h = r // 2
    order = random_orders(n_splits, r, seed).to(x.device)
    values = []
    for i in order.split(rows_at_once(m, max(m, d))):
        a, b = (_mean_of_trials(x, part) for part in (i[:, :h], i[:, h : 2 * h]))
        values.append(distances_of_stacks(metric, a, b))
    replicates = torch.cat(values).double().cpu()
    mean, error = _mean_and_error(replicates)
    return TrialNoise(mean, mean * math.sqrt(h / r), mean * math.sqrt(h / (2 * r)), error, replicates)


def _mean_of_trials(x: Tensor, index: Tensor) -> Tensor:
    """Means of the trials (r, m, d) of each row of the index (B, h); shape (B, m, d)."""
    weights = x.new_zeros(len(index), len(x)).scatter_(1, index, 1 / index.shape[1])
    return torch.einsum("br,rmd->bmd", weights, x)


# ---------------------------------------------------------------------- halves of stimuli


@dataclass(frozen=True)
class Reliability:
    """
    Agreement of the distances between networks on two halves of the stimuli.

    Attributes
    ----------
    correlation : float
        Mean correlation of the two distance matrices, each from half of the stimuli.
    reliability : float
        Correlation to expect between distance matrices from two sets of as many stimuli as were given.
    standard_error : float
        Monte Carlo error of `correlation`.
    replicates : Tensor, shape (n_splits,)
        The correlation for each split.
    """

    correlation: float
    reliability: float
    standard_error: float
    replicates: Tensor

    def __str__(self) -> str:
        return (
            f"reliability {self.reliability:.4g} (halves of stimuli {self.correlation:.4g} "
            f"± {self.standard_error:.1g})"
        )


@torch.no_grad()
def split_half_reliability(
    reps: Sequence[Any] | Tensor, metric: Any, *, n_splits: int = 100, seed: int | torch.Generator = 0
) -> Reliability:
    """
    How well distances between networks on some stimuli predict those on others.

    Parameters
    ----------
    reps : sequence of n >= 3 arrays of shape (m, d_i), or a Tensor of shape (n, m, d)
        Responses to the same stimuli.
    metric : metric or callable
        As in `bootstrap_statistic`.
    n_splits : int
        Random splits of the stimuli into two sets of ``m // 2``.
    seed : int or torch.Generator

    Returns
    -------
    Reliability

    Raises
    ------
    ShapeError, TypeError, ValueError
        Fewer than three networks, too few stimuli, or not finite.
    DegenerateRepresentationError
        All distances of a half are equal, as for identical networks: nothing can be correlated.

    Notes
    -----
    The correlation is Pearson's, of the upper triangles. Spearman and Brown's ``2 r / (1 + r)``, of the mean
    correlation r, extrapolates to the full number of stimuli; it is for positive correlations, and others are
    left as they are. It supposes that the variance of a distance shrinks like one over the stimuli.

    A *bias* of the distance that both halves share, for example with the widths of the networks, counts as
    reliable.

    References
    ----------
    Spearman 1910; Brown 1910.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(40, 5, generator=generator)
    >>> reps = [x * torch.tensor([1.0, 1.0, 1.0, s, s]) for s in (0.1, 0.5, 1.0, 2.0)]
    >>> split_half_reliability(reps, AngularCKA(), n_splits=20).reliability > 0.9
    True
    """
    check_whole(n_splits, "n_splits", 2)
    check_metric(metric)
    xs = as_networks(reps, least=3)
    n, m = len(xs), xs[0].shape[0]
    _check_room(n_splits, m)
    h, fewest = m // 2, int(getattr(metric, "fewest_rows", 2))
    if h < fewest:
        raise ShapeError(
            f"{m} stimuli are too few: halves have {h}, and this metric needs {fewest}. "
            f"Record at least {2 * fewest}."
        )
    order = random_orders(n_splits, m, seed).to(xs[0].device)
    i, j = torch.triu_indices(n, n, 1, device=xs[0].device)
    values = []
    for part in order.split(rows_at_once(h, max(x.shape[1] for x in xs), 2 * n * n)):
        halves = torch.cat([part[:, :h], part[:, h : 2 * h]])
        d = all_distances(metric, [x[halves] for x in xs])[:, i, j].double()
        values.append(_correlations(*d.chunk(2)))
    replicates = torch.cat(values).cpu()
    mean, error = _mean_and_error(replicates)
    return Reliability(mean, 2 * mean / (1 + mean) if mean > 0 else mean, error, replicates)


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlations of rows (B, k); shape (B)."""
    rounding = 1e-7 * torch.maximum(a.abs().amax(-1), b.abs().amax(-1))
    a, b = (v - v.mean(-1, keepdim=True) for v in (a, b))
    u, v = a.norm(dim=-1), b.norm(dim=-1)
    if bool((torch.minimum(u, v) <= rounding).any()):
        raise DegenerateRepresentationError(
            "distances between these networks are all equal in one half of the stimuli, so there is nothing "
            "to correlate. Are they the same network? Leave out copies."
        )
    return (a * b).sum(-1) / (u * v)


# ---------------------------------------------------------------------- unseen stimuli


@dataclass(frozen=True)
class CrossValidated:
    """
    Distance after an alignment that was learned from other stimuli.

    Attributes
    ----------
    distance : float
        Mean over folds of the distance on stimuli that were held out.
    standard_error : float
        Of the mean, as if folds were independent. They share most of what they learn from, and it is somewhat
        too small (Bengio and Grandvalet 2004).
    folds : Tensor, shape (n_splits,)
        Distance on the held-out stimuli of each fold.
    train : Tensor, shape (n_splits,)
        Distance on the stimuli that the alignment was learned from.
    """

    distance: float
    standard_error: float
    folds: Tensor
    train: Tensor

    def __str__(self) -> str:
        return (
            f"{self.distance:.4g} ± {self.standard_error:.1g} on held-out stimuli, "
            f"{float(self.train.mean()):.4g} where aligned"
        )


@torch.no_grad()
def cross_validated_distance(
    x: Any, y: Any, metric: Any, *, n_splits: int = 5, seed: int | torch.Generator = 0
) -> CrossValidated:
    """
    Shape distance on stimuli that centering, whitening and alignment have not seen.

    A rotation of many units can be fitted to a few stimuli even if two networks have nothing in common.
    Learned on some stimuli and scored on others, it shows what they do have in common.

    Parameters
    ----------
    x : Tensor or array, shape (m, d)
    y : Tensor or array, shape (m, e)
        Responses to the same stimuli.
    metric : metric whose space is a `Quotient`
        Such as `SizeAndShape`, `AngularShape`, `PermutationDistance`: it aligns, by ``metric.action``.
    n_splits : int
        Folds of stimuli; each is held out once.
    seed : int or torch.Generator
        Of the random division into folds.

    Returns
    -------
    CrossValidated
        In the unit of the distance. Distances that grow with the number of stimuli are given for m stimuli,
        whatever the size of a fold.

    Raises
    ------
    TypeError
        A metric that aligns nothing.
    ShapeError, ValueError
        Too few stimuli, or not finite.
    DegenerateRepresentationError
        A fold in which all responses are the mean of the others.

    Notes
    -----
    From the training stimuli come the means ``a, b``, linear maps ``V, W`` (whitening or principal axes, or
    nothing), and the group element Q that takes the training point of `y` closest to that of `x`. Held-out
    responses are scored by the norm of ``(x - a) V - (y - b) W Q``, or by the angle between the two terms.
    Without whitening this is what netrep's ``fit`` and ``score`` compute (Williams et al. 2021). The maps are
    read off the training points, which are linear in the centered training responses.

    Held-out distances of *equal* networks are zero, except in directions that no training stimulus has: there
    the rotation is arbitrary, and what the networks have in common is not seen. They are biased upwards, as
    plain distances are downwards; the truth is between. With fewer training stimuli than units the bias is
    large.

    References
    ----------
    Williams et al. 2021; Bengio and Grandvalet 2004.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import SizeAndShape
    >>> x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> cross_validated_distance(x, x.flip(-1), SizeAndShape()).distance < 1e-12
    True
    """
    _check_aligns(metric)
    x, y = as_representation(x, "x"), as_representation(y, "y")
    _checks.check_pair(x, y, "cross_validated_distance()")
    m = x.shape[0]
    fewest = int(getattr(metric, "fewest_rows", 2))
    check_whole(n_splits, "n_splits", 2)
    if n_splits > m or m - math.ceil(m / n_splits) < fewest:
        raise ShapeError(
            f"{m} stimuli in {n_splits} folds leave too few to align by: at least {fewest} are needed "
            "outside of every fold, and one inside. Record more stimuli, or change n_splits."
        )
    order = random_orders(1, m, seed)[0].to(x.device)
    folds, train = [], []
    # Folds differ in size, and the metric fixes its sizes by the training stimuli: one after the other.
    for test in order.tensor_split(n_splits):
        rest = torch.ones(m, dtype=torch.bool, device=x.device).index_fill(0, test, False)
        fitted = metric.resolve([x[rest], y[rest]])
        u, v = _one_width(*(_transformed(fitted, w, rest) for w in (x, y)))
        moved = v @ fitted.action.align(u[rest], v[rest]).rotation.to(v.dtype)
        folds.append(_score(fitted, u[test], moved[test], m))
        train.append(_score(fitted, u[rest], moved[rest], m))
    held_out = torch.stack(folds).double().cpu()
    mean, error = _mean_and_error(held_out)
    return CrossValidated(mean, error, held_out, torch.stack(train).double().cpu())


def _check_aligns(metric: Any) -> None:
    aligns = hasattr(metric, "embed") and hasattr(metric, "action") and not hasattr(metric, "scale")
    if not aligns or isinstance(metric, type):
        raise TypeError(
            "metric must align one network to another, like SizeAndShape(), AngularShape() or "
            f"PermutationDistance(), got {metric!r}. Others learn nothing from the training stimuli: use "
            "bootstrap_distance, which also corrects their bias. Take a metric out of geoopt.Scaled."
        )


def _transformed(metric: Any, w: Tensor, rest: Tensor) -> Tensor:
    """All responses, centered and mapped as their training part `rest` says; shape (m, p)."""
    centered = w - w[rest].mean(0)
    point = metric.embed(w[rest])
    if _is_padding(metric, centered[rest], point):
        return centered
    u, s, vh = finite_svd(centered[rest])
    seen = s > _rounding(centered) * s[0]
    u, s, vh = u[:, seen], s[seen], vh[seen]
    chosen = finite_svd(point)[1]
    unseen = (centered - centered @ vh.mT @ vh).norm() > math.sqrt(_rounding(w)) * centered.norm()
    if bool(unseen) and int((chosen > _rounding(point) * chosen[0]).sum()) == len(s):
        raise ShapeError(
            f"{int(rest.sum())} training stimuli do not say how to transform {w.shape[1]} units: held-out "
            "stimuli move units in directions that none of them does. Record more stimuli, keep fewer "
            "principal components (p=...), or use a metric that does not whiten."
        )
    return centered @ (vh.mT / s) @ (u.mT @ point)


def _is_padding(metric: Any, centered: Tensor, point: Tensor) -> bool:
    """Whether embedding only centers, appends silent units, and does what the metric divides out."""
    a, b = _one_width(centered, point)
    if not metric.action.finite:
        a, b = a @ a.mT, b @ b.mT
    if metric.total.spherical:
        a, b = a / a.norm(), b / b.norm()
    return bool((a - b).norm() <= math.sqrt(torch.finfo(a.dtype).eps) * a.norm())


def _one_width(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    width = max(a.shape[1], b.shape[1])
    a, b = (torch.nn.functional.pad(w, (0, width - w.shape[1])) for w in (a, b))
    return a, b


def _rounding(w: Tensor) -> float:
    return max(w.shape) * torch.finfo(w.dtype).eps


def _score(metric: Any, a: Tensor, b: Tensor, m: int) -> Tensor:
    """Distance of responses that were aligned, for as many as m stimuli."""
    if not metric.total.spherical:
        return (a - b).norm() * math.sqrt(m / len(a))
    sizes = a.norm(), b.norm()
    if min(map(float, sizes)) == 0:
        raise DegenerateRepresentationError(
            f"all {len(a)} stimuli of a fold have the mean response of the others, which has no direction. "
            "Use fewer folds, or a metric of distances such as SizeAndShape()."
        )
    return angle(a / sizes[0], b / sizes[1], 2)


# ---------------------------------------------------------------------- shared


def _check_room(n_splits: int, columns: int) -> None:
    check_room(n_splits, "n_splits", MOST_NUMBERS // columns, hint="100 of them are usual.")


def _mean_and_error(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))
