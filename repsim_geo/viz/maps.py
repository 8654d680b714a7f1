"""Points and paths in two dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._style import (
    FAINT,
    INK,
    MUTED,
    PALETTE,
    GroupStyle,
    as_array,
    axes_or_new,
    group_styles,
    mark,
    tidy,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def embedding_map(
    coordinates: ArrayLike,
    labels: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
    *,
    means: ArrayLike | None = None,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Points of a flat map, such as multidimensional scaling gives, marked by group.

    Parameters
    ----------
    coordinates : array_like or Tensor, shape (n, 2)
        Positions.
    labels : sequence of str, optional
        A short name written beside each point. Leave it out where points are many: groups have a legend.
    groups : sequence of hashable, optional
        Group of each point; decides color and marker.
    means : array_like or Tensor, shape (n_groups, 2), optional
        Position of each group's mean, in order of first appearance; drawn as a ring, with a line to every
        member.
    unit : str
        Unit of both axes, which have the same scale.
    legend : bool
        Draw the legend of groups to the right.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
    """
    points = _check_positions(coordinates, "coordinates")
    ax = axes_or_new(ax, (7.2, 5.4))
    styles = group_styles(groups) if groups is not None else {"": GroupStyle(PALETTE[5], "o")}
    groups = list(groups) if groups is not None else [""] * len(points)
    if means is not None:
        _draw_spokes(ax, points, groups, as_array(means), styles)
    for name, look in styles.items():
        mark(ax, *points[[group == name for group in groups]].T, look, area=58, label=str(name))
    for position, label in zip(points, labels or [], strict=False):
        ax.annotate(label, position, xytext=(5, 5), textcoords="offset points", fontsize=8)
    _finish_map(ax, unit)
    if legend and any(str(name) for name in styles):
        _legend_beside(ax)
    return ax


def layer_paths(
    paths: Mapping[str, ArrayLike],
    anchors: Mapping[str, ArrayLike] | None = None,
    *,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Networks as paths: one point a layer, joined in order, the arrow pointing toward the output.

    Parameters
    ----------
    paths : mapping of str to array_like, shape (n_layers, 2)
        Positions of the layers of each network, input side first.
    anchors : mapping of str to array_like, shape (2,), optional
        Named fixed points, such as pixels and labels; drawn as black stars with their names.
    unit : str
        Unit of both axes, which have the same scale.
    legend : bool
        Draw the legend of networks to the right.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.2, 5.4))
    for (name, path), look in zip(paths.items(), group_styles(paths).values(), strict=True):
        points = _check_positions(path, f"paths[{name!r}]")
        ax.plot(*points.T, color=look.color, linewidth=1.8, alpha=0.85, zorder=2)
        _draw_arrows(ax, points, look.color)
        mark(ax, *points.T, look, area=50, label=name)
    for name, position in (anchors or {}).items():
        position = as_array(position)
        ax.scatter(*position, s=150, marker="*", color=INK, edgecolor="white", linewidth=0.8, zorder=5)
        ax.annotate(
            name,
            position,
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            va="top",
            weight="bold",
            zorder=6,
        )
    _finish_map(ax, unit)
    if legend:
        _legend_beside(ax)
    return ax


def _check_positions(values: ArrayLike, name: str) -> NDArray[np.float64]:
    points = as_array(values)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ShapeError(
            f"{name} must hold a position in the plane in each row, (n, 2), got {points.shape}. "
            "Reduce the distances to two dimensions first."
        )
    return points


def _draw_spokes(
    ax: Axes,
    points: NDArray[np.float64],
    groups: list[Any],
    means: NDArray[np.float64],
    styles: Mapping[Any, Any],
) -> None:
    if means.shape != (len(styles), 2):
        raise ShapeError(
            f"means must have one row for each group, ({len(styles)}, 2), got {means.shape}. "
            "Give them in the order in which the groups first appear."
        )
    centers = dict(zip(styles, means, strict=True))
    for point, group in zip(points, groups, strict=True):
        center, color = centers[group], styles[group].color
        ax.plot([center[0], point[0]], [center[1], point[1]], color=color, linewidth=1.0, alpha=0.6, zorder=1)
    colors = [look.color for look in styles.values()]
    ax.scatter(*means.T, s=34, facecolor="white", edgecolor=colors, linewidth=1.8, zorder=2)
    ax.scatter([], [], s=34, facecolor="white", edgecolor=MUTED, linewidth=1.8, label="mean")


def _draw_arrows(ax: Axes, points: NDArray[np.float64], color: str) -> None:
    """A small arrowhead in the middle of every segment."""
    for start, end in itertools.pairwise(points):
        middle, direction = (start + end) / 2, end - start
        ax.annotate(
            "",
            middle + 0.03 * direction,
            middle - 0.03 * direction,
            arrowprops={
                "arrowstyle": "-|>",
                "color": color,
                "linewidth": 0,
                "mutation_scale": 13,
                "shrinkA": 0,
            },
            zorder=2,
        )


def _finish_map(ax: Axes, unit: str) -> None:
    tidy(ax)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.12)
    ax.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    ax.set_xlabel(with_unit("first map coordinate", unit))
    ax.set_ylabel(with_unit("second map coordinate", unit))


def _legend_beside(ax: Axes) -> None:
    ax.legend(
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        handletextpad=0.4,
        labelspacing=0.75,
        borderaxespad=0.4,
    )
