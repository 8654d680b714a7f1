"""netrep's names give netrep's numbers: the formulas of Williams et al. (2021), written out in numpy."""

import warnings

import numpy as np
import oracles
import pytest
from scipy.linalg import orthogonal_procrustes, sqrtm
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_validate

import repsim_geo as rg
from repsim_geo.compat import netrep
from repsim_geo.compat.netrep import multiset, utils
from repsim_geo.compat.netrep.metrics import (
    GaussianStochasticMetric,
    LinearCKA,
    LinearMetric,
    PermutationMetric,
)
from repsim_geo.errors import DegenerateRepresentationError, ShapeError

X, Y = oracles.golden_pair()
GOLDEN = oracles.GOLDEN
METHODS = ("angular", "euclidean")
every_method = pytest.mark.parametrize("method", METHODS)
every_alpha = pytest.mark.parametrize("alpha", [1.0, 0.7, 0.3, 0.0])


def pair(seed=0, m=40, p=5, q=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(m, p)) * rng.uniform(0.1, 5, p) + 3
    y = rng.normal(size=(m, q or p)) @ rng.normal(size=(q or p, q or p)) - 1
    return x, y


def whitening(x, alpha):
    """Map of section 2.1 of the paper, from x'x, rescaled to keep the trace; x of full rank."""
    variances, axes = np.linalg.eigh(x.T @ x)
    gains = alpha + (1 - alpha) / np.sqrt(variances)
    gains = gains * np.sqrt(variances.sum() / (gains**2 * variances).sum())
    return axes @ np.diag(gains) @ axes.T


def distance(a, b, method):
    if method == "euclidean":
        return np.linalg.norm(a - b)
    return float(oracles.angle_mpmath(a, b))


def padded(x, y):
    p = max(x.shape[1], y.shape[1])
    return [np.pad(a, ((0, 0), (0, p - a.shape[1]))) for a in (x, y)]


# ---------------------------------------------------------------------------------------------------------
# LinearMetric
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "method", "key", "digits"),
    [
        (1.0, "angular", "angular_shape", 1e-11),
        (1.0, "euclidean", "size_and_shape", 1e-11),
        (0.5, "angular", "angular_shape_half_whitened_gram_cov", 5e-7),
        (0.5, "euclidean", "size_and_shape_half_whitened_gram_cov", 5e-5),
        (0.0, "angular", "cca_angle", 5e-11),
        (0.0, "euclidean", "size_and_shape_whitened_gram_cov", 5e-5),
    ],
)
def test_golden_numbers_of_netrep(alpha, method, key, digits):
    value = LinearMetric(alpha=alpha, score_method=method).fit_score(X, Y)
    assert value == pytest.approx(GOLDEN[key], abs=digits)
    assert type(value) is float


@every_alpha
@every_method
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_linear_metric_is_the_formula_on_the_fit_and_on_other_data(alpha, method, centered, seed):
    (x, y), (s, t) = pair(seed), pair(seed + 100, m=15)
    a, b = (w - centered * w.mean(0) for w in (x, y))
    zx, zy = whitening(a, alpha), whitening(b, alpha)
    turn = orthogonal_procrustes(b @ zy, a @ zx)[0]
    metric = LinearMetric(alpha, centered, score_method=method).fit(x, y)
    assert metric.score(x, y) == pytest.approx(distance(a @ zx, b @ zy @ turn, method), rel=1e-10)
    a, b = s - centered * x.mean(0), t - centered * y.mean(0)
    assert metric.score(s, t) == pytest.approx(distance(a @ zx, b @ zy @ turn, method), rel=1e-10)


@every_alpha
@every_method
def test_fit_score_is_the_distance_of_the_package(alpha, method):
    x, y = pair(q=7)
    name = {"angular": "angular_shape", "euclidean": "size_and_shape"}[method]
    ours = rg.compare(x, y, name, whiten=1 - alpha, cov="gram", preserve_variance=True)
    assert LinearMetric(alpha, score_method=method).fit_score(x, y) == pytest.approx(float(ours), rel=1e-12)


@every_alpha
def test_transform_is_netreps_up_to_the_signs_of_axes(alpha):
    x, y = pair()
    a, b = x - x.mean(0), y - y.mean(0)
    zx, zy = whitening(a, alpha), whitening(b, alpha)
    u, _, vh = np.linalg.svd((a @ zx).T @ (b @ zy))
    expected = a @ zx @ u, b @ zy @ vh.T
    moved = LinearMetric(alpha).fit(x, y).transform(x, y)
    signs = np.sign((moved[0] * expected[0]).sum(0))
    for w, e in zip(moved, expected, strict=True):
        assert isinstance(w, np.ndarray)
        np.testing.assert_allclose(w, e * signs, atol=1e-10)


@every_method
def test_padding_does_not_change_procrustes_distances(method):
    x, y = pair(q=8)
    narrow = LinearMetric(score_method=method).fit_score(x, y)
    assert narrow == pytest.approx(LinearMetric(score_method=method).fit_score(*padded(x, y)), rel=1e-12)


def test_variance_is_preserved_in_spite_of_padding():
    # netrep counts the padded units: the size of the whitened network shrinks by the root of 5 / 8 here.
    x, y = pair(q=8)
    for alpha in (0.5, 0.0):
        moved = LinearMetric(alpha).fit(x, y).transform(x, y)
        for before, after in zip((x, y), moved, strict=True):
            size = np.linalg.norm(before - before.mean(0))
            assert np.linalg.norm(after) == pytest.approx(size, rel=1e-12)


def test_new_directions_of_test_data_are_scaled_but_not_whitened():
    x, y = pair()
    x[:, 0] = 2.0  # a unit that is silent during the fit
    metric = LinearMetric(0.5).fit(x, y)
    present = x[:, 1:] - x[:, 1:].mean(0)
    size = np.linalg.norm(present)
    s = np.linalg.svd(present, compute_uv=False)
    scale = size / np.linalg.norm(0.5 * s + 0.5)
    new = x[:1].copy()
    new[0, 0] = 3.0
    step = metric.transform(new, y[:1])[0] - metric.transform(x[:1], y[:1])[0]
    assert np.linalg.norm(step) == pytest.approx(0.5 * scale, rel=1e-10)


def test_distance_to_a_rotated_copy_is_zero():
    x, _ = pair()
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))[0]
    assert LinearMetric().fit_score(x, x @ q + 1) < 1e-14


def test_linear_metric_is_an_estimator_of_scikit_learn():
    metric = clone(LinearMetric(0.3, zero_pad=False, score_method="euclidean"))
    assert metric.get_params() == {
        "alpha": 0.3, "center_columns": True, "zero_pad": False, "score_method": "euclidean",
    }  # fmt: skip
    x, y = pair()
    folds = cross_validate(metric, x, y, cv=4, return_train_score=True)
    rest = np.arange(40) >= 10
    by_hand = LinearMetric(0.3, score_method="euclidean").fit(x[rest], y[rest])
    assert folds["test_score"][0] == pytest.approx(by_hand.score(x[~rest], y[~rest]), rel=1e-12)
    assert folds["train_score"][0] == pytest.approx(by_hand.score(x[rest], y[rest]), rel=1e-12)


def test_whole_numbers_lists_and_reversed_arrays_are_taken():
    x, y = pair()
    whole = np.round(x).astype(int)
    expected = LinearMetric().fit_score(whole.astype(float), y)
    assert LinearMetric().fit_score(whole, y) == expected
    assert LinearMetric().fit_score(whole.tolist(), y) == expected
    backwards = LinearMetric().fit_score(whole.astype(float)[:, ::-1], y)
    assert backwards == pytest.approx(expected, rel=1e-12)


def test_read_only_arrays_are_taken_in_silence():
    x, y = pair()
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LinearMetric().fit_score(x, y) > 0


def test_single_and_double_precision_meet_in_double():
    x, y = pair()
    mixed = LinearMetric().fit_score(x.astype("float32"), y)
    assert mixed == pytest.approx(LinearMetric().fit_score(x, y), rel=1e-6)


# ---------------------------------------------------------------------------------------------------------
# PermutationMetric, LinearCKA
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "value"), [("angular", 0.7622249565), ("euclidean", 30.6689223636)])
def test_golden_numbers_of_matching(method, value):
    assert PermutationMetric(score_method=method).fit_score(X, Y) == pytest.approx(value, abs=1e-10)


@every_method
@pytest.mark.parametrize("centered", [True, False])
def test_permutation_metric_is_the_formula_on_the_fit_and_on_other_data(method, centered):
    (x, y), (s, t) = pair(q=7), pair(5, m=9, q=7)
    a, b = padded(*(w - centered * w.mean(0) for w in (x, y)))
    rows, columns = linear_sum_assignment(a.T @ b, maximize=True)
    metric = PermutationMetric(centered, score_method=method).fit(x, y)
    assert metric.score(x, y) == pytest.approx(distance(a[:, rows], b[:, columns], method), rel=1e-10)
    a, b = padded(s - centered * x.mean(0), t - centered * y.mean(0))
    assert metric.score(s, t) == pytest.approx(distance(a[:, rows], b[:, columns], method), rel=1e-10)
    assert sorted(metric.Py_) == sorted(metric.Px_) == list(range(7))


def test_linear_cka_is_the_angle_of_gram_matrices():
    assert LinearCKA().score(X, Y) == pytest.approx(GOLDEN["angular_cka"], abs=1e-11)
    assert LinearCKA().fit(X, Y).fit_score(X, Y) == LinearCKA().score(X, Y)
    expected = distance(X @ X.T, Y @ Y.T, "angular")
    assert LinearCKA(center_columns=False).score(X, Y) == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------------------------------------------------
# GaussianStochasticMetric
# ---------------------------------------------------------------------------------------------------------


def noisy(seed, m=6, p=3):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(m, p, p))
    return rng.normal(size=(m, p)), a @ a.transpose(0, 2, 1)


def stochastic_distance(x, y, alpha):
    """Of networks as they are: means, and Bures distances by matrix square roots."""
    terms = []
    for m, n, s, t in zip(x[0], y[0], x[1], y[1], strict=True):
        root = sqrtm(s)
        bures = np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(root @ t @ root).real)
        terms.append(alpha * ((m - n) ** 2).sum() + (2 - alpha) * bures)
    return np.sqrt(np.mean(terms))


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0, 2.0])
def test_score_of_gaussians_without_rotation_is_the_formula(alpha):
    x, y = noisy(0), noisy(1)
    metric = GaussianStochasticMetric(alpha, group="identity").fit(x, y)
    assert metric.score(x, y) == pytest.approx(stochastic_distance(x, y, alpha), rel=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0, 2.0])
def test_no_rotation_near_the_best_one_is_better(alpha):
    x, y = noisy(0), noisy(1)
    metric = GaussianStochasticMetric(alpha).fit(x, y)
    best = metric.score(x, y)
    (_, moved) = metric.transform(x, y)
    assert best == pytest.approx(stochastic_distance(x, moved, alpha), rel=1e-10)
    rng = np.random.default_rng(2)
    for _ in range(20):
        q = np.linalg.qr(np.eye(3) + 0.05 * rng.normal(size=(3, 3)))[0]
        q = q * np.sign(np.diag(q))
        other = moved[0] @ q, q.T @ moved[1] @ q
        assert stochastic_distance(x, other, alpha) >= best * (1 - 1e-12)


def test_rotated_gaussians_are_found_again():
    x = noisy(0)
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    metric = GaussianStochasticMetric()
    assert metric.fit_score(x, (x[0] @ q.T, q @ x[1] @ q.T)) < 1e-6
    np.testing.assert_allclose(metric.T, q, atol=1e-6)


def test_centered_gaussians_have_the_distance_of_the_package():
    x, y = ((m - m.mean(0), s) for m, s in (noisy(0), noisy(1)))
    metric = rg.StochasticShape(3, rank=3, mean_weight=0.7)
    expected = float(metric.dist(metric.embed(x), metric.embed(y)))
    assert GaussianStochasticMetric(0.7).fit_score(x, y) == pytest.approx(expected, rel=1e-8)


# ---------------------------------------------------------------------------------------------------------
# Many networks
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric", [LinearMetric(0.5), LinearMetric(center_columns=False), PermutationMetric(), LinearCKA()]
)
def test_pairwise_distances_are_those_of_pairs(metric):
    train, test = ([pair(s, m, p)[0] for s, p in enumerate((4, 6, 5))] for m in (30, 12))
    first, nothing = metric.pairwise_distances(train, verbose=False)
    assert np.isinf(nothing[~np.eye(3, dtype=bool)]).all()
    assert not nothing.diagonal().any()
    again, held_out = metric.pairwise_distances(train, test, processes=2, verbose=False)
    for i in range(3):
        for j in range(i):
            metric.fit(train[j], train[i])
            value = metric.score(train[j], train[i])
            assert first[i, j] == first[j, i] == pytest.approx(value, rel=1e-10)
            assert again[i, j] == value
            assert held_out[i, j] == held_out[j, i] == metric.score(test[j], test[i])


def test_pairwise_distances_of_gaussians_add_to_the_diagonal():
    networks = [noisy(s) for s in range(3)]
    table = GaussianStochasticMetric().pairwise_distances(networks, eps=0.5)[0]
    wider = [(m, s + 0.5 * np.eye(3)) for m, s in networks]
    assert table[0, 2] == GaussianStochasticMetric().fit_score(wider[0], wider[2])


def test_multiset_has_tables_of_pairs_and_of_two_lists():
    xs = [pair(s)[0] for s in range(4)]
    held_out = [pair(s, m=9)[0] for s in range(4)]
    metric = LinearMetric()
    table = multiset.pairwise_distances(metric, xs, verbose=False, enable_caching=True)
    assert isinstance(table, np.ndarray)
    np.testing.assert_allclose(table, metric.pairwise_distances(xs)[0], rtol=1e-10)
    train, test = multiset.pairwise_distances(metric, xs, testdata=held_out)
    np.testing.assert_allclose(train, table, rtol=1e-10)
    np.testing.assert_allclose(multiset.cross_distances(metric, xs[:1], xs[1:]), table[:1, 1:], rtol=1e-10)
    across = multiset.cross_distances(metric, xs[:1], xs[1:], held_out[:1], held_out[1:])
    np.testing.assert_allclose(across[1], test[:1, 1:], rtol=1e-10)


@pytest.mark.parametrize("group", ["orth", "perm", "identity"])
def test_mean_is_the_average_of_networks_aligned_to_it(group):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(20, 4))
    xs = [base + 0.2 * rng.normal(size=base.shape) for _ in range(5)]
    if group == "orth":
        xs = [x @ np.linalg.qr(rng.normal(size=(4, 4)))[0] for x in xs]
    before = [x.copy() for x in xs]
    mean, aligned = multiset.frechet_mean(xs, group=group, return_aligned_Xs=True)
    np.testing.assert_allclose(mean, np.mean(aligned, 0), atol=1e-8)
    residuals = multiset.euclidean_tangent_space(xs, mean, group=group)
    np.testing.assert_allclose(residuals, mean - np.stack(aligned), atol=1e-12)
    for x, b in zip(xs, before, strict=True):
        np.testing.assert_array_equal(x, b)


def test_mean_begins_at_a_warm_start():
    xs = [pair(s)[0] for s in range(4)]
    mean = multiset.frechet_mean(xs)
    again = multiset.frechet_mean(xs, warmstart=mean, max_iter=5)
    assert LinearMetric(center_columns=False, score_method="euclidean").fit_score(mean, again) < 1e-6


# ---------------------------------------------------------------------------------------------------------
# utils
# ---------------------------------------------------------------------------------------------------------


def test_align_moves_the_first_to_the_second():
    x, y = pair()
    np.testing.assert_allclose(utils.align(x, y), orthogonal_procrustes(x, y)[0], atol=1e-10)
    order = np.random.default_rng(0).permutation(5)
    np.testing.assert_array_equal(x @ utils.align(x, x[:, order], "perm"), x[:, order])
    np.testing.assert_array_equal(utils.align(x, y, "identity"), np.eye(5))


@every_alpha
def test_whiten_returns_the_data_and_the_map(alpha):
    x = pair()[0]
    x = x - x.mean(0)
    white, z = utils.whiten(x, alpha)
    np.testing.assert_allclose(z, whitening(x, alpha), atol=1e-10)
    np.testing.assert_allclose(white, x @ z, atol=1e-10)


def test_bures_and_angles():
    s, t = (n[1][0] for n in (noisy(0), noisy(1)))
    root = sqrtm(s)
    expected = np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(root @ t @ root).real)
    assert utils.sq_bures_metric(s, t) == pytest.approx(expected, rel=1e-10)
    assert utils.angular_distance(X, Y) == pytest.approx(distance(X, Y, "angular"), rel=1e-12)


# ---------------------------------------------------------------------------------------------------------
# What is refused, and with which words
# ---------------------------------------------------------------------------------------------------------

WIDE = np.random.default_rng(0).normal(size=(40, 9))
ONE = np.ones((40, 5))
ZERO = np.zeros((40, 5))
x, y = pair()


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (ValueError, lambda: LinearMetric(1.5), r"alpha must lie between 0 .* got 1\.5\. The default"),
        (ValueError, lambda: LinearMetric(score_method="cos"), "score_method must be 'angular'.*got 'cos'"),
        (ValueError, lambda: PermutationMetric(score_method="l1"), "score_method must be.*got 'l1'"),
        (ShapeError, lambda: LinearMetric(zero_pad=False).fit(x, WIDE), "equally many units, got 5 and 9"),
        (ShapeError, lambda: LinearMetric().fit(x, y[:9]), "same inputs: got 40 rows and 9 rows"),
        (ShapeError, lambda: LinearMetric().fit(x[None], y), r"X must be one matrix.*got shape \(1, 40, 5\)"),
        (ShapeError, lambda: LinearMetric().fit(x[:1], y[:1]), "LinearMetric needs at least 2 inputs"),
        (ShapeError, lambda: LinearMetric(0.0).fit(x[:6], y[:6]), "needs more inputs than directions"),
        (DegenerateRepresentationError, lambda: LinearMetric().fit(x, ONE), "Y is constant"),
        (NotFittedError, lambda: LinearMetric().score(x, y), r"score\(\) needs the alignment.*Call fit"),
        (ShapeError, lambda: LinearMetric().fit(x, y).score(WIDE, y), r"networks of the 5 units.*\(40, 9\)"),
        (
            DegenerateRepresentationError,
            lambda: LinearMetric(center_columns=False).fit(x, y).score(ZERO, y),
            "X is zero after the alignment.*euclidean",
        ),
        (DegenerateRepresentationError, lambda: LinearCKA(False).score(x, ZERO), "Y is zero, and its Gram"),
        (ValueError, lambda: LinearMetric().fit(x * np.nan, y), "X must be finite"),
        (ValueError, lambda: GaussianStochasticMetric(3), "alpha must lie between 0 .covariances.*got 3"),
        (
            ValueError,
            lambda: GaussianStochasticMetric(group="perm"),
            "group must be 'orth' or 'identity', got 'perm'.*PermutationMetric",
        ),
        (ShapeError, lambda: GaussianStochasticMetric().fit(x, y), r"X must be a pair.*got ndarray"),
        (
            ShapeError,
            lambda: GaussianStochasticMetric().fit((x, x), (y, y)),
            r"covariances of X must have shape \(40, 5, 5\).*got \(40, 5\)",
        ),
        (
            ValueError,
            lambda: GaussianStochasticMetric(group="identity").fit(noisy(0), (noisy(1)[0], -noisy(1)[1])),
            "covariances must be symmetric and positive semidefinite, got 6 that are not",
        ),
        (
            ShapeError,
            lambda: GaussianStochasticMetric().fit(noisy(0), noisy(1, m=7)),
            r"means of one shape, got \(6, 3\) and \(7, 3\) in fit\(\)",
        ),
        (
            AttributeError,
            lambda: GaussianStochasticMetric().score(noisy(0), noisy(1)),
            r"needs the rotation.*Call fit",
        ),
        (
            ShapeError,
            lambda: GaussianStochasticMetric().fit(noisy(0), noisy(1)).score(noisy(0, p=2), noisy(1, p=2)),
            "networks of the 3 units that were aligned, got 2",
        ),
        (
            ShapeError,
            lambda: multiset.pairwise_distances(LinearMetric(), [x, y], [x]),
            "test data for every network, got 1 for 2",
        ),
        (
            ValueError,
            lambda: multiset.cross_distances(LinearMetric(), [x], [y], Xs_test=[x]),
            "both lists need test data, got Xs_test alone. Pass Ys_test too",
        ),
        (
            ValueError,
            lambda: multiset.cross_distances(LinearMetric(), [x], [y], Ys_test=[y]),
            "got Ys_test alone. Pass Xs_test too",
        ),
        (ShapeError, lambda: multiset.frechet_mean([x, WIDE]), r"one shape .* \[\(40, 5\), \(40, 9\)\]"),
        (ValueError, lambda: multiset.frechet_mean([x, y], group="O"), "group must be 'orth', 'perm'.*'O'"),
        (ValueError, lambda: utils.align(x, y, "rotation"), "group must be 'orth'.*got 'rotation'"),
        (DegenerateRepresentationError, lambda: utils.angular_distance(ZERO, y), "X is zero, and an angle"),
    ],
)
def test_messages(error, call, words):
    with pytest.raises(error, match=words):
        call()


def test_few_inputs_for_linear_maps_are_warned_of():
    with pytest.warns(rg.DegenerateRepresentationWarning, match="share at least"):
        LinearMetric(0.0).fit(x[:9], y[:9])


def test_the_package_has_netreps_layout():
    assert netrep.LinearMetric is netrep.metrics.LinearMetric
    assert {"metrics", "multiset", "utils"} <= set(netrep.__all__)
