"""Curvature, and what it says of means."""

from __future__ import annotations

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import with_axes
from repsim_geo.verify.laws.residuals import apart
from repsim_geo.verify.scenes import Scene, size_of_vector
from repsim_geo.verify.statements import chapter

LAWS, law = chapter(order=3)


@law(
    "Sectional curvature is what small geodesic triangles say.",
    "sectional_curvature injectivity_radius expmap dist2 inner",
    "finite difference",
    source="expansion of d(exp su, exp sv)^2, do Carmo 1992",
    regular=True,
    scenes=("iid", "equal_eigenvalues"),
)
def curvature_agrees_with_distances(manifold: Manifold, scene: Scene) -> Tensor:
    x, (u, v, area) = scene.x, _plane(manifold, scene)
    flat = manifold.inner(x, u - v)

    def estimate(s: float) -> Tensor:
        squares = _squared_apart(manifold, x, s * u, s * v)
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


@law(
    "Geodesics part more slowly than straight lines where curvature is positive, faster where negative.",
    "sectional_curvature injectivity_radius expmap dist2 inner",
    "yes or no",
    source="do Carmo 1992",
    regular=True,
    scenes=("iid", "equal_eigenvalues"),
)
def curvature_has_the_sign_that_triangles_have(manifold: Manifold, scene: Scene) -> Tensor:
    x, (u, v, area) = scene.x, _plane(manifold, scene)
    claimed, s = manifold.sectional_curvature(x, u, v) * scene.scale.square(), 0.1
    nearer = s**2 * manifold.inner(x, u - v) - _squared_apart(manifold, x, s * u, s * v)
    # Small curvatures are drowned by the next order, and by rounding.
    visible = (
        claimed.abs() * s**4 * area / 3 > 1e3 * torch.finfo(area.dtype).eps * scene.scale.square().square()
    )
    wrong = (claimed * nearer < 0) & visible & (claimed.abs() > 0.1)
    return wrong.double()


@law(
    "The Hessian of half the squared distance is what a logarithm loses when its foot moves.",
    "log_and_hessian second_order injectivity_radius transp logmap expmap inner",
    "finite difference",
    source="Karcher 1977",
    regular=True,
    scenes=("iid", "close", "on_geodesic", "equal_eigenvalues"),
)
def hessian_is_the_derivative_of_the_logarithm(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, h, size = _neighborhood(manifold, scene, 1e-4)
    log, hessian = manifold.log_and_hessian(x, y)
    step = with_axes(h, manifold.ndim) * scene.v
    feet = [manifold.expmap(x, s * step) for s in (-1, 1)]
    behind, ahead = (manifold.transp(foot, x, manifold.logmap(foot, y)) for foot in feet)
    measured = (behind - ahead) / 2 / with_axes(torch.where(h > 0, h, 1.0), manifold.ndim)
    rest = manifold.norm(x, measured - hessian(scene.v)) / torch.maximum(size, manifold.norm(x, measured))
    same = manifold.norm(x, log - manifold.logmap(x, y)) / scene.scale
    return torch.where(h > 0, torch.maximum(rest, same), same)


@law(
    "The Hessian of half the squared distance is self-adjoint, and keeps the direction to the other point.",
    "log_and_hessian inner second_order",
    "composed",
    source="Karcher 1977",
    regular=True,
)
def hessian_is_self_adjoint(manifold: Manifold, scene: Scene) -> Tensor:
    x, u, v = scene.x, scene.u, scene.v
    log, hessian = manifold.log_and_hessian(x, scene.y)
    a, b = hessian(u), hessian(v)
    sizes = manifold.norm(x, a) * manifold.norm(x, v) + manifold.norm(x, u) * manifold.norm(x, b)
    skew = (manifold.inner(x, a, v) - manifold.inner(x, u, b)).abs() / torch.where(sizes > 0, sizes, 1.0)
    return torch.maximum(skew, apart(manifold, x, hessian(log), log, scene))


@law(
    "The Hessian of half the squared distance is bounded below as declared.",
    "distance_convexity injectivity_radius expmap dist2 inner",
    "finite difference",
    source="comparison theorem of Rauch",
    regular=True,
    scenes=("iid", "close", "on_geodesic", "equal_eigenvalues"),
)
def distance_convexity_is_a_lower_bound(manifold: Manifold, scene: Scene) -> Tensor:
    x, y, h, size = _neighborhood(manifold, scene, 1e-3)
    bound = manifold.distance_convexity(x, manifold.dist(x, y))
    step = with_axes(h, manifold.ndim) * scene.v
    values = [manifold.dist2(manifold.expmap(x, s * step), y) / 2 for s in (-1, 0, 1)]
    hessian = (values[0] - 2 * values[1] + values[2]) / (h * size).square()
    # At a singular point there is no room for differences, and nothing to hold against the bound.
    return torch.where(h > 0, (bound - hessian).clamp_min(0), 0.0)


def _neighborhood(manifold: Manifold, scene: Scene, share: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """
    A point, another one, how much of ``scene.v`` is a small step, and the size of that vector.

    No step is small at a singular point: it is zero there.
    """
    x, size = scene.x, size_of_vector(manifold, scene.x, scene.v)
    radius = torch.as_tensor(manifold.injectivity_radius(x), dtype=size.dtype).expand_as(size)
    h = share * torch.minimum(radius, scene.scale) / size
    return x, manifold.expmap(x, 0.5 * scene.u), h, size


def _plane(manifold: Manifold, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Two vectors within reach of the first point, and the squared area between them."""
    x = scene.x
    radius = torch.as_tensor(manifold.injectivity_radius(x)).to(scene.scale).expand_as(scene.scale)
    unit = torch.minimum(radius, scene.scale) / scene.scale
    u, v = (with_axes(unit, manifold.ndim) * w for w in (scene.v, scene.w))
    return u, v, manifold.inner(x, u) * manifold.inner(x, v) - manifold.inner(x, u, v).square()


def _squared_apart(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Squared distance of the ends of two geodesics, the mean over both directions: odd orders cancel."""
    ahead, behind = (manifold.dist2(manifold.expmap(x, e * u), manifold.expmap(x, e * v)) for e in (1, -1))
    return (ahead + behind) / 2
