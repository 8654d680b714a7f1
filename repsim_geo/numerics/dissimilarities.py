"""Distances between the rows of a matrix, with derivatives that are finite at duplicated rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def euclidean_distances(x: Tensor) -> Tensor:
    """
    Euclidean distances between the rows of `x`.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)

    Returns
    -------
    Tensor, shape (*batch, m, m)
        Symmetric with zero diagonal.

    Notes
    -----
    Differences are formed before they are squared, so that near rows keep their digits: the shortcut
    through inner products loses all digits of distances below ``sqrt(eps)`` times the norm.

    Where it is delicate: at duplicated rows, where the distance has a kink. The gradient there is
    zero, a subgradient; second derivatives in those entries are zero too.

    Examples
    --------
    >>> import torch
    >>> euclidean_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[0., 5.],
            [5., 0.]])
    """
    return _EuclideanDistances.apply(x)  # type: ignore[no-any-return]


class _EuclideanDistances(torch.autograd.Function):
    """Forward through ``torch.cdist``; the backward pass is a matrix product and can be differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, d = ctx.saved_tensors
        w = _over(grads[0] + grads[0].mT, d)
        return w.sum(-1, keepdim=True) * x - w @ x

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        x, d = ctx.saved_tensors
        dx = tangents[0]
        # Derivative of |x_i - x_j|^2 / 2 is <x_i - x_j, dx_i - dx_j>.
        cross = x @ dx.mT
        own = (x * dx).sum(-1)
        return _over(own[..., :, None] + own[..., None, :] - cross - cross.mT, d)


def _over(a: Tensor, d: Tensor) -> Tensor:
    return torch.where(d == 0, 0.0, a / torch.where(d == 0, 1.0, d))


def upper_triangle(a: Tensor) -> Tensor:
    """
    Entries above the diagonal, row by row.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m)

    Returns
    -------
    Tensor, shape (*batch, m (m - 1) / 2)
    """
    m = a.shape[-1]
    i, j = torch.triu_indices(m, m, offset=1, device=a.device)
    return a[..., i, j]


def median(values: Tensor) -> Tensor:
    """
    Median over the last axis; the mean of the two middle values of an even number (as in numpy).

    Parameters
    ----------
    values : Tensor, shape (*batch, k)

    Returns
    -------
    Tensor, shape (*batch)
    """
    k = values.shape[-1]
    ordered = values.sort(-1).values
    return (ordered[..., (k - 1) // 2] + ordered[..., k // 2]) / 2
