"""The equation ``S A + A S = C``: skew solutions are behind every rotation, symmetric ones behind Bures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from repsim_geo.numerics.tracing import constant


def skew_sylvester(s: Tensor, c: Tensor, eigenvalues: Tensor, *, cutoff: float = 0.0) -> Tensor:
    """
    Skew-symmetric solution `a` of ``s a + a s = c``, in the eigenbasis of `s`.

    Parameters
    ----------
    s : Tensor, shape (*batch, p, p)
        Symmetric, and diagonal up to rounding: the caller has rotated into an eigenbasis. Its entries
        matter only for derivatives.
    c : Tensor, shape (*batch, p, p)
        Skew-symmetric.
    eigenvalues : Tensor, shape (*batch, p)
        The diagonal of `s`; a constant for autograd.
    cutoff : float
        Sums of eigenvalues up to this fraction of the largest eigenvalue count as zero.

    Returns
    -------
    Tensor, shape (*batch, p, p)

    Notes
    -----
    Where it is delicate: where ``lambda_i + lambda_j`` vanishes the equation does not determine
    ``a_ij``, which is set to zero. Derivatives never divide by
    differences of eigenvalues, so equal eigenvalues are harmless. Rotating by a *constant* eigenbasis
    before the call is exact for derivatives, because the equation is equivariant.

    Examples
    --------
    >>> import torch
    >>> s = torch.diag(torch.tensor([1.0, 3.0]))
    >>> c = torch.tensor([[0.0, 8.0], [-8.0, 0.0]])
    >>> skew_sylvester(s, c, torch.tensor([1.0, 3.0]))
    tensor([[ 0.,  2.],
            [-2.,  0.]])
    """
    return _solve(s, c, eigenvalues, cutoff)


def skew_solver(s: Tensor, eigenvalues: Tensor) -> Callable[[Tensor], Tensor]:
    """
    `skew_sylvester` for one `s` and many right-hand sides.

    Parameters
    ----------
    s : Tensor, shape (*batch, p, p)
    eigenvalues : Tensor, shape (*batch, p)

    Returns
    -------
    callable
        From `c` to `a`.

    Examples
    --------
    >>> import torch
    >>> solve = skew_solver(torch.diag(torch.tensor([1.0, 3.0])), torch.tensor([1.0, 3.0]))
    >>> solve(torch.tensor([[0.0, 8.0], [-8.0, 0.0]]))
    tensor([[ 0.,  2.],
            [-2.,  0.]])
    """
    if constant(s):
        factors = _divide(torch.ones_like(s), eigenvalues, 0.0)
        return lambda c: c * factors
    return lambda c: _Sylvester.apply(s, c, eigenvalues, 0.0)  # type: ignore[no-any-return]


def lyapunov(s: Tensor, c: Tensor, eigenvalues: Tensor) -> Tensor:
    """
    Symmetric solution `a` of ``s a + a s = c``, in the eigenbasis of a positive semidefinite `s`.

    Parameters
    ----------
    s : Tensor, shape (*batch, n, n)
        Diagonal up to rounding; its entries matter only for derivatives, as in `skew_sylvester`.
    c : Tensor, shape (*batch, n, n)
        Symmetric.
    eigenvalues : Tensor, shape (*batch, n)
        The diagonal of `s`; a constant for autograd.

    Returns
    -------
    Tensor, shape (*batch, n, n)

    Notes
    -----
    Where it is delicate: where two eigenvalues are both zero the entry of the solution is set to zero.

    Examples
    --------
    >>> import torch
    >>> s = torch.diag(torch.tensor([1.0, 3.0]))
    >>> lyapunov(s, torch.tensor([[2.0, 8.0], [8.0, 6.0]]), torch.tensor([1.0, 3.0]))
    tensor([[1., 2.],
            [2., 1.]])
    """
    return _solve(s, c, eigenvalues, 0.0)


def _solve(s: Tensor, c: Tensor, eigenvalues: Tensor, cutoff: float) -> Tensor:
    # The quotient has the right derivatives with respect to c, but none with respect to s.
    if constant(s):
        return _divide(c, eigenvalues, cutoff)
    return _Sylvester.apply(s, c, eigenvalues, cutoff)  # type: ignore[no-any-return]


def _divide(c: Tensor, eigenvalues: Tensor, cutoff: float) -> Tensor:
    sums = eigenvalues[..., :, None] + eigenvalues[..., None, :]
    undetermined = sums.abs() <= cutoff * eigenvalues.abs().amax(-1)[..., None, None]
    return torch.where(undetermined, 0.0, c) / torch.where(undetermined, 1.0, sums)


class _Sylvester(torch.autograd.Function):
    """Solution operator L with its derivative; L is self-adjoint, so the backward pass calls it again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(s: Tensor, c: Tensor, eigenvalues: Tensor, cutoff: float) -> Tensor:
        return _divide(c, eigenvalues, cutoff)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: Tensor) -> None:
        s, _, eigenvalues, ctx.cutoff = inputs
        ctx.save_for_backward(s, output, eigenvalues)
        ctx.save_for_forward(s, output, eigenvalues)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        s, a, eigenvalues = ctx.saved_tensors
        # d: s da + da s = dc - ds a - a ds. Pair with the gradient and move L across.
        z = _Sylvester.apply(s, grads[0], eigenvalues, ctx.cutoff)
        return -(z @ a.mT + a.mT @ z), z, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        s, a, eigenvalues = ctx.saved_tensors
        ds, dc, *_ = tangents
        rhs = torch.zeros_like(a)
        if dc is not None:
            rhs = rhs + dc
        if ds is not None:
            rhs = rhs - ds @ a - a @ ds
        return _Sylvester.apply(s, rhs, eigenvalues, ctx.cutoff)
