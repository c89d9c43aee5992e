"""The ranges in which an input works, as bars: torch, glibc, GPU architectures."""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi import torch
from wheelfuse.abi.platform import glibc_policies
from wheelfuse.auditing import cuda, platform
from wheelfuse.auditing.report import Answer
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.fatbin import DeviceCode
from wheelfuse.report.audit_parts import count, versions
from wheelfuse.report.page.model import Bar, State


def bars(subject: Subject, answer: Answer) -> tuple[Bar, ...]:
    """The bars of a subject: none for torch if no file needs it, and so on."""
    return (*_torch(answer), *_glibc(subject), *_gpus(subject))


def _torch(answer: Answer) -> Iterator[Bar]:
    if answer.torch is None:
        return
    steps = tuple((v, State.GOOD if v in answer.torch else State.BAD) for v in torch.versions())
    yield Bar("torch", steps, versions(answer.torch) or "no known release exports all that the files need")


def _glibc(subject: Subject) -> Iterator[Bar]:
    """A bar for each machine: the releases that have a policy, and the one that the files need at least."""
    deciding = platform.needs(subject).deciding
    for file in deciding:
        lowest = file.floor.version
        known = sorted({*glibc_policies(), *([lowest] if lowest else [])})
        steps = tuple(
            (".".join(map(str, v)), State.GOOD if lowest and v >= lowest else State.BAD) for v in known
        )
        needed = (
            f"{file.floor} at least"
            if lowest
            else f"{file.floor.decisive} of {file.floor.library} is allowed by no tag"
        )
        tags = [tag for tag in subject.platforms if tag.endswith(f"_{file.machine}")]
        title = "glibc" if len(deciding) == 1 else f"glibc ({file.machine})"
        yield Bar(title, steps, f"{needed}, tagged {', '.join(tags)}" if tags else needed)


def _gpus(subject: Subject) -> Iterator[Bar]:
    codes = [(code, len(paths)) for code, paths in cuda.grouped_by_code(subject)]
    if not codes:
        return
    steps = tuple((f"sm_{g}", _on(g, [code for code, _ in codes])) for g in cuda.GENERATIONS)
    files = sum(number for _, number in codes)
    found = {arch: None for code, _ in codes for arch in code.architectures}
    yield Bar("GPU", steps, f"{', '.join(found)} in {count(files, 'file')}")


def _on(generation: int, codes: list[DeviceCode]) -> State:
    """PARTLY: the driver has to compile PTX; UNKNOWN: some files run and others do not, which may be on purpose."""
    if all(cuda.runs_natively_on(code, generation) for code in codes):
        return State.GOOD
    running = [cuda.runs_on(code, generation) for code in codes]
    if all(running):
        return State.PARTLY
    return State.UNKNOWN if any(running) else State.BAD
