"""
Two descriptions of one space have one geometry: distances, and all maps, carried over by the differential.

No formula of one description is used by the other, or they meet only in what an isometry ties together; so a
mistake in either shows up here, even one that keeps all laws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import geoopt
import numpy as np
import pytest
import torch
from torch import Tensor

import repsim_geo as rg
from repsim_geo.numerics.centering import centered_coordinates
from repsim_geo.verify import SCENES, LawViolationError, check_isometry, tolerance

# ---------------------------------------------------------------------------------------------------------
# The isometries
# ---------------------------------------------------------------------------------------------------------

FLAT, SPHERE, CENTERED = rg.Flat(2), rg.UnitSphere(2), rg.ColumnCentered()
AIRM, LOG, BURES = rg.AffineInvariantSPD(), rg.LogEuclideanSPD(), rg.BuresWassersteinSPD()
SYMMETRIC = rg.Flat(2, rg.DoubleCentered())


@dataclass(frozen=True)
class Isometry:
    """A map, its two spaces, and the shape of a point of the source."""

    name: str
    f: Callable[[Tensor], Tensor]
    source: Any
    target: Any
    point: tuple[int, ...]
    # The laws that are asked; None for all.
    laws: tuple[str, ...] | None = None
    # Whether points of any size are points like others; logarithms of 1e8 are not.
    homogeneous: bool = True

    def __str__(self) -> str:
        return self.name


logarithms = partial(Isometry, homogeneous=False)


def outer(x: Tensor) -> Tensor:
    return x @ x.mT


def fixed(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def rotation(m: int) -> Tensor:
    return torch.linalg.qr(fixed(m, m))[0]


def helmert(m: int) -> Tensor:
    return centered_coordinates(m, dtype=torch.float64)


def hopf(x: Tensor) -> Tensor:
    """Centered triangles as two complex numbers a, b, and these as ``(|a|^2 - |b|^2, 2 a b*)``."""
    (a1, a2), (b1, b2) = (z.unbind(-1) for z in (helmert(3).mT @ x).unbind(-2))
    first = a1.square() + a2.square() - b1.square() - b2.square()
    return torch.stack([first, 2 * (a1 * b1 + a2 * b2), 2 * (a2 * b1 - a1 * b2)], -1)


def scaled_triangle(a: Tensor) -> Tensor:
    """Entries above the diagonal, times the root of two: a hollow matrix as a vector of the same length."""
    i, j = torch.triu_indices(a.shape[-1], a.shape[-1], 1)
    return 2**0.5 * a[..., i, j]


def quotient(total: Any, action: Any = rg.Orthogonal()) -> rg.Quotient:
    return rg.Quotient(total, action)


g, q = torch.eye(4, dtype=torch.float64) + 0.3 * fixed(4, 4), rotation(4)
ISOMETRIES = (
    # Positive semidefinite matrices are shapes, seen through x x'.
    Isometry("bures_is_shapes_square", outer, quotient(FLAT), BURES, (4, 4)),
    Isometry("bures_is_shapes_wide", outer, quotient(FLAT), BURES, (3, 5)),
    Isometry("bures_is_shapes_of_one_row", outer, quotient(FLAT), BURES, (1, 1)),
    Isometry(
        "bures_metric_is_size_and_shape",
        lambda x: outer(helmert(5).mT @ x), rg.SizeAndShape(), rg.BuresWasserstein(), (5, 4),
    ),
    # Singular matrices have distances and geodesics.
    Isometry("bures_is_shapes_tall", outer, quotient(FLAT), BURES, (5, 2),
        ("distances_agree", "geodesics_agree"),
    ),
    # Symmetries.
    Isometry("bures_does_not_see_rotations", lambda x: q @ x @ q.mT, BURES, BURES, (4, 4)),
    Isometry("affine_invariant", lambda x: g @ x @ g.mT, AIRM, AIRM, (4, 4)),
    Isometry("affine_invariant_inverse", torch.linalg.inv, AIRM, AIRM, (4, 4)),
    Isometry("log_euclidean_rotations", lambda x: 7 * q @ x @ q.mT, LOG, LOG, (4, 4)),
    Isometry("log_euclidean_inverse", torch.linalg.inv, LOG, LOG, (4, 4)),
    # Flat descriptions.
    logarithms("log_euclidean_is_flat", torch.matrix_exp, SYMMETRIC, LOG, (4, 4)),
    logarithms("numbers_affine_invariant", torch.exp, FLAT, AIRM, (1, 1)),
    logarithms("numbers_log_euclidean", torch.exp, FLAT, LOG, (1, 1)),
    logarithms("diagonals_affine_invariant", lambda s: torch.diag_embed(s.exp()), rg.Flat(1), AIRM, (3,)),
    logarithms("diagonals_log_euclidean", lambda s: torch.diag_embed(s.exp()), rg.Flat(1), LOG, (3,)),
    # Projective space, and the sphere on which triangles live.
    Isometry("lines_are_shapes_of_one_column", torch.clone, rg.Grassmannian(), quotient(SPHERE), (5, 1)),
    Isometry("shapes_of_one_column_are_lines", torch.clone, quotient(SPHERE), rg.Grassmannian(), (5, 1)),
    Isometry(
        "triangles_are_a_sphere_of_radius_one_half",
        hopf, quotient(rg.UnitSphere(2, CENTERED), rg.SpecialOrthogonal()),
        geoopt.Scaled(rg.UnitSphere(1), 0.5), (3, 2),
    ),
    # Centered data in coordinates.
    *(
        Isometry(f"centered_{name}", lambda x: helmert(7) @ x, make(rg.Everything()), make(CENTERED), (6, 3))
        for name, make in (
            ("sphere", lambda s: rg.UnitSphere(2, s)),
            ("shapes", lambda s: quotient(rg.UnitSphere(2, s))),
            ("sized_shapes", lambda s: quotient(rg.Flat(2, s))),
            ("rotated_shapes", lambda s: quotient(rg.UnitSphere(2, s), rg.SpecialOrthogonal())),
            ("permutations", lambda s: quotient(rg.Flat(2, s), rg.Permutation())),
            ("subspaces", rg.Grassmannian),
        )
    ),
    Isometry("rotated_subspaces", lambda x: rotation(6) @ x, rg.Grassmannian(), rg.Grassmannian(), (6, 2)),
    Isometry("matrices_are_vectors", lambda x: x.flatten(-2), rg.UnitSphere(2), rg.UnitSphere(1), (3, 2)),
    Isometry("hollow_matrices_are_vectors", scaled_triangle, rg.AngularRDM(), rg.UnitSphere(1), (5, 5)),
    # A group that has nothing to do.
    Isometry("one_column_has_no_order", torch.clone, quotient(FLAT, rg.Permutation()), FLAT, (5, 1)),
)  # fmt: skip
PLAIN = ("iid", "coincident", "close", "on_geodesic", "equal_eigenvalues", "tiny", "huge", "ill_conditioned")


SPECS = {spec.name: spec for spec in SCENES}


@pytest.mark.parametrize("scene", PLAIN)
@pytest.mark.parametrize("isometry", ISOMETRIES, ids=str)
def test_isometry(isometry, scene, seed):
    if scene in ("tiny", "huge") and not isometry.homogeneous:
        return
    spec = SPECS[scene]
    if spec.suits(isometry.source, isometry.point):
        check_isometry(
            isometry.f,
            isometry.source,
            isometry.target,
            isometry.point,
            laws=isometry.laws,
            scenes=[spec],
            seed=seed,
        )


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("inner", "inner_products_agree"),
        ("dist", "distances_agree"),
        ("logmap", "logarithms_agree"),
        ("expmap", "exponentials_agree"),
        ("geodesic", "geodesics_agree"),
        ("transp", "transports_agree"),
        ("carry", "carried_vectors_agree"),
        ("sectional_curvature", "curvatures_agree"),
    ],
)
def test_a_wrong_map_is_noticed(name, law, seed, monkeypatch):
    """The check has teeth: an error in the tenth digit of any one map is found, and named."""
    source, target = quotient(FLAT), rg.BuresWassersteinSPD()
    right = getattr(target, name)
    monkeypatch.setattr(target, name, lambda *args: right(*args) * (1 + 1e-9))
    with pytest.raises(LawViolationError, match=law):
        check_isometry(outer, source, target, (4, 4), laws=[law], scenes=["iid"], seed=seed)


# ---------------------------------------------------------------------------------------------------------
# Frames, factors and copies of a point: nothing depends on which is taken
# ---------------------------------------------------------------------------------------------------------

REPRESENTATIVES = {
    "grassmannian": (rg.Grassmannian(), rg.Orthogonal(), (7, 3)),
    "grassmannian_lines": (rg.Grassmannian(), rg.Orthogonal(), (5, 1)),
    "grassmannian_hyperplanes": (rg.Grassmannian(), rg.Orthogonal(), (4, 3)),
    "size_and_shape": (rg.SizeAndShape(), rg.Orthogonal(), (7, 3)),
    "size_and_shape_wide": (rg.SizeAndShape(), rg.Orthogonal(), (4, 6)),
    "angular_shape": (rg.AngularShape(), rg.Orthogonal(), (7, 3)),
    "kendall": (quotient(rg.UnitSphere(2, CENTERED), rg.SpecialOrthogonal()), rg.SpecialOrthogonal(), (7, 3)),
    "permutation": (rg.PermutationDistance(), rg.Permutation(), (7, 4)),
    "angular_permutation": (rg.AngularPermutation(), rg.Permutation(), (7, 4)),
}


@pytest.mark.parametrize("scene", ["iid", "coincident", "close", "on_geodesic", "equal_eigenvalues"])
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_gauge_rules(name, scene, seed):
    manifold, group, point = REPRESENTATIVES[name]
    generator = torch.Generator().manual_seed(seed)
    made = SPECS[scene].build(manifold, point, torch.float64, generator)
    if made is None:
        return
    x, y, v, u = made.x, made.y, made.v, made.u
    q, r = (group.sample(point[1], dtype=torch.float64, generator=generator) for _ in range(2))
    size, length = made.scale, manifold.norm(x, v)

    def same(a: Tensor, b: Tensor, unit: Tensor, kind: str = "composed") -> None:
        apart = (a - b).flatten(1).norm(dim=1) / unit
        # Where the scene's own condition is not known to be harmless the alignment is as good as x'y.
        assert float(apart.max()) <= tolerance(kind, torch.float64, made.amplification)

    same(manifold.dist(x @ q, y @ r)[:, None], manifold.dist(x, y)[:, None], size)
    log, moved = manifold.logmap(x, y), manifold.transp(x, y, v)
    same(manifold.logmap(x, y @ r), log, size)
    same(manifold.logmap(x @ q, y), log @ q, size)
    same(manifold.expmap(x @ q, u @ q), manifold.expmap(x, u) @ q, size)
    same(manifold.geodesic(0.4, x @ q, y @ r), manifold.geodesic(0.4, x, y) @ q, size)
    same(manifold.carry(x @ q, u @ q, v @ q), manifold.carry(x, u, v) @ q, length, "transport")
    same(manifold.transp(x, y @ r, v), moved @ r, length, "transport")
    same(manifold.transp(x @ q, y, v @ q), moved, length, "transport")
    same(manifold.proju(x @ q, v @ q), manifold.proju(x, v) @ q, length)


@pytest.mark.parametrize("seed", range(5))
def test_subspaces_are_as_far_apart_as_their_complements(seed):
    manifold, generator = rg.Grassmannian(), torch.Generator().manual_seed(seed)
    whole = [
        torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64, generator=generator))[0] for _ in range(2)
    ]
    for k in range(1, 7):
        frames, complements = zip(*(w.split([k, 7 - k], -1) for w in whole), strict=True)
        assert float(manifold.dist(*frames)) == pytest.approx(float(manifold.dist(*complements)), rel=1e-12)


# ---------------------------------------------------------------------------------------------------------
# Metrics that are one, by different roads from activations
# ---------------------------------------------------------------------------------------------------------

NETWORKS = {
    "ordinary": lambda g: (draw(g, 12, 5), draw(g, 12, 4)),
    "duplicated_inputs": lambda g: tuple(draw(g, 8, 5)[[0, 0, 1, 2, 3, 4, 4, 4, 5, 6]] for _ in range(2)),
    "silent_units": lambda g: (
        torch.nn.functional.pad(draw(g, 12, 5), (0, 2)),
        torch.nn.functional.pad(draw(g, 12, 3), (1, 0)),
    ),
    "one_unit": lambda g: (draw(g, 12, 1), draw(g, 12, 1)),
    "more_units_than_inputs": lambda g: (draw(g, 6, 20), draw(g, 6, 9)),
    "near": lambda g: (x := draw(g, 12, 5), x + 1e-7 * draw(g, 12, 5)),
    "identical": lambda g: (x := draw(g, 12, 5), x.clone()),
    "tiny": lambda g: (1e-8 * draw(g, 12, 5), 1e-8 * draw(g, 12, 4)),
    "huge": lambda g: (1e8 * draw(g, 12, 5), 1e8 * draw(g, 12, 4)),
}
each_pair = pytest.mark.parametrize("networks", NETWORKS)
each_seed = pytest.mark.parametrize("draws", range(3))


def draw(generator: torch.Generator, m: int, d: int) -> Tensor:
    return torch.randn(m, d, dtype=torch.float64, generator=generator)


def make(networks: str, seed: int) -> tuple[Tensor, ...]:
    return NETWORKS[networks](torch.Generator().manual_seed(seed))


def check_points(first: tuple[Any, list[Tensor]], second: tuple[Any, list[Tensor]]) -> None:
    """Two pairs of points are equal to rounding, and so are their distances on two manifolds."""
    (m, a), (n, b) = first, second
    for p, r in zip(a, b, strict=True):
        np.testing.assert_allclose(p, r, rtol=0, atol=1e-14)
    # A distance of 1e-7 is a difference of points of size one.
    assert float(m.dist(*a)) == pytest.approx(float(n.dist(*b)), rel=1e-14, abs=1e-14)


@each_pair
@each_seed
def test_whitened_dissimilarities_are_centered_gram_matrices(networks, draws):
    rdm, gram = rg.AngularRDM(whitened=True), rg.AngularCKA()
    first, second = ((metric, [metric.embed(x) for x in make(networks, draws)]) for metric in (rdm, gram))
    check_points(first, second)


@each_pair
@each_seed
def test_whitened_correlation_is_that_of_gram_matrices_without_trace(networks, draws):
    rdm, gram = rg.AngularRDM(whitened=True, centered=True), rg.UnitSphere(2, rg.TraceFree())
    pair = make(networks, draws)
    check_points(
        (rdm, [rdm.embed(x) for x in pair]), (gram, [gram.projx(rg.AngularCKA().embed(x)) for x in pair])
    )


@each_pair
@each_seed
def test_bures_distance_of_gram_matrices_is_the_distance_of_shapes(networks, draws):
    x, y = make(networks, draws)
    shapes, bures = rg.SizeAndShape().resolve([x, y]), rg.BuresWasserstein().resolve([x, y])
    expected = float(rg.compare(x, y, shapes))
    assert float(rg.compare(x, y, bures)) == pytest.approx(expected, rel=1e-12)
    points = [bures.embed(z) for z in (x, y)]
    # Roots of Gram matrices are rounded to eps of their size.
    size = float(torch.maximum(x.norm(), y.norm()))
    assert float(bures.dist(*points)) == pytest.approx(expected, rel=1e-12, abs=1e-14 * size)


@each_pair
@each_seed
def test_cosine_of_whitened_shapes_is_the_mean_canonical_correlation(networks, draws):
    x, y = make(networks, draws)
    width = min(x.shape[-1], y.shape[-1])
    if 2 * width >= len(x) or networks == "silent_units":
        return
    x, y = x[:, :width], y[:, :width]
    angle = rg.compare(x, y, rg.AngularShape(whiten=1.0))
    assert float(angle.cos()) == pytest.approx(float(rg.canonical_correlations(x, y).mean()), abs=1e-14)


@each_pair
@each_seed
def test_soft_matching_of_equal_widths_is_the_permutation_distance(networks, draws):
    x, y = make(networks, draws)
    width = min(x.shape[-1], y.shape[-1])
    x, y = x[:, :width], y[:, :width]
    hard, soft = (float(rg.compare(x, y, method)) for method in ("permutation", "soft_matching"))
    assert soft == pytest.approx(hard / width**0.5, rel=1e-14)


@each_pair
@each_seed
def test_permutations_are_no_nearer_than_rotations(networks, draws):
    x, y = make(networks, draws)
    hard, rotated = (float(rg.compare(x, y, method)) for method in ("permutation", "size_and_shape"))
    assert rotated <= hard * (1 + 1e-14)
