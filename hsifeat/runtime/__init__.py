"""How long work is run and reported: events and executors."""
