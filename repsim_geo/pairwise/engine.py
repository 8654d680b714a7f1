"""All-pairs distances: choose a route, cut it into tiles, run them, put the table together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from numbers import Integral
from os import PathLike, fspath
from typing import Any

import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.activations import Ids, labeled
from repsim_geo.embeddings.matrix_form import MatrixForm
from repsim_geo.errors import ShapeError
from repsim_geo.metrics.base import RepresentationMetric
from repsim_geo.numerics.tracing import constant, readable
from repsim_geo.pairwise.features import FeatureProducts
from repsim_geo.pairwise.jobs import Jobs, check_workers, threads, workers_here
from repsim_geo.pairwise.networks import Networks
from repsim_geo.pairwise.plan import (
    CACHED_ELEMENTS,
    Plan,
    Route,
    Sizes,
    as_bytes,
    chosen,
    features_route,
    points_route,
    tiles_route,
)
from repsim_geo.pairwise.points import PreparedPairs
from repsim_geo.pairwise.shapes import ShapeProducts
from repsim_geo.pairwise.store import TileStore, recorded_run
from repsim_geo.pairwise.tiles import MatrixTiles
from repsim_geo.pairwise.work import Work
from repsim_geo.registry import Method, as_metric
from repsim_geo.sources import Source, as_source, row_ids, split_name

# Seconds of a sample that need not be repeated.
_LONG_SAMPLE = 0.3


def pairwise(
    reps: Any,
    method: Method = "angular_cka",
    *,
    others: Any = None,
    block: int | None = None,
    progress: bool = False,
    n_jobs: int | None = None,
    route: str | None = None,
    memory: int | str | None = None,
    store: str | PathLike[str] | None = None,
    device: Any = None,
    explain: bool = False,
    **options: Any,
) -> Tensor:
    """
    Distances between all pairs of representations of the same inputs.

    Parameters
    ----------
    reps : sequence or mapping of n activations (m, d_i), or a Tensor of shape (n, m, d)
        Numbers of units may differ. Tensors, arrays, memory maps, names of files ("acts.npy",
        "acts.safetensors::layer4"), HDF5 and Zarr datasets, or functions that return one of these, mixed; see
        `as_source`. Repeats (r_i, m, d_i) for metrics that take them.
    method : str, metric, or (nn.Module, geoopt.Manifold)
    others : like `reps`, optional
        Compare every one of `reps` with every one of these instead.
    block : int, optional
        Networks on one side of a tile, for the route through points; default 16.
    progress : bool
        Show a progress bar (needs tqdm).
    n_jobs : int, optional
        Compute tiles in this many threads (needs joblib). None computes them one after the other, or wherever
        ``joblib.parallel_config`` says: in processes, or on a cluster.
    route : "tiles", "features" or "points", optional
        How: through blocks of inputs, cross-products of units, or points; see `plan_pairwise`. None takes the
        one with the fewest operations.
    memory : int or str, optional
        Bytes that may be used beyond activations in memory, such as "2GB"; default a quarter of those of the
        machine. Workers share it.
    store : str or path, optional
        Folder where finished tiles are written. A run that was interrupted goes on from there.
    device : torch.device or str, optional
        Where to compute; default where the first network is.
    explain : bool
        Print the plan, with the time predicted from a sample, before the work begins.
    **options
        Keyword arguments of the named metric.

    Returns
    -------
    Tensor, shape (n, n), or (n, k) with k `others`
        In the order of `reps`. Symmetric, exactly zero on the diagonal, without `others`.

    Raises
    ------
    ShapeError, TypeError, ValueError
        As `compare`; the message says which network, and which rows.

    Notes
    -----
    Differentiable if activations are tensors in memory, and neither `store` nor processes are used.

    Examples
    --------
    >>> import torch
    >>> reps = [torch.randn(20, d) for d in (3, 5, 8)]
    >>> pairwise(reps, "angular_shape").shape
    torch.Size([3, 3])
    >>> pairwise(reps[:1], others=reps[1:]).shape
    torch.Size([1, 2])
    """
    if store is not None and not isinstance(store, str | PathLike):
        raise TypeError(
            f"store must be the name of a folder, got {type(store).__name__}. Give a string or a path."
        )
    work = _Work(reps, others, method, options, block, n_jobs, route, memory, device)
    if store is not None:
        work.go_on(recorded_run(store))
    if explain:
        print(work.predicted())
    if store is None:
        return work.result(Jobs(n_jobs, progress, None))
    return work.result(Jobs(n_jobs, progress, TileStore(store, work.description())))


def plan_pairwise(
    reps: Any,
    method: Method = "angular_cka",
    *,
    others: Any = None,
    block: int | None = None,
    n_jobs: int | None = None,
    route: str | None = None,
    memory: int | str | None = None,
    device: Any = None,
    **options: Any,
) -> Plan:
    """
    What `pairwise` would do with the same arguments: route, operations, peak memory, bytes read, time.

    Parameters
    ----------
    reps, method, others, block, n_jobs, route, memory, device, **options
        As for `pairwise`.

    Returns
    -------
    Plan
        Printed, it is a table. The time is predicted from a sample of the work, on this machine.

    Examples
    --------
    >>> import torch
    >>> plan = plan_pairwise([torch.randn(20, d) for d in (3, 5, 8)], memory="1GB")
    >>> plan.route.name, plan.route.flops
    ('features', 5120.0)
    """
    return _Work(reps, others, method, options, block, n_jobs, route, memory, device).predicted()


class _Work:
    """Checked arguments of `pairwise`, and the plan that follows from them."""

    def __init__(
        self,
        reps: Any,
        others: Any,
        method: Method,
        options: Mapping[str, Any],
        block: int | None,
        n_jobs: int | None,
        route: str | None,
        memory: int | str | None,
        device: Any,
    ):
        metric = as_metric(method, **options)
        device = None if device is None else _checks.usable_device(device)
        check_workers(n_jobs)
        sources = _sources(reps, "reps", metric.takes_repeats)
        self.first = None if others is None else len(sources)
        if others is not None:
            sources = sources + _sources(others, "others", metric.takes_repeats)
        _check_alike(sources, device)
        if block is not None and (not isinstance(block, Integral) or isinstance(block, bool) or block < 1):
            raise ValueError(
                f"block must be a positive number of networks, got {block!r}. The default is 16."
            )
        self.sources, self.device = sources, device
        self.metric = metric.resolve([_stand_in(s) for s in sources])
        # A subclass that changes points or distances is not what the form says.
        changed = _overrides(self.metric, "matrix_form")
        self.form: MatrixForm | None = None if changed else self.metric.matrix_form()
        self.sizes = Sizes(
            m=sources[0].shape[0],
            widths=tuple(s.shape[1] for s in sources),
            first=self.first,
            itemsize=sources[0].dtype.itemsize,
            resident=all(s.resident is not None for s in sources),
            budget=as_bytes(memory),
            workers=workers_here(n_jobs),
        )
        routes = self._routes(block)
        if route is None and self.form is None and not routes[0].against:
            # As many operations as through cross-products, and networks are prepared once.
            route = "points"
        best, rest = chosen(routes, route, self.sizes.budget)
        self.plan = Plan(self._what(), best, rest, self.sizes.budget)

    def _routes(self, block: int | None) -> list[Route]:
        sizes, form = self.sizes, self.form
        if form is None:
            widest = max(sizes.widths)
            if self._cloud is None:
                point = tuple(self._first_point[0].shape)
            else:
                point = (sizes.m, min(sizes.m - 1, widest))
            points = points_route(sizes, point, self.metric.pair_flops(sizes.m, widest), block)
            if self._cloud is None:
                return [points]
            return [points, features_route(sizes, self._cloud, 4.0 * widest**3)]
        tiles = tiles_route(sizes, form)
        # Points are whole matrices, where blocks make do with halves.
        points = points_route(sizes, (sizes.m, sizes.m), 2 * tiles.flops / max(1, sizes.pairs), block)
        return [features_route(sizes, form), tiles, points] if form.linear else [tiles, points]

    @cached_property
    def _first_point(self) -> list[Tensor]:
        """The first network prepared: its size is asked for before there is a plan."""
        with self._full_precision():
            probe = PreparedPairs(self.sources[:1], self.metric, None, 1, keep=True, device=self.device)
        return probe.kept

    @cached_property
    def _derivatives(self) -> bool:
        """Whether somebody may want derivatives with respect to activations in memory."""
        return any(s.resident is not None and not constant(s.resident) for s in self.sources)

    @cached_property
    def _cloud(self) -> MatrixForm | None:
        """Form of clouds of points, if only rotations go unnoticed, and there are no derivatives."""
        if self._derivatives or _overrides(self.metric, "cloud_form"):
            return None
        return self.metric.cloud_form(max(self.sizes.widths))

    def _what(self) -> str:
        n, first, m = self.sizes.n, self.first, self.sizes.m
        which = f"{n} networks" if first is None else f"{first} x {n - first} networks"
        widths = sorted({min(self.sizes.widths), max(self.sizes.widths)})
        units = " to ".join(map(str, widths))
        kind = str(self.sources[0].dtype).removeprefix("torch.")
        return f"{_described(self.metric)}\n  {which}, {m} inputs, {units} units, {kind}"

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What a store is for, whatever the size of its tiles; networks are looked at for it once."""
        from repsim_geo import __version__

        return {
            "repsim_geo": __version__,
            "torch": torch.__version__,
            "metric": _described(self.metric),
            "parameters": _digest(self.metric),
            "networks": [[s.name, list(s.shape), str(s.dtype), s.fingerprint()] for s in self.sources],
            "first": self.first,
            "route": self.plan.route.name,
            "device": str(self.sources[0].device if self.device is None else self.device),
        }

    def description(self) -> dict[str, Any]:
        """What a store is for: another description is another run."""
        return {**self._identity, "size": self.plan.route.size}

    def go_on(self, recorded: Mapping[str, Any] | None) -> None:
        """Take tiles as large as those of an earlier run, which had another budget or other workers."""
        if recorded is not None and recorded == {**self._identity, "size": recorded.get("size")}:
            route = replace(self.plan.route, size=int(recorded["size"]))
            self.plan = replace(self.plan, route=route)

    @cached_property
    def engine(self) -> Work:
        """Object that computes the tiles of the route."""
        route, first, metric, form = self.plan.route, self.first, self.metric, self.form or self._cloud
        if route.name == "points" or form is None:
            known = self._first_point if form is None else []
            how = {"keep": route.keep, "device": self.device, "known": known}
            return PreparedPairs(self.sources, metric, first, route.size, **how)
        entrywise = route.name == "tiles" and not (form.linear and form.kind == "gram")
        together = max(1, CACHED_ELEMENTS // route.size**2) if entrywise else None
        networks = Networks(self.sources, metric, form, self.device, together, self.sizes.read)
        if route.name == "tiles":
            # Lengths that are measured in blocks have no derivative.
            whole = self.sizes.n * self.sizes.m**2 if self._derivatives else self.sizes.whole
            return MatrixTiles(networks, first, route.size, whole)
        if self.form is None:
            return ShapeProducts(networks, getattr(metric, "_inside", metric), first, route.size)
        return FeatureProducts(networks, first, route.size, tiles_route(self.sizes, form).size)

    def result(self, jobs: Jobs) -> Tensor:
        """All distances, by the route of the plan."""
        with self._full_precision():
            table = self.engine.all_distances(jobs)
            table = table if self.plan.route.name == "points" else self.metric.rescaled(table)
        if readable(table):
            _checks.check_distances(table, "pairwise()")
        return table

    def _full_precision(self) -> torch.autocast:
        """Half precision has too few digits for distances."""
        return torch.autocast(torch.device(self.device or self.sources[0].device).type, enabled=False)

    def predicted(self) -> Plan:
        """Plan with the time that preparation took, and that a sample of the rest predicts."""
        with self._full_precision():
            preparation = _seconds(lambda: self.engine)
        # With derivatives, if any are wanted: what the sample leaves behind is used again.
        with self._full_precision(), threads(1 if self.engine.one_thread else None):
            sample, share = self.engine.sample()
            seconds = _seconds(sample)
            # What is done for the first time takes longer.
            seconds = seconds if seconds > _LONG_SAMPLE else _seconds(sample)
        return replace(self.plan, seconds=preparation + seconds / share)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# What makes points and distances of a metric.
_MAKES_DISTANCES = {"embed", "prepare", "between", "between_all", "dist", "dist2", "cdist", "_checked"}


def _overrides(metric: Any, form: str) -> bool:
    """Whether a subclass changes points or distances, but not the form that the class above says of them."""
    metric = getattr(metric, "_inside", metric)
    while not hasattr(type(metric), form):  # inside of geoopt.Scaled
        metric = metric.base
    for cls in type(metric).__mro__:
        if form in vars(cls):
            return False
        if _MAKES_DISTANCES & set(vars(cls)):
            return True
    return False


def _described(metric: Any) -> str:
    shown = getattr(metric, "extra_repr", lambda: repr(metric))()
    return f"{type(metric).__name__}({shown})"


def _digest(metric: Any) -> str:
    """Short text that changes with the class of a metric, its options, and what it has learnt."""
    digest = hashlib.blake2b(digest_size=16)
    for path, part in _parts(metric, "", set()):
        digest.update(f"{path}: {type(part).__module__}.{type(part).__qualname__}\n".encode())
        for name, value in sorted(vars(part).items()):
            if value is None or isinstance(value, bool | int | float | str | tuple):
                digest.update(f"{name} = {value!r}\n".encode())
        tensors = {k: v for k, v in vars(part).items() if isinstance(v, Tensor)}
        if isinstance(part, torch.nn.Module):
            tensors |= dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
        for name, value in sorted(tensors.items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def _parts(x: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """An object, and the modules and metrics that it is made of."""
    if id(x) in seen:
        return
    seen.add(id(x))
    yield path, x
    inside = {k: v for k, v in vars(x).items() if isinstance(v, torch.nn.Module | RepresentationMetric)}
    if isinstance(x, torch.nn.Module):
        inside |= dict(x.named_children())
    for name, part in sorted(inside.items()):
        yield from _parts(part, f"{path}.{name}", seen)


class _Repeats(Source):
    """Repeats (r, m, d) of one network."""

    def __init__(self, x: Tensor, name: str):
        super().__init__(name, (x.shape[-2], x.shape[-1]), x.dtype, x.device)
        self.resident = x

    def rows(self, start: int, stop: int) -> Tensor:
        assert self.resident is not None
        return self.resident[:, start:stop]


def _sources(reps: Any, what: str, repeats: bool) -> list[Source]:
    if isinstance(reps, Mapping):
        named = [(f"{what}[{key!r}]", x) for key, x in reps.items()]
    elif isinstance(reps, Tensor) and reps.dim() != 3:
        raise ShapeError(
            f"a tensor of networks must have shape (n, m, d), got {tuple(reps.shape)}. "
            "Give a list of (m, d) tensors instead."
        )
    elif not isinstance(reps, Iterable) or isinstance(reps, str):
        raise TypeError(
            f"{what} must be a sequence or mapping of representations (m, d), got {type(reps).__name__}. "
            "Put a single one in a list."
        )
    else:
        named = [(f"{what}[{i}]", x) for i, x in enumerate(reps)]
    if not named:
        raise ShapeError(f"{what} must hold at least one representation, got none. Add networks.")
    # All arrays of a file have the same rows: their names are read once.
    names_of_rows = cache(row_ids)
    return [_source(x, name, repeats, names_of_rows) for name, x in named]


def _source(x: Any, name: str, repeats: bool, names_of_rows: Callable[[str], Ids | None]) -> Source:
    if repeats and not isinstance(x, str | PathLike | Source) and not callable(x):
        tensor = _checks.as_activations(x, name)
        if tensor.dim() == 3:
            return _Repeats(tensor, name)
    source = as_source(x, name)
    if isinstance(x, str | PathLike):
        source.ids = names_of_rows(split_name(fspath(x))[0])
    return source


def _check_alike(sources: Sequence[Source], device: Any) -> None:
    """Refuse networks of different inputs, dtypes or devices."""
    first, *rest = (labeled(_stand_in(s, device), s.ids) for s in sources)
    for source, other in zip(sources[1:], rest, strict=True):
        _checks.check_pair(first, other, "pairwise()", (sources[0].name, source.name), batched=False)


def _stand_in(source: Source, device: Any = None) -> Tensor:
    """Tensor with the shape, dtype and device of a source, and nothing in it."""
    if source.resident is not None and device is None:
        return source.resident
    where = source.device if device is None else device
    return torch.empty((), dtype=source.dtype, device=where).expand(source.shape)
