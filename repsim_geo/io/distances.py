"""Tables of distances with the names of what they are between, in memory and on disk."""

from __future__ import annotations

import csv
import json
import math
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo._files import replacing
from repsim_geo.errors import ShapeError
from repsim_geo.sources.files import open_npz, safetensors_header

_SUFFIXES = ".csv, .npz or .safetensors"
_LARGEST = 2**36  # bytes of a table; a hundred thousand networks squared


@dataclass(frozen=True, eq=False)
class DistanceTable:
    """
    Distances, and what they are between.

    Parameters
    ----------
    distances : Tensor or array, shape (n, k)
    rows : sequence of n strings, optional
        Names; "0", "1", ... if left out.
    columns : sequence of k strings, optional
        Names; those of the rows if left out.
    metric : str
        Name of the metric.
    unit : str

    Raises
    ------
    ShapeError
        Not a matrix, or another number of names.

    Examples
    --------
    >>> table = DistanceTable(torch.tensor([[0.0, 0.5], [0.5, 0.0]]), ["a", "b"], metric="angular_cka")
    >>> table.to_pandas().loc["a", "b"]
    np.float32(0.5)
    """

    distances: Tensor
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    metric: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        try:
            values = torch.as_tensor(self.distances).detach().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"distances must be a matrix (n, k), got {type(self.distances).__name__}: {error}. "
                "pairwise() makes one."
            ) from error
        if values.dim() != 2 or not values.is_floating_point():
            raise ShapeError(
                "distances must be a matrix (n, k) of floating-point numbers, got shape "
                f"{tuple(values.shape)} "
                f"and {str(values.dtype).removeprefix('torch.')}. pairwise() makes one."
            )
        n, k = values.shape
        rows = _names(self.rows, n, "rows") or tuple(map(str, range(n)))
        columns = _names(self.columns, k, "columns") or (rows if n == k else tuple(map(str, range(k))))
        for name, value in (("distances", values), ("rows", rows), ("columns", columns)):
            object.__setattr__(self, name, value)

    def to_pandas(self) -> Any:
        """
        Frame with the names as index and columns.

        Returns
        -------
        pandas.DataFrame
        """
        pandas = need("pandas", "tables", "A data frame")
        return pandas.DataFrame(self.distances.numpy(), index=list(self.rows), columns=list(self.columns))

    def to_xarray(self) -> Any:
        """
        Array with named axes, and the metric and its unit as attributes.

        Returns
        -------
        xarray.DataArray
        """
        xarray = need("xarray", "tables", "A labeled array")
        return xarray.DataArray(
            self.distances.numpy(),
            dims=("network", "other"),
            coords={"network": list(self.rows), "other": list(self.columns)},
            name=self.metric or "distance",
            attrs={"metric": self.metric, "unit": self.unit},
        )

    def __repr__(self) -> str:
        n, k = self.distances.shape
        return f"<DistanceTable: {n} x {k}, {_corner(self) or 'distances'}>"


def _names(names: Iterable[str], n: int, what: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{what} must be a sequence of names, got {names!r}. Give one for each network.")
    found = tuple(map(str, names))
    if found and len(found) != n:
        raise ShapeError(f"{what} must be a name for each of {n}, got {len(found)}. Name every network once.")
    return found


def save_distances(table: DistanceTable, path: str | os.PathLike[str]) -> None:
    """
    Write a table of distances; an old file is replaced at once, when all is written.

    Parameters
    ----------
    table : DistanceTable
    path : str or path
        ``.csv`` (for people and spreadsheets: all digits, names around, the metric in the corner), ``.npz``
        or ``.safetensors``.

    Raises
    ------
    TypeError
        Not a table.
    ValueError
        Another suffix.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> save_distances(DistanceTable(torch.tensor([[0.0, 0.5]]), ["a"], ["b", "c"]), f"{folder.name}/d.csv")
    >>> load_distances(f"{folder.name}/d.csv").columns
    ('b', 'c')
    """
    if not isinstance(table, DistanceTable):
        raise TypeError(
            f"table must be a DistanceTable, got {type(table).__name__}. Write DistanceTable(distances, "
            "names)."
        )
    path = Path(path).expanduser()
    check_table_name(path)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        with replacing(path, text=True) as file:
            writer = csv.writer(file)
            writer.writerow([_corner(table), *table.columns])
            # repr of a Python float keeps all digits; of float32 numbers, those of float32.
            for name, row in zip(table.rows, table.distances.numpy(), strict=True):
                writer.writerow([name, *(str(value) for value in row)])
    elif suffix == ".npz":
        with replacing(path) as file:
            arrays = {name: np.array(getattr(table, name)) for name in ("rows", "columns", "metric", "unit")}
            np.savez(file, distances=table.distances.numpy(), **arrays)
    else:
        library = need("safetensors.torch", "files", "Writing a .safetensors file")
        facts = {name: json.dumps(getattr(table, name)) for name in ("rows", "columns", "metric", "unit")}
        with replacing(path) as file:
            file.write(library.save({"distances": table.distances.contiguous()}, metadata=facts))


def check_table_name(path: str | os.PathLike[str]) -> None:
    """
    Refuse names of files that no table is written to.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    ValueError
    """
    if Path(path).suffix.lower() not in (".csv", ".npz", ".safetensors"):
        raise ValueError(
            f"distances are kept in {_SUFFIXES} files, got {Path(path).name!r}. Choose one of these."
        )


def load_distances(path: str | os.PathLike[str]) -> DistanceTable:
    """
    A table of distances that `save_distances` or a spreadsheet wrote, or a bare square matrix.

    Parameters
    ----------
    path : str or path
        ``.csv`` with names in the first row and column, ``.npz``, ``.safetensors``, or ``.npy`` with a matrix
        only.

    Returns
    -------
    DistanceTable
        In float64 from csv, as written from others.

    Raises
    ------
    FileNotFoundError
    ValueError
        Damaged, or no table of distances.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"a table of distances must be an existing file, got {path}. Names are relative to {os.getcwd()}."
        )
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path)
    check_table_name(path)
    return {".csv": _read_csv, ".npz": _read_npz, ".safetensors": _read_safetensors}[suffix](path)


def _corner(table: DistanceTable) -> str:
    return f"{table.metric} ({table.unit})" if table.unit else table.metric


def _refused(path: Path, why: Any) -> ValueError:
    return ValueError(
        f"{path} must be a table of distances with a name for each row and column, got something else: "
        f"{why}. Write it with save_distances()."
    )


def _read_csv(path: Path) -> DistanceTable:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refused(path, error) from error
    if len(lines) < 2 or len(lines[0]) < 2:
        raise _refused(path, f"{len(lines)} lines")
    (corner, *columns), *body = lines
    values = np.empty((len(body), len(columns)))
    for i, (_, *cells) in enumerate(body):
        if len(cells) != len(columns):
            raise _refused(path, f"{len(cells)} numbers under {len(columns)} names in line {i + 2}")
        try:
            values[i] = [float(cell) if cell.strip() else math.nan for cell in cells]
        except ValueError as error:
            raise _refused(path, f"{error} in line {i + 2}") from error
    metric, _, unit = corner.partition(" (")
    return DistanceTable(
        torch.from_numpy(values), tuple(r[0] for r in body), tuple(columns), metric, unit.removesuffix(")")
    )


def _read_npz(path: Path) -> DistanceTable:
    with open_npz(str(path), str(path)) as (_, archive):
        found = {
            name: _member(archive, name, path) for name in ("distances", "rows", "columns", "metric", "unit")
        }
    values = found["distances"]
    if values is None:
        raise _refused(path, f"no array called 'distances' among {', '.join(archive.namelist()[:10])}")
    return _table(path, values, *(found[name] for name in ("rows", "columns", "metric", "unit")))


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray | None:
    if f"{name}.npy" not in archive.namelist():
        return None
    if archive.getinfo(f"{name}.npy").file_size > _LARGEST:
        raise _refused(path, f"an array of {archive.getinfo(f'{name}.npy').file_size} bytes")
    with archive.open(f"{name}.npy") as file:
        return _array(path, file)


def _read_npy(path: Path) -> DistanceTable:
    with open(path, "rb") as file:
        return _table(path, _array(path, file))


def _array(path: Path, file: Any) -> np.ndarray:
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise _refused(path, error) from error


def _read_safetensors(path: Path) -> DistanceTable:
    _, facts, *_ = safetensors_header(str(path), str(path))
    library = need("safetensors", "files", "Reading a .safetensors file")
    try:
        with library.safe_open(str(path), framework="pt") as file:
            values = file.get_tensor("distances")
        named = [
            json.loads(facts[name]) if name in facts else None
            for name in ("rows", "columns", "metric", "unit")
        ]
    except Exception as error:  # the library raises an exception of its own, which is no ValueError
        raise _refused(path, error) from error
    return _table(path, values, *named)


def _table(
    path: Path, values: Any, rows: Any = None, columns: Any = None, metric: Any = None, unit: Any = None
) -> DistanceTable:
    names = [() if x is None else tuple(map(str, np.asarray(x).ravel().tolist())) for x in (rows, columns)]
    facts = ["" if x is None else str(np.asarray(x).item()) for x in (metric, unit)]
    try:
        return DistanceTable(torch.as_tensor(values), *names, *facts)
    except (ShapeError, TypeError) as error:
        raise _refused(path, error) from error
