"""Whether there is one shortest path, or several."""

import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg

EYE = torch.eye(3, dtype=torch.float64)


@pytest.mark.parametrize("case", MANIFOLDS, ids=str)
def test_random_and_equal_points_have_one(case):
    manifold = case.make()
    x, y = (
        manifold.random(4, *case.point, dtype=torch.float64, generator=torch.Generator().manual_seed(s))
        for s in (0, 1)
    )
    # A search from few starts can end at a path that is not the shortest, which is none of the question.
    if case.name != "gaussian_shapes":
        assert bool(rg.has_unique_geodesic(manifold, x, y).all())
    assert bool(rg.has_unique_geodesic(manifold, x, x.clone()).all())


def test_antipodes_of_a_sphere_have_many():
    assert not bool(rg.has_unique_geodesic(rg.UnitSphere(1), EYE[0], -EYE[0]))


def test_orthogonal_lines_have_two():
    assert not bool(rg.has_unique_geodesic(rg.Grassmannian(), EYE[:, :1], EYE[:, 1:2]))


def test_shapes_have_many_where_a_rotation_is_free():
    # rank(x'y) is less than both ranks: the second columns can be turned into each other either way.
    shapes = rg.Quotient(rg.Flat(2), rg.Orthogonal())
    x, y = EYE[:, :2], EYE[:, [0, 2]]
    assert not bool(rg.has_unique_geodesic(shapes, x, y))
    assert bool(rg.has_unique_geodesic(shapes, x, EYE[:, [0, 2]] + 0.1 * EYE[:, :2]))
    # A rank-one shape and one of full rank that sees it: one path, though one of them is singular.
    assert bool(rg.has_unique_geodesic(shapes, torch.tensor([[1.0, 0], [0, 0], [0, 0]]).double(), x))


def test_gram_matrices_that_do_not_overlap_have_many():
    bures = rg.BuresWassersteinSPD()
    x, y = torch.diag(torch.tensor([1.0, 0.0])).double(), torch.diag(torch.tensor([0.0, 1.0])).double()
    assert not bool(rg.has_unique_geodesic(bures, x, y))
    assert bool(rg.has_unique_geodesic(bures, x, x + y))


def test_two_matchings_are_two_paths():
    permutations = rg.Quotient(rg.Flat(2), rg.Permutation())
    x, y = torch.tensor([[1.0, -1.0]]).double(), torch.tensor([[0.0, 0.0], [1.0, -1.0]]).double()
    x = torch.cat([x, torch.zeros_like(x)])
    assert not bool(rg.has_unique_geodesic(permutations, x, y))
