"""Points of a sphere: seen from above their middle, and as a globe."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._inputs import as_array, as_groups, as_names, as_unit_vectors
from repsim_geo.viz._names import add_legend, name_axes, write_beside
from repsim_geo.viz.looks import (
    FAINT,
    MUTED,
    PALETTE,
    GroupStyle,
    axes_or_new,
    group_styles,
    mark,
    marker_area,
    with_unit,
)
from repsim_geo.viz.maps import embedding_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID_DEGREES = 30


def globe_map(
    points: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    labels: Sequence[str] | None = None,
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
    labels : sequence of str, optional
        A short name written beside each point where there is room.
    unit : str
        Unit of the distances from the middle.
    legend : bool
        Draw the legend of groups: to the right, or below if the figure is too narrow.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Notes
    -----
    Azimuthal equidistant projection: distances and directions from the middle are those on the sphere. Rings
    have equal distances from the middle, and lines through it are great circles; elsewhere the map stretches
    the sphere along the rings. `globe_view` shows points all around the sphere.

    Examples
    --------
    >>> points = np.array([[0.6, 0.0, 0.8], [-0.6, 0.0, 0.8], [0.0, 0.6, 0.8], [0.0, -0.6, 0.8]])
    >>> ax = globe_map(points, labels=["east", "west", "north", "south"])
    >>> ax.get_xlabel()
    'rings: distance from the middle (radians)'
    """
    flat = _from_above(as_unit_vectors(points, "points"))
    ax = axes_or_new(ax, (7.2, 5.4))
    farthest = float(np.linalg.norm(flat, axis=1).max(initial=0.0)) or 1.0
    step = next((step for step in (0.05, 0.1, 0.2, 0.5, 1.0) if farthest / step <= 5), 1.0)
    rings = step * np.arange(1, int(np.ceil(farthest / step)) + 1)
    _draw_graticule(ax, rings)
    embedding_map(flat, labels, groups, legend=False, ax=ax)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    limit = 1.06 * rings[-1]
    ax.set_aspect("equal", adjustable="box")
    ax.set(xticks=[], yticks=[], xlim=(-limit, limit), ylim=(-limit, limit))
    name_axes(ax, with_unit("rings: distance from the middle", unit), "")
    if legend:
        add_legend(ax, below=22.0)
    return ax


def globe_view(
    points: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    labels: Sequence[str] | None = None,
    toward: ArrayLike | None = None,
    radius: float = 1.0,
    unit: str = "radians",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Points of a sphere, such as `SphericalMDS` gives, as a globe seen from far away.

    Parameters
    ----------
    points : array_like or Tensor, shape (n, 3)
        Unit vectors. Those of the far side are seen through the globe, as hollow, paler markers.
    groups : sequence of hashable, optional
        Group of each point; decides color and marker.
    labels : sequence of str, optional
        A short name written beside each point where there is room.
    toward : array_like or Tensor, shape (3,), optional
        Direction from which one looks. By default that of the sum of the points; if they add up to zero, the
        axis along which they are most.
    radius : float
        Of the sphere, in ``unit``; that of `SphericalMDS`.
    unit : str
        Unit of the distances, for the grid.
    legend : bool
        Draw the legend of groups: to the right, or below if the figure is too narrow.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Notes
    -----
    Orthographic projection: distances shrink toward the rim, and one direction of a point there cannot be
    told. `globe_map` shows points that lie close together with true distances from their middle. The lines of
    the grid are 30 degrees apart along a meridian; their pole has no meaning.

    Examples
    --------
    >>> ax = globe_view(np.eye(3), ["a", "a", "b"], toward=[1.0, 1.0, 0.1])
    >>> ax.get_xlabel()
    'grid: 30° = 0.5236 radians'
    """
    vectors = as_unit_vectors(points, "points")
    names = None if labels is None else as_names(labels, len(vectors))
    members = [""] * len(vectors) if groups is None else as_groups(groups, len(vectors))
    if not (np.isscalar(radius) and np.isfinite(radius) and radius > 0):
        raise ValueError(
            f"radius must be a positive number, got {radius!r}. SphericalMDS has it; it is 1 for angles."
        )
    eye = _direction(vectors, toward)
    ax = axes_or_new(ax, (7.2, 5.4))
    frame = np.stack([*_tangent_frame(eye), eye], 1)
    seen = vectors @ frame
    _draw_globe(ax)
    styles = {"": GroupStyle(PALETTE[5], "o")} if groups is None else group_styles(members)
    area = marker_area(len(vectors), ax)
    near = seen[:, 2] >= 0
    for name, look in styles.items():
        chosen = np.array([group == name for group in members])
        mark(ax, *seen[chosen & near, :2].T, look, area=area, label=str(name) or None)
        ax.scatter(
            *seen[chosen & ~near, :2].T,
            s=0.7 * area,
            marker=look.marker,
            facecolor="white",
            edgecolor=look.color,
            linewidth=1.1,
            alpha=0.65,
            zorder=2.5,
        )
    if not near.all():
        ax.scatter([], [], s=40, facecolor="white", edgecolor=MUTED, linewidth=1.1, label="far side")
    ax.set_aspect("equal", adjustable="box")
    ax.spines[:].set_visible(False)
    ax.set(xticks=[], yticks=[], xlim=(-1.04, 1.04), ylim=(-1.04, 1.04))
    step = radius * np.deg2rad(_GRID_DEGREES)
    name_axes(ax, f"grid: {_GRID_DEGREES}° = {step:.4g} {unit}".rstrip(), "")
    if names is not None:
        write_beside(ax, seen[:, :2], names, area=area)
    if legend:
        add_legend(ax, below=22.0)
    return ax


def _direction(points: NDArray[np.float64], toward: ArrayLike | None) -> NDArray[np.float64]:
    """Unit vector from which the globe is seen."""
    if toward is None:
        middle = points.sum(0)
        if np.linalg.norm(middle) > 1e-8 * len(points):
            return middle / np.linalg.norm(middle)
        return np.linalg.svd(points)[2][0]
    direction = as_array(toward, "toward")
    if direction.shape != (3,) or not direction.any():
        raise ShapeError(
            f"toward must be a direction of three coordinates, not all zero, got {direction.tolist()}. "
            "One of the points is such a direction."
        )
    return direction / np.linalg.norm(direction)


def _tangent_frame(middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """East and north at a point of the sphere, (2, 3)."""
    # The other two right singular vectors of the middle span its tangent plane; right-handed, so that the
    # picture is no mirror image.
    east, north = np.linalg.svd(middle[None])[2][1:]
    if np.linalg.det(np.stack([east, north, middle])) < 0:
        north = -north
    return np.stack([east, north])


def _draw_globe(ax: Axes) -> None:
    """Outline, parallels and meridians; those of the far side dotted. The pole is tilted into view."""
    from matplotlib.patches import Circle

    ax.add_patch(Circle((0, 0), 1, facecolor="#f7f8fa", edgecolor=MUTED, linewidth=0.9, zorder=0.5))
    turn, tilt = np.linspace(0, 2 * np.pi, 361), np.deg2rad(25)
    tilted = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    circles = [
        np.stack([np.cos(turn) * np.cos(a), np.full_like(turn, np.sin(a)), np.sin(turn) * np.cos(a)], 1)
        for a in np.deg2rad(np.arange(-90 + _GRID_DEGREES, 90, _GRID_DEGREES))
    ]
    circles += [
        np.stack([np.cos(turn) * np.sin(a), np.sin(turn), np.cos(turn) * np.cos(a)], 1)
        for a in np.deg2rad(np.arange(0, 180, _GRID_DEGREES))
    ]
    for circle in circles:
        x, y, depth = (circle @ tilted).T
        ax.plot(x, np.where(depth < 0, y, np.nan), color=FAINT, linewidth=0.7, linestyle=":", zorder=1)
        ax.plot(x, np.where(depth >= 0, y, np.nan), color=FAINT, linewidth=0.9, zorder=1)


def _from_above(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of unit vectors at their middle, in coordinates of its tangent plane, shape (n, 2)."""
    middle = points.sum(0)
    length = np.linalg.norm(middle)
    if not length > 1e-8 * len(points):
        raise ValueError(
            "points must have a middle, got unit vectors that add up to zero. "
            "globe_view shows points that surround the whole sphere."
        )
    middle = middle / length
    east, north = _tangent_frame(middle)
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
