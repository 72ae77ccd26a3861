"""Ranking of timesteps: which ones are worth caching, measured without labels."""
