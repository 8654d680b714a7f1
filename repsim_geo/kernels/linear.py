"""The linear kernel."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from repsim_geo.invariances import ORTHOGONAL, TRANSLATION, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.facts import Facts
from repsim_geo.kernels.length_scales import LengthScale
from repsim_geo.numerics.dissimilarities import euclidean_distances, squared_euclidean_distances


class Linear(Kernel):
    """
    Inner products of activations: ``k(x_i, x_j) = <x_i, x_j>``.

    Buys invariance to translation (through centering), scaling (through normalization) and rotation.

    Examples
    --------
    >>> import torch
    >>> Linear()(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    tensor([[1., 1.],
            [1., 2.]])
    """

    @property
    def facts(self) -> Facts:
        """Homogeneous of degree two."""
        return Facts(closure(ORTHOGONAL), degree=2.0, power=1.0)

    @property
    def distance_facts(self) -> Facts:
        """A translation adds ``u 1' + 1 u'`` to the Gram matrix, which centering removes."""
        return Facts(closure(ORTHOGONAL, TRANSLATION), degree=2.0, power=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return x @ x.mT

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared Euclidean distances between inputs; shape (*batch, m, m)."""
        return squared_euclidean_distances(x)

    def distances(self, x: Tensor) -> Tensor:
        """Euclidean distances between inputs; shape (*batch, m, m)."""
        return euclidean_distances(x)

    @property
    def isotropic(self) -> bool:
        """Yes."""
        return True

    def profile(self, squares: Tensor, length: Callable[[LengthScale], Tensor]) -> Tensor:
        """Return the squared distances themselves; shape (*batch, r, c)."""
        return squares


def as_kernel(kernel: Kernel | None) -> Kernel:
    """
    Kernel that an argument means: None is the linear one.

    Parameters
    ----------
    kernel : Kernel or None

    Returns
    -------
    Kernel

    Raises
    ------
    TypeError
        Not a kernel.
    """
    if kernel is None:
        return Linear()
    if not isinstance(kernel, Kernel):
        raise TypeError(
            f"kernel must be a kernel such as Linear() or RBF(), or None for Linear(), got {kernel!r}. A "
            "class has to be called."
        )
    return kernel
