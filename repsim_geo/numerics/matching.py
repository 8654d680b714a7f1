"""Soft matching: optimal transport between the columns of two matrices of different widths."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.assignment import assignment, squared_distances_of_columns

# Up to this least common multiple of the widths, repeated columns are assigned to each other, by scipy alone.
_FEW = 512


class Coupling(NamedTuple):
    """
    Which share of the mass goes from which column of one matrix to which of another.

    Attributes
    ----------
    rows, columns : Tensor, shape (*batch, k), int64
        Columns of the first and of the second matrix.
    masses : Tensor, shape (*batch, k)
        Shares, with sum one.
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor


def couple(costs: Tensor) -> Coupling:
    """
    Cheapest coupling of two uniform distributions.

    Parameters
    ----------
    costs : Tensor, shape (*batch, p, q)
        Cost of moving unit mass from row i to column j.

    Returns
    -------
    Coupling
        In units of ``1 / lcm(p, q)`` all masses are whole numbers. Piecewise constant in the costs, so it has
        no derivative.

    Notes
    -----
    With L the least common multiple of p and q, rows repeated L/p times and columns repeated L/q times turn
    this into an assignment problem (a transport problem with whole supplies has whole solutions). That is how
    it is solved if p = q or L is small; otherwise by the network simplex algorithm, which ends at a vertex, a
    coupling of at most p + q - 1 pairs. Needs scipy, and POT for the latter. Costs that are not finite give
    masses that are nan.

    References
    ----------
    Bonneel et al. 2011; Flamary et al. 2021.

    Examples
    --------
    >>> import torch
    >>> couple(torch.tensor([[0.0, 1.0, 2.0]])).masses * 3  # one row must serve all three columns
    tensor([1., 1., 1.])
    """
    p, q = costs.shape[-2:]
    size = math.lcm(p, q)
    if p != q and size > _FEW:
        return Coupling(*_transport(costs.detach()))
    repeated = costs.detach().repeat_interleave(size // p, -2).repeat_interleave(size // q, -1)
    columns = assignment(-repeated) // (size // q)
    rows = torch.arange(size, device=costs.device) // (size // p)
    finite = costs.isfinite().all(-1).all(-1)[..., None]
    masses = torch.where(finite, torch.full_like(finite, 1 / size, dtype=costs.dtype), math.nan)
    return Coupling(*(a.expand(columns.shape) for a in (rows, columns, masses)))


@torch.library.custom_op(
    "repsim_geo::transport", mutates_args=(), schema="(Tensor costs) -> (Tensor, Tensor, Tensor)"
)
def _transport(costs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p, q = costs.shape[-2:]
    solve = need("ot", "matching", f"Soft matching of {p} and {q} columns").emd
    size = math.lcm(p, q)
    # Whole supplies, so that the algorithm adds and subtracts without rounding.
    supply, demand = np.full(p, size // p, dtype=np.float64), np.full(q, size // q, dtype=np.float64)
    matrices = costs.reshape(-1, p, q).double().cpu().numpy()
    pairs = np.zeros((2, len(matrices), p + q - 1), dtype=np.int64)
    masses = np.zeros((len(matrices), p + q - 1))
    for k, matrix in enumerate(matrices):
        if np.isfinite(matrix).all():
            plan = solve(supply, demand, np.ascontiguousarray(matrix), numItermax=2**31 - 1)
            rows, columns = np.nonzero(plan)
            pairs[:, k, : len(rows)] = rows, columns
            masses[k, : len(rows)] = plan[rows, columns] / size
        else:
            masses[k] = math.nan
    shape = (*costs.shape[:-2], p + q - 1)
    rows, columns = (torch.from_numpy(a).reshape(shape).to(costs.device) for a in pairs)
    return rows, columns, torch.from_numpy(masses).reshape(shape).to(costs)


@_transport.register_fake
def _(costs: Tensor):
    shape = (*costs.shape[:-2], costs.shape[-2] + costs.shape[-1] - 1)
    return *(costs.new_empty(shape, dtype=torch.int64) for _ in range(2)), costs.new_empty(shape)


@_transport.register_vmap
def _(info, in_dims, costs: Tensor):
    return _transport(costs.movedim(in_dims[0], 0)), (0, 0, 0)


def squared_wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """
    Squared Wasserstein distance between the columns of two matrices, each column of the same mass.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)
    y : Tensor, shape (*batch, m, q)

    Returns
    -------
    Tensor, shape (*batch)
        Smallest mean squared distance of coupled columns. Differentiable, with the coupling held constant:
        exact wherever there is only one best (envelope theorem).

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 3.0, 3.0]])
    >>> squared_wasserstein(x, y)  # a sixth of the mass moves by 3
    tensor(1.5000)
    """
    batch = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = x.expand(*batch, *x.shape[-2:]), y.expand(*batch, *y.shape[-2:])
    with torch.no_grad():
        costs = squared_distances_of_columns(working_precision(x), working_precision(y))
        rows, columns, masses = (a[..., None, :] for a in couple(costs))
    m, k = x.shape[-2], rows.shape[-1]
    moves = x.gather(-1, rows.expand(*batch, m, k)) - y.gather(-1, columns.expand(*batch, m, k))
    return (masses.to(x.dtype) * moves.square()).sum((-2, -1))
