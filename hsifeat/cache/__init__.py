"""The cache of a machine: catalogue, disk usage and deletion of feature stores, and cached samples of pixels."""
