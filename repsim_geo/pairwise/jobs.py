"""Runs lists of jobs one after the other, in threads, or where joblib sends them; keeps what is finished."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from repsim_geo._extras import need
from repsim_geo._warnings import warn_user
from repsim_geo.pairwise.store import TileStore
from repsim_geo.pairwise.work import Work

Result = tuple[Tensor, ...]

# What joblib's backends raise when a worker, not the job, has failed; by name, so that none is imported.
_LOST_WORKER = {
    "TerminatedWorkerError",
    "BrokenProcessPool",
    "KilledWorker",
    "CancelledError",
    "FutureCancelledError",
}
_ATTEMPTS = 4


class Jobs:
    """
    Maps a method over a list of jobs, and yields the results in the order of the jobs.

    Parameters
    ----------
    n_jobs : int or None
        Workers, in the sense of joblib. None: no joblib, unless ``joblib.parallel_config`` is in force.
    progress : bool
        Show a bar for every phase, in floating-point operations.
    store : TileStore or None
        Where results are written, and finished ones are found.
    """

    def __init__(self, n_jobs: int | None, progress: bool, store: TileStore | None):
        self.n_jobs, self.progress, self.store = n_jobs, progress, store

    def __call__(
        self,
        phase: str,
        method: MethodType,
        jobs: Sequence[tuple[Any, ...]],
        costs: Sequence[float] | None = None,
    ) -> Iterator[Result]:
        """
        Results of a phase.

        Parameters
        ----------
        phase : str
            An identifier: results of different phases are kept apart.
        method : bound method of a Work
            Called with the entries of a job.
        jobs : sequence of tuple
        costs : sequence of float, optional
            Operations of each job, for the progress bar.

        Yields
        ------
        tuple of Tensor
        """
        bar = self._bar(phase, jobs, costs)
        waiting: dict[int, Result] = {}
        number = 0
        try:
            for i, result in self._finished(phase, method, jobs):
                bar(i)
                waiting[i] = result
                while number in waiting:
                    yield waiting.pop(number)
                    number += 1
        finally:
            bar(None)

    def _bar(
        self, phase: str, jobs: Sequence[Any], costs: Sequence[float] | None
    ) -> Callable[[int | None], Any]:
        if not self.progress:
            return lambda i: None
        tqdm = need("tqdm.auto", "cli", "progress=True")
        costs = [1.0] * len(jobs) if costs is None else costs
        bar = tqdm.tqdm(total=sum(costs), desc=f"distances ({phase})", unit="FLOP", unit_scale=True)
        return lambda i: bar.close() if i is None else bar.update(costs[i])

    def _finished(
        self, phase: str, method: MethodType, jobs: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Result]]:
        """Numbers and results, as they come: first those that are on disk."""
        left = set(range(len(jobs)))
        if self.store is not None:
            for i in sorted(self.store.finished(phase) & left):
                found = self.store.get(phase, i)
                if found is not None:
                    left.remove(i)
                    yield i, found
        for i, result in self._computed(method, jobs, left):
            if self.store is not None:
                self.store.put(phase, i, result)
            yield i, result

    def _computed(
        self, method: MethodType, jobs: Sequence[tuple[Any, ...]], left: set[int]
    ) -> Iterator[tuple[int, Result]]:
        work: Work = method.__self__  # pyright: ignore[reportAssignmentType]  # whose method it is
        if self.n_jobs is None and not _configured():
            with threads(1 if work.one_thread else None):
                for i in sorted(left):
                    yield i, method(*jobs[i])
            return
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for i, result in self._spread(method, [(i, jobs[i]) for i in sorted(left)]):
                    left.remove(i)
                    yield i, result
                return
            except Exception as error:
                names = {cause.__name__ for cause in type(error).__mro__}
                if not names & _LOST_WORKER or attempt == _ATTEMPTS:
                    raise
                warn_user(
                    f"a worker was lost ({type(error).__name__}: {error}); {len(left)} of {len(jobs)} tiles "
                    "are computed again. If this repeats, workers may lack memory: give memory= less.",
                    RuntimeWarning,
                )

    def _spread(
        self, method: MethodType, jobs: list[tuple[int, tuple[Any, ...]]]
    ) -> Iterator[tuple[int, Result]]:
        joblib = need("joblib", "distributed", "n_jobs")
        # The object is an argument of its own, which backends can send once instead of with every job.
        owner, name = method.__self__, method.__name__
        parallel = joblib.Parallel(
            n_jobs=self.n_jobs, prefer="threads", return_as="generator_unordered", batch_size=1
        )
        with threads(None):
            yield from parallel(joblib.delayed(_perform)(owner, name, i, *job) for i, job in jobs)


def _perform(owner: Any, name: str, i: int, *job: Any) -> tuple[int, Result]:
    # One thread a worker: more would wait for each other.
    torch.set_num_threads(1)
    return i, getattr(owner, name)(*job)


def _configured() -> bool:
    """Whether ``joblib.parallel_config`` is in force."""
    # Nobody can have configured joblib without importing it.
    joblib = sys.modules.get("joblib")
    if joblib is None:
        return False
    backend, _ = joblib.parallel.get_active_backend()
    return type(backend).__name__ != "LokyBackend" or joblib.effective_n_jobs(None) > 1


def check_workers(n_jobs: Any) -> None:
    """
    Refuse what is no number of workers.

    Parameters
    ----------
    n_jobs : int or None
        As for `Jobs`.

    Raises
    ------
    ValueError
    """
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool) or n_jobs == 0):
        raise ValueError(
            f"n_jobs must be a number of workers, or -1 for one on each core, got {n_jobs!r}. "
            "None takes what joblib.parallel_config says."
        )


def workers_here(n_jobs: int | None) -> int:
    """
    How many workers will share the memory of this machine, as far as one can know.

    Parameters
    ----------
    n_jobs : int or None
        As for `Jobs`.

    Returns
    -------
    int
        One for backends other than joblib's own: their workers may be anywhere.
    """
    if n_jobs is None and not _configured():
        return 1
    joblib = need("joblib", "distributed", "n_jobs")
    local = type(joblib.parallel.get_active_backend()[0]).__module__.startswith("joblib._parallel")
    return joblib.effective_n_jobs(n_jobs) if local else 1


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """
    Let torch use so many threads, and afterwards as many as before, whoever changed it.

    Parameters
    ----------
    number : int or None
        None leaves it.
    """
    before = torch.get_num_threads()
    try:
        if number is not None:
            torch.set_num_threads(number)
        yield
    finally:
        torch.set_num_threads(before)
