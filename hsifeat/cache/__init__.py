"""The cache of a machine: a catalogue of feature stores, their disk usage and deletion, and cached samples of pixels."""
