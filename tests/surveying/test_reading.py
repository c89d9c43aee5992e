"""One wheel is read by ranges: as little of it as tells, and no less."""

from __future__ import annotations

import random
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native import library, module, soabi
from tests.surveying.server import serving
from tests.wheels import build_wheel
from wheelfuse.auditing.reading import read_subject
from wheelfuse.errors import InvalidInput
from wheelfuse.surveying import inflating
from wheelfuse.surveying.facts import rows_of
from wheelfuse.surveying.inflating import Inflating
from wheelfuse.surveying.ranges import TAIL, Unchanged
from wheelfuse.surveying.reading import read_wheel
from wheelfuse.surveying.rows import Remote, Rows
from wheelfuse.target import Target
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.directory import DEFAULT_MODE, DEFLATED, STORED, Member
from wheelfuse.wheel.limits import Limits
from wheelfuse.wheel.wheel import statements

TARGET = Target.parse("cp312")
SYMBOLS = ("PyList_New", "_PyLong_AsByteArray", "_PyObject_GetDictPtr")
NOISE = random.Random(9).randbytes(1 << 20)
"""Does not become smaller by deflate."""


def extension(data: bytes = b"") -> bytes:
    numbers = ",".join(map(str, data))
    declared = f"const unsigned char data[] = {{{numbers}}};" if data else ""
    return module("spam", TARGET, *SYMBOLS, declare=declared)


def read(path: Path, **options: object) -> Rows:
    found = read_wheel(Remote(str(path), path.name), **options)  # type: ignore[arg-type]
    assert isinstance(found, Rows)
    return found


def by_audit(path: Path, like: Rows) -> Rows:
    """The rows of what an audit knows of the whole file; *like* tells what no audit knows."""
    with Archive(path) as archive:
        said = statements(archive)
    wheel = like.wheel
    whole = frozenset(row.path for row in like.modules if row.whole)
    return rows_of(
        Remote(wheel.url, wheel.file), read_subject(path), said, whole, wheel.identity,
        fetched=wheel.fetched, requests=wheel.requests,
    )  # fmt: skip


class TestWheel:
    def test_a_small_one_is_one_request(self, tmp_path: Path) -> None:
        path = build_wheel(tmp_path, files={soabi("spam", TARGET): extension()})
        with serving(tmp_path) as server:
            found = read_wheel(Remote(f"{server.url}/{path.name}", path.name))
        assert isinstance(found, Rows)
        assert (found.wheel.requests, found.wheel.fetched) == (1, path.stat().st_size)
        assert found == by_audit(path, found)

    def test_of_a_large_one_the_front_of_each_shared_object_is_read(self, tmp_path: Path) -> None:
        files = {
            soabi("pkg/spam", TARGET): extension(NOISE[:200_000]),
            "pkg/libham.so": library("int ham(void) { return 1; }") + NOISE,
        }
        files["pkg/data.bin"] = NOISE
        path = build_wheel(tmp_path, files=files)
        found = read(path)
        assert found == by_audit(path, found)
        assert [row.whole for row in found.modules] == [False, False]
        assert found.wheel.fetched < TAIL + 150_000

    def test_what_one_needs_of_cpython_is_told(self, tmp_path: Path) -> None:
        found = read(build_wheel(tmp_path, files={soabi("spam", TARGET): extension()}))
        [row] = found.modules
        assert (row.module, row.target, row.python_symbols, row.private_symbols) == ("spam", "cp312", 5, 2)
        assert row.loaders == ("cp312",)
        symbols = {symbol.symbol: symbol.kind for symbol in found.symbols}
        assert {name for name in symbols if symbols[name] == "cpython"} >= set(SYMBOLS)
        assert found.wheel.targets == ("cp312",)
        assert {member.path for member in found.members} > {"pkg-1.0.dist-info/METADATA"}

    def test_what_another_file_defines_is_its_own(self, tmp_path: Path) -> None:
        ham = library("int ham(void) { return 1; }", "libham.so")
        spam = library(
            "extern int ham(void); int spam(void) { return ham(); }",
            beside={"libham.so": ham},
            runpath="$ORIGIN",
        )
        found = read(build_wheel(tmp_path, files={"libham.so": ham, "libspam.so": spam}))
        assert {row.own for row in found.symbols if row.symbol == "ham"} == {True}

    def test_a_program_is_a_shared_object_too(self, tmp_path: Path) -> None:
        name = "pkg-1.0.data/scripts/program"
        path = build_wheel(
            tmp_path, files={name: library("int f(void) { return 1; }"), "pkg/x.py": "x = 1\n"}
        )
        assert [row.path for row in read(path).modules] == [name]

    def test_a_grafted_library_is_read_once_for_all_wheels(self, tmp_path: Path) -> None:
        ham = library("int ham(void) { return 1; }", "libham.so") + NOISE
        paths = [
            build_wheel(tmp_path, target, {"libham.so": ham, f"{target}.bin": NOISE})
            for target in ("cp311", "cp312")
        ]
        first, second = map(read, paths)
        assert second.wheel.fetched < 70_000 < 130_000 < first.wheel.fetched
        assert [row[1:] for row in first.symbols] == [row[1:] for row in second.symbols]

    def test_one_that_did_not_change_is_not_read(self, tmp_path: Path) -> None:
        path = build_wheel(tmp_path)
        identity = read(path).wheel.identity
        assert isinstance(read_wheel(Remote(str(path), path.name), unless=identity), Unchanged)
        path.write_bytes(path.read_bytes() + b"x")
        assert isinstance(read_wheel(Remote(str(path), path.name), unless=identity), Rows)


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("pkg-1.0-py3-none-any.whl", b"no zip", "not a zip file"),
            ("pkg-1.0-py3-none-any.whl", b"", "not a zip file"),
            ("pkg.whl", None, "not a wheel file name"),
        ],
    )
    def test_what_is_no_wheel(self, tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
        path = build_wheel(tmp_path / "good").rename(tmp_path / name)
        if content is not None:
            path.write_bytes(content)
        found = read(path)
        assert found.wheel.status == "failed" and reason in str(found.wheel.reason), found.wheel.reason
        assert (found.modules, found.symbols, found.members) == ((), (), ())

    def test_one_that_is_gone(self, tmp_path: Path) -> None:
        found = read(tmp_path / "pkg-1.0-py3-none-any.whl")
        assert found.wheel.status == "failed" and "No such file" in str(found.wheel.reason)

    def test_a_shared_object_that_is_damaged_is_a_problem_of_its_wheel(self, tmp_path: Path) -> None:
        damaged = extension()[:2000]
        found = read(build_wheel(tmp_path, files={"spam.so": damaged, "ham.so": extension()}))
        assert found.wheel.status == "read" and [row.path for row in found.modules] == ["ham.so"]
        assert any(problem.startswith("spam.so: unreadable ELF file") for problem in found.wheel.problems)

    def test_a_stream_that_is_damaged_is_one_too(self, tmp_path: Path) -> None:
        path = build_wheel(tmp_path, files={"spam.so": extension(NOISE[:5000])})
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            place = archive.getinfo("spam.so").header_offset + 30 + len("spam.so")
        content[place + 3000] ^= 0xFF
        path.write_bytes(content)
        assert any("spam.so: damaged" in problem for problem in read(path).wheel.problems)

    def test_a_local_header_of_another_file_is_one_too(self, tmp_path: Path) -> None:
        path = build_wheel(tmp_path, files={"spam.so": extension()})
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            place = archive.getinfo("spam.so").header_offset + 30
        content[place : place + 4] = b"eggs"
        path.write_bytes(content)
        assert (
            "spam.so: no local header where the directory says, or another one" in read(path).wheel.problems
        )

    def test_what_is_beyond_the_limits_is_not_read(self, tmp_path: Path) -> None:
        path = build_wheel(tmp_path, files={"spam.so": extension(), "zeros": bytes(1 << 22)})
        found = read(path, limits=Limits(member_size=1 << 20))
        assert found.wheel.status == "failed" and "zeros" in str(found.wheel.reason)


class TestInflating:
    CONTENT = NOISE[:300_000] + bytes(300_000) + NOISE[:200_000]

    def content(self, method: int, fetched: list[int] | None = None) -> Inflating:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(self.CONTENT) + packer.flush() if method == DEFLATED else self.CONTENT
        member = Member(
            "x", DEFAULT_MODE, method, zlib.crc32(self.CONTENT), len(packed), len(self.CONTENT), 0
        )

        def read(offset: int, size: int) -> bytes:
            if fetched is not None:
                fetched.append(size)
            return packed[offset : offset + size]

        return Inflating(read, member)

    @pytest.mark.parametrize("method", [STORED, DEFLATED])
    @pytest.mark.parametrize("kept", [(64 << 20, 32 << 20), (100_000, 100_000), (1, 1)])
    def test_any_part_is_what_it_is(
        self, monkeypatch: pytest.MonkeyPatch, method: int, kept: tuple[int, int]
    ) -> None:
        monkeypatch.setattr(inflating, "_HEAD", kept[0])
        monkeypatch.setattr(inflating, "_END", kept[1])
        content, chance = self.content(method), random.Random(3)
        assert len(content) == len(self.CONTENT)
        for _ in range(60):
            start, stop = sorted(chance.choices(range(len(self.CONTENT) + 1), k=2))
            assert content[start:stop] == self.CONTENT[start:stop]

    def test_the_front_takes_no_more_than_twice_what_it_needs(self) -> None:
        fetched: list[int] = []
        content = self.content(DEFLATED, fetched)
        assert content.front(100_000)[:100_000] == self.CONTENT[:100_000]
        assert 100_000 <= sum(fetched) <= 200_000 and not content.complete

    def test_damage_is_told_at_the_end(self) -> None:
        content = self.content(DEFLATED)
        content._member = replace(content._member, crc=1)
        assert content[:1000] == self.CONTENT[:1000]
        with pytest.raises(InvalidInput, match="checksum or size is not as the directory says"):
            content[-1000:]
