"""
Positive semidefinite matrices with the Bures-Wasserstein metric, against first principles.

Distances against 60 digits (of the matrices or, where they are singular, of their factors), maps against the
optimal map of Gaussians, transport against the equation of its horizontal lift and against Christoffel
symbols, curvature against distances in small triangles.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import oracles
import oracles_metrics as om
import pytest
import torch

import repsim_geo as rg

EPS = np.finfo(float).eps
SEEDS = range(5)
BURES = rg.BuresWassersteinSPD()


def with_spectrum(rng, values):
    q = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return om.sym((q * np.asarray(values)) @ q.T)


def tensors(*arrays, dtype=torch.float64):
    return tuple(torch.tensor(a, dtype=dtype) for a in arrays)


def apart(value, expected, size=0.0):
    """Deviation relative to what is expected, or to a given size where that is larger."""
    expected = np.asarray(expected)
    return float(om.norm(value.numpy() - expected) / max(om.norm(expected), size))


def _ordinary(rng, n):
    return om.spd_with_condition(rng, n), 3 * om.spd_with_condition(rng, n)


def _scaled(a, b):
    return lambda rng, n: tuple(f * M for f, M in zip((a, b), _ordinary(rng, n), strict=True))


def _commuting(rng, n):
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return tuple(om.sym((q * values) @ q.T) for values in rng.uniform(0.2, 5.0, size=(2, n)))


PAIRS = {
    "ordinary": _ordinary,
    "from_the_identity": lambda rng, n: (np.eye(n), om.spd_with_condition(rng, n)),
    "multiple": lambda rng, n: (A := om.spd_with_condition(rng, n), 3 * A),
    "repeated_eigenvalues": lambda rng, n: tuple(
        with_spectrum(rng, [1.0] * (n - n // 2) + [4.0] * (n // 2)) for _ in range(2)
    ),
    "nearly_repeated_eigenvalues": lambda rng, n: tuple(
        with_spectrum(rng, 1 + 1e-9 * np.arange(n)) for _ in range(2)
    ),
    "commuting": _commuting,
    "tiny": _scaled(1e-8, 1e-8),
    "huge": _scaled(1e8, 1e8),
    "different_sizes": _scaled(1.0, 1e-8),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_and_maps(pair, n, seed):
    rng = np.random.default_rng(seed)
    A, B = PAIRS[pair](rng, n)
    U, V = (om.norm(A) * om.sym(rng.normal(size=(n, n))) for _ in range(2))
    a, b, u, v = tensors(A, B, U, V)
    expected = om.bures_distance_mpmath(A, B)
    # Roots of matrices are rounded to eps of their size.
    assert abs(float(BURES.dist(a, b)) - expected) <= 20 * n * EPS * np.sqrt(np.trace(A) + np.trace(B))
    limit, size = 1e-11, om.norm(A)
    assert apart(BURES.logmap(a, b), om.bures_log(A, B), size) < limit
    assert apart(BURES.expmap(a, u), om.bures_exp(A, U)) < limit
    for t in (0.0, 0.3, 1.0):
        assert apart(BURES.geodesic(t, a, b), om.bures_geodesic(A, B, t)) < limit
    scale = np.sqrt(om.bures_inner(A, U, U) * om.bures_inner(A, V, V))
    assert apart(BURES.inner(a, u, v), om.bures_inner(A, U, V), scale) < limit


@pytest.mark.parametrize("condition", [1e6, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_of_ill_conditioned_matrices_loses_nothing(condition, seed):
    """Measured over 50 pairs of each condition, relative to 60 digits: at most 2e-14."""
    rng = np.random.default_rng(seed)
    A, B = (om.spd_with_condition(rng, 5, condition) for _ in range(2))
    assert float(BURES.dist(*tensors(A, B))) == pytest.approx(om.bures_distance_mpmath(A, B), rel=2e-14)


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_of_near_matrices(distance, seed):
    rng = np.random.default_rng(seed)
    A = om.spd_with_condition(rng, 5)
    B = A + distance * om.sym(rng.normal(size=(5, 5)))
    found, expected = float(BURES.dist(*tensors(A, B))), om.bures_distance_mpmath(A, B)
    assert found == pytest.approx(expected, rel=1e-12, abs=20 * EPS)


@pytest.mark.parametrize(("r", "s"), [(1, 1), (2, 2), (1, 3), (3, 1), (2, 5), (5, 2), (0, 2), (0, 0)])
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_of_singular_matrices_is_that_of_their_factors(r, s, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(5, r)), rng.normal(size=(5, s))
    expected = om.bures_distance_of_factors_mpmath(*(z if z.size else np.zeros((5, 1)) for z in (x, y)))
    assert float(BURES.dist(*tensors(x @ x.T, y @ y.T))) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("r", "s"), [(1, 1), (2, 2), (1, 3), (3, 1), (2, 5), (0, 2)])
@pytest.mark.parametrize("seed", SEEDS)
def test_geodesics_of_singular_matrices_are_lines_of_aligned_factors(r, s, seed):
    rng = np.random.default_rng(seed)
    x, y = (np.pad(rng.normal(size=(5, k)), ((0, 0), (0, 5 - k))) for k in (r, s))
    rotation = oracles.procrustes_rotation_svd(x, y)
    a, b = tensors(x @ x.T, y @ y.T)
    for t in (0.0, 0.4, 1.0):
        # The rotation of columns in which x is zero is free, and z z' does not see it.
        z = (1 - t) * x + t * y @ rotation
        assert apart(BURES.geodesic(t, a, b), z @ z.T, om.norm(y) ** 2) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_transport_solves_the_equation_of_its_horizontal_lift(seed):
    rng = np.random.default_rng(seed)
    A, B = _ordinary(rng, 4)
    U = om.sym(rng.normal(size=(4, 4)))
    expected = om.bures_transport(A, B, U)
    a, b, u, log = tensors(A, B, U, om.bures_log(A, B))
    assert apart(BURES.transp(a, b, u), expected) < 1e-10
    assert apart(BURES.carry(a, log, u), expected) < 1e-10
    assert apart(BURES.transp(a, b, u), om.bures_transport_christoffel(A, B, U)) < 1e-10


@pytest.mark.parametrize("seed", range(2))
def test_transport_of_ill_conditioned_matrices(seed):
    rng = np.random.default_rng(seed)
    A, B = (om.spd_with_condition(rng, 4, 1e3) for _ in range(2))
    U = A @ om.sym(rng.normal(size=(4, 4)))
    U = om.sym(U)
    assert apart(BURES.transp(*tensors(A, B, U)), om.bures_transport(A, B, U)) < 1e-8


@pytest.mark.parametrize("seed", SEEDS)
def test_curvature(seed):
    rng = np.random.default_rng(seed)
    A = om.spd_with_condition(rng, 3)
    U, V = (om.sym(rng.normal(size=(3, 3))) for _ in range(2))
    U, V = (0.2 * W / np.sqrt(om.bures_inner(A, W, W)) for W in (U, V))
    by_distances = oracles.sectional_curvature_from_distances(om.bures_distance_mpmath, om.bures_exp, A, U, V)
    found = float(BURES.sectional_curvature(*tensors(A, U, V)))
    assert found == pytest.approx(by_distances, rel=1e-4)  # the error of the hinges


@pytest.mark.parametrize("seed", SEEDS)
def test_riemannian_gradients_represent_euclidean_ones(seed):
    rng = np.random.default_rng(seed)
    A = om.spd_with_condition(rng, 4)
    U, V = (om.sym(rng.normal(size=(4, 4))) for _ in range(2))
    gradient = BURES.egrad2rgrad(*tensors(A, U))
    assert om.bures_inner(A, gradient.numpy(), V) == pytest.approx(float(np.sum(U * V)), rel=1e-11, abs=1e-11)
    assert apart(BURES.rgrad2egrad(*tensors(A), gradient), U) < 1e-12


@pytest.mark.parametrize("seed", SEEDS)
def test_no_rotation_of_factors_is_nearer(seed):
    rng = np.random.default_rng(seed)
    A, B = _ordinary(rng, 3)
    assert float(BURES.dist(*tensors(A, B))) == pytest.approx(om.bures_distance_bruteforce(A, B), rel=1e-9)


@pytest.mark.parametrize("pair", ["ordinary", "repeated_eigenvalues", "tiny", "huge"])
@pytest.mark.parametrize("seed", SEEDS)
def test_float32_loses_nothing_but_the_rounding_of_the_result(pair, seed):
    rng = np.random.default_rng(seed)
    A, B = PAIRS[pair](rng, 4)
    U = om.norm(A) * om.sym(rng.normal(size=(4, 4)))
    single = tensors(A, B, U, dtype=torch.float32)
    a, b, u = single
    A, B, U = (w.double().numpy() for w in single)  # The references see what float32 sees.
    values = {
        "dist": (BURES.dist(a, b), om.bures_distance_mpmath(A, B)),
        "log": (BURES.logmap(a, b), om.bures_log(A, B)),
        "exp": (BURES.expmap(a, u), om.bures_exp(A, U)),
        "geodesic": (BURES.geodesic(0.3, a, b), om.bures_geodesic(A, B, 0.3)),
        "inner": (BURES.inner(a, u), om.bures_inner(A, U, U)),
    }
    for name, (value, expected) in values.items():
        assert value.dtype == torch.float32
        assert apart(value.double(), expected) < 2 * float(np.finfo(np.float32).eps), name


def test_batches_are_what_single_pairs_are():
    pairs = [make(np.random.default_rng(0), 4) for make in PAIRS.values()]
    together = BURES.dist(*(torch.stack(w) for w in zip(*(tensors(*p) for p in pairs), strict=True)))
    for d, (A, B) in zip(together, pairs, strict=True):
        assert float(d) == pytest.approx(om.bures_distance_mpmath(A, B), rel=1e-11, abs=1e-14)


@pytest.mark.parametrize(("m", "d", "e"), [(12, 4, 4), (8, 3, 5), (6, 9, 7), (5, 1, 1)])
@pytest.mark.parametrize("seed", SEEDS)
def test_metric_on_activations_is_the_distance_of_centered_factors(m, d, e, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(m, d)), rng.normal(size=(m, e))
    expected = om.bures_distance_of_factors_mpmath(oracles.center(x), oracles.center(y))
    metric = rg.BuresWasserstein().resolve(tensors(x, y))
    assert float(rg.compare(x, y, metric)) == pytest.approx(expected, rel=1e-12)
    points = (metric.embed(z) for z in (x, y))
    assert float(metric.dist(*points)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("seed", SEEDS)
def test_metric_on_matched_covariances_is_that_of_gaussians(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 20, 4))
    expected = partial(om.gaussian_wasserstein_distance, np.zeros(4), np.cov(x.T), np.zeros(4))(np.cov(y.T))
    assert float(rg.compare(x, y, rg.BuresWasserstein("cov"))) == pytest.approx(expected, rel=1e-12)
