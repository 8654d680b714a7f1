"""Activations of a network by blocks of rows, whether in memory, in a file or behind a function."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.activations import check_same_rows, unlabeled
from repsim_geo.sources.base import (
    Resident,
    Source,
    choose,
    facts,
    library_of,
    look,
    named,
    split_name,
    stamp_one,
    to_tensor,
)
from repsim_geo.sources.chunked import Chunked
from repsim_geo.sources.files import from_memmap, from_npy, from_npz, from_safetensors
from repsim_geo.sources.folders import is_folder_of_layers, read_index

_SUFFIXES = ".npy, .npz, .safetensors, .h5, .hdf5 or .zarr"


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
        return from_memmap(x, name)
    if callable(x):
        return _Called(x, name)
    parts = set(dir(x))  # hasattr would ask, and closed datasets raise errors of their own
    if {"shape", "dtype", "__getitem__"} <= parts and not {"__dlpack__", "__cuda_array_interface__"} & parts:
        return _from_dataset(x, name)
    if library_of(x) in ("h5py", "zarr"):
        raise TypeError(
            f"{name} must be one array (m, d), got a {type(x).__name__} of {library_of(x)}. Take an array "
            "out "
            'of it by name, for example x["layer4"].'
        )
    return Resident(_checks.as_activations(x, name), name)


class _Dataset(Source):
    """An object of another library that gives rows when it is sliced."""

    def __init__(self, dataset: Any, name: str) -> None:
        where = f"a {type(dataset).__module__}.{type(dataset).__qualname__}"
        super().__init__(name, *look(*facts(dataset), name, where))
        self._dataset = dataset

    def rows(self, start: int, stop: int) -> Tensor:
        return to_tensor(np.asarray(self._dataset[start:stop]), self.dtype)


class _Called(Source):
    """What a function returns, which is asked again each time."""

    def __init__(self, function: Callable[[], Any], name: str) -> None:
        self._function = function
        first = self._call(name)
        super().__init__(name, first.shape, first.dtype, first.device)
        self.sliceable = first.resident is None and first.sliceable
        self.ids = first.ids
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
        check_same_rows(self.ids, source.ids, (f"{self.name} at first", f"{self.name} now"))
        return source


def _from_dataset(x: Any, name: str) -> Source:
    """A dataset by the name of its file if it has one; a dataset of h5py without one lives in memory."""
    if library_of(x) == "h5py":
        if not x:
            raise ValueError(
                f"{name} must be an open dataset, got one of a closed file. Give the file's name."
            )
        if x.name and x.file.driver not in ("core", "fileobj") and os.path.isfile(x.file.filename):
            x.file.flush()
            return Chunked(os.path.abspath(x.file.filename), x.name, name, library="h5py")
        return Resident(_Dataset(x, name).whole(), name)
    if library_of(x) == "zarr":
        folder = getattr(x.store, "root", None) or getattr(x.store, "path", None)
        if isinstance(folder, str | os.PathLike) and os.path.isdir(folder):
            return Chunked(os.path.abspath(folder), x.path, name, library="zarr")
    return _Dataset(x, name)


def _from_name(text: str, name: str) -> Source:
    path, entry = split_name(text)
    if is_folder_of_layers(path):
        files, _ = read_index(path)
        path, entry = os.path.join(path, files[choose(files, entry, name, path)]), ""
    suffix = os.path.splitext(path)[1].lower()
    readers = {
        ".npy": from_npy,
        ".npz": from_npz,
        ".safetensors": from_safetensors,
        ".h5": partial(Chunked, library="h5py"),
        ".hdf5": partial(Chunked, library="h5py"),
        ".zarr": partial(Chunked, library="zarr"),
    }
    stamp_one(path, name)
    if suffix not in readers:
        raise ValueError(
            f"{name} must be a file that ends in {_SUFFIXES}, got {path}. Write it with numpy.save, or with "
            "safetensors.torch.save_file."
        )
    if os.path.isdir(path) != (suffix == ".zarr"):
        wanted, found = ("folder", "file") if suffix == ".zarr" else ("file", "folder")
        raise ValueError(
            f"{named(name, path)} must be a {wanted}, got a {found}. Give the name of the {wanted}."
        )
    return readers[suffix](path, entry, name)
