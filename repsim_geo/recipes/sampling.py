"""Random representations around a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import geoopt
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning
from repsim_geo.optim.langevin import RiemannianLangevin
from repsim_geo.optim.wrapped_normal import wrapped_normal
from repsim_geo.stats.points import as_points, check_whole

METHODS = ("langevin", "wrapped")
# Of Langevin's method in many dimensions the best is 0.57; more costs little and is safer in few.
_ACCEPTED = 0.7


@dataclass(frozen=True)
class Sample:
    """
    Random points around a mean.

    Attributes
    ----------
    points : Tensor, shape (n, *point)
        Independent of each other.
    distances : Tensor, shape (n,)
        From the mean, in the unit of the manifold.
    acceptance : float
        Mean probability with which steps were accepted after the burn-in; one for "wrapped".
    step : float
        Standard deviation of a step in every direction, in the unit of the manifold; zero for "wrapped".
    memory : float
        Correlation, over the chains, of the squared distances at the end of the burn-in and now: near zero
        if the chains have forgotten where they were, with a standard error of ``1 / sqrt(n)``. Zero for
        "wrapped"; nan with less than three points, or where all distances are the same.
    """

    points: Tensor
    distances: Tensor
    acceptance: float
    step: float
    memory: float


@torch.no_grad()
def sample_around(
    manifold: Manifold,
    mean: Any,
    scale: float,
    n: int,
    *,
    method: str = "langevin",
    n_burnin: int = 100,
    n_steps: int = 100,
    generator: torch.Generator | None = None,
) -> Sample:
    """
    Points from a normal distribution on a manifold.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``dist2`` and ``isotropic`` (or the inner product of the ambient space).
    mean : Tensor or ndarray, shape (*point)
        Such as a Fréchet mean.
    scale : float
        Of the distribution, in the unit of the distance: the standard deviation in every direction, where
        the curvature is zero.
    n : int
    method : "langevin" or "wrapped"
        The Riemannian normal distribution, whose density with respect to the Riemannian volume is in
        proportion to ``exp(-d(x, mean)^2 / (2 scale^2))``; or exponentials of normal tangent vectors.
    n_burnin, n_steps : int
        Steps of "langevin" before and after its step is fixed.
    generator : torch.Generator, optional
        Source of randomness; torch's own by default.

    Returns
    -------
    Sample

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
        A mean that is no point; a scale or numbers that are not positive; an unknown method.

    Warns
    -----
    ConvergenceWarning
        Chains still remember where they began.

    Notes
    -----
    "langevin" runs n chains as one batch and takes the last point of each, so that points are independent;
    all steps are followed along exact geodesics, and rejected as it takes to make the density exact
    (`RiemannianLangevin`). Chains begin at points of the wrapped normal distribution, and the length of their
    steps is adapted during the burn-in until 70 % are accepted.

    The two distributions are the same in flat spaces. On spheres the wrapped one is farther out, on spaces of
    negative curvature nearer. Both are isotropic: in p dimensions, distances from the mean are about
    ``scale * sqrt(p)`` and vary little, and every few directions hold a small share of the spread. Networks
    are usually not like that; compare with ``explained_variance_ratio_`` of `TangentPCA`.

    Points are representations as far as the manifold goes; whether activations have them, ``in_image`` says.

    References
    ----------
    Pennec 2006; Said et al. 2017 (Riemannian normal distributions).

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> found = sample_around(
    ...     Flat(ndim=1), torch.zeros(3), 2.0, 2000, generator=torch.Generator().manual_seed(0)
    ... )
    >>> found.points.shape
    torch.Size([2000, 3])
    >>> round(float(found.points.std()), 1)
    2.0
    """
    center = as_points(manifold, [mean])[0]
    if not isinstance(scale, Real) or not 0 < scale < math.inf:
        raise ValueError(
            f"scale must be a positive number in the unit of the distance, got {scale!r}. A spread of "
            "networks is sqrt(variance_ / dimension)."
        )
    check_whole(n, "n", hint="It is the number of points.")
    check_whole(n_burnin, "n_burnin", 0, hint="100 are enough for most.")
    check_whole(n_steps, "n_steps", hint="100 are enough for most.")
    if method not in METHODS:
        raise ValueError(
            f"method must be one of {', '.join(METHODS)}, got {method!r}. Begin with 'langevin'."
        )
    points = wrapped_normal(manifold, center, float(scale), n, generator=generator)
    if method == "wrapped":
        return Sample(points, manifold.dist(center, points).reshape(n), 1.0, 0.0, 0.0)
    return _langevin(manifold, center, float(scale), points, n_burnin, n_steps, generator)


def _langevin(
    manifold: Manifold,
    center: Tensor,
    scale: float,
    start: Tensor,
    n_burnin: int,
    n_steps: int,
    generator: torch.Generator | None,
) -> Sample:
    n = len(start)
    x: Any = geoopt.ManifoldParameter(start, manifold=manifold)
    # Of the order that is best for a normal distribution in so many dimensions (Roberts and Rosenthal 1998).
    sampler = RiemannianLangevin([x], scale**2 / center.numel() ** (1 / 3), generator=generator)
    group = sampler.param_groups[0]

    def squares() -> Tensor:
        return manifold.dist2(x, center).reshape(n)

    def log_density() -> Tensor:
        return -squares() / (2 * scale**2)

    for step in range(n_burnin):
        sampler.step(log_density)
        missed = float(sampler.acceptance_probs[-1].mean()) - _ACCEPTED
        group["epsilon"] *= math.exp(3 * missed / math.sqrt(1 + step))
    before = squares().detach()
    sampler.acceptance_probs.clear()
    for _ in range(n_steps):
        sampler.step(log_density)
    points = x.detach().as_subclass(Tensor)
    memory = _correlation(before, squares().detach())
    if memory > 0.2 + 3 / math.sqrt(n):
        warn_user(
            f"sample_around took {n_steps} steps: they were to forget where chains began, and squared "
            f"distances still have a correlation of {memory:.2f} with those before. Raise n_steps.",
            ConvergenceWarning,
        )
    return Sample(
        points=points,
        distances=manifold.dist(center, points).reshape(n),
        acceptance=float(torch.stack(sampler.acceptance_probs).mean()),
        step=math.sqrt(group["epsilon"]),
        memory=memory,
    )


def _correlation(a: Tensor, b: Tensor) -> float:
    """Correlation of two rows of numbers; nan with less than three, or without spread."""
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if len(a) > 2 and size > 0 else math.nan
