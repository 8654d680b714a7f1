"""One law on one scene."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch

from repsim_geo.errors import CutLocusWarning, DegenerateRepresentationWarning
from repsim_geo.verify.parts import Part
from repsim_geo.verify.report import REFUSED, Record
from repsim_geo.verify.statements import Law

# Scenes of points are placed by the manifold's own methods; where those raise, that is a finding of this
# name.
BUILDING = "scenes_can_be_built"


def build(part: Part, spec: Any, dtype: torch.dtype, seed: int, draws: int | None = None) -> Any:
    """
    Build a scene, or give the record of a failure to do so.

    Parameters
    ----------
    part : Part
    spec : SceneSpec or NetworkSpec
    dtype : torch.dtype
    seed : int
    draws : int, optional

    Returns
    -------
    Scene, NetworkScene, Record or None
    """
    try:
        with quiet():
            return part.build(spec, dtype, seed, draws)
    except Exception as error:
        note = f"projx, expmap, logmap and proju build every scene. Raised {type(error).__name__}: {error}"
        return Record(BUILDING, spec.name, _plain(dtype), "failed", math.nan, math.nan, note=note)


def judge(part: Part, law: Law, scene: Any, dtype: torch.dtype) -> Record:
    """
    One law on one scene.

    Parameters
    ----------
    part : Part
    law : Law
    scene : Scene or NetworkScene
    dtype : torch.dtype

    Returns
    -------
    Record
        "passed", "failed", or "skipped" with the reason; nan and exceptions are failures.
    """
    reason = part.why_not(law, scene)
    if reason is not None:
        return record(law, scene.name, dtype, "skipped", note=reason)
    try:
        with quiet():
            bounds = part.tolerance(law, scene, dtype).double()
            if bool(bounds.isinf().all()):
                other = "float64" if dtype == torch.float32 else "float32"
                return record(law, scene.name, dtype, "skipped", note=f"asked only in {other}")
            residual = part.residual(law, scene).double().flatten()
    except Exception as error:
        if part.refuses(law, error):
            return record(law, scene.name, dtype, "skipped", note=f"{REFUSED}{error}")
        note = f"{law.statement} Raised {type(error).__name__}: {error}"
        return record(law, scene.name, dtype, "failed", note=note)
    # A law that looks at some draws only has fewer residuals than the scene has tolerances.
    bounds = (bounds if bounds.numel() in (1, len(residual)) else bounds.amax()).expand_as(residual)
    excess = torch.where(residual.isnan(), math.inf, residual / bounds.clamp_min(1e-300))
    worst = int(excess.argmax())
    return record(
        law,
        scene.name,
        dtype,
        "passed" if bool((residual <= bounds).all()) else "failed",
        float(residual[worst]),
        float(bounds[worst]),
        worst,
        law.statement,
    )


def record(
    law: Law,
    scene: str,
    dtype: torch.dtype,
    status: str,
    residual: float = math.nan,
    bound: float = math.nan,
    draw: int | None = None,
    note: str = "",
) -> Record:
    """What is known of a law on a scene of this name."""
    return Record(law.name, scene, _plain(dtype), status, residual, bound, draw, note, law.source, law.order)


def asked(law: Law, scene_name: str) -> bool:
    """Whether a law is asked on scenes of a name."""
    return law.scenes is None or scene_name in law.scenes


class quiet(warnings.catch_warnings):  # noqa: N801 - a context manager, like the one it is
    """Without warnings of degenerate input: degenerate input is what scenes are for."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", CutLocusWarning)
        warnings.simplefilter("ignore", DegenerateRepresentationWarning)
        # numpy says with it that a function gave nan, which is a finding already.
        warnings.simplefilter("ignore", RuntimeWarning)


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
