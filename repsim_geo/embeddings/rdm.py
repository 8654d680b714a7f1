"""Representational dissimilarity matrices."""

from __future__ import annotations

from torch import Tensor, nn

from repsim_geo.invariances import TRANSLATION
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.length_scales import Median
from repsim_geo.numerics.centering import center_columns, hollow


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
        if TRANSLATION in self.kernel.distance_invariances:
            x = center_columns(x)
        d = hollow(self.kernel.distances(x))
        return d / Median()(d)[..., None, None] if self.rescale else d

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"rescale={self.rescale}"
