"""Distances of metrics on (m, m) matrices, from inner products that are added up piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from repsim_geo.embeddings.matrix_form import MatrixForm
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.numerics.angles import angle_from_chords
from repsim_geo.numerics.norms import safe_sqrt

# Squared distance over squared sizes, below which it is taken from differences of matrices.
NEAR = {torch.float64: 2e-4, torch.float32: 1e-2}

# Maps a method over a list of jobs, in their order: name of the phase, method, jobs, and what each costs.
Run = Callable[..., Iterable[tuple[Tensor, ...]]]


class Pairs(NamedTuple):
    """
    Matrices of which ``|s a - t b|`` is asked.

    Attributes
    ----------
    i, j : Tensor of int, shape (pairs,)
        Numbers of a and b.
    s, t : Tensor, shape (pairs,)
    """

    i: Tensor
    j: Tensor
    s: Tensor
    t: Tensor

    def split(self, size: int) -> list[Pairs]:
        """Pieces of at most so many pairs."""
        return [Pairs(*piece) for piece in zip(*(w.split(size) for w in self), strict=True)]


def distances_from_products(
    form: MatrixForm,
    m: int,
    products: Tensor,
    squares: Tensor,
    differences: Callable[[Pairs], Tensor],
    dtype: torch.dtype,
) -> Tensor:
    """
    Distances of all matrices from their inner products; near ones from differences.

    Parameters
    ----------
    form : MatrixForm
    m : int
        Number of inputs.
    products : Tensor, shape (n, k)
    squares : Tensor, shape (n,) or (n + k,)
        Of all with themselves. As many as rows of `products`: all are compared with all.
    differences : callable
        From pairs to the squared norms of their differences, shape (pairs,).
    dtype : torch.dtype

    Returns
    -------
    Tensor, shape (n, k)
        Symmetric with zero diagonal if all are compared with all.

    Notes
    -----
    Inner products lose half of the digits of small distances, so pairs nearer than a hundredth of their size
    (a tenth in float32) are looked at again.
    """
    n, k = products.shape
    everything = len(squares) == n
    i, j = torch.triu_indices(n, n, 1) if everything else torch.cartesian_prod(*map(torch.arange, (n, k))).T
    i, j = i.to(products.device), j.to(products.device)
    a, b = squares[i].sqrt(), (squares if everything else squares[n:])[j].sqrt()
    product = products[i, j]
    if form.unit:
        cosine = product / (a * b)
        apart, across, scale = 2 - 2 * cosine, 2 + 2 * cosine, torch.full_like(a, 2.0)
        sign = cosine.detach().sign()
    else:
        scale = a.square() + b.square()
        apart, across, sign = scale - 2 * product, None, torch.ones_like(a)
    nearest = apart if across is None else torch.minimum(apart, across)
    near = nearest.detach() < NEAR[dtype] / 2 * scale.detach()
    if bool(near.any()):
        other = j if everything else j + n
        one = torch.ones_like(a)
        s, t = (1 / a, sign / b) if form.unit else (one, one)
        again = differences(Pairs(*(w[near] for w in (i, other, s, t))))
        if across is None:
            apart[near] = again
        else:
            apart[near] = torch.where(sign[near] > 0, again, 4 - again)
            across[near] = torch.where(sign[near] > 0, 4 - again, again)
    values = safe_sqrt(apart / (m * (m - 1))) if across is None else angle_from_chords(apart, across)
    table = torch.zeros_like(products)
    table[i, j] = values
    return (table + table.mT if everything else table).to(dtype)


def refuse_nothing(
    form: MatrixForm, names: list[str], m: int, squares: Tensor, before: Tensor, dtype: torch.dtype
):
    """
    Refuse matrices of which centering leaves nothing but rounding.

    Parameters
    ----------
    form : MatrixForm
    names : list of str
    m : int
    squares, before : Tensor, shape (n,)
        Squared norms after and before it.
    dtype : torch.dtype
        That of the activations.

    Raises
    ------
    DegenerateRepresentationError
        Says which network.
    """
    if not form.unit:
        return
    eps = 16 * torch.finfo(dtype).eps
    gone = squares.detach() <= (m * eps) ** 2 * before.detach()
    if form.directions:
        # Squared distances of directions that differ by rounding are rounding.
        gone = gone | (before.detach() <= (m * eps**2) ** 2)
    if bool(gone.any()):
        raise DegenerateRepresentationError(f"{names[int(gone.nonzero()[0])]}: {form.nothing_left()}")


def added_up(parts: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Sum of what the jobs of a phase return, in their order."""
    total: tuple[Tensor, ...] = ()
    for part in parts:
        total = tuple(map(torch.add, total, part)) if total else part
    return total


def slices(start: int, stop: int, side: int) -> list[slice]:
    """
    A range in pieces of at most so many.

    Parameters
    ----------
    start, stop, side : int

    Returns
    -------
    list of slice

    Examples
    --------
    >>> slices(0, 5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(i, min(i + side, stop)) for i in range(start, stop, side)]
