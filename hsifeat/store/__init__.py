"""Feature stores: their layout and metadata, and how they are read, written, checked and locked."""
