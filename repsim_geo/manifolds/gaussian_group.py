"""The group that Gaussian responses have: a rotation of all columns, and one of the rows of each factor."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from repsim_geo.manifolds.actions import singular_basis
from repsim_geo.numerics.alignment import finite_or_zero
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import inner
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.numerics.tracing import any_true, readable

# Wider problems are solved by conjugate gradients instead of an eigendecomposition of p (p - 1) / 2 unknowns.
_LARGEST_DENSE = 300
_CONJUGATE_STEPS = 500
# Elements of one intermediate tensor; larger batches are solved in parts.
_ELEMENTS = 2**22


class Turn(NamedTuple):
    """
    Pair of skew-symmetric matrices, or of rotations: one of the columns, one of the rows of each factor.

    Attributes
    ----------
    columns : Tensor, shape (*batch, p, p)
        Common to all inputs.
    rows : Tensor, shape (*batch, m, k, k)
    """

    columns: Tensor
    rows: Tensor

    def map(self, f: Any, *others: Turn) -> Turn:
        """Apply a function to both parts."""
        return Turn(*(f(*parts) for parts in zip(self, *others, strict=True)))


def rotate(y: Tensor, rotation: Turn) -> Tensor:
    """Means times Q, factors times Q and R: the action of the group."""
    y = y @ rotation.columns[..., None, :, :]
    return torch.cat([y[..., :1, :], rotation.rows @ y[..., 1:, :]], -2)


def rotate_by(y: Tensor, step: Turn) -> Tensor:
    """Action of rotations that are given minus the identity, so that small ones keep their digits."""
    y = y + torch.nn.functional.pad(step.rows @ y[..., 1:, :], (0, 0, 1, 0))
    return y + y @ step.columns[..., None, :, :]


def push(x: Tensor, turn: Turn) -> Tensor:
    """Vertical vector at `x`: the velocity with which an infinitesimal rotation moves it, J f."""
    bent = torch.nn.functional.pad(turn.rows @ x[..., 1:, :], (0, 0, 1, 0))
    return x @ turn.columns[..., None, :, :] + bent


def pull(x: Tensor, w: Tensor) -> Turn:
    """Twice the adjoint of `push`: how much `w` turns `x`. Zero for horizontal vectors."""
    columns = (x.mT @ w).sum(-3)
    rows = w[..., 1:, :] @ x[..., 1:, :].mT
    return Turn(columns - columns.mT, rows - rows.mT)


def _residual(x: Tensor, y: Tensor) -> Tensor:
    """Part of `y` that can turn `x`: without the best multiple of `x`, of which only the rounding would."""
    xx = inner(x.detach(), x.detach(), 3, keepdim=True)
    xy = inner(x.detach(), y.detach(), 3, keepdim=True)
    return y - torch.where(xx > 0, xy / torch.where(xx > 0, xx, 1.0), 0.0) * x


def _pairs(a: Tensor) -> Tensor:
    """Entries above the diagonal; shape (*batch, n (n - 1) / 2)."""
    i, j = torch.triu_indices(a.shape[-1], a.shape[-1], 1, device=a.device)
    return a[..., i, j]


def _skew(pairs: Tensor, n: int) -> Tensor:
    """Skew-symmetric matrix with these entries above the diagonal."""
    if n < 2:
        return pairs.new_zeros(*pairs.shape[:-1], n, n)
    i, j = torch.triu_indices(n, n, 1, device=pairs.device)
    place = torch.zeros(n, n, dtype=torch.long, device=pairs.device)
    place[i, j] = place[j, i] = torch.arange(len(i), device=pairs.device)
    sign = torch.zeros(n, n, dtype=pairs.dtype, device=pairs.device)
    sign[i, j], sign[j, i] = 1.0, -1.0
    return pairs[..., place] * sign


class NormalEquations:
    """
    Solver of ``J_x* J_y f = g`` for skew pairs f, `y` being `x` or aligned with it; constant for autograd.

    With T = sum x'y, and P_i = G_i F_i' for the factors F_i of `x` and G_i of `y` (all symmetric), the
    equations are::

        {T, A} + sum_i (F_i'B_i G_i + G_i'B_i F_i) = g_A,      {P_i, B_i} + G_i A F_i' + F_i A G_i' = g_i

    In eigenbases of T and P_i the anticommutators are diagonal. Scaled to have ones there, the matrix is
    ``[[1, Y'], [Y, 1]]``, and eliminating the B_i leaves ``1 - Y'Y`` for A. The scaling makes solutions
    accurate relative to the extent of the directions that they turn. For ``x = y`` the matrix is positive
    semidefinite, and symmetries of `x` are its kernel, in which the solution has no part.

    Parameters
    ----------
    x, y : Tensor, shape (*batch, m, 1 + k, p)
        In working precision.
    eps : float
        Rounding of the data: weaker directions count as absent.
    """

    @torch.no_grad()
    def __init__(self, x: Tensor, y: Tensor, eps: float):
        f, g = x[..., 1:, :], y[..., 1:, :]
        if x is y:
            self.columns, sums = _sums_of_squares(x.flatten(-3, -2), eps)
            self.rows, row_sums = _sums_of_squares(f.mT, eps)
        else:
            self.columns, sums = _sums_of_values((x.mT @ y).sum(-3), eps)
            self.rows, row_sums = _sums_of_values(g @ f.mT, eps)
        v = self.columns[..., None, :, :]
        self.f, self.g = self.rows.mT @ f @ v, self.rows.mT @ g @ v
        self.scale, self.row_scale = _inverse_root(_pairs(sums)), _inverse_root(_pairs(row_sums))
        self.p, self.k = f.shape[-1], f.shape[-2]
        self.inverse = self._dense_inverse() if self.scale.shape[-1] <= _LARGEST_DENSE else None

    def solve(self, rhs: Turn) -> Turn:
        """Solution of least norm; linear in the right side, and differentiable."""
        v = self.columns
        d = self.scale * _pairs(v.mT @ rhs.columns @ v)
        c = self.row_scale * _pairs(self.rows.mT @ rhs.rows @ self.rows)
        a = self._eliminated(d - self._coupled_columns(c))
        b = c - self._coupled_rows(a)
        return Turn(
            v @ _skew(self.scale * a, self.p) @ v.mT,
            self.rows @ _skew(self.row_scale * b, self.k) @ self.rows.mT,
        )

    def _eliminated(self, d: Tensor) -> Tensor:
        if self.inverse is not None:
            return (self.inverse @ d[..., None])[..., 0]
        return _ConjugateGradients.apply(d, self.f, self.g, self.scale, self.row_scale)

    def _coupled_rows(self, a: Tensor) -> Tensor:
        return _coupled_rows(a, self.f, self.g, self.scale, self.row_scale)

    def _coupled_columns(self, b: Tensor) -> Tensor:
        return _coupled_columns(b, self.f, self.g, self.scale, self.row_scale)

    def _dense_inverse(self) -> Tensor:
        """Pseudo-inverse of ``1 - Y'Y``, of its absolute value where `y` is not near its best position."""
        n = self.scale.shape[-1]
        i, j = torch.triu_indices(self.p, self.p, 1, device=self.f.device)
        a, b = torch.triu_indices(self.k, self.k, 1, device=self.f.device)
        reduced = torch.eye(n, dtype=self.f.dtype, device=self.f.device).expand(*self.f.shape[:-3], n, n)
        block = max(1, _ELEMENTS // max(1, self.f[..., 0, 0, 0].numel() * len(a) * n))
        for f, g, s in zip(*(w.split(block, axis) for w, axis in self._by_input()), strict=True):
            fa, fb, ga, gb = (w[..., r, :] for w in (f, g) for r in (a, b))
            # Half of (G A F' + F A G'), entry by entry, for a matrix A that turns column i into j.
            y = (
                ga[..., i] * fb[..., j]
                - ga[..., j] * fb[..., i]
                + fa[..., i] * gb[..., j]
                - fa[..., j] * gb[..., i]
            )
            y = (y * s[..., None] * self.scale[..., None, None, :]).flatten(-3, -2)
            reduced = reduced - y.mT @ y
        finite, reduced = finite_or_zero(reduced)
        values, basis = torch.linalg.eigh(reduced)
        small = values.abs() <= 16 * max(n, 1) * torch.finfo(values.dtype).eps
        inverse = torch.where(small, 0.0, 1 / torch.where(small, 1.0, values.abs()))
        return torch.where(finite, (basis * inverse[..., None, :]) @ basis.mT, torch.nan)

    def _by_input(self) -> tuple[tuple[Tensor, int], ...]:
        return (self.f, -3), (self.g, -3), (self.row_scale, -2)


def _coupled_rows(a: Tensor, f: Tensor, g: Tensor, scale: Tensor, row_scale: Tensor) -> Tensor:
    """Y a: how a turn of the columns turns the rows of the factors."""
    turn = _skew(scale * a, f.shape[-1])[..., None, :, :]
    return row_scale * _pairs(g @ turn @ f.mT + f @ turn @ g.mT)


def _coupled_columns(b: Tensor, f: Tensor, g: Tensor, scale: Tensor, row_scale: Tensor) -> Tensor:
    """Y' b: how turns of the rows of the factors turn the columns."""
    turn = _skew(row_scale * b, f.shape[-2])
    half = (f.mT @ turn @ g).sum(-3)
    return scale * _pairs(half - half.mT)


class _ConjugateGradients(torch.autograd.Function):
    """Solution of ``(1 - Y'Y) a = d``; the matrix is a constant, symmetric, so backward solves again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(d: Tensor, f: Tensor, g: Tensor, scale: Tensor, row_scale: Tensor) -> Tensor:
        size = d.square().sum(-1, keepdim=True)
        a, r, p = torch.zeros_like(d), d, d
        rr = size
        for _ in range(_CONJUGATE_STEPS):
            q = p - _coupled_columns(_coupled_rows(p, f, g, scale, row_scale), f, g, scale, row_scale)
            pq = (p * q).sum(-1, keepdim=True)
            # Where curvature vanishes there is a symmetry, or `y` is not near its best position: stop.
            going = (rr > (1e-15) ** 2 * size) & (pq > 1e-14 * (p * p).sum(-1, keepdim=True))
            if not any_true(going):
                break
            step = torch.where(going, rr / torch.where(going, pq, 1.0), 0.0)
            a, r = a + step * p, r - step * q
            new = r.square().sum(-1, keepdim=True)
            p = r + torch.where(going, new / torch.where(going, rr, 1.0), 0.0) * p
            rr = torch.where(going, new, 0.0)
        return a

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _ConjugateGradients.apply(grads[0], *ctx.saved_tensors), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _ConjugateGradients.apply(tangents[0], *ctx.saved_tensors)


def _sums_of_squares(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Right singular basis, and sums of two squared singular values."""
    floor = max(x.shape[-2:]) * eps * torch.linalg.matrix_norm(x)[..., None]
    basis, squares = singular_basis(x, floor)
    return basis, squares[..., :, None] + squares[..., None, :]


def _sums_of_values(a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Eigenbasis of the symmetric part, and absolute sums of two eigenvalues."""
    values, basis = spectrum(symmetrize(a))
    sums = (values[..., :, None] + values[..., None, :]).abs()
    floor = a.shape[-1] * eps**2 * values.abs().amax(-1)[..., None, None]
    return basis, torch.where(sums > floor, sums, 0.0)


def _inverse_root(sums: Tensor) -> Tensor:
    return torch.where(sums > 0, 1 / torch.where(sums > 0, sums, 1.0).sqrt(), 0.0)


def solve_again(x: Tensor, equations: NormalEquations, rhs: Turn) -> Turn:
    """Solve ``J* J f = rhs`` at `x`; where somebody differentiates, with derivatives with respect to `x`."""
    turn = equations.solve(rhs)
    for _ in range(2 * _differentiated(x, *rhs)):
        rest = rhs.map(torch.sub, pull(x, push(x, turn)))
        turn = turn.map(torch.add, equations.solve(rest))
    return turn


def newton_step(equations: NormalEquations, x: Tensor, y: Tensor) -> Turn:
    """Turn that brings `y` into its best position, if it is near it; never much more than a right angle."""
    turn = equations.solve(pull(x, _residual(x, y)).map(torch.neg))
    return turn.map(lambda a: a / a.detach().abs().sum((-2, -1), keepdim=True).clamp_min(3.0) * 3.0)


def _differentiated(*tensors: Tensor) -> bool:
    """Whether somebody may ask for a derivative: autograd, forward mode, or a transform of torch.func."""
    backward = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    forward = any(forward_ad.unpack_dual(t).tangent is not None for t in tensors)
    return backward or forward or not all(readable(t) for t in tensors)
