"""How all distances will be computed, what that costs, and what else it could be."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from repsim_geo.embeddings.matrix_form import UNBIASED, MatrixForm
from repsim_geo.pairwise.networks import READ_ELEMENTS

# Entries of the blocks of all networks together: no fewer, for speed, and no more where nothing is gained.
_FEWEST, _MOST = 2**19, 2**27
# Inputs on a side of a block with which matrix products are fast, and fewest that make sense.
_GOOD_SIDE, _SMALLEST_SIDE = 256, 16
# Units on a side of a cross-product of units: with which products are fast, in memory, and where wider ones
# save reading. Operations of one that workers can share.
_GOOD_COLUMNS, _SOME_COLUMNS, _MOST_COLUMNS = 512, 1448, 8192
_TILE_FLOPS = 1e10
# Networks on a side of a tile of distances of points.
DEFAULT_BLOCK = 16
# Operations that an entry of a matrix costs, besides matrix products.
_ENTRY = {"gram": 2, "squared": 12, "plain": 16, "cosine": 14, "correlation": 14}
# Buffers of the size of a block that exist at once.
_BUFFERS, _BUFFERS_OF_DISTANCES, _BUFFERS_OF_LENGTHS = 3, 9, 12
# Bytes of what is formed between points and distances, at least and at most.
_SOME_BETWEEN, _BETWEEN = 2**26, 2**28
# Entries of blocks that are worked on together, entry by entry, so that they stay in the cache.
CACHED_ELEMENTS = 2**18
# Entries of all distances between inputs from which lengths are chosen; above, they are looked at in blocks.
_WHOLE = 2**24
# Numbers that are read at once, however little memory there is.
_SMALLEST_READ = 2**12
_NO_ROOM = "not in this memory"
_PREFIXES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True)
class Route:
    """
    One way to all distances.

    Attributes
    ----------
    name : str
        "tiles": blocks of inputs of (m, m) matrices; "features": cross-products of units; "points": points,
        or what `prepare` makes of networks.
    flops : float
        Floating-point operations; nan where nobody has counted them.
    memory : int
        Bytes at the peak, beyond activations that are in memory.
    reads : int
        Bytes that are read from files.
    size : int
        Inputs, units or networks on a side of a tile.
    keep : bool
        Whether prepared networks stay in memory.
    tiles : int
    against : str
        Why not, if it is not possible.
    """

    name: str
    flops: float
    memory: int
    reads: int
    size: int
    keep: bool = True
    tiles: int = 1
    against: str = ""


@dataclass(frozen=True)
class Plan:
    """
    What `pairwise` will do, and what else it could.

    Attributes
    ----------
    what : str
        Metric and sizes.
    route : Route
        The one that is taken.
    others : tuple of Route
    budget : int
        Bytes that may be used beyond activations in memory.
    seconds : float
        Predicted from a sample of the work, with one worker; nan if none was done.
    """

    what: str
    route: Route
    others: tuple[Route, ...]
    budget: int
    seconds: float = math.nan

    def __str__(self) -> str:
        lines = [self.what, f"  {'route':9s} {'operations':>11s} {'memory':>9s} {'reads':>9s} {'tiles':>7s}"]
        for route in (self.route, *self.others):
            flops = "unknown" if math.isnan(route.flops) else f"{route.flops:.2g}"
            sizes = f"{size_text(route.memory):>9s} {size_text(route.reads):>9s} {route.tiles:7d}"
            why = "taken" if route is self.route else route.against or "dearer"
            lines.append(f"  {route.name:9s} {flops:>11s} {sizes}  {why}")
        time = "" if math.isnan(self.seconds) else f"; about {_time_text(self.seconds)} with one worker"
        lines.append(f"  memory budget {size_text(self.budget)}{time}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Sizes:
    """
    What a plan depends on.

    Attributes
    ----------
    m : int
        Inputs.
    widths : tuple of int
        Units of all networks.
    first : int or None
        The first so many networks are compared with the others; None compares all with all.
    itemsize : int
        Bytes of a number.
    resident : bool
        Whether all networks are in memory.
    budget, workers : int
    """

    m: int
    widths: tuple[int, ...]
    first: int | None
    itemsize: int
    resident: bool
    budget: int
    workers: int

    @property
    def n(self) -> int:
        """Number of all networks."""
        return len(self.widths)

    @property
    def pairs(self) -> float:
        """Number of pairs that are compared."""
        return self.n * (self.n - 1) / 2 if self.first is None else self.first * (self.n - self.first)

    @property
    def read(self) -> int:
        """Numbers that are read from files at once, by a worker."""
        return max(_SMALLEST_READ, min(READ_ELEMENTS, self.budget // (16 * self.itemsize * self.workers)))

    @property
    def whole(self) -> int:
        """Entries of all distances between inputs that may be held at once, to choose lengths from."""
        return min(_WHOLE, self.budget // (4 * 8 * _BUFFERS_OF_LENGTHS))

    @property
    def table(self) -> int:
        """Bytes of tables of all pairs, as float64, while they are put together."""
        return 8 * 6 * int(self.pairs + self.n)


def tiles_route(sizes: Sizes, form: MatrixForm) -> Route:
    """Route through blocks of inputs."""
    m, n, total, item = sizes.m, sizes.n, sum(sizes.widths), sizes.itemsize
    buffers = _BUFFERS if form.kind == "gram" and form.linear else _BUFFERS_OF_DISTANCES
    fixed = sizes.table + 8 * n * m + (total * m * item if sizes.resident else 0)
    if form.rules or form.units:
        together = max(1, CACHED_ELEMENTS // m**2)
        fixed += _BUFFERS_OF_LENGTHS * item * min(sizes.whole, together * m**2)
    room = max(0, sizes.budget - fixed) // (item * sizes.workers)
    wanted = min(_MOST, max(_FEWEST, n * _GOOD_SIDE**2)) if sizes.resident else 2**40
    # A block of n matrices, t by t, in some buffers, and its 2 t rows of all networks.
    side = int((math.sqrt(total**2 + n * buffers * room) - total) / (n * buffers))
    side = max(1, min(m, side, math.isqrt(wanted // n)))
    least = min(m, _SMALLEST_SIDE)
    against, side = ("", side) if side >= least else (_NO_ROOM, least)
    blocks = math.ceil(m / side)
    operations = m**2 * (total + n * _ENTRY[form.kind]) + 2 * m**2 * sizes.pairs
    return Route(
        "tiles",
        float(operations),
        fixed + sizes.workers * item * (n * buffers * side**2 + 2 * total * side),
        0 if sizes.resident else int((1 + (blocks + 1) / 2) * m * total * item),
        side,
        tiles=blocks * (blocks + 1) // 2,
        against=against,
    )


def features_route(sizes: Sizes, form: MatrixForm, pair: float = 0.0) -> Route:
    """Route through cross-products of units; `pair` is what is done with each, in operations."""
    m, n, total, item = sizes.m, sizes.n, sum(sizes.widths), sizes.itemsize
    widest = max(sizes.widths)
    fixed = sizes.table + 8 * n * n + (8 * n * m if form.diagonals_matter else 0)
    if sizes.resident:
        fixed += total * m * item
    # A cross-product, what it is added to, and its squares; and the rows that are multiplied.
    each, room = item + 16, max(0, sizes.budget - fixed) / sizes.workers
    if sizes.resident:
        rows, read = 2 * m * item, 0
        most = max(_GOOD_COLUMNS, min(_SOME_COLUMNS, math.isqrt(int(_TILE_FLOPS / (2 * m)))))
    else:
        rows, read, most = 0, 4 * sizes.read * item, _MOST_COLUMNS
    columns = int((math.sqrt(rows**2 + 4 * each * max(0, room - read)) - rows) / (2 * each))
    columns = min(columns, most)
    against = "" if columns >= widest else _NO_ROOM
    if form.centering is UNBIASED and item == 4 and widest > m:
        against = "float32 would lose digits"
    columns = max(columns, widest)
    passes = math.ceil(total / columns)
    return Route(
        "features",
        float(m) * (total**2 if sizes.first is None else 2 * total**2 / 4) + pair * sizes.pairs,
        int(fixed + sizes.workers * (each * columns**2 + rows * columns + read)),
        0 if sizes.resident else (1 + passes) * m * total * item,
        columns,
        tiles=passes * (passes + 1) // 2,
        against=against,
    )


def points_route(sizes: Sizes, point: tuple[int, ...], pair: float, block: int | None) -> Route:
    """
    Route through points.

    Parameters
    ----------
    sizes : Sizes
    point : tuple of int
        Shape of what is prepared of a network.
    pair : float
        Operations of a distance; nan if nobody knows.
    block : int, optional
        Networks on a side of a tile.
    """
    n, one = sizes.n, math.prod(point) * sizes.itemsize
    # A network as it is read and prepared, and what is formed of a pair: at most a square matrix.
    fixed = sizes.table + 3 * sizes.m * max(sizes.widths) * sizes.itemsize + _SOME_BETWEEN
    of_pair = 32 * min(math.prod(point), point[-1] ** 2 if point else 1)

    def needed(side: int, keep: bool) -> int:
        # Stacks of both sides, and what distances are taken of in float64.
        tile = side * (4 if keep else 6) * one * 8 // sizes.itemsize + min(_BETWEEN, of_pair * side**2)
        return int(fixed + (n * one if keep else 0) + sizes.workers * tile)

    sides = [DEFAULT_BLOCK, 8, 4, 2, 1] if block is None else [int(block)]
    ways = [(side, keep) for keep in (True, False) for side in (min(side, n) for side in sides)]
    fitting = [way for way in ways if needed(*way) <= sizes.budget]
    side, keep = fitting[0] if fitting else ways[-1]
    rows = math.ceil(n / side)
    passes = 1 if keep else (rows + 1) / 2 + 1
    return Route(
        "points",
        sizes.pairs * pair,
        needed(side, keep),
        0 if sizes.resident else int(passes * sizes.m * sum(sizes.widths) * sizes.itemsize),
        side,
        keep,
        rows * (rows + 1) // 2 if sizes.first is None else rows * rows,
        "" if fitting else _NO_ROOM,
    )


def chosen(routes: Sequence[Route], name: str | None, budget: int) -> tuple[Route, tuple[Route, ...]]:
    """
    Route that takes the fewest operations among those that fit, and the others.

    Parameters
    ----------
    routes : sequence of Route
    name : str, optional
        The one that is wanted.
    budget : int

    Raises
    ------
    ValueError
        There is none of that name, or none fits.
    """
    possible = [r for r in routes if name in (None, r.name)]
    if not possible:
        names = " or ".join(repr(r.name) for r in routes)
        raise ValueError(f"route must be {names} for this metric, got {name!r}. None takes the cheapest.")
    fitting = [r for r in possible if not r.against or (name is not None and r.against != _NO_ROOM)]
    if not fitting:
        least = min(possible, key=lambda r: r.memory)
        raise ValueError(
            f"memory must be enough for one tile, got {size_text(budget)}: the smallest tiles of route "
            f"{least.name!r} take {size_text(least.memory)}. Give more, or compare fewer networks at a time."
        )
    best = min(fitting, key=lambda r: r.flops if r.flops == r.flops else math.inf)
    return best, tuple(r for r in routes if r is not best)


def as_bytes(memory: int | float | str | None) -> int:
    """
    Bytes that a budget means.

    Parameters
    ----------
    memory : int, float, str or None
        Bytes, or a text such as "2GB" (powers of 1000) or "512 MiB" (of 1024). None: a quarter of the memory
        of this machine.

    Returns
    -------
    int

    Raises
    ------
    ValueError

    Examples
    --------
    >>> as_bytes("1.5 GB"), as_bytes("1KiB")
    (1500000000, 1024)
    """
    if memory is None:
        return _of_machine() // 4
    if isinstance(memory, Real) and not isinstance(memory, bool) and 0 < memory < math.inf:
        return int(memory)
    match = re.fullmatch(r"\s*(\d+\.?\d*)\s*([kmgt]?)(i?)b?\s*", str(memory).lower())
    if match is None or float(match[1]) == 0:
        raise ValueError(
            f'memory must be a number of bytes, or a text such as "2GB" or "512MiB", got {memory!r}. '
            "None takes a quarter of this machine's."
        )
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _PREFIXES[match[2]])


def size_text(size: int) -> str:
    """Bytes as people read them: "1.5 GB"."""
    value, names = float(size), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(names) > 1:
        value, names = value / 1000, names[1:]
    return f"{value:.3g} {names[0]}"


def _time_text(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:.0f} s"


def _of_machine() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 8 * 2**30
