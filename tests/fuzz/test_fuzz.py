"""A few inputs of each target, always the same, and all that once failed; and that the machinery notices failures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fuzz import corpus, installers, result
from fuzz.breaking import Seed, broken_bytes, fields
from fuzz.bundle import Bundle
from fuzz.drawing import drawer
from fuzz.seeds import elf_seed, shared_objects
from fuzz.target import Target, Wrong
from fuzz.targets import TARGETS
from fuzz.targets.wheels import check_archive
from fuzz.worker import Failure, Tally, attempt, run_portion
from tests.wheel.zips import Entry, wheel_entries, zip_bytes
from wheelfuse.errors import InvalidInput

SEED = 2026
INPUTS = {"merge": 40, "split": 40, "audit": 30, "installers": 4}
"""How many inputs of a target are tried here, if not 300."""
CORPUS = [path for target in TARGETS.values() for path in corpus.files(target)]


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """That outputs reach the disk is another test's concern."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_of_each_target_are_accepted_or_refused(name: str) -> None:
    count = INPUTS.get(name, 300)
    tally, left = run_portion(TARGETS[name], SEED, range(count))
    assert tally.failures == []
    assert left == count == tally.counts.total()
    assert tally.counts["accepted"] > 0  # or else nothing behind the first check is tried


@pytest.mark.parametrize("path", CORPUS, ids=[f"{path.parent.name}-{path.name}" for path in CORPUS])
def test_what_once_failed_does_so_no_more(path: Path, tmp_path: Path) -> None:
    attempt(TARGETS[path.parent.name], path.read_bytes(), tmp_path)


def test_the_corpus_is_of_known_targets() -> None:
    directories = {path.name for path in corpus.FIXTURES.iterdir() if path.is_dir()} - {"seeds"}
    assert directories <= set(TARGETS)
    assert CORPUS


def test_an_input_is_the_same_whenever_it_is_drawn() -> None:
    target = TARGETS["archive"]
    draw = drawer(target.inputs(), target.name, SEED)
    first = [draw(number) for number in (5, 6, 7)]
    assert [drawer(target.inputs(), target.name, SEED)(number) for number in (7, 6, 5)] == first[::-1]
    assert drawer(target.inputs(), target.name, SEED + 1)(5) != first[0]
    assert corpus.input_of(f"archive:{SEED}:5") == (target, first[0])


# --- The machinery notices what it is there for: targets that do wrong.


def _endless(data: bytes, place: Path) -> None:
    while True:
        time.sleep(0.01)


def _stuck(data: bytes, place: Path) -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as code does that never comes back to Python
    time.sleep(60)


def _greedy(data: bytes, place: Path) -> None:
    bytearray(2 << 30)


def _careless(data: bytes, place: Path) -> None:
    (place / "x").write_bytes(data)
    raise struct_error()


def struct_error() -> Exception:
    import struct

    return struct.error("unpack requires a buffer")


def _dying(data: bytes, place: Path) -> None:
    os._exit(3)


def _wrong(data: bytes, place: Path) -> None:
    raise Wrong("another content")


def _refusing(data: bytes, place: Path) -> None:
    raise InvalidInput("no")


def _target(check: object) -> Target:
    name = getattr(check, "__name__", "")
    return Target(name, name, lambda: st.just(b"x"), check, 1)  # type: ignore[arg-type]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("fuzz.worker.SECONDS", 1)
    monkeypatch.setattr("fuzz.worker._GRACE", 1)
    monkeypatch.setattr("fuzz.worker.limited.__wrapped__.__defaults__", (1,))
    yield


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (_endless, "hang"),
        (_stuck, "hang"),
        (_greedy, "memory"),
        (_careless, "crash"),
        (_dying, "crash"),
        (_wrong, "wrong"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_failure_is_told_by_its_kind(check: object, kind: str) -> None:
    tally, left = run_portion(_target(check), SEED, range(7, 8))
    assert [(failure.kind, failure.number) for failure in tally.failures] == [(kind, 7)]
    assert tally.counts[kind] == 1
    assert left == 8


def test_a_refusal_is_no_failure() -> None:
    tally, _ = run_portion(_target(_refusing), SEED, range(3))
    assert tally.counts == {"refused": 3}


def test_another_content_than_zipfile_reads_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zip_bytes(wheel_entries())
    check_archive(data, tmp_path)
    monkeypatch.setattr("wheelfuse.wheel.archive.Archive.read", lambda archive, member: b"")
    with pytest.raises(Wrong, match="zipfile reads other members"):
        check_archive(data, tmp_path)


def test_installers_that_disagree_are_noticed(tmp_path: Path) -> None:
    name = "pkg-1.0-py3-none-any.whl"
    (path,) = Bundle([(name, zip_bytes(wheel_entries(Entry("pkg/a.py", b"x"))))]).write(tmp_path / "in")
    from fuzz.targets.wheels import read_in_full

    members = read_in_full(path)
    installers.compare(path, members, tmp_path / "good")
    with pytest.raises(Wrong, match=r"installs b'x' at 'pkg/a.py', not b'y'"):
        installers.compare(path, {**members, "pkg/a.py": (b"y", 0o100644)}, tmp_path / "bad")


def test_an_input_that_fails_is_made_as_small_as_it_fails() -> None:
    data = bytes(500) + b"bad" + bytes(700)
    assert corpus.minimised(data, lambda other: b"bad" in other) == b"bad"


def test_fields_are_changed_in_their_byte_order() -> None:
    seed = Seed(bytes(8), fields(0, "HI"), ">")
    assert seed.packed(seed.fields[1], 0x1_0000_0102) == b"\0\0\1\2"
    assert broken_bytes(b"abc", [("truncate", 1, 0, 0)]) == b"a"


def test_the_fields_of_a_shared_object_lie_within_it() -> None:
    for seed in shared_objects():
        assert len(seed.fields) > 100
        assert all(field.offset + field.width <= len(seed.data) for field in seed.fields)
        assert elf_seed(seed.data) == seed


def test_counts_of_runs_add_up(tmp_path: Path) -> None:
    failure = Failure("archive", 1, 2, "crash", "what", "where")
    document = result.empty()
    for _ in range(2):
        tally = Tally(seconds=1.5, slowest=0.5, failures=[failure])
        tally.counts.update(accepted=3, refused=4, crash=1)
        result.add(document, {"seed": 1}, {"archive": tally})
    result.save(tmp_path / "x.json", document)
    loaded = result.load(tmp_path / "x.json")
    assert loaded == document
    assert result.total(loaded) == 16
    assert len(loaded["runs"]) == 2 and len(loaded["targets"]["archive"]["failures"]) == 1
    table = result.table(loaded, TARGETS)
    assert "| zip reader, beside zipfile and installer | 16 | 6 | 8 | 2 | 0 | 0 | 0 | 0.50 s |" in table
    assert "| **all** | 16 | 6 | 8 | 2 | 0 | 0 | 0 |  |" in table


def test_the_command_counts_and_replays(tmp_path: Path) -> None:
    def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fuzz", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=corpus.FIXTURES.parents[1],
        )

    done = fuzz("--inputs", 30, "--seed", SEED, "--results", tmp_path / "r.json", "name", "record")
    assert done.returncode == 0, done.stderr
    assert result.total(result.load(tmp_path / "r.json")) >= 30
    assert (tmp_path / "r.md").read_text() in done.stdout
    assert fuzz("--replay", f"name:{SEED}:3").stdout.splitlines()[-1] in ("accepted", "refused")
    assert "no such target: x" in fuzz("x").stderr
