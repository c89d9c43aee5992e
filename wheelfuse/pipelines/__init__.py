"""Pipelines for CI systems: a job for each CPython, and one that fuses, audits and verifies."""
