"""Batches, dtypes, and what geoopt builds on a manifold."""

from __future__ import annotations

from collections.abc import Iterator

import geoopt
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.verify.laws.residuals import ambient_apart, apart, over_scale
from repsim_geo.verify.scenes import Scene
from repsim_geo.verify.statements import chapter, provides

LAWS, law = chapter(order=4)


# A program that keeps these at ordinary, equal, singular and ill-conditioned points keeps them elsewhere.
_FEW = ("iid", "coincident", "low_rank", "ill_conditioned", "tiny")


@law("A batch gives what its entries give alone.", "dist logmap expmap transp", "composed", scenes=_FEW)
def batch_entries_do_not_mix(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, u, v = (a[2:3] for a in (scene.x, scene.y, scene.u, scene.v))
    pairs = (
        (manifold.logmap(scene.x, scene.y)[2:3], manifold.logmap(x, y)),
        (manifold.expmap(scene.x, scene.u)[2:3], manifold.expmap(x, u)),
        (manifold.transp(scene.x, scene.y, scene.v)[2:3], manifold.transp(x, y, v)),
    )
    size = torch.maximum(x.abs().amax(), v.abs().amax())
    differences = [(a - b).abs().amax() / size for a, b in pairs]
    distance = (manifold.dist(scene.x, scene.y)[2] - manifold.dist(x, y)[0]).abs() / scene.scale[2]
    return torch.stack([*differences, distance])


@law("One point broadcasts against many, from either side.", "dist logmap expmap proju inner", "composed")
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


@law("Several axes of batches are one long batch.", "dist logmap expmap proju inner", "composed")
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


@law("keepdim keeps one axis of size one for each axis of a point.", "dist dist2 inner norm", "yes or no")
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


@law("Results have the dtype of the points.", "dist logmap expmap projx proju inner", "yes or no")
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


@law(
    "Arguments are never modified.",
    "dist logmap expmap transp projx proju egrad2rgrad",
    "yes or no",
    scenes=_FEW,
)
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


@law(
    "Scaled(manifold, 2) has twice the distances, and the same geodesics.",
    "dist logmap expmap",
    "composed",
    source="geoopt.Scaled",
    scenes=(*_FEW, "near_cut_locus", "dropped_rank"),
)
def scaling_scales_distances(manifold: Manifold, scene: Scene) -> Tensor:
    scaled = geoopt.Scaled(manifold, 2.0)
    x, y = scene.x, scene.y
    twice = over_scale(scaled.dist(x, y) - 2 * manifold.dist(x, y), scene)
    there = over_scale(manifold.dist(scaled.expmap(x, scaled.logmap(x, y)), y), scene)
    return twice + there + sum(over_scale(a - b, scene) for a, b in _scaled_pairs(manifold, scaled, scene))


@law(
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


@law(
    "vmap gives what the batch gives.",
    "dist logmap expmap transp inner",
    "transport",
    scenes=("coincident", "ill_conditioned"),
)
def vmap_agrees_with_the_batch(manifold: Manifold, scene: Scene) -> Tensor:
    vmap = torch.func.vmap
    distances = over_scale(vmap(manifold.dist)(scene.x, scene.y) - manifold.dist(scene.x, scene.y), scene)
    log = apart(
        manifold, scene.x, vmap(manifold.logmap)(scene.x, scene.y), manifold.logmap(scene.x, scene.y), scene
    )
    exp = ambient_apart(
        manifold.expmap(scene.x, scene.u), vmap(manifold.expmap)(scene.x, scene.u), manifold.ndim
    )
    moved, alone = (
        function(scene.x, scene.y, scene.v) for function in (manifold.transp, vmap(manifold.transp))
    )
    return distances + log + exp + apart(manifold, scene.y, moved, alone, scene)


@law(
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


@law(
    "random gives points, new ones every time, of the shape and dtype asked for.",
    "random projx",
    "yes or no",
    scenes=("iid",),
)
def random_points_are_points(manifold: Manifold, scene: Scene) -> Tensor:
    point = tuple(scene.x.shape[1:])
    with torch.random.fork_rng(devices=[]):
        x, other = (manifold.random(5, *point, dtype=scene.x.dtype) for _ in range(2))
    right = tuple(x.shape) == (5, *point) and x.dtype == scene.x.dtype
    new = not torch.equal(x, other)
    return torch.tensor(float(not (right and new and manifold.check_point_on_manifold(x))))


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


def _differ(a: Tensor, b: Tensor, unit: Tensor | None, scene: Scene) -> Tensor:
    """Largest difference, relative to the results themselves, and to their unit or the size of the points."""
    unit = scene.x.abs().amax() if unit is None else unit
    return (a - b).abs().amax() / _or_one(torch.maximum(unit, b.abs().amax()))


def _or_one(value: Tensor) -> Tensor:
    return torch.where(value > 0, value, torch.ones_like(value))
