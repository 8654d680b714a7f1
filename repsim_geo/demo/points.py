"""The networks as points of the AngularCKA geometry."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repsim_geo.demo.networks import Population


def last_hidden_points(population: Population) -> tuple[Any, Tensor]:
    """AngularCKA, and the last hidden layers of all networks as its points, shape (n, m, m)."""
    import repsim_geo

    metric = repsim_geo.AngularCKA()
    return metric, torch.stack(
        [metric.embed(network.last_hidden.double()) for network in population.networks]
    )
