"""Reading of label maps, from rasters, vector files and CSV lists, onto the grid of a scene."""
