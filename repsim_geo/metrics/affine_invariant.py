"""Affine-invariant Riemannian distance of Gram matrices or covariances."""

from __future__ import annotations

import math

from repsim_geo.kernels.base import Kernel
from repsim_geo.manifolds.spd import AffineInvariantSPD
from repsim_geo.metrics.base import MetricCard
from repsim_geo.metrics.spd import Regularized


class AffineInvariant(Regularized, AffineInvariantSPD):
    """
    Root of the sum of squared logarithms of relative eigenvalues; dimensionless.

    Parameters
    ----------
    mode : "gram" or "cov"
        Compare Gram matrices of inputs, which rotations of units leave alone (points are (m - 1, m - 1)
        matrices, in a basis of the vectors that sum to zero), or covariances of *matched* units (points are
        (d, d) matrices; rotating one network changes the distance).
    p : int, optional
        In mode "gram" keep the first p principal axes of the activations. In mode "cov" compare the variances
        of the first p principal components instead of covariances of units.
    kernel : Kernel, optional
        For mode "gram"; default `Linear`.
    ridge : float, optional
        Added to all eigenvalues, in units of their mean. Default 1e-3 for Gram matrices and 0 for
        covariances.
    relative : bool
        False: the ridge is meant as it is, in the unit of the eigenvalues.
    scale_free : bool
        Divide matrices by the n-th root of their determinant: the mean logarithm is subtracted, and with a
        relative ridge the scale of the activations goes unnoticed.

    Notes
    -----
    Where it is delicate: a Gram matrix of fewer than m - 1 units is singular, and its missing eigenvalues are
    the ridge. Two such networks are about ``sqrt(k) |log ridge|`` apart, k the number of directions that only
    one of them has, whatever the data: this warns `DegenerateRepresentationWarning`, and is refused with
    ``ridge=0``.

    References
    ----------
    Shahbazi et al. 2021; Pennec, Fillard and Ayache 2006.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    >>> metric = AffineInvariant("cov")
    >>> metric.dist(
    ...     metric.embed(x), metric.embed(x * torch.tensor([1.0, torch.e]))
    ... )  # variance e^2 times larger
    tensor(2.)
    """

    __scaling__ = AffineInvariantSPD.__scaling__.copy()
    name = "AffineInvariant"

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

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="affine_invariant",
            summary="root sum of squared log eigenvalues of one Gram matrix relative to the other",
            unit="dimensionless (log eigenvalue)",
            range=(0.0, math.inf),
            invariances=self._invariances(),
            references=("shahbazi2021", "pennec2006tensor"),
            aliases=("affine_invariant_riemannian", "airm", "riemannian_spd"),
        )
