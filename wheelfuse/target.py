"""A target: one CPython ABI, the unit for which a wheel of a build matrix is made."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wheelfuse.suggest import meant

_TAG = re.compile(r"cp3([0-9]{1,4})(t?)")
_NAME = re.compile(r"(?:cp3|3\.)([0-9]{1,4})(t?)")
_MEANT = re.compile(r"(?:cp|py|cpython|python|)-?3[._]?([0-9]{1,2})(?:\.[0-9]+)?(t?)", re.IGNORECASE)
_SUFFIX = re.compile(r"\.cpython-3([0-9]{1,4})(t?)(?:-[A-Za-z0-9_.-]+)?\.so")


@dataclass(frozen=True, order=True)
class Target:
    """One CPython 3 ABI: ``cp313``, or ``cp313t`` for the free-threaded build (PEP 703).

    Targets sort by version, the free-threaded build after the one with the GIL.
    """

    minor: int
    free_threaded: bool = False

    @classmethod
    def parse(cls, tag: str) -> Target:
        """The target of an ABI tag such as ``cp313t``.

        Raises:
            ValueError: *tag* is no CPython 3 ABI tag.
        """
        if not (match := _TAG.fullmatch(tag)):
            raise ValueError(f"{tag!r} is not a CPython 3 ABI tag such as cp313 or cp313t")
        return cls(int(match[1]), bool(match[2]))

    @classmethod
    def of_name(cls, name: str) -> Target | None:
        """The target that people mean by ``3.13t`` or ``cp313t``; None if that is the name of none."""
        match = _NAME.fullmatch(name)
        return cls(int(match[1]), bool(match[2])) if match else None

    @classmethod
    def of_extension_suffix(cls, suffix: str) -> Target | None:
        """The only CPython that imports a file with this suffix (``.cpython-313t-x86_64-linux-gnu.so``).

        None for suffixes that several CPythons import (``.abi3.so``, ``.so``).
        """
        match = _SUFFIX.fullmatch(suffix)
        return cls(int(match[1]), bool(match[2])) if match else None

    def __str__(self) -> str:
        return f"cp3{self.minor}{'t' if self.free_threaded else ''}"

    @property
    def python_tag(self) -> str:
        """The python tag of PEP 425, which is the same for both builds: ``cp313``."""
        return f"cp3{self.minor}"

    @property
    def python_version(self) -> str:
        """Major and minor version, as ``python_version`` of PEP 508 gives it: ``3.13``."""
        return f"3.{self.minor}"

    @property
    def python_name(self) -> str:
        """As uv, actions/setup-python and people call it: ``3.13``, ``3.14t``."""
        return f"{self.python_version}{'t' if self.free_threaded else ''}"

    @property
    def soabi_tag(self) -> str:
        """The part of SOABI that names the interpreter: ``cpython-313t``."""
        return f"cpython-3{self.minor}{'t' if self.free_threaded else ''}"


ALL_TARGETS = tuple(
    target
    for minor in range(8, 18)
    for target in (Target(minor), Target(minor, free_threaded=True))
    if minor >= 13 or not target.free_threaded
)
"""CPython 3.8 and later, two that are not released yet among them, and the free-threaded builds, which exist since
3.13: what a tag set is proved against."""

OLDEST_MAINTAINED = Target(10)
"""The oldest CPython that gets fixes: those before have reached their end of life."""


def meant_target(text: str) -> str:
    """``; did you mean cp312?``, to be added to why *text* is no target: ``3.12``, ``py312`` and ``312t`` are close."""
    known = list(map(str, ALL_TARGETS))
    match = _MEANT.fullmatch(text)
    return meant(f"cp3{match[1]}{match[2].lower()}" if match else text, known)
