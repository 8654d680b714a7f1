"""Nearest points of geodesics, and lengths and angles of paths: against closed forms and fine tables."""

import math

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.errors import CutLocusWarning, ShapeError
from repsim_geo.manifolds import functional
from repsim_geo.manifolds.functional import project_to_geodesic, vector_angle
from repsim_geo.manifolds.paths import arc_lengths, path_length, straightness, turning_angles
from repsim_geo.manifolds.spd import LogEuclideanSPD


class SearchedSphere(rg.UnitSphere):
    """A sphere that does not say what it is."""

    spherical = False


class SearchedFlat(rg.Flat):
    flat = False


class SearchedLogEuclidean(LogEuclideanSPD):
    flat = False


def draw(manifold, point, generator, *batch, n=3, dtype=torch.float64):
    """Points that are plain tensors."""
    shape = (n, *batch, *point)
    return manifold.projx(torch.randn(shape, dtype=dtype, generator=generator)).unbind(0)


def positive(generator, *batch, size=3):
    a = torch.randn(3, *batch, size, size + 2, dtype=torch.float64, generator=generator)
    return (a @ a.mT).unbind(0)


def column(t, manifold):
    return t.reshape(*t.shape, *[1] * manifold.ndim)


def table(manifold, x, y, z, low, high, n=2001):
    """Smallest distance of z from n points of the geodesic."""
    u = manifold.logmap(x, y)
    best = None
    for s in torch.linspace(0, 1, n, dtype=torch.float64):
        d = manifold.dist(manifold.expmap(x, column(low + s * (high - low), manifold) * u), z)
        best = d if best is None else torch.minimum(best, d)
    return best


# ---------------------------------------------------------------------- closed form against search


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("segment", [True, False])
@pytest.mark.parametrize(
    ("known", "searched", "point"),
    [
        (rg.UnitSphere(1), SearchedSphere(1), (4,)),
        (rg.UnitSphere(2, rg.DoubleCentered()), SearchedSphere(2, rg.DoubleCentered()), (5, 5)),
        (rg.Flat(2), SearchedFlat(2), (3, 2)),
        (rg.Flat(1, weight=7.0), SearchedFlat(1, weight=7.0), (4,)),
    ],
    ids=["sphere", "gram_sphere", "flat", "weighted"],
)
def test_search_finds_what_the_closed_form_says(known, searched, point, segment, seed):
    x, y, z = draw(known, point, torch.Generator().manual_seed(seed), 50)
    a = project_to_geodesic(known, x, y, z, segment=segment)
    b = project_to_geodesic(searched, x, y, z, segment=segment)
    assert bool(a.converged.all() & b.converged.all())
    np.testing.assert_allclose(a.distance, b.distance, atol=1e-14)
    t = b.t
    if known.spherical and not segment:  # once around is the same point
        around = 2 * math.pi / known.dist(x, y)
        t = t + around * ((a.t - t) / around).round()
    # Where z is nearly a right angle from all of the circle, rounding decides: weigh by how deep the valley
    # is.
    depth = (a.distance.cos().abs() if known.spherical else torch.ones_like(t)) * known.dist(x, y)
    assert float(((a.t - t).abs() * depth).max()) < 1e-13
    np.testing.assert_allclose(column(depth, known) * (a.point - b.point), 0, atol=1e-13)


@pytest.mark.parametrize("segment", [True, False])
def test_log_euclidean_is_a_line_of_logarithms(segment, generator):
    x, y, z = positive(generator, 30)
    a = project_to_geodesic(LogEuclideanSPD(), x, y, z, segment=segment)
    b = project_to_geodesic(SearchedLogEuclidean(), x, y, z, segment=segment)

    def log(w):
        values, basis = np.linalg.eigh(w.numpy())
        return basis * np.log(values)[..., None, :] @ basis.swapaxes(-1, -2)

    u, w = log(y) - log(x), log(z) - log(x)
    t = (u * w).sum((-2, -1)) / (u * u).sum((-2, -1))
    t = t.clip(0, 1) if segment else t
    np.testing.assert_allclose(a.t, t, atol=1e-12)
    np.testing.assert_allclose(b.t, t, atol=1e-12)
    np.testing.assert_allclose(
        a.distance, np.linalg.norm(w - t[:, None, None] * u, axis=(-2, -1)), atol=1e-12
    )


# ---------------------------------------------------------------------- against a table, and by construction

SPACES = [
    pytest.param(rg.SizeAndShape(), (6, 3), id="size_and_shape"),
    pytest.param(rg.AngularShape(), (6, 2), id="angular_shape"),
    pytest.param(
        rg.Quotient(rg.UnitSphere(2, rg.ColumnCentered()), rg.SpecialOrthogonal()), (7, 3), id="kendall"
    ),
    pytest.param(rg.UnitSphere(1), (3,), id="sphere"),
    pytest.param(SearchedSphere(1), (3,), id="searched_sphere"),
]


@pytest.mark.parametrize("segment", [True, False])
@pytest.mark.parametrize(("manifold", "point"), SPACES)
def test_no_point_of_a_fine_table_is_nearer(manifold, point, segment, generator):
    x, y, z = draw(manifold, point, generator, 60)
    nearest = project_to_geodesic(manifold, x, y, z, segment=segment)
    half = torch.full((60,), 0.5, dtype=torch.float64)
    if not segment:
        half = 2 * manifold.dist(rg.midpoint(manifold, x, y), z) / manifold.dist(x, y)
    assert bool(nearest.converged.all())
    assert float((nearest.distance - table(manifold, x, y, z, 0.5 - half, 0.5 + half)).max()) < 1e-14


@pytest.mark.parametrize(
    "make", [geoopt.SymmetricPositiveDefinite, lambda: geoopt.Scaled(rg.SizeAndShape(), 3.0)]
)
def test_foreign_and_scaled_manifolds_are_served(make, generator):
    manifold = make()
    x, y, z = (
        positive(generator, 40)
        if manifold.name != "Scaled"
        else draw(rg.SizeAndShape(), (5, 2), generator, 40)
    )
    for segment in (True, False):
        nearest = project_to_geodesic(manifold, x, y, z, segment=segment)
        assert bool(nearest.converged.all())
        reach = 0.5 if segment else 2 * manifold.dist(rg.midpoint(manifold, x, y), z) / manifold.dist(x, y)
        half = torch.as_tensor(reach, dtype=torch.float64).expand(40)
        assert float((nearest.distance - table(manifold, x, y, z, 0.5 - half, 0.5 + half)).max()) < 1e-12


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("manifold", "point"), [*SPACES[:3], SPACES[4]])
def test_foot_of_a_perpendicular_is_found_to_the_last_digits(manifold, point, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y, w = draw(manifold, point, generator, 20)
    t = torch.rand(20, dtype=torch.float64, generator=generator) * 0.8 + 0.1
    foot = rg.geodesic(manifold, column(t, manifold), x, y)
    ahead, v = manifold.logmap(foot, y), manifold.proju(foot, w)
    ahead = ahead / manifold.norm(foot, ahead, keepdim=True)
    for _ in range(2):  # twice, because the first leaves the rounding of what it subtracts
        v = v - manifold.inner(foot, ahead, v, keepdim=True) * ahead
    # Short enough for the foot to be the nearest point.
    room = manifold.injectivity_radius(foot)
    z = manifold.expmap(foot, 0.1 * v / column(manifold.norm(foot, v) / room, manifold))
    nearest = project_to_geodesic(manifold, x, y, z)
    error = (nearest.t - t).abs() * manifold.dist(x, y)
    assert float(error.max()) < 2e-14


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("manifold", [rg.Flat(2, rg.ColumnCentered()), rg.SizeAndShape()], ids=str)
def test_time_does_not_see_the_scale(manifold, scale, generator):
    points = draw(rg.SizeAndShape(), (6, 3), generator, 20)
    small = project_to_geodesic(manifold, *(scale * w for w in points))
    plain = project_to_geodesic(manifold, *points)
    np.testing.assert_allclose(small.t, plain.t, atol=1e-12)
    np.testing.assert_allclose(small.distance, scale * plain.distance, rtol=1e-12)


def test_points_that_are_all_near_each_other_keep_their_digits(generator):
    sphere = rg.UnitSphere(1)
    (x,) = draw(sphere, (5,), generator, n=1)
    u, v = torch.linalg.qr(
        torch.cat((x[:, None], torch.randn(5, 2, dtype=torch.float64, generator=generator)), 1)
    ).Q.mT[1:]
    # A right triangle of legs 1e-8: its sides are straight to 16 digits.
    y, z = sphere.expmap(x, 1e-8 * u), sphere.expmap(x, 1e-8 * (0.3 * u + v))
    nearest = project_to_geodesic(sphere, x, y, z)
    # Rounding of y is 1e-8 of its distance from x.
    assert float(nearest.t) == pytest.approx(0.3, abs=1e-7)
    assert float(nearest.distance) == pytest.approx(1e-8, rel=1e-7)
    assert float(project_to_geodesic(sphere, x, y, y).t) == pytest.approx(1, abs=1e-7)
    assert float(project_to_geodesic(sphere, x, y, x).t) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("manifold", "point"), SPACES)
def test_single_precision_agrees_with_double(manifold, point, generator):
    points = draw(manifold, point, generator, 40)
    exact = project_to_geodesic(manifold, *points)
    single = project_to_geodesic(manifold, *(w.float() for w in points))
    assert single.t.dtype == single.point.dtype == single.distance.dtype == torch.float32
    assert bool(single.converged.all())
    np.testing.assert_allclose(single.distance, exact.distance, atol=1e-5)
    assert float((single.t - exact.t).abs().median()) < 1e-6


# ---------------------------------------------------------------------- degenerate scenes

E = torch.eye(4, dtype=torch.float64)


@pytest.mark.parametrize("sphere", [rg.UnitSphere(1), SearchedSphere(1)], ids=["closed", "searched"])
def test_pole_of_the_circle_is_a_right_angle_from_all_of_it(sphere):
    for segment in (True, False):
        nearest = project_to_geodesic(sphere, E[0], E[1], E[2], segment=segment)
        assert float(nearest.distance) == pytest.approx(math.pi / 2)
        assert bool(nearest.t.isfinite())
    assert 0 <= float(project_to_geodesic(sphere, E[0], E[1], E[2]).t) <= 1


@pytest.mark.parametrize("sphere", [rg.UnitSphere(1), SearchedSphere(1)], ids=["closed", "searched"])
@pytest.mark.parametrize(
    ("degrees", "segment", "t", "distance"),
    [(45, True, 0.5, 0), (-10, True, 0, 10), (110, True, 1, 20), (215, True, 1, 125), (235, True, 0, 125),
     (110, False, 110 / 90, 0), (-10, False, -1 / 9, 0), (215, False, 215 / 90, 0), (235, False, -125 / 90,
     0)],
)  # fmt: skip
def test_arc_of_ninety_degrees(sphere, degrees, segment, t, distance):
    a = math.radians(degrees)
    z = math.cos(a) * E[0] + math.sin(a) * E[1]
    nearest = project_to_geodesic(sphere, E[0], E[1], z, segment=segment)
    around = 4 * round((float(nearest.t) - t) / 4)  # once around is the same point
    assert float(nearest.t) == pytest.approx(t + around, abs=1e-14)
    assert math.degrees(float(nearest.distance)) == pytest.approx(distance, abs=1e-12)
    assert bool(nearest.converged)


def test_nearest_point_of_a_long_arc_is_not_at_the_end_where_a_descent_would_stop():
    # From x the distance to z first grows, then falls: a descent from the start would stay there.
    sphere = SearchedSphere(1)
    x, y = E[0], math.cos(3.0) * E[0] + math.sin(3.0) * E[1]
    z = math.cos(-1.7) * E[0] + math.sin(-1.7) * E[1]
    nearest = project_to_geodesic(sphere, x, y, z)
    assert float(nearest.t) == 1
    assert float(nearest.distance) == pytest.approx(2 * math.pi - 4.7)


@pytest.mark.parametrize(("manifold", "point"), [*SPACES, pytest.param(rg.Flat(2), (3, 2), id="flat")])
@pytest.mark.parametrize("segment", [True, False])
def test_geodesic_without_length_is_its_start(manifold, point, segment, generator):
    x, z = (w.requires_grad_() for w in draw(manifold, point, generator, 4, n=2))
    nearest = project_to_geodesic(manifold, x, x.detach().clone(), z, segment=segment)
    assert bool(nearest.converged.all())
    np.testing.assert_array_equal(nearest.t.detach(), 0)
    np.testing.assert_allclose(nearest.point.detach(), x.detach(), atol=1e-15)
    np.testing.assert_allclose(nearest.distance.detach(), manifold.dist(x, z).detach(), atol=1e-14)
    gradients = torch.autograd.grad(nearest.distance.sum() + nearest.t.sum(), (x, z))
    assert all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize(("manifold", "point"), SPACES)
def test_all_three_points_equal(manifold, point, generator):
    (x,) = draw(manifold, point, generator, n=1)
    leaf = x.clone().requires_grad_()
    nearest = project_to_geodesic(manifold, leaf, leaf, leaf)
    assert float(nearest.distance.detach()) < 1e-14
    (g,) = torch.autograd.grad(nearest.distance + nearest.t, leaf)
    assert bool(g.isfinite().all())


def test_antipodes_warn_and_project_to_one_of_the_circles():
    sphere = rg.UnitSphere(1)
    with pytest.warns(CutLocusWarning, match="antipodal"):
        nearest = project_to_geodesic(sphere, E[0], -E[0], E[2])
    with pytest.warns(CutLocusWarning):
        u = sphere.logmap(E[0], -E[0])
    # The chosen half circle has the direction u: the angle to it in closed form.
    cosine = float((u / u.norm())[2])
    expected = math.acos(max(cosine, 0.0))
    assert float(nearest.distance) == pytest.approx(expected, abs=1e-12)


def test_points_on_the_geodesic_are_their_own_projection(generator):
    for manifold, point in (
        (rg.UnitSphere(1), (5,)),
        (rg.SizeAndShape(), (6, 3)),
        (rg.AngularShape(), (7, 4)),
    ):
        x, y = draw(manifold, point, generator, 10, n=2)
        t = torch.rand(10, dtype=torch.float64, generator=generator)
        z = rg.geodesic(manifold, column(t, manifold), x, y)
        nearest = project_to_geodesic(manifold, x, y, z)
        np.testing.assert_allclose(nearest.t, t, atol=1e-13)
        assert float(nearest.distance.max()) < 1e-13


def test_leading_axes_broadcast(generator):
    manifold = rg.SizeAndShape()
    x, y, z = draw(manifold, (5, 2), generator, 6)
    x, y, z = x[:3, None], y[0], z
    nearest = project_to_geodesic(manifold, x, y, z)
    assert nearest.t.shape == nearest.distance.shape == nearest.converged.shape == (3, 6)
    assert nearest.point.shape == (3, 6, 5, 2)
    one = project_to_geodesic(manifold, x[2, 0], y, z[4])
    np.testing.assert_allclose(nearest.t[2, 4], one.t, atol=1e-14)
    np.testing.assert_allclose(nearest.point[2, 4], one.point, atol=1e-14)


def test_scaled_manifolds_scale_distances_only(generator):
    for manifold, point in ((rg.UnitSphere(1), (5,)), (rg.Flat(2), (3, 2)), (rg.AngularShape(), (6, 2))):
        points = draw(manifold, point, generator, 20)
        for segment in (True, False):
            plain = project_to_geodesic(manifold, *points, segment=segment)
            scaled = project_to_geodesic(geoopt.Scaled(manifold, 4.0), *points, segment=segment)
            np.testing.assert_allclose(scaled.t, plain.t, atol=1e-12)
            np.testing.assert_allclose(scaled.distance, 4 * plain.distance, rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(scaled.point, plain.point, atol=1e-12)


def test_a_valley_that_the_derivative_denies_is_reported():
    times = torch.linspace(0, 1, 33, dtype=torch.float64)
    t, inside, converged = functional._lowest(lambda t: (t - 0.4).abs(), torch.ones_like, times)
    assert float(t) == pytest.approx(0.4, abs=1 / 64)
    assert not bool(inside)
    assert not bool(converged)


def test_arguments_stay_as_they_are(generator):
    manifold = rg.SizeAndShape()
    points = draw(manifold, (5, 2), generator, 4)
    copies = [w.clone() for w in points]
    project_to_geodesic(manifold, *points)
    for w, copy in zip(points, copies, strict=True):
        np.testing.assert_array_equal(w, copy)


# ---------------------------------------------------------------------- derivatives


SMALL_SPACES = [
    pytest.param(rg.SizeAndShape(), (4, 2), id="size_and_shape"),
    pytest.param(rg.AngularShape(), (4, 2), id="angular_shape"),
    pytest.param(rg.UnitSphere(1), (3,), id="sphere"),
    pytest.param(SearchedSphere(1), (3,), id="searched_sphere"),
    pytest.param(rg.Flat(1), (3,), id="flat"),
    pytest.param(SearchedFlat(1), (3,), id="searched_flat"),
]


@pytest.mark.parametrize("segment", [True, False])
@pytest.mark.parametrize(
    ("manifold", "point"),
    SMALL_SPACES,
)
def test_first_derivatives(manifold, point, segment):
    # z beyond the middle, so that the nearest point is inside; and one beyond the end.
    generator = torch.Generator().manual_seed(1)
    x, y, w = draw(manifold, point, generator, 2)
    t = torch.tensor([0.4, 0.6], dtype=torch.float64)
    foot = rg.geodesic(manifold, column(t, manifold), x, y)
    z = rg.geodesic(manifold, 0.2, foot, w)
    if segment:
        z = torch.stack((z[0], rg.geodesic(manifold, 1.3, x, y)[1]))
    inputs = [p.detach().clone().requires_grad_() for p in (x, y, z)]
    assert torch.autograd.gradcheck(
        lambda *p: project_to_geodesic(manifold, *p, segment=segment)[:3], inputs, atol=1e-6
    )


def test_second_derivatives_in_closed_form(generator):
    for manifold, point in ((rg.UnitSphere(1), (4,)), (rg.Flat(1), (4,))):
        inputs = [p.clone().requires_grad_() for p in draw(manifold, point, generator)]
        assert torch.autograd.gradgradcheck(
            lambda *p, m=manifold: project_to_geodesic(m, *p, segment=False)[:3], inputs
        )


def test_derivatives_where_the_distance_vanishes(generator):
    manifold = rg.SizeAndShape()
    x, y = draw(manifold, (5, 2), generator, n=2)
    z = rg.midpoint(manifold, x, y).requires_grad_()
    nearest = project_to_geodesic(manifold, x, y, z)
    gt, gd = (torch.autograd.grad(w, z, retain_graph=True)[0] for w in (nearest.t, nearest.distance))
    # t is the orthogonal projection to the geodesic: its gradient is the velocity over its squared length.
    velocity = manifold.logmap(z, y).detach() * 2
    np.testing.assert_allclose(gt, velocity / velocity.square().sum(), atol=1e-12)
    assert bool(gd.isfinite().all())


# ---------------------------------------------------------------------- angles of vectors, paths

L_SHAPE = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [3.0, 8.0]], dtype=torch.float64)


def test_vector_angle_by_hand():
    flat = rg.Flat(1, weight=9.0)
    x, u, v = torch.zeros(2), torch.tensor([2.0, 0.0]), torch.tensor([1.0, 1.0])
    assert float(vector_angle(flat, x, u, v)) == pytest.approx(math.pi / 4)
    assert float(vector_angle(flat, x, u, -u)) == pytest.approx(math.pi)
    assert float(vector_angle(flat, x, u, 0 * u)) == 0


def test_path_in_the_plane_by_hand():
    flat = rg.Flat(1)
    assert float(path_length(flat, L_SHAPE)) == 11
    np.testing.assert_allclose(arc_lengths(flat, L_SHAPE), [0, 3, 7, 11])
    assert float(straightness(flat, L_SHAPE)) == pytest.approx(math.sqrt(73) / 11)
    np.testing.assert_allclose(turning_angles(flat, L_SHAPE), [math.pi / 2, 0], atol=1e-15)


def test_octant_of_the_sphere_by_hand():
    sphere = rg.UnitSphere(1)
    loop = E[[0, 1, 2, 0]]
    assert float(path_length(sphere, loop)) == pytest.approx(1.5 * math.pi)
    assert float(straightness(sphere, loop)) == 0
    np.testing.assert_allclose(turning_angles(sphere, loop), math.pi / 2)
    np.testing.assert_allclose(turning_angles(sphere, E[[0, 1, 0]]), math.pi)  # back where it came from


@pytest.mark.parametrize(("manifold", "point"), SPACES)
def test_geodesics_are_straight(manifold, point, generator):
    x, y = draw(manifold, point, generator, 7, n=2)
    points = rg.path(manifold, x, y, [0.0, 0.1, 0.5, 0.55, 1.0]).movedim(0, 1)
    distance = manifold.dist(x, y)
    assert points.shape == (7, 5, *point)
    np.testing.assert_allclose(straightness(manifold, points), 1, rtol=1e-13)
    np.testing.assert_allclose(path_length(manifold, points), distance, rtol=1e-13)
    times = torch.tensor([0.0, 0.1, 0.5, 0.55, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(arc_lengths(manifold, points), times * distance[:, None], rtol=1e-13)
    assert float(turning_angles(manifold, points).max()) < 1e-13


def test_turning_angle_is_pi_minus_the_angle_of_the_triangle(generator):
    manifold = rg.AngularShape()
    x, y, z = draw(manifold, (6, 3), generator, 8)
    turn = turning_angles(manifold, torch.stack((x, y, z), 1))
    assert turn.shape == (8, 1)
    np.testing.assert_allclose(turn[:, 0], math.pi - rg.angle(manifold, x, y, z), atol=1e-13)


def test_small_turns_keep_their_digits():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 1e-12]], dtype=torch.float64)
    np.testing.assert_allclose(turning_angles(rg.Flat(1), points), [1e-12], rtol=1e-12)


@pytest.mark.parametrize(("manifold", "point"), SPACES)
def test_path_that_does_not_move(manifold, point, generator):
    (x,) = draw(manifold, point, generator, n=1)
    points = torch.stack((x, x, x)).requires_grad_()
    assert float(path_length(manifold, points).detach()) == 0
    assert float(straightness(manifold, points).detach()) == 1
    np.testing.assert_array_equal(turning_angles(manifold, points).detach(), 0)
    total = (
        straightness(manifold, points)
        + turning_angles(manifold, points).sum()
        + path_length(manifold, points)
    )
    (g,) = torch.autograd.grad(total, points)
    np.testing.assert_array_equal(g, 0)


def test_one_and_two_points():
    flat = rg.Flat(1)
    assert float(path_length(flat, L_SHAPE[:1])) == 0
    np.testing.assert_array_equal(arc_lengths(flat, L_SHAPE[:1]), [0])
    assert float(straightness(flat, L_SHAPE[:1])) == 1
    assert float(straightness(flat, L_SHAPE[:2])) == 1
    assert turning_angles(flat, L_SHAPE[:1]).shape == turning_angles(flat, L_SHAPE[:2]).shape == (0,)


def test_paths_of_a_batch_are_those_of_its_entries(generator):
    manifold = rg.SizeAndShape()
    (points,) = draw(manifold, (5, 2), generator, 2, 3, 6, n=1)
    for question in (path_length, arc_lengths, straightness, turning_angles):
        together = question(manifold, points)
        alone = torch.stack([torch.stack([question(manifold, p) for p in row]) for row in points])
        np.testing.assert_allclose(together, alone, atol=1e-13)


def test_scaled_paths(generator):
    manifold = rg.AngularShape()
    scaled = geoopt.Scaled(manifold, 4.0)
    (points,) = draw(manifold, (5, 2), generator, 5, n=1)
    np.testing.assert_allclose(path_length(scaled, points), 4 * path_length(manifold, points))
    np.testing.assert_allclose(straightness(scaled, points), straightness(manifold, points))
    np.testing.assert_allclose(turning_angles(scaled, points), turning_angles(manifold, points), atol=1e-14)


def test_derivatives_of_paths(generator):
    for manifold, point in ((rg.UnitSphere(1), (4,)), (rg.SizeAndShape(), (5, 2))):
        (points,) = draw(manifold, point, generator, 4, n=1)
        for question in (path_length, arc_lengths, straightness, turning_angles):
            assert torch.autograd.gradcheck(
                lambda p, m=manifold, q=question: q(m, p), points.clone().requires_grad_()
            )


def test_a_point_is_not_a_path():
    with pytest.raises(ShapeError, match=r"needs shape \(\*batch, k, \*point\).*got \(3, 2\).*torch.stack"):
        path_length(rg.Flat(2), torch.zeros(3, 2))
    with pytest.raises(ShapeError, match="k >= 1"):
        turning_angles(rg.Flat(1), torch.zeros(0, 2))
