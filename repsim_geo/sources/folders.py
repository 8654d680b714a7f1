"""Folders of layers: a .npy file each, and an index that says which is which and what the rows are called."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from repsim_geo._files import replacing
from repsim_geo.activations import Ids, as_ids

ROW_IDS = "row_ids"
"""Name of the array, or of the entry of metadata, that holds the names of rows."""

LAYER_ORDER = "layers"
"""Entry of metadata that holds the names of layers in their order."""

LARGEST_INDEX = 2**30
"""Bytes of names that are read at once."""

_INDEX = "activations.json"
_FORMAT = 1
_LONGEST = 200  # bytes of a file's name; the limit of most systems is 255
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\.", re.IGNORECASE)  # names that Windows has taken


def layer_files(names: Sequence[str]) -> dict[str, str]:
    """
    Name of the file of every layer in a folder, safe on every system.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    dict from str to str

    Examples
    --------
    >>> layer_files(["block/conv 1"])
    {'block/conv 1': 'block%2Fconv%201.npy'}
    """
    files = {name: f"{quote(name, safe='')}.npy" for name in names}
    for i, (name, file) in enumerate(files.items()):
        if len(file) > _LONGEST or _RESERVED.match(file):
            files[name] = f"{i}-{file[: _LONGEST // 2]}.npy"
    # Some systems do not tell capitals.
    if len({file.lower() for file in files.values()}) < len(files):
        files = {name: f"{i}-{file}" for i, (name, file) in enumerate(files.items())}
    return files


def write_index(path: Path, files: Mapping[str, str], ids: Ids | None) -> None:
    """
    Write which file of a folder holds which layer: with that the folder is complete.

    Parameters
    ----------
    path : Path
    files : mapping from str to str
    ids : tuple of str or int, or None
    """
    with replacing(path / _INDEX, text=True) as file:
        json.dump({"format": _FORMAT, "layers": dict(files), ROW_IDS: ids}, file, indent=1)


def is_folder_of_layers(path: str | os.PathLike[str]) -> bool:
    """
    Whether a folder has an index of layers.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    bool
    """
    return os.path.exists(os.path.join(path, _INDEX))


def read_index(folder: str | os.PathLike[str]) -> tuple[dict[str, str], Ids | None]:
    """
    Which file of a folder holds which layer, and the names of the rows.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    files : dict from str to str
    ids : tuple of str or int, or None

    Raises
    ------
    ValueError
        The index cannot be read, or leads out of the folder.
    """
    path = Path(folder) / _INDEX
    try:
        if path.stat().st_size > LARGEST_INDEX:
            raise ValueError("it is larger than 1 GiB")
        found = json.loads(path.read_text(encoding="utf-8"))
        files = dict(found["layers"])
        if found["format"] > _FORMAT:
            raise ValueError("a newer version of repsim_geo wrote it")
        for name, file in files.items():
            if not isinstance(file, str) or os.path.basename(file) != file or not file.endswith(".npy"):
                raise ValueError(f"layer {name!r} must be a .npy file of this folder, got {file!r}")
        ids = found.get(ROW_IDS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} must be an index of layers that save_activations() wrote, got something that cannot be "
            f"read: {error}. Write the folder again."
        ) from error
    return files, None if ids is None else read_ids(ids, str(path))


def read_ids(found: Any, where: str) -> Ids:
    """
    Names of rows as they were read from a file.

    Parameters
    ----------
    found : list or str
        Text is JSON.
    where : str

    Returns
    -------
    tuple of str or int

    Raises
    ------
    ValueError
    """
    try:
        found = json.loads(found) if isinstance(found, str) else found
        return as_ids(found, len(found), "names of rows")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"the names of rows in {where} cannot be used: {error} Write the file again."
        ) from error
