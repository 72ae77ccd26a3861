"""Execution of long-running work by executors, and reports of its progress by events."""
