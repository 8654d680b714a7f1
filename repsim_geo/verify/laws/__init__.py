"""
The laws: each says once what is true of every manifold, and measures by how much it is not.

A law returns residuals, one for each draw of a scene, relative to the size of the points; it never asserts.
So the same function serves a report, a test, a search that shrinks, and a benchmark of accuracy.
"""

from repsim_geo.verify.laws import (
    axioms,
    conventions,
    curvature,
    geodesics,
    gradients,
    projections,
    transport,
)
from repsim_geo.verify.laws.law import Law as Law
from repsim_geo.verify.laws.law import provides as provides

LAWS: tuple[Law, ...] = tuple(
    law
    for chapter in (axioms, geodesics, projections, gradients, transport, curvature, conventions)
    for law in chapter.LAWS
)
