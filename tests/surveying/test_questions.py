"""The questions, each answered apart in plain Python from the same rows."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from packaging import tags as packaging_tags
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from tests.surveying.generated_rows import UNKNOWN, drawn, surveyed, torch_symbols
from tests.wheels import compile_library
from wheelfuse.abi import cpython, torch
from wheelfuse.abi.limited_api import lowest_limited_api
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.surveying.answer import SurveyAnswer
from wheelfuse.surveying.asking import ask
from wheelfuse.surveying.columns import TABLES
from wheelfuse.surveying.questions import entries
from wheelfuse.surveying.rows import MemberRow, ModuleRow, Rows, SymbolRow, WheelRow
from wheelfuse.target import Target

WHEELS = drawn(seed=1, releases=90)
READ = [rows for rows in WHEELS if rows.wheel.status == "read"]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return surveyed(tmp_path_factory.mktemp("survey") / "it's [a] survey", WHEELS)


def found(answer: SurveyAnswer, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of a table of an answer."""
    [table] = [table for table in answer.tables if table.name == name]
    assert table.total == len(table.rows)
    return list(zip(*(table.values(column) for column in columns), strict=True))


def installs(wheel: WheelRow, target: Target) -> bool:
    """As an installer decides, which passes over a Requires-Python that it cannot read."""
    version = (3, target.minor)
    accepted = {
        (tag.interpreter, tag.abi)
        for tag in (
            *packaging_tags.cpython_tags(version, [str(target)], ["any"]),
            *packaging_tags.compatible_tags(version, target.python_tag, ["any"]),
        )
    }
    if accepted.isdisjoint((python, abi) for python in wheel.python_tags for abi in wheel.abi_tags):
        return False
    try:
        return any(
            f"3.{target.minor}.{micro}" in SpecifierSet(wheel.requires_python or "") for micro in range(30)
        )
    except InvalidSpecifier:
        return True


def loaded(rows: Rows, loader: str) -> set[str]:
    """The files of a wheel that a CPython loads."""
    free = loader.endswith("t")
    modules = {
        module.path: module.loaders
        for module in rows.modules
        if module.module
        and (
            module.target == loader or (module.target is None and not (module.stable_abi == "abi3" and free))
        )
    }
    by = {one for loaders in modules.values() for one in loaders}
    libraries = {
        library.path
        for library in rows.modules
        if not library.module and (not library.loaders or by & set(library.loaders))
    }
    return {*modules, *libraries}


def lacking(rows: Rows, loader: str, exports: Iterable[str]) -> set[str]:
    files = loaded(rows, loader)
    return {
        symbol.symbol
        for symbol in rows.symbols
        if symbol.path in files and symbol.kind == "cpython" and not symbol.weak and not symbol.own
    } - set(exports)


def broken(target: Target, exports: Iterable[str]) -> dict[str, tuple[str, set[str]]]:
    """What breaks on a CPython, and what must change for it: file -> (installs, symbols)."""
    exports = set(exports)
    answer = {}
    releases = defaultdict(list)
    for rows in READ:
        releases[rows.wheel.project, rows.wheel.version].append(rows)
    for release in releases.values():
        fits = [rows for rows in release if installs(rows.wheel, target)]
        for rows in fits:
            answer[rows.wheel.file] = "yes", lacking(rows, str(target), exports)
        if fits:
            continue
        earlier = [Target(minor, target.free_threaded) for minor in range(8, target.minor)]
        served = [(rows, [one for one in earlier if installs(rows.wheel, one)]) for rows in release]
        newest = max((max(some) for _, some in served if some), default=None)
        for rows, some in served:
            if some and max(some) == newest:
                answer[rows.wheel.file] = "no", lacking(rows, str(newest), exports)
    return {file: (verdict, symbols) for file, (verdict, symbols) in answer.items() if symbols}


@pytest.mark.parametrize("target", ["cp38", "cp312", "cp313t", "cp314", "cp315"])
def test_what_breaks_on_a_known_cpython(survey: Path, target: str) -> None:
    wanted = Target.parse(target)
    expected = broken(wanted, cpython.exports(wanted))
    assert expected or target == "cp38"
    answer = ask(survey, "breaks-on", target)
    wheels = {
        file: (verdict, set(symbols))
        for file, verdict, symbols in found(answer, "wheels", "file", "installs", "symbols")
    }
    assert wheels == expected
    breaking = Counter(
        symbol for verdict, symbols in expected.values() for symbol in symbols if verdict == "yes"
    )
    waiting = Counter(
        symbol for verdict, symbols in expected.values() for symbol in symbols if verdict == "no"
    )
    told = found(answer, "symbols", "symbol", "breaking", "waiting")
    assert {symbol: (bad, later) for symbol, bad, later in told} == {
        symbol: (breaking[symbol], waiting[symbol]) for symbol in breaking | waiting
    }
    number = sum(verdict == "yes" for verdict, _ in expected.values())
    assert answer.sentence.startswith(f"{number} of ") or not number


def test_what_breaks_on_a_cpython_that_is_not_released(survey: Path, tmp_path: Path) -> None:
    """By a list of symbols, and by a library that exports the same: one private symbol is gone, and a public one."""
    exports = sorted(cpython.exports(Target(14)) - {"_PyLong_AsByteArray", "PyLong_FromLong"})
    listed = tmp_path / "exports.txt"
    listed.write_text("# of a CPython to come\n" + "\n".join(exports) + "\n")
    source = "".join(f"char {name};\n" for name in exports)
    library = tmp_path / "libpython3.16.so"
    library.write_bytes(compile_library(tmp_path / "made.so", source))
    by_list, by_library = (ask(survey, "breaks-on", "3.16", exports=file) for file in (listed, library))
    assert by_list.tables == by_library.tables
    expected = broken(Target(16), exports)
    assert {file: set(symbols) for file, symbols in found(by_list, "wheels", "file", "symbols")} == {
        file: symbols for file, (_, symbols) in expected.items()
    }
    assert "PyLong_FromLong" in dict(found(by_list, "symbols", "symbol", "breaking"))


def test_replacements_are_told_where_the_cpython_has_them(survey: Path, tmp_path: Path) -> None:
    old, new = next(
        (old, new) for old, new in cpython.replacements().items() if cpython.exported(new, Target(14))
    )
    rows = READ[0]
    path = "pkg/m.abi3.so"
    module = ModuleRow(
        "1" * 16,
        path,
        "pkg.m",
        None,
        "abi3",
        1,
        1,
        False,
        "EM_X86_64",
        (),
        None,
        1,
        1,
        1,
        1,
        None,
        (),
        (),
        None,
    )
    wheel = rows.wheel._replace(
        id="1" * 16, file="x-1-cp39-abi3-linux_x86_64.whl", python_tags=("cp39",), abi_tags=("abi3",),
        requires_python=None,
    )  # fmt: skip
    symbol = SymbolRow("1" * 16, path, old, None, False, False, "cpython")
    directory = surveyed(tmp_path / "s", [Rows(wheel, (module,), (symbol,))])
    exports = tmp_path / "exports"
    exports.write_text(f"PyObject_GetAttr\n{new}\n")
    [told] = found(
        ask(directory, "breaks-on", "cp316", exports=exports), "symbols", "symbol", "replacement", "known"
    )
    assert told[:2] == (old, new)
    assert set(told[2]) == {
        str(target) for target in cpython.table().columns if old in cpython.exports(target)
    }
    exports.write_text("PyObject_GetAttr\n")
    [told] = found(ask(directory, "breaks-on", "cp316", exports=exports), "symbols", "replacement")
    assert told == ("",)


def test_symbols_that_no_cpython_has_are_noted(survey: Path) -> None:
    assert any(UNKNOWN in note for note in ask(survey, "breaks-on", "cp313").notes)


@pytest.mark.parametrize(
    ("arguments", "exports", "message"),
    [
        (("cp316",), None, "what cp316 exports is not known, only that of cp38 to cp315t"),
        (("py312",), None, "did you mean cp312?"),
        (("cp316",), "", "exports no symbol"),
        (("cp316",), "PyLong_FromLong\n", "no CPython: PyObject_GetAttr is not exported"),
        (("cp316",), "0000 T PyLong_FromLong\n", "line 1 is no symbol"),
        (("cp316",), b"\xff\xfe", "neither a shared object nor a list of symbols"),
        (("cp316",), b"\x7fELF", "unreadable ELF file"),
        ((), None, "breaks-on lacks its TARGET"),
        (("cp312", "cp313"), None, "breaks-on has no use for 'cp313'"),
    ],
)
def test_calls_of_breaks_on_that_make_no_sense(
    survey: Path, tmp_path: Path, arguments: tuple[str, ...], exports: str | bytes | None, message: str
) -> None:
    file = tmp_path / "exports"
    file.write_bytes(exports.encode() if isinstance(exports, str) else exports or b"")
    with pytest.raises((UsageError, InvalidInput), match=re.escape(message)):
        ask(survey, "breaks-on", *arguments, exports=() if exports is None else file)


@pytest.mark.parametrize("glob", ["cudaMalloc", "cudaMalloc*", "_Py*", "*", "we[[]ird[*]", "nothing"])
def test_who_uses_a_symbol(survey: Path, glob: str) -> None:
    answer = ask(survey, "uses", glob)
    users = defaultdict(set)
    projects = defaultdict(set)
    for rows in READ:
        for symbol in rows.symbols:
            if fnmatchcase(symbol.symbol, glob) and not symbol.own:
                users[rows.wheel.file].add(symbol.symbol)
                projects[symbol.symbol, symbol.version].add(rows.wheel.project)
    assert bool(users) is (glob != "nothing")
    assert {file: set(symbols) for file, symbols in found(answer, "wheels", "file", "symbols")} == users
    told = found(answer, "symbols", "symbol", "version", "projects", "names")
    assert {(symbol, version): set(names) for symbol, version, _, names in told} == projects
    assert all(number == len(names) for _, _, number, names in told)


def test_weak_are_symbols_that_all_can_do_without(tmp_path: Path) -> None:
    wheel = READ[0].wheel
    symbols = [
        SymbolRow(wheel.id, path, symbol, None, weak, False, "other")
        for path, symbol, weak in (("a", "x", True), ("b", "x", True), ("a", "y", True), ("b", "y", False))
    ]
    answer = ask(surveyed(tmp_path / "s", [Rows(wheel, (), tuple(symbols))]), "uses", "?")
    assert found(answer, "symbols", "symbol", "weak") == [("x", "yes"), ("y", "no")]


def test_private_symbols(survey: Path) -> None:
    projects, wheels = defaultdict(set), defaultdict(set)
    for rows in READ:
        for symbol in rows.symbols:
            if symbol.kind == "cpython" and symbol.symbol.startswith("_") and not symbol.own:
                projects[symbol.symbol].add(rows.wheel.project)
                wheels[symbol.symbol].add(rows.wheel.id)
    answer = ask(survey, "private-symbols")
    told = found(answer, "symbols", "symbol", "projects", "wheels", "missing")
    assert {symbol: (some, many) for symbol, some, many, _ in told} == {
        symbol: (len(projects[symbol]), len(wheels[symbol])) for symbol in projects
    }
    order = [(stable == "yes", -some) for stable, some in found(answer, "symbols", "stable", "projects")]
    assert order == sorted(order)
    stable = dict(found(answer, "symbols", "symbol", "stable"))
    assert {symbol for symbol in stable if lowest_limited_api([symbol])} == {
        symbol for symbol, said in stable.items() if said == "yes"
    }
    for symbol, _, _, missing in told:
        assert set(missing) == {
            str(one) for one in cpython.table().columns if symbol not in cpython.exports(one)
        }
    assert len(ask(survey, "private-symbols", top=3).tables[0].rows) == 3
    assert ask(survey, "private-symbols", top=3).tables[0].total == len(projects)


def test_torch_of_the_table(survey: Path) -> None:
    version = "2.8"
    without = {name for name in torch_symbols() if version not in torch.exported_in(name)}
    needing = [rows for rows in READ if rows.wheel.torch is not None]
    expected = {
        rows.wheel.file: {s.symbol for s in rows.symbols if s.kind == "torch" and not s.weak and not s.own}
        & without
        for rows in needing
    }
    answer = ask(survey, "torch-range", "2.8.1+cu128")
    assert {file: set(symbols) for file, symbols in found(answer, "wheels", "file", "symbols")} == expected
    runs = dict(found(answer, "wheels", "file", "runs"))
    assert runs == {file: "no" if symbols else "yes" for file, symbols in expected.items()}
    known = dict(found(answer, "symbols", "symbol", "known"))
    assert known == {symbol: torch.exported_in(symbol) for symbol in set().union(*expected.values())}


def test_a_torch_that_is_not_released(survey: Path, tmp_path: Path) -> None:
    exported = torch_symbols()[:4]
    for number, name in enumerate(exported):
        (tmp_path / f"lib{number}").write_text(f"{name}\n")
    answer = ask(survey, "torch-range", "9.1", exports=sorted(tmp_path.iterdir()))
    lacked = {symbol for (symbol,) in found(answer, "symbols", "symbol")}
    asked = {
        s.symbol for rows in READ for s in rows.symbols if s.kind == "torch" and not s.weak and not s.own
    }
    assert lacked == asked - set(exported)
    with pytest.raises(UsageError, match=r"what torch 9\.1 exports is not known"):
        ask(survey, "torch-range", "9.1")
    with pytest.raises(UsageError, match="no version of torch"):
        ask(survey, "torch-range", "newest")


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_glibc(survey: Path) -> None:
    wheels = [rows.wheel for rows in READ]
    needed = Counter(wheel.glibc for wheel in wheels if wheel.glibc)
    claimed = Counter(wheel.glibc_claimed for wheel in wheels if wheel.glibc_claimed)
    answer = ask(survey, "glibc")
    told = found(answer, "distribution", "glibc", "needed", "claimed")
    assert told == [(one, needed[one], claimed[one]) for one in sorted({*needed, *claimed}, key=version)]
    below = {
        wheel.file: (wheel.glibc_claimed, wheel.glibc)
        for wheel in wheels
        if wheel.glibc and wheel.glibc_claimed and version(wheel.glibc_claimed) < version(wheel.glibc)
    }
    assert below
    told = found(answer, "below", "file", "claimed", "needed")
    assert {file: (claim, need) for file, claim, need in told} == below
    files = dict(found(answer, "below", "file", "files"))
    for rows in READ:
        if rows.wheel.file in files:
            assert set(files[rows.wheel.file]) == {
                m.path for m in rows.modules if m.glibc == rows.wheel.glibc
            }


def test_overclaims(survey: Path) -> None:
    expected = {}
    for wheel in (rows.wheel for rows in READ):
        low = bool(
            wheel.glibc and wheel.glibc_claimed and version(wheel.glibc_claimed) < version(wheel.glibc)
        )
        if wheel.uncovered or low:
            expected[wheel.file] = (wheel.uncovered, wheel.glibc if low else None)
    answer = ask(survey, "overclaims")
    told = found(answer, "wheels", "file", "uncovered", "glibc_needed")
    assert {file: (uncovered, glibc) for file, uncovered, glibc in told} == expected


def test_abi3_candidates(survey: Path) -> None:
    releases: dict[tuple[Any, Any], list[Rows]] = defaultdict(list)
    for rows in READ:
        single = any(module.module and module.stable_abi is None for module in rows.modules)
        if single and not {"abi3", "abi3t"} & set(rows.wheel.abi_tags):
            releases[rows.wheel.project, rows.wheel.version].append(rows)
    passing, blocked = {}, {}
    for release, wheels in releases.items():
        asked = {
            (module.module or module.path, symbol.symbol)
            for rows in wheels
            for module in rows.modules
            for symbol in rows.symbols
            if symbol.path == module.path and symbol.kind == "cpython" and not symbol.own
        }
        outside = {(module, name) for module, name in asked if lowest_limited_api([name]) is None}
        if outside:
            blocked[release] = {module for module, _ in outside}, {name for _, name in outside}
        else:
            passing[release] = len(wheels), f"3.{lowest_limited_api({name for _, name in asked})}"
    assert passing
    assert blocked
    answer = ask(survey, "abi3-candidates")
    told = found(answer, "candidates", "project", "version", "wheels", "limited_api")
    assert {row[:2]: row[2:] for row in told} == passing
    told = found(answer, "blocked", "project", "version", "modules", "symbols")
    assert {row[:2]: (set(row[2]), set(row[3])) for row in told} == blocked


def test_fuse_candidates(survey: Path) -> None:
    families = {
        "manylinux_2_17_x86_64": "x86_64 glibc",
        "manylinux_2_28_aarch64": "aarch64 glibc",
        "musllinux_1_2_x86_64": "x86_64 musl",
    }
    groups: dict[tuple[Any, ...], list[Rows]] = defaultdict(list)
    for rows in READ:
        wheel = rows.wheel
        if wheel.abi_tags[0].startswith("cp"):
            groups[wheel.project, wheel.version, families[wheel.platform_tags[0]]].append(rows)
    expected, told_of = {}, set[str]()
    for group, wheels in groups.items():
        if len(wheels) < 2:
            continue
        now = sum(rows.wheel.size or 0 for rows in wheels)
        fates = {path: fate(path, wheels) for rows in wheels for path in paths_of(rows)}
        fused = fused_size(wheels, fates)
        if fused < now:
            sizes = [rows.wheel.size or 0 for rows in wheels]
            named = ({path for path in fates if fates[path] == this} for this in ("alike", "decide"))
            expected[group] = (len(wheels), now, fused, now - fused, max(sizes), fused - max(sizes), *named)
            told_of |= set(fates.values())
    assert told_of == {"once", "each", "alike", "decide"}
    answer = ask(survey, "fuse-candidates")
    columns = ("wheels", "size", "fused", "saved", "largest", "growth", "alike", "to_decide")
    told = found(answer, "releases", "project", "version", "platform", *columns)
    assert {row[:3]: (*row[3:9], *map(set, row[9:])) for row in told} == expected
    free = [alike for *_, alike, decided in expected.values() if not decided]
    assert f"; {free.count(set())} of them without a decision of yours, " in answer.sentence
    assert f", {len(free) - free.count(set())} more if libraries" in answer.sentence


def paths_of(rows: Rows) -> set[str]:
    return {member.path for member in rows.members}


def fused_size(wheels: Sequence[Rows], fates: Mapping[str, str]) -> int:
    once: dict[tuple[str, str], int] = {}
    for rows in wheels:
        for member in rows.members:
            key = (member.path, (member.digest or "") if fates[member.path] == "each" else "")
            once[key] = max(once.get(key, 0), member.packed)
    return 22 + sum(packed + 76 + 2 * len(path) for (path, _), packed in once.items())


def fate(path: str, wheels: Sequence[Rows]) -> str:
    """What becomes of a file: one copy, or each that differs; or one copy, because they look alike, or by decision."""
    if ".dist-info/" in path:
        return "each" if "/sboms/" in path else "once"
    holding = [rows for rows in wheels if path in paths_of(rows)]
    digests = {member.digest for rows in holding for member in rows.members if member.path == path}
    objects = [module for rows in holding for module in rows.modules if module.path == path]
    if "__pycache__" in path or any(module.module for module in objects):
        return "each"
    some_only = len(holding) < len(wheels)
    if not objects:
        differs = len(digests) > 1 and not path.endswith(".py")
        return "decide" if some_only or differs else "each"
    linked = any(is_linked(path, rows) for rows in holding)
    if len(digests) > 1 and not some_only:
        same_face = len({(m.size, m.imports, m.exports, m.needed) for m in objects}) == 1
        if same_face and not any(module.python_symbols for module in objects):
            return "alike"
    return "each" if linked or (len(digests) == 1 and not some_only) else "decide"


def is_linked(path: str, rows: Rows) -> bool:
    """Whether a file of the wheel needs it, or one that is the same under another name."""
    digests = {member.path: member.digest for member in rows.members}
    same = {other.rpartition("/")[2] for other in digests if digests[other] == digests[path]}
    return any(same & set(module.needed) for module in rows.modules)


def test_one_wheel_at_two_places_is_fused_once(tmp_path: Path) -> None:
    rows = next(rows for rows in READ if rows.wheel.abi_tags == ("cp312",))
    again = rows.wheel._replace(id="f" * 16, url="http://mirror/x.whl")
    members = tuple(member._replace(id="f" * 16) for member in rows.members)
    answer = ask(surveyed(tmp_path / "s", [rows, Rows(again, (), (), members)]), "fuse-candidates")
    assert answer.sentence == "No release would become smaller."


def test_sql_and_schema(survey: Path) -> None:
    answer = ask(
        survey, "sql", "SELECT project, count(*) AS n, list(file ORDER BY file) FROM wheels GROUP BY ALL"
    )
    wheels = defaultdict(list)
    for rows in WHEELS:
        wheels[rows.wheel.project].append(rows.wheel.file)
    assert {row[0]: (row[1], list(row[2])) for row in answer.tables[0].rows} == {
        project: (len(files), sorted(files)) for project, files in wheels.items()
    }
    assert [column.kind.value for column in answer.tables[0].columns] == ["text", "count", "list"]
    schema = ask(survey, "schema")
    assert [table.name for table in schema.tables] == list(TABLES)
    for table, row in TABLES.items():
        named = [column for (column,) in found(schema, table, "column")]
        assert named == list(row._fields)  # type: ignore[attr-defined]
        described = ask(survey, "sql", f"DESCRIBE {table}").tables[0]
        assert list(described.values("column_name")) == named
        assert [kind for (kind,) in found(schema, table, "type")] == list(described.values("column_type"))


@pytest.mark.parametrize(
    "sql",
    [
        "DROP VIEW wheels", "CREATE TABLE x AS SELECT 1", "SELECT 1; SELECT 2", "", "COPY wheels TO 'x.csv'",
        "SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM 'other.parquet'", "SELECT nothing FROM wheels",
        "SELEC 1",
        "ATTACH 'x.db'", "SET enable_external_access = true", "INSTALL httpfs", "SELECT * FROM read_csv('http://localhost:9/x')",
    ],
)  # fmt: skip
def test_sql_reads_the_survey_and_does_nothing_else(
    survey: Path, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(survey.rglob("*"))
    with pytest.raises(UsageError):
        ask(survey, "sql", sql)
    assert sorted(survey.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_only_parts_count_whose_wheels_are_there(tmp_path: Path) -> None:
    directory = surveyed(tmp_path / "s", WHEELS)
    names = sorted(path.name for path in (directory / "wheels").iterdir())
    assert len(names) > 2
    kept = [rows for number, rows in enumerate(WHEELS) if not 50 <= number < 100]
    (directory / "wheels" / names[1]).unlink()
    counts = (
        ask(directory, "sql", "SELECT (SELECT count(*) FROM wheels), (SELECT count(*) FROM symbols)")
        .tables[0]
        .rows
    )
    assert counts == ((len(kept), sum(len(rows.symbols) for rows in kept)),)


def test_a_survey_without_wheels_has_answers(tmp_path: Path) -> None:
    directory = surveyed(tmp_path / "s", [])
    arguments = {
        "breaks-on": ["cp312"],
        "uses": ["x"],
        "torch-range": ["2.8"],
        "sql": ["SELECT * FROM symbols"],
    }
    for entry in entries():
        answer = ask(directory, entry.question.name, *arguments.get(entry.question.name, []))
        assert all(not table.rows for table in answer.tables) or entry.question.name == "schema"
        assert answer.sentence.endswith(".")


def test_what_is_no_survey_and_what_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no survey is there"):
        ask(tmp_path, "glibc")
    with pytest.raises(UsageError, match="no such directory"):
        ask(tmp_path / "none", "glibc")
    directory = surveyed(tmp_path / "s", WHEELS[:5])
    next((directory / "symbols").iterdir()).write_bytes(b"PAR1 junk")
    with pytest.raises(InvalidInput, match="cannot be read"):
        ask(directory, "uses", "x")
    with pytest.raises(UsageError, match=r"did you mean glibc\?"):
        ask(directory, "glib")
    with pytest.raises(UsageError, match="glibc has no use for --exports"):
        ask(directory, "glibc", exports=directory / "survey.json")


def test_names_that_hold_anything_are_answered_as_they_are(tmp_path: Path) -> None:
    wheel = READ[0].wheel
    odd = "a'b\"; DROP VIEW wheels; --\x1b[31m\n=1+1"
    rows = Rows(
        wheel._replace(project=odd),
        (),
        (SymbolRow(wheel.id, odd, odd, odd, False, False, "other"),),
        (MemberRow(wheel.id, odd, None, 1, 1),),
    )
    answer = ask(surveyed(tmp_path / "s", [rows]), "uses", "*")
    assert found(answer, "symbols", "symbol", "version", "names") == [(odd, odd, (odd,))]


def test_each_question_explains_itself_and_its_columns_have_names() -> None:
    for entry in entries():
        assert len(entry.explanation.splitlines()) > 2, entry.question.name
        assert entry.question.title.endswith(".")


def test_answers_are_the_same_each_time(survey: Path) -> None:
    for question in (("breaks-on", "cp314"), ("fuse-candidates",), ("abi3-candidates",), ("uses", "*")):
        assert ask(survey, *question) == ask(survey, *question)


def test_pyelftools_is_not_what_reads_nm(tmp_path: Path, survey: Path) -> None:
    """What the explanation says of nm is true."""
    library = tmp_path / "libpython3.16.so"
    library.write_bytes(compile_library(tmp_path / "made.so", "char PyObject_GetAttr, PyLong_FromLong;"))
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", "-j", library], check=True, capture_output=True, text=True
    )
    (tmp_path / "list").write_text(listed.stdout)
    by_list = ask(survey, "breaks-on", "cp316", exports=tmp_path / "list")
    by_library = ask(survey, "breaks-on", "cp316", exports=library)
    assert json.dumps(by_list.tables[1].rows) == json.dumps(by_library.tables[1].rows)
