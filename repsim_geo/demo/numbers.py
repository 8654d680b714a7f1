"""Everything that one run of the demo measures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from repsim_geo.demo.between import Between, walk_between
from repsim_geo.demo.depth import Depth, examine_depth
from repsim_geo.demo.distances import MetricResult, compare_all, rank_agreement
from repsim_geo.demo.layers import Layers, follow_layers
from repsim_geo.demo.maps import FlatMap, flat_map
from repsim_geo.demo.means import Means, average
from repsim_geo.demo.networks import Population
from repsim_geo.demo.recognition import Recognition, recognize
from repsim_geo.demo.spread import Spread, describe_spread


@dataclass(frozen=True)
class Numbers:
    """
    Results of the demo.

    Attributes
    ----------
    metrics : list of MetricResult
        All-pairs distances, one a metric.
    agreement : Tensor, shape (k, k)
        Spearman's rank correlation between the k metrics, dimensionless.
    between : Between
        The geodesic between the two networks that are farthest apart.
    layers : Layers
        Paths of layers.
    means : Means
        Fréchet means.
    spread : Spread
        The networks around their common mean.
    depth : Depth
        What depends on depth.
    recognition : Recognition
        Architectures, recognized.
    network_map, layer_map : FlatMap
        Networks with the means of the architectures; layers of one network an architecture.
    """

    metrics: list[MetricResult]
    agreement: Tensor
    between: Between
    layers: Layers
    means: Means
    spread: Spread
    depth: Depth
    recognition: Recognition
    network_map: FlatMap
    layer_map: FlatMap

    @property
    def main(self) -> MetricResult:
        """The metric that the pictures use: AngularCKA."""
        return _main(self.metrics)


def _main(metrics: list[MetricResult]) -> MetricResult:
    return next(result for result in metrics if result.key == "angular_cka")


def measure(population: Population) -> Numbers:
    """
    Compute all numbers of the demo.

    Parameters
    ----------
    population : Population
        Trained networks.

    Returns
    -------
    Numbers
    """
    metrics = compare_all(population)
    main = _main(metrics)
    layers = follow_layers(population)
    means = average(population)
    rows = layers.map_rows
    return Numbers(
        metrics=metrics,
        agreement=rank_agreement(metrics),
        between=walk_between(population, main.distances),
        layers=layers,
        means=means,
        spread=describe_spread(population, main.distances),
        depth=examine_depth(population, main.distances),
        recognition=recognize(population),
        network_map=flat_map(means.distances),
        layer_map=flat_map(layers.distances[rows][:, rows]),
    )
