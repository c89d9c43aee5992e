"""Subjects made of values: wheels and shared objects as the rules about packages, coverage and CPython see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from wheelfuse.abi.modules import parse_module
from wheelfuse.abi.producers import Producers
from wheelfuse.auditing.finding import Finding, NotRun
from wheelfuse.auditing.subject import Kind, SharedObject, Subject
from wheelfuse.elf.image import Image
from wheelfuse.elf.symbols import Import
from wheelfuse.wheel.metadata import WheelFile, parse_headers
from wheelfuse.wheel.name import WheelName

X86_64 = ("EM_X86_64", 64, True)
MANYLINUX = "manylinux_2_17_x86_64"


class RuleModule(Protocol):
    """A module of a rule with ``check``."""

    check: Any


def shared(
    path: str,
    *imports: str,
    exports: tuple[str, ...] | None = None,
    needed: tuple[str, ...] = (),
    machine: tuple[str, int, bool] = X86_64,
    tools: tuple[str, ...] = (),
    size: int = 1000,
) -> SharedObject:
    """A shared object that imports names of CPython; without *exports* it has the init function of its name."""
    if exports is None:
        module = parse_module(path)
        exports = (f"PyInit_{module.short}",) if module else ()
    image = Image(
        *machine,
        "ET_DYN",
        needed=(*needed, "libc.so.6"),
        imports=tuple(Import(name, "", False) for name in imports),
        exports=frozenset(exports),
    )
    return SharedObject(path, size, image, Producers(tools=tools))


def wheel(
    tag: str,
    *files: SharedObject,
    platform: str = MANYLINUX,
    requires_python: str = ">=3.10,<3.16",
    version: str = "1.0",
    purelib: bool = False,
    tags: tuple[str, ...] | None = None,
    unread: tuple[str, ...] = (),
    others: Mapping[str, int] | None = None,
    **fields: Any,
) -> Subject:
    """A wheel with the python-abi *tag* and these files; *tags* are what WHEEL says, *others* further files."""
    name = WheelName.parse(f"pkg-{version}-{tag}-{platform}.whl")
    metadata = f"Name: pkg\nVersion: {version}\nRequires-Python: {requires_python}\n"
    return Subject(
        str(name),
        Kind.WHEEL,
        name=name,
        interpreter_tags=name.interpreter_tags,
        platforms=name.platforms,
        dist_info=name.dist_info,
        wheel_file=WheelFile("1.0", "tests", purelib, "", name.tags if tags is None else tags, unread=unread),
        metadata=parse_headers(metadata.encode()),
        sizes={**{file.path: file.size for file in files}, **(others or {})},
        files={file.path: file for file in files},
        **fields,
    )


def loose(*files: SharedObject) -> Subject:
    """A directory in which nothing states tags."""
    return Subject("lib", Kind.DIRECTORY, files={file.path: file for file in files})


def found(rule: RuleModule, subject: Subject) -> list[Finding]:
    """The findings of a rule."""
    return [item for item in rule.check(subject) if isinstance(item, Finding)]


def not_run(rule: RuleModule, subject: Subject) -> list[NotRun]:
    """The checks that a rule could not make."""
    return [item for item in rule.check(subject) if isinstance(item, NotRun)]


def lines(rule: RuleModule, subject: Subject) -> list[str]:
    """The findings of a rule as ``severity path: message``."""
    return [f"{item.severity} {item.path}: {item.message}" for item in found(rule, subject)]
