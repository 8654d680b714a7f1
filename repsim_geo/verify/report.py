"""What a verification found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


class LawViolationError(AssertionError):
    """A manifold broke a law; the message is the report."""


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
    """

    law: str
    scene: str
    dtype: str
    status: str
    residual: float
    tolerance: float
    draw: int | None = None
    note: str = ""

    @property
    def severity(self) -> float:
        """Residual in units of the tolerance."""
        if self.residual != self.residual:
            return float("inf") if self.status == "failed" else 0.0
        return self.residual / max(self.tolerance, 1e-300)


_BAD = ("failed", "xpassed")


class Report:
    """
    Records of a verification, worst first.

    Parameters
    ----------
    subject : str
        What was verified.
    records : iterable of Record
    """

    def __init__(self, subject: str, records: Iterable[Record]):
        self.subject = subject
        self._records = sorted(
            records, key=lambda r: (r.status not in _BAD, r.status == "skipped", -r.severity)
        )

    @property
    def ok(self) -> bool:
        """Whether every applicable law held, and nothing that was expected to fail passed."""
        return not self.failures

    @property
    def failures(self) -> list[Record]:
        """Records that make the report not ok."""
        return [r for r in self._records if r.status in _BAD]

    def records(self) -> list[dict]:
        """All records as dictionaries, worst first."""
        return [asdict(r) for r in self._records]

    def counts(self) -> dict[str, int]:
        """Number of records by status."""
        counts: dict[str, int] = {}
        for r in self._records:
            counts[r.status] = counts.get(r.status, 0) + 1
        return counts

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self.counts().items()))
        lines = [f"{self.subject}: {counts or 'nothing was checked'}"]
        for r in self.failures:
            where = f" (draw {r.draw})" if r.draw is not None else ""
            lines.append(
                f"  {r.status}: {r.law} on {r.scene}, {r.dtype}{where}: "
                f"residual {r.residual:.3g}, tolerance {r.tolerance:.3g}"
            )
            lines.append(f"      {r.note}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Report of {self.subject}: {'ok' if self.ok else f'{len(self.failures)} failures'}>"
