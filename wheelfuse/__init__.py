"""Fuse the wheels of a build matrix, one per CPython, into one wheel that works on all of them."""

__version__ = "0.1.0"
