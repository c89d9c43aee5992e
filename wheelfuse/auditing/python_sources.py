"""Whether the Python code of a wheel opens libraries by itself, so that one may be loaded before it is needed."""

from __future__ import annotations

import re

_OPENING = re.compile(
    rb"\b[Cc]DLL\b|\b[Pp]yDLL\b|\bcdll\b|LoadLibrary|load_library|\bdlopen\b|\bRTLD_|setdlopenflags"
)
_PARTS = (b"CDLL", b"cDLL", b"yDLL", b"cdll", b"LoadLibrary", b"load_library", b"dlopen", b"RTLD_")
"""At least one of these is in all that opens a library, and they are found faster than that is."""
_GLOBAL = b"RTLD_GLOBAL"
_GLOBALLY = re.compile(rb"DLL\(|RTLD_GLOBAL|[;\n]")
_APART = 160  # bytes, at most, between the two within one statement
_LONGEST = 192  # bytes of what is looked for


class PythonSources:
    """Whether Python code that is fed to it opens shared libraries by itself (ctypes, cffi), or changes how import
    opens modules.

    If none in a wheel does, only other modules can have loaded a library before a module needs it.
    """

    def __init__(self) -> None:
        self.open_libraries = False
        self.open_globally = False
        self._end = b""

    def update(self, chunk: bytes) -> None:
        """Take the next part of a file; nothing is looked for that is longer than what is kept of the last one."""
        text = self._end + chunk
        if any(part in text for part in _PARTS):
            self.open_libraries = self.open_libraries or _OPENING.search(text) is not None
            self.open_globally = self.open_globally or _opens_globally(text)
        self._end = text[-_LONGEST:]


def _opens_globally(text: bytes) -> bool:
    """Whether a statement calls what ends in ``DLL``, and names RTLD_GLOBAL shortly after."""
    if _GLOBAL not in text:
        return False
    called = None
    for match in _GLOBALLY.finditer(text):
        if match[0] == b"DLL(":
            called = match.end()
        elif match[0] != _GLOBAL:
            called = None
        elif called is not None and match.start() - called <= _APART:
            return True
    return False
