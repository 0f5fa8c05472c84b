"""Signals, child processes, and sums over the processes of one run."""
