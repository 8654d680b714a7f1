"""
Bad input to the geometry: manifolds, metrics, kernels, cones, optimizers, verification and recipes.

As in `test_bad_input.py`: a typed error, raised on purpose: what was expected, what came, what to do.
"""

import linecache
from pathlib import Path

import geoopt
import pytest
import torch

import repsim_geo as rg
from repsim_geo import ShapeError, optim, recipes, verify, viz
from repsim_geo.kernels.base import Sum
from repsim_geo.kernels.length_scales import Fixed, Mean, Median, Quantile
from repsim_geo.manifolds.gaussian_shapes import GaussianShapes
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.metrics.base import MetricCard
from repsim_geo.numerics import cones

D = torch.float64
generator = torch.Generator().manual_seed(0)
X, Y = (torch.randn(10, d, dtype=D, generator=generator) for d in (4, 6))
R = [torch.randn(10, 4, dtype=D, generator=generator) for _ in range(6)]

M = rg.AngularCKA()
P = torch.stack([M.embed(x) for x in R])
T = M.cdist(P, P)
TN, TA = T.clone(), T.clone()  # with a pair that failed, and with one that differs across the diagonal
TN[1, 2] = TN[2, 1] = float("nan")
TA[1, 2] += 1
NAN = float("nan")
RAGGED = [[1.0], [1.0, 2.0]]


def parameter():
    return geoopt.ManifoldParameter(torch.eye(2, dtype=D), manifold=rg.AffineInvariantSPD())


def distance(x, y):
    return 0.0


# fmt: off
CASES = [
    # questions to manifolds
    ("activations instead of points", lambda: rg.geodesic(M, 0.5, X, Y), ShapeError,
     "x must hold points (*batch, ... got shape (10, 4) ... points with metric.embed(x)."),
    ("the name of a metric", lambda: rg.geodesic("angular_cka", 0.5, P[0], P[1]), TypeError,
     "manifold must be a ... got 'angular_cka' ... a class has to be called."),
    ("the class of a metric", lambda: rg.midpoint(rg.AngularCKA, P[0], P[1]), TypeError,
     "manifold must be a ... got <class ... a class has to be called."),
    ("a number as manifold", lambda: rg.angle(3, *P[:3]), TypeError,
     "manifold must be a ... got 3 ... a class has to be called."),
    ("a number as point", lambda: rg.angle(M, 3, P[0], P[1]), TypeError,
     "x must be a tensor of points ... got int ... points with metric.embed(x)."),
    ("points of other sizes", lambda: rg.alexandrov_curvature(M, P[0], P[1], P[0, :5, :5]), ShapeError,
     "x, y, z must have one shape ... got (10, 10), (10, 10), (5, 5) ... metric.resolve(networks)."),
    ("vectors of other sizes", lambda: rg.vector_angle(M, P[0], P[0], P[0, :5, :5]), ShapeError,
     "x, u, v must have one shape ... got (10, 10), (10, 10), (5, 5) ... metric.resolve(networks)."),
    ("a word as time", lambda: rg.geodesic(M, "a", P[0], P[1]), TypeError,
     "t must be a number, or a ... got 'a' ... x, y, times) takes a list."),
    ("times without axes for points", lambda: rg.geodesic(M, torch.ones(4), P[0], P[1]), ShapeError,
     "t must broadcast against ... got shape (4,) for points of ... path(manifold, x, y, times)."),
    ("a word as times", lambda: rg.path(M, P[0], P[1], "a"), TypeError,
     "times must be a sequence of ... got 'a' ... 1, k) for k points."),
    ("ragged times", lambda: rg.path(M, P[0], P[1], RAGGED), TypeError,
     "times must be a sequence of ... got [[1.0], [1.0, 2.0]] ... 1, k) for k points."),
    ("nan among times", lambda: rg.path(M, P[0], P[1], [0.0, NAN]), ValueError,
     "times must be finite, got ... time 0 and ends at time 1."),
    ("a path from activations", lambda: rg.path(M, X, Y, [0.5]), ShapeError,
     "x must hold points (*batch, ... got shape (10, 4) ... points with metric.embed(x)."),
    ("cut points nobody knows",
     lambda: rg.has_unique_geodesic(geoopt.Sphere(), P[0], P[1]), NotImplementedError,
     "has_unique_geodesic needs a ... got Sphere ... kind, such as UnitSphere()."),
    ("a nearest point of activations", lambda: rg.project_to_geodesic(M, P[0], P[1], X), ShapeError,
     "z must hold points (*batch, ... got shape (10, 4) ... points with metric.embed(x)."),
    ("a segment that is no flag", lambda: rg.project_to_geodesic(M, *P[:3], segment="no"), TypeError,
     "segment must be True or False, ... got 'no' ... or leave it out."),
    ("a path of activations", lambda: rg.path_length(M, torch.stack(R)), ShapeError,
     "points must hold points ... got shape (6, 10, 4) ... points with metric.embed(x)."),
    ("a ladder between activations", lambda: rg.pole_ladder(M, X, X, X), ShapeError,
     "x must hold points (*batch, ... got shape (10, 4) ... points with metric.embed(x)."),
    ("a word as steps", lambda: rg.pole_ladder(M, *P[:3], steps="a"), ValueError,
     "pole_ladder needs at least one ... got steps='a' ... Four are a good start."),
    ("steps without end", lambda: rg.pole_ladder(M, *P[:3], steps=10**12), ValueError,
     "pole_ladder takes at most ... got steps=1000000000000 ... grows with their number."),
    # manifolds
    ("a word as axes", lambda: rg.UnitSphere("a"), ValueError,
     "ndim must be the number of ... got 'a' ... Vectors have 1, matrices 2."),
    ("points without axes", lambda: rg.UnitSphere(0), ValueError,
     "ndim must be the number of ... got 0 ... Vectors have 1, matrices 2."),
    ("half an axis", lambda: rg.Flat(1.5), ValueError,
     "ndim must be the number of ... got 1.5 ... Vectors have 1, matrices 2."),
    ("a number as subspace", lambda: rg.UnitSphere(2, 3), TypeError,
     "subspace must be a linear ... got 3 ... it out for all tensors."),
    ("a word as subspace", lambda: rg.Flat(subspace="a"), TypeError,
     "subspace must be a linear ... got 'a' ... it out for all tensors."),
    ("a negative inner product", lambda: rg.Flat(2, weight=-1), ValueError,
     "weight must be a positive ... got -1 ... the Euclidean inner product."),
    ("a quotient of nothing", lambda: Quotient(3), ValueError,
     "Quotient needs a space of ... got 3 ... or without ColumnCentered()."),
    ("a quotient by nothing", lambda: Quotient(rg.Flat(2), 3), TypeError,
     "action must be Orthogonal(), ... got 3 ... rotations and reflections."),
    ("subspaces of nothing", lambda: rg.Grassmannian(3), TypeError,
     "subspace must be a linear ... got 3 ... it out for all tensors."),
    ("Gaussians that are centered or not", lambda: GaussianShapes(centered="no"), TypeError,
     "centered must be True or ... got 'no' ... or leave it out."),
    # metrics
    ("debiased or not", lambda: rg.AngularCKA(debiased="no"), TypeError,
     "debiased must be True or ... got 'no' ... or leave it out."),
    ("rescaled or not", lambda: rg.Stress(rescale="no"), TypeError,
     "rescale must be True or False, ... got 'no' ... or leave it out."),
    ("reflections or not", lambda: rg.SizeAndShape(reflections=0), TypeError,
     "reflections must be True or ... got 0 ... or leave it out."),
    ("variance or not", lambda: rg.AngularShape(preserve_variance="no"), TypeError,
     "preserve_variance must be True ... got 'no' ... or leave it out."),
    ("unequal or not", lambda: rg.LinearSubspace(unequal=1), TypeError,
     "unequal must be True or False, ... got 1 ... or leave it out."),
    ("scale or not", lambda: rg.AffineInvariant(scale_free="no"), TypeError,
     "scale_free must be True or ... got 'no' ... or leave it out."),
    ("relative or not", lambda: rg.LogEuclidean(relative="no"), TypeError,
     "relative must be True or ... got 'no' ... or leave it out."),
    ("centered or not", lambda: rg.AngularRDM(centered="no"), TypeError,
     "centered must be True or ... got 'no' ... or leave it out."),
    ("whitened or not", lambda: rg.AngularRDM(whitened="no"), TypeError,
     "whitened must be True or ... got 'no' ... or leave it out."),
    ("an unknown covariance", lambda: rg.SizeAndShape(cov="median"), ValueError,
     "cov must be 'mean' (x'x / m) ... got 'median' ... 'gram' is what netrep does."),
    ("an unknown mode", lambda: rg.BuresWasserstein("median"), ValueError,
     "mode must be 'gram' or 'cov', ... got 'median' ... of units those of one."),
    ("an unknown dissimilarity", lambda: rg.AngularRDM("median"), ValueError,
     "dissimilarity must be one of ... got 'median' ... embed_dissimilarities()."),
    ("a list of dissimilarities", lambda: rg.AngularRDM(["euclidean"]), ValueError,
     "dissimilarity must be one of ... got ['euclidean'] ... embed_dissimilarities()."),
    ("a word as covariance", lambda: rg.AngularRDM(whitened=True, noise_covariance="a"), TypeError,
     "noise_covariance must be a ... got str ... v becomes torch.diag(v)."),
    ("a ragged covariance", lambda: rg.AngularRDM(whitened=True, noise_covariance=RAGGED), TypeError,
     "noise_covariance must be a ... got list ... v becomes torch.diag(v)."),
    ("a negative covariance",
     lambda: rg.AngularRDM(whitened=True, noise_covariance=-torch.eye(3)), ValueError,
     "noise_covariance must be ... got a smallest eigenvalue of -1 ... from few repeats need."),
    ("a covariance that failed",
     lambda: rg.AngularRDM(whitened=True,
         noise_covariance=torch.diag(torch.tensor([1.0, 1.0, torch.inf]))), ValueError,
     "noise_covariance must be ... got nan or infinity ... from few repeats need."),
    ("dissimilarities with a direction", lambda: rg.AngularRDM().embed_dissimilarities(TA), ValueError,
     "d must be symmetric, got ... of one dissimilarity."),
    ("a blend of different inputs", lambda: M.blend(0.5, X, Y[:5]), ShapeError,
     "x and y must describe the same ... got 10 rows and 5 rows ... the common inputs first."),
    ("columns without end", lambda: rg.SizeAndShape(10**9), ValueError,
     "p must be at most 1048576 ... got 1000000000 ... with zeros. None keeps all."),
    ("matched columns without end", lambda: rg.PermutationDistance(10**9), ValueError,
     "p must be at most 1048576 ... got 1000000000 ... the width from the networks."),
    ("sizes of no network", lambda: rg.AngularShape().resolve([]), ShapeError,
     "AngularShape.resolve() needs ... got none ... that will be compared."),
    ("sizes of a number", lambda: rg.LinearSubspace().resolve(3), TypeError,
     "LinearSubspace.resolve() needs ... got 3 ... metric.resolve([x, y])."),
    ("sizes of words", lambda: rg.PermutationDistance().resolve(["a"]), TypeError,
     "PermutationDistance.resolve() ... got 'a' ... metric.resolve([x, y])."),
    ("sizes of nothing", lambda: rg.SoftMatching().resolve([None]), TypeError,
     "SoftMatching.resolve() needs a ... got None ... metric.resolve([x, y])."),
    ("sizes of a vector", lambda: M.resolve([X[:, 0]]), TypeError,
     "AngularCKA.resolve() needs a ... got an array of shape (10,) ... metric.resolve([x, y])."),
    ("a word that is realized", lambda: M.realize("a"), TypeError,
     "point must be a tensor ... got str ... become points with embed(x)."),
    ("an array in the image", lambda: M.in_image(P.numpy()), TypeError,
     "point must be a tensor ... got ndarray ... become points with embed(x)."),
    ("a range from above", lambda: MetricCard("mine", "", "", (1.0, 0.0), frozenset()), ValueError,
     "range must be the smallest and ... got (1.0, 0.0) ... there is no largest one."),
    # kernels
    ("a word as length", lambda: Fixed("a"), ValueError,
     "a length scale must be ... got 'a' ... to choose it from data."),
    ("a word as multiple of the mean", lambda: Mean("a"), ValueError,
     "the multiple of the mean must ... got 'a' ... The default is 1."),
    ("a word as multiple of the median", lambda: Median("a"), ValueError,
     "the multiple of the median ... got 'a' ... The default is 1."),
    ("a lower median or not", lambda: Median(1.0, "a"), TypeError,
     "lower must be True or False, ... got 'a' ... Write one of them, or leave it out."),
    ("a median with or without zeros", lambda: Median(with_diagonal="a"), TypeError,
     "with_diagonal must be True or ... got 'a' ... or leave it out."),
    ("a word as quantile", lambda: Quantile("a"), ValueError,
     "a quantile must lie between 0 ... got 'a' ... The median is 0.5."),
    ("a rule that is none", lambda: rg.RBF([1.0]), TypeError,
     "length_scale must be a ... got [1.0] ... Leave it out for the median."),
    ("a description that is none", lambda: rg.RBF("mode"), ValueError,
     "length_scale must be a ... got 'mode' ... Leave it out for the median."),
    ("a learnable length or not", lambda: rg.RBF(learnable="no"), TypeError,
     "learnable must be True or ... got 'no' ... or leave it out."),
    ("the class of a kernel", lambda: rg.AngularCKA(rg.RBF), TypeError,
     "kernel must be a kernel such ... got <class ... A class has to be called."),
    ("a sum with a class", lambda: Sum([rg.RBF]), TypeError,
     "a sum, product or multiple is ... got <class ... A class has to be called."),
    ("a learnable weight or not", lambda: rg.Weighted(rg.Linear(), 1.0, learnable="no"), TypeError,
     "learnable must be True or ... got 'no' ... or leave it out."),
    ("a power without end", lambda: rg.Polynomial(1001), ValueError,
     "degree must be at most 1000, ... got 1001 ... RBF() has all powers."),
    ("an order of arc-cosine", lambda: rg.ArcCosine(3), ValueError,
     "order must be 0 (threshold), 1 ... got 3 ... Leave it out for 1."),
    # cones
    ("a matrix that is not square", lambda: cones.is_psd(X), ShapeError,
     "a must be square matrices ... got shape (10, 4) ... squared_distance_matrix(x)."),
    ("a word as matrix", lambda: cones.nearest_psd("a"), TypeError,
     "a must be a tensor of float32 ... got str ... torch.as_tensor(a).double()."),
    ("whole numbers as matrix", lambda: cones.square_root(torch.eye(3, dtype=torch.int64)), TypeError,
     "a must be a tensor of float32 ... got torch.int64 ... torch.as_tensor(a).double()."),
    ("an empty matrix", lambda: rg.classical_mds(T[:0, :0]), ShapeError,
     "d2 must be square matrices ... got shape (0, 0) ... squared_distance_matrix(x)."),
    ("a word as tolerance", lambda: cones.is_psd(T, rtol="a"), ValueError,
     "rtol must be a number, zero or ... got 'a' ... is what rounding leaves."),
    ("a matrix that failed", lambda: cones.nearest_psd(TN), ValueError,
     "a must be finite, got nan or ... that could not be computed."),
    ("a matrix without a direction", lambda: cones.nearest_unit_psd(0 * T), ValueError,
     "a must not be zero, got a ... are as near. Leave it out."),
    ("a direction of another size", lambda: cones.psd_exit_time(T, T[:3, :3]), ShapeError,
     "a and w must be matrices of ... got (6, 6) and (3, 3) ... matrix that it starts from."),
    ("activations as dissimilarities", lambda: rg.is_euclidean_dissimilarity(X, squared=True), ShapeError,
     "d must be square matrices ... got shape (10, 4) ... squared_distance_matrix(x)."),
    ("activations on a sphere", lambda: cones.is_spherical_dissimilarity(X), ShapeError,
     "d2 must be square matrices ... got shape (10, 4) ... squared_distance_matrix(x)."),
    ("distances that failed", lambda: rg.classical_mds(TN), ValueError,
     "d2 must be finite, got nan or ... that could not be computed."),
    ("distances with a direction", lambda: rg.classical_mds(TA), ValueError,
     "d2 must be symmetric, got ... of one dissimilarity."),
    ("a word as dimension", lambda: rg.classical_mds(T, n_components="a"), ValueError,
     "classical_mds of 6 points ... got n_components='a' ... Leave it out to keep all."),
    # optimizers and samplers
    ("the name of a metric to search on",
     lambda: optim.minimize("angular_cka", lambda x: x.sum(), P[0]), TypeError,
     "manifold must be a ... got 'angular_cka' ... a class has to be called."),
    ("a function that is none", lambda: optim.minimize(M, 3, P[0]), TypeError,
     "fun must be a function from ... got 3 ... manifold.dist2(x, target)."),
    ("a callback that is none", lambda: optim.minimize(M, lambda x: x.sum(), P[0], callback=3), TypeError,
     "callback must be a function of ... got 3 ... search by returning True."),
    ("pointwise or not", lambda: optim.minimize(M, lambda x: x.sum(), P[0], pointwise=3), TypeError,
     "pointwise must be True or ... got 3 ... or leave it out."),
    ("points around activations", lambda: optim.wrapped_normal(M, X, 1.0, 3), ShapeError,
     "mean must hold points (*batch, ... got shape (10, 4) ... points with metric.embed(x)."),
    ("a negative deviation", lambda: optim.wrapped_normal(M, P[0], -1.0, 3), ValueError,
     "scale must be finite and not ... got -1 ... in the unit of the distance."),
    ("a word as deviation", lambda: optim.wrapped_normal(M, P[0], "a", 3), TypeError,
     "scale must be a standard ... got 'a' ... with one for each mean."),
    ("deviations of other means", lambda: optim.wrapped_normal(M, P, torch.ones(3), 3), ShapeError,
     "scale must be one number, or ... got (3,) ... once for each scale."),
    ("a seed as generator", lambda: optim.wrapped_normal(M, P[0], 1.0, 3, generator=3), TypeError,
     "generator must be a ... got 3 ... torch.Generator().manual_seed(0)."),
    ("a negative burn-in", lambda: optim.RiemannianLangevin([parameter()], n_burnin=-1), ValueError,
     "n_burnin must be a whole ... got -1 ... Leave it out to count all."),
    ("a seed as generator of a chain",
     lambda: optim.RiemannianLangevin([parameter()], generator=3), TypeError,
     "generator must be a ... got 3 ... torch.Generator().manual_seed(0)."),
    ("a word as step", lambda: optim.RiemannianLangevin([parameter()], epsilon="a"), ValueError,
     "epsilon must be a positive ... got 'a' ... of a fraction of the spread."),
    ("adjusted or not", lambda: optim.RiemannianLangevin([parameter()], adjusted="no"), TypeError,
     "adjusted must be True or ... got 'no' ... or leave it out."),
    ("no parameters", lambda: optim.ParallelAdam([]), ValueError,
     "ParallelAdam needs a list of ... got none ... geoopt.ManifoldParameter x."),
    ("a parameter without a list", lambda: optim.ParallelAdam(parameter()), ValueError,
     "ParallelAdam needs a list of ... got ManifoldParameter ... geoopt.ManifoldParameter x."),
    ("a negative rate", lambda: optim.ParallelAdam([parameter()], lr=-1), ValueError,
     "lr must be a number, zero or ... got -1 ... it out for the default."),
    ("a negative rate of a group",
     lambda: optim.ParallelAdam([{"params": [parameter()], "lr": -1}]), ValueError,
     "lr must be a number, zero or ... got -1 ... it out for the default."),
    ("a number as shares", lambda: optim.ParallelAdam([parameter()], betas=3), ValueError,
     "betas must be two numbers from ... got 3 ... them out for (0.9, 0.999)."),
    ("the largest average or not", lambda: optim.ParallelAdam([parameter()], amsgrad="no"), TypeError,
     "amsgrad must be True or False, ... got 'no' ... or leave it out."),
    # recipes and pictures
    ("a word as target point", lambda: recipes.RepresentationLoss(point="a"), TypeError,
     "point must be a tensor ... got str ... or the mean_ of FrechetMean."),
    ("away or not", lambda: recipes.RepresentationLoss(away="no"), TypeError,
     "away must be True or False, ... got 'no' ... Write one of them, or leave it out."),
    ("squared or not", lambda: recipes.MinibatchCKALoss(squared="no"), TypeError,
     "squared must be True or False, ... got 'no' ... or leave it out."),
    ("a loss without a target", lambda: recipes.RepresentationLoss()(X), TypeError,
     "a loss with a point takes ... got no point ... target, or the loss a point."),
    ("a word as margin", lambda: recipes.RepresentationLoss(away=True, margin="a"), ValueError,
     "margin must be a positive ... got 'a' ... for the largest there is."),
    ("a word as activations", lambda: recipes.RepresentationLoss()("a", Y), TypeError,
     "activations must be a tensor ... got str ... on the inputs of the batch."),
    ("a word as batch", lambda: recipes.MinibatchCKA().update("a", Y), TypeError,
     "activations must be a tensor ... got str ... on the inputs of the batch."),
    ("a word as target", lambda: recipes.MinibatchCKALoss()(X, "a"), TypeError,
     "target must be a tensor or an ... got str ... on the inputs of the batch."),
    ("three kernels", lambda: recipes.MinibatchCKA((rg.Linear(),) * 3), ValueError,
     "kernel must be one kernel for ... got 3 of them ... out for the linear kernel."),
    ("a word as rows", lambda: recipes.RepresentationLoss(point=P[0])(X[:5], rows="a"), TypeError,
     "rows must be 5 indices, one ... got 'a' ... the index of each input."),
    ("a number as teachers", lambda: recipes.mean_of_teachers(3), TypeError,
     "teachers must be a list of ... got int ... of each teacher, [x, y]."),
    ("a number as network", lambda: recipes.optimal_stimuli(3, lambda x: x, X), TypeError,
     "first must be a function from ... got 3 ... or a function of torch."),
    ("negative counts", lambda: viz.confusion_matrix([[1, -2], [3, 1]], "ab"), ValueError,
     "counts must be finite and not ... got entries from -2 to 3 ... tables have no picture here."),
    # verification
    ("the name of a metric to verify", lambda: verify.check_metric("angular_cka"), TypeError,
     "give the metric itself, such ... and the command line."),
    ("a number as metric", lambda: verify.check_metric(3), TypeError,
     "metric must be a metric, such ... got 3 ... a function check_distance()."),
    ("a class as metric", lambda: verify.check_metric(rg.AngularCKA), TypeError,
     "metric must be a metric, such ... got <class ... a function check_distance()."),
    ("a manifold as metric", lambda: verify.check_metric(geoopt.Sphere()), TypeError,
     "metric must be a metric, such ... got Sphere manifold ... a function check_distance()."),
    ("a pair of one", lambda: verify.check_metric((M,)), TypeError,
     "metric must be a metric, such ... got (AngularCKA(kernel=Linear() ... a function check_distance()."),
    ("one width or not", lambda: verify.check_metric(M, same_width="no"), TypeError,
     "same_width must be True or ... got 'no' ... or leave it out."),
    ("a number as manifold to verify", lambda: verify.check_manifold(3, (5,)), TypeError,
     "manifold must be a ... got 3 ... and names are for compare()."),
    ("a class as manifold", lambda: verify.check_manifold(geoopt.Sphere, (5,)), TypeError,
     "manifold must be a ... got <class ... and names are for compare()."),
    ("the shape of activations", lambda: verify.check_manifold(M, (5, 3)), ShapeError,
     "point must be the shape of one ... got (5, 3) ... tuple(metric.embed(x).shape)."),
    ("a number as shape", lambda: verify.check_manifold(M, 5), TypeError,
     "point must be the shape of one ... got 5 ... numbers has the shape (5,)."),
    ("a map that is none", lambda: verify.check_isometry(3, M, M, (5, 5)), TypeError,
     "f must be a function from ... got 3 ... An identity is lambda x: x."),
    ("a source that is none", lambda: verify.check_isometry(lambda x: x, 3, M, (5, 5)), TypeError,
     "source must be a ... got 3 ... and names are for compare()."),
    ("a target that is none", lambda: verify.check_isometry(lambda x: x, M, 3, (5, 5)), TypeError,
     "target must be a ... got 3 ... and names are for compare()."),
    ("a number as distance", lambda: verify.check_distance(3), TypeError,
     "a distance must be a function ... got 3 ... A metric has check_metric()."),
    ("no inputs", lambda: verify.check_distance(distance, m=0), ValueError,
     "m must be a positive whole ... got 0 ... it out for a small one."),
    ("less than no units", lambda: verify.check_metric(M, d=-1), ValueError,
     "d must be a positive whole ... got -1 ... it out for a small one."),
    ("a dtype by name", lambda: verify.check_distance(distance, dtypes=["float64"]), TypeError,
     "dtypes must be a list of ... got ['float64'] ... for one of them."),
    ("a dtype without a list", lambda: verify.check_distance(distance, dtypes=torch.float64), TypeError,
     "dtypes must be a list of ... got torch.float64 ... for one of them."),
    ("a word as seed", lambda: verify.check_distance(distance, seed="a"), ValueError,
     "seed must be a whole number, ... got 'a' ... seed draws the same scenes."),
    ("a number as range", lambda: verify.check_distance(distance, range=3), ValueError,
     "range must be the smallest and ... got 3 ... without a largest one."),
    ("a number as laws", lambda: verify.check_distance(distance, laws=3), TypeError,
     "laws must be a list of names, ... got 3 ... in repsim_geo.verify.LAWS."),
    ("a number among laws", lambda: verify.check_distance(distance, laws=[3]), TypeError,
     "name must be that of a law, a ... got 3 ... for names."),
    ("a number as invariances", lambda: verify.check_distance(distance, invariances=3), TypeError,
     "invariances must be a list of ... got 3 ... leave them out for no claim."),
    ("fewer than no examples", lambda: verify.check_distance(distance, examples=-1), ValueError,
     "examples must be a whole ... got -1 ... it out for the default."),
    ("a number as scenes", lambda: verify.check_distance(distance, scenes=3), TypeError,
     "scenes must be a list of ... got 3 ... in repsim_geo.verify.SCENES."),
    ("a number among scenes", lambda: verify.check_distance(distance, scenes=[3]), TypeError,
     "scenes must be names, ... got 3 ... different_sizes, constant."),
    ("no scenes", lambda: verify.check_distance(distance, scenes=[]), ValueError,
     "nothing to check: laws, scenes ... got no scenes ... out to check everything."),
    ("no dtypes", lambda: verify.check_distance(distance, dtypes=[]), ValueError,
     "nothing to check: laws, scenes ... got no dtypes ... out to check everything."),
    ("laws of something else", lambda: verify.check((rg.Flat(1), (3,)), laws=["distances_agree"]), ValueError,
     "nothing to check: laws, scenes ... got no law that is asked of such ... out to check everything."),
    ("a number as expectations", lambda: verify.check_distance(distance, expected_failures=3), TypeError,
     "expected_failures must be a ... got 3 ... out if all laws should hold."),
    ("batched or not", lambda: verify.check_distance(distance, batched="no"), TypeError,
     "batched must be True or False, ... got 'no' ... or leave it out."),
    ("an unknown backend", lambda: verify.check_distance(distance, backend="jax"), ValueError,
     "backend must be 'torch', ... got 'jax' ... None finds out by a call."),
    ("an unknown end", lambda: verify.check_distance(distance, on_fail="print"), ValueError,
     "on_fail must be 'raise' or ... got 'print' ... returns what failed."),
    ("anything else", lambda: verify.check(3), TypeError,
     "what is verified must be a ... got 3 ... such as AngularCKA()."),
    ("the name of a metric to check", lambda: verify.check("angular_cka"), TypeError,
     "give the metric itself, such ... and the command line."),
    ("a word as networks", lambda: verify.strategies.networks("a"), ValueError,
     "n must be 1, 2 or 3 networks, ... got 'a' ... Draw twice for more."),
    ("four points", lambda: verify.strategies.points(rg.Flat(1), (3,), 4), ValueError,
     "n must be 1, 2 or 3 points, ... got 4 ... Draw twice for more."),
    ("a law without a name", lambda: verify.law(3), TypeError,
     "name must be that of a law, a ... got 3 ... for names."),
    ("an unknown tolerance", lambda: verify.tolerance("foo", torch.float64), ValueError,
     "kind must be one of self, ... got 'foo' ... for several in a row."),
    ("a tolerance of half precision", lambda: verify.tolerance("self", torch.float16), TypeError,
     "dtype must be torch.float64 or ... got torch.float16 ... Take one of them."),
    ("a distance that is a word", lambda: verify.Measure(lambda x, y: "a").one(X, Y), TypeError,
     "a distance must be one number, ... got str ... Return a float, or a tensor."),
    ("a distance that is a vector", lambda: verify.Measure(lambda x, y: x.sum(0)).one(X, Y), TypeError,
     "a distance must be one number ... got shape (4,) ... of what it has too many."),
    ("a complex distance", lambda: verify.Measure(lambda x, y: 1j).one(X, Y), TypeError,
     "a distance must be a real ... got a complex one ... Take its real part."),
]
# fmt: on


def check_words(message, words):
    """Parts of the message in their order: what was expected, what came, and at its end what to do."""
    places = [message.find(part) for part in words.split(" ... ")]
    assert -1 not in places, message
    assert places == sorted(places), message
    assert message.endswith(words.split(" ... ")[-1]), message


@pytest.mark.parametrize(
    ("call", "error", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_input_is_refused_in_words(call, error, words):
    with pytest.raises(error) as raised:
        call()
    assert raised.type is error
    check_words(str(raised.value).replace("\n", " "), words)

    # Raised on purpose: a statement of the package, not a formula that failed.
    last = raised.traceback[-1]
    assert Path(rg.__file__).parent in Path(last.path).parents
    assert linecache.getline(str(last.path), last.lineno + 1).strip().startswith("raise")


def test_shapes_are_all_that_is_looked_at():
    # Of no manifold of geoopt's, and of no batch, more is asked than before.
    x, y = torch.nn.functional.normalize(torch.randn(2, 4, 3, dtype=D), dim=-1)
    for manifold in (geoopt.SphereExact(), geoopt.Scaled(rg.UnitSphere(1), 2.0), geoopt.Euclidean(1)):
        assert rg.midpoint(manifold, x, y[0]).shape == (4, 3)
        assert rg.angle(manifold, x, y[:, None], x[0]).shape == (4, 4)
    both = geoopt.ProductManifold((geoopt.SphereExact(), 3), (geoopt.Euclidean(), 3))
    assert rg.path(both, torch.cat((x, x), -1), torch.cat((y, y), -1), [0.0, 0.5]).shape == (2, 4, 6)
    # A point of no unit length is answered as before.
    assert bool(rg.midpoint(rg.UnitSphere(1), 2 * x, y).isfinite().all())


def test_questions_compile_and_vectorize():
    sphere = rg.UnitSphere(1)
    x, y = torch.nn.functional.normalize(torch.randn(2, 4, 3, dtype=D), dim=-1)
    half = torch.func.vmap(lambda a, b: rg.midpoint(sphere, a, b))(x, y)
    torch.testing.assert_close(half, rg.midpoint(sphere, x, y))
    whole = torch.func.vmap(lambda a, b: rg.path(sphere, a, b, [0.0, 0.5]))(x, y)
    torch.testing.assert_close(whole[:, 1], half)
    compiled = torch.compile(lambda a, b: rg.midpoint(sphere, a, b), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, y), half)


def test_high_powers_have_distances():
    # Coefficients beyond 64 bits are numbers all the same.
    x = torch.tensor([[1.0], [0.5]], dtype=D)
    for degree in (70, 200, 1000):
        expected = (1 - 0.5**degree) ** 2  # feature of a single unit: its power
        assert float(rg.Polynomial(degree).squared_distances(x)[0, 1]) == pytest.approx(expected, rel=1e-12)
