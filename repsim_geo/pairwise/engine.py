"""All-pairs distances: prepare every network once, then fill the upper half tile by tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._extras import need
from repsim_geo.embeddings.gram_tiles import GramTiles
from repsim_geo.errors import ShapeError
from repsim_geo.pairwise.angles import all_angles
from repsim_geo.registry import Method, as_metric


def pairwise(
    reps: Sequence[Any] | Mapping[str, Any] | Tensor,
    method: Method = "angular_cka",
    *,
    block: int | None = None,
    progress: bool = False,
    n_jobs: int | None = None,
    **options: Any,
) -> Tensor:
    """
    Distances between all pairs of representations of the same inputs.

    Parameters
    ----------
    reps : sequence or mapping of n arrays of shape (m, d_i), or a Tensor of shape (n, m, d)
        Activations; numbers of units may differ. Repeats (r_i, m, d_i) for metrics that take them.
    method : str, metric, or (nn.Module, geoopt.Manifold)
    block : int, optional
        Networks on one side of a tile; default 16. Smaller tiles need less memory. AngularCKA with the linear
        kernel ignores it: it goes through blocks of inputs, or of units, of bounded size.
    progress : bool
        Show a progress bar (needs tqdm).
    n_jobs : int, optional
        Compute tiles in this many threads (needs joblib). None computes them one after the other.
    **options
        Keyword arguments of the named metric.

    Returns
    -------
    Tensor, shape (n, n)
        Symmetric, exactly zero on the diagonal; order of `reps`.

    Raises
    ------
    ShapeError, TypeError, ValueError
        As `compare`; the message says which network.

    Examples
    --------
    >>> import torch
    >>> reps = [torch.randn(20, d) for d in (3, 5, 8)]
    >>> pairwise(reps, "angular_shape").shape
    torch.Size([3, 3])
    """
    metric = as_metric(method, **options)
    named = _checked(reps, metric.takes_repeats)
    metric = metric.resolve(list(named.values()))
    size = 16 if block is None else block
    if not isinstance(size, Integral) or size < 1:
        raise ValueError(f"block must be a positive number of networks, got {block!r}. The default is 16.")
    tiles = _gram_tiles(metric, named)
    if tiles is not None:
        return all_angles(tiles, lambda work, blocks: _run(work, blocks, n_jobs, progress))
    prepared = [_prepare(metric, x, name) for name, x in named.items()]
    n = len(prepared)
    corners = [(i, j) for i in range(0, n, size) for j in range(i, n, size)]

    def tile(corner: tuple[int, int]) -> Tensor:
        i, j = corner
        return _distances(metric, prepared[i : i + size], prepared[j : j + size])

    return _assemble(dict(zip(corners, _run(tile, corners, n_jobs, progress), strict=True)), n, size)


def _checked(reps: Any, repeats: bool) -> dict[str, Tensor]:
    if isinstance(reps, Mapping):
        named = {f"reps[{key!r}]": x for key, x in reps.items()}
    elif isinstance(reps, Tensor) and reps.dim() != 3:
        raise ShapeError(
            f"a tensor of networks must have shape (n, m, d), got {tuple(reps.shape)}. "
            "Give a list of (m, d) tensors instead."
        )
    elif not isinstance(reps, Iterable) or isinstance(reps, str):
        raise TypeError(
            f"reps must be a sequence or mapping of representations (m, d), got {type(reps).__name__}."
        )
    else:
        named = {f"reps[{i}]": x for i, x in enumerate(reps)}
    if not named:
        raise ShapeError("reps must hold at least one representation, got none.")
    named = {name: _checks.as_activations(x, name) for name, x in named.items()}
    first = next(iter(named))
    for name, x in named.items():
        if x.dim() != 2 and not (repeats and x.dim() == 3):
            raise ShapeError(
                f"{name} must be one representation (m, d), got shape {tuple(x.shape)}. "
                "Flatten tokens or positions first."
            )
        _checks.check_pair(named[first], x, "pairwise()", (first, name), batched=False)
    return named


def _prepare(metric: Any, x: Tensor, name: str) -> Tensor:
    try:
        return metric.prepare(x)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from error


def _distances(metric: Any, a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Distances of all pairs: in one call if all have one shape, one by one otherwise."""
    if len({x.shape for x in (*a, *b)}) == 1:
        return metric.between_all(torch.stack(a), torch.stack(b))
    return torch.stack([torch.stack([metric.between(x, y) for y in b]) for x in a])


def _gram_tiles(metric: Any, named: dict[str, Tensor]) -> GramTiles | None:
    """Gram matrices in blocks, if the distances of the metric are angles between such."""
    tiles = getattr(metric, "gram_tiles", None)
    if tiles is None:
        return None
    for name, x in named.items():
        metric.check_input(x, name)
    return tiles(named)


def _run(work: Any, blocks: list[Any], n_jobs: int | None, progress: bool) -> Iterable[Tensor]:
    steps: Iterable[Any] = blocks
    if progress:
        tqdm = need("tqdm.auto", "cli", "progress=True")
        steps = tqdm.tqdm(blocks, desc="distances", unit="tile")
    if n_jobs is None:
        return map(work, steps)
    joblib = need("joblib", "distributed", "n_jobs")
    parallel = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    return parallel(joblib.delayed(work)(block) for block in steps)


def _assemble(tiles: dict[tuple[int, int], Tensor], n: int, size: int) -> Tensor:
    """Full matrix from the tiles of its upper half; the lower half is its mirror image."""
    starts = range(0, n, size)
    rows = [torch.cat([tiles[i, j] if i <= j else tiles[j, i].mT for j in starts], -1) for i in starts]
    upper = torch.cat(rows, -2).triu(1)
    return upper + upper.mT
