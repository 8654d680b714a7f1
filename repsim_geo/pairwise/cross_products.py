"""Cross-products of the units of all pairs of networks, added up over blocks of inputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from repsim_geo.numerics.alignment import working_precision
from repsim_geo.pairwise.matrices import Run
from repsim_geo.pairwise.networks import Networks
from repsim_geo.pairwise.work import Work

# Rows whose products are added up in float32; what they come to is added in float64.
_FLOAT32_ROWS = 4096
# Units whose products with all others are formed at once on the diagonal, where half of them are not needed.
STRIP_COLUMNS = 512


class CrossProducts(Work):
    """
    Something that ``x'y`` tells of two networks, for all pairs; a subclass says what.

    Parameters
    ----------
    networks : Networks
        Centered.
    first : int or None
        The first so many networks are compared with the others; None compares all with all.
    columns : int
        Units on a side of a cross-product, at most (or one network).
    """

    def __init__(self, networks: Networks, first: int | None, columns: int):
        self.networks, self.first = networks, first
        n = len(networks)
        self._rows = _together(networks.widths, 0, n if first is None else first, columns)
        self._columns = self._rows if first is None else _together(networks.widths, first, n, columns)

    @abstractmethod
    def _by_network(self, cross: Tensor, i: range, j: range) -> Tensor:
        """What the cross-products of networks tell; shape (i, j)."""

    @property
    def tiles(self) -> list[tuple[range, range]]:
        """Networks of every tile."""
        everything = self.first is None
        return [(i, j) for i in self._rows for j in self._columns if not everything or i.start <= j.start]

    def costs(self) -> list[float]:
        """Floating-point operations of every tile."""
        widths, m = self.networks.widths, self.networks.m
        return [2.0 * m * sum(widths[k] for k in i) * sum(widths[k] for k in j) for i, j in self.tiles]

    @property
    def nbytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  # of what it holds
        """Bytes of activations, or points, in memory."""
        return self.networks.nbytes

    def whole(self, run: Run) -> Tensor:
        """
        What the cross-products of all pairs tell, and those of all networks with themselves.

        Parameters
        ----------
        run : callable

        Returns
        -------
        Tensor, shape (n + k, n + k)
            Symmetric; zero where nobody asks.
        """
        n, tiles = len(self.networks), self.tiles
        whole = torch.zeros(n, n, dtype=torch.float64, device=self.networks.device)
        for (i, j), (values,) in zip(
            tiles, run("cross_products", self.values_of, tiles, self.costs()), strict=True
        ):
            rows, columns = slice(i.start, i.stop), slice(j.start, j.stop)
            whole[rows, columns] = values
            whole[columns, rows] = values.mT
        if self.first is not None:
            own = [(range(k, k + 1),) * 2 for k in range(n)]
            for k, (values,) in enumerate(run("own_products", self.values_of, own)):
                whole[k, k] = values[0, 0]
        return whole

    def sample(self) -> tuple[Callable[[], Any], float]:
        costs, (i, j) = self.costs(), self.tiles[0]
        # A block as the work has them: adding one up takes time too.
        rows = self._blocks(i, j, None)[0].stop
        return (lambda: self.values_of(i, j, rows)), costs[0] / sum(costs) * rows / self.networks.m

    def values_of(self, i: range, j: range, rows: int | None = None) -> tuple[Tensor, ...]:
        """
        What the cross-products of a tile tell.

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

    @property
    def pairs_at_once(self) -> int:
        """How many pairs are decomposed in a job: in some copies, of what may be read at once."""
        return max(1, self.networks.read_elements // (16 * self.networks.m * max(self.networks.widths)))

    def factors_of(self, i: Tensor, j: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """
        Triangular factors of a QR decomposition of two networks side by side, rows added block by block.

        Parameters
        ----------
        i, j : Tensor of int, shape (pairs,)

        Yields
        ------
        x, y : Tensor, shape (pairs, r, d)
            A block of rows, in working precision, with silent units up to one width.
        factor : Tensor, shape (pairs, 2 d, 2 d)
            Of all rows up to there: ``[x y]`` is a matrix with orthonormal columns times it.
        """
        width = max(self.networks.widths[k] for k in {*i.tolist(), *j.tolist()})
        factor = torch.zeros(len(i), 0, 2 * width, device=self.networks.device)
        factor = working_precision(factor)
        for block in self.networks.blocks(2 * width * len(i)):
            x, y = (self._padded(numbers.tolist(), block, width) for numbers in (i, j))
            factor = torch.linalg.qr(torch.cat([factor, torch.cat([x, y], -1)], -2), mode="r").R
            yield x, y, factor

    def _padded(self, numbers: list[int], block: slice, width: int) -> Tensor:
        parts = [working_precision(x.detach()) for x in self.networks.of(numbers, block)]
        return torch.stack([pad(x, (0, width - x.shape[-1])) for x in parts])


def _together(widths: Sequence[int], start: int, stop: int, columns: int) -> list[range]:
    """Consecutive networks of at most so many units together, or one."""
    groups, first = [], start
    for k in range(start, stop):
        if k > first and sum(widths[first : k + 1]) > columns:
            groups.append(range(first, k))
            first = k
    return [*groups, range(first, stop)]
