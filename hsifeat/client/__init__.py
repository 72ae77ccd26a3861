"""Client of the service: stores, jobs and uploads over HTTP."""
