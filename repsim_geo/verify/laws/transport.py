"""Parallel transport, and retractions."""

from __future__ import annotations

from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import with_axes
from repsim_geo.verify.laws.residuals import ambient_apart, apart, over_scale
from repsim_geo.verify.scenes import Scene, size_of_vector
from repsim_geo.verify.statements import chapter

LAWS, law = chapter(order=3)


@law("Transported vectors are tangent at the target.", "transp proju inner", "transport")
def transport_is_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    moved = manifold.transp(scene.x, scene.y, scene.v)
    return apart(manifold, scene.y, moved, manifold.proju(scene.y, moved), scene)


@law("Parallel transport keeps inner products.", "parallel_transp inner", "transport", regular=True)
def transport_is_isometric(manifold: Manifold, scene: Scene) -> Tensor:
    v, w = (manifold.transp(scene.x, scene.y, vector) for vector in (scene.v, scene.w))
    difference = manifold.inner(scene.y, v, w) - manifold.inner(scene.x, scene.v, scene.w)
    lengths = manifold.inner(scene.y, v) - manifold.inner(scene.x, scene.v)
    return (difference.abs() + lengths.abs()) / scene.scale.square()


@law("Parallel transport there and back is the identity.", "parallel_transp inner", "transport", regular=True)
def transport_is_reversible(manifold: Manifold, scene: Scene) -> Tensor:
    there = manifold.transp(scene.x, scene.y, scene.v)
    return apart(manifold, scene.x, manifold.transp(scene.y, scene.x, there), scene.v, scene)


@law(
    "Transport carries the velocity of a geodesic along: log_x(y) becomes -log_y(x).",
    "parallel_transp logmap inner",
    "transport",
    regular=True,
)
def transport_keeps_the_velocity(manifold: Manifold, scene: Scene) -> Tensor:
    moved = manifold.transp(scene.x, scene.y, manifold.logmap(scene.x, scene.y))
    return apart(manifold, scene.y, moved, -manifold.logmap(scene.y, scene.x), scene)


@law(
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
    return apart(manifold, y, rung / small, manifold.transp(x, y, scene.v), scene)


@law(
    "expmap_transp returns the exponential and the vector transported there.",
    "expmap_transp transp inner",
    "transport",
    regular=True,
)
def exponential_and_transport_agree(manifold: Manifold, scene: Scene) -> Tensor:
    y, moved = manifold.expmap_transp(scene.x, scene.u, scene.v)
    target = ambient_apart(manifold.expmap(scene.x, scene.u), y, manifold.ndim)
    follow = apart(manifold, y, moved, manifold.transp_follow_expmap(scene.x, scene.u, scene.v), scene)
    return target + follow + apart(manifold, y, moved, manifold.transp(scene.x, y, scene.v), scene)


@law(
    "retr_transp accepts ambient vectors, and returns a point and a tangent vector there.",
    "retr_transp proju inner",
    "transport",
)
def retraction_accepts_ambient_vectors(manifold: Manifold, scene: Scene) -> Tensor:
    length = size_of_vector(manifold, scene.x, manifold.proju(scene.x, scene.noise))
    short = scene.noise * with_axes(0.1 * scene.scale / length, manifold.ndim)
    y, moved = manifold.retr_transp(scene.x, short, scene.noise.flip(0))
    off = apart(manifold, y, moved, manifold.proju(y, moved), scene)
    return off + float(not manifold.check_point_on_manifold(y))


@law(
    "retr agrees with expmap to second order.",
    "retr expmap dist",
    "one percent",
    regular=True,
    scenes=("iid",),
)
def retraction_is_of_second_order(manifold: Manifold, scene: Scene) -> Tensor:
    u = 0.05 * scene.u
    exact = manifold.expmap(scene.x, u)
    # A distance that is not zero at equal points is no fault of the retraction.
    apart_by = manifold.dist(manifold.retr(scene.x, u), exact) - manifold.dist(exact, exact.clone())
    return over_scale(apart_by, scene) / 0.05**2
