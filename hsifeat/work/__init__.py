"""How long work is run and reported: events here, drawn by whoever listens."""
