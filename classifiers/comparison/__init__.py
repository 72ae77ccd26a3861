"""Benchmarks that compare heads on cached features, with statistics and a report."""
