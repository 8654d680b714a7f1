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
GLOBE = np.stack([0.3 * POINTS[:, 0], 0.3 * POINTS[:, 1], np.ones(6)], 1)
GLOBE /= np.linalg.norm(GLOBE, axis=1, keepdims=True)
SIX, THREE = list("uvwxyz"), list("xyz")

DRAW = {
    "distance_heatmap": lambda ax: rg.viz.distance_heatmap(TABLE, SIX, GROUPS, unit=UNIT, ax=ax),
    "layer_matrix": lambda ax: rg.viz.layer_matrix(TABLE[:3], THREE, SIX, unit=UNIT, ax=ax),
    "embedding_map": lambda ax: rg.viz.embedding_map(POINTS, groups=GROUPS, unit=UNIT, ax=ax),
    "layer_paths": lambda ax: rg.viz.layer_paths({"a": POINTS[:3], "b": POINTS[3:]}, unit=UNIT, ax=ax),
    "principal_components": lambda ax: rg.viz.principal_components(
        POINTS, [0.7, 0.2], GROUPS, unit=UNIT, ax=ax
    ),
    "globe_map": lambda ax: rg.viz.globe_map(GLOBE, GROUPS, ax=ax),
    "confusion_matrix": lambda ax: rg.viz.confusion_matrix(np.diag([3, 0, 1]), THREE, ax=ax),
    "regression_positions": lambda ax: rg.viz.regression_positions(
        [1, 1, 2, 2, 3, 3], POINTS[:, 0], slope=0.5, middle=2.0, groups=GROUPS, unit=UNIT, ax=ax
    ),
    "permutation_nulls": lambda ax: rg.viz.permutation_nulls(
        {"a": TIMES, "b": TIMES / 2}, {"a": 1.0, "b": 0.2}, unit=UNIT, ax=ax
    ),
    "geodesic_profile": lambda ax: rg.viz.geodesic_profile(TIMES, TIMES, 1 - TIMES, unit=UNIT, ax=ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_draws_on_the_axes_given(name):
    figure, ax = plt.subplots()
    assert DRAW[name](ax) is ax
    assert ax.has_data() or ax.images
    plt.close(figure)


WITH_UNIT = {
    "embedding_map": "y",
    "geodesic_profile": "y",
    "regression_positions": "y",
    "principal_components": "xy",
    "permutation_nulls": "x",
    "globe_map": "x",
}


@pytest.mark.parametrize("name", WITH_UNIT)
def test_axes_carry_their_unit(name):
    figure, ax = plt.subplots()
    DRAW[name](ax)
    labels = {"x": ax.get_xlabel(), "y": ax.get_ylabel()}
    assert all("radians" in labels[axis] for axis in WITH_UNIT[name])
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
    with pytest.raises(rg.ShapeError, match="one name for each group"):
        rg.viz.confusion_matrix(np.ones((2, 3)), ["a", "b"])
    with pytest.raises(rg.ShapeError, match="explained_variance_ratio_"):
        rg.viz.principal_components(np.ones((3, 2)), [1.0])
    with pytest.raises(rg.ShapeError, match="SphericalMDS"):
        rg.viz.globe_map(np.ones((3, 2)))
    with pytest.raises(ValueError, match="add up to zero"):
        rg.viz.globe_map(np.array([[0, 0, 1.0], [0, 0, -1.0]]))
    with pytest.raises(rg.ShapeError, match="one entry for each point"):
        rg.viz.regression_positions([1, 2], [1.0], slope=1.0, middle=1.0)
    with pytest.raises(ValueError, match="names of nulls"):
        rg.viz.permutation_nulls({"a": [1.0]}, {"b": 1.0})


def markers(ax):
    """Positions of all markers."""
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets())])


def test_globe_is_seen_from_outside_at_true_distance_from_the_middle():
    angles = np.array([0.3, 0.3, 0.3])
    turns = np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3])  # counterclockwise around the north pole
    points = np.stack([np.sin(angles) * np.cos(turns), np.sin(angles) * np.sin(turns), np.cos(angles)], 1)
    figure, ax = plt.subplots()
    shown = markers(rg.viz.globe_map(points, ["a", "b", "c"], ax=ax))
    np.testing.assert_allclose(np.linalg.norm(shown, axis=1), angles)
    assert np.linalg.det(shown[1:] - shown[0]) > 0
    plt.close(figure)


def test_points_of_one_covariate_do_not_hide_each_other():
    figure, ax = plt.subplots()
    ax = rg.viz.regression_positions([1, 1, 1, 3], [0.0, 0.0, 0.0, 1.0], slope=0.5, middle=1.5, ax=ax)
    assert len(np.unique(markers(ax)[:, 0])) == 4
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "3"]
    plt.close(figure)


def test_groups_keep_the_look_they_are_given():
    look = {"b": rg.viz.GroupStyle("#332288", "h")}
    figure, ax = plt.subplots()
    options = {"slope": 1.0, "middle": 1.5, "groups": ["b", "b"], "styles": look}
    rg.viz.regression_positions([1, 2], [0.0, 1.0], ax=ax, **options)
    assert mpl.colors.to_hex(ax.collections[0].get_facecolor()[0]) == "#332288"
    plt.close(figure)


def test_importing_does_not_import_matplotlib():
    code = "import sys, repsim_geo.viz; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
