"""Wheels whose files are images made by hand, for what the dynamic linker and CPython make of them."""

from __future__ import annotations

from dataclasses import replace

from tests.wheels import metadata
from wheelfuse.auditing.subject import Kind, SharedObject, Subject
from wheelfuse.elf.image import Image
from wheelfuse.elf.symbols import Import, VersionNeed
from wheelfuse.wheel.metadata import parse_headers
from wheelfuse.wheel.name import WheelName

M = "pkg/_m.cpython-312-x86_64-linux-gnu.so"
OTHER = "pkg/_n.cpython-312-x86_64-linux-gnu.so"
WHEEL = "pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"


def image(
    exports: str = "",
    imports: str = "",
    *,
    needed: str = "",
    runpath: str = "",
    soname: str = "",
    rpath: bool = False,
    versions: str = "",
    needs: dict[str, str] | None = None,
    machine: str = "EM_X86_64",
    kind: str = "ET_DYN",
) -> Image:
    """*imports* are ``name``, ``name@version``, or ``name?`` for weak ones."""
    symbols = (item.partition("@") for item in imports.split())
    return Image(
        machine,
        64,
        True,
        kind,
        soname=soname,
        needed=tuple(needed.split()),
        runpath=tuple(filter(None, runpath.split(":"))),
        has_rpath=rpath,
        imports=tuple(Import(name.rstrip("?"), version, name.endswith("?")) for name, _, version in symbols),
        exports=frozenset(exports.split()),
        version_definitions=frozenset(versions.split()),
        version_needs=tuple(VersionNeed(name, tuple(text.split())) for name, text in (needs or {}).items()),
    )


def module_image(imports: str = "PyList_New", *, exports: str = "PyInit__m", **more: object) -> Image:
    return image(exports, imports, **more)  # type: ignore[arg-type]


def subject(
    files: dict[str, Image], wheel: str = WHEEL, *, requires: str = "", preloads: bool = False, **more: object
) -> Subject:
    """A wheel with these files, whose Python code opens no libraries by itself."""
    name = WheelName.parse(wheel)
    headers = parse_headers(
        metadata(extra="".join(f"Requires-Dist: {item}\n" for item in requires.split())).encode()
    )
    made = Subject(
        wheel,
        Kind.WHEEL,
        name=name,
        interpreter_tags=name.interpreter_tags,
        platforms=name.platforms,
        metadata=headers,
        sizes=dict.fromkeys((*files, "pkg/__init__.py"), 1),
        files={path: SharedObject(path, 1, file) for path, file in files.items()},
        preloads=preloads,
    )
    return replace(made, **more)  # type: ignore[arg-type]


LIBRARY = image("spam", soname="libspam.so.1")
OUT_OF_REACH = {M: module_image(needed="libspam.so.1"), "pkg.libs/libspam.so.1": LIBRARY}
