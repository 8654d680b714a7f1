"""Activations of many layers in one file or folder, with the names of their rows."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo._files import check_parent, replacing, replacing_folder
from repsim_geo.activations import Activations, ActivationSet, Ids
from repsim_geo.errors import ShapeError
from repsim_geo.pairwise.plan import as_bytes, size_text
from repsim_geo.sources import Source, as_source, names_of_arrays, row_ids, split_name
from repsim_geo.sources.folders import (
    LAYER_ORDER,
    ROW_IDS,
    is_folder_of_layers,
    layer_files,
    read_index,
    write_index,
)

_WRITTEN = ".npz, .safetensors, or the name of a folder"


def save_activations(
    layers: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    ids: Iterable[str] | Iterable[int] | None = None,
) -> None:
    """
    Write activations of layers, and the names of their rows.

    Parameters
    ----------
    layers : mapping from str to Tensor, array or Activations
        Such as `extract` returns.
    path : str or path
        A ``.npz`` or ``.safetensors`` file, or a folder (no suffix), where every layer is a ``.npy`` file
        that can be read by rows. What was there before is replaced at once, when all is written.
    ids : sequence of str or int, optional
        Names of the rows, where the layers bring none.

    Raises
    ------
    ShapeError, TypeError
        Layers of different inputs; nothing to write.
    ValueError
        Another suffix, or a name of a layer that no file can have.

    Examples
    --------
    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> save_activations({"last": torch.eye(3)}, f"{folder.name}/net.npz", ids=["a", "b", "c"])
    >>> load_activations(f"{folder.name}/net.npz")["last"].ids
    ('a', 'b', 'c')
    """
    path = Path(path).expanduser()
    acts = ActivationSet(layers, ids)
    if not acts:
        raise ValueError(
            "layers must hold at least one layer, got none. Give a mapping from names to activations."
        )
    check_target(path)
    for name in acts:
        check_layer_name(name, path)
    if path.suffix.lower() == ".npz":
        _write_npz(acts, path)
    elif path.suffix.lower() == ".safetensors":
        _write_safetensors(acts, path)
    else:
        _write_folder(acts, path)


def check_target(path: Path) -> None:
    """
    Refuse names that no activations are written to, before they are computed.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError, FileNotFoundError
    """
    if path.suffix.lower() in (".npz", ".safetensors"):
        check_parent(path)
    elif path.suffix and not path.is_dir():
        raise ValueError(f"activations are written to {_WRITTEN}, got {path.name!r}. Choose one of these.")


def check_layer_name(name: str, path: Path) -> None:
    """
    Refuse names of layers that no archive should hold.

    Parameters
    ----------
    name : str
    path : Path
        Of the archive, for the message.

    Raises
    ------
    ValueError
    """
    parts = name.replace("\\", "/").split("/")
    if not name or name.startswith(("/", "\\")) or ".." in parts or "\0" in name or name == ROW_IDS:
        raise ValueError(
            f"{path.name} cannot hold a layer called {name!r}: names of files must lie inside of it, and "
            f"{ROW_IDS!r} holds the names of rows. Rename the layer."
        )


def _numpy(x: Any) -> np.ndarray:
    x = x.values if isinstance(x, Activations) else x
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    return np.asarray(x)


def _write_npz(acts: ActivationSet, path: Path) -> None:
    arrays = {name: _numpy(x) for name, x in acts.items()}
    if acts.ids is not None:
        arrays[ROW_IDS] = np.array(acts.ids)
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_safetensors(acts: ActivationSet, path: Path) -> None:
    library = need("safetensors.torch", "files", "Writing a .safetensors file")
    tensors = {name: torch.from_numpy(np.ascontiguousarray(_numpy(x))) for name, x in acts.items()}
    # The format sorts arrays; a path of layers has an order of its own.
    metadata = {LAYER_ORDER: json.dumps(list(acts))}
    if acts.ids is not None:
        metadata[ROW_IDS] = json.dumps(acts.ids)
    with replacing(path) as file:
        file.write(library.save(tensors, metadata=metadata))


def _write_folder(acts: ActivationSet, path: Path) -> None:
    files = layer_files(list(acts))
    with new_folder(path) as folder:
        for name, x in acts.items():
            with open(folder / files[name], "wb") as file:
                np.lib.format.write_array(file, _numpy(x), allow_pickle=False)
        write_index(folder, files, acts.ids)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """
    A folder to write layers into, that takes its name, and the place of an older one, when all is written.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Path
        Of the folder until then.

    Raises
    ------
    ValueError
        There is a file of this name, or a folder that holds something else.
    """
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not is_folder_of_layers(path))):
        raise ValueError(
            f"{path} must be a new folder, or one of layers, got "
            f"{'a file' if path.is_file() else 'other files'} there. Choose {_WRITTEN}."
        )
    with replacing_folder(path) as folder:
        yield folder


def load_activations(path: str | os.PathLike[str], layers: Iterable[str] | None = None) -> ActivationSet:
    """
    Activations of all layers of a file or folder.

    Parameters
    ----------
    path : str or path
        What `save_activations` wrote, or any ``.npy``, ``.npz``, ``.safetensors``, ``.h5``, ``.hdf5`` file or
        ``.zarr`` folder. Two colons and the name of one layer may follow. The layer of a ``.npy`` file has
        the file's name.
    layers : sequence of str, optional
        Which ones. None takes all arrays that can be activations: floating point, with two axes or four.

    Returns
    -------
    ActivationSet
        Of a folder that `save_activations` or `extract` wrote, memory maps: nothing is read yet. Otherwise
        tensors, in float32 where the file has half precision.

    Raises
    ------
    FileNotFoundError
    ValueError
        Damaged, of another format, without such a layer, or larger than the memory of this machine.
    """
    text, entry = split_name(os.fspath(path))
    path = Path(text)
    layers = [entry] if entry and layers is None else layers
    if is_folder_of_layers(path):
        files, ids = read_index(path)
        wanted = _wanted(layers, list(files), path)
        for name in wanted:
            as_source(str(path / files[name]), f"{path}::{name}")  # refuses what is damaged
        maps = {n: np.load(path / files[n], mmap_mode="r", allow_pickle=False) for n in wanted}
        return _with_ids(maps, ids, path)
    places = {
        name or path.stem: f"{path}::{name}" if name else str(path) for name in names_of_arrays(str(path))
    }
    every = list(places)
    sources: dict[str, Source] = {}
    for name in _wanted(layers, every, path):
        text = places[name]
        try:
            sources[name] = as_source(text, text)
        except (ShapeError, TypeError):
            if layers is not None:
                raise
    if not sources:
        raise ValueError(
            f"{path} must hold activations, floating point with shape (m, d), got none among its arrays: "
            f"{', '.join(every[:20])}. Convert them with .astype('float32')."
        )
    size = sum(s.shape[0] * s.shape[1] * s.dtype.itemsize for s in sources.values())
    if size > 4 * as_bytes(None):
        raise ValueError(
            f"the layers of {path} must fit into memory, got {size_text(size)}. Choose some with layers=, "
            "or give their names to pairwise(), which reads them by rows."
        )
    return _with_ids({name: source.whole() for name, source in sources.items()}, row_ids(path), path)


def _with_ids(layers: Mapping[str, Any], ids: Ids | None, path: Path) -> ActivationSet:
    try:
        return ActivationSet(layers, ids)
    except ShapeError as error:
        raise ShapeError(f"{error} They were read from {path}.") from error


def _wanted(layers: Iterable[str] | None, known: Sequence[str], path: Path) -> list[str]:
    if layers is None:
        return list(known)
    wanted = [layers] if isinstance(layers, str) else list(layers)
    absent = [name for name in wanted if name not in known]
    if absent:
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise ValueError(f"no layer called {absent[0]!r} in {path}. Known: {shown}.")
    return wanted


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """
    Names of the arrays of a file or folder, in order, without the one that names rows.

    Parameters
    ----------
    path : str or path
        As for `load_activations`.

    Returns
    -------
    list of str
        Of a ``.npy`` file its own name without the suffix.

    Raises
    ------
    FileNotFoundError, ValueError
    """
    path = Path(path).expanduser()
    return [name or path.stem for name in names_of_arrays(str(path))]
