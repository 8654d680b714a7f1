"""
Other packages' names for what is here, so that a script runs with only its import changed.

``netrep`` and ``repsim`` are laid out like the packages that they are named after: put ``repsim_geo.compat.``
before the name in every import. ``rsatoolbox`` and ``geomstats`` convert from and to their objects, and
``similarity_repository`` knows measures by the identifiers of that collection. Nothing is computed here that
the rest of the package does not compute; where a number differs from the original, its docstring says why.
docs/coming_from.md has all of them side by side.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repsim_geo.compat import geomstats as geomstats
    from repsim_geo.compat import netrep as netrep
    from repsim_geo.compat import repsim as repsim
    from repsim_geo.compat import rsatoolbox as rsatoolbox
    from repsim_geo.compat import similarity_repository as similarity_repository

__all__ = ["geomstats", "netrep", "repsim", "rsatoolbox", "similarity_repository"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
