"""
The search for the rotation that brings two sequences of Gaussians nearest, and bounds of what it can miss.

The objective has local maxima, so the search climbs from many starts at once, and ends with steps of Newton's
method from the best few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from repsim_geo.manifolds.gaussian_group import NormalEquations, Turn, newton_step, rotate
from repsim_geo.numerics.alignment import cayley, finite_or_zero, finite_svd, procrustes_rotation
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import safe_sqrt, squared_norm, with_axes
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.numerics.tracing import any_true

# After so many steps only so many of the best starts go on.
_HEATS = ((10, 16), (15, 4))
_CLIMBING = 200
_SEED = 0
# Elements of one intermediate tensor of the search; larger batches are searched in parts.
_SEARCH_ELEMENTS = 2**22


class _Climb(NamedTuple):
    """Rotation of the columns, the objective there, its gradient, and polar factors of the covariances."""

    q: Tensor
    value: Tensor
    gradient: Tensor
    polar: Tensor


def _look(x: Tensor, y: Tensor, q: Tensor) -> _Climb:
    """
    Evaluate ``<means of x, means of y q> + sum_i |G_i q F_i'|_*``, a convex function of q.

    Half of what a rotation takes off ``|x|^2 + |y|^2``, with the best rotations of the rows already in it.
    """
    f, g = x[..., 1:, :], y[..., 1:, :]
    u, s, vh = finite_svd(g @ q[..., None, :, :] @ f.mT)
    polar = u @ vh
    means = y[..., 0, :].mT @ x[..., 0, :]
    gradient = means + (g.mT @ polar @ f).sum(-3)
    return _Climb(q, (means * q).sum((-2, -1)) + s.sum((-2, -1)), gradient, polar)


@torch.no_grad()
@torch.compiler.disable
def best_rotation(x: Tensor, y: Tensor, starts: int) -> Turn:
    """Rotations of `y` that bring it as close to `x` as the search finds."""
    swap = _comes_later(x, y)
    x, y = torch.where(like(swap, x), y, x), torch.where(like(swap, x), x, y)
    q, values = search(x, y, starts)
    best = _look(x, y, _take(q, values.argmax(-1, keepdim=True))[..., 0, :, :])
    return Turn(best.q, best.polar.mT).map(lambda r: torch.where(like(swap, r), r.mT, r))


def _comes_later(x: Tensor, y: Tensor) -> Tensor:
    """
    Whether the first difference of `x` and `y` is positive; shape (*batch).

    Searching always from the same of two points makes the distance symmetric where the path of the search is
    unstable, and so would depend on rounding.
    """
    d = (x - y).flatten(-3)
    first = (d != 0).to(torch.uint8).argmax(-1, keepdim=True)
    return d.gather(-1, first)[..., 0] > 0


@torch.no_grad()
def search(x: Tensor, y: Tensor, starts: int, *, keep_all: bool = False) -> tuple[Tensor, Tensor]:
    """Local maxima: rotations (*batch, s, p, p), and the objective there (*batch, s)."""
    batch, point = x.shape[:-3], x.shape[-3:]
    x, y = x.reshape(-1, *point), y.reshape(-1, *point)
    m, rows, p = point
    part = max(1, _SEARCH_ELEMENTS // (starts * (m * rows * max(rows, p) + p * p)))
    found = [
        _climb(a[:, None], b[:, None], starts, keep_all)
        for a, b in zip(x.split(part), y.split(part), strict=True)
    ]
    q, values = (torch.cat(parts) for parts in zip(*found, strict=True))
    return q.reshape(*batch, *q.shape[1:]), values.reshape(*batch, values.shape[-1])


def _climb(x: Tensor, y: Tensor, starts: int, keep_all: bool) -> tuple[Tensor, Tensor]:
    """Climb from all starts; the last steps, from the best few, are of second order."""
    here = _look(x, y, _starts(x[:, 0], y[:, 0], starts))
    for steps, kept in _HEATS:
        for _ in range(steps):
            here = _look(x, y, procrustes_rotation(here.gradient))
        if not keep_all:
            best = here.value.topk(min(kept, here.value.shape[-1])).indices
            here = _Climb(*(_take(w, best) for w in here))
    scale = safe_sqrt(squared_norm(x, 3) * squared_norm(y, 3))
    eps = torch.finfo(x.dtype).eps
    for _ in range(_CLIMBING):
        moved = rotate(y, Turn(here.q, here.polar.mT))
        base = x.expand_as(moved)
        turn = newton_step(NormalEquations(base, moved, eps), base, moved)
        newton = _look(x, y, here.q + here.q @ cayley(turn.columns))
        plain = _look(x, y, procrustes_rotation(here.gradient))
        # Newton's step goes to the top when it is near, but may also go astray.
        good = newton.value >= plain.value - 4 * eps * scale
        here = _Climb(*(torch.where(like(good, n), n, q) for n, q in zip(newton, plain, strict=True)))
        size = turn.columns.abs().amax((-2, -1)) if x.shape[-1] > 1 else torch.zeros_like(here.value)
        if not any_true(~(good & (size < 1e-6))):
            break
    return here.q, here.value


def like(mask: Tensor, w: Tensor) -> Tensor:
    """Mask of leading axes, with as many axes as `w`."""
    return with_axes(mask, w.dim() - mask.dim())


def _take(w: Tensor, index: Tensor) -> Tensor:
    """Entries of the axis of starts; `w` has shape (*batch, s, ...), `index` (*batch, n)."""
    trailing = w.shape[index.dim() :]
    return w.gather(index.dim() - 1, like(index, w).expand(*index.shape, *trailing))


def _starts(x: Tensor, y: Tensor, n: int) -> Tensor:
    """
    Rotations of `y` to start from, shape (*batch, n, p, p).

    The best rotation of the means; the identity; eigenvectors of the mean covariance matched. Then the same
    with random weights of the inputs, and random rotations.
    """
    m, p = x.shape[-3], x.shape[-1]
    # numpy's generator, because torch.func refuses any of torch.
    rng = np.random.default_rng(_SEED)
    moments, means = (n - 1) // 2, (n - 1) // 4

    def constant(a: np.ndarray) -> Tensor:
        return torch.from_numpy(a).to(x)

    weights = constant(rng.random((moments, m)) ** 4)
    signed = constant(rng.normal(size=(means, m, 1)))
    haar = constant(np.linalg.qr(rng.normal(size=(n - moments - means, p, p)))[0])
    haar[0] = torch.eye(p)
    weights[0] = 1.0
    cross = y[..., 0, :].mT @ x[..., 0, :]
    weighted = y[..., None, :, 0, :].mT @ (signed * x[..., None, :, 0, :])
    by_means = procrustes_rotation(torch.cat([cross[..., None, :, :], weighted], -3))
    by_moments = _match_moments(x, y, cross, weights)
    return torch.cat([by_means, haar[1:].expand(*cross.shape[:-2], -1, p, p), by_moments], -3)


def _match_moments(x: Tensor, y: Tensor, cross: Tensor, weights: Tensor) -> Tensor:
    """Match eigenvectors of weighted mean covariances, with signs that suit the means; weights (n, m)."""
    a, b = (
        spectrum(torch.einsum("nm,...mkp,...mkq->...npq", weights, w, w)).basis
        for w in (x[..., 1:, :], y[..., 1:, :])
    )
    sign = torch.where((b.mT @ cross[..., None, :, :] @ a).diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    return (b * sign[..., None, :].to(b.dtype)) @ a.mT


# ---------------------------------------------------------------------- lower bounds

_LARGEST_CERTIFICATE = 16


def lower_bound2(x: Tensor, y: Tensor) -> Tensor:
    """Lower bound of the squared distance of `x` and an aligned `y`: the largest of three; shape (*batch)."""
    f, g = x[..., 1:, :], y[..., 1:, :]
    apart = _spectra_apart(f, g).sum(-1) + squared_norm(
        x[..., 0, :] - _nearest(x[..., 0, :], y[..., 0, :]), 2
    )
    together = _spectra_apart(x.flatten(-3, -2), y.flatten(-3, -2))
    best = torch.maximum(apart, together)
    return best if x.shape[-1] > _LARGEST_CERTIFICATE else torch.maximum(best, _certified2(x, y))


def _spectra_apart(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of sorted singular values: no rotations of rows and columns bring matrices nearer."""
    return (finite_svd(x)[1] - finite_svd(y)[1]).square().sum(-1)


def _nearest(x: Tensor, y: Tensor) -> Tensor:
    return y @ procrustes_rotation(y.mT @ x)


def _certified2(x: Tensor, y: Tensor) -> Tensor:
    """
    Squared distance less what any rotation could gain over the one found; shape (*batch).

    A nuclear norm ``|Z|_*`` is at most half of ``tr(Z'P^-1 Z) + tr P`` for every positive P, with equality
    where ``Z Z' = P^2``. So the objective of `_look` is below a quadratic function of q that touches it at
    the rotation found (here the identity), and with ``q = I + e`` orthogonal that function is its value there
    less ``<e, (T e + e T) / 2 - K e> / 2``, T the symmetric gradient and K the quadratic part.
    """
    f, g = x[..., 1:, :], y[..., 1:, :]
    p = x.shape[-1]
    values, basis = spectrum(symmetrize(g @ f.mT))
    # A little more than P where it is singular; what that costs is counted.
    floor = 1e-7 * values.amax(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    raised = torch.maximum(values, floor)
    slack = ((raised - values).square() / raised).sum((-2, -1)) / 2
    f, g = (basis.mT @ w for w in (f, g))
    left, right = (w.mT @ (w / raised[..., None]) for w in (g, f))
    t = symmetrize((x.mT @ y).sum(-3)) / 2
    eye = torch.eye(p, dtype=x.dtype, device=x.device)
    form = torch.einsum("...ab,cd->...acbd", t, eye) + torch.einsum("ab,...cd->...acbd", eye, t)
    form = form - torch.einsum("...mab,...mcd->...acbd", left, f.mT @ f) / 2
    form = form - torch.einsum("...mab,...mcd->...acbd", g.mT @ g, right) / 2
    finite, form = finite_or_zero(form.flatten(-4, -3).flatten(-2, -1))
    smallest = torch.where(finite[..., 0, 0], torch.linalg.eigvalsh(form)[..., 0], torch.nan)
    # |e|^2 is at most 4 p.
    return squared_norm(x - y, 3) - 2 * slack - 4 * p * (-smallest).clamp_min(0)
