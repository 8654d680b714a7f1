"""Metrics with the names and manners of ``netrep.metrics``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._extras import need
from repsim_geo.compare import compare
from repsim_geo.compat._arrays import as_array, as_matrix, as_pair
from repsim_geo.compat.netrep._gaussian import GaussianStochasticMetric
from repsim_geo.compat.netrep._pairs import Array, Pairs
from repsim_geo.embeddings.activations import Whiten
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.manifolds.actions import Orthogonal, Permutation
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.metrics.shape import SizeAndShape
from repsim_geo.numerics.alignment import finite_svd
from repsim_geo.pairwise.engine import pairwise

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
else:
    BaseEstimator = need("sklearn.base", "stats", "compat.netrep").BaseEstimator
    NotFittedError = need("sklearn.exceptions", "stats", "compat.netrep").NotFittedError

__all__ = ["GaussianStochasticMetric", "LinearCKA", "LinearMetric", "PermutationMetric"]


class _Aligning(Pairs, BaseEstimator):
    """Shared by the two metrics of matrices: padding, means, and scores of what was moved."""

    center_columns: bool
    zero_pad: bool
    score_method: str

    # Written by each: what one network alone needs, the alignment of two, and what it does to others.
    partial_fit: Callable[..., Any]
    finalize_fit: Callable[..., Any]
    _moved: Callable[..., tuple[Tensor, Tensor]]

    def fit(self, X: Any, Y: Any) -> Any:
        """
        Find the best alignment of two networks.

        Parameters
        ----------
        X, Y : array-like, shape (m, d_i)
            Row i of both belongs to the same input.

        Returns
        -------
        self

        Raises
        ------
        ShapeError, TypeError, ValueError, DegenerateRepresentationError
            As `repsim_geo.compare`.
        """
        a, b = self._padded(*as_pair(X, Y, "fit()"))
        for x, name in ((a, "X"), (b, "Y")):
            _checks.check_rows(x, 2, type(self).__name__, name)
            if self.score_method == "angular":
                _checks.check_varies(x, name)
        return self.finalize_fit(self.partial_fit(a), self.partial_fit(b))

    def transform(self, X: Any, Y: Any) -> tuple[Array, Array]:
        """
        Move two networks by the alignment that ``fit`` has found.

        Parameters
        ----------
        X, Y : array-like, shape (n, d_i)
            The inputs of the fit, or others.

        Returns
        -------
        ndarray, shape (n, d)
        ndarray, shape (n, d)
            With d the larger number of units.
        """
        a, b = self._moved(X, Y, "transform()")
        return as_array(a), as_array(b)

    def score(self, X: Any, Y: Any) -> float:
        """
        Distance of two networks, moved by the alignment that ``fit`` has found.

        Parameters
        ----------
        X, Y : array-like, shape (n, d_i)
            The inputs of the fit, or others.

        Returns
        -------
        float
            Radians for "angular", the unit of the activations for "euclidean". A distance: larger is less
            alike, though scikit-learn maximizes scores.
        """
        a, b = self._moved(X, Y, "score()")
        if self.score_method == "euclidean":
            return float(Flat(2).dist(a, b))
        for x, name in ((a, "X"), (b, "Y")):
            if not bool(x.any()):
                raise DegenerateRepresentationError(
                    f"{name} is zero after the alignment, and an angle needs a direction. Score more inputs, "
                    "or use score_method='euclidean'."
                )
        sphere = UnitSphere(2)
        return float(sphere.dist(sphere.projx(a), sphere.projx(b)))

    def fit_score(self, X: Any, Y: Any) -> float:
        """
        Distance of two networks after the best alignment: ``fit``, then ``score``.

        Parameters
        ----------
        X, Y : array-like, shape (m, d_i)

        Returns
        -------
        float
        """
        return self.fit(X, Y).score(X, Y)

    def _padded(self, a: Tensor, b: Tensor, width: int = 0) -> tuple[Tensor, Tensor]:
        """Both with as many columns as the wider one has."""
        if a.shape[-1] != b.shape[-1] and not self.zero_pad:
            raise ShapeError(
                "zero_pad=False needs networks of equally many units, got "
                f"{a.shape[-1]} and {b.shape[-1]}. Use zero_pad=True, or select units."
            )
        width = max(width, a.shape[-1], b.shape[-1])
        return tuple(torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in (a, b))  # type: ignore[return-value]

    def _ready(self, X: Any, Y: Any, caller: str) -> tuple[Tensor, Tensor]:
        """Checked and padded networks, less the means of the fit."""
        means = getattr(self, "mx_", None)
        if means is None:
            raise NotFittedError(
                f"{caller} needs the alignment that fit() finds, and this {type(self).__name__} has none. "
                "Call fit(X, Y) first, or fit_score(X, Y)."
            )
        a, b = as_pair(X, Y, caller)
        a, b = self._padded(a, b, len(means) if self.zero_pad else 0)
        if a.shape[-1] != len(means):
            raise ShapeError(
                f"{caller} needs networks of the {len(means)} units that were aligned, got "
                f"{tuple(np.shape(X))} and {tuple(np.shape(Y))}. Pass the same units as to fit()."
            )
        return a - torch.as_tensor(means).to(a), b - torch.as_tensor(self.my_).to(b)

    def _mean(self, x: Tensor) -> Tensor:
        return x.mean(0) if self.center_columns else x.new_zeros(x.shape[-1])


def _check_score_method(score_method: str) -> None:
    if score_method not in ("angular", "euclidean"):
        raise ValueError(
            f"score_method must be 'angular' (radians) or 'euclidean', got {score_method!r}. "
            "The default is 'angular'."
        )


class LinearMetric(_Aligning):
    """
    Shape distance with netrep's options: `AngularShape` or `SizeAndShape` with ``whiten = 1 - alpha``.

    Parameters
    ----------
    alpha : float
        From 0 (any invertible linear map goes unnoticed) to 1 (only rotations and reflections).
    center_columns : bool
        Subtract the mean of every unit.
    zero_pad : bool
        Append silent units to the narrower network; otherwise different numbers of units are refused.
    score_method : "angular" or "euclidean"

    Attributes
    ----------
    mx_, my_ : ndarray, shape (d,)
        Means that are subtracted.
    Wx_, Wy_ : ndarray, shape (d, d)
        Maps that align the two networks.

    Notes
    -----
    Whitening is that of netrep, ``cov="gram"`` with ``preserve_variance=True``. Numbers are those of netrep,
    with these exceptions:

    * Where a network has directions without variance (padded or dead units, fewer inputs than units) and
      ``alpha < 1``, netrep counts these among the variance that it preserves, and its Euclidean distances
      come out smaller. Here the variance is preserved. Angles are equal.
    * ``alpha=0`` of no more inputs than units is refused: netrep returns 0 for unrelated networks.
    * Inputs of a test set may have directions that no input of the fit had. netrep whitens them as if their
      variance had been 1e-7; here they are not whitened.
    * A distance of 0 is 0, where netrep has 1e-8 from the arc cosine.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> metric = LinearMetric(alpha=1.0, score_method="euclidean")
    >>> metric.fit_score(x, x[:, ::-1] + 5) < 1e-6  # a reflection and a shift
    True
    """

    def __init__(
        self,
        alpha: float = 1.0,
        center_columns: bool = True,
        zero_pad: bool = True,
        score_method: str = "angular",
    ):
        if not isinstance(alpha, Real) or not 0 <= alpha <= 1:
            raise ValueError(
                f"alpha must lie between 0 (any linear map) and 1 (rotations only), got {alpha!r}. "
                "The default is 1."
            )
        _check_score_method(score_method)
        self.alpha = alpha
        self.center_columns = center_columns
        self.zero_pad = zero_pad
        self.score_method = score_method

    def partial_fit(self, X: Any) -> tuple[Array, Array, Array]:
        """
        Mean, whitened activations, and the map that whitens, of one network.

        Parameters
        ----------
        X : array-like, shape (m, d)

        Returns
        -------
        ndarray, shape (d,)
        ndarray, shape (m, d)
        ndarray, shape (d, d)
        """
        x = as_matrix(X, "X")
        mean = self._mean(x)
        options: Any = {"cov": "gram", "preserve_variance": True}
        if self.center_columns:
            white = SizeAndShape(x.shape[-1], whiten=1 - self.alpha, **options).embed(x)
        else:
            white = Whiten(1 - self.alpha, **options)(x)
        return as_array(mean), as_array(white), as_array(self._whitener(x - mean, white))

    def _whitener(self, x: Tensor, white: Tensor) -> Tensor:
        """Symmetric map from `x` to `white`, which have the same singular vectors."""
        eye = torch.eye(x.shape[-1], dtype=x.dtype)
        if self.alpha == 1:
            return eye
        u, s, vh = finite_svd(x)
        moved = ((u.mT @ white) * vh).sum(-1)
        present = moved > 0
        # A direction that the data do not have is scaled like the others, but not whitened.
        plain = self.alpha * moved[0] / (self.alpha * s[0] + 1 - self.alpha)
        gains = torch.where(present, moved / torch.where(present, s, 1.0), plain)
        return plain * eye + (vh.mT * (gains - plain)) @ vh

    def finalize_fit(self, cache_X: tuple[Array, ...], cache_Y: tuple[Array, ...]) -> LinearMetric:
        """
        Find the best rotation of what ``partial_fit`` has returned for two networks.

        Parameters
        ----------
        cache_X, cache_Y : tuple of ndarray
            Of networks with equally many units.

        Returns
        -------
        LinearMetric
            Itself.
        """
        mx, xw, zx = (torch.as_tensor(a) for a in cache_X)
        my, yw, zy = (torch.as_tensor(a) for a in cache_Y)
        rotation = Orthogonal().align(xw, yw).rotation
        # Both are turned to the axes of their product, where netrep has them.
        axes = finite_svd(xw.mT @ yw)[0].to(rotation)
        self.mx_, self.my_ = as_array(mx), as_array(my)
        self.Wx_ = as_array(zx.to(rotation) @ axes)
        self.Wy_ = as_array(zy.to(rotation) @ rotation @ axes)
        return self

    def _moved(self, X: Any, Y: Any, caller: str) -> tuple[Tensor, Tensor]:
        a, b = self._ready(X, Y, caller)
        return a @ torch.as_tensor(self.Wx_).to(a), b @ torch.as_tensor(self.Wy_).to(b)

    def pairwise_distances(
        self,
        train_data: Sequence[Any],
        test_data: Sequence[Any] | None = None,
        processes: int | None = None,
        verbose: bool = True,
    ) -> tuple[Array, Array]:
        """
        Distances of all pairs of networks, by `repsim_geo.pairwise` where nothing is held out.

        Parameters
        ----------
        train_data : sequence of n arrays (m, d_i)
        test_data : sequence of n arrays (k, d_i), optional
            Evaluate the alignments of `train_data` on these too.
        processes : int, optional
        verbose : bool
            Both are taken for the sake of scripts, and do nothing.

        Returns
        -------
        ndarray, shape (n, n)
        ndarray, shape (n, n)
            On `test_data`; infinite off the diagonal without them.
        """
        widths = {np.shape(x)[-1] for x in train_data}
        if test_data is not None or not self.center_columns or (len(widths) > 1 and not self.zero_pad):
            return super().pairwise_distances(train_data, test_data, processes, verbose)
        name = "angular_shape" if self.score_method == "angular" else "size_and_shape"
        table = pairwise(
            [as_matrix(x, "train_data") for x in train_data],
            name,
            whiten=1 - self.alpha,
            cov="gram",
            preserve_variance=True,
        )
        return as_array(table), np.where(np.eye(len(table), dtype=bool), 0.0, np.inf)


class PermutationMetric(_Aligning):
    """
    Distance after the best one-to-one matching of units: `AngularPermutation` or `PermutationDistance`.

    Parameters
    ----------
    center_columns : bool
        Subtract the mean of every unit.
    zero_pad : bool
        Append silent units to the narrower network; otherwise different numbers of units are refused.
    score_method : "angular" or "euclidean"

    Attributes
    ----------
    mx_, my_ : ndarray, shape (d,)
        Means that are subtracted.
    Px_, Py_ : ndarray of int, shape (d,)
        Unit ``Px_[i]`` of the first network is matched with unit ``Py_[i]`` of the second.

    Notes
    -----
    Numbers are those of netrep. Needs scipy.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> metric = PermutationMetric().fit(x, x[:, ::-1])
    >>> metric.Py_
    array([1, 0])
    """

    def __init__(self, center_columns: bool = True, zero_pad: bool = True, score_method: str = "angular"):
        _check_score_method(score_method)
        self.center_columns = center_columns
        self.zero_pad = zero_pad
        self.score_method = score_method

    def partial_fit(self, X: Any) -> tuple[Array, Array]:
        """
        Mean and centered activations of one network.

        Parameters
        ----------
        X : array-like, shape (m, d)

        Returns
        -------
        ndarray, shape (d,)
        ndarray, shape (m, d)
        """
        x = as_matrix(X, "X")
        mean = self._mean(x)
        return as_array(mean), as_array(x - mean)

    def finalize_fit(self, cache_X: tuple[Array, ...], cache_Y: tuple[Array, ...]) -> PermutationMetric:
        """
        Find the best matching of what ``partial_fit`` has returned for two networks.

        Parameters
        ----------
        cache_X, cache_Y : tuple of ndarray
            Of networks with equally many units.

        Returns
        -------
        PermutationMetric
            Itself.
        """
        self.mx_, x = cache_X
        self.my_, y = cache_Y
        order = Permutation().align(torch.as_tensor(x), torch.as_tensor(y)).rotation.argmax(0)
        self.Px_, self.Py_ = np.arange(len(order)), as_array(order)
        return self

    def _moved(self, X: Any, Y: Any, caller: str) -> tuple[Tensor, Tensor]:
        a, b = self._ready(X, Y, caller)
        return a[:, torch.as_tensor(self.Px_)], b[:, torch.as_tensor(self.Py_)]


class LinearCKA(Pairs):
    """
    Angle between two Gram matrices, in radians: `AngularCKA`.

    Parameters
    ----------
    center_columns : bool
        Subtract the mean of every unit.

    Notes
    -----
    Numbers are those of netrep. There is nothing to fit; ``fit`` returns the metric, where netrep returns
    nothing.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[1.0], [-1.0], [0.0], [0.0]]), np.array([[0.0], [0.0], [1.0], [-1.0]])
    >>> LinearCKA().score(x, y)  # orthogonal Gram matrices
    1.5707...
    """

    def __init__(self, center_columns: bool = True):
        self.center_columns = center_columns

    def fit(self, X: Any, Y: Any) -> LinearCKA:
        """Nothing to do; returns itself."""
        return self

    def score(self, X: Any, Y: Any) -> float:
        """
        Angle of two networks.

        Parameters
        ----------
        X, Y : array-like, shape (m, d_i)

        Returns
        -------
        float
            Radians, from 0 to pi/2.
        """
        a, b = as_pair(X, Y, "score()")
        if self.center_columns:
            return float(compare(a, b, "angular_cka"))
        for x, name in ((a, "X"), (b, "Y")):
            if not bool(x.any()):
                raise DegenerateRepresentationError(
                    f"{name} is zero, and its Gram matrix has no direction. Leave this network out."
                )
        sphere = UnitSphere(2)
        return float(sphere.dist(*(sphere.projx(x @ x.mT) for x in (a, b))))

    def fit_score(self, X: Any, Y: Any) -> float:
        """Angle of two networks, as ``score``."""
        return self.score(X, Y)
