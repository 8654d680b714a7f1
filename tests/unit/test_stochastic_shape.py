"""Stochastic shapes against scans of all rotations, least squares, and the full differential equation."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import torch

import repsim_geo as rg
from repsim_geo.embeddings.gaussian import GaussianResponses
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds import gaussian_group
from repsim_geo.manifolds.gaussian_shapes import GaussianShapes
from repsim_geo.metrics.stochastic_shape import StochasticShape

SIZES = [(4, 2, 2), (5, 3, 3), (6, 2, 4), (4, 4, 2), (5, 1, 3), (3, 2, 1), (2, 1, 5)]


def normal(*shape, generator):
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def rotation(p, generator):
    return torch.linalg.qr(normal(p, p, generator=generator))[0]


def point(m, k, p, generator, batch=()):
    return GaussianShapes().projx(normal(*batch, m, 1 + k, p, generator=generator))


def moments(m, d, generator):
    """Means and covariances, as a user has them."""
    f = normal(m, d, d, generator=generator)
    return normal(m, d, generator=generator), f.mT @ f


# ---------------------------------------------------------------------- oracles: the definition, in numpy


def bures2(a, b):
    root = scipy.linalg.sqrtm(a).real
    return np.trace(a) + np.trace(b) - 2 * np.trace(scipy.linalg.sqrtm(root @ b @ root).real)


def objective(x, y, q, a):
    """The squared distance before the minimum over q is taken."""
    (mu, s), (nu, t) = ([w.numpy() for w in pair] for pair in (x, y))
    mu, nu = mu - mu.mean(0), nu - nu.mean(0)
    means = ((mu - nu @ q) ** 2).sum(-1)
    return np.mean([a * e + (2 - a) * bures2(c, q.T @ d @ q) for e, c, d in zip(means, s, t, strict=True)])


def scan(x, y, a):
    """Minimum over O(2): both components, every 3 degrees, then refined."""
    best = math.inf
    for sign in (1.0, -1.0):

        def at(angle, sign=sign):
            c, s = math.cos(angle), math.sin(angle)
            return objective(x, y, np.array([[c, -sign * s], [s, sign * c]]), a)

        angles = np.linspace(0, 2 * np.pi, 121)
        start = angles[int(np.argmin([at(t) for t in angles]))]
        fine = scipy.optimize.minimize_scalar(
            at, bounds=(start - 0.06, start + 0.06), method="bounded", options={"xatol": 1e-9}
        )
        best = min(best, fine.fun)
    return best


def generators(m, k, p):
    """A basis of the Lie algebra: skew matrices of the columns, and of the rows of one factor."""
    for i, j in itertools.combinations(range(p), 2):
        a = np.zeros((p, p))
        a[i, j], a[j, i] = 1, -1
        yield a, np.zeros((m, k, k))
    for n in range(m):
        for i, j in itertools.combinations(range(k), 2):
            b = np.zeros((m, k, k))
            b[n, i, j], b[n, j, i] = 1, -1
            yield np.zeros((p, p)), b


def vertical_basis(x):
    """Columns: how every generator moves x."""
    m, rows, p = x.shape
    moved = []
    for a, b in generators(m, rows - 1, p):
        w = x @ a
        w[:, 1:] += b @ x[:, 1:]
        moved.append(w.ravel())
    return np.array(moved).reshape(-1, x.size).T


def transport_ode(x, u, v):
    """Parallel transport by its definition: stay horizontal, change vertically."""

    def slope(t, w):
        j, bent = vertical_basis(x + t * u), vertical_basis(u)
        if j.shape[1] == 0:
            return np.zeros_like(w)
        turn = np.linalg.lstsq(j.T @ j, -bent.T @ w, rcond=1e-12)[0]
        return j @ turn

    solved = scipy.integrate.solve_ivp(slope, (0, 1), v.ravel(), method="DOP853", rtol=1e-12, atol=1e-13)
    return solved.y[:, -1].reshape(x.shape)


# ---------------------------------------------------------------------- distances


@pytest.mark.parametrize("mean_weight", [0.0, 0.25, 1.0, 1.75])
def test_distance_is_the_minimum_over_all_rotations_of_the_plane(mean_weight, generator):
    metric = StochasticShape(mean_weight=mean_weight)
    for _ in range(3):
        x, y = (moments(4, 2, generator) for _ in range(2))
        found = float(metric.dist2(metric.embed(x), metric.embed(y)))
        assert found == pytest.approx(scan(x, y, mean_weight), rel=1e-8)


@pytest.mark.parametrize("mean_weight", [0.25, 1.0])
def test_no_rotation_of_space_does_better(mean_weight, generator):
    metric = StochasticShape(mean_weight=mean_weight)
    x, y = (moments(5, 3, generator) for _ in range(2))
    found = float(metric.dist2(metric.embed(x), metric.embed(y)))

    def at(w, q):
        turn = scipy.linalg.expm(np.array([[0, w[0], w[1]], [-w[0], 0, w[2]], [-w[1], -w[2], 0]]))
        return objective(x, y, turn @ q, mean_weight)

    best = min(
        scipy.optimize.minimize(
            at, np.zeros(3), (rotation(3, generator).numpy(),), options={"gtol": 1e-7}
        ).fun
        for _ in range(8)
    )
    assert found <= best * (1 + 1e-9)


def test_alignment_minimizes_what_is_scored(generator):
    # With other weights for the alignment than for the score, as netrep has them, the score is too large.
    x, y = (moments(6, 2, generator) for _ in range(2))
    ours, theirs = (
        StochasticShape(mean_weight=0.25),
        StochasticShape(mean_weight=2 * 0.25**2 / (0.25**2 + 1.75**2)),
    )
    q = theirs.align(theirs.embed(x), theirs.embed(y)).rotation.columns.numpy()
    d2 = float(ours.dist2(ours.embed(x), ours.embed(y)))
    assert d2 < objective(x, y, q, 0.25)
    assert d2 == pytest.approx(scan(x, y, 0.25), rel=1e-8)


@pytest.mark.parametrize("mean_weight", [0.5, 1.0, 2.0])
def test_without_noise_it_is_the_shape_distance(mean_weight, generator):
    x, y = normal(9, 4, generator=generator), normal(9, 4, generator=generator)
    shape = rg.compare(x, y, "size_and_shape")
    found = rg.compare(x, y, StochasticShape(mean_weight=mean_weight))
    np.testing.assert_allclose(found, shape * math.sqrt(mean_weight / 9), rtol=1e-12)


def test_isotropic_covariances_have_a_closed_form(generator):
    m, p = 6, 3
    x, y = normal(m, p, generator=generator), normal(m, p, generator=generator)
    s, t = normal(m, generator=generator).abs(), normal(m, generator=generator).abs()
    metric = StochasticShape()
    a, b = (
        metric.embed((w, r[:, None, None] ** 2 * torch.eye(p, dtype=torch.float64)))
        for w, r in ((x, s), (y, t))
    )
    closed = (rg.compare(x, y, "size_and_shape") ** 2 + p * ((s - t) ** 2).sum()) / m
    np.testing.assert_allclose(metric.dist2(a, b), closed, rtol=1e-12)
    assert float(metric.dist_bounds(a, b).gap) < 1e-7


def test_distance_does_not_see_rotations_of_either_network(generator):
    manifold = GaussianShapes()
    x, y = point(6, 3, 3, generator), point(6, 3, 3, generator)
    for _ in range(4):
        q = rotation(3, generator)
        np.testing.assert_allclose(manifold.dist(x @ q, y), manifold.dist(x, y), rtol=1e-12)
        np.testing.assert_allclose(manifold.logmap(x, y @ q), manifold.logmap(x, y), atol=1e-11)


def test_distance_is_symmetric_also_for_unrelated_networks(generator):
    manifold = GaussianShapes(starts=6)
    x, y = (point(5, 5, 5, generator, batch=(20,)) for _ in range(2))
    np.testing.assert_allclose(manifold.dist(x, y), manifold.dist(y, x), rtol=1e-12)


def test_search_is_deterministic_and_leaves_the_global_random_state_alone(generator):
    manifold = GaussianShapes()
    x, y = point(5, 3, 3, generator), point(5, 3, 3, generator)
    before = torch.random.get_rng_state()
    first = manifold.dist(x, y)
    torch.rand(3)
    assert torch.equal(first, manifold.dist(x, y))
    torch.random.set_rng_state(before)
    manifold.dist(x, y)
    assert torch.equal(before, torch.random.get_rng_state())


def test_points_at_distance_zero(generator):
    manifold = GaussianShapes()
    for m, k, p in SIZES:
        x = point(m, k, p, generator)
        turned = torch.cat([x[:, :1], rotation(k, generator) @ x[:, 1:]], 1) @ rotation(p, generator)
        assert float(manifold.dist(x, x.clone())) == 0
        assert float(manifold.dist(x, turned)) < 1e-13 * float(x.norm())
        zero = torch.zeros_like(x)
        np.testing.assert_allclose(manifold.dist(x, zero), x.norm(), rtol=1e-14)
        assert float(manifold.dist(zero, zero)) == 0


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_distance_scales(scale, generator):
    manifold = GaussianShapes()
    x, y = point(5, 3, 3, generator), point(5, 3, 3, generator)
    np.testing.assert_allclose(manifold.dist(scale * x, scale * y), scale * manifold.dist(x, y), rtol=1e-12)
    single = manifold.dist(x.float(), y.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, manifold.dist(x, y), rtol=1e-6)


def test_what_is_not_finite_gives_nan_and_no_error(generator):
    manifold = GaussianShapes()
    x, y = (point(4, 2, 2, generator, batch=(2,)) for _ in range(2))
    y[0, 1, 1, 1] = math.inf
    d = manifold.dist(x, y)
    assert bool(d[0].isnan())
    assert torch.equal(d[1], manifold.dist(x[1], y[1]))
    assert bool(manifold.proju(y, x)[0].isnan().any())


# ---------------------------------------------------------------------- bounds


def test_bounds_enclose_the_distance(generator):
    manifold = GaussianShapes()
    metric = StochasticShape()
    for _ in range(3):
        x, y = (moments(4, 2, generator) for _ in range(2))
        bounds = metric.dist_bounds(metric.embed(x), metric.embed(y))
        assert float(bounds.lower) <= math.sqrt(scan(x, y, 1.0)) * (1 + 1e-7)
        assert float(bounds.upper) == pytest.approx(math.sqrt(scan(x, y, 1.0)), rel=1e-7)
    x = point(6, 3, 3, generator, batch=(30,))
    y = x + torch.linspace(0, 2, 30, dtype=torch.float64)[:, None, None, None] * point(
        6, 3, 3, generator, batch=(30,)
    )
    bounds = manifold.dist_bounds(x, y)
    best = GaussianShapes(starts=200).dist(x, y)
    assert bool((bounds.lower <= best * (1 + 1e-9)).all())
    assert bool((best <= bounds.upper * (1 + 1e-9)).all())
    assert bounds.n_starts == 48
    assert bool((bounds.spread >= 0).all())


def test_networks_that_resemble_each_other_are_certified(generator):
    manifold = GaussianShapes()
    x, e = point(10, 3, 3, generator), point(10, 3, 3, generator)
    weights = torch.tensor([1.0, 0.2, 0.2, 0.2], dtype=torch.float64)[:, None]
    x, y = weights * x, weights * (x + 0.05 * e) @ rotation(3, generator)
    bounds = manifold.dist_bounds(x, y)
    assert float(bounds.gap) < 1e-5 * float(bounds.upper)
    assert float(bounds.spread) < 1e-7 * float(x.norm())


# ---------------------------------------------------------------------- tangent vectors


@pytest.mark.parametrize(("m", "k", "p"), SIZES)
def test_horizontal_projection_is_least_squares(m, k, p, generator):
    manifold = GaussianShapes()
    for scale in (1e-8, 1.0, 1e8):
        x, w = scale * point(m, k, p, generator), scale * point(m, k, p, generator)
        j = vertical_basis(x.numpy())
        # Nothing is vertical where nothing turns.
        turn = np.linalg.lstsq(j, w.numpy().ravel(), rcond=1e-10)[0] if j.shape[1] else np.zeros(0)
        np.testing.assert_allclose(
            manifold.proju(x, w).numpy().ravel(), w.numpy().ravel() - j @ turn, atol=1e-11 * scale
        )


def test_horizontal_projection_at_points_of_larger_symmetry(generator):
    manifold = GaussianShapes()
    m, k, p = 5, 3, 3
    x, w = point(m, k, p, generator), point(m, k, p, generator)
    no_noise = torch.cat([x[:, :1], torch.zeros_like(x[:, 1:])], 1)
    isotropic = torch.cat([torch.zeros_like(x[:, :1]), torch.eye(3, dtype=torch.float64).expand(m, 3, 3)], 1)
    flat = x * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    for y in (no_noise, isotropic, flat, torch.zeros_like(x)):
        j = vertical_basis(y.numpy())
        turn = np.linalg.lstsq(j, w.numpy().ravel(), rcond=1e-10)[0]
        np.testing.assert_allclose(
            manifold.proju(y, w).numpy().ravel(), w.numpy().ravel() - j @ turn, atol=1e-12
        )


@pytest.mark.parametrize(("m", "k", "p"), SIZES)
def test_dimension_counts_what_is_not_vertical(m, k, p, generator):
    for centered in (True, False):
        x = GaussianShapes(centered=centered).projx(normal(m, 1 + k, p, generator=generator))
        turning = np.linalg.matrix_rank(vertical_basis(x.numpy()), tol=1e-9) if max(k, p) > 1 else 0
        total = m * k * p + (m - centered) * p
        assert GaussianShapes(centered=centered).dim(m, 1 + k, p) == total - turning


def test_conjugate_gradients_give_what_the_eigendecomposition_gives(generator, monkeypatch):
    manifold = GaussianShapes()
    x, y, w = (point(5, 3, 4, generator, batch=(3,)) for _ in range(3))
    x.requires_grad_()

    def everything():
        h = manifold.proju(x, w)
        (g,) = torch.autograd.grad((h * y).sum(), x)
        return h.detach(), g, manifold.dist(x, y).detach(), manifold.logmap(x, y).detach()

    dense = everything()
    monkeypatch.setattr(gaussian_group, "_LARGEST_DENSE", 0)
    for a, b in zip(dense, everything(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


# ---------------------------------------------------------------------- transport and curvature


@pytest.mark.parametrize(("m", "k", "p"), [(4, 2, 2), (5, 3, 3), (4, 2, 3), (4, 3, 2)])
def test_transport_agrees_with_the_differential_equation(m, k, p, generator):
    manifold = GaussianShapes()
    for length in (0.1, 0.4):
        x = point(m, k, p, generator)
        u, v = (manifold.proju(x, point(m, k, p, generator)) for _ in range(2))
        u = u * min(length, 0.9 * float(manifold.cut_time(x, u)))
        fine = transport_ode(x.numpy(), u.numpy(), v.numpy())
        np.testing.assert_allclose(manifold.carry(x, u, v).numpy(), fine, atol=5e-11)


def test_transport_is_isometric_and_returns_the_gauge_of_the_target(generator):
    manifold = GaussianShapes()
    x, y = (point(5, 3, 3, generator, batch=(4,)) for _ in range(2))
    v, w = (manifold.proju(x, point(5, 3, 3, generator, batch=(4,))) for _ in range(2))
    tv, tw = manifold.transp(x, y, v), manifold.transp(x, y, w)
    np.testing.assert_allclose(manifold.inner(y, tv, tw), manifold.inner(x, v, w), atol=1e-10)
    np.testing.assert_allclose(manifold.proju(y, tv), tv, atol=1e-10)
    q = rotation(3, generator)
    np.testing.assert_allclose(manifold.transp(x, y @ q, v), tv @ q, atol=1e-9)


def test_without_noise_transport_and_curvature_are_those_of_shapes(generator):
    shapes, manifold = rg.SizeAndShape(), GaussianShapes()
    x = shapes.projx(normal(7, 3, generator=generator))
    u, v = (shapes.proju(x, normal(7, 3, generator=generator)) for _ in range(2))
    a, b, c = (torch.stack([w, torch.zeros_like(w)], 1) for w in (x, u, v))
    np.testing.assert_allclose(
        manifold.sectional_curvature(a, b, c), shapes.sectional_curvature(x, u, v), rtol=1e-11
    )
    np.testing.assert_allclose(manifold.carry(a, 0.1 * b, c)[:, 0], shapes.carry(x, 0.1 * u, v), atol=1e-12)


def test_transport_through_a_symmetric_point_warns_and_keeps_the_length(generator):
    manifold = GaussianShapes()
    # The standard deviation of the only unit of the first input passes through zero and turns around there.
    x = point(3, 2, 2, generator)
    v = manifold.proju(x, point(3, 2, 2, generator))
    with pytest.warns(rg.CutLocusWarning, match="larger symmetry"):
        moved = manifold.carry(x, -2 * x, v)
    np.testing.assert_allclose(moved.norm(), v.norm(), rtol=2e-3)


def test_injectivity_radius_is_proven(generator):
    manifold = GaussianShapes()
    x = point(6, 2, 2, generator, batch=(40,))
    radius = manifold.injectivity_radius(x)
    assert bool((radius > 0).all())
    u = manifold.proju(x, point(6, 2, 2, generator, batch=(40,)))
    u = u * (0.999 * radius / manifold.norm(x, u))[:, None, None, None]
    np.testing.assert_allclose(manifold.logmap(x, x + u), u, atol=1e-11)
    assert bool((manifold.cut_time(x, u) >= 1).all())
    assert float(manifold.injectivity_radius(point(3, 2, 4, generator))) == 0
    assert manifold.injectivity_radius() == 0


# ---------------------------------------------------------------------- derivatives


# All entries take half a minute: by default a random combination of them is compared, where there are many.
@pytest.mark.parametrize(
    "fast_mode", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["fast", "all"]
)
def test_derivatives_agree_with_finite_differences(fast_mode, generator, seed):
    torch.manual_seed(seed)  # the fast mode draws from the global source
    manifold = GaussianShapes(starts=6)
    x = point(3, 2, 2, generator)
    y = x + 0.3 * point(3, 2, 2, generator)
    v = point(3, 2, 2, generator)
    leaves = [w.clone().requires_grad_() for w in (x, y, v)]
    first, second = (
        partial(check, fast_mode=fast_mode)
        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck)
    )
    assert torch.autograd.gradcheck(manifold.dist2, leaves[:2], check_forward_ad=True)
    assert second(manifold.dist2, leaves[:2])
    assert first(manifold.logmap, leaves[:2])
    assert torch.autograd.gradcheck(manifold.proju, (leaves[0], leaves[2]))
    assert second(manifold.proju, (leaves[0], leaves[2]))
    assert first(lambda a, b, c: manifold.transp(a, b, manifold.proju(a, c)), leaves)
    assert first(
        lambda a, b, c: manifold.sectional_curvature(a, manifold.logmap(a, b), manifold.proju(a, c)), leaves
    )


@pytest.mark.parametrize("r", [3, 8])
def test_gradient_reaches_the_repeats(r, generator):
    metric = StochasticShape(starts=6).resolve([torch.zeros(r, 4, 3)] * 2)
    x, y = normal(r, 4, 3, generator=generator), normal(r, 4, 3, generator=generator)
    y = metric.embed(x + 0.3 * y)
    assert torch.autograd.gradcheck(lambda a: metric.dist2(metric.embed(a), y), (x.requires_grad_(),))


def test_gradient_reaches_the_moments(generator):
    metric = StochasticShape(starts=6)
    mu, _ = moments(3, 2, generator)
    y = metric.embed(moments(3, 2, generator))

    def d2(mu, a):
        return metric.dist2(metric.embed((mu, a.mT @ a)), y)

    assert torch.autograd.gradcheck(
        d2, (mu.requires_grad_(), normal(3, 2, 2, generator=generator).requires_grad_())
    )


def test_gradients_are_finite_where_things_coincide(generator):
    metric = StochasticShape()
    x = normal(3, 5, 2, generator=generator)
    constant = torch.ones(3, 5, 2, dtype=torch.float64)
    for a, b in ((x, x), (x, constant), (constant, constant), (x[:1].expand(3, -1, -1), x)):
        leaf = a.clone().requires_grad_()
        d = metric.dist(metric.embed(leaf), metric.embed(b))
        (g,) = torch.autograd.grad(d, leaf)
        assert bool(g.isfinite().all())


# ---------------------------------------------------------------------- from activations to points


def test_repeats_give_their_unbiased_moments(generator):
    for r, d in ((3, 4), (9, 4)):
        x = normal(r, 6, d, generator=generator)
        mu = x.mean(0)
        covariance = torch.stack([torch.cov(x[:, i].T) for i in range(6)])
        metric = StochasticShape()
        a, b = metric.embed(x), metric.embed((mu, covariance))
        np.testing.assert_allclose(6 * a[:, 1:].mT @ a[:, 1:], covariance, atol=1e-12)
        np.testing.assert_allclose(math.sqrt(6) * a[:, 0], mu - mu.mean(0), atol=1e-12)
        padded = torch.nn.functional.pad(a, (0, 0, 0, b.shape[1] - a.shape[1]))
        assert float(metric.dist(padded, b)) < 1e-12


def test_narrow_networks_are_padded_without_moving(generator):
    x, y = normal(4, 6, 3, generator=generator), normal(4, 6, 5, generator=generator)
    wide = torch.nn.functional.pad(x, (0, 2)) @ rotation(5, generator)
    np.testing.assert_allclose(
        rg.compare(x, y, StochasticShape()), rg.compare(wide, y, StochasticShape()), rtol=1e-11
    )
    assert float(rg.compare(x, wide, StochasticShape())) < 1e-12


def test_more_units_than_rows_are_rotated_without_moving(generator):
    x, y = normal(2, 3, 40, generator=generator), normal(2, 3, 40, generator=generator)
    metric = StochasticShape()
    a = metric.embed(x)
    assert a.shape == (3, 3, 8)
    # Nothing is lost: point by point the lengths are those of the activations.
    np.testing.assert_allclose(a.square().sum(), metric.embedding(x).square().sum(), rtol=1e-12)
    full = GaussianResponses(p=40)
    np.testing.assert_allclose(metric.dist(a, a), GaussianShapes().dist(full(x), full(x)), atol=1e-12)
    np.testing.assert_allclose(rg.compare(x, y, metric), GaussianShapes().dist(full(x), full(y)), rtol=1e-9)


def test_truncation_moves_by_no_more_than_what_is_left_out(generator):
    x, y = (normal(5, 6, 4, generator=generator) * torch.tensor([2, 1, 0.3, 0.1]) for _ in range(2))
    whole, cut = StochasticShape(p=4), StochasticShape(p=2)
    left = sum(math.sqrt(float(whole.embed(w).square().sum() - cut.embed(w).square().sum())) for w in (x, y))
    d, e = (m.dist(m.embed(x), m.embed(y)) for m in (whole, cut))
    assert abs(float(d - e)) <= left


def test_networks_with_different_repeats_are_embedded_with_one_rank(generator):
    x, y = normal(3, 6, 2, generator=generator), normal(7, 6, 2, generator=generator)
    metric = StochasticShape(p=2, rank=2)
    d = metric.dist(metric.embed(x), metric.embed(y))
    pairs = [(w.mean(0), torch.stack([torch.cov(w[:, i].T) for i in range(6)])) for w in (x, y)]
    np.testing.assert_allclose(d**2, scan(*pairs, 1.0), rtol=1e-7)


def test_noisy_and_deterministic_networks_compare(generator):
    x, noisy = normal(6, 3, generator=generator), normal(5, 6, 3, generator=generator)
    d = rg.compare(x, noisy, StochasticShape())
    zero = torch.zeros(6, 3, 3, dtype=torch.float64)
    metric = StochasticShape()
    covariance = torch.stack([torch.cov(noisy[:, i].T) for i in range(6)])
    e = metric.dist(metric.embed((x, zero)), metric.embed((noisy.mean(0), covariance)))
    np.testing.assert_allclose(d, e, rtol=1e-11)


def test_all_pairs(generator):
    reps = [normal(4, 6, d, generator=generator) for d in (2, 3, 3)]
    metric = StochasticShape().resolve(reps)
    points = torch.stack([metric.embed(x) for x in reps])
    table = metric.cdist(points, points)
    np.testing.assert_allclose(table[0, 2], rg.compare(reps[0], reps[2], StochasticShape()), rtol=1e-11)
    assert float(table.diagonal().abs().max()) == 0


def test_singular_covariances_are_points(generator):
    metric = StochasticShape()
    v = normal(5, 3, 1, generator=generator)
    x = metric.embed((normal(5, 3, generator=generator), v @ v.mT))
    assert bool(x.isfinite().all())
    np.testing.assert_allclose(5 * x[:, 1:].mT @ x[:, 1:], v @ v.mT, atol=1e-14)
    y = metric.embed(moments(5, 3, generator))
    bounds = metric.dist_bounds(x, y)
    assert 0 < float(bounds.lower) <= float(bounds.upper)


# ---------------------------------------------------------------------- doors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"p": 0}, "p must be a positive whole number"),
        ({"rank": 1.5}, "rank must be a positive whole number"),
        ({"mean_weight": 2.5}, "mean_weight must lie between 0"),
        ({"starts": 2}, "starts must be a whole number, at least 3"),
    ],
)
def test_options_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        StochasticShape(**options)


def test_inputs_are_checked(generator):
    metric = StochasticShape()
    with pytest.raises(ShapeError, match="one repeat has no covariance"):
        metric.embed(normal(1, 4, 3, generator=generator))
    with pytest.raises(ShapeError, match=r"covariances must have shape \(4, 3, 3\)"):
        metric.embed((normal(4, 3, generator=generator), normal(4, 3, generator=generator)))
    with pytest.raises(ValueError, match=r"positive semidefinite, got 4 that are not \(first: input 0\)"):
        metric.embed((normal(4, 3, generator=generator), -torch.eye(3, dtype=torch.float64).expand(4, 3, 3)))
    with pytest.raises(ValueError, match="covariances must be finite"):
        metric.embed((normal(4, 3, generator=generator), torch.full((4, 3, 3), math.nan)))
    with pytest.raises(ShapeError, match="factors of at least 3 rows, got rank=2"):
        StochasticShape(rank=2).embed(normal(5, 4, 3, generator=generator))
    with pytest.raises(ShapeError, match="same inputs, rows and columns"):
        metric.dist(point(4, 2, 3, generator), point(4, 3, 3, generator))
    with pytest.raises(ValueError, match="needs shape"):
        GaussianShapes().random(4, 1, 3)


def test_card_claims_rotations_and_translations(generator):
    metric = StochasticShape()
    x, y = normal(4, 6, 3, generator=generator), normal(4, 6, 3, generator=generator)
    d = rg.compare(x, y, metric)
    for invariance in metric.card.invariances:
        np.testing.assert_allclose(
            rg.compare(invariance.sample(x, generator), y, metric), d, rtol=1e-10, err_msg=str(invariance)
        )
    assert metric.card.key == "stochastic_shape"
