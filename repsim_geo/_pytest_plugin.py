"""
What pytest loads wherever repsim_geo is installed; it imports nothing until it is asked for something.

``--hypothesis-profile dev``, ``ci`` or ``nightly`` is known without a line in a conftest; a profile of that
name in a conftest wins. ``--verify-report FILE`` writes what the checks of `parametrize_with_checks` found.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repsim_geo._files import replacing

_REPORTS = pytest.StashKey[list[Any]]()


def pytest_addoption(parser: Any) -> None:
    """Add ``--verify-report``."""
    group = parser.getgroup("repsim_geo", "verification of metrics (repsim_geo)")
    group.addoption(
        "--verify-report",
        metavar="FILE",
        help="write what the checks of parametrize_with_checks found to FILE, as JSON",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: Any) -> None:
    """Make hypothesis know our profiles before it looks for one, and collect reports if wanted."""
    if config.getoption("--hypothesis-profile", None) in ("dev", "ci", "nightly"):
        from repsim_geo.verify.profiles import register_profiles

        register_profiles(replace=False)
    if config.getoption("--verify-report"):
        config.stash[_REPORTS] = []


def pytest_runtest_makereport(item: Any, call: Any) -> None:
    """Keep the report of a check."""
    reports = item.config.stash.get(_REPORTS, None)
    if reports is None or call.when != "call" or not hasattr(item, "callspec"):
        return
    report = getattr(item.callspec.params.get("check"), "last", None)
    if report is not None:
        reports.append(json.loads(report.to_json()))


def pytest_sessionfinish(session: Any) -> None:
    """Write the collected reports."""
    reports = session.config.stash.get(_REPORTS, None)
    if reports is not None:
        path = Path(session.config.getoption("--verify-report"))
        with replacing(path, text=True) as file:
            file.write(json.dumps(reports, indent=1) + "\n")
