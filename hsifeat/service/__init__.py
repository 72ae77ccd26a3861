"""HTTP service for a cache of stores: reading, sampling, jobs and web pages. A token grants rights to its holder."""
