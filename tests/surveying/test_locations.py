"""Which wheels a location has: directories, pages of indexes and listings, and file systems of fsspec."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import fsspec
import pytest

from tests.surveying.server import JSON, Fault, Server, serving, sha256_of
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.surveying import http, locations
from wheelfuse.surveying.locations import Unlisted, wheels_at
from wheelfuse.surveying.ranges import Unchanged, opened
from wheelfuse.surveying.rows import Remote

WHEELS = {
    "one-1.0-py3-none-any.whl": b"1",
    "one-2.0-cp312-cp312-linux_x86_64.whl": b"12",
    "more/Two_Words-1.0-py3-none-any.whl": b"123",
    "more/below/three-1!0+local.1-py3-none-any.whl": b"1234",
}
NAMES = sorted(path.rpartition("/")[2] for path in WHEELS)
PROJECTS = ("one", "three", "two-words")


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between attempts, and no proxy."""
    monkeypatch.setattr(http, "BACKOFF", 0.0)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "all wheels"
    for name, content in WHEELS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "one-1.0.tar.gz").write_bytes(b"sdist")
    (root / "README").write_bytes(b"text")
    (root / "empty").mkdir()
    return root


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    with serving(directory) as server:
        yield server


def found(location: object, **filters: tuple[str, ...]) -> list[Remote]:
    """The wheels there; all has to be listed."""
    listed = list(wheels_at(str(location), **filters))
    wheels = [entry for entry in listed if isinstance(entry, Remote)]
    assert wheels == listed
    return wheels


def names(location: object, **filters: tuple[str, ...]) -> list[str]:
    return [wheel.name for wheel in found(location, **filters)]


def read(wheel: Remote) -> bytes:
    with opened(wheel) as source:
        return source.read(source.size, 0)


def test_a_directory_and_those_below_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = found(directory)
    assert [wheel.url for wheel in wheels] == [str(directory / name) for name in WHEELS]
    for wheel in wheels:
        state = Path(wheel.url).stat()
        assert (wheel.size, wheel.identity) == (state.st_size, f"{state.st_size}:{state.st_mtime_ns}")
    monkeypatch.chdir(directory.parent)
    assert found("all wheels") == found(directory.as_uri()) == wheels


def test_directories_are_in_order(tmp_path: Path) -> None:
    order = [f"{number * 37 % 50:02}" for number in range(50)]
    for name in order:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"p{name}-1-py3-none-any.whl").write_bytes(b"")
    assert names(tmp_path) == [f"p{name}-1-py3-none-any.whl" for name in sorted(order)]


def test_a_directory_that_cannot_be_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = os.scandir, directory / "more"

    def scandir(path: str) -> object:
        if Path(path) == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    *wheels, failed = wheels_at(str(directory))
    assert len(wheels) == 2
    assert failed == Unlisted(str(refused), "Permission denied")
    with pytest.raises(InvalidInput, match="more: nothing can be listed there: Permission denied"):
        list(wheels_at(str(refused)))


def test_links_to_directories_are_not_followed_and_those_to_wheels_are(directory: Path) -> None:
    (directory / "more" / "above").symlink_to(directory)
    (directory / "four-1-py3-none-any.whl").symlink_to(directory / "one-1.0-py3-none-any.whl")
    (directory / "gone-1-py3-none-any.whl").symlink_to("nowhere")
    assert sorted(names(directory)) == sorted([*NAMES, "four-1-py3-none-any.whl", "gone-1-py3-none-any.whl"])


def test_one_wheel(directory: Path, server: Server) -> None:
    name = NAMES[1]
    assert names(directory / name) == [name]
    assert found(f"{server.url}{name}#sha256=12") == [Remote(f"{server.url}{name}", name)]
    assert not server.requests


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none", "there is no such file"),
        ("x.whl", "there is no such file"),
        ("README", "neither a wheel nor a dir"),
    ],
)
def test_what_is_no_location_here(directory: Path, name: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"/{name}: nothing can be listed there: {reason}"):
        list(wheels_at(str(directory / name)))


def test_a_listing_of_a_web_server(server: Server) -> None:
    wheels = found(server.url)
    assert sorted(wheel.name for wheel in wheels) == NAMES
    assert sorted(map(read, wheels)) == sorted(WHEELS.values())
    pages = {path: count for path, count in server.requests.items() if not path.endswith(".whl")}
    assert pages == {"": 1, "more/": 1, "more/below/": 1, "empty/": 1}


def test_a_listing_is_followed_downwards_only(server: Server) -> None:
    outside = '<a href="../">..</a> <a href="/">/</a> <a href="./">.</a> <a href="?C=N;O=D">sort</a> <a href="below/">'
    outside += ' <a href="below/?path=/">'
    elsewhere = f'<a href="http://127.0.0.1:1/more/">x</a> <a href="{server.url}more-or-less/">y</a>'
    server.fail("more/", [Fault(page=f"{outside} {elsewhere}")])
    assert names(f"{server.url}more/") == ["three-1!0+local.1-py3-none-any.whl"]
    assert set(server.requests) == {"more/", "more/below/"}
    server.reset()
    assert len(names(f"{server.url}more")) == 2  # the server redirects to more/
    assert set(server.requests) == {"more", "more/", "more/below/"}


def test_what_lies_beside_an_index_html_belongs_to_it(server: Server) -> None:
    server.fail("more/index.html", [Fault(page='<a href="below/"></a><a href="/empty/"></a>')])
    assert names(f"{server.url}more/index.html") == ["three-1!0+local.1-py3-none-any.whl"]
    assert set(server.requests) == {"more/index.html", "more/below/"}


def test_a_listing_without_an_end(server: Server, directory: Path) -> None:
    (directory / "more" / "below" / "again").symlink_to(directory / "more")
    *wheels, end = wheels_at(f"{server.url}more/below/")
    assert isinstance(end, Unlisted)
    assert end.reason == "more than 16 directories below the location"
    assert max(server.requests.values()) == 1
    assert len(wheels) == locations.DEPTH + 1


@pytest.mark.parametrize("accept", [JSON, "text/html"])
def test_an_index(server: Server, accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(locations._HEADERS, "Accept", accept)
    wheels = found(server.simple_url)
    assert sorted(wheel.name for wheel in wheels) == NAMES
    for wheel in wheels:
        path = next(server.directory.rglob(wheel.name))
        assert wheel.identity == f"sha256:{sha256_of(path)}"
        assert wheel.size == (path.stat().st_size if accept == JSON else None)
        assert read(wheel) == path.read_bytes()
    assert found(f"{server.simple_url}one/") == found(f"{server.simple_url}one") == wheels[:2]


def test_an_index_is_asked_for_in_both_forms(server: Server) -> None:
    assert found(server.simple_url)
    assert [request.headers["Accept"].split(",")[0] for request in server.seen] == [JSON] * 4
    assert all("text/html;q=" in request.headers["Accept"] for request in server.seen)


def test_an_index_is_followed_as_far_as_it_is_asked_for(server: Server) -> None:
    assert len(list(islice(wheels_at(server.simple_url), 2))) == 2
    assert server.requests == {"simple/": 1, "simple/one/": 1}


def test_a_page_that_fails_is_told_and_the_others_are_read(server: Server) -> None:
    server.fail("simple/one/", [Fault(status=404)])
    server.fail("simple/three/", [Fault(status=500), Fault(close_after=9)])
    failed, *wheels = wheels_at(server.simple_url)
    assert failed == Unlisted(f"{server.simple_url}one/", "the server answers 404 Not Found")
    assert [wheel.name for wheel in wheels if isinstance(wheel, Remote)] == [NAMES[3], NAMES[0]]
    assert server.requests["simple/three/"] == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=404), "the server answers 404 Not Found"),
        (Fault(page="{}", kind="application/json"), "the page's JSON is not that of an index"),
        (Fault(page="[1]", kind=JSON), "the page's JSON is not that of an index"),
        (Fault(page="{", kind=JSON), "the page's JSON is not that of an index"),
        (Fault(page="[" * 100_000, kind=JSON), "the page's JSON is not that of an index"),
        (Fault(page='{"meta": {"api-version": "2.0"}}', kind=JSON), "a version of the index's format"),
        (Fault(page='{"meta": {"api-version": "1.0"}, "files": [{}]}', kind=JSON), "is not that of an index"),
        (Fault(page='{"meta": {"api-version": "1.0"}, "projects": 3}', kind=JSON), "is not that of an index"),
        (Fault(page="GIF", kind="image/gif"), "the server has image/gif there, not a page with links"),
    ],
)
def test_what_is_no_location_on_the_web(server: Server, fault: Fault, reason: str) -> None:
    server.fail("", [fault])
    location = server.url.replace("://", "://me:secret@")
    with pytest.raises(InvalidInput, match=reason) as refused:
        list(wheels_at(location))
    assert f"{server.url}: nothing can be listed there" in str(refused.value)
    assert "secret" not in str(refused.value)


DIGEST = "ab" * 32
LINKS = [
    (f"a-1-py3-none-any.whl#sha256={DIGEST}", "a-1-py3-none-any.whl", f"sha256:{DIGEST}"),
    (f"b-1-py3-none-any.whl#sha256={DIGEST.upper()}&amp;x=1", "b-1-py3-none-any.whl", f"sha256:{DIGEST}"),
    ("c-1-py3-none-any.whl#sha256=12", "c-1-py3-none-any.whl", ""),
    ("d-1-py3-none-any.whl#md5=12", "d-1-py3-none-any.whl", ""),
    (" e-1%2Blocal-py3-none-any.whl\n", "e-1+local-py3-none-any.whl", ""),
    ("f-1-py3-none-any.whl?token=abc&amp;x=1", "f-1-py3-none-any.whl", ""),
    ("e-2-py3-none-any.whl ", "e-2-py3-none-any.whl", ""),
    ("//other.example/up/g-1-py3-none-any.whl", "g-1-py3-none-any.whl", ""),
    ("/top/h-1-py3-none-any.whl", "h-1-py3-none-any.whl", ""),
    ("https://other.example/..%2Fi-1-py3-none-any.whl", "i-1-py3-none-any.whl", ""),
]
NO_LINKS = [
    "file:///tmp/j-1-py3-none-any.whl",
    "s3://bucket/k-1-py3-none-any.whl",
    "javascript:l-1-py3-none-any.whl",
    "http://[/m-1-py3-none-any.whl",
    "n-1.tar.gz",
    "o-1-py3-none-any.whl.metadata",
    "p.html?file=p-1-py3-none-any.whl",
    "",
]


def test_links_of_a_page(server: Server) -> None:
    anchors = "\n".join(
        f'<A class=x HREF="{link}" data-yanked="bad">text</A>' for link in [*(x[0] for x in LINKS), *NO_LINKS]
    )
    page = f"<html><head><title>&lt;</title></head><body><a name=x>{anchors}<a>{anchors}<br/></body>"
    server.fail("p/", [Fault(page=page, kind="text/html; charset=no-such")])
    wheels = found(f"{server.url}p/")
    assert [(wheel.name, wheel.identity) for wheel in wheels] == [
        (name, identity) for _, name, identity in LINKS
    ]
    by_name = {wheel.name[0]: wheel for wheel in wheels}
    assert by_name["a"].url == f"{server.url}p/a-1-py3-none-any.whl"
    assert by_name["f"].url == f"{server.url}p/f-1-py3-none-any.whl?token=***&x=1"
    assert by_name["f"].address == f"{server.url}p/f-1-py3-none-any.whl?token=abc&x=1"
    assert by_name["g"].url == "http://other.example/up/g-1-py3-none-any.whl"


def test_links_are_relative_to_the_base_that_the_page_names(server: Server) -> None:
    bases = '<base target=x><base href="../more/"><base href="/no/">'
    server.fail("p/", [Fault(page=f'{bases}<a href="x-1-py3-none-any.whl">x</a><a href="below/">y')])
    assert [wheel.url for wheel in found(f"{server.url}p/")] == [f"{server.url}more/x-1-py3-none-any.whl"]


def test_links_of_a_page_in_json(server: Server) -> None:
    files = [
        {
            "filename": "a-1-py3-none-any.whl",
            "url": "a",
            "hashes": {"sha256": DIGEST},
            "size": 3,
            "yanked": "bad",
        },
        {"filename": "b-1-py3-none-any.whl", "url": "/b.whl?X-Amz-Signature=12", "hashes": {}, "size": "3"},
        {"filename": "c-1.tar.gz", "url": "c", "hashes": {}},
        {"filename": "d-1-py3-none-any.whl", "url": "file:///tmp/d.whl", "hashes": {}},
    ]
    page = json.dumps({"meta": {"api-version": "1.4"}, "name": "p", "files": files})
    server.fail("p/", [Fault(page=page, kind=JSON)])
    assert found(f"{server.url}p/") == [
        Remote(f"{server.url}p/a", "a-1-py3-none-any.whl", 3, f"sha256:{DIGEST}"),
        Remote(
            f"{server.url}b.whl?X-Amz-Signature=***",
            "b-1-py3-none-any.whl",
            private=f"{server.url}b.whl?X-Amz-Signature=12",
        ),
    ]


def test_credentials_are_for_the_host_of_the_location_alone(server: Server) -> None:
    secret = server.url.replace("://", "://me:secret@")
    links = ("/one-1.0-py3-none-any.whl", f"{server.url}x.whl", "//other.example/y.whl", "below/")
    server.fail("more/", [Fault(page="".join(f'<a href="{link}">' for link in links))])
    wheels = found(f"{secret}more/")
    assert [wheel.private for wheel in wheels] == [
        f"{secret}one-1.0-py3-none-any.whl",
        f"{secret}x.whl",
        "",
        f"{secret}more/below/three-1%210%2Blocal.1-py3-none-any.whl",
    ]
    assert "secret" not in repr(wheels) + "".join(wheel.url for wheel in wheels)
    assert all(request.headers["Authorization"] for request in server.seen)


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        (("one-*",), (), NAMES[1:3]),
        (("one-*", "*Words*"), ("*-cp312-*",), [NAMES[0], NAMES[1]]),
        ((), ("*",), []),
        (("*.tar.gz",), (), []),
        (("[!o]*",), (), [NAMES[0], NAMES[3]]),
    ],
)
def test_globs_choose_among_file_names(
    server: Server, include: tuple[str, ...], exclude: tuple[str, ...], left: list[str]
) -> None:
    for location in (server.directory, server.url, server.simple_url):
        assert sorted(names(location, include=include, exclude=exclude)) == sorted(left)


def test_a_glob_that_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="no glob"):
        wheels_at("x", include=("[z-a]",))


def test_a_file_system_of_fsspec(directory: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in WHEELS.items():
            memory.pipe(f"/listed/{name}", content)
            file.writestr(f"in/{name}", content)
    memory.pipe("/listed/README", b"")
    try:
        for location in ("memory://listed", "memory://listed/", f"zip://in::{archive}", f"zip://::{archive}"):
            wheels = found(location)
            assert sorted(wheel.name for wheel in wheels) == NAMES
            assert {wheel.size: read(wheel) for wheel in wheels} == {
                len(data): data for data in WHEELS.values()
            }
            for wheel in wheels:
                with opened(wheel) as source:
                    known = source.identity
                with pytest.raises(Unchanged), opened(wheel, unless=known):
                    pass
        assert found("memory://listed", include=("Two*",))[0].url == f"memory://listed/more/{NAMES[0]}"
        assert names(f"memory://listed/more/{NAMES[0]}") == [NAMES[0]]
        assert read(found(f"memory://listed/more/{NAMES[0]}")[0]) == b"123"
    finally:
        memory.rm("/listed", recursive=True)


def test_a_file_system_or_a_place_in_it_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="memory://none: nothing can be listed there: there is nothing"):
        list(wheels_at("memory://none"))
    with pytest.raises(UsageError, match=r"nosuch://none: Protocol not known: nosuch"):
        list(wheels_at("nosuch://none"))
