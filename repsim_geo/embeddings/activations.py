"""Steps that turn activations (m, d) into a matrix (m, p): center, fit the width, whiten, normalize."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo.errors import ShapeError
from repsim_geo.numerics.alignment import finite_svd
from repsim_geo.numerics.centering import center_columns, center_units
from repsim_geo.numerics.norms import safe_norm, trailing
from repsim_geo.numerics.once import once
from repsim_geo.numerics.singular import partially_whitened, principal_part, rounding_size


class Center(nn.Module):
    """Subtract the mean over inputs from every unit."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to the same shape."""
        return center_units(x)


class ToWidth(nn.Module):
    """
    Bring centered activations to p columns without moving the shape, if p permits.

    Parameters
    ----------
    p : int, optional
        Common width. None means ``min(d, m - 1)``, which is always enough.

    Notes
    -----
    Fewer than p columns are padded with zeros. More are rotated to their principal axes, and the first p are
    kept: exact when ``p >= m - 1``, because centered data have no more axes; lossy otherwise, by at most the
    norm of the axes left out.

    The rotation is a constant for autograd. Metrics that do not see rotations lose nothing by that in first
    derivatives: what moves is the shape, through `principal_part`. Second derivatives would be wrong, and
    raise.
    """

    def __init__(self, p: int | None = None):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, p)."""
        m, d = x.shape[-2:]
        p = min(d, m - 1) if self.p is None else self.p
        if d <= p:
            return nn.functional.pad(x, (0, p - d))
        if p < m - 1:
            x = principal_part(x, p)
        _, _, vh = finite_svd(x.detach())
        return nn.functional.pad(_Rotated.apply(x, vh[..., :p, :].mT), (0, max(0, p - vh.shape[-2])))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"


class _Rotated(torch.autograd.Function):
    """``x @ v`` for a `v` that depends on `x`, differentiable once, with `v` held constant."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(x, v)
        return x @ v

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, v = ctx.saved_tensors
        return once("a rotation to principal axes", lambda g, _: g @ v.mT, grads[0], x), None


class PadTo(nn.Module):
    """
    Append silent units, columns of zeros, up to p columns; no unit is moved, mixed or dropped.

    Parameters
    ----------
    p : int, optional
        Common width. None adds nothing.
    """

    def __init__(self, p: int | None = None):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, p)."""
        d = x.shape[-1]
        p = d if self.p is None else self.p
        if d > p:
            raise ShapeError(
                f"a point with p={p} columns has no place for {d} units, and none may be dropped. "
                "Choose p no smaller than the widest network."
            )
        return nn.functional.pad(x, (0, p - d))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"


class RepeatTo(nn.Module):
    """
    Repeat every unit equally often, up to p columns, and divide by the root of p.

    The result stands for the uniform distribution over units: its squared norm is the *mean* squared norm of
    a unit, and repeating units changes the columns but not what they stand for.

    Parameters
    ----------
    p : int, optional
        Common width, a multiple of every width. None repeats nothing.
    """

    # An assignment of more columns than this takes longer than a second or two.
    widest = 4096

    def __init__(self, p: int | None = None):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, p)."""
        d = x.shape[-1]
        p = d if self.p is None else self.p
        if p % d:
            raise ShapeError(
                f"a point with p={p} columns cannot hold every one of {d} units equally often. "
                "Choose p a multiple of the width of every network."
            )
        if p > max(d, self.widest):
            raise ShapeError(
                f"points may have at most {self.widest} columns, got p={p}, a multiple of all widths. "
                "Distances need no points: use compare(), or between(prepare(x), prepare(y)). For geodesics "
                "select units so that the widths share a larger divisor."
            )
        return x.repeat_interleave(p // d, -1) / math.sqrt(p)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"


class Whiten(nn.Module):
    """
    Make the covariance more isotropic: ``x ((1 - whiten) I + whiten c^(-1/2))``.

    Parameters
    ----------
    whiten : float
        From 0 (leave it) to 1 (identity covariance).
    cov : "mean" or "gram"
        What c is: the mean ``x'x / m``, so that a white cloud has unit variances, or the sum ``x'x``.
    preserve_variance : bool
        Rescale the result to the norm of the activations.
    """

    def __init__(self, whiten: float, cov: str = "mean", *, preserve_variance: bool = False):
        super().__init__()
        self.whiten = whiten
        self.cov = cov
        self.preserve_variance = preserve_variance

    def forward(self, x: Tensor, rounding: Tensor | float = 0.0) -> Tensor:
        """Shape (*batch, m, p) to the same shape; directions weaker than `rounding` are absent."""
        if self.whiten == 0:
            return x
        scale = math.sqrt(x.shape[-2]) if self.cov == "mean" else 1.0
        white = partially_whitened(x, self.whiten, scale, rounding)
        if not self.preserve_variance:
            return white
        before, after = (safe_norm(w, 2, keepdim=True) for w in (x, white))
        return white * before / torch.where(after > 0, after, 1.0)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"whiten={self.whiten}, cov={self.cov!r}, preserve_variance={self.preserve_variance}"


class Whitened(nn.Sequential):
    """
    Steps of which the last is `Whiten`, which is told how much rounding the means left behind.

    What removing large means leaves of their rounding is no direction of the activations, and must not be
    whitened to the size of one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, p)."""
        x, (*steps, whiten) = input, self
        for step in steps:
            x = step(x)
        # Weak directions come with the rounding of strong ones, which has a mean.
        return center_columns(whiten(x, rounding_size(input)))


class Unit(nn.Module):
    """Divide by the Frobenius norm; zero becomes nan."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, p) to the same shape."""
        x = x / largest_entry(x)
        return x / torch.linalg.vector_norm(x, dim=trailing(2), keepdim=True)


def largest_entry(x: Tensor) -> Tensor:
    """
    Largest absolute entry of each matrix, as a constant for autograd; one for a zero matrix.

    Dividing by it before a map that does not see the scale keeps squares and fourth powers in range, and
    since the map does not see the scale, treating it as a constant changes no derivative.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)

    Returns
    -------
    Tensor, shape (*batch, 1, 1)
    """
    # Without a copy of absolute values.
    x = x.detach()
    largest = torch.maximum(x.amax(trailing(2), keepdim=True), -x.amin(trailing(2), keepdim=True))
    return torch.where(largest > 0, largest, 1.0)
