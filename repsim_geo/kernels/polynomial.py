"""Powers of inner products."""

from __future__ import annotations

import math
from numbers import Integral, Real

from torch import Tensor

from repsim_geo.invariances import ORTHOGONAL, TRANSLATION, closure
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.facts import Facts
from repsim_geo.numerics.dissimilarities import squared_euclidean_distances
from repsim_geo.numerics.norms import squared_norm

# Binomial coefficients of larger degrees are no numbers in double precision.
_LARGEST_DEGREE = 1000


class Polynomial(Kernel):
    """
    Power of an inner product, ``k(x_i, x_j) = (gamma <x_i, x_j> + constant) ** degree``.

    Parameters
    ----------
    degree : int
        From 1 to 1000.
    constant : float
        Zero or positive. A positive one adds all lower powers, and scaling is noticed.
    gamma : float
        Positive.

    Notes
    -----
    Activations are not centered: a translation changes the kernel, unless the degree is 1.

    Examples
    --------
    >>> import torch
    >>> Polynomial(2, constant=1.0)(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    tensor([[4., 4.],
            [4., 9.]])
    """

    def __init__(self, degree: int = 2, constant: float = 0.0, gamma: float = 1.0):
        super().__init__()
        if not isinstance(degree, Integral) or isinstance(degree, bool) or degree < 1:
            raise ValueError(
                f"degree must be a positive whole number, got {degree!r}. Linear() has degree 1."
            )
        if degree > _LARGEST_DEGREE:
            raise ValueError(
                f"degree must be at most {_LARGEST_DEGREE}, got {degree}. So high a power sees nothing but "
                "the largest inner product; RBF() has all powers."
            )
        if not (isinstance(constant, Real) and 0 <= constant < math.inf):
            raise ValueError(
                f"constant must be zero or positive, got {constant!r}. With a negative one the Gram matrix "
                "would not be positive semidefinite."
            )
        if not (isinstance(gamma, Real) and 0 < gamma < math.inf):
            raise ValueError(f"gamma must be positive, got {gamma!r}. It multiplies inner products.")
        self.degree, self.constant, self.gamma = int(degree), float(constant), float(gamma)

    @property
    def facts(self) -> Facts:
        """Homogeneous unless a constant is added."""
        if self.constant > 0:
            return Facts(closure(ORTHOGONAL), degree=None, power=None)
        return Facts(closure(ORTHOGONAL), degree=2.0 * self.degree, power=float(self.degree))

    @property
    def distance_facts(self) -> Facts:
        """Of degree 1 only the linear kernel is left: distances do not see the constant."""
        if self.degree == 1:
            return Facts(closure(ORTHOGONAL, TRANSLATION), degree=2.0, power=1.0)
        return self.facts

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return (self.gamma * (x @ x.mT) + self.constant) ** self.degree

    def squared_distances(self, x: Tensor) -> Tensor:
        """
        Squared distances in feature space; shape (*batch, m, m).

        Of the bases ``mean + half``, ``mean - half`` and ``mean - gap / 2`` of k_ii, k_jj and k_ij, all
        powers that cancel are left out, so that near inputs keep their digits.
        """
        own = self.gamma * squared_norm(x, 1) + self.constant
        mean = (own[..., :, None] + own[..., None, :]) / 2
        half = (own[..., :, None] - own[..., None, :]) / 2
        gap = self.gamma * squared_euclidean_distances(x)
        base = mean - gap / 2
        n = self.degree
        result = gap * sum(mean ** (n - 1 - k) * base**k for k in range(n))
        for k in range(2, n + 1, 2):
            # As a number with a point: large whole ones are none of torch's.
            result = result + 2.0 * math.comb(n, k) * mean ** (n - k) * half**k
        return result

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        return f"degree={self.degree}, constant={self.constant:g}, gamma={self.gamma:g}"
