"""Writers of classification maps and class probabilities: GeoTIFF, PNG, NumPy and MATLAB files."""

from hsifeat.scenes.maps.formats import (
    check_map_fits,
    check_map_path,
    check_replaces_map,
    write_map,
    write_probabilities,
)
from hsifeat.scenes.maps.legend import Legend

__all__ = ["Legend", "check_map_fits", "check_map_path", "check_replaces_map", "write_map", "write_probabilities"]
