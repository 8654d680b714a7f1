"""Matrices of distances as pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._inputs import as_array, as_groups, as_names
from repsim_geo.viz._names import (
    LARGEST,
    LEADING,
    SMALLEST,
    add_legend,
    cell_inches,
    fit,
    spaced,
    turned,
    width,
)
from repsim_geo.viz.looks import (
    DISTANCE_COLORS,
    FAINT,
    INK,
    PALETTE,
    axes_or_new,
    group_styles,
    tidy,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from repsim_geo.stats.clustering import Hierarchy

_MOST_COLUMN_NAMES = 24
_SIZES = [float(size) for size in np.arange(LARGEST, SMALLEST, -0.5)]
# In sides of the matrix.
_TREE, _TREE_GAP = 0.2, 0.02
_COLORBAR_INCHES = 0.85


def distance_heatmap(
    distances: ArrayLike,
    labels: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
    *,
    dendrogram: bool | Hierarchy = False,
    unit: str = "",
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    All-pairs distances as colors, ordered by group or by a tree; dark is near.

    Parameters
    ----------
    distances : array_like or Tensor, shape (n, n)
        Symmetric. The diagonal is left blank: it is zero, and would stretch the scale. Entries that are nan
        are blank, too; a tree needs all of them.
    labels : sequence of str, optional
        A name for each row. Columns have the same order; they carry the names, too, if there are no groups,
        no tree and at most 24 of them.
    groups : sequence of hashable, optional
        Group of each row, shown by colored bars. Without a tree, rows of a group are put together, in order
        of first appearance; the names of the groups are on the axes, and lines separate them. With a tree
        the groups have a legend, and their ninth to sixteenth have hollow bars.
    dendrogram : bool or Hierarchy
        A tree above the matrix, by which rows and columns are ordered: that of ``hierarchical_clustering``,
        or one of your own. Its height is the distance at which clusters merge.
    unit : str
        Unit of the distances, for the color bar and the tree.
    colorbar : bool
        Draw the color bar.
    ax : Axes, optional
        Where to draw; by default a new figure, large enough for the labels. In axes that are too small for
        names of 5 points only every second (third, ...) row is named, beside its tick.

    Returns
    -------
    Axes
        Of the matrix. The tree is in ``child_axes[0]``.

    Examples
    --------
    >>> x = np.array([0.0, 5.0, 1.0, 6.0])
    >>> distances = abs(x[:, None] - x)
    >>> ax = distance_heatmap(distances, ["a", "b", "c", "d"], dendrogram=True, unit="mV")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['a', 'c', 'b', 'd']
    >>> ax.child_axes[0].get_ylabel()
    'distance (mV)'
    """
    values = as_array(distances, "distances", gaps=True).copy()
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) == 0:
        raise ShapeError(f"distances must be a square matrix, got {values.shape}. pairwise() makes one.")
    n = len(values)
    names = None if labels is None else as_names(labels, n, what="rows")
    members = None if groups is None else as_groups(groups, n, what="rows")
    tree = _tree(values, dendrogram)
    order = _order_by_group(members, n) if tree is None else tree.order
    ax = axes_or_new(ax, _size_for(names, members, tree is not None, colorbar), "compressed")
    np.fill_diagonal(values, np.nan)
    image = _draw(ax, values[np.ix_(order, order)])
    ax.set(xticks=[], yticks=[])
    _make_room(ax, n, members is not None, tree is not None)
    if members is not None:
        _mark_groups(
            ax, [members[i] for i in order], _bar_looks(members), blocks=tree is None, colorbar=colorbar
        )
    if names is not None:
        _name_rows(ax, [names[i] for i in order], members, tree is not None, colorbar)
    if tree is not None:
        _draw_tree(ax, tree, unit, _side(ax, names or [], [], 7.0, 1 + _TREE_GAP + _TREE, colorbar))
        if members is not None:
            _add_group_legend(ax, members)
    if colorbar:
        _add_colorbar(ax, image, with_unit("distance", unit))
    return ax


def layer_matrix(
    distances: ArrayLike,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    unit: str = "",
    quantity: str = "distance",
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    A matrix of distances with its numbers written in: layers of one network against layers of another.

    Parameters
    ----------
    distances : array_like or Tensor, shape (a, b)
        Entry (i, j) belongs to row label i and column label j. Entries that are not a number stay blank.
    row_labels, column_labels : sequence of str
        Names of the rows and of the columns.
    unit : str
        Unit of the entries, for the color bar.
    quantity : str
        What the entries are, if they are not distances.
    colorbar : bool
        Draw the color bar.
    ax : Axes, optional
        Where to draw; a new figure by default. Numbers and labels become smaller in small axes; where they
        would have less than 5 points, there are no numbers, and only every second (third, ...) label.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = layer_matrix([[0.1, 0.5], [0.6, 0.2]], ["conv1", "conv2"], ["dense1", "dense2"], unit="radians")
    >>> [text.get_text() for text in ax.texts]
    ['0.10', '0.50', '0.60', '0.20']
    """
    values = as_array(distances, "distances", gaps=True)
    row_labels, column_labels = [str(name) for name in row_labels], [str(name) for name in column_labels]
    expected = len(row_labels), len(column_labels)
    if values.shape != expected or values.size == 0:
        raise ShapeError(
            f"distances must have an entry for every pair of labels, {expected}, got {values.shape}. "
            "Give one label for each row and each column."
        )
    ax = axes_or_new(
        ax, (min(1.6 + 0.75 * expected[1], 12.0), min(1.2 + 0.6 * expected[0], 12.0)), "compressed"
    )
    image = _draw(ax, values)
    room = _label_axes(ax, row_labels, column_labels)
    _write_numbers(ax, image, values, room)
    if colorbar:
        _add_colorbar(ax, image, with_unit(quantity, unit))
    return ax


def confusion_matrix(counts: ArrayLike, names: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """
    How often a member of one group (row) was taken for a member of another one (column).

    Parameters
    ----------
    counts : array_like or Tensor, shape (k, k)
        Whole numbers; right answers are on the diagonal. Zeros are left blank.
    names : sequence of str
        Of the groups.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = confusion_matrix([[3, 1], [0, 4]], ["MLP", "CNN"])
    >>> [text.get_text() for text in ax.texts]
    ['3', '1', '4']
    """
    values = as_array(counts, "counts")
    names = [str(name) for name in names]
    k = len(names)
    if values.shape != (k, k) or k == 0:
        raise ShapeError(
            f"counts must have a row and a column for each of {k} names, got {values.shape}. "
            "Give one name for each group."
        )
    if not bool((values >= 0).all()) or not bool(np.isfinite(values).all()):
        raise ValueError(
            "counts must be finite and not negative, got entries from "
            f"{values.min():.3g} to {values.max():.3g}. Differences of two tables have no picture here."
        )
    ax = axes_or_new(ax, (min(1.6 + 0.75 * k, 12.0), min(1.2 + 0.6 * k, 12.0)), "compressed")
    shown = np.where(values > 0, values, np.nan)
    image = _draw(ax, shown)
    image.set_clim(0, max(1.0, float(values.max(initial=0))))
    _write_numbers(ax, image, shown, _label_axes(ax, names, names), "{:.0f}")
    for i in range(k):  # a frame around what is right
        ax.add_patch(_rectangle(i - 0.5, i - 0.5, 1, 1, fill=False, edgecolor=INK, linewidth=1.4))
    ax.set(xlabel="taken for", ylabel="is")
    return ax


def _order_by_group(groups: Sequence[Hashable] | None, n: int) -> NDArray[np.intp]:
    if groups is None:
        return np.arange(n)
    rank = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    return np.argsort([rank[name] for name in groups], kind="stable")


def _draw(ax: Axes, values: NDArray[np.float64]) -> Any:
    shown = values[np.isfinite(values)]
    low, high = (shown.min(), shown.max()) if shown.size else (0.0, 1.0)
    image = ax.imshow(
        values, cmap=DISTANCE_COLORS, vmin=low, vmax=high, interpolation="nearest", aspect="equal"
    )
    ax.set_facecolor("none")
    high, wide = values.shape
    ax.add_patch(_rectangle(-0.5, -0.5, wide, high, facecolor="#eef0f3", linewidth=0, zorder=-1))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=9)
    return image


def _bar(ax: Axes) -> float:
    """Thickness of the bars of groups, in sides of the matrix: at least four points."""
    return max(0.018, 4 / 72 / (0.6 * float(cell_inches(ax).min())))


def _make_room(ax: Axes, n: int, bars: bool, tree: bool) -> None:
    """Limits around a matrix for bars at its left and below, and a tree above, all inside of the axes."""
    beside = 1.5 * _bar(ax) * n if bars else 0.0
    above = (_TREE_GAP + _TREE) * n if tree else 0.0
    ax.set(xlim=(-0.5 - beside, n - 0.5), ylim=(n - 0.5 + beside, -0.5 - above))


# ---------------------------------------------------------------------- trees


def _tree(distances: NDArray[np.float64], wanted: Any) -> Hierarchy | None:
    if wanted is False or wanted is None:
        return None
    from repsim_geo.stats.clustering import Hierarchy, hierarchical_clustering

    if wanted is True:
        return hierarchical_clustering(distances)
    if not isinstance(wanted, Hierarchy):
        raise TypeError(
            f"dendrogram must be True, False or a Hierarchy, got {type(wanted).__name__}. "
            "hierarchical_clustering(distances, method) makes one."
        )
    leaves = len(wanted.linkage) + 1
    if leaves != len(distances):
        raise ShapeError(
            f"dendrogram must have a leaf for each of {len(distances)} rows, got {leaves}. Make it from the "
            "same distances."
        )
    return wanted


def _draw_tree(ax: Axes, tree: Hierarchy, unit: str, inches: float) -> None:
    from matplotlib.collections import LineCollection

    n = len(tree.linkage) + 1
    lines = _branches(tree)
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    across, along = n / (right - left), _TREE * n / (bottom - top)
    above = ax.inset_axes((1 - across, 1 - along, across, along))
    above.add_collection(LineCollection(lines, colors=INK, linewidths=1.0 if n <= 50 else 0.7))
    top = float(lines[..., 1].max()) or 1.0
    above.set(xlim=(-0.5, n - 0.5), ylim=(0, 1.04 * top), xticks=[])
    tidy(above)
    above.spines["bottom"].set_visible(False)
    inches = _TREE * inches
    above.locator_params(axis="y", nbins=max(1, min(3, int(inches / 0.16))))
    above.tick_params(labelsize=8 if inches >= 0.6 else 6)
    # What the heights are has to fit beside them; the color bar says it, too.
    name = next((name for name in (with_unit("distance", unit), unit) if width([name], 6.0) <= inches), "")
    if name:
        above.set_ylabel(name, fontsize=min(8.5, 6.0 * inches / width([name], 6.0)))


def _branches(tree: Hierarchy) -> NDArray[np.float64]:
    """Corners of the bracket of each merge, (n - 1, 4, 2): place among the leaves, and height."""
    n = len(tree.linkage) + 1
    middle, height = np.empty(2 * n - 1), np.zeros(2 * n - 1)
    middle[tree.order] = np.arange(n)
    lines = np.empty((n - 1, 4, 2))
    for k, (left, right, merged, _) in enumerate(tree.linkage):
        a, b = int(left), int(right)
        middle[n + k], height[n + k] = (middle[a] + middle[b]) / 2, merged
        lines[k] = [
            (middle[a], height[a]),
            (middle[a], merged),
            (middle[b], merged),
            (middle[b], height[b]),
        ]
    return lines


# ---------------------------------------------------------------------- groups and names


def _mark_groups(
    ax: Axes, ordered: list[Any], looks: Mapping[Any, Any], *, blocks: bool, colorbar: bool
) -> None:
    """A colored bar beside each run of one group; for blocks also their names, and white lines between."""
    n = len(ordered)
    edges = [0] + [i for i in range(1, n) if ordered[i] != ordered[i - 1]] + [n]
    if blocks:
        _name_blocks(ax, [str(ordered[a]) for a in edges[:-1]], edges, colorbar)
        between = np.array(edges[1:-1]) - 0.5
        ax.hlines(between, -0.5, n - 0.5, color="white", linewidth=1.6)
        ax.vlines(between, -0.5, n - 0.5, color="white", linewidth=1.6)
    thickness, gap, rim = _bar(ax) * n, 0.5 * _bar(ax) * n, 0.08
    for a, b in itertools.pairwise(edges):
        look = looks[ordered[a]] | {"clip_on": False}
        ax.add_patch(_rectangle(-0.5 - gap - thickness, a - 0.5 + rim, thickness, b - a - 2 * rim, **look))
        ax.add_patch(_rectangle(a - 0.5 + rim, n - 0.5 + gap, b - a - 2 * rim, thickness, **look))


def _bar_looks(groups: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """Full bars for the first eight groups, hollow ones for the next eight, and so on."""
    looks = {}
    for i, (name, look) in enumerate(group_styles(groups).items()):
        hollow = (i // len(PALETTE)) % 2 == 1
        looks[name] = {
            "facecolor": "white" if hollow else look.color,
            "edgecolor": look.color,
            "linewidth": 0.9 if hollow else 0.0,
        }
    return looks


def _add_group_legend(ax: Axes, groups: Sequence[Any]) -> None:
    for name, look in _bar_looks(groups).items():
        ax.add_patch(_rectangle(0, 0, 0, 0, label=str(name), **look))
    add_legend(ax, beside=False, below=4.0, side="right")


def _name_blocks(ax: Axes, names: list[str], edges: list[int], colorbar: bool) -> None:
    middles = [(a + b - 1) / 2 for a, b in itertools.pairwise(edges)]
    n = edges[-1]
    nearest = float(min(np.diff(middles), default=n)) / n
    size = next(
        (s for s in _SIZES if s * LEADING / 72 <= nearest * _side(ax, names, names, s, 1.0, colorbar)),
        SMALLEST,
    )
    side = _side(ax, names, names, size, 1.0, colorbar)
    kept = spaced(middles, LEADING * size / 72 / side * n)
    middles, names = [middles[i] for i in kept], [names[i] for i in kept]
    room = side * float(min(np.diff(middles), default=n)) / n
    ax.set_xticks(middles, names, **turned(room, math.inf, size))
    ax.set_yticks(middles, names)
    ax.tick_params(pad=3, labelsize=size)


def _name_rows(
    ax: Axes, names: list[str], groups: Sequence[Any] | None, with_tree: bool, colorbar: bool
) -> None:
    high = 1 + _TREE_GAP + _TREE if with_tree else 1.0
    below = [] if groups is None or with_tree else [str(name) for name in groups]
    n = len(names)
    size = next((s for s in _SIZES if s <= fit(n, _side(ax, names, below, s, high, colorbar)).size), SMALLEST)
    step = fit(n, _side(ax, names, below, SMALLEST, high, colorbar)).step if size == SMALLEST else 1
    shown = range(0, n, step)
    ax.set_yticks(shown, [names[i] for i in shown])
    ax.tick_params(axis="y", labelsize=size, pad=3)
    if step > 1:  # which row it is that has a name
        ax.tick_params(axis="y", length=3, width=0.5)
    if groups is None and not with_tree and n <= _MOST_COLUMN_NAMES and step == 1:
        _label_columns(ax, names, size, 1, _side(ax, names, names, size, high, colorbar) / n)


def _side(
    ax: Axes, left: Sequence[str], below: Sequence[str], size: float, high: float, colorbar: bool
) -> float:
    """Inches of a square matrix with these names, nearly; ``high`` is its height together with a tree."""
    across, along = cell_inches(ax)
    across -= width(left, size) + 0.3 + (_COLORBAR_INCHES if colorbar else 0.0)
    along -= math.sqrt(0.5) * width(below, size) + 0.3
    return max(0.3, min(across, along / high))


def _size_for(
    names: list[str] | None, groups: list[Any] | None, with_tree: bool, colorbar: bool
) -> tuple[float, float]:
    """Width and height in inches of a new figure."""
    side = 4.6
    if names is not None:
        side = min(max(side, len(names) * 1.2 * 5.5 / 72), 14.0)
    left = max(0.6, width(names or [], 8.0)) + (0.2 if groups is not None else 0.0)
    right = _COLORBAR_INCHES + 0.25 if colorbar else 0.2
    legend = 0.3 if with_tree and groups is not None else 0.0
    return left + side + right, side * (1 + (_TREE if with_tree else 0.0)) + 0.9 + legend


def _rectangle(x: float, y: float, width: float, height: float, **looks: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, **looks)


def _label_axes(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> float:
    """Names of rows and columns in the largest font that fits; returns the inches of a cell, nearly."""

    def cell(size: float) -> float:
        across, along = cell_inches(ax)
        across -= width(rows, size) + 0.3 + _COLORBAR_INCHES
        along -= 0.75 * width(columns, size) + 0.3
        return max(0.02, min(across / len(columns), along / len(rows)))

    size = next((s for s in _SIZES if s * LEADING / 72 <= cell(s)), SMALLEST)
    room = cell(size)
    step = math.ceil(size * LEADING / 72 / room)
    ax.set_yticks(range(0, len(rows), step), rows[::step])
    ax.tick_params(axis="y", labelsize=size)
    _label_columns(ax, columns, size, step, room)
    if step > 1:  # which row it is that has a name
        ax.tick_params(length=3, width=0.5)
    return room


def _label_columns(ax: Axes, names: Sequence[str], size: float, step: int, room: float) -> None:
    looks = turned(step * room, width(names, size), size)
    ax.set_xticks(range(0, len(names), step), names[::step], **looks)
    ax.tick_params(axis="x", labelsize=size)


def _write_numbers(
    ax: Axes, image: Any, values: NDArray[np.float64], room: float, pattern: str = "{:.2f}"
) -> None:
    """The values in their cells, where cells are wide enough for all of them."""
    texts = {cell: pattern.format(value) for cell, value in np.ndenumerate(values) if np.isfinite(value)}
    wide = max(width(list(texts.values()), 1.0), LEADING / 72)
    size = min(LARGEST, 0.94 * room / wide)
    if size < SMALLEST:
        return
    for (i, j), text in texts.items():
        # Perceived lightness decides whether black or white can be read on the cell.
        red, green, blue, _ = image.to_rgba(values[i, j])
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.52
        ax.text(j, i, text, ha="center", va="center", fontsize=size, color=INK if light else "white")


def _add_colorbar(ax: Axes, image: Any, label: str) -> None:
    # The matrix keeps to the left of its cell: a constrained layout measures there what its labels need, and
    # would cut them off if the fixed shape of the matrix left room on both sides.
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.82, aspect=26, pad=0.03, panchor=(0.0, 0.5))
    bar.set_label(label, fontsize=9.5 if cell_inches(ax)[0] >= 4.5 else 8.0)
    bar.outline.set_edgecolor(FAINT)
    bar.ax.tick_params(length=2, labelsize=8.5 if cell_inches(ax)[0] >= 4.5 else 7.0)
