"""Geodesic regression against least squares, brute force in coordinates and finite differences."""

import geoopt
import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

import repsim_geo as rg
from repsim_geo.stats.regression import GeodesicRegression

F64 = torch.float64
MANIFOLDS = {
    "flat": (lambda: rg.Flat(2, weight=3.0), (3, 2), 1.0),
    "sphere": (lambda: rg.UnitSphere(1), (4,), 0.3),
    "angular_cka": (rg.AngularCKA, (8, 8), 0.1),
    "size_and_shape": (rg.SizeAndShape, (7, 3), 0.06),
    "angular_shape": (rg.AngularShape, (7, 3), 0.04),
    "grassmannian": (rg.Grassmannian, (7, 3), 0.08),
    "affine_invariant": (rg.AffineInvariantSPD, (4, 4), 0.3),
    "log_euclidean": (rg.LogEuclideanSPD, (4, 4), 0.3),
    "bures_wasserstein": (rg.BuresWassersteinSPD, (4, 4), 0.2),
    "scaled": (lambda: geoopt.Scaled(rg.UnitSphere(1), 2.0), (4,), 0.3),
    "poincare_ball": (geoopt.PoincareBall, (3,), 0.02),
}


def trend(name, n=9, seed=0, noise=1.0):
    """A manifold, a covariate, and points around a geodesic, of which intercept and slope come too."""
    make, point, spread = MANIFOLDS[name]
    manifold, generator = make(), torch.Generator().manual_seed(seed)
    x = torch.randn(*point, dtype=F64, generator=generator)
    if "spd" in repr(manifold).lower():
        x = x @ x.mT + torch.eye(len(x), dtype=F64)
    x = manifold.projx(0.3 * x)
    v, *u = manifold.proju(x, spread * torch.randn(n + 1, *point, dtype=F64, generator=generator))
    t = torch.randn(n, dtype=F64, generator=generator) + 5
    s = (t - t.mean()).reshape(-1, *[1] * manifold.ndim)
    on = manifold.projx(manifold.expmap(x, s * v))
    points = manifold.projx(manifold.expmap(on, noise * manifold.proju(on, torch.stack(u))))
    return manifold, t, points.as_subclass(torch.Tensor), x, v


def variance_around(manifold, x, v, s, points, weights):
    on = manifold.expmap(x, s.reshape(-1, *[1] * manifold.ndim) * v)
    return float((weights * manifold.dist(on, points).square()).sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_flat_is_ordinary_least_squares(weighted):
    generator = torch.Generator().manual_seed(0)
    t, y = (torch.randn(12, *k, dtype=F64, generator=generator) for k in ((), (5,)))
    w = torch.rand(12, dtype=F64, generator=generator) if weighted else torch.ones(12, dtype=F64)
    exact = LinearRegression().fit(t[:, None].numpy(), y.numpy(), w.numpy())
    line = GeodesicRegression(rg.Flat(1)).fit(t, y, weights=w)
    new = torch.tensor([[-3.0], [7.0]], dtype=F64)
    np.testing.assert_allclose(line.slope_, exact.coef_[:, 0], atol=1e-13)
    np.testing.assert_allclose(line.predict(new), exact.predict(new.numpy()), atol=1e-12)
    center = (w[:, None] * y).sum(0) / w.sum()
    residual = y.numpy() - exact.predict(t[:, None].numpy())
    total = float((w[:, None] * (y - center).square()).sum())
    r2 = 1 - (w.numpy()[:, None] * residual**2).sum() / total
    assert line.r2_ == pytest.approx(r2, abs=1e-13)
    assert line.score(t, y, weights=w) == pytest.approx(r2, abs=1e-13)
    assert line.n_iter_ == 0


def test_log_euclidean_is_regression_of_matrix_logarithms():
    manifold, t, x, *_ = trend("log_euclidean")

    def log(x):
        values, basis = torch.linalg.eigh(x)
        return ((basis * values.log()[..., None, :]) @ basis.mT).flatten(-2)

    line, flat = GeodesicRegression(manifold).fit(t, x), GeodesicRegression(rg.Flat(1)).fit(t, log(x))
    torch.testing.assert_close(log(line.predict(t)), flat.predict(t), rtol=0, atol=1e-11)
    assert line.r2_ == pytest.approx(flat.r2_, abs=1e-12)


@pytest.mark.parametrize("name", MANIFOLDS)
def test_points_on_a_geodesic_are_recovered(name):
    manifold, t, points, x, v = trend(name, noise=0.0)
    line = GeodesicRegression(manifold).fit(t, points)
    assert line.converged_
    assert line.r2_ == pytest.approx(1, abs=1e-10)
    assert float(manifold.dist(line.intercept_, x).max()) < 1e-8
    assert line.slope_norm_ == pytest.approx(float(manifold.norm(x, v)), rel=1e-8)
    assert float(line.residuals_.max()) < 1e-8
    later = t.mean() + torch.tensor([0.5], dtype=F64)
    assert float(manifold.dist(line.predict(later), manifold.expmap(x, 0.5 * v)).max()) < 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_sphere_reaches_the_minimum_of_brute_force(seed):
    sphere, t, y, *_ = trend("sphere", seed=seed, noise=2.0)
    sphere, y = rg.UnitSphere(1), torch.nn.functional.normalize(y[:, :3], dim=-1)
    y = torch.nn.functional.normalize(y + y.mean(0) * 4, dim=-1)
    w = torch.rand(9, dtype=F64, generator=torch.Generator().manual_seed(seed))
    line = GeodesicRegression(sphere).fit(t, y, weights=w)
    w, t, y = (w / w.sum()).numpy(), t.numpy(), y.numpy()
    s = t - w @ t

    def cost(z):
        x = z[:3] / np.linalg.norm(z[:3])
        v = z[3:] - z[3:] @ x * x
        speed = np.linalg.norm(v) + 1e-300
        on = np.cos(s * speed)[:, None] * x + np.sin(s * speed)[:, None] * v / speed
        return w @ np.arccos(np.clip((on * y).sum(1), -1, 1)) ** 2

    generator = np.random.default_rng(seed)
    starts = [np.concatenate([y[i], 0.3 * generator.standard_normal(3)]) for i in range(9)]
    best = min((minimize(cost, z, tol=1e-14) for z in starts), key=lambda r: r.fun)
    assert w @ line.residuals_.numpy() ** 2 == pytest.approx(best.fun, rel=1e-9)
    found = best.x[:3] / np.linalg.norm(best.x[:3])
    np.testing.assert_allclose(line.intercept_, found, atol=1e-5)


@pytest.mark.parametrize("name", MANIFOLDS)
def test_residual_variance_is_stationary_along_geodesics(name):
    manifold, t, points, *_ = trend(name)
    weights = torch.rand(9, dtype=F64, generator=torch.Generator().manual_seed(3))
    weights = weights / weights.sum()
    line = GeodesicRegression(manifold).fit(t, points, weights=weights)
    assert line.converged_
    assert 0 <= line.r2_ <= 1
    x, v, s = line.intercept_, line.slope_, t - float(weights @ t)
    least = variance_around(manifold, x, v, s, points, weights)
    assert least == pytest.approx((1 - line.r2_) * line.variance_, rel=1e-9)
    generator = torch.Generator().manual_seed(4)
    for _ in range(6):
        a, b = manifold.proju(x, torch.randn(2, *x.shape, dtype=F64, generator=generator))
        a, b = (u / manifold.norm(x, u) * line.variance_**0.5 for u in (a, b))

        def moved(h, a=a, b=b):
            end = manifold.expmap(x, h * a)
            carried = manifold.transp(x, end, v + h * b)
            return variance_around(manifold, end, carried, s, points, weights)

        h = 1e-4
        slope = (moved(h) - moved(-h)) / (2 * h)
        bend = (moved(h) + moved(-h) - 2 * least) / h**2
        assert abs(slope) < 1e-7 * line.variance_
        assert bend > 0


def test_gradient_norm_is_that_of_finite_differences():
    manifold, t, points, *_ = trend("affine_invariant")
    with pytest.warns(rg.ConvergenceWarning, match="GeodesicRegression stopped after 0 iterations"):
        line = GeodesicRegression(manifold, max_iter=0).fit(t, points)
    # Ends one standard deviation before and after, moved along an orthonormal basis each.
    s = (t - t.mean()) / t.std(correction=0)
    ends = [line.predict(t.mean()[None] + k * t.std(correction=0))[0] for k in (-1, 1)]
    total, h = 0.0, 1e-4
    for which in (0, 1):
        root = torch.linalg.cholesky(ends[which])
        for i, j in zip(*np.triu_indices(4), strict=True):
            e = torch.zeros(4, 4, dtype=F64)
            e[i, j] = e[j, i] = 1.0 if i == j else 0.5**0.5
            u = root @ e @ root.mT
            values = []
            for k in (-h, h):
                a, b = (manifold.expmap(x, k * u) if i == which else x for i, x in enumerate(ends))
                on = manifold.expmap(a, ((1 + s) / 2)[:, None, None] * manifold.logmap(a, b))
                values.append(float(manifold.dist(on, points).square().mean()))
            total += ((values[1] - values[0]) / (2 * h)) ** 2
    assert line.gradient_norm_ == pytest.approx(total**0.5, rel=1e-6)


def test_affine_invariant_regression_follows_congruences():
    manifold, t, x, *_ = trend("affine_invariant")
    g = torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(5))
    line, moved = (GeodesicRegression(manifold).fit(t, y) for y in (x, g @ x @ g.mT))
    assert moved.r2_ == pytest.approx(line.r2_, abs=1e-12)
    torch.testing.assert_close(moved.slope_, g @ line.slope_ @ g.mT, rtol=0, atol=1e-7)


def test_unit_of_the_covariate_does_not_matter():
    manifold, t, x, *_ = trend("size_and_shape")
    line, other = GeodesicRegression(manifold).fit(t, x), GeodesicRegression(manifold).fit(1e6 - 1e3 * t, x)
    assert other.r2_ == pytest.approx(line.r2_, abs=1e-10)
    assert other.slope_norm_ * 1e3 == pytest.approx(line.slope_norm_, rel=1e-6)


def test_large_points_on_a_sphere_are_fitted_in_their_span():
    sphere, t, x, *_ = trend("angular_cka")
    q, _ = torch.linalg.qr(torch.randn(64, 9, dtype=F64, generator=torch.Generator().manual_seed(2)))
    coordinates = torch.linalg.qr(x.flatten(1).mT)[1].mT  # 9 points in 9 dimensions: not reduced further
    small = GeodesicRegression(rg.UnitSphere(1)).fit(t, coordinates)
    large = GeodesicRegression(sphere).fit(t, x)
    assert large.r2_ == pytest.approx(small.r2_, abs=1e-13)
    assert large.slope_norm_ == pytest.approx(small.slope_norm_, rel=1e-10)
    assert sphere.check_vector_on_tangent(large.intercept_, large.slope_)
    turned = GeodesicRegression(rg.UnitSphere(1)).fit(t, coordinates @ q.mT)
    torch.testing.assert_close(turned.slope_, q @ small.slope_, rtol=0, atol=1e-9)


# ---------------------------------------------------------------------- permutation test


def test_pvalues_are_uniform_where_there_is_no_relation():
    generator = torch.Generator().manual_seed(0)
    line, values = GeodesicRegression(rg.Flat(1)), []
    for _ in range(300):
        t, y = torch.randn(10, generator=generator), torch.randn(10, 3, generator=generator)
        values.append(line.permutation_test(t, y, n_permutations=199, seed=generator).pvalue)
    # 1.63 / sqrt(300) = 0.094 is exceeded once in a hundred times.
    assert kstest(values, "uniform").statistic < 0.094


def test_pvalues_are_small_where_there_is_a_relation():
    for name in ("sphere", "size_and_shape", "affine_invariant"):
        manifold, t, x, *_ = trend(name, noise=0.3)
        result = GeodesicRegression(manifold).permutation_test(t, x, n_permutations=99)
        assert result.pvalue == 0.01
        assert result.statistic == pytest.approx(GeodesicRegression(manifold).fit(t, x).r2_, abs=1e-9)


@pytest.mark.parametrize("name", ["flat", "angular_cka", "scaled", "angular_shape", "bures_wasserstein"])
def test_null_holds_the_r2_of_permuted_data(name):
    manifold, t, x, *_ = trend(name, n=4)
    weights = torch.tensor([1.0, 2.0, 1.0, 3.0], dtype=F64)
    result = GeodesicRegression(manifold).permutation_test(t, x, weights=weights)
    assert result.null.shape == (24,)
    assert result.standard_error == 0
    swapped = GeodesicRegression(manifold).fit(t[[0, 1, 3, 2]], x, weights=weights)
    assert float(result.null[1]) == pytest.approx(swapped.r2_, abs=1e-9)
    assert result.pvalue == float((result.null >= result.statistic - 1e-10).double().mean())


def test_seed_decides():
    manifold, t, x, *_ = trend("sphere")
    line = GeodesicRegression(manifold)
    one, same, other = (line.permutation_test(t, x, n_permutations=19, seed=k).null for k in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# ---------------------------------------------------------------------- degenerate


@pytest.mark.parametrize("name", MANIFOLDS)
def test_two_points_are_joined_and_equal_points_have_no_slope(name):
    manifold, _, x, *_ = trend(name)
    line = GeodesicRegression(manifold).fit([1.0, 3.0], x[:2])
    assert line.r2_ == pytest.approx(1, abs=1e-12)
    assert line.slope_norm_ == pytest.approx(float(manifold.dist(x[0], x[1])) / 2, rel=1e-9)
    same = GeodesicRegression(manifold).fit([1.0, 2.0, 4.0], x[:1].expand(3, *x.shape[1:]))
    assert same.r2_ == 0
    assert same.slope_norm_ < 1e-12
    assert float(same.residuals_.max()) < 1e-7
    assert GeodesicRegression(manifold).permutation_test([1, 2, 4], x[:1].expand(3, *x.shape[1:])).pvalue == 1


def test_antipodal_points_warn():
    x = torch.tensor([[1.0, 0, 0], [-1, 0, 0]], dtype=F64)
    with pytest.warns(rg.CutLocusWarning):
        line = GeodesicRegression(rg.UnitSphere(1)).fit([0.0, 1.0], x)
    assert line.slope_norm_ == pytest.approx(torch.pi)
    assert line.r2_ == pytest.approx(1)


def test_points_without_weight_have_no_say_but_a_residual():
    manifold, t, x, *_ = trend("sphere")
    weights = torch.ones(9, dtype=F64).index_fill(0, torch.tensor(8), 0.0)
    x[8] = -x[0]
    line, without = (
        GeodesicRegression(manifold).fit(t, x, weights=weights),
        GeodesicRegression(manifold).fit(t[:8], x[:8]),
    )
    torch.testing.assert_close(line.slope_, without.slope_, rtol=0, atol=1e-12)
    assert line.residuals_.shape == (9,)


def test_wrong_inputs_are_refused():
    manifold, t, x, *_ = trend("sphere")
    line = GeodesicRegression(manifold)
    with pytest.raises(ValueError, match="covariate must not be constant, got 2 for all points"):
        line.fit(torch.full((9,), 2.0), x)
    with pytest.raises(
        rg.ShapeError, match=r"got 8 values and 9 points. The order is fit\(covariate, points\)"
    ):
        line.fit(t[:8], x)
    with pytest.raises(rg.ShapeError, match="covariate must be real numbers of shape"):
        line.fit(x, x)
    with pytest.raises(ValueError, match="covariate must be finite"):
        line.fit(t.index_fill(0, torch.tensor(2), torch.nan), x)
    with pytest.raises(ValueError, match="nan or infinity in point 2"):
        line.fit(t, x.index_fill(0, torch.tensor(2), torch.nan))
    with pytest.raises(rg.ShapeError, match="at least 2 points are needed"):
        line.fit(t[:1], x[:1])
    with pytest.raises(ValueError, match="n_permutations must be a whole number"):
        line.permutation_test(t, x, n_permutations=0)
    with pytest.raises(ValueError, match="max_iter must be a whole number"):
        GeodesicRegression(manifold, max_iter=-1).fit(t, x)
    with pytest.raises(ValueError, match="tol must be positive"):
        GeodesicRegression(manifold, tol=0.0).fit(t, x)


def test_float32_agrees_with_float64():
    for name in ("angular_cka", "size_and_shape", "affine_invariant"):
        manifold, t, x, *_ = trend(name)
        single, double = (
            GeodesicRegression(manifold).fit(t.float(), x.float()),
            GeodesicRegression(manifold).fit(t, x),
        )
        assert single.intercept_.dtype == torch.float32
        assert single.converged_
        assert single.r2_ == pytest.approx(double.r2_, abs=1e-5)


def test_manners_of_scikit_learn(tmp_path):
    manifold, t, x, *_ = trend("size_and_shape")
    before = x.clone()
    line = clone(GeodesicRegression(manifold, max_iter=50)).fit(t.numpy(), x.numpy())
    assert torch.equal(x, before)
    assert isinstance(line.predict(t.numpy()), np.ndarray)
    line.save(tmp_path / "line.npz")
    again = GeodesicRegression.load(tmp_path / "line.npz", manifold)
    torch.testing.assert_close(again.predict(t), line.predict(t), rtol=0, atol=0)
