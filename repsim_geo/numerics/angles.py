"""
Angles and the trigonometric functions that geodesics are made of.

Two choices run through the file. Angles come from the chord and the sum of two unit vectors,
``2 atan2(|x - y|, |x + y|)``, never from the arc cosine of an inner product, which loses half of the
digits near 0 and has infinite slope there (Kahan's formula). And functions that are smooth in the
*square* of an angle take that square, so that no square root stands between a vector and its image
and every derivative exists at the zero vector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.numerics.norms import safe_sqrt, squared_norm

# Below these arguments the Taylor polynomials are exact to the last bit of a float64.
_SMALL_SQUARED_ANGLE = 1e-2
_SMALL_SQUARED_TANGENT = 1e-3

_SINC = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800)
_INVERSE_SINC = (1.0, 1 / 6, 7 / 360, 31 / 15120, 127 / 604800, 73 / 3421440)
_SQUARED_ARCTAN = (1.0, -2 / 3, 23 / 45, -44 / 105, 563 / 1575, -3254 / 10395, 88069 / 315315)


def _polynomial(coefficients: tuple[float, ...], t: Tensor) -> Tensor:
    result = torch.full_like(t, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = result * t + c
    return result


def sinc(t: Tensor) -> Tensor:
    """
    ``sin(a) / a`` as a function of ``t = a**2``.

    Parameters
    ----------
    t : Tensor
        Squared angles, nonnegative.

    Returns
    -------
    Tensor

    Notes
    -----
    Where it is delicate: at 0, where the quotient is 0/0; a Taylor polynomial takes over below
    ``t = 0.01`` and all derivatives with respect to `t` are right there.
    """
    small = t < _SMALL_SQUARED_ANGLE
    a = torch.where(small, torch.ones_like(t), t).sqrt()
    return torch.where(small, _polynomial(_SINC, torch.where(small, t, 0.0)), a.sin() / a)


def inverse_sinc(t: Tensor) -> Tensor:
    """
    ``a / sin(a)`` as a function of ``t = a**2``.

    Parameters
    ----------
    t : Tensor
        Squared angles in ``[0, pi**2)``.

    Returns
    -------
    Tensor

    Notes
    -----
    Where it is delicate: at 0 (Taylor polynomial), and at pi, where the function has a pole.
    """
    small = t < _SMALL_SQUARED_ANGLE
    a = torch.where(small, torch.ones_like(t), t).sqrt()
    return torch.where(small, _polynomial(_INVERSE_SINC, torch.where(small, t, 0.0)), a / a.sin())


def cot_times(t: Tensor) -> Tensor:
    """
    ``a cot(a)`` of the squared angle ``t = a**2``: one at zero, minus infinity at pi.

    Parameters
    ----------
    t : Tensor

    Returns
    -------
    Tensor

    Notes
    -----
    Where it is delicate: near pi, where it falls to minus infinity. From there on its values are meaningless.

    Examples
    --------
    >>> import torch
    >>> cot_times(torch.tensor([0.0, (torch.pi / 4) ** 2, (torch.pi / 2) ** 2])).abs()
    tensor([1.0000, 0.7854, 0.0000])
    """
    return (1 - t * one_minus_cos(t)) * inverse_sinc(t)


def one_minus_cos(t: Tensor) -> Tensor:
    """
    ``(1 - cos(a)) / a**2`` as a function of ``t = a**2``; equal to ``sinc(t / 4)**2 / 2``.

    Parameters
    ----------
    t : Tensor
        Squared angles, nonnegative.

    Returns
    -------
    Tensor
    """
    return sinc(t / 4).square() / 2


def angle_from_chords(difference2: Tensor, sum2: Tensor) -> Tensor:
    """
    Angle of two vectors of equal length from ``|x - y|**2`` and ``|x + y|**2``, in radians.

    Parameters
    ----------
    difference2, sum2 : Tensor
        Squared lengths of the difference and of the sum.

    Returns
    -------
    Tensor
        In ``[0, pi]``.

    Notes
    -----
    Accurate to the last digits everywhere, at 0 and at pi too. The gradient is zero at exactly
    coincident and at exactly opposite vectors, where no direction is preferred.

    Examples
    --------
    >>> import torch
    >>> angle_from_chords(torch.tensor(2.0), torch.tensor(2.0))  # a right angle
    tensor(1.5708)
    """
    # The last term is zero, or nan where a vector is infinite, which would make half of a right angle of it.
    return 2 * torch.atan2(safe_sqrt(difference2), safe_sqrt(sum2)) + 0 * (difference2 - sum2)


def squared_angle_from_chords(difference2: Tensor, sum2: Tensor) -> Tensor:
    """
    Square of `angle_from_chords`, smooth at 0.

    Parameters
    ----------
    difference2, sum2 : Tensor

    Returns
    -------
    Tensor
        In ``[0, pi**2]``.

    Notes
    -----
    With ``q = |x - y|**2 / |x + y|**2`` the result is ``4 atan(sqrt(q))**2``, an analytic function of
    `q`: below ``q = 0.001`` its Taylor polynomial is used, so that gradients and Hessians at
    coincident points are exact.
    """
    small = difference2 < _SMALL_SQUARED_TANGENT * sum2
    q = torch.where(small, difference2, 0.0) / torch.where(small, sum2, 1.0)
    far = angle_from_chords(torch.where(small, 1.0, difference2), torch.where(small, 1.0, sum2)).square()
    return torch.where(small, 4 * q * _polynomial(_SQUARED_ARCTAN, q), far)


def angle(x: Tensor, y: Tensor, ndim: int = 1, *, keepdim: bool = False) -> Tensor:
    """
    Angle between unit vectors, in radians.

    Parameters
    ----------
    x, y : Tensor, shape (*batch, *vector)
        Unit vectors; `ndim` trailing axes make one vector.
    ndim : int
    keepdim : bool

    Returns
    -------
    Tensor, shape (*batch)

    Examples
    --------
    >>> import torch
    >>> angle(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    tensor(1.5708)
    """
    return angle_from_chords(
        squared_norm(x - y, ndim, keepdim=keepdim), squared_norm(x + y, ndim, keepdim=keepdim)
    )


def principal_angles(x: Tensor, y: Tensor) -> Tensor:
    """
    Angles between two linear subspaces, ascending, in radians.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, k)
        Orthonormal columns.
    y : Tensor, shape (*batch, m, l)
        Orthonormal columns.

    Returns
    -------
    Tensor, shape (*batch, min(k, l))
        From 0 to pi / 2.

    Notes
    -----
    Cosines are the singular values of ``x'y``, sines those of what `x` leaves of `y`; each angle is taken
    from both, so that small ones keep their digits.

    References
    ----------
    Björck and Golub 1973.

    Examples
    --------
    >>> import torch
    >>> principal_angles(torch.eye(3)[:, :1], torch.eye(3)[:, 1:])
    tensor([1.5708])
    """
    if y.shape[-1] > x.shape[-1]:
        x, y = y, x
    cross = x.mT @ y
    rest = y - x @ cross
    rest = rest - x @ (x.mT @ rest)
    return torch.atan2(torch.linalg.svdvals(rest).flip(-1), torch.linalg.svdvals(cross))
