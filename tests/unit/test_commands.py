"""The commands on files of activations: what they answer, write and refuse."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import repsim_geo as rg
from repsim_geo import cli
from repsim_geo.cli.common import metric_of
from repsim_geo.cli.networks import networks_of, short_names
from repsim_geo.io import DistanceTable, load_activations, load_distances, save_activations, save_distances

IDS = [f"image{i}" for i in range(30)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with three networks of three layers, four single layers, and where the commands run."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(30, 6, dtype=torch.float64, generator=generator)
    for k, file in enumerate(("a.npz", "b.safetensors", "c")):
        layers, h = {}, base
        for name in ("stem", "block", "head"):
            h = torch.tanh(h @ torch.randn(h.shape[1], 5 + k, dtype=torch.float64, generator=generator))
            layers[name] = h
        save_activations(layers, tmp_path / file, ids=IDS)
    (tmp_path / "last").mkdir()
    for k in (1, 2, 10, 11):
        np.save(tmp_path / "last" / f"run{k}.npy", base.numpy() + k / 10 * np.roll(base.numpy(), 1, 0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app(), [str(a) for a in arguments], prog_name="repsim-geo")


def answer(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(*arguments):
    return json.loads(answer(*arguments, "--json"))


def activations(name):
    return rg.pairwise.__globals__["as_source"](name, name).whole()


# ------------------------------------------------------------------- answers


def test_compare_says_the_distance_of_two_files(files):
    x, y = (torch.from_numpy(np.load(f"last/run{k}.npy")) for k in (1, 2))
    assert answer("compare", "last/run1.npy", "last/run2.npy") == f"{float(rg.compare(x, y)):.6g} radians\n"
    facts = as_json("compare", "last/run1.npy", "last/run2.npy", "-m", "angular_shape", "-o", "whiten=0.5")
    assert facts["distances"] == [[pytest.approx(float(rg.compare(x, y, "angular_shape", whiten=0.5)))]]
    assert (facts["metric"], facts["unit"]) == ("angular_shape", "radians")


def test_compare_goes_layer_by_layer_where_there_are_several(files):
    facts = as_json("compare", "a.npz", "b.safetensors")
    assert facts["rows"] == facts["columns"] == ["stem", "block", "head"]
    a, b = load_activations("a.npz"), load_activations("b.safetensors")
    wanted = [[float(rg.compare(x, y)) for y in b.values()] for x in a.values()]
    np.testing.assert_allclose(facts["distances"], wanted, atol=1e-12)
    one = as_json("compare", "a.npz::head", "c::stem")
    assert one["distances"] == [[pytest.approx(float(rg.compare(a["head"], load_activations("c")["stem"])))]]
    own = answer("compare", "a.npz", "a.npz").splitlines()[2:]
    assert [row.split()[1 + i] for i, row in enumerate(own)] == ["0", "0", "0"]
    text = answer("compare", "a.npz", "c")
    assert text.splitlines()[:2] == ["angular_cka (radians)", "        stem  block    head"]


def test_pairwise_takes_folders_in_natural_order(files):
    facts = as_json("pairwise", "last", "--output", "d.csv")
    assert facts["rows"] == ["run1", "run2", "run10", "run11"]
    reps = [torch.from_numpy(np.load(f"last/{name}.npy")) for name in facts["rows"]]
    np.testing.assert_allclose(facts["distances"], rg.pairwise(reps), atol=1e-12)
    table = load_distances("d.csv")
    assert (table.metric, table.unit, table.rows) == ("angular_cka", "radians", tuple(facts["rows"]))
    np.testing.assert_array_equal(table.distances, facts["distances"])


def test_pairwise_names_layers_by_their_network(files):
    facts = as_json("pairwise", "a.npz", "b.safetensors", "last/run1.npy", "--metric", "angular_rdm")
    assert facts["rows"] == ["a/stem", "a/block", "a/head", "b/stem", "b/block", "b/head", "run1"]
    assert networks_of(["a.npz", "c"])[1] == ["a"] * 3 + ["c"] * 3


def test_files_of_one_stem_are_two_networks(files):
    np.savez("last/run1.npz", head=np.random.default_rng(0).standard_normal((30, 4)))
    facts = as_json("pairwise", "last/run1.npy", "last/run1.npz", "last/run2.npy")
    assert facts["rows"] == ["run1.npy", "run1.npz", "run2.npy"]
    assert np.shape(facts["distances"]) == (3, 3)


def test_warnings_are_told_in_one_line(files):
    np.save("few.npy", np.random.default_rng(0).standard_normal((8, 7)))
    np.save("more.npy", np.random.default_rng(1).standard_normal((8, 7)))
    result = run("compare", "few.npy", "more.npy", "-m", "angular_shape", "-o", "whiten=0.9")
    assert result.exit_code == 0, result.output
    for line in result.stderr.splitlines():
        assert line.startswith("repsim-geo: warning: ")


def test_pairwise_of_many_networks_is_a_summary(files):
    for k in range(15):
        np.save(f"last/more{k}.npy", np.random.default_rng(k).standard_normal((30, 4)))
    text = answer("pairwise", "last", "--no-progress")
    assert text.startswith("angular_cka, 19 networks, 171 pairs (radians)\nnearest")
    assert "run1 and run2" in text or "run10 and run11" in text
    assert "most central: " in text


def test_pairwise_explains_keeps_and_goes_on(files):
    assert "memory budget 2 GB" in answer("pairwise", "last", "--explain", "--memory", "2GB")
    first = as_json("pairwise", "last", "--store", "tiles")
    assert (files / "tiles" / "run.json").exists()
    assert as_json("pairwise", "last", "--store", "tiles", "--jobs", 2) == first


def test_mean_is_that_of_the_library_and_its_activations_have_its_distances(files):
    facts = as_json("mean", "last", "-m", "angular_shape", "--output", "mean.npz")
    metric = rg.AngularShape()
    reps = [torch.from_numpy(np.load(f"last/run{k}.npy")) for k in (1, 2, 10, 11)]
    fitted = rg.FrechetMean(metric).fit(torch.stack([metric.embed(x) for x in reps]))
    assert facts["standard_deviation"] == pytest.approx(float(fitted.variance_) ** 0.5)
    assert facts["converged"] is True
    mean = load_activations("mean.npz")["mean"].tensor
    found = [float(rg.compare(mean, x, metric)) for x in reps]
    assert found == pytest.approx(list(facts["distances"].values()), abs=1e-7)
    assert "converged after" in answer("mean", "last")


def test_mean_keeps_the_names_of_rows(files):
    answer("mean", "a.npz::head", "c::head", "-m", "size_and_shape", "--output", "mean.safetensors")
    assert load_activations("mean.safetensors").ids == tuple(IDS)


def test_path_describes_every_network(files):
    facts = as_json("path", "a.npz", "c")["networks"]
    metric = rg.AngularCKA()
    layers = load_activations("a.npz")
    wanted = rg.describe_path(metric, torch.stack([metric.embed(x) for x in layers.values()]))
    assert facts["a"]["layers"] == ["stem", "block", "head"]
    assert facts["a"]["length"] == pytest.approx(float(wanted.length))
    assert facts["a"]["turning_angles"] == pytest.approx(wanted.turning_angles.tolist())
    to_run = as_json("path", "a.npz", "--target", "last/run1.npy")["networks"]["a"]
    assert to_run["to_target"][-1] == pytest.approx(
        float(rg.compare(layers["head"], torch.from_numpy(np.load("last/run1.npy"))))
    )
    assert list(as_json("path", "last")["networks"]["network"]["layers"]) == [
        "run1",
        "run2",
        "run10",
        "run11",
    ]


@pytest.mark.parametrize("scaling", ["metric", "classical", "spherical"])
def test_embed_takes_activations_or_a_table(files, scaling):
    answer("pairwise", "last", "--output", "d.npz")
    by_files = as_json("embed", "last", "--scaling", scaling, "--output", "xy.csv")
    by_table = as_json("embed", "d.npz", "--scaling", scaling)
    np.testing.assert_allclose(by_files["coordinates"], by_table["coordinates"], atol=1e-9)
    rows = list(csv.reader(Path("xy.csv").read_text().splitlines()))
    assert rows[0][:2] == ["label", "axis 1"]
    assert [row[0] for row in rows[1:]] == by_files["labels"]
    np.testing.assert_allclose([list(map(float, r[1:])) for r in rows[1:]], by_files["coordinates"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "a.npz", "c"),
        ("pairwise", "last"),
        ("pairwise", "a.npz", "b.safetensors"),
        ("embed", "last"),
        ("embed", "last", "--scaling", "spherical"),
        ("path", "a.npz", "b.safetensors", "c"),
        ("path", "a.npz", "--target", "last/run1.npy"),
        ("mean", "last"),
        ("mean", "a.npz", "c"),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures_are_drawn(files, arguments, suffix):
    result = run(*arguments, "--picture", f"picture.{suffix}")
    assert result.exit_code == 0, result.output
    assert f"wrote picture.{suffix}" in result.stderr
    if suffix == "png":
        image = np.asarray(Image.open("picture.png").convert("L"))
        assert 0.002 < (image < 200).mean() < 0.95


def test_metrics_are_those_of_the_registry(files):
    cards = as_json("metrics")
    assert set(cards) == set(rg.available_metrics())
    one = as_json("metrics", "procrustes")
    assert list(one) == ["size_and_shape"]
    assert "whiten" in one["size_and_shape"]["options"]
    text = answer("metrics", "angular_cka")
    assert "does not notice" in text
    assert "kornblith2019" in text


def test_options_are_numbers_truth_values_kernels_or_text():
    assert metric_of("angular_cka", ["debiased=true"]).card.key == "angular_cka_debiased"
    assert "RBF" in repr(metric_of("angular_cka", ["kernel=RBF(0.5*median)"]))
    assert "ArcCosine" in repr(metric_of("stress", ["kernel=arccosine", "rescale=True"]).embedding)
    assert metric_of("size_and_shape", ["p=3"]).embed(torch.randn(6, 9)).shape == (6, 3)
    assert metric_of("affine_invariant", ["mode=cov"]).embed(torch.randn(9, 3)).shape == (3, 3)


def test_labels_are_as_short_as_they_can_be():
    assert short_names(["x/a.npy", "x/b.npy"]) == ["a", "b"]
    assert short_names(["x/a.npz::l", "y/a.npz::l"]) == ["x/a/l", "y/a/l"]
    assert short_names(["x/a.npy", "x/a.npz", "b.npy"]) == ["a.npy", "a.npz", "b.npy"]


def test_a_reader_that_has_seen_enough_is_no_error(files):
    start = [sys.executable, "-m", "repsim_geo.cli", "metrics"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_demo_passes_its_arguments_on(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr("repsim_geo.demo.__main__.main", lambda arguments: called.append(arguments) or 0)
    assert run("demo", "--quick", "--out", tmp_path, "--seed", 3).exit_code == 0
    assert called == [["--out", str(tmp_path), "--seed", "3", "--quick"]]


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("compare absent.npy last/run1.npy", "must be an existing file"),
        ("compare last/run1.npy", "Missing argument 'Y'"),
        ("compare a.npz::tail c", "no array called 'tail'"),
        ("compare notes.txt a.npz", "must be a file that ends in .npy"),
        ("compare text.npy a.npz", "must be a .npy file as numpy.save writes it"),
        ("compare pickled.npy a.npz", "Convert it"),
        ("compare short.npy a.npz", "must describe the same inputs: got 9 rows and 30 rows"),
        ("compare shuffled.npz a.npz", "they are the same, but row 0 is"),
        ("compare nan.npy last/run1.npy", "must be finite, got nan"),
        ("compare integers.npy last/run1.npy", "must hold float32 or float64 numbers"),
        ("compare last/run1.npy last/run2.npy -m angular_ck", "Did you mean 'angular_cka'?"),
        ("compare last/run1.npy last/run2.npy -o whiten", "--option must be KEY=VALUE, got 'whiten'"),
        ("compare last/run1.npy last/run2.npy -o whitten=1", "angular_cka has no option 'whitten'"),
        ("compare last/run1.npy last/run2.npy -p picture.jpg", "ends in .png, .pdf, .svg, got picture.jpg"),
        ("compare last/run1.npy last/run2.npy -p nowhere/picture.png", "in a directory that exists"),
        ("compare last/run1.npy last/run2.npy --output d.txt", "ends in .csv, .npz, .safetensors, got d.txt"),
        ("pairwise", "Missing argument 'FILE...'"),
        ("pairwise last/run1.npy", "at least 2 networks, got 1"),
        ("pairwise empty", "must hold activations"),
        ("pairwise last/run1.npy last/run1.npy", "given once, got last/run1.npy more than once"),
        ("pairwise last --memory lots", "memory must be a number of bytes"),
        ("pairwise last --jobs 0", "n_jobs must be a number of workers"),
        ("pairwise last --store notes.txt", "store must be a folder"),
        ("pairwise last --output last", "ends in .csv"),
        ("mean last --output mean.npy", "ends in .npz, .safetensors, got mean.npy"),
        ("mean last -m linear_subspace -o k=50", "k"),
        ("path a.npz last/run1.npy", "either every file must hold the layers"),
        ("path last/run1.npy", "at least 2 networks"),
        ("embed last --scaling flat", "--scaling"),
        ("embed last -k 3 -p map.png", "a map has 2 components, got --components 3"),
        ("embed square.csv -m stress", "--metric and --option are for activations, and square.csv holds"),
        ("compare last a.npz", "last must be one network, got a folder"),
        ("pairwise last/*.npz", "is a pattern that the shell has found no file for"),
        ("embed rectangle.csv", "distances of networks from each other, got 2 x 3"),
        ("embed broken.csv", "must be a table of distances"),
        ("metrics angular", "no metric called 'angular'"),
        ("demo --seed x", "--seed"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_written(files, arguments, words):
    Path("notes.txt").write_text("hello")
    Path("text.npy").write_text("hello, this is text")
    Path("broken.csv").write_text("a sentence")
    Path("empty").mkdir()
    np.save("pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save("short.npy", np.random.default_rng(0).standard_normal((9, 3)))
    np.save("nan.npy", np.full((30, 3), np.nan))
    np.save("integers.npy", np.ones((30, 3), int))
    save_activations(load_activations("a.npz").select(IDS[::-1]), "shuffled.npz")
    save_distances(DistanceTable(torch.rand(3, 3)), "square.csv")
    save_distances(DistanceTable(torch.rand(2, 3), ["a", "b"], ["c", "d", "e"]), "rectangle.csv")
    before = sorted(map(str, Path().rglob("*")))
    result = run(*arguments.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert words in result.stderr
    assert sorted(map(str, Path().rglob("*"))) == before


def test_a_mean_that_is_no_representation_is_not_written(files, monkeypatch):
    monkeypatch.setattr(rg.AngularCKA, "in_image", lambda self, point: torch.tensor(False))
    result = run("mean", "last", "--output", "mean.npz")
    assert result.exit_code == 2
    assert "is a point that no activations have, so that mean.npz was not written" in result.stderr
    assert not os.path.exists("mean.npz")
