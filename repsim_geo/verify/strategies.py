"""
Hypothesis strategies that draw data by their geometry: rank, condition, angle, separation, duplicates.

Simple things come first and the seed comes last, so that a counterexample shrinks to a sentence that can be
read: "angle 0°, rank 1, m = 3, d = 1, seed 0". In a test, the sentence of everything drawn is printed with
the failure.

Examples
--------
>>> from hypothesis import given
>>> @given(networks(n=2))
... def test_my_distance(reps):
...     x, y = reps
...     assert ((x - x) ** 2).sum() == 0
>>> test_my_distance()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo.manifolds.base import is_written
from repsim_geo.verify.networks import NetworkSpec
from repsim_geo.verify.scenes import Scene, SceneSpec

_CONDITIONS = (1.0, 10.0, 1e2, 1e4)
_ANGLES = (0.0, 90.0, 60.0, 10.0, 1e-2, 2e-5)
_SEEDS = 2**16


def hypothesis() -> Any:
    """The library, or an error that says how to install it."""
    return need("hypothesis", "verify", "drawing examples")


def _st() -> Any:
    return need("hypothesis.strategies", "verify", "drawing examples")


def seeds() -> Any:
    """Seeds, drawn last, so that what they do not decide shrinks before them."""
    return _st().integers(0, _SEEDS)


def _told(sentence: Callable[[Any], str]) -> Callable[[Any], Any]:
    """Print the sentence of what was drawn, if a test fails."""

    def tell(drawn: Any) -> Any:
        library = hypothesis()
        if library.currently_in_test_context():
            library.note(sentence(drawn))
        return drawn

    return tell


# ---------------------------------------------------------------------- spectra


def spectra(size: int, *, ranks: tuple[int, int] | None = None, dtype: torch.dtype = torch.float64) -> Any:
    """
    Singular values or eigenvalues: decreasing, the largest one.

    Parameters
    ----------
    size : int
    ranks : tuple of int, optional
        Smallest and largest number of values that are not zero; 1 to `size` if left out.
    dtype : torch.dtype

    Returns
    -------
    SearchStrategy of Tensor, shape (size)
        By rank, then by condition: equal values first.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(spectra(3), lambda s: s[1] > 0)
    tensor([1., 1., 0.], dtype=torch.float64)
    """
    st = _st()
    low, high = ranks or (1, size)

    def build(drawn: tuple[int, float]) -> Tensor:
        rank, condition = drawn
        values = torch.logspace(0, -1, rank, condition, dtype=torch.float64)
        return torch.nn.functional.pad(values, (0, size - rank)).to(dtype)

    drawn = st.tuples(st.integers(low, high), st.sampled_from(_CONDITIONS))
    return drawn.map(_told(lambda d: f"spectrum: rank {d[0]}, condition {d[1]:g}")).map(build)


# ---------------------------------------------------------------------- networks


def network_specs(m: tuple[int, int] = (3, 12), d: tuple[int, int] = (1, 15)) -> Any:
    """
    Descriptions of three networks.

    Parameters
    ----------
    m, d : tuple of int
        Fewest and most inputs and units.

    Returns
    -------
    SearchStrategy of NetworkSpec
    """
    st = _st()

    @st.composite
    def draw_spec(draw: Any) -> NetworkSpec:
        inputs, units = draw(st.integers(*m)), draw(st.integers(*d))
        full = min(inputs - 1, units)
        rank = draw(st.integers(1, full))
        angle = draw(st.sampled_from((*_ANGLES, None)))
        middle = draw(st.sampled_from(("unrelated", "arc") if angle else ("unrelated", "union")))
        return NetworkSpec(
            "drawn",
            "drawn by geometry",
            inputs,
            units,
            None if rank == full else rank,
            draw(st.sampled_from((None, *_CONDITIONS))),
            angle=angle,
            middle=middle,
            duplicates=draw(st.integers(0, inputs // 3)),
            silent=draw(st.integers(0, (units - 1) // 2)),
            offset=draw(st.sampled_from((1.0, 0.0, 30.0))),
            sizes=(draw(st.sampled_from((1.0, 1e-8, 1e8))),) * 3,
        )

    return draw_spec()


def smaller_networks(m: int, d: int, specs: Sequence[NetworkSpec]) -> Any:
    """
    The scenes that are given, with fewer inputs and units and of lower rank.

    Parameters
    ----------
    m, d : int
        Most inputs and units, where a scene does not say.
    specs : sequence of NetworkSpec

    Returns
    -------
    SearchStrategy of (NetworkSpec, int)
        And a seed.
    """
    st = _st()

    @st.composite
    def draw_smaller(draw: Any) -> tuple[NetworkSpec, int]:
        spec = draw(st.sampled_from(list(specs)))
        inputs, units = draw(st.integers(3, max(3, spec.m or m))), draw(st.integers(1, spec.d or d))
        full = min(inputs - 1, units)
        rank = draw(st.integers(1, full))
        spec = replace(spec, m=inputs, d=units, duplicates=min(spec.duplicates, inputs // 2))
        if rank < full:
            spec = replace(spec, rank=rank)
        return spec, draw(seeds())

    return draw_smaller()


def networks(
    n: int = 3,
    *,
    m: tuple[int, int] = (3, 12),
    d: tuple[int, int] = (1, 15),
    dtype: torch.dtype = torch.float64,
    same_width: bool = False,
) -> Any:
    """
    Activations of one to three networks on the same inputs, related in ways that break measures.

    Parameters
    ----------
    n : int
        How many networks.
    m, d : tuple of int
        Fewest and most inputs and units.
    dtype : torch.dtype
    same_width : bool
        Give all equally many units.

    Returns
    -------
    SearchStrategy of list of Tensor, shape (m, d_i)
        Identical, near, turned by an angle, or unrelated; of low rank, ill-conditioned, with inputs shown
        twice, silent units, large means, tiny and huge.

    Raises
    ------
    ValueError
        More than three networks.

    Examples
    --------
    >>> from hypothesis import find
    >>> x, y = find(networks(n=2), lambda reps: len(reps[0]) >= 4)
    >>> x.shape, bool((x == y).all())
    (torch.Size([4, 1]), True)
    """
    if n not in (1, 2, 3):
        raise ValueError(f"n must be 1, 2 or 3 networks, got {n!r}. Draw twice for more.")
    st = _st()

    def build(drawn: tuple[NetworkSpec, int]) -> list[Tensor]:
        spec, seed = drawn
        if same_width and spec.middle == "union":
            spec = replace(spec, middle="unrelated")
        scene: Any = spec.build(0, 0, dtype, seed, draws=1, same_width=same_width)
        return [w[0] for w in (scene.x, scene.y, scene.z)[:n]]

    drawn = st.tuples(network_specs(m, d), seeds())
    return drawn.map(_told(lambda d: f"networks: {d[0]}, seed {d[1]}")).map(build)


def activations(
    *, m: tuple[int, int] = (3, 12), d: tuple[int, int] = (1, 15), dtype: torch.dtype = torch.float64
) -> Any:
    """
    Activations of one network.

    Parameters
    ----------
    m, d : tuple of int
        Fewest and most inputs and units.
    dtype : torch.dtype

    Returns
    -------
    SearchStrategy of Tensor, shape (m, d)
    """
    return networks(1, m=m, d=d, dtype=dtype).map(lambda reps: reps[0])


# ---------------------------------------------------------------------- points


def scene_specs(manifold: Manifold, point: tuple[int, ...]) -> Any:
    """
    Descriptions of three points of a manifold.

    Parameters
    ----------
    manifold : geoopt.Manifold
    point : tuple of int
        Shape of a point.

    Returns
    -------
    SearchStrategy of SceneSpec
        Only those that make sense for the manifold.
    """
    st = _st()
    relations = ["equal", "near", "between", "independent"]
    if is_written(manifold, "cut_time"):
        relations.append("near_cut")
    shares = {"near": (1e-2, 1e-4, 1e-6), "between": (0.5, 0.3, 0.9), "near_cut": (0.5, 0.9, 0.99)}

    @st.composite
    def draw_spec(draw: Any) -> SceneSpec:
        relation = draw(st.sampled_from(relations))
        separation = draw(st.sampled_from(shares.get(relation, (0.0,))))
        angle = draw(st.sampled_from((None, 0.0, 90.0, 180.0))) if relation == "near" else None
        rank, condition = None, None
        if len(point) == 2:
            rank = draw(st.integers(1, min(point)))
            rank = None if rank == min(point) or getattr(manifold, "full_rank", False) else rank
            condition = draw(st.sampled_from((None, *_CONDITIONS)))
            if min(point) < 2:
                condition = None
        size = draw(st.sampled_from((1.0, 1e-8, 1e8)))
        amplification = 1e3 if relation == "near_cut" else 1.0
        return SceneSpec(
            "drawn",
            "drawn by geometry",
            relation,
            separation,
            angle,
            rank,
            None,
            condition,
            (size,) * 3,
            amplification,
        )

    return draw_spec()


def smaller_points(point: tuple[int, ...], specs: Sequence[SceneSpec]) -> Any:
    """
    The scenes that are given, for smaller points, and of other ranks where they have one.

    Parameters
    ----------
    point : tuple of int
        Largest shape; square ones stay square.
    specs : sequence of SceneSpec

    Returns
    -------
    SearchStrategy of (tuple of int, SceneSpec, int)
        Shape, scene, and a seed.
    """
    st = _st()

    @st.composite
    def draw_smaller(draw: Any) -> tuple[tuple[int, ...], SceneSpec, int]:
        square = len(point) == 2 and point[0] == point[1]
        # Points of a single number are seldom those that one thinks of.
        axes = [draw(st.integers(min(2, n), n)) for n in (point[:1] if square else point)]
        shape = tuple(axes * 2 if square else axes)
        spec = draw(st.sampled_from(list(specs)))
        if spec.rank is not None and min(shape) > 1:
            spec = replace(spec, rank=draw(st.integers(1, min(shape) - 1)))
        return shape, spec, draw(seeds())

    return draw_smaller()


def scenes(manifold: Manifold, point: tuple[int, ...], *, dtype: torch.dtype = torch.float64) -> Any:
    """
    Scenes of a manifold, as laws take them: three points and three vectors at the first.

    Parameters
    ----------
    manifold : geoopt.Manifold
    point : tuple of int
        Shape of a point.
    dtype : torch.dtype

    Returns
    -------
    SearchStrategy of Scene
        Batches of one.

    Examples
    --------
    >>> from hypothesis import find
    >>> from repsim_geo import UnitSphere
    >>> sphere = UnitSphere(1)
    >>> scene = find(scenes(sphere, (3,)), lambda s: sphere.dist(s.x, s.y) > 1e-3)
    >>> scene.spec.rank is None and scene.spec.sizes == (1.0, 1.0, 1.0)  # the simplest that there is
    True
    """
    st = _st()

    def build(drawn: tuple[SceneSpec, int]) -> Scene | None:
        spec, seed = drawn
        return spec.build(manifold, point, dtype, torch.Generator().manual_seed(seed), draws=1)

    drawn = st.tuples(scene_specs(manifold, point), seeds())
    told = drawn.map(_told(lambda d: f"scene: {d[0]}, points of shape {point}, seed {d[1]}"))
    return told.map(build).filter(lambda scene: scene is not None)


def points(
    manifold: Manifold, point: tuple[int, ...], n: int = 3, *, dtype: torch.dtype = torch.float64
) -> Any:
    """
    One to three points of a manifold, related in ways that break geometry.

    Parameters
    ----------
    manifold : geoopt.Manifold
    point : tuple of int
        Shape of a point.
    n : int
        How many points.
    dtype : torch.dtype

    Returns
    -------
    SearchStrategy of tuple of Tensor, shape (*point)
        Equal, near, on one geodesic, near the cut locus, or independent; of low rank, ill-conditioned, tiny
        and huge, where the manifold has such points.

    Raises
    ------
    ValueError
        More than three points.
    """
    if n not in (1, 2, 3):
        raise ValueError(f"n must be 1, 2 or 3 points, got {n!r}. Draw twice for more.")
    return scenes(manifold, point, dtype=dtype).map(lambda s: tuple(w[0] for w in (s.x, s.y, s.z)[:n]))
