"""Positive semidefinite matrices with the Bures-Wasserstein metric: the Gram side of size-and-shape space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo.manifolds.actions import Orthogonal
from repsim_geo.manifolds.base import within
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.manifolds.spd import SPD, with_positive_eigenvalues
from repsim_geo.numerics.alignment import align, finite_eigenvalues, working_precision
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import inner, root_above_rounding, squared_norm, with_axes
from repsim_geo.numerics.sylvester import lyapunov
from repsim_geo.numerics.symmetric import SQRT, Spectrum, spectral, spectrum

# Roots of one matrix that were computed in batches of different shapes differ by up to 15 eps of their size.
_ROUNDINGS = 32.0


class BuresWassersteinSPD(SPD):
    """
    Covariance matrices with the transport distance of the centered Gaussians that have them.

    ``d(x, y) = min |f - g q|`` over orthogonal q, for any factors ``x = f f'``, ``y = g g'``: every factor is
    a representative of a point of size-and-shape space, and this manifold is that space seen through ``f
    f'``.

    Notes
    -----
    Distances come from aligned factors, never from traces: a difference of traces loses half of the digits of
    near points. ``expmap``, ``inner`` and gradients use the equation ``{x, a} = u`` directly; parallel
    transport and curvature are those of shape space.

    Where it is delicate: singular matrices are points too, at finite distance, where the space has an edge.
    Distances and geodesics are right there; tangent vectors have no part in which both sides vanish
    (``proju`` removes it). Geodesics leave the space in finite time.

    References
    ----------
    Takatsu 2011; Bhatia, Jain and Lim 2019; Thanwerdas and Pennec 2023; Harvey et al. 2023.

    Examples
    --------
    >>> import torch
    >>> bures = BuresWassersteinSPD()
    >>> bures.dist(
    ...     torch.diag(torch.tensor([1.0, 4.0])), torch.diag(torch.tensor([4.0, 4.0]))
    ... )  # roots 1 and 2
    tensor(1.)
    """

    __scaling__ = SPD.__scaling__.copy()
    name = "BuresWassersteinSPD"
    second_order = True
    full_rank = False

    def __init__(self):
        super().__init__()
        # Not an attribute that geoopt would see as a submodule with state: it has none.
        self.factors = Quotient(Flat(2), Orthogonal())

    # ------------------------------------------------------------------ metric

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product ``tr(a v) / 2`` with ``{x, a} = u``; shape (*batch)."""
        b = u if v is None else v
        product = inner(_Root(x).solve(u), working_precision(symmetrize(b)), 2, keepdim=keepdim) / 2
        return self._expand(product.to(u.dtype), x, u, b, keepdim=keepdim)

    def egrad2rgrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Riemannian gradient ``2 {x, sym(u)}``."""
        half = x @ symmetrize(u)
        return 2 * (half + half.mT)

    def isotropic(self, x: Tensor, z: Tensor) -> Tensor:
        """Velocity of `x` when its factor moves with velocity `z`, whose vertical part moves nothing."""
        return _pushed(_Root(x).factor, working_precision(z)).to(x.dtype)

    def rgrad2egrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Euclidean gradient: half of the solution a of ``{x, a} = u``."""
        return (_Root(x).solve(u) / 2).to(u.dtype)

    # ------------------------------------------------------------------ geodesics

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance; shape (*batch). Derivatives of first and second order are exact."""
        return self.factors.dist2(_Root(x).factor, _Root(y).factor, keepdim=keepdim).to(x.dtype)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Distance; shape (*batch). Zero, with zero gradient, below the rounding of two matrix roots."""
        a, b = _Root(x).factor, _Root(y).factor
        d2 = self.factors.dist2(a, b, keepdim=keepdim)
        size2 = torch.maximum(*(squared_norm(w.detach(), 2, keepdim=keepdim) for w in (a, b)))
        return root_above_rounding(d2, size2, roundings=_ROUNDINGS).to(x.dtype)

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """``(1 + a) x (1 + a)`` with ``{x, a} = u``."""
        a = _Root(x).solve(u)
        moved = working_precision(x) @ a
        return symmetrize(working_precision(x) + moved + moved.mT + a @ moved).to(x.dtype)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Velocity ``f w' + w f'`` of the straight line from a factor f of `x` to the nearest of `y`."""
        f = _Root(x).factor
        return _pushed(f, align(f, _Root(y).factor).matrix - f).to(y.dtype)

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Logarithm, and the Hessian of shape space at the factor of `x`."""
        root = _Root(x)
        f = root.factor
        w, above = self.factors.log_and_hessian(f, _Root(y).factor)
        return _pushed(f, w).to(y.dtype), lambda u: _pushed(f, above(root.lift(u))).to(u.dtype)

    def geodesic(self, t: float | Tensor, x: Tensor, y: Tensor) -> Tensor:
        """
        Squares ``z z'`` of the straight line of factors; shape (*batch, n, n), broadcast with `t`.

        Right for any ranks. From a singular matrix to one of larger rank no tangent vector tells the way, so
        there ``expmap`` of ``logmap`` falls short of the target.
        """
        f = _Root(x).factor
        z = f + t * (align(f, _Root(y).factor).matrix - f)
        return symmetrize(z @ z.mT).to(x.dtype)

    def rough_mean(self, points: Tensor, weights: Tensor) -> Tensor:
        """Arithmetic mean, which has the directions of all points; shape (*batch, n, n)."""
        return (with_axes(weights.to(points), 2) * points).sum(-3)

    # ------------------------------------------------------------------ what shape space knows

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Parallel transport of the horizontal lift; exact, see `shape_transport`."""
        root = _Root(x)
        f, w = root.factor, root.lift(u)
        return _pushed(f + w, self.factors.carry(f, w, root.lift(v))).to(v.dtype)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport along the minimal geodesic."""
        root = _Root(x)
        end = align(root.factor, _Root(y).factor).matrix
        moved = self.factors.carry(root.factor, end - root.factor, root.lift(v))
        return _pushed(end, moved).to(v.dtype)

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """First time at which the geodesic reaches a singular matrix; shape (*batch)."""
        root = _Root(x)
        return self.factors.cut_time(root.factor, root.lift(u)).to(u.dtype)

    def injectivity_radius(self, x: Tensor | None = None) -> float | Tensor:
        """Root of the smallest eigenvalue; 0 over all points."""
        return 0.0 if x is None else _Root(x).eigen.values[..., 0].sqrt().to(x.dtype)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Nonnegative, by O'Neill's formula; nan for parallel vectors; shape (*batch)."""
        root = _Root(x)
        return self.factors.sectional_curvature(root.factor, root.lift(u), root.lift(v)).to(u.dtype)

    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """Quarter of the injectivity radius, as for shapes; shape (*batch)."""
        return self.factors.uniqueness_radius(_Root(x).factor).to(x.dtype)

    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """Bound of the Hessian of half the squared distance, as for shapes; shape (*batch)."""
        return self.factors.distance_convexity(_Root(x).factor, d).to(d.dtype)

    # ------------------------------------------------------------------ projections and checks

    def projx(self, x: Tensor) -> Tensor:
        """Symmetric part, with the absolute values of its eigenvalues."""
        return with_positive_eigenvalues(x, 0.0)

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Symmetric part, without what two directions of no extent have in common."""
        u = symmetrize(u).expand(torch.broadcast_shapes(x.shape, u.shape))
        values, basis = _Root(x).eigen
        missing = basis * (values == 0)[..., None, :].to(basis.dtype)
        inside = missing.mT @ working_precision(u) @ missing
        return (u - (missing @ inside @ missing.mT).to(u.dtype)).contiguous()

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(x - x.mT, x, self.ndim, atol, rtol):
            return False, "not symmetric, or not finite"
        values = finite_eigenvalues(working_precision(symmetrize(x)))
        if not bool((values[..., 0] >= -rtol * values.abs().amax(-1)).all()):
            return False, "not positive semidefinite: an eigenvalue is negative"
        return True, None

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(u - self.proju(x, u), u, self.ndim, atol, rtol):
            return False, "not symmetric, not finite, or with a part where x has no extent at all"
        return True, None


class _Root:
    """The symmetric factor of a point, and the equation ``{x, a} = u`` in its eigenbasis."""

    def __init__(self, x: Tensor):
        self.x = symmetrize(working_precision(x))
        values, basis = spectrum(self.x)
        floor = x.shape[-1] * torch.finfo(x.dtype).eps * values.abs().amax(-1, keepdim=True)
        # What is as small as the rounding of the largest eigenvalue is rounding; a root would blow it up.
        self.eigen = Spectrum(torch.where(values <= floor, torch.zeros_like(values), values), basis)

    @property
    def factor(self) -> Tensor:
        return symmetrize(spectral(SQRT, self.x, self.eigen))

    def solve(self, u: Tensor) -> Tensor:
        values, basis = self.eigen
        a = lyapunov(basis.mT @ self.x @ basis, basis.mT @ working_precision(symmetrize(u)) @ basis, values)
        return basis @ a @ basis.mT

    def lift(self, u: Tensor) -> Tensor:
        """Horizontal vector at the factor that moves the point with velocity `u`."""
        return self.solve(u) @ self.factor


def _pushed(f: Tensor, w: Tensor) -> Tensor:
    """Velocity of ``f f'`` when f moves with velocity w."""
    half = f @ w.mT
    return half + half.mT
