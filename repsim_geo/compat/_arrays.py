"""Arrays in, arrays out: what packages on numpy expect of a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.errors import ShapeError


def as_matrix(x: Any, name: str) -> Tensor:
    """
    Float tensor of shape (m, d) from anything array-like; integers become float64, as in numpy.

    Parameters
    ----------
    x : array-like, shape (m, d)
    name : str
        What to call it in messages.

    Returns
    -------
    Tensor, shape (m, d)

    Raises
    ------
    ShapeError
        Not two axes.
    TypeError, ValueError
        No numbers, or not finite.
    """
    x = _checks.as_activations(as_floats(x), name)
    if x.dim() != 2:
        raise ShapeError(
            f"{name} must be one matrix (inputs, units), got shape {tuple(x.shape)}. Flatten other axes, or "
            "pass one network at a time."
        )
    _checks.check_finite(x, name)
    return x


def as_pair(x: Any, y: Any, caller: str) -> tuple[Tensor, Tensor]:
    """
    Two matrices that describe the same inputs, in the wider of their dtypes.

    Parameters
    ----------
    x, y : array-like, shape (m, d_i)
    caller : str
        Function that was called, for the message.

    Returns
    -------
    Tensor, shape (m, d_x)
    Tensor, shape (m, d_y)
    """
    a, b = as_matrix(x, "X"), as_matrix(y, "Y")
    wide = torch.promote_types(a.dtype, b.dtype)
    a, b = a.to(wide), b.to(wide)
    _checks.check_pair(a, b, caller, ("X", "Y"))
    return a, b


def as_floats(x: Any) -> Any:
    """
    Numbers as they are, but whole numbers as float64.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor or ndarray, of the same shape
    """
    if isinstance(x, Tensor):
        return x if x.is_floating_point() else x.double()
    x = np.asarray(x)
    if x.dtype.kind in "iub":
        return x.astype(np.float64)
    # torch takes no reversed arrays, and complains about those that are read only.
    return x if x.flags.writeable and min(x.strides, default=0) >= 0 else x.copy()


def as_array(x: Tensor) -> np.ndarray:
    """
    Array of the same numbers, apart from any graph.

    Parameters
    ----------
    x : Tensor, any shape

    Returns
    -------
    ndarray, of the same shape
    """
    return x.detach().cpu().numpy()
