"""The results of a benchmark: one model of a run, its summary, and its files."""
