"""What an audit returns: for each input the answer (where it loads), the findings, and what could not be checked."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.options import Ignore
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.target import Target


class Outcome(enum.Enum):
    """What becomes of importing one module on one CPython.

    SUPPLIED: it loads, given the libraries that known distributions supply, torch's or NVIDIA's for example.
    UNPROVED: nothing speaks against it, but an unknown library, or a CPython without a symbol table, has the
    last word.
    """

    LOADS = "loads"
    SUPPLIED = "supplied"
    FAILS = "fails"
    MISSING = "missing"
    UNPROVED = "unproved"


@dataclass(frozen=True)
class Cell:
    """One module on one CPython: what becomes of it, by which file, and why, if it does not load for sure."""

    target: Target
    outcome: Outcome
    path: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModuleRow:
    """One extension module (dotted name) on every CPython that is asked about."""

    module: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Answer:
    """On which CPython, torch, C library and GPU an input loads.

    ``targets`` are the columns of the matrix; ``unreleased`` the CPythons that would install it, too, but are
    not out yet. ``torch`` are the versions that export all that the files need, empty strings never; None
    where no file needs torch. ``libc`` is what the files need at least (``glibc 2.17``), ``platforms`` what the
    tags say. ``architectures`` are GPU ones (``sm_90``, ``compute_90`` for PTX); ``assumed`` the libraries that
    must come from elsewhere, each with its provider (``libcudart.so.13 (nvidia-cuda-runtime)``).
    """

    targets: tuple[Target, ...] = ()
    modules: tuple[ModuleRow, ...] = ()
    unreleased: tuple[Target, ...] = ()
    torch: tuple[str, ...] | None = None
    libc: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suppressed:
    """A finding that an ``ignore`` of the user took out."""

    finding: Finding
    by: Ignore


@dataclass(frozen=True)
class SubjectReport:
    """One input: what it is, the answer, and the findings, the worst first. Sizes in bytes.

    *facts* are what the rules knew of it, if somebody asked for them: they take much memory.
    """

    label: str
    kind: Kind
    size: int
    shared_objects: int
    answer: Answer
    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    facts: Subject | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Report:
    """All inputs of one run. ``rules`` is how many rules were applied; ``roads`` lead to fewer files.

    ``decline``: each baseline, as the user names it, with the symbols that it counts, oldest first, and last ``now``;
    empty without a baseline.
    """

    subjects: tuple[SubjectReport, ...]
    unused_ignores: tuple[Ignore, ...] = ()
    roads: tuple[Road, ...] = ()
    rules: int = 0
    fail_on: str = "error"
    strict: bool = False
    decline: tuple[tuple[str, int], ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for subject in self.subjects for finding in subject.findings)

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def failed(self) -> bool:
        """Whether the findings reach what ``--fail-on`` names."""
        if self.fail_on == "never":
            return False
        limit = Severity.WARNING if self.strict or self.fail_on == "warning" else Severity.ERROR
        not_run = self.strict and any(subject.not_run for subject in self.subjects)
        return not_run or any(finding.severity >= limit for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0: fine, 1: findings that count. A file that cannot be read is a finding too."""
        return 1 if self.failed else 0
