"""
What the inputs of one representation are to each other: inner products, cosines, angles, distances.

All matrices are exactly symmetric: what rounding makes of the two halves is averaged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear, as_kernel
from repsim_geo.numerics.angles import angle_from_chords
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.dissimilarities import angles_between_rows, unit_rows
from repsim_geo.numerics.norms import safe_sqrt
from repsim_geo.numerics.tracing import readable


def inner_product_matrix(x: Any, kernel: Kernel | None = None) -> Tensor:
    """
    Inner products between inputs in the feature space of a kernel: the Gram matrix.

    Parameters
    ----------
    x : Tensor or array, shape (*batch, m, d)
        Activations, not centered here.
    kernel : Kernel, optional
        Default `Linear`.

    Returns
    -------
    Tensor, shape (*batch, m, m)

    Examples
    --------
    >>> inner_product_matrix([[1.0, 0.0], [1.0, 1.0]])
    tensor([[1., 1.],
            [1., 2.]])
    """
    return symmetrize(as_kernel(kernel)(_checked(x)))


def cosine_matrix(x: Any, kernel: Kernel | None = None) -> Tensor:
    """
    Cosines of the angles between inputs in the feature space of a kernel.

    Parameters
    ----------
    x : Tensor or array, shape (*batch, m, d)
        Activations, not centered here.
    kernel : Kernel, optional
        Default `Linear`.

    Returns
    -------
    Tensor, shape (*batch, m, m)
        From -1 to 1 up to rounding; exactly 1 on the diagonal.

    Raises
    ------
    DegenerateRepresentationError
        An input is zero and has no direction.

    Notes
    -----
    A cosine says little of small angles: one of 1e-8 radians and one of 0 have the same cosine. Take
    `angle_matrix` for those.

    Examples
    --------
    >>> cosine_matrix([[3.0, 0.0], [1.0, 1.0]])
    tensor([[1.0000, 0.7071],
            [0.7071, 1.0000]])
    """
    x, kernel = _checked(x), as_kernel(kernel)
    if type(kernel) is Linear:
        u, lengths = unit_rows(x)
        cosines = u @ u.mT
    else:
        k = kernel(x)
        lengths = safe_sqrt(k.diagonal(dim1=-2, dim2=-1))
        positive = torch.where(lengths > 0, lengths, 1.0)
        cosines = k / positive[..., :, None] / positive[..., None, :]
    eye = torch.eye(x.shape[-2], dtype=torch.bool, device=x.device)
    return symmetrize(torch.where(eye, 1.0, cosines)) + _undefined(lengths)


def angle_matrix(x: Any, kernel: Kernel | None = None) -> Tensor:
    """
    Angles between inputs, seen from the origin of the feature space of a kernel, in radians.

    Parameters
    ----------
    x : Tensor or array, shape (*batch, m, d)
        Activations, not centered here.
    kernel : Kernel, optional
        Default `Linear`.

    Returns
    -------
    Tensor, shape (*batch, m, m)
        From 0 to pi; exactly 0 on the diagonal.

    Raises
    ------
    DegenerateRepresentationError
        An input is zero and has no direction.

    Notes
    -----
    The gradient is zero at parallel and at opposite inputs, where an angle has a kink.

    Where it is delicate: near opposite inputs kernels other than `Linear` keep half of the digits. Kernels
    without negative values have none.

    Examples
    --------
    >>> angle_matrix([[3.0, 0.0], [1.0, 1.0]])
    tensor([[0.0000, 0.7854],
            [0.7854, 0.0000]])
    """
    x, kernel = _checked(x), as_kernel(kernel)
    if type(kernel) is Linear:
        return symmetrize(angles_between_rows(x)) + _undefined(unit_rows(x)[1])
    lengths = safe_sqrt(kernel(x).diagonal(dim1=-2, dim2=-1))
    positive = torch.where(lengths > 0, lengths, 1.0)
    i, j = positive[..., :, None], positive[..., None, :]
    # Law of cosines: |x - y|**2 = (|x| - |y|)**2 + |x| |y| chord**2, with the chord of the two directions.
    chord2 = (kernel.squared_distances(x) - (i - j).square()) / i / j
    return symmetrize(angle_from_chords(chord2, 4 - chord2)) + _undefined(lengths)


def squared_distance_matrix(x: Any, kernel: Kernel | None = None) -> Tensor:
    """
    Squared distances between inputs in the feature space of a kernel.

    Parameters
    ----------
    x : Tensor or array, shape (*batch, m, d)
    kernel : Kernel, optional
        Default `Linear`: Euclidean distances between activations.

    Returns
    -------
    Tensor, shape (*batch, m, m)
        Exactly 0 on the diagonal. Unit: the square of the kernel's.

    Examples
    --------
    >>> squared_distance_matrix([[0.0, 0.0], [3.0, 4.0]])
    tensor([[ 0., 25.],
            [25.,  0.]])
    """
    return symmetrize(as_kernel(kernel).squared_distances(_checked(x)))


def distance_matrix(x: Any, kernel: Kernel | None = None) -> Tensor:
    """
    Distances between inputs in the feature space of a kernel.

    Parameters
    ----------
    x : Tensor or array, shape (*batch, m, d)
    kernel : Kernel, optional
        Default `Linear`: Euclidean distances between activations.

    Returns
    -------
    Tensor, shape (*batch, m, m)
        Exactly 0 on the diagonal, in the kernel's unit.

    Notes
    -----
    The gradient is zero at duplicated inputs, where a distance has a kink.

    Examples
    --------
    >>> distance_matrix([[0.0, 0.0], [3.0, 4.0]])
    tensor([[0., 5.],
            [5., 0.]])
    """
    return symmetrize(as_kernel(kernel).distances(_checked(x)))


def _checked(x: Any) -> Tensor:
    x = _checks.as_activations(x)
    if readable(x):
        _checks.check_finite(x)
    return x


def _undefined(lengths: Tensor) -> Tensor:
    """Refuse inputs of length zero; where nobody can look, nan in their rows and columns, zero elsewhere."""
    zero = lengths <= 0
    if readable(lengths) and bool(zero.any()):
        row = int(zero.nonzero()[0, -1])
        raise DegenerateRepresentationError(
            f"an angle needs two directions, and row {row} is zero in the feature space of the kernel. "
            "Leave this input out, or use distance_matrix()."
        )
    mark = torch.where(zero, torch.nan, 0.0).to(lengths.dtype)
    return mark[..., :, None] + mark[..., None, :]
