"""What kernels of a distance share: a length scale, and a factor of it that can be learnt."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo._warnings import warn_user
from repsim_geo.errors import DegenerateRepresentationWarning
from repsim_geo.invariances import ORTHOGONAL, SCALE, TRANSLATION, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.facts import Facts
from repsim_geo.kernels.length_scales import LengthScale, as_length_scale, positive
from repsim_geo.numerics.tracing import readable


class Radial(Kernel):
    """
    Kernel ``exp(-q)`` of a quantity `q` that grows with ``|x_i - x_j| / s``.

    A subclass writes ``_exponent``, from activations, and ``_scaled``, from squared distances.

    Parameters
    ----------
    length_scale : float, str, LengthScale or None
        The length s: a number in the unit of the activations, or a rule that chooses it from each
        network's own distances, such as ``Median(0.5)`` or ``"0.5*median"``. None means ``Median()``.
    learnable : bool
        Multiply the length by a factor whose logarithm is a parameter, ``log_factor``, zero at first.
    """

    def __init__(self, length_scale: float | str | LengthScale | None = None, *, learnable: bool = False):
        super().__init__()
        self.length_scale = as_length_scale(length_scale)
        check_flag(learnable, "learnable")
        self.register_parameter("log_factor", torch.nn.Parameter(torch.zeros(())) if learnable else None)

    @property
    def facts(self) -> Facts:
        """A rule that follows the data makes the kernel blind to what the rule follows."""
        degree = 0.0 if SCALE in self.length_scale.invariances else None
        return Facts(closure(TRANSLATION, ORTHOGONAL), degree=degree, power=0.0)

    def _length(self, distances: Tensor) -> Tensor:
        """Length scale for distances (*batch, m, m); shape (*batch, 1, 1)."""
        return self._lengthened(self.length_scale(distances))

    def _lengthened(self, length: Tensor) -> Tensor:
        length = positive(length)[..., None, None]
        return length if self.log_factor is None else length * self.log_factor.to(length).exp()

    def _exponent(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._exponent is not written")

    def _scaled(self, squares: Tensor, length: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._scaled is not written")

    @property
    def isotropic(self) -> bool:
        """Yes."""
        return True

    @property
    def length_rules(self) -> tuple[LengthScale, ...]:
        """The one that chooses the length scale."""
        return (self.length_scale,)

    def profile(self, squares: Tensor, length: Callable[[LengthScale], Tensor]) -> Tensor:
        """Squared distances in feature space, ``2 - 2 k``; shape (*batch, r, c)."""
        return -2 * torch.expm1(-self._scaled(squares, self._lengthened(length(self.length_scale))))

    def _seen(self, x: Tensor) -> Tensor:
        """Exponents; warns where no input sees another, so that all networks look the same."""
        q = self._exponent(x)
        if readable(q) and q.shape[-1] > 1:
            # Every input sees itself.
            seen = (q.detach() <= -math.log(torch.finfo(q.dtype).eps)).sum((-2, -1))
            if bool((seen == q.shape[-1]).any()):
                self._warn_blind()
        return q

    def check_resemblance(self, total: Tensor, m: int) -> None:
        """
        Warn as the Gram matrix would, where only sums of it are known.

        Parameters
        ----------
        total : Tensor, shape (n,)
            Sums of all squared distances in feature space.
        m : int
            Number of inputs.

        Warns
        -----
        DegenerateRepresentationWarning
            No two inputs of a network resemble each other.
        """
        off_diagonal = m * (m - 1) - total.detach() / 2
        if m > 1 and bool((off_diagonal <= m * m * torch.finfo(total.dtype).eps).any()):
            self._warn_blind()

    def _warn_blind(self) -> None:
        warn_user(
            f"with length_scale={self.length_scale} no two inputs resemble each other: the Gram matrix is "
            "the identity up to rounding, as it is of any other network. Take a longer scale; the median "
            "distance is the default.",
            DegenerateRepresentationWarning,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return (-self._seen(x)).exp()

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared distances in feature space, ``2 - 2 k``; shape (*batch, m, m)."""
        return -2 * torch.expm1(-self._seen(x))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"{self.length_scale}" + (", learnable=True" if self.log_factor is not None else "")
