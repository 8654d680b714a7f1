"""How a Fréchet mean is found: Newton's method where the Hessian is known, the Karcher flow elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.manifolds.lengths import length, product
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.angles import inverse_sinc
from repsim_geo.numerics.norms import trailing, with_axes
from repsim_geo.numerics.symmetric import finite_cholesky
from repsim_geo.stats.distances import between
from repsim_geo.stats.points import as_points

# A step of the flow may raise the variance as long as one of so many before was higher.
_MEMORY = 10
# The largest residual of Newton's equation, relative to the gradient.
_FORCING = 0.1
LONGEST_SOLVE = 50
# Gradient norm, relative to the spread, to which the flow goes before Newton's method is tried.
_ROUGH = 1e-3

# Angle up to which logarithms on spheres are added up without forming them.
_FAR = 3.0

Hessian = Callable[[Tensor], Tensor]
Inner = Callable[[Tensor, Tensor], Tensor]


def weighted(values: Tensor, weights: Tensor, ndim: int) -> Tensor:
    """Weighted sum over the axis of points."""
    return (with_axes(weights, ndim) * values).sum(-ndim - 1)


def rounding_of_logs(manifold: Manifold, points: Tensor) -> Tensor:
    """Rounding of a mean logarithm."""
    eps = 8 * torch.finfo(points.dtype).eps
    if not hasattr(manifold, "rough_mean"):
        return eps * torch.linalg.vector_norm(points, dim=trailing(manifold.ndim)).amax(-1)
    if getattr(manifold, "sensitive", False) and getattr(manifold, "full_rank", False):
        # Logarithms of eigenvalues, whose rounding is that of the largest relative to the smallest.
        whole = working_precision(points)
        inverse = torch.cholesky_inverse(finite_cholesky(whole))
        condition = torch.linalg.matrix_norm(whole, 1) * torch.linalg.matrix_norm(inverse, 1)
        return eps * points.shape[-1] ** 0.5 * condition.amax(-1).to(points.dtype)
    # In the unit of the distance, which need not be that of the points.
    size = length(manifold, points, points).amax(-1)
    return eps * size


def best_point(manifold: Manifold, points: Tensor, weights: Tensor, power: int) -> Tensor:
    """
    The point of the data with the least weighted sum of distances to the others.

    Parameters
    ----------
    manifold : geoopt.Manifold
    points : Tensor, shape (*batch, n, *point)
    weights : Tensor, shape (n,) or (*batch, n)
    power : int
        Of the distances: 1 for a median, 2 for a mean.

    Returns
    -------
    Tensor, shape (*batch, *point)
    """
    ndim = manifold.ndim
    sums = (between(manifold, points, points).pow(power) @ weights[..., None])[..., 0]
    best = with_axes(sums.argmin(-1), ndim + 1)
    return points.take_along_dim(best, -ndim - 1).squeeze(-ndim - 1)


class Variance:
    """
    Weighted mean of the squared distances to points, half of which is to be minimized.

    Parameters
    ----------
    manifold : geoopt.Manifold
    points : Tensor, shape (*batch, n, *point)
    weights : Tensor, shape (n,) or (*batch, n)
        With sum one.
    """

    def __init__(self, manifold: Manifold, points: Tensor, weights: Tensor):
        self.manifold, self.points, self.weights = manifold, points, weights
        self.second_order = getattr(manifold, "second_order", False)
        # A Scaled sphere is spherical too, but its distances are not angles.
        sphere = getattr(manifold, "spherical", False) and not hasattr(manifold, "scale")
        self.spherical = sphere and points.dtype == torch.float64

    @cached_property
    def rounding(self) -> Tensor:
        """Gradient norm that is nothing but rounding of the points."""
        return rounding_of_logs(self.manifold, self.points)

    def unit(self, value: Tensor) -> Tensor:
        """Spread of the points, to which gradients are compared; one where there is none."""
        return torch.where(value > 0, value, 1.0).sqrt()

    def goal(self, value: Tensor, tol: float) -> Tensor:
        """Gradient norm to reach: relative to the spread, but not below the rounding of the points."""
        return tol * value.sqrt() + self.rounding

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value, shape (*batch), and minus the gradient, shape (*batch, *point)."""
        return self._sums(x, self.manifold.logmap(self._center(x), self.points))

    def look_twice(self, x: Tensor) -> tuple[Tensor, Tensor, Hessian]:
        """The same, with the Hessian as a function of tangent vectors."""
        manifold: Any = self.manifold
        logs, hessian = manifold.log_and_hessian(self._center(x), self.points)
        return (
            *self._sums(x, logs),
            lambda u: weighted(hessian(self._center(u)), self.weights, self.manifold.ndim),
        )

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Distances to the points, shape (*batch, n), and length of the gradient, shape (*batch)."""
        distances = self.distances(x)
        near = self.spherical and bool((distances < _FAR).all())
        pull = self._pulled_on_sphere(x, distances) if near else self.look(x)[1]
        return distances, length(self.manifold, x, pull)

    def distances(self, x: Tensor) -> Tensor:
        """Distances to the points, shape (*batch, n)."""
        return self.manifold.dist(self._center(x), self.points)

    def _pulled_on_sphere(self, x: Tensor, angles: Tensor) -> Tensor:
        """Mean logarithm as one sum of points, stretched by a / sin(a); logarithms one by one cost more."""
        ndim = self.manifold.ndim
        stretched = (self.weights * inverse_sinc(angles.square()))[..., None, :]
        total = (stretched @ self.points.flatten(-ndim)).squeeze(-2).unflatten(-1, x.shape[-ndim:])
        # The sum is near x; what is along x has to go before it is rounded.
        return self.manifold.proju(x, total - with_axes(stretched.sum((-2, -1)), ndim) * x)

    def _center(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-self.manifold.ndim - 1)

    def _sums(self, x: Tensor, logs: Tensor) -> tuple[Tensor, Tensor]:
        squares = product(self.manifold, self._center(x), logs)
        return (self.weights * squares).sum(-1), weighted(logs, self.weights, self.manifold.ndim)


class BatchedVariance(Variance):
    """
    The variance of points that come in batches, of which one is in memory at a time; all have equal weights.

    Parameters
    ----------
    manifold : geoopt.Manifold
    batches : iterable, or callable that returns one
        Of stacks (n_i, *point).
    """

    def __init__(self, manifold: Manifold, batches: Any):
        if isinstance(batches, Iterator):
            raise TypeError(
                "batches must be iterable more than once, got an iterator. Use a list, a DataLoader, or a "
                "function that returns a new iterator."
            )
        self.manifold, self.batches = manifold, batches
        self.second_order = self.spherical = False
        sizes, rounding = [], []
        for batch in self._read():
            points = as_points(manifold, batch)
            sizes.append(points.shape[0])
            rounding.append(rounding_of_logs(manifold, points))
        if not sizes:
            raise ValueError("batches must yield stacks of points, got none. Pass at least one stack.")
        self.rounding = torch.stack(rounding).amax()
        self.weights = self.rounding.new_full((sum(sizes),), 1 / sum(sizes))

    def _read(self) -> Iterator[Any]:
        batches: Any = self.batches() if callable(self.batches) else self.batches
        try:
            found = iter(batches)
        except TypeError as error:
            raise TypeError(
                "batches must be stacks of points (n_i, *point), one after the other, got "
                f"{type(batches).__name__}. Use a list, a DataLoader, or a function that returns an iterator."
            ) from error
        yield from found

    def _tensors(self) -> Iterator[Tensor]:
        for batch in self._read():
            yield torch.as_tensor(batch)

    @property
    def first(self) -> Tensor:
        """The first batch."""
        return as_points(self.manifold, next(self._read()))

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        center, squares, pulls = self._center(x), 0.0, 0.0
        for points in self._tensors():
            logs = self.manifold.logmap(center, points)
            squares = squares + product(self.manifold, center, logs).sum(-1)
            pulls = pulls + logs.sum(-self.manifold.ndim - 1)
        n = len(self.weights)
        return torch.as_tensor(squares) / n, torch.as_tensor(pulls) / n

    def distances(self, x: Tensor) -> Tensor:
        return torch.cat([self.manifold.dist(self._center(x), points) for points in self._tensors()], -1)


def descend(problem: Variance, x: Tensor, tol: float, max_iter: int) -> tuple[Tensor, int]:
    """
    Karcher flow until Newton's method takes over.

    Parameters
    ----------
    problem : Variance
        What to minimize.
    x : Tensor, shape (*batch, *point)
        Where to start.
    tol : float
        See `Variance.goal`.
    max_iter : int

    Returns
    -------
    x : Tensor, shape (*batch, *point)
    n_iter : int

    Notes
    -----
    Where distances are convex everywhere Newton's method begins at once. Elsewhere it waits until the flow is
    near a minimum; if it then still meets negative curvature, or a step that raises the value, the flow has
    to come nearer first.
    """
    if not problem.second_order:
        return karcher_flow(problem, x, tol, max_iter)
    rough, n_iter = _ROUGH, 0
    if problem.manifold.injectivity_radius() == math.inf:  # pyright: ignore[reportAttributeAccessIssue]
        x, n_iter, settled = newton(problem, x, tol, max_iter)
        if settled:
            return x, n_iter
    while True:
        x, more = karcher_flow(problem, x, max(rough, tol), max_iter - n_iter)
        n_iter += more
        if rough <= tol or n_iter == max_iter:
            return x, n_iter
        x, more, settled = newton(problem, x, tol, max_iter - n_iter)
        n_iter += more
        if settled:
            return x, n_iter
        rough *= _ROUGH


def newton(problem: Variance, x: Tensor, tol: float, max_iter: int) -> tuple[Tensor, int, bool]:
    """
    Newton's method with conjugate gradients, for manifolds that have ``log_and_hessian``.

    Parameters: as for `descend`.

    Returns
    -------
    x : Tensor, shape (*batch, *point)
    n_iter : int
    settled : bool
        Whether every population reached the goal, or ran out of steps. Otherwise some met negative curvature,
        or a step that raised the value, and are where they were before that.
    """
    manifold = problem.manifold
    rounding = 64 * torch.finfo(x.dtype).eps
    value, pull, hessian = problem.look_twice(x)
    for n_iter in range(max_iter):
        done = length(manifold, x, pull) <= problem.goal(value, tol)
        if bool(done.all()):
            return x, n_iter, True
        # Newton's equation is solved the better, the nearer the minimum is.
        relative = (length(manifold, x, pull) / problem.unit(value)).clamp_max(_FORCING)
        inner = partial(product, manifold, x)
        step, convex = conjugate_gradients(inner, hessian, pull, relative, LONGEST_SOLVE, manifold.ndim)
        trial = manifold.retr(x, step)
        seen = problem.look_twice(trial)
        better = convex & (seen[0] <= value * (1 + rounding))
        if not bool((better | done).all()):
            return torch.where(with_axes(better, manifold.ndim), trial, x), n_iter + 1, False
        x, (value, pull, hessian) = trial, seen
    return x, max_iter, True


def conjugate_gradients(
    inner: Inner, hessian: Hessian, pull: Tensor, relative: Tensor, longest: int, ndim: int = 2
) -> tuple[Tensor, Tensor]:
    """
    Solution of ``hessian(step) = pull`` in tangent spaces, in their inner product.

    Parameters
    ----------
    inner : callable
        Inner products, shape (*batch), of two stacks of tangent vectors.
    hessian : callable
        Linear and self-adjoint, on tangent vectors.
    pull : Tensor, shape (*batch, *point)
    relative : Tensor, shape (*batch) or ()
        Length of the residual at which to stop, relative to `pull`.
    longest : int
        Most steps.
    ndim : int
        Axes of a point.

    Returns
    -------
    step : Tensor, shape (*batch, *point)
    convex : Tensor, shape (*batch)
        Whether all curvature on the way was positive; where it was not, `step` is what was reached before.
    """
    step, rest, way = torch.zeros_like(pull), pull, pull
    size2 = inner(rest, rest).clamp_min(0)
    enough2 = relative**2 * size2
    unsolved = size2 > 0
    flat = 64 * torch.finfo(pull.dtype).eps
    convex = torch.ones_like(unsolved)
    for _ in range(min(longest, pull.shape[pull.dim() - ndim :].numel())):
        bent_way = hessian(way)
        bent = inner(way, bent_way)
        # In flat space the Hessian is the identity, so that its rounding is eps.
        upward = bent > flat * inner(way, way)
        convex = convex & (upward | ~unsolved)
        unsolved = unsolved & upward
        rate = torch.where(unsolved, size2 / torch.where(unsolved, bent, 1.0), 0.0)
        step = step + with_axes(rate, ndim) * way
        rest = rest - with_axes(rate, ndim) * bent_way
        new2 = inner(rest, rest).clamp_min(0)
        unsolved = unsolved & (new2 > enough2)
        if not bool(unsolved.any()):
            break
        turn = torch.where(unsolved, new2 / torch.where(unsolved, size2, 1.0), 0.0)
        way, size2 = rest + with_axes(turn, ndim) * way, new2
    return step, convex


def karcher_flow(problem: Variance, x: Tensor, tol: float, max_iter: int) -> tuple[Tensor, int]:
    """
    Karcher flow ``x <- exp_x(s * mean log)`` with steps fitted to the curvature, for any manifold.

    Parameters, returns: as for `descend`.

    Notes
    -----
    Starts with s = 1, which cannot raise the variance where no curvature is negative; then s follows the
    curvature that the last step has seen (Barzilai and Borwein 1988), never below 1 unless the value exceeds
    all of the last ten, when it is halved.
    """
    manifold, ndim = problem.manifold, problem.manifold.ndim
    rounding = 64 * torch.finfo(x.dtype).eps
    value, pull = problem.look(x)
    size = torch.ones_like(value)
    recent = [value]
    for n_iter in range(max_iter):
        if bool((length(manifold, x, pull) <= problem.goal(value, tol)).all()):
            return x, n_iter
        step = with_axes(size, ndim) * pull
        trial = manifold.retr(x, step)
        trial_value, trial_pull = problem.look(trial)
        better = trial_value <= torch.stack(recent).amax(0) * (1 + rounding)
        fitted = _curvature_step(manifold, trial, step, pull, trial_pull)
        size = torch.where(better, fitted, torch.where(size > 1, torch.ones_like(size), size / 2))
        accepted = with_axes(better, ndim)
        x, pull = torch.where(accepted, trial, x), torch.where(accepted, trial_pull, pull)
        value = torch.where(better, trial_value, value)
        recent = [*recent, value][-_MEMORY:]
    return x, max_iter


def _curvature_step(manifold: Manifold, x: Tensor, step: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """
    Step size that the change of the gradient over the last step suggests, at most 100.

    Without negative curvature it is at least 1; with it, a step of 1 can overshoot for ever.
    """
    step, before = manifold.proju(x, step), manifold.proju(x, before)
    bent = product(manifold, x, step, before - after)
    fitted = product(manifold, x, step).clamp_min(0) / torch.where(bent > 0, bent, 1.0)
    return torch.where(bent > 0, fitted, 1.0).clamp(1e-6, 100)
