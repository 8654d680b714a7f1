"""What tests and resampling return: a number, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class TestResult:
    """
    Outcome of a permutation test.

    Attributes
    ----------
    statistic : float
        Of the data as they are.
    pvalue : float
        Share of arrangements, the given one included, at least as extreme: ``(1 + b) / (1 + n)``, which is
        valid for any number n of permutations and never zero (Phipson and Smyth 2010).
    standard_error : float
        Monte Carlo error of `pvalue`; zero if all arrangements were enumerated.
    null : Tensor, shape (n,)
        Statistic of the permuted data.
    """

    __test__ = False  # for pytest, which takes the name for that of a test

    statistic: float
    pvalue: float
    standard_error: float
    null: Tensor

    @property
    def zscore(self) -> float:
        """How many standard deviations of the null the statistic lies above its mean; nan without spread."""
        spread = float(self.null.std())
        return (self.statistic - float(self.null.mean())) / spread if spread > 0 else math.nan

    def __str__(self) -> str:
        return (
            f"statistic {self.statistic:.6g}, p = {self.pvalue:.4g} ± {self.standard_error:.1g} "
            f"({self.null.shape[0]} permutations)"
        )


def check_tail(tail: Any) -> None:
    """
    Refuse what does not say which values are extreme.

    Parameters
    ----------
    tail : "upper", "lower" or "both"

    Raises
    ------
    ValueError
    """
    if not isinstance(tail, str) or tail not in ("upper", "lower", "both"):
        raise ValueError(
            f"tail must be 'lower', 'upper' or 'both', got {tail!r}. Distances of what is alike are low, its "
            "similarities high."
        )


def judged(statistic: float, null: Tensor, *, tail: str = "upper", exact: bool = False) -> TestResult:
    """
    The p-value of a statistic among its permutations.

    Parameters
    ----------
    statistic : float
    null : Tensor, shape (n,)
    tail : "upper", "lower" or "both"
        Which values count as extreme. For "both", those as far from the mean of the null.
    exact : bool
        Whether `null` lists every arrangement, the given one included.

    Returns
    -------
    TestResult

    Notes
    -----
    Values that differ by less than 1e-10 of the largest are ties. A statistic whose values differ by powers
    of ten is better judged by its logarithm.

    Examples
    --------
    >>> import torch
    >>> str(judged(2.5, torch.tensor([1.0, 2.0, 3.0])))
    'statistic 2.5, p = 0.5 ± 0.2 (3 permutations)'
    """
    # Arrangements that are the same give the same value but for rounding: that is a tie, not a difference.
    slack = 1e-10 * max(float(null.abs().max()), abs(statistic))
    if tail == "both":
        center = float(null.mean())
        extreme = (null - center).abs() >= abs(statistic - center) - slack
    else:
        extreme = null >= statistic - slack if tail == "upper" else null <= statistic + slack
    n, b = null.shape[0], int(extreme.sum())
    p = b / n if exact else (1 + b) / (1 + n)
    return TestResult(float(statistic), p, 0.0 if exact else math.sqrt(p * (1 - p) / (1 + n)), null)


@dataclass(frozen=True)
class Interval:
    """
    Estimate with a confidence interval from resampling.

    Attributes
    ----------
    estimate : float
        From all data.
    low, high : float
        Ends of the interval, in the unit of the estimate.
    level : float
        Nominal coverage.
    standard_error : float
        Standard deviation of the estimate, as seen by resampling.
    replicates : Tensor, shape (n,)
        The estimate in every resample.
    """

    estimate: float
    low: float
    high: float
    level: float
    standard_error: float
    replicates: Tensor

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] ({100 * self.level:g} %)"
