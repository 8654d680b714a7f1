"""Are two representations more alike than with their inputs shuffled? Tests, and scores with a true zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from geoopt.manifolds.scaled import Scaled
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.activations import as_labeled_as
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.stats.arrangements import row_orders
from repsim_geo.stats.points import as_one_number, check_metric, named
from repsim_geo.stats.records import TestResult, check_tail, judged

# ---------------------------------------------------------------------------------------------------------
# Orders of the inputs
# ---------------------------------------------------------------------------------------------------------


# ---------------------------------------------------------------------------------------------------------
# One pair
# ---------------------------------------------------------------------------------------------------------


def permutation_test(
    x: Any,
    y: Any,
    distance: Any,
    *,
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    tail: str = "lower",
    restrict: Any = None,
) -> TestResult:
    """
    Whether two representations are closer than when the inputs of one are shuffled.

    Parameters
    ----------
    x, y : Tensor or array, shape (m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Widths may differ.
    distance : metric, (nn.Module, geoopt.Manifold) or callable
        A metric such as ``AngularCKA()``, an embedding with a manifold, or any function of two activations
        that returns a number. A metric compares all permutations in batches; a function is called once for
        each.
    n_permutations : int
        If the inputs have no more orders than this, all of them are used, and the p-value is exact.
    seed : int or torch.Generator
    tail : "lower", "upper" or "both"
        What counts as extreme: "lower" for distances, "upper" for similarities.
    restrict : sequence of labels, length m, optional
        Inputs change places only within their label: class, session, recording. Needed where inputs of
        different labels are not exchangeable; then a small p-value says that the representations agree on
        more than the labels.

    Returns
    -------
    TestResult
        The statistic is the distance, in its own unit.

    Raises
    ------
    ShapeError, TypeError, ValueError, DegenerateRepresentationError
        As the metric does, or a distance that is not a finite number.

    Notes
    -----
    Under the null hypothesis the pairing of the inputs carries nothing: given the two sets of rows, all
    pairings are equally likely. Inputs that depend on each other (frames of a film, several views of one
    object) violate this and make p-values too small; permute them in blocks, or thin them out.

    Delicate: computed in float64, because pairings that give the same distance must count as ties.

    References
    ----------
    Phipson and Smyth 2010.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> x, y = torch.tensor([[[0.0], [1.0], [2.0], [4.0], [7.0]], [[1.0], [1.0], [2.0], [4.0], [8.0]]])
    >>> print(permutation_test(x, y, AngularCKA()))  # two of the 5! orders are as good: y has a tie
    statistic 0.256255, p = 0.01667 ± 0 (120 permutations)
    """
    check_tail(tail)
    observed, null, exact = _shuffled([x], [y], distance, n_permutations, seed, restrict)
    return judged(float(observed), null.flatten(), tail=tail, exact=exact)


@dataclass(frozen=True)
class Calibration(TestResult):
    """
    A distance or similarity on a scale where 0 is chance and 1 is perfect.

    Attributes
    ----------
    statistic, pvalue, standard_error, null
        As of any `TestResult`; the statistic is the raw distance or similarity.
    score : float
        0 if the raw value is within what chance reaches with probability ``1 - alpha``, 1 if it is the best
        possible, and linear between. Not negative. If there is no best value: how far the raw value is
        beyond the threshold, in its own unit.
    threshold : float
        The value that chance passes with probability alpha.
    threshold_error : float
        Monte Carlo error of the threshold; zero if all arrangements were enumerated.
    """

    score: float
    threshold: float
    threshold_error: float

    @property
    def null_mean(self) -> float:
        """What the raw value is by chance, on average."""
        return float(self.null.mean())

    def __str__(self) -> str:
        return (
            f"score {self.score:.4g}, raw {self.statistic:.6g} against {self.threshold:.6g} by chance, "
            f"p = {self.pvalue:.4g} ± {self.standard_error:.1g} ({self.null.shape[0]} permutations)"
        )


def calibrate(
    x: Any,
    y: Any,
    distance: Any,
    *,
    similarity: bool = False,
    alpha: float = 0.05,
    best: float | None = None,
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    restrict: Any = None,
) -> Calibration:
    """
    A distance or similarity, corrected for what it is by chance.

    Parameters
    ----------
    x, y : Tensor or array, shape (m, d)
    distance : metric, (nn.Module, geoopt.Manifold) or callable
        As for `permutation_test`.
    similarity : bool
        Whether large values mean alike: for functions such as ``cka``.
    alpha : float
        Level of the threshold, between 0 and 1.
    best : float, optional
        Value of representations that could not be more alike. Default 0 for a distance and 1 for a
        similarity; infinite (of either sign) where there is none.
    n_permutations : int
    seed : int or torch.Generator
    restrict : sequence of labels, length m, optional
        As for `permutation_test`.

    Returns
    -------
    Calibration

    Raises
    ------
    ShapeError, TypeError, ValueError, DegenerateRepresentationError

    Notes
    -----
    For a similarity s, its values s_1, ..., s_K with the inputs of `y` shuffled and the best value b: the
    threshold t is the ``ceil((1 - alpha) (K + 1))``-th smallest of s, s_1, ..., s_K, and the score is
    ``max(0, (s - t) / (b - t))``. This is Algorithm 1 of Gröger, Wen and Brbić (2026). Under the null
    hypothesis the score is positive with probability alpha at most. A distance d is calibrated as the
    similarity -d: ``max(0, 1 - d / t)`` with the lower quantile t.

    Wide networks have a small angular distance whatever they do; calibrated, they have score 0 unless they
    agree. With fewer than ``1 / alpha`` arrangements nothing can pass the threshold and the score is 0.

    References
    ----------
    Gröger et al. 2026.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 20, 500, generator=generator)
    >>> result = calibrate(x, y, AngularCKA())  # unrelated, but wide
    >>> round(result.statistic, 1), result.score
    (0.3, 0.0)
    >>> calibrate(x, 2 * x, AngularCKA()).score
    1.0
    """
    best = _checked_options(distance, similarity, alpha, best)
    observed, null, exact = _shuffled([x], [y], distance, n_permutations, seed, restrict)
    return _calibrated(float(observed), null.flatten(), exact, similarity, alpha, best)


# ---------------------------------------------------------------------------------------------------------
# All pairs of layers
# ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CalibratedTable:
    """
    Distances or similarities of all pairs of layers, corrected for chance and for the number of pairs.

    Attributes
    ----------
    raw : Tensor, shape (a, b)
    score : Tensor, shape (a, b)
        As of a `Calibration`, with the threshold that the best of all pairs passes by chance with
        probability alpha; the largest score is that of `best`.
    pvalue : Tensor, shape (a, b)
        Of every pair on its own, as if it were the only one.
    adjusted : Tensor, shape (a, b)
        Of every pair among all: the share of arrangements in which some pair is at least as good. The
        probability that any unrelated pair is below alpha is alpha at most.
    null_mean : Tensor, shape (a, b)
        What the raw values are by chance, on average.
    best : Calibration
        Of the best pair; its null distribution is that of the best of all pairs.
    """

    raw: Tensor
    score: Tensor
    pvalue: Tensor
    adjusted: Tensor
    null_mean: Tensor
    best: Calibration

    @property
    def standard_error(self) -> Tensor:
        """Monte Carlo error of `adjusted`; zero if all arrangements were enumerated; shape (a, b)."""
        if self.best.standard_error == 0:
            return torch.zeros_like(self.adjusted)
        return (self.adjusted * (1 - self.adjusted) / (1 + self.best.null.shape[0])).sqrt()

    def __str__(self) -> str:
        a, b = self.raw.shape
        i, j = divmod(int(self.score.argmax()), b)
        alike = int((self.adjusted <= 0.05).sum())
        raw, chance, p = (float(w[i, j]) for w in (self.raw, self.null_mean, self.adjusted))
        return (
            f"{a} x {b} pairs, {alike} of them more alike than by chance (adjusted p <= 0.05); best pair "
            f"({i}, {j}): raw {raw:.4g}, by chance {chance:.4g}, adjusted p = {p:.2g}"
        )


def calibrate_table(
    reps_x: Sequence[Any],
    reps_y: Sequence[Any],
    distance: Any,
    *,
    similarity: bool = False,
    alpha: float = 0.05,
    best: float | None = None,
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    restrict: Any = None,
) -> CalibratedTable:
    """
    All layers of one network against all of another, corrected for chance and for looking at many pairs.

    Parameters
    ----------
    reps_x : sequence of a Tensors or arrays, shape (m, d_i)
    reps_y : sequence of b Tensors or arrays, shape (m, d_j)
    distance, similarity, alpha, best, n_permutations, seed, restrict
        As for `calibrate`.

    Returns
    -------
    CalibratedTable

    Raises
    ------
    ShapeError, TypeError, ValueError, DegenerateRepresentationError

    Notes
    -----
    Whoever reports the best of many pairs must compare it with the best of many pairs by chance. One shuffle
    of the inputs is applied to all layers of the second network, the best value of the whole table is kept,
    and its quantile is the threshold: Algorithm 2 of Gröger, Wen and Brbić (2026), with the maximum. Adjusted
    p-values are those of Westfall and Young (1993), in one step. They compare raw values, so pairs whose
    chance values are better than those of others decide what the others must reach.

    References
    ----------
    Gröger et al. 2026; Westfall and Young 1993.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> x, y = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0))
    >>> table = calibrate_table([x, y], [x + 0.1 * y], AngularCKA())
    >>> table.adjusted < 0.05
    tensor([[ True],
            [False]])
    """
    best = _checked_options(distance, similarity, alpha, best)
    raw, null, exact = _shuffled(reps_x, reps_y, distance, n_permutations, seed, restrict)
    extreme = null.amax((-2, -1)) if similarity else null.amin((-2, -1))
    n = null.shape[0]
    slack = 1e-10 * torch.maximum(null.abs().amax(0), raw.abs())  # for ties, as in `judged`

    def share(null: Tensor) -> Tensor:
        """P-values of the raw values among the null."""
        as_good = (null >= raw - slack) if similarity else (null <= raw + slack)
        count = as_good.sum(0).to(raw)
        return count / n if exact else (1 + count) / (1 + n)

    top = float(raw.max() if similarity else raw.min())
    calibrated = _calibrated(top, extreme, exact, similarity, alpha, best)
    return CalibratedTable(
        raw=raw,
        score=_score(raw, calibrated.threshold, similarity, best),
        pvalue=share(null),
        adjusted=share(extreme[:, None, None]),
        null_mean=null.mean(0),
        best=calibrated,
    )


# ---------------------------------------------------------------------------------------------------------
# How it is done
# ---------------------------------------------------------------------------------------------------------


def _checked_options(distance: Any, similarity: bool, alpha: float, best: float | None) -> float:
    """Best value, after a look at what belongs to it."""
    if similarity and hasattr(distance, "embed"):
        raise ValueError(
            "similarity=True needs a function that is large for what is alike, got "
            f"{type(distance).__name__}, which is a distance. Leave similarity out."
        )
    if not (isinstance(alpha, Real) and 0 < alpha < 1):
        raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}. 0.05 is usual.")
    best = (1.0 if similarity else 0.0) if best is None else best
    if not isinstance(best, Real) or math.isnan(best):
        raise ValueError(f"best must be a number or infinite, got {best!r}. Leave it out for the usual one.")
    return float(best)


def _calibrated(
    raw: float, null: Tensor, exact: bool, similarity: bool, alpha: float, best: float
) -> Calibration:
    sign = 1 if similarity else -1
    result = judged(raw, null, tail="upper" if similarity else "lower", exact=exact)
    # The given arrangement is one of all; among a sample it has to be added.
    everything = sign * (null if exact else torch.cat([null.new_tensor([raw]), null]))
    sorted_values = everything.sort().values
    n = sorted_values.shape[0]
    # Rounded, because (1 - 0.05) * 1000 need not be 950.
    rank = math.ceil(round((1 - alpha) * n, 9))
    spread = 0.0 if exact else math.sqrt(n * alpha * (1 - alpha))
    low, high = max(1, math.floor(rank - spread)), min(n, math.ceil(rank + spread))
    threshold = sign * float(sorted_values[rank - 1])
    error = float(sorted_values[high - 1] - sorted_values[low - 1]) / 2
    score = float(_score(torch.tensor(raw, dtype=torch.float64), threshold, similarity, best))
    return Calibration(result.statistic, result.pvalue, result.standard_error, null, score, threshold, error)


def _score(raw: Tensor, threshold: float, similarity: bool, best: float) -> Tensor:
    sign = 1 if similarity else -1
    beyond = sign * (raw - threshold)
    # What differs from the threshold by rounding only is the threshold.
    beyond = torch.where(beyond > 1e-10 * abs(threshold), beyond, 0.0)
    if math.isinf(best):
        return beyond
    room = sign * (best - threshold)
    return (beyond / room).clamp_max(1.0) if room > 0 else torch.zeros_like(beyond)


def _shuffled(
    reps_x: Sequence[Any],
    reps_y: Sequence[Any],
    distance: Any,
    n_permutations: int,
    seed: int | torch.Generator,
    restrict: Any,
) -> tuple[Tensor, Tensor, bool]:
    """
    Distances (a, b) of all pairs, the same (n, a, b) with rows of the second shuffled, and whether n is all.

    One order serves all pairs.
    """
    check_metric(distance, "distance", pairs=True)
    xs, ys = _layers(reps_x, "x", distance), _layers(reps_y, "y", distance)
    for i, rep in enumerate([*xs, *ys]):
        _checks.check_pair(xs[0], rep, "The test", ("x", "y" if i >= len(xs) else "x"), batched=False)
    m = xs[0].shape[-2]
    orders, exact = row_orders(m, n_permutations, seed, restrict)
    given = torch.arange(m)[None]
    orders = torch.cat([given, orders]).to(xs[0].device)
    with torch.no_grad():
        prepare, prepare_all, between = _comparison(distance, [*xs, *ys])
        with named("x"):
            prepared = [prepare(x) for x in xs]
        with named("y"):
            columns = [
                torch.cat(
                    [
                        torch.stack([working_precision(between(x, b)) for x in prepared], -1)
                        for b in map(prepare_all, _in_chunks(y, orders))
                    ]
                )
                for y in ys
            ]
    values = torch.stack(columns, -1)
    if not bool(values.isfinite().all()):
        raise ValueError(
            f"distances must be finite, got nan or infinity in {int((~values.isfinite()).sum())} of "
            f"{values.numel()}. Look at the activations, or at the function that compares them."
        )
    return values[0], values[1:], exact


def _layers(reps: Any, name: str, distance: Any) -> list[Tensor]:
    if isinstance(reps, Tensor) or not isinstance(reps, Sequence) or not len(reps):
        raise TypeError(
            f"reps_{name} must be a list of activations (m, d), one for each layer, got "
            f"{type(reps).__name__}. Put a single one in a list."
        )
    given = [_checks.as_activations(rep, name) for rep in reps]
    layers = [as_labeled_as(working_precision(x.detach()), x) for x in given]
    for layer in layers:
        _checks.check_finite(layer, name)
        if layer.dim() > 2 and not getattr(distance, "takes_repeats", False):
            raise ShapeError(
                f"{name} must have shape (m, d), one representation, got {tuple(layer.shape)}. "
                "Call once for each entry of a batch."
            )
    return layers


def _in_chunks(y: Tensor, orders: Tensor) -> Iterator[Tensor]:
    """The representation with its rows in every order; shapes (chunk, ..., m, d)."""
    m = y.shape[-2]
    rows = y.movedim(-2, 0)
    for part in orders.split(max(1, BLOCK_ELEMENTS // max(y.numel(), m * m))):
        yield rows[part].movedim(1, -2)


def _comparison(distance: Any, reps: list[Tensor]) -> tuple[Callable, Callable, Callable]:
    """What to do once for one representation, once for a stack of them, and for one with a stack."""
    if isinstance(distance, tuple):
        embedding, manifold = distance
        return embedding, embedding, manifold.dist
    if isinstance(distance, Scaled):
        raise TypeError(
            "distance must be a metric that is not scaled, got geoopt.Scaled. P-values and scores do not "
            "depend on the scale: pass the metric inside."
        )
    if hasattr(distance, "embed"):
        metric = distance.resolve(reps)
        prepare = getattr(metric, "prepare", metric.embed)
        between = getattr(metric, "between", metric.dist)
        if getattr(metric, "takes_repeats", False):  # which leaves no axis for a batch
            return prepare, lambda stack: torch.stack([prepare(rep) for rep in stack]), between
        return prepare, prepare, between

    def one_by_one(x: Tensor, stack: Tensor) -> Tensor:
        return torch.stack([as_one_number(distance(x, y), "distance").to(x) for y in stack])

    return (lambda x: x), (lambda stack: stack), one_by_one
