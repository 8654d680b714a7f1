"""Run laws on scenes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping

import torch
from geoopt.manifolds.base import Manifold

from repsim_geo.errors import CutLocusWarning
from repsim_geo.verify.laws import LAWS, Law, provides
from repsim_geo.verify.report import LawViolationError, Record, Report
from repsim_geo.verify.scenes import SCENES, Scene, SceneSpec
from repsim_geo.verify.tolerance import tolerance

# Scenes are built with the manifold's own methods; where those raise, that is a finding of this name.
_BUILDING = "scenes_can_be_built"


def check_manifold(
    manifold: Manifold,
    point: tuple[int, ...],
    *,
    laws: Iterable[Law | str] = LAWS,
    scenes: Iterable[SceneSpec] = SCENES,
    dtypes: Iterable[torch.dtype] = (torch.float64, torch.float32),
    seed: int = 0,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str = "raise",
) -> Report:
    """
    Verify a manifold: every law on every scene in every dtype.

    Parameters
    ----------
    manifold : geoopt.Manifold
        Ours, geoopt's, or yours.
    point : tuple of int
        Shape of one point. Small is fine and fast.
    laws : iterable of Law or str
    scenes : iterable of SceneSpec
    dtypes : iterable of torch.dtype
    seed : int
        Every scene is a batch of draws from this seed.
    expected_failures : mapping from law to reason, optional
        Laws known to fail. They must fail somewhere: one that holds everywhere is reported.
    on_fail : "raise" or "report"

    Returns
    -------
    Report

    Raises
    ------
    LawViolationError
        When a law fails, unless ``on_fail="report"``.
    ValueError
        Unknown law in `expected_failures`, or another value of `on_fail`.

    Notes
    -----
    A law applies when the manifold provides the methods and facts that the law declares to need; what was
    skipped, and why, is in the report. An exception inside a law is a failure of that law.

    Examples
    --------
    >>> from repsim_geo import Flat
    >>> from repsim_geo.verify import check_manifold
    >>> check_manifold(Flat(ndim=1), (3,)).ok
    True
    """
    if isinstance(laws, str):
        laws = (laws,)
    laws, expected = tuple(_by_name(law) for law in laws), dict(expected_failures or {})
    scenes, dtypes = tuple(scenes), tuple(dtypes)
    if not (laws and scenes and dtypes):
        raise ValueError("nothing to check: laws, scenes and dtypes must not be empty.")
    if on_fail not in ("raise", "report"):
        raise ValueError(f"on_fail must be 'raise' or 'report', got {on_fail!r}.")
    unknown = set(expected) - {law.name for law in laws} - {_BUILDING}
    if unknown:
        raise ValueError(
            f"expected_failures names unknown laws: {sorted(unknown)}. See repsim_geo.verify.LAWS."
        )
    records = [
        record
        for dtype in dtypes
        for spec in scenes
        for record in _check_scene(manifold, tuple(point), laws, spec, dtype, seed)
    ]
    report = Report(repr(manifold), _with_expectations(records, expected))
    if on_fail == "raise" and not report.ok:
        raise LawViolationError(str(report))
    return report


def _by_name(law: Law | str) -> Law:
    if isinstance(law, Law):
        return law
    known = {known.name: known for known in LAWS}
    if law not in known:
        raise ValueError(f"no law called {law!r}. See repsim_geo.verify.LAWS for their names.")
    return known[law]


def _check_scene(
    manifold: Manifold,
    point: tuple[int, ...],
    laws: tuple[Law, ...],
    spec: SceneSpec,
    dtype: torch.dtype,
    seed: int,
) -> Iterator[Record]:
    kind = str(dtype).removeprefix("torch.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutLocusWarning)
        try:
            scene = spec.build(manifold, point, dtype, torch.Generator().manual_seed(seed))
        except Exception as error:
            note = (
                f"projx, expmap, logmap and proju build every scene. Raised {type(error).__name__}: {error}"
            )
            yield Record(_BUILDING, spec.name, kind, "failed", math.nan, math.nan, note=note)
            return
        for law in laws:
            reason = _why_not(law, manifold, scene, dtype)
            if reason is not None:
                yield Record(law.name, spec.name, kind, "skipped", math.nan, math.nan, note=reason)
            else:
                yield judge(law, manifold, scene, dtype)  # type: ignore[arg-type]


def _why_not(law: Law, manifold: Manifold, scene: Scene | None, dtype: torch.dtype) -> str | None:
    """Reason why a law does not apply, or None."""
    missing = [name for name in law.needs if not provides(manifold, name)]
    if missing:
        return f"needs {', '.join(missing)}"
    if scene is None:
        return "the scene makes no sense for this manifold"
    if law.regular and not scene.regular:
        return "a point is singular: no tangent space of full dimension"
    if law.scenes is not None and scene.name not in law.scenes:
        return f"asked only on {', '.join(law.scenes)}"
    if math.isinf(tolerance(law.kind, dtype)):
        return "asked only in float64"
    return None


def judge(law: Law, manifold: Manifold, scene: Scene, dtype: torch.dtype) -> Record:
    """
    One law on one scene.

    Parameters
    ----------
    law : Law
    manifold : geoopt.Manifold
    scene : Scene
    dtype : torch.dtype

    Returns
    -------
    Record
        "passed" or "failed"; nan and exceptions are failures.
    """
    sensitive = getattr(manifold, "sensitive", False)
    bound = tolerance(law.kind, dtype, scene.amplification, sensitive=sensitive)
    kind = str(dtype).removeprefix("torch.")
    try:
        residual = law.residual(manifold, scene).double().flatten()
    except Exception as error:
        note = f"{law.statement} Raised {type(error).__name__}: {error}"
        return Record(law.name, scene.name, kind, "failed", math.nan, bound, note=note)
    held = bool((residual <= bound).all())
    worst = int(torch.where(residual.isnan(), math.inf, residual).argmax())
    status = "passed" if held else "failed"
    return Record(law.name, scene.name, kind, status, float(residual[worst]), bound, worst, law.statement)


def _with_expectations(records: list[Record], expected: Mapping[str, str]) -> Iterator[Record]:
    failed = {r.law for r in records if r.status == "failed"}
    seen = {r.law for r in records if r.status in ("passed", "failed")}
    for r in records:
        if r.law in expected and r.status == "failed":
            yield Record(r.law, r.scene, r.dtype, "xfailed", r.residual, r.tolerance, r.draw, expected[r.law])
        else:
            yield r
    for law in sorted((set(expected) & seen) - failed):
        note = f"expected to fail ({expected[law]}) but holds everywhere: remove the expectation"
        yield Record(law, "all", "all", "xpassed", math.nan, math.nan, note=note)
