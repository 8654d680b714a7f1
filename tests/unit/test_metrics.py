"""What must hold for every metric of `cases.METRICS`, beside the laws of `verify`."""

import copy
import math
import pickle

import pytest
import torch
from cases import METRICS

import repsim_geo as rg
from repsim_geo.registry import as_metric

pytestmark = pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")
each_metric = pytest.mark.parametrize("case", METRICS, ids=str)
SEEDS = range(20)


def draw(case, seed, dtype=torch.float64, m=None, d=None):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(m or case.m, d or case.d, dtype=dtype, generator=generator)


def distance(metric, x, y):
    metric = metric.resolve([x, y])
    return metric.dist(metric.embed(x), metric.embed(y))


@each_metric
def test_embedded_points_are_points(case):
    metric = case.make()
    for dtype in (torch.float64, torch.float32):
        for scale in (1.0, 1e-8, 1e8):
            x = torch.stack([scale * draw(case, s, dtype) for s in range(3)])
            if (scale != 1.0 and "fixed" in case.name) or ("rbf" in case.name and "median" not in case.name):
                continue
            point = metric.embed(x)
            assert point.dtype == dtype
            assert metric.check_point_on_manifold(point), metric.check_point_on_manifold(point, explain=True)


@each_metric
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_distance_to_itself_is_exactly_zero(case, dtype):
    metric = case.make()
    for seed in SEEDS:
        point = metric.embed(draw(case, seed, dtype))
        assert float(metric.dist(point, point.clone())) == 0


@each_metric
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_at_coincident_networks_are_finite(case, dtype):
    metric = case.make()
    for seed in SEEDS:
        x = draw(case, seed, dtype).requires_grad_()
        y = draw(case, seed, dtype)
        for function in (metric.dist, metric.dist2):
            (g,) = torch.autograd.grad(function(metric.embed(x), metric.embed(y)), x)
            assert bool(g.isfinite().all())


@each_metric
def test_gradient_of_the_squared_distance_matches_finite_differences(case):
    metric = case.make()
    x, y = draw(case, 1).requires_grad_(), draw(case, 2)
    target = metric.embed(y)
    assert torch.autograd.gradcheck(lambda a: metric.dist2(metric.embed(a), target), x, atol=1e-6)


@each_metric
def test_metric_survives_copy_pickle_and_repr(case):
    metric = case.make()
    x, y = draw(case, 1), draw(case, 2)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert float(distance(other, x, y)) == float(distance(metric, x, y))
    assert type(metric).__name__ in repr(metric)


@each_metric
def test_duplicated_inputs_and_dead_units_are_harmless(case):
    metric = case.make()
    x = draw(case, 1)
    x = torch.cat([x[:3], x[:-3]])
    x = torch.cat([x, torch.zeros(len(x), 1, dtype=x.dtype)], -1).requires_grad_()
    y = draw(case, 2, d=x.shape[-1] if case.matched else None)
    if case.full_rank:
        with pytest.raises(rg.DegenerateRepresentationError, match="rank|dimensions"):
            metric.embed(x)
        return
    d = rg.compare(x, y, metric)
    (g,) = torch.autograd.grad(d, x)
    assert bool(d.isfinite())
    assert bool(g.isfinite().all())


@pytest.mark.parametrize("method", ["size_and_shape", "angular_shape"])
def test_padding_with_silent_units_changes_nothing(method):
    x, y = draw(METRICS[0], 1), draw(METRICS[0], 2)
    padded = torch.nn.functional.pad(y, (0, 5))
    assert float(rg.compare(x, padded, method)) == pytest.approx(float(rg.compare(x, y, method)), abs=1e-12)


def test_width_beyond_the_number_of_inputs_is_exact():
    for seed in range(5):
        x, y = draw(METRICS[0], seed, m=6, d=40), draw(METRICS[0], seed + 9, m=6, d=30)
        x, y = (a - a.mean(0) for a in (x, y))
        direct = x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x.T @ y).sum()
        assert float(rg.compare(x, y, "size_and_shape")) ** 2 == pytest.approx(float(direct), rel=1e-10)


def test_truncation_is_within_the_norm_of_what_is_left_out():
    x, y = draw(METRICS[0], 1, m=20, d=8), draw(METRICS[0], 2, m=20, d=8)
    tails = sum(float(torch.linalg.svdvals(a - a.mean(0))[3:].norm()) for a in (x, y))
    full, truncated = (float(rg.compare(x, y, "size_and_shape", p=p)) for p in (None, 3))
    assert abs(full - truncated) <= tails


def test_cards_are_complete():
    for key, card in rg.available_metrics().items():
        assert card.key == key
        assert card.summary
        assert card.unit
        assert card.references
        for alias in card.aliases:
            assert as_metric(alias).card.key == key


def test_geodesic_between_networks_splits_the_distance():
    x, y = draw(METRICS[0], 1), draw(METRICS[0], 2)
    for key in rg.available_metrics():
        metric = as_metric(key).resolve([x, y])
        a, b = metric.embed(x), metric.embed(y)
        middle = rg.midpoint(metric, a, b)
        assert float(metric.dist(a, middle)) == pytest.approx(float(metric.dist(a, b)) / 2, rel=1e-10)
        assert rg.path(metric, a, b, [0.0, 0.5, 1.0]).shape == (3, *a.shape)


def test_gram_geodesics_stay_positive_semidefinite():
    metric = rg.AngularCKA()
    a, b = (metric.embed(draw(METRICS[0], s)) for s in (1, 2))
    for point in rg.path(metric, a, b, torch.linspace(0, 1, 9)):
        assert float(torch.linalg.eigvalsh(point).min()) > -1e-14


def test_hessian_of_the_squared_shape_distance_matches_finite_differences():
    for make in (rg.SizeAndShape, rg.AngularShape):
        metric = make(p=2)
        x, y = (
            torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (1, 2)
        )
        target = metric.embed(y)
        assert torch.autograd.gradgradcheck(
            lambda a, m=metric, t=target: m.dist2(m.embed(a), t), x.requires_grad_()
        )


def test_whitened_distance_needs_more_inputs_than_units():
    x = torch.randn(8, 7)
    with pytest.raises(rg.ShapeError, match="more inputs than directions"):
        rg.compare(x, x + 1, "angular_shape", whiten=1.0)
    rg.compare(x, x + 1, "angular_shape", whiten=1.0, p=2)


def test_whitening_with_few_inputs_warns():
    x = torch.randn(12, 7)
    with pytest.warns(rg.DegenerateRepresentationWarning, match="lack of rows"):
        rg.compare(x, x.flip(0), "angular_shape", whiten=1.0)


def test_cosines_of_biased_grams_are_never_negative():
    for seed in range(20):
        d = float(rg.compare(draw(METRICS[0], seed), draw(METRICS[0], seed + 99), "angular_cka"))
        assert d <= math.pi / 2
