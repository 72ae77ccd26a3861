"""Division of a scene into tiles, and the combination of the tiles' feature maps."""
