"""Values that other libraries give, written to ``peer_values.json`` beside this file.

Run it in an environment of its own; it imports none of our code:

    python -m venv peers
    peers/bin/pip install numpy scipy scikit-learn pyriemann POT geomstats rsatoolbox
    OMP_NUM_THREADS=1 peers/bin/python tests/reference/make_peer_values.py

The file that is checked in was made with the versions it names. A new version of a peer that moves a value by
more than the stated accuracy is news: find out who is right before replacing the file.

Layout of ``peer_values.json``
------------------------------
``versions``
    Library name -> version.
``inputs``
    Name -> array. Small matrices are stored as such (17 digits), since recipes with a QR decomposition do not
    repeat bit by bit on other machines: ``a_hard``, say, is the very matrix that the peers have seen. Larger
    data are a recipe in words: ``golden_x`` and ``golden_y`` come from numpy's frozen ``RandomState``.
``values``
    Key -> record. ``library``; ``quantity`` (the call); ``inputs`` (their names); ``value`` (number or nested
    list); ``accuracy`` (how far from the truth the peer may be, relative to the largest absolute entry of
    the value); ``reason`` (where that is worse than 1e-10).

Keys read ``library.quantity.inputs``. Conventions that may surprise are said in ``quantity``: rsatoolbox
divides squared distances by the number of units, geomstats' Grassmannian is sqrt(2) times as large,
scikit-learn's Laplacian kernel sums absolute values.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import numpy as np

# The peers are imported where they are used: collecting this file for its examples must not need them.

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pyriemann", "POT", "geomstats", "rsatoolbox")
EXACT = 1e-12
"""Backward stable on well-conditioned input: a few hundred roundings."""

inputs: dict[str, np.ndarray | str] = {}
values: dict[str, dict] = {}


def add(key, quantity, names, value, accuracy=EXACT, reason=""):
    """Record one value; a weak accuracy has to come with its reason."""
    assert key not in values, key
    assert accuracy <= 1e-10 or reason, key
    value = np.asarray(value, dtype=float)
    assert np.isfinite(value).all(), key
    values[key] = {
        "library": key.split(".")[0],
        "quantity": quantity,
        "inputs": names.split(),
        "value": value.tolist(),
        "accuracy": accuracy,
        "reason": reason,
    }


# ----------------------------------------------------------------------------------------------------------
# Inputs
# ----------------------------------------------------------------------------------------------------------


def sym(a):
    return (a + a.T) / 2


def spd(rs, n, condition):
    """Eigenvalues in geometric progression from 1 down to 1/condition in a random basis."""
    q = np.linalg.qr(rs.randn(n, n))[0]
    return sym((q * np.geomspace(1, 1 / condition, n)) @ q.T)


def make_inputs():
    rs = np.random.RandomState(1337)
    x = rs.randn(100, 10)
    y = rs.randn(100, 10) + x
    rs = np.random.RandomState(7)
    for name, condition in (("easy", 10.0), ("hard", 1e6)):
        inputs[f"a_{name}"], inputs[f"b_{name}"] = spd(rs, 5, condition), 3 * spd(rs, 5, condition)
        inputs[f"u_{name}"] = sym(rs.randn(5, 5))
    # A short tangent: the Bures-Wasserstein geodesic from a_easy is minimal up to time 1 (I + L is positive).
    inputs["w_easy"] = 0.03 * sym(rs.randn(5, 5))
    inputs["family"] = np.stack([(k + 1) * spd(rs, 4, 20.0) for k in range(4)])
    inputs["mean_a"], inputs["mean_b"] = rs.randn(4), rs.randn(4)
    inputs["cov_a"], inputs["cov_b"] = spd(rs, 4, 50.0), 2 * spd(rs, 4, 50.0)
    inputs["q_a"], inputs["q_b"] = (np.linalg.qr(rs.randn(8, 3))[0] for _ in range(2))
    # Unit-norm centered shapes, close enough that the best rotation is proper: det(shape_b' shape_a) > 0.
    a = rs.randn(7, 3)
    for name, z in (("shape_a", a), ("shape_b", a + 0.5 * rs.randn(7, 3))):
        z = z - z.mean(axis=0)
        inputs[name] = z / np.linalg.norm(z)
    assert np.linalg.det(inputs["shape_b"].T @ inputs["shape_a"]) > 0
    inputs["shape_tangent"] = rs.randn(7, 3)
    inputs["sigma"] = spd(rs, 12, 10.0)  # covariance between the first 12 inputs
    inputs["golden_x"] = "rs = numpy.random.RandomState(1337); x = rs.randn(100, 10)"
    inputs["golden_y"] = "after golden_x: y = rs.randn(100, 10) + x"
    return x, y


# ----------------------------------------------------------------------------------------------------------
# pyRiemann: SPD matrices
# ----------------------------------------------------------------------------------------------------------

AFFINE = (
    "a^-1/2 b a^-1/2 of two matrices of condition 1e6 may have condition 1e12: small eigenvalues off by 1e-4"
)
AFFINE_MILD = "condition 1e6: square roots and inverses lose six digits"
LOGARITHM = (
    "condition 1e6: the logarithm of the smallest eigenvalue is off by 1e6 eps, its derivative by more"
)
BURES = "condition 1e6: square roots of eigenvalues that are right to eps of the largest only"
BURES_INNER = "condition 1e6: rounding of the logarithm, divided by the smallest eigenvalue"
STEPS = "Runge-Kutta of order 4 with 1000 steps"


def weakness(kind, metric, part):
    """Accuracy and reason for the pair of SPD matrices ``kind``."""
    if kind == "easy":
        return EXACT, ""
    if metric in ("riemann", "affine"):
        weak = {"dist": (1e-6, AFFINE), "log": (1e-5, AFFINE), "geodesic": (1e-5, AFFINE)}
        return weak.get(part, (1e-8, AFFINE_MILD))
    if metric in ("logeuclid", "logeuclidean"):
        return 1e-8, LOGARITHM
    return (1e-5, BURES_INNER) if part == "inner" else (1e-9, BURES)


def add_pyriemann(x, y):
    from pyriemann.geometry import distance, geodesic, mean, tangentspace

    a, b = (np.cov(z.T) for z in (x, y))
    name = "golden_x golden_y"
    add(
        "pyriemann.distance_riemann.golden",
        "affine-invariant distance of numpy.cov(x.T), numpy.cov(y.T)",
        name,
        distance.distance_riemann(a, b),
    )
    add(
        "pyriemann.distance_logeuclid.golden",
        "log-Euclidean distance of the same covariances",
        name,
        distance.distance_logeuclid(a, b),
    )
    add(
        "pyriemann.distance_wasserstein.golden",
        "Bures-Wasserstein distance of the same covariances",
        name,
        distance.distance_wasserstein(a, b),
    )

    for kind in ("easy", "hard"):
        a, b, u = (np.array(inputs[f"{letter}_{kind}"]) for letter in "abu")
        pair, tangent = f"a_{kind} b_{kind}", f"a_{kind} b_{kind} u_{kind}"
        for metric in ("riemann", "logeuclid", "wasserstein"):
            function = getattr(distance, f"distance_{metric}")
            add(
                f"pyriemann.distance_{metric}.{kind}",
                f"distance_{metric}(a, b)",
                pair,
                function(a, b),
                *weakness(kind, metric, "dist"),
            )
            function = getattr(geodesic, f"geodesic_{metric}")
            add(
                f"pyriemann.geodesic_{metric}.{kind}",
                f"geodesic_{metric}(a, b, 0.3): a at 0, b at 1",
                pair,
                function(a, b, 0.3),
                *weakness(kind, metric, "geodesic"),
            )
            options = {"C12": True} if metric == "riemann" else {}
            function = getattr(tangentspace, f"log_map_{metric}")
            add(
                f"pyriemann.log_map_{metric}.{kind}",
                f"log_map_{metric}(b, a{', C12=True' if options else ''}): at a",
                pair,
                function(b, a, **options),
                *weakness(kind, metric, "log"),
            )
            if metric == "wasserstein":
                continue
            function = getattr(tangentspace, f"transport_{metric}")
            add(
                f"pyriemann.transport_{metric}.{kind}",
                f"transport_{metric}(u, a, b): of u, from a to b",
                tangent,
                function(u, a, b),
                *weakness(kind, metric, "transport"),
            )
            function = getattr(tangentspace, f"innerproduct_{metric}")
            log = getattr(tangentspace, f"log_map_{metric}")(b, a, **options)
            add(
                f"pyriemann.innerproduct_{metric}.{kind}",
                f"innerproduct_{metric}(u, log of b, a)",
                tangent,
                function(u, log, a),
                *weakness(kind, metric, "inner"),
            )

    a, w = np.array(inputs["a_easy"]), np.array(inputs["w_easy"])
    for metric in ("riemann", "logeuclid", "wasserstein"):
        options = {"Cm12": True} if metric == "riemann" else {}
        function = getattr(tangentspace, f"exp_map_{metric}")
        add(
            f"pyriemann.exp_map_{metric}.easy",
            f"exp_map_{metric}(w, a{', Cm12=True' if options else ''}): at a",
            "a_easy w_easy",
            function(w, a, **options),
        )

    family = np.array(inputs["family"])
    iterative = (1e-10, "fixed-point iteration stopped at a step of 1e-13")
    add(
        "pyriemann.mean_riemann.family",
        "mean_riemann(family, tol=1e-13, maxiter=500), equal weights",
        "family",
        mean.mean_riemann(family, tol=1e-13, maxiter=500),
        *iterative,
    )
    add(
        "pyriemann.mean_logeuclid.family",
        "mean_logeuclid(family), equal weights",
        "family",
        mean.mean_logeuclid(family),
    )
    add(
        "pyriemann.mean_wasserstein.family",
        "mean_wasserstein(family, tol=1e-13, maxiter=500), equal weights",
        "family",
        mean.mean_wasserstein(family, tol=1e-13, maxiter=500),
        *iterative,
    )


# ----------------------------------------------------------------------------------------------------------
# geomstats: SPD matrices, subspaces, shapes
# ----------------------------------------------------------------------------------------------------------


def add_geomstats(x, y):
    os.environ.setdefault("GEOMSTATS_BACKEND", "numpy")
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid  # noqa: NPY201  # geomstats 2.8 asks for the name that numpy 2.4 has dropped
    from geomstats.geometry.grassmannian import Grassmannian
    from geomstats.geometry.pre_shape import PreShapeSpace
    from geomstats.geometry.spd_matrices import (
        SPDAffineMetric,
        SPDBuresWassersteinMetric,
        SPDLogEuclideanMetric,
        SPDMatrices,
    )

    metrics = {
        "affine": SPDAffineMetric,
        "logeuclidean": SPDLogEuclideanMetric,
        "bures": SPDBuresWassersteinMetric,
    }
    for metric, factory in metrics.items():
        space = SPDMatrices(5, equip=False)
        space.equip_with_metric(factory)
        g = space.metric
        for kind in ("easy", "hard"):
            a, b, u = (np.array(inputs[f"{letter}_{kind}"]) for letter in "abu")
            pair = f"a_{kind} b_{kind}"
            name = f"geomstats.{metric}"
            add(
                f"{name}_dist.{kind}",
                f"{factory.__name__}.dist(a, b)",
                pair,
                g.dist(a, b),
                *weakness(kind, metric, "dist"),
            )
            add(
                f"{name}_log.{kind}",
                f"{factory.__name__}.log(b, a): at a",
                pair,
                g.log(b, a),
                *weakness(kind, metric, "log"),
            )
            add(
                f"{name}_inner.{kind}",
                f"{factory.__name__}.inner_product(u, log(b, a), a)",
                f"{pair} u_{kind}",
                g.inner_product(u, g.log(b, a), a),
                *weakness(kind, metric, "inner"),
            )
        a, b, u, w = (np.array(inputs[key]) for key in ("a_easy", "b_easy", "u_easy", "w_easy"))
        add(f"{name}_exp.easy", f"{factory.__name__}.exp(w, a): at a", "a_easy w_easy", g.exp(w, a))
        quantity = f"{factory.__name__}.parallel_transport(u, a, end_point=b)"
        if metric == "affine":
            add(
                f"{name}_transport.easy",
                quantity,
                "a_easy b_easy u_easy",
                g.parallel_transport(u, a, end_point=b),
            )
        if metric == "bures":
            result = g.parallel_transport(u, a, end_point=b, n_steps=1000)
            add(
                f"{name}_transport.easy",
                quantity + " with n_steps=1000",
                "a_easy b_easy u_easy",
                result,
                1e-10,
                STEPS,
            )

    q, r = np.array(inputs["q_a"]), np.array(inputs["q_b"])
    space = Grassmannian(8, 3)
    add(
        "geomstats.grassmannian_dist.q",
        "Grassmannian(8, 3).metric.dist of the projectors q q': sqrt(2) times the "
        "root of the sum of squared principal angles",
        "q_a q_b",
        space.metric.dist(q @ q.T, r @ r.T),
    )
    add(
        "geomstats.grassmannian_log.q",
        "log(q_b q_b', q_a q_a') on projectors: D q_a' + q_a D' for the tangent D at q_a",
        "q_a q_b",
        space.metric.log(r @ r.T, q @ q.T),
    )

    space = PreShapeSpace(7, 3)
    space.equip_with_group_action("rotations")
    space.equip_with_quotient()
    a, b = np.array(inputs["shape_a"]), np.array(inputs["shape_b"])
    g = space.quotient.metric
    add(
        "geomstats.kendall_dist.shape",
        "PreShapeSpace(7, 3) modulo SO(3), angle of shapes (the best rotation is proper, so "
        "that O(3) gives the same)",
        "shape_a shape_b",
        g.dist(a, b),
        1e-12,
    )
    add(
        "geomstats.kendall_log.shape",
        "log(shape_b, shape_a): horizontal tangent at shape_a",
        "shape_a shape_b",
        g.log(b, a),
    )
    tangent = space.to_tangent(np.array(inputs["shape_tangent"]), a)
    horizontal = space.fiber_bundle.horizontal_projection(tangent, a)
    add(
        "geomstats.kendall_horizontal.shape",
        "shape_tangent made tangent to the pre-shape sphere at shape_a (centered, "
        "orthogonal), then horizontal",
        "shape_a shape_tangent",
        horizontal,
    )
    add(
        "geomstats.kendall_transport.shape",
        "parallel_transport of the kendall_horizontal vector from shape_a along "
        "log(shape_b, shape_a), n_steps=1000; in the gauge of shape_b rotated to shape_a",
        "shape_a shape_b shape_tangent",
        g.parallel_transport(horizontal, a, direction=g.log(b, a), n_steps=1000),
        1e-10,
        STEPS,
    )


# ----------------------------------------------------------------------------------------------------------
# POT: Gaussians and matching of units
# ----------------------------------------------------------------------------------------------------------


def add_pot(x, y):
    import ot

    arguments = [np.array(inputs[key]) for key in ("mean_a", "mean_b", "cov_a", "cov_b")]
    add(
        "POT.bures_wasserstein_distance.gaussians",
        "ot.gaussian.bures_wasserstein_distance(mean_a, mean_b, cov_a, cov_b), not squared, means included",
        "mean_a mean_b cov_a cov_b",
        ot.gaussian.bures_wasserstein_distance(*arguments),
    )
    zero = np.zeros(5)
    for kind in ("easy", "hard"):
        a, b = np.array(inputs[f"a_{kind}"]), np.array(inputs[f"b_{kind}"])
        add(
            f"POT.bures_wasserstein_distance.{kind}",
            "the same with zero means",
            f"a_{kind} b_{kind}",
            ot.gaussian.bures_wasserstein_distance(zero, zero, a, b),
            *weakness(kind, "bures", "dist"),
        )
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    for p, q in ((10, 10), (10, 6), (4, 7)):
        left, right = x[:, :p].T, y[:, :q].T
        cost = ot.emd2(np.full(p, 1 / p), np.full(q, 1 / q), ot.dist(left, right), numItermax=10**7)
        add(
            f"POT.soft_matching.golden_{p}_{q}",
            f"sqrt(ot.emd2) between the first {p} columns of x and the first {q} of y, "
            "columns centered, uniform weights, squared Euclidean cost",
            "golden_x golden_y",
            math.sqrt(cost),
        )


# ----------------------------------------------------------------------------------------------------------
# rsatoolbox: dissimilarity matrices
# ----------------------------------------------------------------------------------------------------------

CONJUGATE = "the covariance of pairs is inverted by conjugate gradients, to a relative residual of 1e-5"
EIGENVALUES = "square roots of the eigenvalues of a singular matrix, wrong by eps: error about sqrt(eps)"


def add_rsatoolbox(x, y):
    import rsatoolbox
    import scipy.sparse.linalg

    def rdm(z, method):
        return rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(z), method=method)

    names = "golden_x golden_y"
    rows = {"golden": slice(None), "golden12": slice(12)}
    for kind, part in rows.items():
        text = "" if kind == "golden" else " of the first 12 rows"
        for method in ("euclidean", "correlation"):
            d, e = rdm(x[part], method), rdm(y[part], method)
            what = {"euclidean": "squared Euclidean / 10", "correlation": "1 - Pearson"}[method]
            if kind == "golden12":
                add(
                    f"rsatoolbox.rdm_{method}.{kind}",
                    f"upper triangle of the RDM ({what}){text} of x, row by row",
                    "golden_x",
                    d.get_vectors()[0],
                )
            comparators = [
                "cosine",
                "corr",
                "cosine_cov",
                "corr_cov",
                "spearman",
                "rho-a",
                "kendall",
                "tau-a",
            ]
            for comparator in comparators:
                value = rsatoolbox.rdm.compare(d, e, method=comparator)[0, 0]
                add(
                    f"rsatoolbox.{comparator}_{method}.{kind}",
                    f"compare(method={comparator!r}) of RDMs ({what}){text}",
                    names,
                    value,
                )
            if method == "euclidean":
                for comparator in ("bures", "bures_metric"):
                    value = rsatoolbox.rdm.compare(d, e, method=comparator)[0, 0]
                    scale = (
                        ""
                        if comparator == "bures"
                        else "; the square of the distance, of RDMs that are divided by 10"
                    )
                    weak = (1e-6, EIGENVALUES) if kind == "golden" else (1e-7, EIGENVALUES)
                    add(
                        f"rsatoolbox.{comparator}_{method}.{kind}",
                        f"compare(method={comparator!r}) of RDMs ({what}){text}" + scale,
                        names,
                        value,
                        *weak,
                    )
    for method in ("euclidean", "correlation"):
        d, e = rdm(x[:12], method), rdm(y[:12], method)
        for comparator in ("cosine_cov", "corr_cov"):
            quantity = (
                f"compare(method={comparator!r}, sigma_k=sigma) of RDMs ({method}) of the first 12 rows"
            )
            value = rsatoolbox.rdm.compare(d, e, method=comparator, sigma_k=np.array(inputs["sigma"]))[0, 0]
            add(
                f"rsatoolbox.{comparator}_{method}_sigma.golden12",
                quantity,
                f"{names} sigma",
                value,
                1e-4,
                CONJUGATE,
            )
            with mock.patch("scipy.sparse.linalg.cg", partial(scipy.sparse.linalg.cg, rtol=1e-14)):
                value = rsatoolbox.rdm.compare(d, e, method=comparator, sigma_k=np.array(inputs["sigma"]))[
                    0, 0
                ]
            add(
                f"rsatoolbox.{comparator}_{method}_sigma_tight.golden12",
                quantity + ", with its conjugate gradients made to go on to a relative residual of 1e-14",
                f"{names} sigma",
                value,
                1e-11,
            )


# ----------------------------------------------------------------------------------------------------------
# scipy and scikit-learn
# ----------------------------------------------------------------------------------------------------------


def add_scipy(x, y):
    import scipy.linalg
    import scipy.optimize
    import scipy.spatial

    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    names = "golden_x golden_y"
    add(
        "scipy.subspace_angles.golden",
        "subspace_angles of centered x and y, radians, descending",
        names,
        scipy.linalg.subspace_angles(xc, yc),
    )
    add(
        "scipy.subspace_angles.golden_10_6",
        "subspace_angles of centered x and the first 6 columns of y",
        names,
        scipy.linalg.subspace_angles(xc, yc[:, :6]),
    )
    add(
        "scipy.subspace_angles.q",
        "subspace_angles(q_a, q_b)",
        "q_a q_b",
        scipy.linalg.subspace_angles(np.array(inputs["q_a"]), np.array(inputs["q_b"])),
    )
    add(
        "scipy.procrustes.golden",
        "disparity of scipy.spatial.procrustes: sin^2 of the angle of shapes over O(p)",
        names,
        scipy.spatial.procrustes(x, y)[2],
    )
    add(
        "scipy.orthogonal_procrustes.golden",
        "scale of orthogonal_procrustes of centered x, y: nuclear norm of x'y",
        names,
        scipy.linalg.orthogonal_procrustes(xc, yc)[1],
    )
    cost = scipy.spatial.distance.cdist(xc.T, yc.T, "sqeuclidean")
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    add(
        "scipy.permutation_distance.golden",
        "root of the linear_sum_assignment of squared distances of centered columns",
        names,
        math.sqrt(cost[rows, columns].sum()),
    )
    for kind in ("sqeuclidean", "euclidean", "cosine", "correlation"):
        add(
            f"scipy.pdist_{kind}.golden12",
            f"pdist(x[:12], {kind!r})",
            "golden_x",
            scipy.spatial.distance.pdist(x[:12], kind),
        )
    a, b = np.array(inputs["a_easy"]), np.array(inputs["b_easy"])
    add(
        "scipy.generalized_eigenvalues.easy",
        "eigvalsh(b, a), ascending: their logarithms make the affine-invariant distance",
        "a_easy b_easy",
        scipy.linalg.eigvalsh(b, a),
    )


def add_sklearn(x, y):
    import sklearn.metrics.pairwise as sk

    x, y = x[:6], y[:6]
    names = "golden_x golden_y"
    add(
        "scikit-learn.rbf_kernel.golden6",
        "rbf_kernel(x[:6], y[:6], gamma=0.1): exp(-gamma |a-b|^2), gamma = 1/(2 l^2)",
        names,
        sk.rbf_kernel(x, y, gamma=0.1),
    )
    add(
        "scikit-learn.laplacian_kernel.golden6",
        "laplacian_kernel(x[:6], y[:6], gamma=0.1): exp(-gamma sum of |a_k-b_k|), "
        "the L1 norm, not the Euclidean one",
        names,
        sk.laplacian_kernel(x, y, gamma=0.1),
    )
    add(
        "scikit-learn.laplacian_kernel_1d.golden6",
        "laplacian_kernel(x[:6, :1], y[:6, :1], gamma=0.5): with one unit both norms agree, length scale 2",
        names,
        sk.laplacian_kernel(x[:, :1], y[:, :1], gamma=0.5),
    )
    add(
        "scikit-learn.polynomial_kernel.golden6",
        "polynomial_kernel(x[:6], y[:6], degree=3, gamma=0.1, coef0=0.7)",
        names,
        sk.polynomial_kernel(x, y, degree=3, gamma=0.1, coef0=0.7),
    )
    add("scikit-learn.linear_kernel.golden6", "linear_kernel(x[:6], y[:6])", names, sk.linear_kernel(x, y))
    add(
        "scikit-learn.cosine_distances.golden6",
        "cosine_distances(x[:6], y[:6]): 1 - cosine",
        names,
        sk.cosine_distances(x, y),
    )


def one_entry_a_line(document):
    """JSON with a line for every input and every value, so that a difference shows what has moved."""
    parts = []
    for name, entries in document.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}"


def main():
    warnings.simplefilter("ignore")
    x, y = make_inputs()
    for part in (add_pyriemann, add_geomstats, add_pot, add_rsatoolbox, add_scipy, add_sklearn):
        part(x, y)
    document = {
        "versions": {name: version(name) for name in LIBRARIES},
        "inputs": {name: a if isinstance(a, str) else a.tolist() for name, a in inputs.items()},
        "values": values,
    }
    target = Path(__file__).with_name("peer_values.json")
    target.write_text(one_entry_a_line(document) + "\n")
    print(f"{len(values)} values in {target}, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
