"""The version in one place, and what a release consists of."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.release import ROOT, problems, sections
from wheelfuse import __version__

CHANGELOG = """\
# Changelog

Text.

## [Unreleased]

### Added

- A thing.

## [1.10.0] - 2026-11-21

### Fixed

- Another.

## [1.9.0] - 2026-10-01

- The first.
"""
CITATION = "cff-version: 1.2.0\nmessage: m\ntitle: t\nversion: {}\n"


def project(
    directory: Path, version: str = "1.10.0", day: str = "2026-11-21", changelog: str = CHANGELOG
) -> Path:
    (directory / "docs" / "a").mkdir(parents=True)
    (directory / ".github" / "workflows").mkdir(parents=True)
    (directory / "README.md").write_text("pip install .\n")
    (directory / "CHANGELOG.md").write_text(changelog)
    citation = CITATION.format(version) + (f"date-released: {day}\n" if day else "")
    (directory / "CITATION.cff").write_text(citation)
    return directory


def test_this_tree_agrees() -> None:
    assert list(problems(ROOT, __version__)) == []


def test_the_sections_of_a_changelog() -> None:
    found = sections(CHANGELOG)
    assert [(section.name, section.date) for section in found] == [
        ("Unreleased", ""), ("1.10.0", "2026-11-21"), ("1.9.0", "2026-10-01"),
    ]  # fmt: skip
    assert found[0].text == "### Added\n\n- A thing."


def test_a_tree_that_is_ready(tmp_path: Path) -> None:
    tree = project(tmp_path, changelog=CHANGELOG.replace("### Added\n\n- A thing.\n\n", ""))
    assert list(problems(tree, "1.10.0", "v1.10.0")) == []


@pytest.mark.parametrize(
    ("version", "day", "old", "new", "said"),
    [
        (
            "1.9.0",
            "2026-11-21",
            "",
            "",
            "CITATION.cff: version is 1.9.0, that of wheelfuse/__init__.py 1.10.0",
        ),
        (
            "1.10.0",
            "2026-11-20",
            "",
            "",
            "CITATION.cff: date-released is 2026-11-20, CHANGELOG.md has 2026-11-21",
        ),
        ("1.10.0", "", "", "", "CITATION.cff: date-released is missing, CHANGELOG.md has 2026-11-21"),
        ("1.10.0", "2026-11-21", "## [Unreleased]\n", "", "CHANGELOG.md: does not begin with [Unreleased]"),
        (
            "1.10.0",
            "",
            "1.10.0",
            "1.11.0",
            "CHANGELOG.md: 1.11.0 is released, but wheelfuse/__init__.py says 1.10.0",
        ),
        (
            "1.10.0",
            "2026-11-21",
            "1.9.0",
            "1.10.0",
            "CHANGELOG.md: the releases are not in order, the newest first",
        ),
        (
            "1.10.0",
            "2026-11-21",
            "2026-10-01",
            "2026-10-1",
            "[1.9.0] - 2026-10-1 is not [1.2.3] - 2026-12-31",
        ),
        ("1.10.0", "2026-11-21", "[1.9.0]", "[1.9]", "[1.9] - 2026-10-01 is not [1.2.3] - 2026-12-31"),
    ],
)
def test_each_contradiction_is_told(
    version: str, day: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    tree = project(tmp_path, version, day, CHANGELOG.replace(old, new, 1))
    assert any(said in problem for problem in problems(tree, "1.10.0"))


@pytest.mark.parametrize(
    "line",
    ["      - uses: OWNER/wheelfuse@v1.9.0", "pip install 'wheelfuse[build]==1.9.0'", "    rev: v1.9.0"],
)
def test_a_page_that_installs_another_version_is_told(line: str, tmp_path: Path) -> None:
    tree = project(tmp_path)
    (tree / "docs" / "a" / "page.md").write_text(f"text\n{line}\n")
    assert list(problems(tree, "1.10.0")) == ["docs/a/page.md: tells users to install 1.9.0, not 1.10.0"]
    (tree / "docs" / "a" / "page.md").write_text(f"text\n{line.replace('1.9.0', '1.10.0')}\n")
    assert list(problems(tree, "1.10.0")) == []


def test_what_is_not_ready_for_a_tag_is_told(tmp_path: Path) -> None:
    tree = project(tmp_path)
    assert list(problems(tree, "1.10.0")) == []
    assert list(problems(tree, "1.10.0", "v1.10.0")) == [
        "CHANGELOG.md: there is something under [Unreleased]"
    ]
    (tree / ".github" / "config.yml").write_text("url: https://host/OWNER/wheelfuse\n")
    (tree / "CITATION.cff").write_text(CITATION.format("1.11.0"))
    assert list(problems(tree, "1.11.0", "v1.10.0")) == [
        "the tag is v1.10.0, the version of wheelfuse/__init__.py is 1.11.0",
        "CHANGELOG.md: there is no section [1.11.0]",
        "CHANGELOG.md: there is something under [Unreleased]",
        ".github/config.yml: OWNER stands for whose repository it is",
    ]


def test_the_command_fails_where_something_contradicts() -> None:
    command = [sys.executable, "-m", "tools.release"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (
        0,
        f"wheelfuse {__version__}: all that tells the version agrees\n",
    )
    done = subprocess.run([*command, "v0.0.1"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "the tag is v0.0.1" in done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the sdist and the wheel, as the pipeline of a release makes and tries them."""
    directory = tmp_path_factory.mktemp("dist")
    command = [str(ROOT / "tools" / "distributions.sh"), sys.executable, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"version {__version__}" in done.stdout and done.stdout.count("PASSED") == 2
    return directory


def tracked() -> set[str]:
    """The files of the project: what git tracks, or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def test_the_sdist_is_the_tree_that_git_holds(distributions: Path) -> None:
    [path] = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} == tracked()
    assert path.stat().st_size < 4_000_000


def test_the_wheel_is_the_package_with_its_data(distributions: Path) -> None:
    [path] = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"wheelfuse-{__version__}.dist-info/METADATA").decode()
    package = {name for name in names if ".dist-info/" not in name}
    assert package == {name for name in tracked() if name.startswith("wheelfuse/")}
    assert {
        "wheelfuse/abi/data/cpython.txt",
        "wheelfuse/report/schemas/merge-1.json",
        "wheelfuse/py.typed",
    } <= package
    assert f"\nVersion: {__version__}\n" in metadata and "\nLicense-Expression: Apache-2.0\n" in metadata
    assert not re.search(r"^(Project-URL|Home-page): ", metadata, re.MULTILINE), (
        "there is no home to name yet"
    )
