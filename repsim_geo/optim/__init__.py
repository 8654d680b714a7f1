"""Optimization and sampling on manifolds: what geoopt's optimizers and samplers leave to be desired."""

from repsim_geo.optim.langevin import RiemannianLangevin
from repsim_geo.optim.minimize import minimize
from repsim_geo.optim.minimum import Minimum, Reason
from repsim_geo.optim.parallel_adam import ParallelAdam
from repsim_geo.optim.wrapped_normal import wrapped_normal

__all__ = ["Minimum", "ParallelAdam", "Reason", "RiemannianLangevin", "minimize", "wrapped_normal"]
