"""
Every estimator, in one table: scikit-learn's manners, files, pipelines, and populations that are hardly any.

An entry says what an estimator is fitted to and what it is asked afterwards; the tests ask all alike.
"""

import json
import math
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geoopt
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import repsim_geo as rg

SPHERE = rg.UnitSphere(1)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def near(center, *shape, spread=0.3, seed=0):
    """Points of the sphere around a center."""
    return SPHERE.projx(center + spread * randn(*shape, 4, seed=seed))


POINTS = torch.cat([near(randn(4, seed=s), 6, seed=s) for s in (1, 2)])
LABELS = np.repeat(["deep", "wide"], 6)
TIMES = torch.linspace(-1, 2, 12, dtype=torch.float64)[:, None]
PATHS = near(randn(3, 4, seed=3), 12, 3, seed=3)
DISTANCES = SPHERE.cdist(POINTS, POINTS)


@dataclass(frozen=True)
class Entry:
    """
    An estimator with what it learns from.

    `takes` says what its first argument is: points, distances, paths or times (then `y` are points).
    """

    kind: Any
    takes: str = "points"
    y: Any = None
    parameters: tuple[tuple[str, Any], ...] = ()
    answers: tuple[str, ...] = ()

    def make(self, manifold: Any = SPHERE, **parameters: Any) -> Any:
        place = () if self.takes == "distances" else (manifold,)
        return self.kind(*place, **{**dict(self.parameters), **parameters})

    @property
    def x(self) -> torch.Tensor:
        return {"points": POINTS, "distances": DISTANCES, "paths": PATHS, "times": TIMES}[self.takes]

    @property
    def manifold(self) -> Any:
        return None if self.takes == "distances" else SPHERE

    def fitted(self, as_kind: Callable = lambda a: a) -> Any:
        y = as_kind(self.y) if isinstance(self.y, torch.Tensor) else self.y
        return self.make().fit(as_kind(self.x), *(() if y is None else (y,)))

    def __str__(self) -> str:
        return self.kind.__name__


TWO = (("n_clusters", 2),)
ENTRIES = [
    Entry(rg.FrechetMean),
    Entry(rg.FrechetMedian),
    Entry(rg.TrimmedMean, parameters=(("trim", 0.2),)),
    Entry(rg.TangentPCA, answers=("transform",)),
    Entry(rg.GeodesicRegression, "times", y=POINTS, answers=("predict",)),
    Entry(rg.ManifoldKMeans, parameters=TWO, answers=("transform", "predict")),
    Entry(rg.NearestMean, y=LABELS, answers=("transform", "predict")),
    Entry(rg.KMedoids, "distances", parameters=TWO, answers=("transform", "predict")),
    Entry(rg.ClassicalMDS, "distances", answers=("transform",)),
    Entry(rg.MetricMDS, "distances", answers=("transform",)),
    Entry(rg.SphericalMDS, "distances", answers=("transform",)),
    Entry(rg.MeanPath, "paths"),
    Entry(rg.WarpedMeanPath, "paths"),
]
every = pytest.mark.parametrize("entry", ENTRIES, ids=str)


def results(estimator):
    return {k: v for k, v in vars(estimator).items() if k.endswith("_") and not k.startswith("_")}


def assert_same(a, b):
    """The same results, to the last digit."""
    assert a.keys() == b.keys()
    for name, value in a.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(torch.as_tensor(b[name]).to(value.dtype), value), name
        else:
            assert value == b[name] or (value != value and b[name] != b[name]), name


def test_the_table_is_complete():
    from repsim_geo.stats.estimator import Estimator

    public = {v for v in map(rg.__dict__.get, rg.__all__) if isinstance(v, type)}
    public |= {getattr(rg, name) for name in rg.__all__ if isinstance(getattr(rg, name), type)}
    assert {kind for kind in public if issubclass(kind, Estimator)} == {entry.kind for entry in ENTRIES}


# ---------------------------------------------------------------------- manners


@every
def test_parameters_are_kept_cloned_and_set(entry):
    estimator = entry.make()
    parameters = estimator.get_params(deep=False)
    twin = clone(entry.fitted())
    assert not results(twin)
    assert {k: repr(v) for k, v in twin.get_params(deep=False).items()} == {
        k: repr(v) for k, v in parameters.items()
    }
    for name, value in parameters.items():
        estimator.set_params(**{name: value})
        assert getattr(estimator, name) is value
    with pytest.raises(ValueError, match="Invalid parameter 'wrong'"):
        estimator.set_params(wrong=1)


@every
def test_it_prints_as_the_code_that_makes_it(entry):
    shown = repr(entry.make())
    assert shown.startswith(f"{entry}(")
    assert entry.make()._repr_html_()  # what a notebook shows


@every
def test_nothing_is_answered_before_fit(entry, tmp_path):
    new = {"points": POINTS, "distances": DISTANCES, "paths": PATHS, "times": TIMES}[entry.takes]
    for name in entry.answers:
        with pytest.raises(NotFittedError, match=f"This {entry} instance is not fitted yet"):
            getattr(entry.make(), name)(new)
    with pytest.raises(NotFittedError, match=f"This {entry} instance is not fitted yet"):
        entry.make().save(tmp_path / "file.npz")
    assert not (tmp_path / "file.npz").exists()


@every
@pytest.mark.parametrize("kind", [torch.clone, lambda a: a.numpy().copy()], ids=["torch", "numpy"])
def test_inputs_are_not_changed(entry, kind):
    x = kind(entry.x)
    y = kind(entry.y) if isinstance(entry.y, torch.Tensor) else entry.y
    if isinstance(x, np.ndarray):
        x.setflags(write=False)
    estimator = entry.make()
    given = {k: repr(v) for k, v in estimator.get_params(deep=False).items()}
    assert estimator.fit(x, *(() if y is None else (y,))) is estimator
    for name in entry.answers:
        getattr(estimator, name)(x)
    assert (np.asarray(x) == np.asarray(entry.x)).all()
    assert {k: repr(v) for k, v in estimator.get_params(deep=False).items()} == given


@every
def test_arrays_are_as_good_as_tensors(entry):
    a, b = entry.fitted(), entry.fitted(torch.Tensor.numpy)
    assert_same(results(a), results(b))
    for name in entry.answers:
        x, y = getattr(a, name)(entry.x), getattr(b, name)(entry.x.numpy())
        assert isinstance(y, np.ndarray)
        assert isinstance(x, torch.Tensor) or entry.kind is rg.NearestMean
        np.testing.assert_array_equal(np.asarray(x), y)


@every
def test_lists_and_points_with_gradients_are_understood(entry):
    a = entry.fitted(lambda x: x.clone().requires_grad_())
    assert_same(results(a), results(entry.fitted(list)))
    assert not any(v.requires_grad for v in results(a).values() if isinstance(v, torch.Tensor))


@every
def test_a_second_fit_is_the_same(entry):
    estimator = entry.fitted()
    first = dict(results(estimator))
    again = estimator.fit(entry.x, *(() if entry.y is None else (entry.y,)))
    assert_same(first, results(again))
    # Nothing of the first population is left in the second.
    other = entry.fitted(lambda x: x.flip(0) if entry.takes != "distances" else x.flip(0, 1))
    back = other.fit(entry.x, *(() if entry.y is None else (entry.y,)))
    assert_same(first, results(back))


@every
def test_results_are_tensors_and_plain_numbers(entry):
    for name, value in results(entry.fitted()).items():
        assert isinstance(value, torch.Tensor | float | int | str | list | None), name


@every
def test_float32_stays_float32_and_agrees(entry):
    a, b = entry.fitted(), entry.fitted(torch.Tensor.float)
    for name in ("mean_", "median_", "components_", "means_", "cluster_centers_", "intercept_", "embedding_"):
        if hasattr(a, name):
            assert getattr(b, name).dtype == torch.float32
            torch.testing.assert_close(getattr(b, name).double(), getattr(a, name), atol=1e-3, rtol=0)


FLAT = rg.Flat(1)  # where rows of a matrix are points, as scikit-learn has them
CHECKS_OF_ALL = [
    "estimator_cloneable",
    "estimator_repr",
    "estimator_tags_renamed",
    "get_params_invariance",
    "mixin_order",
    "no_attributes_set_in_init",
    "parameters_default_constructible",
    "set_params",
    "valid_tag_types",
]
# These bring random data: rows that are points, which are neither distances nor paths.
CHECKS_OF_ROWS = [
    "dict_unchanged",
    "estimator_sparse_tag",
    "estimators_fit_returns_self",
    "estimators_overwrite_params",
    "f_contiguous_array_estimator",
    "fit_check_is_fitted",
    "fit_idempotent",
    "methods_sample_order_invariance",
    "methods_subset_invariance",
    "pipeline_consistency",
    "positive_only_tag_during_fit",
    "readonly_memmap_input",
    "transformers_unfitted",
]


@pytest.mark.parametrize("check", CHECKS_OF_ALL)
@every
def test_checks_of_scikit_learn(entry, check):
    getattr(estimator_checks, f"check_{check}")(str(entry), entry.make(FLAT))


@pytest.mark.parametrize("check", CHECKS_OF_ROWS)
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.takes == "points"], ids=str)
def test_checks_of_scikit_learn_with_data(entry, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of random numbers that are no population
        getattr(estimator_checks, f"check_{check}")(str(entry), entry.make(FLAT))


# ---------------------------------------------------------------------- files


@every
def test_what_is_saved_is_loaded(entry, tmp_path):
    saved = entry.fitted()
    saved.save(tmp_path / "file.npz")
    loaded = entry.kind.load(tmp_path / "file.npz", *(() if entry.manifold is None else (entry.manifold,)))
    assert_same(results(saved), results(loaded))
    for name in entry.answers:
        np.testing.assert_array_equal(getattr(loaded, name)(entry.x), getattr(saved, name)(entry.x))
    assert repr(loaded) == repr(saved)
    with np.load(tmp_path / "file.npz", allow_pickle=False) as file:  # numbers and text, no objects
        assert all(file[name].dtype.kind in "fiubU" for name in file.files)


def rewritten(path, **changes):
    """The file with other arrays, or with other things in its description."""
    with np.load(path) as file:
        arrays = dict(file)
    described = json.loads(str(arrays["description"]))
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            described[name] = value
    arrays["description"] = np.array(json.dumps(described))
    np.savez(path, **arrays)


@every
def test_files_that_cannot_be_trusted_are_refused(entry, tmp_path):
    path = tmp_path / "file.npz"
    manifold = () if entry.manifold is None else (entry.manifold,)
    entry.fitted().save(path)
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"does not hold an estimator that can be read\. Use a file that save"
    ):
        entry.kind.load(path, *manifold)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="does not hold an estimator"):
        entry.kind.load(path, *manifold)

    path.write_bytes(whole)
    with zipfile.ZipFile(path) as file:
        tensor = next(name for name in file.namelist() if name != "description.npy").removesuffix(".npy")
    rewritten(path, **{tensor: np.array([print, 1], dtype=object)})  # which numpy has to pickle
    with pytest.raises(ValueError, match="does not hold an estimator"):
        entry.kind.load(path, *manifold)

    path.write_bytes(whole)
    rewritten(path, format=99)
    with pytest.raises(ValueError, match=r"has format 99, and .* reads up to 1\. Install"):
        entry.kind.load(path, *manifold)

    path.write_bytes(whole)
    other = rg.TangentPCA if entry.kind is not rg.TangentPCA else rg.FrechetMean
    with pytest.raises(ValueError, match=rf"holds a {entry}, not a {other.__name__}\. Use {entry}\.load"):
        other.load(path, *manifold)
    if entry.manifold is not None:
        for wrong in (rg.Flat(1), geoopt.Scaled(SPHERE, 2.0), None):
            with pytest.raises(ValueError, match=r"was written for the manifold UnitSphere.* Pass that"):
                entry.kind.load(path, wrong)
    with pytest.raises(FileNotFoundError):
        entry.kind.load(tmp_path / "none.npz", *manifold)


def test_the_scale_of_a_manifold_is_part_of_its_name(tmp_path):
    twice, thrice = geoopt.Scaled(SPHERE, 2.0), geoopt.Scaled(SPHERE, 3.0)
    saved = rg.FrechetMean(twice).fit(POINTS)
    saved.save(tmp_path / "file.npz")
    assert_same(results(saved), results(rg.FrechetMean.load(tmp_path / "file.npz", twice)))
    with pytest.raises(ValueError, match="scaled by 2, got .* scaled by 3. Pass that manifold"):
        rg.FrechetMean.load(tmp_path / "file.npz", thrice)


# ---------------------------------------------------------------------- pipelines


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.answers], ids=str)
@pytest.mark.parametrize("kind", [torch.clone, torch.Tensor.numpy], ids=["torch", "numpy"])
def test_it_is_a_step_of_a_pipeline(entry, kind):
    pipeline = make_pipeline(FunctionTransformer(), entry.make())
    pipeline.fit(kind(entry.x), entry.y)
    for name in entry.answers:
        given = getattr(pipeline, name)(kind(entry.x))
        np.testing.assert_array_equal(given, getattr(entry.fitted(), name)(entry.x))


def networks(n=16, m=12):
    """Activations (n, m, 5) of two kinds of networks, and which is which."""
    kinds = randn(2, m, 5, seed=8)
    return torch.stack([kinds[i % 2] + 0.8 * randn(m, 5, seed=i) for i in range(n)]), np.arange(n) % 2


def test_tangent_scores_feed_a_classifier_of_scikit_learn():
    reps, labels = networks()
    metric = rg.AngularCKA().resolve(list(reps))
    points = metric.embed(reps)
    pipeline = make_pipeline(rg.TangentPCA(metric, 3), LogisticRegression())
    assert pipeline.fit(points.numpy(), labels).score(points.numpy(), labels) == 1
    assert cross_val_score(pipeline, points.numpy(), labels, cv=4).mean() > 0.8
    search = GridSearchCV(pipeline, {"tangentpca__n_components": [1, 3]}, cv=2).fit(points.numpy(), labels)
    assert search.best_score_ > 0.8


def test_activations_go_in_and_names_come_out():
    reps, labels = networks()
    metric = rg.AngularCKA().resolve(list(reps))
    names = np.array(["deep", "wide"])[labels]
    pipeline = Pipeline([("embed", FunctionTransformer(metric.embed)), ("mean", rg.NearestMean(metric))])
    assert (pipeline.fit(reps[:8], names[:8]).predict(reps[8:]) == names[8:]).all()
    assert pipeline.score(reps[8:], names[8:]) == 1


# ---------------------------------------------------------------------- populations that are hardly any


def circle(n):
    """Points at equal distances on a great circle: every pole of it is as near to all."""
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([angle.cos(), angle.sin(), 0 * angle, 0 * angle], -1)


def failed():
    points = POINTS.clone()
    points[3] = math.nan
    return points


POPULATIONS = {
    "one": POINTS[:1],
    "none": POINTS[:0],
    "identical": POINTS[:1].expand(6, 4),
    "antipodal": torch.stack([POINTS[0], -POINTS[0]]),
    "circle": circle(6),
    "failed": failed(),
    "mixed": [POINTS[0], POINTS[1, :3], POINTS[2]],
    "not embedded": 3 * POINTS,
}
FEW, SAME = r"at least 2 points are needed, got 1\. Add", r"as many distinct networks, got 1\. Lower"
NONE, NAN = r"needed, got none\. Add networks", r"nan or infinity in point 3\. Remove"
REFUSED = {
    ("one", rg.TangentPCA): FEW,
    ("one", rg.GeodesicRegression): FEW,
    ("one", rg.ManifoldKMeans): r"n_clusters=2 needs at least 2 networks, got 1\. Lower",
    ("one", rg.KMedoids): r"n_clusters=2 needs at least 2 networks, got 1\. Lower",
    ("identical", rg.ManifoldKMeans): SAME,
    ("identical", rg.KMedoids): SAME,
}
REFUSED_BY_ALL = {
    "none": (NONE, r"matrix \(n, n\), .* got shape \(0, 0\)\. scipy"),
    "failed": (NAN, r"distances must be finite, got nan or infinity in row 3\. Leave out"),
    "mixed": (
        r"one shape, got \(3,\), \(4,\)\. Networks of different widths get one: metric = metric\.resolve",
        None,
    ),
    "not embedded": (
        r"points must lie on the manifold .*: norm differs from 1 by 2\. Use metric\.embed",
        None,
    ),
}
WARNS = {
    ("antipodal", kind): rg.CutLocusWarning
    for kind in (rg.FrechetMean, rg.FrechetMedian, rg.TrimmedMean, rg.TangentPCA, rg.GeodesicRegression)
} | {
    ("circle", rg.TangentPCA): rg.CutLocusWarning,
    ("circle", rg.GeodesicRegression): rg.ConvergenceWarning,
}


def fit_to(entry, points, manifold=SPHERE, labels=None):
    """The estimator of an entry, with two networks for each path, on points of any number."""
    n = len(points)
    if entry.takes == "points":
        classes = np.zeros(n) if labels is None else labels
        return entry.make(manifold).fit(points, *((classes,) if entry.kind is rg.NearestMean else ()))
    if entry.takes == "times":
        return entry.make(manifold).fit(np.arange(n), points)
    if entry.takes == "paths":
        return entry.make(manifold).fit([points, points])
    return entry.make().fit(manifold.cdist(points, points))


# There are no distances between tensors of different shapes.
EXISTING = [
    pytest.param(entry, name, id=f"{entry}-{name}")
    for entry in ENTRIES
    for name in POPULATIONS
    if entry.takes != "distances" or name not in ("mixed", "not embedded")
]


@pytest.mark.parametrize(("entry", "name"), EXISTING)
def test_populations_that_are_hardly_any(entry, name, recwarn):
    points = POPULATIONS[name]
    message = REFUSED.get((name, entry.kind))
    if name in REFUSED_BY_ALL:
        message = REFUSED_BY_ALL[name][entry.takes == "distances"]
    if message is not None:
        with pytest.raises((ValueError, TypeError), match=message):
            fit_to(entry, points)
        return
    warned = WARNS.get((name, entry.kind))
    if warned is None:
        estimator = fit_to(entry, points)
    else:
        with pytest.warns(warned, match=r"several means|every direction is a shortest path|wrap around"):
            estimator = fit_to(entry, points)
    assert not [w for w in recwarn if w.category not in (warned, rg.CutLocusWarning)]
    for label, value in results(estimator).items():
        values = torch.as_tensor(value) if isinstance(value, torch.Tensor | float) else torch.zeros(())
        assert not bool(values.isnan().any()), label
    if hasattr(estimator, "unique_") and name in ("antipodal", "circle") and entry.takes == "points":
        assert estimator.unique_ is not True
    if name in ("one", "identical"):
        check_of_one_network(entry, estimator, points)


def check_of_one_network(entry, estimator, points):
    """All there is to say of copies of one network: where it is, and that nothing varies."""
    n = len(points)
    for place in ("mean_", "median_", "intercept_", "means_"):
        if hasattr(estimator, place):
            value = getattr(estimator, place)
            torch.testing.assert_close(value, points[0].expand_as(value), atol=1e-13, rtol=0)
    for spread in (
        "variance_",
        "variances_",
        "tangent_variance_",
        "slope_norm_",
        "stress_",
        "missed_",
        "r2_",
    ):
        if hasattr(estimator, spread):
            value = torch.as_tensor(getattr(estimator, spread), dtype=torch.float64)
            torch.testing.assert_close(value, torch.zeros_like(value), atol=1e-13, rtol=0)
    if entry.kind is rg.TangentPCA:
        assert estimator.n_components_ == 0
        assert estimator.transform(points).shape == (n, 0)
    if entry.kind in (rg.ClassicalMDS, rg.MetricMDS):
        assert float(estimator.embedding_.abs().max()) < 1e-13


@every
def test_two_opposite_networks_are_two_places(entry):
    """Where there is no mean to speak of, or it does not matter: both ends are told apart."""
    ends = POPULATIONS["antipodal"]
    if entry.kind in (rg.ManifoldKMeans, rg.KMedoids):
        fitted = fit_to(entry, ends)
        assert sorted(fitted.labels_.tolist()) == [0, 1]
        assert fitted.inertia_ < 1e-13
    elif entry.kind is rg.NearestMean:
        fitted = fit_to(entry, ends, labels=["a", "b"])
        assert fitted.predict(ends).tolist() == ["a", "b"]
        with pytest.warns(rg.CutLocusWarning):
            fit_to(entry, ends, labels=["a", "a"])
    elif entry.takes == "distances":
        x = fit_to(entry, ends).embedding_
        apart = SPHERE.dist(*x) if entry.kind is rg.SphericalMDS else (x[0] - x[1]).norm()
        assert float(apart) == pytest.approx(math.pi, abs=1e-6)


PLACES = ("mean_", "median_", "intercept_", "means_", "cluster_centers_", "embedding_")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("unit", [1e-8, 1e8])
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind is not rg.SphericalMDS], ids=str)
def test_the_unit_of_the_activations_does_not_matter(entry, unit, dtype):
    flat = rg.Flat(1)
    points = randn(9, 3, seed=5)
    one = fit_to(entry, points.to(dtype), flat, labels=np.arange(9) % 2)
    other = fit_to(entry, unit * points.to(dtype), flat, labels=np.arange(9) % 2)
    slack = 1e-4 if dtype == torch.float32 else 1e-7
    for place in PLACES:
        if hasattr(one, place):
            torch.testing.assert_close(getattr(other, place) / unit, getattr(one, place), atol=slack, rtol=0)
    for spread in ("variance_", "variances_", "tangent_variance_", "explained_variance_", "eigenvalues_"):
        if hasattr(one, spread):
            a, b = (torch.as_tensor(getattr(e, spread), dtype=torch.float64) for e in (one, other))
            torch.testing.assert_close(b / unit**2, a, atol=slack, rtol=slack)
    if hasattr(one, "labels_"):
        assert torch.equal(one.labels_, other.labels_)


def shapes(ranks):
    """Activations (n, 8, 5), each of a rank of its own."""
    return torch.stack([randn(8, k, seed=i) @ randn(k, 5, seed=20 + i) for i, k in enumerate(ranks)])


@pytest.mark.parametrize(
    "metric",
    [rg.SizeAndShape(p=4), rg.AngularShape(), rg.BuresWasserstein(), rg.Stress(), rg.AngularCKA()],
    ids=repr,
)
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.takes in ("points", "distances")], ids=str)
def test_networks_that_lack_dimensions_have_statistics(entry, metric):
    """Singular points of a quotient: an answer without nan, or one that says that it did not converge."""
    reps = list(shapes([1, 2, 2, 5, 5]))
    metric = metric.resolve(reps)
    points = metric.embed(torch.stack(reps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", category=RuntimeWarning)
        if entry.kind is rg.SphericalMDS:
            fitted = rg.SphericalMDS(radius=100.0).fit(metric.cdist(points, points))
        else:
            fitted = fit_to(entry, points, metric)
    for label, value in results(fitted).items():
        values = torch.as_tensor(value) if isinstance(value, torch.Tensor | float) else torch.zeros(())
        assert not bool(values.isnan().any()), label


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.manifold is not None], ids=str)
def test_what_is_no_manifold_is_refused(entry):
    for wrong in ("angular_cka", None, rg.AngularCKA):
        with pytest.raises(TypeError, match=r"manifold must be a geoopt\.Manifold, for example .*, got "):
            fit_to(entry, POINTS, wrong)


# ---------------------------------------------------------------------- what a new user does first


def test_activations_that_were_not_embedded_get_advice():
    reps = [randn(10, d, seed=d) for d in (3, 4)]
    with pytest.raises(
        rg.ShapeError, match=r"one shape, got \(10, 3\), \(10, 4\)\. .* metric\.resolve\(networks\)"
    ):
        rg.FrechetMean(rg.AngularCKA()).fit(reps)
    with pytest.raises(
        rg.ShapeError, match=r"do not fit the manifold: .* Activations become points with metric"
    ):
        rg.FrechetMean(rg.AngularCKA()).fit(reps[:1])
    with pytest.raises(TypeError, match=r"got torch\.int64\. .* convert whole numbers with points\.double"):
        rg.FrechetMean(FLAT).fit(torch.arange(6).reshape(2, 3))


def test_points_in_the_place_of_the_covariate_get_advice():
    reps = [randn(10, 3, seed=i) for i in range(4)]
    metric = rg.AngularCKA()
    points = torch.stack([metric.embed(x) for x in reps])
    with pytest.raises(rg.ShapeError, match=r"covariate must be .* the order is fit\(covariate, points\)"):
        rg.GeodesicRegression(metric).fit(points, [1, 2, 3, 4])
    with pytest.raises(TypeError, match=r"covariate must be an array of real numbers, got <U4\. Use"):
        rg.GeodesicRegression(metric).fit(["deep", "wide"] * 2, points)


def test_the_network_that_is_constant_is_named():
    x, constant, cka = randn(12, 5), torch.zeros(12, 5, dtype=torch.float64), rg.AngularCKA()
    for call, name in (
        (lambda: rg.bootstrap_distance(x, constant, cka), "y"),
        (lambda: rg.permutation_test(x, constant, cka), "y"),
        (lambda: rg.permutation_test(constant, x, cka), "x"),
        (lambda: rg.split_half_reliability([x, x + randn(12, 5, seed=1), constant], cka), r"reps\[2\]"),
    ):
        with pytest.raises(rg.DegenerateRepresentationError, match=f"^{name}: x is constant"):
            call()
    with pytest.raises(ValueError, match="y must be finite, got nan or infinity in 12 of 12 rows"):
        rg.permutation_test(x, constant / 0, cka)


def test_all_from_trained_networks_to_a_picture_and_a_test():
    """The whole way, from a list of arrays of different widths, with what the docstrings say."""
    kinds = randn(2, 40, 10, seed=4).numpy()
    generator = np.random.default_rng(0)
    reps = [
        np.maximum((kinds[i % 2] + generator.normal(size=(40, 10))) @ generator.normal(size=(10, 30 + i)), 0)
        for i in range(10)
    ]
    kind = ["deep", "wide"] * 5
    distances = rg.pairwise(reps, rg.AngularCKA())
    picture = rg.ClassicalMDS().fit_transform(distances)
    assert picture.shape == (10, 2)
    assert rg.energy_test(distances, kind).pvalue < 0.02
    assert rg.hierarchical_clustering(distances).labels(2).tolist() == [0, 1] * 5
    metric = rg.AngularCKA().resolve(reps)
    points = torch.stack([metric.embed(x) for x in reps])
    torch.testing.assert_close(metric.cdist(points, points), distances, atol=1e-12, rtol=0)
    assert rg.FrechetMean(metric).fit(points).converged_
    first = rg.TangentPCA(metric, 1).fit_transform(points)[:, 0]
    assert len(set(np.sign(first[::2].numpy()))) == 1
    assert (first[::2] * first[1::2] < 0).all()
    assert rg.NearestMean(metric).leave_one_out(points, kind).accuracy == 1
