"""Statistics of a comparison: bootstrap, significance and counts of correct pixels."""
