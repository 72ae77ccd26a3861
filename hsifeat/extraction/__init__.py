"""Extract diffusion features of a scene into a store: options, preparation, plan, tiling, noise and execution."""
