"""What a kernel is."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.invariances import Invariance
from repsim_geo.numerics.norms import safe_sqrt


class Kernel(torch.nn.Module):
    """
    Positive semidefinite function of pairs of inputs.

    A subclass writes ``forward``, and declares two sets: ``invariances``, what does not change the Gram
    matrix *up to a positive factor and up to centering*, which is what metrics on Gram matrices see; and
    ``distance_invariances``, what does not change distances in feature space.
    """

    invariances: frozenset[Invariance] = frozenset()
    distance_invariances: frozenset[Invariance] = frozenset()
    # Unit of distances in feature space.
    unit: str = "dimensionless"

    def forward(self, x: Tensor) -> Tensor:
        """
        Gram matrix.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)

        Returns
        -------
        Tensor, shape (*batch, m, m)
        """
        raise NotImplementedError(f"{type(self).__name__}.forward is not written")

    def distances(self, x: Tensor) -> Tensor:
        """
        Distances between inputs in the feature space of the kernel.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)

        Returns
        -------
        Tensor, shape (*batch, m, m)
        """
        k = self(x)
        diagonal = k.diagonal(dim1=-2, dim2=-1)
        return safe_sqrt(diagonal[..., :, None] + diagonal[..., None, :] - 2 * k)
