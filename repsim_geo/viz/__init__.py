"""Pictures of distances, maps, paths, means, components and tests.

Every function draws into ``ax`` (or into a new figure), returns the axes, and never shows or saves
anything. Matplotlib is imported when a function is called, not when this package is. Colors can be told
apart by color-blind readers, and groups differ in marker as well as in color. Names take the largest font
that fits; where none does, some are left out, and ticks or a note tell so.

Figures with ``layout="constrained"``, such as the new ones, have room for all that is drawn outside of the
axes: legends and color bars. For matrices and globes, whose shape is fixed, ``layout="compressed"`` leaves no
gaps.
"""

from repsim_geo.viz.components import component_clouds, component_effects
from repsim_geo.viz.globes import globe_map, globe_view
from repsim_geo.viz.looks import GroupStyle, group_styles, style
from repsim_geo.viz.maps import embedding_map, geodesic_map, layer_paths, principal_components
from repsim_geo.viz.matrices import confusion_matrix, distance_heatmap, layer_matrix
from repsim_geo.viz.profiles import (
    geodesic_profile,
    mean_and_members,
    permutation_nulls,
    regression_positions,
)

__all__ = [
    "GroupStyle",
    "component_clouds",
    "component_effects",
    "confusion_matrix",
    "distance_heatmap",
    "embedding_map",
    "geodesic_map",
    "geodesic_profile",
    "globe_map",
    "globe_view",
    "group_styles",
    "layer_matrix",
    "layer_paths",
    "mean_and_members",
    "permutation_nulls",
    "principal_components",
    "regression_positions",
    "style",
]
