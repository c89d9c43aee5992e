"""Shared objects that several wheels have are read once, however many others there are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.native import library
from tests.surveying.generated import SEED, generate
from tests.wheels import build_wheel
from wheelfuse.surveying import reading
from wheelfuse.surveying.reading import read_wheel
from wheelfuse.surveying.rows import Remote, Rows


def fetched(path: Path) -> int:
    rows = read_wheel(Remote(str(path), path.name))
    assert isinstance(rows, Rows)
    assert [(row.path, row.whole) for row in rows.modules] == [
        (f"pkg.libs/lib{n}.so", True) for n in range(3)
    ]
    return rows.wheel.fetched


def test_a_file_is_read_once_even_after_thousands_that_were_met_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_KEPT", reading._Kept())
    monkeypatch.setattr(reading, "_MOST_KEPT", 4_000)
    for wheel in generate(tmp_path / "others", 160, SEED):
        read_wheel(Remote(str(tmp_path / "others" / wheel.file), wheel.file))
    # Without .gnu.hash nothing in front proves where the tables are: all of it has to be read.
    sources = [f"static char big[1000000] = {{1}}; void f{n}(void) {{ big[0]++; }}" for n in range(3)]
    big = {
        f"pkg.libs/lib{n}.so": library(source, "", "-Wl,--hash-style=sysv")
        for n, source in enumerate(sources)
    }
    files = {**big, "pkg/data.bin": bytes(range(256)) * 2000}
    first, second = (
        build_wheel(tmp_path, tag, files, compression=zipfile.ZIP_STORED) for tag in ("cp312", "cp313")
    )
    size = sum(map(len, big.values()))
    assert fetched(first) > size
    assert fetched(second) < size // 2
