"""Thousands of small wheels, the same for the same seed, and what a survey must find of each.

The shared objects in them are real ones, compiled once from the symbols that are named here, so that what they ask for
is known without reading them. Some wheels are damaged on purpose.

``python -m tests.surveying.generated DIRECTORY [COUNT [SEED]]`` writes them.
"""

from __future__ import annotations

import random
import struct
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from io import BytesIO
from pathlib import Path

from tests.native import library, module, soabi
from tests.wheels import build_wheel
from wheelfuse.target import Target

SEED = 9
TAGS = ("cp310", "cp311", "cp312", "cp313", "cp313t", "cp314", "cp39-abi3", "py3-none")
"""Each release has a wheel for each of these: a CPython with modules for it alone, or a python and ABI tag."""
RELEASES = 5
DAMAGED = 25
"""One wheel in so many is damaged."""
LARGE = 8
"""One project in so many has wheels of more than one request: 300 kB that do not deflate."""


@dataclass(frozen=True)
class Kind:
    """A shared object by what it asks for: symbols of CPython, and versions of libc's.

    *body* are statements of C; a *library* is no extension module.
    """

    name: str
    python: tuple[str, ...] = ()
    body: str = ""
    declare: str = ""
    versioned: tuple[tuple[str, str], ...] = ()
    torch: tuple[str, ...] = ()
    library: bool = False

    @property
    def asked(self) -> frozenset[str]:
        """All undefined symbols, without versions."""
        started = () if self.library else ("PyModuleDef_Init", "PyModule_AddStringConstant")
        return frozenset((*started, *self.python, *self.torch, *(name for name, _ in self.versioned)))

    @property
    def python_symbols(self) -> frozenset[str]:
        """Those that are spelt like CPython's."""
        return frozenset(name for name in self.asked if name.startswith(("Py", "_Py")))

    @property
    def private_symbols(self) -> frozenset[str]:
        return frozenset(name for name in self.python_symbols if name.startswith("_"))

    @property
    def needed(self) -> tuple[str, ...]:
        """Libraries, by soname."""
        return (*(("libc.so.6",) if self.versioned else ()), *(("libtorch.so",) if self.torch else ()))

    @property
    def glibc(self) -> str | None:
        """The lowest glibc that has all; None if it asks for nothing of one."""
        numbers = [version.removeprefix("GLIBC_") for _, version in self.versioned]
        return max(numbers, key=lambda text: tuple(map(int, text.split("."))), default=None)


MODULES = (
    Kind("plain", ("PyLong_FromLong", "PyDict_SetItemString")),
    Kind("private", ("_PyLong_AsByteArray", "PyLong_FromLong", "_PyObject_GetDictPtr")),
    Kind("removed", ("PyUnicode_AsUnicode", "PyEval_CallObjectWithKeywords")),
    Kind("late", ("PyDict_GetItemRef", "PyLong_AsInt")),
    Kind(
        "copying",
        ("PyBytes_FromStringAndSize",),
        declare="extern void *memcpy(void *, const void *, unsigned long); char from[99], to[99]; long much;",
        body="memcpy(to, from, much);",
        versioned=(("memcpy", "GLIBC_2.14"),),
    ),
    Kind(
        "fresh",
        ("PyList_New",),
        declare="extern int dlclose(void *); void *at;",
        body="dlclose(at);",
        versioned=(("dlclose", "GLIBC_2.34"),),
    ),
    Kind("torch", ("PyList_New",), torch=("aoti_torch_get_data_ptr", "aoti_torch_delete_tensor_object")),
)
STABLE = (MODULES[0], MODULES[4])
"""Kinds whose symbols are all in the limited API of 3.9."""
LIBRARY = Kind("library", library=True)


class Damage(Enum):
    """What was done to a wheel after it was made, and whether a survey can still read it."""

    CUT_OFF = "cut off"
    NO_ZIP = "not a zip file"
    NO_RECORD = "no RECORD"
    BEYOND = "its directory lists a member that lies beyond the end"
    OTHER_NAME = "its directory gives a module another name than stands before it"
    HALF = "a module that was cut in half before it was packed"

    @property
    def is_fatal(self) -> bool:
        """Whether nothing of the wheel can be trusted."""
        return self not in (Damage.NO_RECORD, Damage.HALF)


@dataclass(frozen=True)
class Expected:
    """One generated wheel. *modules* are the shared objects in it: path -> kind; *damage* is None if it is in order.

    *members* and *unpacked* count its files and their bytes, as they were before any damage.
    """

    file: str
    project: str
    version: str
    tag: str
    members: int
    unpacked: int
    modules: dict[str, Kind] = field(default_factory=dict)
    damage: Damage | None = None


def generate(directory: Path, count: int, seed: int = SEED) -> tuple[Expected, ...]:
    """Write *count* wheels to *directory*; what is there of that name is replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    return tuple(_write(directory, number, seed) for number in range(count))


def _write(directory: Path, number: int, seed: int) -> Expected:
    release, place = divmod(number, len(TAGS))
    project, minor = divmod(release, RELEASES)
    tag, name, version = TAGS[place], f"made{project:05}", f"1.{minor}"
    modules = dict(_modules(name, tag, random.Random(f"{seed} {project}")))
    files = _files(name, project, random.Random(f"{seed} {release}"))
    binaries = {path: binary(kind) for path, kind in modules.items()}
    chance = random.Random(f"{seed} wheel {number}")
    damage = chance.choice(list(Damage)) if not chance.randrange(DAMAGED) else None
    if damage is Damage.HALF:
        binaries = {path: content[: len(content) // 2] for path, content in binaries.items()}
    path = build_wheel(
        directory,
        tag if tag.startswith("cp") and "-" not in tag else "",
        files | binaries,
        name=name,
        version=version,
        tag=tag if "-" in tag else "",
        requires_python=">=3.9",
    )
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    if damage and damage is not Damage.HALF:
        path.write_bytes(_damaged(path.read_bytes(), damage, next(iter(modules))))
    unpacked = sum(info.file_size for info in infos)
    return Expected(path.name, name, version, tag, len(infos), unpacked, modules, damage)


def _modules(name: str, tag: str, chance: random.Random) -> Iterator[tuple[str, Kind]]:
    """What a project has for a tag: one to three modules, and perhaps a library."""
    kinds = [chance.choice(MODULES) for _ in range(chance.randint(1, 3))]
    bundles = chance.random() < 0.3
    if tag == "py3-none":
        yield f"{name}/lib{name}.so", LIBRARY
        return
    for number, kind in enumerate(kinds):
        if "-" in tag:
            yield f"{name}/_C{number}.abi3.so", kind if kind in STABLE else STABLE[0]
        else:
            yield f"{name}/{soabi(f'_C{number}', tag)}", kind
    if bundles:
        yield f"{name}.libs/libmade.so", LIBRARY


def _files(name: str, project: int, chance: random.Random) -> dict[str, bytes]:
    """What all wheels of a release have in common."""
    files = {f"{name}/__init__.py": b"", f"{name}/data.txt": b"%d\n" % chance.randrange(1 << 60) * 20}
    if project % LARGE == LARGE - 1:
        files[f"{name}/data.bin"] = chance.randbytes(300_000)
    return files


@cache
def binary(kind: Kind) -> bytes:
    """The shared object, which asks for what its kind says, and nothing else."""
    if kind.library:
        return library("int made(int x) { return x + 1; }", "libmade.so", "-nostdlib")
    torch = "".join(f"int {name}(void) {{ return 0; }}\n" for name in kind.torch)
    beside = {"libtorch.so": library(torch, "libtorch.so", "-nostdlib")} if kind.torch else {}
    declare = kind.declare + "".join(f"extern int {name}(void);" for name in kind.torch)
    body = kind.body + "".join(f"{name}();" for name in kind.torch)
    # The names of the three modules of a wheel: each file defines an init function for any of them.
    more = "".join(f"void *PyInit__C{n}(void) {{ return PyInit__C(); }}" for n in range(3))
    flags = ("-nostdlib", "-fno-builtin", *(("-lc",) if kind.versioned else ()))
    source = f"extern void *PyInit__C(void); {more} {declare}"
    return module("_C", Target(12), *kind.python, body=body, declare=source, flags=flags, beside=beside)


# --- damage ---


def _damaged(content: bytes, damage: Damage, path: str) -> bytes:
    if damage is Damage.CUT_OFF:
        return content[: len(content) * 2 // 3]
    if damage is Damage.NO_ZIP:
        return b"<html>not found</html>\n" * 40
    if damage is Damage.NO_RECORD:
        return _without_record(content)
    entry, name = _entry_of(content, path)
    if damage is Damage.BEYOND:
        # Compressed size, 20 bytes into an entry of the central directory (APPNOTE, 4.3.12).
        return content[: entry + 20] + struct.pack("<L", len(content) + 1) + content[entry + 24 :]
    return content[: name + 1] + b"X" + content[name + 2 :]


def _entry_of(content: bytes, path: str) -> tuple[int, int]:
    """Where the entry of the central directory for *path* begins, and the path in it."""
    name = content.rindex(path.encode(), 0, content.rindex(b"PK\5\6"))
    return content.rindex(b"PK\1\2", 0, name), name


def _without_record(content: bytes) -> bytes:
    kept = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as source, zipfile.ZipFile(kept, "w") as target:
        for info in source.infolist():
            if not info.filename.endswith("/RECORD"):
                target.writestr(info, source.read(info))
    return kept.getvalue()


if __name__ == "__main__":
    generate(Path(sys.argv[1]), *map(int, sys.argv[2:]))
