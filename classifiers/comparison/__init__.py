"""Benchmarks on cached features: heads, inputs, splits and seeds compared, with statistics and a report."""
