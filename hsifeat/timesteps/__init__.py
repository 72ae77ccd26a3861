"""Ranking of timesteps by the usefulness of their features. The ranking needs no labels."""
