"""Index and alignment by genome size."""
