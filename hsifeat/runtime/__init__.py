"""How long-running work is executed and reported: executors and events."""
