"""Which CPythons Requires-Python and the options ask for, and which interpreter each gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wheelfuse.abi.cpython import newest_known
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.interpreters.matrix import (
    KEYS,
    Matrix,
    MatrixOptions,
    assign,
    matrix,
    parse_pythons,
)
from wheelfuse.interpreters.probe import Interpreter, Unusable
from wheelfuse.interpreters.search import Found, choose
from wheelfuse.target import Target
from wheelfuse.wheel.name import Platform


def tags(requires_python: str, **options: Any) -> list[str]:
    """The minor versions of the matrix: ``10 11 12``; free-threaded ones as ``13t``."""
    given = MatrixOptions(
        **{
            name: parse_pythons([value]) if isinstance(value, str) else value
            for name, value in options.items()
        }
    )
    return [str(target).removeprefix("cp3") for target in matrix(requires_python, given).targets]


@pytest.mark.parametrize(
    ("requires_python", "expected"),
    [
        (">=3.10,<3.14", "10 11 12 13"),
        (">=3.10, <3.15", "10 11 12 13 14"),
        (">=3.10", "10 11 12 13 14 15"),
        (">=3.13,<4", "13 14 15"),
        ("~=3.12", "12 13 14 15"),
        ("~=3.12.1", "12"),
        ("==3.11.*", "11"),
        ("==3.12.4", "12"),
        (">3.11", "11 12 13 14 15"),  # PEP 440: 3.11.1 is more than 3.11
        (">=3.11.1", "11 12 13 14 15"),
        (">=3.10,!=3.12.*,<3.15", "10 11 13 14"),
        (">=3.10,!=3.11.4,<3.13", "10 11 12"),
        (">=3.10,<=3.12", "10 11 12"),
        (">=3.10,<=3.12.99999", "10 11 12"),
        (">=3.8,<3.11", "8 9 10"),
        (">=3.6,<3.10", "8 9"),
        ("<3.13", "10 11 12"),
        (">=3,<3.12", "10 11"),
        (">=2.7,!=3.0.*,!=3.1.*,<3.11", "8 9 10"),
        (">=3.14", "14 15"),
    ],
)
@pytest.mark.usefixtures("known_until_3_15")
def test_a_specifier_gives_its_cpythons(requires_python: str, expected: str) -> None:
    assert tags(requires_python) == expected.split()


def test_the_newest_cpython_known_ends_what_is_open() -> None:
    assert matrix(">=3.10").targets[-1] == newest_known()


@pytest.mark.parametrize(
    ("requires_python", "note"),
    [
        (">=3.10", "states no newest CPython: up to 3.15"),
        ("<3.13", "states no oldest CPython: from 3.10 on"),
        (">=3.7,<3.13", "admits older CPythons, too, but nothing is built for those before cp38"),
    ],
)
@pytest.mark.usefixtures("known_until_3_15")
def test_what_is_assumed_is_told(requires_python: str, note: str) -> None:
    [told] = matrix(requires_python).notes
    assert note in told


def test_nothing_is_told_where_nothing_is_assumed() -> None:
    assert matrix(">=3.8,<3.13").notes == ()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"free_threaded": True}, "12 13 13t 14 14t"),
        ({"free_threaded": True, "exclude": "cp313t"}, "12 13 14 14t"),
        ({"include": "3.14t"}, "12 13 14 14t"),
        ({"include": "3.12"}, "12 13 14"),
        ({"exclude": "cp312,3.13"}, "14"),
        ({"pythons": "3.13, 3.14t"}, "13 14t"),
        ({"pythons": "3.13", "include": "3.14t"}, "13 14t"),
        ({"pythons": "3.13", "free_threaded": True}, "13"),
    ],
)
def test_the_options_change_the_matrix(options: dict[str, Any], expected: str) -> None:
    assert tags(">=3.12,<3.15", **options) == expected.split()


def test_a_cpython_that_nobody_knows_yet_may_be_included() -> None:
    assert tags(">=3.14", include="3.16") == ["14", "15", "16"]


def test_an_exclusion_of_nothing_is_told() -> None:
    chosen = matrix(">=3.10,<3.13", MatrixOptions(exclude=(Target(9), Target(12))))
    assert chosen.notes == ("cp39: excluded, but not in the matrix anyway",)


@pytest.mark.parametrize(
    ("requires_python", "options", "message"),
    [
        ("", {}, r"states no requires-python.*\n.*\[tool.wheelfuse.build\] pythons"),
        (" ", {"include": "3.12"}, "states no requires-python"),
        (">=3.16", {}, "admits no CPython from 3.8 to 3.15"),
        (">=3.12,<3.12", {}, "admits no CPython"),
        (">=3.12", {"exclude": "3.12,3.13,3.14,3.15"}, "all CPythons of the matrix are excluded"),
        (">=3.12", {"include": "3.11"}, "requires-python '>=3.12' does not admit cp311"),
        (">=3.12", {"pythons": "3.10,3.12,3.11"}, "does not admit cp310, cp311"),
        (">=3.12", {"include": "3.13t", "exclude": "3.13t"}, "cp313t: both included and excluded"),
    ],
)
@pytest.mark.usefixtures("known_until_3_15")
def test_a_matrix_that_makes_no_sense_is_refused(
    requires_python: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}"):
        tags(requires_python, **options)


def test_a_requires_python_that_is_no_specifier_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"3\.10 or so"):
        matrix("3.10 or so")


def test_the_named_cpythons_need_no_requires_python() -> None:
    assert matrix("", MatrixOptions(pythons=(Target(12),))) == Matrix("", (Target(12),))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["cp312"], "cp312"),
        (["3.12,3.10", "cp314t"], "cp310 cp312 cp314t"),
        (["3.13t, 3.13 ,cp313t"], "cp313 cp313t"),
        ([""], ""),
    ],
)
def test_cpythons_are_read_as_versions_or_tags(texts: list[str], expected: str) -> None:
    assert " ".join(map(str, parse_pythons(texts))) == expected


@pytest.mark.parametrize(
    "text", ["3", "2.7", "312", "cp27", "3.12.1", "py312", "cp313d", ">=3.10", "pp310", "3.14 t"]
)
def test_what_is_no_cpython_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a CPython such as"):
        parse_pythons([text])


def test_the_configuration_has_the_same_options() -> None:
    table = {
        "pythons": ["3.12", "cp313"],
        "include": ["3.14t"],
        "exclude": ["3.13"],
        "free-threaded": False,
        "jobs": 1,
    }
    assert set(table) - {"jobs"} == KEYS
    assert MatrixOptions.from_table(table) == MatrixOptions(
        (Target(12), Target(13)), (Target(14, free_threaded=True),), (Target(13),), False
    )
    assert MatrixOptions.from_table({}) == MatrixOptions()


@pytest.mark.parametrize(
    "table",
    [
        {"pythons": "3.12"},
        {"include": [3.12]},
        {"exclude": {"cp312": 1}},
        {"free-threaded": "yes"},
        {"pythons": ["x"]},
    ],
)
def test_a_configuration_of_the_wrong_kind_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        MatrixOptions.from_table(table)


def test_the_command_line_goes_over_the_configuration() -> None:
    t10, t11, t12, t13 = map(Target, range(10, 14))
    base = MatrixOptions((t10,), include=(t11, t12), exclude=(t13,), free_threaded=True)
    assert MatrixOptions().over(base) == base
    assert MatrixOptions((t13,)).over(base) == MatrixOptions((t13,))
    over = MatrixOptions(include=(t13,), exclude=(t12,), free_threaded=False).over(base)
    assert over == MatrixOptions((t10,), (t13, t11), (t12,), False)


def interpreter(version: str, path: str = "", source: str = "PATH") -> Interpreter:
    target = Target(int(version.split(".")[1]))
    soabi = f"{target.soabi_tag}-x86_64-linux-gnu"
    machine, include = Platform("x86_64", "glibc", (2, 36)), Path("/include")
    place = Path(path or f"/{version}")
    return Interpreter(place, target, version, soabi, f".{soabi}.so", machine, include, source=source)


def test_each_target_gets_its_interpreter_or_the_reason_why_not() -> None:
    no_headers = Unusable(Path("/bare"), "has no headers", target=Target(12))
    broken, other = Unusable(Path("/broken"), "hangs"), Unusable(Path("/old"), "is old", target=Target(7))
    found = choose(
        [interpreter("3.11.1"), interpreter("3.11.2"), interpreter("3.9.0")], [no_headers, broken, other]
    )
    result = assign(matrix(">=3.11,<3.13"), found)
    first, second = result.rows
    assert (first.target, str(first.interpreter and first.interpreter.path)) == (Target(11), "/3.11.2")
    assert (second.target, second.interpreter, second.passed_over) == (Target(12), None, (no_headers,))
    assert result.missing == (Target(12),)
    assert [str(i.path) for i in result.interpreters] == ["/3.11.2"]
    assert [str(i.path) for i in result.twins] == ["/3.11.1"]
    assert result.others == (broken,)


def test_what_is_passed_over_for_a_target_that_is_there_belongs_to_the_others() -> None:
    bare = Unusable(Path("/bare"), "has no headers", target=Target(11))
    result = assign(matrix("==3.11.*"), Found((interpreter("3.11.1"),), (), (bare,)))
    assert result.rows[0].passed_over == ()
    assert result.others == (bare,)


def test_an_interpreter_whose_micro_version_is_not_admitted_gives_way() -> None:
    given, other = interpreter("3.11.1", source="given"), interpreter("3.11.7")
    [row] = assign(matrix("==3.11.*,>=3.11.4"), choose([given, other])).rows
    assert row.interpreter == other
    [row] = assign(matrix("==3.11.*,>=3.11.4"), choose([given])).rows
    assert row.interpreter is None
    assert "is 3.11.1, which requires-python ==3.11.*,>=3.11.4 does not admit" in row.passed_over[0].reason


def test_a_release_candidate_counts_as_its_release() -> None:
    candidate = interpreter("3.15.0rc1")
    assert assign(matrix(">=3.15"), choose([candidate])).interpreters == (candidate,)
