"""
The laws of distances between networks: what anything that compares activations must keep to be a metric.

Residuals are relative to a large distance, so they have no unit. The axioms are judged by their mathematics,
to half of the digits: a root of a difference is a metric, though rounding leaves it at 1e-8 for equal
networks. Whether digits are lost has laws of its own, of a higher order.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repsim_geo.invariances import ALL, Invariance
from repsim_geo.verify.laws.residuals import gradients, no
from repsim_geo.verify.measures import Measure
from repsim_geo.verify.networks import NetworkScene
from repsim_geo.verify.statements import Law, Residual, chapter

_AXIOMS, axiom = chapter(order=0)
_CLAIMS, _ = chapter(order=1)
_SMOOTHNESS, smooth = chapter(order=2)
_CONVENTIONS, convention = chapter(order=4)

# Where a metric may notice that nothing is the same.
_ORDINARY = ("unrelated",)
# Where claims are put to the test: neither so near nor so far apart in size that rounding decides.
_CLAIMED = (
    "unrelated",
    "on_the_way",
    "one_dimension",
    "wide",
    "three_inputs",
    "equal_spectrum",
    "duplicated_inputs",
    "silent_unit",
    "large_means",
)


# ---------------------------------------------------------------------- axioms


@axiom("Ordinary networks have a distance: it is one finite number.", "", "yes or no", scenes=_ORDINARY)
def ordinary_networks_have_a_distance(measure: Measure, scene: NetworkScene) -> Tensor:
    return no(measure(scene.x, scene.y).isfinite())


@axiom("d(x, y) >= 0.", "", "axiom", source="metric axiom")
def distances_of_networks_are_not_negative(measure: Measure, scene: NetworkScene) -> Tensor:
    lowest = torch.stack([measure.between(scene, pair) for pair in ("x x", "x y", "y z", "x z")]).amin(0)
    return (-lowest).clamp_min(0) / measure.unit(scene)


@axiom("d(x, x) = 0.", "", "axiom", source="metric axiom")
def networks_are_at_distance_zero_from_themselves(measure: Measure, scene: NetworkScene) -> Tensor:
    return measure.between(scene, "x x").abs() / measure.unit(scene)


@axiom(
    "Unrelated networks are at a positive distance.",
    "",
    "axiom",
    source="identity of indiscernibles",
    scenes=("unrelated", "wide", "union", "large_means", "duplicated_inputs"),
)
def unrelated_networks_are_apart(measure: Measure, scene: NetworkScene) -> Tensor:
    # A tenth of the smallest change that counts as noticed; rounding is far below.
    return no(measure.between(scene, "x y") > 1e-5 * measure.unit(scene))


@axiom("d(x, y) = d(y, x).", "", "axiom", source="metric axiom")
def distances_of_networks_are_symmetric(measure: Measure, scene: NetworkScene) -> Tensor:
    difference = measure.between(scene, "x y") - measure.between(scene, "y x")
    return difference.abs() / measure.unit(scene)


@axiom("d(x, z) <= d(x, y) + d(y, z).", "", "axiom", source="metric axiom")
def networks_keep_the_triangle_inequality(measure: Measure, scene: NetworkScene) -> Tensor:
    detours = (("x z", "x y", "y z"), ("x y", "x z", "z y"), ("y z", "y x", "x z"))
    excess = [
        measure.between(scene, a) - measure.between(scene, b) - measure.between(scene, c)
        for a, b, c in detours
    ]
    return torch.stack(excess).amax(0).clamp_min(0) / measure.unit(scene)


@axiom("No distance is outside the range that is claimed.", "range", "axiom", source="card")
def distances_of_networks_are_within_the_range(measure: Measure, scene: NetworkScene) -> Tensor:
    low, high = measure.range or (0.0, torch.inf)
    d = torch.stack([measure.between(scene, pair) for pair in ("x y", "y z", "x z")])
    outside = torch.maximum(low - d, d - high).amax(0).clamp_min(0)
    return outside / measure.unit(scene)


# ---------------------------------------------------------------------- invariances


# Transformations that are tried before a metric is said not to notice one: half of all permutations are even.
_TRIES = 6


def _moved(
    measure: Measure, scene: NetworkScene, invariance: Invariance, generator: torch.Generator
) -> Tensor:
    """How far the distance moves when either network is transformed; shape (draws)."""
    before = measure.between(scene, "x y")
    first = measure(invariance.sample(scene.x, generator), scene.y) - before
    second = measure(scene.x, invariance.sample(scene.y, generator)) - before
    return torch.maximum(first.abs(), second.abs()) / measure.unit(scene)


def _changes_nothing(invariance: Invariance) -> Residual:
    def residual(measure: Measure, scene: NetworkScene) -> Tensor:
        generator = scene.generator()
        copies = measure(scene.x, invariance.sample(scene.x, generator)).abs() / measure.unit(scene)
        return torch.maximum(copies, _moved(measure, scene, invariance, generator))

    return residual


def _is_noticed(invariance: Invariance) -> Residual:
    def residual(measure: Measure, scene: NetworkScene) -> Tensor:
        generator = scene.generator()
        # It is enough that one draw notices one of them; one unit cannot be permuted or turned.
        noticed = any(
            float(_moved(measure, scene, invariance, generator).amax()) > 1e-4 for _ in range(_TRIES)
        )
        return no(torch.tensor([noticed or scene.x.shape[-1] < 2]))

    return residual


def _claims(invariance: Invariance) -> tuple[Law, Law]:
    name = str(invariance).replace(" ", "_")
    plain = str(invariance)
    return (
        Law(
            f"{name}_changes_nothing",
            f"Claimed invariance, {plain}: no distance changes, and d(x, T(x)) = 0.",
            (f"claims:{name}",),
            "claim",
            _changes_nothing(invariance),
            "claim",
            1,
            scenes=_CLAIMED,
        ),
        Law(
            f"{name}_is_noticed",
            f"Not a claimed invariance, {plain}: some distance changes.",
            (f"disclaims:{name}",),
            "claim",
            _is_noticed(invariance),
            "claim",
            1,
            scenes=_ORDINARY,
        ),
    )


_CLAIMS += [law for invariance in ALL for law in _claims(invariance)]


# ---------------------------------------------------------------------- digits and derivatives


@smooth(
    "Every distance is finite, or the networks are refused with a ValueError that says why.", "", "yes or no"
)
def distances_of_networks_are_finite(measure: Measure, scene: NetworkScene) -> Tensor:
    pairs = ("x x", "x y", "y x", "y z", "x z")
    return no(torch.stack([measure.between(scene, pair).isfinite() for pair in pairs]).all(0))


@smooth("d(x, x) = 0 to the rounding of the activations.", "", "self", source="accuracy")
def no_digits_are_lost_at_distance_zero(measure: Measure, scene: NetworkScene) -> Tensor:
    return measure.between(scene, "x x").abs() / measure.unit(scene)


@smooth(
    "Near networks are resolved: distances at 1, 3 and 9 times a small angle are in proportion, and those of "
    "single precision those of double precision.",
    "",
    "one percent",
    source="accuracy",
    scenes=("near",),
)
def near_networks_are_resolved(measure: Measure, scene: NetworkScene) -> Tensor:
    x, step = scene.x, scene.z - scene.x
    if x.dtype == torch.float32:
        exact = measure(x.double(), (x + step).double())
        return (measure(x, x + step) / exact - 1).abs().nan_to_num(torch.inf, torch.inf)
    # Any power of the separation is in proportion: this asks for digits, not for a length.
    d = [measure(x, x + factor * step).clamp_min(0) for factor in (1.0, 3.0, 9.0)]
    # Distances of zero are resolved by no means.
    return ((d[1] / d[0]) / (d[2] / d[1]) - 1).abs().nan_to_num(torch.inf, torch.inf)


@smooth(
    "Single precision gives what double precision gives.",
    "",
    "single precision",
    source="accuracy",
    # Not where rounding decides what the rank is, or which directions are the strongest.
    scenes=(
        "unrelated",
        "on_the_way",
        "one_unit",
        "wide",
        "duplicated_inputs",
        "silent_unit",
        "large_means",
        "tiny",
        "huge",
        "different_sizes",
    ),
)
def single_precision_agrees_with_double(measure: Measure, scene: NetworkScene) -> Tensor:
    exact = measure(scene.x.double(), scene.y.double())
    return (measure.between(scene, "x y") - exact).abs() / measure.unit(scene) / scene.amplification


@smooth(
    "Gradients of the distance and of its square are finite, at equal networks too.", "gradients", "yes or no"
)
def gradients_of_networks_are_finite(measure: Measure, scene: NetworkScene) -> Tensor:
    functions: tuple[Callable[..., Tensor], ...] = (measure, lambda x, y: measure(x, y).square())
    found = [g for f in functions for y in (scene.y, scene.x.clone()) for g in gradients(f, scene.x, y)]
    return no(torch.stack([g.isfinite().flatten(1).all(-1) for g in found]).all(0))


@smooth(
    "The gradient of the squared distance is its derivative, by differences.",
    "gradients",
    "finite difference",
    source="calculus",
    scenes=("unrelated", "on_the_way"),
)
def gradients_of_networks_agree_with_differences(measure: Measure, scene: NetworkScene) -> Tensor:
    def square(x: Tensor) -> Tensor:
        return measure(x, scene.y).square()

    h = 1e-5
    (g,) = gradients(square, scene.x)
    slope = (g * scene.direction).sum((-2, -1))
    with torch.no_grad():
        ahead, behind = square(scene.x + h * scene.direction), square(scene.x - h * scene.direction)
    # The distance may have kinks: what counts is that most draws agree.
    apart = ((ahead - behind) / (2 * h) - slope).abs() / measure.unit(scene).square()
    return apart.nan_to_num(torch.inf).median()[None]


# ---------------------------------------------------------------------- conventions


@convention("The same networks have the same distance every time.", "", "yes or no")
def distances_of_networks_are_reproducible(measure: Measure, scene: NetworkScene) -> Tensor:
    again, before = measure(scene.x, scene.y), measure.between(scene, "x y")
    return no((again == before) | (again.isnan() & before.isnan()))


@convention("Activations are never modified.", "", "yes or no")
def networks_are_not_modified(measure: Measure, scene: NetworkScene) -> Tensor:
    x, y = scene.x.clone(), scene.y.clone()
    # Past the measure, which hands out copies.
    if measure.batched:
        measure.function(x, y)
    elif measure.backend == "numpy":
        measure.function(x[0].numpy(), y[0].numpy())
    else:
        measure.function(x[0], y[0])
    return no(torch.stack([(x == scene.x).all(), (y == scene.y).all()]))


@convention("The order of the inputs does not matter.", "exchangeable", "claim", scenes=_CLAIMED)
def order_of_inputs_changes_nothing(measure: Measure, scene: NetworkScene) -> Tensor:
    order = torch.randperm(scene.x.shape[-2], generator=scene.generator())
    moved = measure(scene.x[:, order], scene.y[:, order]) - measure.between(scene, "x y")
    return moved.abs() / measure.unit(scene)


@convention("A batch of networks gives what they give alone.", "batched", "axiom")
def networks_of_a_batch_do_not_mix(measure: Measure, scene: NetworkScene) -> Tensor:
    alone = measure.one(scene.x[0], scene.y[0])
    return (measure.between(scene, "x y")[:1] - alone).abs() / measure.unit(scene)[:1]


NETWORK_LAWS: tuple[Law, ...] = (*_AXIOMS, *_CLAIMS, *_SMOOTHNESS, *_CONVENTIONS)
