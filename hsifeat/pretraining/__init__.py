"""Training of denoisers on patches of scenes or on natural images. No labels are needed."""
