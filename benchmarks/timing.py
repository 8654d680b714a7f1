"""
What the benchmarks share: one thread, candidates in turns, the fastest round, agreement, memory, records.

Import this first: libraries of linear algebra ask for their threads when they are loaded.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import contextlib
import ctypes
import dataclasses
import importlib
import importlib.util
import json
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

Candidates = dict[str, Callable[[], Any]]
Workload = Callable[[bool], None]

# Side of the matrices whose product says how fast the core is.
_GEMM_SIDE = 1024
# Seconds beyond which the noise of one round does not matter.
_LONG = 8.0
_PROC = Path("/proc/self")


def random(*size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Normal numbers, always the same."""
    return torch.randn(*size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------- agreement and peers


def same(name: str, got: Any, expected: Any, tol: float) -> None:
    """Stop if a candidate gives another answer."""
    got, expected = np.asarray(got), np.asarray(expected)
    error = float(np.abs(got - expected).max() / np.abs(expected).max())
    if not error <= tol:
        raise SystemExit(f"{name} gives another answer: relative difference {error:.2g}")


def installed(name: str) -> bool:
    """Whether a peer is there; says so if not."""
    found = importlib.util.find_spec(name) is not None
    if not found:
        print(f"  {name} is not installed: left out")
    return found


def geomstats(module: str) -> Any:
    """A module of geomstats; version 2.8 imports from numpy what numpy 2.4 calls otherwise."""
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid  # type: ignore  # noqa: NPY201
    return importlib.import_module(f"geomstats.{module}")


# ---------------------------------------------------------------------- time


class Timed(NamedTuple):
    """Seconds of the processor in the fastest round, and what came out in the last."""

    seconds: float
    result: Any


def interleaved(candidates: Candidates, rounds: int) -> dict[str, Timed]:
    """Run all candidates in turns, so that a busy moment hits all of them; very long ones once."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, call in candidates.items():
            if times[name] and times[name][0] > _LONG:
                continue
            start = time.process_time()
            results[name] = call()
            times[name].append(time.process_time() - start)
    return {name: Timed(min(taken), results[name]) for name, taken in times.items()}


def gemm(dtype: torch.dtype) -> Callable[[], Any]:
    """A product of two square matrices, of `gemm_flops` operations."""
    a, b = random(2, _GEMM_SIDE, _GEMM_SIDE, dtype=dtype)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def gemm_flops() -> float:
    """Floating-point operations of `gemm`."""
    return 2.0 * _GEMM_SIDE**3


# ---------------------------------------------------------------------- memory


def growth(call: Callable[[], Any]) -> float:
    """Bytes by which this process grows at most during a call; nan where the system does not tell."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # other C libraries than GNU's
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again, and not be seen
    try:
        (_PROC / "clear_refs").write_text("5")  # the peak starts again from here
        before = _peak()
    except OSError:
        return math.nan
    call()
    return _peak() - before


def _peak() -> float:
    line = next(s for s in (_PROC / "status").read_text().splitlines() if s.startswith("VmHWM"))
    return 1024.0 * int(line.split()[1])


def in_fresh_process(script: str, *arguments: str) -> list[float]:
    """Numbers that a script prints in its last line."""
    done = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


# ---------------------------------------------------------------------- records


@dataclass(frozen=True)
class Row:
    """
    One figure of a workload.

    Attributes
    ----------
    name : str
        The peer.
    value : float
        Its time over ours, or whatever `unit` says.
    reach : float, optional
        What the design asks for.
    at_most : bool
        Whether smaller values are better.
    unit : str
        After the value, such as "x" or "MB".
    """

    name: str
    value: float
    reach: float | None = None
    at_most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool | None:
        if self.reach is None:
            return None
        return self.value <= self.reach if self.at_most else self.value >= self.reach

    def goal(self) -> str:
        return "" if self.reach is None else f"{'at most' if self.at_most else 'at least'} {self.reach:g}"


@dataclass
class Record:
    """
    What a workload came to.

    Attributes
    ----------
    title : str
        With its sizes.
    threads, rounds : int
    rows : list of Row
    noise : float
        Time of the same call under another name, over that of the first.
    route : str
        Of `pairwise`.
    of_peak : float
        Operations of the plan per second, over those of a product of matrices in the same rounds.
    predicted : float
        Seconds that the plan predicts over those it took.
    """

    title: str
    threads: int = 0
    rounds: int = 0
    rows: list[Row] = field(default_factory=list)
    noise: float = math.nan
    route: str = ""
    of_peak: float = math.nan
    predicted: float = math.nan

    def __str__(self) -> str:
        lines = [f"{self.title}; {self.threads} thread, fastest of {self.rounds} rounds"]
        for row in self.rows:
            note = "" if row.reach is None else f"   (to reach: {row.goal()})"
            lines.append(f"  {row.name:44s} {row.value:8.3g}{row.unit}{note}")
        if not math.isnan(self.noise):
            lines.append(f"  {'noise':44s} {self.noise:8.3g}")
        if self.route:
            figures = [("of the rate of a matrix product", self.of_peak), ("predicted time", self.predicted)]
            shown = ", ".join(f"{name} {value:.2f}" for name, value in figures if not math.isnan(value))
            lines.append(f"  route {self.route}; {shown}")
        return "\n".join(lines) + "\n"


RECORDS: list[Record] = []


def keep(record: Record, shown: bool = True) -> Record:
    """Print a record, unless that was done, and write it at the end if that was asked for."""
    record.threads = record.threads or torch.get_num_threads()
    if shown:
        print(record, flush=True)
    RECORDS.append(record)
    return record


def compare(
    title: str,
    ours: Callable[[], Any],
    peers: Candidates,
    targets: dict[str, float],
    rounds: int = 5,
    *,
    tol: float | None = None,
    plan: Callable[[], Any] | None = None,
    dtype: torch.dtype = torch.float64,
    more: Iterable[Row] = (),
) -> Record:
    """
    How many times longer every peer takes.

    Parameters
    ----------
    title : str
    ours : callable
    peers : dict of str to callable
    targets : dict of str to float
        Ratios to reach.
    rounds : int
    tol : float, optional
        Relative difference that the answers of the peers may have from ours; the script stops at more.
    plan : callable, optional
        Gives the `Plan` of ours, with its prediction.
    dtype : torch.dtype
        Of the product of matrices that the plan is measured by.
    more : iterable of Row
        Other figures of the same workload.
    """
    product: Candidates = {} if plan is None else {"product": gemm(dtype)}
    ours()  # what is loaded or compiled once
    done = interleaved({"ours": ours, **peers, "again": ours, **product}, rounds)
    for name in peers if tol is not None else ():
        same(name, done[name].result, done["ours"].result, tol)
    base = done["ours"].seconds
    rows = [Row(name, done[name].seconds / base, targets.get(name)) for name in peers]
    record = Record(title, rounds=rounds, rows=[*rows, *more], noise=done["again"].seconds / base)
    if plan is not None:
        plans = [plan() for _ in range(3)]
        fastest = min(base, done["again"].seconds)
        record.route = plans[0].route.name
        record.of_peak = plans[0].route.flops / fastest / (gemm_flops() / done["product"].seconds)
        record.predicted = min(p.seconds for p in plans) / fastest
    return keep(record)


# ---------------------------------------------------------------------- the command


def main(workloads: dict[str, Workload], description: str, argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", default="", metavar="WORD", help="workloads whose name contains this")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there")
    chosen = parser.parse_args(argv)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DeprecationWarning)
    for name, workload in workloads.items():
        if chosen.only in name:
            workload(chosen.quick)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([dataclasses.asdict(r) for r in RECORDS], indent=1))


def read_records(file: Path) -> list[Record]:
    """Records that `main` wrote."""
    entries = json.loads(file.read_text())
    return [Record(**{**entry, "rows": [Row(**row) for row in entry["rows"]]}) for entry in entries]
