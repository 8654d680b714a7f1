"""What two strangers found in the metrics of the second round."""

import geoopt
import pytest
import torch

import repsim_geo as rg

pytestmark = pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("m", "d", "n"), [(14, 4, 4), (14, 8, 4), (10, 3, 3)])
def test_affine_invariant_means_of_narrow_networks_converge(m, d, n):
    # Steps of at least 1 overshoot for ever where the curvature is negative and the Hessian large.
    metric = rg.AffineInvariant()
    points = torch.stack([metric.embed(draw(m, d, seed=s)) for s in range(n)])
    mean = rg.FrechetMean(metric, max_iter=1000).fit(points)
    assert mean.converged_
    assert mean.unique_


@pytest.mark.parametrize("metric", [rg.AffineInvariant(), rg.LogEuclidean()], ids=["airm", "lem"])
def test_mean_of_equal_points_is_the_point(metric):
    point = metric.embed(draw(14, 4))
    mean = rg.FrechetMean(metric).fit(torch.stack([point] * 3))
    assert mean.converged_
    assert float(metric.dist(mean.mean_, point)) < 1e-10


def test_learnable_kernels_learn_through_compare():
    kernel = rg.RBF(2.0, learnable=True)
    for metric in (rg.BuresWasserstein(kernel=kernel), rg.AngularCKA(kernel), rg.Stress(kernel)):
        kernel.zero_grad()
        rg.compare(draw(20, 5), draw(20, 5, seed=1), metric).backward()
        assert float(kernel.log_factor.grad.abs()) > 0


def test_stochastic_distances_are_symmetric_for_unrelated_networks():
    for seed in (102, 3):
        x, y = draw(5, 12, 4, seed=seed), draw(5, 12, 6, seed=seed + 1)
        there, back = (rg.compare(*pair, rg.StochasticShape(starts=12)) for pair in ((x, y), (y, x)))
        assert float(there) == pytest.approx(float(back), rel=1e-12)


def test_scaled_metrics_keep_what_is_prepared():
    double = lambda metric: geoopt.Scaled(metric, 2.0)  # noqa: E731
    x, y = draw(20, 5), draw(20, 7, seed=1)
    for metric in (rg.LinearSubspace(unequal=True), rg.SoftMatching(), rg.BuresWasserstein()):
        assert float(rg.compare(x, y, double(metric))) == pytest.approx(2 * float(rg.compare(x, y, metric)))
        assert float(rg.pairwise([x, y], double(metric))[0, 1]) == pytest.approx(
            2 * float(rg.compare(x, y, metric))
        )
    r, s = draw(3, 6, 2), draw(4, 6, 2, seed=1)
    metric = rg.StochasticShape(starts=6)
    assert float(rg.compare(r, s, double(metric))) == pytest.approx(2 * float(rg.compare(r, s, metric)))


def test_compare_blames_the_right_network():
    x = draw(10, 3)
    with pytest.raises(rg.DegenerateRepresentationError, match="^y is constant"):
        rg.compare(x, torch.ones_like(x))
    with pytest.raises(ValueError, match="^y must be finite"):
        rg.compare(x, x * float("nan"))


@pytest.mark.filterwarnings("default::repsim_geo.DegenerateRepresentationWarning")
def test_warnings_point_at_the_line_of_the_user():
    for call in (
        lambda: rg.compare(draw(10, 3), draw(10, 3, seed=1), "affine_invariant"),
        lambda: rg.compare(draw(10, 7), draw(10, 7, seed=1), "linear_subspace"),
        lambda: rg.compare(draw(10, 3), draw(10, 3, seed=1), rg.AngularCKA(rg.RBF(1e-3))),
    ):
        with pytest.warns(rg.DegenerateRepresentationWarning) as caught:
            call()
        assert all(w.filename == __file__ for w in caught)


def test_no_two_inputs_in_sight_of_each_other():
    with pytest.warns(rg.DegenerateRepresentationWarning, match="no two inputs resemble"):
        rg.compare(draw(10, 3), draw(10, 3, seed=1), rg.Stress(rg.Laplace(1e-3)))


@pytest.mark.parametrize("metric", [rg.SizeAndShape(), rg.PermutationDistance(), rg.AngularCKA()], ids=repr)
def test_tensors_that_are_no_points_are_not_in_the_image(metric):
    with pytest.raises(rg.NotOnManifoldError, match="embed"):
        metric.in_image(draw(6, 6) + 3)


def test_messages():
    with pytest.raises(TypeError, match=r"such as AngularCKA\(\), got 'angular_cka'"):
        rg.FrechetMean("angular_cka").fit(draw(3, 4, 4))
    with pytest.raises(TypeError, match="torch.stack"):
        rg.path_length(rg.Flat(1), [draw(3), draw(3)])
    with pytest.raises(rg.UnknownMetricError, match=r"score, not a distance: call repsim_geo.svcca"):
        rg.compare(draw(9, 2), draw(9, 2), "svcca")
    with pytest.raises(ValueError, match="ridge must be"):
        rg.AffineInvariant(ridge=float("inf"))
    with pytest.raises(rg.ShapeError, match="squareform"):
        rg.AngularRDM().embed_dissimilarities(torch.ones(10))
    assert "RBF" in repr(rg.BuresWasserstein(kernel=rg.RBF()))
    assert "relative=False" in repr(rg.AffineInvariant(relative=False))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "manifold", [rg.AffineInvariantSPD(), rg.BuresWassersteinSPD()], ids=["airm", "bures"]
)
def test_means_do_not_depend_on_the_unit_of_the_points(manifold, dtype):
    w = draw(4, 3, 3, dtype=dtype)
    points = w @ w.mT + 0.1 * torch.eye(3, dtype=dtype)
    mean = rg.FrechetMean(manifold).fit(points).mean_
    for scale in (1e-6, 1e4, 1e10):
        other = rg.FrechetMean(manifold).fit(scale * points)
        assert other.converged_
        assert float((other.mean_ / scale - mean).norm() / mean.norm()) < (
            1e-9 if dtype == torch.float64 else 1e-3
        )


def test_means_of_ill_conditioned_pairs_are_midpoints():
    manifold = rg.AffineInvariantSPD()
    for condition in (1e4, 1e6):
        q, r = (torch.linalg.qr(draw(4, 4, seed=s))[0] for s in (0, 1))
        s = condition ** torch.linspace(0, -1, 4, dtype=torch.float64)
        x, y = (q * s) @ q.mT, (r * s) @ r.mT
        mean = rg.FrechetMean(manifold).fit(torch.stack([x, y]))
        assert mean.converged_
        assert float(manifold.dist(mean.mean_, manifold.geodesic(0.5, x, y))) < 1e-6


def test_infinite_points_are_nowhere():
    x = torch.tensor([float("inf"), 0.0, 0.0])
    assert bool(rg.UnitSphere(1).dist(x, torch.tensor([1.0, 0.0, 0.0])).isnan())
    rotations = rg.Quotient(rg.Flat(2, rg.ColumnCentered()), rg.SpecialOrthogonal())
    assert bool(rotations.cut_time(draw(6, 2), draw(6, 2) * float("nan")).isnan())


def test_no_points_have_no_distances():
    for manifold, point in ((rg.PermutationDistance(), (5, 3)), (rg.GaussianShapes(starts=4), (3, 3, 2))):
        x = manifold.random(2, *point).as_subclass(torch.Tensor)
        assert manifold.cdist(x, x[:0]).shape == (2, 0)
    assert rg.UnitSphere(1).check_point_on_manifold(torch.zeros(0, 3))
