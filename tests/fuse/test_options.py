"""What the user decides: rules and the globs in them, targets, holes, and where they are written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tests.fuse.merging import build_matrix, command, fuse, fuse_matrix, options, refused
from wheelfuse import MergeOptions, Rule, UsageError
from wheelfuse.fuse.options import Rules, parse_missing, parse_targets
from wheelfuse.target import Target

CP310, CP311, CP312 = (Target(minor) for minor in (10, 11, 12))


# Rules


@pytest.mark.parametrize(
    ("text", "glob", "strategy"),
    [
        ("pkg/x.py=newest", "pkg/x.py", "newest"),
        ("pkg/**=keep", "pkg/**", "keep"),
        ("a=b=drop", "a=b", "drop"),
        ("x=cp312", "x", "cp312"),
        ("x=cp313t", "x", "cp313t"),
        ("x=cp39-abi3", "x", "cp39-abi3"),
        ("x=dispatch", "x", "dispatch"),
        ("x=rename", "x", "rename"),
    ],
)
def test_a_rule_is_a_glob_and_a_strategy(text: str, glob: str, strategy: str) -> None:
    rule = Rule.parse(text)
    assert (rule.glob, rule.strategy) == (glob, strategy)
    assert str(rule) == text


PARTS = st.sampled_from(["a", "b", "a.py", "[a]", "*", "**", "*.py", "?", ""])


@examples(
    st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(bool), max_size=8),
    st.lists(st.sampled_from(["a", "b", "a.py", "*"]), min_size=1, max_size=4).map("/".join),
)
def test_rules_are_found_as_if_each_were_tried(globs: list[str], path: str) -> None:
    rules = [Rule(glob, strategy) for glob in globs for strategy in ("newest", "drop")]
    assert Rules(rules).matching(path) == [rule for rule in rules if rule.matches(path)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not GLOB=STRATEGY"),
        ("pkg/x.py", "is not GLOB=STRATEGY"),
        ("=newest", "is not GLOB=STRATEGY"),
        ("x=", "unknown strategy ''"),
        ("x=latest", "unknown strategy 'latest'; there are keep, drop, newest, oldest, dispatch, rename"),
        ("x=cp3", "unknown strategy"),
        ("x=Newest", "unknown strategy"),
    ],
)
def test_a_text_that_is_no_rule_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Rule.parse(text)
    assert message in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("pkg/x.py", ["pkg/x.py"], ["pkg/xxpy", "pkg/x.pyc", "a/pkg/x.py", "PKG/x.py"]),
        ("pkg/*.py", ["pkg/x.py", "pkg/.py"], ["pkg/a/x.py", "pkg/x.pyi"]),
        ("pkg/**", ["pkg/x", "pkg/a/b/x"], ["pkg", "pkgs/x", "pkg.libs/x"]),
        ("**/x.py", ["x.py", "a/x.py", "a/b/x.py"], ["ax.py", "x.pyc"]),
        ("pkg/**/x.py", ["pkg/x.py", "pkg/a/b/x.py"], ["pkg/ax.py", "x.py"]),
        ("**", ["x", "a/b"], []),
        ("*.py", ["x.py"], ["a/x.py"]),
        ("pkg/?.py", ["pkg/x.py"], ["pkg/xy.py", "pkg/.py", "pkg//.py"]),
        ("pkg/[ab].py", ["pkg/a.py", "pkg/b.py"], ["pkg/c.py"]),
        ("pkg/[!ab].py", ["pkg/c.py"], ["pkg/a.py"]),
        ("pkg/[a-c]x", ["pkg/bx"], ["pkg/dx"]),
        ("pkg/a[[]b[*]c[?]", ["pkg/a[b*c?"], ["pkg/a[bxcx"]),
        ("pkg/a+b(c).txt", ["pkg/a+b(c).txt"], ["pkg/aabc.txt"]),
        ("pkg/unclosed[", ["pkg/unclosed["], ["pkg/unclosed"]),
        ("pkg/*", ["pkg/new\nline"], ["pkg/a/b"]),
    ],
)
@pytest.mark.filterwarnings("error")  # those of `re` would reach the user
def test_which_paths_a_glob_matches(glob: str, matching: list[str], others: list[str]) -> None:
    rule = Rule(glob, "newest")
    assert [path for path in matching if not rule.matches(path)] == []
    assert [path for path in others if rule.matches(path)] == []


def test_a_set_does_not_match_a_slash() -> None:
    assert not Rule("pkg[!a]x", "newest").matches("pkg/x")


@pytest.mark.parametrize("glob", ["pkg/[z-a].py", "pkg/[\\].py", "pkg/[a-\\d]"])
def test_a_set_that_makes_no_sense_is_told_or_taken_literally(glob: str) -> None:
    try:
        Rule.parse(f"{glob}=newest").matches("pkg/x.py")
    except UsageError as error:
        assert "--resolve" in str(error)


@examples(st.text(min_size=1))
def test_a_path_without_wildcards_matches_itself_alone(path: str) -> None:
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
    rule = Rule(escaped, "newest")
    assert rule.matches(path)
    assert not rule.matches(f"{path}x")


def differing() -> dict[Target, dict[str, str | bytes]]:
    return {
        target: {"pkg/a.txt": str(target), "pkg/b.txt": str(target), "pkg/same.txt": ""}
        for target in (CP310, CP311, CP312)
    }


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("newest", "cp312"), ("oldest", "cp310"), ("cp311", "cp311"), ("drop", None)],
)
def test_what_a_strategy_makes_of_data(tmp_path: Path, strategy: str, expected: str | None) -> None:
    fused = fuse_matrix(tmp_path, differing(), options(f"pkg/*={strategy}"))
    assert fused.names == {"pkg/same.txt", *(["pkg/a.txt", "pkg/b.txt"] if expected else [])}
    if expected:
        assert fused.read("pkg/a.txt").decode() == expected
    assert {(lost.label, lost.loss.path) for lost in fused.plan.lost} == {
        (str(target), f"pkg/{name}.txt")
        for target in (CP310, CP311, CP312)
        for name in "ab"
        if str(target) != expected
    }


def test_the_first_rule_that_matches_counts(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, differing(), options("pkg/a.txt=oldest", "pkg/*=newest"))
    assert fused.read("pkg/a.txt") == b"cp310"
    assert fused.read("pkg/b.txt") == b"cp312"


def test_a_file_of_some_wheels_is_kept_or_dropped(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {CP311: {"pkg/a.txt": "a"}, CP312: {}}
    assert fuse_matrix(tmp_path / "keep", files, options("**=keep")).names == {"pkg/a.txt"}
    assert fuse_matrix(tmp_path / "drop", files, options("**=drop")).names == set()
    assert fuse_matrix(tmp_path / "newest", files, options("**=newest")).names == {"pkg/a.txt"}
    assert fuse_matrix(tmp_path / "oldest", files, options("**=oldest")).names == {"pkg/a.txt"}
    assert fuse_matrix(tmp_path / "cp311", files, options("**=cp311")).names == {"pkg/a.txt"}
    assert fuse_matrix(tmp_path / "cp312", files, options("**=cp312")).names == set()


def test_a_rule_that_settles_nothing_is_a_warning(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, differing(), options("pkg/*=newest", "pkg/same.txt=newest", "no/such=drop"))
    assert "--resolve pkg/same.txt=newest matched no difference" in fused.warnings
    assert "--resolve no/such=drop matched no difference" in fused.warnings
    assert "pkg/*" not in fused.warnings


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("pkg/*=keep", "says nothing about which of its 3 contents counts"),
        ("pkg/*=dispatch", "says nothing about which of its 3 contents counts"),
        ("pkg/*=cp313", "no such wheel came, only cp310, cp311, cp312"),
        ("pkg/*=rename", "neither a module to import nor a library that any file links"),
    ],
)
def test_a_strategy_that_makes_no_sense_there_is_a_conflict(tmp_path: Path, rule: str, message: str) -> None:
    code, text = refused(build_matrix(tmp_path / "in", differing()), "--resolve", rule)
    assert code == 4
    assert f"--resolve {rule}" in text
    assert message in text


# Targets and holes


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ""),
        (["cp310,cp311"], "cp310 cp311"),
        (["cp311", "cp310"], "cp310 cp311"),
        (["cp313t,cp313,cp313"], "cp313 cp313t"),
        ([" cp310 , cp39 "], "cp39 cp310"),
        ([","], ""),
    ],
)
def test_targets_are_sorted_and_unique(texts: list[str], expected: str) -> None:
    assert " ".join(map(str, parse_targets(texts))) == expected


@pytest.mark.parametrize("text", ["3.12", "cp", "py312", "cp312-abi3", "cp27", "pp310", "cp310;cp311"])
def test_what_is_no_target_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a CPython 3 ABI tag"):
        parse_targets([text])


def test_holes_are_targets_or_modules_of_targets() -> None:
    assert parse_missing(["cp314,cp313t:pkg._x", "cp310"]) == ("cp314", "cp313t:pkg._x", "cp310")
    assert parse_missing([" cp314 , cp310:pkg.a,b ,"]) == ("cp314", "cp310:pkg.a,b ,")
    with pytest.raises(UsageError):
        parse_missing(["pkg._x"])


# Where they are written down


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, MergeOptions()),
        ({"resolve": ["a=newest", "b/**=drop"]}, options("a=newest", "b/**=drop")),
        ({"resolve": {"a": "newest", "b/**": "drop"}}, options("a=newest", "b/**=drop")),
        ({"expect": ["cp311", "cp310"]}, options(expect=["cp310", "cp311"])),
        ({"allow-missing": ["cp310", "cp311:x"]}, options(allow_missing=["cp310", "cp311:x"])),
        ({"strict": True}, options(strict=True)),
    ],
)
def test_the_table_of_pyproject(table: dict[str, Any], expected: MergeOptions) -> None:
    assert MergeOptions.from_table(table) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"resolv": []}, "unknown keys: resolv"),
        ({"resolve": "a=newest"}, "resolve must be a list of strings"),
        ({"resolve": [1]}, "resolve must be a list of strings"),
        ({"resolve": 1}, "resolve must be"),
        ({"resolve": True}, "resolve must be"),
        ({"resolve": {"a": 1}}, "unknown strategy '1'"),
        ({"resolve": ["a"]}, "is not GLOB=STRATEGY"),
        ({"expect": "cp310"}, "expect must be a list of strings"),
        ({"expect": 310}, "expect must be"),
        ({"expect": ["310"]}, "is not a CPython 3 ABI tag"),
        ({"allow-missing": [1]}, "allow-missing must be a list of strings"),
        ({"allow_missing": []}, "unknown keys: allow_missing"),
        ({"strict": "yes"}, "strict must be true or false"),
        ({"strict": 1}, "strict must be true or false"),
    ],
)
def test_a_table_that_makes_no_sense_is_a_usage_error(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        MergeOptions.from_table(table)
    assert message in str(error.value)


def test_options_of_the_command_line_come_first() -> None:
    given = options("a=newest", expect=["cp310"], allow_missing=["cp311"])
    configured = options("a=oldest", expect=["cp312"], allow_missing=["cp313"], strict=True)
    assert given.over(configured) == options(
        "a=newest", "a=oldest", expect=["cp310"], allow_missing=["cp311", "cp313"], strict=True
    )
    assert options().over(configured) == configured


def configured(directory: Path, text: str) -> Path:
    path = directory / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_pyproject_of_the_working_directory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = build_matrix(tmp_path / "in", differing())
    configured(tmp_path, '[tool.wheelfuse.merge]\nresolve = ["pkg/*=oldest"]\n')
    monkeypatch.chdir(tmp_path)
    code, _, _ = command("merge", *given, "-o", "here")
    assert code == 0
    (path,) = (tmp_path / "here").iterdir()
    fused = fuse(given, tmp_path / "out", options("pkg/*=oldest"))
    assert path.read_bytes() == fused.path.read_bytes()


def test_the_command_line_overrides_it(tmp_path: Path) -> None:
    given = build_matrix(tmp_path / "in", differing())
    config = configured(tmp_path, '[tool.wheelfuse.merge.resolve]\n"pkg/*" = "oldest"\n')
    code, _, _ = command(
        "merge", *given, "-o", tmp_path / "here", "--config", config, "--resolve", "pkg/a.txt=newest"
    )
    assert code == 0
    (path,) = (tmp_path / "here").iterdir()
    fused = fuse(given, tmp_path / "out", options("pkg/a.txt=newest", "pkg/*=oldest"))
    assert path.read_bytes() == fused.path.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.wheelfuse.merge]\nresolv = []\n", "unknown keys: resolv"),
        ("[tool.wheelfuse\n", "pyproject.toml"),
        ("[tool]\nwheelfuse = 1\n", "wheelfuse must be a table"),
        ("[tool.wheelfuse]\nmerge = []\n", "merge must be a table"),
    ],
)
def test_a_pyproject_that_cannot_be_read_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    given = build_matrix(tmp_path / "in", differing())
    code, shown = refused(given, "--config", configured(tmp_path, text), "--resolve", "**=newest")
    assert code == 2
    assert message in shown


def test_rules_that_settled_are_remembered_by_the_fused_wheel(tmp_path: Path) -> None:
    """Who merges a fused wheel again need not repeat them."""
    files = differing()
    first = fuse_matrix(tmp_path / "1", {t: files[t] for t in (CP310, CP311)}, options("pkg/*=newest"))
    third = build_matrix(tmp_path / "2", {CP312: {"pkg/a.txt": "c", "pkg/b.txt": "c", "pkg/same.txt": ""}},
                         requires_python=">=3.10")  # fmt: skip
    again = fuse([first.path, *third], tmp_path / "out")
    assert again.read("pkg/a.txt") == b"c"
