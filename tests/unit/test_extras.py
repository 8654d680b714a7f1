"""A missing optional dependency says what to install."""

import subprocess
import sys

import pytest

BLOCK = (
    "import sys; sys.modules.update({{'{module}': None}}); "
    "import repsim_geo as rg, torch; x = torch.randn(5, 2); "
)


@pytest.mark.parametrize(
    ("module", "statement", "words"),
    [
        ("sklearn", "rg.FrechetMean", "FrechetMean needs scikit-learn.*repsim-geo[stats]"),
        ("tqdm", "rg.pairwise([x, x], progress=True)", "progress=True needs tqdm.*repsim-geo[cli]"),
        ("joblib", "rg.pairwise([x, x], n_jobs=2)", "n_jobs needs joblib.*repsim-geo[distributed]"),
        ("matplotlib", "rg.viz.distance_heatmap(x @ x.T)", "A picture needs matplotlib.*repsim-geo[plots]"),
        ("sklearn", "print(rg.compare(x, x))", "tensor(0"),
    ],
)
def test_missing_extra(module, statement, words):
    code = BLOCK.format(module=module) + statement
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    text = (done.stdout + done.stderr).replace("\n", " ")
    for part in words.split(".*"):
        assert part in text
