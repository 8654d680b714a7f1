"""Do two distance matrices of the same networks agree? The Mantel test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.stats.arrangements import row_orders
from repsim_geo.stats.distances import as_symmetric
from repsim_geo.stats.records import TestResult, check_tail, judged


def mantel_test(
    a: Any,
    b: Any,
    *,
    control: Any = None,
    method: str = "pearson",
    tail: str = "upper",
    n_permutations: int = 999,
    seed: int | torch.Generator = 0,
    restrict: Any = None,
) -> TestResult:
    """
    Whether two matrices of distances between the same things are correlated.

    Parameters
    ----------
    a, b : Tensor or array, shape (n, n)
        Symmetric; distances or similarities. Their diagonals do not count.
    control : Tensor or array, shape (n, n), optional
        A third matrix to hold fixed: the partial correlation of `a` and `b` given it (Smouse, Long and Sokal
        1986).
    method : "pearson" or "spearman"
        Correlation of the entries above the diagonal, or of their ranks (ties share their mean rank).
    tail : "upper", "lower" or "both"
        Which correlations count as extreme.
    n_permutations : int
        If there are no more than this, all n! orders are used, and the p-value is exact.
    seed : int or torch.Generator
    restrict : sequence of labels, length n, optional
        Things change places only within their label.

    Returns
    -------
    TestResult
        The statistic is the correlation, -1 to 1.

    Raises
    ------
    ShapeError
        Not square, fewer than 3 things, different sizes.
    ValueError
        Not finite, not symmetric, or constant: then the correlation is undefined.

    Notes
    -----
    Distances of one network to all others hang together, so the entries are no sample, and the usual p-value
    of a correlation is far too small. Rows and columns of `b` are permuted together instead.

    The null hypothesis is that the networks of `b` could have been numbered in any order. It is wrong where
    neighbors are alike in both matrices for reasons of their own: layers by depth, checkpoints by time.
    Then p-values are too small, and holding the distance in depth or time fixed with `control` does not
    repair it (Guillot and Rousset 2013). Where the order is known, permute within `restrict` or thin out.

    Where `control` explains all of `b`, for some order, the partial correlation of that order counts as 0.

    References
    ----------
    Mantel 1967; Smouse et al. 1986; Legendre 2000; Guillot and Rousset 2013.

    Examples
    --------
    >>> import torch
    >>> place = torch.tensor([0.0, 1.0, 3.0, 7.0, 12.0])
    >>> a = (place[:, None] - place).abs()
    >>> print(mantel_test(a, a**2, method="spearman"))
    statistic 1, p = 0.008333 ± 0 (120 permutations)
    """
    check_tail(tail)
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method must be 'pearson' or 'spearman', got {method!r}. Choose one of the two.")
    named = {"a": a, "b": b} if control is None else {"a": a, "b": b, "control": control}
    matrices = [as_symmetric(matrix, name) for name, matrix in named.items()]
    n = matrices[0].shape[-1]
    if any(matrix.shape != matrices[0].shape for matrix in matrices) or n < 3:
        raise ShapeError(
            "a, b and control must be of one size, 3 or more, got "
            f"{', '.join(str(tuple(matrix.shape)) for matrix in matrices)}. Use the same networks in all."
        )
    if method == "spearman":
        matrices = [_ranked(matrix) for matrix in matrices]
    a, b, *controls = (_standardized(m, name) for m, name in zip(matrices, named, strict=True))
    orders, exact = row_orders(n, n_permutations, seed, restrict)
    orders = torch.cat([torch.arange(n)[None], orders]).to(b.device)
    values = _correlations(a, b, orders)
    for c in controls:
        values = _partial(values, _correlations(a, c, orders[:1]), _correlations(c, b, orders))
    return judged(float(values[0]), values[1:], tail=tail, exact=exact)


def _ranked(matrix: Tensor) -> Tensor:
    """Ranks of the entries off the diagonal, from 1 on; equal entries share the mean of theirs."""
    i, j = torch.triu_indices(*matrix.shape, offset=1)
    _, place, count = matrix[i, j].unique(return_inverse=True, return_counts=True)
    ranks = torch.zeros_like(matrix)
    ranks[i, j] = (count.cumsum(0) - (count - 1) / 2)[place].to(ranks)
    return ranks + ranks.mT


def _standardized(matrix: Tensor, name: str) -> Tensor:
    """Entries above the diagonal with mean 0 and sum of squares 1; diagonal 0."""
    n = matrix.shape[-1]
    off = 1 - torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    scaled = matrix * off / (matrix * off).abs().max().clamp_min(torch.finfo(matrix.dtype).tiny)
    centered = (scaled - scaled.sum() / off.sum()) * off
    size = torch.linalg.vector_norm(centered)
    if float(size) <= 64 * torch.finfo(matrix.dtype).eps * n:
        raise ValueError(
            f"{name} must have entries that differ, got {float(matrix[0, 1]):.6g} everywhere off the "
            "diagonal. There is nothing to correlate; check that the networks differ."
        )
    return centered / size * 2**0.5


def _correlations(a: Tensor, b: Tensor, orders: Tensor) -> Tensor:
    """Correlation of `a` with `b` in every order; shape (n_orders,)."""
    n = a.shape[-1]
    parts = orders.split(max(1, BLOCK_ELEMENTS // (n * n)))
    return torch.cat([(a * b[p[:, :, None], p[:, None, :]]).sum((-2, -1)) / 2 for p in parts])


def _partial(ab: Tensor, ac: Tensor, bc: Tensor) -> Tensor:
    """Partial correlation of a and b given c."""
    rest = (1 - ac.square()) * (1 - bc.square())
    defined = rest > 1e3 * torch.finfo(rest.dtype).eps
    if not bool(defined[0]):
        raise ValueError(
            "control must not be a linear function of a or b, got a correlation of "
            f"{float(max(ac.abs().max(), bc[0].abs())):.6g}: it leaves nothing to correlate. Leave it out."
        )
    return torch.where(defined, ab - ac * bc, 0.0) / torch.where(defined, rest, 1.0).sqrt()
