"""Angles between the Gram matrices of all pairs of networks, from blocks of inputs or of units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from repsim_geo.embeddings.gram_tiles import GramTiles
from repsim_geo.numerics.angles import angle_from_chords

# Entries of the intermediate products of a block.
_BLOCK_ELEMENTS = 2**21
# One minus the cosine, below which the angle is taken from the difference of two matrices.
_NEAR = {torch.float64: 1e-4, torch.float32: 5e-3}

# Maps a function over a list of blocks, in order; may use threads.
Run = Callable[[Callable[[Any], Tensor], list[Any]], Iterable[Tensor]]


def all_angles(tiles: GramTiles, run: Run) -> Tensor:
    """
    All angles, from inner products that are added up block by block.

    Parameters
    ----------
    tiles : GramTiles
        Of n networks, none of which is zero.
    run : callable

    Returns
    -------
    Tensor, shape (n, n)
        Radians; symmetric, zero on the diagonal.

    Notes
    -----
    The cosine loses half of the digits of small angles, so pairs nearer than a hundredth are looked at
    again: the difference of their matrices, block by block, gives the chord.
    """
    products = inner_products(tiles, run)
    tiles.check(products.diagonal())
    size = products.diagonal().sqrt()
    i, j = torch.triu_indices(*products.shape, 1, device=products.device)
    cosines = products[i, j] / (size[i] * size[j])
    difference2, sum2 = 2 - 2 * cosines, 2 + 2 * cosines
    near = cosines.detach().abs() > 1 - _NEAR[tiles.dtype]
    if bool(near.any()):
        sign = cosines.detach()[near].sign()
        chords2 = _squared_chords(tiles, size, i[near], j[near], sign, run)
        difference2[near] = torch.where(sign > 0, chords2, 4 - chords2)
        sum2[near] = torch.where(sign > 0, 4 - chords2, chords2)
    upper = torch.zeros_like(products)
    upper[i, j] = angle_from_chords(difference2, sum2)
    return (upper + upper.mT).to(tiles.dtype)


def inner_products(tiles: GramTiles, run: Run) -> Tensor:
    """
    Inner products of all Gram matrices, in float64, by the way that takes fewer multiplications.

    Parameters
    ----------
    tiles : GramTiles
    run : callable

    Returns
    -------
    Tensor, shape (n, n)

    Notes
    -----
    From blocks of inputs: a block of all networks is a matrix (n, t^2), and its product with itself is what
    the block adds; ``m^2 (sum of widths + n^2)``. From units: ``m (sum of widths)^2``. U-centered matrices
    always the first way, which keeps digits where next to nothing is left of them.
    """
    n, units = len(tiles.widths), sum(tiles.widths)
    if not tiles.debiased and units**2 < tiles.m * (units + n**2):
        return _from_units(tiles, run)

    def of_block(block: tuple[slice, slice]) -> Tensor:
        flat = tiles.tile(*block).flatten(1)
        return _twice_off_diagonal(block) * (flat @ flat.mT).double()

    return _sum(run(of_block, _blocks(tiles)))


def _from_units(tiles: GramTiles, run: Run) -> Tensor:
    n = len(tiles.widths)
    pieces = list(tiles.feature_products(_BLOCK_ELEMENTS))
    whole = torch.zeros(n, n, dtype=torch.float64, device=tiles.device)
    for (i, j, _), values in zip(pieces, run(lambda piece: piece[2](), pieces), strict=True):
        whole[i[:, None], j], whole[j[:, None], i] = values, values.mT
    return whole


def _squared_chords(tiles: GramTiles, size: Tensor, i: Tensor, j: Tensor, sign: Tensor, run: Run) -> Tensor:
    """Squared lengths of ``a_i - sign a_j`` for unit matrices a; shape of `i`."""
    blocks = _blocks(tiles)
    pairs = max(1, _BLOCK_ELEMENTS // (blocks[0][0].stop - blocks[0][0].start) ** 2)
    parts = list(zip(i.split(pairs), j.split(pairs), sign.to(tiles.dtype).split(pairs), strict=True))

    def of_block(block: tuple[slice, slice]) -> Tensor:
        flat = tiles.tile(*block).flatten(1) / size[:, None].to(tiles.dtype)
        squares = [(flat[a] - s[:, None] * flat[b]).square().sum(-1) for a, b, s in parts]
        return _twice_off_diagonal(block) * torch.cat(squares).double()

    return _sum(run(of_block, blocks))


def _blocks(tiles: GramTiles) -> list[tuple[slice, slice]]:
    """Blocks on and above the diagonal."""
    side = max(1, min(tiles.m, math.isqrt(_BLOCK_ELEMENTS // len(tiles.widths))))
    starts = range(0, tiles.m, side)
    return [(slice(i, i + side), slice(j, j + side)) for i in starts for j in starts if i <= j]


def _twice_off_diagonal(block: tuple[slice, slice]) -> int:
    return 1 if block[0] == block[1] else 2


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, parts)
