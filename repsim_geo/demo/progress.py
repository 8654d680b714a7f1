"""Progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


def track(steps: Iterable[Any], description: str, total: int | None = None) -> Iterable[Any]:
    """
    Steps with a progress bar on the standard error stream, silent where that is no terminal.

    Parameters
    ----------
    steps : iterable
        What to go through.
    description : str
        Stands before the bar.
    total : int, optional
        Number of steps, where it cannot be asked for.

    Returns
    -------
    iterable
    """
    from tqdm.auto import tqdm

    return tqdm(steps, description, total=total, disable=not sys.stderr.isatty(), leave=False)
