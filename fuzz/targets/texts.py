"""Targets: RECORD, METADATA alone and of two wheels, WHEEL and the file name."""

from __future__ import annotations

import csv
import io
import itertools
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

from hypothesis import strategies as st
from installer.records import InvalidRecordEntry, parse_record_file
from packaging.utils import canonicalize_name, parse_wheel_filename

from fuzz.breaking import CHANGES, broken_bytes, mostly
from fuzz.target import Target, expect
from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.reconcile.metadata import reconcile_metadata
from wheelfuse.fuse.reconcile.variant import Variant
from wheelfuse.target import Target as Python
from wheelfuse.wheel.metadata import (
    Headers,
    parse_headers,
    parse_metadata,
    parse_wheel_file,
    write_wheel_file,
)
from wheelfuse.wheel.name import Platform, WheelName, accepting, common_platforms
from wheelfuse.wheel.record import format_record, parse_record
from wheelfuse.wheel.requirements import requirements_of

_SHA = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
_ODD = ("", " ", "\t", "\0", "\r", "\n", "\r\n", '"', '""', ",", "\x0b", "\x0c", "\x1c", "\x85", "\u2028",
        "\ufeff", "é", "e\u0301", "\u202e", "\U0001f600", "=", "-", ".", "..", "/", "\\", "'", ";", ":",
        "#", "%", "\x1b[2J")  # fmt: skip
_ODD_BYTES = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0")


def _edited(text: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The text, or what is left of it after a few changes."""
    return mostly(text, st.builds(broken_bytes, text, CHANGES), 3)


def _lines(line: st.SearchStrategy[str], most: int) -> st.SearchStrategy[bytes]:
    ends = st.sampled_from(("\n",) * 20 + ("\r\n",) * 3 + ("\r", "\n\n", ""))
    pairs = st.lists(st.tuples(line, ends), max_size=most)
    return pairs.map(
        lambda pairs: "".join(text + end for text, end in pairs).encode("utf-8", "surrogatepass")
    )


def _mostly(*texts: str) -> st.SearchStrategy[str]:
    """One of these texts, or once in a while an odd one."""
    return mostly(st.sampled_from(texts), _odd, 10)


_odd = st.one_of(st.sampled_from(_ODD), st.text(max_size=6))
_paths = st.one_of(
    st.sampled_from(("pkg/a.py", "pkg/b.py", "pkg/a,b.py", 'pkg/"a".py', "pkg/é.py",
                     "pkg-1.0.dist-info/RECORD", "pkg-1.0.dist-info/WHEEL", "../a", "/a", "C:\\a", "a\\b",
                     "")),
    _odd,
)  # fmt: skip
_hashes = st.one_of(st.sampled_from((_SHA, _SHA + "=", "", "sha256=", "md5=1B2M2Y8AsgTpgAmY7PhCfg", "=",
                                     "sha256", "SHA256=x")),
                    _odd)  # fmt: skip
_sizes = st.one_of(
    st.sampled_from(("", "0", "12", "00", "-1", "+1", "1e3", " 1", "1_0", "٣", "9" * 20, "9" * 5000)), _odd
)


def _row(cells: list[str], quoted: int) -> str:
    return ",".join(f'"{cell}"' if quoted >> index & 1 else cell for index, cell in enumerate(cells))


_good_rows = st.builds(
    lambda number, size, hashed: f"pkg/{number}.py,{_SHA if hashed else ''},{size}", st.integers(0, 99),
    st.sampled_from((0, 12, "")), st.booleans(),
)  # fmt: skip
_odd_rows = st.one_of(
    st.builds(lambda *cells: _row(list(cells[:3]), cells[3]), _paths, _hashes, _sizes, st.integers(0, 7)),
    st.builds(_row, st.lists(_odd, max_size=5), st.integers(0, 31)),
)
_rows = mostly(_good_rows, _odd_rows, 5)


def records() -> st.SearchStrategy[bytes]:
    """The text of a RECORD."""
    return _edited(_lines(_rows, 6))


def check_record(data: bytes, place: Path) -> None:
    """The rows are those that the `csv` module and installer see, and survive being written."""
    entries = parse_record(data)
    text = data.decode()
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    expect([entry.path for entry in entries] == [row[0] for row in rows], "other paths than csv reads")
    expect(parse_record(format_record(entries)) == entries, "written and read again, it is another RECORD")
    try:
        theirs = [(path, size) for path, _, size in parse_record_file(text.splitlines())]
    except InvalidRecordEntry:
        return
    if "\n" not in "".join(row[0] for row in rows):
        ours = [(entry.path, str(entry.size) if entry.size >= 0 else "") for entry in entries]
        same = [(path, str(int(size)) if size else "") for path, size in theirs]
        expect(len(ours) >= len(same) or same == ours, "fewer rows than installer reads")


_names = st.one_of(
    st.sampled_from(("Metadata-Version", "Name", "Version", "Requires-Python", "Requires-Dist",
                     "Provides-Extra", "Summary", "License-File", "Dynamic", "Classifier", "Wheel-Version",
                     "Generator", "Root-Is-Purelib", "Tag", "Build", "tag", "TAG", "X-Other")),
    _odd,
)  # fmt: skip
_values = st.one_of(
    st.sampled_from(("2.1", "1.0", "1", "2.0", "1.9.9", "pkg", ">=3.10", ">=3,<4", "a>=1; extra == 'x'",
                     "true", "false", "True", "cp312-cp312-manylinux_2_17_x86_64", "py2.py3-none-any",
                     "py3-none", "a-b-c-d", "..-..-..", "cp312.cp313-cp312.cp313-linux_x86_64", "1abc",
                     "folded\n value", "folded\n\tvalue", "folded\n\n body", "9" * 5000 + ".0")),
    _odd,
)  # fmt: skip
_compared = _mostly("python_version", "python_full_version", "os_name", "extra", "platform_release", "'3.11'", "'x'",
                    '"posix"', "'a\" or os_name != \"b'", f"'{'9' * 5000}'", "extras")  # fmt: skip
_odd_comparisons = st.builds(
    "{} {} {}".format, _compared, _mostly("==", "!=", "<", ">=", "~=", "===", "in", "not in"), _compared
)
_comparisons = mostly(
    st.sampled_from(("python_version >= '3.12'", 'python_version < "3.12"', "python_version == '3.11'",
                     "'3.12' > python_version", "os_name == 'posix'", 'os_name != "posix"', "extra == 'x'",
                     "python_full_version >= '3.11.3'", "sys_platform ~= 'x'")),
    _odd_comparisons, 8,
)  # fmt: skip
_markers = st.recursive(
    _comparisons,
    lambda inner: st.builds(
        "{} {} {}".format, inner, st.sampled_from(("and", "or")), mostly(inner, inner.map("({})".format), 2)
    ),
    max_leaves=4,
)
_odd_clauses = st.sampled_from(("===a", ">=" + "9" * 5000, "!=1.*," * 12_000 + "<9"))
_clauses = mostly(
    st.lists(st.sampled_from((">=1", "<2", "!=1.*", "~=2.0", "==1.0+x")), max_size=2).map(",".join),
    _odd_clauses,
    30,
)
_requirements = st.builds(
    lambda name, clauses, marker: f"{name}{clauses}" + (f"; {marker}" if marker else ""),
    _mostly("a", "A", "b", "torch", "b[x]", "b[y,x]", "c @ https://x/y"),
    _clauses,
    mostly(_markers, st.just(""), 3),
)
_good_headers = st.builds(
    "{}: {}".format, st.sampled_from(("Name", "Version", "Summary", "Requires-Dist", "X-Other")),
    st.sampled_from(("a", "folded\n value", "b; extra == 'x'", "", " ", "é")),
)  # fmt: skip
_headers = st.builds(
    lambda name, colon, value: f"{name}{colon}{value}",
    _names, st.sampled_from((": ", ": ", ": ", ":", " : ", ":\t", ":\n ", "", "=")), _values,
)  # fmt: skip


def headers() -> st.SearchStrategy[bytes]:
    """The text of METADATA."""
    required = _requirements.map("Requires-Dist: {}".format)
    return _edited(_lines(mostly(mostly(mostly(_good_headers, required, 3), _headers, 4), _odd, 12), 8))


def check_metadata(data: bytes, place: Path) -> None:
    """Not a byte is lost, and the fields are those that installers see through `email`."""
    found = parse_headers(data)
    expect(bytes(found) == data, "bytes were lost")
    expect(found.newline in (b"\n", b"\r\n", b"\r") and found.text is not None, "no line end")
    message = BytesParser(policy=compat32).parsebytes(data)
    theirs = [(name.lower(), " ".join(str(value).split())) for name, value in message.items()]
    ours = [(header.field, " ".join(header.flat.split())) for header in found.fields]
    if data.isascii():
        expect(ours == theirs, f"email reads {theirs}, wheelfuse {ours}")
    _required(parse_metadata(data), 11)


_BETWEEN = b"\n\0\0\n"
_PLACES = tuple(itertools.product(("", "x"), ("posix", "x")))


def pairs() -> st.SearchStrategy[bytes]:
    """The METADATA of two wheels of one release."""
    version = mostly(st.sampled_from(("2.1", "2.4", "1.0")), st.just("9" * 5000 + ".1"), 20)
    requirements = st.lists(_requirements, max_size=3)
    one = st.builds(_metadata_text, version, requirements)
    usual = st.builds(
        lambda version, both, each: _BETWEEN.join(_metadata_text(version, both + own) for own in each),
        version, requirements, st.tuples(requirements, requirements),
    )  # fmt: skip
    return mostly(usual, st.builds(lambda *texts: _BETWEEN.join(texts), _edited(one), _edited(one)), 3)


def _metadata_text(version: str, requirements: list[str]) -> bytes:
    lines = ("Name: pkg", "Version: 1.0", *map("Requires-Dist: {}".format, requirements), "", "A package.\n")
    return f"Metadata-Version: {version}\n{chr(10).join(lines)}".encode("utf-8", "surrogatepass")


def check_pair(data: bytes, place: Path) -> None:
    """One METADATA that tells each Python what its own wheel told it, in whatever order they are given."""
    texts = data.partition(_BETWEEN)[::2]
    variants = [Variant((Python(minor),), text) for minor, text in zip((11, 12), texts, strict=True)]
    found = reconcile_metadata(variants)
    expect(found == reconcile_metadata(variants[::-1]), "another METADATA for another order")
    if found.content is None:
        raise InvalidInput("; ".join(found.conflicts))
    merged = parse_metadata(found.content)
    for minor, text in zip((11, 12), texts, strict=True):
        own = _required(parse_metadata(text), minor)
        expect(_required(merged, minor) == own, f"CPython 3.{minor} needs {own}, and is told another thing")


def _required(metadata: Headers, minor: int) -> set[tuple[object, ...]]:
    """What is required on a CPython, at several places; whatever can be read can be evaluated."""
    python = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.4"}
    return {
        (extra, os_name, canonicalize_name(item.name), item.specifier, item.url, frozenset(item.extras))
        for extra, os_name in _PLACES
        for item in requirements_of(metadata)
        if not item.marker or item.marker.evaluate({**python, "extra": extra, "os_name": os_name})
    }


_GOOD = (
    "Wheel-Version: 1.0",
    "Generator: x 1",
    "Root-Is-Purelib: false",
    "Tag: cp312-cp312-linux_x86_64",
    "Build: 1",
)


def _wheel_text(kept: int, more: bytes, end: str) -> bytes:
    good = "".join(line + end for index, line in enumerate(_GOOD) if kept >> index & 1).encode()
    return good + more if kept & 32 else more + good


def wheel_files() -> st.SearchStrategy[bytes]:
    """The text of WHEEL."""
    ends = st.sampled_from(("\n", "\n", "\r\n", "\r"))
    return _edited(
        st.builds(
            _wheel_text,
            mostly(st.just(31), st.integers(0, 63), 3),
            mostly(st.just(b""), _lines(_headers, 3), 2),
            ends,
        )
    )


def check_wheel_file(data: bytes, place: Path) -> None:
    """What is written of it is the same WHEEL again."""
    found = parse_wheel_file(data)
    written = write_wheel_file(found)
    again = parse_wheel_file(written)
    same = (found.wheel_version, found.root_is_purelib, found.build, found.tags)
    expect((again.wheel_version, again.root_is_purelib, again.build, again.tags) == same, "another WHEEL")
    expect(not again.unread, f"lines that nobody reads: {again.unread}")


_parts = st.one_of(
    st.sampled_from(("pkg", "Pkg.Name", "pkg_name", "1.0", "1.0+local.1", "1!2.0.dev1", "1", "2b", "cp312",
                     "cp313t", "py3", "py2.py3", "cp312.cp313", "none", "abi3", "abi3.abi3t", "any",
                     "manylinux_2_17_x86_64", "manylinux2014_x86_64.manylinux_2_17_x86_64", "linux_x86_64",
                     "musllinux_1_2_aarch64", "win_amd64", "macosx_11_0_arm64",
                     "manylinux_99999999999999999999_1_x", "cp3" + "9" * 30, "cp3" + "9" * 5000,
                     "manylinux_" + "9" * 5000 + "_1_x", "")),
    _odd,
)  # fmt: skip


_pythons = _mostly("cp312", "cp313t", "py3", "py2.py3", "cp312.cp313", "CP312", "cp3" + "9" * 5000)
_abis = _mostly("cp312", "cp313t", "none", "abi3", "abi3.abi3t", "cp312.cp313")
_platforms = _mostly(
    "any", "linux_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64.manylinux_2_17_x86_64",
    "musllinux_1_2_aarch64", "win_amd64", "macosx_11_0_arm64", "manylinux_" + "9" * 5000 + "_1_x",
)  # fmt: skip
_five_parts = st.tuples(
    st.sampled_from(("pkg", "Pkg.Name", "pkg_name")),
    st.sampled_from(("1.0", "1.0+local.1", "1!2.0", "1.0-1", "1.0-2b", "9" * 5000, "1.0-" + "9" * 5000)),
    _pythons, _abis, _platforms,
).map(list)  # fmt: skip


def names() -> st.SearchStrategy[bytes]:
    """A file name."""
    text = st.builds(
        lambda parts, end: ("-".join(parts) + end).encode("utf-8", "surrogatepass"),
        mostly(_five_parts, st.lists(_parts, min_size=4, max_size=7)),
        st.sampled_from((".whl",) * 9 + (".WHL", ".zip", "")),
    )  # fmt: skip
    return _edited(text)


def check_name(data: bytes, place: Path) -> None:
    """A name that is read is the name again, and its tags are those that `packaging` reads."""
    text = data.decode("utf-8", "surrogateescape")
    name = WheelName.parse(text)
    expect(str(name) == text, f"{text!r} became {str(name)!r}")
    *_, tags = parse_wheel_filename(text)
    expect({tag.lower() for tag in name.tags} == {str(tag) for tag in tags}, f"other tags: {name.tags}")
    accepting(name.interpreter_tags)
    for platform in name.platforms:
        Platform.parse(platform)
    expect((name.label, name.project, name.dist_info), "no label")
    common_platforms([name.platforms, ("manylinux_2_17_x86_64",)])


TARGETS = (
    Target("record", "RECORD", records, check_record, 180, guided=True),
    Target("metadata", "METADATA", headers, check_metadata, 130, guided=True),
    Target("reconcile", "METADATA of two wheels, made into one", pairs, check_pair, 20, guided=True),
    Target("wheel-file", "WHEEL", wheel_files, check_wheel_file, 80, guided=True),
    Target("name", "file names and tags", names, check_name, 80),
)
