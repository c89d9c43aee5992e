"""Fuzzing: inputs that are built structurally and broken, and what wheelfuse makes of them.

`targets` says what is tried and what must hold; `strategies` makes inputs; `worker` tries them within limits of time
and memory; `guided` lets atheris find inputs by the code that they reach. ``python -m fuzz --help``.
"""
