"""What some installers refuse, or do otherwise than others, although the wheel says nothing untrue.

Sources: PEP 427 ("The .data directory"), the entry points specification, and what installer, pip and uv do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.directory import also_directories

if TYPE_CHECKING:
    from configparser import ConfigParser

SCHEMES = ("data", "headers", "platlib", "purelib", "scripts")
"""The directories of ``.data``."""

_SCRIPTS = ("console_scripts", "gui_scripts")
_CALLABLE = re.compile(r"[\w.-]+ *: *[\w.-]+ *(?:\[.*\] *)?")
_RESERVED = re.compile(r"pythonw?[0-9.]*t?(\.exe)?", re.IGNORECASE | re.ASCII)
"""Programs that are the interpreter's own."""
_SITE_PACKAGES = re.compile(r"lib/python3\.\d+t?/site-packages/")
_LARGEST, _MOST = 1 << 20, 10_000
"""Bytes and lines of ``entry_points.txt``; the largest that are known have some tens of thousands, and a thousand."""
_LONGEST = 100
"""Letters of a program's name: with ``.exe`` or ``-script.pyw`` after it, every file system takes it."""


def disagreements(
    files: Iterable[str], directories: Iterable[str], dist_info: str, programs: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """What not all installers install, or not alike: the reason, and the path.

    *programs* are those that ``entry_points.txt`` asks for.
    """
    data = f"{dist_info.removesuffix('.dist-info')}.data"
    places: dict[str, str] = {}
    for program in programs:
        places[_place(f"{data}/scripts/{program}", data)] = f"the program of {dist_info}/entry_points.txt"
    for path in files:
        if reason := _misplaced(path, data):
            yield reason, path
            continue
        place = _place(path, data)
        if (other := places.setdefault(place, path)) != path:
            yield f"installed where {other} is, too; installers disagree on which one counts", path
    for directory in directories:
        if directory.count("/") and (reason := _misplaced(f"{directory}/", data)):
            yield reason, f"{directory}/"
    for place in also_directories(places, places):
        yield "installed where the directory of other files is", places[place]


def _misplaced(path: str, data: str) -> str:
    """Why a file or directory (that ends with a slash) of ``.data`` is none that all installers know; or nothing."""
    top, *directories = path.split("/")[:-1] or [""]
    if not top.endswith(".data"):
        return ""
    if top != data or not {*directories[:1]} & {*SCHEMES}:
        return f"installers know {data} and no other, with {', '.join(SCHEMES)} in it"
    if directories[0] == "scripts" and len(directories) > 1:
        return "a directory in that of the scripts, which uv refuses"
    if directories[0] == "scripts" and _RESERVED.fullmatch(path.rpartition("/")[2]):
        return "a script of the interpreter's name, which uv refuses"
    return ""


def _place(path: str, data: str) -> str:
    """Where installers put a file, in a layout that stands for all that they have."""
    if not path.startswith(f"{data}/"):
        return f"site/{path}"
    scheme, _, rest = path.removeprefix(f"{data}/").partition("/")
    if scheme in ("purelib", "platlib"):
        return f"site/{rest}"
    if scheme == "scripts":
        return f"prefix/bin/{rest}"
    if scheme == "data" and (found := _SITE_PACKAGES.match(rest)):
        return f"site/{rest[found.end() :]}"
    return f"prefix/{rest}" if scheme == "data" else f"{scheme}/{rest}"


def parse_scripts(content: bytes) -> frozenset[str]:
    """The names of the programs that ``entry_points.txt`` asks for.

    Raises:
        InvalidInput: it is not UTF-8 or no INI file, is enormous, has lines that end otherwise than by LF or CRLF, a
            name is not one of a program, comes twice, or what a program is to call is nothing that can be called.
    """
    if len(content) > _LARGEST or (lines := content.count(b"\n")) > _MOST:
        size = f"{len(content)} bytes" if len(content) > _LARGEST else f"{lines} lines"
        raise InvalidInput(f"{size}, where at most {_LARGEST} bytes in {_MOST} lines make sense")
    parser = _parser(content)
    pairs = [pair for group in _SCRIPTS if group in parser for pair in parser.items(group)]
    for name, value in pairs:
        if "/" in name or "\\" in name or name in ("", ".", "..") or len(name) > _LONGEST:
            raise InvalidInput(f"{name[:100]!r} is no name of a program")
        if _RESERVED.fullmatch(name):
            raise InvalidInput(f"{name} is a program of the interpreter's own, and uv refuses it")
        if not _CALLABLE.fullmatch(value):
            raise InvalidInput(f"{name} is to call {value[:100]!r}, which is not 'module:function'")
    names = frozenset(name for name, _ in pairs)
    if len(names) != len(pairs):
        raise InvalidInput(
            "a program both of the console and with windows; installers disagree on which counts"
        )
    return names


def _parser(content: bytes) -> ConfigParser:
    from configparser import ConfigParser, Error  # few wheels have entry points

    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        text = content.decode().replace("\r\n", "\n")
        if text and text.splitlines() != text.removesuffix("\n").split("\n"):
            raise InvalidInput("control characters that some installers take for the end of a line")
        parser.read_string(text, "entry_points.txt")
    except (UnicodeDecodeError, Error) as error:
        raise InvalidInput(
            f"installers cannot read it: {' '.join(str(error)[:1000].split())[:200]}"
        ) from error
    if "DEFAULT" in parser:
        raise InvalidInput(
            "a group named DEFAULT, whose entries some installers take for those of all groups"
        )
    return parser


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
