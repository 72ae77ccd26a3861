"""Training a denoiser on a scene's own unlabelled patches: presets, patches, loop, checkpoint, model folder."""
