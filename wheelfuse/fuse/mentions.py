"""Python source that names a library which the merge gave other names: it may open it, and would not find it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from wheelfuse.abi.modules import parse_module
from wheelfuse.errors import Problem
from wheelfuse.fuse.contents import Archives, chunks_of
from wheelfuse.fuse.model import Output
from wheelfuse.fuse.plan import Plan

_LIBRARY = re.compile(r"\.so(?:\.\d+)*$")
_WORD = re.compile(rb"[\w.-]+")
"""What nearly all names of libraries are: of words, however many names are looked for, a text is read once."""


def mentions(plan: Plan, archives: Archives) -> Iterator[Problem]:
    """A warning for each source file and renamed library. Nothing tells whether the name is used to open it."""
    names = {
        posixpath.basename(output.origin).encode() for output in plan.outputs if _is_renamed_library(output)
    }
    if not names:
        return
    odd = _pattern(name for name in names if not _WORD.fullmatch(name))
    seen: set[str] = set()
    for output in plan.outputs:
        if not output.path.endswith(".py") or output.file.digest in seen or not output.origin:
            continue
        seen.add(output.file.digest)
        content = b"".join(chunks_of(archives, output.file))
        if b".so" not in content:
            continue
        for found in sorted(names.intersection(_WORD.findall(content)).union(odd.findall(content))):
            yield Problem(
                f"names {found.decode()}, of which the fused wheel has one for each CPython, under other names",
                member=output.path,
                todo="If it opens the library by this name, settle the library with --resolve.",
            )


def _pattern(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """What finds these names where they are no part of a longer word; without names, nothing."""
    alternatives = b"|".join(re.escape(name) for name in sorted(names)) or b"(?!)"
    return re.compile(rb"(?<![\w.-])(?:" + alternatives + rb")(?![\w.-])")


def _is_renamed_library(output: Output) -> bool:
    """Whether a file is a library under a new name; modules that get their CPython's suffix are found by import."""
    if not _LIBRARY.search(output.origin) or posixpath.basename(output.origin) == posixpath.basename(
        output.path
    ):
        return False
    module = parse_module(output.path)
    return module is None or module.target is None
