"""Sums of singular values by products of matrices, against sums that are known."""

import pytest
import torch

import repsim_geo as rg
from repsim_geo.numerics import nuclear
from repsim_geo.numerics.nuclear import nuclear_norms, polar_nuclear_norms


def with_singular_values(s, p, q, generator):
    k = len(s)
    u, v = (torch.linalg.qr(torch.randn(6, n, k, dtype=torch.float64, generator=generator)).Q for n in (p, q))
    return (u * s) @ v.mT


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(40, 40), (50, 20), (20, 50), (1, 1)])
@pytest.mark.parametrize("decades", [0, 3, 8, 16, 60])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_polar_steps_give_the_sum_of_the_singular_values(dtype, shape, decades, scale, generator):
    k = min(shape)
    s = torch.logspace(0, -decades, k, dtype=torch.float64)
    a = scale * with_singular_values(s, *shape, generator)
    found = polar_nuclear_norms(a.to(dtype)).double()
    # Rounding of the matrix itself moves the sum by eps times the root of its size.
    tolerance = 4 * k**0.5 * torch.finfo(dtype).eps
    assert ((found / (scale * s.sum()) - 1).abs() < tolerance).all()


def test_polar_steps_know_rank_loss_zero_and_nan(generator):
    s = torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0], dtype=torch.float64)
    a = with_singular_values(s, 9, 5, generator)
    assert torch.allclose(polar_nuclear_norms(a), s.sum(), rtol=1e-14)
    assert polar_nuclear_norms(torch.zeros(2, 3, 3)).tolist() == [0.0, 0.0]
    a[0, 1, 1], a[1, 0, 0] = torch.nan, torch.inf
    assert polar_nuclear_norms(a).isnan().tolist() == [True, True, False, False, False, False]


def test_processors_and_derivatives_take_the_decomposition(generator):
    a = torch.randn(3, 40, 40, dtype=torch.float64, generator=generator)
    assert torch.allclose(nuclear_norms(a), polar_nuclear_norms(a), rtol=1e-13)
    a.requires_grad_()
    (grad,) = torch.autograd.grad(nuclear_norms(a).sum(), a)
    u, _, vh = torch.linalg.svd(a.detach())
    assert torch.allclose(grad, u @ vh, atol=1e-12)


@pytest.mark.parametrize("metric", [rg.AngularShape(), rg.SizeAndShape()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tables_of_shapes_are_the_same_by_polar_steps(metric, dtype, monkeypatch, generator):
    widths = (40, 36, 33, 40, 50)
    reps = [torch.randn(60, d, dtype=dtype, generator=generator) for d in widths]
    reps.append(reps[0] @ torch.linalg.qr(torch.randn(40, 40, dtype=dtype, generator=generator)).Q)
    before = {route: rg.pairwise(reps, metric, route=route) for route in ("points", "features")}
    monkeypatch.setattr(nuclear, "_decompose", lambda a: False)
    for route, table in before.items():
        again = rg.pairwise(reps, metric, route=route)
        tolerance = 64 * torch.finfo(dtype).eps * max(1.0, float(table.max()))
        assert (again - table).abs().max() < tolerance
