"""Do groups of networks differ? Tests that need distances only, and one that needs Fréchet means."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.stats.arrangements import as_labels, group_labelings
from repsim_geo.stats.descent import rounding_of_logs
from repsim_geo.stats.distances import as_distances, scale_of
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import as_points, in_span
from repsim_geo.stats.records import TestResult, judged

# Squared distances of a group that agree to so many digits count as if they agreed to no more: the spread of
# equal ones is rounding, and the statistic divides by it.
_SAME = 1e-8


# ---------------------------------------------------------------------------------------------------------
# From distances
# ---------------------------------------------------------------------------------------------------------


def energy_test(
    distances: Any,
    labels: Any,
    *,
    exponent: float = 1.0,
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    restrict: Any = None,
) -> TestResult:
    """
    Whether groups of networks have one distribution, from their distances: the energy test.

    Parameters
    ----------
    distances : Tensor or array, shape (n, n)
        Distances of all networks, of all groups, for example from ``pairwise``.
    labels : sequence, length n
        Group of every network: numbers, strings, anything hashable. Sizes may differ.
    exponent : float
        Power of the distances, between 0 (excluded) and 2.
    n_permutations : int
        If the networks can be assigned to the groups in no more ways than this, all are used, and the
        p-value is exact.
    seed : int or torch.Generator
    restrict : sequence, length n, optional
        Networks change groups only with networks of the same label here: of one family, say, when depth is in
        question.

    Returns
    -------
    TestResult
        The statistic has the unit of the distances to the exponent.

    Raises
    ------
    ShapeError, TypeError, ValueError
        No distance matrix, not finite, fewer than two groups, or no group with two networks.

    Notes
    -----
    With g_ij the mean distance, to the exponent, of networks of group i and of group j (of one group: all
    n_i^2 ordered pairs, zeros included), the statistic is ``sum over i < j of n_i n_j / n (2 g_ij - g_ii -
    g_jj)``. For two groups this is the energy statistic of Székely and Rizzo (2004); for more it is twice the
    between-sample component of DISCO (Rizzo and Székely 2010).

    The p-value is valid for any matrix whatever, since only labels are permuted. Whether enough networks show
    every difference of distributions is another matter: it takes distances of strong negative type (Lyons
    2013). Proven for Euclidean distances, to any exponent below 2, hence for the flat metrics (`Stress`,
    `LogEuclidean`); and for angles on spheres where at most two points are antipodal (Lyons 2020), hence for
    `AngularCKA` without debiasing, whose angles are at most pi/2. Debiased, it has at least negative type,
    so that the statistic is not negative. For shape, affine-invariant, Bures-Wasserstein and Grassmann
    distances we know of no proof. With exponent 2 the test sees means only: it is `permanova`.

    References
    ----------
    Székely and Rizzo 2004; Rizzo and Székely 2010; Lyons 2013, 2020.

    Examples
    --------
    >>> import torch
    >>> place = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    >>> distances = (place[:, None] - place).abs()
    >>> print(energy_test(distances, ["wide"] * 3 + ["deep"] * 3))  # 2 of the 20 assignments are as extreme
    statistic 27.3333, p = 0.1 ± 0 (20 permutations)
    """
    if not (isinstance(exponent, Real) and 0 < exponent <= 2):
        raise ValueError(f"exponent must be above 0 and at most 2, got {exponent!r}. 1 is usual.")
    distances, codes, _ = _as_groups(distances, labels)
    labelings, exact = group_labelings(codes, n_permutations, seed, restrict)
    # In a unit of their own, in which no power over- or underflows.
    scale = scale_of(distances)
    unit = distances.new_tensor(scale).pow(float(exponent))
    between = _components((distances / scale).pow(exponent), labelings)[0]
    if not bool((between * unit).isfinite().all()):
        raise ValueError(
            f"distances must have a finite power {exponent:g}, got up to {float(distances.max()):.3g}. "
            "Divide them by the largest: the p-value stays the same."
        )
    result = judged(float(between[0]), between[1:], exact=exact)
    return replace(result, statistic=float(between[0] * unit), null=between[1:] * unit)


def permanova(
    distances: Any,
    labels: Any,
    *,
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    restrict: Any = None,
) -> TestResult:
    """
    Whether groups of networks have one mean, from their distances: permutational analysis of variance.

    Parameters
    ----------
    distances : Tensor or array, shape (n, n)
    labels : sequence, length n
        Group of every network.
    n_permutations : int
    seed : int or torch.Generator
    restrict : sequence, length n, optional
        Networks change groups only with networks of the same label here: of one family, say, when depth is in
        question.

    Returns
    -------
    TestResult
        The statistic is pseudo-F, dimensionless: squared distances between groups over those within, each
        divided by its degrees of freedom. Infinite if the networks of every group coincide; 0 if all do.

    Raises
    ------
    ShapeError, TypeError, ValueError
        As `energy_test`.

    Notes
    -----
    For Euclidean distances of points on a line pseudo-F is the F of classical analysis of variance. Groups
    of unequal sizes that differ in spread, and not in mean, are noticed too (Anderson and Walsh 2013).

    References
    ----------
    Anderson 2001.

    Examples
    --------
    >>> import torch
    >>> place = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    >>> permanova((place[:, None] - place).abs(), [0, 0, 0, 1, 1, 1]).statistic  # 150 / 1 over 4 / 4
    150.0
    """
    distances, codes, names = _as_groups(distances, labels)
    labelings, exact = group_labelings(codes, n_permutations, seed, restrict)
    # F has no unit: in one of their own the squares neither over- nor underflow.
    between, within = _components((distances / scale_of(distances)).square(), labelings)
    # F rises with the part between groups, which is finite where F is not.
    result = judged(float(between[0]), between[1:], exact=exact)
    n, k = len(codes), len(names)
    ratio = torch.where(between > 0, between / within * ((n - k) / (k - 1)), 0.0)
    return replace(result, statistic=float(ratio[0]), null=ratio[1:])


def _as_groups(distances: Any, labels: Any) -> tuple[Tensor, Tensor, tuple[Hashable, ...]]:
    distances = as_distances(distances, precise=True)
    codes, names = _checked_labels(labels, distances.shape[0], least=2)
    return distances, codes, names


def _checked_labels(labels: Any, n: int, *, least: int) -> tuple[Tensor, tuple[Hashable, ...]]:
    codes, names = as_labels(labels, n)
    if len(names) < 2:
        raise ValueError(
            f"labels must name at least two groups, got {', '.join(map(repr, names)) or 'none'} only. "
            "A test of groups compares groups."
        )
    if int(codes.bincount().max()) < least:
        raise ValueError(
            "some group must have at least two networks, got one network in each. "
            "Without two of a kind there is nothing to compare with; add networks or merge groups."
        )
    return codes, names


def _components(values: Tensor, labelings: Tensor) -> tuple[Tensor, Tensor]:
    """
    Energy between groups, and within them; each of shape (n_labelings,).

    Their sum is the same for all labelings: n times the mean of all values.
    """
    n, k = values.shape[0], int(labelings.max()) + 1
    sizes = labelings[0].bincount().to(values)
    within = []
    for part in labelings.to(values.device).split(max(1, BLOCK_ELEMENTS // (n * k))):
        member = torch.nn.functional.one_hot(part, k).to(values)  # (chunk, n, k)
        # All permutations in one product of matrices.
        reach = (values @ member.movedim(0, 1).flatten(1)).unflatten(1, (-1, k)).movedim(1, 0)
        within.append(((member * reach).sum(1) / sizes).sum(-1))
    within = torch.cat(within)
    return values.sum() / n - within, within


# ---------------------------------------------------------------------------------------------------------
# From means
# ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrechetAnova(TestResult):
    """
    Outcome of a Fréchet analysis of variance.

    Attributes
    ----------
    statistic, pvalue, standard_error, null
        As of any `TestResult`.
    asymptotic_pvalue : float
        From the chi-squared distribution with k - 1 degrees of freedom, which is the limit for large groups.
    groups : tuple
        The labels, in the order of `variances`.
    variances : Tensor, shape (k,)
        Fréchet variance of every group, in squared units of the distance.
    pooled_variance : float
        Fréchet variance of all networks together.
    """

    asymptotic_pvalue: float
    groups: tuple[Hashable, ...]
    variances: Tensor
    pooled_variance: float


def frechet_anova(
    manifold: Manifold,
    points: Any,
    labels: Any,
    *,
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    restrict: Any = None,
) -> FrechetAnova:
    """
    Whether groups of networks have one Fréchet mean and one Fréchet variance.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `FrechetMean` needs. Where it says that it is ``flat`` or ``spherical``, this is used.
    points : Tensor or array, shape (n, *point)
        Networks of all groups.
    labels : sequence, length n
        Group of every network. Every group needs three: two are equally far from their mean, so that nothing
        is known about the error of their variance.
    n_permutations : int
        If the networks can be assigned to the groups in no more ways than this, all are used, and the
        p-value is exact.
    seed : int or torch.Generator
    restrict : sequence, length n, optional
        Networks change groups only with networks of the same label here: of one family, say, when depth is in
        question.

    Returns
    -------
    FrechetAnova
        The statistic is dimensionless.

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError

    Warns
    -----
    ConvergenceWarning
        From `FrechetMean`, if a mean was not found in time; the permutation p-value remains valid.

    Notes
    -----
    V is the variance of all n networks, V_j that of group j around its own mean, l_j = n_j / n its share, and
    s_j^2 the variance of its squared distances. Means that differ raise ``F = V - sum l_j V_j``; variances
    that differ raise ``U = sum over i < j of l_i l_j / (s_i s_j)^2 (V_i - V_j)^2``. The statistic is
    ``n U / sum(l_j / s_j^2) + n F^2 / sum(l_j^2 s_j^2)`` (Dubey and Müller 2019). Its limit needs a unique
    mean; the permutation p-value does not.

    Trust the asymptotic p-value for large groups only. Without any difference F is about ``(k - 1) V / n``,
    and in many dimensions all squared distances are nearly equal, so that s_j is small: with few networks F
    looks large and the asymptotic p-value is far too small. The permutation p-value is right for any size.

    Cost: k means for every permutation, in batches. On flat manifolds they follow from the distances alone;
    on spheres from coordinates in the span of the data, whatever the size of a point. Elsewhere every step of
    a mean costs n logarithms: for shapes of many networks start with few permutations.

    Delicate: s_j is never taken for less than 1e-8 of V, which matters only for groups whose members are
    equally far from their mean.

    References
    ----------
    Dubey and Müller 2019.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> points = torch.tensor([0.0, 1.0, 3.0, 10.0, 11.0, 13.0])[:, None]
    >>> print(frechet_anova(Flat(ndim=1), points, ["a"] * 3 + ["b"] * 3))
    statistic 6198.98, p = 0.1 ± 0 (20 permutations)
    """
    points = as_points(manifold, points)
    points = manifold.projx(working_precision(points))
    codes, names = _checked_labels(labels, points.shape[0], least=1)
    sizes = codes.bincount()
    if int(sizes.min()) < 3:
        few = names[int(sizes.argmin())]
        raise ValueError(
            f"every group must have at least three networks, got {int(sizes.min())} in {few!r}. "
            "Add networks, or use energy_test, which can do with fewer."
        )
    labelings, exact = group_labelings(codes, n_permutations, seed, restrict)
    with torch.no_grad():
        variances, errors, pooled = _spreads(manifold, points, labelings.to(points.device), sizes.tolist())
    same = float(pooled) <= float(rounding_of_logs(manifold, points)) ** 2
    values = _statistic(variances, errors, pooled, sizes.to(variances), same=same)
    # Values differ by powers of ten where groups have hardly any spread. Ties are recognized relative to the
    # largest one; the logarithm brings it near the others.
    logs = values.log1p()
    result = judged(float(logs[0]), logs[1:], exact=exact)
    chi2 = torch.special.gammaincc(values.new_tensor((len(names) - 1) / 2), values[0] / 2)
    return FrechetAnova(
        statistic=float(values[0]),
        pvalue=result.pvalue,
        standard_error=result.standard_error,
        null=values[1:],
        asymptotic_pvalue=float(chi2),
        groups=names,
        variances=variances[0],
        pooled_variance=float(pooled),
    )


def _statistic(variances: Tensor, errors: Tensor, pooled: Tensor, sizes: Tensor, *, same: bool) -> Tensor:
    """
    Statistic of Dubey and Müller from V_j and s_j^2, shape (n_labelings, k), and V; shape (n_labelings,).

    Zero if all networks are the same: what is left is rounding.
    """
    if same:
        return torch.zeros_like(variances[:, 0])
    # Dimensionless from here on, so that nothing overflows.
    variances, errors = variances / pooled, (errors / pooled.square()).clamp_min(_SAME**2)
    share = sizes / sizes.sum()
    # The sum over pairs divided by the sum of weights is a weighted variance, which loses no digits.
    weights = sizes / errors
    center = (weights * variances).sum(-1, keepdim=True) / weights.sum(-1, keepdim=True)
    spread = (weights * (variances - center).square()).sum(-1)
    location = 1 - (share * variances).sum(-1)
    return spread + sizes.sum() * location.square() / (share.square() * errors).sum(-1)


def _spreads(
    manifold: Any, points: Tensor, labelings: Tensor, sizes: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """V_j and s_j^2 of the groups of every labeling, each (n_labelings, k), and V of all points."""
    members = labelings.argsort(dim=-1, stable=True).split(sizes, -1)  # k tensors (n_labelings, n_j)
    if getattr(manifold, "flat", False):
        d2 = manifold.cdist(points, points).square()
        groups = [_in_flat(d2, part) for part in members]
        pooled = d2.mean() / 2
    else:
        # A Scaled sphere is spherical too, but its distances are not angles.
        if getattr(manifold, "spherical", False) and not hasattr(manifold, "scale"):
            manifold, points = UnitSphere(1), in_span(points)[1]
        pooled_mean = FrechetMean(manifold).fit(points)
        groups = [_in_general(manifold, points, part, pooled_mean.mean_) for part in members]
        pooled = pooled_mean.variance_
    variances, errors = (torch.stack(columns, -1) for columns in zip(*groups, strict=True))
    return variances, errors, pooled


def _in_flat(d2: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and its error from squared distances: that to a mean is the mean one less the variance."""
    n = members.shape[-1]
    spreads = []
    for part in members.split(max(1, BLOCK_ELEMENTS // n**2)):
        to_others = d2[part[:, :, None], part[:, None, :]].mean(-1)
        variance = to_others.mean(-1) / 2
        to_mean = to_others - variance[:, None]
        spreads.append((variance, (to_mean - variance[:, None]).square().mean(-1)))
    variances, errors = (torch.cat(values) for values in zip(*spreads, strict=True))
    return variances, errors


def _in_general(manifold: Any, points: Tensor, members: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    n, ndim = members.shape[-1], manifold.ndim
    init: Any = "medoid" if getattr(manifold, "spherical", False) else start
    spreads = []
    for part in members.split(max(1, BLOCK_ELEMENTS // (n * max(n, points[0].numel())))):
        group = points[part]  # (chunk, n, *point)
        mean = FrechetMean(manifold, init=init).fit(group)
        d2 = manifold.dist(mean.mean_.unsqueeze(-ndim - 1), group).square()
        variance = d2.mean(-1)
        spreads.append((variance, (d2 - variance[:, None]).square().mean(-1)))
    variances, errors = (torch.cat(values) for values in zip(*spreads, strict=True))
    return variances, errors
