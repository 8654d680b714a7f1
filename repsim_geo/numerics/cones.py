r"""
The cone of positive semidefinite matrices: membership, nearest points, and the time at which paths leave it.

Whether a matrix lies in the cone is a question of the signs of eigenvalues, and those of singular matrices
are rounding. All functions here decide by one rule: an eigenvalue below ``rtol`` times the largest in
absolute value is zero. The default ``rtol`` is 4 n eps for matrices (n, n); data that were computed in
float32 and converted to float64 need that of float32.

Double-centered matrices (rows that sum to zero) are no special case: the direction of ones is in the kernel
of all of them, so they are positive semidefinite if they are so on its complement.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.numerics.alignment import finite_eigenvalues
from repsim_geo.numerics.centering import center_doubly, symmetrize
from repsim_geo.numerics.norms import safe_norm
from repsim_geo.numerics.symmetric import SQRT, SpectralFunction, Spectrum, spectral, spectrum
from repsim_geo.numerics.tracing import readable

# An eigenvalue of zero comes out below n eps times the largest (centered Gram matrices of 3 to 100 points,
# many seeds); four times that is zero.
_SAFETY = 4
# Entries that differ by more than this share of the largest are no rounding, of single precision either.
_ASYMMETRY = 1e-4

_CLIP = SpectralFunction(
    "positive part",
    lambda x: x.clamp_min(0),
    lambda x: (x > 0).to(x.dtype),
    torch.zeros_like,
    lambda low, high: torch.zeros_like(high),
    # Quotient of max(a, 0) - max(b, 0) and a - b; one half at 0/0, between the values on both sides.
    lambda a, b: torch.where(
        (a == 0) & (b == 0),
        0.5,
        (a.clamp_min(0) + b.clamp_min(0)) / torch.where((a == 0) & (b == 0), 1.0, a.abs() + b.abs()),
    ),
)


def is_psd(a: Tensor, *, rtol: float | None = None) -> Tensor:
    """
    Whether symmetric matrices are positive semidefinite up to rounding.

    Parameters
    ----------
    a : Tensor, shape (*batch, n, n)
        Symmetric; only the symmetric part is looked at.
    rtol : float, optional
        How negative an eigenvalue may be, relative to the largest in absolute value. Default 4 n eps.

    Returns
    -------
    Tensor, shape (*batch), bool
        False for matrices that are not finite.

    Examples
    --------
    >>> import torch
    >>> is_psd(torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]))
    tensor([ True, False])
    """
    _check_square(a, "a", rtol)
    values = finite_eigenvalues(symmetrize(a.detach()))
    return (values >= -_rounding(values, rtol)).all(-1)


def is_euclidean_dissimilarity(d: Tensor, *, squared: bool, rtol: float | None = None) -> Tensor:
    """
    Whether a matrix of dissimilarities is that of the Euclidean distances of some points.

    Parameters
    ----------
    d : Tensor, shape (*batch, m, m)
    squared : bool
        Whether the entries are squared distances.
    rtol : float, optional
        Relative error of the entries that is forgiven. Default 4 m eps.

    Returns
    -------
    Tensor, shape (*batch), bool
        True if the matrix is symmetric with zero diagonal, without negative entries, and
        ``-1/2 H d^2 H`` is positive semidefinite, ``H = I - 11'/m`` (Schoenberg 1935; Young and Householder
        1938).

    Examples
    --------
    A star: three points at distance 1 of a center and 2 of each other, which no Euclidean space has.

    >>> import torch
    >>> star = torch.tensor([[0.0, 1, 1, 1], [1, 0, 2, 2], [1, 2, 0, 2], [1, 2, 2, 0]])
    >>> is_euclidean_dissimilarity(star, squared=False), is_euclidean_dissimilarity(star, squared=True)
    (tensor(False), tensor(True))
    """
    _check_square(d, "d", rtol)
    d = d.detach()
    largest = d.abs().amax((-2, -1), keepdim=True)
    slack = largest * (_SAFETY * d.shape[-1] * torch.finfo(d.dtype).eps if rtol is None else rtol)
    hollow = (d.diagonal(dim1=-2, dim2=-1).abs() <= slack[..., 0]).all(-1)
    plausible = ((d - d.mT).abs() <= slack) & (d >= -slack)
    return plausible.all((-2, -1)) & hollow & is_psd(_centered_gram(d if squared else d.square()), rtol=rtol)


def is_spherical_dissimilarity(d2: Tensor) -> Tensor:
    """
    Whether squared Euclidean distances are those of points on a sphere, up to a common factor.

    Parameters
    ----------
    d2 : Tensor, shape (*batch, m, m)
        For which `is_euclidean_dissimilarity` holds.

    Returns
    -------
    Tensor, shape (*batch), bool
        Points z have a circumscribed sphere if their squared norms are affine in z: then a common factor
        makes its radius one, and ``1 - d2 / 2`` are cosines.

    Examples
    --------
    Three points on a line have none, three corners of a triangle do.

    >>> import torch
    >>> line = torch.tensor([[0.0, 1, 4], [1, 0, 1], [4, 1, 0]])
    >>> triangle = torch.tensor([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    >>> is_spherical_dissimilarity(line), is_spherical_dissimilarity(triangle)
    (tensor(False), tensor(True))
    """
    _check_square(d2, "d2")
    gram = _centered_gram(d2.detach())
    values, basis = spectrum(gram)
    norms = gram.diagonal(dim1=-2, dim2=-1)
    norms = norms - norms.mean(-1, keepdim=True)
    outside = values <= _rounding(values, None)
    rest = (basis.mT @ norms[..., None])[..., 0] * outside
    # Eigenvectors next to the kernel are known up to rounding over their eigenvalue.
    slack = torch.finfo(d2.dtype).eps ** 0.5 * norms.norm(dim=-1) + _rounding(values, None)[..., 0]
    return rest.norm(dim=-1) <= slack


def nearest_psd(a: Tensor) -> Tensor:
    """
    Nearest positive semidefinite matrix: negative eigenvalues become zero.

    Parameters
    ----------
    a : Tensor, shape (*batch, n, n)
        Symmetric.

    Returns
    -------
    Tensor, shape (*batch, n, n)
        Nearest in the Frobenius norm (Higham 1988). Double-centered if `a` is.

    Notes
    -----
    The projection to a convex set: it never increases distances. Twice differentiable where no eigenvalue is
    zero; equal eigenvalues are harmless. At a zero eigenvalue the projection has a kink, and some slope
    between those of both sides is taken.

    Examples
    --------
    >>> import torch
    >>> nearest_psd(torch.diag(torch.tensor([3.0, -1.0])))
    tensor([[3., 0.],
            [0., 0.]])
    """
    _check_square(a, "a")
    _check_finite(a, "a")
    return spectral(_CLIP, symmetrize(a))


def square_root(a: Tensor, *, rtol: float | None = None) -> Tensor:
    """
    Symmetric square root of a positive semidefinite matrix: features whose inner products it holds.

    Parameters
    ----------
    a : Tensor, shape (*batch, n, n)
        Symmetric. Negative eigenvalues, and those that are rounding of the largest, count as zero.
    rtol : float, optional
        As in `is_psd`.

    Returns
    -------
    Tensor, shape (*batch, n, n)

    Examples
    --------
    >>> import torch
    >>> square_root(torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[2., 0.],
            [0., 0.]])
    """
    _check_square(a, "a", rtol)
    a = symmetrize(a)
    values, basis = spectrum(a)
    values = torch.where(values > _rounding(values, rtol), values, torch.zeros_like(values))
    return spectral(SQRT, a, Spectrum(values, basis))


def nearest_unit_psd(a: Tensor, *, rtol: float | None = None) -> Tensor:
    """
    Nearest positive semidefinite matrix of the unit sphere, in angle.

    Parameters
    ----------
    a : Tensor, shape (*batch, n, n)
        Symmetric, of any norm but zero.
    rtol : float, optional
        As in `is_psd`.

    Returns
    -------
    Tensor, shape (*batch, n, n)
        `nearest_psd`, divided by its Frobenius norm. nan where `a` has no positive eigenvalue: all
        semidefinite matrices are then at least a right angle away.

    Notes
    -----
    By Moreau's decomposition ``a = p + q`` with p in the cone, q in its polar and ``<p, q> = 0``: for unit b
    in the cone ``<a, b> <= <p, b> <= |p|``, with equality at ``b = p / |p|``. Derivatives as of
    `nearest_psd`.

    Examples
    --------
    >>> import torch
    >>> nearest_unit_psd(torch.diag(torch.tensor([0.6, -0.8])))
    tensor([[1., 0.],
            [0., 0.]])
    """
    _check_square(a, "a", rtol)
    _check_finite(a, "a")
    if readable(a) and bool((a.detach() == 0).all((-2, -1)).any()):
        raise ValueError(
            "a must not be zero, got a matrix of zeros: it has no direction, and all unit matrices are as "
            "near. Leave it out."
        )
    eigen = spectrum(symmetrize(a))
    polar = (eigen.values <= _rounding(eigen.values, rtol)).all(-1)[..., None, None]
    p = spectral(_CLIP, symmetrize(a), eigen)
    p = torch.where(polar, torch.nan, p)
    return p / torch.where(polar, 1.0, safe_norm(p, 2, keepdim=True))


def psd_exit_time(a: Tensor, w: Tensor, *, centered: bool = True, rtol: float | None = None) -> Tensor:
    """
    Angle up to which the great circle ``cos(t) a + sin(t) w`` stays positive semidefinite.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m)
        Positive semidefinite; a unit matrix for `t` to be an angle.
    w : Tensor, shape (*batch, m, m)
        Symmetric; a unit tangent vector, ``<a, w> = 0``.
    centered : bool
        Both are double-centered; what rounding has left in the direction of ones is ignored. False for
        semidefinite matrices of other kinds.
    rtol : float, optional
        Eigenvalues below this fraction of the largest are zero. Default 4 m eps.

    Returns
    -------
    Tensor, shape (*batch)
        Radians, from 0 (the circle leaves at once) to pi/2 (`w` is positive semidefinite itself); nan where
        `a` is not positive semidefinite. Constant for autograd.

    Notes
    -----
    With ``s = cot(t)``, the matrix is semidefinite while ``s a + w`` is. Let N be the kernel of `a` and R its
    range. If `w` is negative somewhere on N, or couples R to a direction of N on which it vanishes, the
    circle leaves at once. Else the smallest s is the largest eigenvalue of ``-(w_RR - w_RN w_NN^+ w_NR)``
    relative to ``a_RR``, or zero.

    Where it is delicate: the rank of `a` and that of ``w_NN`` are decided by `rtol`, and the answer is not
    continuous in them. From a singular matrix most directions leave at once (half of them if the kernel,
    beside the ones, has one dimension, nearly all if several), and those toward semidefinite matrices do not.
    The coupling is held against the square root of the rounding, because in a semidefinite matrix ``w_nr^2 <=
    w_nn w_rr``: what passes lets the smallest eigenvalue fall by no more than rounding.

    Examples
    --------
    From a positive matrix to the edge of the cone:

    >>> import torch
    >>> a, w = torch.eye(2) / 2**0.5, torch.diag(torch.tensor([1.0, -1.0])) / 2**0.5
    >>> psd_exit_time(a, w, centered=False)  # pi / 4
    tensor(0.7854)
    """
    s, at_once = _exit_cotangent(a, w, centered, rtol)
    return torch.where(at_once, 0.0, torch.atan2(torch.ones_like(s), s))


def psd_exit_step(a: Tensor, w: Tensor, *, centered: bool = True, rtol: float | None = None) -> Tensor:
    """
    Step up to which the straight line ``a + t w`` stays positive semidefinite.

    Parameters
    ----------
    a : Tensor, shape (*batch, m, m)
        Positive semidefinite.
    w : Tensor, shape (*batch, m, m)
        Symmetric.
    centered : bool
        Both are double-centered; what rounding has left in the direction of ones is ignored. False for
        semidefinite matrices of other kinds.
    rtol : float, optional
        Eigenvalues below this fraction of the largest are zero. Default 4 m eps.

    Returns
    -------
    Tensor, shape (*batch)
        From 0 to inf (`w` is positive semidefinite); nan where `a` is not. Constant for autograd.

    Notes
    -----
    The tangent of `psd_exit_time`; delicate at the same places.

    Examples
    --------
    >>> import torch
    >>> psd_exit_step(torch.eye(2), torch.diag(torch.tensor([1.0, -0.5])), centered=False)
    tensor(2.)
    """
    s, at_once = _exit_cotangent(a, w, centered, rtol)
    return torch.where(at_once, 0.0, 1 / s)


class _Blocks(NamedTuple):
    """A symmetric matrix in an eigenbasis of another: on the kernel, on the range, and between."""

    kernel: Tensor
    between: Tensor
    range: Tensor


@torch.no_grad()
def _exit_cotangent(a: Tensor, w: Tensor, centered: bool, rtol: float | None) -> tuple[Tensor, Tensor]:
    """Smallest s >= 0 with ``s a + w`` semidefinite from there on, and whether there is none."""
    _check_square(a, "a", rtol)
    _check_square(w, "w")
    if a.shape[-1] != w.shape[-1]:
        raise ShapeError(
            f"a and w must be matrices of one size, got {tuple(a.shape)} and {tuple(w.shape)}. A direction "
            "is as large as the matrix that it starts from."
        )
    a, w = torch.broadcast_tensors(*map(center_doubly if centered else symmetrize, (a, w)))
    eigen = spectrum(a)
    cut = _rounding(eigen.values, rtol)
    in_range = eigen.values > cut
    blocks = _blocks(eigen, in_range, w)
    spread = finite_eigenvalues(w)
    lost = _rounding(spread, rtol)  # eigenvalues of w below this are rounding

    # The kernel, and what couples it to the range.
    values, basis = spectrum(blocks.kernel)
    sure = values > lost
    inverse = torch.where(sure, 1 / torch.where(sure, values, 1.0), 0.0)
    coupling = basis.mT @ blocks.between
    stray = safe_norm(torch.where(sure[..., None], 0.0, coupling), 2)
    tolerated = (lost[..., 0] * spread.abs().amax(-1)).sqrt()
    at_once = (values < -lost).any(-1) | (stray > tolerated)

    # What is left on the range, relative to a.
    scale = torch.where(in_range, 1 / torch.where(in_range, eigen.values, 1.0).sqrt(), 0.0)
    left = blocks.range - coupling.mT @ (inverse[..., None] * coupling)
    s = -finite_eigenvalues(symmetrize(scale[..., :, None] * left * scale[..., None, :]))[..., 0]

    outside, for_ever = (eigen.values < -cut).any(-1), (spread >= -lost).all(-1)
    s = torch.where(for_ever, 0.0, s.clamp_min(0))
    return torch.where(outside, torch.nan, s), at_once & ~for_ever & ~outside


def _blocks(eigen: Spectrum, in_range: Tensor, w: Tensor) -> _Blocks:
    turned = symmetrize(eigen.basis.mT @ w @ eigen.basis)
    r, c = in_range[..., :, None], in_range[..., None, :]
    return _Blocks(*(torch.where(mask, turned, 0.0) for mask in (~r & ~c, ~r & c, r & c)))


def classical_mds(d2: Tensor, *, n_components: int | None = None, rtol: float | None = None) -> Tensor:
    """
    Points with given squared distances: classical multidimensional scaling.

    Parameters
    ----------
    d2 : Tensor, shape (*batch, m, m)
        Squared dissimilarities, symmetric with zero diagonal.
    n_components : int, optional
        Dimension of the points, at most m. Default m - 1, which is enough for every Euclidean dissimilarity.
    rtol : float, optional
        Eigenvalues below this fraction of the largest are zero. Default 4 m eps.

    Returns
    -------
    Tensor, shape (*batch, m, n_components)
        Centered principal coordinates: orthogonal columns, of decreasing length. Their squared distances are
        `d2`, if it `is_euclidean_dissimilarity` and the dimension suffices. Otherwise their inner products
        are the nearest (in the Frobenius norm) to ``-1/2 H d2 H`` that so many dimensions allow.

    Raises
    ------
    ValueError
        `n_components` is not between 1 and m; not finite, or not symmetric.

    Notes
    -----
    Points are determined up to a rotation only; signs are chosen so that the entry of largest absolute value
    in each column is positive.

    Where it is delicate: at equal eigenvalues, where columns turn freely. The derivative therefore leaves the
    rotation out (it is the horizontal lift of the derivative of the inner products): derivatives of all that
    rotations of the points do not change, such as their distances, are right, and finite at equal
    eigenvalues; those of single coordinates mean nothing. Directions without extent have zero derivative.
    First derivatives only.

    References
    ----------
    Torgerson (1952), Multidimensional scaling: I. Theory and method; Gower (1966), Some distance properties
    of latent root and vector methods.

    Examples
    --------
    >>> import torch
    >>> d2 = torch.tensor([[0.0, 9.0, 25.0], [9.0, 0.0, 16.0], [25.0, 16.0, 0.0]])
    >>> torch.cdist(classical_mds(d2), classical_mds(d2))
    tensor([[0., 3., 5.],
            [3., 0., 4.],
            [5., 4., 0.]])
    """
    _check_square(d2, "d2", rtol)
    _check_finite(d2, "d2")
    m = d2.shape[-1]
    p = max(m - 1, 1) if n_components is None else n_components
    if readable(d2):
        apart = (d2.detach() - d2.detach().mT).abs().amax()
        if bool(apart > _ASYMMETRY * d2.detach().abs().amax()):
            raise ValueError(
                f"d2 must be symmetric, got entries (i, j) and (j, i) that differ by {float(apart):.3g}. "
                "Take the mean of both, (d2 + d2.mT) / 2, if they are two measurements of one dissimilarity."
            )
    if isinstance(p, bool) or not isinstance(p, Integral) or not 1 <= p <= m:
        raise ValueError(
            f"classical_mds of {m} points finds 1 to {m} coordinates, got n_components={n_components!r}. "
            "Leave it out to keep all."
        )
    gram = _centered_gram(d2)
    values, basis = (w.flip(-1) for w in spectrum(gram))
    cut = _rounding(values, rtol)
    leading = basis.gather(-2, basis.abs().argmax(-2, keepdim=True))
    basis = basis * torch.where(leading < 0, -1.0, 1.0)

    kept = (values > cut) & (torch.arange(m, device=d2.device) < p)
    extent = torch.where(kept, values, 0.0)[..., :p].sqrt()[..., None, :]
    # Kept directions turn into each other like halves of their inner products; into the others, by their gap.
    i, j = values[..., :, None], values[..., None, :p]
    gap = torch.where(kept[..., :, None], j + i, j - i)
    rate = torch.where(gap > 0, extent / torch.where(gap > 0, gap, 1.0), 0.0)
    change = (
        basis.mT @ (gram - gram.detach()) @ basis[..., :p]
    )  # zero, with the derivative of the Gram matrix
    return basis[..., :p] * extent + basis @ (rate * change)


def _check_square(a: Any, name: str, rtol: Any = None) -> None:
    """Refuse what is no stack of square matrices, and a tolerance that is none."""
    if not isinstance(a, Tensor) or not a.is_floating_point():
        kind = a.dtype if isinstance(a, Tensor) else type(a).__name__
        raise TypeError(
            f"{name} must be a tensor of float32 or float64 numbers, got {kind}. Convert it with "
            f"torch.as_tensor({name}).double()."
        )
    if a.dim() < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] == 0:
        raise ShapeError(
            f"{name} must be square matrices (*batch, n, n) with n >= 1, got shape {tuple(a.shape)}. "
            "Activations become one with inner_product_matrix(x) or squared_distance_matrix(x)."
        )
    if rtol is None:
        return
    if isinstance(rtol, bool) or not isinstance(rtol, Real) or not 0 <= rtol < math.inf:
        raise ValueError(
            f"rtol must be a number, zero or more, or None, got {rtol!r}. None is what rounding leaves."
        )


def _check_finite(a: Tensor, name: str) -> None:
    if readable(a) and not bool(a.detach().isfinite().all()):
        raise ValueError(
            f"{name} must be finite, got nan or infinity. Leave out the rows and columns that could not be "
            "computed."
        )


def _centered_gram(d2: Tensor) -> Tensor:
    return center_doubly(d2) / -2


def _rounding(values: Tensor, rtol: float | None) -> Tensor:
    """Size below which eigenvalues, shape (*batch, n), count as zero; shape (*batch, 1)."""
    rtol = _SAFETY * values.shape[-1] * torch.finfo(values.dtype).eps if rtol is None else rtol
    return rtol * values.abs().amax(-1, keepdim=True)
