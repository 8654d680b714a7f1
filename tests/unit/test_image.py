"""Which points are embeddings of activations, and activations for them."""

import pytest
import torch
from cases import METRICS

import repsim_geo as rg

pytestmark = pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")
each_metric = pytest.mark.parametrize("case", METRICS, ids=str)
UNREALIZED = {
    "angular_rdm_centered",
    "angular_rdm_correlation",
    "angular_rdm_cosine",
    "angular_rdm_whitened_centered",
}


def draw(case, seed, dtype=torch.float64):
    x = torch.randn(case.m, case.d, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    return x


@each_metric
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_embeddings_are_in_the_image(case, dtype):
    metric = case.make()
    for seed in range(5):
        assert bool(metric.in_image(metric.embed(draw(case, seed, dtype))))


def linear(metric):
    """The metric that realized features are for: the same with the linear kernel."""
    for module in metric.embedding.modules():
        if isinstance(getattr(module, "kernel", None), rg.Kernel):
            module.kernel = rg.Linear()
    return metric


@each_metric
def test_realized_activations_have_the_point(case):
    metric = case.make()
    if metric.takes_repeats:
        # Covariances have factors of d rows; responses without noise need fewer.
        metric = rg.StochasticShape(rank=case.d, starts=6)
    point = metric.embed(draw(case, 1))
    if case.name in UNREALIZED:
        with pytest.raises(NotImplementedError, match="realize is not written"):
            metric.realize(point)
        return
    x = metric.realize(point)
    again = linear(metric.resolve([x]) if not isinstance(x, tuple) else metric).embed(x)
    assert float(metric.dist(point, again)) < 1e-7 * max(1.0, float(metric.norm(point, point)))


def test_points_beyond_the_image_are_told_and_refused():
    metric = rg.AngularCKA()
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a = metric.embed(x)
    outside = -a
    assert not bool(metric.in_image(outside))
    assert metric.in_image(torch.stack([a, outside])).tolist() == [True, False]
    with pytest.raises(rg.NotOnManifoldError, match="no activations have it"):
        metric.realize(outside)
    assert bool(rg.AngularCKA(debiased=True).in_image(-rg.AngularCKA(debiased=True).embed(x)))


def test_distance_matrices_between_two_of_them_need_not_be_distances():
    g = torch.Generator().manual_seed(0)
    squared, plain = rg.AngularRDM(), rg.Stress()
    left = 0
    for _ in range(20):
        x, y = (torch.randn(8, 1, dtype=torch.float64, generator=g) for _ in range(2))
        assert bool(squared.in_image(rg.midpoint(squared, squared.embed(x), squared.embed(y))))
        left += not bool(plain.in_image(rg.midpoint(plain, plain.embed(x), plain.embed(y))))
    assert left > 10


def test_whitened_shapes_are_not_convex():
    metric = rg.SizeAndShape(p=3, whiten=0.9)
    g = torch.Generator().manual_seed(0)
    a, b = (metric.embed(torch.randn(9, 3, dtype=torch.float64, generator=g)) for _ in range(2))
    assert metric.in_image(torch.stack([a, b])).tolist() == [True, True]
    assert not bool(metric.in_image(rg.midpoint(metric, a, b)))
    white = rg.AngularShape(whiten=1.0)
    assert not bool(white.in_image(rg.AngularShape().embed(torch.diag(torch.tensor([3.0, 2.0, 1.0])))))


def test_cosine_dissimilarities_need_a_sphere():
    line = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    metric = rg.AngularRDM("cosine")
    squares = rg.squared_distance_matrix(line)
    assert bool(rg.AngularRDM().in_image(rg.AngularRDM().embed_dissimilarities(squares)))
    assert not bool(metric.in_image(metric.embed_dissimilarities(squares)))


def test_ridges_are_told_apart_from_data():
    metric = rg.AffineInvariant(ridge=0.1, relative=False)
    eye = torch.eye(4, dtype=torch.float64)
    assert bool(metric.in_image(0.2 * eye))
    assert not bool(metric.in_image(0.05 * eye))
    spectrum = rg.AffineInvariant("cov", p=2)
    assert spectrum.in_image(
        torch.tensor([[[2.0, 0], [0, 1]], [[1, 0], [0, 2]], [[2, 0.5], [0.5, 1]]])
    ).tolist() == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_blended_units_are_the_geodesic(t):
    g = torch.Generator().manual_seed(0)
    metric = rg.AngularCKA()
    x, y = (
        1e8 * torch.randn(7, 3, dtype=torch.float64, generator=g),
        torch.randn(7, 2, dtype=torch.float64, generator=g),
    )
    middle = metric.embed(metric.blend(t, x, y))
    torch.testing.assert_close(
        middle, metric.geodesic(t, metric.embed(x), metric.embed(y)), atol=1e-14, rtol=0
    )
    torch.testing.assert_close(metric.embed(metric.blend(t, x, 2 * x)), metric.embed(x), atol=1e-14, rtol=0)


def test_blend_refuses_what_has_no_activations():
    x = torch.randn(7, 3)
    with pytest.raises(TypeError, match="linear kernel"):
        rg.AngularCKA(rg.RBF()).blend(0.5, x, x + 1)
    for t in (1.5, x):
        with pytest.raises(ValueError, match="a number from 0 to 1"):
            rg.AngularCKA().blend(t, x, x + 1)


def test_a_stochastic_part_without_weight_must_be_zero():
    x = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    point = rg.StochasticShape(starts=4).embed(x)
    assert bool(rg.StochasticShape(starts=4).in_image(point))
    assert not bool(rg.StochasticShape(starts=4, mean_weight=2.0).in_image(point))
