"""Geometric questions to any ``geoopt.Manifold`` that has ``expmap``, ``logmap`` and ``dist``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import safe_sqrt


def geodesic(manifold: Manifold, t: float | Tensor, x: Tensor, y: Tensor) -> Tensor:
    """
    Points of the minimal geodesic from `x` (t = 0) to `y` (t = 1).

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap`` and ``logmap``.
    t : float or Tensor
        Must broadcast against points: shape (k, 1, 1) for k times on a manifold of matrices.
    x, y : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch, *point), broadcast with `t`

    Notes
    -----
    Where shortest paths are not unique (antipodes of a sphere) one of them is returned.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> geodesic(Flat(ndim=1), 0.25, torch.zeros(2), torch.tensor([4.0, 8.0]))
    tensor([1., 2.])
    """
    return manifold.expmap(x, t * manifold.logmap(x, y))


def midpoint(manifold: Manifold, x: Tensor, y: Tensor) -> Tensor:
    """
    Point halfway on the minimal geodesic from `x` to `y`.

    Parameters
    ----------
    manifold : geoopt.Manifold
    x, y : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch, *point)
    """
    return geodesic(manifold, 0.5, x, y)


def path(manifold: Manifold, x: Tensor, y: Tensor, times: Sequence[float] | Tensor) -> Tensor:
    """
    Several points of the minimal geodesic from `x` to `y`.

    Parameters
    ----------
    manifold : geoopt.Manifold
    x, y : Tensor, shape (*batch, *point)
    times : sequence of k floats

    Returns
    -------
    Tensor, shape (k, *batch, *point)
        The times lead.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> path(Flat(ndim=1), torch.zeros(1), torch.ones(1), [0.0, 0.5, 1.0])
    tensor([[0.0000],
            [0.5000],
            [1.0000]])
    """
    u = manifold.logmap(x, y)
    t = torch.as_tensor(times, dtype=u.dtype, device=u.device)
    return manifold.expmap(x, t.reshape(-1, *[1] * u.dim()) * u)


def angle(manifold: Manifold, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """
    Angle at `y` of the geodesic triangle `x`, `y`, `z`.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``logmap`` and ``inner``.
    x, y, z : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch)
        Radians; zero where a side has no length.
    """
    u, v = manifold.logmap(y, x), manifold.logmap(y, z)
    uu, vv = (manifold.inner(y, w, keepdim=True) for w in (u, v))
    degenerate = (uu == 0) | (vv == 0)
    # Unit vectors first: Kahan's formula wants equal lengths.
    u, v = (
        torch.where(degenerate, 0.0, w / torch.where(degenerate, 1.0, ww).sqrt())
        for w, ww in ((u, uu), (v, vv))
    )
    return 2 * torch.atan2(safe_sqrt(manifold.inner(y, u - v)), safe_sqrt(manifold.inner(y, u + v)))


def alexandrov_curvature(manifold: Manifold, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """
    How much longer the median of a geodesic triangle is than in the plane.

    The median runs from `y` to the midpoint of `x` and `z`; it is compared with the median of the flat
    triangle with the same sides.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap`` and ``dist``.
    x, y, z : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch)
        Unit of the distance. Positive in positive curvature, zero in flat space, negative in
        negative curvature.
    """
    a2, b2, c2 = (manifold.dist(p, q) ** 2 for p, q in ((x, y), (y, z), (x, z)))
    flat = safe_sqrt(a2 / 2 + b2 / 2 - c2 / 4)
    return manifold.dist(y, midpoint(manifold, x, z)) - flat
