"""Fréchet means of positive definite matrices, in a frame that moves along: the mean is the identity."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from repsim_geo.numerics.alignment import finite_svd, working_precision
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import inner, with_axes
from repsim_geo.numerics.symmetric import finite_cholesky, spectrum
from repsim_geo.stats.descent import LONGEST_SOLVE, conjugate_gradients

# Largest residual of Newton's equation, relative to the gradient: products are cheaper than another step.
_FORCING = 0.01
# Error of logarithms at a step, relative to the gradient that is expected there.
_BLUR = 0.02
# Gap of two logarithms up to which its hyperbolic cotangent is taken from the series.
_NEAR = 1e-3


class Found(NamedTuple):
    """A mean, steps taken, distances of the points from it, and the length of the gradient there."""

    mean: Tensor
    n_iter: int
    distances: Tensor
    gradient_norm: Tensor


def mean_by_congruence(
    points: Tensor, weights: Tensor, start: Tensor | None, tol: float, rounding: Tensor, max_iter: int
) -> Found | None:
    """
    Newton's method on positive definite matrices with the affine-invariant metric.

    Parameters
    ----------
    points : Tensor, shape (*batch, n, p, p)
    weights : Tensor, shape (n,) or (*batch, n)
        With sum one.
    start : Tensor, shape (*batch, p, p), optional
        Default: the midpoint of the arithmetic and the harmonic mean.
    tol : float
        Gradient norm at which to stop, relative to the spread.
    rounding : Tensor, shape (*batch)
        Gradient norm that is rounding.
    max_iter : int

    Returns
    -------
    Found, or None
        Nothing if a step raised the variance.

    Notes
    -----
    With a factor of the mean, ``x = f f'``, and factors l of the points, ``b = f^-1 l`` is all that is
    needed: logarithms at the identity are ``v log(e) v'`` with the spectrum of ``b b'``, a step s moves f to
    ``f exp(s/2)`` and b to ``exp(-s/2) b``. So an iteration is one batch of eigendecompositions, and solving
    Newton's equation takes nothing but products of matrices. Where a point is far from the mean in some
    direction, its spectrum is taken from singular values of b, which keep the small ones.
    """
    factors = finite_cholesky(working_precision(points))
    weights = weights.to(factors).expand(factors.shape[:-2])
    frame, b = _started(factors, weights, start)
    here = _Look(b, weights, torch.ones_like(rounding))
    last = torch.full_like(here.value, math.inf)
    for n_iter in range(max_iter + 1):
        size = here.pull.square().sum((-2, -1)).sqrt()
        wanted = tol * here.value.sqrt()
        # What may be rounding is left only when a step has not improved it.
        settled = (size <= wanted) | ((size <= wanted + rounding) & (size > last / 10))
        if n_iter == max_iter or bool(settled.all()):
            mean = symmetrize(frame @ frame.mT).to(points.dtype)
            return Found(mean, n_iter, here.squares.sqrt(), size)
        unit = torch.where(here.value > 0, here.value, 1.0).sqrt()
        # Newton's equation is solved the better, the nearer the mean is, and no better than is asked.
        enough = wanted / torch.where(size > 0, size, 1.0) / 4
        relative = torch.maximum(size / unit, enough).clamp_max(_FORCING)
        step, _ = conjugate_gradients(
            partial(inner, ndim=2), here.hessian, here.pull, relative, LONGEST_SOLVE
        )
        rates, basis = spectrum(step)
        there = (basis * (-rates / 2).exp()[..., None, :]) @ basis.mT
        seen = _Look(there.unsqueeze(-3) @ here.relative, weights, _BLUR * relative * size)
        if bool((seen.value > here.value * (1 + 64 * torch.finfo(b.dtype).eps) + rounding**2).any()):
            return None
        frame, here = (frame @ basis) * (rates / 2).exp()[..., None, :] @ basis.mT, seen
        last = size
    return None


class _Look:
    """Logarithms of the points in the frame: squared lengths, their mean, and the Hessian."""

    def __init__(self, relative: Tensor, weights: Tensor, blur: Tensor):
        self.relative = relative
        values, basis = _spectrum_of_products(relative, blur)
        logs = values.log()
        self.squares = logs.square().sum(-1)
        self.value = (weights * self.squares).sum(-1)
        self._basis, self._rows = basis, basis.mT.contiguous()
        self._columns = basis.movedim(-3, -2).flatten(-2)
        self.pull = self._sum((with_axes(weights, 1) * logs)[..., None] * self._rows)
        # g coth(g) for half the gap g of two logarithms; digits lost to the difference do not matter here.
        half = (logs[..., :, None] - logs[..., None, :]) / 2
        a, b = values[..., :, None], values[..., None, :]
        near = half.abs() < _NEAR
        stretch = torch.where(near, 1 + half.square() / 3, half * (a + b) / torch.where(near, 1.0, a - b))
        self._stretch = with_axes(weights, 2) * stretch

    def hessian(self, u: Tensor) -> Tensor:
        turned = (self._rows.flatten(-3, -2) @ u).unflatten(-2, self._rows.shape[-3:-1])
        return self._sum((self._stretch * (turned @ self._basis)) @ self._rows)

    def _sum(self, rows: Tensor) -> Tensor:
        """Sum of ``v r`` over the points, as one product of long matrices."""
        return symmetrize(self._columns @ rows.flatten(-3, -2))


def _spectrum_of_products(b: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of ``b b'``; from singular values where they would be off by `blur`."""
    values, basis = spectrum(b @ b.mT)
    eps = torch.finfo(b.dtype).eps
    hard = ~(eps * values[..., -1] <= blur[..., None] * values[..., 0])
    if bool(hard.any()):
        u, s, _ = finite_svd(b[hard])
        values[hard], basis[hard] = s.square(), u
    return values, basis


def _started(factors: Tensor, weights: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """
    Factor of the starting point, and the factors of the points relative to it.

    The midpoint of the arithmetic mean ``a = r r'`` and the harmonic one ``h`` is ``r k^-1/2 r'`` with ``k =
    r' h^-1 r``.
    """
    if start is not None:
        frame = finite_cholesky(working_precision(start))
        return frame, torch.linalg.solve_triangular(frame.unsqueeze(-3), factors, upper=False)
    roots = with_axes(weights.sqrt(), 2)
    side_by_side = (roots * factors).movedim(-3, -2).flatten(-2)
    r = finite_cholesky(side_by_side @ side_by_side.mT)
    relative = torch.linalg.solve_triangular(r.unsqueeze(-3), factors, upper=False)
    eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device)
    inverse = torch.linalg.solve_triangular(relative, eye, upper=False)
    stacked = (roots * inverse).flatten(-3, -2)
    values, basis = spectrum(stacked.mT @ stacked)
    quarter = values.sqrt().sqrt()
    frame = r @ (basis / quarter[..., None, :])
    return frame, (quarter[..., :, None] * basis.mT).unsqueeze(-3) @ relative
