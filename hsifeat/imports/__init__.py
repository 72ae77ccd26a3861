"""Import of features that another tool computed. They become planes on the grid of a scene."""
