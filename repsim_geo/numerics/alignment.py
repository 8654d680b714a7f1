"""Orthogonal Procrustes: the rotation that brings one matrix as close as possible to another."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.numerics.sylvester import skew_sylvester

_LARGEST_BATCHED_LU = 150


class Aligned(NamedTuple):
    """A matrix in its best position, and the rotation that took it there: ``matrix = y @ rotation``."""

    matrix: Tensor
    rotation: Tensor


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
    finite, a = finite_or_zero(a)
    return torch.where(finite[..., 0], torch.linalg.eigvalsh(a), torch.nan)


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
    return _PolarFactor.apply(cross, special)[0]


class _PolarFactor(torch.autograd.Function):
    """Polar factor Q of M, with dQ = Q W, {P, W} = Q'dM - dM'Q and P = Q'M."""

    generate_vmap_rule = True

    @staticmethod
    def forward(cross: Tensor, special: bool) -> tuple[Tensor, Tensor, Tensor]:
        a, s, bh = finite_svd(cross)
        if special:
            sign = determinant_sign(a @ bh)
            signs = torch.cat([torch.ones_like(s[..., :-1]), sign[..., None]], -1)
            a, s = a * signs[..., None, :], s * signs
        return a @ bh, s, bh.mT.contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, bool], output: tuple[Tensor, Tensor, Tensor]) -> None:
        q, s, b = output
        ctx.mark_non_differentiable(s, b)
        ctx.save_for_backward(inputs[0], q, s, b)
        ctx.save_for_forward(inputs[0], q, s, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        cross, q, s, b = ctx.saved_tensors
        return q @ _solve_in(b, s, q.mT @ cross, q.mT @ grads[0]), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None, None]:
        cross, q, s, b = ctx.saved_tensors
        return q @ _solve_in(b, s, q.mT @ cross, q.mT @ tangents[0]), None, None


def _solve_in(basis: Tensor, eigenvalues: Tensor, p: Tensor, t: Tensor) -> Tensor:
    """Skew solution of ``{p, a} = t - t.T``, where `basis` diagonalizes the symmetric `p`."""
    t = basis.mT @ t @ basis
    cutoff = t.shape[-1] * torch.finfo(t.dtype).eps
    a = skew_sylvester(basis.mT @ p @ basis, t - t.mT, eigenvalues, cutoff=cutoff)
    return basis @ a @ basis.mT


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
    `x` from itself. One Newton step on the *residual* ``y q - x`` removes them: the residual is small, so its
    products with `x` are accurate. The step is a Cayley transform, orthogonal to the last digit.
    """
    check_same_size(x, y)
    a, b = working_precision(x), working_precision(y)
    cross = b.mT @ a
    q, s, basis = _PolarFactor.apply(cross, special)
    moved = b @ q
    turn = _last_turn(a.detach(), moved.detach(), (q.mT @ cross).detach(), s, basis)
    return Aligned(moved + moved @ turn, q + q @ turn)


def _last_turn(x: Tensor, y: Tensor, p: Tensor, eigenvalues: Tensor, basis: Tensor) -> Tensor:
    """Rotation, minus the identity, that is left to turn `y` exactly onto `x`; a constant for autograd."""
    # Where y is aligned, x.T y is symmetric. With y = c x + e its skew part is that of x.T e, whatever c; the
    # best c makes e as small as it gets, also for matrices of very different sizes.
    xx = (x * x).sum((-2, -1), keepdim=True)
    c = torch.where(xx > 0, (x * y).sum((-2, -1), keepdim=True) / torch.where(xx > 0, xx, 1.0), 0.0)
    return cayley(-_solve_in(basis, eigenvalues, p, x.mT @ (y - c * x)))


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
