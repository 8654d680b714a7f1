"""Numbers that other tools and papers give for one public pair of representations."""

import math

import numpy as np
import oracles
import pytest
import torch

import repsim_geo as rg

X, Y = oracles.golden_pair()
GOLDEN = oracles.GOLDEN


def value(method, **options):
    return float(rg.compare(X, Y, method, **options))


def test_cosine_of_angular_cka_is_biased_cka():
    assert math.cos(value("angular_cka")) == pytest.approx(GOLDEN["biased_cka"], abs=1e-12)
    assert value("angular_cka") == pytest.approx(GOLDEN["angular_cka"], abs=1e-12)


def test_cosine_of_the_debiased_angle_is_unbiased_cka():
    assert math.cos(value("angular_cka_debiased")) == pytest.approx(GOLDEN["unbiased_cka"], abs=1e-12)


def test_procrustes_distances():
    assert value("size_and_shape") == pytest.approx(GOLDEN["size_and_shape"], abs=1e-11)
    assert value("angular_shape") == pytest.approx(GOLDEN["angular_shape"], abs=1e-11)
    assert math.cos(value("angular_shape")) == pytest.approx(GOLDEN["nbs"], abs=1e-12)


def test_partially_whitened_shapes():
    assert value("angular_shape", whiten=0.5) == pytest.approx(
        GOLDEN["angular_shape_half_whitened_mean_cov"], abs=1e-6
    )
    assert value("size_and_shape", whiten=0.5) == pytest.approx(
        GOLDEN["size_and_shape_half_whitened_mean_cov"], abs=1e-4
    )
    assert value("size_and_shape", whiten=1.0) == pytest.approx(
        GOLDEN["size_and_shape_whitened_mean_cov"], abs=1e-4
    )


def test_fully_whitened_angle_is_the_mean_canonical_correlation():
    q, r = (np.linalg.qr(oracles.center(a))[0] for a in (X, Y))
    correlations = np.linalg.svd(q.T @ r, compute_uv=False)
    assert math.cos(value("angular_shape", whiten=1.0)) == pytest.approx(correlations.mean(), abs=1e-12)


def test_stress_is_the_rms_over_pairs():
    assert value("stress") == pytest.approx(oracles.stress_by_loops(X, Y), abs=1e-12)
    assert value("stress") == pytest.approx(2.193490403639, abs=1e-11)
    assert value("stress", rescale=True) == pytest.approx(0.2104964, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("m", "d"), [(4, 2), (6, 3), (12, 40)])
def test_debiased_cka_equals_the_unbiased_estimator(m, d, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(m, d)), rng.normal(size=(m, d + 1))
    angle = float(rg.compare(x, y, "angular_cka_debiased"))
    assert math.cos(angle) == pytest.approx(oracles.debiased_cka(x, y), abs=1e-12)


def test_debiased_inner_product_is_the_four_sample_u_statistic():
    rng = np.random.default_rng(0)
    x, y = rng.integers(-3, 4, size=(6, 2)), rng.integers(-3, 4, size=(6, 3))
    k, l = x @ x.T, y @ y.T  # noqa: E741
    exact = float(oracles.unbiased_hsic_exact(k, l))
    u = [rg.UCentered().project(torch.tensor(a, dtype=torch.float64)) for a in (k, l)]
    assert float((u[0] * u[1]).sum()) / (6 * 3) == pytest.approx(exact, abs=1e-12)


def test_debiased_angle_of_independent_networks_is_a_right_angle():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(20, 2000)), rng.normal(size=(20, 2000))) for _ in range(20)]
    debiased = np.mean([math.cos(float(rg.compare(x, y, "angular_cka_debiased"))) for x, y in pairs])
    biased = np.mean([math.cos(float(rg.compare(x, y, "angular_cka"))) for x, y in pairs])
    assert abs(debiased) < 0.05
    assert biased > 0.95


def test_rbf_kernel_is_that_of_the_loops():
    x = np.random.default_rng(0).normal(size=(8, 3))
    np.testing.assert_allclose(rg.RBF(1.7)(torch.tensor(x)), oracles.rbf_gram_by_loops(x, 1.7), atol=1e-14)
