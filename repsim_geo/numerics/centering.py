"""Orthogonal projections that remove means, diagonals and asymmetry; none forms a projector matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def center_columns(x: Tensor) -> Tensor:
    """
    Subtract from every column its mean.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)

    Returns
    -------
    Tensor, shape (*batch, m, p)
    """
    return x - x.mean(-2, keepdim=True)


def center_units(x: Tensor) -> Tensor:
    """
    Subtract from every column its mean; a column that is constant up to rounding becomes zero.

    For maps that see weak directions relative to themselves, such as whitening: the rounding that a large
    constant leaves behind would be taken for a direction.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)

    Returns
    -------
    Tensor, shape (*batch, m, p)

    Examples
    --------
    >>> import torch
    >>> center_units(torch.tensor([[0.1, 1.0], [0.1, 3.0], [0.1, 2.0]]))
    tensor([[ 0., -1.],
            [ 0.,  1.],
            [ 0.,  0.]])
    """
    # Twice: large means leave a mean of their rounding, which is large next to weak directions.
    centered = center_columns(center_columns(x))
    rounding = x.shape[-2] * torch.finfo(x.dtype).eps * x.detach().abs().amax(-2, keepdim=True)
    constant = centered.detach().abs().amax(-2, keepdim=True) <= rounding
    # Taken away as a constant: a silent unit that begins to respond moves the point.
    return centered - torch.where(constant, centered.detach(), 0.0)


def center_across(x: Tensor) -> Tensor:
    """
    Subtract from every row its mean; a row that is constant up to rounding becomes zero.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)

    Returns
    -------
    Tensor, shape (*batch, m, p)

    Examples
    --------
    >>> import torch
    >>> center_across(torch.tensor([[0.1, 0.1, 0.1], [1.0, 2.0, 3.0]]))
    tensor([[ 0.,  0.,  0.],
            [-1.,  0.,  1.]])
    """
    centered = x - x.mean(-1, keepdim=True)
    largest, size = (a.detach().abs().amax(-1, keepdim=True) for a in (x, centered))
    return torch.where(size <= 4 * torch.finfo(x.dtype).eps * largest, 0.0, centered)


def symmetrize(a: Tensor) -> Tensor:
    """
    Symmetric part.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m)

    Returns
    -------
    Tensor, shape (*batch, m, m)
    """
    return (a + a.mT) / 2


def hollow(a: Tensor) -> Tensor:
    """
    Symmetric part with the diagonal set to zero.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m)

    Returns
    -------
    Tensor, shape (*batch, m, m)
    """
    eye = torch.eye(a.shape[-1], dtype=torch.bool, device=a.device)
    return torch.where(eye, 0.0, symmetrize(a))


def center_doubly(a: Tensor) -> Tensor:
    """
    Symmetric part with rows and columns centered: ``H sym(a) H`` with ``H = I - 11'/m``.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m)

    Returns
    -------
    Tensor, shape (*batch, m, m)
    """
    s = symmetrize(a)
    rows = s.mean(-1, keepdim=True)
    return s - (rows + rows.mT) + rows.mean(-2, keepdim=True)


def center_u(a: Tensor) -> Tensor:
    """
    U-centering: the nearest symmetric matrix with zero diagonal and zero row sums.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m), m >= 3

    Returns
    -------
    Tensor, shape (*batch, m, m)

    Notes
    -----
    The diagonal is removed *before* the rows are centered, and the centering only touches what is off
    the diagonal; the other order leaves row sums that are not zero, and is not a projection. Inner
    products of U-centered kernel matrices, divided by m(m - 3), are the unbiased estimate of the
    Hilbert-Schmidt independence criterion of Song et al. (2007); the projection is the U-centering of
    Székely and Rizzo (2014).

    Where it is delicate: for m = 3 the only such matrix is zero.
    """
    m = a.shape[-1]
    h = hollow(a)
    rows = h.sum(-1, keepdim=True)
    total = rows.sum(-2, keepdim=True)
    return hollow(h - (rows + rows.mT) / (m - 2) + total / ((m - 1) * (m - 2)))


def hollow_centered(a: Tensor) -> Tensor:
    """
    Symmetric part with zero diagonal, minus its mean off the diagonal.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m), m >= 2

    Returns
    -------
    Tensor, shape (*batch, m, m)
    """
    m = a.shape[-1]
    h = hollow(a)
    return hollow(h - h.sum((-2, -1), keepdim=True) / (m * (m - 1)))


def trace_free(a: Tensor) -> Tensor:
    """
    Symmetric part, doubly centered, minus its part along the centering matrix ``H = I - 11'/m``.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m), m >= 2

    Returns
    -------
    Tensor, shape (*batch, m, m)
    """
    m = a.shape[-1]
    c = center_doubly(a)
    mean = c.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] / (m - 1)
    eye = torch.eye(m, dtype=a.dtype, device=a.device)
    return c - mean * (eye - 1 / m)


def centered_coordinates(m: int, *, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """
    Orthonormal basis of the vectors that sum to zero: the columns of a Helmert matrix.

    Parameters
    ----------
    m : int
    dtype : torch.dtype
    device : torch.device, optional

    Returns
    -------
    Tensor, shape (m, m - 1)

    Examples
    --------
    >>> import torch
    >>> z = centered_coordinates(3, dtype=torch.float64)
    >>> torch.allclose(z @ z.mT, torch.eye(3, dtype=torch.float64) - 1 / 3)
    True
    """
    k = torch.arange(1, m, dtype=dtype, device=device)
    rows = torch.arange(m, device=device)[:, None]
    column = torch.arange(m - 1, device=device)
    # Column k averages the first k inputs and subtracts the next one.
    ones = (rows <= column).to(dtype)
    return (ones - (rows == column + 1).to(dtype) * k) / (k * (k + 1)).sqrt()
