"""Points at given distances, against closed forms and the points that the distances were taken from."""

import math
import warnings

import geoopt
import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg
from repsim_geo.errors import ConvergenceWarning, NotOnManifoldError, ShapeError
from repsim_geo.recipes.trilateration import trilaterate

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])
# Quotients whose searches pass singular points take many seconds.
SLOW = ("size_and_shape_one_column", "size_and_shape_square", "angular_shape_wide", "size_and_shape_wide")
QUICK = [case for case in MANIFOLDS if not case.slow and case.name not in SLOW]


def drawn(manifold, *shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return manifold.random(*shape, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)


def vectors(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", QUICK, ids=str)
def test_distances_of_a_point_are_met(case, seed):
    manifold = case.make()
    points = drawn(manifold, 5, *case.point, seed=seed)
    wanted = manifold.dist(points[:1], points[1:])
    found = trilaterate(manifold, points[1:], wanted)
    assert found.met
    torch.testing.assert_close(manifold.dist(found.point[None], points[1:]), wanted, atol=1e-7, rtol=0)
    assert manifold.check_point_on_manifold(found.point)


@SEEDS
def test_flat_solution_is_that_of_linear_equations(seed):
    """Differences of |x - a_i|^2 = d_i^2 are linear in x, and have one solution for p + 1 anchors."""
    anchors, x = vectors(5, 4, seed=seed), vectors(4, seed=seed + 10)
    d = (anchors - x).norm(dim=-1)
    left = 2 * (anchors[1:] - anchors[0])
    right = d[0] ** 2 - d[1:] ** 2 + anchors[1:].square().sum(-1) - anchors[0].square().sum()
    found = trilaterate(rg.Flat(1), anchors, d)
    torch.testing.assert_close(found.point, torch.linalg.solve(left, right), atol=1e-7, rtol=0)
    assert len(found.solutions) == 1
    assert found.spread == 0


@SEEDS
def test_with_two_anchors_in_the_plane_both_mirror_images_are_found(seed):
    anchors = torch.tensor([[0.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    found = trilaterate(rg.Flat(1), anchors, [3.0, math.sqrt(13)], generator=generator)
    heights = sorted(found.solutions[:, 1].tolist())
    x = (9 - 13 + 16) / 8
    torch.testing.assert_close(found.solutions[:, 0], torch.full((2,), x, dtype=torch.float64))
    assert heights == pytest.approx([-math.sqrt(9 - x**2), math.sqrt(9 - x**2)])
    assert found.spread == pytest.approx(2 * math.sqrt(9 - x**2))
    assert "2 as good" in str(found)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 3.0), (2.0, 0.5)])
def test_best_compromise_of_positive_numbers_is_the_weighted_mean_of_logarithms(weights):
    """Between anchors at logarithms 0 and 4, distances 1 and 2 miss 1, which weights share out inversely."""
    anchors = torch.tensor([1.0, math.exp(4)], dtype=torch.float64)[:, None, None]
    with pytest.warns(UserWarning, match=r"1 from anchor 0 and 2 from anchor 1, which are 4 apart"):
        found = trilaterate(rg.AffineInvariantSPD(), anchors, [1.0, 2.0], weights=weights)
    a, b = weights
    place = (a * 1.0 + b * 2.0) / (a + b)
    assert float(found.point.log()) == pytest.approx(place, abs=1e-7)
    assert not found.met
    torch.testing.assert_close(found.residuals, torch.tensor([place - 1, 2 - place]).double())
    squares = torch.tensor([place - 1, 2 - place]).square() * torch.tensor(weights)
    assert found.error == pytest.approx(float((squares.sum() / (a + b)).sqrt()), rel=1e-6)
    assert "best compromise, off by" in str(found)


def test_an_anchor_at_distance_zero_is_the_point():
    anchors = vectors(3, 2, seed=0)
    d = (anchors - anchors[1]).norm(dim=-1)
    found = trilaterate(rg.Flat(1), anchors, d)
    torch.testing.assert_close(found.point, anchors[1], atol=1e-7, rtol=0)
    assert found.met


def test_an_anchor_without_weight_is_ignored():
    anchors = vectors(4, 2, seed=1)
    d = (anchors - torch.tensor([0.3, 0.2])).norm(dim=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trilaterate(rg.Flat(1), anchors, [*d[:3].tolist(), 100.0], weights=[1, 1, 1, 0])
    torch.testing.assert_close(found.point, torch.tensor([0.3, 0.2]).double(), atol=1e-6, rtol=0)
    assert found.met


def test_one_anchor_leaves_a_sphere_of_solutions():
    found = trilaterate(rg.Flat(1), torch.zeros(1, 3, dtype=torch.float64), [2.0], n_starts=6)
    torch.testing.assert_close(found.solutions.norm(dim=-1), torch.full((6,), 2.0, dtype=torch.float64))
    assert found.met


def test_touching_spheres_count_as_met():
    anchors = torch.tensor([[0.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    found = trilaterate(rg.Flat(1), anchors, [1.0, 2.0])
    assert found.met
    assert len(found.solutions) == 1
    torch.testing.assert_close(found.point, torch.tensor([1.0, 0.0]).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_units_do_not_matter(size):
    anchors, x = size * vectors(4, 3, seed=2), size * vectors(3, seed=3)
    found = trilaterate(rg.Flat(1), anchors, (anchors - x).norm(dim=-1))
    torch.testing.assert_close(found.point / size, x / size, atol=1e-6, rtol=0)
    assert found.met
    assert found.converged


def test_starts_of_the_user_are_taken():
    anchors = torch.tensor([[0.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    for side in (1.0, -1.0):
        found = trilaterate(rg.Flat(1), anchors, [3.0, 3.0], x0=torch.tensor([[1.0, side]]).double())
        torch.testing.assert_close(found.point, torch.tensor([2.0, side * math.sqrt(5)]).double())


def test_single_precision_and_arrays():
    anchors = vectors(4, 3, seed=4).float().numpy()
    d = ((anchors - 0.5) ** 2).sum(-1) ** 0.5
    found = trilaterate(rg.Flat(1), anchors, d)
    assert found.point.dtype == torch.float32
    assert found.met
    torch.testing.assert_close(found.point, torch.full((3,), 0.5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_scaled_manifolds_have_scaled_distances(scale):
    manifold = geoopt.Scaled(rg.UnitSphere(1), scale)
    points = drawn(rg.UnitSphere(1), 4, 3, seed=5)
    found = trilaterate(manifold, points[1:], manifold.dist(points[:1], points[1:]).double())
    assert found.met
    torch.testing.assert_close(found.point, points[0], atol=1e-6, rtol=0)


def test_spheres_of_geoopt_work():
    points = drawn(rg.UnitSphere(1), 4, 3, seed=6)
    found = trilaterate(geoopt.SphereExact(), points[1:], rg.UnitSphere(1).dist(points[:1], points[1:]))
    torch.testing.assert_close(found.point, points[0], atol=1e-6, rtol=0)


def test_anchors_are_not_changed_and_seeds_decide():
    anchors, kept = vectors(3, 4, seed=7), vectors(3, 4, seed=7)
    first, second = (trilaterate(rg.Flat(1), anchors, [2.0, 2.0, 2.0]).point for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(anchors, kept)


def test_too_far_for_the_diameter_is_told():
    north = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"must not exceed the diameter 3.142, got 4 from anchor 0"):
        found = trilaterate(rg.UnitSphere(1), north, [4.0])
    torch.testing.assert_close(found.distances, torch.tensor([math.pi]).double(), atol=1e-3, rtol=0)


def test_the_worst_triangle_is_named():
    anchors = torch.tensor([[0.0], [1.0], [10.0]], dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"0.5 from anchor 0 and 1 from anchor 2, which are 10 apart"):
        trilaterate(rg.Flat(1), anchors, [0.5, 0.4, 1.0])


def test_too_few_iterations_are_told():
    anchors = vectors(4, 3, seed=8)
    with pytest.warns(ConvergenceWarning, match="Raise max_iter or n_starts"):
        found = trilaterate(rg.Flat(1), anchors, (anchors - 1).norm(dim=-1), max_iter=1)
    assert not found.converged


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"distances": [1.0]},
            ShapeError,
            r"distances must have shape \(2,\), one for each anchor, got \(1,\)",
        ),
        ({"distances": [1.0, -1.0]}, ValueError, "distances must be finite and zero or more"),
        ({"distances": [1.0, math.nan]}, ValueError, "distances must be finite and zero or more"),
        ({"weights": [0.0, 0.0]}, ValueError, "not all zero"),
        ({"n_starts": 0}, ValueError, "n_starts must be a whole number, 1 or more, got 0"),
        ({"anchors": torch.zeros(2)}, ShapeError, "points must have shape"),
        ({"x0": torch.zeros(1, 2)}, NotOnManifoldError, "points must lie on the manifold"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    given = {"anchors": torch.eye(2, dtype=torch.float64), "distances": [1.0, 1.0]} | options
    with pytest.raises(error, match=message):
        trilaterate(rg.UnitSphere(1), given.pop("anchors"), given.pop("distances"), **given)
