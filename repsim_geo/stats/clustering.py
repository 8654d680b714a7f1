"""Groups of networks: k-means with Fréchet means, k-medoids and trees from a matrix of distances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo._warnings import warn_user
from repsim_geo.errors import ConvergenceWarning, CutLocusWarning, ShapeError
from repsim_geo.manifolds.base import BLOCK_ELEMENTS
from repsim_geo.numerics.norms import with_axes
from repsim_geo.stats.distances import as_distances, between
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import (
    MOST_NUMBERS,
    as_generator,
    as_points,
    as_weights,
    check_room,
    check_whole,
    like,
)

if TYPE_CHECKING:
    from sklearn.base import ClusterMixin
else:
    ClusterMixin = need("sklearn.base", "stats", "ManifoldKMeans").ClusterMixin

# Gradient norm, relative to the spread of a cluster, at which a mean is good enough to look for its members.
_ROUGH = 1e-3
_EUCLIDEAN_ONLY = ("centroid", "median", "ward")
_ANY_DISTANCE = ("single", "complete", "average", "weighted")


class ManifoldKMeans(ClusterMixin, Estimator):
    """
    Clusters around Fréchet means: the least sum of squared distances to the nearest of k centers.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `FrechetMean` needs; ``cdist`` is used where it exists.
    n_clusters : int
    n_init : int
        Starts; the best result is kept. With centers of your own there is one.
    max_iter : int
        Most updates of the centers: with rough means, and as many again with exact ones.
    tol : float
        Share of the inertia that an update must save to be followed by another. With zero, the iteration
        ends by itself, when no network changes its cluster.
    init : "k-means++" or Tensor, shape (n_clusters, *point)
        How to start: with networks drawn with probability in proportion to their squared distance from those
        drawn before, or with these centers.
    seed : int or torch.Generator

    Attributes
    ----------
    cluster_centers_ : Tensor, shape (k, *point)
        Fréchet means of the clusters.
    labels_ : Tensor of int64, shape (n,)
        Number of the nearest center.
    inertia_ : float
        Sum of the squared distances to the nearest centers, with weights of mean one. Squared unit of the
        distance.
    n_iter_ : int
        Updates of the centers in the best of the starts, rough and exact.
    converged_ : bool
        Whether its clusters were stable, and its Fréchet means reached their tolerance.

    Notes
    -----
    Lloyd's algorithm, all starts at once: the means of all clusters that have changed are one batch, in which
    every cluster is padded to the largest. Until the clusters settle their means are rough; only the best
    start then goes on with exact ones. No update raises the inertia: where there are several local means
    and the new one is worse than the old center, the old center stays. An empty cluster takes the network
    that is farthest from its center. A network as near to two centers stays where it is, or joins the first.

    The result is a local minimum, the best of ``n_init``. That a network is alone in a cluster, or that its
    cluster has a proven unique mean, does not say that the clusters are real: compare several ``n_clusters``
    and seeds, and see ``sklearn.metrics.silhouette_score`` with ``metric="precomputed"``.

    References
    ----------
    Lloyd 1982; Arthur and Vassilvitskii 2007.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Flat
    >>> points = torch.tensor([[0.0], [1.0], [10.0], [11.0], [12.0]], dtype=torch.float64)
    >>> kmeans = ManifoldKMeans(Flat(ndim=1), n_clusters=2).fit(points)
    >>> kmeans.cluster_centers_.sort(dim=0).values
    tensor([[ 0.5000], [11.0000]], dtype=torch.float64)
    >>> kmeans.inertia_
    2.5
    """

    def __init__(
        self,
        manifold: Manifold,
        n_clusters: int = 8,
        *,
        n_init: int = 4,
        max_iter: int = 100,
        tol: float = 0.0,
        init: Any = "k-means++",
        seed: int | torch.Generator = 0,
    ):
        self.manifold = manifold
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.init = init
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        return with_transform(super().__sklearn_tags__())

    @torch.no_grad()
    def fit(self, points: Any, y: Any = None, *, weights: Any = None) -> ManifoldKMeans:
        """
        Find the centers.

        Parameters
        ----------
        points : Tensor or ndarray, shape (n, *point)
        y : None
            Ignored; scikit-learn's pipelines hand it over.
        weights : array-like, shape (n,), optional
            Nonnegative, not all zero; only their ratios matter.

        Returns
        -------
        ManifoldKMeans
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            Fewer distinct points than clusters, wrong weights, not finite.
        NotOnManifoldError
            Tensors that are not points, such as activations that were not embedded.

        Warns
        -----
        ConvergenceWarning
            When the best start was not at rest after ``max_iter`` updates, or a mean was not found.
        """
        for name in ("n_clusters", "n_init", "max_iter"):
            check_whole(getattr(self, name), name)
        if not (isinstance(self.tol, Real) and self.tol >= 0):
            raise ValueError(f"tol must be a number, 0 or more, got {self.tol!r}. Use 0 to run to the end.")
        points = as_points(self.manifold, points)
        weights = as_weights(weights, points, self.manifold.ndim)
        # Networks without weight have no say; they get their label at the end.
        heavy = points[weights > 0]
        _check_enough(self.n_clusters, len(heavy))
        _check_starts(self.n_init, self.n_clusters * max(len(heavy), points[0].numel()))
        mass = weights[weights > 0] * len(heavy)
        with warnings.catch_warnings():
            # Of the starts that lose nobody needs to hear; the best is judged below.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", CutLocusWarning)
            centers, _, _, rough = self._lloyd(heavy, mass, self._start(heavy, mass), _ROUGH)
            centers, labels, stable, exact = self._lloyd(heavy, mass, centers[None], None)
        self._judge(heavy, mass, centers, labels, stable)
        self.n_iter_ = rough + exact
        self.cluster_centers_ = centers
        distances = between(self.manifold, points, centers)
        self.labels_ = distances.argmin(-1)
        self.inertia_ = float(len(points) * (weights * distances.amin(-1).square()).sum())
        return self

    def fit_predict(  # pyright: ignore[reportIncompatibleMethodOverride]  # X and **kwargs there
        self, points: Any, y: Any = None, *, weights: Any = None
    ) -> Any:
        """Find the centers, and say which is nearest to each point; see `fit` and `predict`."""
        return like(self.fit(points, weights=weights).labels_, points)

    def fit_transform(self, points: Any, y: Any = None, *, weights: Any = None) -> Any:
        """Find the centers, and the distances to them; see `fit` and `transform`."""
        return self.fit(points, weights=weights).transform(points)

    def predict(self, points: Any) -> Any:
        """
        Number of the nearest center.

        Parameters
        ----------
        points : Tensor or ndarray, shape (q, *point)

        Returns
        -------
        Tensor or ndarray of int64, shape (q,)
        """
        return self.transform(points).argmin(-1)

    @torch.no_grad()
    def transform(self, points: Any) -> Any:
        """
        Distances to the centers, in the unit of the manifold.

        Parameters
        ----------
        points : Tensor or ndarray, shape (q, *point)

        Returns
        -------
        Tensor or ndarray, shape (q, k)
        """
        self._fitted()
        return like(distances_to(self.manifold, points, self.cluster_centers_), points)

    def _start(self, points: Tensor, weights: Tensor) -> Tensor:
        """Centers of every start, shape (n_init, k, *point)."""
        k = self.n_clusters
        if isinstance(self.init, str) and self.init == "k-means++":

            def squares(index: Tensor) -> Tensor:
                return between(self.manifold, points[index], points).square()

            return points[spread_indices(squares, weights, k, self.n_init, as_generator(self.seed))]
        if isinstance(self.init, str):
            raise ValueError(
                f"init must be 'k-means++' or {k} points, got {self.init!r}. Leave it out for 'k-means++'."
            )
        centers = as_points(self.manifold, self.init).to(points)
        if centers.shape != (k, *points.shape[1:]):
            raise ShapeError(
                f"init must be {k} points, a tensor of shape {(k, *points.shape[1:])}, got "
                f"{tuple(centers.shape)}. Or use init='k-means++'."
            )
        return centers[None]

    def _lloyd(
        self, points: Tensor, weights: Tensor, centers: Tensor, accuracy: float | None
    ) -> tuple[Tensor, Tensor, bool, int]:
        """Centers and labels of the best start, whether they were stable, and the updates it took."""
        starts, k = centers.shape[:2]
        distances = between(self.manifold, centers.flatten(0, 1), points).unflatten(0, (starts, k))
        labels = distances.argmin(1)
        members = _members(torch.full_like(labels, -1), k)
        inertia, taken = _inertia(distances, labels, weights), labels.new_zeros(starts)
        stable = torch.zeros_like(taken, dtype=torch.bool)
        running = ~stable
        for _ in range(self.max_iter):
            labels = torch.where(running[:, None], _without_empty(distances, labels), labels)
            before, members = members, _members(labels, k)
            moved = (members != before).any(-1)
            centers, distances = self._updated(points, weights, members, moved, centers, distances, accuracy)
            nearest = _nearest(distances, labels)
            last, inertia = inertia, _inertia(distances, nearest, weights)
            taken = taken + running
            stable = stable | (running & (nearest == labels).all(-1))
            # An update that saves nothing moves networks between centers that are equally near.
            running = running & ~stable & (last - inertia > self.tol * last)
            labels = nearest
            if not bool(running.any()):
                break
        best = _first_best(inertia)
        return centers[best], labels[best], not bool(running[best]), int(taken[best])

    def _updated(
        self,
        points: Tensor,
        weights: Tensor,
        members: Tensor,
        moved: Tensor,
        centers: Tensor,
        distances: Tensor,
        accuracy: float | None,
    ) -> tuple[Tensor, Tensor]:
        """Means of the clusters that have changed, and their distances; a center with a worse mean stays."""
        members, old, kept = members[moved], centers[moved], distances[moved]
        if not len(members):
            return centers, distances
        new = group_means(self.manifold, points, members, weights, old, accuracy).mean
        found = between(self.manifold, new, points)
        mass = weights * members
        # Near a minimum the inertia is flat: equal up to rounding is no reason to keep the old center.
        better = (mass * found.square()).sum(-1) <= (mass * kept.square()).sum(-1) * _slack(points.dtype)
        new = torch.where(with_axes(better, self.manifold.ndim), new, old)
        found = torch.where(better[:, None], found, kept)
        return centers.index_put((moved,), new), distances.index_put((moved,), found)

    def _judge(self, points: Tensor, weights: Tensor, centers: Tensor, labels: Tensor, stable: bool) -> None:
        """Set ``converged_``, and let the means of the final clusters warn for themselves."""
        members = _members(labels[None], len(centers))[0]
        filled = members.any(-1)
        means = group_means(self.manifold, points, members[filled], weights, centers[filled])
        self.converged_ = stable and means.converged
        if not stable:
            warn_user(
                f"ManifoldKMeans: networks were still changing clusters after {self.max_iter} updates with "
                "exact means. The state is in cluster_centers_; raise max_iter.",
                ConvergenceWarning,
            )


class KMedoids(ClusterMixin, Estimator):
    """
    Clusters around k of the networks themselves, from a matrix of distances of any kind.

    Parameters
    ----------
    n_clusters : int
    n_init : int
        Starts; the best result is kept.
    max_iter : int
        Most swaps.
    seed : int or torch.Generator

    Attributes
    ----------
    medoid_indices_ : Tensor of int64, shape (k,)
        Rows of the networks that are centers, in rising order.
    labels_ : Tensor of int64, shape (n,)
        Number of the nearest medoid.
    inertia_ : float
        Sum of the distances to the nearest medoids, with weights of mean one. Unit of the distance.
    n_iter_ : int
        Swaps in the best of the starts.
    converged_ : bool
        Whether no swap of a medoid for another network lowers the inertia.

    Notes
    -----
    The swap phase of PAM (Kaufman and Rousseeuw 1990): the best of all k (n - k) swaps, until none helps. The
    change of the inertia by all swaps of one candidate costs O(n) instead of O(k n) (Schubert and Rousseeuw
    2021), and those of all candidates are one matrix product. Its result cannot be improved by alternating
    between labels and medoids either, since every step of that is a swap.

    No triangle inequality is needed, only symmetry: any dissimilarity will do.

    References
    ----------
    Kaufman and Rousseeuw 1990; Schubert and Rousseeuw 2021.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 13.0], dtype=torch.float64)
    >>> medoids = KMedoids(n_clusters=2).fit((x[:, None] - x).abs())
    >>> medoids.medoid_indices_, medoids.inertia_
    (tensor([1, 4]), 5.0)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_init: int = 4,
        max_iter: int = 1000,
        seed: int | torch.Generator = 0,
    ):
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = with_transform(super().__sklearn_tags__())
        tags.input_tags.pairwise = True
        return tags

    @torch.no_grad()
    def fit(self, distances: Any, y: Any = None, *, weights: Any = None) -> KMedoids:
        """
        Find the medoids.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (n, n)
        y : None
            Ignored; scikit-learn's pipelines hand it over.
        weights : array-like, shape (n,), optional
            Nonnegative, not all zero; only their ratios matter.

        Returns
        -------
        KMedoids
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            Not a matrix of distances, fewer distinct networks than clusters, wrong weights.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` swaps were not enough.
        """
        for name in ("n_clusters", "n_init", "max_iter"):
            check_whole(getattr(self, name), name)
        d = as_distances(distances)
        k, n = self.n_clusters, len(d)
        if float(d.max()) > torch.finfo(d.dtype).max / n:
            raise ValueError(
                f"distances must have a finite sum, got up to {float(d.max()):.3g}. Divide them by the "
                "largest: the clusters stay the same."
            )
        weights = n * as_weights(weights, d, 1)
        _check_enough(k, int((weights > 0).sum()))
        _check_starts(self.n_init, k * n)
        medoids = spread_indices(d.__getitem__, weights, k, self.n_init, as_generator(self.seed))
        cost, taken = _assignment_cost(d, medoids, weights), medoids.new_zeros(self.n_init)
        running = torch.ones_like(taken, dtype=torch.bool)
        rounding = n * torch.finfo(d.dtype).eps
        for _ in range(self.max_iter):
            swapped = medoids.index_put((running,), _best_swap(d, medoids[running], weights))
            swapped_cost = _assignment_cost(d, swapped, weights)
            running = running & (swapped_cost < cost - rounding * cost)
            if not bool(running.any()):
                break
            medoids = torch.where(running[:, None], swapped, medoids)
            cost = torch.where(running, swapped_cost, cost)
            taken = taken + running
        best = _first_best(cost)
        self.medoid_indices_ = medoids[best].sort().values
        self.labels_ = d[:, self.medoid_indices_].argmin(-1)
        self.inertia_ = float(cost[best])
        self.n_iter_ = int(taken[best])
        self.converged_ = not bool(running[best])
        if not self.converged_:
            warn_user(
                f"KMedoids stopped after {self.max_iter} swaps, when more of them would have helped. "
                "The state is in medoid_indices_; raise max_iter.",
                ConvergenceWarning,
            )
        return self

    def fit_predict(  # pyright: ignore[reportIncompatibleMethodOverride]  # X and **kwargs there
        self, distances: Any, y: Any = None, *, weights: Any = None
    ) -> Any:
        """Find the medoids, and say which is nearest to each network; see `fit` and `predict`."""
        return like(self.fit(distances, weights=weights).labels_, distances)

    def fit_transform(self, distances: Any, y: Any = None, *, weights: Any = None) -> Any:
        """Find the medoids, and the distances to them; see `fit` and `transform`."""
        return self.fit(distances, weights=weights).transform(distances)

    def predict(self, distances: Any) -> Any:
        """
        Number of the nearest medoid.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (q, n)
            From new networks to those of ``fit``.

        Returns
        -------
        Tensor or ndarray of int64, shape (q,)
        """
        return self.transform(distances).argmin(-1)

    def transform(self, distances: Any) -> Any:
        """
        Distances to the medoids.

        Parameters
        ----------
        distances : Tensor or ndarray, shape (q, n)
            From new networks to those of ``fit``.

        Returns
        -------
        Tensor or ndarray, shape (q, k)
        """
        self._fitted()
        d = as_distances(distances, columns=len(self.labels_))
        return like(d[:, self.medoid_indices_.to(d.device)], distances)


def medoid(distances: Any, weights: Any = None) -> Any:
    """
    Which network has the least sum of distances to all; the first of those that share it.

    Parameters
    ----------
    distances : Tensor or ndarray, shape (*batch, n, n)
    weights : array-like, shape (n,) or (*batch, n), optional
        Nonnegative, not all zero; only their ratios matter.

    Returns
    -------
    Tensor or ndarray of int64, shape (*batch)

    Raises
    ------
    ShapeError, TypeError, ValueError
        Not a matrix of distances, or wrong weights.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([0.0, 1.0, 5.0])
    >>> int(medoid((x[:, None] - x).abs()))
    1
    """
    d = as_distances(distances, batched=True)
    sums = (d @ as_weights(weights, d[..., 0], 0)[..., None])[..., 0]
    return like(sums.argmin(-1), distances)


@dataclass(frozen=True)
class Hierarchy:
    """
    Tree of clusters of n networks.

    Attributes
    ----------
    linkage : ndarray, shape (n - 1, 4)
        One merge a row, as ``scipy.cluster.hierarchy.dendrogram`` reads it: the two clusters, their
        distance, and the size of their union. Branches are turned so that neighbors in `order` are as near
        to each other as the tree allows.
    distances : ndarray, shape (n (n - 1) / 2,)
        From which it was made, above the diagonal, row by row.
    method : str

    References
    ----------
    Sokal and Rohlf 1962 (cophenetic correlation); Bar-Joseph et al. 2001 (order of the leaves).
    """

    linkage: np.ndarray
    distances: np.ndarray
    method: str

    @property
    def order(self) -> np.ndarray:
        """Networks from left to right, for the rows of a picture of the distances; shape (n,)."""
        return need("scipy.cluster.hierarchy", "stats", "Hierarchy").leaves_list(self.linkage)

    @cached_property
    def cophenetic_correlation(self) -> float:
        """
        Correlation of the distances with the heights at which two networks meet in the tree; at most 1.

        nan if there are fewer than three networks, or all distances are equal: nothing varies.
        """
        heights = need("scipy.cluster.hierarchy", "stats", "Hierarchy").cophenet(self.linkage)
        x, y = self.distances - self.distances.mean(), heights - heights.mean()
        size = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
        return float(x @ y) / size if size > 0 else math.nan

    def labels(self, n_clusters: int) -> np.ndarray:
        """
        Clusters left when the last ``n_clusters - 1`` merges are undone, numbered as they first appear.

        Parameters
        ----------
        n_clusters : int
            From 1 to n.

        Returns
        -------
        ndarray of int64, shape (n,)

        Raises
        ------
        ValueError

        Notes
        -----
        Always as many clusters as asked for: among equal heights, those that scipy has merged first.
        """
        n = len(self.linkage) + 1
        if not (isinstance(n_clusters, Integral) and 1 <= n_clusters <= n):
            raise ValueError(
                f"n_clusters must be a whole number from 1 to {n}, got {n_clusters!r}. Ask for fewer."
            )
        clusters = [[i] for i in range(n)]
        for left, right in self.linkage[: n - int(n_clusters), :2].astype(int):
            clusters.append(clusters[left] + clusters[right])
            clusters[left], clusters[right] = [], []
        labels = np.empty(n, dtype=np.int64)
        for number, cluster in enumerate(sorted((c for c in clusters if c), key=min)):
            labels[cluster] = number
        return labels


def hierarchical_clustering(distances: Any, method: str = "average") -> Hierarchy:
    """
    Tree of clusters from a matrix of distances, through ``scipy.cluster.hierarchy.linkage``.

    Parameters
    ----------
    distances : Tensor or ndarray, shape (n, n)
        Symmetric; at least two networks.
    method : str
        Distance of two clusters: "average", "single" (nearest pair), "complete" (farthest pair), "weighted"
        (average that counts both halves of a cluster alike); for Euclidean distances also "ward", "centroid"
        and "median".

    Returns
    -------
    Hierarchy

    Raises
    ------
    ShapeError, TypeError, ValueError
        Not a matrix of distances; "ward", "centroid" or "median" with distances that no points of a Euclidean
        space have. Their update formulas are about centroids, and silently mean nothing elsewhere: geodesic
        distances on curved manifolds are seldom Euclidean, those of ``Stress`` and ``LogEuclidean`` are.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([0.0, 10.0, 1.0, 12.0])
    >>> tree = hierarchical_clustering((x[:, None] - x).abs())
    >>> tree.labels(2), tree.order
    (array([0, 1, 0, 1]), array([0, 2, 1, 3]...))
    """
    given = as_distances(distances)
    d = given.double().cpu()
    n = len(d)
    if n < 2:
        raise ShapeError(f"distances must be of at least two networks, got {n}. Add networks.")
    if not isinstance(method, str) or method not in _ANY_DISTANCE + _EUCLIDEAN_ONLY:
        raise ValueError(
            f"method must be one of {', '.join(_ANY_DISTANCE + _EUCLIDEAN_ONLY)}, got {method!r}. 'average' "
            "suits any distance."
        )
    if method in _EUCLIDEAN_ONLY:
        _check_euclidean(d, method, torch.finfo(given.dtype).eps)
    condensed = d[tuple(torch.triu_indices(n, n, 1))].numpy()
    hierarchy = need("scipy.cluster.hierarchy", "stats", "hierarchical_clustering")
    return Hierarchy(hierarchy.linkage(condensed, method, optimal_ordering=True), condensed, method)


# ---------------------------------------------------------------------- shared


def with_transform(tags: Any) -> Any:
    """
    Tags of an estimator that also has ``transform``, without a second mixin.

    Parameters
    ----------
    tags : sklearn.utils.Tags

    Returns
    -------
    sklearn.utils.Tags
    """
    tags.transformer_tags = need("sklearn.utils", "stats", "transform").TransformerTags()
    return tags


@dataclass(frozen=True)
class GroupMeans:
    """
    Fréchet means of several groups of the same points.

    Attributes
    ----------
    mean : Tensor, shape (g, *point)
    variance : Tensor, shape (g,)
    converged : bool
        Whether all did.
    """

    mean: Tensor
    variance: Tensor
    converged: bool


def group_means(
    manifold: Manifold,
    points: Tensor,
    members: Tensor,
    weights: Tensor,
    init: Tensor | None = None,
    tol: float | None = None,
) -> GroupMeans:
    """
    Fréchet means of several groups of the same points, in one batch as far as memory is bounded.

    Parameters
    ----------
    manifold : geoopt.Manifold
    points : Tensor, shape (n, *point)
    members : Tensor of bool, shape (g, n)
        Which points belong to each group; at least one does.
    weights : Tensor, shape (n,)
        Nonnegative; positive for a member of each group.
    init : Tensor, shape (g, *point), optional
        Where to start. Spheres do not need it: they find the mean among combinations of the points.
    tol : float, optional
        Of `FrechetMean`.

    Returns
    -------
    GroupMeans
    """
    # Each group holds its members first, then others without weight, up to the size of the largest.
    size = int(members.sum(-1).max())
    index = members.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[:, :size]
    mass = (weights * members).gather(-1, index)
    starts = None if getattr(manifold, "spherical", False) else init
    rows = max(1, BLOCK_ELEMENTS // max(1, size * points[0].numel()))
    fits = [
        FrechetMean(manifold, tol=tol, init="medoid" if starts is None else starts[part]).fit(
            points[index[part]], weights=mass[part]
        )
        for part in torch.arange(len(members), device=points.device).split(rows)
    ]
    return GroupMeans(
        torch.cat([f.mean_ for f in fits]),
        torch.cat([f.variance_ for f in fits]),
        all(f.converged_ for f in fits),
    )


def distances_to(manifold: Manifold, points: Any, centers: Tensor) -> Tensor:
    """
    Distances from what a user hands in to points that were fitted.

    Parameters
    ----------
    manifold : geoopt.Manifold
    points : Tensor or ndarray, shape (q, *point)
    centers : Tensor, shape (k, *point)

    Returns
    -------
    Tensor, shape (q, k)

    Raises
    ------
    ShapeError, TypeError, ValueError, NotOnManifoldError
    """
    points = as_points(manifold, points)
    if points.shape[1:] != centers.shape[1:]:
        raise ShapeError(
            f"points must have the shape of those of fit, {tuple(centers.shape[1:])}, got "
            f"{tuple(points.shape[1:])}. Embed them with the same resolved metric."
        )
    return between(manifold, points, centers.to(points))


def spread_indices(
    costs: Callable[[Tensor], Tensor], weights: Tensor, k: int, starts: int, generator: torch.Generator
) -> Tensor:
    """
    Rows of k networks far from each other, for several starts at once.

    The first is drawn by weight, each further one by weight times the cost of the nearest before.

    Parameters
    ----------
    costs : callable
        From indices (starts,) to the costs (starts, n) of all networks if those were the only centers.
    weights : Tensor, shape (n,)
    k, starts : int
    generator : torch.Generator

    Returns
    -------
    Tensor of int64, shape (starts, k)

    Raises
    ------
    ValueError
        All costs are zero before there are k: fewer distinct networks.

    References
    ----------
    Arthur and Vassilvitskii 2007.
    """

    def draw(chances: Tensor) -> Tensor:
        return torch.multinomial(chances.to(generator.device), 1, generator=generator)[:, 0].to(
            weights.device
        )

    chosen = [draw(weights.expand(starts, -1))]
    least = costs(chosen[0])
    for count in range(1, k):
        chances = weights * least
        if not bool((chances > 0).any(-1).all()):
            raise ValueError(
                f"n_clusters={k} needs as many distinct networks, got {count}. Lower n_clusters, or remove "
                "duplicates to see why there are so few."
            )
        chosen.append(draw(chances / chances.amax(-1, keepdim=True)))
        least = torch.minimum(least, costs(chosen[-1]))
    return torch.stack(chosen, -1)


def _slack(dtype: torch.dtype) -> float:
    """Factor between two inertias that may be the same number, summed in another order."""
    return 1 + 64 * torch.finfo(dtype).eps


def _first_best(inertia: Tensor) -> int:
    """The first start with the least inertia: that of starts with one result does not depend on rounding."""
    return int((inertia <= inertia.min() * _slack(inertia.dtype)).to(torch.uint8).argmax())


def _check_enough(k: int, n: int) -> None:
    if n < k:
        raise ShapeError(f"n_clusters={k} needs at least {k} networks, got {n}. Lower n_clusters.")


def _check_starts(n_init: int, numbers: int) -> None:
    check_room(n_init, "n_init", max(1, MOST_NUMBERS // numbers), hint="4 is the default.")


def _check_euclidean(d: Tensor, method: str, eps: float) -> None:
    """Refuse distances whose double-centered squares, the Gram matrix of points, are not semidefinite."""
    squares = (d / d.max()).square() if bool(d.any()) else d
    centered = squares - squares.mean(0) - squares.mean(1, keepdim=True) + squares.mean()
    lowest = float(torch.linalg.eigvalsh(-centered / 2).min())
    if lowest < -8 * len(d) * eps:
        raise ValueError(
            f"method={method!r} needs distances of points in a Euclidean space, got others (an eigenvalue of "
            f"their centered Gram matrix is {lowest:.2g}, where the largest distance is 1). Use 'average' or "
            "'complete', or take the distances of an embedding by multidimensional scaling."
        )


# ---------------------------------------------------------------------- k-means, all starts at once


def _members(labels: Tensor, k: int) -> Tensor:
    """Which points (starts, n) are in which cluster: (starts, k, n)."""
    return labels[:, None] == torch.arange(k, device=labels.device)[:, None]


def _of_label(values: Tensor, labels: Tensor) -> Tensor:
    """Value (starts, n) of each point's own cluster, from (starts, k, n)."""
    return values.gather(1, labels[:, None])[:, 0]


def _nearest(distances: Tensor, labels: Tensor) -> Tensor:
    """Label of the nearest center; the present one if none is nearer."""
    least, where = distances.min(1)
    return torch.where(least < _of_label(distances, labels), where, labels)


def _inertia(distances: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    return (weights * _of_label(distances, labels).square()).sum(-1)


def _without_empty(distances: Tensor, labels: Tensor) -> Tensor:
    """Give every empty cluster the point that is farthest from its center and does not leave one empty."""
    k = distances.shape[1]
    while True:
        sizes = _members(labels, k).sum(-1)
        empty = (sizes == 0).any(-1)
        if not bool(empty.any()):
            return labels
        far = torch.where(sizes.gather(1, labels) > 1, _of_label(distances, labels), -1.0).argmax(-1)
        target = sizes.argmin(-1)
        labels = torch.where(empty[:, None], labels.scatter(1, far[:, None], target[:, None]), labels)


# ---------------------------------------------------------------------- k-medoids, all starts at once


def _assignment_cost(d: Tensor, medoids: Tensor, weights: Tensor) -> Tensor:
    return (weights * d[medoids].amin(1)).sum(-1)


def _best_swap(d: Tensor, medoids: Tensor, weights: Tensor) -> Tensor:
    """
    The medoids (starts, k) after the swap that lowers the cost most.

    Without medoid i and with candidate x, network o pays min(d(x, o), d1(o)), d1 being the distance to its
    nearest medoid, unless that was i: then min(d(x, o), d2(o)), with the second nearest.
    """
    starts, k = medoids.shape
    to_medoids = d[medoids]
    nearest, label = to_medoids.min(1)
    second = to_medoids.scatter(1, label[:, None], math.inf).amin(1)
    own = _members(label, k).to(d.dtype).mT
    changes = []
    for rows in d.split(max(1, BLOCK_ELEMENTS // max(1, starts * len(d)))):
        with_nearest = torch.minimum(rows, nearest[:, None])
        loss = torch.minimum(rows, second[:, None]) - with_nearest
        shared = (weights * (with_nearest - nearest[:, None])).sum(-1, keepdim=True)
        changes.append(shared + (weights * loss) @ own)
    best = torch.cat(changes, 1).flatten(1).argmin(-1)
    candidate, removed = best // k, best % k
    return medoids.scatter(1, removed[:, None], candidate[:, None])
