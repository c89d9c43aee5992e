"""Checks that need a GPU; run by hand, see README.md."""
