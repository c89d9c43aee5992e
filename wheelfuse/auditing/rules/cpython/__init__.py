"""Rules about the symbols of CPython."""
