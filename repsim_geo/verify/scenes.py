"""
Scenes: configurations of points and vectors that break geometry when it is wrong.

Random points hide most mistakes. A scene puts points where formulas divide by zero, where roots have
infinite slope, where shortest paths meet, and where matrices lose rank. Every scene is a batch of
independent draws, so that no law is judged by one seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.manifolds.base import is_written
from repsim_geo.numerics.norms import trailing, with_axes
from repsim_geo.verify.statements import provides

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
    spec : SceneSpec or None
        In words.
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
    spec: SceneSpec | None = None


@dataclass(frozen=True)
class SceneSpec:
    """
    Where three points of a manifold lie, in words; `build` puts them there.

    Attributes
    ----------
    name : str
    description : str
    relation : str
        Of the second and third point to the first: "independent"; "equal"; "near", both at a distance of
        `separation` times the size of the points; "between", the second at the fraction `separation` of the
        way to the third; "near_cut", the second at the fraction `separation` of the way to the cut locus.
    separation : float
        If it is smaller than the dtype resolves, what the dtype resolves is taken.
    angle : float or None
        For near points: angle at the first point between the directions to the others, in degrees; None for a
        random one.
    rank, rank_of_others : int or None
        Of the first point, and of the others, where points are matrices; None for full rank.
    condition : float or None
        Singular values fall from 1 to ``1 / condition``; 1 for equal ones, None for random ones. If it is
        larger than the dtype bears, what the dtype bears is taken.
    sizes : tuple of float
        Factors of the three points.
    amplification : float
        Factor by which rounding errors grow in this scene, whoever computes; `condition` comes on top.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> near = SceneSpec("near", "one degree apart", "near", separation=1e-2, angle=90.0)
    >>> scene = near.build(UnitSphere(1), (3,), torch.float64, torch.Generator().manual_seed(0))
    >>> UnitSphere(1).angle(scene.y, scene.x, scene.z)[0].rad2deg()
    tensor(90., dtype=torch.float64)
    """

    name: str
    description: str
    relation: str = "independent"
    separation: float = 0.0
    angle: float | None = None
    rank: int | None = None
    rank_of_others: int | None = None
    condition: float | None = None
    sizes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    amplification: float = 1.0

    def suits(self, manifold: Manifold, point: tuple[int, ...]) -> bool:
        """
        Whether the scene makes sense for points of a shape, on a manifold.

        Parameters
        ----------
        manifold : geoopt.Manifold
        point : tuple of int

        Returns
        -------
        bool
        """
        needs = {"near": ("expmap",), "near_cut": ("expmap",), "between": ("expmap", "logmap")}
        if not all(provides(manifold, name) for name in needs.get(self.relation, ())):
            return False
        deficient = self.rank is not None or self.rank_of_others is not None
        if (deficient or self.condition is not None) and len(point) != 2:
            return False
        if (deficient or (self.condition or 0.0) > 1) and min(point) < 2:
            return False
        return not (deficient and getattr(manifold, "full_rank", False))

    def build(
        self,
        manifold: Manifold,
        point: tuple[int, ...],
        dtype: torch.dtype,
        generator: torch.Generator,
        draws: int = DRAWS,
    ) -> Scene | None:
        """
        Put the points, and three vectors at the first.

        Parameters
        ----------
        manifold : geoopt.Manifold
        point : tuple of int
        dtype : torch.dtype
        generator : torch.Generator
        draws : int
            Independent draws, as a batch.

        Returns
        -------
        Scene or None
            None where the scene makes no sense for the manifold.
        """
        if not self.suits(manifold, point):
            return None
        x, y, z = self._points(manifold, point, dtype, generator, draws)
        if self.relation == "equal":
            y, z = x.clone(), x.clone()
        scale = size_of(manifold, x)
        u, v, w = (_vector(manifold, x, scale, generator) for _ in range(3))
        noise = ambient(point, None, dtype, generator, draws)
        noise = noise * x.abs().amax(trailing(manifold.ndim), keepdim=True)
        # Where rounding moves ill-conditioned points far, near points are ten times farther apart.
        near = SEPARATION[dtype] * (10 if getattr(manifold, "sensitive", False) else 1)
        u = u * with_axes(_reach(manifold, x, u, scale), manifold.ndim)
        if self.relation == "near":
            apart = max(self.separation, near)
            y, z = (manifold.expmap(x, apart * side) for side in (u, self._other_side(manifold, x, u, v)))
        elif self.relation == "between":
            y = manifold.expmap(x, self.separation * manifold.logmap(x, z))
        elif self.relation == "near_cut":
            t = _cut_time(manifold, x, u)
            if t is None:
                return None
            y = manifold.expmap(x, self.separation * with_axes(t, manifold.ndim) * u)
            scale = torch.maximum(scale, size_of(manifold, y))
        amplification = self.amplification * max(1.0, self._condition(dtype))
        regular = self.rank_of_others is None and (self.rank is None or _regular(manifold, x, y, z))
        return Scene(self.name, x, y, z, u, v, w, noise, scale, near, regular, amplification, self)

    def seen(self, dtype: torch.dtype) -> SceneSpec:
        """The same in a dtype, which may resolve less than the scene asks for."""
        separation = max(self.separation, SEPARATION[dtype]) if self.relation == "near" else self.separation
        condition = min(self.condition, CONDITION[dtype]) if self.condition else self.condition
        return replace(self, separation=separation, condition=condition)

    def _points(
        self,
        manifold: Manifold,
        point: tuple[int, ...],
        dtype: torch.dtype,
        generator: torch.Generator,
        draws: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        spectrum = self._spectrum(manifold, point, self.rank, dtype)
        x, y, z = _three(manifold, point, dtype, generator, spectrum, self.sizes, draws)
        if self.rank_of_others is not None:
            spectrum = self._spectrum(manifold, point, self.rank_of_others, dtype)
            y, z, _ = _three(manifold, point, dtype, generator, spectrum, self.sizes, draws)
        return x, y, z

    def _condition(self, dtype: torch.dtype) -> float:
        return min(self.condition or 1.0, CONDITION[dtype])

    def _spectrum(
        self, manifold: Manifold, point: tuple[int, ...], rank: int | None, dtype: torch.dtype
    ) -> Tensor | None:
        """Singular values, or None for random ones."""
        if rank is None and self.condition is None:
            return None
        condition = self._condition(dtype)
        # Seen from each other, two points of condition c can have condition c^2.
        span = condition**0.5 if getattr(manifold, "sensitive", False) else condition
        spectrum = torch.logspace(0, -1, min(rank or min(point), *point), span, dtype=torch.float64)
        if self.condition == 1 and rank is None and point[0] == point[1]:
            # All eigenvalues one is the identity and nothing else: have two values, several times.
            spectrum[: point[0] // 2] = 2.0
        return spectrum

    def _other_side(self, manifold: Manifold, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """A vector as long as `u`, at the angle of the scene from it; or `v`."""
        if self.angle is None:
            return v
        square = manifold.inner(x, u, keepdim=True)
        across = v - u * (manifold.inner(x, v, u, keepdim=True) / torch.where(square > 0, square, 1.0))
        length = with_axes(
            size_of_vector(manifold, x, u) / size_of_vector(manifold, x, across), manifold.ndim
        )
        angle = math.radians(self.angle)
        return math.cos(angle) * u + math.sin(angle) * length * across

    def __str__(self) -> str:
        return ", ".join(self._sentence())

    def _sentence(self) -> Iterator[str]:
        yield {
            "independent": "independent points",
            "equal": "three equal points",
            "near": f"points {self.separation:g} of their size apart",
            "between": f"the second point at {self.separation:g} of the way to the third",
            "near_cut": f"the second point at {self.separation:g} of the way to the cut locus",
        }[self.relation]
        if self.angle is not None:
            yield f"angle {self.angle:g}°"
        if self.rank is not None:
            yield f"rank {self.rank}"
        if self.rank_of_others is not None:
            yield f"the second and third of rank {self.rank_of_others}"
        if self.condition is not None:
            yield "equal singular values" if self.condition == 1 else f"condition {self.condition:g}"
        if len(set(self.sizes)) > 1:
            yield "sizes " + ", ".join(f"{s:g}" for s in self.sizes)
        elif self.sizes[0] != 1:
            yield f"scaled by {self.sizes[0]:g}"


def ambient(
    point: tuple[int, ...],
    spectrum: Tensor | None,
    dtype: torch.dtype,
    generator: torch.Generator,
    draws: int = DRAWS,
) -> Tensor:
    """
    Tensors of the ambient space, normal or with given singular values (symmetric if square).

    Parameters
    ----------
    point : tuple of int
    spectrum : Tensor, shape (k,), or None
    dtype : torch.dtype
    generator : torch.Generator
    draws : int

    Returns
    -------
    Tensor, shape (draws, *point)
    """
    a = torch.randn(draws, *point, dtype=torch.float64, generator=generator)
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


def size_of_vector(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor:
    """Length of tangent vectors, one where it vanishes; shape (*batch)."""
    length = manifold.inner(x, u).sqrt()
    return torch.where(length > 0, length, torch.ones_like(length))


def _vector(manifold: Manifold, x: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """A random tangent vector as long as points are large."""
    u = manifold.proju(x, ambient(tuple(x.shape[1:]), None, x.dtype, generator, len(x)))
    return u * with_axes(scale / size_of_vector(manifold, x, u), manifold.ndim)


def _reach(manifold: Manifold, x: Tensor, u: Tensor, scale: Tensor) -> Tensor:
    """Half of the way, at most half of that to the cut locus."""
    reach = torch.full_like(scale, 0.5)
    return torch.minimum(reach, 0.5 * manifold.cut_time(x, u)) if is_written(manifold, "cut_time") else reach


def _cut_time(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor | None:
    """Finite times at which geodesics cease to be shortest, or None where the manifold knows of none."""
    t = manifold.cut_time(x, u) if is_written(manifold, "cut_time") else None
    return t if t is not None and bool(t.isfinite().all()) else None


def _regular(manifold: Manifold, *points: Tensor) -> bool:
    if not is_written(manifold, "injectivity_radius"):
        return True
    radius = manifold.injectivity_radius
    resolution = 1e3 * torch.finfo(points[0].dtype).eps
    return all(bool((torch.as_tensor(radius(x)) > resolution * size_of(manifold, x)).all()) for x in points)


def _three(
    manifold: Manifold,
    point: tuple[int, ...],
    dtype: torch.dtype,
    generator: torch.Generator,
    spectrum: Tensor | None,
    factors: tuple[float, float, float],
    draws: int,
) -> tuple[Tensor, ...]:
    if spectrum is None and getattr(manifold, "sensitive", False):
        return tuple(manifold.projx(f * _definite(point, dtype, generator, draws)) for f in factors)
    return tuple(manifold.projx(f * ambient(point, spectrum, dtype, generator, draws)) for f in factors)


def _definite(point: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator, draws: int) -> Tensor:
    """Positive definite matrices, well conditioned: eigenvalues are exponentials of normal numbers."""
    a = torch.randn(draws, *point, dtype=torch.float64, generator=generator)
    basis, _ = torch.linalg.qr(a)
    size = (a.diagonal(dim1=-2, dim2=-1) / 2).exp()
    return ((basis * size[..., None, :]) @ basis.mT).to(dtype)


SCENES: tuple[SceneSpec, ...] = (
    SceneSpec("iid", "independent random points"),
    SceneSpec("coincident", "three equal points", "equal"),
    SceneSpec("close", "points a millionth of their size apart (1e-4 in float32)", "near", 1e-6),
    SceneSpec("on_geodesic", "the second point on the geodesic between the others", "between", 0.3),
    SceneSpec(
        "near_cut_locus",
        "the second point at 99 % of the way to the cut locus",
        "near_cut",
        0.99,
        amplification=1e3,
    ),
    SceneSpec("low_rank", "matrices of rank one", rank=1),
    SceneSpec("dropped_rank", "a matrix of full rank, and two of rank one", rank_of_others=1),
    SceneSpec("equal_eigenvalues", "matrices with equal singular values", condition=1.0),
    SceneSpec("ill_conditioned", "singular values from 1 to 1e-4 (1e-2 in float32)", condition=1e4),
    SceneSpec("tiny", "points scaled by 1e-8", sizes=(1e-8, 1e-8, 1e-8)),
    SceneSpec("huge", "points scaled by 1e8", sizes=(1e8, 1e8, 1e8)),
    SceneSpec(
        "different_sizes",
        "the second point 1e8, the third 1e4 times smaller",
        sizes=(1.0, 1e-8, 1e-4),
        # Rounding of the large point is an error of the small one: a geodesic ends no nearer than that.
        amplification=1e8,
    ),
)
