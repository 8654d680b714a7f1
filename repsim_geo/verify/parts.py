"""
What can be verified: a subject, the laws that are asked of it, and the scenes on which they are.

A manifold is one part, and so are a distance and an isometry. A metric has two: the distance of networks, and
the manifold of their points.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.verify import strategies
from repsim_geo.verify.isometry import Isometry
from repsim_geo.verify.laws import ISOMETRY_LAWS, LAWS, METRIC_LAWS, NETWORK_LAWS
from repsim_geo.verify.measures import EmbeddedMeasure, Measure
from repsim_geo.verify.networks import DRAWS as NETWORK_DRAWS
from repsim_geo.verify.networks import NETWORK_SCENES, NetworkScene, NetworkSpec
from repsim_geo.verify.scenes import DRAWS, SCENES, Scene, SceneSpec
from repsim_geo.verify.statements import Law, provides
from repsim_geo.verify.tolerance import tolerance

# A direction of a point may be nothing but a ridge, 1e-3 of the mean of all, and distances that are sensitive
# see it relative to itself.
_SENSITIVE = 1e4


_OF_ORDINARY = "ordinary_networks_have_a_distance"
_OF_CONSTANTS = "distances_of_networks_are_finite"
_MISSING = {
    "claims": "no invariances are declared",
    "disclaims": "no invariances are declared",
    "range": "no range is declared",
    "batched": "it takes one pair of networks at a time",
    "gradients": "it is called with numpy arrays",
    "exchangeable": "the inputs have an order",
    "geodesic": "the manifold has neither geodesic nor logmap",
    "prepare": "a pair of embedding and manifold prepares nothing",
    "table": "it has no table of all pairs",
}


class Part(Protocol):
    """A subject with its laws and scenes; `runner` knows nothing else of it."""

    name: str
    laws: tuple[Law, ...]
    scenes: tuple[Any, ...]
    # How many draws a scene has that is drawn by hypothesis, and how often a search may ask.
    drawn_draws: ClassVar[int]
    calls: ClassVar[int]

    def build(self, spec: Any, dtype: torch.dtype, seed: int, draws: int | None = None) -> Any:
        """Scene, or None where it makes no sense for the subject."""
        ...

    def why_not(self, law: Law, scene: Any) -> str | None:
        """Reason why a law does not apply to a scene, or None."""
        ...

    def residual(self, law: Law, scene: Any) -> Tensor:
        """What the law measures; shape (draws)."""
        ...

    def tolerance(self, law: Law, scene: Any, dtype: torch.dtype) -> Tensor:
        """What it may be; shape () or (draws)."""
        ...

    def refuses(self, law: Law, error: Exception) -> bool:
        """Whether an error is a refusal of the input, and no failure."""
        ...

    def variations(self, specs: Sequence[Any]) -> Any:
        """Hypothesis strategy of parts, descriptions of scenes and seeds, simple ones first."""
        ...

    def anything(self) -> Any:
        """Hypothesis strategy of this part, any description of a scene, and a seed."""
        ...

    def sentence(self, spec: Any, dtype: torch.dtype, seed: int) -> str:
        """A scene of this part in words."""
        ...

    def code(self, law: Law, spec: Any, dtype: torch.dtype, seed: int) -> str:
        """Lines of Python that show a counterexample."""
        ...


def _lacks(law: Law, missing: list[str]) -> str | None:
    return f"needs {', '.join(missing).replace(':', ' ').replace('_', ' ')}" if missing else None


class _PointPart:
    """What parts share whose scenes are points of a manifold."""

    # Some laws look at the third draw.
    drawn_draws: ClassVar[int] = 4
    calls: ClassVar[int] = 60

    name: str
    point: tuple[int, ...]

    @property
    def home(self) -> Any:
        """The manifold on which scenes are placed."""
        raise NotImplementedError(f"{type(self).__name__}.home is not written")

    def at(self, point: tuple[int, ...]) -> Any:
        """The same subject with points of another shape."""
        raise NotImplementedError(f"{type(self).__name__}.at is not written")

    def _shown(self) -> dict[str, str]:
        """How the code of a counterexample brings the subject, and calls it and its manifold."""
        raise NotImplementedError(f"{type(self).__name__}._shown is not written")

    def build(self, spec: SceneSpec, dtype: torch.dtype, seed: int, draws: int | None = None) -> Scene | None:
        """Scene of points; the manifold's own methods place them."""
        generator = torch.Generator().manual_seed(seed)
        return spec.build(self.home, self.point, dtype, generator, draws or DRAWS)

    def refuses(self, law: Law, error: Exception) -> bool:
        """Never: scenes are made of the manifold's own points."""
        return False

    def variations(self, specs: Sequence[SceneSpec]) -> Any:
        """The same scenes of smaller points, and of other ranks."""
        drawn = strategies.smaller_points(self.point, specs)
        return drawn.map(lambda d: (self.at(d[0]), d[1], d[2]))

    def anything(self) -> Any:
        """Any scene of the manifold."""
        return _with_seeds(self, strategies.scene_specs(self.home, self.point))

    def sentence(self, spec: SceneSpec, dtype: torch.dtype, seed: int) -> str:
        """Scene in words: "three equal points, shape (3,), seed 0"."""
        return f"{spec.seen(dtype)}, shape {self.point}, seed {seed}"

    def code(self, law: Law, spec: SceneSpec, dtype: torch.dtype, seed: int) -> str:
        """Lines that build the scene and measure the law."""
        return _POINTS.format(
            **self._shown(), spec=_written(spec), point=self.point, dtype=dtype, seed=seed, law=law.name
        )


class ManifoldPart(_PointPart):
    """
    A manifold, and the shape of a point on which to verify it.

    Parameters
    ----------
    manifold : geoopt.Manifold
    point : tuple of int
    source : str
        Python that gives the manifold.
    """

    laws = LAWS
    scenes: tuple[Any, ...] = SCENES

    def __init__(self, manifold: Manifold, point: tuple[int, ...], *, source: str = ""):
        self.manifold, self.point, self.source = manifold, point, source
        self.name = one_line(manifold)

    @property
    def home(self) -> Manifold:
        """The manifold."""
        return self.manifold

    def at(self, point: tuple[int, ...]) -> ManifoldPart:
        """The same manifold with points of another shape."""
        return ManifoldPart(self.manifold, point, source=self.source)

    def _shown(self) -> dict[str, str]:
        given = _given("manifold", self.source, None, self.name)
        return {"given": given, "manifold": "manifold", "subject": "manifold"}

    def why_not(self, law: Law, scene: Scene) -> str | None:
        """Reason why a law does not apply to a scene, or None."""
        lacks = _lacks(law, [name for name in law.needs if not provides(self.manifold, name)])
        if lacks is None and law.regular and not scene.regular:
            return "a point is singular: no tangent space of full dimension"
        return lacks

    def residual(self, law: Law, scene: Scene) -> Tensor:
        """What the law measures; shape (draws)."""
        return law.residual(self.manifold, scene)

    def tolerance(self, law: Law, scene: Scene, dtype: torch.dtype) -> Tensor:
        """What the residual may be."""
        sensitive = getattr(self.manifold, "sensitive", False)
        return torch.tensor(tolerance(law.kind, dtype, scene.amplification, sensitive=sensitive))


class NetworkPart:
    """
    A measure of activations.

    Parameters
    ----------
    measure : Measure
    m, d : int
        Inputs and units of the networks, where a scene does not choose them.
    name : str
    same_width : bool
        Give all networks of a scene equally many units.
    source : str
        Python that gives the measure.
    """

    scenes: tuple[Any, ...] = NETWORK_SCENES
    drawn_draws: ClassVar[int] = 1
    calls: ClassVar[int] = 200

    def __init__(
        self, measure: Measure, m: int, d: int, name: str, *, same_width: bool = False, source: str = ""
    ):
        self.measure, self.m, self.d, self.name, self.same_width = measure, m, d, name, same_width
        self.source = source
        self.embedded = isinstance(measure, EmbeddedMeasure)
        laws = METRIC_LAWS if self.embedded else NETWORK_LAWS
        # What is claimed need not be noticed, and the other way round.
        declared = measure.claims is not None
        self.laws = tuple(law for law in laws if not (declared and self._is_about_the_contrary(law)))

    def _is_about_the_contrary(self, law: Law) -> bool:
        return any("claims:" in need and not self.measure.provides(need) for need in law.needs)

    def build(
        self, spec: NetworkSpec, dtype: torch.dtype, seed: int, draws: int | None = None
    ) -> NetworkScene | None:
        """Scene of networks."""
        return spec.build(
            self.m,
            self.d,
            dtype,
            seed,
            draws=draws or NETWORK_DRAWS,
            same_width=self.same_width,
            farther=self.farther,
        )

    @property
    def sensitive(self) -> bool:
        """Whether a metric sees weak directions relative to themselves."""
        return self.embedded and getattr(self.measure.manifold, "sensitive", False)  # type: ignore[attr-defined]

    @property
    def farther(self) -> float:
        """How much farther apart near networks are, as near points of sensitive manifolds are."""
        return 10.0 if self.sensitive else 1.0

    def why_not(self, law: Law, scene: NetworkScene) -> str | None:
        """Reason why a law does not apply, or None."""
        if scene.spec.constant and law.order > 0 and law.name != _OF_CONSTANTS:
            return "asked only of networks that vary"
        missing = [need for need in law.needs if not self.measure.provides(need)]
        return _MISSING[missing[0].partition(":")[0]] if missing else None

    def residual(self, law: Law, scene: NetworkScene) -> Tensor:
        """What the law measures; shape (draws)."""
        residual = law.residual(self.measure.at(scene), scene)
        # One law says that a constant network has no distance; the others have nothing to say then.
        return residual.nan_to_num(0.0) if scene.spec.constant and law.name != _OF_CONSTANTS else residual

    def tolerance(self, law: Law, scene: NetworkScene, dtype: torch.dtype) -> Tensor:
        """What the residual may be."""
        amplification = scene.amplification * (_SENSITIVE if self.sensitive else 1)
        # Large means leave their rounding behind when they are removed.
        means = max(1.0, scene.spec.offset) if law.kind in ("axiom", "claim", "self") else 1.0
        return means * torch.tensor(tolerance(law.kind, dtype, amplification, sensitive=self.sensitive))

    def refuses(self, law: Law, error: Exception) -> bool:
        """Yes for a ValueError: networks are none for this measure. Ordinary ones must be."""
        clearly = isinstance(error, ValueError) and type(error).__name__ != "LinAlgError"
        return clearly and law.name != _OF_ORDINARY

    def variations(self, specs: Sequence[NetworkSpec]) -> Any:
        """The same scenes with fewer inputs, fewer units, lower rank."""
        return strategies.smaller_networks(self.m, self.d, specs).map(lambda drawn: (self, *drawn))

    def anything(self) -> Any:
        """Any scene of networks of about the sizes of the case."""
        return _with_seeds(self, strategies.network_specs((3, max(3, self.m)), (1, max(2, 2 * self.d))))

    def sentence(self, spec: NetworkSpec, dtype: torch.dtype, seed: int) -> str:
        """Scene in words: "angle 0°, rank 1, m = 3, d = 1, seed 0"."""
        seen = spec.seen(dtype, self.farther)
        return f"{replace(seen, m=spec.m or self.m, d=spec.d or self.d)}, seed {seed}"

    def code(self, law: Law, spec: NetworkSpec, dtype: torch.dtype, seed: int) -> str:
        """Lines that draw the networks and measure the law."""
        return _NETWORKS.format(
            subject="metric" if self.embedded else "d",
            given=_given("metric" if self.embedded else "d", self.source, self.measure.function, self.name),
            spec=_written(spec),
            sizes=f"{self.m}, {self.d}",
            more=(", same_width=True" if self.same_width else "")
            + (f", farther={self.farther}" if self.sensitive else ""),
            dtype=dtype,
            seed=seed,
            measure="EmbeddedMeasure(metric)"
            if self.embedded
            else f'Measure(d, backend="{self.measure.backend}")',
            law=law.name,
        )


class IsometryPart(_PointPart):
    """
    A map that is said to be an isometry.

    Parameters
    ----------
    pair : Isometry
    point : tuple of int
        Shape of a point of the source.
    name : str
    """

    laws = ISOMETRY_LAWS
    scenes: tuple[Any, ...] = tuple(
        s for s in SCENES if s.name not in ("near_cut_locus", "low_rank", "dropped_rank", "different_sizes")
    )

    def __init__(self, pair: Isometry, point: tuple[int, ...], name: str):
        self.pair, self.point, self.name = pair, point, name

    @property
    def home(self) -> Manifold:
        """The source."""
        return self.pair.source

    def at(self, point: tuple[int, ...]) -> IsometryPart:
        """The same map of points of another shape."""
        return IsometryPart(self.pair, point, self.name)

    def _shown(self) -> dict[str, str]:
        given = f"f, source, target = ...  # {self.name}\npair = verify.Isometry(f, source, target)"
        return {"given": given, "manifold": "source", "subject": "pair"}

    def why_not(self, law: Law, scene: Scene) -> str | None:
        """Reason why a law does not apply, or None."""
        return _lacks(law, [name for name in law.needs if not self.pair.provides(name)])

    def residual(self, law: Law, scene: Scene) -> Tensor:
        """What the law measures; shape (draws)."""
        return law.residual(self.pair, scene)

    def tolerance(self, law: Law, scene: Scene, dtype: torch.dtype) -> Tensor:
        """What the residual may be, in each draw."""
        return tolerance(law.kind, dtype) * self.pair.amplification(scene)


_POINTS = """\
import torch
from repsim_geo import verify

{given}
scene = verify.{spec}.build(
    {manifold}, {point}, {dtype}, torch.Generator().manual_seed({seed}), draws=1
)
print(scene.x, scene.y, scene.z)
print(verify.law("{law}").residual({subject}, scene))"""

_NETWORKS = """\
import torch
from repsim_geo import verify

{given}
scene = verify.{spec}.build({sizes}, {dtype}, {seed}, draws=1{more})
print(scene.x[0], scene.y[0], scene.z[0])
measure = verify.{measure}.at(scene)
print([float(measure.between(scene, pair)) for pair in ("x x", "x y", "y x", "y z", "x z")])
print(verify.law("{law}").residual(measure, scene))"""


def _given(subject: str, source: str, function: Any, name: str) -> str:
    """Lines that bring the subject: what is known to give it, or an import where there is one."""
    if source:
        *imports, expression = source.split("; ")
        return "\n".join((*imports, f"{subject} = {expression}"))
    module, where = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if subject == "d" and module not in (None, "__main__") and where.isidentifier():
        return f"from {module} import {where} as d"
    return f"{subject} = ...  # {name}"


def _written(spec: Any) -> str:
    """The call that makes a scene's description, without what it leaves out."""
    plain = type(spec)("", "")

    def value(v: Any) -> str:
        return json.dumps(v) if isinstance(v, str) else repr(v)

    fields = {
        k: getattr(spec, k) for k in type(spec).__dataclass_fields__ if k not in ("name", "description")
    }
    options = [f"{k}={value(v)}" for k, v in fields.items() if v != getattr(plain, k)]
    return f'{type(spec).__name__}("{spec.name}", "", {", ".join(options)})'.replace(", )", ")")


def _with_seeds(part: Part, specs: Any) -> Any:
    st = strategies.hypothesis().strategies
    return st.tuples(st.just(part), specs, strategies.seeds())


def one_line(subject: Any) -> str:
    """
    What to call a subject that has no name.

    Parameters
    ----------
    subject : object, or pair of objects

    Returns
    -------
    str
    """
    if isinstance(subject, tuple):
        return " on ".join(map(one_line, subject))
    return " ".join(repr(subject).split())
