"""
Steps along geodesics that fit the curvature, for many starts at once.

For a descent direction ``d`` at ``x`` let ``phi(t) = f(expmap(x, t d))``; its slope is the inner product of
the gradient there with ``d`` carried along. A step is taken if ``phi'(t) >= c phi'(0)``, c = 0.9, and either

    phi(t) <= phi(0) + 0.1 t phi'(0)                             (Wolfe), or
    phi'(t) <= -0.8 phi'(0)  and  phi(t) <= phi(0) + slack       (approximate Wolfe; Hager and Zhang 2005).

The second form is the first for a parabola, in terms of slopes alone. Near a minimum values differ by less
than their rounding as soon as gradients are below the root of eps, and every search that compares values
ends there; slopes have digits left. Slopes also place the next trial: at the zero of the line through the
slopes at both ends of the bracket, or, every third time, in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from repsim_geo.manifolds.lengths import length, product
from repsim_geo.numerics.norms import with_axes
from repsim_geo.optim.objective import Objective, finite

# As in Hager and Zhang 2005.
_DECREASE = 0.1
_TRIALS = 24


@dataclass(frozen=True)
class Step:
    """
    Where a search along geodesics ended.

    Attributes
    ----------
    size : Tensor, shape (k)
        Time along the direction; zero where nothing better was found.
    point : Tensor, shape (k, *point)
    value : Tensor, shape (k)
    gradient : Tensor, shape (k, *point)
    norm : Tensor, shape (k)
        Of the gradient.
    direction : Tensor, shape (k, *point)
        Carried to `point`.
    """

    size: Tensor
    point: Tensor
    value: Tensor
    gradient: Tensor
    norm: Tensor
    direction: Tensor


def search(
    objective: Objective,
    rows: Tensor,
    x: Tensor,
    direction: Tensor,
    value: Tensor,
    gradient: Tensor,
    size: Tensor,
    slack: Tensor,
    *,
    curvature: float = 0.9,
) -> Step:
    """
    A step for each of several entries, each with its own bracket.

    Parameters
    ----------
    objective : Objective
        Its manifold needs ``retr_transp`` and ``inner``.
    rows : Tensor, shape (k)
        Which entries these are.
    x : Tensor, shape (k, *point)
    direction : Tensor, shape (k, *point)
        Tangent at `x`, of descent.
    value : Tensor, shape (k)
    gradient : Tensor, shape (k, *point)
    size : Tensor, shape (k)
        First trial.
    slack : Tensor, shape (k)
        By how much a value may rise: its rounding, with a margin.
    curvature : float
        Share of the slope that may be left; quasi-Newton methods do without exact searches, conjugate
        gradients do not.

    Returns
    -------
    Step
        Where no trial met the conditions, the one with the lowest value, or, among values that differ by
        rounding, the lowest gradient norm.

    Notes
    -----
    Values that are not finite count as too high, so that the search comes back from where the function, or
    the manifold, ends. Entries that have their step cost no further evaluations.
    """
    manifold = objective.manifold
    slope = product(manifold, x, gradient, direction)
    rounding = 8 * torch.finfo(value.dtype).eps * value.abs()
    best = Step(
        torch.zeros_like(size),
        x.clone(),
        value.clone(),
        gradient.clone(),
        length(manifold, x, gradient),
        direction.clone(),
    )
    bracket = _Bracket(slope)
    trial = size
    pending = torch.arange(len(rows), device=rows.device)
    for count in range(_TRIALS):
        y, carried, lost = _move(objective, x[pending], trial, direction[pending])
        seen, pulled = objective.look(y, rows[pending])
        seen = torch.where(lost, torch.inf, seen)
        norm, here = length(manifold, y, pulled), product(manifold, y, pulled, carried)
        start, fall = value[pending], slope[pending]
        too_high = ~(seen <= start + slack[pending])
        noise = rounding[pending]
        # A decrease below the rounding of values is no evidence.
        enough = seen <= start + torch.minimum(_DECREASE * trial * fall, -noise)
        nearly = here <= (2 * _DECREASE - 1) * fall
        fits = ~too_high & (here >= curvature * fall) & (enough | nearly)
        lower = seen < best.value[pending] - noise
        alike = (seen <= best.value[pending] + noise) & (norm < best.norm[pending])
        take = fits | lower | alike
        for kept, new in (
            (best.size, trial),
            (best.point, y),
            (best.value, seen),
            (best.gradient, pulled),
            (best.norm, norm),
            (best.direction, carried),
        ):
            kept[pending[take]] = new[take].to(kept.dtype)
        bracket.narrow(trial, here, too_high, seen)
        trial, collapsed = bracket.next(trial, bisect=count % 3 == 2)
        on = ~(fits | collapsed)
        pending, trial = pending[on], trial[on]
        bracket.keep(on)
        if not len(pending):
            break
    return best


def _move(objective: Objective, x: Tensor, size: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where geodesics arrive, the direction carried along, and whether that is nowhere; then `x` is kept."""
    ndim = objective.manifold.ndim
    y, carried = objective.manifold.retr_transp(x, with_axes(size, ndim) * direction, direction)
    lost = ~(finite(y) & finite(carried))
    y = torch.where(with_axes(lost, ndim), x, y)
    return y, torch.where(with_axes(lost, ndim), direction, carried), lost


class _Bracket:
    """
    Times between which the slope changes its sign: a value that is low enough, and one that is too high.

    Parameters
    ----------
    slope : Tensor, shape (k)
        At time zero; negative.
    """

    def __init__(self, slope: Tensor):
        self.low, self.low_slope = torch.zeros_like(slope), slope
        self.high, self.high_slope = torch.full_like(slope, torch.inf), torch.full_like(slope, torch.nan)
        # Slope at the low end before this one, for an extrapolation; how far to come back from the high one.
        self.ahead = torch.full_like(slope, torch.inf)
        self.share = torch.full_like(slope, 0.5)

    def narrow(self, trial: Tensor, slope: Tensor, too_high: Tensor, value: Tensor) -> None:
        """Replace one end."""
        up = too_high | (slope >= 0)
        self.high = torch.where(up, trial, self.high)
        # A value that is too high with a slope that still falls lies behind a hill: slopes do not help.
        self.high_slope = torch.where(up, torch.where(slope >= 0, slope, torch.nan), self.high_slope)
        self.high_slope = torch.where(up & value.isinf(), torch.nan, self.high_slope)
        self.share = torch.where(up, torch.where(value.isinf(), 0.1, 0.5), self.share)
        secant = trial - slope * (trial - self.low) / (slope - self.low_slope)
        self.ahead = torch.where(slope > self.low_slope, secant, torch.inf)
        self.low = torch.where(up, self.low, trial)
        self.low_slope = torch.where(up, self.low_slope, slope)

    def next(self, trial: Tensor, *, bisect: bool) -> tuple[Tensor, Tensor]:
        """Time to look at, and whether the bracket has no room left."""
        span = self.high - self.low
        secant = self.low - self.low_slope * span / (self.high_slope - self.low_slope)
        secant = secant.clamp(self.low + 0.1 * span, self.high - 0.1 * span)
        middle = self.low + self.share * span
        inside = middle if bisect else torch.where(secant.isfinite(), secant, middle)
        outside = self.ahead.clamp(1.1 * trial, 10 * trial)
        open_ended = self.high.isinf()
        collapsed = ~open_ended & (span <= 8 * torch.finfo(span.dtype).eps * self.high)
        return torch.where(open_ended, outside, inside), collapsed

    def keep(self, on: Tensor) -> None:
        """Forget all entries but these."""
        for name, values in vars(self).items():
            setattr(self, name, values[on])
