"""Latent diffusion models, such as Stable Diffusion, as backbones."""
