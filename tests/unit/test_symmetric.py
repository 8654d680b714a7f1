"""Functions of symmetric matrices against 50-digit arithmetic and finite differences."""

import math
import random

import mpmath as mp
import pytest
import torch

from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.symmetric import (
    ARC,
    COS,
    EXP,
    LOG,
    SINC,
    SQRT,
    VERSINC,
    divided_difference,
    finite_cholesky,
    second_divided_difference,
    spectral,
    spectral_derivative,
    spectrum,
)

EXACT = {
    LOG: (mp.log, (1e-6, 1e3)),
    EXP: (mp.exp, (-5, 5)),
    SQRT: (mp.sqrt, (1e-6, 10)),
    COS: (lambda t: mp.cos(mp.sqrt(t)), (0, 30)),
    SINC: (lambda t: mp.sin(mp.sqrt(t)) / mp.sqrt(t) if t else mp.mpf(1), (0, 30)),
    VERSINC: (lambda t: (1 - mp.cos(mp.sqrt(t))) / t if t else mp.mpf(1) / 2, (0, 30)),
    ARC: (lambda c: mp.acos(c) / mp.sqrt(1 - c * c) if c != 1 else mp.mpf(1), (0, 1)),
}
every_function = pytest.mark.parametrize("f", EXACT, ids=str)
SPECTRA = {
    "distinct": [0.2, 0.4, 0.7, 0.95],
    "repeated": [0.3, 0.3, 0.9, 0.9],
    "multiple of the identity": [0.9, 0.9, 0.9, 0.9],
    "nearly repeated": [0.3, 0.3 + 1e-9, 0.9, 0.9 + 1e-5],
}


def triples(f, rng):
    """Arguments at all separations, inside the domain of f."""
    low, high = EXACT[f][1]
    for _ in range(200):
        a = low * (high / low) ** rng.random() if f in (LOG, SQRT) else rng.uniform(low, high)
        size = a if f in (LOG, SQRT) else 3.0

        def beside(a=a, size=size):
            b = a + 10 ** rng.uniform(-9, 0) * size * rng.uniform(-1, 1)
            return min(max(b, low), high)

        b, c = beside(), beside()
        if len({a, b, c}) == 3:
            yield a, b, c


@every_function
def test_divided_differences_at_all_separations(f):
    exact, arguments = EXACT[f][0], list(triples(f, random.Random(0)))
    args = torch.tensor(arguments, dtype=torch.float64).unbind(-1)
    firsts, seconds = divided_difference(f, *args[:2]).tolist(), second_divided_difference(f, *args).tolist()
    with mp.workdps(50):
        for (a, b, c), d, e in zip(arguments, firsts, seconds, strict=True):
            x, y, z = (mp.mpf(v) for v in (a, b, c))
            first = (exact(x) - exact(y)) / (x - y)
            second = (first - (exact(y) - exact(z)) / (y - z)) / (x - z)
            # Where a trigonometric function has a slope of zero, its size decides.
            floor = mp.mpf(1) / 1000
            assert abs(d - first) < 2e-14 * max(abs(first), floor)
            assert abs(e - second) < 2e-13 * max(abs(second), floor)


@every_function
def test_differences_of_equal_arguments_are_derivatives(f):
    a = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    value = f.value(a)
    (slope,) = torch.autograd.grad(value, a, create_graph=True)
    (curve,) = torch.autograd.grad(slope, a)
    slope = slope.detach()
    a = a.detach()
    assert float(divided_difference(f, a, a)) == pytest.approx(float(slope), rel=1e-12)
    assert float(second_divided_difference(f, a, a, a)) == pytest.approx(float(curve) / 2, rel=1e-10)


# Second derivatives of all entries take seconds: by default a random combination of them is compared.
@pytest.mark.parametrize(
    "fast_mode", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["fast", "all"]
)
@every_function
@pytest.mark.parametrize("spectrum_name", SPECTRA)
def test_derivatives_match_finite_differences(f, spectrum_name, fast_mode, generator, seed):
    torch.manual_seed(seed)  # the fast mode draws from the global source
    q, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=generator))
    a = ((q * torch.tensor(SPECTRA[spectrum_name], dtype=torch.float64)) @ q.mT).requires_grad_()
    e = torch.randn(4, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: spectral(f, symmetrize(a)), (a,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda a: spectral(f, symmetrize(a)), (a,), fast_mode=fast_mode)
    assert torch.autograd.gradcheck(
        lambda a, e: spectral_derivative(f, symmetrize(a), e), (a, e), fast_mode=fast_mode
    )


def test_third_derivatives_raise(generator):
    a = torch.eye(3, dtype=torch.float64).requires_grad_()
    first = torch.autograd.grad(spectral(EXP, a).sum(), a, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), a, create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="third derivatives"):
        second.sum().backward()


def test_root_of_a_singular_matrix_has_finite_derivatives():
    a = torch.diag(torch.tensor([4.0, 0.0, 0.0], dtype=torch.float64)).requires_grad_()
    (g,) = torch.autograd.grad(spectral(SQRT, a).sum(), a)
    assert bool(g.isfinite().all())


def test_function_transforms(generator):
    a = torch.randn(3, 4, 4, dtype=torch.float64, generator=generator)
    a = a @ a.mT + torch.eye(4)
    torch.testing.assert_close(torch.func.vmap(lambda x: spectral(LOG, x))(a), spectral(LOG, a))
    hessian = torch.func.hessian(lambda x: spectral(LOG, symmetrize(x)).square().sum())(a[0])
    assert bool(hessian.isfinite().all())


def test_matrices_that_are_not_finite_or_not_positive_give_nan():
    bad = torch.tensor([[math.nan, 0.0], [0.0, 1.0]])
    assert bool(spectrum(bad).values.isnan().all())
    both = torch.stack([torch.eye(2), -torch.eye(2), bad])
    assert finite_cholesky(both).isnan().any(-1).any(-1).tolist() == [False, True, True]
