"""Tiling: the windows of a scene that the model sees, and how their feature maps become planes."""
