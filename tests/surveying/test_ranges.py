"""Parts of wheels by ranges: the bytes themselves, and what the server counted, tell whether it is right."""

from __future__ import annotations

import base64
import email.utils
import os
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.surveying.server import Fault, Server, etag_of, serving, sha256_of
from wheelfuse import __version__
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.surveying import http, ranges
from wheelfuse.surveying.http import Tally
from wheelfuse.surveying.ranges import TAIL, Unchanged, opened, tail_of
from wheelfuse.surveying.rows import Remote

SMALL, LARGE, EMPTY = "small-1.0-py3-none-any.whl", "large-1.0-py3-none-any.whl", "empty-1.0-py3-none-any.whl"
CONTENTS = {
    SMALL: random.Random(1).randbytes(5_000),
    LARGE: random.Random(2).randbytes(TAIL * 4 + 321),
    EMPTY: b"",
}
SIZE = len(CONTENTS[LARGE])


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pauses, no proxies, and connections of our own."""
    monkeypatch.setattr(http, "BACKOFF", 0.0)
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    http._connections_of.cache_clear()
    yield
    http._connections_of.cache_clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    directory = tmp_path / "served"
    directory.mkdir()
    for name, content in CONTENTS.items():
        (directory / name).write_bytes(content)
    with serving(directory) as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept between attempts, which takes no time here."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def remote(server: Server, name: str = LARGE, **fields: Any) -> Remote:
    return Remote(f"{server.url}{name}", name, **fields)


def failure(wheel: Remote, *reads: tuple[int, int]) -> str:
    """Why it cannot be read."""
    with pytest.raises(InvalidInput) as refused, opened(wheel) as source:
        for length, offset in reads:
            source.read(length, offset)
    assert all(problem.wheel == wheel.name for problem in refused.value.problems)
    return str(refused.value)


@pytest.mark.parametrize("name", [SMALL, EMPTY])
def test_a_small_wheel_is_one_request(server: Server, name: str) -> None:
    content = CONTENTS[name]
    with opened(remote(server, name)) as source:
        assert source.size == len(content)
        assert source.read(len(content), 0) == content
        assert source.read(10, len(content) - 5 if content else 0) == content[-5:]
        assert source.read(10, len(content) + 1) == b""
        assert (source.requests, source.fetched) == (1, len(content))
    assert server.sent[name] == len(content)
    assert server.requests[name] == source.requests


def test_of_a_large_wheel_comes_the_end_and_what_is_asked_for(server: Server) -> None:
    with opened(remote(server)) as source:
        assert (source.requests, source.fetched, source.size) == (1, TAIL, SIZE)
        assert source.read(TAIL, SIZE - TAIL) == CONTENTS[LARGE][-TAIL:]
        assert server.requests[LARGE] == 1
        assert source.read(1000, 7) == CONTENTS[LARGE][7:1007]
        assert server.requests[LARGE] == 2
        assert server.sent[LARGE] == source.fetched == TAIL + 1000


def test_what_came_at_first_is_not_fetched_again(server: Server) -> None:
    with opened(remote(server)) as source:
        start = SIZE - TAIL
        assert source.read(500, start - 100) == CONTENTS[LARGE][start - 100 : start + 400]
        assert source.read(SIZE, start - 1) == CONTENTS[LARGE][start - 1 :]
        assert source.read(1, start) == CONTENTS[LARGE][start : start + 1]
    assert server.sent[LARGE] == source.fetched == TAIL + 100 + 1
    assert server.requests[LARGE] == source.requests == 3


def test_random_reads_give_what_the_file_has(server: Server) -> None:
    drawn = random.Random(3)
    with opened(remote(server)) as source:
        for _ in range(100):
            offset, length = drawn.randrange(SIZE + 10), drawn.randrange(TAIL)
            assert source.read(length, offset) == CONTENTS[LARGE][offset : offset + length]
        assert (source.requests, source.fetched) == (server.requests[LARGE], server.sent[LARGE])


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(status=500)],
        [Fault(status=502), Fault(status=504)],
        [Fault(status=429, retry_after="0")],
        [Fault(status=429), Fault(status=503, retry_after="soon, perhaps")],
        [Fault(close_after=0)],
        [Fault(close_after=1000), Fault(close_after=TAIL - 1)],
        [Fault(reset=True)],
        [Fault(reset=True), Fault(status=503), Fault(close_after=70_000), Fault(status=500)],
    ],
)
@pytest.mark.parametrize("first", [0, 1], ids=["at-first", "later"])
def test_what_passes_is_tried_again_and_counted(server: Server, faults: list[Fault], first: int) -> None:
    server.fail(LARGE, [*[None] * first, *faults])
    with opened(remote(server)) as source:
        assert source.read(SIZE, 0) == CONTENTS[LARGE]
    assert source.requests == server.requests[LARGE] == 2 + len(faults)
    # What the client got of an answer that is cut off may be less than what the server sent.
    assert SIZE <= source.fetched <= server.sent[LARGE]
    if not any(fault.close_after or fault.reset for fault in faults):
        assert source.fetched == server.sent[LARGE]


def test_a_request_fails_for_good_after_some_attempts(server: Server) -> None:
    server.fail(SMALL, [Fault(status=500)] * 9)
    tally = Tally()
    with (
        pytest.raises(InvalidInput, match=r"500 Internal Server Error \(5 attempts\)$"),
        opened(remote(server, SMALL), tally=tally),
    ):
        pass
    assert tally.requests == server.requests[SMALL] == http.ATTEMPTS == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_what_does_not_pass_is_not_tried_again(server: Server, status: int) -> None:
    server.fail(SMALL, [Fault(status=status)])
    assert f"the server answers {status}" in failure(remote(server, SMALL))
    assert server.requests[SMALL] == 1


def test_pauses_grow_and_are_as_long_as_the_server_says(
    server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BACKOFF", 1.0)
    server.fail(SMALL, [Fault(status=500)] * 4)
    with opened(remote(server, SMALL)):
        assert pauses[0] == 0
        assert all(
            0.5 * most <= pause <= 1.5 * most for pause, most in zip(pauses, [0, 1, 3, 7], strict=True)
        )
    pauses.clear()
    later = email.utils.formatdate(time.time() + 60, usegmt=True)
    server.fail(SMALL, [Fault(status=429, retry_after="7"), Fault(status=503, retry_after=later)])
    with opened(remote(server, SMALL)):
        assert pauses[0] == 7
        assert 30 < pauses[1] <= 60


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server: Server, pauses: list[float]) -> None:
    server.fail(SMALL, [Fault(status=503, retry_after="3600")])
    assert "asks to wait for 3600 seconds" in failure(remote(server, SMALL))
    assert pauses == []


def test_a_server_that_hangs_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ", 0.3)
    server.fail(LARGE, [Fault(hang=20), Fault(status=500)])
    with opened(remote(server)) as source:
        assert source.read(10, 0) == CONTENTS[LARGE][:10]
    server.fail(SMALL, [Fault(hang=20)] * 5)
    monkeypatch.setattr(http, "ATTEMPTS", 2)
    assert "the server sent nothing for 0.3 seconds (2 attempts)" in failure(remote(server, SMALL))


def test_a_server_that_is_not_there(server: Server) -> None:
    wheel = Remote("http://127.0.0.1:9/a-1-py3-none-any.whl", "a-1-py3-none-any.whl")
    assert "the connection failed: Connection refused (5 attempts)" in failure(wheel)


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_a_server_without_ranges_sends_the_wheel_once(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "TAIL", 1000)
    server.fail(name, [Fault(whole=True, ranges=False)])
    with opened(remote(server, name)) as source:
        for offset in (0, 2000, 4000):
            assert source.read(500, offset) == CONTENTS[name][offset : offset + 500]
    assert server.requests[name] == source.requests == 1
    assert server.sent[name] == source.fetched == len(CONTENTS[name])


def test_of_a_server_without_ranges_a_large_wheel_is_not_taken(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "WHOLE", TAIL * 2)
    server.fail(LARGE, [Fault(whole=True, ranges=False)] * 9)
    tally = Tally()
    with (
        pytest.raises(InvalidInput, match="does not know ranges, and the file has more than 0 MiB"),
        opened(remote(server), tally=tally),
    ):
        pass
    assert (tally.requests, tally.fetched) == (2, 0)


def test_a_server_that_counts_ranges_from_the_front_only(server: Server) -> None:
    server.fail(LARGE, [Fault(whole=True)])
    with opened(remote(server)) as source:
        assert (source.requests, source.fetched) == (2, TAIL)
        assert source.read(SIZE, 0) == CONTENTS[LARGE]


def test_a_server_that_minds_ranges_longer_than_the_file(server: Server) -> None:
    server.fail(SMALL, [Fault(status=416)])
    with opened(remote(server, SMALL, size=5_000)) as source:
        assert source.read(5_000, 0) == CONTENTS[SMALL]


def test_a_server_that_minds_them_and_has_no_ranges_at_all(server: Server) -> None:
    server.fail(LARGE, [Fault(status=416), Fault(whole=True)])
    with opened(remote(server, size=SIZE)) as source:
        assert source.read(SIZE, 0) == CONTENTS[LARGE]
    assert server.requests[LARGE] == source.requests == 2


@pytest.mark.parametrize("whole", [True, False])
def test_answers_in_chunks(server: Server, whole: bool) -> None:
    server.fail(LARGE, [Fault(chunked=True, whole=whole, ranges=False), Fault(chunked=True)])
    with opened(remote(server)) as source:
        assert source.read(SIZE, 0) == CONTENTS[LARGE]
        assert source.fetched == SIZE
    assert server.requests[LARGE] == (1 if whole else 2)


def test_more_than_is_to_be_taken_is_not_taken_in_chunks_either(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "WHOLE", TAIL)
    server.fail(LARGE, [Fault(chunked=True, whole=True, ranges=False)])
    assert "does not know ranges, nor says how large the file is" in failure(remote(server))


def test_another_number_of_bytes_than_announced_is_refused(server: Server) -> None:
    server.fail(LARGE, [Fault(trimmed=1)])
    assert f"another number of bytes than the {TAIL} that it announced" in failure(remote(server))
    server.fail(LARGE, [None, Fault(trimmed=7)])
    assert "another number of bytes than the 100 that it announced" in failure(remote(server), (100, 0))


def test_ranges_of_a_packed_answer_are_refused(server: Server) -> None:
    server.fail(LARGE, [Fault(packed=True)])
    assert "packs the file once more" in failure(remote(server))
    assert server.requests[LARGE] == 1


def test_a_server_that_stops_to_know_ranges(server: Server) -> None:
    server.fail(LARGE, [None, Fault(whole=True)])
    with opened(remote(server)) as source:
        assert source.read(TAIL * 2, 10) == CONTENTS[LARGE][10 : 10 + TAIL * 2]
        assert source.read(SIZE, 0) == CONTENTS[LARGE]
    assert server.requests[LARGE] == 2


def test_another_part_than_the_one_asked_for_is_refused(server: Server) -> None:
    server.fail(LARGE, [None, Fault(shift=3)])
    assert "the server sent bytes 13-109, and was asked for 10-109" in failure(remote(server), (100, 10))
    server.fail(LARGE, [Fault(shift=3)])
    assert f"the server sent bytes {SIZE - TAIL + 3}-{SIZE - 1} of {SIZE}" in failure(remote(server))


def test_a_wheel_that_changes_meanwhile_is_refused(server: Server) -> None:
    path = server.directory / LARGE
    with opened(remote(server)) as source:
        assert source.read(10, 0) == CONTENTS[LARGE][:10]
        path.write_bytes(CONTENTS[LARGE] + b"more")
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(10, 0)
    with opened(remote(server)) as source:
        path.write_bytes(bytes(source.size))
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(10, 0)
    with opened(remote(server)) as source:
        path.write_bytes(CONTENTS[LARGE][:100])
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(10, 1000)


@pytest.mark.parametrize("whole", [True, False])
def test_a_wheel_that_changes_is_noticed_without_an_etag_by_its_size(server: Server, whole: bool) -> None:
    server.fail(LARGE, [Fault(etag=""), Fault(etag="", whole=whole)])
    with opened(remote(server)) as source:
        assert source.identity == ""
        (server.directory / LARGE).write_bytes(CONTENTS[LARGE] + b"more")
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(10, 0)


def test_a_wheel_of_another_size_than_listed_is_refused(server: Server) -> None:
    assert "the listing says that it has 4999 bytes, the server has 5000" in failure(
        remote(server, SMALL, size=4_999)
    )


def test_what_is_known_is_not_sent_again(server: Server) -> None:
    etag = etag_of(server.directory / SMALL)
    with opened(remote(server, SMALL)) as source:
        assert source.identity == etag
    server.reset()
    with pytest.raises(Unchanged) as unchanged, opened(remote(server, SMALL), unless=etag):
        pass
    assert unchanged.value.tally == Tally(requests=1, fetched=0)
    assert pickle.loads(pickle.dumps(unchanged.value)).tally == unchanged.value.tally
    assert (server.requests[SMALL], server.sent[SMALL]) == (1, 0)
    with opened(remote(server, SMALL), unless='"another"') as source:
        assert source.read(5_000, 0) == CONTENTS[SMALL]


def test_what_an_index_has_the_same_digest_of_is_not_asked_for(server: Server) -> None:
    digest = f"sha256:{sha256_of(server.directory / SMALL)}"
    with pytest.raises(Unchanged), opened(remote(server, SMALL, identity=digest), unless=digest):
        pass
    assert not server.requests
    with opened(remote(server, SMALL, identity=digest), unless="sha256:" + "0" * 64) as source:
        assert source.identity == digest


def test_requests_say_who_asks_and_keep_the_connection(server: Server) -> None:
    server.fail(LARGE, [Fault(status=500)])
    with opened(remote(server)) as source:
        for offset in range(20):
            source.read(10, offset)
    with pytest.raises(InvalidInput), opened(remote(server, "none-1-py3-none-any.whl")):
        pass
    assert server.connections == 1
    for request in server.seen:
        assert request.headers["User-Agent"] == f"wheelfuse/{__version__}"
        assert request.headers["Accept-Encoding"] == "identity"


def test_threads_read_at_the_same_time(server: Server) -> None:
    def read(number: int) -> bool:
        with opened(remote(server)) as source:
            return all(
                source.read(99, at) == CONTENTS[LARGE][at : at + 99] for at in range(number, 5000, 500)
            )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(64)))
    assert server.connections <= 64


def test_a_plain_web_server_without_ranges_and_etags(server: Server) -> None:
    """That of the standard library: it knows If-Modified-Since."""
    handler = partial(QuietHandler, directory=str(server.directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        threading.Thread(target=plain.serve_forever, args=(0.02,), daemon=True).start()
        wheel = Remote(f"http://127.0.0.1:{plain.server_port}/{LARGE}", LARGE)
        with opened(wheel) as source:
            assert source.read(SIZE, 0) == CONTENTS[LARGE]
            assert (source.requests, source.fetched) == (1, SIZE)
            known = source.identity
        with pytest.raises(Unchanged) as unchanged, opened(wheel, unless=known):
            pass
        assert unchanged.value.tally == Tally(requests=1, fetched=0)
        os.utime(server.directory / LARGE, (2**31, 2**31))
        with opened(wheel, unless=known) as source:
            assert source.identity != known
        plain.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on standard error."""


def test_a_forked_process_makes_connections_of_its_own(server: Server) -> None:
    with opened(remote(server)) as source:
        source.read(10, 0)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with opened(remote(server)) as source:
            os.write(writer, source.read(10, 0))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123 (a descriptor)
        assert pipe.read() == CONTENTS[LARGE][:10]
    assert os.waitpid(child, 0)[1] == 0
    with opened(remote(server)) as source:
        assert source.read(10, 0) == CONTENTS[LARGE][:10]
    assert server.connections == 2


def test_certificates_that_the_environment_names_must_exist(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match="REQUESTS_CA_BUNDLE"), opened(remote(server)):
        pass


LOGIN = "some%40one:pass%2Fword"
BASIC = f"Basic {base64.b64encode(b'some@one:pass/word').decode()}"


def with_login(url: str) -> str:
    return url.replace("://", f"://{LOGIN}@")


def test_credentials_are_sent_and_never_told(server: Server) -> None:
    wheel = remote(server, SMALL, private=with_login(f"{server.url}{SMALL}"))
    with opened(wheel):
        assert server.seen[0].headers["Authorization"] == BASIC
    server.fail(SMALL, [Fault(status=401)])
    told = failure(wheel)
    assert "Check the credentials" in told
    assert "word" not in told.replace("user:password@host", "") + repr(wheel)


def test_redirects_are_followed_but_credentials_stay_with_their_host(server: Server, tmp_path: Path) -> None:
    with serving(server.directory) as other:
        wheel = remote(server, SMALL, private=with_login(f"{server.url}{SMALL}"))
        server.fail(SMALL, [Fault(status=302, location=f"/{LARGE}")])
        server.fail(LARGE, [Fault(status=307, location=f"{other.url}{SMALL}")])
        with opened(wheel) as source:
            assert source.read(5_000, 0) == CONTENTS[SMALL]
            assert source.requests == 3
        assert [request.headers.get("Authorization") for request in server.seen] == [BASIC, BASIC]
        assert [request.headers.get("Authorization") for request in other.seen] == [None]
        assert other.seen[0].headers["Range"] == f"bytes=-{TAIL}"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (SMALL, "redirects more than 10 times"),
        ("file:///etc/passwd", "another protocol, file"),
        ("http://[", "what is no URL"),
    ],
)
def test_redirects_that_lead_nowhere(server: Server, location: str, reason: str) -> None:
    server.fail(SMALL, [Fault(status=301, location=location)] * 20)
    assert reason in failure(remote(server, SMALL))


def test_the_proxy_of_the_environment_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", with_login(server.url))
    with opened(Remote(f"http://wheels.example/{SMALL}", SMALL)) as source:
        assert source.read(5_000, 0) == CONTENTS[SMALL]
    assert server.seen[0].headers["Host"] == "wheels.example"
    assert server.seen[0].headers["Proxy-Authorization"] == BASIC
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with opened(remote(server, SMALL)):
        assert "Proxy-Authorization" not in server.seen[1].headers


@pytest.fixture(params=["", "file://"], ids=["path", "url"])
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    path = tmp_path / "a b" / LARGE
    path.parent.mkdir()
    path.write_bytes(CONTENTS[LARGE])
    return Remote(path.as_uri() if request.param else str(path), LARGE)


def test_a_file_of_this_machine(local: Remote, tmp_path: Path) -> None:
    with opened(local) as source:
        assert source.read(SIZE, 0) == CONTENTS[LARGE]
        assert source.read(10, 20) == CONTENTS[LARGE][20:30]
        assert source.read(10, SIZE - 4) == CONTENTS[LARGE][-4:]
        assert (source.size, source.fetched) == (SIZE, SIZE + 10)
        state = (tmp_path / "a b" / LARGE).stat()
        assert source.identity == f"{SIZE}:{state.st_mtime_ns}"
        known = source.identity
    with pytest.raises(Unchanged), opened(local, unless=known):
        pass


def test_a_file_of_this_machine_that_changes_meanwhile(local: Remote, tmp_path: Path) -> None:
    path = tmp_path / "a b" / LARGE
    with opened(local) as source:
        path.write_bytes(b"short")
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(100, 0)
    path.write_bytes(CONTENTS[LARGE])
    with opened(local) as source:
        os.utime(path, ns=(1, 1))
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(100, 0)


def test_what_is_no_file_of_this_machine(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory" in failure(Remote(str(tmp_path / SMALL), SMALL))
    assert "not a regular file" in failure(Remote(str(tmp_path), SMALL))


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.pipe(f"/wheels/{LARGE}", CONTENTS[LARGE])
    yield system
    system.rm("/wheels", recursive=True)


END = SIZE - tail_of(SIZE)
IN_MEMORY = Remote(f"memory://wheels/{LARGE}", LARGE)


def test_a_file_of_another_file_system(memory: Any) -> None:
    with opened(IN_MEMORY) as source:
        assert source.read(END + 5, 0) == CONTENTS[LARGE][: END + 5]
        assert (source.size, source.fetched, source.requests) == (SIZE, SIZE, 3)
        known = source.identity
    with pytest.raises(Unchanged), opened(IN_MEMORY, unless=known):
        pass
    memory.pipe(f"/wheels/{LARGE}", CONTENTS[LARGE])
    with opened(IN_MEMORY, unless=known) as source:
        assert source.identity != known
    assert failure(Remote("memory://wheels/none.whl", SMALL)).endswith("cannot be read: /wheels/none.whl")


def test_errors_of_another_file_system_that_may_pass(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failing = type(memory).cat_file, [TimeoutError(), ConnectionResetError(), RuntimeError("SlowDown")]

    def cat_file(*arguments: Any, **named: Any) -> Any:
        if failing:
            raise failing.pop()
        return real(*arguments, **named)

    monkeypatch.setattr(type(memory), "cat_file", cat_file)
    with opened(IN_MEMORY) as source:
        assert source.read(10, SIZE - 10) == CONTENTS[LARGE][-10:]
        assert source.requests == 1 + 3 + 1
    failing.extend([RuntimeError("SlowDown, https://me:secret@host/")] * 5)
    assert failure(IN_MEMORY).endswith("cannot be read: SlowDown, https://host/ (5 attempts)")


def test_a_file_of_another_file_system_that_became_shorter(memory: Any) -> None:
    with opened(IN_MEMORY) as source:
        memory.pipe(f"/wheels/{LARGE}", b"short")
        with pytest.raises(InvalidInput, match="changed while it was read"):
            source.read(10, 0)


def test_a_file_system_that_is_not_there() -> None:
    with (
        pytest.raises(UsageError, match=r"nosuch://a/b\.whl: Protocol not known: nosuch"),
        opened(Remote("nosuch://a/b.whl", SMALL)),
    ):
        pass


HOOK = """
import sys
def forbid(event, arguments):
    # A module that is compiled would be written: not with -B.
    if event == "open" and (set(arguments[1] or "") & set("wax+") or (arguments[2] or 0) & 3):
        raise SystemExit(f"wrote {arguments}")
sys.addaudithook(forbid)
from wheelfuse.surveying.ranges import opened
from wheelfuse.surveying.rows import Remote
with opened(Remote(sys.argv[1], "a-1-py3-none-any.whl")) as source:
    print(len(source.read(source.size, 0)))
"""


def test_nothing_is_written(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-B", "-c", HOOK, f"{server.url}{LARGE}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{SIZE}\n", "")
    again = subprocess.run(
        [sys.executable, "-B", "-c", f"{HOOK}\nopen({str(tmp_path / 'x')!r}, 'w')", command[-1]],
        capture_output=True,
        text=True,
    )
    assert "wrote" in again.stderr
