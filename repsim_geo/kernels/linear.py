"""The linear kernel."""

from __future__ import annotations

from torch import Tensor

from repsim_geo.invariances import ORTHOGONAL, SCALE, TRANSLATION, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.numerics.dissimilarities import euclidean_distances


class Linear(Kernel):
    """
    Inner products of activations: ``k(x_i, x_j) = <x_i, x_j>``.

    Buys invariance to translation (through centering), scaling (through normalization) and rotation.

    Examples
    --------
    >>> import torch
    >>> Linear()(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    tensor([[1., 1.],
            [1., 2.]])
    """

    invariances = closure(TRANSLATION, SCALE, ORTHOGONAL)
    distance_invariances = closure(TRANSLATION, ORTHOGONAL)
    unit = "same unit as the activations"

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return x @ x.mT

    def distances(self, x: Tensor) -> Tensor:
        """Euclidean distances between inputs; shape (*batch, m, m)."""
        return euclidean_distances(x)
