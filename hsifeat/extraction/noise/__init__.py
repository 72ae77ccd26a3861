"""Noise policies: how encoded tiles are noised before the forward pass; one registered class per file."""
