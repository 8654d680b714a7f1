"""Which group does a network belong to: classification by the nearest Fréchet mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo.errors import ShapeError
from repsim_geo.stats.clustering import distances_to, group_means, with_transform
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.points import as_points, as_weights, like

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin
else:
    ClassifierMixin = need("sklearn.base", "stats", "NearestMean").ClassifierMixin


@dataclass(frozen=True)
class LeaveOneOut:
    """
    How well networks are classified by means that have not seen them.

    Attributes
    ----------
    accuracy : float
        Share of right answers, with the weights of the networks.
    predicted : ndarray, shape (n,)
        Class of each network, by the others.
    distances : Tensor, shape (n, k)
        To the mean of each class without the network; infinite where nobody is left in the class.
    """

    accuracy: float
    predicted: np.ndarray
    distances: Tensor


class NearestMean(ClassifierMixin, Estimator):
    """
    Classification of networks by the nearest Fréchet mean ("minimum distance to mean").

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `FrechetMean` needs; ``cdist`` is used where it exists.

    Attributes
    ----------
    classes_ : list, length k
        Labels in rising order.
    means_ : Tensor, shape (k, *point)
        Fréchet mean of each class.
    variances_ : Tensor, shape (k,)
        Weighted mean of the squared distances of a class from its mean.
    converged_ : bool
        Whether all means reached their tolerance.

    Notes
    -----
    A network as near to two means belongs to the class that comes first. Classes may be of different size and
    spread; neither has a say.

    References
    ----------
    Barachant et al. 2012.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> points = torch.nn.functional.normalize(torch.tensor([[4.0, 1], [4, -1], [1, 4], [-1, 4]]), dim=-1)
    >>> nearest = NearestMean(UnitSphere(ndim=1)).fit(points, ["narrow", "narrow", "wide", "wide"])
    >>> nearest.predict(torch.tensor([[0.6, 0.8]]))
    array(['wide'], dtype='<U6')
    >>> nearest.leave_one_out(points, ["narrow", "narrow", "wide", "wide"]).accuracy
    1.0
    """

    def __init__(self, manifold: Manifold):
        self.manifold = manifold

    def __sklearn_tags__(self) -> Any:
        return with_transform(super().__sklearn_tags__())

    @torch.no_grad()
    def fit(self, points: Any, y: Any, *, weights: Any = None) -> NearestMean:
        """
        Find the mean of every class.

        Parameters
        ----------
        points : Tensor or ndarray, shape (n, *point)
        y : array-like, shape (n,)
            Labels: whole numbers, booleans or text.
        weights : array-like, shape (n,), optional
            Nonnegative, not all zero within a class; only their ratios matter.

        Returns
        -------
        NearestMean
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            Labels that do not fit, wrong weights, not finite.
        NotOnManifoldError
            Tensors that are not points, such as activations that were not embedded.

        Warns
        -----
        ConvergenceWarning
            When a mean was not found.
        """
        points, weights, classes, members = self._checked(points, y, weights)
        means = group_means(self.manifold, points, members, weights)
        self.classes_ = classes.tolist()
        self.means_, self.variances_, self.converged_ = means.mean, means.variance, means.converged
        return self

    def predict(self, points: Any) -> np.ndarray:
        """
        Class of the nearest mean.

        Parameters
        ----------
        points : Tensor or ndarray, shape (q, *point)

        Returns
        -------
        ndarray, shape (q,)
            Labels as they were given, in an array for tensors too: no tensor holds text.
        """
        index = torch.as_tensor(self.transform(points)).argmin(-1)
        return np.asarray(self.classes_)[index.cpu().numpy()]

    @torch.no_grad()
    def transform(self, points: Any) -> Any:
        """
        Distances to the means of the classes, in the unit of the manifold.

        Parameters
        ----------
        points : Tensor or ndarray, shape (q, *point)

        Returns
        -------
        Tensor or ndarray, shape (q, k)
        """
        self._fitted()
        return like(distances_to(self.manifold, points, self.means_), points)

    def fit_transform(self, points: Any, y: Any, *, weights: Any = None) -> Any:
        """Find the means, and the distances to them; see `fit` and `transform`."""
        return self.fit(points, y, weights=weights).transform(points)

    @torch.no_grad()
    def leave_one_out(self, points: Any, y: Any, *, weights: Any = None) -> LeaveOneOut:
        """
        Classify each network by the means of the others; nothing needs to be fitted, or is.

        Parameters
        ----------
        points : Tensor or ndarray, shape (n, *point)
        y : array-like, shape (n,)
        weights : array-like, shape (n,), optional

        Returns
        -------
        LeaveOneOut

        Notes
        -----
        Only the network's own class changes when it is left out, so n means of one network less and k whole
        ones are computed, in one batch. The only network of a class is classified wrongly: without it the
        class is unknown.

        Its own mean, of one network less, is a little farther away than a whole one: the expected squared
        distance is ``1 + 1 / (n_own - 1)`` times the spread, that to the mean of another class which does not
        differ ``1 + 1 / n_other`` times. Between such classes small samples are right less often than by
        guessing.
        """
        points, weights, classes, members = self._checked(points, y, weights)
        n, own = len(points), members.to(torch.uint8).argmax(0)
        left = members[own] & ~torch.eye(n, dtype=torch.bool, device=points.device) & (weights > 0)
        known = left.any(-1)
        if len(classes) == 1 and not bool(known.all()):
            raise ShapeError("points must be two or more to leave one out, got one. Add networks.")
        means = group_means(self.manifold, points, torch.cat([members, left[known]]), weights).mean
        distances = distances_to(self.manifold, points, means[: len(classes)])
        without = distances.new_full((n,), math.inf)
        ndim = self.manifold.ndim
        without[known] = self.manifold.dist(points[known], means[len(classes) :]).reshape(
            points[known].shape[: points.dim() - ndim]
        )
        distances = distances.scatter(1, own[:, None], without[:, None])
        predicted = distances.argmin(-1)
        accuracy = float((weights * (predicted == own)).sum() / weights.sum())
        return LeaveOneOut(accuracy, classes[predicted.cpu().numpy()], distances)

    def _checked(self, points: Any, y: Any, weights: Any) -> tuple[Tensor, Tensor, np.ndarray, Tensor]:
        """Points, weights, classes, and which points (k, n) are of which class."""
        points = as_points(self.manifold, points)
        try:
            labels = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
        except ValueError as error:
            raise ShapeError(
                f"y must have shape ({len(points)},), one label for each point, got ragged rows. "
                "Labels are whole numbers, booleans or text."
            ) from error
        if labels.shape != points.shape[:1]:
            raise ShapeError(
                f"y must have shape ({len(points)},), one label for each point, got {labels.shape}. "
                "Labels are whole numbers, booleans or text."
            )
        checks = need("sklearn.utils.multiclass", "stats", "NearestMean")
        try:
            checks.check_classification_targets(labels)
            classes, index = np.unique(labels, return_inverse=True)
        except (TypeError, ValueError) as error:
            kinds = sorted({type(label).__name__ for label in labels.tolist()})
            raise ValueError(
                f"y must hold labels of one kind, whole numbers, booleans or text, got {', '.join(kinds)}: "
                f"{error} Turn them into text; GeodesicRegression is for a covariate."
            ) from error
        numbers = torch.arange(len(classes), device=points.device)
        members = torch.as_tensor(index.reshape(-1), device=points.device) == numbers[:, None]
        mass = as_weights(weights, points, self.manifold.ndim)
        silent = ~(members & (mass > 0)).any(-1)
        if bool(silent.any()):
            which = classes[silent.cpu().numpy()].tolist()
            raise ValueError(
                f"weights must be positive for a network of every class, got only zeros for {which}. "
                "Remove these classes."
            )
        return points, mass, classes, members
