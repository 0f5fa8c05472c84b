"""Signals, child processes, and sums over processes."""
