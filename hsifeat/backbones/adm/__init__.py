"""Backbones from guided-diffusion (ADM) checkpoints (Dhariwal and Nichol 2021, arXiv 2105.05233)."""
