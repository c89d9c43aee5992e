"""Inputs that once failed, as small as they fail, in ``fixtures/fuzz/TARGET``: tests try them for ever after."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from fuzz.drawing import drawer
from fuzz.seeds import FIXTURES
from fuzz.target import Target
from fuzz.targets import TARGETS
from fuzz.worker import Failure as Failure
from fuzz.worker import Hang, attempt, failure_of, limited


def files(target: Target) -> list[Path]:
    """What the corpus has for a target."""
    return sorted((FIXTURES / target.name).glob("*"))


def input_of(text: str) -> tuple[Target, bytes]:
    """The input that ``TARGET:SEED:NUMBER``, or the path of a file of the corpus, stands for."""
    if (path := Path(text)).is_file():
        return TARGETS[path.parent.name], path.read_bytes()
    name, seed, number = text.split(":")
    target = TARGETS[name]
    return target, drawer(target.inputs(), name, int(seed))(int(number))


def failure(target: Target, data: bytes) -> Failure | None:
    """How an input fails, in this process; None if it does not."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with limited():
                attempt(target, data, Path(name))
        except (Exception, Hang) as error:  # noqa: BLE001, as in the worker
            return failure_of(error, target, 0, 0)
    return None


def fails_like(target: Target, data: bytes) -> Callable[[bytes], bool]:
    """Whether another input fails at the same place as this one."""
    known = failure(target, data)

    def same(other: bytes) -> bool:
        found = failure(target, other)
        return (found and (found.kind, found.where)) == (known and (known.kind, known.where))

    return same


def minimised(data: bytes, still: Callable[[bytes], bool], most: int = 3000) -> bytes:
    """Leave out what can be left out, in pieces that become smaller and smaller, with *most* trials."""
    size, trials = len(data) // 2, 0
    while size and trials < most:
        at = 0
        while at < len(data) and trials < most:
            shorter = data[:at] + data[at + size :]
            trials += 1
            if still(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def save(target: Target, data: bytes, still: Callable[[bytes], bool]) -> Path:
    """Keep an input in the corpus under the digest of its content; returns the path."""
    small = minimised(data, still)
    path = FIXTURES / target.name / hashlib.sha256(small).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small)
    return path
