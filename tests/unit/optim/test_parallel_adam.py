"""Adam in a parallel frame: the iterates of Riemannian Adam, point by point."""

import copy
import io

import geoopt
import pytest
import torch

import repsim_geo as rg
from repsim_geo.errors import NotOnManifoldError
from repsim_geo.optim.parallel_adam import ParallelAdam

ADAM = geoopt.optim.RiemannianAdam


def seeded(number):
    return torch.Generator().manual_seed(number)


def definite(*shape, number=0, dtype=torch.float64):
    return (
        rg.AffineInvariantSPD()
        .random(*shape, dtype=dtype, generator=seeded(number))
        .as_subclass(torch.Tensor)
    )


def loss(x, target, weights):
    """Nothing that congruences leave alone, and not convex."""
    return rg.AffineInvariantSPD().dist2(x, target).sum() + (weights * x).sum().sin() + x.square().mean()


def run(optimizer_class, manifold, start, steps, number=0, **options):
    x = geoopt.ManifoldParameter(start.clone(), manifold=manifold)
    target = definite(*start.shape, number=number + 1, dtype=start.dtype)
    weights = torch.randn(start.shape, dtype=start.dtype, generator=seeded(number + 2))
    optimizer = optimizer_class([x], **options)
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss(x, target, weights).backward()
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize(
    ("shape", "number"), [((4, 4), 0), ((3, 2, 3, 3), 1), ((1, 1), 2), ((5, 12, 12), 3)], ids=str
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"amsgrad": True},
        {"weight_decay": 0.1},
        {"betas": (0.5, 0.6), "eps": 1e-3, "amsgrad": True, "weight_decay": 0.02},
        {"stabilize": 7},
    ],
    ids=["plain", "amsgrad", "decay", "all", "stabilize"],
)
@pytest.mark.parametrize("steps", [40, pytest.param(100, marks=pytest.mark.slow)])
def test_iterates_are_those_of_riemannian_adam(shape, options, number, steps):
    options = {"lr": 0.02, **options}
    start = definite(*shape, number=number)
    ours = run(ParallelAdam, rg.AffineInvariantSPD(), start, steps, number, **options)
    theirs = run(ADAM, rg.AffineInvariantSPD(), start, steps, number, **options)
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


def test_long_steps_are_those_of_riemannian_adam_too():
    # Few: what descends so fast is chaotic, and soon amplifies rounding to anything.
    for lr in (0.3, 0.6, 1.5):
        ours, theirs = (
            run(kind, rg.AffineInvariantSPD(), definite(5, 6, 6), 6, lr=lr) for kind in (ParallelAdam, ADAM)
        )
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-8)


def test_iterates_agree_under_a_scale():
    start = definite(3, 3)
    for scale in (0.1, 3.0):
        paths = [
            run(kind, geoopt.Scaled(rg.AffineInvariantSPD(), scale), start, 30, lr=0.05)
            for kind in (ParallelAdam, ADAM)
        ]
        torch.testing.assert_close(*paths, atol=1e-7, rtol=1e-7)  # scales of geoopt are in single precision


def test_iterates_are_those_of_geoopt_under_two_scales():
    twice = geoopt.Scaled(geoopt.Scaled(rg.AffineInvariantSPD(), 3.0), 0.5)
    paths = [run(kind, twice, definite(3, 3), 30, lr=0.05) for kind in (ParallelAdam, ADAM)]
    torch.testing.assert_close(*paths, atol=1e-7, rtol=1e-7)


def test_iterates_in_single_precision_follow_those_in_double():
    ends = []
    for dtype in (torch.float64, torch.float32):
        x = geoopt.ManifoldParameter(definite(4, 3, 3).to(dtype), manifold=rg.AffineInvariantSPD())
        optimizer, generator = ParallelAdam([x], lr=0.02), seeded(1)
        for _ in range(100):
            x.grad = torch.randn(4, 3, 3, dtype=torch.float64, generator=generator).to(dtype)
            optimizer.step()
        ends.append(x.detach())
    assert ends[1].dtype == torch.float32
    torch.testing.assert_close(ends[1].double(), ends[0], atol=1e-4, rtol=1e-4)


def test_iterates_do_not_depend_on_the_basis():
    spd, g = rg.AffineInvariantSPD(), torch.randn(4, 4, dtype=torch.float64, generator=seeded(3))
    start, target = definite(4, 4), definite(4, 4, number=1)
    ends = []
    for a in (torch.eye(4, dtype=torch.float64), g):
        x = geoopt.ManifoldParameter(a @ start @ a.mT, manifold=spd)
        optimizer = ParallelAdam([x], lr=0.05)
        for _ in range(40):
            optimizer.zero_grad()
            spd.dist2(x, a @ target @ a.mT).backward()
            optimizer.step()
        ends.append(x.detach())
    torch.testing.assert_close(g @ ends[0] @ g.mT, ends[1], atol=1e-9, rtol=1e-9)


def test_the_parameter_is_positive_definite_and_symmetric_after_every_step():
    path = run(ParallelAdam, rg.AffineInvariantSPD(), definite(2, 3, 3), 20, lr=2.0)
    assert torch.equal(path, path.mT)
    assert bool((torch.linalg.eigvalsh(path) > 0).all())


def test_average_follows_a_parameter_that_was_moved_by_hand():
    spd = rg.AffineInvariantSPD()
    start, gradients = definite(3, 3), torch.randn(8, 3, 3, dtype=torch.float64, generator=seeded(1))
    elsewhere = definite(3, 3, number=5)
    ends = []
    for kind in (ParallelAdam, ADAM):
        x = geoopt.ManifoldParameter(start.clone(), manifold=spd)
        optimizer = kind([x], lr=0.05)
        for i, g in enumerate(gradients):
            if i == 4:
                if kind is ADAM:
                    average = optimizer.state[x]["exp_avg"]
                    average.copy_(spd.transp(x.detach(), elsewhere, average))
                x.data.copy_(elsewhere)
            x.grad = g + g.mT
            optimizer.step()
        ends.append(x.detach())
    torch.testing.assert_close(*ends, atol=1e-10, rtol=1e-10)


def test_state_is_saved_and_continued():
    spd, start = rg.AffineInvariantSPD(), definite(2, 3, 3)
    gradients = torch.randn(8, 2, 3, 3, dtype=torch.float64, generator=seeded(1))

    def steps(x, optimizer, some):
        for g in some:
            x.grad = g.clone()
            optimizer.step()

    x = geoopt.ManifoldParameter(start.clone(), manifold=spd)
    optimizer = ParallelAdam([x], lr=0.05, amsgrad=True)
    steps(x, optimizer, gradients[:4])
    buffer = io.BytesIO()
    torch.save((x.detach(), optimizer.state_dict()), buffer)
    buffer.seek(0)
    y, state = torch.load(buffer, weights_only=True)
    y = geoopt.ManifoldParameter(y, manifold=spd)
    again = ParallelAdam([y], lr=0.05, amsgrad=True)
    again.load_state_dict(copy.deepcopy(state))
    steps(x, optimizer, gradients[4:])
    steps(y, again, gradients[4:])
    torch.testing.assert_close(x.detach(), y.detach(), atol=1e-14, rtol=1e-14)


def test_closure_is_asked_with_gradients_and_its_loss_returned():
    x = geoopt.ManifoldParameter(definite(3, 3), manifold=rg.AffineInvariantSPD())
    optimizer = ParallelAdam([x], lr=0.1)

    def closure():
        optimizer.zero_grad()
        value = x.square().sum()
        value.backward()
        return value

    before = x.detach().square().sum()
    assert float(optimizer.step(closure).detach()) == float(before)
    assert float(x.detach().square().sum()) < float(before)
    assert optimizer.step() is None


def test_parameters_without_gradients_stay_and_gradients_are_left_alone():
    spd = rg.AffineInvariantSPD()
    x, y = (geoopt.ManifoldParameter(definite(3, 3), manifold=spd) for _ in range(2))
    x.grad = torch.ones(3, 3, dtype=torch.float64)
    optimizer = ParallelAdam([{"params": [x], "lr": 0.5}, {"params": [y]}], weight_decay=0.1)
    optimizer.step()
    assert torch.equal(x.grad, torch.ones(3, 3, dtype=torch.float64))
    assert torch.equal(y.detach(), definite(3, 3))
    assert not torch.equal(x.detach(), definite(3, 3))
    optimizer.stabilize()


def test_metrics_on_the_manifold_are_taken():
    metric = rg.AffineInvariant()
    x = geoopt.ManifoldParameter(definite(3, 3), manifold=metric)
    x.grad = torch.ones(3, 3, dtype=torch.float64)
    ParallelAdam([x]).step()


@pytest.mark.parametrize(
    ("x", "got"),
    [
        (torch.nn.Parameter(torch.eye(2)), "a plain parameter"),
        (geoopt.ManifoldParameter(torch.eye(2), manifold=rg.LogEuclideanSPD()), "LogEuclideanSPD"),
        (geoopt.ManifoldParameter(torch.eye(2), manifold=geoopt.SymmetricPositiveDefinite()), "Positive"),
    ],
)
def test_other_parameters_are_refused(x, got):
    with pytest.raises(
        ValueError, match=rf"congruences are isometries.*got .*{got}.*RiemannianAdam takes any"
    ):
        ParallelAdam([x])


def test_parameters_that_are_no_points_are_refused():
    x = geoopt.ManifoldParameter(torch.diag(torch.tensor([1.0, -1.0])), manifold=rg.AffineInvariantSPD())
    x.grad = torch.ones(2, 2)
    with pytest.raises(
        NotOnManifoldError, match=r"needs points of .*got a parameter of shape \(2, 2\).*projx"
    ):
        ParallelAdam([x]).step()
