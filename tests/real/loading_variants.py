"""Wheels that are broken on purpose, each in one way, as values: which files change, and what they are then.

What comes of it is not said here: some of these load all the same.
"""

from __future__ import annotations

import io
import posixpath
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from wheelfuse.abi.modules import parse_module
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.edit import rename
from wheelfuse.elf.image import MAGIC, read_image
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.target import Target

Read = Callable[[str], bytes]
"""Path -> content of the file of a wheel."""

NOWHERE = "libnowhere-0badcafe.so.1"
"""A library that no system has."""

OTHERS = {
    "cp310": ("cp311", "cp315"),
    "cp311": ("cp312", "cp314"),
    "cp312": ("cp313", "cp310"),
    "cp313": ("cp314", "cp311"),
    "cp313t": ("cp314t", "cp313"),
    "cp314": ("cp315", "cp312"),
    "cp314t": ("cp315t", "cp314"),
    "cp315": ("cp314", "cp311"),
    "cp315t": ("cp314t", "cp315"),
}
"""For which CPythons a file is passed off: one version apart, and further off or for the other kind of build."""

MOST = 3
"""How many modules of a wheel are broken in the same way, since the others would teach nothing new."""


@dataclass(frozen=True)
class Variant:
    """A wheel with other files than the original, of which ``kind`` is empty; None: the file is gone."""

    kind: str
    subject: Subject
    changes: Mapping[str, bytes | None]


def variants(subject: Subject, read: Read, foreign: bytes) -> Iterator[Variant]:
    """The original and its broken forms. *foreign* is an extension module for another machine."""
    yield Variant("", subject, {})
    modules = [path for path, file in sorted(subject.files.items()) if file.module][:MOST]
    for kind, changes in (
        *_renamed(modules, read),
        *_without_libraries(subject, modules),
        *_without_symbols(subject, modules, read),
        *_without_init(subject, modules, read),
        *_cut_off_from_libraries(subject, modules, read),
        *_no_modules(modules, read, foreign),
        *_no_libraries(subject, modules, read, foreign),
    ):
        yield Variant(kind, _changed(subject, changes), changes)


Change = tuple[str, dict[str, bytes | None]]


def _renamed(modules: list[str], read: Read) -> Iterator[Change]:
    """Built for one CPython, passed off as built for another."""
    for number in (0, 1):
        changes: dict[str, bytes | None] = {}
        for path in modules:
            module = parse_module(path)
            assert module
            other = Target.parse(OTHERS[str(module.target or "cp312")][number])
            changes |= {path: None, module.soabi_path(other, "x86_64-linux-gnu"): read(path)}
        if changes:
            yield "suffix of another CPython", changes


def _without_libraries(subject: Subject, modules: list[str]) -> Iterator[Change]:
    """One library that modules link is left out."""
    for path in _libraries(subject, modules)[:2]:
        yield "library removed", {path: None}


def _libraries(subject: Subject, modules: list[str]) -> list[str]:
    """What modules link, the libraries that are linked by libraries first."""
    reached = {path for module in modules for path in subject.tree.reached_from(module)} - set(modules)
    return sorted(reached, key=lambda path: (-len(subject.tree.reaching(frozenset({path}))), path))


def _without_symbols(subject: Subject, modules: list[str], read: Read) -> Iterator[Change]:
    """A library exports a symbol under another name; or a module asks for one that does not exist."""
    for library in _libraries(subject, modules):
        users = [path for path in subject.tree.reaching(frozenset({library})) if path != library]
        asked = frozenset().union(*(subject.files[path].image.imported for path in users))
        asked -= frozenset().union(*(f.image.exports for path, f in subject.files.items() if path != library))
        # A renamed symbol is not found by its own library either, since the hash table has the old name.
        wanted = sorted(
            name
            for name, symbol in _symbols(read(library)).items()
            if name in asked & subject.files[library].image.exports and not symbol.used
        )
        if wanted:
            yield "symbol gone from library", {library: _respelt(read(library), wanted[len(wanted) // 2])}
            break
    for path in modules[:1]:
        content = read(path)
        names = sorted(
            n for n in _symbols(content) if n in subject.files[path].image.imported and n[:2] == "Py"
        )
        if names:
            yield "symbol that nobody has", {path: _respelt(content, names[0])}
            yield "symbol that CPython lacks", {path: _respelt(content, names[-1], at=2)}


def _without_init(subject: Subject, modules: list[str], read: Read) -> Iterator[Change]:
    """The init function has another name. A file called ``.so`` alone would be no module any more."""
    changes: dict[str, bytes | None] = {}
    for path in modules:
        module = parse_module(path)
        if module and module.suffix != ".so":
            content = read(path)
            for name in sorted(subject.files[path].image.exports):
                if name in (f"PyInit_{module.short}", f"PyModExport_{module.short}"):
                    content = _respelt(content, name)
            changes[path] = content
    if changes:
        yield "init function renamed", changes


def _cut_off_from_libraries(subject: Subject, modules: list[str], read: Read) -> Iterator[Change]:
    """A module needs a library that is nowhere; or all files have lost their RUNPATH."""
    for path in modules[:1]:
        image, content = subject.files[path].image, read(path)
        own = [name for name in image.needed if subject.tree.providers(path, name)]
        for name in (
            own or [name for name in image.needed if name.startswith(("libc.", "libm.", "libpthread."))]
        )[:1]:
            patch = rename(content, needed={name: NOWHERE})
            assert patch
            yield "needed name changed", {path: patch.apply(content)}
    if not subject.preloads:
        lost = {
            path: content.replace(b"$ORIGIN", b"#ORIGIN")
            for path in (*(p for p, f in subject.files.items() if f.module), *_libraries(subject, modules))
            if b"$ORIGIN" in (content := read(path))
        }
        if lost and _libraries(subject, modules):
            yield "RUNPATH lost", dict(lost)


def _no_modules(modules: list[str], read: Read, foreign: bytes) -> Iterator[Change]:
    """What is there is for another machine, or cut off, or no ELF file."""
    for path in modules[:1]:
        content = read(path)
        yield "for another machine", {path: foreign}
        yield "cut off", {path: content[: _loaded_size(content) // 2]}
        yield "no ELF file", {path: b"../lib/" + posixpath.basename(path).encode()}


def _no_libraries(subject: Subject, modules: list[str], read: Read, foreign: bytes) -> Iterator[Change]:
    """A library is for another machine, or what remains of a link; or it lacks a version that is asked of it."""
    libraries = _libraries(subject, modules)
    for path in libraries[:1]:
        yield "library of other machine", {path: foreign}
        yield "library is no ELF file", {path: b"libother.so.1"}
    for path in libraries:
        defined = subject.files[path].image.version_definitions
        needs = (need for file in subject.files.values() for need in file.image.version_needs)
        content = read(path)
        for version in sorted(defined & {version for need in needs for version in need.versions}):
            name = b"\0" + version.encode() + b"\0"
            if content.count(name) == 1:
                yield "version gone from library", {path: content.replace(name, name[:-2] + b"q\0")}
                return


def _respelt(content: bytes, name: str, *, at: int = 0) -> bytes:
    """The file with one letter of a symbol's name changed."""
    place = _symbols(content)[name].start + at
    letter = next(letter for letter in (b"Q", b"Z") if letter != content[place : place + 1])
    return content[:place] + letter + content[place + 1 :]


@dataclass(frozen=True)
class _Symbol:
    """Where the name of a dynamic symbol lies in the file, and whether the file uses the symbol itself."""

    start: int
    end: int
    used: bool


def _symbols(content: bytes) -> dict[str, _Symbol]:
    """The dynamic symbols whose names share no bytes with those of others."""
    elf = ELFFile(io.BytesIO(content))
    table = elf.get_section_by_name(".dynsym")
    strings = elf.get_section(table["sh_link"])["sh_offset"]
    used = {
        relocation["r_info_sym"]
        for section in elf.iter_sections()
        if isinstance(section, RelocationSection)
        for relocation in section.iter_relocations()
    }
    found = [
        (symbol.name, _Symbol(start, start + len(symbol.name.encode()), number in used))
        for number, symbol in enumerate(table.iter_symbols())
        if (start := strings + symbol["st_name"])
    ]
    ends = Counter(symbol.end for _, symbol in found)
    return {name: symbol for name, symbol in found if ends[symbol.end] == 1}


def _loaded_size(content: bytes) -> int:
    """Up to where the loader maps a 64-bit file."""
    start, (size, count) = struct.unpack_from("<Q", content, 32)[0], struct.unpack_from("<2H", content, 54)
    headers = [struct.unpack_from("<2I6Q", content, start + number * size) for number in range(count)]
    return max(offset + filesz for kind, _, offset, _, _, filesz, *_ in headers if kind == 1)


def _changed(subject: Subject, changes: Mapping[str, bytes | None]) -> Subject:
    """The subject with other files."""
    files = {path: file for path, file in subject.files.items() if path not in changes}
    sizes = {path: size for path, size in subject.sizes.items() if path not in changes}
    unreadable = list(subject.unreadable)
    for path, content in changes.items():
        if content is None:
            continue
        sizes[path] = len(content)
        try:
            if content.startswith(MAGIC):
                files[path] = SharedObject(path, len(content), read_image(content))
        except InvalidInput as error:
            unreadable += [Problem(problem.what, subject.label, path) for problem in error.problems]
    return replace(subject, files=files, sizes=sizes, unreadable=tuple(unreadable))
