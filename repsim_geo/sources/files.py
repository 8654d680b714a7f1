"""Arrays at a known place in a file: .npy, .npz, .safetensors, memory maps."""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.sources.base import (
    Resident,
    Source,
    choose,
    digest,
    look,
    named,
    opened,
    reading,
    stamp,
    stamp_one,
    steps_of,
    to_tensor,
    torch_dtype,
)
from repsim_geo.sources.folders import ROW_IDS

NPZ = "a zip archive as numpy.savez writes it"
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
_SAFETENSORS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip
_DAMAGED_HEADER = (ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error)


class File(Source):
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
        torch_dtype(kind, name, where)
        last = offset + sum((n - 1) * step for n, step in zip(axes, steps, strict=True)) + numbers.itemsize
        if min(axes, default=1) < 0 or (0 not in axes and last > available):
            raise ValueError(
                f"{named(name, where)} must have {last} bytes for {tuple(axes)} {kind} numbers, got "
                f"{available}. It was cut off or changed; write or copy it again."
            )
        super().__init__(name, *look(axes, kind, name, where))
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
        return to_tensor(block, self.dtype)

    def fingerprint(self) -> str:
        place = (self._entry, self._offset, self._axes, self._steps, self._stored)
        return digest([*stamp(self._path, self.name), *place])

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        # Without a buffer of its own: bytes go from the file to where they belong.
        with opened(self._path, self.name, buffering=0) as file:
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


class ZipMember(File):
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
        stamp_one(self._path, self.name)
        damage = (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
        with self._lock, reading(self.name, self._where, NPZ, *damage):
            # A forked process would share the position in the file with its parent.
            if self._member is None or self._process != os.getpid():
                with zipfile.ZipFile(self._path) as archive:
                    self._member = archive.open(f"{self._entry}.npy")
                self._process = os.getpid()
            member, self._member = self._member, None
            yield member
            self._member = member  # not after an error


def from_memmap(x: np.memmap, name: str) -> Source:
    """Source of a memory map, which is read from its file."""
    root: Any = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    path = getattr(root, "filename", None)
    if path is None or root.mode == "c" or not isinstance(root.base, mmap.mmap):
        return Resident(_checks.as_activations(x.view(np.ndarray), name), name)
    inner = [step for n, step in zip(x.shape, x.strides, strict=True) if n > 1]
    if inner and (min(inner) != x.itemsize):
        raise ValueError(
            f"{name} must be a memory map with rows or columns in one piece, read forwards, got a view of "
            f"{path} with strides {x.strides}. Copy it with numpy.array({name}), or slice rows and ranges of "
            "columns only."
        )
    path = os.path.abspath(path)
    with opened(path, name) as file:
        available = os.fstat(file.fileno()).st_size
    # Views inherit the offset of the map that they were taken from; addresses tell the truth.
    offset = root.offset + x.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    source = File(
        path, "", name, offset=offset, axes=x.shape, steps=x.strides, stored=x.dtype.str, available=available
    )
    for i in (0, len(x) - 1):
        mapped = to_tensor(np.array(x[i : i + 1]), source.dtype)
        if mapped.numpy().tobytes() != source.rows(i, i + 1).numpy().tobytes():
            raise ValueError(
                f"{name}: row {i} of the memory map must be what {path} holds, got other numbers: the file "
                "was replaced after it was mapped. Map it again."
            )
    return source


def from_npy(path: str, entry: str, name: str) -> Source:
    """Source of a .npy file."""
    if entry:
        raise ValueError(f"{name}: a .npy file holds one array without a name, got {entry!r}. Use {path!r}.")
    with opened(path, name) as file:
        layout, available = _npy_layout(file, name, path), os.fstat(file.fileno()).st_size
    return File(path, "", name, **layout, available=available)


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
    with opened(path, name) as file, reading(name, path, NPZ, *damage), zipfile.ZipFile(file) as archive:
        yield file, archive


def from_npz(path: str, entry: str, name: str) -> Source:
    """Source of an array of a .npz archive."""
    with open_npz(path, name) as (file, archive):
        infos = [
            i for i in archive.infolist() if i.filename.endswith(".npy") and i.filename != f"{ROW_IDS}.npy"
        ]
        members = {info.filename.removesuffix(".npy"): info for info in infos}
        entry = choose(members, entry, name, path)
        info = members[entry]
        with archive.open(info) as member:
            layout = _npy_layout(member, name, f"{path}::{entry}")
        if info.compress_type != zipfile.ZIP_STORED:
            return ZipMember(path, entry, name, **layout, available=info.file_size)
        # 30 bytes, the name and a comment come before the member.
        file.seek(info.header_offset + 26)
        start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
    layout["offset"] += start
    return File(path, entry, name, **layout, available=start + info.file_size)


def _npy_layout(file: IO[bytes], name: str, where: str) -> dict[str, Any]:
    """Where the numbers of a .npy file begin, and how they are laid out."""
    formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with reading(name, where, "a .npy file as numpy.save writes it", ValueError, EOFError):
        version = np.lib.format.read_magic(file)
        if version not in formats:
            raise ValueError(f"version {version} is not one for plain numbers")
        axes, fortran, dtype = formats[version](file)
    steps = steps_of(axes[::-1], dtype.itemsize)[::-1] if fortran else steps_of(axes, dtype.itemsize)
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
    with opened(path, name) as file, reading(name, path, "a safetensors file", *_DAMAGED_HEADER):
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


def from_safetensors(path: str, entry: str, name: str) -> Source:
    """Source of an array of a safetensors file."""
    tensors, _, start, available = safetensors_header(path, name)
    entry = choose(tensors, entry, name, path)
    where, wanted = f"{path}::{entry}", "an array of a safetensors file"
    with reading(name, where, wanted, *_DAMAGED_HEADER):
        axes = [int(n) for n in tensors[entry]["shape"]]
        begin, end = (int(n) for n in tensors[entry]["data_offsets"])
        code = tensors[entry]["dtype"]
        kind = _SAFETENSORS.get(code, f"safetensors {code}")
    torch_dtype(kind, name, where)
    numbers = np.dtype("<u2" if kind == "bfloat16" else kind).newbyteorder("<")
    with reading(name, where, wanted, ValueError):
        if begin < 0 or end - begin != math.prod(axes) * numbers.itemsize:
            raise ValueError(f"{end - begin} bytes for {tuple(axes)} {kind} numbers")
    return File(
        path,
        entry,
        name,
        offset=start + begin,
        axes=axes,
        steps=steps_of(axes, numbers.itemsize),
        stored=kind if kind == "bfloat16" else numbers.str,
        available=available,
    )
