"""Checks of what users hand in; every message says what was expected, what came, and what to do."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo.activations import check_same_rows, labeled, unlabeled
from repsim_geo.errors import DegenerateRepresentationError, ShapeError

_DTYPES = (torch.float32, torch.float64)


def as_activations(x: Any, name: str = "x") -> Tensor:
    """
    Turn anything array-like into a float tensor of shape (m, d) or (batch, m, d); the input is never changed.

    Four axes are convolutional activations (m, c, h, w), five a batch of them; both are flattened to
    (m, c h w).

    Parameters
    ----------
    x : Tensor, ndarray, nested sequence, Activations, pandas DataFrame or xarray DataArray
    name : str
        What to call it in messages.

    Returns
    -------
    Tensor, shape (*batch, m, d)
        It knows the names of its rows, if `x` does, so that `check_pair` can compare them.

    Raises
    ------
    TypeError
        Not an array of numbers, or not float32 or float64.
    ShapeError
        Fewer than two axes, or an empty axis.
    """
    x, ids = unlabeled(x)
    if isinstance(x, str | os.PathLike):
        raise TypeError(
            f"{name} must be a tensor or an array of numbers with shape (m, d), got the name "
            f"{os.fspath(x)!r}. Read "
            "the file with repsim_geo.io.load_activations, or give names to pairwise()."
        )
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must be an array without a mask, got a masked one. Fill it, x.filled(value), or drop "
            "the rows."
        )
    if isinstance(x, list | tuple) and len({tuple(getattr(a, "shape", ())) for a in x}) > 1:
        raise ShapeError(
            f"{name} must be the activations of one network (m, d), or a stack of equal shapes, got a list "
            f"of {len(x)}. Use metric = metric.resolve(networks), and torch.stack([metric.embed(x) for x in "
            "networks])."
        )
    if isinstance(x, list | tuple) and x and all(isinstance(a, Tensor) for a in x):
        x = torch.stack(list(x))
    if not isinstance(x, Tensor):
        try:
            # torch has no tensors that cannot be written to, run backwards, or have bytes in another order.
            if isinstance(x, np.ndarray) and not x.dtype.isnative:
                x = x.astype(x.dtype.newbyteorder("="))
            foreign = isinstance(x, np.ndarray) and (not x.flags.writeable or min((0, *x.strides)) < 0)
            x = torch.as_tensor(np.array(x) if foreign else x)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"{name} must be a tensor or an array of numbers with shape (m, d), "
                f"got {type(x).__name__}: {str(error).rstrip('.')}. "
                "Give rows of equal length, one for each input."
            ) from error
    if x.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got layout {x.layout}. Use {name}.to_dense().")
    if x.dtype not in _DTYPES:
        raise TypeError(
            f"{name} must hold float32 or float64 numbers, got {str(x.dtype).removeprefix('torch.')}. "
            f"Convert it with {name}.float() (torch) or {name}.astype('float64') (numpy)."
        )
    if x.dim() < 2:
        raise ShapeError(
            f"{name} must have shape (m, d), m inputs by d units, got shape {tuple(x.shape)}. "
            "A single unit is a column: use x[:, None]."
        )
    if x.dim() > 5:
        raise ShapeError(
            f"{name} must have shape (m, d), (batch, m, d) or, for convolutional activations, (m, c, h, w) "
            f"or (batch, m, c, h, w), got {tuple(x.shape)}. Flatten the axes that belong together."
        )
    if x.dim() >= 4:
        x = x.flatten(-3)
    if 0 in x.shape:
        raise ShapeError(
            f"{name} must not be empty, got shape {tuple(x.shape)}. Look at what was selected or recorded."
        )
    return labeled(x, ids)


def check_count(value: Any, name: str, of: str = "", hint: str = "None keeps all.") -> None:
    """
    Refuse what is neither a positive whole number nor None.

    Parameters
    ----------
    value : int or None
    name : str
    of : str
        What is counted, for the message: " of columns".
    hint : str
        What None does.

    Raises
    ------
    ValueError
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
        raise ValueError(f"{name} must be a positive whole number{of} or None, got {value!r}. {hint}")


def check_finite(x: Tensor, name: str = "x") -> None:
    """
    Refuse nan and infinity.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    name : str

    Raises
    ------
    ValueError
    """
    # A sum is many times faster than looking at every entry, and finite only if they all are.
    if bool(x.detach().sum().isfinite()):
        return
    bad = ~x.isfinite()
    if bool(bad.any()):
        rows = bad.any(-1).reshape(-1, x.shape[-2]).any(0).nonzero().flatten().tolist()
        raise ValueError(
            f"{name} must be finite, got nan or infinity in {len(rows)} of {x.shape[-2]} rows "
            f"(first: row {rows[0]}). "
            "Remove these inputs from every network, or find the layer that overflows."
        )


def check_rows(x: Tensor, fewest: int, metric: str, name: str = "x") -> None:
    """
    Refuse fewer inputs than a metric needs.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    fewest : int
    metric : str
        Name of the metric, for the message.
    name : str

    Raises
    ------
    ShapeError
    """
    m = x.shape[-2]
    if m < fewest:
        raise ShapeError(
            f"{metric} needs at least {fewest} inputs (rows), got {m} in {name}. "
            "Record more inputs; rows are inputs and columns are units."
        )


def check_varies(x: Tensor, name: str = "x") -> None:
    """
    Refuse a representation in which all rows are equal up to rounding.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    name : str

    Raises
    ------
    DegenerateRepresentationError
    """
    largest = x.abs().amax((-2, -1))
    spread = (x.amax(-2) - x.amin(-2)).amax(-1)
    constant = spread <= 4 * torch.finfo(x.dtype).eps * largest
    if bool(constant.any()):
        which = "" if x.dim() == 2 else f" (batch entry {int(constant.flatten().nonzero()[0])})"
        raise DegenerateRepresentationError(
            f"{name} is constant{which}: all rows are equal, so there is nothing to compare. "
            "Check for a dead layer, or leave this network out."
        )


def check_pair(
    x: Tensor, y: Tensor, caller: str, names: tuple[str, str] = ("x", "y"), *, batched: bool = True
) -> None:
    """
    Refuse two representations that do not describe the same inputs or do not live together.

    Parameters
    ----------
    x, y : Tensor, shape (*batch, m, d)
    caller : str
        Function that was called, for the message.
    names : tuple of str
    batched : bool
        Whether leading axes are batches, which must fit; otherwise they are repeats, which need not.

    Raises
    ------
    ShapeError
        Different numbers of rows; rows that have other names (MismatchedRowsError).
    TypeError
        Different dtypes.
    ValueError
        Different devices.
    """
    first, second = names
    if x.shape[-2] != y.shape[-2]:
        raise ShapeError(
            f"{first} and {second} must describe the same inputs: "
            f"got {x.shape[-2]} rows and {y.shape[-2]} rows. "
            f"{caller} pairs row i of {first} with row i of {second}; select the common inputs first."
        )
    check_same_rows(getattr(x, "row_ids", None), getattr(y, "row_ids", None), names)
    both = batched and x.dim() == 3 and y.dim() == 3
    if both and x.shape[0] != y.shape[0] and 1 not in (x.shape[0], y.shape[0]):
        raise ShapeError(
            f"{first} and {second} must have equally many networks in their batch, got {x.shape[0]} and "
            f"{y.shape[0]}. {caller} pairs entry i with entry i; pairwise() compares all."
        )
    if x.dtype != y.dtype:
        a, b = (str(t.dtype).removeprefix("torch.") for t in (x, y))
        raise TypeError(
            f"{first} and {second} must have one dtype, got {a} and {b}. "
            f"Convert one of them, for example {second}.to({first}.dtype)."
        )
    if x.device != y.device:
        raise ValueError(
            f"{first} and {second} must be on one device, got {x.device} and {y.device}. "
            f"Move one of them, for example {second}.to({first}.device)."
        )


def usable_device(device: Any) -> torch.device:
    """
    A device of this machine that holds numbers.

    Parameters
    ----------
    device : torch.device or str

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
    """
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()
    except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        here = "cpu" if accelerator is None else f"cpu and {accelerator.type}"
        raise ValueError(
            f"device must be a device that torch can use here ({here}), got {device!r}. "
            "Leave it out to compute where the first network is."
        ) from error
    return found


def check_flag(value: Any, name: str) -> None:
    """
    Refuse what is neither True nor False: any other value would count as one of them.

    Parameters
    ----------
    value : bool
    name : str

    Raises
    ------
    TypeError
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}. Write one of them, or leave it out.")


def check_distances(distances: Tensor, caller: str) -> None:
    """
    Refuse distances that are nan or infinite, which finite activations give by overflow only.

    Parameters
    ----------
    distances : Tensor
    caller : str
        Function that was called, for the message.

    Raises
    ------
    ValueError
    """
    if not bool(distances.detach().sum().isfinite()):
        bad = int((~distances.isfinite()).sum())
        raise ValueError(
            f"{caller}: distances must be finite, got nan or infinity in {bad} of {distances.numel()}: "
            "numbers of "
            f"this size overflow in {str(distances.dtype).removeprefix('torch.')}. Divide all activations "
            "by a common number, or convert them to float64."
        )
