"""The pole ladder: exact where it must be, of its order elsewhere, and against other transports."""

import geoopt
import numpy as np
import oracles
import pytest
import torch

import repsim_geo as rg
from repsim_geo.manifolds.ladder import LadderTransport, pole_ladder
from repsim_geo.manifolds.spd import LogEuclideanSPD

SHAPES = [
    pytest.param(rg.SizeAndShape(), (6, 3), id="size_and_shape"),
    pytest.param(rg.AngularShape(), (6, 3), id="angular_shape"),
    pytest.param(
        rg.Quotient(rg.Flat(2, rg.ColumnCentered()), rg.SpecialOrthogonal()), (5, 2), id="rotations"
    ),
]


def draw(manifold, point, generator, *batch, n=3):
    """Points and directions that are plain tensors."""
    return torch.randn(n, *batch, *point, dtype=torch.float64, generator=generator).unbind(0)


def scene(manifold, point, generator, reach, *batch):
    """Two points at this fraction of the injectivity radius, and a unit vector at the first."""
    x, u, v = draw(manifold, point, generator, *batch)
    x = manifold.projx(x)
    u, v = (manifold.proju(x, w) for w in (u, v))
    u, v = (w / manifold.norm(x, w, keepdim=True) for w in (u, v))
    radius = torch.as_tensor(manifold.injectivity_radius(x), dtype=torch.float64)
    return x, manifold.expmap(x, reach * radius[(..., *[None] * manifold.ndim)] * u), v


def positive(generator, *batch, n, size=3):
    a = torch.randn(n, *batch, size, size + 2, dtype=torch.float64, generator=generator)
    return (a @ a.mT).unbind(0)


# ---------------------------------------------------------------------- symmetric spaces: exact


@pytest.mark.parametrize("reach", [1e-6, 0.01, 0.5, 0.9])
@pytest.mark.parametrize(
    ("manifold", "point"),
    [(rg.UnitSphere(1), (5,)), (rg.UnitSphere(2, rg.DoubleCentered()), (5, 5))],
    ids=["sphere", "gram_sphere"],
)
def test_exact_on_spheres(manifold, point, reach, generator):
    x, y, v = scene(manifold, point, generator, reach, 6)
    # Rounding of points over the length of a piece; a third of the digits is the most that is lost.
    loss = min(1 / (np.pi * reach / 8), 2e5)
    for steps in (1, 4):
        moved = pole_ladder(manifold, x, y, v, steps=steps)
        np.testing.assert_allclose(moved, manifold.transp(x, y, v), atol=20 * steps * 2.2e-16 * loss)


def test_exact_in_flat_space(generator):
    x, y, v = draw(rg.Flat(2), (3, 2), generator, 4)
    np.testing.assert_allclose(pole_ladder(rg.Flat(2), x, y, v), v, atol=1e-13)


def test_exact_for_affine_invariant_matrices(generator):
    manifold = geoopt.SymmetricPositiveDefinite()
    x, y, v = positive(generator, 5, n=3)
    v = v - v.mean(0)
    exact = manifold.transp(x, y, v)
    np.testing.assert_allclose(pole_ladder(manifold, x, y, v), exact, atol=1e-10 * float(exact.abs().max()))


def test_exact_in_log_euclidean_space(generator):
    manifold = LogEuclideanSPD()
    x, y, v = positive(generator, 5, n=3)
    v = v - v.mean(0)
    exact = manifold.transp(x, y, v)
    np.testing.assert_allclose(pole_ladder(manifold, x, y, v), exact, atol=1e-10 * float(exact.abs().max()))


def test_exact_in_hyperbolic_space(generator):
    manifold = geoopt.Lorentz()
    x, y, v = (0.5 * torch.randn(4, 5, dtype=torch.float64, generator=generator) for _ in range(3))
    x, y = manifold.projx(x), manifold.projx(y)
    v = manifold.proju(x, v)
    np.testing.assert_allclose(pole_ladder(manifold, x, y, v), manifold.transp(x, y, v), atol=1e-8)


# ---------------------------------------------------------------------- shape spaces: fourth order


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("manifold", "point"), SHAPES)
def test_error_falls_with_the_fourth_power(manifold, point, seed):
    x, y, v = scene(manifold, point, torch.Generator().manual_seed(seed), 0.8)
    exact = manifold.transp(x, y, v)
    errors = [float((pole_ladder(manifold, x, y, v, steps=n) - exact).norm()) for n in (2, 4, 8)]
    assert errors[2] < 1e-5
    assert errors[0] / errors[1] > 11
    assert errors[1] / errors[2] > 11


@pytest.mark.parametrize(("manifold", "point"), SHAPES)
def test_close_points(manifold, point, generator):
    for reach in (1e-2, 1e-4, 1e-6, 1e-10):
        x, y, v = scene(manifold, point, generator, reach, 4)
        np.testing.assert_allclose(pole_ladder(manifold, x, y, v), manifold.transp(x, y, v), atol=2e-8)


def test_agrees_with_the_differential_equation(generator):
    manifold = rg.AngularShape()
    x, y, v = scene(manifold, (7, 3), generator, 0.5)
    fine = oracles.shape_transport_ode(x.numpy(), manifold.logmap(x, y).numpy(), v.numpy(), kendall=True)
    aligned = manifold.expmap(x, manifold.logmap(x, y))
    np.testing.assert_allclose(pole_ladder(manifold, x, aligned, v, steps=16), fine, atol=1e-9)


def test_returns_the_gauge_of_the_target(generator):
    manifold = rg.SizeAndShape()
    x, y, v = scene(manifold, (6, 3), generator, 0.3)
    q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=generator))
    np.testing.assert_allclose(
        pole_ladder(manifold, x, y @ q, v), pole_ladder(manifold, x, y, v) @ q, atol=1e-11
    )


@pytest.mark.parametrize(("manifold", "point"), SHAPES)
def test_single_precision(manifold, point, generator):
    x, y, v = scene(manifold, point, generator, 0.3)
    moved = pole_ladder(manifold, x.float(), y.float(), v.float())
    assert moved.dtype == torch.float32
    np.testing.assert_allclose(moved, manifold.transp(x, y, v), atol=5e-4)


# ---------------------------------------------------------------------- degenerate scenes, batches


@pytest.mark.parametrize(("manifold", "point"), [*SHAPES, pytest.param(rg.UnitSphere(1), (4,), id="sphere")])
def test_from_a_point_to_itself_and_of_the_zero_vector(manifold, point, generator):
    x, y, v = scene(manifold, point, generator, 0.2, 3)
    leaves = [w.requires_grad_() for w in (x, v)]
    still = pole_ladder(manifold, x, x.detach().clone(), v)
    np.testing.assert_array_equal(still.detach(), v.detach())
    nothing = pole_ladder(manifold, x, y, 0 * v)
    assert float(nothing.detach().abs().max()) < 1e-10
    for w in torch.autograd.grad(still.sum() + nothing.sum(), leaves):
        assert bool(w.isfinite().all())


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_neither_the_length_of_the_vector_nor_the_scale_of_the_points_matters(scale, generator):
    manifold = rg.SizeAndShape()
    x, y, v = scene(manifold, (6, 3), generator, 0.3)
    moved = pole_ladder(manifold, x, y, v)
    np.testing.assert_allclose(pole_ladder(manifold, x, y, scale * v) / scale, moved, atol=1e-12)
    np.testing.assert_allclose(pole_ladder(manifold, scale * x, scale * y, v), moved, atol=1e-12)


def test_leading_axes_broadcast(generator):
    manifold = rg.SizeAndShape()
    x, y, _ = scene(manifold, (5, 2), generator, 0.3, 3)
    v = manifold.proju(x[0], torch.randn(4, 1, 5, 2, dtype=torch.float64, generator=generator))
    moved = pole_ladder(manifold, x[0], y, v)
    assert moved.shape == (4, 3, 5, 2)
    np.testing.assert_allclose(moved[1, 2], pole_ladder(manifold, x[0], y[2], v[1, 0]), atol=1e-12)


def test_steps_are_counted_from_one():
    x = torch.zeros(2)
    with pytest.raises(ValueError, match=r"at least one step, got steps=0\. Four"):
        pole_ladder(rg.Flat(1), x, x, x, steps=0)


def test_derivatives(generator):
    for manifold, point in ((rg.UnitSphere(1), (3,)), (rg.SizeAndShape(), (4, 2))):
        inputs = [w.clone().requires_grad_() for w in scene(manifold, point, generator, 0.4)]
        assert torch.autograd.gradcheck(
            lambda *w, m=manifold: pole_ladder(m, *w, steps=1), inputs, eps=1e-5, atol=1e-5
        )


# ---------------------------------------------------------------------- a manifold without a transport


class Climbed(LadderTransport, rg.SizeAndShape):
    ladder_steps = 8


class Bare(geoopt.SymmetricPositiveDefinite):
    """A foreign manifold that forgot its transport."""

    transp = geoopt.Manifold.transp


class Helped(LadderTransport, Bare):
    pass


def test_mixin_gives_a_transport(generator):
    manifold, exact = Climbed(), rg.SizeAndShape()
    x, y, v = scene(exact, (6, 3), generator, 0.3)
    u = exact.logmap(x, y)
    aligned = exact.expmap(x, u)
    assert manifold.transport == "parallel"
    np.testing.assert_allclose(manifold.transp(x, y, v), exact.transp(x, y, v), atol=1e-8)
    np.testing.assert_allclose(manifold.carry(x, u, v), exact.carry(x, u, v), atol=1e-8)
    end, moved = manifold.expmap_transp(x, u, v)
    np.testing.assert_allclose(end, aligned, atol=1e-15)
    np.testing.assert_allclose(moved, exact.carry(x, u, v), atol=1e-8)
    scaled = geoopt.Scaled(manifold, 4.0)
    np.testing.assert_allclose(scaled.transp(x, y, v), exact.transp(x, y, v), atol=1e-8)
    np.testing.assert_allclose(pole_ladder(scaled, x, y, v, steps=8), exact.transp(x, y, v), atol=1e-8)


def test_mixin_serves_foreign_manifolds(generator):
    x, y, v = positive(generator, n=3)
    exact = geoopt.SymmetricPositiveDefinite()
    with pytest.raises(NotImplementedError):
        Bare().transp(x, y, v)
    np.testing.assert_allclose(Helped().transp(x, y, v), exact.transp(x, y, v), rtol=1e-8)
    u = exact.logmap(x, y)
    np.testing.assert_allclose(Helped().transp_follow_expmap(x, u, v), exact.transp(x, y, v), rtol=1e-8)
