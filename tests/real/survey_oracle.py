"""What a survey's rows of a wheel have to be: read apart from it, by zipfile, csv, email and pyelftools from the whole
file; as ``wheelfuse audit`` says; and made by the survey's own functions of what the audit reads of the whole file.
"""

from __future__ import annotations

import csv
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from elftools.elf.elffile import ELFFile

from tests.surveying.server import serving
from wheelfuse.auditing.api import audit
from wheelfuse.auditing.reading import read_subject
from wheelfuse.report.audit_json import audit_document
from wheelfuse.surveying.facts import rows_of
from wheelfuse.surveying.reading import read_wheel
from wheelfuse.surveying.rows import ModuleRow, Remote, Rows
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.limits import DEFAULT_LIMITS
from wheelfuse.wheel.wheel import statements

_PRIVATE = re.compile(r"_Py")
_VERSION = 0x7FFF
"""The bits of an entry of .gnu.version that number the version; the one above hides the symbol (LSB Core, 10.7.1)."""


@dataclass(frozen=True)
class Elf:
    """A shared object as pyelftools reads it. *imports*: name, version or None, whether weak; sorted."""

    machine: str
    needed: tuple[str, ...]
    imports: tuple[tuple[str, str | None, bool], ...]
    exports: frozenset[str]
    glibc: tuple[int, ...]


def read_elf(content: bytes) -> Elf | None:
    """None for ELF files that no loader takes."""
    elf = ELFFile(BytesIO(content))
    if elf["e_type"] not in ("ET_DYN", "ET_EXEC"):
        return None
    sections = list(elf.iter_sections())
    by_kind = {section["sh_type"]: section for section in sections}
    dynamic, symbols = by_kind.get("SHT_DYNAMIC"), by_kind.get("SHT_DYNSYM")
    needed = tuple(tag.needed for tag in dynamic.iter_tags("DT_NEEDED")) if dynamic else ()
    names, glibc = _version_needs(by_kind.get("SHT_GNU_verneed"))
    versions = by_kind.get("SHT_GNU_versym")
    numbers = memoryview(versions.data()).cast("H") if versions and elf.little_endian else ()
    if versions and not elf.little_endian:
        raw = versions.data()
        numbers = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
    imports, exports = [], set()
    for number, symbol in enumerate(symbols.iter_symbols() if symbols else ()):
        if not symbol.name or symbol["st_info"]["bind"] == "STB_LOCAL":
            continue
        if symbol["st_shndx"] == "SHN_UNDEF":
            version = names.get(numbers[number] & _VERSION) if numbers else None
            imports.append((symbol.name, version, symbol["st_info"]["bind"] == "STB_WEAK"))
        elif symbol["st_other"]["visibility"] not in ("STV_HIDDEN", "STV_INTERNAL"):
            exports.add(symbol.name)
    ordered = sorted(imports, key=lambda item: (item[0], item[1] or "", item[2]))
    return Elf(str(elf["e_machine"]), needed, tuple(ordered), frozenset(exports), glibc)


def _version_needs(section: Any) -> tuple[dict[int, str], tuple[int, ...]]:
    """The versions by number, and the highest of glibc without which the file is not loaded."""
    names: dict[int, str] = {}
    glibc: list[tuple[int, ...]] = []
    for _, entries in section.iter_versions() if section else ():
        for entry in entries:
            names[entry["vna_other"] & _VERSION] = entry.name
            if (found := re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", entry.name)) and not entry["vna_flags"] & 2:
                glibc.append(tuple(map(int, found[1].split("."))))
    return names, max(glibc, default=())


def against_the_file(path: Path, rows: Rows) -> Iterator[str]:
    """How rows differ from what standard tools read from the whole file."""
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        (top,) = {info.filename.split("/")[0] for info in infos if ".dist-info/" in info.filename}
        record = _record(archive.read(f"{top}/RECORD"))
        members = [(i.filename, record.get(i.filename), i.file_size, i.compress_size) for i in infos]
        found = [(row.path, row.digest, row.size, row.packed) for row in rows.members]
        yield from _differences("members", sorted(members, key=repr), sorted(found, key=repr))
        yield from _differences("wheel", _wheel(path, archive, top, infos), rows.wheel._asdict())
        elves: dict[str, Elf] = {}
        for info in infos:
            with archive.open(info) as file:
                is_elf = file.read(4) == b"\x7fELF" and info.external_attr >> 28 != 0xA
            if is_elf and (elf := read_elf(archive.read(info))):
                elves[info.filename] = elf
    yield from _against_elves(elves, rows)


def _record(content: bytes) -> dict[str, str | None]:
    return {row[0]: row[1] or None for row in csv.reader(StringIO(content.decode())) if row}


def _wheel(path: Path, archive: zipfile.ZipFile, top: str, infos: list[zipfile.ZipInfo]) -> dict[str, Any]:
    """Columns of the table of wheels."""
    metadata = message_from_bytes(archive.read(f"{top}/METADATA"))
    wheel = message_from_bytes(archive.read(f"{top}/WHEEL"))
    *_, python, abi, platform = path.name.removesuffix(".whl").split("-")
    return {
        "file": path.name,
        "status": "read",
        "reason": None,
        "project": re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower(),
        "python_tags": tuple(python.split(".")),
        "abi_tags": tuple(abi.split(".")),
        "platform_tags": tuple(platform.split(".")),
        "size": path.stat().st_size,
        "members": len(infos),
        "unpacked": sum(info.file_size for info in infos),
        "requires_python": metadata["Requires-Python"],
        "generator": ", ".join(wheel.get_all("Generator", [])) or None,
    }


def _against_elves(elves: Mapping[str, Elf], rows: Rows) -> Iterator[str]:
    yield from _differences("shared objects", sorted(elves), sorted(row.path for row in rows.modules))
    defined = {path: elf.exports for path, elf in elves.items()}
    asked: dict[str, list[tuple[str, str | None, bool]]] = {}
    python: dict[str, set[str]] = {}
    for symbol in rows.symbols:
        asked.setdefault(symbol.path, []).append((symbol.symbol, symbol.version, symbol.weak))
        own = any(symbol.symbol in names for path, names in defined.items() if path != symbol.path)
        if own != symbol.own:
            yield f"{symbol.path}: {symbol.symbol}: own is {symbol.own}"
        if symbol.kind == "cpython":
            python.setdefault(symbol.path, set()).add(symbol.symbol)
    for row in rows.modules:
        if elf := elves.get(row.path):
            found = sorted(asked.get(row.path, []), key=lambda item: (item[0], item[1] or "", item[2]))
            yield from _differences(f"{row.path}: symbols", list(elf.imports), found)
            yield from _differences(row.path, _module(elf, python.get(row.path, set())), row._asdict())
            yield from _against_glibc(elf, row)


def _module(elf: Elf, python: set[str]) -> dict[str, Any]:
    """Columns of the table of modules."""
    return {
        "machine": elf.machine,
        "needed": tuple(sorted(elf.needed)),
        "imports": len(elf.imports),
        "exports": len(elf.exports),
        "python_symbols": len(python),
        "private_symbols": len(list(filter(_PRIVATE.match, python))),
    }


def _against_glibc(elf: Elf, row: ModuleRow) -> Iterator[str]:
    """Libraries such as libstdc++.so.6 need a glibc, too, so that the row may say more than the versions of glibc."""
    said = tuple(map(int, row.glibc.split("."))) if row.glibc else ()
    if said < elf.glibc:
        yield f"{row.path}: glibc {row.glibc}, but it needs {'.'.join(map(str, elf.glibc))}"


def against_audit(document: Mapping[str, Any], rows: Rows) -> Iterator[str]:
    """How rows differ from what ``wheelfuse audit --format json`` says of the wheel alone."""
    (subject,) = document["subjects"]
    loads, wheel = subject["loads_on"], rows.wheel
    glibc = [found[1] for text in loads["libc"] if (found := re.match(r"glibc (\d+\.\d+) ", text))]
    yield from _differences(
        "audit",
        {
            "size": subject["size"],
            "shared_objects": subject["shared_objects"],
            "targets": tuple(loads["targets"]),
            "torch": None if loads["torch"] is None else tuple(loads["torch"]),
            "glibc": max(glibc, key=lambda text: tuple(map(int, text.split("."))), default=None),
        },
        wheel._asdict(),
    )
    claimed = {*loads["targets"], *loads["unreleased"]}
    if not claimed.issuperset(wheel.uncovered):
        yield f"audit: uncovered {wheel.uncovered} of {sorted(claimed)}"
    for target in loads["targets"]:
        outcomes = {c["outcome"] for row in loads["modules"] for c in row["cells"] if c["target"] == target}
        if outcomes == {"missing"} and target not in wheel.uncovered:
            yield f"audit: {target} finds no module, but is not uncovered"
        if outcomes & {"loads", "supplied"} and target in wheel.uncovered:
            yield f"audit: {target} loads a module, but is uncovered"
    yield from _against_missing(subject, rows)


def _against_missing(subject: Mapping[str, Any], rows: Rows) -> Iterator[str]:
    """WF301: a line for each symbol that ends with the CPythons that lack it, in brackets; then more paths."""
    missing = {row.path: set(row.missing) for row in rows.modules}
    for finding in subject["findings"]:
        if finding["code"] != "WF301":
            continue
        paths = [finding["path"], *(line for line in finding["details"] if line in missing)]
        for line in finding["details"]:
            if found := re.match(r"(?P<symbol>\w+) .*\((?P<targets>cp[^()]+)\)$", line):
                said = " ".join((found["symbol"], *found["targets"].split(", ")))
                yield from (f"{path}: audit misses {said}" for path in paths if said not in missing[path])
    named = " ".join(str(finding) for finding in subject["findings"])
    for path, entries in missing.items():
        for entry in entries:
            if entry.split()[0] not in named and path not in named:
                yield f"{path}: audit says nothing of {entry}"


def _differences(what: str, expected: Any, found: Any) -> Iterator[str]:
    """Of two mappings the keys that are expected are compared; of anything else, all."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            if found[key] != value:
                yield f"{what}: {key} is {found[key]!r}, should be {value!r}"
    elif expected != found:
        apart = set(expected) ^ set(found)
        yield f"{what}: {len(expected)} expected, {len(found)} found: {sorted(map(repr, apart))[:5]}"


def all_differences(paths: Sequence[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Read each wheel as a survey does, from a web server, and hold the rows against everything else."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for path in paths:
            (directory / path.name).symlink_to(path)
        with serving(directory) as server:
            for path in paths:
                remote = Remote(f"{server.url}{quote(path.name)}", path.name)
                rows = read_wheel(remote, DEFAULT_LIMITS)
                assert isinstance(rows, Rows)
                yield path, list(differences(path, remote, rows))


def differences(path: Path, remote: Remote, rows: Rows) -> Iterator[str]:
    """What differs between the rows of a wheel and what else is known of it."""
    yield from against_the_file(path, rows)
    yield from against_the_whole(path, remote, rows)
    yield from against_audit(audit_document(audit([path]), ()), rows)


def against_the_whole(path: Path, remote: Remote, rows: Rows) -> Iterator[str]:
    """How rows differ from those that are made of what the audit reads of the whole file."""
    with Archive(path) as archive:
        said = statements(archive)
    wheel = rows.wheel
    whole = frozenset(row.path for row in rows.modules if row.whole)
    made = rows_of(
        remote,
        read_subject(path),
        said,
        whole,
        wheel.identity,
        fetched=wheel.fetched,
        requests=wheel.requests,
    )
    yield from _differences("rows: wheel", made.wheel._asdict(), wheel._asdict())
    for table in ("modules", "symbols", "members"):
        yield from _differences(f"rows: {table}", getattr(made, table), getattr(rows, table))
