"""Pictures: every function draws on the axes that it is given and returns them; nothing is shown."""

import itertools
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

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
STEPS = [-2.0, 0.0, 2.0]
WALKS = RNG.normal(size=(2, 3, 4, 4))
CLOUDS = RNG.normal(size=(2, 1, 4, 3)) + np.array(STEPS)[:, None, None] * 0.1 * RNG.normal(size=(2, 1, 4, 3))
CLASSES = ["p", "q", "p", "q"]

DRAW = {
    "distance_heatmap": lambda ax: rg.viz.distance_heatmap(TABLE, SIX, GROUPS, unit=UNIT, ax=ax),
    "distance_heatmap_tree": lambda ax: rg.viz.distance_heatmap(
        TABLE, SIX, GROUPS, dendrogram=True, unit=UNIT, ax=ax
    ),
    "layer_matrix": lambda ax: rg.viz.layer_matrix(TABLE[:3], THREE, SIX, unit=UNIT, ax=ax),
    "embedding_map": lambda ax: rg.viz.embedding_map(POINTS, SIX, GROUPS, unit=UNIT, ax=ax),
    "geodesic_map": lambda ax: rg.viz.geodesic_map(
        POINTS, {"u to v": POINTS[:2]}, SIX, GROUPS, means=POINTS[:3], unit=UNIT, ax=ax
    ),
    "layer_paths": lambda ax: rg.viz.layer_paths({"a": POINTS[:3], "b": POINTS[3:]}, unit=UNIT, ax=ax),
    "principal_components": lambda ax: rg.viz.principal_components(
        POINTS, [0.7, 0.2], GROUPS, unit=UNIT, ax=ax
    ),
    "component_effects": lambda ax: rg.viz.component_effects(
        WALKS, STEPS, CLASSES, shares=[0.5, 0.2], quantity="similarity", unit=UNIT, ax=ax
    ),
    "component_clouds": lambda ax: rg.viz.component_clouds(
        CLOUDS, STEPS, CLASSES, shares=[0.5, 0.2], unit=UNIT, ax=ax
    ),
    "globe_map": lambda ax: rg.viz.globe_map(GLOBE, GROUPS, ax=ax),
    "globe_view": lambda ax: rg.viz.globe_view(GLOBE, GROUPS, labels=SIX, ax=ax),
    "confusion_matrix": lambda ax: rg.viz.confusion_matrix(np.diag([3, 0, 1]), THREE, ax=ax),
    "regression_positions": lambda ax: rg.viz.regression_positions(
        [1, 1, 2, 2, 3, 3], POINTS[:, 0], slope=0.5, middle=2.0, groups=GROUPS, unit=UNIT, ax=ax
    ),
    "permutation_nulls": lambda ax: rg.viz.permutation_nulls(
        {"a": TIMES, "b": TIMES / 2}, {"a": 1.0, "b": 0.2}, unit=UNIT, ax=ax
    ),
    "geodesic_profile": lambda ax: rg.viz.geodesic_profile(TIMES, TIMES, 1 - TIMES, unit=UNIT, ax=ax),
    "mean_and_members": lambda ax: rg.viz.mean_and_members(
        {"a": TIMES, "b": TIMES / 2}, {"a": TIMES, "b": []}, unit=UNIT, ax=ax
    ),
}


@pytest.fixture
def ax():
    figure, ax = plt.subplots(layout="constrained")
    yield ax
    plt.close(figure)


def texts(labels):
    return [label.get_text() for label in labels]


def markers(ax):
    """Positions of all markers."""
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets())])


def whole(ax):
    """All text of a figure."""
    return " ".join(text.get_text() for text in ax.figure.findobj(mpl.text.Text))


# ---------------------------------------------------------------------- every function


@pytest.mark.parametrize("name", DRAW)
def test_draws_on_the_axes_given(name, ax):
    assert DRAW[name](ax) is ax
    assert ax.has_data() or ax.images or all(panel.has_data() for panel in ax.child_axes)


@pytest.mark.parametrize("name", [name for name in DRAW if name != "confusion_matrix"])
def test_says_its_unit(name, ax):
    assert "radians" in whole(DRAW[name](ax)).replace("\n", " ")


WITH_UNIT = {
    "embedding_map": "xy",
    "geodesic_map": "xy",
    "layer_paths": "xy",
    "geodesic_profile": "y",
    "regression_positions": "y",
    "principal_components": "xy",
    "permutation_nulls": "x",
    "mean_and_members": "x",
    "globe_map": "x",
    "globe_view": "x",
}


@pytest.mark.parametrize("name", WITH_UNIT)
def test_axes_carry_their_unit(name, ax):
    DRAW[name](ax)
    labels = {"x": ax.get_xlabel(), "y": ax.get_ylabel()}
    assert all("radians" in labels[axis] for axis in WITH_UNIT[name])


@pytest.mark.parametrize("name", DRAW)
def test_makes_axes_of_its_own(name):
    ax = DRAW[name](None)
    ax.figure.savefig("/dev/null", format="png")
    plt.close(ax.figure)


def cut_off(figure):
    """How far anything reaches out of a figure that was drawn once, in inches."""
    figure.canvas.draw()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("layout", ["constrained", "compressed"])
def test_fits_into_a_column_of_a_paper(name, layout):
    with rg.viz.style():
        figure, ax = plt.subplots(figsize=(3.4, 3.0), dpi=160, layout=layout)
        DRAW[name](ax)
        assert cut_off(figure) <= 0.02  # inches; the width of a line
    plt.close(figure)


@pytest.mark.parametrize("name", DRAW)
def test_fits_into_the_figure_it_makes(name):
    figure = DRAW[name](None).figure
    assert cut_off(figure) <= 0.02
    plt.close(figure)


def test_importing_does_not_import_matplotlib():
    code = "import sys, repsim_geo.viz; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NAN_TABLE, NAN_POINTS = TABLE.copy(), POINTS.copy()
NAN_TABLE[0, 1] = NAN_TABLE[1, 0] = NAN_POINTS[3, 1] = np.nan
TREE_OF_FIVE = rg.hierarchical_clustering(TABLE[:5, :5])

BAD = {
    "not_square": (lambda v: v.distance_heatmap(np.ones((3, 4))), rg.ShapeError, r"square matrix.*\(3, 4\)"),
    "no_rows": (lambda v: v.distance_heatmap(np.ones((0, 0))), rg.ShapeError, "square matrix.*pairwise"),
    "words": (
        lambda v: v.distance_heatmap([["a", "b"], ["c", "d"]]),
        TypeError,
        "distances must be an array of real",
    ),
    "infinite": (
        lambda v: v.distance_heatmap(TABLE / 0.0),
        ValueError,
        r"nan where there is no value.*Leave out",
    ),
    "labels": (
        lambda v: v.distance_heatmap(TABLE, SIX[:5]),
        rg.ShapeError,
        "one name for each of 6 rows, got 5",
    ),
    "groups": (
        lambda v: v.distance_heatmap(TABLE, groups="ab"),
        rg.ShapeError,
        "each of 6 rows, got 2. Repeat",
    ),
    "unhashable": (
        lambda v: v.distance_heatmap(TABLE, groups=[[1]] * 6),
        TypeError,
        "told apart, got .* list",
    ),
    "tree_kind": (
        lambda v: v.distance_heatmap(TABLE, dendrogram="yes"),
        TypeError,
        "True, False or a Hierarchy, got str",
    ),
    "tree_size": (
        lambda v: v.distance_heatmap(TABLE, dendrogram=TREE_OF_FIVE),
        rg.ShapeError,
        "each of 6 rows, got 5",
    ),
    "tree_nan": (lambda v: v.distance_heatmap(NAN_TABLE, dendrogram=True), ValueError, "finite.*Leave out"),
    "tree_of_one": (
        lambda v: v.distance_heatmap([[0.0]], dendrogram=True),
        rg.ShapeError,
        "at least two networks",
    ),
    "layer_labels": (
        lambda v: v.layer_matrix(TABLE, SIX, THREE),
        rg.ShapeError,
        r"\(6, 3\), got \(6, 6\).*one label",
    ),
    "no_layers": (
        lambda v: v.layer_matrix(np.ones((0, 2)), [], THREE[:2]),
        rg.ShapeError,
        "every pair of labels",
    ),
    "confusion": (
        lambda v: v.confusion_matrix(np.ones((2, 3)), ["a", "b"]),
        rg.ShapeError,
        "one name for each group",
    ),
    "confusion_nan": (
        lambda v: v.confusion_matrix([[np.nan]], ["a"]),
        ValueError,
        r"counts must be finite.*\[0, 0\]",
    ),
    "space": (lambda v: v.embedding_map(np.ones((3, 3))), rg.ShapeError, r"plane.*\(3, 3\).*Reduce"),
    "no_points": (lambda v: v.embedding_map(np.ones((0, 2))), rg.ShapeError, "n at least 1"),
    "nan_point": (
        lambda v: v.embedding_map(NAN_POINTS),
        ValueError,
        r"coordinates must be finite, got nan.*\[3, 1\]",
    ),
    "map_labels": (lambda v: v.embedding_map(POINTS, THREE), rg.ShapeError, "each of 6 points, got 3"),
    "map_groups": (
        lambda v: v.embedding_map(POINTS, groups=GROUPS[:5]),
        rg.ShapeError,
        "each of 6 points, got 5",
    ),
    "means": (
        lambda v: v.embedding_map(POINTS, means=POINTS),
        rg.ShapeError,
        r"one row for each group, \(1, 2\)",
    ),
    "shares": (
        lambda v: v.principal_components(np.ones((3, 2)), [1.0]),
        rg.ShapeError,
        "explained_variance_ratio_",
    ),
    "no_geodesic": (lambda v: v.geodesic_map(POINTS, {}), rg.ShapeError, "geodesics must name at least one"),
    "no_mapping": (
        lambda v: v.geodesic_map(POINTS, [POINTS]),
        TypeError,
        "geodesics must be a mapping.*got list",
    ),
    "one_step": (
        lambda v: v.geodesic_map(POINTS, {"w": POINTS[:1]}),
        rg.ShapeError,
        "at least two positions.*'w'",
    ),
    "path": (lambda v: v.layer_paths({"a": np.ones(3)}), rg.ShapeError, r"paths\['a'\] must hold a position"),
    "anchor": (
        lambda v: v.layer_paths({"a": POINTS}, {"s": [1, 2, 3]}),
        rg.ShapeError,
        r"anchors\['s'\].*\(2,\), got",
    ),
    "path_groups": (
        lambda v: v.layer_paths({"a": POINTS}, groups="xy"),
        rg.ShapeError,
        "each of 1 paths, got 2",
    ),
    "globe": (lambda v: v.globe_map(np.ones((3, 2))), rg.ShapeError, "SphericalMDS"),
    "not_unit": (
        lambda v: v.globe_view(2 * np.eye(3)),
        ValueError,
        "unit vectors, got length 2 in row 0. Divide",
    ),
    "no_middle": (
        lambda v: v.globe_map([[0, 0, 1.0], [0, 0, -1.0]]),
        ValueError,
        "add up to zero. globe_view",
    ),
    "toward": (
        lambda v: v.globe_view(GLOBE, toward=[0, 0, 0]),
        rg.ShapeError,
        r"direction.*\[0.0, 0.0, 0.0\].*One of",
    ),
    "radius": (
        lambda v: v.globe_view(GLOBE, radius=-1.0),
        ValueError,
        "radius must be a positive number, got -1.0",
    ),
    "covariate": (
        lambda v: v.regression_positions([1, 2], [1.0], slope=1, middle=1),
        rg.ShapeError,
        "one entry for each point",
    ),
    "nulls": (
        lambda v: v.permutation_nulls({"a": [1.0]}, {"b": 1.0}),
        ValueError,
        "names of nulls, a, got b",
    ),
    "no_nulls": (lambda v: v.permutation_nulls({}, {}), rg.ShapeError, "nulls must name at least one entry"),
    "empty_null": (
        lambda v: v.permutation_nulls({"a": []}, {"a": 1.0}),
        rg.ShapeError,
        r"nulls\['a'\].*n at least 1",
    ),
    "profile": (
        lambda v: v.geodesic_profile(TIMES, TIMES, TIMES[1:]),
        rg.ShapeError,
        "got 5, 5 and 4. Compute",
    ),
    "late": (
        lambda v: v.geodesic_profile(2 * TIMES, TIMES, TIMES),
        ValueError,
        "fractions from 0 to 1, got 0 to 2",
    ),
    "others": (
        lambda v: v.geodesic_profile(TIMES, TIMES, TIMES, others=TABLE),
        rg.ShapeError,
        "row for each of 5 times",
    ),
    "between": (
        lambda v: v.mean_and_members({"a": [1]}, {"b": [1]}),
        ValueError,
        "names of to_mean, a, got b",
    ),
    "no_members": (lambda v: v.mean_and_members({"a": []}), rg.ShapeError, r"to_mean\['a'\].*n at least 1"),
    "walks": (
        lambda v: v.component_effects(WALKS, [0, 1]),
        rg.ShapeError,
        r"\(2, 3, 4, 4\) and 2 times.*pca.walk",
    ),
    "not_matrices": (
        lambda v: v.component_effects(CLOUDS, STEPS),
        rg.ShapeError,
        "square matrices.*component_clouds",
    ),
    "falling": (lambda v: v.component_effects(WALKS, STEPS[::-1]), ValueError, "times must rise.*Sort"),
    "classes": (
        lambda v: v.component_effects(WALKS, STEPS, "pqp"),
        rg.ShapeError,
        "classes .* each of 4 inputs, got 3",
    ),
    "parts": (
        lambda v: v.component_effects(WALKS, STEPS, shares=[1.0]),
        rg.ShapeError,
        "each of 2 components, got 1",
    ),
    "line": (
        lambda v: v.component_clouds(CLOUDS[..., :1], STEPS),
        rg.ShapeError,
        "at least two coordinates.*Take",
    ),
    "still": (lambda v: v.component_clouds(0 * CLOUDS, STEPS), ValueError, "must move.*component 0. Give"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_bad_input_is_refused_before_a_figure_is_made(name):
    draw, error, message = BAD[name]
    figures = plt.get_fignums()
    with pytest.raises(error, match=message):
        draw(rg.viz)
    assert plt.get_fignums() == figures


# ---------------------------------------------------------------------- matrices


def test_tree_orders_rows_and_has_a_bracket_for_each_merge(ax):
    rg.viz.distance_heatmap(TABLE, SIX, dendrogram=True, unit=UNIT, ax=ax)
    merges = linkage(squareform(TABLE), "average", optimal_ordering=True)
    order = leaves_list(merges)
    assert texts(ax.get_yticklabels()) == [SIX[i] for i in order]
    shown = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(np.isnan(shown), np.eye(6, dtype=bool))
    np.testing.assert_array_equal(shown[0, 1:], TABLE[order[0], order[1:]])

    tree = ax.child_axes[0]
    brackets = np.array(tree.collections[0].get_segments())
    np.testing.assert_allclose(brackets[:, 1, 1], merges[:, 2])
    leaves = sorted(x for bracket in brackets for x, height in bracket[[0, 3]] if height == 0)
    assert leaves == list(range(6))
    assert "radians" in tree.get_ylabel()
    # Its leaves stand over the columns of the matrix.
    ax.figure.canvas.draw()
    over = tree.transData.transform(np.stack([np.arange(6), np.zeros(6)], 1))
    np.testing.assert_allclose(over[:, 0], ax.transData.transform(np.stack([np.arange(6)] * 2, 1))[:, 0])


def test_a_tree_of_ones_own_is_drawn(ax):
    tree = rg.hierarchical_clustering(TABLE, "single")
    rg.viz.distance_heatmap(TABLE, SIX, dendrogram=tree, ax=ax)
    assert texts(ax.get_yticklabels()) == [SIX[i] for i in tree.order]
    heights = np.array(ax.child_axes[0].collections[0].get_segments())[:, 1, 1]
    np.testing.assert_allclose(heights, tree.linkage[:, 2])


def test_groups_keep_their_colors_under_a_tree(ax):
    groups = list("abcabc")
    rg.viz.distance_heatmap(TABLE, SIX, groups, dendrogram=True, ax=ax)
    looks = rg.viz.group_styles(groups)
    order = rg.hierarchical_clustering(TABLE).order
    bars = {}
    for bar in ax.patches:
        if bar.get_width() > 0 and bar.get_x() < -0.5:  # beside the rows
            rows = range(round(bar.get_y() + 0.42), round(bar.get_y() + bar.get_height() + 0.42))
            bars |= dict.fromkeys(rows, mpl.colors.to_hex(bar.get_facecolor()).upper())
    assert bars == {row: looks[groups[i]].color for row, i in enumerate(order)}
    assert texts(ax.get_legend().get_texts()) == ["a", "b", "c"]


def test_rows_have_names_and_columns_the_groups(ax):
    rg.viz.distance_heatmap(TABLE, SIX, list("abcabc"), ax=ax)
    assert texts(ax.get_yticklabels()) == ["u", "x", "v", "y", "w", "z"]
    assert texts(ax.get_xticklabels()) == ["a", "b", "c"]
    np.testing.assert_allclose(ax.get_xticks(), [0.5, 2.5, 4.5])


def test_missing_pairs_are_blank(ax):
    rg.viz.distance_heatmap(NAN_TABLE, ax=ax)
    blank = np.isnan(np.ma.filled(ax.images[0].get_array(), np.nan))
    assert blank.sum() == 6 + 2
    assert blank[0, 1]
    assert blank[1, 0]


def many(n):
    points = RNG.normal(size=(n, 2))
    names = [f"resnet18_seed{i:03d}_layer4.1" for i in range(n)]
    return np.linalg.norm(points[:, None] - points, axis=-1), names


def apart(labels):
    """Whether no two labels of rows overlap, after drawing."""
    boxes = sorted(label.get_window_extent().extents.tolist() for label in labels if label.get_text())
    boxes = sorted(boxes, key=lambda box: box[1])
    return all(upper[1] >= lower[3] - 1.0 for lower, upper in itertools.pairwise(boxes))


@pytest.mark.parametrize("n", [10, 40, 100])
@pytest.mark.parametrize("tree", [False, True])
def test_all_networks_are_named_in_a_figure_of_its_own(n, tree):
    table, names = many(n)
    ax = rg.viz.distance_heatmap(table, names, dendrogram=tree)
    ax.figure.canvas.draw()
    assert len(ax.get_yticklabels()) == n
    assert min(label.get_fontsize() for label in ax.get_yticklabels()) >= 5
    assert apart(ax.get_yticklabels())
    plt.close(ax.figure)


def test_in_small_axes_every_kth_row_has_a_name_and_a_tick():
    table, names = many(100)
    figure, ax = plt.subplots(figsize=(3.4, 3.0), layout="constrained")
    rg.viz.distance_heatmap(table, names, ax=ax)
    figure.canvas.draw()
    rows = ax.get_yticks().astype(int)
    step = rows[1]
    assert step > 1
    assert rows.tolist() == list(range(0, 100, step))
    assert texts(ax.get_yticklabels()) == [names[i] for i in rows]
    assert ax.yaxis.get_majorticklines()[0].get_markersize() > 0
    assert apart(ax.get_yticklabels())
    plt.close(figure)


def test_numbers_are_left_out_of_cells_that_are_too_small():
    table, names = many(100)
    figure, ax = plt.subplots(figsize=(3.4, 3.0), layout="constrained")
    rg.viz.layer_matrix(table, names, names, ax=ax)
    assert not ax.texts
    plt.close(figure)


def test_right_answers_are_framed_and_zeros_blank(ax):
    rg.viz.confusion_matrix([[3, 1], [0, 2]], ["a", "b"], ax=ax)
    assert texts(ax.texts) == ["3", "1", "2"]
    frames = [(p.get_x(), p.get_y()) for p in ax.patches if not p.get_fill()]
    assert frames == [(-0.5, -0.5), (0.5, 0.5)]


# ---------------------------------------------------------------------- maps


def test_markers_are_where_the_points_are(ax):
    rg.viz.embedding_map(torch.from_numpy(POINTS), groups=GROUPS, ax=ax)
    np.testing.assert_allclose(markers(ax), POINTS)
    assert texts(ax.get_legend().get_texts()) == ["a", "b", "c"]


def test_groups_may_be_a_tensor(ax):
    rg.viz.embedding_map(POINTS, groups=torch.tensor([0, 0, 1, 1, 2, 2]), ax=ax)
    assert texts(ax.get_legend().get_texts()) == ["0", "1", "2"]


def test_names_do_not_overlap_and_what_is_left_out_is_said(ax):
    points, names = RNG.normal(size=(100, 2)), [f"resnet18_seed{i:03d}" for i in range(100)]
    rg.viz.embedding_map(points, names, ax=ax)
    ax.figure.canvas.draw()
    written = [text for text in ax.texts if text.get_visible() and text.get_text() in names]
    boxes = np.array([text.get_window_extent().extents for text in written])
    low, high = boxes[:, None], boxes[None]
    gap = np.maximum(low[..., :2] - high[..., 2:], high[..., :2] - low[..., 2:]).max(-1)
    np.fill_diagonal(gap, 0)
    assert gap.min() >= -2.5  # pixels: rounding of a text's box, and the rim of its halo
    note = f"no room for {100 - len(written)} of 100 names"
    assert 5 < len(written) < 100
    assert note in texts(ax.texts)


def test_all_names_are_written_where_there_is_room(ax):
    rg.viz.embedding_map([[0, 0], [1, 0], [0, 1]], THREE, ax=ax)
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.texts if text.get_visible() and text.get_text()] == THREE
    assert "room" not in whole(ax)


def test_a_long_legend_tells_how_much_it_leaves_out(ax):
    rg.viz.embedding_map(RNG.normal(size=(100, 2)), groups=[f"g{i}" for i in range(100)], ax=ax)
    entries = texts(ax.get_legend().get_texts())
    assert entries[:39] == [f"g{i}" for i in range(39)]
    assert entries[39:] == ["and 61 more"]


@pytest.mark.parametrize("size", [(3.4, 3.0), (7.2, 5.4)])
def test_twenty_groups_fit(size):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    points, groups = RNG.normal(size=(100, 2)), [f"architecture {i % 20}" for i in range(100)]
    rg.viz.embedding_map(points, groups=groups, unit=UNIT, ax=ax)
    assert len(ax.get_legend().get_texts()) == 20
    assert cut_off(figure) <= 0.02
    plt.close(figure)


def test_geodesics_go_through_their_points_among_the_data(ax):
    way = np.stack([np.linspace(0, 1, 5), np.linspace(0, 2, 5) ** 2], 1)
    rg.viz.geodesic_map(POINTS, {"first": way, "second": -way}, groups=GROUPS, means=POINTS[::2], ax=ax)
    named = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(named["first"].get_xydata(), way)
    np.testing.assert_allclose(named["second"].get_xydata(), -way)
    assert named["first"].get_linestyle() != named["second"].get_linestyle()
    assert texts(ax.get_legend().get_texts()) == ["mean", "a", "b", "c", "first", "second"]
    shown = {tuple(point) for point in markers(ax).round(9)}
    assert {tuple(point) for point in np.concatenate([POINTS, way]).round(9)} <= shown


def test_paths_of_one_group_share_color_and_entry(ax):
    paths = {"u": POINTS[:3], "v": POINTS[2:4], "w": POINTS[3:]}
    rg.viz.layer_paths(paths, groups=["deep", "wide", "deep"], ax=ax)
    colors = [line.get_color() for line in ax.lines]
    assert colors[0] == colors[2] != colors[1]
    assert texts(ax.get_legend().get_texts()) == ["deep", "wide"]
    np.testing.assert_allclose(ax.lines[1].get_xydata(), POINTS[2:4])


# ---------------------------------------------------------------------- globes


def test_globe_is_seen_from_outside_at_true_distance_from_the_middle(ax):
    angles = np.array([0.3, 0.3, 0.3])
    turns = np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3])  # counterclockwise around the north pole
    points = np.stack([np.sin(angles) * np.cos(turns), np.sin(angles) * np.sin(turns), np.cos(angles)], 1)
    shown = markers(rg.viz.globe_map(points, ["a", "b", "c"], ax=ax))
    np.testing.assert_allclose(np.linalg.norm(shown, axis=1), angles)
    assert np.linalg.det(shown[1:] - shown[0]) > 0


def test_globe_view_is_seen_from_outside_and_far_points_are_hollow(ax):
    turns = np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3])
    near = np.stack([0.6 * np.cos(turns), 0.6 * np.sin(turns), np.full(3, 0.8)], 1)
    points = np.concatenate([near, -near[:1]])
    rg.viz.globe_view(points, list("abcd"), toward=[0, 0, 2.0], ax=ax)
    drawn = [c for c in ax.collections if len(c.get_offsets())]
    hollow = [c for c in drawn if (c.get_facecolor()[:, :3] == 1).all()]
    full = [c for c in drawn if c not in hollow]
    shown = np.concatenate([c.get_offsets() for c in full])
    np.testing.assert_allclose(np.linalg.norm(shown, axis=1), 0.6)
    assert np.linalg.det(shown[1:] - shown[0]) > 0
    assert [len(c.get_offsets()) for c in hollow] == [1]
    np.testing.assert_allclose(hollow[0].get_offsets()[0], -shown[0], atol=1e-12)
    assert texts(ax.get_legend().get_texts()) == ["a", "b", "c", "d", "far side"]


def test_globe_view_has_a_direction_for_points_without_a_middle(ax):
    rg.viz.globe_view([[0, 0, 1.0], [0, 0, -1.0]], radius=2.0, unit="mV", ax=ax)
    np.testing.assert_allclose(markers(ax), 0, atol=1e-12)  # seen along the axis on which both are
    assert ax.get_xlabel() == "grid: 30° = 1.047 mV"


# ---------------------------------------------------------------------- components


def test_effects_are_ordered_by_class_with_the_change_last(ax):
    rg.viz.component_effects(WALKS, STEPS, CLASSES, shares=[0.5, 0.2], quantity="similarity", ax=ax)
    panels = ax.child_axes
    assert len(panels) == 2 * 4 + 2
    assert [panel.get_xlabel() for panel in panels[:4]] == ["-2 σ", "mean", "+2 σ", "change"]
    order = [0, 2, 1, 3]
    shown = np.ma.filled(panels[4].images[0].get_array(), np.nan)
    expected = WALKS[1, 0][np.ix_(order, order)]
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(shown[off], expected[off])
    assert np.isnan(np.diag(shown)).all()
    change = np.ma.filled(panels[7].images[0].get_array(), np.nan)
    np.testing.assert_allclose(change[off], (WALKS[1, 2] - WALKS[1, 0])[np.ix_(order, order)][off])
    assert texts(panels[0].get_yticklabels()) == ["p", "q"]
    assert "component 2" in panels[4].get_ylabel()
    assert "20 %" in panels[4].get_ylabel()
    limits = {panel.images[0].get_clim() for panel in (*panels[:3], *panels[4:7])}
    assert len(limits) == 1
    low, high = panels[3].images[0].get_clim()
    assert low == -high
    assert panels[7].images[0].get_clim() == (low, high)
    assert [panel.get_xlabel() for panel in panels[8:]] == ["similarity", "change"]


@pytest.mark.parametrize("name", ["component_effects", "component_clouds"])
def test_a_title_stays_clear_of_the_panels(name):
    ax = DRAW[name](None)
    ax.set_title("all of them", loc="left")
    ax.figure.canvas.draw()
    title = next(text for text in ax.get_children() if getattr(text, "get_text", str)() == "all of them")
    others = [text for panel in ax.child_axes for text in panel.findobj(mpl.text.Text) if text.get_text()]
    lowest = title.get_window_extent().y0
    assert max(text.get_window_extent().y1 for text in others) <= lowest + 1.0  # pixels
    plt.close(ax.figure)


def test_dissimilarities_along_a_component_have_colors_of_one_side(ax):
    rg.viz.component_effects(np.abs(WALKS), STEPS, ax=ax)
    off = np.abs(WALKS)[:, :, ~np.eye(4, dtype=bool)]
    image = ax.child_axes[0].images[0]
    assert image.get_cmap().name == "viridis"
    assert image.get_clim() == (off.min(), off.max())


def test_arrows_go_from_the_first_to_the_last_step(ax):
    start = np.array([[0.0, 0, 0], [0, 1, 0], [0, 3, 0]])
    moved = start + np.array([2.0, 0, 0]) * np.array([[1.0], [-1], [1]])
    rg.viz.component_clouds([[start, (start + moved) / 2, moved]], STEPS, ax=ax)
    panel = ax.child_axes[0]
    arrows = panel.collections[1]
    np.testing.assert_allclose(np.abs(arrows.get_offsets()), np.abs(start[:, :2]), atol=1e-12)
    np.testing.assert_allclose(np.abs(arrows.U), 2.0)
    np.testing.assert_allclose(arrows.V, 0.0, atol=1e-12)
    assert np.sign(arrows.U[0]) == np.sign(arrows.U[2]) == -np.sign(arrows.U[1])
    assert texts(panel.texts) == ["100 % of the movement"]
    assert texts(ax.get_legend().get_texts()) == ["from -2 σ to +2 σ"]


def test_the_share_of_the_movement_that_is_seen_is_told(ax):
    # Movement along three axes, of which the mean is spread along the second only: 4 + 1 of 4 + 1 + 0.25.
    start = np.zeros((4, 3))
    start[:, 1] = [0, 1, 2, 4]
    moves = np.diag([2.0, 1.0, 0.5])
    end = start + np.concatenate([moves, np.zeros((1, 3))])
    rg.viz.component_clouds([[start, start, end]], STEPS, ax=ax)
    assert texts(ax.child_axes[0].texts) == ["95 % of the movement"]


def test_components_of_a_fitted_pca_are_drawn(ax):
    metric = rg.AngularRDM()
    networks = torch.randn(6, 8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pca = rg.TangentPCA(metric, n_components=1).fit(torch.stack([metric.embed(x) for x in networks]))
    walk = pca.walk(0, STEPS)
    rg.viz.component_effects(walk[None], STEPS, shares=pca.explained_variance_ratio_, ax=ax)
    shown = np.ma.filled(ax.child_axes[1].images[0].get_array(), 0)
    off = ~np.eye(8, dtype=bool)
    np.testing.assert_allclose(shown[off], pca.mean_.numpy()[off], atol=1e-9)


# ---------------------------------------------------------------------- rows and lines


def test_points_of_one_covariate_do_not_hide_each_other(ax):
    rg.viz.regression_positions([1, 1, 1, 3], [0.0, 0.0, 0.0, 1.0], slope=0.5, middle=1.5, ax=ax)
    assert len(np.unique(markers(ax)[:, 0])) == 4
    assert texts(ax.get_xticklabels()) == ["1", "3"]


def test_many_points_of_one_covariate_stay_with_it(ax):
    rg.viz.regression_positions(np.repeat([1, 2, 3], 40), np.zeros(120), slope=0.0, middle=2.0, ax=ax)
    assert np.abs(markers(ax)[:, 0] - np.repeat([1, 2, 3], 40)).max() < 0.5


def test_groups_keep_the_look_they_are_given(ax):
    look = {"b": rg.viz.GroupStyle("#332288", "h")}
    options = {"slope": 1.0, "middle": 1.5, "groups": ["b", "b"], "styles": look}
    rg.viz.regression_positions([1, 2], [0.0, 1.0], ax=ax, **options)
    assert mpl.colors.to_hex(ax.collections[0].get_facecolor()[0]) == "#332288"


def test_sum_of_distances_is_drawn(ax):
    rg.viz.geodesic_profile(TIMES, 2 * TIMES, 2 - 2 * TIMES, others=TABLE[:5], start="u", end="v", ax=ax)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), 2.0)
    assert len(ax.lines) == 3 + 6 + 1
    assert texts(ax.get_legend().get_texts())[:2] == ["to u", "to v"]


def test_bars_end_at_the_standard_deviation(ax):
    rg.viz.mean_and_members({"a": [3.0, 4.0], "b": [1.0]}, {"a": [5.0], "b": []}, ax=ax)
    assert [bar.get_width() for bar in ax.patches] == [pytest.approx(12.5**0.5), 1.0]
    assert {(3.0, 0.0), (4.0, 0.0), (1.0, 1.0), (5.0, 0.0)} <= {tuple(point) for point in markers(ax)}
    assert texts(ax.get_yticklabels()) == ["a", "b"]


def test_negative_statistics_are_in_sight(ax):
    rg.viz.permutation_nulls({"a": [-2.0, 0.0, 1.0]}, {"a": 1.5}, ax=ax)
    assert ax.get_xlim()[0] < -2
