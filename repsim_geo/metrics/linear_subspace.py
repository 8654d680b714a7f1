"""The Grassmannian of representations: which linear read-outs exist, whatever their gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from repsim_geo._checks import check_count, check_flag
from repsim_geo.embeddings.frames import Frame
from repsim_geo.errors import ShapeError
from repsim_geo.invariances import AFFINE, ORTHOGONAL, SCALE, TRANSLATION, closure
from repsim_geo.manifolds.grassmann import Grassmannian
from repsim_geo.metrics.base import MetricCard, RepresentationMetric, check_networks
from repsim_geo.metrics.shape import check_room_to_whiten
from repsim_geo.numerics.angles import principal_angles
from repsim_geo.numerics.subspaces import ColumnCentered


class LinearSubspace(RepresentationMetric, Grassmannian):
    """
    Root of the sum of squared principal angles of two spaces of read-outs, in radians.

    A representation is taken for the space that its centered units span among all functions of the inputs:
    the cosines of the angles are the canonical correlations. Points are orthonormal (m, k) frames, up to
    rotation.

    Parameters
    ----------
    k : int, optional
        Dimension: the first k principal components. None takes all units, which must then be equally many and
        linearly independent, and no invertible linear map of them is noticed.
    unequal : bool
        Allow different dimensions: directions that one space has more count as right angles (Ye and Lim
        2016). A distance still, but there are no geodesics between different dimensions.

    Notes
    -----
    Where it is delicate: with as many independent units as inputs every network spans everything, so this is
    refused instead of answered by 0; with fewer than twice as many inputs any two spaces intersect for lack
    of room, and a warning says so. Few inputs make subspaces meet: compare with shuffled inputs.

    References
    ----------
    Hotelling 1936; Edelman, Arias and Smith 1998; Ye and Lim 2016.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0], [-1.0], [0.0], [0.0]])
    >>> y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    >>> metric = LinearSubspace()
    >>> metric.dist(metric.embed(x), metric.embed(y))  # correlation 1/sqrt(2)
    tensor(0.7854)
    """

    __scaling__ = Grassmannian.__scaling__.copy()
    name = "LinearSubspace"
    fewest_rows = 3

    def __init__(self, k: int | None = None, *, unequal: bool = False):
        check_count(k, "k", " of dimensions")
        check_flag(unequal, "unequal")
        super().__init__(ColumnCentered())
        self.k = None if k is None else int(k)
        self.unequal = unequal
        self.embedding = Frame(self.k)

    def resolve(self, reps: Sequence[Tensor]) -> LinearSubspace:
        """Itself; refuses spaces of different dimensions."""
        check_networks(reps, type(self).__name__)
        widths = {x.shape[-1] for x in reps}
        if self.k is None and len(widths) > 1 and not self.unequal:
            raise ShapeError(
                "spaces of different dimensions have no geodesics, and the networks have "
                f"{sorted(widths)} units. Keep k={min(widths)} or fewer principal components, or allow "
                "unequal=True."
            )
        return self

    def _checked(self, x: Any) -> Tensor:
        x = super()._checked(x)
        check_room_to_whiten(*x.shape[-2:], self.k, type(self).__name__)
        return x

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """
        Distance of two frames; of different dimensions only if `unequal`.

        Parameters
        ----------
        a : Tensor, shape (*batch, m, k)
        b : Tensor, shape (*batch, m, l)

        Returns
        -------
        Tensor, shape (*batch)
        """
        more = abs(a.shape[-1] - b.shape[-1])
        if not (more and self.unequal):
            return self.dist(a, b)
        squares = principal_angles(a, b).square().sum(-1) + more * (math.pi / 2) ** 2
        return squares.sqrt()

    def _in_image(self, point: Tensor) -> Tensor:
        """Yes: a frame is a representation that spans its space; shape (*batch)."""
        return self._all(point)

    def _realize(self, point: Tensor) -> Tensor:
        return point.clone()

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"k={self.k}, unequal={self.unequal}"

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        top = math.inf if self.k is None else math.pi / 2 * math.sqrt(self.k)
        return MetricCard(
            key="linear_subspace",
            summary="root sum of squared principal angles of the spaces that the units span",
            unit="radians",
            range=(0.0, top),
            invariances=closure(AFFINE) if self.k is None else closure(TRANSLATION, ORTHOGONAL, SCALE),
            references=("hotelling1936", "edelman1998", "ye2016"),
            aliases=("grassmann", "grassmannian", "subspace_angles", "cca_angle"),
        )
