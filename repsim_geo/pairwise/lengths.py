"""Lengths that follow the distances between all inputs, also where these are too many to be had at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.kernels.length_scales import LengthScale, Mean
from repsim_geo.numerics.dissimilarities import upper_triangle

# Binary digits that one pass over all distances settles.
_DIGITS = 16
_BITS = {torch.float32: (torch.int32, 32), torch.float64: (torch.int64, 64)}


def measure(
    rule: LengthScale, distances: Callable[[slice, slice], Tensor], m: int, blocks: list[tuple[slice, slice]]
) -> Tensor:
    """
    Length of every network.

    Parameters
    ----------
    rule : LengthScale
    distances : callable
        From blocks of rows and columns to the distances of n networks, shape (n, r, c).
    m : int
        Number of inputs.
    blocks : list of pairs of slice
        On and above the diagonal; one block if the matrices fit.

    Returns
    -------
    Tensor, shape (n,)
        What the rule says of the whole matrices; exactly, whatever the blocks. From several blocks without
        derivative.
    """
    if len(blocks) == 1:
        return rule(distances(*blocks[0]))

    def pairs() -> Iterator[Tensor]:
        for rows, columns in blocks:
            d = distances(rows, columns).detach()
            yield upper_triangle(d) if rows == columns else d.flatten(1)

    few = distances(slice(0, 2), slice(0, 2)).detach()
    if isinstance(rule, Mean):
        total = torch.stack([part.double().sum(-1) for part in pairs()]).sum(0)
        return rule.checked(rule.multiple * (total / (m * (m - 1) / 2)).to(few))
    weights = rule.ranks(m)
    if weights is None:
        raise ShapeError(
            f"{type(rule).__name__} looks at all distances between {m} inputs at once, which do not fit. "
            "Write its method ranks, or take one of Fixed, Mean, Median and Quantile."
        )
    if not weights:
        return rule(few)
    found = order_statistics(pairs, [k for k in weights if k >= 0], few)
    length = few.new_zeros(len(few))
    for k, value in found.items():
        length = length + weights[k] * value
    return rule.checked(length)


def order_statistics(
    values: Callable[[], Iterable[Tensor]], ranks: list[int], like: Tensor
) -> dict[int, Tensor]:
    """
    The k-th smallest of many values, exactly, in a few passes over them.

    Parameters
    ----------
    values : callable
        Starts a pass: blocks of nonnegative values of n networks, shape (n, any), anew.
    ranks : list of int
        Counted from 0.
    like : Tensor, shape (n, ...)
        Whose dtype and device the values have.

    Returns
    -------
    dict of int to Tensor, shape (n,)

    Notes
    -----
    Nonnegative floating-point numbers are ordered as their bits are. Every pass counts the values by their
    next 16 bits, among those that begin like the one that is searched: two passes in float32, four in
    float64.
    """
    integer, bits = _BITS[like.dtype]
    begins = {(i, k): 0 for i in range(len(like)) for k in ranks}
    before = {(i, k): k for i, k in begins}
    for shift in range(bits - _DIGITS, -1, -_DIGITS):
        counts = {(i, begin): torch.zeros(2**_DIGITS, dtype=torch.int64) for (i, _), begin in begins.items()}
        for block in values():
            patterns = block.view(integer)
            for (i, begin), count in counts.items():
                of = patterns[i]
                if shift + _DIGITS < bits:
                    of = of[(of >> (shift + _DIGITS)) == begin]
                digits = ((of >> shift) & (2**_DIGITS - 1)).long()
                count += torch.bincount(digits, minlength=2**_DIGITS).cpu()
        for (i, k), begin in begins.items():
            upto = counts[i, begin].cumsum(0)
            digit = int(torch.searchsorted(upto, before[i, k], right=True))
            before[i, k] -= int(upto[digit - 1]) if digit else 0
            begins[i, k] = (begin << _DIGITS) | digit
    return {
        k: torch.tensor([begins[i, k] for i in range(len(like))], dtype=integer)
        .view(like.dtype)
        .to(like.device)
        for k in ranks
    }
