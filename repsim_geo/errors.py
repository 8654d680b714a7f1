"""Every error and warning class of the package, so that a caller can catch them by name."""

from __future__ import annotations


class ShapeError(ValueError):
    """Tensors whose sizes do not fit each other or the metric."""


class MismatchedRowsError(ShapeError):
    """Activations whose rows are not the same inputs in the same order."""


class DegenerateRepresentationError(ValueError):
    """Activations that carry nothing the metric could compare, such as a constant representation."""


class NotOnManifoldError(ValueError):
    """A tensor that should be a point of a manifold and is not."""


class UnknownMetricError(ValueError):
    """A metric name that the registry does not know."""


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it reached its tolerance."""


class CutLocusWarning(UserWarning):
    """Two points have more than one shortest path between them; one of them was chosen."""


class DegenerateRepresentationWarning(UserWarning):
    """A value is determined by the sizes of the data (too few rows) more than by the data."""
