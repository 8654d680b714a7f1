"""Curvature, with the name of ``repsim.geometry.curvature``."""

from __future__ import annotations

from torch import Tensor

from repsim_geo.compat.repsim.metrics import RepresentationMetricSpace
from repsim_geo.manifolds import functional

__all__ = ["alexandrov"]


def alexandrov(space: RepresentationMetricSpace, pt_a: Tensor, pt_b: Tensor, pt_c: Tensor) -> Tensor:
    """
    How much longer the median from `pt_b` is than in the plane: `alexandrov_curvature`.

    Parameters
    ----------
    space : RepresentationMetricSpace
    pt_a, pt_b, pt_c : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch)
    """
    return functional.alexandrov_curvature(space.metric, pt_a, pt_b, pt_c)
