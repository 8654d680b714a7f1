"""Rules that choose the length scale of a kernel, each saying which invariance it buys."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.invariances import SCALE, Invariance
from repsim_geo.numerics.dissimilarities import median, quantile, quantile_ranks, upper_triangle
from repsim_geo.numerics.tracing import readable


class LengthScale:
    """Rule that turns the distances between inputs (*batch, m, m) into a length (*batch)."""

    # What the length follows, so that a kernel measured in it does not notice.
    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def __call__(self, distances: Tensor) -> Tensor:
        """Length for distances (*batch, m, m); shape (*batch)."""
        raise NotImplementedError(f"{type(self).__name__}.__call__ is not written")

    def checked(self, length: Tensor) -> Tensor:
        """Return the lengths (*batch); a rule may refuse some."""
        return length

    def ranks(self, m: int) -> dict[int, float] | None:
        """
        Which distances the length is made of, for inputs too many to have all distances at once.

        Parameters
        ----------
        m : int
            Number of inputs.

        Returns
        -------
        dict of int to float, or None
            Weights of the k-th smallest distances between two different inputs, counted from 0; -1 is an
            entry of the diagonal. None if it is nothing of the kind.
        """
        return None


@dataclass(frozen=True)
class Fixed(LengthScale):
    """
    The same length for all networks, in the unit of the activations; scaling is noticed.

    Parameters
    ----------
    length : float
    """

    length: float

    def __post_init__(self) -> None:
        if not _is_positive(self.length):
            raise ValueError(
                f"a length scale must be positive, got {self.length!r}. Use Median() to choose it from data."
            )

    def __call__(self, distances: Tensor) -> Tensor:
        """Length for distances (*batch, m, m); shape (*batch)."""
        return distances.new_full(distances.shape[:-2], self.length)

    def ranks(self, m: int) -> dict[int, float]:
        """None of them."""
        return {}


class _Following(LengthScale):
    """Shared by the rules that follow the data: a multiple of some typical distance."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset({SCALE})
    multiple: float
    _name: ClassVar[str]

    def __post_init__(self) -> None:
        if not _is_positive(self.multiple):
            raise ValueError(
                f"the multiple of the {self._name} must be positive, got {self.multiple!r}. The default is 1."
            )

    def __call__(self, distances: Tensor) -> Tensor:
        """
        Length for distances (*batch, m, m); shape (*batch).

        Raises
        ------
        DegenerateRepresentationError
            If it is zero.
        ShapeError
            If there are no two inputs.
        """
        if distances.shape[-1] < 2:
            raise ShapeError(
                f"the {self._name} distance needs at least 2 inputs, got {distances.shape[-1]}. "
                "Record more inputs, or give a fixed length_scale."
            )
        return self.checked(self.multiple * self._typical(distances))

    def checked(self, length: Tensor) -> Tensor:
        """Return the lengths (*batch); refuse zero ones."""
        if readable(length) and bool((length <= 0).any()):
            raise DegenerateRepresentationError(
                f"the {self._name} distance between inputs is zero: {self._cause()}. "
                "Remove duplicated inputs, give a fixed length_scale, or use rescale=False."
            )
        return length

    def _typical(self, distances: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._typical is not written")

    def _cause(self) -> str:
        raise NotImplementedError(f"{type(self).__name__}._cause is not written")


@dataclass(frozen=True)
class Median(_Following):
    """
    A multiple of the median distance between two different inputs; buys invariance to scaling.

    Parameters
    ----------
    multiple : float
    lower : bool
        Of an even number of distances take the lower of the two middle ones, as ``torch.median`` does,
        instead of their mean.
    with_diagonal : bool
        Take the median of all m**2 entries of the distance matrix, m zeros among them, as public code for
        kernel CKA does. The result is a little shorter.

    Notes
    -----
    By default the median is over pairs i < j, so the zero diagonal does not shorten it. If more than half of
    all pairs coincide the median is zero, and the rule refuses.

    Kornblith's demonstration of CKA takes the *median of squares*: the square root of that is
    ``Median(multiple, with_diagonal=True)`` for odd m, and lies between the same two distances for even m.

    Examples
    --------
    >>> import torch
    >>> Median(0.5)(torch.tensor([[0.0, 3.0, 4.0], [3.0, 0.0, 5.0], [4.0, 5.0, 0.0]]))
    tensor(2.)
    """

    multiple: float = 1.0
    lower: bool = False
    with_diagonal: bool = False
    _name: ClassVar[str] = "median"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag(self.lower, "lower")
        check_flag(self.with_diagonal, "with_diagonal")

    def _typical(self, distances: Tensor) -> Tensor:
        values = distances.flatten(-2) if self.with_diagonal else upper_triangle(distances)
        return values.median(-1).values if self.lower else median(values)

    def ranks(self, m: int) -> dict[int, float]:
        """One or two in the middle."""
        count = m * m if self.with_diagonal else m * (m - 1) // 2
        middle = [(count - 1) // 2] if self.lower else [(count - 1) // 2, count // 2]
        if self.with_diagonal:
            # m zeros, and every distance twice.
            middle = [max(-1, (k - m) // 2) for k in middle]
        return _weighted([(k, self.multiple / len(middle)) for k in middle])

    def _cause(self) -> str:
        if self.with_diagonal:
            return "half of all entries of the distance matrix, its diagonal included, vanish"
        return f"{'half' if self.lower else 'more than half'} of all pairs of rows coincide"


@dataclass(frozen=True)
class Mean(_Following):
    """
    A multiple of the mean distance between two different inputs; buys invariance to scaling.

    Parameters
    ----------
    multiple : float

    Examples
    --------
    >>> import torch
    >>> Mean()(torch.tensor([[0.0, 3.0, 4.0], [3.0, 0.0, 5.0], [4.0, 5.0, 0.0]]))
    tensor(4.)
    """

    multiple: float = 1.0
    _name: ClassVar[str] = "mean"

    def _typical(self, distances: Tensor) -> Tensor:
        return upper_triangle(distances).mean(-1)

    def _cause(self) -> str:
        return "all rows coincide"


@dataclass(frozen=True)
class Quantile(_Following):
    """
    A multiple of a quantile of the distances between two different inputs; buys invariance to scaling.

    Parameters
    ----------
    q : float
        From 0 (the smallest distance) to 1 (the largest), interpolated linearly.
    multiple : float

    Examples
    --------
    >>> import torch
    >>> Quantile(1.0)(torch.tensor([[0.0, 3.0, 4.0], [3.0, 0.0, 5.0], [4.0, 5.0, 0.0]]))
    tensor(5.)
    """

    q: float
    multiple: float = 1.0
    _name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.q, bool) or not (isinstance(self.q, Real) and 0 <= self.q <= 1):
            raise ValueError(f"a quantile must lie between 0 and 1, got {self.q!r}. The median is 0.5.")

    def _typical(self, distances: Tensor) -> Tensor:
        return quantile(upper_triangle(distances), self.q)

    def ranks(self, m: int) -> dict[int, float]:
        """Two neighbors."""
        below, above, share = quantile_ranks(m * (m - 1) // 2, self.q)
        return _weighted([(below, self.multiple * (1 - share)), (above, self.multiple * share)])

    def _cause(self) -> str:
        return f"more than a fraction {self.q:g} of all pairs of rows coincide"


def _is_positive(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value < math.inf


def _weighted(pairs: list[tuple[int, float]]) -> dict[int, float]:
    """Sum of the weights of each rank."""
    total: dict[int, float] = {}
    for rank, weight in pairs:
        total[rank] = total.get(rank, 0.0) + weight
    return total


_ACCEPTED = (
    'a positive number, "median", "mean" or "quantile(0.1)", with a multiple as in "0.5*median", '
    "Fixed(length), Median(multiple), Mean(multiple), Quantile(q, multiple), or None for the median distance"
)

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_RULE = re.compile(
    rf"(?:(?P<multiple>{_NUMBER})\s*\*\s*)?(?P<name>median|mean|quantile\s*\(\s*(?P<q>{_NUMBER})\s*\))"
)


def as_length_scale(rule: float | str | LengthScale | None) -> LengthScale:
    """
    Rule from a number (fixed), a description, a rule, or None (the median).

    Parameters
    ----------
    rule : float, str, LengthScale or None
        Descriptions are ``"median"``, ``"0.5*median"``, ``"mean"``, ``"2 * quantile(0.1)"``, ``"3.5"``.

    Returns
    -------
    LengthScale

    Raises
    ------
    TypeError
        Something else.
    ValueError
        A description that says none of these, or numbers out of range.

    Examples
    --------
    >>> as_length_scale("2 * quantile(0.1)")
    Quantile(q=0.1, multiple=2.0)
    >>> as_length_scale(3.5)
    Fixed(length=3.5)
    """
    if rule is None:
        return Median()
    if isinstance(rule, LengthScale):
        return rule
    if isinstance(rule, str):
        return _parse(rule)
    if isinstance(rule, Real) and not isinstance(rule, bool):
        return Fixed(float(rule))
    raise TypeError(f"length_scale must be {_ACCEPTED}, got {rule!r}. Leave it out for the median.")


def _parse(text: str) -> LengthScale:
    said = text.strip().lower()
    if re.fullmatch(_NUMBER, said):
        return Fixed(float(said))
    match = _RULE.fullmatch(said)
    if match is None:
        raise ValueError(f"length_scale must be {_ACCEPTED}, got {text!r}. Leave it out for the median.")
    multiple = float(match["multiple"] or 1.0)
    if match["q"] is not None:
        return Quantile(float(match["q"]), multiple)
    return Median(multiple) if match["name"] == "median" else Mean(multiple)


def positive(length: Tensor) -> Tensor:
    """Put ones where a length is zero, so that an undefined kernel stays finite until it is refused."""
    return torch.where(length == 0, 1.0, length)
