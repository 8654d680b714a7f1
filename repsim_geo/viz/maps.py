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


def principal_components(
    scores: ArrayLike,
    shares: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Points along their first two principal components, marked by group; the mean is where the lines cross.

    Parameters
    ----------
    scores : array_like or Tensor, shape (n, k)
        Coordinates along k components, at least two.
    shares : array_like or Tensor, shape (k,)
        Share of the variance that each component explains, between 0 and 1.
    groups : sequence of hashable, optional
        Group of each point; decides color and marker.
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
    values, shares = as_array(scores), as_array(shares)
    if values.ndim != 2 or values.shape[1] < 2 or shares.shape != values.shape[1:]:
        raise ShapeError(
            f"scores must be (n, k) with k at least 2, and shares (k,), got {values.shape} and "
            f"{shares.shape}. TangentPCA has them as transform(points) and explained_variance_ratio_."
        )
    ax = embedding_map(values[:, :2], groups=groups, unit=unit, legend=legend, ax=ax)
    ax.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    ax.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    names = [f"component {i + 1}, {100 * shares[i]:.0f} % of the variance" for i in range(2)]
    ax.set(xlabel=with_unit(names[0], unit), ylabel=with_unit(names[1], unit))
    return ax


def globe_map(
    points: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    unit: str = "radians",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Points of a sphere, such as `SphericalMDS` gives, seen from above their middle.

    Parameters
    ----------
    points : array_like or Tensor, shape (n, 3)
        Unit vectors. Their sum, which must not vanish, points to the middle.
    groups : sequence of hashable, optional
        Group of each point; decides color and marker.
    unit : str
        Unit of the distances from the middle.
    legend : bool
        Draw the legend of groups to the right.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Notes
    -----
    Azimuthal equidistant projection: distances and directions from the middle are those on the sphere. Rings
    have equal distances from the middle, and lines through it are great circles; elsewhere the map stretches
    the sphere along the rings.
    """
    flat = _from_above(as_array(points))
    ax = axes_or_new(ax, (7.2, 5.4))
    farthest = float(np.linalg.norm(flat, axis=1).max(initial=0.0)) or 1.0
    step = next((step for step in (0.05, 0.1, 0.2, 0.5, 1.0) if farthest / step <= 5), 1.0)
    rings = step * np.arange(1, int(np.ceil(farthest / step)) + 1)
    _draw_graticule(ax, rings)
    embedding_map(flat, groups=groups, legend=legend, ax=ax)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    limit = 1.06 * rings[-1]
    ax.set_aspect("equal", adjustable="box")
    ax.set(xticks=[], yticks=[], xlim=(-limit, limit), ylim=(-limit, limit), ylabel="")
    ax.set_xlabel(with_unit("rings: distance from the middle", unit))
    return ax


def _from_above(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of unit vectors at their middle, in coordinates of its tangent plane, shape (n, 2)."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise ShapeError(
            f"points must hold a unit vector of three coordinates in each row, (n, 3), got {points.shape}. "
            "SphericalMDS(2) makes them."
        )
    middle = points.sum(0)
    length = np.linalg.norm(middle)
    if not length > 1e-8 * len(points):
        raise ValueError(
            "points must have a middle, got unit vectors that add up to zero. "
            "Show points that surround the whole sphere by their coordinates."
        )
    middle = middle / length
    # The other two right singular vectors of the middle span its tangent plane; right-handed, so that the
    # picture is no mirror image.
    east, north = np.linalg.svd(middle[None])[2][1:]
    if np.linalg.det(np.stack([east, north, middle])) < 0:
        north = -north
    plane = points @ np.stack([east, north], 1)
    radius = np.linalg.norm(plane, axis=1)
    angle = np.arctan2(radius, points @ middle)
    return plane * np.where(radius > 0, angle / np.where(radius > 0, radius, 1.0), 1.0)[:, None]


def _draw_graticule(ax: Axes, rings: NDArray[np.float64]) -> None:
    turn = np.linspace(0, 2 * np.pi, 361)
    for radius in rings:
        ax.plot(radius * np.cos(turn), radius * np.sin(turn), color=FAINT, linewidth=0.8, zorder=1)
    for angle in np.arange(12) * np.pi / 6:
        end = rings[-1] * np.array([np.cos(angle), np.sin(angle)])
        ax.plot([0, end[0]], [0, end[1]], color=FAINT, linewidth=0.6, zorder=1)
    # Names in a gap between two rays.
    direction = np.array([np.cos(np.pi / 12), np.sin(np.pi / 12)])
    for radius in rings:
        ax.text(
            *(radius * direction),
            f"{radius:g}",
            fontsize=8,
            color=MUTED,
            ha="center",
            va="center",
            zorder=2,
            bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        )


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
