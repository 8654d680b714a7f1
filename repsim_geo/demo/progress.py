"""Progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


def track(steps: Iterable[Any], description: str) -> Iterable[Any]:
    """
    Steps with a progress bar on the standard error stream, silent where that is no terminal.

    Parameters
    ----------
    steps : iterable
        What to go through.
    description : str
        Stands before the bar.

    Returns
    -------
    iterable
    """
    from tqdm.auto import tqdm

    return tqdm(steps, description, disable=not sys.stderr.isatty(), leave=False)
