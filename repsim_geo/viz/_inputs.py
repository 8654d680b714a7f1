"""What pictures are made of, checked at one door: numbers, names and groups."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.stats.points import as_numbers


def as_array(values: ArrayLike, name: str, *, gaps: bool = False) -> NDArray[np.float64]:
    """
    Numbers as a float64 array, whether they come as tensor, array or list.

    Parameters
    ----------
    values : array_like or Tensor
    name : str
        What to call them in messages.
    gaps : bool
        Whether nan is understood, as a value that is not there.

    Returns
    -------
    ndarray
        May share memory with what came.

    Raises
    ------
    TypeError
        Not an array of real numbers.
    ValueError
        Not finite.
    """
    array = as_numbers(values, name).cpu().numpy().astype(np.float64, copy=False)
    bad = np.isinf(array) if gaps else ~np.isfinite(array)
    if bad.any():
        where = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
        came = "infinity" if gaps else "nan or infinity"
        raise ValueError(
            f"{name} must be finite{', or nan where there is no value' if gaps else ''}, got {came} at "
            f"[{where}]{' and elsewhere' if bad.sum() > 1 else ''}. Leave out the networks that failed."
        )
    return array


def as_vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """
    One number each, at least one.

    Parameters
    ----------
    values : array_like or Tensor, shape (n,)
    name : str

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ShapeError, ValueError
    """
    array = as_array(values, name)
    if array.ndim != 1 or array.size == 0:
        raise ShapeError(
            f"{name} must hold numbers in a row, (n,) with n at least 1, got {array.shape}. "
            "Flatten it, or look for an empty selection."
        )
    return array


def as_positions(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """
    Points of the plane, at least one.

    Parameters
    ----------
    values : array_like or Tensor, shape (n, 2)
    name : str

    Returns
    -------
    ndarray, shape (n, 2)

    Raises
    ------
    TypeError, ShapeError, ValueError
    """
    points = as_array(values, name)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ShapeError(
            f"{name} must hold a position in the plane in each row, (n, 2) with n at least 1, got "
            f"{points.shape}. Reduce the distances to two dimensions first."
        )
    return points


def as_unit_vectors(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """
    Points of the globe, at least one.

    Parameters
    ----------
    values : array_like or Tensor, shape (n, 3)
    name : str

    Returns
    -------
    ndarray, shape (n, 3)
        Of length one to rounding.

    Raises
    ------
    TypeError, ShapeError, ValueError
    """
    points = as_array(values, name)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ShapeError(
            f"{name} must hold a unit vector of three coordinates in each row, (n, 3) with n at least 1, got "
            f"{points.shape}. SphericalMDS(2) makes them."
        )
    lengths = np.linalg.norm(points, axis=1)
    worst = int(np.abs(lengths - 1).argmax())
    if abs(lengths[worst] - 1) > 1e-3:
        raise ValueError(
            f"{name} must be unit vectors, got length {lengths[worst]:.4g} in row {worst}. "
            "Divide by the radius of the sphere."
        )
    return points / lengths[:, None]


def as_groups(groups: Iterable[Hashable], n: int, name: str = "groups", what: str = "points") -> list[Any]:
    """
    The group of each of n things.

    Parameters
    ----------
    groups : iterable of hashable, or array or Tensor, shape (n,)
    n : int
    name : str
    what : str
        What the things are, for the message.

    Returns
    -------
    list

    Raises
    ------
    ShapeError, TypeError
    """
    # Entries of a tensor are tensors, each equal to nothing but itself.
    members = groups.tolist() if hasattr(groups, "tolist") else list(groups)
    if len(members) != n:
        raise ShapeError(
            f"{name} must have one entry for each of {n} {what}, got {len(members)}. "
            "Repeat the name of a group for each member."
        )
    try:
        dict.fromkeys(members)
    except TypeError as error:
        raise TypeError(
            f"{name} must be names or numbers that can be told apart, got entries of type "
            f"{type(members[0]).__name__}. Give one name for each of the {what}."
        ) from error
    return members


def as_names(names: Sequence[Any], n: int, name: str = "labels", what: str = "points") -> list[str]:
    """
    The name of each of n things.

    Parameters
    ----------
    names : sequence of str
    n : int
    name, what : str
        For the message.

    Returns
    -------
    list of str

    Raises
    ------
    ShapeError
    """
    found = [str(entry) for entry in names]
    if len(found) != n:
        raise ShapeError(
            f"{name} must have one name for each of {n} {what}, got {len(found)}. "
            "Give them in the same order."
        )
    return found


def check_filled(values: Mapping[Any, Any], name: str, content: str) -> None:
    """
    Refuse a mapping without entries.

    Parameters
    ----------
    values : mapping
    name : str
    content : str
        What its entries are, for the message.

    Raises
    ------
    ShapeError, TypeError
    """
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{name} must be a mapping from a name to {content}, got {type(values).__name__}. "
            f"Use a dictionary such as {{'a': ...}}."
        )
    if not values:
        raise ShapeError(f"{name} must name at least one entry, got none. Look for an empty selection.")
