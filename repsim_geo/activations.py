"""Activations that know which input each row belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo.errors import MismatchedRowsError, ShapeError

Ids = tuple[str, ...] | tuple[int, ...]
_SHOWN = 3


class Activations:
    """
    Activations of one layer, with a name for every row.

    Every function that compares takes them where it takes a matrix, and refuses two whose rows are not
    the same inputs in the same order.

    Parameters
    ----------
    values : Tensor, array, DataFrame or DataArray, shape (m, ...)
        m inputs; kept as it is, a memory map stays one.
    ids : sequence of m strings or integers, optional
        Which input each row belongs to, each once. None: those that `values` bring, or not known, and not
        checked.
    name : str
        Of the layer.

    Attributes
    ----------
    values : Tensor or array, shape (m, ...)
    ids : tuple of str or int, or None
    name : str

    Raises
    ------
    ShapeError
        Another number of ids than rows.
    TypeError, ValueError
        Ids that are neither all strings nor all integers, or not different.

    Examples
    --------
    >>> import repsim_geo as rg
    >>> x = Activations(torch.randn(3, 2), ["cat", "dog", "owl"])
    >>> y = Activations(torch.randn(3, 4), ["owl", "dog", "cat"])
    >>> rg.compare(x, y)
    Traceback (most recent call last):
        ...
    repsim_geo.errors.MismatchedRowsError: x and y must describe the same inputs in the same order: they are
    the same, but row 0 is 'cat' in x and 'owl' in y. Bring the second into the order of the first:
    y.select(x.ids).
    >>> rg.compare(x, y.select(x.ids)).shape
    torch.Size([])
    """

    def __init__(self, values: Any, ids: Iterable[str] | Iterable[int] | None = None, *, name: str = ""):
        values, own = unlabeled(values)
        ids = own if ids is None else ids
        if not hasattr(values, "shape"):
            try:
                values = torch.as_tensor(values)
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(
                    f"activations must be an array with a row for each input, got {type(values).__name__}: "
                    f"{error}. Give rows of equal length."
                ) from error
        if len(values.shape) == 0:
            raise ShapeError("activations must have a row for each input, (m, d), got a single number.")
        self.values = values
        self.name = name
        self.ids = None if ids is None else as_ids(ids, values.shape[0], f"ids of {name}" if name else "ids")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return tuple(self.values.shape)

    @property
    def tensor(self) -> Tensor:
        """The values as a tensor, which shares their memory where it can; of memory maps a copy."""
        if isinstance(self.values, np.memmap):
            return torch.from_numpy(np.array(self.values))
        return torch.as_tensor(self.values)

    def select(self, ids: Iterable[str] | Iterable[int]) -> Activations:
        """
        Some of the rows, or all in another order.

        Parameters
        ----------
        ids : sequence of str or int
            Of the rows that are wanted, in this order.

        Returns
        -------
        Activations

        Raises
        ------
        MismatchedRowsError
            There is no such row, or rows have no names.

        Examples
        --------
        >>> Activations([[1.0], [2.0]], ["a", "b"]).select(["b"]).values
        tensor([[2.]])
        """
        if self.ids is None:
            raise MismatchedRowsError(
                "rows must have names to be selected by them, got activations without. "
                "Give ids when they are made: Activations(values, ids)."
            )
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise TypeError(f"ids must be a sequence of names of rows, got {ids!r}. Write [{ids!r}] for one.")
        place = {key: i for i, key in enumerate(self.ids)}
        wanted = list(map(_plain, ids))
        absent = [key for key in wanted if key not in place]
        if absent:
            raise MismatchedRowsError(
                f"ids must be names of rows, got {len(absent)} that are not: {_few(absent)}. "
                f"This has {len(self.ids)} rows: {_few(self.ids)}."
            )
        rows = [place[key] for key in wanted]
        return Activations(self.values[rows], wanted, name=self.name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.values.detach().cpu().numpy() if isinstance(self.values, Tensor) else self.values
        return np.array(values, dtype) if copy else np.asarray(values, dtype)

    def __len__(self) -> int:
        return self.values.shape[0]

    def __repr__(self) -> str:
        name = f" of {self.name!r}" if self.name else ""
        rows = "no ids" if self.ids is None else f"ids {_few(self.ids)}"
        return f"<Activations{name}: {self.shape}, {str(self.values.dtype).removeprefix('torch.')}, {rows}>"


class ActivationSet(Mapping[str, Activations]):
    """
    Activations of several layers for the same inputs, by the name of the layer.

    Parameters
    ----------
    layers : mapping from str to Tensor, array or Activations
    ids : sequence of m strings or integers, optional
        Which input each row belongs to. Layers that bring their own must have these.

    Attributes
    ----------
    ids : tuple of str or int, or None

    Raises
    ------
    ShapeError
        Different numbers of rows.
    MismatchedRowsError
        Different ids.

    Examples
    --------
    >>> import repsim_geo as rg
    >>> acts = ActivationSet({"first": torch.randn(5, 2), "last": torch.randn(5, 3)}, ids=range(5))
    >>> list(acts), acts["last"].shape, rg.pairwise(acts).shape
    (['first', 'last'], (5, 3), torch.Size([2, 2]))
    """

    def __init__(self, layers: Mapping[str, Any], ids: Iterable[str] | Iterable[int] | None = None):
        if not isinstance(layers, Mapping):
            raise TypeError(
                f"layers must be a mapping from names to activations, got {type(layers).__name__}. "
                'Write {"layer": activations}.'
            )
        known = None
        if ids is not None and layers:
            first = next(iter(layers.values()))
            known = as_ids(ids, len(first), "ids")
        self._layers: dict[str, Activations] = {}
        for name, x in layers.items():
            values, own = unlabeled(x)
            known = known if known is not None else own
            self._layers[str(name)] = Activations(values, own if own is not None else known, name=str(name))
        self.ids = known
        for name, x in self._layers.items():
            first = next(iter(self._layers.values()))
            if len(x) != len(first):
                raise ShapeError(
                    f"all layers must have the same inputs, got {len(first)} rows of {first.name!r} and "
                    f"{len(x)} of {name!r}. Give layers of one set of inputs."
                )
            if x.ids is None:
                x.ids = known
            check_same_rows(first.ids, x.ids, (repr(first.name), repr(name)))

    def select(self, ids: Iterable[str] | Iterable[int]) -> ActivationSet:
        """
        Some of the rows of all layers, or all in another order.

        Parameters
        ----------
        ids : sequence of str or int

        Returns
        -------
        ActivationSet
        """
        wanted = list(ids)
        return ActivationSet({name: x.select(wanted) for name, x in self.items()})

    def __getitem__(self, name: str) -> Activations:
        try:
            return self._layers[name]
        except KeyError:
            raise KeyError(f"no layer called {name!r}. Known: {', '.join(self._layers) or 'none'}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        rows = "no ids" if self.ids is None else f"ids {_few(self.ids)}"
        layers = ", ".join(f"{name} {x.shape}" for name, x in self.items())
        return f"<ActivationSet: {layers or 'no layers'}; {rows}>"


def as_ids(ids: Iterable[Any], m: int, name: str = "ids") -> Ids:
    """
    Names of rows as a tuple.

    Parameters
    ----------
    ids : iterable of str or int
    m : int
        How many there must be.
    name : str

    Returns
    -------
    tuple of str or of int

    Raises
    ------
    ShapeError, TypeError, ValueError
    """
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise TypeError(
            f"{name} must be a sequence of strings or integers, got {ids!r}. Write one for each row."
        )
    found = tuple(map(_plain, ids))
    kinds = {str if isinstance(i, str) else int if _is_integer(i) else type(i) for i in found}
    if not (kinds <= {str} or kinds <= {int}):
        raise TypeError(
            f"{name} must be all strings or all integers, got "
            f"{', '.join(sorted(k.__name__ for k in kinds))}. Turn them into strings."
        )
    if kinds == {int} and not all(-(2**63) <= i < 2**63 for i in found):
        raise ValueError(f"{name} must fit into 64 bits, got larger numbers. Turn them into strings.")
    if len(found) != m:
        raise ShapeError(f"{name} must be one for each of {m} rows, got {len(found)}. Name every row once.")
    if len(set(found)) < m:
        seen: set[Any] = set()
        twice = next(i for i in found if i in seen or seen.add(i))
        raise ValueError(
            f"{name} must be different, got {twice!r} more than once. "
            "Number the presentations of an input that was shown twice."
        )
    return found  # type: ignore[return-value]


def _plain(key: Any) -> Any:
    """A number or text of numpy or torch as one of Python."""
    return key.item() if isinstance(key, np.generic | Tensor) and key.ndim == 0 else key


def _is_integer(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def check_same_rows(a: Ids | None, b: Ids | None, names: tuple[str, str]) -> None:
    """
    Refuse rows that are not the same inputs in the same order.

    Parameters
    ----------
    a, b : tuple of str or int, or None
        None is not known, and nothing is checked.
    names : tuple of str
        Of both, for the message.

    Raises
    ------
    MismatchedRowsError
    """
    if a is None or b is None or a is b or a == b:
        return
    first, second = names
    here, there = set(a), set(b)
    if here == there:
        i = next(i for i, (p, q) in enumerate(zip(a, b, strict=True)) if p != q)
        raise MismatchedRowsError(
            f"{first} and {second} must describe the same inputs in the same order: they are the same, but "
            f"row {i} "
            f"is {a[i]!r} in {first} and {b[i]!r} in {second}. Bring the second into the order of the first: "
            f"{second}.select({first}.ids)."
        )
    lacking, more = [i for i in a if i not in there], [i for i in b if i not in here]
    only = [f"only in {name}: {_few(keys)}" for name, keys in ((first, lacking), (second, more)) if keys]
    raise MismatchedRowsError(
        f"{first} and {second} must describe the same inputs in the same order: got {'; '.join(only)}. "
        "Select the common ones from both: .select(ids)."
    )


def unlabeled(x: Any) -> tuple[Any, Ids | None]:
    """
    Values of activations, and the names of their rows if they have some.

    Parameters
    ----------
    x : Activations, pandas DataFrame, xarray DataArray, or anything else
        A DataFrame names rows by its index, unless it merely counts them; a DataArray by the coordinate of
        its first axis.

    Returns
    -------
    values : Any
    ids : tuple or None
    """
    if isinstance(x, Activations):
        return x.values, x.ids
    if hasattr(x, "to_numpy"):
        if hasattr(x, "index") and hasattr(x, "columns"):  # pandas
            index = x.index
            counts = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
            return x.to_numpy(), None if counts else as_ids(x.index, len(x), "the index")
        if hasattr(x, "dims") and hasattr(x, "coords"):  # xarray
            named = bool(x.dims) and x.dims[0] in x.coords
            return x.to_numpy(), as_ids(x[x.dims[0]].values, len(x), x.dims[0]) if named else None
    return x, getattr(x, "row_ids", None)


def labeled(x: Tensor, ids: Ids | None) -> Tensor:
    """
    The same tensor, as an object of its own that knows the names of its rows.

    Whatever is computed from it does not: names never outlive a change of rows.

    Parameters
    ----------
    x : Tensor
    ids : tuple or None

    Returns
    -------
    Tensor
    """
    if ids is None:
        return x
    x = x.view_as(x)
    x.row_ids = ids  # type: ignore[attr-defined]
    return x


def as_labeled_as(x: Tensor, y: Tensor) -> Tensor:
    """
    A tensor with the names of the rows of another, which has the same rows.

    Parameters
    ----------
    x, y : Tensor

    Returns
    -------
    Tensor
    """
    return labeled(x, getattr(y, "row_ids", None))


def _few(keys: Sequence[Any]) -> str:
    more = ", ..." if len(keys) > _SHOWN else ""
    return f"{', '.join(map(repr, keys[:_SHOWN]))}{more}"
