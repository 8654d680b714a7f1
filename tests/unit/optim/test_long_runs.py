"""Thousands of steps in single precision stay on the manifold, whoever takes them."""

import geoopt
import pytest
import torch
from cases import MANIFOLDS

from repsim_geo.optim.langevin import RiemannianLangevin
from repsim_geo.optim.parallel_adam import ParallelAdam

RANGE = [
    case
    for case in MANIFOLDS
    if case.name
    in (
        "angular_cka",
        "stress",
        "angular_rdm_whitened",
        "size_and_shape",
        "kendall",
        "affine_invariant_spd",
        "log_euclidean_spd",
        "bures_wasserstein_spd",
        "grassmannian",
        "angular_permutation",
    )
]
DESCENTS = {
    "adam": lambda x: geoopt.optim.RiemannianAdam([x], lr=0.05),
    "sgd": lambda x: geoopt.optim.RiemannianSGD([x], lr=0.02, momentum=0.9),
    "parallel_adam": lambda x: ParallelAdam([x], lr=0.05),
}


PAIRS = [
    pytest.param(case, name, id=f"{case}-{name}")
    for case in RANGE
    for name in DESCENTS
    if name != "parallel_adam" or case.make().congruent
]


def off(manifold, x):
    """How far a tensor is from the point that it should be, relative to its size."""
    nearest = manifold.projx(x)
    return float((x - nearest).abs().amax() / nearest.abs().amax())


def start(case):
    manifold = case.make()
    target = manifold.random(3, *case.point, dtype=torch.float32, generator=torch.Generator().manual_seed(0))
    target = target.as_subclass(torch.Tensor)
    return manifold, target, geoopt.ManifoldParameter(target.clone(), manifold=manifold)


def descend(case, name, steps):
    """Descent towards a target that noise pushes away from, so that no step is small nor ever larger."""
    manifold, target, x = start(case)
    optimizer, generator = DESCENTS[name](x), torch.Generator().manual_seed(1)
    for _ in range(steps):
        (pull,) = torch.autograd.grad(manifold.dist2(x, target).sum(), x)
        # Noise as long in the metric wherever x is: plain noise in the Euclidean gradient would grow with x.
        noise = manifold.isotropic(x.detach(), torch.randn(x.shape, generator=generator))
        x.grad = pull + manifold.rgrad2egrad(x.detach(), noise) * pull.norm().clamp_max(1.0)
        optimizer.step()
    return manifold, x.detach()


def wander(case, steps):
    manifold, target, x = start(case)
    sampler = RiemannianLangevin([x], 0.05, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        sampler.step(lambda: -2 * manifold.dist2(x, target))
    assert sampler.acceptance_rate > 0.5
    return manifold, x.detach()


@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_a_hundred_steps_of_descent_stay_on_the_manifold(case, name):
    manifold, x = descend(case, name, 100)
    assert off(manifold, x) < 1e-5
    assert manifold.check_point_on_manifold(x)


@pytest.mark.parametrize("case", RANGE, ids=str)
def test_a_hundred_samples_stay_on_the_manifold(case):
    manifold, x = wander(case, 100)
    assert off(manifold, x) < 1e-5
    assert manifold.check_point_on_manifold(x)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_ten_thousand_steps_of_descent_stay_on_the_manifold(case, name):
    manifold, x = descend(case, name, 10_000)
    assert off(manifold, x) < 1e-5
    assert manifold.check_point_on_manifold(x)


@pytest.mark.slow
@pytest.mark.parametrize("case", RANGE, ids=str)
def test_ten_thousand_samples_stay_on_the_manifold(case):
    manifold, x = wander(case, 10_000)
    assert off(manifold, x) < 1e-5
    assert manifold.check_point_on_manifold(x)
