"""Shared objects and wheels made of values, for the rules about CUDA and consistency."""

from __future__ import annotations

from typing import Any

from tests.auditing.wheel_subjects import wheel
from wheelfuse.abi.producers import Producers
from wheelfuse.auditing.finding import Finding
from wheelfuse.auditing.rules import entries
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.fatbin import Container, DeviceCode
from wheelfuse.elf.fatbin import Entry as Code
from wheelfuse.elf.image import Image, Section
from wheelfuse.elf.symbols import Import


def made(
    path: str,
    *,
    size: int = 1 << 20,
    exports: tuple[str, ...] = ("PyInit__C",),
    imports: tuple[str, ...] = (),
    needed: tuple[str, ...] = (),
    soname: str = "",
    machine: str = "EM_X86_64",
    debug: int = 0,
    symbols: int = 0,
    code: tuple[str, ...] = (),
    gpu_debug: bool = False,
    ptx: tuple[int, int] = (8, 8),
    **producers: Any,
) -> SharedObject:
    """A shared object; *code* are GPU architectures, *debug* and *symbols* bytes of debug info and symbol table."""
    kinds = {"sm": "sass", "compute": "ptx", "lto": "lto"}
    pieces = tuple(
        Code(kinds[arch.split("_")[0]], arch, 1 << 20, 1 << 20, False, gpu_debug, ptx) for arch in code
    )
    image = Image(
        machine,
        64,
        True,
        "ET_DYN",
        soname=soname,
        needed=(*needed, "libc.so.6"),
        imports=tuple(Import(name, "", False) for name in imports),
        exports=frozenset(exports),
        sections=(
            Section(".debug_info", "SHT_PROGBITS", 0, debug),
            Section(".symtab", "SHT_SYMTAB", 0, symbols),
        ),
    )
    containers = (Container(".nv_fatbin", 0, len(code) << 20, pieces),) if code else ()
    return SharedObject(path, size, image, Producers(**producers), DeviceCode(containers))


def module(target: str, name: str = "pkg/_C", **facts: Any) -> SharedObject:
    """The extension module *name* for one CPython."""
    tag = target.replace("cp3", "cpython-3")
    return made(f"{name}.{tag}-x86_64-linux-gnu.so", **facts)


def release(*files: SharedObject) -> tuple[Subject, ...]:
    """A wheel for each CPython that the files are for, in the order of the files."""
    targets = dict.fromkeys(str(file.module.target) for file in files if file.module)
    return tuple(
        wheel(
            f"{target.rstrip('t')}-{target}",
            *(f for f in files if f.module and str(f.module.target) == target),
        )
        for target in targets
    )


def found(code: str, *subjects: Subject) -> list[Finding]:
    """What the rule of this code finds in the subjects, which are of one release."""
    (entry,) = (entry for entry in entries() if entry.rule.code == code)
    if entry.check_release:
        items = list(entry.check_release(subjects))
    else:
        assert entry.check
        items = [item for subject in subjects for item in entry.check(subject)]
    return [item for item in items if isinstance(item, Finding)]


def lines(code: str, *subjects: Subject) -> list[str]:
    """These findings as ``severity path: message``."""
    return [f"{finding.severity} {finding.path}: {finding.message}" for finding in found(code, *subjects)]
