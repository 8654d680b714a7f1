"""Nearest-mean classification against scikit-learn and against one fit for each network left out."""

import warnings

import geoopt
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import estimator_checks

import repsim_geo as rg
from repsim_geo.stats.classification import NearestMean

FLAT = rg.Flat(1)
SPHERE = rg.UnitSphere(1)
SPD = rg.AffineInvariantSPD()


def groups(manifold, sizes, *point, spread, seed=0, dtype=torch.float64):
    """Points around as many random centers, and the number of their center."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    c = manifold.random(len(sizes), *point, dtype=dtype, generator=generator).as_subclass(torch.Tensor)[y]
    u = torch.randn(c.shape, dtype=dtype, generator=generator)
    return manifold.expmap(c, spread * manifold.proju(c, u)), y


def test_flat_means_are_scikit_learns_centroids():
    x, y = load_digits(return_X_y=True)
    ours, theirs = NearestMean(FLAT).fit(x, y), NearestCentroid().fit(x, y)
    np.testing.assert_allclose(ours.means_, theirs.centroids_, atol=1e-10)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.score(x, y) == theirs.score(x, y)
    np.testing.assert_allclose(ours.variances_[3], ((x - x[y == 3].mean(0)) ** 2).sum(-1)[y == 3].mean())


@pytest.mark.parametrize(
    ("manifold", "source", "point"),
    [
        (SPHERE, SPHERE, (4,)),
        (geoopt.SymmetricPositiveDefinite(), SPD, (3, 3)),
        (SPD, SPD, (3, 3)),
        (rg.SizeAndShape(), rg.SizeAndShape(), (6, 3)),
        (rg.Stress(), rg.Stress(), (5, 5)),
    ],
    ids=["sphere", "geoopt", "spd", "shapes", "rdm"],
)
def test_each_mean_is_that_of_its_class(manifold, source, point):
    x, y = groups(source, (5, 2, 1, 4), *point, spread=0.2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    nearest = NearestMean(manifold).fit(x, y)
    assert nearest.classes_ == [0, 1, 2, 3]
    assert nearest.converged_
    for i in range(4):
        mean = rg.FrechetMean(manifold).fit(x[y == i])
        assert float(source.dist(mean.mean_, nearest.means_[i])) < 1e-10
        assert float(nearest.variances_[i]) == pytest.approx(float(mean.variance_), rel=1e-10, abs=1e-20)
    distances = torch.stack([manifold.dist(x, mean) for mean in nearest.means_], -1)
    torch.testing.assert_close(nearest.transform(x), distances, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(nearest.predict(x), distances.argmin(-1))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("manifold", "point"), [(SPHERE, (3,)), (SPD, (2, 2)), (rg.SizeAndShape(), (5, 2))])
def test_leaving_one_out_is_a_fit_for_each(manifold, point, weighted):
    x, y = groups(manifold, (4, 3, 1, 2), *point, spread=0.5, seed=3)
    w = torch.rand(10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    left = NearestMean(manifold).leave_one_out(x, y, weights=w if weighted else None)
    right = torch.zeros(10, dtype=torch.float64)
    for i in range(10):
        rest = torch.arange(10) != i
        nearest = NearestMean(manifold).fit(x[rest], y[rest], weights=w[rest] if weighted else None)
        assert left.predicted[i] == nearest.predict(x[i : i + 1])[0]
        right[i] = float(left.predicted[i] == int(y[i]))
        torch.testing.assert_close(
            left.distances[i, nearest.classes_], nearest.transform(x[i : i + 1])[0], rtol=1e-9, atol=1e-9
        )
    assert left.distances[7, 2] == torch.inf  # the only one of its class
    assert left.predicted[7] != 2
    mass = w / w.sum() if weighted else torch.full_like(w, 0.1)
    assert left.accuracy == pytest.approx(float((mass * right).sum()), rel=1e-12)


def test_leaving_one_out_agrees_with_scikit_learn():
    x, y = groups(SPHERE, (6, 5, 4), 3, spread=0.7, seed=4)
    scores = cross_val_score(NearestMean(SPHERE), x.numpy(), y.numpy(), cv=LeaveOneOut())
    assert 0.3 < scores.mean() < 1
    assert NearestMean(SPHERE).leave_one_out(x, y).accuracy == pytest.approx(scores.mean(), rel=1e-12)


@pytest.mark.parametrize(
    "names",
    [
        ["b", "a", "c"],
        np.array(["b", "a", "c"], dtype=object),
        [3, 1, 2],
        np.array([30, 10, 20], dtype=np.uint8),
        torch.tensor([2, 0, 1]),
        [1.0, 0.0, 2.0],
    ],
    ids=["text", "objects", "integers", "bytes", "tensor", "whole floats"],
)
def test_labels_of_any_kind_survive_files(names, tmp_path):
    x, y = groups(SPHERE, (3, 4, 2), 4, spread=0.1, seed=1)
    labels = [names[i] for i in y]
    labels = torch.stack(labels) if isinstance(names, torch.Tensor) else labels
    nearest = NearestMean(SPHERE).fit(x, labels)
    given = np.asarray(labels)
    assert nearest.classes_ == sorted(set(given.tolist()))
    np.testing.assert_array_equal(nearest.predict(x), given)
    assert nearest.score(x, labels) == 1.0
    nearest.save(tmp_path / "nearest.npz")
    loaded = NearestMean.load(tmp_path / "nearest.npz", SPHERE)
    assert loaded.classes_ == nearest.classes_
    assert loaded.predict(x).dtype == nearest.predict(x).dtype
    np.testing.assert_array_equal(loaded.predict(x), given)


def test_booleans_and_one_class():
    x, y = groups(SPHERE, (3, 4), 4, spread=0.1)
    assert NearestMean(SPHERE).fit(x, y == 1).predict(x).dtype == bool
    one = NearestMean(SPHERE).fit(x, ["only"] * 7)
    assert set(one.predict(x)) == {"only"}
    assert NearestMean(SPHERE).leave_one_out(x, ["only"] * 7).accuracy == 1.0
    with pytest.raises(rg.ShapeError, match="two or more to leave one out, got one"):
        NearestMean(SPHERE).leave_one_out(x[:1], ["only"])
    # Two classes of one: without itself each is taken for the other.
    pair = NearestMean(SPHERE).leave_one_out(x[:2], ["a", "b"])
    assert pair.accuracy == 0.0
    assert pair.predicted.tolist() == ["b", "a"]


def test_isometries_change_nothing():
    x, y = groups(SPD, (4, 5, 3), 3, 3, spread=0.3, seed=5)
    a = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain, moved = NearestMean(SPD).fit(x, y), NearestMean(SPD).fit(a @ x @ a.mT, y)
    torch.testing.assert_close(plain.transform(x), moved.transform(a @ x @ a.mT), rtol=1e-9, atol=1e-9)
    assert float(SPD.dist(a @ plain.means_ @ a.mT, moved.means_).max()) < 1e-9


def test_float32_keeps_its_type_and_the_classes():
    x, y = groups(SPHERE, (4, 4), 4, spread=0.2)
    short = NearestMean(SPHERE).fit(x.float(), y)
    assert short.means_.dtype == torch.float32
    np.testing.assert_array_equal(short.predict(x.float()), NearestMean(SPHERE).fit(x, y).predict(x))
    np.testing.assert_array_equal(short.predict(x), short.predict(x.float()))
    assert NearestMean(SPHERE).leave_one_out(x.float(), y).distances.dtype == torch.float32


def test_identical_networks_and_antipodes():
    e = torch.eye(3, dtype=torch.float64)
    x = torch.stack([e[0], e[0], -e[0], -e[0]])
    nearest = NearestMean(SPHERE).fit(x, [0, 0, 1, 1])
    torch.testing.assert_close(nearest.means_, x[[0, 2]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(nearest.transform(x[:1]), [[0.0, np.pi]], atol=1e-12)
    assert NearestMean(SPHERE).leave_one_out(x, [0, 0, 1, 1]).accuracy == 1.0
    # As near to both: the class that comes first.
    assert nearest.predict(e[1:2]).tolist() == [0]
    # Every point of the equator is a mean of two antipodes: one is chosen.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.CutLocusWarning)
        split = NearestMean(SPHERE).fit(torch.stack([e[0], -e[0], e[1]]), [0, 0, 1])
    assert float(split.variances_[0]) == pytest.approx((np.pi / 2) ** 2, rel=1e-10)


def test_nothing_is_mutated():
    x, y = groups(SPHERE, (4, 4), 4, spread=0.2)
    kept, labels = x.clone(), y.clone()
    nearest = NearestMean(SPHERE).fit(x, y)
    nearest.predict(x)
    before = dict(vars(nearest))
    nearest.leave_one_out(x, y)
    assert vars(nearest) == before
    assert torch.equal(x, kept)
    assert torch.equal(y, labels)


def test_weights_without_a_voice():
    x, y = groups(SPHERE, (3, 3), 4, spread=0.3)
    w = [1.0, 2, 0, 1, 1, 1]
    nearest = NearestMean(SPHERE).fit(x, y, weights=w)
    mean = rg.FrechetMean(SPHERE).fit(x[:2], weights=[1.0, 2.0])
    torch.testing.assert_close(nearest.means_[0], mean.mean_, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"only zeros for \['a'\]. Remove these classes"):
        NearestMean(SPHERE).fit(x, list("aaabbb"), weights=[0, 0, 0, 1, 1, 1])
    # Nobody with a weight is left in the class of the last.
    left = NearestMean(SPHERE).leave_one_out(x, y, weights=[1, 1, 1, 0, 0, 1])
    assert left.distances[:, 1].isfinite().tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"y must have shape \(6,\), one label for each point, got \(2,\)"),
        (np.zeros((6, 1)), r"y must have shape \(6,\), .* got \(6, 1\)"),
        (None, r"y must have shape \(6,\), .* got \(\)"),
        (np.linspace(0, 1, 6), "Unknown label type: continuous"),
        ([0, 1, 1, 0, np.nan, 1], "NaN"),
    ],
)
def test_wrong_labels_are_explained(y, message):
    x, _ = groups(SPHERE, (3, 3), 4, spread=0.3)
    with pytest.raises(ValueError, match=message):
        NearestMean(SPHERE).fit(x, y)


def test_wrong_points_are_explained():
    x, y = groups(SPHERE, (3, 3), 4, spread=0.3)
    broken = x.clone()
    broken[4, 1] = torch.nan
    with pytest.raises(ValueError, match="nan or infinity in point 4"):
        NearestMean(SPHERE).fit(broken, y)
    nearest = NearestMean(SPHERE).fit(x, y)
    with pytest.raises(ValueError, match="nan or infinity in point 4"):
        nearest.predict(broken)
    with pytest.raises(rg.ShapeError, match=r"shape of those of fit, \(4,\), got \(3,\)"):
        nearest.predict(torch.eye(3))
    with pytest.raises(ValueError, match="not fitted"):
        NearestMean(SPHERE).predict(x)


def test_pipelines_and_clones():
    x, y = groups(SPHERE, (6, 6, 6), 4, spread=0.3)
    nearest = clone(NearestMean(SPHERE))
    distances = nearest.fit_transform(x.numpy(), y.numpy())
    assert isinstance(distances, np.ndarray)
    assert isinstance(nearest.transform(x), torch.Tensor)
    pipeline = make_pipeline(NearestMean(SPHERE), DecisionTreeClassifier(random_state=0))
    assert pipeline.fit(x.numpy(), y.numpy()).score(x.numpy(), y.numpy()) == 1.0


# What is left out: checks that want sparse, integer or object input, labels in a column, or None for labels
# to be accepted or refused in words of their own, and `n_features_in_` (a point has a shape, not features).
CHECKS = [
    "classifiers_classes",
    "classifiers_one_label",
    "classifiers_regression_target",
    "classifiers_train",
    "dict_unchanged",
    "dont_overwrite_parameters",
    "estimator_cloneable",
    "estimator_repr",
    "estimators_fit_returns_self",
    "estimators_nan_inf",
    "estimators_overwrite_params",
    "estimators_pickle",
    "estimators_unfitted",
    "f_contiguous_array_estimator",
    "fit2d_1sample",
    "fit_check_is_fitted",
    "fit_idempotent",
    "fit_score_takes_y",
    "get_params_invariance",
    "methods_sample_order_invariance",
    "methods_subset_invariance",
    "mixin_order",
    "no_attributes_set_in_init",
    "pipeline_consistency",
    "readonly_memmap_input",
    "set_params",
    "supervised_y_no_nan",
    "transformer_general",
    "transformers_unfitted",
]


@pytest.mark.parametrize("check", CHECKS)
def test_scikit_learns_manners(check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, f"check_{check}")("NearestMean", NearestMean(FLAT))
