"""Angles from blocks of inputs, or of units, are those of whole Gram matrices."""

import importlib

import pytest
import torch

import repsim_geo as rg

angles = importlib.import_module("repsim_geo.pairwise.angles")
MIXED = (3, 4, 40, 5, 41, 9)
both = pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])


def networks(seed, m=30, widths=MIXED, shared=0.7):
    g = torch.Generator().manual_seed(seed)
    base = torch.randn(m, max(widths), dtype=torch.float64, generator=g)
    noise = [torch.randn(m, d, dtype=torch.float64, generator=g) for d in widths]
    return [shared * base[:, : x.shape[-1]] + x for x in noise]


def from_points(reps, debiased):
    metric = rg.AngularCKA(debiased=debiased)
    points = torch.stack([metric.embed(x.double()) for x in reps])
    return metric.cdist(points, points).fill_diagonal_(0.0)


@both
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("elements", [2**21, 600, 7], ids=["one block", "blocks", "single entries"])
def test_blocks_of_any_size_give_the_angles_of_points(monkeypatch, seed, debiased, elements):
    monkeypatch.setattr(angles, "_BLOCK_ELEMENTS", elements)
    reps = networks(seed, m=13 if elements == 7 else 30)
    got = rg.pairwise(reps, rg.AngularCKA(debiased=debiased))
    torch.testing.assert_close(got, from_points(reps, debiased), rtol=0, atol=1e-13)


@pytest.mark.parametrize("elements", [2**21, 3000])
def test_few_units_of_many_inputs_go_through_products_of_units(monkeypatch, elements):
    reps = networks(1, m=400, widths=(2, 3, 3, 20, 4))
    monkeypatch.setattr(angles, "_BLOCK_ELEMENTS", elements)
    monkeypatch.setattr(angles, "_blocks", lambda tiles: pytest.fail("blocks of inputs cost more here"))
    got = rg.pairwise(reps)
    torch.testing.assert_close(got, from_points(reps, False), rtol=0, atol=1e-13)


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_near_networks_keep_their_digits(debiased, dtype):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, dtype=torch.float64, generator=g)
    step = torch.randn(40, 6, dtype=torch.float64, generator=g)
    sizes = (1e-6, 1e-4, 1e-3, 3e-2) if dtype == torch.float64 else (1e-3, 1e-2, 3e-2)
    reps = [x, *(x + size * step for size in sizes)]
    reps = [rep.to(dtype) for rep in reps]
    got, expected = (
        rg.pairwise(reps, rg.AngularCKA(debiased=debiased))[0, 1:],
        from_points(reps, debiased)[0, 1:],
    )
    # What is left of the digits of x in a difference of this size.
    rounding = 16 * torch.finfo(dtype).eps
    assert bool(((got - expected).abs() <= rounding + 1e2 * rounding * expected).all())


@both
def test_equal_networks_have_distance_zero_and_opposite_ones_pi(debiased):
    x = networks(2)[2]
    table = rg.pairwise([x, x.clone(), 4 * x + 1], rg.AngularCKA(debiased=debiased))
    assert float(table[0, 1]) == 0.0
    assert float(table.max()) < 1e-14
    if debiased:
        # Four inputs have a plane of U-centered Gram matrices, in which some are opposite.
        one, other = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]], dtype=torch.float64)
        pair = [one[:, None], torch.stack([other, (one + other) % 2], -1)]
        table = rg.pairwise(pair, rg.AngularCKA(debiased=True))
        assert float(table[0, 1]) == pytest.approx(float(from_points(pair, True)[0, 1]), abs=1e-13)
        assert float(table[0, 1]) > 3.1415


@both
def test_gradients_are_those_of_compare(debiased):
    reps = [x.requires_grad_() for x in networks(3, widths=(3, 5, 3))]
    metric = rg.AngularCKA(debiased=debiased)

    def twins():
        return [reps[0], reps[1], reps[0] + 1e-3 * reps[2]]

    got = torch.autograd.grad(rg.pairwise(twins(), metric).triu().sum(), reps)
    a = twins()
    total = sum(rg.compare(a[i], a[j], metric) for i, j in ((0, 1), (0, 2), (1, 2)))
    for one, other in zip(got, torch.autograd.grad(total, reps), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_a_network_of_which_nothing_is_left_is_named():
    reps = {"a": networks(0)[0], "dead": torch.zeros(30, 4, dtype=torch.float64)}
    with pytest.raises(rg.DegenerateRepresentationError, match=r"reps\['dead'\] is constant"):
        rg.pairwise(reps)
    reps["dead"] = torch.eye(30, dtype=torch.float64)  # all inputs equally far
    with pytest.raises(
        rg.DegenerateRepresentationError, match=r"reps\['dead'\]: nothing is left .*UCentered"
    ):
        rg.pairwise(reps, "angular_cka_debiased")


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scale_does_not_matter(scale):
    reps = networks(4)
    got = rg.pairwise([reps[0] * scale, *reps[1:]])
    torch.testing.assert_close(got, rg.pairwise(reps), rtol=0, atol=1e-14)
