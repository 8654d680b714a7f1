"""Dissimilarity matrices: plain, as unit vectors, and whitened by the covariance of their noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from repsim_geo.embeddings.activations import largest_entry
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.invariances import ORTHOGONAL, PERMUTATION, SCALE, TRANSLATION, Invariance, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.length_scales import Median
from repsim_geo.numerics.centering import (
    center_across,
    center_columns,
    center_doubly,
    hollow,
    hollow_centered,
    symmetrize,
)
from repsim_geo.numerics.dissimilarities import squared_euclidean_distances, unit_rows
from repsim_geo.numerics.norms import trailing
from repsim_geo.numerics.subspaces import Everything
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.numerics.tracing import readable

NO_DISSIMILARITIES = (
    "nothing is left of the dissimilarities: they are zero or, after subtracting their mean, all inputs are "
    "equally far from each other. Use other inputs, or centered=False."
)


class DistanceMatrix(nn.Module):
    """
    Distances between inputs in the feature space of a kernel.

    Parameters
    ----------
    kernel : Kernel
    rescale : bool
        Divide by the median distance, so that the scale of the activations does not matter.
    """

    def __init__(self, kernel: Kernel, *, rescale: bool = False):
        super().__init__()
        self.kernel = kernel
        self.rescale = rescale

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, m), symmetric with zero diagonal."""
        if TRANSLATION in self.kernel.distance_invariances:
            x = center_columns(x)
        d = hollow(self.kernel.distances(x))
        return d / Median()(d)[..., None, None] if self.rescale else d

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"rescale={self.rescale}"


# ---------------------------------------------------------------------- dissimilarities


@dataclass(frozen=True)
class Dissimilarity:
    """
    How different the responses to two inputs are.

    Attributes
    ----------
    name : str
    squares : bool
        Whether it is a squared Euclidean distance of something.
    unchanged : frozenset of Invariance, or None
        What leaves the matrix as it is up to a positive factor; None where distances are taken in the feature
        space of a kernel, which then says it.
    between_inputs : callable
        From activations (*batch, m, d) and a kernel to dissimilarities (*batch, m, m).
    """

    name: str
    squares: bool
    unchanged: frozenset[Invariance] | None
    between_inputs: Callable[[Tensor, Kernel], Tensor]

    @property
    def takes_kernel(self) -> bool:
        """Whether distances are taken in the feature space of a kernel."""
        return self.unchanged is None

    def invariances(self, kernel: Kernel) -> frozenset[Invariance]:
        """What leaves the matrix as it is up to a positive factor."""
        return kernel.distance_facts.up_to_scale() if self.unchanged is None else self.unchanged


def _conditioned(x: Tensor, kernel: Kernel) -> Tensor:
    """Center, and divide by the largest entry, where the kernel does not see the difference: keeps digits."""
    if TRANSLATION in kernel.distance_invariances:
        x = center_columns(x)
    return x / largest_entry(x) if kernel.distance_facts.degree is not None else x


def _of_directions(x: Tensor, what: str) -> Tensor:
    """Half of the squared distance of unit vectors: one minus their cosine, with all digits of small ones."""
    directions, lengths = unit_rows(x)
    if readable(lengths) and bool((lengths == 0).any()):
        raise DegenerateRepresentationError(no_direction(what, int((lengths == 0).nonzero()[0, -1])))
    return squared_euclidean_distances(directions) / 2


def no_direction(what: str, row: int) -> str:
    """
    What to say of a response that is zero where directions are compared.

    Parameters
    ----------
    what : str
        The dissimilarity.
    row : int

    Returns
    -------
    str
    """
    return (
        f"{what} of responses compares directions, and row {row} has none. Leave this input out, or use the "
        "'sqeuclidean' or 'euclidean' dissimilarity."
    )


def _squared_euclidean(x: Tensor, kernel: Kernel) -> Tensor:
    return kernel.squared_distances(_conditioned(x, kernel))


def _euclidean(x: Tensor, kernel: Kernel) -> Tensor:
    return kernel.distances(_conditioned(x, kernel))


def _correlation(x: Tensor, kernel: Kernel) -> Tensor:
    return _of_directions(center_across(x), "correlation")


def _cosine(x: Tensor, kernel: Kernel) -> Tensor:
    return _of_directions(x, "the cosine")


DISSIMILARITIES = {
    d.name: d
    for d in (
        Dissimilarity("sqeuclidean", True, None, _squared_euclidean),
        Dissimilarity("euclidean", False, None, _euclidean),
        Dissimilarity("correlation", True, frozenset({SCALE, PERMUTATION}), _correlation),
        Dissimilarity("cosine", True, closure(ORTHOGONAL) | {SCALE}, _cosine),
    )
}


class RDM(nn.Module):
    """
    Dissimilarities between inputs.

    Parameters
    ----------
    dissimilarity : Dissimilarity
    kernel : Kernel
        For dissimilarities that take one.
    """

    def __init__(self, dissimilarity: Dissimilarity, kernel: Kernel):
        super().__init__()
        self.dissimilarity = dissimilarity
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Shape (*batch, m, d) to (*batch, m, m), symmetric with zero diagonal."""
        d = hollow(self.dissimilarity.between_inputs(x, self.kernel))
        # Squared distances of directions that differ by rounding are rounding.
        floor = 0.0 if self.dissimilarity.takes_kernel else (16 * torch.finfo(d.dtype).eps) ** 2
        if readable(d) and bool((d.amax((-2, -1)) <= floor).any()):
            raise DegenerateRepresentationError(
                f"all inputs are alike, as far as the {self.dissimilarity.name} dissimilarity can see. "
                "Use another dissimilarity, or leave this network out."
            )
        return d

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"dissimilarity={self.dissimilarity.name}"


class UnitRDM(nn.Module):
    """
    Dissimilarity matrix, projected to a subspace and normalized.

    Parameters
    ----------
    subspace : Hollow or HollowCentered
    """

    def __init__(self, subspace: Everything):
        super().__init__()
        self.subspace = subspace

    def forward(self, d: Tensor) -> Tensor:
        """Dissimilarities (*batch, m, m) to unit vectors (*batch, m, m)."""
        d = d / largest_entry(d)
        return _unit(self.subspace.project(d), d)


class WhitenedRDM(nn.Module):
    """
    Dissimilarity matrix in coordinates in which its noise is white, normalized.

    With noise of covariance S between inputs, equal in all units, estimates of squared distances ``c_a' G
    c_a`` have covariance ``V_ab = (c_a' S c_b)**2`` up to a factor. The inner product of two matrices by the
    inverse of V is that of ``S^(-1/2) G S^(-1/2)``, with G the Gram matrix of points centered at the mean
    that S weights: no matrix over pairs of pairs is formed.

    Parameters
    ----------
    noise_covariance : Tensor, shape (m, m), or None
        Symmetric positive definite; None is the identity.
    centered : bool
        Subtract the mean dissimilarity first.

    Notes
    -----
    Coordinates are rotated so that all points lie in the subspace of matrices with zero row sums, whatever
    the covariance (and of zero trace, if `centered`).

    References
    ----------
    Diedrichsen et al. 2021.
    """

    root: Tensor | None
    mirror: Tensor | None

    def __init__(self, noise_covariance: Tensor | None, *, centered: bool):
        super().__init__()
        self.centered = centered
        root, mirror = (None, None) if noise_covariance is None else _noise_coordinates(noise_covariance)
        self.register_buffer("root", root, persistent=False)
        self.register_buffer("mirror", mirror if centered else None, persistent=False)

    def forward(self, d: Tensor) -> Tensor:
        """Dissimilarities (*batch, m, m) to unit vectors (*batch, m, m)."""
        d = d / largest_entry(d)
        a = hollow_centered(d) if self.centered else d
        if self.root is None:
            gram = center_doubly(a) / -2
        else:
            _check_rows(d, self.root)
            root = self.root.to(d)
            gram = symmetrize(root @ a @ root.mT) / -2
        if self.mirror is not None:
            mirror = self.mirror.to(d)
            gram = gram - 2 * (gram * mirror).sum((-2, -1), keepdim=True) * mirror
        return _unit(gram, d)

    def dissimilarities(self, point: Tensor) -> Tensor:
        """
        Dissimilarities that a point, not centered, stands for, up to their size.

        Parameters
        ----------
        point : Tensor, shape (*batch, m, m)

        Returns
        -------
        Tensor, shape (*batch, m, m)
        """
        back = None if self.root is None else torch.linalg.pinv(self.root).to(point)
        gram = point if back is None else symmetrize(back @ point @ back.mT)
        own = gram.diagonal(dim1=-2, dim2=-1)
        return hollow(own[..., :, None] + own[..., None, :] - 2 * gram)


def _check_rows(d: Tensor, root: Tensor) -> None:
    if d.shape[-1] != root.shape[-1]:
        raise ShapeError(
            f"the noise covariance is of {root.shape[-1]} inputs, and there are {d.shape[-1]}. "
            "Give the covariance of the inputs that are compared."
        )


def _noise_coordinates(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """
    Whitening of the inputs, followed by a rotation that takes the weighted mean to the plain one.

    Returns it, and the unit matrix by which the hyperplane of mean dissimilarity zero is reflected to zero
    trace.
    """
    m = covariance.shape[-1]
    values, basis = spectrum(symmetrize(covariance.double()))
    root, inverse = ((basis * f[..., None, :]) @ basis.mT for f in (values.sqrt(), values.rsqrt()))
    ones = torch.ones(m, dtype=torch.float64, device=covariance.device)
    n = inverse @ ones
    n = n / n.norm()
    uniform = ones / math.sqrt(m)
    turned = _reflected(n, uniform)
    projected = inverse - torch.outer(n, n @ inverse)
    mean = turned @ (m * root @ root - torch.outer(root @ ones, root @ ones)) @ turned.mT
    trace = torch.eye(m, dtype=torch.float64, device=covariance.device) - 1 / m
    mirror = mean / mean.norm() - trace / trace.norm()
    size = mirror.norm()
    return turned @ projected, torch.where(size > 1e-8, mirror / torch.where(size > 0, size, 1.0), 0.0)


def _reflected(a: Tensor, b: Tensor) -> Tensor:
    """Reflection that takes the unit vector a to the unit vector b."""
    eye = torch.eye(len(a), dtype=a.dtype, device=a.device)
    v = a - b
    square = v @ v
    return eye - torch.where(square > 0, 2 / torch.where(square > 0, square, 1.0), 0.0) * torch.outer(v, v)


def _unit(a: Tensor, before: Tensor) -> Tensor:
    size = torch.linalg.vector_norm(a, dim=trailing(2), keepdim=True)
    if readable(a):
        limit = torch.linalg.vector_norm(before, dim=trailing(2), keepdim=True)
        if bool((size <= 16 * a.shape[-1] * torch.finfo(a.dtype).eps * limit).any()):
            raise DegenerateRepresentationError(NO_DISSIMILARITIES)
    return a / size
