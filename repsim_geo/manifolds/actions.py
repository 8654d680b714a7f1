"""Groups that act on points from the right, ``x -> x g``, and can be divided out by `Quotient`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repsim_geo.numerics.alignment import (
    Aligned,
    align,
    determinant_sign,
    finite_eigenvalues,
    finite_svd,
    working_precision,
)
from repsim_geo.numerics.assignment import column_separation, match_columns, steepest_exchange
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.sylvester import skew_sylvester
from repsim_geo.numerics.symmetric import spectrum

_HALVINGS = 60


@dataclass(frozen=True)
class Orthogonal:
    """
    Rotations and reflections of the p columns, the group O(p).

    Zero columns are harmless: shapes of different widths can be padded to a common one without
    changing any distance.
    """

    special = False
    # Columns of zeros change neither distances nor geodesics.
    pads = True
    # Whether orbits are finitely many points: then every tangent vector of the total space is horizontal.
    finite = False
    # A rotation, or the reflection, brings any two matrices of unit norm within a right angle.
    diameter = math.pi / 2
    # By at most this over the squared room is the quotient more curved than the total space.
    bending = 1.5
    # Data in a ball of this share of the room have one mean: every minimizer lies within twice the radius of
    # the center, and in that larger ball the injectivity radius is still twice the radius, and the curvature
    # bound asks for less (Afsari 2011, applied to that ball).
    sure_of_mean = 1 / 4

    def align(self, x: Tensor, y: Tensor) -> Aligned:
        """
        Move `y` as close as possible to `x` by an element of the group.

        Parameters
        ----------
        x, y : Tensor, shape (*batch, m, p)

        Returns
        -------
        Aligned
            The moved matrix, and the group element (*batch, p, p).
        """
        return align(x, y, special=self.special)

    def vertical(self, x: Tensor, w: Tensor) -> Tensor:
        """
        Part of `w` that only moves `x` along its orbit: ``x a`` with skew-symmetric `a`.

        Parameters
        ----------
        x, w : Tensor, shape (*batch, m, p)

        Returns
        -------
        Tensor, shape (*batch, m, p)

        Notes
        -----
        `a` solves ``{x'x, a} = x'w - w'x``. The equation is set up in the right singular vectors of
        `x`, where its entries are accurate relative to the singular values they belong to; forming
        ``x'x`` first would lose digits with the square of the condition number. Directions in which
        `x` has no extent are left alone, so the result is right at any rank, and for m < p.
        """
        basis, squares = singular_basis(x)
        a, b = working_precision(x) @ basis, working_precision(w) @ basis
        t = a.mT @ b
        turn = skew_sylvester(a.mT @ a, t - t.mT, squares)
        return (a @ turn @ basis.mT).to(w.dtype)

    def bracket(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """
        Vertical vector ``x a`` with ``{x'x, a} = v'u - u'v``: O'Neill's tensor of horizontal `u`, `v`.

        Parameters
        ----------
        x, u, v : Tensor, shape (*batch, m, p)

        Returns
        -------
        Tensor, shape (*batch, m, p)
        """
        basis, squares = singular_basis(x)
        a, u, v = (working_precision(w) @ basis for w in (x, u, v))
        t = v.mT @ u
        return (a @ skew_sylvester(a.mT @ a, t - t.mT, squares) @ basis.mT).to(x.dtype)

    def turning(self, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """
        How the best position of a matrix turns when what it is aligned to moves.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, p)
        y : Tensor, shape (*batch, m, p)
            In its best position: ``x'y`` is symmetric.

        Returns
        -------
        callable
            From u, the velocity of `x`, shape (*batch, m, p), to ``y a`` with skew-symmetric a and ``{x'y, a}
            = y'u - u'y``.
        """
        x, y = working_precision(x), working_precision(y)
        s, basis = spectrum(symmetrize(x.mT @ y))
        inside, diagonal = y @ basis, torch.diag_embed(s)
        cutoff = s.shape[-1] * torch.finfo(s.dtype).eps

        def turn(u: Tensor) -> Tensor:
            t = inside.mT @ (working_precision(u) @ basis)
            return inside @ skew_sylvester(diagonal, t - t.mT, s, cutoff=cutoff) @ basis.mT

        return turn

    def orbit_dim(self, p: int, rank: int) -> int:
        """Dimension of the orbit of a matrix with p columns and this rank."""
        return p * (p - 1) // 2 - (p - rank) * (p - rank - 1) // 2

    def room(self, x: Tensor, rank: int) -> Tensor:
        """
        How far a point is from the nearest one with larger symmetry: its injectivity radius in flat space.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, p)
        rank : int
            The largest rank that a point can have.

        Returns
        -------
        Tensor, shape (*batch)
            The smallest singular value that a generic point has (Massart and Absil 2020).
        """
        return finite_svd(x)[1][..., rank - 1]

    def cut_cotangent(self, x: Tensor, u: Tensor) -> Tensor:
        """
        Where shortest paths from `x` in direction `u` end, as a cotangent.

        The point itself stays the nearest of its orbit to the points ``c x + s u``, s > 0, as long as
        ``c / s`` is at least this number: on the line ``x + t u`` that is ``1 / t``, on the great circle
        ``cos(a) x + sin(a) u`` it is the cotangent of the angle.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, p)
        u : Tensor, shape (*batch, m, p)
            Horizontal at `x`.

        Returns
        -------
        Tensor, shape (*batch)
            ``x'(c x + s u)`` has no negative eigenvalue on the row space of `x` up to there. Never negative:
            at a right angle, at the latest, another position is as near.
        """
        basis, squares = singular_basis(x)
        extent = squares.sqrt()[..., None, :]
        a, b = (
            torch.where(extent > 0, working_precision(w) @ basis, 0.0) / torch.where(extent > 0, extent, 1.0)
            for w in (x, u)
        )
        return (-finite_eigenvalues(a.mT @ b)[..., 0]).clamp_min(0).to(x.dtype)

    def mismatch(self, p: int, rank: int) -> str | None:
        """Say what is wrong with dividing out this group for p columns of at most this rank, or None."""
        return None

    def sample(self, p: int, *, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """
        Uniformly distributed element of the group.

        Parameters
        ----------
        p : int
        dtype : torch.dtype, optional
        device : torch.device, optional
        generator : torch.Generator, optional

        Returns
        -------
        Tensor, shape (p, p)
        """
        source = device if generator is None else generator.device
        normal = torch.randn(p, p, dtype=dtype, device=source, generator=generator).to(device)
        q, r = torch.linalg.qr(normal)
        return q * r.diagonal().sign()


@dataclass(frozen=True)
class SpecialOrthogonal(Orthogonal):
    """
    Rotations of the p columns without reflections, the group SO(p).

    Only for matrices of one fixed width p < m: a padded zero column would make a reflection free, and
    all distances would be those of O(p).
    """

    special = True
    pads = False
    bending = 3.0

    def room(self, x: Tensor, rank: int) -> Tensor:
        """Root of the summed squares of the two smallest singular values."""
        return finite_svd(x)[1][..., -2:].square().sum(-1).sqrt()

    def cut_cotangent(self, x: Tensor, u: Tensor) -> Tensor:
        """``1 / t`` where the sum of the two smallest eigenvalues of ``x'(x + t u)`` first vanishes."""
        dtype = x.dtype
        x, u = working_precision(x), working_precision(u)
        s, n = x.mT @ x, x.mT @ u
        resolution = s.shape[-1] * torch.finfo(s.dtype).eps * torch.maximum(s, n.abs()).amax((-2, -1))

        def short_of_it(t: Tensor) -> Tensor:
            return finite_eigenvalues(s + t[..., None, None] * n)[..., :2].sum(-1) >= -resolution * (1 + t)

        # The sum is a concave function of t: bracket its zero, then halve the bracket.
        low = s.new_zeros(s.shape[:-2])
        high = torch.ones_like(low)
        for _ in range(_HALVINGS):
            high = torch.where(short_of_it(high), 2 * high, high)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = short_of_it(middle)
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        finite = (s.isfinite() & n.isfinite()).all(-1).all(-1)
        return torch.where(finite, torch.where(high >= 2.0**_HALVINGS, 0.0, 1 / high), torch.nan).to(dtype)

    def mismatch(self, p: int, rank: int) -> str | None:
        """Say what is wrong with dividing out this group for p columns of at most this rank, or None."""
        if not 2 <= p <= rank:
            return f"SO(p) needs 2 to {rank} columns for these rows, got {p}; with O(p) any number is right"
        return None

    def sample(self, p: int, *, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Uniformly distributed rotation; shape (p, p)."""
        q = super().sample(p, dtype=dtype, device=device, generator=generator)
        return torch.cat([q[:, :-1], q[:, -1:] * determinant_sign(q)], -1)


@dataclass(frozen=True)
class Permutation:
    """
    Reorderings of the p columns: a finite group.

    Which unit corresponds to which is forgotten, but unlike rotations, permutations do not mix units. The
    quotient is as curved as the total space, and transport is that of the total space; what is new is where
    shortest paths end. Matrices with equal columns are singular points.

    A zero column is a silent unit. Adding one to both of two matrices can bring them *nearer*: two units that
    oppose each other are then better matched to silence.

    Finding the best permutation is an assignment problem. Needs scipy.
    """

    finite = True
    # Equal columns against their negative: no order of the columns helps.
    diameter = math.pi
    # Let R be the injectivity radius at x, and all data within r <= R/3 of x. Up to R - r around x, distances
    # to the data are those to their representatives near x, and these have one mean, with a variance below
    # r^2. A point farther away than R - r >= 2 r is at more than r from all data, so it is no better.
    sure_of_mean = 1 / 3

    def align(self, x: Tensor, y: Tensor) -> Aligned:
        """Reorder the columns of `y` to come as close as possible to `x`."""
        return match_columns(x, y)

    def vertical(self, x: Tensor, w: Tensor) -> Tensor:
        """Zero: orbits are points apart; shape (*batch, m, p)."""
        return torch.zeros_like(w).expand(torch.broadcast_shapes(x.shape, w.shape))

    def bracket(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Zero; shape (*batch, m, p)."""
        return torch.zeros_like(u).expand(torch.broadcast_shapes(x.shape, u.shape, v.shape))

    def turning(self, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Not at all: the best order does not change."""
        return torch.zeros_like

    def orbit_dim(self, p: int, rank: int) -> int:
        """Zero."""
        return 0

    def room(self, x: Tensor, rank: int) -> Tensor:
        """
        Half of the way to the nearest other matrix of the orbit: ``min |x_i - x_j| / sqrt(2)``.

        Infinite for a single column. A permutation that changes `x` changes at least two of its columns, each
        by no less than the smallest distance of two columns; exchanging the nearest two changes just that.
        """
        return column_separation(x) / math.sqrt(2)

    def cut_cotangent(self, x: Tensor, u: Tensor) -> Tensor:
        """
        Largest ``(<x, uP> - <x, u>) / (<x, x> - <x, xP>)`` over the permutations P that move `x`.

        Beyond it ``yP`` is nearer to `x` than y. May be negative: shortest paths can be longer than a right
        angle. A constant for autograd.
        """
        return steepest_exchange(x, u)

    def mismatch(self, p: int, rank: int) -> str | None:
        """Nothing: any matrix has columns to reorder."""
        return None

    def sample(self, p: int, *, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Uniformly distributed permutation matrix; shape (p, p)."""
        source = device if generator is None else generator.device
        order = torch.randperm(p, device=source, generator=generator).to(device)
        return torch.eye(p, dtype=dtype, device=device)[:, order]


Action = Orthogonal | Permutation


@torch.no_grad()
def singular_basis(x: Tensor, floor: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """
    Right singular vectors and squared singular values of a matrix, constants for autograd.

    Parameters
    ----------
    x : Tensor, shape (*batch, m, p)
    floor : Tensor, shape (*batch, 1), optional
        Singular values below it are noise and set to zero; by default the rounding of `x` itself.

    Returns
    -------
    basis : Tensor, shape (*batch, p, p)
    squares : Tensor, shape (*batch, p), descending
    """
    m, p = x.shape[-2:]
    _, s, vh = finite_svd(working_precision(x.detach()), full_matrices=m < p)
    floor = max(m, p) * torch.finfo(x.dtype).eps * s[..., :1] if floor is None else floor
    s = torch.where(s > floor, s, torch.zeros_like(s))
    return vh.mT.contiguous(), torch.nn.functional.pad(s.square(), (0, p - s.shape[-1]))
