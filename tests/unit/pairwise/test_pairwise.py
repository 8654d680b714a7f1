"""All-pairs distances are those of compare, whatever the tiles."""

import re
from pathlib import Path

import geoopt
import numpy as np
import pytest
import scipy.linalg
import torch

import repsim_geo as rg

GENERATOR = torch.Generator().manual_seed(0)
REPS = [torch.randn(15, d, dtype=torch.float64, generator=GENERATOR) for d in (3, 20, 5, 7, 14)]


# Spaces of different dimensions want a common one; matchings of units of different numbers a common width.
EVERY = [
    {"linear_subspace": rg.LinearSubspace(k=2), "permutation": rg.PermutationDistance(p=20)}.get(key, key)
    for key in rg.available_metrics()
    if key != "angular_permutation"
] + [rg.AngularPermutation(p=20)]


@pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")
@pytest.mark.parametrize("method", EVERY, ids=str)
@pytest.mark.parametrize("block", [None, 1, 2, 100])
def test_entries_are_distances(method, block):
    table = rg.pairwise(REPS, method, block=block)
    assert torch.equal(table, table.T)
    assert torch.equal(table.diagonal(), torch.zeros(5, dtype=torch.float64))
    for i in range(5):
        for j in range(i):
            assert float(table[i, j]) == pytest.approx(float(rg.compare(REPS[i], REPS[j], method)), abs=1e-11)


def test_spaces_of_different_dimensions():
    table = rg.pairwise([REPS[0], REPS[2], REPS[3]], rg.LinearSubspace(unequal=True))
    angles = scipy.linalg.subspace_angles(*(x - x.mean(0) for x in (REPS[0].numpy(), REPS[3].numpy())))
    assert float(table[0, 2]) == pytest.approx(np.sqrt((angles**2).sum() + 4 * (np.pi / 2) ** 2), rel=1e-12)
    with pytest.raises(rg.ShapeError, match=r"\[3, 5\] units. Keep k=3"):
        rg.pairwise([REPS[0], REPS[2]], "linear_subspace")


def test_threads_and_progress_do_not_change_the_result(capsys):
    one = rg.pairwise(REPS, block=2)
    assert torch.equal(one, rg.pairwise(REPS, block=2, n_jobs=2, progress=True))
    assert "distances" in capsys.readouterr().err


def test_mapping_and_stack():
    named = rg.pairwise({"a": REPS[0], "b": REPS[1]}, "stress")
    np.testing.assert_allclose(named[0, 1], rg.compare(REPS[0], REPS[1], "stress"))
    assert rg.pairwise(torch.randn(4, 10, 3)).shape == (4, 4)
    with pytest.raises(rg.ShapeError, match=r"\(n, m, d\)"):
        rg.pairwise(torch.randn(10, 3))


def test_errors_name_the_network():
    with pytest.raises(rg.DegenerateRepresentationError, match=r"reps\['dead'\].* is constant"):
        rg.pairwise({"a": REPS[0], "dead": torch.ones(15, 3, dtype=torch.float64)})


def test_pair_of_embedding_and_manifold():
    class Flatten(torch.nn.Module):
        def forward(self, x):
            return x.flatten(-2)

    pair = (Flatten(), geoopt.Euclidean(ndim=1))
    x, y = torch.randn(2, 6, 3)
    np.testing.assert_allclose(rg.compare(x, y, pair), (x - y).norm(), rtol=1e-6)
    assert rg.pairwise([x, y, x], pair)[0, 2] == 0


def test_block_must_be_positive():
    with pytest.raises(ValueError, match="positive number of networks"):
        rg.pairwise(REPS, block=0)


def test_gradients_flow_through_the_table():
    reps = [x.clone().requires_grad_() for x in REPS]
    rg.pairwise(reps, "angular_shape").sum().backward()
    assert all(bool(x.grad.isfinite().all()) for x in reps)


def test_networks_with_different_numbers_of_repeats():
    g = torch.Generator().manual_seed(0)
    reps = [torch.randn(r, 6, d, dtype=torch.float64, generator=g) for r, d in ((3, 2), (5, 3), (4, 2))]
    table = rg.pairwise(reps, rg.StochasticShape(starts=6))
    assert table.shape == (3, 3)
    assert float(table[0, 1]) == pytest.approx(
        float(rg.compare(reps[0], reps[1], rg.StochasticShape(starts=6)))
    )
    with pytest.raises(rg.ShapeError, match="one representation"):
        rg.pairwise(reps, "angular_cka")


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("device", "gpu", ValueError, "device must be a device that torch can use here (cpu"),
        ("device", "meta", ValueError, "got 'meta'. Leave it out"),
        ("device", 3.5, ValueError, "got 3.5"),
        ("n_jobs", 0, ValueError, "n_jobs must be a number of workers, or -1"),
        ("n_jobs", "2", ValueError, "got '2'. None takes"),
        ("n_jobs", 1.5, ValueError, "got 1.5"),
        ("store", 5, TypeError, "store must be the name of a folder, got int"),
        ("store", b"x", TypeError, "got bytes. Give a string or a path."),
    ],
)
def test_odd_places_and_workers_are_refused_in_words(argument, value, error, message, generator):
    reps = [torch.randn(6, 2, generator=generator) for _ in range(2)]
    with pytest.raises(error, match=re.escape(message)):
        rg.pairwise(reps, **{argument: value})


def test_a_folder_that_cannot_be_made_is_refused_in_words(monkeypatch, tmp_path):
    def refuse(self, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match="can be made and written, got .*: Permission denied"):
        rg.pairwise(REPS, store=tmp_path / "tiles")
