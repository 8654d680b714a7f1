"""Networks that answer each input with a Gaussian, up to a rotation common to all inputs."""

from __future__ import annotations

import math
from numbers import Integral
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo._warnings import warn_user
from repsim_geo.errors import CutLocusWarning, ShapeError
from repsim_geo.manifolds.base import RiemannianManifold, point_shape, within
from repsim_geo.manifolds.first_variation import squared_distance
from repsim_geo.manifolds.gaussian_group import (
    NormalEquations,
    Turn,
    newton_step,
    pull,
    push,
    rotate,
    rotate_by,
    solve_again,
)
from repsim_geo.manifolds.gaussian_search import best_rotation, like, lower_bound2, search
from repsim_geo.numerics.alignment import cayley, finite_svd, working_precision
from repsim_geo.numerics.norms import inner, root_above_rounding, safe_sqrt, squared_norm, with_axes
from repsim_geo.numerics.tracing import any_true, readable

_SEED = 0
# Steps of the transport, each of at most half the radius of convergence of its series.
_MAX_STEPS = 128


class DistanceBounds(NamedTuple):
    """
    What is known about a distance that is a minimum over rotations with several local ones.

    Attributes
    ----------
    upper : Tensor, shape (*batch)
        The distance found, as ``dist`` returns it: the true one is not larger.
    lower : Tensor, shape (*batch)
        The true distance is not smaller.
    gap : Tensor, shape (*batch)
        ``upper - lower``; zero, up to rounding, proves that the minimum is global.
    n_starts : int
        Rotations from which the search began.
    spread : Tensor, shape (*batch)
        Largest less smallest local minimum that the starts led to, resolved to 1e-7 of the points; zero where
        all led to the same.
    """

    upper: Tensor
    lower: Tensor
    gap: Tensor
    n_starts: int
    spread: Tensor


class Aligned(NamedTuple):
    """A point in its best position, and the rotations that took it there."""

    point: Tensor
    rotation: Turn


class GaussianShapes(RiemannianManifold):
    """
    Sequences of m Gaussian distributions in p dimensions, up to one rotation or reflection of all of them.

    A point is a tensor (m, 1 + k, p). Row 0 of entry i is the mean of the i-th Gaussian, the other k rows are
    a factor F_i of its covariance ``F_i' F_i``. The squared distance is that of means plus that of Bures and
    Wasserstein of the covariances, summed over i, after the best rotation. So the space is the Euclidean
    space of these tensors modulo a rotation Q of all columns and a rotation R_i of the rows of each factor,
    ``(mean, F_i) -> (mean Q, R_i F_i Q)``: a Riemannian quotient, of nonnegative curvature. Tangent vectors
    are *horizontal*, orthogonal to the orbit; geodesics are straight lines with horizontal velocity.

    Weights, of means against covariances or of an average over inputs, are square roots in the rows: see
    `StochasticShape`.

    Parameters
    ----------
    centered : bool
        Means have mean zero over the inputs.
    starts : int
        Rotations from which the search for the best one begins, at least 3.

    Notes
    -----
    The distance is a minimum over rotations that has local minima. The search begins at several starts, for
    (x, y) and (y, x) at the same; it is deterministic, and leaves the global random state alone. So the
    distance is symmetric, and the triangle inequality can fail only where a global minimum was missed:
    `dist_bounds` says how far off that can be. Networks that resemble each other are aligned from the first
    start, the best rotation of the means, which is exact where covariances vanish or are isotropic.

    Where it is delicate: at points with larger symmetry (a mean direction and all covariances isotropic in
    one plane, factors of deficient rank) the tangent space is only a cone. Distances and geodesics are right
    there. Rotations that change nothing beyond 1e-7 of the point count as symmetries.

    Cost of one step of the search: m singular value decompositions (k, k) and one (p, p), for each start.
    Memory of tangent projections grows with p^4 up to p = 25; wider ones are solved by conjugate gradients.

    References
    ----------
    Duong et al. 2023. Derivations in docs/math/stochastic_shapes.md.

    Examples
    --------
    Two networks in one dimension, with means -1 and 1, and standard deviations 1 or 3: every one of the two
    Gaussians has to grow by 2.

    >>> import torch
    >>> x = torch.tensor([[[-1.0], [1.0]], [[1.0], [1.0]]])
    >>> y = torch.tensor([[[1.0], [3.0]], [[-1.0], [3.0]]])
    >>> GaussianShapes().dist2(x, y)
    tensor(8.)
    """

    __scaling__ = RiemannianManifold.__scaling__.copy()
    name = "GaussianShapes"
    ndim = 3
    # Horizontal noise is noise on the quotient, as for `Quotient`.
    reversible = True

    def __init__(self, *, centered: bool = True, starts: int = 48):
        super().__init__()
        _check_starts(starts)
        check_flag(centered, "centered")
        self.centered = centered
        self.starts = starts

    # ------------------------------------------------------------------ distances and geodesics

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product of horizontal vectors; shape (*batch)."""
        v = u if v is None else v
        return self._expand(inner(u, v, 3, keepdim=keepdim), x, u, v, keepdim=keepdim)

    def align(self, x: Tensor, y: Tensor) -> Aligned:
        """
        Rotate `y` as close as possible to `x`.

        Parameters
        ----------
        x, y : Tensor, shape (*batch, m, 1 + k, p)

        Returns
        -------
        Aligned
            ``point``, shape (*batch, m, 1 + k, p), and ``rotation``, in working precision. Differentiable
            twice.

        Notes
        -----
        The optimum is found without a graph; two steps of Newton's method with a constant Hessian, which
        leave it where it is, carry first and second derivatives.
        """
        _check_same_size(x, y)
        a, b = torch.broadcast_tensors(working_precision(x), working_precision(y))
        rotation = best_rotation(a.detach(), b.detach(), self.starts)
        moved = rotate(b, rotation)
        equations = NormalEquations(a.detach(), moved.detach(), torch.finfo(x.dtype).eps)
        for _ in range(3):
            step = newton_step(equations, a, moved).map(cayley)
            # Where the search has not come to rest, Newton's method may lead away: stay there.
            worse = _farther(a.detach(), rotate_by(moved, step).detach(), moved.detach())
            step = step.map(lambda s, worse=worse: torch.where(like(worse, s), 0.0, s))
            moved = rotate_by(moved, step)
            rotation = Turn(
                rotation.columns + rotation.columns @ step.columns, rotation.rows + step.rows @ rotation.rows
            )
        return Aligned(moved, rotation)

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance; shape (*batch). Derivatives of first and second order are exact."""
        _check_same_size(x, y)
        return squared_distance(self, *torch.broadcast_tensors(x, y), keepdim=keepdim)

    def _squared(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        aligned, (columns, rows) = self.align(x, y)
        return squared_norm(x.to(aligned.dtype) - aligned, 3).to(x.dtype), aligned, columns, rows

    def _squared_gradients(  # pyright: ignore[reportIncompatibleMethodOverride]  # takes what _squared kept
        self, x: Tensor, y: Tensor, aligned: Tensor, columns: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        rotation = Turn(columns, rows)
        # As in `Quotient`: only a Hessian needs the derivative of the best rotations.
        if torch.is_grad_enabled():
            aligned, rotation = self.align(x, y)
        w = 2 * (x.to(aligned.dtype) - aligned)
        back = rotate(w.to(rotation.columns.dtype), rotation.map(lambda r: r.mT))
        return w.to(x.dtype), -back.to(y.dtype)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Distance; shape (*batch). Zero, with zero gradient, below the rounding of an alignment."""
        d2 = self.dist2(x, y, keepdim=keepdim)
        size2 = torch.maximum(*(squared_norm(w.detach(), 3, keepdim=keepdim) for w in (x, y)))
        return root_above_rounding(d2, size2)

    def dist_bounds(self, x: Tensor, y: Tensor) -> DistanceBounds:
        """
        Distance with a lower bound, and what the search saw.

        Parameters
        ----------
        x, y : Tensor, shape (*batch, m, 1 + k, p)

        Returns
        -------
        DistanceBounds
            Constants for autograd.

        Notes
        -----
        The lower bound is the best of three. Each term of the sum minimized on its own: the shape distance of
        the means, and differences of sorted spectra. The spectra of all second moments together. And a
        certificate: around the rotation found the objective lies above a quadratic form, whose smallest value
        over all rotations is bounded by an eigenvalue (see docs/math/stochastic_shapes.md); up to p = 16.

        Examples
        --------
        >>> import torch
        >>> x, y = torch.eye(2).expand(3, 1, 2, 2), 2 * torch.eye(2).expand(3, 1, 2, 2)
        >>> x, y = (torch.cat([torch.zeros(3, 1, 1, 2), w], -2)[:, 0] for w in (x, y))
        >>> bounds = GaussianShapes().dist_bounds(x, y)  # isotropic: three times |I - 2 I|^2 = 2
        >>> round(float(bounds.upper) ** 2, 4), bool(bounds.gap < 1e-6)
        (6.0, True)
        """
        _check_same_size(x, y)
        with torch.no_grad():
            upper = self.dist(x, y)
            a, b = torch.broadcast_tensors(working_precision(x), working_precision(y))
            total = squared_norm(a, 3) + squared_norm(b, 3)
            values = search(a, b, self.starts, keep_all=True)[1]
            heights = (total[..., None] - 2 * values).clamp_min(0).sqrt()
            lower = safe_sqrt(lower_bound2(a, self.align(a, b).point)).to(x.dtype).clamp_max(upper)
            spread = (heights.amax(-1) - heights.amin(-1)).to(x.dtype)
        return DistanceBounds(upper, lower, upper - lower, values.shape[-1], spread)

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """Straight line with horizontal velocity: ``x + u``."""
        return x + u

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Horizontal vector from `x` to the representative of `y` that is nearest to `x`."""
        aligned = self.align(x, y).point
        return (aligned - x.to(aligned.dtype)).to(y.dtype)

    # ------------------------------------------------------------------ transport

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """
        Parallel transport of `v` along the geodesic with velocity `u`: a power series, exact up to rounding.

        Warns
        -----
        CutLocusWarning
            When the geodesic runs through a point of larger symmetry, which shortest paths between regular
            points never do; the horizontal projection at full length is returned.
        """
        end = self.expmap(x, u)
        moved = _carry(x, u, v)
        lost = moved.isnan().flatten(-3).any(-1)[..., None, None, None]
        moved = self.proju(end, torch.where(lost, 0.0, moved))
        before, after = self.norm(x, v, keepdim=True), self.norm(end, moved, keepdim=True)
        # A vector below the rounding of the point need not be horizontal, and tells nothing.
        noise = 64 * torch.finfo(v.dtype).eps * self.norm(x, x, keepdim=True)
        broken = lost | ~((after - before).abs() <= 1e-3 * before + noise)
        if not any_true(broken):
            return moved
        if readable(broken):
            warn_user(
                "parallel transport through a point of larger symmetry does not exist; the vector was "
                "projected and rescaled instead. Take shorter steps, or fewer columns p, if the direction "
                "matters.",
                CutLocusWarning,
            )
        flat = self.proju(end, v)
        rest = self.norm(end, flat, keepdim=True)
        return torch.where(broken, flat * before / torch.where(rest > 0, rest, 1.0), moved)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport along the minimal geodesic, returned at the representative `y`."""
        aligned, rotation = self.align(x, y)
        moved = self.carry(x, (aligned - x.to(aligned.dtype)).to(v.dtype), v)
        return rotate(moved.to(rotation.columns.dtype), rotation.map(lambda r: r.mT)).to(v.dtype)

    # ------------------------------------------------------------------ projections

    def projx(self, x: Tensor) -> Tensor:
        """Point with centered means."""
        if not self.centered:
            return x.contiguous()
        return torch.cat([x[..., :1, :] - x[..., :1, :].mean(-3, keepdim=True), x[..., 1:, :]], -2)

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection to the horizontal space at `x`."""
        shape = torch.broadcast_shapes(x.shape, u.shape)
        a, w = working_precision(x), working_precision(self.projx(u))
        equations = NormalEquations(a.detach(), a.detach(), torch.finfo(x.dtype).eps)
        # The first pass is the projection; the others remove its rounding, and carry first and second
        # derivatives.
        for _ in range(3):
            w = w - push(a, equations.solve(pull(a, w)))
        return self.projx(w.to(u.dtype).expand(shape))

    def random(self, *size, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal tensor with centered means."""
        return self._as_point(
            self.projx(self._normal(*size, dtype=dtype, device=device, generator=generator))
        )

    # ------------------------------------------------------------------ facts

    def dim(self, *point) -> int:
        """Dimension of the tensors less that of a generic orbit."""
        m, rows, p = point_shape(point)
        k, free = rows - 1, m - self.centered

        def turns(n: int, rank: int) -> int:
            return n * (n - 1) // 2 - (n - rank) * (n - rank - 1) // 2

        total = free * p + m * k * p
        return total - m * turns(k, min(k, p)) - turns(p, min(p, free + m * min(k, p)))

    def injectivity_radius(self, x: Tensor | None = None) -> float | Tensor:
        """
        Radius up to which ``logmap`` provably inverts ``expmap``; the largest such radius can be larger.

        With a the smallest singular value of the means (as a matrix (m, p)), and b_i and c_i the smallest and
        the largest of factor i, the smallest ``a b / sqrt((b + c)^2 + a^2)``. Zero where the means do not
        span all p dimensions or a factor does not have k independent rows; 0 over all points.
        """
        if x is None:
            return 0.0
        means, factors = x[..., 0, :], x[..., 1:, :]
        m, k, p = factors.shape[-3:]
        if m - self.centered < p or p < k:
            return x.new_zeros(x.shape[:-3])
        a = finite_svd(means)[1][..., -1:]
        s = finite_svd(factors)[1]
        b, c = s[..., -1], s[..., 0]
        return (a * b / torch.where(a * b > 0, torch.hypot(b + c, a), 1.0)).amin(-1)

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """
        Largest time at which ``logmap`` finds the straight line to be the shortest path; shape (*batch).

        Measured, by halving the angle ``atan(t |u| / |x|)`` sixteen times: a geodesic that is shortest at one
        time is so at all earlier ones. Like ``dist`` it relies on global minima being found, and is too large
        where one was missed.
        """
        a, b = torch.broadcast_tensors(working_precision(x.detach()), working_precision(u.detach()))
        size, speed = self.norm(a, a), self.norm(a, b)
        unit = size / torch.where(speed > 0, speed, 1.0)
        low, high = torch.zeros_like(size), torch.full_like(size, math.pi / 2)
        for _ in range(16):
            middle = (low + high) / 2
            step = with_axes(middle.tan() * unit, 3) * b
            shortest = self.norm(a, self.logmap(a, a + step) - step) <= 1e-6 * (size + self.norm(a, step))
            low, high = torch.where(shortest, middle, low), torch.where(shortest, high, middle)
        return torch.where(high == math.pi / 2, math.inf, ((low + high) / 2).tan() * unit).to(x.dtype)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """O'Neill: three quarters of the squared vertical bracket over the squared area; shape (*batch)."""
        v, area = self._spanned(x, u, v)
        a, b, c = (working_precision(w) for w in (x, u, v))
        equations = NormalEquations(a.detach(), a.detach(), torch.finfo(x.dtype).eps)
        vertical = push(a, solve_again(a, equations, pull(b, c)))
        return 3 * squared_norm(vertical, 3).to(x.dtype) / area

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"centered={self.centered}, starts={self.starts}"

    # ------------------------------------------------------------------ checks

    def _check_shape(self, shape, name):
        shape = tuple(shape)
        if len(shape) < 3 or shape[-2] < 2:
            return False, f"'{name}' on the {self} needs shape (*batch, m, 1 + k, p) with k > 0, got {shape}"
        return True, None

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5):
        if not within(x - self.projx(x), x, 3, atol, rtol):
            return False, "means are not centered over the inputs, or not finite"
        return True, None

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5):
        if not within(u - self.proju(x, u), u, 3, atol, rtol):
            return False, "not horizontal: not orthogonal to the orbit of x, or not finite"
        return True, None


def _farther(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Whether y is farther from x than z is, by more than rounding; shape (*batch)."""
    size = squared_norm(x, 3) + squared_norm(z, 3)
    return squared_norm(x - y, 3) - squared_norm(x - z, 3) > 64 * torch.finfo(x.dtype).eps * size


def _check_starts(starts: int) -> None:
    if isinstance(starts, bool) or not isinstance(starts, Integral) or starts < 3:
        raise ValueError(f"starts must be a whole number, at least 3, got {starts!r}. More starts miss less.")


def _check_same_size(x: Tensor, y: Tensor) -> None:
    if x.shape[-3:] != y.shape[-3:]:
        raise ShapeError(
            f"points must have the same inputs, rows and columns, got {tuple(x.shape[-3:])} and "
            f"{tuple(y.shape[-3:])}. "
            "Embed both with one metric whose width p is given, or through metric.resolve([x, y])."
        )


# ---------------------------------------------------------------------- transport


@torch.compiler.disable
def _carry(x: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """
    Carry the horizontal vector `u` along the line ``x + t v``, t from 0 to 1.

    ``u + J_g f' - J_v f`` with the skew pair f of the module `shape_transport`, here of columns and rows; the
    same derivation, and the same recursion for its power series.
    """
    dtype = u.dtype
    x, v, u = torch.broadcast_tensors(*(working_precision(w) for w in (x, v, u)))
    eps = torch.finfo(dtype).eps
    left = torch.ones_like(x[..., :1, :1, :1])
    for _ in range(_MAX_STEPS):
        equations = NormalEquations(x.detach(), x.detach(), eps)
        step = torch.minimum(left, 0.5 / _growth(x.detach(), v.detach(), equations))
        u, step = _series(x, v, u, step, equations, eps)
        x, left = x + step * v, left - step
        if not any_true(left > 0):
            break
    # What is left after so many steps leads into a singular point: a vector that is not carried tells
    # `carry`.
    return torch.where(left > 0, torch.nan, u).to(dtype)


@torch.no_grad()
def _growth(x: Tensor, v: Tensor, equations: NormalEquations) -> Tensor:
    """Estimate of ``|J_v (J*J)^(-1/2)|``, the reciprocal of the radius of convergence; (*batch, 1, 1, 1)."""
    noise = torch.from_numpy(np.random.default_rng(_SEED).normal(size=x.shape[-3:])).to(x)
    turn = equations.solve(pull(x, noise.expand_as(x)))
    rho2 = torch.zeros_like(x[..., :1, :1, :1])
    for _ in range(12):
        size = safe_sqrt(squared_norm(push(x, turn), 3, keepdim=True))
        shrink = 1 / torch.where(size > 0, size, 1.0)
        turn = Turn(turn.columns * shrink[..., 0], turn.rows * shrink)
        pushed = push(v, turn)
        rho2 = torch.maximum(rho2, squared_norm(pushed, 3, keepdim=True))
        turn = equations.solve(pull(v, pushed))
    return rho2.sqrt().clamp_min(torch.finfo(x.dtype).tiny)


def _series(
    x: Tensor, v: Tensor, u: Tensor, h: Tensor, equations: NormalEquations, eps: float
) -> tuple[Tensor, Tensor]:
    """Carry `u` along ``x + t v`` from 0 to h, or to less where the series turns out to converge slower."""
    # One bit a term, and a few for what rounding makes of them.
    n = 6 - round(math.log2(eps))
    c = pull(v, u)
    step = Turn(h[..., 0], h)
    zero = c.map(torch.zeros_like)
    # Terms are f_k h^(k-1), from k = 2.
    terms = [zero, solve_again(x, equations, c.map(lambda a, t: -t * a / 2, step))]
    for k in range(2, n):
        near, far = pull(x, push(v, terms[-1])), pull(v, push(v, terms[-2]))
        rhs = near.map(lambda n, w, t, k=k: ((1 - 2 * k) * t * n + (2 - k) * t * t * w) / (k + 1), far, step)
        terms.append(solve_again(x, equations, rhs))
    sizes = [squared_norm(push(x.detach(), t.map(Tensor.detach)), 3, keepdim=True) for t in terms]
    largest = torch.stack(sizes).amax(0)
    last = torch.maximum(sizes[-1], sizes[-2]) / torch.where(largest > 0, largest, 1.0)
    floor = (eps / 8) ** 2
    shrink = (floor / last.clamp_min(floor)) ** (0.5 / n)
    h = h * shrink
    shrink = Turn(shrink[..., 0], shrink)
    value = slope = zero
    for k, term in enumerate(terms, start=1):
        term = term.map(lambda a, s, k=k: a * s ** (k - 1), shrink)
        value = value.map(torch.add, term)
        slope = slope.map(lambda a, b, k=k: a + k * b, term)
    return u + push(x + h * v, slope) - h * push(v, value), h
