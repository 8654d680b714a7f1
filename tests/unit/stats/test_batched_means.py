"""Means of points that come in batches, or one at a time."""

import numpy as np
import pytest
import torch

import repsim_geo as rg

FAMILIES = {
    "sphere": (rg.UnitSphere(1), (5,)),
    "size_and_shape": (rg.SizeAndShape(), (8, 3)),
    "affine_invariant": (rg.AffineInvariantSPD(), (4, 4)),
}


def points(family, n, seed, spread=0.4):
    manifold, point = FAMILIES[family]
    generator = torch.Generator().manual_seed(seed)
    center = manifold.random(*point, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u = manifold.proju(center, torch.randn(n, *point, dtype=torch.float64, generator=generator))
    return manifold.expmap(center, spread * u)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", FAMILIES)
def test_batches_have_the_mean_of_all_points(family, seed):
    manifold, _ = FAMILIES[family]
    x = points(family, 11, seed)
    whole = rg.FrechetMean(manifold).fit(x)
    for batches in (x.split(4), [x], [b.numpy() for b in x.split(3)], lambda: iter(x.split(5))):
        found = rg.FrechetMean(manifold).fit_batches(batches)
        assert float(manifold.dist(found.mean_, whole.mean_)) < 1e-10
        assert float(found.variance_) == pytest.approx(float(whole.variance_), rel=1e-10)
        assert float(found.radius_) == pytest.approx(float(whole.radius_), rel=1e-9)
        assert float(found.gradient_norm_) < 1e-10
        assert found.unique_ == whole.unique_
        assert found.converged_


def test_batches_are_read_again_and_checked():
    sphere, x = rg.UnitSphere(1), points("sphere", 4, 0)
    with pytest.raises(TypeError, match="more than once"):
        rg.FrechetMean(sphere).fit_batches(iter([x]))
    with pytest.raises(ValueError, match="got none"):
        rg.FrechetMean(sphere).fit_batches([])
    with pytest.raises(rg.NotOnManifoldError, match="embed"):
        rg.FrechetMean(sphere).fit_batches([x, 2 * x])
    with pytest.warns(rg.ConvergenceWarning, match="stopped"):
        rg.FrechetMean(sphere, max_iter=0).fit_batches([x[:2], x[2:]])


def test_one_point_at_a_time_is_the_mean_in_flat_space():
    x = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean = rg.FrechetMean(rg.Flat(1))
    for part in (x[:1], x[1:4], x[4:5], x[5:].numpy()):
        mean.partial_fit(part)
    np.testing.assert_allclose(mean.mean_, x.mean(0), atol=1e-15)
    assert mean.n_seen_ == 9


@pytest.mark.parametrize("family", FAMILIES)
def test_one_point_at_a_time_follows_the_geodesic_and_comes_near(family):
    manifold, _ = FAMILIES[family]
    x = points(family, 60, 1, spread=0.2)
    mean = rg.FrechetMean(manifold).partial_fit(x[:1])
    torch.testing.assert_close(mean.mean_, x[0])
    mean.partial_fit(x[1:2])
    middle = rg.midpoint(manifold, x[0], x[1])
    assert float(manifold.dist(mean.mean_, middle)) < 1e-12
    for k in range(2, 60):
        mean.partial_fit(x[k : k + 1])
    whole = rg.FrechetMean(manifold).fit(x)
    bias = float(manifold.dist(mean.mean_, whole.mean_))
    # Biased, but by far less than the points are spread.
    assert 0 < bias < 0.1 * float(whole.variance_.sqrt())
