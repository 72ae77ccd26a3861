"""Projections from the bands of a scene to the channels of a backbone: pseudo-RGB, PCA, selected bands or all bands."""

from hsifeat.projection.fit import fit_projection
from hsifeat.projection.projected_scene import ProjectedScene
from hsifeat.projection.projection import Projection

__all__ = ["ProjectedScene", "Projection", "fit_projection"]
