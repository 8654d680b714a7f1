"""
The laws: each says once what is true of every manifold, and measures by how much it is not.

A law returns residuals, one for each draw of a scene, relative to the size of the points; it never asserts.
So the same function serves a report, a test, and a benchmark of accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import geoopt
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import trailing, with_axes
from repsim_geo.verify.scenes import Scene, size_of_vector

Residual = Callable[[Manifold, Scene], Tensor]


@dataclass(frozen=True)
class Law:
    """
    A statement about manifolds.

    Attributes
    ----------
    name : str
        A sentence with underscores.
    statement : str
    needs : tuple of str
        Methods and facts that the manifold must provide.
    kind : str
        Row of the tolerance table.
    residual : callable
        ``residual(manifold, scene)`` with one number for each draw.
    source : str
    regular : bool
        Asked only where the tangent spaces are vector spaces of full dimension.
    scenes : tuple of str or None
        Asked only on these scenes; None for all.
    """

    name: str
    statement: str
    needs: tuple[str, ...]
    kind: str
    residual: Residual
    source: str = "definition"
    regular: bool = False
    scenes: tuple[str, ...] | None = None


_LAWS: list[Law] = []


def _law(
    statement: str,
    needs: str,
    kind: str,
    *,
    source: str = "definition",
    regular: bool = False,
    scenes: tuple[str, ...] | None = None,
) -> Callable[[Residual], Residual]:
    def register(residual: Residual) -> Residual:
        _LAWS.append(
            Law(residual.__name__, statement, tuple(needs.split()), kind, residual, source, regular, scenes)
        )
        return residual

    return register


def provides(manifold: Manifold, name: str) -> bool:
    """
    Whether a manifold implements a method, or declares a fact, of this name.

    ``parallel_transp`` asks whether ``transp`` is declared to be parallel.

    Parameters
    ----------
    manifold : geoopt.Manifold
    name : str

    Returns
    -------
    bool
    """
    if name == "parallel_transp":
        return getattr(manifold, "transport", None) == "parallel" and provides(manifold, "transp")
    owner = type(getattr(manifold, "base", manifold))
    return hasattr(manifold, name) and getattr(owner, name, None) is not getattr(Manifold, name, None)


# ---------------------------------------------------------------------- helpers


def _over_scale(value: Tensor, scene: Scene) -> Tensor:
    return value.abs() / scene.scale


def _apart(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor, scene: Scene) -> Tensor:
    """Length of the difference of two vectors at `x`, relative to the size of the points."""
    w = u - v
    return manifold.inner(x, w).clamp_min(0).sqrt() / scene.scale


def _ambient_apart(x: Tensor, y: Tensor, ndim: int) -> Tensor:
    axes = trailing(ndim)
    largest = x.abs().amax(axes)
    return (x - y).abs().amax(axes) / torch.where(largest > 0, largest, 1.0)


def _gradients(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    with torch.enable_grad():
        return torch.autograd.grad(function(*leaves).sum(), leaves, materialize_grads=True)


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Value, and derivative in the direction `u`."""
    return torch.func.jvp(function, (x,), (u,))  # pyright: ignore[reportReturnType]


def _no(condition: Tensor) -> Tensor:
    """One where something is not so."""
    return (~condition).double()


def _of_every_point(condition: Tensor, ndim: int) -> Tensor:
    return condition.flatten(-ndim).all(-1)


# ---------------------------------------------------------------------- the axioms of a metric


@_law("d(x, x) = 0.", "dist", "self", source="metric axiom")
def distance_to_self_is_zero(manifold: Manifold, scene: Scene) -> Tensor:
    return _over_scale(manifold.dist(scene.x, scene.x.clone()), scene)


@_law("d(x, y) = d(y, x).", "dist", "rounding", source="metric axiom")
def distance_is_symmetric(manifold: Manifold, scene: Scene) -> Tensor:
    there, back = manifold.dist(scene.x, scene.y), manifold.dist(scene.y, scene.x)
    # Points can be much farther apart than they are large; then the distance sets what rounding may do.
    return (there - back).abs() / torch.maximum(scene.scale, there)


@_law("d(x, z) <= d(x, y) + d(y, z).", "dist", "rounding", source="metric axiom")
def triangle_inequality(manifold: Manifold, scene: Scene) -> Tensor:
    a, b, c = (manifold.dist(p, q) for p, q in ((scene.x, scene.y), (scene.y, scene.z), (scene.x, scene.z)))
    return (c - a - b).clamp_min(0) / torch.maximum(scene.scale, c)


@_law(
    "Near points have their true distance: d(x, exp_x(u)) = |u| to 1 % for |u| = 1e-6 (1e-4 in float32).",
    "dist expmap proju",
    "one percent",
    source="identity of indiscernibles, quantified",
    regular=True,
)
def near_points_are_apart(manifold: Manifold, scene: Scene) -> Tensor:
    u = scene.v * scene.near
    length = size_of_vector(manifold, scene.x, u)
    return (manifold.dist(scene.x, manifold.expmap(scene.x, u)) - length).abs() / length


@_law("dist2 is the square of dist.", "dist dist2", "composed")
def squared_distance_is_the_square(manifold: Manifold, scene: Scene) -> Tensor:
    d = manifold.dist(scene.x, scene.y)
    return (manifold.dist2(scene.x, scene.y) - d.square()).abs() / scene.scale.square()


@_law("No distance exceeds the declared diameter.", "dist diameter", "rounding")
def distance_is_within_the_diameter(manifold: Manifold, scene: Scene) -> Tensor:
    return _over_scale((manifold.dist(scene.x, scene.y) - manifold.diameter).clamp_min(0), scene)


# ---------------------------------------------------------------------- geodesics


@_law("The logarithm is as long as the distance: |log_x(y)| = d(x, y).", "dist logmap", "composed")
def distance_is_length_of_log(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.logmap(scene.x, scene.y)
    return _over_scale(
        manifold.inner(scene.x, u).clamp_min(0).sqrt() - manifold.dist(scene.x, scene.y), scene
    )


@_law(
    "The distance splits along a geodesic: d(x, g(t)) = t d(x, y) and d(g(t), y) = (1 - t) d(x, y).",
    "dist logmap expmap",
    "composed",
    source="length space",
)
def geodesic_splits_the_distance(manifold: Manifold, scene: Scene) -> Tensor:
    d, worst = manifold.dist(scene.x, scene.y), torch.zeros_like(scene.scale)
    for t in (0.25, 0.5, 0.9):
        g = manifold.expmap(scene.x, t * manifold.logmap(scene.x, scene.y))
        for value in (manifold.dist(scene.x, g) - t * d, manifold.dist(g, scene.y) - (1 - t) * d):
            worst = torch.maximum(worst, _over_scale(value, scene))
    return worst


@_law("exp_x(log_x(y)) = y.", "dist logmap expmap", "composed")
def exp_inverts_log(manifold: Manifold, scene: Scene) -> Tensor:
    return _over_scale(
        manifold.dist(manifold.expmap(scene.x, manifold.logmap(scene.x, scene.y)), scene.y), scene
    )


@_law("log_x(exp_x(u)) = u for u short of the cut locus.", "logmap expmap inner", "composed", regular=True)
def log_inverts_exp(manifold: Manifold, scene: Scene) -> Tensor:
    return _apart(
        manifold, scene.x, manifold.logmap(scene.x, manifold.expmap(scene.x, scene.u)), scene.u, scene
    )


@_law("Exponentials are points: exp_x(u) passes the check.", "expmap", "yes or no")
def exp_is_a_point(manifold: Manifold, scene: Scene) -> Tensor:
    return torch.tensor(float(not manifold.check_point_on_manifold(manifold.expmap(scene.x, scene.u))))


@_law("Logarithms are tangent.", "logmap proju inner", "composed")
def log_is_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.logmap(scene.x, scene.y)
    return _apart(manifold, scene.x, u, manifold.proju(scene.x, u), scene)


@_law("geodesic runs from x (t = 0) to y (t = 1), and its middle is the middle.", "geodesic dist", "composed")
def geodesic_has_its_ends(manifold: Manifold, scene: Scene) -> Tensor:
    half = manifold.dist(scene.x, scene.y) / 2
    start, middle, end = (manifold.geodesic(t, scene.x, scene.y) for t in (0.0, 0.5, 1.0))
    values = (
        manifold.dist(start, scene.x),
        manifold.dist(end, scene.y),
        manifold.dist(scene.x, middle) - half,
    )
    return torch.stack([_over_scale(v, scene) for v in values]).amax(0)


@_law(
    "The exponential map starts with its velocity: d/dt exp_x(t u) = u at t = 0.", "expmap inner", "composed"
)
def exp_starts_with_its_velocity(manifold: Manifold, scene: Scene) -> Tensor:
    zero = torch.zeros_like(scene.v)
    _, velocity = _derivative(lambda u: manifold.expmap(scene.x, u), zero, scene.v)
    return _apart(manifold, scene.x, velocity, scene.v, scene)


@_law(
    "Gauss: <D exp(u)[v], D exp(u)[u]> at exp_x(u) equals <v, u> at x.",
    "expmap inner",
    "composed",
    source="Gauss lemma",
    regular=True,
)
def radial_geodesics_are_orthogonal_to_spheres(manifold: Manifold, scene: Scene) -> Tensor:
    exp = lambda u: manifold.expmap(scene.x, u)  # noqa: E731
    y, along = _derivative(exp, scene.u, scene.u)
    _, across = _derivative(exp, scene.u, scene.v)
    return (
        manifold.inner(y, across, along) - manifold.inner(scene.x, scene.v, scene.u)
    ).abs() / scene.scale.square()


@_law(
    "Geodesics are shortest up to the cut time and not beyond it.",
    "cut_time expmap dist",
    "composed",
    regular=True,
)
def cut_time_is_where_shortness_ends(manifold: Manifold, scene: Scene) -> Tensor:
    t, length = manifold.cut_time(scene.x, scene.u), size_of_vector(manifold, scene.x, scene.u)
    finite = t.isfinite() & (t < 1e3)
    t = torch.where(finite, t, 1.0)

    def shortfall(factor: float) -> Tensor:
        u = factor * with_axes(t, manifold.ndim) * scene.u
        return factor * t * length - manifold.dist(scene.x, manifold.expmap(scene.x, u))

    before, beyond = shortfall(0.97), shortfall(1.03)
    still_short = beyond <= 4 * torch.finfo(beyond.dtype).eps * scene.scale
    return torch.where(finite, _over_scale(before, scene) + still_short, _over_scale(before, scene))


@_law(
    "The injectivity radius is within the cut distance of every direction.",
    "injectivity_radius cut_time",
    "composed",
)
def injectivity_radius_is_within_the_cut_locus(manifold: Manifold, scene: Scene) -> Tensor:
    cut = manifold.cut_time(scene.x, scene.u) * size_of_vector(manifold, scene.x, scene.u)
    radius = torch.as_tensor(manifold.injectivity_radius(scene.x), dtype=cut.dtype).expand_as(cut)
    return torch.where(cut.isinf(), 0.0, _over_scale((radius - cut).clamp_min(0).nan_to_num(0.0), scene))


@_law(
    "The radius in which means are unique is within the injectivity radius.",
    "uniqueness_radius injectivity_radius",
    "composed",
    source="beyond it two points can have two midpoints",
)
def uniqueness_radius_is_within_the_injectivity_radius(manifold: Manifold, scene: Scene) -> Tensor:
    unique = manifold.uniqueness_radius(scene.x)
    radius = torch.as_tensor(manifold.injectivity_radius(scene.x), dtype=unique.dtype).expand_as(unique)
    return torch.where(radius.isinf(), 0.0, _over_scale((unique - radius).clamp_min(0), scene))


# ---------------------------------------------------------------------- gradients


@_law(
    "The gradient of half the squared distance is -log_x(y).",
    "dist2 logmap egrad2rgrad inner",
    "composed",
    source="first variation formula",
)
def gradient_of_squared_distance_is_minus_log(manifold: Manifold, scene: Scene) -> Tensor:
    (g,) = _gradients(lambda x: manifold.dist2(x, scene.y) / 2, scene.x)
    return _apart(
        manifold, scene.x, manifold.egrad2rgrad(scene.x, g), -manifold.logmap(scene.x, scene.y), scene
    )


@_law("Gradients of dist and dist2 are finite, at equal points too.", "dist dist2", "yes or no")
def gradients_of_distances_are_finite(manifold: Manifold, scene: Scene) -> Tensor:
    found = [
        g
        for function in (manifold.dist, manifold.dist2)
        for y in (scene.y, scene.x.clone())
        for g in _gradients(function, scene.x, y)
    ]
    return _no(torch.stack([_of_every_point(g.isfinite(), manifold.ndim) for g in found]).all(0))


@_law(
    "Gradients through log, exp (at the zero vector too), norm and transp are finite.",
    "logmap expmap transp",
    "yes or no",
)
def gradients_of_maps_are_finite(manifold: Manifold, scene: Scene) -> Tensor:
    weights = torch.randn(scene.x.shape, generator=torch.Generator().manual_seed(0)).to(scene.x)
    zero = torch.zeros_like(scene.u)
    found = [
        *_gradients(lambda x, y: manifold.logmap(x, y) * weights, scene.x, scene.y),
        *_gradients(lambda x, y: manifold.logmap(x, y) * weights, scene.x, scene.x.clone()),
        *_gradients(lambda x, u: manifold.expmap(x, u) * weights, scene.x, scene.u),
        *_gradients(lambda x, u: manifold.expmap(x, u) * weights, scene.x, zero),
        *_gradients(lambda x, u: manifold.norm(x, u), scene.x, zero)[1:],
        *_gradients(lambda x, y, v: manifold.transp(x, y, v) * weights, scene.x, scene.y, scene.v),
    ]
    return _no(torch.stack([_of_every_point(g.isfinite(), manifold.ndim) for g in found]).all(0))


@_law(
    "egrad2rgrad is the Riesz map: <egrad2rgrad(g), u> = sum(g * u) for tangent u.",
    "egrad2rgrad inner proju",
    "composed",
)
def riemannian_gradient_represents_the_differential(manifold: Manifold, scene: Scene) -> Tensor:
    r = manifold.egrad2rgrad(scene.x, scene.noise)
    product = (scene.noise * scene.v).sum(trailing(manifold.ndim))
    size = torch.linalg.vector_norm(scene.noise, dim=trailing(manifold.ndim)) * torch.linalg.vector_norm(
        scene.v, dim=trailing(manifold.ndim)
    )
    return (manifold.inner(scene.x, r, scene.v) - product).abs() / size


@_law(
    "rgrad2egrad is undone by egrad2rgrad on tangent vectors.",
    "rgrad2egrad egrad2rgrad inner",
    "composed",
    regular=True,
)
def gradients_convert_both_ways(manifold: Manifold, scene: Scene) -> Tensor:
    back = manifold.egrad2rgrad(scene.x, manifold.rgrad2egrad(scene.x, scene.v))
    return _apart(manifold, scene.x, back, scene.v, scene)


# ---------------------------------------------------------------------- inner product and projections


@_law("The inner product is symmetric, positive, and linear.", "inner proju", "rounding")
def inner_product_is_symmetric_and_positive(manifold: Manifold, scene: Scene) -> Tensor:
    x, u, v, w = scene.x, scene.u, scene.v, scene.w
    asymmetry = manifold.inner(x, u, v) - manifold.inner(x, v, u)
    linear = manifold.inner(x, u + 2 * w, v) - manifold.inner(x, u, v) - 2 * manifold.inner(x, w, v)
    negative = (-manifold.inner(x, v)).clamp_min(0)
    return (asymmetry.abs() + linear.abs() + negative) / scene.scale.square()


@_law("norm is the root of inner.", "norm inner", "rounding")
def norm_is_root_of_inner(manifold: Manifold, scene: Scene) -> Tensor:
    return _over_scale(manifold.norm(scene.x, scene.v) - manifold.inner(scene.x, scene.v).sqrt(), scene)


@_law("proju changes nothing the second time.", "proju inner", "composed")
def tangent_projection_is_idempotent(manifold: Manifold, scene: Scene) -> Tensor:
    once = manifold.proju(scene.x, scene.noise)
    return _ambient_apart(once, manifold.proju(scene.x, once), manifold.ndim)


@_law("proju is self-adjoint: <proju(a), b> = <a, proju(b)>.", "proju inner", "composed")
def tangent_projection_is_self_adjoint(manifold: Manifold, scene: Scene) -> Tensor:
    a, b = scene.noise, scene.noise.flip(0)
    x = scene.x
    difference = manifold.inner(x, manifold.proju(x, a), b) - manifold.inner(x, a, manifold.proju(x, b))
    return difference.abs() / (size_of_vector(manifold, x, a) * size_of_vector(manifold, x, b))


@_law("What proju returns passes the check of tangent vectors.", "proju", "yes or no")
def projected_vectors_are_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    return torch.tensor(
        float(not manifold.check_vector_on_tangent(scene.x, manifold.proju(scene.x, scene.noise)))
    )


@_law("projx keeps points.", "projx", "rounding")
def point_projection_keeps_points(manifold: Manifold, scene: Scene) -> Tensor:
    return _ambient_apart(scene.x, manifold.projx(scene.x), manifold.ndim)


@_law("What projx returns passes the check of points, and is contiguous.", "projx", "yes or no")
def projected_points_are_points(manifold: Manifold, scene: Scene) -> Tensor:
    x = manifold.projx(scene.x + scene.noise)
    return torch.tensor(float(not (manifold.check_point_on_manifold(x) and x.is_contiguous())))


@_law("nan is not a point.", "projx", "yes or no")
def nan_is_not_a_point(manifold: Manifold, scene: Scene) -> Tensor:
    return torch.tensor(float(bool(manifold.check_point_on_manifold(scene.x * torch.nan))))


@_law("The dimension is the trace of proju.", "dim proju", "composed", regular=True)
def dimension_is_the_trace_of_the_projection(manifold: Manifold, scene: Scene) -> Tensor:
    point = scene.x.shape[1:]
    basis = torch.eye(point.numel(), dtype=scene.x.dtype).reshape(-1, *[1] * 0, *point)
    projected = manifold.proju(scene.x[:1], basis).flatten(1)
    return (projected.diagonal().sum() - manifold.dim(*point)).abs()[None] / point.numel()


# ---------------------------------------------------------------------- transport


@_law("Transported vectors are tangent at the target.", "transp proju inner", "transport")
def transport_is_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    moved = manifold.transp(scene.x, scene.y, scene.v)
    return _apart(manifold, scene.y, moved, manifold.proju(scene.y, moved), scene)


@_law("Parallel transport keeps inner products.", "parallel_transp inner", "transport", regular=True)
def transport_is_isometric(manifold: Manifold, scene: Scene) -> Tensor:
    v, w = (manifold.transp(scene.x, scene.y, vector) for vector in (scene.v, scene.w))
    difference = manifold.inner(scene.y, v, w) - manifold.inner(scene.x, scene.v, scene.w)
    lengths = manifold.inner(scene.y, v) - manifold.inner(scene.x, scene.v)
    return (difference.abs() + lengths.abs()) / scene.scale.square()


@_law(
    "Parallel transport there and back is the identity.", "parallel_transp inner", "transport", regular=True
)
def transport_is_reversible(manifold: Manifold, scene: Scene) -> Tensor:
    there = manifold.transp(scene.x, scene.y, scene.v)
    return _apart(manifold, scene.x, manifold.transp(scene.y, scene.x, there), scene.v, scene)


@_law(
    "Transport carries the velocity of a geodesic along: log_x(y) becomes -log_y(x).",
    "parallel_transp logmap inner",
    "transport",
    regular=True,
)
def transport_keeps_the_velocity(manifold: Manifold, scene: Scene) -> Tensor:
    moved = manifold.transp(scene.x, scene.y, manifold.logmap(scene.x, scene.y))
    return _apart(manifold, scene.y, moved, -manifold.logmap(scene.y, scene.x), scene)


@_law(
    "Parallel transport agrees with a ladder of geodesics.",
    "parallel_transp expmap logmap inner",
    "finite difference",
    source="pole ladder, Lorenzi and Pennec 2014",
    regular=True,
    scenes=("iid", "equal_eigenvalues"),
)
def transport_agrees_with_a_ladder(manifold: Manifold, scene: Scene) -> Tensor:
    x, u = scene.x, scene.u
    y = manifold.expmap(x, u)
    small = 1e-3
    rung = small * scene.v
    steps = 16
    for k in range(steps):
        start, end = (manifold.expmap(x, (k + i) / steps * u) for i in (0.0, 1.0))
        middle = manifold.expmap(x, (k + 0.5) / steps * u)
        tip = manifold.expmap(start, rung)
        opposite = manifold.expmap(middle, -manifold.logmap(middle, tip))
        rung = -manifold.logmap(end, opposite)
    return _apart(manifold, y, rung / small, manifold.transp(x, y, scene.v), scene)


@_law(
    "expmap_transp returns the exponential and the vector transported there.",
    "expmap_transp transp inner",
    "transport",
    regular=True,
)
def exponential_and_transport_agree(manifold: Manifold, scene: Scene) -> Tensor:
    y, moved = manifold.expmap_transp(scene.x, scene.u, scene.v)
    target = _ambient_apart(manifold.expmap(scene.x, scene.u), y, manifold.ndim)
    follow = _apart(manifold, y, moved, manifold.transp_follow_expmap(scene.x, scene.u, scene.v), scene)
    return target + follow + _apart(manifold, y, moved, manifold.transp(scene.x, y, scene.v), scene)


@_law(
    "retr_transp accepts ambient vectors, and returns a point and a tangent vector there.",
    "retr_transp proju inner",
    "transport",
)
def retraction_accepts_ambient_vectors(manifold: Manifold, scene: Scene) -> Tensor:
    length = size_of_vector(manifold, scene.x, manifold.proju(scene.x, scene.noise))
    short = scene.noise * with_axes(0.1 * scene.scale / length, manifold.ndim)
    y, moved = manifold.retr_transp(scene.x, short, scene.noise.flip(0))
    off = _apart(manifold, y, moved, manifold.proju(y, moved), scene)
    return off + float(not manifold.check_point_on_manifold(y))


@_law(
    "retr agrees with expmap to second order.",
    "retr expmap dist",
    "one percent",
    regular=True,
    scenes=("iid",),
)
def retraction_is_of_second_order(manifold: Manifold, scene: Scene) -> Tensor:
    u = 0.05 * scene.u
    return _over_scale(manifold.dist(manifold.retr(scene.x, u), manifold.expmap(scene.x, u)), scene) / 0.05**2


# ---------------------------------------------------------------------- curvature


@_law(
    "Sectional curvature is what small geodesic triangles say.",
    "sectional_curvature injectivity_radius expmap dist2 inner",
    "finite difference",
    source="expansion of d(exp su, exp sv)^2, do Carmo 1992",
    regular=True,
    scenes=("iid", "equal_eigenvalues"),
)
def curvature_agrees_with_distances(manifold: Manifold, scene: Scene) -> Tensor:
    x, u, v = scene.x, scene.v, scene.w
    radius = torch.as_tensor(manifold.injectivity_radius(x)).to(scene.scale).expand_as(scene.scale)
    unit = torch.minimum(radius, scene.scale) / scene.scale
    u, v = (with_axes(unit, manifold.ndim) * w for w in (u, v))
    area = manifold.inner(x, u) * manifold.inner(x, v) - manifold.inner(x, u, v).square()
    flat = manifold.inner(x, u - v)

    def estimate(s: float) -> Tensor:
        squares = (
            sum(manifold.dist2(manifold.expmap(x, e * s * u), manifold.expmap(x, e * s * v)) for e in (-1, 1))
            / 2
        )
        return 3 * (s**2 * flat - squares) / (s**4 * area)

    a, b, c = (estimate(s) for s in (0.16, 0.08, 0.04))
    fine, coarse = (4 * b - a) / 3, (4 * c - b) / 3
    measured = (16 * coarse - fine) / 15
    claimed = manifold.sectional_curvature(x, u, v)
    # What rounding of the squared distances makes of the finest estimate cannot be held against the claim.
    blur = 10 * torch.finfo(area.dtype).eps * scene.scale.square() / (0.04**4 * area)
    apart = ((measured - claimed).abs() - blur).clamp_min(0) / (1 / scene.scale.square() + claimed.abs())
    # Nearly parallel vectors hardly span a plane, and in one dimension they span none.
    spread = area / (manifold.inner(x, u) * manifold.inner(x, v))
    return torch.where(spread > 1e-6, apart * spread, 0.0)


# ---------------------------------------------------------------------- batches, dtypes, wrappers


@_law("A batch gives what its entries give alone.", "dist logmap expmap transp", "composed")
def batch_entries_do_not_mix(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, u, v = (a[2:3] for a in (scene.x, scene.y, scene.u, scene.v))
    pairs = (
        (manifold.logmap(scene.x, scene.y)[2:3], manifold.logmap(x, y)),
        (manifold.expmap(scene.x, scene.u)[2:3], manifold.expmap(x, u)),
        (manifold.transp(scene.x, scene.y, scene.v)[2:3], manifold.transp(x, y, v)),
    )
    size = torch.maximum(x.abs().amax(), v.abs().amax())
    apart = [(a - b).abs().amax() / size for a, b in pairs]
    distance = (manifold.dist(scene.x, scene.y)[2] - manifold.dist(x, y)[0]).abs() / scene.scale[2]
    return torch.stack([*apart, distance])


@_law("One point broadcasts against many, from either side.", "dist logmap expmap proju inner", "composed")
def arguments_broadcast(manifold: Manifold, scene: Scene) -> Tensor:
    x, n = scene.x[0], len(scene.x)
    many = x.expand_as(scene.x).contiguous()
    unit = scene.scale.amax()
    pairs = (
        (manifold.dist(x, scene.y), manifold.dist(many, scene.y), unit),
        (manifold.dist(scene.y, x), manifold.dist(scene.y, many), unit),
        (
            manifold.inner(scene.x, scene.u[0]),
            manifold.inner(scene.x, scene.u[:1].expand_as(scene.u)),
            unit.square(),
        ),
        (manifold.logmap(x, scene.y), manifold.logmap(many, scene.y), None),
        (
            manifold.expmap(scene.x, scene.u[0]),
            manifold.expmap(scene.x, scene.u[:1].expand_as(scene.u)),
            None,
        ),
        (manifold.proju(x, scene.noise), manifold.proju(many, scene.noise), None),
        (
            manifold.proju(scene.x, scene.noise[0]),
            manifold.proju(scene.x, scene.noise[:1].expand_as(scene.noise)),
            None,
        ),
    )
    wrong = [torch.tensor(float(a.shape != b.shape or len(a) != n)).to(scene.x) for a, b, _ in pairs]
    return torch.stack([*wrong, *(_differ(a, b, unit, scene) for a, b, unit in pairs)])


def _differ(a: Tensor, b: Tensor, unit: Tensor | None, scene: Scene) -> Tensor:
    """Largest difference, relative to the results themselves, and to their unit or the size of the points."""
    unit = scene.x.abs().amax() if unit is None else unit
    return (a - b).abs().amax() / _or_one(torch.maximum(unit, b.abs().amax()))


@_law("cdist holds the distances of all pairs.", "cdist dist", "composed")
def cdist_is_all_distances(manifold: Manifold, scene: Scene) -> Tensor:
    x, y = scene.x, scene.y[:3]
    table = torch.stack([manifold.dist(x, b) for b in y], -1)
    return (manifold.cdist(x, y) - table).abs().amax(-1) / scene.scale


@_law("keepdim keeps one axis of size one for each axis of a point.", "dist dist2 inner norm", "yes or no")
def keepdim_keeps_the_axes_of_a_point(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, u = scene.x, scene.y, scene.u
    wanted = (len(x), *[1] * manifold.ndim)
    kept = (
        manifold.dist(x, y, keepdim=True),
        manifold.dist2(x, y, keepdim=True),
        manifold.inner(x, u, keepdim=True),
        manifold.norm(x, u, keepdim=True),
    )
    return torch.tensor([float(tuple(a.shape) != wanted or not a.is_contiguous()) for a in kept])


@_law("Results have the dtype of the points.", "dist logmap expmap projx proju inner", "yes or no")
def dtype_is_kept(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, u = scene.x, scene.y, scene.u
    results = (
        manifold.dist(x, y),
        manifold.dist2(x, y),
        manifold.logmap(x, y),
        manifold.expmap(x, u),
        manifold.projx(x),
        manifold.proju(x, u),
        manifold.inner(x, u),
    )
    return torch.tensor([float(a.dtype != x.dtype) for a in results])


@_law("Arguments are never modified.", "dist logmap expmap transp projx proju egrad2rgrad", "yes or no")
def arguments_are_not_modified(manifold: Manifold, scene: Scene) -> Tensor:
    given = (scene.x, scene.y, scene.u, scene.v, scene.noise)
    before = [a.clone() for a in given]
    x, y, u, v, noise = given
    for function in (manifold.dist, manifold.dist2, manifold.logmap):
        function(x, y)
    for function in (manifold.proju, manifold.egrad2rgrad):
        function(x, noise)
    manifold.projx(noise)
    manifold.expmap(x, u)
    manifold.transp(x, y, v)
    manifold.retr_transp(x, u, v)
    return torch.tensor([float(not torch.equal(a, b)) for a, b in zip(before, given, strict=True)])


@_law(
    "Scaled(manifold, 2) has twice the distances, and the same geodesics.",
    "dist logmap expmap",
    "composed",
    source="geoopt.Scaled",
)
def scaling_scales_distances(manifold: Manifold, scene: Scene) -> Tensor:
    scaled = geoopt.Scaled(manifold, 2.0)
    x, y = scene.x, scene.y
    apart = _over_scale(scaled.dist(x, y) - 2 * manifold.dist(x, y), scene)
    there = _over_scale(manifold.dist(scaled.expmap(x, scaled.logmap(x, y)), y), scene)
    return apart + there + sum(_over_scale(a - b, scene) for a, b in _scaled_pairs(manifold, scaled, scene))


def _scaled_pairs(manifold: Manifold, scaled: Manifold, scene: Scene) -> Iterator[tuple[Tensor, Tensor]]:
    """What methods beyond geoopt's own give under a scale of 2, and what they should give."""
    x, y, u = scene.x, scene.y, scene.u
    zero = torch.zeros_like(scene.scale)
    if provides(manifold, "cdist"):
        yield scaled.cdist(x, y[:1])[:, 0], 2 * manifold.cdist(x, y[:1])[:, 0]
    if provides(manifold, "geodesic"):
        yield manifold.dist(scaled.geodesic(0.5, x, y), manifold.geodesic(0.5, x, y)), zero
    if provides(manifold, "carry"):
        moved, wanted = scaled.carry(x, 2 * u, scene.v), manifold.carry(x, u, scene.v)
        yield manifold.norm(manifold.expmap(x, u), moved - wanted), zero
    if provides(manifold, "cut_time"):
        ratio = (scaled.cut_time(x, 2 * u) / manifold.cut_time(x, u)).nan_to_num(1.0)
        yield (ratio - 1) * scene.scale, zero


@_law(
    "A product with itself adds squared distances.",
    "dist dist2 projx",
    "composed",
    source="geoopt.ProductManifold",
)
def products_add_squared_distances(manifold: Manifold, scene: Scene) -> Tensor:
    point = tuple(scene.x.shape[1:])
    product = geoopt.ProductManifold((manifold, point), (manifold, point))
    a, b = product.pack_point(scene.x, scene.y), product.pack_point(scene.z, scene.x)
    both = manifold.dist2(scene.x, scene.z) + manifold.dist2(scene.y, scene.x)
    return (product.dist2(a, b) - both).abs() / scene.scale.square()


@_law(
    "vmap gives what the batch gives.",
    "dist logmap expmap transp inner",
    "transport",
    scenes=("coincident", "ill_conditioned"),
)
def vmap_agrees_with_the_batch(manifold: Manifold, scene: Scene) -> Tensor:
    vmap = torch.func.vmap
    apart = _over_scale(vmap(manifold.dist)(scene.x, scene.y) - manifold.dist(scene.x, scene.y), scene)
    log = _apart(
        manifold, scene.x, vmap(manifold.logmap)(scene.x, scene.y), manifold.logmap(scene.x, scene.y), scene
    )
    exp = _ambient_apart(
        manifold.expmap(scene.x, scene.u), vmap(manifold.expmap)(scene.x, scene.u), manifold.ndim
    )
    moved, alone = (
        function(scene.x, scene.y, scene.v) for function in (manifold.transp, vmap(manifold.transp))
    )
    return apart + log + exp + _apart(manifold, scene.y, moved, alone, scene)


@_law(
    "origin is the same every time, is a point, and leaves the global random state alone.",
    "random projx",
    "yes or no",
    scenes=("iid",),
)
def origin_is_reproducible(manifold: Manifold, scene: Scene) -> Tensor:
    point = tuple(scene.x.shape[1:])
    before = torch.random.get_rng_state()
    a, b = manifold.origin(*point, dtype=scene.x.dtype), manifold.origin(point, dtype=scene.x.dtype)
    kept = torch.equal(before, torch.random.get_rng_state())
    return torch.tensor(float(not (torch.equal(a, b) and kept and manifold.check_point_on_manifold(a))))


@_law(
    "random gives points, new ones every time, of the shape and dtype asked for.",
    "random projx",
    "yes or no",
    scenes=("iid",),
)
def random_points_are_points(manifold: Manifold, scene: Scene) -> Tensor:
    point = tuple(scene.x.shape[1:])
    with torch.random.fork_rng(devices=[]):
        x, other = (manifold.random(5, *point, dtype=scene.x.dtype) for _ in range(2))
    right = (
        tuple(x.shape) == (5, *point) and x.dtype == scene.x.dtype and isinstance(x, geoopt.ManifoldTensor)
    )
    new = not torch.equal(x, other)
    return torch.tensor(float(not (right and new and manifold.check_point_on_manifold(x))))


@_law("Several axes of batches are one long batch.", "dist logmap expmap proju inner", "composed")
def batches_have_any_number_of_axes(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, u, noise = (a.unflatten(0, (2, -1)) for a in (scene.x, scene.y, scene.u, scene.noise))
    unit = scene.scale.amax()
    pairs = [
        (manifold.dist(x, y), manifold.dist(scene.x, scene.y), unit),
        (manifold.inner(x, u), manifold.inner(scene.x, scene.u), unit.square()),
        (manifold.logmap(x, y), manifold.logmap(scene.x, scene.y), None),
        (manifold.expmap(x, u), manifold.expmap(scene.x, scene.u), None),
        (manifold.proju(x, noise), manifold.proju(scene.x, scene.noise), None),
    ]
    if provides(manifold, "retr_transp"):
        # One pair of vectors for all points, which have more axes than the vectors.
        one, other = 0.1 * scene.u[0], scene.noise[0]
        flat = manifold.retr_transp(scene.x, one.expand_as(scene.x), other.expand_as(scene.x))
        pairs += [(a, b, None) for a, b in zip(manifold.retr_transp(x, one, other), flat, strict=True)]
    return torch.stack([_differ(a.flatten(0, 1), b, unit, scene) for a, b, unit in pairs])


@_law("geodesic takes many times at once.", "geodesic dist", "composed")
def geodesic_takes_many_times(manifold: Manifold, scene: Scene) -> Tensor:
    times = torch.tensor([0.0, 0.3, 1.0], dtype=scene.x.dtype)
    together = manifold.geodesic(times[(..., *[None] * scene.x.dim())], scene.x, scene.y)
    apart = [
        _over_scale(manifold.dist(point, manifold.geodesic(float(t), scene.x, scene.y)), scene)
        for t, point in zip(times, together, strict=True)
    ]
    return torch.stack(apart).amax(0)


@_law("The angle at a vertex is that of the two directions.", "angle expmap inner", "composed", regular=True)
def angle_is_that_of_the_directions(manifold: Manifold, scene: Scene) -> Tensor:
    x, u = scene.x, scene.u
    length = size_of_vector(manifold, x, u)
    # A second direction, shorter than the first and never opposite to it.
    v = 0.6 * u + 0.4 * with_axes(length / size_of_vector(manifold, x, scene.v), manifold.ndim) * scene.v
    if provides(manifold, "cut_time"):
        v = v * with_axes(manifold.cut_time(x, v).clamp(max=1.0), manifold.ndim)
    uu, vv, uv = manifold.inner(x, u), manifold.inner(x, v), manifold.inner(x, u, v)
    exact = torch.atan2((uu * vv - uv.square()).clamp_min(0).sqrt(), uv)
    found = manifold.angle(manifold.expmap(x, 0.5 * u), x, manifold.expmap(x, 0.5 * v))
    # Nearly parallel vectors: the root of the difference has half of the digits. Short ones: log has few.
    return (found - exact).abs() * exact.sin().abs() * length / scene.scale


@_law("Gradients of cdist are finite, on the diagonal too.", "cdist", "yes or no")
def gradients_of_cdist_are_finite(manifold: Manifold, scene: Scene) -> Tensor:
    found = _gradients(lambda x: manifold.cdist(x, x), scene.x) + _gradients(manifold.cdist, scene.x, scene.y)
    return _no(torch.stack([_of_every_point(g.isfinite(), manifold.ndim) for g in found]).all(0))


@_law("A tensor that projx moves is not a point.", "projx", "yes or no", scenes=("iid",))
def tensors_off_the_manifold_are_refused(manifold: Manifold, scene: Scene) -> Tensor:
    noise = scene.noise[:1]
    moved = bool((manifold.projx(noise) - noise).abs().max() > 1e-2 * noise.abs().max())
    return torch.tensor(float(moved and bool(manifold.check_point_on_manifold(noise))))


@_law(
    "The Hessian of half the squared distance is bounded below as declared.",
    "distance_convexity injectivity_radius expmap dist2 inner",
    "finite difference",
    source="comparison theorem of Rauch",
    regular=True,
    scenes=("iid", "close", "on_geodesic", "equal_eigenvalues"),
)
def distance_convexity_is_a_lower_bound(manifold: Manifold, scene: Scene) -> Tensor:
    x, size = scene.x, size_of_vector(manifold, scene.x, scene.v)
    y = manifold.expmap(x, 0.5 * scene.u)
    bound = manifold.distance_convexity(x, manifold.dist(x, y))
    radius = torch.as_tensor(manifold.injectivity_radius(x), dtype=size.dtype).expand_as(size)
    h = 1e-3 * torch.minimum(radius, scene.scale) / size
    step = with_axes(h, manifold.ndim) * scene.v
    values = [manifold.dist2(manifold.expmap(x, s * step), y) / 2 for s in (-1, 0, 1)]
    hessian = (values[0] - 2 * values[1] + values[2]) / (h * size).square()
    # At a singular point there is no room for differences, and nothing to hold against the bound.
    return torch.where(h > 0, (bound - hessian).clamp_min(0), 0.0)


def _or_one(value: Tensor) -> Tensor:
    return torch.where(value > 0, value, torch.ones_like(value))


LAWS: tuple[Law, ...] = tuple(_LAWS)
