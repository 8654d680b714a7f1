"""Kernels of infinitely wide layers of threshold units and of rectified units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.invariances import ORTHOGONAL, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.facts import Facts
from repsim_geo.numerics.dissimilarities import angles_between_rows, unit_rows
from repsim_geo.numerics.tracing import readable


class ArcCosine(Kernel):
    """
    Arc-cosine kernel: mean of ``2 h(<w, x_i>) h(<w, x_j>)`` over standard normal w.

    Here ``h(t)`` is ``t**n`` for positive t, and 0 otherwise. In closed form it is
    ``|x_i|**n |x_j|**n J_n(a) / pi`` with the angle a between the two inputs and ``J_0 = pi - a``,
    ``J_1 = sin a + (pi - a) cos a``, ``J_2 = 3 sin a cos a + (pi - a)(1 + 2 cos(a)**2)``.

    Parameters
    ----------
    order : int
        The n: 0 (threshold units), 1 (rectified linear units) or 2.

    Notes
    -----
    Rotations are not noticed, translations are: angles are measured at the origin. Scaling multiplies the
    Gram matrix by a power.

    Where it is delicate: a zero row has no direction; its kernel is 0 for order 1 and 2, and it is refused
    for order 0. Order 0 has a kink where two inputs are parallel or opposite; its gradient is zero there. At
    parallel inputs second derivatives leave out the angle.

    References
    ----------
    Cho and Saul 2009.

    Examples
    --------
    >>> import torch
    >>> ArcCosine(0)(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))  # a right angle is half of the way
    tensor([[1.0000, 0.5000],
            [0.5000, 1.0000]])
    """

    def __init__(self, order: int = 1):
        super().__init__()
        if isinstance(order, bool) or order not in (0, 1, 2):
            raise ValueError(
                f"order must be 0 (threshold), 1 (rectified linear) or 2, got {order!r}. Leave it out for 1."
            )
        self.order = int(order)

    @property
    def facts(self) -> Facts:
        """Homogeneous of degree twice the order."""
        return Facts(closure(ORTHOGONAL), degree=2.0 * self.order, power=float(self.order))

    def _lengths_and_gap(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``|x_i|**n``, shape (*batch, m), and ``(J_n(0) - J_n(angle)) / pi``, accurate at small angles."""
        _, lengths = unit_rows(x)
        if self.order == 0:
            _refuse_zero_rows(lengths)
        a = angles_between_rows(x)
        s, c = a.sin(), a.cos()
        if self.order == 0:
            # Where rows are zero and nobody can look, the answer is nan.
            defined = torch.where(lengths > 0, 1.0, torch.nan).to(x.dtype)
            return defined, a / math.pi
        if self.order == 1:
            return lengths, 2 * (a / 2).sin().square() - (s - a * c) / math.pi
        return lengths.square(), 2 * s.square() - (3 * s * c - a * (1 + 2 * c.square())) / math.pi

    @property
    def _at_zero(self) -> float:
        return 3.0 if self.order == 2 else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        r, gap = self._lengths_and_gap(x)
        return r[..., :, None] * r[..., None, :] * (self._at_zero - gap)

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared distances in feature space; shape (*batch, m, m)."""
        r, gap = self._lengths_and_gap(x)
        i, j = r[..., :, None], r[..., None, :]
        return self._at_zero * (i - j).square() + 2 * i * j * gap

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"order={self.order}"


def _refuse_zero_rows(lengths: Tensor) -> None:
    if readable(lengths) and bool((lengths == 0).any()):
        row = int((lengths == 0).nonzero()[0, -1])
        raise DegenerateRepresentationError(
            f"the arc-cosine kernel of order 0 compares directions, and row {row} is zero. "
            "Leave this input out, or use order 1 or 2."
        )
