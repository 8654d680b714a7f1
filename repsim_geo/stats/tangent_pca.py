"""Principal components of a population of points, in the tangent space at their mean."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import CutLocusWarning, ShapeError
from repsim_geo.manifolds.base import is_written
from repsim_geo.manifolds.lengths import product
from repsim_geo.numerics.alignment import finite_svd, working_precision
from repsim_geo.numerics.norms import with_axes
from repsim_geo.stats.descent import rounding_of_logs
from repsim_geo.stats.distances import between
from repsim_geo.stats.estimator import Estimator
from repsim_geo.stats.frechet import FrechetMean
from repsim_geo.stats.points import as_numbers, as_points, as_weights, like


class TangentPCA(Estimator):
    """
    Principal component analysis of the logarithms of points at their Fréchet mean.

    Components are tangent vectors at the mean, orthonormal in the inner product of the manifold; each is the
    velocity of a geodesic through the mean. On a flat space this is ordinary PCA.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, ``logmap``, ``inner``, ``dist``, ``proju`` and ``projx``. Where it has them,
        ``dim``, ``cdist``, ``diameter`` and ``rgrad2egrad`` are used.
    n_components : int, float or None
        How many; or, between 0 and 1, which share of the tangent variance they must exceed. None keeps all
        that are not rounding.
    mean : Tensor or array, shape (*point), optional
        A base point to use instead of the Fréchet mean, such as that of another population. The logarithms
        are centered in any case, so that components describe the spread of the data and not where they are.
    assessed : bool
        Whether to compute ``missed_``, which takes the distances of all pairs. It is nan otherwise.

    Attributes
    ----------
    mean_ : Tensor, shape (*point)
    center_ : Tensor, shape (*point)
        Mean logarithm at ``mean_``: zero up to the tolerance at the Fréchet mean.
    components_ : Tensor, shape (k, *point)
        Of unit length, by falling variance. Signs are such that the score with the largest absolute value is
        positive (the first of them, if several are equal).
    explained_variance_ : Tensor, shape (k,)
        Mean squared score; weighted means divide by the sum of the weights, not by n - 1.
    explained_variance_ratio_ : Tensor, shape (k,)
        As a share of ``tangent_variance_``.
    n_components_ : int
        At most n - 1, and the dimension of the manifold. Fewer than asked for, if the others are rounding.
    tangent_variance_ : float
        Mean squared length of the centered logarithms ``u_i``, squared unit of the distance.
    variance_ : float
        Fréchet variance: mean squared distance of the points from ``mean_``. At the Fréchet mean it is equal
        to ``tangent_variance_``, since logarithms have the length of the distance.
    missed_ : float
        Share of the dispersion that the tangent space does not show: ``1 - T / V``. ``V`` is half of the mean
        of ``d(x_i, x_j)^2`` over all pairs; ``T`` half of the mean of ``|u_i - u_j|^2``, which is equal to
        ``tangent_variance_``. Zero on flat spaces; positive where negative curvature makes points farther
        apart than their logarithms, negative where positive curvature makes them nearer.

    Warns
    -----
    CutLocusWarning
        Two points are as far apart as the manifold allows: their mean, and all that follows, is a choice.

    Notes
    -----
    All comes from the n x n matrix of inner products of the logarithms; the cost grows only linearly with the
    size of a point. Variances below the rounding of these products, about n 1e-14 of the largest (standard
    deviations of 1e-6), cannot be told from zero and are cut.

    The principal geodesics of Fletcher et al. minimize distances on the manifold; this is their approximation
    in the tangent space, which is good where ``missed_`` is small.

    References
    ----------
    Fletcher et al. 2004.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> angle = torch.tensor([-0.2, 0.0, 0.2], dtype=torch.float64)
    >>> points = torch.stack([angle.cos(), angle.sin()], -1)
    >>> pca = TangentPCA(UnitSphere(ndim=1)).fit(points)
    >>> pca.transform(points)
    tensor([[ 0.2000],
            [ 0.0000],
            [-0.2000]], dtype=torch.float64)
    """

    def __init__(
        self,
        manifold: Manifold,
        n_components: float | None = None,
        *,
        mean: Any = None,
        assessed: bool = True,
    ):
        self.manifold = manifold
        self.n_components = n_components
        self.mean = mean
        self.assessed = assessed

    @torch.no_grad()
    def fit(self, points: Any, y: Any = None, *, weights: Any = None) -> TangentPCA:
        """
        Find mean and components.

        Parameters
        ----------
        points : Tensor or array, shape (n, *point)
            At least two.
        y : ignored
        weights : array-like, shape (n,), optional
            Nonnegative, not all zero; only their ratios matter.

        Returns
        -------
        TangentPCA
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            Fewer than two points, wrong weights, not finite, or an impossible number of components.
        NotOnManifoldError
            Tensors that are not points.

        Warns
        -----
        ConvergenceWarning
            When the mean was not reached.
        """
        manifold = self.manifold
        points = as_points(manifold, points, least=2)
        weights = as_weights(weights, points, manifold.ndim)
        # Points without weight have no say, not even through a logarithm that does not exist.
        points, weights = points[weights > 0], weights[weights > 0]
        limit = self._limit(points)
        mean = self._base_point(points, weights)
        logs = manifold.logmap(mean, points)
        center = (with_axes(weights, manifold.ndim) * logs).sum(0)
        spread = with_axes(weights.sqrt(), manifold.ndim) * (logs - center)
        rounding2 = float(rounding_of_logs(manifold, points)) ** 2

        components, variances, scores = principal(manifold, mean, spread, limit, rounding2)
        total = float(product(manifold, *(working_precision(a) for a in (mean, spread))).sum())
        kept = self._kept(variances / total if total > 0 else variances)
        signs = _signs(scores / working_precision(weights.sqrt())[:, None])[:kept]

        self.mean_, self.center_ = mean, center
        self.components_ = (with_axes(signs, manifold.ndim) * components[:kept]).to(points.dtype)
        self.explained_variance_ = variances[:kept].to(points.dtype)
        self.explained_variance_ratio_ = (variances[:kept] / (total or 1.0)).to(points.dtype)
        self.n_components_ = kept
        self.tangent_variance_ = total
        self.variance_ = float((weights * manifold.dist(mean, points).square()).sum())
        self.missed_ = self._missed(points, weights) if self.assessed else math.nan
        return self

    def fit_transform(self, points: Any, y: Any = None, *, weights: Any = None) -> Any:
        """Fit, and the scores of the same points; shape (n, k)."""
        return self.fit(points, weights=weights).transform(points)

    @torch.no_grad()
    def transform(self, points: Any) -> Any:
        """
        Scores: inner products of the centered logarithms with the components.

        Parameters
        ----------
        points : Tensor or array, shape (q, *point)

        Returns
        -------
        Tensor or array, shape (q, k)
            Unit of the distance.
        """
        self._fitted()
        given, points = points, as_points(self.manifold, points)
        self._check_size(points)
        mean, center = self.mean_.to(points), self.center_.to(points)
        u = self.manifold.logmap(mean, points) - center
        scores = inner_products(self.manifold, mean, u, self.components_.to(points))
        return like(scores.to(points.dtype), given)

    @torch.no_grad()
    def inverse_transform(self, scores: Any) -> Any:
        """
        Points with given scores: the exponential of the center plus the combination of components.

        Parameters
        ----------
        scores : Tensor or array, shape (q, k)

        Returns
        -------
        Tensor or array, shape (q, *point)
        """
        self._fitted()
        given, scores = scores, as_numbers(scores, "scores").to(self.mean_)
        if scores.dim() != 2 or scores.shape[1] != self.n_components_:
            raise ShapeError(
                f"scores must have shape (q, {self.n_components_}), a column for each component, got "
                f"{tuple(scores.shape)}. Use what transform returns."
            )
        if not bool(scores.isfinite().all()):
            first = int((~scores.isfinite()).nonzero()[0, 0])
            raise ValueError(
                f"scores must be finite, got nan or infinity (first: row {first}). Leave these rows out."
            )
        u = self.center_ + torch.tensordot(scores, self.components_, 1)
        return like(self.manifold.projx(self.manifold.expmap(self.mean_, u)), given)

    def walk(self, component: int, times: Any) -> Tensor:
        """
        Points along one component: at the Fréchet mean, those of the geodesic through it.

        Parameters
        ----------
        component : int
            Counted from 0.
        times : array-like, shape (q,)
            In standard deviations of the component; 0 is the mean.

        Returns
        -------
        Tensor, shape (q, *point)

        Examples
        --------
        >>> import torch
        >>> from repsim_geo import Flat
        >>> points = torch.tensor([[0.0, 1.0], [4.0, 1.0]])
        >>> TangentPCA(Flat(ndim=1)).fit(points).walk(0, [0.0, 1.0])
        tensor([[2., 1.],
                [0., 1.]])
        """
        self._fitted()
        if not isinstance(component, Integral) or not 0 <= component < self.n_components_:
            raise ValueError(
                f"component must be a whole number from 0 to {self.n_components_ - 1}, got {component!r}. "
                "n_components_ says how many there are."
            )
        times = torch.atleast_1d(as_numbers(times, "times").to(self.mean_))
        scores = times.new_zeros(len(times), self.n_components_)
        scores[:, component] = times * self.explained_variance_[component].sqrt()
        return self.inverse_transform(scores)

    # ------------------------------------------------------------------ steps of fit

    def _limit(self, points: Tensor) -> int:
        """Most components that can exist; also checks the number that is wanted."""
        limit = len(points) - 1
        if is_written(self.manifold, "dim"):
            limit = min(limit, self.manifold.dim(*points.shape[1:]))
        k = self.n_components
        if k is None or (isinstance(k, Integral) and not isinstance(k, bool) and 0 < k <= limit):
            return limit
        if isinstance(k, Real) and not isinstance(k, Integral) and 0 < k < 1:
            return limit
        raise ValueError(
            f"n_components must be a whole number from 1 to {limit} (what {len(points)} points and the "
            f"manifold allow), a share between 0 and 1, or None, got {k!r}. None takes all there are."
        )

    def _kept(self, ratios: Tensor) -> int:
        k = self.n_components
        if k is None:
            return len(ratios)
        if isinstance(k, Integral):
            return min(int(k), len(ratios))
        return min(int((ratios.cumsum(0) <= k).sum()) + 1, len(ratios))

    def _base_point(self, points: Tensor, weights: Tensor) -> Tensor:
        if self.mean is None:
            return FrechetMean(self.manifold).fit(points, weights).mean_
        mean = as_points(self.manifold, as_numbers(self.mean, "mean").to(points)[None])[0]
        if mean.shape != points.shape[1:]:
            raise ShapeError(
                f"mean must be a point of shape {tuple(points.shape[1:])}, as the points, got "
                f"{tuple(mean.shape)}. None takes the Fréchet mean."
            )
        return mean

    def _missed(self, points: Tensor, weights: Tensor) -> float:
        distances = between(self.manifold, points, points)
        diameter = float(getattr(self.manifold, "diameter", math.inf))
        if float(distances.max()) >= diameter * (1 - 64 * torch.finfo(points.dtype).eps):
            i, j = divmod(int(distances.argmax()), len(points))
            warn_user(
                f"TangentPCA: points {i} and {j} are as far apart as the manifold allows ({diameter:.4g}), "
                "so that several means may be equally good; one was chosen. Give a mean if it matters.",
                CutLocusWarning,
            )
        weights = working_precision(weights)
        dispersion = float(weights @ working_precision(distances).square() @ weights) / 2
        return 1 - self.tangent_variance_ / dispersion if dispersion > 0 else 0.0

    def _check_size(self, points: Tensor) -> None:
        if points.shape[1:] != self.mean_.shape:
            raise ShapeError(
                f"points must have the shape of those that were fitted, (q, *{tuple(self.mean_.shape)}), got "
                f"{tuple(points.shape)}. Embed them in the same way."
            )


def covectors(manifold: Manifold, x: Tensor, u: Tensor) -> Tensor:
    """
    Tensors whose plain inner product with a tangent vector v is ``inner(x, u, v)``.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``inner``, differentiable; or ``rgrad2egrad``.
    x, u : Tensor, shape (*batch, *point)

    Returns
    -------
    Tensor, shape (*batch, *point)
    """
    if hasattr(manifold, "rgrad2egrad"):
        return manifold.rgrad2egrad(x, u)
    if u.numel() == 0:
        return u
    with torch.enable_grad():
        v = torch.zeros_like(u).requires_grad_()
        return torch.autograd.grad(manifold.inner(x.detach(), u.detach(), v, keepdim=True).sum(), v)[0]


def inner_products(manifold: Manifold, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """
    Inner products of all pairs of tangent vectors at one point, by one matrix product.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs what `covectors` does.
    x : Tensor, shape (*point)
    u : Tensor, shape (n, *point)
    v : Tensor, shape (k, *point)

    Returns
    -------
    Tensor, shape (n, k)
        In float64 where the device has it.
    """
    # The shorter stack is turned over.
    if len(u) < len(v):
        return inner_products(manifold, x, v, u).mT
    x, u, v = (working_precision(w) for w in (x, u, v))
    return u.flatten(1) @ covectors(manifold, x.expand_as(v), v).flatten(1).mT


def principal(
    manifold: Manifold, x: Tensor, u: Tensor, limit: int, rounding2: float
) -> tuple[Tensor, Tensor, Tensor]:
    """
    Orthonormal tangent vectors along which a stack of tangent vectors extends most.

    Parameters
    ----------
    manifold : geoopt.Manifold
    x : Tensor, shape (*point)
    u : Tensor, shape (n, *point)
    limit : int
        Most components.
    rounding2 : float
        Squared length that is rounding.

    Returns
    -------
    components : Tensor, shape (k, *point)
    sizes : Tensor, shape (k,)
        Sum of the squared scores, falling.
    scores : Tensor, shape (n, k)
        Inner products of `u` with the components.
    """
    values, basis = torch.linalg.eigh(inner_products(manifold, x, u, u))
    values, basis = values.flip(0)[:limit], basis.flip(1)[:, :limit]
    eps = torch.finfo(values.dtype).eps
    real = values > max(64 * len(u) * eps * float(values[:1].sum()), rounding2)
    values, basis = values[real], basis[:, real]
    x, u = working_precision(x), working_precision(u)
    if len(values) == 0:
        return u[:0], values, basis
    components = manifold.proju(x, torch.tensordot((basis / values.sqrt()).mT, u, 1))
    # Eigenvectors of small eigenvalues hold rounding of the large ones: made orthonormal, then turned so that
    # the scores are uncorrelated.
    factor = torch.linalg.cholesky(inner_products(manifold, x, components, components))
    components = torch.linalg.solve_triangular(factor, components.flatten(1), upper=False)
    components = components.unflatten(1, x.shape)
    scores = inner_products(manifold, x, u, components)
    _, roots, turn = finite_svd(scores)
    return torch.tensordot(turn, components, 1), roots.square(), scores @ turn.mT


def _signs(scores: Tensor) -> Tensor:
    """Sign of the largest score of each component; the first of those that are equal but for rounding."""
    size = scores.abs()
    first = (size >= (1 - 1e-6) * size.amax(0, keepdim=True)).to(scores.dtype).argmax(0, keepdim=True)
    return scores.gather(0, first)[0].sign()
