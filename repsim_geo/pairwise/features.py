"""Inner products of (m, m) matrices from cross-products of units: whatever m is, none is formed."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.numerics.norms import squared_norm
from repsim_geo.pairwise.cross_products import CrossProducts
from repsim_geo.pairwise.matrices import Pairs, Run, distances_from_products, refuse_nothing
from repsim_geo.pairwise.networks import Networks
from repsim_geo.pairwise.tiles import MUCH_CENTERED, MatrixTiles


class FeatureProducts(CrossProducts):
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
        super().__init__(networks, first, columns)
        self.form, self.side = networks.form, side
        self.diagonals = self._norms() if self.form.diagonals_matter else None

    def all_distances(self, run: Run) -> Tensor:
        networks, form, whole = self.networks, self.form, self.whole(run)
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
            jobs = [(part,) for part in pairs.split(self.pairs_at_once)]
            return torch.cat([values for (values,) in run("near_pairs", self.differences_of, jobs)])

        return distances_from_products(form, networks.m, products, squares, differences, networks.dtype)

    def _tiles(self) -> MatrixTiles:
        return MatrixTiles(self.networks, self.first, self.side, 0)

    def _by_network(self, cross: Tensor, i: range, j: range) -> Tensor:
        """Sums of squares of a cross-product over the units of each network; shape (i, j)."""
        squares = cross.square()
        for axis, of in enumerate((i, j)):
            widths = torch.tensor([self.networks.widths[k] for k in of], device=squares.device)
            shape = [len(of), squares.shape[1]] if axis == 0 else [squares.shape[0], len(of)]
            squares = squares.new_zeros(shape).index_add(axis, torch.repeat_interleave(widths), squares)
        return squares

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
        s, t = (w.detach().double() for w in (pairs.s, pairs.t))
        diagonal, both = [], torch.empty(0)
        for x, y, factor in self.factors_of(pairs.i, pairs.j):
            diagonal.append(s[:, None] * squared_norm(x, 1) - t[:, None] * squared_norm(y, 1))
            both = factor
        left, right = both.chunk(2, -1)
        change = s[:, None, None] * (left @ left.mT) - t[:, None, None] * (right @ right.mT)
        return (self.form.square_from_features(squared_norm(change, 2), torch.cat(diagonal, -1)),)

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
