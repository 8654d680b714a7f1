"""How the networks spread around their common mean: tangent principal components, and a map on a sphere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from repsim_geo.demo.maps import FlatMap, flat_map
from repsim_geo.demo.networks import Network, Population
from repsim_geo.demo.points import last_hidden_points


@dataclass(frozen=True)
class Sources:
    """
    What the variance between networks goes with, as shares that add up to 1.

    Attributes
    ----------
    family : float
        Between families.
    depth : float
        Between depths of one family.
    width : float
        Between widths of one family and depth.
    seed : float
        Between seeds of one architecture: the rest.
    """

    family: float
    depth: float
    width: float
    seed: float

    @property
    def largest(self) -> str:
        """Name of the largest share."""
        return max(vars(self), key=vars(self).__getitem__)


@dataclass(frozen=True)
class Spread:
    """
    Networks around their Fréchet mean in the AngularCKA geometry.

    Attributes
    ----------
    scores : Tensor, shape (n, k)
        Coordinates along the tangent principal components, in radians, by falling variance.
    shares : Tensor, shape (k,)
        Share of the tangent variance that each component explains.
    missed : float
        Share of the dispersion that the tangent space does not show; negative where it shows too much.
    each : list of Sources
        What each component goes with.
    total : Sources
        What all components together go with.
    chance : Sources
        Shares to be expected if networks had their architectures by lot.
    plane : FlatMap
        The networks in the plane.
    globe : Tensor, shape (n, 3)
        The networks on the unit sphere.
    globe_error : float
        Mean absolute difference between distances on that sphere and the given ones, in radians.
    """

    scores: Tensor
    shares: Tensor
    missed: float
    each: list[Sources]
    total: Sources
    chance: Sources
    plane: FlatMap
    globe: Tensor
    globe_error: float

    def needed(self, share: float) -> int:
        """How many components explain this share of the tangent variance."""
        short = self.shares.cumsum(0) < share - 1e-12
        return min(int(short.sum()) + 1, len(self.shares))


def describe_spread(population: Population, distances: Tensor) -> Spread:
    """
    Tangent principal components of the last hidden layers, and maps of their distances.

    Parameters
    ----------
    population : Population
        Trained networks.
    distances : Tensor, shape (n, n)
        AngularCKA distances of their last hidden layers, in radians.

    Returns
    -------
    Spread
    """
    import repsim_geo

    metric, points = last_hidden_points(population)
    components = repsim_geo.TangentPCA(metric)
    scores = components.fit_transform(points)
    globe = repsim_geo.SphericalMDS().fit_transform(distances)
    above = torch.triu_indices(len(distances), len(distances), 1)
    drawn = repsim_geo.UnitSphere(ndim=1).dist(globe[above[0]], globe[above[1]])
    networks = population.networks
    return Spread(
        scores=scores,
        shares=components.explained_variance_ratio_,
        missed=components.missed_,
        each=[sources(networks, score[:, None]) for score in scores.mT],
        total=sources(networks, scores),
        chance=_by_lot(networks),
        plane=flat_map(distances),
        globe=globe,
        globe_error=float((drawn - distances[above[0], above[1]]).abs().mean()),
    )


def sources(networks: Sequence[Network], scores: Tensor) -> Sources:
    """
    Shares of the variance of scores that go with family, depth, width and seed, each within those before.

    Parameters
    ----------
    networks : sequence of Network
        Of n networks.
    scores : Tensor, shape (n, k)
        Variances of the k columns are added.

    Returns
    -------
    Sources
    """
    total = float((scores - scores.mean(0)).square().sum())
    explained = [0.0]
    for groups in _nested(networks):
        within = sum(float((scores[members] - scores[members].mean(0)).square().sum()) for members in groups)
        explained.append(1 - within / total if total > 0 else 0.0)
    family, depth, width = (b - a for a, b in pairwise(explained))
    return Sources(family, depth, width, 1 - explained[-1])


def _nested(networks: Sequence[Network]) -> list[list[list[int]]]:
    """Positions of the networks in groups of one family; of one family and depth; of one architecture."""
    levels = []
    for facts in (("family",), ("family", "depth"), ("family", "depth", "width")):
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, network in enumerate(networks):
            groups.setdefault(tuple(getattr(network, fact) for fact in facts), []).append(i)
        levels.append(list(groups.values()))
    return levels


def _by_lot(networks: Sequence[Network]) -> Sources:
    """Shares are proportional to degrees of freedom: new groups on each level, over n - 1."""
    sizes = [1, *(len(groups) for groups in _nested(networks)), len(networks)]
    steps = [(b - a) / (sizes[-1] - 1) for a, b in pairwise(sizes)]
    return Sources(*steps)
