"""Minima on every manifold, from batches of starts, to the last digits; and what is refused at the door."""

import geoopt
import numpy as np
import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg
from repsim_geo.errors import NotOnManifoldError, ShapeError
from repsim_geo.optim import Minimum, Reason, minimize

FLAT, SPHERE, SPD = rg.Flat(1), rg.UnitSphere(1), rg.AffineInvariantSPD()
BATCHED = ("lbfgs", "steepest_descent")
METHODS = (*BATCHED, "conjugate_gradient", "trust_region")
each_method = pytest.mark.parametrize("method", METHODS)
each_manifold = pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if c.slow else c for c in MANIFOLDS], ids=str
)


def normal(*size, seed=0, dtype=torch.float64):
    return torch.randn(*size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def around(manifold, center, n, reach, seed):
    """Points at a share of the way to the cut locus, or at that distance if there is none."""
    x = center.expand(n, *center.shape)
    u = manifold.proju(x, normal(*x.shape, seed=seed, dtype=center.dtype))
    length = manifold.norm(x, u, keepdim=True)
    cut = manifold.cut_time(x, u)[(..., *[None] * manifold.ndim)] * length
    return manifold.expmap(x, u / length * reach * cut.clamp_max(1.0))


def task(case, seed, n=3, dtype=torch.float64):
    """A function that is least at a target, with level sets that are no balls; and starts around it."""
    manifold = case.make()
    generator = torch.Generator().manual_seed(seed)
    target = manifold.random(*case.point, dtype=dtype, generator=generator).as_subclass(torch.Tensor)
    marks = around(manifold, target, 4, 0.3, seed + 100)
    known = manifold.dist2(target, marks)

    def fun(x):
        misfit = manifold.dist2(x.unsqueeze(-manifold.ndim - 1), marks) - known
        return manifold.dist2(x, target) + 4 * misfit.square().sum(-1)

    return manifold, fun, around(manifold, target, n, 0.3, seed + 200), target


def size(x):
    return max(1.0, float(x.abs().max()))


@each_manifold
@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])
def test_lbfgs_recovers_a_target_on_every_manifold(case, seed):
    manifold, fun, start, target = task(case, seed)
    found = minimize(manifold, fun, start, pointwise=True)
    assert found.converged.all(), found
    assert float(manifold.dist(found.point, target).max()) < 1e-8 * size(target)
    assert int(found.n_iter.max()) <= 40
    assert manifold.check_point_on_manifold(found.point, atol=1e-10, rtol=1e-10)


@each_manifold
def test_gradients_are_slopes_along_geodesics(case):
    manifold, fun, start, _ = task(case, 3)
    from repsim_geo.manifolds.lengths import length, product
    from repsim_geo.optim.objective import Objective

    objective, rows = Objective(manifold, fun, start), torch.arange(len(start))
    gradient = objective.look(start, rows)[1]
    u = manifold.proju(start, normal(*start.shape, seed=7))
    u = u / length(manifold, start, u)[(..., *[None] * manifold.ndim)]
    h = 1e-5
    slope = (fun(manifold.expmap(start, h * u)) - fun(manifold.expmap(start, -h * u))) / (2 * h)
    np.testing.assert_allclose(product(manifold, start, gradient, u), slope, atol=1e-8, rtol=1e-7)


@each_method
def test_batches_are_single_runs(method):
    case = next(c for c in MANIFOLDS if c.name == "affine_invariant_spd")
    manifold, fun, start, _ = task(case, 0, n=4)
    together = minimize(manifold, fun, start.reshape(2, 2, 4, 4), method, tol=1e-9)
    assert together.point.shape == (2, 2, 4, 4)
    assert together.value.shape == together.reason.shape == together.n_iter.shape == (2, 2)
    for i in range(4):
        alone = minimize(manifold, fun, start[i], method, tol=1e-9)
        assert int(alone.n_iter) == int(together.n_iter.flatten()[i])
        assert int(alone.n_evaluations) == int(together.n_evaluations.flatten()[i])
        np.testing.assert_allclose(alone.point, together.point.reshape(4, 4, 4)[i], atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("pointwise", [False, True])
def test_pointwise_functions_only_see_what_still_runs(pointwise):
    d = torch.tensor([1.0, 30.0, 400.0], dtype=torch.float64)
    seen = []

    def fun(x):
        seen.append(len(x))
        return (d * x.square() / 2 + x.square().square()).sum(-1)

    # At the minimum, near it, far from it.
    start = torch.tensor([[0.0, 0, 0], [1e-4, 0, 0], [1, 2, 3]], dtype=torch.float64)
    found = minimize(FLAT, fun, start, pointwise=pointwise)
    assert found.converged.all()
    assert int(found.n_evaluations[0]) == 1
    assert int(found.n_evaluations[1]) < int(found.n_evaluations[2])
    assert set(seen) == ({3, 2, 1} if pointwise else {3})
    if pointwise:
        assert sum(seen) == int(found.n_evaluations.sum())


@each_method
def test_entries_may_have_targets_of_their_own(method):
    target = SPHERE.random(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = SPHERE.expmap(target, SPHERE.proju(target, normal(5, 4, seed=1)))
    found = minimize(
        SPHERE, lambda x: SPHERE.dist2(x, target) + (x - target).norm(dim=-1) ** 4, start, method
    )
    assert float(SPHERE.dist(found.point, target).max()) < 1e-9


def test_an_entry_that_has_ended_stays_where_it_is():
    history = []
    d = torch.tensor([1.0, 100.0], dtype=torch.float64)
    start = torch.tensor([[1e-3, 0.0], [3.0, -2.0]], dtype=torch.float64)
    found = minimize(
        FLAT, lambda x: (d * x.square() + x.square().square()).sum(-1), start, callback=history.append
    )
    end = int(found.n_iter[0])
    assert end < int(found.n_iter[1])
    for state in history[end:]:
        assert torch.equal(state.point[0], found.point[0])
    assert all(torch.equal(state.reason[1], torch.tensor(int(Reason.RUNNING))) for state in history[:-1])


@each_method
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4])
def test_gradient_norms_far_below_the_rounding_of_values_are_reached(method, offset):
    # The value is rounded to 1e-16 of its offset, so that it says nothing below gradients of 1e-8, or 1e-6.
    d = torch.arange(1, 9, dtype=torch.float64)
    start = SPHERE.projx(normal(8, seed=1))
    found = minimize(SPHERE, lambda x: (d * x * x).sum(-1) + offset, start, method, tol=1e-10)
    assert found.converged, found
    assert float(found.gradient_norm) <= 1e-10
    assert float(found.point[0].abs()) == pytest.approx(1, abs=1e-15)


@each_method
def test_searches_come_back_from_where_the_function_ends(method):
    # Nan outside of (0, 1); steps from the ends start out too long.
    start = torch.tensor([[1e-3], [0.5], [1 - 1e-6]], dtype=torch.float64)
    found = minimize(FLAT, lambda x: (3 * x - x.log() - (1 - x).log()).sum(-1), start, method, tol=1e-10)
    assert found.converged.all()
    # 3 - 1 / x + 1 / (1 - x) = 0
    np.testing.assert_allclose(found.point, (5 - 13**0.5) / 6, atol=1e-10)


@each_method
def test_infinite_walls_and_nan_gradients_are_walls(method):
    def fun(x):
        inside = x[..., 0] > 0.5
        return torch.where(inside, (x[..., 0] - 0.8) ** 2, torch.inf) + 0 * (x[..., 0] - 0.4).sqrt()

    found = minimize(FLAT, fun, torch.tensor([3.0], dtype=torch.float64), method)
    np.testing.assert_allclose(found.point, 0.8, atol=1e-9)


@each_method
def test_nothing_happens_at_a_minimum(method):
    start = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    found = minimize(SPD, lambda x: SPD.dist2(x, start), start, method)
    assert found.converged.all()
    assert torch.equal(found.point, start)
    assert not found.n_iter.any()
    assert (found.n_evaluations == 1).all()


@each_method
def test_no_iterations_return_the_start(method):
    start = SPHERE.projx(normal(2, 4))
    found = minimize(SPHERE, lambda x: x[..., 0], start, method, max_iter=0)
    assert torch.equal(found.point, start)
    assert (found.reason == Reason.MAX_ITER).all()
    np.testing.assert_allclose(found.gradient_norm, (1 - start[:, 0] ** 2).sqrt(), rtol=1e-12)


@each_method
@pytest.mark.parametrize("max_iter", [1, 3])
def test_so_many_iterations_are_taken(method, max_iter):
    d = torch.logspace(0, 3, 6, dtype=torch.float64)
    found = minimize(
        FLAT, lambda x: (d * x * x).sum(-1), torch.ones(6, dtype=torch.float64), method, max_iter=max_iter
    )
    assert found.reason == Reason.MAX_ITER
    assert int(found.n_iter) == max_iter
    assert 0 < float(found.value) < float(d.sum())


@each_method
def test_float32_reaches_its_tolerance(method):
    d = torch.arange(1, 6).float()
    start = SPHERE.projx(normal(5, seed=1)).float()
    found = minimize(SPHERE, lambda x: (d * x * x).sum(-1), start, method)
    assert found.point.dtype == found.value.dtype == torch.float32
    assert found.converged, found
    assert float(found.point[0].abs()) == pytest.approx(1, abs=1e-6)


@each_method
def test_what_cannot_be_reached_ends_as_stalled(method):
    # A kink: no gradient is below one half.
    def fun(x):
        return 1 + torch.maximum(2 * (x - 0.3), 0.3 - x).sum(-1)

    found = minimize(FLAT, fun, torch.ones(1, dtype=torch.float64), method)
    assert found.reason == Reason.STALLED, found
    np.testing.assert_allclose(found.point, 0.3, atol=1e-14)
    exact = minimize(
        SPD, lambda x: SPD.dist2(x, 3 * torch.eye(2).double()), torch.eye(2).double(), method, tol=0
    )
    assert exact.reason in (Reason.STALLED, Reason.CONVERGED)
    np.testing.assert_allclose(exact.point, 3 * torch.eye(2), atol=1e-12)


def _everything(x):
    return ((x - 0.1) ** 2).sum(-1)


def test_starts_of_any_kind_are_understood_and_left_alone():
    plain = SPHERE.projx(normal(3, seed=2))
    expected = minimize(SPHERE, _everything, plain).point
    parameter = geoopt.ManifoldParameter(plain.clone(), manifold=SPHERE)
    array = plain.numpy().copy()
    for start in (
        array,
        parameter,
        geoopt.ManifoldTensor(plain.clone(), manifold=SPHERE),
        plain.requires_grad_(),
    ):
        found = minimize(SPHERE, _everything, start)
        assert type(found.point) is torch.Tensor
        assert not found.point.requires_grad
        np.testing.assert_array_equal(found.point, expected)
        np.testing.assert_array_equal(torch.as_tensor(start).detach(), plain.detach())
    assert parameter.grad is None
    assert plain.grad is None


@each_method
def test_parameters_inside_of_the_function_get_no_gradient(method):
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    minimize(SPHERE, lambda x: (weight * x).sum(-1), SPHERE.projx(normal(3)), method)
    assert weight.grad is None
    assert torch.is_grad_enabled()


@each_method
def test_callbacks_see_the_search_and_end_it(method):
    seen = []

    def callback(state):
        seen.append(state)
        return len(seen) == 3

    d = torch.logspace(0, 3, 6, dtype=torch.float64)
    start = torch.ones(2, 6, dtype=torch.float64)
    found = minimize(FLAT, lambda x: (d * x * x).sum(-1), start, method, callback=callback)
    assert len(seen) == 3
    assert (found.reason == Reason.STOPPED).all()
    assert all(isinstance(state, Minimum) for state in seen)
    assert [int(state.n_iter.max()) for state in seen] == [0, 1, 2]
    assert float(seen[2].value.min()) < float(seen[1].value.min()) < float(seen[0].value.min())
    np.testing.assert_allclose(seen[2].value, (d * seen[2].point ** 2).sum(-1))


@each_method
def test_progress_is_printed_every_so_many_iterations(method, capsys):
    d = torch.logspace(0, 2, 4, dtype=torch.float64)

    def run(verbose):
        found = minimize(FLAT, lambda x: (d * x * x).sum(-1), torch.ones(4).double(), method, verbose=verbose)
        return int(found.n_iter), capsys.readouterr().out.splitlines()

    n_iter, lines = run(True)
    assert len(lines) == n_iter + 1
    assert lines[0].split()[0] == "0"
    assert "1.2718" in lines[0]
    assert len(run(3)[1]) == n_iter // 3 + 1
    assert not run(False)[1]


def test_the_record_says_what_happened():
    found = minimize(FLAT, lambda x: ((x - 1) ** 2).sum(-1), torch.zeros(2, 1, dtype=torch.float64))
    assert str(found).startswith("2 of 2 found (2 converged); least value 0, largest gradient norm 0.0e+00")
    with pytest.raises(AttributeError):
        found.value = 3


GENERIC = {
    "sphere": (lambda: geoopt.Sphere(), (6,)),
    "scaled": (lambda: geoopt.Scaled(rg.UnitSphere(1), 3.0), (6,)),
    "scaled_twice": (lambda: geoopt.Scaled(geoopt.Scaled(rg.UnitSphere(1), 3.0), 0.5), (6,)),
    "stiefel": (lambda: geoopt.EuclideanStiefel(), (6, 2)),
    "canonical_stiefel": (lambda: geoopt.CanonicalStiefel(), (6, 2)),
}


@each_method
@pytest.mark.parametrize("name", GENERIC)
def test_manifolds_of_geoopt(name, method):
    make, point = GENERIC[name]
    manifold, a = make(), normal(6, 6, seed=1)
    a = a + a.T
    start = (
        torch.linalg.qr(normal(3, 6, 2, seed=4))[0] if len(point) == 2 else SPHERE.projx(normal(3, 6, seed=4))
    )

    def fun(x):
        x = x if len(point) == 2 else x[..., None]
        return (a @ x * x * torch.tensor([2.0, 1.0])[: x.shape[-1]]).sum((-2, -1))

    found = minimize(manifold, fun, start, method)
    low = torch.linalg.eigvalsh(a)
    expected = 2 * low[0] + low[1] if len(point) == 2 else 2 * low[0]
    assert found.converged.all(), found
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)


def test_gradient_norms_of_scaled_manifolds_are_in_their_unit():
    start, scaled = SPHERE.projx(normal(4)), geoopt.Scaled(rg.UnitSphere(1), 4.0)
    a, b = (minimize(m, lambda x: x[..., 0], start, max_iter=0) for m in (SPHERE, scaled))
    np.testing.assert_allclose(b.gradient_norm, a.gradient_norm / 4)


@each_method
def test_products_of_manifolds(method):
    product = geoopt.ProductManifold((rg.AffineInvariantSPD(), (2, 2)), (geoopt.Sphere(), (3,)))
    target = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    pole = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    start = product.pack_point(torch.eye(2).double(), torch.tensor([1.0, 0, 0]).double())

    def fun(x):
        return SPD.dist2(x[..., :4].unflatten(-1, (2, 2)), target) - (x[..., 4:] * pole).sum(-1)

    found = minimize(product, fun, start, method)
    np.testing.assert_allclose(found.point, product.pack_point(target, pole), atol=1e-8)


def test_both_sides_of_a_cut_locus_lead_down():
    # Mean of two points half a circle apart: each half has a minimum.
    circle = rg.UnitSphere(1)
    y = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    start = torch.tensor([[0.8, 0.6], [-0.8, 0.6]], dtype=torch.float64)
    found = minimize(circle, lambda x: circle.dist2(x[..., None, :], y).sum(-1), start)
    np.testing.assert_allclose(found.point, [[1.0, 0.0], [-1.0, 0.0]], atol=1e-10)


ONE = torch.tensor([1.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"manifold": "sphere"}, TypeError, "manifold must be a geoopt.Manifold.*got 'sphere'"),
        (
            {"x0": torch.tensor([1, 0])},
            TypeError,
            r"x0 must be float32 or float64.*torch.int64.*x0.double\(\)",
        ),
        ({"x0": [1.0, 0.0]}, TypeError, "x0 must be float32 or float64.*list.*torch.stack"),
        ({"x0": np.array(["a"])}, TypeError, "x0 must be float32 or float64"),
        ({"x0": torch.tensor(1.0)}, ShapeError, "x0 must hold points.*got shape.*metric.embed"),
        ({"x0": torch.zeros(0, 2)}, ShapeError, r"got shape \(0, 2\): it is empty"),
        ({"x0": ONE * torch.nan}, ValueError, "x0 must be finite, got nan or infinity. Start from another"),
        ({"x0": 2 * ONE}, NotOnManifoldError, "x0 must lie on the manifold.*manifold.projx"),
        (
            {"fun": lambda x: x},
            ShapeError,
            r"one value for each point.*\(2,\) values.*\(\), got \(2,\).*axes",
        ),
        ({"fun": lambda x: x.sum(), "x0": torch.stack((ONE, ONE))}, ShapeError, r"\(2,\), got \(\)"),
        ({"fun": lambda x: 1.0}, TypeError, "fun must return a tensor of real numbers, got float"),
        (
            {"fun": lambda x: x.argmax(-1)},
            TypeError,
            "fun must return a tensor of real numbers, got torch.int64",
        ),
        ({"fun": lambda x: x.detach().sum(-1)}, ValueError, "fun must be differentiable.*without detach"),
        (
            {"fun": lambda x: (x - 2).log().sum(-1)},
            ValueError,
            "finite at x0, got nan or infinity. Start where",
        ),
        (
            {"fun": lambda x: x[..., 1].reciprocal(), "x0": torch.stack((ONE.flip(0), ONE))},
            ValueError,
            r"got nan or infinity in entry \(1,\)",
        ),
        ({"method": "adam"}, ValueError, "method must be one of lbfgs.*got 'adam'. Begin with 'lbfgs'"),
        ({"tol": -1.0}, ValueError, "tol must be a gradient norm, zero or more, or None, got -1.0"),
        ({"tol": "small"}, ValueError, "tol must be a gradient norm.*got 'small'"),
        ({"max_iter": 1.5}, ValueError, "max_iter must be a whole number, zero or more, got 1.5"),
        ({"memory": -1}, ValueError, "memory must be a whole number, zero or more, got -1"),
        ({"memory": True}, ValueError, "memory must be a whole number"),
        ({"verbose": "yes"}, ValueError, "verbose must be a whole number"),
        ({"hessian": "bfgs"}, ValueError, "hessian must be 'auto', 'exact', 'difference'.*got 'bfgs'"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, words):
    options = {"manifold": SPHERE, "fun": lambda x: x.sum(-1), "x0": ONE} | change
    with pytest.raises(error, match=f"(?s){words}"):
        minimize(**options)
