"""Backbones from latent diffusion models such as Stable Diffusion (Rombach et al. 2022, arXiv 2112.10752)."""
