"""The verifier must catch what goes wrong with matrices: mixed metrics, lost curvature, wrong positions."""

import math

import pytest
import torch

import repsim_geo as rg
from repsim_geo.numerics.alignment import align
from repsim_geo.verify import check_manifold


class TransportByCopying(rg.AffineInvariantSPD):
    """Vectors left as they are, declared parallel: symmetric matrices are tangent everywhere."""

    def transp(self, x, y, v):
        return v.expand(torch.broadcast_shapes(x.shape, y.shape, v.shape)).contiguous()


class MixedMetrics(rg.LogEuclideanSPD):
    """A distance with the inner product of another metric, as metrics chosen by a string have."""

    def inner(self, x, u, v=None, *, keepdim=False):
        return rg.AffineInvariantSPD().inner(x, u, v, keepdim=keepdim)


class ForgottenMetric(rg.AffineInvariantSPD):
    """The Euclidean gradient taken for the Riemannian one."""

    def egrad2rgrad(self, x, u):
        return self.proju(x, u)


class SquaredBures(rg.BuresWassersteinSPD):
    """The squared Bures distance sold as a distance."""

    def dist(self, x, y, *, keepdim=False):
        return self.dist2(x, y, keepdim=keepdim)


class FlatBures(rg.BuresWassersteinSPD):
    """Curvature without O'Neill's term."""

    def sectional_curvature(self, x, u, v):
        return torch.zeros_like(self.inner(x, u, v))


class TraceBures(rg.BuresWassersteinSPD):
    """The difference of traces, which loses half of the digits of near points."""

    def dist(self, x, y, *, keepdim=False):
        root = torch.linalg.cholesky(x)
        values = torch.linalg.eigvalsh(root.mT @ y @ root).clamp_min(0).sqrt().sum(-1)
        traces = (x + y).diagonal(dim1=-2, dim2=-1).sum(-1)
        d = (traces - 2 * values).clamp_min(0).sqrt()
        return d[..., None, None] if keepdim else d


class ShortCosines(rg.Grassmannian):
    """Principal angles by the arc cosine."""

    def dist(self, x, y, *, keepdim=False):
        cosines = torch.linalg.svdvals(x.mT @ y).clamp(max=1 - 1e-7)
        d = cosines.acos().norm(dim=-1)
        return d[..., None, None] if keepdim else d


class LongCut(rg.Grassmannian):
    """A cut time that belongs to the length of the velocity, not to its largest part."""

    def cut_time(self, x, u):
        return math.sqrt(2) * super().cut_time(x, u)


class FrameOfTheStart(rg.Grassmannian):
    """Transport that returns its vector at another frame than the one that was given."""

    def transp(self, x, y, v):
        return self.carry(x, self.logmap(x, y), v)


class UnalignedLog(rg.Grassmannian):
    """A logarithm that takes frames for points."""

    def logmap(self, x, y):
        return self.proju(x, y - x)


class OrderOfTheStart(rg.Quotient):
    """Transport to the aligned order of the columns instead of the given one."""

    def transp(self, x, y, v):
        return self.carry(x, self.logmap(x, y), v)


class DetachedMatching(rg.Quotient):
    """A logarithm to the given order of the columns instead of the nearest."""

    def logmap(self, x, y):
        return self.total.logmap(x, y)


class WrongFactor(rg.BuresWassersteinSPD):
    """A logarithm without alignment of the factors."""

    def logmap(self, x, y):
        f, g = (torch.linalg.cholesky(w) for w in (x, y))
        half = f @ (g - f).mT
        return half + half.mT


class PositiveAffine(rg.AffineInvariantSPD):
    """The curvature of the affine-invariant metric with the sign of a sphere."""

    def sectional_curvature(self, x, u, v):
        return -super().sectional_curvature(x, u, v)


class UnsureMean(rg.Grassmannian):
    """A radius of uniqueness beyond the injectivity radius."""

    def uniqueness_radius(self, x):
        return torch.full_like(super().uniqueness_radius(x), 9.0)


class TwiceTheGradient(rg.LogEuclideanSPD):
    """A Euclidean gradient that is twice too long."""

    def rgrad2egrad(self, x, u):
        return 2 * super().rgrad2egrad(x, u)


class LateCut(rg.BuresWassersteinSPD):
    """A cut time that is a little too long."""

    def cut_time(self, x, u):
        return 1.08 * super().cut_time(x, u)


class EarlyCut(rg.BuresWassersteinSPD):
    """A cut time that is a little too short."""

    def cut_time(self, x, u):
        return 0.92 * super().cut_time(x, u)


FLAT = rg.Flat(2, rg.ColumnCentered())

BROKEN = [
    (TransportByCopying(), (3, 3), "transport_is_isometric"),
    (MixedMetrics(), (3, 3), "distance_is_length_of_log"),
    (ForgottenMetric(), (3, 3), "riemannian_gradient_represents_the_differential"),
    (ForgottenMetric(), (3, 3), "gradient_of_squared_distance_is_minus_log"),
    (SquaredBures(), (3, 3), "geodesic_splits_the_distance"),
    (FlatBures(), (3, 3), "curvature_agrees_with_distances"),
    (TraceBures(), (3, 3), "distance_to_self_is_zero"),
    (ShortCosines(), (6, 2), "near_points_are_apart"),
    (LongCut(), (6, 2), "cut_time_is_where_shortness_ends"),
    (FrameOfTheStart(), (6, 2), "transport_keeps_the_velocity"),
    (UnalignedLog(), (6, 2), "exp_inverts_log"),
    (OrderOfTheStart(FLAT, rg.Permutation()), (6, 3), "transport_keeps_the_velocity"),
    (DetachedMatching(FLAT, rg.Permutation()), (6, 3), "distance_is_length_of_log"),
    (WrongFactor(), (3, 3), "distance_is_length_of_log"),
    (PositiveAffine(), (3, 3), "curvature_agrees_with_distances"),
    (UnsureMean(), (6, 2), "uniqueness_radius_is_within_the_injectivity_radius"),
    (TwiceTheGradient(), (3, 3), "gradients_convert_both_ways"),
    (LateCut(), (3, 3), "cut_time_is_where_shortness_ends"),
    (EarlyCut(), (3, 3), "cut_time_is_where_shortness_ends"),
]


@pytest.mark.parametrize(
    ("manifold", "point", "law"), BROKEN, ids=lambda x: x if isinstance(x, str) else type(x).__name__
)
def test_broken_manifold_breaks_its_law(manifold, point, law):
    report = check_manifold(manifold, point, laws=[law], on_fail="report", dtypes=[torch.float64])
    assert law in {record.law for record in report.failures}


def test_the_alignment_they_leave_out_is_what_they_lack():
    x, y = (rg.Grassmannian().random(6, 2, dtype=torch.float64).as_subclass(torch.Tensor) for _ in range(2))
    manifold = rg.Grassmannian()
    _, rotation = align(x, y)
    torch.testing.assert_close(
        FrameOfTheStart().transp(x, y, manifold.proju(x, y)) @ rotation.mT,
        manifold.transp(x, y, manifold.proju(x, y)),
    )
