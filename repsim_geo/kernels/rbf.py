"""The squared-exponential kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.invariances import ORTHOGONAL, TRANSLATION, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.length_scales import LengthScale, as_length_scale, positive
from repsim_geo.numerics.dissimilarities import euclidean_distances
from repsim_geo.numerics.norms import safe_sqrt


class RBF(Kernel):
    """
    Squared exponential, ``k(x_i, x_j) = exp(-|x_i - x_j|**2 / (2 s**2))``.

    Parameters
    ----------
    length_scale : float, Fixed, Median or None
        The length s: a number in the unit of the activations, or a rule that chooses it from each
        network's own distances. None means ``Median()``.

    Notes
    -----
    Tools that write ``exp(-|x_i - x_j|**2 / l**2)`` mean ``l = s * sqrt(2)``. The derivative of the median
    rule with respect to the activations is taken into account.

    Examples
    --------
    >>> import torch
    >>> RBF(length_scale=5.0)(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[1.0000, 0.6065],
            [0.6065, 1.0000]])
    """

    def __init__(self, length_scale: float | LengthScale | None = None):
        super().__init__()
        self.length_scale = as_length_scale(length_scale)
        # A rule that follows the data makes the kernel blind to what the rule follows.
        self.invariances = closure(TRANSLATION, ORTHOGONAL) | self.length_scale.invariances
        self.distance_invariances = self.invariances

    def _scaled_squares(self, x: Tensor) -> Tensor:
        d = euclidean_distances(x)
        length = self.length_scale(d)
        return (d / positive(length)[..., None, None]).square() / 2

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return (-self._scaled_squares(x)).exp()

    def distances(self, x: Tensor) -> Tensor:
        """Distances in feature space, ``sqrt(2 - 2 k)``; shape (*batch, m, m)."""
        return safe_sqrt(-2 * torch.expm1(-self._scaled_squares(x)))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"length_scale={self.length_scale}"
