"""Fréchet means of the networks, with their certificates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo.demo.networks import Population
from repsim_geo.demo.points import last_hidden_points
from repsim_geo.demo.progress import track
from repsim_geo.demo.readout import centroid_accuracy

if TYPE_CHECKING:
    from repsim_geo.stats.group_tests import FrechetAnova

_SHUFFLES = 999


@dataclass(frozen=True)
class Mean:
    """
    Fréchet mean of some networks in the AngularCKA geometry, with its certificate.

    Attributes
    ----------
    name : str
        Whose mean it is.
    members : list of int
        Positions of the networks.
    point : Tensor, shape (m, m)
        The mean.
    n_iter, converged, gradient_norm, variance, radius, unique, error_bound
        As `FrechetMean` reports them; radius and error bound in radians, variance in radians squared.
    to_members : Tensor, shape (k,)
        Distance to each member, in radians.
    to_labels : float
        Distance to the one-hot labels, in radians.
    members_to_labels : float
        Mean distance of the members to the one-hot labels, in radians.
    centroid, members_centroid : float
        Leave-one-out accuracy of a nearest-centroid read-out from the mean; averaged over the members.
    seed_error : float
        Standard error: how far the mean is typically from that of infinitely many such networks, in radians,
        by the bootstrap; nan where the members are no sample of one kind.
    """

    name: str
    members: list[int]
    point: Tensor
    n_iter: int
    converged: bool
    gradient_norm: float
    variance: float
    radius: float
    unique: bool | None
    error_bound: float
    to_members: Tensor
    to_labels: float
    members_to_labels: float
    centroid: float
    members_centroid: float
    seed_error: float

    @property
    def deviation(self) -> float:
        """Root of the variance: the typical distance of a member from the mean, in radians."""
        return self.variance**0.5


@dataclass(frozen=True)
class Means:
    """
    The mean of each architecture, and the mean of all networks.

    Attributes
    ----------
    each : list of Mean
        One an architecture.
    overall : Mean
        Of all networks together.
    distances : Tensor, shape (n + k, n + k)
        AngularCKA between n networks and k means of architectures, in radians.
    anova : FrechetAnova
        Test of the hypothesis that all architectures have one mean and one variance.
    """

    each: list[Mean]
    overall: Mean
    distances: Tensor
    anova: FrechetAnova

    @property
    def between(self) -> Tensor:
        """Distances between the means of the architectures, in radians, shape (k, k)."""
        k = len(self.each)
        return self.distances[-k:, -k:]

    @property
    def explained(self) -> float:
        """Share of the overall variance that the architecture accounts for, between 0 and 1."""
        within = sum(mean.variance * len(mean.members) for mean in self.each)
        return 1 - within / (self.overall.variance * len(self.overall.members))

    @property
    def chance(self) -> float:
        """What that share would be if the networks had their architectures by lot."""
        return (len(self.each) - 1) / (len(self.overall.members) - 1)


def average(population: Population) -> Means:
    """
    Fréchet means of the last hidden layers: of each architecture, and of all networks.

    Parameters
    ----------
    population : Population
        Trained networks.

    Returns
    -------
    Means
    """
    import repsim_geo

    metric, points = last_hidden_points(population)
    target = metric.embed(population.targets.double())
    groups = {name: population.members(name) for name in population.architectures}
    groups["all networks"] = list(range(len(points)))
    steps = track(groups.items(), "means")
    *each, overall = [_average_group(name, i, metric, points, target, population.labels) for name, i in steps]
    # The networks of one architecture are a sample: their seeds are. The architectures were chosen.
    each = [replace(mean, seed_error=_seed_error(metric, points[mean.members])) for mean in each]
    everything = torch.cat([points, torch.stack([mean.point for mean in each])])
    names = [network.architecture for network in population.networks]
    anova = repsim_geo.frechet_anova(metric, points, names, n_permutations=_SHUFFLES)
    return Means(each, overall, metric.cdist(everything, everything), anova)


def _seed_error(metric: Any, group: Tensor) -> float:
    import repsim_geo

    return repsim_geo.bootstrap_mean(metric, group, n_resamples=_SHUFFLES).standard_error


def _average_group(
    name: str, members: list[int], metric: Any, points: Tensor, target: Tensor, labels: Tensor
) -> Mean:
    import repsim_geo

    group = points[members]
    fit = repsim_geo.FrechetMean(metric).fit(group)
    digits = labels.numpy()
    return Mean(
        name=name,
        members=members,
        point=fit.mean_,
        n_iter=int(fit.n_iter_),
        converged=bool(fit.converged_),
        gradient_norm=float(fit.gradient_norm_),
        variance=float(fit.variance_),
        radius=float(fit.radius_),
        unique=fit.unique_,
        error_bound=float(fit.error_bound_),
        to_members=metric.dist(fit.mean_, group),
        to_labels=float(metric.dist(fit.mean_, target)),
        members_to_labels=float(metric.dist(group, target).mean()),
        centroid=centroid_accuracy(fit.mean_.numpy(), digits),
        members_centroid=float(np.mean([centroid_accuracy(point.numpy(), digits) for point in group])),
        seed_error=math.nan,
    )
