"""Colors, markers and typography shared by all pictures."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import ArrayLike

from repsim_geo._extras import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#22252b"
MUTED = "#6b7280"
FAINT = "#d5d8de"
DISTANCE_COLORS = "viridis"

# Okabe and Ito's colors in an order that puts warm before cool; their yellow and black, which vanish or
# dominate as lines on white, are replaced by wine and indigo of Paul Tol's muted scheme.
PALETTE = ("#E69F00", "#D55E00", "#CC79A7", "#882255", "#56B4E9", "#0072B2", "#009E73", "#332288")
MARKERS = ("s", "D", "P", "X", "o", "^", "v", "h")
_MARKER_AREAS = {"P": 1.7, "X": 1.6, "D": 0.85, "h": 1.2}

_TYPOGRAPHY = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlepad": 10.0,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 160,
}


class GroupStyle(NamedTuple):
    """
    How the members of a group are drawn.

    Attributes
    ----------
    color : str
        Hexadecimal color.
    marker : str
        Matplotlib marker.
    """

    color: str
    marker: str


def group_styles(groups: Iterable[Hashable]) -> dict[Any, GroupStyle]:
    """
    Color and marker of every group, in order of first appearance.

    Parameters
    ----------
    groups : iterable of hashable
        Group of every point, or the group names once each.

    Returns
    -------
    dict of group to GroupStyle
        Eight colors and eight markers; with more groups they start again in other combinations.

    Examples
    --------
    >>> group_styles(["MLP", "MLP", "CNN"])["CNN"].marker
    'D'
    """
    names = list(dict.fromkeys(groups))
    n = len(PALETTE)
    return {name: GroupStyle(PALETTE[i % n], MARKERS[(i + i // n) % n]) for i, name in enumerate(names)}


@contextmanager
def style() -> Iterator[None]:
    """
    Use the package's typography for figures that are made inside the block.

    Examples
    --------
    >>> with style():
    ...     pass
    """
    matplotlib = need("matplotlib", "plots", "A picture")
    with matplotlib.rc_context(_TYPOGRAPHY):
        yield


def mark(
    ax: Axes, x: ArrayLike, y: ArrayLike, look: GroupStyle, *, area: float, label: str | None = None
) -> None:
    """Markers with a white rim; thin shapes are drawn larger, so that all look equally big."""
    area *= _MARKER_AREAS.get(look.marker, 1.0)
    ax.scatter(
        x,
        y,
        s=area,
        marker=look.marker,
        color=look.color,
        edgecolor="white",
        linewidth=0.7,
        label=label,
        zorder=3,
    )


def axes_inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes as they are placed before anything is laid out."""
    place = ax.get_position(original=True)
    width, height = place.width * ax.figure.bbox.width, place.height * ax.figure.bbox.height
    return width / ax.figure.dpi, height / ax.figure.dpi


def marker_area(n: int, ax: Axes) -> float:
    """Of each of n markers, in square points: smaller where there are many, or little room."""
    return max(10.0, min(58.0, 58.0 * 40 / n) * min(1.0, min(axes_inches(ax)) / 3.5))


def axes_or_new(ax: Axes | None, size: tuple[float, float], layout: str = "constrained") -> Axes:
    """The given axes, or axes in a new figure of ``size`` inches; "compressed" is for a fixed shape."""
    if ax is not None:
        return ax
    pyplot = need("matplotlib.pyplot", "plots", "A picture")
    with style():
        return pyplot.subplots(figsize=size, layout=layout)[1]


def with_unit(quantity: str, unit: str) -> str:
    """Axis label such as ``distance (radians)``."""
    return f"{quantity} ({unit})" if unit else quantity


def tidy(ax: Axes) -> None:
    """Leave only the lines that carry information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(length=3, labelsize=9 if axes_inches(ax)[0] >= 3.3 else 7.5)
    ax.set_axisbelow(True)
