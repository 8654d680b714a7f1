"""Fréchet means against brute-force minimization; certificates; warnings that fire."""

import geoopt
import numpy as np
import oracles
import pytest
import torch
from sklearn.base import clone

import repsim_geo as rg


def points(manifold, n, *point, seed=0, spread=1.0, batch=()):
    generator = torch.Generator().manual_seed(seed)
    center = manifold.random(*point, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    u = manifold.proju(center, torch.randn(*batch, n, *point, dtype=torch.float64, generator=generator))
    return manifold.expmap(center, spread * u)


@pytest.mark.parametrize("seed", range(4))
def test_sphere_mean_is_the_minimum(seed):
    sphere = rg.UnitSphere(1)
    x = points(sphere, 6, 4, seed=seed, spread=0.5)
    w = torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for weights in (None, w):
        mean = rg.FrechetMean(sphere).fit(x, weights)
        exact = oracles.frechet_mean_bruteforce_sphere(
            x.numpy(), None if weights is None else weights.numpy()
        )
        np.testing.assert_allclose(mean.mean_, exact.mean, atol=1e-10)
        assert float(mean.variance_) == pytest.approx(exact.objective, rel=1e-12)
        assert mean.converged_


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kendall", [False, True], ids=["size_and_shape", "kendall"])
def test_shape_mean_is_the_minimum(seed, kendall):
    manifold = rg.AngularShape() if kendall else rg.SizeAndShape()
    x = points(manifold, 5, 5, 2, seed=seed, spread=0.3)
    mean = rg.FrechetMean(manifold).fit(x)
    exact = oracles.frechet_mean_bruteforce_shapes(x.numpy(), kendall=kendall)
    assert float(mean.variance_) == pytest.approx(exact.objective, rel=1e-10)
    assert float(manifold.dist(mean.mean_, torch.tensor(exact.mean))) < 1e-6
    assert mean.converged_


def test_flat_mean_is_arithmetic():
    x = points(rg.Stress(), 5, 4, 4)
    mean = rg.FrechetMean(rg.Stress()).fit(x)
    np.testing.assert_allclose(mean.mean_, x.mean(0), atol=1e-14)
    assert mean.unique_ is True
    assert float(mean.error_bound_) < 1e-12


def test_mean_of_two_points_is_the_midpoint():
    for manifold, point in (
        (rg.AngularCKA(), (6, 6)),
        (rg.SizeAndShape(), (6, 3)),
        (rg.AngularShape(), (6, 3)),
    ):
        x = points(manifold, 2, *point, spread=0.2)
        mean = rg.FrechetMean(manifold).fit(x).mean_
        assert float(manifold.dist(mean, rg.midpoint(manifold, x[0], x[1]))) < 1e-11


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_mean_of_equal_points_is_that_point(dtype):
    for manifold, point in (
        (rg.AngularCKA(), (6, 6)),
        (rg.SizeAndShape(), (6, 3)),
        (rg.AngularShape(), (6, 3)),
        (rg.Stress(), (4, 4)),
    ):
        x = manifold.random(*point, dtype=dtype).as_subclass(torch.Tensor)
        mean = rg.FrechetMean(manifold).fit(x.expand(4, *point))
        assert float(manifold.dist(mean.mean_, x)) < 20 * torch.finfo(dtype).eps * float(x.norm())
        assert mean.converged_
        assert mean.n_iter_ <= 1
        assert float(mean.variance_) < 1e-12


def test_data_grams_have_a_proven_unique_mean():
    generator = torch.Generator().manual_seed(0)
    metric = rg.AngularCKA()
    x = torch.stack(
        [metric.embed(torch.randn(20, d, dtype=torch.float64, generator=generator)) for d in (2, 3, 5, 8)]
    )
    mean = rg.FrechetMean(metric).fit(x)
    assert mean.unique_ is True
    assert float(mean.radius_) < np.pi / 2
    assert float(torch.linalg.eigvalsh(mean.mean_).min()) > -1e-12
    assert float(mean.gradient_norm_) < 1e-12


def test_spread_out_data_have_no_proof_of_uniqueness():
    sphere = rg.UnitSphere(1)
    x = torch.cat([torch.eye(3), -torch.eye(3)])[:5].double()
    mean = rg.FrechetMean(sphere, max_iter=500).fit(x)
    assert mean.unique_ is None


@pytest.mark.parametrize("manifold", [rg.UnitSphere(1), geoopt.Sphere()], ids=["span", "flow"])
def test_error_bound_contains_the_true_mean(manifold):
    sphere = rg.UnitSphere(1)
    x = points(sphere, 7, 5, spread=0.6)
    exact = rg.FrechetMean(sphere).fit(x).mean_
    with pytest.warns(rg.ConvergenceWarning):
        rough = rg.FrechetMean(manifold, max_iter=1).fit(x)
    if isinstance(manifold, rg.UnitSphere):
        assert 0 < float(sphere.dist(rough.mean_, exact)) <= float(rough.error_bound_) < 0.5
    else:
        assert float(rough.error_bound_) == np.inf


def test_shape_error_bound_contains_the_true_mean():
    for manifold in (rg.SizeAndShape(), rg.AngularShape()):
        x = points(manifold, 5, 6, 2, spread=0.03)
        exact = rg.FrechetMean(manifold).fit(x)
        assert exact.unique_ is True
        with pytest.warns(rg.ConvergenceWarning):
            rough = rg.FrechetMean(manifold, max_iter=1, init="first", tol=1e-13).fit(x)
        assert 0 < float(manifold.dist(rough.mean_, exact.mean_)) <= float(rough.error_bound_) < 0.1


def test_non_convergence_warns_with_figures():
    x = points(rg.AngularShape(), 5, 6, 3)
    with pytest.warns(
        rg.ConvergenceWarning,
        match=r"stopped after 1 iterations with gradient norm .* raise max_iter or set tol",
    ):
        mean = rg.FrechetMean(rg.AngularShape(), max_iter=1).fit(x)
    assert mean.converged_ is False
    assert mean.n_iter_ == 1


def test_batches_are_populations():
    for manifold, point in ((rg.AngularCKA(), (6, 6)), (rg.SizeAndShape(), (6, 3)), (rg.Stress(), (4, 4))):
        x = points(manifold, 4, *point, batch=(3,), spread=0.2)
        together = rg.FrechetMean(manifold).fit(x)
        assert together.mean_.shape == (3, *point)
        assert together.variance_.shape == together.error_bound_.shape == (3,)
        for population, mean in zip(x, together.mean_, strict=True):
            assert float(manifold.dist(rg.FrechetMean(manifold).fit(population).mean_, mean)) < 1e-9


def test_weights():
    manifold = rg.SizeAndShape()
    x = points(manifold, 4, 6, 3, spread=0.2)
    only_first = rg.FrechetMean(manifold).fit(x, [1.0, 0.0, 0.0, 0.0])
    assert float(manifold.dist(only_first.mean_, x[0])) < 1e-12
    assert float(only_first.radius_) < 1e-12
    doubled = rg.FrechetMean(manifold).fit(x[[0, 0, 1, 2, 3]])
    weighted = rg.FrechetMean(manifold).fit(x, [2, 1, 1, 1])
    assert float(manifold.dist(doubled.mean_, weighted.mean_)) < 1e-9


@pytest.mark.parametrize("init", ["medoid", "first", "point"])
def test_starting_points_lead_to_one_mean(init):
    manifold = rg.AngularShape()
    x = points(manifold, 6, 7, 3, spread=0.01)
    mean = rg.FrechetMean(manifold, init=x[3] if init == "point" else init).fit(x)
    assert float(manifold.dist(mean.mean_, rg.FrechetMean(manifold).fit(x).mean_)) < 1e-9


def test_scaled_and_foreign_manifolds():
    sphere = rg.UnitSphere(1)
    x = points(sphere, 6, 4, spread=0.4)
    ours = rg.FrechetMean(sphere).fit(x)
    scaled = rg.FrechetMean(geoopt.Scaled(sphere, 3.0)).fit(x)
    np.testing.assert_allclose(scaled.mean_, ours.mean_, atol=1e-12)
    np.testing.assert_allclose(scaled.variance_, 9 * ours.variance_)
    assert scaled.unique_ is True
    foreign = rg.FrechetMean(geoopt.SphereExact()).fit(x)
    np.testing.assert_allclose(foreign.mean_, ours.mean_, atol=1e-6)
    assert foreign.unique_ is None


def test_scikit_learn_manners():
    mean = rg.FrechetMean(rg.AngularCKA(), tol=1e-6)
    assert mean.get_params()["tol"] == 1e-6
    assert clone(mean).tol == 1e-6


@pytest.mark.parametrize(
    ("bad", "weights", "error", "words"),
    [
        (torch.ones(3), None, rg.ShapeError, "must have shape"),
        (torch.ones(0, 5), None, rg.ShapeError, "got none"),
        (torch.ones(3, 5, dtype=torch.int64), None, TypeError, "float32 or float64 numbers"),
        (["a"], None, TypeError, "torch.stack"),
        ([torch.ones(5), torch.ones(4)], None, rg.ShapeError, "metric.resolve"),
        (torch.full((3, 5), torch.nan), None, ValueError, "nan or infinity in point 0, 1, 2"),
        (torch.ones(3, 5), [1.0, 2.0], rg.ShapeError, r"shape \(3,\)"),
        (torch.ones(3, 5), [1.0, -1.0, 1.0], ValueError, "nonnegative"),
        (torch.ones(3, 5), [0.0, 0.0, 0.0], ValueError, "not all zero"),
    ],
)
def test_bad_input(bad, weights, error, words):
    with pytest.raises(error, match=words):
        rg.FrechetMean(rg.Flat(1)).fit(bad, weights)
    with pytest.raises(ValueError, match="init must be"):
        rg.FrechetMean(rg.Flat(1), init="best").fit(torch.ones(3, 5))


def test_points_of_the_wrong_shape_for_the_manifold():
    with pytest.raises(rg.ShapeError, match="square"):
        rg.FrechetMean(rg.AngularCKA()).fit(torch.ones(3, 5, 4))


@pytest.mark.parametrize(
    "manifold", [rg.AffineInvariantSPD(), rg.LogEuclideanSPD(), rg.BuresWassersteinSPD()]
)
def test_means_of_covariances_are_stationary_and_best(manifold, generator):
    a = torch.randn(6, 4, 7, dtype=torch.float64, generator=generator)
    points = a @ a.mT / 7
    mean = rg.FrechetMean(manifold).fit(points)
    assert mean.converged_
    variance = manifold.dist2(mean.mean_, points).mean()
    for scale in (1e-1, 1e-3):
        u = scale * manifold.proju(mean.mean_, torch.randn(4, 4, dtype=torch.float64, generator=generator))
        assert float(manifold.dist2(manifold.expmap(mean.mean_, u), points).mean()) > float(variance)
    if manifold.flat:
        assert mean.n_iter_ == 0
    if manifold.sensitive and not isinstance(manifold, rg.BuresWassersteinSPD):
        assert mean.unique_
        assert float(mean.error_bound_) < 1e-10


def test_bures_mean_of_networks_with_few_units_is_that_of_their_shapes(generator):
    # Each Gram matrix has rank 2 of 5; a flow that starts at one of them could not reach a larger rank.
    reps = [torch.randn(6, 2, dtype=torch.float64, generator=generator) for _ in range(8)]
    metric = rg.BuresWasserstein()
    mean = rg.FrechetMean(metric, max_iter=1000).fit(torch.stack([metric.embed(x) for x in reps]))
    shapes = rg.SizeAndShape(p=5)
    embedded = torch.stack([shapes.embed(x) for x in reps])
    start = embedded.mean(0) + 0.1 * shapes.projx(torch.randn(6, 5, dtype=torch.float64, generator=generator))
    other = rg.FrechetMean(shapes, max_iter=1000, init=start).fit(embedded)
    assert mean.converged_
    assert float(mean.variance_) == pytest.approx(float(other.variance_), rel=1e-8)


def test_mean_of_subspaces_starts_at_their_leading_directions(generator):
    manifold = rg.Grassmannian()
    center = manifold.random(8, 2, dtype=torch.float64, generator=generator).as_subclass(torch.Tensor)
    noise = torch.randn(10, 8, 2, dtype=torch.float64, generator=generator)
    points = manifold.expmap(center, 0.1 * manifold.proju(center, noise))
    mean = rg.FrechetMean(manifold).fit(points)
    assert mean.converged_
    assert mean.unique_
    assert mean.n_iter_ <= 8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [rg.SizeAndShape, rg.AngularShape])
def test_means_of_unrelated_shapes_start_from_full_width(kind, seed):
    """Local means of three columns differ by percents; from the medoid the search ended in one of these."""
    generator = torch.Generator().manual_seed(seed)
    networks = torch.randn(6, 12, 3, dtype=torch.float64, generator=generator)
    metric, wide = kind(p=3), kind(p=11)
    x = metric.embed(networks)
    mean = rg.FrechetMean(metric, max_iter=500).fit(x)
    starts = metric.embed(torch.randn(20, 12, 3, dtype=torch.float64, generator=generator))
    others = [rg.FrechetMean(metric, init=start, max_iter=1000).fit(x).variance_ for start in starts]
    assert float(mean.variance_) <= (1 + 1e-2) * float(min(others))
    full = rg.FrechetMean(wide, max_iter=500).fit(wide.embed(networks))
    start = wide.embed(torch.randn(12, 11, dtype=torch.float64, generator=generator))
    again = rg.FrechetMean(wide, init=start, max_iter=1000).fit(wide.embed(networks))
    assert float(full.variance_) == pytest.approx(float(again.variance_), rel=1e-10)
    assert float(full.variance_) < float(mean.variance_)


def test_shapes_change_their_number_of_columns():
    generator = torch.Generator().manual_seed(0)
    x = rg.SizeAndShape(p=4).embed(torch.randn(9, 4, dtype=torch.float64, generator=generator))
    shapes = rg.SizeAndShape()
    wide = shapes.with_columns(x, 6)
    assert wide.shape == (9, 6)
    assert float(shapes.dist(shapes.with_columns(wide, 4), x)) < 1e-14
    lost = torch.linalg.svdvals(x)[2:].norm()
    assert float(shapes.dist(shapes.with_columns(shapes.with_columns(x, 2), 4), x)) == pytest.approx(
        float(lost)
    )
    with pytest.raises(NotImplementedError, match="columns of zeros"):
        rg.SizeAndShape(p=4, reflections=False).with_columns(x, 6)


@pytest.mark.parametrize("kind", [rg.SizeAndShape, rg.AngularShape])
def test_another_column_pays_where_it_is_said_to(kind):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(6, 12, 3, dtype=torch.float64, generator=generator)
    metric, weights = kind(p=3), torch.full((6,), 1 / 6, dtype=torch.float64)
    for networks, wanted in ((noise, True), (noise[:1] + 0.5 * noise, False)):
        x = metric.embed(networks)
        mean = rg.FrechetMean(metric, init="first", max_iter=500).fit(x).mean_
        assert bool(metric.wants_columns(mean, x, weights)) is wanted
        wide = metric.with_columns(x, 4)
        columns = metric.total.subspace.project(
            torch.randn(200, 12, 1, dtype=torch.float64, generator=generator)
        )
        columns = columns - mean @ torch.linalg.pinv(mean) @ columns
        around = metric.projx(torch.cat([mean.expand(200, 12, 3), 1e-2 * columns], -1))
        change = metric.dist2(around.unsqueeze(1), wide).mean(-1) - metric.dist2(mean, x).mean()
        assert bool((change < 0).any()) is wanted


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 7])
def test_cosines_have_the_mean_of_their_points(n, seed):
    metric = rg.AngularCKA()
    generator = torch.Generator().manual_seed(seed)
    networks = torch.randn(n, 12, 5, dtype=torch.float64, generator=generator)
    weights = torch.rand(n, dtype=torch.float64, generator=generator) + 0.1
    x = metric.embed(networks)
    whole = rg.FrechetMean(metric).fit(x, weights)
    for cosines in (rg.pairwise(networks, metric).cos(), metric.cdist(x, x).cos().numpy()):
        found = rg.FrechetMean(metric).fit_cosines(cosines, weights)
        assert float(metric.dist(found.combine(x), whole.mean_)) < 1e-7
        for name in ("variance_", "radius_"):
            assert float(getattr(found, name)) == pytest.approx(float(getattr(whole, name)), abs=1e-7)
        assert found.converged_
        assert found.unique_ is whole.unique_
        assert float(found.gradient_norm_) < 1e-10


def test_cosines_are_for_spheres_and_have_no_negative_eigenvalues():
    with pytest.raises(TypeError, match="for spheres"):
        rg.FrechetMean(rg.SizeAndShape()).fit_cosines(torch.eye(3))
    bad = torch.tensor([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    with pytest.raises(ValueError, match="unit vectors"):
        rg.FrechetMean(rg.AngularCKA()).fit_cosines(bad)


def test_equal_networks_have_a_mean_from_cosines():
    metric = rg.AngularCKA()
    x = metric.embed(torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    found = rg.FrechetMean(metric).fit_cosines(torch.ones(4, 4, dtype=torch.float64))
    assert float(metric.dist(found.combine(x.expand(4, 8, 8)), x)) < 1e-7
