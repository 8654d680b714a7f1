"""Stress: the root-mean-square difference of two dissimilarity matrices."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.embeddings.matrix_form import PLAIN, MatrixForm
from repsim_geo.embeddings.rdm import DistanceMatrix
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import as_kernel
from repsim_geo.manifolds.flat import Flat
from repsim_geo.metrics.base import MetricCard, RepresentationMetric
from repsim_geo.numerics.cones import classical_mds, is_euclidean_dissimilarity
from repsim_geo.numerics.dissimilarities import median, upper_triangle
from repsim_geo.numerics.subspaces import Hollow


def mean_over_pairs(m: int, _: int) -> float:
    """Weight that turns a sum over all entries of a symmetric (m, m) matrix into a mean over pairs i < j."""
    return 1.0 / (m * (m - 1))


class Stress(RepresentationMetric, Flat):
    """
    Root-mean-square difference of the distances between inputs, in the unit of the activations.

    Points are symmetric (m, m) matrices with zero diagonal; the space is flat, geodesics are straight.

    Parameters
    ----------
    kernel : Kernel, optional
        Distances are taken in its feature space; default `Linear`, that is Euclidean distances.
    rescale : bool
        Divide each distance matrix by its median first. The result is then dimensionless and does not see
        the scale of the activations.

    Notes
    -----
    Distance matrices of data are not a convex set: a point between two of them need not be realized by any
    activations. Constant representations are points (the zero matrix) unless `rescale` is set.

    References
    ----------
    Kriegeskorte et al. 2008; Lange et al. 2023.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> metric = Stress()
    >>> metric.dist(metric.embed(x), metric.embed(3 * x))  # one pair: |1 - 3|
    tensor(2.)
    """

    __scaling__ = Flat.__scaling__.copy()
    name = "Stress"

    def __init__(self, kernel: Kernel | None = None, *, rescale: bool = False):
        check_flag(rescale, "rescale")
        super().__init__(ndim=2, subspace=Hollow(), weight=mean_over_pairs)
        self.rescale = rescale
        self.embedding = DistanceMatrix(as_kernel(kernel), rescale=rescale)
        self.constant_is_a_point = not rescale

    def matrix_form(self) -> MatrixForm | None:
        """Distances, entry by entry, where the kernel needs no more than those between inputs."""
        kernel = self.embedding.kernel
        return MatrixForm("plain", kernel, PLAIN, False, self.rescale) if kernel.isotropic else None

    def _in_image(self, point: Tensor) -> Tensor:
        """
        Whether some points have these distances; shape (*batch).

        Matrices whose squares embed into a Euclidean space; of median one, if rescaled.
        """
        real = is_euclidean_dissimilarity(point, squared=False)
        if not self.rescale:
            return real
        return real & ((median(upper_triangle(point)) - 1).abs() <= 1e3 * torch.finfo(point.dtype).eps)

    def _realize(self, point: Tensor) -> Tensor:
        return classical_mds(point.square())

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"kernel={self.embedding.kernel}, rescale={self.rescale}"

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        kernel = self.embedding.kernel
        return MetricCard(
            key="stress",
            summary="root-mean-square difference of two distance matrices",
            unit="medians of the distances" if self.rescale else kernel.unit,
            range=(0.0, math.inf),
            invariances=kernel.distance_facts.up_to_scale() if self.rescale else kernel.distance_invariances,
            references=("kriegeskorte2008", "lange2023"),
            aliases=("rdm_stress", "rms_rdm"),
        )
