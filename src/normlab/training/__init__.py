"""Training with Lightning: build, fit, observe, keep checkpoints, record."""
