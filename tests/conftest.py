"""Settings of the whole suite: threads, seeds, hypothesis profiles."""

import os

import pytest
import torch
from hypothesis import settings

from repsim_geo.verify import register_profiles

# Small matrices are slower on two threads than on one.
torch.set_num_threads(1)

register_profiles()
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
