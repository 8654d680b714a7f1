"""Norms and inner products over trailing axes, with derivatives that are finite at zero."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.numerics.tracing import constant


def trailing(ndim: int) -> tuple[int, ...]:
    """Return the last `ndim` axes, counted from the end: ``(-2, -1)`` for matrices."""
    return tuple(range(-ndim, 0))


def with_axes(value: Tensor, ndim: int) -> Tensor:
    """
    Append `ndim` axes of size one, so that one number a vector broadcasts against vectors.

    Parameters
    ----------
    value : Tensor, shape (*batch)
    ndim : int

    Returns
    -------
    Tensor, shape (*batch, 1, ..., 1)
    """
    return value[(..., *[None] * ndim)]


def inner(u: Tensor, v: Tensor, ndim: int, *, keepdim: bool = False) -> Tensor:
    """
    Sum of products over the last `ndim` axes.

    Parameters
    ----------
    u, v : Tensor, shapes that broadcast
    ndim : int
        How many trailing axes belong to one vector.
    keepdim : bool
        Keep the summed axes with size one.

    Returns
    -------
    Tensor, shape (*batch) or (*batch, 1, ..., 1)
    """
    return (u * v).sum(dim=trailing(ndim), keepdim=keepdim)


def squared_norm(u: Tensor, ndim: int, *, keepdim: bool = False) -> Tensor:
    """
    Sum of squares over the last `ndim` axes.

    Parameters
    ----------
    u : Tensor
    ndim : int
    keepdim : bool

    Returns
    -------
    Tensor, shape (*batch) or (*batch, 1, ..., 1)
    """
    return u.square().sum(dim=trailing(ndim), keepdim=keepdim)


def safe_sqrt(a: Tensor) -> Tensor:
    """
    Square root whose derivative at zero is zero instead of infinite.

    Zero is a subgradient of the norm at the origin, and the only one that no direction prefers. With
    it the gradient of a distance at coincident points is zero, which is what an optimizer should see.

    Parameters
    ----------
    a : Tensor
        Nonnegative up to rounding; negative entries count as zero.

    Returns
    -------
    Tensor

    Notes
    -----
    Where it is delicate: both branches of a ``torch.where`` are differentiated, so the untaken one
    must be finite too. The root is therefore taken of a copy in which zeros were replaced by ones.
    A nan is kept.
    """
    if constant(a):
        return a.clamp_min(0).sqrt()
    zero = a <= 0
    return torch.where(zero, torch.zeros_like(a), torch.where(zero, torch.ones_like(a), a).sqrt())


def root_above_rounding(d2: Tensor, size2: Tensor, *, roundings: float = 8.0) -> Tensor:
    """
    Root of squared distances; zero, with zero gradient, where they are the rounding of an alignment.

    Parameters
    ----------
    d2 : Tensor
    size2 : Tensor
        Squares of the sizes of the points, in the same unit. The problems behind are solved in float64.
    roundings : float
        Largest distance that is rounding, in units of eps times the size.

    Returns
    -------
    Tensor
    """
    rounding2 = (roundings * torch.finfo(torch.float64).eps) ** 2 * size2
    return safe_sqrt(torch.where((d2 <= rounding2) & rounding2.isfinite(), 0.0, d2))


def safe_norm(u: Tensor, ndim: int, *, keepdim: bool = False) -> Tensor:
    """
    Euclidean norm over the last `ndim` axes, with zero gradient at zero.

    Parameters
    ----------
    u : Tensor
    ndim : int
    keepdim : bool

    Returns
    -------
    Tensor, shape (*batch) or (*batch, 1, ..., 1)

    Examples
    --------
    >>> import torch
    >>> u = torch.zeros(3, requires_grad=True)
    >>> safe_norm(u, 1).backward()
    >>> u.grad
    tensor([0., 0., 0.])
    """
    return safe_sqrt(squared_norm(u, ndim, keepdim=keepdim))
