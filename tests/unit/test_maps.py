"""Maps between the inputs of one representation."""

import math

import numpy as np
import oracles
import pytest
import torch

from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.kernels.arc_cosine import ArcCosine
from repsim_geo.kernels.base import Weighted
from repsim_geo.kernels.laplace import Laplace
from repsim_geo.kernels.linear import Linear
from repsim_geo.kernels.maps import (
    angle_matrix,
    cosine_matrix,
    distance_matrix,
    inner_product_matrix,
    squared_distance_matrix,
)
from repsim_geo.kernels.polynomial import Polynomial
from repsim_geo.kernels.rbf import RBF
from repsim_geo.numerics import dissimilarities as rows

MAPS = (inner_product_matrix, cosine_matrix, angle_matrix, squared_distance_matrix, distance_matrix)
KERNELS = [None, Weighted(Linear(), 2.0), RBF(), Laplace(2.0), ArcCosine(1), Polynomial(3) + Linear()]
every_map = pytest.mark.parametrize("function", MAPS, ids=lambda f: f.__name__)
every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=repr)


def draw(*shape, generator):
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@every_kernel
def test_maps_are_those_of_the_gram_matrix(kernel, generator):
    x = draw(6, 3, generator=generator)
    k = inner_product_matrix(x, kernel).numpy()
    lengths = np.sqrt(np.diag(k))
    cosine = k / np.outer(lengths, lengths)
    d2 = np.diag(k)[:, None] + np.diag(k)[None] - 2 * k
    np.testing.assert_allclose(cosine_matrix(x, kernel), cosine, atol=1e-14)
    np.testing.assert_allclose(angle_matrix(x, kernel), np.arccos(np.clip(cosine, -1, 1)), atol=1e-7)
    np.testing.assert_allclose(squared_distance_matrix(x, kernel), d2, atol=1e-12 * k.max())
    np.testing.assert_allclose(distance_matrix(x, kernel) ** 2, d2, atol=1e-12 * k.max())


@every_map
@every_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_diagonals_are_exact_and_batches_separate(function, kernel, dtype, generator):
    x = draw(3, 5, 4, generator=generator).to(dtype)
    a = function(x, kernel)
    assert a.shape == (3, 5, 5)
    assert a.dtype == dtype
    np.testing.assert_allclose(a[1], function(x[1], kernel), rtol=1e-5, atol=1e-6)
    diagonal = a.diagonal(dim1=-2, dim2=-1)
    if function is cosine_matrix:
        assert bool((diagonal == 1).all())
    elif function is not inner_product_matrix:
        assert not diagonal.any()
    assert torch.equal(a, a.mT)


@pytest.mark.parametrize("theta", [1e-12, 1e-7, 1e-3, 1.0, 2.0, math.pi - 1e-3, math.pi - 1e-7])
@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 0.0), (torch.float32, 1.5e-7)])
def test_angles_match_sixty_digits(theta, dtype, relative, generator):
    x = torch.nn.functional.normalize(draw(20, generator=generator), dim=0)
    u = draw(20, generator=generator)
    u = torch.nn.functional.normalize(u - (u @ x) * x, dim=0)
    pair = torch.stack([7 * x, 0.3 * (math.cos(theta) * x + math.sin(theta) * u)]).to(dtype)
    exact = oracles.angle_mpmath(*pair.double().numpy())
    # Directions are rounded to float64; a float32 angle keeps all digits it has.
    assert float(angle_matrix(pair)[0, 1]) == pytest.approx(exact, rel=relative, abs=1e-15)


def test_angles_of_other_kernels_are_accurate_near_zero(generator):
    x = draw(1, 5, generator=generator)
    pair = torch.cat([x, x + 1e-7 * draw(1, 5, generator=generator)])
    exact = oracles.angle_mpmath(*pair.numpy())
    assert float(angle_matrix(pair, 2 * Linear())[0, 1]) == pytest.approx(exact, rel=1e-7)
    assert float(angle_matrix(pair, RBF(1.0))[0, 1]) == pytest.approx(
        float(torch.dist(pair[0], pair[1])), rel=1e-7
    )


@every_map
@every_kernel
def test_derivatives(function, kernel, generator):
    x = draw(4, 3, generator=generator).requires_grad_()
    off = ~torch.eye(4, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda a: function(a, kernel)[off], x)


@every_map
@every_kernel
def test_gradients_at_duplicated_parallel_and_opposite_rows_are_finite(function, kernel):
    x = torch.tensor(
        [[1.0, 2.0], [1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [-3.0, -6.0], [0.3, 0.1], [5.0, 0.0]],
        dtype=torch.float64,
        requires_grad=True,
    )
    function(x, kernel).sum().backward()
    assert bool(x.grad.isfinite().all())


def test_parallel_and_opposite_rows():
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]])
    np.testing.assert_array_equal(angle_matrix(x)[0, :2], [0, 0])
    assert float(angle_matrix(x)[0, 2]) == pytest.approx(math.pi, rel=1e-7)


@pytest.mark.parametrize("function", [cosine_matrix, angle_matrix])
@pytest.mark.parametrize("kernel", [None, Polynomial()], ids=repr)
def test_zero_rows_have_no_direction(function, kernel):
    x = torch.tensor([[1.0, 2.0], [0.0, 0.0], [2.0, 1.0]])
    with pytest.raises(DegenerateRepresentationError, match="row 1 is zero in the feature space"):
        function(x, kernel)
    function(x, RBF(1.0))  # has no origin
    marked = torch.func.vmap(lambda a: function(a, kernel))(x[None])[0]
    assert bool(marked[1].isnan().all())
    assert bool(marked[0, [0, 2]].isfinite().all())


@every_map
def test_doors(function):
    with pytest.raises(TypeError, match="kernel must be a kernel"):
        function(torch.ones(3, 2), "rbf")
    with pytest.raises(TypeError, match="float32 or float64"):
        function(torch.ones(3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="must be finite"):
        function(torch.full((3, 2), torch.inf))
    assert isinstance(function(np.eye(3)), torch.Tensor)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scales(scale, dtype, generator):
    x = draw(5, 3, generator=generator).to(dtype)
    eps = 30 * torch.finfo(dtype).eps
    np.testing.assert_allclose(angle_matrix(scale * x), angle_matrix(x), rtol=eps)
    np.testing.assert_allclose(distance_matrix(scale * x), scale * distance_matrix(x), rtol=eps)


# --- what they are made of ---------------------------------------------------------------------------------


def test_derivatives_of_first_and_second_order_in_both_modes(generator):
    x, y = (draw(2, n, 3, generator=generator).requires_grad_() for n in (4, 5))
    for function, arguments in (
        (rows.squared_euclidean_distances, (x,)),
        (rows.euclidean_cross_distances, (x, y)),
        (lambda a: rows.euclidean_cross_distances(a, -a), (x,)),
    ):
        assert torch.autograd.gradcheck(function, arguments, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, arguments)


def test_second_derivatives_of_squares_at_duplicated_rows_are_exact():
    x = torch.zeros(2, 1, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda a: rows.squared_euclidean_distances(a)[0, 1], x)
    np.testing.assert_array_equal(hessian.reshape(2, 2), [[2, -2], [-2, 2]])


@pytest.mark.parametrize("kernel", KERNELS[2:], ids=repr)
def test_kernels_map_over_batches_and_jacobians_by_function_transforms(kernel, generator):
    x = draw(3, 4, 2, generator=generator)
    np.testing.assert_allclose(torch.func.vmap(kernel)(x), kernel(x), rtol=1e-13)
    jacobian = torch.func.jacrev(kernel)(x[0])
    assert torch.allclose(jacobian, torch.autograd.functional.jacobian(kernel, x[0]))


@pytest.mark.parametrize("k", [1, 2, 5, 6])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.77, 1.0])
def test_quantile_is_that_of_numpy(k, q, generator):
    values = draw(3, k, generator=generator)
    np.testing.assert_allclose(rows.quantile(values, q), np.quantile(values.numpy(), q, axis=-1), rtol=1e-14)


def test_unit_rows_keep_range_and_digits(generator):
    x = draw(5, 3, generator=generator)
    for scale in (1e-300, 1e300):
        directions, lengths = rows.unit_rows(scale * x)
        np.testing.assert_allclose(directions, rows.unit_rows(x)[0], rtol=1e-14)
        np.testing.assert_allclose(lengths / scale, rows.unit_rows(x)[1], rtol=1e-14)
