"""
Angles between dissimilarity matrices against vectors of all pairs, and the big covariance V of these vectors.

The reference forms dissimilarities by loops over pairs and inverts V, of m^2/2 rows; `AngularRDM` never forms
it. Angles are compared, not cosines, which near 1 are blind.
"""

from __future__ import annotations

import numpy as np
import oracles
import oracles_metrics as om
import pytest
import torch

import repsim_geo as rg

SEEDS = range(5)
DISSIMILARITIES = {
    "sqeuclidean": om.squared_euclidean,
    "euclidean": om.euclidean,
    "correlation": om.correlation_dissimilarity,
    "cosine": om.cosine_dissimilarity,
}
each_dissimilarity = pytest.mark.parametrize("dissimilarity", DISSIMILARITIES)
each_centering = pytest.mark.parametrize("centered", [False, True], ids=["plain", "centered"])


def noise(kind, m, rng):
    """Covariance of the noise between inputs; None is the identity."""
    lag = np.abs(np.subtract.outer(np.arange(m), np.arange(m)))
    return {
        "none": None,
        "identity": np.eye(m),
        "multiple": 7.0 * np.eye(m),
        "variances": np.diag(rng.uniform(0.2, 3.0, m)),
        "decaying": 0.6**lag,
        "dense": om.spd_with_condition(rng, m, 30.0),
    }[kind]


NOISES = ("none", "identity", "multiple", "variances", "decaying", "dense")


def expected_angle(D, E, *, centered, whitened, sigma=None):
    """Angle of the vectors of all pairs, in the coordinates in which V is the identity."""
    d, e = om.upper_triangle(D), om.upper_triangle(E)
    if centered:
        d, e = d - d.mean(), e - e.mean()
    if whitened:
        root = np.linalg.cholesky(om.pair_covariance(np.eye(len(D)) if sigma is None else sigma))
        d, e = (np.linalg.solve(root, a) for a in (d, e))
    return oracles.angle_mpmath(d, e)


def metric(dissimilarity, *, centered, whitened=False, sigma=None):
    return rg.AngularRDM(
        dissimilarity, centered=centered, whitened=whitened,
        noise_covariance=None if sigma is None else torch.tensor(sigma),
    )  # fmt: skip


def _networks(kind, rng, m=8, d=5):
    x, y = rng.normal(size=(m, d)), rng.normal(size=(m, d + 1))
    if kind == "duplicated_inputs":
        x[1], y[3], y[4] = x[0], y[2], y[2]
    elif kind == "silent_units":
        x[:, 0], y[:, -2:] = 0, 0
    elif kind == "one_unit":
        x = x[:, :1]
    elif kind == "more_units_than_inputs":
        x = rng.normal(size=(m, 3 * m))
    elif kind == "tiny":
        x = 1e-8 * x
    elif kind == "huge":
        y = 1e8 * y
    elif kind == "far_from_the_origin":
        x = x + 1e4
    elif kind == "three_inputs":
        x, y = x[:3], y[:3]
    elif kind == "near":
        y = x + 1e-6 * rng.normal(size=x.shape)
    return x, y


KINDS = (
    "ordinary", "duplicated_inputs", "silent_units", "one_unit", "more_units_than_inputs", "tiny", "huge",
    "far_from_the_origin", "three_inputs", "near",
)  # fmt: skip
# A single unit has no correlation over units, and its cosines are 1 and -1.
MEANINGFUL = [
    (kind, dissimilarity)
    for kind in KINDS
    for dissimilarity in DISSIMILARITIES
    if not (kind == "one_unit" and dissimilarity in ("correlation", "cosine"))
]


@each_dissimilarity
@each_centering
@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("seed", SEEDS)
def test_whitened_angle_is_that_of_the_big_covariance(dissimilarity, centered, kind, seed):
    rng = np.random.default_rng(seed)
    x, y = _networks("ordinary", rng)
    sigma = noise(kind, len(x), rng)
    D, E = (om.rdm_by_loops(z, DISSIMILARITIES[dissimilarity]) for z in (x, y))
    found = float(rg.compare(x, y, metric(dissimilarity, centered=centered, whitened=True, sigma=sigma)))
    expected = expected_angle(D, E, centered=centered, whitened=True, sigma=sigma)
    assert found == pytest.approx(expected, rel=1e-11)
    similarity = om.whitened_rdm_correlation if centered else om.whitened_rdm_cosine
    assert np.cos(found) == pytest.approx(similarity(D, E, sigma), abs=1e-11)


@pytest.mark.parametrize(("kind", "dissimilarity"), MEANINGFUL)
@each_centering
@pytest.mark.parametrize("whitened", [False, True], ids=["entries", "whitened"])
@pytest.mark.parametrize("seed", SEEDS)
def test_angle_of_all_kinds_of_networks(kind, dissimilarity, centered, whitened, seed):
    x, y = _networks(kind, np.random.default_rng(seed))
    D, E = (om.rdm_by_loops(z, DISSIMILARITIES[dissimilarity]) for z in (x, y))
    found = float(rg.compare(x, y, metric(dissimilarity, centered=centered, whitened=whitened)))
    expected = expected_angle(D, E, centered=centered, whitened=whitened)
    # An offset of 1e4 costs the data themselves 4 digits (8 for dissimilarities that are near 1e-8, as those
    # of directions are); an angle of 1e-6 is a difference of numbers of size one.
    directions = dissimilarity in ("cosine", "correlation")
    limit = {"far_from_the_origin": 1e-6 if directions else 1e-10, "near": 1e-8}.get(kind, 1e-12)
    assert found == pytest.approx(expected, rel=limit, abs=1e-14)


@each_centering
@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("seed", SEEDS)
def test_crossvalidated_dissimilarities_may_be_negative(centered, kind, seed):
    rng = np.random.default_rng(seed)
    m = 7
    D, E = (om.sym(rng.normal(size=(m, m))) * (1 - np.eye(m)) for _ in range(2))
    sigma = noise(kind, m, rng)
    angular = metric("sqeuclidean", centered=centered, whitened=True, sigma=sigma)
    points = (angular.embed_dissimilarities(A) for A in (D, E))
    expected = expected_angle(D, E, centered=centered, whitened=True, sigma=sigma)
    assert float(angular.dist(*points)) == pytest.approx(expected, rel=1e-11)
    plain = metric("sqeuclidean", centered=centered)
    points = (plain.embed_dissimilarities(A) for A in (D, E))
    expected = expected_angle(D, E, centered=centered, whitened=False)
    assert float(plain.dist(*points)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6])
@each_centering
@pytest.mark.parametrize("seed", SEEDS)
def test_ill_conditioned_noise(condition, centered, seed):
    """The reference, which inverts a covariance whose condition is that of the noise squared, is to blame."""
    rng = np.random.default_rng(seed)
    x, y = _networks("ordinary", rng)
    sigma = om.spd_with_condition(rng, len(x), condition)
    D, E = (om.rdm_by_loops(z) for z in (x, y))
    found = float(rg.compare(x, y, metric("sqeuclidean", centered=centered, whitened=True, sigma=sigma)))
    expected = expected_angle(D, E, centered=centered, whitened=True, sigma=sigma)
    assert found == pytest.approx(expected, rel=np.finfo(float).eps * condition**2)


@each_dissimilarity
@each_centering
@pytest.mark.parametrize("kind", ["none", "dense"])
def test_float32(dissimilarity, centered, kind):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        x, y = (z.astype(np.float32) for z in _networks("ordinary", rng))
        sigma = noise(kind, len(x), rng)
        D, E = (om.rdm_by_loops(z.astype(float), DISSIMILARITIES[dissimilarity]) for z in (x, y))
        d = rg.compare(x, y, metric(dissimilarity, centered=centered, whitened=True, sigma=sigma))
        assert d.dtype == torch.float32
        expected = expected_angle(D, E, centered=centered, whitened=True, sigma=sigma)
        # Rounding of the entries of the points, which noise of condition 30 enlarges.
        assert float(d) == pytest.approx(expected, rel=50 * float(np.finfo(np.float32).eps))


@each_dissimilarity
@each_centering
@pytest.mark.parametrize("whitened", [False, True], ids=["entries", "whitened"])
def test_identical_networks_are_at_distance_zero(dissimilarity, centered, whitened):
    x, _ = _networks("ordinary", np.random.default_rng(0))
    assert float(rg.compare(x, x.copy(), metric(dissimilarity, centered=centered, whitened=whitened))) == 0


@each_centering
@pytest.mark.parametrize("kind", NOISES)
def test_geodesics_are_those_of_whitened_vectors(centered, kind):
    """Half-way, the inner products with the ends are those of the half-way vector of all pairs."""
    rng = np.random.default_rng(0)
    x, y, z = (rng.normal(size=(7, 4)) for _ in range(3))
    sigma = noise(kind, 7, rng)
    angular = metric("sqeuclidean", centered=centered, whitened=True, sigma=sigma)
    points = [angular.embed(torch.tensor(w)) for w in (x, y, z)]
    middle = rg.midpoint(angular, points[0], points[1])
    root = np.linalg.cholesky(om.pair_covariance(np.eye(7) if sigma is None else sigma))
    vectors = []
    for w in (x, y, z):
        d = om.upper_triangle(om.rdm_by_loops(w))
        d = np.linalg.solve(root, d - d.mean() if centered else d)
        vectors.append(d / om.norm(d))
    half = vectors[0] + vectors[1]
    for point, vector in zip(points, vectors, strict=True):
        assert float(angular.dist(middle, point)) == pytest.approx(
            oracles.angle_mpmath(half, vector), rel=1e-11
        )
