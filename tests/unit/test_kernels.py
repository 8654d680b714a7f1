"""Kernels: formulas, claims, digits, derivatives, composition, length scales."""

import copy
import math
import pickle

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch.func import functional_call

from repsim_geo.embeddings.gram import UnitGram
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.invariances import ALL
from repsim_geo.kernels.arc_cosine import ArcCosine
from repsim_geo.kernels.base import Kernel, Product, Sum, Weighted
from repsim_geo.kernels.laplace import Laplace
from repsim_geo.kernels.length_scales import Fixed, Mean, Median, Quantile, as_length_scale
from repsim_geo.kernels.linear import Linear
from repsim_geo.kernels.polynomial import Polynomial
from repsim_geo.kernels.rbf import RBF
from repsim_geo.numerics.centering import center_doubly
from repsim_geo.numerics.subspaces import DoubleCentered

LEAVES = {
    "linear": Linear,
    "rbf": RBF,
    "rbf_fixed": lambda: RBF(1.7),
    "rbf_mean_learnable": lambda: RBF("0.5*mean", learnable=True),
    "laplace": Laplace,
    "laplace_fixed_learnable": lambda: Laplace(2.0, learnable=True),
    "arc_cosine_0": lambda: ArcCosine(0),
    "arc_cosine_1": ArcCosine,
    "arc_cosine_2": lambda: ArcCosine(2),
    "quadratic": Polynomial,
    "cubic": lambda: Polynomial(3, gamma=0.5),
    "quadratic_with_constant": lambda: Polynomial(2, constant=1.0),
    "affine": lambda: Polynomial(1, constant=1.0),
}
COMPOSITIONS = {
    "weighted_rbf": lambda: 0.5 * RBF(),
    "learnable_weight": lambda: Weighted(Linear(), 3.0, learnable=True),
    "rbf_plus_laplace": lambda: 0.5 * RBF() + Laplace("quantile(0.3)"),
    "rbf_plus_fixed": lambda: RBF() + Laplace(1.0),
    "rbf_plus_linear": lambda: 0.5 * RBF() + Linear(),
    "linear_plus_linear": lambda: Linear() + 2 * Linear(),
    "linear_plus_affine": lambda: Linear() + Polynomial(1, constant=1.0),
    "linear_plus_quadratic": lambda: Linear() + Polynomial(),
    "same_degree": lambda: ArcCosine(2) + Polynomial(),
    "linear_times_linear": lambda: Linear() * Linear(),
    "linear_times_rbf": lambda: Linear() * RBF(),
    "rbf_times_laplace": lambda: RBF() * Laplace("mean"),
    "rbf_times_fixed": lambda: RBF() * RBF(2.0),
    "affine_times_rbf": lambda: Polynomial(1, constant=1.0) * RBF(),
    "nested": lambda: (RBF() + Laplace()) * (2 * ArcCosine(1)) * ArcCosine(0) + Linear() * RBF(),
}
KERNELS = LEAVES | COMPOSITIONS
every_kernel = pytest.mark.parametrize("name", KERNELS)


def draw(*shape, generator):
    return torch.randn(shape, dtype=torch.float64, generator=generator)


# --- claims ------------------------------------------------------------------------------------------------


def unit_centered(kernel, x):
    a = center_doubly(kernel(x))
    return a / a.norm()


def relative_distances(kernel, x):
    d = kernel.distances(x)
    return d, d.max()


@every_kernel
@pytest.mark.parametrize("invariance", ALL, ids=str)
def test_claimed_invariances_hold_and_others_do_not(name, invariance, generator):
    kernel = KERNELS[name]().double()
    x = draw(9, 4, generator=generator) + 0.3
    moved = [invariance.sample(x, generator) for _ in range(3)]
    with torch.no_grad():
        gram = max(float((unit_centered(kernel, x) - unit_centered(kernel, y)).abs().max()) for y in moved)
        d = kernel.distances(x)
        distance = max(float((d - kernel.distances(y)).abs().max() / d.max()) for y in moved)
    # Rounding is below 1e-13; what is noticed shows in the third digit of some entry of some sample.
    assert gram < 1e-11 if invariance in kernel.invariances else gram > 1e-4
    assert distance < 1e-11 if invariance in kernel.distance_invariances else distance > 1e-4


@every_kernel
def test_degree_is_the_power_of_the_scale(name, generator):
    kernel = KERNELS[name]().double()
    x = draw(6, 3, generator=generator)
    with torch.no_grad():
        for facts, f in ((kernel.facts, kernel), (kernel.distance_facts, kernel.squared_distances)):
            if facts.degree is not None:
                np.testing.assert_allclose(f(3 * x), 3**facts.degree * f(x), rtol=1e-12, atol=1e-12)


@every_kernel
def test_the_embedding_centers_and_scales_only_what_the_kernel_does_not_see(name, generator):
    kernel = KERNELS[name]().double()
    x = 3 * draw(8, 3, generator=generator) + 1
    with torch.no_grad():
        point = UnitGram(kernel, DoubleCentered())(x)
        np.testing.assert_allclose(point, unit_centered(kernel, x), atol=1e-13)


@pytest.mark.parametrize(
    ("kernel", "unit"),
    [
        (Linear(), "same unit as the activations"),
        (RBF(2.0), "dimensionless"),
        (0.5 * Linear() + Linear(), "same unit as the activations"),
        (Linear() * Linear(), "unit of the activations to the power 2"),
        (Linear() * RBF(2.0), "same unit as the activations"),
        (Linear() + RBF(), "mixed powers of the unit of the activations"),
        (Polynomial(2, constant=1.0), "mixed powers of the unit of the activations"),
        (Polynomial(1, constant=1.0), "same unit as the activations"),
        (ArcCosine(0), "dimensionless"),
    ],
    ids=repr,
)
def test_units_of_distances(kernel, unit):
    assert kernel.unit == unit


# --- formulas ----------------------------------------------------------------------------------------------


def test_laplace_is_that_of_the_loops(generator):
    x = draw(5, 3, generator=generator)
    expected = [[math.exp(-math.dist(a, b) / 1.3) for b in x.tolist()] for a in x.tolist()]
    np.testing.assert_allclose(Laplace(1.3)(x), expected, rtol=1e-14)


def test_polynomial_is_that_of_the_loops(generator):
    x = draw(5, 3, generator=generator)
    expected = [[(0.5 * sum(a * b) + 2) ** 3 for b in x.numpy()] for a in x.numpy()]
    np.testing.assert_allclose(Polynomial(3, constant=2.0, gamma=0.5)(x), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_arc_cosine_is_the_mean_over_random_units(order):
    # In the plane of two inputs w = r (cos t, sin t) with t uniform and E r**(2n) = 2**n n!.
    moment = 2**order * math.factorial(order)
    for theta in (0.0, 0.1, 1.0, math.pi / 2, 2.5, math.pi):
        low, high = theta - math.pi / 2, math.pi / 2  # where both units are active
        integral = quad(lambda t, a=theta: (math.cos(t) * math.cos(t - a)) ** order, low, high)[0]
        expected = 2 * moment * 2**order * 3**order * integral / (2 * math.pi)
        rows = torch.tensor([[2.0, 0.0], [3 * math.cos(theta), 3 * math.sin(theta)]], dtype=torch.float64)
        assert float(ArcCosine(order)(rows)[0, 1]) == pytest.approx(expected, abs=1e-12)


@every_kernel
def test_gram_matrices_are_positive_semidefinite_and_batched(name, generator):
    kernel = KERNELS[name]().double()
    x = draw(2, 3, 7, 4, generator=generator)
    with torch.no_grad():
        k = kernel(x)
        assert k.shape == (2, 3, 7, 7)
        eigenvalues = torch.linalg.eigvalsh(k)
        assert bool((eigenvalues >= -1e-13 * eigenvalues[..., -1:]).all())
        np.testing.assert_allclose(k[1, 2], kernel(x[1, 2]), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(kernel.distances(x)[1, 2], kernel.distances(x[1, 2]), atol=1e-12)


@every_kernel
def test_distances_are_those_of_the_gram_matrix(name, generator):
    kernel = KERNELS[name]().double()
    x = draw(6, 4, generator=generator)
    with torch.no_grad():
        k = kernel(x)
        naive = k.diagonal()[:, None] + k.diagonal()[None] - 2 * k
        np.testing.assert_allclose(kernel.squared_distances(x), naive, atol=1e-12 * float(k.max()))
        assert not kernel.distances(x).diagonal().any()


@every_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_that_of_the_activations(name, dtype, generator):
    kernel = KERNELS[name]()
    x = draw(6, 4, generator=generator).to(dtype)
    with torch.no_grad():
        assert kernel(x).dtype == dtype
        assert kernel.distances(x).dtype == dtype


# --- digits ------------------------------------------------------------------------------------------------


def exact_distance(name, x, y):
    """Distance in feature space of two float rows, with sixty digits."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(v) for v in row] for row in (x, y))
        xx, yy, xy = mpmath.fdot(x, x), mpmath.fdot(y, y), mpmath.fdot(x, y)
        d2 = xx + yy - 2 * xy

        def arc(a, b, c, n):
            angle = mpmath.acos(min(mpmath.mpf(1), c / mpmath.sqrt(a * b)))
            s, o = mpmath.sin(angle), mpmath.cos(angle)
            j = [
                mpmath.pi - angle,
                s + (mpmath.pi - angle) * o,
                3 * s * o + (mpmath.pi - angle) * (1 + 2 * o * o),
            ]
            return mpmath.sqrt(a * b) ** n * j[n] / mpmath.pi

        k = {
            "rbf_fixed": lambda a, b, c: mpmath.exp(-(a + b - 2 * c) / 2 / mpmath.mpf(1.7) ** 2),
            "quadratic": lambda a, b, c: c**2,
            "cubic": lambda a, b, c: (c / 2) ** 3,
            "quadratic_with_constant": lambda a, b, c: (c + 1) ** 2,
            "arc_cosine_0": lambda a, b, c: arc(a, b, c, 0),
            "arc_cosine_1": lambda a, b, c: arc(a, b, c, 1),
            "arc_cosine_2": lambda a, b, c: arc(a, b, c, 2),
            "linear_times_linear": lambda a, b, c: c**2,
        }[name]
        assert d2 > 0
        return float(mpmath.sqrt(k(xx, xx, xx) + k(yy, yy, yy) - 2 * k(xx, yy, xy)))


@pytest.mark.parametrize(
    "name",
    [
        "rbf_fixed",
        "quadratic",
        "cubic",
        "quadratic_with_constant",
        "linear_times_linear",
        "arc_cosine_0",
        "arc_cosine_1",
        "arc_cosine_2",
    ],
)
@pytest.mark.parametrize("gap", [1e-2, 1e-5, 1e-8])
def test_distances_of_near_inputs_keep_digits(name, gap, generator):
    x = draw(1, 5, generator=generator)
    rows = torch.cat([x, x + gap * draw(1, 5, generator=generator)])
    value = float(KERNELS[name]().distances(rows)[0, 1])
    # Lengths and directions of the rows are rounded to 1e-16, so the digits of a gap of 1e-8 are eight.
    assert value == pytest.approx(exact_distance(name, *rows.tolist()), rel=30 * 1e-16 / gap)


def test_wide_kernels_keep_the_digits_of_distances(generator):
    x = draw(5, 3, generator=generator)
    np.testing.assert_allclose(1e8 * RBF(1e8).distances(x), Linear().distances(x), rtol=1e-12)


# --- derivatives -------------------------------------------------------------------------------------------


@every_kernel
@pytest.mark.parametrize("method", ["forward", "squared_distances"])
def test_derivatives_with_respect_to_activations_and_parameters(name, method, generator):
    kernel = KERNELS[name]().double()
    x = draw(2, 4, 3, generator=generator).requires_grad_()
    names, values = zip(*kernel.named_parameters(), strict=True) if list(kernel.parameters()) else ((), ())

    class Called(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = kernel

        def forward(self, a):
            return getattr(self.kernel, method)(a)

    def f(a, *parameters):
        state = {f"kernel.{n}": p for n, p in zip(names, parameters, strict=True)}
        return functional_call(Called(), state, (a,))

    off = ~torch.eye(4, dtype=torch.bool)
    # Finite differences of the diagonal of a distance are at a kink for order 0 and Laplace.
    assert torch.autograd.gradcheck(lambda *a: f(*a)[..., off], (x, *values))


AWKWARD = torch.tensor(
    [[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0], [2.0, 4.0], [0.0, 0.0], [0.0, 0.0], [3.0, 1.0], [0.5, 0.1]],
    dtype=torch.float64,
)


@every_kernel
@pytest.mark.parametrize("method", ["forward", "squared_distances", "distances"])
def test_gradients_are_finite_at_duplicates_antipodes_and_zero_rows(name, method):
    kernel = KERNELS[name]().double()
    x = AWKWARD.clone() if not needs_directions(name) else AWKWARD[[0, 1, 2, 3, 6, 7]].clone()
    x.requires_grad_()
    value = getattr(kernel, method)(x)
    value.sum().backward()
    assert bool(value.isfinite().all())
    assert bool(x.grad.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in kernel.parameters())


def needs_directions(name):
    return name in ("arc_cosine_0", "nested")


@pytest.mark.parametrize("order", [1, 2])
def test_arc_cosine_of_zero_rows_is_zero(order):
    k = ArcCosine(order)(AWKWARD)
    assert not k[4].any()
    assert not k[:, 4].any()


def test_arc_cosine_of_order_zero_refuses_zero_rows():
    with pytest.raises(DegenerateRepresentationError, match="row 4 is zero"):
        ArcCosine(0)(AWKWARD)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_diagonal_of_the_arc_cosine_kernel_has_the_derivative_of_a_power(order, generator):
    x = draw(4, 3, generator=generator).requires_grad_()
    (gradient,) = torch.autograd.grad(ArcCosine(order)(x).diagonal().sum(), x)
    top = (1, 1, 3)[order]
    squares = x.detach().square().sum(-1, keepdim=True)
    expected = 2 * order * top * squares ** (order - 1) * x.detach()
    np.testing.assert_allclose(gradient, expected, atol=1e-13)


def test_second_derivatives_of_the_rbf_kernel_at_duplicates_are_exact():
    # k = exp(-|x - y|**2 / 2), so d2k / dx dy = 1 where x = y in one dimension, and -1 for dx dx.
    x = torch.zeros(2, 1, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda a: RBF(1.0)(a)[0, 1], x).reshape(2, 2)
    np.testing.assert_allclose(hessian, [[-1, 1], [1, -1]], atol=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8, 1e15])
def test_directions_do_not_depend_on_the_scale_in_float32(scale, generator):
    x = draw(6, 4, generator=generator).float()
    np.testing.assert_allclose(ArcCosine(0)(scale * x), ArcCosine(0)(x), atol=1e-6)


# --- composition -------------------------------------------------------------------------------------------


def test_sums_and_products_are_entrywise(generator):
    x = draw(5, 3, generator=generator)
    a, b, c = RBF(), Linear(), ArcCosine()
    expected = 0.5 * a(x) + b(x) * c(x)
    np.testing.assert_allclose((0.5 * a + b * c)(x), expected, rtol=1e-14)
    np.testing.assert_allclose((b * c + a * 0.5)(x), expected, rtol=1e-14)
    np.testing.assert_allclose(((a + b) * c)(x), (a(x) + b(x)) * c(x), rtol=1e-14)


def test_compositions_print_as_they_are_written():
    kernel = 0.5 * (Linear() + RBF(2.0)) * ArcCosine(2) + Linear()
    assert repr(kernel) == "0.5 * (Linear() + RBF(Fixed(length=2.0))) * ArcCosine(order=2) + Linear()"
    assert len((Linear() + Linear() + Linear()).terms) == 3
    assert len((Linear() * (Linear() * Linear())).factors) == 3


def test_parameters_register_learn_copy_and_pickle(generator):
    kernel = Weighted(RBF(learnable=True), 0.5, learnable=True) + Laplace("mean", learnable=True)
    assert len(list(kernel.parameters())) == 3
    x = draw(6, 3, generator=generator)
    for other in (copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        assert torch.equal(other(x), kernel(x))
        assert repr(other) == repr(kernel)
    optimizer = torch.optim.SGD(kernel.parameters(), lr=0.1)
    before = kernel(x).detach()
    kernel(x).sum().backward()
    optimizer.step()
    assert not torch.equal(kernel(x), before)
    assert kernel.terms[0].weight > 0


def test_a_learnt_factor_multiplies_what_the_rule_says(generator):
    x = draw(6, 3, generator=generator)
    kernel = RBF("median", learnable=True).double()
    assert torch.equal(kernel(x), RBF("median")(x))
    with torch.no_grad():
        kernel.log_factor.fill_(math.log(2))
        np.testing.assert_allclose(kernel(x), RBF("2*median")(x), rtol=1e-14)


def test_kernels_of_users_claim_nothing_and_compose(generator):
    class Cosine(Kernel):
        def forward(self, x):
            u = x / x.norm(dim=-1, keepdim=True)
            return u @ u.mT

    x = draw(5, 3, generator=generator)
    kernel = Cosine() + RBF()
    assert kernel.invariances == frozenset()
    assert kernel.distances(x).shape == (5, 5)
    with pytest.raises(NotImplementedError, match="Kernel.forward"):
        Kernel()(x)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: 0 * RBF(), ValueError, "weight of a kernel must be a positive number"),
        (lambda: -1.0 * RBF(), ValueError, "positive semidefinite"),
        (lambda: RBF() + 1, TypeError, "unsupported operand"),
        (lambda: RBF() * "2", TypeError, "multiply|unsupported"),
        (lambda: Sum([RBF(), 2]), TypeError, "made of kernels"),
        (lambda: Product([]), ValueError, "at least one kernel"),
        (lambda: ArcCosine(3), ValueError, "order must be 0"),
        (lambda: Polynomial(0), ValueError, "positive whole"),
        (lambda: Polynomial(1.5), ValueError, "positive whole"),
        (lambda: Polynomial(2, constant=-1.0), ValueError, "zero or positive"),
        (lambda: Polynomial(2, gamma=0.0), ValueError, "gamma must be positive"),
    ],
)
def test_what_is_no_kernel_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


# --- length scales -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("median", Median()),
        ("0.5*median", Median(0.5)),
        (" 2 * Median ", Median(2.0)),
        ("mean", Mean()),
        ("1e-1*mean", Mean(0.1)),
        ("quantile(0.1)", Quantile(0.1)),
        ("2 * quantile( .25 )", Quantile(0.25, 2.0)),
        ("3.5", Fixed(3.5)),
        (3, Fixed(3.0)),
        (None, Median()),
        (Mean(2.0), Mean(2.0)),
    ],
)
def test_length_scales_are_understood(said, rule):
    assert as_length_scale(said) == rule
    assert RBF(said).length_scale == rule


@pytest.mark.parametrize(
    "said", ["medain", "median*2", "", "2*", "__import__('os')", "2*3.5", "quantile", "nan"]
)
def test_other_descriptions_are_refused_and_the_accepted_ones_listed(said):
    with pytest.raises(ValueError, match=r"length_scale must be a positive number.*quantile\(0.1\).*got"):
        RBF(said)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: RBF(True), TypeError, "Fixed"),
        (lambda: RBF([1.0]), TypeError, "Fixed"),
        (lambda: RBF("-1"), ValueError, "must be positive"),
        (lambda: RBF("0*median"), ValueError, "multiple of the median must be positive"),
        (lambda: Mean(-1.0), ValueError, "multiple of the mean must be positive"),
        (lambda: Fixed(math.inf), ValueError, "must be positive"),
        (lambda: Fixed(math.nan), ValueError, "must be positive"),
        (lambda: Quantile(1.5), ValueError, "between 0 and 1"),
    ],
)
def test_lengths_out_of_range_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("m", [2, 5, 6])
def test_rules_are_those_of_numpy(m, generator):
    x = draw(3, m, 4, generator=generator)
    d = torch.cdist(x, x)
    d = (d + d.mT) / 2
    for i in range(3):
        pairs = d[i].numpy()[np.triu_indices(m, 1)]
        rules = {
            Median(2.0): 2 * np.median(pairs),
            Median(lower=True): np.sort(pairs)[(len(pairs) - 1) // 2],
            Median(with_diagonal=True): np.median(d[i].numpy()),
            Mean(0.5): pairs.mean() / 2,
            Quantile(0.1): np.quantile(pairs, 0.1),
            Quantile(0.0): pairs.min(),
            Quantile(1.0): pairs.max(),
        }
        for rule, expected in rules.items():
            if expected > 0:
                assert float(rule(d)[i] if m > 2 else rule(d[i])) == pytest.approx(expected, rel=1e-14)


def test_lower_median_is_that_of_torch(generator):
    d = Linear().distances(draw(4, 3, generator=generator))  # six pairs
    i, j = torch.triu_indices(4, 4, 1)
    assert Median(lower=True)(d) == d[i, j].median()


def test_convention_of_the_public_demonstration(generator):
    # exp(-d2 / (2 t**2 median(d2))), over all m**2 entries; for odd m the median is one of them.
    x = draw(7, 3, generator=generator)
    d2 = Linear().squared_distances(x).numpy()
    expected = np.exp(-d2 / (2 * 0.4**2 * np.median(d2)))
    np.testing.assert_allclose(RBF(Median(0.4, with_diagonal=True))(x), expected, rtol=1e-12)


def test_length_without_the_half(generator):
    x = draw(7, 3, generator=generator)
    d2 = Linear().squared_distances(x)
    np.testing.assert_allclose(RBF(2.0 / math.sqrt(2))(x), (-d2 / 2.0**2).exp(), rtol=1e-13)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("median", "the median distance between inputs is zero: more than half of all pairs"),
        (Median(lower=True), "median distance between inputs is zero: half of all pairs"),
        (Median(with_diagonal=True), "its diagonal included"),
        ("mean", "the mean distance between inputs is zero: all rows coincide"),
        ("quantile(0.1)", "the quantile distance between inputs is zero: more than a fraction 0.1"),
    ],
)
def test_zero_lengths_are_refused(rule, words):
    with pytest.raises(DegenerateRepresentationError, match=words):
        RBF(rule)(torch.zeros(6, 2))


def test_one_input_has_no_typical_distance():
    with pytest.raises(ShapeError, match="at least 2 inputs"):
        RBF()(torch.zeros(1, 2))
    assert float(RBF(1.0)(torch.zeros(1, 2))) == 1


def test_not_a_number_stays_so_that_line_searches_can_backtrack():
    assert bool(RBF()(torch.full((4, 2), torch.nan)).isnan().all())
