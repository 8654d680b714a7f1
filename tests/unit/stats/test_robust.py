"""Medians and trimmed means against optimizers, all subsets, and what should not move them."""

import itertools

import geoopt
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import repsim_geo as rg

FAMILIES = {
    "flat": (rg.Flat(1), (3,), 1.0),
    "sphere": (rg.UnitSphere(1), (5,), 0.6),
    "affine_invariant": (rg.AffineInvariantSPD(), (4, 4), 2.0),
    "size_and_shape": (rg.SizeAndShape(), (8, 3), 1.0),
    "angular_shape": (rg.AngularShape(), (8, 3), 0.4),
    "bures_wasserstein": (rg.BuresWassersteinSPD(), (4, 4), 0.4),
    "grassmannian": (rg.Grassmannian(), (6, 2), 0.4),
    "permutation": (rg.PermutationDistance(), (6, 3), 0.4),
    "geoopt_spd": (geoopt.SymmetricPositiveDefinite(), (3, 3), 1.0),
}


def points(family, n, seed):
    manifold, point, spread = FAMILIES[family]
    draw = rg.AffineInvariantSPD() if family == "geoopt_spd" else manifold
    generator = torch.Generator().manual_seed(seed)
    center = draw.random(*point, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u = draw.proju(center, torch.randn(n, *point, dtype=torch.float64, generator=generator))
    return draw.expmap(center, spread * u / draw.norm(center, u, keepdim=True))


@pytest.mark.parametrize("seed", range(4))
def test_flat_median_is_the_minimum(seed):
    x = points("flat", 7, seed)
    w = torch.rand(7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = rg.FrechetMedian(rg.Flat(1)).fit(x, w)

    def deviation(m):
        return np.average(np.linalg.norm(x.numpy() - m, axis=1), weights=w)

    options = {"xatol": 1e-11, "fatol": 1e-15, "maxiter": 10000}
    best = minimize(deviation, x.mean(0).numpy(), method="Nelder-Mead", options=options)
    np.testing.assert_allclose(found.median_, best.x, atol=1e-6)
    assert float(found.deviation_) == pytest.approx(best.fun, rel=1e-13)
    assert found.unique_ is True


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_direction_leads_up(family, seed):
    manifold, point, _ = FAMILIES[family]
    x = points(family, 9, seed)
    found = rg.FrechetMedian(manifold).fit(x)
    assert found.converged_
    assert float(found.gradient_norm_) < 1e-9
    generator = torch.Generator().manual_seed(seed)
    u = manifold.proju(found.median_, torch.randn(40, *point, dtype=torch.float64, generator=generator))
    near = manifold.expmap(found.median_, 1e-3 * u)
    around = manifold.dist(near.unsqueeze(1), x.unsqueeze(0)).mean(-1)
    assert float((around - found.deviation_).min()) > 0


def test_a_point_of_half_the_weight_is_the_median():
    sphere = rg.UnitSphere(1)
    x = points("sphere", 5, 0)
    found = rg.FrechetMedian(sphere).fit(x, [4.0, 1.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(found.median_, x[0], atol=0, rtol=0)
    assert float(found.gradient_norm_) == 0
    assert found.n_iter_ == 0


def test_a_point_in_the_middle_of_a_square_is_the_median():
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    assert float(rg.FrechetMedian(rg.Flat(1)).fit(x).median_.abs().max()) == 0


def test_medians_of_several_populations_are_found_at_once():
    sphere = rg.UnitSphere(1)
    x = torch.stack([points("sphere", 5, seed) for seed in range(3)])
    w = torch.ones(3, 5)
    w[1, 2] = 10.0  # this one has its median at a point
    together = rg.FrechetMedian(sphere).fit(x, w)
    for k in range(3):
        alone = rg.FrechetMedian(sphere).fit(x[k], w[k])
        torch.testing.assert_close(together.median_[k], alone.median_, atol=1e-10, rtol=0)
    assert together.converged_


def test_outliers_move_the_mean_only():
    manifold = rg.AngularCKA()
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(20, 5, dtype=torch.float64, generator=generator)
    noise = torch.randn(9, 20, 5, dtype=torch.float64, generator=generator)
    good = manifold.embed(base + 0.1 * noise)
    bad = manifold.embed(torch.randn(2, 20, 5, dtype=torch.float64, generator=generator))
    truth, x = rg.FrechetMean(manifold).fit(good).mean_, torch.cat([good, bad])
    mean = manifold.dist(truth, rg.FrechetMean(manifold).fit(x).mean_)
    median = manifold.dist(truth, rg.FrechetMedian(manifold).fit(x).median_)
    trimmed = rg.TrimmedMean(manifold, trim=0.2).fit(x)
    assert float(median) < float(mean) / 3
    assert float(manifold.dist(truth, trimmed.mean_)) < 1e-12
    assert trimmed.kept_.tolist() == [True] * 9 + [False] * 2


@pytest.mark.parametrize("seed", range(4))
def test_trimmed_mean_is_the_best_of_all_subsets(seed):
    line = rg.Flat(1)
    x = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x[0] += 5
    found = rg.TrimmedMean(line, trim=0.25).fit(x)
    best = min(
        float((x[list(s)] - x[list(s)].mean(0)).square().sum(-1).mean())
        for s in itertools.combinations(range(8), 6)
    )
    assert found.converged_
    # A local minimum: at most a little above the best of all 28 subsets.
    assert best - 1e-12 <= float(found.variance_) <= 1.25 * best


def test_nothing_trimmed_is_the_mean():
    x = points("sphere", 6, 0)
    sphere = rg.UnitSphere(1)
    found = rg.TrimmedMean(sphere, trim=0.0).fit(x)
    torch.testing.assert_close(found.mean_, rg.FrechetMean(sphere).fit(x).mean_, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("family", ["flat", "sphere", "size_and_shape", "affine_invariant"])
def test_degenerate_populations(family, dtype):
    manifold, *_ = FAMILIES[family]
    x = points(family, 3, 0).to(dtype)
    one = rg.FrechetMedian(manifold).fit(x[:1])
    torch.testing.assert_close(one.median_, x[0])
    same = rg.FrechetMedian(manifold).fit(x[:1].expand(4, *x.shape[1:]))
    assert same.converged_
    torch.testing.assert_close(same.median_, x[0])
    assert float(same.deviation_) < 1e-6
    two = rg.FrechetMedian(manifold).fit(x[:2])
    assert two.converged_
    assert two.unique_ is None
    assert float(two.deviation_) == pytest.approx(float(manifold.dist(x[0], x[1])) / 2, rel=1e-5)


def test_bad_input_and_limits_are_reported():
    with pytest.raises(ValueError, match="trim must be"):
        rg.TrimmedMean(rg.Flat(1), trim=0.5).fit(torch.ones(3, 2))
    with pytest.warns(rg.ConvergenceWarning, match="FrechetMedian stopped"):
        rg.FrechetMedian(rg.UnitSphere(1), max_iter=0).fit(points("sphere", 7, 0))
