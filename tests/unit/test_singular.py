"""Functions of singular values: values, derivatives, ties and rank drops."""

import numpy as np
import pytest
import torch

from repsim_geo.numerics.singular import partially_whitened, polar_factor, principal_part


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_principal_part_is_the_nearest_matrix(shape, generator):
    x = torch.randn(*shape, dtype=torch.float64, generator=generator)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(principal_part(x, 2), (u[:, :2] * s[:2]) @ vh[:2], atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 6, 3)])
def test_derivatives_match_finite_differences(shape, generator):
    x = torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: principal_part(a, 2), x)
    assert torch.autograd.gradcheck(polar_factor, x)
    for whiten in (0.3, 1.0):
        assert torch.autograd.gradcheck(lambda a, w=whiten: partially_whitened(a, w, 2.0), x)


def test_whitening_moves_singular_values_as_promised(generator):
    x = torch.randn(7, 3, dtype=torch.float64, generator=generator)
    s = torch.linalg.svdvals(x)
    moved = torch.linalg.svdvals(partially_whitened(x, 0.4, 2.0))
    np.testing.assert_allclose(moved, 0.6 * s + 0.4 * 2.0, rtol=1e-13)


def test_absent_directions_stay_absent():
    x = torch.diag(torch.tensor([2.0, 0.0], dtype=torch.float64))
    np.testing.assert_allclose(partially_whitened(x, 1.0, 3.0), torch.diag(torch.tensor([3.0, 0.0])))


def test_derivatives_are_finite_at_ties_and_rank_drops():
    for x in (torch.eye(3), torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 1.0, 0.0]))):
        for function in (
            lambda a: principal_part(a, 2),
            lambda a: partially_whitened(a, 0.5, 1.0),
            polar_factor,
        ):
            leaf = x.double().requires_grad_()
            (g,) = torch.autograd.grad((function(leaf) * torch.arange(9.0).reshape(3, 3)).sum(), leaf)
            assert bool(g.isfinite().all())


def test_second_derivative_is_refused_not_wrong(generator):
    x = torch.randn(4, 3, dtype=torch.float64, generator=generator).requires_grad_()
    (g,) = torch.autograd.grad(partially_whitened(x, 0.5, 1.0).square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives of"):
        g.sum().backward()


@pytest.mark.parametrize("seed", range(20))
def test_polar_factors_of_frames_have_the_derivative_of_the_projection(seed):
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(7, 3, dtype=torch.float64, generator=generator)).Q.requires_grad_()
    w = torch.randn(7, 3, dtype=torch.float64, generator=generator)
    (found,) = torch.autograd.grad((polar_factor(q) * w).sum(), q)
    # At a frame the derivative takes away the symmetric part of q'w.
    with torch.no_grad():
        wanted = w - q @ (q.mT @ w + w.mT @ q) / 2
    np.testing.assert_allclose(found, wanted, atol=1e-13)
