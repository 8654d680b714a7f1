"""repsim's names give repsim's numbers, or the documented others: its formulas, written out in numpy."""

import math
import warnings

import numpy as np
import oracles
import pytest
import scipy.linalg
import torch

import repsim_geo as rg
from repsim_geo.compat import repsim
from repsim_geo.compat.repsim import geometry, pairwise
from repsim_geo.compat.repsim.kernels import Laplace, Linear, SquaredExponential
from repsim_geo.compat.repsim.metrics import (
    AffineInvariantRiemannian,
    AngularCKA,
    AngularShapeMetric,
    EuclideanShapeMetric,
    Stress,
)
from repsim_geo.errors import DegenerateRepresentationError, ShapeError, UnknownMetricError

X, Y = oracles.golden_pair()
GOLDEN = oracles.GOLDEN
TX, TY = torch.tensor(X), torch.tensor(Y)


def value(method="stress", **options):
    return float(repsim.compare(TX, TY, method, **options))


def squares(x):
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def biased_cka(k, l):  # noqa: E741
    h = np.eye(len(k)) - 1 / len(k)
    return np.sum((h @ k @ h) * (h @ l @ h)) / np.linalg.norm(h @ k @ h) / np.linalg.norm(h @ l @ h)


def whitened(x, alpha):
    """As repsim does: by the mean x'x / m, and not rescaled."""
    x = x - x.mean(0)
    variances, axes = np.linalg.eigh(x.T @ x / len(x))
    return x @ (axes * (alpha + (1 - alpha) / np.sqrt(variances))) @ axes.T


# ---------------------------------------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------------------------------------


def test_default_is_stress():
    assert value() == pytest.approx(2.193490403639, abs=1e-11)
    assert value("STRESS") == value()


def test_rescaled_stress_has_the_mean_of_the_two_middle_distances():
    # repsim: the lower one, 0.2105146
    d, e = (np.sqrt(oracles_upper(squares(w))) for w in (X, Y))
    expected = np.sqrt(np.mean((d / np.median(d) - e / np.median(e)) ** 2))
    assert value(rescale=True) == pytest.approx(expected, rel=1e-12)
    theirs = np.sqrt(np.mean((d / lower_median(d) - e / lower_median(e)) ** 2))
    assert theirs == pytest.approx(0.2105146, abs=5e-8)


def oracles_upper(a):
    return a[np.triu_indices(len(a), 1)]


def lower_median(d):
    return np.sort(d)[(d.size - 1) // 2]


def test_biased_angle_is_repsims_and_the_default_is_the_unbiased_one():
    assert math.cos(value("angular_cka", use_unbiased_hsic=False)) == pytest.approx(
        GOLDEN["biased_cka"], abs=1e-12
    )
    assert math.cos(value("angular_cka")) == pytest.approx(GOLDEN["unbiased_cka"], abs=1e-12)
    assert abs(math.cos(value("angular_cka")) - GOLDEN["lange_cka"]) == pytest.approx(4.9e-4, abs=5e-6)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_shape_metrics_are_repsims(alpha):
    a, b = whitened(X, alpha), whitened(Y, alpha)
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    size, other = np.linalg.norm(a), np.linalg.norm(b)
    euclidean = np.sqrt(size**2 + other**2 - 2 * nuclear)
    assert value("euclidean_shape_metric", alpha=alpha) == pytest.approx(euclidean, rel=1e-10)
    angle = np.arccos(nuclear / size / other)
    assert value("angular_shape_metric", alpha=alpha, p=10) == pytest.approx(angle, rel=1e-10)


def test_golden_numbers_of_partial_whitening():
    half = GOLDEN["size_and_shape_half_whitened_mean_cov"]
    assert value("euclidean_shape_metric", alpha=0.5) == pytest.approx(half, abs=5e-5)
    assert value("euclidean_shape_metric", alpha=0.0) == pytest.approx(
        GOLDEN["size_and_shape_whitened_mean_cov"], abs=5e-5
    )


@pytest.mark.parametrize("p", [4, 10, 13])
def test_points_have_p_columns_by_principal_axes_or_padding(p):
    centered = [w - w.mean(0) for w in (X, Y)]
    axes = [np.linalg.svd(w, full_matrices=False)[2][:p] for w in centered]
    a, b = (w @ v.T if p < 10 else w for w, v in zip(centered, axes, strict=True))
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    expected = np.sqrt(np.linalg.norm(a) ** 2 + np.linalg.norm(b) ** 2 - 2 * nuclear)
    metric = EuclideanShapeMetric(m=100, p=p)
    x, y = metric.neural_data_to_point(TX), metric.neural_data_to_point(TY)
    assert x.shape == metric.shape == (100, p)
    assert float(metric.length(x, y)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("eps", [1e-1, 1e-3])
def test_affine_invariant_distance_of_gram_matrices_is_repsims(eps):
    k, l = (  # noqa: E741
        w @ w.T + eps * np.eye(100) for w in (X - X.mean(0), Y - Y.mean(0))
    )
    # Small eigenvalues of a pencil carry the rounding of its largest, so each side gives those above one.
    logs = [np.log(np.clip(scipy.linalg.eigvalsh(*w), 1, None)) for w in ((l, k), (k, l))]
    expected = np.linalg.norm(np.concatenate(logs))
    with pytest.warns(rg.DegenerateRepresentationWarning):
        ours = value("affine_invariant_riemannian", eps=eps)
    assert ours == pytest.approx(expected, rel=1e-10)


def test_affine_invariant_distance_of_covariances_is_repsims():
    expected = np.linalg.norm(np.log(scipy.linalg.eigvalsh(np.cov(X.T), np.cov(Y.T))))
    ours = value("affine_invariant_riemannian", mode="cov", p=10)
    assert ours == pytest.approx(expected, rel=1e-12)
    assert ours == pytest.approx(2.463729480371, abs=1e-11)


@pytest.mark.parametrize(
    ("formula", "multiple"),
    [("auto", 1), ("median", 1), ("median/2", 0.5), ("3*median", 3), ("2*median/4", 0.5)],
)
def test_length_scales_are_multiples_of_the_lower_median(formula, multiple):
    kernels = []
    for x in (X, Y):
        length = multiple * lower_median(np.sqrt(oracles_upper(squares(x))))
        kernels.append(np.exp(-squares(x) / length**2))
        np.testing.assert_allclose(SquaredExponential(formula)(torch.tensor(x)), kernels[-1], atol=1e-12)
        laplace = np.exp(-np.sqrt(squares(x)) / length)
        np.testing.assert_allclose(Laplace(formula)(torch.tensor(x)), laplace, atol=1e-12)
    ours = value("angular_cka", kernel=SquaredExponential(formula), use_unbiased_hsic=False)
    assert math.cos(ours) == pytest.approx(biased_cka(*kernels), abs=1e-12)


def test_length_scales_are_numbers_or_means():
    np.testing.assert_allclose(SquaredExponential(1.5)(TX), np.exp(-squares(X) / 2.25), atol=1e-12)
    mean = np.sqrt(oracles_upper(squares(X))).mean()
    np.testing.assert_allclose(Laplace("mean/2")(TX), np.exp(-2 * np.sqrt(squares(X)) / mean), atol=1e-12)


def test_pairwise_maps():
    gram = X @ X.T
    lengths = np.linalg.norm(X, axis=1)
    cosines = gram / np.outer(lengths, lengths)
    np.testing.assert_allclose(pairwise.inner_product(TX), gram, atol=1e-12)
    np.testing.assert_allclose(pairwise.cosine(TX, kernel=Linear()), cosines, atol=1e-12)
    np.testing.assert_allclose(pairwise.angle(TX), np.arccos(np.clip(cosines, -1, 1)), atol=1e-7)
    np.testing.assert_allclose(pairwise.squared_euclidean(TX), squares(X), atol=1e-11)
    np.testing.assert_allclose(pairwise.euclidean(TX), np.sqrt(squares(X)), atol=1e-11)


# ---------------------------------------------------------------------------------------------------------
# Geometry, by its laws
# ---------------------------------------------------------------------------------------------------------

SPACES = [
    AngularCKA(m=12),
    AngularCKA(m=12, use_unbiased_hsic=False),
    AngularCKA(m=12, kernel=SquaredExponential()),
    Stress(m=12),
    EuclideanShapeMetric(m=12, p=3),
    AngularShapeMetric(m=12, p=3),
    AffineInvariantRiemannian(m=12, p=3, mode="cov"),
]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_spaces_keep_the_laws_of_geometry(space, generator):
    a, b, c = (
        space.neural_data_to_point(torch.randn(12, 3, dtype=torch.float64, generator=generator))
        for _ in range(3)
    )
    length = space.length(a, b)
    assert a.shape == space.shape
    assert space.ambient == a.numel()
    assert 0 < space.dim <= space.ambient
    assert space.contains(a)
    assert not space.contains(a[:-1])
    assert space.contains(space.project(a + 1e-3))
    quarter = space.geodesic(a, b, frac=0.25)
    assert float(space.length(a, quarter) / length) == pytest.approx(0.25, rel=1e-8)
    assert float(space.length(quarter, b) / length) == pytest.approx(0.75, rel=1e-8)
    u, v = space.log_map(a, b), space.log_map(a, c)
    assert float(space.norm(a, u)) == pytest.approx(float(length), rel=1e-8)
    assert float(space.squared_norm(a, u)) == pytest.approx(float(length) ** 2, rel=1e-8)
    assert float(space.length(space.exp_map(a, u), b)) < 1e-7 * float(length)
    torch.testing.assert_close(space.to_tangent(a, u), u, atol=1e-9, rtol=1e-9)
    moved = [space.levi_civita(a, b, w) for w in (u, v)]
    before = float(space.inner_product(a, u, v))
    assert float(space.inner_product(b, *moved)) == pytest.approx(before, rel=1e-7, abs=1e-9)
    corner = float(geometry.trig.angle(space, b, a, c))
    cosine = before / float(space.norm(a, u)) / float(space.norm(a, v))
    assert corner == pytest.approx(math.acos(cosine), abs=1e-8)
    pieces = geometry.geodesic.subdivide_geodesic(space, a, b, octaves=2)
    middle = geometry.geodesic.midpoint(space, a, b)
    assert len(pieces) == 5
    assert float(space.length(pieces[2], middle)) < 1e-7
    assert float(space.length(pieces[0], pieces[1]) / length) == pytest.approx(0.25, rel=1e-7)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_exp_map_makes_its_vector_tangent(space, generator):
    a = space.neural_data_to_point(torch.randn(12, 3, dtype=torch.float64, generator=generator))
    w = 0.3 * torch.randn(space.shape, dtype=torch.float64, generator=generator)
    end = space.exp_map(a, w)
    assert space.contains(end)
    torch.testing.assert_close(end, space.exp_map(a, space.to_tangent(a, w)), atol=1e-12, rtol=1e-12)


def test_flat_triangles_have_no_curvature_and_spheres_have(generator):
    triangle = torch.randn(3, 12, 3, dtype=torch.float64, generator=generator)
    for space, sign in ((SPACES[3], 0), (SPACES[0], 1)):
        points = [space.neural_data_to_point(x) for x in triangle]
        excess = float(geometry.curvature.alexandrov(space, *points))
        assert excess > 1e-4 if sign else abs(excess) < 1e-12


def test_slerp_normalizes_and_keeps_the_shape():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    torch.testing.assert_close(
        geometry.trig.slerp(a, b, 1 / 3), torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    )


def test_spaces_say_what_they_are():
    assert [s.is_spherical for s in SPACES] == [True, True, True, False, False, True, False]
    assert SPACES[0].string_id() == "AngularCKA[kernel=Linear(), debiased=True].12"
    assert len({s.string_id() for s in SPACES}) == len(SPACES)
    assert all(s.m == 12 for s in SPACES)


def test_gradients_are_finite_where_repsims_are_not():
    for method in ("stress", "angular_cka", "angular_shape_metric"):
        for seed in range(5):
            generator = torch.Generator().manual_seed(seed)
            x = torch.randn(20, 5, generator=generator).requires_grad_()
            repsim.compare(x, x.detach(), method).backward()
            assert bool(x.grad.isfinite().all())


def test_axes_after_the_first_are_flattened():
    for method in ("stress", "angular_cka", "angular_shape_metric"):
        assert float(repsim.compare(TX.reshape(100, 5, 2), TY.reshape(100, 1, 2, 5), method)) == value(method)
    blocks = Stress(m=100).neural_data_to_point(TX.reshape(100, 2, 5))
    assert bool((blocks == Stress(m=100).neural_data_to_point(TX)).all())


def test_a_metric_can_be_handed_to_compare_and_inside_is_the_packages_own():
    metric = AngularCKA(m=100)
    assert float(repsim.compare(TX, TY, metric)) == value("angular_cka")
    assert isinstance(metric.metric, rg.AngularCKA)
    mean = rg.FrechetMean(metric.metric).fit(torch.stack([metric.neural_data_to_point(w) for w in (TX, TY)]))
    assert metric.contains(mean.mean_)


# ---------------------------------------------------------------------------------------------------------
# What is refused, and with which words
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (UnknownMetricError, lambda: value("cka"), "method must be one of stress, angular_cka.*got 'cka'"),
        (TypeError, lambda: repsim.compare(TX, TY, rg.Stress()), "got Stress.*call repsim_geo.compare"),
        (ShapeError, lambda: repsim.compare(TX, TY[:9]), "same inputs: got 100 rows and 9 rows"),
        (ShapeError, lambda: repsim.compare(TX[None], TY), "same inputs: got 1 rows and 100 rows"),
        (ShapeError, lambda: Stress(m=5).neural_data_to_point(TX), r"m=5 rows, got shape \(100, 10\)"),
        (ValueError, lambda: Stress(m=0), "m must be a positive whole number of inputs"),
        (
            ValueError,
            lambda: Stress(m=3).geodesic(TX, TY, frac=1.5),
            r"frac must lie between 0 and 1, got 1\.5",
        ),
        (
            DegenerateRepresentationError,
            lambda: value("affine_invariant_riemannian"),
            "no logarithm without a ridge",
        ),
        (
            ValueError,
            lambda: AffineInvariantRiemannian(m=9, mode="cov"),
            r"mode='cov' needs the number of units, got p=None\. Give p=x\.shape\[1\]",
        ),
        (
            ShapeError,
            lambda: value("affine_invariant_riemannian", mode="cov", p=4),
            "need p=4 units, got 10. Use mode='gram'",
        ),
        (
            ValueError,
            lambda: SquaredExponential("sqrt(median)"),
            "length_scale must be a number, 'auto'.*got 'sqrt.*evaluates any formula",
        ),
    ],
)
def test_messages(error, call, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.DegenerateRepresentationWarning)
        with pytest.raises(error, match=words):
            call()
