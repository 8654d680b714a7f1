"""Intervals: coverage on populations that are known, against plain loops, and where they must refuse."""

import math

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.errors import DegenerateRepresentationError, DegenerateRepresentationWarning, ShapeError
from repsim_geo.stats.bootstrap import bootstrap_distance, bootstrap_mean, bootstrap_statistic


def mean_distance(d, w):
    return (w * d).sum((-2, -1)) / w.sum((-2, -1))


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def two_networks(m, seed=1, n=1):
    """Nonlinear responses to latent stimuli, of 8 and 12 units."""
    a, b = normal(6, 8, seed=100), normal(6, 12, seed=101)
    b[:, :8] = b[:, :8] / 2 + a
    z = normal(n, m, 6, seed=seed)
    return torch.tanh(0.7 * z @ a), torch.relu(0.7 * z @ b)


def allowed(level, n):
    """Lowest coverage that n studies leave plausible: three standard deviations of a proportion."""
    return level - 3 * math.sqrt(level * (1 - level) / n)


# ---------------------------------------------------------------------- one distance


@pytest.mark.parametrize(
    "metric", [rg.AngularCKA(), rg.AngularCKA(debiased=True), rg.SizeAndShape(), rg.AngularShape()]
)
def test_intervals_cover_the_distance_over_all_stimuli(metric):
    n, m, many = 150, 50, 20000
    x, y = (w[0] for w in two_networks(many, seed=2))
    a, b = x - x.mean(0), y - y.mean(0)
    # Closed forms that need no (m, m) matrix; at many stimuli their own bias is negligible.
    if isinstance(metric, rg.AngularCKA):
        cross, own, other = ((u.mT @ v).norm() for u, v in ((a, b), (a, a), (b, b)))
        truth = float((cross.square() / (own * other)).acos())
    else:
        nuclear = torch.linalg.svdvals(a.mT @ b).sum()
        if isinstance(metric, rg.AngularShape):
            truth = float((nuclear / (a.norm() * b.norm())).acos())
        else:
            truth = float((a.norm() ** 2 + b.norm() ** 2 - 2 * nuclear).sqrt()) * math.sqrt(m / many)
    xs, ys = two_networks(m, seed=3, n=n)
    intervals = [bootstrap_distance(u, v, metric, n_resamples=100) for u, v in zip(xs, ys, strict=True)]
    covered = sum(i.low <= truth <= i.high for i in intervals) / n
    assert covered >= allowed(0.95, n)
    # Nor are they wide beyond use.
    spread = torch.tensor([i.estimate for i in intervals]).std()
    assert sum(i.high - i.low for i in intervals) / n < 1.5 * 4 * spread


def test_half_samples_have_the_variance_of_a_mean():
    """For a distance that is a mean over stimuli, the error is known: s / sqrt(m), and there is no bias."""
    x = normal(40, 1).abs() + 5
    interval = bootstrap_distance(
        x, torch.zeros_like(x), lambda a, b: (a - b).mean(), n_resamples=4000, growth=0
    )
    assert interval.standard_error == pytest.approx(float(x.std()) / math.sqrt(40), rel=0.05)
    assert abs(interval.bias) < 4 * interval.standard_error / math.sqrt(4000) + 0.01
    jackknife = bootstrap_distance(
        x, torch.zeros_like(x), lambda a, b: (a - b).mean(), method="jackknife", growth=0
    )
    assert jackknife.standard_error == pytest.approx(float(x.std()) / math.sqrt(40), rel=0.01)
    assert jackknife.monte_carlo_error == 0


def test_the_jackknife_is_that_of_a_plain_loop():
    x, y = normal(12, 3), normal(12, 4, seed=1)
    metric = rg.AngularCKA()
    keep = [[i for i in range(12) if i != k] for k in range(12)]
    logs = np.log([float(rg.compare(x[k], y[k])) for k in keep])
    full = math.log(float(rg.compare(x, y)))
    center = full - 11 * (logs.mean() - full)
    error = math.sqrt(11 / 12 * ((logs - logs.mean()) ** 2).sum())
    interval = bootstrap_distance(x, y, metric, method="jackknife")
    assert interval.low == pytest.approx(math.exp(center - 2.200985 * error), rel=1e-6)
    assert interval.high == pytest.approx(min(math.exp(center + 2.200985 * error), math.pi / 2), rel=1e-6)


def test_monte_carlo_error_is_the_spread_over_seeds():
    x, y = (w[0] for w in two_networks(30))
    intervals = [
        bootstrap_distance(x, y, rg.AngularCKA(debiased=True), n_resamples=100, seed=s) for s in range(60)
    ]
    for end in ("low", "high"):
        spread = float(torch.tensor([getattr(i, end) for i in intervals]).std())
        stated = sum(i.monte_carlo_error for i in intervals) / 60
        assert spread < 1.5 * stated < 4 * spread


def test_the_seed_decides():
    x, y = normal(20, 3), normal(20, 4, seed=1)
    a, b, c = (bootstrap_distance(x, y, rg.AngularShape(), n_resamples=50, seed=s) for s in (7, 7, 8))
    assert torch.equal(a.replicates, b.replicates)
    assert not torch.equal(a.replicates, c.replicates)


@pytest.mark.parametrize("method", ["half", "jackknife", "bootstrap"])
def test_equal_networks_are_at_distance_zero_for_all_stimuli(method):
    x = normal(20, 3)
    interval = bootstrap_distance(x, x.clone(), rg.AngularCKA(), method=method, n_resamples=50)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


@pytest.mark.parametrize("metric", [rg.Stress(), rg.SizeAndShape()], ids=["stress", "size_and_shape"])
@pytest.mark.parametrize("size", [1e-8, 1e8])
def test_intervals_scale_with_the_activations(metric, size):
    x, y = normal(20, 3), normal(20, 4, seed=1)
    a, b = (bootstrap_distance(s * x, s * y, metric, n_resamples=50) for s in (1, size))
    assert b.low == pytest.approx(size * a.low, rel=1e-6)
    assert b.high == pytest.approx(size * a.high, rel=1e-6)


def test_a_scaled_metric_and_a_function_give_the_same_interval():
    x, y = normal(20, 3), normal(20, 4, seed=1)
    plain = bootstrap_distance(x, y, rg.SizeAndShape(), n_resamples=50)
    scaled = bootstrap_distance(x, y, geoopt.Scaled(rg.SizeAndShape(), 3.0), n_resamples=50)
    called = bootstrap_distance(
        x.numpy(), y.numpy(), lambda a, b: rg.compare(a, b, "size_and_shape"), n_resamples=50
    )
    assert scaled.high == pytest.approx(3 * plain.high, rel=1e-9)
    assert called.high == pytest.approx(plain.high, rel=1e-9)


def test_float32_agrees_with_float64():
    x, y = normal(24, 3), normal(24, 4, seed=1)
    a = bootstrap_distance(x, y, rg.AngularCKA(), n_resamples=50)
    b = bootstrap_distance(x.float(), y.float(), rg.AngularCKA(), n_resamples=50)
    assert b.low == pytest.approx(a.low, rel=1e-4)


def test_duplicated_stimuli_are_resampled_like_others():
    x, y = normal(12, 3).repeat(2, 1), normal(12, 4, seed=1).repeat(2, 1)
    interval = bootstrap_distance(x, y, rg.AngularCKA(debiased=True), n_resamples=50)
    assert math.isfinite(interval.low)
    assert interval.low < interval.high
    constant = torch.zeros(12, 3, dtype=torch.float64)
    constant[0] = 1.0
    with pytest.raises(DegenerateRepresentationError, match="Nearly all stimuli have the same response"):
        bootstrap_distance(constant, normal(12, 4), rg.AngularCKA(), n_resamples=50)


def test_three_stimuli_are_too_few_or_just_enough():
    x, y = normal(3, 2), normal(3, 2, seed=1)
    with pytest.raises(ShapeError, match="3 stimuli are too few to resample"):
        bootstrap_distance(x, y, rg.AngularCKA())
    interval = bootstrap_distance(x, y, rg.SizeAndShape(), method="jackknife")
    assert interval.low < interval.high


def test_wrong_input_is_refused():
    x, y = normal(20, 3), normal(20, 4)
    broken = x.clone()
    broken[2, 1] = torch.nan
    for arguments, options, error, message in (
        ((broken, y), {}, ValueError, "x must be finite"),
        ((x, y[:19]), {}, ShapeError, "20 rows and 19 rows"),
        ((x[None], y), {}, ShapeError, "one representation"),
        ((x, y), {"method": "magic"}, ValueError, "method must be"),
        ((x, y), {"level": 95}, ValueError, "level must lie between"),
        ((x, y), {"n_resamples": 1}, ValueError, "n_resamples must be"),
        ((x, y), {"growth": "root"}, ValueError, "growth must be a number"),
    ):
        with pytest.raises(error, match=message):
            bootstrap_distance(*arguments, rg.AngularCKA(), **options)


# ---------------------------------------------------------------------- a statistic of many networks


def networks(n, z, seed, spread=0.5):
    """Networks whose weights vary around common ones."""
    weights = normal(5, 6, seed=50) + spread * normal(n, 5, 6, seed=seed)
    return torch.tanh(0.6 * z @ weights)


@pytest.mark.parametrize("over", [("networks", "stimuli"), "networks", "stimuli"])
def test_intervals_of_a_mean_distance_cover(over):
    metric, n, m, studies = rg.AngularCKA(debiased=True), 10, 40, 150
    stimuli = normal(m, 5, seed=9)
    every = networks(150, stimuli if over == "networks" else normal(400, 5, seed=8), seed=7)
    if over == "stimuli":
        every = networks(n, normal(1500, 5, seed=8), seed=7)
    truth = float(rg.pairwise(every, metric).sum()) / (len(every) * (len(every) - 1))
    covered = 0
    for k in range(studies):
        z = stimuli if over == "networks" else normal(m, 5, seed=1000 + k)
        reps = networks(n, z, seed=7 if over == "stimuli" else 5000 + k)
        i = bootstrap_statistic(reps, metric, mean_distance, over=over, n_resamples=100, seed=k)
        covered += i.low <= truth <= i.high
    assert covered / studies >= allowed(0.95, studies)


def test_networks_are_weighted_as_they_were_drawn():
    """Against drawing networks one by one, and averaging over pairs of different ones."""
    reps = networks(5, normal(30, 5, seed=1), seed=2)
    d = rg.pairwise(reps, "angular_cka")
    seen = []

    def statistic(distances, weights):
        seen.append(weights)
        return mean_distance(distances, weights)

    interval = bootstrap_statistic(reps, rg.AngularCKA(), statistic, over="networks", n_resamples=30)
    assert interval.estimate == pytest.approx(float(d.sum()) / 20)
    weights = seen[-1]
    assert weights.shape == (30, 5, 5)
    assert bool((weights.diagonal(dim1=-2, dim2=-1) == 0).all())
    values = []
    for w in weights:
        pairs = [float(d[i, j]) for i in range(5) for j in range(5) if i != j for _ in range(int(w[i, j]))]
        values.append(sum(pairs) / len(pairs))
    stretched = (torch.tensor(values, dtype=torch.float64) - interval.estimate) * math.sqrt(5 / 4)
    torch.testing.assert_close(interval.replicates, interval.estimate + stretched)


def test_the_variance_of_both_lies_between():
    reps = networks(8, normal(40, 5, seed=1), seed=2)
    each = {
        over: bootstrap_statistic(reps, rg.AngularCKA(), mean_distance, over=over, n_resamples=400)
        for over in ("networks", "stimuli")
    }
    both = bootstrap_statistic(reps, rg.AngularCKA(), mean_distance, n_resamples=400)
    parts = [i.standard_error for i in each.values()]
    assert max(parts) * 0.95 < both.standard_error < 1.1 * math.hypot(*parts)


def test_a_difference_of_groups():
    z = normal(40, 5, seed=1)
    reps = [*networks(5, z, seed=2, spread=0.2), *networks(5, z, seed=3, spread=0.2).flip(0) @ normal(6, 9)]
    reps[5:] = [torch.tanh(x @ normal(9, 7, seed=5)) for x in reps[5:]]
    labels = torch.tensor([0] * 5 + [1] * 5)
    same = (labels[:, None] == labels).double()

    def gap(d, w):
        return mean_distance(d, w * (1 - same)) - mean_distance(d, w * same)

    interval = bootstrap_statistic(reps, rg.AngularCKA(), gap, groups=labels, n_resamples=100)
    assert interval.low > 0
    again = bootstrap_statistic(reps, rg.AngularCKA(), gap, groups=labels.tolist(), n_resamples=100)
    assert torch.equal(interval.replicates, again.replicates)


def test_functions_and_metrics_agree_on_all_pairs():
    reps = [normal(20, d, seed=d) for d in (3, 4, 5)]
    a = bootstrap_statistic(reps, rg.SizeAndShape(), mean_distance, over="stimuli", n_resamples=20)
    b = bootstrap_statistic(
        reps,
        lambda x, y: rg.compare(x, y, "size_and_shape"),
        mean_distance,
        over="stimuli",
        n_resamples=20,
    )
    torch.testing.assert_close(a.replicates, b.replicates, rtol=1e-9, atol=0)


def test_identical_networks_have_no_spread():
    reps = normal(20, 3).expand(8, 20, 3)
    interval = bootstrap_statistic(reps, rg.AngularCKA(), mean_distance, n_resamples=100)
    assert abs(interval.high) < 1e-7
    assert abs(interval.low) < 1e-7


def test_few_networks_warn_or_are_refused():
    reps = normal(3, 20, 3)
    with pytest.warns(DegenerateRepresentationWarning, match="have no finite statistic"):
        bootstrap_statistic(reps, rg.AngularCKA(), mean_distance, over="networks", n_resamples=200)
    with pytest.raises(ShapeError, match="at least 2 networks, got 1"):
        bootstrap_statistic(reps[:1], rg.AngularCKA(), mean_distance)
    with pytest.raises(ValueError, match="statistic of the data must be a finite number"):
        bootstrap_statistic(reps, rg.AngularCKA(), lambda d, w: d.sum((-2, -1)) * torch.nan)
    with pytest.raises(ValueError, match="statistic must be finite in most resamples"):
        bootstrap_statistic(
            reps,
            rg.AngularCKA(),
            lambda d, w: mean_distance(d, w) if len(d) == 1 else d.sum((-2, -1)) * torch.nan,
            over="networks",
        )


def test_wrong_statistics_are_refused():
    reps = normal(4, 20, 3)
    broken = reps.clone()
    broken[2, 0, 0] = torch.inf
    for given, statistic, options, error, message in (
        (broken, mean_distance, {}, ValueError, r"reps\[2\] must be finite"),
        (reps, lambda d, w: d.mean(), {}, ShapeError, "one number for each resample"),
        (reps, mean_distance, {"over": "units"}, ValueError, "over must be"),
        (reps, mean_distance, {"groups": [0, 1]}, ShapeError, "sequence of 4 labels, got 2 entries"),
        (3, mean_distance, {}, TypeError, "sequence of representations"),
    ):
        with pytest.raises(error, match=message):
            bootstrap_statistic(given, rg.AngularCKA(), statistic, **options)


# ---------------------------------------------------------------------- a mean


@pytest.mark.parametrize(("curved", "spread"), [(False, 1.0), (True, 0.2)], ids=["flat", "sphere"])
def test_mean_regions_cover(curved, spread):
    manifold = rg.UnitSphere(1) if curved else rg.Flat(1)
    mean = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    n, studies = 20, 150
    errors, radii, covered = [], [], 0
    for k in range(studies):
        # Symmetric around the mean, so it is the Fréchet mean of the population.
        u = spread * normal(n, 4, seed=k)
        u[:, 0] = 0
        region = bootstrap_mean(manifold, manifold.expmap(mean.expand(n, 4), u), n_resamples=200)
        covered += bool(region.contains(mean))
        errors.append(float(manifold.dist(region.mean, mean)))
        radii.append(region.standard_error)
    assert covered / studies >= allowed(0.95, studies)
    rms = [math.sqrt(sum(v * v for v in values) / studies) for values in (errors, radii)]
    assert rms[1] == pytest.approx(rms[0], rel=0.15)


def test_means_in_the_span_are_the_means():
    """Against FrechetMean of copies of the points."""
    sphere = rg.UnitSphere(2)
    x = sphere.projx(normal(6, 3, 4) / 3 + 1)
    region = bootstrap_mean(sphere, x, n_resamples=20, seed=3)
    picks = torch.randint(6, (20, 6), generator=torch.Generator().manual_seed(3))
    center = rg.FrechetMean(sphere).fit(x).mean_
    distances = [float(sphere.dist(rg.FrechetMean(sphere).fit(x[i]).mean_, center)) for i in picks]
    expected = torch.tensor(distances, dtype=torch.float64) * math.sqrt(6 / 5)
    torch.testing.assert_close(region.replicates, expected, rtol=1e-6, atol=1e-9)
    assert region.converged


def test_a_region_of_shapes_knows_what_is_inside():
    manifold = rg.SizeAndShape()
    x = manifold.embed(normal(1, 10, 3) + 0.1 * normal(7, 10, 3, seed=1))
    region = bootstrap_mean(manifold, x, n_resamples=50)
    turn = torch.linalg.qr(normal(3, 3)).Q
    assert bool(region.contains(region.mean @ turn))
    assert region.contains(x.numpy()).tolist() == [False] * 7
    assert "ball of radius" in str(region)
    assert 0 < region.monte_carlo_error < region.radius


def test_equal_points_have_a_region_of_no_size():
    x = rg.AngularCKA().embed(normal(8, 3)).expand(4, 8, 8)
    assert bootstrap_mean(rg.AngularCKA(), x, n_resamples=30).radius < 1e-7


def test_means_need_two_finite_points():
    with pytest.raises(ShapeError, match="at least 2 points"):
        bootstrap_mean(rg.Flat(1), normal(1, 3))
    x = normal(4, 3)
    x[1] = torch.nan
    with pytest.raises(ValueError, match="point 1"):
        bootstrap_mean(rg.Flat(1), x)
