"""Jobs of the service: requests, a queue in SQLite, and runners that execute the jobs in processes of their own."""
