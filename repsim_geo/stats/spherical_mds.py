"""Multidimensional scaling on the sphere: unit vectors whose angles are, nearly, given distances."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.stats.mds import (
    EXACT,
    JITTER,
    Descent,
    Scaling,
    as_weighted,
    as_weighted_rows,
    batches,
    best_of_each,
    check_search,
    check_table,
    filled,
    in_principal_axes,
    keep_best,
    lower_stress,
    place,
    stress,
    torgerson,
    typical,
)
from repsim_geo.stats.points import as_generator, like

if TYPE_CHECKING:
    from typing_extensions import Self

_SPHERE = UnitSphere(ndim=1)
# Radius whose square is still a number.
_LARGEST = 1e150


class SphericalMDS(Scaling):
    """
    Spherical scaling: points of a sphere whose great-circle distances come nearest to the given ones.

    For distances that are angles, such as those of AngularCKA, whose points lie on a sphere of many
    dimensions.

    Parameters
    ----------
    n_components : int
        Dimension k of the sphere: 2 for the globe, in three coordinates.
    radius : float
        Of the sphere, in the unit of the distances. 1 for angles in radians.
    n_init : int
        Starts, of which that of least raw stress is kept: leading eigenvectors of the cosines, classical
        scaling wrapped around the sphere, then random ones.
    max_iter : int
    tol : float
        Stops when a step would move the points by no more than this share of the distances (both as root mean
        squares). The stress is then right to about ``tol ** 2``.
    seed : int or torch.Generator
        Of the random starts.

    Attributes
    ----------
    embedding_ : Tensor, shape (n, n_components + 1)
        Unit vectors, in principal axes (of the sums of squares, not centered), the largest entry of each
        column positive.
    stress_ : float
        Kruskal's stress-1, the root of ``sum w (d - radius * angle_ij)^2 / sum w (radius * angle_ij)^2``.
        Dimensionless.
    raw_stress_ : float
        ``sum w (d - radius * angle_ij)^2`` over pairs, in squared units of the distances.
    stresses_ : Tensor, shape (n_init,)
        ``stress_`` that each start led to. If few agree with the best, more starts may find a better one.
    n_iter_ : int
        Steps of the best start.
    converged_ : bool
        Whether the best start reached `tol`.

    Notes
    -----
    Riemannian gradient steps of all points of all starts at once, ``x_i <- x_i + s * mean over j of
    (1 - d_ij / angle_ij) log_i(x_j)``, normalized: the springs of SMACOF (see `MetricMDS`) along great
    circles. The size s follows the curvature that the last step has seen (Barzilai and Borwein 1988), and is
    cut back where the stress would rise. A step costs n^2 for each start. Computed in float64.

    Where it is delicate: the stress has a kink where points coincide or are opposite without being meant to.
    They exert no force on each other there; unless they are exact, the first two starts are jittered by a
    thousandth of their size so that such points part. Local minima are common, and on the circle
    (``n_components=1``), where points cannot pass each other, the rule. Along coordinates that the points do
    not need, the stress is as flat as in `MetricMDS`. The radius is not fitted: distances that are no angles
    are better served by `MetricMDS`. Unit vectors have an absolute rounding, so that distances below 1e-8 of
    the radius lose digits.

    References
    ----------
    Cox and Cox 1991; Barzilai and Borwein 1988; de Leeuw 1977.

    Examples
    --------
    The poles and a point of the equator:

    >>> import torch
    >>> q = torch.pi / 2
    >>> angles = torch.tensor([[0.0, 2 * q, q], [2 * q, 0.0, q], [q, q, 0.0]], dtype=torch.float64)
    >>> mds = SphericalMDS().fit(angles)
    >>> mds.stress_ < 1e-6
    True
    >>> (mds.embedding_[0] + mds.embedding_[1]).abs() < 1e-6
    tensor([True, True, True])
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        radius: float = 1.0,
        n_init: int = 4,
        max_iter: int = 1000,
        tol: float = 1e-7,
        seed: int | torch.Generator = 0,
    ):
        self.n_components = n_components
        self.radius = radius
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.seed = seed

    @torch.no_grad()
    def fit(self, distances: Any, y: Any = None, *, weights: Any = None) -> Self:
        """
        Find the points.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (n, n)
            Finite, symmetric, with zero diagonal, from 0 to pi times the radius; anything where the weight is
            zero.
        y : None
            Ignored; for pipelines.
        weights : array-like, shape (n, n), optional
            Of the squared differences; nonnegative, symmetric. Zero for a missing distance.

        Returns
        -------
        SphericalMDS
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` steps were not enough.
        """
        check_search(self)
        given, w, scale = as_weighted(distances, weights)
        check_table(self, len(given))
        d = self._as_angles(given)
        mass = w.sum(-1)

        def stress_and_step(x: Tensor) -> tuple[Tensor, Tensor]:
            squares, force = spherical_forces(x, x, d, w)
            return squares.sum(-1) / 2, force / torch.where(mass > 0, mass, 1.0)[:, None]

        def inner(a: Tensor, b: Tensor) -> Tensor:
            return (mass * (a * b).sum(-1)).sum(-1)

        goal = self._goal(d, w).sum().sqrt().expand(self.n_init)
        found = Descent.of(
            lower_stress(x, stress_and_step, inner, _retract, goal[: len(x)], self.max_iter)
            for x in self._starts(d, w).split(batches(d.numel()))
        )
        keep_best(self, found, _angles, d, w, unit=float(self.radius), scale=scale)
        x = in_principal_axes(self.embedding_)
        self.embedding_ = (x / x.norm(dim=-1, keepdim=True)).to(given.dtype)
        return self

    def _as_angles(self, distances: Tensor) -> Tensor:
        """Distances in radians, if they are not longer than half of a great circle."""
        if not (isinstance(self.radius, Real) and 0 < self.radius < _LARGEST):
            raise ValueError(
                f"radius must be positive and finite, got {self.radius!r}. Its square must be finite, too; "
                "1 is right for radians."
            )
        d = working_precision(distances) / float(self.radius)
        longest = float(d.max())
        if longest > math.pi * (1 + 8 * torch.finfo(distances.dtype).eps):
            raise ValueError(
                f"distances must be at most pi times the radius, {math.pi * self.radius:.6g}, got "
                f"{longest * self.radius:.6g}. Use a larger radius, or MetricMDS if they are no angles."
            )
        return d

    def _goal(self, d: Tensor, w: Tensor) -> Tensor:
        """Square of the step at which to stop, of every pair: not below the rounding of unit vectors."""
        return w * ((self.tol * d).square() + (8 * torch.finfo(d.dtype).eps) ** 2)

    def _starts(self, d: Tensor, w: Tensor) -> Tensor:
        """Shape (n_init, n, n_components + 1)."""
        n, k, generator = d.shape[0], self.n_components, as_generator(self.seed)
        noise = torch.randn(self.n_init, n, k + 1, generator=generator, dtype=d.dtype).to(d)
        full = filled(d, w).clamp_max(math.pi)
        values, basis = (a.flip(-1)[..., : k + 1] for a in spectrum(full.cos()))
        cosines = torch.nn.functional.pad(basis * values.clamp_min(0).sqrt(), (0, max(0, k + 1 - n)))
        pole = torch.eye(k + 1).to(d)[0]
        wrapped = torch.nn.functional.pad(torgerson(full, k, d.dtype)[1], (1, 0))
        known = torch.stack([_unit(cosines, pole), _SPHERE.expmap(pole, wrapped)])[: self.n_init]
        # Where a start is exact there is nothing to improve.
        improvable = d.new_tensor([stress(_angles(x), d, w) > self.tol for x in known])[:, None, None]
        jitter = JITTER * full.square().mean().sqrt() * improvable
        return _unit(torch.cat([known + jitter * noise[: len(known)], noise[len(known) :]]), pole)

    @torch.no_grad()
    def transform(self, distances: Any, weights: Any = None) -> Any:
        """
        Places of new points; the fitted ones stay where they are.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (q, n)
            From the new points to the fitted ones, at most pi times the radius.
        weights : array-like, shape (q, n), optional
            Nonnegative; zero for a missing distance.

        Returns
        -------
        Tensor or ndarray, shape (q, n_components + 1)
            Unit vectors, in the kind of `distances`.

        Raises
        ------
        NotFittedError, ShapeError, TypeError, ValueError

        Warns
        -----
        ConvergenceWarning

        Notes
        -----
        The squared differences to the fitted points are minimized for every new point, from the solution that
        is linear in the cosines and from the ends of a cross around the nearest fitted point, as far from it
        as the distance says.
        """
        given, w = as_weighted_rows(self, distances, weights)
        angles, x = self._as_angles(given), working_precision(self.embedding_)
        linear = torch.linalg.pinv(x)
        size = batches(x.shape[0] * (2 * x.shape[1] + 1))
        parts = [
            self._place(d, w_part, x, linear)
            for d, w_part in zip(angles.split(size), w.split(size), strict=True)
        ]
        return like(best_of_each(self, parts).to(given), distances)

    def _place(self, d: Tensor, w: Tensor, x: Tensor, linear: Tensor) -> Descent:
        axes, nearest = torch.eye(x.shape[1]).to(x), torch.where(w > 0, d, math.inf).argmin(-1)
        center, far = x[nearest, None], d.gather(-1, nearest[:, None])[..., None]
        arms = far * _unit(_SPHERE.proju(center, axes), 0 * axes[0])
        straight = _unit(typical(d, w).cos() @ linear.mT, axes[0])
        starts = [straight[:, None], _SPHERE.expmap(center, arms), _SPHERE.expmap(center, -arms)]
        goal = self._goal(d, w).sum(-1).sqrt()
        return place(torch.cat(starts, -2), x, d, w, spherical_forces, _retract, goal, self.max_iter)


def spherical_forces(x: Tensor, y: Tensor, d: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """
    What springs of lengths `d` along great circles hold and pull.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, k)
        Unit vectors that feel the force.
    y : Tensor, shape (*batch, n, k)
        Unit vectors at the other ends.
    d, w : Tensor, shape (*batch, m, n)
        Lengths in radians, and weights.

    Returns
    -------
    squares : Tensor, shape (*batch, m)
        ``sum_j w (angle - d)^2`` of every point of `x`.
    force : Tensor, shape (*batch, m, k)
        ``sum_j w (1 - d / angle) log_x(y_j)``, half of the negative gradient of `squares`. Coincident and
        opposite points, where the logarithm has no direction, add nothing.
    """
    chord, total = _chords(x, y)
    excess = 2 * torch.atan2(chord, total) - d
    sine = chord * total / 2
    held = w * excess
    pull = (held / sine).masked_fill_(sine == 0, 0.0) @ y
    return (held * excess).sum(-1), _SPHERE.proju(x, pull)


def _chords(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths of differences and sums; twice their arc tangent is the angle of `numerics.angles`."""
    return torch.cdist(x, y, compute_mode=EXACT), torch.cdist(x, -y, compute_mode=EXACT)


def _angles(x: Tensor) -> Tensor:
    return 2 * torch.atan2(*_chords(x, x))


def _retract(x: Tensor, step: Tensor) -> Tensor:
    moved = x + step
    return moved / moved.norm(dim=-1, keepdim=True)  # never zero: steps are orthogonal to x


def _unit(x: Tensor, instead: Tensor) -> Tensor:
    """Rows of unit length; `instead` for those that are zero."""
    length = x.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, x / torch.where(length > 0, length, 1.0), instead)
