"""
Positive definite matrices, affine-invariant and log-Euclidean, against first principles.

The references are in ``oracles_metrics``: other decompositions than ours (Schur roots, block logarithms,
Runge-Kutta), and 60 digits. Tolerances are multiples of the rounding of the reference, which grows with the
condition c of a matrix: roots and inverses of it lose c, and what is whitened by it c twice.
"""

from __future__ import annotations

import numpy as np
import oracles_metrics as om
import pytest
import torch

import repsim_geo as rg

EPS = np.finfo(float).eps
SEEDS = range(5)
GEOMETRIES = {
    "affine_invariant": (
        rg.AffineInvariantSPD(),
        {name: getattr(om, f"airm_{name}") for name in ("exp", "log", "geodesic", "transport", "inner")}
        | {"dist": om.airm_distance_mpmath, "curvature": om.airm_sectional_curvature},
    ),
    "log_euclidean": (
        rg.LogEuclideanSPD(),
        {
            name: getattr(om, f"log_euclidean_{name}")
            for name in ("exp", "log", "geodesic", "transport", "inner")
        }
        | {"dist": om.log_euclidean_distance, "curvature": lambda *_: 0.0},
    ),
}
each_geometry = pytest.mark.parametrize("geometry", GEOMETRIES)


def with_spectrum(rng, values):
    q = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return om.sym((q * np.asarray(values)) @ q.T)


def _commuting(rng, n):
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return tuple(om.sym((q * values) @ q.T) for values in rng.uniform(0.2, 5.0, size=(2, n)))


def _ordinary(rng, n):
    return om.spd_with_condition(rng, n), 3 * om.spd_with_condition(rng, n)


def _equal(rng, n):
    A = om.spd_with_condition(rng, n)
    return A, A.copy()


def _near(rng, n):
    A = om.spd_with_condition(rng, n)
    return A, A + 1e-7 * om.sym(rng.normal(size=(n, n)))


def _scaled(a, b):
    return lambda rng, n: tuple(f * M for f, M in zip((a, b), _ordinary(rng, n), strict=True))


# Name -> pair of matrices, and the largest condition in it (for sizes beyond one).
PAIRS = {
    "ordinary": (_ordinary, 10.0),
    "equal": (_equal, 10.0),
    "near": (_near, 10.0),
    "from_the_identity": (lambda rng, n: (np.eye(n), om.spd_with_condition(rng, n)), 10.0),
    "to_the_identity": (lambda rng, n: (om.spd_with_condition(rng, n), np.eye(n)), 10.0),
    "multiple": (lambda rng, n: (A := om.spd_with_condition(rng, n), 3 * A), 10.0),
    "repeated_eigenvalues": (
        lambda rng, n: tuple(with_spectrum(rng, [1.0] * (n - n // 2) + [4.0] * (n // 2)) for _ in range(2)),
        4.0,
    ),
    "nearly_repeated_eigenvalues": (
        lambda rng, n: tuple(with_spectrum(rng, 1 + 1e-9 * np.arange(n)) for _ in range(2)),
        1.0,
    ),
    "commuting": (_commuting, 25.0),
    "tiny": (_scaled(1e-8, 1e-8), 10.0),
    "huge": (_scaled(1e8, 1e8), 10.0),
    "different_sizes": (_scaled(1.0, 1e-8), 10.0),
    "ill_conditioned": (
        lambda rng, n: (om.spd_with_condition(rng, n, 1e4), om.spd_with_condition(rng, n, 1e4)),
        1e4,
    ),
}
each_pair = pytest.mark.parametrize("pair", PAIRS)


def draw(pair, seed, n):
    make, condition = PAIRS[pair]
    rng = np.random.default_rng(seed)
    A, B = make(rng, n)
    U, V = (np.linalg.norm(A) * om.sym(rng.normal(size=(n, n))) for _ in range(2))
    return A, B, U, V, condition


def tensors(*arrays, dtype=torch.float64):
    return tuple(torch.tensor(a, dtype=dtype) for a in arrays)


def apart(value, expected, size=0.0):
    """Deviation relative to what is expected, or to a given size where that is larger."""
    expected = np.asarray(expected)
    return float(om.norm(value.numpy() - expected) / max(om.norm(expected), size))


@each_geometry
@each_pair
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_distance(geometry, pair, n, seed):
    manifold, oracle = GEOMETRIES[geometry]
    A, B, _, _, condition = draw(pair, seed, n)
    d, expected = float(manifold.dist(*tensors(A, B))), oracle["dist"](A, B)
    if pair == "equal":
        assert d == 0
    elif pair == "near":
        # Rounding of the logarithms (for the reference: of its own) against a distance of about 1e-7.
        assert d == pytest.approx(expected, rel=1e-6)
    else:
        # A logarithm is a relative error: c eps, of sums over n entries. Smaller distances than one do not
        # help, larger logarithms are themselves rounded.
        assert abs(d - expected) <= 20 * n * EPS * condition * max(1.0, expected)


@each_geometry
@each_pair
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_maps(geometry, pair, n, seed):
    manifold, oracle = GEOMETRIES[geometry]
    A, B, U, V, condition = draw(pair, seed, n)
    a, b, u, v = tensors(A, B, U, V)
    limit = 100 * n * EPS * condition**2
    size = om.norm(A)
    log = oracle["log"](A, B)
    assert apart(manifold.logmap(a, b), log, size) < limit
    velocity = log / 2
    assert apart(manifold.expmap(a, *tensors(velocity)), oracle["exp"](A, velocity)) < limit
    for t in (-0.5, 0.0, 0.3, 1.0):
        assert apart(manifold.geodesic(t, a, b), oracle["geodesic"](A, B, t)) < limit
    assert apart(manifold.transp(a, b, u), oracle["transport"](A, B, U)) < limit
    assert apart(manifold.carry(a, *tensors(log), u), oracle["transport"](A, B, U)) < limit
    scale = np.sqrt(oracle["inner"](A, U, U) * oracle["inner"](A, V, V))
    assert apart(manifold.inner(a, u, v), oracle["inner"](A, U, V), scale) < limit


@pytest.mark.parametrize("condition", [1e6, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("seed", SEEDS)
def test_affine_invariant_distance_of_ill_conditioned_matrices(condition, seed):
    """
    Only one factor of the condition is lost, not two: what is decomposed is a product of Cholesky factors.

    Measured over 200 pairs of 5 x 5 matrices, relative to 60 digits: at most 3e-12, 2e-10, 2e-8 and 2e-6 for
    conditions 1e6, 1e8, 1e10 and 1e12; the generalized eigenvalues of scipy
    are off by up to 1e-6 and 5e-3 for the first two, and negative for many of the others.
    """
    rng = np.random.default_rng(seed)
    A, B = (om.spd_with_condition(rng, 5, condition) for _ in range(2))
    d = float(rg.AffineInvariantSPD().dist(*tensors(A, B)))
    assert d == pytest.approx(om.airm_distance_mpmath(A, B), rel=EPS * condition / 10)


@pytest.mark.parametrize("condition", [1e6, 1e12])
def test_affine_invariant_distance_keeps_the_digits_of_graded_matrices(condition):
    """Scaled well, a matrix of any condition has an accurate Cholesky factor: nothing is lost at all."""
    rng = np.random.default_rng(0)
    scales = np.geomspace(1, condition**-0.5, 5)
    A, B = (om.sym(scales[:, None] * om.spd_with_condition(rng, 5) * scales) for _ in range(2))
    d = float(rg.AffineInvariantSPD().dist(*tensors(A, B)))
    assert d == pytest.approx(om.airm_distance_mpmath(A, B), rel=1e-14)


@each_geometry
@pytest.mark.parametrize("seed", SEEDS)
def test_curvature(geometry, seed):
    manifold, oracle = GEOMETRIES[geometry]
    A, _, U, V, _ = draw("ordinary", seed, 3)
    U, V = (W / np.sqrt(oracle["inner"](A, W, W)) for W in (U, V))
    found = float(manifold.sectional_curvature(*tensors(A, U, V)))
    assert found == pytest.approx(oracle["curvature"](A, U, V), abs=1e-6)  # the error of the hinges


@pytest.mark.parametrize("seed", range(3))
def test_affine_invariant_transport_solves_its_equation(seed):
    A, B, U, _, _ = draw("ordinary", seed, 4)
    moved = rg.AffineInvariantSPD().transp(*tensors(A, B, U))
    assert apart(moved, om.airm_transport_ode(A, B, U)) < 1e-10  # of the Runge-Kutta method


@pytest.mark.parametrize("seed", range(3))
def test_riemannian_gradients_represent_euclidean_ones(seed):
    A, _, U, V, _ = draw("ordinary", seed, 4)
    for manifold, oracle in GEOMETRIES.values():
        gradient = manifold.egrad2rgrad(*tensors(A, U)).numpy()
        assert oracle["inner"](A, gradient, V) == pytest.approx(float(np.sum(U * V)), rel=1e-11, abs=1e-11)


@each_geometry
@pytest.mark.parametrize("pair", ["ordinary", "repeated_eigenvalues", "tiny", "huge", "ill_conditioned"])
@pytest.mark.parametrize("seed", SEEDS)
def test_float32_loses_nothing_but_the_rounding_of_the_result(geometry, pair, seed):
    manifold, oracle = GEOMETRIES[geometry]
    A, B, U, _, _ = draw(pair, seed, 4)
    if pair == "ill_conditioned":
        A, B = (M + 1e-2 * np.eye(4) for M in (A, B))
    single = tensors(A, B, U, dtype=torch.float32)
    a, b, u = single
    # The references see what float32 sees.
    A, B, U = (w.double().numpy() for w in single)
    limit = 2 * float(np.finfo(np.float32).eps)
    log = manifold.logmap(a, b)
    pairs = {
        "dist": (manifold.dist(a, b), oracle["dist"](A, B)),
        "log": (log, oracle["log"](A, B)),
        "exp": (manifold.expmap(a, log), oracle["exp"](A, log.double().numpy())),
        "geodesic": (manifold.geodesic(0.3, a, b), oracle["geodesic"](A, B, 0.3)),
        "transport": (manifold.transp(a, b, u), oracle["transport"](A, B, U)),
        "inner": (manifold.inner(a, u), oracle["inner"](A, U, U)),
    }
    for name, (value, expected) in pairs.items():
        assert value.dtype == torch.float32
        assert apart(value.double(), expected) < limit, name


def test_batches_are_what_single_pairs_are():
    made = [draw(pair, 0, 4)[:3] for pair in PAIRS]
    a, b, u = (torch.stack(w) for w in zip(*(tensors(*m) for m in made), strict=True))
    for manifold, oracle in GEOMETRIES.values():
        d, moved = manifold.dist(a, b), manifold.transp(a, b, u)
        for k, (A, B, U) in enumerate(made):
            assert float(d[k]) == pytest.approx(oracle["dist"](A, B), rel=1e-6, abs=1e-11)
            assert apart(moved[k], oracle["transport"](A, B, U)) < 1e-9


def test_space_of_one_by_one_matrices_is_the_line_of_logarithms():
    a, b = torch.tensor([[0.3]], dtype=torch.float64), torch.tensor([[4.0]], dtype=torch.float64)
    for manifold, _ in GEOMETRIES.values():
        assert float(manifold.dist(a, b)) == pytest.approx(np.log(4 / 0.3), rel=1e-15)
        assert float(manifold.geodesic(0.25, a, b)) == pytest.approx(0.3**0.75 * 4**0.25, rel=1e-15)
