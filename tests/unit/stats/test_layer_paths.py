"""Progress, descriptions, resampling and means of paths, against scalar minimizers and hand calculations."""

import math

import geoopt
import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.base import clone

import repsim_geo as rg
from repsim_geo.errors import ConvergenceWarning, CutLocusWarning, NotOnManifoldError, ShapeError
from repsim_geo.stats.layer_paths import (
    MeanPath,
    aligned_distance,
    as_even_paths,
    as_paths,
    describe_path,
    path_progress,
    resample_path,
)

LINE, SPHERE = rg.Flat(1), rg.UnitSphere(1)
METRICS = [rg.AngularCKA(), rg.AngularShape(p=3), rg.SizeAndShape(p=3), rg.LogEuclidean(mode="cov")]


def points(*shape, seed=0):
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x / x.norm(dim=-1, keepdim=True)


def layers(metric, k, seed=0, m=12, batch=()):
    """Random ReLU networks: all layers see the same inputs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*batch, m, 3, dtype=torch.float64, generator=generator)
    found = []
    for _ in range(k):
        found.append(metric.embed(x).as_subclass(torch.Tensor))
        x = (x @ torch.randn(*batch, 3, 3, dtype=torch.float64, generator=generator) + 0.3).relu() + 0.1 * x
    return torch.stack(found, len(batch))


# ---------------------------------------------------------------------- progress


@pytest.mark.parametrize("seed", range(5))
def test_progress_on_the_sphere_is_the_nearest_point_of_the_arc(seed):
    x, start, end = points(6, 4, seed=seed), points(4, seed=50 + seed), points(4, seed=100 + seed)
    arc = math.acos(float(start @ end))
    found = path_progress(SPHERE, x, start, end)

    def distance(t, z):
        point = (math.sin((1 - t) * arc) * start + math.sin(t * arc) * end) / math.sin(arc)
        return math.acos(max(-1.0, min(1.0, float(point @ z))))

    for z, t, deviation in zip(x, found.t, found.deviation, strict=True):
        # The distance has one valley on a half circle; the ends are compared by hand.
        inside = minimize_scalar(
            distance, bounds=(0, 1), args=(z,), method="bounded", options={"xatol": 1e-10}
        )
        least = min(inside.fun, distance(0, z), distance(1, z))
        assert float(deviation) == pytest.approx(least, abs=1e-12)
        assert distance(float(t), z) == pytest.approx(least, abs=1e-12)
    np.testing.assert_allclose(found.to_end, np.arccos((x @ end).numpy()), rtol=1e-12)
    np.testing.assert_allclose(found.to_start, np.arccos((x @ start).numpy()), rtol=1e-12)
    assert bool(found.converged.all())


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_layers_on_the_geodesic_progress_by_their_times(metric):
    start, end = layers(metric, 2)
    times = torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=torch.float64)
    found = path_progress(metric, rg.path(metric, start, end, times), start, end)
    np.testing.assert_allclose(found.t, times, atol=1e-7)
    np.testing.assert_allclose(found.deviation, 0, atol=1e-7)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_batches_of_networks_are_networks_one_by_one(metric):
    x = layers(metric, 4, batch=(3,))
    target = layers(metric, 1, seed=9)[0]
    together = describe_path(metric, x, target)
    for i in range(3):
        alone = describe_path(metric, x[i], target)
        for name in ("length", "straightness", "steps", "turning_angles"):
            torch.testing.assert_close(getattr(together, name)[i], getattr(alone, name), rtol=1e-9, atol=1e-9)
        for name in ("deviation", "to_start", "to_end"):
            a, b = (getattr(d.progress, name) for d in (together, alone))
            torch.testing.assert_close(a[i], b, rtol=1e-9, atol=1e-9)


def test_progress_to_where_one_is_already_is_zero():
    x, start = points(4, 3), points(3, seed=1)
    found = path_progress(SPHERE, x, start, start)
    assert not found.t.any()
    np.testing.assert_allclose(found.deviation, found.to_end, rtol=1e-14)


def test_antipodal_ends_warn():
    x = points(4, 3)
    with pytest.warns(CutLocusWarning):
        found = path_progress(SPHERE, x, x[0], -x[0])
    np.testing.assert_allclose(found.to_start + found.to_end, math.pi, rtol=1e-14)


def test_nan_stays_in_its_layer():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    target, clean = torch.ones(3), path_progress(LINE, x, x[0], torch.ones(3))
    x[2, 1] = torch.nan
    found = path_progress(LINE, x, x[0], target)
    assert found.deviation.isnan().tolist() == [False, False, True, False]
    assert torch.equal(found.t[[0, 1, 3]], clean.t[[0, 1, 3]])


def test_progress_has_gradients():
    x, start, end = (points(*s, seed=i).requires_grad_() for i, s in enumerate([(4, 3), (3,), (3,)]))
    assert torch.autograd.gradcheck(lambda *p: path_progress(LINE, *p).deviation, (x, start, end))
    assert torch.autograd.gradcheck(lambda *p: path_progress(LINE, *p).t, (x, start, end))


# ---------------------------------------------------------------------- descriptions


def test_description_of_a_right_angle():
    x = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    found = describe_path(LINE, x)
    assert float(found.length) == 7
    assert float(found.straightness) == pytest.approx(5 / 7)
    assert found.steps.tolist() == [3, 4]
    assert found.turning_angles.tolist() == pytest.approx([math.pi / 2])
    assert found.progress.t.tolist() == pytest.approx([0, 9 / 25, 1])
    assert found.progress.deviation.tolist() == pytest.approx([0, 12 / 5, 0])
    assert found.progress.to_end.tolist() == [5, 4, 0]


def test_tables():
    x = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    table = str(describe_path(LINE, x, names=["pixels", "hidden", "logits"])).splitlines()
    assert table[0] == "length 7, straightness 0.7143"
    assert table[1].split() == ["layer", "step", "turn", "t", "deviation", "to", "target"]
    assert table[3].split() == ["hidden", "3", "1.571", "0.36", "2.4", "4"]
    assert len({len(line) for line in table[1:]}) == 1
    many = str(describe_path(LINE, torch.stack([x, 2 * x]))).splitlines()
    assert many[0] == "2 paths of 3 layers"
    assert many[3].split() == ["1", "14", "0.7143", "1.571", "1", "4.8", "0"]
    with pytest.raises(ShapeError, match="names must be one for each of the 3 layers, got 2"):
        describe_path(LINE, x, names=["a", "b"])


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_a_single_layer_and_identical_layers_are_described(metric):
    one = layers(metric, 1)
    for x in (one, one.expand(4, *one.shape[1:])):
        found = describe_path(metric, x)
        assert float(found.length) == 0
        assert float(found.straightness) == 1
        assert not found.progress.t.any()
        # Rounding of one exponential map, of a point of size one.
        np.testing.assert_allclose(found.progress.deviation, 0, atol=1e-14)
        assert "straightness 1" in str(found)
    assert "1 paths of 1 layers" in str(describe_path(metric, one[None]))


# ---------------------------------------------------------------------- resampling


def test_resampled_corner():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
    expected = [[0, 0], [0.8, 0], [1, 0.6], [1, 1.4], [1, 2.2], [1, 3]]
    np.testing.assert_allclose(resample_path(LINE, x, 6), expected, atol=1e-15)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_resampled_points_lie_on_the_path_at_equal_steps(metric):
    x = layers(metric, 4)
    length, k = float(rg.path_length(metric, x)), 31
    y = resample_path(metric, x, k)
    steps, short = metric.dist(y[:-1], y[1:]), length / (k - 1)
    # Three corners at most are cut; elsewhere steps are the length over k - 1.
    assert int(((steps - short).abs() > 1e-7 * length).sum()) <= 2
    assert bool((steps < short * (1 + 1e-7)).all())
    # Every new point is on one of the pieces: the detour over it is none.
    to = metric.cdist(y, x)
    detour = to[:, :-1] + to[:, 1:] - metric.dist(x[:-1], x[1:])
    assert float(detour.amin(-1).max()) < 1e-7 * length
    assert torch.equal(y[[0, -1]], x[[0, -1]])


def test_resampling_an_even_path_gives_it_back():
    x = rg.path(SPHERE, *points(2, 4), [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(resample_path(SPHERE, x, 5), x, atol=1e-15)
    np.testing.assert_allclose(resample_path(SPHERE, x, 3), x[::2], atol=1e-15)


def test_repeated_layers_do_not_change_the_resampled_path():
    x = points(4, 3)
    longer = x.repeat_interleave(torch.tensor([3, 1, 2, 4]), 0)
    np.testing.assert_allclose(resample_path(SPHERE, longer, 9), resample_path(SPHERE, x, 9), atol=1e-14)


def test_paths_that_do_not_move_are_repeated():
    x = points(1, 3)
    for still in (x, x.expand(4, 3)):
        assert torch.equal(resample_path(SPHERE, still, 3), x.expand(3, 3))
    batch = torch.stack([x.expand(4, 3), points(4, 3, seed=1)])
    both = resample_path(SPHERE, batch, 5)
    assert torch.equal(both[0], x.expand(5, 3))
    torch.testing.assert_close(both[1], resample_path(SPHERE, batch[1], 5))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_resampling_keeps_digits_at_any_scale(scale):
    x = points(5, 3)
    y = resample_path(LINE, scale * x.float(), 7)
    assert y.dtype == torch.float32
    np.testing.assert_allclose(y / scale, resample_path(LINE, x, 7), atol=1e-6)


def test_resampling_has_gradients_even_at_repeated_layers():
    x = points(4, 3)
    assert torch.autograd.gradcheck(lambda x: resample_path(LINE, x, 6), x.clone().requires_grad_())
    still = points(1, 3).expand(4, 3).clone().requires_grad_()
    resample_path(SPHERE, still, 5).sum().backward()
    assert bool(still.grad.isfinite().all())


def test_antipodal_layers_are_joined_by_one_of_their_arcs():
    x = points(1, 3)
    with pytest.warns(CutLocusWarning):
        y = resample_path(SPHERE, torch.cat([x, -x]), 3)
    assert float(SPHERE.dist(y[1], x[0])) == pytest.approx(math.pi / 2)


def test_doors_of_single_paths():
    for k in (1, 0, 2.5, None):
        with pytest.raises(ValueError, match="k must be"):
            resample_path(LINE, points(3, 2), k)
    with pytest.raises(ShapeError, match="needs shape"):
        path_progress(LINE, points(3), points(3), points(3))
    with pytest.raises(ShapeError, match="paths must have equally many points, got 3 and 4"):
        aligned_distance(LINE, points(3, 2), points(4, 2))


def test_aligned_distance_is_the_root_mean_square():
    a, b = points(2, 4, 3), points(4, 3, seed=1)
    expected = SPHERE.dist(a, b).square().mean(-1).sqrt()
    np.testing.assert_allclose(aligned_distance(SPHERE, a, b), expected, rtol=1e-14)
    same = points(4, 3).requires_grad_()
    aligned_distance(SPHERE, same, points(4, 3)).backward()
    assert not same.grad.any()


# ---------------------------------------------------------------------- mean paths


def test_flat_mean_path_is_the_average():
    paths = torch.randn(5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0, 4.0], dtype=torch.float64)
    found = MeanPath(LINE).fit(paths, weights=weights)
    mean = (weights[:, None, None] * paths).sum(0) / 8
    np.testing.assert_allclose(found.mean_, mean, atol=1e-14)
    variance = (weights[:, None] * (paths - mean).square().sum(-1)).sum(0) / 8
    np.testing.assert_allclose(found.variance_, variance, rtol=1e-12)
    np.testing.assert_allclose(found.distances_, (paths - mean).norm(dim=-1), rtol=1e-12)
    assert found.converged_
    assert found.unique_ is True


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_layers_of_the_mean_path_are_their_frechet_means(metric):
    paths = [layers(metric, 3, seed=s) for s in range(3)]
    found = MeanPath(metric).fit(paths)
    for i in range(3):
        alone = rg.FrechetMean(metric).fit(torch.stack([p[i] for p in paths]))
        assert float(found.variance_[i]) == pytest.approx(float(alone.variance_), rel=1e-9)
        assert float(metric.dist(found.mean_[i], alone.mean_)) < 1e-6


def test_mean_path_follows_isometries():
    rotation = torch.linalg.qr(points(4, 4, seed=9))[0]
    paths = [
        rg.path(SPHERE, *points(2, 4, seed=s).abs(), torch.linspace(0, 1, k)) for s, k in ((0, 4), (1, 7))
    ]
    here, there = (MeanPath(SPHERE, 5).fit(p) for p in (paths, [p @ rotation for p in paths]))
    np.testing.assert_allclose(here.mean_ @ rotation, there.mean_, atol=1e-12)
    np.testing.assert_allclose(here.variance_, there.variance_, rtol=1e-10)


@pytest.mark.parametrize("manifold", [SPHERE, geoopt.Sphere()], ids=["ours", "theirs"])
def test_shorter_paths_are_resampled_as_if_alone(manifold):
    paths = [points(k, 3, seed=k).float() for k in (2, 5, 3)]
    even = as_even_paths(manifold, *as_paths(manifold, paths), 4)
    for found, path in zip(even, paths, strict=True):
        np.testing.assert_allclose(found, resample_path(manifold, path, 4), atol=1e-5)


def test_mean_of_one_network_and_of_identical_ones():
    path = points(4, 3)
    for paths in (path[None], path.expand(5, 4, 3)):
        found = MeanPath(SPHERE).fit(paths)
        np.testing.assert_allclose(found.mean_, path, atol=1e-15)
        np.testing.assert_allclose(found.variance_, 0, atol=1e-30)
        assert found.converged_
    one_layer = MeanPath(SPHERE).fit(path[:, None])
    assert one_layer.mean_.shape == (1, 3)


def test_spread_beyond_uniqueness_is_not_called_unique():
    x = points(1, 3)
    paths = [torch.cat([x, x]), torch.cat([x, -x])]
    with pytest.warns(CutLocusWarning):
        found = MeanPath(SPHERE).fit(paths)
    assert found.unique_ is None
    assert float(found.variance_[1]) == pytest.approx((math.pi / 2) ** 2)


def test_too_few_steps_warn():
    with pytest.warns(ConvergenceWarning, match="FrechetMean stopped after 1 iterations"):
        MeanPath(rg.AngularShape(p=3), max_iter=1).fit(
            [layers(rg.AngularShape(p=3), 3, seed=s) for s in range(4)]
        )


def test_doors_of_families():
    a, b = points(3, 2), points(4, 2)
    with pytest.raises(ShapeError, match=r"equally many points, got between 3 and 4. Set n_points"):
        MeanPath(LINE).fit([a, b])
    with pytest.raises(ValueError, match="n_points must be at least 2"):
        MeanPath(LINE, n_points=1).fit([a, b])
    with pytest.raises(ValueError, match="n_points must be a positive whole number of points"):
        MeanPath(LINE, n_points=2.5).fit([a, b])
    with pytest.raises(ShapeError, match=r"points of all paths must have one shape, got \(2,\), \(3,\)"):
        MeanPath(LINE).fit([a, points(3, 3)])
    with pytest.raises(ShapeError, match="at least one path is needed, got none"):
        MeanPath(LINE).fit([])
    with pytest.raises(TypeError, match="paths must be a list of stacks"):
        MeanPath(LINE).fit(3.0)
    with pytest.raises(ShapeError, match="path 0: points must have shape"):
        MeanPath(LINE).fit(a)
    with pytest.raises(NotOnManifoldError, match="path 1: points must lie on the manifold"):
        MeanPath(SPHERE).fit([a, 2 * a])
    broken = a.clone()
    broken[1] = torch.nan
    with pytest.raises(ValueError, match="path 1: points must be finite, got nan or infinity in point 1"):
        MeanPath(SPHERE).fit([a, broken])


def test_mean_path_keeps_the_manners_of_estimators(tmp_path):
    paths = [points(k, 3, seed=k).numpy() for k in (3, 5)]
    copies = [p.copy() for p in paths]
    found = clone(MeanPath(SPHERE, n_points=4)).fit(paths)
    assert all(np.array_equal(p, q) for p, q in zip(paths, copies, strict=True))
    found.save(tmp_path / "mean.npz")
    back = MeanPath.load(tmp_path / "mean.npz", SPHERE)
    assert torch.equal(back.mean_, found.mean_)
    assert (back.n_points, back.tol, back.max_iter) == (4, None, 100)
    assert back.unique_ == found.unique_
