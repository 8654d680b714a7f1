"""What a principal component does to a representation, from one side of the mean to the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repsim_geo.errors import ShapeError
from repsim_geo.viz._inputs import as_array, as_groups, as_vector
from repsim_geo.viz._names import add_legend, cell_inches, fit, spaced, width
from repsim_geo.viz.looks import (
    DISTANCE_COLORS,
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

_TWO_SIDED, _CHANGES = "RdBu_r", "PuOr_r"
# In sides of a matrix: between two, before the change, from matrices to color bar, and that bar.
_GAP, _WIDE_GAP, _BAR_GAP, _BAR = 0.07, 0.22, 0.1, 0.07
# Share of the height that clouds take; the rest is for their titles.
_PANEL_HEIGHT = 0.83


def component_effects(
    walks: ArrayLike,
    times: ArrayLike,
    classes: Sequence[Hashable] | None = None,
    *,
    shares: ArrayLike | None = None,
    quantity: str = "entry",
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """
    Matrices along each component, and what changes from the first to the last: one row a component.

    For points that are matrices of all pairs of inputs, such as Gram matrices (`AngularCKA`) and
    dissimilarities (`AngularRDM`, `Stress`).

    Parameters
    ----------
    walks : array_like or Tensor, shape (k, q, m, m)
        Matrices at q steps along each of k components, such as
        ``torch.stack([pca.walk(i, times) for i in range(k)])``. Their diagonals are left blank.
    times : array_like or Tensor, shape (q,)
        Where the steps are, in standard deviations, rising; 0 is the mean. Two or more.
    classes : sequence of hashable, optional
        Class of each input. Inputs of a class are put together, in order of first appearance, for rows and
        columns alike; lines separate them, and rows carry the names.
    shares : array_like or Tensor, shape (k,), optional
        Share of the variance that each component explains, between 0 and 1.
    quantity : str
        What the entries of the matrices are.
    unit : str
        Their unit.
    ax : Axes, optional
        Whose place the panels take; a new figure by default.

    Returns
    -------
    Axes
        The same, without lines of its own. Its ``child_axes`` are the panels, row by row with the change last
        in each row, then the two color bars.

    Notes
    -----
    All matrices share one color scale, and all changes another, which is symmetric around zero: what looks
    equal is equal. Components of which the change is pale do little.

    Examples
    --------
    >>> import torch, repsim_geo as rg
    >>> metric = rg.AngularCKA()
    >>> networks = torch.randn(6, 8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> pca = rg.TangentPCA(metric, n_components=2).fit(metric.embed(networks))
    >>> walks = torch.stack([pca.walk(i, [-2, 0, 2]) for i in range(2)])
    >>> ax = component_effects(walks, [-2, 0, 2], ["cat"] * 4 + ["dog"] * 4, shares=[0.4, 0.3])
    >>> [panel.get_xlabel() for panel in ax.child_axes[:4]]
    ['-2 σ', 'mean', '+2 σ', 'change']
    """
    values, times = _check_walks(walks, times, "(k, q, m, m)")
    k, q, m, other = values.shape
    if m != other or m < 2:
        raise ShapeError(
            f"walks must hold square matrices of at least two inputs, (k, q, m, m), got {values.shape}. "
            "component_clouds draws points that are clouds."
        )
    members = None if classes is None else as_groups(classes, m, "classes", "inputs")
    parts = _check_shares(shares, k)
    order = _by_class(members, m)
    values = values[:, :, order][..., order]
    values[..., range(m), range(m)] = np.nan
    changes = values[:, -1] - values[:, 0]

    wide = q + (q - 1) * _GAP + _WIDE_GAP + 1
    high = k + (k - 1) * _GAP + _BAR_GAP + _BAR
    ax = axes_or_new(ax, (min(1.3 + 1.5 * wide, 13.0), 0.9 + 1.5 * high))
    ax.set_axis_off()
    ax.set_box_aspect(high / wide)
    side = 0.75 * min(cell_inches(ax)[0] / wide, cell_inches(ax)[1] / high)
    images: list[Any] = []
    for i, j in itertools.product(range(k), range(q + 1)):
        left = j * (1 + _GAP) + (_WIDE_GAP - _GAP) * (j == q)
        bottom = high - 1 - i * (1 + _GAP)
        panel = ax.inset_axes((left / wide, bottom / high, 1 / wide, 1 / high))
        images.append(
            _draw_matrix(panel, changes[i] if j == q else values[i, j], _limits(values, changes, j == q))
        )
        if i == 0:
            # A label and not a title, since titles of the whole make room for labels.
            panel.xaxis.set_label_position("top")
            name = "change" if j == q else _time(times[j])
            panel.set_xlabel(name, fontsize=9 if side >= 0.6 else 7)
        if members is not None:
            _separate(panel, [members[index] for index in order], side if j == 0 else None)
        if j == 0:
            _name_row(panel, _component(i, parts), side)
    steps = q + (q - 1) * _GAP
    _add_bar(ax, images[0], (0.0, steps / wide), high, with_unit(quantity, unit), steps * side)
    _add_bar(ax, images[q], ((steps + _WIDE_GAP) / wide, 1 / wide), high, with_unit("change", unit), side)
    return ax


def component_clouds(
    walks: ArrayLike,
    times: ArrayLike,
    classes: Sequence[Hashable] | None = None,
    *,
    shares: ArrayLike | None = None,
    unit: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """
    How the inputs move along each component: an arrow from first to last step, one panel a component.

    For points that are clouds, a row for each input, such as those of `AngularShape` and `SizeAndShape`.

    Parameters
    ----------
    walks : array_like or Tensor, shape (k, q, m, p)
        Clouds at q steps along each of k components: ``torch.stack([pca.walk(i, times) for i in range(k)])``;
        p is at least 2.
    times : array_like or Tensor, shape (q,)
        Where the steps are, in standard deviations, rising; 0 is the mean. Two or more.
    classes : sequence of hashable, optional
        Class of each input; decides color and marker.
    shares : array_like or Tensor, shape (k,), optional
        Share of the variance that each component explains, between 0 and 1.
    unit : str
        Unit of the coordinates; both axes of a panel have the same scale.
    legend : bool
        Draw the legend of classes.
    ax : Axes, optional
        Whose place the panels take; a new figure by default.

    Returns
    -------
    Axes
        The same, without lines of its own. Its ``child_axes`` are the panels.

    Notes
    -----
    Each panel is a plane of the p dimensions: across is the direction in which the inputs move most; upward,
    at right angles to it, the one in which they are spread most at the step nearest to the mean, where the
    markers are. The share of the squared movement that this plane shows is written in the panel; the rest
    goes toward the reader or away.

    Examples
    --------
    >>> import torch, repsim_geo as rg
    >>> metric = rg.SizeAndShape(p=3)
    >>> networks = torch.randn(6, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> points = torch.stack([metric.embed(network) for network in networks])
    >>> pca = rg.TangentPCA(metric, n_components=1).fit(points)
    >>> ax = component_clouds(pca.walk(0, [-2, 0, 2])[None], [-2, 0, 2], shares=[0.5], unit="mV")
    >>> ax.child_axes[0].get_xlabel()
    'most movement (mV)'
    """
    values, times = _check_walks(walks, times, "(k, q, m, p)")
    k, _, m, p = values.shape
    if p < 2 or m < 1:
        raise ShapeError(
            f"walks must hold clouds of at least two coordinates, (k, q, m, p), got {values.shape}. "
            "Take a metric with p of at least 2."
        )
    members = [""] * m if classes is None else as_groups(classes, m, "classes", "inputs")
    styles = {"": GroupStyle(PALETTE[5], "o")} if classes is None else group_styles(members)
    parts = _check_shares(shares, k)
    moves = values[:, -1] - values[:, 0]
    still = [i for i in range(k) if not moves[i].any()]
    if still:
        raise ValueError(
            f"walks must move from the first step to the last, got equal clouds for component {still[0]}. "
            "Give the points at different times."
        )
    ax = axes_or_new(ax, (min(0.6 + 3.5 * k, 13.0), 4.7), "compressed")
    ax.set_axis_off()
    ax.set_box_aspect(1 / _PANEL_HEIGHT / (k + 0.34 * (k - 1)))
    mean = int(np.abs(times).argmin())
    for i in range(k):
        step = 1.34 / (k + 0.34 * (k - 1))
        panel = ax.inset_axes((i * step, 0.0, step / 1.34, _PANEL_HEIGHT))
        _draw_moves(panel, values[i, 0], values[i, mean], values[i, -1], members, styles)
        panel.set_title(_component(i, parts), fontsize=9, loc="center", weight="normal", pad=5)
        panel.set_xlabel(with_unit("most movement", unit))
        panel.set_ylabel(with_unit("most spread", unit) if i == 0 else "")
        panel.xaxis.label.set_fontsize(8.5)
        panel.yaxis.label.set_fontsize(8.5)
    for name, look in styles.items():
        mark(ax, [], [], look, area=40, label=str(name) or None)
    ax.scatter(
        [],
        [],
        s=90,
        marker=r"$\rightarrow$",
        color=MUTED,
        label=f"from {_time(times[0])} to {_time(times[-1])}",
    )
    if legend:
        add_legend(ax, beside=False)
    return ax


# ---------------------------------------------------------------------- what came in


def _check_walks(
    walks: ArrayLike, times: ArrayLike, shape: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, steps = as_array(walks, "walks").copy(), as_vector(times, "times")
    if values.ndim != 4 or values.size == 0 or values.shape[1] != len(steps) or len(steps) < 2:
        raise ShapeError(
            f"walks must be {shape}, with a point for each of two or more times, got {values.shape} and "
            f"{len(steps)} times. TangentPCA makes them: torch.stack([pca.walk(i, times) for i in range(k)])."
        )
    if not (np.diff(steps) > 0).all():
        raise ValueError(
            f"times must rise, got {steps.tolist()}. Sort them, and the steps of walks with them."
        )
    return values, steps


def _check_shares(shares: ArrayLike | None, k: int) -> NDArray[np.float64] | None:
    if shares is None:
        return None
    parts = as_vector(shares, "shares")
    if len(parts) != k:
        raise ShapeError(
            f"shares must have one entry for each of {k} components, got {len(parts)}. "
            "explained_variance_ratio_[:k] has them."
        )
    return parts


def _by_class(classes: list[Any] | None, m: int) -> NDArray[np.intp]:
    if classes is None:
        return np.arange(m)
    rank = {name: i for i, name in enumerate(dict.fromkeys(classes))}
    return np.argsort([rank[name] for name in classes], kind="stable")


def _time(time: float) -> str:
    return "mean" if time == 0 else f"{time:+g} σ"


def _component(i: int, shares: NDArray[np.float64] | None) -> str:
    share = "" if shares is None else f"\n{100 * shares[i]:.0f} % of the variance"
    return f"component {i + 1}{share}"


def _name_row(panel: Axes, name: str, inches: float) -> None:
    """Name of a component and its share, with as many words as fit beside the row."""
    versions = [name, name.replace(" of the variance", " of variance"), name.replace(" of the variance", "")]
    room = inches / 7.0
    name = next((text for text in versions if width(text.split("\n"), 1.0) <= room), versions[-1])
    panel.set_ylabel(name, fontsize=min(8.5, max(4.5, 0.88 * inches / width(name.split("\n"), 1.0))))


# ---------------------------------------------------------------------- matrices


def _limits(
    values: NDArray[np.float64], changes: NDArray[np.float64], of_change: bool
) -> tuple[float, float, str]:
    """Color limits and colors."""
    shown = changes if of_change else values
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if of_change or low < 0 < high:
        reach = max(-low, high) or 1.0
        return -reach, reach, _CHANGES if of_change else _TWO_SIDED
    return low, high, DISTANCE_COLORS


def _draw_matrix(panel: Axes, matrix: NDArray[np.float64], limits: tuple[float, float, str]) -> Any:
    low, high, colors = limits
    image = panel.imshow(matrix, cmap=colors, vmin=low, vmax=high, aspect="equal")
    panel.set_facecolor("#eef0f3")
    panel.spines[:].set_color(FAINT)
    panel.set(xticks=[], yticks=[])
    return image


def _separate(panel: Axes, ordered: list[Any], inches: float | None) -> None:
    """Lines between classes; with a height in inches also their names."""
    m = len(ordered)
    edges = [0] + [i for i in range(1, m) if ordered[i] != ordered[i - 1]] + [m]
    for edge in edges[1:-1]:
        panel.axhline(edge - 0.5, color=INK, linewidth=0.4)
        panel.axvline(edge - 0.5, color=INK, linewidth=0.4)
    if inches is None:
        return
    middles = [(a + b - 1) / 2 for a, b in itertools.pairwise(edges)]
    size = min(8.0, fit(len(middles), inches).size)
    kept = spaced(middles, 1.12 * size / 72 / inches * m)
    panel.set_yticks([middles[i] for i in kept], [str(ordered[edges[i]]) for i in kept])
    panel.tick_params(length=0, labelsize=size, pad=3)


def _add_bar(
    ax: Axes, image: Any, across: tuple[float, float], high: float, label: str, inches: float
) -> None:
    left, width = across
    inner = 0.04 * width
    place = ax.inset_axes((left + inner, 0.0, width - 2 * inner, _BAR / high))
    bar = ax.figure.colorbar(image, cax=place, orientation="horizontal")
    small = inches < 1.0
    bar.set_label(label, fontsize=7.5 if small else 8.5)
    low, top = image.get_clim()
    if small and low < 0:
        end = _round_below(top)
        bar.set_ticks([-end, end], labels=[f"{-end:g}", f"{end:g}"])
    else:
        bar.locator = _few_ticks(3)
        bar.update_ticks()
    bar.outline.set_edgecolor(FAINT)
    place.tick_params(length=2, labelsize=5.0 if small else 7.5)


def _round_below(value: float) -> float:
    """The largest number of one digit that is not larger than a positive one."""
    power = 10.0 ** math.floor(math.log10(value))
    return math.floor(value / power) * power


def _few_ticks(n: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=n)


# ---------------------------------------------------------------------- clouds


def _plane(mean: NDArray[np.float64], moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction of most movement, and that of most spread at right angles to it; (p, 2)."""
    first = np.linalg.svd(moves)[2][0]
    centered = mean - mean.mean(0)
    second = np.linalg.svd(centered - np.outer(centered @ first, first))[2]
    second = next(axis for axis in second if abs(axis @ first) < 0.5)
    second = second - (second @ first) * first
    axes = np.stack([first, second / np.linalg.norm(second)], 1)
    return axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])


def _draw_moves(
    panel: Axes,
    start: NDArray[np.float64],
    mean: NDArray[np.float64],
    end: NDArray[np.float64],
    members: list[Any],
    styles: dict[Any, GroupStyle],
) -> None:
    plane = _plane(mean, end - start)
    moves = end - start
    tails, middles, arrows = start @ plane, mean @ plane, moves @ plane
    for name, look in styles.items():
        chosen = np.array([member == name for member in members])
        mark(panel, *middles[chosen].T, look, area=0.45 * marker_area(len(members), panel))
        panel.quiver(
            *tails[chosen].T,
            *arrows[chosen].T,
            color=look.color,
            angles="xy",
            scale_units="xy",
            scale=1,
            units="inches",
            width=0.013,
            headwidth=4.5,
            headlength=5.5,
            headaxislength=5,
            alpha=0.8,
            zorder=2,
        )
    panel.update_datalim(np.concatenate([tails, tails + arrows]))
    panel.autoscale_view()
    tidy(panel)
    small = cell_inches(panel)[0] < 2.0
    panel.tick_params(labelsize=6.5 if small else 8)
    panel.locator_params(nbins=3 if small else 5)
    panel.set_aspect("equal", adjustable="datalim")
    panel.margins(0.06, 0.14)  # above, for the share
    panel.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    share = float((arrows**2).sum() / (moves**2).sum())
    panel.text(
        0.02,
        0.985,
        f"{100 * share:.0f} % of the movement",
        transform=panel.transAxes,
        fontsize=6 if small else 7.5,
        color=MUTED,
        va="top",
        zorder=4,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )
