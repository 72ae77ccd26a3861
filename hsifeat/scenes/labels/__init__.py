"""Label maps: rasters, polygons, points and lists on the grid of a scene."""
