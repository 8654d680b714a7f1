"""What all estimators share: scikit-learn's manners, and files without pickle."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

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
        ValueError
            The file is damaged, or holds another estimator or manifold.
        """
        try:
            # Opened here: numpy leaves a damaged file open.
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {k: torch.from_numpy(file[k]) for k in file.files if k != "description"}
                described = json.loads(str(file["description"]))
            version, kind, written = (described[k] for k in ("format", "estimator", "manifold"))
            groups = described["parameters"], described["results"]
            parameters, results = ({k: _unpacked(v, arrays) for k, v in g.items()} for g in groups)
        except OSError:
            raise
        except Exception as error:
            raise ValueError(
                f"{path} does not hold an estimator that can be read. Use a file that save() wrote."
            ) from error
        if version > _FORMAT:
            raise ValueError(
                f"{path} has format {version}, and this version of repsim_geo reads up to {_FORMAT}. "
                "Install a newer version."
            )
        if kind != cls.__name__:
            raise ValueError(f"{path} holds a {kind}, not a {cls.__name__}. Use {kind}.load(path).")
        if written != _text(manifold):
            raise ValueError(
                f"{path} was written for the manifold {written}, got {_text(manifold)}. Pass that manifold."
            )
        estimator = cls(**parameters) if written is None else cls(manifold, **parameters)
        for name, value in results.items():
            setattr(estimator, name, value)
        return estimator


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


def _unpacked(value: Any, arrays: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        return arrays[value["tensor"]]
    return [_unpacked(v, arrays) for v in value] if isinstance(value, list) else value
