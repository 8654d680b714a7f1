"""What a stranger found wrong in the routes to all pairs, and what was done about it."""

import geoopt
import pytest
import torch

import repsim_geo as rg

GENERATOR = torch.Generator().manual_seed(0)


def randn(*size):
    return torch.randn(*size, dtype=torch.float64, generator=GENERATOR)


def gradients(table, reps):
    return torch.autograd.grad(table[0, 1:].sum(), reps)


@pytest.mark.parametrize("method", ["stress", "angular_cka", "angular_shape"])
@pytest.mark.parametrize("memory", [None, "8MB"])
def test_explaining_does_not_cost_gradients(method, memory):
    """The sample was computed without gradients, and left rows behind that the work used."""
    reps = [randn(300, 4).requires_grad_() for _ in range(3)]
    if method == "angular_shape":
        memory = None
    plain = gradients(rg.pairwise(reps, method, memory=memory), reps)
    explained = gradients(rg.pairwise(reps, method, memory=memory, explain=True), reps)
    for one, other in zip(explained, plain, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "metric",
    [rg.AngularCKA(rg.RBF()), rg.AngularCKA(rg.RBF(rg.Mean())), rg.Stress(rescale=True)],
    ids=str,
)
def test_lengths_have_derivatives_however_little_memory_there_is(metric):
    """Measured block by block they had none, without a word."""
    reps = [randn(300, d).requires_grad_() for d in (3, 4)]
    got = gradients(rg.pairwise(reps, metric, route="tiles", memory="6MB"), reps)
    expected = torch.autograd.grad(rg.compare(*reps, metric), reps)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_stores_of_routes_that_fall_back_on_another(tmp_path):
    """Both wrote their tiles under one name."""
    reps = [randn(30, d).requires_grad_() for d in (3, 5)]
    reps.append(-2.0 * reps[0])
    torch.testing.assert_close(rg.pairwise(reps, store=tmp_path / "a"), rg.pairwise(reps))
    eye = torch.eye(30, dtype=torch.float64)
    reps = [eye + 1e-4 * randn(30, 30) for _ in range(3)]
    options = {"method": rg.AngularRDM(centered=True), "route": "features"}
    expected = rg.pairwise(reps, **options)
    for _ in range(2):
        torch.testing.assert_close(rg.pairwise(reps, **options, store=tmp_path / "b"), expected)


class RootStress(rg.Stress):
    def dist(self, x, y, *, keepdim=False):
        return super().dist(x, y, keepdim=keepdim) ** 0.5


class FirstUnits(rg.AngularCKA):
    def embed(self, x):
        return super().embed(x[..., :2])

    def prepare(self, x):
        return self.embed(x)


@pytest.mark.parametrize("metric", [RootStress(), FirstUnits(), geoopt.Scaled(RootStress(), 2.0)], ids=str)
def test_subclasses_that_change_distances_are_asked(metric):
    """The form that they inherit was taken for theirs."""
    reps = [randn(50, 7), randn(50, 6)]
    torch.testing.assert_close(rg.pairwise(reps, metric)[0, 1], rg.compare(*reps, metric))


class Times(rg.SizeAndShape):
    def __init__(self, factor):
        super().__init__(p=3)
        self.factor = factor

    def between_all(self, a, b):
        return self.factor * super().between_all(a, b)


class Cloud(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x.flatten(-2)


def test_a_store_knows_the_options_of_any_metric(tmp_path):
    """Only what was printed made a difference."""
    reps = [randn(20, 4), randn(20, 4)]
    for i, make in enumerate((Times, lambda k: (Cloud(k), geoopt.Euclidean(ndim=1)))):
        rg.pairwise(reps, make(1.0), store=tmp_path / str(i))
        with pytest.raises(ValueError, match="parameters was"):
            rg.pairwise(reps, make(5.0), store=tmp_path / str(i))


@pytest.mark.parametrize(
    "make",
    [lambda: geoopt.Scaled(rg.AngularCKA(), 2.0), lambda: (Cloud(1.0), geoopt.Euclidean(ndim=1))],
    ids=["scaled", "pair"],
)
def test_runs_of_scaled_metrics_and_of_pairs_go_on(make, tmp_path):
    """Their description held an address of memory."""
    reps = [randn(20, 4), randn(20, 4)]
    first = rg.pairwise(reps, make(), store=tmp_path)
    assert torch.equal(rg.pairwise(reps, make(), store=tmp_path), first)


def test_a_run_goes_on_with_another_budget(tmp_path):
    """Tiles were as large as the new budget said, and so another run's."""
    reps = [randn(400, 10) for _ in range(4)]
    options = {"method": rg.AngularRDM(), "route": "tiles"}
    first = rg.pairwise(reps, **options, memory="700kB", store=tmp_path)
    count = len(list(tmp_path.rglob("*.tile")))
    assert count > 1
    for more in ({"memory": "2GB"}, {"n_jobs": 2}):
        assert torch.equal(rg.pairwise(reps, **options, **more, store=tmp_path), first)
    assert len(list(tmp_path.rglob("*.tile"))) == count


def test_near_pairs_are_counted_against_the_budget():
    """They were decomposed in batches that did not look at it."""
    base = randn(2000, 50).float()
    reps = [base + 0.01 * randn(2000, 50).float() for _ in range(4)]
    jobs = []
    for memory in ("1GB", "20MB"):
        engine = _engine(reps, memory)
        jobs.append(engine.pairs_at_once)
    assert jobs[0] > jobs[1]


def _engine(reps, memory):
    from repsim_geo.pairwise.engine import _Work

    return _Work(reps, None, "angular_cka", {}, None, None, "features", memory, None).engine


def test_scaled_metrics_inside_each_other():
    """The inner scale was lost, in compare too."""
    x, y = randn(20, 4), randn(20, 5)
    twice = geoopt.Scaled(geoopt.Scaled(rg.AngularCKA(), 3.0), 2.0)
    torch.testing.assert_close(rg.compare(x, y, twice), 6 * rg.compare(x, y))
    for route in ("tiles", "features", "points"):
        torch.testing.assert_close(rg.pairwise([x, y], twice, route=route)[0, 1], 6 * rg.compare(x, y))


@pytest.mark.parametrize("route", ["tiles", "features", "points"])
def test_a_scale_that_is_learnt(route):
    """It was made a number on the way."""
    metric = geoopt.Scaled(rg.AngularCKA(), 2.0, learnable=True)
    rg.pairwise([randn(20, 4), randn(20, 5)], metric, route=route).sum().backward()
    assert float(metric._log_scale.grad) > 0


@pytest.mark.parametrize("method", ["angular_cka", "stress", "angular_shape", "bures_wasserstein"])
def test_autocast_takes_no_digits(method):
    """Products of blocks were formed in bfloat16."""
    x = randn(100, 20).float()
    reps = [x, x + 1e-3 * randn(100, 20).float(), randn(100, 20).float()]
    routes = rg.plan_pairwise(reps, method)
    for route in (routes.route, *routes.others):
        plain = rg.pairwise(reps, method, route=route.name)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(rg.pairwise(reps, method, route=route.name), plain)


def test_functions_give_numbers_not_graphs():
    """Their gradients were seen too late, and were nan."""
    reps = [randn(20, d).requires_grad_() for d in (3, 5)]
    table = rg.pairwise([lambda: reps[0] * 1.0, lambda: reps[1] * 1.0], "angular_shape", route="features")
    assert not table.requires_grad


def test_networks_whose_names_print_alike_are_all_there():
    reps = {float("nan"): randn(20, 3), float("nan") + 0: randn(20, 4)}
    assert rg.pairwise(reps).shape == (2, 2)


def test_points_may_be_numbers():
    class Size(torch.nn.Module):
        def forward(self, x):
            return x.norm(dim=(-2, -1))

    reps = [randn(20, 3), randn(20, 4)]
    pair = (Size(), geoopt.Euclidean(ndim=0))
    torch.testing.assert_close(rg.pairwise(reps, pair)[0, 1], rg.compare(*reps, pair))


def test_errors_with_arguments_of_their_own_keep_their_text():
    class Odd(torch.nn.Module):
        def forward(self, x):
            raise UnicodeDecodeError("utf-8", b"x", 0, 1, "no such letter")

    with pytest.raises(ValueError, match=r"reps\[0\]: .*no such letter"):
        rg.pairwise([randn(20, 3), randn(20, 4)], (Odd(), geoopt.Euclidean(ndim=0)))


def test_tables_of_nearly_equal_covariances_hold_their_distances():
    """Eigenvalues of a square had rounding where singular values had none."""
    g = torch.Generator().manual_seed(1)
    change = torch.randn(6, 4, 4, dtype=torch.float64, generator=g)
    spd = rg.AffineInvariantSPD()
    for size in (1e-16, 1e-12, 1e-6, 1e-3):
        x = torch.eye(4, dtype=torch.float64) / 10 + size * (change + change.mT)
        expected = spd.dist(x[:, None], x[None]).triu(1)
        torch.testing.assert_close(spd.cdist(x, x).triu(1), expected, rtol=1e-9, atol=0.0)
