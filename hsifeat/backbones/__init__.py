"""Frozen diffusion models: the only room that knows one, and the only importer of diffusers."""
