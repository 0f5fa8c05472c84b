"""Training with Lightning: the module, what observes it, and where its metrics go."""
