"""Losses of layers against finite differences, full data, all subsets of inputs, and repeated sampling."""

import copy
import itertools
import math

import cases
import geoopt
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

import repsim_geo as rg
from repsim_geo.errors import DegenerateRepresentationError, NotOnManifoldError, ShapeError
from repsim_geo.recipes.minibatch import MinibatchCKA, MinibatchCKALoss
from repsim_geo.recipes.representation_loss import RepresentationLoss

pytestmark = pytest.mark.filterwarnings("ignore::repsim_geo.errors.DegenerateRepresentationWarning")

METRICS = [case for case in cases.METRICS if case.batched]
# Their points of some inputs do not follow from those of all.
ENTANGLED = (
    "rbf_median cka_laplace cka_sum debiased_rbf debiased_product rescaled affine log_euclidean bures "
    "principal truncated whitened_v whitened_g shape_whitened half_whitened"
)
KERNELS = {
    "linear": None,
    "rbf": rg.RBF(3.0),
    "arc_cosine": rg.ArcCosine(),
    "pair": (rg.RBF(3.0), rg.Linear()),
}


def activations(m, *widths, seed=0, noise=0.5, dtype=torch.float64):
    """Layers of networks that see the same three features of the inputs."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(m, 3, dtype=dtype, generator=generator)
    maps = [torch.randn(3, d, dtype=dtype, generator=generator) for d in widths]
    layers = [
        torch.tanh(z @ w) + noise * torch.randn(m, w.shape[1], dtype=dtype, generator=generator) for w in maps
    ]
    return layers[0] if len(layers) == 1 else layers


def gradient(function, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


# ---------------------------------------------------------------------------------------------------------
# Towards and away
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", METRICS, ids=str)
def test_the_loss_is_the_squared_distance_that_compare_gives(case):
    x, y = activations(case.m, case.d, case.d)
    d = rg.compare(x, y, case.make())
    torch.testing.assert_close(RepresentationLoss(case.make())(x, y), d.square(), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(RepresentationLoss(case.make(), squared=False)(x, y), d, rtol=1e-8, atol=1e-12)
    away = RepresentationLoss(case.make(), away=True, margin=2 * float(d))
    torch.testing.assert_close(away(x, y), d.square(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"squared": False}, {"away": True, "margin": 50.0}], ids=str)
@pytest.mark.parametrize(
    "metric",
    [
        rg.AngularCKA(),
        rg.AngularCKA(rg.RBF()),
        rg.AngularCKA(debiased=True),
        rg.AngularRDM(),
        rg.Stress(rg.RBF(2.0)),
        rg.SizeAndShape(),
        rg.AngularShape(),
        rg.BuresWasserstein(),
        rg.AffineInvariant(p=None),
    ],
    ids=repr,
)
def test_gradients_agree_with_finite_differences(metric, options):
    x, y = activations(8, 3, 4)
    loss = RepresentationLoss(metric, **options)
    assert torch.autograd.gradcheck(lambda x: loss(x, y), x.requires_grad_())


def test_gradient_penalties_agree_with_finite_differences():
    x, y = activations(6, 2, 3)
    for method in ("angular_cka", "stress", "angular_rdm"):
        loss = RepresentationLoss(method)
        assert torch.autograd.gradgradcheck(lambda x, loss=loss: loss(x, y), x.requires_grad_())
    batch = MinibatchCKALoss(rg.RBF(2.0)).eval()
    for _ in range(2):  # without and with averages
        assert torch.autograd.gradgradcheck(lambda x: batch(x, y), x.requires_grad_())
        batch.train()(*activations(10, 2, 3, seed=1))
        batch.eval()


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equal_activations_have_finite_gradients(away, squared, dtype):
    x = activations(12, 5, dtype=dtype)
    for method in ("angular_cka", "size_and_shape", "stress"):
        margin = {"margin": 1.0} if away else {}
        loss = RepresentationLoss(method, away=away, squared=squared, **margin)
        # Not finite at float32 rounding only, where a shape is a tiny rotation away from itself.
        assert bool(gradient(lambda x, loss=loss: loss(x, x.detach()), x).isfinite().all())
    batch = MinibatchCKALoss(away=away, squared=squared)
    for _ in range(2):
        assert bool(gradient(lambda x: batch(x, x.detach()), x).isfinite().all())


def test_a_squared_distance_has_no_gradient_at_its_zero():
    x = activations(12, 5)
    assert float(gradient(lambda y: RepresentationLoss()(y, x), x).abs().max()) < 1e-12


def test_nothing_is_pushed_beyond_the_margin():
    x, y = activations(12, 5, 4)
    d = float(rg.compare(x, y))
    beyond, within = (RepresentationLoss(away=True, margin=f * d) for f in (0.9, 1.1))
    assert float(beyond(x, y)) == 0
    assert float(gradient(lambda x: beyond(x, y), x).abs().max()) == 0
    assert float(within(x, y)) == pytest.approx((0.1 * d) ** 2)


def test_margins_are_the_largest_distances_of_the_data_where_there_are_any():
    assert RepresentationLoss(away=True).margin == math.pi / 2
    assert RepresentationLoss("angular_cka_debiased", away=True).margin == math.pi
    assert RepresentationLoss((nn.Flatten(1), rg.UnitSphere(2)), away=True).margin == math.pi
    assert RepresentationLoss(geoopt.Scaled(rg.AngularCKA(), 2.0), away=True).margin == pytest.approx(math.pi)


def test_learning_moves_a_layer_the_way_it_should():
    x, y = activations(40, 6, 5, noise=1.0)
    start = float(rg.compare(x, y))
    for away in (False, True):
        torch.manual_seed(0)
        layer = nn.Linear(6, 8).double()
        loss, batch = RepresentationLoss(away=away), MinibatchCKALoss(away=away)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            (loss(layer(x), y) + batch(layer(x), y)).backward()
            optimizer.step()
        assert (float(rg.compare(layer(x).detach(), y)) > start + 0.2) == away
        assert (float(rg.compare(layer(x).detach(), y)) < start - 0.1) != away


@pytest.mark.parametrize("loss", [RepresentationLoss(), MinibatchCKALoss()], ids=["batch", "running"])
def test_no_gradient_reaches_the_target(loss):
    x, y = (w.requires_grad_() for w in activations(12, 5, 4))
    loss(x, y).backward()
    assert x.grad is not None
    assert y.grad is None


def test_one_hot_labels_and_images_are_targets():
    x = activations(20, 6).float()
    labels = one_hot(torch.arange(20) % 4, 4)
    torch.testing.assert_close(
        RepresentationLoss()(x, labels.float()), rg.compare(x, labels.float()).square()
    )
    images = torch.randn(20, 2, 3, 3)
    torch.testing.assert_close(RepresentationLoss()(images, x), rg.compare(images.flatten(1), x).square())


def test_a_pair_of_module_and_manifold_is_a_metric():
    embedding = nn.Sequential(nn.Flatten(-2), nn.Linear(12 * 5, 3).double())
    loss = RepresentationLoss((embedding, geoopt.Euclidean(1)))
    x, y = activations(12, 5, 5)
    expected = (embedding(x) - embedding(y)).square().sum()
    torch.testing.assert_close(loss(x, y), expected)
    assert {id(p) for p in embedding.parameters()} <= {id(p) for p in loss.parameters()}


def test_half_precision_is_computed_in_single():
    torch.manual_seed(0)
    layer, x, y = nn.Linear(6, 8), activations(20, 6).float(), activations(20, 4, seed=1).float()
    for loss in (RepresentationLoss(), MinibatchCKALoss(), RepresentationLoss("size_and_shape")):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            h = layer(x)
            value = loss(h, y)
        assert h.dtype == torch.bfloat16
        assert value.dtype == torch.float32
        same = copy.deepcopy(loss)
        if isinstance(loss, MinibatchCKALoss):
            same = MinibatchCKALoss()
        torch.testing.assert_close(value, same(h.float(), y))
        value.backward()
        assert layer.weight.grad is not None
        assert bool(layer.weight.grad.isfinite().all())


def test_the_loss_of_half_precision_activations_has_gradients_of_theirs():
    x, y = (w.half() for w in activations(20, 6, 4))
    for loss in (RepresentationLoss(), MinibatchCKALoss()):
        assert gradient(lambda x, loss=loss: loss(x, y), x).dtype == torch.float16


# ---------------------------------------------------------------------------------------------------------
# Points
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [c for c in METRICS if "noise" not in c.name and "whitened_centered" not in c.name], ids=str
)
def test_a_point_is_restricted_to_the_rows_of_a_batch_or_refused(case):
    x, y = activations(12, case.d, case.d)
    metric = case.make().resolve([x, y])
    rows = torch.tensor([7, 0, 11, 4, 9, 2, 5])
    loss = RepresentationLoss(metric, point=metric.embed(y))
    if any(name in case.name for name in ENTANGLED.split()) and "rdm" not in case.name:
        with pytest.raises(TypeError, match="cannot be restricted to rows"):
            loss(x[rows], rows=rows)
    else:
        expected = metric.dist2(metric.embed(x[rows]), metric.embed(y[rows]))
        torch.testing.assert_close(loss(x[rows], rows=rows), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("case", METRICS, ids=str)
def test_without_rows_the_point_is_the_target_as_it_is(case):
    x, y = activations(case.m, case.d, case.d)
    metric = case.make().resolve([x, y])
    value = RepresentationLoss(metric, point=metric.embed(y))(x)
    torch.testing.assert_close(value, metric.dist2(metric.embed(x), metric.embed(y)), rtol=1e-8, atol=1e-12)


def test_as_many_units_as_rows_are_no_pairs_of_inputs():
    x, y = activations(12, 4, 4)
    metric = rg.SizeAndShape().resolve([x, y])
    rows = torch.tensor([7, 0, 11, 4])
    loss = RepresentationLoss(metric, point=metric.embed(y))
    torch.testing.assert_close(loss(x[rows], rows=rows), rg.compare(x[rows], y[rows], metric).square())


def test_realized_rows_are_the_same_target():
    x, y, z = activations(12, 4, 5, 6)
    metric = rg.AngularCKA()
    middle = metric.geodesic(0.5, metric.embed(y), metric.embed(z))
    rows = torch.arange(3, 9)
    value = RepresentationLoss(point=middle)(x[rows], rows=rows)
    torch.testing.assert_close(RepresentationLoss()(x[rows], metric.realize(middle)[rows]), value)


def test_losses_are_saved_and_loaded():
    x, y = activations(12, 4, 5)
    metric = rg.AngularCKA()
    loss = RepresentationLoss(point=metric.embed(y))
    other = RepresentationLoss(point=metric.embed(x))
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(x), loss(x))
    running, again = MinibatchCKALoss(), MinibatchCKALoss()
    running(x, y)
    again.load_state_dict(running.state_dict())
    torch.testing.assert_close(again(y, x), running(y, x))
    estimator, reloaded = MinibatchCKA().update(x, y), MinibatchCKA()
    reloaded.load_state_dict(estimator.state_dict())
    torch.testing.assert_close(reloaded.update(y, x).compute().cka, estimator.update(y, x).compute().cka)


def test_losses_say_what_they_are():
    assert "away=True, margin=0.5, squared=True" in repr(RepresentationLoss(away=True, margin=0.5))
    assert "away=False, squared=False, momentum=0.8" in repr(MinibatchCKALoss(squared=False, momentum=0.8))


# ---------------------------------------------------------------------------------------------------------
# CKA from minibatches
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
def test_all_batches_of_a_data_set_together_have_its_cka(kernel):
    x, y = activations(7, 3, 9)
    estimator = MinibatchCKA(kernel)
    for rows in itertools.combinations(range(7), 4):
        estimator.update(x[list(rows)], y[list(rows)])
    estimate = estimator.compute()
    torch.testing.assert_close(estimate.cka, rg.cka(x, y, kernel, debiased=True), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(estimate.angle, estimate.cka.acos())
    assert (estimate.n_batches, estimate.n_rows) == (35, 140)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
@pytest.mark.parametrize(
    "options", [{}, {"squared": False}, {"away": True}, {"away": True, "squared": False}], ids=str
)
def test_gradients_of_all_batches_together_are_that_of_the_data_set(kernel, options):
    x, y = activations(7, 3, 9)
    pair = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    loss = MinibatchCKALoss(kernel, **options).eval()
    loss.weight.fill_(1.0)
    sides = ((x, y, pair), (x, x, (pair[0],) * 2), (y, y, (pair[1],) * 2))
    loss.averages.copy_(torch.stack([rg.hsic(u, v, k, debiased=True) for u, v, k in sides]))

    def whole(x):
        angle = rg.cka(x, y, kernel, debiased=True).acos()
        angle = math.pi / 2 - angle if "away" in options else angle
        return angle if options.get("squared") is False else angle.square()

    subsets = [list(rows) for rows in itertools.combinations(range(7), 4)]
    mean = sum(gradient(lambda x, rows=rows: loss(x[rows], y[rows]), x) for rows in subsets) / len(subsets)
    torch.testing.assert_close(mean, gradient(whole, x), rtol=1e-8, atol=1e-10)
    values = torch.stack([loss(x[rows], y[rows]) for rows in subsets])
    torch.testing.assert_close(values.mean(), whole(x), rtol=1e-8, atol=1e-10)


def test_in_a_run_the_expected_gradient_is_that_of_all_data_and_naive_averages_are_not():
    n, m = 240, 16
    x, y = activations(n, 12, 15, noise=1.0)
    truth = gradient(lambda x: rg.cka(x, y, debiased=True).acos().square(), x)
    loss, generator = MinibatchCKALoss(), torch.Generator().manual_seed(0)
    losses = {"running": loss, "biased": RepresentationLoss(), "first": None}
    sums = {name: torch.zeros_like(x) for name in losses}
    epochs = 40
    for _ in range(epochs):
        for rows in torch.randperm(n, generator=generator).split(m):
            for name, function in losses.items():
                function = function or MinibatchCKALoss()
                g = gradient(lambda a, f=function, r=rows: f(a, y[r]), x[rows])
                sums[name][rows] += g / epochs / (n // m)
    # The part along the true gradient, as a share of it: what a step of training is made of.
    shares = {name: float((total * truth).sum() / truth.square().sum()) for name, total in sums.items()}
    assert shares["running"] == pytest.approx(1, abs=0.02)
    assert shares["biased"] < 0.8
    assert shares["first"] != pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("d", [3, 60])
def test_standard_errors_are_the_scatter_of_repetitions(d):
    estimates = []
    for seed in range(120):
        x, y = activations(16 * 12, d, 8, seed=0, noise=0.0)  # fixes the maps
        generator = torch.Generator().manual_seed(1000 + seed)
        rows = torch.randint(len(x), (12, 16), generator=generator)
        noise = [0.5 * torch.randn(12, 16, w.shape[1], dtype=w.dtype, generator=generator) for w in (x, y)]
        estimator = MinibatchCKA()
        for r, u, v in zip(rows, *noise, strict=True):
            estimator.update(x[r] + u, y[r] + v)
        estimates.append(estimator.compute())
    for value, error in (("cka", "standard_error"), ("angle", "angle_standard_error")):
        scatter = torch.stack([getattr(e, value) for e in estimates]).std()
        stated = torch.stack([getattr(e, error) for e in estimates]).square().mean().sqrt()
        # 120 repetitions know their scatter to 6.5 %.
        assert float(stated / scatter) == pytest.approx(1, abs=0.2)


def test_batches_count_by_their_rows():
    x, y = activations(40, 5, 4)
    batches = [x.split([16, 16, 8]), y.split([16, 16, 8])]
    estimator = MinibatchCKA()
    for u, v in zip(*batches, strict=True):
        estimator.update(u, v)
    xy, xx, yy = (
        sum(len(u) * rg.hsic(u, v, debiased=True) for u, v in zip(*pair, strict=True)) / 40
        for pair in (batches, [batches[0]] * 2, [batches[1]] * 2)
    )
    torch.testing.assert_close(estimator.compute().cka, xy / (xx * yy).sqrt())
    # The influence of a batch is what leaving some of its weight out does: derivatives by weights.
    weights = torch.tensor([16.0, 16.0, 8.0], dtype=torch.float64, requires_grad=True)
    h = [
        torch.stack([rg.hsic(*p, debiased=True) for p in ((u, v), (u, u), (v, v))])
        for u, v in zip(*batches, strict=True)
    ]
    sums = weights @ torch.stack(h)
    (influence,) = torch.autograd.grad(sums[0] / (sums[1] * sums[2]).sqrt(), weights)
    expected = (1.5 * (influence * weights).square().sum()).sqrt()
    torch.testing.assert_close(estimator.compute().standard_error, expected.detach())


def test_a_network_is_at_angle_zero_from_itself_whatever_the_batches():
    estimator = MinibatchCKA()
    for x in activations(60, 30).split(10):
        estimator.update(x, 2 * x)
    estimate = estimator.compute()
    assert float(estimate.angle) < 1e-7
    assert float(estimate.angle_standard_error) < 1e-6


def test_after_one_batch_the_error_is_unknown_and_reset_forgets():
    x, y = activations(12, 4, 5)
    estimator = MinibatchCKA().update(x, y)
    assert bool(estimator.compute().standard_error.isnan())
    estimator.reset()
    with pytest.raises(ValueError, match=r"compute\(\) needs a batch, got none"):
        estimator.compute()


def test_evaluation_leaves_the_averages_alone():
    x, y = activations(12, 4, 5)
    loss = MinibatchCKALoss()
    assert bool(loss.estimate.isnan())
    loss(x, y)
    before = loss.averages.clone()
    torch.testing.assert_close(loss.estimate, rg.cka(x, y, debiased=True).acos())
    with torch.inference_mode():
        loss.eval()(y, x)
    torch.testing.assert_close(loss.averages, before, rtol=0, atol=0)


# ---------------------------------------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [RepresentationLoss(), MinibatchCKALoss()], ids=["batch", "running"])
def test_what_is_no_batch_of_activations_is_refused(loss):
    x = activations(12, 4)
    with pytest.raises(DegenerateRepresentationError, match=r"activations is constant.*dead layer"):
        loss(torch.zeros(12, 4), x.float())
    with pytest.raises(DegenerateRepresentationError, match="target is constant"):
        loss(x, torch.ones(12, 3))
    with pytest.raises(
        ShapeError, match="activations and target must describe the same inputs: got 12 rows and 11"
    ):
        loss(x, x[:11])
    with pytest.raises(
        ShapeError, match=r"activations must have shape \(m, d\).*Flatten further axes, such as tokens"
    ):
        loss(x.reshape(4, 3, 4), x)
    with pytest.raises(ValueError, match="activations must be finite"):
        loss(x / 0, x)
    with pytest.raises(TypeError, match="target must hold float32 or float64 numbers, got int64"):
        loss(x, torch.arange(48).reshape(12, 4))
    with pytest.raises(ShapeError, match="needs at least"):
        loss(x[:2], x[:2])


@pytest.mark.parametrize("make", [RepresentationLoss, MinibatchCKALoss])
def test_margins_without_sense_are_refused(make):
    with pytest.raises(ValueError, match="margin goes with away=True, got 1.0 with away=False"):
        make(margin=1.0)
    for margin in (0, -1.0, math.inf, True, "far"):
        with pytest.raises(ValueError, match="margin must be a positive distance"):
            make(away=True, margin=margin)


def test_a_metric_without_largest_distance_needs_a_margin():
    with pytest.raises(ValueError, match="margin must be given for a metric without a largest distance"):
        RepresentationLoss("size_and_shape", away=True)


def test_calls_that_do_not_fit_the_loss_are_refused():
    x, y = activations(12, 4, 5)
    point = rg.AngularCKA().embed(y)
    for arguments in ((x,), (x, None)):
        with pytest.raises(TypeError, match=r"got no point, no target and no rows"):
            RepresentationLoss()(*arguments)
    with pytest.raises(TypeError, match=r"got no point, a target and rows"):
        RepresentationLoss()(x, y, rows=torch.arange(12))
    with pytest.raises(TypeError, match=r"got a point, a target and no rows"):
        RepresentationLoss(point=point)(x, y)


def test_points_and_rows_that_do_not_fit_are_refused():
    x, y = activations(12, 4, 5)
    with pytest.raises(NotOnManifoldError, match="point must lie on the manifold of AngularCKA"):
        RepresentationLoss(point=y)
    loss = RepresentationLoss(point=rg.AngularCKA().embed(y))
    with pytest.raises(
        ShapeError, match=r"shape \(6, 6\), that of the loss \(12, 12\). For a batch, pass rows="
    ):
        loss(x[:6])
    for rows in (torch.arange(5), torch.arange(6.0), torch.ones(6, dtype=torch.bool)):
        with pytest.raises(ShapeError, match="rows must be 6 indices"):
            loss(x[:6], rows=rows)
    with pytest.raises(ShapeError, match="rows must be from 0 to 11, the inputs of the point, got 7 to 12"):
        loss(x[:6], rows=torch.arange(7, 13))
    with pytest.raises(ShapeError, match="the first batch of a loss with a point needs at least 4 inputs"):
        RepresentationLoss(point=loss.point)(x[:3], rows=torch.arange(3))


def test_kernels_and_momenta_without_sense_are_refused():
    x, y = activations(12, 4, 5)
    with pytest.raises(ValueError, match="the kernel must be the same in all batches, got RBF"):
        MinibatchCKA(rg.RBF()).update(x, y)
    with pytest.raises(ValueError, match="whose length follows the inputs"):
        MinibatchCKALoss((None, rg.Laplace("0.5*median")))(x, y)
    with pytest.raises(ValueError, match="or a pair, got 3 of them"):
        MinibatchCKA((None, None, None))
    for momentum in (1.0, -0.1, True, "0.9"):
        with pytest.raises(ValueError, match="momentum must be a number from 0 to below 1"):
            MinibatchCKALoss(momentum=momentum)


def test_inputs_that_are_equally_far_from_each_other_are_refused():
    x = torch.eye(8, dtype=torch.float64)
    with pytest.raises(
        DegenerateRepresentationError, match="nothing is left of a Gram matrix after U-centering"
    ):
        MinibatchCKALoss()(x, activations(8, 3))
