"""
Points of geomstats from points of our manifolds, and back; only arrays, so geomstats need not be there.

================================  ======================================  ===============================
here                              in geomstats                            distances
================================  ======================================  ===============================
`AngularShape`, (m, p) matrices   ``PreShapeSpace(m, p)``, the same       equal where the best rotation is
                                  matrices, modulo "rotations"            no reflection; always with
                                                                          ``reflections=False``
`AffineInvariant`,                ``SPDMatrices(n)`` with                 equal
`LogEuclidean`,                   ``SPDAffineMetric``,
`BuresWasserstein`                ``SPDLogEuclideanMetric``,
                                  ``SPDBuresWassersteinMetric``
`LinearSubspace`, (m, k) frames   ``Grassmannian(m, k)``: projectors      sqrt(2) times ours
                                  (m, m)
`AngularCKA`, `AngularRDM`        ``Hypersphere(m * m - 1)``: the         equal, down to the rounding of
                                  matrices in one row                     their arc cosine
================================  ======================================  ===============================
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo.compat._arrays import as_array, as_floats
from repsim_geo.errors import NotOnManifoldError, ShapeError
from repsim_geo.manifolds.actions import Orthogonal
from repsim_geo.manifolds.grassmann import Grassmannian
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.manifolds.spd import SPD
from repsim_geo.manifolds.sphere import UnitSphere
from repsim_geo.numerics.symmetric import spectrum


def to_geomstats(points: Tensor, manifold: Any) -> np.ndarray:
    """
    Points in the convention of geomstats.

    Parameters
    ----------
    points : Tensor, shape (*batch, *point)
    manifold : manifold or metric
        Whose points these are; see the table of the module.

    Returns
    -------
    ndarray, shape (*batch, *point of geomstats)

    Raises
    ------
    NotOnManifoldError
        No points of the manifold.
    TypeError
        A manifold that geomstats does not have.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import Grassmannian
    >>> to_geomstats(torch.tensor([[1.0], [0.0]]), Grassmannian())  # the projector of a line
    array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    kind = _kind(manifold)
    x = torch.as_tensor(as_floats(points))
    _check(x, manifold)
    if kind is Grassmannian:
        return as_array(x @ x.mT)
    if kind is UnitSphere:
        return as_array(x.flatten(-manifold.ndim))
    return as_array(x)


def from_geomstats(points: Any, manifold: Any) -> Tensor:
    """
    Points of our manifolds from the convention of geomstats.

    Parameters
    ----------
    points : array-like, shape (*batch, *point of geomstats)
    manifold : manifold or metric
        Whose points to return; see the table of the module.

    Returns
    -------
    Tensor, shape (*batch, *point)
        A frame of a subspace is known up to a rotation.

    Raises
    ------
    NotOnManifoldError
        No points of the manifold, such as one of several ranks among projectors.
    ShapeError
        A row that is no square matrix.
    TypeError
        A manifold that geomstats does not have.

    Examples
    --------
    >>> import numpy as np
    >>> from repsim_geo import Grassmannian
    >>> abs(from_geomstats(np.diag([0.0, 1.0]), Grassmannian()))
    tensor([[0.],
            [1.]], dtype=torch.float64)
    """
    kind = _kind(manifold)
    x = torch.as_tensor(as_floats(points))
    if kind is Grassmannian:
        x = _frames(x)
    elif kind is UnitSphere and manifold.ndim == 2:
        side = math.isqrt(x.shape[-1])
        if side * side != x.shape[-1]:
            raise ShapeError(
                f"points must be square matrices in rows of m * m numbers, got {x.shape[-1]}. "
                "UnitSphere(1) has plain vectors."
            )
        x = x.unflatten(-1, (side, side))
    _check(x, manifold)
    return x


def _frames(projectors: Tensor) -> Tensor:
    """Orthonormal frames (*batch, m, k) of the spaces that projectors (*batch, m, m) leave alone."""
    if projectors.dim() < 2 or projectors.shape[-1] != projectors.shape[-2]:
        raise ShapeError(
            f"points of a Grassmannian must be projectors (m, m), got shape {tuple(projectors.shape)}. "
            "A frame x has the projector x @ x.T."
        )
    values, basis = spectrum((projectors + projectors.mT) / 2)
    off = torch.minimum(values.abs(), (values - 1).abs()).max() if values.numel() else 0.0
    ranks = (values > 0.5).sum(-1)
    if float(off) > 1e-4 or len(ranks.unique()) != 1:
        raise NotOnManifoldError(
            f"projectors must have eigenvalues 0 and 1, and one rank: got some off by {float(off):.2g}, and "
            f"ranks {sorted(set(ranks.flatten().tolist()))}. Project them with Grassmannian.projection of "
            "geomstats, and convert one rank at a time."
        )
    k = int(ranks.flatten()[0])
    return basis[..., -k:] if k else basis[..., :0]


_KINDS = (Quotient, Grassmannian, SPD, UnitSphere)


def _kind(manifold: Any) -> type:
    """Which of the four families a manifold belongs to."""
    for kind in _KINDS:
        if not isinstance(manifold, kind):
            continue
        shapes: Any = manifold
        if kind is Quotient and not (shapes.total.spherical and isinstance(shapes.action, Orthogonal)):
            break
        return kind
    raise TypeError(
        f"geomstats has no counterpart of {type(manifold).__name__}. Known: AngularShape, AffineInvariant, "
        "LogEuclidean, BuresWasserstein, LinearSubspace, AngularCKA, AngularRDM, and their manifolds."
    )


def _check(x: Tensor, manifold: Any) -> None:
    ok, reason = manifold.check_point_on_manifold(x, explain=True, atol=1e-4, rtol=1e-4)
    if not ok:
        raise NotOnManifoldError(
            f"points must lie on the manifold {type(manifold).__name__}: {reason}. Use embed(x) or projx(x), "
            "or projection() of geomstats."
        )
