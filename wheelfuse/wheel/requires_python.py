"""Which CPythons the field Requires-Python lets in (core metadata specification; PEP 440)."""

from __future__ import annotations

import functools

from packaging.specifiers import SpecifierSet

from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.target import Target

_MICROS = range(100)


@functools.cache
def admits(requires_python: str, target: Target) -> bool:
    """Whether Requires-Python lets any micro release of this CPython in (PEP 440 specifiers; empty: all).

    Raises:
        InvalidInput: it is no specifier.
    """
    try:
        specifier = SpecifierSet(requires_python)
        return any(specifier.contains(f"3.{target.minor}.{micro}") for micro in _MICROS)
    except ValueError as error:  # InvalidSpecifier is one, and so is what int says to thousands of digits
        raise InvalidInput(Problem(f"Requires-Python {requires_python[:200]!r}: {error}")) from error
