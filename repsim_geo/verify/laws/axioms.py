"""The axioms of a metric."""

from __future__ import annotations

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.verify.laws.residuals import over_scale
from repsim_geo.verify.scenes import Scene, size_of_vector
from repsim_geo.verify.statements import chapter

LAWS, law = chapter(order=0)


@law("d(x, x) = 0.", "dist", "self", source="metric axiom")
def distance_to_self_is_zero(manifold: Manifold, scene: Scene) -> Tensor:
    return over_scale(manifold.dist(scene.x, scene.x.clone()), scene)


@law("d(x, y) = d(y, x).", "dist", "rounding", source="metric axiom")
def distance_is_symmetric(manifold: Manifold, scene: Scene) -> Tensor:
    there, back = manifold.dist(scene.x, scene.y), manifold.dist(scene.y, scene.x)
    # Points can be much farther apart than they are large; then the distance sets what rounding may do.
    return (there - back).abs() / torch.maximum(scene.scale, there)


@law("d(x, z) <= d(x, y) + d(y, z).", "dist", "rounding", source="metric axiom")
def triangle_inequality(manifold: Manifold, scene: Scene) -> Tensor:
    a, b, c = (manifold.dist(p, q) for p, q in ((scene.x, scene.y), (scene.y, scene.z), (scene.x, scene.z)))
    return (c - a - b).clamp_min(0) / torch.maximum(scene.scale, c)


@law(
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


@law("dist2 is the square of dist.", "dist dist2", "composed")
def squared_distance_is_the_square(manifold: Manifold, scene: Scene) -> Tensor:
    d = manifold.dist(scene.x, scene.y)
    return (manifold.dist2(scene.x, scene.y) - d.square()).abs() / scene.scale.square()


@law("No distance exceeds the declared diameter.", "dist diameter", "rounding")
def distance_is_within_the_diameter(manifold: Manifold, scene: Scene) -> Tensor:
    return over_scale((manifold.dist(scene.x, scene.y) - manifold.diameter).clamp_min(0), scene)


@law("cdist holds the distances of all pairs.", "cdist dist", "composed")
def cdist_is_all_distances(manifold: Manifold, scene: Scene) -> Tensor:
    x, y = scene.x, scene.y[:3]
    table = torch.stack([manifold.dist(x, b) for b in y], -1)
    return (manifold.cdist(x, y) - table).abs().amax(-1) / scene.scale
