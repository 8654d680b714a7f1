"""The verifier must catch wrong distances, metrics and isometries, and name the law that they break."""

import pytest
from mutants import MUTANTS, SURVIVORS

from repsim_geo import verify

KNOWN = {law.name for law in (*verify.LAWS, *verify.METRIC_LAWS, *verify.ISOMETRY_LAWS)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant}-{mutant.law}")
def test_mistake_breaks_the_law_that_names_it(mutant, seed, monkeypatch):
    if seed > 0:
        # The search for a counterexample takes half of the time; once is enough.
        monkeypatch.setattr("repsim_geo.verify.runner.find_spec", lambda name: None)
    report = verify.check(mutant.case(), laws=[mutant.law], seed=seed, examples=0, on_fail="report")
    assert mutant.law in report.broken


@pytest.mark.parametrize("mutant", SURVIVORS, ids=str)
def test_survivors_say_which_law_is_missing(mutant):
    assert mutant.law not in KNOWN
    assert mutant.case().parts()


def test_every_law_of_networks_and_isometries_has_a_mutant():
    of_networks = {law.name for law in (*verify.METRIC_LAWS, *verify.ISOMETRY_LAWS)}
    missing = of_networks - {mutant.law for mutant in MUTANTS}
    assert not missing
