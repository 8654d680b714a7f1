"""What permutation tests permute: rows within blocks, labels of groups; all arrangements or a sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.stats.points import MOST_NUMBERS, as_generator, check_room, check_whole


def row_orders(
    m: int, n_permutations: int, seed: int | torch.Generator = 0, restrict: Any = None
) -> tuple[Tensor, bool]:
    """
    Orders of m rows: all of them if they are few enough, else a sample.

    Parameters
    ----------
    m : int
    n_permutations : int
        Most orders wanted.
    seed : int or torch.Generator
    restrict : sequence of labels, length m, optional
        Rows change places only with rows of the same label.

    Returns
    -------
    orders : Tensor, shape (n, m), int64
    exact : bool
        Whether these are all orders, the given one included. Otherwise they are drawn independently.

    Raises
    ------
    ShapeError, TypeError, ValueError

    Examples
    --------
    >>> orders, exact = row_orders(4, 999, restrict=["a", "b", "a", "b"])
    >>> orders.tolist(), exact
    ([[0, 1, 2, 3], [0, 3, 2, 1], [2, 1, 0, 3], [2, 3, 0, 1]], True)
    """
    _check_permutations(n_permutations, m, seed)
    block, slots, sizes = _blocks(m, restrict)
    n_orders = math.prod(math.factorial(size) for size in sizes)
    if n_orders == 1:
        raise ValueError(
            "at least two inputs must be able to change places, got "
            f"{'one input' if m == 1 else 'a label of its own for every input in restrict'}. "
            "Record more inputs, or use coarser labels."
        )
    if n_orders <= n_permutations:
        inside = [itertools.permutations(part.tolist()) for part in slots.split(sizes)]
        shuffled = torch.tensor([list(itertools.chain(*parts)) for parts in itertools.product(*inside)])
    else:
        # Rows sorted by block, and at random within it: one sort for all permutations.
        shuffled = (_keys(n_permutations, m, seed) + block).argsort(-1)
    orders = torch.empty_like(shuffled)
    orders[:, slots] = shuffled
    return orders, n_orders <= n_permutations


def group_labelings(
    codes: Tensor, n_permutations: int, seed: int | torch.Generator = 0, restrict: Any = None
) -> tuple[Tensor, bool]:
    """
    Ways to assign networks to groups of the given sizes: all if they are few enough, else a sample.

    Parameters
    ----------
    codes : Tensor, shape (n,), int64
        Given groups, numbered from 0 on.
    n_permutations : int
        Most assignments wanted.
    seed : int or torch.Generator
    restrict : sequence of labels, length n, optional
        Networks change groups only with networks of the same label.

    Returns
    -------
    labelings : Tensor, shape (1 + n_labelings, n), int64
        The given one first. If all are listed it comes twice.
    exact : bool
        Whether these are all assignments. Otherwise they are drawn independently.

    Raises
    ------
    ShapeError, TypeError, ValueError

    Examples
    --------
    >>> import torch
    >>> labelings, exact = group_labelings(torch.tensor([0, 1, 1]), 999)
    >>> labelings[1:].tolist(), exact
    ([[0, 1, 1], [1, 0, 1], [1, 1, 0]], True)
    >>> group_labelings(torch.tensor([0, 1, 1]), 999, restrict=["a", "a", "b"])[0][1:].tolist()
    [[0, 1, 1], [1, 0, 1]]
    """
    _check_permutations(n_permutations, len(codes), seed)
    block, slots, sizes = _blocks(len(codes), restrict)
    parts = codes[slots].split(sizes)
    n_labelings = math.prod(
        math.factorial(len(part)) // math.prod(map(math.factorial, part.bincount().tolist()))
        for part in parts
    )
    if n_labelings == 1:
        raise ValueError(
            "at least two networks of different groups must be able to change places, got a label in "
            "restrict of its own for every group. Use coarser labels."
        )
    if n_labelings > n_permutations:
        orders = torch.empty(n_permutations, len(codes), dtype=torch.int64)
        orders[:, slots] = (_keys(n_permutations, len(codes), seed) + block).argsort(-1)
        return torch.cat([codes[None], codes[orders]]), False
    inside = [_assignments(part.tolist()) for part in parts]
    others = torch.empty(n_labelings, len(codes), dtype=torch.int64)
    others[:, slots] = torch.tensor([list(itertools.chain(*rows)) for rows in itertools.product(*inside)])
    return torch.cat([codes[None], others]), True


def _assignments(labels: list[int]) -> list[list[int]]:
    """All distinct orders of labels, of which some are equal."""
    n, rows = len(labels), [[-1] * len(labels)]
    for group in sorted(set(labels)):
        rows = [
            [group if i in chosen else label for i, label in enumerate(row)]
            for row in rows
            for chosen in itertools.combinations([i for i in range(n) if row[i] < 0], labels.count(group))
        ]
    return rows


def _blocks(n: int, restrict: Any) -> tuple[Tensor, Tensor, list[int]]:
    """Number of the block of each row, the rows sorted by it, and the sizes of the blocks."""
    block = torch.zeros(n, dtype=torch.int64) if restrict is None else as_labels(restrict, n, "restrict")[0]
    return block, block.argsort(stable=True), block.bincount().tolist()


def random_orders(n: int, m: int, seed: int | torch.Generator = 0) -> Tensor:
    """
    Random orders of m things, drawn independently.

    Parameters
    ----------
    n, m : int
    seed : int or torch.Generator

    Returns
    -------
    Tensor, shape (n, m), int64
        On the CPU.
    """
    return _keys(n, m, seed).argsort(-1)


def _keys(n: int, m: int, seed: int | torch.Generator) -> Tensor:
    """Random numbers between 0 and 1; float64, in which there are no ties."""
    generator = as_generator(seed)
    return torch.rand(n, m, dtype=torch.float64, generator=generator, device=generator.device).cpu()


def _check_permutations(n_permutations: Any, m: int, seed: Any) -> None:
    hint = "999 of them give p-values down to 0.001."
    check_whole(n_permutations, "n_permutations", hint=hint)
    check_room(n_permutations, "n_permutations", MOST_NUMBERS // m, hint=hint)
    as_generator(seed)  # a wrong one is refused where all arrangements are used, too


def as_labels(labels: Any, n: int, name: str = "labels") -> tuple[Tensor, tuple[Hashable, ...]]:
    """
    Whole numbers for labels of any kind.

    Parameters
    ----------
    labels : sequence, array or Tensor, length n
        Numbers, strings, anything hashable.
    n : int
    name : str
        What to call them in messages.

    Returns
    -------
    codes : Tensor, shape (n,), int64
        From 0 on, in the order in which the labels appear.
    names : tuple
        The labels themselves, one for each code.

    Raises
    ------
    ShapeError
        Not n labels along one axis.
    ValueError
        A label that is nan.

    Examples
    --------
    >>> as_labels(["relu", "tanh", "relu"], 3)
    (tensor([0, 1, 0]), ('relu', 'tanh'))
    """
    listed = labels.tolist() if hasattr(labels, "tolist") else labels
    flat = isinstance(listed, Sequence) and not isinstance(listed, str)
    if not flat or len(listed) != n or not all(isinstance(label, Hashable) for label in listed):
        came = f"{len(listed)} entries" if flat else type(labels).__name__
        raise ShapeError(f"{name} must be a sequence of {n} labels, got {came}. Give one label for each row.")
    if any(label != label for label in listed):
        raise ValueError(f"{name} must not contain nan. Leave those rows out.")
    names: dict[Hashable, int] = {}
    codes = [names.setdefault(label, len(names)) for label in listed]
    return torch.tensor(codes), tuple(names)
