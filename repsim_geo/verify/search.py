"""Search with hypothesis: for failures beyond the named scenes, and for the smallest one of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch

from repsim_geo.verify import strategies
from repsim_geo.verify.judge import build, judge
from repsim_geo.verify.parts import ManifoldPart, NetworkPart, Part
from repsim_geo.verify.report import Record
from repsim_geo.verify.statements import Law

DRAWN = "drawn"


@dataclass(frozen=True)
class Counterexample:
    """
    The simplest scene that was found on which a law fails.

    Attributes
    ----------
    sentence : str
    residual, tolerance : float
    code : str
        Lines that show it.
    """

    sentence: str
    residual: float
    tolerance: float
    code: str


def _settings(examples: int, phases: Sequence[str]) -> Any:
    hypothesis = strategies._hypothesis()
    return hypothesis.settings(
        max_examples=examples,
        phases=[hypothesis.Phase[name] for name in phases],
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def explore(part: Part, laws: Iterable[Law], dtype: torch.dtype, seed: int, examples: int) -> list[Record]:
    """
    Laws on scenes that are drawn by their geometry.

    Parameters
    ----------
    part : Part
    laws : iterable of Law
        Those that are asked on named scenes only are left out.
    dtype : torch.dtype
    seed : int
    examples : int

    Returns
    -------
    list of Record
        The worst for each law, with the scene in words.
    """
    hypothesis, worst = strategies._hypothesis(), {}
    laws = [law for law in laws if law.scenes is None]

    def run(drawn: tuple[Any, int]) -> None:
        spec, number = drawn
        # Some laws look at the third draw.
        scene = build(part, spec, dtype, number, 1 if isinstance(part, NetworkPart) else 4)
        if scene is None or isinstance(scene, Record):
            return
        for law in laws:
            record = judge(part, law, scene, dtype)
            before = worst.get(law.name, (record,))[0]
            if (
                record.severity > before.severity
                or before.status == "skipped" != record.status
                or record is before
            ):
                worst[law.name] = (replace(record, scene=DRAWN), spec, number)

    drawn = _anything(part).map(lambda d: d[1:])
    hypothesis.seed(seed)(_settings(examples, ["generate"])(hypothesis.given(drawn)(run)))()
    return [
        replace(record, counterexample=part.sentence(spec, dtype, number))
        if record.status == "failed"
        else record
        for record, spec, number in worst.values()
    ]


def _anything(part: Any) -> Any:
    """Strategy of the part, any description of a scene of it, and a seed."""
    st = strategies._st()
    if isinstance(part, NetworkPart):
        specs = strategies.network_specs((3, max(3, part.m)), (1, max(2, 2 * part.d)))
    else:
        manifold = part.manifold if isinstance(part, ManifoldPart) else part.pair.source
        specs = strategies.scene_specs(manifold, part.point)
    return st.tuples(st.just(part), specs, st.integers(0, 2**16))


def smallest(
    part: Part,
    law: Law,
    specs: Sequence[Any],
    dtype: torch.dtype,
    seed: int,
    *,
    calls: int | None = None,
) -> Counterexample | None:
    """
    The simplest scene on which a law fails: fewest inputs, lowest rank, smallest seed.

    Parameters
    ----------
    part : Part
    law : Law
    specs : sequence of SceneSpec or NetworkSpec
        Where it is known to fail; if there are none, all scenes are searched.
    dtype : torch.dtype
    seed : int
        Of the search.
    calls : int, optional
        How often the law may be asked: 200 times of networks, 60 of points, if left out.

    Returns
    -------
    Counterexample or None
        None if no draw of these scenes fails.
    """
    hypothesis, known = strategies._hypothesis(), {}
    most = calls or (200 if isinstance(part, NetworkPart) else 60)

    def fails(drawn: tuple[Any, Any, int]) -> bool:
        key = part_key(drawn)
        if key not in known:
            if len(known) >= most:
                return False
            known[key] = _fails(law, *drawn, dtype)
        return known[key] is not None

    try:
        found, spec, number = hypothesis.find(
            part.variations(specs) if specs else _anything(part),
            fails,
            settings=_settings(most, ["generate", "shrink"]),
            random=Random(seed),
        )
    except hypothesis.errors.NoSuchExample:
        return None
    record = known[part_key((found, spec, number))]
    return Counterexample(
        found.sentence(spec, dtype, number),
        record.residual,
        record.tolerance,
        found.code(law, spec, dtype, number),
    )


def part_key(drawn: tuple[Any, Any, int]) -> tuple[Any, Any, int]:
    """What tells one draw of a part from another."""
    part, spec, number = drawn
    return getattr(part, "point", None), spec, number


def _fails(law: Law, part: Part, spec: Any, number: int, dtype: torch.dtype) -> Record | None:
    """The record of a failure by a number; errors at a smaller size may be its own, and do not count."""
    scene = build(part, spec, dtype, number, 1)
    if scene is None or isinstance(scene, Record):
        return None
    record = judge(part, law, scene, dtype)
    return record if record.status == "failed" and record.residual == record.residual else None
