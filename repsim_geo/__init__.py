"""
repsim_geo: the Riemannian geometry of representations, built on geoopt.

Names are imported on first use, so that ``import repsim_geo`` costs little; what a name needs (geoopt,
scikit-learn, ...) is loaded with it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from repsim_geo.activations import Activations as Activations
    from repsim_geo.activations import ActivationSet as ActivationSet
    from repsim_geo.compare import compare as compare
    from repsim_geo.errors import ConvergenceWarning as ConvergenceWarning
    from repsim_geo.errors import CutLocusWarning as CutLocusWarning
    from repsim_geo.errors import DegenerateRepresentationError as DegenerateRepresentationError
    from repsim_geo.errors import DegenerateRepresentationWarning as DegenerateRepresentationWarning
    from repsim_geo.errors import MismatchedRowsError as MismatchedRowsError
    from repsim_geo.errors import NotOnManifoldError as NotOnManifoldError
    from repsim_geo.errors import ShapeError as ShapeError
    from repsim_geo.errors import UnknownMetricError as UnknownMetricError
    from repsim_geo.kernels.arc_cosine import ArcCosine as ArcCosine
    from repsim_geo.kernels.base import Kernel as Kernel
    from repsim_geo.kernels.base import Weighted as Weighted
    from repsim_geo.kernels.laplace import Laplace as Laplace
    from repsim_geo.kernels.length_scales import Fixed as Fixed
    from repsim_geo.kernels.length_scales import LengthScale as LengthScale
    from repsim_geo.kernels.length_scales import Mean as Mean
    from repsim_geo.kernels.length_scales import Median as Median
    from repsim_geo.kernels.length_scales import Quantile as Quantile
    from repsim_geo.kernels.linear import Linear as Linear
    from repsim_geo.kernels.maps import angle_matrix as angle_matrix
    from repsim_geo.kernels.maps import cosine_matrix as cosine_matrix
    from repsim_geo.kernels.maps import distance_matrix as distance_matrix
    from repsim_geo.kernels.maps import inner_product_matrix as inner_product_matrix
    from repsim_geo.kernels.maps import squared_distance_matrix as squared_distance_matrix
    from repsim_geo.kernels.polynomial import Polynomial as Polynomial
    from repsim_geo.kernels.rbf import RBF as RBF
    from repsim_geo.manifolds.actions import Orthogonal as Orthogonal
    from repsim_geo.manifolds.actions import Permutation as Permutation
    from repsim_geo.manifolds.actions import SpecialOrthogonal as SpecialOrthogonal
    from repsim_geo.manifolds.base import RiemannianManifold as RiemannianManifold
    from repsim_geo.manifolds.bures import BuresWassersteinSPD as BuresWassersteinSPD
    from repsim_geo.manifolds.flat import Flat as Flat
    from repsim_geo.manifolds.functional import Projection as Projection
    from repsim_geo.manifolds.functional import alexandrov_curvature as alexandrov_curvature
    from repsim_geo.manifolds.functional import angle as angle
    from repsim_geo.manifolds.functional import geodesic as geodesic
    from repsim_geo.manifolds.functional import has_unique_geodesic as has_unique_geodesic
    from repsim_geo.manifolds.functional import midpoint as midpoint
    from repsim_geo.manifolds.functional import path as path
    from repsim_geo.manifolds.functional import project_to_geodesic as project_to_geodesic
    from repsim_geo.manifolds.functional import vector_angle as vector_angle
    from repsim_geo.manifolds.gaussian_shapes import DistanceBounds as DistanceBounds
    from repsim_geo.manifolds.gaussian_shapes import GaussianShapes as GaussianShapes
    from repsim_geo.manifolds.grassmann import Grassmannian as Grassmannian
    from repsim_geo.manifolds.ladder import LadderTransport as LadderTransport
    from repsim_geo.manifolds.ladder import pole_ladder as pole_ladder
    from repsim_geo.manifolds.paths import arc_lengths as arc_lengths
    from repsim_geo.manifolds.paths import path_length as path_length
    from repsim_geo.manifolds.paths import straightness as straightness
    from repsim_geo.manifolds.paths import turning_angles as turning_angles
    from repsim_geo.manifolds.quotient import Quotient as Quotient
    from repsim_geo.manifolds.spd import AffineInvariantSPD as AffineInvariantSPD
    from repsim_geo.manifolds.spd import LogEuclideanSPD as LogEuclideanSPD
    from repsim_geo.manifolds.sphere import UnitSphere as UnitSphere
    from repsim_geo.metrics.affine_invariant import AffineInvariant as AffineInvariant
    from repsim_geo.metrics.angular_cka import AngularCKA as AngularCKA
    from repsim_geo.metrics.angular_rdm import AngularRDM as AngularRDM
    from repsim_geo.metrics.base import MetricCard as MetricCard
    from repsim_geo.metrics.base import RepresentationMetric as RepresentationMetric
    from repsim_geo.metrics.bures_wasserstein import BuresWasserstein as BuresWasserstein
    from repsim_geo.metrics.linear_subspace import LinearSubspace as LinearSubspace
    from repsim_geo.metrics.log_euclidean import LogEuclidean as LogEuclidean
    from repsim_geo.metrics.permutation import AngularPermutation as AngularPermutation
    from repsim_geo.metrics.permutation import PermutationDistance as PermutationDistance
    from repsim_geo.metrics.shape import AngularShape as AngularShape
    from repsim_geo.metrics.shape import SizeAndShape as SizeAndShape
    from repsim_geo.metrics.soft_matching import SoftMatching as SoftMatching
    from repsim_geo.metrics.stochastic_shape import StochasticShape as StochasticShape
    from repsim_geo.metrics.stress import Stress as Stress
    from repsim_geo.numerics.cones import classical_mds as classical_mds
    from repsim_geo.numerics.cones import is_euclidean_dissimilarity as is_euclidean_dissimilarity
    from repsim_geo.numerics.cones import is_psd as is_psd
    from repsim_geo.numerics.cones import nearest_psd as nearest_psd
    from repsim_geo.numerics.cones import nearest_unit_psd as nearest_unit_psd
    from repsim_geo.numerics.cones import psd_exit_step as psd_exit_step
    from repsim_geo.numerics.cones import psd_exit_time as psd_exit_time
    from repsim_geo.numerics.subspaces import ColumnCentered as ColumnCentered
    from repsim_geo.numerics.subspaces import DoubleCentered as DoubleCentered
    from repsim_geo.numerics.subspaces import Everything as Everything
    from repsim_geo.numerics.subspaces import Hollow as Hollow
    from repsim_geo.numerics.subspaces import HollowCentered as HollowCentered
    from repsim_geo.numerics.subspaces import TraceFree as TraceFree
    from repsim_geo.numerics.subspaces import UCentered as UCentered
    from repsim_geo.pairwise.engine import pairwise as pairwise
    from repsim_geo.pairwise.engine import plan_pairwise as plan_pairwise
    from repsim_geo.registry import available_metrics as available_metrics
    from repsim_geo.registry import register_metric as register_metric
    from repsim_geo.scores import canonical_correlations as canonical_correlations
    from repsim_geo.scores import cka as cka
    from repsim_geo.scores import hsic as hsic
    from repsim_geo.scores import nbs as nbs
    from repsim_geo.scores import pwcca as pwcca
    from repsim_geo.scores import svcca as svcca
    from repsim_geo.stats.bootstrap import MeanRegion as MeanRegion
    from repsim_geo.stats.bootstrap import Resampled as Resampled
    from repsim_geo.stats.bootstrap import bootstrap_distance as bootstrap_distance
    from repsim_geo.stats.bootstrap import bootstrap_mean as bootstrap_mean
    from repsim_geo.stats.bootstrap import bootstrap_statistic as bootstrap_statistic
    from repsim_geo.stats.classification import LeaveOneOut as LeaveOneOut
    from repsim_geo.stats.classification import NearestMean as NearestMean
    from repsim_geo.stats.clustering import Hierarchy as Hierarchy
    from repsim_geo.stats.clustering import KMedoids as KMedoids
    from repsim_geo.stats.clustering import ManifoldKMeans as ManifoldKMeans
    from repsim_geo.stats.clustering import hierarchical_clustering as hierarchical_clustering
    from repsim_geo.stats.clustering import medoid as medoid
    from repsim_geo.stats.frechet import FrechetMean as FrechetMean
    from repsim_geo.stats.group_tests import FrechetAnova as FrechetAnova
    from repsim_geo.stats.group_tests import energy_test as energy_test
    from repsim_geo.stats.group_tests import frechet_anova as frechet_anova
    from repsim_geo.stats.group_tests import permanova as permanova
    from repsim_geo.stats.implicit import frechet_mean as frechet_mean
    from repsim_geo.stats.implicit import frechet_variance as frechet_variance
    from repsim_geo.stats.layer_paths import MeanPath as MeanPath
    from repsim_geo.stats.layer_paths import PathDescription as PathDescription
    from repsim_geo.stats.layer_paths import Progress as Progress
    from repsim_geo.stats.layer_paths import aligned_distance as aligned_distance
    from repsim_geo.stats.layer_paths import describe_path as describe_path
    from repsim_geo.stats.layer_paths import path_progress as path_progress
    from repsim_geo.stats.layer_paths import resample_path as resample_path
    from repsim_geo.stats.mantel import mantel_test as mantel_test
    from repsim_geo.stats.mds import ClassicalMDS as ClassicalMDS
    from repsim_geo.stats.mds import MetricMDS as MetricMDS
    from repsim_geo.stats.pair_tests import CalibratedTable as CalibratedTable
    from repsim_geo.stats.pair_tests import Calibration as Calibration
    from repsim_geo.stats.pair_tests import calibrate as calibrate
    from repsim_geo.stats.pair_tests import calibrate_table as calibrate_table
    from repsim_geo.stats.pair_tests import permutation_test as permutation_test
    from repsim_geo.stats.records import Interval as Interval
    from repsim_geo.stats.records import TestResult as TestResult
    from repsim_geo.stats.regression import GeodesicRegression as GeodesicRegression
    from repsim_geo.stats.reliability import CrossValidated as CrossValidated
    from repsim_geo.stats.reliability import Reliability as Reliability
    from repsim_geo.stats.reliability import TrialNoise as TrialNoise
    from repsim_geo.stats.reliability import cross_validated_distance as cross_validated_distance
    from repsim_geo.stats.reliability import split_half_reliability as split_half_reliability
    from repsim_geo.stats.reliability import trial_noise as trial_noise
    from repsim_geo.stats.robust import FrechetMedian as FrechetMedian
    from repsim_geo.stats.robust import TrimmedMean as TrimmedMean
    from repsim_geo.stats.spherical_mds import SphericalMDS as SphericalMDS
    from repsim_geo.stats.tangent_pca import TangentPCA as TangentPCA
    from repsim_geo.stats.time_warping import WarpedMeanPath as WarpedMeanPath
    from repsim_geo.stats.time_warping import Warping as Warping
    from repsim_geo.stats.time_warping import discrete_frechet_distance as discrete_frechet_distance
    from repsim_geo.stats.time_warping import dynamic_time_warping as dynamic_time_warping
    from repsim_geo.stats.time_warping import pairwise_discrete_frechet as pairwise_discrete_frechet
    from repsim_geo.stats.time_warping import pairwise_time_warping as pairwise_time_warping

# Public name -> module that defines it. A test holds this list against the imports above.
_HOME = {
    "Activations": "activations",
    "ActivationSet": "activations",
    "compare": "compare",
    "ConvergenceWarning": "errors",
    "CutLocusWarning": "errors",
    "DegenerateRepresentationError": "errors",
    "DegenerateRepresentationWarning": "errors",
    "MismatchedRowsError": "errors",
    "NotOnManifoldError": "errors",
    "ShapeError": "errors",
    "UnknownMetricError": "errors",
    "ArcCosine": "kernels.arc_cosine",
    "Kernel": "kernels.base",
    "Weighted": "kernels.base",
    "Laplace": "kernels.laplace",
    "Fixed": "kernels.length_scales",
    "LengthScale": "kernels.length_scales",
    "Mean": "kernels.length_scales",
    "Median": "kernels.length_scales",
    "Quantile": "kernels.length_scales",
    "Linear": "kernels.linear",
    "angle_matrix": "kernels.maps",
    "cosine_matrix": "kernels.maps",
    "distance_matrix": "kernels.maps",
    "inner_product_matrix": "kernels.maps",
    "squared_distance_matrix": "kernels.maps",
    "Polynomial": "kernels.polynomial",
    "RBF": "kernels.rbf",
    "Orthogonal": "manifolds.actions",
    "Permutation": "manifolds.actions",
    "SpecialOrthogonal": "manifolds.actions",
    "RiemannianManifold": "manifolds.base",
    "BuresWassersteinSPD": "manifolds.bures",
    "Flat": "manifolds.flat",
    "alexandrov_curvature": "manifolds.functional",
    "angle": "manifolds.functional",
    "geodesic": "manifolds.functional",
    "has_unique_geodesic": "manifolds.functional",
    "midpoint": "manifolds.functional",
    "path": "manifolds.functional",
    "project_to_geodesic": "manifolds.functional",
    "Projection": "manifolds.functional",
    "vector_angle": "manifolds.functional",
    "DistanceBounds": "manifolds.gaussian_shapes",
    "GaussianShapes": "manifolds.gaussian_shapes",
    "Grassmannian": "manifolds.grassmann",
    "LadderTransport": "manifolds.ladder",
    "pole_ladder": "manifolds.ladder",
    "arc_lengths": "manifolds.paths",
    "path_length": "manifolds.paths",
    "straightness": "manifolds.paths",
    "turning_angles": "manifolds.paths",
    "Quotient": "manifolds.quotient",
    "AffineInvariantSPD": "manifolds.spd",
    "LogEuclideanSPD": "manifolds.spd",
    "UnitSphere": "manifolds.sphere",
    "AffineInvariant": "metrics.affine_invariant",
    "AngularCKA": "metrics.angular_cka",
    "AngularRDM": "metrics.angular_rdm",
    "MetricCard": "metrics.base",
    "RepresentationMetric": "metrics.base",
    "BuresWasserstein": "metrics.bures_wasserstein",
    "LinearSubspace": "metrics.linear_subspace",
    "LogEuclidean": "metrics.log_euclidean",
    "AngularPermutation": "metrics.permutation",
    "PermutationDistance": "metrics.permutation",
    "AngularShape": "metrics.shape",
    "SizeAndShape": "metrics.shape",
    "SoftMatching": "metrics.soft_matching",
    "StochasticShape": "metrics.stochastic_shape",
    "Stress": "metrics.stress",
    "classical_mds": "numerics.cones",
    "is_euclidean_dissimilarity": "numerics.cones",
    "is_psd": "numerics.cones",
    "nearest_psd": "numerics.cones",
    "nearest_unit_psd": "numerics.cones",
    "psd_exit_step": "numerics.cones",
    "psd_exit_time": "numerics.cones",
    "ColumnCentered": "numerics.subspaces",
    "DoubleCentered": "numerics.subspaces",
    "Everything": "numerics.subspaces",
    "Hollow": "numerics.subspaces",
    "HollowCentered": "numerics.subspaces",
    "TraceFree": "numerics.subspaces",
    "UCentered": "numerics.subspaces",
    "pairwise": "pairwise.engine",
    "plan_pairwise": "pairwise.engine",
    "available_metrics": "registry",
    "register_metric": "registry",
    "canonical_correlations": "scores",
    "cka": "scores",
    "hsic": "scores",
    "nbs": "scores",
    "pwcca": "scores",
    "svcca": "scores",
    "MeanRegion": "stats.bootstrap",
    "Resampled": "stats.bootstrap",
    "bootstrap_distance": "stats.bootstrap",
    "bootstrap_mean": "stats.bootstrap",
    "bootstrap_statistic": "stats.bootstrap",
    "LeaveOneOut": "stats.classification",
    "NearestMean": "stats.classification",
    "Hierarchy": "stats.clustering",
    "KMedoids": "stats.clustering",
    "ManifoldKMeans": "stats.clustering",
    "hierarchical_clustering": "stats.clustering",
    "medoid": "stats.clustering",
    "FrechetMean": "stats.frechet",
    "FrechetAnova": "stats.group_tests",
    "energy_test": "stats.group_tests",
    "frechet_anova": "stats.group_tests",
    "permanova": "stats.group_tests",
    "frechet_mean": "stats.implicit",
    "frechet_variance": "stats.implicit",
    "MeanPath": "stats.layer_paths",
    "PathDescription": "stats.layer_paths",
    "Progress": "stats.layer_paths",
    "aligned_distance": "stats.layer_paths",
    "describe_path": "stats.layer_paths",
    "path_progress": "stats.layer_paths",
    "resample_path": "stats.layer_paths",
    "mantel_test": "stats.mantel",
    "ClassicalMDS": "stats.mds",
    "MetricMDS": "stats.mds",
    "CalibratedTable": "stats.pair_tests",
    "Calibration": "stats.pair_tests",
    "calibrate": "stats.pair_tests",
    "calibrate_table": "stats.pair_tests",
    "permutation_test": "stats.pair_tests",
    "Interval": "stats.records",
    "TestResult": "stats.records",
    "GeodesicRegression": "stats.regression",
    "CrossValidated": "stats.reliability",
    "Reliability": "stats.reliability",
    "TrialNoise": "stats.reliability",
    "cross_validated_distance": "stats.reliability",
    "split_half_reliability": "stats.reliability",
    "trial_noise": "stats.reliability",
    "FrechetMedian": "stats.robust",
    "TrimmedMean": "stats.robust",
    "SphericalMDS": "stats.spherical_mds",
    "TangentPCA": "stats.tangent_pca",
    "WarpedMeanPath": "stats.time_warping",
    "Warping": "stats.time_warping",
    "discrete_frechet_distance": "stats.time_warping",
    "dynamic_time_warping": "stats.time_warping",
    "pairwise_discrete_frechet": "stats.time_warping",
    "pairwise_time_warping": "stats.time_warping",
}

_SUBMODULES = ("compat", "extract", "io", "optim", "recipes", "verify", "viz")

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing repsim_geo.compare, the module, does not hide compare, the function.
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
