"""Inner products of (m, m) matrices from cross-products of units: m of them at a time, whatever m is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.norms import squared_norm
from repsim_geo.pairwise.matrices import Pairs, Run, distances_from_products, refuse_nothing
from repsim_geo.pairwise.networks import Networks
from repsim_geo.pairwise.tiles import MUCH_CENTERED, MatrixTiles

# Rows whose products are added up in float32; what they come to is added in float64.
_FLOAT32_ROWS = 4096
# Units whose products with all others are formed at once on the diagonal, where half of them are not needed.
STRIP_COLUMNS = 512
# Entries of the networks of pairs that are decomposed at once.
_PAIR_ELEMENTS = 2**22


class FeatureProducts:
    """
    Matrices that are linear in the Gram matrix of a linear kernel, through ``<x x', y y'> = |x'y|^2``.

    Parameters
    ----------
    networks : Networks
        With a form that is linear.
    first : int or None
        The first so many networks are compared with the others; None compares all with all.
    columns : int
        Units on a side of a cross-product, at most (or one network).
    side : int
        Inputs on a side of a block, where blocks of matrices are needed after all.

    Notes
    -----
    Near pairs: ``a x x' - b y y'`` is as large as it is in the basis of a QR decomposition of both together,
    of twice as many columns as a network has units.
    """

    def __init__(self, networks: Networks, first: int | None, columns: int, side: int):
        self.networks, self.first, self.side = networks, first, side
        self.form = networks.form
        n = len(networks)
        self._rows = _together(networks.widths, 0, n if first is None else first, columns)
        self._columns = self._rows if first is None else _together(networks.widths, first, n, columns)
        self.diagonals = self._norms() if self.form.diagonals_matter else None

    @property
    def tiles(self) -> list[tuple[range, range]]:
        """Networks of every tile."""
        everything = self.first is None
        return [(i, j) for i in self._rows for j in self._columns if not everything or i.start <= j.start]

    def costs(self) -> list[float]:
        """Floating-point operations of every tile."""
        widths, m = self.networks.widths, self.networks.m
        return [2.0 * m * sum(widths[k] for k in i) * sum(widths[k] for k in j) for i, j in self.tiles]

    def __sizeof__(self) -> int:
        # Schedulers ask, and send large objects once to every worker instead of with every job.
        return object.__sizeof__(self) + self.networks.nbytes

    def all_distances(self, run: Run) -> Tensor:
        """
        Distances of all networks.

        Parameters
        ----------
        run : callable

        Returns
        -------
        Tensor, shape (n, k)
        """
        networks, form, n = self.networks, self.form, len(self.networks)
        whole = torch.zeros(n, n, dtype=torch.float64, device=networks.device)
        tiles = self.tiles
        for (i, j), (values,) in zip(
            tiles, run("products", self.squares_of, tiles, self.costs()), strict=True
        ):
            rows, columns = slice(i.start, i.stop), slice(j.start, j.stop)
            whole[rows, columns] = values
            if self.first is None:
                whole[columns, rows] = values.mT
        if self.first is not None:
            own = [(range(k, k + 1),) * 2 for k in range(n)]
            for k, (values,) in enumerate(run("squares", self.squares_of, own)):
                whole[k, k] = values[0, 0]
        products = form.from_features(whole, self.diagonals, networks.m)
        squares = products.diagonal()
        before = form.uncentered(whole, self.diagonals, networks.m).diagonal()
        if bool((squares.detach() <= MUCH_CENTERED * before.detach()).any()):
            # Differences of large sums have lost the digits.
            return self._tiles().all_distances(run)
        refuse_nothing(form, networks.names, networks.m, squares, before, networks.dtype)
        if self.first is not None:
            products = products[: self.first, self.first :]

        def differences(pairs: Pairs) -> Tensor:
            if squares.requires_grad:
                # A QR decomposition has no derivative where a network has silent units.
                return self._tiles().squared_differences(run, pairs)
            size = max(1, _PAIR_ELEMENTS // (2 * networks.m * max(networks.widths)))
            jobs = [(part,) for part in pairs.split(size)]
            return torch.cat([values for (values,) in run("differences", self.differences_of, jobs)])

        return distances_from_products(form, networks.m, products, squares, differences, networks.dtype)

    def _tiles(self) -> MatrixTiles:
        return MatrixTiles(self.networks, self.first, self.side, 0)

    def sample(self, rows: int, networks: int) -> tuple[Callable[[], Any], float]:
        """
        A piece of the work, and which share of all it is.

        Parameters
        ----------
        rows, networks : int
            Not looked at.

        Returns
        -------
        callable, float
        """
        costs, (i, j) = self.costs(), self.tiles[0]
        # A block as the work has them: adding one up takes time too.
        rows = self._blocks(i, j, None)[0].stop
        return (lambda: self.squares_of(i, j, rows)), costs[0] / sum(costs) * rows / self.networks.m

    def squares_of(self, i: range, j: range, rows: int | None = None) -> tuple[Tensor, ...]:
        """
        Squared norms of cross-products.

        Parameters
        ----------
        i, j : range
            Networks.
        rows : int, optional
            Take the first so many only.

        Returns
        -------
        tuple of one Tensor, shape (i, j)
        """
        same = i == j
        # Of a tile on the diagonal only what lies to the right of its strips.
        strips = _together(self.networks.widths, i.start, i.stop, STRIP_COLUMNS) if same else [i]
        totals: list[Tensor] = []
        for block in self._blocks(i, j, rows):
            x = torch.cat(self.networks.of(i, block), -1)
            y = x if same else torch.cat(self.networks.of(j, block), -1)
            parts = [left.mT @ y[:, start:] for left, start in self._strips(x, strips)]
            if totals:
                totals = [total.add_(part) for total, part in zip(totals, parts, strict=True)]
            else:
                # What blocks come to is added up in float64.
                totals = [part.double() if block.stop < self.networks.m else part for part in parts]
        table = totals[0].new_zeros(len(i), len(j))
        for strip, total in zip(strips, totals, strict=True):
            start = strip.start - i.start
            columns = range(strip.start, j.stop) if same else j
            table[start : start + len(strip), len(j) - len(columns) :] = self._by_network(
                total, strip, columns
            )
        return ((table.triu() + table.triu(1).mT if same else table).double(),)

    def _strips(self, x: Tensor, strips: list[range]) -> Iterator[tuple[Tensor, int]]:
        """Columns of some networks at a time, and where they begin."""
        start = 0
        for strip in strips:
            width = sum(self.networks.widths[k] for k in strip)
            yield x[:, start : start + width], start
            start += width

    def _by_network(self, cross: Tensor, i: range, j: range) -> Tensor:
        """Sums of squares of a cross-product over the units of each network; shape (i, j)."""
        squares = cross.square()
        for axis, of in enumerate((i, j)):
            widths = torch.tensor([self.networks.widths[k] for k in of], device=squares.device)
            shape = [len(of), squares.shape[1]] if axis == 0 else [squares.shape[0], len(of)]
            squares = squares.new_zeros(shape).index_add(axis, torch.repeat_interleave(widths), squares)
        return squares

    def _blocks(self, i: range, j: range, rows: int | None) -> list[slice]:
        if rows is not None:
            return [slice(0, rows)]
        numbers = i if i == j else (*i, *j)
        blocks = list(self.networks.blocks(sum(self.networks.widths[k] for k in numbers)))
        if self.networks.dtype == torch.float64:
            return blocks
        return [
            slice(k, min(k + _FLOAT32_ROWS, block.stop))
            for block in blocks
            for k in range(block.start, block.stop, _FLOAT32_ROWS)
        ]

    def differences_of(self, pairs: Pairs) -> tuple[Tensor, ...]:
        """
        Squared norms of differences of matrices.

        Parameters
        ----------
        pairs : Pairs

        Returns
        -------
        tuple of one Tensor, shape (pairs,)
        """
        networks = self.networks
        width = max(networks.widths[k] for k in {*pairs.i.tolist(), *pairs.j.tolist()})
        factor = torch.zeros(len(pairs.i), 0, 2 * width, dtype=torch.float64, device=networks.device)
        diagonal = []
        s, t = (working_precision(w.detach()) for w in (pairs.s, pairs.t))
        for block in networks.blocks(2 * width * len(pairs.i)):
            x, y = (self._padded(numbers.tolist(), block, width) for numbers in (pairs.i, pairs.j))
            factor = torch.linalg.qr(torch.cat([factor, torch.cat([x, y], -1)], -2), mode="r").R
            diagonal.append(s[:, None] * squared_norm(x, 1) - t[:, None] * squared_norm(y, 1))
        left, right = factor.split(width, -1)
        change = s[:, None, None] * (left @ left.mT) - t[:, None, None] * (right @ right.mT)
        return (self.form.square_from_features(squared_norm(change, 2), torch.cat(diagonal, -1)),)

    def _padded(self, numbers: list[int], block: slice, width: int) -> Tensor:
        parts = [working_precision(x.detach()) for x in self.networks.of(numbers, block)]
        return torch.stack([torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in parts])

    def _norms(self) -> Tensor:
        """Squared norms of all rows of all networks; shape (n, m)."""
        widest = max(self.networks.widths)
        rows = [
            torch.cat(
                [
                    squared_norm(self.networks.of([k], block)[0].double(), 1)
                    for block in self.networks.blocks(widest)
                ]
            )
            for k in range(len(self.networks))
        ]
        return torch.stack(rows)


def _together(widths: Sequence[int], start: int, stop: int, columns: int) -> list[range]:
    """Consecutive networks of at most so many units together, or one."""
    groups, first = [], start
    for k in range(start, stop):
        if k > first and sum(widths[first : k + 1]) > columns:
            groups.append(range(first, k))
            first = k
    return [*groups, range(first, stop)]
