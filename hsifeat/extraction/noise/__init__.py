"""Noise policies, which add noise to encoded tiles before the forward pass."""
