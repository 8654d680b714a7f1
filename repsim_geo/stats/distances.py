"""Matrices of distances: what users hand in, checked at one door; and those between stacks of points."""

from __future__ import annotations

import math
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.stats.points import as_numbers

# What counts as rounding, relative to the largest entry. Distances from inner products carry the root of
# their rounding where they are small; and what is stored in float64 may have been computed in float32.
_ROUNDING = 4 * math.sqrt(torch.finfo(torch.float32).eps)


def as_distances(
    distances: Any, *, batched: bool = False, columns: int | None = None, precise: bool = False
) -> Tensor:
    """
    A matrix of distances as a tensor without history; the input is never changed.

    Parameters
    ----------
    distances : array-like, shape (n, n), or (*batch, n, n) if `batched`, or (q, columns)
        Real numbers of any kind; whole ones become float64, half precision becomes float32.
    batched : bool
        Whether several matrices at once are understood.
    columns : int, optional
        Number of fitted points, if these are distances of new points to them.
    precise : bool
        Whether to return float64 (where the device has it) whatever came.

    Returns
    -------
    Tensor
        Nonnegative; if square, exactly symmetric with exactly zero diagonal.

    Raises
    ------
    TypeError
        Not an array of real numbers.
    ShapeError
        Not square, or without a column for each fitted point.
    ValueError
        Not finite; or negative, asymmetric or not zero on the diagonal by more than rounding, for which
        0.14 % of the largest distance is taken: float32 may leave as much in a distance that is zero.

    Examples
    --------
    >>> as_distances([[0, 3], [3, 0]])
    tensor([[0., 3.],
            [3., 0.]], dtype=torch.float64)
    """
    d = as_matrix(distances, "distances", batched=batched)
    if columns is None:
        _check_square(d, "distances")
    elif d.shape[-1] != columns:
        raise ShapeError(
            f"distances must have a column for each of the {columns} fitted points, shape (q, {columns}), "
            f"got {tuple(d.shape)}. New points are rows: metric.cdist(new, fitted)."
        )
    _check_finite(d, "distances")
    slack = _slack(d)
    if bool((d < -slack).any()):
        raise ValueError(
            f"distances must not be negative, got {float(d.min()):.3g}. Turn similarities into distances "
            "first."
        )
    if columns is None:
        d = _symmetric(d, "distances", slack)
        loud = d.diagonal(dim1=-2, dim2=-1).abs() > slack[..., 0]
        if bool(loud.any()):
            raise ValueError(
                "distances must be zero on the diagonal, got "
                f"{float(d.diagonal(dim1=-2, dim2=-1).max()):.3g}. Turn similarities into distances first."
            )
        d = d.masked_fill(torch.eye(d.shape[-1], dtype=torch.bool, device=d.device), 0.0)
    d = d.clamp_min(0)  # of a similarity of 1 + 2e-16
    return working_precision(d) if precise else d


def as_symmetric(matrix: Any, name: str, *, precise: bool = True) -> Tensor:
    """
    A symmetric matrix, of distances or similarities or weights; the input is never changed.

    Parameters
    ----------
    matrix : array-like, shape (n, n)
    name : str
        What to call it in messages.
    precise : bool
        Whether to return float64 (where the device has it) whatever came.

    Returns
    -------
    Tensor, shape (n, n)

    Raises
    ------
    TypeError, ShapeError, ValueError
        Not real numbers, not square, not finite, or not symmetric up to rounding.
    """
    a = as_matrix(matrix, name)
    _check_square(a, name)
    _check_finite(a, name)
    a = _symmetric(a, name, _slack(a))
    return working_precision(a) if precise else a


def as_matrix(values: Any, name: str, *, batched: bool = False) -> Tensor:
    """
    Two axes of real numbers in float32 or float64, without history, finite or not.

    Parameters
    ----------
    values : array-like
    name : str
        What to call it in messages.
    batched : bool
        Whether there may be more axes.

    Returns
    -------
    Tensor, shape (q, n), or (*batch, q, n)

    Raises
    ------
    TypeError, ShapeError
    """
    values = as_numbers(values, name)
    if values.dim() < 2 or 0 in values.shape or (values.dim() > 2 and not batched):
        raise ShapeError(
            f"{name} must be a square matrix (n, n), or have one row for each new point (q, n), got shape "
            f"{tuple(values.shape)}. scipy's squareform makes a matrix of a condensed vector."
        )
    return values


def _check_square(a: Tensor, name: str) -> None:
    if a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{name} must be a square matrix (n, n), got shape {tuple(a.shape)}. pairwise(), or cdist of a "
            "metric, computes all pairs."
        )


def _check_finite(a: Tensor, name: str) -> None:
    bad = ~a.isfinite()
    if not bool(bad.any()):
        return
    # One network that failed spoils its row, and an entry of all others. It is the one to name.
    spoilt = bad.sum(-1) >= max(1, a.shape[-1] - 1)
    worst = spoilt if bool(spoilt.any()) else bad.any(-1)
    rows = sorted({int(i) for i in worst.nonzero()[:, -1]})
    raise ValueError(
        f"{name} must be finite, got nan or infinity in row {', '.join(map(str, rows[:5]))}"
        f"{' and others' if len(rows) > 5 else ''}. Leave out the networks that failed; single pairs may "
        "have weight zero where weights of pairs are taken."
    )


def _slack(a: Tensor) -> Tensor:
    """What is rounding in each matrix, shape (*batch, 1, 1)."""
    return _ROUNDING * a.abs().amax((-2, -1), keepdim=True)


def _symmetric(a: Tensor, name: str, slack: Tensor) -> Tensor:
    """The symmetric part, if the rest is rounding."""
    uneven = (a - a.mT).abs()
    if bool((uneven > slack).any()):
        raise ValueError(
            f"{name} must be symmetric, got entries that differ by up to {float(uneven.max()):.3g} from "
            f"those across the diagonal. Use ({name} + {name}.T) / 2 if that is meant."
        )
    return a / 2 + a.mT / 2  # and not half of the sum, which can overflow


def scale_of(d: Tensor) -> float:
    """
    A power of two, at most the largest entry and more than half of it: dividing by it loses no digits.

    Parameters
    ----------
    d : Tensor
        Nonnegative.

    Returns
    -------
    float
        1 if all entries are zero.

    Examples
    --------
    >>> scale_of(torch.tensor([0.0, 1.0, 11.0]))
    8.0
    """
    largest = float(d.max())
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0 else 1.0


def check_squares(d: Tensor) -> None:
    """
    Refuse distances whose squares have no finite sum.

    Parameters
    ----------
    d : Tensor, shape (q, n)

    Raises
    ------
    ValueError
    """
    largest = float(d.max())
    if largest > math.sqrt(torch.finfo(d.dtype).max) / max(d.shape):
        raise ValueError(
            f"distances must have squares that {str(d.dtype).removeprefix('torch.')} can add, got up to "
            f"{largest:.3g}. Divide them by the largest, and multiply what is found by it."
        )


def between(manifold: Manifold, x: Tensor, y: Tensor) -> Tensor:
    """
    All distances of two stacks of points, on any manifold and in bounded memory.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``; ``cdist`` is used where it exists.
    x : Tensor, shape (*batch, n, *point)
    y : Tensor, shape (*batch, k, *point)

    Returns
    -------
    Tensor, shape (*batch, n, k)
    """
    if hasattr(manifold, "cdist"):
        return manifold.cdist(x, y)
    axis = -manifold.ndim - 1
    # Some manifolds of geoopt keep the axes of a point that the distance has summed over.
    shape = (*torch.broadcast_shapes(x.shape[:axis], y.shape[:axis]), -1, y.shape[axis])
    parts = x.unsqueeze(axis).split(max(1, BLOCK_ELEMENTS // max(1, y.numel())), axis - 1)
    y = y.unsqueeze(axis - 1)
    return torch.cat([manifold.dist(part, y).reshape(shape) for part in parts], -2)
