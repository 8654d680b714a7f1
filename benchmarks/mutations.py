"""
What the verifier makes of deliberate mistakes: the full check of every mutant of the tests.

    python benchmarks/mutations.py                 all mutants, three seeds each (half an hour)
    python benchmarks/mutations.py --seeds 1       one seed
    python benchmarks/mutations.py --only shape    mutants whose name, law or list contains the word

A mutant is caught if the law that names its mistake is among those that break; what breaks first is what the
report begins with. Survivors are caught if anything breaks. Seconds of the processor are those of the slowest
check, with its search for the smallest counterexample; other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from repsim_geo.verify import Case, ManifoldCase, check

TESTS = Path(__file__).parents[1] / "tests"


@dataclass(frozen=True)
class Row:
    """A mutant after its checks: by seed, what broke, and how long it took."""

    name: str
    law: str
    broken: list[list[str]]
    seconds: float

    @property
    def caught(self) -> int:
        """Seeds in which the law that names the mistake breaks."""
        return sum(self.law in laws if " " not in self.law else bool(laws) for laws in self.broken)

    @property
    def first(self) -> str:
        """What breaks first, where that is another law."""
        found = list(dict.fromkeys(laws[0] if laws else "nothing" for laws in self.broken))
        return "" if found == [self.law] else ", ".join(found)


def module(path: str) -> Any:
    """A module of the tests, which are no package."""
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, TESTS / path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(TESTS / path)
    # Dataclasses ask for their module by name.
    loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def mutants() -> Iterator[tuple[str, str, Case]]:
    """Name, law and case of everything that is wrong."""
    networks = module("mutants.py")
    for mutant in (*networks.MUTANTS, *networks.SURVIVORS):
        yield mutant.name, mutant.law, mutant.case()
    for file in ("test_broken_manifolds", "test_broken_matrices"):
        lists = module(f"conformance/{file}.py")
        for manifold, point, law in (*lists.BROKEN, *getattr(lists, "MORE", ())):
            yield (
                f"{file.removeprefix('test_broken_')}: {type(manifold).__name__}",
                law,
                ManifoldCase(manifold, point),
            )


def judged(name: str, law: str, case: Case, seeds: int) -> Row:
    """Check a case with several seeds."""
    broken, seconds = [], 0.0
    for seed in range(seeds):
        start = time.process_time()
        broken.append(check(case, seed=seed, on_fail="report").broken)
        seconds = max(seconds, time.process_time() - start)
    return Row(name, law, broken, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="part of a name, a list or a law")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(
        f"{'mutant':40s} {'law that names it':52s} {'caught':>6s} {'s':>5s}  what breaks first, if not that"
    )
    for name, law, case in mutants():
        if options.only.lower() not in f"{name} {law}".lower():
            continue
        row = judged(name, law, case, options.seeds)
        rows.append(row)
        named = "(none yet)" if " " in law else law
        caught = f"{row.caught}/{options.seeds}"
        print(f"{name:40s} {named:52s} {caught:>6s} {row.seconds:5.1f}  {row.first}", flush=True)
    if not rows:
        parser.error(f"no mutant is called {options.only!r}")
    always = sum(row.caught == options.seeds for row in rows)
    print(f"caught {always} of {len(rows)} in every seed; slowest check {max(r.seconds for r in rows):.1f} s")


if __name__ == "__main__":
    main()
