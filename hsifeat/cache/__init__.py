"""Many stores: the catalogue, usage and deletion of stores, and cached samples of labelled pixels."""
