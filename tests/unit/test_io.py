"""What is written is read again, what is damaged is refused, and an old file outlives a failed write."""

import errno
import io
import json
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
import torch
import zarr

import repsim_geo as rg
from repsim_geo import _files
from repsim_geo.io import (
    DistanceTable,
    array_names,
    load_activations,
    load_distances,
    row_ids,
    save_activations,
    save_distances,
)

NAMES = ["cat.png", "dog, brown", "owl\n1", "füchse"]
LAYERS = {  # in no order of the alphabet
    "stem": torch.zeros(4, 1).scatter(0, torch.tensor([[1]]), 1.0),
    "block/conv 1": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),
    "head": torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
}


# --------------------------------------------------------------- activations


@pytest.mark.parametrize("file", ["net.npz", "net.safetensors", "net", "NET.NPZ"])
@pytest.mark.parametrize("ids", [NAMES, [7, 3, 5, 1], None])
def test_activations_are_read_as_they_were_written(file, ids, tmp_path):
    save_activations(LAYERS, tmp_path / file, ids=ids)
    again = load_activations(tmp_path / file)
    assert list(again) == list(LAYERS)
    assert again.ids == (None if ids is None else tuple(ids))
    for name, x in LAYERS.items():
        assert torch.equal(again[name].tensor, x)
        assert again[name].tensor.dtype == x.dtype
    assert list(load_activations(tmp_path / file, ["head"])) == ["head"]
    assert list(load_activations(tmp_path / file, "head")) == ["head"]
    assert array_names(tmp_path / file) == list(LAYERS)
    assert row_ids(f"{tmp_path / file}::head") == again.ids
    assert [p.name for p in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("file", ["net.npz", "net.safetensors", "net"])
def test_pairwise_reads_names_of_rows_from_files(file, tmp_path):
    for name, ids in (("a", NAMES), ("b", NAMES), ("c", NAMES[::-1])):
        save_activations(LAYERS, tmp_path / f"{name}-{file}", ids=ids)
    a, b, c = (f"{tmp_path / name}-{file}::head" for name in "abc")
    assert float(rg.pairwise([a, b])[0, 1]) < 1e-7
    with pytest.raises(rg.MismatchedRowsError, match="they are the same, but row 0 is 'cat.png' in reps"):
        rg.pairwise([a, b, c])
    with pytest.raises(rg.MismatchedRowsError):
        rg.pairwise([a, rg.Activations(LAYERS["head"], NAMES[::-1])])


def test_layers_of_a_folder_are_memory_maps_and_their_files_know_the_rows(tmp_path):
    save_activations(LAYERS, tmp_path / "net", ids=NAMES)
    acts = load_activations(tmp_path / "net")
    assert isinstance(acts["head"].values, np.memmap)
    assert row_ids(tmp_path / "net" / "head.npy") == tuple(NAMES)
    assert rg.compare(acts["head"], rg.Activations(LAYERS["head"], NAMES)) < 1e-7
    assert (tmp_path / "net" / "block%2Fconv%201.npy").exists()


def test_files_of_others_are_read_too(tmp_path):
    x = LAYERS["head"].numpy()
    np.save(tmp_path / "plain.npy", x)
    np.savez(tmp_path / "mixed.npz", features=x, labels=np.arange(4), note=np.array("text"))
    with h5py.File(tmp_path / "some.h5", "w") as file:
        file["a/b"], file["c"] = x, x.astype("float32")
    zarr.save_array(str(tmp_path / "one.zarr"), x)
    assert list(load_activations(tmp_path / "plain.npy")) == ["plain"]
    assert list(load_activations(tmp_path / "mixed.npz")) == ["features"]
    assert list(load_activations(tmp_path / "some.h5")) == ["a/b", "c"]
    assert torch.equal(load_activations(tmp_path / "one.zarr")["one"].tensor, LAYERS["head"])
    half = {"h": torch.randn(4, 2).bfloat16()}
    save_activations(half, tmp_path / "half.safetensors")
    assert torch.equal(load_activations(tmp_path / "half.safetensors")["h"].tensor, half["h"].float())


def test_names_that_no_system_takes_get_files_of_their_own(tmp_path):
    layers = {"x" * 400: LAYERS["head"], "ü" * 100: LAYERS["head"] + 1, "con": LAYERS["head"] + 2}
    save_activations(layers, tmp_path / "net")
    again = load_activations(tmp_path / "net")
    assert list(again) == list(layers)
    assert torch.equal(again["con"].tensor, layers["con"])
    assert all(len(p.name) < 255 and p.stem.lower() != "con" for p in (tmp_path / "net").iterdir())
    with pytest.raises(ValueError, match="ids must fit into 64 bits"):
        save_activations({"a": LAYERS["head"]}, tmp_path / "big.npz", ids=[2**70 + i for i in range(4)])


def test_names_that_differ_in_capitals_get_files_of_their_own(tmp_path):
    save_activations({"Conv": LAYERS["head"], "conv": LAYERS["head"] + 1}, tmp_path / "net")
    again = load_activations(tmp_path / "net")
    assert torch.equal(again["conv"].tensor, again["Conv"].tensor + 1)


@pytest.mark.parametrize(
    ("layers", "file", "error", "message"),
    [
        (
            LAYERS["head"],
            "a.npz",
            TypeError,
            "layers must be a mapping from names to activations, got Tensor",
        ),
        ({}, "a.npz", ValueError, "layers must hold at least one layer, got none"),
        (
            LAYERS,
            "a.pt",
            ValueError,
            "activations are written to .npz, .safetensors, or the name of a folder",
        ),
        (LAYERS, "a.npy", ValueError, "got 'a.npy'. Choose one of these"),
        ({"../../evil": LAYERS["head"]}, "a.npz", ValueError, "cannot hold a layer called '../../evil'"),
        ({"/etc/evil": LAYERS["head"]}, "a.safetensors", ValueError, "names of files must lie inside of it"),
        ({"row_ids": LAYERS["head"]}, "a.npz", ValueError, "'row_ids' holds the names of rows. Rename"),
        ({"": LAYERS["head"]}, "a", ValueError, "cannot hold a layer called ''"),
        ({"a": LAYERS["head"], "b": torch.ones(3, 2)}, "a", rg.ShapeError, "got 4 rows of 'a' and 3 of 'b'"),
        (LAYERS, "taken", ValueError, "must be a new folder, or one of layers, got other files there"),
        (LAYERS, "file", ValueError, "must be a new folder, or one of layers, got a file there"),
    ],
)
def test_what_cannot_be_written_is_refused(layers, file, error, message, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(error) as raised:
        save_activations(layers, tmp_path / file)
    assert message in str(raised.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "taken", "thesis.txt"]


# ------------------------------------------------------ damaged and malicious


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/repsim_geo_was_here",))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def random_bytes(path):
    path.write_bytes(np.random.default_rng(0).bytes(500))


def empty(path):
    path.write_bytes(b"")


def pickled(path):
    path.write_bytes(pickle.dumps(Evil()))


def objects(path):
    array = np.empty((4, 2), dtype=object)
    array[:] = Evil()
    if path.suffix == ".npz":
        np.savez(path, head=array)
    else:
        np.save(path, array, allow_pickle=True)


def npy_of(shape, data=b"", dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def claims_too_much(path):
    data = npy_of((10**9, 10**6))
    if path.suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("head.npy", data)
    else:
        path.write_bytes(data)


def header_that_is_code(path):
    data = npy_of((4, 2)).replace(b"'shape'", b"__import__('os').system('touch /tmp/repsim_geo_was_here')")
    path.write_bytes(data)


def safetensors_with(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def long_header(path):
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")


def overlapping(path):
    entry = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 32]}
    path.write_bytes(safetensors_with({"head": entry}, bytes(32)))


def deep(path):
    path.write_bytes(safetensors_with(b"[" * 100_000))


def odd_ids(path):
    entry = {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32]}
    header = {"__metadata__": {"row_ids": '["a", "a", "b", "c"]'}, "head": entry}
    path.write_bytes(safetensors_with(header, bytes(range(32))))


def few_ids(path):
    np.savez(path, head=LAYERS["head"].numpy(), row_ids=np.array(["a", "b"]))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *[
            ("net.npz", d)
            for d in (truncated, random_bytes, empty, pickled, objects, claims_too_much, few_ids)
        ],
        *[("net.npy", d) for d in (truncated, random_bytes, empty, pickled, objects, claims_too_much)],
        ("net.npy", header_that_is_code),
        *[("net.safetensors", d) for d in (truncated, random_bytes, empty, pickled, long_header)],
        *[("net.safetensors", d) for d in (overlapping, deep, odd_ids)],
        *[("net.h5", d) for d in (truncated, random_bytes, empty, pickled)],
    ],
)
def test_damaged_and_malicious_files_are_refused_in_words(file, damage, tmp_path):
    path = tmp_path / file
    if path.suffix == ".npy":
        np.save(path, LAYERS["head"].numpy())
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as opened:
            opened["head"] = LAYERS["head"].numpy()
    else:
        save_activations(LAYERS, path)
    damage(path)
    start = time.monotonic()
    with pytest.raises((ValueError, TypeError)) as raised:
        load_activations(path, ["net" if file == "net.npy" else "head"])
    assert path.name in str(raised.value)
    assert time.monotonic() - start < 2
    assert not os.path.exists("/tmp/repsim_geo_was_here")


def bomb(path):
    """A file of some kilobytes that says it holds gigabytes, and does."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("head.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_of((2**22, 2**14)))
        for _ in range(64):
            member.write(bytes(2**20))


def test_a_bomb_is_read_by_rows_or_refused(tmp_path):
    bomb(tmp_path / "bomb.npz")
    with pytest.raises(ValueError, match="must have .* bytes .*, got"):
        load_activations(tmp_path / "bomb.npz")


def test_what_is_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    from repsim_geo.io import activations

    save_activations(LAYERS, tmp_path / "net.npz")
    monkeypatch.setattr(activations, "as_bytes", lambda memory: 10)
    with pytest.raises(ValueError, match=r"must fit into memory, got 128 B. Choose some with layers="):
        load_activations(tmp_path / "net.npz")
    monkeypatch.setattr(activations, "as_bytes", lambda memory: 20)
    assert list(load_activations(tmp_path / "net.npz", ["head"])) == ["head"]


@pytest.mark.parametrize(
    "index",
    [
        '{"format": 1, "layers": {"head": "../../etc/passwd.npy"}}',
        '{"format": 1, "layers": {"head": "/etc/passwd.npy"}}',
        '{"format": 1, "layers": {"head": "secret.txt"}}',
        '{"format": 1, "layers": {"head": 5}}',
        '{"format": 2, "layers": {}}',
        '{"format": 1}',
        '["a"]',
        "not json",
        "[" * 100_000,
        '{"format": 1, "layers": {"head": "head.npy"}, "row_ids": ["a"]}',
        '{"format": 1, "layers": {"head": "head.npy"}, "row_ids": 5}',
        '{"format": 1, "layers": {"head": "absent.npy"}}',
    ],
)
def test_an_index_that_leads_astray_is_refused(index, tmp_path):
    save_activations(LAYERS, tmp_path / "net")
    (tmp_path / "net" / "activations.json").write_text(index)
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        load_activations(tmp_path / "net")
    assert "net" in str(raised.value)


def test_members_of_archives_are_never_written_anywhere(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    with zipfile.ZipFile(folder / "net.npz", "w") as archive:
        archive.writestr("../../evil.npy", npy_of((4, 2), bytes(range(32))))
    acts = load_activations(folder / "net.npz")
    assert list(acts) == ["../../evil"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inside", "net.npz"]
    with pytest.raises(ValueError, match="cannot hold a layer called"):
        save_activations(acts, tmp_path / "copy")


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("absent.npz", FileNotFoundError, "must be an existing file"),
        ("net.pkl", ValueError, "must be a file that ends in .npy, .npz"),
        ("net.npz::nothing", ValueError, "no layer called 'nothing' in"),
        ("folder", ValueError, "must be a file that ends in"),
    ],
)
def test_names_of_no_file_are_refused(path, error, message, tmp_path):
    (tmp_path / "folder").mkdir()
    save_activations(LAYERS, tmp_path / "net.npz")
    (tmp_path / "net.pkl").write_bytes(b"x")
    with pytest.raises(error, match=message):
        load_activations(tmp_path / path)
    with pytest.raises(ValueError, match="no layer called 'tail' in .* Known: stem, block/conv 1, head"):
        load_activations(tmp_path / "net.npz", ["tail"])


# ------------------------------------------------------------------ distances

TABLE = DistanceTable(
    torch.tensor([[0.0, 0.1, 1e-7], [0.1, 0.0, 1 / 3], [1e-7, 1 / 3, 0.0]], dtype=torch.float64),
    ["cat, the", 'dog "x"', "füchse"],
    metric="angular_cka",
    unit="radians",
)


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tables_are_read_as_they_were_written(suffix, dtype, tmp_path):
    table = DistanceTable(TABLE.distances.to(dtype), TABLE.rows, metric="angular_cka", unit="radians")
    save_distances(table, tmp_path / f"d{suffix}")
    again = load_distances(tmp_path / f"d{suffix}")
    assert (again.rows, again.columns, again.metric, again.unit) == (
        table.rows,
        table.columns,
        "angular_cka",
        "radians",
    )
    assert torch.equal(again.distances.to(dtype), table.distances)
    assert repr(again) == "<DistanceTable: 3 x 3, angular_cka (radians)>"


def test_tables_are_frames_and_labeled_arrays():
    frame, array = TABLE.to_pandas(), TABLE.to_xarray()
    assert frame.loc["füchse", "cat, the"] == 1e-7
    assert float(array.sel(network="füchse", other="cat, the")) == 1e-7
    assert array.attrs["unit"] == "radians"
    assert DistanceTable(torch.zeros(2, 3)).columns == ("0", "1", "2")


def test_spreadsheets_and_bare_matrices_are_read(tmp_path):
    (tmp_path / "d.csv").write_text("\ufeff,a,b\r\na,0,0.5\r\nb,0.5,\r\n\r\n")
    table = load_distances(tmp_path / "d.csv")
    assert table.rows == ("a", "b")
    assert table.distances[0, 1] == 0.5
    assert table.distances[1, 1].isnan()
    np.save(tmp_path / "d.npy", TABLE.distances.numpy())
    assert load_distances(tmp_path / "d.npy").rows == ("0", "1", "2")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("d.csv", b"", "0 lines"),
        ("d.csv", b"just a sentence", "1 lines"),
        ("d.csv", b",a,b\na,0\n", "1 numbers under 2 names in line 2"),
        ("d.csv", b",a,b\na,0,zero\n", "could not convert string to float: 'zero' in line 2"),
        ("d.csv", b"\xff\xfe\x00\x01", "must be a table of distances"),
        ("d.csv", b",a\na," + b"x" * 200_000, "field larger than field limit"),
        ("d.npz", b"", "a zip archive"),
        ("d.npz", pickle.dumps(Evil()), "a zip archive"),
        ("d.npy", pickle.dumps(Evil()), "must be a table of distances"),
        ("d.npy", npy_of((10**9, 10**6)), "must be a table of distances"),
        ("d.npy", npy_of((4,), bytes(16)), "must be a matrix"),
        ("d.npy", npy_of((2, 2), bytes(16), "<i4"), "floating-point numbers"),
        ("d.safetensors", safetensors_with({}), "must be a table of distances"),
        ("d.safetensors", b"\0" * 7, "safetensors file"),
        ("d.txt", b"0 1", "distances are kept in .csv, .npz or .safetensors files, got 'd.txt'"),
    ],
)
def test_what_is_no_table_is_refused_in_words(file, content, message, tmp_path):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_distances(tmp_path / file)
    assert not os.path.exists("/tmp/repsim_geo_was_here")


def test_a_bomb_among_tables_is_refused(tmp_path):
    bomb(tmp_path / "d.npz")
    os.rename(tmp_path / "d.npz", tmp_path / "e.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("distances.npy", npy_of((2**22, 2**14)))
    with pytest.raises(ValueError, match="must be a table of distances"):
        load_distances(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="no array called 'distances' among head.npy"):
        load_distances(tmp_path / "e.npz")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: DistanceTable(torch.zeros(3)), rg.ShapeError, "distances must be a matrix"),
        (lambda: DistanceTable(torch.zeros(3, 3, dtype=int)), rg.ShapeError, "got shape (3, 3) and int64"),
        (lambda: DistanceTable(torch.zeros(3, 3), ["a"]), rg.ShapeError, "rows must be a name for each of 3"),
        (lambda: save_distances(torch.zeros(3, 3), "d.csv"), TypeError, "table must be a DistanceTable"),
        (lambda: save_distances(TABLE, "d.txt"), ValueError, "got 'd.txt'. Choose one of these"),
        (lambda: load_distances("absent.csv"), FileNotFoundError, "must be an existing file, got absent.csv"),
    ],
)
def test_odd_tables_are_refused_in_words(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)


# ------------------------------------------------------------ failed writes


WRITERS = {
    "d.csv": lambda path: save_distances(TABLE, path),
    "d.npz": lambda path: save_distances(TABLE, path),
    "d.safetensors": lambda path: save_distances(TABLE, path),
    "a.npz": lambda path: save_activations(LAYERS, path, ids=NAMES),
    "a.safetensors": lambda path: save_activations(LAYERS, path, ids=NAMES),
    "folder": lambda path: save_activations(LAYERS, path, ids=NAMES),
}


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("file", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(file, tmp_path, monkeypatch):
    WRITERS[file](tmp_path / file)
    before = contents(tmp_path)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        WRITERS[file](tmp_path / file)
    assert contents(tmp_path) == before


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "d.csv"
    save_distances(TABLE, path)
    before = path.read_bytes()
    code = (
        "import sys, torch; from repsim_geo.io import DistanceTable, save_distances; print('ready', "
        "flush=True)\nwhile True: save_distances(DistanceTable(torch.rand(300, 300)), sys.argv[1])"
    )
    for delay in (0.02, 0.05, 0.11, 0.17):
        worker = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        worker.stdout.readline()
        time.sleep(delay)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        now = load_distances(path)
        assert path.read_bytes() == before or now.distances.shape == (300, 300)
