"""
The one table of tolerances, in units of the rounding error of the dtype.

A residual is relative to the size of the points, so a tolerance has no unit. What it is made of: the number
of operations behind the residual (the row of the table), times what the scene is known to cost (its
``amplification``: a nearly singular problem loses digits whoever solves it). A tolerance is never raised to
make a check pass; the cause is found first.
"""

from __future__ import annotations

import torch

_ROUNDING = {
    # One formula, a few operations an entry.
    "self": 10.0,
    "rounding": 100.0,
    # Two or three formulas in a row: exp after log, a decomposition between.
    "composed": 1000.0,
    # Transport: a series of sixty terms in several steps, there and back.
    "transport": 4000.0,
}
_FIXED = {
    # Distances of near points, to one percent whatever the dtype.
    "one percent": {torch.float64: 1e-2, torch.float32: 1e-2},
    # The axioms as mathematics: half of the digits may be lost on the way, as in the root of a difference.
    "axiom": {torch.float64: 1e-6, torch.float32: 1e-2},
    # What is claimed of the mathematics is asked of the better arithmetic only.
    "claim": {torch.float64: 1e-6, torch.float32: float("inf")},
    # What can be held against double precision.
    "single precision": {torch.float64: float("inf"), torch.float32: 1e-2},
    # Quantities extracted by finite differences, only as good as those; asked in float64 only.
    "finite difference": {torch.float64: 1e-3, torch.float32: float("inf")},
    # Yes or no: a shape, a dtype, a finite number.
    "yes or no": {torch.float64: 0.0, torch.float32: 0.0},
}


def tolerance(kind: str, dtype: torch.dtype, amplification: float = 1.0, *, sensitive: bool = False) -> float:
    """
    Largest residual that counts as keeping a law.

    Parameters
    ----------
    kind : str
        Row of the table: "self", "rounding", "composed", "transport", "axiom", "claim", "single precision",
        "one percent", "finite difference" or "yes or no".
    dtype : torch.dtype
    amplification : float
        What the scene costs. Multiplies the rows of compositions and transport; distances themselves are well
        conditioned, except on a `sensitive` manifold.
    sensitive : bool
        Whether the manifold says that its distances depend on small directions of a point; then the
        amplification multiplies all rows but that of the distance of a point from itself.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        No such row, or another dtype.

    Examples
    --------
    >>> import torch
    >>> tolerance("one percent", torch.float32)
    0.01
    """
    if kind not in _FIXED and kind not in _ROUNDING:
        raise ValueError(
            f"kind must be one of {', '.join((*_ROUNDING, *_FIXED))}, got {kind!r}. Take 'rounding' for one "
            "formula, and 'composed' for several in a row."
        )
    if dtype not in (torch.float64, torch.float32):
        raise TypeError(f"dtype must be torch.float64 or torch.float32, got {dtype!r}. Take one of them.")
    if kind in _FIXED:
        return _FIXED[kind][dtype]
    amplified = kind in ("composed", "transport") or (sensitive and kind == "rounding")
    return _ROUNDING[kind] * torch.finfo(dtype).eps * (amplification if amplified else 1.0)
