"""Statistics of a benchmark: bootstrap intervals, tests of significance and counts of correct pixels."""
