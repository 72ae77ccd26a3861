"""Ranking of timesteps by the usefulness of their features, without labels."""
