"""
Run the short form of the benchmarks, and write what came out into docs/performance.md.

    python benchmarks/report.py                   some minutes; what `make bench` does
    python benchmarks/report.py --full            all sizes, more rounds
    python benchmarks/report.py --print           leave the document alone

Only what stands between the markers of the document is replaced.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import Record, Row, read_records

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- begin: written by make bench -->", "<!-- end: written by make bench -->"
SCRIPTS = {
    "pairwise.py": "Distances",
    "means.py": "Means, clusters, permutations",
    "optimization.py": "Minima",
}
PEERS = ("geoopt", "numpy", "scipy", "pyriemann", "geomstats", "rsatoolbox", "pymanopt")


def records_of(script: str, full: bool) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.json"
        command = [sys.executable, str(HERE / script), "--json", str(file), *([] if full else ["--quick"])]
        subprocess.run(command, check=True)
        return read_records(file)


def number(value: float) -> str:
    """Three digits at most, without an exponent where people would not write one."""
    if math.isnan(value):
        return ""
    if 0 < abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def verdict(row: Row) -> str:
    return {None: "", True: "yes", False: "no"}[row.reached]


def ratios(records: list[Record]) -> list[str]:
    lines = [
        "| workload | peer, or figure | value | to reach | reached | noise |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        for k, row in enumerate(record.rows):
            title, noise = (record.title, number(record.noise)) if k == 0 else ("", "")
            value = f"{number(row.value)}{row.unit}"
            lines.append(f"| {title} | {row.name} | {value} | {row.goal()} | {verdict(row)} | {noise} |")
    return lines


def routes(records: list[Record]) -> list[str]:
    lines = [
        "| workload | route | share of the rate of a matrix product | predicted time over measured |",
        "|---|---|---|---|",
    ]
    for r in records:
        if r.route:
            lines.append(f"| {r.title} | {r.route} | {number(r.of_peak)} | {number(r.predicted)} |")
    return lines


def versions() -> str:
    found = []
    for name in PEERS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def written(records: dict[str, list[Record]], full: bool) -> str:
    threads = max(r.threads for group in records.values() for r in group)
    form, torch = ("Full" if full else "Short"), importlib.metadata.version("torch")
    lines = [
        f"{form} form, {datetime.date.today():%d %B %Y}, torch {torch}, {threads} thread, 2 virtual cores. "
        f"{versions()}.",
        "",
        "How to read it: a value without a unit is processor time of the peer over that of repsim_geo, both "
        "from the fastest of a few interleaved rounds, so 3 means that repsim_geo takes a third. *Noise* is "
        "the same for repsim_geo under another name: what is nearer to 1 than that is no result.",
    ]
    for script, group in records.items():
        lines += ["", f"### {SCRIPTS[script]}", "", *ratios(group)]
        if any(r.route for r in group):
            lines += ["", *routes(group)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run benchmarks, write docs/performance.md.")
    parser.add_argument("--full", action="store_true", help="all sizes, more rounds")
    parser.add_argument("--print", action="store_true", help="leave the document alone")
    chosen = parser.parse_args()
    text = written({script: records_of(script, chosen.full) for script in SCRIPTS}, chosen.full)
    if chosen.print:
        print(text)
        return
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    print(f"written to {DOCUMENT.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
