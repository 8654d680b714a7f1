"""Gradients: what they are, and that they are finite."""

from __future__ import annotations

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import trailing
from repsim_geo.verify.laws.residuals import apart, gradients, no, of_every_point
from repsim_geo.verify.scenes import Scene, size_of_vector
from repsim_geo.verify.statements import chapter

LAWS, law = chapter(order=2)


@law(
    "The gradient of half the squared distance is -log_x(y).",
    "dist2 logmap egrad2rgrad inner",
    "composed",
    source="first variation formula",
)
def gradient_of_squared_distance_is_minus_log(manifold: Manifold, scene: Scene) -> Tensor:
    (g,) = gradients(lambda x: manifold.dist2(x, scene.y) / 2, scene.x)
    return apart(
        manifold, scene.x, manifold.egrad2rgrad(scene.x, g), -manifold.logmap(scene.x, scene.y), scene
    )


@law("Gradients of dist and dist2 are finite, at equal points too.", "dist dist2", "yes or no")
def gradients_of_distances_are_finite(manifold: Manifold, scene: Scene) -> Tensor:
    found = [
        g
        for function in (manifold.dist, manifold.dist2)
        for y in (scene.y, scene.x.clone())
        for g in gradients(function, scene.x, y)
    ]
    return no(torch.stack([of_every_point(g.isfinite(), manifold.ndim) for g in found]).all(0))


@law("Gradients of cdist are finite, on the diagonal too.", "cdist", "yes or no")
def gradients_of_cdist_are_finite(manifold: Manifold, scene: Scene) -> Tensor:
    found = gradients(lambda x: manifold.cdist(x, x), scene.x) + gradients(manifold.cdist, scene.x, scene.y)
    return no(torch.stack([of_every_point(g.isfinite(), manifold.ndim) for g in found]).all(0))


@law(
    "Gradients through log, exp (at the zero vector too), norm and transp are finite.",
    "logmap expmap transp",
    "yes or no",
)
def gradients_of_maps_are_finite(manifold: Manifold, scene: Scene) -> Tensor:
    weights = torch.randn(scene.x.shape, generator=torch.Generator().manual_seed(0)).to(scene.x)
    zero = torch.zeros_like(scene.u)
    found = [
        *gradients(lambda x, y: manifold.logmap(x, y) * weights, scene.x, scene.y),
        *gradients(lambda x, y: manifold.logmap(x, y) * weights, scene.x, scene.x.clone()),
        *gradients(lambda x, u: manifold.expmap(x, u) * weights, scene.x, scene.u),
        *gradients(lambda x, u: manifold.expmap(x, u) * weights, scene.x, zero),
        *gradients(lambda x, u: manifold.norm(x, u), scene.x, zero)[1:],
        *gradients(lambda x, y, v: manifold.transp(x, y, v) * weights, scene.x, scene.y, scene.v),
    ]
    return no(torch.stack([of_every_point(g.isfinite(), manifold.ndim) for g in found]).all(0))


@law(
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


@law(
    "rgrad2egrad is undone by egrad2rgrad on tangent vectors.",
    "rgrad2egrad egrad2rgrad inner",
    "composed",
    regular=True,
)
def gradients_convert_both_ways(manifold: Manifold, scene: Scene) -> Tensor:
    back = manifold.egrad2rgrad(scene.x, manifold.rgrad2egrad(scene.x, scene.v))
    return apart(manifold, scene.x, back, scene.v, scene)


@law(
    "isotropic is standard normal: the gradient in z of <isotropic(x, z), u> is as long as u, for tangent u.",
    "isotropic inner proju",
    "composed",
    source="Riemannian Gaussian measure on a tangent space",
    regular=True,
)
def isotropic_vectors_have_unit_covariance(manifold: Manifold, scene: Scene) -> Tensor:
    (g,) = gradients(
        lambda z: manifold.inner(scene.x, manifold.isotropic(scene.x, z), scene.v),
        torch.zeros_like(scene.noise),
    )
    wanted = manifold.inner(scene.x, scene.v)
    return (g.square().sum(trailing(manifold.ndim)) / wanted - 1).abs()


@law(
    "isotropic vectors are tangent.",
    "isotropic inner proju",
    "composed",
    regular=True,
)
def isotropic_vectors_are_tangent(manifold: Manifold, scene: Scene) -> Tensor:
    u = manifold.isotropic(scene.x, scene.noise)
    length = size_of_vector(manifold, scene.x, u)
    return manifold.inner(scene.x, u - manifold.proju(scene.x, u)).clamp_min(0).sqrt() / length
