"""What a kernel is, and how kernels add and multiply."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.invariances import Invariance
from repsim_geo.kernels.facts import Facts
from repsim_geo.kernels.length_scales import LengthScale
from repsim_geo.numerics.norms import safe_sqrt


class Kernel(torch.nn.Module):
    """
    Positive semidefinite function of pairs of inputs.

    A subclass writes ``forward``, and ``squared_distances`` if a direct formula keeps more digits. It
    declares ``facts``, the behavior of its Gram matrix, and ``distance_facts`` where distances in feature
    space, or equally the Gram matrix up to centering, notice less. Invariances and units follow.

    Kernels add and multiply, and can be multiplied by positive numbers: ``0.5 * RBF() + Linear()``.

    Examples
    --------
    >>> 0.5 * Kernel() + Kernel() * Kernel()
    0.5 * Kernel() + Kernel() * Kernel()
    """

    @property
    def facts(self) -> Facts:
        """Behavior of the Gram matrix; nothing is claimed by default."""
        return Facts()

    @property
    def distance_facts(self) -> Facts:
        """Behavior of squared distances in feature space, and so of the centered Gram matrix."""
        return self.facts

    @property
    def invariances(self) -> frozenset[Invariance]:
        """What does not change the Gram matrix up to a positive factor and up to centering."""
        return self.distance_facts.up_to_scale()

    @property
    def distance_invariances(self) -> frozenset[Invariance]:
        """What does not change distances in feature space."""
        return self.distance_facts.exact()

    @property
    def unit(self) -> str:
        """Unit of distances in feature space."""
        return self.distance_facts.unit()

    def forward(self, x: Tensor) -> Tensor:
        """
        Gram matrix.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)

        Returns
        -------
        Tensor, shape (*batch, m, m)
        """
        raise NotImplementedError(f"{type(self).__name__}.forward is not written")

    def squared_distances(self, x: Tensor) -> Tensor:
        """
        Squared distances between inputs in the feature space of the kernel: ``k_ii + k_jj - 2 k_ij``.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)

        Returns
        -------
        Tensor, shape (*batch, m, m)
        """
        k = self(x)
        diagonal = k.diagonal(dim1=-2, dim2=-1)
        return diagonal[..., :, None] + diagonal[..., None, :] - 2 * k

    def distances(self, x: Tensor) -> Tensor:
        """
        Distances between inputs in the feature space of the kernel.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)

        Returns
        -------
        Tensor, shape (*batch, m, m)
        """
        return safe_sqrt(self.squared_distances(x))

    @property
    def isotropic(self) -> bool:
        """Whether distances in feature space follow from Euclidean ones: whether ``profile`` is written."""
        return False

    @property
    def length_rules(self) -> tuple[LengthScale, ...]:
        """Rules by which an isotropic kernel chooses its lengths from the distances of a network."""
        return ()

    def profile(self, squares: Tensor, length: Callable[[LengthScale], Tensor]) -> Tensor:
        """
        Squared distances in feature space from squared Euclidean distances, entry by entry.

        Parameters
        ----------
        squares : Tensor, shape (*batch, r, c)
            Between any inputs of a network, a block of them.
        length : callable
            From a rule to the length that it chooses for the whole network, shape (*batch).

        Returns
        -------
        Tensor, shape (*batch, r, c)
        """
        raise NotImplementedError(f"{type(self).__name__}.profile is not written; isotropic says so")

    def __add__(self, other: Kernel) -> Kernel:
        return Sum([self, other]) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other: Kernel | float) -> Kernel:
        if isinstance(other, Kernel):
            return Product([self, other])
        return Weighted(self, float(other)) if _is_number(other) else NotImplemented

    def __rmul__(self, other: float) -> Kernel:
        return self * other


class Weighted(Kernel):
    """
    A kernel times a positive number.

    Parameters
    ----------
    kernel : Kernel
    weight : float
    learnable : bool
        Make the logarithm of the weight a parameter: an optimizer can change it, and it stays positive.

    Examples
    --------
    >>> Weighted(Kernel(), 2.0, learnable=True).log_weight
    Parameter containing:
    tensor(0.6931, requires_grad=True)
    """

    def __init__(self, kernel: Kernel, weight: float = 1.0, *, learnable: bool = False):
        super().__init__()
        _check_kernels([kernel])
        if not (_is_number(weight) and 0 < weight < math.inf):
            raise ValueError(
                f"the weight of a kernel must be a positive number, got {weight!r}. With another one the "
                "Gram matrix would not be positive semidefinite; leave the kernel out instead of a weight 0."
            )
        check_flag(learnable, "learnable")
        self.kernel = kernel
        self._weight = float(weight)
        log_weight = torch.nn.Parameter(torch.tensor(math.log(weight))) if learnable else None
        self.register_parameter("log_weight", log_weight)

    @property
    def weight(self) -> float:
        """Weight as a number."""
        return self._weight if self.log_weight is None else float(self.log_weight.detach().exp())

    def _weighted(self, a: Tensor) -> Tensor:
        return a * (self._weight if self.log_weight is None else self.log_weight.to(a).exp())

    @property
    def facts(self) -> Facts:
        """Those of the kernel: the weight is the same for all activations."""
        return self.kernel.facts

    @property
    def distance_facts(self) -> Facts:
        """Those of the kernel."""
        return self.kernel.distance_facts

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return self._weighted(self.kernel(x))

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared distances in feature space; shape (*batch, m, m)."""
        return self._weighted(self.kernel.squared_distances(x))

    @property
    def isotropic(self) -> bool:
        """As the kernel."""
        return self.kernel.isotropic

    @property
    def length_rules(self) -> tuple[LengthScale, ...]:
        """Those of the kernel."""
        return self.kernel.length_rules

    def profile(self, squares: Tensor, length: Callable[[LengthScale], Tensor]) -> Tensor:
        """Squared distances in feature space; shape (*batch, r, c)."""
        return self._weighted(self.kernel.profile(squares, length))

    def __repr__(self) -> str:
        return f"{self.weight:g} * {_in_product(self.kernel)}"


class Sum(Kernel):
    """
    Sum of kernels; feature spaces side by side.

    It does not notice what none of its terms notices. Scaling is not just a factor unless all terms are
    homogeneous of one degree.

    Parameters
    ----------
    terms : sequence of Kernel
        Sums among them are opened up.
    """

    def __init__(self, terms: Sequence[Kernel]):
        super().__init__()
        _check_kernels(terms)
        self.terms = torch.nn.ModuleList(
            t for term in terms for t in (term.terms if isinstance(term, Sum) else [term])
        )

    @property
    def facts(self) -> Facts:
        """What all terms share."""
        return Facts.of_sum([t.facts for t in self.terms])

    @property
    def distance_facts(self) -> Facts:
        """What distances of all terms share: squared distances in feature space add up."""
        return Facts.of_sum([t.distance_facts for t in self.terms])

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        return _sum([t(x) for t in self.terms])

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared distances in feature space; shape (*batch, m, m)."""
        return _sum([t.squared_distances(x) for t in self.terms])

    @property
    def isotropic(self) -> bool:
        """If all terms are."""
        return all(t.isotropic for t in self.terms)

    @property
    def length_rules(self) -> tuple[LengthScale, ...]:
        """Those of all terms."""
        terms: Any = self.terms
        return tuple(rule for t in terms for rule in t.length_rules)

    def profile(self, squares: Tensor, length: Callable[[LengthScale], Tensor]) -> Tensor:
        """Squared distances in feature space; shape (*batch, r, c)."""
        return _sum([t.profile(squares, length) for t in self.terms])

    def __repr__(self) -> str:
        return " + ".join(repr(t) for t in self.terms)


class Product(Kernel):
    """
    Entrywise product of kernels; the tensor product of feature spaces.

    Degrees add up. What only centering hides in a factor shows in the product: ``Linear()`` does not see
    translations, ``Linear() * Linear()`` does.

    Parameters
    ----------
    factors : sequence of Kernel
        Products among them are opened up.
    """

    def __init__(self, factors: Sequence[Kernel]):
        super().__init__()
        _check_kernels(factors)
        self.factors = torch.nn.ModuleList(
            f for factor in factors for f in (factor.factors if isinstance(factor, Product) else [factor])
        )

    @property
    def facts(self) -> Facts:
        """What leaves all factors as they are; degrees add up."""
        return Facts.of_product([f.facts for f in self.factors])

    def forward(self, x: Tensor) -> Tensor:
        """Gram matrix; shape (*batch, m, m)."""
        first, *rest = self.factors
        k = first(x)
        for factor in rest:
            k = k * factor(x)
        return k

    def squared_distances(self, x: Tensor) -> Tensor:
        """
        Squared distances in feature space; shape (*batch, m, m).

        With ``k_ii = mean + half`` and ``k_jj = mean - half``, and the same for l, the product has
        ``mean_k d_l**2 + l_ij d_k**2 + 2 half_k half_l``: near inputs keep the digits that the factors have.
        """
        first, *rest = self.factors
        k, squares = first(x), first.squared_distances(x)
        for factor in rest:
            gram, others = factor(x), factor.squared_distances(x)
            mean, half = _mean_and_half(k)
            squares = mean * others + gram * squares + 2 * half * _mean_and_half(gram)[1]
            k = k * gram
        return squares

    def __repr__(self) -> str:
        return " * ".join(_in_product(f) for f in self.factors)


def _mean_and_half(k: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and half the difference, of the diagonal entries that belong to a pair of inputs."""
    diagonal = k.diagonal(dim1=-2, dim2=-1)
    i, j = diagonal[..., :, None], diagonal[..., None, :]
    return (i + j) / 2, (i - j) / 2


def _sum(matrices: list[Tensor]) -> Tensor:
    first, *rest = matrices
    for a in rest:
        first = first + a
    return first


def _in_product(kernel: Kernel) -> str:
    return f"({kernel!r})" if isinstance(kernel, Sum) else repr(kernel)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_kernels(kernels: Sequence[Kernel]) -> None:
    for kernel in kernels:
        if not isinstance(kernel, Kernel):
            raise TypeError(
                f"a sum, product or multiple is made of kernels such as Linear() or RBF(), got {kernel!r}. A "
                "class has to be called."
            )
    if not kernels:
        raise ValueError("a sum or product needs at least one kernel, got none. Use Linear() or RBF().")
