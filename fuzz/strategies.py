"""Strategies that build wheels structurally, and break them.

A `Draft` is a wheel before it is bytes. Some changes keep its statements about itself true (RECORD is written after
them): what comes out should be accepted, or refused for what it is. Others make it contradict itself.
"""

from __future__ import annotations

import copy
import json
import stat
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import Any

from hypothesis import strategies as st

from fuzz.breaking import VALUES, broken_bytes, mostly
from fuzz.bundle import Bundle
from fuzz.seeds import SEEDS
from tests.wheel.zips import Entry, zip_bytes
from tests.wheels import PLATFORM, digest, metadata
from wheelfuse.target import Target

TARGETS = tuple(map(Target.parse, ("cp310", "cp311", "cp312", "cp313", "cp313t", "cp314", "cp314t")))
REGULAR, LINK = stat.S_IFREG, stat.S_IFLNK
Number = tuple[int, int, int]
"""What decides about one change: which one, and two numbers that say where and how."""

NAMES = ("/etc/a", "../a", "pkg/../../a", "pkg/./a", "pkg//a", "", "/", ".", "..", "C:/a", "C:a", "pkg\\a",
         "pkg/a\0.py", "pkg/\x1b[2J.py", "pkg/a\n.py", "pkg/\u202ea.py", "pkg/e\u0301.py", "pkg/\u00e9.py",
         "PKG/__init__.py", "pkg/__INIT__.py", "pkg/CON", "pkg/nul.txt", "pkg/a ", "pkg/a.", "pkg/a,b",
         'pkg/"a"', "pkg/" + "a" * 300, "a/" * 200 + "a", "pkg/__init__.py/a", "pkg/d/",
         "pkg-1.0.data/scripts/tool", "pkg-1.0.data/purelib/pkg/x.py", "pkg-1.0.data/data/etc/x",
         "pkg-1.0.data/headers/x.h", "pkg-1.0.data/platlib/pkg/y.py", "pkg-1.0.data/odd/x",
         "pkg-1.0.data/x", "other-1.0.data/purelib/x", "Pkg-1.0.data/scripts/x", "pkg.data/a.py",
         "other-1.0.dist-info/METADATA", "pkg-1.0.dist-info/entry_points.txt",
         "pkg-1.0.dist-info/RECORD.jws", "pkg-1.0.dist-info/licenses/x", "Pkg-1.0.dist-info/WHEEL",
         "pkg-1.0.dist-info/INSTALLER", "pkg-1.0.dist-info/REQUESTED", "pkg-1.0.dist-info/direct_url.json",
         "__pycache__/a.cpython-312.pyc", "x.pth", "pkg/-rf", "~", "pkg/%2e%2e/a", "pkg/\ufeff",
         "pkg/\U0001f600.py", "pkg/_native.cpython-312-x86_64-linux-gnu.so", "pkg/_native.abi3.so",
         "pkg.libs/libbound.so.1")  # fmt: skip
MODES = (0, REGULAR | 0o644, REGULAR | 0o755, REGULAR | 0o600, REGULAR, REGULAR | 0o4755, REGULAR | 0o777,
         LINK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO, stat.S_IFCHR, 0o644, 0o111, 0xFFFF)  # fmt: skip
LINKS = (
    b"a.py",
    b"../a",
    b"/etc/passwd",
    b"../../x",
    b"",
    b"\0",
    b"\xff",
    b"x" * 5000,
    b"__init__.py",
    b"../pkg/a.py",
)
LINES = ("", " ", "x", "Name: other", "Name: pkg", "Version: 2", "Requires-Python: >=3.12",
         "Requires-Python: junk", "Requires-Python: >=3.8,<4", "Requires-Dist: a>=1",
         "Requires-Dist: b; extra == 'x'", "Requires-Dist: ((", "Provides-Extra: x",
         "Requires-Dist: torch; os_name ~= 'x'", "Requires-Dist: torch; 'a' == 'b'",
         "Requires-Dist: torch>=" + "9" * 5000, "Requires-Dist: torch; python_version > '" + "9" * 5000 + "'",
         "Requires-Dist: a; os_name == 'a\" or os_name != \"b'", "Metadata-Version: " + "9" * 5000 + ".1",
         "Requires-Dist: torch " + "!=1.*," * 20_000 + "<9",
         "Metadata-Version: 9.9", "Metadata-Version: 2.4", "Summary: a\n b", "Summary: a\n\n b",
         "Summary: \x1b[31m", "Dynamic: license-file", "License-File: x", "Description: x",
         "Tag: py3-none-any", "Tag: cp312", "Tag: cp310-cp310-linux_x86_64", "Wheel-Version: 2.0",
         "Wheel-Version: 1.9", "Build: 1", "Root-Is-Purelib: true", "Generator: \u202ex", "Classifier: x",
         "Project-URL: a, b", "Author: é", "Import-Name: pkg", "Requires-External: x", "[console_scripts]",
         "[gui_scripts]", "[other]", "script = pkg:f", "tool = pkg", "../x = pkg:f", "a/b = pkg:f",
         "x y = pkg:f", "tool = pkg : f [x]", "tool = pkg:f:g", "%s = %(x)s:f", "[", "tool: pkg:f",
         " tool = pkg:f", "# x", "= pkg:f", "tool =", "TOOL = pkg:f", "other.exe = pkg:f")  # fmt: skip
ROWS = ("", "x", "a,b", "a,b,c,d", '"', "pkg/missing.py,,", "pkg/__init__.py,,",
        "pkg-1.0.dist-info/RECORD,sha256=a,1", "pkg-1.0.dist-info/RECORD,,", "../a,,", "\0,,",
        "pkg/a.py,md5=x,1", "pkg/a.py,sha256=,", ",,", "é,,")  # fmt: skip
FILES = ("pkg-1.0-py3-none-any.whl", "pkg-1.0-cp312-abi3-linux_x86_64.whl",
         "pkg-1.0-1-cp312-cp312-linux_x86_64.whl", "pkg-1.0-cp312-cp312-win_amd64.whl", "pkg-1.0.whl",
         "x.zip", "Pkg-1.0-cp312-cp312-any.whl", "pkg-1.0.0-cp312-cp312-linux_x86_64.whl",
         "pkg-2-cp312-cp312-linux_x86_64.whl", "pkg-1.0-cp312.cp313-cp312.cp313-linux_x86_64.whl",
         "pkg-1.0-cp312-cp312-musllinux_1_2_x86_64.whl",
         "pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
         "pkg-1.0-1a-cp310-cp310-any.whl")  # fmt: skip
EXTRAS = (b"", b"\1\0\x10\0" + bytes(16), b"\1\0\x10\0" + b"\xff" * 16, b"up\4\0abcd", b"wf\2\0{}", b"xx",
          b"\1\0\xff\xff", b"\1\0\0\0", b"UT\5\0\3abcd", b"\1\0\x08\0" + bytes(8),
          b"up\x10\0\1" + bytes(4) + b"pkg/evil.py")  # fmt: skip
FIELDS = ("version", "flags", "method", "time", "date", "crc", "compressed", "size")
CENTRAL = (*FIELDS, "system", "attributes", "offset", "name", "extra")
FLAGS = (1, 2, 4, 8, 0x10, 0x20, 0x40, 0x800, 0x2000, 0x808)
METHODS = (0, 8, 9, 12, 14, 93, 99)
_WIDTHS = {"crc": 4, "compressed": 4, "size": 4, "attributes": 4, "offset": 4, "system": 1}


@dataclass
class Draft:
    """A wheel to be: its file name, its members but RECORD, its rows of RECORD, and how the zip file is laid out."""

    name: str
    entries: list[Entry]
    info: str = "pkg-1.0.dist-info"
    rows: list[str] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    bytes_changed: list[tuple[str, int, int, int]] = field(default_factory=list)

    def at(self, number: int) -> int:
        """The index of an entry."""
        return number % len(self.entries)

    def to_bytes(self) -> bytes:
        """The wheel file."""
        return broken_bytes(zip_bytes(self.entries, **self.layout), self.bytes_changed)


def written(draft: Draft, sound: Sequence[Number], unsound: Sequence[Number]) -> tuple[str, bytes]:
    """The file name and the bytes of a draft after changes."""
    for kind, one, two in sound:
        SOUND[kind % len(SOUND)](draft, one, two)
    draft.rows = [
        f"{_cell(e.name)},{digest(e.content)},{len(e.content)}" for e in draft.entries if e.name[-1:] != "/"
    ]
    draft.rows.append(f"{draft.info}/RECORD,,")
    record = Entry(f"{draft.info}/RECORD")
    draft.entries.append(record)
    for kind, one, two in unsound:
        UNSOUND[kind % len(UNSOUND)](draft, one, two)
    content = "".join(f"{row}\n" for row in draft.rows).encode("utf-8", "surrogateescape")
    draft.entries = [replace(e, content=content) if e is record else e for e in draft.entries]
    return draft.name, draft.to_bytes()


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


# --- Changes after which the wheel still tells the truth of itself.


def _another(draft: Draft, one: int, two: int) -> None:
    name = NAMES[one % len(NAMES)]
    if name.isascii() or two % 3:
        draft.entries.insert(
            draft.at(two), Entry(name, b"x = 1\n" if two % 2 else b"", deflated=bool(two % 5 == 1))
        )


def _mode(draft: Draft, one: int, two: int) -> None:
    at = draft.at(one)
    draft.entries[at] = replace(draft.entries[at], mode=MODES[two % len(MODES)])


def _link(draft: Draft, one: int, two: int) -> None:
    draft.entries.append(Entry(f"pkg/link{one % 3}", LINKS[two % len(LINKS)], LINK | 0o777))


def _line(draft: Draft, one: int, two: int) -> None:
    """A line more in METADATA, WHEEL or entry_points.txt, or one less."""
    at = next(
        (
            i
            for i, e in enumerate(draft.entries)
            if e.name.endswith(("METADATA", "WHEEL", "entry_points.txt")[one % 3])
        ),
        0,
    )
    lines = draft.entries[at].content.decode("utf-8", "replace").split("\n")
    place = (one >> 8) % (len(lines) + 1)
    lines[place : place + two % 2] = [LINES[(two >> 1) % len(LINES)]]
    newline = ("\n", "\n", "\n", "\r\n", "\r")[(one >> 4) % 5]
    draft.entries[at] = replace(draft.entries[at], content=newline.join(lines).encode("utf-8", "replace"))


def _content(draft: Draft, one: int, two: int) -> None:
    at = draft.at(one)
    content = broken_bytes(
        draft.entries[at].content, [(("bytes", "cut", "insert")[two % 3], one >> 5, two, two % 300)]
    )
    draft.entries[at] = replace(draft.entries[at], content=content)


def _deflate(draft: Draft, one: int, two: int) -> None:
    at = draft.at(one)
    entry = draft.entries[at]
    descriptor = struct.pack(
        "<4sIII", b"PK\7\10", zlib.crc32(entry.content), len(entry.data), len(entry.content)
    )
    draft.entries[at] = replace(
        entry,
        deflated=not entry.deflated,
        descriptor=None if two % 4 or entry.deflated else descriptor[4 * (two % 3 > 1) :],
    )


def _order(draft: Draft, one: int, two: int) -> None:
    draft.entries.insert(draft.at(two), draft.entries.pop(draft.at(one)))


def _comment(draft: Draft, one: int, two: int) -> None:
    draft.layout["comment"] = (b"x", b"PK\5\6" + bytes(18), bytes(40), b"\xff" * 300)[one % 4]


def _drop(draft: Draft, one: int, two: int) -> None:
    if len(draft.entries) > 1:
        del draft.entries[draft.at(one)]


def _big(draft: Draft, one: int, two: int) -> None:
    size = (1 << 12, 1 << 16, 1 << 17, 1 << 20)[one % 4]
    draft.entries.append(Entry(f"pkg/zeros{two % 2}", bytes(size), deflated=True))


SOUND: tuple[Callable[[Draft, int, int], None], ...] = (
    _another, _another, _another, _mode, _mode, _link, _line, _line, _line, _content, _deflate,
    _deflate, _order, _comment, _drop, _big,
)  # fmt: skip


# --- Changes that make a wheel contradict itself, or its parts each other.


def _value(name: str, two: int) -> int | bytes:
    if name == "name":
        return NAMES[two % len(NAMES)].encode("utf-8", "replace") if two % 4 else b"pkg/\xff\xfe.py"
    if name == "extra":
        return EXTRAS[two % len(EXTRAS)]
    if name == "flags":
        return FLAGS[two % len(FLAGS)]
    if name == "method":
        return METHODS[two % len(METHODS)]
    if name == "attributes":
        return MODES[two % len(MODES)] << 16 | (two >> 8) % 64
    value = VALUES[two % len(VALUES)] if two % 3 else two
    return int(value) % (1 << 8 * _WIDTHS.get(name, 2))


def _field(draft: Draft, one: int, two: int) -> None:
    """A field of a local header, of a central one, or of both."""
    at, which = draft.at(one), (one >> 8) % 4
    name = ((*FIELDS, "extra", "name") if which != 1 else CENTRAL)[
        (one >> 10) % (10 if which != 1 else len(CENTRAL))
    ]
    change = {name: _value(name, two)}
    entry = draft.entries[at]
    if which != 1:
        entry = replace(entry, local={**entry.local, **change})
    if which != 0:
        entry = replace(entry, central={**entry.central, **change})
    draft.entries[at] = entry


def _twice(draft: Draft, one: int, two: int) -> None:
    draft.entries.insert(draft.at(two), draft.entries[draft.at(one)])


def _row(draft: Draft, one: int, two: int) -> None:
    at = one % len(draft.rows)
    match two % 4:
        case 0:
            draft.rows[at] = ROWS[(two >> 2) % len(ROWS)]
        case 1:
            draft.rows.insert(at, ROWS[(two >> 2) % len(ROWS)])
        case 2:
            del draft.rows[at]
            draft.rows.append("")
        case _:
            changed = broken_bytes(
                draft.rows[at].encode("utf-8", "surrogateescape"), [("bytes", two >> 2, 0, two % 256)]
            )
            draft.rows[at] = changed.decode("utf-8", "surrogateescape")


def _layout(draft: Draft, one: int, two: int) -> None:
    name = ("prefix", "gap", "before_end", "count", "shift")[one % 5]
    junk = (b"x", bytes(4), b"PK\3\4", b"PK\5\6" + bytes(18), b"PK\6\7" + bytes(16), b"PK\1\2" + bytes(42))[
        two % 6
    ]
    draft.layout[name] = {"count": VALUES[two % len(VALUES)] & 0xFFFF, "shift": two % 5}.get(name, junk)


def _zip64(draft: Draft, one: int, two: int) -> None:
    """End records of zip64, true ones or not quite."""
    body = zip_bytes(draft.entries, **{**draft.layout, "before_end": b""})
    end = body.rindex(b"PK\5\6")
    count, _, size, start = struct.unpack_from("<HHII", body, end + 8)
    lie = [0, 0, 0, 0]
    if one % 3:
        lie[one % 4] = two % 7 - 3
    count = (count + lie[0]) % (1 << 64)
    sizes = (size + lie[1]) % (1 << 64), (start + lie[2]) % (1 << 64)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, *sizes)
    draft.layout["before_end"] = record + struct.pack("<4sIQI", b"PK\6\7", 0, max(end + lie[3], 0), 1)


def _bytes(draft: Draft, one: int, two: int) -> None:
    kinds = ("bytes", "flip", "cut", "insert", "repeat", "move", "truncate", "zeros")
    draft.bytes_changed.append((kinds[one % len(kinds)], one >> 3, two, two & 0xFFFF))


def _file_name(draft: Draft, one: int, two: int) -> None:
    draft.name = FILES[one % len(FILES)]


def _stream(draft: Draft, one: int, two: int) -> None:
    """Compressed data that is not what a compressor would write."""
    at = draft.at(one)
    entry = draft.entries[at]
    if not entry.deflated and entry.content:
        data = replace(entry, deflated=True).data
        data = (
            data + b"x",
            data[:-1],
            data + data,
            broken_bytes(data, [("flip", two >> 3, two, 0)]),
            b"\3\0" + data,
        )[two % 5]
        sizes = {
            "method": 8,
            "compressed": len(data),
            "size": len(entry.content),
            "crc": zlib.crc32(entry.content),
        }
        draft.entries[at] = replace(entry, content=data, local=sizes, central=sizes)


UNSOUND: tuple[Callable[[Draft, int, int], None], ...] = (
    _field, _field, _field, _twice, _row, _row, _layout, _zip64, _bytes, _bytes, _bytes, _file_name, _stream,
)  # fmt: skip


# --- Wheels of one release, and what they differ in.


@cache
def _shared(name: str) -> bytes:
    return (SEEDS / name).read_bytes()


def _text(path: str) -> Callable[[Target, int], dict[str, bytes]]:
    return lambda target, choice: {path: f"value = {choice}\ndef f():\n    return __name__\n".encode()}


def _module(target: Target, choice: int) -> dict[str, bytes]:
    return {f"pkg/_native.{target.soabi_tag}-x86_64-linux-gnu.so": _shared("module.so")}


def _plain(target: Target, choice: int) -> dict[str, bytes]:
    return {
        "pkg/_native.so": _shared("module.so")
        if choice % 2
        else _shared("module.so").replace(b"cp312", b"cp311")
    }


def _libraries(target: Target, choice: int) -> dict[str, bytes]:
    data = _shared("library.so")
    return {
        "pkg.libs/libbound.so.1": data,
        "pkg.libs/libother.so.1": data.replace(b"libbound.so.1", b"libother.so.1"),
    }


def _device(target: Target, choice: int) -> dict[str, bytes]:
    return {f"pkg/_kernels.{target.soabi_tag}-x86_64-linux-gnu.so": _shared("device.so")}


def _entry_points(target: Target, choice: int) -> dict[str, bytes]:
    extra = f"tool{target.minor} = pkg:f\n" if choice else ""
    return {"pkg-1.0.dist-info/entry_points.txt": f"[console_scripts]\ntool = pkg:f\n{extra}".encode()}


def _data(target: Target, choice: int) -> dict[str, bytes]:
    return {"pkg/data/a.bin": bytes([0xFE, choice])}


def _top_level(target: Target, choice: int) -> dict[str, bytes]:
    return {"pkg-1.0.dist-info/top_level.txt": (b"pkg\n", b"pkg\n_pkg\n", b"")[choice]}


def _sbom(target: Target, choice: int) -> dict[str, bytes]:
    return {"pkg-1.0.dist-info/sboms/pkg.cdx.json": f'{{"serial": {choice}}}\n'.encode()}


def _scripts(target: Target, choice: int) -> dict[str, bytes]:
    return {"pkg-1.0.data/scripts/script": b"#!python\nprint(1)\n" + b"#" * choice}


FEATURES: Mapping[str, Callable[[Target, int], dict[str, bytes]]] = {
    "init": _text("pkg/__init__.py"), "main": _text("pkg/sub/__main__.py"), "module": _module, "plain": _plain,
    "libraries": _libraries, "device": _device, "entry points": _entry_points, "data": _data, "top level": _top_level,
    "sbom": _sbom, "scripts": _scripts,
}  # fmt: skip
_CHEAP = tuple(feature for feature in FEATURES if feature not in ("device",))


REQUIRES = (
    (),
    ("a>=1",),
    ("a>=1", "b<3; sys_platform == 'linux'"),
    ("a; os_name ~= 'x'",),
    ("a>=1; 'x' == 'y'", "b"),
    ("a; os_name == 'a\" or os_name != \"b'",),
    ("a; extra == 'x' or os_name == 'nt'", "a>=2; python_version<'3'"),
)
"""What wheels of one release may require."""


def draft(target: Target, features: Mapping[str, int], requires: int = 0, packed: int = 0) -> Draft:
    """A sound wheel."""
    tag = f"{target.python_tag}-{target}-{PLATFORM}"
    files = {"pkg/always.py": b"x = 0\n"}
    for feature, choice in features.items():
        files |= FEATURES[feature](target, choice)
    extra = "\n".join(f"Requires-Dist: {text}" for text in REQUIRES[requires])
    files["pkg-1.0.dist-info/METADATA"] = metadata(extra=extra).encode()
    text = f"Wheel-Version: 1.0\nGenerator: fuzz\nRoot-Is-Purelib: false\nTag: {tag}\n"
    files["pkg-1.0.dist-info/WHEEL"] = text.encode()
    entries = [
        Entry(name, data, deflated=bool(packed >> index % 8 & 1))
        for index, (name, data) in enumerate(files.items())
    ]
    return Draft(f"pkg-1.0-{tag}.whl", entries)


_NUMBERS = st.tuples(st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
_sound = st.lists(_NUMBERS, max_size=2)
_unsound = mostly(st.lists(_NUMBERS, min_size=1, max_size=2), st.just([]), 2)
_features = st.dictionaries(st.sampled_from(_CHEAP), st.integers(0, 2), max_size=4)


def _one(
    target: Target, features: dict[str, int], packed: int, sound: list[Number], unsound: list[Number]
) -> tuple[str, bytes]:
    return written(draft(target, features, packed=packed), sound, unsound)


def wheels(*targets: Target) -> st.SearchStrategy[tuple[str, bytes]]:
    """The file name and the content of one wheel."""
    return st.builds(
        _one, st.sampled_from(targets or TARGETS), _features, st.integers(0, 255), _sound, _unsound
    )


_RESOLVE = (
    (),
    ("pkg/**=newest",),
    ("**=rename",),
    ("pkg/**=dispatch",),
    ("**=keep",),
    ("**=drop",),
    ("pkg/data/*=cp312",),
)


def _matrix(
    targets: list[Target], features: list[str], choices: list[int],
    changes: list[tuple[int, list[Number], list[Number]]], options: tuple[int, bool, bool, int],
) -> bytes:  # fmt: skip
    files = []
    for number, target in enumerate(sorted(targets)):
        chosen = {f: choices[(number * 3 + i) % len(choices)] for i, f in enumerate(dict.fromkeys(features))}
        requires = 0
        if options[3]:  # one Python version has one METADATA
            requires = (choices[target.minor % len(choices)] + options[3] - 1) % len(REQUIRES)
        one = draft(target, chosen, requires, 0xFF if options[0] % 2 else 0)
        mine = [change for at, change, _ in changes if at % len(targets) == number or at >= 6]
        bad = [change for at, _, change in changes if at % len(targets) == number]
        files.append(written(one, list(chain(*mine)), list(chain(*bad))))
    resolve, share, strip, _ = options
    given = {
        "resolve": _RESOLVE[resolve % len(_RESOLVE)],
        "share": share,
        "strip": strip,
        "expect": sorted(map(str, targets)),
    }
    return Bundle(files, given).to_bytes()


def matrices() -> st.SearchStrategy[bytes]:
    """The wheels of a build matrix, some of them changed, with options of a merge; as a `Bundle`."""
    change = st.tuples(
        st.integers(0, 8),
        st.lists(_NUMBERS, max_size=2),
        mostly(st.just([]), st.lists(_NUMBERS, min_size=1, max_size=1), 3),
    )
    return st.builds(
        _matrix, st.lists(st.sampled_from(TARGETS), min_size=2, max_size=3, unique=True),
        st.lists(st.sampled_from((*_CHEAP, "device")), max_size=4), st.lists(st.integers(0, 2), min_size=1, max_size=5),
        st.lists(change, max_size=2),
        st.tuples(st.integers(0, 27), st.booleans(), st.booleans(), st.integers(0, len(REQUIRES))),
    )  # fmt: skip


# --- JSON with other values in it.

JUNK: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 1e308, "", "x", "../a", "/",
                         "\0", "pkg/a.py", [], {}, [0], [[]], ["keep", 0, 5], ["borrow", 0, 1 << 40],
                         ["zeros", 1 << 40], ["literal", "eA=="], {"a": 1}, "cp312", "cp3" + "9" * 99,
                         "pkg-1.0.dist-info", "a" * 64, "\ud800", 0o120777, 0o100755)  # fmt: skip


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a document."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _nodes(item, (*path, key))
    return found


def broken_json(content: bytes, changes: Sequence[Number]) -> bytes:
    """A JSON document with some values replaced, removed, repeated, or swapped for others of it."""
    document = json.loads(content)
    for kind, one, two in changes:
        nodes = [path for path in _nodes(document) if path]
        if not nodes:
            break
        *above, key = nodes[one % len(nodes)]
        parent = _find(document, above)
        match kind % 6:
            case 0 if isinstance(parent, dict):
                parent[str(JUNK[two % len(JUNK)])[:99]] = parent.pop(key)
            case 1:
                del parent[key]
            case 2 if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[key]))
            case 3:
                parent[key] = copy.deepcopy(_find(document, nodes[two % len(nodes)]))
            case 4 if isinstance(parent[key], int | str):
                old = parent[key]
                parent[key] = old + two % 5 - 2 if isinstance(old, int) else old[: two % (len(old) + 1)]
            case _:
                parent[key] = copy.deepcopy(JUNK[two % len(JUNK)])
    return json.dumps(document, ensure_ascii=bool(len(changes) % 2)).encode("utf-8", "surrogatepass")


def _find(document: Any, path: Sequence[Any]) -> Any:
    for key in path:
        document = document[key]
    return document


JSON_CHANGES = st.lists(_NUMBERS, max_size=3)
