"""Bures-Wasserstein distance of Gram matrices or covariances."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from repsim_geo.embeddings.activations import ToWidth
from repsim_geo.embeddings.matrix_form import DOUBLE, MatrixForm
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear
from repsim_geo.manifolds.bures import BuresWassersteinSPD
from repsim_geo.metrics.base import MetricCard
from repsim_geo.metrics.spd import SecondMoments
from repsim_geo.numerics.centering import center_columns


class BuresWasserstein(SecondMoments, BuresWassersteinSPD):
    """
    Distance of two Gram matrices as the best match of their features, in the unit of the activations.

    For the linear kernel this is the Procrustes distance of `SizeAndShape`, on Gram matrices instead of
    clouds of points: the cosine that belongs to it is the normalized Bures similarity.

    Parameters
    ----------
    mode : "gram" or "cov"
        Gram matrices of inputs (points are (m - 1, m - 1) matrices, in a basis of the vectors that sum to
        zero), or covariances of *matched* units (points are (d, d) matrices): the Wasserstein distance of
        Gaussians with these covariances.
    p : int, optional
        In mode "gram" keep the first p principal axes of the activations. In mode "cov" compare the standard
        deviations of the first p principal components.
    kernel : Kernel, optional
        For mode "gram"; default `Linear`.

    Notes
    -----
    ``prepare`` and ``between`` compare features themselves where the kernel is linear: no root of a Gram
    matrix is taken, which would lose half of the digits of small directions.

    Where it is delicate: Gram matrices of fewer than m - 1 units are singular points. Distances and geodesics
    are right there; tangent spaces are cones.

    References
    ----------
    Bhatia, Jain and Lim 2019; Harvey et al. 2023.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0], [-1.0]])
    >>> metric = BuresWasserstein()
    >>> metric.dist(metric.embed(x), metric.embed(3 * x))  # each of the two points is 2 off
    tensor(2.8284)
    """

    __scaling__ = BuresWassersteinSPD.__scaling__.copy()
    name = "BuresWasserstein"
    constant_is_a_point = True

    def __init__(self, mode: str = "gram", *, p: int | None = None, kernel: Kernel | None = None):
        super().__init__()
        self.embedding = self._second_moment(mode, p, kernel)
        self._width = self.p

    def _has_features(self) -> bool:
        return self.mode == "gram" and type(self.embedding.kernel) is Linear

    def resolve(self, reps: Sequence[Tensor]) -> BuresWasserstein:
        """Copy that prepares features of one common width, ``min(m - 1, max d_i)``."""
        super().resolve(reps)
        if self.p is not None:
            return self
        # Shallow: the kernel, with what it learns, stays the same.
        other = copy.copy(self)
        other._width = min(reps[0].shape[-2] - 1, max(x.shape[-1] for x in reps))
        return other

    def cloud_form(self, widest: int) -> MatrixForm | None:
        """Gram matrix of the linear kernel, if no axis is left out."""
        plain = self._has_features() and self.p is None
        return MatrixForm("gram", self.embedding.kernel, DOUBLE, unit=False) if plain else None

    def pair_flops(self, m: int, d: int) -> float:
        """Cross-product of features, and its singular values."""
        if not self._has_features():
            return super().pair_flops(m, d)
        p = min(m - 1, d) if self._width is None else self._width
        return 2.0 * m * p**2 + 4.0 * p**3

    def prepare(self, x: Any) -> Tensor:
        """
        Centered features (*batch, m, p) for the linear kernel, and the point otherwise.

        Parameters
        ----------
        x : Tensor or array, shape (*batch, m, d)

        Returns
        -------
        Tensor
        """
        if not self._has_features():
            return self.embed(x)
        x = self._checked(x)
        with torch.autocast(x.device.type, enabled=False):
            return ToWidth(self._width)(center_columns(x))

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of two prepared representations; equal to ``dist`` of their points; shape (*batch)."""
        return self.factors.dist(a, b) if self._has_features() else self.dist(a, b)

    def between_all(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances of two stacks of prepared representations; shape (n, k)."""
        return self.factors.cdist(a, b) if self._has_features() else self.cdist(a, b)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return self._shown()

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="bures_wasserstein",
            summary="distance of two Gram matrices as the best match of their features",
            unit=self._unit,
            range=(0.0, math.inf),
            invariances=self._exact_invariances(),
            references=("bhatia2019", "harvey2023"),
            aliases=("bures", "bures_distance", "wasserstein_spd"),
        )
