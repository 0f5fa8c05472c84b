"""A run on disk: its directory, its record, its owner."""
