"""Inner products, and projections to points and to tangent vectors."""

from __future__ import annotations

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.verify.laws.residuals import ambient_apart, over_scale
from repsim_geo.verify.scenes import Scene, size_of_vector
from repsim_geo.verify.statements import chapter

LAWS, law = chapter(order=2)


@law("The inner product is symmetric, positive, and linear.", "inner proju", "rounding")
def inner_product_is_symmetric_and_positive(manifold: Manifold, scene: Scene) -> Tensor:
    x, u, v, w = scene.x, scene.u, scene.v, scene.w
    asymmetry = manifold.inner(x, u, v) - manifold.inner(x, v, u)
    linear = manifold.inner(x, u + 2 * w, v) - manifold.inner(x, u, v) - 2 * manifold.inner(x, w, v)
    negative = (-manifold.inner(x, v)).clamp_min(0)
    return (asymmetry.abs() + linear.abs() + negative) / scene.scale.square()


@law("norm is the root of inner.", "norm inner", "rounding")
def norm_is_root_of_inner(manifold: Manifold, scene: Scene) -> Tensor:
    return over_scale(manifold.norm(scene.x, scene.v) - manifold.inner(scene.x, scene.v).sqrt(), scene)


@law("proju changes nothing the second time.", "proju inner", "composed")
def tangent_projection_is_idempotent(manifold: Manifold, scene: Scene) -> Tensor:
    once = manifold.proju(scene.x, scene.noise)
    return ambient_apart(once, manifold.proju(scene.x, once), manifold.ndim)


@law("proju is self-adjoint: <proju(a), b> = <a, proju(b)>.", "proju inner", "composed")
def tangent_projection_is_self_adjoint(manifold: Manifold, scene: Scene) -> Tensor:
    a, b = scene.noise, scene.noise.flip(0)
    x = scene.x
    difference = manifold.inner(x, manifold.proju(x, a), b) - manifold.inner(x, a, manifold.proju(x, b))
    return difference.abs() / (size_of_vector(manifold, x, a) * size_of_vector(manifold, x, b))


@law("What proju returns passes the check of tangent vectors.", "proju", "yes or no")
def projected_vectors_are_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    return torch.tensor(
        float(not manifold.check_vector_on_tangent(scene.x, manifold.proju(scene.x, scene.noise)))
    )


@law("projx keeps points.", "projx", "rounding")
def point_projection_keeps_points(manifold: Manifold, scene: Scene) -> Tensor:
    return ambient_apart(scene.x, manifold.projx(scene.x), manifold.ndim)


@law(
    "What projx returns is a point to rounding, whether the tensor was far from the manifold or near, and is "
    "contiguous.",
    "projx",
    "yes or no",
)
def projected_points_are_points(manifold: Manifold, scene: Scene) -> Tensor:
    strict = min(1e-5, 1e4 * torch.finfo(scene.x.dtype).eps)
    wrong = []
    for share in (1.0, 1e-4):
        x = manifold.projx(scene.x + share * scene.noise)
        wrong.append(
            not (manifold.check_point_on_manifold(x, atol=strict, rtol=strict) and x.is_contiguous())
        )
    return torch.tensor(wrong).double()


@law("projx changes nothing the second time.", "projx", "rounding")
def point_projection_is_idempotent(manifold: Manifold, scene: Scene) -> Tensor:
    once = manifold.projx(scene.x + 1e-4 * scene.noise)
    return ambient_apart(once, manifold.projx(once), manifold.ndim)


@law("A tensor that projx moves is not a point.", "projx", "yes or no", scenes=("iid",))
def tensors_off_the_manifold_are_refused(manifold: Manifold, scene: Scene) -> Tensor:
    noise = scene.noise[:1]
    moved = bool((manifold.projx(noise) - noise).abs().max() > 1e-2 * noise.abs().max())
    return torch.tensor(float(moved and bool(manifold.check_point_on_manifold(noise))))


@law("nan is not a point.", "projx", "yes or no")
def nan_is_not_a_point(manifold: Manifold, scene: Scene) -> Tensor:
    return torch.tensor(float(bool(manifold.check_point_on_manifold(scene.x * torch.nan))))


@law("The dimension is the trace of proju.", "dim proju", "composed", regular=True)
def dimension_is_the_trace_of_the_projection(manifold: Manifold, scene: Scene) -> Tensor:
    point = scene.x.shape[1:]
    basis = torch.eye(point.numel(), dtype=scene.x.dtype).reshape(-1, *[1] * 0, *point)
    projected = manifold.proju(scene.x[:1], basis).flatten(1)
    return (projected.diagonal().sum() - manifold.dim(*point)).abs()[None] / point.numel()
