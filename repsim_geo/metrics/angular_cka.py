"""Angular CKA: the angle between two centered Gram matrices."""

from __future__ import annotations

import math

from repsim_geo.embeddings.gram import UnitGram
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import as_kernel
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.metrics.base import MetricCard, RepresentationMetric
from repsim_geo.numerics.subspaces import DoubleCentered, UCentered


class AngularCKA(RepresentationMetric, UnitSphere):
    """
    Angle between two centered Gram matrices, in radians: the arc cosine of CKA.

    Points are symmetric (m, m) matrices of unit norm with zero row sums.

    Parameters
    ----------
    kernel : Kernel, optional
        Default `Linear`.
    debiased : bool
        U-center the Gram matrices instead of centering them. The cosine of the distance is then the ratio of
        unbiased estimates of HSIC (Song et al. 2007), which is near zero for independent networks however
        wide they are; biased CKA of independent networks tends to one when d is much larger than m.
        Needs at least 4 inputs.

    Notes
    -----
    Gram matrices of data are positive semidefinite, so their angles are at most pi/2, geodesics between them
    stay positive semidefinite, and their Fréchet mean is unique. U-centered matrices fill the whole sphere:
    angles reach pi, and points may be antipodal.

    Delicate: inputs that are all equally far from each other have no U-centered Gram matrix and are refused.

    References
    ----------
    Kornblith et al. 2019; Williams et al. 2021; Lange et al. 2023; Song et al. 2007; Székely and Rizzo 2014.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0], [-1.0], [0.0], [0.0]])
    >>> y = torch.tensor([[0.0], [0.0], [1.0], [-1.0]])
    >>> metric = AngularCKA()
    >>> metric.dist(metric.embed(x), metric.embed(y))  # orthogonal Gram matrices
    tensor(1.5708)
    """

    __scaling__ = UnitSphere.__scaling__.copy()
    name = "AngularCKA"

    def __init__(self, kernel: Kernel | None = None, *, debiased: bool = False):
        subspace = UCentered() if debiased else DoubleCentered()
        super().__init__(ndim=2, subspace=subspace)
        self.debiased = debiased
        self.embedding = UnitGram(as_kernel(kernel), subspace)
        # Two inputs have one centered Gram matrix, up to scale.
        self.fewest_rows = 4 if debiased else 3

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"kernel={self.embedding.kernel}, debiased={self.debiased}"

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        if self.debiased:
            return MetricCard(
                key="angular_cka_debiased",
                summary="angle between two U-centered Gram matrices",
                unit="radians",
                range=(0.0, math.pi),
                invariances=self.embedding.kernel.invariances,
                references=("song2007", "szekely2014", "murphy2024"),
                aliases=("debiased_cka", "unbiased_cka", "cka_debiased"),
            )
        return MetricCard(
            key="angular_cka",
            summary="angle between two centered Gram matrices",
            unit="radians",
            range=(0.0, math.pi / 2),
            invariances=self.embedding.kernel.invariances,
            references=("kornblith2019", "williams2021", "lange2023"),
            aliases=("angular_cka_biased", "linear_cka_angle"),
        )
