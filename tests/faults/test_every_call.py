"""Each call of the system that a command makes fails in turn: the old output stays, or the new one is whole."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.injection import ERRORS, READING, WRITING, counted, little_at_a_time
from tests.faults.soundness import hidden, require_installable, snapshot
from tests.fuse.merging import command
from tests.native import library, module, soabi
from tests.wheels import build_wheel, compile_library, extension_source
from wheelfuse.target import Target

TARGETS = ("cp310", "cp311")
EARLIER = "631152000"
PROJECT = '[project]\nname = "pkg"\nversion = "1"\nrequires-python = ">=3.12,<3.14"\n'


@dataclass(frozen=True)
class Scenario:
    """A command that writes into ``{out}``; *old* says how it came to what is there before (empty: nothing is)."""

    arguments: tuple[str, ...]
    old: tuple[str, ...] = ()

    def run(self, place: Path, *more: str) -> tuple[int, str]:
        code, _, err = command(*filled(self.arguments, place), *more)
        return code, err


def filled(arguments: tuple[str, ...], place: Path) -> list[str]:
    return [
        argument.format(inputs=place / "in", fused=place / "fused", out=place / "out")
        for argument in arguments
    ]


MERGE = ("merge", "{inputs}", "-o", "{out}", "-q")
SPLIT = ("split", "{fused}", "-d", "{out}", "-q")
DEBUG = (*MERGE, "--strip-debug", "--debug-files", "{out}/debug")
AUDIT = (
    "audit", "{inputs}", "-q", "--fail-on", "never",
    "--format", "sarif={out}/a.sarif", "--format", "json={out}/a.json", "--format", "markdown={out}/a.md",
)  # fmt: skip
BASELINE = ("audit", "{inputs}", "-q", "--fail-on", "never", "--write-baseline", "{out}/baseline.json")
CI = ("ci", "github", "-o", "{out}/pipeline.yml")
COMPILE = ("compile", "m.cpp", "-o", "{out}", "--target", sys.executable, "-q")

SCENARIOS = {
    "merge": Scenario(MERGE),
    "merge over an old one": Scenario((*MERGE, "--force"), MERGE),
    "merge with debug files": Scenario(DEBUG),
    "split": Scenario(SPLIT),
    "split over old ones": Scenario((*SPLIT, "--force"), SPLIT),
    "audit": Scenario(AUDIT),
    "audit over old ones": Scenario(AUDIT, AUDIT),
    "baseline": Scenario(BASELINE),
    "ci": Scenario((*CI, "--force"), CI),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def make_inputs(place: Path) -> Path:
    """Two wheels with modules, a library that both need under another name each, and a fused wheel."""
    debuggable = compile_library(place / "d.so", extension_source("_d"), "-g", "-Wl,--build-id")
    for target in map(Target.parse, TARGETS):
        source = f'extern char PyLong_FromLong; void *used = &PyLong_FromLong; const char *name = "{target}";'
        bound = library(source, "libbound.so.1", runpath="$ORIGIN")
        build_wheel(
            place / "in", str(target),
            {
                f"pkg/{soabi('_m', target)}": module("_m", target, beside={"libbound.so.1": bound}),
                "pkg/libbound.so.1": bound, f"pkg/{soabi('_d', target)}": debuggable,
                "pkg/config.py": f"NAME = '{target}'\n", "pkg/same.bin": b"same" * 5000,
            },
        )  # fmt: skip
    make_compiler(place)
    code, _, err = command("merge", place / "in", "-o", place / "fused", "-q")
    assert code == 0, err
    return place


def make_compiler(place: Path) -> None:
    """A compiler that makes the same module of anything, fast."""
    (place / "m.cpp").write_text("int x;\n")
    compile_library(place / "m.so", extension_source("_C"))
    (place / "c++").write_text(
        '#!/bin/sh\nuntil [ "$1" = -o ]; do shift; done\nexec cp "${0%/*}/m.so" "$2"\n'
    )
    (place / "c++").chmod(0o755)


@pytest.fixture(autouse=True)
def by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the calls come in the same order each time."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


@pytest.fixture
def place(inputs: Path, tmp_path: Path) -> Path:
    (tmp_path / "in").symlink_to(inputs / "in")
    (tmp_path / "fused").symlink_to(inputs / "fused")
    return tmp_path


def emptied(out: Path) -> None:
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if out.exists():
        out.rmdir()


class Trial:
    """A scenario in a directory, with what is there before and after it."""

    def __init__(self, scenario: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scenario, self.place, self.out = scenario, place, place / "out"
        self._with = monkeypatch
        self.old: dict[str, bytes] = {}
        (place / "pyproject.toml").write_text(PROJECT)
        tools = (place / "in").resolve().parent
        shutil.copy(tools / "m.cpp", place)
        monkeypatch.setenv("CXX", str(tools / "c++"))
        monkeypatch.chdir(place)
        if scenario.old:
            monkeypatch.setenv("SOURCE_DATE_EPOCH", EARLIER)
            assert command(*filled(scenario.old, place))[0] == 0
            self.old = snapshot(self.out)
            if {"audit", "ci", "compile"} & set(scenario.old):  # they would write the same again
                self.old = dict.fromkeys(self.old, b"an older one\n")
            monkeypatch.delenv("SOURCE_DATE_EPOCH")
        code, err = scenario.run(place)
        assert code == 0, err
        self.new = snapshot(self.out)
        assert self.new and self.new != self.old
        for path in self.out.rglob("*.whl"):
            require_installable(path)

    def reset(self) -> None:
        emptied(self.out)
        for name, content in self.old.items():
            path = self.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def is_input(self, path: Path) -> bool:
        """Whether it is an input, or the directory of one."""
        return any(path.is_relative_to((self.place / given).resolve()) for given in ("in", "fused"))

    def check(self, name: str, failed: Iterable[Path], code: int, err: str) -> None:
        """Hold what is there against what must be, after calls with this *name* failed that were about these paths."""
        left = hidden(self.out)
        found = {file: content for file, content in snapshot(self.out).items() if self.out / file not in left}
        assert "Traceback" not in err
        if code:
            assert code in {3 if self.is_input(path) else 5 for path in failed}, f"{name} of {failed}: {err}"
            assert os.strerror(ERRORS[name]) in err
            assert re.search(r"[\w.-]+\.(whl|so|json|sarif|md)|/\w+", err), "no file is named"
            assert "\n    " in err, f"nothing says what to do: {err}"
        if code and "is there, and whole" not in err and "replaced before" not in err:
            assert found == self.old, err
            assert self.old or left or not self.out.exists(), "an empty directory is left"
        elif code:
            for file, content in found.items():
                assert content in (self.old.get(file), self.new[file])
        elif (
            "audit" not in self.scenario.arguments
        ):  # an input that cannot be read is a finding, not an error
            assert found == self.new
        assert all(str(path) in err for path in left), "what is left is not named"
        if left:  # until a run writes there
            for file in found:
                (self.out / file).unlink()
            again, err = self.scenario.run(
                self.place, *(["--force"] if {"merge", "split"} & set(self.scenario.arguments) else [])
            )
            assert again == 0, err
            assert snapshot(self.out) == self.new


def failures(trial: Trial, names: Sequence[str], *, onwards: bool = False) -> Iterator[str]:
    """Let every call fail in turn, and give its name."""
    number = 0
    while True:
        trial.reset()
        with counted(names, number, onwards=onwards) as calls:
            code, err = trial.scenario.run(trial.place)
        if len(calls.made) <= number:
            assert code == 0
            return
        trial.check(calls.made[number], calls.failed, code, err)
        yield calls.made[number]
        number += 1


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_failure_of_any_call(scenario: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = set(failures(Trial(scenario, place, monkeypatch), (*WRITING, *READING)))
    assert {"write", "fsync", "unlink", "open", "flock"} <= failed
    assert "pread" in failed or "ci" in scenario.arguments
    assert failed & {"link", "replace"}


@pytest.mark.parametrize("onwards", [False, True])
def test_a_failure_while_a_compiled_module_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, onwards: bool
) -> None:
    trial = Trial(Scenario(COMPILE, COMPILE), place, monkeypatch)
    names = ("write", "fsync", "link", "replace")
    assert set(failures(trial, names, onwards=onwards)) == set(names)


@pytest.mark.parametrize("name", ["merge over an old one", "split"])
def test_a_failure_of_any_call_where_contents_are_kept_in_temporary_files(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wheelfuse.content.IN_MEMORY", 100)
    assert "pwrite" in set(failures(Trial(SCENARIOS[name], place, monkeypatch), (*WRITING, "open")))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_failure_that_lasts(scenario: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "write" in set(failures(Trial(scenario, place, monkeypatch), WRITING, onwards=True))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_calls_that_do_only_a_part(scenario: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(scenario, place, monkeypatch)
    trial.reset()
    with little_at_a_time():
        code, err = scenario.run(place)
    assert code == 0, err
    assert snapshot(trial.out) == trial.new


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_calls_that_are_interrupted_again_and_again(
    scenario: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EINTR: a signal whose handler returns comes every half a millisecond."""
    trial = Trial(scenario, place, monkeypatch)
    trial.reset()
    came: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: came.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        code, err = scenario.run(place)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert code == 0, err
    assert came
    assert snapshot(trial.out) == trial.new


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK", "EINVAL"])
def test_a_file_system_without_hard_links(place: Path, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    trial = Trial(SCENARIOS["merge"], place, monkeypatch)
    trial.reset()
    monkeypatch.setitem(ERRORS, "link", getattr(errno, error))
    with counted(("link",), 0) as calls:
        code, err = trial.scenario.run(place)
    assert (code, calls.made) == (0, ["link"]), err
    assert snapshot(trial.out) == trial.new


def test_a_directory_that_cannot_be_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems know no fsync of a directory: there is nothing to do about it."""
    trial = Trial(SCENARIOS["merge"], place, monkeypatch)
    trial.reset()
    with counted(("fsync",)) as calls:
        trial.scenario.run(place)
    trial.reset()
    monkeypatch.setitem(ERRORS, "fsync", errno.EINVAL)
    with counted(("fsync",), len(calls.made) - 1):
        code, err = trial.scenario.run(place)
    assert code == 0, err
    assert snapshot(trial.out) == trial.new
