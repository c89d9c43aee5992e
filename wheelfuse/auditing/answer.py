"""The answer of an audit, which comes first on the screen: where the input loads."""

from __future__ import annotations

from wheelfuse.abi.cpython import has_table
from wheelfuse.auditing import platform
from wheelfuse.auditing.libtorch import torch_versions
from wheelfuse.auditing.loading import load
from wheelfuse.auditing.report import Answer, Cell, ModuleRow, Outcome
from wheelfuse.auditing.subject import Subject, once
from wheelfuse.elf.fatbin import natural
from wheelfuse.target import Target


@once
def answer(subject: Subject) -> Answer:
    """On which CPython, torch, C library and GPU the subject loads."""
    needs = platform.needs(subject)
    return Answer(
        targets=subject.known_targets,
        modules=tuple(
            ModuleRow(
                key.replace("/", "."), tuple(_cell(subject, key, target) for target in subject.known_targets)
            )
            for key in sorted(subject.paths_of_modules)
        ),
        unreleased=tuple(target for target in subject.targets if not has_table(target)),
        torch=torch_versions(subject),
        libc=needs.libc,
        platforms=subject.platforms,
        architectures=_architectures(subject),
        assumed=needs.assumed,
    )


def _cell(subject: Subject, key: str, target: Target) -> Cell:
    path = subject.picked(key, target)
    if path is None:
        return Cell(target, Outcome.MISSING)
    verdict = load(subject, path, target)
    return Cell(target, verdict.outcome, path, verdict.reasons)


def _architectures(subject: Subject) -> tuple[str, ...]:
    found = {arch for file in subject.files.values() for arch in file.device_code.architectures}
    return tuple(sorted(found, key=natural))
