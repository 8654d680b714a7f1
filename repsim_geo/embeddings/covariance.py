"""Covariances and Gram matrices as positive definite matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repsim_geo._warnings import warn_user
from repsim_geo.embeddings.activations import ToWidth
from repsim_geo.errors import DegenerateRepresentationError, DegenerateRepresentationWarning, ShapeError
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear
from repsim_geo.numerics.alignment import finite_eigenvalues, working_precision
from repsim_geo.numerics.centering import center_columns, centered_coordinates, symmetrize
from repsim_geo.numerics.symmetric import finite_cholesky
from repsim_geo.numerics.tracing import readable


class CenteredGram(nn.Module):
    """
    Gram matrix in an orthonormal basis of the vectors that sum to zero, where it has no null vector.

    Parameters
    ----------
    kernel : Kernel
    p : int, optional
        Keep the first p principal axes of the activations; None keeps all.
    """

    def __init__(self, kernel: Kernel, p: int | None = None):
        super().__init__()
        self.kernel = kernel
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m - 1, m - 1)."""
        if self.p is not None:
            x = ToWidth(self.p)(center_columns(x))
        z = centered_coordinates(x.shape[-2], dtype=x.dtype, device=x.device)
        if type(self.kernel) is Linear:
            # The basis goes to the activations first, so that a common offset costs no digits.
            y = z.mT @ center_columns(x)
            return y @ y.mT
        return symmetrize(z.mT @ (self.kernel.squared_distances(x) / -2) @ z)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"


class Covariance(nn.Module):
    """
    Covariance of units over inputs, ``x'x / (m - 1)`` of centered activations.

    Parameters
    ----------
    p : int, optional
        Keep the variances of the first p principal components instead, a diagonal matrix: what a rotation of
        the units leaves. None keeps the covariance of the units as they are.
    """

    def __init__(self, p: int | None = None):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, d, d), or (*batch, p, p)."""
        m = x.shape[-2]
        x = center_columns(x)
        if self.p is None:
            return x.mT @ x / (m - 1)
        s = torch.linalg.svdvals(x)[..., : self.p]
        return torch.diag_embed(nn.functional.pad(s, (0, self.p - s.shape[-1])).square() / (m - 1))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"


class Ridge(nn.Module):
    """
    Add a multiple of the identity, so that a matrix becomes positive definite.

    Parameters
    ----------
    ridge : float
        What is added to every eigenvalue.
    relative : bool
        In units of the mean eigenvalue, so that the scale of the activations does not change what it means.
    """

    def __init__(self, ridge: float, *, relative: bool):
        super().__init__()
        self.ridge = ridge
        self.relative = relative

    def forward(self, a: Tensor) -> Tensor:
        """Shape (*batch, n, n) to the same shape."""
        n = a.shape[-1]
        if readable(a):
            self._check(a.detach())
        eye = torch.eye(n, dtype=a.dtype, device=a.device)
        unit = a.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] if self.relative else 1.0
        return a + self.ridge * unit * eye

    def remove(self, a: Tensor) -> Tensor:
        """
        Take the ridge off again.

        Parameters
        ----------
        a : Tensor, shape (*batch, n, n)

        Returns
        -------
        Tensor, shape (*batch, n, n)
        """
        eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        if not self.relative:
            return a - self.ridge * eye
        mean = a.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        return a - self.ridge / (1 + self.ridge) * mean * eye

    def _check(self, a: Tensor) -> None:
        n = a.shape[-1]
        values = finite_eigenvalues(working_precision(a))
        missing = int((values <= n * torch.finfo(a.dtype).eps * values[..., -1:]).sum(-1).max())
        largest = float(values.max())
        if missing and not self.relative and 0 < self.ridge <= n * torch.finfo(a.dtype).eps * largest:
            raise DegenerateRepresentationError(
                f"the matrix has rank {n - missing} of {n}, and a ridge of {self.ridge:g} is lost in the "
                f"rounding of eigenvalues up to {largest:g}. Give a larger ridge, or one with relative=True."
            )
        if missing and self.ridge == 0:
            raise DegenerateRepresentationError(
                f"the matrix has rank {n - missing} of {n}, and no logarithm without a ridge. Give one, for "
                "example ridge=1e-3 (in units of the mean eigenvalue), or record more inputs or units."
            )
        if missing:
            warn_user(
                f"{missing} of {n} eigenvalues are nothing but the ridge, and each adds a logarithm of it to "
                "the distance: the value depends on the ridge and on ranks more than on the data. Compare "
                "only values of equal ridge, inputs and widths, or take a metric without logarithms, such as "
                "'bures_wasserstein'.",
                DegenerateRepresentationWarning,
            )

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"ridge={self.ridge:g}, relative={self.relative}"


class UnitDeterminant(nn.Module):
    """Divide by the n-th root of the determinant, so that the determinant is one."""

    def forward(self, a: Tensor) -> Tensor:
        """Shape (*batch, n, n) to the same shape."""
        factor = finite_cholesky(working_precision(a))
        logs = factor.diagonal(dim1=-2, dim2=-1).log().mean(-1)
        return a * (-2 * logs).exp()[..., None, None].to(a.dtype)


def check_widths(widths: set[int], metric: str) -> None:
    """
    Refuse covariances of different numbers of units.

    Parameters
    ----------
    widths : set of int
    metric : str

    Raises
    ------
    ShapeError
    """
    if len(widths) > 1:
        raise ShapeError(
            f"{metric} of covariances compares unit by unit and needs equally many units, got "
            f"{sorted(widths)}. Use mode='gram', or p=... to compare the variances of principal components."
        )
