"""What estimators take: stacks of points, weights, seeds; checked at the door."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.errors import NotOnManifoldError, ShapeError

_DTYPES = (torch.float32, torch.float64)


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
            f"{manifold!r}."
        )
    points, ndim = _as_tensor(points), manifold.ndim
    if points.dim() < ndim + 1 or 0 in points.shape or (not batched and points.dim() != ndim + 1):
        raise ShapeError(
            f"points must have shape (n, *point) with {ndim} axes for a point, got {tuple(points.shape)}. "
            "Stack the points of one population along a leading axis."
        )
    n = points.shape[-ndim - 1]
    if n < least:
        raise ShapeError(f"at least {least} points are needed, got {n}. Add networks.")
    finite = points.isfinite().flatten(-ndim).all(-1)
    if not bool(finite.all()):
        which = sorted({int(i) for i in (~finite).nonzero()[:, -1]})
        raise ValueError(
            f"points must be finite, got nan or infinity in point {', '.join(map(str, which[:5]))}"
            f"{' and others' if len(which) > 5 else ''}. Remove the networks that failed."
        )
    ok, reason = manifold.check_point(points, explain=True)  # pyright: ignore[reportGeneralTypeIssues]
    if not ok:
        raise ShapeError(f"points do not fit the manifold: {reason}")
    ok, reason = manifold.check_point_on_manifold(points, explain=True, atol=1e-4, rtol=1e-4)  # pyright: ignore[reportGeneralTypeIssues]
    if not ok:
        raise NotOnManifoldError(
            f"points must lie on the manifold {manifold}: {reason}. Use metric.embed(x) or manifold.projx(x)."
        )
    return points.detach().as_subclass(Tensor)


def _as_tensor(points: Any) -> Tensor:
    if isinstance(points, Sequence) and not isinstance(points, str) and len(points):
        arrays = [p if isinstance(p, Tensor) else np.asarray(p) for p in points]
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
                "different widths get one with metric.resolve(networks).embed(x)."
            )
        points = torch.stack(rows)
    elif isinstance(points, np.ndarray) and points.dtype.kind == "f":
        points = torch.from_numpy(np.array(points, dtype=points.dtype.newbyteorder("=")))
    if not isinstance(points, Tensor) or points.dtype not in _DTYPES:
        kind = points.dtype if hasattr(points, "dtype") else type(points).__name__
        raise TypeError(
            f"points must be float32 or float64 numbers (n, *point), as Tensor or array, got {kind}. "
            "Stack them with torch.stack."
        )
    return points


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
    weights = torch.as_tensor(weights, dtype=points.dtype, device=points.device)
    if not _fits(weights.shape, batch):
        raise ShapeError(f"weights must have shape ({n},), one for each point, got {tuple(weights.shape)}.")
    total = weights.sum(-1, keepdim=True)
    if not bool((weights >= 0).all()) or not bool((total > 0).all()) or not bool(total.isfinite().all()):
        raise ValueError("weights must be nonnegative, finite and not all zero; only their ratios matter.")
    return weights / total


def _fits(shape: torch.Size, batch: torch.Size) -> bool:
    """Whether weights of this shape broadcast to (*batch, n), with one weight for each point."""
    ends = shape[-1:] == batch[-1:] and len(shape) <= len(batch)
    return ends and all(a in (1, b) for a, b in zip(shape[::-1], batch[::-1], strict=False))


def as_symmetric(matrix: Any, name: str) -> Tensor:
    """
    A symmetric matrix in float64; the input is never changed.

    Parameters
    ----------
    matrix : Tensor or array, shape (n, n)
    name : str
        What to call it in messages.

    Returns
    -------
    Tensor, shape (n, n)

    Raises
    ------
    ShapeError
        Not square.
    TypeError
        Not numbers.
    ValueError
        Not finite, or not symmetric up to rounding.
    """
    try:
        given = torch.as_tensor(matrix).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an (n, n) array of numbers, got {type(matrix).__name__}.") from error
    if given.dim() != 2 or given.shape[0] != given.shape[1] or given.is_complex():
        raise ShapeError(
            f"{name} must be a square matrix (n, n) of real numbers, got shape {tuple(given.shape)}. "
            "pairwise() returns one; scipy's squareform makes one of a condensed vector."
        )
    values = given.double()
    if not bool(values.isfinite().all()):
        rows = sorted({int(i) for i in (~values.isfinite()).nonzero()[:, 0]})
        raise ValueError(
            f"{name} must be finite, got nan or infinity in row {', '.join(map(str, rows[:5]))}. "
            "Leave out the networks that failed."
        )
    # Distances of float32 data are symmetric to float32 rounding, whatever they are stored in.
    rounding = 1e3 * torch.finfo(torch.float32).eps
    if bool(((values - values.mT).abs() > rounding * values.abs().max()).any()):
        raise ValueError(
            f"{name} must be symmetric, got entries (i, j) and (j, i) that differ by up to "
            f"{float((values - values.mT).abs().max()):.3g}. Average it with its transpose if that is meant."
        )
    return (values + values.mT) / 2


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
    """
    if isinstance(seed, torch.Generator):
        return seed
    if isinstance(seed, Integral):
        return torch.Generator().manual_seed(int(seed))
    raise TypeError(f"seed must be a whole number or a torch.Generator, got {seed!r}.")


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
