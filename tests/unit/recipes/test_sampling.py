"""Random points around a mean: moments against closed forms and quadrature."""

import math

import geoopt
import numpy as np
import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg
from repsim_geo.errors import ConvergenceWarning, NotOnManifoldError, ShapeError
from repsim_geo.recipes.sampling import _correlation, sample_around

SEEDS = pytest.mark.parametrize("seed", [0, 1])
SHORT = {"n_burnin": 40, "n_steps": 30}
BOTH = pytest.mark.parametrize("method", ["langevin", "wrapped"])


def seeded(number):
    return torch.Generator().manual_seed(number)


def agrees(values, expected):
    """Mean of a thousand or more numbers within five standard errors of independent ones."""
    assert len(values) >= 1000
    error = 5 * float(values.std()) / math.sqrt(len(values))
    assert float(values.mean()) == pytest.approx(expected, abs=error)


def mean_square(radial, scale, low, high, n=200_001):
    """Of the distance, where spheres of radius r have areas in proportion to ``radial(r)``."""
    r = np.linspace(low, high, n)
    weight = np.exp(-(r**2) / (2 * scale**2)) * radial(r)
    return np.trapezoid(r**2 * weight, r) / np.trapezoid(weight, r)


@SEEDS
@BOTH
@pytest.mark.parametrize(("p", "scale"), [(1, 0.5), (6, 2.0)])
def test_flat_space_has_the_normal_distribution(method, p, scale, seed):
    center = torch.linspace(-1, 1, p, dtype=torch.float64)
    found = sample_around(rg.Flat(1), center, scale, 3000, method=method, generator=seeded(seed))
    away = (found.points - center) / scale
    agrees(away.flatten(), 0.0)
    agrees(away.square().flatten(), 1.0)
    agrees(away[:, 0] * away[:, -1], 1.0 if p == 1 else 0.0)
    agrees(away.pow(4).flatten(), 3.0)


@SEEDS
@pytest.mark.parametrize("scale", [0.4, 1.5])
def test_riemannian_normal_on_the_sphere(scale, seed):
    center = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    found = sample_around(rg.UnitSphere(1), center, scale, 2000, **SHORT, generator=seeded(seed))
    agrees(found.distances.square(), mean_square(np.sin, scale, 0, math.pi))


@SEEDS
def test_wrapped_normal_on_the_sphere_is_farther_out(seed):
    center = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    found = sample_around(rg.UnitSphere(1), center, 0.4, 3000, method="wrapped", generator=seeded(seed))
    agrees(found.distances.square(), 2 * 0.4**2)
    assert mean_square(np.sin, 0.4, 0, math.pi) < 0.96 * 2 * 0.4**2


@SEEDS
def test_riemannian_normal_of_positive_definite_matrices(seed):
    """Eigenvalues e^g, e^h: (g + h) / sqrt 2 is normal, b = (g - h) / sqrt 2 has |sinh(b / sqrt 2)|."""
    scale, center = 0.8, torch.tensor([[2.0, 0.9], [0.9, 0.5]], dtype=torch.float64)
    found = sample_around(rg.AffineInvariantSPD(), center, scale, 1000, **SHORT, generator=seeded(seed))
    rest = mean_square(lambda b: np.sinh(b / math.sqrt(2)), scale, 0, 12)
    agrees(found.distances.square(), scale**2 + rest)
    agrees(torch.linalg.det(found.points).log() - torch.linalg.det(center).log(), 0.0)


@BOTH
@pytest.mark.parametrize("case", [case for case in MANIFOLDS if not case.slow], ids=str)
def test_points_lie_on_every_manifold_around_their_mean(case, method):
    manifold = case.make()
    center = manifold.random(*case.point, dtype=torch.float64, generator=seeded(3)).as_subclass(torch.Tensor)
    found = sample_around(
        manifold, center, 0.05, 8, method=method, n_burnin=10, n_steps=10, generator=seeded(1)
    )
    assert found.points.shape == (8, *case.point)
    assert type(found.points) is torch.Tensor
    assert manifold.check_point_on_manifold(found.points)
    torch.testing.assert_close(found.distances, manifold.dist(center, found.points).reshape(8))
    # Distances are about scale * sqrt(dimension).
    typical = 0.05 * math.sqrt(manifold.dim(*case.point))
    assert 0.4 * typical < float(found.distances.square().mean().sqrt()) < 1.6 * typical


@pytest.mark.parametrize(("p", "scale"), [(2, 0.1), (50, 1.0), (300, 10.0)])
def test_steps_are_adapted_to_what_is_accepted(p, scale):
    found = sample_around(rg.Flat(1), torch.zeros(p), scale, 200, generator=seeded(0))
    assert 0.6 < found.acceptance < 0.8
    assert 0.1 * scale < found.step < 3 * scale
    assert abs(found.memory) < 0.3


def test_correlation_is_that_of_numpy():
    a = torch.randn(50, generator=seeded(0))
    b = a + torch.randn(50, generator=seeded(1))
    assert _correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)
    assert math.isnan(_correlation(a[:2], b[:2]))
    assert math.isnan(_correlation(torch.ones(5), b[:5]))


def test_too_few_steps_are_told():
    with pytest.warns(ConvergenceWarning, match=r"sample_around took 1 steps.*Raise n_steps"):
        found = sample_around(rg.Flat(1), torch.zeros(100), 1.0, 500, n_steps=1, generator=seeded(0))
    assert found.memory > 0.5


@BOTH
def test_scaled_manifolds_are_sampled_in_their_own_unit(method):
    manifold = geoopt.Scaled(rg.UnitSphere(1), 5.0)
    center = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    found = sample_around(manifold, center, 0.5, 2000, method=method, generator=seeded(2))
    agrees(found.distances.double().square(), 2 * 0.5**2)


def test_the_seed_decides_and_nothing_else_is_touched():
    center, kept = torch.zeros(3), torch.zeros(3)
    state = torch.random.get_rng_state()
    first, second = (sample_around(rg.Flat(1), center, 1.0, 5, generator=seeded(4)).points for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(center, kept)
    assert torch.equal(state, torch.random.get_rng_state())


def test_one_point_and_no_burnin():
    found = sample_around(rg.Flat(1), np.zeros(3), 1.0, 1, n_burnin=0, n_steps=1, generator=seeded(0))
    assert found.points.shape == (1, 3)
    assert found.points.dtype == torch.float64
    assert math.isnan(found.memory)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": 0.0}, ValueError, "scale must be a positive number in the unit of the distance, got 0.0"),
        ({"scale": math.inf}, ValueError, "scale must be a positive number"),
        ({"n": 0}, ValueError, "n must be a whole number, 1 or more, got 0"),
        ({"n_steps": 0}, ValueError, "n_steps must be a whole number, 1 or more, got 0"),
        ({"n_burnin": -1}, ValueError, "n_burnin must be a whole number, 0 or more, got -1"),
        ({"method": "gibbs"}, ValueError, "method must be one of langevin, wrapped, got 'gibbs'"),
        ({"mean": torch.zeros(3)}, NotOnManifoldError, "points must lie on the manifold"),
        ({"mean": torch.eye(3)}, ShapeError, r"points must have shape \(n, \*point\)"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    given = {"mean": torch.tensor([1.0, 0.0, 0.0]), "scale": 1.0, "n": 5} | options
    with pytest.raises(error, match=message):
        sample_around(rg.UnitSphere(1), given.pop("mean"), given.pop("scale"), given.pop("n"), **given)
