"""Geodesics, exponentials and logarithms: a space in which every distance is a length."""

from __future__ import annotations

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import with_axes
from repsim_geo.verify.laws.residuals import apart, derivative, over_scale
from repsim_geo.verify.scenes import Scene, size_of_vector
from repsim_geo.verify.statements import chapter, provides

LAWS, law = chapter(order=1)


@law("The logarithm is as long as the distance: |log_x(y)| = d(x, y).", "dist logmap", "composed")
def distance_is_length_of_log(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.logmap(scene.x, scene.y)
    return over_scale(manifold.inner(scene.x, u).clamp_min(0).sqrt() - manifold.dist(scene.x, scene.y), scene)


@law(
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
            worst = torch.maximum(worst, over_scale(value, scene))
    return worst


@law(
    "Geodesics have constant speed: d(g(s), g(t)) = |s - t| d(x, y).",
    "dist logmap expmap",
    "composed",
    source="length space",
)
def geodesics_have_constant_speed(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.logmap(scene.x, scene.y)
    early, late = (manifold.expmap(scene.x, t * u) for t in (0.2, 0.8))
    return over_scale(manifold.dist(early, late) - 0.6 * manifold.dist(scene.x, scene.y), scene)


@law("exp_x(log_x(y)) = y.", "dist logmap expmap", "composed")
def exp_inverts_log(manifold: Manifold, scene: Scene) -> Tensor:
    return over_scale(
        manifold.dist(manifold.expmap(scene.x, manifold.logmap(scene.x, scene.y)), scene.y), scene
    )


@law("log_x(exp_x(u)) = u for u short of the cut locus.", "logmap expmap inner", "composed", regular=True)
def log_inverts_exp(manifold: Manifold, scene: Scene) -> Tensor:
    return apart(
        manifold, scene.x, manifold.logmap(scene.x, manifold.expmap(scene.x, scene.u)), scene.u, scene
    )


@law("Exponentials are points: exp_x(u) passes the check.", "expmap", "yes or no")
def exp_is_a_point(manifold: Manifold, scene: Scene) -> Tensor:
    return torch.tensor(float(not manifold.check_point_on_manifold(manifold.expmap(scene.x, scene.u))))


@law("Logarithms are tangent.", "logmap proju inner", "composed")
def log_is_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.logmap(scene.x, scene.y)
    return apart(manifold, scene.x, u, manifold.proju(scene.x, u), scene)


@law("geodesic runs from x (t = 0) to y (t = 1), and its middle is the middle.", "geodesic dist", "composed")
def geodesic_has_its_ends(manifold: Manifold, scene: Scene) -> Tensor:
    half = manifold.dist(scene.x, scene.y) / 2
    start, middle, end = (manifold.geodesic(t, scene.x, scene.y) for t in (0.0, 0.5, 1.0))
    values = (
        manifold.dist(start, scene.x),
        manifold.dist(end, scene.y),
        manifold.dist(scene.x, middle) - half,
    )
    return torch.stack([over_scale(v, scene) for v in values]).amax(0)


@law(
    "geodesic goes on beyond its ends as the exponential of the logarithm does.",
    "geodesic dist logmap expmap",
    "composed",
    regular=True,
)
def geodesic_goes_on_beyond_its_ends(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.logmap(scene.x, scene.y)
    misses = [
        over_scale(
            manifold.dist(manifold.geodesic(t, scene.x, scene.y), manifold.expmap(scene.x, t * u)), scene
        )
        for t in (-0.2, 1.2)
    ]
    return torch.stack(misses).amax(0)


@law("geodesic takes many times at once.", "geodesic dist", "composed")
def geodesic_takes_many_times(manifold: Manifold, scene: Scene) -> Tensor:
    times = torch.tensor([0.0, 0.3, 1.0], dtype=scene.x.dtype)
    together = manifold.geodesic(times[(..., *[None] * scene.x.dim())], scene.x, scene.y)
    misses = [
        over_scale(manifold.dist(point, manifold.geodesic(float(t), scene.x, scene.y)), scene)
        for t, point in zip(times, together, strict=True)
    ]
    return torch.stack(misses).amax(0)


@law(
    "The exponential map starts with its velocity: d/dt exp_x(t u) = u at t = 0.", "expmap inner", "composed"
)
def exp_starts_with_its_velocity(manifold: Manifold, scene: Scene) -> Tensor:
    zero = torch.zeros_like(scene.v)
    _, velocity = derivative(lambda u: manifold.expmap(scene.x, u), zero, scene.v)
    return apart(manifold, scene.x, velocity, scene.v, scene)


@law(
    "Gauss: <D exp(u)[v], D exp(u)[u]> at exp_x(u) equals <v, u> at x.",
    "expmap inner",
    "composed",
    source="Gauss lemma",
    regular=True,
)
def radial_geodesics_are_orthogonal_to_spheres(manifold: Manifold, scene: Scene) -> Tensor:
    exp = lambda u: manifold.expmap(scene.x, u)  # noqa: E731
    y, along = derivative(exp, scene.u, scene.u)
    _, across = derivative(exp, scene.u, scene.v)
    return (
        manifold.inner(y, across, along) - manifold.inner(scene.x, scene.v, scene.u)
    ).abs() / scene.scale.square()


@law("The angle at a vertex is that of the two directions.", "angle expmap inner", "composed", regular=True)
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


@law(
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
    return torch.where(finite, over_scale(before, scene) + still_short, over_scale(before, scene))


@law(
    "The injectivity radius is within the cut distance of every direction.",
    "injectivity_radius cut_time",
    "composed",
)
def injectivity_radius_is_within_the_cut_locus(manifold: Manifold, scene: Scene) -> Tensor:
    cut = manifold.cut_time(scene.x, scene.u) * size_of_vector(manifold, scene.x, scene.u)
    radius = torch.as_tensor(manifold.injectivity_radius(scene.x), dtype=cut.dtype).expand_as(cut)
    return torch.where(cut.isinf(), 0.0, over_scale((radius - cut).clamp_min(0).nan_to_num(0.0), scene))


@law(
    "The radius in which means are unique is within the injectivity radius.",
    "uniqueness_radius injectivity_radius",
    "composed",
    source="beyond it two points can have two midpoints",
)
def uniqueness_radius_is_within_the_injectivity_radius(manifold: Manifold, scene: Scene) -> Tensor:
    unique = manifold.uniqueness_radius(scene.x)
    radius = torch.as_tensor(manifold.injectivity_radius(scene.x), dtype=unique.dtype).expand_as(unique)
    return torch.where(radius.isinf(), 0.0, over_scale((unique - radius).clamp_min(0), scene))
