"""The laws as tests of somebody else's package."""

import json

import pytest

import repsim_geo as rg
from repsim_geo.verify import DistanceCase, parametrize_with_checks

pytest_plugins = ["pytester"]

THEIRS = """
import numpy as np
from repsim_geo import UnitSphere
from repsim_geo.verify import DistanceCase, parametrize_with_checks

def cosine(x, y):
    return 1 - np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y)

TRIANGLE = "networks_keep_the_triangle_inequality"
CASES = [DistanceCase(cosine, same_width=True, name="cosine", expected_failures={EXPECTED})]

@parametrize_with_checks(CASES, examples=0)
def test_laws(check): check()
"""


def run(pytester, expected, *args):
    pytester.makepyfile(THEIRS.replace("{EXPECTED}", expected))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_failing_law_fails_its_test_and_shows_the_counterexample(pytester):
    result = run(pytester, "{}", "--verify-report=found.json")
    result.stdout.fnmatch_lines(["*Smallest counterexample: *m = 3, d = 1*"])
    result.stdout.fnmatch_lines(["FAILED *cosine-networks_keep_the_triangle_inequality*"])
    found = json.loads((pytester.path / "found.json").read_text())
    broken = [name for report in found for name in report["broken"]]
    assert "networks_keep_the_triangle_inequality" in broken
    assert all(report["subject"] == "cosine" for report in found)


def test_expected_failures_are_strict(pytester):
    law = "distances_of_networks_are_symmetric"
    result = run(
        pytester, f'{{TRIANGLE: "squared", "{law}": "it is not"}}', "-k", f"triangle or {law}", "-rx"
    )
    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*it is not*"])
    result.stdout.fnmatch_lines(["XFAIL *triangle_inequality* - squared"])


@pytest.mark.parametrize("profile", ["dev", "ci", "nightly"])
def test_profiles_are_known(pytester, profile):
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-v", f"--hypothesis-profile={profile}", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*hypothesis profile '{profile}'*"])


def test_the_plugin_loads_nothing(pytester):
    pytester.makepyfile("import sys\ndef test_light(): assert not {'torch', 'geoopt'} & set(sys.modules)")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_unknown_expectations_are_refused():
    with pytest.raises(ValueError, match="unknown laws"):
        parametrize_with_checks([DistanceCase(max, expected_failures={"no_such_law": "?"}, backend="numpy")])
    with pytest.raises(TypeError, match="needs the shape of a point"):
        parametrize_with_checks([rg.UnitSphere(1)])


@parametrize_with_checks([(rg.Flat(1), (3,))], seed=2)
def test_items_are_called_by_subject_and_law(check, request):
    assert check.law.name in request.node.name
    check()
