"""
Our values against those of other libraries, recorded in ``peer_values.json``.

Asked are ten digits, or what the peer can claim where that is less; the reason stands beside the value and in
the message of the test. How the values were made, and what their conventions are, is in
``make_peer_values.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch
from torch import Tensor

import repsim_geo as rg
from repsim_geo.numerics.angles import principal_angles
from repsim_geo.numerics.dissimilarities import upper_triangle

PEERS = json.loads(Path(__file__).with_name("peer_values.json").read_text())
DIGITS = 1e-10

GIVEN = {
    name: torch.tensor(a, dtype=torch.float64)
    for name, a in PEERS["inputs"].items()
    if not isinstance(a, str)
}
X, Y = (torch.tensor(a) for a in oracles.golden_pair())

Value = Callable[[], Tensor | float]
OURS: dict[str, Value] = {}


def ours(*keys: str) -> Callable[[Value], Value]:
    """Register a function as our value of one key, or of several."""

    def register(function: Value) -> Value:
        assert not set(keys) & set(OURS), keys
        OURS.update(dict.fromkeys(keys, function))
        return function

    return register


# Keys that we have no number for, and why.
NOT_OURS = {
    f"rsatoolbox.{rank}_{rdm}.{rows}": "ranks have no geometry: no metric of ours compares them"
    for rank in ("spearman", "rho-a", "kendall", "tau-a")
    for rdm in ("euclidean", "correlation")
    for rows in ("golden", "golden12")
} | {
    "scikit-learn.laplacian_kernel.golden6": "sums absolute values, where our Laplace kernel has the "
    "Euclidean norm (of one unit both are the same: laplacian_kernel_1d)",
}


# ---------------------------------------------------------------------------------------------------------
# Positive definite matrices
# ---------------------------------------------------------------------------------------------------------

GEOMETRIES = (
    (rg.AffineInvariantSPD(), "riemann", "affine"),
    (rg.LogEuclideanSPD(), "logeuclid", "logeuclidean"),
    (rg.BuresWassersteinSPD(), "wasserstein", "bures"),
)


def _register_spd(manifold: rg.RiemannianManifold, riemann: str, stats: str) -> None:
    for kind in ("easy", "hard"):
        a, b, u = (GIVEN[f"{letter}_{kind}"] for letter in "abu")
        pyriemann, geomstats = f"pyriemann.{{}}_{riemann}.{kind}", f"geomstats.{stats}_{{}}.{kind}"
        ours(pyriemann.format("distance"), geomstats.format("dist"))(lambda a=a, b=b: manifold.dist(a, b))
        ours(pyriemann.format("log_map"), geomstats.format("log"))(lambda a=a, b=b: manifold.logmap(a, b))
        ours(pyriemann.format("geodesic"))(lambda a=a, b=b: manifold.geodesic(0.3, a, b))
        ours(pyriemann.format("transport"), geomstats.format("transport"))(
            lambda a=a, b=b, u=u: manifold.transp(a, b, u)
        )
        ours(pyriemann.format("innerproduct"), geomstats.format("inner"))(
            lambda a=a, b=b, u=u: manifold.inner(a, u, manifold.logmap(a, b))
        )
    ours(f"pyriemann.exp_map_{riemann}.easy", f"geomstats.{stats}_exp.easy")(
        lambda: manifold.expmap(GIVEN["a_easy"], GIVEN["w_easy"])
    )
    ours(f"pyriemann.mean_{riemann}.family")(lambda: rg.FrechetMean(manifold).fit(GIVEN["family"]).mean_)


for geometry in GEOMETRIES:
    _register_spd(*geometry)

ours("pyriemann.distance_riemann.golden")(lambda: rg.compare(X, Y, rg.AffineInvariant("cov")))
ours("pyriemann.distance_logeuclid.golden")(lambda: rg.compare(X, Y, rg.LogEuclidean("cov")))
ours("pyriemann.distance_wasserstein.golden")(lambda: rg.compare(X, Y, rg.BuresWasserstein("cov")))
ours("POT.bures_wasserstein_distance.easy")(OURS["pyriemann.distance_wasserstein.easy"])
ours("POT.bures_wasserstein_distance.hard")(OURS["pyriemann.distance_wasserstein.hard"])


@ours("POT.bures_wasserstein_distance.gaussians")
def distance_of_gaussians():
    means = rg.Flat(1).dist2(GIVEN["mean_a"], GIVEN["mean_b"])
    return (means + rg.BuresWassersteinSPD().dist2(GIVEN["cov_a"], GIVEN["cov_b"])).sqrt()


@ours("scipy.generalized_eigenvalues.easy")
def relative_eigenvalues():
    a, b = GIVEN["a_easy"], GIVEN["b_easy"]
    logarithms = torch.cholesky_solve(rg.AffineInvariantSPD().logmap(a, b), torch.linalg.cholesky(a))
    return torch.linalg.eigvals(logarithms).real.exp().sort().values


# ---------------------------------------------------------------------------------------------------------
# Subspaces and shapes
# ---------------------------------------------------------------------------------------------------------

GRASSMANN, KENDALL = (
    rg.Grassmannian(),
    rg.Quotient(rg.UnitSphere(2, rg.ColumnCentered()), rg.SpecialOrthogonal()),
)


def angles_of_units(x: Tensor, y: Tensor) -> Tensor:
    """Descending angles between the spaces that the centered units span."""
    metric = rg.LinearSubspace(unequal=True)
    return principal_angles(metric.embed(x), metric.embed(y)).flip(-1)


ours("scipy.subspace_angles.golden")(lambda: angles_of_units(X, Y))
ours("scipy.subspace_angles.golden_10_6")(lambda: angles_of_units(X, Y[:, :6]))
ours("scipy.subspace_angles.q")(lambda: principal_angles(GIVEN["q_a"], GIVEN["q_b"]).flip(-1))
ours("geomstats.grassmannian_dist.q")(lambda: math.sqrt(2) * GRASSMANN.dist(GIVEN["q_a"], GIVEN["q_b"]))


@ours("geomstats.grassmannian_log.q")
def logarithm_of_projectors():
    half = GRASSMANN.logmap(GIVEN["q_a"], GIVEN["q_b"]) @ GIVEN["q_a"].mT
    return half + half.mT


@ours("geomstats.kendall_horizontal.shape")
def horizontal_tangent():
    return KENDALL.proju(GIVEN["shape_a"], GIVEN["shape_tangent"])


@ours("geomstats.kendall_transport.shape")
def carried_tangent():
    a, b = GIVEN["shape_a"], GIVEN["shape_b"]
    return KENDALL.carry(a, KENDALL.logmap(a, b), horizontal_tangent())


ours("geomstats.kendall_dist.shape")(lambda: KENDALL.dist(GIVEN["shape_a"], GIVEN["shape_b"]))
ours("geomstats.kendall_log.shape")(lambda: KENDALL.logmap(GIVEN["shape_a"], GIVEN["shape_b"]))
ours("scipy.procrustes.golden")(lambda: rg.compare(X, Y, "angular_shape").sin().square())
ours("scipy.orthogonal_procrustes.golden")(
    lambda: rg.nbs(X, Y) * (X - X.mean(0)).norm() * (Y - Y.mean(0)).norm()
)
ours("scipy.permutation_distance.golden")(lambda: rg.compare(X, Y, "permutation"))

for widths in ((10, 10), (10, 6), (4, 7)):
    ours("POT.soft_matching.golden_{}_{}".format(*widths))(
        lambda p=widths[0], q=widths[1]: rg.compare(X[:, :p], Y[:, :q], "soft_matching")
    )


# ---------------------------------------------------------------------------------------------------------
# Dissimilarity matrices
# ---------------------------------------------------------------------------------------------------------


def cosine_of_rdms(m: int, **options) -> Tensor:
    """Similarity of the dissimilarity matrices of the first m rows."""
    return rg.compare(X[:m], Y[:m], rg.AngularRDM(**options)).cos()


for kind, rows in (("golden", 100), ("golden12", 12)):
    for name, dissimilarity in (("euclidean", "sqeuclidean"), ("correlation", "correlation")):
        for comparator, centered in (("cosine", False), ("corr", True)):
            options = {"dissimilarity": dissimilarity, "centered": centered}
            ours(f"rsatoolbox.{comparator}_{name}.{kind}")(lambda m=rows, o=options: cosine_of_rdms(m, **o))
            ours(f"rsatoolbox.{comparator}_cov_{name}.{kind}")(
                lambda m=rows, o=options: cosine_of_rdms(m, whitened=True, **o)
            )
            if rows == 12:
                sigma = [f"rsatoolbox.{comparator}_cov_{name}_sigma{cg}.golden12" for cg in ("", "_tight")]
                ours(*sigma)(
                    lambda o=options: cosine_of_rdms(12, whitened=True, noise_covariance=GIVEN["sigma"], **o)
                )
    ours(f"rsatoolbox.bures_euclidean.{kind}")(lambda m=rows: rg.nbs(X[:m], Y[:m]))
    ours(f"rsatoolbox.bures_metric_euclidean.{kind}")(
        lambda m=rows: rg.compare(X[:m], Y[:m], "bures_wasserstein").square() / X.shape[1]
    )


def dissimilarities(x: Tensor, name: str) -> Tensor:
    """Between rows, as the first step of the embedding of `AngularRDM` has them."""
    return rg.AngularRDM(name).embedding[0](x)


ours("scipy.pdist_sqeuclidean.golden12")(lambda: upper_triangle(rg.squared_distance_matrix(X[:12])))
ours("scipy.pdist_euclidean.golden12")(lambda: upper_triangle(rg.distance_matrix(X[:12])))
ours("scipy.pdist_cosine.golden12")(lambda: upper_triangle(dissimilarities(X[:12], "cosine")))
ours("scipy.pdist_correlation.golden12")(lambda: upper_triangle(dissimilarities(X[:12], "correlation")))
ours("rsatoolbox.rdm_correlation.golden12")(OURS["scipy.pdist_correlation.golden12"])
ours("rsatoolbox.rdm_euclidean.golden12")(
    lambda: upper_triangle(rg.squared_distance_matrix(X[:12])) / X.shape[1]
)


# ---------------------------------------------------------------------------------------------------------
# Kernels
# ---------------------------------------------------------------------------------------------------------


def across(matrix: Callable[[Tensor], Tensor], units: int = 10) -> Tensor:
    """The block of a matrix between rows that is between the first six rows of X and those of Y."""
    return matrix(torch.cat([X[:6, :units], Y[:6, :units]]))[:6, 6:]


ours("scikit-learn.rbf_kernel.golden6")(lambda: across(rg.RBF(math.sqrt(5.0))))  # gamma = 1 / (2 l^2)
ours("scikit-learn.laplacian_kernel_1d.golden6")(lambda: across(rg.Laplace(2.0), units=1))
ours("scikit-learn.polynomial_kernel.golden6")(lambda: across(rg.Polynomial(3, 0.7, gamma=0.1)))
ours("scikit-learn.linear_kernel.golden6")(lambda: across(rg.Linear()))
ours("scikit-learn.cosine_distances.golden6")(lambda: across(lambda x: dissimilarities(x, "cosine")))


# ---------------------------------------------------------------------------------------------------------


def test_no_value_is_forgotten():
    known, unknown = set(PEERS["values"]), set(OURS) | set(NOT_OURS)
    assert not known - unknown, "values of peers that are neither in OURS nor in NOT_OURS"
    assert not set(OURS) & set(NOT_OURS)
    assert not set(NOT_OURS) - known, "reasons for values that are not there"
    # Maps that no peer has in this combination; anything else would be a misspelled key.
    assert set(OURS) - known == {
        "pyriemann.transport_wasserstein.easy", "pyriemann.transport_wasserstein.hard",
        "pyriemann.innerproduct_wasserstein.easy", "pyriemann.innerproduct_wasserstein.hard",
        "geomstats.logeuclidean_transport.easy", "geomstats.logeuclidean_transport.hard",
        "geomstats.affine_transport.hard", "geomstats.bures_transport.hard",
    }  # fmt: skip


def _accuracy(key: str) -> float:
    return max(DIGITS, PEERS["values"][key]["accuracy"])


def error(key: str) -> float:
    """Largest deviation from the peer, relative to the largest entry of its value."""
    peer = np.asarray(PEERS["values"][key]["value"])
    value = torch.as_tensor(OURS[key](), dtype=torch.float64).numpy()
    assert value.shape == peer.shape
    return float(np.abs(value - peer).max() / np.abs(peer).max())


@pytest.mark.parametrize(
    "key", [pytest.param(k, id=f"{k}-{_accuracy(k):.0e}") for k in PEERS["values"] if k not in NOT_OURS]
)
def test_value_is_that_of_the_peer(key):
    peer, limit = PEERS["values"][key], _accuracy(key)
    assert error(key) <= limit, f"{peer['quantity']}; asked is {limit:.0e}: {peer['reason'] or 'ten digits'}"
