"""What residuals are made of: differences, relative to the size of the points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.numerics.norms import trailing
from repsim_geo.verify.scenes import Scene


def over_scale(value: Tensor, scene: Scene) -> Tensor:
    return value.abs() / scene.scale


def apart(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor, scene: Scene) -> Tensor:
    """Length of the difference of two vectors at `x`, relative to the size of the points."""
    w = u - v
    return manifold.inner(x, w).clamp_min(0).sqrt() / scene.scale


def ambient_apart(x: Tensor, y: Tensor, ndim: int) -> Tensor:
    axes = trailing(ndim)
    largest = x.abs().amax(axes)
    return (x - y).abs().amax(axes) / torch.where(largest > 0, largest, 1.0)


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    with torch.enable_grad():
        return torch.autograd.grad(function(*leaves).sum(), leaves, materialize_grads=True)


def derivative(function: Callable[[Tensor], Tensor], x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Value, and derivative in the direction `u`."""
    return torch.func.jvp(function, (x,), (u,))  # pyright: ignore[reportReturnType]


def no(condition: Tensor) -> Tensor:
    """One where something is not so."""
    return (~condition).double()


def of_every_point(condition: Tensor, ndim: int) -> Tensor:
    return condition.flatten(-ndim).all(-1)
