"""
Bad input at every door: a typed error, raised on purpose, that says what was expected, what came, what to do.

Nor does a bad call change what it was given, run what a file holds, leave a file behind, move the global
generator, or take long. `test_doors.py` has what all metrics share; the tests of each module have the rest.
"""

import ast
import io as streams
import json
import linecache
import os
import pickle
import sys
import time
import zipfile
from pathlib import Path

import geoopt
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from typer.testing import CliRunner

import repsim_geo as rg
from repsim_geo import ShapeError, cli, io, optim, recipes, verify, viz
from repsim_geo.compat import geomstats, netrep, repsim, rsatoolbox, similarity_repository
from repsim_geo.extract import extract

D = torch.float64
generator = torch.Generator().manual_seed(0)
X, Y = (torch.randn(10, d, dtype=D, generator=generator) for d in (4, 6))
R = [torch.randn(10, 4, dtype=D, generator=generator) for _ in range(6)]
NAN = X.clone()
NAN[3, 1] = float("nan")

M = rg.AngularCKA()
P = torch.stack([M.embed(x) for x in R])  # points,
PN = P.clone()  # and with one that failed
PN[2, 0, 0] = float("nan")
L = [0, 0, 0, 1, 1, 1]

T = M.cdist(P, P)  # a table of distances,
TN, TA = T.clone(), T.clone()  # with a pair that failed, and with one that differs across the diagonal
TN[1, 2] = TN[2, 1] = float("nan")
TA[1, 2] += 1

NET = torch.nn.Sequential(torch.nn.Linear(4, 3))
GIVEN = (X, Y, *R, NAN, P, PN, T, TN, TA, *NET.parameters())
KNOWN = ", ".join(rg.available_metrics()) + "."  # how the list of metrics ends


def distance(x, y):
    return 0.0


class Evil:
    """Writes a file where it is unpickled."""

    def __reduce__(self):
        return (Path.write_text, (Path("unpickled"), "evil"))


def npy_that_claims(*shape):
    """An npy file of that many numbers, of which there are none."""
    file = streams.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of files that are damaged, malicious or something else."""
    here = tmp_path_factory.mktemp("bad")
    good = np.random.default_rng(0).standard_normal((10, 4))
    objects = np.empty((10, 4), dtype=object)
    objects[:] = Evil()

    for name in ("notes.txt", "text.npy", "text.csv"):
        (here / name).write_text("hello, this is text")
    for name in ("empty.npy", "empty.npz", "empty.safetensors"):
        (here / name).write_bytes(b"")
    np.save(here / "good.npy", good)
    np.save(here / "other.npy", good[::-1])
    np.save(here / "short.npy", good[:9])
    np.save(here / "pickled.npy", objects, allow_pickle=True)
    np.save(here / "whole.npy", np.ones((10, 4), int))
    np.save(here / "flat.npy", np.ones(10))
    np.savez(here / "good.npz", head=good)
    np.savez(here / "pickled.npz", head=objects, description=objects)
    (here / "pickle.npy").write_bytes(pickle.dumps(Evil()))
    (here / "cut.npy").write_bytes((here / "good.npy").read_bytes()[:200])
    (here / "cut.npz").write_bytes((here / "good.npz").read_bytes()[:-40])
    (here / "taken").mkdir()
    (here / "taken" / "thesis.txt").write_text("precious")

    mean = here / "mean.npz"
    rg.FrechetMean(M).fit(P).save(mean)
    (here / "cut_mean.npz").write_bytes(mean.read_bytes()[:-100])
    with np.load(mean) as file:
        tomorrow = json.loads(str(file["description"])) | {"format": 99, "parameters": {}, "results": {}}
        np.savez(here / "tomorrow.npz", description=np.array(json.dumps(tomorrow)))
        described = streams.BytesIO()
        np.save(described, file["description"])
    for name in ("claims.npz", "huge_mean.npz"):
        with zipfile.ZipFile(here / name, "w") as archive:
            archive.writestr("results.mean_.npy", npy_that_claims(10**9, 10**6))
            archive.writestr("description.npy", described.getvalue())
    return here


def contents(here):
    return {str(p.relative_to(here)): p.stat().st_mtime_ns for p in here.rglob("*") if p.is_file()}


@pytest.fixture
def bad(folder, monkeypatch):
    """Works in the folder, and sees afterwards that nothing was changed."""
    monkeypatch.chdir(folder)
    files, state = contents(folder), torch.get_rng_state()
    given = [x.detach().numpy().tobytes() for x in GIVEN]
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 5
    assert [x.detach().numpy().tobytes() for x in GIVEN] == given
    assert torch.equal(torch.get_rng_state(), state)
    assert contents(folder) == files


# fmt: off
CASES = [
    # activations
    ("inputs that are not the same", lambda: rg.compare(X, X[:8]), ShapeError,
     "x and y must describe the same ... got 10 rows and 8 rows. ... of y; select the common inputs first."),
    ("nan in a layer", lambda: rg.compare(NAN, X), ValueError,
     "x must be finite ... got nan or infinity in 1 of 10 rows ... or find the layer that overflows."),
    ("infinity in a network of many", lambda: rg.pairwise([X, Y, X / 0]), ValueError,
     "reps[2] must be finite ... got nan or infinity in 10 of 10 ... or find the layer that overflows."),
    ("a dead layer", lambda: rg.pairwise([X, torch.ones(10, 3, dtype=D)]), rg.DegenerateRepresentationError,
     "reps[1] is constant: all rows are equal, so there ... a dead layer, or leave this network out."),
    ("a single input", lambda: rg.compare(X[:1], X[:1]), ShapeError,
     "AngularCKA needs at least 3 inputs (rows) ... got 1 in x. ... rows are inputs and columns are units."),
    ("one unit as a row", lambda: rg.compare(X[0], X), ShapeError,
     "x must have shape (m, d), m inputs ... got shape (4,). ... unit is a column: use x[:, None]."),
    ("six axes", lambda: rg.compare(torch.zeros(1, 1, 1, 1, 1, 1), X), ShapeError,
     "x must have shape (m, d) ... got (1, 1, 1, 1, 1, 1). ... the axes that belong together."),
    ("whole numbers", lambda: rg.compare(X.long(), X), TypeError,
     "x must hold float32 or float64 numbers ... got int64. ... (torch) or x.astype('float64') (numpy)."),
    ("half precision", lambda: rg.compare(X.half(), X), TypeError,
     "x must hold float32 or float64 numbers ... got float16. ... (torch) or x.astype('float64') (numpy)."),
    ("two precisions", lambda: rg.compare(X.float(), Y), TypeError,
     "x and y must have one dtype ... got float32 and float64. ... one of them, for example y.to(x.dtype)."),
    ("two devices", lambda: rg.compare(X, X.to("meta")), ValueError,
     "x and y must be on one device ... got cpu and meta. ... one of them, for example y.to(x.device)."),
    ("batches of different sizes",
     lambda: rg.compare(torch.zeros(2, 10, 4), torch.zeros(3, 10, 4)), ShapeError,
     "x and y must have equally many ... got 2 and 3. ... i with entry i; pairwise() compares all."),
    ("a list of networks for one", lambda: M.embed([X, Y]), ShapeError,
     "x must be the activations of one network ... got a list of 2. ... for x in networks])."),
    ("rows with other names",
     lambda: rg.compare(rg.Activations(X, range(10)), rg.Activations(Y, range(1, 11))),
     rg.MismatchedRowsError,
     "x and y must describe ... got only in x: 0; only in y: 10. ... common ones from both: .select(ids)."),
    ("too few names of rows", lambda: rg.Activations(X, ids=["a", "b"]), ShapeError,
     "ids must be one for each of 10 rows ... got 2. ... Name every row once."),
    ("a name for two rows", lambda: rg.Activations(X, ids=[1] * 10), ValueError,
     "ids must be different ... got 1 more than once. ... of an input that was shown twice."),
    ("names that are fractions", lambda: rg.Activations(X, ids=[1.5] * 10), TypeError,
     "ids must be all strings or all integers ... got float. ... Turn them into strings."),
    ("a number for names", lambda: rg.Activations(X, ids=3), TypeError,
     "ids must be a sequence of strings ... got 3. ... Write one for each row."),
    ("selecting a row that is not there",
     lambda: rg.Activations(X, ids=range(10)).select([11]), rg.MismatchedRowsError,
     "ids must be names of rows ... got 1 that are not: 11. ... This has 10 rows: 0, 1, 2, ...."),
    ("selecting from rows without names", lambda: rg.Activations(X).select([1]), rg.MismatchedRowsError,
     "rows must have names ... got activations without. ... are made: Activations(values, ids)."),
    ("layers of different inputs", lambda: rg.ActivationSet({"a": X, "b": Y[:5]}), ShapeError,
     "all layers must have the same ... got 10 rows of 'a' and 5 ... Give layers of one set of inputs."),
    # names and options of metrics
    ("a metric that is not known", lambda: rg.compare(X, Y, "cka"), rg.UnknownMetricError,
     "no metric called 'cka'. Did you mean 'angular_cka'? ... " + KNOWN),
    ("a metric that is a number", lambda: rg.compare(X, Y, 3), TypeError,
     "method must be a metric's name, a metric, or a pair ... got int. ... " + KNOWN),
    ("a metric that is not made yet", lambda: rg.compare(X, Y, rg.AngularCKA), TypeError,
     "method must be a metric ... got the class AngularCKA. ... Call it: AngularCKA()."),
    ("an option of another metric", lambda: rg.compare(X, Y, "stress", debiased=True), TypeError,
     "stress has no option 'debiased'. Its options: kernel ... Remove it, or choose another metric."),
    ("an option with a wrong name", lambda: rg.pairwise([X, Y], blok=3), TypeError,
     "angular_cka has no option 'blok'. Its options: kernel ... Remove it, or choose another metric."),
    ("an option for a metric that is made", lambda: rg.compare(X, Y, M, debiased=True), TypeError,
     "options ['debiased'] apply ... got AngularCKA. ... to the constructor of the metric instead."),
    ("a name that is taken", lambda: rg.register_metric("angular_cka", rg.AngularCKA), ValueError,
     "a metric called 'angular_cka' exists already. ... Choose another name."),
    ("a factory that makes no metric", lambda: rg.register_metric("mine", lambda: 3), TypeError,
     "the factory of 'mine' must give a metric ... to its arguments, with functools.partial."),
    ("a factory that cannot be called", lambda: rg.register_metric("mine", 3), TypeError,
     "the factory of 'mine' must give a metric ... to its arguments, with functools.partial."),
    ("whitening above 1", lambda: rg.AngularShape(whiten=2), ValueError,
     "whiten must lie between 0 (rotations only) ... got 2. ... Other tools' alpha is 1 - whiten."),
    ("whitening that is nan", lambda: rg.SizeAndShape(whiten=float("nan")), ValueError,
     "whiten must lie between 0 (rotations only) ... got nan. ... Other tools' alpha is 1 - whiten."),
    ("no columns", lambda: rg.AngularShape(p=0), ValueError,
     "p must be a positive whole number ... got 0. ... None keeps all."),
    ("columns that are True", lambda: rg.AngularShape(p=True), ValueError,
     "p must be a positive whole number ... got True. ... None keeps all."),
    ("half a column", lambda: rg.SoftMatching(p=1.5), ValueError,
     "p must be a positive whole number ... got 1.5. ... None takes the width from the networks."),
    ("negative dimensions", lambda: rg.LinearSubspace(k=-1), ValueError,
     "k must be a positive whole number ... got -1. ... None keeps all."),
    ("more dimensions than units",
     lambda: rg.compare(X, Y, "linear_subspace", k=50), rg.DegenerateRepresentationError,
     "the units span only 4 dimensions, and 50 ... that are silent or combinations of others."),
    ("subspaces of different dimensions", lambda: rg.compare(X, Y, "linear_subspace"), ShapeError,
     "spaces of different dimensions have no geodesics ... components, or allow unequal=True."),
    ("covariances of different widths", lambda: rg.compare(X, Y, "affine_invariant", mode="cov"), ShapeError,
     "AffineInvariant of covariances compares ... got [4, 6]. ... the variances of principal components."),
    ("a negative ridge", lambda: rg.AffineInvariant(ridge=-1), ValueError,
     "ridge must be zero or positive, or None ... got -1. ... for Gram matrices, and 0 for covariances."),
    ("a kernel of covariances", lambda: rg.LogEuclidean("cov", kernel=rg.RBF()), ValueError,
     "kernel goes with mode='gram': a covariance of units has none. ... Leave it out."),
    ("a kernel of correlations", lambda: rg.AngularRDM("correlation", kernel=rg.RBF()), ValueError,
     "the 'correlation' dissimilarity has no kernel ... got RBF( ... with 'sqeuclidean' and 'euclidean'."),
    ("noise of other inputs",
     lambda: rg.AngularRDM(whitened=True, noise_covariance=torch.eye(3)).embed(X), ShapeError,
     "the noise covariance is of 3 inputs, and there ... covariance of the inputs that are compared."),
    ("noise that is a vector",
     lambda: rg.AngularRDM(whitened=True, noise_covariance=torch.ones(10)), ValueError,
     "noise_covariance must be a symmetric ... got shape (10,). ... of variances v becomes torch.diag(v)."),
    ("dissimilarities that are not square",
     lambda: rg.AngularRDM().embed_dissimilarities(torch.zeros(3, 4)), ShapeError,
     "d must be a square matrix ... got (3, 4). ... turns a condensed vector into one."),
    ("dissimilarities that are all zero",
     lambda: rg.AngularRDM().embed_dissimilarities(torch.zeros(5, 5)), rg.DegenerateRepresentationError,
     "nothing is left of the dissimilarities: they are zero ... Use other inputs, or centered=False."),
    ("means weighed too much", lambda: rg.StochasticShape(mean_weight=3), ValueError,
     "mean_weight must lie between 0 (covariances ... got 3. ... 1 is the Wasserstein distance."),
    ("too few starts", lambda: rg.StochasticShape(starts=0), ValueError,
     "starts must be a whole number, at least 3 ... got 0. ... More starts miss less."),
    ("a point that no activations have", lambda: M.realize(-P[0]), rg.NotOnManifoldError,
     "the point is on the manifold of AngularCKA, but no ... what is nearest to them, can be realized."),
    ("activations for a point", lambda: M.realize(X), rg.NotOnManifoldError,
     "point must lie on the manifold ... got shape (10, 4). ... Use embed(x) or projx(x)."),
    ("a blend beyond its ends", lambda: M.blend(7, X, Y), ValueError,
     "t, the first argument, must be a number ... got 7. ... Beyond, a Gram matrix would be subtracted."),
    # kernels and scores
    ("a negative length", lambda: rg.RBF(-1), ValueError,
     "a length scale must be positive ... got -1.0. ... Use Median() to choose it from data."),
    ("a negative multiple", lambda: rg.RBF("-1*median"), ValueError,
     "the multiple of the median must be positive ... got -1.0. ... The default is 1."),
    ("a quantile above 1", lambda: rg.RBF("quantile(2)"), ValueError,
     "a quantile must lie between 0 and 1 ... got 2.0. ... The median is 0.5."),
    ("a degree of zero", lambda: rg.Polynomial(0), ValueError,
     "degree must be a positive whole number ... got 0. ... Linear() has degree 1."),
    ("a negative constant", lambda: rg.Polynomial(2, -1), ValueError,
     "constant must be zero or positive ... got -1. ... matrix would not be positive semidefinite."),
    ("gamma of zero", lambda: rg.Polynomial(gamma=0), ValueError,
     "gamma must be positive ... got 0. ... It multiplies inner products."),
    ("a negative weight", lambda: rg.RBF() * -1, ValueError,
     "the weight of a kernel must be a positive ... got -1.0. ... the kernel out instead of a weight 0."),
    ("an angle to the origin", lambda: rg.angle_matrix(torch.zeros(4, 3)), rg.DegenerateRepresentationError,
     "an angle needs two directions, and row 0 is zero ... this input out, or use distance_matrix()."),
    ("too few inputs to debias", lambda: rg.cka(X[:3], Y[:3], debiased=True), ShapeError,
     "cka() needs at least 4 inputs (rows) ... got 3 in x. ... rows are inputs and columns are units."),
    ("a share above 1", lambda: rg.svcca(X, Y, 2), ValueError,
     "variance must be a share above 0 ... got 2. ... 0.99 is customary; 1 keeps all."),
    ("scores of other inputs", lambda: rg.pwcca(X, Y[:5]), ShapeError,
     "x and y must describe the same ... got 10 rows and 5 rows. ... of y; select the common inputs first."),
    # many networks
    ("a matrix for a list", lambda: rg.pairwise(X), ShapeError,
     "a tensor of networks must have shape (n ... got (10, 4). ... Give a list of (m, d) tensors instead."),
    ("a batch in a list", lambda: rg.pairwise([torch.zeros(2, 10, 4, dtype=D), X]), ShapeError,
     "reps[0] must be one representation ... got shape (2, 10, 4). ... Flatten tokens or positions first."),
    ("other inputs on the other side", lambda: rg.pairwise([X, Y], others=[X[:5]]), ShapeError,
     "reps[0] and others[0] must describe ... got 10 rows and 5 rows. ... select the common inputs first."),
    ("memory for nothing", lambda: rg.plan_pairwise([X, Y], memory=10), ValueError,
     "memory must be enough ... got 10 B: the smallest tiles ... or compare fewer networks at a time."),
    ("no workers", lambda: rg.pairwise([X, Y], n_jobs=0), ValueError,
     "n_jobs must be a number of workers, or -1 ... got 0. ... takes what joblib.parallel_config says."),
    ("no networks in a block", lambda: rg.pairwise([X, Y], block=0), ValueError,
     "block must be a positive number of networks ... got 0. ... The default is 16."),
    ("a route that is not known", lambda: rg.pairwise([X, Y], route="foo"), ValueError,
     "route must be 'features' or 'tiles' ... got 'foo'. ... None takes the cheapest."),
    ("a device that is not there", lambda: rg.pairwise([X, Y], device="gpu"), ValueError,
     "device must be a device that torch can ... got 'gpu'. ... out to compute where the first network is."),
    ("a store that is a number", lambda: rg.pairwise([X, Y], store=3), TypeError,
     "store must be the name of a folder ... got int. ... Give a string or a path."),
    ("a store that is a file", lambda: rg.pairwise([X, Y], store="text.npy"), NotADirectoryError,
     "store must be a folder ... got 'text.npy', which is a file ... the name of a folder, or a new name."),
    ("a store among other files", lambda: rg.pairwise([X, Y], store="taken"), ValueError,
     "store must be a new or empty folder ... got 'taken', which holds other files ... Use another folder."),
    ("a function of whole numbers", lambda: rg.pairwise([X, lambda: X.long()]), TypeError,
     "reps[1] must hold float32 or float64 ... got int64. ... or reps[1].astype('float64') (numpy)."),
    # manifolds
    ("a quotient of vectors", lambda: rg.Quotient(rg.Flat(1)), ValueError,
     "Quotient needs a space of matrices that ... got Flat(ndim=1 ... with or without ColumnCentered()."),
    ("a quotient of a foreign sphere", lambda: rg.Quotient(geoopt.Sphere()), ValueError,
     "Quotient needs a space of matrices ... got Sphere manifold. ... with or without ColumnCentered()."),
    ("points of different widths", lambda: rg.SizeAndShape().dist(X, Y), ShapeError,
     "points must have equally many columns ... got 4 and 6. ... or through metric.resolve([x, y])."),
    ("a ladder without steps", lambda: rg.pole_ladder(M, P[0], P[1], P[2], steps=0), ValueError,
     "pole_ladder needs at least one step ... got steps=0. ... Four are a good start."),
    ("a path of no manifold", lambda: rg.path_length(3, P), TypeError,
     "a path is a geoopt.Manifold and a tensor ... got int and Tensor. ... Stack points with torch.stack."),
    ("a path that is one point", lambda: rg.arc_lengths(M, P[0]), ShapeError,
     "a path on a manifold of points with 2 ... got (10, 10). ... points with torch.stack(points, dim=-3)."),
    ("coordinates for no axes", lambda: rg.classical_mds(T, n_components=0), ValueError,
     "classical_mds of 6 points finds 1 to 6 ... got n_components=0. ... Leave it out to keep all."),
    # points
    ("nan in a point", lambda: rg.FrechetMean(M).fit(PN), ValueError,
     "points must be finite ... got nan or infinity in point 2. ... Remove the networks that failed."),
    ("activations for points", lambda: rg.FrechetMean(M).fit(torch.stack([X, X])), ShapeError,
     "points do not fit the manifold: 'x' ... got shape (10, 4). ... become points with metric.embed(x)."),
    ("one point for many", lambda: rg.FrechetMedian(M).fit(P[0]), ShapeError,
     "points must have shape (n, *point) ... got (10, 10). ... of one population along a leading axis."),
    ("points off the manifold", lambda: rg.TangentPCA(M).fit(2 * P), rg.NotOnManifoldError,
     "points must lie on the manifold ... Use metric.embed(x) or manifold.projx(x)."),
    ("points of a foreign manifold", lambda: rg.FrechetMean(geoopt.Sphere()).fit(X), rg.NotOnManifoldError,
     "points must lie on the manifold Sphere manifold ... Use metric.embed(x) or manifold.projx(x)."),
    ("no points", lambda: rg.FrechetMean(M).fit(P[:0]), ShapeError,
     "at least 1 point is needed ... got none. ... Add networks."),
    ("one point for a plane", lambda: rg.TangentPCA(M).fit(P[:1]), ShapeError,
     "at least 2 points are needed ... got 1. ... Add networks."),
    ("points of different sizes", lambda: rg.FrechetMean(M).fit([P[0], P[1][:5, :5]]), ShapeError,
     "points must have one shape ... got (5, 5), (10, 10). ... then metric.embed(x) of each."),
    ("points in words", lambda: rg.FrechetMean(M).fit(["a", "b"]), TypeError,
     "points must be float32 or float64 numbers ... got a list of str. ... Stack them with torch.stack."),
    ("objects for points", lambda: rg.FrechetMean(M).fit(P.numpy().astype(object)), TypeError,
     "points must be float32 or float64 numbers ... got object. ... whole numbers with points.double()."),
    ("weights in words", lambda: rg.FrechetMean(M).fit(P, weights="heavy"), TypeError,
     "weights must be an array of real numbers ... got <U5. ... Use a tensor or an array of floats."),
    ("a negative tolerance", lambda: rg.FrechetMean(M, tol=-1).fit(P), ValueError,
     "tol must be positive or None ... got -1. ... None takes what the dtype allows."),
    ("a start of another size", lambda: rg.FrechetMean(M, init=X).fit(P), ShapeError,
     "init must be a finite point of shape (10 ... got (10, 4). ... Or use init='medoid'."),
    ("no batches", lambda: rg.FrechetMean(M).fit_batches([]), ValueError,
     "batches must yield stacks of points ... got none. ... Pass at least one stack."),
    ("angles for cosines", lambda: rg.FrechetMean(M).fit_cosines(T), ValueError,
     "cosines must be inner products ... got a matrix with eigenvalue -1 ... without debiasing give one."),
    ("cosines of no sphere", lambda: rg.FrechetMean(rg.Flat()).fit_cosines(torch.eye(3)), TypeError,
     "fit_cosines is for spheres ... got Flat(ndim=2, subspace=Everything()) ... Use fit with points."),
    ("points without a gradient", lambda: rg.frechet_mean(M, PN), ValueError,
     "points must be finite ... got nan or infinity in point 2. ... Remove the networks that failed."),
    ("all points trimmed", lambda: rg.TrimmedMean(M, trim=0.9).fit(P), ValueError,
     "trim must be a share from 0 to below 0.5 ... got 0.9. ... 0.1 is usual."),
    ("more components than there are", lambda: rg.TangentPCA(M, n_components=99).fit(P), ValueError,
     "n_components must be a whole number from 1 ... got 99. ... None takes all there are."),
    ("a component that is not there", lambda: rg.TangentPCA(M, 2).fit(P).walk(5, [0, 1]), ValueError,
     "component must be a whole number from 0 ... got 5. ... n_components_ says how many there are."),
    ("scores of other components",
     lambda: rg.TangentPCA(M, 2).fit(P).inverse_transform(torch.zeros(3, 5)), ShapeError,
     "scores must have shape (q, 2), a column ... got (3, 5). ... Use what transform returns."),
    ("a covariate of other points", lambda: rg.GeodesicRegression(M).fit([1, 2, 3], P), ShapeError,
     "covariate must have ... got 3 values and 6 points. ... order is fit(covariate, points)."),
    ("a constant covariate", lambda: rg.GeodesicRegression(M).fit([1] * 6, P), ValueError,
     "covariate must not ... got 1 for all points (of ... slope; FrechetMean finds the mean."),
    ("a covariate with nan",
     lambda: rg.GeodesicRegression(M).fit([1, 2, 3, 4, 5, float("nan")], P), ValueError,
     "covariate must be finite ... got nan or infinity. ... Leave these points out."),
    ("points before the covariate", lambda: rg.GeodesicRegression(M).fit(P, [1, 2, 3, 4, 5, 6]), ShapeError,
     "covariate must be real ... got torch.float64 of shape ... the order is fit(covariate, points)."),
    ("labels of other points", lambda: rg.NearestMean(M).fit(P, [0, 1]), ShapeError,
     "y must have shape (6,), one label ... got (2,). ... are whole numbers, booleans or text."),
    ("more clusters than points", lambda: rg.ManifoldKMeans(M, 99).fit(P), ShapeError,
     "n_clusters=99 needs at least 99 networks ... got 6. ... Lower n_clusters."),
    ("no clusters", lambda: rg.ManifoldKMeans(M, 0).fit(P), ValueError,
     "n_clusters must be a whole number, 1 ... got 0. ... 1 is the least that makes sense."),
    # tables of distances
    ("points for distances", lambda: rg.KMedoids(2).fit(P), ShapeError,
     "distances must be a square ... got shape (6, 10, 10). ... makes a matrix of a condensed vector."),
    ("nan among distances", lambda: rg.medoid(TN), ValueError,
     "distances must be finite ... got nan or infinity in row 1 ... where weights of pairs are taken."),
    ("negative distances", lambda: rg.hierarchical_clustering(-T), ValueError,
     "distances must not be negative ... got -1.4 ... Turn similarities into distances first."),
    ("similarities for distances", lambda: rg.energy_test(torch.eye(6), L), ValueError,
     "distances must be zero on the diagonal ... got 1. ... Turn similarities into distances first."),
    ("distances that are not symmetric", lambda: rg.MetricMDS().fit(TA), ValueError,
     "distances must be symmetric ... got entries that differ by ... + distances.T) / 2 if that is meant."),
    ("distances that are not square", lambda: rg.ClassicalMDS().fit(T[:4]), ShapeError,
     "distances must be a square matrix ... got shape (4, 6). ... cdist of a metric, computes all pairs."),
    ("distances in ragged rows", lambda: rg.SphericalMDS().fit([[0, 1], [1]]), TypeError,
     "distances must be an array ... got list that is none: setting ... Use numbers in rows of one length."),
    ("new points without all distances", lambda: rg.ClassicalMDS().fit(T).transform(T[:, :2]), ShapeError,
     "distances must have a column for each ... got (6, 2). ... are rows: metric.cdist(new, fitted)."),
    ("no axes", lambda: rg.MetricMDS(0).fit(T), ValueError,
     "n_components must be a whole number, 1 ... got 0. ... 1 is the least that makes sense."),
    ("weights that leave points alone", lambda: rg.MetricMDS().fit(T, weights=torch.zeros(6, 6)), ValueError,
     "weights must connect all points ... got 6 groups without ... leave out points without distances."),
    ("negative weights of pairs", lambda: rg.MetricMDS().fit(T, weights=-torch.ones(6, 6)), ValueError,
     "weights must be finite and not negative ... got others. ... Use zero for missing distances."),
    ("a sphere of no radius", lambda: rg.SphericalMDS(radius=0).fit(T), ValueError,
     "radius must be positive and finite ... got 0. ... 1 is right for radians."),
    ("distances that no sphere holds", lambda: rg.SphericalMDS(radius=0.1).fit(T), ValueError,
     "distances must be at most pi times ... got 1.4 ... radius, or MetricMDS if they are no angles."),
    ("more groups than networks", lambda: rg.hierarchical_clustering(T).labels(99), ValueError,
     "n_clusters must be a whole number from 1 ... got 99. ... Ask for fewer."),
    # tests and intervals
    ("labels of other networks", lambda: rg.energy_test(T, [0, 1]), ShapeError,
     "labels must be a sequence of 6 labels ... got 2 entries. ... Give one label for each row."),
    ("labels of one group", lambda: rg.permanova(T, [0] * 6), ValueError,
     "labels must name at least two groups ... got 0 only. ... A test of groups compares groups."),
    ("a group for every network", lambda: rg.permanova(T, range(6)), ValueError,
     "some group must have at least ... got one network in each. ... with; add networks or merge groups."),
    ("labels with nan", lambda: rg.energy_test(T, [0, 0, 0, 1, 1, float("nan")]), ValueError,
     "labels must not contain nan. ... Leave those rows out."),
    ("groups of one", lambda: rg.frechet_anova(M, P, range(6)), ValueError,
     "every group must have at least three ... got 1 in 0. ... use energy_test, which can do with fewer."),
    ("an exponent beyond 2", lambda: rg.energy_test(T, L, exponent=3), ValueError,
     "exponent must be above 0 and at most 2 ... got 3. ... 1 is usual."),
    ("no permutations", lambda: rg.energy_test(T, L, n_permutations=0), ValueError,
     "n_permutations must be a whole number, 1 ... got 0. ... 999 of them give p-values down to 0.001."),
    ("nothing to permute", lambda: rg.energy_test(T, L, restrict=range(6)), ValueError,
     "at least two networks of different ... got a label in restrict of its own ... Use coarser labels."),
    ("tables of different sizes", lambda: rg.mantel_test(T, T[:3, :3]), ShapeError,
     "a, b and control must be of one size, 3 ... got (6, 6), (3, 3). ... Use the same networks in all."),
    ("a table of equal distances", lambda: rg.mantel_test(T, torch.zeros(6, 6)), ValueError,
     "b must have entries that differ ... got 0 everywhere off ... check that the networks differ."),
    ("a correlation that is not known", lambda: rg.mantel_test(T, T, method="foo"), ValueError,
     "method must be 'pearson' or 'spearman' ... got 'foo'. ... Choose one of the two."),
    ("a control that explains all", lambda: rg.mantel_test(T, T, control=T), ValueError,
     "control must not be a linear function ... got a correlation of 1: it leaves ... Leave it out."),
    ("a distance by name", lambda: rg.permutation_test(X, Y, "angular_cka"), TypeError,
     "distance must be a metric ... got 'angular_cka'. ... are for compare(): pass the metric itself."),
    ("a distance of three numbers",
     lambda: rg.permutation_test(X, Y, lambda x, y: torch.zeros(3)), ShapeError,
     "distance must return one number for two ... got shape (3,). ... Reduce it, for example with .mean()."),
    ("a distance that is nan",
     lambda: rg.permutation_test(X, Y, lambda x, y: float("nan"), n_permutations=9), ValueError,
     "distances must be finite ... got nan or infinity in 10 ... at the function that compares them."),
    ("a similarity that is a distance", lambda: rg.calibrate(X, Y, M, similarity=True), ValueError,
     "similarity=True needs a function ... got AngularCKA, which is ... Leave similarity out."),
    ("a level of significance above 1", lambda: rg.calibrate(X, Y, M, alpha=2), ValueError,
     "alpha must be between 0 and 1 ... got 2. ... 0.05 is usual."),
    ("layers that are no list", lambda: rg.calibrate_table(X, [Y], M), TypeError,
     "reps_x must be a list of activations (m ... got Tensor. ... Put a single one in a list."),
    ("resampling of other inputs", lambda: rg.bootstrap_distance(X, Y[:5], M), ShapeError,
     "x and y must describe the same ... got 10 rows and 5 rows. ... of y; select the common inputs first."),
    ("too few resamples", lambda: rg.bootstrap_distance(X, Y, M, n_resamples=1), ValueError,
     "n_resamples must be a whole number, 20 ... got 1. ... 20 is the least that makes sense."),
    ("a level of confidence above 1", lambda: rg.bootstrap_mean(M, P, level=2), ValueError,
     "level must lie between 0 and 1 ... got 2. ... 0.95 is usual."),
    ("too few inputs to resample", lambda: rg.bootstrap_distance(X[:3], Y[:3], M), ShapeError,
     "3 stimuli are too few to resample: method='half' leaves 1 different ones ... Record at least 6."),
    ("a statistic that is a vector",
     lambda: rg.bootstrap_statistic(R, M, lambda d, w: torch.zeros(2), n_resamples=20), ShapeError,
     "statistic must return one number ... got (2,) for distances ... Reduce the last two axes only."),
    ("resampling one network", lambda: rg.bootstrap_statistic([X], M, lambda d, w: d.mean()), ShapeError,
     "reps must hold at least 2 networks ... got 1. ... Add networks."),
    ("groups of other networks",
     lambda: rg.bootstrap_statistic(R, M, lambda d, w: d.mean(), groups=[0]), ShapeError,
     "groups must be a sequence of 6 labels ... got 1 entries. ... Give one label for each row."),
    ("a metric that learns nothing", lambda: rg.cross_validated_distance(X, Y, M), TypeError,
     "metric must align one network ... got ... Take a metric out of geoopt.Scaled."),
    ("more folds than inputs",
     lambda: rg.cross_validated_distance(X, Y, rg.AngularShape(), n_splits=99), ShapeError,
     "10 stimuli in 99 folds leave too few to align by ... Record more stimuli, or change n_splits."),
    ("two networks to rank", lambda: rg.split_half_reliability([X, Y], M), ShapeError,
     "reps must hold at least 3 networks ... got 2. ... Add networks."),
    ("one measurement", lambda: rg.trial_noise(X[None], M), ShapeError,
     "trials must have shape (r, m, d) ... got (1, 10, 4). ... is for many networks measured once."),
    # paths of layers
    ("no paths", lambda: rg.MeanPath(M).fit([]), ShapeError,
     "at least one path is needed ... got none. ... Add networks."),
    ("a path with nan", lambda: rg.WarpedMeanPath(M).fit([P, PN]), ValueError,
     "path 1: points must be finite ... got nan or infinity in point ... Remove the networks that failed."),
    ("paths of different lengths", lambda: rg.MeanPath(M).fit([P, P[:3]]), ShapeError,
     "paths must have equally many ... got between 3 and 6. ... they are resampled by arc length."),
    ("a path of one layer", lambda: rg.resample_path(M, P, 1), ValueError,
     "k must be at least 2, the ends of the path ... got 1. ... Ask for more points."),
    ("names of other layers", lambda: rg.describe_path(M, P, names=["a"]), ShapeError,
     "names must be one for each of the 6 layers ... got 1. ... Name every layer."),
    ("paths that do not align", lambda: rg.aligned_distance(M, P, P[:3]), ShapeError,
     "paths must have equally many points ... got 6 and 3. ... resample_path, or use dynamic_time_warping."),
    ("steps that weigh nothing", lambda: rg.dynamic_time_warping(M, P, P, diagonal=0), ValueError,
     "diagonal must be a positive weight ... got 0. ... for the symmetric form of Sakoe and Chiba."),
    ("a number for paths", lambda: rg.pairwise_time_warping(M, 3), TypeError,
     "paths must be a list of stacks (k_i ... got int. ... with one stack of layers for each network."),
    # names of other packages
    ("another regularization", lambda: netrep.LinearMetric(alpha=2), ValueError,
     "alpha must lie between 0 (any linear map) and 1 ... got 2. ... The default is 1."),
    ("a score before the alignment",
     lambda: netrep.LinearMetric().score(X.numpy(), X.numpy()), NotFittedError,
     "score() needs the alignment that fit() finds ... LinearMetric has none. ... or fit_score(X, Y)."),
    ("points that have no dissimilarities", lambda: rsatoolbox.to_rsatoolbox(P, M), TypeError,
     "metric must be Stress or AngularRDM ... got AngularCKA. ... matrices of them, and no metric."),
    ("dissimilarities of other inputs", lambda: rsatoolbox.calc_rdm([X, Y[:5]]), ShapeError,
     "networks must describe the same inputs ... got [10, 5] rows. ... Select the common inputs first."),
    ("a measure that is not known", lambda: similarity_repository.measure("foo"), rg.UnknownMetricError,
     "no measure called 'foo' ... those of other repositories are in similarity-repository itself."),
    ("a manifold that geomstats lacks", lambda: geomstats.to_geomstats(P[0], 3), TypeError,
     "geomstats has no counterpart of int. ... AngularCKA, AngularRDM, and their manifolds."),
    ("frames for projectors", lambda: geomstats.from_geomstats(X, rg.Grassmannian()), ShapeError,
     "must be projectors (m, m) ... got shape (10, 4). ... A frame x has the projector x @ x.T."),
    ("no inputs of a space", lambda: repsim.AngularCKA(m=0), ValueError,
     "m must be a positive whole number ... got 0. ... repsim fixes it: m=x.shape[0]."),
    # optimization
    ("a start that is no point", lambda: optim.minimize(M, torch.sum, X), ShapeError,
     "x0 must hold points (*batch, *point) ... got shape (10, 4). ... become points with metric.embed(x)."),
    ("a start with nan", lambda: optim.minimize(M, torch.sum, PN[2]), ValueError,
     "x0 must be finite ... got nan or infinity. ... Start from another point."),
    ("a start off the manifold", lambda: optim.minimize(M, torch.sum, 2 * P[0]), rg.NotOnManifoldError,
     "x0 must lie on the manifold ... Use metric.embed(x) or manifold.projx(x)."),
    ("a start in words", lambda: optim.minimize(M, torch.sum, "a"), TypeError,
     "x0 must be float32 or float64 numbers ... got str. ... convert whole numbers with x0.double()."),
    ("a function without a tensor", lambda: optim.minimize(M, lambda z: 3.0, P[0]), TypeError,
     "fun must return a tensor of real numbers ... got float. ... Compute it from its argument with torch."),
    ("a function of many values", lambda: optim.minimize(M, lambda z: z, P[0]), ShapeError,
     "fun must return one value for each ... got (10, 10). ... of a point, -2, -1, and keep the batch."),
    ("a function without a gradient", lambda: optim.minimize(M, lambda z: z.detach().sum(), P[0]), ValueError,
     "fun must be differentiable ... got values without a history. ... without detach(), item() or numpy."),
    ("a function that is nan", lambda: optim.minimize(M, lambda z: z.sum() * float("nan"), P[0]), ValueError,
     "fun and its gradient ... got nan or infinity. ... Start where the function is defined."),
    ("a method that is not known", lambda: optim.minimize(M, torch.sum, P[0], "foo"), ValueError,
     "method must be one of lbfgs ... got 'foo'. ... Begin with 'lbfgs'."),
    ("a negative gradient", lambda: optim.minimize(M, torch.sum, P[0], tol=-1), ValueError,
     "tol must be a gradient norm, zero or more ... got -1. ... None chooses one that rounding permits."),
    ("steps in words", lambda: optim.minimize(M, torch.sum, P[0], max_iter="a"), ValueError,
     "max_iter must be a whole number, zero ... got 'a'. ... Leave it out for the default."),
    ("no samples", lambda: optim.wrapped_normal(M, P[0], 1.0, -1), ValueError,
     "n must be a positive whole number of points ... got -1. ... A single point is n=1."),
    ("a parameter on no cone", lambda: optim.ParallelAdam([X.clone()]), ValueError,
     "ParallelAdam needs positive ... got a plain parameter. ... geoopt.optim.RiemannianAdam takes any."),
    # recipes
    ("one time", lambda: recipes.interpolate(X, Y, 0.5), ValueError,
     "times must be a row of finite numbers ... got 0.5. ... Both ends and the middle are [0, 0.5, 1]."),
    ("times with nan", lambda: recipes.interpolate(X, Y, [float("nan")]), ValueError,
     "times must be a row of finite numbers ... got [nan]. ... Both ends and the middle are [0, 0.5, 1]."),
    ("a time that no network has", lambda: recipes.interpolate(X, Y, [2.0]), rg.NotOnManifoldError,
     "the point is on the manifold of AngularCKA, but no ... what is nearest to them, can be realized."),
    ("no teachers", lambda: recipes.mean_of_teachers([]), ShapeError,
     "mean_of_teachers() needs at least ... got none. ... Pass a list of activations."),
    ("teachers of other inputs", lambda: recipes.mean_of_teachers([X, Y[:5]]), ShapeError,
     "teachers[0] and teachers[1] ... got 10 rows and 5 rows. ... select the common inputs first."),
    ("a margin of nothing", lambda: recipes.RepresentationLoss(margin=0.1), ValueError,
     "margin goes with away=True ... got 0.1 with away=False. ... Leave it out."),
    ("activations for the point of a loss",
     lambda: recipes.RepresentationLoss(point=X), rg.NotOnManifoldError,
     "point must lie on the manifold ... got shape (10, 4). ... to the call, loss(activations, target)."),
    ("rows of other inputs",
     lambda: recipes.RepresentationLoss(point=P[0])(X[:5], rows=[100] * 5), ShapeError,
     "rows must be from 0 to 9, the inputs ... got 100 to 100. ... as they were when the point was made."),
    ("a mean of no batches", lambda: recipes.MinibatchCKA().compute(), ValueError,
     "MinibatchCKA.compute() needs a batch ... got none. ... Call update(x, y) first."),
    ("a momentum of 2", lambda: recipes.MinibatchCKALoss(momentum=2), ValueError,
     "momentum must be a number from 0 to below 1 ... got 2. ... 0.9 looks back ten batches."),
    ("bounds in the wrong order",
     lambda: recipes.optimal_stimuli(torch.tanh, torch.exp, X, bounds=(1, 0)), ValueError,
     "bounds must be two numbers, the lower first ... got (1, 0). ... Gray levels have (0, 1)."),
    ("networks without gradients", lambda: recipes.optimal_stimuli(torch.detach, torch.detach, X), ValueError,
     "first must be differentiable ... got a representation without ... detach(), numpy() or no_grad()."),
    ("rows for truth values",
     lambda: recipes.read_out_along(X, Y, [0, 1] * 5, [0.5], train=[0, 2, 4]), ShapeError,
     "train must be a truth value ... got int64 of shape (3,). ... other row: numpy.arange(m) % 2 == 0."),
    ("a negative scale", lambda: recipes.sample_around(M, P[0], -1, 3), ValueError,
     "scale must be a positive number ... got -1. ... networks is sqrt(variance_ / dimension)."),
    ("distances to other anchors", lambda: recipes.trilaterate(M, P, [1, 2]), ShapeError,
     "distances must have shape (6,) ... got (2,). ... Leave an anchor out with weight zero."),
    ("negative distances to anchors", lambda: recipes.trilaterate(M, P, [-1] * 6), ValueError,
     "distances must be finite ... got [-1.0, -1.0, -1.0, -1.0 ... Leave an anchor out with weight zero."),
    # verification
    ("a law that is not known", lambda: verify.law("distance_to_self_is_zer"), ValueError,
     "no law called 'distance_to_self_is_zer'. Did you mean ... See repsim_geo.verify.LAWS for names."),
    ("a scene that is not known", lambda: verify.check_distance(distance, scenes=["foo"]), ValueError,
     "no scene called 'foo'. ... tiny, huge, different_sizes, constant."),
    ("an invariance that is not known",
     lambda: verify.check_distance(distance, invariances=["foo"]), ValueError,
     "no invariance called 'foo'. ... linear map, invertible affine map."),
    ("an expectation of no law",
     lambda: verify.check_distance(distance, expected_failures={"foo": "bar"}), ValueError,
     "expected_failures names unknown laws: ['foo']. ... See repsim_geo.verify.LAWS."),
    # pictures
    ("a picture of words", lambda: viz.distance_heatmap("a"), TypeError,
     "distances must be an array of real numbers ... got <U1. ... Use a tensor or an array of floats."),
    ("names of other rows", lambda: viz.distance_heatmap(T, ["a"]), ShapeError,
     "labels must have one name for each of 6 ... got 1. ... Give them in the same order."),
    ("a map of nan", lambda: viz.embedding_map(torch.full((5, 2), float("nan"))), ValueError,
     "coordinates must be finite ... got nan or infinity at [0, 0] ... Leave out the networks that failed."),
    ("a map of three axes", lambda: viz.embedding_map(torch.zeros(5, 3)), ShapeError,
     "coordinates must hold a position ... got (5, 3). ... the distances to two dimensions first."),
    ("a globe of no radius", lambda: viz.globe_view(torch.eye(3), radius=0), ValueError,
     "radius must be a positive number ... got 0. ... SphericalMDS has it; it is 1 for angles."),
    ("paths that are a number", lambda: viz.layer_paths(3), TypeError,
     "paths must be a mapping from a name ... got int. ... Use a dictionary such as {'a': ...}."),
    ("no nulls", lambda: viz.permutation_nulls({}, {}), ShapeError,
     "nulls must name at least one entry ... got none. ... Look for an empty selection."),
    # files
    ("a file that is not there", lambda: rg.pairwise([X, "absent.npy"]), FileNotFoundError,
     "reps[1] must be an existing file ... got ... relative to the working directory, HERE."),
    ("a file of another kind", lambda: io.load_activations("notes.txt"), ValueError,
     "must be a file that ends in .npy, .npz ... got ... or with safetensors.torch.save_file."),
    ("a text called npy", lambda: io.load_activations("text.npy"), ValueError,
     "must be a .npy file as numpy.save ... got b'hello,'. ... that it is complete, or write it again."),
    ("an empty npy", lambda: rg.pairwise([X, "empty.npy"]), ValueError,
     "reps[1] ... got 0. ... that it is complete, or write it again."),
    ("an empty npz", lambda: io.load_activations("empty.npz"), ValueError,
     "must be a zip archive ... got something that cannot ... that it is complete, or write it again."),
    ("an empty safetensors", lambda: io.load_activations("empty.safetensors"), ValueError,
     "must be a safetensors file ... got something that cannot ... that it is complete, or write it again."),
    ("a cut npy", lambda: rg.pairwise([X, "cut.npy"]), ValueError,
     "reps[1] ... got 200. ... cut off or changed; write or copy it again."),
    ("a cut npz", lambda: io.load_activations("cut.npz"), ValueError,
     "must be a zip archive ... got something that cannot ... that it is complete, or write it again."),
    ("an npy of objects", lambda: rg.pairwise([X, "pickled.npy"]), TypeError,
     "reps[1] must hold float32 or float64 ... got object in ... .astype('float32'), and write it again."),
    ("an npz of objects", lambda: io.load_activations("pickled.npz"), ValueError,
     "must hold activations ... got none among its arrays ... them with .astype('float32')."),
    ("an npy that is a pickle", lambda: io.load_activations("pickle.npy"), ValueError,
     "must be a .npy file ... got b'\\x80\\x04\\x95J\\x00\\x00'. ... it is complete, or write it again."),
    ("an npy of whole numbers", lambda: rg.pairwise([X, "whole.npy"]), TypeError,
     "reps[1] must hold float32 or float64 ... got int64 in HERE/whole.npy. ... and write it again."),
    ("an npy with one axis", lambda: rg.pairwise([X, "flat.npy"]), ShapeError,
     "reps[1] must have shape (m, d), m inputs by ... got shape (10,). ... It was read from HERE/flat.npy."),
    ("a bomb of activations", lambda: io.load_activations("claims.npz"), ValueError,
     "must have 4000000000000175 bytes ... got 175. ... cut off or changed; write or copy it again."),
    ("a layer that is not there", lambda: io.load_activations("good.npz", ["tail"]), ValueError,
     "no layer called 'tail' in ... Known: head."),
    ("a layer that leads out", lambda: io.save_activations({"../evil": X}, "new.npz"), ValueError,
     "new.npz cannot hold a layer called '../evil': names of files must lie ... Rename the layer."),
    ("layers of other inputs in a file",
     lambda: io.save_activations({"a": X, "b": Y[:5]}, "new.npz"), ShapeError,
     "all layers must have the same ... got 10 rows of 'a' and 5 ... Give layers of one set of inputs."),
    ("activations without a name", lambda: io.save_activations(X, "new.npz"), TypeError,
     'layers must be a mapping from names ... got Tensor. ... Write {"layer": activations}.'),
    ("a format that is not written", lambda: io.save_activations({"a": X}, "new.pt"), ValueError,
     "activations are written to .npz ... got 'new.pt'. ... Choose one of these."),
    ("a matrix for a table", lambda: io.save_distances(T, "new.csv"), TypeError,
     "table must be a DistanceTable ... got Tensor. ... Write DistanceTable(distances, names)."),
    ("a table of another kind", lambda: io.save_distances(io.DistanceTable(T), "new.txt"), ValueError,
     "distances are kept in .csv, .npz ... got 'new.txt'. ... Choose one of these."),
    ("names for other rows", lambda: io.DistanceTable(T, ["a"]), ShapeError,
     "rows must be a name for each of 6 ... got 1. ... Name every network once."),
    ("a table that is not there", lambda: io.load_distances("absent.csv"), FileNotFoundError,
     "a table of distances must be an existing ... got absent.csv. ... Names are relative to HERE."),
    ("a table that is text", lambda: io.load_distances("text.csv"), ValueError,
     "text.csv must be a table ... got something else: 1 lines. ... Write it with save_distances()."),
    ("an empty estimator", lambda: rg.FrechetMean.load("empty.npz", M), ValueError,
     "empty.npz does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("a cut estimator", lambda: rg.FrechetMean.load("cut_mean.npz", M), ValueError,
     "cut_mean.npz does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("an estimator that is text", lambda: rg.FrechetMean.load("text.npy", M), ValueError,
     "text.npy does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("an estimator without a description", lambda: rg.FrechetMean.load("good.npz", M), ValueError,
     "good.npz does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("an estimator with objects", lambda: rg.FrechetMean.load("pickled.npz", M), ValueError,
     "pickled.npz does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("an estimator that is a pickle", lambda: rg.FrechetMean.load("pickle.npy", M), ValueError,
     "pickle.npy does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("an estimator that claims a petabyte", lambda: rg.FrechetMean.load("huge_mean.npz", M), ValueError,
     "huge_mean.npz does not hold an estimator that can be read. ... Use a file that save() wrote."),
    ("an estimator of tomorrow", lambda: rg.FrechetMean.load("tomorrow.npz"), ValueError,
     "tomorrow.npz has format 99, and this version of repsim_geo reads up ... Install a newer version."),
    ("another estimator", lambda: rg.FrechetMedian.load("mean.npz", M), ValueError,
     "mean.npz holds a FrechetMean, not a FrechetMedian. ... Use FrechetMean.load(path)."),
    ("an estimator of another manifold", lambda: rg.FrechetMean.load("mean.npz", rg.Stress()), ValueError,
     "mean.npz was written for the manifold ... got Stress(kernel=Linear() ... Pass that manifold."),
    ("a seed that no file holds",
     lambda: rg.KMedoids(2, seed=torch.Generator()).fit(T).save("new.npz"), TypeError,
     "parameters.seed is a Generator, which a file without pickle ... Use numbers, text or tensors."),
    # extraction
    ("a model by name", lambda: extract("net", X, "0"), TypeError,
     "model must be a torch.nn.Module ... got str. ... function in a module with a forward method."),
    ("a layer of another model", lambda: extract(NET, X.float(), "nope"), ValueError,
     "layers must be names of submodules ... got 'nope', which is none. ... Known: 0."),
    ("data that are a number", lambda: extract(NET, 3, "0"), TypeError,
     "data must be a DataLoader, an iterable ... got int. ... Write [batch] for a single batch."),
    ("a batch in words", lambda: extract(NET, [X.float(), "a"], "0"), TypeError,
     "a batch must be a tensor, a tuple that ... got a str. ... Run the model on it with forward=."),
    ("names of other inputs in data", lambda: extract(NET, X.float(), "0", ids=["a"]), ShapeError,
     "ids must name every input ... got 1 for more than 1 inputs. ... Give one for each."),
    # what was found by trying, and mended
    ("distances that overflow", lambda: rg.compare(X.float() * 1e20, Y.float() * 1e20, "stress"), ValueError,
     "distances must be finite ... got nan or infinity in 1 of 1 ... or convert them to float64."),
    ("pairs that overflow", lambda: rg.pairwise([X.float() * 1e20, Y.float() * 1e20], "stress"), ValueError,
     "pairwise(): distances must be finite ... got nan or infinity in ... or convert them to float64."),
    ("a masked array", lambda: rg.compare(np.ma.masked_array(X.numpy(), X.numpy() > 0), Y), TypeError,
     "x must be an array without a mask ... got a masked one. ... x.filled(value), or drop the rows."),
    ("a sparse matrix", lambda: rg.compare(X.to_sparse(), Y), TypeError,
     "x must be a dense tensor ... got layout torch.sparse_coo. ... Use x.to_dense()."),
    ("a name where numbers belong", lambda: rg.compare("good.npy", X), TypeError,
     "x must be a tensor or an array ... got the name 'good.npy'. ... or give names to pairwise()."),
    ("ragged rows", lambda: rg.compare([[1.0, 2.0], [3.0]], X), TypeError,
     "x must be a tensor or an array ... got list ... Give rows of equal length, one for each input."),
    ("activations that are text", lambda: rg.Activations("a"), TypeError,
     "activations must be an array with a row ... got str ... Give rows of equal length."),
    ("layers without names", lambda: rg.ActivationSet([X, Y]), TypeError,
     'layers must be a mapping ... got list. ... Write {"layer": activations}.'),
    ("one name instead of a list", lambda: rg.Activations(X, range(10)).select(3), TypeError,
     "ids must be a sequence of names ... got 3. ... Write [3] for one."),
    ("a table of text", lambda: io.DistanceTable("a"), TypeError,
     "distances must be a matrix ... got str ... pairwise() makes one."),
    ("a table with a number for names", lambda: io.DistanceTable(T, 3), TypeError,
     "rows must be a sequence of names ... got 3. ... Give one for each network."),
    ("a file in no folder", lambda: io.save_activations({"a": X}, "nowhere/a.npz"), FileNotFoundError,
     "a file must lie in a folder that exists ... got 'nowhere/a.npz'. ... folder first, or choose another."),
    ("an extraction to no folder", lambda: extract(NET, X.float(), "0", to="no/a.npz"), FileNotFoundError,
     "must lie in a folder that exists ... got 'no/a.npz'. ... folder first, or choose another."),
    ("a table in no folder", lambda: io.save_distances(io.DistanceTable(T), "no/d.csv"), FileNotFoundError,
     "must lie in a folder that exists ... got 'no/d.csv'. ... folder first, or choose another."),
    ("many networks in one name", lambda: rg.pairwise("good.npy"), TypeError,
     "reps must be a sequence or mapping ... got str. ... Put a single one in a list."),
]
# fmt: on


def check_words(message, words):
    """Parts of the message in their order: what was expected, what came, and at its end what to do."""
    parts = words.split(" ... ")
    assert len(parts) > 1
    places = [message.find(part) for part in parts]
    assert -1 not in places, message
    assert places == sorted(places), message
    assert message.endswith(parts[-1]), message


@pytest.mark.parametrize(
    ("call", "error", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_input_is_refused_in_words(call, error, words, bad):
    with pytest.raises(error) as raised:
        call()
    assert raised.type is error
    check_words(str(raised.value).replace("\n", " ").replace(os.getcwd(), "HERE"), words)

    # Raised on purpose: a statement of the package, not a formula that failed.
    last = raised.traceback[-1]
    assert Path(rg.__file__).parent in Path(last.path).parents
    assert linecache.getline(str(last.path), last.lineno + 1).strip().startswith("raise")


# ------------------------------------------------------------------ the command line

COMMANDS = [
    (
        "mean good.npy other.npy good.npz --output good.npz",
        "must not replace what it is made of ... got good.npz. ... another file.",
    ),
    (
        "pairwise good.npy ./good.npy",
        "must be given once ... got good.npy more than once. ... Leave one out.",
    ),
    (
        "compare whole.npy good.npy",
        "must hold float32 or float64 ... got int64 in HERE/whole.npy. ... and write it again.",
    ),
    ("compare empty.npy good.npy", "must be a .npy file ... Check that it is complete, or write it again."),
    ("compare empty.npz good.npy", "must be a zip archive ... Check that it is complete, or write it again."),
    ("compare empty.safetensors good.npy", "must be a safetensors file ... complete, or write it again."),
    ("compare cut.npy good.npy", "must have 448 bytes for (10, 4) ... got 200. ... write or copy it again."),
    ("compare cut.npz good.npy", "must be a zip archive ... Check that it is complete, or write it again."),
    ("compare pickle.npy good.npy", "must be a .npy file ... Check that it is complete, or write it again."),
    (
        "compare flat.npy good.npy",
        "must have shape (m, d) ... got shape (10,). ... It was read from HERE/flat.npy.",
    ),
    ("compare good.npy good.npz::tail", "no array called 'tail' in HERE/good.npz. ... Known: head."),
    ("compare good.npy::head good.npz", "one array without a name ... got 'head'. ... Use 'HERE/good.npy'."),
    ("compare good.npy good.npz extra.npy", "unexpected extra argument ... See repsim-geo compare --help."),
    ("compare good.npy good.npz --zzz", "No such option: --zzz ... See repsim-geo compare --help."),
    ("compare good.npy good.npz -o =3", "--option must be KEY=VALUE ... got '=3'. ... --option whiten=0.5."),
    (
        "compare good.npy good.npz -o whiten=",
        "KEY=VALUE ... got 'whiten='. ... Write for example --option whiten=0.5.",
    ),
    (
        "compare good.npy good.npz -m angular_shape -o whiten=abc",
        "whiten must lie ... got 'abc'. ... is 1 - whiten.",
    ),
    (
        "compare good.npy good.npz -o kernel=RBF(-1)",
        "must be positive ... got -1.0. ... choose it from data.",
    ),
    (
        "compare good.npy good.npz --output absent/d.csv",
        "a directory that exists ... got absent/d.csv. ... Choose another name.",
    ),
    ("pairwise taken", "taken must hold activations ... got a folder without. ... Give another one."),
    (
        "pairwise good.npy short.npy",
        "the same inputs ... got 10 rows and 9 rows. ... select the common inputs first.",
    ),
    ("pairwise good.npy other.npy --jobs many", "--jobs ... See repsim-geo pairwise --help."),
    (
        "pairwise good.npy other.npy --memory 10",
        "memory must be enough ... got 10 B ... compare fewer networks at a time.",
    ),
    (
        "pairwise good.npy other.npy --store taken",
        "a new or empty folder ... got 'taken' ... Use another folder.",
    ),
    ("mean good.npy", "this needs at least 2 networks ... got 1. ... Give more files, or a folder of files."),
    (
        "mean good.npy short.npy",
        "the same inputs ... got 10 rows and 9 rows. ... select the common inputs first.",
    ),
    (
        "mean good.npy other.npy --output taken",
        "a mean is written to a file ... got taken. ... Choose another name.",
    ),
    ("path good.npy", "this needs at least 2 networks ... got 1. ... Give more files, or a folder of files."),
    (
        "path good.npy other.npy --target absent.npy",
        "an existing file ... got HERE/absent.npy ... directory, HERE.",
    ),
    (
        "path good.npy other.npy --target short.npy",
        "the same inputs ... got 10 rows and 9 rows. ... common inputs first.",
    ),
    ("embed absent.csv", "must be an existing file ... got absent.csv. ... Names are relative to HERE."),
    (
        "embed text.csv",
        "must be a table of distances ... got something else: 1 lines. ... with save_distances().",
    ),
    ("embed good.npy other.npy -k 0", "--components ... See repsim-geo embed --help."),
    (
        "embed good.npy other.npy --output d.txt",
        "a file that ends in .csv ... got d.txt. ... Choose another name.",
    ),
    ("metrics angular_ck", "no metric called 'angular_ck'. Did you mean 'angular_cka'? ... " + KNOWN),
    ("verify absent_module:x", "no module called 'absent_module' ... where the module is, or install it."),
    ("verify angular_cka --m many", "--m ... See repsim-geo verify --help."),
    ("demo --zzz", "No such option: --zzz ... See repsim-geo demo --help."),
]


@pytest.mark.parametrize(("arguments", "words"), COMMANDS, ids=[command[0] for command in COMMANDS])
def test_bad_commands_are_refused_in_one_line(arguments, words, bad):
    result = CliRunner().invoke(cli.app(), arguments.split(), prog_name="repsim-geo")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("repsim-geo")
    check_words(result.stderr.strip().replace(os.getcwd(), "HERE"), words)


# ------------------------------------------------------------- what is not there yet


@pytest.mark.parametrize(
    "ask",
    [
        lambda: rg.FrechetMean(M).save("new.npz"),
        lambda: rg.FrechetMedian(M).save("new.npz"),
        lambda: rg.TangentPCA(M).transform(P),
        lambda: rg.TangentPCA(M).walk(0, [0, 1]),
        lambda: rg.GeodesicRegression(M).predict([1]),
        lambda: rg.NearestMean(M).predict(P),
        lambda: rg.ManifoldKMeans(M, 2).predict(P),
        lambda: rg.KMedoids(2).predict(T),
        lambda: rg.ClassicalMDS().transform(T),
        lambda: rg.MetricMDS().transform(T),
        lambda: rg.SphericalMDS().transform(T),
    ],
)
def test_estimators_answer_only_after_fit(ask, bad):
    with pytest.raises(NotFittedError, match=r"is not fitted yet\. Call 'fit'"):
        ask()


@pytest.mark.parametrize(
    ("module", "call", "words"),
    [
        ("pandas", lambda: io.DistanceTable(T).to_pandas(), "A data frame needs pandas ... [tables]"),
        ("xarray", lambda: io.DistanceTable(T).to_xarray(), "A labeled array needs xarray ... [tables]"),
        ("scipy", lambda: rg.hierarchical_clustering(T), "needs scipy ... [stats]"),
        (
            "safetensors",
            lambda: io.save_activations({"a": X}, "new.safetensors"),
            "needs safetensors ... [files]",
        ),
        ("h5py", lambda: io.load_activations("acts.h5"), "Reading acts.h5 needs h5py ... [files]"),
        ("rsatoolbox", lambda: rsatoolbox.to_rsatoolbox(T[None]), "needs rsatoolbox ... [compat]"),
        ("tqdm", lambda: extract(NET, X.float(), "0", progress=True), "progress=True needs tqdm ... [cli]"),
        ("hypothesis", verify.register_profiles, "needs hypothesis ... [verify]"),
    ],
)
def test_missing_extras_say_what_to_install(module, call, words, bad, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as raised:
        call()
    first, extra = words.split(" ... ")
    check_words(
        str(raised.value), f"{first} ... which is not installed ... {extra}' (or: pip install {module})"
    )


# ----------------------------------------------------------------- files, read and written


def test_nothing_is_unpickled():
    # Neither by pickle, numpy, torch or joblib, nor as code.
    doubtful = {"eval", "exec", "extractall"}
    loads = {("pickle", "load"), ("pickle", "loads"), ("torch", "load"), ("joblib", "load")}
    for path in sorted(Path(rg.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            assert not any(k.arg == "allow_pickle" and k.value.value is not False for k in node.keywords), (
                path
            )
            if isinstance(node.func, ast.Name):
                assert node.func.id not in doubtful, path
            elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                assert (node.func.value.id, node.func.attr) not in loads, path
                assert node.func.attr != "extractall", path


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("mean.npz", lambda file: rg.KMedoids(2).fit(T).save(file)),
        ("acts.npz", lambda file: io.save_activations({"a": X}, file)),
        ("acts.safetensors", lambda file: io.save_activations({"a": X}, file)),
        ("table.csv", lambda file: io.save_distances(io.DistanceTable(T), file)),
        ("table.npz", lambda file: io.save_distances(io.DistanceTable(T), file)),
        ("net.npz", lambda file: extract(NET, X.float(), "0", to=file)),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(file, write, tmp_path, monkeypatch):
    write(tmp_path / file)
    old = contents(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("repsim_geo._files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / file)
    assert contents(tmp_path) == old


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    for read in (
        rg.pairwise,
        lambda files: io.load_activations(files[0]),
        lambda files: io.load_distances(files[0]),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=r"pipe.npy"):
            read([tmp_path / "pipe.npy", X])
