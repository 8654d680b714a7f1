"""What every route to all distances is to those who run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

from repsim_geo.pairwise.matrices import Run


class Work(ABC):
    """
    Distances of all networks, in jobs that can be done anywhere: methods of an object that can be pickled.

    Attributes
    ----------
    one_thread : bool
        Whether decompositions are so small that several threads would only wait for each other.
    nbytes : int
        Bytes of what is sent along when jobs go to other processes.
    """

    one_thread: bool = False
    nbytes: int

    @abstractmethod
    def all_distances(self, run: Run) -> Tensor:
        """
        Distances of all networks.

        Parameters
        ----------
        run : callable
            Does the jobs.

        Returns
        -------
        Tensor, shape (n, k)
            Symmetric with zero diagonal if all are compared with all.
        """

    @abstractmethod
    def sample(self) -> tuple[Callable[[], Any], float]:
        """
        A piece of the work, and which share of all it is.

        Returns
        -------
        callable, float
        """

    def __sizeof__(self) -> int:
        # Schedulers ask, and send large objects once to every worker instead of with every job.
        return object.__sizeof__(self) + self.nbytes
