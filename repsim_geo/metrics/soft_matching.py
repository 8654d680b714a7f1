"""Soft matching: how far two populations of units, of any sizes, are apart as distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo.embeddings.activations import Center, RepeatTo
from repsim_geo.errors import ShapeError
from repsim_geo.invariances import PERMUTATION, TRANSLATION, closure
from repsim_geo.manifolds.actions import Permutation
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.metrics.base import MetricCard, RepresentationMetric, check_networks, check_width
from repsim_geo.numerics.matching import squared_wasserstein
from repsim_geo.numerics.norms import safe_sqrt
from repsim_geo.numerics.subspaces import ColumnCentered


class SoftMatching(RepresentationMetric, Quotient):
    """
    Root-mean-square distance of matched units, where a unit may be matched to shares of several.

    A network is the uniform distribution over its d centered units, vectors of m responses; the distance is
    the Wasserstein distance of two such distributions. With equal widths it is the permutation distance
    divided by the root of d.

    Points are (m, p) matrices of columns of mass ``1 / p``, divided by the root of p, up to the order of the
    columns. With p a common multiple of the widths this loses nothing: couplings of d and e units, in units
    of ``1 / p``, are transport plans with whole supplies, whose vertices are whole (Birkhoff), hence
    matchings of repeated units. Geodesics move matched shares along straight lines (displacement
    interpolation).

    Parameters
    ----------
    p : int, optional
        Columns of a point, a multiple of the width of every network. None takes the width of one network and,
        through ``compare`` and ``pairwise``, the least common multiple of several. It changes no distance.

    Notes
    -----
    ``prepare`` and ``between`` need no common multiple: they solve the transport problem of the units
    themselves (Monge's, if widths are equal), and so have no limit. Points are limited to 4096 columns. Needs
    scipy, and POT where the least common multiple of two widths exceeds 512.

    Delicate: points of repeated units have equal columns, so they are singular. Distances and geodesics are
    right there.

    References
    ----------
    Khosla and Williams 2024; McCann 1997.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import compare
    >>> x, y = torch.tensor([[3.0, 0.0], [-3.0, 0.0]]), torch.tensor([[3.0, 3.0, 0.0], [-3.0, -3.0, 0.0]])
    >>> compare(x, y, SoftMatching())  # a sixth of the mass moves from 0 to (3, -3): root of 18 / 6
    tensor(1.7321)
    """

    __scaling__ = Quotient.__scaling__.copy()
    name = "SoftMatching"
    constant_is_a_point = True

    def __init__(self, p: int | None = None):
        check_width(p, "None takes the width from the networks.")
        super().__init__(Flat(2, ColumnCentered()), Permutation())
        self._set_width(p)

    def _set_width(self, p: int | None) -> None:
        self.p = p
        self.embedding = nn.Sequential(Center(), RepeatTo(p))

    def resolve(self, reps: Sequence[Tensor]) -> SoftMatching:
        """Copy whose points have as many columns as the least common multiple of the widths."""
        check_networks(reps, type(self).__name__)
        if self.p is not None:
            return self
        other = self._copied()
        other._set_width(math.lcm(*(x.shape[-1] for x in reps)))
        return other

    def prepare(self, x: Any) -> Tensor:
        """
        Centered units divided by the root of their number: a point before any unit is repeated.

        Parameters
        ----------
        x : Tensor or array, shape (*batch, m, d)

        Returns
        -------
        Tensor, shape (*batch, m, d)
        """
        x = self._checked(x)
        with torch.autocast(x.device.type, enabled=False):
            return Center()(x) / math.sqrt(x.shape[-1])

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """
        Distance of two prepared representations, of any widths; equal to ``dist`` of their points.

        Parameters
        ----------
        a : Tensor, shape (*batch, m, d)
        b : Tensor, shape (*batch, m, e)

        Returns
        -------
        Tensor, shape (*batch)
        """
        if a.shape[-2] != b.shape[-2]:
            raise ShapeError(
                f"prepared representations must describe the same inputs: got {a.shape[-2]} rows and "
                f"{b.shape[-2]} rows. Select the common inputs first."
            )
        if a.shape[-1] == b.shape[-1]:
            return self.dist(a, b)
        a, b = (w * math.sqrt(w.shape[-1]) for w in (a, b))
        return safe_sqrt(squared_wasserstein(a, b))

    def _in_image(self, point: Tensor) -> Tensor:
        """Yes: columns are units, all of the same mass; shape (*batch)."""
        return self._all(point)

    def _realize(self, point: Tensor) -> Tensor:
        return point * math.sqrt(point.shape[-1])

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="soft_matching",
            summary="Wasserstein distance of two populations of centered units",
            unit="same unit as the activations",
            range=(0.0, math.inf),
            invariances=closure(TRANSLATION, PERMUTATION),
            references=("khosla2024",),
            aliases=("soft_matching_distance", "wasserstein_matching"),
        )
