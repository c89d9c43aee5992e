"""Text from elsewhere: nothing in it works, nothing of it is lost, and what is for a shell stays what it was."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.odd_names import ALL, TOKENS, deciphered, forbidden, names, orders
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.escape import (
    as_bytes,
    harmless,
    printable,
    printable_lines,
    shell_line,
    shell_word,
    without_orders,
)


@pytest.mark.parametrize("given, text", [
    ("plain", "plain"), ("\x1b[31m", r"\x1b[31m"), ("a\nb\r\t", r"a\nb\r\t"), ("\u202e", r"\u202e"),
    ("caf\u00e9", "caf\u00e9"), ("\udcff", r"\udcff"), ("\x7f\x9b", r"\x7f\x9b"), ("\U000e0001", r"\U000e0001"),
    ("\\x1b", r"\\x1b"), ("a\\b", r"a\b"), ("a\\\x1b", r"a\\\x1b"), ("\\\\", r"\\\\"[:3]), ("x\ufe0f", r"x\ufe0f"),
])  # fmt: skip
def test_printable(given: str, text: str) -> None:
    assert printable(given) == text


@pytest.mark.parametrize("token", TOKENS)
def test_each_token_is_shown_and_steers_nothing(token: str) -> None:
    shown = printable(token)
    assert forbidden(shown) == [] and "\n" not in shown
    assert deciphered(shown) == token


@given(names)
@settings(max_examples=2000)
def test_what_is_shown_tells_what_it_was(name: str) -> None:
    shown = printable(name)
    assert forbidden(shown) == [] and "\n" not in shown
    assert deciphered(shown) == name  # so that names which differ look different


@given(names)
def test_the_last_resort_leaves_alone_what_is_printable(name: str) -> None:
    assert harmless(printable(name)) == printable(name)
    assert harmless(printable_lines(name), styles=True) == printable_lines(name)


@given(names)
def test_the_last_resort_lets_nothing_through(text: str) -> None:
    for shown in (harmless(text), re.sub(r"\x1b\[[0-9;]+m", "", harmless(text, styles=True))):
        assert forbidden(shown) == []
        assert shown.count("\n") == text.count("\n")
        assert orders(without_orders(shown)) == []


@pytest.mark.parametrize("style", ["\x1b[1m", "\x1b[0m", "\x1b[1;31m", "\x1b[2m", "\x1b[22;39m"])
def test_styles_of_reports_are_kept_if_asked_for(style: str) -> None:
    assert harmless(f"a{style}b", styles=True) == f"a{style}b"
    assert harmless(f"a{style}b") == f"a{style}b".replace("\x1b", "\\x1b")


@pytest.mark.parametrize(
    "sequence", ["\x1b[2J", "\x1b[8m", "\x1b[5m", "\x1b]0;x\x07", "\x1b[31", "\x1bc", "\x9b31m"]
)
def test_all_else_that_begins_with_escape_is_not(sequence: str) -> None:
    assert forbidden(harmless(sequence, styles=True)) == []


@pytest.mark.parametrize("text, shown", [
    ("::error::x", r"\x3a:error::x"), ("  ::error::x", r"  \x3a:error::x"), ("std::error::x", "std::error::x"),
    ("a\n::add-mask::b", "a\n\\x3a:add-mask::b"), ("a ##[error]b", r"a \x23#[error]b"), ("## a", "## a"),
    ("##vso[x]", r"\x23#vso[x]"), ("###[x]", r"#\x23#[x]"), ("#1", "#1"),
])  # fmt: skip
def test_orders_to_a_ci_system_are_broken_up(text: str, shown: str) -> None:
    assert without_orders(text) == shown


@given(names, names, names)
def test_a_problem_as_text_is_harmless_and_has_the_lines_that_it_should(
    what: str, member: str, todo: str
) -> None:
    problem = Problem(what, "a.whl", member, todo)
    for shown in (str(problem), str(InvalidInput(problem))):
        assert forbidden(shown) == []
        lines = shown.split("\n")
        assert lines[0].startswith(f"a.whl: {printable(member)}: ")
        assert [line for line in lines[1:] if not line.startswith("    ")] == []
        assert len(lines) == 2 + what.count("\n") + todo.count("\n")


@given(st.lists(names.filter(lambda name: "\0" not in name), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_words_for_a_shell_are_what_they_were_when_pasted(words: list[str]) -> None:
    line = shell_line(words)
    shown = without_orders(harmless(str(Problem("x", todo=line)))).removeprefix("x\n    ")
    assert forbidden(line) == []
    assert shown == line  # the text around it does not change it
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {shown}"], capture_output=True, check=True, env={})
    assert done.stdout.split(b"\0")[:-1] == list(map(as_bytes, words))


def test_words_for_a_shell_look_as_usual_if_they_can() -> None:
    assert shell_word("a/b.py=keep") == "a/b.py=keep"
    assert shell_word("a/b.py=keep", quotes=True) == "'a/b.py=keep'"
    assert shell_word("a b", quotes=True) == shell_word("a b") == "'a b'"
    assert shell_word("a\x1b'") == r"$'a\033\047'"
    assert shell_word(ALL).isprintable()


@pytest.mark.parametrize("name, content", [
    ("caf\u00e9", b"caf\xc3\xa9"), ("\udcff", b"\xff"), ("\ud800", b"\xed\xa0\x80"),
])  # fmt: skip
def test_names_have_bytes_whatever_they_are(name: str, content: bytes) -> None:
    assert as_bytes(name) == content
