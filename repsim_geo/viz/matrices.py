"""Matrices of distances as pictures."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._style import DISTANCE_COLORS, FAINT, INK, as_array, axes_or_new, group_styles, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_LABELS = 16


def distance_heatmap(
    distances: ArrayLike,
    labels: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
    *,
    unit: str = "",
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    All-pairs distances as colors, ordered by group; dark is near.

    Parameters
    ----------
    distances : array_like or Tensor, shape (n, n)
        Symmetric. The diagonal is left blank: it is zero, and would stretch the scale.
    labels : sequence of str, optional
        A name for each row; shown for up to 16 rows if there are no groups.
    groups : sequence of hashable, optional
        Group of each row. Rows of a group are put together, in order of first appearance; the axes carry
        the names of the groups, and lines separate them.
    unit : str
        Unit of the distances, for the color bar.
    colorbar : bool
        Draw the color bar.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
    """
    values = as_array(distances).copy()
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ShapeError(f"distances must be a square matrix, got {values.shape}. pairwise() makes one.")
    ax = axes_or_new(ax, (6.4, 5.6))
    order = _order_by_group(groups, len(values))
    np.fill_diagonal(values, np.nan)
    image = _draw(ax, values[np.ix_(order, order)])
    if groups is not None:
        _mark_groups(ax, [groups[i] for i in order])
    elif labels is not None and len(labels) <= _MOST_LABELS:
        _label_axes(ax, labels, labels)
    else:
        ax.set(xticks=[], yticks=[])
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
    A small matrix of distances with its numbers written in: layers of one network against layers of another.

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
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
    """
    values = as_array(distances)
    expected = len(row_labels), len(column_labels)
    if values.shape != expected:
        raise ShapeError(
            f"distances must have an entry for every pair of labels, {expected}, got {values.shape}. "
            "Give one label for each row and each column."
        )
    ax = axes_or_new(ax, (1.6 + 0.75 * expected[1], 1.2 + 0.6 * expected[0]))
    image = _draw(ax, values)
    _write_numbers(ax, image, values)
    _label_axes(ax, row_labels, column_labels)
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
    """
    values = as_array(counts)
    k = len(names)
    if values.shape != (k, k):
        raise ShapeError(
            f"counts must have a row and a column for each of {k} names, got {values.shape}. "
            "Give one name for each group."
        )
    ax = axes_or_new(ax, (1.6 + 0.75 * k, 1.2 + 0.6 * k))
    shown = np.where(values > 0, values, np.nan)
    image = _draw(ax, shown)
    image.set_clim(0, max(1.0, float(values.max(initial=0))))
    _write_numbers(ax, image, shown, "{:.0f}")
    _label_axes(ax, names, names)
    for i in range(k):  # a frame around what is right
        ax.add_patch(_rectangle(i - 0.5, i - 0.5, 1, 1, fill=False, edgecolor=INK, linewidth=1.4))
    ax.set(xlabel="taken for", ylabel="is")
    return ax


def _order_by_group(groups: Sequence[Hashable] | None, n: int) -> NDArray[np.intp]:
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ShapeError(
            f"groups must have one entry for each of {n} rows, got {len(groups)}. Repeat the names."
        )
    rank = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    return np.argsort([rank[name] for name in groups], kind="stable")


def _draw(ax: Axes, values: NDArray[np.float64]) -> Any:
    shown = values[np.isfinite(values)]
    low, high = (shown.min(), shown.max()) if shown.size else (0.0, 1.0)
    image = ax.imshow(
        values, cmap=DISTANCE_COLORS, vmin=low, vmax=high, interpolation="nearest", aspect="equal"
    )
    ax.set_facecolor("#eef0f3")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=9)
    return image


def _mark_groups(ax: Axes, ordered: list[Hashable]) -> None:
    """Names at the middle of each block, a colored bar beside it, white lines between blocks."""
    styles, n = group_styles(ordered), len(ordered)
    edges = [0] + [i for i in range(1, n) if ordered[i] != ordered[i - 1]] + [n]
    middles = [(a + b - 1) / 2 for a, b in itertools.pairwise(edges)]
    names = [str(ordered[a]) for a in edges[:-1]]
    ax.set_xticks(middles, names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(middles, names)
    ax.tick_params(pad=7)
    ax.tick_params(axis="y", pad=10)
    for edge in edges[1:-1]:
        ax.axhline(edge - 0.5, color="white", linewidth=1.6)
        ax.axvline(edge - 0.5, color="white", linewidth=1.6)
    thickness, gap = n / 70, n / 120
    for a, b in itertools.pairwise(edges):
        bar = {"color": styles[ordered[a]].color, "clip_on": False, "linewidth": 0}
        ax.add_patch(_rectangle(-0.5 - gap - thickness, a - 0.42, thickness, b - a - 0.16, **bar))
        ax.add_patch(_rectangle(a - 0.42, n - 0.5 + gap, b - a - 0.16, thickness, **bar))


def _rectangle(x: float, y: float, width: float, height: float, **looks: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, **looks)


def _label_axes(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    upright = max(map(len, columns), default=0) <= 6
    turned = {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(len(columns)), columns, **turned)
    ax.set_yticks(range(len(rows)), rows)


def _write_numbers(ax: Axes, image: Any, values: NDArray[np.float64], pattern: str = "{:.2f}") -> None:
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            # Perceived lightness decides whether black or white can be read on the cell.
            red, green, blue, _ = image.to_rgba(value)
            light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.52
            color = INK if light else "white"
            ax.text(j, i, pattern.format(value), ha="center", va="center", fontsize=9, color=color)


def _add_colorbar(ax: Axes, image: Any, label: str) -> None:
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.82, aspect=26, pad=0.03)
    bar.set_label(label, fontsize=9.5)
    bar.outline.set_edgecolor(FAINT)
    bar.ax.tick_params(length=2, labelsize=8.5)
