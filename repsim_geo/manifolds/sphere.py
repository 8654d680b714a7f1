"""The unit sphere of a linear subspace of tensors: the only file that knows spherical geometry."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import CutLocusWarning
from repsim_geo.manifolds.base import BLOCK_ELEMENTS, InSubspace, point_shape, within
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.angles import (
    angle_from_chords,
    cot_times,
    inverse_sinc,
    one_minus_cos,
    sinc,
    squared_angle_from_chords,
)
from repsim_geo.numerics.norms import inner, safe_norm, squared_norm, trailing
from repsim_geo.numerics.subspaces import Everything
from repsim_geo.numerics.tracing import any_true, readable

# Cosines beyond this have an arc cosine that is less accurate than the angle from chord and sum.
_BLUNT_COSINE = 0.99


class UnitSphere(InSubspace):
    """
    Unit tensors of a linear subspace; distances are angles, in radians.

    Parameters
    ----------
    ndim : int
        Trailing axes of one point.
    subspace : Everything or a subspace of it
        The linear space whose unit sphere this is.

    Notes
    -----
    Antipodal points have many shortest paths between them. ``dist`` is right there (pi), with zero
    gradient; ``logmap`` returns one of the directions and warns `CutLocusWarning` where values can be read.

    Examples
    --------
    >>> import torch
    >>> sphere = UnitSphere(ndim=1)
    >>> sphere.dist(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    tensor(1.5708)
    """

    __scaling__ = InSubspace.__scaling__.copy()
    name = "UnitSphere"
    second_order = True
    reversible = True
    diameter = math.pi
    spherical = True

    def __init__(self, ndim: int = 2, subspace: Everything = Everything()):
        super().__init__(ndim, subspace)

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product of tangent vectors; shape (*batch)."""
        v = u if v is None else v
        return self._expand(inner(u, v, self.ndim, keepdim=keepdim), x, u, v, keepdim=keepdim)

    def _chords(self, x: Tensor, y: Tensor, keepdim: bool) -> tuple[Tensor, Tensor]:
        return squared_norm(x - y, self.ndim, keepdim=keepdim), squared_norm(
            x + y, self.ndim, keepdim=keepdim
        )

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Angle in radians; shape (*batch). Exactly zero for equal points, with zero gradient."""
        return angle_from_chords(*self._chords(x, y, keepdim))

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared angle; shape (*batch). All derivatives exist short of the antipode."""
        return squared_angle_from_chords(*self._chords(x, y, keepdim))

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """
        All angles between two stacks of points.

        Parameters
        ----------
        x : Tensor, shape (*batch, n, *point)
        y : Tensor, shape (*batch, k, *point)

        Returns
        -------
        Tensor, shape (*batch, n, k)

        Notes
        -----
        One matrix product gives all cosines. Where the arc cosine loses digits, within 0.14 of 0 or pi, the
        angle is computed from chord and sum as in ``dist``.
        """
        dtype = torch.result_type(x, y)
        x, y = x.to(dtype), y.to(dtype)
        # Normalized, so that gradients are those of an angle off the sphere too.
        a, b = (working_precision(w.flatten(-self.ndim)) for w in (x, y))
        cosine = (a / a.norm(dim=-1, keepdim=True)) @ (b / b.norm(dim=-1, keepdim=True)).mT
        blunt = cosine.abs() > _BLUNT_COSINE
        if not readable(blunt):
            return super().cdist(x, y)
        angle = torch.where(blunt, 0.0, cosine).acos().to(dtype)
        where = blunt.nonzero(as_tuple=True)
        x, y = (w.expand(*blunt.shape[:-2], *w.shape[w.dim() - self.ndim - 1 :]) for w in (x, y))
        block = max(1, BLOCK_ELEMENTS // x.shape[-self.ndim :].numel())
        for part in zip(*(index.split(block) for index in where), strict=True):
            angle = angle.index_put(part, self.dist(x[part[:-1]], y[(*part[:-2], part[-1])]))
        return angle

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """Great circle: ``cos(a) x + sin(a) u / a`` with ``a = |u|``."""
        t = squared_norm(u, self.ndim, keepdim=True)
        return (1 - t * one_minus_cos(t)) * x + sinc(t) * u

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """
        Tangent vector of the great circle from `x` to `y`.

        Warns
        -----
        CutLocusWarning
            When the points are antipodal to the last digits: the direction is arbitrary.
        """
        d = self.proju(x, y - x)
        t = self.dist2(x, y, keepdim=True)
        if any_true(t > 9):
            # Almost opposite: the rounding of a difference of two is large next to the tangent part.
            # A correction of rounding, so a constant: derivatives are those of the formula.
            d = d + (self.proju(x, d) - d).detach()
        within = squared_norm(d, self.ndim, keepdim=True) <= (8 * torch.finfo(d.dtype).eps) ** 2
        opposite = within & (t > 1)
        if any_true(opposite):
            d = torch.where(opposite, self._some_direction(x).expand_as(d), d)
            if readable(opposite):
                warn_user(
                    "logmap of antipodal points: every direction is a shortest path, one was chosen. "
                    "Perturb a point if the choice matters.",
                    CutLocusWarning,
                )
        small = t < 1e-2
        length = safe_norm(torch.where(small, 1.0, d), self.ndim, keepdim=True)
        long = self.dist(x, y, keepdim=True) / length
        return torch.where(small, inverse_sinc(torch.where(small, t, 0.0)), long) * d

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Logarithm, and the Hessian: 1 towards `y`, ``a cot a`` across, at the distance a."""
        u = self.logmap(x, y)
        t = squared_norm(u, self.ndim, keepdim=True)
        across = cot_times(t)
        along = (1 - across) / torch.where(t > 0, t, 1.0)
        return u, lambda v: across * v + along * inner(u, v, self.ndim, keepdim=True) * u

    def _some_direction(self, x: Tensor) -> Tensor:
        """Return a tangent vector at `x` that depends on nothing but its shape."""
        numbers = torch.arange(1, x[(0,) * (x.dim() - self.ndim)].numel() + 1, device=x.device)
        fixed = (numbers * 1.6180339887).to(x.dtype).sin().reshape(x.shape[x.dim() - self.ndim :])
        return self.proju(x, fixed)

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Rotate `v` in the plane of `x` and `u`; what is orthogonal to the plane stays."""
        t = squared_norm(u, self.ndim, keepdim=True)
        return v - inner(u, v, self.ndim, keepdim=True) * (one_minus_cos(t) * u + sinc(t) * x)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """
        Parallel transport along the great circle from `x` to `y`, in closed form.

        At antipodal points, where the great circle is not unique, the vector is returned as it is:
        the transport along circles that are orthogonal to it.
        """
        s = x + y
        s2 = squared_norm(s, self.ndim, keepdim=True)
        opposite = s2 <= (4 * torch.finfo(s2.dtype).eps) ** 2
        weight = torch.where(opposite, 0.0, 2 / torch.where(opposite, 1.0, s2))
        return v - inner(s, v, self.ndim, keepdim=True) * weight * s

    def projx(self, x: Tensor) -> Tensor:
        """Nearest unit tensor of the subspace; nan for a tensor orthogonal to the subspace."""
        x = self.subspace.project(x)
        return (x / x.norm(dim=trailing(self.ndim), keepdim=True)).contiguous()

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection to the tangent space at `x`."""
        u = self.subspace.project(u)
        return u - inner(x, u, self.ndim, keepdim=True) * x

    def dim(self, *point) -> int:
        """One less than the dimension of the subspace."""
        return self.subspace.dim(*point_shape(point)) - 1

    def injectivity_radius(self, x: Tensor | None = None) -> float:
        """Pi: the antipode is where shortest paths meet."""
        return math.pi

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """``pi / |u|``; shape (*batch)."""
        return math.pi / self.norm(x, u)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """One; nan where `u` and `v` are parallel; shape (*batch)."""
        _, area = self._spanned(x, u, v)
        return area / area

    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """Pi / 2: data in an open hemisphere have one mean (Afsari 2011; Buss and Fillmore 2001)."""
        return torch.full_like(super().uniqueness_radius(x), math.pi / 2)

    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """
        ``d cot d``, the smallest eigenvalue of the Hessian of half the squared distance.

        -inf from pi on.
        """
        inside = d < math.pi
        return torch.where(inside, d.cos() * inverse_sinc(torch.where(inside, d, 0.0).square()), -math.inf)

    # ------------------------------------------------------------------ checks

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5):
        ok, reason = super()._check_point_on_manifold(x, atol=atol, rtol=rtol)
        if not ok:
            return ok, reason
        off = (safe_norm(x, self.ndim) - 1).abs()
        if not bool((off <= atol + rtol).all()):
            return False, f"norm differs from 1 by {float(off.max()):.3g}"
        return True, None

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5):
        if not within(u - self.proju(x, u), u, self.ndim, atol, rtol):
            return (
                False,
                f"not tangent: not in the subspace {self.subspace}, not orthogonal to x, or not finite",
            )
        return True, None
