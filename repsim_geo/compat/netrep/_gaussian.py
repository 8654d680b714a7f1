"""The metric of netrep that compares noisy networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo.compat._arrays import as_array, as_floats, as_matrix
from repsim_geo.compat.netrep._pairs import Array, Pairs
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.bures import BuresWassersteinSPD
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.gaussian_shapes import GaussianShapes
from repsim_geo.metrics.stochastic_shape import StochasticShape


class GaussianStochasticMetric(Pairs):
    """
    Distance of noisy networks, means and covariances, after the best rotation: `StochasticShape`.

    Parameters
    ----------
    alpha : float
        From 0 (covariances only) to 2 (means only); 1 is the Wasserstein distance of Gaussians.
    group : "orth" or "identity"
        Align by rotations and reflections, or not at all.
    init, niter, tol, random_state, n_restarts
        Taken for the sake of scripts, and not used: the search has many starts, needs no random numbers and
        ends at rounding.

    Attributes
    ----------
    T : ndarray, shape (d, d)
        Rotation of the second network.

    Notes
    -----
    Networks are pairs of means (m, d) and covariances (m, d, d). As in netrep, means are *not* centered:
    subtract their means first, as `StochasticShape` does, to ignore shifts.

    Numbers are at most those of netrep: there the rotation minimizes other weights than the score has, unless
    alpha is 0, 1 or 2, and from one start. Covariances of deficient rank are fine here, and give nan there.

    Examples
    --------
    >>> import numpy as np
    >>> means, covariances = np.array([[1.0], [-1.0]]), np.array([[[1.0]], [[4.0]]])
    >>> metric = GaussianStochasticMetric()
    >>> metric.fit_score((means, covariances), (-means, 4 * covariances))  # 1 and 2 in standard deviation
    1.5811...
    """

    def __init__(
        self,
        alpha: float = 1.0,
        group: str = "orth",
        init: str = "means",
        niter: int = 1000,
        tol: float = 1e-8,
        random_state: Any = None,
        n_restarts: int = 1,
    ):
        if not isinstance(alpha, Real) or not 0 <= alpha <= 2:
            raise ValueError(
                f"alpha must lie between 0 (covariances only) and 2 (means only), got {alpha!r}. "
                "1 is the Wasserstein distance."
            )
        if group not in ("orth", "identity"):
            raise ValueError(
                f"group must be 'orth' or 'identity', got {group!r}. Units of noisy networks cannot be "
                "matched here; match means with PermutationMetric."
            )
        self.alpha, self.group = alpha, group
        self.init, self.niter, self.tol = init, niter, tol
        self.random_state, self.n_restarts = random_state, n_restarts

    def fit(self, X: Any, Y: Any) -> GaussianStochasticMetric:
        """
        Find the best rotation of the second network.

        Parameters
        ----------
        X, Y : pair of array-like, shapes (m, d) and (m, d, d)
            Means and covariances.

        Returns
        -------
        GaussianStochasticMetric
            Itself.
        """
        x, y = self._pair(X, Y, "fit()")
        d = x[0].shape[-1]
        metric = StochasticShape(d, rank=d, mean_weight=self.alpha)
        points = [self._point(metric, *w) for w in (x, y)]
        if self.group == "identity":
            self.T = np.eye(d)
            return self
        self.T = as_array(GaussianShapes(centered=False).align(*points).rotation.columns)
        return self

    def _point(self, metric: StochasticShape, means: Tensor, covariances: Tensor) -> Tensor:
        """As the metric embeds, but with the means as they are."""
        point = metric.embed((means, covariances))
        means = math.sqrt(self.alpha / len(means)) * means
        return torch.cat([means[:, None], point[:, 1:]], 1)

    def transform(self, X: Any, Y: Any) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """
        Rotate the second network to the first.

        Parameters
        ----------
        X, Y : pair of array-like, shapes (n, d) and (n, d, d)

        Returns
        -------
        pair of ndarray
            The first network as it is.
        pair of ndarray
            The second, rotated.
        """
        x, y = self._moved(X, Y, "transform()")
        return (as_array(x[0]), as_array(x[1])), (as_array(y[0]), as_array(y[1]))

    def score(self, X: Any, Y: Any) -> float:
        """
        Distance of two networks, rotated as ``fit`` has found.

        Parameters
        ----------
        X, Y : pair of array-like, shapes (n, d) and (n, d, d)

        Returns
        -------
        float
            In the unit of the activations.
        """
        (mx, sx), (my, sy) = self._moved(X, Y, "score()")
        means, spreads = Flat(1).dist2(mx, my), BuresWassersteinSPD().dist2(sx, sy)
        return math.sqrt(float((self.alpha * means + (2 - self.alpha) * spreads).mean()))

    def fit_score(self, X: Any, Y: Any) -> float:
        """Distance of two networks after the best rotation: ``fit``, then ``score``."""
        return self.fit(X, Y).score(X, Y)

    def pairwise_distances(  # pyright: ignore[reportIncompatibleMethodOverride]  # netrep's has one more
        self,
        train_data: Sequence[Any],
        test_data: Sequence[Any] | None = None,
        eps: float = 1e-6,
        processes: int | None = None,
        verbose: bool = True,
    ) -> tuple[Array, Array]:
        """
        Distances of all pairs of networks.

        Parameters
        ----------
        train_data : sequence of n pairs (means, covariances)
        test_data : sequence of n pairs (means, covariances), optional
        eps : float
            Added to the diagonal of the covariances of `train_data`, as in netrep; 0 is fine.
        processes : int, optional
        verbose : bool
            Both are taken for the sake of scripts, and do nothing.

        Returns
        -------
        ndarray, shape (n, n)
        ndarray, shape (n, n)
            On `test_data`; infinite off the diagonal without them.
        """
        train = [(m, np.asarray(s) + eps * np.eye(np.shape(s)[-1])) for m, s in train_data]
        return super().pairwise_distances(train, test_data, processes, verbose)

    def _pair(self, X: Any, Y: Any, caller: str) -> list[tuple[Tensor, Tensor]]:
        networks = [_moments(w, name) for w, name in ((X, "X"), (Y, "Y"))]
        (mx, _), (my, _) = networks
        if mx.shape != my.shape:
            raise ShapeError(
                f"X and Y must have means of one shape, got {tuple(mx.shape)} and {tuple(my.shape)} in "
                f"{caller}. Select the common inputs, and pad the narrower network with silent units."
            )
        return networks

    def _moved(self, X: Any, Y: Any, caller: str) -> list[tuple[Tensor, Tensor]]:
        if not hasattr(self, "T"):
            raise AttributeError(
                f"{caller} needs the rotation that fit() finds, and this {type(self).__name__} has none. "
                "Call fit(X, Y) first, or fit_score(X, Y)."
            )
        x, (means, covariances) = self._pair(X, Y, caller)
        if means.shape[-1] != len(self.T):
            raise ShapeError(
                f"{caller} needs networks of the {len(self.T)} units that were aligned, got "
                f"{means.shape[-1]}. Pass the same units as to fit()."
            )
        rotation = torch.as_tensor(self.T).to(means)
        return [x, (means @ rotation, rotation.mT @ covariances @ rotation)]


def _moments(network: Any, name: str) -> tuple[Tensor, Tensor]:
    """Means (m, d) and covariances (m, d, d), checked."""
    if not isinstance(network, (tuple, list)) or len(network) != 2:
        raise ShapeError(
            f"{name} must be a pair (means, covariances) of shapes (m, d) and (m, d, d), got "
            f"{type(network).__name__}. StochasticShape takes repeats instead."
        )
    means = as_matrix(network[0], f"means of {name}")
    covariances = torch.as_tensor(as_floats(network[1])).to(means)
    if tuple(covariances.shape) != (*means.shape, means.shape[-1]):
        raise ShapeError(
            f"covariances of {name} must have shape {(*means.shape, means.shape[-1])}, one for each row of "
            f"the means, got {tuple(covariances.shape)}. Estimate one matrix for every input."
        )
    return means, covariances
