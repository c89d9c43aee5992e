"""A survey of a bucket: S3 as moto serves it on this machine, read by s3fs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.surveying.generated import generate
from tests.surveying.surveyed import stored
from wheelfuse import survey
from wheelfuse.errors import InvalidInput, UsageError

OWN = ("url", "identity", "fetched", "requests")
"""Columns that tell where a wheel was read, and how."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of eight projects, some of them damaged, and some so large that they are read by parts."""
    directory = tmp_path_factory.mktemp("made")
    assert any(wheel.damage for wheel in generate(directory, 320))
    assert any(path.stat().st_size > 256 << 10 for path in directory.iterdir())
    return directory


@pytest.fixture(scope="module")
def bucket(wheels: Path) -> Iterator[Any]:
    """A client of the bucket ``wheels``, which has them below ``all/``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            client = boto3.client("s3")
            client.create_bucket(Bucket="wheels")
            for path in wheels.iterdir():
                client.upload_file(str(path), "wheels", f"all/{path.name}")
            client.put_object(Bucket="wheels", Key="all/README", Body=b"no wheel")
            yield client
    finally:
        server.stop()


def facts(directory: Path) -> list[tuple[object, ...]]:
    """All rows, but for what tells where the wheels were read, and how; by their file names."""
    tables = stored(directory)
    files = {row.id: row.file for row in tables["wheels"]}
    found = []
    for table, rows in tables.items():
        for row in rows:
            told = row._asdict() | {"id": files[row.id]}
            found.append((table, *(value for name, value in told.items() if name not in OWN)))
    return sorted(found, key=repr)


def test_a_bucket_has_the_rows_of_a_directory(bucket: Any, wheels: Path, tmp_path: Path) -> None:
    here, there = survey(str(wheels), tmp_path / "here"), survey("s3://wheels/all", tmp_path / "there")
    assert facts(tmp_path / "there") == facts(tmp_path / "here")
    assert (there.read, there.failed) == (here.read, here.failed)
    assert there.fetched < there.size, "what is large is read by parts"


def test_what_a_bucket_has_anew_is_read_again_and_nothing_else(
    bucket: Any, wheels: Path, tmp_path: Path
) -> None:
    for path in wheels.glob("made00001-1.0-*"):
        bucket.upload_file(str(path), "wheels", f"changing/{path.name}")
    first = survey("s3://wheels/changing", tmp_path / "s")
    assert first.read > 3
    changed = next(row.file for row in stored(tmp_path / "s")["wheels"] if row.status == "read")
    bucket.put_object(Bucket="wheels", Key=f"changing/{changed}", Body=b"no wheel any more")
    again = survey("s3://wheels/changing", tmp_path / "s", resume=True)
    assert (again.read, again.failed, again.unchanged) == (0, 1 + first.failed, first.read - 1)


@pytest.mark.parametrize(
    ("location", "reason"),
    [("s3://wheels/none", "there is nothing"), ("s3://nowhere/all", "bucket does not exist")],
)
def test_a_place_that_is_not_there(bucket: Any, tmp_path: Path, location: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{location}: nothing can be listed there: .*{reason}"):
        survey(location, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_without_the_driver_the_extra_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(
        import_module("fsspec.registry")._registry, "s3", raising=False
    )  # what was imported before
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"s3://wheels: Install s3fs[^\n]*\n *pip install 'wheelfuse\[s3\]'"):
        survey("s3://wheels", tmp_path / "s")
