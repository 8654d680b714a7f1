"""
Names of netrep (Williams et al. 2021): ``metrics``, ``multiset`` and ``utils``.

Change ``from netrep.metrics import LinearMetric`` to ``from repsim_geo.compat.netrep.metrics import
LinearMetric``; the rest of a script stays. Arrays go in, numbers and arrays come out.
"""

from repsim_geo.compat.netrep import metrics, multiset, utils
from repsim_geo.compat.netrep.metrics import (
    GaussianStochasticMetric,
    LinearCKA,
    LinearMetric,
    PermutationMetric,
)

__all__ = [
    "GaussianStochasticMetric",
    "LinearCKA",
    "LinearMetric",
    "PermutationMetric",
    "metrics",
    "multiset",
    "utils",
]
