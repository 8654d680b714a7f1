"""Permutation metrics: how far two networks are apart after the best one-to-one matching of their units."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from repsim_geo.embeddings.activations import Center, PadTo, Unit
from repsim_geo.invariances import PERMUTATION, SCALE, TRANSLATION, closure
from repsim_geo.manifolds.actions import Permutation
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.metrics.base import MetricCard, RepresentationMetric, check_networks, check_width
from repsim_geo.numerics.subspaces import ColumnCentered


class _Matched(RepresentationMetric):
    """Shared by the two permutation metrics: the common width."""

    p: int | None
    _normalization: tuple[type[nn.Module], ...] = ()

    def _set_width(self, p: int | None) -> None:
        self.p = p
        self.embedding = nn.Sequential(Center(), PadTo(p), *(step() for step in self._normalization))

    def resolve(self, reps: Sequence[Tensor]) -> _Matched:
        """Copy with the common width ``max d_i``."""
        check_networks(reps, type(self).__name__)
        if self.p is not None:
            return self
        other = self._copied()
        other._set_width(max(x.shape[-1] for x in reps))
        return other

    def _in_image(self, point: Tensor) -> Tensor:
        """Yes: columns are units; shape (*batch)."""
        return self._all(point)

    def _realize(self, point: Tensor) -> Tensor:
        return point.clone()

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}"


class PermutationDistance(_Matched, Quotient):
    """
    Euclidean distance of two centered sets of units after the best one-to-one matching of units.

    Points are centered (m, p) matrices, up to the order of the columns. The unit is that of the activations;
    it grows with the numbers of inputs and units like their square roots (no averaging).

    Parameters
    ----------
    p : int, optional
        Columns of a point, at least as many as the widest network has units. None takes the width of one
        network and, through ``compare`` and ``pairwise``, the largest of several; narrower ones are padded
        with silent units.

    Notes
    -----
    Between networks of *different* widths the distance depends on p: a unit that resembles none of the other
    network may be matched to a silent unit instead, and two that oppose each other are, if both networks have
    one to spare. So ``compare`` of two narrow networks can differ from their entry in a table with a wider
    one; give p to compare numbers across calls. `SoftMatching` has no such dependence.

    Delicate: points with equal columns, such as two silent units, are singular. Distances and geodesics are
    right there. Where two matchings are equally good, so are two shortest paths.

    References
    ----------
    Williams et al. 2021; Li et al. 2015.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> metric = PermutationDistance()
    >>> metric.dist(metric.embed(x), metric.embed(x.flip(-1)))
    tensor(0.)
    >>> metric.dist(metric.embed(x), metric.embed(-x))  # the best match of the first unit is the silent one
    tensor(2.)
    """

    __scaling__ = Quotient.__scaling__.copy()
    name = "PermutationDistance"
    constant_is_a_point = True

    def __init__(self, p: int | None = None):
        check_width(p, "None takes the width from the networks.")
        super().__init__(Flat(2, ColumnCentered()), Permutation())
        self._set_width(p)

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="permutation",
            summary="Euclidean distance of two centered sets of units after the best one-to-one matching",
            unit="same unit as the activations",
            range=(0.0, math.inf),
            invariances=closure(TRANSLATION, PERMUTATION),
            references=("williams2021", "li2015"),
            aliases=("permutation_metric", "permutation_procrustes", "one_to_one_matching"),
        )


class AngularPermutation(_Matched, Quotient):
    """
    Angle between two centered sets of units of unit norm after the best one-to-one matching, in radians.

    Points are centered (m, p) matrices of unit norm, up to the order of the columns.

    Parameters
    ----------
    p : int, optional
        Columns of a point; see `PermutationDistance`, also for what it means between different widths.

    Notes
    -----
    At most pi, and that is reached: by networks of equal units, and their negative. With a silent unit in
    either network for every unit of the other, angles are at most pi/2.

    References
    ----------
    Williams et al. 2021.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> metric = AngularPermutation()
    >>> metric.dist(
    ...     metric.embed(x), metric.embed(-3 * x)
    ... )  # the best match of the first unit is the silent one
    tensor(1.5708)
    """

    __scaling__ = Quotient.__scaling__.copy()
    name = "AngularPermutation"
    _normalization = (Unit,)

    def __init__(self, p: int | None = None):
        check_width(p, "None takes the width from the networks.")
        super().__init__(UnitSphere(2, ColumnCentered()), Permutation())
        self._set_width(p)

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="angular_permutation",
            summary="angle between two centered sets of units after the best one-to-one matching",
            unit="radians",
            range=(0.0, math.pi),
            invariances=closure(TRANSLATION, PERMUTATION, SCALE),
            references=("williams2021",),
            aliases=("angular_permutation_metric", "permutation_angle"),
        )
