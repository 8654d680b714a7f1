"""Activations of a network by blocks of rows, whether in memory, in a file or behind a function."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import mmap
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import accumulate
from operator import mul
from typing import IO, Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._extras import need
from repsim_geo.activations import Ids, unlabeled
from repsim_geo.errors import ShapeError
from repsim_geo.sources.folders import (
    LARGEST_INDEX,
    LAYER_ORDER,
    ROW_IDS,
    is_folder_of_layers,
    read_ids,
    read_index,
)

_SMALL = 64 * 2**20  # bytes of an array that a fingerprint reads whole
_SAMPLED = 256  # rows of a larger one
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
_HALF = {"float16": torch.float32, "bfloat16": torch.float32}
_SAFETENSORS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip
_NPZ = "a zip archive as numpy.savez writes it"
_SUFFIXES = ".npy, .npz, .safetensors, .h5, .hdf5 or .zarr"
_DAMAGED_HEADER = (ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error)
_HDF5_LOCK = threading.RLock()  # HDF5 is not parallel within a process


class Source(ABC):
    """
    Activations of one network, wherever they live, read by blocks of rows.

    A source can be pickled: one in memory with its data (without its graph of gradients), one in a file by
    the file's absolute name, one behind a function or another library's object as far as these can be.

    Parameters
    ----------
    name : str
        What messages call it, such as "reps[3]".
    shape : tuple of int
        (m, d), inputs and units; channels and positions of convolutional activations (m, c, h, w) are units.
    dtype : torch.dtype
        Of the rows: float32 or float64.
    device : torch.device
        Of the rows.

    Attributes
    ----------
    resident : Tensor, shape (m, d), or None
        The whole tensor, if it lives in memory.
    sliceable : bool
        Whether a block of rows costs less than the whole. If not, take whole() once per pass.
    ids : tuple of str or int, or None
        Names of the rows, where they are known.
    """

    resident: Tensor | None = None
    sliceable: bool = True
    ids: Ids | None = None

    def __init__(
        self,
        name: str,
        shape: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device = torch.device("cpu"),
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.device = device

    @abstractmethod
    def rows(self, start: int, stop: int) -> Tensor:
        """
        Rows from `start` up to `stop`, which are trusted to lie between 0 and m.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        Tensor, shape (stop - start, d)

        Raises
        ------
        ValueError, FileNotFoundError
            The file is no longer what it was when the source was made.
        """

    def whole(self) -> Tensor:
        """
        All rows.

        Returns
        -------
        Tensor, shape (m, d)
        """
        return self.rows(0, self.shape[0])

    def fingerprint(self) -> str:
        """
        Short text that changes when the content could have changed, without reading much of it.

        A file is known by its absolute name, size and time of change, and by which part of it is read; an
        array in a Zarr folder by those of all its files. Anything else is known by a hash of shape, dtype and
        all numbers if they fill no more than 64 MiB, and otherwise of 256 rows, evenly spread from the first
        to the last: a change between these goes unseen. A function is known by what its first call returned.

        Returns
        -------
        str
        """
        m, d = self.shape
        digest = hashlib.blake2b(repr((self.shape, self.dtype)).encode(), digest_size=16)
        if m * d * self.dtype.itemsize <= _SMALL:
            blocks: Iterable[Tensor] = [self.whole()]
        else:
            chosen = sorted({i * (m - 1) // (_SAMPLED - 1) for i in range(_SAMPLED)})
            blocks = (self.rows(i, i + 1) for i in chosen)
        for block in blocks:
            digest.update(block.detach().cpu().contiguous().numpy())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lstrip('_')} {self.name}: {self.shape}, {self.dtype}>"


def as_source(x: Any, name: str) -> Source:
    """
    Source of the activations of one network.

    Parameters
    ----------
    x : Tensor, ndarray, nested sequence, Activations, memmap, str, Path, dataset, callable or Source
        - A tensor is kept as it is, with its graph of gradients; an array in memory shares its memory.
        - ``np.memmap`` is read from its file, not through the map, so that memory holds only the rows asked
          for. A copy-on-write map, or one without a file name, counts as an array in memory.
        - A file name: ``.npy``, or ``.npz``, ``.safetensors``, ``.h5``, ``.hdf5``, ``.zarr`` with the name of
          an array after two colons, "acts.safetensors::layer4". The name can be left out if there is only
          one array. Files are never unpickled.
        - An h5py or zarr dataset, or anything with `shape`, `dtype` and slices of rows. One that has a file
          is opened anew by name for each block.
        - A callable without arguments that returns any of the above. It is called once here, for shape and
          dtype, and again at each `rows` and each `whole`; what it returns is forgotten afterwards. A pass
          that takes `whole` calls it once. It must return the same numbers each time.
    name : str
        What to call it in messages.

    Returns
    -------
    Source
        float16 and bfloat16 in files, memory maps and datasets become float32 when they are read.

    Raises
    ------
    TypeError
        Not activations, or numbers other than floating point.
    ShapeError
        Not (m, d) or (m, c, h, w).
    ValueError
        A file that is damaged, of another format, or without that array.
    FileNotFoundError
    ImportError
        h5py or zarr is needed and missing.

    Notes
    -----
    Rows are cheapest where a row lies in one piece. In Fortran order, and in views of memory maps, each piece
    is read on its own; a compressed ``.npz`` is unpacked from its beginning, cheap if blocks are read in
    order; HDF5 and Zarr read whole chunks.

    Examples
    --------
    >>> source = as_source([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], "reps[0]")
    >>> source.shape
    (3, 2)
    >>> source.rows(1, 3)
    tensor([[2., 3.],
            [4., 5.]])
    """
    if isinstance(x, Source):
        return x
    x, ids = unlabeled(x)
    source = _as_source(x, name)
    if ids is not None and len(ids) == source.shape[0]:
        source.ids = ids
    return source


def _as_source(x: Any, name: str) -> Source:
    if isinstance(x, Source):
        return x
    if isinstance(x, str | os.PathLike):
        return _from_name(os.fspath(x), name)
    if isinstance(x, np.memmap):
        return _from_memmap(x, name)
    if callable(x):
        return _Called(x, name)
    parts = set(dir(x))  # hasattr would ask, and closed datasets raise errors of their own
    if {"shape", "dtype", "__getitem__"} <= parts and not {"__dlpack__", "__cuda_array_interface__"} & parts:
        return _from_dataset(x, name)
    if _library(x) in ("h5py", "zarr"):
        raise TypeError(
            f"{name} must be one array (m, d), got a {type(x).__name__} of {_library(x)}. Take an array out "
            'of it by name, for example x["layer4"].'
        )
    return _Resident(_checks.as_activations(x, name), name)


# --- in memory, and behind objects and functions


class _Resident(Source):
    def __init__(self, x: Tensor, name: str) -> None:
        super().__init__(name, _two_axes(x, name), x.dtype, x.device)
        self.resident = self._x = x

    def rows(self, start: int, stop: int) -> Tensor:
        return self._x[start:stop]

    def whole(self) -> Tensor:
        return self._x

    def __reduce__(self) -> Any:
        x = self._x.detach()
        # torch pickles all of a tensor's memory, also what is outside of a view.
        return _Resident, (x if x.untyped_storage().nbytes() == x.nbytes else x.clone(), self.name)


class _Dataset(Source):
    """An object of another library that gives rows when it is sliced."""

    def __init__(self, dataset: Any, name: str) -> None:
        where = f"a {type(dataset).__module__}.{type(dataset).__qualname__}"
        super().__init__(name, *_look(*_facts(dataset), name, where))
        self._dataset = dataset

    def rows(self, start: int, stop: int) -> Tensor:
        return _to_tensor(np.asarray(self._dataset[start:stop]), self.dtype)


class _Called(Source):
    """What a function returns, which is asked again each time."""

    def __init__(self, function: Callable[[], Any], name: str) -> None:
        self._function = function
        first = self._call(name)
        super().__init__(name, first.shape, first.dtype, first.device)
        self.sliceable = first.resident is None and first.sliceable
        self._fingerprint = first.fingerprint()

    def rows(self, start: int, stop: int) -> Tensor:
        return self._call_again().rows(start, stop).detach()

    def whole(self) -> Tensor:
        return self._call_again().whole().detach()

    def fingerprint(self) -> str:
        return self._fingerprint

    def _call(self, name: str) -> Source:
        x = self._function()
        if callable(x):
            raise TypeError(
                f"{name} is a function and must return activations (m, d) or the name of a file with them, "
                f"got another function, {x!r}. Call that one inside of it."
            )
        return as_source(x, name)

    def _call_again(self) -> Source:
        source = self._call(self.name)
        now = (source.shape, source.dtype, source.device)
        if now != (self.shape, self.dtype, self.device):
            raise ValueError(
                f"{self.name} is a function and must return the same activations at every call, got "
                f"{self.shape}, {self.dtype}, {self.device} at first and {now[0]}, {now[1]}, {now[2]} now. "
                "Fix its inputs and its random numbers."
            )
        return source


# --- files that can be read at a known place


class _File(Source):
    """An array at a known place in a file; it need not be in one piece."""

    def __init__(
        self,
        path: str,
        entry: str,
        name: str,
        *,
        offset: int,
        axes: Sequence[int],
        steps: Sequence[int],
        stored: str,
        available: int,
    ) -> None:
        where = f"{path}::{entry}" if entry else path
        numbers = np.dtype("<u2") if stored == "bfloat16" else np.dtype(stored)
        kind = stored if stored == "bfloat16" else numbers.name
        _torch_dtype(kind, name, where)
        last = offset + sum((n - 1) * step for n, step in zip(axes, steps, strict=True)) + numbers.itemsize
        if min(axes, default=1) < 0 or (0 not in axes and last > available):
            raise ValueError(
                f"{_named(name, where)} must have {last} bytes for {tuple(axes)} {kind} numbers, got "
                f"{available}. It was cut off or changed; write or copy it again."
            )
        super().__init__(name, *_look(axes, kind, name, where))
        self._path, self._entry, self._where = path, entry, where
        self._offset, self._end = offset, last
        self._axes, self._steps = tuple(axes), tuple(steps)
        self._stored, self._numbers = stored, numbers

    def rows(self, start: int, stop: int) -> Tensor:
        axes = (stop - start, *self._axes[1:])
        with self._open() as file:
            block = self._read(file, self._offset + start * self._steps[0], axes)
        if self._stored == "bfloat16":
            return torch.from_numpy(np.require(block, np.uint16, "C")).view(torch.bfloat16).flatten(1).float()
        return _to_tensor(block, self.dtype)

    def fingerprint(self) -> str:
        place = (self._entry, self._offset, self._axes, self._steps, self._stored)
        return _digest([*_stamp(self._path, self.name), *place])

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        # Without a buffer of its own: bytes go from the file to where they belong.
        with _opened(self._path, self.name, buffering=0) as file:
            if os.fstat(file.fileno()).st_size < self._end:
                self._refuse_shrunk()
            yield file

    def _read(self, file: IO[bytes], offset: int, axes: tuple[int, ...]) -> np.ndarray:
        """Array of shape `axes`, one read for each piece that is contiguous in the file."""
        order = sorted(range(len(axes)), key=lambda axis: -self._steps[axis])
        block = np.empty([axes[axis] for axis in order], self._numbers)
        piece, outer = self._numbers.itemsize, list(order)
        while outer and (axes[outer[-1]] == 1 or self._steps[outer[-1]] == piece):
            piece *= axes[outer.pop()]
        target = memoryview(block.reshape(-1).view(np.uint8))
        for i, index in enumerate(np.ndindex(*(axes[axis] for axis in outer))):
            file.seek(offset + sum(n * self._steps[axis] for n, axis in zip(index, outer, strict=True)))
            self._fill(file, target[i * piece : (i + 1) * piece])
        return block.transpose(np.argsort(order))

    def _fill(self, file: Any, target: memoryview) -> None:
        while len(target):
            count = file.readinto(target)
            if not count:
                self._refuse_shrunk()
            target = target[count:]

    def _refuse_shrunk(self) -> NoReturn:
        raise ValueError(
            f"{self.name}: {self._where} must keep its {self._end} bytes while distances are computed, got "
            "fewer: it was cut off after it was opened. Write it again, and start again."
        )


class _ZipMember(_File):
    """A compressed array of an .npz file, which stays open so that blocks in order are unpacked once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unpacking()

    def __getstate__(self) -> dict[str, Any]:
        return {
            key: value for key, value in vars(self).items() if key not in ("_lock", "_member", "_process")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._unpacking()

    def _unpacking(self) -> None:
        self._lock = threading.Lock()
        self._member: IO[bytes] | None = None
        self._process = 0

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        _stamp_one(self._path, self.name)
        damage = (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
        with self._lock, _reading(self.name, self._where, _NPZ, *damage):
            # A forked process would share the position in the file with its parent.
            if self._member is None or self._process != os.getpid():
                with zipfile.ZipFile(self._path) as archive:
                    self._member = archive.open(f"{self._entry}.npy")
                self._process = os.getpid()
            member, self._member = self._member, None
            yield member
            self._member = member  # not after an error


def _from_memmap(x: np.memmap, name: str) -> Source:
    root: Any = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    path = getattr(root, "filename", None)
    if path is None or root.mode == "c" or not isinstance(root.base, mmap.mmap):
        return _Resident(_checks.as_activations(x.view(np.ndarray), name), name)
    inner = [step for n, step in zip(x.shape, x.strides, strict=True) if n > 1]
    if inner and (min(inner) != x.itemsize):
        raise ValueError(
            f"{name} must be a memory map with rows or columns in one piece, read forwards, got a view of "
            f"{path} with strides {x.strides}. Copy it with numpy.array({name}), or slice rows and ranges of "
            "columns only."
        )
    path = os.path.abspath(path)
    with _opened(path, name) as file:
        available = os.fstat(file.fileno()).st_size
    # Views inherit the offset of the map that they were taken from; addresses tell the truth.
    offset = root.offset + x.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    source = _File(
        path, "", name, offset=offset, axes=x.shape, steps=x.strides, stored=x.dtype.str, available=available
    )
    for i in (0, len(x) - 1):
        mapped = _to_tensor(np.array(x[i : i + 1]), source.dtype)
        if mapped.numpy().tobytes() != source.rows(i, i + 1).numpy().tobytes():
            raise ValueError(
                f"{name}: row {i} of the memory map must be what {path} holds, got other numbers: the file "
                "was replaced after it was mapped. Map it again."
            )
    return source


def _from_npy(path: str, entry: str, name: str) -> Source:
    if entry:
        raise ValueError(f"{name}: a .npy file holds one array without a name, got {entry!r}. Use {path!r}.")
    with _opened(path, name) as file:
        layout, available = _npy_layout(file, name, path), os.fstat(file.fileno()).st_size
    return _File(path, "", name, **layout, available=available)


@contextmanager
def open_npz(path: str, name: str) -> Iterator[tuple[IO[bytes], zipfile.ZipFile]]:
    """
    Open an archive of arrays; what cannot be read inside the block is told in words.

    Parameters
    ----------
    path : str
    name : str
        What to call it in messages.

    Yields
    ------
    file : file
    archive : ZipFile
    """
    damage = (OSError, RuntimeError, EOFError, KeyError, struct.error, zipfile.BadZipFile, zlib.error)
    with _opened(path, name) as file, _reading(name, path, _NPZ, *damage), zipfile.ZipFile(file) as archive:
        yield file, archive


def _from_npz(path: str, entry: str, name: str) -> Source:
    with open_npz(path, name) as (file, archive):
        infos = [
            i for i in archive.infolist() if i.filename.endswith(".npy") and i.filename != f"{ROW_IDS}.npy"
        ]
        members = {info.filename.removesuffix(".npy"): info for info in infos}
        entry = _choose(members, entry, name, path)
        info = members[entry]
        with archive.open(info) as member:
            layout = _npy_layout(member, name, f"{path}::{entry}")
        if info.compress_type != zipfile.ZIP_STORED:
            return _ZipMember(path, entry, name, **layout, available=info.file_size)
        # 30 bytes, the name and a comment come before the member.
        file.seek(info.header_offset + 26)
        start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
    layout["offset"] += start
    return _File(path, entry, name, **layout, available=start + info.file_size)


def _npy_layout(file: IO[bytes], name: str, where: str) -> dict[str, Any]:
    """Where the numbers of a .npy file begin, and how they are laid out."""
    formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with _reading(name, where, "a .npy file as numpy.save writes it", ValueError, EOFError):
        version = np.lib.format.read_magic(file)
        if version not in formats:
            raise ValueError(f"version {version} is not one for plain numbers")
        axes, fortran, dtype = formats[version](file)
    steps = _steps(axes[::-1], dtype.itemsize)[::-1] if fortran else _steps(axes, dtype.itemsize)
    return {"offset": file.tell(), "axes": axes, "steps": steps, "stored": dtype.str}


def safetensors_header(path: str, name: str) -> tuple[dict[str, Any], dict[str, Any], int, int]:
    """
    What a safetensors file says of its arrays; read here rather than by the library, which maps the file.

    Parameters
    ----------
    path : str
    name : str
        What to call it in messages.

    Returns
    -------
    tensors : dict
        Shape, dtype and place of each array, by name.
    metadata : dict
    start : int
        Where the arrays begin, in bytes.
    available : int
        Bytes of the file.
    """
    with _opened(path, name) as file, _reading(name, path, "a safetensors file", *_DAMAGED_HEADER):
        available = os.fstat(file.fileno()).st_size
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(available - 8, _LONGEST_HEADER):
            raise ValueError(f"a header of {length} bytes in a file of {available}")
        tensors = dict(json.loads(file.read(length)).items())
        metadata = dict(tensors.pop("__metadata__", {}))
        end = max((int(x["data_offsets"][1]) for x in tensors.values()), default=0)
        if end > available - 8 - length:
            raise ValueError(f"{available} bytes where it says {8 + length + end}")
    return tensors, metadata, 8 + length, available


def _from_safetensors(path: str, entry: str, name: str) -> Source:
    tensors, _, start, available = safetensors_header(path, name)
    entry = _choose(tensors, entry, name, path)
    where, wanted = f"{path}::{entry}", "an array of a safetensors file"
    with _reading(name, where, wanted, *_DAMAGED_HEADER):
        axes = [int(n) for n in tensors[entry]["shape"]]
        begin, end = (int(n) for n in tensors[entry]["data_offsets"])
        code = tensors[entry]["dtype"]
        kind = _SAFETENSORS.get(code, f"safetensors {code}")
    _torch_dtype(kind, name, where)
    numbers = np.dtype("<u2" if kind == "bfloat16" else kind).newbyteorder("<")
    with _reading(name, where, wanted, ValueError):
        if begin < 0 or end - begin != math.prod(axes) * numbers.itemsize:
            raise ValueError(f"{end - begin} bytes for {tuple(axes)} {kind} numbers")
    return _File(
        path,
        entry,
        name,
        offset=start + begin,
        axes=axes,
        steps=_steps(axes, numbers.itemsize),
        stored=kind if kind == "bfloat16" else numbers.str,
        available=available,
    )


# --- HDF5 and Zarr


class _Chunked(Source):
    """An array of an HDF5 file or a Zarr folder, opened by name for each block."""

    def __init__(self, path: str, entry: str, name: str, *, library: Literal["h5py", "zarr"]) -> None:
        self._path, self._library, self.name = path, library, name
        with _open_chunked(path, name, library) as root:
            if not hasattr(root, "shape"):
                found = entry in root and hasattr(root[entry], "shape")
                entry = entry if found else _choose(_array_names(root), entry, name, path)
            self._entry = entry
            self._where = f"{path}::{entry}" if entry else path
            self._axes, self._stored = _facts(root[entry] if entry else root)
        super().__init__(name, *_look(self._axes, self._stored, name, self._where))

    def rows(self, start: int, stop: int) -> Tensor:
        with self._open() as root:
            with self._reading():
                dataset = root[self._entry] if self._entry else root
            now = _facts(dataset)
            if now != (self._axes, self._stored):
                raise ValueError(
                    f"{self.name}: {self._where} must stay as it is while distances are computed, got "
                    f"{self._axes} {self._stored} at first and {now[0]} {now[1]} now. Start again."
                )
            with self._reading():
                block = np.asarray(dataset[start:stop])
        return _to_tensor(block, self.dtype)

    def fingerprint(self) -> str:
        path = self._path if self._library == "h5py" else os.path.join(self._path, self._entry.strip("/"))
        return _digest([*_stamp(path, self.name), self._entry, self._axes, self._stored])

    def _open(self) -> AbstractContextManager[Any]:
        return _open_chunked(self._path, self.name, self._library)

    def _reading(self) -> AbstractContextManager[None]:
        return _reading_chunked(self._path, self.name, self._library)


@contextmanager
def _open_chunked(path: str, name: str, library: Literal["h5py", "zarr"]) -> Iterator[Any]:
    reader = need(library, "files", f"Reading {os.path.basename(path)}")
    _stamp_one(path, name)
    with _HDF5_LOCK if library == "h5py" else nullcontext():
        with _reading_chunked(path, name, library):
            root = (reader.File if library == "h5py" else reader.open)(path, mode="r")
        with root if library == "h5py" else nullcontext():
            yield root


def _reading_chunked(path: str, name: str, library: str) -> AbstractContextManager[None]:
    wanted = "an HDF5 file" if library == "h5py" else "a Zarr folder"
    damage = (OSError, KeyError, ValueError, TypeError, RuntimeError)
    return _reading(name, path, f"{wanted} that nobody writes to", *damage)


def _from_dataset(x: Any, name: str) -> Source:
    """A dataset by the name of its file if it has one; a dataset of h5py without one lives in memory."""
    if _library(x) == "h5py":
        if not x:
            raise ValueError(
                f"{name} must be an open dataset, got one of a closed file. Give the file's name."
            )
        if x.name and x.file.driver not in ("core", "fileobj") and os.path.isfile(x.file.filename):
            x.file.flush()
            return _Chunked(os.path.abspath(x.file.filename), x.name, name, library="h5py")
        return _Resident(_Dataset(x, name).whole(), name)
    if _library(x) == "zarr":
        folder = getattr(x.store, "root", None) or getattr(x.store, "path", None)
        if isinstance(folder, str | os.PathLike) and os.path.isdir(folder):
            return _Chunked(os.path.abspath(folder), x.path, name, library="zarr")
    return _Dataset(x, name)


def _library(x: Any) -> str:
    return type(x).__module__.partition(".")[0]


def _array_names(group: Any, prefix: str = "") -> list[str]:
    """Names of all arrays under a group of HDF5 or Zarr."""
    if hasattr(group, "visititems") and not hasattr(group, "arrays"):
        names: list[str] = []
        group.visititems(lambda name, x: names.append(name) if hasattr(x, "shape") else None)
        return names
    below = (_array_names(inner, f"{prefix}{name}/") for name, inner in group.groups())
    return [f"{prefix}{name}" for name, _ in group.arrays()] + [name for names in below for name in names]


# --- common to files


def split_name(text: str) -> tuple[str, str]:
    """
    Absolute name of a file or folder, and the name of an array in it, empty if none is given.

    Parameters
    ----------
    text : str
        "acts.npy", "~/acts.npz::layer4".

    Returns
    -------
    path, entry : str
    """
    path, entry = (text, "") if os.path.exists(text) else (text.partition("::")[0], text.partition("::")[2])
    return os.path.abspath(os.path.expanduser(path)), entry


def _from_name(text: str, name: str) -> Source:
    path, entry = split_name(text)
    if is_folder_of_layers(path):
        files, _ = read_index(path)
        path, entry = os.path.join(path, files[_choose(files, entry, name, path)]), ""
    suffix = os.path.splitext(path)[1].lower()
    readers = {
        ".npy": _from_npy,
        ".npz": _from_npz,
        ".safetensors": _from_safetensors,
        ".h5": partial(_Chunked, library="h5py"),
        ".hdf5": partial(_Chunked, library="h5py"),
        ".zarr": partial(_Chunked, library="zarr"),
    }
    _stamp_one(path, name)
    if suffix not in readers:
        raise ValueError(
            f"{name} must be a file that ends in {_SUFFIXES}, got {path}. Write it with numpy.save, or with "
            "safetensors.torch.save_file."
        )
    if os.path.isdir(path) != (suffix == ".zarr"):
        wanted, found = ("folder", "file") if suffix == ".zarr" else ("file", "folder")
        raise ValueError(
            f"{_named(name, path)} must be a {wanted}, got a {found}. Give the name of the {wanted}."
        )
    return readers[suffix](path, entry, name)


def names_of_arrays(path: str) -> list[str]:
    """
    Names of the arrays of a file or folder, in order, without the one that names rows.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of str
        Of a ``.npy`` file, and of others that are one array, a single empty name.
    """
    if is_folder_of_layers(path):
        return list(read_index(path)[0])
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".npz":
        with open_npz(path, path) as (_, archive):
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
        return [name for name in names if name != ROW_IDS]
    if suffix == ".safetensors":
        tensors, metadata, *_ = safetensors_header(path, path)
        return _in_order(list(tensors), metadata.get(LAYER_ORDER))
    if suffix in (".h5", ".hdf5", ".zarr"):
        with _open_chunked(path, path, "zarr" if suffix == ".zarr" else "h5py") as root:
            return [""] if hasattr(root, "shape") else sorted(_array_names(root), key=natural)
    as_source(path, path)
    return [""]


def _in_order(names: list[str], order: Any) -> list[str]:
    """Names as they were written down, if these are the same."""
    try:
        written = json.loads(order)
    except (TypeError, ValueError, RecursionError):
        return names
    return written if isinstance(written, list) and sorted(map(str, written)) == sorted(names) else names


def natural(name: str) -> list[tuple[int, int | str]]:
    """
    Key by which "layer2" comes before "layer10".

    Parameters
    ----------
    name : str

    Returns
    -------
    list
    """
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]


def row_ids(path: str | os.PathLike[str]) -> Ids | None:
    """
    Names of the rows of the activations in a file, where it has some.

    Parameters
    ----------
    path : str or path
        Two colons and the name of an array may follow: all arrays of a file have the same rows.

    Returns
    -------
    tuple of str or int, or None

    Raises
    ------
    FileNotFoundError
    ValueError
        The names cannot be read.
    """
    path, _ = split_name(os.fspath(path))
    suffix = os.path.splitext(path)[1].lower()
    folder, file = os.path.split(path)
    found: Any = None
    if is_folder_of_layers(path):
        return read_index(path)[1]
    if suffix == ".npy" and is_folder_of_layers(folder):
        files, ids = read_index(folder)
        return ids if file in files.values() else None
    if suffix == ".npz":
        found = _ids_of_npz(path)
    elif suffix == ".safetensors":
        found = safetensors_header(path, path)[1].get(ROW_IDS)
    return None if found is None else read_ids(found, path)


def _ids_of_npz(path: str) -> Any:
    with open_npz(path, path) as (_, archive):
        if f"{ROW_IDS}.npy" not in archive.namelist():
            return None
        if archive.getinfo(f"{ROW_IDS}.npy").file_size > LARGEST_INDEX:
            raise ValueError(f"names of rows of {path} must fit into 1 GiB, got more. Shorten them.")
        with archive.open(f"{ROW_IDS}.npy") as member, _reading(path, path, _NPZ, ValueError):
            return np.lib.format.read_array(member, allow_pickle=False).tolist()


def _choose(names: Iterable[str], entry: str, name: str, path: str) -> str:
    """Name of the array to read: the only one if none is given."""
    names = sorted(names)
    if not entry and len(names) == 1:
        return names[0]
    if entry in names:
        return entry
    if not names:
        raise ValueError(f"{_named(name, path)} must hold an array, got none. Write activations into it.")
    known = f"Known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}."
    if not entry:
        raise ValueError(
            f"{_named(name, path)} holds {len(names)} arrays, got no name of one. Add it after two colons, "
            f"as in '{os.path.basename(path)}::{names[0]}'. {known}"
        )
    near = difflib.get_close_matches(entry, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}: no array called {entry!r} in {path}.{hint} {known}")


def _look(axes: Sequence[int], kind: str, name: str, where: str) -> tuple[tuple[int, int], torch.dtype]:
    """Shape and dtype of the rows; refuses what is refused in memory too."""
    dtype = _torch_dtype(kind, name, where)
    try:
        x = _checks.as_activations(torch.empty(tuple(axes), dtype=dtype, device="meta"), name)
        return _two_axes(x, name), dtype
    except (TypeError, ShapeError) as error:
        raise type(error)(f"{error} It was read from {where}.") from error


def _torch_dtype(kind: str, name: str, where: str) -> torch.dtype:
    dtype = _HALF.get(kind) or {"float32": torch.float32, "float64": torch.float64}.get(kind)
    if dtype is None:
        raise TypeError(
            f"{name} must hold float32 or float64 numbers (float16 and bfloat16 are read as float32), got "
            f"{kind} in {where}. Convert it, for example with .astype('float32'), and write it again."
        )
    return dtype


def _facts(dataset: Any) -> tuple[tuple[int, ...], str]:
    """Shape of an array of another library, and name of its dtype."""
    return tuple(dataset.shape), getattr(dataset.dtype, "name", None) or str(dataset.dtype)


def _two_axes(x: Tensor, name: str) -> tuple[int, int]:
    if x.dim() != 2:
        raise ShapeError(
            f"{name} must be one representation (m, d), got shape {tuple(x.shape)}. "
            "Flatten tokens or positions first."
        )
    return x.shape[0], x.shape[1]


def _to_tensor(block: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Rows as a tensor of their own, in the byte order of this machine."""
    wide = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(np.require(block, wide, ["C", "W"])).flatten(1)


def _steps(axes: Sequence[int], itemsize: int) -> list[int]:
    """Bytes from one entry to the next along each axis of an array in C order."""
    return list(accumulate(axes[:0:-1], mul, initial=itemsize))[::-1] if axes else []


@contextmanager
def _opened(path: str, name: str, buffering: int = -1) -> Iterator[IO[bytes]]:
    _stamp_one(path, name)
    with open(path, "rb", buffering=buffering) as file:
        yield file


def _stamp(path: str, name: str) -> list[Any]:
    """Name, size and time of change of a file, or of all files in a folder."""
    files = sorted(os.path.join(at, file) for at, _, files in os.walk(path) for file in files)
    return [path, *(_stamp_one(file, name) for file in files or [path])]


def _stamp_one(path: str, name: str) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"{name} must be an existing file, got {path}, which is not there. Names are relative to the "
            f"working directory, {os.getcwd()}."
        ) from error
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise ValueError(
            f"{name} must be a regular file or a folder, got {path}, which is a pipe or a device. Write to "
            "a file."
        )
    return path, found.st_size, found.st_mtime_ns


def _named(name: str, where: str) -> str:
    """What a message calls a file: the name it was given by, and where it is, if that says more."""
    return where if name == where else f"{name}: {where}"


def _digest(parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@contextmanager
def _reading(name: str, where: str, wanted: str, *damage: type[Exception]) -> Iterator[None]:
    """Turn what a damaged or foreign file gives rise to into a message."""
    try:
        yield
    except damage as error:
        raise ValueError(
            f"{_named(name, where)} must be {wanted}, got something that cannot be read: {error}. "
            "Check that it is complete, or write it again."
        ) from error
