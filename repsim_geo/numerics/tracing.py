"""Looking at values only where they can be looked at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad


def any_true(mask: Tensor) -> bool:
    """
    Whether anything in a mask is set; True when nobody can tell.

    Under ``torch.compile`` and ``torch.func.vmap`` values cannot be read in Python. Code that saves
    work for the usual case asks this function and does the full work when the answer is True, so
    that the result never depends on whether the values could be read.

    Parameters
    ----------
    mask : Tensor, any shape, bool

    Returns
    -------
    bool
    """
    return not readable(mask) or bool(mask.any())


def readable(x: Tensor) -> bool:
    """
    Whether the values of a tensor can be read in Python, so that a check of them is possible.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    bool
        False inside ``torch.compile``, ``torch.func`` transforms, and on the meta device.
    """
    if torch.compiler.is_compiling() or x.is_meta:
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(x)


def constant(x: Tensor) -> bool:
    """
    Whether it is certain that nobody wants a derivative with respect to a tensor.

    A derivative rule written by hand costs more than the formula itself; where none is wanted, the plain
    formula will do.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    bool
        False under ``torch.compile``, where nobody can tell.
    """
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        return False
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        if not torch._C._functorch.is_batchedtensor(x):
            return False
        x = torch._C._functorch.get_unwrapped(x)
    return not (x.requires_grad and torch.is_grad_enabled())
