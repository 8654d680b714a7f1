"""Permutations of units: the quotient, its cut locus, and soft matching, against brute force."""

import itertools
import math
import sys

import numpy as np
import oracles
import pytest
import scipy.optimize
import torch

import repsim_geo as rg
from repsim_geo.manifolds.actions import Permutation
from repsim_geo.metrics.permutation import AngularPermutation, PermutationDistance
from repsim_geo.metrics.soft_matching import SoftMatching
from repsim_geo.numerics import matching
from repsim_geo.numerics.assignment import (
    assignment,
    match_columns,
    squared_distances_of_columns,
    steepest_exchange,
)
from repsim_geo.verify import check_manifold

FLAT = rg.Quotient(rg.Flat(2, rg.ColumnCentered()), Permutation())
SPHERE = rg.Quotient(rg.UnitSphere(2, rg.ColumnCentered()), Permutation())
both_totals = pytest.mark.parametrize("manifold", [FLAT, SPHERE], ids=["flat", "sphere"])


def draw(manifold, seed, m=6, p=5, n=(4,), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return manifold.projx(torch.randn(*n, m, p, dtype=dtype, generator=generator))


def tangent(manifold, x, seed):
    generator = torch.Generator().manual_seed(seed)
    return manifold.proju(x, torch.randn(x.shape, dtype=x.dtype, generator=generator))


def reorderings(x):
    """All column orders of a matrix; shape (p!, *batch, m, p). The first is the matrix itself."""
    return torch.stack([x[..., list(order)] for order in itertools.permutations(range(x.shape[-1]))])


# ---------------------------------------------------------------------- assignment


def test_assignment_has_the_best_sum_of_all_permutations():
    scores = torch.randn(3, 20, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = scores.gather(-1, assignment(scores)[..., None]).sum((-2, -1))
    sums = [
        scores[..., range(5), list(order)].sum(-1)
        for order in itertools.permutations(range(scores.shape[-1]))
    ]
    np.testing.assert_allclose(found, torch.stack(sums).amax(0), atol=1e-13)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_assignment_of_what_is_not_finite_is_the_identity(bad):
    scores = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(2, 1, 1)
    scores[0, 0, 0] = bad
    assert assignment(scores).tolist() == [[0, 1], [1, 0]]
    x = torch.randn(3, 2)
    assert bool(FLAT.dist(x, torch.full_like(x, bad)).isfinite().logical_not())
    assert bool(FLAT.logmap(x, torch.full_like(x, bad)).isfinite().logical_not().all())


def test_assignment_works_under_transforms_and_compile():
    scores = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    wanted = assignment(scores)
    assert torch.equal(torch.func.vmap(assignment)(scores), wanted)
    assert torch.equal(torch.func.vmap(assignment, in_dims=2)(scores.movedim(0, 2)), wanted)
    assert torch.equal(torch.compile(assignment, fullgraph=True, backend="aot_eager")(scores), wanted)
    x, y = draw(SPHERE, 0), draw(SPHERE, 1)
    compiled = torch.compile(lambda a, b: match_columns(a, b).matrix, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, y), match_columns(x, y).matrix)


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-9, 0.0])
@pytest.mark.parametrize("few", [0, 8, 100])
def test_distances_of_columns_are_accurate_also_where_columns_are_near(gap, few, monkeypatch):
    monkeypatch.setattr("repsim_geo.numerics.assignment._FEW", few)
    x = draw(FLAT, 0, 20, 6)[:, None]
    y = x[:2].mT[..., [3, 1, 4, 0], :].mT + gap * draw(FLAT, 1, 20, 4, n=(3,))
    x = torch.cat((x, torch.zeros_like(x)), -1)
    direct = (x[:2, ..., :, :, None] - y[..., :, None, :]).square().sum(-3)
    found = squared_distances_of_columns(x[:2], y)
    assert found.shape == (2, 3, 12, 4)
    np.testing.assert_allclose(found, direct, rtol=1e-13)


def test_the_rotation_of_an_alignment_is_its_permutation():
    x, y = draw(FLAT, 0), draw(FLAT, 1)
    aligned, rotation = Permutation().align(x, y)
    assert torch.equal(y @ rotation, aligned)
    assert torch.equal(rotation.sum(-1), torch.ones(4, 5, dtype=torch.float64))
    assert torch.equal(rotation @ rotation.mT, torch.eye(5, dtype=torch.float64).expand(4, 5, 5))


def test_samples_are_permutations_of_equal_probability():
    generator = torch.Generator().manual_seed(0)
    orders = [tuple(Permutation().sample(3, generator=generator).argmax(0).tolist()) for _ in range(1200)]
    counts = [orders.count(order) for order in itertools.permutations(range(3))]
    assert sum(counts) == 1200
    # Each is binomial with mean 200 and deviation 13.
    assert min(counts) > 140
    assert max(counts) < 260


# ---------------------------------------------------------------------- the quotient


@both_totals
def test_distance_is_the_smallest_over_all_permutations(manifold):
    x, y = draw(manifold, 0), draw(manifold, 1)
    np.testing.assert_allclose(
        manifold.dist(x, y), manifold.total.dist(x, reorderings(y)).amin(0), rtol=1e-14
    )


@both_totals
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("gap", [1.0, 1e-6, 1e-12, 0.0])
@pytest.mark.parametrize("size", [1.0, 1e-8, 1e8])
def test_permuted_copies_are_at_distance_zero(manifold, dtype, gap, size):
    for seed in range(5):
        x = draw(manifold, seed, 10, 12, n=(), dtype=dtype)
        x[:, 6:] = x[:, :6] + gap * x[:, 6:]  # columns that are nearly, or exactly, equal in pairs
        x = manifold.projx(size * x)
        copy = x[:, torch.randperm(12, generator=torch.Generator().manual_seed(seed))]
        assert float(manifold.dist(x, copy)) == 0
        assert torch.equal(manifold.action.align(x, copy).matrix, x)
        assert not manifold.logmap(x, copy).any()


def test_order_does_not_depend_on_sizes():
    x, y = draw(FLAT, 0), draw(FLAT, 1)
    aligned = FLAT.action.align(x, y).matrix
    for a, b in ((1e-8, 1.0), (1e8, 1.0), (1e-100, 1e100)):
        np.testing.assert_allclose(FLAT.action.align(a * x, b * y).matrix / b, aligned, rtol=1e-14)


@both_totals
def test_injectivity_radius_is_half_of_the_way_to_another_copy(manifold):
    for p in (2, 3, 5):
        x = draw(manifold, p, p=p)
        nearest = manifold.total.dist(x, reorderings(x)[1:]).amin(0)
        np.testing.assert_allclose(manifold.injectivity_radius(x), nearest / 2, rtol=1e-13)


def test_one_column_has_nothing_to_permute():
    x, u = draw(FLAT, 0, p=1), draw(FLAT, 1, p=1)
    assert bool(FLAT.injectivity_radius(x).isinf().all())
    assert bool(FLAT.cut_time(x, u).isinf().all())
    x = SPHERE.projx(x)
    u = SPHERE.proju(x, u)
    assert SPHERE.injectivity_radius(x).tolist() == [math.pi] * 4
    np.testing.assert_allclose(SPHERE.cut_time(x, u), math.pi / SPHERE.norm(x, u))
    assert SPHERE.uniqueness_radius(x).tolist() == [math.pi / 2] * 4


def brute_cotangent(x, u):
    moved = reorderings(x)[1:]
    losses = (x * x - x * moved).sum((-2, -1))
    gains = (x * reorderings(u)[1:] - x * u).sum((-2, -1))
    return (gains / losses).amax(0)


@pytest.mark.parametrize("p", [2, 3, 4, 6])
def test_cotangent_is_the_largest_over_all_permutations(p):
    x, u = draw(FLAT, p, p=p, n=(20,)), draw(FLAT, p + 1, p=p, n=(20,))
    np.testing.assert_allclose(steepest_exchange(x, u), brute_cotangent(x, u), rtol=1e-12)
    together = torch.func.vmap(steepest_exchange)(x, u)
    np.testing.assert_allclose(together, steepest_exchange(x, u), rtol=1e-14)


def test_longer_cycles_than_exchanges_can_come_first():
    x, u = draw(FLAT, 0, 4, 6, n=(300,)), draw(FLAT, 1, 4, 6, n=(300,))
    pairs = itertools.combinations(range(6), 2)
    exchange = torch.stack(
        [
            -((x[..., i] - x[..., j]) * (u[..., i] - u[..., j])).sum(-1)
            / (x[..., i] - x[..., j]).square().sum(-1)
            for i, j in pairs
        ]
    ).amax(0)
    found = steepest_exchange(x, u)
    assert bool((found >= exchange * (1 - 1e-12)).all())
    assert bool((found > 1.01 * exchange).any())
    np.testing.assert_allclose(found, brute_cotangent(x, u), rtol=1e-11)


@both_totals
@pytest.mark.parametrize("p", [2, 4])
def test_geodesics_are_shortest_until_the_cut_time(manifold, p):
    x = draw(manifold, 0, 3, p, n=(40,))
    u = tangent(manifold, x, 1)
    t = manifold.cut_time(x, u)
    finite = t.isfinite()
    x, u, t = x[finite], u[finite], t[finite]
    length = manifold.norm(x, u) * t
    assert len(t) > 10
    for factor, shortest in ((0.999, True), (1.001, False)):
        y = manifold.expmap(x, factor * t[:, None, None] * u)
        d = manifold.total.dist(x, reorderings(y)).amin(0)
        assert bool(((d - factor * length).abs() < 1e-12 * length).eq(shortest).all())
    if manifold is SPHERE and p == 2:
        assert float(length.max()) > math.pi / 2  # not so for rotations


def test_equal_columns_and_their_negative_are_at_the_diameter():
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64).repeat(1, 3) / math.sqrt(6)
    assert float(SPHERE.dist(x, -x)) == pytest.approx(math.pi, abs=1e-15) == SPHERE.diameter
    assert float(SPHERE.injectivity_radius(x)) == 0
    u = SPHERE.proju(x, x.roll(1, 0) + torch.eye(2, 3, dtype=torch.float64))
    assert float(SPHERE.cut_time(x, u) * SPHERE.norm(x, u)) == pytest.approx(math.pi)
    assert FLAT.diameter == math.inf
    assert rg.Quotient(rg.UnitSphere(2), rg.Orthogonal()).diameter == math.pi / 2


@both_totals
def test_gradient_and_hessian_match_finite_differences(manifold):
    x, y = draw(manifold, 0, 4, 3, n=(2,)).requires_grad_(), draw(manifold, 1, 4, 3, n=(2,)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: manifold.dist2(manifold.projx(a), manifold.projx(b)), (x, y))
    assert torch.autograd.gradgradcheck(
        lambda a, b: manifold.dist2(manifold.projx(a), manifold.projx(b)), (x, y)
    )
    assert torch.autograd.gradcheck(manifold.logmap, (x, y))


@both_totals
def test_transport_is_that_of_the_total_space_in_the_order_of_the_target(manifold):
    x, y = draw(manifold, 0), draw(manifold, 1)
    v = tangent(manifold, x, 2)
    aligned, rotation = manifold.action.align(x, y)
    moved = manifold.transp(x, y, v)
    np.testing.assert_allclose(moved @ rotation, manifold.total.transp(x, aligned, v), atol=1e-14)
    np.testing.assert_allclose(manifold.transp(y, x, moved), v, atol=1e-14)


def test_mean_of_near_data_is_that_of_their_representatives():
    x = draw(FLAT, 0, n=())
    radius = float(FLAT.uniqueness_radius(x))
    u = tangent(FLAT, x.expand(6, *x.shape), 1)
    lifts = x + 0.99 * radius * u / FLAT.norm(x, u)[:, None, None]
    data = torch.stack(
        [a[:, torch.randperm(5, generator=torch.Generator().manual_seed(s))] for s, a in enumerate(lifts)]
    )
    fitted = rg.FrechetMean(FLAT).fit(data)
    assert float(FLAT.dist(fitted.mean_, lifts.mean(0))) < 1e-12
    assert fitted.converged_


def test_means_beyond_the_uniqueness_radius_can_be_two():
    # Two columns with sum zero are a vector up to sign: e + f and e - f are as far apart as e + f and f - e.
    e, f = torch.linalg.qr(torch.tensor([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]], dtype=torch.float64))[0].T
    e, f = (torch.stack((w, -w), -1) for w in (e, f))
    data = torch.stack((e + f, e - f))
    around_e, around_f = (float(FLAT.dist2(mean, data).mean()) for mean in (e, f))
    assert around_e == pytest.approx(around_f, rel=1e-14)
    assert float(FLAT.dist(e, f)) > 1
    # Both are nearest to their data, which lie in a ball of 0.71 times the injectivity radius around 2 e.
    share = float(FLAT.dist(2 * e, data).max() / FLAT.injectivity_radius(2 * e))
    assert share == pytest.approx(math.sqrt(0.5))
    assert share > float(FLAT.uniqueness_radius(2 * e) / FLAT.injectivity_radius(2 * e))


def test_tables_of_distances_are_computed_in_blocks(monkeypatch):
    x, y = draw(FLAT, 0, n=(2, 5)), draw(FLAT, 1, n=(2, 7))
    table = torch.stack([FLAT.dist(x, y[:, j : j + 1]) for j in range(7)], -1)
    for elements in (1, 100, 400, 10**6):
        monkeypatch.setattr("repsim_geo.manifolds.quotient.BLOCK_ELEMENTS", elements)
        assert torch.equal(FLAT.cdist(x, y), table)


# In single precision, the laws are asked of permutations in conformance/test_laws.py.
@both_totals
@pytest.mark.parametrize("point", [(6, 4), (5, 1), (4, 6)])
@pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)], ids=str
)
def test_laws_hold(manifold, point, dtype, seed):
    check_manifold(manifold, point, dtypes=[dtype], seed=seed)


# ---------------------------------------------------------------------- metrics


def networks(*widths, m=9, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(m, d, dtype=dtype, generator=generator) for d in widths]


def test_golden_numbers():
    x, y = oracles.golden_pair()
    assert float(rg.compare(x, y, PermutationDistance())) == pytest.approx(30.6689223636, abs=1e-9)
    assert float(rg.compare(x, y, AngularPermutation())) == pytest.approx(0.7622249565, abs=1e-10)
    assert float(rg.compare(x, y, SoftMatching())) == pytest.approx(9.6983648052, abs=1e-9)


def test_narrow_networks_are_padded_with_silent_units():
    x, y = networks(3, 5)
    a, b = (w - w.mean(0) for w in (x, y))
    brute = min(
        float((torch.nn.functional.pad(a, (0, 2)) - b[:, list(order)]).norm())
        for order in itertools.permutations(range(5))
    )
    assert float(rg.compare(x, y, PermutationDistance())) == pytest.approx(brute, rel=1e-14)


def test_silent_units_can_bring_networks_nearer():
    x = networks(1)[0]
    a = x - x.mean(0)
    alone, padded = (float(rg.compare(x, -x, PermutationDistance(p=p))) for p in (1, 2))
    assert alone == pytest.approx(2 * float(a.norm()))
    assert padded == pytest.approx(math.sqrt(2) * float(a.norm()))


@pytest.mark.parametrize("metric", [PermutationDistance, AngularPermutation])
def test_units_are_never_dropped(metric):
    with pytest.raises(rg.ShapeError, match="p=3 columns has no place for 5 units.*Choose p no smaller"):
        metric(p=3).embed(networks(5)[0])
    assert metric(p=7).resolve(networks(5)).p == 7
    assert metric().resolve(networks(5, 8)).p == 8


@pytest.mark.parametrize("metric", [PermutationDistance, AngularPermutation, SoftMatching])
@pytest.mark.parametrize("p", [0, -1, 2.5, True, "3"])
def test_widths_are_whole_numbers(metric, p):
    with pytest.raises(ValueError, match="positive whole number of columns or None, got"):
        metric(p=p)


def transport_by_linear_program(x, y):
    """W2 between the columns, by scipy's linear program over all plans."""
    (_, p), (_, q) = x.shape, y.shape
    costs = ((x[:, :, None] - y[:, None, :]) ** 2).sum(0)
    rows = np.kron(np.eye(p), np.ones(q))
    columns = np.kron(np.ones(p), np.eye(q))
    done = scipy.optimize.linprog(
        costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=[1 / p] * p + [1 / q] * q, method="highs"
    )
    return math.sqrt(done.fun)


@pytest.mark.parametrize("widths", [(1, 1), (1, 4), (3, 3), (3, 5), (4, 6), (6, 3), (7, 10)])
def test_soft_matching_is_optimal_transport(widths, monkeypatch):
    x, y = networks(*widths)
    wanted = transport_by_linear_program(*((w - w.mean(0)).numpy() for w in (x, y)))
    assert float(rg.compare(x, y, SoftMatching())) == pytest.approx(wanted, rel=1e-8)
    monkeypatch.setattr(matching, "_FEW", 0)
    assert float(rg.compare(x, y, SoftMatching())) == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("widths", [(4, 4), (4, 6), (5, 7), (2, 8), (31, 29)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_distance_of_units_is_that_of_points(widths, dtype):
    x, y = networks(*widths, dtype=dtype)
    metric = SoftMatching().resolve([x, y])
    assert metric.p == math.lcm(*widths)
    between = metric.between(metric.prepare(x), metric.prepare(y))
    points = metric.dist(metric.embed(x), metric.embed(y))
    assert between.dtype == dtype
    np.testing.assert_allclose(between, points, rtol=20 * torch.finfo(dtype).eps)


def test_couplings_are_whole_and_have_the_right_marginals():
    for p, q in ((4, 6), (31, 29), (30, 45), (64, 63)):
        costs = torch.rand(3, p, q, dtype=torch.float64, generator=torch.Generator().manual_seed(p))
        rows, columns, masses = matching.couple(costs)
        plan = torch.zeros(3, p * q, dtype=torch.float64).scatter_add(-1, rows * q + columns, masses)
        plan = plan.reshape(3, p, q) * math.lcm(p, q)
        np.testing.assert_allclose(plan, plan.round(), atol=1e-9)
        np.testing.assert_allclose(plan.sum(-1), math.lcm(p, q) / p, rtol=1e-12)
        np.testing.assert_allclose(plan.sum(-2), math.lcm(p, q) / q, rtol=1e-12)
        assert torch.equal(torch.func.vmap(matching.couple)(costs).columns, columns)


def test_equal_widths_are_the_permutation_distance():
    x, y = networks(6, 6)
    soft, hard = (float(rg.compare(x, y, metric())) for metric in (SoftMatching, PermutationDistance))
    assert soft == pytest.approx(hard / math.sqrt(6), rel=1e-14)


def test_soft_matching_does_not_see_copies_of_all_units():
    x, y = networks(4, 6)
    wanted = float(rg.compare(x, y, SoftMatching()))
    assert float(rg.compare(x.repeat(1, 3), y, SoftMatching())) == pytest.approx(wanted, rel=1e-12)
    assert float(rg.compare(x.repeat(1, 3), x, SoftMatching())) < 1e-14
    assert float(rg.compare(x, y, SoftMatching(p=24))) == pytest.approx(wanted, rel=1e-14)


def test_soft_matching_obeys_the_triangle_inequality_across_widths():
    metric = SoftMatching()
    for seed in range(20):
        a, b, c = (metric.prepare(x) for x in networks(3, 4, 7, m=4, seed=seed))
        assert float(metric.between(a, c)) <= float(metric.between(a, b) + metric.between(b, c)) + 1e-14


@pytest.mark.parametrize("few", [512, 0])
def test_gradient_of_soft_matching_matches_finite_differences(few, monkeypatch):
    monkeypatch.setattr(matching, "_FEW", few)
    metric = SoftMatching()
    x, y = (w.requires_grad_() for w in networks(3, 4))
    function = lambda a, b: metric.between(metric.prepare(a), metric.prepare(b))  # noqa: E731
    assert torch.autograd.gradcheck(function, (x, y))


@pytest.mark.parametrize("few", [512, 0])
def test_soft_matching_works_in_batches_and_under_transforms(few, monkeypatch):
    monkeypatch.setattr(matching, "_FEW", few)
    metric = SoftMatching()
    x, y = torch.stack(networks(3, 3, seed=1)), torch.stack(networks(5, 5, seed=2))
    together = metric.between(x, y)
    one_by_one = [float(metric.between(a, b)) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-14)
    np.testing.assert_allclose(torch.func.vmap(metric.between)(x, y), one_by_one, rtol=1e-14)
    compiled = torch.compile(matching.squared_wasserstein, fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(compiled(x, y), matching.squared_wasserstein(x, y), rtol=1e-14)
    table = metric.between(x[:, None], y[None])
    assert table.shape == (2, 2)
    x[0, 0, 0] = math.nan
    assert metric.between(x, y).isnan().tolist() == [True, False]


def test_wide_networks_have_distances_but_no_points():
    x, y = networks(96, 101, m=20)
    metric = SoftMatching().resolve([x, y])
    assert float(metric.between(metric.prepare(x), metric.prepare(y))) > 0
    with pytest.raises(rg.ShapeError, match="at most 4096 columns, got p=9696.*Distances need no points"):
        metric.embed(x)
    with pytest.raises(rg.ShapeError, match="p=10 columns cannot hold every one of 4 units equally often"):
        SoftMatching(p=10).embed(networks(4)[0])
    with pytest.raises(rg.ShapeError, match="same inputs: got 5 rows and 20 rows"):
        metric.between(metric.prepare(x[:5]), metric.prepare(y))


def test_geodesic_is_the_displacement_interpolation():
    x, y = networks(2, 3)
    metric = SoftMatching().resolve([x, y])
    a, b = metric.embed(x), metric.embed(y)
    d = float(metric.dist(a, b))
    for t in (0.0, 0.3, 1.0):
        g = metric.geodesic(t, a, b)
        assert float(metric.dist(a, g)) == pytest.approx(t * d, abs=1e-14)
        assert float(metric.dist(g, b)) == pytest.approx((1 - t) * d, abs=1e-14)


@pytest.mark.parametrize(
    ("module", "metric", "words"),
    [
        ("scipy.optimize", PermutationDistance, "Optimal assignment needs scipy"),
        ("ot", SoftMatching, "Soft matching of 30 and 31 columns needs"),
    ],
)
def test_missing_extra(module, metric, words, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    x, y = networks(30, 31)
    with pytest.raises(ImportError, match=rf"{words}.*repsim-geo\[matching\]"):
        rg.compare(x, y, metric())
