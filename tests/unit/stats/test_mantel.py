"""Mantel test: against itertools, numpy and scipy, and simulated truth."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from repsim_geo.errors import ShapeError
from repsim_geo.stats.mantel import mantel_test


def distances(n, seed=0, d=3):
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


def upper(matrix):
    return np.asarray(matrix)[np.triu_indices(len(matrix), 1)]


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("tail", ["upper", "lower", "both"])
def test_exact_pvalue_is_that_of_brute_force(method, tail):
    # Whole numbers, so that there are ties.
    a, b = distances(5).mul(2).round(), distances(5, seed=1).mul(2).round()
    correlation = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method]
    values = np.array(
        [correlation(upper(a), upper(b[list(p)][:, list(p)]))[0] for p in itertools.permutations(range(5))]
    )
    result = mantel_test(a, b, method=method, tail=tail)
    assert result.statistic == pytest.approx(values[0], rel=1e-12)
    far = abs(values - values.mean())
    share = {
        "upper": values >= values[0] - 1e-9,
        "lower": values <= values[0] + 1e-9,
        "both": far >= far[0] - 1e-9,
    }[tail].mean()
    assert result.pvalue == pytest.approx(share)
    assert result.standard_error == 0


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_partial_correlation_is_that_of_residuals(method):
    a, b, c = (distances(8, seed=s) for s in range(3))
    rank = stats.rankdata if method == "spearman" else np.asarray

    def residual(of):
        design = np.stack([np.ones(28), rank(upper(c))], 1)
        values = rank(upper(of))
        return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

    result = mantel_test(a, b, control=c, method=method, n_permutations=20)
    assert result.statistic == pytest.approx(np.corrcoef(residual(a), residual(b))[0, 1], rel=1e-10)


def test_null_is_the_correlation_of_permuted_matrices():
    from repsim_geo.stats.pair_tests import row_orders

    a, b = distances(9), distances(9, seed=1)
    result = mantel_test(a, b, n_permutations=30, seed=5)
    by_hand = [np.corrcoef(upper(a), upper(b[o][:, o]))[0, 1] for o in row_orders(9, 30, 5)[0]]
    np.testing.assert_allclose(result.null, by_hand, rtol=1e-10, atol=1e-12)


def test_pvalues_of_unrelated_matrices_are_uniform():
    p = [
        mantel_test(distances(10, seed=2 * i), distances(10, seed=2 * i + 1), n_permutations=199).pvalue
        for i in range(400)
    ]
    p = np.sort(p)
    steps = np.arange(401) / 400
    # 1 % point of Kolmogorov and Smirnov, and the step of p-values.
    assert max(np.max(steps[1:] - p), np.max(p - steps[:-1])) < 1.63 / 20 + 1 / 200


def test_power_rises_with_the_effect():
    def power(effect):
        p = [
            mantel_test(
                distances(10, seed=2 * i),
                effect * distances(10, seed=2 * i) + distances(10, seed=2 * i + 1),
                n_permutations=99,
            ).pvalue
            for i in range(60)
        ]
        return np.mean(np.array(p) <= 0.05)

    none, some, much = power(0), power(0.3), power(1)
    assert none < 0.15
    assert none < some < much


def test_scale_and_diagonal_do_not_matter():
    a, b = distances(7), distances(7, seed=1)
    one = mantel_test(a, b, n_permutations=30)
    for scale in (1e-8, 1e8, 1e200):
        other = mantel_test(a * scale, b + 5 * torch.eye(7), n_permutations=30)
        assert other.statistic == pytest.approx(one.statistic, rel=1e-10)
        assert other.pvalue == one.pvalue


def test_similarities_numpy_and_float32_are_taken():
    a = np.corrcoef(np.random.default_rng(0).normal(size=(6, 20)))
    b = a.astype(np.float32)
    assert mantel_test(a, b).statistic == pytest.approx(1, abs=1e-6)
    assert b.dtype == np.float32


def test_control_that_explains_b_in_another_order():
    c = distances(4, seed=1)
    b = c[[1, 0, 2, 3]][:, [1, 0, 2, 3]]
    result = mantel_test(distances(4), b, control=c)
    assert result.null.isfinite().all()


def test_what_cannot_be_correlated_says_why():
    a = distances(5)
    with pytest.raises(ShapeError, match="one size, 3 or more"):
        mantel_test(a, distances(4))
    with pytest.raises(ShapeError, match="one size, 3 or more"):
        mantel_test(a[:2, :2], a[:2, :2])
    with pytest.raises(ShapeError, match="square"):
        mantel_test(a[:3], a)
    with pytest.raises(ValueError, match="b must be symmetric"):
        mantel_test(a, a.triu())
    with pytest.raises(ValueError, match="a must be finite, got nan or infinity in row 0, 1"):
        mantel_test(torch.where(a == a[0, 1], math.nan, a), a)
    with pytest.raises(ValueError, match="entries that differ"):
        mantel_test(a, torch.zeros_like(a))
    with pytest.raises(ValueError, match="entries that differ"):
        mantel_test(a, 0.3 * (1 - torch.eye(5)))
    with pytest.raises(ValueError, match="control must not be"):
        mantel_test(a, a + 1, control=a)
    with pytest.raises(ValueError, match="method must be"):
        mantel_test(a, a, method="kendall")
    with pytest.raises(TypeError, match="array of real numbers"):
        mantel_test("abc", a)
