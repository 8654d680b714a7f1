"""
Scenes of networks: activations that break measures of representational similarity.

What scenes of points are for manifolds, these are for anything that compares activations. Random networks
keep most axioms by luck: with independent data, 155 of 2000 seeds show that a squared distance breaks the
triangle inequality; with the second network on the way between the others, all do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from repsim_geo.numerics.centering import center_columns
from repsim_geo.numerics.norms import safe_norm
from repsim_geo.verify.scenes import CONDITION

# Smallest angle between near networks, in degrees, that single precision must resolve.
_RESOLVED = {torch.float64: 2e-5, torch.float32: 3e-2}
# Independent draws of a scene. Measures of other people take one pair at a time.
DRAWS = 4


@dataclass(frozen=True)
class NetworkScene:
    """
    Activations of three networks on the same inputs, and what is known about them.

    Attributes
    ----------
    name : str
    x, y, z : Tensor, shape (draws, m, d_i)
    ordinary : tuple of Tensor, shape (draws, m, d)
        Two ordinary networks, as large as `x`, of the width of the case, and with inputs enough to tell them
        apart by: what a large distance is.
    direction : Tensor, shape (draws, m, d)
        A change of `x`, as large as `x`.
    amplification : float
        Factor by which rounding errors grow, whoever computes.
    seed : int
        For random transformations of these networks.
    spec : NetworkSpec
        In words.
    known : dict
        Distances that have been computed, by the names of the two networks.
    """

    name: str
    x: Tensor
    y: Tensor
    z: Tensor
    ordinary: tuple[Tensor, Tensor]
    direction: Tensor
    amplification: float
    seed: int
    spec: NetworkSpec
    known: dict[str, Tensor] = field(default_factory=dict, compare=False, repr=False)

    def generator(self) -> torch.Generator:
        """The same random numbers every time."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class NetworkSpec:
    """
    How three networks are related, in words; `build` draws their activations.

    Attributes
    ----------
    name : str
    description : str
    m : int or None
        Inputs; None for as many as the case has.
    d : int or None
        Units; None for as many as the case has.
    rank : int or None
        Dimensions that the activations span once they are centered; None for all.
    condition : float or None
        Of the centered activations: 1 for equal singular values, None for random ones.
    angle : float or None
        Between the activations of the first network and the third, as vectors, in degrees; None for unrelated
        networks. Angles too small for the dtype are widened to what it resolves.
    middle : str
        Where the second network is: "unrelated"; "arc", half way between the others; "union", made of the
        units of both.
    duplicates : int
        Inputs that are shown twice.
    silent : int
        Units that never respond, in every network.
    offset : float
        Size of the mean response of a unit, relative to how much it varies.
    sizes : tuple of float
        Factors of the three networks.
    constant : bool
        Whether the first network gives the same response to all inputs.

    Examples
    --------
    >>> import torch
    >>> spec = NetworkSpec("near", "one degree apart", angle=1.0, middle="arc", rank=1)
    >>> str(spec)
    'angle 1°, the second network half way, rank 1'
    >>> spec.build(6, 3, torch.float64, seed=0).y.shape
    torch.Size([4, 6, 3])
    """

    name: str
    description: str
    m: int | None = None
    d: int | None = None
    rank: int | None = None
    condition: float | None = None
    angle: float | None = None
    middle: str = "unrelated"
    duplicates: int = 0
    silent: int = 0
    offset: float = 1.0
    sizes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    constant: bool = False

    def build(
        self,
        m: int,
        d: int,
        dtype: torch.dtype,
        seed: int,
        *,
        draws: int = DRAWS,
        same_width: bool = False,
        farther: float = 1.0,
    ) -> NetworkScene | None:
        """
        Draw the activations.

        Parameters
        ----------
        m, d : int
            Inputs and units, where the scene does not choose them.
        dtype : torch.dtype
        seed : int
        draws : int
            Independent draws, as a batch.
        same_width : bool
            Give all networks equally many units, for measures that compare units one by one.
        farther : float
            How much farther apart than the dtype resolves near networks are; for measures that see weak
            directions of the activations relative to themselves.

        Returns
        -------
        NetworkScene or None
            None where the scene makes no sense: a union of networks is wider than they are.
        """
        if self.middle == "union" and same_width:
            return None
        generator = torch.Generator().manual_seed(seed)
        ordinary = tuple(
            (
                self.sizes[0]
                * torch.randn(draws, max(m, 3 * d + 3), d, dtype=torch.float64, generator=generator)
            ).to(dtype)
            for _ in range(2)
        )
        m, d = self.m or m, self.d or d
        widths = (d, d, d) if same_width or self.angle is not None else (d, d + 1, max(d - 1, 1))

        def network(width: int) -> Tensor:
            return self._network(m, width, dtype, generator, draws)

        x, y, z, direction = (network(w) for w in (*widths, d))
        if self.angle is not None:
            z = self._turned(x, z, farther * _RESOLVED[dtype])
            # The middle of a short arc is that of its chord, to all digits.
            middle = (x + z) / (2 * math.cos(math.radians(self.angle / 2)))
            y = x.clone() if self.angle == 0 else middle if self.middle == "arc" else y
        if self.middle == "union":
            y = torch.cat([w / safe_norm(center_columns(w), 2, keepdim=True) for w in (x, z)], -1)
        x, y, z = (self._altered(w) * size for w, size in zip((x, y, z), self.sizes, strict=True))
        if self.constant:
            # Eighths, whose mean is exact: centering leaves nothing, not even rounding.
            x = (8 * x[:, :1]).round().div(8).expand_as(x).clone()
        direction = direction * self.sizes[0]
        condition = self.seen(dtype).condition or 1.0
        amplification = condition * max(1.0, self.offset)
        x, y, z, direction = (w.to(dtype) for w in (x, y, z, direction))
        return NetworkScene(self.name, x, y, z, ordinary, direction, amplification, seed, self)

    def seen(self, dtype: torch.dtype, farther: float = 1.0) -> NetworkSpec:
        """The same in a dtype, which may resolve less than the scene asks for."""
        angle = max(self.angle, farther * _RESOLVED[dtype]) if self.angle else self.angle
        condition = min(self.condition, CONDITION[dtype]) if self.condition else self.condition
        return replace(self, angle=angle, condition=condition)

    def _network(self, m: int, d: int, dtype: torch.dtype, generator: torch.Generator, draws: int) -> Tensor:
        """Activations with the spectrum of the scene, around mean responses."""
        a = center_columns(torch.randn(draws, m, d, dtype=torch.float64, generator=generator))
        means = torch.randn(draws, 1, d, dtype=torch.float64, generator=generator)
        if self.rank is not None or self.condition is not None:
            u, _, vh = torch.linalg.svd(a, full_matrices=False)
            k = min(m - 1, d, self.rank or d)
            condition = min(self.condition or 1.0, CONDITION[dtype])
            s = torch.logspace(0, -1, k, condition, dtype=torch.float64)
            a = (u[..., :k] * s) @ vh[..., :k, :] * (m / s.square().sum() * d).sqrt()
        return a + self.offset * means

    def _turned(self, x: Tensor, other: Tensor, smallest: float) -> Tensor:
        """`x` turned towards another network, by the angle of the scene."""
        angle = math.radians(max(self.angle, smallest)) if self.angle else 0.0
        return math.cos(angle) * x + math.sin(angle) * other

    def _altered(self, x: Tensor) -> Tensor:
        if self.duplicates:
            k = min(self.duplicates, x.shape[-2] // 2)
            x = torch.cat([x[..., -k:, :], x[..., k:, :]], -2)
        if self.silent and x.shape[-1] > 1:
            k = min(self.silent, x.shape[-1] - 1)
            x = torch.cat([x[..., :-k], torch.zeros_like(x[..., :k])], -1)
        return x

    def __str__(self) -> str:
        return ", ".join(self._sentence()) or "unrelated networks"

    def _sentence(self) -> Iterator[str]:
        if self.angle is not None:
            yield f"angle {self.angle:g}°"
        if self.middle != "unrelated":
            yield {"arc": "the second network half way", "union": "the second has the units of both"}[
                self.middle
            ]
        if self.rank is not None:
            yield f"rank {self.rank}"
        if self.condition is not None and self.rank != 1:
            yield "equal singular values" if self.condition == 1 else f"condition {self.condition:g}"
        if self.duplicates:
            yield "an input shown twice" if self.duplicates == 1 else f"{self.duplicates} inputs shown twice"
        if self.silent:
            yield "a silent unit" if self.silent == 1 else f"{self.silent} silent units"
        if self.offset != 1:
            yield f"means of {self.offset:g} standard deviations"
        if len(set(self.sizes)) > 1:
            yield "sizes " + ", ".join(f"{s:g}" for s in self.sizes)
        elif self.sizes[0] != 1:
            yield f"scaled by {self.sizes[0]:g}"
        if self.constant:
            yield "the first network constant"
        if self.m is not None:
            yield f"m = {self.m}"
        if self.d is not None:
            yield f"d = {self.d}"


NETWORK_SCENES: tuple[NetworkSpec, ...] = (
    NetworkSpec("unrelated", "three unrelated networks"),
    NetworkSpec("identical", "three times the same network", angle=0.0),
    NetworkSpec("near", "networks 2e-5 degrees apart (0.03 in float32)", angle=2e-5, middle="arc"),
    NetworkSpec(
        "on_the_way", "the second network half way between two that are related", angle=60.0, middle="arc"
    ),
    NetworkSpec("union", "the second network has the units of both others", middle="union"),
    NetworkSpec("one_dimension", "activations of rank one", rank=1),
    NetworkSpec(
        "one_dimension_on_the_way", "rank one, the second half way", rank=1, angle=60.0, middle="arc"
    ),
    NetworkSpec("one_unit", "networks of one unit", d=1),
    NetworkSpec("wide", "more units than inputs", d=15),
    NetworkSpec("three_inputs", "as few inputs as have an angle", m=3, d=2),
    NetworkSpec("equal_spectrum", "all directions equally strong", condition=1.0),
    NetworkSpec("ill_conditioned", "singular values from 1 to 1e-4 (1e-2 in float32)", condition=1e4),
    NetworkSpec("duplicated_inputs", "inputs that are shown twice", duplicates=3),
    NetworkSpec("silent_unit", "a unit that never responds", silent=1),
    NetworkSpec("large_means", "mean responses far larger than their variation", offset=30.0),
    NetworkSpec("tiny", "activations scaled by 1e-8", sizes=(1e-8, 1e-8, 1e-8)),
    NetworkSpec("huge", "activations scaled by 1e8", sizes=(1e8, 1e8, 1e8)),
    NetworkSpec("different_sizes", "networks of sizes 1, 1e-4 and 1e4", sizes=(1.0, 1e-4, 1e4)),
    NetworkSpec("constant", "the first network responds to all inputs alike", constant=True),
)
