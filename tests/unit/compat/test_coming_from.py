"""The scripts of docs/coming_from.md run with nothing but their imports changed; compat itself is light."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

PAGE = (Path(__file__).parents[3] / "docs" / "coming_from.md").read_text("utf-8")


def script(name):
    """Script of the page that begins with its name."""
    (found,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", PAGE, re.DOTALL)
    return found


def run(text, package):
    """Names that a script leaves, with the imports of a package changed, and nothing else."""
    here = f"repsim_geo.compat.{package}"
    changed = re.sub(rf"^from {package}\b", f"from {here}", text, flags=re.MULTILINE)
    changed = re.sub(
        rf"^import {package}$", f"from repsim_geo.compat import {package}", changed, flags=re.MULTILINE
    )
    old, new = text.splitlines(), changed.splitlines()
    different = [a for a, b in zip(old, new, strict=True) if a != b]
    assert different
    assert all(line.startswith(("from ", "import ")) for line in different)
    names = {}
    exec(changed, names)
    return names


def partially_whitened(x, alpha=0.5):
    """Centered; map of netrep, which keeps the norm."""
    u, s, vh = np.linalg.svd(x - x.mean(0), full_matrices=False)
    white = alpha * s + 1 - alpha
    return (u * white * np.linalg.norm(s) / np.linalg.norm(white)) @ vh


def cosine(a, b):
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


def test_a_script_for_netrep_runs_with_its_imports_changed():
    names = run(script("cohort.py"), "netrep")
    x, y = names["networks"][:2]
    a, b = partially_whitened(x), partially_whitened(y)
    expected = np.arccos(cosine(a, b @ orthogonal_procrustes(b, a)[0]))
    assert names["table"][0, 1] == names["table"][1, 0] == pytest.approx(expected, rel=1e-10)
    a, b = x - x.mean(0), y - y.mean(0)
    rows, columns = linear_sum_assignment(a.T @ b, maximize=True)
    assert names["matched"] == pytest.approx(np.linalg.norm(a[:, rows] - b[:, columns]), rel=1e-12)
    assert names["held_out"] > names["table"][0, 1] > 0
    for w in (names["X_aligned"], names["Y_aligned"]):
        assert isinstance(w, np.ndarray)
        assert w.shape == (60, 8)
    aligned = [w @ orthogonal_procrustes(w, names["mean"])[0] for w in names["networks"]]
    np.testing.assert_allclose(names["mean"], np.mean(aligned, 0), atol=1e-5)


def test_a_script_for_repsim_runs_with_its_imports_changed():
    names = run(script("path.py"), "repsim")
    layers = [x.numpy() for x in names["layers"]]
    grams, pairs = [], np.triu_indices(50, 1)
    h = np.eye(50) - 1 / 50
    for x in layers:
        d2 = ((x[:, None] - x[None]) ** 2).sum(-1)
        lower = np.sort(np.sqrt(d2[pairs]))[(len(pairs[0]) - 1) // 2]
        grams.append(h @ np.exp(-d2 / (lower / 2) ** 2) @ h)
    angles = [[np.arccos(np.clip(cosine(a, b), -1, 1)) for a in grams] for b in grams]
    steps = [angles[i][i + 1] for i in range(3)]
    np.testing.assert_allclose([float(s) for s in names["steps"]], steps, rtol=1e-9)
    assert float(names["straightness"]) == pytest.approx(angles[0][3] / sum(steps), rel=1e-9)
    cos = [np.cos(angles[i][j]) for i, j in ((0, 2), (0, 1), (1, 2))]
    corner = np.arccos((cos[0] - cos[1] * cos[2]) / np.sin(steps[0]) / np.sin(steps[1]))
    assert float(names["turn"]) == pytest.approx(corner, rel=1e-8)
    length = names["metric"].length
    assert float(length(names["points"][0], names["middle"])) == pytest.approx(angles[0][3] / 2, rel=1e-9)
    assert float(torch.linalg.matrix_norm(names["velocity"])) == pytest.approx(angles[0][3], rel=1e-9)
    distances = [np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))[pairs] for x in (layers[0], layers[-1])]
    assert float(names["stress"]) == pytest.approx(
        np.sqrt(np.mean((distances[0] - distances[1]) ** 2)), rel=1e-10
    )
    white = []
    for x in (layers[0], layers[-1]):
        u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
        white.append(u * (s + np.sqrt(50)) / 2)  # repsim whitens by x'x / m
    nuclear = np.linalg.svd(white[0].T @ white[1], compute_uv=False).sum()
    shape = np.arccos(nuclear / np.linalg.norm(white[0]) / np.linalg.norm(white[1]))
    assert float(names["shape"]) == pytest.approx(shape, rel=1e-9)


def modules_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_compat_imports_nothing_heavy():
    loaded = modules_after("import repsim_geo.compat")
    assert not loaded & {"torch", "numpy", "scipy", "sklearn", "geoopt", "rsatoolbox", "geomstats"}


def test_parts_are_found_by_name():
    loaded = modules_after(
        "from repsim_geo import compat; compat.rsatoolbox, compat.geomstats, compat.repsim"
    )
    assert "repsim_geo.compat.repsim.metrics" in loaded
    assert not loaded & {"sklearn", "rsatoolbox", "geomstats"}


def test_there_are_no_other_parts():
    from repsim_geo import compat

    assert set(compat.__all__) <= set(dir(compat))
    with pytest.raises(AttributeError, match="has no attribute 'resi'"):
        _ = compat.resi


def test_netrep_names_need_scikit_learn():
    code = "import sys; sys.modules['sklearn'] = None; import repsim_geo.compat.netrep"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "compat.netrep needs scikit-learn, which is not installed" in done.stderr
