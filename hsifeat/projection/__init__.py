"""From bands to the channels that a backbone takes: pseudo-RGB, principal components, chosen bands or all of them."""

from hsifeat.projection.fit import fit_projection
from hsifeat.projection.projected_scene import ProjectedScene
from hsifeat.projection.projection import Projection

__all__ = ["ProjectedScene", "Projection", "fit_projection"]
