"""Warnings that point at the line of the user, however deep in the package the cause was found."""

from __future__ import annotations

import os
import sys
import warnings

import torch

_OURS = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (__file__, torch.__file__))


def warn_user(message: str, category: type[Warning]) -> None:
    """
    Warn with the location of the first frame outside the package, and outside torch.

    Repeats of a warning for one line of the user are shown once by default, however many networks cause them.

    Parameters
    ----------
    message : str
    category : type of Warning
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
