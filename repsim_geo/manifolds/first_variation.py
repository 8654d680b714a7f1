"""Squared distances whose gradient is minus twice the logarithm, as the first variation formula says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repsim_geo.numerics.norms import trailing, with_axes


def squared_distance(manifold: Any, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
    """
    Squared distance with the gradient that geometry knows, instead of that of its formula.

    The value comes from ``manifold._squared``, which may use any accurate formula: it is not differentiated.

    Parameters
    ----------
    manifold : RiemannianManifold
        With ``_squared(x, y)``, ``logmap`` and ``rgrad2egrad``.
    x, y : Tensor, shape (*batch, *point)
        Broadcast; what ``_squared`` does for a single point is done once, not once a pair.
    keepdim : bool

    Returns
    -------
    Tensor, shape (*batch)
        Twice differentiable: the gradient is made of logarithms, which autograd differentiates.
    """
    d2 = _SquaredDistance.apply(manifold, x, y)
    return with_axes(d2, manifold.ndim) if keepdim else d2


class _SquaredDistance(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(manifold: Any, x: Tensor, y: Tensor) -> Tensor:
        return manifold._squared(x, y)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.manifold, x, y = inputs
        ctx.save_for_backward(x, y)
        ctx.save_for_forward(x, y)

    @staticmethod
    def _gradients(ctx: Any) -> tuple[Tensor, Tensor]:
        x, y = ctx.saved_tensors
        manifold = ctx.manifold
        u, v = manifold.logmap(x, y), manifold.logmap(y, x)
        return -2 * manifold.rgrad2egrad(x, u), -2 * manifold.rgrad2egrad(y, v)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        gx, gy = _SquaredDistance._gradients(ctx)
        x, y = ctx.saved_tensors
        g = with_axes(grads[0], ctx.manifold.ndim)
        return None, (g * gx).sum_to_size(x.shape), (g * gy).sum_to_size(y.shape)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        gx, gy = _SquaredDistance._gradients(ctx)
        _, dx, dy = tangents
        axes = trailing(ctx.manifold.ndim)
        rates = [(g * d).sum(axes) for g, d in ((gx, dx), (gy, dy)) if d is not None]
        return torch.stack(rates).sum(0)
