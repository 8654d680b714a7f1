"""
More than 150 columns in batches on two threads: torch's batched LU fails there (pytorch issue 142815).

The laws missed it because their points are small and the suite runs on one thread.
"""

import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.numerics.alignment import determinant_sign


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("action", [rg.Orthogonal(), rg.SpecialOrthogonal()], ids=lambda a: type(a).__name__)
def test_wide_shapes_in_batches(action, generator):
    manifold = rg.Quotient(rg.Flat(2, rg.ColumnCentered()), action)
    x, y = (manifold.random(3, 180, 160, dtype=torch.float64, generator=generator) for _ in range(2))
    together = manifold.dist(x, y)
    one_by_one = [float(manifold.dist(a, b)) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)


@pytest.mark.usefixtures("two_threads")
def test_determinant_sign_of_many_reflections(generator):
    for p in (1, 2, 3, 160):
        q = torch.stack(
            [rg.Orthogonal().sample(p, dtype=torch.float64, generator=generator) for _ in range(6)]
        )
        assert torch.equal(determinant_sign(q), torch.stack([torch.linalg.det(a) for a in q]).round())
