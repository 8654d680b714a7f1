"""Mistakes that the laws of networks found when they were first asked; each test says what was wrong."""

import mpmath as mp
import pytest
import torch

import repsim_geo as rg
from repsim_geo.verify import NetworkSpec


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


def exact_distance(x, y):
    """Procrustes distance in 50 digits."""
    with mp.workdps(50):
        a, b = mp.matrix(x.tolist()), mp.matrix(y.tolist())
        u, _, v = mp.svd_r(b.T * a)
        return float(mp.norm(a - b * u * v))


@pytest.mark.parametrize("seed", [1, 2, 3, 6, 7, 8, 12, 13])
def test_near_shapes_are_aligned_where_they_are_almost_flat(seed):
    # Directions 1e-8 as long as the others turned as the rounding of a cross-product wished: d was 1e-10 off.
    spec = NetworkSpec("", "", rank=1 + seed % 5, angle=2e-5 * (1 + seed % 6), middle="arc", duplicates=2)
    scene = spec.build(9, 7, torch.float64, seed, draws=1)
    for metric in (rg.SizeAndShape(p=7), rg.AngularShape(p=7)):
        x, y, z = (metric.embed(w)[0] for w in (scene.x, scene.y, scene.z))
        for start, end in ((x, z), (z, x), (x, y), (y, z)):
            for t in (0.1, 0.25, 0.5, 0.9):
                g = metric.geodesic(t, start, end)
                d, rest = float(metric.dist(start, end)), float(metric.dist(g, end))
                assert abs(rest - (1 - t) * d) <= 4e-15 * float(x.norm())
            if isinstance(metric, rg.SizeAndShape):
                assert abs(rest - exact_distance(g, end)) <= 4e-15 * float(x.norm())
