"""Feature stores: layout, metadata, reading and writing, checksums, verification and locks."""
