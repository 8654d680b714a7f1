"""Run laws on scenes: the checks that people call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from numbers import Integral
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.invariances import Invariance
from repsim_geo.verify import search
from repsim_geo.verify.cases import Case, DistanceCase, IsometryCase, ManifoldCase, MetricCase, as_case
from repsim_geo.verify.judge import BUILDING, asked, build, judge, record
from repsim_geo.verify.laws import ISOMETRY_LAWS, LAWS, METRIC_LAWS
from repsim_geo.verify.laws import law as law_of_name
from repsim_geo.verify.parts import Part
from repsim_geo.verify.report import LawViolationError, Record, Report
from repsim_geo.verify.scenes import SCENES
from repsim_geo.verify.statements import Law

BOTH = (torch.float64, torch.float32)
# How many laws are shown with their smallest counterexample; the most basic ones first.
_SHOWN = 3


def check(
    subject: Any,
    *,
    laws: Iterable[Law | str] | None = None,
    scenes: Iterable[Any] | None = None,
    dtypes: Iterable[torch.dtype] = BOTH,
    seed: int = 0,
    examples: int | None = None,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str = "raise",
) -> Report:
    """
    Verify anything: every law on every scene in every dtype.

    Parameters
    ----------
    subject : Case, metric, (nn.Module, geoopt.Manifold), (geoopt.Manifold, shape of a point), or callable
        See `as_case`.
    laws : iterable of Law or str, optional
        Which laws to ask; all that apply if left out.
    scenes : iterable of SceneSpec, NetworkSpec or str, optional
        On which scenes; on all if left out.
    dtypes : iterable of torch.dtype
    seed : int
        Every scene is a batch of draws from this seed.
    examples : int, optional
        How many scenes hypothesis draws beside those that have names: of networks for distances and metrics,
        where it is 20 if left out; of points for manifolds and isometries, where it is none.
    expected_failures : mapping from law to reason, optional
        Beside those of the case.
    on_fail : {"raise", "report"}

    Returns
    -------
    Report

    Raises
    ------
    LawViolationError
        When a law fails, unless ``on_fail="report"``.
    ValueError
        Unknown laws or scenes, nothing to check, or another value of `on_fail`.

    Notes
    -----
    A law applies when the subject provides the methods and facts that the law declares to need; what was
    skipped, and why, is in the report. An exception inside a law is a failure of that law, except for a
    ValueError of a metric or a distance, which is a refusal of degenerate networks; ordinary networks must
    not be refused. With hypothesis installed, failures are shrunk to the simplest scene that shows them.

    Examples
    --------
    >>> from repsim_geo import Flat
    >>> check((Flat(ndim=1), (3,))).ok
    True
    """
    case, dtypes = as_case(subject), _checked_dtypes(dtypes)
    _check_numbers(seed, examples)
    examples = _default_examples(case) if examples is None else examples
    if on_fail not in ("raise", "report"):
        raise ValueError(
            f"on_fail must be 'raise' or 'report', got {on_fail!r}. 'report' returns what failed."
        )
    if not isinstance(expected_failures, Mapping | None):
        raise TypeError(
            "expected_failures must be a mapping from the name of a law to a reason, got "
            f"{expected_failures!r}. Leave it out if all laws should hold."
        )
    expected = {**case.expected_failures, **(expected_failures or {})}
    parts = case.parts()
    asked_for = None if laws is None else _by_name(laws)
    chosen = [_chosen_laws(part, asked_for) for part in parts]
    _check_choice(parts, chosen, expected)
    records: list[Record] = []
    if isinstance(scenes, str):
        scenes = (scenes,)
    wanted = None if scenes is None else _listed(scenes, "scenes", "SCENES")
    _check_scenes(parts, wanted)
    if not dtypes or wanted == ():
        raise ValueError(_nothing("no dtypes" if not dtypes else "no scenes"))
    for part, some in zip(parts, chosen, strict=True):
        specs = _chosen_scenes(part, wanted)
        found = [r for dtype in dtypes for spec in specs for r in _on_scene(part, some, spec, dtype, seed)]
        # Of a metric, networks are drawn: the manifold is known from its own scenes, and costs far more.
        drawn = examples if part is parts[0] else 0
        if drawn and some:
            found += [r for dtype in dtypes for r in search.explore(part, some, dtype, seed, drawn)]
        records += _with_counterexamples(part, found, specs, seed, expected)
    report = Report(str(case), _with_expectations(records, expected))
    if on_fail == "raise" and not report.ok:
        raise LawViolationError(str(report))
    return report


def check_manifold(
    manifold: Manifold,
    point: tuple[int, ...],
    *,
    laws: Iterable[Law | str] = LAWS,
    scenes: Iterable[Any] = SCENES,
    dtypes: Iterable[torch.dtype] = BOTH,
    seed: int = 0,
    examples: int = 0,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str = "raise",
) -> Report:
    """
    Verify a manifold.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Ours, geoopt's, or yours.
    point : tuple of int
        Shape of one point. Small is fine and fast.
    laws, scenes, dtypes, seed, examples, expected_failures, on_fail
        As in `check`.

    Returns
    -------
    Report

    Raises
    ------
    LawViolationError
        When a law fails, unless ``on_fail="report"``.
    ValueError
        As `check`.

    Examples
    --------
    >>> from repsim_geo import Flat
    >>> check_manifold(Flat(ndim=1), (3,)).ok
    True
    """
    return check(
        ManifoldCase(manifold, point),
        laws=laws,
        scenes=scenes,
        dtypes=dtypes,
        seed=seed,
        examples=examples,
        expected_failures=expected_failures,
        on_fail=on_fail,
    )


def check_metric(
    metric: Any,
    *,
    m: int = 12,
    d: int = 4,
    same_width: bool | None = None,
    laws: Iterable[Law | str] | None = None,
    scenes: Iterable[Any] | None = None,
    dtypes: Iterable[torch.dtype] = BOTH,
    seed: int = 0,
    examples: int | None = None,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str = "raise",
) -> Report:
    """
    Verify a metric: its distances of networks, its claims, its embedding, and the manifold of its points.

    Parameters
    ----------
    metric : RepresentationMetric or (nn.Module, geoopt.Manifold)
        Invariances that the card claims must hold, and those that it does not claim must fail.
    m, d : int
        Inputs and units of the networks.
    same_width : bool, optional
        Give all networks equally many units; found out if left out.
    laws, scenes, dtypes, seed, examples, expected_failures, on_fail
        As in `check`.

    Returns
    -------
    Report

    Raises
    ------
    LawViolationError
        When a law fails, unless ``on_fail="report"``.
    ValueError
        As `check`; or the metric does not embed networks of this size.

    Examples
    --------
    >>> from repsim_geo import AngularCKA
    >>> check_metric(AngularCKA(), m=6, d=3, examples=5).ok
    True
    """
    return check(
        MetricCase(metric, m, d, same_width),
        laws=laws,
        scenes=scenes,
        dtypes=dtypes,
        seed=seed,
        examples=examples,
        expected_failures=expected_failures,
        on_fail=on_fail,
    )


def check_distance(
    distance: Callable[[Any, Any], Any],
    *,
    m: int = 12,
    d: int = 4,
    invariances: Iterable[Invariance | str] | None = None,
    range: tuple[float, float] | None = None,
    backend: str | None = None,
    batched: bool = False,
    same_width: bool = False,
    laws: Iterable[Law | str] | None = None,
    scenes: Iterable[Any] | None = None,
    dtypes: Iterable[torch.dtype] = BOTH,
    seed: int = 0,
    examples: int | None = None,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str = "raise",
) -> Report:
    """
    Verify any function that compares two sets of activations.

    Parameters
    ----------
    distance : callable
        ``distance(x, y)`` of activations (m, d_x) and (m, d_y) of the same inputs, torch tensors or numpy
        arrays; returns one number, or raises ValueError for networks that it cannot compare.
    m, d : int
        Inputs and units of the networks.
    invariances : iterable of Invariance or str, optional
        What it claims not to notice, such as "rotation and reflection" or "isotropic scaling"; with these,
        all that follow. It must then notice the others. None for no claim either way.
    range : tuple of float, optional
        Smallest and largest value that it claims.
    backend : {"torch", "numpy"}, optional
        What it is called with. If left out: torch, if it then returns a tensor; otherwise numpy.
    batched : bool
        Whether it takes batches (n, m, d) of networks, and returns (n).
    same_width : bool
        Give both networks equally many units.
    laws, scenes, dtypes, seed, examples, expected_failures, on_fail
        As in `check`.

    Returns
    -------
    Report

    Raises
    ------
    LawViolationError
        When a law fails, unless ``on_fail="report"``.
    ValueError
        As `check`; an unknown invariance.

    Examples
    --------
    One minus a correlation is not a metric:

    >>> import numpy as np
    >>> def cosine(x, y):
    ...     return 1 - np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y)
    >>> report = check_distance(cosine, same_width=True, on_fail="report")
    >>> report.broken[:1]
    ['networks_keep_the_triangle_inequality']
    """
    case = DistanceCase(distance, m, d, invariances, range, backend, batched, same_width)
    return check(
        case,
        laws=laws,
        scenes=scenes,
        dtypes=dtypes,
        seed=seed,
        examples=examples,
        expected_failures=expected_failures,
        on_fail=on_fail,
    )


def check_isometry(
    f: Callable[[Tensor], Tensor],
    source: Manifold,
    target: Manifold,
    point: tuple[int, ...],
    *,
    laws: Iterable[Law | str] | None = None,
    scenes: Iterable[Any] | None = None,
    dtypes: Iterable[torch.dtype] = (torch.float64,),
    seed: int = 0,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str = "raise",
) -> Report:
    """
    Verify that two manifolds are descriptions of one space: a map carries all of the geometry over.

    No formula of one description is used by the other, so a mistake in either shows up, even one that keeps
    all laws of manifolds.

    Parameters
    ----------
    f : callable
        Points of `source` (*batch, *point) to points of `target`; differentiable in forward mode.
    source, target : geoopt.Manifold
    point : tuple of int
        Shape of a point of the source.
    laws, scenes, dtypes, seed, expected_failures, on_fail
        As in `check`.

    Returns
    -------
    Report

    Raises
    ------
    LawViolationError
        When a law fails, unless ``on_fail="report"``.
    ValueError
        As `check`.

    Examples
    --------
    Logarithms of positive numbers:

    >>> from repsim_geo import AffineInvariantSPD, Flat
    >>> check_isometry(torch.exp, Flat(2), AffineInvariantSPD(), (1, 1), scenes=["iid", "close"]).ok
    True
    """
    return check(
        IsometryCase(f, source, target, point),
        laws=laws,
        scenes=scenes,
        dtypes=dtypes,
        seed=seed,
        expected_failures=expected_failures,
        on_fail=on_fail,
    )


def _default_examples(case: Case) -> int:
    drawn = isinstance(case, DistanceCase | MetricCase) and find_spec("hypothesis") is not None
    return 20 if drawn else 0


def _by_name(laws: Iterable[Law | str]) -> tuple[Law, ...]:
    laws = [laws] if isinstance(laws, str | Law) else _listed(laws, "laws", "LAWS")
    return tuple(law if isinstance(law, Law) else law_of_name(law) for law in laws)


def _listed(values: Any, name: str, all_of_them: str) -> tuple[Any, ...]:
    if not isinstance(values, Iterable):
        raise TypeError(
            f"{name} must be a list of names, got {values!r}. Leave them out for all; they are in "
            f"repsim_geo.verify.{all_of_them}."
        )
    return tuple(values)


def _nothing(got: str) -> str:
    return (
        f"nothing to check: laws, scenes and dtypes must not be empty, got {got}. Leave them out to check "
        "everything."
    )


def _checked_dtypes(dtypes: Any) -> tuple[torch.dtype, ...]:
    several = tuple(dtypes) if isinstance(dtypes, Iterable) and not isinstance(dtypes, str) else (None,)
    if not all(dtype in BOTH for dtype in several):
        raise TypeError(
            f"dtypes must be a list of torch.float64 and torch.float32, got {dtypes!r}. Write "
            "[torch.float64] for one of them."
        )
    return several  # type: ignore[return-value]


def _check_numbers(seed: Any, examples: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not abs(seed) < 2**63:
        raise ValueError(f"seed must be a whole number, got {seed!r}. The same seed draws the same scenes.")
    whole = isinstance(examples, Integral) and not isinstance(examples, bool) and examples >= 0
    if not (examples is None or whole):
        raise ValueError(
            f"examples must be a whole number of scenes, zero or more, or None, got {examples!r}. Leave it "
            "out for the default."
        )


def _chosen_laws(part: Part, wanted: tuple[Law, ...] | None) -> tuple[Law, ...]:
    """Laws of a part that were asked for; a law of the user's own is asked of every part."""
    if wanted is None:
        return part.laws
    known = {law.name for law in (*LAWS, *METRIC_LAWS, *ISOMETRY_LAWS)}
    return tuple(law for law in wanted if law in part.laws or law.name not in known)


def _check_choice(
    parts: tuple[Part, ...],
    chosen: list[tuple[Law, ...]],
    expected: Mapping[str, str],
) -> None:
    if not any(chosen):
        raise ValueError(_nothing("no law that is asked of such a subject"))
    known = {law.name for part in parts for law in part.laws} | {law.name for some in chosen for law in some}
    unknown = set(expected) - known - {BUILDING}
    if unknown:
        raise ValueError(
            f"expected_failures names unknown laws: {sorted(map(str, unknown))}. See repsim_geo.verify.LAWS."
        )


def _check_scenes(parts: tuple[Part, ...], wanted: tuple[Any, ...] | None) -> None:
    known = dict.fromkeys(spec.name for part in parts for spec in part.scenes)
    strange = [w for w in wanted or () if not isinstance(w, str) and not hasattr(w, "build")]
    if strange:
        raise TypeError(
            f"scenes must be names, SceneSpec or NetworkSpec, got {strange[0]!r}. Known: {', '.join(known)}."
        )
    unknown = [w for w in wanted or () if isinstance(w, str) and w not in known]
    if unknown:
        raise ValueError(f"no scene called {unknown[0]!r}. Known: {', '.join(known)}.")


def _chosen_scenes(part: Part, wanted: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Scenes of a part that were asked for; of a metric, those of networks and those of points."""
    if wanted is None:
        return part.scenes
    known = {spec.name: spec for spec in part.scenes}
    specs = (known.get(w) if isinstance(w, str) else w for w in wanted)
    return tuple(spec for spec in specs if isinstance(spec, type(part.scenes[0])))


def _on_scene(
    part: Part, laws: tuple[Law, ...], spec: Any, dtype: torch.dtype, seed: int
) -> Iterator[Record]:
    scene = build(part, spec, dtype, seed)
    if isinstance(scene, Record):
        yield scene
        return
    for law in laws:
        if not asked(law, spec.name):
            reason = f"asked only on {', '.join(law.scenes or ())}"
        elif scene is None:
            reason = "the scene makes no sense here"
        else:
            yield judge(part, law, scene, dtype)
            continue
        yield record(law, spec.name, dtype, "skipped", note=reason)


def _with_counterexamples(
    part: Part, records: list[Record], specs: tuple[Any, ...], seed: int, expected: Mapping[str, str]
) -> list[Record]:
    """The same records; the worst of the first laws that fail carries the simplest scene that shows it."""
    if find_spec("hypothesis") is None:
        return records
    failed = [r for r in Report("", records).failures if r.law not in expected and r.law != BUILDING]
    by_name = {spec.name: spec for spec in specs}
    shown = {}
    for name in list(dict.fromkeys(r.law for r in failed))[:_SHOWN]:
        worst = next(r for r in failed if r.law == name)
        where = [
            by_name[r.scene]
            for r in failed
            if r.law == name and r.dtype == worst.dtype and r.scene in by_name
        ]
        law = next((law for law in part.laws if law.name == name), None)
        found = search.smallest(part, law, where, getattr(torch, worst.dtype), seed) if law else None
        if found is not None:
            shown[id(worst)] = found
    return [
        replace(r, counterexample=shown[id(r)].sentence, code=shown[id(r)].code) if id(r) in shown else r
        for r in records
    ]


def _with_expectations(records: list[Record], expected: Mapping[str, str]) -> Iterator[Record]:
    failed = {r.law for r in records if r.status == "failed"}
    seen = {r.law for r in records if r.status in ("passed", "failed")}
    for r in records:
        if r.law in expected and r.status == "failed":
            yield replace(r, status="xfailed", note=expected[r.law])
        else:
            yield r
    for law in sorted((set(expected) & seen) - failed):
        note = f"expected to fail ({expected[law]}) but holds everywhere: remove the expectation"
        yield Record(law, "all", "all", "xpassed", math.nan, math.nan, note=note)
