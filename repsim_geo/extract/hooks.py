"""A model that runs, leaves what its submodules return, and is afterwards as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from repsim_geo._checks import usable_device
from repsim_geo.extract.layouts import tensor_of


class Call(NamedTuple):
    """A call of a submodule: its name, the module, and what it returned."""

    name: str
    module: nn.Module
    output: Tensor


@contextmanager
def evaluating(model: nn.Module, device: Any) -> Iterator[torch.device]:
    """Run in evaluation mode and on a device, and leave the model as it was."""
    modes = {module: module.training for module in model.modules()}
    homes = {x.device for x in (*model.parameters(), *model.buffers())}
    home = next(iter(homes), torch.device("cpu"))
    where = home if device is None else usable_device(device)
    if device is not None and len(homes) > 1:
        raise ValueError(
            f"device can be given for a model on one device, got one on {len(homes)}. Leave it out: the "
            "parts stay where they are."
        )
    try:
        model.eval()
        if where != home:
            model.to(where)
        yield where
    finally:
        for module, training in modes.items():
            module.training = training
        if where != home:
            model.to(home)


@contextmanager
def recording(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Call]]:
    """What submodules returned since this was last cleared, by name: "name", "name#2" of a second call."""
    calls: dict[str, Call] = {}
    modules = dict(model.named_modules())
    handles = []

    def hook(name: str) -> Callable[..., None]:
        def record(module: nn.Module, _: Any, output: Any) -> None:
            key, count = name, 1
            while key in calls:
                count += 1
                key = f"{name}#{count}"
            # A copy: what comes next may work in place.
            calls[key] = Call(name, module, tensor_of(output, key).detach().clone())

        return record

    try:
        for name in names:
            handles.append(modules[name].register_forward_hook(hook(name)))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def check_called(calls: Mapping[str, Call], exact: Sequence[str], number: int) -> None:
    """Refuse layers that did not run: those that were named, or all that a pattern meant."""
    ran = {call.name for call in calls.values()}
    absent = [name for name in exact if name not in ran]
    if absent or not calls:
        which = f"layer {absent[0]!r}" if absent else "a layer that the patterns mean"
        raise ValueError(
            f"{which} must be called when the model runs, got batch {number} without a call. Choose another "
            "layer, or run the model in another way with forward=."
        )


@contextmanager
def plainly() -> Iterator[None]:
    """Run without gradients, and without the fast path of attention, which skips submodules."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
