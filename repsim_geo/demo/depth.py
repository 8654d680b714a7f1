"""Does depth matter? Tests of networks that differ in nothing else, and geodesic regression on depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from repsim_geo.demo.networks import Population
from repsim_geo.demo.points import last_hidden_points

if TYPE_CHECKING:
    from repsim_geo.stats.group_tests import FrechetAnova
    from repsim_geo.stats.records import TestResult

_SHUFFLES = 999
# Enough to list every assignment of eight networks to two depths (70), and of twelve to three (34650).
_ALL_ASSIGNMENTS = 40_000


@dataclass(frozen=True)
class Contrast:
    """
    Networks of one family and one width that differ in depth.

    Attributes
    ----------
    family : str
    width : int
    depths : list of int
        Different depths, rising.
    members : list of int
        Positions of the networks in the population.
    energy : TestResult
        Energy test of their distances; statistic in radians.
    anova : FrechetAnova
        Fréchet analysis of variance of their points.
    """

    family: str
    width: int
    depths: list[int]
    members: list[int]
    energy: TestResult
    anova: FrechetAnova

    @property
    def name(self) -> str:
        """Such as ``MLP, width 128``."""
        return f"{self.family}, width {self.width}"

    @property
    def explained(self) -> float:
        """Share of the variance of these networks that goes with depth; all depths have equally many."""
        return 1 - float(self.anova.variances.mean()) / self.anova.pooled_variance

    @property
    def chance(self) -> float:
        """What that share would be if depth meant nothing."""
        return (len(self.depths) - 1) / (len(self.members) - 1)


@dataclass(frozen=True)
class Together:
    """
    One test from several independent ones: the sum of their statistics.

    Attributes
    ----------
    statistic : float
    pvalue : float
        Share of all assignments whose sum is at least as large.
    n_assignments : int
        How many there are.
    """

    statistic: float
    pvalue: float
    n_assignments: int


@dataclass(frozen=True)
class Regression:
    """
    Geodesic regression of last hidden layers on depth.

    Attributes
    ----------
    name : str
        Family, or ``all networks``.
    members : list of int
        Positions of the networks.
    depths : list of int
        Different depths, rising.
    r2 : float
        Share of the variance that the geodesic explains.
    test : TestResult
        Of R2, by shuffling depths.
    slope : float
        Radians per hidden layer.
    middle : float
        Mean depth.
    positions : Tensor, shape (k,)
        Where along the geodesic each network lies, in radians from the point at the mean depth.
    to_labels : list of float
        Distance from the geodesic at each of `depths` to the one-hot labels, in radians.
    """

    name: str
    members: list[int]
    depths: list[int]
    r2: float
    test: TestResult
    slope: float
    middle: float
    positions: Tensor
    to_labels: list[float]


@dataclass(frozen=True)
class Depth:
    """
    What depends on depth.

    Attributes
    ----------
    contrasts : list of Contrast
        One for each family and width that comes in several depths.
    together : Together or None
        All contrasts in one energy test; None where there is none.
    same_seed, other_seed : float
        Mean distance of networks of one contrast that differ in depth, from one seed and from two, in
        radians; nan where there are none.
    regressions : list of Regression
        Of each family with several depths, then of all networks.
    """

    contrasts: list[Contrast]
    together: Together | None
    same_seed: float
    other_seed: float
    regressions: list[Regression]

    @property
    def families(self) -> list[Regression]:
        """Regressions within one family."""
        return self.regressions[:-1]


def examine_depth(population: Population, distances: Tensor) -> Depth:
    """
    Test whether depth matters, and fit a geodesic to it.

    Parameters
    ----------
    population : Population
        Trained networks.
    distances : Tensor, shape (n, n)
        AngularCKA distances of their last hidden layers, in radians.

    Returns
    -------
    Depth
    """
    metric, points = last_hidden_points(population)
    contrasts = _contrasts(population, distances, metric, points)
    target = metric.embed(population.targets.double())
    groups = {family: _where(population, family=family) for family in _values(population, "family")}
    groups["all networks"] = list(range(len(points)))
    regressions = [
        _regress(name, members, population, metric, points, target)
        for name, members in groups.items()
        if len(_depths(population, members)) > 1
    ]
    return Depth(
        contrasts=contrasts,
        together=combine([contrast.energy for contrast in contrasts]) if contrasts else None,
        **_seed_distances(population, distances, contrasts),
        regressions=regressions,
    )


def combine(results: Sequence[TestResult]) -> Together:
    """
    Exact test of a sum of statistics, from tests whose assignments were all listed.

    Parameters
    ----------
    results : sequence of TestResult
        Of separate networks, each with every assignment in ``null``; large statistics are extreme.

    Returns
    -------
    Together

    Notes
    -----
    Under the hypothesis every combination of assignments is equally likely. The sums of one half of the
    tests are looked up in the sorted sums of the other half, so that they need not all be formed.

    Examples
    --------
    >>> from repsim_geo import energy_test
    >>> place = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    >>> one = energy_test((place[:, None] - place).abs(), [0, 0, 0, 1, 1, 1])  # 2 of 20 are as extreme
    >>> combine([one, one]).pvalue, combine([one, one]).n_assignments
    (0.01, 400)
    """
    if any(result.standard_error for result in results):
        raise ValueError(
            "results must be exact, with every assignment listed, got a sample of them. Raise n_permutations."
        )
    half = len(results) // 2
    first, second = (_all_sums(part) for part in (results[:half], results[half:]))
    statistic = sum(result.statistic for result in results)
    # Sums that differ by rounding only are ties.
    least = statistic * (1 - 1e-10) - first
    below = torch.searchsorted(second.sort().values, least)
    n = len(first) * len(second)
    return Together(statistic, (n - int(below.sum())) / n, n)


def _all_sums(results: Sequence[TestResult]) -> Tensor:
    sums = torch.zeros(1, dtype=torch.float64)
    for result in results:
        sums = (sums[:, None] + result.null.double()).flatten()
    return sums


def _contrasts(population: Population, distances: Tensor, metric: Any, points: Tensor) -> list[Contrast]:
    import repsim_geo

    found = []
    for family in _values(population, "family"):
        for width in _values(population, "width"):
            members = _where(population, family=family, width=width)
            depths = _depths(population, members)
            if len(depths) < 2:
                continue
            labels = [population.networks[i].depth for i in members]
            among = distances[members][:, members]
            energy = repsim_geo.energy_test(among, labels, n_permutations=_ALL_ASSIGNMENTS)
            anova = repsim_geo.frechet_anova(metric, points[members], labels, n_permutations=_ALL_ASSIGNMENTS)
            found.append(Contrast(family, width, depths, members, energy, anova))
    return found


def _regress(
    name: str, members: list[int], population: Population, metric: Any, points: Tensor, target: Tensor
) -> Regression:
    import repsim_geo

    depth = torch.tensor([population.networks[i].depth for i in members], dtype=points.dtype)
    group = points[members]
    line = repsim_geo.GeodesicRegression(metric).fit(depth, group)
    depths = _depths(population, members)
    logs = metric.logmap(line.intercept_, group)
    along = metric.inner(line.intercept_, logs, line.slope_.expand_as(logs)).flatten()
    at_depths = line.predict(torch.tensor(depths, dtype=points.dtype))
    return Regression(
        name=name,
        members=members,
        depths=depths,
        r2=line.r2_,
        test=line.permutation_test(depth, group, n_permutations=_SHUFFLES),
        slope=line.slope_norm_,
        middle=line.covariate_mean_,
        positions=along / line.slope_norm_ if line.slope_norm_ > 0 else along,
        to_labels=metric.dist(at_depths, target).tolist(),
    )


def _seed_distances(
    population: Population, distances: Tensor, contrasts: Sequence[Contrast]
) -> dict[str, float]:
    """Mean distances across depths within contrasts, of pairs from the same seed and from different ones."""
    networks = population.networks
    same, other = [], []
    for contrast in contrasts:
        for i, j in combinations(contrast.members, 2):
            if networks[i].depth != networks[j].depth:
                pairs = same if networks[i].seed == networks[j].seed else other
                pairs.append(float(distances[i, j]))
    means = [math.fsum(pairs) / len(pairs) if pairs else math.nan for pairs in (same, other)]
    return {"same_seed": means[0], "other_seed": means[1]}


def _values(population: Population, fact: str) -> list[Any]:
    return list(dict.fromkeys(getattr(network, fact) for network in population.networks))


def _where(population: Population, **facts: Any) -> list[int]:
    return [
        i
        for i, network in enumerate(population.networks)
        if all(getattr(network, fact) == value for fact, value in facts.items())
    ]


def _depths(population: Population, members: Sequence[int]) -> list[int]:
    return sorted({population.networks[i].depth for i in members})
