"""Sampling from a density on a manifold, along exact geodesics: Langevin and Hamiltonian Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import torch
from geoopt.manifolds.base import Manifold
from geoopt.optim.mixin import OptimMixin
from torch import Tensor

from repsim_geo._checks import check_count, check_flag
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.lengths import unscaled
from repsim_geo.numerics.norms import with_axes
from repsim_geo.optim.wrapped_normal import (
    check_generator,
    check_normal_vectors,
    random_tangent,
    some_tangent,
)


class RiemannianLangevin(OptimMixin, torch.optim.Optimizer):
    """
    Samples from a density with respect to the Riemannian volume, on any of our manifolds.

    Used as geoopt's samplers are: ``step(closure)`` moves the parameters to the next sample. The closure
    returns the logarithm of the density, up to a constant.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        ``geoopt.ManifoldParameter`` on a manifold with ``isotropic``, scaled or not, or with the inner
        product of the space around it; plain parameters are points of Euclidean space. Leading axes are
        independent chains. They start where they are: at points of positive density.
    epsilon : float
        Squared length of a step, in the unit of the squared distance: noise has the standard deviation
        ``sqrt(epsilon)`` in every direction.
    adjusted : bool
        Reject some steps, so that the samples have exactly this density (Metropolis). Otherwise all are
        accepted, at half the cost, and the density is right up to an error of the order of `epsilon`.
    n_leapfrog : int
        Pieces of a step, each of time ``sqrt(epsilon)``. One is Langevin's method; more go farther between
        two random changes of direction (Hamiltonian Monte Carlo).
    n_burnin : int
        First steps that count in no record; until then ``burnin`` is True.
    generator : torch.Generator, optional
        Source of randomness; torch's own by default.
    stabilize : int, optional
        As in geoopt; points are projected in every step anyway.

    Attributes
    ----------
    burnin : bool
    steps : int
        Steps after the burn-in.
    log_probs : list of Tensor
        One tensor a counted step, with one logarithm of the density for each chain: of the sample or, if
        not `adjusted`, of where the step began.
    acceptance_probs : list of Tensor
        Probabilities with which counted steps were accepted, for each chain; ones if not `adjusted`.
    n_rejected : int
        Counted rejections, of all chains.
    acceptance_rate, rejection_rate : float
        Their shares. Efficient are 0.5 to 0.8 accepted.

    Raises
    ------
    ValueError
        A manifold that lacks what is needed; at a step, a starting point without density.
    ShapeError
        At a step: log-densities that do not belong to chains.

    Notes
    -----
    A step draws a standard normal velocity v and follows Hamilton's equations for the energy ``|v|^2 / 2 -
    log p(x)``: the gradient changes the velocity for half of the time ``h = sqrt(epsilon)``, the point moves
    along the geodesic for the time h and takes the velocity along, and the gradient changes it again (Byrne
    and Girolami 2013). That is ``x <- exp_x(epsilon / 2 grad log p + sqrt(epsilon) v)``. Each of the three
    maps keeps the volume of phase space and is undone by reversing v, so accepting with the probability
    ``min(1, exp(-change of energy))`` makes the density exact, for any `epsilon`. Cut loci do not matter:
    only geodesics are followed, never logarithms.

    **Chains.** A closure that returns one log-density for each entry of the leading axes, which all
    parameters must share, moves as many independent chains, each accepted on its own. A closure that returns
    a single number moves all parameters as one point of a product, and accepts or rejects it as a whole; then
    fewer steps are accepted the larger the batch is.

    **Quotients.** The density is one of orbits, so the closure must give all representatives the same value;
    the volume is that of the quotient, not of the space above, whose orbits have volumes of their own (for
    ``Flat / O(p)``, a density `p` on the quotient and a normal distribution of activations differ by it).
    Horizontal steps are steps on the quotient. Singular points are passed with probability zero; a geodesic
    that runs into the edge of the positive semidefinite matrices comes back, as straight lines of factors do.

    **Step.** All parameters of a group have one `epsilon`. A step evaluates the closure ``n_leapfrog + 1``
    times, `adjusted`, or ``n_leapfrog`` times. The closure must be the same function within a step: with
    minibatches take ``adjusted=False``.

    geoopt's samplers take ``egrad2rgrad`` of normal numbers for noise, whose covariance is the *squared*
    inverse of the metric: right for spheres and Grassmannians, wrong by a factor c around the point c of the
    positive numbers. Unlike there, ``.grad`` of the parameters is left alone.

    References
    ----------
    Byrne and Girolami 2013; Roberts and Tweedie 1996; Girolami and Calderhead 2011.

    Examples
    --------
    Positive numbers whose logarithms are normal, with the standard deviation 0.5:

    >>> import geoopt, torch
    >>> from repsim_geo import AffineInvariantSPD
    >>> spd, center = AffineInvariantSPD(), torch.full((1, 1), 5.0)
    >>> x = geoopt.ManifoldParameter(center.repeat(500, 1, 1), manifold=spd)
    >>> sampler = RiemannianLangevin([x], epsilon=0.2, generator=torch.Generator().manual_seed(0))
    >>> for _ in range(50):
    ...     sampler.step(lambda: -spd.dist2(x, center) / (2 * 0.5**2))
    >>> round(float(x.detach().log().std()), 1)
    0.5
    """

    def __init__(
        self,
        params: Iterable[Any],
        epsilon: float = 1e-3,
        *,
        adjusted: bool = True,
        n_leapfrog: int = 1,
        n_burnin: int = 0,
        generator: torch.Generator | None = None,
        stabilize: int | None = None,
    ):
        check_count(n_leapfrog, "n_leapfrog", " of pieces", "One is Langevin's method.")
        if isinstance(n_burnin, bool) or not isinstance(n_burnin, Integral) or n_burnin < 0:
            raise ValueError(
                f"n_burnin must be a whole number of steps, zero or more, got {n_burnin!r}. Leave it out to "
                "count all."
            )
        check_flag(adjusted, "adjusted")
        check_generator(generator)
        self.adjusted, self.n_leapfrog, self.generator = adjusted, n_leapfrog, generator
        self.n_burnin, self.burnin = n_burnin, n_burnin > 0
        self.steps, self.n_rejected = 0, 0
        self.log_probs: list[Tensor] = []
        self.acceptance_probs: list[Tensor] = []
        self._taken, self._proposed = 0, 0
        super().__init__(params, {"epsilon": epsilon}, stabilize=stabilize)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with a step size of their own."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        epsilon = group["epsilon"]
        if not isinstance(epsilon, Real) or isinstance(epsilon, bool) or not 0 < epsilon < math.inf:
            raise ValueError(
                f"epsilon must be a positive number, the squared length of a step, got {epsilon!r}. Take the "
                "square of a fraction of the spread."
            )
        for point in group["params"]:
            _check(_base(point)[0], point.detach())

    @property
    def rejection_rate(self) -> float:
        """Share of the counted steps that were rejected; zero before the first."""
        return self.n_rejected / max(1, self._proposed)

    @property
    def acceptance_rate(self) -> float:
        """Share of the counted steps that were accepted; one before the first."""
        return 1 - self.rejection_rate

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """
        Move all parameters to the next sample.

        Parameters
        ----------
        closure : callable
            Returns log-densities as a function of the parameters: a tensor of shape () or (*chains), the
            leading axes of all parameters. It must not call ``backward``.
        """
        factors = self._factors()
        start = [factor.point.clone() for factor in factors]
        log_p, forces = self._look(closure, factors)
        if not bool(log_p.isfinite().all()):
            raise ValueError(
                "RiemannianLangevin needs a finite log-density where it stands, got "
                f"{log_p[~log_p.isfinite()][0]}. Start at points of positive density; if it went there, "
                "lower epsilon or take adjusted=True."
            )
        velocities = [random_tangent(f.manifold, f.point, self.generator) for f in factors]
        energy, end = _kinetic(factors, velocities, log_p) - log_p, log_p
        for piece in range(self.n_leapfrog):
            velocities = [
                _flow(f, v + f.time / 2 * a) for f, v, a in zip(factors, velocities, forces, strict=True)
            ]
            if self.adjusted or piece + 1 < self.n_leapfrog:
                end, forces = self._look(closure, factors)
                velocities = [v + f.time / 2 * a for f, v, a in zip(factors, velocities, forces, strict=True)]
        chance = torch.ones_like(energy)
        if self.adjusted:
            gain = energy - (_kinetic(factors, velocities, log_p) - end)
            chance = gain.clamp(max=0).exp().nan_to_num(0.0)
        accepted = self._draw(chance)
        for factor, before in zip(factors, start, strict=True):
            where = with_axes(accepted, before.dim() - accepted.dim())
            factor.point.copy_(torch.where(where, factor.point, before))
        self._record(torch.where(accepted, end, log_p), chance, accepted)

    def _factors(self) -> list[_Factor]:
        return [
            _Factor(point.detach(), manifold, math.sqrt(group["epsilon"]) / scale)
            for group in self.param_groups
            for point in group["params"]
            if point.requires_grad
            for manifold, scale in [_base(point)]
        ]

    def _look(self, closure: Callable[[], Tensor], factors: list[_Factor]) -> tuple[Tensor, list[Tensor]]:
        """Log-densities, in float64, and their Riemannian gradients."""
        points = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        with torch.enable_grad():
            log_p = closure()
            slopes = torch.autograd.grad(log_p.sum(), points, allow_unused=True, materialize_grads=True)
        for factor in factors:
            batch = factor.point.shape[: factor.point.dim() - factor.manifold.ndim]
            if batch[: log_p.dim()] != log_p.shape:
                raise ShapeError(
                    "the closure of RiemannianLangevin must return one log-density, or one for each chain "
                    f"along the leading axes that all parameters share: got shape {tuple(log_p.shape)} for a "
                    f"parameter with the batch {tuple(batch)}. Sum over what belongs to one chain."
                )
        forces = [f.manifold.egrad2rgrad(f.point, s) for f, s in zip(factors, slopes, strict=True)]
        return log_p.detach().double(), forces

    def _draw(self, chance: Tensor) -> Tensor:
        source = chance.device if self.generator is None else self.generator.device
        u = torch.rand(chance.shape, dtype=chance.dtype, device=source, generator=self.generator)
        return u.to(chance.device) < chance

    def _record(self, log_p: Tensor, chance: Tensor, accepted: Tensor) -> None:
        if not self.burnin:
            self.steps += 1
            self.log_probs.append(log_p)
            self.acceptance_probs.append(chance)
            self.n_rejected += int((~accepted).sum())
            self._proposed += accepted.numel()
        self._taken += 1
        if self._taken == self.n_burnin:
            self.burnin = False

    @torch.no_grad()
    def stabilize_group(self, group: dict[str, Any]) -> None:
        """Project the points to their manifolds."""
        for point in group["params"]:
            point.copy_(_base(point)[0].projx(point))


class _Factor(NamedTuple):
    """Points of one parameter, which are moved in place, and the time of a step on their manifold."""

    point: Tensor
    manifold: Any
    time: Any


def _base(point: Any) -> tuple[Any, Any]:
    """
    Manifold of a parameter without ``geoopt.Scaled`` around it, and the scale.

    Scaled keeps inner products and gradients and divides velocities, so that the gradient is not that of
    its distance; a step on the scaled manifold is a shorter one on its base.
    """
    manifold, scales = unscaled(getattr(point, "manifold", OptimMixin._default_manifold))
    return manifold, math.prod(scales)


def _flow(factor: _Factor, velocity: Tensor) -> Tensor:
    """
    Move the points along their geodesics, and return the velocities there.

    The velocity is the derivative of the exponential map in time: transported vectors would be the same,
    but transports of others need not be parallel.
    """
    x, manifold = factor.point, factor.manifold
    time = torch.as_tensor(factor.time, dtype=x.dtype, device=x.device)
    y, moved, *_ = torch.func.jvp(
        lambda t: manifold.expmap(x, t * velocity), (time,), (torch.ones_like(time),)
    )
    if not getattr(manifold, "definite", False):
        # Exponentials of positive definite matrices are such, and a projection costs an eigendecomposition.
        y = manifold.projx(y)
        moved = manifold.proju(y, moved)
    factor.point.copy_(y)
    return moved


def _kinetic(factors: list[_Factor], velocities: list[Tensor], log_p: Tensor) -> Tensor:
    """Half of the squared lengths of the velocities, of all parameters of a chain."""
    total = torch.zeros_like(log_p)
    for (x, manifold, _), v in zip(factors, velocities, strict=True):
        length2 = manifold.inner(x, v, keepdim=True).double()
        total = total + length2.reshape(*log_p.shape, -1).sum(-1) / 2
    return total


def _check(manifold: Manifold, x: Tensor) -> None:
    """Refuse manifolds of others whose normal vectors or geodesics are not known."""
    check_normal_vectors(manifold, x)
    if hasattr(manifold, "isotropic"):
        return
    u = some_tangent(manifold, x)
    there = _Factor(x.clone(), manifold, 0.1)
    _flow(there, -_flow(there, u))
    size = float(u.abs().amax()) + float(x.abs().amax())
    if float((there.point - x).abs().amax()) > 1e-4 * size:
        raise ValueError(
            f"RiemannianLangevin needs an expmap that follows geodesics, got one of {manifold} that does not "
            "find back. Take a manifold of repsim_geo, or an exact variant of it."
        )
