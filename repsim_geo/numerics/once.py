"""First derivatives that must not be differentiated again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def once(what: str, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """
    Result of a function whose derivative is not written: asking for it raises.

    For the backward pass of a function that holds something constant which moves. All that the result
    depends on must be handed over, so that a second derivative runs into the error: torch's own
    ``once_differentiable`` is silent where there is another way to the input.

    Parameters
    ----------
    what : str
        For the message.
    function : callable
    *tensors : Tensor

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import torch
    >>> x = torch.ones((), requires_grad=True)
    >>> once("a square", torch.square, x).backward()
    Traceback (most recent call last):
    NotImplementedError: second derivatives of a square are not written
    """
    return _Once.apply(what, function, *tensors)  # type: ignore[no-any-return]


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, what: str, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        ctx.what = what
        return function(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise NotImplementedError(f"second derivatives of {ctx.what} are not written")
