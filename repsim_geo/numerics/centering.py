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
