"""
Mistakes that a review of the first version found; each test says why the laws had missed it.
"""

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.registry import _ENTRIES


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_transport_is_the_same_under_vmap():
    # No law looked at transport under vmap, where it took too few steps at ill-conditioned points.
    manifold = rg.SizeAndShape()
    q = torch.linalg.qr(rg.ColumnCentered().project(draw(8, 3))).Q
    x = (q * torch.tensor([1.0, 0.03, 0.001]))[None]
    u = manifold.proju(x, draw(1, 8, 3, seed=1))
    u = u * 0.9 * manifold.cut_time(x, u).clamp(max=1)[:, None, None]
    v = manifold.proju(x, draw(1, 8, 3, seed=2))
    y = manifold.expmap(x, u)
    np.testing.assert_allclose(
        torch.func.vmap(manifold.transp)(x, y, v), manifold.transp(x, y, v), atol=1e-10
    )


def test_vectors_with_fewer_batch_axes_than_points_do_not_mix_with_them():
    # Laws had one batch axis only.
    for manifold in (rg.UnitSphere(2), rg.SizeAndShape()):
        for batch in (2, 3):
            x = manifold.random(batch, 5, 3, dtype=torch.float64)
            u, v = draw(5, 3, seed=1), draw(5, 3, seed=2)
            ours = manifold.retr_transp(x, u, v)
            wanted = manifold.retr_transp(x, u.expand_as(x), v.expand_as(x))
            for a, b in zip(ours, wanted, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-13)


def test_a_continuum_of_means_is_not_called_unique():
    # Nothing tests certificates but tests: two rank-one shapes have many means of full width.
    h = torch.linalg.qr(torch.cat([torch.ones(3, 1, dtype=torch.float64), draw(3, 2)], 1)).Q[:, 1:]
    zero = torch.zeros(3, 1, dtype=torch.float64)
    points = torch.stack([torch.cat([h[:, :1], zero], 1), torch.cat([zero, h[:, 1:]], 1)])
    manifold = rg.Quotient(rg.Flat(2, rg.ColumnCentered()), rg.Orthogonal())
    assert rg.FrechetMean(manifold).fit(points).unique_ is None


def test_convexity_of_spherical_distances_ends_at_pi():
    sphere = rg.UnitSphere(1)
    d = torch.tensor([3.1, np.pi, 3.2], dtype=torch.float64)
    assert sphere.distance_convexity(torch.ones(3, dtype=torch.float64), d).max() < 0


def test_saddles_have_no_error_bound():
    angles = torch.tensor([2.5, -2.5, 0.3, -0.3], dtype=torch.float64)
    points = torch.stack([angles.cos(), angles.sin(), torch.zeros(4)], -1)
    start = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    mean = rg.FrechetMean(rg.UnitSphere(1), init=start).fit(points)
    assert float(mean.error_bound_) == np.inf
    assert mean.unique_ is None


def test_antipodal_points_have_a_mean_halfway():
    points = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)
    with pytest.warns(rg.CutLocusWarning):
        mean = rg.FrechetMean(rg.UnitSphere(1)).fit(points)
    assert float(mean.variance_) == pytest.approx((np.pi / 2) ** 2)


def test_best_of_average_and_data_is_where_sphere_means_start():
    angles = torch.tensor([2.5, -2.5, 0.0], dtype=torch.float64)
    points = torch.stack([angles.cos(), angles.sin()], -1)
    assert float(rg.FrechetMean(rg.UnitSphere(1)).fit(points).variance_) < 2.48


def test_scaled_metric_scales():
    x, y = draw(10, 4), draw(10, 3, seed=1)
    for metric in (rg.AngularCKA(), rg.SizeAndShape()):
        scaled = geoopt.Scaled(metric, 2.0)
        assert float(rg.compare(x, y, scaled)) == pytest.approx(2 * float(rg.compare(x, y, metric)))
        np.testing.assert_allclose(rg.pairwise([x, y], scaled), 2 * rg.pairwise([x, y], metric))


def test_second_derivatives_through_a_rotation_to_fewer_columns_are_refused():
    x, y = draw(5, 8).requires_grad_(), draw(5, 8, seed=1)
    (g,) = torch.autograd.grad(rg.compare(x, y, "size_and_shape") ** 2, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives of"):
        g.sum().backward()


def test_shapes_of_different_widths_are_not_broadcast():
    metric = rg.SizeAndShape()
    with pytest.raises(rg.ShapeError, match="equally many columns"):
        metric.dist(metric.embed(draw(10, 3)), metric.embed(draw(10, 1)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: rg.Quotient(rg.Flat(2, weight=3.0)),
        lambda: rg.Quotient(rg.AngularCKA()),
        lambda: rg.Quotient(rg.Flat(1)),
        lambda: rg.Quotient(rg.UnitSphere(2, rg.Hollow())),
    ],
)
def test_quotients_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="Quotient needs"):
        make()


@pytest.mark.parametrize("shape", [(6, 1), (4, 4), (4, 6)])
def test_rotation_groups_that_padding_breaks_are_refused(shape):
    manifold = rg.Quotient(rg.Flat(2, rg.ColumnCentered()), rg.SpecialOrthogonal())
    with pytest.raises(ValueError, match="with O\\(p\\) any number is right"):
        manifold.random(*shape)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5])
def test_cut_time_at_ill_conditioned_points(dtype, condition):
    # The smallest direction shrinks to nothing at t = 1. The Gram matrix had lost it.
    q = torch.linalg.qr(rg.ColumnCentered().project(draw(8, 3))).Q
    extents = torch.tensor([1.0, 0.5, 1 / condition], dtype=torch.float64)
    x, u = (q * extents).to(dtype), (-q * extents * torch.tensor([0.0, 0.0, 1.0])).to(dtype)
    assert float(rg.SizeAndShape().cut_time(x, u)) == pytest.approx(
        1.0, rel=1e4 * condition * torch.finfo(dtype).eps
    )


def test_facts_of_points_that_are_not_finite_are_nan():
    manifold, x = rg.SizeAndShape(), torch.full((5, 3), torch.nan)
    assert bool(manifold.injectivity_radius(x).isnan())
    assert bool(manifold.cut_time(x, x).isnan() | manifold.cut_time(x, x).isinf())


def test_mean_on_manifolds_with_other_habits():
    ball = geoopt.PoincareBall()
    points = 0.3 * torch.tanh(draw(5, 3))
    assert rg.FrechetMean(ball).fit(points).mean_.shape == (3,)


def test_embedding_under_autocast_keeps_its_digits():
    x, y = draw(12, 5, dtype=torch.float32), draw(12, 5, seed=1, dtype=torch.float32)
    plain = rg.compare(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(rg.compare(x, y)) == pytest.approx(float(plain), rel=1e-5)


def test_bad_registrations_are_refused_and_break_nothing():
    for factory in (lambda p: rg.SizeAndShape(p), 3, lambda: (rg.AngularCKA(), 2)):
        with pytest.raises(TypeError, match="must give a metric with a card"):
            rg.register_metric("bad", factory)
    for key in ("", 3):
        with pytest.raises(ValueError, match="nonempty string"):
            rg.register_metric(key, rg.Stress)
    assert "bad" not in _ENTRIES
    rg.compare(draw(5, 2), draw(5, 2))


def test_gradient_at_distance_zero_is_zero():
    for seed in range(20):
        x = draw(12, 4, seed=seed).requires_grad_()
        for method in ("size_and_shape", "angular_shape"):
            (g,) = torch.autograd.grad(rg.compare(x, x.detach().clone(), method), x)
            assert float(g.abs().max()) == 0


def test_means_of_what_is_not_a_point_are_refused():
    with pytest.raises(rg.NotOnManifoldError, match=r"metric\.embed"):
        rg.FrechetMean(rg.UnitSphere(1)).fit(0.01 * torch.eye(2))


def test_means_keep_their_batch():
    x = draw(2, 4, 5, 3)
    x = rg.SizeAndShape().projx(x[:, :1].expand(2, 4, 5, 3))
    assert rg.FrechetMean(rg.SizeAndShape(), init=x[0, 0]).fit(x).mean_.shape == (2, 5, 3)


def test_two_inputs_are_too_few_for_an_angle():
    for method in ("angular_cka", "angular_shape"):
        with pytest.raises(rg.ShapeError, match="at least 3 inputs"):
            rg.compare(draw(2, 3), draw(2, 3), method)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: rg.AngularCKA("rbf"), TypeError, "must be a kernel"),
        (lambda x: rg.Stress(rg.RBF), TypeError, "must be a kernel"),
        (lambda x: rg.compare(x, x, rg.AngularCKA), TypeError, r"Call it: AngularCKA\(\)"),
        (lambda x: rg.SizeAndShape(whiten="1"), ValueError, "between 0"),
        (lambda x: rg.SizeAndShape(p=True), ValueError, "whole number"),
        (lambda x: rg.pairwise([x, x], block=2.5), ValueError, "positive number of networks"),
        (lambda x: rg.pairwise(None), TypeError, "sequence or mapping"),
        (lambda x: rg.compare(x[None, None, None, None], x), rg.ShapeError, "Flatten the axes"),
        (lambda x: rg.compare(x.expand(2, 6, 3), x.expand(3, 6, 3)), rg.ShapeError, "equally many networks"),
        (lambda x: rg.FrechetMean(rg.Flat(1), max_iter=-1).fit(x), ValueError, "max_iter"),
        (lambda x: rg.FrechetMean(rg.Flat(1), tol=0).fit(x), ValueError, "tol must be positive"),
        (lambda x: rg.FrechetMean(rg.Flat(1), init=x).fit(x), rg.ShapeError, "init must be"),
    ],
)
def test_silly_input_has_a_clear_answer(call, error, words):
    with pytest.raises(error, match=words):
        call(draw(6, 3))


def test_numbers_of_numpy_are_numbers():
    assert rg.SizeAndShape(p=np.int64(3)).p == 3
    assert rg.RBF(np.float32(1.5)).length_scale.length == 1.5


def test_missing_submodules_are_missing_attributes():
    assert not hasattr(rg, "brain")


@pytest.mark.parametrize(
    ("dtype", "spread"), [(torch.float32, 1e-4), (torch.float32, 1e-5), (torch.float64, 1e-9)]
)
def test_means_of_clusters_tighter_than_the_root_of_rounding(dtype, spread):
    # Their inner products are all one; the span of the data says nothing, the logarithms do.
    sphere = rg.UnitSphere(2)
    for seed in range(10):
        center = sphere.projx(draw(8, 3, seed=seed))
        points = sphere.projx(center + spread * draw(5, 8, 3, seed=seed + 99)).to(dtype)
        mean = rg.FrechetMean(sphere).fit(points)
        exact = rg.FrechetMean(sphere, init="first").fit(sphere.projx(points.double()))
        assert mean.converged_
        assert float(sphere.dist(mean.mean_.double(), exact.mean_)) <= float(mean.error_bound_) + 1e-15


def test_overflow_is_infinite_not_zero():
    x, y = 1e20 * draw(10, 3, dtype=torch.float32), 1e20 * draw(10, 3, seed=1, dtype=torch.float32)
    metric = rg.SizeAndShape()
    assert float(metric.dist(metric.embed(x), metric.embed(y))) == np.inf
    with pytest.raises(ValueError, match="overflow in float32. Divide all activations by a common number"):
        rg.compare(x, y, metric)


def test_tables_of_angles_promote_dtypes_and_have_the_gradient_of_an_angle():
    sphere = rg.UnitSphere(1)
    x = sphere.random(4, 5, dtype=torch.float64).as_subclass(torch.Tensor).requires_grad_()
    assert sphere.cdist(x.detach().float(), x.detach()).dtype == torch.float64
    weights = draw(4, 4)
    (table,) = torch.autograd.grad((weights * sphere.cdist(x, x)).sum(), x)
    (pairs,) = torch.autograd.grad((weights * sphere.dist(x[:, None], x[None])).sum(), x)
    np.testing.assert_allclose(sphere.proju(x, table).detach(), sphere.proju(x, pairs).detach(), atol=1e-12)


def test_scaled_manifolds_without_an_embedding_are_no_metrics():
    with pytest.raises(TypeError, match="must be a metric's name"):
        rg.compare(draw(5, 2), draw(5, 2), geoopt.Scaled(rg.UnitSphere(2), 2.0))
    from repsim_geo.registry import as_metric

    assert as_metric(geoopt.Scaled(rg.AngularCKA(), 2.0)).card.range[1] == pytest.approx(np.pi)


def test_weights_that_do_not_fit_the_batch():
    with pytest.raises(rg.ShapeError, match="weights must have shape"):
        rg.FrechetMean(rg.Flat(1)).fit(draw(3, 2, 5, 4), torch.ones(2, 3, 5))
    assert rg.FrechetMean(rg.Flat(1), max_iter=np.int64(5)).fit(draw(5, 4)).converged_
