"""One feature store: its layout, metadata, checksums and verification."""
