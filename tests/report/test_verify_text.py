"""The text of a verification: shape tells what colour tells, at any width, and nothing is called ok that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.test_json import valid
from wheelfuse.report.verify_json import verification_to_json
from wheelfuse.report.verify_text import MARKS, verification_report, verification_summary
from wheelfuse.target import Target
from wheelfuse.verifying.results import Imported, Outcome, Result, Trial, Verification, VerifiedWheel

OK = Result(Outcome.OK, seconds=0.5)
LEFT = Result(Outcome.NOT_VERIFIED, "no CPython 3.14 on this machine")
LETTERS = {
    "o": OK,
    "n": Result(Outcome.OK, "the GIL was turned on for it"),
    "F": Result(Outcome.FAILED, "ImportError: no luck", "Traceback ...\nImportError: no luck"),
    "I": Result(Outcome.FAILED, "the installer refused it"),
    "C": Result(Outcome.CRASHED, "the process was killed by SIGSEGV"),
    "H": Result(Outcome.HUNG, "the process did not end in time"),
    "M": Result(Outcome.MISSING, "it has no file for it"),
    "-": Result(Outcome.ABSENT),
    "?": LEFT,
}


def trial(number: int, letters: str, command: Result | None = None) -> Trial:
    """A trial on 3.10 or later: a letter for the installation, then one for each module."""
    installation, *modules = (LETTERS[letter] for letter in letters)
    target = Target(10 + number)
    named = tuple(Imported(f"pkg._{n}", f"pkg/_{n}.so", result) for n, result in enumerate(modules))
    tried = installation is not LEFT
    python, version = ("/usr/bin/python", f"{target.python_version}.1") if tried else ("", "")
    return Trial(target, python, version, installation, named, command)


def verified(*trials: Trial, **how: object) -> Verification:
    return Verification((VerifiedWheel(Path("/dist/pkg-1.0-py3-none-any.whl"), trials),), **how)  # type: ignore[arg-type]


MIXED = verified(
    trial(0, "ooFo", OK),
    trial(1, "oCnM", Result(Outcome.FAILED, "exit status 1", "1 failed\n\x1b[31mred\x1b[0m")),
    trial(2, "oH-o", OK),
    trial(3, "I???", LEFT),
    trial(4, "????", LEFT),
    command="pytest -q",
)


def test_every_outcome_has_a_shape_of_its_own() -> None:
    assert len(set(MARKS.values())) == len(Outcome)
    lines = [line.split() for line in verification_report(MIXED, width=100).splitlines()]
    assert ["3.10", "3.11", "3.12", "3.13", "3.14"] in lines
    assert ["installs", "ok", "ok", "ok", "FAIL", "?"] in lines
    assert ["pkg._0", "ok", "CRASH", "HANG", "?", "?"] in lines
    assert ["pkg._1", "FAIL", "ok*", "-", "?", "?"] in lines
    assert ["pkg._2", "ok", "MISSING", "ok", "?", "?"] in lines
    assert ["command", "ok", "FAIL", "ok", "?", "?"] in lines


def test_reasons_come_once_with_where_they_hold() -> None:
    text = verification_report(MIXED, width=200)
    for line in (
        "FAIL    pkg._1 on 3.10: ImportError: no luck",
        "CRASH   pkg._0 on 3.11: the process was killed by SIGSEGV",
        "HANG    pkg._0 on 3.12: the process did not end in time",
        "MISSING pkg._2 on 3.11: it has no file for it",
        "?       3.14: no CPython 3.14 on this machine",
        "ok*     pkg._1 on 3.11: the GIL was turned on for it",
        "FAIL    command on 3.11: exit status 1",
        "FAIL    3.13: the installer refused it",
    ):
        assert text.splitlines().count(line) == 1, line
    assert text.count("no CPython 3.14 on this machine") == 1


def test_the_end_of_the_output_of_a_command_is_shown_and_cannot_steer_the_terminal() -> None:
    text = verification_report(MIXED, width=100)
    assert "command on 3.11, the end of its output:\n    1 failed\n    \\x1b[31mred\\x1b[0m\n" in text
    assert "\x1b" not in text
    assert "\x1b" in verification_report(MIXED, color=True)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_matrix_fits_the_width(width: int) -> None:
    wide = verified(*(trial(number % 6, "oCM") for number in range(6)))
    lines = verification_report(wide, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("pkg._1") for line in lines) == {40: 2, 60: 2, 80: 1, 120: 1}[width]
    assert sum(line.count("CRASH") for line in lines if line.startswith("pkg._0")) == 6


def test_many_modules_of_one_fate_become_one_row() -> None:
    text = verification_report(verified(trial(0, "o" + 40 * "o" + "F"), trial(1, "o" + 41 * "o")))
    assert "and 28 more modules" in text
    assert "pkg._40  " in text
    assert len(text.splitlines()) < 25


def test_the_verdict_counts_and_names_what_is_not_known() -> None:
    last = verification_report(MIXED, width=200).splitlines()[-1]
    assert last == "FAILED: 6 failures; 4 environments, 4 modules imported; not verified: 3.14"
    partly = verified(trial(0, "oo"), trial(1, "o?"), trial(4, "??"))
    known = "2 environments, 1 module imported; not verified: 3.14; not verified in full: 3.11"
    assert verification_report(partly, width=100).splitlines()[-1] == f"passed: {known}"
    strict = replace(partly, require_all=True)
    assert verification_report(strict, width=200).splitlines()[-1].startswith("FAILED: 2 environments")
    nothing = verified(trial(4, "??"))
    assert verification_report(nothing).splitlines()[-1] == "FAILED: nothing was verified"


def test_a_wheel_that_nothing_is_known_of_is_not_called_passed() -> None:
    wheels = (
        VerifiedWheel(Path("a.whl"), (trial(0, "oo"),)),
        VerifiedWheel(Path("b.whl"), (trial(0, "oF"), trial(1, "o?"))),
        VerifiedWheel(Path("c.whl"), (trial(4, "??"),)),
        VerifiedWheel(Path("d.whl"), ()),
    )
    assert verification_summary(Verification(wheels)).splitlines() == [
        "passed  a.whl",
        "FAILED  b.whl: fails on 3.10; not verified on 3.11",
        "?       c.whl: not verified on 3.14",
        "?       d.whl",
    ]


def test_what_was_left_out_is_told() -> None:
    wheel = VerifiedWheel(Path("a.whl"), (trial(0, "oo"),), (Target(11),), (Target(16), Target(17)))
    text = verification_report(Verification((wheel, VerifiedWheel(Path("b.whl"), ()))))
    assert "unasked 3.11: claimed, but not named with --python" in text
    assert "later   3.16, 3.17 would install it, too, once out" in text
    assert "it claims no CPython that could be verified" in text
    unnamed = VerifiedWheel(Path("c.whl"), (), (Target(11),))
    assert "it claims none of those named with --python" in verification_report(Verification((unnamed,)))


def test_the_document_holds_all_of_it() -> None:
    document = valid("verify", verification_to_json(MIXED))
    assert (document["ok"], document["exit_code"], document["command"]) == (False, 5, "pytest -q")
    [wheel] = document["wheels"]
    assert [item["target"] for item in wheel["trials"]] == ["cp310", "cp311", "cp312", "cp313", "cp314"]
    first = wheel["trials"][0]
    assert first["installation"] == {"outcome": "ok", "reason": "", "seconds": 0.5, "output": ""}
    assert first["modules"][1] == {
        "module": "pkg._1",
        "path": "pkg/_1.so",
        "outcome": "failed",
        "reason": "ImportError: no luck",
        "seconds": 0.0,
        "output": "Traceback ...\nImportError: no luck",
    }
    assert wheel["trials"][4]["command"]["outcome"] == "not verified"
    surrogate = verified(Trial(Target(10), "", "", Result(Outcome.FAILED, "\udcff")))
    assert json.loads(verification_to_json(surrogate).encode())["ok"] is False
