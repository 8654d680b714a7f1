"""Finished tiles of a long computation in a folder, so that a run that was killed can go on where it was."""

from __future__ import annotations

import json
import operator
import os
import re
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo._files import replacing
from repsim_geo._warnings import warn_user

# A tile file is: magic, sizes of header and body, header (JSON), body (one tensor after the other), and the
# checksum of all these. Numbers are little-endian, whatever the machine.
_MAGIC = b"repsim_geo tile 1\n"
_SIZES = struct.Struct("<QQ")
_CHECKSUM = 32
_CODES = {torch.float32: "<f4", torch.float64: "<f8", torch.int64: "<i8", torch.bool: "|b1"}

_FORMAT = "repsim_geo tiles 1"
_TILE = re.compile(r"([0-9]{8}|[1-9][0-9]{8,})\.tile")
_TEMPORARY = re.compile(r"(run\.json|[0-9]{8,}\.tile)\.[0-9a-f]{16}\.tmp")
_ABANDONED = 3600.0  # seconds: no tile takes an hour to write


def recorded_run(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """
    Description of the run whose tiles a folder holds.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    dict or None
        None if there is none, or none that can be read: `TileStore` says what is wrong.
    """
    try:
        found = json.loads((Path(folder) / "run.json").read_bytes())
        description = found["description"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return description if isinstance(description, dict) else None


class TileStore:
    """
    Folder of finished tiles of one computation; a tile is a tuple of tensors.

    What is read is what was written, bit for bit, or it is not read at all: a file that is damaged, that was
    renamed, or that another run has left counts as absent, with a warning. Threads and processes may share a
    folder. Every file is complete as soon as it has its name, and on disk when `put` returns.

    Parameters
    ----------
    folder : str or path
        Created if need be. Must be empty, or hold tiles of the same run.
    run : mapping
        All that the tiles depend on, as JSON can express it. Written to `run.json` for people to read.

    Attributes
    ----------
    folder : Path
    run : str
        Hash of the description, which every tile carries.
    unusable : list of Path
        Files that counted as absent because they were not what they should be, in the order of asking.

    Raises
    ------
    ValueError
        The folder belongs to another run, whose differences are named, or holds files of another kind.
    TypeError
        JSON cannot express the description.
    NotADirectoryError
        The folder is a file.

    Notes
    -----
    The checksum finds accidents, not forgeries: who can write to the folder can write a valid tile.

    Examples
    --------
    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = TileStore(folder.name, {"metric": "AngularCKA()", "inputs": 20})
    >>> store.put("gram", 0, (torch.arange(3.0),))
    >>> store.get("gram", 0)
    (tensor([0., 1., 2.]),)
    >>> store.get("gram", 1) is None, store.finished("gram")
    (True, {0})
    >>> folder.cleanup()
    """

    def __init__(self, folder: str | os.PathLike[str], run: Mapping[str, Any]) -> None:
        text = _canonical(run)
        self.folder = Path(folder)
        self.run = blake2b(text.encode(), digest_size=16).hexdigest()
        self.unusable: list[Path] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise NotADirectoryError(
                f"store must be a folder, got {str(folder)!r}, which is a file or leads through one. "
                "Give the name of a folder, or a new name."
            ) from error
        except OSError as error:
            raise OSError(
                f"store must be a folder that can be made and written, got {str(folder)!r}: "
                f"{error.strerror}. Give a folder of your own."
            ) from error
        self._claim(json.loads(text))
        self._clean()

    def get(self, phase: str, number: int) -> tuple[Tensor, ...] | None:
        """
        A finished tile, or None if there is none.

        Parameters
        ----------
        phase : str
        number : int

        Returns
        -------
        tuple of Tensor, or None
            On the CPU, whatever device they came from.

        Warns
        -----
        RuntimeWarning
            There is a file, but it is not this tile of this run, or no longer intact.
        """
        path = self._path(phase, number)
        try:
            return _decode(_read(path), self.run, phase, number)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
        except _UnusableError as error:
            reason = str(error)
        self.unusable.append(path)
        warn_user(
            f"{path} should hold tile {number} of {phase!r}, but {reason}. "
            "It counts as absent: the tile is computed again, and the file replaced.",
            RuntimeWarning,
        )
        return None

    def put(self, phase: str, number: int, tensors: tuple[Tensor, ...]) -> None:
        """
        Write a tile, in place of the one that may be there.

        Parameters
        ----------
        phase : str
            Part of the computation; a plain identifier, since it names a folder.
        number : int
        tensors : tuple of Tensor
            float32, float64, int64 or bool; any shape, any device.

        Raises
        ------
        OSError
            It could not be written, for instance because the disk is full. An older file is still there.
        TypeError
            Another dtype.
        ValueError
            The phase is not an identifier, or the number is negative.
        """
        path = self._path(phase, number)
        data = _encode(tensors, self.run, phase, number)
        try:
            path.parent.mkdir(exist_ok=True)
            _write(path, data)
        except OSError as error:
            raise OSError(
                error.errno,
                f"tile {number} of {phase!r} ({len(data)} bytes) could not be written: "
                f"{error.strerror or error}. Mend that and start again: finished tiles are kept",
                str(path),
            ) from error

    def finished(self, phase: str) -> set[int]:
        """
        Numbers of the tiles that there are files for, intact or not.

        Parameters
        ----------
        phase : str

        Returns
        -------
        set of int
        """
        try:
            names = os.listdir(self._path(phase, 0).parent)
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {int(match[1]) for match in map(_TILE.fullmatch, names) if match}

    def _path(self, phase: str, number: int) -> Path:
        if not (phase.isascii() and phase.isidentifier()):
            raise ValueError(
                f"phase must be a plain identifier, got {phase!r}. "
                "It names a folder; use ASCII letters, digits and underscores."
            )
        if operator.index(number) < 0:
            raise ValueError(f"number must not be negative, got {number}. Count tiles from 0.")
        return self.folder / phase / f"{number:08d}.tile"

    def _claim(self, description: dict[str, Any]) -> None:
        """Make the folder that of this run, or refuse it."""
        path = self.folder / "run.json"
        # Listed before the look for run.json, which is older than any other file of ours: one that appears in
        # between belongs to a process that has started together with this one.
        names = os.listdir(self.folder)
        if not path.exists():
            foreign = sorted(name for name in names if not _TEMPORARY.fullmatch(name))
            if foreign:
                raise ValueError(
                    f"store must be a new or empty folder, or one that pairwise() has made, got "
                    f"{str(self.folder)!r}, which holds other files ({_few(foreign)}). Use another folder."
                )
            record = {"format": _FORMAT, "run": self.run, "description": description}
            _write(path, json.dumps(record, indent=2).encode() + b"\n")
        try:
            found = json.loads(path.read_bytes())
            there = found["description"]  # decides, not the hash beside it, which may be left from an edit
            same = _canonical(there) == _canonical(description)
            if found["format"] != _FORMAT:
                raise ValueError(f"format {found['format']!r}, not {_FORMAT!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"store must be a folder that pairwise() of this version has made, got {str(self.folder)!r}, "
                "whose run.json describes something else. Use another folder, or delete this one if nobody "
                "needs it."
            ) from error
        if not same:
            raise ValueError(
                f"store must hold tiles of the same computation, got {str(self.folder)!r}, which holds those "
                f"of another one: {_differences(there, description)}. Use another folder, or delete this one "
                "if its tiles are no longer needed."
            )

    def _clean(self) -> None:
        """Remove what killed writers have left, but not what a living one may be writing."""
        for path in (*self.folder.glob("*.tmp"), *self.folder.glob("*/*.tmp")):
            with suppress(OSError):  # another process may have removed it
                if _TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()


class _UnusableError(Exception):
    """Why a file is not the tile it should be; completes the sentence "the file ..."."""


def _encode(tensors: tuple[Tensor, ...], run: str, phase: str, number: int) -> bytes:
    for tensor in tensors:
        if tensor.dtype not in _CODES:
            raise TypeError(
                f"tensors of a tile must be {_few([_name(t) for t in _CODES])}, got {_name(tensor.dtype)}. "
                "Convert them first."
            )
    kinds = [(_CODES[tensor.dtype], list(tensor.shape)) for tensor in tensors]
    header = _canonical({"run": run, "phase": phase, "number": int(number), "tensors": kinds}).encode()
    body = b"".join(
        tensor.numpy(force=True).astype(code, copy=False).tobytes()
        for tensor, (code, _) in zip(tensors, kinds, strict=True)
    )
    data = _MAGIC + _SIZES.pack(len(header), len(body)) + header + body
    return data + _checksum(data)


def _read(path: Path) -> bytes:
    """All bytes of a file, if it begins like a tile and is as long as its beginning says."""
    with open(path, "rb") as file:
        start = file.read(len(_MAGIC) + _SIZES.size)
        if not start.startswith(_MAGIC) or len(start) < len(_MAGIC) + _SIZES.size:
            raise _UnusableError("it does not begin like a tile of this version")
        expected = len(start) + sum(_SIZES.unpack_from(start, len(_MAGIC))) + _CHECKSUM
        size = os.fstat(file.fileno()).st_size
        if size != expected:
            raise _UnusableError(f"it has {size} bytes where its beginning announces {expected}")
        return start + file.read()


def _decode(data: bytes, run: str, phase: str, number: int) -> tuple[Tensor, ...]:
    if _checksum(data[:-_CHECKSUM]) != data[-_CHECKSUM:]:
        raise _UnusableError("its checksum does not fit: some bytes have changed")
    try:
        size, _ = _SIZES.unpack_from(data, len(_MAGIC))
        offset = len(_MAGIC) + _SIZES.size
        header, body = json.loads(data[offset : offset + size]), data[offset + size : -_CHECKSUM]
        if header["run"] != run:
            raise _UnusableError("it is of another run")
        if (header["phase"], header["number"]) != (phase, number):
            raise _UnusableError(f"it holds tile {header['number']} of {header['phase']!r}: it was renamed")
        return tuple(_tensors(body, header["tensors"]))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _UnusableError(f"its header does not describe its contents ({error})") from error


def _tensors(body: bytes, kinds: list[tuple[str, list[int]]]) -> Iterator[Tensor]:
    offset = 0
    for code, shape in kinds:
        if code not in _CODES.values():
            raise ValueError(f"unknown dtype {code!r}")
        array = np.ndarray(shape, code, body, offset)
        if list(array.shape) != shape:  # -1 is taken for "whatever fits"
            raise ValueError(f"no such shape: {shape}")
        offset += array.nbytes
        yield torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    if offset != len(body):
        raise ValueError(f"{len(body) - offset} bytes too many")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECKSUM).digest()


def _write(path: Path, data: bytes) -> None:
    """Give a file these contents, all at once and to last; on failure it keeps its old ones."""
    with replacing(path) as file:
        file.write(data)


def _canonical(value: Mapping[str, Any]) -> str:
    """The one JSON text of a value."""
    try:
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise TypeError(
            f"a run must be described by what JSON can express, got a value it cannot: {error}. "
            "Describe such values by their repr."
        ) from error


def _plain(value: Any) -> Any:
    """What JSON knows, and nothing else: json.dumps alone would write the keys 1 and "1" alike."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"keys {_few([repr(key) for key in value])}, which are not all strings")
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"{value!r} of type {type(value).__name__}")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from _leaves(entry, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and value:
        for i, entry in enumerate(value):
            yield from _leaves(entry, f"{name}[{i}]")
    else:
        yield name, json.dumps(value)


def _differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    old, new = dict(_leaves(there)), dict(_leaves(here))
    differing = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    return _few(
        [
            "{} was {}, now {}".format(name, *_shorten(old.get(name, "absent"), new.get(name, "absent")))
            for name in differing
        ],
        "; ",
    )


def _shorten(old: str, new: str, width: int = 60) -> Iterator[str]:
    """Both texts around the place where they begin to differ."""
    alike = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    start = max(0, alike - width // 3)
    for text in (old, new):
        yield "..." * (start > 0) + text[start : start + width] + "..." * (len(text) > start + width)


def _few(words: list[str], separator: str = ", ", most: int = 4) -> str:
    rest = len(words) - most
    return separator.join(words[:most]) + (f"{separator}and {rest} more" if rest > 0 else "")
