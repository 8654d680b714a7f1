"""Symmetric positive definite matrices, with the affine-invariant and with the log-Euclidean metric."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo.manifolds.base import RiemannianManifold, pair_table, point_shape, within
from repsim_geo.manifolds.first_variation import squared_distance
from repsim_geo.numerics.alignment import (
    finite_eigenvalues,
    finite_singular_values,
    finite_svd,
    working_precision,
)
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import inner, root_above_rounding, safe_norm, squared_norm, with_axes
from repsim_geo.numerics.symmetric import (
    EXP,
    LOG,
    SQRT,
    Spectrum,
    finite_cholesky,
    spectral,
    spectral_derivative,
    spectrum,
)
from repsim_geo.numerics.tracing import any_true, constant

# Smallest over largest eigenvalue, below which eigenvalues of squares have lost two digits.
_WIDE = 1e-2
# Distance of eigenvalues from one, below which the distance is nothing but their rounding, or not much more.
_NEAR = 1e-3


class SPD(RiemannianManifold):
    """
    What the spaces of symmetric positive definite matrices (n, n) share: points, tangent vectors, checks.

    All matrices are decomposed in float64 and results rounded once: the logarithm of a small eigenvalue needs
    every digit of it.
    """

    __scaling__ = RiemannianManifold.__scaling__.copy()
    full_rank = True
    sensitive = True
    definite = True

    def projx(self, x: Tensor) -> Tensor:
        """
        Symmetric part, with the absolute values of its eigenvalues.

        The positive definite matrices are an open cone: nothing in it is nearest to a matrix outside.
        Eigenvalues of nothing but rounding are raised to the rounding of the largest.
        """
        return with_positive_eigenvalues(x, x.shape[-1] * torch.finfo(x.dtype).eps)

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Symmetric part; the same at every point."""
        return symmetrize(u).expand(torch.broadcast_shapes(x.shape, u.shape)).contiguous()

    def retr(self, x: Tensor, u: Tensor) -> Tensor:
        """Exponential map, which is positive definite by construction."""
        return self.expmap(x, u)

    def random(self, *size, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Exponential of a symmetric matrix with normal entries; eigenvalues around one."""
        a = self._normal(*size, dtype=dtype, device=device, generator=generator)
        return self._as_point(spectral(EXP, symmetrize(a) / math.sqrt(a.shape[-1])))

    def origin(self, *size, dtype=None, device=None, seed: int | None = 42) -> Tensor:
        """Return the identity; `seed` is ignored."""
        shape = point_shape(size)
        self._assert_check_shape(shape, "x")
        eye = torch.eye(shape[-1], dtype=dtype, device=device)
        return self._as_point(eye.expand(shape).contiguous())

    def dim(self, *point) -> int:
        """Entries on and above the diagonal."""
        n = point_shape(point)[-1]
        return n * (n + 1) // 2

    def injectivity_radius(self, x: Tensor | None = None) -> float | Tensor:
        """Infinite: every two points have one geodesic, and it is the shortest path."""
        return math.inf

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """Infinite; shape (*batch)."""
        return torch.full_like(self.inner(x, u), math.inf)

    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """Infinite: in a simply connected space without positive curvature every mean is unique."""
        return torch.full_like(super().uniqueness_radius(x), math.inf)

    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """One: without positive curvature the Hessian of half the squared distance has no smaller value."""
        return torch.ones_like(d)

    # ------------------------------------------------------------------ checks

    def _check_shape(self, shape, name) -> tuple[bool, str | None]:
        shape = tuple(shape)
        if len(shape) < 2:
            return False, f"'{name}' on the {self} needs at least 2 axes, got shape {shape}"
        if shape[-1] != shape[-2]:
            return False, f"'{name}' on the {self}: expected a square matrix, got shape {shape}"
        return True, None

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(x - x.mT, x, self.ndim, atol, rtol):
            return False, "not symmetric, or not finite"
        if not bool(finite_cholesky(working_precision(symmetrize(x))).isfinite().all()):
            return False, "not positive definite: an eigenvalue is zero or negative"
        return True, None

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(u - u.mT, u, self.ndim, atol, rtol):
            return False, "not symmetric, or not finite"
        return True, None


def with_positive_eigenvalues(x: Tensor, floor: float) -> Tensor:
    """
    Symmetric part, with the absolute values of its eigenvalues, at least a share of the largest.

    Parameters
    ----------
    x : Tensor, shape (*batch, n, n)
    floor : float
        The share.

    Returns
    -------
    Tensor, shape (*batch, n, n)
        Matrices that have such eigenvalues stay as they are, to the last digit.
    """
    a = symmetrize(working_precision(x))
    values, basis = spectrum(a)
    size = values.abs()
    positive = torch.maximum(size, floor * size.amax(-1, keepdim=True))
    moved = a + (basis * (positive - values)[..., None, :]) @ basis.mT
    return symmetrize(moved).to(x.dtype).contiguous()


class AffineInvariantSPD(SPD):
    """
    Positive definite matrices with the metric that no congruence ``a -> g a g'`` changes.

    The distance is the root of the sum of squared logarithms of the eigenvalues of ``x^-1 y``. It does not
    change under inversion either. The space has no positive curvature: geodesics, means and projections are
    unique.

    Notes
    -----
    Everything is computed from the Cholesky factor l of `x` and the singular values s of ``l^-1 l_y``, whose
    squares are the eigenvalues: that keeps small ones, which are lost when ``l^-1 y l^-T`` is formed.
    Gradients of distances are logarithms, so they are finite at equal eigenvalues and at equal points.

    Where it is delicate: near the boundary. Matrices that are not positive definite give nan (an optimizer
    that overshoots can go back), and a matrix of condition c carries its logarithm with a relative error of c
    eps.

    References
    ----------
    Pennec, Fillard and Ayache 2006; Bhatia 2007.

    Examples
    --------
    >>> import torch
    >>> spd = AffineInvariantSPD()
    >>> one, two = torch.eye(2), torch.diag(torch.tensor([torch.e, torch.e]))
    >>> spd.dist(one, two)  # two eigenvalues, each e times larger
    tensor(1.4142)
    >>> spd.geodesic(0.5, one, two)
    tensor([[1.6487, 0.0000],
            [0.0000, 1.6487]])
    """

    __scaling__ = SPD.__scaling__.copy()
    name = "AffineInvariantSPD"
    second_order = True
    congruent = True

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product ``tr(x^-1 u x^-1 v)``; shape (*batch)."""
        factor = _factor(x)
        a = _whitened(factor, u)
        b = a if v is None else _whitened(factor, v)
        product = inner(a, b, 2, keepdim=keepdim).to(u.dtype)
        return self._expand(product, x, u, u if v is None else v, keepdim=keepdim)

    def _squared(self, x: Tensor, y: Tensor) -> tuple[Tensor]:
        return (_squared_distance_of_factors(_factor(x), _factor(y)).to(x.dtype),)

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance; shape (*batch). Derivatives of first and second order are exact."""
        return squared_distance(self, x, y, keepdim=keepdim)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Distance; shape (*batch). Zero, with zero gradient, below the rounding of a logarithm."""
        d2 = self.dist2(x, y, keepdim=keepdim)
        return root_above_rounding(d2, d2.new_full((), x.shape[-1]))

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """
        All distances between two stacks (*batch, n, p, p) and (*batch, k, p, p); shape (*batch, n, k).

        As in ``dist``, but every matrix is factored once. Of a stack with itself every pair is computed once.
        """
        if not (constant(x) and constant(y)):
            return super().cdist(x, y)
        a = _factor(x)
        b = a if x is y else _factor(y)
        return pair_table(_distance_of_factors, a, b, 2).to(torch.result_type(x, y))

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """``l exp(l^-1 u l^-T) l'`` with the Cholesky factor l of `x`."""
        factor = _factor(x)
        return _colored(factor, spectral(EXP, _whitened(factor, u))).to(x.dtype)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """``l log(l^-1 y l^-T) l'`` with the Cholesky factor l of `x`."""
        factor, c, eigen = _pencil(x, y)
        return _colored(factor, spectral(LOG, c, eigen)).to(y.dtype)

    def geodesic(self, t: float | Tensor, x: Tensor, y: Tensor) -> Tensor:
        """``l (l^-1 y l^-T)^t l'``: weighted geometric means; shape (*batch, n, n), broadcast with `t`."""
        factor, c, eigen = _pencil(x, y)
        t = torch.as_tensor(t, dtype=c.dtype, device=c.device)
        rates = Spectrum(eigen.values.log() * (t * t.new_ones(1, 1))[..., 0], eigen.basis)
        power = spectral(EXP, t * spectral(LOG, c, eigen), rates)
        return _colored(factor, power).to(x.dtype)

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Parallel transport: the congruence by ``l exp(l^-1 u l^-T / 2) l^-1``."""
        factor = _factor(x)
        root = spectral(EXP, _whitened(factor, u) / 2)
        return _colored(factor, root @ _whitened(factor, v) @ root).to(v.dtype)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport: the congruence by ``(y x^-1)^(1/2)``."""
        factor, c, eigen = _pencil(x, y)
        root = spectral(SQRT, c, eigen)
        return _colored(factor, root @ _whitened(factor, v) @ root).to(v.dtype)

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """
        Logarithm, and the Hessian in its eigenbasis: ``g coth g`` for half the gap g of two eigenvalues.

        See Pennec 2006.
        """
        factor, c, eigen = _pencil(x, y)
        basis, rates = eigen.basis, eigen.values.log() / 2
        gaps = rates[..., :, None] - rates[..., None, :]
        stretch = torch.where(gaps == 0, 1.0, gaps / torch.where(gaps == 0, 1.0, gaps).tanh())

        def hessian(u: Tensor) -> Tensor:
            w = stretch * (basis.mT @ _whitened(factor, u) @ basis)
            return _colored(factor, basis @ w @ basis.mT).to(u.dtype)

        return _colored(factor, spectral(LOG, c, eigen)).to(y.dtype), hessian

    def rough_mean(self, points: Tensor, weights: Tensor) -> Tensor:
        """Mean of the log-Euclidean metric; shape (*batch, n, n)."""
        return _log_mean(points, weights)

    def egrad2rgrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian gradient ``x sym(u) x``."""
        return symmetrize(x @ symmetrize(u) @ x)

    def isotropic(self, x: Tensor, z: Tensor) -> Tensor:
        """``l sym(z) l'`` with the Cholesky factor l of `x`."""
        return _colored(_factor(x), working_precision(symmetrize(z))).to(x.dtype)

    def rgrad2egrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Euclidean gradient ``x^-1 u x^-1``."""
        factor = _factor(x)
        half = torch.cholesky_solve(
            working_precision(u).expand(_batched(x, u)), factor.expand(_batched(x, u))
        )
        whole = torch.cholesky_solve(half.mT, factor.expand(_batched(x, u)))
        return symmetrize(whole).to(u.dtype)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Minus a quarter of the squared commutator: -1/2 to 0; nan for parallel vectors; shape (*batch)."""
        v, area = self._spanned(x, u, v)
        factor = _factor(x)
        a, b = _whitened(factor, u), _whitened(factor, v)
        return (-squared_norm(a @ b - b @ a, 2) / 4).to(u.dtype) / area


def _factor(x: Tensor) -> Tensor:
    return finite_cholesky(working_precision(x))


def _batched(x: Tensor, u: Tensor) -> torch.Size:
    return torch.broadcast_shapes(x.shape, u.shape)


def _whitened(factor: Tensor, w: Tensor) -> Tensor:
    """``l^-1 w l^-T``: what a matrix at `x` looks like from the identity."""
    half = torch.linalg.solve_triangular(factor, working_precision(w), upper=False)
    return torch.linalg.solve_triangular(factor, half.mT, upper=False).mT


def _colored(factor: Tensor, w: Tensor) -> Tensor:
    """``l w l'``: back again."""
    return symmetrize(factor @ w @ factor.mT)


def _relative_factor(a: Tensor, b: Tensor) -> Tensor:
    """``a^-1 b``; of near factors from their difference, so that equal ones give exactly the identity."""
    change = b - a
    near = squared_norm(change, 2, keepdim=True) < squared_norm(a, 2, keepdim=True) / 4
    if not any_true(near):
        return torch.linalg.solve_triangular(a, b, upper=False)
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return near * eye + torch.linalg.solve_triangular(a, torch.where(near, change, b), upper=False)


def _squared_distance_of_factors(a: Tensor, b: Tensor) -> Tensor:
    return 4 * finite_singular_values(_relative_factor(a, b)).log().square().sum(-1)


def _distance_of_factors(a: Tensor, b: Tensor) -> Tensor:
    """From eigenvalues, in two thirds of the time; from singular values where eigenvalues lose digits."""
    quotient = _relative_factor(a, b)
    values = finite_eigenvalues(quotient @ quotient.mT)
    near = (values - 1).abs().amax(-1) < _NEAR
    exact = near | (values[..., 0] < _WIDE * values[..., -1])
    if any_true(exact):
        again = finite_singular_values(quotient[exact]).square().flip(-1)
        values = values.masked_scatter(exact[..., None], again)
    d2 = values.log().square().sum(-1)
    return root_above_rounding(d2, d2.new_full((), a.shape[-1]))


def _pencil(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Spectrum]:
    """Cholesky factor l of `x`, ``c = l^-1 y l^-T``, and the spectrum of c from singular values."""
    factor = _factor(x)
    with torch.no_grad():
        basis, s, _ = finite_svd(_relative_factor(factor, _factor(y)))
    return factor, _whitened(factor, y), Spectrum(s.square(), basis)


class LogEuclideanSPD(SPD):
    """
    Positive definite matrices with the Euclidean metric of their logarithms: ``d = |log x - log y|``.

    A flat space in curved coordinates: means are exponentials of mean logarithms. Distances change neither
    under rotations of both points, nor scaling of both, nor inversion.

    Notes
    -----
    All maps are those of the vector space of logarithms, taken there and back by the derivatives of the
    matrix logarithm and exponential.

    Where it is delicate: near the boundary, where logarithms grow; matrices that are not positive definite
    give nan.

    References
    ----------
    Arsigny, Fillard, Pennec and Ayache 2007.

    Examples
    --------
    >>> import torch
    >>> spd = LogEuclideanSPD()
    >>> spd.dist(torch.eye(2), torch.diag(torch.tensor([torch.e, 1.0])))
    tensor(1.)
    """

    __scaling__ = SPD.__scaling__.copy()
    name = "LogEuclideanSPD"
    second_order = True
    flat = True

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product of the derivatives of the logarithm; shape (*batch)."""
        chart = _Chart(x)
        a = chart.down(u)
        b = a if v is None else chart.down(v)
        product = inner(a, b, 2, keepdim=keepdim).to(u.dtype)
        return self._expand(product, x, u, u if v is None else v, keepdim=keepdim)

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance; shape (*batch). Derivatives of first and second order are exact."""
        return squared_norm(_Chart(x).log - _Chart(y).log, 2, keepdim=keepdim).to(x.dtype)

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """
        All distances between two stacks (*batch, n, p, p) and (*batch, k, p, p); shape (*batch, n, k).

        As in ``dist``, with one logarithm a matrix.
        """
        a = _Chart(x).log
        b = a if x is y else _Chart(y).log
        return pair_table(lambda u, v: safe_norm(u - v, 2), a, b, 2).to(torch.result_type(x, y))

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """Exponential of a straight line of logarithms."""
        chart = _Chart(x)
        return symmetrize(spectral(EXP, chart.log + chart.down(u))).to(x.dtype)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Difference of logarithms, as a vector at `x`."""
        chart = _Chart(x)
        return chart.up(_Chart(y).log - chart.log).to(y.dtype)

    def geodesic(self, t: float | Tensor, x: Tensor, y: Tensor) -> Tensor:
        """``exp((1 - t) log x + t log y)``; shape (*batch, n, n), broadcast with `t`."""
        a, b = _Chart(x).log, _Chart(y).log
        t = torch.as_tensor(t, dtype=a.dtype, device=a.device)
        return symmetrize(spectral(EXP, a + t * (b - a))).to(x.dtype)

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """The same vector of logarithms, at the other end."""
        return self.transp(x, self.expmap(working_precision(x), working_precision(u)), v)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """The same vector of logarithms, at `y`; no path matters in a flat space."""
        return _Chart(y).up(_Chart(x).down(v)).to(v.dtype)

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Logarithm, and the identity."""
        return self.logmap(x, y), lambda u: u

    def rough_mean(self, points: Tensor, weights: Tensor) -> Tensor:
        """The mean itself: the exponential of the mean logarithm; shape (*batch, n, n)."""
        return _log_mean(points, weights)

    def egrad2rgrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian gradient: the derivative of the exponential, twice."""
        chart = _Chart(x)
        return chart.up(chart.up(u)).to(u.dtype)

    def isotropic(self, x: Tensor, z: Tensor) -> Tensor:
        """``sym(z)`` in the space of logarithms."""
        return _Chart(x).up(symmetrize(z)).to(x.dtype)

    def rgrad2egrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Euclidean gradient: the derivative of the logarithm, twice."""
        chart = _Chart(x)
        return chart.down(chart.down(u)).to(u.dtype)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Zero; shape (*batch)."""
        return torch.zeros_like(self.inner(x, u, v))


def _log_mean(points: Tensor, weights: Tensor) -> Tensor:
    """Exponential of the mean logarithm."""
    mean = (with_axes(weights.to(points), 2) * _Chart(points).log).sum(-3)
    return symmetrize(spectral(EXP, mean)).to(points.dtype)


class _Chart:
    """The logarithm at one point: vectors go down to the space of logarithms, and up again."""

    def __init__(self, x: Tensor):
        self.x = working_precision(x)
        self.eigen = spectrum(symmetrize(self.x))
        self.log = symmetrize(spectral(LOG, self.x, self.eigen))

    def down(self, u: Tensor) -> Tensor:
        return symmetrize(spectral_derivative(LOG, self.x, working_precision(u), self.eigen))

    def up(self, w: Tensor) -> Tensor:
        logs = Spectrum(self.eigen.values.log(), self.eigen.basis)
        return symmetrize(spectral_derivative(EXP, self.log, working_precision(w), logs))
