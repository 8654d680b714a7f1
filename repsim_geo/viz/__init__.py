"""Pictures of distances, maps, paths and means.

Every function draws into ``ax`` (or into a new figure), returns the axes, and never shows or saves
anything. Matplotlib is imported when a function is called, not when this package is. Colors can be told
apart by color-blind readers, and groups differ in marker as well as in color.
"""

from repsim_geo.viz._style import GroupStyle, group_styles, style
from repsim_geo.viz.maps import embedding_map, layer_paths
from repsim_geo.viz.matrices import distance_heatmap, layer_matrix
from repsim_geo.viz.profiles import geodesic_profile, mean_and_members

__all__ = [
    "GroupStyle",
    "distance_heatmap",
    "embedding_map",
    "geodesic_profile",
    "group_styles",
    "layer_matrix",
    "layer_paths",
    "mean_and_members",
    "style",
]
