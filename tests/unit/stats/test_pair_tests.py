"""Tests of two representations: against itertools, formulas by hand, and simulated truth."""

import itertools
import math

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.registry import as_metric
from repsim_geo.stats.arrangements import as_labels, row_orders
from repsim_geo.stats.pair_tests import calibrate, calibrate_table, permutation_test


def normal(*size, seed=0):
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def correlation(x, y):
    """A similarity that needs no package."""
    return torch.corrcoef(torch.stack([x[:, 0], y[:, 0]]))[0, 1]


def ks(pvalues):
    """Largest distance of the empirical distribution from the uniform one."""
    p = np.sort(pvalues)
    n = len(p)
    return max(np.max(np.arange(1, n + 1) / n - p), np.max(p - np.arange(n) / n))


# ------------------------------------------------------------------------------------------------ orders


def test_all_orders_are_those_of_itertools():
    orders, exact = row_orders(5, 120)
    assert exact
    assert {tuple(o) for o in orders.tolist()} == set(itertools.permutations(range(5)))


def test_one_order_too_many_is_sampled():
    orders, exact = row_orders(5, 119)
    assert not exact
    assert orders.shape == (119, 5)
    assert (orders.sort(-1).values == torch.arange(5)).all()


def test_sampled_orders_are_uniform():
    orders, _ = row_orders(12, 4000, seed=3)
    counts = torch.stack([(orders == i).sum(0) for i in range(12)]).double()
    expected = 4000 / 12
    # 144 counts with 121 degrees of freedom: mean 121, standard deviation 15.6.
    assert float(((counts - expected) ** 2 / expected).sum()) < 121 + 4 * 15.6


@pytest.mark.parametrize("n_permutations", [999, 5])
def test_restricted_rows_stay_in_their_block(n_permutations):
    blocks = ["a", "b", "a", "c", "b", "a"]
    orders, exact = row_orders(6, n_permutations, restrict=blocks)
    assert exact == (n_permutations == 999)
    assert orders.shape[0] == (12 if exact else 5)
    codes, _ = as_labels(blocks, 6)
    assert (codes[orders] == codes).all()
    if exact:
        assert len({tuple(o) for o in orders.tolist()}) == 12


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, None])
def test_numbers_of_permutations_are_checked(wrong):
    with pytest.raises(ValueError, match="n_permutations must be a whole number"):
        row_orders(5, wrong)


def test_nothing_to_permute_is_an_error():
    with pytest.raises(ValueError, match="one input"):
        row_orders(1, 10)
    with pytest.raises(ValueError, match="label of its own"):
        row_orders(3, 10, restrict=["a", "b", "c"])


def test_labels_of_all_kinds():
    for labels in (["x", "y", "x"], (1, 2, 1), np.array([1.5, 2.5, 1.5]), torch.tensor([7, 8, 7])):
        assert as_labels(labels, 3)[0].tolist() == [0, 1, 0]
    with pytest.raises(ShapeError, match="3 labels, got 2 entries"):
        as_labels([1, 2], 3)
    with pytest.raises(ShapeError, match="got str"):
        as_labels("abc", 3)
    with pytest.raises(ShapeError, match="3 labels"):
        as_labels([[1], [2], [3]], 3)
    with pytest.raises(ValueError, match="nan"):
        as_labels([1.0, math.nan, 2.0], 3)


# --------------------------------------------------------------------------------------------- one pair


@pytest.mark.parametrize("kind", ["metric", "pair", "function"])
def test_exact_pvalue_is_that_of_brute_force(kind):
    x, y = normal(5, 3), normal(5, 2, seed=1)
    metric = rg.AngularCKA()
    distance = {
        "metric": metric,
        "pair": (metric.embedding, metric),
        "function": lambda x, y: rg.compare(x, y, "angular_cka"),
    }[kind]
    values = [float(rg.compare(x, y[list(p)])) for p in itertools.permutations(range(5))]
    result = permutation_test(x, y, distance)
    assert result.statistic == pytest.approx(values[0], rel=1e-12)
    assert result.pvalue == pytest.approx(np.mean(np.array(values) <= values[0] + 1e-9), abs=1e-12)
    assert result.standard_error == 0
    np.testing.assert_allclose(np.sort(result.null), np.sort(values), rtol=1e-10)


@pytest.mark.parametrize(
    "key", [k for k in rg.available_metrics() if k not in ("affine_invariant", "log_euclidean")]
)
def test_batches_of_permutations_equal_single_comparisons(key):
    x, y = normal(9, 4), normal(9, 4, seed=1)
    metric = as_metric(key)
    orders, _ = row_orders(9, 6, seed=2)
    result = permutation_test(x, y, metric, n_permutations=6, seed=2)
    np.testing.assert_allclose(
        result.null, [float(rg.compare(x, y[o], metric)) for o in orders], rtol=1e-9, atol=1e-9
    )


def test_repeats_are_shuffled_along_the_inputs():
    x, y = normal(3, 6, 2), normal(3, 6, 2, seed=1)
    metric = rg.StochasticShape(starts=3)
    orders, _ = row_orders(6, 4, seed=0)
    result = permutation_test(x, y, metric, n_permutations=4)
    np.testing.assert_allclose(
        result.null, [float(rg.compare(x, y[:, o], metric)) for o in orders], rtol=1e-9
    )


def test_pvalues_of_unrelated_networks_are_uniform():
    p = [
        permutation_test(
            normal(12, 3, seed=2 * i), normal(12, 5, seed=2 * i + 1), rg.AngularCKA(), n_permutations=99
        ).pvalue
        for i in range(300)
    ]
    # 1 % point of Kolmogorov and Smirnov for 300 data sets, and the step of p-values with 99 permutations.
    assert ks(p) < 1.63 / math.sqrt(300) + 1 / 100


def test_power_rises_with_the_effect():
    x, noise = normal(40, 20, 4), normal(40, 20, 4, seed=1)

    def power(effect):
        tests = [
            permutation_test(a, effect * a + b, rg.AngularCKA(), n_permutations=99)
            for a, b in zip(x, noise, strict=True)
        ]
        return np.mean([t.pvalue <= 0.05 for t in tests])

    none, some, much = power(0.0), power(0.5), power(1.5)
    assert none < 0.2
    assert none < some < much
    assert much > 0.95


def test_restricting_to_classes_asks_for_more_than_classes():
    classes = [0] * 10 + [1] * 10
    mean = 5.0 * torch.tensor(classes, dtype=torch.float64)[:, None]
    x, y = mean + normal(20, 4), mean + normal(20, 4, seed=1)  # nothing in common but the class
    assert permutation_test(x, y, rg.AngularCKA()).pvalue < 0.01
    assert permutation_test(x, y, rg.AngularCKA(), restrict=classes).pvalue > 0.05


def test_identical_inputs_count_as_ties():
    x = torch.tensor([[0.0], [1.0], [1.0], [1.0], [5.0]])
    # 3! orders of the equal rows give the given distance.
    assert permutation_test(x, x, rg.AngularCKA()).pvalue == pytest.approx(6 / 120)
    assert permutation_test(x, x, rg.AngularCKA(), n_permutations=60).pvalue >= 1 / 61


def test_scale_of_activations_does_not_matter():
    x, y = normal(8, 3), normal(8, 3, seed=1)
    p = [
        permutation_test(x * s, y * s, rg.AngularShape(), n_permutations=50).pvalue for s in (1e-8, 1.0, 1e8)
    ]
    assert p[0] == p[1] == p[2]


def test_few_inputs():
    x = normal(3, 2)
    result = permutation_test(x, x, rg.AngularCKA())
    assert result.null.shape == (6,)
    assert result.pvalue >= 1 / 6
    with pytest.raises(ShapeError, match="at least 4 inputs"):
        permutation_test(x, x, rg.AngularCKA(debiased=True))
    with pytest.raises(ShapeError, match="at least 3 inputs"):
        permutation_test(x[:2], x[:2], rg.AngularCKA())


def test_inputs_are_not_changed():
    x, y = normal(6, 2), normal(6, 2, seed=1)
    before = x.clone(), y.clone()
    calibrate(x, y, rg.AngularCKA(), n_permutations=9)
    assert (x == before[0]).all()
    assert (y == before[1]).all()


def test_seed_decides():
    x, y = normal(9, 2), normal(9, 2, seed=1)
    one, same, other = (permutation_test(x, y, rg.AngularCKA(), n_permutations=9, seed=s) for s in (1, 1, 2))
    assert (one.null == same.null).all()
    assert not (one.null == other.null).all()


def test_what_cannot_be_compared_says_why():
    x = normal(6, 2)
    with pytest.raises(ShapeError, match="same inputs"):
        permutation_test(x, x[:5], rg.AngularCKA())
    with pytest.raises(ShapeError, match="one representation"):
        permutation_test(x[None], x[None], rg.AngularCKA())
    with pytest.raises(TypeError, match="pass the metric itself"):
        permutation_test(x, x, "angular_cka")
    with pytest.raises(TypeError, match="pass the metric inside"):
        permutation_test(x, x, geoopt.Scaled(rg.AngularCKA(), 2.0))
    with pytest.raises(TypeError, match="distance must be"):
        permutation_test(x, x, rg.UnitSphere(2))
    with pytest.raises(DegenerateRepresentationError, match="constant"):
        permutation_test(x, torch.ones(6, 2, dtype=torch.float64), rg.AngularCKA())
    with pytest.raises(ValueError, match="finite"):
        permutation_test(x, x / 0, rg.AngularCKA())
    with pytest.raises(ValueError, match="distances must be finite"):
        permutation_test(x, x, lambda x, y: math.nan)
    with pytest.raises(ShapeError, match="one number"):
        permutation_test(x, x, lambda x, y: x - y)
    with pytest.raises(TypeError, match="list of activations"):
        calibrate_table(x, [x], rg.AngularCKA())


# ------------------------------------------------------------------------------------------ calibration


def test_similarity_is_calibrated_as_in_algorithm_1():
    x, y = normal(20, 1), 0.8 * normal(20, 1) + 0.5 * normal(20, 1, seed=1)
    result = calibrate(x, y, correlation, similarity=True, n_permutations=199, seed=4)
    s = float(correlation(x, y))
    null = [float(correlation(x, y[o])) for o in row_orders(20, 199, 4)[0]]
    t = sorted([s, *null])[math.ceil(0.95 * 200) - 1]
    assert result.threshold == pytest.approx(t, rel=1e-12)
    assert result.score == pytest.approx(max(0, (s - t) / (1 - t)), rel=1e-12)
    assert result.score > 0.3
    assert result.pvalue == pytest.approx((1 + sum(v >= s for v in null)) / 200)
    assert result.null_mean == pytest.approx(np.mean(null))


def test_distance_is_calibrated_as_its_negative():
    x, y = normal(20, 1), normal(20, 1) + normal(20, 1, seed=1)
    as_distance = calibrate(x, y, lambda x, y: 1 - correlation(x, y), n_permutations=199)
    as_similarity = calibrate(x, y, correlation, similarity=True, n_permutations=199)
    assert as_distance.score == pytest.approx(as_similarity.score, rel=1e-10)
    assert as_distance.threshold == pytest.approx(1 - as_similarity.threshold, rel=1e-10)
    assert as_distance.threshold_error == pytest.approx(as_similarity.threshold_error, rel=1e-8)
    assert as_distance.pvalue == as_similarity.pvalue


def test_score_without_a_best_value_is_the_excess():
    x = normal(20, 1)
    result = calibrate(
        x, x, lambda x, y: 100 * correlation(x, y), similarity=True, best=math.inf, n_permutations=99
    )
    assert result.score == pytest.approx(100 - result.threshold)


def test_score_is_positive_with_probability_alpha():
    scores = [
        calibrate(
            normal(10, 2, seed=2 * i),
            normal(10, 2, seed=2 * i + 1),
            rg.AngularCKA(),
            alpha=0.1,
            n_permutations=99,
        ).score
        for i in range(300)
    ]
    share = np.mean(np.array(scores) > 0)
    assert abs(share - 0.1) < 3 * math.sqrt(0.1 * 0.9 / 300)


def test_threshold_error_is_the_spread_of_thresholds():
    x, y = normal(15, 1), normal(15, 1, seed=1)
    results = [calibrate(x, y, rg.AngularCKA(), n_permutations=199, seed=s, alpha=0.2) for s in range(60)]
    spread = np.std([r.threshold for r in results])
    assert np.mean([r.threshold_error for r in results]) == pytest.approx(spread, rel=0.3)


def test_few_arrangements_give_score_zero():
    x = normal(3, 2)
    result = calibrate(x, x, rg.AngularCKA())
    assert result.score == 0
    assert result.threshold_error == 0


def test_identical_networks_have_score_one_and_equal_shuffles_zero():
    x = normal(10, 2)
    assert calibrate(x, x, rg.AngularCKA()).score == pytest.approx(1, abs=1e-12)
    assert calibrate(x, x, lambda x, y: 0.0, n_permutations=50).score == 0


def test_calibration_options_are_checked():
    x = normal(6, 2)
    with pytest.raises(ValueError, match="alpha must be between"):
        calibrate(x, x, rg.AngularCKA(), alpha=1.0)
    with pytest.raises(ValueError, match="which is a distance"):
        calibrate(x, x, rg.AngularCKA(), similarity=True)
    with pytest.raises(ValueError, match="best must be"):
        calibrate(x, x, rg.AngularCKA(), best=math.nan)


@pytest.mark.parametrize("similarity", [False, True])
def test_table_is_calibrated_as_in_algorithm_2(similarity):
    xs = [normal(12, 1), normal(12, 1, seed=1)]
    ys = [normal(12, 1, seed=2), xs[0] + 0.4 * normal(12, 1, seed=3), normal(12, 1, seed=4)]
    sign = 1 if similarity else -1

    def value(x, y):
        return correlation(x, y) if similarity else 1 - correlation(x, y)

    table = calibrate_table(xs, ys, value, similarity=similarity, n_permutations=99)
    raw = np.array([[float(value(x, y)) for y in ys] for x in xs])
    orders = row_orders(12, 99)[0]
    null = np.array([[[float(value(x, y[o])) for y in ys] for x in xs] for o in orders])
    top = (sign * null).max((1, 2))
    t = np.sort([*top, (sign * raw).max()])[94]
    np.testing.assert_allclose(table.raw, raw, rtol=1e-12)
    np.testing.assert_allclose(table.pvalue, (1 + (sign * null >= sign * raw).sum(0)) / 100)
    np.testing.assert_allclose(
        table.adjusted, (1 + (top[:, None, None] >= sign * raw).sum(0)) / 100, rtol=1e-12
    )
    assert (table.adjusted >= table.pvalue - 1e-12).all()
    best = 1 if similarity else 0
    np.testing.assert_allclose(table.score, np.maximum(0, (sign * raw - t) / (best - t)), rtol=1e-9)
    assert table.best.score == pytest.approx(float(table.score.max()))
    assert str(table).startswith(
        "2 x 3 pairs, 1 of them more alike than by chance (adjusted p <= 0.05); best pair (0, 1)"
    )
    assert table.best.pvalue == pytest.approx(float(table.adjusted.min()))
    assert table.best.standard_error == pytest.approx(float(table.standard_error[0, 1]))
    np.testing.assert_allclose(table.null_mean, null.mean(0), rtol=1e-10)


def test_table_of_unrelated_layers_keeps_the_level():
    """Many pairs: the best p-value is small too often, the adjusted one is not."""
    one, adjusted = [], []
    for i in range(150):
        xs, ys = normal(3, 10, 2, seed=2 * i), normal(3, 10, 2, seed=2 * i + 1)
        table = calibrate_table(list(xs), list(ys), rg.AngularCKA(), n_permutations=99)
        one.append(float(table.pvalue.min()))
        adjusted.append(table.best.pvalue)
    assert np.mean(np.array(one) <= 0.05) > 0.15
    assert ks(adjusted) < 1.63 / math.sqrt(150) + 1 / 100


def test_layers_of_different_widths():
    table = calibrate_table(
        [normal(9, 2), normal(9, 6)], [normal(9, 3)], rg.SizeAndShape(), n_permutations=20
    )
    assert table.raw.shape == (2, 1)
    assert table.score.isfinite().all()
