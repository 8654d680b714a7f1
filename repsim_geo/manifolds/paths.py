"""
Questions to a path of points: the layers of a network, or the epochs of its training.

A path is a stack of points, shape (*batch, k, *point), joined by minimal geodesics. All of its pieces are
computed in one call. See Lange et al. (2023) for networks as paths; the vocabulary (straightness, turning
angle) is that of the analysis of movement (Batschelet 1981; Benhamou 2004).
"""

from __future__ import annotations

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.functional import check_points, direction, vector_angle


def path_length(manifold: Manifold, points: Tensor) -> Tensor:
    """
    Sum of the distances of consecutive points.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``.
    points : Tensor, shape (*batch, k, *point)

    Returns
    -------
    Tensor, shape (*batch)
        Unit of the distance. Zero for a single point.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> path_length(Flat(ndim=1), torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))
    tensor(7.)
    """
    return _steps(manifold, points).sum(-1)


def arc_lengths(manifold: Manifold, points: Tensor) -> Tensor:
    """
    Length of the path from its start to each of its points.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``.
    points : Tensor, shape (*batch, k, *point)

    Returns
    -------
    Tensor, shape (*batch, k)
        Unit of the distance; zero first, `path_length` last.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> arc_lengths(Flat(ndim=1), torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))
    tensor([0., 3., 7.])
    """
    return torch.nn.functional.pad(_steps(manifold, points).cumsum(-1), (1, 0))


def straightness(manifold: Manifold, points: Tensor) -> Tensor:
    """
    Distance from start to end over the length of the path.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``.
    points : Tensor, shape (*batch, k, *point)

    Returns
    -------
    Tensor, shape (*batch)
        From 0 (the path returns to its start) to 1 (it is a minimal geodesic); dimensionless. One, with zero
        gradient, for a path that does not move: it is a geodesic too, of no length.

    Notes
    -----
    The straightness index of Batschelet (1981); its inverse is known as tortuosity. It falls with the number
    of points of a noisy path: compare paths of equally many points.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> straightness(Flat(ndim=1), torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))  # 5 / 7
    tensor(0.7143)
    """
    length = path_length(manifold, points)
    axis = path_axis(manifold, points)
    ends = manifold.dist(points.select(axis, 0), points.select(axis, -1))
    still = length == 0
    return torch.where(still, 1.0, ends / torch.where(still, 1.0, length))


def turning_angles(manifold: Manifold, points: Tensor) -> Tensor:
    """
    How much the path turns at each of its inner points.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``logmap``, ``inner`` and ``dist``.
    points : Tensor, shape (*batch, k, *point)

    Returns
    -------
    Tensor, shape (*batch, max(k - 2, 0))
        Radians: 0 is straight on, pi is back where it came from. Zero, with zero gradient, at a point that
        coincides with a neighbor.

    Notes
    -----
    Pi minus the angle of the triangle with the two neighbors, but computed as the angle from the direction
    of arrival to that of departure, so that small turns keep their digits. In flat space it is
    the "curvature" of Hénaff, Goris and Simoncelli (2019, Perceptual straightening of natural videos).

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> turning_angles(Flat(ndim=1), torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))
    tensor([1.5708])
    """
    axis = path_axis(manifold, points)
    inner = max(points.shape[axis] - 2, 0)
    before, here, after = (points.narrow(axis, start if inner else 0, inner) for start in range(3))
    return vector_angle(manifold, here, -direction(manifold, here, before), direction(manifold, here, after))


def _steps(manifold: Manifold, points: Tensor) -> Tensor:
    """Distances of consecutive points, shape (*batch, k - 1)."""
    axis = path_axis(manifold, points)
    k = points.shape[axis]
    return manifold.dist(points.narrow(axis, 0, k - 1), points.narrow(axis, 1, k - 1))


def path_axis(manifold: Manifold, points: Tensor) -> int:
    """Axis along which the path runs, counted from the end."""
    if not isinstance(manifold, Manifold) or not isinstance(points, Tensor):
        raise TypeError(
            "a path is a geoopt.Manifold and a tensor of points (*batch, k, *point), got "
            f"{type(manifold).__name__} and {type(points).__name__}. Stack points with torch.stack."
        )
    axis = -1 - manifold.ndim
    if points.dim() < -axis or points.shape[axis] == 0:
        raise ShapeError(
            f"a path on a manifold of points with {manifold.ndim} axes needs shape (*batch, k, *point) "
            f"with k >= 1, got {tuple(points.shape)}. Stack the points with torch.stack(points, dim={axis})."
        )
    check_points(manifold, points=points)
    return axis
