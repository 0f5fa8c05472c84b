"""Sweeps: their check, their progress, and the processes, jobs and tasks that make their runs."""
