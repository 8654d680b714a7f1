"""The representation at given distances from several networks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, CutLocusWarning, ShapeError
from repsim_geo.manifolds.base import normal
from repsim_geo.manifolds.lengths import length
from repsim_geo.numerics.norms import safe_sqrt, with_axes
from repsim_geo.optim.minimize import minimize
from repsim_geo.optim.minimum import Reason
from repsim_geo.optim.objective import unit
from repsim_geo.stats.distances import between
from repsim_geo.stats.points import as_numbers, as_points, as_weights, check_whole


@dataclass(frozen=True)
class Trilateration:
    """
    A point at given distances from others, or as nearly so as can be.

    Attributes
    ----------
    point : Tensor, shape (*point)
    distances : Tensor, shape (n,)
        From the point to the anchors, in the unit of the manifold.
    residuals : Tensor, shape (n,)
        `distances` minus those that were asked for.
    error : float
        Root of the weighted mean of the squared residuals.
    met : bool
        Whether all residuals of anchors with a weight are zero, up to what a search can reach: the cube root
        of the rounding, relative to the largest distance.
    solutions : Tensor, shape (k, *point)
        Points that are as good, `point` first, of which no two are the same. One does not prove that there
        are no others; many suggest a whole surface of them.
    spread : float
        Largest distance of two `solutions`.
    converged : bool
        Whether the search that found `point` came to an end.
    """

    point: Tensor
    distances: Tensor
    residuals: Tensor
    error: float
    met: bool
    solutions: Tensor
    spread: float
    converged: bool

    def __str__(self) -> str:
        how = "at the given distances" if self.met else f"the best compromise, off by {self.error:.3g}"
        k = len(self.solutions)
        others = "no other found" if k == 1 else f"{k} as good, up to {self.spread:.3g} apart"
        return f"{how}; {others}"


def trilaterate(
    manifold: Manifold,
    anchors: Any,
    distances: Any,
    *,
    weights: Any = None,
    n_starts: int = 8,
    x0: Any = None,
    max_iter: int = 500,
    generator: torch.Generator | None = None,
) -> Trilateration:
    """
    Point at given distances from several points; the best compromise where there is none.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist2``, ``expmap``, ``logmap``, and what `minimize` needs.
    anchors : Tensor or ndarray, shape (n, *point)
        Such as embedded networks.
    distances : array-like, shape (n,)
        Wanted, in the unit of the manifold; zero or more.
    weights : array-like, shape (n,), optional
        Nonnegative, not all zero: how much a squared residual counts. Anchors without weight are ignored.
    n_starts : int
        Searches, run as one batch; used without `x0`.
    x0 : Tensor or ndarray, shape (k, *point), optional
        Where to start instead.
    max_iter : int
        Of every search.
    generator : torch.Generator, optional
        For the starts; a fixed seed by default.

    Returns
    -------
    Trilateration

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
        Anchors that are no points; distances or weights that do not fit, or are negative or not finite.

    Warns
    -----
    UserWarning
        The distances break a triangle inequality, or exceed the diameter: no point has them. Says which.
    ConvergenceWarning
        The best search did not come to an end.

    Notes
    -----
    Minimizes ``sum w_i (d(x, a_i) - d_i)^2``, in which an error counts the same wherever it is made; of
    squared distances, those to far anchors would count most. It has kinks at anchors with ``d_i > 0``, but
    these point up: no search ends there. The term of ``d_i = 0`` is smooth.

    Every start is at the right distance from one anchor, in a direction that leads partly to the other
    anchors and partly to nowhere. In p dimensions, p + 1 anchors in general position of a flat space leave at
    most one point. With fewer the solutions are mirror images or whole spheres, and `solutions` has some of
    them; curved spaces can have several with any number. Representations have many more dimensions than
    there are networks: to ask for the solution that is nearest to something, start there.

    Searches find local minima, so that distances that could be met may not be: more starts help.

    All is about the manifold: a Gram matrix at these distances may be none of a network, see ``in_image``.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> anchors = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    >>> found = trilaterate(Flat(ndim=1), anchors, [5.0, 3.0, 4.0])
    >>> found.point.round(decimals=6)
    tensor([4., 3.], dtype=torch.float64)
    >>> print(found)
    at the given distances; no other found
    """
    points = as_points(manifold, anchors)
    wanted = _as_distances(distances, points)
    mass = as_weights(weights, points, manifold.ndim)
    check_whole(n_starts, "n_starts", hint="More find more solutions.")
    used = mass > 0
    apart = between(manifold, points, points)
    _warn_if_impossible(manifold, apart, wanted, used)
    if x0 is None:
        starts = _starts(manifold, points[used], wanted[used], n_starts, generator)
    else:
        starts = as_points(manifold, x0).to(points)

    def misfit(x: Tensor) -> Tensor:
        d2 = manifold.dist2(x.unsqueeze(-manifold.ndim - 1), points).reshape(len(x), len(points))
        # A square that is not taken apart is smooth at its anchor.
        return (torch.where(wanted > 0, (safe_sqrt(d2) - wanted).square(), d2) * mass).sum(-1)

    tol = torch.finfo(points.dtype).eps ** (2 / 3) * _size(apart, wanted)
    with warnings.catch_warnings():
        # Of steps remembered across a singular point; the search copes.
        warnings.simplefilter("ignore", CutLocusWarning)
        found = minimize(manifold, misfit, starts, tol=tol, max_iter=max_iter, pointwise=True)
    return _record(manifold, found, points, wanted, mass, apart)


def _as_distances(distances: Any, points: Tensor) -> Tensor:
    wanted = as_numbers(distances, "distances").to(points)
    if wanted.shape != points.shape[:1]:
        raise ShapeError(
            f"distances must have shape ({len(points)},), one for each anchor, got {tuple(wanted.shape)}. "
            "Leave an anchor out with weight zero."
        )
    if not bool(((wanted >= 0) & wanted.isfinite()).all()):
        raise ValueError(
            f"distances must be finite and zero or more, got {wanted.tolist()}. Leave an anchor out with "
            "weight zero."
        )
    return wanted


def _warn_if_impossible(manifold: Manifold, apart: Tensor, wanted: Tensor, used: Tensor) -> None:
    """Name the pair of anchors whose triangle inequality is broken most, or else a distance too large."""
    excess = torch.maximum((wanted[:, None] - wanted).abs() - apart, apart - wanted[:, None] - wanted)
    excess = torch.where((used[:, None] & used).triu(1), excess, -torch.inf)
    rounding = _tolerance(apart, wanted)
    i, j = divmod(int(excess.argmax()), len(wanted))
    if float(excess[i, j]) > rounding:
        here, there, between_them = (float(d) for d in (wanted[i], wanted[j], apart[i, j]))
        warn_user(
            f"no point has these distances: they must keep the triangle inequality, got {here:.4g} from "
            f"anchor {i} and {there:.4g} from anchor {j}, which are {between_them:.4g} apart. The result is "
            "the best compromise.",
            UserWarning,
        )
        return
    far, diameter = torch.where(used, wanted, 0.0), getattr(manifold, "diameter", torch.inf) / unit(manifold)
    if float(far.amax()) > diameter + rounding:
        warn_user(
            f"no point has these distances: they must not exceed the diameter {diameter:.4g}, got "
            f"{float(far.amax()):.4g} from anchor {int(far.argmax())}. The result is the best compromise.",
            UserWarning,
        )


def _tolerance(apart: Tensor, wanted: Tensor) -> float:
    """What counts as zero: where spheres touch, a gradient of eps leaves distances off by its root."""
    return torch.finfo(wanted.dtype).eps ** (1 / 3) * _size(apart, wanted)


def _size(apart: Tensor, wanted: Tensor) -> float:
    return max(float(apart.amax()), float(wanted.amax()))


def _starts(
    manifold: Manifold, points: Tensor, wanted: Tensor, n_starts: int, generator: torch.Generator | None
) -> Tensor:
    """Points at the right distance from one anchor each; shape (n_starts, *point)."""
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    ndim, n = manifold.ndim, len(points)
    which = torch.arange(n_starts, device=points.device) % n
    foot = points[which]
    logs = manifold.logmap(foot.unsqueeze(-ndim - 1), points)
    shares = normal((n_starts, n), points.dtype, points.device, generator)
    inside = (with_axes(shares, ndim) * logs).sum(-ndim - 1)
    anywhere = manifold.proju(foot, normal(foot.shape, points.dtype, points.device, generator))
    way = _unit(manifold, foot, inside) + _unit(manifold, foot, anywhere)
    start = manifold.expmap(foot, with_axes(wanted[which], ndim) * _unit(manifold, foot, way))
    return manifold.projx(start)


def _unit(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor:
    size = length(manifold, x, u)
    return u / with_axes(torch.where(size > 0, size, 1.0), manifold.ndim)


def _record(
    manifold: Manifold, found: Any, points: Tensor, wanted: Tensor, mass: Tensor, apart: Tensor
) -> Trilateration:
    best = int(found.value.argmin())
    if int(found.reason[best]) == Reason.MAX_ITER:
        warn_user(
            f"trilaterate stopped with gradient norm {float(found.gradient_norm[best]):.1e}: the best search "
            "was to come to an end, and took all iterations. Raise max_iter or n_starts.",
            ConvergenceWarning,
        )
    slack = _tolerance(apart, wanted)
    errors = found.value.clamp_min(0).sqrt()
    good = found.point[errors.argsort()][errors.sort().values <= errors[best] + slack]
    # Near minima that are flat, searches that found the same point are that far apart.
    kept = _distinct(between(manifold, good, good), 10 * torch.finfo(wanted.dtype).eps ** (-1 / 12) * slack)
    d = between(manifold, good[:1], points)[0]
    residuals = d - wanted
    return Trilateration(
        point=good[0],
        distances=d,
        residuals=residuals,
        error=float((mass * residuals.square()).sum().sqrt()),
        met=bool((residuals.abs() <= slack)[mass > 0].all()),
        solutions=good[kept],
        spread=float(between(manifold, good[kept], good[kept]).amax()),
        converged=int(found.reason[best]) == Reason.CONVERGED,
    )


def _distinct(apart: Tensor, least: float) -> Tensor:
    """Indices of points none of which is nearer than `least` to an earlier one."""
    kept: list[int] = []
    for i in range(len(apart)):
        if not kept or float(apart[i, kept].amin()) > least:
            kept.append(i)
    return torch.tensor(kept, device=apart.device)
