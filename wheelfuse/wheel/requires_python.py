"""Which CPythons the field Requires-Python lets in (core metadata specification; PEP 440)."""

from __future__ import annotations

import functools

from packaging.specifiers import SpecifierSet

from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target
from wheelfuse.wheel.metadata import require_bounded

_MICROS = range(100)


def read_specifier(requires_python: str) -> SpecifierSet:
    """The specifier that a Requires-Python states.

    Raises:
        InvalidInput: it is none, or one without end.
    """
    require_bounded("Requires-Python", requires_python)
    try:
        return SpecifierSet(requires_python)
    except ValueError as error:
        raise InvalidInput(f"Requires-Python: {error}") from error


@functools.cache
def admits(requires_python: str, target: Target) -> bool:
    """Whether Requires-Python lets any micro release of this CPython in (PEP 440 specifiers; empty: all).

    Raises:
        InvalidInput: it is no specifier, or one without end.
    """
    specifier = read_specifier(requires_python)
    return any(specifier.contains(f"3.{target.minor}.{micro}") for micro in _MICROS)
