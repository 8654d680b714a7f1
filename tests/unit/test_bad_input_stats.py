"""
Bad input at the doors of `repsim_geo.stats`, as in `test_bad_input.py`: refused on purpose, in words.

Here are options that would count as others, counts without bounds, tables near the largest number, functions
that are none or return none, and files of estimators that were tampered with.
"""

import io as streams
import json
import linecache
import os
import time
import zipfile
from pathlib import Path

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo import ShapeError

D = torch.float64
generator = torch.Generator().manual_seed(0)
X, Y = (torch.randn(10, d, dtype=D, generator=generator) for d in (4, 6))
R = [torch.randn(10, 4, dtype=D, generator=generator) for _ in range(6)]
TRIALS = torch.randn(4, 10, 3, dtype=D, generator=generator)

M = rg.AngularCKA()
P = torch.stack([M.embed(x) for x in R])
T = M.cdist(P, P)
L = [0, 0, 0, 1, 1, 1]
NAN = float("nan")
MANY = 10**12


def mean(d, w):
    return (w * d).sum((-2, -1)) / w.sum((-2, -1))


def check_refused(call, error, words):
    with pytest.raises(error) as raised:
        call()
    assert raised.type is error
    message, parts = str(raised.value), words.split(" ... ")
    assert len(parts) > 1
    places = [message.find(part) for part in parts]
    assert -1 not in places, message
    assert places == sorted(places), message
    assert message.endswith(parts[-1]), message
    last = raised.traceback[-1]
    assert Path(rg.__file__).parent in Path(last.path).parents
    assert linecache.getline(str(last.path), last.lineno + 1).strip().startswith("raise")
    return raised.value


# fmt: off
TAIL = "tail must be 'lower', 'upper' or 'both' ... got 'uper'. ... low, its similarities high."
NAMES = "or a function of two activations ... got 'angular_cka'. ... for compare(): pass the metric itself."
CLASS = "or a function of two activations ... got the class AngularCKA. ... Call it: AngularCKA()."
TOL = "tol must be positive or None ... got 'a'. ... None takes what the dtype allows."
SEED = "seed must be a whole number or a torch.Generator ... got 'a'. ... Any number will do, such as 0."
ROOM = "must be at most 100000000 here, where it makes a table of ... got 1000000000000. ... are usual."

CASES = [
    # options
    ("a tail that is not known", lambda: rg.permutation_test(X, Y, M, tail="uper"), ValueError, TAIL),
    ("a tail of correlations", lambda: rg.mantel_test(T, T, tail="uper"), ValueError, TAIL),
    ("a list of tails", lambda: rg.mantel_test(T, T, tail=["upper"]), ValueError,
     "tail must be ... got ['upper']. ... low, its similarities high."),
    ("a seed in words", lambda: rg.energy_test(T, L, seed="a"), TypeError, SEED),
    ("a seed in words, of all orders", lambda: rg.mantel_test(T, T, seed="a"), TypeError, SEED),
    ("a seed of many digits", lambda: rg.KMedoids(2, seed=10**30).fit(T), ValueError,
     "seed must be a whole number of 64 bits ... got 1000000000000 ... will do, such as 0."),
    ("growth that shrinks", lambda: rg.bootstrap_distance(X, Y, M, growth=-1), ValueError,
     "growth must be a number, zero or more ... got -1. ... None measures it."),
    ("a way to resample that is not known", lambda: rg.bootstrap_distance(X, Y, M, method="foo"), ValueError,
     "method must be 'half', 'jackknife' or 'bootstrap' ... got 'foo'. ... 'half' suits most metrics."),
    ("a way to resample that is a list", lambda: rg.bootstrap_distance(X, Y, M, method=["half"]), ValueError,
     "method must be 'half' ... got ['half']. ... 'half' suits most metrics."),
    ("a best value in words", lambda: rg.calibrate(X, Y, M, best="a"), ValueError,
     "best must be a number or infinite ... got 'a'. ... Leave it out for the usual one."),
    ("a best value that is nan", lambda: rg.calibrate(X, Y, M, best=NAN), ValueError,
     "best must be a number or infinite ... got nan. ... Leave it out for the usual one."),
    ("resampling over nothing known",
     lambda: rg.bootstrap_statistic(R, M, mean, over=["layers"]), ValueError,
     "over must be 'networks', 'stimuli', or both ... got ['layers']. ... another study would draw anew."),
    ("resampling over a number", lambda: rg.bootstrap_statistic(R, M, mean, over=3), ValueError,
     "over must be 'networks', 'stimuli', or both ... got 3. ... another study would draw anew."),
    ("resampling over lists", lambda: rg.bootstrap_statistic(R, M, mean, over=[["stimuli"]]), ValueError,
     "over must be 'networks', 'stimuli', or both ... got [['stimuli']]. ... would draw anew."),
    ("a tolerance in words", lambda: rg.FrechetMean(M, tol="a").fit(P), ValueError, TOL),
    ("a tolerance of batches in words", lambda: rg.FrechetMean(M, tol="a").fit_batches([P]), ValueError, TOL),
    ("a tolerance of a path in words", lambda: rg.MeanPath(M, tol="a").fit([P, P]), ValueError, TOL),
    ("a tolerance of medians in words", lambda: rg.FrechetMedian(M, tol="a").fit(P), ValueError, TOL),
    ("a tolerance of geodesics in words",
     lambda: rg.GeodesicRegression(M, tol="a").fit(range(6), P), ValueError, TOL),
    ("a tolerance of scaling in words", lambda: rg.MetricMDS(tol="a").fit(T), ValueError,
     "tol must be positive ... got 'a'. ... 1e-7 is the default."),
    ("a tolerance that is True", lambda: rg.SphericalMDS(tol=True).fit(T), ValueError,
     "tol must be positive ... got True. ... 1e-7 is the default."),
    ("steps in words", lambda: rg.FrechetMean(M, max_iter="a").fit(P), ValueError,
     "max_iter must be a whole number, 0 or more ... got 'a'. ... 100 steps are enough for most."),
    ("steps of batches in words", lambda: rg.FrechetMean(M, max_iter="a").fit_batches([P]), ValueError,
     "max_iter must be a whole number, 0 or more ... got 'a'. ... 100 steps are enough for most."),
    ("steps of medians in words", lambda: rg.FrechetMedian(M, max_iter="a").fit(P), ValueError,
     "max_iter must be a whole number, 0 or more ... got 'a'. ... 200 steps are enough for most."),
    ("negative rounds", lambda: rg.TrimmedMean(M, max_iter=-1).fit(P), ValueError,
     "max_iter must be a whole number, 0 or more ... got -1. ... 50 rounds are enough for most."),
    ("a diagonal in words", lambda: rg.dynamic_time_warping(M, P, P, diagonal="a"), ValueError,
     "diagonal must be a positive weight ... got 'a'. ... or 2 for the symmetric form of Sakoe and Chiba."),
    ("a start in words", lambda: rg.FrechetMean(M, init="last").fit(P), ValueError,
     "init must be 'medoid', 'first' or a point ... got 'last'. ... Leave it out for 'medoid'."),
    ("a start that is a number", lambda: rg.FrechetMean(M, init=3).fit(P), ShapeError,
     "init must be a finite point of shape (10, 10) ... got (). ... Or use init='medoid'."),
    ("a start with nan", lambda: rg.FrechetMean(M, init=np.full((10, 10), NAN)).fit(P), ShapeError,
     "init must be a finite point of shape (10, 10) ... got (10, 10). ... Or use init='medoid'."),
    ("centers in words", lambda: rg.ManifoldKMeans(M, 2, init="a").fit(P), ValueError,
     "init must be 'k-means++' or 2 points ... got 'a'. ... Leave it out for 'k-means++'."),
    ("a tree that is not known", lambda: rg.hierarchical_clustering(T, "foo"), ValueError,
     "method must be one of single ... got 'foo'. ... 'average' suits any distance."),
    ("a tree that is a list", lambda: rg.hierarchical_clustering(T, ["ward"]), ValueError,
     "method must be one of single ... got ['ward']. ... 'average' suits any distance."),
    ("a manifold by name", lambda: rg.FrechetMean("angular_cka").fit(P), TypeError,
     "manifold must be a geoopt.Manifold ... got 'angular_cka'. ... not made yet: pass an instance."),
    # weights and labels
    ("weights for other points", lambda: rg.FrechetMean(M).fit(P, [1, 2]), ShapeError,
     "weights must have shape (6,) ... got (2,). ... Leave them out if all points count alike."),
    ("negative weights", lambda: rg.FrechetMean(M).fit(P, [-1, 1, 1, 1, 1, 1]), ValueError,
     "weights must be nonnegative ... got numbers from -1 to 1 with sum 4. ... all points count alike."),
    ("weights of zero", lambda: rg.KMedoids(2).fit(T, weights=[0] * 6), ValueError,
     "weights must be nonnegative ... got numbers from 0 to 0 with sum 0. ... all points count alike."),
    ("weights that are None", lambda: rg.FrechetMean(M).fit(P, [None] * 6), TypeError,
     "weights must be an array of real numbers ... got object. ... Use a tensor or an array of floats."),
    ("labels that are None", lambda: rg.NearestMean(M).fit(P, [None] * 6), ValueError,
     "y must hold labels of one kind ... got NoneType: ... GeodesicRegression is for a covariate."),
    ("labels of two kinds",
     lambda: rg.NearestMean(M).fit(P, np.array(["a", "b", 1, 2, 3, 4], dtype=object)), ValueError,
     "y must hold labels of one kind ... got int, str: ... GeodesicRegression is for a covariate."),
    ("a covariate for labels", lambda: rg.NearestMean(M).fit(P, [0.5, 1.5, 2.5, 0.1, 0.2, 0.3]), ValueError,
     "y must hold labels of one kind ... got float: ... GeodesicRegression is for a covariate."),
    ("ragged labels", lambda: rg.NearestMean(M).fit(P, [[0], [1, 2], [0], [0], [1], [1]]), ShapeError,
     "y must have shape (6,), one label for each point ... got ragged rows. ... booleans or text."),
    # points and paths
    ("scores with nan", lambda: rg.TangentPCA(M, 2).fit(P).inverse_transform([[1, 1], [NAN, 1]]), ValueError,
     "scores must be finite ... got nan or infinity (first: row 1). ... Leave these rows out."),
    ("a walk to nan", lambda: rg.TangentPCA(M, 2).fit(P).walk(0, [NAN]), ValueError,
     "scores must be finite ... got nan or infinity (first: row 0). ... Leave these rows out."),
    ("names that are a number", lambda: rg.describe_path(M, P, names=3), TypeError,
     "names must be a sequence, one for each of the 6 layers ... got 3. ... Name every layer."),
    ("activations for a target", lambda: rg.describe_path(M, P, X), ShapeError,
     "end must hold points ... got shape (10, 4) ... become points with metric.embed(x)."),
    ("activations for a start", lambda: rg.path_progress(M, P, X, P[-1]), ShapeError,
     "start must hold points ... got shape (10, 4) ... become points with metric.embed(x)."),
    ("a number for batches", lambda: rg.FrechetMean(M).fit_batches(3), TypeError,
     "batches must be stacks of points ... got int. ... or a function that returns an iterator."),
    ("a function that returns no batches", lambda: rg.FrechetMean(M).fit_batches(lambda: None), TypeError,
     "batches must be stacks of points ... got NoneType. ... or a function that returns an iterator."),
    # metrics, functions, and what they return
    ("a metric by name", lambda: rg.bootstrap_distance(X, Y, "angular_cka"), TypeError, NAMES),
    ("a metric of networks by name",
     lambda: rg.bootstrap_statistic(R, "angular_cka", mean), TypeError, NAMES),
    ("a metric of trials by name", lambda: rg.trial_noise(TRIALS, "angular_cka"), TypeError, NAMES),
    ("a metric of halves by name", lambda: rg.split_half_reliability(R, "angular_cka"), TypeError, NAMES),
    ("a metric that is a class", lambda: rg.bootstrap_distance(X, Y, rg.AngularCKA), TypeError, CLASS),
    ("a metric of halves that is a class",
     lambda: rg.split_half_reliability(R, rg.AngularCKA), TypeError, CLASS),
    ("a distance that is a class", lambda: rg.permutation_test(X, Y, rg.AngularCKA), TypeError, CLASS),
    ("a metric that is a bare manifold", lambda: rg.bootstrap_distance(X, Y, geoopt.Sphere()), TypeError,
     "metric must be a metric such as ... got Sphere manifold. ... pass the metric itself."),
    ("a pair without an embedding", lambda: rg.permutation_test(X, Y, (3, M)), TypeError,
     "distance must be a metric such as AngularCKA(), a pair (embedding, ... got (3, ... metric itself."),
    ("an aligning metric that is a class",
     lambda: rg.cross_validated_distance(X, Y, rg.AngularShape), TypeError,
     "metric must align one network ... got ... Take a metric out of geoopt.Scaled."),
    ("a distance in words",
     lambda: rg.permutation_test(X, Y, lambda x, y: "a", n_permutations=9), TypeError,
     "distance must return one number ... got 'a'. ... Return a float, or a tensor with one entry."),
    ("no distance", lambda: rg.bootstrap_distance(X, Y, lambda x, y: None), TypeError,
     "metric must return one number ... got None. ... Return a float, or a tensor with one entry."),
    ("a complex distance", lambda: rg.bootstrap_distance(X, Y, lambda x, y: 1j), TypeError,
     "metric must return one number ... got 1j. ... Return a float, or a tensor with one entry."),
    ("three distances", lambda: rg.bootstrap_distance(X, Y, lambda x, y: torch.zeros(3)), ShapeError,
     "metric must return one number ... got shape (3,). ... Reduce it, for example with .mean()."),
    ("a statistic that is a number", lambda: rg.bootstrap_statistic(R, M, 3), TypeError,
     "statistic must be a function of distances and weights ... got 3. ... w.sum((-2, -1))."),
    ("a statistic in words", lambda: rg.bootstrap_statistic(R, M, lambda d, w: "a"), TypeError,
     "statistic must return a tensor ... got str. ... Compute it from distances and weights with torch."),
    ("no statistic", lambda: rg.bootstrap_statistic(R, M, lambda d, w: None), TypeError,
     "statistic must return a tensor ... got NoneType. ... from distances and weights with torch."),
    # counts without bounds
    ("endless permutations", lambda: rg.permutation_test(X, Y, M, n_permutations=MANY), ValueError,
     "n_permutations must be at most 100000000 here ... got 1000000000000. ... p-values down to 0.001."),
    ("endless labelings", lambda: rg.permanova(T, L, n_permutations=MANY), ValueError,
     "n_permutations must be at most 166666666 here ... got 1000000000000. ... p-values down to 0.001."),
    ("endless resamples", lambda: rg.bootstrap_distance(X, Y, M, n_resamples=MANY), ValueError,
     "n_resamples " + ROOM),
    ("endless resamples of networks",
     lambda: rg.bootstrap_statistic(R, M, mean, n_resamples=MANY), ValueError,
     "n_resamples must be at most 27777777 here ... got 1000000000000. ... 999 of them are usual."),
    ("endless resamples of a mean", lambda: rg.bootstrap_mean(M, P, n_resamples=MANY), ValueError,
     "n_resamples must be at most 166666666 here ... got 1000000000000. ... 999 of them are usual."),
    ("endless halves of trials", lambda: rg.trial_noise(TRIALS, M, n_splits=MANY), ValueError,
     "n_splits must be at most 250000000 here ... got 1000000000000. ... 100 of them are usual."),
    ("endless halves of stimuli", lambda: rg.split_half_reliability(R, M, n_splits=MANY), ValueError,
     "n_splits " + ROOM),
    ("endless axes", lambda: rg.ClassicalMDS(10**9).fit(T), ValueError,
     "n_components must be at most 31622 here ... got 1000000000. ... have 5 at most; more are zero."),
    ("endless axes of a search", lambda: rg.MetricMDS(10**9).fit(T), ValueError,
     "n_components must be at most 31622 here ... got 1000000000. ... have 5 at most; more are zero."),
    ("endless axes of a sphere", lambda: rg.SphericalMDS(10**9).fit(T), ValueError,
     "n_components must be at most 31622 here ... got 1000000000. ... have 5 at most; more are zero."),
    ("endless axes for one point", lambda: rg.ClassicalMDS(10**9).fit([[0.0]]), ValueError,
     "n_components must be at most 31622 here ... got 1000000000. ... One point needs none."),
    ("endless starts", lambda: rg.MetricMDS(n_init=10**9).fit(T), ValueError,
     "n_init must be at most 55555555 here ... got 1000000000. ... 4 is the default."),
    ("endless starts of medoids", lambda: rg.KMedoids(2, n_init=10**9).fit(T), ValueError,
     "n_init must be at most 83333333 here ... got 1000000000. ... 4 is the default."),
    ("endless starts of means", lambda: rg.ManifoldKMeans(M, 2, n_init=10**9).fit(P), ValueError,
     "n_init must be at most 5000000 here ... got 1000000000. ... 4 is the default."),
    ("an endless path", lambda: rg.resample_path(M, P, MANY), ValueError,
     "k must be at most 10000000 here ... got 1000000000000. ... Ask for fewer points."),
    ("an endless mean path", lambda: rg.MeanPath(M, MANY).fit([P, P]), ValueError,
     "n_points must be at most 5000000 here ... got 1000000000000. ... Ask for fewer points."),
    # tables near the largest number
    ("distances that cannot be squared", lambda: rg.ClassicalMDS().fit(T * 1e300), ValueError,
     "distances must have squares that float64 can add ... got up to 1.41e+3 ... what is found by it."),
    ("distances that no search can square", lambda: rg.MetricMDS().fit(T * 1e300), ValueError,
     "distances must have squares that float64 can add ... got up to 1.41e+3 ... what is found by it."),
    ("new distances that cannot be squared", lambda: rg.MetricMDS().fit(T).transform(T * 1e300), ValueError,
     "distances must have squares that float64 can add ... got up to 1.41e+3 ... what is found by it."),
    ("distances that float32 cannot square", lambda: rg.ClassicalMDS().fit(T.float() * 1e30), ValueError,
     "distances must have squares that float32 can add ... got up to 1.41e+3 ... what is found by it."),
    ("a sphere as large as numbers", lambda: rg.SphericalMDS(radius=1e300).fit(T), ValueError,
     "radius must be positive and finite ... got 1e+300. ... must be finite, too; 1 is right for radians."),
    ("distances that cannot be added", lambda: rg.KMedoids(2).fit(T * 1e308), ValueError,
     "distances must have a finite sum ... got up to 1.41e+30 ... largest: the clusters stay the same."),
    ("distances without a power", lambda: rg.energy_test(T * 1e300, L, exponent=2), ValueError,
     "distances must have a finite power 2 ... got up to 1.41e+30 ... largest: the p-value stays the same."),
    # files
    ("a number for a file", lambda: rg.FrechetMean.load(3, M), TypeError,
     "path must be the name of a file ... got int. ... Give a string or a path."),
    ("a file that is not there", lambda: rg.FrechetMean.load("absent.npz", M), FileNotFoundError,
     "path must be an existing file ... got absent.npz. ... relative to the working directory, HERE."),
    ("a folder for a file", lambda: rg.FrechetMean.load(".", M), IsADirectoryError,
     "path must be a file that save() wrote ... got the folder .. ... Name the file."),
]
# fmt: on


@pytest.mark.parametrize(
    ("call", "error", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_input_is_refused_in_words(call, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = time.monotonic()
    check_refused(call, error, words.replace("HERE", os.getcwd()))
    assert time.monotonic() - start < 5


# ------------------------------------------------- what is not refused, and is right


@pytest.mark.parametrize("unit", [2.0**-1000, 1e-300, 1e300, 2.0**1022])
def test_tests_of_groups_do_not_depend_on_the_unit(unit):
    for test in (rg.permanova, rg.energy_test):
        here, there = test(T, L), test(T * unit, L)
        assert there.pvalue == here.pvalue
        assert there.pvalue > 0
        factor = 1.0 if test is rg.permanova else unit
        assert there.statistic / factor == pytest.approx(here.statistic, rel=1e-12)


def test_squares_that_underflow_leave_the_p_value_as_it_is():
    here, there = (rg.energy_test(T * unit, L, exponent=2) for unit in (1.0, 1e-300))
    assert there.pvalue == here.pvalue
    assert there.statistic == 0


def test_points_may_be_an_array_or_a_list():
    expected = rg.frechet_mean(M, P)
    torch.testing.assert_close(rg.frechet_mean(M, P.numpy()), expected, rtol=0, atol=0)
    torch.testing.assert_close(rg.frechet_mean(M, list(P)), expected, rtol=0, atol=0)
    variance = rg.frechet_variance(M, P)
    torch.testing.assert_close(rg.frechet_variance(M, P.numpy()), variance, rtol=0, atol=0)
    torch.testing.assert_close(rg.frechet_variance(M, list(P)), variance, rtol=0, atol=0)


def test_a_list_of_points_keeps_its_gradient():
    flat = [p.clone().requires_grad_() for p in torch.tensor([[0.0], [4.0]])]
    rg.frechet_mean(rg.Flat(1), flat, [3.0, 1.0]).sum().backward()
    assert [float(p.grad) for p in flat] == pytest.approx([0.75, 0.25])


def test_a_start_may_be_an_array():
    start = rg.FrechetMean(M, init=P[1].numpy()).fit(P)
    torch.testing.assert_close(start.mean_, rg.FrechetMean(M).fit(P).mean_, rtol=0, atol=1e-8)


# ------------------------------------------------------------- files that were tampered with


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "mean.npz"
    rg.FrechetMean(M).fit(P).save(path)
    return path


def parts(path):
    """Members of an npz file as bytes, and its description."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(str(np.load(streams.BytesIO(members["description.npy"]))))
    return members, described


def npy(array):
    file = streams.BytesIO()
    np.save(file, array)
    return file.getvalue()


def described_as(path, **changes):
    """The file with another description."""
    members, described = parts(path)
    members["description.npy"] = npy(np.array(json.dumps(described | changes)))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def claim(*shape):
    """An npy header of that many numbers."""
    file = streams.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


UNREADABLE = "does not hold an estimator that can be read. ... Use a file that save() wrote."


def deflated(path):
    """Eight megabytes of zeros in eight kilobytes, under a header that claims eight gigabytes."""
    members, _ = parts(path)
    members["results.mean_.npy"] = claim(2**30) + bytes(2**23)
    keep = ("results.mean_.npy", "description.npy")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in keep:
            archive.writestr(name, members[name])


def lying_header(path):
    """A header of eight gigabytes that nothing follows."""
    members, _ = parts(path)
    members["results.mean_.npy"] = claim(2**30)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def lying_archive(path):
    """A list of contents that says eight gigabytes of what has none."""
    members, _ = parts(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, claim(2**30) if name == "results.mean_.npy" else data)
        info = archive.getinfo("results.mean_.npy")
        info.file_size = info.compress_size = 2**33


def lying_description(path):
    """A description of two gigabytes of text."""
    members, _ = parts(path)
    file = streams.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<U500000000", "fortran_order": False, "shape": ()})
    members["description.npy"] = file.getvalue() + bytes(2**21)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("description.npy", members["description.npy"])


def overlapping(path):
    """A thousand entries that are all the same bytes."""
    members, _ = parts(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("description.npy", members["description.npy"])
        archive.writestr("a.npy", npy(np.zeros(500)))
        first = archive.getinfo("a.npy")
        archive.filelist.extend([first] * 40)


LARGER, OTHER = "compressed, or larger than the file", "another number of bytes than the header says"


@pytest.mark.parametrize(
    ("bomb", "cause"),
    [
        (deflated, LARGER),
        (lying_header, OTHER),
        (lying_archive, LARGER),
        (lying_description, LARGER),
        (overlapping, LARGER),
    ],
)
def test_a_bomb_is_refused_at_once(bomb, cause, saved):
    bomb(saved)
    assert saved.stat().st_size < 10_000
    start = time.monotonic()
    error = check_refused(lambda: rg.FrechetMean.load(saved, M), ValueError, UNREADABLE)
    assert time.monotonic() - start < 1
    assert cause in str(error.__cause__)


def test_only_what_the_description_names_is_read(saved):
    # An array that nothing names may be as damaged as it likes.
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("other.npy", claim(2**40))
    loaded = rg.FrechetMean.load(saved, M)
    torch.testing.assert_close(loaded.mean_, rg.FrechetMean(M).fit(P).mean_, rtol=0, atol=0)


def test_the_version_is_looked_at_before_the_tensors(saved):
    described_as(saved, format=99, results={"mean_": {"tensor": "absent"}})
    check_refused(
        lambda: rg.FrechetMean.load(saved, M),
        ValueError,
        "has format 99, and this version of repsim_geo reads up ... Install a newer version.",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "x"},
        {"format": True},
        {"format": 0},
        {"estimator": 3},
        {"manifold": 3},
        {"parameters": [1]},
        {"results": None},
    ],
    ids=str,
)
def test_another_description_is_refused(changes, saved):
    described_as(saved, **changes)
    error = check_refused(lambda: rg.FrechetMean.load(saved, M), ValueError, UNREADABLE)
    assert str(error.__cause__) == "another description"


@pytest.mark.parametrize(
    "changes",
    [
        {"results": {"mean_": {"tensor": "absent"}}},
        {"results": {"mean_": {"tensor": [1]}}},
        {"results": {"mean_": {"object": "results.mean_"}}},
    ],
    ids=str,
)
def test_names_of_no_tensor_are_refused(changes, saved):
    described_as(saved, **changes)
    check_refused(lambda: rg.FrechetMean.load(saved, M), ValueError, UNREADABLE)


@pytest.mark.parametrize("key", ["format", "estimator", "manifold", "parameters", "results"])
def test_a_description_that_lacks_something_is_refused(key, saved):
    members, described = parts(saved)
    del described[key]
    members["description.npy"] = npy(np.array(json.dumps(described)))
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    check_refused(lambda: rg.FrechetMean.load(saved, M), ValueError, UNREADABLE)


def test_parameters_of_no_such_name_are_refused(saved):
    described_as(saved, parameters={"tol": None, "evil": 3})
    check_refused(
        lambda: rg.FrechetMean.load(saved, M),
        ValueError,
        "must hold parameters of FrechetMean (init, max_iter, tol) ... got 'evil'. ... that save() wrote.",
    )


@pytest.mark.parametrize("name", ["fit", "__class__", "_private_", "load", "tol"])
def test_results_cannot_replace_what_an_estimator_is(name, saved):
    described_as(saved, results={name: 3})
    check_refused(
        lambda: rg.FrechetMean.load(saved, M),
        ValueError,
        f"must hold results, whose names end in _ ... got '{name}'. ... Use a file that save() wrote.",
    )


def test_an_estimator_without_its_manifold_is_refused(saved):
    described_as(saved, manifold=None)
    check_refused(
        lambda: rg.FrechetMean.load(saved),
        ValueError,
        "must name the manifold of an estimator that has one ... got none for FrechetMean. ... wrote.",
    )


def test_a_manifold_of_an_estimator_without_one_is_refused(tmp_path):
    path = tmp_path / "medoids.npz"
    rg.KMedoids(2).fit(T).save(path)
    described_as(path, manifold=repr(M))
    check_refused(
        lambda: rg.KMedoids.load(path, M),
        ValueError,
        "must name the manifold of an estimator that has one ... got one for KMedoids. ... save() wrote.",
    )


def test_a_path_may_be_an_object_that_names_a_file(saved):
    assert rg.FrechetMean.load(str(saved), M).converged_
    assert rg.FrechetMean.load(Path(saved), M).converged_
