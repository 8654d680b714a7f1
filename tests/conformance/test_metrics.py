"""The laws of metrics, of distances of networks and of embeddings, for every metric of `cases.METRICS`."""

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


# Seconds a pair: fewer inputs, and the scenes that break most; the rest is left to the slow tests.
SLOW = next(case for case in METRICS if not case.batched)
TELLING = ("unrelated", "identical", "on_the_way", "one_unit")


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
        scenes=[s for s in NETWORK_SCENES if not ("fixed_ridge" in case.name and s.name in SIZED)],
        expected_failures=EXPECTED.get(case.name),
    )


@pytest.mark.parametrize("scene", TELLING)
def test_laws_hold_for_stochastic_shapes(scene, seed):
    check_metric(
        SLOW.make(), m=5, d=2, laws=METRIC_LAWS, seed=seed, examples=0, scenes=[scene], dtypes=[torch.float64]
    )


@pytest.mark.slow
def test_all_laws_hold_for_stochastic_shapes(seed):
    check_metric(SLOW.make(), m=5, d=2, laws=METRIC_LAWS, seed=seed, examples=2)
