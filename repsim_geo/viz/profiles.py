"""Distances along a geodesic and to means; regressions and permutation tests."""

from __future__ import annotations

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
    """
    ax = axes_or_new(ax, (7.2, 4.4))
    times, to_start, to_end = as_array(times), as_array(to_start), as_array(to_end)
    ax.plot(times, to_start, color=PALETTE[1], linewidth=2.4, label=f"to {start}", zorder=3)
    ax.plot(times, to_end, color=PALETTE[5], linewidth=2.4, label=f"to {end}", zorder=3)
    ax.plot(
        times, to_start + to_end, color=INK, linewidth=1.4, linestyle="--", label="sum of the two", zorder=3
    )
    if others is not None:
        ax.plot(times, as_array(others), color=MUTED, linewidth=0.7, alpha=0.35)
        ax.plot([], [], color=MUTED, linewidth=0.9, alpha=0.6, label="to each other network")
    tidy(ax)
    ax.set(xlim=(0, 1), xlabel="fraction t along the geodesic", ylabel=with_unit("distance", unit))
    ax.set_ylim(bottom=0)
    ax.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, columnspacing=2.0)
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
    """
    ax = axes_or_new(ax, (7.2, 0.9 + 0.45 * len(to_mean)))
    names = list(to_mean)
    for row, (name, look) in enumerate(group_styles(names).items()):
        values = as_array(to_mean[name])
        ax.barh(
            row, np.sqrt(np.mean(values**2)), height=0.34, color=look.color, alpha=0.28, linewidth=0, zorder=1
        )
        mark(ax, values, np.full(len(values), row), look, area=52)
        if between is not None:
            pairs = as_array(between[name])
            ax.scatter(
                pairs, np.full(len(pairs), row), s=90, marker="|", color=MUTED, linewidth=1.3, zorder=2
            )
    _explain_marks(ax, between is not None)
    tidy(ax)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(0, None), ylim=(len(names) - 0.4, -0.6), xlabel=with_unit("distance", unit))
    ax.grid(axis="x", color=FAINT, linewidth=0.6, alpha=0.7)
    return ax


def _explain_marks(ax: Axes, with_pairs: bool) -> None:
    ax.scatter([], [], s=52, marker="o", color=MUTED, label="network to mean")
    ax.scatter([], [], s=90, marker="s", color=FAINT, label="standard deviation (end of bar)")
    if with_pairs:
        ax.scatter([], [], s=90, marker="|", color=MUTED, linewidth=1.3, label="network to network")
    ax.legend(
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=3,
        columnspacing=1.6,
        handletextpad=0.4,
        borderaxespad=0,
    )


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
    """
    t, y = as_array(covariate), as_array(positions)
    if t.ndim != 1 or t.shape != y.shape:
        raise ShapeError(
            f"covariate and positions must have one entry for each point, got {t.shape} and {y.shape}. "
            "Give both in the order of the points."
        )
    ax = axes_or_new(ax, (7.2, 4.4))
    groups = list(groups) if groups is not None else [""] * len(t)
    ends = np.array([t.min(), t.max()])
    reach = float(ends[1] - ends[0]) or 1.0
    ends = ends + 0.15 * reach * np.array([-1, 1])
    ax.plot(ends, slope * (ends - middle), color=INK, linewidth=1.6, zorder=2, label="geodesic")
    looks = group_styles(groups) | dict(styles or {})
    x = _side_by_side(t, 0.03 * reach)
    for name in dict.fromkeys(groups):
        chosen = np.array([group == name for group in groups])
        mark(ax, x[chosen], y[chosen], looks[name], area=46, label=str(name))
    tidy(ax)
    ax.set_xticks(np.unique(t), [f"{value:g}" for value in np.unique(t)])
    ax.set(xlabel=quantity, ylabel=with_unit("position along the geodesic", unit))
    ax.grid(axis="y", color=FAINT, linewidth=0.6, alpha=0.7)
    if legend:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=0.75)
    return ax


def _side_by_side(t: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Points with one value moved apart, in their order, so that none hides another."""
    moved = t.copy()
    for value in np.unique(t):
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
    """
    if set(nulls) != set(statistics):
        raise ValueError(
            f"statistics must have the names of nulls, {sorted(nulls)}, got {sorted(statistics)}. "
            "Both come from one TestResult each."
        )
    ax = axes_or_new(ax, (7.2, 1.2 + 0.45 * len(nulls)))
    for row, null in enumerate(nulls.values()):
        values = as_array(null)
        ax.scatter(
            values, np.full(len(values), row), s=150, marker="|", color=MUTED, linewidth=0.8, alpha=0.55
        )
    mark(
        ax,
        [statistics[name] for name in nulls],
        range(len(nulls)),
        GroupStyle(PALETTE[1], "D"),
        area=70,
        label="as they are",
    )
    ax.scatter([], [], s=110, marker="|", color=MUTED, linewidth=1.2, label="shuffled")
    ax.legend(
        frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, handletextpad=0.4, borderaxespad=0
    )
    tidy(ax)
    ax.set_yticks(range(len(nulls)), list(nulls))
    ax.set(xlim=(0, None), ylim=(len(nulls) - 0.4, -0.6), xlabel=with_unit(quantity, unit))
    ax.grid(axis="x", color=FAINT, linewidth=0.6, alpha=0.7)
    return ax
