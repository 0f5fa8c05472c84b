"""From run directories to tables: reads records, and imports neither torch nor Lightning."""
