"""The Laplace kernel."""

from __future__ import annotations

from torch import Tensor

from repsim_geo.kernels.radial import Radial
from repsim_geo.numerics.dissimilarities import euclidean_distances
from repsim_geo.numerics.norms import safe_sqrt


class Laplace(Radial):
    """
    Exponential of the Euclidean distance, ``k(x_i, x_j) = exp(-|x_i - x_j| / s)``.

    Parameters
    ----------
    length_scale : float, str, LengthScale or None
        The length s: a number in the unit of the activations, or a rule that chooses it from each
        network's own distances, such as ``Median(0.5)`` or ``"0.5*median"``. None means ``Median()``.
    learnable : bool
        Multiply the length by a factor whose logarithm is a parameter, ``log_factor``, zero at first.

    Notes
    -----
    Distances in feature space grow like the square root of small distances.

    Where it is delicate: at duplicated rows, where the kernel has a kink; the gradient there is zero.

    Examples
    --------
    >>> import torch
    >>> Laplace(5.0)(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[1.0000, 0.3679],
            [0.3679, 1.0000]])
    """

    def _exponent(self, x: Tensor) -> Tensor:
        d = euclidean_distances(x)
        return d / self._length(d)

    def _scaled(self, squares: Tensor, length: Tensor) -> Tensor:
        return safe_sqrt(squares) / length
