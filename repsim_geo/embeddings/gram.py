"""Gram matrices as unit vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repsim_geo.embeddings.activations import largest_entry
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.invariances import SCALE, TRANSLATION
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear
from repsim_geo.numerics.centering import center_columns
from repsim_geo.numerics.norms import trailing
from repsim_geo.numerics.subspaces import Everything
from repsim_geo.numerics.tracing import readable


class UnitGram(nn.Module):
    """
    Gram matrix of a kernel, projected to a subspace and normalized.

    Parameters
    ----------
    kernel : Kernel
    subspace : subspace of symmetric matrices

    Notes
    -----
    Activations are centered, and divided by their largest entry, before the kernel is formed if it does not
    see the difference: that keeps digits, and keeps the squares of a Gram matrix in range.
    """

    def __init__(self, kernel: Kernel, subspace: Everything):
        super().__init__()
        self.kernel = kernel
        self.subspace = subspace

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, m)."""
        if TRANSLATION in self.kernel.invariances:
            x = center_columns(x)
        if SCALE in self.kernel.invariances:
            x = x / largest_entry(x)
        # Centering of either kind makes the same of distances in feature space; they keep the digits that a
        # kernel close to constant loses.
        gram = self.kernel(x) if type(self.kernel) is Linear else self.kernel.squared_distances(x) / -2
        gram = gram / largest_entry(gram)
        a = self.subspace.project(gram)
        size = torch.linalg.vector_norm(a, dim=trailing(2), keepdim=True)
        if readable(a):
            self._check(size, torch.linalg.vector_norm(gram, dim=trailing(2), keepdim=True), a)
        return a / size

    def _check(self, size: Tensor, before: Tensor, a: Tensor) -> None:
        if bool((size <= 16 * a.shape[-1] * torch.finfo(a.dtype).eps * before).any()):
            how = f"its projection ({type(self.subspace).__name__})"
            raise DegenerateRepresentationError(nothing_left(f"the Gram matrix after {how}"))


def nothing_left(of: str) -> str:
    """
    What to say of a Gram matrix that centering makes zero.

    Parameters
    ----------
    of : str
        Of which, and after what.

    Returns
    -------
    str
    """
    return (
        f"nothing is left of {of}: all inputs are equally far from each other, as far as the kernel can see. "
        "Use other inputs, or another kernel (an RBF length_scale near the median distance)."
    )
