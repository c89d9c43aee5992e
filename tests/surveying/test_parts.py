"""The parts of a survey: each there as a whole or not at all, and no wheel twice, whenever a run is cut off."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.injection import counted, patched
from tests.faults.soundness import hidden, snapshot
from tests.surveying.surveyed import expected, rows, stored
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.surveying import parts
from wheelfuse.surveying.layout import committed
from wheelfuse.surveying.parts import Parts, opened
from wheelfuse.surveying.rows import Rows
from wheelfuse.surveying.tables import packed

WRITING = ("write", "fsync", "link", "replace", "unlink", "mkdir")
KILLING = ("write", "link", "replace", "unlink", "mkdir")  # an fsync changes nothing that can be seen


def wheels(start: int, end: int, identity: str = "1") -> list[Rows]:
    return [rows(f"https://host/w{number}-1-py3-none-any.whl", identity) for number in range(start, end)]


def add(directory: Path, some: list[Rows], *, resume: bool = False) -> None:
    with opened(directory, resume=resume) as there:
        for wheel in some:
            there.add(packed(wheel))
        there.flush()


def replace(there: Parts, some: list[Rows]) -> None:
    """As a run does with wheels that it knows from before."""
    known = {wheel.url: wheel.part for wheel in there.known()}
    for wheel in some:
        there.add(packed(wheel), known.get(wheel.wheel.url))
    there.flush()


def test_what_is_added_is_there_and_known(tmp_path: Path) -> None:
    add(tmp_path / "s", wheels(0, 5))
    add(tmp_path / "s", wheels(5, 7), resume=True)
    assert stored(tmp_path / "s") == expected(wheels(0, 7))
    with opened(tmp_path / "s", resume=True) as there:
        known = list(there.known())
    assert [wheel.url for wheel in known] == [
        f"https://host/w{number}-1-py3-none-any.whl" for number in range(7)
    ]
    assert {(wheel.part, wheel.identity, wheel.read) for wheel in known} == {(1, "1", True), (2, "1", True)}


def test_a_part_ends_at_a_number_of_wheels_or_of_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_WHEELS", 3)
    add(tmp_path / "s", wheels(0, 7))
    assert committed(tmp_path / "s") == [1, 2, 3]
    monkeypatch.setattr(parts, "MOST_BYTES", 1)
    add(tmp_path / "s", wheels(7, 9), resume=True)
    assert committed(tmp_path / "s") == [1, 2, 3, 4, 5]


def test_a_wheel_that_changed_has_its_new_rows_only(tmp_path: Path) -> None:
    add(tmp_path / "s", wheels(0, 5))
    add(tmp_path / "s", wheels(5, 10), resume=True)
    new = wheels(3, 7, "2")
    with opened(tmp_path / "s", resume=True) as there:
        replace(there, new)
    assert stored(tmp_path / "s") == expected([*wheels(0, 3), *wheels(7, 10), *new])


def test_a_survey_that_is_there_is_not_written_to_without_resume(tmp_path: Path) -> None:
    add(tmp_path / "s", wheels(0, 5))
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=r"holds a survey already\n.*--resume"):
        add(tmp_path / "s", wheels(5, 6))
    assert snapshot(tmp_path) == before


def test_a_run_that_wrote_no_part_is_no_survey_yet(tmp_path: Path) -> None:
    add(tmp_path / "s", [])
    add(tmp_path / "s", wheels(0, 1))
    assert stored(tmp_path / "s") == expected(wheels(0, 1))


@pytest.mark.parametrize("there", [True, False])
def test_an_error_before_the_first_part_leaves_nothing(
    tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        (tmp_path / "s").mkdir()
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "s", resume=False):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == (["s"] if there else [])

    def full(table: str, *_: object) -> None:
        if table == "members":
            raise OSError("no space")

    monkeypatch.setattr(parts, "write", full)
    with pytest.raises(OSError, match="no space"):
        add(tmp_path / "s", wheels(0, 1))
    assert [path.name for path in tmp_path.rglob("*")] == (["s"] if there else [])


def test_an_error_after_the_first_part_leaves_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "s", resume=False) as there:
        for rows in wheels(0, 2):
            there.add(packed(rows))
        there.flush()
        raise KeyboardInterrupt
    assert stored(tmp_path / "s") == expected(wheels(0, 2))


def test_a_run_that_waited_for_one_that_left_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(descriptor: int, _: int) -> None:
        (tmp_path / "s/.lock").unlink(missing_ok=True)

    monkeypatch.setattr(parts.fcntl, "flock", late)
    with pytest.raises(UsageError, match="another survey"):
        add(tmp_path / "s", [])


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "wheels/part-000001.parquet", ".git/HEAD"])
def test_a_directory_with_something_else_is_left_alone(tmp_path: Path, resume: bool, name: str) -> None:
    place = tmp_path / "s" / name
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(UsageError, match="and no survey"):
        add(tmp_path / "s", [], resume=resume)
    assert snapshot(tmp_path) == {f"s/{name}": b"mine"}
    with pytest.raises(UsageError, match="is no directory"):
        add(place, [], resume=resume)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    add(tmp_path / "s", wheels(0, 1))
    (tmp_path / "s/survey.json").write_text('{"schema": 2}')
    with pytest.raises(InvalidInput, match="schema 2"):
        add(tmp_path / "s", [], resume=True)
    (tmp_path / "s/survey.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"survey.json: damaged"):
        add(tmp_path / "s", [], resume=True)


def test_two_runs_do_not_meet(tmp_path: Path) -> None:
    with opened(tmp_path / "s", resume=False), pytest.raises(UsageError, match="another survey"):
        add(tmp_path / "s", [], resume=True)
    add(tmp_path / "s", wheels(0, 1))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two parts of three wheels each, and a disk that is quick."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    add(tmp_path / "made", wheels(0, 3))
    add(tmp_path / "made", wheels(3, 6), resume=True)
    return tmp_path / "made"


def beginning(directory: Path) -> None:
    add(directory, wheels(0, 3))


def adding(directory: Path) -> None:
    add(directory, wheels(6, 9), resume=True)


def replacing(directory: Path) -> None:
    with opened(directory, resume=True) as there:
        replace(there, wheels(1, 5, "2"))


ENDS: dict[Callable[[Path], None], tuple[bool, list[Rows]]] = {
    beginning: (False, wheels(0, 3)),
    adding: (True, wheels(0, 9)),
    replacing: (True, [*wheels(0, 1), *wheels(5, 6), *wheels(1, 5, "2")]),
}
"""What is done, whether to a survey that is there, and what is there then."""


def require_sound(directory: Path) -> None:
    """No wheel twice, and every wheel that is there with all its rows: as anyone may read the files."""
    found = stored(directory)
    urls = Counter(row[1] for row in found["wheels"])
    assert not urls or max(urls.values()) == 1
    of_all = expected([rows(str(row[1]), str(row[3])) for row in found["wheels"]])
    assert found["wheels"] == of_all["wheels"]
    for table in ("modules", "symbols", "members"):
        assert set(of_all[table]) <= set(found[table])
        assert max(Counter(found[table]).values(), default=1) == 1


def finish(directory: Path, end: list[Rows]) -> None:
    """What a resumed run does: it reads what is not there as it should be, once more."""
    with opened(directory, resume=True) as there:
        known = {wheel.url: wheel for wheel in there.known()}
        for wheel in end:
            old = known.get(wheel.wheel.url)
            if not old or old.identity != wheel.wheel.identity:
                there.add(packed(wheel), old.part if old else None)
        there.flush()
    assert stored(directory) == expected(end)
    assert hidden(directory) == []
    assert not (directory / "dropping.json").exists()


@pytest.mark.parametrize("work", ENDS, ids=lambda work: work.__name__)
@pytest.mark.filterwarnings("ignore::wheelfuse.temporary.LeftBehind")
def test_whatever_call_fails_no_wheel_is_twice_and_the_next_run_finishes(
    work: Callable[[Path], None], made: Path, tmp_path: Path
) -> None:
    resumed, end = ENDS[work]
    number, failed = 0, 0
    while True:
        directory = tmp_path / str(number)
        if resumed:
            shutil.copytree(made, directory)
        try:
            with counted(WRITING, number, onwards=number % 2 == 0) as calls:
                work(directory)
            if len(calls.made) <= number:
                break
        except OSError:
            failed += 1
        if directory.exists():
            require_sound(directory)
        finish(directory, end)
        number += 1
    assert failed > 10


class Killed(BaseException):
    pass


def descriptors() -> set[tuple[int, str]]:
    """What is open, by number and file."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing
            found.add((int(path.name), str(path.readlink())))
    return found


@contextmanager
def ended_at(number: int) -> Iterator[None]:
    """From the call with this number on nothing is done any more, not even what tidies up: as if it were killed."""
    left, before = itertools.count(-number), descriptors()

    def make(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(left) >= 0:
                raise Killed
            return real(*arguments, **named)

        return call

    try:
        with patched(KILLING, make):
            yield
    finally:  # what the kernel does, and with that it lets go of locks
        for descriptor, _ in descriptors() - before:
            os.close(descriptor)


@pytest.mark.parametrize("work", ENDS, ids=lambda work: work.__name__)
def test_whenever_it_is_killed_no_wheel_is_twice_and_the_next_run_finishes(
    work: Callable[[Path], None], made: Path, tmp_path: Path
) -> None:
    resumed, end = ENDS[work]
    for number in itertools.count():
        directory = tmp_path / str(number)
        if resumed:
            shutil.copytree(made, directory)
        killed = False
        try:
            with ended_at(number):
                work(directory)
        except Killed:
            killed = True
        if directory.exists():
            require_sound(directory)
        finish(directory, end)
        if not killed:
            break
    assert number > 15
