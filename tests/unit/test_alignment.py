"""Procrustes alignment against brute force, in well and badly conditioned cases."""

import numpy as np
import oracles
import pytest
import torch

from repsim_geo.numerics.alignment import align, finite_svd, procrustes_rotation


def draw(generator, *shape, spectrum=None):
    x = torch.randn(*shape, dtype=torch.float64, generator=generator)
    if spectrum is None:
        return x
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    return (u * torch.as_tensor(spectrum, dtype=torch.float64)) @ vh


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("shape", [(6, 3), (5, 2), (6, 1), (3, 4)])
def test_aligned_distance_is_the_minimum_over_the_group(shape, special, generator):
    for _ in range(3):
        x, y = draw(generator, *shape), draw(generator, *shape)
        aligned = align(x, y, special=special)
        best = oracles.procrustes_distance_bruteforce(x.numpy(), y.numpy(), group="SO" if special else "O")
        assert float((x - aligned.matrix).norm()) == pytest.approx(best, rel=1e-9)
        p = shape[1]
        eye = torch.eye(p, dtype=torch.float64)
        np.testing.assert_allclose(aligned.rotation.mT @ aligned.rotation, eye, atol=1e-14)
        np.testing.assert_allclose(y @ aligned.rotation, aligned.matrix, atol=1e-13)
        if special:
            assert float(torch.linalg.det(aligned.rotation)) == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e6])
def test_distance_of_a_shape_to_itself_is_rounding(dtype, condition, generator):
    for _ in range(20):
        spectrum = condition ** torch.linspace(0, -1, 4, dtype=torch.float64)
        x = draw(generator, 20, 4, spectrum=spectrum).to(dtype)
        distance = (x - align(x, x.clone()).matrix).norm() / x.norm()
        assert float(distance) <= 10 * torch.finfo(dtype).eps


def test_distance_to_a_rotated_copy_is_rounding(generator):
    for _ in range(20):
        x = draw(generator, 30, 8)
        q, _ = torch.linalg.qr(draw(generator, 8, 8))
        assert float((x - align(x, x @ q).matrix).norm() / x.norm()) < 1e-14


def test_rotation_has_the_right_derivative(generator):
    for special in (False, True):
        m = draw(generator, 3, 4, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda a, s=special: procrustes_rotation(a, special=s), m)
        assert torch.autograd.gradgradcheck(lambda a, s=special: procrustes_rotation(a, special=s), m)


def test_derivative_is_finite_at_equal_and_at_vanishing_singular_values():
    for cross in (torch.eye(3), torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 0.0, 0.0]))):
        m = cross.double().requires_grad_()
        (g,) = torch.autograd.grad((procrustes_rotation(m) * torch.ones(3, 3)).sum(), m)
        assert bool(g.isfinite().all())


def test_svd_of_nan_is_nan():
    x = torch.eye(3).expand(2, 3, 3).clone()
    x[1, 0, 0] = torch.nan
    _, s, _ = finite_svd(x)
    assert bool(s[0].isfinite().all())
    assert bool(s[1].isnan().all())
