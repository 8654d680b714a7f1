"""The one door for matrices of distances: what passes, what is rounding, and what is refused."""

import math

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.stats.distances import as_distances, as_symmetric, between


def line(*places, dtype=torch.float64):
    x = torch.tensor(places, dtype=dtype)
    return (x[:, None] - x).abs()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (lambda d: d, torch.float64),
        (torch.Tensor.float, torch.float32),
        (torch.Tensor.half, torch.float32),
        (torch.Tensor.long, torch.float64),
        (torch.Tensor.numpy, torch.float64),
        (lambda d: d.numpy().astype(">f4"), torch.float32),
        (lambda d: d.numpy().astype("f2"), torch.float32),
        (lambda d: d.numpy().astype(np.longdouble), torch.float64),
        (lambda d: d.int().tolist(), torch.float64),
        (lambda d: list(d), torch.float64),
    ],
)
def test_any_array_of_numbers_is_understood(kind, dtype):
    d = line(0, 1, 5)
    result = as_distances(kind(d))
    assert result.dtype == dtype
    assert type(result) is torch.Tensor
    torch.testing.assert_close(result, d.to(dtype), rtol=0, atol=0)
    assert as_distances(kind(d), precise=True).dtype == torch.float64


def test_the_input_is_not_changed():
    d = line(0, 1, 5)
    d[0, 1] += 1e-9
    d[0, 0] = 1e-9
    for given in (d, d.numpy()):
        before = given.copy() if isinstance(given, np.ndarray) else given.clone()
        assert as_distances(given)[0, 0] == 0
        assert (given == before).all()


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_of_float32_is_no_fault_in_any_unit(unit, dtype):
    """Angles from acos of float32 cosines: equal networks are up to 3.5e-4 apart, and not alike both ways."""
    d = line(0, 0, 1, 3, dtype=dtype) * unit
    noisy = d.clone()
    noisy[0, 1] = noisy[2, 2] = 1e-3 * unit
    noisy[1, 0] = noisy[3, 3] = -1e-3 * unit
    result = as_distances(noisy)
    assert torch.equal(result, result.mT)
    assert not bool(result.diagonal().any())
    torch.testing.assert_close(result, d, rtol=0, atol=0)


def test_one_less_a_similarity_is_a_distance():
    x = torch.randn(6, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    similarity = np.corrcoef(x.numpy())
    similarity[similarity > 0.999] += 2e-16
    assert (as_distances(1 - similarity) >= 0).all()


@pytest.mark.parametrize("wrong", [torch.eye(3), 1 - line(0, 0.2, 0.3), -line(0, 1, 2), line(0, 1, 2).triu()])
def test_what_is_no_distance_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^distances must .*, got .*\. (Turn|Use) "):
        as_distances(wrong)


def test_each_matrix_of_a_batch_has_its_own_unit():
    d = torch.stack([line(0, 1, 2), 1e-6 * line(0, 1, 2)])
    assert torch.equal(as_distances(d, batched=True), d)
    d[1, 0, 1] = 1e-5
    with pytest.raises(ValueError, match="must be symmetric"):
        as_distances(d, batched=True)
    with pytest.raises(rg.ShapeError, match=r"got shape \(2, 3, 3\)"):
        as_distances(d)


def test_distances_of_new_points_have_a_column_for_each_fitted_one():
    d = torch.rand(2, 5, dtype=torch.float64)
    assert torch.equal(as_distances(d, columns=5), d)
    for wrong in (d.mT, d[:, :4]):
        with pytest.raises(rg.ShapeError, match=r"a column for each of the 5 fitted points, shape \(q, 5\)"):
            as_distances(wrong, columns=5)
    with pytest.raises(ValueError, match="must not be negative"):
        as_distances(-d, columns=5)


def test_the_network_that_failed_is_named():
    d = line(*range(8))
    d[4, :] = d[:, 4] = math.nan
    with pytest.raises(ValueError, match=r"nan or infinity in row 4\. Leave out"):
        as_distances(d)
    d = line(*range(8))
    d[2, 5] = d[5, 2] = math.inf
    with pytest.raises(ValueError, match=r"nan or infinity in row 2, 5\. Leave out"):
        as_distances(d)
    with pytest.raises(ValueError, match=r"in row 0, 1, 2, 3, 4 and others\."):
        as_distances(d * math.nan)
    with pytest.raises(ValueError, match=r"in row 0\."):
        as_distances([[math.nan]])


@pytest.mark.parametrize(
    "wrong",
    ["abc", [["a", "b"], ["c", "d"]], [[0, 1], [1]], None, {"a": 1}, torch.zeros(2, 2).bool(), [[1j]]],
)
def test_what_is_no_array_of_numbers_is_refused(wrong):
    with pytest.raises(
        (TypeError, ValueError), match=r"^distances must be an array of real numbers, got .* Use"
    ):
        as_distances(wrong)


def test_symmetric_matrices_may_hold_anything_else():
    a = torch.tensor([[1.0, -2.0], [-2.0, 3.0]])
    assert torch.equal(as_symmetric(a, "a"), a.double())
    assert as_symmetric(a, "a", precise=False).dtype == torch.float32
    with pytest.raises(ValueError, match=r"a must be symmetric, got .* up to 2 .* Use \(a \+ a\.T\) / 2"):
        as_symmetric(a.triu(), "a")
    with pytest.raises(ValueError, match="a must be finite, got nan or infinity in row 0"):
        as_symmetric(torch.full((1, 1), math.nan), "a")
    with pytest.raises(rg.ShapeError, match=r"a must be a square matrix \(n, n\), got shape \(1, 2\)"):
        as_symmetric(a[:1], "a")


@pytest.mark.parametrize(
    ("manifold", "shape"),
    [
        (rg.Flat(1), (3,)),
        (geoopt.Euclidean(1), (3,)),
        (geoopt.Sphere(), (3,)),
        (geoopt.SymmetricPositiveDefinite(), (2, 2)),
    ],
)
def test_all_distances_are_those_of_pairs(manifold, shape, monkeypatch):
    monkeypatch.setattr("repsim_geo.stats.distances.BLOCK_ELEMENTS", 40)  # several blocks
    x = manifold.random(7, *shape, dtype=torch.float64)
    y = manifold.random(5, *shape, dtype=torch.float64)
    pairs = [[float(manifold.dist(a, b)) for b in y] for a in x]
    torch.testing.assert_close(between(manifold, x, y), torch.tensor(pairs, dtype=torch.float64))
