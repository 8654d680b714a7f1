"""Optional dependencies: imported on use, and missed with a sentence that says what to install."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, extra: str, purpose: str) -> Any:
    """
    Import a module of an optional dependency.

    Parameters
    ----------
    module : str
    extra : str
        Extra of the package that brings it.
    purpose : str
        What needs it, as the subject of a sentence.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        Says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn", "ot": "POT"}.get(module.split(".")[0], module.split(".")[0])
        raise ImportError(
            f"{purpose} needs {package}, which is not installed. "
            f"Install it with: pip install 'repsim-geo[{extra}]' (or: pip install {package})"
        ) from error
