"""Every law on every scene, for every manifold of `cases.MANIFOLDS`, in float64 and float32."""

import pytest
import torch
from cases import MANIFOLDS

from repsim_geo.verify import LAWS, SCENES, check_manifold

TELLING = ("iid", "coincident", "near_cut_locus")
DTYPES = (torch.float64, torch.float32)
# Asked by itself, below.
GAUSSIAN, VMAP = "gaussian_shapes", "vmap_agrees_with_the_batch"


def _takes_long(case, scene, dtype):
    return case.slow and (scene.name not in TELLING or (dtype == torch.float32 and scene.name != "iid"))


TRIPLES = [
    pytest.param(
        case,
        scene,
        dtype,
        id=f"{case}-{scene.name}-{str(dtype).removeprefix('torch.')}",
        marks=[pytest.mark.slow] if _takes_long(case, scene, dtype) else [],
    )
    for case in MANIFOLDS
    for scene in SCENES
    for dtype in DTYPES
]


@pytest.mark.parametrize(("case", "scene", "dtype"), TRIPLES)
def test_laws_hold(case, scene, dtype, seed):
    laws = [law for law in LAWS if (case.name, law.name) != (GAUSSIAN, VMAP)]
    report = check_manifold(
        case.make(), case.point, laws=laws, scenes=[scene], dtypes=[dtype], seed=seed, on_fail="report"
    )
    # A scene that makes no sense for the manifold leaves nothing to ask, which is no failure here.
    assert not report.failures, str(report)


@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["few", "all"])
def test_vmap_agrees_for_gaussian_shapes(few, seed, monkeypatch):
    # Under vmap no transport sees that it has arrived: it takes all steps that are allowed, half a minute.
    if few:
        monkeypatch.setattr("repsim_geo.manifolds.gaussian_shapes._MAX_STEPS", 2)
    case = next(case for case in MANIFOLDS if case.name == GAUSSIAN)
    assert check_manifold(case.make(), case.point, laws=[VMAP], scenes=["coincident"], seed=seed).ok


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_law_is_asked_of_some_manifold(law):
    for case in MANIFOLDS:
        report = check_manifold(
            case.make(), case.point, laws=[law], scenes=SCENES[:2], dtypes=[torch.float64]
        )
        if any(record["status"] == "passed" for record in report.records()):
            return
    pytest.fail(f"{law.name} was skipped for every manifold")
