"""A survey of wheels on a web server: whatever that does, all rows are there, and none twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.native import module, soabi
from tests.surveying.server import Fault, Server, serving
from tests.surveying.surveyed import stored
from tests.wheels import build_wheel
from wheelfuse.surveying.api import survey
from wheelfuse.surveying.rows import WheelRow
from wheelfuse.target import Target

NAMES = tuple("abcdefgh")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheels")
    target = Target.parse("cp312")
    for number, name in enumerate(NAMES):
        content = module(name, target, "PyList_New")
        files = {soabi(name, target): content, f"{name}.bin": os.urandom(100_000 * number)}
        build_wheel(directory, files=files, name=f"pkg{name}")
    return directory


@pytest.fixture
def server(wheels: Path) -> Iterator[Server]:
    with serving(wheels) as running:
        yield running


def without_counts(place: Path) -> dict[str, list[tuple[object, ...]]]:
    """The rows of a survey, each wheel once, without what faults and files met before change of them."""
    found = stored(place)
    wheels = [row._replace(fetched=0, requests=0) for row in found["wheels"] if isinstance(row, WheelRow)]
    assert len(wheels) == len({row.url for row in wheels})
    return {**found, "wheels": sorted(wheels, key=repr)}


def of(server: Server, name: str) -> str:
    """The path of a wheel on the server."""
    return next(path.name for path in server.directory.iterdir() if path.name.startswith(f"pkg{name}-"))


def test_faults_of_the_server_are_gone_around(server: Server, tmp_path: Path) -> None:
    server.fail(of(server, "a"), [Fault(status=500), Fault(status=503)])
    server.fail(of(server, "b"), [Fault(status=429, retry_after="1")])
    server.fail(of(server, "c"), [Fault(close_after=10), None, Fault(close_after=1)])
    server.fail(of(server, "d"), [Fault(reset=True)])
    server.fail(of(server, "e"), [Fault(hang=0.5)])
    server.fail(of(server, "f"), [Fault(whole=True)] * 9)
    server.fail(of(server, "g"), [Fault(status=404)])
    report = survey(server.url, tmp_path / "out", workers=2)
    assert (report.wheels, report.read, report.failed) == (len(NAMES), len(NAMES) - 1, 1)
    [(reason, _)] = report.reasons
    assert "404" in reason
    server.reset()
    again = survey(server.url, tmp_path / "out", workers=2, resume=True)
    assert (again.wheels, again.read, again.failed, again.unchanged) == (len(NAMES), 1, 0, len(NAMES) - 1)
    whole = survey(server.url, tmp_path / "whole", workers=2)
    assert whole.read == len(NAMES)
    assert without_counts(tmp_path / "out") == without_counts(tmp_path / "whole")


def test_an_index_that_tells_digests_is_all_that_is_asked_again(server: Server, tmp_path: Path) -> None:
    first = survey(server.simple_url, tmp_path / "out", workers=2)
    assert (first.read, first.failed) == (len(NAMES), 0)
    server.reset()
    again = survey(server.simple_url, tmp_path / "out", workers=2, resume=True)
    assert (again.read, again.unchanged, again.fetched) == (0, len(NAMES), 0)
    assert all(path.startswith("simple/") for path in server.requests)


def test_without_digests_the_server_is_asked_whether_they_changed(server: Server, tmp_path: Path) -> None:
    survey(server.url, tmp_path / "out", workers=2)
    before = without_counts(tmp_path / "out")
    server.reset()
    server.fail(of(server, "h"), [Fault(etag='"another"')] * 9)
    again = survey(server.url, tmp_path / "out", workers=2, resume=True)
    assert (again.read, again.unchanged) == (1, len(NAMES) - 1)
    assert sum(server.sent[of(server, name)] for name in NAMES[:-1]) == 0
    after = without_counts(tmp_path / "out")
    assert len(after["wheels"]) == len(before["wheels"]) and len(after["symbols"]) == len(before["symbols"])


def test_one_cut_off_and_resumed_equals_one_that_was_not(
    wheels: Path, server: Server, tmp_path: Path
) -> None:
    body = (
        "import sys; from wheelfuse.surveying.api import survey; survey(sys.argv[1], sys.argv[2], workers=2)"
    )
    with serving(wheels, latency=0.2) as slow:
        url = slow.url
        running = subprocess.Popen(
            [sys.executable, "-c", body, url, tmp_path / "out"], start_new_session=True
        )
        limit = time.monotonic() + 60
        while sum(slow.requests.values()) < 6 and time.monotonic() < limit:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        resumed = survey(url, tmp_path / "out", workers=2, resume=True)
        whole = survey(url, tmp_path / "whole", workers=2)
    assert resumed.failed == whole.failed == 0
    assert without_counts(tmp_path / "out") == without_counts(tmp_path / "whole")
