"""What the laws of isometries are asked of: a map between two manifolds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from repsim_geo.verify.scenes import Scene
from repsim_geo.verify.statements import provides


class Isometry:
    """
    A map that is said to keep the geometry.

    Parameters
    ----------
    f : callable
        Points of `source` to points of `target`; differentiable in forward mode.
    source, target : geoopt.Manifold
    """

    def __init__(self, f: Callable[[Tensor], Tensor], source: Any, target: Any):
        self.f, self.source, self.target = f, source, target

    def provides(self, need: str) -> bool:
        """Whether both manifolds do."""
        return provides(self.source, need) and provides(self.target, need)

    def push(self, x: Tensor, u: Tensor) -> Tensor:
        """Differential of the map at `x`, applied to `u`; shape (*batch, *point)."""
        # geoopt.Scaled measures vectors, too, in its unit.
        unit = getattr(self.target, "scale", torch.ones(())).to(x.dtype)
        return unit * torch.func.jvp(self.f, (x,), (u,))[1]  # pyright: ignore[reportReturnType]

    def length(self, y: Tensor, u: Tensor) -> Tensor:
        """Length of vectors of the target; shape (*batch)."""
        return self.target.inner(y, u).clamp_min(0).sqrt()

    def amplification(self, scene: Scene) -> Tensor:
        """
        How much rounding of points costs; shape (draws).

        What the scene says or, where a manifold says that its points are ``definite`` matrices, the condition
        of these at both ends of all geodesics: in a description by factors nobody has to invert them.
        """
        known = torch.full_like(scene.scale, scene.amplification)
        ends = [scene.x, scene.y, self.source.expmap(scene.x, scene.u)]
        for manifold, points in ((self.source, ends), (self.target, [self.f(z) for z in ends])):
            if getattr(manifold, "definite", False):
                known = torch.stack([known, *(torch.linalg.cond(z) for z in points)]).amax(0)
        return known
