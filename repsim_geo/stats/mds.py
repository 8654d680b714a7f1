"""Multidimensional scaling: points of a flat space whose distances are, nearly, those of a given matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, ShapeError
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.centering import center_doubly
from repsim_geo.numerics.norms import with_axes
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.stats.distances import as_distances, as_matrix, as_symmetric, check_squares
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.points import MOST_NUMBERS, as_generator, check_positive, check_room, check_whole, like

if TYPE_CHECKING:
    from typing_extensions import Self

# Pairs of points that are worked on at once: as many as a cache holds, beyond which batches save no time.
_PAIRS = 2**18
# Most coordinates: they are turned by a matrix of so many rows and columns.
_AXES = math.isqrt(MOST_NUMBERS)
# First starts are moved by this share of their size: points that coincide, or lie in too small a subspace,
# feel no force that would part them.
JITTER = 1e-3


class Scaling(Estimator):
    """What estimators on a matrix of distances share: how they are checked, cloned and cut."""

    embedding_: Tensor

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True  # scikit-learn then cuts rows and columns when it splits
        return tags

    def fit_transform(self, distances: Any, y: Any = None, **fit_params: Any) -> Any:
        """
        Embed the points of a matrix of distances.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (n, n)
        y : None
            Ignored; for pipelines.
        **fit_params
            As for ``fit``.

        Returns
        -------
        Tensor or ndarray, shape (n, coordinates)
            ``embedding_``, in the kind of the distances.
        """
        estimator: Any = self
        return like(estimator.fit(distances, y, **fit_params).embedding_, distances)

    def _to_fitted(self, distances: Any) -> Tensor:
        self._fitted()
        d = as_distances(distances, columns=self.embedding_.shape[0])
        check_squares(working_precision(d))
        return d


class ClassicalMDS(Scaling):
    """
    Classical (Torgerson) scaling: the principal axes of the points that have the given distances.

    Parameters
    ----------
    n_components : int

    Attributes
    ----------
    embedding_ : Tensor, shape (n, n_components)
        Centered; columns are orthogonal, in order of extent. Unit of the distances. Columns of directions
        that the distances do not have are zero.
    eigenvalues_ : Tensor, shape (n,)
        Of the doubly centered ``-1/2 D^2``, descending; squared unit. Negative ones: no Euclidean space has
        these distances.
    explained_ : float
        Share of the positive eigenvalues that the components hold. 1 if all points coincide.
    negative_share_ : float
        Share of the negative eigenvalues in the sum of absolute values: 0 if the distances are Euclidean.
    stress_ : float
        Kruskal's stress-1, as in `MetricMDS`. Not what is minimized here.
    squared_norms_ : Tensor, shape (n,)
        Squared distances from the centroid in the space of all components, which `transform` needs.

    Notes
    -----
    Closed form, no seed. Points are determined up to rotation; the entry of largest absolute value in each
    column is positive. Where it is delicate: columns of equal eigenvalues can turn into each other.

    Every new point has the coordinates of its projection onto the components (Gower 1968): a fitted point
    comes out where it was, and what the new distances have beside the components is left out.

    References
    ----------
    Torgerson 1952; Gower 1966; Gower 1968.

    Examples
    --------
    Corners of a rectangle with sides 3 and 4:

    >>> import torch
    >>> corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [3.0, 4.0]], dtype=torch.float64)
    >>> mds = ClassicalMDS().fit(torch.cdist(corners, corners))
    >>> mds.eigenvalues_[:2]
    tensor([16.,  9.], dtype=torch.float64)
    >>> middle = torch.full((1, 4), 2.5, dtype=torch.float64)
    >>> mds.transform(middle).abs() < 1e-12
    tensor([[True, True]])
    """

    def __init__(self, n_components: int = 2):
        self.n_components = n_components

    @torch.no_grad()
    def fit(self, distances: Any, y: Any = None) -> Self:
        """
        Find the components.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (n, n)
            Finite, nonnegative, symmetric, with zero diagonal.
        y : None
            Ignored; for pipelines.

        Returns
        -------
        ClassicalMDS
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
        """
        check_whole(self.n_components, "n_components")
        given = as_distances(distances)
        check_axes(self.n_components, len(given))
        check_squares(given)
        d, unit = in_unit(given)
        values, x, norms = torgerson(d, self.n_components, given.dtype)
        inertia = values.clamp_min(0)
        total, size = float(inertia.sum()), float(values.abs().sum())
        self.embedding_ = (x * unit).to(given.dtype)
        self.eigenvalues_ = (values * unit**2).to(given.dtype)
        self.explained_ = float(inertia[: self.n_components].sum()) / total if total > 0 else 1.0
        self.negative_share_ = float((inertia - values).sum()) / size if size > 0 else 0.0
        self.squared_norms_ = (norms * unit**2).to(given.dtype)
        self.stress_ = stress(_lengths(x), d, torch.ones_like(d))
        return self

    @torch.no_grad()
    def transform(self, distances: Any) -> Any:
        """
        Coordinates of new points.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (q, n)
            From the new points to the fitted ones.

        Returns
        -------
        Tensor or ndarray, shape (q, n_components)
            In the kind of `distances`.

        Raises
        ------
        NotFittedError, ShapeError, TypeError, ValueError
        """
        given = self._to_fitted(distances)
        x, norms = working_precision(self.embedding_), working_precision(self.squared_norms_)
        return like(project(working_precision(given).to(x), x, norms).to(given), distances)


class MetricMDS(Scaling):
    """
    Metric scaling: points whose distances have the least squared difference from the given ones.

    Parameters
    ----------
    n_components : int
    n_init : int
        Starts, of which that of least raw stress is kept: classical scaling, then random ones.
    max_iter : int
    tol : float
        Stops when the Guttman transform moves the points by no more than this share of the distances (both
        as root mean squares). The stress is then right to about ``tol ** 2``.
    seed : int or torch.Generator
        Of the random starts.

    Attributes
    ----------
    embedding_ : Tensor, shape (n, n_components)
        Centered, in principal axes, the largest entry of each column positive. Unit of the distances.
    stress_ : float
        Kruskal's stress-1, the root of ``sum w (d - |x_i - x_j|)^2 / sum w |x_i - x_j|^2``. Dimensionless.
        At a minimum it is ``s / sqrt(1 - s^2)``, where s has the given distances below the line.
    raw_stress_ : float
        ``sum w (d - |x_i - x_j|)^2`` over pairs, in squared units of the distances.
    stresses_ : Tensor, shape (n_init,)
        ``stress_`` that each start led to. If few agree with the best, more starts may find a better one.
    n_iter_ : int
        Steps of the best start.
    converged_ : bool
        Whether the best start reached `tol`.

    Notes
    -----
    Majorization (SMACOF, de Leeuw 1977): the Guttman transform ``V^+ B(x) x`` is the minimum of a parabola
    that lies above the stress. The step toward it is a gradient step in the metric V; it is lengthened by
    what the last step has seen of the curvature (Barzilai and Borwein 1988), and where the stress would rise
    it falls back to the transform itself, which cannot raise it. Starts move in one batch (several for more
    than 250 points); a step costs n^2 for each. Computed in float64. Unless it is exact, the first
    start is jittered by a thousandth of its size, because points that coincide feel no force that parts them.

    Where it is delicate: along coordinates that the points do not need, such as the second one of a line, the
    stress grows with the fourth power. The search then takes many steps, and distances are right to about
    ``tol ** (2 / 3)`` only.

    Why not scikit-learn's ``MDS``: it has neither weights (missing distances) nor new points, walks through
    starts one by one, and stops when the stress changes little, which in flat valleys is far from a minimum.
    Its normalized stress is the one here, and its random starts lead to the same local minima.

    The stress has many local minima, with one component above all: ``stresses_`` shows how many were seen.

    References
    ----------
    Kruskal 1964; de Leeuw 1977; Barzilai and Borwein 1988; Borg and Groenen 2005.

    Examples
    --------
    >>> import torch
    >>> corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [3.0, 4.0]], dtype=torch.float64)
    >>> mds = MetricMDS().fit(torch.cdist(corners, corners))
    >>> torch.cdist(mds.embedding_, mds.embedding_)[0]
    tensor([0.0000, 3.0000, 4.0000, 5.0000], dtype=torch.float64)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_init: int = 4,
        max_iter: int = 1000,
        tol: float = 1e-7,
        seed: int | torch.Generator = 0,
    ):
        self.n_components = n_components
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.seed = seed

    @torch.no_grad()
    def fit(self, distances: Any, y: Any = None, *, weights: Any = None) -> Self:
        """
        Find the points.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (n, n)
            Finite, nonnegative, symmetric, with zero diagonal; anything where the weight is zero.
        y : None
            Ignored; for pipelines.
        weights : array-like, shape (n, n), optional
            Of the squared differences; nonnegative, symmetric. Zero for a missing distance.

        Returns
        -------
        MetricMDS
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` steps were not enough.
        """
        check_search(self)
        given, w, scale = as_weighted(distances, weights)
        check_table(self, len(given))
        check_squares(working_precision(given))
        d, unit = in_unit(given)
        solve, inner = _majorizer(w, complete=weights is None)

        def stress_and_step(x: Tensor) -> tuple[Tensor, Tensor]:
            squares, force = flat_forces(x, x, d, w)
            return squares.sum(-1) / 2, solve(force)

        goal = self.tol * (w * d.square()).sum().sqrt().expand(self.n_init)
        found = Descent.of(
            lower_stress(x, stress_and_step, inner, torch.add, goal[: len(x)], self.max_iter)
            for x in self._starts(d, w).split(batches(d.numel()))
        )
        keep_best(self, found, _lengths, d, w, unit=unit, scale=scale)
        x = self.embedding_
        self.embedding_ = (in_principal_axes(x - x.mean(0)) * unit).to(given.dtype)
        return self

    def _starts(self, d: Tensor, w: Tensor) -> Tensor:
        """Shape (n_init, n, n_components), each of the size that fits the distances best."""
        n, generator = d.shape[0], as_generator(self.seed)
        noise = torch.randn(self.n_init, n, self.n_components, generator=generator, dtype=d.dtype).to(d)
        first = torgerson(filled(d, w), self.n_components, d.dtype)[1]
        if stress(_lengths(first), d, w) > self.tol:  # else there is nothing to improve
            first = first + JITTER * first.square().mean().sqrt() * noise[0]
        x = torch.cat([first[None], noise[1:]])
        x = x - x.mean(-2, keepdim=True)
        sizes = torch.cdist(x, x, compute_mode=EXACT)
        above, below = ((w * a * sizes).sum((-2, -1), keepdim=True) for a in (d, sizes))
        return x * torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 0.0)

    @torch.no_grad()
    def transform(self, distances: Any, weights: Any = None) -> Any:
        """
        Coordinates of new points; the fitted ones stay where they are.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (q, n)
            From the new points to the fitted ones.
        weights : array-like, shape (q, n), optional
            Nonnegative; zero for a missing distance.

        Returns
        -------
        Tensor or ndarray, shape (q, n_components)
            In the kind of `distances`.

        Raises
        ------
        NotFittedError, ShapeError, TypeError, ValueError

        Warns
        -----
        ConvergenceWarning

        Notes
        -----
        The squared differences to the fitted points are minimized for every new point, from the linear
        solution and from the ends of a cross around the nearest fitted point, as far from it as the distance
        says. A fitted point need not come out where it was: its neighbors have moved since, and others
        balanced.
        """
        given, w = as_weighted_rows(self, distances, weights)
        x = working_precision(self.embedding_)
        size = batches(x.shape[0] * (2 * x.shape[1] + 1))
        parts = [
            self._place(d, w_part, x)
            for d, w_part in zip(given.to(x).split(size), w.split(size), strict=True)
        ]
        return like(best_of_each(self, parts).to(given), distances)

    def _place(self, d: Tensor, w: Tensor, x: Tensor) -> Descent:
        norms, nearest = x.square().sum(-1), torch.where(w > 0, d, math.inf).argmin(-1)
        center, far = x[nearest, None], d.gather(-1, nearest[:, None])[..., None]
        arms = far * torch.eye(x.shape[1]).to(x)
        starts = [project(typical(d, w), x, norms)[:, None], center + arms, center - arms]
        goal = self.tol * (w * (d.square() + norms)).sum(-1).sqrt()
        return place(torch.cat(starts, -2), x, d, w, flat_forces, torch.add, goal, self.max_iter)


# Of all ways to compute distances, the one without cancellation.
EXACT = "donot_use_mm_for_euclid_dist"


def batches(pairs: int) -> int:
    """
    How many problems of so many pairs are worked on at once.

    Parameters
    ----------
    pairs : int

    Returns
    -------
    int
    """
    return max(1, _PAIRS // pairs)


def torgerson(d: Tensor, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """
    Classical scaling of distances that were given in `dtype`, whose rounding decides what is zero.

    Parameters
    ----------
    d : Tensor, shape (n, n)
    k : int
        More than there are points give columns of zeros.
    dtype : torch.dtype

    Returns
    -------
    values : Tensor, shape (n,)
        All eigenvalues, descending.
    x : Tensor, shape (n, k)
    norms : Tensor, shape (n,)
        Squared distances from the centroid.
    """
    gram = center_doubly(d.square()) / -2
    values, basis = (a.flip(-1) for a in spectrum(gram))
    n = d.shape[0]
    values = torch.where(values.abs() > 4 * n * torch.finfo(dtype).eps * values.abs().max(), values, 0.0)
    x = _signed(basis[:, :k]) * values[:k].clamp_min(0).sqrt()
    return values, torch.nn.functional.pad(x, (0, k - x.shape[1])), gram.diagonal()


def project(d: Tensor, x: Tensor, norms: Tensor) -> Tensor:
    """
    Coordinates from distances to points with orthogonal coordinates (Gower 1968).

    Parameters
    ----------
    d : Tensor, shape (q, n)
    x : Tensor, shape (n, k)
        Centered, with orthogonal columns.
    norms : Tensor, shape (n,)
        Squared distances of the n points from their centroid.

    Returns
    -------
    Tensor, shape (q, k)
        ``1/2 L^-1 x' (norms - d^2)``, ``L = x'x``; zero in directions without extent.
    """
    extents = x.square().sum(0)
    there = extents > 4 * x.shape[0] * torch.finfo(x.dtype).eps * extents.max()
    return torch.where(there, (norms - d.square()) @ x / torch.where(there, 2 * extents, 1.0), 0.0)


def _signed(x: Tensor) -> Tensor:
    """The columns with such signs that the entry of largest absolute value is positive."""
    leading = x.gather(-2, x.abs().argmax(-2, keepdim=True))
    return x * torch.where(leading < 0, -1.0, 1.0)


def in_principal_axes(x: Tensor) -> Tensor:
    """
    Rotate points so that their columns are orthogonal, in order of extent; signs do not depend on chance.

    Parameters
    ----------
    x : Tensor, shape (n, k)

    Returns
    -------
    Tensor, shape (n, k)
    """
    return _signed(x @ spectrum(x.mT @ x).basis.flip(-1))


def flat_forces(x: Tensor, y: Tensor, d: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """
    What springs of lengths `d` along straight lines hold and pull.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, k)
        Points that feel the force.
    y : Tensor, shape (*batch, n, k)
        Points at the other ends.
    d, w : Tensor, shape (*batch, m, n)
        Lengths and weights.

    Returns
    -------
    squares : Tensor, shape (*batch, m)
        ``sum_j w (|x - y_j| - d)^2`` of every point of `x`.
    force : Tensor, shape (*batch, m, k)
        ``sum_j w (1 - d / |x - y_j|) (y_j - x)``, half of the negative gradient of `squares`. Points at the
        same place add nothing.
    """
    lengths = torch.cdist(x, y, compute_mode=EXACT)
    excess = lengths - d
    held = w * excess
    pull = (held / lengths).masked_fill_(lengths == 0, 0.0)
    return (held * excess).sum(-1), pull @ y - pull.sum(-1, keepdim=True) * x


Inner = Callable[[Tensor, Tensor], Tensor]


def _majorizer(w: Tensor, *, complete: bool) -> tuple[Callable[[Tensor], Tensor], Inner]:
    """``V^+ f`` and the inner product ``<a, V b>``, where V is the Laplacian matrix of the weights."""
    n = w.shape[0]
    if complete:  # V is n times the identity on what is centered
        return lambda force: force / n, lambda a, b: n * (a * b).sum((-2, -1))
    laplacian = torch.diag(w.sum(-1)) - w
    values, basis = spectrum(laplacian)
    kept = values > n * torch.finfo(w.dtype).eps * values[-1]
    inverse = (basis * torch.where(kept, 1 / torch.where(kept, values, 1.0), 0.0)) @ basis.mT
    return lambda force: inverse @ force, lambda a, b: (a * (laplacian @ b)).sum((-2, -1))


class Descent(NamedTuple):
    """Where the points of a batch ended: their places, values, numbers of steps, and whether they arrived."""

    x: Tensor
    value: Tensor
    n_iter: Tensor
    converged: Tensor

    @classmethod
    def of(cls, parts: Iterable[Descent]) -> Descent:
        """One batch of several."""
        return cls(*map(torch.cat, zip(*parts, strict=True)))


def lower_stress(
    x: Tensor,
    value_and_step: Callable[..., tuple[Tensor, Tensor]],
    inner: Callable[..., Tensor],
    move: Callable[[Tensor, Tensor], Tensor],
    goal: Tensor,
    max_iter: int,
    data: tuple[Tensor, ...] = (),
) -> Descent:
    """
    Minimize a batch of functions by steps that never raise them (beyond rounding).

    Parameters
    ----------
    x : Tensor, shape (b, *point)
    value_and_step : callable
        Of `x` and `data`. Gives the values, shape (b,), and the steps of size one, shape (b, *point):
        negative gradients in the metric of `inner`, up to a common factor.
    inner : callable
        Inner product of two steps, with `data`; shape (b,).
    move : callable
        ``move(x, step)`` is the next point.
    goal : Tensor, shape (b,)
        Length of the step at which to stop.
    max_iter : int
    data : tuple of Tensor, shapes (b, ...)
        What the functions depend on, for each.

    Returns
    -------
    Descent

    Notes
    -----
    The size of a step is the inverse of the curvature that the last one has seen (Barzilai and Borwein 1988).
    Where the value would rise, the point stays and the next step has size one, then a half, ... Once half of
    the batch has arrived, only the rest goes on.
    """
    rounding = 64 * torch.finfo(x.dtype).eps
    value, step = value_and_step(x, *data)
    size, n_iter = torch.ones_like(value), torch.zeros_like(value, dtype=torch.int64)
    ndim = x.dim() - 1
    for taken in range(max_iter):
        moving = inner(step, step, *data).sqrt() > goal
        if not bool(moving.any()):
            break
        if 2 * int(moving.sum()) <= len(moving):
            data = tuple(a[moving] for a in data)
            rest = lower_stress(x[moving], value_and_step, inner, move, goal[moving], max_iter - taken, data)
            n_iter = n_iter.index_put((moving,), n_iter[moving] + rest.n_iter)
            x, value = x.index_put((moving,), rest.x), value.index_put((moving,), rest.value)
            return Descent(x, value, n_iter, (~moving).index_put((moving,), rest.converged))
        n_iter = n_iter + moving
        trial = move(x, with_axes(torch.where(moving, size, 0.0), ndim) * step)
        trial_value, trial_step = value_and_step(trial, *data)
        better = moving & (trial_value <= value * (1 + rounding))
        change = trial - x
        bent, long = inner(change, step - trial_step, *data), inner(change, change, *data)
        fitted = torch.where(bent > 0, long / torch.where(bent > 0, bent, 1.0), 1.0).clamp(1e-3, 1e3)
        size = torch.where(better, fitted, torch.where(size > 1, 1.0, size / 2))
        x = torch.where(with_axes(better, ndim), trial, x)
        step = torch.where(with_axes(better, ndim), trial_step, step)
        value = torch.where(better, trial_value, value)
    return Descent(x, value, n_iter, inner(step, step, *data).sqrt() <= goal)


def place(
    starts: Tensor,
    x: Tensor,
    d: Tensor,
    w: Tensor,
    forces: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    move: Callable[[Tensor, Tensor], Tensor],
    goal: Tensor,
    max_iter: int,
) -> Descent:
    """
    Let new points go where fitted ones pull them.

    Parameters
    ----------
    starts : Tensor, shape (q, s, c)
        From which each of the q new points sets out.
    x : Tensor, shape (n, c)
        Fitted points, which stay.
    d, w : Tensor, shape (q, n)
        Distances and weights.
    forces, move : callable
        As `flat_forces`, and as `lower_stress` takes it.
    goal : Tensor, shape (q,)
    max_iter : int

    Returns
    -------
    Descent
        Batch (q, s).
    """

    def value_and_step(y: Tensor, d: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        squares, force = forces(y[:, None], x, d[:, None], w[:, None])
        return squares[:, 0], force[:, 0] / w.sum(-1, keepdim=True)

    def inner(a: Tensor, b: Tensor, d: Tensor, w: Tensor) -> Tensor:
        return w.sum(-1) * (a * b).sum(-1)

    q, s, _ = starts.shape
    goal, d, w = (a.repeat_interleave(s, 0) for a in (goal, d, w))
    found = lower_stress(starts.flatten(0, 1), value_and_step, inner, move, goal, max_iter, (d, w))
    return Descent(*(a.unflatten(0, (q, s)) for a in found))


def keep_best(
    estimator: Any,
    found: Descent,
    lengths: Callable[[Tensor], Tensor],
    d: Tensor,
    w: Tensor,
    *,
    unit: float,
    scale: float,
) -> None:
    """
    Write the best of several starts into the estimator, and warn if it did not converge.

    Parameters
    ----------
    estimator : MetricMDS or SphericalMDS
    found : Descent, batch (n_init,)
    lengths : callable
        Distances of an embedding.
    d, w : Tensor, shape (n, n)
    unit : float
        Of `d`, in that of the user.
    scale : float
        Of `w`.
    """
    best = int(found.value.argmin())
    estimator.embedding_ = found.x[best]
    estimator.raw_stress_ = float(found.value[best]) * unit**2 * scale
    estimator.stresses_ = found.value.new_tensor([stress(lengths(x), d, w) for x in found.x])
    estimator.stress_ = float(estimator.stresses_[best])
    estimator.n_iter_ = int(found.n_iter[best])
    estimator.converged_ = bool(found.converged[best])
    if not estimator.converged_:
        warn_user(
            f"{type(estimator).__name__} stopped after {estimator.n_iter_} iterations before it reached "
            f"tolerance {estimator.tol:g}. The points, of stress {estimator.stress_:.6g}, are in embedding_; "
            "raise max_iter or tol.",
            ConvergenceWarning,
        )


def best_of_each(estimator: Any, parts: list[Descent]) -> Tensor:
    """
    The best start of every new point, with a warning for those that did not converge.

    Parameters
    ----------
    estimator : MetricMDS or SphericalMDS
    parts : list of Descent, batches (q, starts)

    Returns
    -------
    Tensor, shape (q, coordinates)
    """
    x, value, _, converged = map(torch.cat, zip(*parts, strict=True))
    best = value.argmin(-1, keepdim=True)
    late = int((~converged.gather(-1, best)).sum())
    if late:
        warn_user(
            f"{type(estimator).__name__}.transform stopped after {estimator.max_iter} iterations; "
            f"{late} of {x.shape[0]} new points did not reach the tolerance {estimator.tol:g}. "
            "Their places are approximate; raise max_iter or tol.",
            ConvergenceWarning,
        )
    return x.take_along_dim(best[..., None], -2).squeeze(-2)


def stress(lengths: Tensor, d: Tensor, w: Tensor) -> float:
    """
    Kruskal's stress-1: root of the squared differences relative to the squared distances of the embedding.

    Parameters
    ----------
    lengths : Tensor, shape (n, n)
        Distances of the embedding.
    d, w : Tensor, shape (n, n)
        Given distances, and weights.

    Returns
    -------
    float
        0 if all given distances are zero: what is left is rounding.
    """
    if not bool((w * d > 0).any()):
        return 0.0
    return float(((w * (lengths - d).square()).sum() / (w * lengths.square()).sum()).sqrt())


def _lengths(x: Tensor) -> Tensor:
    return torch.cdist(x, x, compute_mode=EXACT)


def check_search(estimator: Any) -> None:
    """
    Refuse parameters of a search that make no sense.

    Parameters
    ----------
    estimator : MetricMDS or SphericalMDS
    """
    check_whole(estimator.n_components, "n_components")
    check_whole(estimator.n_init, "n_init")
    check_whole(estimator.max_iter, "max_iter", 0)
    check_positive(estimator.tol, "tol", hint="1e-7 is the default.")


def check_axes(n_components: int, n: int) -> None:
    """
    Refuse more coordinates for n points than a memory holds.

    Parameters
    ----------
    n_components, n : int
    """
    hint = f"{n} points have {n - 1} at most; more are zero." if n > 1 else "One point needs none."
    check_room(n_components, "n_components", min(MOST_NUMBERS // n, _AXES), hint=hint)


def check_table(estimator: Any, n: int) -> None:
    """
    Refuse a search with more coordinates, of n points in all starts, than a memory holds.

    Parameters
    ----------
    estimator : MetricMDS or SphericalMDS
    n : int
    """
    check_axes(estimator.n_components, n)
    most = MOST_NUMBERS // (n * (estimator.n_components + 1))
    check_room(estimator.n_init, "n_init", max(1, most), hint="4 is the default.")


def as_weighted(distances: Any, weights: Any) -> tuple[Tensor, Tensor, float]:
    """
    Distances and weights of pairs; what has no weight need not be a number.

    Parameters
    ----------
    distances : array-like, shape (n, n)
    weights : array-like, shape (n, n), or None

    Returns
    -------
    d : Tensor, shape (n, n)
        Zero where the weight is.
    w : Tensor, shape (n, n)
        At most 1, with zero diagonal; float64 where the device has it.
    scale : float
        ``scale * w`` are the weights.

    Raises
    ------
    TypeError, ShapeError, ValueError
        Also where weights leave groups of points without connection, whose relative places nothing says.
    """
    if weights is None:
        d = as_distances(distances)
        w = torch.ones_like(working_precision(d))
        return d, w - torch.diag(w.diagonal()), 1.0
    d = as_matrix(distances, "distances")
    w = _as_nonnegative(weights, d)
    if w.shape[0] == w.shape[1]:
        w = as_symmetric(w, "weights").fill_diagonal_(0.0)
    d = as_distances(torch.where(w > 0, d, 0.0))
    graph = need("scipy.sparse.csgraph", "stats", "MDS with weights")
    groups = graph.connected_components(w.cpu().numpy() > 0, directed=False)[0]
    if groups > 1:
        raise ValueError(
            f"weights must connect all points, got {groups} groups without a distance between them. Fit the "
            "groups one by one, or leave out points without distances."
        )
    scale = float(w.max()) or 1.0
    return d, w / scale, scale


def as_weighted_rows(estimator: Any, distances: Any, weights: Any) -> tuple[Tensor, Tensor]:
    """
    Distances and weights, shape (q, n), from new points to the fitted ones of the estimator.

    Parameters
    ----------
    estimator : MetricMDS or SphericalMDS
    distances : array-like, shape (q, n)
    weights : array-like, shape (q, n), or None

    Returns
    -------
    d, w : Tensor, shape (q, n)
        Zero where the weight is.

    Raises
    ------
    NotFittedError, TypeError, ShapeError, ValueError
    """
    if weights is None:
        d = estimator._to_fitted(distances)
        return d, torch.ones_like(working_precision(d))
    d = as_matrix(distances, "distances")
    w = _as_nonnegative(weights, d)
    d, most = estimator._to_fitted(torch.where(w > 0, d, 0.0)), w.amax(-1, keepdim=True)
    if not bool((most > 0).all()):
        raise ValueError(
            "weights must leave every new point a distance, got a row of zeros. Leave that point out."
        )
    return d, w / most


def _as_nonnegative(weights: Any, d: Tensor) -> Tensor:
    w = as_matrix(weights, "weights").to(working_precision(d))
    if w.shape != d.shape:
        raise ShapeError(
            f"weights must have the shape of the distances, {tuple(d.shape)}, got {tuple(w.shape)}. Give one "
            "weight a pair."
        )
    if not bool(w.isfinite().all()) or bool((w < 0).any()):
        raise ValueError(
            "weights must be finite and not negative, got others. Use zero for missing distances."
        )
    return w


def in_unit(d: Tensor) -> tuple[Tensor, float]:
    """
    Distances in float64 relative to the largest, and the largest: no square over- or underflows.

    Parameters
    ----------
    d : Tensor

    Returns
    -------
    Tensor, float
    """
    unit = float(d.max()) or 1.0
    return working_precision(d) / unit, unit


def filled(d: Tensor, w: Tensor) -> Tensor:
    """
    Distances, with the length of the shortest path where the weight is zero: a guess to start from.

    Parameters
    ----------
    d, w : Tensor, shape (n, n)

    Returns
    -------
    Tensor, shape (n, n)
    """
    missing = (w == 0) & ~torch.eye(d.shape[0], dtype=torch.bool, device=d.device)
    if not bool(missing.any()):
        return d
    graph = need("scipy.sparse.csgraph", "stats", "MDS with missing distances")
    edges = torch.where(missing, math.inf, d).cpu().numpy()
    paths = graph.shortest_path(graph.csgraph_from_dense(edges, null_value=math.inf), directed=False)
    return torch.where(missing, torch.from_numpy(paths).to(d), d)


def typical(d: Tensor, w: Tensor) -> Tensor:
    """
    Distances of new points, with the root mean square of their others where the weight is zero.

    Parameters
    ----------
    d, w : Tensor, shape (q, n)

    Returns
    -------
    Tensor, shape (q, n)
    """
    return torch.where(w > 0, d, ((w * d.square()).sum(-1, keepdim=True) / w.sum(-1, keepdim=True)).sqrt())
