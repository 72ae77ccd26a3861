"""Heads x features x splits x seeds on cached features: runs, summary, report and its figures."""
