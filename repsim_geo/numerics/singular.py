"""Functions of the singular values of a matrix: ``u f(s) v'`` for ``x = u s v'``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repsim_geo.numerics.alignment import finite_svd
from repsim_geo.numerics.once import once


class _Rule(NamedTuple):
    """Values f_i, and divided differences (f_i - f_j)/(s_i - s_j), (f_i + f_j)/(s_i + s_j), f_i/s_i."""

    value: Tensor
    difference: Tensor
    sum: Tensor
    ratio: Tensor


def principal_part(x: Tensor, rank: int) -> Tensor:
    """
    Nearest matrix of at most this rank: the leading terms of the singular value decomposition.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    rank : int

    Returns
    -------
    Tensor, shape (*batch, m, d)

    Notes
    -----
    Where it is delicate: where the singular values `rank` and `rank` + 1 are equal the nearest matrix is
    not unique; one is returned, and the derivative across the tie is taken as zero. Other equal
    singular values are harmless. Differentiable once; a second derivative raises.

    Examples
    --------
    >>> import torch
    >>> principal_part(torch.diag(torch.tensor([3.0, 1.0])), 1)
    tensor([[3., 0.],
            [0., 0.]])
    """

    def rule(s: Tensor) -> _Rule:
        kept = (torch.arange(s.shape[-1], device=s.device) < rank).to(s.dtype).expand_as(s)
        i, j = s[..., :, None], s[..., None, :]
        top = torch.maximum(i, j)
        both = kept[..., :, None] * kept[..., None, :]
        across = (kept[..., :, None] - kept[..., None, :]).abs()
        return _Rule(
            s * kept, both + across * _ratio(top, (i - j).abs()), both + across * _ratio(top, i + j), kept
        )

    return _SingularFunction.apply(x, rule)  # type: ignore[no-any-return]


def rounding_size(x: Tensor) -> Tensor:
    """
    Size of the directions that the rounding of a matrix can make.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
        Before anything large was subtracted from it.

    Returns
    -------
    Tensor, shape (*batch, 1)
        A constant for autograd.
    """
    return max(x.shape[-2:]) * torch.finfo(x.dtype).eps * torch.linalg.matrix_norm(x.detach())[..., None]


def partially_whitened(x: Tensor, whiten: float, scale: float, rounding: Tensor | float = 0.0) -> Tensor:
    """
    Move singular values towards a common one: ``s -> (1 - whiten) s + whiten * scale``.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    whiten : float
        From 0 (nothing) to 1 (all directions get the same extent).
    scale : float
        The common singular value.
    rounding : Tensor, shape (*batch, 1), or float
        What is known of the rounding of `x`, such as `rounding_size`: directions that do not exceed it beside
        the rounding of the strongest count as absent.

    Returns
    -------
    Tensor, shape (*batch, m, d)

    Notes
    -----
    Where it is delicate: at rank drops. A direction without extent has no direction to be stretched
    in and stays zero, so the map is discontinuous there. Directions weaker than the rounding of the
    strongest count as absent. Differentiable once; a second derivative raises.

    Examples
    --------
    >>> import torch
    >>> partially_whitened(torch.diag(torch.tensor([4.0, 2.0])), 0.5, 1.0)
    tensor([[2.5000, 0.0000],
            [0.0000, 1.5000]])
    """

    def rule(s: Tensor) -> _Rule:
        present = s > (max(x.shape[-2:]) * torch.finfo(s.dtype).eps * s[..., :1]) + rounding
        value = torch.where(present, (1 - whiten) * s + whiten * scale, 0.0)
        ratio = _ratio(value, torch.where(present, s, 0.0))
        both = (present[..., :, None] & present[..., None, :]).to(s.dtype)
        # A direction that is there turns into one that is not as into one outside the matrix.
        turning = (present[..., :, None] ^ present[..., None, :]) * (
            ratio[..., :, None] + ratio[..., None, :]
        )
        sums = s[..., :, None] + s[..., None, :]
        return _Rule(
            value,
            (1 - whiten) * both + turning,
            both * ((1 - whiten) + _ratio(torch.full_like(sums, 2 * whiten * scale), sums)) + turning,
            ratio,
        )

    return _SingularFunction.apply(x, rule)  # type: ignore[no-any-return]


def leading_directions(x: Tensor, variance: float, cutoff: float) -> Tensor:
    """
    Polar factor of the leading principal components: singular values become one, or zero.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    variance : float
        The fewest components are kept that carry this share of the sum of squares; 1 keeps all.
    cutoff : float
        Singular values up to this fraction of the largest are rounding, and zero.

    Returns
    -------
    Tensor, shape (*batch, m, d)

    Notes
    -----
    Where it is delicate: where the last component that is kept and the first that is not are equal, and where
    their number changes: the result jumps. Differentiable once; a second derivative raises.

    Examples
    --------
    >>> import torch
    >>> leading_directions(torch.diag(torch.tensor([4.0, 1.0])), 0.9, 1e-6)
    tensor([[1., 0.],
            [0., 0.]])
    """

    def rule(s: Tensor) -> _Rule:
        energy = s.square()
        kept = s > cutoff * s[..., :1]
        if variance < 1:
            kept = kept & (energy.cumsum(-1) - energy < variance * energy.sum(-1, keepdim=True))
        kept = kept.to(s.dtype)
        i, j = s[..., :, None], s[..., None, :]
        both = kept[..., :, None] * kept[..., None, :]
        across = (kept[..., :, None] - kept[..., None, :]).abs()
        return _Rule(kept, _ratio(across, (i - j).abs()), _ratio(2 * both + across, i + j), _ratio(kept, s))

    return _SingularFunction.apply(x, rule)  # type: ignore[no-any-return]


def polar_factor(x: Tensor) -> Tensor:
    """
    Nearest matrix with orthonormal columns (or rows): all singular values become one.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)

    Returns
    -------
    Tensor, shape (*batch, m, d)

    Notes
    -----
    Where it is delicate: where a singular value vanishes the factor is not unique; one is returned, and the
    derivative along such directions is taken as zero. Derivatives divide by sums of singular values, so equal
    ones, which an orthonormal frame has, are harmless. Differentiable once; a second derivative raises.

    Examples
    --------
    >>> import torch
    >>> polar_factor(torch.diag(torch.tensor([4.0, -2.0])))
    tensor([[ 1.,  0.],
            [ 0., -1.]])
    """

    def rule(s: Tensor) -> _Rule:
        one = torch.ones_like(s)
        sums = s[..., :, None] + s[..., None, :]
        return _Rule(one, torch.zeros_like(sums), _ratio(torch.full_like(sums, 2.0), sums), _ratio(one, s))

    return _SingularFunction.apply(x, rule)  # type: ignore[no-any-return]


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a, 0.0) / torch.where(b > 0, b, 1.0)


class _SingularFunction(torch.autograd.Function):
    """``u f(s) v'``; its derivative is self-adjoint, being the Hessian of a sum over singular values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: Callable[[Tensor], _Rule]) -> Tensor:
        u, s, vh = finite_svd(x)
        ctx.save_for_backward(x, u, s, vh)
        ctx.rule = rule
        return (u * rule(s).value[..., None, :]) @ vh

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, u, s, vh = ctx.saved_tensors
        rule = ctx.rule(s)

        def derivative(g: Tensor, _: Tensor) -> Tensor:
            left, right = u.mT @ g, g @ vh.mT
            e = left @ vh.mT
            inner = rule.difference * (e + e.mT) / 2 + rule.sum * (e - e.mT) / 2
            ratio = rule.ratio
            outside = u @ (ratio[..., :, None] * (left - e @ vh))
            outside = outside + ((right - u @ e) * ratio[..., None, :]) @ vh
            return u @ inner @ vh + outside

        return once("functions of singular values", derivative, grads[0], x), None
