"""Points of geodesics, with the names of ``repsim.geometry.geodesic``."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.compat.repsim.metrics import RepresentationMetricSpace
from repsim_geo.manifolds import functional

__all__ = ["midpoint", "subdivide_geodesic"]


def midpoint(space: RepresentationMetricSpace, pt_a: Tensor, pt_b: Tensor) -> Tensor:
    """
    Point halfway between two points: `repsim_geo.midpoint`.

    Parameters
    ----------
    space : RepresentationMetricSpace
    pt_a, pt_b : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch, *point)
    """
    return functional.midpoint(space.metric, pt_a, pt_b)


def subdivide_geodesic(
    space: RepresentationMetricSpace, pt_a: Tensor, pt_b: Tensor, octaves: int = 5
) -> list[Tensor]:
    """
    Points that cut the geodesic into ``2**octaves`` equal pieces, ends included: `repsim_geo.path`.

    Parameters
    ----------
    space : RepresentationMetricSpace
    pt_a, pt_b : Tensor, shape (*batch, *point)
    octaves : int

    Returns
    -------
    list of ``2**octaves + 1`` Tensor, shape (*batch, *point)
    """
    times = torch.linspace(0, 1, 2**octaves + 1, dtype=pt_a.dtype, device=pt_a.device)
    return list(functional.path(space.metric, pt_a, pt_b, times).unbind(0))
