"""Lets the n-th call of the operating system fail, or do only a part, in this process."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

MODULES = {"flock": fcntl}
"""Where a call is, unless it is in `os`."""

WRITING = ("write", "pwrite", "fsync", "link", "replace", "unlink", "mkdir", "rmdir", "scandir", "flock")
READING = ("open", "pread")

ERRORS = {
    "write": errno.ENOSPC,
    "pwrite": errno.ENOSPC,
    "fsync": errno.EIO,
    "link": errno.EIO,
    "replace": errno.EIO,
    "unlink": errno.EIO,
    "mkdir": errno.EACCES,
    "rmdir": errno.EACCES,
    "scandir": errno.EIO,
    "flock": errno.ENOLCK,
    "open": errno.EACCES,
    "pread": errno.EIO,
}
"""How each call fails."""


_NAMING = frozenset(("link", "replace", "unlink", "mkdir", "rmdir", "scandir", "open"))
"""The calls whose errors name a file."""


@dataclass
class Calls:
    """The calls that were made, in their order; the *failing* one raises, and with *onwards* all of its name after it.

    What happens in any thread counts, but for standard output and standard error.
    """

    failing: int = -1
    onwards: bool = False
    made: list[str] = field(default_factory=list)
    failed: list[Path] = field(default_factory=list)
    """What the calls that failed were about."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def replacement(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if name == "write" and arguments[0] in (1, 2):
                return real(*arguments, **named)
            if self._fails(name):
                self.failed.append(_subject(arguments[0]))
                named_paths = arguments[:1] if name in _NAMING else ()
                raise OSError(ERRORS[name], os.strerror(ERRORS[name]), *named_paths)
            return real(*arguments, **named)

        return call

    def _fails(self, name: str) -> bool:
        with self._lock:
            number = len(self.made)
            self.made.append(name)
            later = self.onwards and number > self.failing >= 0 and self.made[self.failing] == name
            return number == self.failing or later


def _subject(argument: Any) -> Path:
    """The file that the first argument of a call names, or is a descriptor of."""
    return Path(f"/proc/self/fd/{argument}" if isinstance(argument, int) else argument).resolve()


@contextmanager
def patched(
    names: Sequence[str], make: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Put what *make* makes of each call in its place."""
    patches = [mock.patch.object(MODULES.get(name, os), name, make(name, getattr(MODULES.get(name, os), name)))
               for name in names]  # fmt: skip
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()


@contextmanager
def counted(names: Sequence[str], failing: int = -1, *, onwards: bool = False) -> Iterator[Calls]:
    """Count the calls with these names, of which the *failing* one fails (counted from 0)."""
    calls = Calls(failing, onwards)
    with patched(names, calls.replacement):
        yield calls


@contextmanager
def little_at_a_time(most: int = 1000) -> Iterator[None]:
    """Every write and every read does only up to *most* bytes, as POSIX allows."""

    def make(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def read(descriptor: int, size: int, offset: int) -> bytes:
            return bytes(real(descriptor, min(size, most), offset))

        def write(descriptor: int, data: Any, *offset: int) -> int:
            return int(real(descriptor, memoryview(data)[:most], *offset))

        return read if name == "pread" else write

    with patched(("write", "pwrite", "pread"), make):
        yield
