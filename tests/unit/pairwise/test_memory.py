"""What a budget of memory promises is kept, measured from outside."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

BUDGET = 150e6
M, WIDTHS = 6000, (64, 160, 160, 96, 128, 160)
WORK = {
    "features": "'angular_cka', route='features'",
    "debiased": "'angular_cka_debiased'",
    "tiles": "rg.AngularCKA(rg.RBF()), route='tiles'",
    "stress": "'stress'",
    "points": "'angular_shape'",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("activations")
    g = np.random.default_rng(0)
    for i, d in enumerate(WIDTHS):
        np.save(folder / f"{i}.npy", g.standard_normal((M, d)).astype(np.float32))
    return folder


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux")
@pytest.mark.parametrize("work", WORK)
def test_memory_stays_within_the_budget(files, work):
    script = textwrap.dedent(
        f"""
        import numpy as np, torch, repsim_geo as rg

        def status(key):
            lines = open("/proc/self/status").read().splitlines()
            return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024

        torch.set_num_threads(1)
        small = [torch.randn(50, 5) for _ in range(3)]
        rg.pairwise(small, {WORK[work]})  # what is loaded once
        before = status("VmRSS")
        open("/proc/self/clear_refs", "w").write("5")
        files = [np.load(rf"{files}/{{i}}.npy", mmap_mode="r") for i in range({len(WIDTHS)})]
        rg.pairwise(files, {WORK[work]}, memory={BUDGET})
        print(status("VmHWM") - before)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # One Gram matrix has 144 MB, six of them 864.
    assert int(done.stdout.splitlines()[-1]) <= BUDGET
