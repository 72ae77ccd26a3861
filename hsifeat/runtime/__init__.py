"""Executors, which run long work in parallel, and events, which report its progress."""
