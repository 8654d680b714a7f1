r"""
Exact parallel transport in shape spaces, R^(m x p) or its unit sphere modulo rotations of the columns.

Along the horizontal line ``g(t) = x + t v`` a horizontal field V is parallel if its derivative is vertical,
``V' = g A`` with ``{S, A} = V'v - v'V`` and ``S = g'g``. Integrating twice, all of V follows from one
skew-symmetric matrix f with f(0) = 0::

    V(t) = u + g f' - v f,      {S(t), f'} = {S'(t)/2, f} + t C,      C = u'v - v'u

(primes on matrices are transposes, primes on f derivatives, {a, b} = ab + ba). The coefficients of
``f = sum_k f_k t^k`` obey, with N = x'v (symmetric) and W = v'v, and f_0 = f_1 = 0::

    (k + 1) {S, f_(k+1)} = (1 - 2k) {N, f_k} + (2 - k) {W, f_(k-1)} + [k = 1] C

The series converges for ``t < 1 / rho``, ``rho = |v S^(-1/2)|``; steps of half that length gain one bit
a term. On the unit sphere, transport by an angle a along a great circle orthogonal to u is *the same
matrix* as transport along the line ``x + tan(a) v`` (a cone is flat along its rays), so one routine serves
both. See docs/math/shape_transport.md for the derivation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.manifolds.actions import singular_basis
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.angles import one_minus_cos, sinc
from repsim_geo.numerics.norms import inner, safe_norm, squared_norm
from repsim_geo.numerics.sylvester import skew_solver
from repsim_geo.numerics.tracing import any_true

# A shortest path never comes nearer to a singular point than its length times the remaining digits, and
# every step halves or doubles that nearness: twice the number of bits is enough.
_MAX_STEPS = 128


# The number of steps depends on the data, so torch.compile runs these two functions as they are. Under vmap,
# where nobody can see that all is done, the largest number of steps is taken.


@torch.compiler.disable
def carry_in_flat(x: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """
    Carry the horizontal vector `u` along the line ``x + t v``, t from 0 to 1, in size-and-shape space.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)
    v : Tensor, shape (*batch, m, p)
        Velocity, horizontal at `x`.
    u : Tensor, shape (*batch, m, p)
        Horizontal at `x`.

    Returns
    -------
    Tensor, shape (*batch, m, p)
        Horizontal at ``x + v``.

    Notes
    -----
    Where it is delicate: at points of deficient rank the space has no tangent space, only a cone, and a
    vector in a missing direction has no transport. Such directions are frozen for the first step; the
    result is finite and horizontal but, for them, a choice.
    """
    dtype = u.dtype
    x, v, u = torch.broadcast_tensors(*(working_precision(w) for w in (x, v, u)))
    floor = _floor(x, v, dtype)
    left = x.new_ones(x.shape[:-2])[..., None, None]
    for _ in range(_MAX_STEPS):
        basis, squares, rho = _anchor(x, v, floor)
        step = torch.minimum(left, 0.5 / rho)
        u = u + _series(x, v, u, step, basis, squares)
        x, left = x + step * v, left - step
        if not any_true(left > 0):
            break
    return u.to(dtype)


@torch.compiler.disable
def carry_in_sphere(x: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """
    Carry the horizontal vector `u` along the great circle with velocity `v`, in Kendall's shape space.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)
        Unit norm.
    v, u : Tensor, shape (*batch, m, p)
        Horizontal at `x`.

    Returns
    -------
    Tensor, shape (*batch, m, p)
        Horizontal at the end of the arc.

    Notes
    -----
    The part of `u` along the circle turns with it; the rest is carried as in `carry_in_flat`, in arcs. The
    series does not see the first part, so nothing is taken apart, and nothing is divided by the velocity.
    """
    dtype = u.dtype
    x, v, u = torch.broadcast_tensors(*(working_precision(w) for w in (x, v, u)))
    floor = _floor(x, x, dtype)
    length = safe_norm(v.detach(), 2, keepdim=True)
    unit = v.detach() / torch.where(length == 0, 1.0, length)
    left = torch.ones_like(length)
    for _ in range(_MAX_STEPS):
        basis, squares, rho = _anchor(x, unit, floor)
        reach = torch.atan(0.5 / rho)
        # A share of the way that is left, not an angle: nothing is divided by a small velocity.
        step = torch.where(left * length <= reach, left, reach / torch.where(length == 0, 1.0, length))
        t = squared_norm(step * v, 2, keepdim=True)
        cosine, sine = 1 - t * one_minus_cos(t), sinc(t)
        turned = u - inner(step * v, u, 2, keepdim=True) * (one_minus_cos(t) * step * v + sine * x)
        u = turned + _series(x, step * (sine / cosine) * v, u, torch.ones_like(t), basis, squares)
        x, v = cosine * x + sine * step * v, cosine * v - sine * step * squared_norm(v, 2, keepdim=True) * x
        unit = v.detach() / torch.where(length == 0, 1.0, length)
        left = left - step
        if not any_true(left > 0):
            break
    return u.to(dtype)


@torch.no_grad()
def _floor(x: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:
    """Size of rounding on the way, in the precision of the data: what is weaker is not a direction."""
    size = torch.linalg.matrix_norm(x) + torch.linalg.matrix_norm(v)
    return max(x.shape[-2:]) * torch.finfo(dtype).eps * size[..., None]


def _anchor(x: Tensor, v: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular basis of the point, and the reciprocal of the series' radius of convergence."""
    basis, squares = singular_basis(x, floor)
    extent = squares.sqrt()[..., None, :]
    # A direction that is missing in x meets the weakest one that is present.
    weakest = torch.where(extent > 0, extent, torch.inf).amin(-1, keepdim=True)
    scaled = v.detach() @ basis / torch.where(extent > 0, extent, weakest)
    finite = torch.where(scaled.isfinite(), scaled, 0.0)
    rho = torch.linalg.matrix_norm(finite, ord=2)[..., None, None]
    return basis, squares, rho.clamp_min(torch.finfo(x.dtype).tiny)


def _series(x: Tensor, v: Tensor, u: Tensor, h: Tensor, basis: Tensor, squares: Tensor) -> Tensor:
    """Change of `u` carried along ``x + t v`` for t from 0 to h, inside the radius of convergence."""
    x, v, u = x @ basis, v @ basis, u @ basis
    s, n, w, c = x.mT @ x, x.mT @ v, v.mT @ v, u.mT @ v
    c = c - c.mT
    # Terms are f_k h^(k-1), which stays finite for h = 0.
    before, solve = torch.zeros_like(c), skew_solver(s, squares)
    term = solve(h * c / 2)
    value, slope = term, 2 * term
    for k in range(2, _terms(x)):
        rhs = (1 - 2 * k) * h * (n @ term) + (2 - k) * h * h * (w @ before)
        before, term = term, solve((rhs - rhs.mT) / (k + 1))
        value, slope = value + term, slope + (k + 1) * term
    return ((x + h * v) @ slope - h * (v @ value)) @ basis.mT


def _terms(x: Tensor) -> int:
    return 58 if x.dtype == torch.float64 else 29
