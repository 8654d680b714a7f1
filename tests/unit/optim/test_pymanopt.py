"""Solvers of pymanopt on manifolds of torch; Hessians against second differences along geodesics."""

import subprocess
import sys
import warnings

import geoopt
import numpy as np
import pymanopt
import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg
from repsim_geo.manifolds.lengths import product
from repsim_geo.optim import Reason, minimize
from repsim_geo.optim.hessian import HessianProducts
from repsim_geo.optim.objective import Objective
from repsim_geo.optim.pymanopt import as_pymanopt, problem

FLAT, SPHERE, SPD = rg.Flat(1), rg.UnitSphere(1), rg.AffineInvariantSPD()
each_manifold = pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if c.slow else c for c in MANIFOLDS], ids=str
)


def normal(*size, seed=0):
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def around(manifold, center, n, reach, seed):
    x = center.expand(n, *center.shape)
    u = manifold.proju(x, normal(*x.shape, seed=seed))
    length = manifold.norm(x, u, keepdim=True)
    cut = manifold.cut_time(x, u)[(..., *[None] * manifold.ndim)] * length
    return manifold.expmap(x, u / length * reach * cut.clamp_max(1.0))


def point_of(case, seed):
    manifold = case.make()
    generator = torch.Generator().manual_seed(seed)
    return manifold, manifold.random(*case.point, dtype=torch.float64, generator=generator).as_subclass(
        torch.Tensor
    )


@each_manifold
@pytest.mark.parametrize("method", ["conjugate_gradient", "trust_region"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_target_is_recovered_on_every_manifold(case, method, seed):
    manifold, target = point_of(case, seed)
    start = around(manifold, target, 2, 0.3, seed + 200)
    marks = around(manifold, target, 3, 0.3, seed + 100)
    known = manifold.dist2(target, marks)

    def fun(x):
        misfit = manifold.dist2(x.unsqueeze(-manifold.ndim - 1), marks) - known
        return manifold.dist2(x, target) + misfit.square().sum(-1)

    # Second derivatives of the Grassmannian's exponential map take a second each.
    hessian = "difference" if case.name.startswith("grassmannian") else "auto"
    found = minimize(manifold, fun, start[seed], method, hessian=hessian)
    assert found.converged, found
    assert float(manifold.dist(found.point, target)) < 1e-8 * max(1.0, float(target.abs().max()))
    assert manifold.check_point_on_manifold(found.point, atol=1e-10, rtol=1e-10)


@each_manifold
def test_trust_region_finds_means_in_few_iterations(case):
    manifold, center = point_of(case, 0)
    points = around(manifold, center, 6, 0.7, 1)

    def fun(x):
        return manifold.dist2(x.unsqueeze(-manifold.ndim - 1), points).sum(-1)

    hessian = "difference" if case.name.startswith("grassmannian_") else "auto"
    found = minimize(manifold, fun, points[0], "trust_region", hessian=hessian)
    assert found.converged, found
    assert int(found.n_iter) <= 15
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean = rg.FrechetMean(manifold, init=points[0]).fit(points)
    # Permutations have several local means.
    if float(found.value) > 6 * float(mean.variance_) * (1 - 1e-9):
        assert float(found.value) == pytest.approx(6 * float(mean.variance_), rel=1e-9)
        assert float(manifold.dist(found.point, mean.mean_)) < 1e-8


def second_difference(phi, h=1e-3):
    return (-phi(2 * h) + 16 * phi(h) - 30 * phi(0.0) + 16 * phi(-h) - phi(-2 * h)) / (12 * h * h)


def hessian_of(manifold, x, how, seed=0):
    """Two unit vectors, the Hessian of a smooth function times them, and second differences."""
    u, v = (manifold.proju(x, normal(*x.shape, seed=seed + 50 + i)) for i in (1, 2))
    u, v = (w / product(manifold, x, w).sqrt() for w in (u, v))
    y, z = (
        manifold.expmap(x, 0.3 * w / product(manifold, x, w).sqrt())
        for w in (manifold.proju(x, normal(*x.shape, seed=seed + 50 + i)) for i in (3, 4))
    )

    def fun(a):
        return manifold.dist2(a, y) + (1 + manifold.dist2(a, z)).sqrt()

    objective, rows = Objective(manifold, fun, x[None]), torch.tensor([0])
    products = HessianProducts(objective, how)
    foot = x[None]
    bent = [products(foot, w[None], rows)[0] for w in (u, v)]

    def along(w):
        return float(second_difference(lambda t: fun(manifold.expmap(x, t * w))))

    got = [[float(product(manifold, x, b, w)) for w in (u, v)] for b in bent]
    uu, vv, both = along(u), along(v), along(u + v)
    mixed = (both - uu - vv) / 2
    return bent, np.array(got), np.array([[uu, mixed], [mixed, vv]]), products


@each_manifold
@pytest.mark.parametrize("how", ["exact", "difference"])
def test_hessians_are_second_differences_along_geodesics(case, how):
    manifold, x = point_of(case, 3)
    bent, got, expected, products = hessian_of(manifold, x, how)
    np.testing.assert_allclose(got, expected, atol=3e-8, rtol=1e-7)
    assert abs(got[0, 1] - got[1, 0]) < (1e-12 if how == "exact" else 1e-8)
    for b in bent:
        np.testing.assert_allclose(manifold.proju(x, b), b, atol=1e-10 * max(1, float(b.abs().max())))
    assert products.how == how


@pytest.mark.parametrize(
    ("manifold", "point", "falls_back"),
    [
        (geoopt.Sphere(), (5,), True),  # its exponential map has no gradient at zero
        (geoopt.SymmetricPositiveDefinite(), (3, 3), False),
        (geoopt.Scaled(rg.AffineInvariantSPD(), 3.0), (3, 3), False),
        (geoopt.Scaled(geoopt.Sphere(), 0.5), (5,), True),
    ],
    ids=["sphere", "spd", "scaled", "scaled_sphere"],
)
def test_hessians_on_manifolds_of_geoopt(manifold, point, falls_back):
    torch.manual_seed(0)
    x = manifold.random(*point, dtype=torch.float64).as_subclass(torch.Tensor)
    _, got, expected, products = hessian_of(manifold, x, "auto")
    # Scaled keeps its scale in float32.
    np.testing.assert_allclose(got, expected, atol=3e-7)
    assert products.how == ("difference" if falls_back else "auto")


class Silent(torch.autograd.Function):
    """The square; its second derivative is taken for zero."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class Refusing(torch.autograd.Function):
    """Twice the product; without derivatives."""

    @staticmethod
    def forward(ctx, x, gradient):
        return 2 * x * gradient

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError("no second derivative")


class Loud(torch.autograd.Function):
    """The square; its second derivative raises."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, gradient):
        return Refusing.apply(ctx.saved_tensors[0], gradient)


@pytest.mark.parametrize("square", [Silent, Loud])
def test_functions_without_second_derivatives_are_differenced(square):
    d, start = torch.arange(1, 5, dtype=torch.float64), torch.full((4,), 0.5, dtype=torch.float64)

    def fun(x):
        return (d * square.apply(x)).sum(-1)

    found = minimize(SPHERE, fun, start, "trust_region")
    np.testing.assert_allclose(found.point.abs(), [1.0, 0, 0, 0], atol=1e-9)
    assert int(found.n_iter) < 10


def test_what_was_asked_for_by_name_is_not_replaced():
    d, start = torch.arange(1, 5, dtype=torch.float64), torch.full((4,), 0.5, dtype=torch.float64)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        minimize(SPHERE, lambda x: (d * Loud.apply(x)).sum(-1), start, "trust_region", hessian="exact")
    wrong = minimize(SPHERE, lambda x: (d * Silent.apply(x)).sum(-1), start, "trust_region", hessian="exact")
    assert not wrong.converged


@pytest.mark.parametrize("pointwise", [False, True])
def test_a_hessian_of_your_own_sees_what_the_function_sees(pointwise):
    d = torch.arange(1, 5, dtype=torch.float64)
    start = torch.full((2, 4), 1.0, dtype=torch.float64)
    shapes = set()

    def hessian(x, u):
        shapes.add((tuple(x.shape), tuple(u.shape)))
        return (2 * d + 12 * x.square()) * u

    def fun(x):
        return (d * x.square() + x.square().square()).sum(-1)

    options = {"tol": 1e-12, "pointwise": pointwise}
    own = minimize(FLAT, fun, start, "trust_region", hessian=hessian, **options)
    exact = minimize(FLAT, fun, start, "trust_region", hessian="exact", **options)
    assert shapes == ({((1, 4), (1, 4))} if pointwise else {((2, 4), (2, 4))})
    assert torch.equal(own.n_iter, exact.n_iter)
    np.testing.assert_allclose(own.point, 0, atol=1e-12)


def test_trust_region_leaves_a_saddle():
    start = torch.tensor([1e-3, 1.0, 0.0], dtype=torch.float64)
    d = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    found = minimize(SPHERE, lambda x: (d * x * x).sum(-1), SPHERE.projx(start), "trust_region")
    assert float(found.value) == pytest.approx(-1, abs=1e-15)


# ---------------------------------------------------------------------- the adapter


@each_manifold
def test_pymanopt_sees_the_same_manifold(case):
    manifold, x = point_of(case, 1)
    adapted = as_pymanopt(manifold, x)
    assert isinstance(adapted, pymanopt.manifolds.manifold.Manifold)
    assert adapted.dim == manifold.dim(*case.point)
    u, v = (manifold.proju(x, normal(*x.shape, seed=50 + i)) for i in (2, 3))
    u = 0.1 * u / manifold.norm(x, u)
    y = manifold.retr(x, u)
    a, b, c, e = (t.numpy() for t in (x, u, v, y))
    np.testing.assert_allclose(adapted.inner_product(a, b, c), manifold.inner(x, u, v))
    np.testing.assert_allclose(adapted.norm(a, b), 0.1)
    np.testing.assert_allclose(adapted.retraction(a, b), y)
    np.testing.assert_allclose(adapted.exp(a, b), manifold.expmap(x, u))
    np.testing.assert_allclose(adapted.log(a, e), manifold.logmap(x, y))
    np.testing.assert_allclose(adapted.dist(a, e), 0.1, rtol=1e-7)
    np.testing.assert_allclose(adapted.transport(a, e, c), manifold.transp(x, y, v))
    np.testing.assert_allclose(adapted.projection(a, c), v, atol=1e-10)
    np.testing.assert_allclose(adapted.to_tangent_space(a, c), v, atol=1e-10)
    np.testing.assert_allclose(adapted.euclidean_to_riemannian_gradient(a, c), manifold.egrad2rgrad(x, v))
    np.testing.assert_allclose(adapted.dist(a, adapted.pair_mean(a, e)), 0.05, rtol=1e-6)
    assert not adapted.zero_vector(a).any()
    assert manifold.check_point_on_manifold(torch.from_numpy(adapted.random_point()))
    assert adapted.norm(a, adapted.random_tangent_vector(a)) == pytest.approx(1)
    assert adapted.typical_dist > 0


def test_dimensions_of_manifolds_that_do_not_know_theirs():
    torch.manual_seed(0)
    stiefel = geoopt.EuclideanStiefel()
    assert as_pymanopt(stiefel, stiefel.random(6, 2, dtype=torch.float64)).dim == 12 - 3
    product_of = geoopt.ProductManifold((geoopt.Sphere(), (3,)), (rg.AffineInvariantSPD(), (2, 2)))
    x = product_of.pack_point(torch.tensor([1.0, 0, 0]), torch.eye(2))
    assert as_pymanopt(product_of, x).dim == 2 + 3
    # Too large to count: all entries.
    assert as_pymanopt(geoopt.Sphere(), torch.eye(1, 2000)[0]).dim == 2000


def test_solvers_of_pymanopt_run_on_their_own():
    target = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    start = torch.eye(3, dtype=torch.float64)
    task = problem(SPD, lambda x: SPD.dist2(x, target), start)
    for solver, options in (
        (pymanopt.optimizers.SteepestDescent(verbosity=0, min_gradient_norm=1e-8), {}),
        (pymanopt.optimizers.ConjugateGradient(verbosity=0, min_gradient_norm=1e-8), {}),
        (pymanopt.optimizers.TrustRegions(verbosity=0, min_gradient_norm=1e-8), {"mininner": 0}),
    ):
        result = solver.run(task, initial_point=start.numpy(), **options)
        np.testing.assert_allclose(result.point, target, atol=1e-6)
    assert start.equal(torch.eye(3, dtype=torch.float64))


def test_agrees_with_pymanopts_own_manifold():
    a = normal(5, 5, seed=1)
    a = a + a.T
    start = SPHERE.projx(normal(5))
    own = pymanopt.manifolds.Sphere(5)

    @pymanopt.function.numpy(own)
    def cost(x):
        return x @ a.numpy() @ x

    @pymanopt.function.numpy(own)
    def gradient(x):
        return 2 * a.numpy() @ x

    theirs = pymanopt.optimizers.ConjugateGradient(verbosity=0, min_gradient_norm=1e-7).run(
        pymanopt.Problem(own, cost, euclidean_gradient=gradient), initial_point=start.numpy()
    )
    found = minimize(SPHERE, lambda x: ((x @ a) * x).sum(-1), start, "conjugate_gradient")
    assert float(found.value) == pytest.approx(theirs.cost, abs=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["conjugate_gradient", "trust_region"])
def test_exact_minima_divide_nothing_by_zero(method):
    # The first step meets the minimum to the last digit, where every quotient is 0 / 0.
    found = minimize(
        FLAT, lambda x: (x * x).sum(-1), torch.tensor([4.0, 2.0], dtype=torch.float64), method, tol=0
    )
    assert found.reason == Reason.CONVERGED
    assert not found.point.any()


def test_stopping_one_start_stops_those_that_wait():
    start = torch.ones(3, 2, dtype=torch.float64)
    found = minimize(
        FLAT,
        lambda x: (x.square() * torch.tensor([1.0, 9.0])).sum(-1),
        start,
        "conjugate_gradient",
        callback=lambda state: int(state.n_iter[1]) == 1,
    )
    assert [Reason(int(r)).name for r in found.reason] == ["CONVERGED", "STOPPED", "STOPPED"]
    assert torch.equal(found.point[2], start[2])


def test_without_pymanopt_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['pymanopt'] = None; import torch, repsim_geo as rg\n"
        "from repsim_geo.optim import minimize\n"
        "x, f = torch.tensor([1.0, 0.0]), lambda x: x.sum(-1)\n"
        "print(minimize(rg.UnitSphere(1), f, x).point.shape)\n"
        "minimize(rg.UnitSphere(1), f, x, 'trust_region')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "torch.Size([2])" in done.stdout
    assert "ImportError" in done.stderr
    assert "needs pymanopt, which is not installed" in done.stderr
    assert "repsim-geo[optim]" in done.stderr
