"""What the project says of itself, held against published schemas and against what is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.fuse.merging import command
from tests.pipelines.systems import load, refused, zizmor
from wheelfuse.abi import cpython, torch
from wheelfuse.auditing.rules import entries
from wheelfuse.pipelines.github import workflow
from wheelfuse.pipelines.project import PipelineOptions, Project
from wheelfuse.target import ALL_TARGETS, OLDEST_MAINTAINED, Target

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE" / "config.yml"})
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_the_published_schemas_admit_them(schema: str, paths: list[Path], tmp_path: Path) -> None:
    assert paths and refused(schema, *paths) == ""
    wrong = tmp_path / f"wrong{paths[0].suffix}"
    wrong.write_text(
        re.sub(r"(?m)^(name|contact_links|cff-version):", "a-key-that-is-none:", paths[0].read_text())
    )
    wrong.write_text(wrong.read_text().replace("    runs-on:", "    run-on:"))
    assert wrong.name in refused(schema, wrong)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_zizmor_finds_nothing_in_the_workflows(path: Path, tmp_path: Path) -> None:
    assert zizmor(tmp_path, path.read_text(encoding="utf-8")) == []


def test_the_same_actions_are_used_as_in_the_workflows_that_are_written_for_others() -> None:
    """One version of each, so that one change brings all of them up to date."""
    text = workflow(Project("pkg", (Target(12),)), PipelineOptions())
    for path in (*WORKFLOWS, ROOT / "action.yml"):
        text += path.read_text(encoding="utf-8")
    versions: dict[str, set[str]] = {}
    for action, version in re.findall(r"uses: ([\w./-]+)@([\w./-]+)", text):
        versions.setdefault(action, set()).add(version)
    assert {"actions/checkout", "pypa/gh-action-pypi-publish"} <= set(versions)
    assert {action: found for action, found in versions.items() if len(found) > 1} == {}


def test_a_release_is_published_without_a_secret_after_all_was_checked() -> None:
    document = load((GITHUB / "workflows" / "release.yml").read_text())
    build, publish = document["jobs"]["build"], document["jobs"]["publish"]
    assert document["permissions"] == {"contents": "read"} and "permissions" not in build
    assert publish["needs"] == "build" and publish["environment"] == "release"
    assert publish["permissions"] == {"id-token": "write", "attestations": "write"}
    assert [step["run"] for step in build["steps"] if "run" in step] == [
        'python3 -m tools.release "$TAG"',
        "make distributions",
    ]
    assert not any("run" in step for step in publish["steps"]), "no code of ours where the index trusts us"
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text()


def test_both_kinds_of_ci_run_the_same_on_the_same_cpythons() -> None:
    [job] = load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"].values()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    exported = dict(
        word.split("=", 1)
        for line in re.findall(r"^export (.*)$", script, re.M)
        for word in shlex.split(line)
    )
    assert {name: str(value) for name, value in job["env"].items()} == exported
    required = [Target.parse(tag) for tag in exported["WHEELFUSE_REQUIRE_TARGETS"].split()]
    known = [target for target in cpython.table().columns if target >= OLDEST_MAINTAINED]
    assert required == [target for target in known if target != Target(13, free_threaded=True)]
    [setup] = [step["with"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert sorted(setup["python-version"].split()) == sorted(target.python_name for target in required)
    makes = [words for step in job["steps"] if (words := step.get("run", "")).startswith("make ")]
    assert makes == re.findall(r"^(?:timeout \S+ \S+ )?(make .*)$", script, re.M)


def test_every_target_of_make_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    files = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", GITHUB / "PULL_REQUEST_TEMPLATE.md", *WORKFLOWS]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(r"(?:`|run: )make ([a-z-]+)", text))
    assert {"test", "lint", "docs", "distributions"} <= named <= targets


def test_two_cpythons_that_are_not_released_are_considered() -> None:
    assert ALL_TARGETS[-1].minor == cpython.newest_known().minor + 2
    assert cpython.has_table(OLDEST_MAINTAINED)


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        (r"each CPython from ([\d.]+) to ([\d.]+), and each free-threaded", ALL_TARGETS[0], ALL_TARGETS[-1]),
        (r"tables know CPython ([\d.]+) to ([\d.]+)", cpython.table().columns[0], cpython.newest_known()),
        (
            r"tables know CPython \S+ to \S+ and torch ([\d.]+) to (\d+\.\d+)",
            torch.versions()[0],
            torch.versions()[-1],
        ),
    ],
)
def test_pages_tell_the_range_that_is_known(said: str, first: Any, last: Any) -> None:
    expected = tuple(getattr(end, "python_version", end) for end in (first, last))
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [match for page in pages for match in re.findall(said, page.read_text(encoding="utf-8"))]
    assert found and set(found) == {expected}


def test_reports_on_pages_end_with_the_number_of_rules() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [
        f"{page.relative_to(ROOT)}: {number} rules"
        for page in pages
        for number in re.findall(r"\((\d+) rules on ", page.read_text(encoding="utf-8"))
        if int(number) != len(entries())
    ]
    assert found == []


def test_every_path_that_contributing_names_is_there() -> None:
    named = set(
        re.findall(
            r"`((?:wheelfuse|tests|tools|docs|bench|fuzz|fixtures|csrc|vendor|\.ci|\.github)/[\w./-]*)`",
            CONTRIBUTING,
        )
    )
    assert len(named) > 20
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_what_the_program_offers(form: Path) -> None:
    calls = re.findall(r"(?:`|label: )wheelfuse ([^`\n]+)", form.read_text(encoding="utf-8"))
    assert calls or form.stem == "feature"
    for call in calls:
        name, *rest = call.split()
        code, out, _ = command(name) if name == "--version" else command(name, "--help")
        assert code == 0 and all(word in out for word in rest if word.startswith("--")), call
