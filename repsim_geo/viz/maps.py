"""Points and paths in two dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._inputs import (
    as_array,
    as_groups,
    as_names,
    as_positions,
    as_vector,
    check_filled,
)
from repsim_geo.viz._names import add_legend, name_axes, write_beside
from repsim_geo.viz.looks import (
    FAINT,
    INK,
    MUTED,
    PALETTE,
    GroupStyle,
    axes_or_new,
    group_styles,
    mark,
    marker_area,
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
        A short name written beside each point where there is room. Those that come first have the choice; how
        many found no room is said in a corner.
    groups : sequence of hashable, optional
        Group of each point; decides color and marker.
    means : array_like or Tensor, shape (n_groups, 2), optional
        Position of each group's mean, in order of first appearance (one row without groups); drawn as a ring,
        with a line to every member.
    unit : str
        Unit of both axes, which have the same scale.
    legend : bool
        Draw the legend of groups: to the right, or below if the figure is too narrow.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = embedding_map([[0, 0], [1, 0], [5, 4]], groups=["MLP", "MLP", "CNN"], unit="radians")
    >>> ax.get_xlabel()
    'first map coordinate (radians)'
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['MLP', 'CNN']
    """
    points = as_positions(coordinates, "coordinates")
    names = None if labels is None else as_names(labels, len(points))
    members = [""] * len(points) if groups is None else as_groups(groups, len(points))
    styles = {"": GroupStyle(PALETTE[5], "o")} if groups is None else group_styles(members)
    centers = None if means is None else _check_means(means, len(styles))
    ax = axes_or_new(ax, (7.2, 5.4))
    if centers is not None:
        _draw_spokes(ax, points, members, centers, styles)
    area = marker_area(len(points), ax)
    for name, look in styles.items():
        chosen = points[[group == name for group in members]]
        mark(ax, *chosen.T, look, area=area, label=str(name) or None)
    if names is not None:
        write_beside(ax, points, names, area=area, others=centers)
    _finish_map(ax, unit, legend)
    return ax


def principal_components(
    scores: ArrayLike,
    shares: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    labels: Sequence[str] | None = None,
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
    labels : sequence of str, optional
        A short name written beside each point where there is room.
    unit : str
        Unit of both axes, which have the same scale.
    legend : bool
        Draw the legend of groups: to the right, or below if the figure is too narrow.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = principal_components([[2, 0], [-1, 1], [-1, -1]], [0.75, 0.25], unit="radians")
    >>> ax.get_xlabel()
    'component 1, 75 % of the variance (radians)'
    """
    values, shares = as_array(scores, "scores"), as_array(shares, "shares")
    if values.ndim != 2 or values.shape[1] < 2 or shares.shape != values.shape[1:]:
        raise ShapeError(
            f"scores must be (n, k) with k at least 2, and shares (k,), got {values.shape} and "
            f"{shares.shape}. TangentPCA has them as transform(points) and explained_variance_ratio_."
        )
    ax = embedding_map(values[:, :2], labels, groups, legend=False, ax=ax)
    ax.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    ax.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    names = [f"component {i + 1}, {100 * shares[i]:.0f} % of the variance" for i in range(2)]
    below = add_legend(ax) if legend else 0.0
    name_axes(ax, with_unit(names[0], unit), with_unit(names[1], unit), below=below)
    return ax


def layer_paths(
    paths: Mapping[str, ArrayLike],
    anchors: Mapping[str, ArrayLike] | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
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
    groups : sequence of hashable, optional
        Group of each path, which then decides color, marker and legend: for more networks than a legend can
        tell apart.
    unit : str
        Unit of both axes, which have the same scale.
    legend : bool
        Draw the legend: to the right, or below if the figure is too narrow.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> paths = {"wide": [[0, 0], [1, 0], [2, 1]], "deep": [[0, 0], [0, 1]]}
    >>> ax = layer_paths(paths, {"pixels": [0, 0]}, unit="radians")
    >>> [len(line.get_xdata()) for line in ax.lines]
    [3, 2]
    """
    check_filled(paths, "paths", "positions of layers (n_layers, 2)")
    routes = {name: as_positions(path, f"paths[{name!r}]") for name, path in paths.items()}
    stars = {name: _check_anchor(place, name) for name, place in (anchors or {}).items()}
    members = list(routes) if groups is None else as_groups(groups, len(routes), what="paths")
    ax = axes_or_new(ax, (7.2, 5.4))
    styles, named = group_styles(members), set()
    few = len(routes) <= 12
    for points, group in zip(routes.values(), members, strict=True):
        look = styles[group]
        ax.plot(
            *points.T, color=look.color, linewidth=1.8 if few else 0.9, alpha=0.85 if few else 0.55, zorder=2
        )
        _draw_arrows(ax, points, look.color, 13 if few else 7)
        label = None if group in named else str(group)
        mark(ax, *points.T, look, area=50 if few else 18, label=label)
        named.add(group)
    for name, position in stars.items():
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
    _finish_map(ax, unit, legend)
    return ax


_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 1.6, 1.2, 1.6)))


def geodesic_map(
    coordinates: ArrayLike,
    geodesics: Mapping[str, ArrayLike],
    labels: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
    *,
    means: ArrayLike | None = None,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Geodesics, and means, among their data on a flat map.

    Parameters
    ----------
    coordinates : array_like or Tensor, shape (n, 2)
        Positions of the data.
    geodesics : mapping of str to array_like, shape (k, 2)
        Positions of at least two points along each geodesic, of the same map, from its start to its end; a
        small dot is a point. The first four differ in their dashes, the next four are gray.
    labels, groups, means, unit, legend, ax
        As in `embedding_map`.

    Returns
    -------
    Axes

    Notes
    -----
    Embed the points of the geodesics together with the data: what was placed by itself is somewhere else. A
    flat map cannot keep all distances, so that geodesics may look curved, and their dots uneven, although
    they are neither.

    Examples
    --------
    Two networks, a third one, and what lies between the first two:

    >>> import torch, repsim_geo as rg
    >>> metric = rg.AngularCKA()
    >>> data = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> points = metric.embed(data)
    >>> way = torch.stack([metric.geodesic(t, points[0], points[1]) for t in torch.linspace(0, 1, 9)])
    >>> everything = torch.cat([points, way])
    >>> places = rg.ClassicalMDS(2).fit_transform(metric.cdist(everything, everything))
    >>> ax = geodesic_map(places[:3], {"first to second": places[3:]}, ["1", "2", "3"], unit="radians")
    >>> len(ax.lines[0].get_xdata())
    9
    """
    points = as_positions(coordinates, "coordinates")
    check_filled(geodesics, "geodesics", "positions along a geodesic (k, 2)")
    ways = {name: as_positions(way, f"geodesics[{name!r}]") for name, way in geodesics.items()}
    short = [name for name, way in ways.items() if len(way) < 2]
    if short:
        raise ShapeError(
            f"geodesics must have at least two positions each, got one for {short[0]!r}. "
            "Take points for several fractions t from 0 to 1."
        )
    ax = embedding_map(points, labels, groups, means=means, unit=unit, legend=False, ax=ax)
    for i, (name, way) in enumerate(ways.items()):
        color = (INK, MUTED)[i // len(_DASHES) % 2]
        ax.plot(*way.T, color="white", linewidth=3.6, zorder=1.5)
        ax.plot(
            *way.T,
            color=color,
            linewidth=1.5,
            linestyle=_DASHES[i % len(_DASHES)],
            zorder=1.6,
            label=str(name),
        )
        ax.scatter(*way.T, s=7, color=color, linewidth=0, zorder=1.7)
        _draw_arrows(ax, way[(len(way) - 1) // 2 :][:2], color, 13)
    _finish_map(ax, unit, legend)
    return ax


def _check_anchor(values: ArrayLike, name: str) -> NDArray[np.float64]:
    place = as_vector(values, f"anchors[{name!r}]")
    if len(place) != 2:
        raise ShapeError(
            f"anchors[{name!r}] must be one position in the plane, (2,), got {place.shape}. "
            "Place it together with the layers."
        )
    return place


def _check_means(values: ArrayLike, n_groups: int) -> NDArray[np.float64]:
    means = as_array(values, "means")
    if means.shape != (n_groups, 2):
        raise ShapeError(
            f"means must have one row for each group, ({n_groups}, 2), got {means.shape}. "
            "Give them in the order in which the groups first appear."
        )
    return means


def _draw_spokes(
    ax: Axes,
    points: NDArray[np.float64],
    groups: list[Any],
    means: NDArray[np.float64],
    styles: Mapping[Any, Any],
) -> None:
    centers = dict(zip(styles, means, strict=True))
    for point, group in zip(points, groups, strict=True):
        center, color = centers[group], styles[group].color
        ax.plot([center[0], point[0]], [center[1], point[1]], color=color, linewidth=1.0, alpha=0.6, zorder=1)
    colors = [look.color for look in styles.values()]
    ax.scatter(*means.T, s=34, facecolor="white", edgecolor=colors, linewidth=1.8, zorder=2)
    ax.scatter([], [], s=34, facecolor="white", edgecolor=MUTED, linewidth=1.8, label="mean")


def _draw_arrows(ax: Axes, points: NDArray[np.float64], color: str, size: float) -> None:
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
                "mutation_scale": size,
                "shrinkA": 0,
            },
            zorder=2,
        )


def _finish_map(ax: Axes, unit: str, legend: bool) -> None:
    tidy(ax)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.12)
    ax.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    below = add_legend(ax) if legend else 0.0
    x, y = with_unit("first map coordinate", unit), with_unit("second map coordinate", unit)
    name_axes(ax, x, y, below=below)
