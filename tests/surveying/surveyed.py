"""Rows without wheels: files whose text says what becomes of them when they are read."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wheelfuse.surveying.failed import failed
from wheelfuse.surveying.ranges import Unchanged, local_path
from wheelfuse.surveying.rows import MemberRow, ModuleRow, Remote, Rows, SymbolRow
from wheelfuse.surveying.tables import rows_of
from wheelfuse.wheel.limits import Limits

TABLES = ("wheels", "modules", "symbols", "members")


def rows(url: str, identity: str = "1", *, symbols: int = 3, size: int = 1000) -> Rows:
    """Some rows of a wheel that can be read."""
    name = url.rpartition("/")[2]
    wheel = failed(Remote(url, name, size, identity), "").wheel._replace(
        status="read", reason=None, fetched=size // 10, requests=2, members=2, unpacked=4 * size, shared_objects=1,
        generator="made (1.0)", targets=("cp312", "cp313"), glibc="2.17", problems=("naïve", "RECORD: x"),
    )  # fmt: skip
    path = f"{name[:3]}/m.cpython-312-x86_64-linux-gnu.so"
    module = ModuleRow(
        id=wheel.id, path=path, module=f"{name[:3]}.m", target="cp312", stable_abi=None, size=size, packed=size // 3,
        whole=False, machine="EM_X86_64", needed=("libc.so.6", "libm.so.6"), glibc="2.17", imports=symbols, exports=1,
        python_symbols=symbols, private_symbols=0, limited_api="3.9", loaders=("cp312",), missing=(), torch=None,
    )  # fmt: skip
    return Rows(
        wheel,
        (module,),
        tuple(SymbolRow(wheel.id, path, f"Py{n}", None if n % 2 else "GLIBC_2.17", False, n == 1, "cpython")
              for n in range(symbols)),
        (MemberRow(wheel.id, path, f"sha256={wheel.id}", size, size // 3), MemberRow(wheel.id, "RECORD", None, 9, 9)),
    )  # fmt: skip


def read(remote: Remote, limits: Limits, unless: str = "") -> Rows | Unchanged:
    """What the text of the file says: ``fail``, ``die``, ``slow``, a number of symbols."""
    path = local_path(remote.url)
    assert path is not None
    if noted := os.environ.get("READ"):
        with Path(noted).open("a") as file:
            file.write(f"{remote.name} {unless}\n")
    text = path.read_text()
    if text == "fail":
        return failed(remote, "it does not want to", fetched=10, requests=1)
    if text == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "huge":
        made = rows(remote.url, remote.identity)
        return Rows(made.wheel._replace(unpacked=1 << 70), made.modules)
    if text == "slow":
        time.sleep(0.05)
        text = "3"
    return rows(remote.url, remote.identity, symbols=int(text))


def stored(directory: Path) -> dict[str, list[Any]]:
    """All rows that are in the files of a survey, by table, in an order of their own: as anyone may read them."""
    found = {}
    for table in TABLES:
        files = sorted((directory / table).glob("*.parquet"))
        found[table] = sorted(
            (row for file in files for row in rows_of(table, pq.ParquetFile(file).read())), key=repr
        )
    return found


def expected(some: Sequence[Rows]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of these wheels, likewise."""
    return {
        "wheels": sorted((each.wheel for each in some), key=repr),
        "modules": sorted((row for each in some for row in each.modules), key=repr),
        "symbols": sorted((row for each in some for row in each.symbols), key=repr),
        "members": sorted((row for each in some for row in each.members), key=repr),
    }
