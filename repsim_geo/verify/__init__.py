"""
Verification of manifolds against the laws that their users rely on.

Examples
--------
>>> from repsim_geo import UnitSphere, verify
>>> verify.check_manifold(UnitSphere(ndim=1), (4,)).ok
True
"""

from repsim_geo.verify.laws import LAWS as LAWS
from repsim_geo.verify.laws import Law as Law
from repsim_geo.verify.report import LawViolationError as LawViolationError
from repsim_geo.verify.report import Record as Record
from repsim_geo.verify.report import Report as Report
from repsim_geo.verify.runner import check_manifold as check_manifold
from repsim_geo.verify.scenes import SCENES as SCENES
from repsim_geo.verify.scenes import Scene as Scene
from repsim_geo.verify.tolerance import tolerance as tolerance

__all__ = [
    "LAWS",
    "SCENES",
    "Law",
    "LawViolationError",
    "Record",
    "Report",
    "Scene",
    "check_manifold",
    "tolerance",
]
