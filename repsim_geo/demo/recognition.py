"""Which architecture does a network have? Classified by the means of the other networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from repsim_geo.demo.networks import Population
from repsim_geo.demo.points import last_hidden_points


@dataclass(frozen=True)
class Answers:
    """
    Networks assigned to architectures.

    Attributes
    ----------
    predicted : list of str
        Architecture of every network, by the others.
    right : int
        How many are right.
    relatives : int
        How many are assigned to an architecture of their own family and depth.
    counts : Tensor, shape (k, k)
        Networks of architecture i that were assigned to architecture j.
    """

    predicted: list[str]
    right: int
    relatives: int
    counts: Tensor


@dataclass(frozen=True)
class Recognition:
    """
    Networks assigned to the architecture with the nearest Fréchet mean.

    Attributes
    ----------
    alone : Answers
        Each network left out alone: its own mean is of fewer networks than the other means.
    with_seed : Answers
        All networks of its seed left out together: all means are of equally many networks.
    guessed, guessed_relatives : float
        How many would be right, and in the right family and depth, if architectures were guessed by lot.
    """

    alone: Answers
    with_seed: Answers
    guessed: float
    guessed_relatives: float


def recognize(population: Population) -> Recognition:
    """
    Classification of all networks, each by means that have not seen it, in the AngularCKA geometry.

    Parameters
    ----------
    population : Population
        Trained networks.

    Returns
    -------
    Recognition
    """
    import repsim_geo

    metric, points = last_hidden_points(population)
    given = np.array([network.architecture for network in population.networks])
    seeds = np.array([network.seed for network in population.networks])
    nearest = repsim_geo.NearestMean(metric)
    alone = nearest.leave_one_out(points, given).predicted
    with_seed = given.copy()
    for seed in np.unique(seeds):
        kept, left = torch.as_tensor(seeds != seed), torch.as_tensor(seeds == seed)
        with_seed[seeds == seed] = nearest.fit(points[kept], given[seeds != seed]).predict(points[left])
    kinds = _kinds(population)
    kin = sum(kinds[a] == kinds[b] for a in given for b in population.architectures)
    k = len(population.architectures)
    return Recognition(
        alone=judge(population, alone.tolist()),
        with_seed=judge(population, with_seed.tolist()),
        guessed=len(given) / k,
        guessed_relatives=kin / k,
    )


def judge(population: Population, predicted: Sequence[str]) -> Answers:
    """
    Count right and nearly right answers.

    Parameters
    ----------
    population : Population
        Trained networks.
    predicted : sequence of str
        An architecture for each network.

    Returns
    -------
    Answers
    """
    names, kinds = population.architectures, _kinds(population)
    counts = torch.zeros(len(names), len(names), dtype=torch.int64)
    relatives = 0
    for network, answer in zip(population.networks, predicted, strict=True):
        counts[names.index(network.architecture), names.index(answer)] += 1
        relatives += kinds[network.architecture] == kinds[answer]
    return Answers(list(predicted), int(counts.trace()), relatives, counts)


def _kinds(population: Population) -> dict[str, tuple[str, int]]:
    """Family and depth of every architecture."""
    return {network.architecture: (network.family, network.depth) for network in population.networks}
