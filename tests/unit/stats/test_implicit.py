"""Derivatives of Fréchet means against finite differences along geodesics."""

import geoopt
import pytest
import torch

import repsim_geo as rg

CASES = {
    "flat": (rg.Flat(2), (3, 2), 1.0),
    "sphere": (rg.UnitSphere(1), (5,), 0.8),
    "angular_cka": (rg.AngularCKA(), (5, 5), 0.5),
    "affine_invariant": (rg.AffineInvariantSPD(), (4, 4), 1.0),
    "log_euclidean": (rg.LogEuclideanSPD(), (3, 3), 1.0),
    "bures_wasserstein": (rg.BuresWassersteinSPD(), (4, 4), 0.4),
    "size_and_shape": (rg.SizeAndShape(), (7, 3), 0.8),
    "angular_shape": (rg.AngularShape(), (7, 3), 0.4),
    "grassmannian": (rg.Grassmannian(), (6, 2), 0.4),
    "permutation": (rg.PermutationDistance(), (6, 3), 0.3),
}
FOREIGN = {
    "geoopt_sphere": (geoopt.Sphere(), rg.UnitSphere(1), (5,), 0.8),
    "geoopt_spd": (geoopt.SymmetricPositiveDefinite(), rg.AffineInvariantSPD(), (3, 3), 0.6),
    "scaled": (geoopt.Scaled(rg.UnitSphere(1), 2.0), rg.UnitSphere(1), (5,), 0.8),
}


def points(manifold, n, point, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    center = manifold.random(*point, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u = manifold.proju(center, torch.randn(n, *point, dtype=torch.float64, generator=generator))
    return manifold.expmap(center, spread * u / manifold.norm(center, u, keepdim=True))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", [*CASES, *FOREIGN])
def test_mean_has_the_derivative_of_finite_differences(name, seed):
    manifold, *rest = (CASES[name][0], *CASES[name]) if name in CASES else FOREIGN[name]
    draw, point, spread = rest
    x, target = points(draw, 5, point, spread, seed), points(draw, 1, point, spread, seed + 10)[0]
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(5, dtype=torch.float64, generator=generator) + 0.5
    u = draw.proju(x, torch.randn(x.shape, dtype=torch.float64, generator=generator))
    v = torch.randn(5, dtype=torch.float64, generator=generator)

    def f(x, w):
        return draw.dist2(rg.frechet_mean(manifold, x, w), target)

    x.requires_grad_()
    w.requires_grad_()
    by_points, by_weights = torch.autograd.grad(f(x, w), (x, w))
    h = 1e-5
    with torch.no_grad():
        along_points = (f(draw.expmap(x, h * u), w) - f(draw.expmap(x, -h * u), w)) / (2 * h)
        along_weights = (f(x, w + h * v) - f(x, w - h * v)) / (2 * h)
    assert float((by_points * u).sum()) == pytest.approx(float(along_points), abs=1e-8)
    assert float((by_weights * v).sum()) == pytest.approx(float(along_weights), abs=1e-8)


def test_several_populations_have_their_own_derivatives():
    sphere = rg.UnitSphere(1)
    x = torch.stack([points(sphere, 4, (5,), 0.6, seed) for seed in range(3)]).requires_grad_()
    weights = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (together,) = torch.autograd.grad(rg.frechet_mean(sphere, x, weights)[..., 0].sum(), x)
    for k in range(3):
        (alone,) = torch.autograd.grad(rg.frechet_mean(sphere, x[k], weights[k])[0], x)
        torch.testing.assert_close(together[k], alone[k], atol=1e-11, rtol=0)


def test_flat_mean_passes_gradcheck_in_one_weight_or_all():
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    w = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: rg.frechet_mean(rg.Flat(1), x, w), (x, w))
    assert torch.autograd.gradcheck(lambda x: rg.frechet_mean(rg.Flat(1), x, [1, 2, 3, 4]), (x,))


def test_gradients_reach_activations():
    metric = rg.AngularCKA()
    networks = torch.randn(3, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    networks.requires_grad_()
    target = metric.embed(torch.eye(8, 3, dtype=torch.float64))

    def loss(networks):
        return metric.dist(rg.frechet_mean(metric, metric.embed(networks)), target)

    assert torch.autograd.gradcheck(loss, (networks,), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_identical_points_have_finite_derivatives(dtype):
    for name in ("sphere", "size_and_shape", "affine_invariant"):
        manifold, point, _ = CASES[name]
        x = manifold.random(*point, dtype=dtype).as_subclass(torch.Tensor)
        x = x.expand(3, *point).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(rg.frechet_mean(manifold, x).square().sum(), x)
        assert bool(gradient.isfinite().all())


def test_undetermined_means_say_so():
    sphere = rg.UnitSphere(1)
    x = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64).requires_grad_()
    mean = rg.frechet_mean(sphere, x, init=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    with pytest.warns(rg.ConvergenceWarning, match="do not determine"):
        mean[2].backward()


def test_second_derivatives_are_refused():
    x = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (first,) = torch.autograd.grad(rg.frechet_mean(rg.Flat(1), x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_variance_is_that_of_the_mean_and_differentiable():
    sphere = rg.UnitSphere(1)
    x = points(sphere, 5, (4,), 0.7, 0)
    assert float(rg.frechet_variance(sphere, x)) == pytest.approx(
        float(rg.FrechetMean(sphere).fit(x).variance_)
    )
    u = sphere.proju(x, torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    (gradient,) = torch.autograd.grad(rg.frechet_variance(sphere, x.requires_grad_()), x)
    h, x = 1e-5, x.detach()
    ahead, behind = (rg.frechet_variance(sphere, sphere.expmap(x, s * u)) for s in (h, -h))
    assert float((gradient * u).sum()) == pytest.approx(float(ahead - behind) / (2 * h), abs=1e-8)
