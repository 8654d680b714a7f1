"""
Deliberately wrong distances, metrics, isometries and manifolds, each with the law that names its mistake.

A verifier is as good as what it catches. Every mutant is a mistake that people make, in as few lines as it
takes; `conformance/test_broken_networks.py` asks that its law breaks, `benchmarks/mutations.py` what else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import repsim_geo as rg
from repsim_geo.invariances import PERMUTATION, SCALE, TRANSLATION, closure
from repsim_geo.verify import Case, DistanceCase, IsometryCase, ManifoldCase, MetricCase


@dataclass(frozen=True)
class Mutant:
    """
    A mistake.

    Attributes
    ----------
    name : str
    case : callable
        Makes the case to verify, anew every time.
    law : str
        Name of the law that names the mistake.
    """

    name: str
    case: Callable[[], Case]
    law: str

    def __str__(self) -> str:
        return self.name


# ---------------------------------------------------------------------- right parts of wrong distances


def centered(x: Tensor) -> Tensor:
    return x - x.mean(-2, keepdim=True)


def unit(x: Tensor) -> Tensor:
    """Of unit norm, by the largest entry first, so that no square underflows; zero stays zero."""
    x = x / _or_one(x.abs().amax((-2, -1), keepdim=True))
    return x / _or_one(x.norm(dim=(-2, -1), keepdim=True))


def _or_one(size: Tensor) -> Tensor:
    return torch.where(size == 0, 1.0, size)


def gram(x: Tensor) -> Tensor:
    """Centered, of unit norm."""
    x = unit(centered(x))
    return unit(x @ x.mT)


def cka(x: Tensor, y: Tensor) -> Tensor:
    return (gram(x) * gram(y)).sum((-2, -1))


def angle(x: Tensor, y: Tensor) -> Tensor:
    """Between tensors of unit norm, without loss of digits, with gradient zero where they are equal."""
    chord, opposite = (safe_root((x + s * y).square().sum((-2, -1))) for s in (-1, 1))
    return 2 * torch.atan2(chord, opposite)


def safe_root(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.where(x > 0, x, 1.0).sqrt(), 0 * x)


def nuclear(a: Tensor) -> Tensor:
    return torch.linalg.svdvals(a).sum(-1)


def remainder(x: Tensor, y: Tensor) -> Tensor:
    """Squared Procrustes distance without centering."""
    return (x.square().sum() + y.square().sum() - 2 * nuclear(x.mT @ y)).clamp_min(0)


def basis(x: Tensor) -> Tensor:
    """Orthonormal basis of the centered columns."""
    u, s, _ = torch.linalg.svd(centered(x), full_matrices=False)
    return u[:, s > 1e-6 * s[0]]


# ---------------------------------------------------------------------- distances that break an axiom


def one_minus_cka(x, y):
    """A similarity subtracted from one: half of a squared distance."""
    return 1 - cka(x, y)


def squared_procrustes(x, y):
    """The squared distance sold as the distance."""
    return remainder(centered(x), centered(y))


def squared_bures(x, y):
    """The squared Bures distance of Gram matrices of unit trace."""
    return 2 - 2 * nuclear(unit(centered(x)).mT @ unit(centered(y)))


def clamped_arccos(x, y):
    """An arc cosine that is clamped away from one."""
    return cka(x, y).clamp(-1 + 1e-4, 1 - 1e-4).acos()


def ridge_in_the_norm(x, y):
    """A ridge in the denominator only: nothing has similarity one with itself."""
    a, b = (unit(centered(w)) for w in (x, y))
    a, b = a @ a.mT, b @ b.mT
    return ((a * b).sum() / ((a.norm() + 1e-3) * (b.norm() + 1e-3))).clamp(max=1).acos()


def divided_by_units_of_x(x, y):
    """An average over the units of the first network only."""
    return remainder(centered(x), centered(y)).sqrt() / x.shape[-1]


def unexplained_variance(x, y):
    """One minus the R^2 of y regressed on x."""
    y = centered(y)
    b = basis(x)
    return 1 - (b.mT @ y).square().sum() / y.square().sum()


def greedy_matching(x, y):
    """Units matched one after another, each to the most similar one that is left."""
    x, y = unit(centered(x)), unit(centered(y))
    cost, total = torch.cdist(x.mT, y.mT), x.new_zeros(())
    free = list(range(y.shape[-1]))
    for row in cost:
        j = min(free, key=lambda j: float(row[j].detach()))
        free.remove(j)
        total = total + row[j].square()
    return total.sqrt()


def mean_cca(x, y):
    """Canonical correlations of as many units as inputs: all are one, whatever the networks are."""
    a, b = basis(x), basis(y)
    s = torch.linalg.svdvals(a.mT @ b).clamp(max=1)
    return (1 - s.square().sum() / min(a.shape[-1], b.shape[-1])).clamp_min(0).sqrt()


def smallest_angle(x, y):
    """The smallest principal angle: zero as soon as one direction is shared."""
    return torch.linalg.svdvals(basis(x).mT @ basis(y))[0].clamp(max=1).acos()


def signed_size(x, y):
    """A difference without its absolute value."""
    return centered(x).norm() - centered(y).norm()


def nan_for_constants(x, y):
    """Zero divided by zero where a network does not respond."""
    a, b = centered(x), centered(y)
    return angle(a / a.norm(), b / b.norm())


def product_before_root(x, y):
    """The root of a product of two large numbers instead of the product of their roots."""
    a, b = (centered(w) @ centered(w).mT for w in (x, y))
    return ((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()).clamp(-1, 1).acos()


def refuses_networks(x, y):
    """Refuses networks of different widths, though it has no reason to."""
    if x.shape != y.shape:
        raise ValueError("x and y must have equally many units.")
    return angle(gram(x), gram(y))


def zero_for_constants(x, y):
    """Zero for networks that do not respond, from every other: then all are at distance zero."""
    a, b = centered(x), centered(y)
    return angle(a @ a.mT / (a @ a.mT).norm(), b @ b.mT / (b @ b.mT).norm()).nan_to_num(0.0)


def table_of_units(x, y):
    """Correlations of all units instead of one number."""
    return unit(centered(x)).mT @ unit(centered(y))


# ---------------------------------------------------------------------- distances that claim what is not so


def procrustes(x, y):
    """Nothing is centered."""
    return safe_root(remainder(x, y))


def centered_procrustes(x, y):
    """Nothing is normalized."""
    return safe_root(remainder(centered(x), centered(y)))


def angular_procrustes(x, y):
    """Right; what is claimed for it is not."""
    return safe_root(remainder(unit(centered(x)), unit(centered(y))))


def off_by_one(x, y):
    """U-centering with n - 1 where n - 2 belongs."""

    def u_centered(w):
        a = unit(w)
        a = a @ a.mT
        a = a - torch.diag(a.diagonal())
        n = len(a)
        a = a - (a.sum(0) + a.sum(1)[:, None]) / (n - 1) + a.sum() / ((n - 1) * (n - 2))
        return unit(a - torch.diag(a.diagonal()))

    return angle(u_centered(x), u_centered(y))


def sorted_units(x, y):
    """Columns sorted by their size instead of aligned."""
    x, y = (centered(w) for w in (x, y))
    x, y = (w[:, w.norm(dim=0).argsort()] for w in (x, y))
    return safe_root((x - y).square().sum())


def unaligned(x, y):
    """Units compared in the order in which they came."""
    return safe_root((centered(x) - centered(y)).square().sum())


def half_whitened(x, y):
    """Variances of units made equal, but not their correlations."""
    x, y = (unit(centered(w) / _or_one(centered(w).norm(dim=-2, keepdim=True))) for w in (x, y))
    return safe_root(remainder(x, y))


def subspaces(x, y):
    """Principal angles of centered activations: right; what is claimed for it is not."""
    a, b = basis(x), basis(y)
    return safe_root(a.shape[-1] + b.shape[-1] - 2 * (a.mT @ b).square().sum())


def uncentered_subspaces(x, y):
    """Principal angles of activations with their means."""
    a, b = (torch.linalg.qr(unit(w))[0] for w in (x, y))
    return safe_root(a.shape[-1] + b.shape[-1] - 2 * (a.mT @ b).square().sum())


# ---------------------------------------------------------------------- distances that lose digits, gradients


def rounded_arccos(x, y):
    """The arc cosine, in single precision."""
    return cka(x, y).float().clamp(-1, 1).acos()


def single_precision_inside(x: Any, y: Any) -> Any:
    """Activations cast to single precision, as loaders do."""
    x, y = (np.asarray(w, dtype=np.float32) for w in (x, y))
    x, y = (w - w.mean(0) for w in (x, y))
    x, y = (w / np.abs(w).max() for w in (x, y))
    x, y = (w / np.linalg.norm(w) for w in (x, y))
    return np.arccos(min(1.0, np.linalg.svd(x.T @ y, compute_uv=False).sum()))


def difference_of_squares(x, y):
    """Procrustes by its expanded square: half of the digits are lost at distance zero."""
    return safe_root(remainder(unit(centered(x)), unit(centered(y))))


def epsilon_of_the_dtype(x, y):
    """A norm with the precision added to it, which is large beside small activations."""
    x, y = (centered(w) / (centered(w).norm() + torch.finfo(w.dtype).eps) for w in (x, y))
    return safe_root(remainder(x, y))


def unsafe_root(x, y):
    """The root of a sum of squares, whose gradient at zero is nan."""
    return (gram(x) - gram(y)).square().sum((-2, -1)).sqrt()


def gradient_of_alignment(x, y):
    """Autograd through singular vectors, which have no derivative where singular values are equal."""
    x, y = unit(centered(x)), unit(centered(y))
    u, _, vh = torch.linalg.svd(x.mT @ y)
    q = u[:, : len(vh)] @ vh[: u.shape[-1]]
    return safe_root((x @ q - y).square().sum())


def detached_norm(x, y):
    """Normalization that is held constant for autograd."""
    a, b = (centered(w) @ centered(w).mT for w in (x, y))
    return safe_root((a / _or_one(a.norm().detach()) - b / _or_one(b.norm().detach())).square().sum())


# ---------------------------------------------------------------------- distances that are no functions


def in_place(x, y):
    """Centers the activations of the caller."""
    x -= x.mean(0)
    y -= y.mean(0)
    return angle(gram(x), gram(y))


def in_place_twice(x, y):
    """Normalizes the activations of the caller: the second time nothing changes any more."""
    x /= x.abs().max()
    y /= y.abs().max()
    return angle(gram(x), gram(y))


def random_projection(x, y):
    """Random directions without a seed."""
    return angle(gram(x @ torch.randn(x.shape[-1], 3).to(x)), gram(y @ torch.randn(y.shape[-1], 3).to(y)))


def weighted_rows(x, y):
    """Inputs weighted by their position."""
    weights = torch.linspace(1, 2, len(x)).to(x)[:, None]
    return angle(gram(weights * x), gram(weights * y))


def norm_of_the_batch(x, y):
    """A norm over all networks of a batch."""
    x, y = centered(x), centered(y)
    a, b = (w @ w.mT for w in (x, y))
    return safe_root((a / _or_one(a.norm()) - b / _or_one(b.norm())).square().sum((-2, -1)))


DISTANCES = (
    (one_minus_cka, "networks_keep_the_triangle_inequality", {}),
    (squared_procrustes, "networks_keep_the_triangle_inequality", {}),
    (squared_bures, "networks_keep_the_triangle_inequality", {}),
    (clamped_arccos, "networks_are_at_distance_zero_from_themselves", {}),
    (ridge_in_the_norm, "networks_are_at_distance_zero_from_themselves", {}),
    (divided_by_units_of_x, "distances_of_networks_are_symmetric", {}),
    (unexplained_variance, "distances_of_networks_are_symmetric", {}),
    (greedy_matching, "distances_of_networks_are_symmetric", {"same_width": True}),
    (mean_cca, "unrelated_networks_are_apart", {}),
    (smallest_angle, "unrelated_networks_are_apart", {}),
    (signed_size, "distances_of_networks_are_not_negative", {}),
    (nan_for_constants, "distances_of_networks_are_finite", {"same_width": True}),
    (product_before_root, "distances_of_networks_are_finite", {}),
    (table_of_units, "ordinary_networks_have_a_distance", {}),
    (procrustes, "translation_changes_nothing", {"invariances": ["translation", "rotation and reflection"]}),
    (
        centered_procrustes,
        "isotropic_scaling_changes_nothing",
        {"invariances": ["isotropic scaling", "rotation and reflection"]},
    ),
    (
        off_by_one,
        "translation_changes_nothing",
        {"invariances": ["translation", "rotation and reflection", "isotropic scaling"]},
    ),
    (
        sorted_units,
        "rotation_and_reflection_changes_nothing",
        {"invariances": ["translation", "rotation and reflection"], "same_width": True},
    ),
    (
        unaligned,
        "permutation_of_units_changes_nothing",
        {"invariances": ["translation", "permutation of units"], "same_width": True},
    ),
    (half_whitened, "invertible_linear_map_changes_nothing", {"invariances": ["invertible linear map"]}),
    (
        angular_procrustes,
        "rotation_and_reflection_is_noticed",
        {"invariances": ["translation", "isotropic scaling", "permutation of units"]},
    ),
    (angular_procrustes, "distances_of_networks_are_within_the_range", {"range": (0.0, 0.5)}),
    (
        angular_procrustes,
        "translation_is_noticed",
        {"invariances": ["isotropic scaling", "rotation and reflection"]},
    ),
    (
        angular_procrustes,
        "permutation_of_units_is_noticed",
        {"invariances": ["translation", "isotropic scaling"]},
    ),
    (
        subspaces,
        "invertible_linear_map_is_noticed",
        {"invariances": ["isotropic scaling", "rotation and reflection"]},
    ),
    (subspaces, "invertible_affine_map_is_noticed", {"invariances": ["invertible linear map"]}),
    (
        uncentered_subspaces,
        "invertible_affine_map_changes_nothing",
        {"invariances": ["invertible affine map"]},
    ),
    (epsilon_of_the_dtype, "single_precision_agrees_with_double", {}),
    (rounded_arccos, "near_networks_are_resolved", {}),
    (single_precision_inside, "near_networks_are_resolved", {"backend": "numpy"}),
    (difference_of_squares, "no_digits_are_lost_at_distance_zero", {}),
    (unsafe_root, "gradients_of_networks_are_finite", {}),
    (gradient_of_alignment, "gradients_of_networks_are_finite", {"same_width": True}),
    (detached_norm, "gradients_of_networks_agree_with_differences", {}),
    (in_place, "networks_are_not_modified", {}),
    (in_place_twice, "networks_are_not_modified", {}),
    (random_projection, "distances_of_networks_are_reproducible", {}),
    (weighted_rows, "order_of_inputs_changes_nothing", {}),
    (norm_of_the_batch, "networks_of_a_batch_do_not_mix", {"batched": True}),
)


# ---------------------------------------------------------------------- metrics


class UncenteredCKA(rg.AngularCKA):
    """Gram matrices of unit norm that nobody centered."""

    def embed(self, x):
        return unit(unit(x) @ unit(x).mT)


class UnnormalizedShape(rg.AngularShape):
    """Clouds of any size on a unit sphere."""

    _unit = False


class UncenteredShape(rg.SizeAndShape):
    """Padded, not centered."""

    def embed(self, x):
        pad = max((self.p or x.shape[-1]) - x.shape[-1], 0)
        return nn.functional.pad(x, (0, pad))[..., : self.p]


class SinglePrecisionPoints(rg.AngularRDM):
    """Dissimilarities in single precision, whatever the activations are."""

    def embed(self, x):
        return super().embed(x.float())


class RoundedPoints(rg.AngularRDM):
    """Dissimilarities that once were in single precision."""

    def embed(self, x):
        return self.projx(super().embed(x.float()).to(x.dtype))


class ChordBetween(rg.AngularCKA):
    """A fast distance that is the chord, not the angle."""

    def between(self, a, b):
        return safe_root((a - b).square().sum((-2, -1)))


class UnweightedBetween(rg.Stress):
    """A fast distance that sums over pairs instead of averaging."""

    def between(self, a, b):
        return safe_root((a - b).square().sum((-2, -1)))


class UnalignedFeatures(rg.BuresWasserstein):
    """Features compared without a rotation."""

    def between(self, a, b):
        return safe_root((a - b).square().sum((-2, -1)))


class UnalignedTable(rg.SizeAndShape):
    """A table of Euclidean distances of representatives."""

    def between_all(self, a, b):
        return torch.cdist(a.flatten(1), b.flatten(1))


class TransposedTable(rg.SizeAndShape):
    """A table with rows and columns exchanged."""

    def between_all(self, a, b):
        return super().between_all(a, b).mT


class TableOfCosines(rg.AngularCKA):
    """A table by the arc cosine in half of the digits."""

    def between_all(self, a, b):
        return (a.flatten(1) @ b.flatten(1).mT).clamp(-1, 1).acos()


class StraightGeodesic(rg.SizeAndShape):
    """The geodesic of the total space, without alignment."""

    def geodesic(self, t, x, y):
        return self.total.geodesic(t, x, y)


class ChordGeodesic(rg.AngularCKA):
    """The chord, projected to the sphere: the right path at the wrong times."""

    def geodesic(self, t, x, y):
        return self.projx(x + t * (y - x))


class ClaimsScale(rg.SizeAndShape):
    """A card with an invariance too many."""

    @property
    def card(self):
        return replace(super().card, invariances=super().card.invariances | {SCALE})


class ClaimsAffine(rg.AngularShape):
    """A card for the whitened distance, on one that is not."""

    @property
    def card(self):
        return rg.AngularShape(whiten=1.0).card


class ClaimsTooLittle(rg.AngularCKA):
    """A card that does not know of rotations."""

    @property
    def card(self):
        return replace(super().card, invariances=closure(TRANSLATION, SCALE, PERMUTATION))


class ForgetsScale(rg.Stress):
    """A card that does not know what rescaling does."""

    @property
    def card(self):
        return rg.Stress().card


class ClaimsRightAngles(rg.AngularCKA):
    """A range of angles that holds for the biased estimate only."""

    @property
    def card(self):
        return replace(super().card, range=(0.0, math.pi / 2))


class MatchingSoldAsRotation(rg.PermutationDistance):
    """Units matched one to one, with the card of the Procrustes distance."""

    @property
    def card(self):
        return rg.SizeAndShape().card


class RescaledByTheBatch(rg.Stress):
    """Distances in units of their median over all networks of a batch."""

    def embed(self, x):
        d = super().embed(x)
        return d / d[d > 0].median()


class DetachedPoints(rg.AngularCKA):
    """Points that are cut off from autograd."""

    def embed(self, x):
        return super().embed(x).detach() + 0 * x.sum((-2, -1), keepdim=True)


class CentersInPlace(rg.AngularCKA):
    """An embedding that centers the activations of the caller."""

    def embed(self, x):
        with torch.no_grad():
            x -= x.mean(-2, keepdim=True)
        return super().embed(x)


class RandomFeatures(rg.AngularCKA):
    """Random features, new ones every time."""

    def embed(self, x):
        return super().embed(x @ torch.randn(x.shape[-1], 5).to(x))


class Gram(nn.Module):
    """Centered Gram matrices of any size."""

    def forward(self, x):
        return centered(x) @ centered(x).mT


METRICS = (
    ("UncenteredCKA", UncenteredCKA, "embedded_networks_are_points"),
    ("UnnormalizedShape", UnnormalizedShape, "embedded_networks_are_points"),
    ("UncenteredShape", UncenteredShape, "embedded_networks_are_points"),
    ("SinglePrecisionPoints", SinglePrecisionPoints, "embedded_networks_are_points"),
    ("ChordBetween", ChordBetween, "prepared_networks_have_the_same_distance"),
    ("UnweightedBetween", UnweightedBetween, "prepared_networks_have_the_same_distance"),
    ("UnalignedFeatures", UnalignedFeatures, "prepared_networks_have_the_same_distance"),
    ("UnalignedTable", UnalignedTable, "tables_of_networks_hold_their_distances"),
    ("TableOfCosines", TableOfCosines, "tables_of_networks_hold_their_distances"),
    ("StraightGeodesic", StraightGeodesic, "geodesics_of_networks_split_the_distance"),
    ("ChordGeodesic", ChordGeodesic, "geodesics_of_networks_split_the_distance"),
    ("ClaimsScale", ClaimsScale, "isotropic_scaling_changes_nothing"),
    ("ClaimsAffine", ClaimsAffine, "invertible_linear_map_changes_nothing"),
    ("ClaimsTooLittle", ClaimsTooLittle, "rotation_and_reflection_is_noticed"),
    ("ForgetsScale", lambda: ForgetsScale(rescale=True), "isotropic_scaling_is_noticed"),
    (
        "ClaimsRightAngles",
        lambda: ClaimsRightAngles(debiased=True),
        "distances_of_networks_are_within_the_range",
    ),
    ("MatchingSoldAsRotation", MatchingSoldAsRotation, "rotation_and_reflection_changes_nothing"),
    ("RescaledByTheBatch", RescaledByTheBatch, "networks_of_a_batch_do_not_mix"),
    ("DetachedPoints", DetachedPoints, "gradients_of_networks_agree_with_differences"),
    ("CentersInPlace", CentersInPlace, "networks_are_not_modified"),
    ("RandomFeatures", RandomFeatures, "distances_of_networks_are_reproducible"),
    (
        "PairWithoutNorm",
        lambda: (Gram(), rg.UnitSphere(2, rg.DoubleCentered())),
        "embedded_networks_are_points",
    ),
)


# ---------------------------------------------------------------------- isometries


class WrongLog(rg.BuresWassersteinSPD):
    """A logarithm without alignment of the factors."""

    def logmap(self, x, y):
        f, g = (torch.linalg.cholesky(w) for w in (x, y))
        half = f @ (g - f).mT
        return half + half.mT


class FirstOrderExp(rg.LogEuclideanSPD):
    """A retraction for an exponential."""

    def expmap(self, x, u):
        return self.projx(x + u)


class OtherTransport(rg.BuresWassersteinSPD):
    """Vectors left as they are."""

    def transp(self, x, y, v):
        return v + 0 * y


class OtherCarry(rg.BuresWassersteinSPD):
    """Vectors that a velocity leaves as they are."""

    def carry(self, x, u, v):
        return v + 0 * u


class LateGeodesic(rg.AffineInvariantSPD):
    """The right path at the wrong times."""

    def geodesic(self, t, x, y):
        return super().geodesic(t * t, x, y)


class OppositeCurvature(rg.BuresWassersteinSPD):
    """Curvature with the wrong sign."""

    def sectional_curvature(self, x, u, v):
        return -super().sectional_curvature(x, u, v)


class TwiceTheInner(rg.LogEuclideanSPD):
    """An inner product that is twice that of the distance."""

    def inner(self, x, u, v=None, *, keepdim=False):
        return 2 * super().inner(x, u, v, keepdim=keepdim)


FLAT = rg.Flat(2)
SHAPES = rg.Quotient(FLAT, rg.Orthogonal())
ANGULAR = rg.Quotient(rg.UnitSphere(2), rg.Orthogonal())
BURES = rg.BuresWassersteinSPD()
NUMBERS = rg.AffineInvariantSPD()


def outer(x: Tensor) -> Tensor:
    return x @ x.mT


ISOMETRIES = (
    ("half_of_the_outer_product", lambda x: outer(x) / 2, SHAPES, BURES, (3, 3), "distances_agree"),
    ("inner_for_outer_product", lambda x: x.mT @ x, SHAPES, BURES, (3, 3), "distances_agree"),
    ("twice_the_logarithm", lambda x: (2 * x).exp(), FLAT, NUMBERS, (1, 1), "distances_agree"),
    ("shapes_without_size", unit, SHAPES, ANGULAR, (4, 3), "distances_agree"),
    ("wrong_logarithm_of_the_target", outer, SHAPES, WrongLog(), (3, 3), "logarithms_agree"),
    ("retraction_in_the_target", torch.exp, FLAT, FirstOrderExp(), (1, 1), "exponentials_agree"),
    ("no_transport_in_the_target", outer, SHAPES, OtherTransport(), (3, 3), "transports_agree"),
    ("no_transport_along_a_velocity", outer, SHAPES, OtherCarry(), (3, 3), "carried_vectors_agree"),
    ("late_geodesic_of_the_target", torch.exp, FLAT, LateGeodesic(), (1, 1), "geodesics_agree"),
    ("opposite_curvature_of_the_target", outer, SHAPES, OppositeCurvature(), (3, 3), "curvatures_agree"),
    ("twice_the_inner_product", torch.exp, FLAT, TwiceTheInner(), (1, 1), "inner_products_agree"),
)  # fmt: skip


# ---------------------------------------------------------------------- manifolds that earlier reviews missed


class RoomyPermutation(rg.Permutation):
    """The distance of columns, not half of the way to the next order of them: a root of two too large."""

    def room(self, x, rank):
        return math.sqrt(2) * super().room(x, rank)


class StopsAtTheEnds(rg.UnitSphere):
    """A geodesic that ends where its points are."""

    def geodesic(self, t, x, y):
        return super().geodesic(torch.as_tensor(t, dtype=x.dtype).clamp(0, 1), x, y)


class NearlySymmetric(rg.LogEuclideanSPD):
    """A projection that leaves alone what is nearly symmetric."""

    def projx(self, x):
        off = (x - x.mT).abs().amax((-2, -1), keepdim=True)
        near = (off < 1e-3 * x.abs().amax((-2, -1), keepdim=True)) & (off > 0)
        return torch.where(near, x, super().projx(x)).contiguous()


class SaddleSphere(rg.UnitSphere):
    """The curvature of hyperbolic space on a sphere."""

    def sectional_curvature(self, x, u, v):
        return -super().sectional_curvature(x, u, v)


class NoiseOfTheGradient(rg.AffineInvariantSPD):
    """Normal numbers converted as if they were a gradient: the inverse metric twice."""

    def isotropic(self, x, z):
        return self.egrad2rgrad(x, z)


class NoiseOffTheSphere(rg.UnitSphere):
    """Normal numbers that nobody projected."""

    def isotropic(self, x, z):
        return z


MANIFOLDS = (
    (lambda: NoiseOffTheSphere(1), (4,), "isotropic_vectors_are_tangent"),
    (NoiseOfTheGradient, (3, 3), "isotropic_vectors_have_unit_covariance"),
    (lambda: StopsAtTheEnds(1), (4,), "geodesic_goes_on_beyond_its_ends"),
    (NearlySymmetric, (3, 3), "projected_points_are_points"),
    (lambda: SaddleSphere(1), (4,), "curvature_agrees_with_distances"),
)


# ---------------------------------------------------------------------- the lists


def _of_distance(function: Callable[..., Any], law: str, **options: Any) -> Mutant:
    name = function.__name__
    return Mutant(name, lambda: DistanceCase(function, name=name, **options), law)


def _of_metric(name: str, make: Callable[[], Any], law: str) -> Mutant:
    return Mutant(name, lambda: MetricCase(make(), 8, 3, name=name), law)


def _of_isometry(name: str, *arguments: Any) -> Mutant:
    *pair, law = arguments
    return Mutant(name, lambda: IsometryCase(*pair, name=name), law)


def _of_manifold(make: Callable[[], Any], point: tuple[int, ...], law: str) -> Mutant:
    return Mutant(type(make()).__name__, lambda: ManifoldCase(make(), point), law)


MUTANTS = (
    *(_of_distance(function, law, **options) for function, law, options in DISTANCES),
    *(_of_metric(name, make, law) for name, make, law in METRICS),
    *(_of_isometry(*mistake) for mistake in ISOMETRIES),
    *(_of_manifold(*mistake) for mistake in MANIFOLDS),
    _of_distance(refuses_networks, "ordinary_networks_have_a_distance"),
    _of_distance(zero_for_constants, "networks_keep_the_triangle_inequality", same_width=True),
    _of_metric("TransposedTable", TransposedTable, "tables_of_networks_hold_their_distances"),
    _of_metric("RoundedPoints", RoundedPoints, "near_networks_are_resolved"),
)

# What no law names yet; in place of the law, what it would have to say.
SURVIVORS = (
    Mutant(
        "RoomyPermutation",
        lambda: ManifoldCase(rg.Quotient(FLAT, RoomyPermutation()), (5, 3)),
        "The injectivity radius is within the cut distance of the worst direction, which random ones miss.",
    ),
)
