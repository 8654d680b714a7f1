"""Angular CKA: the angle between two centered Gram matrices."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from repsim_geo._checks import check_flag, check_pair
from repsim_geo.embeddings.activations import largest_entry
from repsim_geo.embeddings.gram import UnitGram
from repsim_geo.embeddings.matrix_form import DOUBLE, UNBIASED, MatrixForm
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear, as_kernel
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.metrics.base import MetricCard, RepresentationMetric
from repsim_geo.numerics.alignment import finite_eigenvalues
from repsim_geo.numerics.angles import sinc
from repsim_geo.numerics.centering import center_columns
from repsim_geo.numerics.cones import is_psd, square_root
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
        check_flag(debiased, "debiased")
        subspace = UCentered() if debiased else DoubleCentered()
        super().__init__(ndim=2, subspace=subspace)
        self.debiased = debiased
        self.embedding = UnitGram(as_kernel(kernel), subspace)
        # Two inputs have one centered Gram matrix, up to scale.
        self.fewest_rows = 4 if debiased else 3

    def matrix_form(self) -> MatrixForm | None:
        """Entries of the Gram matrix, where the kernel needs no more than distances between inputs."""
        kernel = self.embedding.kernel
        return (
            MatrixForm("gram", kernel, UNBIASED if self.debiased else DOUBLE, True)
            if kernel.isotropic
            else None
        )

    def _in_image(self, point: Tensor) -> Tensor:
        """
        Whether a Gram matrix of some activations has this direction; shape (*batch).

        Those that are positive semidefinite; U-centered ones all are.
        """
        return self._all(point) if self.debiased else is_psd(point)

    def _realize(self, point: Tensor) -> Tensor:
        if self.debiased:
            # U-centering does not see the diagonal, nor a constant off it: add a multiple of 1 - 11'/m.
            lift = -finite_eigenvalues(point)[..., :1, None].clamp(max=0)
            eye = torch.eye(point.shape[-1], dtype=point.dtype, device=point.device)
            point = point + lift * (eye - 1 / point.shape[-1])
        return square_root(point)

    def blend(self, t: float, x: Any, y: Any) -> Tensor:
        """
        Activations of the point at time t of the geodesic between two networks: their units side by side.

        A great circle from A to B has the points ``a A + b B``, and inner products add up over units: it is
        enough to scale the centered activations of both.

        Parameters
        ----------
        t : float
            From 0 (the first) to 1 (the second).
        x : Tensor or array, shape (*batch, m, d)
        y : Tensor or array, shape (*batch, m, e)

        Returns
        -------
        Tensor, shape (*batch, m, d + e)

        Raises
        ------
        TypeError
            A kernel other than the linear one, whose features are not activations, or `debiased`.
        ValueError
            A time outside, where a network would count negatively.

        Examples
        --------
        >>> import torch
        >>> x, y = torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[1.0], [0.0], [-1.0]])
        >>> metric = AngularCKA()
        >>> middle = metric.embed(metric.blend(0.5, x, y))
        >>> metric.dist(metric.embed(x), middle) / metric.dist(metric.embed(x), metric.embed(y))
        tensor(0.5000)
        """
        if self.debiased or type(self.embedding.kernel) is not Linear:
            raise TypeError(
                f"blend needs the linear kernel and debiased=False, got {self.extra_repr()}. "
                "realize(geodesic(t, ...)) gives features for other kernels."
            )
        if not isinstance(t, Real) or not 0 <= t <= 1:
            raise ValueError(
                f"t, the first argument, must be a number from 0 to 1, got {t!r}. Beyond, a Gram matrix "
                "would be subtracted."
            )
        x, y = self._checked(x), self._checked(y)
        check_pair(x, y, "blend")
        x, y = center_columns(x), center_columns(y)
        angle = self.dist(self.embed(x), self.embed(y))[..., None, None]
        parts = []
        for w, share in ((x, 1 - t), (y, t)):
            w = w / largest_entry(w)
            size = torch.linalg.matrix_norm(w.mT @ w, keepdim=True).sqrt()
            # sin(share * angle) / sin(angle), which is the share itself where the two are equal.
            weight = share * sinc((share * angle).square()) / sinc(angle.square())
            parts.append(weight.sqrt() * w / size)
        return torch.cat(parts, -1)

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
