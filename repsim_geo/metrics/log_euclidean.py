"""Log-Euclidean distance of Gram matrices or covariances."""

from __future__ import annotations

import math

from repsim_geo.kernels.base import Kernel
from repsim_geo.manifolds.spd import LogEuclideanSPD
from repsim_geo.metrics.base import MetricCard
from repsim_geo.metrics.spd import Regularized


class LogEuclidean(Regularized, LogEuclideanSPD):
    """
    Euclidean distance of the logarithms of two Gram matrices or covariances; dimensionless.

    At most the affine-invariant distance, and equal to it for matrices that commute. The space is flat: means
    are closed forms, and geodesics never leave it.

    Parameters
    ----------
    mode : "gram" or "cov"
        Gram matrices of inputs or covariances of matched units, as in `AffineInvariant`.
    p : int, optional
        Principal axes that are kept, as in `AffineInvariant`.
    kernel : Kernel, optional
        For mode "gram"; default `Linear`.
    ridge : float, optional
        Added to all eigenvalues, in units of their mean. Default 1e-3 for Gram matrices and 0 for
        covariances.
    relative : bool
        False: the ridge is meant as it is, in the unit of the eigenvalues.
    scale_free : bool
        Divide matrices by the n-th root of their determinant.

    Notes
    -----
    Where it is delicate: singular Gram matrices, as in `AffineInvariant`.

    References
    ----------
    Arsigny, Fillard, Pennec and Ayache 2007.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    >>> metric = LogEuclidean("cov")
    >>> metric.dist(metric.embed(x), metric.embed(x * torch.tensor([1.0, torch.e])))
    tensor(2.)
    """

    __scaling__ = LogEuclideanSPD.__scaling__.copy()
    name = "LogEuclidean"

    def __init__(
        self,
        mode: str = "gram",
        *,
        p: int | None = None,
        kernel: Kernel | None = None,
        ridge: float | None = None,
        relative: bool = True,
        scale_free: bool = False,
    ):
        super().__init__()
        self.embedding = self._regularized(mode, p, kernel, ridge, relative, scale_free)

    def pair_flops(self, m: int, d: int) -> float:
        """Difference of two logarithms."""
        return 3.0 * (m - 1 if self.mode == "gram" else self.p or d) ** 2

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="log_euclidean",
            summary="Euclidean distance of the logarithms of two Gram matrices",
            unit="dimensionless (log eigenvalue)",
            range=(0.0, math.inf),
            invariances=self._invariances(),
            references=("arsigny2007",),
            aliases=("log_euclidean_riemannian", "lerm"),
        )
