"""Sweeps: what is planned, where it runs, and how far it is."""
