"""Rows of all layers, collected in memory or written to files batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.io.activations import check_layer_name
from repsim_geo.sources.folders import layer_files

_HEADER = 128  # bytes in which a .npy header always fits


class Rows:
    """
    Rows of all layers, in memory or in the files of a folder.

    Parameters
    ----------
    folder : Path or None
        None keeps them in memory.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.keys: list[Any] = []
        self._parts: dict[str, Tensor] = {}
        self._files: dict[str, IO[bytes]] = {}
        self._open = ExitStack()
        self._looks: dict[str, tuple[int, np.dtype]] = {}

    def add(self, batch: Mapping[str, tuple[Tensor, list[Any]]], number: int) -> None:
        """Take the rows of all layers for one batch."""
        first, (_, keys) = next(iter(batch.items()))
        if number == 0:
            self._begin(batch)
        if set(batch) != set(self._looks):
            odd = sorted(set(batch) ^ set(self._looks))[0]
            raise ValueError(
                f"layers must be called equally often for each batch, got {odd!r} in some batches only "
                f"(batch {number}). Choose layers that always run."
            )
        for name, (x, own) in batch.items():
            if own != keys:
                raise ShapeError(
                    f"all layers must have the same rows, got {len(keys)} of {first!r} and {len(own)} of "
                    f"{name!r}. Extract layers with different positions one at a time, or use layout='mean'."
                )
            units, dtype = self._looks[name]
            if x.shape[1] != units:
                raise ShapeError(
                    f"layer {name!r} must give equally many units for each batch, got {units} at first and "
                    f"{x.shape[1]} in batch {number}. Use layout='mean', or give inputs of one size."
                )
            if self.folder is None:
                self._parts[name] = _put(self._parts[name], len(self.keys), x)
            else:
                self._files[name].write(np.ascontiguousarray(x.numpy(), dtype).data)
        self.keys += keys

    def _begin(self, batch: Mapping[str, tuple[Tensor, list[Any]]]) -> None:
        for name, (x, _) in batch.items():
            if self.folder is not None:
                check_layer_name(name, self.folder)
            self._looks[name] = x.shape[1], x.numpy().dtype
            self._parts[name] = x.new_empty(0, x.shape[1])
        if self.folder is not None:
            self.files = layer_files(list(batch))
            for name, file in self.files.items():
                self._files[name] = self._open.enter_context((self.folder / file).open("wb"))
                self._files[name].write(bytes(_HEADER))

    def tensors(self) -> dict[str, Tensor]:
        """All rows of all layers, if they are in memory."""
        for name, x in self._parts.items():
            self._parts[name] = x.resize_(len(self.keys), x.shape[1])
        return self._parts

    def finish_files(self) -> None:
        """Write the heads of the files, which say how many rows there are."""
        for name, (units, dtype) in self._looks.items():
            self._files[name].seek(0)
            self._files[name].write(_npy_head((len(self.keys), units), dtype))
        self.close()

    def close(self) -> None:
        """Close all files."""
        self._open.close()


def _put(rows: Tensor, start: int, x: Tensor) -> Tensor:
    """Rows with more of them from a place on; memory grows by half at a time, in one piece."""
    stop = start + len(x)
    if stop > len(rows):
        rows.resize_(max(stop, len(rows) + len(rows) // 2), x.shape[1])
    rows[start:stop] = x
    return rows


def _npy_head(shape: tuple[int, int], dtype: np.dtype) -> bytes:
    """Head of a .npy file, as long as was left free for it."""
    facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    text = repr(facts).encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"
