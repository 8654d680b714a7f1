"""Means and covariances of noisy activations, as one tensor: rows of means and of factors of covariances."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo.embeddings.activations import ToWidth
from repsim_geo.errors import ShapeError
from repsim_geo.numerics.alignment import finite_svd
from repsim_geo.numerics.centering import center_columns
from repsim_geo.numerics.cones import square_root
from repsim_geo.numerics.once import once

Moments = tuple[Tensor, Tensor]


class GaussianResponses(nn.Module):
    """
    Gaussian for each of m inputs: row 0 its mean, the other rows a factor F of its covariance F'F.

    Means are centered over the inputs. Rows are weighted so that the Euclidean squared distance of two
    tensors is the average over inputs of ``mean_weight`` times that of means and ``2 - mean_weight`` times
    that of factors.

    Parameters
    ----------
    p : int, optional
        Columns; fewer units are padded with zeros, more are rotated to the principal axes of all rows, of
        which the first p are kept. None keeps all.
    rank : int, optional
        Rows of each factor, for networks with different numbers of repeats; missing ones are zero. None
        takes as many as are needed: ``min(r, p)`` for r repeats, p for covariances.
    mean_weight : float
        From 0 to 2.

    Notes
    -----
    Repeats need no decomposition: their deviations from the mean, over the root of r - 1, are a factor of the
    unbiased covariance. Factors are only known up to a rotation of their rows, so more than p rows are
    rotated into p, by a constant for autograd, which is exact in first derivatives; second ones raise.

    Where it is delicate: the square root of a given covariance has no derivative in directions in which it
    vanishes; there zero is returned. Repeats have no such directions.
    """

    def __init__(self, p: int | None = None, rank: int | None = None, *, mean_weight: float = 1.0):
        super().__init__()
        self.p, self.rank, self.mean_weight = p, rank, mean_weight

    def forward(self, x: Tensor | Moments) -> Tensor:
        """
        Weighted rows.

        Parameters
        ----------
        x : Tensor, shape (*batch, r, m, d) or (m, d), or a pair of shapes (*batch, m, d), (*batch, m, d, d)
            Repeats; activations without noise; or means and covariances.

        Returns
        -------
        Tensor, shape (*batch, m, 1 + k, p)
        """
        means, factors = _moments(x)
        m = means.shape[-2]
        means = math.sqrt(self.mean_weight / m) * center_columns(means)
        rows = torch.cat([means[..., None, :], math.sqrt((2 - self.mean_weight) / m) * factors], -2)
        flat = ToWidth(self.p)(rows.flatten(-3, -2))
        rows = flat.unflatten(-2, rows.shape[-3:-1])
        return torch.cat([rows[..., :1, :], _with_rows(rows[..., 1:, :], self.rank)], -2)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}, rank={self.rank}, mean_weight={self.mean_weight}"


def _moments(x: Any) -> Moments:
    """Means (*batch, m, d), and factors (*batch, m, k, d) of covariances."""
    if isinstance(x, tuple):
        means, covariances = x
        return means, _root(covariances)
    if x.dim() == 2:
        return x, x.new_zeros(x.shape[0], 1, x.shape[1])
    means = x.mean(-3)
    return means, ((x - means.unsqueeze(-3)) / math.sqrt(x.shape[-3] - 1)).transpose(-3, -2)


def _root(covariance: Tensor) -> Tensor:
    """Symmetric square root; eigenvalues below the rounding of the largest are zero."""
    return square_root(covariance, rtol=covariance.shape[-1] * torch.finfo(covariance.dtype).eps)


def _with_rows(factors: Tensor, rank: int | None) -> Tensor:
    """The same covariances from factors with `rank` rows; by default with as few as p, if they have more."""
    k, p = factors.shape[-2:]
    needed = min(k, p)
    rank = needed if rank is None else rank
    if rank < needed:
        raise ShapeError(
            f"covariances need factors of at least {needed} rows, got rank={rank}. "
            "Leave rank out, or give at least that."
        )
    if k > rank:
        basis = finite_svd(factors.detach())[0]
        factors = _Compressed.apply(factors, basis)
    return nn.functional.pad(factors, (0, 0, 0, rank - factors.shape[-2]))


class _Compressed(torch.autograd.Function):
    """``basis' f`` for a basis of the columns of `f`, differentiable once, with the basis held constant."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, basis: Tensor) -> Tensor:
        ctx.save_for_backward(f, basis)
        return basis.mT @ f

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        f, basis = ctx.saved_tensors
        return once("a compression of factors", lambda g, _: basis @ g, grads[0], f), None
