"""What went wrong in a build, in one line, concluded from what compilers and installers print. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

_Line = Callable[["re.Match[str]"], str]

_SIGNS: tuple[tuple[str, _Line], ...] = (
    (r"No space left on device|Disk quota exceeded", lambda m: f"the disk is full ({m[0]})"),
    (r"File size limit exceeded|File too large", lambda m: f"a file became too large ({m[0]})"),
    (
        r"(?:fatal error|error): Killed signal terminated program (\w+)"
        r"|\b(?:g\+\+|gcc|c\+\+|cc|clang|nvcc).*: Killed\b",
        lambda m: "the compiler was killed: memory may have run out, so try fewer --jobs",
    ),
    (r"^(\S+?:\d+)(?::\d+)?: fatal error: (\S+): No such file", lambda m: f"header {m[2]} is missing ({m[1]})"),
    (r"^(\S+?:\d+)(?::\d+)?: fatal error: '(\S+)' file not found", lambda m: f"header {m[2]} is missing ({m[1]})"),
    (
        r"^(\S+?)\((\d+)\): (?:fatal |catastrophic )?error.*: cannot open source file \"([^\"]+)\"",
        lambda m: f"header {m[3]} is missing ({m[1]}:{m[2]})",
    ),
    (r"^(\S+?:\d+(?::\d+)?): (?:fatal )?error: (.+)", lambda m: f"compile error: {m[1]}: {m[2]}"),
    (r"^(\S+?)\((\d+)\): (?:fatal |catastrophic )?error[^:]*: (.+)", lambda m: f"compile error: {m[1]}:{m[2]}: {m[3]}"),
    (r"cannot find (-l[^\s:]+)", lambda m: f"library {m[1]} is missing"),
    (r"undefined reference to [`'‘](.+?)['’]", lambda m: f"undefined symbol {m[1]} when linking"),
    (r"^CMake Error at (\S+) .*:\n+ *(.+)", lambda m: f"CMake: {m[2]} ({m[1]})"),
    (r"Backend '([^']+)' is not available", lambda m: f"build backend {m[1]} is not installed: see its requires"),
    (
        r"ModuleNotFoundError: No module named '([^']+)'",
        lambda m: f"needs the module {m[1]} while it builds, which [build-system] requires does not bring",
    ),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.MULTILINE), told) for pattern, told in _SIGNS)


def diagnosis(output: str) -> str:
    """The cause of a failed build, if its *output* shows one that is known; else empty."""
    for pattern, told in _COMPILED:
        if match := pattern.search(output):
            return told(match)
    return ""
