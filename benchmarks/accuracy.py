"""
Measured errors of every operation of every manifold, against sixty digits: the tables of docs/numerics.md.

    python benchmarks/accuracy.py                    print the tables (eight minutes)
    python benchmarks/accuracy.py --write            put them into the page
    python benchmarks/accuracy.py --only grassmann   manifolds whose name in tests/cases.py contains the word
    python benchmarks/accuracy.py --quick            two draws instead of twenty

The list of manifolds is that of the tests. What is measured, and relative to what, stands above the tables.
"""

from __future__ import annotations

import argparse
import itertools
import math
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import exact
import geoopt
import mpmath as mp
import numpy as np
import torch
from torch import Tensor

import repsim_geo as rg
from repsim_geo.numerics.norms import with_axes
from repsim_geo.verify.scenes import size_of, size_of_vector

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "numerics.md"
BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
DRAWS, SEED = 20, 0
# What the sixty digits leave of no error at all.
TINY = 1e-20
DTYPES = {"float64": torch.float64, "float32": torch.float32}
GROUPS = {"Orthogonal": "O(p)", "SpecialOrthogonal": "SO(p)", "Permutation": "permutations"}


def cases(word: str = "") -> list[Any]:
    """The manifolds of the tests whose names contain a word."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    from cases import MANIFOLDS  # pyright: ignore[reportMissingImports]  # found on the path just made

    return [case for case in MANIFOLDS if word in case.name]


# ---------------------------------------------------------------------- the exact counterpart of a manifold


def counterpart(manifold: Any, point: tuple[int, ...]) -> tuple[str, exact.Space | None]:
    """Name of the geometry, and the same in sixty digits; None if `exact` does not know it."""
    action, subspace = getattr(manifold, "action", None), type(getattr(manifold, "subspace", None)).__name__
    if action is not None:
        name, total = counterpart(manifold.total, point)
        group = type(action).__name__
        space = exact.Matchings(total) if action.finite else exact.Shapes(total, action.special)
        return f"{name} / {GROUPS[group]}", space
    makers: dict[type, Callable[[], exact.Space]] = {
        rg.Flat: lambda: exact.FlatSpace(subspace, point, _weight(manifold, point)),
        rg.UnitSphere: lambda: exact.Sphere(subspace, point),
        rg.AffineInvariantSPD: exact.AffineInvariant,
        rg.LogEuclideanSPD: exact.LogEuclidean,
        rg.BuresWassersteinSPD: lambda: exact.Bures(point),
        rg.Grassmannian: lambda: exact.Subspaces(subspace, point),
    }
    for kind, make in makers.items():
        if isinstance(manifold, kind):
            return kind.__name__, make()
    return type(manifold).__name__, None


def _weight(manifold: Any, point: tuple[int, ...]) -> Any:
    return manifold.weight(*point) if callable(manifold.weight) else manifold.weight


# ---------------------------------------------------------------------- scenes


@dataclass(frozen=True)
class Scene:
    """
    Where two points are, relative to each other.

    Attributes
    ----------
    name : str
        Heading of a column.
    build : callable
        ``build(manifold, x, u, z)``: velocities from x in the direction of u, nan where there is no such
        point; or None for the point z itself.
    amplification : float
        Factor by which the rounding of the points alone changes what is between them.
    """

    name: str
    build: Callable[[Any, Tensor, Tensor, Tensor], Tensor | None]
    amplification: float


def _apart(share: float) -> Callable:
    def velocity(manifold: Any, x: Tensor, u: Tensor, z: Tensor) -> Tensor:
        return u * with_axes(share * size_of(manifold, x) / size_of_vector(manifold, x, u), manifold.ndim)

    return velocity


def _to_cut_locus(share: float) -> Callable:
    def velocity(manifold: Any, x: Tensor, u: Tensor, z: Tensor) -> Tensor:
        time = share * manifold.cut_time(x, u)
        return u * with_axes(torch.where(time.isfinite(), time, math.nan), manifold.ndim)

    return velocity


ORDINARY = "ordinary"
SCENES = (
    Scene("1e-8 apart", _apart(1e-8), 1e8),
    Scene("1e-5 apart", _apart(1e-5), 1e5),
    Scene("1e-2 apart", _apart(1e-2), 1e2),
    Scene(ORDINARY, lambda manifold, x, u, z: None, 1.0),
    Scene("99 % of the way", _to_cut_locus(0.99), 1e2),
    Scene("99.99 % of the way", _to_cut_locus(0.9999), 1e4),
)


def _resolved(scene: Scene, dtype: torch.dtype) -> bool:
    return torch.finfo(dtype).eps * scene.amplification <= 1


@dataclass(frozen=True)
class Draws:
    """Two points, velocities and vectors at the first, and an ambient tensor; shape (draws, *point)."""

    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    w: Tensor
    noise: Tensor


def draw(manifold: Any, point: tuple[int, ...], scene: Scene, dtype: torch.dtype, n: int) -> Draws | None:
    """Points in a scene; None if the manifold has no such points, or the dtype does not resolve them."""
    if not _resolved(scene, dtype):
        return None
    generator = torch.Generator().manual_seed(SEED)
    x, z = (manifold.random(n, *point, dtype=torch.float64, generator=generator) for _ in range(2))
    ambient = torch.randn(4, n, *point, dtype=torch.float64, generator=generator)
    x = torch.as_tensor(x).to(dtype).double()
    # Twice: what is left of a vector that was nearly normal is normal in part.
    u, v, w = manifold.proju(x, manifold.proju(x, ambient[:3]))
    velocity = scene.build(manifold, x, u, torch.as_tensor(z))
    if velocity is None:
        y = torch.as_tensor(z)
        velocity = _to_cut_locus(0.3)(manifold, x, u, y)
        velocity = torch.where(velocity.isfinite(), velocity, _apart(0.3)(manifold, x, u, y))
        velocity = manifold.proju(x, velocity)
    else:
        velocity = manifold.proju(x, velocity)
        y = manifold.expmap(x, velocity)
    exists = y.flatten(1).isfinite().all(1)
    if manifold.sensitive:  # a matrix that is positive definite by its rounding only is no point
        values = torch.linalg.eigvalsh(y.nan_to_num().to(dtype).double())
        exists &= values[:, 0] > values.shape[-1] * torch.finfo(dtype).eps * values[:, -1]
    if not bool(exists.any()):
        return None
    return Draws(*(a.detach()[exists].to(dtype) for a in (x, y, velocity, v, w, ambient[3])))


# ---------------------------------------------------------------------- operations


class Exactly:
    """One draw in sixty digits: the nearest points and vectors of the space, and what is between them."""

    def __init__(self, space: exact.Space, d: Draws, k: int):
        x, y, u, v, w, self.noise = (exact.exact(a[k].numpy()) for a in (d.x, d.y, d.u, d.v, d.w, d.noise))
        self.space, self.x, self.y = space, space.point(x), space.point(y)
        self.off = exact.exact((d.x + d.noise)[k].numpy())
        self.u, self.v, self.w = (space.vector(self.x, a) for a in (u, v, w))

    @cached_property
    def log(self) -> Any:
        return self.space.log(self.x, self.y)

    @cached_property
    def dist(self) -> Any:
        return self.length(self.log)

    def length(self, u: Any) -> Any:
        return mp.sqrt(self.space.inner(self.x, u, u))


@dataclass(frozen=True)
class Operation:
    """
    Something a manifold computes, here and in sixty digits.

    Attributes
    ----------
    ours : callable
        ``ours(manifold, draws)``.
    truth : callable
        ``truth(exactly)``.
    size : callable, optional
        What errors are relative to; the truth itself if not given.
    """

    ours: Callable[[Any, Draws], Tensor]
    truth: Callable[[Exactly], Any]
    size: Callable[[Exactly], Any] | None = None


def _gradient(manifold: Any, d: Draws) -> Tensor:
    x = d.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(manifold.dist(x, d.y).sum(), x)
    return manifold.egrad2rgrad(d.x, slope)


BETWEEN = {
    "dist": Operation(lambda m, d: m.dist(d.x, d.y), lambda e: e.dist),
    "dist2": Operation(lambda m, d: m.dist2(d.x, d.y), lambda e: e.dist**2),
    "grad dist": Operation(_gradient, lambda e: -e.log / e.dist),
    "logmap": Operation(lambda m, d: m.logmap(d.x, d.y), lambda e: e.log),
    "expmap": Operation(lambda m, d: m.expmap(d.x, d.u), lambda e: e.space.exp(e.x, e.u)),
    "geodesic": Operation(lambda m, d: m.geodesic(0.5, d.x, d.y), lambda e: e.space.exp(e.x, e.log / 2)),
    "transp": Operation(lambda m, d: m.transp(d.x, d.y, d.v), lambda e: e.space.transport(e.x, e.y, e.v)),
}
AT_A_POINT = {
    "inner": Operation(
        lambda m, d: m.inner(d.x, d.v, d.w),
        lambda e: e.space.inner(e.x, e.v, e.w),
        lambda e: e.length(e.v) * e.length(e.w),
    ),
    "curvature": Operation(
        lambda m, d: m.sectional_curvature(d.x, d.v, d.w), lambda e: e.space.curvature(e.x, e.v, e.w)
    ),
    "proju": Operation(
        lambda m, d: m.proju(d.x, d.noise),
        lambda e: e.space.vector(e.x, e.noise),
        lambda e: exact.norm(e.noise),
    ),
    "projx": Operation(
        lambda m, d: m.projx(d.x + d.noise),
        lambda e: e.space.projected(e.off),
        lambda e: exact.norm(e.space.projected(e.off)),
    ),
}
OPERATIONS = BETWEEN | AT_A_POINT


def errors(manifold: Any, space: exact.Space, d: Draws, names: Iterable[str]) -> dict[str, list[float]]:
    """Relative errors of operations, one a draw."""
    names = [name for name in names if name != "curvature" or manifold.dim(*d.x.shape[1:]) > 1]
    ours = {name: OPERATIONS[name].ours(manifold, d).detach() for name in names}
    exactly = [Exactly(space, d, k) for k in range(len(d.x))]
    return {
        name: [_error(OPERATIONS[name], ours[name][k], e) for k, e in enumerate(exactly)] for name in names
    }


def _error(operation: Operation, value: Tensor, e: Exactly) -> float:
    """Distance from the truth, as a share of its size; vectors and points by their Euclidean norm."""
    result, truth = exact.exact(value.numpy()), operation.truth(e)
    if result.ndim:
        off, size = exact.norm(e.space.linear(result) - truth), exact.norm(truth)
    else:
        off, size = abs(result[()] - truth), abs(truth)
    size = size if operation.size is None else operation.size(e)
    return float(off / size) if size else float(off)


Errors = dict[tuple[str, str, str, str], list[float]]  # by geometry, operation, scene, dtype


def measure(case: Any, n: int) -> Errors:
    """All errors of one manifold."""
    manifold = case.make()
    family, space = counterpart(manifold, case.point)
    found: Errors = {}
    for scene, (name, dtype) in itertools.product(SCENES, DTYPES.items()):
        d = None if space is None else draw(manifold, case.point, scene, dtype, n)
        if d is not None:
            names = OPERATIONS if scene.name == ORDINARY else BETWEEN
            for operation, values in errors(manifold, space, d, names).items():
                found[family, operation, scene.name, name] = values
    return found


# ---------------------------------------------------------------------- what the obvious formula would give


def _arc_cosine(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1).clamp(-1, 1).acos()


def _nuclear(x: Tensor, y: Tensor) -> Tensor:
    overlap = torch.linalg.svdvals(y.mT @ x).sum(-1)
    return (x.square().sum((-2, -1)) + y.square().sum((-2, -1)) - 2 * overlap).clamp_min(0).sqrt()


def _traces(x: Tensor, y: Tensor) -> Tensor:
    values, basis = torch.linalg.eigh(x)
    root = (basis * values.clamp_min(0).sqrt()[..., None, :]) @ basis.mT
    overlap = torch.linalg.eigvalsh(root @ y @ root).clamp_min(0).sqrt().sum(-1)
    trace = (x + y).diagonal(dim1=-2, dim2=-1).sum(-1)
    return (trace - 2 * overlap).clamp_min(0).sqrt()


def _whitened(x: Tensor, y: Tensor) -> Tensor:
    factor = torch.linalg.cholesky(x)
    half = torch.linalg.solve_triangular(factor, y, upper=False)
    middle = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    return torch.linalg.eigvalsh((middle + middle.mT) / 2).log().square().sum(-1).sqrt()


def _generalized(x: Tensor, y: Tensor) -> Tensor:
    from scipy.linalg import eigh

    pairs = zip(y.double().numpy(), x.double().numpy(), strict=True)
    values = [eigh(b, a, eigvals_only=True) for b, a in pairs]
    return torch.tensor(np.array(values)).log().square().sum(-1).sqrt()


CONDITIONS = (1e2, 1e4, 1e6, 1e8, 1e10, 1e12)
OURS = "**repsim_geo**"
NAIVE = {
    "the angle of two unit vectors": (
        rg.UnitSphere(1),
        (50,),
        {
            "arc cosine of the clamped inner product": _arc_cosine,
            "`geoopt.Sphere().dist`": geoopt.Sphere().dist,
        },
    ),
    "size-and-shape distance": (
        rg.Quotient(rg.Flat(2), rg.Orthogonal()),
        (10, 3),
        {"square root of ‖x‖² + ‖y‖² − 2 ‖yᵀx‖₊": _nuclear},
    ),
    "Bures-Wasserstein distance": (
        rg.BuresWassersteinSPD(),
        (4, 4),
        {"square root of tr x + tr y − 2 tr (x½ y x½)½": _traces},
    ),
}
ILL_CONDITIONED = {
    "eigenvalues of l⁻¹ y l⁻ᵀ": _whitened,
    "`scipy.linalg.eigh(y, x)`": _generalized,
    "`geoopt.SymmetricPositiveDefinite().dist`": geoopt.SymmetricPositiveDefinite().dist,
    OURS: rg.AffineInvariantSPD().dist,
}


def naive_table(n: int) -> list[str]:
    """Distances by obvious formulas, beside ours; worst draws."""
    columns = [(scene, name) for name in DTYPES for scene in SCENES if _resolved(scene, DTYPES[name])]
    columns = [(scene, name) for scene, name in columns if not scene.name.startswith("99 %")]
    heads = [f"{name}, {scene.name}" for scene, name in columns]
    rows: list[list[str]] = []
    for title, (manifold, point, formulas) in NAIVE.items():
        _, space = counterpart(manifold, point)
        rows.append([f"*{title}*"])
        for label, formula in {**formulas, OURS: manifold.dist}.items():
            cells = []
            for scene, name in columns:
                d = draw(manifold, point, scene, DTYPES[name], n)
                cells.append("" if d is None else _number(_worst(_distance_errors(space, d.x, d.y, formula))))
            rows.append([label, *cells])
    return _markdown(["distance", *heads], rows)


def ill_conditioned_table(n: int) -> list[str]:
    """Affine-invariant distances of matrices of large condition, float64; worst draws."""
    rng = np.random.default_rng(SEED)
    rows = {label: [] for label in ILL_CONDITIONED}
    for condition in CONDITIONS:
        x, y = (torch.tensor(np.stack([_of_condition(rng, condition) for _ in range(n)])) for _ in range(2))
        for label, formula in ILL_CONDITIONED.items():
            rows[label].append(_number(_worst(_distance_errors(exact.AffineInvariant(), x, y, formula))))
    heads = ["affine-invariant distance", *(f"condition {_number(c)}" for c in CONDITIONS)]
    return _markdown(heads, [[label, *cells] for label, cells in rows.items()])


def _of_condition(rng: np.random.Generator, condition: float) -> np.ndarray:
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    a = (basis * np.geomspace(1, 1 / condition, 4)) @ basis.T
    return (a + a.T) / 2


def _distance_errors(space: exact.Space, x: Tensor, y: Tensor, formula: Callable) -> list[float]:
    found = formula(x, y)
    truths = [
        space.dist(*(space.point(exact.exact(a.numpy())) for a in pair)) for pair in zip(x, y, strict=True)
    ]
    return [float(abs(mp.mpf(float(a)) - b) / b) for a, b in zip(found, truths, strict=True)]


# ---------------------------------------------------------------------- tables


def _number(a: float) -> str:
    """One digit."""
    if math.isnan(a):
        return "nan"
    if a < TINY:
        return "0"
    mantissa, exponent = f"{a:.0e}".split("e")
    return mantissa if int(exponent) == 0 else f"{mantissa}e{int(exponent)}"


def _worst(values: list[float]) -> float:
    return math.nan if any(math.isnan(a) for a in values) else max(values)


def _cell(values: list[float]) -> str:
    """Median and worst."""
    if not values:
        return ""
    shown = _number(statistics.median(values)), _number(_worst(values))
    return shown[1] if shown[0] == shown[1] or shown[1] == "nan" else " · ".join(shown)


def _markdown(heads: list[str], rows: list[list[str]]) -> list[str]:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    lines += [row + [""] * (len(heads) - len(row)) for row in rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _merged(found: list[Errors]) -> Errors:
    merged: Errors = {}
    for part in found:
        for key, values in part.items():
            merged.setdefault(key, []).extend(values)
    return merged


def _digits(values: list[float]) -> str:
    if not values:
        return ""
    worst = _worst(values)
    return "none" if not worst < 1 else "all" if worst < TINY else str(math.floor(-math.log10(worst)))


def glance_table(found: Errors, families: list[str]) -> list[str]:
    """Correct digits of the worst draw at ordinary points."""
    rows = [
        [
            family,
            *(
                " · ".join(_digits(found.get((family, name, ORDINARY, dtype), [])) for dtype in DTYPES).strip(
                    " ·"
                )
                for name in OPERATIONS
            ),
        ]
        for family in families
    ]
    return _markdown(["", *OPERATIONS], rows)


def detail_table(found: Errors, families: list[str], dtype: str) -> list[str]:
    """Median and worst error of what is between two points."""
    scenes = [scene for scene in SCENES if _resolved(scene, DTYPES[dtype])]
    eps = torch.finfo(DTYPES[dtype]).eps
    rows = [["*rounding of the points*", *(f"*{_number(eps * scene.amplification)}*" for scene in scenes)]]
    for family in families:
        rows.append([f"**{family}**"])
        for name in BETWEEN:
            cells = [_cell(found.get((family, name, scene.name, dtype), [])) for scene in scenes]
            rows.append([name, *cells])
    return _markdown([dtype, *(scene.name for scene in scenes)], rows)


def point_table(found: Errors, families: list[str]) -> list[str]:
    """Median and worst error of what happens at one point."""
    columns = [(name, dtype) for name in AT_A_POINT for dtype in DTYPES]
    rows = [
        [family, *(_cell(found.get((family, name, ORDINARY, dtype), [])) for name, dtype in columns)]
        for family in families
    ]
    return _markdown(["", *(f"{name}, {dtype}" for name, dtype in columns)], rows)


def report(selected: list[Any], n: int, *, naive: bool = True) -> str:
    """All tables, as Markdown."""
    members: dict[str, list[str]] = {}
    unknown, parts = [], []
    for case in selected:
        family, space = counterpart(case.make(), case.point)
        if space is None:
            unknown.append(case.name)
            continue
        members.setdefault(family, []).append(case.name)
        parts.append(measure(case, n))
        print(f"measured {case.name}", file=sys.stderr)
    found, families = _merged(parts), list(members)
    lines = [
        f"torch {torch.__version__}, numpy {np.__version__}, geoopt {geoopt.__version__}, mpmath "
        f"{mp.__version__} with {exact.DIGITS} digits, {platform.machine()}, threads: "
        f"{torch.get_num_threads()}; seed {SEED}, {n} draws for each manifold:",
        "",
        *(f"* {family}: {', '.join(names)}" for family, names in members.items()),
        "",
        "### At a glance",
        "",
        "Correct decimal digits of the worst draw at ordinary points, float64 · float32. Rounding the result "
        "alone leaves 15 to 16, and 6 to 7.",
        "",
        *glance_table(found, families),
        "### Between two points",
        "",
        *detail_table(found, families, "float64"),
        *detail_table(found, families, "float32"),
        "### At one point",
        "",
        *point_table(found, families),
    ]
    if unknown:
        lines += [f"Without a reference in sixty digits: {', '.join(unknown)}.", ""]
    if naive:
        lines += [
            "### What the obvious formulas would give",
            "",
            "Worst relative error of distances.",
            "",
            *naive_table(n),
            *ill_conditioned_table(n),
        ]
    return "\n".join(lines).strip() + "\n"


def main(arguments: list[str] | None = None) -> str:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description="errors of every operation of every manifold")
    parser.add_argument("--only", default="", help="manifolds whose names contain this")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--quick", action="store_true", help="two draws, and no other formulas")
    parser.add_argument("--write", action="store_true", help="update docs/numerics.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with mp.workdps(exact.DIGITS):
        tables = report(cases(options.only), 2 if options.quick else options.draws, naive=not options.quick)
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{tables}{END}{after}", encoding="utf-8")
    else:
        print(tables)
    return tables


if __name__ == "__main__":
    main()
