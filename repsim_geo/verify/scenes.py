"""
Scenes: configurations of points and vectors that break geometry when it is wrong.

Random points hide most mistakes. A scene puts points where formulas divide by zero, where roots have
infinite slope, where shortest paths meet, and where matrices lose rank. Every scene is a batch of
independent draws, so that no law is judged by one seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import trailing, with_axes

# Independent draws of a scene.
DRAWS = 8
# Separation of near points relative to their size, and what an ill-conditioned spectrum spans.
SEPARATION = {torch.float64: 1e-6, torch.float32: 1e-4}
CONDITION = {torch.float64: 1e4, torch.float32: 1e2}


@dataclass(frozen=True)
class Scene:
    """
    Three points, three vectors at the first, and what is known about them.

    Attributes
    ----------
    name : str
    x, y, z : Tensor, shape (draws, *point)
    u, v, w : Tensor, shape (draws, *point)
        Tangent at `x`; `u` is shorter than the way to the cut locus.
    noise : Tensor, shape (draws, *point)
        An ambient tensor, of the size of the points, neither a point nor a vector.
    scale : Tensor, shape (draws)
        Size of the points, in the unit of the distance; residuals are relative to it.
    near : float
        A separation that the dtype must still resolve, relative to `scale`.
    regular : bool
        Whether the tangent space at all three points is a vector space of full dimension. Points of full rank
        are taken to be regular without asking the manifold.
    amplification : float
        Factor by which rounding errors grow in this scene, whoever computes.
    """

    name: str
    x: Tensor
    y: Tensor
    z: Tensor
    u: Tensor
    v: Tensor
    w: Tensor
    noise: Tensor
    scale: Tensor
    near: float
    regular: bool = True
    amplification: float = 1.0


@dataclass(frozen=True)
class SceneSpec:
    """How a scene is built; ``build`` returns None where it makes no sense for a manifold."""

    name: str
    description: str
    build: Callable[[Manifold, tuple[int, ...], torch.dtype, torch.Generator], Scene | None]


def ambient(
    point: tuple[int, ...], spectrum: Tensor | None, dtype: torch.dtype, generator: torch.Generator
) -> Tensor:
    """
    Tensors of the ambient space, normal or with given singular values (symmetric if square).

    Parameters
    ----------
    point : tuple of int
    spectrum : Tensor, shape (k,), or None
    dtype : torch.dtype
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (draws, *point)
    """
    a = torch.randn(DRAWS, *point, dtype=torch.float64, generator=generator)
    if spectrum is not None and len(point) == 2:
        u, _, vh = torch.linalg.svd(a, full_matrices=False)
        right = u.mT if point[0] == point[1] else vh
        s = spectrum.double()[: u.shape[-1]]
        a = (u * torch.nn.functional.pad(s, (0, u.shape[-1] - len(s)))) @ right
    return a.to(dtype)


def size_of(manifold: Manifold, x: Tensor) -> Tensor:
    """
    Size of points in the unit of the distance.

    Parameters
    ----------
    manifold : geoopt.Manifold
    x : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch)
    """
    return size_of_vector(manifold, x, x)


def _scene(
    name: str,
    manifold: Manifold,
    points: tuple[Tensor, Tensor, Tensor],
    dtype: torch.dtype,
    generator: torch.Generator,
    amplification: float = 1.0,
) -> Scene:
    x, y, z = points
    scale = size_of(manifold, x)
    point = tuple(x.shape[1:])
    vectors = []
    for _ in range(3):
        u = manifold.proju(x, ambient(point, None, dtype, generator))
        vectors.append(u * with_axes(scale / size_of_vector(manifold, x, u), manifold.ndim))
    u, v, w = vectors
    # Where rounding moves ill-conditioned points far, points are near when they are ten times farther apart.
    near = SEPARATION[dtype] * (10 if getattr(manifold, "sensitive", False) else 1)
    noise = ambient(point, None, dtype, generator) * x.abs().amax(trailing(manifold.ndim), keepdim=True)
    reach = torch.full_like(scale, 0.5)
    cut_time = getattr(manifold, "cut_time", None)
    if cut_time is not None:
        reach = torch.minimum(reach, 0.5 * cut_time(x, u))
    return Scene(
        name,
        x,
        y,
        z,
        u * with_axes(reach, manifold.ndim),
        v,
        w,
        noise,
        scale,
        near,
        name != "low_rank" or _regular(manifold, x, y, z),
        amplification,
    )


def size_of_vector(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor:
    """Length of tangent vectors, one where it vanishes; shape (*batch)."""
    length = manifold.inner(x, u).sqrt()
    return torch.where(length > 0, length, torch.ones_like(length))


def _regular(manifold: Manifold, *points: Tensor) -> bool:
    radius = getattr(manifold, "injectivity_radius", None)
    if radius is None:
        return True
    resolution = 1e3 * torch.finfo(points[0].dtype).eps
    return all(bool((torch.as_tensor(radius(x)) > resolution * size_of(manifold, x)).all()) for x in points)


def _three(
    manifold: Manifold,
    point: tuple[int, ...],
    dtype: torch.dtype,
    generator: torch.Generator,
    spectrum: Tensor | None = None,
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0),
):
    if spectrum is None and getattr(manifold, "sensitive", False):
        return tuple(manifold.projx(f * _definite(point, dtype, generator)) for f in factors)
    return tuple(manifold.projx(f * ambient(point, spectrum, dtype, generator)) for f in factors)


def _definite(point: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Positive definite matrices, well conditioned: eigenvalues are exponentials of normal numbers."""
    a = torch.randn(DRAWS, *point, dtype=torch.float64, generator=generator)
    basis, _ = torch.linalg.qr(a)
    size = (a.diagonal(dim1=-2, dim2=-1) / 2).exp()
    return ((basis * size[..., None, :]) @ basis.mT).to(dtype)


def _iid(manifold, point, dtype, generator):
    return _scene("iid", manifold, _three(manifold, point, dtype, generator), dtype, generator)


def _coincident(manifold, point, dtype, generator):
    x, _, _ = _three(manifold, point, dtype, generator)
    return _scene("coincident", manifold, (x, x.clone(), x.clone()), dtype, generator)


def _close(manifold, point, dtype, generator):
    scene = _iid(manifold, point, dtype, generator)
    y, z = (manifold.expmap(scene.x, scene.near * u) for u in (scene.u, scene.v))
    return replace(scene, name="close", y=y, z=z)


def _on_geodesic(manifold, point, dtype, generator):
    scene = _iid(manifold, point, dtype, generator)
    y = manifold.expmap(scene.x, 0.3 * manifold.logmap(scene.x, scene.z))
    return replace(scene, name="on_geodesic", y=y)


def _near_cut_locus(manifold, point, dtype, generator):
    cut_time = getattr(manifold, "cut_time", None)
    if cut_time is None:
        return None
    scene = _iid(manifold, point, dtype, generator)
    t = cut_time(scene.x, scene.u)
    if not bool(t.isfinite().all()):
        return None
    y = manifold.expmap(scene.x, 0.99 * with_axes(t, manifold.ndim) * scene.u)
    scale = torch.maximum(scene.scale, size_of(manifold, y))
    return replace(scene, name="near_cut_locus", y=y, scale=scale, amplification=1e3)


def _low_rank(manifold, point, dtype, generator):
    if len(point) != 2 or min(point) < 2 or getattr(manifold, "full_rank", False):
        return None
    return _scene(
        "low_rank", manifold, _three(manifold, point, dtype, generator, torch.ones(1)), dtype, generator
    )


def _dropped_rank(manifold, point, dtype, generator):
    if len(point) != 2 or min(point) < 2 or getattr(manifold, "full_rank", False):
        return None
    x, _, _ = _three(manifold, point, dtype, generator)
    y, z, _ = _three(manifold, point, dtype, generator, torch.ones(1))
    return replace(_scene("dropped_rank", manifold, (x, y, z), dtype, generator), regular=False)


def _equal_eigenvalues(manifold, point, dtype, generator):
    if len(point) != 2:
        return None
    spectrum = torch.ones(min(point))
    if point[0] == point[1]:
        # The only symmetric matrix with all eigenvalues one is the identity: have two values, several times.
        spectrum[: point[0] // 2] = 2.0
    return _scene(
        "equal_eigenvalues", manifold, _three(manifold, point, dtype, generator, spectrum), dtype, generator
    )


def _ill_conditioned(manifold, point, dtype, generator):
    if len(point) != 2 or min(point) < 2:
        return None
    condition = CONDITION[dtype]
    # Seen from each other, two points of condition c can have condition c^2.
    span = condition**0.5 if getattr(manifold, "sensitive", False) else condition
    spectrum = torch.tensor(span, dtype=torch.float64) ** torch.linspace(
        0, -1, min(point), dtype=torch.float64
    )
    points = _three(manifold, point, dtype, generator, spectrum)
    return _scene("ill_conditioned", manifold, points, dtype, generator, amplification=condition)


def _scaled_by(factor: float, name: str):
    def build(manifold, point, dtype, generator):
        points = _three(manifold, point, dtype, generator, factors=(factor,) * 3)
        return _scene(name, manifold, points, dtype, generator)

    return build


def _different_sizes(manifold, point, dtype, generator):
    points = _three(manifold, point, dtype, generator, factors=(1.0, 1e-8, 1e-4))
    # Rounding of the large point is an error of the small one: a geodesic ends no nearer than that.
    return _scene("different_sizes", manifold, points, dtype, generator, amplification=1e8)


SCENES: tuple[SceneSpec, ...] = (
    SceneSpec("iid", "independent random points", _iid),
    SceneSpec("coincident", "three equal points", _coincident),
    SceneSpec("close", "points a millionth of their size apart (1e-4 in float32)", _close),
    SceneSpec("on_geodesic", "the second point on the geodesic between the others", _on_geodesic),
    SceneSpec("near_cut_locus", "the second point at 99 % of the way to the cut locus", _near_cut_locus),
    SceneSpec("low_rank", "matrices of rank one", _low_rank),
    SceneSpec("dropped_rank", "a matrix of full rank, and two of rank one", _dropped_rank),
    SceneSpec("equal_eigenvalues", "matrices with equal singular values", _equal_eigenvalues),
    SceneSpec("ill_conditioned", "singular values from 1 to 1e-4 (1e-2 in float32)", _ill_conditioned),
    SceneSpec("tiny", "points scaled by 1e-8", _scaled_by(1e-8, "tiny")),
    SceneSpec("huge", "points scaled by 1e8", _scaled_by(1e8, "huge")),
    SceneSpec("different_sizes", "the second point 1e8, the third 1e4 times smaller", _different_sizes),
)
