"""
What a minimum on a manifold costs, beside geoopt's optimizers on geoopt's own manifolds.

    python benchmarks/optimization.py                     everything (a minute)
    python benchmarks/optimization.py --only sphere       problems whose name contains the word

Every candidate runs until its gradient norm is 4e-10, or 600 evaluations are spent, or it gives up.
Evaluations are values with gradients; the gradient norm reached is the least that it saw; the ratio is
processor time over that of "lbfgs", on one thread, candidates interleaved, fastest round. "again" is the
first candidate once more: the noise. Wolfe line searches of geoopt 0.5.1 raise with numpy 2; the conversion
at fault is repaired here.
"""

from __future__ import annotations

import timing

# isort: split

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import geoopt
import torch
from timing import Candidates, Record, Row, interleaved, keep, random

import repsim_geo as rg
from repsim_geo.manifolds.lengths import length
from repsim_geo.optim import minimize
from repsim_geo.optim.parallel_adam import ParallelAdam

GOAL, MOST = 4e-10, 600

Function = Callable[[torch.Tensor], torch.Tensor]


class Run(NamedTuple):
    evaluations: int
    gradient_norm: float
    value: float


def ours(manifold: Any, fun: Function, start: torch.Tensor, method: str) -> Run:
    found = minimize(manifold, fun, start, method, tol=GOAL, max_iter=MOST)
    return Run(int(found.n_evaluations), float(found.gradient_norm), float(found.value))


def theirs(manifold: Any, fun: Function, start: torch.Tensor, make: Callable[..., Any]) -> Run:
    x = geoopt.ManifoldParameter(start.clone(), manifold=manifold)
    optimizer = make([x])
    norms, values = [], []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = fun(x)
        loss.backward()
        with torch.no_grad():
            norms.append(float(length(manifold, x.detach(), manifold.egrad2rgrad(x.detach(), x.grad))))
            values.append(float(loss))
        return loss

    while len(norms) < MOST and min(norms, default=1.0) > GOAL:
        before = len(norms)
        try:
            optimizer.step(closure)
        except (ZeroDivisionError, RuntimeError):
            break
        if len(norms) == before:
            break
    return Run(len(norms), min(norms), min(values))


def line_search(method: str, cg: str) -> Callable[..., Any]:
    return lambda p: geoopt.optim.RiemannianLineSearch(p, line_search_method=method, cg_method=cg)


GEOOPT = {
    "Wolfe, Fletcher-Reeves": line_search("wolfe", "fr"),
    "Wolfe, Polak-Ribiere": line_search("wolfe", "pr"),
    "Armijo, steepest descent": line_search("armijo", "steepest"),
    "RiemannianAdam, lr 0.03": lambda p: geoopt.optim.RiemannianAdam(p, lr=0.03, amsgrad=True),
}


def compare(
    title: str,
    manifold: Any,
    own: Any,
    fun: Function,
    own_fun: Function,
    start: torch.Tensor,
    rounds: int = 3,
) -> None:
    """Run all; `own` and `own_fun` are geoopt's manifold and the function in its terms."""
    methods = ["lbfgs", "steepest_descent"]
    if importlib.util.find_spec("pymanopt") is not None:
        methods += ["conjugate_gradient", "trust_region"]
    candidates: Candidates = {m: lambda m=m: ours(manifold, fun, start, m) for m in methods}
    candidates["lbfgs on geoopt's manifold"] = lambda: ours(own, own_fun, start, "lbfgs")
    for name, make in GEOOPT.items():
        candidates[f"geoopt: {name}"] = lambda make=make: theirs(own, own_fun, start, make)
    candidates["again"] = candidates["lbfgs"]
    candidates["lbfgs"]()  # what is loaded or compiled once
    done = interleaved(candidates, rounds)
    base, best = done["lbfgs"].seconds, done["lbfgs"].result.value
    print(f"{title}; {torch.get_num_threads()} thread, fastest of {rounds} rounds, lbfgs {1e3 * base:.0f} ms")
    print(f"  {'':36s} evaluations  gradient norm  value above lbfgs   time ratio")
    for name, (seconds, run) in done.items():
        print(
            f"  {name:36s} {run.evaluations:11d}  {run.gradient_norm:13.1e}  {run.value - best:16.1e}"
            f"  {seconds / base:11.2f}"
        )
    print(flush=True)
    rows = [
        Row(
            f"{name}, {'to' if run.gradient_norm <= GOAL else 'stopped at'} {run.gradient_norm:.0e}",
            seconds / base,
        )
        for name, (seconds, run) in done.items()
        if name not in ("lbfgs", "again")
    ]
    noise = done["again"].seconds / base
    keep(Record(f"minimum: {title}, gradient norm", rounds=rounds, rows=rows, noise=noise), shown=False)


def spd(quick: bool, p: int = 8, n: int = 10) -> None:
    ours_, own = rg.AffineInvariantSPD(), geoopt.SymmetricPositiveDefinite()
    for spread in (1.0,) if quick else (1.0, 3.0):
        a = random(n, p, p)
        points = torch.linalg.matrix_exp((a + a.mT) / 2 / p**0.5 * spread)
        start = points.mean(0)

        def fun(x: torch.Tensor, points: torch.Tensor = points) -> torch.Tensor:
            d2 = ours_.dist2(x[..., None, :, :], points)
            return (1 + d2).sqrt().sum(-1) + 0.1 * torch.logdet(x)

        def own_fun(x: torch.Tensor, points: torch.Tensor = points) -> torch.Tensor:
            d2 = own.dist(x[..., None, :, :], points).square()
            return (1 + d2).sqrt().sum(-1) + 0.1 * torch.logdet(x)

        title = f"robust SPD mean with logdet, p={p} n={n} spread {spread}"
        compare(title, ours_, own, fun, own_fun, start, rounds=1 if quick else 3)


def sphere(quick: bool, m: int = 50) -> None:
    ours_, own = rg.UnitSphere(1), geoopt.Sphere()
    start = ours_.projx(random(m))
    for condition in (1,) if quick else (1, 2):
        d = torch.logspace(0, condition, m, dtype=torch.float64)

        def fun(x: torch.Tensor, d: torch.Tensor = d) -> torch.Tensor:
            return (d * x * x).sum(-1)

        compare(f"least eigenvector, m={m}, condition 1e{condition}", ours_, own, fun, fun, start)


def gram(quick: bool, m: int = 12) -> None:
    """A Gram matrix near a target, entries of very different weight."""
    ours_ = rg.UnitSphere(1)
    x, y = random(m, m), random(m, m, seed=5)
    start, target = (ours_.projx((a @ a.T).flatten()) for a in (x, y))
    weight = torch.logspace(0, 3, m * m, dtype=torch.float64)

    def fun(x: torch.Tensor) -> torch.Tensor:
        return ((x - target).square() * weight).sum(-1)

    compare(
        f"weighted Gram matrix, m={m}, condition 1e3",
        ours_,
        geoopt.Sphere(),
        fun,
        fun,
        start,
        rounds=1 if quick else 2,
    )


def batch(quick: bool, k: int = 20) -> None:
    """Many starts together and one after the other."""
    manifold = rg.AffineInvariantSPD()
    a = random(10, 8, 8)
    points = torch.linalg.matrix_exp((a + a.mT) / 2 / 8**0.5)
    starts = torch.linalg.matrix_exp(0.3 * (random(k, 8, 8, seed=1) + random(k, 8, 8, seed=1).mT))

    def fun(x: torch.Tensor) -> torch.Tensor:
        return (1 + manifold.dist2(x[..., None, :, :], points)).sqrt().sum(-1)

    timing.compare(
        f"{k} starts of lbfgs together, SPD p=8",
        lambda: minimize(manifold, fun, starts, pointwise=True),
        {"one by one": lambda: [minimize(manifold, fun, x) for x in starts]},
        {},
        rounds=1 if quick else 3,
    )


def adam(quick: bool, count: int = 500, p: int = 16, steps: int = 20) -> None:
    """Steps with given Euclidean gradients: what is left is the optimizer's own work."""
    a, g = random(count, p, p), random(count, p, p, seed=1)
    start = torch.linalg.matrix_exp((a + a.mT) / (2 * p) ** 0.5 / 2)
    gradient = (g + g.mT) / 2 / p

    def run(manifold: Any, optimizer: Callable[..., Any]) -> torch.Tensor:
        x = geoopt.ManifoldParameter(start.clone(), manifold=manifold)
        x.grad = gradient.clone()
        stepper = optimizer([x], lr=0.01)
        for _ in range(steps):
            stepper.step()
        return x.detach()

    own = geoopt.SymmetricPositiveDefinite()
    timing.compare(
        f"{steps} steps of Adam, SPD p={p} B={count}",
        lambda: run(rg.AffineInvariantSPD(), ParallelAdam),
        {"geoopt's, on its manifold": lambda: run(own, geoopt.optim.RiemannianAdam)},
        {"geoopt's, on its manifold": 3},
        rounds=3 if quick else 7,
        tol=1e-5,
    )


PROBLEMS = {"spd": spd, "sphere": sphere, "gram": gram, "batch": batch, "adam": adam}


def main() -> None:
    warnings.simplefilter("ignore")
    # A tensor that requires grad reaches scipy in geoopt 0.5.1.
    torch.Tensor.__array__ = lambda self, dtype=None: self.detach().numpy()
    timing.main(PROBLEMS, "Minima on manifolds, beside geoopt's optimizers.")


if __name__ == "__main__":
    main()
