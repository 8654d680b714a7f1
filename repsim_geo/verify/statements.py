"""What a law is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo.manifolds.base import is_written

Residual = Callable[..., Tensor]


@dataclass(frozen=True)
class Law:
    """
    A statement that is true of every right manifold, metric, distance or isometry, and how to measure it.

    Attributes
    ----------
    name : str
        A sentence with underscores.
    statement : str
    needs : tuple of str
        Methods and facts that the subject must provide.
    kind : str
        Row of the tolerance table.
    residual : callable
        ``residual(subject, scene)`` with one number for each draw: by how much the statement is not so,
        relative to the size of things.
    source : str
    order : int
        How many derivatives of the distance it speaks of: 0 the axioms of a metric, 1 geodesics, 2 inner
        products and gradients, 3 transport and curvature; 4 the conventions of programs. Reports list what
        breaks the more basic law first.
    regular : bool
        Asked only where the tangent spaces are vector spaces of full dimension.
    scenes : tuple of str or None
        Asked only on these scenes; None for all.
    """

    name: str
    statement: str
    needs: tuple[str, ...]
    kind: str
    residual: Residual
    source: str = "definition"
    order: int = 0
    regular: bool = False
    scenes: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return self.name


def chapter(order: int) -> tuple[list[Law], Callable[..., Callable[[Residual], Residual]]]:
    """
    Begin a chapter of laws.

    Parameters
    ----------
    order : int
        Of all laws of the chapter.

    Returns
    -------
    laws : list of Law
        Fills as laws are written below.
    law : callable
        Decorator ``law(statement, needs, kind, *, source, regular, scenes)`` of residuals.
    """
    laws: list[Law] = []

    def law(statement: str, needs: str, kind: str, **options: Any) -> Callable[[Residual], Residual]:
        def write(residual: Residual) -> Residual:
            name: str = residual.__name__
            laws.append(Law(name, statement, tuple(needs.split()), kind, residual, order=order, **options))
            return residual

        return write

    return laws, law


def provides(manifold: Manifold, name: str) -> bool:
    """
    Whether a manifold implements a method, or declares a fact, of this name.

    ``parallel_transp`` asks whether ``transp`` is declared to be parallel.

    Parameters
    ----------
    manifold : geoopt.Manifold
    name : str

    Returns
    -------
    bool
    """
    if name == "parallel_transp":
        return getattr(manifold, "transport", None) == "parallel" and provides(manifold, "transp")
    owner = type(getattr(manifold, "base", manifold))
    declared = getattr(manifold, name, False) is not False and is_written(manifold, name)
    return declared and getattr(owner, name, None) is not getattr(Manifold, name, None)
