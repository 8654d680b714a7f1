"""Means of positive definite matrices by Newton's method in a moving frame, against other ways."""

import math

import geoopt
import pytest
import torch

import repsim_geo as rg
from repsim_geo.stats import congruence

SPD = rg.AffineInvariantSPD()


def population(seed, n=9, p=5, spread=1.0, condition=1.0, batch=()):
    """Matrices around a center with eigenvalues between one and `condition`."""
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(*batch, n, p, p, dtype=torch.float64, generator=g)
    q = torch.linalg.qr(torch.randn(p, p, dtype=torch.float64, generator=g)).Q
    root = q * torch.logspace(0, math.log10(condition) / 2, p, dtype=torch.float64) @ q.mT
    inside = torch.matrix_exp(spread * (a + a.mT) / (8 * p) ** 0.5)
    x = root @ inside @ root
    return (x + x.mT) / 2


def slope(x, mean, weights=None):
    """Gradient norm by the manifold's own logarithms."""
    logs = SPD.logmap(mean.unsqueeze(-3), x)
    w = torch.full(x.shape[:-2], 1 / x.shape[-3], dtype=x.dtype) if weights is None else weights
    return SPD.norm(mean, (w[..., None, None] * logs).sum(-3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [1e-6, 0.1, 1.0, 6.0])
def test_gradient_vanishes_by_the_manifolds_own_logarithms(seed, spread):
    x = population(seed, spread=spread)
    mean = rg.FrechetMean(SPD).fit(x)
    assert mean.converged_
    assert mean.n_iter_ <= 5
    assert float(slope(x, mean.mean_)) < 1e-10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("power", [3, 13, 20])
def test_certificate_holds_for_ill_conditioned_matrices(seed, power):
    """Units in powers of two change no digit of the data, so the mean is known."""
    x = population(seed)
    units = torch.tensor([1.0, 2.0, 0.5, 2.0**power, 2.0**-power], dtype=torch.float64)
    units = units[:, None] * units
    known, mean = rg.FrechetMean(SPD).fit(x), rg.FrechetMean(SPD).fit(units * x)
    error = float(SPD.dist(mean.mean_ / units, known.mean_))
    assert error <= float(known.error_bound_ + mean.error_bound_)
    assert error < 1e-11


def test_far_points_in_a_direction_are_not_blurred():
    """Commuting matrices have the geometric mean; eigenvalues of a product would lose the small ones."""
    rates = torch.tensor([[30.0, -30.0, 3.0], [-24.0, 12.0, 1.0], [2.0, 20.0, -5.0]], dtype=torch.float64) / 2
    x = torch.diag_embed(rates.exp())
    mean = rg.FrechetMean(SPD).fit(x)
    torch.testing.assert_close(mean.mean_, torch.diag(rates.mean(0).exp()), rtol=1e-11, atol=0.0)
    assert float(mean.variance_) == pytest.approx(
        float((rates - rates.mean(0)).square().sum(-1).mean()), rel=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
def test_two_points_have_the_midpoint_and_weights_move_along_the_geodesic(seed):
    x = population(seed, n=2, spread=3.0, condition=1e3)
    for t in (0.5, 0.125):
        mean = rg.FrechetMean(SPD).fit(x, weights=[1 - t, t]).mean_
        assert float(SPD.dist(mean, SPD.geodesic(t, *x))) < 1e-11


def test_batches_are_means_of_their_own():
    x = torch.cat([population(s, spread=s + 0.5, batch=(1,)) for s in range(4)])
    weights = torch.rand(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    together = rg.FrechetMean(SPD).fit(x, weights)
    for i in range(4):
        alone = rg.FrechetMean(SPD).fit(x[i], weights[i])
        assert float(SPD.dist(together.mean_[i], alone.mean_)) < 1e-11
        torch.testing.assert_close(together.variance_[i], alone.variance_, rtol=1e-11, atol=0)
    assert float(slope(x, together.mean_, weights / weights.sum(-1, keepdim=True)).max()) < 1e-11


@pytest.mark.parametrize("init", ["first", "point"])
def test_every_start_leads_to_the_same_mean(init):
    x = population(3, spread=4.0)
    mean = rg.FrechetMean(SPD, init=x[4] if init == "point" else init).fit(x)
    assert mean.converged_
    other = rg.FrechetMean(SPD).fit(x)
    gap = float(SPD.dist(mean.mean_, other.mean_))
    assert gap <= float(mean.error_bound_ + other.error_bound_)
    assert gap < 1e-10


def test_no_steps_are_an_honest_stop():
    x = population(5, spread=4.0)
    with pytest.warns(rg.errors.ConvergenceWarning, match="after 0 iterations"):
        mean = rg.FrechetMean(SPD, max_iter=0).fit(x)
    exact = rg.FrechetMean(SPD).fit(x).mean_
    assert 1e-8 < float(SPD.dist(mean.mean_, exact)) <= float(mean.error_bound_)


def test_float32_is_judged_where_it_was_rounded():
    x = population(2, condition=30.0).float()
    mean = rg.FrechetMean(SPD).fit(x)
    assert mean.mean_.dtype == torch.float32
    assert mean.converged_
    torch.testing.assert_close(mean.gradient_norm_, slope(x, mean.mean_), rtol=1e-3, atol=1e-7)


def test_a_scaled_space_has_the_same_mean_and_larger_distances():
    x = population(7)
    plain, scaled = rg.FrechetMean(SPD).fit(x), rg.FrechetMean(geoopt.Scaled(SPD, 3.0)).fit(x)
    torch.testing.assert_close(scaled.mean_, plain.mean_, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled.variance_, 9 * plain.variance_, rtol=1e-6, atol=0)


@pytest.mark.parametrize("spread", [0.3, 5.0])
def test_the_hessian_in_the_frame_is_the_manifolds_own(spread):
    x = population(0, n=4, spread=spread)
    x[1] = torch.eye(5)  # equal eigenvalues
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    look = congruence._Look(torch.linalg.cholesky(x), weights, torch.tensor(1e-13, dtype=torch.float64))
    eye = torch.eye(5, dtype=torch.float64)
    logs, hessian = SPD.log_and_hessian(eye, x)
    u = SPD.proju(eye, torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4)))
    by_weight = weights[:, None, None]
    torch.testing.assert_close(look.pull, (by_weight * logs).sum(0), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(look.hessian(u), (by_weight * hessian(u)).sum(0), rtol=1e-9, atol=1e-11)
