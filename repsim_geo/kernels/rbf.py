"""The squared-exponential kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.kernels.radial import Radial
from repsim_geo.numerics.dissimilarities import squared_euclidean_distances
from repsim_geo.numerics.norms import safe_sqrt


class RBF(Radial):
    """
    Squared exponential, ``k(x_i, x_j) = exp(-|x_i - x_j|**2 / (2 s**2))``.

    Parameters
    ----------
    length_scale : float, str, LengthScale or None
        The length s: a number in the unit of the activations, or a rule that chooses it from each
        network's own distances, such as ``Median(0.5)`` or ``"0.5*median"``. None means ``Median()``.
    learnable : bool
        Multiply the length by a factor whose logarithm is a parameter, ``log_factor``, zero at first.

    Notes
    -----
    Tools that write ``exp(-|x_i - x_j|**2 / l**2)`` mean ``l = s * sqrt(2)``: divide their length, or the
    multiple of their rule, by ``sqrt(2)``. The derivative of the rule with respect to the activations
    is taken into account.

    Examples
    --------
    >>> import torch
    >>> RBF(5.0)(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[1.0000, 0.6065],
            [0.6065, 1.0000]])
    """

    def _exponent(self, x: Tensor) -> Tensor:
        squares = squared_euclidean_distances(x)
        return self._scaled(squares, self._length(safe_sqrt(squares)))

    def _scaled(self, squares: Tensor, length: Tensor) -> Tensor:
        return squares * (0.5 / length / length).clamp_max(torch.finfo(squares.dtype).max)
