"""THE list of manifolds and metrics: everything that must hold for all of them is parametrized by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

import repsim_geo as rg


@dataclass(frozen=True)
class Case:
    """A manifold, and the shape of a point on which to test it."""

    name: str
    make: Callable[[], rg.RiemannianManifold]
    point: tuple[int, ...]
    # Takes many seconds a scene: the less telling scenes are left to the slow tests.
    slow: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class MetricCase:
    """A metric, and the data on which to test it: m inputs by d units."""

    name: str
    make: Callable[[], rg.RepresentationMetric]
    m: int = 12
    d: int = 4
    # Units are compared one by one, so networks must have equally many.
    matched: bool = False
    # Silent units are refused.
    full_rank: bool = False
    # A leading axis is a batch of networks, and not of repeats.
    batched: bool = True

    def __str__(self) -> str:
        return self.name


def _centered() -> rg.ColumnCentered:
    return rg.ColumnCentered()


def _noise(m: int = 12) -> torch.Tensor:
    """Covariance of correlated noise between inputs."""
    lag = (torch.arange(m)[:, None] - torch.arange(m)).abs()
    return 0.5**lag + torch.diag(torch.linspace(0, 1, m))


MANIFOLDS = (
    Case("flat_vectors", lambda: rg.Flat(1), (4,)),
    Case("flat_weighted", lambda: rg.Flat(2, weight=3.0), (4, 2)),
    Case("sphere_of_vectors", lambda: rg.UnitSphere(1), (5,)),
    Case("circle", lambda: rg.UnitSphere(1), (2,)),
    Case("hollow_sphere", lambda: rg.UnitSphere(2, rg.Hollow()), (5, 5)),
    Case("angular_cka", rg.AngularCKA, (6, 6)),
    Case("angular_cka_debiased", lambda: rg.AngularCKA(debiased=True), (6, 6)),
    Case("stress", rg.Stress, (5, 5)),
    Case("angular_rdm_centered", lambda: rg.AngularRDM(centered=True), (5, 5)),
    Case("angular_rdm_whitened", lambda: rg.AngularRDM(whitened=True, centered=True), (5, 5)),
    Case("size_and_shape", rg.SizeAndShape, (7, 3)),
    Case("size_and_shape_one_column", rg.SizeAndShape, (6, 1)),
    Case("size_and_shape_wide", rg.SizeAndShape, (4, 6)),
    Case("size_and_shape_square", rg.SizeAndShape, (4, 3)),
    Case("angular_shape", rg.AngularShape, (7, 3)),
    Case("angular_shape_plane", rg.AngularShape, (6, 2)),
    Case("angular_shape_wide", rg.AngularShape, (4, 5)),
    Case(
        "size_and_shape_rotations",
        lambda: rg.Quotient(rg.Flat(2, _centered()), rg.SpecialOrthogonal()),
        (7, 3),
    ),
    Case("kendall", lambda: rg.Quotient(rg.UnitSphere(2, _centered()), rg.SpecialOrthogonal()), (7, 3)),
    Case("affine_invariant_spd", rg.AffineInvariantSPD, (4, 4)),
    Case("affine_invariant_spd_numbers", rg.AffineInvariantSPD, (1, 1)),
    Case("log_euclidean_spd", rg.LogEuclideanSPD, (4, 4)),
    Case("bures_wasserstein_spd", rg.BuresWassersteinSPD, (4, 4)),
    Case("grassmannian", lambda: rg.Grassmannian(_centered()), (7, 3)),
    Case("grassmannian_lines", rg.Grassmannian, (5, 1)),
    Case("grassmannian_hyperplanes", rg.Grassmannian, (4, 3)),
    Case("permutation", rg.PermutationDistance, (7, 3)),
    Case("permutation_wide", rg.PermutationDistance, (4, 6)),
    Case("permutation_one_column", rg.PermutationDistance, (5, 1)),
    Case("angular_permutation", rg.AngularPermutation, (7, 3)),
    Case("angular_permutation_wide", rg.AngularPermutation, (4, 6)),
    Case("soft_matching", rg.SoftMatching, (6, 4)),
    Case("gaussian_shapes", lambda: rg.GaussianShapes(starts=6), (3, 3, 2), slow=True),
    Case("uncentered_permutations", lambda: rg.Quotient(rg.UnitSphere(2), rg.Permutation()), (5, 3)),
    Case("uncentered_shapes", lambda: rg.Quotient(rg.Flat(2), rg.Orthogonal()), (5, 3)),
)

METRICS = (
    MetricCase("angular_cka", rg.AngularCKA),
    MetricCase("angular_cka_rbf_median", lambda: rg.AngularCKA(rg.RBF())),
    MetricCase("angular_cka_rbf_fixed", lambda: rg.AngularCKA(rg.RBF(2.0))),
    MetricCase("angular_cka_debiased", lambda: rg.AngularCKA(debiased=True)),
    MetricCase("angular_cka_debiased_rbf", lambda: rg.AngularCKA(rg.RBF(), debiased=True)),
    MetricCase("angular_cka_laplace", lambda: rg.AngularCKA(rg.Laplace())),
    MetricCase("angular_cka_arc_cosine", lambda: rg.AngularCKA(rg.ArcCosine())),
    MetricCase("angular_cka_polynomial", lambda: rg.AngularCKA(rg.Polynomial(2, 1.0))),
    MetricCase("angular_cka_sum", lambda: rg.AngularCKA(0.5 * rg.RBF() + rg.Linear())),
    MetricCase("angular_cka_debiased_product", lambda: rg.AngularCKA(rg.Linear() * rg.RBF(), debiased=True)),
    MetricCase("stress", rg.Stress),
    MetricCase("stress_rescaled", lambda: rg.Stress(rescale=True)),
    MetricCase("stress_rbf", lambda: rg.Stress(rg.RBF(2.0))),
    MetricCase("stress_laplace", lambda: rg.Stress(rg.Laplace(2.0))),
    MetricCase("stress_arc_cosine", lambda: rg.Stress(rg.ArcCosine())),
    MetricCase("angular_rdm", rg.AngularRDM),
    MetricCase("angular_rdm_centered", lambda: rg.AngularRDM(centered=True)),
    MetricCase("angular_rdm_euclidean", lambda: rg.AngularRDM("euclidean")),
    MetricCase("angular_rdm_correlation", lambda: rg.AngularRDM("correlation", centered=True)),
    MetricCase("angular_rdm_cosine", lambda: rg.AngularRDM("cosine")),
    MetricCase("angular_rdm_whitened", lambda: rg.AngularRDM(whitened=True)),
    MetricCase("angular_rdm_whitened_noise", lambda: rg.AngularRDM(whitened=True, noise_covariance=_noise())),
    MetricCase(
        "angular_rdm_whitened_centered",
        lambda: rg.AngularRDM(whitened=True, centered=True, noise_covariance=_noise()),
    ),
    MetricCase("angular_rdm_rbf", lambda: rg.AngularRDM("euclidean", kernel=rg.RBF(2.0))),
    MetricCase("affine_invariant", rg.AffineInvariant, m=5),
    MetricCase("affine_invariant_fixed_ridge", lambda: rg.AffineInvariant(ridge=0.1, relative=False), m=5),
    MetricCase("affine_invariant_scale_free", lambda: rg.AffineInvariant(scale_free=True), m=5),
    MetricCase("affine_invariant_rbf", lambda: rg.AffineInvariant(kernel=rg.RBF()), m=5),
    MetricCase(
        "affine_invariant_covariance", lambda: rg.AffineInvariant("cov"), matched=True, full_rank=True
    ),
    MetricCase("affine_invariant_spectrum", lambda: rg.AffineInvariant("cov", p=3)),
    MetricCase("affine_invariant_truncated", lambda: rg.AffineInvariant(p=2)),
    MetricCase("log_euclidean", rg.LogEuclidean, m=5),
    MetricCase(
        "log_euclidean_covariance_scale_free",
        lambda: rg.LogEuclidean("cov", scale_free=True),
        matched=True,
        full_rank=True,
    ),
    MetricCase("bures_wasserstein", rg.BuresWasserstein),
    MetricCase("bures_wasserstein_wide", rg.BuresWasserstein, m=6, d=9),
    MetricCase("bures_wasserstein_covariance", lambda: rg.BuresWasserstein("cov"), matched=True),
    MetricCase("bures_wasserstein_rbf", lambda: rg.BuresWasserstein(kernel=rg.RBF(2.0))),
    MetricCase("linear_subspace", rg.LinearSubspace, matched=True, full_rank=True),
    MetricCase("linear_subspace_principal", lambda: rg.LinearSubspace(k=2)),
    MetricCase("permutation", rg.PermutationDistance),
    MetricCase("permutation_padded", lambda: rg.PermutationDistance(p=6)),
    MetricCase("angular_permutation", rg.AngularPermutation),
    MetricCase("angular_permutation_wide", rg.AngularPermutation, m=6, d=9),
    MetricCase("soft_matching", rg.SoftMatching),
    MetricCase("stochastic_shape", lambda: rg.StochasticShape(starts=6), batched=False),
    MetricCase("size_and_shape", rg.SizeAndShape),
    MetricCase("size_and_shape_truncated", lambda: rg.SizeAndShape(p=2)),
    MetricCase("size_and_shape_half_whitened", lambda: rg.SizeAndShape(whiten=0.5)),
    MetricCase("size_and_shape_whitened", lambda: rg.SizeAndShape(whiten=1.0)),
    MetricCase("size_and_shape_whitened_gram", lambda: rg.SizeAndShape(whiten=0.5, cov="gram")),
    MetricCase(
        "size_and_shape_whitened_variance",
        lambda: rg.SizeAndShape(whiten=1.0, cov="gram", preserve_variance=True),
    ),
    MetricCase("size_and_shape_rotations", lambda: rg.SizeAndShape(reflections=False), matched=True),
    MetricCase("angular_shape_rotations", lambda: rg.AngularShape(reflections=False), matched=True),
    MetricCase("angular_shape", rg.AngularShape),
    MetricCase("angular_shape_wide", rg.AngularShape, m=6, d=9),
    MetricCase("angular_shape_half_whitened", lambda: rg.AngularShape(whiten=0.5)),
    MetricCase("angular_shape_whitened", lambda: rg.AngularShape(whiten=1.0)),
)
