"""Mistakes that the laws of networks found when they were first asked; each test says what was wrong."""

import pytest
import torch

import repsim_geo as rg


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.filterwarnings("ignore::repsim_geo.CutLocusWarning")
def test_logarithms_of_almost_opposite_points_are_tangent():
    # Farther apart than rounding, the direction was made of rounding, and pointed out of the sphere.
    for sphere, shape in ((rg.UnitSphere(1), (4,)), (rg.AngularCKA(debiased=True), (6, 6))):
        for seed in range(20):
            x, v = sphere.projx(draw(*shape, seed=seed)), draw(*shape, seed=seed + 50)
            for size in (1e-15, 3e-15, 1e-14, 1e-12):
                y = sphere.projx(-x + size * v)
                u = sphere.logmap(x, y)
                assert float((sphere.proju(x, u) - u).norm()) < 1e-13
                for t in (0.25, 0.5, 0.9):
                    g = sphere.geodesic(t, x, y)
                    d = sphere.dist(x, y)
                    assert abs(float(sphere.dist(x, g) - t * d)) < 1e-13


def test_large_means_leave_no_directions():
    # Rounding of the means was whitened to a column of its own, which was not centered either.
    for seed in range(10):
        x = draw(8, 1, seed=seed) @ draw(1, 2, seed=seed + 50) + 30
        with pytest.raises(rg.DegenerateRepresentationError, match="span only 1"):
            rg.LinearSubspace().embed(x)


def test_a_unit_with_a_large_constant_response_is_silent():
    x, y = draw(12, 4), draw(12, 4, seed=1)
    dead = torch.cat([x, torch.full((12, 1), 1234.567, dtype=x.dtype)], -1)
    for whiten in (0.5, 1.0):
        metric = rg.AngularShape(whiten=whiten)
        torch.testing.assert_close(rg.compare(dead, y, metric), rg.compare(x, y, metric), atol=1e-10, rtol=0)
