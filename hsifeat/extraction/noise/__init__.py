"""Noise policies: how tiles are noised before the forward pass."""
