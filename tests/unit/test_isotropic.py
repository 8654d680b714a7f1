"""Standard normal tangent vectors, of every metric."""

import math

import geoopt
import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg

each_manifold = pytest.mark.parametrize("case", MANIFOLDS, ids=str)


def seeded(number):
    return torch.Generator().manual_seed(number)


def points(case, *batch, dtype=torch.float64):
    manifold = case.make()
    x = manifold.random(*batch, *case.point, dtype=torch.float64, generator=seeded(1))
    return manifold, x.as_subclass(torch.Tensor).to(dtype)


def normals(case, *batch, dtype=torch.float64):
    return torch.randn(*batch, *case.point, dtype=torch.float64, generator=seeded(2)).to(dtype)


def covariance(manifold, x):
    """Inner products of the images of the unit tensors: has the eigenvalues of the covariance, and zeros."""
    u = manifold.isotropic(x, torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape))
    return manifold.inner(x, u[:, None].expand(-1, len(u), *x.shape), u)


@each_manifold
def test_covariance_is_the_identity_of_the_tangent_space(case):
    manifold, x = points(case)
    wanted = torch.zeros(x.numel(), dtype=torch.float64)
    wanted[x.numel() - manifold.dim(*case.point) :] = 1
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance(manifold, x)), wanted, atol=1e-9, rtol=0)


@pytest.mark.parametrize("values", [(1.0, 1.0, 1.0), (1e3, 1.0, 1e-3)], ids=["equal", "ill_conditioned"])
@pytest.mark.parametrize("make", [rg.AffineInvariantSPD, rg.LogEuclideanSPD, rg.BuresWassersteinSPD])
def test_covariance_is_the_identity_at_delicate_matrices(make, values):
    manifold = make()
    basis = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=seeded(0)))[0]
    x = (basis * torch.tensor(values, dtype=torch.float64)) @ basis.mT
    x = (x + x.mT) / 2
    wanted = torch.tensor([0.0] * 3 + [1.0] * 6, dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance(manifold, x)), wanted, atol=1e-8, rtol=0)


def test_at_the_edge_of_bures_space_vectors_stay_in_what_is_left_of_the_tangent_space():
    bures, x = rg.BuresWassersteinSPD(), torch.diag(torch.tensor([4.0, 0.0, 0.0], dtype=torch.float64))
    u = bures.isotropic(x, torch.randn(5, 3, 3, dtype=torch.float64, generator=seeded(0)))
    assert bool((u[:, 1:, 1:] == 0).all())
    values = torch.linalg.eigvalsh(covariance(bures, x))
    torch.testing.assert_close(values, torch.tensor([0.0] * 6 + [1.0] * 3).double(), atol=1e-9, rtol=0)


@each_manifold
def test_vectors_are_tangent_and_linear_in_the_numbers(case):
    manifold, x = points(case, 4)
    z, w = normals(case, 4), normals(case, 4).flip(0)
    u = manifold.isotropic(x, z)
    assert manifold.check_vector_on_tangent(x, u, atol=1e-9, rtol=1e-9)
    both = manifold.isotropic(x, 2 * z - w)
    torch.testing.assert_close(both, 2 * u - manifold.isotropic(x, w), atol=1e-9, rtol=1e-9)


@each_manifold
def test_points_and_numbers_broadcast(case):
    manifold, x = points(case, 3)
    z = normals(case, 2, 3)
    u = manifold.isotropic(x, z)
    assert u.shape == (2, 3, *case.point)
    tolerance = {"atol": 1e-9, "rtol": 1e-9}
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(u[i, j], manifold.isotropic(x[j], z[i, j]), **tolerance)
    torch.testing.assert_close(
        manifold.isotropic(x, z[0, 0]), manifold.isotropic(x, z[0, :1].expand_as(x)), **tolerance
    )
    torch.testing.assert_close(
        manifold.isotropic(x[0], z[0]), manifold.isotropic(x[:1].expand_as(x), z[0]), **tolerance
    )


@each_manifold
def test_single_precision_agrees_with_double(case):
    manifold, x = points(case, 3, dtype=torch.float32)
    z = normals(case, 3, dtype=torch.float32)
    u = manifold.isotropic(x, z)
    assert u.dtype == torch.float32
    torch.testing.assert_close(u.double(), manifold.isotropic(x.double(), z.double()), atol=1e-4, rtol=1e-4)


@each_manifold
def test_vmap_gives_what_the_batch_gives(case):
    manifold, x = points(case, 3)
    z = normals(case, 3)
    torch.testing.assert_close(
        torch.func.vmap(manifold.isotropic)(x, z), manifold.isotropic(x, z), atol=1e-9, rtol=1e-9
    )


@each_manifold
def test_a_scale_keeps_vectors_whose_lengths_are_scaled_distances(case):
    manifold, x = points(case)
    scaled = geoopt.Scaled(manifold, 4.0)
    z = normals(case)
    u = scaled.isotropic(x, z)
    assert torch.equal(u, manifold.isotropic(x, z))
    assert torch.equal(scaled.random_tangent(x, seeded(2)), manifold.random_tangent(x, seeded(2)))
    distance = scaled.dist(x, scaled.expmap(x, 1e-4 * u))
    torch.testing.assert_close(distance, 1e-4 * scaled.norm(x, u), rtol=1e-4, atol=0)


@each_manifold
def test_squared_lengths_have_the_dimension_for_their_mean(case):
    manifold, x = points(case)
    n, dim = (200 if case.slow else 4000), manifold.dim(*case.point)
    u = manifold.random_tangent(x.expand(n, *case.point), seeded(3))
    # Chi square of `dim` degrees of freedom: variance 2 dim; five standard errors.
    mean = float(manifold.inner(x, u).mean())
    assert mean == pytest.approx(dim, abs=5 * math.sqrt(2 * dim / n))


def test_random_vectors_come_from_the_generator_or_from_torch():
    sphere, x = rg.UnitSphere(1), torch.tensor([0.0, 0.0, 1.0])
    state = torch.random.get_rng_state()
    assert torch.equal(sphere.random_tangent(x, seeded(0)), sphere.random_tangent(x, generator=seeded(0)))
    assert torch.equal(state, torch.random.get_rng_state())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert torch.equal(sphere.random_tangent(x), sphere.random_tangent(x, seeded(0)))


@pytest.mark.parametrize("center", [0.2, 5.0])
def test_a_converted_gradient_of_noise_is_wrong_by_the_center(center):
    spd, x = rg.AffineInvariantSPD(), torch.full((1, 1), center)
    z = torch.ones(1, 1)
    assert float(spd.norm(x, spd.isotropic(x, z))) == pytest.approx(1.0)
    assert float(spd.norm(x, spd.egrad2rgrad(x, z))) == pytest.approx(center)
