"""Between two networks: ends, distances along the way, and read-outs against scikit-learn by hand."""

import numpy as np
import pytest
import torch
from cases import METRICS
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid
from torch import nn

import repsim_geo as rg
from repsim_geo.errors import NotOnManifoldError, ShapeError
from repsim_geo.recipes.interpolation import interpolate, read_out_along

SEEDS = pytest.mark.parametrize("seed", [0, 1])
# Metrics with a linear kernel, whose geodesics stay within what activations have.
BETWEEN = (
    "angular_cka",
    "angular_cka_debiased",
    "angular_rdm",
    "angular_rdm_whitened",
    "affine_invariant",
    "log_euclidean",
    "bures_wasserstein",
    "bures_wasserstein_wide",
    "linear_subspace",
    "permutation",
    "angular_permutation",
    "soft_matching",
    "size_and_shape",
    "size_and_shape_truncated",
    "angular_shape",
    "angular_shape_wide",
    "angular_shape_half_whitened",
)
CASES = pytest.mark.parametrize("case", [case for case in METRICS if case.name in BETWEEN], ids=str)
TIMES = [0.0, 0.25, 0.7, 1.0]
QUIET = pytest.mark.filterwarnings("ignore::repsim_geo.errors.DegenerateRepresentationWarning")


def normals(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pair(case, seed):
    """Two representations that have something in common."""
    x = normals(case.m, case.d, seed=seed)
    y = normals(case.m, case.d if case.matched else case.d + 1, seed=seed + 10)
    y[:, : case.d] += x
    return x, y


@QUIET
@CASES
@SEEDS
def test_ends_are_the_networks_and_distances_add_up(case, seed):
    x, y = pair(case, seed)
    metric = case.make().resolve([x, y])
    features = interpolate(x, y, TIMES, case.make())
    assert features.shape[:2] == (4, case.m)
    points = metric.embed(features)
    start, end = metric.embed(x), metric.embed(y)
    whole = float(metric.dist(start, end))
    for t, point in zip(TIMES, points, strict=True):
        assert float(metric.dist(start, point)) == pytest.approx(t * whole, abs=1e-6 * whole)
        assert float(metric.dist(point, end)) == pytest.approx((1 - t) * whole, abs=1e-6 * whole)


@QUIET
@CASES
def test_a_result_does_not_depend_on_the_other_times(case):
    x, y = pair(case, 0)
    alone, among = interpolate(x, y, [0.7], case.make())[0], interpolate(x, y, TIMES, case.make())[2]
    metric = case.make().resolve([x, y])
    torch.testing.assert_close(alone @ alone.mT, among @ among.mT, atol=1e-9, rtol=1e-9)
    # What the first features do not span may turn.
    home = interpolate(x, y, [0.0], metric)[0]
    span = torch.linalg.pinv(home, rtol=1e-9) @ home
    torch.testing.assert_close(alone @ span, among @ span, atol=1e-6, rtol=1e-6)


@QUIET
@SEEDS
@pytest.mark.parametrize("method", ["angular_cka", "angular_rdm", "bures_wasserstein", "log_euclidean"])
def test_no_rotation_brings_features_nearer_to_the_start(method, seed):
    x, y = normals(9, 4, seed=seed), normals(9, 5, seed=seed + 10)
    home, features = interpolate(x, y, [0.0, 0.6], method)
    cross = features.mT @ home
    # The best inner product of rotated features is the sum of the singular values.
    assert float(cross.trace()) == pytest.approx(float(torch.linalg.matrix_norm(cross, "nuc")), rel=1e-9)


@SEEDS
def test_shapes_move_along_straight_lines(seed):
    x, y = normals(8, 3, seed=seed), normals(8, 3, seed=seed + 10)
    u, _, vh = torch.linalg.svd((y - y.mean(0)).mT @ (x - x.mean(0)))
    turned = (y - y.mean(0)) @ (u @ vh)
    features = interpolate(x, y, [0.3, 0.9], "size_and_shape")
    for t, f in zip((0.3, 0.9), features, strict=True):
        torch.testing.assert_close(f, (1 - t) * (x - x.mean(0)) + t * turned)


@SEEDS
def test_gram_matrices_of_angular_cka_are_those_of_blend(seed):
    x, y = normals(9, 4, seed=seed), normals(9, 5, seed=seed + 10)
    features = interpolate(x, y, [0.4], "angular_cka")[0]
    side_by_side = rg.AngularCKA().blend(0.4, x, y)
    torch.testing.assert_close(features @ features.mT, side_by_side @ side_by_side.mT)


def test_arrays_single_precision_and_convolutions_are_taken():
    x, y = normals(6, 2, 2, 2, seed=0).float().numpy(), normals(6, 5, seed=1).float().numpy()
    features = interpolate(x, y, np.array([0.5]), "bures_wasserstein")
    assert features.dtype == torch.float32
    assert features.shape[:2] == (1, 6)


# ---------------------------------------------------------------------- read-outs


def classes(seed, m=60, d=6, e=9):
    """Three classes, shown by two networks in different units, and by the second less clearly."""
    labels = torch.arange(m) % 3
    centers = normals(3, 4, seed=seed)
    shown = centers[labels] + 0.4 * normals(m, 4, seed=seed + 1)
    x = shown @ normals(4, d, seed=seed + 2) + 0.1 * normals(m, d, seed=seed + 3)
    y = shown @ normals(4, e, seed=seed + 4) + 1.0 * normals(m, e, seed=seed + 5)
    return x, y, labels, torch.arange(m) % 2 == 0


@SEEDS
def test_read_outs_are_those_of_scikit_learn(seed):
    x, y, labels, train = classes(seed)
    found = read_out_along(x, y, labels, TIMES, "angular_cka", train=train)
    forth = interpolate(x, y, TIMES, "angular_cka")
    back = interpolate(y, x, [1 - t for t in TIMES], "angular_cka")
    size = np.sqrt(60) / float(forth[0].norm())
    forth, back = (size * features.numpy() for features in (forth, back))
    rows, labels = train.numpy(), labels.numpy()

    def trained(features):
        return LogisticRegression(C=100.0, max_iter=2000).fit(features[rows], labels[rows])

    home, there = trained(forth[0]), trained(back[3])
    for i in range(4):
        assert found.first[i] == home.score(forth[i][~rows], labels[~rows])
        assert found.second[i] == there.score(back[i][~rows], labels[~rows])
        assert found.anew[i] == trained(forth[i]).score(forth[i][~rows], labels[~rows])
    assert found.distance == pytest.approx(float(rg.compare(x, y)))
    assert found.first[0] == found.anew[0]
    assert found.second[-1] == found.anew[-1]
    assert found.times.tolist() == TIMES


@SEEDS
def test_the_read_out_at_the_start_is_that_of_the_network_itself(seed):
    """Penalties do not notice rotations, so features of a Gram matrix serve as well as the units."""
    x, y, labels, train = classes(seed)
    found = read_out_along(x, y, labels, [0.0, 1.0], "size_and_shape", train=train)
    rows = train.numpy()
    for network, score in ((x, found.first[0]), (y, found.second[1])):
        units = ((network - network.mean(0)) / (x - x.mean(0)).norm() * np.sqrt(60)).numpy()
        model = LogisticRegression(C=100.0, max_iter=2000).fit(units[rows], labels[rows])
        assert float(score) == model.score(units[~rows], labels[~rows])


@SEEDS
def test_numbers_are_read_out_by_ridge_regression(seed):
    x, y, _, train = classes(seed)
    targets = (x @ normals(6, 2, seed=9)).numpy()
    found = read_out_along(x, y, targets, [0.0, 0.5], "size_and_shape", train=train)
    units = ((x - x.mean(0)) / (x - x.mean(0)).norm() * np.sqrt(60)).numpy()
    rows = train.numpy()
    model = Ridge(alpha=0.6).fit(units[rows], targets[rows])
    assert float(found.first[0]) == pytest.approx(model.score(units[~rows], targets[~rows]), abs=1e-9)
    assert float(found.first[0]) > 0.9
    assert float(found.first[1]) < float(found.first[0])


def test_other_models_are_copied_and_text_is_understood():
    x, y, labels, train = classes(0)
    names, model = np.array(["a", "b", "c"])[labels.numpy()], NearestCentroid()
    found = read_out_along(x, y, names, [0.0], train=train, model=model)
    assert not hasattr(model, "classes_")
    assert float(found.first[0]) > 0.5


def test_a_network_that_shows_nothing_loses_the_read_out():
    x, _, labels, train = classes(0)
    found = read_out_along(x, normals(60, 9, seed=7), labels, [0.0, 1.0], train=train)
    assert float(found.first[0]) > 0.8
    assert float(found.anew[1]) < 0.6
    assert float(found.first[1]) < 0.7


def test_nothing_changes_between_rotated_networks():
    x, _, labels, train = classes(0)
    y = x @ torch.linalg.qr(normals(6, 6, seed=3))[0]
    found = read_out_along(x, y, labels, TIMES, "size_and_shape", train=train)
    assert found.distance == pytest.approx(0.0, abs=1e-9)
    for scores in (found.first, found.second, found.anew):
        assert scores.unique().numel() == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"times": [[0.0]]}, ValueError, "times must be a row of finite numbers"),
        ({"times": []}, ValueError, "times must be a row of finite numbers"),
        ({"times": [np.nan]}, ValueError, "times must be a row of finite numbers"),
        ({"y": normals(9, 3, seed=1)}, ShapeError, "interpolate.* pairs row i"),
        ({"x": normals(2, 8, 3, seed=1)}, ShapeError, r"x must be one representation \(m, d\), got shape"),
        ({"x": normals(8, 3, seed=1) * torch.nan}, ValueError, "x must be finite"),
        ({"method": "bures_wasserstein", "mode": "cov"}, ValueError, "features of the same 8 inputs"),
        ({"method": rg.StochasticShape(starts=3)}, ValueError, "features of the same 8 inputs"),
        ({"method": (nn.Identity(), rg.Flat(2))}, TypeError, "must be a metric with geodesic and realize"),
        ({"method": "stress", "times": [-1.0]}, NotOnManifoldError, "no activations have it"),
        ({"method": "angular_cka", "times": [3.0]}, NotOnManifoldError, "no activations have it"),
        ({"method": "angular_rdm", "centered": True}, NotImplementedError, "realize is not written"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    given = {"x": normals(8, 7, seed=2), "y": normals(8, 7, seed=3), "times": [0.5]} | options
    with pytest.raises(error, match=message):
        interpolate(given.pop("x"), given.pop("y"), given.pop("times"), **given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": np.zeros(59)}, ShapeError, r"labels must have one entry for each of the 60 rows"),
        (
            {"train": np.zeros(60)},
            ShapeError,
            "train must be a truth value for each of the 60 rows, got float64",
        ),
        ({"train": np.zeros(59, dtype=bool)}, ShapeError, r"got bool of shape \(59,\)"),
        ({"train": np.zeros(60, dtype=bool)}, ValueError, "rows on both sides, got 0 of 60"),
        ({"train": np.ones(60, dtype=bool)}, ValueError, "rows on both sides, got 60 of 60"),
    ],
)
def test_read_outs_need_labels_and_rows(options, error, message):
    x, y, labels, train = classes(0)
    given = {"labels": labels, "train": train} | options
    with pytest.raises(error, match=message):
        read_out_along(x, y, given["labels"], [0.5], train=given["train"])
