"""Questions to any geoopt manifold, checked by hand where a hand can."""

import math

import geoopt
import numpy as np
import oracles
import pytest
import torch

import repsim_geo as rg

NORTH, EAST, SOUTHWARD = torch.eye(3, dtype=torch.float64)


def test_octant_of_the_sphere_has_three_right_angles():
    for manifold in (rg.UnitSphere(1), geoopt.SphereExact()):
        assert float(rg.angle(manifold, NORTH, EAST, SOUTHWARD)) == pytest.approx(math.pi / 2)
    assert float(rg.UnitSphere(1).angle(NORTH, EAST, SOUTHWARD)) == pytest.approx(math.pi / 2)


def test_angle_at_a_side_without_length_is_zero():
    assert float(rg.angle(rg.UnitSphere(1), EAST, EAST, SOUTHWARD)) == 0


def test_small_angles_are_exact():
    flat = rg.Flat(1)
    x, y, z = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1e-12]], dtype=torch.float64)
    assert float(rg.angle(flat, x, y, z)) == pytest.approx(1e-12, rel=1e-12)


def test_sign_of_alexandrov_curvature():
    generator = torch.Generator().manual_seed(0)
    for manifold, point, sign in (
        (rg.UnitSphere(1), (4,), 1),
        (rg.Flat(1), (4,), 0),
        (rg.SizeAndShape(), (7, 3), 1),
    ):
        for _ in range(10):
            x, y, z = (manifold.random(*point, dtype=torch.float64, generator=generator) for _ in range(3))
            value = float(rg.alexandrov_curvature(manifold, x, y, z))
            assert value > 0 if sign else abs(value) < 1e-13


def test_median_of_an_octant_in_closed_form():
    # cos(median) = (cos a + cos b) / (2 cos(c / 2)) = 0: the median is a right angle.
    flat = math.sqrt((math.pi / 2) ** 2 * 0.75)
    value = rg.alexandrov_curvature(rg.UnitSphere(1), NORTH, EAST, SOUTHWARD)
    assert float(value) == pytest.approx(math.pi / 2 - flat)


def test_path_puts_times_first():
    x, y = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    points = rg.path(rg.Flat(2), x, y, [0.0, 0.25, 1.0])
    assert points.shape == (3, 2, 3, 4)
    assert float(points[1].mean()) == pytest.approx(0.25)


def test_geodesic_broadcasts_times_against_points():
    sphere = rg.UnitSphere(2)
    x, y = sphere.random(2, 3, dtype=torch.float64), sphere.random(2, 3, dtype=torch.float64)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    points = rg.geodesic(sphere, t[:, None, None], x, y)
    np.testing.assert_allclose(sphere.dist(x, points), t * sphere.dist(x, y), atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kendall", [False, True], ids=["size_and_shape", "kendall"])
def test_cut_time_is_that_of_bisection(seed, kendall):
    manifold = rg.AngularShape() if kendall else rg.SizeAndShape()
    generator = torch.Generator().manual_seed(seed)
    x = manifold.random(6, 3, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u = manifold.proju(x, torch.randn(6, 3, dtype=torch.float64, generator=generator))
    exact = oracles.cut_time_bruteforce(x.numpy(), u.numpy(), kendall=kendall)
    assert float(manifold.cut_time(x, u)) == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("make", [rg.AngularShape, rg.SizeAndShape])
def test_curvature_is_that_of_small_triangles(make):
    manifold = make()
    generator = torch.Generator().manual_seed(0)
    x = manifold.random(6, 3, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u, v = (manifold.proju(x, torch.randn(6, 3, dtype=torch.float64, generator=generator)) for _ in range(2))
    # The oracle walks a fraction of the vectors: keep that short of the cut locus.
    u, v = (w / w.norm() * manifold.injectivity_radius(x) for w in (u, v))
    measured = oracles.sectional_curvature_from_distances(
        lambda a, b: float(manifold.dist(torch.tensor(a), torch.tensor(b))),
        lambda a, w: manifold.expmap(torch.tensor(a), torch.tensor(w)).numpy(),
        x.numpy(),
        u.numpy(),
        v.numpy(),
    )
    assert float(manifold.sectional_curvature(x, u, v)) == pytest.approx(measured, abs=1e-6)


@pytest.mark.parametrize(("m", "p"), [(4, 1), (5, 2), (5, 3), (4, 6), (3, 3), (2, 2)])
def test_dimension_is_the_rank_of_the_horizontal_projection(m, p):
    assert rg.SizeAndShape().dim(m, p) == oracles.quotient_dimension(m, p)
    assert rg.AngularShape().dim((m, p)) == oracles.quotient_dimension(m, p, kendall=True)


def test_sphere_maps_match_sixty_digits(generator):
    sphere = rg.UnitSphere(1)
    x = sphere.random(6, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u, v = (sphere.proju(x, torch.randn(6, dtype=torch.float64, generator=generator)) for _ in range(2))
    for length in (1e-8, 1e-3, 1.0, 3.0):
        w = length * u / u.norm()
        y = sphere.expmap(x, w)
        np.testing.assert_allclose(y, oracles.sphere_exp_mpmath(x.numpy(), w.numpy()), atol=4e-16)
        np.testing.assert_allclose(
            sphere.logmap(x, y),
            oracles.sphere_log_mpmath(x.numpy(), y.numpy()),
            rtol=1e-13,
            atol=1e-15 * length,
        )
        np.testing.assert_allclose(
            sphere.transp(x, y, v),
            oracles.sphere_transport_mpmath(x.numpy(), w.numpy(), v.numpy()),
            atol=1e-14,
        )


def test_antipodes_have_a_logarithm_of_length_pi_and_a_warning():
    sphere = rg.UnitSphere(1)
    x = sphere.random(3, 5, dtype=torch.float64).as_subclass(torch.Tensor)
    with pytest.warns(rg.CutLocusWarning, match="antipodal"):
        u = sphere.logmap(x, -x)
    np.testing.assert_allclose(sphere.norm(x, u), math.pi)
    np.testing.assert_allclose(sphere.expmap(x, u), -x, atol=1e-15)
    assert float(sphere.dist(x, -x)[0]) == pytest.approx(math.pi)
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(sphere.dist(leaf, -x).sum(), leaf)
    assert bool(g.isfinite().all())


def test_facts_that_are_not_known_say_so():
    class Bare(rg.RiemannianManifold):
        retr = expmap = logmap = inner = projx = proju = None
        _check_point_on_manifold = _check_vector_on_tangent = None

    bare = Bare()
    for name, arguments in (
        ("carry", (None, None, None)),
        ("dim", (3,)),
        ("injectivity_radius", ()),
        ("cut_time", (None, None)),
        ("sectional_curvature", (None, None, None)),
    ):
        with pytest.raises(NotImplementedError, match=f"Bare.{name}"):
            getattr(bare, name)(*arguments)


def test_random_elements_of_the_groups():
    generator = torch.Generator().manual_seed(0)
    signs = set()
    for _ in range(20):
        q = rg.Orthogonal().sample(3, dtype=torch.float64, generator=generator)
        np.testing.assert_allclose(q.T @ q, torch.eye(3), atol=1e-14)
        signs.add(round(float(torch.linalg.det(q))))
        assert float(
            torch.linalg.det(rg.SpecialOrthogonal().sample(3, generator=generator))
        ) == pytest.approx(1)
    assert signs == {-1, 1}
