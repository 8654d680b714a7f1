"""Representational similarity analysis as geometry: the angle between two dissimilarity matrices."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo import _checks
from repsim_geo.embeddings.matrix_form import PLAIN, WITHOUT_MEAN, MatrixForm
from repsim_geo.embeddings.rdm import DISSIMILARITIES, RDM, UnitRDM, WhitenedRDM
from repsim_geo.errors import ShapeError
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import Linear, as_kernel
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.metrics.base import MetricCard, RepresentationMetric
from repsim_geo.numerics.cones import (
    classical_mds,
    is_euclidean_dissimilarity,
    is_spherical_dissimilarity,
)
from repsim_geo.numerics.subspaces import DoubleCentered, Hollow, HollowCentered, TraceFree
from repsim_geo.numerics.symmetric import finite_cholesky
from repsim_geo.numerics.tracing import readable


class AngularRDM(RepresentationMetric, UnitSphere):
    """
    Angle between two representational dissimilarity matrices, in radians.

    The cosine of the distance is what representational similarity analysis calls the cosine similarity of two
    RDMs; with `centered` it is their Pearson correlation; with `whitened` those of Diedrichsen et al., which
    weigh entries by how reliably they can be estimated.

    Parameters
    ----------
    dissimilarity : "sqeuclidean", "euclidean", "correlation" or "cosine"
        Between the responses to two inputs: squared or plain Euclidean distance, one minus Pearson's
        correlation over units, one minus the cosine.
    centered : bool
        Subtract the mean dissimilarity, unweighted, before anything else: additive constants go unnoticed.
    whitened : bool
        Compare in coordinates in which estimates of squared distances have independent errors.
    noise_covariance : Tensor, shape (m, m), optional
        Covariance of the noise between inputs, for `whitened`; default the identity.
    kernel : Kernel, optional
        Euclidean distances are taken in its feature space; default `Linear`.

    Notes
    -----
    Whitened with independent noise, the squared Euclidean RDM *is* a centered Gram matrix: the distance is
    that of `AngularCKA`. Spearman and Kendall correlations of RDMs are not here: ranks have no geometry.

    Dissimilarities are not negative, so without `centered` angles are at most pi/2. Points between two RDMs
    are nonnegative too, but need not be the RDM of any activations; `in_image` tells.

    Where it is delicate: a response without a direction (zero, or constant over units for "correlation") is
    refused, and so are inputs that are all equally far from each other if `centered`.

    References
    ----------
    Kriegeskorte et al. 2008; Diedrichsen et al. 2021.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> y = torch.tensor([[0.0], [1.0], [1.0]])
    >>> metric = AngularRDM("euclidean")
    >>> metric.dist(metric.embed(x), metric.embed(y)).cos()  # (1, 2, 1) and (1, 1, 0): 3 / sqrt(6 * 2)
    tensor(0.8660)
    """

    __scaling__ = UnitSphere.__scaling__.copy()
    name = "AngularRDM"

    def __init__(
        self,
        dissimilarity: str = "sqeuclidean",
        *,
        centered: bool = False,
        whitened: bool = False,
        noise_covariance: Any = None,
        kernel: Kernel | None = None,
    ):
        kind = _known(dissimilarity)
        _checks.check_flag(centered, "centered")
        _checks.check_flag(whitened, "whitened")
        if kernel is not None and not kind.takes_kernel:
            raise ValueError(
                f"the {dissimilarity!r} dissimilarity has no kernel, got {kernel!r}. "
                "Kernels go with 'sqeuclidean' and 'euclidean'."
            )
        noise = None if noise_covariance is None else _checked_noise(noise_covariance, whitened)
        flat = (DoubleCentered(), TraceFree()) if whitened else (Hollow(), HollowCentered())
        super().__init__(ndim=2, subspace=flat[centered])
        self.dissimilarity, self.centered, self.whitened = dissimilarity, centered, whitened
        last = WhitenedRDM(noise, centered=centered) if whitened else UnitRDM(self.subspace)
        self.embedding = nn.Sequential(RDM(kind, as_kernel(kernel)), last)
        self.fewest_rows = 3
        # A covariance of the noise says which input is which.
        self.exchangeable_inputs = noise is None

    def embed_dissimilarities(self, d: Any) -> Tensor:
        """
        Point of the manifold that a dissimilarity matrix is, however it was measured.

        Parameters
        ----------
        d : Tensor or array, shape (*batch, m, m)
            Symmetric; the diagonal is not looked at. Crossvalidated dissimilarities may be negative.

        Returns
        -------
        Tensor, shape (*batch, m, m)

        Raises
        ------
        ShapeError
            Not square, or fewer than 3 inputs.
        ValueError
            Not finite, or not symmetric.
        """
        if getattr(d, "ndim", 2) == 1:
            raise ShapeError(
                f"d must be a square matrix of dissimilarities, got a vector of {len(d)}. "
                "scipy.spatial.distance.squareform turns a condensed vector into one."
            )
        d = _checks.as_activations(d, "d")
        if d.shape[-1] != d.shape[-2] or d.shape[-1] < self.fewest_rows:
            raise ShapeError(
                f"d must be a square matrix of dissimilarities of 3 or more inputs, got {tuple(d.shape)}. "
                "scipy.spatial.distance.squareform turns a condensed vector into one."
            )
        _checks.check_finite(d, "d")
        _check_symmetric(d)
        to_point: Any = self.embedding
        return to_point[1](Hollow().project(d))

    def matrix_form(self) -> MatrixForm | None:
        """Dissimilarities, entry by entry; None if they are whitened, which mixes them."""
        steps: Any = self.embedding
        if self.whitened or not steps[0].kernel.isotropic:
            return None
        kind = {"sqeuclidean": "squared", "euclidean": "plain"}.get(self.dissimilarity, self.dissimilarity)
        return MatrixForm(kind, steps[0].kernel, WITHOUT_MEAN if self.centered else PLAIN, True)

    def _in_image(self, point: Tensor) -> Tensor:
        """
        Whether some responses have these dissimilarities, up to their size; shape (*batch).

        All centered points: a large enough constant makes any dissimilarities Euclidean.
        """
        if self.centered:
            return self._all(point)
        d = self._dissimilarities(point)
        if self.dissimilarity == "euclidean":
            return is_euclidean_dissimilarity(d, squared=False)
        real = is_euclidean_dissimilarity(d, squared=True)
        return real if self.dissimilarity == "sqeuclidean" else real & is_spherical_dissimilarity(d)

    def _dissimilarities(self, point: Tensor) -> Tensor:
        """Dissimilarities of an uncentered point, up to their size."""
        if not self.whitened:
            return point
        steps: Any = self.embedding
        return steps[1].dissimilarities(point)

    def _realize(self, point: Tensor) -> Tensor:
        if self.centered or self.dissimilarity not in ("sqeuclidean", "euclidean"):
            raise NotImplementedError(
                f"realize is not written for AngularRDM({self.extra_repr()}); it is for (squared) Euclidean "
                "distances with centered=False."
            )
        d = self._dissimilarities(point)
        return classical_mds(d if self.dissimilarity == "sqeuclidean" else d.square())

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        steps: Any = self.embedding
        shown = [repr(self.dissimilarity), f"centered={self.centered}", f"whitened={self.whitened}"]
        if type(steps[0].kernel) is not Linear:
            shown.append(f"kernel={steps[0].kernel}")
        if self.whitened and steps[1].root is not None:
            shown.append("noise_covariance=...")
        return ", ".join(shown)

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        steps: Any = self.embedding
        kind, kernel = DISSIMILARITIES[self.dissimilarity], steps[0].kernel
        # Inner products of Gram matrices of data are not negative, nor are those of dissimilarities.
        acute = not self.centered and (kind.squares or not self.whitened)
        return MetricCard(
            key="angular_rdm",
            summary="angle between two dissimilarity matrices",
            unit="radians",
            range=(0.0, math.pi / 2 if acute else math.pi),
            invariances=kind.invariances(kernel),
            references=("kriegeskorte2008", "diedrichsen2021"),
            aliases=("rsa", "rsa_cosine", "rdm_cosine", "representational_similarity_analysis"),
        )


def _check_symmetric(d: Tensor) -> None:
    if not readable(d):
        return
    apart = (d.detach() - d.detach().mT).abs().amax()
    if bool(apart > 1e-4 * d.detach().abs().amax()):
        raise ValueError(
            f"d must be symmetric, got entries (i, j) and (j, i) that differ by {float(apart):.3g}. Take the "
            "mean of both, (d + d.mT) / 2, if they are two measurements of one dissimilarity."
        )


def _known(dissimilarity: Any) -> Any:
    if not isinstance(dissimilarity, str) or dissimilarity not in DISSIMILARITIES:
        raise ValueError(
            f"dissimilarity must be one of {', '.join(DISSIMILARITIES)}, got {dissimilarity!r}. Begin with "
            "'sqeuclidean'; matrices that were measured otherwise go through embed_dissimilarities()."
        )
    return DISSIMILARITIES[dissimilarity]


def _lowest(noise: Tensor) -> str:
    if not bool(noise.isfinite().all()):
        return "nan or infinity"
    return f"a smallest eigenvalue of {float(torch.linalg.eigvalsh(noise.double())[0]):.3g}"


def _checked_noise(noise: Any, whitened: bool) -> Tensor:
    if not whitened:
        raise ValueError("noise_covariance weighs a whitened RDM: give whitened=True too, or leave it out.")
    try:
        noise = torch.as_tensor(noise)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"noise_covariance must be a symmetric matrix (m, m) of numbers, got {type(noise).__name__}: "
            f"{error}. A vector of variances v becomes torch.diag(v)."
        ) from error
    square = noise.dim() == 2 and noise.shape[0] == noise.shape[1] and noise.is_floating_point()
    if not square or not bool(torch.allclose(noise, noise.mT, rtol=1e-4)):
        raise ValueError(
            f"noise_covariance must be a symmetric matrix (m, m) of numbers, got shape {tuple(noise.shape)}. "
            "A vector of variances v becomes torch.diag(v)."
        )
    if not bool(noise.isfinite().all()) or not bool(finite_cholesky(noise.double()).isfinite().all()):
        raise ValueError(
            f"noise_covariance must be positive definite, got {_lowest(noise)}. Shrink it towards "
            "its diagonal, as estimates from few repeats need."
        )
    return noise
