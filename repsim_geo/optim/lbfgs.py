"""
Limited-memory quasi-Newton descent on manifolds, for many starts at once.

The direction is ``-H grad f``, where H is built from the last steps ``s`` and changes of the gradient ``y``
(Nocedal's two loops), all of them carried to the present point along the steps taken. There, with
``rho = 1 / <s, y>``,

    H <- (I - rho s <y, .>) H (I - rho y <s, .>) + rho s <s, .>,      H_0 = <s, y> / <y, y>   (newest pair).

Transport that keeps inner products keeps H positive definite (Ring and Wirth 2012; Huang, Gallivan and Absil
2015). Pairs without enough curvature are left out (the cautious update of Li and Fukushima 2001, in a form
that does not depend on units: ``<s, y> >= c |s| |y|`` with c proportional to the gradient norm), and a
direction that is not one of descent makes the entry forget its pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.manifolds.lengths import length, product
from repsim_geo.numerics.norms import inner, with_axes
from repsim_geo.optim.line_search import Step, search
from repsim_geo.optim.minimum import Ledger, Reason, Watch
from repsim_geo.optim.objective import Objective

# A pair is kept, and a direction is taken, if the cosine is at least so large while the gradient is large.
_CAUTION = 1e-6
_DESCENT = 1e-10
# How fast the size of former values is forgotten, which tells how far values are rounded.
_FORGET = 0.7


@dataclass
class _State:
    """Entries that are still running; the first axis of every tensor is theirs."""

    rows: Tensor
    x: Tensor
    value: Tensor
    gradient: Tensor
    norm: Tensor
    first_norm: Tensor
    goal: Tensor
    size: Tensor

    def keep(self, on: Tensor) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[on])


def lbfgs(
    objective: Objective,
    value: Tensor,
    gradient: Tensor,
    goal: Tensor,
    ledger: Ledger,
    *,
    max_iter: int,
    memory: int,
) -> None:
    """
    Descend from every start until its gradient norm reaches its goal.

    Parameters
    ----------
    objective : Objective
        Its manifold needs ``retr_transp``, ``transp_follow_retr``, ``inner`` and ``egrad2rgrad``.
    value : Tensor, shape (n)
        At the starts.
    gradient : Tensor, shape (n, *point)
    goal : Tensor, shape (n)
        Gradient norms to reach.
    ledger : Ledger
        Where points and reasons are written.
    max_iter : int
    memory : int
        Pairs kept. With none it is steepest descent, whose first trial is the step of Barzilai and Borwein.

    Notes
    -----
    Entries that have ended leave all computations but those of a function that is not pointwise.
    """
    manifold = objective.manifold
    rows = torch.arange(len(value), device=value.device)
    norm = length(manifold, objective.start, gradient)
    now = _State(rows, objective.start, value, gradient, norm, norm, goal, value.abs())
    history, watch = History(manifold, memory, now.x), Watch(value, norm)
    stalled = torch.zeros_like(rows, dtype=torch.bool)
    for n_iter in range(max_iter + 1):
        ledger.write(now.rows, now.x, now.value, now.norm, n_iter)
        converged = now.norm <= now.goal
        ledger.end(now.rows[stalled], Reason.STALLED)
        ledger.end(now.rows[converged], Reason.CONVERGED)
        stop = ledger.tell(now.rows, n_iter)
        on = ~(converged | stalled)
        if stop or n_iter == max_iter:
            ledger.end(now.rows[on], Reason.STOPPED if stop else Reason.MAX_ITER)
            return
        if not bool(on.all()):
            now.keep(on)
            history.keep(on)
            watch.keep(on)
        if not len(now.rows):
            return
        stalled = _advance(objective, now, history) | watch.stalled(now.value, now.norm)


def _advance(objective: Objective, now: _State, history: History) -> Tensor:
    """One step of every entry; whether there was none, even along the gradient."""
    manifold, ndim = objective.manifold, objective.manifold.ndim
    caution = (now.norm / now.first_norm).clamp_max(1.0)
    direction = history.direction(now.x, now.gradient, _first_size(now.value, now.norm))
    slope = product(manifold, now.x, now.gradient, direction)
    steep = slope <= -_DESCENT * caution * now.norm * length(manifold, now.x, direction)
    history.forget(~steep)
    plain = ~history.known
    downhill = -with_axes(_first_size(now.value, now.norm), ndim) * now.gradient
    direction = torch.where(with_axes(steep, ndim), direction, downhill)
    slack = torch.finfo(now.value.dtype).eps ** 0.5 * now.size
    one = torch.ones_like(now.value)
    step = search(objective, now.rows, now.x, direction, now.value, now.gradient, one, slack)
    nowhere = step.size == 0
    history.push(now.x, direction, now.gradient, step, _CAUTION * caution)
    history.forget(nowhere)
    now.x, now.value, now.gradient, now.norm = step.point, step.value, step.gradient, step.norm
    now.size = torch.maximum(now.value.abs(), _FORGET * now.size)
    return nowhere & plain


def _first_size(value: Tensor, norm: Tensor) -> Tensor:
    """
    Time along the gradient to try where nothing is known of curvature.

    To the minimum of a parabola whose least value is zero, but no farther than one unit, in the function's
    terms or in those of the distance.
    """
    parabola = 2 * value.abs() / norm.square()
    parabola = torch.where((parabola > 0) & parabola.isfinite(), parabola, 1.0)
    return torch.minimum(parabola, 1 / norm).clamp_max(1.0)


class History:
    """
    The last steps and changes of the gradient of every entry, and what they tell of the Hessian.

    Parameters
    ----------
    manifold : geoopt.Manifold
    most : int
        Pairs.
    x : Tensor, shape (k, *point)
        Where the entries are.
    """

    def __init__(self, manifold: Manifold, most: int, x: Tensor):
        self.manifold, self.most = manifold, most
        # (2, pairs, k, *point): steps and changes, so that all of them are carried together.
        self.pairs = x.new_zeros((2, 0, *x.shape))
        self.kept = torch.zeros((0, len(x)), dtype=torch.bool, device=x.device)
        # Inverse curvature along the newest pair.
        self.rate = x.new_full((len(x),), torch.nan)

    @property
    def known(self) -> Tensor:
        """Which entries know something of the curvature."""
        return self.rate.isfinite()

    def direction(self, x: Tensor, gradient: Tensor, size: Tensor) -> Tensor:
        """
        Minus the gradient times the approximate inverse Hessian, by two loops over the pairs.

        Parameters
        ----------
        x, gradient : Tensor, shape (k, *point)
        size : Tensor, shape (k)
            Times the gradient, where no pair is known.

        Returns
        -------
        Tensor, shape (k, *point)
        """
        ndim = self.manifold.ndim
        steps, changes = self.pairs
        below_steps, below_changes = lower(self.manifold, x, self.pairs)
        curvature = inner(below_steps, changes, ndim)
        # Transport that is a projection may have turned a pair over.
        kept = self.kept & (curvature > 0)
        rho = torch.where(kept, 1 / torch.where(kept, curvature, 1.0), 0.0)
        way, shares = -gradient, []
        for i in reversed(range(len(rho))):
            share = rho[i] * inner(below_steps[i], way, ndim)
            shares.append(share)
            way = way - with_axes(share, ndim) * changes[i]
        way = with_axes(torch.where(self.known, self.rate, size), ndim) * way
        for i, share in enumerate(reversed(shares)):
            way = way + with_axes(share - rho[i] * inner(below_changes[i], way, ndim), ndim) * steps[i]
        return way

    def push(self, x: Tensor, direction: Tensor, gradient: Tensor, step: Step, caution: Tensor) -> None:
        """
        Carry all pairs along a step, and append the pair that it gives.

        Parameters
        ----------
        x, direction, gradient : Tensor, shape (k, *point)
            Before the step.
        step : Step
        caution : Tensor, shape (k)
            Smallest cosine of a step and its change.
        """
        ndim, k = self.manifold.ndim, len(x)
        # A manifold with a transport along velocities sets it up once; retr_transp does so for every vector.
        along = getattr(self.manifold, "carry", self.manifold.transp_follow_retr)
        before = torch.cat([self.pairs.flatten(0, 1), gradient[None]])
        after = along(x, with_axes(step.size, ndim) * direction, before)
        s, y = with_axes(step.size, ndim) * step.direction, step.gradient - after[-1]
        below = lower(self.manifold, step.point, torch.stack((s, y)))
        sy, ss, yy = inner(below[0], y, ndim), inner(below[0], s, ndim), inner(below[1], y, ndim)
        good = (sy > 0) & (sy >= caution * (ss * yy).clamp_min(0).sqrt()) & (yy > 0)
        self.rate = torch.where(good, sy / torch.where(good, yy, 1.0), self.rate)
        if self.most:
            pair = torch.stack((s, y))[:, None]
            old = after[:-1].unflatten(0, self.pairs.shape[:2])
            self.pairs = torch.cat((old, pair), 1)[:, -self.most :]
            self.kept = torch.cat((self.kept, good.reshape(1, k)))[-self.most :]

    def forget(self, which: Tensor) -> None:
        """Start again with these entries."""
        self.kept = self.kept & ~which
        self.rate = torch.where(which, torch.nan, self.rate)

    def keep(self, on: Tensor) -> None:
        """Drop all entries but these."""
        self.pairs, self.kept, self.rate = self.pairs[:, :, on], self.kept[:, on], self.rate[on]


def lower(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor:
    """
    Covectors: what inner products with tangent vectors are, as plain sums of products.

    A two-loop recursion asks for many inner products at one point; what the metric costs is paid once.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Its ``inner`` must be differentiable.
    x : Tensor, shape (k, *point)
    u : Tensor, shape (*more, k, *point)

    Returns
    -------
    Tensor, shape (*more, k, *point)
        With ``(lower(x, u) * v).sum(axes of a point) == inner(x, u, v)`` for tangent `v`.
    """
    if not u.numel():
        return u
    with torch.enable_grad():
        v = torch.zeros_like(u).requires_grad_()
        (below,) = torch.autograd.grad(manifold.inner(x, u, v, keepdim=True).sum(), v)
    return below
