"""Parallel transport of shapes against a fine integration of the full equation, and a ladder."""

import numpy as np
import oracles
import pytest
import torch

import repsim_geo as rg
from repsim_geo.manifolds.shape_transport import carry_in_flat, carry_in_sphere

SIZES = [(8, 3), (10, 4), (6, 2), (7, 5), (4, 6)]


def scene(manifold, m, p, generator, length):
    """A point, a velocity of this length, and a horizontal vector."""
    x = manifold.projx(torch.randn(m, p, dtype=torch.float64, generator=generator))
    u, v = (manifold.proju(x, torch.randn(m, p, dtype=torch.float64, generator=generator)) for _ in range(2))
    return x, length * u * (x.norm() / u.norm()), v / v.norm()


@pytest.mark.parametrize("kendall", [False, True], ids=["size_and_shape", "kendall"])
@pytest.mark.parametrize(("m", "p"), SIZES)
def test_transport_agrees_with_the_differential_equation(m, p, kendall, generator):
    manifold = rg.AngularShape() if kendall else rg.SizeAndShape()
    for length in (0.1, 0.4, 0.9):
        x, u, v = scene(manifold, m, p, generator, length)
        cut = manifold.cut_time(x, u)
        u = u * min(1.0, 0.9 * float(cut))
        ours = manifold.carry(x, u, v)
        fine = oracles.shape_transport_ode(x.numpy(), u.numpy(), v.numpy(), kendall=kendall)
        np.testing.assert_allclose(ours.numpy(), fine, atol=2e-11)


@pytest.mark.parametrize("kendall", [False, True], ids=["size_and_shape", "kendall"])
def test_transport_agrees_with_a_pole_ladder(kendall, generator):
    manifold = rg.AngularShape() if kendall else rg.SizeAndShape()
    x, u, v = scene(manifold, 7, 3, generator, 0.4)
    ladder = oracles.shape_transport_pole_ladder(x.numpy(), u.numpy(), v.numpy(), kendall=kendall)
    np.testing.assert_allclose(manifold.carry(x, u, v).numpy(), ladder, atol=1e-6)


@pytest.mark.parametrize("make", [rg.SizeAndShape, rg.AngularShape])
def test_transport_is_isometric_horizontal_and_reversible(make, generator):
    manifold = make()
    for m, p in SIZES:
        x, y = (
            manifold.projx(torch.randn(5, m, p, dtype=torch.float64, generator=generator)) for _ in range(2)
        )
        v, w = (
            manifold.proju(x, torch.randn(5, m, p, dtype=torch.float64, generator=generator))
            for _ in range(2)
        )
        tv, tw = manifold.transp(x, y, v), manifold.transp(x, y, w)
        np.testing.assert_allclose(manifold.inner(y, tv, tw), manifold.inner(x, v, w), atol=1e-12)
        skew = y.mT @ tv - (y.mT @ tv).mT
        assert float(skew.abs().max() / y.norm(dim=(-2, -1)).max()) < 1e-12
        np.testing.assert_allclose(manifold.transp(y, x, tv), v, atol=1e-12)


def test_transport_returns_the_gauge_of_the_target(generator):
    manifold = rg.SizeAndShape()
    x, y = (manifold.projx(torch.randn(8, 3, dtype=torch.float64, generator=generator)) for _ in range(2))
    v = manifold.proju(x, torch.randn(8, 3, dtype=torch.float64, generator=generator))
    q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=generator))
    np.testing.assert_allclose(manifold.transp(x, y @ q, v), manifold.transp(x, y, v) @ q, atol=1e-12)
    np.testing.assert_allclose(manifold.transp(x @ q, y, v @ q), manifold.transp(x, y, v), atol=1e-12)


def test_two_columns_have_a_closed_form(generator):
    manifold = rg.SizeAndShape()
    x, v, u = scene(manifold, 7, 2, generator, 0.5)
    a, b, c = ((s * t).sum() for s, t in ((x, x), (x, v), (v, v)))
    q = a + 2 * b + c
    j = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    c0 = (u.T @ v - v.T @ u)[0, 1]
    f = c0 * q.sqrt() * ((a.sqrt() - (a + b) / q.sqrt()) / (a * c - b**2))
    moved = carry_in_flat(x, v, u)
    # V = u + g f' - v f at t = 1, and horizontality fixes f': (x+v)'V is symmetric.
    g = x + v
    rest = u - v @ (f * j)
    slope = (rest.T @ g - g.T @ rest)[0, 1] / (g * g).sum()
    np.testing.assert_allclose(moved, rest + g @ (slope * j), atol=1e-13)


def test_cone_identity(generator):
    manifold = rg.AngularShape()
    x, w, u = scene(manifold, 7, 3, generator, 1.0)
    w = w / w.norm()
    u = u - (u * w).sum() * w
    theta = 0.3
    np.testing.assert_allclose(
        carry_in_sphere(x, theta * w, u), carry_in_flat(x, np.tan(theta) * w, u), atol=1e-13
    )


def test_float32_transport_keeps_its_digits(generator):
    manifold = rg.AngularShape()
    x, y = (manifold.projx(torch.randn(100, 16, dtype=torch.float64, generator=generator)) for _ in range(2))
    v = manifold.proju(x, torch.randn(100, 16, dtype=torch.float64, generator=generator))
    v = v / v.norm()
    single = manifold.transp(x.float(), y.float(), v.float())
    assert float((single.double() - manifold.transp(x, y, v)).norm()) < 2e-6


def test_transport_through_a_singular_point_warns_and_keeps_the_length(generator):
    manifold = rg.AngularShape()
    x = manifold.projx(torch.randn(20, 4, 5, dtype=torch.float64, generator=generator))
    u, v = (
        manifold.proju(x, torch.randn(20, 4, 5, dtype=torch.float64, generator=generator)) for _ in range(2)
    )
    beyond = 1.3 * manifold.cut_time(x, u)[:, None, None]
    with pytest.warns(rg.CutLocusWarning, match="deficient rank"):
        moved = manifold.carry(x, beyond * u, v)
    np.testing.assert_allclose(moved.norm(dim=(-2, -1)), v.norm(dim=(-2, -1)), rtol=2e-3)


def test_vertical_projection_matches_least_squares(generator):
    manifold = rg.SizeAndShape()
    for m, p in [*SIZES, (5, 1)]:
        for scale in (1e-8, 1.0, 1e8):
            x, w = (scale * torch.randn(m, p, dtype=torch.float64, generator=generator) for _ in range(2))
            ours = manifold.action.vertical(x, w)
            np.testing.assert_allclose(
                ours, oracles.vertical_projection_lstsq(x.numpy(), w.numpy()), atol=1e-11 * scale
            )


def test_vertical_projection_at_deficient_rank(generator):
    manifold = rg.SizeAndShape()
    x = torch.randn(8, 1, dtype=torch.float64, generator=generator) @ torch.randn(
        1, 4, dtype=torch.float64, generator=generator
    )
    w = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    np.testing.assert_allclose(
        manifold.action.vertical(x, w), oracles.vertical_projection_lstsq(x.numpy(), w.numpy()), atol=1e-12
    )
