"""
How time and memory of all pairs grow with the number of networks, of inputs, and of units.

    python benchmarks/scaling.py                  draws docs/images/scaling_{n,m,p}.png; some minutes
    python benchmarks/scaling.py --only m         one of the three
    python benchmarks/scaling.py --folder here    pictures elsewhere

Processor time on one thread, fastest of a few runs. Memory is what a fresh process grows by at its peak,
beyond the activations; lines without markers are what `plan_pairwise` says before. Exponents are slopes of
straight lines through the upper half of the points, both axes logarithmic; "counted" is the slope of the
operations of the plan over the same points.
"""

from __future__ import annotations

import timing

# isort: split

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

import repsim_geo as rg
from repsim_geo.viz.looks import INK, MUTED, PALETTE, style, tidy

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
BASE = {"n": 16, "m": 512, "p": 64}
NAMES = {"n": "networks N", "m": "inputs m", "p": "units p"}


@dataclass(frozen=True)
class Subject:
    """
    A metric and a route.

    Attributes
    ----------
    name : str
    metric : callable
    route : str, optional
    most : dict of str to int
        Where its curve ends.
    theory : dict of str to float
        Exponents of the largest term of its cost.
    """

    name: str
    metric: Callable[[], Any]
    route: str | None
    most: dict[str, int]
    theory: dict[str, float]


def rbf() -> rg.AngularCKA:
    return rg.AngularCKA(rg.RBF())


def covariances() -> rg.AffineInvariant:
    return rg.AffineInvariant("cov")


def most(n: int, m: int, p: int) -> dict[str, int]:
    return {"n": n, "m": m, "p": p}


def theory(n: float, m: float, p: float) -> dict[str, float]:
    return {"n": n, "m": m, "p": p}


SUBJECTS = (
    Subject("AngularCKA, tiles", rg.AngularCKA, "tiles", most(128, 4096, 512), theory(2, 2, 1)),
    Subject("AngularCKA, features", rg.AngularCKA, "features", most(128, 8192, 512), theory(2, 1, 2)),
    Subject("AngularCKA(RBF)", rbf, None, most(64, 2048, 512), theory(2, 2, 1)),
    Subject("AngularShape", rg.AngularShape, None, most(128, 8192, 256), theory(2, 1, 3)),
    Subject("AffineInvariant(cov)", covariances, None, most(64, 8192, 256), theory(2, 1, 3)),
)
RANGES = {
    "n": [4, 8, 16, 32, 64, 128],
    "m": [128, 256, 512, 1024, 2048, 4096, 8192],
    "p": [8, 16, 32, 64, 128, 256, 512],
}


@dataclass
class Curve:
    """What was measured of a subject along one axis."""

    subject: Subject
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    planned: list[float] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)

    def slope(self, values: list[float]) -> float:
        """Exponent over the upper half of the sizes."""
        half = len(self.sizes) // 2
        return float(np.polyfit(np.log(self.sizes[half:]), np.log(values[half:]), 1)[0])


# ---------------------------------------------------------------------- measuring


def point(subject: Subject, n: int, m: int, p: int) -> tuple[float, float, float, float]:
    """Seconds, bytes at the peak, bytes and operations of the plan; in a process of its own."""
    torch.set_num_threads(1)
    common = timing.random(m, p)
    reps = [common + timing.random(m, p, seed=i + 1) for i in range(n)]
    metric = subject.metric()

    def call() -> Any:
        return rg.pairwise(reps, metric, route=subject.route)

    warm_up(subject)  # pages of libraries are no memory of the work
    memory, seconds = timing.growth(call), []
    began = time.process_time()
    while len(seconds) < 7 and (not seconds or time.process_time() - began < 0.7):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    route = rg.plan_pairwise(reps, metric, route=subject.route).route
    return min(seconds), memory, route.memory, route.flops


def warm_up(subject: Subject) -> None:
    few = [timing.random(40, 8, seed=i) for i in range(3)]
    rg.pairwise(few, subject.metric(), route=subject.route)
    rg.plan_pairwise(few, subject.metric(), route=subject.route)


def _answer(pipe: Any, *arguments: Any) -> None:
    pipe.send(point(*arguments))


def measured(subject: Subject, **sizes: int) -> tuple[float, float, float, float]:
    """Run `point` in a copy of this process, which has loaded everything and used little memory."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    child = fork.Process(target=_answer, args=(there, subject, *(sizes[k] for k in "nmp")))
    child.start()
    there.close()
    try:
        return here.recv()
    finally:
        child.join()


def curves(axis: str) -> list[Curve]:
    found = []
    for subject in SUBJECTS:
        curve = Curve(subject)
        for size in RANGES[axis]:
            if size > subject.most[axis]:
                continue
            values = measured(subject, **{**BASE, axis: size})
            curve.sizes.append(size)
            for part, value in zip(
                (curve.seconds, curve.memory, curve.planned, curve.flops), values, strict=True
            ):
                part.append(value)
        found.append(curve)
    return found


def print_table(axis: str, found: list[Curve]) -> None:
    fixed = " ".join(f"{k}={v}" for k, v in BASE.items() if k != axis)
    print(f"exponents in {axis}, at {fixed}; upper half of the range")
    heads = ("range", "time", "counted", "theory", "memory", "planned")
    print("  {:24s} {:>12s} {:>6s} {:>8s} {:>7s} {:>7s} {:>8s}".format("", *heads))
    for c in found:
        half = c.sizes[len(c.sizes) // 2 :]
        numbers = [
            c.slope(c.seconds),
            c.slope(c.flops),
            c.subject.theory[axis],
            c.slope(c.memory),
            c.slope(c.planned),
        ]
        shown = "{:6.2f} {:8.2f} {:7g} {:7.2f} {:8.2f}".format(*numbers)
        print(f"  {c.subject.name:24s} {f'{half[0]}..{half[-1]}':>12s} {shown}")
    print(flush=True)


# ---------------------------------------------------------------------- drawing


TITLES = {
    "n": "All pairs of networks with {m} inputs and {p} units",
    "m": "All pairs of {n} networks with {p} units",
    "p": "All pairs of {n} networks with {m} inputs",
}
COLORS = (PALETTE[5], PALETTE[4], PALETTE[1], PALETTE[6], PALETTE[2])
MARKS = ("s", "D", "o", "^", "v")


def draw(axis: str, found: list[Curve], folder: Path) -> Path:
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 5.2), layout="constrained")
        left.set(title="Time", ylabel="processor time (ms)")
        right.set(title="Memory beyond the activations", ylabel="peak (MB)")
        for ax in (left, right):
            ax.set(xscale="log", yscale="log", xlabel=NAMES[axis])
            ax.set_xticks(RANGES[axis], [str(k) for k in RANGES[axis]])
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.minorticks_off()
            ax.grid(axis="y", color="#e6e8ec", linewidth=0.8)
            tidy(ax)
        handles = []
        for c, color, marker in zip(found, COLORS, MARKS, strict=True):
            look = {"color": color, "marker": marker, "markersize": 6, "markeredgecolor": "white"}
            (line,) = left.plot(c.sizes, [1e3 * t for t in c.seconds], linewidth=1.8, **look)
            right.plot(c.sizes, [b / 1e6 for b in c.memory], linewidth=1.8, **look)
            right.plot(c.sizes, [b / 1e6 for b in c.planned], color=color, linewidth=1.0, dashes=(4, 2))
            letter = "N" if axis == "n" else axis
            power = c.subject.theory[axis]
            expected = f"${letter}$" if power == 1 else f"${letter}^{{{power:g}}}$"
            line.set_label(f"{c.subject.name}\n${letter}^{{{c.slope(c.seconds):.1f}}}$, in theory {expected}")
            handles.append(line)
        kinds = [
            Line2D([], [], color=MUTED, linewidth=1.8, label="measured"),
            Line2D([], [], color=MUTED, linewidth=1.0, dashes=(4, 2), label="planned"),
        ]
        right.legend(handles=kinds, loc="upper left", ncols=2)
        low, high = right.get_ylim()
        right.set_ylim(low, high * (high / low) ** 0.1)  # room for what says which line is which
        figure.legend(handles=handles, loc="outside lower center", ncols=len(found), columnspacing=1.6)
        figure.suptitle(TITLES[axis].format(**BASE), x=0.008, ha="left", color=INK, fontsize=12)
        file = folder / f"scaling_{axis}.png"
        figure.savefig(file)
        plt.close(figure)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description="Growth of time and memory of all pairs.")
    parser.add_argument("--only", default="", choices=("", "n", "m", "p"), help="one axis")
    parser.add_argument("--folder", type=Path, default=IMAGES, help="for the pictures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for subject in SUBJECTS:
        warm_up(subject)
    for axis in (chosen.only,) if chosen.only else NAMES:
        found = curves(axis)
        print_table(axis, found)
        print(f"  drawn: {draw(axis, found, chosen.folder).name}\n", flush=True)


if __name__ == "__main__":
    main()
