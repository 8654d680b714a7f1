"""Install a wheel or an sdist into an empty environment, and use it: without extras, then with them.

    python .ci/smoke.py dist/*

A CPU build of torch is taken where there is one; REPSIM_GEO_TORCH names another, as for .ci/bootstrap.py.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

BARE = """
import torch
import repsim_geo as rg
from repsim_geo.extract import extract
from repsim_geo.io import save_activations
x, y = torch.randn(30, 5), torch.randn(30, 7)
assert 0 < rg.compare(x, y) < 1.6
assert rg.pairwise([x, y], "angular_shape").shape == (2, 2)
metric = rg.AngularCKA()
points = torch.stack([metric.embed(x), metric.embed(y)])
assert rg.midpoint(metric, *points).shape == (30, 30)
assert extract(torch.nn.Sequential(torch.nn.Linear(5, 2)), x, "0")["0"].shape == (30, 2)
save_activations({"a": x, "b": y}, "net.npz")
mean, picture = (lambda: rg.FrechetMean(metric).fit(points)), (lambda: rg.viz.distance_heatmap(points[0]))
for missing in (mean, picture):
    try:
        missing()
    except ImportError as error:
        assert "pip install 'repsim-geo[" in str(error)
    else:
        raise AssertionError("an extra is there that was not asked for")
"""
TORCH = ("torch==2.13.0+cpu", "torch --index-url https://download.pytorch.org/whl/cpu", "torch")
COMMANDS = (
    "--version",
    "metrics",
    "compare net.npz net.npz",
    "pairwise net.npz --output table.csv --picture table.png",
    "mean net.npz",
)


def main(archives):
    if not archives:
        sys.exit("Say what to install: python .ci/smoke.py dist/*")
    for archive in map(Path, archives):
        with tempfile.TemporaryDirectory() as folder:
            try_out(archive.resolve(), Path(folder))
        print(f"{archive}: installs into an empty environment, and works", flush=True)


def try_out(archive, folder):
    venv.create(folder / "venv", with_pip=True)
    bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def run(*command, may_fail=False):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode and not may_fail:
            sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.returncode == 0

    wanted = os.environ.get("REPSIM_GEO_TORCH")
    for torch in (wanted,) if wanted else TORCH:
        if run(bin_ / "pip", "install", "--quiet", *shlex.split(torch), may_fail=True):
            break
    run(bin_ / "pip", "install", "--quiet", archive)
    run(bin_ / "python", "-c", BARE)
    run(bin_ / "pip", "install", "--quiet", f"{archive}[cli,stats,plots,files]")
    for command in COMMANDS:
        run(bin_ / "repsim-geo", *shlex.split(command))
    assert all((folder / file).stat().st_size for file in ("table.png", "table.csv"))


if __name__ == "__main__":
    main(sys.argv[1:])
