"""
Solvers of pymanopt for manifolds and functions of torch.

`as_pymanopt` makes a ``pymanopt`` manifold of any ``geoopt.Manifold``, `problem` a ``pymanopt.Problem`` of a
function of torch, with gradients and Hessians; so that every solver of pymanopt runs. `minimize` uses its
conjugate gradients and its trust region (Absil, Baker and Gallivan 2007), one start after the other, with
three things of ours:

* Steps along geodesics are those of `repsim_geo.optim.line_search`. Pymanopt's line searchers take a point
  where the function is nan, because a comparison with nan is false, and end as soon as values differ by
  rounding.
* Searches that move within rounding only are ended; pymanopt would go on to the last iteration.
* The trust region may stop after one inner step. By default it takes two, and where the first one solves the
  equation (as in flat spaces) the second divides zero by zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from numpy.typing import NDArray
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo.manifolds.base import is_written
from repsim_geo.manifolds.lengths import length, product
from repsim_geo.optim.hessian import HessianProducts, Product
from repsim_geo.optim.line_search import Step, search
from repsim_geo.optim.minimum import Ledger, Reason, Watch
from repsim_geo.optim.objective import Function, Objective, transported, unit

pymanopt: Any = need("pymanopt", "optim", "repsim_geo.optim.pymanopt")
_Manifold: Any = need("pymanopt.manifolds.manifold", "optim", "repsim_geo.optim.pymanopt").Manifold

# Slope that may be left after a step of conjugate gradients, whose theory wants exact steps.
_CURVATURE = 0.1
# Entries of a point up to which the dimension of a tangent space is computed where it is not known.
_LARGEST = 1024

Array = NDArray[Any]


def as_pymanopt(manifold: Manifold, like: Tensor) -> PymanoptManifold:
    """
    A manifold of geoopt as one of pymanopt.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``retr``, ``inner``, ``proju`` and ``egrad2rgrad``; without ``transp`` vectors are projected.
    like : Tensor, shape (*point)
        A point: shape, dtype and device of all others, and where the dimension is counted.

    Returns
    -------
    PymanoptManifold

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> sphere = as_pymanopt(UnitSphere(1), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    >>> sphere.dim
    2
    """
    return PymanoptManifold(manifold, like)


class PymanoptManifold(_Manifold):
    """
    What pymanopt asks of a manifold, answered by a ``geoopt.Manifold``; points are arrays of shape (*point).

    Parameters
    ----------
    manifold : geoopt.Manifold
    like : Tensor, shape (*point)
        A point.

    Notes
    -----
    ``euclidean_to_riemannian_hessian`` is not there: a problem of `problem` has its own Hessian.
    """

    def __init__(self, manifold: Manifold, like: Tensor):
        self.manifold = manifold
        self.like = like.detach().as_subclass(Tensor)
        self._last: tuple[Array, Tensor] | None = None
        super().__init__(repr(manifold), _dimension(manifold, self.like))

    @property
    def typical_dist(self) -> float:
        """The diameter, or a length that grows with the size of a point; starts a trust region."""
        diameter = getattr(self.manifold, "diameter", math.inf)
        if math.isfinite(diameter):
            return diameter
        x = self.like
        return max(math.sqrt(self.dim), float(length(self.manifold, x, x)))

    def tensor(self, x: Array) -> Tensor:
        """As torch has it; the same tensor for the same array."""
        if self._last is None or self._last[0] is not x:
            self._last = (x, torch.as_tensor(np.ascontiguousarray(x)).to(self.like))
        return self._last[1]

    def array(self, x: Tensor) -> Array:
        """As pymanopt has it."""
        return x.detach().cpu().numpy()

    def vector(self, u: Array) -> Tensor:
        """As torch has it, in the dtype of points."""
        return torch.as_tensor(np.ascontiguousarray(u)).to(self.like)

    def inner_product(self, point, tangent_vector_a, tangent_vector_b):
        u, v = self.vector(tangent_vector_a), self.vector(tangent_vector_b)
        return np.float64(product(self.manifold, self.tensor(point), u, v))

    def norm(self, point, tangent_vector):
        return np.float64(length(self.manifold, self.tensor(point), self.vector(tangent_vector)))

    def projection(self, point, vector):
        return self.array(self.manifold.proju(self.tensor(point), self.vector(vector)))

    def to_tangent_space(self, point, vector):
        return self.projection(point, vector)

    def euclidean_to_riemannian_gradient(self, point, euclidean_gradient):
        gradient = self.manifold.egrad2rgrad(self.tensor(point), self.vector(euclidean_gradient))
        return self.array(gradient * unit(self.manifold))

    def retraction(self, point, tangent_vector):
        return self.array(self.manifold.retr(self.tensor(point), self.vector(tangent_vector)))

    def exp(self, point, tangent_vector):
        return self.array(self.manifold.expmap(self.tensor(point), self.vector(tangent_vector)))

    def log(self, point_a, point_b):
        return self.array(self.manifold.logmap(self.tensor(point_a), self.vector(point_b)))

    def transport(self, point_a, point_b, tangent_vector_a):
        x, y, u = self.tensor(point_a), self.vector(point_b), self.vector(tangent_vector_a)
        return self.array(transported(self.manifold, x, y, u))

    def dist(self, point_a, point_b):
        return float(self.manifold.dist(self.tensor(point_a), self.vector(point_b)))

    def pair_mean(self, point_a, point_b):
        return self.exp(point_a, self.log(point_a, point_b) / 2)

    def random_point(self):
        like = self.like
        return self.array(self.manifold.random(*like.shape, dtype=like.dtype, device=like.device))

    def random_tangent_vector(self, point):
        u = self.manifold.proju(self.tensor(point), torch.randn_like(self.like))
        return self.array(u / length(self.manifold, self.tensor(point), u))

    def zero_vector(self, point):
        return np.zeros_like(point)


def _dimension(manifold: Any, x: Tensor) -> int:
    """The manifold's own word, or the trace of a projection to a tangent space, or all entries of a point."""
    if is_written(manifold, "dim"):
        return int(manifold.dim(*x.shape))
    if x.numel() > _LARGEST:
        return x.numel()
    basis = torch.eye(x.numel(), dtype=x.dtype, device=x.device).reshape(-1, *x.shape)
    projected = manifold.proju(x.expand(basis.shape), basis)
    return round(float((projected * basis).sum()))


def problem(manifold: Manifold, fun: Function, like: Tensor, *, hessian: str | Product = "auto") -> Any:
    """
    A function of torch on a manifold of geoopt, as a problem for the solvers of pymanopt.

    Parameters
    ----------
    manifold : geoopt.Manifold
    fun : callable
        From a point (*point) to a value (), differentiable.
    like : Tensor, shape (*point)
        A point; see `as_pymanopt`.
    hessian : "auto", "exact", "difference" or callable
        See `minimize`.

    Returns
    -------
    pymanopt.Problem

    Examples
    --------
    >>> import pymanopt, torch
    >>> from repsim_geo import AffineInvariantSPD
    >>> spd, target = AffineInvariantSPD(), torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
    >>> start = torch.eye(2, dtype=torch.float64)
    >>> solver = pymanopt.optimizers.TrustRegions(verbosity=0, min_gradient_norm=1e-9)
    >>> result = solver.run(
    ...     problem(spd, lambda x: spd.dist2(x, target), start), initial_point=start.numpy(), mininner=0
    ... )
    >>> result.point.round(6)
    array([[1., 0.],
           [0., 4.]])
    """
    return _Bridge(Objective(manifold, fun, like.detach().as_subclass(Tensor)), 0, hessian).problem


class _Bridge:
    """One entry of an objective, with arrays in place of tensors; what was computed last is kept."""

    def __init__(self, objective: Objective, row: int, hessian: str | Product):
        self.objective = objective
        self.rows = torch.tensor([row], device=objective.start.device)
        self.manifold = as_pymanopt(objective.manifold, objective.start[row])
        self.products = HessianProducts(objective, hessian)
        self.seen: tuple[Array | None, Tensor, Tensor] = (None, torch.empty(0), torch.empty(0))
        # Told of the points whose gradients are asked for: there the solver has gone.
        self.listener: Callable[[Tensor, Tensor], None] = lambda x, value: None
        # Hessian products recognize the point for which they are set up.
        self.foot: tuple[Array | None, Tensor] = (None, torch.empty(0))
        wrap = pymanopt.function.numpy(self.manifold)
        self.problem = pymanopt.Problem(
            self.manifold,
            wrap(lambda x: self.value(x)),
            riemannian_gradient=wrap(lambda x: self.gradient(x)),
            riemannian_hessian=wrap(lambda x, u: self.hessian(x, u)),
        )

    def look(self, x: Array) -> tuple[Tensor, Tensor]:
        """Value, shape (1), and gradient, shape (1, *point)."""
        if self.seen[0] is not x:
            self.seen = (x, *self.objective.look(self.manifold.tensor(x)[None], self.rows))
        return self.seen[1:]

    def value(self, x: Array) -> float:
        return float(self.look(x)[0])

    def gradient(self, x: Array) -> Array:
        value, gradient = self.look(x)
        self.listener(self.manifold.tensor(x)[None], value)
        return self.manifold.array(gradient[0])

    def hessian(self, x: Array, u: Array) -> Array:
        if self.foot[0] is not x:
            self.foot = (x, self.manifold.tensor(x)[None])
        return self.manifold.array(self.products(self.foot[1], self.vector(u), self.rows)[0])

    def vector(self, u: Array) -> Tensor:
        """A tangent vector as a batch of one."""
        return self.manifold.vector(u)[None]

    def place(self, x: Tensor, value: Tensor, gradient: Tensor) -> Array:
        """Array of a point that was looked at elsewhere."""
        array = self.manifold.array(x[0])
        self.seen = (array, value, gradient)
        return array


class GeodesicSearch:
    """
    A line searcher for pymanopt that uses gradients, comes back from nan, and works down to rounding.

    Parameters
    ----------
    bridge : _Bridge
    """

    def __init__(self, bridge: _Bridge):
        self.bridge = bridge
        # Mean second derivative along the last step.
        self._curvature = 0.0
        self._size = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> GeodesicSearch:
        # Solvers copy their line searcher; this one shares what the problem has computed.
        return GeodesicSearch(self.bridge)

    def search(self, objective, manifold, x, d, f0, df0):
        """
        A step in pymanopt's manner.

        Returns
        -------
        step_size : float
            Length of the way; zero where nothing better was found.
        newx : ndarray
        """
        bridge, norm = self.bridge, float(manifold.norm(x, d))
        self._size = max(abs(float(f0)), 0.7 * self._size)
        step = self._step(x, bridge.vector(d), self._first(float(f0), float(df0), norm))
        if float(step.size) == 0:
            # Directions of conjugate gradients degrade; the gradient itself is the last resort.
            d = -bridge.gradient(x)
            norm = float(manifold.norm(x, d))
            df0 = -(norm**2)
            step = self._step(x, bridge.vector(d), self._first(float(f0), df0, norm))
        size = float(step.size)
        if size == 0:
            return 0.0, x
        slope = float(product(bridge.objective.manifold, step.point, step.gradient, step.direction))
        self._curvature = (slope - float(df0)) / (size * norm**2)
        return size * norm, bridge.place(step.point, step.value, step.gradient)

    def _step(self, x: Array, direction: Tensor, first: float) -> Step:
        bridge = self.bridge
        value, gradient = bridge.look(x)
        here, slack = bridge.manifold.tensor(x)[None], math.sqrt(torch.finfo(value.dtype).eps) * self._size
        sizes = (value.new_full((1,), first), value.new_full((1,), slack))
        return search(
            bridge.objective, bridge.rows, here, direction, value, gradient, *sizes, curvature=_CURVATURE
        )

    def _first(self, f0: float, df0: float, norm: float) -> float:
        """To the minimum of a parabola, curved as the last step was, or, at first, with least value zero."""
        if self._curvature > 0:
            return -df0 / (self._curvature * norm**2)
        parabola = 2 * abs(f0) / -df0
        return min(parabola if parabola > 0 else 1.0, 1 / norm)


class _Watched:
    """Mixin for solvers of pymanopt: writes the ledger, and decides when to end."""

    def follow(self, bridge: _Bridge, ledger: Ledger, goal: float, max_iter: int, late: int) -> None:
        """
        Before it runs.

        Parameters
        ----------
        bridge : _Bridge
        ledger : Ledger
        goal : float
            Gradient norm.
        max_iter : int
        late : int
            By how many the solver's number of an iteration exceeds the steps taken.
        """
        self._bridge, self._ledger, self._goal, self._last, self._late = bridge, ledger, goal, max_iter, late
        value = ledger.value[bridge.rows]
        self._watch = Watch(value, ledger.norm[bridge.rows])
        self._point = bridge.objective.start[bridge.rows]
        self._value = value

    def moved(self, x: Tensor, value: Tensor) -> None:
        """Called where a gradient is asked for, which is where the solver has gone."""
        self._point, self._value = x, value

    def _check_stopping_criterion(self, *, iteration=-1, gradient_norm=np.inf, step_size=np.inf, **other):
        ledger, rows, n_iter = self._ledger, self._bridge.rows, iteration - self._late
        norm = torch.as_tensor(gradient_norm).to(self._value).reshape(1)
        ledger.write(rows, self._point, self._value, norm, n_iter)
        # The start was told of before.
        stop = n_iter > 0 and ledger.tell(rows, n_iter)
        stalled = n_iter > 0 and (step_size == 0 or bool(self._watch.stalled(self._value, norm)))
        for holds, reason in (
            (gradient_norm <= self._goal, Reason.CONVERGED),
            (stop, Reason.STOPPED),
            (stalled, Reason.STALLED),
            (n_iter >= self._last, Reason.MAX_ITER),
        ):
            if holds:
                ledger.end(rows, reason)
                return reason.name
        return None


def _solver(method: str, bridge: _Bridge) -> tuple[Any, dict[str, Any], int]:
    """A solver, what its ``run`` takes besides, and how late it counts."""
    optimizers = pymanopt.optimizers
    if method == "conjugate_gradient":
        kind = type("ConjugateGradient", (_Watched, optimizers.ConjugateGradient), {})
        return kind(line_searcher=GeodesicSearch(bridge), verbosity=0), {}, 1
    kind = type("TrustRegions", (_Watched, optimizers.TrustRegions), {})
    start = bridge.manifold.typical_dist / 8
    # Pymanopt takes differences of values within 1000 eps of double precision for rounding.
    eps = torch.finfo(bridge.objective.start.dtype).eps / np.spacing(1)
    options = {"mininner": 0, "Delta0": start, "Delta_bar": math.inf}
    return kind(rho_regularization=1e3 * eps, verbosity=0), options, 0


def run(
    method: str,
    objective: Objective,
    goal: Tensor,
    ledger: Ledger,
    *,
    max_iter: int,
    hessian: str | Product,
) -> None:
    """
    Run a solver of pymanopt from every start, one after the other.

    Parameters
    ----------
    method : "conjugate_gradient" or "trust_region"
    objective : Objective
    goal : Tensor, shape (n)
        Gradient norms to reach.
    ledger : Ledger
        Knows values and gradient norms at the starts; points and reasons are written there.
    max_iter : int
    hessian : str or callable
        See `HessianProducts`.
    """
    for row in range(len(goal)):
        bridge = _Bridge(objective, row, hessian)
        rows = bridge.rows
        if bool(ledger.norm[row] <= goal[row]):
            ledger.end(rows, Reason.CONVERGED)
        elif ledger.tell(rows, 0):
            ledger.end(rows, Reason.STOPPED)
        elif max_iter == 0:
            ledger.end(rows, Reason.MAX_ITER)
        else:
            solver, options, late = _solver(method, bridge)
            solver.follow(bridge, ledger, float(goal[row]), max_iter, late)
            bridge.listener = solver.moved
            start = bridge.manifold.array(objective.start[row])
            # Quotients of zeros, at a minimum to the last digit, are looked at by nobody.
            with np.errstate(divide="ignore", invalid="ignore"):
                solver.run(bridge.problem, initial_point=start, **options)
        if int(ledger.reason[row]) == Reason.STOPPED:
            ledger.end(torch.arange(row + 1, len(goal)), Reason.STOPPED)
            return
