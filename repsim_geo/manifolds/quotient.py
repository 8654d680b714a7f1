"""The space of orbits of a group: points are representatives, tangent vectors are horizontal."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo._warnings import warn_user
from repsim_geo.errors import CutLocusWarning
from repsim_geo.manifolds.actions import Action, Orthogonal
from repsim_geo.manifolds.base import BLOCK_ELEMENTS, RiemannianManifold, pair_table, point_shape, within
from repsim_geo.manifolds.first_variation import squared_distance
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.shape_transport import carry_in_flat, carry_in_sphere
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.alignment import (
    check_same_size,
    distances_from_nuclear_norms,
    finite_eigenvalues,
    finite_svd,
    working_precision,
)
from repsim_geo.numerics.angles import cot_times, inverse_sinc
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import root_above_rounding, squared_norm, with_axes
from repsim_geo.numerics.nuclear import nuclear_norms
from repsim_geo.numerics.symmetric import spectrum
from repsim_geo.numerics.tracing import any_true, constant, readable

# Columns of points whose products are computed together.
_CROSS_COLUMNS = 512


class Quotient(RiemannianManifold):
    """
    A flat space or sphere of matrices (m, p) modulo rotations, or permutations, of the columns.

    A point is any representative of its orbit; the distance of two orbits is the shortest distance of their
    representatives. A tangent vector at `x` is *horizontal*: orthogonal to the orbit. For rotations that is
    ``x'u`` symmetric; the orbits of permutations are points apart, and every vector is horizontal. Geodesics
    are those of the total space that start horizontally.

    Parameters
    ----------
    total : Flat or UnitSphere
        The space before the group is divided out, with Euclidean inner product.
    action : Orthogonal, SpecialOrthogonal or Permutation

    Notes
    -----
    ``logmap``, ``geodesic`` and ``transp`` move their target into the position nearest to `x`;
    ``transp`` and the pair methods return vectors at the representative that was given or returned.
    ``expmap`` trusts that its vector is horizontal (``proju`` makes it so).

    Where it is delicate: points have larger symmetry if, under rotations, their rank is less than
    ``min(p, m - 1)`` or, under permutations, they have equal columns. Distances and geodesics are right
    there, but the tangent space is only a cone. Shortest paths are unique unless aligning leaves a choice: a
    free rotation, ``rank(x'y) < min(rank x, rank y)``, or two permutations that are equally good. Directions
    of a point that are weaker than 1e-8 of the strongest are rotated only up to their own size.

    Examples
    --------
    >>> import torch
    >>> shapes = Quotient(Flat(), Orthogonal())
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> float(shapes.dist(x, x @ quarter_turn)) < 1e-6
    True
    """

    __scaling__ = RiemannianManifold.__scaling__.copy()
    name = "Quotient"

    def __init__(self, total: Flat | UnitSphere, action: Action = Orthogonal()):
        super().__init__()
        _check_total(total)
        if not hasattr(action, "align"):
            raise TypeError(
                f"action must be Orthogonal(), SpecialOrthogonal() or Permutation(), got {action!r}. Leave "
                "it out for rotations and reflections."
            )
        self.total = total
        self.action = action
        self.ndim = total.ndim
        # Horizontal noise is noise on the quotient, so geoopt's samplers are as right as on the total space.
        self.reversible = total.reversible
        self.diameter = action.diameter if total.spherical else total.diameter

    # ------------------------------------------------------------------ distances and geodesics

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product of horizontal vectors; shape (*batch)."""
        return self.total.inner(x, u, v, keepdim=keepdim)

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance of the orbits; shape (*batch). Derivatives of first and second order are exact."""
        check_same_size(x, y)
        return squared_distance(self, *torch.broadcast_tensors(x, y), keepdim=keepdim)

    def _squared(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        aligned, rotation = self.action.align(x, y)
        return self.total.dist2(x.to(aligned.dtype), aligned).to(x.dtype), aligned, rotation

    def _squared_gradients(  # pyright: ignore[reportIncompatibleMethodOverride]  # takes what _squared kept
        self, x: Tensor, y: Tensor, aligned: Tensor, rotation: Tensor
    ) -> tuple[Tensor, Tensor]:
        # The best position needs no derivative in the gradient (envelope theorem), and its own would only add
        # noise there. It does in the Hessian: then it is found again, differentiably.
        if torch.is_grad_enabled():
            aligned, rotation = self.action.align(x, y)
        here = x.to(aligned.dtype)
        u, v = self.total.logmap(here, aligned), self.total.logmap(aligned, here)
        gx, gy = -2 * self.total.rgrad2egrad(here, u), -2 * self.total.rgrad2egrad(aligned, v)
        return gx.to(x.dtype), (gy @ rotation.mT.to(gy.dtype)).to(y.dtype)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """
        Distance of the orbits.

        Shape (*batch). Zero, with zero gradient, below the rounding of an alignment.
        """
        d2 = self.dist2(x, y, keepdim=keepdim)
        size2 = torch.maximum(*(squared_norm(w.detach(), 2, keepdim=keepdim) for w in (x, y)))
        return root_above_rounding(d2, size2)

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """Geodesic of the total space with horizontal velocity `u`."""
        return self.total.expmap(x, u)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Horizontal vector from `x` to the representative of `y` that is nearest to `x`."""
        aligned = self.action.align(x, y).matrix
        return self.total.logmap(x.to(aligned.dtype), aligned).to(y.dtype)

    @property
    def second_order(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether ``log_and_hessian`` is written."""
        return hasattr(self.action, "turning")

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """
        Logarithm, and the Hessian: that of the total space, less what `y` gains by turning along.

        The horizontal part of the derivative of a horizontal field is its derivative below (O'Neill 1966).
        Turning keeps the angle to `x`, so on spheres what turns is only stretched by ``a / sin a``.
        """
        aligned = self.action.align(x, y).matrix
        here = x.to(aligned.dtype)
        u, above = self.total.log_and_hessian(here, aligned)
        stretch = inverse_sinc(squared_norm(u, 2, keepdim=True)) if self.total.spherical else 1.0
        turn = self.action.turning(here, aligned)

        def hessian(v: Tensor) -> Tensor:
            w = v.to(aligned.dtype)
            return (above(w) - self.proju(here, stretch * turn(w))).to(v.dtype)

        return u.to(y.dtype), hessian

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """
        All distances between two stacks of points.

        Parameters
        ----------
        x : Tensor, shape (*batch, n, m, p)
        y : Tensor, shape (*batch, k, m, p)

        Returns
        -------
        Tensor, shape (*batch, n, k)

        Notes
        -----
        Computed in blocks of bounded memory: a pair costs a point, and a square matrix to align it with.
        """
        if self.pads and x.dim() == 3 and constant(x) and constant(y) and readable(x):
            return self._distances_from_singular_values(x, y)
        if x is y:
            return pair_table(self.dist, x, y, 2)
        m, p = y.shape[-2:]
        pairs = max(1, BLOCK_ELEMENTS // (p * max(m, p)))
        columns = y.split(pairs, -3)
        rows = max(1, pairs // max(1, columns[0].shape[-3]))
        return torch.cat(
            [
                torch.cat([self.dist(a.unsqueeze(-3), b.unsqueeze(-4)) for b in columns], -1)
                for a in x.split(rows, -3)
            ],
            -2,
        )

    def _distances_from_singular_values(self, x: Tensor, y: Tensor) -> Tensor:
        """
        As ``cdist``, from the sums of the singular values of all ``x'y``, which need no rotation.

        Near pairs lose digits that way and are aligned, as in ``dist``.
        """
        check_same_size(x, y)
        wanted = torch.ones(len(x), len(y), dtype=torch.bool, device=x.device)
        wanted = wanted.triu(1) if x is y else wanted
        nuclear = self._nuclear_norms(x, y, wanted)
        xx, yy = (squared_norm(working_precision(w), 2) for w in (x, y))
        table, near = distances_from_nuclear_norms(nuclear, xx, yy, angles=self.total.spherical)
        table = torch.where(wanted, table, 0.0)
        size = max(1, BLOCK_ELEMENTS // x[0].numel())
        for i, j in zip(
            *(index.split(size) for index in (near & wanted).nonzero(as_tuple=True)), strict=True
        ):
            table[i, j] = self.dist(x[i], y[j]).to(table)
        return (table + table.mT if x is y else table).to(torch.result_type(x, y))

    @staticmethod
    def _nuclear_norms(x: Tensor, y: Tensor, wanted: Tensor) -> Tensor:
        """Sums of the singular values of ``x_i'y_j``, where wanted; products of several points at once."""
        p = x.shape[-1]
        norms = working_precision(x).new_zeros(wanted.shape)
        side = max(1, _CROSS_COLUMNS // p)
        for i in range(0, len(x), side):
            left = torch.cat(list(x[i : i + side]), -1).mT
            for j in range(i if x is y else 0, len(y), 4 * side):
                here = wanted[i : i + side, j : j + 4 * side].nonzero(as_tuple=True)
                if len(here[0]):
                    cross = left @ torch.cat(list(y[j : j + 4 * side]), -1)
                    cross = cross.unflatten(0, (-1, p)).unflatten(-1, (-1, p)).transpose(1, 2)
                    values = nuclear_norms(working_precision(cross[here]))
                    norms[i : i + side, j : j + 4 * side][here] = values
        return norms

    # ------------------------------------------------------------------ width

    @property
    def pads(self) -> bool:
        """Whether ``with_columns`` makes sense: columns of zeros change nothing."""
        return getattr(self.action, "pads", False)

    def with_columns(self, x: Tensor, p: int) -> Tensor:
        """
        The same shapes with columns of zeros, or what is nearest to them with fewer columns.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, q)
        p : int

        Returns
        -------
        Tensor, shape (*batch, m, p)
            With fewer columns the principal axes, projected to the manifold.
        """
        if not self.pads:
            raise NotImplementedError(
                f"{type(self).__name__}.with_columns is for shapes modulo O(p); modulo {self.action} columns "
                "of zeros change distances. Embed the activations with another p."
            )
        if p >= x.shape[-1]:
            return torch.nn.functional.pad(x, (0, p - x.shape[-1]))
        u, s, _ = finite_svd(working_precision(x))
        kept = torch.nn.functional.pad(u * s[..., None, :], (0, p))[..., :p]
        return self.projx(kept.to(x.dtype))

    def wants_columns(self, x: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """
        Whether another column would lower the variance around a mean of these shapes.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, p)
            A minimum of the variance among shapes of p columns.
        points : Tensor, shape (*batch, n, m, p)
        weights : Tensor, shape (n,) or (*batch, n)
            With sum one.

        Returns
        -------
        Tensor, shape (*batch), bool
            If not, `x` is a mean at every width; in flat space, where the variance is a convex function of
            the Gram matrix, it has no better one.

        Notes
        -----
        A short column e c, with c orthogonal to the columns of `x`, changes the sum of singular values of
        ``x'y`` by ``e^2 / 2 c' T c``, with the transport map ``T = y P^-1 y'`` and ``P = x'y`` for y in its
        best position. So it pays if the largest eigenvalue of the mean of all T, outside of the columns of
        `x`, exceeds one; on spheres T is weighted by a / sin(a) at the angle a, and the bound is the mean of
        a cot(a).
        """
        here = working_precision(x).unsqueeze(-3)
        aligned = self.action.align(here, points).matrix
        s, basis = spectrum(symmetrize(here.mT @ aligned))
        floor = x.shape[-1] * torch.finfo(s.dtype).eps * s[..., -1:]
        small = s <= floor
        w, bound = weights.to(s), torch.ones_like(s[..., 0, 0])
        if self.total.spherical:
            t = self.total.dist2(here, aligned)
            w, bound = w * inverse_sinc(t), (w * cot_times(t)).sum(-1)
        scale = torch.where(small, 0.0, 1.0) / torch.where(small, 1.0, s).sqrt()
        factors = with_axes(w, 2).sqrt() * (aligned @ basis) * scale[..., None, :]
        stacked = factors.movedim(-3, -2).flatten(-2)
        u, extent, _ = finite_svd(here.squeeze(-3))
        u = u * (extent > floor.amax(-2))[..., None, :]
        outside = stacked - u @ (u.mT @ stacked)
        short = outside.shape[-2] < outside.shape[-1]
        return finite_eigenvalues(outside @ outside.mT if short else outside.mT @ outside)[..., -1] > bound

    def rough_mean(self, points: Tensor, weights: Tensor) -> Tensor | None:
        """Principal axes of all points side by side, a factor of the mean Gram matrix; (*batch, m, p)."""
        if not self.pads:
            return None
        scaled = with_axes(weights.to(points), 2).sqrt() * points
        stacked = working_precision(scaled.movedim(-3, -2).flatten(-2))
        m, width = stacked.shape[-2:]
        if width > m:
            # Directions weaker than the rounding of the product do not matter to a guess.
            values, basis = spectrum(stacked @ stacked.mT)
            stacked = (basis * values.clamp_min(0).sqrt()[..., None, :])[..., -points.shape[-1] :]
        return self.with_columns(stacked.to(points.dtype), points.shape[-1])

    # ------------------------------------------------------------------ transport

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """
        Parallel transport of `v` along the geodesic with velocity `u`; exact, see `shape_transport`.

        Warns
        -----
        CutLocusWarning
            When the geodesic runs through a singular point, which shortest paths between regular points
            never do: there is no parallel transport through it, and a projection of the same length is
            returned. Under a finite group transport is that of the total space, and always exists.
        """
        if self.action.finite:
            return self.total.carry(x, u, v)
        end = self.total.expmap(x, u)
        moved = self.proju(end, (carry_in_sphere if self.total.spherical else carry_in_flat)(x, u, v))
        before, after = self.norm(x, v, keepdim=True), self.norm(end, moved, keepdim=True)
        broken = ~((after - before).abs() <= 1e-3 * before)
        return (
            torch.where(broken, self._projected(end, v, before, broken), moved) if any_true(broken) else moved
        )

    def _projected(self, end: Tensor, v: Tensor, length: Tensor, broken: Tensor) -> Tensor:
        """Stand-in for parallel transport through a singular point: the horizontal part, at full length."""
        if readable(broken):
            warn_user(
                "parallel transport through a point of deficient rank does not exist; the vector was "
                "projected and rescaled instead. Take shorter steps, or fewer columns p, if the direction "
                "matters.",
                CutLocusWarning,
            )
        v = self.proju(end, v)
        rest = self.norm(end, v, keepdim=True)
        return v * length / torch.where(rest > 0, rest, 1.0)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport along the minimal geodesic, returned at the representative `y`."""
        aligned, rotation = self.action.align(x, y)
        moved = self.carry(x, self.total.logmap(x.to(aligned.dtype), aligned).to(v.dtype), v)
        return (moved.to(rotation.dtype) @ rotation.mT).to(v.dtype)

    # ------------------------------------------------------------------ projections

    def projx(self, x: Tensor) -> Tensor:
        """Nearest point of the total space."""
        return self.total.projx(x)

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection to the horizontal space at `x`."""
        u = self.total.proju(x, u)
        # Projected again: at ill-conditioned points the rounding of the vertical part is amplified.
        return self.total.proju(x, u - self.action.vertical(x, u))

    def rgrad2egrad(self, x: Tensor, u: Tensor) -> Tensor:
        """Euclidean gradient from a Riemannian one."""
        return self.total.rgrad2egrad(x, u)

    def random(self, *size, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Random point of the total space."""
        return self._as_point(self.total.random(*size, dtype=dtype, device=device, generator=generator))

    # ------------------------------------------------------------------ facts

    def _rank(self, m: int, p: int) -> int:
        return self.total.subspace.rank(m, p)

    def _room(self, x: Tensor) -> Tensor:
        return self.action.room(x, self._rank(*x.shape[-2:]))

    def dim(self, *point) -> int:
        """Dimension of the total space less that of a generic orbit."""
        m, p = point_shape(point)
        return self.total.dim(m, p) - self.action.orbit_dim(p, self._rank(m, p))

    def injectivity_radius(self, x: Tensor | None = None) -> float | Tensor:
        """
        Room of the action: how far a point is from those with larger symmetry (its arc sine on the sphere).

        0 over all points.
        """
        if x is None:
            return 0.0
        room = self._room(x)
        if not self.total.spherical:
            return room
        # No room is unlimited but that of a group that does nothing, and then the sphere is what it was.
        return torch.where(room.isinf(), self.total.injectivity_radius(x), room.clamp(max=1.0).asin())

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """First time beyond which another position of ``exp_x(t u)`` is nearer to `x`; shape (*batch)."""
        if not self.total.spherical:
            cotangent = self.action.cut_cotangent(x, u)
            endless = cotangent <= 0
            return torch.where(endless, math.inf, 1 / torch.where(endless, 1.0, cotangent))
        speed = self.norm(x, u)
        unit = u / torch.where(speed == 0, 1.0, speed)[..., None, None]
        cotangent = self.action.cut_cotangent(x, unit)
        return torch.atan2(torch.ones_like(cotangent), cotangent) / speed

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """O'Neill: that of the total space plus three quarters of the squared bracket; shape (*batch)."""
        v, area = self._spanned(x, u, v)
        bracket = squared_norm(self.action.bracket(x, u, v), 2)
        return self.total.sectional_curvature(x, u, v) + 3 * bracket / area

    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """
        Radius for which the mean of data in a ball around `x` is unique; shape (*batch).

        A share of the ``room`` that depends on the action, which says why.
        """
        return torch.minimum(self._room(x) * self.action.sure_of_mean, self.total.uniqueness_radius(x))

    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """Comparison with the sphere whose curvature is the largest within distance `d` of `x`."""
        if self.action.finite:
            # Short of the cut locus the squared distance is that to one representative.
            near = (d == 0) | (d < self.injectivity_radius(x))
            return torch.where(near, self.total.distance_convexity(x, d), -math.inf)
        room = (self._room(x) - d).clamp_min(0)
        curvature = self.total.spherical + self.action.bending / room.square()
        angle = curvature.sqrt() * d
        return torch.where(d == 0, 1.0, torch.where(angle < math.pi / 2, angle / angle.tan(), -math.inf))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"{self.total.name}({self.total.extra_repr()}) / {self.action}"

    # ------------------------------------------------------------------ checks

    def _check_shape(self, shape, name):
        ok, reason = self.total._check_shape(shape, name)
        if ok:
            m, p = tuple(shape)[-2:]
            mismatch = self.action.mismatch(p, self._rank(m, m))
            if mismatch is not None:
                return False, f"'{name}' on the {self}: {mismatch}"
        return ok, reason

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5):
        return self.total._check_point_on_manifold(x, atol=atol, rtol=rtol)

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5):
        ok, reason = self.total._check_vector_on_tangent(x, u, atol=atol, rtol=rtol)
        if ok and not within(self.action.vertical(x, u), u, self.ndim, atol, rtol):
            return False, "not horizontal: not orthogonal to the orbit of x"
        return ok, reason


def _check_total(total: Flat | UnitSphere) -> None:
    """Refuse spaces that the groups leave, or whose inner product is not the Euclidean one."""
    known = isinstance(total, Flat | UnitSphere)
    if not known or total.ndim != 2 or not total.subspace.keeps_rotations:
        raise ValueError(
            f"Quotient needs a space of matrices that rotations of the columns do not leave, got {total}. "
            "Use Flat(2) or UnitSphere(2), with or without ColumnCentered()."
        )
    if getattr(total, "weight", 1.0) != 1.0:
        raise ValueError(
            f"Quotient needs the Euclidean inner product, got weight {total.weight}. "
            "Wrap the quotient into geoopt.Scaled to change the unit of its distances."
        )
