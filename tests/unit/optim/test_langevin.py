"""Sampling: moments against closed forms and quadrature; what is exact is exact on every manifold."""

import math

import geoopt
import numpy as np
import pytest
import torch
from cases import MANIFOLDS

import repsim_geo as rg
from repsim_geo.errors import ShapeError
from repsim_geo.optim.langevin import RiemannianLangevin
from repsim_geo.optim.wrapped_normal import wrapped_normal

each_manifold = pytest.mark.parametrize("case", MANIFOLDS, ids=str)
SCALED = ("flat_weighted", "affine_invariant_spd", "bures_wasserstein_spd", "angular_shape")
EACH_SEED = pytest.mark.parametrize("number", [0, 1])


def seeded(number):
    return torch.Generator().manual_seed(number)


def sample(manifold, start, log_density, epsilon, *, chains=1500, forget=40, keep=15, number=0, **options):
    """States of many chains that have forgotten where they began; (keep, chains, ...)."""
    x = geoopt.ManifoldParameter(start.double().repeat(chains, *[1] * start.dim()), manifold=manifold)
    sampler = RiemannianLangevin([x], epsilon, n_burnin=forget, generator=seeded(number), **options)
    states = []
    for step in range(forget + keep):
        sampler.step(lambda: log_density(x))
        if step >= forget:
            states.append(x.detach().clone())
    return torch.stack(states), sampler


def agrees(values, expected):
    """Mean of (steps, chains) within five standard errors of chains, which are independent, and 2 %."""
    each = values.mean(0)
    error = 5 * float(each.std()) / math.sqrt(len(each))
    # A test that would accept anything is none.
    assert error < 0.1 * abs(expected) + 0.06
    assert float(each.mean()) == pytest.approx(expected, abs=error)


def integral(function, low, high, n=200_001):
    t = np.linspace(low, high, n)
    return np.trapezoid(function(t), t)


# ---------------------------------------------------------------------- against closed forms


@pytest.mark.parametrize(("center", "number"), [(0.2, 0), (1.0, 1), (5.0, 2)])
def test_positive_numbers_are_log_normal_wherever_the_center_is(center, number):
    spd, middle = rg.AffineInvariantSPD(), torch.full((1, 1), center, dtype=torch.float64)
    x, _ = sample(spd, middle, lambda x: -spd.dist2(x, middle) / (2 * 0.5**2), 0.25, number=number)
    logs = (x[..., 0, 0] / center).log()
    agrees(logs, 0.0)
    agrees(logs.square(), 0.25)


def test_noise_of_geoopt_is_wrong_by_the_center():
    """What the samplers of geoopt do where we forbid them: why there is one of our own."""

    class Allowed(rg.AffineInvariantSPD):
        reversible = True

    spd, middle = Allowed(), torch.full((500, 1, 1), 0.2, dtype=torch.float64)
    x = geoopt.ManifoldParameter(middle.clone(), manifold=spd)
    sampler = geoopt.samplers.RSGLD([x], epsilon=0.02)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(120):
            sampler.step(lambda: -spd.dist2(x, middle).sum() / (2 * 0.5**2))
    assert float((x.detach() / 0.2).log().std()) == pytest.approx(0.2 * 0.5, rel=0.2)  # 0.5 would be right


@pytest.mark.parametrize(("spread", "number"), [(0.5, 0), (1.0, 1), (1.0, 2)])
def test_gaussian_of_positive_definite_matrices_has_the_right_second_moment(spread, number):
    """Density of the logarithms g, h of the eigenvalues: exp(-(g^2 + h^2) / 2 s^2) |sinh((g - h) / 2)|."""
    spd = rg.AffineInvariantSPD()
    middle = torch.tensor([[2.0, 0.9], [0.9, 0.5]], dtype=torch.float64)
    # With a = (g + h) / sqrt 2 normal, and b = (g - h) / sqrt 2.
    weight = lambda b: np.exp(-(b**2) / (2 * spread**2)) * np.sinh(b / math.sqrt(2))  # noqa: E731
    second = integral(lambda b: b**2 * weight(b), 0, 15) / integral(weight, 0, 15)
    x, _ = sample(
        spd,
        middle,
        lambda x: -spd.dist2(x, middle) / (2 * spread**2),
        0.8 * spread**2,
        number=number,
        chains=1000,
        forget=30,
        keep=20,
    )
    agrees(spd.dist2(x, middle), spread**2 + second)
    agrees((torch.linalg.det(x) / torch.linalg.det(middle)).log().square(), 2 * spread**2)


@pytest.mark.parametrize("kappa", [1.0, 6.0])
def test_von_mises_fisher_on_the_sphere(kappa):
    pole = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    x, _ = sample(rg.UnitSphere(1), pole, lambda x: kappa * (x @ pole), 0.6 / kappa)
    agrees(x @ pole, 1 / math.tanh(kappa) - 1 / kappa)
    agrees(x[..., 0].square(), (1 / math.tanh(kappa) - 1 / kappa) / kappa)


def test_von_mises_on_the_circle_across_the_cut_locus():
    kappa, pole = 0.5, torch.tensor([1.0, 0.0], dtype=torch.float64)
    x, _ = sample(rg.UnitSphere(1), pole, lambda x: kappa * (x @ pole), 2.0)
    order = torch.tensor(kappa, dtype=torch.float64)
    agrees(x @ pole, float(torch.special.i1(order) / torch.special.i0(order)))


@pytest.mark.parametrize("weight", [1.0, 0.25, 9.0])
@pytest.mark.parametrize("adjusted", [True, False])
def test_normal_distribution_in_flat_space_whatever_its_unit(weight, adjusted):
    flat, zero = rg.Flat(1, weight=weight), torch.zeros(2, dtype=torch.float64)
    x, _ = sample(
        flat, zero, lambda x: -flat.dist2(x, zero) / 2, 1.5 if adjusted else 0.1, forget=80, adjusted=adjusted
    )
    agrees(weight * x.square().sum(-1), 2.0 if adjusted else 2.0 / (1 - 0.1 / 4))


@pytest.mark.parametrize("adjusted", [True, False])
@pytest.mark.parametrize("base", [rg.Flat(2), rg.AffineInvariantSPD()], ids=lambda base: base.name)
def test_scales_of_geoopt_are_units_of_the_distance(base, adjusted):
    scaled = geoopt.Scaled(geoopt.Scaled(base, 4.0), 0.5)
    middle = torch.full((1, 1), 3.0, dtype=torch.float64)
    epsilon, forget = (1.0, 25) if adjusted else (0.1, 80)
    x, _ = sample(
        scaled, middle, lambda x: -scaled.dist2(x, middle) / 2, epsilon, forget=forget, adjusted=adjusted
    )
    # Euler's method makes the variance too large by what is known for straight lines.
    agrees(scaled.dist2(x, middle), 1.0 if adjusted else 1 / (1 - 0.1 / 4))


@EACH_SEED
def test_bures_numbers_are_reflected_at_zero(number):
    """The number is x = f^2 for f >= 0 with the volume df: density exp(-x) makes f a folded normal number."""
    bures, one = rg.BuresWassersteinSPD(), torch.ones(1, 1, dtype=torch.float64)
    x, _ = sample(bures, one, lambda x: -x[..., 0, 0], 0.6, number=number)
    mean = integral(lambda f: f**2 * np.exp(-(f**2)), 0, 9) / integral(lambda f: np.exp(-(f**2)), 0, 9)
    assert mean == pytest.approx(0.5, abs=1e-8)
    agrees(x[..., 0, 0], mean)
    agrees(x[..., 0, 0].square(), 0.75)


def test_log_euclidean_gaussian_is_normal_in_logarithms():
    spd = rg.LogEuclideanSPD()
    middle = torch.tensor([[3.0, 1.0], [1.0, 0.7]], dtype=torch.float64)
    x, _ = sample(spd, middle, lambda x: -spd.dist2(x, middle) / 2, 1.2, chains=500, forget=15)
    agrees(spd.dist2(x, middle), 3.0)


@pytest.mark.parametrize("kappa", [2.0, -4.0])
def test_watson_distribution_of_lines(kappa):
    """Cosines with an axis are uniform on lines in space, so their density is exp(kappa c^2)."""
    axis = torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64)
    x, _ = sample(
        rg.Grassmannian(), axis, lambda x: kappa * (axis.mT @ x).square()[..., 0, 0], 0.4, chains=800
    )
    weight = lambda c: np.exp(kappa * c**2)  # noqa: E731
    agrees(
        (axis.mT @ x).square()[..., 0, 0],
        integral(lambda c: c**2 * weight(c), 0, 1) / integral(weight, 0, 1),
    )


def test_triangles_are_a_sphere_of_radius_one_half():
    """Kendall's theorem: the cosine of twice the distance from a triangle is a coordinate of the sphere."""
    shapes, kappa = rg.Quotient(rg.UnitSphere(2, rg.ColumnCentered()), rg.SpecialOrthogonal()), 2.0
    middle = shapes.projx(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.3, 1.0]], dtype=torch.float64))
    x, _ = sample(
        shapes, middle, lambda x: kappa * (2 * shapes.dist(x, middle)).cos(), 0.2, chains=600, forget=20
    )
    agrees((2 * shapes.dist(x, middle)).cos(), 1 / math.tanh(kappa) - 1 / kappa)


def test_volume_is_that_of_the_quotient_and_not_of_the_space_above():
    """Triangles with size are a cone of dimension 3 over that sphere: E |x|^2 = 3, where above it is 4."""
    shapes = rg.Quotient(rg.Flat(2, rg.ColumnCentered()), rg.SpecialOrthogonal())
    start = shapes.projx(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.3, 1.0]], dtype=torch.float64))
    x, _ = sample(shapes, start, lambda x: -x.square().sum((-2, -1)) / 2, 1.0)
    agrees(x.square().sum((-2, -1)), 3.0)


# ---------------------------------------------------------------------- what makes it exact


@pytest.mark.parametrize("adjusted", [True, False])
def test_a_scaled_space_is_walked_as_the_space_that_it_is(adjusted):
    walks = []
    for manifold in (
        rg.Flat(1, weight=9.0),
        geoopt.Scaled(rg.Flat(1), 3.0),
        geoopt.Scaled(geoopt.Euclidean(1), 3.0),
    ):
        x = geoopt.ManifoldParameter(torch.ones(50, 2, dtype=torch.float64), manifold=manifold)
        sampler = RiemannianLangevin([x], 2.0, adjusted=adjusted, n_leapfrog=2, generator=seeded(0))
        for _ in range(5):
            sampler.step(lambda x=x: -x.square().sum(-1))
        walks.append(x.detach())
    torch.testing.assert_close(walks[1], walks[0], atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(walks[2], walks[0], atol=1e-7, rtol=1e-7)


ENERGETIC = [
    *(pytest.param(case, 1.0, id=str(case)) for case in MANIFOLDS),
    *(pytest.param(case, 2.0, id=f"{case}-scaled") for case in MANIFOLDS if case.name in SCALED),
]


@pytest.mark.parametrize(("case", "scale"), ENERGETIC)
def test_energy_changes_with_the_cube_of_the_step(case, scale):
    # A wrong gradient, metric or velocity leaves an error of first order.
    manifold = case.make() if scale == 1 else geoopt.Scaled(case.make(), scale)
    start = manifold.random(*case.point, dtype=torch.float64, generator=seeded(1)).as_subclass(torch.Tensor)
    weights = torch.linspace(1, 2, len(start), dtype=torch.float64).reshape(-1, *[1] * (start.dim() - 1))
    refused = []
    for epsilon in (4e-4, 1e-4):
        x = geoopt.ManifoldParameter(start.repeat(40, *[1] * start.dim()), manifold=manifold)
        sampler = RiemannianLangevin([x], epsilon, generator=seeded(3))
        # Rows are weighted: the same for all representatives of an orbit.
        sampler.step(lambda x=x: (weights * x).square().flatten(1).sum(-1))
        refused.append(float((1 - sampler.acceptance_probs[0]).mean()))
    assert 4 < refused[0] / refused[1] < 16


@pytest.mark.parametrize("n_leapfrog", [1, 4])
def test_several_pieces_go_farther_at_the_same_density(n_leapfrog):
    spd, middle = rg.AffineInvariantSPD(), torch.full((1, 1), 5.0, dtype=torch.float64)
    x, sampler = sample(
        spd,
        middle,
        lambda x: -spd.dist2(x, middle) / (2 * 0.5**2),
        0.03,
        n_leapfrog=n_leapfrog,
        forget=60 // n_leapfrog,
        keep=2,
        chains=800,
    )
    logs = (x[..., 0, 0] / 5).log()
    if n_leapfrog > 1:
        agrees(logs.square(), 0.25)
    correlation = float((logs[0] * logs[1]).mean() / logs.square().mean())
    # A piece turns phase space by the angle t with cos t = 1 - h^2 / 2 s^2.
    angle = n_leapfrog * math.acos(1 - 0.03 / (2 * 0.5**2))
    assert correlation == pytest.approx(math.cos(angle), abs=0.12)
    assert sampler.acceptance_rate > 0.9


def test_unadjusted_steps_are_all_accepted_and_ask_once():
    flat, asked = rg.Flat(1), []
    x = geoopt.ManifoldParameter(torch.zeros(5, 2, dtype=torch.float64), manifold=flat)

    def log_density():
        asked.append(None)
        return -x.square().sum(-1)

    sampler = RiemannianLangevin([x], 0.1, adjusted=False, generator=seeded(0))
    for _ in range(4):
        sampler.step(log_density)
    assert len(asked) == 4
    assert sampler.acceptance_rate == 1
    assert all(bool((p == 1).all()) for p in sampler.acceptance_probs)
    RiemannianLangevin([x], 0.1, n_leapfrog=3, generator=seeded(0)).step(log_density)
    assert len(asked) == 8


# ---------------------------------------------------------------------- manners


def test_records_begin_after_the_burn_in():
    x = geoopt.ManifoldParameter(torch.zeros(3, 2), manifold=rg.Flat(1))
    sampler = RiemannianLangevin([x], 5.0, n_burnin=4, generator=seeded(0))
    assert sampler.burnin
    for _ in range(10):
        sampler.step(lambda: -x.square().sum(-1))
    assert not sampler.burnin
    assert sampler.steps == len(sampler.log_probs) == len(sampler.acceptance_probs) == 6
    assert sampler.log_probs[-1].shape == (3,)
    torch.testing.assert_close(sampler.log_probs[-1], -x.detach().square().sum(-1).double())
    assert 0 < sampler.n_rejected == round(sampler.rejection_rate * 18)
    assert sampler.acceptance_rate == 1 - sampler.rejection_rate


def test_rejected_chains_stay_where_they_are():
    x = geoopt.ManifoldParameter(torch.ones(200, 1, 1, dtype=torch.float64), manifold=rg.AffineInvariantSPD())
    before = x.detach().clone()
    sampler = RiemannianLangevin([x], 30.0, generator=seeded(0))
    sampler.step(lambda: -x[..., 0, 0].log().square())
    stayed = (x.detach() == before).flatten(1).all(-1)
    assert 0 < int(stayed.sum()) == sampler.n_rejected < 200


def test_one_number_moves_or_rejects_all_parameters_together():
    x = geoopt.ManifoldParameter(torch.eye(2).repeat(6, 1, 1).double(), manifold=rg.AffineInvariantSPD())
    y = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    sampler = RiemannianLangevin([x, y], 0.1, generator=seeded(0))
    outcomes = set()
    for _ in range(12):
        before = (x.detach().clone(), y.detach().clone())
        sampler.step(lambda: -x.square().sum() / 2 - y.square().sum() / 2)
        moved = {not torch.equal(a, b.detach()) for a, b in zip(before, (x, y), strict=True)}
        assert len(moved) == 1
        outcomes |= moved
    assert outcomes == {True, False}
    assert sampler.log_probs[0].shape == ()


def test_plain_parameters_and_points_share_chains():
    sphere, pole = rg.UnitSphere(1), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    x = geoopt.ManifoldParameter(pole.repeat(2000, 1), manifold=sphere)
    y = torch.nn.Parameter(torch.zeros(2000, 2, dtype=torch.float64))
    sampler = RiemannianLangevin([{"params": [x], "epsilon": 0.3}, {"params": [y]}], 0.8, generator=seeded(0))
    for _ in range(40):
        sampler.step(lambda: 2 * (x @ pole) - y.square().sum(-1) / 2)
    agrees((x.detach() @ pole)[None], 1 / math.tanh(2) - 1 / 2)
    agrees(y.detach().square().sum(-1)[None], 2.0)


def test_generator_decides_and_nothing_else_is_touched():
    def run(generator):
        x = geoopt.ManifoldParameter(torch.eye(2).repeat(4, 1, 1), manifold=rg.AffineInvariantSPD())
        sampler = RiemannianLangevin([x], 0.1, generator=generator)
        for _ in range(3):
            sampler.step(lambda: -x.square().sum((-2, -1)))
        assert x.grad is None
        return x.detach()

    state = torch.random.get_rng_state()
    assert torch.equal(run(seeded(5)), run(seeded(5)))
    assert not torch.equal(run(seeded(5)), run(seeded(6)))
    assert torch.equal(state, torch.random.get_rng_state())
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = run(None)
        torch.manual_seed(5)
        assert torch.equal(first, run(None))


def test_parameters_that_are_held_fixed_stay():
    x = torch.nn.Parameter(torch.zeros(3))
    y = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    RiemannianLangevin([x, y], 0.1, generator=seeded(0)).step(lambda: -(x * y).square().sum())
    assert torch.equal(y, torch.ones(3))
    assert bool((x != 0).all())


def test_stabilize_projects():
    x = geoopt.ManifoldParameter(torch.tensor([2.0, 0.0]), manifold=rg.UnitSphere(1))
    RiemannianLangevin([x], 0.1).stabilize()
    assert torch.equal(x.detach(), torch.tensor([1.0, 0.0]))


# ---------------------------------------------------------------------- manifolds of others


def test_manifolds_of_geoopt_with_the_inner_product_around_them():
    pole = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    x, _ = sample(geoopt.Sphere(), pole, lambda x: 2 * (x @ pole), 0.3)
    agrees(x @ pole, 1 / math.tanh(2) - 1 / 2)
    # Uniform on orthonormal frames: every entry has the mean square 1 / 3.
    frame = torch.eye(3, 2, dtype=torch.float64)
    x, sampler = sample(geoopt.EuclideanStiefelExact(), frame, lambda x: 0 * x.sum((-2, -1)), 0.5, chains=600)
    agrees(x[..., 0, 0].square(), 1 / 3)
    assert sampler.acceptance_rate == 1


def test_products_with_the_inner_product_around_them():
    product = geoopt.ProductManifold((rg.UnitSphere(1), (3,)), (rg.Flat(1), (2,)))
    start = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    x, _ = sample(product, start, lambda x: 2 * x[..., 2] - x[..., 3:].square().sum(-1) / 2, 0.4)
    agrees(x[..., 2], 1 / math.tanh(2) - 1 / 2)
    agrees(x[..., 3:].square().sum(-1), 2.0)


@pytest.mark.parametrize(
    ("manifold", "point"),
    [
        (geoopt.SymmetricPositiveDefinite(), torch.diag(torch.tensor([2.0, 0.3]))),
        (geoopt.PoincareBall(), torch.tensor([0.1, 0.2])),
        (geoopt.CanonicalStiefel(), torch.eye(3, 2)),
        (geoopt.ProductManifold((rg.AffineInvariantSPD(), (2, 2))), torch.tensor([2.0, 0.0, 0.0, 0.3])),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_manifolds_of_others_with_another_metric_are_refused(manifold, point):
    x = geoopt.ManifoldParameter(point, manifold=manifold)
    with pytest.raises(ValueError, match=r"need a manifold with isotropic.*got .*Take one of repsim_geo"):
        RiemannianLangevin([x], 0.1)


def test_retractions_that_are_no_geodesics_are_refused():
    class Projected(geoopt.Sphere):
        def expmap(self, x, u):
            return self.projx(x + u)

    x = geoopt.ManifoldParameter(torch.tensor([0.6, 0.8, 0.0]), manifold=Projected())
    with pytest.raises(
        ValueError, match=r"expmap that follows geodesics.*does not find back. Take a manifold"
    ):
        RiemannianLangevin([x], 0.1)


# ---------------------------------------------------------------------- refusals


def test_log_densities_that_belong_to_no_chains_are_refused():
    x = geoopt.ManifoldParameter(torch.zeros(4, 2), manifold=rg.Flat(1))
    for log_density in (lambda: -x.square(), lambda: -x.square().sum(0)):
        with pytest.raises(
            ShapeError, match=r"one log-density, or one for each chain.*Sum over what belongs"
        ):
            RiemannianLangevin([x], 0.1).step(log_density)


def test_a_start_without_density_is_refused():
    x = geoopt.ManifoldParameter(torch.zeros(2), manifold=rg.Flat(1))
    with pytest.raises(ValueError, match=r"finite log-density where it stands, got -inf. Start at points"):
        RiemannianLangevin([x], 0.1).step(lambda: x.sum().log())


def test_proposals_without_density_are_rejected():
    x = geoopt.ManifoldParameter(torch.full((2000, 1), 0.5, dtype=torch.float64), manifold=rg.Flat(1))
    sampler = RiemannianLangevin([x], 0.3, generator=seeded(0))
    for _ in range(60):
        sampler.step(lambda: x[:, 0].log() - x[:, 0])
        assert bool((x > 0).all())
    assert sampler.n_rejected > 0
    agrees(x.detach()[None, :, 0], 2.0)  # gamma distribution of order two


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan])
def test_step_sizes_that_are_none_are_refused(epsilon):
    with pytest.raises(ValueError, match=r"epsilon must be a positive number.*got"):
        RiemannianLangevin([torch.nn.Parameter(torch.zeros(2))], epsilon)


def test_counts_of_pieces_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"n_leapfrog must be a positive whole number of pieces"):
        RiemannianLangevin([torch.nn.Parameter(torch.zeros(2))], n_leapfrog=0)


# ---------------------------------------------------------------------- wrapped normal


def test_wrapped_normal_on_positive_numbers_is_log_normal():
    middle = torch.tensor([0.2, 5.0], dtype=torch.float64).reshape(2, 1, 1)
    scale = torch.tensor([0.5, 0.1], dtype=torch.float64)
    x = wrapped_normal(rg.AffineInvariantSPD(), middle, scale, 20_000, generator=seeded(0))
    assert x.shape == (2, 20_000, 1, 1)
    logs = (x / middle[:, None]).log()[..., 0, 0]
    torch.testing.assert_close(logs.std(-1), scale, rtol=0.03, atol=0)
    assert bool((logs.mean(-1).abs() < 5 * scale / 20_000**0.5).all())


def test_wrapped_normal_on_the_sphere_has_rayleigh_distances():
    pole, spread = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), 0.8
    x = wrapped_normal(rg.UnitSphere(1), pole, spread, 20_000, generator=seeded(0))
    expected = integral(lambda r: np.cos(r) * r / spread**2 * np.exp(-(r**2) / (2 * spread**2)), 0, 12)
    agrees((x @ pole)[None], expected)


@each_manifold
def test_wrapped_normals_lie_around_their_mean_in_the_unit_of_the_distance(case):
    base = case.make()
    mean = base.random(2, *case.point, dtype=torch.float64, generator=seeded(0)).as_subclass(torch.Tensor)
    n = 20 if case.slow else 200
    for manifold, scale in ((base, 1e-3), (geoopt.Scaled(base, 3.0), 3e-3)):
        x = wrapped_normal(manifold, mean, scale, n, generator=seeded(1))
        assert base.check_point_on_manifold(x)
        share = base.dist2(mean[:, None], x).mean() / (base.dim(*case.point) * 1e-6)
        assert float(share) == pytest.approx(1, abs=6 / math.sqrt(n * base.dim(*case.point)))


def test_wrapped_normals_of_geoopt_manifolds():
    pole = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    x = wrapped_normal(geoopt.Sphere(), pole, 0.1, 5000, generator=seeded(0))
    assert float((x[:, :2].square().sum(-1)).mean()) == pytest.approx(2 * 0.1**2, rel=0.1)
    with pytest.raises(ValueError, match=r"need a manifold with isotropic"):
        wrapped_normal(geoopt.PoincareBall(), torch.tensor([0.1, 0.2]), 0.1, 5)
    with pytest.raises(ValueError, match=r"n must be a positive whole number of points"):
        wrapped_normal(geoopt.Sphere(), pole, 0.1, 0)
