"""Python source that names a library which the merge gave other names: it may open it, and would not find it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from wheelfuse.abi.modules import parse_module
from wheelfuse.errors import Problem
from wheelfuse.fuse.contents import Archives, chunks_of
from wheelfuse.fuse.model import Output
from wheelfuse.fuse.plan import Plan

_LIBRARY = re.compile(r"\.so(?:\.\d+)*$")


def mentions(plan: Plan, archives: Archives) -> Iterator[Problem]:
    """A warning for each source file and renamed library. Nothing tells whether the name is used to open it."""
    names = sorted(
        {posixpath.basename(output.origin) for output in plan.outputs if _is_renamed_library(output)}
    )
    if not names:
        return
    pattern = re.compile(
        rb"(?<![\w.-])(?:" + b"|".join(re.escape(name.encode()) for name in names) + rb")(?![\w.-])"
    )
    seen: set[str] = set()
    for output in plan.outputs:
        if not output.path.endswith(".py") or output.file.digest in seen or not output.origin:
            continue
        seen.add(output.file.digest)
        for found in sorted(set(pattern.findall(b"".join(chunks_of(archives, output.file))))):
            yield Problem(
                f"names {found.decode()}, of which the fused wheel has one for each CPython, under other names",
                member=output.path,
                todo="If it opens the library by this name, settle the library with --resolve.",
            )


def _is_renamed_library(output: Output) -> bool:
    """Whether a file is a library under a new name; modules that get their CPython's suffix are found by import."""
    if not _LIBRARY.search(output.origin) or posixpath.basename(output.origin) == posixpath.basename(
        output.path
    ):
        return False
    module = parse_module(output.path)
    return module is None or module.target is None
