"""Web pages of the service for stores, jobs and tokens. The pages are rendered on the server."""
