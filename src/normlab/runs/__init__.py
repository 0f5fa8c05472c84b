"""A run and what of it is on disk: its identity, directory, record and owner."""
