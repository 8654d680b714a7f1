"""Sums of singular values, by the decomposition or by products of matrices alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repsim_geo.numerics.alignment import finite_or_zero, finite_singular_values
from repsim_geo.numerics.tracing import constant

# Up to this size graphics cards decompose a batch at once; larger matrices go one after another.
_DECOMPOSED_TOGETHER = 32

# The root of 3, to which the best stretch comes for small values, takes the largest ones to zero, of which
# rounding would make anything. This takes them to 0.1.
_LONGEST_STRETCH = 1.7


def nuclear_norms(a: Tensor) -> Tensor:
    """
    Sum of the singular values of each matrix; nan for those that are not finite.

    Parameters
    ----------
    a : Tensor, shape (*batch, p, q)

    Returns
    -------
    Tensor, shape (*batch)

    Notes
    -----
    On a processor from singular values. On other devices matrices of more than 32 columns, of which nobody
    wants a derivative, take `polar_nuclear_norms`: there products of a batch run at once, decompositions do
    not.

    Examples
    --------
    >>> import torch
    >>> nuclear_norms(torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
    tensor(7.)
    """
    return finite_singular_values(a).sum(-1) if _decompose(a) else polar_nuclear_norms(a)


def _decompose(a: Tensor) -> bool:
    small = min(a.shape[-2:]) <= _DECOMPOSED_TOGETHER
    return a.device.type == "cpu" or small or not constant(a)


def polar_nuclear_norms(a: Tensor) -> Tensor:
    """
    Sum of the singular values of each matrix, by products of matrices alone.

    The sum is ``trace(q'a)`` with the polar factor `q`, to which Newton-Schulz steps
    ``q (3 - q'q) / 2`` lead. Each step is stretched as far as the smallest singular value allows
    (chen2014), so that it grows by 2.5 instead of 1.5: 43 steps in float64, 21 in float32.

    Parameters
    ----------
    a : Tensor, shape (*batch, p, q)

    Returns
    -------
    Tensor, shape (*batch)
        nan for a matrix that is not finite.

    Notes
    -----
    Where it is delicate: nowhere. A singular value below eps times the norm may not reach one in time, but
    its share of the sum is below rounding; errors of `q` enter only with their squares. There is nothing to
    wait for: the number of steps follows from the precision.

    Examples
    --------
    >>> import torch
    >>> polar_nuclear_norms(torch.diag(torch.tensor([3.0, -4.0, 0.0]))).round(decimals=4)
    tensor(7.)
    """
    finite, a = finite_or_zero(a)
    largest = a.abs().amax((-2, -1), keepdim=True)
    b = a / torch.where(largest > 0, largest, 1.0)
    norm = torch.linalg.matrix_norm(b, keepdim=True)
    b = b / torch.where(norm > 0, norm, 1.0)
    q = b if b.shape[-2] >= b.shape[-1] else b.mT
    for stretch in _stretches(torch.finfo(a.dtype).eps):
        q = stretch * (1.5 * q - (0.5 * stretch**2) * (q @ (q.mT @ q)))
    q = q if q.shape == b.shape else q.mT
    total = (q * b).sum((-2, -1)) * (norm * largest)[..., 0, 0]
    return torch.where(finite[..., 0, 0], total, torch.nan)


def _stretches(smallest: float) -> list[float]:
    """Factors of all steps that take singular values between `smallest` and 1 to 1."""
    factors = []
    low = smallest
    # A step squares what is missing to one, so that half of the digits are enough before the last.
    while 1 - low > math.sqrt(smallest) / 2:
        factors.append(min(math.sqrt(3 / (1 + low + low * low)), _LONGEST_STRETCH))
        low = min(_step(factors[-1] * low), _step(factors[-1]))
    return [*factors, 1.0]


def _step(q: float) -> float:
    return q * (3 - q * q) / 2
