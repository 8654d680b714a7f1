"""
Parallel transport from the exponential map and the logarithm alone: a pole ladder.

One rung carries a vector across a piece of a geodesic: the end of the vector, a point, is reflected through
the middle of the piece, ``a -> exp_m(-log_m(a))``. Seen from the far end of the piece, it lies
where minus the transported vector points. In flat and symmetric spaces (spheres, hyperbolic spaces,
Grassmannians, affine-invariant matrices) that is exact. Elsewhere the error is of second order in the length
of a piece, if the vector is shrunk in proportion (Guigui and Pennec 2022).

Two symmetries make the error a series in even powers: reflections are involutions, so the ladder climbed
back undoes itself; and half the difference of the ladders of `v` and `-v` drops what is even in the length
of the vector. One extrapolation from n and 2n pieces (Richardson) is then of fourth order.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.manifolds.functional import check_points
from repsim_geo.numerics.norms import safe_sqrt, with_axes

# Far beyond what rounding permits; a mistyped number should not run for hours.
_MOST_STEPS = 10_000


def pole_ladder(manifold: Manifold, x: Tensor, y: Tensor, v: Tensor, *, steps: int = 4) -> Tensor:
    """
    Parallel transport of `v` from `x` to `y` along the minimal geodesic.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap`` and ``inner``.
    x, y : Tensor, shape (*batch, *point)
    v : Tensor, shape (*batch, *point)
        Tangent at `x`.
    steps : int
        Pieces of the coarser of two ladders; the finer has twice as many. Doubling them divides the error
        by 16.

    Returns
    -------
    Tensor, shape (*batch, *point)
        Tangent at `y`.

    Raises
    ------
    ValueError
        Fewer than one step, or far too many.

    Notes
    -----
    ``3 steps`` reflections of two vectors each. Exact up to rounding in symmetric spaces.

    The vector is shrunk to the length of a piece, so rounding is amplified by the size of the points over the
    length of a piece. It is not shrunk below the cube root of the rounding unit (times the norm of the point,
    as the metric measures it): near points lose no more than a third of the digits. From a point to itself
    the result is `v`.

    Where it is delicate: where shortest paths are not unique, as for ``logmap``; and near singular points of
    a quotient, where pieces must be shorter than the way to the singularity. Differentiable as far as
    ``expmap`` and ``logmap`` are; derivatives lose the digits that the shrinking costs.

    References
    ----------
    Lorenzi and Pennec (2014); Pennec (2018), Parallel transport with pole ladder; Guigui and Pennec (2022),
    Numerical accuracy of ladder schemes for parallel transport on manifolds.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> north, east, v = torch.eye(3, dtype=torch.float64)
    >>> bool(torch.allclose(pole_ladder(UnitSphere(ndim=1), north, east, v), v))
    True
    """
    check_points(manifold, x=x, y=y, v=v)
    if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1:
        raise ValueError(f"pole_ladder needs at least one step, got steps={steps!r}. Four are a good start.")
    if steps > _MOST_STEPS:
        raise ValueError(
            f"pole_ladder takes at most {_MOST_STEPS} steps, got steps={steps}. Four are a good start, and "
            "rounding grows with their number."
        )
    x, y, v = torch.broadcast_tensors(x, y, v)
    moved = _extrapolated(manifold, x, manifold.logmap(x, y), y, v, steps)
    same = with_axes(_equal(x, y, manifold.ndim), manifold.ndim)
    return torch.where(same, v, moved)


class LadderTransport:
    """
    Parallel transport for a manifold that has ``expmap`` and ``logmap`` only; a mixin.

    List it before the manifold: ``class Mine(LadderTransport, RiemannianManifold)``.

    Attributes
    ----------
    ladder_steps : int
        As in `pole_ladder`.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> class Sphere(LadderTransport, UnitSphere):
    ...     pass
    >>> north, east, v = torch.eye(3, dtype=torch.float64)
    >>> bool(torch.allclose(Sphere(ndim=1).transp(north, east, v), v))
    True
    """

    transport = "parallel"
    ladder_steps: int = 4

    def transp(self: Any, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport of `v` from `x` to `y` along the minimal geodesic, by a pole ladder."""
        return pole_ladder(self, x, y, v, steps=self.ladder_steps)

    def carry(self: Any, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Parallel transport of `v` along the geodesic ``expmap(x, s u)``, by a pole ladder."""
        x, u, v = torch.broadcast_tensors(x, u, v)
        return _extrapolated(self, x, u, self.expmap(x, u), v, self.ladder_steps)


def _extrapolated(manifold: Manifold, x: Tensor, u: Tensor, y: Tensor, v: Tensor, steps: int) -> Tensor:
    coarse, fine = (_climb(manifold, x, u, y, v, n) for n in (steps, 2 * steps))
    return fine + (fine - coarse) / 3


def _climb(manifold: Manifold, x: Tensor, u: Tensor, y: Tensor, v: Tensor, pieces: int) -> Tensor:
    """Half the difference of the ladders of `v` and `-v` along the geodesic with velocity `u`, up to `y`."""
    shrink = _shrink(manifold, x, u, v, pieces)
    a = manifold.expmap(x, torch.stack((shrink * v, -shrink * v)))
    for k in range(pieces):
        middle = manifold.expmap(x, (k + 0.5) / pieces * u)
        a = manifold.expmap(middle, -manifold.logmap(middle, a))
    ahead, back = manifold.logmap(y, a)
    return (-1) ** pieces * (ahead - back) / (2 * shrink)


def _shrink(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor, pieces: int) -> Tensor:
    """Factor that makes `v` as long as a piece; the result hardly depends on it, so it has no derivative."""
    size, way, length = (
        safe_sqrt(manifold.inner(x.detach(), w.detach(), keepdim=True).abs()) for w in (x, u, v)
    )
    rung = torch.maximum(way / pieces, torch.finfo(v.dtype).eps ** (1 / 3) * size)
    shrink = rung / torch.where(length == 0, 1.0, length)
    return torch.where(shrink == 0, 1.0, shrink)


def _equal(x: Tensor, y: Tensor, ndim: int) -> Tensor:
    return (x == y).flatten(-ndim).all(-1) if ndim else x == y
