"""What is loaded before a command does its work: a merge of small wheels takes about as long as what it imports."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.wheels import build_wheel, compile_library, extension_source
from wheelfuse.cli import COMMANDS

TARGETS = ("cp311", "cp312", "cp313")

OF_OTHER_COMMANDS = frozenset(
    {
        "wheelfuse.building",
        "wheelfuse.interpreters",
        "wheelfuse.pipelines",
        "wheelfuse.processes",
        "wheelfuse.pyproject",  # without a pyproject.toml
        "wheelfuse.verifying",
        "jinja2",
        "tomli",
        "tomllib",
        "multiprocessing",
    }
)
"""What neither a plain merge nor a plain audit needs."""
EDITORS = frozenset(
    f"wheelfuse.elf.{name}"
    for name in (
        "carrier",
        "edit",
        "module_ids",
        "outsource",
        "patch",
        "payloads",
        "recipe",
        "references",
        "strip",
        "unharmed",
    )
)
"""What edits ELF files, and reads of them what only editing needs."""

UNUSED = {
    "--version": frozenset(
        {
            "abi3info",
            "asyncio",
            "elftools",
            "hashlib",
            "isal",
            "jinja2",
            "packaging",
            "rich",
            "tomli",
            "tomllib",
            "zipfile",
        }
        | {f"wheelfuse.{room}" for room in ("abi", "auditing", "elf", "fuse", "report", "wheel")}
    ),
    "--help": frozenset({f"wheelfuse.cli.{command}" for command in COMMANDS} | {"packaging", "rich"}),
    "merge": OF_OTHER_COMMANDS
    | EDITORS
    | {
        "wheelfuse.auditing",
        "wheelfuse.fuse.debug_files",
        "wheelfuse.fuse.reconcile.entry_points",
        "wheelfuse.fuse.reconcile.metadata",
        "wheelfuse.fuse.reconcile.summary",
        "abi3info",
        "configparser",
        "packaging.requirements",
        "rich",
    },
    "audit": OF_OTHER_COMMANDS
    | EDITORS
    | {
        "wheelfuse.auditing.installed",
        "wheelfuse.fuse",
        "concurrent.futures.process",
        "importlib.metadata",
        "rich.console",
        "statistics",
    },
}
"""What each command does not load where nothing special is asked of it, and no terminal is there."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three wheels, each with an extension module of its own: nothing to strip, to share or to reconcile."""
    directory = tmp_path_factory.mktemp("wheels")
    module = compile_library(directory / "m.so", extension_source("m"))
    suffix = "-x86_64-linux-gnu.so"
    return [
        build_wheel(directory, target, {"pkg/__init__.py": "", f"pkg/m.cpython-{target[2:]}{suffix}": module})
        for target in TARGETS
    ]


def loaded(directory: Path, *arguments: str | Path) -> set[str]:
    """The modules that one call of the command line loads, beside those that every Python here has loaded."""
    code = "\n".join(
        [
            "import sys",
            "before = set(sys.modules)",
            "from wheelfuse.cli import main",
            "try:",
            "    main()",
            "except SystemExit as end:",
            "    assert not end.code, end.code",
            "print(*sorted(set(sys.modules) - before), file=sys.stderr)",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=directory, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(done.stderr.splitlines()[-1].split())


def among(modules: set[str], names: frozenset[str]) -> set[str]:
    """Those *modules* that have one of these names, or lie in a package of that name."""
    return {module for module in modules if any(f"{module}.".startswith(f"{name}.") for name in names)}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_needs_no_command_loads_none(option: str, tmp_path: Path) -> None:
    assert among(loaded(tmp_path, option), UNUSED[option]) == set()


def test_a_merge_loads_only_what_it_needs(wheels: list[Path], tmp_path: Path) -> None:
    modules = loaded(tmp_path, "merge", *wheels, "--expect", ",".join(TARGETS))
    assert among(modules, UNUSED["merge"]) == set()
    assert "wheelfuse.fuse.execute" in modules


def test_an_audit_loads_only_what_it_needs(wheels: list[Path], tmp_path: Path) -> None:
    modules = loaded(tmp_path, "audit", wheels[0])
    assert among(modules, UNUSED["audit"]) == set()
    assert "wheelfuse.auditing.runner" in modules


def test_what_is_asked_for_is_loaded(wheels: list[Path], tmp_path: Path) -> None:
    """So that what is not loaded above is known to be found if it is."""
    asked = ("--expect", ",".join(TARGETS), "--strip-debug", "--debug-files", tmp_path / "debug")
    modules = loaded(tmp_path, "merge", *wheels, *asked)
    assert "wheelfuse.fuse.debug_files" in among(modules, UNUSED["merge"])
    modules = loaded(tmp_path, "audit", *wheels[:2], "--jobs", "2")
    assert "concurrent.futures.process" in among(modules, UNUSED["audit"])


@pytest.mark.parametrize(
    "name", sorted(name for name in frozenset().union(*UNUSED.values()) if "wheelfuse" in name)
)
def test_what_is_named_here_exists(name: str) -> None:
    assert importlib.util.find_spec(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_how_the_help_of_each_begins(name: str) -> None:
    command = import_module(f"wheelfuse.cli.{name}").command
    assert command.get_short_help_str(limit=1000) == COMMANDS[name]
