"""The rules of the house that a program can check: who imports whom, what files name."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import wheelfuse

PACKAGE = Path(wheelfuse.__file__).parent
ROOT = PACKAGE.parent

BASE = frozenset(
    {"content", "errors", "escape", "glob", "sizes", "suggest", "target", "temporary", "workers"}
)
FACTS = BASE | {"wheel", "elf", "abi"}
MACHINE = frozenset({"processes", "interpreters"})
JOBS = FACTS | MACHINE | {"doctor", "auditing", "fuse", "building", "verifying", "pipelines", "surveying"}
MAY_IMPORT = {
    "content": frozenset({"temporary", "workers"}),
    "errors": frozenset({"escape"}),
    "escape": frozenset(),
    "glob": frozenset(),
    "sizes": frozenset(),
    "suggest": frozenset(),
    "target": frozenset({"errors", "suggest"}),
    "temporary": frozenset(),
    "workers": frozenset(),
    "pyproject": frozenset({"errors"}),
    "wheel": BASE,
    "elf": BASE,
    "abi": BASE | {"wheel", "elf"},
    "auditing": FACTS | {"pyproject"},
    "processes": frozenset(),
    "interpreters": BASE | {"wheel", "abi", "processes", "pyproject"},
    "building": BASE | MACHINE | {"wheel", "auditing", "pyproject"},
    "verifying": FACTS | MACHINE,
    "doctor": BASE | MACHINE | {"abi", "building"},
    "pipelines": BASE | {"pyproject"},
    "fuse": FACTS | {"auditing"},
    "surveying": FACTS | {"auditing"},
    "report": JOBS,
    "cli": JOBS | {"report", "pyproject"},
    "__init__": JOBS | {"report"},
    "__main__": frozenset({"cli"}),
}
"""Which parts of wheelfuse each part may import, besides itself."""

ONLY_IN = {
    "click": {"cli"},
    "rich": {"report"},
    "jinja2": {"report"},
    **{name: {"surveying"} for name in ("distributed", "duckdb", "fsspec", "pyarrow", "urllib3")},
    "torch": set[str](),
}
"""Libraries that only these parts may import."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    """The part of wheelfuse that *module*, a dotted name, lies in: ``fuse`` for ``wheelfuse.fuse.plan``."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def imported(source: str, package: str) -> Iterator[str]:
    """The dotted names that the module *source* in *package* imports, wherever in the file.

    ``from wheelfuse import fuse`` gives ``wheelfuse.fuse``; whether that is a module is not known here.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module == "wheelfuse":
                yield from (f"wheelfuse.{alias.name}" for alias in node.names)
            else:
                yield module


def violations(source: str, module: str, package: str) -> list[str]:
    """What the module of this dotted name imports and must not."""
    part = part_of(module)
    found = []
    for name in imported(source, package):
        top = name.split(".")[0]
        if top == "wheelfuse":
            other = part_of(name)
            if other not in MAY_IMPORT[part] | {part, "__version__"}:
                found.append(f"{part} imports {name}")
        elif part not in ONLY_IN.get(top, {part}):
            found.append(f"{part} imports {name}")
    return found


def dotted(path: Path) -> tuple[str, str]:
    """The dotted name of the module in *path*, and of the package it lies in."""
    names = ["wheelfuse", *path.relative_to(PACKAGE).with_suffix("").parts]
    if names[-1] == "__init__":
        return ".".join(names[:-1]), ".".join(names[:-1])
    return ".".join(names), ".".join(names[:-1])


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), *dotted(path)) == []


@pytest.mark.parametrize(
    ("source", "module", "package"),
    [
        ("import wheelfuse.fuse", "wheelfuse.auditing.runner", "wheelfuse.auditing"),
        ("from wheelfuse import fuse", "wheelfuse.auditing.runner", "wheelfuse.auditing"),
        ("from wheelfuse.elf.image import Image", "wheelfuse.wheel.name", "wheelfuse.wheel"),
        ("from ..fuse import plan", "wheelfuse.abi.table", "wheelfuse.abi"),
        ("from .. import fuse", "wheelfuse.abi.table", "wheelfuse.abi"),
        ("from ...cli import main", "wheelfuse.fuse.resolvers.record", "wheelfuse.fuse.resolvers"),
        ("def f():\n    import wheelfuse.report.text", "wheelfuse.fuse.plan", "wheelfuse.fuse"),
        ("if TYPE_CHECKING:\n    from wheelfuse.wheel import wheel", "wheelfuse.elf.image", "wheelfuse.elf"),
        ("from wheelfuse import Target", "wheelfuse.elf.image", "wheelfuse.elf"),
        ("import wheelfuse", "wheelfuse.elf.image", "wheelfuse.elf"),
        ("import click", "wheelfuse.fuse.plan", "wheelfuse.fuse"),
        ("from rich.table import Table", "wheelfuse.cli.merge", "wheelfuse.cli"),
        ("import torch.cuda", "wheelfuse.abi.table", "wheelfuse.abi"),
    ],
)
def test_the_check_finds_what_is_forbidden(source: str, module: str, package: str) -> None:
    assert len(violations(source, module, package)) == 1


@pytest.mark.parametrize(
    ("source", "module", "package"),
    [
        ("from wheelfuse.auditing.finding import Finding", "wheelfuse.fuse.plan", "wheelfuse.fuse"),
        ("from .name import WheelName", "wheelfuse.wheel.archive", "wheelfuse.wheel"),
        ("from . import name", "wheelfuse.wheel.archive", "wheelfuse.wheel"),
        ("from ..target import Target", "wheelfuse.wheel.archive", "wheelfuse.wheel"),
        ("import click", "wheelfuse.cli.merge", "wheelfuse.cli"),
        ("from wheelfuse import __version__", "wheelfuse.fuse.provenance", "wheelfuse.fuse"),
        ("from wheelfuse.fuse.plan import plan", "wheelfuse", "wheelfuse"),
    ],
)
def test_the_check_lets_pass_what_is_allowed(source: str, module: str, package: str) -> None:
    assert violations(source, module, package) == []


FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.~*-])/(?:root|work)/"),
    "a package index": re.compile(
        r"\bpypi\.org\b|\bpythonhosted\.org\b|https?://\S+/simple\b|--(?:extra-)?index-url"
    ),
    "a directory beside the repository": re.compile(r"\.\./shared"),
}
EXEMPT = {
    ("tests/test_house.py", "a path of one machine"),  # the examples below
    ("tests/test_house.py", "a package index"),
    ("tests/test_house.py", "a directory beside the repository"),
    (".ci/run", "a directory beside the repository"),  # where the machine that runs it keeps its tools
}


def texts() -> list[Path]:
    """The text files of the project: those that git tracks, or would; in an unpacked sdist, all."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        paths = list(ROOT.rglob("*"))
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]


def test_no_file_names_a_machine_or_a_package_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {what}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(line) and (str(path.relative_to(ROOT)), what) not in EXEMPT
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "cd /root/x",
        '"/work/main"',
        "https://pypi.org/project/x",
        "pip --index-url=x",
        "http://host/simple/",
        "../shared/x",
    ],
)
def test_that_check_can_fail(line: str) -> None:
    assert any(pattern.search(line) for pattern in FORBIDDEN.values())
