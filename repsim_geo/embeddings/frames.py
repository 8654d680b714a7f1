"""Orthonormal frames of the space that the units span."""

from __future__ import annotations

from torch import Tensor, nn

from repsim_geo.embeddings.activations import ToWidth, largest_entry
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.numerics.centering import center_units
from repsim_geo.numerics.norms import squared_norm
from repsim_geo.numerics.singular import partially_whitened, rounding_size
from repsim_geo.numerics.tracing import readable


class Frame(nn.Module):
    """
    Orthonormal basis of the span of the first k principal components of centered activations.

    Parameters
    ----------
    k : int, optional
        None takes all units.
    """

    def __init__(self, k: int | None = None):
        super().__init__()
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, k)."""
        x = x / largest_entry(x)
        # What removing the means leaves of their rounding is no direction.
        frame = partially_whitened(ToWidth(self.k)(center_units(x)), 1.0, 1.0, rounding_size(x))
        if readable(frame):
            self._check(frame.detach())
        return frame

    def _check(self, frame: Tensor) -> None:
        k = frame.shape[-1]
        rank = int(squared_norm(frame, 2).round().min())
        if rank < k:
            raise DegenerateRepresentationError(
                f"the units span only {rank} dimensions, and {k} are needed. Give k={rank} or less (for all "
                "networks), or leave out units that are silent or combinations of others."
            )

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"k={self.k}"
