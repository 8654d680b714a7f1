"""Adam in coordinates that parallel transport leaves alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import geoopt
import torch
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.errors import NotOnManifoldError
from repsim_geo.manifolds.lengths import unscaled
from repsim_geo.numerics.alignment import finite_svd, working_precision
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import squared_norm
from repsim_geo.numerics.symmetric import EXP, finite_cholesky, spectral

# Up to this norm the exponential series needs fewer products than an eigendecomposition costs.
_SHORT = 0.25


class ParallelAdam(geoopt.optim.RiemannianAdam):
    """
    Riemannian Adam on manifolds with parallel frames: the same iterates, without the cost of transport.

    Parameters
    ----------
    params : iterable of geoopt.ManifoldParameter, or of dict
        On manifolds that are ``congruent``: `AffineInvariantSPD`, scaled or not, and metrics on it.
    lr : float
        Length of a step in the unit of the distance, where gradients agree.
    betas : tuple of float
        What the averages of gradients and of their squared lengths keep in a step.
    eps : float
        Added to the root of the average squared length.
    weight_decay : float
        Times the point is added to its Euclidean gradient, as in geoopt.
    amsgrad : bool
        Divide by the largest average of squared lengths so far.
    stabilize : int, optional
        Compute frames from the points again every so many steps; not needed for staying on the manifold.

    Raises
    ------
    ValueError
        A parameter on another manifold, or on none.
    NotOnManifoldError
        At a step: a parameter that is not a point.

    Notes
    -----
    A point is ``x = f f'``. A tangent vector ``f s f'`` has the coordinates s, whose Euclidean inner product
    is that of the manifold; and along a geodesic with the velocity s the frame moves to ``f exp(s / 2)``, in
    which a transported vector has the coordinates that it had. So the average gradient is a plain average of
    ``f' g f``, and a step costs a dozen matrix products, or half of them and an eigendecomposition if it is
    long; geoopt's, on its own manifold, inverts and decomposes several matrices to carry the average along.

    The parameter holds x after every step, and is positive definite because it is ``f f'``. Where somebody
    else has moved it, the frame and the average are carried along in parallel.

    References
    ----------
    Kingma and Ba 2015; Reddi, Kale and Kumar 2018; Bécigneul and Ganea 2019.

    Examples
    --------
    >>> import geoopt, torch
    >>> from repsim_geo import AffineInvariantSPD
    >>> spd = AffineInvariantSPD()
    >>> x = geoopt.ManifoldParameter(torch.eye(2, dtype=torch.float64), manifold=spd)
    >>> optimizer = ParallelAdam([x], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     spd.dist2(x, 3 * torch.eye(2, dtype=torch.float64)).backward()
    ...     optimizer.step()
    >>> bool(torch.allclose(x.detach(), 3 * torch.eye(2, dtype=torch.float64), atol=1e-3))
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        stabilize: int | None = None,
    ):
        params = list(params) if isinstance(params, Iterable) and not isinstance(params, Tensor) else params
        if not isinstance(params, list) or not params:
            got = "none" if isinstance(params, list) else f"{type(params).__name__}"
            raise ValueError(
                f"ParallelAdam needs a list of parameters, at least one, got {got}. Write ParallelAdam([x]) "
                "for a geoopt.ManifoldParameter x."
            )
        check_flag(amsgrad, "amsgrad")
        # Before torch sees them; those of groups follow.
        _check_options({"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            stabilize=stabilize,
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        super().add_param_group(param_group)
        _check_options(self.param_groups[-1])
        for point in self.param_groups[-1]["params"]:
            manifold = getattr(point, "manifold", None)
            if not getattr(manifold, "congruent", False):
                raise ValueError(
                    "ParallelAdam needs positive definite matrices whose congruences are isometries, as on "
                    f"AffineInvariantSPD(), got {'a plain parameter' if manifold is None else manifold}. "
                    "geoopt.optim.RiemannianAdam takes any."
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """
        One step, for all parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew.

        Returns
        -------
        What the closure returns, or None
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for point in group["params"]:
                if point.grad is not None:
                    self._move(point, group)
        return loss

    def _move(self, point: Any, group: dict[str, Any]) -> None:
        state = self._state_at(point, group)
        beta1, beta2 = group["betas"]
        # Torch makes a float32 tensor of it when a state is loaded.
        state["step"] = int(state["step"]) + 1
        f = state["frame"]
        gradient = f.mT @ symmetrize(point.grad + group["weight_decay"] * point) @ f
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].lerp_(squared_norm(gradient, 2, keepdim=True), 1 - beta2)
        if group["amsgrad"]:
            square = torch.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        unbias1, unbias2 = (1 - beta ** state["step"] for beta in (beta1, beta2))
        velocity = -group["lr"] / unbias1 * mean / ((square / unbias2).sqrt() + group["eps"])
        # geoopt.Scaled divides velocities by the scale, and nothing else.
        state["frame"] = _times_exp(f, velocity / (2 * math.prod(unscaled(point.manifold)[1])))
        state["point"] = symmetrize(state["frame"] @ state["frame"].mT)
        point.copy_(state["point"])
        if group["stabilize"] is not None and state["step"] % group["stabilize"] == 0:
            self._carry_frame(point, state)

    def _state_at(self, point: Any, group: dict[str, Any]) -> dict[str, Any]:
        """Averages and frame of a parameter, the frame carried to where the parameter is now."""
        state = self.state[point]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(point)
            state["exp_avg_sq"] = torch.zeros_like(point[..., :1, :1])
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = torch.zeros_like(state["exp_avg_sq"])
            self._carry_frame(point, state)
        elif not torch.equal(point, state["point"]):
            self._carry_frame(point, state)
        return state

    def _carry_frame(self, point: Any, state: dict[str, Any]) -> None:
        x: Tensor = point.detach().clone()
        state["frame"], state["point"] = _frame(x, state.get("frame")), x
        if not bool(state["frame"].isfinite().all()):
            raise NotOnManifoldError(
                f"ParallelAdam needs points of {point.manifold}, got a parameter of shape {tuple(x.shape)} "
                "that is none, or that is not finite. Start from manifold.projx(x); if it was a point "
                "before, lower lr."
            )

    @torch.no_grad()
    def stabilize_group(self, group: dict[str, Any]) -> None:
        """Compute frames from the points again."""
        for point in group["params"]:
            if self.state[point]:
                self._carry_frame(point, self.state[point])


def _check_options(group: dict[str, Any]) -> None:
    for name in ("lr", "eps", "weight_decay"):
        value = group[name]
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not (number or (isinstance(value, Tensor) and value.dim() == 0)) or not 0 <= value < math.inf:
            raise ValueError(
                f"{name} must be a number, zero or more, got {value!r}. Leave it out for the default."
            )
    betas = group["betas"]
    fine = isinstance(betas, tuple | list) and len(betas) == 2
    if not fine or not all(isinstance(beta, Real) and 0 <= beta < 1 for beta in betas):
        raise ValueError(
            f"betas must be two numbers from 0 to below 1, got {betas!r}. Leave them out for (0.9, 0.999)."
        )


def _times_exp(f: Tensor, a: Tensor) -> Tensor:
    """``f exp(a)`` for symmetric a: a few terms of the series for short steps, which are most of them."""
    size = float(torch.linalg.matrix_norm(a).amax())
    if not size < _SHORT:
        return f @ spectral(EXP, a)
    terms, rest = 0, 1.0
    while rest > torch.finfo(a.dtype).eps / 8:
        terms += 1
        rest *= size / terms
    product = f
    for k in range(terms, 0, -1):
        product = f + product @ (a / k)
    return product


def _frame(x: Tensor, near: Tensor | None) -> Tensor:
    """Matrix f with ``x = f f'``: the Cholesky factor, or a frame of another point carried in parallel."""
    f = finite_cholesky(working_precision(x))
    if near is not None:
        # The polar factor q makes ``near^-1 f q`` symmetric: the root of a congruence, which is transport.
        u, _, vh = finite_svd(torch.linalg.solve_triangular(f, working_precision(near), upper=False))
        f = f @ u @ vh
    return f.to(x.dtype)
