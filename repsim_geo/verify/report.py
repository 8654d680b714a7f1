"""What a verification found."""

from __future__ import annotations

import html
import json
import math
import os
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class LawViolationError(AssertionError):
    """A law was broken; the message is the report."""


@dataclass(frozen=True)
class Record:
    """
    One law on one scene in one dtype.

    Attributes
    ----------
    law, scene, dtype : str
    status : str
        "passed", "failed", "skipped", "xfailed" (as expected) or "xpassed" (expected to fail, but held).
    residual, tolerance : float
        nan where skipped.
    draw : int or None
        Which draw of the scene was worst.
    note : str
        Statement of the law, reason of a skip, or reason of an expected failure.
    source : str
        Of the law.
    order : int
        Of the law: 0 for the axioms of a metric.
    counterexample : str
        The simplest scene that was found on which the law fails, in words.
    code : str
        Lines that show it.
    """

    law: str
    scene: str
    dtype: str
    status: str
    residual: float
    tolerance: float
    draw: int | None = None
    note: str = ""
    source: str = ""
    order: int = 0
    counterexample: str = ""
    code: str = ""

    @property
    def severity(self) -> float:
        """Residual in units of the tolerance."""
        if self.residual != self.residual:
            return float("inf") if self.status == "failed" else 0.0
        return self.residual / max(self.tolerance, 1e-300)


# How the note of a skipped record begins when the subject refused the scene.
REFUSED = "refused: "
_BAD = ("failed", "xpassed")
_STATUSES = ("failed", "xpassed", "xfailed", "passed", "skipped")


class Report:
    """
    Records of a verification, worst first.

    Failures come first, those of the more basic laws before others: the axioms of a metric, then geodesics,
    gradients, transport and curvature, and the conventions of programs; then by how far the residual is
    beyond its tolerance.

    Parameters
    ----------
    subject : str
        What was verified.
    records : iterable of Record

    Examples
    --------
    >>> from repsim_geo import Flat, verify
    >>> report = verify.check_manifold(Flat(ndim=1), (3,))
    >>> report.ok, report.counts()["failed"]
    (True, 0)
    """

    def __init__(self, subject: str, records: Iterable[Record]):
        self.subject = subject
        self._records = sorted(records, key=_rank)

    @property
    def ok(self) -> bool:
        """Whether every applicable law held, some did, and nothing that was expected to fail passed."""
        return not self.failures and any(r.status in ("passed", "xfailed") for r in self._records)

    @property
    def failures(self) -> list[Record]:
        """Records that make the report not ok."""
        return [r for r in self._records if r.status in _BAD]

    @property
    def broken(self) -> list[str]:
        """Names of the laws that fail, the most basic first."""
        return list(dict.fromkeys(r.law for r in self.failures))

    def _telling(self, law: str) -> Record:
        """The record of a broken law that tells most: with code, with a counterexample, the worst."""
        records = (r for r in self.failures if r.law == law)
        return max(records, key=lambda r: (bool(r.code), bool(r.counterexample), r.severity))

    def records(self) -> list[dict[str, Any]]:
        """All records as dictionaries, worst first; ``pandas.DataFrame(report.records())`` is a table."""
        return [asdict(r) for r in self._records]

    def counts(self) -> dict[str, int]:
        """Number of records by status."""
        return {status: sum(r.status == status for r in self._records) for status in _STATUSES}

    def laws(self) -> list[dict[str, Any]]:
        """
        One dictionary for each law: its worst record, and on how many scenes it was asked.

        Returns
        -------
        list of dict
            Keys "law", "status", "worst" (severity), "scene", "dtype", "asked", "failed", "note", worst
            first.
        """
        by_law: dict[str, list[Record]] = {}
        for record in self._records:
            by_law.setdefault(record.law, []).append(record)
        return [_of_law(records) for records in by_law.values()]

    def skipped(self) -> dict[str, list[str]]:
        """Laws that were never asked, by the reason why."""
        reasons: dict[str, list[str]] = {}
        for row in self.laws():
            if row["status"] == "skipped":
                reasons.setdefault(row["note"], []).append(row["law"])
        return reasons

    def refused(self) -> dict[str, list[str]]:
        """Scenes that the subject refused with an error that says why, by what it said."""
        reasons: dict[str, list[str]] = {}
        for r in self._records:
            if r.status == "skipped" and r.note.startswith(REFUSED):
                scenes = reasons.setdefault(r.note.removeprefix(REFUSED), [])
                if r.scene not in scenes:
                    scenes.append(r.scene)
        return reasons

    # ------------------------------------------------------------------ to read

    def __str__(self) -> str:
        return "\n".join((self._headline(), *self._failure_lines(), *map(_wrapped, self._skip_lines())))

    def _headline(self) -> str:
        laws = self.laws()
        held = sum(row["status"] == "passed" for row in laws)
        asked = sum(row["status"] != "skipped" for row in laws)
        verdict = "nothing was checked" if not asked else f"{held} of {asked} laws hold"
        expected = sum(row["status"] == "xfailed" for row in laws)
        more = f", {expected} fail as expected" if expected else ""
        counts = self.counts()
        judged = sum(counts.values()) - counts["skipped"]
        return f"{self.subject}: {verdict}{more} ({judged} checks)"

    def _failure_lines(self) -> list[str]:
        lines = []
        for law in self.broken:
            r = self._telling(law)
            where = f" (draw {r.draw})" if r.draw is not None and not r.code else ""
            lines += [
                "",
                f"  {r.status}: {r.law} on {r.scene}, {r.dtype}{where}: "
                f"residual {r.residual:.3g}, tolerance {r.tolerance:.3g}",
                f"      {r.note}" + (f" [{r.source}]" if r.source not in ("", "definition") else ""),
            ]
            scenes = [record.scene for record in self.failures if record.law == law]
            if len(scenes) > 1:
                scenes = list(dict.fromkeys(scenes))
                lines.append(f"      Fails on: {', '.join(scenes)}.")
            if r.counterexample:
                lines.append(f"      Smallest counterexample: {r.counterexample}.")
            lines += [f"      | {line}" for line in r.code.splitlines()]
        return lines

    def _skip_lines(self) -> list[str]:
        lines = [f"      {', '.join(laws)}: {why}" for why, laws in self.skipped().items()]
        lines = ["", "  Not asked:", *lines] if lines else []
        refused = [f"      {', '.join(scenes)}: {why}" for why, scenes in self.refused().items()]
        return lines + (["", "  Refused:", *refused] if refused else [])

    def table(self) -> str:
        """
        One line for each law: status, the worst residual in units of its tolerance, and where.

        Returns
        -------
        str
        """
        head = f"{'law':52s} {'status':8s} {'worst':>9s}  where"
        lines = [
            f"{row['law']:52s} {row['status']:8s} {_ratio(row['worst']):>9s}  "
            + (row["note"] if row["status"] == "skipped" else f"{row['scene']}, {row['dtype']}")
            for row in self.laws()
        ]
        return "\n".join((self._headline(), "", head, *lines))

    def to_markdown(self) -> str:
        """
        The report in Markdown: verdict, what fails with its smallest counterexample, what was not asked.

        Returns
        -------
        str
        """
        lines = [f"**{self._headline()}**", ""]
        if self.broken:
            lines += ["| law | residual | tolerance | smallest counterexample |", "|---|---|---|---|"]
            for law in self.broken:
                r = self._telling(law)
                where = r.counterexample or f"{r.scene}, {r.dtype}"
                lines.append(
                    f"| `{law}` {_cell(r.note)} | {r.residual:.2g} | {r.tolerance:.2g} | {_cell(where)} |"
                )
            lines.append("")
        for row in self.laws():
            if row["status"] == "xfailed":
                lines.append(f"* `{row['law']}` fails as expected: {_cell(row['note'])}")
        lines += [
            f"* Not asked: {', '.join(f'`{n}`' for n in laws)} ({_cell(why)})"
            for why, laws in self.skipped().items()
        ]
        lines += [f"* Refused {', '.join(scenes)}: {_cell(why)}" for why, scenes in self.refused().items()]
        return "\n".join(lines).rstrip() + "\n"

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """
        The report as JSON: subject, verdict, counts, and all records; numbers that are not finite are null.

        Parameters
        ----------
        path : str or path, optional
            Where to write it, too.

        Returns
        -------
        str
        """
        content = {
            "subject": self.subject,
            "ok": self.ok,
            "counts": self.counts(),
            "broken": self.broken,
            "records": [{k: _finite(v) for k, v in record.items()} for record in self.records()],
        }
        text = json.dumps(content, indent=1, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n")
        return text

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __repr__(self) -> str:
        return f"<Report of {self.subject}: {'ok' if self.ok else f'{len(self.broken)} laws broken'}>"


def _rank(r: Record) -> tuple[Any, ...]:
    return r.status not in _BAD, r.status == "skipped", r.order if r.status in _BAD else 0, -r.severity


def _of_law(records: list[Record]) -> dict[str, Any]:
    """Records of one law, worst first, as one."""
    worst, asked = records[0], [r for r in records if r.status != "skipped"]
    return {
        "law": worst.law,
        "status": worst.status,
        "worst": worst.severity if asked else math.nan,
        "scene": worst.scene,
        "dtype": worst.dtype,
        "asked": len(asked),
        "failed": sum(r.status in ("failed", "xfailed") for r in records),
        "note": worst.note,
    }


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 110, subsequent_indent=8 * " ", break_long_words=False, break_on_hyphens=False)


def _ratio(value: float) -> str:
    return "" if value != value else f"{value:.2g}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(text: str) -> str:
    """Text that does not break a table."""
    text = html.escape(" ".join(text.split()), quote=False)
    return (text if len(text) <= 300 else text[:297] + "...").replace("|", "\\|")
