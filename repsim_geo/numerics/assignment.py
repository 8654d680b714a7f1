"""Optimal assignment: the permutation of columns that brings one matrix as close as possible to another."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo.numerics.alignment import Aligned, check_same_size, working_precision
from repsim_geo.numerics.tracing import any_true, readable

# Dinkelbach's iteration converges like Newton's and ends by itself: five steps are many. The limit is for
# vmap, where nobody can see that it has ended.
_MAX_STEPS = 24
# Squared distances below this share of the squared lengths are recomputed, if there are few for each column.
_BLUNT = 0.01
_FEW = 8


def assignment(scores: Tensor) -> Tensor:
    """
    Permutation with the largest sum of scores: each row gets a column of its own.

    Parameters
    ----------
    scores : Tensor, shape (*batch, p, p)

    Returns
    -------
    Tensor, shape (*batch, p), int64
        Column of each row. Piecewise constant, so it has no derivative.

    Notes
    -----
    Matrices with entries that are not finite get the identity: optimizers overshoot, and their line searches
    backtrack from the nan that is then computed, but die of an exception. Where several permutations are
    best, some best one is returned.

    Runs on the CPU, one matrix after the other (shortest augmenting paths; Crouse 2016), p^3 operations each.
    Needs scipy.

    References
    ----------
    Kuhn 1955; Crouse 2016.

    Examples
    --------
    >>> import torch
    >>> assignment(torch.tensor([[5.0, 4.0], [4.0, 1.0]]))  # 4 + 4 is more than 5 + 1
    tensor([1, 0])
    """
    return _assignment(scores.detach())


# An operator of its own, so that torch.compile and torch.func.vmap can carry what they cannot look into.
@torch.library.custom_op("repsim_geo::assignment", mutates_args=(), schema="(Tensor scores) -> Tensor")
def _assignment(scores: Tensor) -> Tensor:
    solve = need("scipy.optimize", "matching", "Optimal assignment").linear_sum_assignment
    p = scores.shape[-1]
    matrices = scores.reshape(-1, p, p).double().cpu().numpy()
    columns = np.empty(matrices.shape[:2], dtype=np.int64)
    for row, matrix in zip(columns, matrices, strict=True):
        row[:] = solve(matrix, maximize=True)[1] if np.isfinite(matrix).all() else np.arange(p)
    return torch.from_numpy(columns).reshape(scores.shape[:-1]).to(scores.device)


@_assignment.register_fake
def _(scores: Tensor) -> Tensor:
    return scores.new_empty(scores.shape[:-1], dtype=torch.int64)


@_assignment.register_vmap
def _(info, in_dims, scores: Tensor):
    return _assignment(scores.movedim(in_dims[0], 0)), 0


def match_columns(x: Tensor, y: Tensor) -> Aligned:
    """
    Reorder the columns of `y` to come as close as possible to `x`: ``y @ P`` with a permutation matrix P.

    Parameters
    ----------
    x, y : Tensor, shape (*batch, m, p)

    Returns
    -------
    Aligned
        ``matrix``, shape (*batch, m, p), whose entries are exactly those of `y`, and ``rotation``, shape
        (*batch, p, p), the permutation matrix in working precision. Differentiable, with the permutation held
        constant, which is exact wherever there is only one best.

    Notes
    -----
    Where it is delicate: at columns that are nearly equal, whose order costs nearly nothing. Costs are
    therefore sums of squared differences, never differences of products, and a reordered copy is found
    exactly. Neither matrix's size matters to the order, so both are brought to size one before they are
    subtracted.
    """
    check_same_size(x, y)
    dtype = x.dtype
    x, y = torch.broadcast_tensors(x, y)
    costs = squared_distances_of_columns(_of_size_one(x), _of_size_one(y))
    order = assignment(-costs)
    places = torch.arange(x.shape[-1], device=x.device)
    rotation = (places[:, None] == order[..., None, :]).to(costs.dtype)
    return Aligned(y.gather(-1, order[..., None, :].expand(y.shape)).to(dtype), rotation)


def _of_size_one(x: Tensor) -> Tensor:
    x = working_precision(x.detach())
    largest = x.abs().amax((-2, -1), keepdim=True)
    return x / torch.where(largest > 0, largest, 1.0)


@torch.no_grad()
def squared_distances_of_columns(x: Tensor, y: Tensor) -> Tensor:
    """
    Squared distance of every column of `x` to every column of `y`, accurate for near columns too.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)
    y : Tensor, shape (*batch, m, q)

    Returns
    -------
    Tensor, shape (*batch, p, q)
        Exactly zero for equal columns. A constant for autograd.

    Notes
    -----
    One matrix product gives them all. Where it loses digits, for columns that are near relative to their
    lengths, the squared distance is recomputed from the difference: one by one if they are few, as in copies,
    otherwise all.
    """
    x, y = x.mT, y.mT
    lengths = x.square().sum(-1)[..., :, None] + y.square().sum(-1)[..., None, :]
    squares = lengths - 2 * x @ y.mT
    near = ~(squares > _BLUNT * lengths) & (lengths != 0)
    if not readable(near) or int(near.sum()) > _FEW * near[..., 0].numel():
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    *batch, rows, columns = near.nonzero(as_tuple=True)
    x, y = (w.expand(*near.shape[:-2], *w.shape[-2:]) for w in (x, y))
    exact = (x[(*batch, rows)] - y[(*batch, columns)]).square().sum(-1)
    return squares.index_put((*batch, rows, columns), exact)


@torch.no_grad()
def column_separation(x: Tensor) -> Tensor:
    """
    Smallest distance of two columns of a matrix; infinite if there is only one.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)

    Returns
    -------
    Tensor, shape (*batch)
    """
    a = working_precision(x)
    itself = torch.eye(x.shape[-1], dtype=torch.bool, device=x.device)
    squares = torch.where(itself, math.inf, squared_distances_of_columns(a, a))
    return squares.amin((-2, -1)).sqrt().to(x.dtype)


@torch.no_grad()
def steepest_exchange(x: Tensor, u: Tensor) -> Tensor:
    """
    Largest ratio ``(<x, uP> - <x, u>) / (<x, x> - <x, xP>)`` over the permutations P with ``xP != x``.

    It says how long columns that leave `x` with velocity `u` stay nearer to their own places than to each
    other's.

    Parameters
    ----------
    x, u : Tensor, shape (*batch, m, p)

    Returns
    -------
    Tensor, shape (*batch)
        A constant for autograd; ``-inf`` if no permutation changes `x`.

    Notes
    -----
    Exchanging two columns has the ratio ``-<x_i - x_j, u_i - u_j> / |x_i - x_j|^2``; the best one is where
    the search starts. From a ratio r it goes to the permutation with the largest numerator minus r times
    denominator, an assignment problem, and to its ratio, until that is no larger (Dinkelbach 1967). Ratios
    rise strictly and there are finitely many, so the end is reached, and it is the maximum.
    """
    dtype = x.dtype
    x, u = torch.broadcast_tensors(working_precision(x), working_precision(u))
    gains = x.mT @ u
    gains = gains - gains.diagonal(dim1=-2, dim2=-1)[..., None]
    losses = squared_distances_of_columns(x, x) / 2
    best = _ratio(gains + gains.mT, 2 * losses).amax((-2, -1))
    for _ in range(_MAX_STEPS):
        order = assignment(gains - best[..., None, None] * losses)[..., None]
        gain, loss = (a.gather(-1, order).sum((-2, -1)) for a in (gains, losses))
        ratio = _ratio(gain, loss)
        rises = ratio > best
        best = torch.where(rises, ratio, best)
        if not any_true(rises):
            break
    return best.to(dtype)


def _ratio(gain: Tensor, loss: Tensor) -> Tensor:
    """Gain over loss; ``-inf`` where nothing moves."""
    still = loss == 0
    return torch.where(still, -math.inf, gain / torch.where(still, 1.0, loss))
