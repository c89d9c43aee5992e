"""Fused wheels whose provenance tells of wheels that were never built: it is text, which anybody may write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuse.merging import build_matrix, command, fuse
from tests.wheel.zips import Entry, record_rows, zip_bytes
from tests.wheels import contents
from wheelfuse.fuse.originals import digest_of
from wheelfuse.target import Target

INFO = "pkg-1.0.dist-info"
CP311, CP312 = map(Target.parse, ("cp311", "cp312"))


def forged(directory: Path, forge: Callable[[dict[str, Any]], None]) -> Path:
    """A fused wheel of which only the provenance, and its row in RECORD, are another."""
    built = build_matrix(directory / "in", {CP311: {"pkg/__init__.py": ""}, CP312: {"pkg/__init__.py": ""}})
    path = fuse(built, directory).path
    members = contents(path)
    provenance = json.loads(members.pop(f"{INFO}/wheelfuse.json"))
    del members[f"{INFO}/RECORD"]
    for item in provenance["inputs"]:
        forge(item)
    entries = [Entry(name, content, 0o100644) for name, content in members.items()]
    entries.append(Entry(f"{INFO}/wheelfuse.json", json.dumps(provenance).encode(), 0o100644))
    entries.append(Entry(f"{INFO}/RECORD", record_rows(entries).encode()))
    path.write_bytes(zip_bytes(entries))
    return path


def of_another_record(item: dict[str, Any], text: str) -> None:
    """Who forges RECORD has its digest right: both stand beside each other."""
    item["record"] = {**item["record"], "verbatim": text, "sha256": digest_of(text.encode())}


def a_record_that_is_none(item: dict[str, Any]) -> None:
    of_another_record(item, "no RECORD\n")


def entry_points_that_are_none(item: dict[str, Any]) -> None:
    text = "no section"
    item["restore"][f"{INFO}/entry_points.txt"] = text
    lost = {"path": "pkg/a", "digest": "", "size": 0, "mode": 0, "fate": "dropped", "why": "", "strategy": ""}
    item["lost"] = [lost]  # so that nobody holds RECORD against its digest


@pytest.mark.parametrize(
    ("what", "forge", "told"),
    [
        ("split", a_record_that_is_none, "RECORD line 1 is not 'path,hash,size'"),
        ("split", entry_points_that_are_none, f"{INFO}/entry_points.txt: installers cannot read it"),
        ("merge", entry_points_that_are_none, f"{INFO}/entry_points.txt: installers cannot read it"),
    ],
)
def test_no_unsound_wheel_comes_of_it(
    tmp_path: Path, what: str, forge: Callable[[dict[str, Any]], None], told: str
) -> None:
    path = forged(tmp_path, forge)
    code, _, err = command(what, path, "-d" if what == "split" else "-o", tmp_path / "out")
    assert code == 3
    assert f"{path.name} (cp311): {INFO}/wheelfuse.json: what comes of it" in err
    assert told in err
    assert "Take the wheel that wheelfuse wrote, unchanged." in err
    assert not (tmp_path / "out").exists()
