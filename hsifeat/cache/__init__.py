"""Many stores: the catalogue, locks, garbage collection and kept samples of labelled pixels."""
