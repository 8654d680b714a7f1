"""Distances between rows: digits, derivatives, duplicates."""

import numpy as np
import torch

from repsim_geo.numerics.dissimilarities import euclidean_distances, median, upper_triangle


def test_derivatives_of_first_and_second_order(generator):
    x = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(euclidean_distances, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(euclidean_distances, x)


def test_near_rows_far_from_the_origin_keep_their_digits():
    x = torch.tensor([[1e4, 1e4], [1e4 + 1, 1e4 + 1]])
    np.testing.assert_allclose(euclidean_distances(x)[0, 1], np.sqrt(2), rtol=1e-6)


def test_gradient_at_duplicated_rows_is_finite():
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], requires_grad=True)
    euclidean_distances(x).sum().backward()
    assert bool(x.grad.isfinite().all())


def test_median_is_that_of_numpy(generator):
    for k in (1, 4, 5):
        values = torch.randn(3, k, generator=generator)
        np.testing.assert_allclose(median(values), np.median(values.numpy(), axis=-1))


def test_upper_triangle_reads_row_by_row():
    assert upper_triangle(torch.arange(9).reshape(3, 3)).tolist() == [1, 2, 5]
