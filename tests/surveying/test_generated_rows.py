"""The rows of generated wheels, damaged ones among them, are what they were made to be."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tests.surveying.generated import Damage, Expected, generate
from tests.surveying.server import serving
from wheelfuse.surveying.reading import read_wheel
from wheelfuse.surveying.rows import Remote, Rows

COUNT = 600
"""Enough that every damage is there."""


def test_every_wheel_has_the_rows_that_it_was_made_to_have(tmp_path: Path) -> None:
    expected = generate(tmp_path, COUNT)
    assert {wheel.damage for wheel in expected} == {None, *Damage}
    with serving(tmp_path) as server:
        for wheel in expected:
            rows = read_wheel(Remote(f"{server.url}{quote(wheel.file)}", wheel.file))
            assert isinstance(rows, Rows)
            if wheel.damage is Damage.OTHER_NAME:
                holds_lie(rows, wheel)
            elif wheel.damage and wheel.damage.is_fatal:
                holds_failure(rows, wheel)
            else:
                holds_wheel(rows, wheel)
                holds_modules(rows, wheel)


def holds_failure(rows: Rows, wheel: Expected) -> None:
    assert rows.wheel.status == "failed", wheel
    assert rows.wheel.reason
    assert (rows.wheel.project, rows.modules, rows.symbols, rows.members) == (wheel.project, (), (), ())


def holds_lie(rows: Rows, wheel: Expected) -> None:
    """Only the header of a member that is read is held against the directory: that member alone is left out."""
    path = next(iter(wheel.modules))
    assert any(path[2:] in problem for problem in rows.wheel.problems), wheel
    assert {row.path for row in rows.modules} == wheel.modules.keys() - {path}


def holds_wheel(rows: Rows, wheel: Expected) -> None:
    found = rows.wheel
    assert (found.status, found.reason) == ("read", None), wheel
    assert bool(found.problems) == (wheel.damage is not None)
    python, abi = wheel.tag.split("-") if "-" in wheel.tag else (wheel.tag.rstrip("t"), wheel.tag)
    assert (found.python_tags, found.abi_tags) == ((python,), (abi,))
    assert found.requires_python == ">=3.9"
    if wheel.damage is None:
        assert (found.members, found.unpacked) == (wheel.members, wheel.unpacked)
        assert (len(rows.members), found.shared_objects) == (wheel.members, len(wheel.modules))
        versions = [kind.glibc for kind in wheel.modules.values() if kind.glibc]
        assert found.glibc == max(versions, key=lambda text: int(text.split(".")[1]), default=None)


def holds_modules(rows: Rows, wheel: Expected) -> None:
    kinds = {} if wheel.damage is Damage.HALF else wheel.modules
    asked: dict[str, set[str]] = {path: set() for path in kinds}
    versions = dict.fromkeys(kinds, frozenset[tuple[str, str]]())
    for symbol in rows.symbols:
        asked[symbol.path].add(symbol.symbol)
        versions[symbol.path] |= {(symbol.symbol, symbol.version)} if symbol.version else set()
    assert asked == {path: kind.asked for path, kind in kinds.items()}
    assert versions == {path: frozenset(kind.versioned) for path, kind in kinds.items()}
    assert {row.path for row in rows.modules} == kinds.keys()
    for row in rows.modules:
        kind = kinds[row.path]
        assert row.needed == tuple(sorted(kind.needed))
        assert (row.python_symbols, row.private_symbols) == (
            len(kind.python_symbols),
            len(kind.private_symbols),
        )
        assert (row.module is None) == kind.library
        assert (row.torch is not None) == bool(kind.torch)
        assert row.target == (
            wheel.tag if wheel.tag.startswith("cp3") and "-" not in wheel.tag and not kind.library else None
        )
