"""Results of a benchmark: data model, summaries, and reading and writing of result files."""
