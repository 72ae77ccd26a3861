"""Label maps on the grid of a scene, read from rasters, vector files and CSV lists."""
