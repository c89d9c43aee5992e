"""Facts of wheels too large to be downloaded for tests: what the rules about packages and CPython read of them.

``python -m tests.auditing.facts WHEEL…`` writes them to ``wheel_facts/`` beside this file, from the wheels themselves.
Kept are the tags, Requires-Python, and of each shared object that some Python loads its machine, its size, what it
links, what it imports of CPython, its entry points and what made it. `subject` makes of that what reading gives.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from wheelfuse.abi.cpython import is_cpython_symbol
from wheelfuse.abi.producers import Producers
from wheelfuse.auditing.cpython_symbols import defined_entry_points
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.subject import Kind, SharedObject, Subject
from wheelfuse.elf.image import Image
from wheelfuse.elf.symbols import Import
from wheelfuse.wheel.metadata import WheelFile, parse_headers
from wheelfuse.wheel.name import WheelName

DIRECTORY = Path(__file__).with_name("wheel_facts")


def extract(path: Path) -> dict[str, Any]:
    """The facts of the wheel at *path*."""
    subject = read_subject(path)
    assert subject.wheel_file and not subject.unreadable, subject.unreadable
    kept = {
        reached
        for file in subject.files.values()
        if file.module
        for reached in subject.tree.reached_from(file.path)
    }
    return {
        "wheel": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": subject.size,
        "requires_python": subject.requires_python,
        "generator": subject.wheel_file.generator,
        "root_is_purelib": subject.wheel_file.root_is_purelib,
        "tags": subject.wheel_file.tags,
        "unread": subject.wheel_file.unread,
        "problems": [problem.what for problem in subject.problems],
        "files": {path: _of_file(subject.files[path]) for path in sorted(kept)},
    }


def _of_file(file: SharedObject) -> dict[str, Any]:
    return {
        "size": file.size,
        "machine": [file.image.machine, file.image.bits, file.image.little_endian],
        "soname": file.image.soname,
        "needed": file.image.needed,
        "runpath": file.image.runpath,
        "imports": " ".join(sorted(filter(is_cpython_symbol, file.image.imported))),
        "entry_points": defined_entry_points(file),
        "tools": file.producers.tools,
    }


@cache
def subject(wheel: str) -> Subject:
    """The wheel of this file name as an audited input."""
    facts = json.loads((DIRECTORY / f"{wheel}.json").read_text(encoding="ascii"))
    name = WheelName.parse(wheel)
    files = {path: _file(path, of_file) for path, of_file in facts["files"].items()}
    metadata = (
        f"Name: {name.distribution}\nVersion: {name.version}\nRequires-Python: {facts['requires_python']}\n"
    )
    return Subject(
        wheel,
        Kind.WHEEL,
        name=name,
        interpreter_tags=name.interpreter_tags,
        platforms=name.platforms,
        dist_info=name.dist_info,
        wheel_file=WheelFile(
            "1.0",
            facts["generator"],
            facts["root_is_purelib"],
            "",
            tuple(facts["tags"]),
            unread=tuple(facts["unread"]),
        ),
        metadata=parse_headers(metadata.encode()),
        sizes={path: file.size for path, file in files.items()},
        files=files,
        size=facts["size"],
    )


def _file(path: str, facts: dict[str, Any]) -> SharedObject:
    machine, bits, little_endian = facts["machine"]
    image = Image(
        machine,
        bits,
        little_endian,
        "ET_DYN",
        soname=facts["soname"],
        needed=tuple(facts["needed"]),
        runpath=tuple(facts["runpath"]),
        imports=tuple(Import(name, "", False) for name in facts["imports"].split()),
        exports=frozenset(facts["entry_points"]),
    )
    return SharedObject(path, facts["size"], image, Producers(tools=tuple(facts["tools"])))


if __name__ == "__main__":
    for argument in map(Path, sys.argv[1:]):
        text = json.dumps(extract(argument), indent=1)
        (DIRECTORY / f"{argument.name}.json").write_text(f"{text}\n", encoding="ascii")
