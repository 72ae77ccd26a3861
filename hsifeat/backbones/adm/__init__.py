"""Guided-diffusion (ADM) checkpoints as backbones."""
