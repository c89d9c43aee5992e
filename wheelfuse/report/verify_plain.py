"""A verification in words alone, one fact in a line, for screen readers and for grep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import python, pythons
from wheelfuse.report.verify_text import verdict_line
from wheelfuse.target import Target
from wheelfuse.verifying.results import Outcome, Result, Trial, Verification, VerifiedWheel

WORDS = {
    Outcome.OK: "works on",
    Outcome.FAILED: "FAILS on",
    Outcome.CRASHED: "CRASHES on",
    Outcome.HUNG: "HANGS on",
    Outcome.MISSING: "is MISSING on",
    Outcome.ABSENT: "is absent on",
    Outcome.NOT_VERIFIED: "is not verified on",
}
"""What a cell of the matrix says."""


def verification_plain(verification: Verification) -> str:
    """The report of a verification."""
    lines: list[str] = []
    for wheel in verification.wheels:
        lines.append(f"wheel: {wheel.path.name}")
        lines += [f"command: {verification.command}"] if verification.command else []
        lines += _wheel(wheel)
    return "\n".join((*map(printable, (*lines, verdict_line(verification))), ""))


def _wheel(wheel: VerifiedWheel) -> Iterator[str]:
    steps: dict[str, list[tuple[Target, Result]]] = defaultdict(list)
    for trial in wheel.trials:
        for step, result in _steps(trial):
            steps[step].append((trial.target, result))
    for step, results in steps.items():
        alike: dict[tuple[Outcome, str], list[Target]] = defaultdict(list)
        for target, result in results:
            alike[result.outcome, result.reason].append(target)
        for (outcome, reason), targets in alike.items():
            yield f"{step}: {WORDS[outcome]} {pythons(targets)}{': ' + reason if reason else ''}"
    for trial in wheel.trials:
        for step, made in (("installation", trial.installation), ("command", trial.command)):
            if made and made.outcome.is_failure:
                lines = made.output.rstrip().expandtabs().splitlines()
                yield from (f"output of {step} on {python(trial.target)}: {line}" for line in lines)
    if wheel.unasked:
        yield f"unasked: {pythons(wheel.unasked)}: claimed, but not named with --python"
    if wheel.unreleased:
        yield f"later: {pythons(wheel.unreleased)} would install it, too, once out"
    if not wheel.trials:
        why = "none of those named with --python" if wheel.unasked else "no CPython that could be verified"
        yield f"it claims {why}"
    elif not wheel.trials[0].modules:
        yield "there is nothing in it that could be imported"


def _steps(trial: Trial) -> Iterator[tuple[str, Result]]:
    yield "installation", trial.installation
    yield from ((f"module {item.module}", item.result) for item in trial.modules)
    if trial.command:
        yield "command", trial.command
