"""Fused wheels whose provenance tells of wheels that were never built: it is text, which anybody may write."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuse.merging import build_matrix, command, fuse
from tests.hostile import judged
from tests.native import library
from tests.wheel.zips import Entry, record_rows, wheel_entries, write_wheel, zip_bytes
from tests.wheels import contents
from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.api import opened
from wheelfuse.fuse.execute import require_sound
from wheelfuse.fuse.model import RecordForm
from wheelfuse.fuse.originals import digest_of, originals_of
from wheelfuse.fuse.provenance import Input, Origin, Placed, Provenance
from wheelfuse.fuse.reading import read_sources
from wheelfuse.target import Target

INFO = "pkg-1.0.dist-info"
CP311, CP312 = map(Target.parse, ("cp311", "cp312"))


Json = dict[str, Any]
LOST = {"path": "pkg/a", "digest": "", "size": 0, "mode": 0, "fate": "dropped", "why": "", "strategy": ""}
"""With one of these in an input, nobody holds RECORD against its digest."""


def rewritten(
    directory: Path, rewrite: Callable[[Json], object], files: dict[str, bytes] | None = None
) -> Path:
    """A fused wheel of which only the provenance, and its row in RECORD, are another; and *files*, if there are any.

    What *rewrite* returns, if it is text, is the provenance instead.
    """
    built = build_matrix(directory / "in", {CP311: {"pkg/__init__.py": ""}, CP312: {"pkg/__init__.py": ""}})
    path = fuse(built, directory).path
    members = contents(path) | (files or {})
    provenance = json.loads(members.pop(f"{INFO}/wheelfuse.json"))
    del members[f"{INFO}/RECORD"]
    made = rewrite(provenance)
    text = made if isinstance(made, bytes) else json.dumps(provenance).encode()
    entries = [Entry(name, content, 0o100644, deflated=True) for name, content in members.items()]
    entries.append(Entry(f"{INFO}/wheelfuse.json", text, 0o100644, deflated=True))
    entries.append(Entry(f"{INFO}/RECORD", record_rows(entries).encode()))
    path.write_bytes(zip_bytes(entries))
    return path


def forged(directory: Path, forge: Callable[[Json], None]) -> Path:
    """The same with inputs of which each was forged."""
    return rewritten(directory, lambda provenance: [forge(item) for item in provenance["inputs"]])


def answers(path: Path) -> list[judged.Answer]:
    """What split and merge say of a wheel, within bounds of time and memory. If they refuse it, nothing is left."""
    found = []
    for what, option in (("split", "-d"), ("merge", "-o")):
        out = path.parent / f"out-{what}"
        done = judged.command(what, path, option, out)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0 or not list(out.glob("*"))
        found.append(judged.Answer(done.returncode, done.stderr))
    return found


def assert_refused(path: Path, text: str) -> None:
    """Split and merge refuse the wheel with 3, and say why in a few lines."""
    for answer in answers(path):
        assert answer.code == 3, answer
        assert path.name in answer.text
        assert f"{INFO}/wheelfuse.json" in answer.text
        assert text in answer.text
        assert len(answer.text) < 2000


def of_another_record(item: dict[str, Any], text: str) -> None:
    """Who forges RECORD has its digest right: both stand beside each other."""
    item["record"] = {**item["record"], "verbatim": text, "sha256": digest_of(text.encode())}


def a_record_that_is_none(item: dict[str, Any]) -> None:
    of_another_record(item, "no RECORD\n")


def entry_points_that_are_none(item: dict[str, Any]) -> None:
    text = "no section"
    item["restore"][f"{INFO}/entry_points.txt"] = text
    item["lost"] = [LOST]


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


def in_inputs(**fields: Any) -> Callable[[Json], object]:
    return lambda provenance: [item.update(fields) for item in provenance["inputs"]]


def in_record(**fields: Any) -> Callable[[Json], object]:
    return lambda provenance: [item["record"].update(fields) for item in provenance["inputs"]]


def named(name: str) -> Callable[[Json], object]:
    """Each input has a name with its own tags before and after *name*."""

    def rewrite(provenance: Json) -> None:
        for item in provenance["inputs"]:
            item["name"] = name.format(item["label"])

    return rewrite


TAGS = ".".join(f"a{number}" for number in range(3000))
FORGED = [
    ("a mode of thirty digits", in_inputs(modes={"pkg/__init__.py": 10**30}), "no size or mode"),
    ("a mode of 17 bits", in_inputs(modes={"pkg/__init__.py": 0x10000}), "no size or mode"),
    ("the mode of a directory", in_inputs(modes={"pkg/__init__.py": 0o40755}), "not the mode of a file"),
    ("a mode that is true", in_inputs(modes={"pkg/__init__.py": True}), "no size or mode"),
    ("a mode of RECORD", in_record(mode=10**40), "no size or mode"),
    ("a mode of what is lost", in_inputs(lost=[{**LOST, "mode": 1 << 16}]), "no size or mode"),
    ("a size of thousands of digits", in_inputs(size=10**4000), "no size or mode"),
    ("an end of lines", in_record(newline="\x1b"), "ends no line of RECORD"),
    ("names of many tags", named(f"pkg-1.0-{TAGS}-{TAGS}-{TAGS}.whl"), "no name of a wheel"),
    (
        "short names of many tags",
        named(f"pkg-1.0-{TAGS[:67]}-{TAGS[:67]}-{TAGS[:67]}.whl"),
        "no name of a wheel",
    ),
    (
        "long names",
        named("p" * 5_000_000 + "-1.0-{0}-{0}-linux_x86_64.whl"),
        "no name of a wheel, with 50000",
    ),
    ("names of others", named("pkg-1.0-cp311-cp311-linux_x86_64.whl"), "goes by another label"),
    ("long labels", in_inputs(label="x" * 5_000_000), "goes by another label"),
    ("a long directory", in_inputs(dist_info="x" * 5_000_000), "is said to have the directory xxx"),
    ("a long path", in_inputs(restore={"pkg/" + "x" * 100_000: ""}), "is no path in a wheel"),
    ("a directory", in_inputs(restore={"pkg/a/": ""}), "is no path in a wheel"),
    ("a path with a drive", in_inputs(restore={"C:/x": ""}), "is no path in a wheel"),
    ("a file lost twice", in_inputs(lost=[LOST, LOST]), "a file is lost twice"),
    ("a long schema", lambda told: told.update(schema="x" * 5_000_000), "a newer wheelfuse made it"),
    ("a long fate", in_inputs(lost=[{**LOST, "fate": "x" * 5_000_000}]), "unreadable provenance"),
    (
        "a member twice",
        lambda told: told.update(members=[{"path": "pkg/__init__.py", "owners": ["cp311"]}] * 2),
        "names a member twice",
    ),
    (
        "an owner twice",
        lambda told: told.update(members=[{"path": "pkg/__init__.py", "owners": ["cp311"] * 2}]),
        "or twice by one",
    ),
]


@pytest.mark.parametrize("rewrite, text", [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_what_no_wheel_can_have_been_is_refused(
    tmp_path: Path, rewrite: Callable[[Json], object], text: str
) -> None:
    assert_refused(rewritten(tmp_path, rewrite), text)


def test_of_many_contradictions_some_are_told(tmp_path: Path) -> None:
    path = rewritten(tmp_path, in_inputs(restore={f"../{number}": "" for number in range(50_000)}))
    for answer in answers(path):
        assert answer.code == 3
        assert "'../0' is no path in a wheel" in answer.text
        assert len(answer.text.splitlines()) < 300


BOMBS = [
    ("objects", b"[" + b"{}," * 10_000_000 + b"{}]", "lists and objects, where at most"),
    ("numbers", b"[" + b"1," * 10_000_000 + b"1]", "10000000 values, where at most"),
    ("text", b'"' + b"x" * (33 << 20) + b'"', "bytes, where at most"),
]


@pytest.mark.parametrize("text, told", [case[1:] for case in BOMBS], ids=[case[0] for case in BOMBS])
def test_json_that_would_take_gigabytes_is_refused_unread(tmp_path: Path, text: bytes, told: str) -> None:
    path = rewritten(tmp_path, lambda _: text)
    assert path.stat().st_size < 1 << 17
    assert_refused(path, told)
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="where at most"):
        Provenance.from_bytes(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def multiplied(count: int, **fields: Any) -> Callable[[Json], object]:
    """As many inputs as the first one, each of a CPython of its own."""

    def rewrite(provenance: Json) -> None:
        first, provenance["members"] = provenance["inputs"][0], []
        labels = [f"cp{300 + number}-none" for number in range(count)]
        provenance["inputs"] = [
            {**first, "name": f"pkg-1.0-{label}-linux_x86_64.whl", "label": label, **fields}
            for label in labels
        ]

    return rewrite


def test_more_originals_than_any_release_has_are_refused(tmp_path: Path) -> None:
    assert_refused(rewritten(tmp_path, multiplied(101, lost=[LOST])), "made of 101 wheels, where at most 100")


def test_as_many_originals_as_may_be_come_out(tmp_path: Path) -> None:
    path = rewritten(tmp_path, multiplied(100, lost=[LOST]))
    assert judged.command("split", path, "-d", tmp_path / "out").returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 100


def test_originals_that_take_far_more_than_the_wheel_are_refused(tmp_path: Path) -> None:
    """What is brought back comes out in each of them: together they are the bomb that no file is by itself."""
    zeros = {"size": 50 << 20, "sha256": hashlib.sha256(bytes(50 << 20)).hexdigest()}
    recipe = {**zeros, "pieces": [["zeros", 50 << 20]]}

    def rewrite(provenance: Json) -> None:
        multiplied(60, lost=[LOST])(provenance)
        owners = [item["label"] for item in provenance["inputs"]]
        provenance["members"] = [
            {"path": "pkg/a.so", "owners": owners, "carrier": "pkg/a.so", "recipe": recipe}
        ]

    data = library("int x(void) { return 1; }", "liba.so")
    path = rewritten(tmp_path, rewrite, {"pkg/a.so": data})
    assert_refused(path, "what it brings back inflates to 31")


def test_more_files_than_the_originals_of_a_wheel_have_are_refused(tmp_path: Path) -> None:
    files = {f"pkg/{number}.py": b"" for number in range(45_000)}
    path = rewritten(tmp_path, multiplied(100, lost=[LOST]), files)
    assert_refused(path, "files in 100 wheels, more than 16 wheels may have")


def test_more_texts_than_a_wheel_has_files_are_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path, in_inputs(restore={f"pkg/{number}": "" for number in range(250_001)}))
    assert_refused(path, "250001 members, more than the 250000 that a wheel may have")


def with_edits(directory: Path, edits: list[list[object]], zeros: int) -> Path:
    """A fused wheel with a library that was edited in all these places, as it says."""
    data = library("int x(void) { return 1; }", "libx.so") + bytes(zeros)
    undo = {"size": len(data), "edits": edits, "tail_size": 0, "tail_sha256": hashlib.sha256().hexdigest()}

    def rewrite(provenance: Json) -> None:
        for item in provenance["inputs"]:
            item["lost"] = [LOST]
        owners = [item["label"] for item in provenance["inputs"]]
        provenance["members"] = [{"path": "pkg/libx.so", "owners": owners, "undo": undo}]

    return rewritten(directory, rewrite, {"pkg/libx.so": data})


@pytest.mark.parametrize("edit", [[0, "", ""], [1 << 20, "00", "01"]], ids=["empty", "of a byte"])
def test_many_edits_of_a_large_file_are_taken_back_in_one_pass(tmp_path: Path, edit: list[Any]) -> None:
    offset, old, new = edit
    edits = [[offset + (number if old else 0), old, new] for number in range(600_000)]
    path = with_edits(tmp_path, edits, 40 << 20)
    assert path.stat().st_size < 4 << 20
    assert [answer.code for answer in answers(path)] == [0, 0]


def test_more_edits_than_a_file_has_are_refused(tmp_path: Path) -> None:
    assert_refused(with_edits(tmp_path, [[0, "", ""]] * 1_100_000, 0), "lists and objects, where at most")


def remembering(directory: Path, text: str) -> Path:
    """A wheel with this text in the field in which a wheel that was split from a fused one remembers its origin."""
    *entries, record = wheel_entries()
    packed = zlib.compress(text.replace("@", digest_of(record.content)).encode(), 9)
    extra = struct.pack("<HH", 0x6677, len(packed)) + packed
    return write_wheel(directory, [*entries, Entry(record.name, record.content, central={"extra": extra})])


RECORD = {"sha256": "x", "newline": "\n", "order": [3, 4, 0, 2, 1]}
ORIGIN = {"sha256": "x", "size": 1, "record": RECORD, "content": "@", "lost": []}
ORIGINS: list[tuple[str, Json]] = [
    ("the digest of another RECORD", {"record": {**RECORD, "order": [3, 0, 2, 1]}}),
    ("another order of RECORD", {"record": {**RECORD, "order": [4, 3, 2, 1, 0]}, "lost": [LOST]}),
    ("a size", {"size": 10**4000}),
    ("a mode of RECORD", {"record": {**RECORD, "mode": 10**40}, "lost": [LOST]}),
    ("an end of lines", {"record": {**RECORD, "newline": "\x1b"}, "lost": [LOST]}),
    ("a mode", {"lost": [{**LOST, "mode": 10**40}]}),
    ("a path", {"lost": [{**LOST, "path": "../../x"}]}),
    ("a path with an order for a terminal", {"lost": [{**LOST, "path": "x\x1b[31m"}]}),
    ("a file that stands in for another and is not there", {"lost": [{**LOST, "fate": "replaced"}]}),
    ("a file lost twice", {"lost": [LOST, LOST]}),
]


@pytest.mark.parametrize("fields", [case[1] for case in ORIGINS], ids=[case[0] for case in ORIGINS])
def test_an_origin_that_cannot_be_true_is_none(tmp_path: Path, fields: Json) -> None:
    path = remembering(tmp_path, json.dumps({**ORIGIN, **fields}))
    assert judged.merged(path).code == 0
    (out,) = (tmp_path / "out").iterdir()
    told = json.loads(contents(out)[f"{INFO}/wheelfuse.json"])["inputs"][0]
    assert "lost" not in told
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [answer.code for answer in answers(out)] == [0, 0]


def test_an_origin_that_can_be_true_is_remembered(tmp_path: Path) -> None:
    path = remembering(tmp_path, json.dumps({**ORIGIN, "lost": [LOST]}))
    assert judged.merged(path).code == 0
    (out,) = (tmp_path / "out").iterdir()
    told = json.loads(contents(out)[f"{INFO}/wheelfuse.json"])["inputs"][0]
    assert [loss["path"] for loss in told["lost"]] == ["pkg/a"]
    assert told["sha256"] == "x"
    assert [answer.code for answer in answers(out)] == [0, 0]


@pytest.mark.parametrize(
    "text",
    ["[" + "{}," * 1_300_000 + "{}]", "[" + "1," * 1_300_000 + "1]", " " * (15 << 20) + "{}"],
    ids=["objects", "numbers", "spaces"],
)
def test_an_origin_that_would_take_much_memory_is_not_read(text: str) -> None:
    packed = zlib.compress(text.encode(), 9)
    tracemalloc.start()
    assert Origin.from_extra(struct.pack("<HH", 0x6677, len(packed)) + packed) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_what_is_written_is_read_back_provenance_and_all(tmp_path: Path) -> None:
    """Whatever slips through before: no wheel is written that the next command refuses."""
    (built,) = build_matrix(tmp_path / "in", {CP312: {"pkg/__init__.py": ""}})
    fused = fuse([built], tmp_path / "fused").path
    (tmp_path / "forged").mkdir()
    bad = rewritten(tmp_path / "forged", in_inputs(lost=[{**LOST, "fate": "replaced"}]))
    with opened([fused]) as archives, bad.open("rb+") as file:
        originals = originals_of(read_sources(archives)[0])
        with pytest.raises(InvalidInput, match="pkg/a is not in the wheel"):
            require_sound(file, bad, originals, archives)


def test_the_provenance_of_many_large_wheels_is_taken() -> None:
    """86 wheels with 20,000 files, each of them of half of the wheels, and RECORD in any order."""
    random.seed(1)
    count, labels = 20_000, [f"cp{300 + number}-none" for number in range(86)]
    order = tuple(random.sample(range(count), count))
    inputs = [
        Input(f"pkg-1.0-{x}-linux_x86_64.whl", "0", 1, x, (), INFO, False, "", RecordForm(order))
        for x in labels
    ]
    paths = [f"pkg/a_directory/of_some/depth/module_{number:05}.py" for number in range(count)]
    placed = [Placed(path, tuple(random.sample(labels, 43)), path) for path in paths]
    made = Provenance("1", tuple(inputs), tuple(placed), ())
    text = made.to_bytes()
    assert len(text) > 15_000_000
    read = Provenance.from_bytes(text)
    assert read == made
    assert list(read.contradictions(INFO, dict.fromkeys(paths))) == []


def test_what_would_be_refused_is_not_written() -> None:
    one = Input("pkg-1.0-cp312-cp312-linux_x86_64.whl", "0", 1, "cp312", (), INFO, False, "", RecordForm())
    with pytest.raises(InvalidInput, match="made of 101 wheels"):
        Provenance("1", (one,) * 101, (), ())
    long = Input(*(getattr(one, field) for field in ("name", "sha256", "size", "label", "targets", "dist_info")),
        False, "", RecordForm(verbatim="x" * (33 << 20)))  # fmt: skip
    with pytest.raises(InvalidInput, match="bytes, where at most"):
        Provenance("1", (long,), (), ()).to_bytes()
