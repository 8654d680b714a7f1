"""Activations are what the layers return, for every way to ask, and the model is left as it was."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import repsim_geo as rg
from repsim_geo.extract import extract, layer_names

X = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 10)),
        nn.BatchNorm1d(10),
    )


class Block(nn.Module):
    """As in transformers: a tuple of hidden states and attention."""

    def __init__(self, d):
        super().__init__()
        self.mix = nn.Linear(d, d)

    def forward(self, x):
        return (x + self.mix(x).tanh(), x.softmax(-1))


class Output(dict):
    """As in transformers: a dict whose entries are attributes, too."""


class Encoder(nn.Module):
    def __init__(self, d=6, words=30):
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Embedding(words, d)
        self.layer = nn.ModuleList([Block(d) for _ in range(3)])
        self.act = nn.ReLU()

    def forward(self, input_ids, attention_mask=None):
        x = self.embed(input_ids)
        for block in self.layer:
            x, _ = block(x)
            x = self.act(x)
        return Output(pooled=x[:, 0], last_hidden_state=x)


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()

    def forward(self, **batch):
        return self.encoder(**batch)["last_hidden_state"].mean(1)


IDS = torch.randint(0, 30, (7, 5), generator=torch.Generator().manual_seed(2))
MASK = torch.tensor(
    [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 0, 0]] + [[1, 1, 1, 1, 0]] * 3
)


def texts(batch=3):
    return [
        {"input_ids": a, "attention_mask": m}
        for a, m in zip(IDS.split(batch), MASK.split(batch), strict=True)
    ]


# ----------------------------------------------------------------- what comes out


@pytest.mark.parametrize("batch", [1, 7, 20])
@pytest.mark.parametrize("to", [None, "acts", "acts.npz", "acts.safetensors"])
def test_rows_are_those_of_one_pass_by_hand(batch, to, tmp_path):
    net = convolutional().eval()
    to = to and tmp_path / to
    acts = extract(net, X.split(batch), ["0", "2"], to=to)
    with torch.no_grad():
        first = net[0](X)
        assert torch.equal(acts["0"].tensor, first.flatten(1))
        assert torch.allclose(acts["2"].tensor, net[2](first.relu()), atol=1e-6)
    assert acts.ids == tuple(range(20))
    if to:
        again = rg.io.load_activations(to)
        assert list(again) == ["0", "2"]
        assert again.ids == acts.ids
        assert torch.equal(again["2"].tensor, acts["2"].tensor)


def test_what_works_in_place_afterwards_does_not_change_what_was_recorded():
    acts = extract(convolutional(), X, ["0", "1"])
    assert (acts["0"].values < 0).any()
    assert (acts["1"].values >= 0).all()


@pytest.mark.parametrize(
    ("layout", "by_hand"),
    [
        ("flatten", lambda y: y.flatten(1)),
        ("mean", lambda y: y.mean((2, 3))),
        ("max", lambda y: y.amax((2, 3))),
        ("first", lambda y: y[:, :, 0, 0]),
        ("last", lambda y: y[:, :, -1, -1]),
        ("positions", lambda y: y.permute(0, 2, 3, 1).reshape(-1, 4)),
    ],
)
def test_layouts_of_images(layout, by_hand):
    net = convolutional()
    acts = extract(net, X.split(6), "0", layout=layout)
    assert torch.allclose(acts["0"].tensor, by_hand(net[0](X).detach()), atol=1e-6)
    if layout == "positions":
        assert acts.ids[:2] == ("0[0,0]", "0[0,1]")
        assert acts.ids[-1] == "19[5,5]"


def test_channels_may_come_last_or_behind_one_dimensional_convolutions():
    y = torch.randn(5, 3, 4, 2)
    assert torch.allclose(
        extract(nn.Sequential(nn.Identity()), y, "0", layout="mean", channels="last")["0"].tensor,
        y.mean((1, 2)),
    )
    net = nn.Sequential(nn.Conv1d(2, 3, 2), nn.Identity())
    acts = extract(net, torch.randn(5, 2, 9), ["0", "1"], layout="mean")
    assert acts["0"].shape == (5, 3)
    assert acts["1"].shape == (5, 8)
    assert extract(net, torch.randn(5, 2, 9), "1", layout="mean", channels="first")["1"].shape == (5, 3)


def test_tokens_that_are_masked_do_not_count():
    net, mask = Encoder(), MASK.bool()
    with torch.no_grad():
        y = net.embed(IDS)
    mean = torch.stack([a[m].mean(0) for a, m in zip(y, mask, strict=True)])
    first, last = (torch.stack([a[m][k] for a, m in zip(y, mask, strict=True)]) for k in (0, -1))
    largest = torch.stack([a[m].amax(0) for a, m in zip(y, mask, strict=True)])
    for layout, wanted in (
        ("mean", mean),
        ("first", first),
        ("last", last),
        ("max", largest),
        ("positions", y[mask]),
    ):
        acts = extract(net, texts(), "embed", layout=layout)
        assert torch.allclose(acts["embed"].tensor, wanted, atol=1e-6), layout
    assert acts.ids[5:9] == ("1[0]", "1[1]", "1[2]", "2[2]")


def test_tuples_and_dicts_of_transformers_give_their_hidden_states():
    acts = extract(
        Wrapped(), texts(), ["encoder", "encoder.layer.*"], layout={"**": "mean", "encoder": "first"}
    )
    assert list(acts) == ["encoder.layer.0", "encoder.layer.1", "encoder.layer.2", "encoder"]
    assert all(x.shape == (7, 6) for x in acts.values())
    assert (acts["encoder"].values >= 0).all()


def test_a_module_that_is_called_more_than_once_gives_every_call():
    acts = extract(Encoder(), [IDS], "act", layout="mean")
    assert list(acts) == ["act", "act#2", "act#3"]
    assert not torch.equal(acts["act"].values, acts["act#3"].values)


def test_patterns_stop_at_dots_unless_they_are_double():
    net = Wrapped()
    assert layer_names(net, "*") == ["encoder"]
    assert layer_names(net, "encoder.layer.?") == [f"encoder.layer.{i}" for i in range(3)]
    assert layer_names(net, "**.mix") == [f"encoder.layer.{i}.mix" for i in range(3)]
    assert layer_names(nn.Sequential(nn.ReLU()), "[0]") == []


def test_loaders_give_inputs_labels_and_names():
    loader = DataLoader(TensorDataset(X, torch.arange(20) * 10), batch_size=8)
    acts = extract(convolutional(), loader, "2", ids=lambda batch: batch[1])
    assert acts.ids[:3] == (0, 10, 20)
    shuffled = DataLoader(TensorDataset(X, torch.arange(20) * 10), batch_size=8, shuffle=True)
    mixed = extract(convolutional(), shuffled, "2", ids=lambda batch: batch[1])
    assert mixed.ids != acts.ids
    assert torch.allclose(mixed["2"].select(acts.ids).tensor, acts["2"].tensor, atol=1e-6)
    with pytest.raises(rg.MismatchedRowsError, match="they are the same, but row"):
        rg.compare(acts["2"], mixed["2"])
    named = [{"input_ids": a, "name": [f"t{i}" for i in a[:, 0]]} for a in IDS.split(4)]
    found = extract(
        Encoder(),
        named,
        "embed",
        forward=lambda m, b: m(b["input_ids"]),
        ids=lambda b: (
            [f"{k}-{i}" for i, k in enumerate(b["name"])] if len(b["name"]) == 4 else ["x", "y", "z"]
        ),
    )
    assert found.ids[-1] == "z"


def test_half_precision_becomes_float32_and_dtypes_can_be_chosen(tmp_path):
    net = nn.Sequential(nn.Linear(4, 3)).bfloat16()
    x = torch.randn(6, 4, dtype=torch.bfloat16)
    assert extract(net, x, "0")["0"].values.dtype == torch.float32
    assert extract(net, x, "0", dtype=torch.float64)["0"].values.dtype == torch.float64
    halves = extract(net, x, "0", dtype=torch.float16, to=tmp_path / "half")
    assert halves["0"].values.dtype == np.float16
    assert rg.pairwise([str(tmp_path / "half") + "::0"] * 2).shape == (2, 2)


# ----------------------------------------------------------------- the model afterwards


def state(net):
    return (
        [m.training for m in net.modules()],
        [len(m._forward_hooks) for m in net.modules()],
        [x.clone() for x in net.state_dict().values()],
        [p.grad for p in net.parameters()],
    )


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was_also_after_an_error(fails, tmp_path):
    net = convolutional().train()
    net[2].eval()
    before = state(net)
    data = [X[:8], torch.zeros(3, 2, 8, 8)] if fails else [X[:8], X[8:]]
    if fails:
        with pytest.raises(RuntimeError, match="channels"):
            extract(net, data, "**", to=tmp_path / "acts")
        assert list(tmp_path.iterdir()) == []
    else:
        extract(net, data, "**", to=tmp_path / "acts")
    after = state(net)
    assert before[:2] == after[:2]
    assert before[3] == after[3]
    assert all(torch.equal(a, b) for a, b in zip(before[2], after[2], strict=True))


def test_a_failed_run_leaves_the_old_folder(tmp_path):
    net = convolutional()
    old = extract(net, X, "2", to=tmp_path / "acts")["2"].tensor
    with pytest.raises(RuntimeError):
        extract(net, [X[:4], torch.zeros(1, 1, 2, 2)], "2", to=tmp_path / "acts")
    assert torch.equal(rg.io.load_activations(tmp_path / "acts")["2"].tensor, old)
    extract(net, X[:5], "2", to=tmp_path / "acts")
    assert rg.io.load_activations(tmp_path / "acts")["2"].shape == (5, 10)
    assert [p.name for p in tmp_path.iterdir()] == ["acts"]


# ----------------------------------------------------------------- what is refused


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)
        self.unused = nn.ReLU()
        self.whole = nn.Identity()
        self.count = nn.Flatten(0)

    def forward(self, x):
        self.whole([1])
        self.count((x > 0).long().sum((1, 2)))
        return self.lstm(x)[0]


SEQUENCES = torch.randn(5, 9, 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "net"}, TypeError, "model must be a torch.nn.Module, got str"),
        ({"layers": []}, TypeError, "layers must be names or patterns of submodules, got []"),
        ({"layers": [3]}, TypeError, "got [3]. layer_names"),
        ({"layers": "lst"}, ValueError, "got 'lst', which is none. Did you mean 'lstm'?"),
        ({"layers": "unused"}, ValueError, "layer 'unused' must be called when the model runs, got batch 0"),
        (
            {"layers": "whole"},
            TypeError,
            "layer 'whole' must give a tensor, or a tuple or dict with one, got a list",
        ),
        ({"layers": "count"}, TypeError, "layer 'count' must give floating-point numbers, got int64"),
        ({"layout": "average"}, ValueError, "layout must be one of flatten, mean"),
        ({"layout": {"x": "mean"}}, ValueError, "got 'x', which is none of them"),
        ({"layout": 3}, TypeError, "layout must be a name, or a mapping"),
        ({"channels": "second"}, ValueError, "channels must be 'auto', 'first' or 'last'"),
        (
            {"dtype": torch.int8},
            TypeError,
            "dtype must be torch.float32, float64 or float16",
        ),
        ({"data": []}, ValueError, "data must hold at least one batch, got none"),
        ({"data": "x.npy"}, TypeError, "data must be a DataLoader, an iterable"),
        (
            {"data": [3]},
            TypeError,
            "a batch must be a tensor, a tuple that begins with one",
        ),
        ({"ids": ["a"]}, rg.ShapeError, "ids must name every input, got 1 for"),
        ({"ids": range(6)}, rg.ShapeError, "ids must name every input, got 6 for 5"),
        ({"ids": "abcde"}, ValueError, "ids must be a key of each batch, got 'abcde'"),
        ({"ids": [1, 1, 2, 3, 4]}, ValueError, "must be different, got 1 more than once"),
        (
            {"ids": [1, "1", 2, 3, 4]},
            TypeError,
            "all strings or all integers, got int, str",
        ),
        (
            {"ids": lambda b: [0]},
            rg.ShapeError,
            "ids of a batch must be one for each of 5 rows",
        ),
        ({"device": "gpu"}, ValueError, "device must be a device that torch can use here"),
        ({"to": "x.txt"}, ValueError, "activations are written to .npz, .safetensors, or"),
    ],
)
def test_odd_arguments_are_refused_in_words(options, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = {"model": Recurrent(), "data": SEQUENCES, "layers": "lstm", **options}
    with pytest.raises(error) as raised:
        extract(**call)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_rows_that_are_not_inputs_are_refused():
    class Merged(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Identity(), nn.Identity(), nn.Identity()

        def forward(self, x):
            self.a(x.flatten(0, 1))
            self.b(x)
            self.c(x[:, :2])
            return x

    with pytest.raises(
        rg.ShapeError, match=r"layer 'a' must give a row for each input, got shape \(45, 4\) for 5"
    ):
        extract(Merged(), SEQUENCES, "a")
    with pytest.raises(rg.ShapeError, match="layer 'b' must give equally many units for each batch, got 36"):
        extract(Merged(), [SEQUENCES, SEQUENCES[:, :7]], "b")
    with pytest.raises(
        rg.ShapeError, match="all layers must have the same rows, got 45 of 'b' and 10 of 'c'"
    ):
        extract(Merged(), SEQUENCES, ["b", "c"], layout="positions")


def test_data_that_change_their_order_need_names():
    loader = DataLoader(TensorDataset(X), batch_size=8, shuffle=True)
    with pytest.raises(
        ValueError, match="must come in the same order each time, got a DataLoader that shuffles"
    ):
        extract(convolutional(), loader, "2")
    with pytest.raises(
        ValueError, match="attention_mask must leave a token of each input, got none of input 1"
    ):
        extract(
            Encoder(),
            [{"input_ids": IDS[:2], "attention_mask": torch.tensor([[1] * 5, [0] * 5])}],
            "embed",
            layout="mean",
        )


def test_layers_that_run_only_sometimes_are_refused():
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Identity()

        def forward(self, x):
            self.a(x)
            return self.a(x) if len(x) == 4 else x

    with pytest.raises(
        ValueError, match="called equally often for each batch, got 'a#2' in some batches only"
    ):
        extract(Sometimes(), torch.randn(6, 3).split(4), "a")


def test_extraction_says_nothing_on_its_own():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract(convolutional(), X, "**", layout="mean")


# --------------------------------------------- what was found by trying, and mended


class Steps(nn.Module):
    """A batch-first model around modules that put the steps first."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 3)
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x):
        return self.rnn(self.encoder(x.transpose(0, 1)))[0].transpose(0, 1)


@pytest.mark.parametrize("steps", [5, 9])
def test_modules_that_put_the_batch_second_are_turned_around(steps):
    net, x = Steps().eval(), torch.randn(5, steps, 4)
    acts = extract(net, x, ["rnn", "encoder"], layout="last")
    assert torch.allclose(acts["rnn"].tensor, net(x)[:, -1].detach(), atol=1e-6)
    assert acts["encoder"].shape == (5, 4)
    with pytest.raises(
        rg.ShapeError, match=r"must give a row for each input, got shape \(5, 7, 3\) for 7 inputs"
    ):
        extract(nn.Sequential(nn.LSTM(4, 3)), torch.randn(7, 5, 4), "0")


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True},
        {"sampler": torch.utils.data.SubsetRandomSampler(range(20))},
        {"sampler": torch.utils.data.WeightedRandomSampler([1.0] * 20, 20)},
        {"batch_sampler": torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(range(20)), 8, False)},
        {"batch_sampler": [[3, 1], [0, 2]]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_loader_that_may_change_the_order_needs_names(options):
    size = {} if "batch_sampler" in options else {"batch_size": 8}
    loader = DataLoader(TensorDataset(X), **size, **options)
    with pytest.raises(ValueError, match="got a DataLoader that shuffles or takes a sample"):
        extract(convolutional(), loader, "2")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(7, 5) - 1e9 * (1 - MASK), "got shape (7, 5), other numbers"),
        (MASK[:, None, None], "got shape (7, 1, 1, 5)"),
        (MASK.tolist(), "got list"),
    ],
)
def test_masks_of_other_kinds_are_refused(mask, message):
    net = Encoder()
    batch = {"input_ids": IDS, "attention_mask": mask}
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        extract(net, [batch], "embed", layout="mean")
    assert message in str(raised.value)


def test_patterns_take_what_runs_and_names_must():
    net = Wrapped()
    assert next(iter(extract(net, [{"input_ids": IDS}], "**", layout="mean"))) == "encoder.embed"
    with pytest.raises(ValueError, match="layer 'encoder.layer' must be called"):
        extract(net, [{"input_ids": IDS}], ["encoder.layer", "**"])


def test_the_key_that_names_inputs_is_no_argument():
    batches = [{"input_ids": IDS[:4], "name": list("abcd")}, {"input_ids": IDS[4:], "name": list("efg")}]
    assert extract(Encoder(), batches, "embed", ids="name").ids == tuple("abcdefg")


def test_odd_names_of_layers_and_batches_without_inputs():
    net = nn.ModuleDict({"a#b": nn.Linear(4, 3)})
    acts = extract(
        net,
        [torch.randn(5, 2, 4), torch.randn(0, 2, 4)],
        "*",
        forward=lambda m, b: [f(b) for f in m.values()],
    )
    assert acts["a#b"].shape == (5, 6)
    vectors = nn.Sequential(nn.Flatten(0))
    assert extract(vectors, [torch.randn(4, 1), torch.randn(0, 1)], "0")["0"].shape == (4, 1)
    with pytest.raises(
        TypeError, match=r"a batch must be a tensor, .*, got a list of str. Run the model on it"
    ):
        extract(vectors, [["a", "b"]], "0")
    with pytest.raises(TypeError, match="layers must be names or patterns of submodules, got Flatten"):
        extract(vectors, X, vectors[0])


def test_what_is_extracted_in_inference_mode_can_be_used_with_gradients():
    with torch.inference_mode():
        acts = extract(convolutional(), X, "2")
    weight = torch.randn(10, requires_grad=True)
    (acts["2"].tensor @ weight).sum().backward()
    assert weight.grad is not None
    assert torch.backends.mha.get_fastpath_enabled()
