"""What the user decides about an audit: the same on the command line, in pyproject.toml and in Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.errors import Problem, UsageError
from wheelfuse.glob import glob_pattern
from wheelfuse.suggest import close, meant
from wheelfuse.wheel.limits import KEYS as LIMITS

FAIL_ON = ("error", "warning", "never")
_CODE = r"WF\d{3}"
_KEYS = {"select", "ignore", "severity", "fail-on", "strict"}


@dataclass(frozen=True)
class Ignore:
    """``CODE[:GLOB][=REASON]``: findings of this rule, at the paths that the glob matches, do not count.

    A code may be cut short: ``WF7`` means all rules about CUDA. Without a glob every path matches, and so do
    findings about the input as a whole.
    """

    code: str
    glob: str = ""
    reason: str = ""

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """Read ``CODE[:GLOB][=REASON]``.

        Raises:
            UsageError: it is not of that form.
        """
        match = re.fullmatch(r"(WF\d{0,3})(?::([^=]+))?(?:=(.*))?", text.strip(), re.DOTALL)
        if not match:
            raise UsageError(
                f"--ignore {text!r} is not CODE[:GLOB][=REASON], such as WF304:pkg/_x*.so=vendored"
                f"{_meant_code(re.split('[:=]', text)[0])}"
            )
        return cls._made(match[1], match[2] or "", (match[3] or "").strip())

    @classmethod
    def from_value(cls, value: Any) -> Ignore:
        """Read an entry of ``ignore`` in pyproject.toml: text as above, or a table of code, path and reason.

        Raises:
            UsageError: it is neither.
        """
        if isinstance(value, str):
            return cls.parse(value)
        if (
            not isinstance(value, Mapping)
            or not set(value) <= {"code", "path", "reason"}
            or not all(isinstance(item, str) for item in value.values())
            or not re.fullmatch(r"WF\d{0,3}", value.get("code", ""))
        ):
            raise UsageError(f"[tool.wheelfuse.audit] ignore: {value!r} is no table of code, path and reason")
        return cls._made(value["code"], value.get("path", ""), value.get("reason", ""))

    @classmethod
    def _made(cls, code: str, glob: str, reason: str) -> Ignore:
        try:
            glob_pattern(glob)
        except re.error as error:
            raise UsageError(f"--ignore {code}:{glob}: {error}") from error
        return cls(code, glob, reason)

    def matches(self, finding: Finding) -> bool:
        if not finding.code.startswith(self.code):
            return False
        return not self.glob or glob_pattern(self.glob).fullmatch(finding.path) is not None

    def __str__(self) -> str:
        return f"{self.code}:{self.glob}" if self.glob else self.code


@dataclass(frozen=True)
class AuditOptions:
    """All decisions about one audit.

    *select*: only rules whose codes begin so (empty: all). *severity*: code -> severity, in place of the
    rule's own; None turns a rule off. *fail_on*: ``error``, ``warning`` or ``never``; empty: not decided, which
    is ``error``. *strict*: as ``warning``, and a check that could not be made fails too.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[Ignore, ...] = ()
    severity: Mapping[str, Severity | None] = field(default_factory=dict)
    fail_on: str = ""
    strict: bool = False

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> AuditOptions:
        """Read ``[tool.wheelfuse.audit]``: ``select``, ``ignore``, ``severity``, ``fail-on``, ``strict``. Limits are
        not its business.

        Raises:
            UsageError: an unknown key, or a value of the wrong kind.
        """
        if unknown := sorted(set(table) - _KEYS - set(LIMITS)):
            raise UsageError(f"[tool.wheelfuse.audit] has unknown keys: {', '.join(unknown)}")
        ignore, strict, fail_on = (
            table.get("ignore", []),
            table.get("strict", False),
            table.get("fail-on", ""),
        )
        severity, select = table.get("severity", {}), table.get("select", [])
        if not isinstance(ignore, list) or not isinstance(strict, bool) or not isinstance(severity, Mapping):
            raise UsageError(
                "[tool.wheelfuse.audit]: ignore is a list, strict is true or false, severity a table"
            )
        if not isinstance(select, list) or not isinstance(fail_on, str):
            raise UsageError("[tool.wheelfuse.audit]: select is a list of codes, fail-on a word")
        return cls(
            parse_codes(select),
            tuple(Ignore.from_value(value) for value in ignore),
            dict(parse_severity(f"{code}={name}") for code, name in severity.items()),
            checked_fail_on(fail_on) if "fail-on" in table else "",
            strict,
        )

    def over(self, base: AuditOptions) -> AuditOptions:
        """These options on top of *base*."""
        return replace(
            self,
            select=self.select or base.select,
            ignore=self.ignore + base.ignore,
            severity={**base.severity, **self.severity},
            fail_on=self.fail_on or base.fail_on,
            strict=self.strict or base.strict,
        )


def parse_codes(texts: Iterable[Any]) -> tuple[str, ...]:
    """Codes or beginnings of codes, from ``WF3,WF401`` and the like.

    Raises:
        UsageError: one of them is none.
    """
    codes = [part.strip() for text in texts for part in str(text).split(",") if part.strip()]
    if wrong := [code for code in codes if not re.fullmatch(r"WF\d{0,3}", code)]:
        said = f"{wrong[0]!r} is no rule code such as WF304, nor the beginning of one"
        raise UsageError(f"{said}{_meant_code(wrong[0])}")
    return tuple(codes)


def require_rules(options: AuditOptions) -> None:
    """Nothing, if there are rules for all the codes in the options: a mistyped one would silently do nothing.

    Raises:
        UsageError: a code is that of no rule, nor the beginning of one.
    """
    given = (*options.select, *(ignore.code for ignore in options.ignore), *options.severity)
    if not given:
        return
    from wheelfuse.auditing.rules import listed

    known = {rule.code for rule in listed()}
    problems = [
        Problem(
            f"no rule has the code {code}{_meant_code(code)}", todo="wheelfuse audit --list-rules lists all."
        )
        for code in dict.fromkeys(given)
        if not any(rule.startswith(code) for rule in known)
    ]
    if problems:
        raise UsageError(problems)


def _meant_code(text: str) -> str:
    """The codes that may have been meant: by the name of a rule, or by a code that is alike."""
    from wheelfuse.auditing.rules import listed

    by_name = {rule.name: rule.code for rule in listed()}
    if not re.fullmatch(r"\W*[wW]?[fF]?\d*", text):
        near = close(text.replace("_", "-"), by_name)
        return f"; did you mean {by_name[near[0]]} ({near[0]})?" if near else ""
    return meant(text if text[:2].upper() == "WF" else f"WF{text}", by_name.values())


def parse_severity(text: str) -> tuple[str, Severity | None]:
    """``CODE=SEVERITY``, where the severity is error, warning, info or off.

    Raises:
        UsageError: it is not of that form.
    """
    code, _, name = text.partition("=")
    known: dict[str, Severity | None] = {"off": None, **{str(severity): severity for severity in Severity}}
    if not re.fullmatch(_CODE, code) or name not in known:
        raise UsageError(
            f"{text!r} is not CODE=SEVERITY, such as WF304=warning; there are {', '.join(known)}"
            f"{meant(name, known) if re.fullmatch(_CODE, code) else _meant_code(code)}"
        )
    return code, known[name]


def checked_fail_on(text: str) -> str:
    """*text*, if it is a value of ``--fail-on``.

    Raises:
        UsageError: it is none.
    """
    if text not in FAIL_ON:
        raise UsageError(f"fail-on is {text!r}; there are {', '.join(FAIL_ON)}{meant(text, FAIL_ON)}")
    return text
