"""Settings of the whole suite: threads, seeds, hypothesis profiles."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# Small matrices are slower on two threads than on one.
torch.set_num_threads(1)

settings.register_profile("dev", max_examples=20, deadline=None)
settings.register_profile(
    "ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", max_examples=1000, deadline=None)
settings.load_profile("dev")


@pytest.fixture(scope="session")
def seed() -> int:
    """Base seed of random data; REPSIM_GEO_SEED changes it."""
    return int(os.environ.get("REPSIM_GEO_SEED", "0"))


@pytest.fixture
def generator(seed: int) -> torch.Generator:
    """Source of random numbers of one test."""
    return torch.Generator().manual_seed(seed)


def pytest_report_header() -> str:
    return f"REPSIM_GEO_SEED={os.environ.get('REPSIM_GEO_SEED', '0')}"
