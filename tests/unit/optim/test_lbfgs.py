"""Directions and steps of the quasi-Newton search against dense formulas, scipy and geoopt's line search."""

import geoopt
import numpy as np
import pytest
import torch
from cases import MANIFOLDS
from scipy.optimize import minimize as scipy_minimize

import repsim_geo as rg
from repsim_geo.manifolds.lengths import product
from repsim_geo.optim import Reason, minimize
from repsim_geo.optim.lbfgs import History, lower
from repsim_geo.optim.line_search import Step, search
from repsim_geo.optim.objective import Objective

FLAT, SPHERE, SPD = rg.Flat(1), rg.UnitSphere(1), rg.AffineInvariantSPD()


def normal(*size, seed=0):
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pushed(manifold, x, history, direction, gradient, y, new_gradient, caution=0.0):
    """Tell a history of one full step."""
    n = len(x)
    _, carried = manifold.retr_transp(x, direction, direction)
    one = torch.ones(n, dtype=torch.float64)
    step = Step(one, y, one, new_gradient, one, carried)
    history.push(x, direction, gradient, step, torch.full((n,), caution, dtype=torch.float64))


def dense_bfgs(pairs, gamma, n):
    h = gamma * np.eye(n)
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = np.eye(n) - rho * np.outer(s, y)
        h = left @ h @ left.T + rho * np.outer(s, s)
    return h


@pytest.mark.parametrize("memory", [1, 3, 5])
def test_two_loops_are_the_dense_update(memory):
    n, a = 6, normal(6, 6)
    hessian = a @ a.T + torch.eye(6)
    x = normal(2, n, seed=1)
    history, pairs = History(FLAT, memory, x), [[], []]
    for i in range(4):
        s = normal(2, n, seed=10 + i)
        pushed(FLAT, x, history, s, x @ hessian, x + s, (x + s) @ hessian)
        for k in range(2):
            pairs[k].append((s[k].numpy(), (s @ hessian)[k].numpy()))
        x = x + s
    gradient = normal(2, n, seed=3)
    got = history.direction(x, gradient, torch.ones(2, dtype=torch.float64))
    for k in range(2):
        s, y = pairs[k][-1]
        dense = dense_bfgs(pairs[k][-memory:], s @ y / (y @ y), n)
        np.testing.assert_allclose(got[k], -dense @ gradient[k].numpy(), rtol=1e-10)


def test_carried_pairs_are_pairs_of_the_new_point():
    # One pair on a curved manifold, made by hand at the start, and carried along two steps.
    manifold, n = SPD, 3
    x = torch.eye(n, dtype=torch.float64).expand(1, n, n)
    history = History(manifold, 5, x)
    steps = [0.3 * manifold.proju(x, normal(1, n, n, seed=i)) for i in range(2)]
    gradients = [manifold.proju(x, normal(1, n, n, seed=5 + i)) for i in range(3)]
    s, y, at = [], [], x
    for i, step in enumerate(steps):
        # Written at the identity, brought to where the search is.
        here, gradient = (manifold.transp(x, at, a) for a in (step, gradients[i]))
        to = manifold.retr(at, here)
        new = manifold.transp(x, to, gradients[i + 1])
        pushed(manifold, at, history, here, gradient, to, new)
        s = [manifold.transp(at, to, a) for a in [*s, here]]
        y = [manifold.transp(at, to, a) for a in y]
        y.append(new - manifold.transp(at, to, gradient))
        at = to
    np.testing.assert_allclose(history.pairs[0], torch.stack(s), atol=1e-10)
    np.testing.assert_allclose(history.pairs[1], torch.stack(y), atol=1e-10)


@pytest.mark.parametrize("case", [c for c in MANIFOLDS if not c.slow], ids=str)
def test_lowered_vectors_give_inner_products(case):
    manifold = case.make()
    x = manifold.random(2, *case.point, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x.as_subclass(torch.Tensor)
    u, v = (manifold.proju(x, normal(3, 2, *case.point, seed=i + 50)) for i in (1, 2))
    axes = tuple(range(-manifold.ndim, 0))
    np.testing.assert_allclose(
        (lower(manifold, x, u) * v).sum(axes), product(manifold, x, u, v), rtol=1e-9, atol=1e-12
    )


def test_pairs_without_curvature_are_left_out():
    x = torch.zeros(3, 2, dtype=torch.float64)
    history = History(FLAT, 4, x)
    s = torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64)
    # Cosines 1, 1e-3, -1.
    y = torch.tensor([[2.0, 0.0], [1e-3, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    pushed(FLAT, x, history, s, torch.zeros_like(x), x + s, y, caution=1e-2)
    assert history.known.tolist() == [True, False, False]
    assert history.kept.tolist() == [[True, False, False]]
    g = normal(3, 2)
    size = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64)
    got = history.direction(x, g, size)
    np.testing.assert_allclose(got[1:], -size[1:, None] * g[1:])
    assert float(got[0, 0]) == pytest.approx(-float(g[0, 0]) / 2)
    history.forget(torch.tensor([True, False, False]))
    np.testing.assert_allclose(history.direction(x, g, size), -size[:, None] * g)


def line(phi, start=1.0):
    """Search from zero along a line, with a function of time."""
    x = torch.zeros(1, 1, dtype=torch.float64)
    objective, rows = Objective(FLAT, lambda t: phi(t[..., 0]), x), torch.tensor([0])
    value, gradient = objective.look(x, rows)
    first = torch.tensor([start], dtype=torch.float64)
    step = search(objective, rows, x, torch.ones_like(x), value, gradient, first, 1e-8 * value.abs())
    return step, float(value), float(gradient), int(objective.n_evaluations) - 1


@pytest.mark.parametrize("start", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(
    "phi",
    [
        lambda t: (t - 1) ** 2,
        lambda t: (t - 1).square().square() - t,
        lambda t: -t / (t * t + 2),
        lambda t: (1 + t) * (-t).exp() - 2 * t * (-t).exp(),
        lambda t: torch.where(t < 3, -t, torch.nan),
        lambda t: t.sub(2).exp() - t,
    ],
    ids=["parabola", "quartic", "hill", "decay", "wall", "steep"],
)
def test_steps_meet_one_of_the_conditions(phi, start):
    step, value, slope, evaluations = line(phi, start)
    new, there = float(step.value), float(step.gradient)
    assert evaluations <= 24
    assert float(step.size) > 0
    assert new < value
    if not np.isnan(float(phi(torch.tensor(4.0)))):
        assert there >= 0.9 * slope
        assert new <= value + 0.1 * float(step.size) * slope or there <= -0.8 * slope
    np.testing.assert_allclose(step.point, step.size[:, None])
    np.testing.assert_allclose(step.value, phi(step.size))


@pytest.mark.parametrize("start", [1.0, 7.0])
def test_slopes_decide_where_values_are_rounded(start):
    # One part in 1e16 of the value: all trials look alike, those beyond the minimum too.
    step, _, slope, evaluations = line(lambda t: 1e10 + 1e-8 * (t - 3) ** 2, start)
    assert abs(float(step.gradient)) < 0.9 * abs(slope)
    assert evaluations <= 4


def test_ascent_gets_no_step():
    step, _, _, _ = line(lambda t: t)
    assert float(step.size) == 0
    assert float(step.point) == 0


@pytest.mark.parametrize("method", ["lbfgs", "steepest_descent"])
def test_values_never_rise_by_more_than_rounding(method):
    case = next(c for c in MANIFOLDS if c.name == "kendall")
    manifold = case.make()
    generator = torch.Generator().manual_seed(0)
    points = manifold.random(8, *case.point, dtype=torch.float64, generator=generator).as_subclass(
        torch.Tensor
    )
    values = []
    found = minimize(
        manifold,
        lambda x: manifold.dist2(x.unsqueeze(-3), points).sum(-1),
        points[0],
        method,
        callback=lambda state: values.append(float(state.value)),
    )
    assert found.converged
    assert max(np.diff(values)) <= 1e-12 * values[0]


def test_takes_as_many_steps_as_scipys_in_flat_space():
    def rosenbrock(x):
        return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)

    def both(a):
        x = torch.from_numpy(a).requires_grad_()
        value = rosenbrock(x)
        value.backward()
        return float(value.detach()), x.grad.numpy()

    start = torch.tensor([-1.2, 1.0, -1.2, 1.0, 0.5, 0.5], dtype=torch.float64)
    theirs = scipy_minimize(
        both, start.numpy(), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 0}
    )
    found = minimize(FLAT, rosenbrock, start, tol=1e-9)
    assert found.converged
    np.testing.assert_allclose(found.point, 1.0, atol=1e-8)
    assert int(found.n_evaluations) <= 1.3 * theirs.nfev


def robust(p=8, n=10, seed=0):
    """A robust mean of covariances with a pull to small determinants."""
    a = normal(n, p, p, seed=seed)
    points = torch.linalg.matrix_exp((a + a.mT) / 2 / p**0.5)

    def fun(x):
        return (1 + SPD.dist2(x[..., None, :, :], points)).sqrt().sum(-1) + 0.1 * torch.logdet(x)

    return fun, torch.eye(p, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("manifold", [SPD, geoopt.SymmetricPositiveDefinite()], ids=["ours", "geoopt"])
def test_robust_means_take_eighteen_evaluations(manifold, seed):
    fun, start = robust(seed=seed)
    found = minimize(manifold, fun, start, tol=4e-10)
    assert found.converged
    assert int(found.n_evaluations) <= 18


@pytest.mark.filterwarnings("ignore")
def test_takes_fewer_evaluations_than_the_line_search_of_geoopt(monkeypatch):
    # geoopt 0.5.1 hands tensors that require grad to scipy.
    monkeypatch.setattr(torch.Tensor, "__array__", lambda self, dtype=None: self.detach().numpy())
    fun, start = robust()
    calls, norms = 0, []
    x = geoopt.ManifoldParameter(start.clone(), manifold=SPD)
    optimizer = geoopt.optim.RiemannianLineSearch([x], line_search_method="wolfe", cg_method="fr")

    def closure():
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = fun(x)
        loss.backward()
        norms.append(float(SPD.norm(x.detach(), SPD.egrad2rgrad(x.detach(), x.grad))))
        return loss

    while calls < 60 and min(norms, default=1) > 1e-8:
        optimizer.step(closure)
    found = minimize(SPD, fun, start, tol=1e-10)
    assert int(found.n_evaluations) < calls
    assert float(found.gradient_norm) < min(norms)


def test_steepest_descent_keeps_no_pairs():
    d = torch.logspace(0, 2, 10, dtype=torch.float64)
    start = torch.ones(10, dtype=torch.float64)

    def fun(x):
        return (d * x.square() + x.square().square()).sum(-1)

    plain, none = minimize(FLAT, fun, start, "steepest_descent"), minimize(FLAT, fun, start, memory=0)
    assert torch.equal(plain.point, none.point)
    assert int(minimize(FLAT, fun, start).n_iter) < int(plain.n_iter)


def test_a_function_without_a_bottom_runs_to_the_last_iteration():
    found = minimize(FLAT, lambda x: x.sum(-1), torch.zeros(3, dtype=torch.float64), max_iter=5)
    assert found.reason == Reason.MAX_ITER
    assert float(found.value) < -1e3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_searches_stay_on_the_manifold(dtype):
    d = torch.logspace(0, 3, 20, dtype=dtype)
    start = SPHERE.projx(normal(4, 20)).to(dtype)
    found = minimize(SPHERE, lambda x: (d * x * x).sum(-1), start, max_iter=300, tol=0)
    assert float((found.point.norm(dim=-1) - 1).abs().max()) < 4 * torch.finfo(dtype).eps
