"""A tile is read as it was written, or not at all; killed runs and full disks cost no finished tile."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from repsim_geo.pairwise import store as module
from repsim_geo.pairwise.store import TileStore

RUN = {"metric": "AngularCKA()", "sizes": [20, 5], "networks": {"a": "0f3c", "b": "91d2"}, "ridge": None}
ODD = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e-40)
TILES = [
    (),
    (torch.tensor(2.5),),
    (torch.tensor(ODD, dtype=torch.float64), torch.tensor(ODD, dtype=torch.float32)),
    (torch.tensor([[True, False], [False, True]]), torch.tensor([-(2**63), 2**63 - 1])),
    (
        torch.empty(0),
        torch.empty(3, 0, 2, dtype=torch.int64),
        torch.tensor(True),
        torch.empty(0, dtype=torch.bool),
    ),
    (torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4).mT, torch.randn(6)[::2]),
]
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def store(tmp_path):
    return TileStore(tmp_path / "store", RUN)


def same(found, tile):
    """Equal in number, dtype, shape and every bit; nan and the sign of zero included."""
    return len(found) == len(tile) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
        for a, b in zip(found, tile, strict=True)
    )


def file_of(store, phase, number):
    return store.folder / phase / f"{number:08d}.tile"


def names(store):
    return sorted(path.name for path in store.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("tile", TILES)
def test_tiles_come_back_bit_for_bit(store, tile):
    store.put("gram", 3, tile)
    found = TileStore(store.folder, RUN).get("gram", 3)
    assert found is not None
    assert same(found, tile)
    assert all(t.is_contiguous() for t in found)


def test_unusual_bits_of_nan_survive(store):
    bits = torch.tensor([0x7FF0000000000001, -1, 0x7FF8000000000000])
    store.put("gram", 0, (bits.view(torch.float64),))
    found = store.get("gram", 0)[0]
    assert torch.equal(found.view(torch.int64), bits)


def test_what_is_read_may_be_changed(store):
    store.put("gram", 0, (torch.zeros(3),))
    store.get("gram", 0)[0].add_(1)
    assert same(store.get("gram", 0), (torch.zeros(3),))


def test_tensors_with_gradients_are_written_without(store):
    x = torch.ones(2, requires_grad=True)
    store.put("gram", 0, (2 * x,))
    assert same(store.get("gram", 0), (torch.full((2,), 2.0),))


def test_finished_lists_the_tiles_of_a_phase(store):
    assert store.finished("gram") == set()
    for number in (0, 7, 123456789):
        store.put("gram", number, (torch.tensor(number),))
    store.put("angles", 2, ())
    (store.folder / "gram" / "notes.txt").write_text("mine")
    assert store.finished("gram") == {0, 7, 123456789}
    assert store.finished("angles") == {2}
    assert store.get("gram", 1) is None
    assert store.get("angles", 7) is None
    assert store.unusable == []


def test_a_second_writing_replaces_the_first(store):
    store.put("gram", 0, (torch.zeros(100),))
    store.put("gram", 0, (torch.ones(3),))
    assert same(store.get("gram", 0), (torch.ones(3),))
    assert names(store) == ["00000000.tile", "run.json"]


def assert_absent(store, path, contents, match="checksum|begin"):
    """With these contents the file is no tile, a warning says why, and no other one is needed."""
    path.write_bytes(contents)
    with pytest.warns(RuntimeWarning, match=match) as caught:
        assert store.get("gram", 1) is None
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)


def test_every_changed_byte_is_noticed(store):
    store.put("gram", 1, (torch.tensor([1.0, 2.0]), torch.tensor([True])))
    path = file_of(store, "gram", 1)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            assert_absent(store, path, whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
    assert store.unusable == [path] * (3 * len(whole))
    path.write_bytes(whole)
    assert store.get("gram", 1) is not None


def test_every_length_but_the_right_one_is_noticed(store):
    store.put("gram", 1, (torch.tensor([1.0, 2.0]),))
    path = file_of(store, "gram", 1)
    whole = path.read_bytes()
    for length in range(len(whole)):
        assert_absent(store, path, whole[:length], "announces|begin")
        assert_absent(store, path, whole[:length] + bytes(len(whole) - length))
    for more in (b"\0", whole, bytes(1000)):
        assert_absent(store, path, whole + more, "announces")


@pytest.mark.parametrize("size", [0, 2**31, 2**62, 2**64 - 1])
def test_absurd_sizes_are_not_believed(store, size):
    store.put("gram", 1, (torch.tensor([1.0, 2.0]),))
    path = file_of(store, "gram", 1)
    whole = path.read_bytes()
    at = len(b"repsim_geo tile 1\n")
    for place in (at, at + 8):
        assert_absent(
            store, path, whole[:place] + size.to_bytes(8, "little") + whole[place + 8 :], "announces"
        )


@pytest.mark.parametrize(
    "kinds", ["5", '[["|O",[1]]]', '[["<f8",[2]]]', '[["<f8",[-1]]]', "[]", '[["<f8",["x"]]]']
)
def test_a_header_that_lies_is_not_believed(store, kinds):
    header = f'{{"number":1,"phase":"gram","run":"{store.run}","tensors":{kinds}}}'.encode()
    data = module._MAGIC + module._SIZES.pack(len(header), 8) + header + bytes(8)
    store.put("gram", 1, ())
    assert_absent(store, file_of(store, "gram", 1), data + module._checksum(data), "describe its contents")


def test_a_renamed_tile_is_noticed(store):
    store.put("gram", 0, (torch.zeros(2),))
    store.put("angles", 1, (torch.ones(2),))
    os.rename(file_of(store, "gram", 0), file_of(store, "gram", 1))
    with pytest.warns(RuntimeWarning, match="tile 1 of 'gram'.* holds tile 0 of 'gram': it was renamed"):
        assert store.get("gram", 1) is None
    shutil.copy(file_of(store, "angles", 1), file_of(store, "gram", 1))
    with pytest.warns(RuntimeWarning, match="holds tile 1 of 'angles'"):
        assert store.get("gram", 1) is None
    assert len(store.unusable) == 2


def test_a_tile_of_another_run_is_noticed_and_replaced(store, tmp_path):
    other = TileStore(tmp_path / "other", {**RUN, "sizes": [20, 6]})
    other.put("gram", 1, (torch.zeros(2),))
    store.put("gram", 1, (torch.ones(2),))
    shutil.copy(file_of(other, "gram", 1), file_of(store, "gram", 1))
    with pytest.warns(RuntimeWarning, match="another run. It counts as absent: the tile is computed again"):
        assert store.get("gram", 1) is None
    store.put("gram", 1, (torch.ones(2),))
    assert same(store.get("gram", 1), (torch.ones(2),))


def test_a_folder_in_place_of_a_tile_is_noticed(store):
    file_of(store, "gram", 1).mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="but it cannot be read"):
        assert store.get("gram", 1) is None
    with pytest.raises(OSError, match="tile 1 of 'gram'"):
        store.put("gram", 1, ())
    assert names(store) == ["run.json"]


def test_run_json_says_what_is_in_the_folder(store):
    record = json.loads((store.folder / "run.json").read_text())
    assert record == {"format": "repsim_geo tiles 1", "run": store.run, "description": RUN}
    assert TileStore(store.folder, dict(reversed(RUN.items()))).run == store.run


def test_another_run_is_refused_with_what_differs(store):
    before = (store.folder / "run.json").read_bytes()
    far = {"metric": "x" * 200 + "A", "sizes": [20, 5], "networks": {"a": "0f3c", "c": 1}, "block": 3.0}
    with pytest.raises(ValueError, match="the same computation") as caught:
        TileStore(store.folder, far)
    message = str(caught.value)
    for part in (
        'metric was "AngularCKA()", now "xxx',
        'networks.b was "91d2", now absent',
        "networks.c was absent, now 1",
        "and 1 more",
        "Use another folder, or delete this one",
        str(store.folder),
    ):
        assert part in message
    assert len(message) < 600
    assert (store.folder / "run.json").read_bytes() == before


def test_long_values_are_shown_where_they_differ(tmp_path):
    TileStore(tmp_path, {"metric": "x" * 500 + "old" + "y" * 500})
    with pytest.raises(ValueError, match='metric was "?[.]{3}x+oldy+[.]{3}, now [.]{3}x+newy+[.]{3}[.] Use'):
        TileStore(tmp_path, {"metric": "x" * 500 + "new" + "y" * 500})


def test_numbers_that_are_equal_but_not_the_same_are_other_runs(tmp_path):
    TileStore(tmp_path, {"block": 1})
    for other in (True, 1.0, "1"):
        with pytest.raises(ValueError, match="block was 1, now"):
            TileStore(tmp_path, {"block": other})


def test_folders_of_others_are_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"new or empty folder.*thesis.tex.*Use another folder"):
        TileStore(tmp_path, RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "text",
    ["{}", "", "[1]", '{"format": "repsim_geo tiles 0", "description": {}}', '{"description": {"a": NaN}}'],
)
def test_a_run_json_of_others_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json describes something else. Use another folder"):
        TileStore(tmp_path, RUN)
    assert (tmp_path / "run.json").read_text() == text


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        with pytest.raises(NotADirectoryError, match="store must be a folder"):
            TileStore(tmp_path / name, RUN)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1}, torch.zeros(1), {1: "a", "1": "b"}])
def test_what_json_cannot_express_is_refused(tmp_path, value):
    with pytest.raises(TypeError, match="what JSON can express.*repr"):
        TileStore(tmp_path / "new", {"key": [value]})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("phase", ["", "..", "a/b", "a b", "0a", "grün", "run.json", "C:"])
def test_phases_are_plain_identifiers(store, phase):
    for call in (store.finished, lambda p: store.get(p, 0), lambda p: store.put(p, 0, ())):
        with pytest.raises(ValueError, match="phase must be a plain identifier"):
            call(phase)


def test_numbers_count_from_zero(store):
    with pytest.raises(ValueError, match="number must not be negative, got -1"):
        store.put("gram", -1, ())


def test_other_dtypes_are_refused(store):
    with pytest.raises(TypeError, match="float32, float64, int64, bool, got complex64"):
        store.put("gram", 0, (torch.zeros(2, dtype=torch.complex64),))
    assert store.finished("gram") == set()


def test_threads_share_a_store(store):
    def work(task):
        number, _ = task
        tile = (torch.full((50,), float(number)), torch.tensor(number))
        store.put("gram", number, tile)
        return same(store.get("gram", number), tile)

    # Every tile is written four times, by whoever comes.
    tasks = [(number, turn) for turn in range(4) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, tasks))
    assert store.finished("gram") == set(range(40))
    assert store.unusable == []
    assert len(names(store)) == 41


def test_readers_see_the_old_tile_or_the_new_one(store):
    tiles = [(torch.full((size,), float(size)),) for size in (10, 20_000)]
    store.put("gram", 0, tiles[0])
    done = threading.Event()

    def write():
        for turn in range(60):
            store.put("gram", 0, tiles[turn % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        found = store.get("gram", 0)
        assert any(same(found, tile) for tile in tiles)
    writer.join()
    assert store.unusable == []


def test_runs_that_start_together_share_a_folder(tmp_path):
    start = threading.Barrier(8)

    def opened(_):
        start.wait()
        store = TileStore(tmp_path / "new", RUN)
        store.put("gram", 0, (torch.ones(2),))
        return store.get("gram", 0)

    with ThreadPoolExecutor(8) as threads:
        assert all(same(found, (torch.ones(2),)) for found in threads.map(opened, range(8)))


def fail(*_):
    raise FULL


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_tile(store, monkeypatch, call):
    store.put("gram", 5, (torch.zeros(4),))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(
            OSError, match=r"tile 5 of 'gram' .*No space left.*finished tiles are kept"
        ) as caught:
            store.put("gram", 5, (torch.ones(4),))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(file_of(store, "gram", 5))
    assert same(store.get("gram", 5), (torch.zeros(4),))
    assert names(store) == ["00000005.tile", "run.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
def test_a_write_that_stops_halfway_leaves_the_old_tile(tmp_path):
    # A limit on the size of files stops the writing itself, as a full disk would.
    script = f"""
        import resource, torch
        from repsim_geo.pairwise.store import TileStore
        store = TileStore({str(tmp_path)!r}, {{"metric": "a"}})
        store.put("gram", 5, (torch.zeros(4),))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            store.put("gram", 5, (torch.ones(100_000),))
        except OSError as error:
            print(error)
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert "tile 5 of 'gram' (400" in out.stdout
    store = TileStore(tmp_path, {"metric": "a"})
    assert same(store.get("gram", 5), (torch.zeros(4),))
    assert names(store) == ["00000005.tile", "run.json"]


def test_a_folder_that_cannot_be_flushed_does_no_harm(store, monkeypatch):
    def refuse(path, *args):
        raise PermissionError(errno.EACCES, "not on this system")

    monkeypatch.setattr(os, "open", refuse)
    store.put("gram", 0, (torch.ones(1),))
    assert same(store.get("gram", 0), (torch.ones(1),))


def test_leftovers_of_killed_writers_are_removed(store):
    store.put("gram", 0, (torch.ones(1),))
    ending = ".0123456789abcdef.tmp"
    old = [store.folder / f"run.json{ending}", store.folder / "gram" / f"00000001.tile{ending}"]
    kept = [store.folder / "gram" / f"00000002.tile{ending}", store.folder / "gram" / "mine.tmp"]
    for path in old + kept:
        path.write_bytes(b"half a ti")
    long_ago = time.time() - 3700
    for path in [*old, kept[1]]:
        os.utime(path, (long_ago, long_ago))
    assert store.finished("gram") == {0}
    again = TileStore(store.folder, RUN)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)
    assert again.finished("gram") == {0}


def test_a_start_that_was_killed_does_not_spoil_the_folder(tmp_path):
    (tmp_path / "run.json.0123456789abcdef.tmp").write_bytes(b'{"form')
    TileStore(tmp_path, RUN).put("gram", 0, ())
    assert TileStore(tmp_path, RUN).finished("gram") == {0}


WRITER = """
import sys, torch
from concurrent.futures import ThreadPoolExecutor
from repsim_geo.pairwise.store import TileStore

store = TileStore(sys.argv[1], {"metric": "a"})

def work(number):
    generator = torch.Generator().manual_seed(number)
    store.put("gram", number, (torch.randn(20_000, generator=generator), torch.tensor(number)))

with ThreadPoolExecutor(3) as threads:
    for _ in threads.map(work, range(100_000)):
        pass
"""


def expected(number):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(20_000, generator=generator), torch.tensor(number)


@pytest.mark.parametrize("many", [1, 40])
def test_a_killed_run_leaves_only_valid_tiles(tmp_path, many):
    folder = tmp_path / "store"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
    try:
        deadline = time.monotonic() + 60
        while not (folder / "gram").exists() or len(os.listdir(folder / "gram")) < many:
            assert writer.poll() is None, "the writer ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        writer.kill()
        writer.wait()
    if sys.platform != "win32":
        assert writer.returncode == -signal.SIGKILL
    store = TileStore(folder, {"metric": "a"})
    finished = store.finished("gram")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(same(store.get("gram", number), expected(number)) for number in finished)
    for number in range(max(finished, default=0) + 3):
        if number not in finished:
            assert store.get("gram", number) is None
            store.put("gram", number, expected(number))
    again = TileStore(folder, {"metric": "a"})
    assert again.finished("gram") >= set(range(max(finished, default=0) + 3))
    assert all(same(again.get("gram", number), expected(number)) for number in again.finished("gram"))
    assert again.unusable == []
