"""The oracles of ``oracles_metrics`` agree with each other, hand calculations, and the golden numbers."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import oracles as o
import oracles_metrics as om
import pytest
import scipy.linalg
import scipy.optimize
import scipy.spatial
import scipy.stats

norm = np.linalg.norm
GOLDEN = o.GOLDEN


def _close(a, b, rel):
    """Equal to ``rel`` of the larger norm."""
    assert norm(np.asarray(a) - np.asarray(b)) <= rel * max(norm(a), norm(b))


def _spd_pair(seed, n=4, condition=30.0):
    rng = np.random.default_rng(seed)
    return om.spd_with_condition(rng, n, condition), 2 * om.spd_with_condition(rng, n, condition)


def _symmetric(seed, n=4):
    return om.sym(np.random.default_rng(seed).normal(size=(n, n)))


def _orthogonal(rng, p):
    q, r = np.linalg.qr(rng.normal(size=(p, p)))
    return q * np.sign(np.diag(r))


# ----------------------------------------------------------------------------------------------------------
# Affine-invariant metric
# ----------------------------------------------------------------------------------------------------------


def test_affine_invariant_distance_of_multiples_and_diagonals_is_known():
    A = om.spd_with_condition(np.random.default_rng(0), 5, 100.0)
    assert om.airm_distance(A, math.e * A) == pytest.approx(math.sqrt(5), rel=1e-13)  # sqrt(n) log c
    D, E = np.diag([1.0, 2.0, 3.0]), np.diag([4.0, 1.0, 3.0])
    expected = math.hypot(math.log(4), math.log(2))
    for distance in (om.airm_distance, om.airm_distance_sqrtm, om.airm_distance_mpmath):
        assert distance(D, E) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_three_ways_to_the_affine_invariant_distance(seed):
    A, B = _spd_pair(seed)
    exact = om.airm_distance_mpmath(A, B)
    assert om.airm_distance(A, B) == pytest.approx(exact, rel=1e-12)
    assert om.airm_distance_sqrtm(A, B) == pytest.approx(exact, rel=1e-12)


def test_sixty_digits_see_through_ill_conditioned_pairs():
    # Integer matrices L D L' with L unit lower triangular: exact in floats, and the congruence by L leaves D.
    L = np.array([[1.0, 0, 0], [3, 1, 0], [-2, 5, 1]])
    D, E = np.diag([2.0**40, 1.0, 2.0**-4]), np.diag([1.0, 2.0**8, 2.0**36])
    expected = math.log(2) * math.sqrt(40**2 + 8**2 + 40**2)
    assert om.airm_distance_mpmath(L @ D @ L.T, L @ E @ L.T) == pytest.approx(expected, rel=1e-15)
    with pytest.raises(ValueError, match="positive definite"):
        om.airm_distance_mpmath(np.eye(2), np.diag([1.0, -1.0]))


@pytest.mark.parametrize("seed", range(3))
def test_affine_invariant_maps_fit_together(seed):
    A, B = _spd_pair(seed)
    W = om.airm_log(A, B)
    _close(om.airm_exp(A, W), B, 1e-12)
    assert om.airm_inner(A, W, W) == pytest.approx(om.airm_distance(A, B) ** 2, rel=1e-12)
    _close(om.airm_geodesic(A, B, 0.3), om.airm_exp(A, 0.3 * W), 1e-12)
    middle = om.airm_geodesic(A, B, 0.5)
    _close(middle @ np.linalg.inv(A) @ middle, B, 1e-12)  # what makes it the geometric mean
    _close(om.airm_transport(A, B, W), -om.airm_log(B, A), 1e-11)  # the velocity is parallel


@pytest.mark.parametrize("seed", range(3))
def test_affine_invariant_transport_solves_its_equation(seed):
    A, B = _spd_pair(seed)
    U, V = _symmetric(seed + 10), _symmetric(seed + 20)
    P, Q = om.airm_transport(A, B, U), om.airm_transport(A, B, V)
    _close(P, om.airm_transport_ode(A, B, U), 1e-10)
    assert om.airm_inner(B, P, Q) == pytest.approx(om.airm_inner(A, U, V), rel=1e-10)


def test_affine_invariant_curvature_is_that_of_the_commutator():
    # At the identity K = -|[U, V]|^2 / 4 for orthonormal U, V; -1/2 is reached by this pair.
    U, V = np.diag([1.0, -1.0, 0.0]) / math.sqrt(2), np.zeros((3, 3))
    V[0, 1] = V[1, 0] = 1 / math.sqrt(2)
    assert om.airm_sectional_curvature(np.eye(3), U, V) == pytest.approx(-0.5, abs=1e-6)
    A, _ = _spd_pair(1, n=3, condition=5.0)
    root = scipy.linalg.sqrtm(A)
    assert om.airm_sectional_curvature(A, root @ U @ root, root @ V @ root) == pytest.approx(-0.5, abs=1e-6)
    D = np.diag([0.0, 0.0, 1.0])
    assert om.airm_sectional_curvature(np.eye(3), U, D) == pytest.approx(0.0, abs=1e-6)


# ----------------------------------------------------------------------------------------------------------
# Log-Euclidean metric
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_derivatives_of_logarithm_and_exponential(scale):
    A, _ = _spd_pair(3, condition=10.0)
    W, S = scale * _symmetric(4), scipy.linalg.logm(A)
    _close(om.dlogm(A, W), om.central_difference(scipy.linalg.logm, A, W), 1e-9)
    _close(om.dexpm(S, W), om.central_difference(scipy.linalg.expm, S, W), 1e-9)
    _close(om.dexpm(S, om.dlogm(A, W)), W, 1e-12)


def test_log_euclidean_maps_fit_together():
    A, B = _spd_pair(5)
    U, V = _symmetric(6), _symmetric(7)
    W = om.log_euclidean_log(A, B)
    distance = om.log_euclidean_distance(A, B)
    _close(om.log_euclidean_exp(A, W), B, 1e-12)
    _close(om.log_euclidean_geodesic(A, B, 0.3), om.log_euclidean_exp(A, 0.3 * W), 1e-12)
    assert math.sqrt(om.log_euclidean_inner(A, W, W)) == pytest.approx(distance, rel=1e-12)
    P, Q = om.log_euclidean_transport(A, B, U), om.log_euclidean_transport(A, B, V)
    assert om.log_euclidean_inner(B, P, Q) == pytest.approx(om.log_euclidean_inner(A, U, V), rel=1e-11)
    _close(om.log_euclidean_transport(A, B, W), -om.log_euclidean_log(B, A), 1e-11)


def test_log_euclidean_space_is_flat_and_never_longer_than_affine_invariant():
    A, B = _spd_pair(8, n=3, condition=5.0)
    U, V = 0.3 * _symmetric(9, 3), 0.3 * _symmetric(10, 3)
    curvature = o.sectional_curvature_from_distances(om.log_euclidean_distance, om.log_euclidean_exp, A, U, V)
    assert curvature == pytest.approx(0.0, abs=1e-5)
    assert om.log_euclidean_distance(A, B) < om.airm_distance(A, B)  # Golden-Thompson, Bhatia
    D, E = np.diag([1.0, 2.0, 3.0]), np.diag([4.0, 1.0, 3.0])  # they agree where matrices commute
    assert om.log_euclidean_distance(D, E) == pytest.approx(om.airm_distance(D, E), rel=1e-14)


# ----------------------------------------------------------------------------------------------------------
# Bures-Wasserstein
# ----------------------------------------------------------------------------------------------------------


def test_bures_distance_of_commuting_matrices_is_that_of_their_roots():
    assert om.bures_distance_mpmath(np.diag([1.0, 4.0, 0.0]), np.diag([9.0, 0.0, 16.0])) == pytest.approx(
        math.sqrt(4 + 4 + 16), rel=1e-15
    )
    assert om.bures_distance_mpmath(np.eye(3), np.eye(3)) == 0


@pytest.mark.parametrize("n", [2, 3, 4])
def test_bures_distance_is_the_least_distance_of_factors(n):
    A, B = _spd_pair(n, n)
    assert om.bures_distance_bruteforce(A, B) == pytest.approx(om.bures_distance_mpmath(A, B), rel=1e-12)


def test_bures_distance_of_factors_is_procrustes_distance():
    rng = np.random.default_rng(0)
    for m, p, q in ((6, 3, 3), (6, 2, 4), (3, 5, 5)):
        x, y = rng.integers(-9, 10, size=(m, p)), rng.integers(-9, 10, size=(m, q))  # integers: x x' is exact
        expected = om.bures_distance_mpmath((x @ x.T).astype(float), (y @ y.T).astype(float))
        assert om.bures_distance_of_factors_mpmath(x, y) == pytest.approx(expected, rel=1e-15)
    x, y = (o.center(a) for a in o.golden_pair())
    assert om.bures_distance_of_factors_mpmath(x, y) == pytest.approx(GOLDEN["size_and_shape"], rel=1e-13)
    x = rng.normal(size=(5, 3))
    near = om.bures_distance_of_factors_mpmath(x, (x + 1e-9 * x) @ np.diag([1.0, -1.0, 1.0]))
    assert near == pytest.approx(1e-9 * norm(x), rel=1e-6)  # the difference of floats that differ by 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_bures_maps_fit_together(seed):
    A, B = _spd_pair(seed)
    T, W = om.bures_optimal_map(A, B), om.bures_log(A, B)
    _close(T @ A @ T, B, 1e-12)
    _close(om.bures_exp(A, W), B, 1e-11)
    _close(om.bures_geodesic(A, B, 0.3), om.bures_exp(A, 0.3 * W), 1e-11)
    distance = om.bures_distance_mpmath(A, B)
    assert math.sqrt(om.bures_inner(A, W, W)) == pytest.approx(distance, rel=1e-11)
    assert om.bures_distance_mpmath(A, om.bures_geodesic(A, B, 0.3)) == pytest.approx(
        0.3 * distance, rel=1e-11
    )


def test_bures_inner_product_is_the_hessian_of_the_squared_distance():
    A, _ = _spd_pair(4, condition=5.0)
    W = 0.1 * _symmetric(5)

    def squared(h):
        return (
            (om.bures_distance_mpmath(A, A + h * W) ** 2 + om.bures_distance_mpmath(A, A - h * W) ** 2)
            / 2
            / h**2
        )

    estimates = [squared(0.1 / 2**k) for k in range(4)]
    assert o._richardson(estimates, first=2, step=2) == pytest.approx(om.bures_inner(A, W, W), rel=1e-8)


@pytest.mark.parametrize("seed", range(2))
def test_two_equations_give_one_bures_transport(seed):
    A, B = _spd_pair(seed, condition=8.0)
    U, V = _symmetric(seed + 10), _symmetric(seed + 20)
    P, Q = om.bures_transport(A, B, U), om.bures_transport(A, B, V)
    _close(P, om.bures_transport_christoffel(A, B, U), 1e-9)
    assert om.bures_inner(B, P, Q) == pytest.approx(om.bures_inner(A, U, V), rel=1e-9)
    _close(om.bures_transport(A, B, om.bures_log(A, B)), -om.bures_log(B, A), 1e-9)
    _close(om.bures_transport(B, A, P), U, 1e-9)
    # And the one of shapes, on Cholesky factors.
    x = np.linalg.cholesky(A)
    v, u = om.lyapunov(A, om.bures_log(A, B)) @ x, om.lyapunov(A, U) @ x
    w = o.shape_transport_ode(x, v, u)
    _close((x + v) @ w.T + w @ (x + v).T, P, 1e-9)


def test_bures_space_is_curved_upward():
    A = np.diag([1.0, 2.0])
    U, V = np.diag([0.3, -0.3]), np.array([[0.0, 0.3], [0.3, 0.0]])
    curvature = o.sectional_curvature_from_distances(om.bures_distance_mpmath, om.bures_exp, A, U, V)
    # O'Neill in factors: K = 3 |x S|^2 / |u ^ v|^2 with {A, S} = v'u - u'v, lifts u = L x.
    x = np.sqrt(A)
    u, v = om.lyapunov(A, U) @ x, om.lyapunov(A, V) @ x
    S = om.lyapunov(A, v.T @ u - u.T @ v)
    area2 = np.sum(u * u) * np.sum(v * v) - np.sum(u * v) ** 2
    assert curvature == pytest.approx(3 * np.sum((x @ S) ** 2) / area2, rel=1e-5)
    assert curvature > 0.1


def test_gaussian_distance_is_pythagorean():
    A, B = np.diag([4.0, 1.0]), np.diag([1.0, 1.0])
    value = om.gaussian_wasserstein_distance(np.array([0.0, 2.0]), A, np.array([2.0, 0.0]), B)
    assert value == pytest.approx(3.0, rel=1e-15)


# ----------------------------------------------------------------------------------------------------------
# Subspaces
# ----------------------------------------------------------------------------------------------------------


def test_principal_angles_of_built_subspaces():
    angles = np.array([1.2, 1e-3, 1e-9])
    X = np.eye(7)[:, :3]
    Y = X * np.cos(angles) + np.eye(7)[:, 3:6] * np.sin(angles)
    assert om.principal_angles_mpmath(X, Y) == pytest.approx(angles, rel=1e-15)
    assert om.principal_angles_mpmath(X, X) == pytest.approx(np.zeros(3), abs=0)
    assert om.principal_angles_mpmath(np.eye(4)[:, :1], np.eye(4)[:, 1:3]) == pytest.approx([math.pi / 2])


@pytest.mark.parametrize(("p", "q"), [(3, 3), (2, 4), (4, 2)])
def test_principal_angles_of_any_bases(p, q):
    rng = np.random.default_rng(p)
    x, y = rng.normal(size=(8, p)), rng.normal(size=(8, q))
    expected = om.principal_angles_mpmath(x, y)
    assert scipy.linalg.subspace_angles(x, y) == pytest.approx(expected, rel=1e-13)
    assert om.grassmann_distance(x, y) == pytest.approx(norm(expected), rel=1e-13)
    mixed = om.principal_angles_mpmath(3 * x @ rng.normal(size=(p, p)), y)
    assert mixed == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("m", "p"), [(7, 3), (4, 3), (6, 1)])
def test_grassmann_maps_fit_together(m, p):
    rng = np.random.default_rng(m)
    Q = np.linalg.qr(rng.normal(size=(m, p)))[0]
    D, E, F = (a - Q @ (Q.T @ a) for a in rng.normal(size=(3, m, p)))
    D = D / norm(D, 2)  # largest angle: 1 radian
    end = om.grassmann_exp(Q, D)
    _close(end.T @ end, np.eye(p), 1e-14)
    _close(om.grassmann_log(Q, end @ _orthogonal(rng, p)), D, 1e-13)
    assert om.grassmann_distance(Q, end) == pytest.approx(norm(D), rel=1e-13)
    rotation = om.grassmann_transvection(Q, D)
    _close(rotation @ Q, end, 1e-13)
    P, R = om.grassmann_transport(Q, D, E), om.grassmann_transport(Q, D, F)
    _close(rotation @ E, P, 1e-13)
    assert np.sum(P * R) == pytest.approx(np.sum(E * F), rel=1e-12)
    assert norm(end.T @ P) < 1e-13 * norm(E)


# ----------------------------------------------------------------------------------------------------------
# Dissimilarity matrices
# ----------------------------------------------------------------------------------------------------------


def test_dissimilarities_of_three_points_by_hand():
    x = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
    assert om.upper_triangle(om.rdm_by_loops(x)).tolist() == [25.0, 9.0, 16.0]
    assert om.upper_triangle(om.rdm_by_loops(x, om.euclidean)).tolist() == [5.0, 3.0, 4.0]
    assert om.cosine_dissimilarity(x[1], x[2]) == pytest.approx(1 - 0.6, abs=1e-15)
    assert om.correlation_dissimilarity(x[1], x[2]) == pytest.approx(2.0, abs=1e-15)  # opposite slopes
    assert om.rdm_cosine(om.rdm_by_loops(x), om.rdm_by_loops(x, om.euclidean)) == pytest.approx(
        (125 + 27 + 64) / math.sqrt((625 + 81 + 256) * 50), rel=1e-15
    )


@pytest.mark.parametrize(
    "dissimilarity",
    [om.squared_euclidean, om.euclidean, om.cosine_dissimilarity, om.correlation_dissimilarity],
)
def test_dissimilarities_are_those_of_scipy(dissimilarity):
    names = {om.squared_euclidean: "sqeuclidean", om.euclidean: "euclidean",
             om.cosine_dissimilarity: "cosine", om.correlation_dissimilarity: "correlation"}  # fmt: skip
    x = np.random.default_rng(0).normal(size=(7, 4))
    expected = scipy.spatial.distance.pdist(x, names[dissimilarity])
    assert om.upper_triangle(om.rdm_by_loops(x, dissimilarity)) == pytest.approx(expected, rel=1e-13)


def test_golden_dissimilarities():
    D, E = (om.rdm_by_loops(a) for a in o.golden_pair())
    assert om.rdm_cosine(D, E) == pytest.approx(GOLDEN["rdm_cosine"], abs=1e-8)
    assert om.rdm_correlation(D, E) == pytest.approx(GOLDEN["rdm_correlation"], abs=1e-8)


def test_pair_covariance_is_that_of_simulated_squared_distances():
    # Without signal, cov((c_a e)^2, (c_b e)^2) = 2 V_ab for e ~ N(0, sigma).
    sigma = np.array([[1.0, 0.3, 0.0], [0.3, 2.0, -0.4], [0.0, -0.4, 1.5]])
    noise = np.random.default_rng(0).multivariate_normal(np.zeros(3), sigma, size=400_000)
    squares = (noise @ om.pair_contrasts(3).T) ** 2
    _close(np.cov(squares.T), 2 * om.pair_covariance(sigma), 0.02)


def _gram_of(D, sigma):
    """``-H D H' / 2`` with the centering that has the weights of generalized least squares."""
    m = len(D)
    weights = np.linalg.solve(sigma, np.ones(m))
    H = np.eye(m) - np.outer(np.ones(m), weights / weights.sum())
    return -0.5 * H @ D @ H.T


@pytest.mark.parametrize("plain", [True, False])
def test_whitened_similarities_have_closed_forms_on_gram_matrices(plain):
    rng = np.random.default_rng(1)
    m = 9
    x, y = rng.normal(size=(m, 4)), rng.normal(size=(m, 3))
    D, E = om.rdm_by_loops(x), om.rdm_by_loops(y)
    sigma = np.eye(m) if plain else om.spd_with_condition(rng, m, 20.0)
    inverse = np.linalg.inv(sigma)

    def inner(P, Q):
        return np.trace(inverse @ _gram_of(P, sigma) @ inverse @ _gram_of(Q, sigma))

    expected = inner(D, E) / math.sqrt(inner(D, D) * inner(E, E))
    assert om.whitened_rdm_cosine(D, E, sigma) == pytest.approx(expected, rel=1e-11)
    off = ~np.eye(m, dtype=bool)
    P, Q = D - D[off].mean() * off, E - E[off].mean() * off
    expected = inner(P, Q) / math.sqrt(inner(P, P) * inner(Q, Q))
    correlation = om.whitened_rdm_correlation(D, E, sigma)
    assert correlation == pytest.approx(expected, rel=1e-11)
    assert om.whitened_rdm_correlation(2 * D + 3 * off, E, sigma) == pytest.approx(correlation, rel=1e-10)
    least_squares = om.whitened_rdm_correlation_gls(D, E, sigma)
    assert om.whitened_rdm_correlation_gls(2 * D + 3 * off, E, sigma) == pytest.approx(
        least_squares, rel=1e-10
    )
    assert (abs(least_squares - correlation) < 1e-12) == plain  # two conventions unless sigma = I
    if plain:
        assert om.whitened_rdm_cosine(D, E) == pytest.approx(o.biased_cka(x, y), rel=1e-12)
        G, F = _gram_of(D, sigma), _gram_of(E, sigma)
        H = np.eye(m) - 1 / m
        G, F = G - np.trace(G) / (m - 1) * H, F - np.trace(F) / (m - 1) * H
        assert correlation == pytest.approx(om.cosine(G.ravel(), F.ravel()), rel=1e-11)


def test_ones_are_an_eigenvector_of_the_plain_pair_covariance():
    V = om.pair_covariance(np.eye(6))
    assert (V @ np.ones(15)).tolist() == [12.0] * 15


# ----------------------------------------------------------------------------------------------------------
# Matchings
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2, 4, 6])
def test_all_permutations_are_as_good_as_the_assignment(p):
    rng = np.random.default_rng(p)
    x, y = o.center(rng.normal(size=(6, p))), o.center(rng.normal(size=(6, p)))
    distance = om.permutation_distance_bruteforce(x, y)
    rows, columns = scipy.optimize.linear_sum_assignment(om.column_costs(x, y))
    assert distance == pytest.approx(norm(x[:, rows] - y[:, columns]), rel=1e-13)
    assert om.soft_matching_linprog(x, y) * math.sqrt(p) == pytest.approx(distance, rel=1e-12)
    assert om.permutation_distance_bruteforce(x, x[:, ::-1]) == 0
    cosine = max(np.sum(x * y[:, list(s)]) for s in itertools.permutations(range(p))) / norm(x) / norm(y)
    assert math.cos(om.permutation_angle_bruteforce(x, y)) == pytest.approx(cosine, rel=1e-13)


@pytest.mark.parametrize(("p", "q"), [(1, 3), (2, 3), (4, 6), (5, 7), (6, 6)])
def test_two_ways_to_the_soft_matching_distance(p, q):
    rng = np.random.default_rng(10 * p + q)
    x, y = rng.normal(size=(5, p)), 1e3 * rng.normal(size=(5, q))
    distance = om.soft_matching_linprog(x, y)
    assert distance == pytest.approx(om.soft_matching_by_copies(x, y), rel=1e-12)
    assert distance == pytest.approx(om.soft_matching_linprog(y, x), rel=1e-12)


def test_soft_matching_by_hand():
    x, y = (
        np.array([[1.0], [-1.0]]),
        np.array([[1.0, 3.0], [-1.0, -3.0]]),
    )  # one unit against two: each gets half
    assert om.soft_matching_linprog(x, y) == pytest.approx(math.sqrt(0.5 * 0 + 0.5 * 8), rel=1e-15)
    assert om.soft_matching_by_copies(x, np.hstack([x, x, x])) == 0  # copies do not count


def test_golden_soft_matching():
    x, y = o.golden_pair()
    assert om.soft_matching_linprog(x, y) == pytest.approx(GOLDEN["soft_matching"], abs=1e-9)
    assert om.soft_matching_linprog(x, y[:, :6]) == pytest.approx(
        om.soft_matching_by_copies(x, y[:, :6]), rel=1e-12
    )


# ----------------------------------------------------------------------------------------------------------
# Stochastic shapes
# ----------------------------------------------------------------------------------------------------------


def _clouds(seed, m=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 2)), np.stack([om.spd_with_condition(rng, 2, 5.0) for _ in range(m)])


def test_stochastic_distance_of_means_alone_is_procrustes():
    (mu, sigma), (nu, tau) = _clouds(0), _clouds(1)
    expected = math.sqrt(2 / 4) * o.procrustes_distance_bruteforce(mu, nu)
    assert om.stochastic_shape_distance_2d(mu, sigma, nu, tau, share=2.0) == pytest.approx(
        expected, rel=1e-13
    )
    zero = np.zeros((4, 2, 2))
    assert om.stochastic_shape_distance_2d(mu, zero, nu, zero) == pytest.approx(
        expected / math.sqrt(2), rel=1e-13
    )


def test_stochastic_distance_of_round_clouds_has_a_closed_form():
    (mu, _), (nu, _) = _clouds(2), _clouds(3)
    s, t = np.array([1.0, 2.0, 0.5, 1.0]), np.array([0.3, 1.0, 1.5, 0.0])
    sigma, tau = (a[:, None, None] ** 2 * np.eye(2) for a in (s, t))
    expected = math.sqrt((o.procrustes_distance_bruteforce(mu, nu) ** 2 + 2 * np.sum((s - t) ** 2)) / 4)
    assert om.stochastic_shape_distance_2d(mu, sigma, nu, tau) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 1.75])
def test_stochastic_distance_is_below_every_alignment_and_reached_by_one(share):
    rng = np.random.default_rng(4)
    (mu, sigma), (nu, tau) = _clouds(5), _clouds(6)
    least = om.stochastic_shape_distance_2d(mu, sigma, nu, tau, share)

    def at(Q):
        bures = sum(
            om.bures_distance_mpmath(a, om.sym(Q.T @ b @ Q), dps=20) ** 2
            for a, b in zip(sigma, tau, strict=True)
        )
        return math.sqrt((share * norm(mu - nu @ Q) ** 2 + (2 - share) * bures) / 4)

    values = []
    for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        c, s = np.cos(angle), np.sin(angle)
        values += [at(np.array([[c, -s], [s, c]])), at(np.array([[c, s], [s, -c]]))]
    assert least <= min(values) * (1 + 1e-14) <= least * 1.01
    Q = _orthogonal(rng, 2)
    moved = om.stochastic_shape_distance_2d(mu, sigma, nu @ Q, Q.T @ tau @ Q, share)
    assert moved == pytest.approx(least, rel=1e-12)
    assert om.stochastic_shape_distance_2d(mu, sigma, mu @ Q, Q.T @ sigma @ Q, share) < 1e-6


# ----------------------------------------------------------------------------------------------------------
# Kernels, HSIC, CKA
# ----------------------------------------------------------------------------------------------------------


def test_kernels_by_hand():
    a, b = np.array([3.0, 0.0]), np.array([0.0, 4.0])
    assert om.rbf(a, b, 5.0) == pytest.approx(math.exp(-0.5), rel=1e-15)
    assert om.laplace(a, b, 2.5) == pytest.approx(math.exp(-2.0), rel=1e-15)
    assert om.polynomial(a, a, 3, gamma=1 / 9, constant=1.0) == pytest.approx(8.0, rel=1e-15)
    assert om.polynomial(a, b, 2) == 0
    # Right angle: J = pi/2, 1, pi/2. Same direction: J = pi, pi, 3 pi. Opposite: 0.
    assert [om.arc_cosine(a, b, n) for n in range(3)] == pytest.approx([0.5, 12 / math.pi, 72.0], rel=1e-14)
    assert [om.arc_cosine(a, a, n) for n in range(3)] == pytest.approx([1.0, 9.0, 243.0], rel=1e-14)
    assert [om.arc_cosine(a, -a, n) for n in range(3)] == pytest.approx([0.0, 0.0, 0.0], abs=1e-14)
    assert om.arc_cosine(a, 0 * a, 1) == 0
    with pytest.raises(ValueError, match="zero"):
        om.arc_cosine(a, 0 * a, 0)
    gram = om.gram_by_loops(np.array([a, b]), lambda s, t: om.rbf(s, t, 2.0))
    _close(gram, o.rbf_gram_by_loops(np.array([a, b]), 2.0), 1e-15)
    assert om.gram_by_loops(np.array([a]), om.euclidean, np.array([a, b])).tolist() == [[0.0, 5.0]]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_arc_cosine_kernels_are_means_over_random_features(order):
    rng = np.random.default_rng(order)
    for a, b in rng.normal(size=(5, 2, 3)):
        assert om.arc_cosine(a, b, order) == pytest.approx(om.arc_cosine_integral(a, b, order), rel=1e-12)


@pytest.mark.parametrize("m", [2, 4, 5])
def test_biased_hsic_is_exactly_a_mean_over_quadruples(m):
    rng = np.random.default_rng(m)
    K, L = (A + A.T for A in rng.integers(-9, 10, size=(2, m, m)).astype(float))
    exact = om.hsic_biased(o.as_fractions(K), o.as_fractions(L))
    assert isinstance(exact, Fraction)
    assert exact == om.hsic_biased_quadruples(K, L)
    assert om.hsic_biased(K, L) == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


def test_hsic_of_two_inputs_by_hand():
    # Linear kernel of one unit, two inputs: the square of the covariance (x1 - x2)(y1 - y2) / 2.
    x, y = np.array([[1.0], [4.0]]), np.array([[2.0], [7.0]])
    assert om.hsic_biased(x @ x.T, y @ y.T) == pytest.approx(7.5**2, rel=1e-14)


def test_cka_of_linear_kernels_is_the_known_one():
    x, y = o.golden_pair()
    assert om.cka_biased(x @ x.T, y @ y.T) == pytest.approx(GOLDEN["biased_cka"], abs=1e-12)
    x, y = x[:7], y[:7]
    assert om.cka_unbiased(x @ x.T, y @ y.T) == pytest.approx(o.debiased_cka(x, y), rel=1e-12)


# ----------------------------------------------------------------------------------------------------------
# Canonical correlations
# ----------------------------------------------------------------------------------------------------------


def _centered_frame(rng, m, k):
    return np.linalg.qr(o.center(rng.normal(size=(m, k))))[0]


def test_canonical_correlations_of_built_pairs():
    rng = np.random.default_rng(0)
    frame = _centered_frame(rng, 12, 6)
    rho = np.array([0.9, 0.5, 0.1])
    x, y = frame[:, :3], frame[:, :3] * rho + frame[:, 3:] * np.sqrt(1 - rho**2)
    x, y = x @ rng.normal(size=(3, 3)) + 5, y @ rng.normal(size=(3, 3)) - 2
    assert om.canonical_correlations(x, y) == pytest.approx(rho, rel=1e-12)
    assert om.canonical_correlations_eig(x, y) == pytest.approx(rho, rel=1e-10)
    assert om.canonical_correlations(x, y[:, :2]) == pytest.approx(
        om.canonical_correlations_eig(x, y[:, :2]), rel=1e-10
    )
    doubled = np.hstack([x, x[:, :1]])  # a dependent column changes nothing
    assert om.canonical_correlations(doubled, y) == pytest.approx(rho, rel=1e-12)


def test_golden_canonical_correlations():
    x, y = o.golden_pair()
    rho = om.canonical_correlations(x, y)
    assert rho.mean() == pytest.approx(GOLDEN["cca_mean_rho"], abs=1e-10)
    assert np.mean(rho**2) == pytest.approx(GOLDEN["cca_mean_rho2"], abs=1e-10)
    assert om.canonical_correlations_eig(x, y) == pytest.approx(rho, rel=1e-12)
    assert om.svcca(x, y) == pytest.approx(GOLDEN["cca_mean_rho"], abs=1e-10)  # 99 % keeps all ten here


def test_svcca_keeps_the_fewest_components_that_hold_the_share():
    frame = _centered_frame(np.random.default_rng(1), 9, 4)
    x = frame[:, :3] * np.sqrt([0.9, 0.09, 0.01])
    assert [om.leading_components(x, s).shape[1] for s in (0.5, 0.9, 0.95, 0.99, 0.995, 1.0)] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    y = frame[:, [0, 1, 3]] * np.sqrt([0.9, 0.09, 0.01])
    assert om.svcca(x, y) == pytest.approx(1.0, rel=1e-13)  # the third, which differs, is left out
    assert om.svcca(x, y, 1.0) == pytest.approx(2 / 3, rel=1e-13)


def test_projection_weights_by_hand():
    frame = _centered_frame(np.random.default_rng(2), 9, 3)
    x, y = frame[:, :2] * [3.0, 1.0] + 7, frame[:, [0, 2]] - 4
    # Canonical variates of x are its columns, rho = 1 and 0; they carry weights 3 and 1.
    assert om.pwcca(x, y) == pytest.approx(0.75, rel=1e-12)
    assert om.pwcca(y, x) == pytest.approx(0.5, rel=1e-12)
    assert om.pwcca(x, x @ np.array([[1.0, 2.0], [3.0, 4.0]])) == pytest.approx(1.0, rel=1e-12)


def test_projection_weights_from_the_eigenvectors_of_the_pencil():
    x, y = (o.center(z) for z in o.golden_pair())
    C = x.T @ y
    squares, directions = scipy.linalg.eigh(C @ np.linalg.solve(y.T @ y, C.T), x.T @ x)
    weights = np.abs((x @ directions).T @ x).sum(axis=1)  # eigh makes the variates x a unit vectors
    expected = weights @ np.sqrt(squares) / weights.sum()
    assert om.pwcca(x, y) == pytest.approx(expected, rel=1e-12)
    assert om.pwcca(x, y) == pytest.approx(0.7347, abs=5e-5)  # what the package sim_metric gives


# ----------------------------------------------------------------------------------------------------------
# Partial whitening
# ----------------------------------------------------------------------------------------------------------


def test_full_whitening_has_covariance_one():
    x, _ = o.golden_pair()
    white = om.partially_whitened(x, 0.0, "mean")
    _close(white.T @ white / 100, np.eye(10), 1e-12)
    white = om.partially_whitened(x, 0.0, "gram")
    _close(white.T @ white, np.eye(10), 1e-12)
    white = om.partially_whitened(x, 0.0, "gram", preserve_variance=True)
    _close(white.T @ white, norm(o.center(x)) ** 2 / 10 * np.eye(10), 1e-12)
    for covariance in ("gram", "mean"):
        _close(om.partially_whitened(x, 1.0, covariance), o.center(x), 1e-14)


def test_whitening_leaves_silent_directions_silent():
    x = np.random.default_rng(0).normal(size=(8, 2))
    padded = np.hstack([x, np.zeros((8, 1))])
    for preserved in (True, False):
        white = om.partially_whitened(padded, 0.5, "gram", preserved)
        _close(white[:, :2], om.partially_whitened(x, 0.5, "gram", preserved), 1e-13)
        assert np.all(white[:, 2] == 0)


@pytest.mark.parametrize(
    ("share", "covariance", "preserved", "angular", "key", "digits"),
    [
        (0.5, "mean", False, True, "angular_shape_half_whitened_mean_cov", 1e-6),
        (0.5, "gram", True, True, "angular_shape_half_whitened_gram_cov", 1e-6),
        (0.5, "mean", False, False, "size_and_shape_half_whitened_mean_cov", 1e-4),
        (0.5, "gram", True, False, "size_and_shape_half_whitened_gram_cov", 1e-4),
        (0.0, "mean", False, False, "size_and_shape_whitened_mean_cov", 1e-4),
        (0.0, "gram", True, False, "size_and_shape_whitened_gram_cov", 1e-4),
        (0.0, "mean", False, True, "cca_angle", 1e-9),
    ],
)
def test_golden_whitened_shapes(share, covariance, preserved, angular, key, digits):
    x, y = (om.partially_whitened(a, share, covariance, preserved) for a in o.golden_pair())
    q = o.procrustes_rotation_svd(x, y)
    z = y @ q
    value = math.acos(np.sum(x * z) / norm(x) / norm(z)) if angular else norm(x - z)
    assert value == pytest.approx(GOLDEN[key], abs=digits)


# ----------------------------------------------------------------------------------------------------------
# Values of other libraries
# ----------------------------------------------------------------------------------------------------------

PEERS = json.loads((Path(__file__).parent / "reference" / "peer_values.json").read_text())
GIVEN = {name: np.array(a) for name, a in PEERS["inputs"].items() if not isinstance(a, str)}


def _spd_oracles():
    w = GIVEN["w_easy"]
    for kind in ("easy", "hard"):
        a, b, u = (GIVEN[f"{letter}_{kind}"] for letter in "abu")
        for metric, geometry, distance in (
            (("riemann", "affine"), "airm", om.airm_distance_mpmath),
            (("logeuclid", "logeuclidean"), "log_euclidean", om.log_euclidean_distance),
            (("wasserstein", "bures"), "bures", om.bures_distance_mpmath),
        ):
            maps = {name: getattr(om, f"{geometry}_{name}")
                    for name in ("geodesic", "log", "inner", "transport", "exp")}  # fmt: skip
            log = maps["log"](a, b)
            yield f"pyriemann.distance_{metric[0]}.{kind}", distance(a, b)
            yield f"pyriemann.geodesic_{metric[0]}.{kind}", maps["geodesic"](a, b, 0.3)
            yield f"pyriemann.log_map_{metric[0]}.{kind}", log
            yield f"pyriemann.innerproduct_{metric[0]}.{kind}", maps["inner"](a, u, log)
            yield f"geomstats.{metric[1]}_dist.{kind}", distance(a, b)
            yield f"geomstats.{metric[1]}_log.{kind}", log
            yield f"geomstats.{metric[1]}_inner.{kind}", maps["inner"](a, u, log)
            if (geometry, kind) != ("bures", "hard"):  # stiff, and no peer has it
                yield f"pyriemann.transport_{metric[0]}.{kind}", maps["transport"](a, b, u)
                yield f"geomstats.{metric[1]}_transport.{kind}", maps["transport"](a, b, u)
            if kind == "easy":
                yield f"pyriemann.exp_map_{metric[0]}.easy", maps["exp"](a, w)
                yield f"geomstats.{metric[1]}_exp.easy", maps["exp"](a, w)
        yield f"POT.bures_wasserstein_distance.{kind}", om.bures_distance_mpmath(a, b)
    a, b = (np.cov(z.T) for z in o.golden_pair())
    yield "pyriemann.distance_riemann.golden", om.airm_distance_mpmath(a, b)
    yield "pyriemann.distance_logeuclid.golden", om.log_euclidean_distance(a, b)
    yield "pyriemann.distance_wasserstein.golden", om.bures_distance_mpmath(a, b)
    a, b = GIVEN["a_easy"], GIVEN["b_easy"]
    yield "scipy.generalized_eigenvalues.easy", np.sort(np.linalg.eigvals(np.linalg.solve(a, b)).real)
    family = GIVEN["family"]
    mean_log = sum(scipy.linalg.logm(a) for a in family) / len(family)
    yield "pyriemann.mean_logeuclid.family", scipy.linalg.expm(mean_log)
    gaussians = (GIVEN[key] for key in ("mean_a", "cov_a", "mean_b", "cov_b"))
    yield "POT.bures_wasserstein_distance.gaussians", om.gaussian_wasserstein_distance(*gaussians)


def _shape_and_subspace_oracles():
    q, r = GIVEN["q_a"], GIVEN["q_b"]
    x, y = (o.center(z) for z in o.golden_pair())
    angles, D = om.principal_angles_mpmath(q, r), om.grassmann_log(q, r)
    yield "scipy.subspace_angles.q", angles
    yield "scipy.subspace_angles.golden", om.principal_angles_mpmath(x, y)
    yield "scipy.subspace_angles.golden_10_6", om.principal_angles_mpmath(x, y[:, :6])
    yield "geomstats.grassmannian_dist.q", math.sqrt(2) * norm(angles)
    yield "geomstats.grassmannian_log.q", D @ q.T + q @ D.T
    a, b = GIVEN["shape_a"], GIVEN["shape_b"]
    tangent, log = o.center(GIVEN["shape_tangent"]), o.shape_log(a, b, kendall=True)
    horizontal = o.horizontal_projection_lstsq(a, tangent - np.sum(tangent * a) * a, kendall=True)
    yield "geomstats.kendall_dist.shape", o.angular_procrustes_bruteforce(a, b)
    yield "geomstats.kendall_log.shape", log
    yield "geomstats.kendall_horizontal.shape", horizontal
    yield "geomstats.kendall_transport.shape", o.shape_transport_ode(a, log, horizontal, kendall=True)
    nuclear = float(np.linalg.svd(x.T @ y, compute_uv=False).sum())
    yield "scipy.orthogonal_procrustes.golden", nuclear
    yield "scipy.procrustes.golden", 1 - (nuclear / norm(x) / norm(y)) ** 2
    yield "scipy.permutation_distance.golden", math.sqrt(10) * om.soft_matching_linprog(x, y)
    for p, n in ((10, 10), (10, 6), (4, 7)):
        yield f"POT.soft_matching.golden_{p}_{n}", om.soft_matching_linprog(x[:, :p], y[:, :n])


def _dissimilarity_oracles():
    golden = o.golden_pair()
    for kind, rows in (("golden", slice(None)), ("golden12", slice(12))):
        x, y = (z[rows] for z in golden)
        for name, dissimilarity in (
            ("euclidean", om.squared_euclidean),
            ("correlation", om.correlation_dissimilarity),
        ):
            D, E = om.rdm_by_loops(x, dissimilarity), om.rdm_by_loops(y, dissimilarity)
            d, e = om.upper_triangle(D), om.upper_triangle(E)
            tau, rho = float(scipy.stats.kendalltau(d, e)[0]), float(scipy.stats.spearmanr(d, e)[0])
            off = 1 - np.eye(len(D))
            sigma = np.eye(len(D))
            G, F = (_gram_of(A, sigma).ravel() for A in (D, E))
            P, Q = (_gram_of(A - om.upper_triangle(A).mean() * off, sigma).ravel() for A in (D, E))
            found = {
                "cosine": om.rdm_cosine(D, E),
                "corr": om.rdm_correlation(D, E),
                "spearman": rho,
                "rho-a": rho,  # no ties
                "kendall": tau,
                "tau-a": tau,
                "cosine_cov": om.cosine(G, F),
                "corr_cov": om.cosine(P, Q),
            }
            yield from ((f"rsatoolbox.{key}_{name}.{kind}", value) for key, value in found.items())
            if kind == "golden12":
                yield f"rsatoolbox.rdm_{name}.{kind}", d / (10 if name == "euclidean" else 1)
                for tight in ("", "_tight"):
                    tail = f"{name}_sigma{tight}.{kind}"
                    yield f"rsatoolbox.cosine_cov_{tail}", om.whitened_rdm_cosine(D, E, GIVEN["sigma"])
                    yield f"rsatoolbox.corr_cov_{tail}", om.whitened_rdm_correlation(D, E, GIVEN["sigma"])
        x, y = o.center(x), o.center(y)
        distance = om.bures_distance_of_factors_mpmath(x, y)
        similarity = (norm(x) ** 2 + norm(y) ** 2 - distance**2) / (2 * norm(x) * norm(y))
        yield f"rsatoolbox.bures_euclidean.{kind}", similarity
        yield f"rsatoolbox.bures_metric_euclidean.{kind}", distance**2 / 10
    for name, dissimilarity in (
        ("sqeuclidean", om.squared_euclidean),
        ("euclidean", om.euclidean),
        ("cosine", om.cosine_dissimilarity),
        ("correlation", om.correlation_dissimilarity),
    ):
        yield (
            f"scipy.pdist_{name}.golden12",
            om.upper_triangle(om.rdm_by_loops(golden[0][:12], dissimilarity)),
        )


def _kernel_oracles():
    x, y = (z[:6] for z in o.golden_pair())
    for name, kernel in (
        ("rbf_kernel", lambda a, b: om.rbf(a, b, math.sqrt(5))),
        ("laplacian_kernel", lambda a, b: math.exp(-0.1 * np.abs(a - b).sum())),
        ("laplacian_kernel_1d", lambda a, b: om.laplace(a[:1], b[:1], 2.0)),
        ("polynomial_kernel", lambda a, b: om.polynomial(a, b, 3, 0.1, 0.7)),
        ("linear_kernel", lambda a, b: om.polynomial(a, b, 1)),
        ("cosine_distances", om.cosine_dissimilarity),
    ):
        yield f"scikit-learn.{name}.golden6", om.gram_by_loops(x, kernel, y)


@pytest.fixture(scope="module")
def ours():
    parts = (_spd_oracles(), _shape_and_subspace_oracles(), _dissimilarity_oracles(), _kernel_oracles())
    return dict(itertools.chain.from_iterable(parts))


@pytest.mark.parametrize("key", [key for key in PEERS["values"] if ".mean_" not in key or "logeuclid" in key])
def test_other_libraries_agree(key, ours):
    peer, value = PEERS["values"][key], np.asarray(ours[key])
    assert np.shape(peer["value"]) == value.shape
    assert np.abs(peer["value"] - value).max() <= peer["accuracy"] * np.abs(value).max(), peer["quantity"]


@pytest.mark.parametrize(("metric", "log"), [("riemann", om.airm_log), ("wasserstein", om.bures_log)])
def test_logarithms_at_the_means_of_other_libraries_sum_to_zero(metric, log):
    mean = np.array(PEERS["values"][f"pyriemann.mean_{metric}.family"]["value"])
    logs = [log(mean, a) for a in GIVEN["family"]]
    assert norm(sum(logs)) < 1e-11 * max(norm(w) for w in logs)


def test_whitened_correlation_of_rsatoolbox_subtracts_the_plain_mean():
    x, y = (z[:12] for z in o.golden_pair())
    D, E = om.rdm_by_loops(x), om.rdm_by_loops(y)
    peer = PEERS["values"]["rsatoolbox.corr_cov_euclidean_sigma_tight.golden12"]["value"]
    assert abs(om.whitened_rdm_correlation(D, E, GIVEN["sigma"]) - peer) < 1e-11
    assert (
        abs(om.whitened_rdm_correlation_gls(D, E, GIVEN["sigma"]) - peer) > 1e-3
    )  # least squares: another number
