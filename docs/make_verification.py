"""
What is verified in docs/verification.md, and the tables there.

    python docs/make_verification.py                     print the blocks (five minutes)
    python docs/make_verification.py --write             put them into the page
    python docs/make_verification.py --only literature   or metrics, geoopt, laws, scenes: one block

Nothing in a block is typed in: verdicts come from reports, lists from the laws and scenes themselves.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geoopt
import torch

from repsim_geo import verify
from repsim_geo.registry import as_metric, available_metrics

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "verification.md"
SEED = 0

ORDERS = {
    0: "Axioms of a metric",
    1: "Geodesics, and what a measure does not notice",
    2: "Inner products, projections, gradients, digits",
    3: "Transport and curvature",
    4: "Conventions of programs",
}
SUBJECTS = {
    "points": verify.LAWS,
    "networks": verify.NETWORK_LAWS,
    "embeddings": tuple(law for law in verify.METRIC_LAWS if law not in verify.NETWORK_LAWS),
    "isometries": verify.ISOMETRY_LAWS,
}


# ---------------------------------------------------------------------- what is verified


@dataclass(frozen=True)
class Subject:
    """
    A line of a table.

    Attributes
    ----------
    title : str
    case : Case
    examples : int or None
        How many scenes hypothesis draws; None for as many as usual.
    """

    title: str
    case: verify.Case
    examples: int | None = None

    def report(self, **options: Any) -> verify.Report:
        """What the verifier says."""
        return verify.check(self.case, seed=SEED, examples=self.examples, on_fail="report", **options)


# Distances between Gram matrices of full rank are asked of few inputs; each distance of stochastic networks
# is a search for the best rotation from many starts.
_SIZES = {
    "affine_invariant": {"m": 5},
    "log_euclidean": {"m": 5},
    "stochastic_shape": {"m": 5, "d": 2},
}
_EXAMPLES = {"stochastic_shape": 2}


def metrics() -> list[Subject]:
    """All metrics of the registry."""
    return [
        Subject(
            f"`{key}`", verify.MetricCase(as_metric(key), **_SIZES.get(key, {}), name=key), _EXAMPLES.get(key)
        )
        for key in available_metrics()
    ]


def manifolds() -> list[Subject]:
    """Manifolds of geoopt."""
    of_matrices = [
        (f'SymmetricPositiveDefinite("{name}")', _of_definite_matrices(name), (3, 3))
        for name in ("AIM", "SM", "LEM")
    ]
    of_vectors = [("Sphere()", geoopt.Sphere(), (5,)), ("Euclidean(ndim=1)", geoopt.Euclidean(ndim=1), (5,))]
    return [
        Subject(f"`geoopt.{name}`", verify.ManifoldCase(manifold, point, name=f"geoopt.{name}"))
        for name, manifold, point in (*of_vectors, *of_matrices)
    ]


def _of_definite_matrices(name: str) -> geoopt.SymmetricPositiveDefinite:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # geoopt says that two of them are not fully implemented
        manifold = geoopt.SymmetricPositiveDefinite(name)
    # Facts of the geometry that geoopt does not declare. Singular matrices are no points, and distances see
    # small eigenvalues relative to themselves, so rounding may do more.
    manifold.full_rank = manifold.sensitive = True
    return manifold


def measures() -> list[Subject]:
    """Measures of the literature."""
    return [
        Subject(
            measure.title,
            verify.DistanceCase(
                measure.function,
                measure.m,
                measure.d,
                measure.invariances,
                measure.range,
                "numpy",
                name=measure.title,
            ),
        )
        for measure in literature().MEASURES
    ]


def literature() -> Any:
    """The module docs/gallery/literature.py."""
    folder = str(ROOT / "docs" / "gallery")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import literature  # pyright: ignore[reportMissingImports]  # found on the path just made

    return literature


# ---------------------------------------------------------------------- tables


def verdict(report: verify.Report) -> str:
    """How many of the laws hold that were asked."""
    statuses = [row["status"] for row in report.laws()]
    return f"{statuses.count('passed')} of {len(statuses) - statuses.count('skipped')}"


def in_words(law: str) -> str:
    """Name of a law as a sentence."""
    return law.replace("_", " ")


def row(subject: Subject, report: verify.Report) -> str:
    """A line of a summary: name, verdict, what fails, and the first counterexample."""
    example = next((r.counterexample for r in report.failures if r.counterexample), "")
    broken = ", ".join(map(in_words, report.broken))
    return _line(subject.title, verdict(report), broken or "nothing", example or "")


def summary(subjects: Iterable[Subject], *, in_full: bool = True) -> list[str]:
    """A table of subjects, and below it their reports."""
    measured = []
    for subject in subjects:
        measured.append((subject, subject.report()))
        print(f"verified {subject.title}", file=sys.stderr)
    lines = [
        "| what | laws that hold | what fails, the most basic first | smallest counterexample |",
        "|---|---|---|---|",
        *(row(subject, report) for subject, report in measured),
    ]
    for subject, report in measured if in_full else ():
        lines += ["", "<details>", f"<summary>{_plain(subject.title)}: {verdict(report)} laws hold</summary>"]
        lines += ["", report.to_markdown().strip(), "", "</details>"]
    return lines


def laws() -> list[str]:
    """All laws by order."""
    lines = []
    for order, title in ORDERS.items():
        lines += ["", f"**{order}. {title}**", "", "| law | of | statement | source |", "|---|---|---|---|"]
        lines += [
            _line(f"`{law.name}`", subject, law.statement, law.source)
            for subject, some in SUBJECTS.items()
            for law in some
            if law.order == order
        ]
    return lines[1:]


def scenes() -> list[str]:
    """All scenes, of points and of networks."""
    lines = []
    for title, specs in (("Points", verify.SCENES), ("Networks", verify.NETWORK_SCENES)):
        lines += ["", f"**{title}**", "", "| scene | where they are |", "|---|---|"]
        lines += [_line(f"`{spec.name}`", spec.description) for spec in specs]
    return lines[1:]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace('<', '&lt;') for cell in cells)} |"


def _plain(title: str) -> str:
    return title.replace("`", "")


# ---------------------------------------------------------------------- the page

BLOCKS: dict[str, Callable[[], list[str]]] = {
    "metrics": lambda: summary(metrics(), in_full=False),
    "geoopt": lambda: summary(manifolds()),
    "literature": lambda: summary(measures()),
    "laws": laws,
    "scenes": scenes,
}


def marks(block: str) -> tuple[str, str]:
    """Comments of the page between which a block stands."""
    return f"<!-- {block}:begin -->", f"<!-- {block}:end -->"


def read(block: str) -> str:
    """A block as the page has it."""
    begin, end = marks(block)
    return PAGE.read_text(encoding="utf-8").split(begin)[1].split(end)[0].strip()


def write(block: str, lines: list[str]) -> None:
    """Put a block into the page."""
    begin, end = marks(block)
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    text = "\n".join(lines).strip()
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Print the blocks, or write them into the page."""
    parser = argparse.ArgumentParser(description="tables of docs/verification.md")
    parser.add_argument("--only", choices=BLOCKS, help="this block alone")
    parser.add_argument("--write", action="store_true", help="update docs/verification.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for block in [options.only] if options.only else BLOCKS:
        lines = BLOCKS[block]()
        if options.write:
            write(block, lines)
        else:
            print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main()
