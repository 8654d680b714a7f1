"""Distances of any metric, from the points of networks, or what `prepare` makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from repsim_geo.pairwise.matrices import Run, slices
from repsim_geo.pairwise.work import Work
from repsim_geo.sources.base import Source

# Columns of matrices that one thread decomposes faster than several.
_SMALL = 256
# Networks on a side of the sample from which the time is predicted.
_SAMPLE = 8


class PreparedPairs(Work):
    """
    Tiles of distances between prepared networks.

    Parameters
    ----------
    sources : sequence of Source
    metric : RepresentationMetric
        Resolved.
    first : int or None
        The first so many networks are compared with the others; None compares all with all.
    side : int
        Networks on a side of a tile.
    keep : bool
        Prepare every network once, and keep what comes out. Otherwise a tile prepares its own networks, and
        the first side of it stays for all tiles of a row.
    device : torch.device, optional
    known : sequence of Tensor
        The first networks, if they are prepared already.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        metric: Any,
        first: int | None,
        side: int,
        *,
        keep: bool,
        device: Any = None,
        known: Sequence[Tensor] = (),
    ):
        self.sources, self.metric, self.first, self.side = list(sources), metric, first, side
        self.n = len(sources)
        self._device = device
        rest = (self._prepared(i) for i in range(len(known), len(sources)))
        self._kept = [*known, *rest] if keep else None
        self._row: tuple[slice, list[Tensor]] | None = None

    @property
    def kept(self) -> list[Tensor]:
        """Prepared networks that stay in memory."""
        return self._kept or []

    @cached_property
    def point(self) -> tuple[int, ...]:
        """Shape of a prepared network."""
        return tuple((self._prepared(0) if self._kept is None else self._kept[0]).shape)

    @property
    def one_thread(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # of the points
        """Whether decompositions are so small that several threads would only wait for each other."""
        return not self.point or self.point[-1] <= _SMALL

    @property
    def tiles(self) -> list[tuple[slice, slice]]:
        """Networks of every tile, those in one row after each other."""
        n = self.n
        rows = slices(0, n if self.first is None else self.first, self.side)
        columns = rows if self.first is None else slices(self.first, n, self.side)
        return [(i, j) for i in rows for j in columns if self.first is not None or i.start <= j.start]

    @property
    def nbytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  # of what it holds
        """Bytes of activations, or points, in memory."""
        return sum(x.nbytes for x in self.kept)

    def all_distances(self, run: Run) -> Tensor:
        tiles = self.tiles
        start = self.first or 0
        rows: dict[int, list[Tensor]] = {}
        costs = [float((i.stop - i.start) * (j.stop - j.start)) for i, j in tiles]
        for (i, j), (values,) in zip(tiles, run("distances", self.distances_of, tiles, costs), strict=True):
            # Before the first tile of a row there is nothing: the lower half is filled in afterwards.
            rows.setdefault(i.start, [values.new_zeros(len(values), j.start - start)]).append(values)
        table = torch.cat([torch.cat(row, -1) for row in rows.values()])
        if self.first is not None:
            return table
        upper = table.triu(1)
        return upper + upper.mT

    def distances_of(self, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """
        Distances of one tile.

        Parameters
        ----------
        rows, columns : slice
            Networks.

        Returns
        -------
        tuple of one Tensor, shape (r, c)
        """
        a = self._of_row(rows)
        b = a if rows == columns else self._of(columns)
        if len({x.shape for x in (*a, *b)}) == 1:
            x = torch.stack(a)
            return (self.metric.between_all(x, x if b is a else torch.stack(b)),)
        # Of networks with themselves only the upper half is looked at.
        pairs = [(x, y, b is not a or j > i) for i, x in enumerate(a) for j, y in enumerate(b)]
        values = [self.metric.between(x, y) if wanted else x.new_zeros(()) for x, y, wanted in pairs]
        return (torch.stack(values).unflatten(0, (len(a), len(b))),)

    def sample(self) -> tuple[Callable[[], Any], float]:
        i, j = self.tiles[-1]
        side = min(_SAMPLE, i.stop - i.start, j.stop - j.start)
        i, j = slice(i.start, i.start + side), slice(j.stop - side, j.stop)
        everything = sum((a.stop - a.start) * (b.stop - b.start) for a, b in self.tiles)
        return (lambda: self.distances_of(i, j)), side**2 / everything

    def _of(self, block: slice) -> list[Tensor]:
        if self._kept is not None:
            return self._kept[block]
        return [self._prepared(i) for i in range(block.start, block.stop)]

    def _of_row(self, block: slice) -> list[Tensor]:
        if self._kept is not None:
            return self._kept[block]
        row = self._row
        if row is None or row[0] != block:
            self._row = row = (block, self._of(block))
        return row[1]

    def _prepared(self, i: int) -> Tensor:
        source = self.sources[i]
        x = source.whole()
        try:
            return self.metric.prepare(x if self._device is None else x.to(self._device))
        except (ValueError, TypeError) as error:
            kind = (
                type(error)
                if type(error).__init__ in (ValueError.__init__, TypeError.__init__)
                else ValueError
            )
            raise kind(f"{source.name}: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        # Nobody asks sources again for what is kept.
        return {**vars(self), "_row": None, "sources": self.sources if self._kept is None else []}
