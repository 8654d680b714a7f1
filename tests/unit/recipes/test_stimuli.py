"""Inputs on which networks differ most: distances rise, constraints hold, and networks stay as they were."""

import copy
import math

import pytest
import torch
from torch import nn

import repsim_geo as rg
from repsim_geo.errors import DegenerateRepresentationError, ShapeError, UnknownMetricError
from repsim_geo.recipes.stimuli import optimal_stimuli

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


def inputs(*shape, seed, dtype=torch.float32):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def network(seed, *, d=6, noisy=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = [nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5)] if noisy else [nn.Linear(8, 16)]
        return nn.Sequential(*parts, nn.Tanh(), nn.Linear(16, d))


@SEEDS
@pytest.mark.parametrize("method", ["angular_cka", "size_and_shape", "bures_wasserstein", "angular_rdm"])
def test_distance_rises(method, seed):
    first, second, start = network(seed), network(seed + 10, d=5), inputs(12, 8, seed=seed)
    found = optimal_stimuli(first, second, start, method, steps=60, bounds=(0.0, 1.0))
    with torch.no_grad():
        before, after = (float(rg.compare(first(x), second(x), method)) for x in (start, found.inputs))
    assert found.before == pytest.approx(before, rel=1e-4)
    assert found.after == pytest.approx(after, rel=1e-4)
    assert found.after > 1.1 * found.before
    assert found.after == pytest.approx(float(found.trace.max()))
    assert found.trace.shape == (61,)
    assert found.trace[0] == found.before


def test_the_maximum_of_a_plane_is_found():
    """Rows r e^{i a} in the plane, and their first coordinates: the angle of Gram matrices has a maximum."""
    start = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.3], [0.0, -0.3]], dtype=torch.float64)
    cut = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    found = optimal_stimuli(lambda x: x, lambda x: x @ cut, start, steps=400, lr=0.02, bounds=(-1.0, 1.0))
    # With variances a and b of uncorrelated coordinates the cosine is a / sqrt(a^2 + b^2): b takes all.
    x = found.inputs - found.inputs.mean(0)
    gram, seen = x @ x.mT, (x @ cut) @ (x @ cut).mT
    cosine = (gram * seen).sum() / (gram.norm() * seen.norm())
    assert found.after == pytest.approx(math.acos(float(cosine)), abs=1e-6)
    assert found.after > 1.5


@SEEDS
@pytest.mark.parametrize("bounds", [None, (0.0, 1.0), (-0.1, 1.2)])
@pytest.mark.parametrize("radius", [None, 0.05, 0.7])
def test_constraints_hold_exactly(bounds, radius, seed):
    start = inputs(10, 2, 4, seed=seed)
    a, b = network(seed), network(seed + 1)
    found = optimal_stimuli(
        lambda x: a(x.flatten(1)),
        lambda x: b(x.flatten(1)),
        start,
        steps=40,
        lr=0.1,
        bounds=bounds,
        radius=radius,
    )
    away = (found.inputs - start).flatten(1).norm(dim=1)
    assert torch.equal(found.moved, away)
    assert float(away.min()) > 0
    if radius is not None:
        assert float(away.max()) <= radius
    if radius == 0.05:
        assert float(away.max()) > 0.0499
    if bounds is not None:
        low, high = torch.tensor(bounds)
        assert bool((found.inputs >= low).all() & (found.inputs <= high).all())
    if radius is None and bounds is None:
        assert float(found.inputs.max()) > 1.2


@pytest.mark.parametrize("training", [True, False])
def test_networks_stay_as_they_were(training):
    first, second, start = network(0, noisy=True), network(1, noisy=True), inputs(10, 8, seed=0)
    first.train(training)
    second.train(training)
    # Part of a network may be frozen on its own.
    first[1].eval()
    second[0].weight.grad = torch.ones_like(second[0].weight)
    second[0].weight.requires_grad_(False)
    states = [copy.deepcopy(n.state_dict()) for n in (first, second)]
    modes = [[m.training for m in n.modules()] for n in (first, second)]
    kept = start.clone()
    found = optimal_stimuli(first, second, start, steps=5)
    assert found.after > found.before
    for n, state, mode in zip((first, second), states, modes, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in n.state_dict().items())
        assert [m.training for m in n.modules()] == mode
    assert all(p.grad is None for p in first.parameters())
    assert torch.equal(second[0].weight.grad, torch.ones_like(second[0].weight))
    assert torch.equal(start, kept)
    assert not found.inputs.requires_grad


def test_networks_are_evaluated_and_put_back_after_an_error():
    noisy = network(0, noisy=True)
    with pytest.raises(ValueError, match="differentiable"):
        optimal_stimuli(noisy, lambda x: x.detach() * 2, inputs(10, 8, seed=0), steps=2)
    assert all(m.training for m in noisy.modules())


def test_results_repeat():
    first, second, start = network(0, noisy=True), network(1), inputs(10, 8, seed=0)
    one, two = (optimal_stimuli(first, second, start, steps=5).inputs for _ in range(2))
    assert torch.equal(one, two)


def test_a_network_and_itself_stay_where_they_are():
    first, start = network(0), inputs(10, 8, seed=0)
    found = optimal_stimuli(first, first, start, steps=5)
    assert found.after == found.before == 0
    assert torch.equal(found.inputs, start)


def test_steps_out_of_the_domain_are_taken_back():
    """The logarithm ends at zero; entries that go there come back, and the search goes on."""
    first, second = network(0), network(1)
    start = 0.02 + 0.1 * inputs(10, 8, seed=0)
    log = lambda x: second(torch.where(x > 0, x.clamp_min(1e-30).log(), torch.nan))  # noqa: E731
    found = optimal_stimuli(first, log, start, steps=60, lr=0.05)
    assert bool(found.trace.isnan().any())
    assert bool(found.trace[-10:].isfinite().any())
    assert bool(found.inputs.isfinite().all())
    assert float(found.inputs.min()) > 0
    assert found.after > found.before


def test_a_network_that_dies_on_the_way_is_a_wall():
    first = network(0)
    found = optimal_stimuli(
        first, lambda x: x * (x.max() < 1.0), 0.9 * inputs(10, 8, seed=1), steps=40, lr=0.05
    )
    assert bool(found.trace.isnan().any())
    assert float(found.inputs.max()) < 1
    assert found.after > found.before


def test_convolutional_representations_and_metrics_with_options():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 2, 3)
    start = inputs(8, 1, 6, 6, seed=0, dtype=torch.float32)
    act = lambda layer: lambda x: torch.relu(layer(x))  # noqa: E731
    found = optimal_stimuli(act(first), act(second), start, "angular_shape", whiten=0.5, steps=10)
    assert found.inputs.shape == start.shape
    assert found.after > found.before
    assert "after 10 steps" in str(found)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"start": [[1.0]]}, TypeError, "start must be a float32 or float64 tensor of inputs .* got list"),
        ({"start": torch.ones(3, 8, dtype=torch.long)}, TypeError, "got torch.int64, shape"),
        ({"start": torch.ones(8)}, TypeError, "float32 or float64 tensor of inputs"),
        ({"steps": 0}, ValueError, "steps must be a positive number, got 0. 200 are enough"),
        ({"steps": 2.5}, ValueError, "steps must be a positive number, got 2.5"),
        ({"lr": -1.0}, ValueError, "lr must be a positive number, got -1.0"),
        ({"radius": 0.0}, ValueError, "radius must be a positive number, got 0.0. None sets no limit"),
        ({"bounds": (1.0, 0.0)}, ValueError, "bounds must be two numbers, the lower first"),
        ({"bounds": 1.0}, ValueError, "bounds must be two numbers, the lower first"),
        ({"bounds": (0.0, 0.5)}, ValueError, r"start must lie within the bounds \(0.0, 0.5\), got entries"),
        ({"method": "cka_angle"}, UnknownMetricError, "no metric called"),
        ({"second": lambda x: x[:-1]}, ShapeError, r"second must return one row for each input, \(10, d\)"),
        ({"second": lambda x: x.new_ones(10, 3)}, ValueError, "second must be differentiable"),
        ({"second": lambda x: x * torch.nan}, ValueError, "must be finite at the start, got nan"),
        ({"second": lambda x: x * 0}, DegenerateRepresentationError, "constant"),
        ({"second": lambda x: x.half()}, TypeError, r"second\(inputs\) must hold float32 or float64"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    given = {"first": network(0), "second": network(1), "start": inputs(10, 8, seed=0)} | options
    with pytest.raises(error, match=message):
        optimal_stimuli(given.pop("first"), given.pop("second"), given.pop("start"), **given)
