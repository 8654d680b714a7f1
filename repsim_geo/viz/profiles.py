"""Distances along a geodesic, and distances to means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from repsim_geo.viz._style import (
    FAINT,
    INK,
    MUTED,
    PALETTE,
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
