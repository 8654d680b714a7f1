"""Arrays of HDF5 files and Zarr folders, opened by name for each block."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import numpy as np
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo.sources.base import Source, choose, digest, facts, look, reading, stamp, stamp_one, to_tensor

_HDF5_LOCK = threading.RLock()  # HDF5 is not parallel within a process


class Chunked(Source):
    """An array of an HDF5 file or a Zarr folder, opened by name for each block."""

    def __init__(self, path: str, entry: str, name: str, *, library: Literal["h5py", "zarr"]) -> None:
        self._path, self._library, self.name = path, library, name
        with open_chunked(path, name, library) as root:
            if not hasattr(root, "shape"):
                found = entry in root and hasattr(root[entry], "shape")
                entry = entry if found else choose(array_names(root), entry, name, path)
            self._entry = entry
            self._where = f"{path}::{entry}" if entry else path
            self._axes, self._stored = facts(root[entry] if entry else root)
        super().__init__(name, *look(self._axes, self._stored, name, self._where))

    def rows(self, start: int, stop: int) -> Tensor:
        with self._open() as root:
            with self._reading():
                dataset = root[self._entry] if self._entry else root
            now = facts(dataset)
            if now != (self._axes, self._stored):
                raise ValueError(
                    f"{self.name}: {self._where} must stay as it is while distances are computed, got "
                    f"{self._axes} {self._stored} at first and {now[0]} {now[1]} now. Start again."
                )
            with self._reading():
                block = np.asarray(dataset[start:stop])
        return to_tensor(block, self.dtype)

    def fingerprint(self) -> str:
        path = self._path if self._library == "h5py" else os.path.join(self._path, self._entry.strip("/"))
        return digest([*stamp(path, self.name), self._entry, self._axes, self._stored])

    def _open(self) -> AbstractContextManager[Any]:
        return open_chunked(self._path, self.name, self._library)

    def _reading(self) -> AbstractContextManager[None]:
        return _reading_chunked(self._path, self.name, self._library)


@contextmanager
def open_chunked(path: str, name: str, library: Literal["h5py", "zarr"]) -> Iterator[Any]:
    """Root of an HDF5 file or a Zarr folder; other threads wait for HDF5."""
    reader = need(library, "files", f"Reading {os.path.basename(path)}")
    stamp_one(path, name)
    with _HDF5_LOCK if library == "h5py" else nullcontext():
        with _reading_chunked(path, name, library):
            root = (reader.File if library == "h5py" else reader.open)(path, mode="r")
        with root if library == "h5py" else nullcontext():
            yield root


def _reading_chunked(path: str, name: str, library: str) -> AbstractContextManager[None]:
    wanted = "an HDF5 file" if library == "h5py" else "a Zarr folder"
    damage = (OSError, KeyError, ValueError, TypeError, RuntimeError)
    return reading(name, path, f"{wanted} that nobody writes to", *damage)


def array_names(group: Any, prefix: str = "") -> list[str]:
    """Names of all arrays under a group of HDF5 or Zarr."""
    if hasattr(group, "visititems") and not hasattr(group, "arrays"):
        names: list[str] = []
        group.visititems(lambda name, x: names.append(name) if hasattr(x, "shape") else None)
        return names
    below = (array_names(inner, f"{prefix}{name}/") for name, inner in group.groups())
    return [f"{prefix}{name}" for name, _ in group.arrays()] + [name for names in below for name in names]
