"""From YAML to a checked run."""
