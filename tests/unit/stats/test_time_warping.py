"""Time warping and discrete Fréchet distances against plain recursions; what each promises; warped means."""

import functools

import geoopt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

import repsim_geo as rg
from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.stats.layer_paths import MeanPath, aligned_distance, resample_path
from repsim_geo.stats.time_warping import (
    WarpedMeanPath,
    discrete_frechet_distance,
    dynamic_time_warping,
    pairwise_discrete_frechet,
    pairwise_time_warping,
)

LINE, SPHERE = rg.Flat(1), rg.UnitSphere(1)


def line(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def points(*shape, seed=0, dtype=torch.float64):
    x = torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    return x / x.norm(dim=-1, keepdim=True)


def naive_warping(costs, diagonal=1.0):
    """Cost of the cheapest coupling, in a double loop over cells."""
    k, n = costs.shape
    best = np.full((k + 1, n + 1), np.inf)
    best[0, 0] = 0.0
    for i in range(k):
        for j in range(n):
            c = costs[i, j]
            best[i + 1, j + 1] = min(best[i, j] + diagonal * c, best[i, j + 1] + c, best[i + 1, j] + c)
    return best[k, n]


def couplings(k, n):
    """Every staircase from (0, 0) to (k - 1, n - 1)."""
    if k == n == 1:
        return [[(0, 0)]]
    before = [(k - 1, n - 1), (k - 1, n), (k, n - 1)]
    return [[*c, (k - 1, n - 1)] for a, b in before if a > 0 and b > 0 for c in couplings(a, b)]


def recursive_frechet(costs):
    """The recursion of Eiter and Mannila, as they write it."""

    @functools.cache
    def c(i, j):
        if i == j == 0:
            return costs[0, 0]
        before = [c(*p) for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if min(p) >= 0]
        return max(min(before), costs[i, j])

    return c(costs.shape[0] - 1, costs.shape[1] - 1)


@pytest.mark.parametrize("diagonal", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 6), (5, 1), (2, 2), (4, 7), (9, 6), (8, 8)])
def test_warping_is_that_of_a_double_loop(k, n, squared, diagonal):
    a, b = points(5, k, 4), points(5, n, 4, seed=1)
    warping = dynamic_time_warping(SPHERE, a, b, squared=squared, diagonal=diagonal)
    for one, x, y in zip(warping.distance, a, b, strict=True):
        costs = np.arccos((x @ y.mT).clamp(-1, 1).numpy())
        expected = naive_warping(costs**2 if squared else costs, diagonal)
        assert float(one) == pytest.approx(np.sqrt(expected) if squared else expected, rel=1e-12)


@pytest.mark.parametrize(("k", "n"), [(1, 4), (3, 3), (4, 5), (5, 3)])
def test_no_coupling_of_all_is_cheaper(k, n):
    everyone = couplings(k, n)
    for seed in range(5):
        a, b = points(k, 3, seed=seed), points(n, 3, seed=100 + seed)
        costs = SPHERE.cdist(a, b).numpy()
        sums = [sum(costs[p] for p in c) for c in everyone]
        maxima = [max(costs[p] for p in c) for c in everyone]
        warping, frechet = dynamic_time_warping(SPHERE, a, b), discrete_frechet_distance(SPHERE, a, b)
        assert warping.pairs == everyone[int(np.argmin(sums))]
        assert float(warping.distance) == pytest.approx(min(sums), rel=1e-14)
        assert float(frechet.distance) == min(maxima)
        assert frechet.pairs in [c for c, m in zip(everyone, maxima, strict=True) if m == min(maxima)]


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 6), (7, 4), (12, 15)])
def test_frechet_distance_is_that_of_the_recursion(k, n):
    a, b = points(3, k, 4), points(3, n, 4, seed=1)
    distances = discrete_frechet_distance(SPHERE, a, b).distance
    # Matrix products of one pair and of several round differently on some processors.
    wanted = [recursive_frechet(SPHERE.cdist(x, y).numpy()) for x, y in zip(a, b, strict=True)]
    assert [float(d) for d in distances] == pytest.approx(wanted, rel=1e-14)


def test_time_warping_is_no_metric():
    x, y, z = line(0, 1, 1, 2), line(0, 1, 2), line(0, 2, 2)
    xy, yz, xz = (dynamic_time_warping(LINE, *p).distance for p in ((x, y), (y, z), (x, z)))
    assert (float(xy), float(yz), float(xz)) == (0.0, 1.0, 2.0)  # zero for different paths; 2 > 0 + 1


def test_weight_two_makes_the_total_weight_constant():
    # All distances are 3: any coupling costs 3 (k + n).
    a, b = torch.zeros(4, 1), torch.full((7, 1), 3.0)
    assert float(dynamic_time_warping(LINE, a, b, diagonal=2.0).distance) == 3 * (4 + 7)
    assert float(dynamic_time_warping(LINE, a, b).distance) == 3 * 7


def test_ties_step_in_both_paths_first_and_from_the_end():
    same = torch.zeros(3, 1)
    assert dynamic_time_warping(LINE, same, same).pairs == [(0, 0), (1, 1), (2, 2)]
    assert dynamic_time_warping(LINE, same, torch.zeros(5, 1)).pairs == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
    ]
    # Both detours cost the same, and the step in both paths twice as much: the last step is one in `a`.
    a, b = line(0, 1), line(0, 1)
    assert dynamic_time_warping(LINE, a, b + 1, diagonal=9.0).pairs == [(0, 0), (1, 0), (1, 1)]


path_on_line = st.lists(st.integers(-4, 4), min_size=1, max_size=6).map(lambda v: line(*v))


@given(path_on_line, path_on_line, path_on_line)
def test_frechet_distance_keeps_the_triangle_inequality(x, y, z):
    xy, yz, xz = (float(discrete_frechet_distance(LINE, *p).distance) for p in ((x, y), (y, z), (x, z)))
    assert xz <= xy + yz


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_frechet_distance_keeps_the_triangle_inequality_on_the_sphere(seed, k, n, r):
    x, y, z = points(k, 3, seed=seed), points(n, 3, seed=seed + 1), points(r, 3, seed=seed + 2)
    xy, yz, xz = (float(discrete_frechet_distance(SPHERE, *p).distance) for p in ((x, y), (y, z), (x, z)))
    assert xz <= xy + yz + 1e-14


@given(path_on_line, path_on_line, st.lists(st.integers(1, 3), min_size=6, max_size=6))
def test_repeated_layers_change_no_frechet_distance(x, y, times):
    longer = x.repeat_interleave(torch.tensor(times[: len(x)]), 0)
    expected = discrete_frechet_distance(LINE, x, y).distance
    assert float(discrete_frechet_distance(LINE, longer, y).distance) == float(expected)
    assert float(discrete_frechet_distance(LINE, longer, x).distance) == 0
    assert float(dynamic_time_warping(LINE, longer, x).distance) == 0


@given(path_on_line, path_on_line)
def test_distances_are_symmetric_and_bounded(x, y):
    frechet, warping = discrete_frechet_distance(LINE, x, y), dynamic_time_warping(LINE, x, y)
    assert frechet.distance == discrete_frechet_distance(LINE, y, x).distance
    assert warping.distance == dynamic_time_warping(LINE, y, x).distance
    hausdorff = (x - y.mT).abs()
    assert frechet.distance >= max(hausdorff.amin(0).max(), hausdorff.amin(1).max())
    assert frechet.distance <= warping.distance


@pytest.mark.parametrize(
    "manifold", [rg.AngularCKA(), rg.AngularShape(p=3), rg.AffineInvariantSPD()], ids=str
)
def test_batches_families_and_single_pairs_agree(manifold):
    generator = torch.Generator().manual_seed(0)
    point = (8, 3) if isinstance(manifold, rg.AngularShape) else (5, 5)
    paths = [
        manifold.random(k, *point, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
        for k in (3, 5, 1, 5, 4, 2, 5, 3, 6)
    ]
    for many, one in (
        (pairwise_time_warping, dynamic_time_warping),
        (pairwise_discrete_frechet, discrete_frechet_distance),
    ):
        matrix = many(manifold, paths)
        assert torch.equal(matrix, matrix.mT)
        assert not matrix.diagonal().any()
        for i, x in enumerate(paths):
            for j, y in enumerate(paths[:i]):
                assert float(matrix[i, j]) == pytest.approx(float(one(manifold, y, x).distance), rel=1e-9)
    a, b = torch.stack([paths[1], paths[3]]), paths[6]
    batch = dynamic_time_warping(manifold, a, b)
    assert batch.distance.shape == (2,)
    assert batch.coupling.shape == (2, 5, 5)
    alone = dynamic_time_warping(manifold, a[1], b)
    assert torch.equal(batch.coupling[1], alone.coupling)


def test_family_on_a_manifold_of_somebody_else():
    paths = [points(k, 3, seed=k) for k in (2, 4, 3)]
    matrix = pairwise_discrete_frechet(geoopt.Sphere(), [p.numpy() for p in paths])
    assert torch.allclose(matrix, pairwise_discrete_frechet(SPHERE, paths), atol=1e-6)


def test_isometries_change_nothing():
    rotation = torch.linalg.qr(points(4, 4, seed=9))[0]
    a, b = points(5, 4), points(7, 4, seed=1)
    for distance in (dynamic_time_warping, discrete_frechet_distance):
        here, there = distance(SPHERE, a, b), distance(SPHERE, a @ rotation, b @ rotation)
        assert float(here.distance) == pytest.approx(float(there.distance), rel=1e-13)
    here, there = dynamic_time_warping(LINE, a, b), dynamic_time_warping(LINE, 1e8 * a, 1e8 * b)
    assert float(there.distance) == pytest.approx(1e8 * float(here.distance), rel=1e-13)
    assert torch.equal(here.coupling, there.coupling)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_float32_keeps_its_digits(scale):
    a, b = scale * points(5, 4), scale * points(7, 4, seed=1)
    exact = dynamic_time_warping(LINE, a, b, squared=True).distance
    rough = dynamic_time_warping(LINE, a.float(), b.float(), squared=True).distance
    assert rough.dtype == torch.float32
    assert float(rough) == pytest.approx(float(exact), rel=1e-6)


def test_gradients_are_those_at_the_best_coupling():
    a, b = points(4, 3).requires_grad_(), points(6, 3, seed=1).requires_grad_()
    for distance in (
        lambda x, y: dynamic_time_warping(LINE, x, y).distance,
        lambda x, y: dynamic_time_warping(LINE, x, y, squared=True, diagonal=2.0).distance,
        lambda x, y: discrete_frechet_distance(LINE, x, y).distance,
    ):
        assert torch.autograd.gradcheck(distance, (a, b))
    same = points(4, 3).requires_grad_()
    dynamic_time_warping(SPHERE, same, same.detach().clone(), squared=True).distance.backward()
    assert not same.grad.any()


def test_nan_stays_in_its_path():
    a, b = points(3, 4, 3), points(3, 5, 3, seed=1)
    a[1, 2] = torch.nan
    for distance in (dynamic_time_warping, discrete_frechet_distance):
        found = distance(LINE, a, b)
        assert found.distance.isnan().tolist() == [False, True, False]
        assert torch.equal(found.coupling[2], distance(LINE, a[2], b[2]).coupling)
    with pytest.raises(ValueError, match="path 1: points must be finite, got nan or infinity in point 2"):
        pairwise_time_warping(LINE, list(a))


def test_antipodal_layers_are_pi_apart():
    x = points(1, 3)
    assert float(discrete_frechet_distance(SPHERE, x, -x).distance) == pytest.approx(torch.pi, rel=1e-15)


def test_doors():
    a = points(3, 3)
    with pytest.raises(ValueError, match="diagonal must be a positive weight.*got 0.*Use 1, or 2"):
        dynamic_time_warping(LINE, a, a, diagonal=0)
    with pytest.raises(ShapeError, match="needs shape"):
        dynamic_time_warping(LINE, a, a[0])
    with pytest.raises(TypeError, match="a path is a geoopt.Manifold"):
        discrete_frechet_distance(LINE, a.numpy(), a)
    with pytest.raises(
        ShapeError, match=r"pairs are listed for one pair of paths, got a batch of shape \(2,\)"
    ):
        _ = dynamic_time_warping(LINE, torch.stack([a, a]), a).pairs
    with pytest.raises(ShapeError, match=r"points of all paths must have one shape, got \(3,\), \(4,\)"):
        pairwise_discrete_frechet(LINE, [a, points(3, 4)])


# ---------------------------------------------------------------------- mean of warped paths


def family(seed=0, sizes=(4, 6, 8, 7), d=3):
    """Noisy copies of one curve, walked at different speeds."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randn(4, d, dtype=torch.float64, generator=generator)
    paths = []
    for k in sizes:
        times = torch.rand(k, dtype=torch.float64, generator=generator).sort().values * 3
        i = times.long().clamp(max=2)
        x = torch.lerp(corners[i], corners[i + 1], (times - i)[:, None])
        paths.append(x + 0.1 * torch.randn(k, d, dtype=torch.float64, generator=generator))
    return paths


def plain_barycenter(paths, mean, weights, rounds=100):
    """Barycenter averaging in flat space, with loops."""
    mean, paths, weights = mean.numpy(), [p.numpy() for p in paths], weights.tolist()
    for _ in range(rounds):
        total, weight = np.zeros_like(mean), np.zeros(len(mean))
        for path, w in zip(paths, weights, strict=True):
            costs = ((mean[:, None] - path) ** 2).sum(-1)
            k, n = costs.shape
            cell, best = (k - 1, n - 1), np.full((k, n), np.inf)
            for i in range(k):
                for j in range(n):
                    before = [best[p] for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if min(p) >= 0]
                    best[i, j] = costs[i, j] + min(before, default=0.0)
            while True:
                total[cell[0]] += w * path[cell[1]]
                weight[cell[0]] += w
                i, j = cell
                before = [p for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if min(p) >= 0]
                if not before:
                    break
                cell = min(before, key=lambda p: best[p])
        mean = total / weight[:, None]
    return mean


@pytest.mark.parametrize("seed", range(5))
def test_flat_mean_is_plain_barycenter_averaging(seed):
    paths = family(seed)
    weights = torch.tensor([1.0, 2.0, 3.0, 2.0], dtype=torch.float64)
    found = WarpedMeanPath(LINE, 5).fit(paths, weights=weights)
    even = torch.stack([resample_path(LINE, p, 5) for p in paths])
    start = (even * (weights / 8)[:, None, None]).sum(0)
    assert all(len(p) != 5 for p in paths)  # so that it starts from the mean of even paths
    np.testing.assert_allclose(found.mean_, plain_barycenter(paths, start, weights / 8), atol=1e-12)
    assert found.converged_
    assert found.unique_ is None


def on(manifold, paths, like):
    """Paths in coordinates, as paths of points around one point."""
    return [manifold.expmap(like, manifold.proju(like, p.unflatten(-1, like.shape))) for p in paths]


@pytest.mark.parametrize(
    "manifold", [SPHERE, rg.AngularCKA(), rg.AngularShape(p=2), rg.SizeAndShape()], ids=str
)
@pytest.mark.parametrize("seed", range(2))
def test_objective_never_rises_and_is_that_of_the_mean(manifold, seed):
    shape = {1: (5,), 2: (5, 2)}[manifold.ndim] if not isinstance(manifold, rg.AngularCKA) else (5, 5)
    like = manifold.random(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    like = like.as_subclass(torch.Tensor)
    paths = on(manifold, [0.3 * p for p in family(seed, d=like.numel())], like)
    found = WarpedMeanPath(manifold, 4).fit(paths)
    assert found.converged_
    assert found.objective_.shape == (found.n_iter_ + 1,)
    assert bool((found.objective_.diff() <= 0).all())
    distances = [dynamic_time_warping(manifold, found.mean_, p, squared=True).distance for p in paths]
    np.testing.assert_allclose(found.distances_, torch.stack(distances), rtol=1e-9)
    assert float(found.objective_[-1]) == pytest.approx(float(found.distances_.square().mean()), rel=1e-9)
    assert found.variance_.shape == (4,)


def test_warped_mean_follows_isometries():
    rotation = torch.linalg.qr(points(3, 3, seed=9))[0]
    paths = on(SPHERE, [0.4 * p for p in family()], points(3))
    here, there = (WarpedMeanPath(SPHERE, 4).fit(p) for p in (paths, [p @ rotation for p in paths]))
    np.testing.assert_allclose(here.mean_ @ rotation, there.mean_, atol=1e-9)


def test_warped_mean_of_one_curve_at_two_speeds_is_that_curve():
    curve = line(0, 1, 4, 9)
    slow = curve.repeat_interleave(torch.tensor([3, 1, 2, 4]), 0)
    warped = WarpedMeanPath(LINE, 4).fit([curve, slow])
    np.testing.assert_allclose(warped.mean_, curve, atol=1e-14)
    assert not warped.distances_.any()
    # Equal shares of the way know nothing of where the layers are.
    np.testing.assert_allclose(MeanPath(LINE, 4).fit([curve, slow]).mean_, line(0, 3, 6, 9), atol=1e-14)
    start = WarpedMeanPath(LINE).fit([curve, curve])
    np.testing.assert_allclose(start.mean_, curve, atol=1e-15)
    assert not start.variance_.any()
    assert start.n_iter_ <= 1


def test_mean_may_have_more_points_than_any_network():
    paths = family()
    found = WarpedMeanPath(LINE, 12).fit(paths)
    assert found.mean_.shape == (12, 3)
    assert found.converged_
    assert bool((found.objective_.diff() <= 0).all())


def test_warped_mean_of_one_network_is_itself():
    path = points(4, 3)
    found = WarpedMeanPath(SPHERE).fit(path[None].numpy())
    np.testing.assert_allclose(found.mean_, path, atol=1e-15)
    assert found.converged_


def test_too_few_rounds_are_told():
    with pytest.warns(ConvergenceWarning, match="WarpedMeanPath stopped after 0 rounds, still improving"):
        WarpedMeanPath(LINE, 5, max_iter=0).fit(family())
    with pytest.raises(ValueError, match="max_iter must be a whole number, 0 or more"):
        WarpedMeanPath(LINE, 5, max_iter=-1).fit(family())


def test_networks_of_no_weight_have_no_say():
    paths = family()
    found = WarpedMeanPath(LINE, 4).fit(paths, weights=[1, 1, 0, 0])
    np.testing.assert_allclose(found.mean_, WarpedMeanPath(LINE, 4).fit(paths[:2]).mean_, atol=1e-13)


def test_warped_mean_keeps_the_manners_of_estimators(tmp_path):
    paths = family()
    copies = [p.clone() for p in paths]
    found = clone(WarpedMeanPath(LINE, n_points=4)).fit(paths)
    assert all(torch.equal(p, q) for p, q in zip(paths, copies, strict=True))
    found.save(tmp_path / "mean.npz")
    back = WarpedMeanPath.load(tmp_path / "mean.npz", LINE)
    assert torch.equal(back.mean_, found.mean_)
    assert back.unique_ is None
    assert back.get_params()["n_points"] == 4


def test_warped_distance_is_at_most_the_aligned_one():
    a, b = points(6, 3), points(6, 3, seed=1)
    warped = dynamic_time_warping(SPHERE, a, b, squared=True).distance
    assert float(warped) <= 6**0.5 * float(aligned_distance(SPHERE, a, b))
