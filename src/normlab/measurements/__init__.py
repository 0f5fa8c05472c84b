"""Measurements of runs, one file each."""
