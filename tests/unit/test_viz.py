"""Pictures: every function draws on the axes that it is given and returns them; nothing is shown."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

import repsim_geo as rg

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(6, 2))
TABLE = np.abs(POINTS[:, None] - POINTS[None]).sum(-1)
GROUPS = ["a", "a", "b", "b", "c", "c"]
TIMES = np.linspace(0, 1, 5)

UNIT = "radians"
SIX, THREE = list("uvwxyz"), list("xyz")

DRAW = {
    "distance_heatmap": lambda ax: rg.viz.distance_heatmap(TABLE, SIX, GROUPS, unit=UNIT, ax=ax),
    "layer_matrix": lambda ax: rg.viz.layer_matrix(TABLE[:3], THREE, SIX, unit=UNIT, ax=ax),
    "embedding_map": lambda ax: rg.viz.embedding_map(POINTS, groups=GROUPS, unit=UNIT, ax=ax),
    "layer_paths": lambda ax: rg.viz.layer_paths({"a": POINTS[:3], "b": POINTS[3:]}, unit=UNIT, ax=ax),
    "geodesic_profile": lambda ax: rg.viz.geodesic_profile(TIMES, TIMES, 1 - TIMES, unit=UNIT, ax=ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_draws_on_the_axes_given(name):
    figure, ax = plt.subplots()
    assert DRAW[name](ax) is ax
    assert ax.has_data() or ax.images
    plt.close(figure)


@pytest.mark.parametrize("name", ["embedding_map", "geodesic_profile"])
def test_axes_carry_their_unit(name):
    figure, ax = plt.subplots()
    DRAW[name](ax)
    assert "radians" in ax.get_ylabel()
    plt.close(figure)


@pytest.mark.parametrize("name", DRAW)
def test_makes_axes_of_its_own(name):
    ax = DRAW[name](None)
    ax.figure.savefig("/dev/null", format="png")
    plt.close(ax.figure)


def test_bad_shapes_are_refused():
    with pytest.raises(rg.ShapeError):
        rg.viz.distance_heatmap(np.ones((3, 4)))
    with pytest.raises(rg.ShapeError):
        rg.viz.embedding_map(np.ones((3, 3)))


def test_importing_does_not_import_matplotlib():
    code = "import sys, repsim_geo.viz; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
