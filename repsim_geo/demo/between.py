"""What lies between two networks: a walk along the geodesic that joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repsim_geo.demo.networks import Population
from repsim_geo.demo.points import last_hidden_points
from repsim_geo.demo.readout import centroid_accuracy, neighbor_accuracy


@dataclass(frozen=True)
class Between:
    """
    What lies on the geodesic between two networks, in the AngularCKA geometry.

    Attributes
    ----------
    start, end : int
        Positions of the two networks in the population.
    times : Tensor, shape (k,)
        Fractions along the geodesic.
    to_networks : Tensor, shape (k, n)
        Distance from each point to every network, in radians.
    to_labels : Tensor, shape (k,)
        Distance from each point to the one-hot labels, in radians.
    split_error : float
        Largest deviation of (distance to start) + (distance to end) from the direct distance, in radians.
    side_by_side_error : float
        Distance of the midpoint to a network made of the units of both ends, side by side, in radians.
    centroid, neighbor : list of float
        Leave-one-out accuracy of two read-outs at each point, between 0 and 1.
    """

    start: int
    end: int
    times: Tensor
    to_networks: Tensor
    to_labels: Tensor
    split_error: float
    side_by_side_error: float
    centroid: list[float]
    neighbor: list[float]


def walk_between(population: Population, distances: Tensor, steps: int = 21) -> Between:
    """
    Walk the geodesic between the two networks that are farthest apart.

    Parameters
    ----------
    population : Population
        Trained networks.
    distances : Tensor, shape (n, n)
        AngularCKA distances of their last hidden layers, in radians.
    steps : int
        Points on the geodesic, both ends included.

    Returns
    -------
    Between
    """
    metric, points = last_hidden_points(population)
    start, end = divmod(int(distances.argmax()), len(distances))
    times = torch.linspace(0, 1, steps, dtype=torch.float64)
    path = metric.geodesic(times[:, None, None], points[start], points[end])
    to_networks = metric.cdist(path, points)
    labels = population.labels.numpy()
    sums = to_networks[:, start] + to_networks[:, end]
    return Between(
        start=start,
        end=end,
        times=times,
        to_networks=to_networks,
        to_labels=metric.dist(path, metric.embed(population.targets.double())),
        split_error=float((sums - metric.dist(points[start], points[end])).abs().max()),
        side_by_side_error=_side_by_side_error(population, metric, path[steps // 2], start, end),
        centroid=[centroid_accuracy(point.numpy(), labels) for point in path],
        neighbor=[neighbor_accuracy(point.numpy(), labels) for point in path],
    )


def _side_by_side_error(population: Population, metric: Any, midpoint: Tensor, start: int, end: int) -> float:
    """Distance from a midpoint to the units of both networks side by side, each half of unit Gram norm."""
    halves = [population.networks[i].last_hidden.double() for i in (start, end)]
    centered = [x - x.mean(0) for x in halves]
    together = torch.cat([x / (x @ x.T).norm().sqrt() for x in centered], dim=1)
    return float(metric.dist(midpoint, metric.embed(together)))
