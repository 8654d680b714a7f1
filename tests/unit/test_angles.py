"""Angles against sixty digits, and the smooth functions at zero."""

import math

import mpmath
import numpy as np
import oracles
import pytest
import torch

from repsim_geo.numerics import angles


@pytest.mark.parametrize(
    "theta", [1e-9, 1e-6, 1e-3, 1e-2, 1.0, math.pi / 2, 3.0, math.pi - 1e-3, math.pi - 1e-6]
)
@pytest.mark.parametrize(("dtype", "eps"), [(torch.float64, 2e-15), (torch.float32, 5e-7)])
def test_angle_matches_sixty_digits(theta, dtype, eps, generator):
    x = torch.nn.functional.normalize(torch.randn(30, dtype=torch.float64, generator=generator), dim=0)
    u = torch.randn(30, dtype=torch.float64, generator=generator)
    u = torch.nn.functional.normalize(u - (u @ x) * x, dim=0)
    y = math.cos(theta) * x + math.sin(theta) * u
    x, y = x.to(dtype), y.to(dtype)
    # The rounded inputs span another angle than theta; the oracle measures that one.
    exact = oracles.angle_mpmath(x.double().numpy(), y.double().numpy())
    assert float(angles.angle(x, y)) == pytest.approx(exact, abs=eps)


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (angles.sinc, lambda t: mpmath.sin(mpmath.sqrt(t)) / mpmath.sqrt(t)),
        (angles.inverse_sinc, lambda t: mpmath.sqrt(t) / mpmath.sin(mpmath.sqrt(t))),
        (angles.one_minus_cos, lambda t: 2 * mpmath.sin(mpmath.sqrt(t) / 2) ** 2 / t),
    ],
)
def test_functions_of_squared_angles_match_sixty_digits(function, exact):
    with mpmath.workdps(60):
        for t in [1e-300, 1e-12, 1e-4, 9.9e-3, 1.01e-2, 0.3, 4.0]:
            value = function(torch.tensor(t, dtype=torch.float64))
            assert float(value) == pytest.approx(float(exact(mpmath.mpf(t))), rel=4e-16 * 4)


@pytest.mark.parametrize("function", [angles.sinc, angles.inverse_sinc, angles.one_minus_cos])
def test_derivatives_across_the_switch_of_formula(function):
    t = torch.tensor([1e-3, 9.999e-3, 1.0001e-2, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, t)
    assert torch.autograd.gradgradcheck(function, t)


def test_derivative_at_zero_is_exact():
    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(angles.sinc(t), t)
    assert float(slope) == pytest.approx(-1 / 6, rel=1e-15)


def test_squared_angle_is_accurate_on_both_sides_of_the_switch():
    with mpmath.workdps(60):
        for theta in [1e-12, 1e-5, 0.06, 0.0632, 0.0633, 0.07, 1.0, 3.0]:
            a = torch.tensor(float(4 * mpmath.sin(mpmath.mpf(theta) / 2) ** 2), dtype=torch.float64)
            b = torch.tensor(float(4 * mpmath.cos(mpmath.mpf(theta) / 2) ** 2), dtype=torch.float64)
            assert float(angles.squared_angle_from_chords(a, b)) == pytest.approx(theta**2, rel=2e-15)


def test_hessian_of_the_squared_angle_at_coincident_points_is_the_tangent_projector():
    x = torch.nn.functional.normalize(torch.arange(1.0, 5.0, dtype=torch.float64), dim=0)

    def half_square(y):
        y = y / y.norm()
        return angles.squared_angle_from_chords((x - y).square().sum(), (x + y).square().sum()) / 2

    hessian = torch.autograd.functional.hessian(half_square, x.clone())
    np.testing.assert_allclose(hessian, torch.eye(4, dtype=torch.float64) - torch.outer(x, x), atol=1e-14)
