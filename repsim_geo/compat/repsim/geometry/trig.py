"""Angles, with the names of ``repsim.geometry.trig``."""

from __future__ import annotations

from torch import Tensor

from repsim_geo.compat.repsim.metrics import RepresentationMetricSpace
from repsim_geo.manifolds import functional
from repsim_geo.manifolds.sphere import UnitSphere

__all__ = ["angle", "slerp"]


def angle(space: RepresentationMetricSpace, pt_a: Tensor, pt_b: Tensor, pt_c: Tensor) -> Tensor:
    """
    Angle at `pt_b` of the geodesic triangle, in radians: `repsim_geo.angle`.

    Parameters
    ----------
    space : RepresentationMetricSpace
    pt_a, pt_b, pt_c : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch)
        pi if `pt_b` lies between the others.
    """
    return functional.angle(space.metric, pt_a, pt_b, pt_c)


def slerp(pt_a: Tensor, pt_b: Tensor, frac: float) -> Tensor:
    """
    Point of the great circle between two tensors, after normalizing them: ``UnitSphere.geodesic``.

    Parameters
    ----------
    pt_a, pt_b : Tensor, of one shape
    frac : float
        From 0 to 1.

    Returns
    -------
    Tensor, of the same shape
        Of unit norm. Between antipodes one of the great circles, with a warning, where repsim raises.

    Examples
    --------
    >>> import torch
    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), 0.5)
    tensor([0.7071, 0.7071])
    """
    sphere = UnitSphere(pt_a.dim())
    return sphere.geodesic(frac, sphere.projx(pt_a), sphere.projx(pt_b))
