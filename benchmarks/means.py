"""
What a Fréchet mean, clusters and a permutation test cost, beside other libraries and plain loops.

    python benchmarks/means.py                     everything (a minute)
    python benchmarks/means.py --only spd          workloads whose name contains the word
    python benchmarks/means.py --quick             fewer cases, in fewer rounds

Ratios are processor time of the peer over that of repsim_geo, on one thread, candidates interleaved, fastest
round; "noise" is the same call of repsim_geo under two names. All candidates have to agree, or the script
stops. pyriemann and geomstats are left out where they are not installed.
"""

from __future__ import annotations

import timing

# isort: split

import importlib
import importlib.util
from typing import Any

import numpy as np
import torch
from timing import Candidates, Row, compare, installed, random, same

import repsim_geo as rg

# ---------------------------------------------------------------------- means


def covariances(n: int, p: int, spread: float) -> torch.Tensor:
    """Around the identity; logarithms of eigenvalues within about `spread`."""
    a = random(n, p, p)
    return torch.linalg.matrix_exp((a + a.mT) / (2 * p) ** 0.5 * spread / 2)


def of_networks(n: int, p: int, rows: int, noise: float) -> torch.Tensor:
    """Covariances of p units whose variances fall like a power, common and own to each network."""
    decay = torch.arange(1, p + 1, dtype=torch.float64) ** -0.5
    x = (random(1, rows, p) + noise * random(n, rows, p, seed=1)) * decay @ random(n, p, p, seed=2) / p**0.5
    return x.mT @ x / rows + 1e-3 * torch.eye(p, dtype=torch.float64)


def pyriemann_mean(x: np.ndarray, tol: float) -> np.ndarray:
    module = "pyriemann.geometry.mean"
    if importlib.util.find_spec("pyriemann.geometry") is None:
        module = "pyriemann.utils.mean"
    return importlib.import_module(module).mean_riemann(x, tol=tol, maxiter=500)


def geomstats_mean(x: np.ndarray, tol: float) -> np.ndarray:
    # Its criterion is the squared length of the gradient, relative to the dimension.
    spd = timing.geomstats("geometry.spd_matrices").SPDMatrices(x.shape[-1])
    mean = timing.geomstats("learning.frechet_mean").FrechetMean(spd)
    mean.set(max_iter=500, epsilon=tol**2 / spd.dim)
    return mean.fit(x).estimate_


def spd(quick: bool, tol: float = 1e-10) -> None:
    manifold = rg.AffineInvariantSPD()
    cases = {
        "near the identity, N=20 p=16": covariances(20, 16, 1.0),
        "near the identity, N=20 p=64": covariances(20, 64, 1.0),
        "of networks, N=20 p=16": of_networks(20, 16, 64, 1.0),
        "of networks, N=30 p=64": of_networks(30, 64, 128, 1.0),
    }
    for title, x in list(cases.items())[1::2] if quick else cases.items():
        arrays = x.numpy()

        def relative(x: torch.Tensor = x) -> float:
            # FrechetMean's tolerance is relative to the spread, that of the others is not.
            return tol / float(rg.FrechetMean(manifold).fit(x).variance_.sqrt())

        bound = relative()

        def ours(x: torch.Tensor = x, bound: float = bound) -> rg.FrechetMean:
            return rg.FrechetMean(manifold, tol=bound).fit(x)

        peers: Candidates = {}
        if installed("pyriemann"):
            peers["pyriemann"] = lambda a=arrays: pyriemann_mean(a, tol)
        if installed("geomstats"):
            peers["geomstats"] = lambda a=arrays: geomstats_mean(a, tol)
        mean = ours()
        for name, peer in peers.items():
            same(name, peer(), mean.mean_, 1e-8)
        compare(
            f"SPD mean {title} spread {float(mean.variance_.sqrt()):.1f}, gradient norm "
            f"{float(mean.gradient_norm_):.0e}",
            ours,
            peers,
            {"pyriemann": 1.8, "geomstats": 2.2},
            3 if quick else 5,
            more=[Row("outer iterations", mean.n_iter_, 4, at_most=True)],
        )


def cka(quick: bool, n: int = 20, m: int = 500, d: int = 64) -> None:
    for title, shared in (("alike", 1.0),) if quick else (("alike", 1.0), ("unrelated", 0.0)):
        cka_of(title, list(shared * random(1, m, d) + random(n, m, d, seed=1)))


def cka_of(title: str, reps: list[torch.Tensor]) -> None:
    n, (m, d) = len(reps), reps[0].shape
    metric = rg.AngularCKA()
    taken: list[int] = []

    def ours() -> rg.FrechetMean:
        return rg.FrechetMean(metric, tol=1e-10).fit(torch.stack([metric.embed(x) for x in reps]))

    def karcher() -> torch.Tensor:
        """Centered Gram matrices as vectors, and the flow in its textbook form."""
        points = []
        for x in reps:
            c = x - x.mean(0)
            k = (c @ c.mT).flatten()
            points.append(k / k.norm())
        y = torch.stack(points)
        mean = y.mean(0) / y.mean(0).norm()
        for steps in range(500):
            cosines = (y @ mean).clamp(-1, 1)
            angles = cosines.acos()
            logs = (angles / angles.sin())[:, None] * (y - cosines[:, None] * mean)
            step = logs.mean(0)
            size = step.norm()
            if float(size) <= 1e-10 * float(angles.square().mean().sqrt()):
                taken.append(steps)
                break
            mean = size.cos() * mean + size.sin() * step / size
        return mean.reshape(m, m)

    def from_cosines() -> rg.FrechetMean:
        """Without forming a point."""
        return rg.FrechetMean(metric, tol=1e-10).fit_cosines(rg.pairwise(reps, metric).cos())

    mean = ours()
    same("the flow", karcher(), mean.mean_, 1e-8)
    points = torch.stack([metric.embed(x) for x in reps])
    same("the mean from cosines", from_cosines().combine(points), mean.mean_, 1e-6)
    title = f"AngularCKA mean of {title} activations, N={n} m={m} d={d}"
    flow = f"Karcher flow on vectors of m^2, {taken[0]} steps"
    compare(
        f"{title}, from points",
        ours,
        {flow: karcher},
        {},
        rounds=3,
        more=[Row("iterations", mean.n_iter_, 3, at_most=True)],
    )
    compare(
        f"{title}, from the cosines of pairwise",
        from_cosines,
        {flow: karcher},
        {flow: 60},
        rounds=3,
        more=[Row("iterations", from_cosines().n_iter_, 3, at_most=True)],
    )


def procrustes(x: np.ndarray, tol: float) -> np.ndarray:
    """Generalized Procrustes analysis: align one after the other to the mean, average, repeat."""
    mean = x[0]
    for _ in range(2000):
        aligned = []
        for y in x:
            u, _, vt = np.linalg.svd(y.T @ mean)
            aligned.append(y @ (u @ vt))
        new = np.mean(aligned, 0)
        step, mean = np.linalg.norm(new - mean), new
        if step <= tol:
            break
    return mean


def shapes(quick: bool) -> None:
    for n, m, p, noise in ((20, 100, 8, 0.3), (20, 100, 8, 1.5), (20, 500, 64, 0.5))[: 1 if quick else 3]:
        metric = rg.SizeAndShape(p=p)
        x = metric.embed(random(1, m, p) + noise * random(n, m, p, seed=1))
        arrays = x.numpy()
        mean = rg.FrechetMean(metric, tol=1e-10).fit(x)
        tol = 1e-10 * float(mean.variance_.sqrt())
        other = torch.from_numpy(procrustes(arrays, tol))
        same("generalized Procrustes", metric.dist(other, x).square().mean(), mean.variance_, 1e-10)
        compare(
            f"shape mean, N={n} m={m} p={p} noise {noise}, {mean.n_iter_} iterations",
            lambda x=x, metric=metric: rg.FrechetMean(metric, tol=1e-10).fit(x),
            {"generalized Procrustes in numpy": lambda a=arrays, tol=tol: procrustes(a, tol)},
            {},
            rounds=3,
        )


# ---------------------------------------------------------------------- estimators


def clusters(quick: bool, n: int = 90, p: int = 8, k: int = 3) -> None:
    manifold = rg.AffineInvariantSPD()
    centers = covariances(k, p, 3.0)
    u = random(n, p, p, seed=1)
    x = manifold.expmap(centers.repeat_interleave(n // k, 0), 0.05 * manifold.proju(centers[0], u))
    start = x[:: n // k]

    def ours() -> float:
        return rg.ManifoldKMeans(manifold, k, init=start, tol=0.0).fit(x).inertia_

    def loop() -> float:
        """Lloyd's algorithm, with one distance and one mean at a time."""
        means, labels = list(start), None
        while True:
            d = np.array([[float(manifold.dist(y, c)) for c in means] for y in x])
            new = d.argmin(1)
            if labels is not None and (new == labels).all():
                return float((d.min(1) ** 2).sum())
            labels = new
            means = [rg.FrechetMean(manifold).fit(x[torch.from_numpy(labels == j)]).mean_ for j in range(k)]

    same("the loop", loop(), ours(), 1e-8)
    rounds = 1 if quick else 3
    compare(f"k-means on SPD, n={n} p={p} k={k}", ours, {"Lloyd, one distance at a time": loop}, {}, rounds)


def energy(quick: bool, n: int = 40, n_permutations: int = 999) -> None:
    x = random(n, 5)
    x[: n // 2] += 0.5
    d = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    labels = np.arange(n) >= n // 2

    def statistic(d: np.ndarray, labels: np.ndarray) -> float:
        i, j = np.flatnonzero(labels), np.flatnonzero(~labels)
        between, a, b = d[np.ix_(i, j)].mean(), d[np.ix_(i, i)].mean(), d[np.ix_(j, j)].mean()
        return len(i) * len(j) / n * (2 * between - a - b)

    def loop() -> float:
        rng, arrays = np.random.default_rng(0), d.numpy()
        observed = statistic(arrays, labels)
        null = [statistic(arrays, rng.permutation(labels)) for _ in range(n_permutations)]
        return (1 + sum(value >= observed for value in null)) / (1 + n_permutations)

    def ours() -> Any:
        return rg.energy_test(d, labels.tolist(), n_permutations=n_permutations)

    same("the loop", statistic(d.numpy(), labels), ours().statistic, 1e-10)
    compare(f"energy test, n={n}, {n_permutations} permutations", ours, {"loop over permutations": loop}, {})


WORKLOADS = {"spd": spd, "cka": cka, "shapes": shapes, "clusters": clusters, "energy": energy}


if __name__ == "__main__":
    timing.main(WORKLOADS, "Means, clusters and permutations beside peers.")
