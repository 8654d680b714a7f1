"""
Manifolds under ``torch.func`` and ``torch.compile``: what works, and what does not.

The tables are for one manifold of each family. Compiled functions are held against plain ones, with their
gradients; derivatives by transforms against those of ``torch.autograd.functional``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cases import MANIFOLDS
from charts import chart
from torch import Tensor
from torch.func import hessian, jacfwd, jacrev, vmap

from repsim_geo.verify import SCENES as BUILDERS
from repsim_geo.verify.scenes import Scene

OPERATIONS = ("dist", "dist2", "geodesic")

# Family -> its representative in `cases`, and what compiles to one graph without breaks when gradients are
# wanted. (Without gradients all do.) The others compile to several graphs, because torch.compile does not
# trace autograd functions that have a rule for forward mode.
COMPILED = {
    "flat": ("flat_weighted", OPERATIONS),
    "stress": ("stress", OPERATIONS),
    "sphere": ("sphere_of_vectors", OPERATIONS),
    "angular CKA": ("angular_cka", OPERATIONS),
    "shapes": ("size_and_shape", ()),
    "shapes of unit size": ("angular_shape", ()),
    "rotations only": ("kendall", ()),
    "permutations": ("permutation", ("geodesic",)),
    "affine-invariant": ("affine_invariant_spd", ()),
    "log-Euclidean": ("log_euclidean_spd", ()),
    "Bures-Wasserstein": ("bures_wasserstein_spd", ()),
    "subspaces": ("grassmannian", ()),
}
# Under torch.func, vmap, jacrev, jacfwd, hessian (forward over reverse) and jacrev of jacrev work for all.
# Twice forward mode works where no function has a rule of its own: with one, torch answers zero.
FORWARD_TWICE = {"flat", "stress", "sphere", "angular CKA", "log-Euclidean"}
ZERO = "pytorch issue 197867: nested jacfwd of an autograd.Function is silently zero; use hessian or jacrev"

# Compiling takes seconds. These differ from another row by data only, and distances from squares by a root.
MORE_OF_A_KIND = {"stress", "angular CKA", "rotations only"}
MORE = [
    (family, operation)
    for family, (_, whole) in COMPILED.items()
    for operation in OPERATIONS
    if family in MORE_OF_A_KIND or (operation == "dist" and operation not in whole)
]

each_family = pytest.mark.parametrize("family", COMPILED)
each_operation = pytest.mark.parametrize("operation", OPERATIONS)
each_scene = pytest.mark.parametrize("scene", ["iid", "coincident"])


def make(family: str, scene: str = "iid") -> tuple[Any, Scene]:
    case = next(case for case in MANIFOLDS if case.name == COMPILED[family][0])
    build = next(spec.build for spec in BUILDERS if spec.name == scene)
    manifold = case.make()
    made = build(manifold, case.point, torch.float64, torch.Generator().manual_seed(0))
    assert made is not None
    return manifold, made


def plain(manifold: Any, operation: str) -> Callable[..., Tensor]:
    if operation == "geodesic":
        return lambda x, y: manifold.geodesic(0.3, x, y)
    return lambda x, y: getattr(manifold, operation)(x, y)


def value_and_gradients(f: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    inputs = tuple(x.detach().clone().requires_grad_() for x in inputs)
    value = f(*inputs)
    weights = torch.randn(value.shape, dtype=value.dtype, generator=torch.Generator().manual_seed(1))
    return [value.detach(), *torch.autograd.grad((weights * value).sum(), inputs)]


def same(found: Tensor, expected: Tensor, rtol: float = 1e-13, least: float = 1e-14) -> None:
    """Equal to rounding of the largest entry, or of `least` where cancellation leaves only rounding."""
    size = float(expected.abs().max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * max(size, least))


def compiled(f: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    torch._dynamo.reset()
    return torch.compile(f, dynamic=False, **options)


# ---------------------------------------------------------------------------------------------------------
# torch.compile
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "operation"),
    [
        pytest.param(f, operation, marks=[pytest.mark.slow] if (f, operation) in MORE else [])
        for f in COMPILED
        for operation in OPERATIONS
    ],
)
def test_compiled_functions_are_the_plain_ones(family, operation):
    """Tracing and differentiation as by any backend, without its code generator."""
    manifold, made = make(family)
    f = plain(manifold, operation)
    results = (value_and_gradients(g, made.x, made.y) for g in (compiled(f, backend="aot_eager"), f))
    for found, expected in zip(*results, strict=True):
        same(found, expected)


@each_family
@pytest.mark.parametrize("operation", ["dist2", "geodesic"])
def test_what_is_one_graph(family, operation):
    manifold, made = make(family)
    plainly = plain(manifold, operation)
    f = compiled(plainly, backend="eager", fullgraph=True)
    same(f(made.x, made.y), plainly(made.x, made.y))
    x = made.x.clone().requires_grad_()
    if operation in COMPILED[family][1]:
        same(f(x, made.y).detach(), plainly(made.x, made.y))
    else:
        # When this does not raise any more, torch has learned it: move the family up in the table.
        with pytest.raises(torch._dynamo.exc.Unsupported, match="custom jvp"):
            f(x, made.y)


def test_transport_of_shapes_runs_as_it_is_inside_compiled_functions():
    """The number of its steps depends on the data."""
    manifold, made = make("shapes")
    f = compiled(lambda x, y, v: manifold.transp(x, y, v), backend="aot_eager")
    results = (value_and_gradients(g, made.x, made.y, made.v) for g in (f, manifold.transp))
    for found, expected in zip(*results, strict=True):
        same(found, expected)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@each_family
def test_inductor(family):
    """Generated code adds in another order, so the last digits may differ."""
    manifold, made = make(family)
    for operation in OPERATIONS:
        f = plain(manifold, operation)
        results = (value_and_gradients(g, made.x, made.y) for g in (compiled(f), f))
        for found, expected in zip(*results, strict=True):
            same(found, expected, rtol=1e-11)


def test_compiled_functions_of_coincident_points_have_finite_gradients():
    for family in ("sphere", "shapes", "subspaces"):
        manifold, made = make(family, "coincident")
        f = compiled(plain(manifold, "dist"), backend="aot_eager")
        for result in value_and_gradients(f, made.x, made.y):
            assert bool((result == 0).all())


# ---------------------------------------------------------------------------------------------------------
# torch.func
# ---------------------------------------------------------------------------------------------------------


@each_family
@each_operation
@each_scene
def test_vmap(family, operation, scene):
    manifold, made = make(family, scene)
    f = plain(manifold, operation)
    x, y = (w.reshape(2, 4, *w.shape[1:]) for w in (made.x, made.y))
    same(vmap(vmap(f))(x, y), f(x, y), rtol=1e-12)
    same(vmap(f, in_dims=(1, 1), out_dims=1)(x, y), f(x, y), rtol=1e-12)
    # One point against many.
    same(vmap(f, in_dims=(None, 0))(made.x[0], made.y), f(made.x[0], made.y), rtol=1e-12)


def squared_distance(manifold: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Of points made from free parameters: derivatives in directions that leave the manifold mean nothing."""
    x = chart(manifold)
    return lambda a, b: manifold.dist2(x(a), x(b))


def one_pair(family: str, scene: str) -> tuple[Callable[..., Tensor], Tensor, Tensor]:
    manifold, made = make(family, scene)
    return squared_distance(manifold), made.x[0], made.y[0]


@each_family
@each_scene
def test_first_derivatives(family, scene):
    f, x, y = one_pair(family, scene)
    for k, (found, forward) in enumerate(
        zip(jacrev(f, argnums=(0, 1))(x, y), jacfwd(f, argnums=(0, 1))(x, y), strict=True)
    ):
        expected = torch.autograd.functional.jacobian(f, (x, y))[k]
        # The gradient of a squared distance is a difference of points.
        same(found, expected, rtol=1e-12, least=float(x.norm()))
        same(forward, expected, rtol=1e-12, least=float(x.norm()))


@each_family
@each_scene
@pytest.mark.parametrize(
    "second", [hessian, lambda f: jacrev(jacrev(f))], ids=["forward_over_reverse", "reverse_over_reverse"]
)
def test_second_derivatives(family, scene, second):
    f, x, y = one_pair(family, scene)
    expected = torch.autograd.functional.hessian(lambda a: f(a, y), x)
    same(second(f)(x, y), expected, rtol=1e-11)
    size = x.numel()
    same(expected.reshape(size, size), expected.reshape(size, size).T, rtol=1e-11)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(
            family,
            marks=[] if family in FORWARD_TWICE else [pytest.mark.xfail(reason=ZERO, strict=True)],
        )
        for family in COMPILED
    ],
)
def test_second_derivatives_by_forward_over_forward(family):
    f, x, y = one_pair(family, "iid")
    expected = torch.autograd.functional.hessian(lambda a: f(a, y), x)
    same(jacfwd(jacfwd(f))(x, y), expected, rtol=1e-11)


@each_family
def test_many_hessians_at_once(family):
    manifold, made = make(family)
    f = squared_distance(manifold)
    together = vmap(hessian(f))(made.x[:2], made.y[:2])
    for k in range(2):
        same(together[k], hessian(f)(made.x[k], made.y[k]), rtol=1e-10)


@each_family
def test_off_the_diagonal_of_the_hessian(family):
    """Derivatives with respect to one point after the other do not depend on their order."""
    f, x, y = one_pair(family, "iid")
    mixed, other = jacrev(jacrev(f, 0), 1)(x, y), jacrev(jacrev(f, 1), 0)(x, y)
    size = x.numel()
    same(mixed.reshape(size, size), other.reshape(size, size).T, rtol=1e-10)
