"""Normal distributions on tangent spaces, and what the exponential map makes of them."""

from __future__ import annotations

from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._checks import check_count
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.base import normal
from repsim_geo.manifolds.functional import check_points, clash
from repsim_geo.numerics.norms import with_axes
from repsim_geo.numerics.tracing import readable


def wrapped_normal(
    manifold: Manifold,
    mean: Tensor,
    scale: float | Tensor,
    n: int,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """
    Random points around a point: exponentials of normal tangent vectors.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Needs ``expmap``, and ``isotropic`` or the inner product of the ambient space.
    mean : Tensor, shape (*batch, *point)
    scale : float or Tensor, shape (*batch)
        Standard deviation in every direction, in the unit of the distance.
    n : int
        Points around each mean.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor, shape (*batch, n, *point)

    Raises
    ------
    ValueError
        `n` is no positive whole number, `scale` is negative or not finite, or the manifold does not say what
        its normal vectors are.
    TypeError, ShapeError
        No manifold, a mean that is none of its points, no generator, or scales that do not fit the means.

    Notes
    -----
    Independent, and exact: no chain has to forget where it began. The distribution is that of the
    *wrapped* normal: its density with respect to the Riemannian volume is that of the normal distribution
    of the vector, divided by how much the exponential map stretches volumes there. In flat spaces it is the
    normal distribution, but ``exp(-d^2 / (2 scale^2))`` nowhere else; `RiemannianLangevin` samples that.

    Vectors have mean zero, so `mean` is the Fréchet mean as long as next to nothing reaches the cut locus.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import UnitSphere
    >>> north = torch.tensor([0.0, 0.0, 1.0])
    >>> points = wrapped_normal(
    ...     UnitSphere(ndim=1), north, 0.1, 1000, generator=torch.Generator().manual_seed(0)
    ... )
    >>> points.shape
    torch.Size([1000, 3])
    >>> round(float(UnitSphere(ndim=1).dist2(north, points).mean() / (2 * 0.1**2)), 1)  # two dimensions
    1.0
    """
    check_count(n, "n", " of points", "A single point is n=1.")
    check_points(manifold, mean=mean)
    check_generator(generator)
    scale = _checked_scale(scale, mean, manifold.ndim)
    check_normal_vectors(manifold, mean)
    x = mean.unsqueeze(-manifold.ndim - 1)
    x = x.expand(*mean.shape[: mean.dim() - manifold.ndim], n, *x.shape[x.dim() - manifold.ndim :])
    return manifold.expmap(x, with_axes(scale, manifold.ndim + 1) * random_tangent(manifold, x, generator))


def check_generator(generator: Any) -> None:
    """
    Refuse what is no source of randomness.

    Parameters
    ----------
    generator : torch.Generator or None

    Raises
    ------
    TypeError
    """
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {generator!r}. A seed becomes one with "
            "torch.Generator().manual_seed(0)."
        )


def _checked_scale(scale: Any, mean: Tensor, ndim: int) -> Tensor:
    try:
        scale = torch.as_tensor(scale, dtype=mean.dtype, device=mean.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"scale must be a standard deviation in the unit of the distance, got {scale!r}. Give a number, "
            "or a tensor with one for each mean."
        ) from error
    if readable(scale) and not bool((scale.detach() >= 0).all() & scale.detach().isfinite().all()):
        raise ValueError(
            f"scale must be finite and not negative, got {scale.detach().min():.3g}. It is a standard "
            "deviation in the unit of the distance."
        )
    batch = mean.shape[: mean.dim() - ndim]
    if scale.dim() and clash(scale.shape, batch):
        raise ShapeError(
            f"scale must be one number, or one for each mean, shape {tuple(batch)}, got "
            f"{tuple(scale.shape)}. Call wrapped_normal once for each scale."
        )
    return scale


def random_tangent(manifold: Manifold, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """
    Standard normal tangent vector, on manifolds of others too.

    Parameters
    ----------
    manifold : geoopt.Manifold
        One that `check_normal_vectors` has let pass.
    x : Tensor, shape (*batch, *point)
    generator : torch.Generator, optional

    Returns
    -------
    Tensor, shape (*batch, *point)
    """
    z = normal(x.shape, x.dtype, x.device, generator)
    return manifold.isotropic(x, z) if hasattr(manifold, "isotropic") else manifold.proju(x, z)


def check_normal_vectors(manifold: Manifold, x: Tensor) -> None:
    """
    Refuse manifolds that do not say what their standard normal vectors are.

    Parameters
    ----------
    manifold : geoopt.Manifold
    x : Tensor, shape (*batch, *point)

    Raises
    ------
    ValueError
        No ``isotropic``, and an inner product that is not that of the ambient space, in which case a
        projection of normal numbers is not normal.
    """
    if hasattr(manifold, "isotropic"):
        return
    u = some_tangent(manifold, x)
    length2 = manifold.inner(x, u, keepdim=True)
    if not torch.allclose(length2, u.square().sum_to_size(length2.shape), rtol=1e-4):
        raise ValueError(
            f"random vectors need a manifold with isotropic(x, z), or with the inner product of the space "
            f"around it, got {manifold}. Take one of repsim_geo, or write isotropic for it; of a product, "
            "sample the factors as parameters of their own."
        )


def some_tangent(manifold: Manifold, x: Tensor) -> Tensor:
    """Return tangent vectors that depend on nothing but the points; shape (*batch, *point)."""
    numbers = torch.arange(1, x.numel() + 1, dtype=x.dtype, device=x.device)
    return manifold.proju(x, (numbers * 1.6180339887).sin().reshape(x.shape))
