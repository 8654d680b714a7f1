"""Shape metrics: how far two clouds of points are apart after the best rotation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo._checks import check_flag
from repsim_geo._warnings import warn_user
from repsim_geo.embeddings.activations import Center, ToWidth, Unit, Whiten, Whitened
from repsim_geo.embeddings.matrix_form import DOUBLE, MatrixForm
from repsim_geo.errors import DegenerateRepresentationWarning, ShapeError
from repsim_geo.invariances import AFFINE, ORTHOGONAL, SCALE, TRANSLATION, Invariance, closure
from repsim_geo.kernels.linear import Linear
from repsim_geo.manifolds.actions import Orthogonal, SpecialOrthogonal
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.metrics.base import MetricCard, RepresentationMetric, check_networks, check_width
from repsim_geo.numerics.alignment import finite_svd
from repsim_geo.numerics.subspaces import ColumnCentered


class _Shape(RepresentationMetric):
    """Shared by the two shape metrics: width, whitening, reflections, and what they claim."""

    p: int | None
    whiten: float

    def _set(
        self, p: int | None, whiten: float, cov: str, preserve_variance: bool, reflections: bool
    ) -> None:
        """Keep checked options, and make the embedding."""
        self.p, self.whiten, self.cov = p, whiten, cov
        self.preserve_variance, self.reflections = preserve_variance, reflections
        white = Whiten(whiten, cov, preserve_variance=preserve_variance)
        steps = [Whitened(Center(), ToWidth(p), white)] if whiten else [Center(), ToWidth(p), white]
        self.embedding = nn.Sequential(*steps, *([Unit()] if self._unit else []))

    def resolve(self, reps: Sequence[Tensor]) -> _Shape:
        """Copy with the common width ``min(m - 1, max d_i)``, which is exact."""
        check_networks(reps, type(self).__name__)
        if not self.reflections:
            for x in reps:
                _check_rotations(*x.shape[-2:], self.p or reps[0].shape[-1])
        if self.p is not None:
            return self
        p = min(reps[0].shape[-2] - 1, max(x.shape[-1] for x in reps))
        other = self._copied()
        other._set(p, self.whiten, self.cov, self.preserve_variance, self.reflections)
        other._keeps_all = True
        return other

    _unit: bool
    _keeps_all = False

    def _checked(self, x: Any) -> Tensor:
        x = super()._checked(x)
        if not self.reflections:
            _check_rotations(*x.shape[-2:], self.p or x.shape[-1])
        if self.whiten == 1:
            check_room_to_whiten(*x.shape[-2:], self.p, f"{type(self).__name__}(whiten=1)")
        return x

    def cloud_form(self, widest: int) -> MatrixForm | None:
        """Gram matrix of the linear kernel, without whitening and if no axis is left out."""
        keeps_all = self.p is None or self._keeps_all or self.p >= widest
        plain = self.whiten == 0 and self.reflections and keeps_all
        return MatrixForm("gram", Linear(), DOUBLE, self._unit) if plain else None

    def pair_flops(self, m: int, d: int) -> float:
        """Cross-product, and its singular values."""
        p = min(m - 1, d) if self.p is None else self.p
        return 2.0 * m * p**2 + 4.0 * p**3

    def _in_image(self, point: Tensor) -> Tensor:
        """
        Whether some activations have this shape; shape (*batch).

        All shapes without whitening. With it, singular values must be large enough: whitening moves them all
        towards a common one. Directions without extent may be missing.
        """
        if self.whiten == 0:
            return self._all(point)
        s = finite_svd(point)[1]
        present = s > max(point.shape[-2:]) * torch.finfo(s.dtype).eps * s[..., :1]
        lowest = torch.where(present, s, torch.inf).amin(-1)
        slack = 1e3 * torch.finfo(s.dtype).eps
        if self.whiten == 1:
            even = s[..., 0] <= (1 + slack) * lowest
            free = self._unit or self.preserve_variance
            return even if free else even & ((lowest - self._common(point)).abs() <= slack * lowest)
        if self._unit:
            return self._all(point)
        if self.preserve_variance:
            # The largest scale at which the weakest direction still has an extent before whitening.
            before = self._before(s * (self.whiten * self._common(point) / lowest)[..., None], present, point)
            return before.norm(dim=-1) <= (1 + slack) * s.norm(dim=-1)
        return lowest >= (1 - slack) * self.whiten * self._common(point)

    def _common(self, point: Tensor) -> float:
        """Singular value to which whitening moves."""
        return math.sqrt(point.shape[-2]) if self.cov == "mean" else 1.0

    def _before(self, s: Tensor, present: Tensor, point: Tensor) -> Tensor:
        """Singular values that become s by whitening."""
        return torch.where(present, (s - self.whiten * self._common(point)) / (1 - self.whiten), 0.0)

    def _realize(self, point: Tensor) -> Tensor:
        if self.whiten in (0, 1):
            return point.clone()
        if self.preserve_variance:
            raise NotImplementedError(
                "realize is not written for whitening that preserves the variance; it is for "
                "preserve_variance=False."
            )
        u, s, vh = finite_svd(point)
        present = s > max(point.shape[-2:]) * torch.finfo(s.dtype).eps * s[..., :1]
        if self._unit:
            # Of any size: take one at which all directions have an extent.
            lowest = torch.where(present, s, torch.inf).amin(-1, keepdim=True)
            s = s * (2 * self.whiten * self._common(point) / lowest)
        return (u * self._before(s, present, point).clamp_min(0)[..., None, :]) @ vh

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        shown = {
            "p": self.p,
            "whiten": self.whiten,
            "cov": self.cov,
            "preserve_variance": self.preserve_variance,
            "reflections": self.reflections,
        }
        usual = {"cov": "mean", "preserve_variance": False, "reflections": True}
        return ", ".join(f"{k}={v!r}" for k, v in shown.items() if usual.get(k, ...) != v)

    def _invariances(self) -> frozenset[Invariance]:
        # The norm of what whitening forgot is still seen, unless it is divided out.
        forgets = self.whiten == 1 and (self._unit or not self.preserve_variance)
        scale = {SCALE} if forgets or (self._unit and self.whiten == 0) else set()
        if not self.reflections:
            return closure(TRANSLATION) | scale
        if forgets and (self.p is None or self._keeps_all):
            return closure(AFFINE)
        return closure(TRANSLATION, ORTHOGONAL) | scale

    def _unit_name(self) -> str:
        if self.whiten == 0 or self.preserve_variance:
            return "same unit as the activations"
        size = "root of rows" if self.cov == "mean" else "canonical directions"
        return f"{size} (dimensionless)" if self.whiten == 1 else f"mixed: activations and {size}"


def _action(reflections: bool) -> Orthogonal:
    return Orthogonal() if reflections else SpecialOrthogonal()


def _check_rotations(m: int, d: int, p: int) -> None:
    if d != p or not 2 <= d <= m - 1:
        raise ShapeError(
            f"reflections=False needs networks of one number of units, from 2 to {m - 1} for {m} rows, got "
            f"{d} units for p={p}: a silent unit would make reflections free. Use reflections=True."
        )


def _check_options(
    p: int | None, whiten: float, cov: str, preserve_variance: bool, reflections: bool
) -> None:
    if cov not in ("mean", "gram"):
        raise ValueError(
            f"cov must be 'mean' (x'x / m) or 'gram' (x'x), got {cov!r}. 'gram' is what netrep does."
        )
    check_flag(preserve_variance, "preserve_variance")
    check_flag(reflections, "reflections")
    check_width(p, "None keeps all.")
    if not isinstance(whiten, Real) or not 0 <= whiten <= 1:
        raise ValueError(
            f"whiten must lie between 0 (rotations only) and 1 (any invertible linear map), got {whiten!r}. "
            "Other tools' alpha is 1 - whiten."
        )


def check_room_to_whiten(m: int, d: int, p: int | None, metric: str) -> None:
    """
    Refuse so few inputs that all networks span all of them, and warn where any two share directions.

    Parameters
    ----------
    m, d : int
        Inputs and units.
    p : int or None
        Principal components that are kept.
    metric : str
        For the message.

    Raises
    ------
    ShapeError

    Warns
    -----
    DegenerateRepresentationWarning
    """
    width = min(d, m - 1) if p is None else min(d, p)
    if m - 1 <= width:
        raise ShapeError(
            f"{metric} needs more inputs than directions: got {m} rows and {width} columns, and all such "
            "data are the same up to a linear map. Record more inputs, or keep fewer principal components."
        )
    if m - 1 < 2 * width:
        warn_user(
            f"{metric} with {m} rows and {width} columns: two unrelated networks share at least "
            f"{2 * width - m + 1} directions for lack of rows, so distances are too small. Record more "
            "inputs, or keep fewer principal components.",
            DegenerateRepresentationWarning,
        )


class SizeAndShape(_Shape, Quotient):
    """
    Procrustes distance: Euclidean distance of two centered clouds after the best rotation or reflection.

    Points are centered (m, p) matrices, up to orthogonal maps of the columns. The unit is that of the
    activations; it grows with the number of inputs like its square root (no averaging).

    Parameters
    ----------
    p : int, optional
        Columns of a point. None keeps all: ``min(m - 1, d)`` for one network and, through ``compare`` and
        ``pairwise``, ``min(m - 1, max d_i)`` for several. A smaller p keeps the first p
        principal axes, and the distance changes by at most the norm of what is left out.
    whiten : float
        From 0 (rotations only) to 1 (any invertible linear map): how much the covariance is made isotropic
        before the comparison. Preprocessing only: geodesics and means live among all shapes, whitened or
        not. Other tools' ``alpha`` is ``1 - whiten``.
    cov : "mean" or "gram"
        Whiten by the mean ``x'x / m``, which makes unit variances, or by the sum ``x'x``, as netrep does.
    preserve_variance : bool
        Rescale whitened activations to the norm they had, as netrep does.
    reflections : bool
        False: rotations only, the group SO(p). Needs networks of equally many units, no more than m - 1.

    Notes
    -----
    Delicate: clouds of lower rank than min(p, m - 1) are singular points; distances and geodesics are right
    there.

    References
    ----------
    Williams et al. 2021; Le 1995; Thanwerdas and Pennec 2023.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> y = torch.tensor([[0.0, 2.0], [0.0, -2.0]])
    >>> metric = SizeAndShape(p=2)
    >>> metric.dist(metric.embed(x), metric.embed(y))  # rotate y by 90 degrees: each point is 1 off
    tensor(1.4142)
    """

    __scaling__ = Quotient.__scaling__.copy()
    name = "SizeAndShape"
    constant_is_a_point = True
    _unit = False

    def __init__(
        self,
        p: int | None = None,
        *,
        whiten: float = 0.0,
        cov: str = "mean",
        preserve_variance: bool = False,
        reflections: bool = True,
    ):
        _check_options(p, whiten, cov, preserve_variance, reflections)
        super().__init__(Flat(2, ColumnCentered()), _action(reflections))
        self._set(p, whiten, cov, preserve_variance, reflections)

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="size_and_shape",
            summary="Euclidean distance of two centered clouds after the best rotation",
            unit=self._unit_name(),
            range=(0.0, math.inf),
            invariances=self._invariances(),
            references=("williams2021", "le1995", "thanwerdas2023"),
            aliases=("euclidean_shape_metric", "procrustes", "procrustes_size_and_shape", "euclidean_shape"),
        )


class AngularShape(_Shape, Quotient):
    """
    Angle between two centered clouds of unit norm after the best rotation or reflection, in radians.

    Points are centered (m, p) matrices of unit norm, up to orthogonal maps of the columns: Kendall's shape
    space with reflections. At most pi/2.

    Parameters
    ----------
    p : int, optional
        Columns of a point; see `SizeAndShape`.
    whiten : float
        From 0 (rotations only) to 1 (any invertible linear map); see `SizeAndShape`.
    cov : "mean" or "gram"
    preserve_variance : bool
    reflections : bool
        See `SizeAndShape`.

    Notes
    -----
    With ``whiten=1`` and equal widths the cosine of the distance is the mean canonical correlation. Needs at
    least 3 inputs: two have one shape.

    References
    ----------
    Kendall 1984; Williams et al. 2021.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    >>> metric = AngularShape(p=2)
    >>> float(metric.dist(metric.embed(x), metric.embed(5 * x.flip(-1)))) < 1e-6  # scale and reflection
    True
    """

    __scaling__ = Quotient.__scaling__.copy()
    name = "AngularShape"
    _unit = True
    fewest_rows = 3

    def __init__(
        self,
        p: int | None = None,
        *,
        whiten: float = 0.0,
        cov: str = "mean",
        preserve_variance: bool = False,
        reflections: bool = True,
    ):
        _check_options(p, whiten, cov, preserve_variance, reflections)
        super().__init__(UnitSphere(2, ColumnCentered()), _action(reflections))
        self._set(p, whiten, cov, preserve_variance, reflections)

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="angular_shape",
            summary="angle between two centered clouds of unit norm after the best rotation",
            unit="radians",
            range=(0.0, math.pi / 2),
            invariances=self._invariances(),
            references=("kendall1984", "williams2021"),
            aliases=("angular_shape_metric", "riemannian_shape_metric", "kendall", "angular_procrustes"),
        )
