"""What estimators take: stacks of points, weights, seeds; checked at the door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.errors import DegenerateRepresentationError, NotOnManifoldError, ShapeError
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.alignment import working_precision

_DTYPES = (torch.float32, torch.float64)
# Entries of the largest table that a count may ask for: 8 GB in float64.
MOST_NUMBERS = 10**9


def as_points(manifold: Any, points: Any, *, batched: bool = False, least: int = 1) -> Tensor:
    """
    A stack of points as a tensor without history; the input is never changed.

    Parameters
    ----------
    manifold : geoopt.Manifold
        On which they must lie.
    points : Tensor, ndarray or sequence of them, shape (n, *point), or (*batch, n, *point) if `batched`
    batched : bool
        Whether several populations at once are understood.
    least : int
        Fewest points that make sense.

    Returns
    -------
    Tensor, shape (n, *point)

    Raises
    ------
    TypeError
        Not a manifold, or not numbers in float32 or float64.
    ShapeError
        Too few points, points of different shapes, or of a shape that the manifold does not know.
    ValueError
        Not finite; says which point.
    NotOnManifoldError
        Numbers that are not points, such as activations that were not embedded.
    """
    if not isinstance(manifold, Manifold):
        raise TypeError(
            "manifold must be a geoopt.Manifold, for example a metric such as AngularCKA(), got "
            f"{manifold!r}. Names and classes are not made yet: pass an instance."
        )
    points, ndim = as_stack(points), manifold.ndim
    if points.dim() < ndim + 1 or (not batched and points.dim() != ndim + 1):
        raise ShapeError(
            f"points must have shape (n, *point) with {ndim} axes for a point, got {tuple(points.shape)}. "
            "Stack the points of one population along a leading axis."
        )
    n = points.shape[-ndim - 1]
    if n < least:
        raise ShapeError(
            f"at least {least} point{'s are' if least > 1 else ' is'} needed, got {n or 'none'}. "
            "Add networks."
        )
    if 0 in points.shape:
        raise ShapeError(
            f"points must hold numbers, got a stack of shape {tuple(points.shape)}. Look for an empty "
            "selection."
        )
    finite = points.isfinite().flatten(-ndim).all(-1)
    if not bool(finite.all()):
        which = sorted({int(i) for i in (~finite).nonzero()[:, -1]})
        raise ValueError(
            f"points must be finite, got nan or infinity in point {', '.join(map(str, which[:5]))}"
            f"{' and others' if len(which) > 5 else ''}. Remove the networks that failed."
        )
    ok, reason = manifold.check_point(points, explain=True)  # pyright: ignore[reportGeneralTypeIssues]
    if not ok:
        raise ShapeError(
            f"points do not fit the manifold: {reason}. Activations become points with metric.embed(x)."
        )
    ok, reason = manifold.check_point_on_manifold(points, explain=True, atol=1e-4, rtol=1e-4)  # pyright: ignore[reportGeneralTypeIssues]
    if not ok:
        raise NotOnManifoldError(
            f"points must lie on the manifold {manifold}: {reason}. Use metric.embed(x) or manifold.projx(x)."
        )
    return points.detach().as_subclass(Tensor)


def as_stack(points: Any) -> Tensor:
    """
    Points as one tensor, with its history; nothing is known yet of their manifold.

    Parameters
    ----------
    points : Tensor, ndarray or sequence of them, shape (*batch, n, *point)

    Returns
    -------
    Tensor, shape (*batch, n, *point)

    Raises
    ------
    TypeError, ShapeError
    """
    _refuse_sparse(points, "points")
    if isinstance(points, Sequence) and not isinstance(points, str) and len(points):
        arrays = [p if isinstance(p, Tensor) else np.array(p) for p in points]
        if any(isinstance(p, np.ndarray) and p.dtype.kind not in "fiu" for p in arrays):
            raise TypeError(
                "points must be float32 or float64 numbers (n, *point), got a list of "
                f"{type(points[0]).__name__}. Stack them with torch.stack."
            )
        rows = [torch.as_tensor(p) for p in arrays]
        shapes = {tuple(p.shape) for p in rows}
        if len(shapes) > 1:
            raise ShapeError(
                f"points must have one shape, got {', '.join(map(str, sorted(shapes)[:4]))}. Networks of "
                "different widths get one: metric = metric.resolve(networks), then metric.embed(x) of each."
            )
        points = torch.stack(rows)
    elif isinstance(points, np.ndarray) and points.dtype.kind == "f":
        points = torch.from_numpy(np.array(points, dtype=points.dtype.newbyteorder("=")))
    if not isinstance(points, Tensor) or points.dtype not in _DTYPES:
        kind = points.dtype if hasattr(points, "dtype") else type(points).__name__
        raise TypeError(
            f"points must be float32 or float64 numbers (n, *point), as Tensor or array, got {kind}. "
            "Stack them with torch.stack; convert whole numbers with points.double()."
        )
    return points


def as_numbers(values: Any, name: str) -> Tensor:
    """
    Real numbers of any kind as float32 or float64, without history; the input is never changed.

    Parameters
    ----------
    values : array-like
        Whole numbers become float64, half precision becomes float32.
    name : str
        What to call them in messages.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
    """
    if not isinstance(values, Tensor):
        _refuse_sparse(values, name)
        try:
            array = np.asarray(values)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"{name} must be an array of real numbers, got {type(values).__name__} that is none: {error} "
                "Use numbers in rows of one length."
            ) from error
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"{name} must be an array of real numbers, got {array.dtype}. Use a tensor or an array of "
                "floats."
            )
        precise = array.dtype.kind != "f" or array.dtype.itemsize > 4
        values = torch.from_numpy(np.array(array, dtype=np.float64 if precise else np.float32))
    if values.is_complex() or values.dtype == torch.bool:
        raise TypeError(
            f"{name} must be an array of real numbers, got {values.dtype}. Use a tensor or an array of "
            "floats."
        )
    if values.dtype not in _DTYPES:
        values = values.to(torch.float32 if values.is_floating_point() else torch.float64)
    return values.detach().as_subclass(Tensor)


def _refuse_sparse(values: Any, name: str) -> None:
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{name} must be a dense array, got a sparse {type(values).__name__}. Use {name}.toarray()."
        )


def as_weights(weights: Any, points: Tensor, ndim: int) -> Tensor:
    """
    Weights with sum one; equal ones for None.

    Parameters
    ----------
    weights : array-like or None, shape (n,) or (*batch, n)
        Nonnegative, not all zero; only their ratios matter.
    points : Tensor, shape (*batch, n, *point)
    ndim : int
        Axes of a point.

    Returns
    -------
    Tensor, shape (n,) or (*batch, n)

    Raises
    ------
    ShapeError, ValueError
    """
    batch = points.shape[: points.dim() - ndim]
    n = batch[-1]
    if weights is None:
        return points.new_full((n,), 1 / n)
    weights = as_numbers(weights, "weights").to(points)
    if not _fits(weights.shape, batch):
        raise ShapeError(
            f"weights must have shape ({n},), one for each point, got {tuple(weights.shape)}. Leave them out "
            "if all points count alike."
        )
    total = weights.sum(-1, keepdim=True)
    if not bool((weights >= 0).all()) or not bool((total > 0).all()) or not bool(total.isfinite().all()):
        raise ValueError(
            "weights must be nonnegative, finite and not all zero, got numbers from "
            f"{float(weights.min()):.6g} to {float(weights.max()):.6g} with sum {float(total.min()):.6g}. "
            "Only their ratios matter; leave them out if all points count alike."
        )
    return weights / total


def _fits(shape: torch.Size, batch: torch.Size) -> bool:
    """Whether weights of this shape broadcast to (*batch, n), with one weight for each point."""
    ends = shape[-1:] == batch[-1:] and len(shape) <= len(batch)
    return ends and all(a in (1, b) for a, b in zip(shape[::-1], batch[::-1], strict=False))


def check_whole(value: Any, name: str, least: int = 1, *, hint: str = "") -> None:
    """
    Refuse what is not a whole number of at least `least`.

    Parameters
    ----------
    value : int
    name : str
    least : int
    hint : str
        What to choose, for the message.

    Raises
    ------
    ValueError
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(
            f"{name} must be a whole number, {least} or more, got {value!r}. "
            f"{hint or f'{least} is the least that makes sense.'}"
        )


def check_positive(value: Any, name: str, *, hint: str, none: bool = False) -> None:
    """
    Refuse what is not a positive number.

    Parameters
    ----------
    value : float
    name : str
    hint : str
        What to choose, for the message.
    none : bool
        Whether None is understood, too.

    Raises
    ------
    ValueError
    """
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, Real) or not value > 0:
        raise ValueError(f"{name} must be positive{' or None' * none}, got {value!r}. {hint}")


def check_room(value: int, name: str, most: int, *, hint: str) -> None:
    """
    Refuse a count that asks for more numbers than a memory holds.

    Parameters
    ----------
    value : int
    name : str
    most : int
        Largest count whose table has at most `MOST_NUMBERS` entries.
    hint : str
        What to choose, for the message.

    Raises
    ------
    ValueError
    """
    if value > most:
        raise ValueError(
            f"{name} must be at most {most} here, where it makes a table of {MOST_NUMBERS} numbers, got "
            f"{value}. {hint}"
        )


def check_metric(metric: Any, name: str = "metric", *, pairs: bool = False) -> None:
    """
    Refuse what cannot compare two activations.

    Parameters
    ----------
    metric : metric or callable
        An object with ``embed``, or a function of two activations.
    name : str
        What to call it in messages.
    pairs : bool
        Whether a pair (embedding, manifold) is understood, too.

    Raises
    ------
    TypeError
    """
    if pairs and isinstance(metric, tuple) and len(metric) == 2:
        if callable(metric[0]) and isinstance(metric[1], Manifold):
            return
    elif not isinstance(metric, type) and (
        hasattr(metric, "embed") or (callable(metric) and not isinstance(metric, Manifold))
    ):
        return
    came, advice = repr(metric), "Names are for compare(): pass the metric itself."
    if isinstance(metric, type):
        came, advice = f"the class {metric.__name__}", f"Call it: {metric.__name__}()."
    raise TypeError(
        f"{name} must be a metric such as AngularCKA(){', a pair (embedding, manifold)' * pairs} or a "
        f"function of two activations, got {came}. {advice}"
    )


def as_one_number(value: Any, name: str) -> Tensor:
    """
    What a function of two activations returned, if it is one number.

    Parameters
    ----------
    value : float or Tensor with one entry
    name : str
        Of the function, for the message.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    TypeError, ShapeError
    """
    try:
        number = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        number = None
    if number is None or number.is_complex():
        raise TypeError(
            f"{name} must return one number for two activations (m, d), got {value!r}. Return a float, or a "
            "tensor with one entry."
        )
    if number.numel() != 1:
        raise ShapeError(
            f"{name} must return one number for two activations (m, d), got shape {tuple(number.shape)}. "
            "Reduce it, for example with .mean()."
        )
    return number.reshape(())


@contextmanager
def named(name: str) -> Iterator[None]:
    """
    Say which representation it was that a metric cannot compare; a metric calls all of them x.

    Parameters
    ----------
    name : str
        Of what is embedded inside of the context.
    """
    try:
        yield
    except DegenerateRepresentationError as error:
        raise DegenerateRepresentationError(f"{name}: {error}") from error


def in_span(points: Tensor) -> tuple[Tensor, Tensor]:
    """
    Points of a sphere in coordinates of their span, where their distances, means and great circles are.

    Parameters
    ----------
    points : Tensor, shape (n, *point)
        Unit tensors.

    Returns
    -------
    basis : Tensor, shape (size of a point, k)
        Orthonormal columns, k at most n; float64 where the device has it.
    coordinates : Tensor, shape (n, k)
        Unit vectors, in the dtype of the points.
    """
    # QR and not the matrix of inner products, whose root has half of the digits of near points.
    basis, coordinates = torch.linalg.qr(working_precision(points.flatten(1)).mT)
    return basis, UnitSphere(1).projx(coordinates.mT).to(points.dtype)


def as_generator(seed: Any) -> torch.Generator:
    """
    A generator of random numbers; the global one is never touched.

    Parameters
    ----------
    seed : int or torch.Generator
        A generator is used as it is, and advances.

    Returns
    -------
    torch.Generator

    Raises
    ------
    TypeError
    ValueError
        A whole number of more than 64 bits.
    """
    if isinstance(seed, torch.Generator):
        return seed
    if not isinstance(seed, Integral):
        raise TypeError(
            f"seed must be a whole number or a torch.Generator, got {seed!r}. Any number will do, such as 0."
        )
    if not -(2**63) <= seed < 2**64:
        raise ValueError(
            f"seed must be a whole number of 64 bits, got {seed}. Any smaller number will do, such as 0."
        )
    return torch.Generator().manual_seed(int(seed))


def like(values: Tensor, given: Any) -> Any:
    """
    The values as what the user works with: an array for arrays, a tensor for tensors.

    Parameters
    ----------
    values : Tensor
    given : Tensor, ndarray or sequence
        What the user handed in.

    Returns
    -------
    Tensor or ndarray
    """
    return values.detach().cpu().numpy() if isinstance(given, np.ndarray) else values
