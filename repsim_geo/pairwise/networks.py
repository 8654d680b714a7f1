"""Rows of many networks, block by block: conditioned once if they are in memory, at every reading if not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from repsim_geo import _checks
from repsim_geo.embeddings.activations import largest_entry
from repsim_geo.embeddings.matrix_form import MatrixForm
from repsim_geo.embeddings.rdm import no_direction
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.numerics.centering import center_across, center_columns
from repsim_geo.numerics.dissimilarities import unit_rows
from repsim_geo.numerics.tracing import constant
from repsim_geo.pairwise.matrices import slices
from repsim_geo.sources.base import Source

# Networks whose widths differ by less than this factor are stacked, the narrower ones with silent units.
_ALIKE = 1.25
# Numbers that are read at once, if nobody says how many.
READ_ELEMENTS = 2**24


class _Seen(NamedTuple):
    """What one pass over a network says of it: means over inputs, and the largest entry without them."""

    mean: Tensor
    scale: Tensor


class Networks:
    """
    Activations of n networks as the entries of a form want them: without means, scales, or lengths of rows.

    Parameters
    ----------
    sources : sequence of Source
    metric : RepresentationMetric
        Refuses what it has no point for.
    form : MatrixForm
        Says what goes unnoticed.
    device : torch.device, optional
        Where to compute; default where the first one is.
    together : int, optional
        Networks in one stack, at most.
    read : int, optional
        Numbers that are read at once.

    Attributes
    ----------
    resident : bool
        Whether all of them are in memory.
    read_elements : int
        Numbers that are read at once.
    groups : list of list of int
        Numbers of networks of about the same width.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        metric: Any,
        form: MatrixForm,
        device: Any = None,
        together: int | None = None,
        read: int | None = None,
    ):
        self.form = form
        self.read_elements = READ_ELEMENTS if read is None else read
        self.names = [s.name for s in sources]
        self.m, self.widths = sources[0].shape[0], [s.shape[1] for s in sources]
        self.dtype = sources[0].dtype
        self.device = sources[0].device if device is None else torch.device(device)
        self.groups = list(_alike(self.widths, together or len(self.widths)))
        self._order = torch.tensor([i for group in self.groups for i in group]).argsort()
        self._place = {i: (g, k) for g, group in enumerate(self.groups) for k, i in enumerate(group)}
        self.resident = all(s.resident is not None for s in sources)
        if self.resident:
            for source in sources:
                metric.check_input(source.resident, source.name)
            self._stacks = [
                self._stacked([sources[i].whole() for i in group], group) for group in self.groups
            ]
        else:
            self._sources = list(sources)
            self._seen = [self._look_at(s, metric) for s in sources]

    def __len__(self) -> int:
        return len(self.widths)

    @property
    def nbytes(self) -> int:
        """Bytes that are sent along when jobs go to other processes."""
        return sum(x.nbytes for x in self._stacks) if self.resident else sum(8 * d for d in self.widths)

    def stack(self, group: int, block: slice) -> Tensor:
        """
        Rows of the networks of one group: about equally wide, narrower ones with silent units.

        Parameters
        ----------
        group : int
        block : slice

        Returns
        -------
        Tensor, shape (networks, r, d)
        """
        if self.resident:
            return self._stacks[group][:, block]
        return torch.stack(self._padded(self.of(self.groups[group], block)))

    def of(self, numbers: Sequence[int], block: slice) -> list[Tensor]:
        """
        Rows of some networks, each with its own width.

        Parameters
        ----------
        numbers : sequence of int
        block : slice

        Returns
        -------
        list of Tensor, shape (r, d_i)
        """
        if self.resident:
            places = ((*self._place[i], self.widths[i]) for i in numbers)
            return [self._stacks[group][k, block, :width] for group, k, width in places]
        return [self._read(i, block) for i in numbers]

    def sorted(self, parts: Sequence[Tensor]) -> Tensor:
        """
        What was computed for all groups, in the order of the networks.

        Parameters
        ----------
        parts : sequence of Tensor, shape (group, ...)

        Returns
        -------
        Tensor, shape (n, ...)
        """
        whole = parts[0] if len(parts) == 1 else torch.cat(list(parts))
        return whole if self._in_order else whole[self._order]

    def blocks(self, columns: int) -> list[slice]:
        """Blocks of all rows, of a size to be read at once for this many columns; one block in memory."""
        side = self.m if self.resident else max(1, self.read_elements // columns)
        return slices(0, self.m, side)

    @cached_property
    def _in_order(self) -> bool:
        return all(i == number for i, number in enumerate(self._order.tolist()))

    def _padded(self, parts: list[Tensor]) -> list[Tensor]:
        width = max(x.shape[-1] for x in parts)
        # Padding by nothing would still copy.
        missing = [width - x.shape[-1] for x in parts]
        return [pad(x, (0, k)) if k else x for x, k in zip(parts, missing, strict=True)]

    def _stacked(self, reps: list[Tensor], group: list[int]) -> Tensor:
        reps = [
            self._directions(x.to(self.device), self.names[i], 0) for x, i in zip(reps, group, strict=True)
        ]
        x = torch.stack(self._padded(reps))
        if constant(x):
            # Born here: there is no need for another of this size.
            x = x.sub_(x.mean(-2, keepdim=True)) if self.form.centers else x
            return x.div_(largest_entry(x)) if self.form.scales else x
        x = center_columns(x) if self.form.centers else x
        return x / largest_entry(x) if self.form.scales else x

    def _read(self, i: int, block: slice) -> Tensor:
        x = self._sources[i].rows(block.start, block.stop).to(self.device)
        x = (x - self._seen[i].mean) / self._seen[i].scale
        return self._directions(x, self.names[i], block.start)

    def _directions(self, x: Tensor, name: str, start: int) -> Tensor:
        if not self.form.directions:
            return x
        u, lengths = unit_rows(center_across(x) if self.form.kind == "correlation" else x)
        if bool((lengths == 0).any()):
            row = start + int((lengths == 0).nonzero()[0])
            raise DegenerateRepresentationError(f"{name}: {no_direction(self.form.kind, row)}")
        return u

    def _look_at(self, source: Source, metric: Any) -> _Seen:
        """Means and largest entry from one pass; refuses what is not finite, and what is constant."""
        m, d = source.shape
        _checks.check_rows(
            torch.empty(()).expand(m, d), metric.fewest_rows, type(metric).__name__, source.name
        )
        total = torch.zeros(d, dtype=torch.float64)
        low, high = (torch.full((d,), edge, dtype=source.dtype) for edge in (torch.inf, -torch.inf))
        # What cannot be sliced is had once.
        for block in self.blocks(d) if source.sliceable else [slice(0, m)]:
            x = source.rows(block.start, block.stop).cpu()
            _checks.check_finite(x, f"{source.name}, rows {block.start} to {block.stop - 1}")
            total += x.double().sum(0)
            low, high = torch.minimum(low, x.amin(0)), torch.maximum(high, x.amax(0))
        if not metric.constant_is_a_point:
            _checks.check_varies(torch.stack([low, high]), source.name)
        mean = (total / m).to(low) if self.form.centers else torch.zeros_like(low)
        scale = torch.maximum(high - mean, mean - low).amax() if self.form.scales else low.new_ones(())
        return _Seen(mean.to(self.device), torch.where(scale > 0, scale, 1.0).to(self.device))


def _alike(widths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of networks, at most so many in a group, grouped by widths that are about the same."""
    group: list[int] = []
    for i in sorted(range(len(widths)), key=widths.__getitem__):
        if group and (widths[i] > _ALIKE * widths[group[0]] or len(group) == most):
            yield group
            group = []
        group.append(i)
    yield group
