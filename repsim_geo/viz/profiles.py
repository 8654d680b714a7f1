"""Distances along a geodesic and to means; regressions and permutation tests."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._inputs import as_array, as_groups, as_vector, check_filled
from repsim_geo.viz._names import add_legend, cell_inches, fit, legend_above, name_axes
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


def geodesic_profile(
    times: ArrayLike,
    to_start: ArrayLike,
    to_end: ArrayLike,
    *,
    others: ArrayLike | None = None,
    start: str = "start",
    end: str = "end",
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Distances from the points of a geodesic to its two ends, and to other points.

    Parameters
    ----------
    times : array_like or Tensor, shape (k,)
        Fractions along the geodesic, from 0 to 1.
    to_start, to_end : array_like or Tensor, shape (k,)
        Distance from each point to the two ends; their sum is drawn too, and is flat on a true geodesic.
    others : array_like or Tensor, shape (k, n), optional
        Distance from each point to n other points; drawn as thin gray lines.
    start, end : str
        Names of the two ends.
    unit : str
        Unit of the distances.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = geodesic_profile([0.0, 0.5, 1.0], [0.0, 0.4, 0.8], [0.8, 0.4, 0.0], unit="radians")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['to start', 'to end', 'sum of the two']
    """
    times = as_vector(times, "times")
    to_start, to_end = as_vector(to_start, "to_start"), as_vector(to_end, "to_end")
    if not times.shape == to_start.shape == to_end.shape:
        raise ShapeError(
            f"times, to_start and to_end must have one entry for each point of the geodesic, got "
            f"{len(times)}, {len(to_start)} and {len(to_end)}. Compute distances for all times."
        )
    if times.min() < 0 or times.max() > 1:
        raise ValueError(
            f"times must be fractions from 0 to 1, got {times.min():g} to {times.max():g}. "
            "0 is the start of the geodesic, 1 its end."
        )
    rest = None if others is None else as_array(others, "others")
    if rest is not None and (rest.ndim != 2 or len(rest) != len(times)):
        raise ShapeError(
            f"others must have a row for each of {len(times)} times, (k, n), got {rest.shape}. "
            "metric.cdist(points of the geodesic, others) is such a matrix."
        )
    ax = axes_or_new(ax, (7.2, 4.4))
    ax.plot(times, to_start, color=PALETTE[1], linewidth=2.4, label=f"to {start}", zorder=3)
    ax.plot(times, to_end, color=PALETTE[5], linewidth=2.4, label=f"to {end}", zorder=3)
    ax.plot(
        times, to_start + to_end, color=INK, linewidth=1.4, linestyle="--", label="sum of the two", zorder=3
    )
    if rest is not None and rest.size:
        ax.plot(times, rest, color=MUTED, linewidth=0.7, alpha=0.35)
        ax.plot([], [], color=MUTED, linewidth=0.9, alpha=0.6, label="to each other network")
    tidy(ax)
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    ax.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    below = add_legend(ax, beside=False)
    name_axes(ax, "fraction t along the geodesic", with_unit("distance", unit), below=below)
    return ax


def mean_and_members(
    to_mean: Mapping[str, ArrayLike],
    between: Mapping[str, ArrayLike] | None = None,
    *,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    How far the members of each group are from the group's mean, one row a group.

    Parameters
    ----------
    to_mean : mapping of str to array_like, shape (n_members,)
        Distance of every member to the mean of its group.
    between : mapping of str to array_like, shape (n_pairs,), optional
        Distances between members, for comparison; drawn as gray ticks.
    unit : str
        Unit of the distances.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Notes
    -----
    The bar ends at the standard deviation, the root of the mean squared distance to the mean.

    Examples
    --------
    >>> ax = mean_and_members({"MLP": [0.3, 0.4], "CNN": [0.1, 0.2, 0.1]}, unit="radians")
    >>> round(float(ax.patches[0].get_width()), 3)  # root of (0.09 + 0.16) / 2
    0.354
    """
    check_filled(to_mean, "to_mean", "distances of members to their mean (n_members,)")
    members = {name: as_vector(values, f"to_mean[{name!r}]") for name, values in to_mean.items()}
    if between is not None and set(between) != set(members):
        raise ValueError(
            f"between must have the names of to_mean, {_listed(members)}, got {_listed(between)}. "
            "A group of one member has an empty list."
        )
    pairs = {name: as_array(values, f"between[{name!r}]").ravel() for name, values in (between or {}).items()}
    ax = axes_or_new(ax, (7.2, _height(len(members), 0.9)))
    names = list(members)
    for row, (name, look) in enumerate(group_styles(names).items()):
        values = members[name]
        ax.barh(
            row, np.sqrt(np.mean(values**2)), height=0.34, color=look.color, alpha=0.28, linewidth=0, zorder=1
        )
        mark(ax, values, np.full(len(values), row), look, area=_row_area(ax, len(names), 52))
        if name in pairs:
            ax.scatter(
                pairs[name],
                np.full(len(pairs[name]), row),
                s=_row_area(ax, len(names), 90),
                marker="|",
                color=MUTED,
                linewidth=1.3,
                zorder=2,
            )
    _explain_marks(ax, between is not None)
    tidy(ax)
    _name_rows(ax, names)
    ax.set(xlim=(0, None), ylim=(len(names) - 0.4, -0.6), xlabel=with_unit("distance", unit))
    ax.grid(axis="x", color=FAINT, linewidth=0.6, alpha=0.7)
    return ax


def _explain_marks(ax: Axes, with_pairs: bool) -> None:
    ax.scatter([], [], s=52, marker="o", color=MUTED, label="network to mean")
    ax.scatter([], [], s=90, marker="s", color=FAINT, label="standard deviation (end of bar)")
    if with_pairs:
        ax.scatter([], [], s=90, marker="|", color=MUTED, linewidth=1.3, label="network to network")
    legend_above(ax)


def _name_rows(ax: Axes, names: Sequence[Any]) -> None:
    size, step = fit(len(names), 0.75 * float(cell_inches(ax)[1]))
    ax.set_yticks(range(0, len(names), step), [str(name) for name in names[::step]])
    ax.tick_params(axis="y", labelsize=size)


def _row_area(ax: Axes, n_rows: int, most: float) -> float:
    """Of markers that do not reach into the next row."""
    return min(most, (0.8 * 0.7 * 72 * float(cell_inches(ax)[1]) / n_rows) ** 2)


def _height(n_rows: int, rest: float) -> float:
    """Inches of a figure of rows, of which a hundred still fit on a page."""
    return rest + n_rows * max(0.12, 0.45 - 0.011 * max(0, n_rows - 10))


def _listed(names: Mapping[Any, Any]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"


def regression_positions(
    covariate: ArrayLike,
    positions: ArrayLike,
    *,
    slope: float,
    middle: float,
    groups: Sequence[Hashable] | None = None,
    styles: Mapping[Any, GroupStyle] | None = None,
    quantity: str = "covariate",
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    Where points lie along the geodesic of a regression, against where it expects them.

    Parameters
    ----------
    covariate : array_like or Tensor, shape (n,)
        What the points were regressed on. Points with the same value are drawn side by side.
    positions : array_like or Tensor, shape (n,)
        Distance along the geodesic from its point at ``middle``.
    slope : float
        Of the regression: distance per unit of the covariate.
    middle : float
        Mean of the covariate.
    groups : sequence of hashable, optional
        Group of each point; decides color and marker.
    styles : mapping of group to GroupStyle, optional
        Colors and markers to use instead, such as those that ``group_styles`` gives to a larger population.
    quantity : str
        What the covariate is.
    unit : str
        Unit of the positions.
    legend : bool
        Draw the legend of groups to the right.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = regression_positions([1, 2, 3], [-0.2, 0.1, 0.1], slope=0.15, middle=2, quantity="hidden layers")
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['1', '2', '3']
    """
    t, y = as_vector(covariate, "covariate"), as_vector(positions, "positions")
    if t.shape != y.shape:
        raise ShapeError(
            f"covariate and positions must have one entry for each point, got {t.shape} and {y.shape}. "
            "Give both in the order of the points."
        )
    members = [""] * len(t) if groups is None else as_groups(groups, len(t))
    ax = axes_or_new(ax, (7.2, 4.4))
    ends = np.array([t.min(), t.max()])
    reach = float(ends[1] - ends[0]) or 1.0
    ends = ends + 0.15 * reach * np.array([-1, 1])
    ax.plot(ends, slope * (ends - middle), color=INK, linewidth=1.6, zorder=2, label="geodesic")
    looks = group_styles(members) | dict(styles or {})
    x = _side_by_side(t, reach)
    for name in dict.fromkeys(members):
        chosen = np.array([group == name for group in members])
        area = 0.8 * marker_area(len(t), ax)
        mark(ax, x[chosen], y[chosen], looks[name], area=area, label=str(name) or None)
    tidy(ax)
    if len(np.unique(t)) <= 12:
        ax.set_xticks(np.unique(t), [f"{value:g}" for value in np.unique(t)])
    ax.grid(axis="y", color=FAINT, linewidth=0.6, alpha=0.7)
    below = add_legend(ax) if legend else 0.0
    name_axes(ax, quantity, with_unit("position along the geodesic", unit), below=below)
    return ax


def _side_by_side(t: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Points with one value moved apart, in their order, so that none hides another."""
    moved = t.copy()
    values, counts = np.unique(t, return_counts=True)
    # Not farther than a third of the way to the next value, however many there are.
    nearest = float(np.diff(values).min()) if len(values) > 1 else reach
    step = min(0.03 * reach, 0.67 * nearest / counts.max())
    for value in values:
        here = np.flatnonzero(t == value)
        moved[here] += step * (np.arange(len(here)) - (len(here) - 1) / 2)
    return moved


def permutation_nulls(
    nulls: Mapping[str, ArrayLike],
    statistics: Mapping[str, float],
    *,
    quantity: str = "statistic",
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Statistics of permutation tests, one row a test: of the data, and of all shuffled ones.

    Parameters
    ----------
    nulls : mapping of str to array_like, shape (n_permutations,)
        Statistics of the shuffled data, by name of the test; drawn as gray ticks.
    statistics : mapping of str to float
        Statistic of the data, by the same names; drawn as a diamond.
    quantity : str
        What the statistics are.
    unit : str
        Their unit.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = permutation_nulls({"depth": [0.1, 0.3, 0.2]}, {"depth": 0.9}, unit="radians")
    >>> ax.get_xlabel()
    'statistic (radians)'
    """
    check_filled(nulls, "nulls", "statistics of shuffled data (n_permutations,)")
    check_filled(statistics, "statistics", "a number")
    if set(nulls) != set(statistics):
        raise ValueError(
            f"statistics must have the names of nulls, {_listed(nulls)}, got {_listed(statistics)}. "
            "Both come from one TestResult each."
        )
    shuffled = {name: as_vector(null, f"nulls[{name!r}]") for name, null in nulls.items()}
    real = as_vector([statistics[name] for name in nulls], "statistics")
    ax = axes_or_new(ax, (7.2, _height(len(nulls), 1.2)))
    for row, values in enumerate(shuffled.values()):
        ax.scatter(
            values,
            np.full(len(values), row),
            s=_row_area(ax, len(nulls), 150),
            marker="|",
            color=MUTED,
            linewidth=0.8,
            alpha=0.55,
        )
    mark(
        ax,
        real,
        range(len(nulls)),
        GroupStyle(PALETTE[1], "D"),
        area=_row_area(ax, len(nulls), 70),
        label="as they are",
    )
    ax.scatter([], [], s=110, marker="|", color=MUTED, linewidth=1.2, label="shuffled")
    legend_above(ax)
    tidy(ax)
    _name_rows(ax, list(nulls))
    if min(real.min(), *(values.min() for values in shuffled.values())) >= 0:
        ax.set_xlim(left=0)
    ax.set(ylim=(len(nulls) - 0.4, -0.6), xlabel=with_unit(quantity, unit))
    ax.grid(axis="x", color=FAINT, linewidth=0.6, alpha=0.7)
    return ax
