"""What a verification is to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from wheelfuse.errors import Problem, UsageError
from wheelfuse.target import Target

IMPORT_TIMEOUT, COMMAND_TIMEOUT = 60.0, 3600.0
"""Seconds that an import, and the user's command, may take unless the caller says otherwise."""


@dataclass(frozen=True)
class VerifyOptions:
    """What to verify, and what counts as a failure.

    *pythons* are interpreters, directories with some, or targets; none means all of this machine. *command* is
    run by the shell in each environment. *with_* are requirements to install beside the wheel, paths of wheels
    among them. With *no_deps* what the wheel requires is not installed, with *offline* no index is asked;
    *find_links* are directories with wheels. The timeouts are in seconds, for each import and for each run of the
    command. With *require_all* whatever was not verified is a failure. *allow_missing* are modules that a CPython
    may lack: ``cp314t:pkg._module``, or ``cp314t`` for all of it.
    """

    pythons: tuple[Path | Target, ...] = ()
    command: str = ""
    with_: tuple[str, ...] = ()
    no_deps: bool = False
    offline: bool = False
    find_links: tuple[Path, ...] = ()
    timeout: float = IMPORT_TIMEOUT
    command_timeout: float = COMMAND_TIMEOUT
    require_all: bool = False
    allow_missing: tuple[str, ...] = ()

    def allows_missing(self, target: Target, module: str) -> bool:
        """Whether the user accepts that *target* has no file for *module*."""
        return not {str(target), f"{target}:{module}"}.isdisjoint(self.allow_missing)


def parse_requirements(texts: Iterable[str]) -> tuple[str, ...]:
    """What to install beside the wheel: requirements (PEP 508), or files that exist.

    Raises:
        UsageError: one is neither.
    """
    return tuple(map(_parse_requirement, texts))


def _parse_requirement(text: str) -> str:
    if Path(text).is_file():
        return str(Path(text).absolute())
    try:
        return str(Requirement(text))
    except InvalidRequirement as error:
        what = "neither a requirement nor a file"
        raise UsageError(Problem(what, f"--with {text}", todo=str(error).splitlines()[0])) from error
