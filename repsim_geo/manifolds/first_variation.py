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
    What it found on the way, such as a rotation, can be kept for the gradient.

    Parameters
    ----------
    manifold : RiemannianManifold
        ``_squared(x, y)`` returns the value and what is kept; ``_squared_gradients(x, y, *kept)`` the two
        gradients, which must be differentiable where a graph of them is wanted.
    x, y : Tensor, shape (*batch, *point)
        Broadcast; what ``_squared`` does for a single point is done once, not once a pair.
    keepdim : bool

    Returns
    -------
    Tensor, shape (*batch)
        Twice differentiable: the gradient is made of logarithms, which autograd differentiates.
    """
    d2 = _SquaredDistance.apply(manifold, x, y)[0]
    return with_axes(d2, manifold.ndim) if keepdim else d2


class _SquaredDistance(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(manifold: Any, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return manifold._squared(x, y)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.manifold, x, y = inputs
        _, *kept = output
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(x, y, *kept)
        ctx.save_for_forward(x, y, *kept)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        x, y, *_ = ctx.saved_tensors
        gx, gy = ctx.manifold._squared_gradients(*ctx.saved_tensors)
        g = with_axes(grads[0], ctx.manifold.ndim)
        return None, (g * gx).sum_to_size(x.shape), (g * gy).sum_to_size(y.shape)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        _, _, *kept = ctx.saved_tensors
        gradients = ctx.manifold._squared_gradients(*ctx.saved_tensors)
        axes = trailing(ctx.manifold.ndim)
        rates = [(g * d).sum(axes) for g, d in zip(gradients, tangents[1:], strict=True) if d is not None]
        return torch.stack(rates).sum(0), *[None] * len(kept)
