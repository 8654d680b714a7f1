"""What every manifold of the package provides, on top of ``geoopt.Manifold``."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import geoopt
import torch
from geoopt.manifolds.base import Manifold, ScalingInfo
from torch import Tensor

from repsim_geo.manifolds import functional
from repsim_geo.numerics.norms import safe_sqrt, trailing
from repsim_geo.numerics.subspaces import Everything

# Rows of a distance matrix are computed together as long as the intermediate tensors stay below this
# many elements (128 MiB in float64).
BLOCK_ELEMENTS = 2**24
# The same for pairs that are copied out of one stack: what stays in the cache is faster.
_PAIR_ELEMENTS = 2**19


def unwritten(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method of the base class that only raises, so that `is_written` knows."""
    method.unwritten = True  # type: ignore[attr-defined]
    return method


def is_written(manifold: Manifold, name: str) -> bool:
    """
    Whether a manifold has a method of this name that does something.

    Parameters
    ----------
    manifold : geoopt.Manifold
    name : str

    Returns
    -------
    bool

    Examples
    --------
    >>> from geoopt import Sphere
    >>> from repsim_geo import UnitSphere
    >>> is_written(UnitSphere(), "cut_time"), is_written(Sphere(), "cut_time")
    (True, False)
    """
    method = getattr(manifold, name, None)
    return method is not None and not getattr(method, "unwritten", False)


class RiemannianManifold(Manifold):
    """
    Base class: a ``geoopt.Manifold`` with exact geodesics, honest transport and declared facts.

    A subclass writes ``inner``, ``expmap``, ``logmap``, ``projx``, ``proju``, ``random``, ``carry`` and the
    two private checks; where ``inner`` is not the ambient product, ``egrad2rgrad``, ``rgrad2egrad`` and
    ``isotropic``, too. Facts (``dim``, ``injectivity_radius``, ``cut_time``, ``sectional_curvature``) are
    used and verified where they are written. Everything else is provided and may be overridden where a direct
    formula is faster or more accurate.

    Points have shape ``(*batch, *point)`` with ``len(point) == ndim``. All methods broadcast over the
    leading axes and never mix them. Parameter names are geoopt's, because ``geoopt.Scaled`` binds
    arguments by name.

    Attributes
    ----------
    transport : str
        What ``transp`` is: "parallel" (isometric) or "projection".
    diameter : float
        Largest distance of two points, in the unit of ``dist``; ``inf`` if there is none.
    spherical : bool
        Points are unit vectors of a Euclidean space, and geodesics are great circles.
    flat : bool
        Isometric to a Euclidean space: no curvature, no cut locus.
    full_rank : bool
        Every point is a matrix of full rank; a matrix of lower rank is none.
    sensitive : bool
        Distances see small directions of a point relative to themselves, so that rounding of an
        ill-conditioned point moves it far. Elsewhere a relative error of eps moves a point by eps times its
        size.
    definite : bool
        Regular points are positive definite matrices; inverses of these, and of their roots, cost digits in
        proportion to their condition.
    second_order : bool
        Whether ``log_and_hessian`` is written.
    congruent : bool
        Positive definite matrices, of which congruences ``a -> g a g'`` are isometries.
    """

    __scaling__ = Manifold.__scaling__.copy()

    name = "Riemannian"
    ndim = 2
    reversible = False

    transport: str = "parallel"
    diameter: float = math.inf
    spherical: bool = False
    flat: bool = False
    full_rank: bool = False
    sensitive: bool = False
    definite: bool = False
    second_order: bool = False
    congruent: bool = False

    # ------------------------------------------------------------------ 1. to implement
    # inner, expmap, logmap, projx, proju, random, _check_point_on_manifold, _check_vector_on_tangent,
    # and:

    @unwritten
    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """
        Parallel transport of `v` along the geodesic ``expmap(x, s u)`` from s = 0 to s = 1.

        Unlike ``transp``, which takes the minimal geodesic to a given point, this follows the given
        velocity however long it is.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point)
        u : Tensor, shape (*batch, *point)
            Velocity, tangent at `x`.
        v : Tensor, shape (*batch, *point)
            Vector to carry, tangent at `x`.

        Returns
        -------
        Tensor, shape (*batch, *point)
            Tangent at ``expmap(x, u)``.
        """
        raise NotImplementedError(f"{type(self).__name__}.carry is not written; transp is the nearest")

    # ------------------------------------------------------------------ 2. provided, override for speed

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared geodesic distance, smooth at coincident points; shape (*batch)."""
        u = self.logmap(x, y)
        return self.inner(x, u, keepdim=keepdim)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Geodesic distance; shape (*batch). Its gradient at coincident points is zero."""
        return safe_sqrt(self.dist2(x, y, keepdim=keepdim))

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport of `v` from `x` to `y` along the minimal geodesic."""
        return self.carry(x, self.logmap(x, y), v)

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """
        All distances between two stacks of points.

        Parameters
        ----------
        x : Tensor, shape (*batch, n, *point)
        y : Tensor, shape (*batch, k, *point)

        Returns
        -------
        Tensor, shape (*batch, n, k)

        Notes
        -----
        Computed in blocks of bounded memory. Entries are those of ``dist``: differences are formed before
        they are squared, so that near points keep their digits. Of a stack with itself, given as the same
        tensor twice, every pair is computed once, and the diagonal is exactly zero.
        """
        return pair_table(self.dist, x, y, self.ndim)

    def expmap_transp(self, x: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Exponential map, and `v` carried along to it."""
        x, u, v = torch.broadcast_tensors(x, u, v)
        return self.expmap(x, u), self.carry(x, u, v)

    def transp_follow_expmap(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """`v` carried along the geodesic with velocity `u`."""
        return self.carry(x, u, v)

    def retr_transp(self, x: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """
        Retraction, and `v` carried along to it.

        Both vectors are first projected to the tangent space: geoopt's SGD hands over a raw Euclidean
        gradient in its first step with momentum, and its samplers hand over raw noise.
        """
        x, u, v = torch.broadcast_tensors(x, u, v)
        u, v = self.proju(x, torch.stack((u, v)))
        return self.retr(x, u), self.carry(x, u, v)

    def transp_follow_retr(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """`v` carried along the path of ``retr``, which is the geodesic with velocity `u`."""
        return self.retr_transp(x, u, v)[1]

    # ------------------------------------------------------------------ 3. provided, override seldom

    def retr(self, x: Tensor, u: Tensor) -> Tensor:
        """Exponential map followed by ``projx``, so that rounding never adds up over thousands of steps."""
        return self.projx(self.expmap(x, u))

    @__scaling__(ScalingInfo())
    def geodesic(self, t: float | Tensor, x: Tensor, y: Tensor) -> Tensor:
        """
        Points of the minimal geodesic from `x` (t = 0) to `y` (t = 1).

        Parameters
        ----------
        t : float or Tensor
            Times; must broadcast against points: shape (k, 1, 1) gives k matrices.
        x, y : Tensor, shape (*batch, *point)

        Returns
        -------
        Tensor, shape (*batch, *point), broadcast with `t`
        """
        return self.expmap(x, t * self.logmap(x, y))

    def egrad2rgrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian gradient from a Euclidean one: here the orthogonal projection to the tangent space."""
        return self.proju(x, u)

    def rgrad2egrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Euclidean gradient from a Riemannian one: undoes ``egrad2rgrad`` on tangent vectors."""
        return u

    def norm(self, x: Tensor, u: Tensor, *, keepdim: bool = False) -> Tensor:
        """Length of a tangent vector; its gradient at the zero vector is zero."""
        return safe_sqrt(self.inner(x, u, keepdim=keepdim))

    @__scaling__(ScalingInfo())
    def angle(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """
        Angle at `y` of the geodesic triangle `x`, `y`, `z`, in radians; shape (*batch).

        Zero where a side has no length.
        """
        return functional.angle(self, x, y, z)

    def origin(self, *size: int | tuple[int, ...], dtype=None, device=None, seed: int | None = 42) -> Tensor:
        """
        Return the same point for the same seed; the global random state is not touched.

        Parameters
        ----------
        *size : int, or one tuple of int
        dtype : torch.dtype, optional
        device : torch.device, optional
        seed : int, optional

        Returns
        -------
        geoopt.ManifoldTensor
        """
        generator = torch.Generator().manual_seed(42 if seed is None else seed)
        return self.random(*size, dtype=dtype, device=device, generator=generator)

    # Under a scale vectors keep their length, and expmap divides them by it; so these need no scaling.
    @__scaling__(ScalingInfo())
    def isotropic(self, x: Tensor, z: Tensor) -> Tensor:
        """
        Tangent vector at `x`, made linearly of `z`, that is standard normal if the entries of `z` are.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point)
        z : Tensor, shape (*batch, *point)
            Independent standard normal numbers.

        Returns
        -------
        Tensor, shape (*batch, *point)
            With the identity for covariance in the inner product of the manifold: ``<isotropic(x, z), u>``
            is normal, with the variance ``<u, u>``, for every tangent vector `u`.

        Notes
        -----
        Here the projection of `z`, which is right where the inner product is that of the ambient space.
        ``egrad2rgrad(x, z)`` has the squared inverse of the metric for covariance.

        Where it is delicate: at singular points of a quotient, as ``proju``.

        Examples
        --------
        In a space that measures twice the lengths of its coordinates, steps are half as long:

        >>> import torch
        >>> from repsim_geo import Flat
        >>> Flat(ndim=1, weight=4.0).isotropic(torch.zeros(2), torch.tensor([1.0, -2.0]))
        tensor([ 0.5000, -1.0000])
        """
        return self.proju(x, z)

    @__scaling__(ScalingInfo())
    def random_tangent(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """
        Standard normal tangent vector.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point)
        generator : torch.Generator, optional

        Returns
        -------
        Tensor, shape (*batch, *point)
        """
        return self.isotropic(x, normal(x.shape, x.dtype, x.device, generator))

    # ------------------------------------------------------------------ 4. facts

    @unwritten
    def dim(self, *point: int | tuple[int, ...]) -> int:
        """Intrinsic dimension of the manifold of points of this shape: ``dim(m, p)`` or ``dim((m, p))``."""
        raise NotImplementedError(f"{type(self).__name__}.dim is not known")

    @__scaling__(ScalingInfo(1))
    @unwritten
    def injectivity_radius(self, x: Tensor | None = None) -> float | Tensor:
        """
        Radius up to which ``logmap`` inverts ``expmap`` at `x`.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point), optional
            Without it, the infimum over all points.

        Returns
        -------
        float or Tensor, shape (*batch)
        """
        raise NotImplementedError(f"{type(self).__name__}.injectivity_radius is not known")

    @__scaling__(ScalingInfo(u=-1))
    @unwritten
    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """
        Largest time up to which the geodesic ``expmap(x, t u)`` is a shortest path.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point)
        u : Tensor, shape (*batch, *point)
            Tangent at `x`.

        Returns
        -------
        Tensor, shape (*batch)
            ``inf`` where the geodesic is a shortest path for ever.
        """
        raise NotImplementedError(f"{type(self).__name__}.cut_time is not known")

    @__scaling__(ScalingInfo(-2))
    @unwritten
    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """
        Curvature of the plane spanned by `u` and `v` at `x`; shape (*batch).

        Parallel vectors span no plane: the result is nan.
        """
        raise NotImplementedError(f"{type(self).__name__}.sectional_curvature is not known")

    # Of the results only the logarithm has a length.
    @__scaling__(ScalingInfo(1))
    @unwritten
    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """
        Logarithm, and Hessian of ``dist2(., y) / 2`` at `x` as a function of tangent vectors.

        Newton's method needs both at the same points; what they share is computed once.

        Parameters
        ----------
        x, y : Tensor, shape (*batch, *point)

        Returns
        -------
        log : Tensor, shape (*batch, *point)
            Minus the gradient.
        hessian : callable
            From `u` tangent at `x`, shape (*batch, *point), to a tangent vector of the same shape: what a
            logarithm loses when its foot moves, ``-nabla_u log(y)``; linear, self-adjoint.
        """
        raise NotImplementedError(
            f"{type(self).__name__}.log_and_hessian is not written; differentiating logmap is the nearest"
        )

    @__scaling__(ScalingInfo(1))
    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """
        Radius for which the Fréchet mean of any data in the open ball around `x` is unique.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point)

        Returns
        -------
        Tensor, shape (*batch)
            Zero where no theorem is known.
        """
        return x.new_zeros(x.shape[: x.dim() - self.ndim])

    @__scaling__(ScalingInfo(d=-1))
    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """
        Lower bound of the Hessian of ``dist2(., y) / 2`` at `x`, for points `y` at distance `d`.

        Parameters
        ----------
        x : Tensor, shape (*batch, *point)
        d : Tensor, shape (*batch)

        Returns
        -------
        Tensor, shape (*batch)
            Smallest eigenvalue; ``-inf`` where no bound is known.
        """
        return torch.full_like(d, -math.inf)

    def rough_mean(self, points: Tensor, weights: Tensor) -> Tensor | None:
        """
        Good guess of a Fréchet mean in closed form, where one is known.

        Parameters
        ----------
        points : Tensor, shape (*batch, n, *point)
        weights : Tensor, shape (n,) or (*batch, n)
            Nonnegative, with sum one.

        Returns
        -------
        Tensor, shape (*batch, *point), or None
        """
        return None

    # ------------------------------------------------------------------ helpers for subclasses

    __scaling__["cdist"] = ScalingInfo(1)
    __scaling__["carry"] = ScalingInfo(u=-1)

    def _expand(self, value: Tensor, *tensors: Tensor, keepdim: bool) -> Tensor:
        """Broadcast a per-point value over the batches of all arguments; contiguous, so it can be viewed."""
        batches = [t.shape[: t.dim() - self.ndim] for t in tensors]
        shape = torch.broadcast_shapes(*batches) + (1,) * (self.ndim * keepdim)
        return value if value.shape == shape else value.expand(shape).contiguous()

    def _squared_gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean gradients of the squared distance, for `squared_distance`: minus twice the logarithms."""
        u, v = self.logmap(x, y), self.logmap(y, x)
        return -2 * self.rgrad2egrad(x, u), -2 * self.rgrad2egrad(y, v)

    def _spanned(self, x: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """
        Part of `v` orthogonal to `u`, and the squared area of their parallelogram; nan if they are parallel.

        Curvatures take the orthogonal part: a difference of squared products would lose digits with the
        square of the angle between the two.
        """
        uu, vv = self.inner(x, u, keepdim=True), self.inner(x, v, keepdim=True)
        along = self.inner(x, u, v, keepdim=True) / torch.where(uu > 0, uu, 1.0)
        rest = v - along * u
        # Once more: the first difference leaves rounding of v along u.
        rest = rest - self.inner(x, u, rest, keepdim=True) / torch.where(uu > 0, uu, 1.0) * u
        height2 = self.inner(x, rest, keepdim=True)
        parallel = height2 <= (8 * torch.finfo(v.dtype).eps) ** 2 * vv
        area = torch.where(parallel, torch.nan, uu * height2)
        return rest, area.flatten(-self.ndim)[..., 0]

    def extra_repr(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]  # base returns ""
        """Parameters, for ``repr``."""
        return ""

    def _normal(self, *size, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal tensor of a checked shape; from geoopt's source of randomness, or a generator."""
        shape = point_shape(size)
        self._assert_check_shape(shape, "x")
        return normal(shape, dtype, device, generator)

    def _as_point(self, x: Tensor) -> Tensor:
        return geoopt.ManifoldTensor(x, manifold=self)


class InSubspace(RiemannianManifold):
    """
    What the flat space and the unit sphere share: their points lie in a linear subspace of tensors.

    Parameters
    ----------
    ndim : int
        Trailing axes of one point.
    subspace : Everything or a subspace of it
    """

    __scaling__ = RiemannianManifold.__scaling__.copy()

    def __init__(self, ndim: int, subspace: Everything):
        super().__init__()
        if isinstance(ndim, bool) or not isinstance(ndim, Integral) or ndim < 1:
            raise ValueError(
                f"ndim must be the number of axes of one point, at least 1, got {ndim!r}. Vectors have 1, "
                "matrices 2."
            )
        check_subspace(subspace)
        self.ndim = int(ndim)
        self.subspace = subspace

    def random(self, *size, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Projection of a standard normal tensor."""
        return self._as_point(
            self.projx(self._normal(*size, dtype=dtype, device=device, generator=generator))
        )

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"ndim={self.ndim}, subspace={self.subspace}"

    def _check_shape(self, shape, name) -> tuple[bool, str | None]:
        shape = tuple(shape)
        if len(shape) < self.ndim:
            return False, f"'{name}' on the {self} needs at least {self.ndim} axes, got shape {shape}"
        mismatch = self.subspace.mismatch(*shape[len(shape) - self.ndim :])
        return mismatch is None, None if mismatch is None else f"'{name}' on the {self}: {mismatch}"

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(x - self.subspace.project(x), x, self.ndim, atol, rtol):
            return False, f"not in the subspace {self.subspace}, or not finite"
        return True, None


def check_subspace(subspace: Any) -> None:
    """
    Refuse what is no linear subspace of tensors.

    Parameters
    ----------
    subspace : Everything or a subspace of it

    Raises
    ------
    TypeError
    """
    if not isinstance(subspace, Everything):
        raise TypeError(
            f"subspace must be a linear space of tensors, such as Everything() or ColumnCentered(), got "
            f"{subspace!r}. Leave it out for all tensors."
        )


def point_shape(point: tuple[int | tuple[int, ...], ...]) -> tuple[int, ...]:
    """
    Sizes from ``f(4, 3)`` or ``f((4, 3))``, as geoopt accepts both.

    Parameters
    ----------
    point : tuple

    Returns
    -------
    tuple of int
    """
    if len(point) == 1 and not isinstance(point[0], int):
        point = tuple(point[0])
    return tuple(int(size) for size in point)  # type: ignore[arg-type]


def normal(
    shape: tuple[int, ...],
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """
    Independent standard normal numbers, from torch's source of randomness, or a generator on any device.

    Parameters
    ----------
    shape : tuple of int
    dtype : torch.dtype, optional
    device : torch.device, optional
    generator : torch.Generator, optional

    Returns
    -------
    Tensor
    """
    source = device if generator is None else generator.device
    return torch.randn(shape, dtype=dtype, device=source, generator=generator).to(device)


def pair_table(distance: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, ndim: int) -> Tensor:
    """
    Values of a symmetric function for all pairs of two stacks, in blocks of bounded memory.

    Parameters
    ----------
    distance : callable
        From two tensors whose batches broadcast to values (*batch).
    x : Tensor, shape (*batch, n, *point)
    y : Tensor, shape (*batch, k, *point)
        The same tensor as x: every pair is computed once, and the diagonal is zero.
    ndim : int
        Axes of a point.

    Returns
    -------
    Tensor, shape (*batch, n, k)
    """
    if x is not y:
        x, y = x.unsqueeze(-ndim - 1), y.unsqueeze(-ndim - 2)
        rows = max(1, BLOCK_ELEMENTS // max(1, y.numel()))
        return torch.cat([distance(block, y) for block in x.split(rows, -ndim - 2)], -2)
    axis = x.dim() - ndim - 1
    n = x.shape[axis]
    size = max(1, _PAIR_ELEMENTS // max(1, x.numel() // max(1, n)))
    i, j = torch.triu_indices(n, n, 1, device=x.device)
    parts = [
        distance(x.index_select(axis, a), x.index_select(axis, b))
        for a, b in zip(i.split(size), j.split(size), strict=True)
    ]
    if n < 2:
        return x.new_zeros(*x.shape[:axis], n, n)
    values = torch.cat(parts, -1)
    upper = values.new_zeros(*values.shape[:-1], n, n)
    upper[..., i, j] = values
    return upper + upper.mT


def within(residual: Tensor, size: Tensor, ndim: int, atol: float, rtol: float) -> bool:
    """
    Whether a residual is small against ``atol + rtol * size``, in the largest entry of each point.

    Parameters
    ----------
    residual, size : Tensor, shape (*batch, *point)
    ndim : int
    atol, rtol : float

    Returns
    -------
    bool
        False for nan.
    """
    axes = trailing(ndim)
    bound = atol + rtol * size.abs().amax(axes)
    return bool((residual.abs().amax(axes) <= bound).all())
