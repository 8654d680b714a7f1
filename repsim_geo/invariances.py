"""
What a metric should not notice, each as a set of transformations that can be sampled.

An invariance is a claim about activations: the metric gives the same distances when the units of one network
are transformed in this way. A card lists them, and `verify` tests that they hold, and that those not
claimed do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Invariance:
    """A named set of transformations ``x -> transform(x)`` of activations (m, d)."""

    name: str

    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """
        Apply a random transformation of the set.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)
        generator : torch.Generator, optional

        Returns
        -------
        Tensor, shape (*batch, m, d)
        """
        raise NotImplementedError(f"{type(self).__name__}.sample is not written")

    def __str__(self) -> str:
        return self.name


def _normal(x: Tensor, *shape: int, generator: torch.Generator | None) -> Tensor:
    source = x.device if generator is None else generator.device
    return torch.randn(shape, dtype=x.dtype, device=source, generator=generator).to(x.device)


class _Translation(Invariance):
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x + x.std() * _normal(x, x.shape[-1], generator=generator)


class _Scale(Invariance):
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x * (1 + _normal(x, 1, generator=generator).abs())


class _Orthogonal(Invariance):
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        q, r = torch.linalg.qr(_normal(x, x.shape[-1], x.shape[-1], generator=generator))
        return x @ (q * r.diagonal().sign())


class _Permutation(Invariance):
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x[..., _normal(x, x.shape[-1], generator=generator).argsort()]


class _Linear(Invariance):
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # Singular values between 1/2 and 2: invertible, and far from a rotation.
        d = x.shape[-1]
        q, _ = torch.linalg.qr(_normal(x, d, d, generator=generator))
        return _Orthogonal("").sample(
            x @ q * torch.logspace(-1, 1, d, 2.0, dtype=x.dtype, device=x.device), generator
        )


class _Affine(Invariance):
    def sample(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return _Translation("").sample(_Linear("").sample(x, generator), generator)


TRANSLATION = _Translation("translation")
SCALE = _Scale("isotropic scaling")
ORTHOGONAL = _Orthogonal("rotation and reflection")
PERMUTATION = _Permutation("permutation of units")
LINEAR = _Linear("invertible linear map")
AFFINE = _Affine("invertible affine map")

ALL = (TRANSLATION, SCALE, PERMUTATION, ORTHOGONAL, LINEAR, AFFINE)

# An invariance to the left buys those to the right of it.
_IMPLIES = {
    ORTHOGONAL: {PERMUTATION},
    LINEAR: {SCALE, ORTHOGONAL, PERMUTATION},
    AFFINE: {TRANSLATION, SCALE, ORTHOGONAL, PERMUTATION, LINEAR},
}


def closure(*invariances: Invariance) -> frozenset[Invariance]:
    """
    All invariances that follow from those given.

    Parameters
    ----------
    *invariances : Invariance

    Returns
    -------
    frozenset of Invariance

    Examples
    --------
    >>> sorted(str(i) for i in closure(ORTHOGONAL))
    ['permutation of units', 'rotation and reflection']
    """
    found = set(invariances)
    for invariance in invariances:
        found |= _IMPLIES.get(invariance, set())
    if {TRANSLATION, LINEAR} <= found:
        found.add(AFFINE)
    return frozenset(found)


_SHORT = {
    "translation": TRANSLATION,
    "scale": SCALE,
    "scaling": SCALE,
    "orthogonal": ORTHOGONAL,
    "rotation": ORTHOGONAL,
    "permutation": PERMUTATION,
    "linear": LINEAR,
    "affine": AFFINE,
}


def invariance(name: Invariance | str) -> Invariance:
    """
    Invariance by name.

    Parameters
    ----------
    name : Invariance or str
        Its name, with spaces or underscores, or one word: translation, scaling, permutation, rotation (or
        orthogonal), linear, affine.

    Returns
    -------
    Invariance

    Raises
    ------
    ValueError
        No such invariance.

    Examples
    --------
    >>> invariance("rotation_and_reflection") is invariance("orthogonal")
    True
    """
    known = _SHORT | {str(i): i for i in ALL}
    wanted = str(name).strip().lower().replace("_", " ")
    if wanted not in known:
        raise ValueError(f"no invariance called {name!r}. Known: {', '.join(known)}.")
    return known[wanted]
