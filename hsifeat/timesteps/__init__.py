"""Which timesteps are worth caching, told without labels."""
