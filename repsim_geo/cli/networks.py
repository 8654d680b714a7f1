"""From the names of files on the command line to labeled networks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repsim_geo.cli.common import UsageError

_SUFFIXES = (".npy", ".npz", ".safetensors", ".h5", ".hdf5", ".zarr")


def networks_of(names: Sequence[str], least: int = 2) -> tuple[dict[str, str], list[str]]:
    """
    All arrays that are meant, by a short label, and the group of each.

    Parameters
    ----------
    names : sequence of str
        Files, arrays of files, folders.
    least : int
        Fewest that make sense.

    Returns
    -------
    arrays : dict from str to str
        Name of the array for `as_source`, by label.
    groups : list of str
        Of each: the file that holds it, if one holds several; else its folder, if there are several.
    """
    layered = {name: layers_of(name) for name in _files(names)}
    several = any(len(layers) > 1 for layers in layered.values())
    arrays: dict[str, str] = {}
    groups = []
    for name, short in zip(layered, short_names(list(layered)), strict=True):
        for layer, array in layered[name].items():
            label = layer if len(layered) == 1 else f"{short}/{layer}" if len(layered[name]) > 1 else short
            arrays[label.encode("utf-8", "backslashreplace").decode()] = array
            groups.append(short if several else Path(name).resolve().parent.name)
    if len(arrays) < least:
        raise UsageError(
            f"this needs at least {least} networks, got {len(arrays)}. Give more files, or a folder of files."
        )
    return arrays, groups


def layers_of(name: str) -> dict[str, str]:
    """
    Arrays of one file or folder of layers, by name.

    Parameters
    ----------
    name : str

    Returns
    -------
    dict from str to str
        Those that are activations, in the order of the file.
    """
    from repsim_geo.sources import as_source, names_of_arrays, split_name

    path, entry = split_name(name)
    if any(mark in path for mark in "*?") and not os.path.exists(path):
        raise UsageError(f"{name} is a pattern that the shell has found no file for. Look at the folder.")
    if is_plain_folder(path):
        raise UsageError(
            f"{name} must be one network, got a folder. Take one of its files here; repsim-geo pairwise "
            "takes all."
        )
    if entry:
        return {entry: name}
    found, refused = {}, None
    for array in names_of_arrays(path):
        text = f"{path}::{array}" if array else path
        try:
            as_source(text, text)
            found[array or Path(path).stem] = text
        except (TypeError, ValueError) as error:  # labels beside activations
            refused = error
    if not found:
        raise refused or UsageError(f"{name} holds no array. Write activations into it.")
    return found


def is_plain_folder(name: str | os.PathLike[str]) -> bool:
    """
    Whether this is a folder of networks, and not a network of its own: layers with an index, or Zarr.

    Parameters
    ----------
    name : str or path

    Returns
    -------
    bool
    """
    from repsim_geo.sources.folders import is_folder_of_layers

    path = Path(name).expanduser()
    return path.is_dir() and path.suffix.lower() != ".zarr" and not is_folder_of_layers(path)


def embedded(named: Sequence[tuple[str, Any]], metric: Any, caller: str) -> tuple[list[Any], Any]:
    """
    Points of networks that describe the same inputs.

    Parameters
    ----------
    named : sequence of (str, Activations)
        With the names by which errors call them.
    metric : RepresentationMetric
    caller : str
        Command that was given.

    Returns
    -------
    points : list of Tensor
    metric : RepresentationMetric
        With the sizes of the data.
    """
    from repsim_geo import _checks

    tensors = [_checks.as_activations(x, name) for name, x in named]
    for (name, _), x in zip(named, tensors, strict=True):
        _checks.check_pair(tensors[0], x, caller, (named[0][0], name))
        metric.check_input(x, name)
    metric = metric.resolve(tensors)
    return [metric.embed(x) for x in tensors], metric


def load(array: str) -> Any:
    """
    Activations of an array, in memory, with the names of its rows.

    Parameters
    ----------
    array : str

    Returns
    -------
    Activations
    """
    from repsim_geo.activations import Activations
    from repsim_geo.sources import as_source, row_ids

    return Activations(as_source(array, array).whole(), row_ids(array), name=array)


def refuse_input(output: str | None, arrays: dict[str, str]) -> None:
    """
    Refuse to write where something is read.

    Parameters
    ----------
    output : str or None
    arrays : dict from str to str
        Of `networks_of`.
    """
    from repsim_geo.sources import split_name

    if output is not None and Path(output).expanduser().resolve() in {
        Path(split_name(array)[0]).resolve() for array in arrays.values()
    }:
        raise UsageError(f"a result must not replace what it is made of, got {output}. Choose another file.")


def short_names(names: Sequence[str]) -> list[str]:
    """
    Names without what they have in common in front and without suffix, different from each other.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> short_names(["runs/a/last.npy", "runs/b/last.npy"]), short_names(["x/a.npy", "x/b.npy"])
    (['a/last', 'b/last'], ['a', 'b'])
    >>> short_names(["x/a.npy", "x/a.npz"])
    ['a.npy', 'a.npz']
    """
    files = [Path(name.partition("::")[0]) for name in names]
    entries = [f"/{entry}" if entry else "" for entry in (name.partition("::")[2] for name in names)]
    for parts in ([file.with_suffix("").parts for file in files], [file.parts for file in files]):
        for kept in range(1, max(map(len, parts)) + 1):
            short = ["/".join(p[-kept:]) + entry for p, entry in zip(parts, entries, strict=True)]
            if len(set(short)) == len(short):
                return short
    return list(names)


def _files(names: Sequence[str]) -> list[str]:
    """Files that are meant: those of folders, which are not layers of one network, one by one."""
    from repsim_geo.sources.folders import is_folder_of_layers
    from repsim_geo.sources.names import natural

    found = []
    for name in names:
        path = Path(name).expanduser()
        if not is_plain_folder(path):
            found.append(name)
            continue
        inside = [
            os.path.join(name, entry)
            for entry in sorted(os.listdir(path), key=natural)
            if Path(entry).suffix.lower() in _SUFFIXES or is_folder_of_layers(path / entry)
        ]
        if not inside:
            raise UsageError(
                f"{name} must hold activations, {', '.join(_SUFFIXES)}, got a folder without. Give another "
                "one."
            )
        found += inside
    places = [Path(name).resolve() for name in found]
    if len(set(places)) < len(places):
        twice = next(name for name, place in zip(found, places, strict=True) if places.count(place) > 1)
        raise UsageError(f"every network must be given once, got {twice} more than once. Leave one out.")
    return found
