"""Names that stay legible: sizes by the room there is, and names beside points that do not overlap."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repsim_geo.viz.looks import MUTED, axes_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

LARGEST, SMALLEST = 9.0, 5.0
# Of the font: from line to line, and the width of a letter of DejaVu Sans, on average.
LEADING, _LETTER = 1.12, 0.58
# What matplotlib leaves of a cell to its axes before anything is laid out.
_USUAL_SHARE = 0.77


class Fit(NamedTuple):
    """
    How a column of names is written.

    Attributes
    ----------
    size : float
        Of the font, in points.
    step : int
        Every ``step``-th name is written: 1 where all of them are.
    """

    size: float
    step: int


def fit(n: int, inches: float) -> Fit:
    """
    The largest font in which n names fit under each other.

    Parameters
    ----------
    n : int
    inches : float
        Room for all of them.

    Returns
    -------
    Fit

    Examples
    --------
    >>> fit(10, 4.0)
    Fit(size=9.0, step=1)
    >>> fit(100, 4.0)
    Fit(size=5.0, step=2)
    """
    room = 72 * max(inches, 1e-3) / max(n, 1)
    size = min(LARGEST, math.floor(2 * room / LEADING) / 2)
    if size >= SMALLEST:
        return Fit(size, 1)
    return Fit(SMALLEST, math.ceil(LEADING * SMALLEST / room))


def width(names: Sequence[str], size: float) -> float:
    """
    Inches that the longest of some names takes, nearly.

    Parameters
    ----------
    names : sequence of str
    size : float
        Of the font, in points.

    Returns
    -------
    float
    """
    return _LETTER * size / 72 * max(map(len, names), default=0)


def turned(room: float, longest: float, size: float) -> dict[str, Any]:
    """
    How names under the columns of a picture are turned: as little as keeps them apart.

    Parameters
    ----------
    room : float
        From one name to the next, in inches.
    longest : float
        Width of the longest, in inches.
    size : float
        Of the font, in points.

    Returns
    -------
    dict
        Looks of the labels.

    Examples
    --------
    >>> turned(1.0, 0.6, 9.0)
    {}
    >>> turned(0.3, 0.6, 9.0)["rotation"], turned(0.15, 0.6, 9.0)["rotation"]
    (45, 90)
    """
    if longest <= 0.9 * room:
        return {}
    if LEADING * size / 72 <= room * math.sqrt(0.5):
        return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    return {"rotation": 90, "ha": "center", "rotation_mode": "default"}


def cell_inches(ax: Axes) -> NDArray[np.float64]:
    """
    Width and height of the part of the figure that belongs to some axes, with room for their labels.

    Parameters
    ----------
    ax : Axes

    Returns
    -------
    ndarray, shape (2,)
    """
    whole = np.array(ax.figure.bbox.size) / ax.figure.dpi
    return np.minimum(np.array(axes_inches(ax)) / _USUAL_SHARE, whole)


def spaced(positions: Sequence[float], least: float) -> list[int]:
    """
    Which of some rising positions to keep so that neighbors are not closer than ``least``, from the first on.

    Parameters
    ----------
    positions : sequence of float
    least : float

    Returns
    -------
    list of int

    Examples
    --------
    >>> spaced([0.0, 1.0, 3.0, 3.5, 6.0], 2.0)
    [0, 2, 4]
    """
    kept: list[int] = []
    for i, position in enumerate(positions):
        if not kept or position - positions[kept[-1]] >= least:
            kept.append(i)
    return kept


def write_beside(
    ax: Axes,
    points: NDArray[np.float64],
    names: Sequence[str],
    *,
    area: float,
    others: NDArray[np.float64] | None = None,
) -> None:
    """
    A name beside each point where there is room; how many found none is said in a corner.

    Parameters
    ----------
    ax : Axes
    points : ndarray, shape (n, 2)
    names : sequence of str
        Those that come first have the choice.
    area : float
        Of the markers, in square points.
    others : ndarray, shape (k, 2), optional
        Other marks that no name may hide.

    Notes
    -----
    Where the room is turns out when the figure is drawn, with its final size and limits.
    """
    from matplotlib.patheffects import withStroke

    size = 8.0 if cell_inches(ax)[0] >= 4.5 else 6.5
    halo = [withStroke(linewidth=1.8, foreground="white", alpha=0.8)]
    texts = [
        ax.annotate(
            name, point, xytext=(5, 5), textcoords="offset points", fontsize=size, zorder=4, path_effects=halo
        )
        for point, name in zip(points, names, strict=True)
    ]
    note = ax.text(
        0.995, 0.008, "", transform=ax.transAxes, ha="right", va="bottom", fontsize=7, color=MUTED, zorder=4
    )
    for text in [*texts, note]:
        text.set_in_layout(False)
    marks = points if others is None else np.concatenate([points, others])
    # Half of a marker, those with thin arms being larger, and a rim.
    ax.add_artist(_arranger()(marks, texts, note, 0.6 * math.sqrt(area) + 0.4))


# Where a name goes: direction from its mark, and which side of the name is there.
_PLACES = (
    (1, 1, "left", "bottom"),
    (1, -1, "left", "top"),
    (-1, 1, "right", "bottom"),
    (-1, -1, "right", "top"),
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
)
_SHARES = {"left": 0.0, "right": 1.0, "bottom": 0.0, "top": 1.0, "center": 0.5}


@functools.cache
def _arranger() -> Any:
    """An artist that shows nothing; its turn comes before that of the names, which it moves."""
    from matplotlib.artist import Artist

    class Arranger(Artist):
        def __init__(self, marks: NDArray[np.float64], texts: list[Text], note: Text, half: float):
            super().__init__()
            self.marks, self.texts, self.note, self.half = marks, texts, note, half
            self.set_zorder(0)
            self.set_in_layout(False)

        def draw(self, renderer: Any) -> None:
            _arrange(renderer, self.marks, self.texts, self.note, self.half)

    return Arranger


def _arrange(
    renderer: Any,
    marks: NDArray[np.float64],
    texts: list[Text],
    note: Text,
    half: float,
    noted: NDArray[np.float64] | None = None,
) -> None:
    """Names beside the first of the marks, where they hide neither a mark nor each other nor the note."""
    ax: Any = note.axes
    pixels = renderer.points_to_pixels(1.0)
    where = ax.transData.transform(marks)
    frame = np.array(ax.bbox.extents)
    inside = ((where >= frame[:2]) & (where <= frame[2:])).all(1)
    taken = np.concatenate([where - half * pixels, where + half * pixels], 1)
    taken = taken if noted is None else np.vstack([taken, noted])
    for i, text in enumerate(texts):
        extent = renderer.get_text_width_height_descent(text.get_text(), text.get_fontproperties(), False)
        size = np.array(extent[:2])
        box = _first_free(where[i], size, half * pixels, taken, frame) if inside[i] else None
        text.set_visible(box is not None)
        if box is not None:
            x, y, across, along = _PLACES[box[0]]
            text.set(position=(half * x, half * y), horizontalalignment=across, verticalalignment=along)
            taken = np.vstack([taken, box[1]])
    hidden = sum(not text.get_visible() for text in texts)
    note.set_text(f"no room for {hidden} of {len(texts)} names" if hidden else "")
    if hidden and noted is None:
        box = np.array(note.get_window_extent(renderer).extents)
        _arrange(renderer, marks, texts, note, half, box)


def _first_free(
    point: NDArray[np.float64],
    size: NDArray[np.float64],
    half: float,
    taken: NDArray[np.float64],
    frame: NDArray[np.float64],
) -> tuple[int, NDArray[np.float64]] | None:
    """Number and box (left, bottom, right, top) of the first place where a name hides nothing."""
    for number, (x, y, across, along) in enumerate(_PLACES):
        low = point + half * np.array([x, y]) - size * np.array([_SHARES[across], _SHARES[along]])
        high = low + size
        within = (low >= frame[:2]).all() and (high <= frame[2:]).all()
        # A name touches the corner of its own mark.
        apart = (low >= taken[:, 2:] - 1e-6).any(1) | (high <= taken[:, :2] + 1e-6).any(1)
        if within and apart.all():
            return number, np.concatenate([low, high])
    return None


def name_axes(ax: Axes, x: str, y: str, *, below: float = 0.0) -> None:
    """
    Labels of both axes, in a font in which they are not longer than the axes.

    Parameters
    ----------
    ax : Axes
    x, y : str
        Where the font would be small, the unit goes to a line of its own.
    below : float
        Inches that a legend takes below the axes.
    """
    across, along = cell_inches(ax)
    room = {"x": 0.8 * across, "y": 0.85 * along - below - 0.4}
    for axis, label in (("x", x), ("y", y)):
        lines = [label]
        if _label_size(lines, room[axis]) < 7.0:
            lines = label.replace(" (", "\n(").split("\n")
        axis_of = getattr(ax, f"{axis}axis")
        axis_of.set_label_text("\n".join(lines), fontsize=_label_size(lines, room[axis]))


def _label_size(lines: Sequence[str], inches: float) -> float:
    return min(10.0, max(SMALLEST, inches / max(width(lines, 1.0), 1e-3)))


# ---------------------------------------------------------------------- legends

_MOST_ENTRIES = 40
_BELOW_AXES = 36.0


def add_legend(ax: Axes, *, beside: bool = True, below: float = _BELOW_AXES, side: str = "center") -> float:
    """
    Legend of all that has a label, outside of the axes, in as many columns as the figure has room for.

    Parameters
    ----------
    ax : Axes
    beside : bool
        To the right, unless it would take more than a third of the width; else below.
    below : float
        Points to leave for what the axes have below them.
    side : str
        "center", or "right" to end where the axes end, if it is below.

    Returns
    -------
    float
        Inches that it takes below the axes, nearly.

    Notes
    -----
    At most 40 entries are written; the last line tells how many more there are.
    """
    handles, names = ax.get_legend_handles_labels()
    if not names:
        return 0.0
    if len(names) > _MOST_ENTRIES:
        left = len(names) - _MOST_ENTRIES + 1
        handles, names = [*handles[:-left], _nothing()], [*names[:-left], f"and {left} more"]
    across, along = cell_inches(ax)
    few = len(names) <= 12
    size = (LARGEST if few else 8.0) if across >= 4.5 else (7.5 if few else 6.0)
    spacing = 0.75 if few else 0.4
    looks = {"frameon": False, "fontsize": size, "handletextpad": 0.4, "handlelength": 1.4}
    entry = width(names, size) + 2.8 * size / 72
    columns = math.ceil(len(names) / max(1, math.floor(0.85 * along / ((1.16 + spacing) * size / 72))))
    if beside and columns * entry <= 0.34 * across:
        looks |= {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "borderaxespad": 0.4}
        ax.legend(handles, names, ncols=columns, columnspacing=1.0, labelspacing=spacing, **looks)
        return 0.0
    corner = (1.0 if side == "right" else 0.5, 0.0)
    looks |= {"loc": f"upper {side}", "bbox_to_anchor": corner, "borderaxespad": below / size}
    columns = _columns(len(names), entry, across)
    ax.legend(handles, names, ncols=columns, columnspacing=1.2, labelspacing=0.4, **looks)
    return math.ceil(len(names) / columns) * 1.56 * size / 72


def legend_above(ax: Axes) -> None:
    """
    Legend between the axes and their title, for pictures of rows.

    Parameters
    ----------
    ax : Axes
    """
    names = ax.get_legend_handles_labels()[1]
    across = cell_inches(ax)[0]
    size = LARGEST if across >= 4.5 else 7.5
    entries = [width([name], size) + 3.2 * size / 72 for name in names]
    columns = len(names) if sum(entries) <= 0.8 * across else _columns(len(names), max(entries), 0.8 * across)
    ax.legend(
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        fontsize=size,
        columnspacing=1.6,
        handletextpad=0.4,
        labelspacing=0.4,
        borderaxespad=0,
    )


def _columns(n: int, entry: float, across: float) -> int:
    """As many as fit, and no more than the rows that they make can fill."""
    most = max(1, math.floor(0.85 * across / entry))
    return math.ceil(n / math.ceil(n / most))


def _nothing() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none")
