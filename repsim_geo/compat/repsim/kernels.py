"""Kernels with the names and lengths of ``repsim.kernels``."""

from __future__ import annotations

import math
import re
from typing import Any

from repsim_geo.kernels import laplace, rbf
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.length_scales import LengthScale, Mean, Median
from repsim_geo.kernels.linear import Linear

__all__ = ["DEFAULT_KERNEL", "Kernel", "Laplace", "Linear", "SquaredExponential"]

DEFAULT_KERNEL = Linear()

_NUMBER = r"\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_FORMULA = re.compile(
    rf"(?:(?P<before>{_NUMBER})\s*\*\s*)?(?P<name>median|mean|auto)(?:\s*(?P<sign>[*/])\s*(?P<after>{_NUMBER}))?"
)


def _rule(length_scale: Any, unit: float) -> float | LengthScale:
    """Length, or rule for a length, of which repsim's is `unit` times as long."""
    if not isinstance(length_scale, str):
        return length_scale / unit
    match = _FORMULA.fullmatch(length_scale.strip())
    if match is None:
        raise ValueError(
            "length_scale must be a number, 'auto', or a multiple of 'median' or 'mean', such as 'median/2', "
            f"got {length_scale!r}. repsim evaluates any formula; this does not."
        )
    multiple = float(match["before"] or 1)
    if match["after"] is not None:
        multiple = multiple * float(match["after"]) ** (1 if match["sign"] == "*" else -1)
    # Of an even number of distances torch.median, and so repsim, takes the lower middle one.
    return Mean(multiple / unit) if match["name"] == "mean" else Median(multiple / unit, lower=True)


class SquaredExponential(rbf.RBF):
    """
    Squared exponential with repsim's length, ``exp(-|x_i - x_j|**2 / l**2)``: `RBF` with ``l / sqrt(2)``.

    Parameters
    ----------
    length_scale : float or str
        A number, "auto" (the median distance), or a multiple of "median" or "mean".

    Notes
    -----
    Values are those of repsim, which refuses rules for fewer inputs than units; this does not.

    Examples
    --------
    >>> import torch
    >>> SquaredExponential(5.0)(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[1.0000, 0.3679],
            [0.3679, 1.0000]])
    """

    def __init__(self, length_scale: float | str = "auto"):
        super().__init__(_rule(length_scale, math.sqrt(2)))


class Laplace(laplace.Laplace):
    """
    Laplace kernel, ``exp(-|x_i - x_j| / l)``, with repsim's rules for the length.

    Parameters
    ----------
    length_scale : float or str
        A number, "auto" (the median distance), or a multiple of "median" or "mean".

    Examples
    --------
    >>> import torch
    >>> Laplace("median/2")(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[1.0000, 0.1353],
            [0.1353, 1.0000]])
    """

    def __init__(self, length_scale: float | str = "auto"):
        super().__init__(_rule(length_scale, 1.0))
