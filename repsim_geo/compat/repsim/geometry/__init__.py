"""Questions of ``repsim.geometry`` to its metrics: ``trig``, ``curvature`` and ``geodesic``."""

from repsim_geo.compat.repsim.geometry import curvature, geodesic, trig

__all__ = ["curvature", "geodesic", "trig"]
