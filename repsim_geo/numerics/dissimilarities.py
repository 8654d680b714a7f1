"""Distances and angles between the rows of a matrix, with derivatives that are finite at duplicated rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.norms import safe_norm, squared_norm
from repsim_geo.numerics.tracing import any_true, constant, readable

# Squared distances below this share of the squared norms are formed from differences.
_CLOSE = {torch.float64: 1e-3, torch.float32: 1e-2}
# Share of such entries from which all are formed from differences.
_MANY_CLOSE = 1 / 16


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
    return _CrossDistances.apply(x, x)  # type: ignore[no-any-return]


def _over(a: Tensor, d: Tensor) -> Tensor:
    return torch.where(d == 0, 0.0, a / torch.where(d == 0, 1.0, d))


def squared_euclidean_distances(x: Tensor) -> Tensor:
    """
    Squares of `euclidean_distances`, smooth at duplicated rows.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)

    Returns
    -------
    Tensor, shape (*batch, m, m)
        Symmetric with zero diagonal.

    Notes
    -----
    Near rows keep their digits, as in `euclidean_distances`, and derivatives of every order are exact.

    Examples
    --------
    >>> import torch
    >>> squared_euclidean_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[ 0., 25.],
            [25.,  0.]])
    """
    return _SquaredDistances.apply(x)  # type: ignore[no-any-return]


class _SquaredDistances(torch.autograd.Function):
    """Forward through ``torch.cdist``; derivatives by matrix products, without the root in between."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        w = 2 * (grads[0] + grads[0].mT)
        return w.sum(-1, keepdim=True) * x - w @ x

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        cross = x @ tangents[0].mT
        own = (x * tangents[0]).sum(-1)
        return 2 * (own[..., :, None] + own[..., None, :] - cross - cross.mT)


def euclidean_cross_distances(x: Tensor, y: Tensor) -> Tensor:
    """
    Euclidean distances from the rows of `x` to the rows of `y`.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    y : Tensor, shape (*batch, n, d)

    Returns
    -------
    Tensor, shape (*batch, m, n)

    Notes
    -----
    Digits and derivatives are as in `euclidean_distances`: zero gradient where two rows coincide.
    """
    return _CrossDistances.apply(x, y)  # type: ignore[no-any-return]


class _CrossDistances(torch.autograd.Function):
    """Forward through ``torch.cdist``; the backward pass is a matrix product and can be differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)
        ctx.save_for_forward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, y, d = ctx.saved_tensors
        w = _over(grads[0], d)
        return w.sum(-1)[..., None] * x - w @ y, w.sum(-2)[..., None] * y - w.mT @ x

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        x, y, d = ctx.saved_tensors
        dx, dy = (torch.zeros_like(a) if t is None else t for a, t in zip((x, y), tangents, strict=True))
        own = (x * dx).sum(-1)[..., :, None] + (y * dy).sum(-1)[..., None, :]
        return _over(own - dx @ y.mT - x @ dy.mT, d)


def squared_distances_by_products(x: Tensor, y: Tensor, *, itself: bool = False) -> Tensor:
    """
    Squared Euclidean distances from the rows of `x` to those of `y`, through ``x y'`` where that is accurate.

    Parameters
    ----------
    x : Tensor, shape (batch, m, d)
    y : Tensor, shape (batch, n, d)
        Both with the mean of all rows near zero, so that norms are no larger than distances.
    itself : bool
        The rows are the same ones: the diagonal is exactly zero.

    Returns
    -------
    Tensor, shape (batch, m, n)

    Notes
    -----
    Rows that are much nearer to each other than to the origin lose digits in ``|x|^2 + |y|^2 - 2 x y'``. Few
    of them are looked at again, one by one; if there are many, all differences are formed.

    Examples
    --------
    >>> import torch
    >>> squared_distances_by_products(torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[0.0, 4.0], [3.0, 1e-9]]]))
    tensor([[[2.5000e+01, 1.0000e-18]]])
    """
    own, others = squared_norm(x, 1), squared_norm(y, 1)
    squares = torch.baddbmm(own[..., :, None] + others[..., None, :], x, y.mT, alpha=-2)
    if itself:
        squares.diagonal(dim1=-2, dim2=-1).fill_(torch.inf)
    close = _CLOSE[x.dtype]
    # One comparison with the largest norms, before those with the norms of both rows.
    limit = close * (own.amax(-1) + others.amax(-1)).detach()[..., None, None]
    if any_true(near := squares.detach() < limit):
        index = near.nonzero(as_tuple=True)
        *batch, i, j = index
        really = squares.detach()[index] < close * (own[(*batch, i)] + others[(*batch, j)]).detach()
        if float(really.sum()) > _MANY_CLOSE * near.numel():
            return _SquaredDistances.apply(x) if itself else euclidean_cross_distances(x, y).square()
        *batch, i, j = (w[really] for w in index)
        squares = squares.index_put((*batch, i, j), squared_norm(x[(*batch, i)] - y[(*batch, j)], 1))
    if itself:
        squares.diagonal(dim1=-2, dim2=-1).zero_()
    return squares


def unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """
    Directions and lengths of the rows.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)

    Returns
    -------
    directions : Tensor, shape (*batch, m, d)
        Unit vectors. A zero row, which has no direction, gets that of the first axis, as a constant.
    lengths : Tensor, shape (*batch, m)
        Euclidean norms, with zero gradient at zero rows.

    Examples
    --------
    >>> import torch
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    (tensor([[0.6000, 0.8000],
            [1.0000, 0.0000]]), tensor([5., 0.]))
    """
    # Dividing by a constant first keeps squares in range; neither result sees it.
    largest = x.detach().abs().amax(-1, keepdim=True)
    zero = largest == 0
    scaled = x / torch.where(zero, 1.0, largest)
    length = safe_norm(scaled, 1, keepdim=True)
    axis = (torch.arange(x.shape[-1], device=x.device) == 0).to(x.dtype)
    return torch.where(zero, axis, scaled / torch.where(zero, 1.0, length)), (largest * length)[..., 0]


def angles_between_rows(x: Tensor) -> Tensor:
    """
    Angles between the rows of `x`, in radians.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
        A zero row counts as lying along the first axis.

    Returns
    -------
    Tensor, shape (*batch, m, m)
        Symmetric with zero diagonal, in ``[0, pi]``.

    Notes
    -----
    ``2 atan2(|u - v|, |u + v|)`` of unit rows, in float64 where the device has it, so that float32 rows keep
    their digits at angles near 0 and near pi. The gradient is zero at exactly parallel and exactly
    opposite rows, where the angle has a kink.

    Examples
    --------
    >>> import torch
    >>> angles_between_rows(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([[0.0000, 1.5708],
            [1.5708, 0.0000]])
    """
    u, _ = unit_rows(working_precision(x))
    return (2 * torch.atan2(euclidean_distances(u), euclidean_cross_distances(u, -u))).to(x.dtype)


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
    below, above = _order_statistics(values, (k - 1) // 2, k // 2)
    return (below + above) / 2


def quantile(values: Tensor, q: float) -> Tensor:
    """
    Quantile over the last axis, interpolated linearly between two values (as in numpy).

    Parameters
    ----------
    values : Tensor, shape (*batch, k)
        Any number of values; ``torch.quantile`` stops at 16 million.
    q : float
        From 0 (the smallest) to 1 (the largest).

    Returns
    -------
    Tensor, shape (*batch)

    Examples
    --------
    >>> import torch
    >>> quantile(torch.tensor([4.0, 0.0, 2.0]), 0.25)
    tensor(1.)
    """
    below, above, share = quantile_ranks(values.shape[-1], q)
    return torch.lerp(*_order_statistics(values, below, above), share)


def quantile_ranks(count: int, q: float) -> tuple[int, int, float]:
    """
    Between which two of so many ordered values a quantile lies, and how far from the lower one.

    Parameters
    ----------
    count : int
    q : float

    Returns
    -------
    below, above : int
        Ranks, counted from 0.
    share : float

    Examples
    --------
    >>> quantile_ranks(3, 0.25)
    (0, 1, 0.5)
    """
    position = q * (count - 1)
    below = min(int(position), max(count - 2, 0))
    return below, min(below + 1, count - 1), position - below


def _order_statistics(values: Tensor, *ranks: int) -> list[Tensor]:
    """The k-th smallest values, counted from 0, over the last axis."""
    if values.device.type == "cpu" and constant(values) and readable(values):
        # Eight times as fast as sorting; torch has nothing like it for several ranks.
        ordered = torch.from_numpy(np.partition(values.detach().numpy(), ranks, axis=-1))
    else:
        ordered = values.sort(-1).values
    return [ordered[..., k] for k in ranks]
