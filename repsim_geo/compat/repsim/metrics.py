"""Metrics with the names and methods of ``repsim.metrics``, on those of this package."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from repsim_geo import _checks
from repsim_geo.errors import ShapeError
from repsim_geo.kernels.base import Kernel
from repsim_geo.metrics import affine_invariant, angular_cka, stress
from repsim_geo.metrics.shape import AngularShape, SizeAndShape

__all__ = [
    "AffineInvariantRiemannian",
    "AngularCKA",
    "AngularShapeMetric",
    "EuclideanShapeMetric",
    "RepresentationMetricSpace",
    "Stress",
]


class RepresentationMetricSpace:
    """
    What repsim's metrics can do; ``metric`` is the metric of this package that does it.

    Parameters
    ----------
    metric : RepresentationMetric
    m : int
        Number of inputs.
    point_shape : tuple of int

    Attributes
    ----------
    metric : RepresentationMetric
        For everything else: `FrechetMean`, `pairwise`, geoopt's optimizers.
    shape : tuple of int
        Of a point.
    ambient : int
        Number of entries of a point.
    """

    def __init__(self, metric: Any, m: int, point_shape: tuple[int, ...]):
        _checks.check_count(m, "m", " of inputs", "repsim fixes it: m=x.shape[0].")
        self.metric: Any = metric
        self._m = m
        self.shape = point_shape
        self.ambient = math.prod(point_shape)

    @property
    def m(self) -> int:
        """Number of inputs."""
        return self._m

    @property
    def dim(self) -> int:
        """Dimension of the manifold; repsim counts some directions that no point has."""
        return self.metric.dim(*self.shape)

    @property
    def is_spherical(self) -> bool:
        """Whether distances are angles."""
        return self.metric.card.unit == "radians"

    def string_id(self) -> str:
        """Description with all options, as repsim's identifiers are, but in this package's words."""
        return f"{type(self).__name__}[{self.metric.extra_repr()}].{self.m}"

    def __repr__(self) -> str:
        return self.string_id()

    def neural_data_to_point(self, x: Tensor) -> Tensor:
        """
        Point of the manifold that a representation is: ``metric.embed``.

        Parameters
        ----------
        x : Tensor or array, shape (m, d)
            Other axes than the first are flattened.

        Returns
        -------
        Tensor, shape of a point

        Raises
        ------
        ShapeError
            Another number of inputs.
        """
        x = as_inputs(x, "x")
        if x.shape[0] != self.m:
            raise ShapeError(
                f"x must have m={self.m} rows, got shape {tuple(x.shape)}. Make a metric for as many inputs, "
                "or select the common ones."
            )
        return self.metric.embed(x)

    def length(self, pt_a: Tensor, pt_b: Tensor) -> Tensor:
        """
        Distance of two points: ``metric.dist``, which checks nothing and is fast.

        Parameters
        ----------
        pt_a, pt_b : Tensor, shape (*batch, *point)

        Returns
        -------
        Tensor, shape (*batch)
        """
        return self.metric.dist(pt_a, pt_b)

    def contains(self, pt: Tensor, atol: float = 1e-6) -> bool:
        """Whether a tensor is a point of the manifold; it need not be one that data can have."""
        if tuple(pt.shape) != self.shape:
            return False
        return bool(self.metric.check_point_on_manifold(pt, atol=atol, rtol=atol))

    def project(self, pt: Tensor) -> Tensor:
        """Nearest point of the manifold: ``metric.projx``."""
        return self.metric.projx(pt)

    def geodesic(self, pt_a: Tensor, pt_b: Tensor, frac: float = 0.5) -> Tensor:
        """
        Point of the shortest path from `pt_a` to `pt_b`: ``metric.geodesic``.

        Parameters
        ----------
        pt_a, pt_b : Tensor, shape (*batch, *point)
        frac : float
            From 0 to 1.

        Returns
        -------
        Tensor, shape (*batch, *point)

        Raises
        ------
        ValueError
            A fraction outside.
        """
        if not 0 <= frac <= 1:
            raise ValueError(
                f"frac must lie between 0 and 1, got {frac!r}. metric.geodesic goes beyond the end points."
            )
        return self.metric.geodesic(frac, pt_a, pt_b)

    def to_tangent(self, pt_a: Tensor, vec_w: Tensor) -> Tensor:
        """Orthogonal projection to the tangent space; horizontal, for shapes: ``metric.proju``."""
        return self.metric.proju(pt_a, vec_w)

    def inner_product(self, pt_a: Tensor, vec_w: Tensor, vec_v: Tensor) -> Tensor:
        """Inner product of two tangent vectors: ``metric.inner``."""
        return self.metric.inner(pt_a, vec_w, vec_v)

    def squared_norm(self, pt_a: Tensor, vec_w: Tensor) -> Tensor:
        """Squared length of a tangent vector."""
        return self.metric.inner(pt_a, vec_w)

    def norm(self, pt_a: Tensor, vec_w: Tensor) -> Tensor:
        """Length of a tangent vector: ``metric.norm``."""
        return self.metric.norm(pt_a, vec_w)

    def exp_map(self, pt_a: Tensor, vec_w: Tensor) -> Tensor:
        """End of the geodesic that starts with a velocity, made tangent first: ``metric.expmap``."""
        return self.metric.expmap(pt_a, self.metric.proju(pt_a, vec_w))

    def log_map(self, pt_a: Tensor, pt_b: Tensor) -> Tensor:
        """Velocity of the shortest path from `pt_a` to `pt_b`: ``metric.logmap``."""
        return self.metric.logmap(pt_a, pt_b)

    def levi_civita(self, pt_a: Tensor, pt_b: Tensor, vec_w: Tensor) -> Tensor:
        """Parallel transport along the shortest path, exact also for shapes: ``metric.transp``."""
        return self.metric.transp(pt_a, pt_b, vec_w)


class AngularCKA(RepresentationMetricSpace):
    """
    Angle between two centered Gram matrices, in radians: `repsim_geo.AngularCKA`.

    Parameters
    ----------
    m : int
        Number of inputs.
    kernel : Kernel, optional
        Default linear.
    use_unbiased_hsic : bool

    Notes
    -----
    Biased, numbers are those of repsim. With ``use_unbiased_hsic=True``, which is the default, they are not:
    repsim sets the diagonal of centered Gram matrices to zero, and the cosine of its angle is no unbiased
    estimate of anything. Here the cosine is the ratio of unbiased estimates (Song et al. 2007); it needs 4
    inputs.
    """

    def __init__(self, m: int, kernel: Kernel | None = None, use_unbiased_hsic: bool = True):
        super().__init__(angular_cka.AngularCKA(kernel, debiased=use_unbiased_hsic), m, (m, m))


class Stress(RepresentationMetricSpace):
    """
    Root-mean-square difference of the distances between inputs: `repsim_geo.Stress`.

    Parameters
    ----------
    m : int
        Number of inputs.
    kernel : Kernel, optional
        Default linear.
    rescale : bool
        Divide distances by their median.

    Notes
    -----
    Numbers are those of repsim, but for ``rescale=True`` with an even number of pairs: there the median is
    the lower of the two middle distances, here their mean. Gradients are finite.
    """

    def __init__(self, m: int, kernel: Kernel | None = None, rescale: bool = False):
        super().__init__(stress.Stress(kernel, rescale=rescale), m, (m, m))


class EuclideanShapeMetric(RepresentationMetricSpace):
    """
    Procrustes distance, in the unit of the activations: `SizeAndShape` with ``whiten = 1 - alpha``.

    Parameters
    ----------
    m : int
        Number of inputs.
    p : int
        Columns of a point. More units are reduced to their first p principal axes, fewer are padded.
    alpha : float
        From 0 (any invertible linear map goes unnoticed) to 1 (only rotations).

    Notes
    -----
    Numbers are those of repsim where networks have directions to whiten: ``alpha=0`` of too few inputs is
    refused. Tangent vectors are horizontal, and their transport is exact; repsim keeps vertical parts, and
    its transport is not that of the shape space for p > 1.
    """

    def __init__(self, m: int, p: int, alpha: float = 1.0):
        super().__init__(SizeAndShape(p, whiten=1 - alpha), m, (m, p))
        self.p = p


class AngularShapeMetric(RepresentationMetricSpace):
    """
    Procrustes angle, in radians: `AngularShape` with ``whiten = 1 - alpha``.

    Parameters
    ----------
    m, p, alpha
        As for `EuclideanShapeMetric`.

    Notes
    -----
    As for `EuclideanShapeMetric`.
    """

    def __init__(self, m: int, p: int, alpha: float = 1.0):
        super().__init__(AngularShape(p, whiten=1 - alpha), m, (m, p))
        self.p = p


class AffineInvariantRiemannian(RepresentationMetricSpace):
    """
    Affine-invariant distance of Gram matrices or covariances: `AffineInvariant` with an absolute ridge.

    Parameters
    ----------
    m : int
        Number of inputs.
    eps : float
        Added to the diagonal.
    kernel : Kernel, optional
        For mode "gram"; default linear.
    p : int, optional
        For mode "cov": the number of units, which must be that of the networks.
    mode : "gram" or "cov"

    Notes
    -----
    Points of mode "gram" are (m - 1, m - 1) matrices, without the direction in which centered Gram matrices
    vanish. Numbers of the linear kernel are those of repsim, if ``eps`` is not zero; without it repsim's are
    infinite, and here Gram matrices without full rank are refused. Kernels other than the linear one are
    centered in feature space, where repsim centers only the activations.

    In mode "cov" repsim pads or projects to p units; its projection takes other axes than the principal ones,
    so networks of another width are refused here.
    """

    def __init__(
        self,
        m: int,
        eps: float = 0.0,
        *,
        kernel: Kernel | None = None,
        p: int | None = None,
        mode: str = "gram",
    ):
        if mode == "cov" and p is None:
            raise ValueError("mode='cov' needs the number of units, got p=None. Give p=x.shape[1].")
        size = m - 1 if p is None or mode == "gram" else p
        metric = affine_invariant.AffineInvariant(mode, kernel=kernel, ridge=eps, relative=False)
        super().__init__(metric, m, (size, size))
        self.p = p

    def neural_data_to_point(self, x: Tensor) -> Tensor:
        """Point of the manifold that a representation (m, d) is."""
        x = as_inputs(x, "x")
        if self.metric.mode == "cov" and x.shape[-1] != self.p:
            raise ShapeError(
                f"covariances compare unit by unit and need p={self.p} units, got {x.shape[-1]}. Use "
                "mode='gram', or repsim_geo.AffineInvariant('cov', p=...) for variances of principal axes."
            )
        return super().neural_data_to_point(x)


def as_inputs(x: Any, name: str) -> Tensor:
    """
    Activations with one row an input: repsim has no batches, and flattens what is not the first axis.

    Parameters
    ----------
    x : Tensor or array, shape (m, ...)
    name : str
        What to call it in messages.

    Returns
    -------
    Tensor, shape (m, d)
    """
    return _checks.as_activations(x, name).flatten(1)


def check_same_inputs(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """
    Two representations as matrices, if they describe the same inputs.

    Parameters
    ----------
    x, y : Tensor or array, shape (m, ...)

    Returns
    -------
    Tensor, shape (m, d_x)
    Tensor, shape (m, d_y)
    """
    a, b = as_inputs(x, "x"), as_inputs(y, "y")
    _checks.check_pair(a, b, "compare()")
    return a, b
