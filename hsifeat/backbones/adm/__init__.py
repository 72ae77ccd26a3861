"""Backbones from checkpoints of guided-diffusion, also called ADM (Dhariwal and Nichol 2021, arXiv 2105.05233)."""
