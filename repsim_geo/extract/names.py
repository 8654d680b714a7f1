"""Submodules by name and pattern."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from torch import nn


def layer_names(model: nn.Module, pattern: str = "**") -> list[str]:
    """
    Names of the submodules that a pattern means.

    Parameters
    ----------
    model : nn.Module
    pattern : str
        ``*`` stands for anything but a dot, ``**`` for anything, ``?`` for one character: "layer?",
        "encoder.layer.*", "**.relu".

    Returns
    -------
    list of str
        In the order of the module.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
    >>> layer_names(net), layer_names(net, "*"), layer_names(net, "1.*")
    (['0', '1', '1.0', '1.1'], ['0', '1'], ['1.0', '1.1'])
    """
    wanted = re.compile(pattern_expression(pattern))
    return [name for name, _ in model.named_modules() if name and wanted.fullmatch(name)]


def pattern_expression(pattern: str) -> str:
    """Regular expression of a pattern."""
    parts = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", pattern))


def chosen(model: Any, layers: Any) -> tuple[list[str], list[str]]:
    """
    Submodules that are meant, and those that are named; refuses a pattern that means none.

    Parameters
    ----------
    model : nn.Module
    layers : str or sequence of str

    Returns
    -------
    names, exact : list of str
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, got {type(model).__name__}. Wrap a function in a module with "
            "a forward method."
        )
    patterns = [layers] if isinstance(layers, str) or not isinstance(layers, Iterable) else list(layers)
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(
            f"layers must be names or patterns of submodules, got {layers!r}. layer_names(model) lists them "
            "all."
        )
    found: dict[str, None] = {}
    for pattern in patterns:
        names = layer_names(model, pattern)
        if not names:
            known = layer_names(model)
            near = difflib.get_close_matches(pattern, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
            raise ValueError(
                f"layers must be names of submodules, or patterns, got {pattern!r}, which is none.{hint} "
                f"Known: {shown or 'none'}."
            )
        found |= dict.fromkeys(names)
    return list(found), [pattern for pattern in patterns if pattern in found]
