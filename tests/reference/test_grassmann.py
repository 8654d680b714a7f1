"""
Subspaces against first principles: principal angles in 60 digits, the formulas of Edelman, Arias and Smith
(which decompose where ours do not), and the rotation of the whole space that transports everything.
"""

from __future__ import annotations

import numpy as np
import oracles
import oracles_metrics as om
import pytest
import torch

import repsim_geo as rg

EPS = np.finfo(float).eps
SEEDS = range(5)
SIZES = [(7, 3), (4, 3), (6, 1), (9, 4), (3, 2)]
GRASSMANN, CENTERED = rg.Grassmannian(), rg.Grassmannian(rg.ColumnCentered())


def frame(rng, m, k):
    return np.linalg.qr(rng.normal(size=(m, k)))[0]


def tilted(x, angles, rng):
    """Frame that encloses these principal angles with `x`, in random positions; needs m >= 2 k."""
    k = x.shape[1]
    rest = np.linalg.qr(np.hstack([x, rng.normal(size=(len(x), k))]))[0][:, k:]
    turn, other = (np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(2))
    angles = np.asarray(angles)
    return (x @ turn * np.cos(angles) + rest * np.sin(angles)) @ other


def tangent(rng, x):
    w = rng.normal(size=x.shape)
    return w - x @ (x.T @ w)


def tensors(*arrays, dtype=torch.float64):
    return tuple(torch.tensor(a, dtype=dtype) for a in arrays)


def apart(value, expected):
    return float(om.norm(value.numpy() - expected))


@pytest.mark.parametrize(("m", "k"), SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_of_random_subspaces(m, k, seed):
    rng = np.random.default_rng(seed)
    x, y = frame(rng, m, k), frame(rng, m, k)
    expected = om.norm(om.principal_angles_mpmath(x, y))
    assert float(GRASSMANN.dist(*tensors(x, y))) == pytest.approx(expected, rel=1e-14, abs=20 * EPS)


ANGLES = {
    "equal": (0.7, 0.7, 0.7),
    "nearly_equal": (0.7, 0.7 + 1e-9, 0.7 - 1e-9),
    "some_zero": (0.0, 0.0, 1.1),
    "all_scales": (1e-9, 1e-4, 1.0),
    "tiny": (1e-12, 1e-11, 1e-10),
    "near_the_cut_locus": (0.3, 1.0, np.pi / 2 - 1e-6),
    "right": (0.3, 1.0, np.pi / 2),
    "all_right": (np.pi / 2,) * 3,
}


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_of_built_subspaces(angles, seed):
    rng = np.random.default_rng(seed)
    x = frame(rng, 8, 3)
    y = tilted(x, ANGLES[angles], rng)
    d = float(GRASSMANN.dist(*tensors(x, y)))
    # Of the frames as they are rounded, and of the angles they were built with.
    assert d == pytest.approx(om.norm(om.principal_angles_mpmath(x, y)), rel=1e-14, abs=20 * EPS)
    assert d == pytest.approx(om.norm(ANGLES[angles]), rel=1e-14, abs=20 * EPS)


@pytest.mark.parametrize("angles", [a for a in ANGLES if "right" not in a])
@pytest.mark.parametrize("seed", SEEDS)
def test_logarithm_of_built_subspaces(angles, seed):
    rng = np.random.default_rng(seed)
    x = frame(rng, 8, 3)
    y = tilted(x, ANGLES[angles], rng)
    # The reference divides by the smallest cosine.
    limit = 100 * EPS / np.cos(np.max(ANGLES[angles]))
    assert apart(GRASSMANN.logmap(*tensors(x, y)), om.grassmann_log(x, y)) < limit


@pytest.mark.parametrize("angles", ["right", "all_right"])
def test_one_shortest_path_is_found_where_there_are_many(angles):
    rng = np.random.default_rng(0)
    x = frame(rng, 8, 3)
    y = tilted(x, ANGLES[angles], rng)
    a, b = tensors(x, y)
    log = GRASSMANN.logmap(a, b)
    assert float(log.norm()) == pytest.approx(om.norm(ANGLES[angles]), rel=1e-14)
    end = om.grassmann_exp(x, log.numpy())
    assert om.norm(om.principal_angles_mpmath(end, y)) < 1e-13


@pytest.mark.parametrize(("m", "k"), SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_maps(m, k, seed):
    rng = np.random.default_rng(seed)
    x, y = frame(rng, m, k), frame(rng, m, k)
    u, v = tangent(rng, x), tangent(rng, x)
    a, b, u_, v_ = tensors(x, y, u, v)
    widest = om.principal_angles_mpmath(x, y)[0]
    log = om.grassmann_log(x, y)
    limit = 200 * EPS / np.cos(widest)
    assert apart(GRASSMANN.logmap(a, b), log) < limit
    for t in (0.0, 0.3, 1.0):
        assert apart(GRASSMANN.geodesic(t, a, b), om.grassmann_exp(x, t * log)) < limit
    for size in (1e-8, 0.5, 3.0):  # beyond the cut locus too
        assert apart(GRASSMANN.expmap(a, size * u_), om.grassmann_exp(x, size * u)) < 1e-13
        moved = GRASSMANN.carry(a, size * u_, v_)
        assert apart(moved, om.grassmann_transport(x, size * u, v)) < 1e-13
        assert apart(moved, om.grassmann_transvection(x, size * u) @ v) < 1e-12
    # At the frame y, not at the end of the geodesic: another gauge.
    end = om.grassmann_exp(x, log)
    assert apart(GRASSMANN.transp(a, b, v_), om.grassmann_transport(x, log, v) @ (end.T @ y)) < limit
    assert float(GRASSMANN.inner(a, u_, v_)) == pytest.approx(float(np.sum(u * v)), rel=1e-13)


@pytest.mark.parametrize("velocity", ["zero", "equal", "one_direction"])
@pytest.mark.parametrize("seed", SEEDS)
def test_exponential_of_degenerate_velocities(velocity, seed):
    rng = np.random.default_rng(seed)
    x = frame(rng, 8, 3)
    left, right = frame(rng, 8, 3), frame(rng, 3, 3)
    left = np.linalg.qr(left - x @ (x.T @ left))[0]
    u = left * {"zero": [0.0] * 3, "equal": [0.7] * 3, "one_direction": [0.9, 0.0, 0.0]}[velocity] @ right.T
    v = tangent(rng, x)
    a, u_, v_ = tensors(x, u, v)
    assert apart(GRASSMANN.expmap(a, u_), om.grassmann_transvection(x, u) @ x) < 1e-13
    assert apart(GRASSMANN.carry(a, u_, v_), om.grassmann_transvection(x, u) @ v) < 1e-13


@pytest.mark.parametrize(("m", "k"), SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_curvature(m, k, seed):
    rng = np.random.default_rng(seed)
    x = frame(rng, m, k)
    u, v = tangent(rng, x), tangent(rng, x)
    u, v = u / om.norm(u), v / om.norm(v)
    by_distances = oracles.sectional_curvature_from_distances(
        om.grassmann_distance, om.grassmann_exp, x, u, v
    )
    found = float(GRASSMANN.sectional_curvature(*tensors(x, u, v)))
    assert found == pytest.approx(by_distances, abs=1e-6)  # the error of the hinges


@pytest.mark.parametrize("seed", SEEDS)
def test_centered_subspaces_are_subspaces_of_a_smaller_space(seed):
    rng = np.random.default_rng(seed)
    basis = np.linalg.svd(np.eye(7) - 1 / 7)[0][:, :6]
    x, y = frame(rng, 6, 3), frame(rng, 6, 3)
    v = tangent(rng, x)
    a, b, w = tensors(basis @ x, basis @ y, basis @ v)
    assert CENTERED.check_point_on_manifold(a, atol=1e-14, rtol=0)
    assert float(CENTERED.dist(a, b)) == pytest.approx(om.norm(om.principal_angles_mpmath(x, y)), rel=1e-13)
    assert apart(CENTERED.expmap(a, w), basis @ om.grassmann_exp(x, v)) < 1e-13
    assert apart(CENTERED.logmap(a, b), basis @ om.grassmann_log(x, y)) < 1e-11


@pytest.mark.parametrize("angles", ["equal", "some_zero", "near_the_cut_locus", "all_right"])
@pytest.mark.parametrize("seed", SEEDS)
def test_float32_loses_nothing_but_rounding(angles, seed):
    rng = np.random.default_rng(seed)
    x = frame(rng, 8, 3)
    frames = GRASSMANN.projx(torch.tensor(np.stack([x, tilted(x, ANGLES[angles], rng)]), dtype=torch.float32))
    a, b = frames
    eps = float(np.finfo(np.float32).eps)
    # Columns of rounded frames are orthonormal to eps only, and that much an angle is undetermined.
    expected = om.norm(om.principal_angles_mpmath(*(z.double().numpy() for z in frames)))
    d, log = GRASSMANN.dist(a, b), GRASSMANN.logmap(a, b)
    assert d.dtype == log.dtype == torch.float32
    assert float(d) == pytest.approx(expected, abs=4 * eps)
    end = GRASSMANN.expmap(a, log).double().numpy()
    assert om.norm(om.principal_angles_mpmath(end, b.double().numpy())) < 10 * eps


@pytest.mark.parametrize(("d", "k"), [(3, None), (5, 2), (1, None)])
@pytest.mark.parametrize("seed", SEEDS)
def test_metric_is_that_of_canonical_correlations(d, k, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 14, d))
    leading = (np.linalg.svd(oracles.center(z), full_matrices=False)[0][:, :k] for z in (x, y))
    expected = om.norm(om.principal_angles_mpmath(*leading))
    assert float(rg.compare(x, y, rg.LinearSubspace(k))) == pytest.approx(expected, rel=1e-12)
    if k is None:
        correlations = om.canonical_correlations(x, y)
        assert expected == pytest.approx(om.norm(np.arccos(correlations)), rel=1e-10)


@pytest.mark.parametrize(("d", "e"), [(3, 5), (5, 3), (1, 4)])
@pytest.mark.parametrize("seed", SEEDS)
def test_missing_dimensions_count_as_right_angles(d, e, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(14, d)), rng.normal(size=(14, e))
    angles = om.principal_angles_mpmath(oracles.center(x), oracles.center(y))
    expected = om.norm(np.concatenate([angles, [np.pi / 2] * abs(d - e)]))
    assert float(rg.compare(x, y, rg.LinearSubspace(unequal=True))) == pytest.approx(expected, rel=1e-13)
