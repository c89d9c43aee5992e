"""The answer of an audit, which comes first on the screen: where the input loads."""

from __future__ import annotations

from wheelfuse.auditing.report import Answer
from wheelfuse.auditing.subject import Subject


def answer(subject: Subject) -> Answer:
    """On which CPython, torch, C library and GPU the subject loads."""
    return Answer(targets=subject.known_targets)
