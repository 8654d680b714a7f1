"""Networks as paths: their layers, from pixels to logits, in one space."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from repsim_geo.demo.networks import Network, Population


@dataclass(frozen=True)
class LayerPath:
    """
    One network as a path from the pixels to its logits.

    Attributes
    ----------
    network : Network
        Whose layers these are.
    names : list of str
        ``pixels``, hidden layers, ``logits``.
    length : float
        Sum of the distances of consecutive layers, in radians.
    direct : float
        Distance from the pixels to the logits, in radians.
    start_to_labels, end_to_labels : float
        Distance of the pixels, and of the logits, to the one-hot labels, in radians.
    rows : list of int
        Rows of the layers in the matrix of all layers.
    """

    network: Network
    names: list[str]
    length: float
    direct: float
    start_to_labels: float
    end_to_labels: float
    rows: list[int]

    @property
    def straightness(self) -> float:
        """Direct distance divided by path length: 1 on a geodesic, less on a detour."""
        return self.direct / self.length


@dataclass(frozen=True)
class Layers:
    """
    All layers of all networks in one space.

    Attributes
    ----------
    paths : list of LayerPath
        One a network.
    distances : Tensor, shape (k, k)
        AngularCKA between all layers, in radians; row 0 is the pixels, row 1 the one-hot labels.
    """

    paths: list[LayerPath]
    distances: Tensor

    @property
    def first_of_each(self) -> list[LayerPath]:
        """The path of the first network of each architecture."""
        return list({path.network.architecture: path for path in reversed(self.paths)}.values())[::-1]

    @property
    def map_rows(self) -> list[int]:
        """Rows of the matrix that the map of layers shows: pixels, labels, one network an architecture."""
        return [0, 1, *(row for path in self.first_of_each for row in path.rows[1:])]

    def between(self, i: int, j: int) -> Tensor:
        """Distances between the layers of networks i and j, in radians, shape (layers of i, layers of j)."""
        return self.distances[self.paths[i].rows][:, self.paths[j].rows]


def follow_layers(population: Population) -> Layers:
    """
    AngularCKA distances between all layers of all networks, and every network's path through them.

    Parameters
    ----------
    population : Population
        Trained networks.

    Returns
    -------
    Layers
    """
    import repsim_geo

    reps = [population.images, population.targets]
    rows = []
    for network in population.networks:
        rows.append([0, *range(len(reps), len(reps) + len(network.layers))])
        reps += network.layers.values()
    distances = repsim_geo.pairwise([x.double() for x in reps], "angular_cka")
    paths = [
        _describe_path(network, r, distances) for network, r in zip(population.networks, rows, strict=True)
    ]
    return Layers(paths, distances)


def _describe_path(network: Network, rows: list[int], distances: Tensor) -> LayerPath:
    return LayerPath(
        network=network,
        names=["pixels", *network.layers],
        length=float(distances[rows[:-1], rows[1:]].sum()),
        direct=float(distances[rows[0], rows[-1]]),
        start_to_labels=float(distances[0, 1]),
        end_to_labels=float(distances[rows[-1], 1]),
        rows=rows,
    )
