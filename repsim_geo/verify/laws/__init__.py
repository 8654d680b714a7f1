"""
The laws: each says once what is true of every manifold, and measures by how much it is not.

A law returns residuals, one for each draw of a scene, relative to the size of things; it never asserts. So
the same function serves a report, a test, a search that shrinks, and a benchmark of accuracy.
"""

import difflib

from repsim_geo.verify.laws import (
    axioms,
    conventions,
    curvature,
    geodesics,
    gradients,
    projections,
    transport,
)
from repsim_geo.verify.laws.embeddings import EMBEDDING_LAWS
from repsim_geo.verify.laws.isometries import ISOMETRY_LAWS as ISOMETRY_LAWS
from repsim_geo.verify.laws.networks import NETWORK_LAWS as NETWORK_LAWS
from repsim_geo.verify.statements import Law

LAWS: tuple[Law, ...] = tuple(
    law
    for chapter in (axioms, geodesics, projections, gradients, transport, curvature, conventions)
    for law in chapter.LAWS
)
METRIC_LAWS: tuple[Law, ...] = (*NETWORK_LAWS, *EMBEDDING_LAWS)


def law(name: str) -> Law:
    """
    A law by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Law

    Raises
    ------
    TypeError, ValueError
        No such law.

    Examples
    --------
    >>> law("triangle_inequality").statement
    'd(x, z) <= d(x, y) + d(y, z).'
    """
    if not isinstance(name, str):
        raise TypeError(
            f"name must be that of a law, a string, got {name!r}. See repsim_geo.verify.LAWS for names."
        )
    known = {known.name: known for known in (*LAWS, *METRIC_LAWS, *ISOMETRY_LAWS)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no law called {name!r}.{hint} See repsim_geo.verify.LAWS for names.")
    return known[name]
