"""Trained weights on disk: an npz file an architecture, named by a hash of all that decides the weights."""

from __future__ import annotations

import hashlib
import json
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo._files import replacing

_UNREADABLE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)


def key(configuration: Mapping[str, Any]) -> str:
    """
    Hash of a configuration, 16 hexadecimal digits.

    Parameters
    ----------
    configuration : mapping
        Whatever decides the stored tensors; it must survive ``json.dumps``.
    """
    return hashlib.sha256(_as_text(configuration).encode()).hexdigest()[:16]


def save(path: Path, tensors: Mapping[str, Tensor], configuration: Mapping[str, Any]) -> None:
    """
    Write tensors with the configuration that made them; readers never see a half-written file.

    Parameters
    ----------
    path : Path
        Target, ending in ``.npz``; folders are made as needed.
    tensors : mapping of str to Tensor
        What to store.
    configuration : mapping
        Stored as text, and compared by `load`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    facts = {"_configuration": np.array(_as_text(configuration)), "_digest": np.array(_digest(arrays))}
    with replacing(path) as file:
        np.savez(file, **arrays, **facts)


def load(path: Path, configuration: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """
    Tensors stored by `save`, or None if there are none to be trusted.

    Parameters
    ----------
    path : Path
        File to read.
    configuration : mapping
        Must equal the stored one.

    Returns
    -------
    dict of str to Tensor, or None
        None if the file is missing, damaged, or made by another configuration.

    Warns
    -----
    UserWarning
        If the file exists but cannot be used; it names the file.
    """
    if not path.exists():
        return None
    try:
        if not zipfile.is_zipfile(
            path
        ):  # numpy would take it for a pickle, and its message would recommend that
            raise ValueError("it is not an npz file")
        return _read(path, configuration)
    except _UNREADABLE as error:
        warnings.warn(
            f"The stored networks in {path} cannot be used and are trained again: {error}", stacklevel=2
        )
        return None


def _read(path: Path, configuration: Mapping[str, Any]) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    text, digest = str(arrays.pop("_configuration")), str(arrays.pop("_digest"))
    if text != _as_text(configuration):
        raise ValueError("it was made by another configuration")
    if digest != _digest(arrays):
        raise ValueError("its contents do not match its checksum")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _as_text(configuration: Mapping[str, Any]) -> str:
    return json.dumps(configuration, sort_keys=True)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()
