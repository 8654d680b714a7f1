"""All-pairs distances of the networks under several metrics, and how far the metrics agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from repsim_geo.demo.networks import Network, Population
from repsim_geo.demo.progress import track

if TYPE_CHECKING:
    from repsim_geo import MetricCard

# One of each kind that takes networks of any width as they are. Others want a choice first: a ridge, a number
# of dimensions, a common number of units.
METRICS = ("angular_cka", "angular_cka_debiased", "stress", "size_and_shape", "angular_shape")


@dataclass(frozen=True)
class MetricResult:
    """
    All-pairs distances of the last hidden layers under one metric.

    Attributes
    ----------
    key, unit : str
        Name in the registry; unit of the distances.
    summary, invariances : str
        What the distance is, and what it does not notice; from the metric's card.
    distances : Tensor, shape (n, n)
        In that unit.
    seconds : float
        Wall time.
    same, different : float
        Median distance of two networks of the same architecture, and of different ones.
    nearest_architecture, nearest_family : int
        Networks whose nearest neighbor has the same architecture; the same family.
    """

    key: str
    unit: str
    summary: str
    invariances: str
    distances: Tensor
    seconds: float
    same: float
    different: float
    nearest_architecture: int
    nearest_family: int


def compare_all(population: Population) -> list[MetricResult]:
    """
    Distances between the last hidden layers of all networks, under each of `METRICS`.

    Parameters
    ----------
    population : Population
        Trained networks.

    Returns
    -------
    list of MetricResult
        In the order of `METRICS`.
    """
    import repsim_geo

    reps = [network.last_hidden.double() for network in population.networks]
    cards = repsim_geo.available_metrics()
    results = []
    for card in track([cards[key] for key in METRICS], "distances under each metric"):
        started = time.perf_counter()
        distances = repsim_geo.pairwise(reps, card.key)
        results.append(_describe(card, distances, time.perf_counter() - started, population.networks))
    return results


def _describe(
    card: MetricCard, distances: Tensor, seconds: float, networks: Sequence[Network]
) -> MetricResult:
    architectures = np.array([network.architecture for network in networks])
    families = np.array([network.family for network in networks])
    pairs = np.triu_indices(len(networks), 1)
    same = architectures[pairs[0]] == architectures[pairs[1]]
    values = distances.numpy()[pairs]
    nearest = distances.clone().fill_diagonal_(torch.inf).argmin(1).numpy()
    return MetricResult(
        key=card.key,
        unit=card.unit,
        summary=card.summary,
        invariances=card.invariance_names(),
        distances=distances,
        seconds=seconds,
        same=float(np.median(values[same])),
        different=float(np.median(values[~same])),
        nearest_architecture=int((architectures[nearest] == architectures).sum()),
        nearest_family=int((families[nearest] == families).sum()),
    )


def rank_agreement(results: Sequence[MetricResult]) -> Tensor:
    """
    Spearman's rank correlation of the distances under every two metrics, dimensionless, shape (k, k).

    Parameters
    ----------
    results : sequence of MetricResult
        Distances of the same networks under k metrics.
    """
    n = len(results[0].distances)
    above = torch.triu_indices(n, n, 1)
    ranks = torch.stack(
        [result.distances[above[0], above[1]].argsort().argsort().double() for result in results]
    )
    return torch.corrcoef(ranks)
