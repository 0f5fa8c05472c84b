"""From YAML files and overrides to a checked run."""
