"""What all estimators share: scikit-learn's manners, and files without pickle."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo._files import replacing

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from typing_extensions import Self
else:
    BaseEstimator = need("sklearn.base", "stats", "FrechetMean").BaseEstimator

_FORMAT = 1
_SAVED = "Use a file that save() wrote."


class Estimator(BaseEstimator):
    """
    Base of the estimators: parameters are kept as given, ``fit`` returns the estimator, results end in ``_``.

    Results are tensors on the device of the points, and plain numbers. `save` writes parameters and results
    to a npz file; `load` reads them back, without pickle: a file can hold nothing but numbers and text.
    """

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def _fitted(self) -> None:
        """Refuse to answer before ``fit``."""
        need("sklearn.utils.validation", "stats", type(self).__name__).check_is_fitted(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write parameters and results to a file.

        Parameters
        ----------
        path : str or path
            Of a npz file. The manifold is stored as text only.

        Raises
        ------
        NotFittedError
            There is nothing to save yet.
        TypeError
            A parameter that text cannot hold, such as a function.
        """
        self._fitted()
        results = {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k != "manifold"}
        tensors: dict[str, Tensor] = {}
        described = {
            "format": _FORMAT,
            "estimator": type(self).__name__,
            "manifold": _text(getattr(self, "manifold", None)),
            "parameters": {k: _packed(v, f"parameters.{k}", tensors) for k, v in parameters.items()},
            "results": {k: _packed(v, f"results.{k}", tensors) for k, v in results.items()},
        }
        arrays = {k: v.detach().cpu().numpy() for k, v in tensors.items()}
        with replacing(path) as file:
            np.savez(file, **arrays, description=np.array(json.dumps(described)))

    @classmethod
    def load(cls, path: str | os.PathLike[str], manifold: Any = None) -> Self:
        """
        Read an estimator that `save` wrote.

        Parameters
        ----------
        path : str or path
        manifold : geoopt.Manifold, optional
            The manifold or metric of the estimator, where it has one. It must print as the saved one did.

        Returns
        -------
        Estimator
            Fitted, with tensors on the CPU.

        Raises
        ------
        TypeError, FileNotFoundError, IsADirectoryError
            Not the name of a file.
        ValueError
            The file is damaged, or holds another estimator or manifold.

        Notes
        -----
        Nothing is unpacked before it is known to be needed, and no more than the file has bytes: `save` does
        not compress, and what is compressed is refused.
        """
        _check_path(path)
        # Opened here: a damaged archive would be left open.
        with open(path, "rb") as opened:
            with _readable(path):
                archive = _Archive(opened)
                described = json.loads(str(archive.read("description")))
                version, kind, written = (described[k] for k in ("format", "estimator", "manifold"))
                groups = described["parameters"], described["results"]
                _check_types(version, kind, written, *groups)
            if version > _FORMAT:
                raise ValueError(
                    f"{path} has format {version}, and this version of repsim_geo reads up to {_FORMAT}. "
                    "Install a newer version."
                )
            if kind != cls.__name__:
                raise ValueError(f"{path} holds a {kind}, not a {cls.__name__}. Use {kind}.load(path).")
            if written != _text(manifold):
                raise ValueError(
                    f"{path} was written for the manifold {written}, got {_text(manifold)}. Pass that "
                    "manifold."
                )
            cls._check_names(path, *groups, on_manifold=written is not None)
            with _readable(path):
                parameters, results = ({k: _unpacked(v, archive) for k, v in g.items()} for g in groups)
        estimator = cls(**parameters) if written is None else cls(manifold, **parameters)
        for name, value in results.items():
            setattr(estimator, name, value)
        return estimator

    @classmethod
    def _check_names(cls, path: Any, parameters: Any, results: Any, *, on_manifold: bool) -> None:
        """Refuse names that `save` cannot have written: they could replace what the estimator does."""
        known = cls._get_param_names()
        if on_manifold != ("manifold" in known):
            raise ValueError(
                f"{path} must name the manifold of an estimator that has one, got "
                f"{'one' if on_manifold else 'none'} for {cls.__name__}. {_SAVED}"
            )
        known = [name for name in known if name != "manifold"]
        others = sorted(set(parameters) - set(known))
        if others:
            raise ValueError(
                f"{path} must hold parameters of {cls.__name__} ({', '.join(known)}), got {others[0]!r}. "
                f"{_SAVED}"
            )
        others = sorted(k for k in results if k[:1] == "_" or k[-1:] != "_" or hasattr(cls, k))
        if others:
            raise ValueError(f"{path} must hold results, whose names end in _, got {others[0]!r}. {_SAVED}")


def _check_path(path: Any) -> None:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path must be the name of a file, got {type(path).__name__}. Give a string or a path."
        )
    if Path(path).is_dir():
        raise IsADirectoryError(
            f"path must be a file that save() wrote, got the folder {path}. Name the file."
        )
    if not Path(path).exists():
        raise FileNotFoundError(
            f"path must be an existing file, got {path}. Names are relative to the working directory, "
            f"{Path.cwd()}."
        )


@contextmanager
def _readable(path: Any) -> Iterator[None]:
    """Say of whatever goes wrong that the file is to blame."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} does not hold an estimator that can be read. {_SAVED}") from error


class _Archive:
    """Arrays of an npz file, none of which is read before it is asked for."""

    def __init__(self, opened: IO[bytes]):
        self._archive = zipfile.ZipFile(opened)
        infos = self._archive.infolist()
        # What is said of sizes can be a lie; nothing that is stored as it is can exceed the file.
        packed = any(i.compress_type != zipfile.ZIP_STORED or i.file_size != i.compress_size for i in infos)
        if packed or sum(i.file_size for i in infos) > os.fstat(opened.fileno()).st_size:
            raise ValueError("compressed, or larger than the file")
        self._tensors: dict[str, Tensor] = {}

    def read(self, name: str) -> np.ndarray:
        """An array whose header agrees with the number of its bytes."""
        data = self._archive.read(f"{name}.npy")
        file = io.BytesIO(data)
        header = np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(file) != (1, 0):
            header = np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
            raise ValueError("objects, or another number of bytes than the header says")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)

    def tensor(self, name: str) -> Tensor:
        """The same tensor each time, however often the description names it."""
        if name not in self._tensors:
            self._tensors[name] = torch.from_numpy(self.read(name))
        return self._tensors[name]


def _check_types(version: Any, kind: Any, written: Any, *groups: Any) -> None:
    right = type(version) is int and version > 0 and isinstance(kind, str)
    right = right and isinstance(written, str | None) and all(isinstance(g, dict) for g in groups)
    if not right:
        raise ValueError("another description")


def _text(manifold: Any) -> str | None:
    if manifold is None:
        return None
    scale = getattr(manifold, "scale", None)  # geoopt.Scaled does not print it
    return repr(manifold) if scale is None else f"{manifold!r} scaled by {float(scale):.9g}"


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON of a value, whose tensors are put aside under a name."""
    if isinstance(value, Tensor | np.ndarray):
        tensors[name] = torch.as_tensor(value)
        return {"tensor": name}
    if isinstance(value, list | tuple):
        return [_packed(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"{name} is a {type(value).__name__}, which a file without pickle cannot hold. Use numbers, text or "
        "tensors."
    )


def _unpacked(value: Any, archive: _Archive) -> Any:
    if isinstance(value, dict):
        return archive.tensor(value["tensor"])
    return [_unpacked(v, archive) for v in value] if isinstance(value, list) else value
