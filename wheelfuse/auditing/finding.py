"""What a rule is and what it finds. Findings are values, never exceptions."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import total_ordering


@total_ordering
class Severity(enum.Enum):
    """How bad a finding is: an error means that some user will be hurt, a warning that some may be."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 2 for error."""
        return list(Severity).index(self)

    def __lt__(self, other: Severity) -> bool:
        return self.rank < other.rank

    def __str__(self) -> str:
        return self.value


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many there are beside: ``a, b, c and 4 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


_LONGEST = 4096
"""Letters of a line. Compilers make names of symbols of some thousand letters; nobody reads longer ones."""


def clipped(text: str) -> str:
    """A line, cut if it is longer than anybody reads."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} letters)"


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found.

    ``message`` is one line without a full stop: what is wrong, with its reason. ``path`` is the member of the
    input that it is about, empty if it is about the input as a whole. ``todo`` says what to do. ``details``
    are further lines (symbols, files), the most telling first; reports may cut them. ``subject`` names the
    input; the runner fills it in where a rule looks at one input at a time.
    """

    code: str
    severity: Severity
    message: str
    path: str = ""
    todo: str = ""
    details: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True)
class NotRun:
    """A check that could not be made, and why. It is reported, and counts as no success."""

    code: str
    reason: str
    path: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Rule:
    """The identity of a rule: ``WF203``, ``stale-module``, the severity of its findings, and a title.

    The docstring of the module that defines it is its explanation.
    """

    code: str
    name: str
    severity: Severity
    title: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"WF\d{3}", self.code) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"a rule is called WF123 and some-name, not {self.code} and {self.name}")

    def finding(
        self,
        message: str,
        path: str = "",
        *,
        todo: str = "",
        details: tuple[str, ...] = (),
        subject: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule; *severity* where a case is milder than the rule. Endless names are cut."""
        shown = clipped(message), path, todo, tuple(map(clipped, details))
        return Finding(self.code, severity or self.severity, *shown, subject)

    def not_run(self, reason: str, path: str = "", *, subject: str = "") -> NotRun:
        """That this rule could not be applied."""
        return NotRun(self.code, reason, path, subject)
