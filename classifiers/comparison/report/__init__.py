"""Report of a benchmark: an HTML page, tables for papers, figures and maps."""
