"""What every source of activations is, and what all readers share."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from operator import mul
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.activations import Ids
from repsim_geo.errors import ShapeError

_SMALL = 64 * 2**20  # bytes of an array that a fingerprint reads whole
_SAMPLED = 256  # rows of a larger one
_HALF = {"float16": torch.float32, "bfloat16": torch.float32}


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


class Resident(Source):
    """Activations in memory."""

    def __init__(self, x: Tensor, name: str) -> None:
        super().__init__(name, two_axes(x, name), x.dtype, x.device)
        self.resident = self._x = x

    def rows(self, start: int, stop: int) -> Tensor:
        return self._x[start:stop]

    def whole(self) -> Tensor:
        return self._x

    def __reduce__(self) -> Any:
        x = self._x.detach()
        # torch pickles all of a tensor's memory, also what is outside of a view.
        return Resident, (x if x.untyped_storage().nbytes() == x.nbytes else x.clone(), self.name)


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


def choose(names: Iterable[str], entry: str, name: str, path: str) -> str:
    """Name of the array to read: the only one if none is given."""
    names = sorted(names)
    if not entry and len(names) == 1:
        return names[0]
    if entry in names:
        return entry
    if not names:
        raise ValueError(f"{named(name, path)} must hold an array, got none. Write activations into it.")
    known = f"Known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}."
    if not entry:
        raise ValueError(
            f"{named(name, path)} holds {len(names)} arrays, got no name of one. Add it after two colons, "
            f"as in '{os.path.basename(path)}::{names[0]}'. {known}"
        )
    near = difflib.get_close_matches(entry, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}: no array called {entry!r} in {path}.{hint} {known}")


def look(axes: Sequence[int], kind: str, name: str, where: str) -> tuple[tuple[int, int], torch.dtype]:
    """Shape and dtype of the rows; refuses what is refused in memory too."""
    dtype = torch_dtype(kind, name, where)
    try:
        x = _checks.as_activations(torch.empty(tuple(axes), dtype=dtype, device="meta"), name)
        return two_axes(x, name), dtype
    except (TypeError, ShapeError) as error:
        raise type(error)(f"{error} It was read from {where}.") from error


def torch_dtype(kind: str, name: str, where: str) -> torch.dtype:
    """Dtype of the rows of numbers of a kind; refuses what is not floating point."""
    dtype = _HALF.get(kind) or {"float32": torch.float32, "float64": torch.float64}.get(kind)
    if dtype is None:
        raise TypeError(
            f"{name} must hold float32 or float64 numbers (float16 and bfloat16 are read as float32), got "
            f"{kind} in {where}. Convert it, for example with .astype('float32'), and write it again."
        )
    return dtype


def facts(dataset: Any) -> tuple[tuple[int, ...], str]:
    """Shape of an array of another library, and name of its dtype."""
    return tuple(dataset.shape), getattr(dataset.dtype, "name", None) or str(dataset.dtype)


def two_axes(x: Tensor, name: str) -> tuple[int, int]:
    """Shape of one representation; refuses batches."""
    if x.dim() != 2:
        raise ShapeError(
            f"{name} must be one representation (m, d), got shape {tuple(x.shape)}. "
            "Flatten tokens or positions first."
        )
    return x.shape[0], x.shape[1]


def to_tensor(block: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Rows as a tensor of their own, in the byte order of this machine."""
    wide = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(np.require(block, wide, ["C", "W"])).flatten(1)


def steps_of(axes: Sequence[int], itemsize: int) -> list[int]:
    """Bytes from one entry to the next along each axis of an array in C order."""
    return list(accumulate(axes[:0:-1], mul, initial=itemsize))[::-1] if axes else []


@contextmanager
def opened(path: str, name: str, buffering: int = -1) -> Iterator[IO[bytes]]:
    """An existing file, open for reading."""
    stamp_one(path, name)
    with open(path, "rb", buffering=buffering) as file:
        yield file


def stamp(path: str, name: str) -> list[Any]:
    """Name, size and time of change of a file, or of all files in a folder."""
    files = sorted(os.path.join(at, file) for at, _, files in os.walk(path) for file in files)
    return [path, *(stamp_one(file, name) for file in files or [path])]


def stamp_one(path: str, name: str) -> tuple[str, int, int]:
    """Name, size and time of change of a file that exists and can be read to its end."""
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


def named(name: str, where: str) -> str:
    """What a message calls a file: the name it was given by, and where it is, if that says more."""
    return where if name == where else f"{name}: {where}"


def digest(parts: Any) -> str:
    """Short text that changes with what is given."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@contextmanager
def reading(name: str, where: str, wanted: str, *damage: type[Exception]) -> Iterator[None]:
    """Turn what a damaged or foreign file gives rise to into a message."""
    try:
        yield
    except damage as error:
        raise ValueError(
            f"{named(name, where)} must be {wanted}, got something that cannot be read: {error}. "
            "Check that it is complete, or write it again."
        ) from error


def library_of(x: Any) -> str:
    """Name of the library that an object is of."""
    return type(x).__module__.partition(".")[0]
