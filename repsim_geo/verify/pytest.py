"""
The laws as tests of pytest: one item for each subject and law.

Three lines verify a metric, a function or a manifold of yours::

    from repsim_geo.verify import parametrize_with_checks


    @parametrize_with_checks([MyMetric(), my_distance, (MyManifold(), (5, 3))])
    def test_laws(check):
        check()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from repsim_geo._extras import need
from repsim_geo.verify.cases import Case, as_case
from repsim_geo.verify.report import LawViolationError, Report
from repsim_geo.verify.runner import check
from repsim_geo.verify.statements import Law


@dataclass(eq=False)
class Check:
    """
    One law of one case; call it to verify.

    Attributes
    ----------
    case : Case
    law : Law
    options : dict
        Of `repsim_geo.verify.check`.
    last : Report or None
        What the last call found; the plugin writes it down.
    """

    case: Case
    law: Law
    options: dict[str, Any] = field(default_factory=dict)
    last: Report | None = None

    def report(self) -> Report:
        """What the law says of the case, on all scenes."""
        # pytest knows what is expected to fail, and is strict about it.
        case = replace(self.case, expected_failures={})
        return check(case, laws=[self.law], on_fail="report", **self.options)

    def __call__(self) -> None:
        """
        Verify; skips the test where the law is never asked.

        Raises
        ------
        LawViolationError
            The law fails; the message has the smallest counterexample, and code that shows it.
        """
        __tracebackhide__ = True
        self.last = report = self.report()
        if report.failures:
            raise LawViolationError(str(report))
        if not report.ok:
            need("pytest", "verify", "skipping a test").skip("; ".join(report.skipped()))

    def __str__(self) -> str:
        return f"{self.case}-{self.law.name}"


def parametrize_with_checks(
    cases: Iterable[Any], *, expected_failures: Callable[[Case], dict[str, str]] | None = None, **options: Any
) -> Any:
    """
    Decorator of a test with one argument, ``check``: one item of pytest for each case and law.

    Parameters
    ----------
    cases : iterable of Case, metric, (nn.Module, geoopt.Manifold), (geoopt.Manifold, shape of a point), or
    callable
        Give a `MetricCase`, `DistanceCase`, `ManifoldCase` or `IsometryCase` for sizes, claims, a name, or
        expected failures.
    expected_failures : callable, optional
        From a case to a mapping from law to reason, beside those of the cases. They are strict: a law that is
        expected to fail, and holds, is a failure.
    **options
        Of `repsim_geo.verify.check`: scenes, dtypes, seed, examples.

    Returns
    -------
    pytest.MarkDecorator

    Raises
    ------
    TypeError
        Something that cannot be verified.
    ValueError
        An expected failure of a law that is never asked.

    Examples
    --------
    >>> from repsim_geo import UnitSphere
    >>> @parametrize_with_checks([(UnitSphere(1), (4,))])
    ... def test_sphere(check):
    ...     check()
    """
    pytest = need("pytest", "verify", "parametrize_with_checks")
    items = []
    for case in map(as_case, cases):
        expected = {**case.expected_failures, **(expected_failures(case) if expected_failures else {})}
        laws = {law.name: law for part in case.parts() for law in part.laws}
        unknown = set(expected) - set(laws)
        if unknown:
            raise ValueError(
                f"{case} is expected to break unknown laws: {sorted(unknown)}. Known: {', '.join(laws)}."
            )
        for name, law in laws.items():
            strict = {"strict": True, "raises": LawViolationError}
            marks = [pytest.mark.xfail(reason=expected[name], **strict)] if name in expected else []
            items.append(pytest.param(Check(case, law, options), id=f"{case}-{name}", marks=marks))
    return pytest.mark.parametrize("check", items)
