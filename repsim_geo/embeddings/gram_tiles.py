"""Centered Gram matrices of the linear kernel, block by block: no matrix of all inputs is ever whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from repsim_geo.embeddings.activations import largest_entry
from repsim_geo.embeddings.gram import nothing_left
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.numerics.centering import center_columns
from repsim_geo.numerics.norms import squared_norm
from repsim_geo.numerics.subspaces import DoubleCentered, UCentered

# Networks whose widths differ by less than this factor are stacked, the narrower ones with silent units.
_ALIKE = 1.25


class GramTiles:
    """
    Centered, or U-centered, linear Gram matrices of many networks, up to a factor of each, in blocks.

    Parameters
    ----------
    reps : mapping of n names to Tensor, shape (m, d_i)
        Networks of about the same width are multiplied in one call.
    debiased : bool
        U-centered: with zero diagonal, and rows that sum to zero.

    Notes
    -----
    Rows of the Gram matrix of centered activations sum to zero, so that the means that U-centering takes away
    are known from the diagonal alone: without it ``-k_aa`` is left of row a.
    """

    def __init__(self, reps: Mapping[str, Tensor], debiased: bool):
        self._names, stack, self.debiased = list(reps), list(reps.values()), debiased
        self.m, self.widths = stack[0].shape[-2], [x.shape[-1] for x in stack]
        self.dtype, self.device = stack[0].dtype, stack[0].device
        members = list(_alike(self.widths))
        self._order = torch.tensor([i for group in members for i in group])
        self._groups = [_stacked([stack[i] for i in group]) for group in members]
        self._diagonals = [squared_norm(x, 1) for x in self._groups]

    def check(self, squares: Tensor) -> None:
        """
        Refuse matrices of which centering leaves nothing but rounding.

        Parameters
        ----------
        squares : Tensor, shape (n,)
            Inner products of the matrices with themselves.

        Raises
        ------
        DegenerateRepresentationError
            Says which network.
        """
        before = squares + squared_norm(self._sorted(self._diagonals), 1)
        gone = squares.detach() <= (16 * self.m * torch.finfo(self.dtype).eps) ** 2 * before.detach()
        if bool(gone.any()):
            which = self._names[int(gone.nonzero()[0])]
            subspace = UCentered if self.debiased else DoubleCentered
            how = f"the Gram matrix after its projection ({subspace.__name__})"
            raise DegenerateRepresentationError(f"{which}: {nothing_left(how)}")

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """
        One block of all matrices.

        Parameters
        ----------
        rows, columns : slice

        Returns
        -------
        Tensor, shape (n, number of rows, number of columns)
        """
        return self._sorted(
            self._centered(x[:, rows] @ x[:, columns].mT, diagonal, rows, columns)
            for x, diagonal in zip(self._groups, self._diagonals, strict=True)
        )

    def _sorted(self, parts: Iterable[Tensor]) -> Tensor:
        """What was computed group by group, in the order of the networks."""
        parts = list(parts)
        return torch.cat(parts)[self._order.argsort()] if len(parts) > 1 else parts[0]

    def _centered(self, block: Tensor, diagonal: Tensor, rows: slice, columns: slice) -> Tensor:
        if not self.debiased:
            return block
        m, total = self.m, diagonal.sum(-1)[:, None, None]
        means = (diagonal[:, rows, None] + diagonal[:, None, columns]) / (m - 2)
        inside = block + means - total / ((m - 1) * (m - 2))
        here = torch.arange(m, device=block.device)
        return torch.where(here[rows, None] == here[columns], 0.0, inside)

    def feature_products(self, most: int) -> Iterator[tuple[Tensor, Tensor, Callable[[], Tensor]]]:
        """
        Inner products of centered matrices from those of units: ``<x x', y y'> = |x'y|^2``.

        Parameters
        ----------
        most : int
            Entries of a product of units.

        Yields
        ------
        rows, columns : Tensor of int
            Numbers of the networks.
        product : callable
            Returns their inner products, shape (rows, columns), in float64.
        """
        numbers = self._order.split([len(x) for x in self._groups])
        blocks: list[tuple[Tensor, Tensor]] = []
        for i, x in zip(numbers, self._groups, strict=True):
            size = max(1, int(most**0.5) // x.shape[-1])
            blocks += zip(i.split(size), x.split(size), strict=True)
        for k, (i, x) in enumerate(blocks):
            for j, y in blocks[k:]:
                yield i, j, partial(_squared_cross_products, x, y)


def _squared_cross_products(x: Tensor, y: Tensor) -> Tensor:
    left, right = (w.movedim(0, 1).flatten(1) for w in (x, y))
    cross = (left.mT @ right).unflatten(0, (len(x), -1)).unflatten(-1, (len(y), -1))
    return cross.square().sum((1, 3)).double()


def _alike(widths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of networks, grouped by widths that are about the same."""
    group: list[int] = []
    for i in sorted(range(len(widths)), key=widths.__getitem__):
        if group and widths[i] > _ALIKE * widths[group[0]]:
            yield group
            group = []
        group.append(i)
    yield group


def _stacked(reps: list[Tensor]) -> Tensor:
    """Centered, with silent units up to one width, and as large as one: a factor changes no angle."""
    width = max(x.shape[-1] for x in reps)
    x = torch.stack([torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in reps])
    x = center_columns(x)
    return x / largest_entry(x)
