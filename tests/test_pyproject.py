"""What is read from pyproject.toml is of the right kind, or the message says where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from wheelfuse.errors import UsageError
from wheelfuse.pyproject import distribution, located, read_pyproject, strings, table


def test_a_directory_stands_for_the_file_in_it(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "x"\n')
    assert located(tmp_path) == located(path) == path
    assert read_pyproject(path) == {"project": {"name": "x"}}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("absent", None, "there is no such file"),
        ("pyproject.toml/below", b"", "there is no such file"),
        ("pyproject.toml", b"[project", "Expected"),
        ("pyproject.toml", b"name = '\xff'", "utf-8"),
        ("pyproject.toml", b"x = " + b"[" * 20_000, "nested too deeply"),
        (".", None, "cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes | None, text: str) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(UsageError, match=text) as caught:
        read_pyproject(tmp_path / name)
    assert caught.value.problems[0].wheel == str(tmp_path / name)


def test_tables_lie_in_one_another_and_may_be_absent() -> None:
    document = {"tool": {"wheelfuse": {"merge": {"strict": True}, "audit": 1}}}
    assert table(document, "p", "tool", "wheelfuse", "merge") == {"strict": True}
    assert table(document, "p", "tool", "other", "merge") == {}
    with pytest.raises(UsageError, match=r"^p: tool\.wheelfuse\.audit must be a table"):
        table(document, "p", "tool", "wheelfuse", "audit", "select")


def test_lists_have_nothing_but_strings_in_them() -> None:
    assert strings({"a": ["x", "y"]}, "p", "a") == ("x", "y")
    assert strings({}, "p", "a", default=("z",)) == ("z",)
    for value in ("x", [1], {"x": "y"}, None):
        with pytest.raises(UsageError, match=r"^p: a is a list of names"):
            strings({"a": value}, "p", "a", of="names")


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("Torch==2.*; python_version>'3'", "torch"), ("py_bind11 @ https://x/y.whl", "py-bind11"),
     ("torch ===???", "torch"), ("!", "")],
)  # fmt: skip
def test_the_distribution_of_a_requirement(requirement: str, name: str) -> None:
    assert distribution(requirement) == name
