"""Batches of a DataLoader and its like, and what their inputs are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from repsim_geo._extras import need
from repsim_geo.activations import as_ids
from repsim_geo.errors import ShapeError
from repsim_geo.extract.layouts import described


def batches_of(data: Any, progress: bool) -> Iterable[Any]:
    """Batches one after the other, with a bar if it is wanted; a tensor is one."""
    if isinstance(data, Tensor):
        data = [data]
    if isinstance(data, str | Mapping) or not isinstance(data, Iterable):
        raise TypeError(
            f"data must be a DataLoader, an iterable of batches, or one batch as a tensor, got "
            f"{type(data).__name__}. Write [batch] for a single batch."
        )
    return need("tqdm.auto", "cli", "progress=True").tqdm(data, "extract", unit="batch") if progress else data


def run(model: nn.Module, batch: Any, left_out: str | None = None) -> None:
    """Run a model on a tensor, on the first entry of a tuple, or with the entries of a dict but for one."""
    inputs = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if isinstance(inputs, Tensor):
        model(inputs)
    elif isinstance(inputs, Mapping):
        model(**{key: value for key, value in inputs.items() if key != left_out})
    else:
        inside = f" of {type(inputs).__name__}" if inputs is not batch else ""
        raise TypeError(
            "a batch must be a tensor, a tuple that begins with one, or a dict of arguments, got "
            f"a {type(batch).__name__}{inside}. Run the model on it with forward=."
        )


def moved_to(x: Any, device: torch.device) -> Any:
    """A batch, with all its tensors on a device."""
    if isinstance(x, Tensor):
        return x.to(device)
    if isinstance(x, Mapping):
        return {key: moved_to(value, device) for key, value in x.items()}
    if isinstance(x, list | tuple) and not hasattr(x, "_fields"):
        return type(x)(moved_to(value, device) for value in x)
    return x


def size_of(batch: Any, output: Tensor | None) -> int:
    """Inputs of a batch: entries of its first tensor; where it has none, rows of an output."""
    batch = batch[0] if isinstance(batch, list | tuple) and batch else batch
    values = list(batch.values()) if isinstance(batch, Mapping) else [batch]
    first = next((v for v in values if isinstance(v, Tensor) and v.dim() > 0), output)
    return 0 if first is None else first.shape[0]


def _in_order(data: Any) -> bool:
    """Whether a DataLoader goes through its data set from the first input to the last."""
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return True
    batches = data.batch_sampler
    sampler = data.sampler if batches is None else getattr(batches, "sampler", batches)
    return isinstance(sampler, SequentialSampler)


class InputNames:
    """
    Names of the inputs, batch by batch.

    Parameters
    ----------
    ids : sequence, str, callable or None
        As for `extract`.
    data : Any
        As for `extract`; refused if it is shuffled and nothing names the inputs.
    """

    def __init__(self, ids: Any, data: Any):
        self._of = ids if callable(ids) else None
        self._key = ids if isinstance(ids, str) else None
        self._given = None
        self._next = 0
        if self._of is None and self._key is None:
            if not _in_order(data):
                raise ValueError(
                    "data must come in the same order each time, got a DataLoader that shuffles or takes a "
                    "sample. "
                    "Set shuffle=False, or say with ids= how a batch names its inputs: a function or a key."
                )
            if ids is not None:
                given = list(ids)
                self._given = as_ids(given, len(given))

    def of(self, batch: Any, size: int) -> list[Any]:
        """Names of the inputs of the next batch."""
        start, self._next = self._next, self._next + size
        if self._of is not None:
            return list(as_ids(self._of(batch), size, "ids of a batch"))
        if self._key is not None:
            if not isinstance(batch, Mapping) or self._key not in batch:
                raise ValueError(
                    f"ids must be a key of each batch, got {self._key!r} and a batch that is "
                    f"{described(batch)}. Give a function of a batch instead."
                )
            return list(as_ids(batch[self._key], size, f"batch[{self._key!r}]"))
        if self._given is None:
            return list(range(start, start + size))
        if start + size > len(self._given):
            raise ShapeError(
                f"ids must name every input, got {len(self._given)} for more than {len(self._given)} inputs. "
                "Give one for each."
            )
        return list(self._given[start : start + size])

    def check_used(self) -> None:
        """Refuse more names than there were inputs."""
        if self._given is not None and self._next < len(self._given):
            raise ShapeError(
                f"ids must name every input, got {len(self._given)} for {self._next} inputs. Give one for "
                "each."
            )
