"""Found while the kernels and scores were written."""

import pytest
import torch

import repsim_geo as rg
from repsim_geo.numerics.singular import partially_whitened


@pytest.mark.parametrize("whiten", [0.5, 1.0])
def test_whitening_of_a_dead_unit_has_the_right_gradient(whiten):
    # The laws missed it because their points are never activations with a dead unit.
    g = torch.Generator().manual_seed(0)
    z = torch.randn(6, 2, dtype=torch.float64, generator=g).requires_grad_()
    dead = torch.zeros(6, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: partially_whitened(torch.cat([z, dead], -1), whiten, 1.5), (z,))


def test_rescaled_stress_of_a_fixed_length_kernel_sees_the_scale():
    metric = rg.Stress(rg.RBF(2.0), rescale=True)
    x = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert "isotropic scaling" not in metric.card.invariance_names()
    assert float(metric.dist(metric.embed(x), metric.embed(3 * x))) > 0.1


@pytest.mark.parametrize("length", [1e2, 1e4, 1e6])
def test_wide_rbf_kernels_keep_their_digits_in_float32(length):
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(30, 5, dtype=torch.float64, generator=g) for _ in range(2))
    metric = rg.AngularCKA(rg.RBF(length))
    exact = metric.dist(metric.embed(x), metric.embed(y))
    single = metric.dist(metric.embed(x.float()), metric.embed(y.float()))
    assert float(single) == pytest.approx(float(exact), rel=1e-6)


def test_stress_of_a_polynomial_kernel_sees_translations():
    metric = rg.Stress(rg.Polynomial())
    x = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float(metric.dist(metric.embed(x), metric.embed(x + 1))) > 0.1
