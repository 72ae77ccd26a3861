"""Training of denoisers without labels, on patches of scenes or on natural images."""
