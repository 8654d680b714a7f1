"""Stochastic shape metric: networks whose answers are noisy, compared as sequences of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from repsim_geo._checks import check_count
from repsim_geo.embeddings.gaussian import GaussianResponses
from repsim_geo.errors import ShapeError
from repsim_geo.invariances import ORTHOGONAL, TRANSLATION, closure
from repsim_geo.manifolds.gaussian_shapes import GaussianShapes
from repsim_geo.metrics.base import MetricCard, RepresentationMetric, check_networks


class StochasticShape(RepresentationMetric, GaussianShapes):
    """
    Distance of noisy networks: means and covariances of the answers after the best rotation or reflection.

    For every input a network answers with a Gaussian, of mean mu_i and covariance S_i. With the weight a::

        d^2 = min over orthogonal Q of the mean over i of  a |mu_i - mu'_i Q|^2 + (2 - a) BW(S_i, Q'S'_i Q)^2

    BW is the Bures-Wasserstein distance. For a = 1 the summands are squared Wasserstein distances of
    Gaussians. Points are tensors (m, 1 + k, p), see `GaussianShapes`. The unit is that of the activations,
    averaged over inputs.

    Parameters
    ----------
    p : int, optional
        Columns of a point. None keeps all: d for one network and, through ``compare``, the larger d of two,
        which is exact. A smaller p keeps the first p principal axes of means and
        covariances together; the distance changes by at most the norms of what is left out.
    rank : int, optional
        Rows of each factor of a covariance; see `GaussianResponses`. Needed only to ``embed`` networks with
        different numbers of repeats one by one.
    mean_weight : float
        The weight a, from 0 (covariances only) to 2 (means only: root 2 times the Procrustes distance over
        the root of m).
    starts : int
        How many rotations the search for the best one starts from; see `GaussianShapes`.

    Notes
    -----
    What ``embed`` and ``compare`` take:

    * repeats, shape (r, m, d): the same m inputs shown r >= 2 times. The first axis is repeats, not a
      batch. Five axes are convolutional, (r, m, c, h, w).
    * activations without noise, shape (m, d): all covariances zero.
    * ``embed`` alone: a pair (means, covariances) of shapes (*batch, m, d) and (*batch, m, d, d).

    The unbiased covariance of r repeats has at most rank r - 1, and its spectrum is more uneven than that of
    the truth: with few repeats, samples of one network are at a distance. Compare networks at equal r.

    The minimum over Q has no closed form and has local minima. `dist_bounds` of two points gives a lower
    bound, and proves the minimum where it can; for networks that resemble each other it often does.

    References
    ----------
    Duong et al. 2023. Their code minimizes with the squares of the weights that it scores with; here both are
    a and 2 - a.

    Examples
    --------
    Two answers without noise, and the same answers with standard deviation 1 or more in one unit:

    >>> import torch
    >>> means = torch.tensor([[1.0], [-1.0]])
    >>> metric = StochasticShape()
    >>> x = metric.embed((means, torch.zeros(2, 1, 1)))
    >>> y = metric.embed((-means, torch.tensor([[[1.0]], [[9.0]]])))
    >>> metric.dist2(x, y)  # the mean of 1 and 9
    tensor(5.)
    """

    __scaling__ = GaussianShapes.__scaling__.copy()
    name = "StochasticShape"
    constant_is_a_point = True
    takes_repeats = True

    def __init__(
        self, p: int | None = None, *, rank: int | None = None, mean_weight: float = 1.0, starts: int = 48
    ):
        _check_options(p, rank, mean_weight)
        super().__init__(centered=True, starts=starts)
        self.p, self.rank, self.mean_weight = p, rank, mean_weight
        self.embedding = GaussianResponses(p, rank, mean_weight=mean_weight)

    def embed(self, x: Any) -> Tensor:
        """
        Point of the manifold that a noisy representation is.

        Parameters
        ----------
        x : Tensor or array, shape (r, m, d) or (m, d), or a pair of shapes (*batch, m, d), (*batch, m, d, d)
            Repeats of the activations to m inputs; activations without noise; or means and covariances. See
            the notes of the class.

        Returns
        -------
        Tensor, shape (*batch, m, 1 + k, p)
            Differentiable with respect to `x`.

        Raises
        ------
        TypeError
            Not float32 or float64.
        ShapeError
            One repeat, too few rows, or sizes that do not fit.
        ValueError
            Not finite, or covariances that are not symmetric and positive semidefinite.
        """
        x = self._checked(x)
        device = (x[0] if isinstance(x, tuple) else x).device
        with torch.autocast(device.type, enabled=False):
            return self.embedding(x)

    def resolve(self, reps: Sequence[Tensor]) -> StochasticShape:
        """Copy with the common width ``max d_i`` and the common rank of factors, which are exact."""
        check_networks(reps, type(self).__name__)
        r, m, d = (max(sizes) for sizes in zip(*(_sizes(x) for x in reps), strict=True))
        other = self._copied()
        # More axes than rows there are none.
        other.p = min(d, m * (1 + r)) if self.p is None else self.p
        other.rank = min(r, other.p) if self.rank is None else self.rank
        other.embedding = GaussianResponses(other.p, other.rank, mean_weight=self.mean_weight)
        return other

    def _checked(self, x: Any) -> Any:
        if isinstance(x, tuple | list) and len(x) == 2:
            return self._checked_moments(*x)
        x = super()._checked(x)
        if x.dim() == 3 and x.shape[0] < 2:
            raise ShapeError(
                f"repeats must have shape (r, m, d) with r at least 2, got {tuple(x.shape)}: one repeat has "
                "no covariance. Record more repeats, or hand over x[0], shape (m, d), if there is no noise."
            )
        return x

    def _checked_moments(self, means: Any, covariances: Any) -> tuple[Tensor, Tensor]:
        means = super()._checked(means)
        covariances = torch.as_tensor(covariances).to(means)
        wanted = (*means.shape, means.shape[-1])
        if tuple(covariances.shape) != wanted:
            raise ShapeError(
                f"covariances must have shape {wanted}, one (d, d) matrix for each row of the means, got "
                f"{tuple(covariances.shape)}. Hand over a pair (means, covariances), or repeats (r, m, d)."
            )
        _check_covariances(covariances.detach())
        return means, covariances

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        return MetricCard(
            key="stochastic_shape",
            summary="root-mean-square Wasserstein distance of Gaussian responses after the best rotation",
            unit="same unit as the activations",
            range=(0.0, math.inf),
            invariances=closure(TRANSLATION, ORTHOGONAL),
            references=("duong2023",),
            aliases=("gaussian_stochastic_metric", "stochastic_shape_metric"),
        )

    def _in_image(self, point: Tensor) -> Tensor:
        """Whether some responses have this point: a part without weight must be zero; shape (*batch)."""
        means, factors = point[..., 0, :].abs().amax((-2, -1)), point[..., 1:, :].abs().amax((-3, -2, -1))
        return ((means == 0) | (self.mean_weight > 0)) & ((factors == 0) | (self.mean_weight < 2))

    def _realize(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Means (*batch, m, p) and covariances (*batch, m, p, p)."""
        m = point.shape[-3]
        means, factors = point[..., 0, :], point[..., 1:, :]
        covariances = factors.mT @ factors
        a, b = self.mean_weight, 2 - self.mean_weight
        return means * (math.sqrt(m / a) if a else 0.0), covariances * (m / b if b else 0.0)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"p={self.p}, rank={self.rank}, mean_weight={self.mean_weight}, starts={self.starts}"


def _sizes(x: Tensor) -> tuple[int, int, int]:
    """Rows of a factor, inputs, units."""
    return (1 if x.dim() == 2 else x.shape[-3]), x.shape[-2], x.shape[-1]


def _check_options(p: int | None, rank: int | None, mean_weight: float) -> None:
    for name, value in (("p", p), ("rank", rank)):
        check_count(value, name)
    if not isinstance(mean_weight, Real) or not 0 <= mean_weight <= 2:
        raise ValueError(
            f"mean_weight must lie between 0 (covariances only) and 2 (means only), got {mean_weight!r}. "
            "1 is the Wasserstein distance."
        )


def _check_covariances(a: Tensor) -> None:
    if not bool(a.isfinite().all()):
        raise ValueError(
            "covariances must be finite, got nan or infinity. Remove these inputs from every network."
        )
    size = a.abs().amax((-2, -1))
    tolerance = 1e3 * torch.finfo(a.dtype).eps * a.shape[-1] * size
    lowest = torch.linalg.eigvalsh((a + a.mT) / 2)[..., 0]
    bad = ((a - a.mT).abs().amax((-2, -1)) > tolerance) | (lowest < -tolerance)
    if bool(bad.any()):
        raise ValueError(
            "covariances must be symmetric and positive semidefinite, got "
            f"{int(bad.sum())} that are not (first: input {int(bad.nonzero()[0, -1])}). "
            "Estimate them from repeats, or project them to the nearest covariance."
        )
