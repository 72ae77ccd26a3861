"""The report of a benchmark: page with templates, tables for papers, figures and maps."""
