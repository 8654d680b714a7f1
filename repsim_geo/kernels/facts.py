"""What happens to a kernel's values when activations are moved, rotated and scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repsim_geo.invariances import SCALE, Invariance


@dataclass(frozen=True)
class Facts:
    """
    Behavior of a matrix made from activations, from which invariances and units follow.

    Attributes
    ----------
    unchanged : frozenset of Invariance
        Transformations that leave every entry as it is; isotropic scaling is told by `degree`.
    degree : float or None
        Power of ``c > 0`` by which the matrix is multiplied when the activations are multiplied by `c`: 0
        if it does not notice; None if it is not multiplied by a power.
    power : float or None
        Power of the unit of the activations that distances in feature space carry; None if mixed.

    Examples
    --------
    >>> Facts.of_sum([Facts(degree=2.0, power=1.0), Facts(degree=0.0, power=0.0)])
    Facts(unchanged=frozenset(), degree=None, power=None)
    >>> Facts.of_product([Facts(degree=2.0, power=1.0), Facts(degree=0.0, power=0.0)])
    Facts(unchanged=frozenset(), degree=2.0, power=1.0)
    """

    unchanged: frozenset[Invariance] = frozenset()
    degree: float | None = None
    power: float | None = 0.0

    @staticmethod
    def of_sum(terms: Sequence[Facts]) -> Facts:
        """Facts of a sum with positive weights: what all terms share."""
        return Facts(
            frozenset.intersection(*(f.unchanged for f in terms)),
            _common([f.degree for f in terms]),
            _common([f.power for f in terms]),
        )

    @staticmethod
    def of_product(factors: Sequence[Facts]) -> Facts:
        """Facts of an entrywise product: powers add up."""
        return Facts(
            frozenset.intersection(*(f.unchanged for f in factors)),
            _total([f.degree for f in factors]),
            _total([f.power for f in factors]),
        )

    def exact(self) -> frozenset[Invariance]:
        """What does not change the matrix."""
        return self.unchanged | ({SCALE} if self.degree == 0 else set())

    def up_to_scale(self) -> frozenset[Invariance]:
        """What does not change the matrix up to a positive factor."""
        return self.unchanged | ({SCALE} if self.degree is not None else set())

    def unit(self) -> str:
        """Unit of distances in feature space."""
        if self.power is None:
            return "mixed powers of the unit of the activations"
        names = {0.0: "dimensionless", 1.0: "same unit as the activations"}
        return names.get(self.power, f"unit of the activations to the power {self.power:g}")


def _common(values: list[float | None]) -> float | None:
    return values[0] if len(set(values)) == 1 else None


def _total(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None
