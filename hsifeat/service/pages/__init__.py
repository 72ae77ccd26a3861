"""Pages of the service for people: stores, jobs and tokens, rendered on the server."""
