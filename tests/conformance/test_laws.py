"""Every law on every scene, for every manifold of `cases.MANIFOLDS`, in float64 and float32."""

import pytest
import torch
from cases import MANIFOLDS

from repsim_geo.verify import LAWS, SCENES, check_manifold

TELLING = ("iid", "coincident", "near_cut_locus")
PAIRS = [
    pytest.param(
        case,
        scene,
        id=f"{case}-{scene.name}",
        marks=[pytest.mark.slow] if case.slow and scene.name not in TELLING else [],
    )
    for case in MANIFOLDS
    for scene in SCENES
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("case", "scene"), PAIRS)
def test_laws_hold(case, scene, dtype, seed):
    report = check_manifold(
        case.make(), case.point, scenes=[scene], dtypes=[dtype], seed=seed, on_fail="report"
    )
    # A scene that makes no sense for the manifold leaves nothing to ask, which is no failure here.
    assert not report.failures, str(report)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_law_is_asked_of_some_manifold(law):
    for case in MANIFOLDS:
        report = check_manifold(
            case.make(), case.point, laws=[law], scenes=SCENES[:2], dtypes=[torch.float64]
        )
        if any(record["status"] == "passed" for record in report.records()):
            return
    pytest.fail(f"{law.name} was skipped for every manifold")
