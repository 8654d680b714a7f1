"""A source gives the same rows wherever they live, or says which file of which network is wrong."""

import functools
import io
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
import zarr

from repsim_geo import ShapeError
from repsim_geo.sources import Source, as_source

M, D = 23, 6


def array(dtype="float32", shape=(M, D)):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def as_tensor(x, at):
    return torch.from_numpy(x)


def as_array(x, at):
    return x


def as_list(x, at):
    return x.tolist()


def as_memmap(x, at):
    np.save(at / "map.npy", x)
    return np.load(at / "map.npy", mmap_mode="r")


def as_npy(x, at):
    np.save(at / "a.npy", x)
    return at / "a.npy"


def as_fortran_npy(x, at):
    np.save(at / "f.npy", np.asfortranarray(x))
    return str(at / "f.npy")


def as_other_endian_npy(x, at):
    np.save(at / "b.npy", x.astype(x.dtype.newbyteorder(">")))
    return at / "b.npy"


def as_npz(x, at):
    np.savez(at / "a.npz", other=np.arange(3), wanted=x)
    return f"{at / 'a.npz'}::wanted"


def as_compressed_npz(x, at):
    np.savez_compressed(at / "c.npz", x)
    return at / "c.npz"


def as_safetensors(x, at):
    tensors = {"other": torch.zeros(3), "wanted": torch.from_numpy(x.copy())}
    safetensors.torch.save_file(tensors, at / "a.safetensors", {"made": "here"})
    return f"{at / 'a.safetensors'}::wanted"


def as_hdf5(x, at):
    with h5py.File(at / "a.h5", "w") as file:
        file["other"] = np.arange(3)
        file.create_dataset("deep/wanted", data=x, chunks=True, compression="gzip")
    return f"{at / 'a.h5'}::deep/wanted"


def as_hdf5_dataset(x, at):
    return h5py.File(as_hdf5(x, at).split("::")[0], "r")["deep/wanted"]


def as_hdf5_dataset_in_memory(x, at):
    file = h5py.File("nowhere.h5", "w", driver="core", backing_store=False)
    return file.create_dataset("wanted", data=x)


def as_zarr(x, at):
    zarr.save_group(str(at / "a.zarr"), other=np.arange(3), wanted=x)
    return f"{at / 'a.zarr'}::wanted"


def as_lone_zarr(x, at):
    zarr.open(str(at / "lone.zarr"), mode="w", shape=x.shape, dtype=x.dtype)[:] = x
    return at / "lone.zarr"


def as_zarr_array(x, at):
    return zarr.open(as_zarr(x, at).split("::")[0], mode="r")["wanted"]


def as_zarr_array_in_memory(x, at):
    return zarr.array(x)


def as_callable(x, at):
    return functools.partial(str, as_npy(x, at))


def as_callable_of_array(x, at):
    return functools.partial(as_array, x, at)


IN_MEMORY = [as_tensor, as_array, as_list, as_hdf5_dataset_in_memory]
IN_FILES = [
    as_memmap,
    as_npy,
    as_fortran_npy,
    as_other_endian_npy,
    as_npz,
    as_compressed_npz,
    as_safetensors,
    as_hdf5,
    as_hdf5_dataset,
    as_zarr,
    as_lone_zarr,
    as_zarr_array,
]
ELSEWHERE = [as_zarr_array_in_memory, as_callable, as_callable_of_array]
EVERY = [*IN_MEMORY, *IN_FILES, *ELSEWHERE]
SHAPES = [(M, D), (M, 2, 3, 2), (M, 1), (1, D), (M, 1, 3, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", EVERY)
def test_rows_are_those_of_the_array(kind, shape, tmp_path):
    x = array(shape=shape)
    flat = torch.from_numpy(x.reshape(len(x), -1))
    source = as_source(kind(x, tmp_path), "reps[0]")
    assert isinstance(source, Source)
    assert (source.name, source.shape, source.dtype) == ("reps[0]", tuple(flat.shape), torch.float32)
    assert source.device == torch.device("cpu")
    assert (source.resident is not None) == (kind in IN_MEMORY)
    for start, stop in ((0, 1), (len(x) // 2, len(x)), (0, len(x)), (len(x) // 3, len(x) // 3 + 1)):
        assert torch.equal(source.rows(start, stop), flat[start:stop])
    assert torch.equal(source.whole(), flat)
    assert as_source(source, "again") is source


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not as_list])
def test_float64_stays(kind, tmp_path):
    x = array("float64")
    source = as_source(kind(x, tmp_path), "x")
    assert source.dtype == torch.float64
    assert torch.equal(source.rows(2, 9), torch.from_numpy(x[2:9]))


@pytest.mark.parametrize("kind", [*IN_FILES, as_zarr_array_in_memory, as_callable])
def test_float16_on_disk_is_read_as_float32(kind, tmp_path):
    x = array("float16")
    source = as_source(kind(x, tmp_path), "x")
    assert source.dtype == torch.float32
    assert torch.equal(source.rows(2, 9), torch.from_numpy(x[2:9].astype("float32")))


def test_bfloat16_on_disk_is_read_as_float32(tmp_path):
    x = torch.from_numpy(array(shape=(M, 2, 3, 2))).bfloat16()
    safetensors.torch.save_file({"x": x}, tmp_path / "x.safetensors")
    source = as_source(tmp_path / "x.safetensors", "x")
    assert source.dtype == torch.float32
    assert torch.equal(source.rows(2, 9), x[2:9].float().flatten(1))


@pytest.mark.parametrize("kind", EVERY)
def test_pickled_source_reads_the_same(kind, tmp_path):
    x = array(shape=(400, 50))
    source = as_source(kind(x, tmp_path), "reps['a']")
    source.rows(0, 3)
    data = pickle.dumps(source)
    assert kind not in IN_FILES or len(data) < 1000
    back = pickle.loads(data)
    assert (back.name, back.shape, back.dtype) == (source.name, source.shape, source.dtype)
    assert back.fingerprint() == source.fingerprint()
    assert torch.equal(back.rows(5, 71), torch.from_numpy(x[5:71]))


def test_pickle_holds_the_view_and_not_what_surrounds_it():
    stack = torch.zeros(100, 10, 10)
    assert len(pickle.dumps(as_source(stack[3], "x"))) < 2000


def test_files_are_found_from_another_folder(tmp_path, monkeypatch):
    x = array()
    as_npy(x, tmp_path)
    monkeypatch.chdir(tmp_path)
    source = as_source("a.npy", "x")
    monkeypatch.chdir("/")
    assert torch.equal(pickle.loads(pickle.dumps(source)).whole(), torch.from_numpy(x))


@pytest.mark.parametrize("kind", EVERY)
def test_threads_read_their_own_rows(kind, tmp_path):
    x = array(shape=(200, 4))
    source = as_source(kind(x, tmp_path), "x")
    starts = [(7 * i) % 190 for i in range(100)]
    with ThreadPoolExecutor(4) as pool:
        for start, rows in zip(starts, pool.map(lambda i: source.rows(i, i + 10), starts), strict=True):
            assert torch.equal(rows, torch.from_numpy(x[start : start + 10]))


# --- in memory


def test_tensor_keeps_its_memory_and_its_graph():
    x = torch.randn(5, 2, 3, 2, requires_grad=True)
    source = as_source(x, "x")
    assert source.resident.data_ptr() == x.data_ptr()
    source.rows(1, 3).sum().backward()
    assert x.grad.count_nonzero() == 24
    assert not pickle.loads(pickle.dumps(source)).resident.requires_grad


def test_array_shares_its_memory():
    x = array()
    assert as_source(x, "x").resident.data_ptr() == x.ctypes.data


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(3, 2).half(), TypeError, r"reps\[1\] must hold float32 or float64 numbers, got float16"),
        (np.ones((3, 2), int), TypeError, "got int64. Convert it"),
        (torch.ones(3), ShapeError, r"must have shape \(m, d\)"),
        (torch.ones(4, 3, 2), ShapeError, r"one representation \(m, d\), got shape \(4, 3, 2\). Flatten"),
        (torch.ones(0, 3), ShapeError, "must not be empty"),
        (None, TypeError, "tensor or an array of numbers"),
        (3.0, ShapeError, r"got shape \(\)"),
        (zarr.array(np.ones((3, 2), int)), TypeError, r"got int64 in a zarr.*Convert it"),
    ],
)
def test_what_is_not_activations(x, error, message):
    with pytest.raises(error, match=message):
        as_source(x, "reps[1]")


# --- memory maps


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[3:],
        lambda x: x[3:][2:9],
        lambda x: x[::2],
        lambda x: x[4::3, 2:5],
        lambda x: x[:, 3:],
        lambda x: x[:6].T,
        lambda x: x[:, 1:][3:],
        lambda x: x[5:6],
        lambda x: x.reshape(-1, 3)[1:],
        lambda x: x.reshape(M, 3, 1, 2)[2:],
        lambda x: x.reshape(M, 3, 1, 2).transpose(0, 3, 2, 1)[2:],
        lambda x: x[1:].view(np.memmap)[:, :, None, None],
    ],
)
@pytest.mark.parametrize("offset", [0, 8, 5000])
def test_views_of_a_memory_map_are_read_from_the_right_place(view, offset, tmp_path):
    x = array()
    (tmp_path / "x.bin").write_bytes(bytes(offset) + x.tobytes())
    mapped = view(np.memmap(tmp_path / "x.bin", np.float32, "r", offset, (M, D)))
    assert isinstance(mapped, np.memmap)
    source = as_source(mapped, "x")
    want = torch.from_numpy(np.ascontiguousarray(view(x))).flatten(1)
    assert source.resident is None
    assert torch.equal(source.whole(), want)
    assert torch.equal(source.rows(len(want) - 1, len(want)), want[-1:])
    assert len(pickle.dumps(source)) < 1000
    assert torch.equal(pickle.loads(pickle.dumps(source)).whole(), want)


def test_changes_through_a_writable_map_are_seen(tmp_path):
    x = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=(M, D))
    source = as_source(x, "x")
    x[3] = 7
    assert torch.equal(source.rows(3, 4), torch.full((1, D), 7.0))


def test_map_whose_changes_stay_in_memory_is_an_array_in_memory(tmp_path):
    as_npy(array(), tmp_path)
    x = np.load(tmp_path / "a.npy", mmap_mode="c")
    x[0] = 7
    assert torch.equal(as_source(x, "x").resident[0], torch.full((D,), 7.0))


@pytest.mark.parametrize("view", [lambda x: x[:, ::2], lambda x: x[::-1], lambda x: x[:, ::-1]])
def test_map_with_rows_in_pieces(view, tmp_path):
    with pytest.raises(
        ValueError, match=r"rows or columns in one piece, .* strides .* numpy.array\(reps\[2\]\)"
    ):
        as_source(view(as_memmap(array(), tmp_path)), "reps[2]")


def test_map_of_a_file_that_was_replaced(tmp_path):
    x = as_memmap(array(), tmp_path)
    np.save(tmp_path / "new.npy", array() + 1)
    os.replace(tmp_path / "new.npy", tmp_path / "map.npy")
    with pytest.raises(ValueError, match=r"reps\[2\]: row 0 of the memory map .* replaced .* Map it again"):
        as_source(x, "reps[2]")


# --- functions


class Counted:
    """Module-level, so that it can be pickled."""

    calls = 0

    def __init__(self, *results):
        self.results = results

    def __call__(self):
        self.calls += 1
        return self.results[min(self.calls, len(self.results)) - 1]


def test_function_is_called_anew_and_its_result_forgotten():
    made = Counted(np.zeros((4, 2)), np.ones((4, 2)), np.full((4, 2), 2.0))
    source = as_source(made, "x")
    first = source.fingerprint()
    assert made.calls == 1
    assert torch.equal(source.whole(), torch.ones(4, 2, dtype=torch.float64))
    assert torch.equal(source.rows(1, 3), torch.full((2, 2), 2.0, dtype=torch.float64))
    assert made.calls == 3
    assert source.fingerprint() == first


def test_function_is_sliceable_if_its_result_is(tmp_path):
    assert not as_source(as_callable_of_array(array(), tmp_path), "x").sliceable
    assert as_source(as_callable(array(), tmp_path), "x").sliceable
    assert as_source(array(), "x").sliceable


def test_function_that_returns_something_else():
    source = as_source(Counted(torch.ones(4, 2), torch.ones(5, 2)), "reps[2]")
    with pytest.raises(ValueError, match=r"reps\[2\] is a function .* got \(4, 2\).* at first and \(5, 2\)"):
        source.whole()
    with pytest.raises(TypeError, match=r"reps\[2\] is a function .* got another function"):
        as_source(lambda: print, "reps[2]")
    with pytest.raises(TypeError, match=r"reps\[2\] must hold float32"):
        as_source(lambda: torch.ones(3, 2, dtype=torch.int64), "reps[2]")


# --- damaged, foreign and missing files


def cut(path, by=40):
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - by)


@pytest.mark.parametrize("kind", [as_npy, as_fortran_npy, as_npz, as_compressed_npz, as_safetensors, as_hdf5])
def test_file_that_was_cut_off(kind, tmp_path):
    place = str(kind(array(), tmp_path))
    cut(place.split("::")[0])
    with pytest.raises(ValueError, match=rf"reps\[1\]: {tmp_path}.* must .*got .*again"):
        as_source(place, "reps[1]")


@pytest.mark.parametrize("kind", [as_memmap, as_npy, as_fortran_npy, as_npz, as_safetensors])
def test_file_that_shrinks_after_it_was_opened(kind, tmp_path):
    place = kind(array(), tmp_path)
    source = as_source(place, "reps[1]")
    path = str(getattr(place, "filename", place)).split("::")[0]
    cut(path, os.path.getsize(path) - 100)
    for read in (lambda: source.rows(0, 1), source.whole):
        with pytest.raises(
            ValueError, match=rf"reps\[1\]: {tmp_path}.* keep its .* cut off after it was opened"
        ):
            read()


def test_file_that_shrinks_while_it_is_read(tmp_path):
    source = as_source(as_npy(array(), tmp_path), "reps[1]")
    with pytest.raises(ValueError, match=r"reps\[1\]: .*cut off after it was opened"):
        source._fill(io.BytesIO(b"abc"), memoryview(bytearray(8)))


@pytest.mark.parametrize("kind", [as_compressed_npz, as_hdf5])
def test_compressed_file_that_breaks_after_it_was_opened(kind, tmp_path):
    place = str(kind(np.zeros((5000, 60), "float32") + array(shape=(5000, 60)), tmp_path))
    source = as_source(place, "reps[1]")
    path = place.split("::")[0]
    cut(path, os.path.getsize(path) // 2)
    with pytest.raises(ValueError, match=rf"reps\[1\]: {tmp_path}.* must be an? .* cannot be read"):
        source.whole()


@pytest.mark.parametrize(("kind", "error"), [(as_hdf5, "stay as it is"), (as_zarr, "stay as it is")])
def test_dataset_that_changes_after_it_was_opened(kind, error, tmp_path):
    source = as_source(kind(array(), tmp_path), "reps[1]")
    kind(array(shape=(M - 1, D)), tmp_path)
    with pytest.raises(
        ValueError, match=rf"reps\[1\]: .* {error} .*\(23, 6\) float32 at first and \(22, 6\)"
    ):
        source.rows(0, 2)


@pytest.mark.parametrize(
    "kind", [kind for kind in IN_FILES if kind not in (as_zarr, as_lone_zarr, as_zarr_array)]
)
def test_file_that_vanishes(kind, tmp_path):
    source = as_source(kind(array(), tmp_path), "reps[1]")
    for path in tmp_path.iterdir():
        path.unlink()
    for read in (source.whole, source.fingerprint):
        with pytest.raises(FileNotFoundError, match=rf"reps\[1\] must be an existing file, got {tmp_path}"):
            read()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".h5", ".hdf5", ".zarr", ".pt"])
def test_missing_file(suffix, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=rf"reps\[1\] must be an existing file, got {tmp_path}/a\{suffix}"
    ):
        as_source(f"{tmp_path}/a{suffix}", "reps[1]")


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"something else altogether", b"\xff" * 400])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".h5", ".hdf5"])
def test_file_of_another_format(suffix, content, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"reps\[1\]: {path} must be an? .* cannot be read: .* Check that"):
        as_source(path, "reps[1]")


def test_folder_that_is_not_zarr(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(ValueError, match=r"reps\[1\]: .*a.zarr must be a Zarr folder .*cannot be read"):
        as_source(tmp_path / "a.zarr", "reps[1]")


def test_folder_for_a_file_and_file_for_a_folder(tmp_path):
    (tmp_path / "a.npy").mkdir()
    (tmp_path / "a.zarr").write_bytes(b"")
    with pytest.raises(ValueError, match="a.npy must be a file, got a folder"):
        as_source(tmp_path / "a.npy", "x")
    with pytest.raises(ValueError, match="a.zarr must be a folder, got a file"):
        as_source(tmp_path / "a.zarr", "x")


def test_unknown_suffix(tmp_path):
    torch.save(torch.ones(3, 2), tmp_path / "a.pt")
    with pytest.raises(
        ValueError, match=r"reps\[1\] must be a file that ends in .npy, .* got .*a.pt. Write it"
    ):
        as_source(tmp_path / "a.pt", "reps[1]")


class Malicious:
    def __reduce__(self):
        return os.abort, ()


def test_objects_are_not_unpickled(tmp_path):
    x = np.array([[Malicious(), 1], [2, 3]], dtype=object)
    np.save(tmp_path / "a.npy", x)
    np.savez_compressed(tmp_path / "a.npz", x=x)
    for file in ("a.npy", "a.npz"):
        with pytest.raises(TypeError, match=r"reps\[1\] must hold float32 .* got object in .*a.np[yz]"):
            as_source(tmp_path / file, "reps[1]")


@pytest.mark.parametrize("kind", IN_FILES)
def test_numbers_of_other_kinds_on_disk(kind, tmp_path):
    x = np.arange(12).reshape(6, 2)
    with pytest.raises(
        TypeError, match=rf"x must hold float32 or float64 numbers .*, got int64 in .*{tmp_path}.*Convert it"
    ):
        as_source(kind(x, tmp_path), "x")


@pytest.mark.parametrize("x", [np.zeros((3, 2), "f4,f4"), np.array([["a", "b"]]), np.zeros((3, 2), "M8[s]")])
def test_arrays_that_are_not_numbers(x, tmp_path):
    with pytest.raises(TypeError, match="must hold float32 .* got .*a.npy"):
        as_source(as_npy(x, tmp_path), "x")


@pytest.mark.parametrize("shape", [(), (M,), (4, 3, 2), (0, 3)])
@pytest.mark.parametrize(
    "kind", [as_npy, as_npz, as_compressed_npz, as_safetensors, as_hdf5_dataset_in_memory]
)
def test_arrays_of_other_shapes(kind, shape, tmp_path):
    with pytest.raises(ShapeError, match=r"^x must (have|be|not be) .*read from"):
        as_source(kind(np.ones(shape, "float32"), tmp_path), "x")


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b'{"x": 1}',
        b'{"x": {"dtype": "F32", "shape": [2, 3]}}',
        b'{"x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 20]}}',
        b'{"x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [-24, 0]}}',
        b'{"x": {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}}',
        b'{"x": {"dtype": "F32", "shape": [2, "a"], "data_offsets": [0, 24]}}',
        b'{"x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]}}',
        b"\xff\xfe",
    ],
)
def test_safetensors_with_a_wrong_header(header, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(ValueError, match=r"reps\[1\]: .*a.safetensors(::x)? must .*again"):
        as_source(path, "reps[1]")


def test_safetensors_of_eight_bits(tmp_path):
    safetensors.torch.save_file({"x": torch.ones(3, 2).to(torch.float8_e4m3fn)}, tmp_path / "a.safetensors")
    with pytest.raises(TypeError, match=r"got safetensors F8_E4M3 in .*a.safetensors::x"):
        as_source(tmp_path / "a.safetensors", "x")


def test_npy_with_a_negative_size(tmp_path):
    path = as_npy(array(shape=(10, 10)), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"(10, 10)", b"(-9, 10)"))
    with pytest.raises(ValueError, match=r"must have .* for \(-9, 10\)"):
        as_source(path, "x")


def test_npz_with_a_password(tmp_path):
    np.savez(tmp_path / "a.npz", x=array())
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.npz must be a zip archive .* encrypted"):
        as_source(tmp_path / "a.npz", "x")


def test_hdf5_dataset_of_a_closed_file(tmp_path):
    x = as_hdf5_dataset(array(), tmp_path)
    x.file.close()
    with pytest.raises(ValueError, match=r"reps\[1\] must be an open dataset"):
        as_source(x, "reps[1]")


def test_hdf5_dataset_that_was_just_written(tmp_path):
    x = array()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        source = as_source(file.create_dataset("x", data=x), "x")
        assert torch.equal(source.whole(), torch.from_numpy(x))
    assert torch.equal(source.whole(), torch.from_numpy(x))


# --- names of arrays


@pytest.mark.parametrize("kind", [as_npz, as_safetensors, as_hdf5, as_zarr])
def test_name_of_the_array(kind, tmp_path):
    path = kind(array(), tmp_path).split("::")[0]
    with pytest.raises(
        ValueError, match=rf"reps\[1\]: {path} holds 2 arrays, got no name .*::.*Known: .*wanted"
    ):
        as_source(path, "reps[1]")
    with pytest.raises(
        ValueError,
        match=rf"reps\[1\]: no array called '\S*wnted' in {path}. Did you mean '\S*wanted'\? Known: ",
    ):
        as_source(f"{path}::{'deep/' if kind is as_hdf5 else ''}wnted", "reps[1]")


def test_name_of_a_group_is_not_one_of_an_array(tmp_path):
    path = as_hdf5(array(), tmp_path).split("::")[0]
    with pytest.raises(ValueError, match=r"no array called 'deep' .* Known: deep/wanted, other"):
        as_source(f"{path}::deep", "x")


def test_groups_hold_arrays_and_are_none(tmp_path):
    with h5py.File(as_hdf5(array(), tmp_path).split("::")[0]) as file:
        for group in (file, file["deep"], zarr.open(as_zarr(array(), tmp_path).split("::")[0], mode="r")):
            with pytest.raises(
                TypeError, match=r"reps\[1\] must be one array .*, got a (File|Group) of (h5py|zarr)"
            ):
                as_source(group, "reps[1]")


def test_arrays_deep_in_a_zarr_folder(tmp_path):
    x = array()
    zarr.save_array(str(tmp_path / "a.zarr"), x, path="one/two")
    assert torch.equal(as_source(tmp_path / "a.zarr", "x").whole(), torch.from_numpy(x))


def test_npy_has_no_names(tmp_path):
    with pytest.raises(ValueError, match="one array without a name, got 'layer4'"):
        as_source(f"{as_npy(array(), tmp_path)}::layer4", "x")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_file_without_arrays(suffix, tmp_path):
    if suffix == ".npz":
        zipfile.ZipFile(tmp_path / "a.npz", "w").close()
    else:
        safetensors.torch.save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="must hold an array, got none"):
        as_source(tmp_path / f"a{suffix}", "x")


def test_colons_in_a_file_name(tmp_path):
    np.save(tmp_path / "a::b.npy", array())
    assert as_source(tmp_path / "a::b.npy", "x").shape == (M, D)


@pytest.mark.parametrize(("library", "suffix"), [("h5py", ".h5"), ("zarr", ".zarr")])
def test_missing_extra(library, suffix, tmp_path, monkeypatch):
    (tmp_path / f"a{suffix}").mkdir() if suffix == ".zarr" else (tmp_path / f"a{suffix}").touch()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"Reading a{suffix} needs {library}, .*repsim-geo\[files\]"):
        as_source(tmp_path / f"a{suffix}", "x")


# --- fingerprints


@pytest.mark.parametrize("kind", EVERY)
def test_fingerprint_changes_with_the_content(kind, tmp_path):
    x = array()
    before = as_source(kind(x, tmp_path), "x").fingerprint()
    assert as_source(kind(x, tmp_path), "y").fingerprint() == before or kind not in IN_MEMORY
    other = x.copy()
    other[4, 1] += 1
    for path in tmp_path.rglob("*"):
        os.utime(path, ns=(0, 0))  # the clock of some file systems is coarse
    assert as_source(kind(other, tmp_path), "x").fingerprint() != before


@pytest.mark.parametrize("kind", IN_FILES)
def test_fingerprint_of_a_source_changes_with_its_file(kind, tmp_path):
    source = as_source(kind(array(), tmp_path), "x")
    before = source.fingerprint()
    assert source.fingerprint() == before
    path = max((path for path in tmp_path.rglob("*") if path.is_file()), key=os.path.getsize)
    os.utime(path, ns=(0, 0))
    assert source.fingerprint() != before


def test_fingerprint_tells_entries_and_places_apart(tmp_path):
    x = array()
    np.savez(tmp_path / "a.npz", a=x, b=x)
    mapped = as_memmap(x, tmp_path)
    sources = [as_source(f"{tmp_path}/a.npz::{entry}", "x") for entry in "ab"]
    sources += [as_source(part, "x") for part in (mapped, mapped[:9], mapped[1:10], mapped[:, :3])]
    sources += [as_source(part, "x") for part in (x, x.reshape(2 * M, D // 2), x.view("float64"))]
    assert len({source.fingerprint() for source in sources}) == len(sources)


def test_fingerprint_of_a_zarr_array_is_not_changed_by_its_neighbors(tmp_path):
    place = as_zarr(array(), tmp_path)
    before = as_source(place, "x").fingerprint()
    zarr.open(place.split("::")[0], mode="r+")["other"][0] = 7
    assert as_source(place, "x").fingerprint() == before


def test_fingerprint_of_a_large_array_sees_its_ends_and_its_shape():
    x = torch.zeros(9_000_000, 2)
    prints = [as_source(x, "x").fingerprint(), as_source(x.reshape(2, -1), "x").fingerprint()]
    for row in (0, -1):
        x[row] += 1
        prints.append(as_source(x, "x").fingerprint())
    assert len(set(prints)) == 4


# --- memory

READ = """
import sys
from pathlib import Path
from repsim_geo.sources import as_source
import numpy as np

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

how = sys.argv[2]
x = np.load(sys.argv[1], mmap_mode="r") if how == "memmap" else sys.argv[1]
source = as_source(x, "x")
block = source.shape[0] if how == "whole" else 5120
source.rows(0, 1).sum()
Path("/proc/self/clear_refs").write_text("5")  # the peak of the imports is forgotten
before = peak()
for start in range(0, source.shape[0], block):
    source.rows(start, start + block).sum()
print(peak() - before)
"""


# Not from resource.getrusage: a process inherits the peak of its parent there.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")
@pytest.mark.parametrize("kind", ["npy", "memmap", "fortran", "safetensors", "npz", "compressed", "whole"])
def test_200_megabytes_by_blocks_of_10(kind, tmp_path):
    x = np.zeros((102_400, 512), "float32")  # 200 MiB
    x[:] = np.arange(512)
    path = tmp_path / {"safetensors": "a.safetensors", "npz": "a.npz", "compressed": "a.npz"}.get(
        kind, "a.npy"
    )
    if kind == "safetensors":
        safetensors.torch.save_file({"x": torch.from_numpy(x)}, path)
    elif kind in ("npz", "compressed"):
        (np.savez if kind == "npz" else np.savez_compressed)(path, x)
    else:
        np.save(path, np.asfortranarray(x) if kind == "fortran" else x)
    command = [sys.executable, "-c", READ, str(path), kind]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # KiB
    assert grown > 190_000 if kind == "whole" else 9_000 < grown < 40_000


def test_no_warnings_for_read_only_arrays_of_files(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in IN_FILES:
            as_source(kind(array(), tmp_path), "x").rows(0, 3)
