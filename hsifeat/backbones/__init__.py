"""Frozen diffusion models from which features are extracted.

Only this package opens models. Only this package and `hsifeat.pretraining` import diffusers.
"""
