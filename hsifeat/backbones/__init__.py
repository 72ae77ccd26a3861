"""Frozen diffusion models as backbones. No other room opens a model, and beside pretraining none imports diffusers."""
