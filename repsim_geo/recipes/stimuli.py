"""Inputs on which two networks differ most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo._checks import as_activations
from repsim_geo.compare import compare
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.norms import with_axes
from repsim_geo.registry import Method, as_metric

Network = Callable[[Tensor], Tensor]

_HINTS = {
    "steps": "200 are enough for most.",
    "lr": "It is about the change of an entry in a step.",
    "radius": "None sets no limit.",
}


@dataclass(frozen=True)
class Stimuli:
    """
    Inputs that were moved to where two networks differ.

    Attributes
    ----------
    inputs : Tensor, shape (m, *input)
        The best of all steps.
    before, after : float
        Distance of the two representations of the inputs to begin with, and of `inputs`, in the unit of the
        metric.
    trace : Tensor, shape (steps + 1,)
        Distance before each step, and after the last.
    moved : Tensor, shape (m,)
        Euclidean distance of each input from where it began.
    """

    inputs: Tensor
    before: float
    after: float
    trace: Tensor
    moved: Tensor

    def __str__(self) -> str:
        return (
            f"distance {self.before:.4g} before, {self.after:.4g} after {len(self.trace) - 1} steps; inputs "
            f"moved by {float(self.moved.mean()):.3g} on average"
        )


@torch.no_grad()
def optimal_stimuli(
    first: Network,
    second: Network,
    start: Tensor,
    method: Method = "angular_cka",
    *,
    steps: int = 200,
    lr: float = 0.02,
    bounds: tuple[float, float] | None = None,
    radius: float | None = None,
    **options: Any,
) -> Stimuli:
    """
    Inputs on which the representations of two networks are as far apart as can be.

    Parameters
    ----------
    first, second : callable
        From inputs (m, *input) to representations (m, d) or (m, c, h, w), differentiable by torch. Modules
        are put into evaluation mode and back; their parameters, buffers and gradients stay as they are.
    start : Tensor, shape (m, *input)
        Inputs to begin with; not changed. A distance is one of sets of inputs: all are moved together.
    method : str, metric, or (nn.Module, geoopt.Manifold)
        The distance.
    steps : int
        Of gradient ascent (Adam).
    lr : float
        About how far an entry of an input moves in a step, in the unit of the inputs.
    bounds : pair of float, optional
        Least and largest entry of an input, such as (0, 1) for gray levels.
    radius : float, optional
        Largest Euclidean distance of an input from where it began.
    **options
        Of a metric that is given by name.

    Returns
    -------
    Stimuli

    Raises
    ------
    TypeError
        Inputs or representations that are not float32 or float64; options that the metric does not have.
    ShapeError
        Networks that do not return one row for each input.
    ValueError
        Bounds, radius or numbers that make no sense; a start out of bounds; a distance, or a gradient, that
        is not finite at the start.
    DegenerateRepresentationError
        A network that is constant on the inputs.

    Notes
    -----
    Constraints hold exactly, after every step: entries are cut off at the bounds, then inputs are drawn
    straight to their start, which is within the bounds, up to the radius.

    The ascent is not monotonic; the best inputs of all steps are returned. A step to where the distance is
    not finite is taken back, and the next are half as long. Where the networks agree to the last digit,
    as a network and itself, the gradient is zero and nothing moves. There may be other, better stimuli.

    References
    ----------
    Golan et al. 2020 (controversial stimuli).

    Examples
    --------
    The second network does not see what the first sees in the second entry:

    >>> import torch
    >>> seen = torch.diag(torch.tensor([1.0, 0.0]))
    >>> start = torch.tensor([[0.1, 0.3], [0.9, 0.3], [0.5, 0.4]])
    >>> found = optimal_stimuli(lambda x: x, lambda x: x @ seen, start, steps=50, bounds=(0.0, 1.0))
    >>> found.after > found.before, bool(found.inputs.min() >= 0), bool(found.inputs.max() <= 1)
    (True, True, True)
    """
    for network, name in ((first, "first"), (second, "second")):
        if not callable(network):
            raise TypeError(
                f"{name} must be a function from inputs to representations, got {network!r}. Give a module, "
                "or a function of torch."
            )
    metric = as_metric(method, **options)
    start = _as_inputs(start)
    for value, name in ((steps, "steps"), (lr, "lr"), (radius, "radius")):
        _check_positive(value, name)
    _check_bounds(bounds, start)
    x = start.clone()
    ascent = torch.optim.Adam([x], lr=lr, maximize=True)
    with _evaluated(first, second):
        before, slope = _look(first, second, x, metric)
        if not (math.isfinite(before) and bool(slope.isfinite().all())):
            raise ValueError(
                f"the distance and its gradient must be finite at the start, got {before} and a gradient "
                f"{'with' if not bool(slope.isfinite().all()) else 'without'} nan. Look for nan in the "
                "networks, or start elsewhere."
            )
        best, after, trace = start, before, [before]
        for _ in range(steps):
            x.grad = slope
            ascent.step()
            x.copy_(_within(x, start, bounds, radius))
            distance, slope = _look_or_nan(first, second, x, metric)
            trace.append(distance)
            if not (math.isfinite(distance) and bool(slope.isfinite().all())):
                x = best.clone()
                ascent = torch.optim.Adam([x], lr=ascent.param_groups[0]["lr"] / 2, maximize=True)
                slope = _look(first, second, x, metric)[1]
            elif distance > after:
                best, after = x.clone(), distance
    moved = (best - start).flatten(1).norm(dim=1)
    return Stimuli(best, before, after, torch.tensor(trace, dtype=torch.float64), moved)


def _look(first: Network, second: Network, x: Tensor, metric: Any) -> tuple[float, Tensor]:
    """Distance, and its gradient; nan where representations are not finite."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        a, b = (_represented(network, leaf, name) for network, name in ((first, "first"), (second, "second")))
        if not bool(a.isfinite().all() & b.isfinite().all()):
            return math.nan, torch.full_like(x, math.nan)
        # In float64: where two networks hardly differ, rounding would be steeper than the distance.
        distance = compare(working_precision(a), working_precision(b), metric)
        (slope,) = torch.autograd.grad(distance, leaf)
    return float(distance), slope


def _look_or_nan(first: Network, second: Network, x: Tensor, metric: Any) -> tuple[float, Tensor]:
    """The same; nan also where a network has become constant on the way."""
    try:
        return _look(first, second, x, metric)
    except DegenerateRepresentationError:
        return math.nan, torch.full_like(x, math.nan)


def _represented(network: Network, x: Tensor, name: str) -> Tensor:
    rep = as_activations(network(x), f"{name}(inputs)")
    if len(rep) != len(x) or rep.dim() != 2:
        raise ShapeError(
            f"{name} must return one row for each input, ({len(x)}, d), got shape {tuple(rep.shape)}. Inputs "
            "lie along the first axis."
        )
    if not rep.requires_grad:
        raise ValueError(
            f"{name} must be differentiable, got a representation without a history. Compute it with torch, "
            "without detach(), numpy() or no_grad()."
        )
    return rep


def _within(x: Tensor, start: Tensor, bounds: tuple[float, float] | None, radius: float | None) -> Tensor:
    """Inputs in bounds, and then on the way back to their start, which is within bounds too."""
    if bounds is not None:
        x = x.clamp(*bounds)
    if radius is None:
        return x
    away = x - start
    far = with_axes(away.flatten(1).norm(dim=1), x.dim() - 1)
    # A little less, so that rounding does not exceed it.
    share = (1 - 8 * torch.finfo(x.dtype).eps) * radius / torch.where(far > radius, far, radius)
    return torch.where(far > radius, start + share * away, x)


@contextmanager
def _evaluated(*networks: Any) -> Iterator[None]:
    """Evaluation mode for modules, and for each part the mode that it had afterwards."""
    parts = [part for n in networks if isinstance(n, nn.Module) for part in n.modules()]
    modes = [part.training for part in parts]
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _as_inputs(start: Any) -> Tensor:
    if not isinstance(start, Tensor) or start.dtype not in (torch.float32, torch.float64) or start.dim() < 2:
        kind = (
            f"{start.dtype}, shape {tuple(start.shape)}"
            if isinstance(start, Tensor)
            else type(start).__name__
        )
        raise TypeError(
            f"start must be a float32 or float64 tensor of inputs (m, *input), got {kind}. Convert it with "
            "torch.as_tensor(start).float()."
        )
    return start.detach().as_subclass(Tensor).clone()


def _check_positive(value: Any, name: str) -> None:
    if name == "radius" and value is None:
        return
    kind = Integral if name == "steps" else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}. {_HINTS[name]}")


def _check_bounds(bounds: Any, start: Tensor) -> None:
    if bounds is None:
        return
    if not isinstance(bounds, tuple | list) or len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise ValueError(
            f"bounds must be two numbers, the lower first, got {bounds!r}. Gray levels have (0, 1)."
        )
    low, high = float(start.min()), float(start.max())
    if low < bounds[0] or high > bounds[1]:
        raise ValueError(
            f"start must lie within the bounds {tuple(bounds)}, got entries from {low:.4g} to {high:.4g}. "
            "Use start.clamp(*bounds)."
        )
