"""
Linear subspaces of tensors in which points live: what is centered, hollow, symmetric.

A subspace knows its orthogonal projector in closed form, its dimension, the largest rank of a matrix
in it, and which shapes make sense. Subspaces hold no tensors: sizes come from the argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor

from repsim_geo.numerics.centering import (
    center_columns,
    center_doubly,
    center_u,
    hollow,
    hollow_centered,
    trace_free,
)


@dataclass(frozen=True)
class Everything:
    """All tensors: no constraint."""

    # Whether rotations of the columns map the subspace to itself.
    keeps_rotations = True

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return a

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        return prod(shape)

    def rank(self, *shape: int) -> int:
        """Largest rank of a matrix of this shape in the subspace."""
        return min(shape[-2:])

    def mismatch(self, *shape: int) -> str | None:
        """Say what is wrong with a shape, or None."""
        return None


@dataclass(frozen=True)
class ColumnCentered(Everything):
    """Matrices (m, p) whose columns have mean zero: clouds of m points around the origin."""

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return center_columns(a)

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        m, p = shape
        return (m - 1) * p

    def rank(self, *shape: int) -> int:
        """Largest rank of a matrix of this shape in the subspace."""
        m, p = shape
        return min(m - 1, p)

    def mismatch(self, *shape: int) -> str | None:
        """Say what is wrong with a shape, or None."""
        if len(shape) != 2 or shape[0] < 2:
            return f"expected a matrix (m, p) with at least 2 rows, got shape {shape}"
        return None


@dataclass(frozen=True)
class _Symmetric(Everything):
    """Shared by the subspaces of symmetric matrices."""

    keeps_rotations = False
    _fewest_rows = 2

    def mismatch(self, *shape: int) -> str | None:
        """Say what is wrong with a shape, or None."""
        if len(shape) != 2 or shape[0] != shape[1]:
            return f"expected a square matrix, got shape {shape}"
        if shape[0] < self._fewest_rows:
            return f"expected at least {self._fewest_rows} rows, got {shape[0]}"
        return None


@dataclass(frozen=True)
class DoubleCentered(_Symmetric):
    """Symmetric matrices (m, m) with zero row sums: Gram matrices of centered data, and their span."""

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return center_doubly(a)

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        return shape[0] * (shape[0] - 1) // 2

    def rank(self, *shape: int) -> int:
        """Largest rank of a matrix of this shape in the subspace."""
        return shape[0] - 1


@dataclass(frozen=True)
class UCentered(_Symmetric):
    """
    Symmetric matrices (m, m) with zero diagonal and zero row sums.

    The home of unbiased kernel statistics.
    """

    _fewest_rows = 4

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return center_u(a)

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        return shape[0] * (shape[0] - 3) // 2

    def rank(self, *shape: int) -> int:
        """Largest rank of a matrix of this shape in the subspace."""
        return shape[0] - 1


@dataclass(frozen=True)
class Hollow(_Symmetric):
    """Symmetric matrices (m, m) with zero diagonal: dissimilarity matrices, and their span."""

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return hollow(a)

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        return shape[0] * (shape[0] - 1) // 2


@dataclass(frozen=True)
class HollowCentered(_Symmetric):
    """Hollow matrices (m, m) whose entries off the diagonal have mean zero: what correlations compare."""

    _fewest_rows = 3

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return hollow_centered(a)

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        return shape[0] * (shape[0] - 1) // 2 - 1


@dataclass(frozen=True)
class TraceFree(_Symmetric):
    """Symmetric matrices (m, m) with zero row sums and zero trace: Gram matrices up to a mean variance."""

    _fewest_rows = 3

    def project(self, a: Tensor) -> Tensor:
        """Orthogonal projection onto the subspace; same shape."""
        return trace_free(a)

    def dim(self, *shape: int) -> int:
        """Dimension of the subspace of tensors of this shape."""
        return shape[0] * (shape[0] - 1) // 2 - 1

    def rank(self, *shape: int) -> int:
        """Largest rank of a matrix of this shape in the subspace."""
        return shape[0] - 1
