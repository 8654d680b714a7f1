"""
Derivatives against finite differences: of all maps of all manifolds, and of all embeddings.

Finite differences must stay on the manifold, so points are made from free parameters: symmetric parts,
normalized tensors, orthonormalized frames; tangent vectors are projected. ``gradcheck`` runs in its fast
mode, which compares random combinations of all entries.

`SECOND_DERIVATIVES` is a promise; the documentation quotes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from cases import MANIFOLDS, METRICS
from charts import chart, symmetric
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

import repsim_geo as rg
from repsim_geo.embeddings.activations import ToWidth, Whiten
from repsim_geo.embeddings.frames import Frame
from repsim_geo.verify import SCENES as BUILDERS
from repsim_geo.verify.scenes import Scene

pytestmark = pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")

# Central differences with steps of 1e-6 are good to about nine digits of the largest entry.
first = partial(gradcheck, fast_mode=True, atol=1e-6, rtol=1e-4)
second = partial(gradgradcheck, fast_mode=True, atol=1e-6, rtol=1e-4)

# ---------------------------------------------------------------------------------------------------------
# What is promised
# ---------------------------------------------------------------------------------------------------------

OPERATIONS = ("dist2", "logmap", "expmap", "transp", "geodesic")
FAMILIES = (
    "flat", "sphere", "shapes", "shapes of unit size", "permutations", "affine-invariant", "log-Euclidean",
    "Bures-Wasserstein", "subspaces", "Gaussian shapes",
)  # fmt: skip

EXACT, RAISES = "exact", "raises"
# Derivatives of first order are exact for all operations, at equal eigenvalues and at coincident points too.
# Those of second order, by reverse over reverse or forward over reverse mode:
SECOND_DERIVATIVES: dict[str, dict[str, str]] = {
    family: dict.fromkeys(OPERATIONS, EXACT) for family in FAMILIES
}
# These maps contain the derivative of a matrix function, and third derivatives of those are not written.
SECOND_DERIVATIVES["log-Euclidean"] |= {"logmap": RAISES, "expmap": RAISES, "transp": RAISES}


def family(manifold: Any) -> str:
    if isinstance(manifold, rg.Quotient):
        if manifold.action.finite:
            return "permutations"
        return "shapes of unit size" if manifold.total.spherical else "shapes"
    for kind, name in (
        (rg.AffineInvariantSPD, "affine-invariant"),
        (rg.LogEuclideanSPD, "log-Euclidean"),
        (rg.BuresWassersteinSPD, "Bures-Wasserstein"),
        (rg.Grassmannian, "subspaces"),
        (rg.UnitSphere, "sphere"),
        (rg.Flat, "flat"),
    ):
        if isinstance(manifold, kind):
            return name
    return {"GaussianShapes": "Gaussian shapes", "StochasticShape": "Gaussian shapes"}[manifold.name]


# ---------------------------------------------------------------------------------------------------------
# Points from free parameters
# ---------------------------------------------------------------------------------------------------------


def operations(
    manifold: Any, at: Callable[[Tensor], Tensor] | None = None
) -> dict[str, Callable[..., Tensor]]:
    """Operations as functions of free parameters."""
    x = chart(manifold) if at is None else at

    def tangent(a: Tensor, w: Tensor) -> Tensor:
        return manifold.proju(x(a), w)

    return {
        "dist2": lambda a, b: manifold.dist2(x(a), x(b)),
        "logmap": lambda a, b: manifold.logmap(x(a), x(b)),
        "geodesic": lambda a, b: manifold.geodesic(0.3, x(a), x(b)),
        "expmap": lambda a, u: manifold.expmap(x(a), tangent(a, u)),
        "transp": lambda a, b, v: manifold.transp(x(a), x(b), tangent(a, v)),
    }


def arguments(operation: str, scene: Scene, k: int = 0) -> tuple[Tensor, ...]:
    names = {"expmap": "xu", "transp": "xyv"}.get(operation, "xy")
    return tuple(getattr(scene, name)[k].detach().clone().requires_grad_() for name in names)


@cache
def build(name: str, scene: str) -> Scene:
    """Scene of a manifold of `cases`."""
    case = next(case for case in MANIFOLDS if case.name == name)
    specs = {spec.name: spec.build for spec in BUILDERS}
    same = scene.startswith("coincident")
    spec = {"coincident": "iid", "coincident_equal_eigenvalues": "equal_eigenvalues"}.get(scene, scene)
    made = specs[spec](case.make(), case.point, torch.float64, torch.Generator().manual_seed(0))
    assert made is not None
    return replace(made, y=made.x) if same else made


SCENES = ("iid", "equal_eigenvalues", "coincident", "coincident_equal_eigenvalues")


def checked(order: int) -> list[Any]:
    """All manifolds, operations and scenes of one order, with what is known to be wrong."""
    params = []
    for case in MANIFOLDS:
        kind = family(case.make())
        for operation in OPERATIONS:
            promise = SECOND_DERIVATIVES[kind][operation] if order == 2 else EXACT
            for scene in SCENES:
                if promise == RAISES or (scene.endswith("equal_eigenvalues") and len(case.point) != 2):
                    continue
                marks = []
                # Series of sixty terms, differentiated twice, and searches over rotations.
                slow = kind == "Gaussian shapes" or operation == "transp" or kind == "subspaces"
                if (order == 2 and operation != "dist2" and slow) or (kind, operation) == (
                    "Gaussian shapes",
                    "transp",
                ):
                    marks.append(pytest.mark.slow)
                params.append(
                    pytest.param(case, operation, scene, marks=marks, id=f"{case}-{operation}-{scene}")
                )
    return params


@pytest.fixture(autouse=True)
def _random_combinations(seed):
    """The fast mode of gradcheck draws from the global source."""
    torch.manual_seed(seed)


@pytest.mark.parametrize(("case", "operation", "scene"), checked(1))
def test_first_derivatives(case, operation, scene):
    made = build(case.name, scene)
    assert first(operations(case.make())[operation], arguments(operation, made))


@pytest.mark.parametrize(("case", "operation", "scene"), checked(2))
def test_second_derivatives(case, operation, scene):
    made = build(case.name, scene)
    assert second(operations(case.make())[operation], arguments(operation, made))


@pytest.mark.parametrize("scene", ["iid", "coincident"])
@pytest.mark.parametrize(
    ("case", "operation"),
    [
        pytest.param(case, operation, id=f"{case}-{operation}")
        for case in MANIFOLDS
        for operation, promise in SECOND_DERIVATIVES[family(case.make())].items()
        if promise == RAISES
    ],
)
def test_second_derivatives_that_are_not_written_raise(case, operation, scene):
    inputs = arguments(operation, build(case.name, scene))
    assert_raises(operations(case.make())[operation], *inputs)


def assert_raises(f: Callable[..., Tensor], *inputs: Tensor) -> None:
    """A second derivative raises even where another term of the same loss has one, and zeros are allowed."""
    value = f(*inputs)
    weights = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    loss = (weights * value).sum() + sum(x.square().sum() for x in inputs)
    slopes = torch.autograd.grad(loss, inputs, create_graph=True)
    with pytest.raises((NotImplementedError, RuntimeError), match="not written|twice|derivative"):
        torch.autograd.grad(sum(g.square().sum() for g in slopes), inputs, allow_unused=True)


def test_every_manifold_has_a_promise():
    assert {family(case.make()) for case in MANIFOLDS} <= set(SECOND_DERIVATIVES)
    assert all(set(row) == set(OPERATIONS) for row in SECOND_DERIVATIVES.values())


# ---------------------------------------------------------------------------------------------------------
# Loss of rank
# ---------------------------------------------------------------------------------------------------------

# Spaces of which a matrix of low rank is a point like others.
REGULAR = ("flat", "sphere", "permutations")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "case",
    [c for c in MANIFOLDS if family(c.make()) in REGULAR and len(c.point) == 2 and min(c.point) > 1],
    ids=str,
)
def test_low_rank_is_nothing_special_without_rotations(case, operation):
    made = build(case.name, "low_rank")
    assert first(operations(case.make())[operation], arguments(operation, made))
    if operation == "dist2":
        assert second(operations(case.make())[operation], arguments(operation, made))


SHAPES = {
    "flat": rg.SizeAndShape(),
    "sphere": rg.AngularShape(),
    "rotations": rg.Quotient(rg.Flat(2), rg.SpecialOrthogonal()),
}


def parameters(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_low_rank_as_long_as_they_keep_it(name, operation):
    """Columns of zeros are harmless: derivatives are those of the shape without them."""
    manifold = SHAPES[name]

    def padded(a: Tensor) -> Tensor:
        return nn.functional.pad(manifold.projx(a), (0, 2))

    f = operations(manifold, padded)[operation]
    inputs = [parameters(7, 2, seed=k) for k in range(3 if operation == "transp" else 2)]
    if operation in ("expmap", "transp"):
        # A vector in the directions that are there.
        *points, v = inputs
        moved, inputs = f, [*points, v]
        f = lambda *args: moved(*args[:-1], nn.functional.pad(args[-1], (0, 2)))  # noqa: E731
    assert first(f, inputs)
    if operation == "dist2":
        assert second(f, inputs)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_low_rank_from_one_of_full_rank(name):
    manifold = SHAPES[name]

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return manifold.dist2(nn.functional.pad(manifold.projx(a), (0, 2)), manifold.projx(b))

    inputs = parameters(7, 2, seed=0), parameters(7, 4, seed=1)
    assert first(distance, inputs)
    assert second(distance, inputs)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_at_a_gain_of_rank_the_gradient_is_one_of_a_minimum_of_distances(name, seed):
    """
    There the squared distance has a kink: a least value over rotations that are equally good.

    Its slope in any direction is the least of their slopes, and at most that of the one whose gradient is
    returned.
    """
    manifold = SHAPES[name]
    x = nn.functional.pad(parameters(7, 2, seed=seed).detach(), (0, 2)).requires_grad_()
    y = manifold.projx(parameters(7, 4, seed=seed + 10).detach())

    def distance(a: Tensor) -> Tensor:
        return manifold.dist2(manifold.projx(a), y)

    (g,) = torch.autograd.grad(distance(x), x)
    assert bool(g.isfinite().all())
    step = 1e-6
    slack = 0.0
    for k in range(20):
        w = parameters(7, 4, seed=100 + k).detach()
        slope = float((distance(x.detach() + step * w) - distance(x.detach())) / step)
        promised = float((g * w).sum())
        assert slope <= promised + 1e-3
        slack = max(slack, promised - slope)
    assert slack > 1e-2  # a kink indeed


@pytest.mark.parametrize("length", [1e-10, 1e-14])
@pytest.mark.parametrize(
    "name",
    [
        "flat",
        "sphere",
        "rotations",
    ],
)
def test_transport_along_short_ways(name, length):
    """Its derivative with respect to the velocity is continuous at zero."""
    manifold = SHAPES[name]
    x, *vectors = (parameters(7, 3, seed=k).detach() for k in range(4))
    x = manifold.projx(x)
    u, v, w = (manifold.proju(x, a) for a in vectors)

    def slope(start: float) -> Tensor:
        zero = torch.zeros((), dtype=x.dtype)
        return torch.autograd.functional.jacobian(lambda t: manifold.carry(x, start * u + t * w, v), zero)

    assert float((slope(length) - slope(0.0)).norm() / slope(0.0).norm()) < 10 * length + 1e-12


def outer(a: Tensor) -> Tensor:
    return a @ a.mT


BURES = rg.BuresWassersteinSPD()


def singular(operation: str) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """Operations on singular matrices, as functions of factors (5, 2); tangents move these."""

    def velocity(a: Tensor, w: Tensor) -> Tensor:
        return a @ w.mT + w @ a.mT

    f = {
        "dist2": lambda a, b: BURES.dist2(outer(a), outer(b)),
        "logmap": lambda a, b: BURES.logmap(outer(a), outer(b)),
        "geodesic": lambda a, b: BURES.geodesic(0.3, outer(a), outer(b)),
        "expmap": lambda a, w: BURES.expmap(outer(a), velocity(a, w)),
        "transp": lambda a, b, w: BURES.transp(outer(a), outer(b), velocity(a, w)),
    }[operation]
    return f, [parameters(5, 2, seed=k) for k in range(3 if operation == "transp" else 2)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_singular_covariances_as_long_as_they_keep_their_rank(operation):
    f, inputs = singular(operation)
    assert first(f, inputs)
    if operation != "transp":
        assert second(f, inputs)


def test_distance_of_a_singular_covariance_from_a_regular_one():
    inputs = parameters(5, 2, seed=0), parameters(5, 5, seed=1)
    assert first(lambda a, b: BURES.dist2(outer(a), outer(b)), inputs)


@pytest.mark.xfail(
    strict=True,
    reason="the second derivative of the root of a singular matrix is infinite in directions without extent, "
    "and taken as zero; in motions that keep the rank the infinite parts would cancel, and leave something",
)
def test_second_derivative_of_the_distance_of_a_singular_covariance_from_a_regular_one():
    inputs = parameters(5, 2, seed=0), parameters(5, 5, seed=1)
    assert second(lambda a, b: BURES.dist2(outer(a), outer(b)), inputs)


@pytest.mark.xfail(
    strict=True,
    reason="proju takes the missing directions of x for constants: its derivative with respect to a singular "
    "x is zero",
)
def test_projection_of_vectors_at_a_singular_covariance():
    inputs = parameters(5, 2, seed=0), parameters(5, 5, seed=1)
    assert first(lambda a, w: BURES.proju(outer(a), symmetric(w)), inputs)


def test_projection_of_frames():
    x = torch.linalg.qr(parameters(7, 3, seed=0).detach())[0].requires_grad_()
    assert first(rg.Grassmannian().projx, (x,))


# ---------------------------------------------------------------------------------------------------------
# Embeddings
# ---------------------------------------------------------------------------------------------------------


def up_to_rotation(metric: Any) -> bool:
    """Whether a point is one of many that rotations of the columns take to each other."""
    action = getattr(metric, "action", None)
    return isinstance(metric, rg.Grassmannian) or isinstance(action, rg.Orthogonal)


def embedded(metric: Any, x: Tensor) -> Tensor:
    """Point, or what all its representatives share."""
    point = metric.embed(x)
    return point @ point.mT if up_to_rotation(metric) else point


def draw(case: Any, kind: str = "ordinary") -> Tensor:
    x = torch.randn(case.m, case.d, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    if kind == "duplicated_inputs":
        x = torch.cat([x[:3], x[:-3]])
    elif kind == "silent_unit":
        x = torch.cat([x[:, :-1], torch.zeros_like(x[:, :1])], -1)
    return x.requires_grad_()


def whitens(metric: Any) -> bool:
    return any(isinstance(step, Whiten) and step.whiten > 0 for step in metric.embedding.modules())


def differentiable_once(case: Any) -> bool:
    """Whether an embedding goes through functions of singular values that are differentiable once."""
    metric = case.make()
    widths = [
        min(case.d, case.m - 1) if step.p is None else step.p
        for step in metric.embedding.modules()
        if isinstance(step, ToWidth)
    ]
    truncated = isinstance(metric, rg.AffineInvariant) and metric.mode == "gram" and metric.p is not None
    frames = any(isinstance(step, Frame) for step in metric.embedding.modules())
    return truncated or frames or whitens(metric) or any(p < case.d for p in widths)


def not_differentiable(case: Any, kind: str) -> str | None:
    """Why an embedding has no derivative there, if so."""
    if kind == "silent_unit" and whitens(case.make()):
        return "a unit that begins to speak is stretched to the size of the others at once"
    if kind == "duplicated_inputs" and case.name == "affine_invariant_rbf":
        return (
            "two of five inputs are alike, so the two distances in the middle are equal: a kink of the median"
        )
    return None


KINDS = ("ordinary", "duplicated_inputs", "silent_unit")
each_metric = pytest.mark.parametrize("case", METRICS, ids=str)


@each_metric
@pytest.mark.parametrize("kind", KINDS)
def test_first_derivatives_of_embeddings(case, kind):
    metric, x = case.make(), draw(case, kind)
    if kind == "silent_unit" and case.full_rank:
        with pytest.raises(rg.DegenerateRepresentationError):
            metric.embed(x)
    elif not_differentiable(case, kind):
        with pytest.raises(RuntimeError, match="mismatch"):
            first(partial(embedded, metric), (x,))
        (g,) = torch.autograd.grad(embedded(metric, x).sum(), x)
        assert bool(g.isfinite().all())
    else:
        assert first(partial(embedded, metric), (x,))


@each_metric
def test_compare_is_differentiable_from_raw_activations(case):
    generator = torch.Generator().manual_seed(4)
    size = (2, case.m, case.d) if case.name == "stochastic_shape" else (case.m, case.d)
    x, y = (torch.randn(*size, dtype=torch.float64, generator=generator).requires_grad_() for _ in "xy")
    if case.name == "stochastic_shape":
        x, y = (w.detach().repeat(2, 1, 1).requires_grad_() for w in (x, y))
    metric = case.make()
    assert first(lambda a, b: rg.compare(a, b, metric), (x, y))


@each_metric
def test_gradients_of_compare_are_zero_and_finite_at_equal_activations(case):
    generator = torch.Generator().manual_seed(5)
    size = (4, case.m, case.d) if case.name == "stochastic_shape" else (case.m, case.d)
    x = torch.randn(*size, dtype=torch.float64, generator=generator)
    y = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(rg.compare(x, y, case.make()), y)
    assert bool((g == 0).all())


@pytest.mark.parametrize("case", [c for c in METRICS if whitens(c.make())], ids=str)
def test_first_derivatives_of_whitening_as_long_as_silent_units_stay_silent(case):
    metric, x = case.make(), draw(case)
    assert first(lambda a: embedded(metric, nn.functional.pad(a, (0, 1))), (x,))


# Where second derivatives of embeddings end: reasons by name of the case, for duplicated inputs.
KINKS_OF_DISTANCES = {
    "angular_cka_laplace", "stress", "stress_rescaled", "stress_rbf", "stress_laplace", "stress_arc_cosine",
    "angular_rdm_euclidean", "angular_rdm_rbf", "affine_invariant_rbf",
}  # fmt: skip
BROKEN_EMBEDDINGS = {
    (
        "angular_cka_arc_cosine",
        "duplicated_inputs",
    ): "the kernel has a second derivative at equal inputs (its "
    "square of the angle), but angles between rows have none there, and zero is returned",
    (
        "affine_invariant_spectrum",
        "silent_unit",
    ): "svdvals: nan where a singular value is zero, whether it is kept or not",
}


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param(
            case,
            kind,
            id=f"{case}-{kind}",
            marks=[pytest.mark.xfail(strict=True, reason=BROKEN_EMBEDDINGS[case.name, kind])]
            if (case.name, kind) in BROKEN_EMBEDDINGS
            else [],
        )
        for case in METRICS
        for kind in KINDS
        if not differentiable_once(case) and not (kind == "silent_unit" and case.full_rank)
    ],
)
def test_second_derivatives_of_embeddings(case, kind):
    metric, x = case.make(), draw(case, kind)
    f = partial(embedded, metric)
    if kind == "duplicated_inputs" and case.name in KINKS_OF_DISTANCES:
        # A distance that is zero has a kink. Its second derivatives count as zero, and are finite.
        loss = f(x).square().sum() + f(x).sum()
        (g,) = torch.autograd.grad(loss, x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x)
        assert bool(h.isfinite().all())
    else:
        assert second(f, (x,))


@pytest.mark.parametrize("case", [c for c in METRICS if differentiable_once(c)], ids=str)
def test_second_derivatives_of_embeddings_that_are_not_written_raise(case):
    metric = case.make()
    assert_raises(partial(embedded, metric), draw(case))


@pytest.mark.parametrize("case", MANIFOLDS, ids=str)
def test_steps_of_optimizers_begin_along_their_vector(case, seed):
    # A retraction ends in a projection, whose derivative at a point is where equal singular values show.
    manifold = case.make()
    for k in range(5):
        generator = torch.Generator().manual_seed(seed + k)
        x = manifold.random(*case.point, dtype=torch.float64, generator=generator).as_subclass(Tensor)
        v, w = (
            manifold.proju(x, torch.randn(x.shape, dtype=torch.float64, generator=generator)) for _ in "vw"
        )
        u = torch.zeros_like(x).requires_grad_()
        (g,) = torch.autograd.grad((manifold.retr(x, u) * w).sum(), u)
        assert float((g * v).sum()) == pytest.approx(
            float((w * v).sum()), abs=1e-9 * float(x.abs().max() + 1)
        )
