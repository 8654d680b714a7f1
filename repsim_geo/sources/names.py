"""What a file or folder holds: the names of its arrays, and of their rows."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import numpy as np

from repsim_geo.activations import Ids
from repsim_geo.sources.base import reading, split_name
from repsim_geo.sources.chunked import array_names, open_chunked
from repsim_geo.sources.files import NPZ, open_npz, safetensors_header
from repsim_geo.sources.folders import (
    LARGEST_INDEX,
    LAYER_ORDER,
    ROW_IDS,
    is_folder_of_layers,
    read_ids,
    read_index,
)
from repsim_geo.sources.source import as_source


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
        with open_chunked(path, path, "zarr" if suffix == ".zarr" else "h5py") as root:
            return [""] if hasattr(root, "shape") else sorted(array_names(root), key=natural)
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
        with archive.open(f"{ROW_IDS}.npy") as member, reading(path, path, NPZ, ValueError):
            return np.lib.format.read_array(member, allow_pickle=False).tolist()
