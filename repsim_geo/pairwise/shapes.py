"""Distances after the best rotation, from cross-products of units: no network has to be in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from repsim_geo.numerics.alignment import (
    distances_from_nuclear_norms,
    working_precision,
)
from repsim_geo.numerics.nuclear import nuclear_norms
from repsim_geo.pairwise.cross_products import CrossProducts
from repsim_geo.pairwise.matrices import Run
from repsim_geo.pairwise.networks import Networks


class ShapeProducts(CrossProducts):
    """
    Shapes of centered activations, through the sums of the singular values of ``x'y``.

    Parameters
    ----------
    networks : Networks
        With the form that the metric says; distances are angles if that is of unit norm.
    metric : RepresentationMetric
        Whose `between` is the distance of two clouds of points, of any number of points.
    first : int or None
        The first so many networks are compared with the others; None compares all with all.
    columns : int
        Units on a side of a cross-product, at most (or one network).

    Notes
    -----
    Near pairs: the triangular factor of both side by side has the same inner products; it is aligned.
    """

    def __init__(self, networks: Networks, metric: Any, first: int | None, columns: int):
        super().__init__(networks, first, columns)
        self.metric, self.unit = metric, networks.form.unit
        # Decompositions of small matrices are slower in several threads.
        self.one_thread = max(networks.widths) <= 256

    def all_distances(self, run: Run) -> Tensor:
        nuclear = self.whole(run)
        # Those of a network with itself are its squared norm.
        squares = nuclear.diagonal()
        table, near = distances_from_nuclear_norms(nuclear, squares, squares, angles=self.unit)
        wanted = torch.zeros_like(near)
        for i, j in self.tiles:
            wanted[i.start : i.stop, j.start : j.stop] = True
        pairs = (near & wanted).triu(1).nonzero()
        if len(pairs):
            size = self.pairs_at_once
            jobs = [tuple(part.T) for part in pairs.split(size)]
            i, j = pairs.T
            table[i, j] = torch.cat([values for (values,) in run("near_pairs", self.near_distances_of, jobs)])
        table = table.triu(1)
        if self.first is not None:
            return table[: self.first, self.first :].to(self.networks.dtype)
        return (table + table.mT).to(self.networks.dtype)

    def near_distances_of(self, i: Tensor, j: Tensor) -> tuple[Tensor, ...]:
        """
        Distances of some pairs.

        Parameters
        ----------
        i, j : Tensor of int, shape (pairs,)

        Returns
        -------
        tuple of one Tensor, shape (pairs,)
        """
        *_, (_, _, factor) = self.factors_of(i, j)
        x, y = factor.chunk(2, -1)
        if self.unit:
            x, y = (w / torch.linalg.matrix_norm(w, keepdim=True) for w in (x, y))
        return (self.metric.between(x, y),)

    def _by_network(self, cross: Tensor, i: range, j: range) -> Tensor:
        """Sums of singular values; shape (i, j), zero below the diagonal."""
        widths, width = self.networks.widths, max(self.networks.widths)
        rows = [row.split([widths[k] for k in j], 1) for row in cross.split([widths[k] for k in i])]
        wanted = [
            (a, b)
            for a, k in enumerate(i)
            for b, other in enumerate(j)
            if k <= other or self.first is not None
        ]
        parts = [rows[a][b] for a, b in wanted]
        square = [pad(part, (0, width - part.shape[1], 0, width - part.shape[0])) for part in parts]
        values = nuclear_norms(working_precision(torch.stack(square)))
        table = values.new_zeros(len(i), len(j))
        table[tuple(torch.tensor(wanted, device=values.device).T)] = values
        return table
