"""The cone of positive semidefinite matrices, against bisection, brute force and points that are known."""

import math

import numpy as np
import pytest
import torch

from repsim_geo.numerics.centering import center_doubly
from repsim_geo.numerics.cones import (
    classical_mds,
    is_euclidean_dissimilarity,
    is_psd,
    nearest_psd,
    nearest_unit_psd,
    psd_exit_step,
    psd_exit_time,
)


def normal(*shape, generator):
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def unit(a):
    return a / a.norm(dim=(-2, -1), keepdim=True)


def gram(x):
    """Unit centered Gram matrices of features (*batch, m, p)."""
    x = x - x.mean(-2, keepdim=True)
    return unit(x @ x.mT)


def tangent(a, w):
    w = center_doubly(w)
    return unit(w - (a * w).sum((-2, -1), keepdim=True) * a)


def squared_distances(x):
    return (x[..., :, None, :] - x[..., None, :, :]).square().sum(-1)


def lowest(a):
    """Smallest eigenvalue on the complement of the ones."""
    m = a.shape[-1]
    basis = torch.linalg.svd(torch.eye(m, dtype=a.dtype) - 1 / m)[0][:, : m - 1]
    return torch.linalg.eigvalsh(basis.mT @ a @ basis)[..., 0]


def bisection(a, w, rounding=1e-13):
    """First time at which the smallest eigenvalue of the great circle is below -rounding."""

    def at(t):
        return torch.cos(t)[:, None, None] * a + torch.sin(t)[:, None, None] * w

    times = torch.linspace(0, math.pi, 2001, dtype=a.dtype)
    k = int((lowest(at(times[1:])) < -rounding).nonzero()[0])
    low, high = times[k], times[k + 1]
    for _ in range(60):
        middle = (low + high) / 2
        outside = lowest(at(middle[None]))[0] < -rounding
        low, high = torch.where(outside, low, middle), torch.where(outside, middle, high)
    return float(low)


# ---------------------------------------------------------------------- exit times


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("m", [3, 6, 10])
def test_regular_matrices_leave_when_bisection_says(m, seed):
    generator = torch.Generator().manual_seed(seed)
    a = gram(normal(8, m, m + 2, generator=generator))
    w = tangent(a, normal(8, m, m, generator=generator))
    t = psd_exit_time(a, w)
    assert t.shape == (8,)
    for i in range(8):
        assert float(t[i]) == pytest.approx(bisection(a[i], w[i]), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("m", "rank", "other"), [(4, 1, 1), (5, 2, 1), (6, 2, 3), (6, 4, 2), (8, 3, 5), (9, 7, 1)]
)
def test_singular_matrices_leave_when_bisection_says(m, rank, other, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = normal(m, rank, generator=generator), normal(m, other, generator=generator)
    a = gram(x)
    within = x @ normal(rank, 1, generator=generator)  # a direction of the range
    toward = y @ y.T - 3 * within @ within.T  # lost in the range, gained elsewhere
    directions = [y @ y.T, toward]
    if rank > 1:  # rank one has no tangent within its range
        directions.append(within @ within.T)
    for w in directions:
        w = tangent(a, w)
        t = float(psd_exit_time(a, w))
        assert t == pytest.approx(bisection(a, w), abs=1e-6)
        assert t > 0


@pytest.mark.parametrize(("m", "rank"), [(3, 1), (5, 2), (6, 4), (8, 3)])
def test_random_directions_from_singular_matrices(m, rank, generator):
    a = gram(normal(20, m, rank, generator=generator))
    w = tangent(a, normal(20, m, m, generator=generator))
    t = psd_exit_time(a, w)
    for i in range(20):
        assert float(t[i]) == pytest.approx(bisection(a[i], w[i]), abs=1e-8)
    np.testing.assert_array_equal(psd_exit_step(a, w) == 0, t == 0)
    # With one free direction a half of them stays for a while, with several nearly none.
    staying = int((t > 0).sum())
    assert 4 <= staying <= 16 if rank == m - 2 else staying <= 8


@pytest.mark.parametrize(("rank", "other"), [(1, 1), (2, 3), (3, 2), (5, 1), (5, 5)])
def test_geodesics_between_gram_matrices_stay_until_they_arrive(rank, other, generator):
    a, b = gram(normal(30, 6, rank, generator=generator)), gram(normal(30, 6, other, generator=generator))
    w = tangent(a, b)
    angle = 2 * torch.atan2((a - b).norm(dim=(-2, -1)), (a + b).norm(dim=(-2, -1)))
    t = psd_exit_time(a, w)
    assert bool((t >= angle - 1e-9).all())
    if other < 5:  # a singular target lies on the edge of the cone; beyond it, the path is outside
        np.testing.assert_allclose(t, angle, atol=1e-6)


def test_exit_by_hand():
    # Diagonal matrices on the complement of the ones: every eigenvalue by itself.
    basis = torch.linalg.svd(torch.eye(4, dtype=torch.float64) - 0.25)[0][:, :3]

    def matrix(*values):
        return basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.mT

    a, w = matrix(0.6, 0.8, 0.0), matrix(0.8, -0.6, 0.0)
    assert float(psd_exit_time(a, w)) == pytest.approx(math.atan(0.8 / 0.6))
    assert float(psd_exit_step(a, w)) == pytest.approx(0.8 / 0.6)
    up = matrix(0.0, 0.0, 1.0)  # semidefinite and orthogonal
    assert float(psd_exit_time(a, up)) == pytest.approx(math.pi / 2)
    assert float(psd_exit_step(a, up)) == math.inf
    assert float(psd_exit_time(a, -up)) == 0
    assert float(psd_exit_step(a, -0.1 * a)) == pytest.approx(10)


def test_range_must_not_be_coupled_to_an_empty_kernel():
    a = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    coupled = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    assert float(psd_exit_time(a, coupled, centered=False)) == 0
    # With something on the kernel: det(a + t w) = t - t^2 c^2, so until t = 1 / c^2.
    filled = torch.tensor([[0.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    assert float(psd_exit_step(a, filled, centered=False)) == pytest.approx(0.25)
    assert float(psd_exit_time(a, filled, centered=False)) == pytest.approx(math.atan(0.25))


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_exit_steps_do_not_see_the_scale(scale, generator):
    a = gram(normal(10, 6, 3, generator=generator))
    w = tangent(a, gram(normal(10, 6, 2, generator=generator)))
    t = psd_exit_step(a, w)
    np.testing.assert_allclose(psd_exit_step(scale * a, scale * w), t, rtol=1e-6)
    np.testing.assert_allclose(psd_exit_step(a, scale * w) * scale, t, rtol=1e-6)


def test_matrices_outside_the_cone_have_no_exit(generator):
    a = unit(center_doubly(normal(3, 5, 5, generator=generator)))
    w = tangent(a, normal(3, 5, 5, generator=generator))
    assert bool(psd_exit_time(a, w).isnan().all())
    assert bool(psd_exit_time(a * math.nan, w).isnan().all())


def test_exit_in_single_precision_and_over_leading_axes(generator):
    a = gram(normal(3, 1, 6, 9, generator=generator))
    w = tangent(a, normal(3, 4, 6, 6, generator=generator))
    t, single = psd_exit_time(a, w), psd_exit_time(a.float(), w.float())
    assert t.shape == (3, 4)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, t, rtol=1e-2)
    np.testing.assert_allclose(t[1, 2], psd_exit_time(a[1, 0], w[1, 2]), rtol=1e-9)
    low = gram(normal(20, 6, 2, generator=generator)), gram(normal(20, 6, 2, generator=generator))
    w = tangent(*low).float()
    angle = 2 * torch.atan2((low[0] - low[1]).norm(dim=(-2, -1)), (low[0] + low[1]).norm(dim=(-2, -1)))
    np.testing.assert_allclose(psd_exit_time(low[0].float(), w), angle, atol=2e-2)


# ---------------------------------------------------------------------- membership


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [2, 3, 4, 7, 20])
def test_gram_matrices_are_semidefinite_and_their_distances_euclidean(m, dtype, generator):
    for rank in {1, 2, m - 1}:
        for scale in (1e-8, 1.0, 1e8):
            x = (scale * normal(500, m, rank, generator=generator)).to(dtype)
            d2 = squared_distances(x)
            assert bool(is_psd(x @ x.mT).all())
            assert bool(is_euclidean_dissimilarity(d2, squared=True).all())
            assert bool(is_euclidean_dissimilarity(d2.sqrt(), squared=False).all())


def test_what_is_not_semidefinite():
    a = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    assert not bool(is_psd(a))
    assert not bool(is_psd(-torch.eye(3)))
    assert not bool(is_psd(torch.full((2, 2), math.nan)))
    assert bool(is_psd(torch.zeros(3, 3)))
    # The tolerance is relative, and the caller's to choose.
    slightly = torch.diag(torch.tensor([1.0, -1e-4]))
    assert not bool(is_psd(slightly))
    assert not bool(is_psd(1e-20 * slightly))
    assert bool(is_psd(slightly, rtol=1e-3))


def test_dissimilarities_that_no_points_have():
    line = torch.tensor(
        [[0.0, 1.0, 3.0], [1.0, 0.0, 1.0], [3.0, 1.0, 0.0]]
    )  # violates the triangle inequality
    assert not bool(is_euclidean_dissimilarity(line, squared=False))
    assert bool(is_euclidean_dissimilarity(line.sqrt().float(), squared=False))
    assert bool(is_euclidean_dissimilarity(torch.zeros(4, 4), squared=True))
    good = squared_distances(torch.eye(3))
    for bad in (
        good + torch.eye(3),  # diagonal
        good + torch.tensor([[0.0, 1, 0], [0, 0, 0], [0, 0, 0]]),  # not symmetric
        -good.sqrt(),  # negative
        good * math.nan,
    ):
        assert not bool(is_euclidean_dissimilarity(bad, squared=False))
    assert is_euclidean_dissimilarity(torch.stack((good, -good)), squared=True).tolist() == [True, False]


# ---------------------------------------------------------------------- nearest points


def test_nearest_semidefinite_matrix_beats_all_others(generator):
    a = center_doubly(normal(5, 5, generator=generator))
    p = nearest_psd(a)
    assert bool(is_psd(p))
    np.testing.assert_allclose(p.sum(-1), 0, atol=1e-14)
    x = normal(20000, 5, 5, generator=generator)
    others = p + 0.3 * (unit(x @ x.mT) - p) * torch.rand(
        20000, 1, 1, dtype=torch.float64, generator=generator
    )
    assert float((a - others).norm(dim=(-2, -1)).min()) >= float((a - p).norm())
    # Moreau: the rest is in the polar cone, and orthogonal.
    assert bool(is_psd(p - a))
    assert float((p * (p - a)).sum()) == pytest.approx(0, abs=1e-14)


def test_nearest_unit_semidefinite_matrix_has_the_smallest_angle(generator):
    a = unit(center_doubly(normal(4, 4, generator=generator)))
    b = nearest_unit_psd(a)
    assert float(b.norm()) == pytest.approx(1)
    best = float((a * b).sum())
    rivals = gram(normal(50000, 4, 3, generator=generator))
    near = unit(b + 0.05 * (rivals - b))
    assert float(torch.cat(((a * rivals).sum((-2, -1)), (a * near).sum((-2, -1)))).max()) <= best


def test_semidefinite_matrices_are_their_own_nearest(generator):
    a = gram(normal(7, 6, 2, generator=generator))
    np.testing.assert_allclose(nearest_psd(a), a, atol=1e-15)
    np.testing.assert_allclose(nearest_unit_psd(a), a, atol=1e-15)


def test_negative_matrices_have_no_nearest_unit_one(generator):
    a = -gram(normal(6, 2, generator=generator))
    b = gram(normal(6, 2, generator=generator))
    nearest = nearest_unit_psd(torch.stack((a, b)))
    assert bool(nearest[0].isnan().all())
    np.testing.assert_allclose(nearest[1], b, atol=1e-15)
    assert float(nearest_psd(a).abs().max()) < 1e-15


def test_derivatives_of_nearest_matrices(generator):
    basis, _ = torch.linalg.qr(normal(4, 4, generator=generator))
    repeated = (basis * torch.tensor([2.0, 2.0, -1.0, -1.0], dtype=torch.float64)) @ basis.mT
    for a in (normal(4, 4, generator=generator), repeated):
        leaf = a.clone().requires_grad_()
        assert torch.autograd.gradcheck(nearest_psd, leaf)
        assert torch.autograd.gradcheck(nearest_unit_psd, leaf)
        assert torch.autograd.gradgradcheck(nearest_psd, leaf)


# ---------------------------------------------------------------------- classical scaling


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("m", "rank"), [(1, 1), (2, 1), (5, 1), (6, 3), (6, 5), (12, 4)])
def test_scaling_finds_points_with_these_distances(m, rank, seed):
    x = normal(4, m, rank, generator=torch.Generator().manual_seed(seed))
    d2 = squared_distances(x)
    y = classical_mds(d2)
    assert y.shape == (4, m, max(m - 1, 1))
    np.testing.assert_allclose(squared_distances(y), d2, atol=1e-13 * max(float(d2.max()), 1))
    np.testing.assert_allclose(y.sum(-2), 0, atol=1e-13)
    np.testing.assert_array_equal(y[..., rank:], 0)
    extent = y.norm(dim=-2)
    assert bool((extent[..., 1:] <= extent[..., :-1]).all())
    products = y.mT @ y
    np.testing.assert_allclose(products - torch.diag_embed(extent.square()), 0, atol=1e-12)


def test_scaling_is_nearest_where_no_points_exist(generator):
    # Five leaves of a star, at distance 1 of its center and about 2 of each other.
    d = torch.full((6, 6), 2.0, dtype=torch.float64)
    d[0], d[:, 0] = 1, 1
    d = d + 0.1 * torch.rand(6, 6, dtype=torch.float64, generator=generator)
    d2 = (d + d.mT).square() / 4 * (1 - torch.eye(6, dtype=torch.float64))
    assert not bool(is_euclidean_dissimilarity(d2, squared=True))
    y = classical_mds(d2)
    np.testing.assert_allclose(y @ y.mT, nearest_psd(center_doubly(d2) / -2), atol=1e-14)
    plane = classical_mds(d2, n_components=2)
    np.testing.assert_array_equal(plane, y[:, :2])


def test_scaling_does_not_see_the_scale(generator):
    d2 = squared_distances(normal(5, 2, generator=generator))
    y = classical_mds(d2)
    for scale in (1e-16, 1e16):
        np.testing.assert_allclose(classical_mds(scale * d2) / scale**0.5, y, atol=1e-13)
    assert classical_mds(d2.float()).dtype == torch.float32
    np.testing.assert_allclose(classical_mds(d2.float()), y, atol=1e-5)
    np.testing.assert_array_equal(classical_mds(torch.zeros(3, 3)), 0)


@pytest.mark.parametrize("n_components", [None, 2])
def test_derivatives_of_what_rotations_do_not_change(n_components, generator):
    weight = normal(5, 5, generator=generator)

    def question(x):
        y = classical_mds(squared_distances(x), n_components=n_components)
        return (weight * squared_distances(y)).sum((-2, -1)), y @ y.mT

    def realized(x):
        d2 = squared_distances(x)
        return (weight * d2).sum((-2, -1)), center_doubly(d2) / -2

    x = normal(3, 5, 4, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(question, x)
    # A regular simplex: all eigenvalues are equal.
    corners = torch.eye(5, dtype=torch.float64).requires_grad_()
    if n_components is None:
        ours, exact = (
            [torch.autograd.grad(v.sum(), corners)[0] for v in (f(corners)[0],)] for f in (question, realized)
        )
        np.testing.assert_allclose(ours[0], exact[0], atol=1e-12)


def test_derivatives_at_deficient_rank_are_finite(generator):
    x = normal(6, 2, generator=generator).requires_grad_()
    y = classical_mds(squared_distances(x))
    (g,) = torch.autograd.grad(squared_distances(y).square().sum(), x)
    (exact,) = torch.autograd.grad(squared_distances(x).square().sum(), x)
    np.testing.assert_allclose(g, exact, atol=1e-11)  # moving x keeps the rank
    zero = torch.zeros(3, 3, requires_grad=True)
    (g,) = torch.autograd.grad(classical_mds(zero).sum(), zero)
    np.testing.assert_array_equal(g, 0)


@pytest.mark.parametrize("n_components", [0, 6])
def test_scaling_into_an_impossible_dimension(n_components):
    with pytest.raises(
        ValueError, match=rf"finds 1 to 5 coordinates, got n_components={n_components}\. Leave"
    ):
        classical_mds(torch.zeros(5, 5), n_components=n_components)
