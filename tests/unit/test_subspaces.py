"""Subspaces: projectors against least squares, dimensions against ranks."""

import numpy as np
import oracles
import pytest
import torch

from repsim_geo.numerics.subspaces import ColumnCentered, DoubleCentered, Everything, Hollow, UCentered

CASES = [
    (Everything(), (4, 3)),
    (ColumnCentered(), (5, 3)),
    (DoubleCentered(), (5, 5)),
    (UCentered(), (4, 4)),
    (UCentered(), (6, 6)),
    (Hollow(), (4, 4)),
]


@pytest.mark.parametrize(("subspace", "shape"), CASES, ids=lambda x: type(x).__name__)
def test_dimension_is_the_rank_of_the_projector(subspace, shape):
    project = lambda a: subspace.project(torch.as_tensor(a)).numpy()  # noqa: E731
    assert oracles.numerical_rank_dimension(project, shape) == subspace.dim(*shape)


@pytest.mark.parametrize(("subspace", "shape"), CASES, ids=lambda x: type(x).__name__)
def test_projector_is_orthogonal(subspace, shape, generator):
    a, b = (torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(2))
    pa, pb = subspace.project(a), subspace.project(b)
    np.testing.assert_allclose(subspace.project(pa), pa, atol=1e-14)
    np.testing.assert_allclose((pa * b).sum(), (a * pb).sum(), atol=1e-13)
    assert int(torch.linalg.matrix_rank(pa)) == subspace.rank(*shape)


def test_u_centering_is_the_least_squares_projection(generator):
    for m in (4, 5, 9):
        a = torch.randn(m, m, dtype=torch.float64, generator=generator)
        exact = oracles.u_centering_least_squares(((a + a.T) / 2).numpy())
        np.testing.assert_allclose(UCentered().project(a), exact, atol=1e-14)


@pytest.mark.parametrize(
    ("subspace", "shape", "words"),
    [
        (UCentered(), (3, 3), "at least 4 rows, got 3"),
        (DoubleCentered(), (3, 4), "square matrix"),
        (ColumnCentered(), (1, 4), "at least 2 rows"),
    ],
)
def test_impossible_shapes_are_explained(subspace, shape, words):
    assert words in subspace.mismatch(*shape)
