"""
What distances cost, all pairs of them above all, beside other libraries and plain loops.

    python benchmarks/pairwise.py                     everything (some minutes)
    python benchmarks/pairwise.py --only cka          workloads whose name contains the word
    python benchmarks/pairwise.py --quick             without the largest, in fewer rounds

Ratios are processor time of the peer over that of repsim_geo, on one thread, candidates interleaved, fastest
round; "noise" is the same call of repsim_geo under two names. All candidates have to agree, or the script
stops. Memory is what a fresh process grows by at its peak, beyond the activations. pyriemann, geomstats and
rsatoolbox are left out where they are not installed; loops in torch, numpy and scipy are always there.
"""

from __future__ import annotations

import timing

# isort: split

import argparse
import importlib
import math
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Any

import geoopt
import import_time
import numpy as np
import scipy.linalg
import torch
from scipy.spatial.distance import pdist
from timing import Candidates, Record, Row, compare, installed, keep, random, same

import repsim_geo as rg

Networks = list[torch.Tensor]


def networks(n: int, m: int, p: int, dtype: torch.dtype = torch.float64) -> Networks:
    """Activations that have half of their variance in common."""
    common = random(m, p, dtype=dtype)
    return [common + random(m, p, seed=i + 1, dtype=dtype) for i in range(n)]


def table(n: int, values: Callable[[int, int], Any]) -> torch.Tensor:
    """Symmetric matrix of a function of all pairs, one at a time."""
    whole = torch.zeros(n, n, dtype=torch.float64)
    for i, j in combinations(range(n), 2):
        whole[i, j] = whole[j, i] = float(values(i, j))
    return whole


def all_pairs(
    title: str,
    reps: Networks,
    metric: Any,
    peers: Candidates,
    targets: dict[str, float],
    rounds: int,
    *,
    tol: float = 1e-8,
    more: list[Row] | None = None,
) -> Record:
    """Compare `pairwise` with peers that return the same table."""

    def ours() -> torch.Tensor:
        return rg.pairwise(reps, metric)

    return compare(
        title,
        ours,
        peers,
        targets,
        rounds,
        tol=tol,
        plan=lambda: rg.plan_pairwise(reps, metric),
        dtype=reps[0].dtype,
        more=more or (),
    )


# ---------------------------------------------------------------------- Gram matrices


def centered_gram(x: torch.Tensor) -> torch.Tensor:
    x = x - x.mean(0)
    return x @ x.T


def by_products(k: torch.Tensor) -> torch.Tensor:
    """Centered as textbooks write it: H K H."""
    h = torch.eye(len(k), dtype=k.dtype) - 1 / len(k)
    return h @ k @ h


def centered(k: torch.Tensor) -> torch.Tensor:
    return k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()


def angle(k: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return ((k * other).sum() / (k.norm() * other.norm())).clamp(-1, 1).acos()


def angles(grams: Networks) -> torch.Tensor:
    """Of all pairs, one at a time, with norms taken once."""
    units = [k / k.norm() for k in grams]
    return table(len(grams), lambda i, j: (units[i] * units[j]).sum().clamp(-1, 1).acos())


def angles_at_once(grams: Networks) -> torch.Tensor:
    """From one product of all Gram matrices, as vectors."""
    units = torch.stack([(k / k.norm()).flatten() for k in grams])
    return (units @ units.T).clamp(-1, 1).acos().fill_diagonal_(0)


def cka(quick: bool) -> None:
    reps = networks(20, 500, 64)
    all_pairs(
        "linear CKA, all pairs, N=20 m=500 p=64",
        reps,
        rg.AngularCKA(),
        {
            "both Gram matrices anew for every pair": lambda: table(
                20, lambda i, j: angle(centered_gram(reps[i]), centered_gram(reps[j]))
            ),
            "stored Gram matrices H K H, pair by pair": lambda: angles([by_products(x @ x.T) for x in reps]),
            "stored Gram matrices of centered units": lambda: angles([centered_gram(x) for x in reps]),
            "the same, as one product": lambda: angles_at_once([centered_gram(x) for x in reps]),
        },
        {"stored Gram matrices H K H, pair by pair": 8, "stored Gram matrices of centered units": 8},
        3 if quick else 9,
    )


def cka_more_inputs(quick: bool) -> None:
    reps = networks(20, 2000, 64)
    all_pairs(
        "linear CKA, all pairs, N=20 m=2000 p=64",
        reps,
        rg.AngularCKA(),
        {
            "stored Gram matrices H K H, pair by pair": lambda: angles([by_products(x @ x.T) for x in reps]),
            "stored Gram matrices of centered units": lambda: angles([centered_gram(x) for x in reps]),
            "the same, as one product": lambda: angles_at_once([centered_gram(x) for x in reps]),
        },
        {"stored Gram matrices H K H, pair by pair": 60, "stored Gram matrices of centered units": 60},
        3 if quick else 5,
        more=[
            Row(
                "memory, in stored Gram matrices of all",
                extra_memory("cka_more_inputs") / (20 * 2000**2 * 8),
                0.10,
                at_most=True,
                unit="x",
            )
        ],
    )


def cka_wide(quick: bool) -> None:
    reps = networks(8, 20000, 512, torch.float32)

    def dot(k: torch.Tensor, other: torch.Tensor) -> float:
        # In pieces: that many float32 numbers in one sum would lose digits.
        return sum(float((a @ b).sum()) for a, b in zip(k.split(1), other.mT.split(1, 1), strict=True))

    def one_pair() -> float:
        k, other = centered_gram(reps[0]), centered_gram(reps[1])
        return math.acos(dot(k, other) / math.sqrt(dot(k, k) * dot(other, other)))

    def ours() -> torch.Tensor:
        return rg.pairwise(reps)

    same("one pair", one_pair(), ours()[0, 1], 1e-4)
    name = "one pair by two (m, m) Gram matrices"
    rounds = 2 if quick else 4
    done = timing.interleaved(
        {"one": one_pair, "ours": ours, "product": timing.gemm(torch.float32), "again": ours}, rounds
    )
    base = min(done["ours"].seconds, done["again"].seconds)
    plan = rg.plan_pairwise(reps)
    keep(
        Record(
            "linear CKA, all 28 pairs, N=8 m=20000 p=512 float32",
            rounds=rounds,
            rows=[
                Row(
                    f"all 28 pairs of ours over {name}",
                    base / done["one"].seconds,
                    0.35,
                    at_most=True,
                    unit="x",
                ),
                Row("memory", extra_memory("cka_wide") / 1e6, 640, at_most=True, unit=" MB"),
            ],
            noise=done["again"].seconds / done["ours"].seconds,
            route=plan.route.name,
            of_peak=plan.route.flops / base / (timing.gemm_flops() / done["product"].seconds),
            predicted=plan.seconds / base,
        )
    )


def median_distance(d: torch.Tensor, upper: torch.Tensor) -> float:
    return float(np.median(d.flatten()[upper].numpy()))


def upper_half(m: int) -> torch.Tensor:
    i, j = torch.triu_indices(m, m, 1)
    return i * m + j


def rbf(quick: bool) -> None:
    reps, upper = networks(20, 500, 64), upper_half(500)

    def kernel(x: torch.Tensor) -> torch.Tensor:
        d = torch.cdist(x, x)
        return (d / median_distance(d, upper)).square().mul(-0.5).exp()

    def gram(x: torch.Tensor) -> torch.Tensor:
        return centered(kernel(x))

    all_pairs(
        "RBF CKA of median length, all pairs, N=20 m=500 p=64",
        reps,
        rg.AngularCKA(rg.RBF()),
        {
            "both Gram matrices anew for every pair": lambda: table(
                20, lambda i, j: angle(gram(reps[i]), gram(reps[j]))
            ),
            "stored Gram matrices H K H, pair by pair": lambda: angles(
                [by_products(kernel(x)) for x in reps]
            ),
            "stored Gram matrices, means subtracted": lambda: angles([gram(x) for x in reps]),
            "the same, as one product": lambda: angles_at_once([gram(x) for x in reps]),
        },
        {"stored Gram matrices H K H, pair by pair": 2.2, "stored Gram matrices, means subtracted": 2.2},
        4 if quick else 7,
        tol=1e-6,
    )


# ---------------------------------------------------------------------- dissimilarities


def stress(quick: bool) -> None:
    reps = networks(20, 500, 64)

    def distance(d: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (d - other).square().sum().div(500 * 499).sqrt()

    def scipys() -> torch.Tensor:
        condensed = [pdist(x.numpy()) for x in reps]
        return table(20, lambda i, j: np.sqrt(np.square(condensed[i] - condensed[j]).mean()))

    def stored() -> torch.Tensor:
        matrices = [torch.cdist(x, x) for x in reps]
        return table(20, lambda i, j: distance(matrices[i], matrices[j]))

    all_pairs(
        "stress, all pairs, N=20 m=500 p=64",
        reps,
        rg.Stress(),
        {
            "both distance matrices anew for every pair": lambda: table(
                20, lambda i, j: distance(*(torch.cdist(reps[k], reps[k]) for k in (i, j)))
            ),
            "torch.cdist once a network, pair by pair": stored,
            "scipy's pdist once a network, pair by pair": scipys,
        },
        {"torch.cdist once a network, pair by pair": 2.4},
        5 if quick else 9,
        tol=1e-6,
    )


def rsatoolbox_rdms(reps: Networks, dissimilarity: str) -> Callable[[], Any]:
    data = importlib.import_module("rsatoolbox.data")
    rdm = importlib.import_module("rsatoolbox.rdm")
    sets = [data.Dataset(x.numpy()) for x in reps]
    return lambda: rdm.calc_rdm(sets, method=dissimilarity)


def rsa(quick: bool) -> None:
    for dissimilarity, scipys in (("correlation", "correlation"), ("sqeuclidean", "sqeuclidean")):
        reps = networks(20, 500, 64)
        arrays = [x.numpy() for x in reps]

        def loop(scipys: str = scipys, arrays: list[np.ndarray] = arrays) -> np.ndarray:
            rdms = np.stack([pdist(x, scipys) for x in arrays])
            return as_angles(np.corrcoef(rdms))

        peers: Candidates = {"scipy's pdist and numpy's corrcoef": loop}
        targets = {}
        if installed("rsatoolbox"):
            method = {"sqeuclidean": "euclidean"}.get(dissimilarity, dissimilarity)
            rdms = rsatoolbox_rdms(reps, method)
            correlated = importlib.import_module("rsatoolbox.rdm").compare

            def toolbox(rdms: Callable[[], Any] = rdms, correlated: Any = correlated) -> np.ndarray:
                found = rdms()
                return as_angles(correlated(found, found, "corr"))

            peers["rsatoolbox"] = toolbox
            targets = {"rsatoolbox": 2.4} if dissimilarity == "correlation" else {}
        all_pairs(
            f"RSA, Pearson correlation of {dissimilarity} dissimilarities, all pairs, N=20 m=500 p=64",
            reps,
            rg.AngularRDM(dissimilarity, centered=True),
            peers,
            targets,
            3 if quick else 7,
            tol=1e-6,
        )


def as_angles(cosines: np.ndarray) -> np.ndarray:
    angles = np.arccos(np.clip(cosines, -1, 1))
    np.fill_diagonal(angles, 0)
    return angles


# ---------------------------------------------------------------------- shapes


def procrustes(quick: bool) -> None:
    reps = networks(20, 500, 64)

    def unit(x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(0)
        return x / x.norm()

    def singular_values() -> torch.Tensor:
        x = [unit(x) for x in reps]
        return table(20, lambda i, j: torch.linalg.svdvals(x[i].T @ x[j]).sum().clamp(-1, 1).acos())

    def rotations() -> np.ndarray:
        """As libraries do that want the rotation, too."""
        x = [unit(x).numpy() for x in reps]

        def distance(i: int, j: int) -> float:
            rotation, _ = scipy.linalg.orthogonal_procrustes(x[i], x[j])
            return math.acos(min(1.0, float((x[i] @ rotation * x[j]).sum())))

        return table(20, distance).numpy()

    all_pairs(
        "Procrustes angle, all pairs, N=20 m=500 p=64",
        reps,
        rg.AngularShape(),
        {"svdvals, pair by pair": singular_values, "scipy's orthogonal_procrustes": rotations},
        {"svdvals, pair by pair": 1},
        4 if quick else 7,
        tol=1e-7,
    )


def bures(quick: bool) -> None:
    n, m, p = 10, 200, 16
    reps = networks(n, m, p)

    def eigenvalues() -> np.ndarray:
        """The formula as it is written, with the root of every Gram matrix taken once."""
        grams = [centered_gram(x).numpy() for x in reps]
        roots = []
        for k in grams:
            values, basis = np.linalg.eigh(k)
            roots.append(basis * np.sqrt(np.maximum(values, 0)) @ basis.T)

        def distance(i: int, j: int) -> float:
            fidelity = np.sqrt(np.maximum(np.linalg.eigvalsh(roots[i] @ grams[j] @ roots[i]), 0)).sum()
            return math.sqrt(max(0.0, np.trace(grams[i]) + np.trace(grams[j]) - 2 * fidelity))

        return table(n, distance).numpy()

    peers: Candidates = {"the formula of eigenvalues in numpy": eigenvalues}
    if installed("rsatoolbox"):
        rdms = rsatoolbox_rdms(reps, "euclidean")
        metric = importlib.import_module("rsatoolbox.rdm").compare

        def toolbox() -> np.ndarray:
            found = rdms()
            # Squared distances, of activations that were divided by the root of their number.
            squared = p * np.maximum(metric(found, found, "bures_metric"), 0)
            np.fill_diagonal(squared, 0)
            return np.sqrt(squared)

        peers["rsatoolbox"] = toolbox
    all_pairs(
        f"Bures distance of Gram matrices, all pairs, N={n} m={m} p={p}",
        reps,
        rg.BuresWasserstein(),
        peers,
        {"rsatoolbox": 100},
        7 if quick else 11,
        tol=1e-5,
    )


def transport(quick: bool) -> None:
    m, p, steps = 200, 16, 100
    manifold = rg.AngularShape(p=p)
    x, y = manifold.embed(random(m, p)), manifold.embed(random(m, p) + random(m, p, seed=1))
    u, v = manifold.logmap(x, y), manifold.proju(x, random(m, p, seed=2) / m)

    def ours() -> torch.Tensor:
        return manifold.carry(x, u, v)

    peers: Candidates = {f"Runge-Kutta in torch, {steps} steps": lambda: runge_kutta(x, u, v, steps)}
    if installed("geomstats"):
        space = timing.geomstats("geometry.pre_shape").PreShapeSpace(m, p)
        space.equip_with_group_action("rotations")
        space.equip_with_quotient()
        metric = space.quotient.metric
        arrays = v.numpy(), x.numpy(), u.numpy()
        peers[f"geomstats, {steps} steps"] = lambda: metric.parallel_transport(*arrays, n_steps=steps)
    exact = runge_kutta(x, u, v, 20 * steps)
    error = float((ours() - exact).norm() / exact.norm())
    names = {name: 30.0 for name in peers if name.startswith("geomstats")}
    compare(
        f"parallel transport of shapes, m={m} p={p}, angle {float(u.norm()):.2f}",
        ours,
        peers,
        names,
        3 if quick else 7,
        tol=1e-6,
        more=[Row(f"relative error of ours, against {20 * steps} steps", error, 1e-12, at_most=True)],
    )


def runge_kutta(x: torch.Tensor, u: torch.Tensor, v: torch.Tensor, steps: int) -> torch.Tensor:
    """Parallel transport as the solution of its differential equation, by steps of fourth order."""
    size = u.norm()

    def rate(t: float, w: torch.Tensor) -> torch.Tensor:
        here = (t * size).cos() * x + (t * size).sin() * u / size
        speed = (t * size).cos() * u - size * (t * size).sin() * x
        values, basis = torch.linalg.eigh(here.T @ here)
        turn = speed.T @ w
        skew = basis.T @ (turn - turn.T) @ basis / (values[:, None] + values)
        return -here @ (basis @ skew @ basis.T) - (speed * w).sum() * here

    h = 1 / steps
    for k in range(steps):
        a = rate(k * h, v)
        b = rate((k + 0.5) * h, v + h / 2 * a)
        c = rate((k + 0.5) * h, v + h / 2 * b)
        d = rate((k + 1) * h, v + h * c)
        v = v + h / 6 * (a + 2 * b + 2 * c + d)
    return v


# ---------------------------------------------------------------------- positive definite matrices


def airm(quick: bool) -> None:
    n, p = 30, 64
    reps = networks(n, 256, p)
    manifold = rg.AffineInvariantSPD()
    x = torch.stack([torch.cov(a.T) for a in reps])
    arrays = x.numpy()
    i, j = torch.triu_indices(n, n, 1)
    own = geoopt.SymmetricPositiveDefinite()

    def full(values: Any) -> torch.Tensor:
        whole = torch.zeros(n, n, dtype=torch.float64)
        whole[i, j] = torch.as_tensor(values)
        return whole + whole.T

    peers: Candidates = {
        "scipy's eigvalsh, pair by pair": lambda: table(
            n, lambda i, j: np.linalg.norm(np.log(scipy.linalg.eigvalsh(arrays[i], arrays[j])))
        ).numpy(),
        "geoopt": lambda: full(own.dist(x[i], x[j])),
    }
    if installed("pyriemann"):
        pairwise_distance = importlib.import_module("pyriemann.geometry.distance").pairwise_distance
        peers["pyriemann"] = lambda: pairwise_distance(arrays, metric="riemann")
    if installed("geomstats"):
        metric = timing.geomstats("geometry.spd_matrices").SPDMatrices(p).metric
        peers["geomstats"] = lambda: full(metric.dist(arrays[i], arrays[j]))
    goals = {"geomstats": 6, "geoopt": 4.5, "pyriemann": 1, "scipy's eigvalsh, pair by pair": 1}
    rounds = 3 if quick else 5
    title = f"affine-invariant distances, all pairs, N={n} p={p}"
    compare(f"{title}, from covariances", lambda: manifold.cdist(x, x), peers, goals, rounds, tol=1e-8)
    same("pairwise", rg.pairwise(reps, "affine_invariant", mode="cov"), manifold.cdist(x, x), 1e-8)
    all_pairs(
        f"{title}, from activations of m=256",
        reps,
        rg.AffineInvariant("cov"),
        {"scipy's eigvalsh, pair by pair": peers["scipy's eigvalsh, pair by pair"]},
        {},
        rounds,
    )


def spd(quick: bool) -> None:
    count, p = 1000, 16
    ours, own = rg.AffineInvariantSPD(), geoopt.SymmetricPositiveDefinite()
    a, b, w = (random(count, p, p, seed=k) for k in range(3))
    x, y = (torch.linalg.matrix_exp((g + g.mT) / (2 * p) ** 0.5 / 2) for g in (a, b))
    u = (w + w.mT) / (2 * p) ** 0.5 / 2
    for name, goal, pair in (
        ("exp", 1.6, (x, u)),
        ("log", 1.8, (x, y)),
        ("dist", 3.5, (x, y)),
    ):
        method = {"exp": "expmap", "log": "logmap"}.get(name, name)
        call, peer = (lambda f=getattr(m, method), pair=pair: f(*pair) for m in (ours, own))
        title = f"SPD {name}, B={count} p={p}"
        compare(title, call, {"geoopt": peer}, {"geoopt": goal}, 5 if quick else 11, tol=1e-8)


# ---------------------------------------------------------------------- import


def imports(quick: bool) -> None:
    rounds = 3 if quick else 7
    ratios = import_time.ratios(rounds)
    keep(
        Record(
            "import, in fresh processes",
            rounds=rounds,
            rows=[
                Row("repsim_geo over torch alone", ratios["import torch, repsim_geo"], 1.15, at_most=True),
                Row("geoopt over torch alone", ratios["import torch, geoopt"], at_most=True),
            ],
            noise=ratios["import torch  # again"],
        )
    )


# ---------------------------------------------------------------------- memory

# Sizes of the networks of a workload whose memory is measured.
MEASURED: dict[str, tuple[int, int, int, torch.dtype]] = {
    "cka_more_inputs": (20, 2000, 64, torch.float64),
    "cka_wide": (8, 20000, 512, torch.float32),
}


def extra_memory(name: str) -> float:
    """Bytes that `pairwise` needs beyond its activations, measured in a process of its own."""
    return timing.in_fresh_process(__file__, "--memory-of", name)[0]


def print_growth(name: str) -> None:
    n, m, p, dtype = MEASURED[name]
    torch.set_num_threads(1)
    rg.pairwise(networks(3, 100, 8, dtype))  # what is loaded once is no memory of the workload
    reps = networks(n, m, p, dtype)
    print(timing.growth(lambda: rg.pairwise(reps)))


WORKLOADS = {
    "cka": cka,
    "cka_more_inputs": cka_more_inputs,
    "cka_wide": cka_wide,
    "rbf_cka": rbf,
    "stress": stress,
    "rsa": rsa,
    "procrustes": procrustes,
    "bures": bures,
    "airm": airm,
    "spd": spd,
    "transport": transport,
    "import": imports,
}


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--memory-of", choices=MEASURED)
    chosen, rest = parser.parse_known_args()
    if chosen.memory_of is None:
        timing.main(WORKLOADS, "Distances beside peers.", rest)
    else:
        print_growth(chosen.memory_of)


if __name__ == "__main__":
    sys.exit(main())
