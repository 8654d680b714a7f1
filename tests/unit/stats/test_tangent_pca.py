"""Tangent PCA against scikit-learn, matrix logarithms, congruences and inner products."""

import geoopt
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

import repsim_geo as rg
from repsim_geo.stats.tangent_pca import TangentPCA

F64 = torch.float64
MANIFOLDS = {
    "flat": (lambda: rg.Flat(2, weight=3.0), (3, 2), 1.0),
    "sphere": (lambda: rg.UnitSphere(1), (4,), 0.4),
    "angular_cka": (rg.AngularCKA, (8, 8), 0.1),
    "size_and_shape": (rg.SizeAndShape, (7, 3), 0.06),
    "angular_shape": (rg.AngularShape, (7, 3), 0.1),
    "grassmannian": (rg.Grassmannian, (7, 3), 0.2),
    "affine_invariant": (rg.AffineInvariantSPD, (4, 4), 0.3),
    "log_euclidean": (rg.LogEuclideanSPD, (4, 4), 0.3),
    "bures_wasserstein": (rg.BuresWassersteinSPD, (4, 4), 0.2),
    "scaled": (lambda: geoopt.Scaled(rg.UnitSphere(1), 2.0), (4,), 0.4),
    "poincare_ball": (geoopt.PoincareBall, (3,), 0.2),
}


def population(name, n=9, seed=0):
    make, point, spread = MANIFOLDS[name]
    manifold, generator = make(), torch.Generator().manual_seed(seed)
    x = torch.randn(*point, dtype=F64, generator=generator)
    if "spd" in repr(manifold).lower():
        x = x @ x.mT + torch.eye(len(x), dtype=F64)
    center = manifold.projx(0.3 * x)
    u = manifold.proju(center, torch.randn(n, *point, dtype=F64, generator=generator))
    return manifold, manifold.projx(manifold.expmap(center, spread * u)).as_subclass(torch.Tensor)


def gram(manifold, x, u):
    return torch.stack([torch.stack([manifold.inner(x, a, b).reshape(()) for b in u]) for a in u])


@pytest.mark.parametrize("name", MANIFOLDS)
def test_components_are_an_orthonormal_basis_of_the_logarithms(name):
    manifold, x = population(name)
    pca = TangentPCA(manifold).fit(x)
    k = pca.n_components_
    torch.testing.assert_close(
        gram(manifold, pca.mean_, pca.components_), torch.eye(k, dtype=F64), atol=1e-12, rtol=0
    )
    scores = pca.transform(x)
    torch.testing.assert_close(scores.T @ scores / len(x), pca.explained_variance_.diag(), atol=1e-12, rtol=0)
    assert float(pca.explained_variance_ratio_.sum()) == pytest.approx(1, abs=1e-12)
    assert pca.tangent_variance_ == pytest.approx(pca.variance_, rel=1e-9)
    assert float(manifold.dist(pca.inverse_transform(scores), x).max()) < 1e-9


@pytest.mark.parametrize("weighted", [False, True])
def test_flat_is_ordinary_pca(weighted):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 4, dtype=F64, generator=generator) * torch.tensor([3.0, 2.0, 1.0, 1e-3], dtype=F64)
    counts = torch.arange(20) % 3 + 1 if weighted else torch.ones(20, dtype=torch.long)
    reference = PCA(svd_solver="full").fit(x.repeat_interleave(counts, 0).numpy())
    pca = TangentPCA(rg.Flat(1)).fit(x, weights=counts)
    total = int(counts.sum())
    np.testing.assert_allclose(pca.mean_, reference.mean_, atol=1e-13)
    np.testing.assert_allclose(
        pca.explained_variance_, reference.explained_variance_ * (total - 1) / total, rtol=1e-9
    )
    np.testing.assert_allclose(pca.explained_variance_ratio_, reference.explained_variance_ratio_, rtol=1e-9)
    signs = np.sign((pca.components_.numpy() * reference.components_).sum(1, keepdims=True))
    np.testing.assert_allclose(pca.components_, signs * reference.components_, atol=1e-12)
    np.testing.assert_allclose(pca.transform(x), signs[:, 0] * reference.transform(x.numpy()), atol=1e-12)
    assert pca.missed_ == pytest.approx(0, abs=1e-14)


def test_log_euclidean_is_pca_of_matrix_logarithms():
    manifold, x = population("log_euclidean")
    values, basis = torch.linalg.eigh(x)
    logs = ((basis * values.log()[:, None]) @ basis.mT).flatten(1)
    reference = TangentPCA(rg.Flat(1)).fit(logs)
    pca = TangentPCA(manifold).fit(x)
    torch.testing.assert_close(pca.explained_variance_, reference.explained_variance_, rtol=1e-11, atol=0)
    torch.testing.assert_close(pca.transform(x), reference.transform(logs), rtol=0, atol=1e-11)


def test_affine_invariant_pca_follows_congruences():
    manifold, x = population("affine_invariant")
    g = torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(5))
    pca, moved = TangentPCA(manifold, 4).fit(x), TangentPCA(manifold, 4).fit(g @ x @ g.mT)
    torch.testing.assert_close(moved.transform(g @ x @ g.mT), pca.transform(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(moved.components_, g @ pca.components_ @ g.mT, rtol=0, atol=1e-9)


def test_components_do_not_depend_on_the_representative_of_a_shape():
    manifold, x = population("size_and_shape")
    q, _ = torch.linalg.qr(torch.randn(9, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(5)))
    pca, turned = TangentPCA(manifold, 3).fit(x), TangentPCA(manifold, 3).fit(x @ q)
    torch.testing.assert_close(turned.transform(x), pca.transform(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", MANIFOLDS)
def test_missed_compares_pairs_on_the_manifold_and_in_the_tangent_space(name):
    manifold, x = population(name)
    pca = TangentPCA(manifold).fit(x)
    apart = sum(float(manifold.dist(a, b)) ** 2 for a in x for b in x)
    scores = pca.transform(x)
    seen = float((scores[:, None] - scores[None]).square().sum())
    assert pca.missed_ == pytest.approx(1 - seen / apart, abs=1e-10)
    if name in ("flat", "log_euclidean"):
        assert pca.missed_ == pytest.approx(0, abs=1e-12)
    elif name in ("affine_invariant", "poincare_ball"):
        assert pca.missed_ > 1e-3  # negative curvature
    else:
        assert pca.missed_ < -1e-3  # positive curvature
    assert np.isnan(TangentPCA(manifold, assessed=False).fit(x).missed_)


def test_walk_is_the_geodesic_through_the_mean_in_standard_deviations():
    manifold, x = population("sphere")
    pca = TangentPCA(manifold).fit(x)
    times = torch.tensor([-1.0, 0.0, 2.0], dtype=F64)
    points = pca.walk(0, times)
    deviation = float(pca.explained_variance_[0].sqrt())
    expected = [deviation, 0.0, 2 * deviation]
    np.testing.assert_allclose(manifold.dist(pca.mean_, points), expected, atol=1e-10)
    assert float(manifold.dist(points[0], points[2])) == pytest.approx(3 * deviation, abs=1e-10)
    with pytest.raises(ValueError, match=r"component must be a whole number from 0 to 2, got 3"):
        pca.walk(3, times)


def test_a_given_mean_is_a_base_point_and_logarithms_are_centered():
    flat, x = population("flat")
    here, there = TangentPCA(flat).fit(x), TangentPCA(flat, mean=x[0].numpy()).fit(x)
    torch.testing.assert_close(there.transform(x), here.transform(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(there.mean_ + there.center_, here.mean_, rtol=0, atol=1e-12)
    spd, x = population("affine_invariant")
    at_one = TangentPCA(spd, mean=torch.eye(4, dtype=F64)).fit(x)
    values, basis = torch.linalg.eigh(x)
    logs = ((basis * values.log()[:, None]) @ basis.mT).flatten(1)
    torch.testing.assert_close(
        at_one.transform(x), TangentPCA(rg.Flat(1)).fit(logs).transform(logs), rtol=0, atol=1e-11
    )
    assert float(spd.dist(at_one.inverse_transform(at_one.transform(x)), x).max()) < 1e-10
    with pytest.raises(rg.ShapeError, match=r"mean must be a point of shape \(4, 4\)"):
        TangentPCA(spd, mean=torch.eye(3)).fit(x)


def test_number_of_components():
    manifold, x = population("angular_cka")
    full = TangentPCA(manifold).fit(x)
    assert full.n_components_ == 8
    assert TangentPCA(manifold, 3).fit(x).n_components_ == 3
    share = TangentPCA(manifold, 0.6).fit(x)
    ratios = full.explained_variance_ratio_.cumsum(0)
    assert ratios[share.n_components_ - 1] > 0.6 >= ratios[share.n_components_ - 2]
    assert PCA(0.6).fit(full.transform(x).numpy()).n_components_ == share.n_components_
    for wrong in (0, 9, 1.5, -0.1, True, "mle"):
        with pytest.raises(ValueError, match="n_components must be a whole number from 1 to 8"):
            TangentPCA(manifold, wrong).fit(x)


def test_components_of_rounding_are_cut():
    for name, _ in MANIFOLDS.items():
        manifold, x = population(name)
        line = manifold.projx(
            manifold.expmap(
                x[0],
                torch.linspace(0, 1, 7, dtype=F64).reshape(-1, *[1] * manifold.ndim)
                * manifold.logmap(x[0], x[1]),
            )
        )
        assert TangentPCA(manifold).fit(line).n_components_ == 1
        same = TangentPCA(manifold).fit(x[:1].expand_as(x))
        assert same.n_components_ == 0
        assert same.missed_ == 0
        assert same.transform(x).shape == (9, 0)
        assert same.inverse_transform(same.transform(x)).shape == x.shape


def test_points_without_weight_have_no_say():
    manifold, x = population("sphere")
    weights = torch.tensor([1.0, 2, 1, 3, 1, 1, 1, 1, 0], dtype=F64)
    x[8] = -x[0]
    pca, without = (
        TangentPCA(manifold).fit(x, weights=weights),
        TangentPCA(manifold).fit(x[:8], weights=weights[:8]),
    )
    torch.testing.assert_close(pca.components_, without.components_, rtol=0, atol=1e-12)


def test_two_points_give_their_geodesic():
    manifold, x = population("size_and_shape", n=2)
    pca = TangentPCA(manifold).fit(x)
    distance = float(manifold.dist(x[0], x[1]))
    np.testing.assert_allclose(pca.transform(x), [[distance / 2], [-distance / 2]], atol=1e-10)


def test_antipodal_points_warn():
    x = torch.tensor([[1.0, 0, 0], [-1, 0, 0]], dtype=F64)
    with (
        pytest.warns(rg.CutLocusWarning, match="logmap of antipodal points"),
        pytest.warns(rg.CutLocusWarning, match="points 0 and 1 are as far apart as the manifold allows"),
    ):
        pca = TangentPCA(rg.UnitSphere(1)).fit(x)
    np.testing.assert_allclose(pca.explained_variance_, [(torch.pi / 2) ** 2])


def test_wrong_inputs_are_refused():
    manifold, x = population("sphere")
    with pytest.raises(rg.ShapeError, match="at least 2 points are needed, got 1"):
        TangentPCA(manifold).fit(x[:1])
    with pytest.raises(ValueError, match="nan or infinity in point 3"):
        TangentPCA(manifold).fit(x.index_fill(0, torch.tensor(3), torch.nan))
    pca = TangentPCA(manifold).fit(x)
    with pytest.raises(rg.ShapeError, match=r"scores must have shape \(q, 3\)"):
        pca.inverse_transform(torch.zeros(2, 4))
    with pytest.raises(rg.ShapeError, match="points must have the shape of those that were fitted"):
        pca.transform(torch.eye(3, dtype=F64))


def test_float32_agrees_with_float64():
    manifold, x = population("angular_cka")
    single, double = TangentPCA(manifold, 3).fit(x.float()), TangentPCA(manifold, 3).fit(x)
    assert single.components_.dtype == torch.float32
    torch.testing.assert_close(single.transform(x.float()).double(), double.transform(x), rtol=0, atol=1e-5)


def test_manners_of_scikit_learn(tmp_path):
    manifold, x = population("size_and_shape")
    before = x.clone()
    pca = TangentPCA(manifold, 2)
    scores = clone(pca).fit_transform(x.numpy())
    assert isinstance(scores, np.ndarray)
    assert torch.equal(x, before)
    assert isinstance(pca.fit(x).inverse_transform(scores), np.ndarray)
    target = scores @ [1.0, 2.0]
    fitted = make_pipeline(pca, LinearRegression()).fit(x.numpy(), target)
    np.testing.assert_allclose(fitted.predict(x.numpy()), target, atol=1e-12)
    pca.save(tmp_path / "pca.npz")
    again = TangentPCA.load(tmp_path / "pca.npz", manifold)
    torch.testing.assert_close(again.transform(x), pca.transform(x), rtol=0, atol=0)
