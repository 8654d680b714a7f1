"""Jobs give the same result wherever they run, and what is finished is never lost."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import geoopt
import joblib
import numpy as np
import pytest
import torch

import repsim_geo as rg

GENERATOR = torch.Generator().manual_seed(0)
REPS = [torch.randn(60, 5 + i % 3, dtype=torch.float64, generator=GENERATOR) for i in range(9)]
# A route through blocks of inputs, one through cross-products, one through points.
WORK = {
    "tiles": {"method": rg.AngularCKA(rg.RBF())},
    "features": {"method": "angular_cka", "route": "features"},
    "points": {"method": "angular_shape", "block": 2},
}
every = pytest.mark.parametrize("route", WORK)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """So small that there are several jobs."""
    plan = importlib.import_module("repsim_geo.pairwise.plan")
    small = {"_FEWEST": 2000, "_GOOD_SIDE": 16, "_GOOD_COLUMNS": 20, "_SOME_COLUMNS": 20}
    for name, value in small.items():
        monkeypatch.setattr(plan, name, value)


def distances(route, **options):
    return rg.pairwise(REPS, **{**WORK[route], **options})


@every
def test_each_route_has_several_jobs(route):
    plan = rg.plan_pairwise(REPS, **WORK[route])
    assert plan.route.name == route
    assert plan.route.tiles > 2


@every
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_backends_of_joblib_change_nothing(route, backend):
    one = distances(route, n_jobs=1)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert torch.equal(distances(route), one)
    assert torch.equal(distances(route, n_jobs=2), one)


def test_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    distances("points", n_jobs=2)
    assert torch.get_num_threads() == before


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_two_workers_of_dask_and_one_that_is_killed():
    dask = pytest.importorskip("dask.distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with dask.LocalCluster(**options) as cluster, dask.Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            for route in WORK:
                assert torch.equal(distances(route), distances(route, n_jobs=1))
        victim = next(iter(client.run(os.getpid).values()))
        many = [torch.randn(300, 30, dtype=torch.float64, generator=GENERATOR) for _ in range(24)]
        one = rg.pairwise(many, "angular_shape", block=2)
        threading.Timer(0.3, os.kill, (victim, signal.SIGKILL)).start()
        with joblib.parallel_config(backend="dask"):
            spread = rg.pairwise(many, "angular_shape", block=2)
        torch.testing.assert_close(spread, one, rtol=1e-13, atol=1e-14)


# ---------------------------------------------------------------------- what is finished stays


class Interrupted(rg.AngularShape):
    """Stops after some tiles, as Ctrl-C would."""

    left = 0

    def between_all(self, a, b):
        type(self).left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().between_all(a, b)


def test_ctrl_c_leaves_finished_tiles(tmp_path):
    metric = Interrupted()
    Interrupted.left = 4
    with pytest.raises(KeyboardInterrupt):
        rg.pairwise(REPS, metric, block=2, store=tmp_path)
    assert len(list(tmp_path.glob("distances/*.tile"))) == 4
    Interrupted.left = 11  # of fifteen tiles
    assert torch.equal(rg.pairwise(REPS, metric, block=2, store=tmp_path), distances("points"))
    assert Interrupted.left == 0


@every
def test_a_finished_run_is_read(route, tmp_path):
    one = distances(route, store=tmp_path)
    count = len(list(tmp_path.rglob("*.tile")))
    assert count > 2
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tile")}
    assert torch.equal(distances(route, store=tmp_path), one)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tile")} == written


@every
def test_a_damaged_tile_is_computed_again(route, tmp_path):
    one = distances(route, store=tmp_path)
    victim = sorted(tmp_path.rglob("*.tile"))[1]
    victim.write_bytes(victim.read_bytes()[:-3])
    with pytest.warns(RuntimeWarning, match="computed again"):
        assert torch.equal(distances(route, store=tmp_path), one)


def test_a_folder_of_another_run_is_refused(tmp_path):
    distances("points", store=tmp_path)
    with pytest.raises(ValueError, match=r"another one: .*metric was"):
        distances("tiles", store=tmp_path)
    with pytest.raises(ValueError, match="another one"):
        rg.pairwise([*REPS[:-1], REPS[-1] + 1e-3], **WORK["points"], store=tmp_path)


def test_what_a_metric_has_learnt_makes_another_run(tmp_path):
    kernel = rg.RBF(learnable=True)
    rg.pairwise(REPS, rg.AngularCKA(kernel), store=tmp_path / "kernel")
    with torch.no_grad():
        kernel.log_factor += 0.1
    with pytest.raises(ValueError, match="parameters was"):
        rg.pairwise(REPS, rg.AngularCKA(kernel), store=tmp_path / "kernel")
    eye = torch.eye(60, dtype=torch.float64)
    for noise, expected in ((eye, None), (eye, None), (2 * eye + 0.1, ValueError)):
        metric = rg.AngularRDM(whitened=True, noise_covariance=noise)
        if expected is None:
            rg.pairwise(REPS, metric, store=tmp_path / "noise")
        else:
            with pytest.raises(expected, match="parameters was"):
                rg.pairwise(REPS, metric, store=tmp_path / "noise")


def test_a_killed_run_goes_on(tmp_path):
    """Kill -9 in the middle; the next run has the same result, to the last bit."""
    for i, x in enumerate(REPS):
        np.save(tmp_path / f"{i}.npy", x.numpy())
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        import repsim_geo as rg
        folder = Path({str(tmp_path)!r})
        between_all = rg.AngularShape.between_all
        def slowly(self, a, b):
            time.sleep(0.1)
            return between_all(self, a, b)
        rg.AngularShape.between_all = slowly
        files = [folder / f"{{i}}.npy" for i in range({len(REPS)})]
        rg.pairwise(files, rg.AngularShape(), block=1, store=folder / "tiles")
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    tiles = tmp_path / "tiles" / "distances"
    deadline = time.monotonic() + 120
    while len(list(tiles.glob("*.tile"))) < 5 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = {path: path.read_bytes() for path in tiles.glob("*.tile")}
    assert 5 <= len(before) < 45
    files = [tmp_path / f"{i}.npy" for i in range(len(REPS))]
    resumed = rg.pairwise(files, rg.AngularShape(), block=1, store=tmp_path / "tiles")
    assert torch.equal(resumed, rg.pairwise(REPS, rg.AngularShape(), block=1))
    assert {path: path.read_bytes() for path in before} == before


# ---------------------------------------------------------------------- what is said


def test_progress_knows_the_whole(capsys):
    distances("features", progress=True)
    shown = capsys.readouterr().err
    assert "distances (cross_products)" in shown
    assert "FLOP" in shown


def test_the_plan_is_printed(capsys):
    distances("tiles", explain=True, memory="300kB")
    shown = capsys.readouterr().out
    assert "tiles" in shown
    assert "taken" in shown
    assert "memory budget 300 kB; about" in shown


@every
def test_the_plan_leaves_gradients_alone(route):
    x = REPS[0].clone().requires_grad_()
    rg.pairwise([x, *REPS[1:]], **WORK[route], explain=True).sum().backward()
    assert float(x.grad.norm()) > 0


def test_errors_name_the_network_and_the_rows(tmp_path):
    bad = REPS[3].clone()
    bad[17, 2] = torch.nan
    np.save(tmp_path / "bad.npy", bad.numpy())
    for method in ("angular_cka", "stress", rg.AngularRDM("cosine")):
        with pytest.raises(ValueError, match=r"reps\['bad'\], rows 0 to 59 must be finite"):
            rg.pairwise({"good": REPS[3], "bad": tmp_path / "bad.npy"}, method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "much"}, 'such as "2GB"'),
        ({"memory": 0}, 'such as "2GB"'),
        ({"memory": "1kB"}, "memory must be enough for one tile, got 1 kB"),
        ({"route": "points", "method": "angular_shape", "memory": 10}, "memory must be enough"),
        ({"route": "features", "method": "stress"}, "route must be 'tiles' or 'points'"),
        ({"route": "fast"}, "route must be 'features' or 'tiles' or 'points'"),
        ({"others": REPS[0]}, r"\(n, m, d\)"),
        ({"others": []}, "others must hold at least one"),
        ({"others": [REPS[0][:9]]}, r"others\[0\] must describe the same inputs"),
    ],
    ids=str,
)
def test_bad_arguments_are_explained(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        rg.pairwise(REPS, **options)


@every
def test_rectangles(route):
    whole = distances(route)
    part = rg.pairwise(REPS[:4], others=REPS[4:], **WORK[route])
    torch.testing.assert_close(part, whole[:4, 4:], rtol=0, atol=1e-13)


@pytest.mark.parametrize("route", ["tiles", "points"])
def test_scaled_metrics(route):
    metric = {"tiles": rg.AngularCKA(rg.RBF()), "points": rg.AngularShape()}[route]
    torch.testing.assert_close(rg.pairwise(REPS, geoopt.Scaled(metric, 3.0)), 3 * rg.pairwise(REPS, metric))
