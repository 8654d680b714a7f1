"""What a search for a minimum returns, and how a search reports on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor


class Reason(IntEnum):
    """
    Why a search ended.

    Attributes
    ----------
    CONVERGED
        The gradient norm reached the tolerance.
    MAX_ITER
        All iterations were taken.
    STALLED
        Neither the value nor the gradient norm fell any more: rounding, a kink, or an edge of the manifold.
    STOPPED
        The callback said so.
    RUNNING
        It has not ended; only a callback sees this.
    """

    CONVERGED = 0
    MAX_ITER = 1
    STALLED = 2
    STOPPED = 3
    RUNNING = 4


@dataclass(frozen=True)
class Minimum:
    """
    Where a function is least, for every entry of a batch of starts.

    Attributes
    ----------
    point : Tensor, shape (*batch, *point)
    value : Tensor, shape (*batch)
        Of the function at `point`.
    gradient_norm : Tensor, shape (*batch)
        Length of the Riemannian gradient at `point`; unit of the function over unit of the distance.
    n_iter : Tensor, shape (*batch)
        Steps tried.
    n_evaluations : Tensor, shape (*batch)
        How often the function was computed at points of this entry, mostly with its gradient.
    reason : Tensor, shape (*batch)
        Numbers of `Reason`.
    """

    point: Tensor
    value: Tensor
    gradient_norm: Tensor
    n_iter: Tensor
    n_evaluations: Tensor
    reason: Tensor

    @property
    def converged(self) -> Tensor:
        """Whether the gradient norm reached the tolerance; shape (*batch)."""
        return self.reason == Reason.CONVERGED

    def __str__(self) -> str:
        found = int(self.converged.sum())
        ends = ", ".join(
            f"{int((self.reason == reason).sum())} {reason.name.lower()}"
            for reason in Reason
            if bool((self.reason == reason).any())
        )
        return (
            f"{found} of {self.reason.numel()} found ({ends}); least value {float(self.value.min()):.8g}, "
            f"largest gradient norm {float(self.gradient_norm.max()):.1e}, at most {int(self.n_iter.max())} "
            f"iterations and {int(self.n_evaluations.max())} evaluations"
        )


Callback = Callable[[Minimum], Any]


class Ledger:
    """
    Where every entry of a batch stands; told by a method, read by the user.

    Parameters
    ----------
    start : Tensor, shape (n, *point)
    batch : torch.Size
        Of the user; n is the product.
    value, norm : Tensor, shape (n)
        At the start.
    counts : Tensor, shape (n)
        Of evaluations; the method counts on in the same tensor.
    verbose : bool or int
        Print a line every so many iterations.
    callback : callable, optional
        Sees a `Minimum` after every iteration, ends the search by returning True.
    """

    def __init__(
        self,
        start: Tensor,
        batch: torch.Size,
        value: Tensor,
        norm: Tensor,
        counts: Tensor,
        *,
        verbose: bool | int = False,
        callback: Callback | None = None,
    ):
        self.batch, self.counts = batch, counts
        self.point, self.value, self.norm = start.clone(), value.clone(), norm.clone()
        self.n_iter = torch.zeros_like(counts)
        self.reason = torch.full_like(counts, Reason.RUNNING)
        self.verbose, self.callback = int(verbose), callback

    def write(self, rows: Tensor, point: Tensor, value: Tensor, norm: Tensor, n_iter: int) -> None:
        """Note where these entries are."""
        self.point[rows], self.value[rows], self.norm[rows] = point, value, norm
        self.n_iter[rows] = n_iter

    def end(self, rows: Tensor, reason: Reason) -> None:
        """Note why these entries ended."""
        self.reason[rows] = int(reason)

    def tell(self, rows: Tensor, n_iter: int) -> bool:
        """Print a line and ask the callback, if wanted; True ends the search."""
        if self.verbose and n_iter % self.verbose == 0:
            which = "" if len(self.counts) == 1 else f"{len(rows):6d} of {len(self.counts)} running"
            print(
                f"{n_iter:6d}{which}   least value {float(self.value[rows].min()): .10e}   "
                f"largest gradient norm {float(self.norm[rows].max()):.2e}"
            )
        return self.callback is not None and self.callback(self.record()) is True

    def record(self) -> Minimum:
        """All entries as they are now."""
        values = (self.value, self.norm, self.n_iter, self.counts, self.reason)
        point = self.point.reshape(self.batch + self.point.shape[1:]).clone()
        return Minimum(point, *(value.reshape(self.batch).clone() for value in values))


class Watch:
    """
    Notices when a search only moves within rounding.

    Parameters
    ----------
    value, norm : Tensor, shape (n)
        At the start.
    patience : int
        So many iterations without a value lower by more than rounding, and without a lower gradient norm.
    """

    def __init__(self, value: Tensor, norm: Tensor, patience: int = 30):
        self.value, self.norm, self.patience = value, norm, patience
        self.idle = torch.zeros_like(value, dtype=torch.long)

    def stalled(self, value: Tensor, norm: Tensor) -> Tensor:
        """Whether patience is exhausted, shape (n); called once an iteration."""
        rounding = 8 * torch.finfo(value.dtype).eps * self.value.abs()
        lower = value < self.value - rounding
        self.idle = torch.where(lower | (norm < self.norm), 0, self.idle + 1)
        # Many small decreases add up to one that counts.
        self.value, self.norm = torch.where(lower, value, self.value), torch.minimum(norm, self.norm)
        return self.idle >= self.patience

    def keep(self, rows: Tensor) -> None:
        """Forget all entries but these."""
        self.value, self.norm, self.idle = self.value[rows], self.norm[rows], self.idle[rows]
