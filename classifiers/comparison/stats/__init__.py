"""Statistics of a benchmark: bootstrap, tests of significance and counts of correct pixels."""
