"""The minimum of a function on a manifold, to the last digits, from many starts at once."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.errors import NotOnManifoldError, ShapeError
from repsim_geo.manifolds.lengths import length
from repsim_geo.optim.hessian import HessianProducts, Product
from repsim_geo.optim.lbfgs import lbfgs
from repsim_geo.optim.minimum import Callback, Ledger, Minimum
from repsim_geo.optim.objective import Function, Objective

METHODS = ("lbfgs", "steepest_descent", "conjugate_gradient", "trust_region")
# Gradient norms of functions whose values and gradients are of the order of one.
_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@torch.no_grad()
def minimize(
    manifold: Manifold,
    fun: Function,
    x0: Any,
    method: str = "lbfgs",
    *,
    tol: float | None = None,
    max_iter: int = 500,
    memory: int = 10,
    hessian: str | Product = "auto",
    pointwise: bool = False,
    verbose: bool | int = False,
    callback: Callback | None = None,
) -> Minimum:
    """
    Local minima of a function on a manifold, one for each start.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``retr_transp``, ``transp_follow_retr``, ``inner``, ``proju`` and ``egrad2rgrad``; for
        "trust_region" ``expmap``.
    fun : callable
        From points (*batch, *point) to values (*batch), differentiable by torch. A value that is not finite
        is a wall, from which searches come back.
    x0 : Tensor or ndarray, shape (*batch, *point)
        Where to start; not changed. Each entry of the batch is a search of its own, with its own steps and
        its own end.
    method : "lbfgs", "steepest_descent", "conjugate_gradient" or "trust_region"
        The first two run all starts together. The last two are pymanopt's (extra ``optim``), and run one
        start after the other.
    tol : float, optional
        Gradient norm at which to stop, in the unit of the function over that of the distance. Default 1e-10
        in float64 and 1e-5 in float32, times the gradient norm or the size of the value at the start,
        whichever is less, where both exceed one.
    max_iter : int
    memory : int
        Steps that "lbfgs" remembers; each costs as much memory as two batches of points.
    hessian : "auto", "exact", "difference" or callable
        For "trust_region". Products with the Hessian by second derivatives, by differences of gradients, or
        ("auto") by the first where they exist and agree with the second at the start. A callable
        ``hessian(x, u)`` takes points and tangent vectors in the shape of those of `fun`, and returns tangent
        vectors.
    pointwise : bool
        `fun` does the same to every point, whatever their number: it is called with points (k, *point) of the
        searches that still run. Otherwise it always gets the shape of `x0`, with entries in their places.
    verbose : bool or int
        Print a line after every iteration, or after every so many.
    callback : callable, optional
        Called with a `Minimum`, as far as it is known, before every iteration; ends the search by returning
        True.

    Returns
    -------
    Minimum
        Says for every entry why it ended; not reaching the tolerance is no error, and gives no warning.

    Raises
    ------
    TypeError
        Not a manifold, not numbers in float32 or float64.
    ShapeError
        A start that is no point, or a function that does not return one value for each point.
    NotOnManifoldError
        A start off the manifold.
    ValueError
        Starts, or values or gradients there, that are not finite; unknown methods and options.
    ImportError
        pymanopt is missing.

    Notes
    -----
    "lbfgs" is `repsim_geo.optim.lbfgs`: Nocedal's recursion with pairs carried along in parallel, and the
    line search of Hager and Zhang, which goes on with slopes where values differ by rounding only. It is the
    method to begin with. "trust_region" takes fewer, dearer steps, and passes saddles; with exact Hessians
    it converges quadratically. "steepest_descent" is for comparison.

    Gradients are ``egrad2rgrad`` of those that autograd gives. Parameters inside of `fun` get no ``.grad``.

    At cut loci: a squared distance has no gradient where two shortest paths meet, and its value has a ridge
    there, never a valley; a search that starts on one side stays there, and one that starts on the ridge goes
    where ``logmap`` points. Sums of distances may have local minima on either side. Steps themselves follow
    geodesics of any length, past a cut locus too, and what is carried along with them is carried along that
    path. Minima on kinks, as of distances that are not squared or of permutation metrics, end as "stalled".

    References
    ----------
    Ring and Wirth 2012; Huang, Gallivan and Absil 2015 (quasi-Newton methods on manifolds); Hager and Zhang
    2005 (line search); Li and Fukushima 2001 (cautious update); Absil, Baker and Gallivan 2007 (trust
    regions); Boumal 2023 (all of it).

    Examples
    --------
    The leading eigenvector of a matrix, from two starts:

    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> a = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    >>> start = torch.tensor([[0.6, 0.8, 0.0], [-0.6, 0.0, 0.8]], dtype=torch.float64)
    >>> found = minimize(UnitSphere(1), lambda x: -((x @ a) * x).sum(-1), start)
    >>> found.point.round(decimals=6).abs()
    tensor([[1., 0., 0.],
            [1., 0., 0.]], dtype=torch.float64)
    >>> found.value, found.converged
    (tensor([-3., -3.], dtype=torch.float64), tensor([True, True]))
    """
    start = _as_start(manifold, x0)
    if not callable(fun):
        raise TypeError(
            f"fun must be a function from points (*batch, *point) to values (*batch), got {fun!r}. Write "
            "lambda x: manifold.dist2(x, target)."
        )
    if callback is not None and not callable(callback):
        raise TypeError(
            f"callback must be a function of a Minimum, or None, got {callback!r}. It ends the search by "
            "returning True."
        )
    check_flag(pointwise, "pointwise")
    _check_options(method, tol, max_iter, memory, verbose)
    objective = Objective(manifold, fun, start, pointwise=pointwise)
    HessianProducts(objective, hessian)  # complains
    rows = torch.arange(len(objective.start), device=start.device)
    value, gradient = objective.look(objective.start, rows)
    _check_values(value, objective.batch)
    norm = length(manifold, objective.start, gradient)
    scale = torch.minimum(norm, value.abs()).clamp_min(1.0)
    goal = _TOLERANCE[start.dtype] * scale if tol is None else torch.full_like(norm, tol)
    ledger = Ledger(
        objective.start,
        objective.batch,
        value,
        norm,
        objective.n_evaluations,
        verbose=verbose,
        callback=callback,
    )
    if method in ("lbfgs", "steepest_descent"):
        memory = memory if method == "lbfgs" else 0
        lbfgs(objective, value, gradient, goal, ledger, max_iter=max_iter, memory=memory)
    else:
        # On use: pymanopt is optional.
        from repsim_geo.optim.pymanopt import run

        run(method, objective, goal, ledger, max_iter=max_iter, hessian=hessian)
    return ledger.record()


def _as_start(manifold: Any, x0: Any) -> Tensor:
    """Points without history and without a class of their own; a copy."""
    if not isinstance(manifold, Manifold):
        raise TypeError(
            "manifold must be a geoopt.Manifold, for example a metric such as AngularCKA(), got "
            f"{manifold!r}. Names are for compare() and pairwise(), and a class has to be called."
        )
    x = torch.from_numpy(np.array(x0)) if isinstance(x0, np.ndarray) and x0.dtype.kind == "f" else x0
    if not isinstance(x, Tensor) or x.dtype not in _TOLERANCE:
        kind = x.dtype if hasattr(x, "dtype") else type(x).__name__
        raise TypeError(
            f"x0 must be float32 or float64 numbers (*batch, *point), as tensor or array, got {kind}. Stack "
            "starts with torch.stack; convert whole numbers with x0.double()."
        )
    x = x.detach().as_subclass(Tensor).clone()
    ok, reason = manifold.check_point(x, explain=True)  # pyright: ignore[reportGeneralTypeIssues]
    if not ok or not x.numel():
        raise ShapeError(
            f"x0 must hold points (*batch, *point) of the manifold {manifold}, got shape {tuple(x.shape)}: "
            f"{reason or 'it is empty'}. Activations become points with metric.embed(x)."
        )
    if not bool(x.isfinite().all()):
        raise ValueError("x0 must be finite, got nan or infinity. Start from another point.")
    ok, reason = manifold.check_point_on_manifold(x, explain=True, atol=1e-4, rtol=1e-4)  # pyright: ignore[reportGeneralTypeIssues]
    if not ok:
        raise NotOnManifoldError(
            f"x0 must lie on the manifold {manifold}: {reason}. Use metric.embed(x) or manifold.projx(x)."
        )
    return x


def _check_values(value: Tensor, batch: torch.Size) -> None:
    bad = value.isinf().reshape(batch)
    if bool(bad.any()):
        which = f" in entry {tuple(bad.nonzero()[0].tolist())}" if batch else ""
        raise ValueError(
            f"fun and its gradient must be finite at x0, got nan or infinity{which}. Start where the "
            "function is defined."
        )


def _check_options(method: str, tol: Any, max_iter: Any, memory: Any, verbose: Any) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}. Begin with 'lbfgs'.")
    if tol is not None and (not isinstance(tol, Real) or not 0 <= float(tol) < math.inf):
        raise ValueError(
            f"tol must be a gradient norm, zero or more, or None, got {tol!r}. None chooses one that "
            "rounding permits."
        )
    for name, number in (("max_iter", max_iter), ("memory", memory), ("verbose", verbose)):
        whole = isinstance(number, Integral) and (name == "verbose" or not isinstance(number, bool))
        if not whole or number < 0:
            raise ValueError(
                f"{name} must be a whole number, zero or more, got {number!r}. Leave it out for the default."
            )
