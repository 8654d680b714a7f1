"""
Verification of manifolds, metrics, distances and isometries against the laws that their users rely on.

Examples
--------
>>> from repsim_geo import UnitSphere, verify
>>> verify.check_manifold(UnitSphere(ndim=1), (4,)).ok
True
"""

from repsim_geo.verify import strategies as strategies
from repsim_geo.verify.cases import Case as Case
from repsim_geo.verify.cases import DistanceCase as DistanceCase
from repsim_geo.verify.cases import IsometryCase as IsometryCase
from repsim_geo.verify.cases import ManifoldCase as ManifoldCase
from repsim_geo.verify.cases import MetricCase as MetricCase
from repsim_geo.verify.isometry import Isometry as Isometry
from repsim_geo.verify.laws import ISOMETRY_LAWS as ISOMETRY_LAWS
from repsim_geo.verify.laws import LAWS as LAWS
from repsim_geo.verify.laws import METRIC_LAWS as METRIC_LAWS
from repsim_geo.verify.laws import NETWORK_LAWS as NETWORK_LAWS
from repsim_geo.verify.laws import law as law
from repsim_geo.verify.measures import EmbeddedMeasure as EmbeddedMeasure
from repsim_geo.verify.measures import Measure as Measure
from repsim_geo.verify.networks import NETWORK_SCENES as NETWORK_SCENES
from repsim_geo.verify.networks import NetworkScene as NetworkScene
from repsim_geo.verify.networks import NetworkSpec as NetworkSpec
from repsim_geo.verify.profiles import register_profiles as register_profiles
from repsim_geo.verify.pytest import parametrize_with_checks as parametrize_with_checks
from repsim_geo.verify.report import LawViolationError as LawViolationError
from repsim_geo.verify.report import Record as Record
from repsim_geo.verify.report import Report as Report
from repsim_geo.verify.runner import check as check
from repsim_geo.verify.runner import check_distance as check_distance
from repsim_geo.verify.runner import check_isometry as check_isometry
from repsim_geo.verify.runner import check_manifold as check_manifold
from repsim_geo.verify.runner import check_metric as check_metric
from repsim_geo.verify.scenes import SCENES as SCENES
from repsim_geo.verify.scenes import Scene as Scene
from repsim_geo.verify.scenes import SceneSpec as SceneSpec
from repsim_geo.verify.statements import Law as Law
from repsim_geo.verify.tolerance import tolerance as tolerance

__all__ = [
    "ISOMETRY_LAWS",
    "LAWS",
    "METRIC_LAWS",
    "NETWORK_LAWS",
    "NETWORK_SCENES",
    "SCENES",
    "Case",
    "DistanceCase",
    "EmbeddedMeasure",
    "Isometry",
    "IsometryCase",
    "Law",
    "LawViolationError",
    "ManifoldCase",
    "Measure",
    "MetricCase",
    "NetworkScene",
    "NetworkSpec",
    "Record",
    "Report",
    "Scene",
    "SceneSpec",
    "check",
    "check_distance",
    "check_isometry",
    "check_manifold",
    "check_metric",
    "law",
    "parametrize_with_checks",
    "register_profiles",
    "strategies",
    "tolerance",
]
