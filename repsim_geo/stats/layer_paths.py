"""Networks as paths of layers: how far they get on the way to a target, and the mean path of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._checks import check_count
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.functional import check_points, geodesic, project_to_geodesic
from repsim_geo.manifolds.paths import arc_lengths, path_axis, path_length, straightness, turning_angles
from repsim_geo.numerics.norms import with_axes
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import MOST_NUMBERS, as_points, as_weights, check_room

# ---------------------------------------------------------------------- one path


@dataclass(frozen=True)
class Progress:
    """
    Where the layers of a network are on the way from a start to an end.

    Attributes
    ----------
    t : Tensor, shape (*batch, k)
        Fraction of the geodesic from start to end at which its point nearest to the layer lies: 0 is the
        start, 1 the end.
    deviation : Tensor, shape (*batch, k)
        Distance of the layer to that point.
    to_start, to_end : Tensor, shape (*batch, k)
        Distances of the layer to the two ends.
    converged : Tensor, shape (*batch, k), bool
        Whether `t` is a minimum to the last digits; see `project_to_geodesic`.
    """

    t: Tensor
    deviation: Tensor
    to_start: Tensor
    to_end: Tensor
    converged: Tensor


def path_progress(manifold: Manifold, points: Tensor, start: Tensor, end: Tensor) -> Progress:
    """
    Project every layer of a network to the geodesic from `start` to `end`.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``inner`` and ``dist``.
    points : Tensor, shape (*batch, k, *point)
        Layers of a network, or of several.
    start : Tensor, shape (*batch, *point)
        For example the inputs, or the first layer.
    end : Tensor, shape (*batch, *point)
        For example the labels, or the last layer.

    Returns
    -------
    Progress
        Fraction `t`, without dimension; deviation and plain distances to both ends, in the unit of the
        distance.

    Warns
    -----
    CutLocusWarning
        Where `start` and `end` are antipodes: one of their geodesics is taken.

    Notes
    -----
    As Lange et al. (2023) measure the progress of a network. Neither number says all: a layer beside the
    geodesic can lie halfway along it and yet be farther from the target than the start is, which
    ``to_end`` tells.

    Where it is delicate: `t` jumps where several points of the geodesic are equally near. If `start` and
    `end` coincide, it is zero and the deviation is the distance to both. A nan in a layer stays there.

    References
    ----------
    Lange et al. 2023.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> layers = torch.tensor([[0.0, 0.0], [1.0, 2.0], [4.0, 0.0]])
    >>> along = path_progress(Flat(ndim=1), layers, layers[0], layers[-1])
    >>> along.t, along.deviation
    (tensor([0.0000, 0.2500, 1.0000]), tensor([0., 2., 0.]))
    """
    axis = path_axis(manifold, points)
    check_points(manifold, start=start, end=end)
    start, end = start.unsqueeze(axis), end.unsqueeze(axis)
    nearest = project_to_geodesic(manifold, start, end, points)
    return Progress(
        t=nearest.t,
        deviation=nearest.distance,
        to_start=manifold.dist(start, points),
        to_end=manifold.dist(points, end),
        converged=nearest.converged,
    )


@dataclass(frozen=True)
class PathDescription:
    """
    What can be said of a network as a path; prints as a table.

    One path prints a row for every layer, several print a row for every path.

    Attributes
    ----------
    length : Tensor, shape (*batch)
        Sum of the steps.
    straightness : Tensor, shape (*batch)
        Distance from first to last layer over the length; 1 on a geodesic.
    steps : Tensor, shape (*batch, k - 1)
        Distances of consecutive layers.
    turning_angles : Tensor, shape (*batch, max(k - 2, 0))
        Radians, at the inner layers: 0 is straight on, pi is back.
    progress : Progress
        Along the geodesic from the first layer to the target.
    names : tuple of str
        Of the layers.
    """

    length: Tensor
    straightness: Tensor
    steps: Tensor
    turning_angles: Tensor
    progress: Progress
    names: tuple[str, ...]

    def __str__(self) -> str:
        return self._layers() if self.length.dim() == 0 else self._paths()

    def _layers(self) -> str:
        """One row a layer."""
        nothing = self.length.new_full((1,), torch.nan)
        turns = torch.cat([nothing, self.turning_angles, nothing])[: len(self.names)]
        along = self.progress
        columns = {
            "layer": self.names,
            "step": torch.cat([nothing, self.steps]),
            "turn": turns,
            "t": along.t,
            "deviation": along.deviation,
            "to target": along.to_end,
        }
        title = f"length {_short(self.length)}, straightness {_short(self.straightness)}"
        return f"{title}\n{_table(columns)}"

    def _paths(self) -> str:
        """One row a path."""
        along, k = self.progress, len(self.names)
        columns = {
            "path": [",".join(map(str, i)) for i in np.ndindex(*self.length.shape)],
            "length": self.length,
            "straightness": self.straightness,
            "mean turn": self.turning_angles.mean(-1),
            "last t": along.t[..., -1],
            "largest deviation": along.deviation.amax(-1),
            "to target": along.to_end[..., -1],
        }
        return f"{self.length.numel()} paths of {k} layers\n{_table(columns)}"


def describe_path(
    manifold: Manifold, points: Tensor, target: Tensor | None = None, *, names: Sequence[str] | None = None
) -> PathDescription:
    """
    Length, straightness, turns, and progress to a target of a network.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``inner`` and ``dist``.
    points : Tensor, shape (*batch, k, *point)
        Layers of a network, or of several.
    target : Tensor, shape (*batch, *point), optional
        Where the network should get to, such as the labels; by default its last layer.
    names : sequence of k str, optional
        Of the layers, for the table; by default their numbers.

    Returns
    -------
    PathDescription

    Raises
    ------
    ShapeError
        Not a path, or not as many names as layers.

    References
    ----------
    Lange et al. 2023.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> layers = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 0.0]])
    >>> print(describe_path(Flat(ndim=1), layers, torch.tensor([12.0, 0.0])))
    length 10, straightness 0.6
    layer  step   turn     t  deviation  to target
        0     -      -     0          0         12
        1     5  1.855  0.25          4      9.849
        2     5      -   0.5          0          6
    """
    axis = path_axis(manifold, points)
    k = points.shape[axis]
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise TypeError(
            f"names must be a sequence, one for each of the {k} layers, got {names!r}. Name every layer."
        )
    names = tuple(map(str, range(k) if names is None else names))
    if len(names) != k:
        raise ShapeError(f"names must be one for each of the {k} layers, got {len(names)}. Name every layer.")
    first, last = points.select(axis, 0), points.select(axis, -1)
    return PathDescription(
        length=path_length(manifold, points),
        straightness=straightness(manifold, points),
        steps=manifold.dist(points.narrow(axis, 0, k - 1), points.narrow(axis, 1, k - 1)),
        turning_angles=turning_angles(manifold, points),
        progress=path_progress(manifold, points, first, last if target is None else target),
        names=names,
    )


def _short(value: Any) -> str:
    return "-" if value != value else f"{float(value):.4g}"


def _table(columns: dict[str, Any]) -> str:
    """Columns of text or numbers, set flush right; a nan is a dash."""
    cells = [
        [name, *(map(_short, _without_rounding(c).flatten().tolist()) if isinstance(c, Tensor) else c)]
        for name, c in columns.items()
    ]
    widths = [max(map(len, c)) for c in cells]
    rows = zip(*cells, strict=True)
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)


def _without_rounding(x: Tensor) -> Tensor:
    """Zeros in place of what is nothing beside one, or beside the largest; nan stays."""
    largest = x.nan_to_num().abs().amax().clamp_min(1.0) if x.numel() else 1.0
    return torch.where(x.abs() < 16 * torch.finfo(x.dtype).eps * largest, 0.0, x)


def resample_path(manifold: Manifold, points: Tensor, k: int) -> Tensor:
    """
    Points at equal distances along a path.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``, and ``geodesic`` or ``expmap`` and ``logmap``.
    points : Tensor, shape (*batch, n, *point)
        Joined by minimal geodesics.
    k : int
        How many points, at least 2: both ends are among them.

    Returns
    -------
    Tensor, shape (*batch, k, *point)
        On the path, with equal arc lengths between them; repeats of its point if the path does not move.

    Warns
    -----
    CutLocusWarning
        Where consecutive points are antipodes: one of their geodesics is taken.

    Notes
    -----
    The corners of the path are cut: straight distances of the new points are at most the length over k - 1,
    and equal to it on one geodesic piece. Differentiable where no new point crosses a corner.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> resample_path(Flat(ndim=1), torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]]), 3)
    tensor([[0., 0.],
            [1., 1.],
            [1., 3.]])
    """
    _check_points_of_path(k, "k")
    _check_size_of_path(k, "k", points.numel() // points.shape[path_axis(manifold, points)])
    return _resampled(manifold, points, arc_lengths(manifold, points), k)


def _resampled(manifold: Manifold, points: Tensor, arc: Tensor, k: int) -> Tensor:
    """Points at equal steps of the arc length that is given at each point."""
    ndim = manifold.ndim
    axis = -1 - ndim
    first, last = points.narrow(axis, 0, 1), points.narrow(axis, -1, 1)
    if arc.shape[-1] == 1:
        return first.repeat_interleave(k, axis)
    goal = torch.linspace(0, 1, k, dtype=arc.dtype, device=arc.device) * arc[..., -1:]
    # The piece that a goal lies on; the last one for the end of the path.
    piece = torch.searchsorted(arc.detach().contiguous(), goal.detach().contiguous(), right=True) - 1
    piece = piece.clamp(0, arc.shape[-1] - 2)
    start, end = arc.gather(-1, piece), arc.gather(-1, piece + 1)
    still = end == start
    t = torch.where(still, 0.0, (goal - start) / torch.where(still, 1.0, end - start)).clamp(0, 1)
    x, y = (points.take_along_dim(with_axes(i, ndim), axis) for i in (piece, piece + 1))
    inner = geodesic(manifold, with_axes(t, ndim), x, y).narrow(axis, 1, k - 2)
    return torch.cat([first, inner, last], axis)


def _check_points_of_path(n: Any, name: str) -> None:
    check_count(n, name, " of points", "A path has at least 2, its ends.")
    if n is None or n < 2:
        raise ValueError(f"{name} must be at least 2, the ends of the path, got {n}. Ask for more points.")


def _check_size_of_path(n: int, name: str, numbers: int) -> None:
    check_room(n, name, max(2, MOST_NUMBERS // max(1, numbers)), hint="Ask for fewer points.")


def aligned_distance(manifold: Manifold, a: Tensor, b: Tensor) -> Tensor:
    """
    Root-mean-square distance of corresponding points of two paths.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``dist``.
    a, b : Tensor, shape (*batch, k, *point)
        Equally many points; `resample_path` sees to that.

    Returns
    -------
    Tensor, shape (*batch)
        Unit of the distance. A metric of paths with k points, with the gradient of a norm.

    Raises
    ------
    ShapeError
        Different numbers of points.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> aligned_distance(Flat(ndim=1), torch.zeros(2, 1), torch.tensor([[1.0], [7.0]]))
    tensor(5.)
    """
    axis, of_other = path_axis(manifold, a), path_axis(manifold, b)
    k, other = a.shape[axis], b.shape[of_other]
    if k != other:
        raise ShapeError(
            f"paths must have equally many points, got {k} and {other}. Give them equally many with "
            "resample_path, or use dynamic_time_warping."
        )
    check_points(manifold, a=a, b=b)
    return torch.linalg.vector_norm(manifold.dist(a, b), dim=-1) / k**0.5


# ---------------------------------------------------------------------- many paths


def as_paths(manifold: Any, paths: Any) -> tuple[Tensor, Tensor]:
    """
    A family of paths as one stack, without history; shorter ones end in repeats of their last point.

    Parameters
    ----------
    manifold : geoopt.Manifold
        On which they lie.
    paths : sequence of n Tensor or ndarray (k_i, *point), or a stack (n, k, *point)

    Returns
    -------
    points : Tensor, shape (n, max k_i, *point)
    counts : Tensor, shape (n,)
        The k_i.

    Raises
    ------
    TypeError
        Not a family of arrays.
    ShapeError, ValueError, NotOnManifoldError
        No path, points of different shapes, or what `as_points` refuses; says in which path.
    """
    if not isinstance(paths, Tensor | np.ndarray | Sequence) or isinstance(paths, str):
        raise TypeError(
            f"paths must be a list of stacks (k_i, *point) or a stack (n, k, *point), got "
            f"{type(paths).__name__}. Make a list with one stack of layers for each network."
        )
    if not len(paths):
        raise ShapeError("at least one path is needed, got none. Add networks.")
    family = []
    for i, path in enumerate(paths):
        try:
            family.append(as_points(manifold, path))
        except (TypeError, ValueError) as error:
            raise type(error)(f"path {i}: {error}") from error
    shapes = {tuple(path.shape[1:]) for path in family}
    if len(shapes) > 1:
        raise ShapeError(
            f"points of all paths must have one shape, got {', '.join(map(str, sorted(shapes)[:4]))}. "
            "Layers of different widths get one with metric.resolve(layers of all networks).embed(x)."
        )
    most = max(map(len, family))
    points = torch.stack(
        [torch.cat([path, path[-1:].expand(most - len(path), *path.shape[1:])]) for path in family]
    )
    return points, torch.tensor([len(path) for path in family], device=points.device)


def as_even_paths(manifold: Manifold, points: Tensor, counts: Tensor, n_points: int | None) -> Tensor:
    """
    Paths with equally many points: as they are for None, and resampled by arc length otherwise.

    Parameters
    ----------
    manifold : geoopt.Manifold
    points : Tensor, shape (n, k, *point)
    counts : Tensor, shape (n,)
        How many of the points count; the others repeat the last one of these.
    n_points : int or None

    Returns
    -------
    Tensor, shape (n, n_points or k, *point)

    Raises
    ------
    ShapeError
        None, and the counts differ.
    ValueError
        Fewer than two points asked for.
    """
    if n_points is None:
        if bool((counts != counts[0]).any()):
            raise ShapeError(
                f"paths must have equally many points, got between {int(counts.min())} and "
                f"{int(counts.max())}. Set n_points, to which they are resampled by arc length."
            )
        return points
    _check_points_of_path(n_points, "n_points")
    _check_size_of_path(n_points, "n_points", points.numel() // points.shape[1])
    arc = arc_lengths(manifold, points)
    # Where a manifold has rounding for the distance of a point to itself, repeats would have a length.
    arc = torch.minimum(arc, arc.gather(-1, counts[:, None] - 1))
    return _resampled(manifold, points, arc, n_points)


class MeanPath(Estimator):
    """
    Mean path of a family of networks: the Fréchet means of their corresponding layers.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `FrechetMean` does; with `n_points` also ``geodesic``, or ``expmap`` and ``logmap``.
    n_points : int, optional
        Resample every path to so many points at equal distances along it, which says what corresponds in
        networks of different depths: equal shares of the way. By default layers correspond by number, and
        all networks must have equally many.
    tol : float, optional
        As in `FrechetMean`.
    max_iter : int
        As in `FrechetMean`.

    Attributes
    ----------
    mean_ : Tensor, shape (k, *point)
    variance_ : Tensor, shape (k,)
        Weighted mean of the squared distances to the mean, at every layer.
    distances_ : Tensor, shape (n, k)
        Distance of every network to the mean, at every layer.
    error_bound_ : Tensor, shape (k,)
        See `FrechetMean`.
    n_iter_ : int
    converged_ : bool
        Whether all means did.
    unique_ : True or None
        True when a theorem says that every layer has only one mean; None when none applies.

    See Also
    --------
    WarpedMeanPath : lets every network find which of its layers corresponds to which point of the mean.

    References
    ----------
    Karcher 1977; Lange et al. 2023.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> deep, shallow = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([[2.0], [6.0]])
    >>> MeanPath(Flat(ndim=1), n_points=3).fit([deep, shallow]).mean_
    tensor([[1.],
            [3.],
            [5.]])
    """

    def __init__(
        self,
        manifold: Manifold,
        n_points: int | None = None,
        *,
        tol: float | None = None,
        max_iter: int = 100,
    ):
        self.manifold = manifold
        self.n_points = n_points
        self.tol = tol
        self.max_iter = max_iter

    @torch.no_grad()
    def fit(self, paths: Any, y: Any = None, *, weights: Any = None) -> MeanPath:
        """
        Find the mean path.

        Parameters
        ----------
        paths : sequence of n Tensor or ndarray (k_i, *point), or a stack (n, k, *point)
        y : None
            Not used.
        weights : array-like, shape (n,), optional
            Of the networks; only their ratios matter.

        Returns
        -------
        MeanPath
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError, NotOnManifoldError
            No paths, different numbers of layers without `n_points`, not finite, not points.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` steps were not enough for a layer.
        """
        points, counts = as_paths(self.manifold, paths)
        points = as_even_paths(self.manifold, points, counts, self.n_points)
        weights = as_weights(weights, points, self.manifold.ndim + 1)
        layers = points.transpose(0, 1)
        means = FrechetMean(self.manifold, tol=self.tol, max_iter=self.max_iter).fit(layers, weights)
        self.mean_, self.variance_, self.error_bound_ = means.mean_, means.variance_, means.error_bound_
        self.distances_ = self.manifold.dist(means.mean_, points)
        self.n_iter_, self.converged_, self.unique_ = means.n_iter_, means.converged_, means.unique_
        return self
