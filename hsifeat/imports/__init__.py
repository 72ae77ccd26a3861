"""Import of features that another tool computed, as planes on the grid of a scene."""
