"""Rows know which input they belong to, and every door refuses others."""

import numpy as np
import pandas
import pytest
import torch
import xarray

import repsim_geo as rg
from repsim_geo.activations import Activations, ActivationSet

NAMES = ["cat", "dog", "owl", "fox", "bee", "ant", "elk", "yak"]
OTHERS = NAMES[1:] + NAMES[:1]


def values(d=3, seed=0):
    return torch.randn(8, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def as_frame(x, names):
    return pandas.DataFrame(x.numpy(), index=names)


def as_labeled_array(x, names):
    return xarray.DataArray(x.numpy(), dims=("image", "unit"), coords={"image": names})


MAKERS = {"activations": Activations, "frame": as_frame, "labeled array": as_labeled_array}

DOORS = {
    "compare": lambda x, y: rg.compare(x, y, "angular_shape"),
    "compare stochastic": lambda x, y: rg.compare(x, y, rg.AngularCKA(debiased=True)),
    "pairwise": lambda x, y: rg.pairwise([x, y]),
    "others": lambda x, y: rg.pairwise([x], others=[y]),
    "mapping": lambda x, y: rg.pairwise({"x": x, "y": y}, "stress"),
    "cka": rg.cka,
    "hsic": rg.hsic,
    "svcca": rg.svcca,
    "permutation_test": lambda x, y: rg.permutation_test(x, y, rg.AngularCKA(), n_permutations=20),
    "bootstrap_distance": lambda x, y: rg.bootstrap_distance(x, y, rg.AngularCKA(), n_resamples=20),
    "interpolate": lambda x, y: rg.recipes.interpolate(x, y, torch.tensor([0.5]).double(), "angular_cka"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", MAKERS)
def test_every_door_takes_named_rows_and_refuses_others(door, kind):
    ask, make = DOORS[door], MAKERS[kind]
    x, y = values(), values(4, 1)
    ask(make(x, NAMES), make(y, NAMES))
    ask(make(x, NAMES), y)  # nothing is known of the second
    with pytest.raises(
        rg.MismatchedRowsError, match="they are the same, but row 0 is 'cat' in .* and 'dog' in"
    ):
        ask(make(x, NAMES), make(y, OTHERS))
    with pytest.raises(rg.MismatchedRowsError, match="got only in .*: 'cat'; only in .*: 'emu'"):
        ask(make(x, NAMES), make(y, ["emu", *NAMES[1:]]))


@pytest.mark.parametrize("kind", MAKERS)
def test_names_change_no_number_and_no_gradient(kind):
    x, y = values(), values(4, 1)
    make = MAKERS[kind]
    assert torch.equal(rg.compare(make(x, NAMES), make(y, NAMES)), rg.compare(x, y))
    assert torch.equal(rg.pairwise([make(x, NAMES), make(y, NAMES)]), rg.pairwise([x, y]))
    x.requires_grad_()
    (grad,) = torch.autograd.grad(rg.compare(Activations(x, NAMES), y), x)
    (wanted,) = torch.autograd.grad(rg.compare(x, y), x)
    assert torch.equal(grad, wanted)
    assert not hasattr(x, "row_ids")


def test_frames_that_merely_count_their_rows_are_not_checked():
    x, y = (pandas.DataFrame(values(3, seed).numpy()) for seed in (0, 1))
    assert rg.compare(x, as_frame(values(3, 1), NAMES)) == rg.compare(x, y)
    assert rg.compare(xarray.DataArray(values().numpy()), values()) == 0


def test_selected_rows_are_those_of_the_names():
    x = Activations(values(), NAMES, name="last")
    some = x.select(["owl", "cat"])
    assert torch.equal(some.values, values()[[2, 0]])
    assert some.ids == ("owl", "cat")
    assert some.name == "last"
    assert rg.compare(x, Activations(values()[1:].repeat(2, 1)[:8], OTHERS).select(x.ids)).dim() == 0
    with pytest.raises(rg.MismatchedRowsError, match="ids must be names of rows, got 1 that are not: 'emu'"):
        x.select(["owl", "emu"])
    with pytest.raises(rg.MismatchedRowsError, match="rows must have names to be selected by them"):
        Activations(values()).select(["owl"])


def test_activations_are_arrays_for_others():
    x = Activations(values(), range(8))
    assert np.array_equal(np.asarray(x), values().numpy())
    assert np.asarray(x, dtype="float32").dtype == np.float32
    assert len(x) == 8
    assert x.shape == (8, 3)
    assert repr(x) == "<Activations: (8, 3), float64, ids 0, 1, 2, ...>"
    assert Activations([[1.0, 2.0]]).ids is None


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a"], rg.ShapeError, "ids must be one for each of 8 rows, got 1"),
        ("catdogow", TypeError, "ids must be a sequence of strings or integers, got 'catdogow'"),
        (5, TypeError, "ids must be a sequence of strings or integers, got 5"),
        ([1.5] * 8, TypeError, "ids must be all strings or all integers, got float"),
        ([True] * 8, TypeError, "got bool. Turn them into strings"),
        (["a", 1, *NAMES[2:]], TypeError, "got int, str"),
        (["a"] * 8, ValueError, "ids must be different, got 'a' more than once. Number the presentations"),
    ],
)
def test_odd_names_are_refused_in_words(ids, error, message):
    with pytest.raises(error) as raised:
        Activations(values(), ids)
    assert message in str(raised.value)


def test_layers_of_a_set_have_the_same_rows():
    acts = ActivationSet({"a": values(), "b": Activations(values(2, 1), NAMES)})
    assert acts.ids == tuple(NAMES)
    assert acts["a"].ids == tuple(NAMES)
    assert list(acts.select(["yak", "bee"])["b"].ids) == ["yak", "bee"]
    assert rg.pairwise(acts).shape == (2, 2)
    assert repr(acts) == "<ActivationSet: a (8, 3), b (8, 2); ids 'cat', 'dog', 'owl', ...>"
    with pytest.raises(KeyError, match="no layer called 'c'. Known: a, b"):
        acts["c"]
    with pytest.raises(
        rg.ShapeError, match="all layers must have the same inputs, got 8 rows of 'a' and 5 of 'b'"
    ):
        ActivationSet({"a": values(), "b": values()[:5]})
    with pytest.raises(rg.MismatchedRowsError, match="row 0 is 'cat' in 'a' and 'dog' in 'b'"):
        ActivationSet({"a": Activations(values(), NAMES), "b": Activations(values(), OTHERS)})
    with pytest.raises(rg.ShapeError, match="got a single number"):
        ActivationSet({"a": torch.tensor(1.0)})


def test_arrays_that_run_backwards_or_cannot_be_written_are_taken():
    x, y = values().numpy(), values(4, 1).numpy()
    backwards, frozen = x[:, ::-1], y.copy()
    frozen.flags.writeable = False
    assert rg.compare(backwards, frozen) == pytest.approx(float(rg.compare(x, y)), abs=1e-12)
    assert rg.pairwise([backwards, frozen]).shape == (2, 2)


def test_orders_of_frames_are_not_lost():
    frame, other = pandas.DataFrame(values().numpy()), pandas.DataFrame(values(4, 1).numpy())
    with pytest.raises(rg.MismatchedRowsError):
        rg.compare(frame[::-1], Activations(values(4, 1), range(8)))
    with pytest.raises(rg.MismatchedRowsError):
        rg.compare(frame.iloc[4:], Activations(values(4, 1)[:4], range(4)))
    named, reversed_ = (pandas.DataFrame(values().numpy(), index=i) for i in (NAMES, NAMES[::-1]))
    with pytest.raises(rg.MismatchedRowsError):
        ActivationSet({"a": named, "b": reversed_})
    assert Activations(named).ids == tuple(NAMES)
    assert Activations(named).select(["owl"]).shape == (1, 3)
    assert rg.compare(frame, other) >= 0


def test_functions_keep_the_names_of_rows():
    x, y = Activations(values(), NAMES), Activations(values(4, 1), OTHERS)
    with pytest.raises(rg.MismatchedRowsError):
        rg.pairwise([lambda: x, lambda: y])


def test_many_names_are_compared_in_one_pass():
    z = torch.randn(30_000, 2)
    with pytest.raises(rg.MismatchedRowsError, match="only in x: 0; only in y: 30000"):
        rg.compare(Activations(z, range(30_000)), Activations(z, range(1, 30_001)))


@pytest.mark.parametrize(
    "method", ["angular_cka", "angular_cka_debiased", "stress", "angular_rdm", "angular_shape"]
)
def test_many_inputs_are_compared_without_a_matrix_of_their_pairs(method, monkeypatch):
    import importlib

    x, y = torch.randn(300, 4, dtype=torch.float64), torch.randn(300, 6, dtype=torch.float64)
    wanted = rg.compare(x, y, method)
    module = importlib.import_module("repsim_geo.compare")
    monkeypatch.setattr(module, "_LARGEST", 100)
    torch.testing.assert_close(rg.compare(x, y, method), wanted, atol=1e-12, rtol=1e-12)
    x.requires_grad_()
    assert rg.compare(x, y, method).requires_grad


def test_other_byte_orders_are_taken():
    x = values().numpy()
    assert rg.compare(x.astype(">f8"), values(4, 1)) == rg.compare(x, values(4, 1))
