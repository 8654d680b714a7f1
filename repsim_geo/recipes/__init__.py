"""What to do with the geometry of representations: one function, or loss, for each question."""

from repsim_geo.recipes.distillation import TeacherMean, mean_of_teachers
from repsim_geo.recipes.interpolation import ReadOuts, interpolate, read_out_along
from repsim_geo.recipes.minibatch import CKAEstimate, MinibatchCKA, MinibatchCKALoss
from repsim_geo.recipes.representation_loss import RepresentationLoss
from repsim_geo.recipes.sampling import Sample, sample_around
from repsim_geo.recipes.stimuli import Stimuli, optimal_stimuli
from repsim_geo.recipes.trilateration import Trilateration, trilaterate

__all__ = [
    "CKAEstimate",
    "MinibatchCKA",
    "MinibatchCKALoss",
    "ReadOuts",
    "RepresentationLoss",
    "Sample",
    "Stimuli",
    "TeacherMean",
    "Trilateration",
    "interpolate",
    "mean_of_teachers",
    "optimal_stimuli",
    "read_out_along",
    "sample_around",
    "trilaterate",
]
