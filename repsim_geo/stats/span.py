"""Fréchet means on spheres, in the span of the data: all follows from inner products of the points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.angles import inverse_sinc, one_minus_cos, sinc
from repsim_geo.numerics.symmetric import finite_cholesky

# Angle from which on a point counts as opposite: its logarithm is nearly arbitrary.
_NEAR_ANTIPODE = math.pi - 1e-3
# Below this angle the difference 1 - a cot(a) is taken from its series.
_SMALL = 0.03


def mean_in_span(
    points: Tensor, weights: Tensor, ndim: int, tol: float, max_iter: int
) -> tuple[Tensor | None, int]:
    """
    Newton's method in coefficients, ``x = sum_i c_i x_i``; None if a point is near an antipode.

    Parameters
    ----------
    points : Tensor, shape (*batch, n, *point)
        Unit tensors.
    weights : Tensor, shape (n,) or (*batch, n)
        With sum one.
    ndim : int
        Axes of a point.
    tol : float
        Gradient norm at which to stop, relative to the spread.
    max_iter : int

    Returns
    -------
    mean : Tensor, shape (*batch, *point), or None
    n_iter : int

    Notes
    -----
    With angles a_i to the points and ``r_i = x_i - cos(a_i) x``, the Hessian of half the variance is ``h +
    sum_i m_i r_i r_i'`` with ``h = sum w_i a_i cot a_i`` and ``m_i = w_i (1 - a_i cot a_i) / sin(a_i)^2``, so
    that its inverse is a system of n equations, whatever the size of a point (Woodbury). Where h is not
    positive a step of the Karcher flow is taken.

    Inner products, kept in float64, are enough as long as the points are farther apart than the root of their
    rounding: the factor a / sin(a) of a logarithm is flat where the angle a is small.
    """
    flat = points.flatten(-ndim)
    gram = working_precision(flat) @ working_precision(flat).mT
    weights = weights.to(gram.dtype).expand(gram.shape[:-1])
    coefficients = _best_start(gram, weights)
    eps = torch.finfo(points.dtype).eps
    n_iter = 0
    for n_iter in range(max_iter + 1):
        cosines = (gram @ coefficients[..., None])[..., 0].clamp(-1, 1)
        angles2 = cosines.acos().square()
        if bool((angles2.sqrt() > _NEAR_ANTIPODE).any()):
            return None, 0
        pull = weights * inverse_sinc(angles2)
        pull = pull - (pull * cosines).sum(-1, keepdim=True) * coefficients
        length2 = _quadratic(gram, pull)
        variance = (weights * angles2).sum(-1)
        if n_iter == max_iter or bool((length2.sqrt()[..., 0] <= tol * variance.sqrt() + 8 * eps).all()):
            break
        step = _newton_step(gram, weights, coefficients, cosines, angles2, pull)
        length2 = _quadratic(gram, step)
        coefficients = (1 - length2 * one_minus_cos(length2)) * coefficients + sinc(length2) * step
        coefficients = coefficients / _quadratic(gram, coefficients).sqrt()
    mean = (coefficients.to(points.dtype)[..., None, :] @ flat).squeeze(-2)
    return mean.unflatten(-1, points.shape[-ndim:]), n_iter


def _newton_step(
    gram: Tensor, weights: Tensor, coefficients: Tensor, cosines: Tensor, angles2: Tensor, pull: Tensor
) -> Tensor:
    """Coefficients of Newton's step; of the flow where the Hessian has a negative part."""
    stretch = inverse_sinc(angles2)
    h = (weights * cosines * stretch).sum(-1, keepdim=True)
    convex = h > 0.05
    h = torch.where(convex, h, 1.0)
    small = angles2 < _SMALL**2
    series = 1 / 3 + angles2 / 45 + 2 * angles2.square() / 945 + angles2**3 / 4725
    bend = torch.where(small, series, (1 - cosines * stretch) / torch.where(small, 1.0, angles2))
    root = (weights * bend).clamp_min(0).sqrt() * stretch
    # Inner products of the r_i, and of them with the gradient.
    between = gram - cosines[..., :, None] * cosines[..., None, :]
    along = (gram @ pull[..., None])[..., 0] - cosines * (cosines * pull).sum(-1, keepdim=True)
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    system = h[..., None] * eye + root[..., :, None] * between * root[..., None, :]
    solved = torch.cholesky_solve((root * along)[..., None], finite_cholesky(system))[..., 0] * root
    step = (pull - solved + (solved * cosines).sum(-1, keepdim=True) * coefficients) / h
    return torch.where(convex, step, pull)


def _best_start(gram: Tensor, weights: Tensor) -> Tensor:
    """Coefficients of the normalized average or of a data point, whichever has the least variance."""
    length = _quadratic(gram, weights).sqrt()
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand(gram.shape)
    average = torch.where(length > 1e-6, weights / length, eye[..., 0, :])
    candidates = torch.cat([average[..., None, :], eye], -2)
    angles2 = (candidates @ gram).clamp(-1, 1).acos().square()
    best = (angles2 @ weights[..., None])[..., 0].argmin(-1)
    return candidates.take_along_dim(best[..., None, None], -2).squeeze(-2)


def _quadratic(gram: Tensor, c: Tensor) -> Tensor:
    return (c * (gram @ c[..., None])[..., 0]).sum(-1, keepdim=True).clamp_min(0)
