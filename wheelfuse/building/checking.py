"""Whether what a build left behind is the wheel that was asked for."""

from __future__ import annotations

from pathlib import Path

from wheelfuse.errors import InvalidInput, JobFailed
from wheelfuse.target import Target
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.name import WheelName, rank
from wheelfuse.wheel.wheel import read_wheel


def checked(directory: Path, target: Target) -> Path:
    """The one wheel in *directory*, for *target*.

    Raises:
        JobFailed: there is none or more than one, it is damaged, or that CPython would not install it.
    """
    wheels = sorted(directory.glob("*.whl"))
    if len(wheels) != 1:
        left = ", ".join(path.name for path in wheels) or "none"
        raise JobFailed(f"the build must leave exactly one wheel, and left {left}")
    (path,) = wheels
    try:
        name = WheelName.parse(path.name)
        with Archive(path) as archive:
            read_wheel(archive)
    except InvalidInput as error:
        raise JobFailed(f"the wheel that was built is damaged: {error}") from error
    if rank(target, name.interpreter_tags) is None:
        raise JobFailed(f"the wheel that was built is for {name.label}, and not for {target}: {path.name}")
    return path
