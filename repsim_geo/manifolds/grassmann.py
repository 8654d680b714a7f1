"""Linear subspaces of a fixed dimension, as orthonormal frames up to rotation of the frame."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo.manifolds.base import RiemannianManifold, check_subspace, point_shape, within
from repsim_geo.manifolds.first_variation import squared_distance
from repsim_geo.numerics.alignment import (
    align,
    check_same_size,
    finite_eigenvalues,
    finite_svd,
    working_precision,
)
from repsim_geo.numerics.angles import cot_times
from repsim_geo.numerics.centering import symmetrize
from repsim_geo.numerics.norms import inner, root_above_rounding, squared_norm, with_axes
from repsim_geo.numerics.singular import polar_factor
from repsim_geo.numerics.subspaces import Everything
from repsim_geo.numerics.symmetric import ARC, COS, SINC, VERSINC, spectral


class Grassmannian(RiemannianManifold):
    """
    Subspaces of dimension k: orthonormal frames (m, k), of which only the span counts.

    The distance is the root of the sum of squared principal angles, in radians. Tangent vectors at a frame x
    are orthogonal to it, ``x'u = 0``.

    Parameters
    ----------
    subspace : Everything or a subspace of it
        Where the columns live, for example `ColumnCentered`.

    Notes
    -----
    All maps are functions of small symmetric matrices, (k, k), that are smooth where singular value
    decompositions are not: geodesics are made of the cosine and sine of the root of ``u'u``, and the
    logarithm is the residual of the aligned target times (angle / sine) of the cosines. So equal angles are
    harmless, and small angles keep their digits because the residual is formed first.

    Where it is delicate: when a direction of one subspace is orthogonal to all of the other (an angle of
    pi/2) the shortest path is not unique, and one is returned. The largest distance is ``pi/2 sqrt(min(k, n -
    k))`` in a space of dimension n; as it depends on the sizes, `diameter` does not say it.

    References
    ----------
    Edelman, Arias and Smith 1998; Bendokat, Zimmermann and Absil 2024.

    Examples
    --------
    >>> import torch
    >>> lines = Grassmannian()
    >>> lines.dist(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [-1.0]]))  # the angle of two lines
    tensor(1.5708)
    """

    __scaling__ = RiemannianManifold.__scaling__.copy()
    name = "Grassmannian"
    second_order = True
    reversible = True
    full_rank = True

    def __init__(self, subspace: Everything = Everything()):
        super().__init__()
        check_subspace(subspace)
        if not subspace.keeps_rotations:
            raise ValueError(
                "Grassmannian needs a space of matrices that rotations of the columns do not leave, "
                f"got {subspace}. "
                "Use Everything() or ColumnCentered()."
            )
        self.subspace = subspace

    # ------------------------------------------------------------------ metric

    def inner(self, x: Tensor, u: Tensor, v: Tensor | None = None, *, keepdim: bool = False) -> Tensor:
        """Inner product of tangent vectors; shape (*batch)."""
        v = u if v is None else v
        return self._expand(inner(u, v, 2, keepdim=keepdim), x, u, v, keepdim=keepdim)

    def _squared(self, x: Tensor, y: Tensor) -> tuple[Tensor]:
        return (squared_norm(self.logmap(x, y), 2).to(x.dtype),)

    def dist2(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Squared distance; shape (*batch). Derivatives of first and second order are exact."""
        check_same_size(x, y)
        return squared_distance(self, x, y, keepdim=keepdim)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """
        Distance of the subspaces in radians; shape (*batch).

        Zero, with zero gradient, below the rounding of an alignment.
        """
        d2 = self.dist2(x, y, keepdim=keepdim)
        return root_above_rounding(d2, d2.new_full((), x.shape[-1]))

    def expmap(self, x: Tensor, u: Tensor) -> Tensor:
        """``x cos(r) + u sin(r) / r`` with r the root of ``u'u``."""
        a, b = working_precision(x), working_precision(u)
        squares = symmetrize(b.mT @ b)
        return (a @ spectral(COS, squares) + b @ spectral(SINC, squares)).to(x.dtype)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Residual of the aligned frame, stretched from sines to angles."""
        return _log(working_precision(x), align(x, y).matrix).to(y.dtype)

    def log_and_hessian(self, x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """
        Logarithm, and the Hessian in its singular bases, with ``a cot a`` of combined principal angles.

        Along the principal directions a is the difference of two angles for the symmetric part and their sum
        for the skew-symmetric part; elsewhere it is a single angle. The squares of a are the eigenvalues of
        the curvature operator.
        """
        u = self.logmap(x, y)
        left, angles, right = finite_svd(working_precision(u))
        right = right.mT
        sums = angles[..., :, None] + angles[..., None, :]
        gaps = angles[..., :, None] - angles[..., None, :]
        same, opposite = cot_times(gaps.square()), cot_times(sums.square())
        alone = cot_times(angles.square())[..., None, :]

        def hessian(v: Tensor) -> Tensor:
            w = working_precision(v) @ right
            inside = left.mT @ w
            even, odd = (inside + inside.mT) / 2, (inside - inside.mT) / 2
            moved = alone * (w - left @ inside) + left @ (same * even + opposite * odd)
            return self.proju(x, (moved @ right.mT).to(v.dtype))

        return u, hessian

    # ------------------------------------------------------------------ transport

    def carry(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """The part of `v` in the plane of motion turns with it; the rest stays."""
        a, b, c = (working_precision(w) for w in (x, u, v))
        squares, along = symmetrize(b.mT @ b), b.mT @ c
        moved = c - a @ (spectral(SINC, squares) @ along) - b @ (spectral(VERSINC, squares) @ along)
        return moved.to(v.dtype)

    def transp(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """Parallel transport along the minimal geodesic, returned at the frame `y`."""
        aligned, rotation = align(x, y)
        moved = self.carry(x, _log(working_precision(x), aligned), v)
        return (working_precision(moved) @ rotation.mT).to(v.dtype)

    # ------------------------------------------------------------------ projections

    def projx(self, x: Tensor) -> Tensor:
        """Nearest orthonormal frame: the polar factor, of the part in the subspace."""
        frame = polar_factor(working_precision(self.subspace.project(x)))
        # Singular vectors of small directions are in the subspace up to rounding relative to the large ones;
        # put back there, the frame is orthonormal up to that, and one step of Newton's iteration makes it so.
        frame = self.subspace.project(frame)
        return (1.5 * frame - frame @ (frame.mT @ frame) / 2).to(x.dtype)

    def proju(self, x: Tensor, u: Tensor) -> Tensor:
        """Orthogonal projection to the tangent space at `x`."""
        u = self.subspace.project(u)
        return u - x @ (x.mT @ u)

    def random(self, *size, dtype=None, device=None, generator: torch.Generator | None = None) -> Tensor:
        """Uniformly distributed subspace."""
        normal = self._normal(*size, dtype=dtype, device=device, generator=generator)
        return self._as_point(self.projx(normal))

    # ------------------------------------------------------------------ facts

    def _room(self, m: int) -> int:
        return self.subspace.rank(m, m)

    def dim(self, *point) -> int:
        """``k (n - k)`` in a space of dimension n."""
        m, k = point_shape(point)
        return k * (self._room(m) - k)

    def injectivity_radius(self, x: Tensor | None = None) -> float:
        """Pi / 2."""
        return math.pi / 2

    def cut_time(self, x: Tensor, u: Tensor) -> Tensor:
        """Time at which the largest principal angle reaches pi / 2; shape (*batch)."""
        b = working_precision(u)
        fastest = finite_eigenvalues(symmetrize(b.mT @ b))[..., -1].clamp_min(0).sqrt()
        return (math.pi / 2 / fastest).to(u.dtype)

    def sectional_curvature(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Between 0 and 2; nan for parallel vectors; shape (*batch)."""
        v, area = self._spanned(x, u, v)
        uu, vv, uv = u.mT @ u, v.mT @ v, u.mT @ v
        # |u v' - v u'|^2 and |u'v - v'u|^2, without matrices of m rows and columns.
        outside = 2 * inner(uu, vv, 2) - 2 * inner(uv, uv.mT, 2)
        inside = squared_norm(uv - uv.mT, 2)
        return (outside + inside) / 2 / area

    def _steepest(self, x: Tensor) -> float:
        """Largest sectional curvature: that of a projective space is one."""
        m, k = x.shape[-2:]
        return 1.0 if min(k, self._room(m) - k) == 1 else 2.0

    def uniqueness_radius(self, x: Tensor) -> Tensor:
        """Pi / 4 (Afsari 2011); shape (*batch)."""
        return torch.full_like(super().uniqueness_radius(x), math.pi / 4)

    def distance_convexity(self, x: Tensor, d: Tensor) -> Tensor:
        """Comparison with the sphere of the largest curvature; shape (*batch)."""
        angle = math.sqrt(self._steepest(x)) * d
        inside = (angle < math.pi) & (d < math.pi / 2)
        safe = torch.where(inside & (angle > 0), angle, 1.0)
        return torch.where(inside, torch.where(angle > 0, safe / safe.tan(), 1.0), -math.inf)

    def rough_mean(self, points: Tensor, weights: Tensor) -> Tensor:
        """Span of the leading left singular vectors of all frames side by side; shape (*batch, m, k)."""
        stacked = (with_axes(weights.to(points), 2).sqrt() * points).movedim(-3, -2).flatten(-2)
        return self.projx(finite_svd(working_precision(stacked))[0][..., : points.shape[-1]].to(points.dtype))

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"subspace={self.subspace}"

    # ------------------------------------------------------------------ checks

    def _check_shape(self, shape, name) -> tuple[bool, str | None]:
        shape = tuple(shape)
        if len(shape) < 2:
            return False, f"'{name}' on the {self} needs at least 2 axes, got shape {shape}"
        m, k = shape[-2:]
        room = self._room(m)
        if not 1 <= k < room:
            return False, (
                f"'{name}' on the {self}: expected fewer columns than the {room} dimensions that {m} rows "
                f"leave, got {k}"
            )
        return True, None

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(x - self.subspace.project(x), x, self.ndim, atol, rtol):
            return False, f"not in the subspace {self.subspace}, or not finite"
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        if not bool(((x.mT @ x - eye).abs() <= atol + rtol).all()):
            return False, "columns are not orthonormal"
        return True, None

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5) -> tuple[bool, str | None]:
        if not within(u - self.proju(x, u), u, self.ndim, atol, rtol):
            return False, f"not orthogonal to x, not in the subspace {self.subspace}, or not finite"
        return True, None


def _log(x: Tensor, z: Tensor) -> Tensor:
    """Logarithm of a frame z in its best position, where ``x'z`` is symmetric with the cosines in it."""
    z = working_precision(z)
    sines = z - x
    for _ in range(2):  # The second time removes what rounding left of the first.
        sines = sines - x @ (x.mT @ sines)
    return sines @ spectral(ARC, symmetrize(x.mT @ z))
