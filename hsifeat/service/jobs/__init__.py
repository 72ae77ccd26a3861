"""Jobs of the service: requests, a queue in SQLite, and runners that execute the jobs in separate processes."""
