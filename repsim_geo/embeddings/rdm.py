"""Representational dissimilarity matrices."""

from __future__ import annotations

from torch import Tensor, nn

from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.kernels.base import Kernel
from repsim_geo.numerics.centering import center_columns, hollow
from repsim_geo.numerics.dissimilarities import median, upper_triangle
from repsim_geo.numerics.tracing import readable


class DistanceMatrix(nn.Module):
    """
    Distances between inputs in the feature space of a kernel.

    Parameters
    ----------
    kernel : Kernel
    rescale : bool
        Divide by the median distance, so that the scale of the activations does not matter.
    """

    def __init__(self, kernel: Kernel, *, rescale: bool = False):
        super().__init__()
        self.kernel = kernel
        self.rescale = rescale

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, m), symmetric with zero diagonal."""
        d = hollow(self.kernel.distances(center_columns(x)))
        return d / self._typical(d)[..., None, None] if self.rescale else d

    def _typical(self, d: Tensor) -> Tensor:
        typical = median(upper_triangle(d))
        if readable(typical) and not bool((typical > 0).all()):
            raise DegenerateRepresentationError(
                "the median distance between inputs is zero: more than half of all pairs of rows coincide. "
                "Remove duplicated inputs, or use rescale=False."
            )
        return typical

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"rescale={self.rescale}"
