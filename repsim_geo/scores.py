"""
Similarity scores: plain functions of two representations of the same inputs.

None of them is a distance, and larger means more alike. For each there is an angle that is a distance:
`AngularCKA` for `cka`, `AngularShape` for `nbs`, and ``AngularShape(whiten=1)`` for canonical correlations.

All of them compute in float64 where the device has it, and answer in the dtype of the activations.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._warnings import warn_user
from repsim_geo.embeddings.activations import ToWidth, largest_entry
from repsim_geo.embeddings.gram import nothing_left
from repsim_geo.errors import DegenerateRepresentationError, DegenerateRepresentationWarning, ShapeError
from repsim_geo.invariances import SCALE, TRANSLATION
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear, as_kernel
from repsim_geo.numerics.alignment import finite_svd, working_precision
from repsim_geo.numerics.centering import center_columns, center_doubly, center_u
from repsim_geo.numerics.norms import inner, squared_norm
from repsim_geo.numerics.singular import leading_directions
from repsim_geo.numerics.tracing import any_true, readable

Kernels = Kernel | tuple[Kernel | None, Kernel | None] | None


# ---------------------------------------------------------------------------------------------------------
# HSIC and CKA
# ---------------------------------------------------------------------------------------------------------


def hsic(x: Any, y: Any, kernel: Kernels = None, *, debiased: bool = False) -> Tensor:
    """
    Hilbert-Schmidt independence criterion: how much two representations vary together.

    Parameters
    ----------
    x, y : Tensor or array, shape (*batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Numbers of units may differ.
    kernel : Kernel or pair of kernels, optional
        One for both, or one for each; default `Linear`.
    debiased : bool
        The unbiased estimate of Song et al. (2007), which may be negative; needs at least 4 inputs. Otherwise
        the estimate of Gretton et al. (2005), ``tr(K H L H) / (m - 1)**2``.

    Returns
    -------
    Tensor, shape (*batch)
        In the product of the two kernels' units: ``|cov(x, y)|**2`` for linear kernels.

    Notes
    -----
    Linear kernels of fewer units than inputs need no (m, m) matrix. Others go through distances in feature
    space, which keep their digits where a wide kernel is close to constant.

    References
    ----------
    Gretton et al. 2005; Song et al. 2007.

    Examples
    --------
    >>> x = [[1.0], [-1.0], [0.0], [0.0]]
    >>> hsic(x, x)  # the variance is 2/3
    tensor(0.4444)
    """
    kernels = _kernels(kernel)
    x, y = _pair(x, y, "hsic()", 4 if debiased else 2)
    a, b, m = working_precision(x), working_precision(y), x.shape[-2]
    if _by_features(a, b, kernels):
        value = _linear_product(center_columns(a), center_columns(b), debiased)
    else:
        value = inner(_gram(a, kernels[0], debiased), _gram(b, kernels[1], debiased), 2)
    return (value / (m * (m - 3) if debiased else (m - 1) ** 2)).to(x.dtype)


def cka(x: Any, y: Any, kernel: Kernels = None, *, debiased: bool = False) -> Tensor:
    """
    Centered kernel alignment: HSIC divided by the HSIC of each representation with itself.

    Parameters
    ----------
    x, y : Tensor or array, shape (*batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Numbers of units may differ.
    kernel : Kernel or pair of kernels, optional
        One for both, or one for each; default `Linear`.
    debiased : bool
        Ratio of unbiased estimates, which is near zero for independent networks however wide they are; it
        may be negative and needs at least 4 inputs.

    Returns
    -------
    Tensor, shape (*batch)
        From 0 (from -1 if debiased) to 1, up to rounding: the cosine of the distance `AngularCKA`.

    Raises
    ------
    DegenerateRepresentationError
        Nothing is left of a Gram matrix after centering.

    Notes
    -----
    Close to one the score says little; `AngularCKA` resolves what it cannot.

    References
    ----------
    Kornblith et al. 2019; Song et al. 2007; Murphy et al. 2024.

    Examples
    --------
    >>> x = [[1.0], [-1.0], [0.0], [0.0]]
    >>> y = [[0.0], [0.0], [1.0], [-1.0]]
    >>> cka(x, x), cka(x, y)
    (tensor(1.), tensor(0.))
    """
    kernels = _kernels(kernel)
    x, y = _varying_pair(x, y, "cka()", 4 if debiased else 3)
    a, b = (_in_range(working_precision(t), k) for t, k in zip((x, y), kernels, strict=True))
    if _by_features(a, b, kernels) and not (debiased and any_true(_hollow_is_small(a) | _hollow_is_small(b))):
        return _cosine(*(_linear_product(*pair, debiased) for pair in ((a, b), (a, a), (b, b)))).to(x.dtype)
    k, l = (  # noqa: E741
        _checked_gram(t, kernel, debiased, x.dtype) for t, kernel in zip((a, b), kernels, strict=True)
    )
    return _cosine(inner(k, l, 2), squared_norm(k, 2), squared_norm(l, 2)).to(x.dtype)


def _kernels(kernel: Kernels) -> tuple[Kernel, Kernel]:
    """One kernel for each representation."""
    if isinstance(kernel, (tuple, list)):
        if len(kernel) != 2:
            raise ValueError(
                f"kernel must be one kernel for both representations, or a pair, got {len(kernel)} of them."
            )
        return as_kernel(kernel[0]), as_kernel(kernel[1])
    return as_kernel(kernel), as_kernel(kernel)


def _by_features(x: Tensor, y: Tensor, kernels: tuple[Kernel, Kernel]) -> bool:
    """Whether products of units are smaller than products of inputs, and say the same."""
    return all(type(k) is Linear for k in kernels) and max(x.shape[-1], y.shape[-1]) < x.shape[-2]


def _linear_product(x: Tensor, y: Tensor, debiased: bool) -> Tensor:
    """
    Inner product of two centered, or U-centered, linear Gram matrices, from centered features.

    Biased, ``<x x', y y'> = |y' x|**2``. U-centering takes away the diagonal and what it does to the means:
    ``m / (m - 2) sum_i |x_i|**2 |y_i|**2``, less ``|x|**2 |y|**2 / ((m - 1) (m - 2))``.
    """
    product = squared_norm(x.mT @ y, 2)
    if not debiased:
        return product
    m = x.shape[-2]
    a, b = squared_norm(x, 1), squared_norm(y, 1)
    return product - m / (m - 2) * (a * b).sum(-1) + a.sum(-1) * b.sum(-1) / ((m - 1) * (m - 2))


def _hollow_is_small(x: Tensor) -> Tensor:
    """
    Whether the linear Gram matrix is all diagonal, almost, as where one input is far from all others.

    Products of features lose then what the U-centered Gram matrix itself keeps.
    """
    x = x.detach()
    return _linear_product(x, x, True) <= torch.finfo(x.dtype).eps ** 0.25 * _linear_product(x, x, False)


def _in_range(x: Tensor, kernel: Kernel) -> Tensor:
    """Center and scale as far as the kernel does not see it: that keeps digits, and squares in range."""
    if TRANSLATION in kernel.invariances:
        x = center_columns(x)
    return x / largest_entry(x) if SCALE in kernel.invariances else x


def _gram(x: Tensor, kernel: Kernel, debiased: bool) -> Tensor:
    """
    Gram matrix, centered or U-centered; shape (*batch, m, m).

    Either centering makes ``-d**2 / 2`` of the distances in feature space equal to the Gram matrix, and the
    distances keep digits that a kernel close to constant loses.
    """
    return _centered(kernel.squared_distances(x) / -2, debiased)


def _centered(a: Tensor, debiased: bool) -> Tensor:
    return center_u(a) if debiased else center_doubly(a)


def _checked_gram(x: Tensor, kernel: Kernel, debiased: bool, dtype: torch.dtype) -> Tensor:
    """Centered Gram matrix with largest entry one, refused if it is rounding of numbers of that dtype."""
    a = kernel.squared_distances(x) / -2
    a = a / largest_entry(a)
    k = _centered(a, debiased)
    if readable(k):
        size, before = squared_norm(k, 2).sqrt(), squared_norm(a, 2).sqrt()
        if bool((size <= 16 * k.shape[-1] * torch.finfo(dtype).eps * before).any()):
            raise DegenerateRepresentationError(nothing_left("a Gram matrix after centering"))
    return k / largest_entry(k)


def _cosine(xy: Tensor, xx: Tensor, yy: Tensor) -> Tensor:
    return xy / (xx * yy).sqrt()


# ---------------------------------------------------------------------------------------------------------
# Canonical correlations
# ---------------------------------------------------------------------------------------------------------


def canonical_correlations(x: Any, y: Any) -> Tensor:
    """
    Correlations of the best matched pairs of directions, one pair after the other, each new to the earlier.

    Parameters
    ----------
    x, y : Tensor or array, shape (*batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Numbers of units may differ.

    Returns
    -------
    Tensor, shape (*batch, min(d_x, d_y))
        Descending, from 1 to 0. Directions that a representation does not have (a dead unit, a column that
        is a combination of others) correlate 0.

    Raises
    ------
    ShapeError
        Not more inputs than units by two: one representation then spans everything, and all correlations with
        it are 1.

    Warns
    -----
    DegenerateRepresentationWarning
        Fewer inputs than units of both together: some correlations are 1 for lack of inputs.

    Notes
    -----
    Any invertible linear map of the units of either goes unnoticed. The mean is the cosine of
    ``AngularShape(whiten=1)`` for equally many units.

    Differentiable once. At a correlation of 1 the gradient is zero.

    References
    ----------
    Hotelling 1936.

    Examples
    --------
    >>> x = [[1.0], [-1.0], [2.0], [-2.0]]
    >>> y = [[2.0], [-2.0], [-1.0], [1.0]]
    >>> canonical_correlations(x, x), canonical_correlations(x, y)
    (tensor([1.]), tensor([0.]))
    """
    x, y = _varying_pair(x, y, "canonical_correlations()", 3)
    _check_room(x, y, x.shape[-1], y.shape[-1], "canonical_correlations()")
    wx, wy = _directions(x), _directions(y)
    return _singular_values(wx.mT @ wy).clamp(max=1).to(x.dtype)


def svcca(x: Any, y: Any, variance: float = 0.99) -> Tensor:
    """
    Mean canonical correlation of the principal components that carry most of the variance.

    Parameters
    ----------
    x, y : Tensor or array, shape (*batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Numbers of units may differ.
    variance : float
        Of each representation keep the fewest components that carry this share of its variance. 1 keeps all.

    Returns
    -------
    Tensor, shape (*batch)
        From 0 to 1: sum of correlations over the smaller number of components.

    Raises
    ------
    ShapeError
        As many components are kept as inputs allow: the answer would be 1 for all data.

    Warns
    -----
    DegenerateRepresentationWarning
        Fewer inputs than components of both together.

    Notes
    -----
    Activations are centered first. The scale of either representation goes unnoticed. The value jumps
    where the number of components does. Differentiable once.

    References
    ----------
    Raghu et al. 2017.

    Examples
    --------
    >>> x = [[1.0, 0.01], [-1.0, 0.01], [2.0, -0.01], [-2.0, -0.01], [0.0, 0.0]]
    >>> y = [[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0], [-2.0, 0.0], [0.0, 0.0]]
    >>> svcca(x, y)  # each keeps its first column
    tensor(1.)
    """
    if not (isinstance(variance, Real) and 0 < variance <= 1):
        raise ValueError(
            f"variance must be a share above 0 and at most 1, got {variance!r}. "
            "0.99 is customary; 1 keeps all."
        )
    x, y = _varying_pair(x, y, "svcca()", 3)
    wx, wy = _directions(x, variance), _directions(y, variance)
    kx, ky = _count(wx), _count(wy)
    if readable(kx) and readable(ky):
        _check_room(x, y, int(kx.max()), int(ky.max()), "svcca()", "components")
    return (_singular_values(wx.mT @ wy).sum(-1) / torch.minimum(kx, ky)).to(x.dtype)


def pwcca(x: Any, y: Any) -> Tensor:
    """
    Mean canonical correlation, each weighted by how much of the first representation its direction explains.

    Parameters
    ----------
    x, y : Tensor or array, shape (*batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Numbers of units may differ. The
        weights are those of `x`: the score is not symmetric.

    Returns
    -------
    Tensor, shape (*batch)
        From 0 to 1.

    Raises
    ------
    ShapeError
        As `canonical_correlations`.

    Warns
    -----
    DegenerateRepresentationWarning
        As `canonical_correlations`.

    Notes
    -----
    With orthonormal canonical variates ``h_i`` of `x` and correlations ``r_i`` the score is
    ``sum_i a_i r_i / sum_i a_i`` with ``a_i = sum_j |<h_i, x_j>|`` over the centered units ``x_j``. An
    invertible linear map of `y` goes unnoticed; one of `x` does not, rotations included, because the sum is
    over its units.

    Differentiable once. Where it is delicate: two equal correlations below 1 leave their variates, and so
    the score, undetermined; the derivative of their rotation into each other is taken as zero.

    References
    ----------
    Morcos et al. 2018, equations 3 and 4.

    Examples
    --------
    >>> x = [[1.0], [-1.0], [2.0], [-2.0]]
    >>> pwcca(x, x)
    tensor(1.)
    """
    x, y = _varying_pair(x, y, "pwcca()", 3)
    _check_room(x, y, x.shape[-1], y.shape[-1], "pwcca()")
    units = center_columns(_in_range(working_precision(x), Linear()))
    wx, wy = _directions(x), _directions(y)
    u, correlations = _left_singular_vectors(wx.mT @ wy)
    weights = ((wx @ u).mT @ units).abs().sum(-1)
    # A representation of lower rank has fewer variates than columns.
    last = torch.minimum(_count(wx), _count(wy))[..., None]
    weights = torch.where(torch.arange(u.shape[-1], device=x.device) < last, weights, 0.0)
    return ((weights * correlations).sum(-1) / weights.sum(-1)).to(x.dtype)


def nbs(x: Any, y: Any) -> Tensor:
    """
    Normalized Bures similarity: how well two centered clouds of unit size match after the best rotation.

    Parameters
    ----------
    x, y : Tensor or array, shape (*batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. Numbers of units may differ.

    Returns
    -------
    Tensor, shape (*batch)
        ``|x' y|_* / (|x| |y|)`` of the centered activations, from 0 to 1 up to rounding: the cosine of the
        distance `AngularShape`.

    Notes
    -----
    The nuclear norm is taken of the product of activations, which keeps the digits that eigenvalues of
    products of Gram matrices lose. Close to one the score says little; `AngularShape` resolves what it
    cannot.

    References
    ----------
    Harvey et al. 2023.

    Examples
    --------
    >>> x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]
    >>> y = [[0.0, 3.0], [0.0, -3.0], [0.0, 0.0]]
    >>> nbs(x, y)  # a rotation by a right angle, and a scale
    tensor(1.)
    """
    x, y = _varying_pair(x, y, "nbs()", 3)
    a, b = (ToWidth()(_in_range(working_precision(t), Linear())) for t in (x, y))
    sizes = (squared_norm(a, 2) * squared_norm(b, 2)).sqrt()
    return (_singular_values(a.mT @ b).sum(-1) / sizes).to(x.dtype)


def _check_room(x: Tensor, y: Tensor, kx: int, ky: int, caller: str, what: str = "units") -> None:
    """Refuse, or warn of, correlations that come from too few inputs."""
    m = x.shape[-2]
    if m - 1 <= max(kx, ky):
        raise ShapeError(
            f"{caller} needs more inputs than {what} by two, got {m} rows and {max(kx, ky)} {what}: all "
            "correlations would be 1 for any data. Record more inputs, or keep fewer directions with svcca() "
            "and a smaller variance."
        )
    if m - 1 < kx + ky:
        warn_user(
            f"{caller} with {m} rows, {kx} and {ky} {what}: two unrelated networks have at least "
            f"{kx + ky - m + 1} correlations of 1 for lack of rows. Record more inputs or keep fewer "
            f"{what}.",
            DegenerateRepresentationWarning,
        )


def _directions(x: Tensor, variance: float = 1.0) -> Tensor:
    """
    Centered activations with all their principal components of length one, or dropped; float64.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, d)
    variance : float
        Share of the variance that is kept.

    Returns
    -------
    Tensor, shape (*batch, m, min(d, m - 1))
        ``u v'`` of the components that are kept; of no more columns than that centered data can fill.
    """
    # Directions that are weaker than the rounding of the activations are not there.
    cutoff = max(x.shape[-2:]) * torch.finfo(x.dtype).eps
    return leading_directions(ToWidth()(_in_range(working_precision(x), Linear())), variance, cutoff)


def _inverse(a: Tensor) -> Tensor:
    return torch.where(a > 0, 1.0, 0.0) / torch.where(a > 0, a, 1.0)


def _count(w: Tensor) -> Tensor:
    """How many components `_directions` has kept; shape (*batch)."""
    return squared_norm(w.detach(), 2).round()


def _singular_values(a: Tensor) -> Tensor:
    """Singular values, descending; those that are rounding are zero, with zero gradient."""
    s = torch.linalg.svdvals(a)
    return torch.where(s > max(a.shape[-2:]) * torch.finfo(s.dtype).eps * s[..., :1], s, 0.0)


def _left_singular_vectors(c: Tensor) -> tuple[Tensor, Tensor]:
    """
    Left singular vectors and singular values, with derivatives that are finite at equal singular values.

    Of the product b of `c` with its own singular vectors the diagonal moves like the singular values, and
    what appears off it turns the vectors: ``du_j`` has ``(s_j b_ij + s_i b_ji) / (s_j**2 - s_i**2)`` along
    ``u_i``.
    """
    u, s, vh = finite_svd(c.detach())
    cv = c @ vh.mT
    b = u.mT @ cv
    i, j = s[..., :, None], s[..., None, :]
    gap = (j - i) * (j + i)
    tied = gap.abs() <= 16 * max(c.shape[-2:]) * torch.finfo(s.dtype).eps * s[..., :1, None].square()
    turn = torch.where(tied, 0.0, j * b + i * b.mT) / torch.where(tied, 1.0, gap)
    moved = u @ turn + (cv - u @ b) * _inverse(s)[..., None, :]
    return u + (moved - moved.detach()), b.diagonal(dim1=-2, dim2=-1)


# ---------------------------------------------------------------------------------------------------------
# Doors
# ---------------------------------------------------------------------------------------------------------


def _pair(x: Any, y: Any, caller: str, fewest: int) -> tuple[Tensor, Tensor]:
    x, y = _checks.as_activations(x, "x"), _checks.as_activations(y, "y")
    _checks.check_pair(x, y, caller)
    for t, name in ((x, "x"), (y, "y")):
        _checks.check_rows(t, fewest, caller, name)
        if readable(t):
            _checks.check_finite(t, name)
    return x, y


def _varying_pair(x: Any, y: Any, caller: str, fewest: int) -> tuple[Tensor, Tensor]:
    x, y = _pair(x, y, caller, fewest)
    for t, name in ((x, "x"), (y, "y")):
        if readable(t):
            _checks.check_varies(t, name)
    return x, y
