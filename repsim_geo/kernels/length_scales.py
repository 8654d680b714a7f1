"""Rules that choose the length scale of a kernel, each saying which invariance it buys."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.invariances import SCALE, Invariance
from repsim_geo.numerics.dissimilarities import median, upper_triangle
from repsim_geo.numerics.tracing import readable


@dataclass(frozen=True)
class Fixed:
    """
    The same length for all networks, in the unit of the activations; scaling is noticed.

    Parameters
    ----------
    length : float
    """

    length: float
    invariances: frozenset[Invariance] = frozenset()

    def __post_init__(self) -> None:
        if not self.length > 0:
            raise ValueError(
                f"a length scale must be positive, got {self.length}. Use Median() to choose it from data."
            )

    def __call__(self, distances: Tensor) -> Tensor:
        """Length for distances (*batch, m, m); shape (*batch)."""
        return distances.new_full(distances.shape[:-2], self.length)


@dataclass(frozen=True)
class Median:
    """
    A multiple of the median distance between two different inputs; buys invariance to scaling.

    Parameters
    ----------
    multiple : float

    Notes
    -----
    The median is over pairs i < j, so the zero diagonal does not shorten it. If more than half of all pairs
    coincide the median is zero, and the rule refuses.
    """

    multiple: float = 1.0
    invariances: frozenset[Invariance] = frozenset({SCALE})

    def __post_init__(self) -> None:
        if not self.multiple > 0:
            raise ValueError(f"the multiple of the median must be positive, got {self.multiple}")

    def __call__(self, distances: Tensor) -> Tensor:
        """
        Length for distances (*batch, m, m); shape (*batch).

        Raises
        ------
        DegenerateRepresentationError
            If the median is zero.
        """
        typical = median(upper_triangle(distances))
        if readable(typical) and not bool((typical > 0).all()):
            raise DegenerateRepresentationError(
                "the median distance between inputs is zero: more than half of all pairs of rows coincide. "
                "Remove duplicated inputs, give a fixed length_scale, or use rescale=False."
            )
        return self.multiple * typical


LengthScale = Fixed | Median


def as_length_scale(rule: float | LengthScale | None) -> LengthScale:
    """
    Rule from a number (fixed), a rule, or None (the median).

    Parameters
    ----------
    rule : float, Fixed, Median or None

    Returns
    -------
    Fixed or Median
    """
    if rule is None:
        return Median()
    if isinstance(rule, (Fixed, Median)):
        return rule
    if isinstance(rule, Real) and not isinstance(rule, bool):
        return Fixed(float(rule))
    raise TypeError(
        f"length_scale must be a positive number, Fixed(length), Median(multiple) or None, got {rule!r}. "
        "None takes the median distance."
    )


def positive(length: Tensor) -> Tensor:
    """Put ones where a length is zero, so that an undefined kernel stays finite until it is refused."""
    return torch.where(length > 0, length, 1.0)
