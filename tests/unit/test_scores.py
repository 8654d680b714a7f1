"""Similarity scores against exact fractions, loops, eigenproblems and published numbers."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import oracles
import pytest
import scipy.linalg
import torch

import repsim_geo as rg
from repsim_geo import scores
from repsim_geo.kernels.arc_cosine import ArcCosine
from repsim_geo.kernels.laplace import Laplace
from repsim_geo.kernels.polynomial import Polynomial
from repsim_geo.scores import canonical_correlations, cka, hsic, nbs, pwcca, svcca

X, Y = oracles.golden_pair()
GOLDEN = oracles.GOLDEN

SCORES = {
    "hsic": hsic,
    "hsic_debiased": partial(hsic, debiased=True),
    "hsic_rbf": partial(hsic, kernel=rg.RBF()),
    "cka": cka,
    "cka_debiased": partial(cka, debiased=True),
    "cka_rbf": partial(cka, kernel=rg.RBF()),
    "cka_rbf_debiased": partial(cka, kernel=rg.RBF(), debiased=True),
    "cka_two_kernels": partial(cka, kernel=(None, Laplace())),
    "canonical_correlations": canonical_correlations,
    "svcca": partial(svcca, variance=0.9),
    "pwcca": pwcca,
    "nbs": nbs,
}
every_score = pytest.mark.parametrize("name", SCORES)
KERNELS = [
    None,
    rg.RBF(),
    rg.RBF(2.0),
    Laplace(),
    ArcCosine(),
    Polynomial(2, 1.0),
    0.5 * rg.RBF() + rg.Linear(),
]


def draw(*shape, generator, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=generator)


def integers(m, d, seed):
    return np.random.default_rng(seed).integers(-5, 6, size=(m, d)).astype(float)


# --- published numbers -------------------------------------------------------------------------------------


def test_published_numbers():
    assert float(cka(X, Y)) == pytest.approx(GOLDEN["biased_cka"], abs=1e-12)
    assert float(cka(X, Y, debiased=True)) == pytest.approx(GOLDEN["unbiased_cka"], abs=1e-12)
    correlations = canonical_correlations(X, Y)
    assert float(correlations.mean()) == pytest.approx(GOLDEN["cca_mean_rho"], abs=1e-10)
    assert float(correlations.square().mean()) == pytest.approx(GOLDEN["cca_mean_rho2"], abs=1e-10)
    assert float(svcca(X, Y)) == pytest.approx(GOLDEN["cca_mean_rho"], abs=1e-10)
    assert float(nbs(X, Y)) == pytest.approx(GOLDEN["nbs"], abs=1e-12)
    assert float(pwcca(X, Y)) == pytest.approx(0.7347, abs=5e-5)  # Ding et al. 2021, their code


# --- HSIC and CKA ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("d", "e"), [(2, 3), (5, 2), (9, 3), (12, 20)])
def test_hsic_is_exact(d, e, seed):
    m = 6
    x, y = integers(m, d, seed), integers(m, e, seed + 99)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    exact = oracles.unbiased_hsic_exact(k, l)
    assert float(hsic(x, y, debiased=True)) == pytest.approx(float(exact), rel=1e-12, abs=1e-10)
    center = oracles.as_fractions(np.eye(m)) - Fraction(1, m)
    k, l = oracles.as_fractions(k), oracles.as_fractions(l)  # noqa: E741
    biased = (k @ center @ l @ center).trace() / (m - 1) ** 2
    assert float(hsic(x, y)) == pytest.approx(float(biased), rel=1e-13)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_hsic_of_any_kernel_is_that_of_its_gram_matrix(kernel, generator):
    x, y = draw(7, 3, generator=generator), draw(7, 2, generator=generator)
    k, l = ((kernel or rg.Linear())(t).numpy() for t in (x, y))  # noqa: E741
    h = np.eye(7) - 1 / 7
    assert float(hsic(x, y, kernel)) == pytest.approx(np.trace(k @ h @ l @ h) / 36, rel=1e-12)
    expected = oracles.unbiased_hsic(k, l)
    assert float(hsic(x, y, kernel, debiased=True)) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize(("d", "e"), [(3, 5), (3, 30), (30, 40)])
def test_cka_is_the_cosine_of_the_angle(kernel, debiased, d, e, generator):
    x, y = draw(20, d, generator=generator), draw(20, e, generator=generator)
    angle = float(rg.compare(x, y, rg.AngularCKA(kernel, debiased=debiased)))
    assert float(cka(x, y, kernel, debiased=debiased)) == pytest.approx(math.cos(angle), abs=1e-13)


def test_two_kernels(generator):
    x, y = draw(9, 3, generator=generator), draw(9, 4, generator=generator)
    h = np.eye(9) - 1 / 9
    k, l = h @ rg.RBF()(x).numpy() @ h, h @ (y @ y.mT).numpy() @ h  # noqa: E741
    expected = np.sum(k * l) / np.linalg.norm(k) / np.linalg.norm(l)
    assert float(cka(x, y, (rg.RBF(), None))) == pytest.approx(expected, rel=1e-12)


def test_features_and_gram_matrices_agree(generator, monkeypatch):
    x, y = draw(2, 40, 7, generator=generator) + 1, draw(40, 11, generator=generator)
    fast = [f(x, y, debiased=b) for f in (hsic, cka) for b in (False, True)]
    monkeypatch.setattr(scores, "_by_features", lambda *_: False)
    slow = [f(x, y, debiased=b) for f in (hsic, cka) for b in (False, True)]
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_few_units_need_no_matrix_between_inputs(generator, monkeypatch):
    monkeypatch.setattr(rg.Linear, "squared_distances", None)
    x = draw(30, 4, generator=generator)
    for debiased in (False, True):
        assert float(cka(x, x, debiased=debiased)) == pytest.approx(1)
        assert float(hsic(x, x, debiased=debiased)) > 0


@pytest.mark.parametrize("far", [1e2, 1e5, 1e7])
def test_debiased_cka_with_one_far_input(far):
    # Its row fills the diagonal, which the estimate leaves out; what is left is smaller by far**4.
    x, y = integers(9, 2, 0), integers(9, 3, 1)
    x[0, 0] = far
    k, l = (oracles.as_fractions(t) @ oracles.as_fractions(t).T for t in (x, y))  # noqa: E741
    xy, xx, yy = (oracles.unbiased_hsic(*pair) for pair in ((k, l), (k, k), (l, l)))
    exact = float(xy) / math.sqrt(float(xx) * float(yy))
    assert float(cka(x, y, debiased=True)) == pytest.approx(exact, abs=max(1e-12, 1e-15 * far))


def test_debiased_cka_of_independent_networks_is_zero_on_average(generator):
    pairs = [[draw(20, 1000, generator=generator) for _ in "xy"] for _ in range(20)]
    assert abs(np.mean([float(cka(x, y, debiased=True)) for x, y in pairs])) < 0.05
    assert np.mean([float(cka(x, y)) for x, y in pairs]) > 0.9


def test_wide_kernels_become_linear(generator):
    x, y = draw(12, 3, generator=generator), draw(12, 4, generator=generator)
    for debiased in (False, True):
        wide = cka(x, y, rg.RBF(1e7), debiased=debiased)
        assert float(wide) == pytest.approx(float(cka(x, y, debiased=debiased)), abs=1e-11)


# --- canonical correlations --------------------------------------------------------------------------------


def canonical_by_eigenproblem(x, y):
    """Correlations and variates of x from ``Sxy Syy^-1 Syx a = r**2 Sxx a``."""
    x, y = oracles.center(x), oracles.center(y)
    sxy = x.T @ y
    r2, a = scipy.linalg.eigh(sxy @ np.linalg.solve(y.T @ y, sxy.T), x.T @ x)
    k = min(x.shape[1], y.shape[1])
    return np.sqrt(r2[::-1][:k]), (x @ a)[:, ::-1][:, :k], x


def pwcca_by_eigenproblem(x, y):
    r, h, x = canonical_by_eigenproblem(x, y)
    weights = [sum(abs(h[:, i] @ unit) for unit in x.T) for i in range(len(r))]
    return sum(w * s for w, s in zip(weights, r, strict=True)) / sum(weights)


@pytest.mark.parametrize(("d", "e"), [(1, 1), (3, 5), (5, 3), (4, 4)])
def test_canonical_correlations_solve_the_eigenproblem(d, e, generator):
    x, y = draw(30, d, generator=generator) + 2, draw(30, e, generator=generator)
    y[:, 0] = y[:, 0] + x[:, 0]
    expected, _, _ = canonical_by_eigenproblem(x.numpy(), y.numpy())
    np.testing.assert_allclose(canonical_correlations(x, y), expected, atol=1e-12)
    assert float(svcca(x, y, 1)) == pytest.approx(expected.mean(), abs=1e-12)
    assert float(pwcca(x, y)) == pytest.approx(pwcca_by_eigenproblem(x.numpy(), y.numpy()), abs=1e-11)


def test_truncation_is_of_centered_data(generator):
    x = draw(40, 6, generator=generator) * torch.tensor([9.0, 5, 3, 1, 0.3, 0.1], dtype=torch.float64)
    y = x @ draw(6, 5, generator=generator) + 3 * draw(40, 5, generator=generator)
    expected = []
    for variance in (0.5, 0.9, 0.999):
        parts = []
        for t in (x.numpy(), y.numpy()):
            u, s, _ = np.linalg.svd(oracles.center(t), full_matrices=False)
            share = np.cumsum(s**2) / np.sum(s**2)
            parts.append(u[:, : 1 + int(np.argmax(share >= variance))])
        expected.append(np.linalg.svd(parts[0].T @ parts[1], compute_uv=False).mean())
        assert float(svcca(x + 1e4, y - 1e4, variance)) == pytest.approx(expected[-1], abs=1e-9)
        both = svcca(torch.stack([x, y @ torch.eye(5, 6, dtype=x.dtype)]), y, variance)
        assert float(both[0]) == pytest.approx(expected[-1], abs=1e-12)  # batches truncate one by one
        assert float(both[1]) == pytest.approx(1, abs=1e-12)
    assert len(set(expected)) == 3


def test_linear_maps_go_unnoticed(generator):
    x, y = draw(40, 4, generator=generator), draw(40, 3, generator=generator)
    a, b = draw(4, 4, generator=generator), draw(3, 3, generator=generator)
    expected = canonical_correlations(x, y)
    np.testing.assert_allclose(canonical_correlations(x @ a + 5, y @ b - 1), expected, atol=1e-12)
    assert float(pwcca(x, y @ b - 1)) == pytest.approx(float(pwcca(x, y)), abs=1e-12)
    assert float(pwcca(3 * x - 1, y)) == pytest.approx(float(pwcca(x, y)), abs=1e-12)
    assert abs(float(pwcca(x, y)) - float(pwcca(y, x))) > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_and_dependent_units_add_nothing(dtype, generator):
    x, y = draw(40, 3, generator=generator).to(dtype), draw(40, 4, generator=generator).to(dtype)
    expected = canonical_correlations(x, y)
    mixed = torch.cat([x, torch.ones_like(x[:, :1]), 3 * x[:, :1] - x[:, 1:2]], -1)
    padded = torch.cat([expected, torch.zeros_like(expected[:1])])
    np.testing.assert_allclose(canonical_correlations(mixed, y), padded, atol=1e-5)
    assert float(svcca(mixed, y, 1)) == pytest.approx(float(expected.mean()), abs=1e-5)
    extended = torch.cat([y, y[:, :1]], -1)
    assert float(pwcca(x, extended)) == pytest.approx(float(pwcca(x, y)), abs=1e-5)
    assert float(pwcca(y, mixed)) == pytest.approx(float(pwcca(y, x)), abs=1e-5)


def test_mean_canonical_correlation_is_the_cosine_of_the_whitened_angle(generator):
    x, y = draw(30, 4, generator=generator), draw(30, 4, generator=generator)
    angle = float(rg.compare(x, y, "angular_shape", whiten=1.0))
    assert float(canonical_correlations(x, y).mean()) == pytest.approx(math.cos(angle), abs=1e-12)


@pytest.mark.parametrize("score", [canonical_correlations, pwcca, partial(svcca, variance=1)])
def test_too_few_inputs(score, generator):
    x, y = draw(10, 9, generator=generator), draw(10, 2, generator=generator)
    for pair in ((x, y), (y, x)):
        with pytest.raises(rg.ShapeError, match="got 10 rows and 9"):
            score(*pair)
    with pytest.warns(rg.DegenerateRepresentationWarning, match="at least 1 correlations of 1") as caught:
        value = score(x[:, :5], x[:, 4:] + y[:, :1])
    assert caught[0].filename == __file__ or isinstance(score, partial)
    assert float(value.max()) <= 1 + 1e-12


def test_svcca_of_wide_representations(generator):
    x = draw(20, 2, generator=generator) @ draw(2, 50, generator=generator)
    x = x + 1e-3 * draw(20, 50, generator=generator)
    y = x @ torch.linalg.qr(draw(50, 50, generator=generator)).Q
    assert float(svcca(x, y)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("variance", [0, 1.5, "0.99", -0.5])
def test_share_of_variance(variance):
    with pytest.raises(ValueError, match="variance must be a share"):
        svcca(X, Y, variance)


# --- NBS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "e"), [(3, 5), (30, 4), (30, 40)])
def test_nbs_is_the_cosine_of_the_shape_angle(d, e, generator):
    x, y = draw(12, d, generator=generator), draw(12, e, generator=generator)
    assert float(nbs(x, y)) == pytest.approx(math.cos(float(rg.compare(x, y, "angular_shape"))), abs=1e-13)
    # Bures: the trace of the root of K^1/2 L K^1/2.
    k, l = (oracles.center(t.numpy()) @ oracles.center(t.numpy()).T for t in (x, y))  # noqa: E741
    w, v = np.linalg.eigh(k)
    root = (v * np.sqrt(np.clip(w, 0, None))) @ v.T
    eigenvalues = np.clip(np.linalg.eigvalsh(root @ l @ root), 0, None)
    assert float(nbs(x, y)) == pytest.approx(
        np.sqrt(eigenvalues).sum() / math.sqrt(np.trace(k) * np.trace(l)), abs=1e-6
    )


# --- all of them -------------------------------------------------------------------------------------------


@every_score
def test_derivatives(name, generator):
    x = (
        draw(2, 11, 3, generator=generator) * torch.tensor([2.0, 1, 0.1], dtype=torch.float64)
    ).requires_grad_()
    y = (
        draw(11, 4, generator=generator) * torch.tensor([3.0, 1.5, 0.3, 0.1], dtype=torch.float64)
    ).requires_grad_()
    assert torch.autograd.gradcheck(SCORES[name], (x, y))


@every_score
@pytest.mark.parametrize("m", [12, 60])
def test_gradients_at_identical_networks_are_finite_and_zero_where_the_score_is_largest(name, m, generator):
    for dtype in (torch.float32, torch.float64):
        for _ in range(5):
            x = draw(m, 4, generator=generator, dtype=dtype).requires_grad_()
            value = SCORES[name](x, x.detach().clone())
            value.sum().backward()
            if not name.startswith("hsic") and name != "cka_two_kernels":
                np.testing.assert_allclose(value.detach(), 1, rtol=0, atol=10 * torch.finfo(dtype).eps)
                assert float(x.grad.abs().max()) < 100 * torch.finfo(dtype).eps
            assert bool(x.grad.isfinite().all())


@every_score
def test_gradients_with_dead_units_and_duplicated_inputs_are_finite(name, generator):
    x, y = draw(20, 4, generator=generator), draw(20, 4, generator=generator)
    x[:, 1], x[:, 2] = 0.0, x[:, 0]
    x[1], y[1] = x[0], y[0]
    x.requires_grad_()
    y.requires_grad_()
    SCORES[name](x, y).sum().backward()
    assert bool(x.grad.isfinite().all())
    assert bool(y.grad.isfinite().all())


def test_derivatives_along_data_of_lower_rank(generator):
    # A dead unit stays dead: the directions that are there still turn.
    y = draw(12, 3, generator=generator)

    def f(z):
        return canonical_correlations(torch.cat([z, torch.zeros_like(z[:, :1])], -1), y)[:2]

    assert torch.autograd.gradcheck(f, draw(12, 2, generator=generator).requires_grad_())


@every_score
def test_batches_are_separate_and_broadcast(name, generator):
    x, y = draw(3, 20, 4, generator=generator), draw(3, 20, 5, generator=generator)
    both = SCORES[name](x, y)
    for i in range(3):
        np.testing.assert_allclose(both[i], SCORES[name](x[i], y[i]), rtol=1e-12)
    np.testing.assert_allclose(SCORES[name](x, y[0])[2], SCORES[name](x[2], y[0]), rtol=1e-12)


@every_score
def test_float32_keeps_its_digits_far_from_the_origin(name, generator):
    x, y = draw(50, 4, generator=generator) + 1e3, draw(50, 5, generator=generator) - 1e3
    x, y = x.float(), (y + x @ torch.eye(4, 5, dtype=x.dtype)).float()
    value = SCORES[name](x, y)
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value, SCORES[name](x.double(), y.double()), rtol=2e-7)


@pytest.mark.parametrize("name", [name for name in SCORES if not name.startswith("hsic")])
@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e70])
def test_normalized_scores_do_not_see_the_scale(name, scale, generator):
    x, y = draw(20, 3, generator=generator), draw(20, 4, generator=generator)
    np.testing.assert_allclose(SCORES[name](scale * x, y), SCORES[name](x, y), rtol=1e-9)


@every_score
def test_arrays_and_images_go_in(name, generator):
    x = draw(20, 4, generator=generator)
    images = x.reshape(20, 1, 2, 2).numpy()
    np.testing.assert_allclose(SCORES[name](images, x), SCORES[name](x, x), rtol=1e-12)


@every_score
def test_doors(name, generator):
    score = SCORES[name]
    x = draw(20, 4, generator=generator)
    with pytest.raises(rg.ShapeError, match="same inputs"):
        score(x, x[1:])
    with pytest.raises(TypeError, match="one dtype"):
        score(x, x.float())
    with pytest.raises(ValueError, match="x must be finite"):
        score(x / 0, x)
    with pytest.raises(rg.ShapeError, match="needs at least"):
        score(x[:1], x[:1])
    if not name.startswith("hsic"):
        with pytest.raises(rg.DegenerateRepresentationError, match="y is constant"):
            score(x, torch.ones_like(x))


def test_constant_networks_covary_with_nothing():
    x = torch.arange(6.0)[:, None]
    for debiased in (False, True):
        assert float(hsic(x, torch.ones_like(x), debiased=debiased)) == 0


@pytest.mark.parametrize("function", [hsic, cka])
def test_kernels_are_checked(function):
    with pytest.raises(TypeError, match="kernel must be a kernel"):
        function(X, Y, "rbf")
    with pytest.raises(ValueError, match="a pair, got 3"):
        function(X, Y, (None, None, None))
    with pytest.raises(rg.ShapeError, match="at least 4 inputs"):
        function(X[:3], Y[:3], debiased=True)


def test_equidistant_inputs_have_no_debiased_score():
    with pytest.raises(rg.DegenerateRepresentationError, match="equally far"):
        cka(np.eye(6), np.eye(6), debiased=True)
    simplex = np.linalg.svd(oracles.center(np.eye(6)))[0][:, :5]  # five units, six inputs
    for dtype in (np.float32, np.float64):
        with pytest.raises(rg.DegenerateRepresentationError, match="equally far"):
            cka(simplex.astype(dtype), simplex.astype(dtype), debiased=True)
