"""HTTP service over a cache of stores: reading, sampling, jobs and their pages, with rights by token."""
