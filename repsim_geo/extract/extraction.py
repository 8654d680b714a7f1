"""One pass over the data, and what the layers said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from repsim_geo.activations import ActivationSet, as_ids
from repsim_geo.extract.batches import InputNames, batches_of, moved_to, run, size_of
from repsim_geo.extract.hooks import check_called, evaluating, plainly, recording
from repsim_geo.extract.layouts import Layout, Layouts
from repsim_geo.extract.names import chosen
from repsim_geo.extract.rows import Rows
from repsim_geo.io.activations import check_target, load_activations, new_folder, save_activations
from repsim_geo.sources.folders import write_index


def extract(
    model: nn.Module,
    data: Any,
    layers: str | Sequence[str],
    *,
    layout: Layout | Mapping[str, Layout] = "flatten",
    channels: Literal["auto", "first", "last"] = "auto",
    ids: Iterable[str] | Iterable[int] | str | Callable[[Any], Iterable[Any]] | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    to: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> ActivationSet:
    """
    Activations of named layers, while the model runs over the data once.

    Parameters
    ----------
    model : nn.Module
        Left as it was: hooks are removed, the training mode of every submodule and the device are restored,
        also after an error. It runs in evaluation mode, without gradients.
    data : DataLoader, iterable of batches, or Tensor
        A batch is a tensor (b, ...), a tuple or list whose first entry is the input (labels may follow), or a
        dict of keyword arguments of the model (but for the one that `ids` names). A tensor is one batch.
    layers : str or sequence of str
        Names of submodules, or patterns; see `layer_names`. Of a pattern those are taken that run.
    layout : str, or mapping from patterns to str
        What becomes of positions (of pixels, tokens): "flatten": all channels and positions are units;
        "mean", "max": over positions; "first", "last": of one position, such as a class token; "positions":
        every position is a row of its own, with channels as units. Vectors (b, d) stay as they are.
    channels : "auto", "first" or "last"
        Which axis holds channels. "auto": the second of four or more axes, the last of three (b, tokens, d),
        except behind one-dimensional convolutions, pools and batch norms.
    ids : sequence of str or int, str, or callable, optional
        Names of the inputs: all of them in order; the key of a dict batch that holds them; or a function of a
        batch. None counts from 0.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model, to run it in another way.
    device : torch.device or str, optional
        Where the model runs; default where it is.
    dtype : torch.dtype, optional
        Of the activations. None keeps float32 and float64, and turns half precision into float32.
    to : str or path, optional
        Where to write them: a folder (batch by batch, so that memory holds one batch), or a ``.npz`` or
        ``.safetensors`` file. None returns them in memory.
    progress : bool
        Show a progress bar (needs tqdm).

    Returns
    -------
    ActivationSet
        By the name of the layer, on the CPU; of a folder, memory maps. A submodule that is called more than
        once in a pass gives "name", "name#2", and so on. Outputs that are tuples or dicts count as their
        first tensor, dicts as ``last_hidden_state`` if they have one.

    Raises
    ------
    ValueError
        No such layer; a layer that is not called; shuffled data without names of their own.
    ShapeError
        Outputs whose first axis is not that of the inputs, or that change their number of units.
    TypeError
        Outputs without a tensor, batches that are none.

    Notes
    -----
    Padding: if a batch has an ``attention_mask`` (b, tokens), then all layouts but "flatten" of outputs
    (b, tokens, d) leave out what it masks.

    Modules of torch that put the batch second (recurrent ones and attention without ``batch_first``) are
    turned around. The data themselves must have the inputs first; data sets that are only iterated over
    cannot be checked for their order.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> images = torch.randn(20, 1, 8, 8)
    >>> acts = extract(net, images.split(8), ["1", "3"], layout={"1": "mean"})
    >>> acts["1"].shape, acts["3"].shape, acts.ids[:3]
    ((20, 4), (20, 10), (0, 1, 2))
    """
    names, exact = chosen(model, layers)
    layouts = Layouts(layout, names, channels, dtype)
    inputs = InputNames(ids, data)
    target = None if to is None else Path(to).expanduser()
    if target is not None:
        check_target(target)
    with ExitStack() as stack:
        on_disk = target is not None and target.suffix == ""
        # Tensors that are made in inference mode could not be used with gradients later.
        stack.enter_context(torch.inference_mode(False))
        rows = Rows(stack.enter_context(new_folder(target)) if on_disk else None)
        stack.callback(rows.close)
        where = stack.enter_context(evaluating(model, device))
        calls = stack.enter_context(recording(model, names))
        for number, batch in enumerate(batches_of(data, progress)):
            calls.clear()
            moved = moved_to(batch, where)
            with plainly():
                if forward is None:
                    run(model, moved, ids if isinstance(ids, str) else None)
                else:
                    forward(model, moved)
            check_called(calls, exact, number)
            output = next(iter(calls.values())).output
            keys = inputs.of(batch, size_of(moved if forward is None else None, output))
            mask = moved.get("attention_mask") if isinstance(moved, Mapping) else None
            rows.add({key: layouts.rows(key, call, keys, mask) for key, call in calls.items()}, number)
        if not rows.keys:
            raise ValueError(
                "data must hold at least one batch, got none. An iterator can be used only once."
            )
        inputs.check_used()
        names_of_rows = as_ids(rows.keys, len(rows.keys))
        if rows.folder is not None:
            rows.finish_files()
            write_index(rows.folder, rows.files, names_of_rows)
    if target is not None and rows.folder is not None:
        return load_activations(target)
    acts = ActivationSet(rows.tensors(), names_of_rows)
    if target is not None:
        save_activations(acts, target)
    return acts
