"""What metrics on (m, m) matrices compare, said entry by entry, so that no matrix need be whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from repsim_geo.embeddings.gram import nothing_left
from repsim_geo.embeddings.rdm import NO_DISSIMILARITIES
from repsim_geo.invariances import TRANSLATION
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.length_scales import LengthScale, Median
from repsim_geo.kernels.linear import Linear
from repsim_geo.numerics.dissimilarities import squared_distances_by_products
from repsim_geo.numerics.norms import safe_sqrt


@dataclass(frozen=True)
class Centering:
    """
    Projection of symmetric matrices z that is ``z_ij - a (r_i + r_j) + b T``: r the row sums, T their sum.

    Inner products of projected matrices follow from plain ones: ``<y, z> - 2 a r_y.r_z + b T_y T_z``.

    Attributes
    ----------
    name : str
        Of the subspace, for messages.
    hollow : bool
        Set the diagonal to zero, before and after.
    fewer : int or None
        ``a = 1 / (m - fewer)`` and ``b = a / (m - fewer / 2)``; None for a = 0.
    mean : bool
        ``b = -1 / (m (m - 1))``: takes off the mean off the diagonal.
    """

    name: str
    hollow: bool
    fewer: int | None = None
    mean: bool = False

    def coefficients(self, m: int) -> tuple[float, float]:
        """The a and b of m inputs."""
        if self.fewer is None:
            return 0.0, -1.0 / (m * (m - 1)) if self.mean else 0.0
        return 1.0 / (m - self.fewer), 1.0 / (m - self.fewer) / (m - self.fewer / 2)

    def products(self, plain: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """
        Inner products of projected matrices.

        Parameters
        ----------
        plain : Tensor, shape (n, k)
            Of the matrices as they are.
        y, z : Tensor, shapes (n, m) and (k, m)
            Row sums of both.

        Returns
        -------
        Tensor, shape (n, k)
        """
        a, b = self.coefficients(y.shape[-1])
        return plain - 2 * a * (y @ z.mT) + b * torch.outer(y.sum(-1), z.sum(-1))

    def squares(self, plain: Tensor, y: Tensor) -> Tensor:
        """
        Squares of projected matrices.

        Parameters
        ----------
        plain : Tensor, shape (n,)
            Of the matrices as they are.
        y : Tensor, shape (n, m)
            Row sums.

        Returns
        -------
        Tensor, shape (n,)
        """
        a, b = self.coefficients(y.shape[-1])
        return plain - 2 * a * y.square().sum(-1) + b * y.sum(-1).square()

    def project(self, tile: Tensor, sums: Tensor, rows: slice, columns: slice) -> Tensor:
        """
        Block of projected matrices.

        Parameters
        ----------
        tile : Tensor, shape (n, r, c)
            Block of the matrices as they are.
        sums : Tensor, shape (n, m)
        rows, columns : slice

        Returns
        -------
        Tensor, shape (n, r, c)
        """
        a, b = self.coefficients(sums.shape[-1])
        if a:
            tile = tile - a * (sums[:, rows, None] + sums[:, None, columns])
        if b:
            tile = tile + b * sums.sum(-1)[:, None, None]
        return without_diagonal(tile, rows, columns) if self.hollow else tile


PLAIN = Centering("Hollow", hollow=True)
WITHOUT_MEAN = Centering("HollowCentered", hollow=True, mean=True)
DOUBLE = Centering("DoubleCentered", hollow=False, fewer=0)
UNBIASED = Centering("UCentered", hollow=True, fewer=2)


def without_diagonal(tile: Tensor, rows: slice, columns: slice) -> Tensor:
    """Block (n, r, c) of matrices, with their diagonals set to zero."""
    if rows != columns:
        return tile
    return torch.where(torch.eye(tile.shape[-1], dtype=torch.bool, device=tile.device), 0.0, tile)


@dataclass(frozen=True)
class MatrixForm:
    """
    One symmetric (m, m) matrix for every network, whose entries need only the two inputs they belong to.

    Attributes
    ----------
    kind : str
        "gram": inner products in feature space;
        "squared" or "plain" distances in feature space; "cosine" or "correlation": one minus that.
    kernel : Kernel
        Isotropic.
    centering : Centering
    unit : bool
        Distances are angles; otherwise root-mean-square differences over pairs of inputs.
    rescale : bool
        Divide by the median entry.
    """

    kind: str
    kernel: Kernel
    centering: Centering
    unit: bool
    rescale: bool = False

    @property
    def linear(self) -> bool:
        """Whether inner products of matrices follow from cross-products of units."""
        return type(self.kernel) is Linear and self.kind in ("gram", "squared")

    @property
    def diagonals_matter(self) -> bool:
        """Whether inner products follow from cross-products of units only together with the norms of rows."""
        return self.kind == "squared" or self.centering.hollow

    def from_features(self, squares: Tensor, norms: Tensor | None, m: int) -> Tensor:
        """
        Inner products of matrices, where ``linear`` holds.

        Parameters
        ----------
        squares : Tensor, shape (n, n)
            ``|x'y|^2`` of centered activations.
        norms : Tensor, shape (n, m)
            Squared norms of their rows; needed if ``diagonals_matter``.
        m : int
            Number of inputs.

        Returns
        -------
        Tensor, shape (n, n)
        """
        if norms is None:
            return squares
        return self._combined(squares, norms @ norms.mT, torch.outer(norms.sum(-1), norms.sum(-1)), m)

    def uncentered(self, squares: Tensor, norms: Tensor | None, m: int) -> Tensor:
        """As `from_features`, before centering."""
        if norms is None or self.kind == "gram":
            return squares
        return replace(self, centering=PLAIN).from_features(squares, norms, m)

    def square_from_features(self, square: Tensor, norms: Tensor) -> Tensor:
        """
        Squared norms of matrices.

        Parameters
        ----------
        square : Tensor, shape (n,)
            Those of Gram matrices with zero row sums.
        norms : Tensor, shape (n, m)
            Their diagonals.

        Returns
        -------
        Tensor, shape (n,)
        """
        combined = self._combined(square, norms.square().sum(-1), norms.sum(-1).square(), norms.shape[-1])
        return combined.clamp_min(0)

    def _combined(self, squares: Tensor, diagonals: Tensor, traces: Tensor, m: int) -> Tensor:
        if self.kind == "squared":
            # d_ij = g_ii + g_jj - 2 g_ij, and all rows of g sum to zero.
            result = 4 * squares + 2 * m * diagonals + 2 * traces
            return result - 4 * m / (m - 1) * traces if self.centering.mean else result
        if self.centering.hollow:
            return squares - m / (m - 2) * diagonals + traces / ((m - 1) * (m - 2))
        return squares

    @property
    def directions(self) -> bool:
        """Whether only the directions of responses matter."""
        return self.kind in ("cosine", "correlation")

    @property
    def centers(self) -> bool:
        """Whether means over inputs go unnoticed."""
        return not self.directions and TRANSLATION in self.kernel.distance_invariances

    @property
    def scales(self) -> bool:
        """Whether the scale of the activations goes unnoticed, or is a factor that does."""
        return self.unit and not self.directions and self.kernel.distance_facts.degree is not None

    @property
    def shifted(self) -> bool:
        """Whether a constant may be taken off all entries, which centering does not see, to keep digits."""
        return self.centering is not PLAIN and not (self.kind == "gram" and self.linear)

    @property
    def rules(self) -> tuple[LengthScale, ...]:
        """Rules that choose lengths from the distances of a whole network."""
        return tuple(self.kernel.length_rules)

    @property
    def units(self) -> tuple[LengthScale, ...]:
        """Rules that choose what entries are divided by."""
        return (Median(),) if self.rescale else ()

    def nothing_left(self) -> str:
        """What to say of a matrix that centering makes zero."""
        if self.kind == "gram":
            return nothing_left(f"the Gram matrix after its projection ({self.centering.name})")
        return NO_DISSIMILARITIES

    def base(self, x: Tensor, y: Tensor, *, itself: bool) -> Tensor:
        """
        What entries are functions of: inner products, or squared distances.

        Parameters
        ----------
        x : Tensor, shape (n, r, d)
        y : Tensor, shape (n, c, d)
            Rows, without means and scales that go unnoticed; unit vectors where directions are compared.
        itself : bool
            Whether x and y are the same inputs.

        Returns
        -------
        Tensor, shape (n, r, c)
        """
        if self.kind == "gram" and self.linear:
            return x @ y.mT
        return squared_distances_by_products(x, y, itself=itself)

    def entries(self, base: Tensor, length: Callable[[LengthScale], Tensor]) -> Tensor:
        """
        Block of the matrices, up to a factor where angles are compared; not centered.

        Parameters
        ----------
        base : Tensor, shape (n, r, c)
        length : callable
            From a rule to the lengths that it chose, shape (n,).

        Returns
        -------
        Tensor, shape (n, r, c)
            Of a Gram matrix of another kernel, squared distances: centered, they are minus twice the same.
        """
        if self.directions or (self.kind == "gram" and self.linear):
            return base
        squares = self.kernel.profile(base, length)
        return safe_sqrt(squares) if self.kind == "plain" else squares
