"""Small classification maps, for tests of the writers of maps."""

import numpy as np
import rasterio

from hsifeat.scenes import Georeference
from hsifeat.scenes.maps import Legend
from hsifeat.types import windows

NAMES = {1: "corn", 2: "blé & <maïs>", 5: "line\nbreak \x01", 7: "水"}
COLOURS = {1: "#ff0000", 2: "#00ff10", 5: "#ffffff", 7: "#010203"}
LEGEND = Legend.from_mappings(NAMES, NAMES, COLOURS)
SHOWN = dict(zip(LEGEND.numbers, LEGEND.names, strict=True))
UTM = Georeference(rasterio.crs.CRS.from_epsg(32617).to_wkt(), (28.5, 0.0, 630000.25, 0.0, -28.5, 228500.75))
ROTATED = Georeference(UTM.crs, (20.5, 3.25, 5e5, 3.5, -19.75, 4e6))


def class_map(rows=75, cols=53, numbers=(0, 1, 2, 5, 7), seed=0):
    """Return a (rows, cols) uint16 map with classes in squares of 5 x 5 pixels."""
    fields = np.random.default_rng(seed).choice(numbers, (-(-rows // 5), -(-cols // 5)))
    return np.kron(fields, np.ones((5, 5), int))[:rows, :cols].astype(np.uint16)


def iter_windows(values, side=32):
    rows, cols, _ = values.shape
    return ((window, values[window.slices]) for window in windows(rows, cols, side))


def file_names(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != "cache")
