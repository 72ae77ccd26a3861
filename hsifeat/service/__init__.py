"""HTTP service for the stores of a cache. It offers reading, sampling, jobs and web pages to the holders of tokens."""
