"""The pool: every item is answered for once, also if processes are killed, are stopped, or raise."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surveying import tasks
from tests.surveying.tasks import Task, do
from wheelfuse.errors import JobFailed
from wheelfuse.surveying.pool import Unanswered, run

LONG = 100.0


def numbers(count: int, what: str = "do") -> list[Task]:
    return [(what, number) for number in range(count)]


def children() -> set[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return set(map(int, listed.split()))


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def test_every_item_is_done_once_by_so_many_processes() -> None:
    answers = list(run(do, numbers(50, "slow"), 2, LONG))
    assert sorted(item[1] for item, _ in answers) == list(range(50))
    assert all(not isinstance(result, Unanswered) and result[0] == item[1] for item, result in answers)
    assert len({result[1] for _, result in answers if not isinstance(result, Unanswered)}) == 2


def test_items_are_taken_as_they_are_needed_and_results_come_before_all_are() -> None:
    taken = itertools.count()
    endless = (("do", next(taken)) for _ in itertools.count())
    results = run(do, endless, 2, LONG)
    for _ in range(10):
        next(results)
    assert next(taken) <= 10 + 2 * (2 + 8) + 1
    results.close()


def test_items_of_one_kind_go_to_one_process_while_there_are_others() -> None:
    items = [("slow", number) for number in range(40)]
    answers = list(run(do, items, 2, LONG, lambda item: item[1] // 10))
    where = {(item[1] // 10, result[1]) for item, result in answers if not isinstance(result, Unanswered)}
    assert len(answers) == 40 and len({process for _, process in where}) == 2
    assert len(where) <= 5  # the last kind may be shared


def test_what_fails_to_list_items_does_not_lose_those_before() -> None:
    def listed() -> Iterator[tuple[str, int]]:
        yield from numbers(3, "do")
        raise ValueError("no more")

    answers = []
    with pytest.raises(ValueError, match="no more"):
        for item, _ in run(do, listed(), 2, LONG):
            answers.append(item)
    assert len(answers) == 3


def test_no_item_takes_no_process() -> None:
    assert list(run(do, [], 2, LONG)) == []


def test_what_raises_says_what() -> None:
    [(item, result)] = run(do, [("raise", 7)], 2, LONG)
    assert item == ("raise", 7)
    assert result == Unanswered("ValueError: no 7")


@pytest.mark.parametrize("kind", ["die-once", "stop-once", "hang-once"])
def test_an_item_whose_process_dies_or_hangs_is_tried_again_and_no_other_is_done_twice(
    tmp_path: Path, kind: str
) -> None:
    noted = tmp_path / "noted"
    items = [(f"{kind if number == 3 else 'do'} {noted}", number) for number in range(12)]
    answers = list(run(do, items, 2, LONG if kind == "die-once" else 1.0))
    assert sorted(result[0] for _, result in answers if not isinstance(result, Unanswered)) == list(range(12))
    assert Counter(noted.read_text().split()) == {str(n): 2 if n == 3 else 1 for n in range(12)}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("die", "a process that read it was killed by SIGKILL, 2 times"),
        ("exit", "a process that read it ended with exit status 3, 2 times"),
        ("hang", "not read within 0.5 s, 2 times"),
        ("stop", "not read within 0.5 s, 2 times"),
    ],
)
def test_twice_is_enough(kind: str, reason: str) -> None:
    items = [*numbers(5), (kind, 5), *[("do", number) for number in range(6, 10)]]
    answers = dict(run(do, items, 2, 0.5))
    assert len(answers) == 10
    assert answers.pop((kind, 5)) == Unanswered(reason)
    assert not any(isinstance(result, Unanswered) for result in answers.values())


def test_one_that_hangs_is_seen_while_others_go_on() -> None:
    endless = itertools.chain([("hang", -1)], (("slow", number) for number in itertools.count()))
    for item, result in run(do, endless, 2, 0.5):
        if item[1] == -1:
            assert isinstance(result, Unanswered)
            break
        assert item[1] < 1000


def test_a_process_that_is_killed_from_outside_is_replaced() -> None:
    answers, before = [], children()
    for answer in run(do, numbers(60, "slow"), 2, LONG):
        answers.append(answer)
        if len(answers) in (5, 20):
            os.kill(min(children() - before), signal.SIGKILL)
    assert sorted(item[1] for item, _ in answers) == list(range(60))
    assert not any(isinstance(result, Unanswered) for _, result in answers)


def test_large_results_come_whole() -> None:
    sizes = [5 << 20, 0, 3 << 20, 1]
    assert {size: len(result) for size, result in run(tasks.large, sizes, 2, LONG)
            if not isinstance(result, Unanswered)} == {size: size for size in sizes}  # fmt: skip


def test_a_process_that_stops_while_it_answers_is_late() -> None:
    [(_, result)] = run(tasks.stopped_half_way, [64 << 20], 1, 0.5)
    assert result == Unanswered("not read within 0.5 s, 2 times")


def test_late_is_what_the_process_takes_and_not_the_caller() -> None:
    answers = []
    for answer in run(do, numbers(6), 1, 0.3):
        time.sleep(0.5)
        answers.append(answer)
    assert not any(isinstance(result, Unanswered) for _, result in answers)


def test_processes_that_do_not_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(JobFailed, match=r"do not start: .*exit status 1"):
        list(run(do, numbers(5), 2, LONG))


SCRIPT = """
import sys
from tests.surveying.tasks import do
from wheelfuse.surveying.pool import run
for _, result in run(do, [("do", 0), ("do", 1), *[("hang", n) for n in range(2, 20)]], 2, 100.0):
    print(result[1], flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_processes_end_with_the_one_that_started_them(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SCRIPT]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    ) as process:
        assert process.stdout and process.stderr
        pids = {int(process.stdout.readline()) for _ in range(2)}
        process.send_signal(number)
        process.wait()
        end = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
            time.sleep(0.02)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        said = process.stderr.read()
    assert said.count("Traceback") == (number == signal.SIGINT)
