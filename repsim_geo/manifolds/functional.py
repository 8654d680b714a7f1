"""Geometric questions to any ``geoopt.Manifold`` that has ``expmap``, ``logmap`` and ``dist``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.errors import CutLocusWarning, ShapeError
from repsim_geo.numerics import angles
from repsim_geo.numerics.norms import inner, safe_norm, safe_sqrt, with_axes
from repsim_geo.numerics.tracing import any_true, readable


def check_points(manifold: Any, **points: Any) -> None:
    """
    Refuse what is no manifold, and points of shapes that do not fit it, or each other.

    Parameters
    ----------
    manifold : geoopt.Manifold
    **points : Tensor, shape (*batch, *point)
        By the names of the caller's arguments. Values are not looked at.

    Raises
    ------
    TypeError, ShapeError
    """
    check_manifold(manifold)
    for name, x in points.items():
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name} must be a tensor of points (*batch, *point), got {type(x).__name__}. Activations "
                "become points with metric.embed(x)."
            )
        ok, reason = manifold.check_point(x, explain=True)
        if not ok:
            raise ShapeError(
                f"{name} must hold points (*batch, *point) of {type(manifold).__name__}, got shape "
                f"{tuple(x.shape)}: {reason}. Activations become points with metric.embed(x)."
            )
    shapes = [x.shape for x in points.values()]
    if clash(*shapes):
        raise ShapeError(
            f"{', '.join(points)} must have one shape (*batch, *point), or batches that broadcast, got "
            f"{', '.join(str(tuple(shape)) for shape in shapes)}. Embed all networks with one "
            "metric.resolve(networks)."
        )


def check_manifold(manifold: Any) -> None:
    """
    Refuse what is no instance of a manifold.

    Parameters
    ----------
    manifold : geoopt.Manifold

    Raises
    ------
    TypeError
    """
    if not isinstance(manifold, Manifold):
        raise TypeError(
            "manifold must be a geoopt.Manifold, for example a metric such as AngularCKA(), got "
            f"{manifold!r}. Names are for compare() and pairwise(), and a class has to be called."
        )


def clash(*shapes: torch.Size) -> bool:
    """
    Whether tensors of these shapes do not broadcast against each other.

    Parameters
    ----------
    *shapes : torch.Size

    Returns
    -------
    bool

    Examples
    --------
    >>> clash(torch.Size([4, 3]), torch.Size([3])), clash(torch.Size([4, 3]), torch.Size([4]))
    (False, True)
    """
    if all(shape == shapes[0] for shape in shapes):
        return False
    longest = max(map(len, shapes))
    axes = zip(*((1,) * (longest - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return any(len({size for size in sizes if size != 1}) > 1 for sizes in axes)


def geodesic(manifold: Manifold, t: float | Tensor, x: Tensor, y: Tensor) -> Tensor:
    """
    Points of the minimal geodesic from `x` (t = 0) to `y` (t = 1).

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``geodesic``, or ``expmap`` and ``logmap``.
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
    check_points(manifold, x=x, y=y)
    if not hasattr(t, "__float__"):
        raise TypeError(
            f"t must be a number, or a tensor of numbers, got {t!r}. path(manifold, x, y, times) takes a "
            "list."
        )
    if isinstance(t, Tensor) and clash(t.shape, x.shape, y.shape):
        raise ShapeError(
            f"t must broadcast against points, got shape {tuple(t.shape)} for points of shape "
            f"{tuple(x.shape)}. Use t[(...,) + (None,) * {manifold.ndim}], or path(manifold, x, y, times)."
        )
    own = getattr(manifold, "geodesic", None)
    return manifold.expmap(x, t * manifold.logmap(x, y)) if own is None else own(t, x, y)


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
    check_points(manifold, x=x, y=y)
    try:
        t = torch.as_tensor(times, dtype=x.dtype, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"times must be a sequence of numbers, got {times!r}. Use torch.linspace(0, 1, k) for k points."
        ) from error
    if readable(t) and not bool(t.isfinite().all()):
        raise ValueError(
            f"times must be finite, got {times!r}. A geodesic starts at time 0 and ends at time 1."
        )
    return geodesic(manifold, t.reshape(-1, *[1] * max(x.dim(), y.dim())), x, y)


def has_unique_geodesic(manifold: Manifold, x: Tensor, y: Tensor) -> Tensor:
    """
    Whether there is only one shortest path from `x` to `y`.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``logmap`` and ``cut_time``.
    x, y : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch), bool
        False where the path that ``logmap`` starts on stops being the shortest at `y`, or so little later (a
        thousand times the rounding) that it cannot be told. Then ``geodesic`` and ``logmap`` return one of
        several.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> x = torch.tensor([1.0, 0.0])
    >>> has_unique_geodesic(UnitSphere(ndim=1), x, torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    tensor([ True, False])
    """
    check_points(manifold, x=x, y=y)
    if not hasattr(manifold, "cut_time"):
        raise NotImplementedError(
            f"has_unique_geodesic needs a manifold with cut_time, got {type(manifold).__name__}, which has "
            "none. Take the manifold of repsim_geo of this kind, such as UnitSphere()."
        )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", CutLocusWarning)
        time = manifold.cut_time(x, manifold.logmap(x, y))
    return time > 1 + 1e3 * torch.finfo(time.dtype).eps


def angle(manifold: Manifold, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """
    Angle at `y` of the geodesic triangle `x`, `y`, `z`.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``logmap``, ``inner`` and ``dist``.
    x, y, z : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch)
        Radians; zero, with zero gradient, where a side has no length.
    """
    check_points(manifold, x=x, y=y, z=z)
    return vector_angle(manifold, y, direction(manifold, y, x), direction(manifold, y, z))


def direction(manifold: Manifold, x: Tensor, y: Tensor) -> Tensor:
    """
    Logarithm of `y` at `x`, and exactly zero where their distance is.

    On a quotient the logarithm of a point at itself is rounding, whose direction means nothing.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``logmap`` and ``dist``.
    x, y : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch, *point)
    """
    apart = manifold.dist(x.detach(), y.detach(), keepdim=True) > 0
    return torch.where(apart, manifold.logmap(x, y), 0.0)


def vector_angle(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """
    Angle of two tangent vectors at `x`.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``inner``.
    x : Tensor, shape (*batch, *point)
    u, v : Tensor, shape (*batch, *point)
        Tangent at `x`.

    Returns
    -------
    Tensor, shape (*batch)
        Radians; zero, with zero gradient, where a vector has no length.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> u, v = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.5])
    >>> vector_angle(Flat(ndim=1), torch.zeros(2), u, v)
    tensor(1.5708)
    """
    check_points(manifold, x=x, u=u, v=v)
    uu, vv = (manifold.inner(x, w, keepdim=True) for w in (u, v))
    degenerate = (uu == 0) | (vv == 0)
    # Unit vectors first: Kahan's formula wants equal lengths.
    u, v = (
        torch.where(degenerate, 0.0, w / torch.where(degenerate, 1.0, ww).sqrt())
        for w, ww in ((u, uu), (v, vv))
    )
    return 2 * torch.atan2(safe_sqrt(manifold.inner(x, u - v)), safe_sqrt(manifold.inner(x, u + v)))


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
    check_points(manifold, x=x, y=y, z=z)
    a2, b2, c2 = (manifold.dist(p, q) ** 2 for p, q in ((x, y), (y, z), (x, z)))
    flat = safe_sqrt(a2 / 2 + b2 / 2 - c2 / 4)
    return manifold.dist(y, midpoint(manifold, x, z)) - flat


# ---------------------------------------------------------------------- nearest point of a geodesic

# Cells of the table in which the valleys of the distance are found, and how many of them are followed down.
_CELLS, _CELLS_EXTENDED = 32, 128
_VALLEYS = 3
# Time to the point that gives the velocity on an extension, which need not be a shortest path for long.
_STEP = 1 / 16
# Bisection alone needs 53 halvings; the search interpolates and needs about eight.
_MOST_ROUNDS = 64


class Projection(NamedTuple):
    """
    Nearest point of a geodesic.

    Attributes
    ----------
    point : Tensor, shape (*batch, *point)
    t : Tensor, shape (*batch)
        Where it lies: 0 at the start of the geodesic, 1 at its end.
    distance : Tensor, shape (*batch)
        How far it is, in the unit of ``manifold.dist``.
    converged : Tensor, shape (*batch), bool
        Whether it is a minimum to the last digits; always, where there is a closed form.
    """

    point: Tensor
    t: Tensor
    distance: Tensor
    converged: Tensor


def project_to_geodesic(
    manifold: Manifold, x: Tensor, y: Tensor, z: Tensor, *, segment: bool = True
) -> Projection:
    """
    Nearest point to `z` on the minimal geodesic from `x` to `y`.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``inner`` and ``dist``.
    x, y, z : Tensor, shape (*batch, *point)
    segment : bool
        Only the piece between `x` and `y`, t in [0, 1]. Otherwise the geodesic is extended at both ends: to
        a whole great circle on a sphere, to a line in flat space, and elsewhere to twice the distance from
        its midpoint to `z`: the nearest point of a line of shortest paths is never farther.

    Returns
    -------
    Projection
        Record of ``point``, ``t``, ``distance`` and ``converged``.

    Warns
    -----
    CutLocusWarning
        Where ``logmap`` does: between antipodes of a sphere one of the great circles is chosen.

    Notes
    -----
    Closed form where the manifold says that it is ``spherical`` or ``flat``. Elsewhere the distance to `z` is
    tabulated (33 times, 129 with the extension), and the three lowest valleys are followed to zeros of the
    derivative of half the squared distance, ``-<log_g(z), g'>``: so `t` has all digits, where values of the
    distance alone would give half of them. A valley narrower than a cell of the table can be missed. Where
    the derivative does not change sign around an entry, that entry is returned and ``converged`` is False.

    Where it is delicate: several points of the geodesic may be equally near (all of them, if `z` is
    orthogonal to a great circle); one of them is returned. Near such ties `t` jumps, ``distance`` does not.
    If `x` and `y` coincide, t = 0.

    All results have first derivatives with respect to `x`, `y` and `z`, by the implicit function theorem;
    they need ``logmap`` to be differentiable. At an end of the segment `t` is constant. In closed form,
    higher derivatives are right too.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> x, y, z = torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.0, 2.0]])
    >>> nearest = project_to_geodesic(Flat(ndim=1), x, y, z)
    >>> nearest.point, nearest.t, nearest.distance
    (tensor([1., 0.]), tensor(0.2500), tensor(2.))
    """
    check_points(manifold, x=x, y=y, z=z)
    check_flag(segment, "segment")
    x, y, z = torch.broadcast_tensors(x, y, z)
    u = manifold.logmap(x, y)
    if getattr(manifold, "spherical", False):
        t, converged = _time_on_circle(manifold.ndim, x, y, u, z, segment)
    elif getattr(manifold, "flat", False):
        t, converged = _time_on_line(manifold, x, u, z, segment)
    else:
        t, converged = _time_by_search(manifold, x, y, u, z, segment)
    point = manifold.expmap(x, with_axes(t, manifold.ndim) * u)
    return Projection(point, t, manifold.dist(point, z), converged)


def _time_on_circle(
    ndim: int, x: Tensor, y: Tensor, u: Tensor, z: Tensor, segment: bool
) -> tuple[Tensor, Tensor]:
    """
    Angle of `z` from the middle of the arc, over the angle of the arc.

    From the middle, because the nearer end of the arc is then the one on the same side.
    """
    arc = angles.angle(x, y, ndim, keepdim=True)
    length = safe_norm(u, ndim, keepdim=True)
    e = u / torch.where(length == 0, 1.0, length)
    cos, sin = (arc / 2).cos(), (arc / 2).sin()
    middle, ahead = cos * x + sin * e, cos * e - sin * x
    # The difference keeps the digits of points that are all near each other.
    a, b = inner(middle, z, ndim), inner(ahead, z - middle, ndim)
    everywhere = (a == 0) & (b == 0)
    turn = torch.atan2(torch.where(everywhere, 0.0, b), torch.where(everywhere, 1.0, a))
    arc = arc.reshape(turn.shape)
    t = _from_middle(turn / torch.where(arc == 0, 1.0, arc), segment)
    return torch.where(arc == 0, 0.0, t), torch.ones_like(everywhere)


def _from_middle(t: Tensor, segment: bool) -> Tensor:
    return 0.5 + (t.clamp(-0.5, 0.5) if segment else t)


def _time_on_line(
    manifold: Manifold, x: Tensor, u: Tensor, z: Tensor, segment: bool
) -> tuple[Tensor, Tensor]:
    """Orthogonal projection; all of a flat space is seen from one point without distortion."""
    uu = manifold.inner(x, u)
    still = uu == 0
    t = manifold.inner(x, u, manifold.logmap(x, z)) / torch.where(still, 1.0, uu)
    return t.clamp(0, 1) if segment else t, torch.ones_like(still)


def _time_by_search(
    manifold: Manifold, x: Tensor, y: Tensor, u: Tensor, z: Tensor, segment: bool
) -> tuple[Tensor, Tensor]:
    ndim = manifold.ndim

    def at(t: Tensor, x: Tensor, u: Tensor) -> Tensor:
        return manifold.expmap(x, with_axes(t, ndim) * u)

    def slope(t: Tensor, x: Tensor, u: Tensor, z: Tensor) -> Tensor:
        """Derivative of half the squared distance to z."""
        here = at(t, x, u)
        # The logarithm of another point of the geodesic is its velocity, without asking for a transport.
        # Within the segment half of it is a shortest path; an extension need not be one, and there the step
        # is shorter.
        step = torch.where((t < 0) | (t > 1), _STEP, 0.5).copysign(0.5 - t).to(t.dtype).detach()
        velocity = manifold.logmap(here, at(t + step, x, u)) / with_axes(step, ndim)
        return -manifold.inner(here, manifold.logmap(here, z), velocity)

    with torch.no_grad():
        length = manifold.dist(x, y)
        still = length == 0
        half = torch.full_like(length, 0.5)
        if not segment:
            half = 2 * manifold.dist(at(half, x, u), z) / torch.where(still, 1.0, length)
        # Times lead.
        cells = _CELLS if segment else _CELLS_EXTENDED
        grid = torch.linspace(-1, 1, cells + 1, dtype=half.dtype, device=half.device)
        times = 0.5 + grid.reshape(-1, *[1] * half.dim()) * half
        t, inside, converged = _lowest(
            lambda t: manifold.dist(at(t, x, u), z), lambda t: slope(t, x, u, z), times
        )
        t = torch.where(still, 0.0, t)
        inside, converged = inside & ~still, converged | still
    if torch.is_grad_enabled() and any(w.requires_grad for w in (x, u, z)):
        t = _implicit(slope, t, inside, x, u, z)
    return t, converged


def _implicit(slope: Callable[..., Tensor], t: Tensor, inside: Tensor, *points: Tensor) -> Tensor:
    """
    Attach to a root `t` of `slope` its derivatives with respect to the points: those of a Newton step.

    The value stays: to it a step would only add rounding.
    """
    free = t.detach().requires_grad_()
    (bend,) = torch.autograd.grad(slope(free, *(w.detach() for w in points)).sum(), free)
    inside = inside & (bend > 0)
    residual = slope(t, *points)
    step = (residual - residual.detach()) / torch.where(inside, bend, 1.0)
    return t - torch.where(inside, step, 0.0)


def _lowest(
    f: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], times: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """
    Minimum of `f` over the range of `times`, as a root of `slope`.

    Parameters
    ----------
    f, slope : callable
        Take times, shape (..., *batch), and return values of that shape. `slope` has the sign of the
        derivative of `f`.
    times : Tensor, shape (k, *batch)
        Ascending.

    Returns
    -------
    t : Tensor, shape (*batch)
    inside : Tensor, shape (*batch), bool
        Whether the slope vanishes there.
    converged : Tensor, shape (*batch), bool
        Whether it does, or the minimum is at an end of the range.
    """
    values = f(times)
    values = torch.where(values.isnan(), torch.inf, values)
    edge = torch.full_like(values[:1], torch.inf)
    before, after = torch.cat((edge, values[:-1])), torch.cat((values[1:], edge))
    valleys = torch.where((values <= before) & (values <= after), values, torch.inf)
    i = valleys.topk(_VALLEYS, dim=0, largest=False).indices
    left, start, right = (times.gather(0, k.clamp(0, len(times) - 1)) for k in (i - 1, i, i + 1))
    uphill = slope(start) > 0
    a, b = torch.where(uphill, left, start), torch.where(uphill, start, right)
    fa, fb = slope(a), slope(b)
    at_end = a == b
    inside = ~at_end & (fa <= 0) & (fb >= 0)
    t, narrow = _root(slope, a, b, fa, fb, inside)
    t, converged = torch.where(inside, t, start), torch.where(inside, narrow, at_end)
    depth = f(t)
    deepest = torch.where(depth.isnan(), torch.inf, depth).argmin(0, keepdim=True)
    t, inside, converged = (w.gather(0, deepest).squeeze(0) for w in (t, inside, converged))
    return t, inside, converged


def _root(
    f: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, fa: Tensor, fb: Tensor, wanted: Tensor
) -> tuple[Tensor, Tensor]:
    """
    Root of `f` between `a` and `b`, where it has different signs.

    Inverse quadratic interpolation where it can be trusted, bisection elsewhere (Chandrupatla 1997).

    Returns
    -------
    t : Tensor, shape (*batch)
    narrow : Tensor, shape (*batch), bool
        Whether the bracket has shrunk to rounding.
    """
    rounding = (
        2 * torch.finfo(a.dtype).eps * torch.maximum(torch.maximum(a.abs(), b.abs()), torch.ones_like(a))
    )
    # The newest point is a, b is the other end of the bracket, c the point that was given up last.
    c, fc = a, fa
    s = torch.full_like(a, 0.5)
    for _ in range(_MOST_ROUNDS):
        width = (b - a).abs()
        least = rounding / torch.where(width == 0, 1.0, width)
        done = (least > 0.5) | (width == 0) | (fa == 0) | (fb == 0)
        if not any_true(wanted & ~done):
            break
        t = torch.where(done, a, a + s.clamp(least.clamp_max(0.5), (1 - least).clamp_min(0.5)) * (b - a))
        ft = f(t)
        same = (ft > 0) == (fa > 0)
        c, fc = torch.where(same, a, b), torch.where(same, fa, fb)
        b, fb = torch.where(same, b, a), torch.where(same, fb, fa)
        a, fa = t, ft
        s = _interpolation(a, b, c, fa, fb, fc)
    narrow = ((b - a).abs() <= 2 * rounding) | (fa == 0) | (fb == 0)
    return torch.where(fa.abs() < fb.abs(), a, b), narrow


def _interpolation(a: Tensor, b: Tensor, c: Tensor, fa: Tensor, fb: Tensor, fc: Tensor) -> Tensor:
    """Fraction of the way from `a` to `b` where the inverse parabola vanishes; half if it bends too much."""
    xi = (a - b) / torch.where(c == b, 1.0, c - b)
    phi = (fa - fb) / torch.where(fc == fb, 1.0, fc - fb)
    good = (
        (phi.square() < xi) & ((1 - phi).square() < 1 - xi) & (fa != fb) & (fb != fc) & (fa != fc) & (a != b)
    )
    p, q, r, width = (torch.where(good, w, 1.0) for w in (fb - fa, fb - fc, fc - fa, b - a))
    s = fa / p * (fc / q) - (c - a) / width * (fa / r) * (fb / q)
    return torch.where(good, s, 0.5)
