"""
Functions of symmetric matrices, ``f(a) = u f(lambda) u'``, with derivatives that never divide by a gap.

The derivative of f at `a` in the direction `e` is ``u (f[i, j] * u'e u) u'`` with the first divided
differences ``f[i, j] = (f(l_i) - f(l_j)) / (l_i - l_j)`` (Daleckii and Krein); the second derivative has the
second divided differences ``f[i, k, j]``. Divided differences are averages of derivatives of f, so where
eigenvalues are near each other they are computed as such, by Gauss quadrature (Hermite and Genocchi), and as
quotients where they are far apart. So equal eigenvalues, the identity and the zero matrix are ordinary
arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from repsim_geo.numerics.alignment import finite_or_zero
from repsim_geo.numerics.centering import symmetrize

Elementwise = Callable[[Tensor], Tensor]


class Spectrum(NamedTuple):
    """Eigenvalues and orthonormal eigenvectors (in columns) of a symmetric matrix; constants for autograd."""

    values: Tensor
    basis: Tensor


@dataclass(frozen=True)
class SpectralFunction:
    """
    A smooth function of one variable, as functions of symmetric matrices need it.

    Attributes
    ----------
    name : str
    value, slope, curve : callable
        The function and its first two derivatives, elementwise.
    near : callable
        ``near(low, high)``: how far two eigenvalues may be apart for derivatives between them to be smooth on
        the scale of the gap.
    difference, second_difference : callable, optional
        Divided differences of two and of three arguments, where there is an exact formula.
    """

    name: str
    value: Elementwise
    slope: Elementwise
    curve: Elementwise
    near: Callable[[Tensor, Tensor], Tensor]
    difference: Callable[[Tensor, Tensor], Tensor] | None = None
    second_difference: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    def __repr__(self) -> str:
        return self.name


def spectrum(a: Tensor) -> Spectrum:
    """
    Eigenvalues, ascending, and eigenvectors; nan for non-finite input instead of an error.

    Parameters
    ----------
    a : Tensor, shape (*batch, n, n)
        Symmetric.

    Returns
    -------
    Spectrum
        ``values``, shape (*batch, n), and ``basis``, shape (*batch, n, n).
    """
    finite, a = finite_or_zero(a.detach())
    values, basis = torch.linalg.eigh(a)
    mark = torch.where(finite, 1.0, torch.nan).to(a.dtype)
    return Spectrum(values * mark[..., 0], basis * mark)


def spectral(f: SpectralFunction, a: Tensor, eigen: Spectrum | None = None) -> Tensor:
    """
    Function of a symmetric matrix.

    Parameters
    ----------
    f : SpectralFunction
    a : Tensor, shape (*batch, n, n)
        Symmetric.
    eigen : Spectrum, optional
        Of `a`, where the caller knows it, or knows it more accurately than `a`.

    Returns
    -------
    Tensor, shape (*batch, n, n)
        Twice differentiable; a third derivative raises.

    Notes
    -----
    Where it is delicate: where f itself is (the logarithm of a singular matrix). Equal eigenvalues are
    harmless.

    Examples
    --------
    >>> import torch
    >>> spectral(SQRT, torch.tensor([[4.0, 0.0], [0.0, 9.0]]))
    tensor([[2., 0.],
            [0., 3.]])
    """
    return _Spectral.apply(a, *(eigen or spectrum(a)), f)  # type: ignore[no-any-return]


def spectral_derivative(f: SpectralFunction, a: Tensor, e: Tensor, eigen: Spectrum | None = None) -> Tensor:
    """
    Derivative of a function of a symmetric matrix in a symmetric direction; linear and self-adjoint in `e`.

    Parameters
    ----------
    f : SpectralFunction
    a, e : Tensor, shape (*batch, n, n)
    eigen : Spectrum, optional
        Of `a`.

    Returns
    -------
    Tensor, shape (*batch, n, n)
        Once differentiable; a second derivative with respect to `a` raises.
    """
    return _Derivative.apply(a, symmetrize(e), *(eigen or spectrum(a)), f)  # type: ignore[no-any-return]


# ---------------------------------------------------------------------- divided differences

_NODES, _WEIGHTS = ((np.polynomial.legendre.leggauss(7)[i] + (1 - i)) / 2 for i in (0, 1))


def divided_difference(f: SpectralFunction, a: Tensor, b: Tensor) -> Tensor:
    """
    ``(f(a) - f(b)) / (a - b)``, and ``f'(a)`` where they are equal; accurate in between.

    Parameters
    ----------
    f : SpectralFunction
    a, b : Tensor
        Broadcast.

    Returns
    -------
    Tensor
    """
    if f.difference is not None:
        return f.difference(a, b)
    a, b = torch.broadcast_tensors(a, b)
    near = (a - b).abs() <= f.near(torch.minimum(a, b), torch.maximum(a, b))
    average = sum(w * f.slope(a + s * (b - a)) for s, w in zip(_NODES, _WEIGHTS, strict=True))
    return torch.where(near, average, (f.value(a) - f.value(b)) / torch.where(near, 1.0, a - b))


def second_divided_difference(f: SpectralFunction, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """
    ``(f[a, b] - f[b, c]) / (a - c)``, symmetric in its arguments; half of ``f''`` where they are equal.

    Parameters
    ----------
    f : SpectralFunction
    a, b, c : Tensor
        Broadcast.

    Returns
    -------
    Tensor
    """
    if f.second_difference is not None:
        return f.second_difference(a, b, c)
    low, middle, high = torch.stack(torch.broadcast_tensors(a, b, c)).sort(0).values
    near = high - low <= f.near(low, high)
    average = torch.zeros_like(low)
    for s, v in zip(_NODES, _WEIGHTS, strict=True):
        for t, w in zip(_NODES, _WEIGHTS, strict=True):
            average = average + v * w * s * f.curve(low + s * (middle - low) + s * t * (high - middle))
    far = divided_difference(f, middle, high) - divided_difference(f, low, middle)
    return torch.where(near, average, far / torch.where(near, 1.0, high - low))


# ---------------------------------------------------------------------- differentiation


class _Spectral(torch.autograd.Function):
    """Value of f; `a` itself is only there to be differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, values: Tensor, basis: Tensor, f: SpectralFunction) -> Tensor:
        return (basis * f.value(values)[..., None, :]) @ basis.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        *tensors, ctx.f = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        a, values, basis = ctx.saved_tensors
        return _Derivative.apply(a, symmetrize(grads[0]), values, basis, ctx.f), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        a, values, basis = ctx.saved_tensors
        return _Derivative.apply(a, symmetrize(tangents[0]), values, basis, ctx.f)


class _Derivative(torch.autograd.Function):
    """Derivative of f at `a` in the symmetric direction `e`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, e: Tensor, values: Tensor, basis: Tensor, f: SpectralFunction) -> Tensor:
        differences = divided_difference(f, values[..., :, None], values[..., None, :])
        return basis @ (differences * (basis.mT @ e @ basis)) @ basis.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        *tensors, ctx.f = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        a, e, values, basis = ctx.saved_tensors
        g = symmetrize(grads[0])
        bent = _Second.apply(a, e, g, values, basis, ctx.f) if ctx.needs_input_grad[0] else None
        return bent, _Derivative.apply(a, g, values, basis, ctx.f), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        a, e, values, basis = ctx.saved_tensors
        da, de, *_ = tangents
        rate = torch.zeros_like(e)
        if de is not None:
            rate = rate + _Derivative.apply(a, symmetrize(de), values, basis, ctx.f)
        if da is not None:
            rate = rate + _Second.apply(a, e, symmetrize(da), values, basis, ctx.f)
        return rate


class _Second(torch.autograd.Function):
    """Second derivative of f at `a` in two symmetric directions."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        a: Tensor, e: Tensor, g: Tensor, values: Tensor, basis: Tensor, f: SpectralFunction
    ) -> Tensor:
        e, g = (basis.mT @ w @ basis for w in (e, g))
        i, k, j = values[..., :, None, None], values[..., None, :, None], values[..., None, None, :]
        half = torch.einsum("...ikj,...ik,...kj->...ij", second_divided_difference(f, i, k, j), e, g)
        return basis @ (half + half.mT) @ basis.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.f = inputs[-1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise NotImplementedError(f"third derivatives of the matrix function {ctx.f} are not written")

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(f"third derivatives of the matrix function {ctx.f} are not written")


# ---------------------------------------------------------------------- the functions


def _fifth_of_the_larger(low: Tensor, high: Tensor) -> Tensor:
    # The singularity at zero is then at least four gaps away.
    return high.abs() / 5


def _one(low: Tensor, high: Tensor) -> Tensor:
    return torch.ones_like(high)


def _root(a: Tensor) -> Tensor:
    return a.clamp_min(0).sqrt()


def _reciprocal(a: Tensor) -> Tensor:
    return torch.where(a == 0, 0.0, 1 / torch.where(a == 0, 1.0, a))


LOG = SpectralFunction(
    "log", torch.log, torch.reciprocal, lambda x: -x.square().reciprocal(), _fifth_of_the_larger
)
EXP = SpectralFunction("exp", torch.exp, torch.exp, torch.exp, _one)
# Roots of positive semidefinite matrices: directions without extent stay zero, and so do their derivatives.
SQRT = SpectralFunction(
    "sqrt",
    _root,
    lambda x: _reciprocal(2 * _root(x)),
    lambda x: -_reciprocal(4 * _root(x) ** 3),
    _fifth_of_the_larger,
    lambda a, b: _reciprocal(_root(a) + _root(b)),
    lambda a, b, c: -_reciprocal((_root(a) + _root(b)) * (_root(b) + _root(c)) * (_root(a) + _root(c))),
)

_STUMPFF_TERMS = 22


def stumpff(k: int, t: Tensor) -> Tensor:
    """
    Stumpff's function ``c_k(t) = sum_n (-t)^n / (2n + k)!``.

    With ``t = a**2``: c_0 is cos a, c_1 is sin(a) / a and c_2 is (1 - cos a) / a**2.

    Parameters
    ----------
    k : int
    t : Tensor
        Nonnegative.

    Returns
    -------
    Tensor

    Notes
    -----
    Its derivative is ``(k c_(k+2) - c_(k+1)) / 2``: the family is closed, and no derivative divides by `t`.
    The power series serves up to t = 4, the recursion ``c_(k+2) = (1 / k! - c_k) / t`` beyond.

    Examples
    --------
    >>> import math, torch
    >>> round(float(stumpff(0, torch.tensor(math.pi**2))), 6)
    -1.0
    """
    small = t < 4.0
    inside = torch.where(small, t, 0.0)
    series = torch.zeros_like(t)
    for n in reversed(range(_STUMPFF_TERMS)):
        series = 1 / math.factorial(2 * n + k) - inside * series
    far = torch.where(small, 4.0, t)
    if k < 2:
        a = far.sqrt()
        beyond = a.cos() if k == 0 else a.sin() / a
    else:
        beyond = (1 / math.factorial(k - 2) - stumpff(k - 2, far)) / far
    return torch.where(small, series, beyond)


def _stumpff_function(k: int) -> SpectralFunction:
    def slope(k: int, t: Tensor) -> Tensor:
        return (k * stumpff(k + 2, t) - stumpff(k + 1, t)) / 2

    return SpectralFunction(
        f"stumpff_{k}",
        lambda t: stumpff(k, t),
        lambda t: slope(k, t),
        lambda t: (k * slope(k + 2, t) - slope(k + 1, t)) / 2,
        _one,
    )


# cos(a), sin(a) / a and (1 - cos(a)) / a^2 of the square of an angle.
COS, SINC, VERSINC = (_stumpff_function(k) for k in (0, 1, 2))


_ARC_TERMS = 28


def _arc_series(d: Tensor, order: int) -> Tensor:
    """Derivatives of angle / sine with respect to d = 1 - cosine: the sum of n! / (3/2)_n (d/2)^n."""
    result, c = torch.zeros_like(d), 1.0
    coefficients = [c := c * (n / (n + 0.5) / 2 if n else 1.0) for n in range(_ARC_TERMS)]
    for n in reversed(range(order, _ARC_TERMS)):
        result = result * d + coefficients[n] * math.perm(n, order)
    return result


def _arc(c: Tensor, order: int) -> Tensor:
    """Angle over sine as a function of the cosine, or one of its first two derivatives."""
    near = c > 0.7
    series = (-1) ** order * _arc_series(torch.where(near, 1 - c, 0.0), order)
    c = torch.where(near, 0.0, c)
    sine2 = 1 - c.square()
    ratio = c.clamp(-1, 1).acos() * sine2.rsqrt()
    slope = (c * ratio - 1) / sine2
    far = (ratio, slope, (3 * c * slope + ratio) / sine2)[order]
    return torch.where(near, series, far)


# Angle over sine as a function of the cosine: smooth from 0 to a right angle and beyond, singular at pi only.
ARC = SpectralFunction(
    "angle over sine",
    lambda c: _arc(c, 0),
    lambda c: _arc(c, 1),
    lambda c: _arc(c, 2),
    lambda low, high: (1 + low) / 5,
)


def finite_cholesky(a: Tensor) -> Tensor:
    """
    Lower Cholesky factor; nan where a matrix is not positive definite, instead of an error.

    Parameters
    ----------
    a : Tensor, shape (*batch, n, n)
        Symmetric.

    Returns
    -------
    Tensor, shape (*batch, n, n)
        Differentiable.
    """
    finite, a = finite_or_zero(a)
    factor, info = torch.linalg.cholesky_ex(a)
    good = finite & (info == 0)[..., None, None]
    return torch.where(good, factor, torch.nan)
