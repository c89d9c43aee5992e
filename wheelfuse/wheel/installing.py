"""What some installers refuse, or do otherwise than others, although the wheel says nothing untrue.

Sources: PEP 427 ("The .data directory"), the entry points specification, and what installer, pip and uv do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from wheelfuse.errors import InvalidInput

SCHEMES = ("data", "headers", "platlib", "purelib", "scripts")
"""The directories of ``.data``."""

_SCRIPTS = ("console_scripts", "gui_scripts")
_CALLABLE = re.compile(r"[\w.-]+ *: *[\w.-]+ *(?:\[.*\] *)?")


def misplaced(paths: Iterable[str], dist_info: str) -> Iterator[str]:
    """The files of a ``.data`` directory that is not this wheel's, or of none of the directories that it has:
    one installer refuses them, another takes them for files of the package."""
    data = f"{dist_info.removesuffix('.dist-info')}.data"
    for path in paths:
        top, *directories = path.split("/")[:-1] or [""]
        if top.endswith(".data") and (top != data or not {*directories[:1]} & {*SCHEMES}):
            yield path


def parse_scripts(content: bytes) -> frozenset[str]:
    """The names of the programs that ``entry_points.txt`` asks for.

    Raises:
        InvalidInput: it is not UTF-8 or no INI file, has lines that end otherwise than by LF or CRLF, a name is a path,
            or what a program is to call is nothing that can be called.
    """
    from configparser import ConfigParser, Error  # few wheels have entry points

    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        text = content.decode().replace("\r\n", "\n")
        if text and text.splitlines() != text.removesuffix("\n").split("\n"):
            raise InvalidInput("control characters that some installers take for the end of a line")
        parser.read_string(text, "entry_points.txt")
    except (UnicodeDecodeError, Error) as error:
        raise InvalidInput(f"installers cannot read it: {' '.join(str(error).split())[:200]}") from error
    found = {name: value for group in _SCRIPTS if group in parser for name, value in parser.items(group)}
    for name, value in found.items():
        if "/" in name or "\\" in name or name in ("", ".", ".."):
            raise InvalidInput(f"{name[:100]!r} is no name of a program")
        if not _CALLABLE.fullmatch(value):
            raise InvalidInput(f"{name} is to call {value[:100]!r}, which is not 'module:function'")
    return frozenset(found)


def symlink_escapes(path: str, destination: str) -> bool:
    """Whether a symbolic link at *path* in a wheel may point out of the tree that the wheel installs.

    Each directory of a scheme (``pkg-1.0.data/scripts``) is installed by itself, to a place of its own. After
    another name ``..`` is not followed: that name may be a link itself.
    """
    directories = PurePosixPath(path).parent.parts
    if directories and directories[0].endswith(".data"):
        directories = directories[2:]
    ups = [part == ".." for part in PurePosixPath(destination).parts]
    upward = ups.index(False) if False in ups else len(ups)
    return destination.startswith("/") or upward > len(directories) or any(ups[upward:])
