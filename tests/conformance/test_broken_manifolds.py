"""The verifier must catch manifolds that are wrong, and name the law that they break."""

import math

import geoopt
import pytest
import torch

import repsim_geo as rg
from repsim_geo.numerics.centering import center_doubly, hollow
from repsim_geo.verify import LAWS, LawViolationError, check_manifold


class ClampedSphere(rg.UnitSphere):
    """Distances by the arc cosine of a clamped inner product, as in geoopt 0.5.1."""

    def dist(self, x, y, *, keepdim=False):
        cosine = self.inner(x, x, y, keepdim=keepdim).clamp(-1 + 1e-7, 1 - 1e-7)
        return cosine.acos()


class SquaredDistance(rg.Flat):
    """A squared distance sold as a distance."""

    def dist(self, x, y, *, keepdim=False):
        return self.dist2(x, y, keepdim=keepdim)


class WrongDimension(rg.UnitSphere):
    """The dimension of the ambient subspace."""

    def dim(self, *point):
        return super().dim(*point) + 1


class ProjectionSoldAsTransport(rg.UnitSphere):
    """Projection to the tangent space at the target, declared parallel."""

    def transp(self, x, y, v):
        return self.proju(y, v)


class RotatedTransport(rg.Quotient):
    """Transport of the total space after alignment, declared parallel: what shape packages do."""

    def transp(self, x, y, v):
        aligned, rotation = self.action.align(x, y)
        return self.total.transp(x, aligned, v) @ rotation.mT


class MaskedAfterCentering(rg.UCentered):
    """The diagonal set to zero after centering: not a projection."""

    def project(self, a):
        return hollow(center_doubly(a))


class VerticalSign(rg.Orthogonal):
    """The vertical part with the wrong sign."""

    def vertical(self, x, w):
        return -super().vertical(x, w)


class NoHorizontalProjection(rg.Orthogonal):
    """Tangent vectors of the total space taken for tangent vectors of the quotient."""

    def vertical(self, x, w):
        return torch.zeros_like(w)


class UnsafeNorm(rg.Flat):
    """The root of an inner product, whose gradient at zero is nan."""

    def dist(self, x, y, *, keepdim=False):
        return self.dist2(x, y, keepdim=keepdim) ** 0.5


class DetachedLog(rg.Quotient):
    """A squared distance that is cut off from autograd."""

    def dist2(self, x, y, *, keepdim=False):
        return self.inner(x, self.logmap(x, y), keepdim=keepdim).detach() + 0 * x.sum(
            (-2, -1), keepdim=keepdim
        )


class HalfCurvature(rg.Quotient):
    """O'Neill's term with the wrong sign."""

    def sectional_curvature(self, x, u, v):
        return 2 * self.total.sectional_curvature(x, u, v) - super().sectional_curvature(x, u, v)


class WrongWeight(rg.Flat):
    """A gradient that forgets the weight of the inner product."""

    def egrad2rgrad(self, x, u):
        return self.proju(x, u)


class MixedBatch(rg.UnitSphere):
    """A norm over the whole batch."""

    def projx(self, x):
        x = self.subspace.project(x)
        return x / x.norm() * math.sqrt(x[..., :1, :1].numel())


class LongCut(rg.UnitSphere):
    """A cut time that is too long."""

    def cut_time(self, x, u):
        return 1.5 * super().cut_time(x, u)


class ModifiesItsArgument(rg.Flat):
    """Adds in place."""

    def expmap(self, x, u):
        return x.add_(u)


SHAPES = (rg.Flat(2, rg.ColumnCentered()), rg.UnitSphere(2, rg.ColumnCentered()))


class HessianWithoutTurning(rg.Quotient):
    """The Hessian of the total space: the other point does not turn along."""

    def log_and_hessian(self, x, y):
        return self.logmap(x, y), lambda u: u


class LopsidedHessian(rg.UnitSphere):
    """The arguments of an outer product exchanged, with a factor that is not symmetric."""

    def log_and_hessian(self, x, y):
        u, hessian = super().log_and_hessian(x, y)
        return (
            u,
            lambda v: hessian(v) + 0.1 * self.inner(x, u, v, keepdim=True) * self.proju(x, y.roll(1, -1)),
        )


BROKEN = [
    (ClampedSphere(1), (5,), "distance_to_self_is_zero"),
    (ClampedSphere(1), (5,), "near_points_are_apart"),
    (SquaredDistance(1), (3,), "triangle_inequality"),
    (SquaredDistance(1), (3,), "geodesic_splits_the_distance"),
    (WrongDimension(1), (4,), "dimension_is_the_trace_of_the_projection"),
    (ProjectionSoldAsTransport(1), (5,), "transport_is_isometric"),
    (ProjectionSoldAsTransport(1), (5,), "transport_agrees_with_a_ladder"),
    (RotatedTransport(SHAPES[0]), (7, 3), "transport_is_tangent"),
    (RotatedTransport(SHAPES[1]), (7, 3), "transport_agrees_with_a_ladder"),
    (rg.UnitSphere(2, MaskedAfterCentering()), (6, 6), "tangent_projection_is_idempotent"),
    (rg.UnitSphere(2, MaskedAfterCentering()), (6, 6), "point_projection_keeps_points"),
    (rg.Quotient(SHAPES[0], VerticalSign()), (7, 3), "tangent_projection_is_idempotent"),
    (rg.Quotient(SHAPES[0], NoHorizontalProjection()), (7, 3), "dimension_is_the_trace_of_the_projection"),
    (rg.Quotient(SHAPES[0], NoHorizontalProjection()), (7, 3), "log_inverts_exp"),
    (UnsafeNorm(1), (3,), "gradients_of_distances_are_finite"),
    (DetachedLog(SHAPES[0]), (7, 3), "gradient_of_squared_distance_is_minus_log"),
    (HalfCurvature(SHAPES[1]), (7, 3), "curvature_agrees_with_distances"),
    (HessianWithoutTurning(SHAPES[0]), (7, 3), "hessian_is_the_derivative_of_the_logarithm"),
    (LopsidedHessian(1), (5,), "hessian_is_self_adjoint"),
    (WrongWeight(2, weight=3.0), (4, 2), "gradient_of_squared_distance_is_minus_log"),
    (MixedBatch(2), (4, 2), "projected_points_are_points"),
    (LongCut(1), (4,), "cut_time_is_where_shortness_ends"),
    (ModifiesItsArgument(1), (3,), "arguments_are_not_modified"),
    (geoopt.Sphere(), (5,), "distance_to_self_is_zero"),
    (geoopt.SymmetricPositiveDefinite("LEM"), (3, 3), "distance_is_length_of_log"),
]


@pytest.mark.parametrize(
    ("manifold", "point", "law"), BROKEN, ids=lambda x: x if isinstance(x, str) else type(x).__name__
)
def test_broken_manifold_breaks_its_law(manifold, point, law):
    report = check_manifold(manifold, point, laws=[law], on_fail="report", dtypes=[torch.float64])
    assert law in {record.law for record in report.failures}


def test_failure_raises_with_law_and_statement():
    law = [law for law in LAWS if law.name == "distance_to_self_is_zero"]
    with pytest.raises(LawViolationError, match=r"distance_to_self_is_zero on iid(.|\n)*d\(x, x\) = 0"):
        check_manifold(ClampedSphere(1), (5,), laws=law)


def test_expected_failures_are_strict():
    law = [law for law in LAWS if law.name == "distance_to_self_is_zero"]
    expected = {"distance_to_self_is_zero": "clamped on purpose"}
    assert (
        check_manifold(ClampedSphere(1), (5,), laws=law, expected_failures=expected).counts()["xfailed"] > 0
    )
    with pytest.raises(LawViolationError, match="holds everywhere"):
        check_manifold(rg.UnitSphere(1), (5,), laws=law, expected_failures=expected)


def test_unknown_expected_failure_is_refused():
    with pytest.raises(ValueError, match="unknown laws"):
        check_manifold(rg.UnitSphere(1), (5,), expected_failures={"no_such_law": "?"})


def test_report_names_what_was_skipped_and_why():
    report = check_manifold(rg.Flat(1), (3,))
    skipped = [r for r in report.records() if r["status"] == "skipped"]
    assert any("makes no sense" in r["note"] for r in skipped)
    assert "laws hold" in str(report)
    assert report.ok
    assert "ok" in repr(report)


class NoRegularPoint(WrongDimension):
    """A wrong dimension that hides behind an injectivity radius of zero."""

    def injectivity_radius(self, x=None):
        return 0.0


class OneTime(rg.UnitSphere):
    """A geodesic that looks at the first time only."""

    def geodesic(self, t, x, y):
        return super().geodesic(torch.as_tensor(t).flatten()[0], x, y) + 0 * torch.as_tensor(t)


class TooConvex(rg.UnitSphere):
    """A bound of the Hessian that is none."""

    def distance_convexity(self, x, d):
        return torch.full_like(d, 7.0)


class AlwaysTheSame(rg.UnitSphere):
    """Random points without randomness."""

    def random(self, *size, dtype=None, device=None, generator=None):
        return super().random(*size, dtype=dtype, device=device, generator=torch.Generator().manual_seed(0))


class NoAngles(rg.UnitSphere):
    """All angles are zero."""

    def angle(self, x, y, z):
        return torch.zeros_like(self.dist(x, y))


class AcceptsAnything(rg.UnitSphere):
    """A check of points that checks nothing but finiteness."""

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5):
        return bool(x.isfinite().all()), None


class UnscaledTable(rg.UnitSphere):
    """A method that geoopt.Scaled does not know to scale."""

    __scaling__ = geoopt.Manifold.__scaling__.copy()


MORE = [
    (NoRegularPoint(1), (4,), "dimension_is_the_trace_of_the_projection"),
    (OneTime(1), (4,), "geodesic_takes_many_times"),
    (TooConvex(1), (4,), "distance_convexity_is_a_lower_bound"),
    (AlwaysTheSame(1), (4,), "random_points_are_points"),
    (NoAngles(1), (4,), "angle_is_that_of_the_directions"),
    (AcceptsAnything(1), (4,), "tensors_off_the_manifold_are_refused"),
    (UnscaledTable(1), (4,), "scaling_scales_distances"),
]


@pytest.mark.parametrize(("manifold", "point", "law"), MORE, ids=lambda x: type(x).__name__)
def test_well_hidden_mistakes_are_found(manifold, point, law):
    report = check_manifold(manifold, point, laws=[law], on_fail="report", dtypes=[torch.float64])
    assert law in {record.law for record in report.failures}


def test_nothing_to_check_is_an_error():
    with pytest.raises(ValueError, match="nothing to check"):
        check_manifold(rg.UnitSphere(1), (4,), laws=())
    with pytest.raises(ValueError, match="no law called 'symmetry'"):
        check_manifold(rg.UnitSphere(1), (4,), laws=["symmetry"])
    assert check_manifold(rg.UnitSphere(1), (4,), laws=["triangle_inequality"]).ok
