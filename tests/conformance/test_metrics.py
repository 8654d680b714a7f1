"""The laws of metrics, of distances of networks and of embeddings, for every metric of `cases.METRICS`."""

from dataclasses import replace

import pytest
import torch
from cases import METRICS

from repsim_geo.verify import METRIC_LAWS, NETWORK_SCENES, check_metric

# Where principal components are equally strong, those that are kept are a choice, and the distance jumps.
# A fixed ridge swamps activations of 1e-8, and is swamped by those of 1e8.
SIZED = ("tiny", "huge", "different_sizes")
TIE = "the last principal component that is kept is as strong as the first that is not"
TIED = {
    "affine_invariant_truncated": (
        "translation",
        "permutation_of_units",
        "rotation_and_reflection",
    ),
    "linear_subspace_principal": (
        "translation",
        "isotropic_scaling",
        "permutation_of_units",
        "rotation_and_reflection",
    ),
    "size_and_shape_truncated": ("translation", "permutation_of_units", "rotation_and_reflection"),
}
EXPECTED = {
    name: {**{f"{claim}_changes_nothing": TIE for claim in claims}, "order_of_inputs_changes_nothing": TIE}
    for name, claims in TIED.items()
}


# Points of soft matching have as many columns as the least common multiple of the widths: 1680 for 14, 15 and
# 16 units, half a minute of assignments. Four, five and six units are more than three inputs, too.
MANY_COLUMNS = "soft_matching"
NARROW = {"wide": {"m": 3, "d": 5}}
# Seconds a pair: fewer inputs, and the scenes that break most; the rest is left to the slow tests.
SLOW = next(case for case in METRICS if not case.batched)
TELLING = ("unrelated", "identical", "on_the_way", "one_unit")


def scenes_of(case):
    for scene in NETWORK_SCENES:
        if case.name == MANY_COLUMNS and scene.name in NARROW:
            yield replace(scene, **NARROW[scene.name])
        elif not ("fixed_ridge" in case.name and scene.name in SIZED):
            yield scene


@pytest.mark.parametrize("case", [case for case in METRICS if case is not SLOW], ids=str)
def test_laws_of_metrics_hold(case, seed):
    # The laws of manifolds are asked in test_laws.
    check_metric(
        case.make(),
        m=case.m,
        d=case.d,
        same_width=True if case.matched else None,
        laws=METRIC_LAWS,
        seed=seed,
        examples=10,
        scenes=scenes_of(case),
        expected_failures=EXPECTED.get(case.name),
    )


@pytest.mark.slow
@pytest.mark.parametrize("scene", NARROW)
def test_laws_hold_for_soft_matching_of_many_units(scene, seed):
    case = next(case for case in METRICS if case.name == MANY_COLUMNS)
    check_metric(case.make(), m=case.m, d=case.d, laws=METRIC_LAWS, seed=seed, examples=0, scenes=[scene])


@pytest.mark.parametrize("scene", TELLING)
def test_laws_hold_for_stochastic_shapes(scene, seed):
    check_metric(
        SLOW.make(), m=5, d=2, laws=METRIC_LAWS, seed=seed, examples=0, scenes=[scene], dtypes=[torch.float64]
    )


@pytest.mark.slow
def test_all_laws_hold_for_stochastic_shapes(seed):
    check_metric(SLOW.make(), m=5, d=2, laws=METRIC_LAWS, seed=seed, examples=2)
