"""The oracles agree with each other, with elementary facts, and with the golden numbers."""

from __future__ import annotations

import itertools
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
from scipy.spatial.distance import pdist, squareform

sys.path.insert(0, str(Path(__file__).parent))  # whatever pytest's import mode

import oracles as o

norm = np.linalg.norm


def _shape(rng, m, p, rank=None):
    x = o.center(rng.normal(size=(m, p)))
    if rank is not None:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        s[rank:] = 0
        x = (u * s) @ vt
    return x / norm(x)


def _horizontal(rng, x, kendall=False):
    w = o.horizontal_projection_lstsq(x, o.center(rng.normal(size=x.shape)), kendall)
    return w / norm(w)


def _unit(rng, *shape):
    a = rng.normal(size=shape)
    return a / norm(a)


# ----------------------------------------------------------------------------------------------------------
# HSIC, CKA
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [4, 5, 7])
def test_song_formula_is_exactly_the_u_statistic(m):
    rng = np.random.default_rng(m)
    K, L = (A + A.T for A in rng.integers(-9, 9, size=(2, m, m)).astype(float))
    exact = o.unbiased_hsic_exact(K, L)
    assert o.unbiased_hsic(o.as_fractions(K), o.as_fractions(L)) == exact
    assert o.unbiased_hsic(K, L) == pytest.approx(float(exact), rel=1e-13, abs=1e-13)


def test_unbiased_hsic_is_unbiased_on_a_finite_population():
    # X uniform on {0, 1, 3}, Y = (X = 0): average over all samples with replacement of size 4, in fractions.
    values = [(Fraction(0), Fraction(1)), (Fraction(1), Fraction(0)), (Fraction(3), Fraction(0))]
    total = Fraction(0)
    for sample in itertools.product(values, repeat=4):
        K = np.array([[a[0] * b[0] for b in sample] for a in sample], dtype=object)
        L = np.array([[a[1] * b[1] for b in sample] for a in sample], dtype=object)
        total += o.unbiased_hsic(K, L)
    mean = sum(a * b for a, b in values) / 3 - sum(a for a, _ in values) * sum(b for _, b in values) / 9
    assert total / 3**4 == mean**2  # HSIC with linear kernels is the squared covariance


@pytest.mark.parametrize("m", [4, 6, 11])
def test_u_centering_is_the_projection_whose_inner_product_is_hsic(m):
    rng = np.random.default_rng(m)
    K, L = (A @ A.T for A in rng.normal(size=(2, m, 3)))
    P, Q = o.u_centering_least_squares(K), o.u_centering_least_squares(L)
    assert np.abs(np.diag(P)).max() == 0
    assert np.abs(P.sum(axis=0)).max() < 1e-13 * norm(K)
    assert np.allclose(o.u_centering_least_squares(P), P, rtol=0, atol=1e-13 * norm(K))
    assert np.sum(P * Q) / (m * (m - 3)) == pytest.approx(
        o.unbiased_hsic(K, L), abs=1e-14 * norm(K) * norm(L)
    )
    assert o.numerical_rank_dimension(o.u_centering_least_squares, (m, m)) == m * (m - 3) // 2


def test_debiased_cka_is_zero_on_average_for_independent_data_and_biased_cka_is_not():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(12, 100)), rng.normal(size=(12, 100))) for _ in range(400)]
    debiased = [o.debiased_cka(x, y) for x, y in pairs]
    assert abs(np.mean(debiased)) < 4 * np.std(debiased) / math.sqrt(400)
    assert np.mean([o.biased_cka(x, y) for x, y in pairs]) > 0.8


# ----------------------------------------------------------------------------------------------------------
# Procrustes
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["O", "SO"])
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_searched_rotation_is_as_good_as_singular_values(p, group):
    rng = np.random.default_rng(p)
    for rank in (None, max(1, p - 1), 1):
        x, y = _shape(rng, 7, p, rank), 3 * _shape(rng, 7, p)
        z = y @ o.procrustes_rotation_svd(x, y, group)
        assert o.procrustes_distance_bruteforce(x, y, group, n_starts=3) == pytest.approx(
            norm(x - z), rel=1e-13
        )
        cosine = np.sum(x * z) / 3
        assert o.angular_procrustes_bruteforce(x, y, group, n_starts=3) == pytest.approx(
            np.arccos(cosine), abs=1e-12
        )


@pytest.mark.parametrize("p", [2, 3, 4])
def test_searched_distance_sees_through_rotations(p):
    rng = np.random.default_rng(p)
    x = _shape(rng, 8, p)
    q = np.linalg.qr(rng.normal(size=(p, p)))[0]
    q = q if np.linalg.det(q) > 0 else -q if p % 2 else q @ np.diag([-1.0] + [1.0] * (p - 1))
    mirror = q @ np.diag([-1.0] + [1.0] * (p - 1))
    assert o.procrustes_distance_bruteforce(x, x @ q, "SO") < 1e-14
    assert o.procrustes_distance_bruteforce(x, x @ mirror, "O") < 1e-14
    s = np.linalg.svd(x, compute_uv=False)
    # det < 0: the best rotation gives up the smallest singular value of x'x, twice
    assert o.procrustes_distance_bruteforce(x, x @ mirror, "SO") == pytest.approx(2 * s[-1], rel=1e-12)


# ----------------------------------------------------------------------------------------------------------
# Shapes: projection, transport, cut time
# ----------------------------------------------------------------------------------------------------------

SIZES = [(6, 1), (6, 2), (7, 3), (8, 4), (4, 5)]


@pytest.mark.parametrize(("m", "p", "rank"), [(6, 1, None), (7, 3, None), (7, 4, 2), (4, 6, None), (4, 6, 2)])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_vertical_projection_is_orthogonal_and_along_the_orbit(m, p, rank, scale):
    rng = np.random.default_rng(m + p)
    x = scale * _shape(rng, m, p, rank)
    w = rng.normal(size=(m, p))
    vertical = o.vertical_projection_lstsq(x, w)
    rest = w - vertical
    assert norm(x.T @ rest - rest.T @ x) < 1e-13 * scale  # horizontal: x'w is symmetric
    assert abs(np.sum(vertical * rest)) < 1e-13
    A = rng.normal(size=(p, p))
    along = x @ (A - A.T) / scale
    assert np.allclose(o.vertical_projection_lstsq(x, along), along, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kendall", [False, True])
@pytest.mark.parametrize(("m", "p"), SIZES)
def test_transport_by_ode_and_by_pole_ladder_agree(m, p, kendall):
    rng = np.random.default_rng(10 * m + p)
    x = _shape(rng, m, p)
    v, u = _horizontal(rng, x, kendall), _horizontal(rng, x, kendall)
    v = v * min(0.4, 0.5 * o.cut_time_bruteforce(x, v, kendall), 0.5 * o.cut_time_bruteforce(x, -v, kendall))
    moved = o.shape_transport_ode(x, v, u, kendall)
    end, velocity = o.shape_geodesic(x, v, 1.0, kendall)
    assert norm(moved) == pytest.approx(1.0, abs=1e-11)
    assert norm(o.vertical_projection_lstsq(end, moved)) < 1e-11
    assert np.sum(moved * velocity) == pytest.approx(np.sum(u * v), abs=1e-11)
    assert norm(moved - o.shape_transport_pole_ladder(x, v, u, kendall)) < 1e-9
    back = o.shape_transport_ode(end, -velocity, moved, kendall)
    assert norm(back - u) < 1e-10
    if p == 1:  # no rotations but a sign: flat, or the sphere
        flat = o.sphere_transport_mpmath(x, v, u) if kendall else u
        assert norm(moved - flat) < 1e-11


def test_transport_around_a_triangle_turns_by_its_angle_excess():
    # Planar triangles (m = 3, p = 2) form a sphere of radius 1/2: Gauss-Bonnet, without the curvature's
    # value.
    rng = np.random.default_rng(3)
    a = _shape(rng, 3, 2)
    corners = [a] + [o.shape_exp(a, 0.2 * o.cut_time_bruteforce(a, w, True) * w, True)
                     for w in (_horizontal(rng, a, True), _horizontal(rng, a, True))]  # fmt: skip
    excess = -math.pi
    for here, one, other in (np.roll(corners, k, axis=0) for k in range(3)):
        excess += o.angle_mpmath(o.shape_log(here, one, True), o.shape_log(here, other, True))
    start = o.shape_log(a, corners[1], True)
    x, u = a, start
    for target in (corners[1], corners[2], a):
        v = o.shape_log(x, target, True)
        x, u = o.shape_exp(x, v, True), o.shape_transport_ode(x, v, u, True)
    u = u @ o.procrustes_rotation_svd(a, x)  # back to the gauge of a
    assert excess > 1e-3
    assert o.angle_mpmath(start, u) == pytest.approx(excess, abs=1e-10)


@pytest.mark.parametrize("kendall", [False, True])
@pytest.mark.parametrize(("m", "p"), SIZES)
def test_geodesics_are_minimal_before_the_cut_time_only(m, p, kendall):
    rng = np.random.default_rng(m + p)
    x = _shape(rng, m, p)
    v = _horizontal(rng, x, kendall)
    cut = o.cut_time_bruteforce(x, v, kendall)
    distance = o.angular_procrustes_bruteforce if kendall else o.procrustes_distance_bruteforce
    before = 0.99 * min(cut, 50.0)
    assert distance(x, o.shape_exp(x, before * v, kendall), n_starts=3) == pytest.approx(before, rel=1e-12)
    if np.isfinite(cut):
        after = 1.01 * cut
        assert distance(x, o.shape_exp(x, after * v, kendall), n_starts=3) < after * (1 - 1e-5)


@pytest.mark.parametrize("kendall", [False, True])
def test_cut_time_towards_the_nearest_singular_shape_is_the_smallest_singular_value(kendall):
    rng = np.random.default_rng(0)
    x = _shape(rng, 7, 3)
    a, s, bt = np.linalg.svd(x, full_matrices=False)
    v = o.horizontal_projection_lstsq(x, -np.outer(a[:, -1], bt[-1]), kendall)
    expected = np.arcsin(s[-1]) if kendall else s[-1]
    assert o.cut_time_bruteforce(x, v / norm(v), kendall) == pytest.approx(expected, rel=1e-11)


# ----------------------------------------------------------------------------------------------------------
# Means
# ----------------------------------------------------------------------------------------------------------


def test_sphere_mean_is_stationary_and_equivariant():
    rng = np.random.default_rng(0)
    points = np.stack([_unit(rng, 6) + 1.5 * np.eye(6)[0] for _ in range(5)])
    points /= norm(points, axis=1, keepdims=True)
    weights = rng.uniform(size=5)
    found = o.frechet_mean_bruteforce_sphere(points, weights)
    slope = sum(w * o.sphere_log_mpmath(found.mean, q) for w, q in zip(weights, points, strict=True))
    assert norm(slope) < 1e-13
    variance = sum(w * o.angle_mpmath(found.mean, q) ** 2 for w, q in zip(weights, points, strict=True))
    assert found.objective == pytest.approx(variance / weights.sum(), rel=1e-13)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert norm(o.frechet_mean_bruteforce_sphere(points @ turn, weights).mean - found.mean @ turn) < 1e-10


def test_sphere_mean_of_two_points_is_the_midpoint():
    a, b = np.eye(3)[0], np.array([math.cos(2.0), math.sin(2.0), 0.0])
    found = o.frechet_mean_bruteforce_sphere(np.stack([a, b]))
    assert norm(found.mean - [math.cos(1.0), math.sin(1.0), 0.0]) < 1e-10
    assert found.objective == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("kendall", [False, True])
@pytest.mark.parametrize(("m", "p"), [(5, 2), (4, 3)])
def test_shape_mean_is_stationary_and_beats_its_neighbors(m, p, kendall):
    rng = np.random.default_rng(m)
    points = np.stack([_shape(rng, m, p) * rng.uniform(1, 2) for _ in range(4)])
    found = o.frechet_mean_bruteforce_shapes(points, kendall=kendall)
    distance = o.angular_procrustes_bruteforce if kendall else o.procrustes_distance_bruteforce
    variance = np.mean([distance(found.mean, q, n_starts=2) ** 2 for q in points])
    assert found.objective == pytest.approx(variance, rel=1e-12)
    scaled = points / norm(points, axis=(1, 2), keepdims=True) if kendall else points
    assert norm(np.mean([o.shape_log(found.mean, q, kendall) for q in scaled], axis=0)) < 1e-12
    for _ in range(20):
        near = found.mean + 1e-2 * rng.normal(size=(m, p))
        assert np.mean([distance(near, q, n_starts=1) ** 2 for q in points]) > variance


def test_shape_mean_of_two_points_is_the_midpoint():
    rng = np.random.default_rng(1)
    x, y = _shape(rng, 5, 2), _shape(rng, 5, 2)
    middle = (x + y @ o.procrustes_rotation_svd(x, y)) / 2
    assert (
        o.procrustes_distance_bruteforce(o.frechet_mean_bruteforce_shapes(np.stack([x, y])).mean, middle)
        < 1e-10
    )


# ----------------------------------------------------------------------------------------------------------
# Sphere in 60 digits
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [1e-9, 1e-3, 1.0, 3.0, 3.14159])
def test_sphere_series_matches_closed_forms(angle):
    rng = np.random.default_rng(0)
    x, u = _unit(rng, 4, 4), rng.normal(size=(4, 4))
    e = rng.normal(size=(4, 4))
    e -= np.sum(e * x) * x
    e /= norm(e)
    u -= np.sum(u * x) * x
    y = o.sphere_exp_mpmath(x, angle * e)
    assert norm(y - (math.cos(angle) * x + math.sin(angle) * e)) < 5e-16
    moved = o.sphere_transport_mpmath(x, angle * e, u)
    expected = u + np.sum(e * u) * ((math.cos(angle) - 1) * e - math.sin(angle) * x)
    assert norm(moved - expected) < 4e-15
    rounding = 1e-15 / math.sin(angle)  # of y, seen from x
    assert o.angle_mpmath(x, y) == pytest.approx(angle, abs=1e-15)
    assert norm(o.sphere_log_mpmath(x, y) - angle * e) < angle * rounding + 1e-15


def test_angle_is_correct_where_arccos_is_not():
    a, b = np.array([1.0, 0.0]), np.array([1.0, 1e-30])
    assert o.angle_mpmath(a, b) == 1e-30
    assert o.angle_mpmath(a, -a) == math.pi
    assert o.angle_mpmath(a, a) == 0.0
    with pytest.raises(ValueError, match="antipode"):
        o.sphere_log_mpmath(a, -a)


# ----------------------------------------------------------------------------------------------------------
# Dimension, curvature
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "p", "expected"), [(5, 1, 4), (6, 2, 9), (7, 3, 15), (4, 3, 6), (4, 5, 6), (3, 4, 3), (2, 3, 1)]
)
def test_quotient_dimension(m, p, expected):
    assert o.quotient_dimension(m, p) == expected
    assert o.quotient_dimension(m, p, kendall=True) == expected - 1


def test_curvature_of_known_spaces():
    rng = np.random.default_rng(0)

    def exp(x, w):
        return np.cos(norm(w)) * x + np.sinc(norm(w) / np.pi) * w

    def angle(x, y):
        return 2 * np.arctan2(norm(x - y), norm(x + y))

    x, u, v = np.eye(4)[:3]
    curvature = o.sectional_curvature_from_distances
    assert curvature(angle, exp, x, u, v + 0.3 * u) == pytest.approx(1.0, abs=1e-8)
    assert curvature(lambda a, b: norm(a - b), np.add, x, u, v) == pytest.approx(0.0, abs=1e-8)
    # A plane of Kendall shapes of triangles (m = 3, p = 2) is a sphere of radius 1/2.
    x = _shape(rng, 3, 2)
    u, v = _horizontal(rng, x, True), _horizontal(rng, x, True)
    measured = curvature(lambda a, b: norm(o.shape_log(a, b, True)), lambda a, w: o.shape_exp(a, w, True),
                         x, u, v, size=0.15 * o.cut_time_bruteforce(x, u, True))  # fmt: skip
    assert measured == pytest.approx(4.0, abs=1e-4)


# ----------------------------------------------------------------------------------------------------------
# Loops and golden numbers
# ----------------------------------------------------------------------------------------------------------


def test_loops_match_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 4))
    assert o.stress_by_loops(x, y) == pytest.approx(np.sqrt(np.mean((pdist(x) - pdist(y)) ** 2)), rel=1e-14)
    gram = np.exp(-squareform(pdist(x, "sqeuclidean")) / (2 * 1.7**2))
    assert np.allclose(o.rbf_gram_by_loops(x, 1.7), gram, rtol=1e-14)


def test_whitened_rdm_cosine_is_cka_by_the_full_covariance_matrix():
    rng = np.random.default_rng(0)
    m = 7
    contrasts = np.array([np.eye(m)[i] - np.eye(m)[j] for i, j in itertools.combinations(range(m), 2)])
    V = (contrasts @ contrasts.T) ** 2
    x, y = rng.normal(size=(m, 3)), rng.normal(size=(m, 4))
    d, e = pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean")

    def cosine(a, b):
        products = [c @ np.linalg.solve(V, f) for c, f in ((a, b), (a, a), (b, b))]
        return products[0] / math.sqrt(products[1] * products[2])

    assert cosine(d, e) == pytest.approx(o.biased_cka(x, y), rel=1e-12)
    assert cosine(d - d.mean(), e - e.mean()) == pytest.approx(_whitened_correlation(d, e), rel=1e-12)


def _whitened_correlation(d, e):
    a, b = (squareform(f - f.mean()) for f in (d, e))
    a, b = (o.center(o.center(f).T) for f in (a, b))
    return np.sum(a * b) / (norm(a) * norm(b))


def _golden_numbers():
    """Every entry of GOLDEN, computed here; where possible by another route than the obvious one."""
    raw = o.golden_pair()
    x, y = (o.center(a) for a in raw)
    m, p = x.shape
    # Kernel CKA from features: |y'x|^2 / (|x'x| |y'y|), and the definition with the centering matrix.
    features = norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))
    assert o.biased_cka(*raw) == pytest.approx(features, rel=1e-13)
    yield "biased_cka", features
    yield "angular_cka", math.acos(features)
    u = [o.center(o.center(a @ a.T).T) for a in (x, y)]
    u = [a - np.diag(np.diag(a)) for a in u]
    yield "lange_cka", np.sum(u[0] * u[1]) / (norm(u[0]) * norm(u[1]))
    # Unbiased: Szekely and Rizzo's U-centering instead of Song's sums.
    u = [a @ a.T for a in raw]
    u = [a - np.diag(np.diag(a)) for a in u]
    u = [a - a.sum(0) / (m - 2) - a.sum(0)[:, None] / (m - 2) + a.sum() / ((m - 1) * (m - 2)) for a in u]
    u = [a - np.diag(np.diag(a)) for a in u]
    unbiased = np.sum(u[0] * u[1]) / (norm(u[0]) * norm(u[1]))
    assert o.debiased_cka(*raw) == pytest.approx(unbiased, rel=1e-12)
    yield "unbiased_cka", unbiased
    # Procrustes: by search in O(10).
    distance = o.procrustes_distance_bruteforce(x, y, n_starts=1)
    angle = o.angular_procrustes_bruteforce(x, y, n_starts=1)
    nuclear = np.linalg.svd(y.T @ x, compute_uv=False).sum()
    assert distance == pytest.approx(math.sqrt(norm(x) ** 2 + norm(y) ** 2 - 2 * nuclear), rel=1e-13)
    assert math.cos(angle) == pytest.approx(nuclear / (norm(x) * norm(y)), rel=1e-13)
    yield "size_and_shape", distance
    yield "size_and_shape_squared", distance**2
    yield "bures_squared_over_p", distance**2 / p
    yield "angular_shape", angle
    yield "nbs", math.cos(angle)
    yield "unit_chord", 2 * math.sin(angle / 2)
    # Whitening. The covariance is x'x/m without, x'x with restored trace.
    for share, name in ((0.5, "half_whitened"), (0.0, "whitened")):
        for convention in ("mean", "gram"):
            pair = []
            for a in (x, y):
                eig, vec = np.linalg.eigh(a.T @ a / (m if convention == "mean" else 1))
                b = a @ (vec * (share + (1 - share) / np.sqrt(eig))) @ vec.T
                pair.append(b if convention == "mean" else b * norm(a) / norm(b))
            q = o.procrustes_rotation_svd(*pair)
            yield f"size_and_shape_{name}_{convention}_cov", norm(pair[0] - pair[1] @ q)
            if share:
                cosine = np.sum(pair[0] * (pair[1] @ q)) / (norm(pair[0]) * norm(pair[1]))
                yield f"angular_shape_{name}_{convention}_cov", math.acos(cosine)
    # Canonical correlations: eigenvalues of Sxx^-1 Sxy Syy^-1 Syx.
    for (a, b), suffix in (((x, y), ""), (raw, "_uncentered")):
        squares = np.linalg.eigvals(
            np.linalg.solve(a.T @ a, a.T @ b) @ np.linalg.solve(b.T @ b, b.T @ a)
        ).real
        yield f"cca_mean_rho2{suffix}", squares.mean()
        if not suffix:
            yield "cca_mean_rho", np.sqrt(squares).mean()
            yield "cca_angle", math.acos(np.sqrt(squares).mean())
    eig = np.linalg.eigvals(np.linalg.solve(x.T @ x, y.T @ y)).real  # not symmetric-definite: another route
    yield "affine_invariant_cov", norm(np.log(eig))
    # Dissimilarities.
    d, e = pdist(x), pdist(y)
    yield "stress", o.stress_by_loops(*raw)
    lower, ordinary = (lambda a: np.sort(a)[(len(a) - 1) // 2]), np.median
    for median, name in ((lower, "stress_median_lower"), (ordinary, "stress_median")):
        yield name, math.sqrt(np.mean((d / median(d) - e / median(e)) ** 2))
    d2, e2 = d**2, e**2
    yield "rdm_cosine", d2 @ e2 / (norm(d2) * norm(e2))
    yield "rdm_correlation", scipy.stats.pearsonr(d2, e2).statistic
    yield "rdm_spearman", scipy.stats.pearsonr(*(np.argsort(np.argsort(a)) for a in (d2, e2))).statistic
    yield "rdm_kendall_tau", scipy.stats.kendalltau(d2, e2).statistic
    yield "rdm_correlation_whitened", _whitened_correlation(d2, e2)
    yield "rdm_cosine_whitened", features
    # Distance covariance as E dd' + E d E d' - 2 E d d'' instead of double centering.
    a, b = squareform(d), squareform(e)
    dcov = [(s * t).mean() + s.mean() * t.mean() - 2 * (s.mean(0) * t.mean(0)).mean() for s, t in
            ((a, b), (a, a), (b, b))]  # fmt: skip
    yield "distance_correlation", math.sqrt(dcov[0] / math.sqrt(dcov[1] * dcov[2]))
    # Permutations: assignment on costs |x_i - y_j|^2 (columns).
    cost = ((x[:, :, None] - y[:, None, :]) ** 2).sum(axis=0)
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    yield "permutation_distance", math.sqrt(cost[rows, columns].sum())
    yield "soft_matching", math.sqrt(cost[rows, columns].mean())
    yield "permutation_angle", math.acos(np.sum(x[:, rows] * y[:, columns]) / (norm(x) * norm(y)))


def test_every_golden_number_is_confirmed_to_its_last_digit():
    found = dict(_golden_numbers())
    assert found.keys() == o.GOLDEN.keys()
    wrong = {}
    for name, value in o.GOLDEN.items():
        digits = len(repr(value).split(".")[1])
        if abs(found[name] - value) > 0.51 * 10.0**-digits:
            wrong[name] = (value, found[name])
    assert not wrong
