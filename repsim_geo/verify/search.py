"""Search with hypothesis: for failures beyond the named scenes, and for the smallest one of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch

from repsim_geo.verify import strategies
from repsim_geo.verify.judge import build, judge
from repsim_geo.verify.parts import Part
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
    code : str
        Lines that show it.
    """

    sentence: str
    code: str


def _settings(examples: int, phases: Sequence[str]) -> Any:
    hypothesis = strategies.hypothesis()
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
    hypothesis, worst = strategies.hypothesis(), {}
    laws = [law for law in laws if law.scenes is None]

    def run(drawn: tuple[Any, int]) -> None:
        spec, number = drawn
        scene = build(part, spec, dtype, number, part.drawn_draws)
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

    drawn = part.anything().map(lambda d: d[1:])
    hypothesis.seed(seed)(_settings(examples, ["generate"])(hypothesis.given(drawn)(run)))()
    return [
        replace(record, counterexample=part.sentence(spec, dtype, number))
        if record.status == "failed"
        else record
        for record, spec, number in worst.values()
    ]


def smallest(
    part: Part, law: Law, specs: Sequence[Any], dtype: torch.dtype, seed: int
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

    Returns
    -------
    Counterexample or None
        None if no draw of these scenes fails.
    """
    hypothesis, known = strategies.hypothesis(), {}

    def fails(drawn: tuple[Any, Any, int]) -> bool:
        key = _key(drawn)
        if key not in known:
            if len(known) >= part.calls:
                return False
            known[key] = _fails(law, *drawn, dtype)
        return known[key]

    try:
        found, spec, number = hypothesis.find(
            part.variations(specs) if specs else part.anything(),
            fails,
            settings=_settings(part.calls, ["generate", "shrink"]),
            random=Random(seed),
        )
    except hypothesis.errors.NoSuchExample:
        return None
    return Counterexample(found.sentence(spec, dtype, number), found.code(law, spec, dtype, number))


def _key(drawn: tuple[Any, Any, int]) -> tuple[Any, Any, int]:
    """What tells one draw of a part from another."""
    part, spec, number = drawn
    return getattr(part, "point", None), spec, number


def _fails(law: Law, part: Part, spec: Any, number: int, dtype: torch.dtype) -> bool:
    """Whether a law fails by a number; errors at a smaller size may be its own, and do not count."""
    scene = build(part, spec, dtype, number, 1)
    if scene is None or isinstance(scene, Record):
        return False
    record = judge(part, law, scene, dtype)
    return record.status == "failed" and record.residual == record.residual
