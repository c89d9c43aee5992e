"""Entry points and sets of lines are united, and differences of a text are shown in short."""

from __future__ import annotations

import random
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.fuse.reconcile.entry_points import reconcile_entry_points
from wheelfuse.fuse.reconcile.lines import reconcile_lines
from wheelfuse.fuse.reconcile.summary import unified_summary
from wheelfuse.fuse.reconcile.variant import Reconciled, Variant, name_targets, shorten
from wheelfuse.target import ALL_TARGETS, Target


def targets(names: str) -> tuple[Target, ...]:
    return tuple(sorted(Target.parse(name) for name in names.split()))


def variant(names: str, content: str | bytes) -> Variant:
    return Variant(targets(names), content if isinstance(content, bytes) else content.encode())


def test_entry_points_are_united_and_sorted() -> None:
    old = variant("cp310", "[console_scripts]\ntool-3.10 = demo:main\ntool=demo : main\n")
    new = variant("cp311", "[gui_scripts]\nTool = demo.gui\n\n[console_scripts]\ntool = demo:main\n")
    assert reconcile_entry_points([old, new]) == Reconciled(
        b"[console_scripts]\ntool = demo:main\ntool-3.10 = demo:main\n\n[gui_scripts]\nTool = demo.gui\n",
        (
            "entry point tool-3.10 of group console_scripts, so far only in cp310, is now on every Python",
            "entry point Tool of group gui_scripts, so far only in cp311, is now on every Python",
        ),
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "[g]\nname=pkg.mod:obj.attr[x,y]\n",
        "[g]\r\nname  =  pkg.mod : obj.attr [ y , x ]\r\n",
        "# made by hand\n[empty]\n[g]\nname = pkg.mod:obj.attr [x,y]",
    ],
)
def test_the_newest_bytes_stay_where_only_the_spelling_differs(spelling: str) -> None:
    new = variant("cp311", "[g]\nname = pkg.mod:obj.attr[x, y]  \n")
    assert reconcile_entry_points([variant("cp310", spelling), new]) == Reconciled(new.content)


def test_one_name_for_two_objects_is_a_conflict() -> None:
    variants = [
        variant("cp310 cp311", "[console_scripts]\ntool = demo:old\n"),
        variant("cp312", "[console_scripts]\ntool = demo:new\n"),
    ]
    assert reconcile_entry_points(variants).conflicts == (
        "entry point tool of group console_scripts differs: 'demo:old' in cp310, cp311; 'demo:new' in cp312",
    )


def test_names_differ_by_case_and_groups_do_not_share_names() -> None:
    variants = [variant("cp310", "[a]\nx = m:one\n"), variant("cp311", "[a]\nX = m:two\n[b]\nx = m:three\n")]
    assert reconcile_entry_points(variants).content == b"[a]\nX = m:two\nx = m:one\n\n[b]\nx = m:three\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"tool = demo:main\n", "no section headers"),
        (b"[g]\nname\n", "parsing errors"),
        (b"[g]\na = b\na = b\n", "already exists"),
        (b"[g]\na = b:c\n  d = e:f\n", "not one object reference"),
        (b"[g]\na =\n", "not one object reference"),
        (b"[g]\na = \xff\n", "utf-8"),
    ],
)
def test_invalid_entry_points_are_a_conflict_that_says_so(content: bytes, reason: str) -> None:
    result = reconcile_entry_points([variant("cp310", content), variant("cp311", "[g]\na = b\n")])
    assert result.content is None
    (conflict,) = result.conflicts
    assert conflict.startswith("entry points of cp310 cannot be read: ")
    assert reason in conflict


_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,2}", fullmatch=True)
_OBJECTS = st.sampled_from(["pkg.mod:main", "pkg", "pkg:Obj.attr [x]", "100%: odd"])
_TABLES = st.dictionaries(
    st.sampled_from(["console_scripts", "DEFAULT", "a.b"]), st.dictionaries(_NAMES, _OBJECTS, max_size=3)
)


@given(st.lists(_TABLES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_every_entry_point_of_every_wheel_is_there_whatever_the_order(
    tables: list[dict[str, dict[str, str]]], rng: random.Random
) -> None:
    variants = [Variant((t,), _ini(table).encode()) for t, table in zip(ALL_TARGETS, tables, strict=False)]
    result = reconcile_entry_points(variants)
    assert reconcile_entry_points(rng.sample(variants, len(variants))) == result
    expected = {
        ((group, name), value)
        for table in tables
        for group, entries in table.items()
        for name, value in entries.items()
    }
    if len(dict(expected)) < len(expected):
        assert result.content is None
        return
    assert result.content is not None
    found = Installed(result.content.decode()).entry_points
    assert {((point.group, point.name), point.value) for point in found} == expected


class Installed(Distribution):
    """A distribution that consists of its entry points."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "entry_points.txt" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError(path)


def _ini(table: dict[str, dict[str, str]]) -> str:
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in table.items()
    )


def test_lines_are_united_from_the_newest_on() -> None:
    old, new = variant("cp310", "a\r\nonly_old\r\n"), variant("cp312", "b\n\na\nb")
    assert reconcile_lines([old, new]) == Reconciled(
        b"b\na\nonly_old\n", ("lines that cp312 lacks, added from cp310: 1",)
    )


@pytest.mark.parametrize(("content", "expected"), [(b"a", b"a\n"), (b"", b""), (b"a\x0cb\n", b"a\x0cb\n")])
def test_equal_lines_end_in_one_newline(content: bytes, expected: bytes) -> None:
    result = reconcile_lines([variant("cp310", content), variant("cp311", content)])
    assert result == Reconciled(expected)


@pytest.mark.parametrize("binary", [b"\xff\xfe", b"text\0"])
def test_lines_of_binary_content_are_a_conflict(binary: bytes) -> None:
    result = reconcile_lines([variant("cp310", binary), variant("cp311", b"a\n")])
    assert result.content is None
    assert result.conflicts == ("in cp310 it is not UTF-8 text, so its lines cannot be joined",)


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=4), min_size=1, max_size=5), st.randoms())
def test_every_line_is_there_once_whatever_the_order(files: list[list[str]], rng: random.Random) -> None:
    variants = [Variant((t,), "\n".join(f).encode()) for t, f in zip(ALL_TARGETS, files, strict=False)]
    result = reconcile_lines(variants)
    assert reconcile_lines(rng.sample(variants, len(variants))) == result
    assert result.content is not None
    assert sorted(result.content.decode().split()) == sorted({line for lines in files for line in lines})


def test_a_summary_shows_the_contents_that_serve_the_most() -> None:
    variants = [
        variant("cp312", "a\nb\nnew\nd\n"),
        variant("cp310", "a\nb\nold\nd\n"),
        variant("cp311", "a\nb\nold\nd\n"),
        variant("cp39", "something else"),
    ]
    expected = (
        "--- pkg/x.py (cp310, cp311)",
        "+++ pkg/x.py (cp312)",
        "@@ -2,3 +2,3 @@",
        " b",
        "-old",
        "+new",
        " d",
    )
    assert unified_summary(variants, "pkg/x.py") == expected
    assert unified_summary(variants[::-1], "pkg/x.py") == expected


def test_a_summary_is_short_and_fast_whatever_the_content() -> None:
    old = "".join(f"line {number} {'x' * 500}\n" for number in range(50_000))
    diff = unified_summary(
        [variant("cp310", old), variant("cp311", old.replace("line", "row"))], "f", max_lines=9
    )
    assert len(diff) == 9
    assert diff[-1] == "…"
    assert all(len(line) <= 110 for line in diff)


@pytest.mark.parametrize(
    ("old", "new", "diff"),
    [
        (b"same", b"same", ()),
        (b"\x7fELF\0", b"a", ()),
        (b"\xff", b"a", ()),
        (b"a\n", b"a\r\n", ("--- f (cp310)", "+++ f (cp311)", "only line ends differ")),
        (b"", b"a\n", ("--- f (cp310)", "+++ f (cp311)", "@@ -1,0 +1,1 @@", "+a")),
        (b"a\nb\n", b"a\n", ("--- f (cp310)", "+++ f (cp311)", "@@ -1,2 +1,1 @@", " a", "-b")),
    ],
)
def test_a_summary_of_content_at_the_edges(old: bytes, new: bytes, diff: tuple[str, ...]) -> None:
    assert unified_summary([variant("cp310", old), variant("cp311", new)], "f") == diff


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("cp310", "cp310"),
        ("cp311 cp310", "cp310, cp311"),
        ("cp39 cp310 cp311 cp313 cp314 cp313t", "cp39 to cp311, cp313, cp314, cp313t"),
        ("cp313t cp314t cp315t", "cp313t to cp315t"),
    ],
)
def test_targets_are_named_in_runs(names: str, words: str) -> None:
    assert name_targets(iter(targets(names))) == words


def test_long_values_are_shortened_to_one_line() -> None:
    assert shorten("a\n  b") == "'a b'"
    assert shorten("x" * 100, 10) == f"'{'x' * 9}…'"
