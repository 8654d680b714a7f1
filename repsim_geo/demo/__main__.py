"""Run the demo: ``python -m repsim_geo.demo``."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repsim_geo.demo.networks import Population
    from repsim_geo.demo.numbers import Numbers


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Train or load the networks, measure everything, write the report.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process by default.

    Returns
    -------
    int
        Exit status.
    """
    options = _parser().parse_args(arguments)
    # Imported late: asking for help must not load torch.
    from repsim_geo.demo import figures, report, tables
    from repsim_geo.demo.networks import load_population
    from repsim_geo.demo.numbers import measure

    started = time.perf_counter()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    population = load_population(out / "networks", seed=options.seed, quick=options.quick)
    numbers = measure(population)
    tables.write_all(out, population, numbers)
    figures.save_all(out / "figures", population, numbers)
    seconds = time.perf_counter() - started
    path = report.write(out / "report.html", population, numbers, seed=options.seed, seconds=seconds)
    print("\n".join(_summary(population, numbers)))
    print(f"\nReport ({seconds:.0f} s): {path.resolve()}")
    if options.open:
        _open(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repsim_geo.demo",
        description="Train small networks on digits, compare them under several metrics, write a report.",
    )
    parser.add_argument(
        "--out", default="demo-output", metavar="FOLDER", help="where everything goes (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another seed, another population (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few networks, hardly trained: a test that all parts work"
    )
    parser.add_argument("--open", action="store_true", help="show the report in the browser at the end")
    return parser


def _summary(population: Population, numbers: Numbers) -> list[str]:
    """Some lines for the terminal."""
    networks, main, between, means = population.networks, numbers.main, numbers.between, numbers.means
    accuracies = [100 * network.accuracy for network in networks]
    low, middle, high = min(accuracies), statistics.median(accuracies), max(accuracies)
    start, end = networks[between.start].name, networks[between.end].name
    whole = float(main.distances.max())
    straight = [path.straightness for path in numbers.layers.paths]
    certificate = max(mean.error_bound for mean in means.each)
    n, k = len(networks), len(population.architectures)
    facts = {
        "Networks": f"{n} of {k} architectures, accuracy {low:.1f} to {high:.1f} %, median {middle:.1f} %",
        "Distances": f"{len(numbers.metrics)} metrics; AngularCKA: median {main.same:.2f} rad within, "
        f"{main.different:.2f} rad across architectures",
        "Neighbors": f"the nearest one has the same architecture in {main.nearest_architecture} of {n} cases",
        "Geodesic": f"{start} to {end}: {whole:.3f} rad, splits to within {between.split_error:.0e} rad",
        "Layers": f"straightness from pixels to logits between {min(straight):.2f} and {max(straight):.2f}",
        "Means": f"{len(means.each)} architectures, known to within {certificate:.0e} rad; "
        f"architecture explains {100 * means.explained:.0f} % of the variance",
        "Depth": _depth_fact(numbers),
        "Recognized": f"the architecture of {numbers.recognition.with_seed.right} of {n} networks, by the "
        f"nearest mean; guessing gets {numbers.recognition.guessed:g}",
    }
    return [f"{name:<12}{fact}" for name, fact in facts.items()]


def _depth_fact(numbers: Numbers) -> str:
    together = numbers.depth.together
    if together is None:
        return "no networks differ in depth alone"
    n = together.n_assignments
    return f"p = {together.pvalue:.1e} within families and widths, exact among {n} assignments"


def _open(path: Path) -> None:
    import webbrowser

    webbrowser.open(path.resolve().as_uri())


if __name__ == "__main__":
    sys.exit(main())
