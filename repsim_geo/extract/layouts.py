"""From the output of a submodule to rows of activations."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from repsim_geo.errors import ShapeError
from repsim_geo.extract.names import pattern_expression

Layout = Literal["flatten", "mean", "max", "first", "last", "positions"]
_LAYOUTS = ("flatten", "mean", "max", "first", "last", "positions")
# Names of the outputs that stand for a module, in the order in which they are looked for.
_OUTPUTS = ("last_hidden_state", "hidden_states", "logits", "sample", "out")
# Layers over one axis of positions put channels before it, where transformers put them last.
_CHANNELS_FIRST = re.compile(r"(Conv|ConvTranspose|BatchNorm|InstanceNorm|MaxPool|AvgPool|Upsample).*1d$")


class Layouts:
    """
    How outputs of submodules become rows.

    Parameters
    ----------
    layout, channels, dtype
        As for `extract`.
    names : sequence of str
        Of the submodules.
    """

    def __init__(self, layout: Any, names: Sequence[str], channels: str, dtype: torch.dtype | None):
        self._by_name = _layout_of_each(layout, names)
        if channels not in ("auto", "first", "last"):
            raise ValueError(f"channels must be 'auto', 'first' or 'last', got {channels!r}.")
        if dtype not in (None, torch.float16, torch.float32, torch.float64):
            raise TypeError(
                f"dtype must be torch.float32, float64 or float16, got {dtype!r}. None keeps what layers "
                "give."
            )
        self._channels, self._dtype = channels, dtype

    def rows(self, key: str, call: Any, keys: Sequence[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        """
        Rows of a batch, and what they are called.

        Parameters
        ----------
        key : str
            Name of the layer; "#2" marks a second call.
        call : Call
            With its output, shape (b, ...).
        keys : sequence
            Names of the b inputs.
        mask : Tensor, shape (b, tokens), or None
            One where there is a token.

        Returns
        -------
        Tensor, shape (rows, units)
        list
        """
        module, x = call.module, call.output
        if x.is_nested:
            raise TypeError(
                f"layer {key!r} must give a tensor with as many tokens for each input, got a nested one. "
                "Choose another layer."
            )
        x = x.transpose(0, 1) if x.dim() == 3 and _batch_second(module) else x
        if x.dim() < 1 or x.shape[0] != len(keys):
            raise ShapeError(
                f"layer {key!r} must give a row for each input, got shape {tuple(x.shape)} for {len(keys)} "
                "inputs. Let the data have the inputs first, or choose another layer."
            )
        x = self._converted(x, key)
        if x.dim() <= 2:
            return (x if x.dim() == 2 else x[:, None]).cpu(), list(keys)
        layout = self._by_name[call.name]
        if layout == "flatten":
            return x.flatten(1).cpu(), list(keys)
        grid = x.shape[2:] if self._channels_first(x, module) else x.shape[1:-1]
        x = x.flatten(2).mT if self._channels_first(x, module) else x.flatten(1, -2)
        kept = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        if mask is not None and _checked(mask).shape == kept.shape:
            kept = mask.bool().to(x.device)
            if not kept.any(1).all():
                raise ValueError(
                    f"attention_mask must leave a token of each input, got none of input "
                    f"{keys[int((~kept.any(1)).nonzero()[0])]!r}. Leave out empty inputs."
                )
        rows, names = _over_positions(x, kept, layout, keys, grid)
        return rows.cpu(), names

    def _converted(self, x: Tensor, key: str) -> Tensor:
        if x.is_complex() or (not x.is_floating_point() and self._dtype is None):
            raise TypeError(
                f"layer {key!r} must give floating-point numbers, got {str(x.dtype).removeprefix('torch.')}. "
                "Choose another layer, or give dtype=torch.float32."
            )
        half = x.dtype in (torch.float16, torch.bfloat16)
        wanted = self._dtype or (torch.float32 if half else x.dtype)
        return x.to(wanted)

    def _channels_first(self, x: Tensor, module: nn.Module) -> bool:
        if self._channels != "auto":
            return self._channels == "first"
        return x.dim() > 3 or bool(_CHANNELS_FIRST.search(type(module).__name__))


def _batch_second(module: nn.Module) -> bool:
    """Whether a module of torch puts steps before the batch."""
    inner = getattr(module, "layers", None)
    attention = getattr(
        inner[0] if isinstance(inner, nn.ModuleList) and len(inner) else module, "self_attn", module
    )
    return getattr(attention, "batch_first", None) is False


def _checked(mask: Any) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dim() != 2 or not bool(((mask == 0) | (mask == 1)).all()):
        shown = f"shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(
            f"attention_mask must be ones and zeros for the tokens of each input, (b, tokens), got {shown}"
            f"{', other numbers' if isinstance(mask, Tensor) and mask.dim() == 2 else ''}. Give the mask as "
            "the tokenizer made it, and change it in forward=."
        )
    return mask


def _layout_of_each(layout: Any, names: Sequence[str]) -> dict[str, str]:
    given = {"**": layout} if isinstance(layout, str) else layout
    if not isinstance(given, Mapping):
        raise TypeError(
            f"layout must be a name, or a mapping from patterns to names, got {type(layout).__name__}. "
            f"Names: {', '.join(_LAYOUTS)}."
        )
    for value in given.values():
        if value not in _LAYOUTS:
            near = difflib.get_close_matches(str(value), _LAYOUTS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"layout must be one of {', '.join(_LAYOUTS)}, got {value!r}.{hint}")
    found = dict.fromkeys(names, "flatten")
    for pattern, value in given.items():
        matched = [name for name in names if re.fullmatch(pattern_expression(pattern), name)]
        if not matched:
            raise ValueError(
                f"layout must be for layers that are extracted, got {pattern!r}, which is none of them. "
                f"Layers: {', '.join(names[:10])}."
            )
        found |= dict.fromkeys(matched, value)
    return found


def tensor_of(output: Any, key: str) -> Tensor:
    """The tensor that stands for the output of a module."""
    if isinstance(output, Tensor):
        return output
    values: list[Any] = []
    if isinstance(output, Mapping):
        values = [output[name] for name in _OUTPUTS if name in output] + list(output.values())
    elif isinstance(output, list | tuple):
        values = list(output)
    for value in values:
        if isinstance(value, Tensor):
            return value
        if isinstance(value, list | tuple) and value and isinstance(value[-1], Tensor):
            return value[-1]
    raise TypeError(
        f"layer {key!r} must give a tensor, or a tuple or dict with one, got {described(output)}. Choose a "
        "layer inside of it."
    )


def _over_positions(
    x: Tensor, kept: Tensor, layout: str, keys: Sequence[Any], grid: Sequence[int]
) -> tuple[Tensor, list[Any]]:
    """Rows of outputs (b, positions, channels), of which some positions are kept."""
    if layout == "positions":
        places = [",".join(map(str, place)) for place in np.ndindex(*grid)]
        names = [f"{keys[i]}[{places[j]}]" for i, j in kept.cpu().nonzero().tolist()]
        return x[kept], names
    if layout in ("first", "last"):
        # Of those that are kept: padding may be on either side.
        first = (kept if layout == "first" else kept.flip(1)).int().argmax(1)
        place = first if layout == "first" else kept.shape[1] - 1 - first
        return x[torch.arange(len(x), device=x.device), place], list(keys)
    if layout == "max":
        return x.masked_fill(~kept[..., None], -math.inf).amax(1), list(keys)
    share = kept.to(x) / kept.sum(1, keepdim=True)
    # Not a product with zeros: what is masked may be infinite.
    return (x.masked_fill(~kept[..., None], 0.0) * share[..., None]).sum(1), list(keys)


def described(batch: Any) -> str:
    """What something is, for a message."""
    keys = f" with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
    return f"a {type(batch).__name__}{keys}"
