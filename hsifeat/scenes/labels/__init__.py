"""Readers of rasters, vector files and CSV lists as label maps on the grid of a scene."""
