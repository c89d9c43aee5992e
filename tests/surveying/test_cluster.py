"""The same as the pool by a Dask cluster: every item is answered for once, also if workers die or hang."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from tests.surveying.surveyed import read, stored
from tests.surveying.tasks import Task, do
from wheelfuse.errors import JobFailed, UsageError
from wheelfuse.surveying import cluster
from wheelfuse.surveying.api import run as survey
from wheelfuse.surveying.cluster import run
from wheelfuse.surveying.options import SurveyOptions
from wheelfuse.surveying.pool import Unanswered

LONG = 100.0
SETTINGS = {"distributed.scheduler.worker-ttl": "5s", "distributed.deploy.lost-worker-timeout": "1h"}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    """Two workers of one thread each, in processes of their own."""
    path = os.environ.get("PYTHONPATH", "")
    root = str(Path(__file__).parents[2])
    with pytest.MonkeyPatch.context() as patch, dask.config.set(SETTINGS):
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (root, path))))
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as made:
            yield made


def told_nothing(_: str) -> None:
    pass


def processes(local: LocalCluster) -> list[int]:
    return [nanny.process.process.pid for nanny in local.workers.values() if nanny.process]


def test_items_of_one_kind_are_one_task_a_few_at_a_time(local: LocalCluster) -> None:
    items = [("pid", number) for number in range(30)]
    answers = dict(run(do, items, local.scheduler_address, LONG, told_nothing, lambda item: item[1] // 3))
    assert sorted(answers) == items
    for kind in range(10):
        results = [answers["pid", 3 * kind + n] for n in range(3)]
        assert len({result[1] for result in results if not isinstance(result, Unanswered)}) == 1
    assert [len(group) for group in cluster._grouped(range(20), lambda _: 0)] == [8, 8, 4]


def test_every_item_is_done_once_by_all_workers(local: LocalCluster) -> None:
    answers = dict(run(do, [("slow", n) for n in range(60)], local.scheduler_address, LONG, told_nothing))
    results = [result for result in answers.values() if not isinstance(result, Unanswered)]
    assert sorted(result[0] for result in results) == list(range(60))
    assert {result[1] for result in results} == set(processes(local))


def test_results_are_given_while_items_are_taken_and_are_forgotten_by_the_cluster(
    local: LocalCluster,
) -> None:
    taken = itertools.count()
    results = run(
        do, (("do", next(taken)) for _ in itertools.count()), local.scheduler_address, LONG, told_nothing
    )
    for _ in range(300):
        next(results)
    assert next(taken) <= 300 + 3 * 32
    with Client(local.scheduler_address, set_as_default=False) as other:
        assert len(other.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))) <= 3 * 32
    results.close()


def test_a_survey_by_a_cluster_has_the_rows_of_one_without(local: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for number in range(40):
        path = tmp_path / "wheels" / f"w{number}-1-py3-none-any.whl"
        path.write_text("fail" if number % 9 == 4 else str(number))
    where = (str(tmp_path / "wheels"),)
    here = survey(SurveyOptions(where, tmp_path / "here", workers=1), read)
    there = survey(SurveyOptions(where, tmp_path / "there", scheduler=local.scheduler_address), read)
    assert stored(tmp_path / "there") == stored(tmp_path / "here")
    assert (
        (there.read, there.failed, there.shares)
        == (here.read, here.failed, here.shares)
        == (36, 4, here.shares)
    )


def test_what_raises_says_what(local: LocalCluster) -> None:
    [(_, result)] = run(do, [("raise", 7)], local.scheduler_address, LONG, told_nothing)
    assert result == Unanswered("ValueError: no 7")


@pytest.mark.parametrize("kind", ["die-once", "hang-once"])
def test_an_item_whose_worker_dies_or_hangs_is_tried_again(
    local: LocalCluster, tmp_path: Path, kind: str
) -> None:
    noted = tmp_path / "noted"
    items = [(f"{kind if number == 3 else 'do'} {noted}", number) for number in range(12)]
    answers = list(run(do, items, local.scheduler_address, LONG if kind == "die-once" else 1.0, told_nothing))
    assert sorted(result[0] for _, result in answers if not isinstance(result, Unanswered)) == list(range(12))
    assert Counter(noted.read_text().split())["3"] == 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("die", "the workers that read it died, again"), ("hang", "not read within 1 s, again")],
)
def test_one_that_kills_or_blocks_its_workers_is_given_up_and_no_other(
    local: LocalCluster, kind: str, reason: str
) -> None:
    items: list[Task] = [*[("slow", n) for n in range(20)], (kind, 20), *[("slow", n) for n in range(21, 40)]]
    answers = dict(run(do, items, local.scheduler_address, 1.0, told_nothing))
    assert len(answers) == 40
    assert answers.pop((kind, 20)) == Unanswered(reason)
    assert [result for result in answers.values() if isinstance(result, Unanswered)] == []


def test_a_worker_that_is_killed_from_outside_loses_nothing(local: LocalCluster) -> None:
    answers = []
    for answer in run(do, [("slow", n) for n in range(100)], local.scheduler_address, LONG, told_nothing):
        answers.append(answer)
        if len(answers) == 10:
            os.kill(processes(local)[0], signal.SIGKILL)
    assert sorted(item[1] for item, _ in answers) == list(range(100))
    assert not any(isinstance(result, Unanswered) for _, result in answers)


def test_workers_of_another_version_are_told(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "__version__", "9.9")
    said: list[str] = []
    assert len(list(run(do, [("do", 1)], local.scheduler_address, LONG, said.append))) == 1
    assert said[0].startswith("Dashboard: ")
    assert len([line for line in said if "and this is 9.9" in line]) == 2


def test_no_scheduler_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ANSWER", 1.0)
    with pytest.raises(JobFailed, match=r"no scheduler answers at tcp://127.0.0.1:9"):
        list(run(do, [("do", 1)], "tcp://127.0.0.1:9", LONG, told_nothing))
    with pytest.raises(UsageError, match=r"--scheduler nonsense://x"):
        list(run(do, [("do", 1)], "nonsense://x", LONG, told_nothing))


def test_a_worker_that_is_stopped_loses_nothing(local: LocalCluster, tmp_path: Path) -> None:
    """The scheduler gives up a worker of which it hears nothing."""
    noted = tmp_path / "noted"
    items = [(f"{'stop-once' if number == 3 else 'do'} {noted}", number) for number in range(12)]
    answers = list(run(do, items, local.scheduler_address, LONG, told_nothing))
    assert sorted(result[0] for _, result in answers if not isinstance(result, Unanswered)) == list(range(12))
    assert Counter(noted.read_text().split())["3"] == 2


def test_a_scheduler_that_goes_away_is_an_error() -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as made:
        results = run(do, [("slow", n) for n in range(1000)], made.scheduler_address, LONG, told_nothing)
        next(results)
        threading.Thread(target=made.close).start()
        with pytest.raises(JobFailed, match=r"is gone"):
            list(results)
