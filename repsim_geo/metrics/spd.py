"""What metrics on covariances and Gram matrices share: modes, ridges, and what they claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo._checks import check_count, check_flag
from repsim_geo.embeddings.covariance import CenteredGram, Covariance, Ridge, UnitDeterminant, check_widths
from repsim_geo.invariances import ORTHOGONAL, SCALE, TRANSLATION, Invariance, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import as_kernel
from repsim_geo.metrics.base import RepresentationMetric, check_networks
from repsim_geo.numerics.alignment import finite_eigenvalues
from repsim_geo.numerics.centering import centered_coordinates
from repsim_geo.numerics.cones import is_psd, square_root

_MODES = ("gram", "cov")
# Gram matrices of fewer units than inputs are singular; so small a ridge leaves large eigenvalues alone, and
# is still seen in float32.
_RIDGE = {"gram": 1e-3, "cov": 0.0}


class SecondMoments(RepresentationMetric):
    """Mixin of metrics whose points are covariances of units, or Gram matrices of inputs."""

    mode: str
    p: int | None
    constant_is_a_point = False

    def resolve(self, reps: Sequence[Tensor]) -> SecondMoments:
        """Itself; refuses covariances of different widths."""
        check_networks(reps, type(self).__name__)
        if self.mode == "cov" and self.p is None:
            check_widths({x.shape[-1] for x in reps}, type(self).__name__)
        return self

    def pair_flops(self, m: int, d: int) -> float:
        """Quotient of two factors, and its singular values."""
        p = m - 1 if self.mode == "gram" else self.p or d
        return 5.0 * p**3

    def _second_moment(self, mode: str, p: int | None, kernel: Kernel | None) -> nn.Module:
        """Embedding without a ridge, from checked options."""
        if mode not in _MODES:
            raise ValueError(
                f"mode must be 'gram' or 'cov', got {mode!r}. Gram matrices of inputs compare networks of "
                "any widths, covariances of units those of one."
            )
        check_count(p, "p", " of axes")
        if kernel is not None and mode == "cov":
            raise ValueError("kernel goes with mode='gram': a covariance of units has none. Leave it out.")
        self.mode, self.p = mode, None if p is None else int(p)
        return Covariance(self.p) if mode == "cov" else CenteredGram(as_kernel(kernel), self.p)

    def _moment(self, point: Tensor) -> Tensor:
        """Second moment that a point stands for."""
        return point

    def _in_image(self, point: Tensor) -> Tensor:
        """Whether some activations have this second moment; shape (*batch)."""
        moment = self._moment(point)
        real = is_psd(moment)
        if self.mode == "gram" or self.p is None:
            return real
        # Variances of principal components: a diagonal in descending order.
        diagonal = moment.diagonal(dim1=-2, dim2=-1)
        slack = 1e3 * torch.finfo(point.dtype).eps * diagonal[..., 0]
        rest = (moment - torch.diag_embed(diagonal)).abs().amax((-2, -1))
        return real & (rest <= slack) & (diagonal.diff(dim=-1).amax(-1) <= slack if self.p > 1 else real)

    def _realize(self, point: Tensor) -> Tensor:
        root = square_root(self._moment(point))
        n = root.shape[-1]
        z = centered_coordinates(n + 1, dtype=root.dtype, device=root.device)
        # Covariances divide by one less than the number of inputs; n + 1 inputs are enough.
        return z @ root if self.mode == "gram" else math.sqrt(n) * (z @ root)

    def _exact_invariances(self) -> frozenset[Invariance]:
        """What leaves the second moment itself as it is."""
        if self.mode == "gram":
            return self._moments.kernel.distance_invariances
        return closure(TRANSLATION, ORTHOGONAL) if self.p is not None else closure(TRANSLATION)

    @property
    def _moments(self) -> Any:
        return self.embedding

    def _shown(self) -> str:
        kernel = f", kernel={self._moments.kernel}" if self.mode == "gram" else ""
        return f"{self.mode!r}, p={self.p}{kernel}"

    @property
    def _unit(self) -> str:
        return self._moments.kernel.unit if self.mode == "gram" else "same unit as the activations"


class Regularized(SecondMoments):
    """Mixin of metrics that need positive definite matrices: a ridge, and an optional unit determinant."""

    def _regularized(
        self,
        mode: str,
        p: int | None,
        kernel: Kernel | None,
        ridge: float | None,
        relative: bool,
        scale_free: bool,
    ) -> nn.Module:
        moments = self._second_moment(mode, p, kernel)
        ridge = _RIDGE[mode] if ridge is None else ridge
        if not isinstance(ridge, Real) or isinstance(ridge, bool) or not 0 <= ridge < math.inf:
            raise ValueError(
                f"ridge must be zero or positive, or None, got {ridge!r}. None is {_RIDGE['gram']:g} times "
                "the mean eigenvalue for Gram matrices, and 0 for covariances."
            )
        check_flag(relative, "relative")
        check_flag(scale_free, "scale_free")
        self.scale_free = scale_free
        steps = [moments, Ridge(float(ridge), relative=relative)]
        return nn.Sequential(*steps, *([UnitDeterminant()] if scale_free else []))

    @property
    def _moments(self) -> Any:
        return self._steps[0]

    @property
    def ridge(self) -> Ridge:
        """The ridge that is added."""
        return self._steps[1]

    @property
    def _steps(self) -> Any:
        return self.embedding

    def _moment(self, point: Tensor) -> Tensor:
        if self.scale_free and not self.ridge.relative:
            # Of any size: take one at which the ridge leaves something.
            point = point * (2 * self.ridge.ridge / finite_eigenvalues(point)[..., :1, None]).clamp_min(1)
        return self.ridge.remove(point)

    def _invariances(self) -> frozenset[Invariance]:
        exact = self._exact_invariances()
        if not (self.scale_free and (self.ridge.relative or self.ridge.ridge == 0)):
            return exact
        homogeneous = self.mode == "cov" or self._moments.kernel.distance_facts.degree is not None
        return exact | ({SCALE} if homogeneous else set())

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return (
            f"{self._shown()}, ridge={self.ridge.ridge:g}, relative={self.ridge.relative}, "
            f"scale_free={self.scale_free}"
        )
