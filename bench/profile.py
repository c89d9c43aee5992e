"""``python -m bench.profile``: where the processor time of merges and audits goes, by py-spy; kept beside the results.

py-spy looks 200 times a second at what each thread does that runs. A sample counts for the first row of `ROWS` one of
whose functions is on the thread's stack, so that each is counted once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench import inputs, programs
from bench.cases.merges import CUPY, ONNXRUNTIME, PLAIN
from bench.measure import Command, progress, remove

RATE = 200
RESULT = Path(__file__).with_name("results") / "profile.md"

ROWS = (
    ("starting Python, imports", ("_find_and_load", "_handle_fromlist")),
    ("compressing", ("_compressed (wheelfuse/wheel/deflate",)),
    ("inflating", ("Archive._inflated",)),
    ("hashing and checksums of members", ("Archive.content_beginning.<locals>.hashed", "Archive.chunks")),
    ("hashing the inputs as files", ("Archive.sha256",)),
    ("hashing the output", ("Trail._take",)),
    ("writing temporary files", ("Shelf.put", "spooled (wheelfuse/content")),
    ("reading ELF files", ("read_image", "read_device_code", "read_producers")),
    ("reading GPU code", ("_held_code (wheelfuse/fuse/held_code",)),
    ("editing ELF files", ("_edited (wheelfuse/fuse/preparing",)),
    ("zip directories, RECORD, METADATA", ("Reader.read (wheelfuse", "read_wheel", "statements (wheelfuse")),
    (
        "deciding (the plan, or the rules)",
        ("make_plan", "survey (", "originals_of", "wheelfuse/auditing/rules/", "wheelfuse/auditing/runner"),
    ),
    ("gathering GPU code into one file", ("_write_carrier",)),
    ("copying compressed members", ("ZipWriter.copy",)),
    ("the rest of writing", ("execute (wheelfuse/fuse/execute",)),
    ("reports", ("wheelfuse/report/",)),
)
OTHER = "anything else"


def profiles(directory: Path) -> Iterable[tuple[str, Command]]:
    """The commands to look at, by their titles."""
    onnxruntime, cupy, triton = inputs.onnxruntime(), inputs.cupy(), inputs.triton()
    yield "merge, onnxruntime-gpu × 3", programs.merge("merge", onnxruntime, directory, *ONNXRUNTIME)
    yield "merge, cupy-cuda12x × 2", programs.merge("merge", cupy, directory, *PLAIN)
    sharing = (*CUPY, "--share-device-code")
    yield "merge --share-device-code, cupy-cuda12x × 2", programs.merge("merge", cupy, directory, *sharing)
    yield "audit, cupy-cuda12x", programs.audit("audit", cupy[-1:])
    yield "audit, triton", programs.audit("audit", triton)


def sampled(command: Command, directory: Path) -> Counter[str]:
    """How many samples each row has."""
    raw = directory / "samples"
    spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--rate", str(RATE), "--format", "raw"]
    spy += ["--output", str(raw), "--", *command.arguments]
    subprocess.run(["/usr/bin/env", *_assignments(command), *spy], check=False, capture_output=True)
    remove(command.output)
    found: Counter[str] = Counter()
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        found[row_of(stack)] += int(count)
    return found


def row_of(stack: str) -> str:
    """What a thread with this stack was busy with."""
    return next((name for name, marks in ROWS if any(mark in stack for mark in marks)), OTHER)


def _assignments(command: Command) -> list[str]:
    return [f"{name}={value}" for name, value in command.environment.items()]


def table(found: dict[str, Counter[str]]) -> str:
    """The rows as Markdown, one column for each command."""
    lines = ["| CPU seconds, all threads together | " + " | ".join(found) + " |"]
    lines.append("| --- |" + " ---: |" * len(found))
    for name in (*(name for name, _ in ROWS), OTHER):
        cells = [f"{samples[name] / RATE:.2f}" if samples[name] else "" for samples in found.values()]
        if any(cells):
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    totals = [f"{sum(samples.values()) / RATE:.2f}" for samples in found.values()]
    return "\n".join((*lines, "| together | " + " | ".join(totals) + " |", ""))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        found = {}
        for title, command in profiles(Path(name)):
            progress(title)
            found[title] = sampled(command, Path(name))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
