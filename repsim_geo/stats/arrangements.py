"""What permutation tests permute: rows within blocks, labels of groups; all arrangements or a sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from repsim_geo.errors import ShapeError
from repsim_geo.stats.points import as_generator, check_whole


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
    _check_permutations(n_permutations)
    block = torch.zeros(m, dtype=torch.int64) if restrict is None else as_labels(restrict, m, "restrict")[0]
    sizes = block.bincount().tolist()
    n_orders = math.prod(math.factorial(size) for size in sizes)
    if n_orders == 1:
        raise ValueError(
            "at least two inputs must be able to change places, got "
            f"{'one input' if m == 1 else 'a label of its own for every input in restrict'}. "
            "Record more inputs, or use coarser labels."
        )
    slots = block.argsort(stable=True)
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
    codes: Tensor, n_permutations: int, seed: int | torch.Generator = 0
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

    Returns
    -------
    labelings : Tensor, shape (1 + n_labelings, n), int64
        The given one first. If all are listed it comes twice.
    exact : bool
        Whether these are all assignments. Otherwise they are drawn independently.

    Examples
    --------
    >>> import torch
    >>> labelings, exact = group_labelings(torch.tensor([0, 1, 1]), 999)
    >>> labelings[1:].tolist(), exact
    ([[0, 1, 1], [1, 0, 1], [1, 1, 0]], True)
    """
    _check_permutations(n_permutations)
    n, sizes = len(codes), codes.bincount().tolist()
    exact = math.factorial(n) // math.prod(map(math.factorial, sizes)) <= n_permutations
    if exact:
        rows = [[-1] * n]
        for group, size in enumerate(sizes):
            rows = [
                [group if i in chosen else label for i, label in enumerate(row)]
                for row in rows
                for chosen in itertools.combinations([i for i in range(n) if row[i] < 0], size)
            ]
        others = torch.tensor(rows)
    else:
        others = codes[random_orders(n_permutations, n, seed)]
    return torch.cat([codes[None], others]), exact


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


def _check_permutations(n_permutations: Any) -> None:
    check_whole(n_permutations, "n_permutations", hint="999 of them give p-values down to 0.001.")


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
