"""Every route, in pieces of any size, gives the distances of points."""

import importlib
import warnings

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.pairwise.features import FeatureProducts
from repsim_geo.pairwise.jobs import Jobs
from repsim_geo.pairwise.networks import Networks
from repsim_geo.pairwise.shapes import ShapeProducts
from repsim_geo.pairwise.tiles import MatrixTiles
from repsim_geo.sources import as_source

MIXED = (3, 4, 40, 5, 41, 9)
JOBS = Jobs(None, progress=False, store=None)

# Every metric whose points are (m, m) matrices made entry by entry.
METRICS = [
    rg.AngularCKA(),
    rg.AngularCKA(debiased=True),
    rg.AngularCKA(rg.RBF()),
    rg.AngularCKA(rg.RBF(rg.Quantile(0.3))),
    rg.AngularCKA(rg.RBF("100*median")),
    rg.AngularCKA(rg.RBF("mean"), debiased=True),
    rg.AngularCKA(rg.Laplace(2.0) + 0.5 * rg.Linear()),
    rg.AngularRDM(),
    rg.AngularRDM(centered=True),
    rg.AngularRDM("euclidean"),
    rg.AngularRDM("euclidean", centered=True, kernel=rg.RBF()),
    rg.AngularRDM("cosine"),
    rg.AngularRDM("correlation", centered=True),
    rg.Stress(),
    rg.Stress(rescale=True),
    rg.Stress(rg.RBF(rg.Median(lower=True, with_diagonal=True))),
]
SHAPES = [rg.AngularShape(), rg.SizeAndShape(), rg.BuresWasserstein()]
LINEAR = [metric for metric in METRICS if metric.matrix_form().linear]
ROUTES = [*((metric, "tiles") for metric in METRICS), *((metric, "features") for metric in LINEAR)]
every = pytest.mark.parametrize("metric", METRICS, ids=str)
linear = pytest.mark.parametrize("metric", LINEAR, ids=str)
both = pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])


def networks(seed, m=30, widths=MIXED, shared=0.7):
    g = torch.Generator().manual_seed(seed)
    base = torch.randn(m, max(widths), dtype=torch.float64, generator=g)
    noise = [torch.randn(m, d, dtype=torch.float64, generator=g) for d in widths]
    # Off the origin, two of them nearly and one exactly equal to others.
    reps = [3 + shared * base[:, : x.shape[-1]] + x for x in noise]
    near = reps[2] + 1e-5 * torch.randn(m, widths[2], dtype=torch.float64, generator=g)
    return [*reps, near, reps[0].clone()]


def from_points(reps, metric):
    points = torch.stack([metric.embed(x.double()) for x in reps])
    return metric.cdist(points, points).fill_diagonal_(0.0)


def prepared(reps, metric):
    sources = [as_source(x, f"reps[{i}]") for i, x in enumerate(reps)]
    return Networks(sources, metric, metric.matrix_form())


def on_disk(reps, folder):
    """The same networks, where only rows are in memory."""
    for i, x in enumerate(reps):
        np.save(folder / f"{i}.npy", x.numpy())
    return [folder / f"{i}.npy" for i in range(len(reps))]


@every
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("side", [30, 7, 1])
@pytest.mark.parametrize("first", [None, 3])
def test_blocks_of_inputs(metric, seed, side, first):
    reps = networks(seed, m=8 if side == 1 else 30)
    got = MatrixTiles(prepared(reps, metric), first, side, 2000).all_distances(JOBS)
    expected = from_points(reps, metric)[:first, first:]
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-13)


@linear
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("columns", [1000, 41, 7])
@pytest.mark.parametrize("first", [None, 3])
def test_cross_products_of_units(metric, seed, columns, first, monkeypatch):
    monkeypatch.setattr(importlib.import_module("repsim_geo.pairwise.cross_products"), "STRIP_COLUMNS", 50)
    reps = networks(seed, m=90)
    got = FeatureProducts(prepared(reps, metric), first, columns, 40).all_distances(JOBS)
    torch.testing.assert_close(got, from_points(reps, metric)[:first, first:], rtol=0, atol=2e-13)


@pytest.mark.parametrize("metric", SHAPES, ids=str)
@pytest.mark.parametrize("columns", [1000, 41, 7])
@pytest.mark.parametrize("first", [None, 3])
def test_shapes_from_cross_products(metric, columns, first, monkeypatch):
    monkeypatch.setattr(importlib.import_module("repsim_geo.pairwise.cross_products"), "STRIP_COLUMNS", 50)
    for seed in range(3):
        reps = networks(seed, m=60)
        resolved = metric.resolve(reps)
        sources = [as_source(x, f"reps[{i}]") for i, x in enumerate(reps)]
        clouds = Networks(sources, resolved, resolved.cloud_form(41))
        got = ShapeProducts(clouds, resolved, first, columns).all_distances(JOBS)
        expected = rg.pairwise(reps, metric, route="points")[:first, first:]
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-11 * (1 + float(expected.max())))


@pytest.mark.parametrize("metric", [*SHAPES, geoopt.Scaled(rg.AngularShape(), 3.0)], ids=str)
@pytest.mark.parametrize("m", [25, 60])
def test_shapes_on_disk(metric, m, tmp_path, monkeypatch):
    """Of networks with more units than inputs too."""
    plan = importlib.import_module("repsim_geo.pairwise.plan")
    monkeypatch.setattr(plan, "READ_ELEMENTS", 200)
    monkeypatch.setattr(plan, "_SMALLEST_READ", 200)
    reps = networks(3, m=m)
    expected = rg.pairwise(reps, metric, route="points")
    for dtype, digits in ((torch.float64, 1e-11), (torch.float32, 1e-5)):
        files = on_disk([x.to(dtype) for x in reps], tmp_path)
        assert rg.plan_pairwise(files, metric, memory="3MB").route.name == "features"
        got = rg.pairwise(files, metric, memory="3MB").double()
        torch.testing.assert_close(got, expected, rtol=digits, atol=digits * float(expected.max()))


def test_shapes_that_leave_axes_out_have_no_such_route():
    for metric in (
        rg.AngularShape(p=2),
        rg.AngularShape(whiten=1.0),
        rg.SizeAndShape(p=3, reflections=False),
    ):
        assert metric.cloud_form(41) is None
    with pytest.raises(ValueError, match="route must be 'points' for this metric"):
        rg.pairwise(networks(0), rg.AngularShape(p=2), route="features")


@every
def test_routes_can_be_asked_for(metric):
    reps = networks(4)
    routes = ("tiles", "features", "points") if metric in LINEAR else ("tiles", "points")
    tables = [rg.pairwise(reps, metric, route=route) for route in routes]
    for table in tables[1:]:
        torch.testing.assert_close(table, tables[0], rtol=0, atol=2e-13)


@pytest.mark.parametrize(("metric", "route"), [*ROUTES, *((metric, "points") for metric in METRICS)], ids=str)
def test_networks_on_disk(metric, route, tmp_path, monkeypatch):
    plan = importlib.import_module("repsim_geo.pairwise.plan")
    monkeypatch.setattr(plan, "READ_ELEMENTS", 200)
    monkeypatch.setattr(plan, "_SMALLEST_READ", 200)
    monkeypatch.setattr(plan, "_WHOLE", 1000)
    reps = networks(5)
    files = on_disk(reps, tmp_path)
    form = metric.matrix_form()
    memory = ("300kB" if form.rules or form.units else "200kB") if route == "tiles" else None
    assert route != "tiles" or rg.plan_pairwise(files, metric, memory=memory, route=route).route.tiles > 1
    got = rg.pairwise(files, metric, route=route, memory=memory)
    torch.testing.assert_close(got, from_points(reps, metric), rtol=0, atol=5e-13)


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("route", ["tiles", "features"])
def test_near_networks_keep_their_digits(debiased, dtype, route):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, dtype=torch.float64, generator=g)
    step = torch.randn(40, 6, dtype=torch.float64, generator=g)
    sizes = (1e-6, 1e-4, 1e-3, 3e-2) if dtype == torch.float64 else (1e-3, 1e-2, 3e-2)
    reps = [rep.to(dtype) for rep in [x, *(x + size * step for size in sizes)]]
    metric = rg.AngularCKA(debiased=debiased)
    got = rg.pairwise(reps, metric, route=route)[0, 1:]
    expected = from_points(reps, metric)[0, 1:]
    # What is left of the digits of x in a difference of this size.
    rounding = 16 * torch.finfo(dtype).eps
    assert bool(((got - expected).abs() <= rounding + 1e2 * rounding * expected).all())


@every
def test_single_precision_keeps_its_digits(metric):
    reps = [x.float() for x in networks(6)]
    for route in ("tiles", "features") if metric in LINEAR else ("tiles",):
        got = rg.pairwise(reps, metric, route=route).double()
        # Near networks, and equal ones, as they are in float32.
        torch.testing.assert_close(got, from_points(reps, metric), rtol=2e-5, atol=1e-6)


@every
def test_long_sums_of_single_numbers_keep_their_digits(metric):
    """A million products in float32 would be off by 1e-4 if they were added up in float32."""
    reps = [x.float() for x in networks(7, m=1000)[:3]]
    for route in ("tiles", "features") if metric in LINEAR else ("tiles",):
        got = rg.pairwise(reps, metric, route=route).double()
        torch.testing.assert_close(got, from_points(reps, metric), rtol=3e-6, atol=1e-7)


@both
def test_equal_networks_have_distance_zero_and_opposite_ones_pi(debiased):
    metric = rg.AngularCKA(debiased=debiased)
    x = networks(2)[2]
    table = rg.pairwise([x, x.clone(), 4 * x + 1], metric)
    assert float(table[0, 1]) == 0.0
    assert float(table.max()) < 1e-14
    if debiased:
        # Four inputs have a plane of U-centered Gram matrices, in which some are opposite.
        one, other = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]], dtype=torch.float64)
        pair = [one[:, None], torch.stack([other, (one + other) % 2], -1)]
        table = rg.pairwise(pair, metric)
        assert float(table[0, 1]) == pytest.approx(float(from_points(pair, metric)[0, 1]), abs=1e-13)
        assert float(table[0, 1]) > 3.1415


@pytest.mark.parametrize(("metric", "route"), ROUTES, ids=str)
def test_gradients_are_those_of_compare(metric, route):
    reps = [x.requires_grad_() for x in networks(3, m=20, widths=(3, 5, 3))[:3]]

    def twins():
        return [reps[0], reps[1], reps[0] + 1e-3 * reps[2]]

    got = torch.autograd.grad(rg.pairwise(twins(), metric, route=route).triu().sum(), reps)
    a = twins()
    total = sum(rg.compare(a[i], a[j], metric) for i, j in ((0, 1), (0, 2), (1, 2)))
    for one, other in zip(got, torch.autograd.grad(total, reps), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_a_network_of_which_nothing_is_left_is_named():
    reps = {"a": networks(0)[0], "dead": torch.zeros(30, 4, dtype=torch.float64)}
    with pytest.raises(rg.DegenerateRepresentationError, match=r"reps\['dead'\] is constant"):
        rg.pairwise(reps)
    reps["dead"] = torch.eye(30, dtype=torch.float64)  # all inputs equally far
    for route in ("tiles", "features"):
        for metric, what in (
            (rg.AngularCKA(debiased=True), "nothing is left .*UCentered"),
            (rg.AngularRDM(centered=True), "nothing is left of the dissimilarities"),
        ):
            with pytest.raises(rg.DegenerateRepresentationError, match=rf"reps\['dead'\]: {what}"):
                rg.pairwise(reps, metric, route=route)
    reps["dead"] = reps["a"].clone()
    reps["dead"][7] = 0
    with pytest.raises(rg.DegenerateRepresentationError, match=r"reps\['dead'\]: cosine .* row 7"):
        rg.pairwise(reps, rg.AngularRDM("cosine"))


@both
def test_kernels_that_see_nothing_are_reported(debiased):
    g = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        reps = [torch.randn(20, 5, dtype=dtype, generator=g) for _ in range(3)]
        for length, warns in ((1e-3, True), (3.0, False)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                metric = rg.AngularCKA(rg.RBF(length), debiased=debiased)
                try:
                    rg.pairwise(reps, metric, route="tiles")
                except rg.DegenerateRepresentationError:
                    assert debiased
                    assert warns
            seen = [w for w in caught if "no two inputs resemble" in str(w.message)]
            assert bool(seen) == warns


def test_inputs_that_leave_little_after_centering_keep_their_digits():
    """Orthogonal responses and a little more: centering takes nearly everything away."""
    g = torch.Generator().manual_seed(0)
    eye = torch.eye(30, dtype=torch.float64)
    reps = [eye + 1e-6 * torch.randn(30, 30, dtype=torch.float64, generator=g) for _ in range(3)]
    for metric in (rg.AngularCKA(debiased=True), rg.AngularRDM(centered=True)):
        for route in ("tiles", "features"):
            got = rg.pairwise(reps, metric, route=route)
            # Entries are accurate to 1e-16 of one, and what is compared is 1e-6.
            torch.testing.assert_close(got, from_points(reps, metric), rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scale_does_not_matter(scale):
    reps = networks(4)
    for route in ("tiles", "features"):
        got = rg.pairwise([reps[0] * scale, *reps[1:]], route=route)
        torch.testing.assert_close(got, rg.pairwise(reps, route=route), rtol=0, atol=1e-14)
