"""What is to be verified, and what is known about it: the unit of checks, tests and reports."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.errors import ShapeError
from repsim_geo.invariances import Invariance
from repsim_geo.verify.isometry import Isometry
from repsim_geo.verify.judge import quiet
from repsim_geo.verify.measures import Distance, EmbeddedMeasure, Measure, name_instead
from repsim_geo.verify.parts import IsometryPart, ManifoldPart, NetworkPart, Part, one_line


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    Something to verify.

    Attributes
    ----------
    name : str
        What to call it in reports; made from the subject if empty.
    expected_failures : mapping from law to reason
        Laws known to fail. They must fail: one that holds everywhere is reported.
    written : str
        Python that gives the subject, such as "AngularCKA()"; for the code of counterexamples.
    """

    name: str = ""
    written: str = ""
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> tuple[Part, ...]:
        """Subjects with their laws and scenes."""
        raise NotImplementedError(f"{type(self).__name__}.parts is not written")

    def __str__(self) -> str:
        return self.name or self.parts()[0].name


@dataclass(frozen=True)
class ManifoldCase(Case):
    """
    A manifold.

    Attributes
    ----------
    manifold : geoopt.Manifold
    point : tuple of int
        Shape of one point. Small is fine and fast.

    Examples
    --------
    >>> from repsim_geo import UnitSphere
    >>> from repsim_geo.verify import check
    >>> check(ManifoldCase(UnitSphere(1), (4,))).ok
    True
    """

    manifold: Manifold
    point: tuple[int, ...]

    def parts(self) -> tuple[Part, ...]:
        """One: the laws of manifolds."""
        _check_point(self.manifold, self.point)
        return (ManifoldPart(self.manifold, tuple(self.point), source=self.written),)


@dataclass(frozen=True)
class DistanceCase(Case):
    """
    A function ``d(x, y)`` of activations.

    Attributes
    ----------
    distance : callable
        Of activations (m, d_x) and (m, d_y), as torch tensors or numpy arrays; returns one number.
    m, d : int
        Inputs and units of the networks.
    invariances : iterable of Invariance or str, optional
        What it claims not to notice; it must then notice the others. None for no claim.
    range : tuple of float, optional
        Smallest and largest value that it claims.
    backend : {"torch", "numpy"}, optional
        What it is called with; None to find out.
    batched : bool
        Whether it takes batches of networks.
    same_width : bool
        Give both networks equally many units.
    """

    distance: Distance
    m: int = 12
    d: int = 4
    invariances: Iterable[Invariance | str] | None = None
    range: tuple[float, float] | None = None
    backend: str | None = None
    batched: bool = False
    same_width: bool = False

    def parts(self) -> tuple[Part, ...]:
        """One: the laws of distances between networks."""
        _check_sizes(self.m, self.d)
        check_flag(self.same_width, "same_width")
        measure = Measure(
            self.distance,
            invariances=self.invariances,
            range=self.range,
            backend=self.backend,
            batched=self.batched,
        )
        name = self.name or getattr(self.distance, "__name__", repr(self.distance))
        return (NetworkPart(measure, self.m, self.d, name, same_width=self.same_width, source=self.written),)


@dataclass(frozen=True)
class MetricCase(Case):
    """
    A metric, or a pair of an embedding and a manifold.

    Attributes
    ----------
    metric : RepresentationMetric or (nn.Module, geoopt.Manifold)
    m, d : int
        Inputs and units of the networks.
    same_width : bool or None
        Give all networks equally many units; None to find out whether others are refused.
    """

    metric: Any
    m: int = 12
    d: int = 4
    same_width: bool | None = None

    def parts(self) -> tuple[Part, ...]:
        """Two: the laws of distances between networks and of embeddings, and those of the manifold."""
        with quiet():
            return self._parts()

    def _parts(self) -> tuple[Part, ...]:
        measure = EmbeddedMeasure(self.metric)
        _check_sizes(self.m, self.d)
        if self.same_width is not None:
            check_flag(self.same_width, "same_width")
        name = self.name or one_line(self.metric)
        same = self.same_width if self.same_width is not None else not _takes_widths(measure, self.m, self.d)
        x = torch.randn(1, self.m, self.d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        try:
            point = tuple(measure.embed(x).shape[1:])
        except Exception as error:
            raise ValueError(
                f"{name} must embed {self.m} inputs by {self.d} units, but raised {type(error).__name__}: "
                f"{error} Choose other sizes m and d."
            ) from error
        of_manifold = f"{self.written}[1]" if self.written and measure.paired else self.written
        return (
            NetworkPart(measure, self.m, self.d, name, same_width=same, source=self.written),
            ManifoldPart(measure.manifold, point, source=of_manifold),
        )


@dataclass(frozen=True)
class IsometryCase(Case):
    """
    A map that is said to be an isometry.

    Attributes
    ----------
    f : callable
        Points of `source` to points of `target`.
    source, target : geoopt.Manifold
    point : tuple of int
        Shape of a point of the source.
    """

    f: Callable[[Tensor], Tensor]
    source: Manifold
    target: Manifold
    point: tuple[int, ...]

    def parts(self) -> tuple[Part, ...]:
        """One: the laws of isometries."""
        if not callable(self.f):
            raise TypeError(
                f"f must be a function from points of source to points of target, got {self.f!r}. An "
                "identity is lambda x: x."
            )
        _check_point(self.source, self.point, "source")
        _check_manifold(self.target, "target")
        name = self.name or f"{one_line(self.source)} to {one_line(self.target)}"
        return (IsometryPart(Isometry(self.f, self.source, self.target), tuple(self.point), name),)


def as_case(subject: Any) -> Case:
    """
    Case of anything that can be verified.

    Parameters
    ----------
    subject : Case, metric, (nn.Module, geoopt.Manifold), (geoopt.Manifold, shape of a point), or callable

    Returns
    -------
    Case

    Raises
    ------
    TypeError
        Something else; a manifold without the shape of a point.

    Examples
    --------
    >>> from repsim_geo import AngularCKA, UnitSphere
    >>> [type(as_case(s)).__name__ for s in (AngularCKA(), (UnitSphere(1), (3,)), lambda x, y: 0.0)]
    ['MetricCase', 'ManifoldCase', 'DistanceCase']
    """
    if isinstance(subject, Case):
        return subject
    if isinstance(subject, tuple) and len(subject) == 2:
        first, second = subject
        if isinstance(first, Manifold) and isinstance(second, tuple):
            return ManifoldCase(first, second)
        if isinstance(second, Manifold):
            return MetricCase(subject)
    if not inspect.isclass(subject) and hasattr(subject, "embed") and hasattr(subject, "card"):
        return MetricCase(subject)
    if isinstance(subject, Manifold):
        raise TypeError(
            f"a manifold needs the shape of a point: give (manifold, (5, 3)) for points of 5 x 3 numbers, "
            f"got {one_line(subject)} alone."
        )
    if isinstance(subject, str):
        raise TypeError(name_instead(subject))
    if callable(subject) and not inspect.isclass(subject):
        return DistanceCase(subject)
    raise TypeError(
        "what is verified must be a metric, a pair (embedding, manifold) or (manifold, shape of a point), "
        f"or a function d(x, y), got {one_line(subject)}. Give an instance, such as AngularCKA()."
    )


def _check_sizes(m: Any, d: Any) -> None:
    for name, value, of in (("m", m, "inputs"), ("d", d, "units")):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(
                f"{name} must be a positive whole number of {of}, got {value!r}. Leave it out for a small "
                "one."
            )


def _check_manifold(manifold: Any, name: str = "manifold") -> None:
    if not isinstance(manifold, Manifold):
        raise TypeError(
            f"{name} must be a geoopt.Manifold, such as UnitSphere(), got {manifold!r}. A class has to be "
            "called, and names are for compare()."
        )


def _check_point(manifold: Any, point: Any, name: str = "manifold") -> None:
    _check_manifold(manifold, name)
    try:
        sizes = tuple(point)
    except TypeError:
        sizes = (None,)
    if not all(isinstance(size, Integral) and not isinstance(size, bool) and size > 0 for size in sizes):
        raise TypeError(
            f"point must be the shape of one point, positive whole numbers, got {point!r}. A point of 5 "
            "numbers has the shape (5,)."
        )
    ok, reason = manifold.check_point(torch.empty(sizes, device="meta"), explain=True)
    if not ok:
        raise ShapeError(
            f"point must be the shape of one point of {one_line(manifold)}, got {sizes}: {reason}. Give that "
            "of an array that is a point, such as tuple(metric.embed(x).shape)."
        )


def _takes_widths(measure: EmbeddedMeasure, m: int, d: int) -> bool:
    """Whether networks of different widths are compared; a refusal is an answer."""
    x, y = (
        torch.randn(m, w, dtype=torch.float64, generator=torch.Generator().manual_seed(w)) for w in (d, d + 1)
    )
    try:
        measure.elsewhere(x[None], y[None])
    except Exception:
        return False
    return True
