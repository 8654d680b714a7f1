"""Orthogonal Procrustes: the rotation that brings one matrix as close as possible to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.numerics.sylvester import skew_sylvester
from repsim_geo.numerics.tracing import any_true, constant, readable

_LARGEST_BATCHED_LU = 150

# Squared distance over squared sizes, below which sums of singular values lose digits of it.
_LOSES_DIGITS = 1e-2

_NEAR = 1e-3
"""Shapes nearer than this share of their size are aligned also where they are almost flat."""


class _Polar(NamedTuple):
    """Rotation Q, and eigenvalues and eigenbasis of the symmetric ``P = Q' M``."""

    rotation: Tensor
    eigenvalues: Tensor
    basis: Tensor


class Aligned(NamedTuple):
    """A matrix in its best position, and the rotation that took it there: ``matrix = y @ rotation``."""

    matrix: Tensor
    rotation: Tensor


def distances_from_nuclear_norms(
    nuclear: Tensor, xx: Tensor, yy: Tensor, *, angles: bool
) -> tuple[Tensor, Tensor]:
    """
    Distances after the best rotation, from the sums of the singular values of ``x'y``.

    Parameters
    ----------
    nuclear : Tensor, shape (n, k)
    xx, yy : Tensor, shapes (n,) and (k,)
        Squared norms.
    angles : bool
        Of directions, in radians; otherwise lengths of differences.

    Returns
    -------
    distances : Tensor, shape (n, k)
    near : Tensor, shape (n, k), bool
        Where so few digits are left that the two had better be aligned.
    """
    if angles:
        cosines = nuclear / torch.outer(xx, yy).sqrt()
        return cosines.clamp(0, 1).acos(), 2 - 2 * cosines < _LOSES_DIGITS
    scale = xx[:, None] + yy
    squares = scale - 2 * nuclear
    return squares.clamp_min(0).sqrt(), squares < _LOSES_DIGITS / 2 * scale


def working_precision(x: Tensor) -> Tensor:
    """
    Return the tensor in float64 where the device has it.

    The small (p, p) problems of shape spaces are squares of the data: a float32 computation would
    lose every direction that is 3e-4 weaker than the strongest. Their cost is small, so they are
    solved in float64 and rounded once at the end.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
    """
    return x if x.device.type == "mps" else x.double()


def finite_svd(x: Tensor, *, full_matrices: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """
    Singular value decomposition that answers nan to non-finite input instead of raising.

    Optimizers overshoot; their line searches backtrack from nan but die of an exception.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)
    full_matrices : bool

    Returns
    -------
    u, s, vh : Tensor
    """
    finite, x = finite_or_zero(x)
    u, s, vh = torch.linalg.svd(x, full_matrices=full_matrices)
    mark = torch.where(finite, 1.0, torch.nan).to(x.dtype)
    return u * mark, s * mark[..., 0], vh * mark


def finite_singular_values(a: Tensor) -> Tensor:
    """
    Singular values, descending; nan for non-finite input instead of an error.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, p)

    Returns
    -------
    Tensor, shape (*batch, min(m, p))
    """
    return _values(torch.linalg.svdvals, a)


def finite_eigenvalues(a: Tensor) -> Tensor:
    """
    Eigenvalues of symmetric matrices, ascending; nan for non-finite input instead of an error.

    Parameters
    ----------
    a : Tensor, shape (*batch, p, p)

    Returns
    -------
    Tensor, shape (*batch, p)
    """
    return _values(torch.linalg.eigvalsh, a)


def _values(decompose: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """Values of matrices; nan for those that are not finite, which LAPACK refuses."""
    # A sum is many times faster than looking at every entry.
    if readable(a) and bool(a.detach().sum().isfinite()):
        return decompose(a)
    finite, a = finite_or_zero(a)
    return torch.where(finite[..., 0], decompose(a), torch.nan)


def finite_or_zero(a: Tensor) -> tuple[Tensor, Tensor]:
    """Which matrices are finite, shape (*batch, 1, 1), and the matrices with zeros in place of the others."""
    finite = a.isfinite().all(-1).all(-1)[..., None, None]
    return finite, torch.where(finite, a, 0.0)


def determinant_sign(a: Tensor) -> Tensor:
    """
    Sign of the determinant.

    Batched LU, behind ``torch.linalg.det``, returns nonsense for more than 150 columns on several CPU threads
    (pytorch issue 142815). There the reflections of a QR decomposition are counted instead.

    Parameters
    ----------
    a : Tensor, shape (*batch, p, p)

    Returns
    -------
    Tensor, shape (*batch)
    """
    if a.shape[-1] <= _LARGEST_BATCHED_LU:
        return torch.linalg.det(a).sign()
    r, tau = torch.geqrf(a)
    reflections = torch.where(tau == 0, 1.0, -1.0).to(a.dtype)
    return r.diagonal(dim1=-2, dim2=-1).sign().prod(-1) * reflections.prod(-1)


def procrustes_rotation(cross: Tensor, *, special: bool = False) -> Tensor:
    """
    Orthogonal `q` that maximizes ``trace(q.T @ cross)``: the polar factor of `cross`.

    Parameters
    ----------
    cross : Tensor, shape (*batch, p, p)
        ``y.T @ x`` when ``y @ q`` is to come close to `x`.
    special : bool
        Only rotations of determinant one.

    Returns
    -------
    Tensor, shape (*batch, p, p)

    Notes
    -----
    Where it is delicate: directions in which `cross` vanishes (a pair of vanishing singular values; a
    single one when `special`) leave the rotation undetermined; some optimal one is returned, and its
    derivative in those directions is taken as zero. Derivatives divide by *sums* of singular values,
    so equal ones are harmless, unlike in the derivative of the SVD.

    Examples
    --------
    >>> import torch
    >>> procrustes_rotation(torch.diag(torch.tensor([2.0, -1.0])))
    tensor([[ 1.,  0.],
            [ 0., -1.]])
    """
    return _with_derivative(cross, _polar(cross.detach(), special))


def _polar(cross: Tensor, special: bool) -> _Polar:
    a, s, bh = finite_svd(cross)
    if special:
        sign = determinant_sign(a @ bh)
        signs = torch.cat([torch.ones_like(s[..., :-1]), sign[..., None]], -1)
        a, s = a * signs[..., None, :], s * signs
    return _Polar(a @ bh, s, bh.mT.contiguous())


def _with_derivative(cross: Tensor, polar: _Polar) -> Tensor:
    """The rotation as a differentiable function of the cross-product that it belongs to."""
    return polar.rotation if constant(cross) else _PolarFactor.apply(cross, *polar)


class _PolarFactor(torch.autograd.Function):
    """Polar factor Q of M, found elsewhere, with dQ = Q W, {P, W} = Q'dM - dM'Q and P = Q'M."""

    generate_vmap_rule = True

    @staticmethod
    def forward(cross: Tensor, q: Tensor, s: Tensor, b: Tensor) -> Tensor:
        return q.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        cross, _, s, b = inputs
        ctx.save_for_backward(cross, output, s, b)
        ctx.save_for_forward(cross, output, s, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        cross, q, s, b = ctx.saved_tensors
        return q @ _solve_in(b, s, q.mT @ grads[0], q.mT @ cross), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        cross, q, s, b = ctx.saved_tensors
        return q @ _solve_in(b, s, q.mT @ tangents[0], q.mT @ cross)


def _solve_in(basis: Tensor, eigenvalues: Tensor, t: Tensor, p: Tensor | None = None) -> Tensor:
    """Skew solution of ``{p, a} = t - t.T``; `p`, in this eigenbasis, matters only for derivatives."""
    t = basis.mT @ t @ basis
    s = torch.diag_embed(eigenvalues) if p is None else basis.mT @ p @ basis
    cutoff = t.shape[-1] * torch.finfo(t.dtype).eps
    return basis @ skew_sylvester(s, t - t.mT, eigenvalues, cutoff=cutoff) @ basis.mT


def check_same_size(x: Tensor, y: Tensor) -> None:
    """
    Refuse shapes of different widths, which would broadcast: one column is not p equal ones.

    Parameters
    ----------
    x, y : Tensor, shape (*batch, m, p)

    Raises
    ------
    ShapeError
    """
    if x.shape[-2] != y.shape[-2]:
        raise ShapeError(
            f"points must describe the same inputs: got {x.shape[-2]} rows and {y.shape[-2]} rows. "
            "Select the common inputs first."
        )
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"points must have equally many columns, got {x.shape[-1]} and {y.shape[-1]}. Embed both with "
            "one width (or dimension) given to the metric, or through metric.resolve([x, y])."
        )


def align(x: Tensor, y: Tensor, *, special: bool = False) -> Aligned:
    """
    Rotate `y` as close as possible to `x`: ``y @ q`` with `q` orthogonal.

    Parameters
    ----------
    x, y : Tensor, shape (*batch, m, p)
    special : bool
        Only rotations of determinant one.

    Returns
    -------
    Aligned
        ``matrix``, shape (*batch, m, p), and ``rotation``, shape (*batch, p, p), both in working precision:
        the difference to `x` is formed before anything is rounded. Differentiable.

    Notes
    -----
    Where it is delicate: for nearly equal shapes. The polar factor of ``y.T @ x`` carries rounding
    errors of the order of eps times the squared condition number, which would show up as a distance of
    `x` from itself. Two repairs. Directions in which both are almost flat, which those errors turn at
    will, are aligned again on their own. Then one Newton step on the *residual* ``y q - x``, whose
    products with `x` are accurate because it is small, settles the rest. The step is a Cayley transform,
    orthogonal to the last digit.
    """
    check_same_size(x, y)
    a, b = working_precision(x), working_precision(y)
    cross = b.mT @ a
    polar = _best_rotation(a.detach(), b.detach(), cross.detach(), special)
    rotation = _with_derivative(cross, polar)
    return Aligned(b @ rotation, rotation)


def _best_rotation(x: Tensor, y: Tensor, cross: Tensor, special: bool) -> _Polar:
    """Polar factor of ``cross = y.T @ x``, with an accuracy that the cross-product alone does not give."""
    polar = _polar(cross, special)
    s = polar.eigenvalues
    weak = s.abs() <= s.shape[-1] * torch.finfo(s.dtype).eps ** 0.75 * s[..., :1]
    xx, yy = ((w * w).sum((-2, -1)) for w in (x, y))
    near = xx + yy - 2 * s.sum(-1) <= _NEAR**2 * (xx + yy)
    weak = weak & near[..., None]
    if any_true(weak):
        polar = _settle_weak(x, y, polar, weak, special)
    turn = _last_turn(x, y @ polar.rotation, polar._replace(eigenvalues=torch.where(weak, 0.0, s)))
    return polar._replace(rotation=polar.rotation + polar.rotation @ turn)


def _settle_weak(x: Tensor, y: Tensor, polar: _Polar, weak: Tensor, special: bool) -> _Polar:
    """Align weak directions, marked in the eigenbasis, among themselves; the others stay as they are."""
    # Products of short columns are as accurate as the columns, unlike the entries of y.T x.
    b = polar.basis
    cross = ((y @ polar.rotation @ b) * weak[..., None, :]).mT @ ((x @ b) * weak[..., None, :])
    largest = cross.abs().amax((-2, -1))[..., None]
    largest = torch.where(largest > 0, largest, 1.0)
    # Entries up to 1, and above them placeholders for the strong directions, which therefore come first.
    ahead = torch.diag_embed(torch.where(weak, 0.0, 2.0 * weak.shape[-1]).to(cross.dtype))
    own = _polar(cross / largest[..., None] + ahead, special)
    # Changes only, which leave no rounding in the strong directions.
    both = weak[..., :, None] & weak[..., None, :]
    eye = torch.eye(weak.shape[-1], dtype=b.dtype, device=b.device)
    turn, change = (torch.where(both, w - eye, 0.0) for w in (own.rotation, own.basis))
    return _Polar(
        polar.rotation + polar.rotation @ b @ turn @ b.mT,
        torch.where(weak, own.eigenvalues * largest, polar.eigenvalues),
        b + b @ change,
    )


def _last_turn(x: Tensor, y: Tensor, polar: _Polar) -> Tensor:
    """Rotation, minus the identity, that is left to turn `y` exactly onto `x`."""
    # Where y is aligned, x.T y is symmetric. With y = c x + e its skew part is that of x.T e, whatever c; the
    # best c makes e as small as it gets, also for matrices of very different sizes.
    xx = (x * x).sum((-2, -1), keepdim=True)
    c = torch.where(xx > 0, (x * y).sum((-2, -1), keepdim=True) / torch.where(xx > 0, xx, 1.0), 0.0)
    return cayley(-_solve_in(polar.basis, polar.eigenvalues, x.mT @ (y - c * x)))


def cayley(w: Tensor) -> Tensor:
    """
    Rotation ``(I - w/2)^-1 (I + w/2)`` minus the identity, for a skew-symmetric `w`; nan where that is nan.

    Multiplied by its transpose the matrix to invert is positive definite, so Cholesky does it. Batched LU,
    the obvious way, fails for more than 150 columns on several CPU threads (pytorch issue 142815).
    """
    eye = torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
    finite, w = finite_or_zero(w)
    k = w / 2
    turn = torch.cholesky_solve(2 * (k + k @ k), torch.linalg.cholesky(eye + k.mT @ k))
    return torch.where(finite, turn, torch.nan)
