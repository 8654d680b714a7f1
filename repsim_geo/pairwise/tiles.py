"""Symmetric (m, m) matrices of many networks, block by block: no matrix of all inputs is ever whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repsim_geo.embeddings.matrix_form import without_diagonal
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.kernels.length_scales import LengthScale
from repsim_geo.kernels.radial import Radial
from repsim_geo.numerics.norms import safe_sqrt, squared_norm
from repsim_geo.pairwise.lengths import measure
from repsim_geo.pairwise.matrices import Pairs, Run, added_up, distances_from_products, refuse_nothing, slices
from repsim_geo.pairwise.networks import Networks
from repsim_geo.pairwise.work import Work

Block = tuple[slice, slice]

# Inputs from whose distances the constant is guessed that is taken off all entries.
_GUESS = 256
# Share of the square of a matrix below which centering is not left to sums: digits would be lost.
MUCH_CENTERED = 1e-4
# Products of float32 numbers that are added up in float32; what these come to is added in float64.
_FLOAT32_TERMS = 2**13
# Networks on a side of a block of inner products, of which only the upper half is computed.
_SIDE = 512
# Inputs of the sample from which the time is predicted.
_SAMPLE = 512
# Entries of the differences of pairs of matrices that are formed at once.
PAIR_ELEMENTS = 2**21


class Sums(NamedTuple):
    """
    What blocks of matrices add up to.

    Attributes
    ----------
    products : Tensor, shape (n, k)
        Inner products of the matrices that are compared.
    squares : Tensor, shape (n + k,)
        Of all matrices with themselves.
    diagonals : Tensor, shape (n + k,)
        Squares of what was on diagonals that were left out.
    rows : Tensor, shape (n + k, m)
        Row sums.
    """

    products: Tensor
    squares: Tensor
    diagonals: Tensor
    rows: Tensor


class MatrixTiles(Work):
    """
    The matrices that the form of some networks makes of them, in blocks.

    Parameters
    ----------
    networks : Networks
    first : int or None
        The first so many networks are compared with the others; None compares all with all.
    side : int
        Inputs on a side of a block.
    whole : int
        Entries of all distances of some networks that may be held at once to choose lengths from.
    """

    def __init__(self, networks: Networks, first: int | None, side: int, whole: int):
        self.networks, self.first, self._most = networks, first, whole
        self.form = form = networks.form
        self.blocks = blocks_of(networks.m, side)
        self._row: tuple[slice, dict[int, Tensor]] | None = None
        groups = range(len(networks.groups))
        # A single block that more than one pass looks at is kept.
        again = len(self.blocks) == 1 and (form.rules or form.units or form.shifted)
        self._whole: list[Any] | None = [None for _ in groups] if again else None
        self._lengths = [self._measured(group, form.rules, self._distances) for group in groups]
        self._unit = [self._measured(group, form.units, self._entries) for group in groups]
        self._shift = [self._typical(group) if form.shifted else None for group in groups]

    # ------------------------------------------------------------------ blocks of matrices

    def plain(self, rows: slice, columns: slice) -> Tensor:
        """
        Block of all matrices, not centered but for a constant, without diagonal if the form wants none.

        Parameters
        ----------
        rows, columns : slice

        Returns
        -------
        Tensor, shape (n, r, c)
        """
        parts = []
        for group, (units, shift) in enumerate(zip(self._unit, self._shift, strict=True)):
            part = self._entries(group, rows, columns)
            for unit in units.values():
                part = part / unit[:, None, None]
            parts.append(part if shift is None else part - shift)
        tile = self.networks.sorted(parts)
        if self.form.centering.hollow and rows == columns and (self.form.shifted or self._leaves_out):
            # Distances have none, and everything else is a tensor born here.
            tile.diagonal(dim1=-2, dim2=-1).zero_()
        return tile

    def centered(self, rows: slice, columns: slice, sums: Tensor) -> Tensor:
        """
        Block of all matrices in the subspace of the metric.

        Parameters
        ----------
        rows, columns : slice
        sums : Tensor, shape (n, m)
            Row sums of `plain`.

        Returns
        -------
        Tensor, shape (n, r, c)
        """
        tile = self.plain(rows, columns)
        return self.form.centering.project(tile, sums.to(tile), rows, columns)

    def _entries(self, group: int, rows: slice, columns: slice) -> Tensor:
        return self.form.entries(self._base(group, rows, columns), self._lengths[group].__getitem__)

    def _distances(self, group: int, rows: slice, columns: slice) -> Tensor:
        """Distances between activations, from which kernels choose their lengths."""
        return safe_sqrt(self._base(group, rows, columns))

    def _base(self, group: int, rows: slice, columns: slice) -> Tensor:
        if self._whole is None:
            x, y = self._rows(group, rows, columns)
            return self.form.base(x, y, itself=rows == columns)
        if self._whole[group] is None:
            everything = self.blocks[0][0]
            self._whole[group] = self.form.base(*self._rows(group, everything, everything), itself=True)
        return self._whole[group][:, rows, columns]

    def _rows(self, group: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        # Blocks in one row come after each other: rows are read once. Other threads may be at another row.
        row = self._row
        if row is None or row[0] != rows:
            self._row = row = (rows, {})
        kept = row[1]
        if group not in kept:
            kept[group] = self.networks.stack(group, rows)
        x = kept[group]
        return x, x if rows == columns else self.networks.stack(group, columns)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_row": None}

    def _typical(self, group: int) -> Tensor:
        """Constant near the entries off the diagonal, of the first inputs; shape (networks, 1, 1)."""
        few = slice(0, min(self.networks.m, _GUESS))
        part = without_diagonal(self._entries(group, few, few).detach(), few, few)
        for unit in self._unit[group].values():
            part = part / unit.detach()[:, None, None]
        return part.sum((1, 2), keepdim=True) / (few.stop * (few.stop - 1))

    def _measured(
        self, group: int, rules: tuple[LengthScale, ...], distances: Callable[[int, slice, slice], Tensor]
    ) -> dict[LengthScale, Tensor]:
        m, members = self.networks.m, self.networks.groups[group]
        whole = [(slice(0, m), slice(0, m))]
        blocks = whole if len(members) * m * m <= self._most else self.blocks
        lengths = {}
        for rule in rules:
            try:
                lengths[rule] = measure(rule, lambda *block: distances(group, *block), m, blocks)
            except DegenerateRepresentationError as error:
                names = [self.networks.names[i] for i in members]
                raise DegenerateRepresentationError(f"one of {', '.join(names)}: {error}") from error
        return lengths

    # ------------------------------------------------------------------ what blocks add up to

    @property
    def nbytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  # of what it holds
        """Bytes of activations, or points, in memory."""
        return self.networks.nbytes

    def all_distances(self, run: Run) -> Tensor:
        form, networks = self.form, self.networks
        sums = self.sums(run)
        if isinstance(form.kernel, Radial) and form.kind in ("gram", "squared"):
            form.kernel.check_resemblance(self._total(sums), networks.m)
        first = slice(0, self.first)
        products = form.centering.products(sums.products, sums.rows[first], sums.rows[self.first or 0 :])
        squares = form.centering.squares(sums.squares, sums.rows)
        if bool((squares.detach() <= MUCH_CENTERED * sums.squares.detach()).any()):
            jobs = [(block, sums.rows) for block in self.blocks]
            products, squares = added_up(run("centered", self.centered_products_of, jobs))
        refuse_nothing(form, networks.names, networks.m, squares, self._before(sums), networks.dtype)

        def differences(pairs: Pairs) -> Tensor:
            return self.squared_differences(run, pairs, sums)

        return distances_from_products(form, networks.m, products, squares, differences, networks.dtype)

    def sample(self) -> tuple[Callable[[], Any], float]:
        few = slice(0, min(_SAMPLE, self.blocks[0][0].stop))
        return (lambda: self.sums_of((few, few))), few.stop**2 / sum(self.costs())

    def costs(self) -> list[float]:
        """Entries of every block."""
        return [float((r.stop - r.start) * (c.stop - c.start)) for r, c in self.blocks]

    def squared_differences(self, run: Run, pairs: Pairs, sums: Sums | None = None) -> Tensor:
        """
        Squared norms of differences of centered matrices.

        Parameters
        ----------
        run : callable
        pairs : Pairs
        sums : Sums, optional
            What `sums` returns, if it is known.

        Returns
        -------
        Tensor, shape (pairs,)
        """
        rows = (self.sums(run) if sums is None else sums).rows
        jobs = [(block, rows, pairs) for block in self.blocks]
        return added_up(run("differences", self.squared_differences_of, jobs))[0]

    def sums(self, run: Run) -> Sums:
        """
        What all blocks add up to.

        Parameters
        ----------
        run : callable

        Returns
        -------
        Sums
        """
        total: tuple[Tensor, ...] = ()
        rows = None
        parts = run("products", self.sums_of, [(block,) for block in self.blocks], self.costs())
        for block, part in zip(self.blocks, parts, strict=True):
            *added, r, c = part
            total = added_up([total, tuple(added)]) if total else tuple(added)
            rows = r.new_zeros(len(r), self.networks.m) if rows is None else rows
            for where, sums in zip(block, (r, c), strict=True):
                if sums.shape[-1]:
                    rows = rows.index_add(1, torch.arange(where.start, where.stop, device=r.device), sums)
        return Sums(*total, rows)

    def _before(self, sums: Sums) -> Tensor:
        """Squares of the matrices with their diagonals, and with the constant that was taken off."""
        shift = self._shifts(sums)
        taken = 2 * shift * sums.rows.sum(-1) + shift.square() * self._entries_in_all
        return sums.squares + taken + sums.diagonals

    def _total(self, sums: Sums) -> Tensor:
        """Sums of all entries, with the constant that was taken off."""
        return sums.rows.sum(-1) + self._shifts(sums) * self._entries_in_all

    def _shifts(self, sums: Sums) -> Tensor:
        if not self.form.shifted:
            return torch.zeros_like(sums.squares)
        return self.networks.sorted([s[:, 0, 0] for s in self._shift if s is not None]).to(sums.squares)

    @property
    def _entries_in_all(self) -> int:
        m = self.networks.m
        return m * (m - 1) if self.form.centering.hollow else m * m

    def sums_of(self, block: Block) -> tuple[Tensor, ...]:
        """
        What a block adds to the sums.

        Parameters
        ----------
        block : pair of slice

        Returns
        -------
        products, squares, diagonals : Tensor
            As in `Sums`.
        rows : Tensor, shape (n + k, r)
            What it adds to the sums of its rows.
        columns : Tensor, shape (n + k, c)
            The same for its columns, which are rows below the diagonal; empty on it.
        """
        tile = self.plain(*block)
        diagonal = block[0] == block[1]
        columns = tile.new_empty(len(tile), 0) if diagonal else tile.sum(1)
        left_out = self._left_out(block[0]) if diagonal and self._leaves_out else tile.new_zeros(len(tile))
        return (*self._multiplied(tile, block), left_out.double(), tile.sum(2).double(), columns.double())

    def _left_out(self, block: slice) -> Tensor:
        """Squares of the diagonal of Gram matrices that are made hollow; shape (n + k,)."""
        rows = [self.networks.stack(group, block) for group in range(len(self.networks.groups))]
        return self.networks.sorted([squared_norm(x, 1).double().square().sum(-1) for x in rows])

    @property
    def _leaves_out(self) -> bool:
        return self.form.kind == "gram" and self.form.linear and self.form.centering.hollow

    def centered_products_of(self, block: Block, sums: Tensor) -> tuple[Tensor, ...]:
        """What a block of centered matrices adds to their inner products, and to their squares."""
        return self._multiplied(self.centered(*block, sums), block)

    def squared_differences_of(self, block: Block, sums: Tensor, pairs: Pairs) -> tuple[Tensor, ...]:
        """
        What a block adds to the squared norms of differences of centered matrices.

        Parameters
        ----------
        block : pair of slice
        sums : Tensor, shape (n + k, m)
        pairs : Pairs

        Returns
        -------
        tuple of one Tensor, shape (pairs,)
        """
        flat = self.centered(*block, sums).flatten(1)
        parts = [
            (flat[i] * s[:, None].to(flat) - flat[j] * t[:, None].to(flat)).square().sum(-1)
            for i, j, s, t in pairs.split(max(1, self._pair_elements // flat.shape[-1]))
        ]
        return (_times(block) * torch.cat(parts).double(),)

    @property
    def _pair_elements(self) -> int:
        return min(PAIR_ELEMENTS, self.networks.read_elements)

    def _multiplied(self, tile: Tensor, block: Block) -> tuple[Tensor, Tensor]:
        flat = tile.flatten(1)
        if self.first is None:
            products = _times(block) * products_of_all(flat)
            return products, products.diagonal()
        products = _products(flat[: self.first], flat[self.first :])
        return _times(block) * products, _times(block) * flat.square().sum(-1).double()


def _times(block: Block) -> int:
    """How often a block is in a symmetric matrix."""
    return 1 if block[0] == block[1] else 2


def products_of_all(flat: Tensor) -> Tensor:
    """Inner products of all rows (n, q) in float64, shape (n, n); of many only the upper half is formed."""
    n = len(flat)
    if n <= 2 * _SIDE:
        return _products(flat, flat)
    whole = flat.new_empty(n, n, dtype=torch.float64)
    for i in range(0, n, _SIDE):
        part = _products(flat[i : i + _SIDE], flat[i:])
        whole[i : i + _SIDE, i:], whole[i:, i : i + _SIDE] = part, part.mT
    return whole


def _products(x: Tensor, y: Tensor) -> Tensor:
    """Inner products of rows in float64; sums of float32 numbers are kept short."""
    if x.dtype == torch.float64:
        return x @ y.mT
    whole = x.shape[-1] // _FLOAT32_TERMS * _FLOAT32_TERMS
    rest = (x[:, whole:] @ y[:, whole:].mT).double()
    if not whole:
        return rest
    x, y = (w[:, :whole].unflatten(1, (-1, _FLOAT32_TERMS)).transpose(0, 1) for w in (x, y))
    return rest + (x @ y.mT).sum(0, dtype=torch.float64)


def blocks_of(m: int, side: int) -> list[Block]:
    """Blocks on and above the diagonal of an (m, m) matrix."""
    starts = slices(0, m, side)
    return [(rows, columns) for rows in starts for columns in starts if rows.start <= columns.start]
