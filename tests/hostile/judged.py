"""Runs the commands on a hostile wheel as users do, and counts what they read and inflate of it."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.wheel.zips import NAME, Entry, wheel_entries, write_wheel
from tests.wheels import digest

MEMORY = 1 << 30
"""Bytes of address space that a command may take, its libraries included."""
SECONDS = 60
"""Seconds of processor time after which the system ends what would never end by itself."""
WAITING = 600
"""Seconds by the clock after which what waits for ever is ended."""


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line, within bounds of time and memory."""
    line = [sys.executable, "-m", "wheelfuse", *map(str, arguments)]
    return subprocess.run(
        line, capture_output=True, text=True, check=False, preexec_fn=_bounded, stdin=subprocess.DEVNULL,
        timeout=WAITING,
    )  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command said of a wheel."""

    code: int
    text: str


def merged(path: Path, *options: object) -> Answer:
    """A merge of the wheel alone. If it is refused, nothing is left where its output would be."""
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    done = command("merge", path, "-o", out, "--expect", "cp312", *options)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert list(out.iterdir()) == []
        assert done.stdout == ""
    return Answer(done.returncode, done.stderr)


def audited(path: Path, *options: object) -> Answer:
    """An audit of the wheel, which writes nothing beside its report."""
    before = sorted(path.parent.iterdir())
    done = command("audit", path, "--verbose", *options)
    assert "Traceback" not in done.stderr, done.stderr
    assert sorted(path.parent.iterdir()) == before
    return Answer(done.returncode, " ".join((done.stdout + done.stderr).split()))


def assert_refused(path: Path, *texts: str, member: str = "", todo: str = "") -> None:
    """Merge refuses the wheel with 3 and audit with 1; both name wheel and member, the reason, and what to do."""
    merge, audit = merged(path), audited(path)
    assert (merge.code, audit.code) == (3, 1), (merge, audit)
    for text in (path.name, *texts, *filter(None, (member, todo))):
        assert text in merge.text, merge.text
        assert text in audit.text, audit.text


def assert_taken(path: Path) -> None:
    """Merge takes the wheel, and audit finds no error."""
    merge, audit = merged(path), audited(path)
    assert (merge.code, audit.code) == (0, 0), (merge, audit)


def hostile(
    directory: Path,
    *extra: Entry,
    files: Mapping[str, bytes] | None = None,
    record: str | None = None,
    name: str = NAME,
    **how: object,
) -> Path:
    """A wheel with some more members, or other files of ``.dist-info``. RECORD has the sizes that the zip tells."""
    entries = wheel_entries(*extra, files=files, record=record)
    if record is None:
        told = {entry.name: entry.central.get("size", len(entry.content)) for entry in entries[:-1]}
        told |= {e.name: len(e.content) for e in entries if told.get(e.name) == 0xFFFFFFFF}  # zip64
        listed = (entry for entry in entries[:-1] if not entry.name.endswith("/"))
        rows = (f"{entry.name},{digest(entry.content)},{told[entry.name]}" for entry in listed)
        entries[-1] = Entry(entries[-1].name, "\n".join((*rows, f"{entries[-1].name},,", "")).encode())
    return write_wheel(directory, entries, name, **how)


def written(directory: Path, content: bytes) -> Path:
    """A file with the name of a wheel."""
    path = directory / NAME
    path.write_bytes(content)
    return path


class Watched:
    """A content that knows how many bytes of it were asked for."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.read = 0

    def __len__(self) -> int:
        return len(self._content)

    def __getitem__(self, part: slice) -> bytes:
        found = self._content[part]
        self.read += len(found)
        return found
