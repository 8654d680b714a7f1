"""How long to look for counterexamples: while developing, before a change goes in, over night."""

from __future__ import annotations

from typing import Any

from repsim_geo._extras import need

# Settings of hypothesis; `max_examples` is also how many scenes a check draws beside those that have names.
PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"max_examples": 20, "deadline": None},
    "ci": {"max_examples": 60, "deadline": None, "derandomize": True},
    "nightly": {"max_examples": 300, "deadline": None},
}


def register_profiles(*, replace: bool = True) -> None:
    """
    Make hypothesis know the profiles "dev", "ci" and "nightly".

    Parameters
    ----------
    replace : bool
        Whether profiles of these names that exist already are replaced. Hypothesis has a "ci" of its own.

    Examples
    --------
    >>> from hypothesis import settings
    >>> register_profiles()
    >>> settings.get_profile("nightly").max_examples
    300
    """
    hypothesis = need("hypothesis", "verify", "profiles of hypothesis")
    for name, options in PROFILES.items():
        if not replace and name in hypothesis.settings._profiles:
            continue
        slow = [hypothesis.HealthCheck.too_slow] if name == "ci" else []
        hypothesis.settings.register_profile(name, suppress_health_check=slow, **options)
