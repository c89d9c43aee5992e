"""What `--json` prints and what a fused wheel says of itself, held against the committed schemas."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from tests.fuse.merging import command
from tests.wheels import build_wheel, compile_library, contents, extension_source
from wheelfuse.report.json import SCHEMAS


@cache
def validator(name: str) -> Callable[[Any], Any]:
    return fastjsonschema.compile(json.loads((SCHEMAS / f"{name}-1.json").read_text()))


def valid(name: str, text: str) -> Any:
    """The document, after it was held against the schema."""
    document = json.loads(text)
    validator(name)(document)
    return document


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    """Three wheels that differ in all that a report tells of."""
    plain = [
        compile_library(tmp_path / "a.so", extension_source("_plain", body=f"int n = {n};")) for n in range(3)
    ]
    library = [
        compile_library(
            tmp_path / "libx.so.1", f"extern char PyLong_FromLong; void *p = &PyLong_FromLong; int n = {n};",
            "-Wl,-soname,libx.so.1",
        )
        for n in range(3)
    ]  # fmt: skip
    linked = compile_library(
        tmp_path / "_linked.so", extension_source("_linked"), "-Wl,--no-as-needed", f"-L{tmp_path}", "-l:libx.so.1",
        "-Wl,-rpath,$ORIGIN",
    )  # fmt: skip
    paths = []
    for number, target in enumerate(("cp310", "cp311", "cp313t")):
        files: dict[str, str | bytes] = {
            "pkg/config.py": f"A = {number}\n",
            "pkg/data.bin": bytes([number]),
            "pkg/_plain.so": plain[number],
            "pkg/_linked.so": linked,
            "pkg/libx.so.1": library[number],
            "pkg/gone.txt": f"{number}\n",
            "pkg/same.py": "",
        }
        if target == "cp310":
            files["pkg/old.py"] = "x = 1\n"
        info = {"sboms/a.json": target, "entry_points.txt": f"[console_scripts]\nt{number} = pkg:f\n"}
        paths.append(
            build_wheel(
                tmp_path / "in", target, files, metadata_extra=f"Requires-Dist: d{number}", dist_info=info,
                modes={"pkg/same.py": 0o100600 if number == 0 else 0o100644},
            )
        )  # fmt: skip
    return paths


SETTLED = (
    "--resolve", "pkg/data.bin=newest", "--resolve", "pkg/gone.txt=drop", "--resolve", "pkg/old.py=keep",
    "--expect", "cp310,cp311,cp313t",
)  # fmt: skip


def test_a_merge(wheels: list[Path], tmp_path: Path) -> None:
    code, stdout, _ = command("merge", *wheels, "-o", tmp_path / "out", "--json", *SETTLED)
    document = valid("merge", stdout)
    assert code == 0
    assert document["schema"] == "wheelfuse/merge/1"
    assert document["ok"] is True
    assert document["errors"] == document["conflicts"] == []
    output = Path(document["output"]["path"])
    assert output.stat().st_size == document["output"]["size"]
    assert document["output"]["sum_of_inputs"] == sum(path.stat().st_size for path in wheels)
    assert [target["label"] for target in document["targets"]] == ["cp310", "cp311", "cp313t"]
    [row] = [row for row in document["modules"] if row["module"] == "pkg._plain"]
    assert row["files"]["cp313t"] == "pkg/_plain.cpython-313t-x86_64-linux-gnu.so"
    rules = {resolution["rule"] for resolution in document["resolutions"]}
    assert {"renamed", "per-target", "dispatched", "metadata", "entry-points", "all-kept", "by-rule"} <= rules
    lost = {(loss["target"], loss["path"], loss["fate"]) for loss in document["not_restorable"]}
    assert ("cp310", "pkg/data.bin", "replaced") in lost
    assert ("cp313t", "pkg/gone.txt", "dropped") in lost


def test_a_dry_run_with_conflicts(wheels: list[Path], tmp_path: Path) -> None:
    code, stdout, message = command("merge", *wheels, "-o", tmp_path / "out", "--json", "--dry-run")
    document = valid("merge", stdout)
    assert code == 4
    assert document["ok"] is False
    assert document["output"] is None
    conflicts = {conflict["path"]: conflict for conflict in document["conflicts"]}
    assert conflicts.keys() == {"pkg/data.bin", "pkg/gone.txt", "pkg/old.py"}
    assert conflicts["pkg/old.py"]["groups"] == [
        {"targets": ["cp310"], "present": True},
        {"targets": ["cp311", "cp313t"], "present": False},
    ]
    assert "drop" in conflicts["pkg/old.py"]["strategies"]
    assert len(document["errors"]) >= len(conflicts)
    assert all(error["what"].splitlines()[0] in message for error in document["errors"])


@pytest.mark.parametrize("arguments, code", [
    ((), 4),
    (("--resolve", "a=b"), 2),
    (("--expect", "3.10"), 2),
    (("-o", "nonsense.whl", *SETTLED), 2),
    (("no such file",), 2),
])  # fmt: skip
def test_a_refusal(wheels: list[Path], tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    found, stdout, message = command("merge", *wheels, "--json", "-o", tmp_path / "out", *arguments)
    document = valid("merge", stdout)
    assert (found, document["ok"]) == (code, False)
    assert document["errors"]
    assert message.startswith("error: ")


def test_a_damaged_input(wheels: list[Path], tmp_path: Path) -> None:
    wheels[1].write_bytes(b"no zip")
    code, stdout, _ = command("merge", *wheels, "--json", "-o", tmp_path / "out")
    [error] = valid("merge", stdout)["errors"]
    assert code == 3
    assert error["wheel"] == wheels[1].name


def test_a_split(wheels: list[Path], tmp_path: Path) -> None:
    _, fused, _ = command("merge", *wheels, "-o", tmp_path / "out", "-q", *SETTLED)
    code, stdout, _ = command("split", fused.strip(), "-d", tmp_path / "split", "--json")
    document = valid("split", stdout)
    assert code == 0
    assert [wheel["target"] for wheel in document["wheels"]] == ["cp310", "cp311", "cp313t"]
    assert {loss["path"] for loss in document["wheels"][0]["not_restorable"]} == {
        "pkg/data.bin",
        "pkg/gone.txt",
    }
    assert all(Path(wheel["path"]).stat().st_size == wheel["size"] for wheel in document["wheels"])


def test_a_split_that_is_refused(wheels: list[Path], tmp_path: Path) -> None:
    code, stdout, _ = command("split", wheels[0], "-d", tmp_path / "split", "--json")
    assert code == 2
    assert valid("split", stdout)["errors"]


def test_provenance(wheels: list[Path], tmp_path: Path) -> None:
    _, fused, _ = command("merge", *wheels, "-o", tmp_path / "out", "-q", *SETTLED)
    text = contents(Path(fused.strip()))["pkg-1.0.dist-info/wheelfuse.json"].decode()
    document = valid("provenance", text)
    members = {member["path"]: member for member in document["members"]}
    assert any("undo" in member for member in members.values())
    assert members["pkg/config.py"]["owners"] == []
    assert members["pkg/_plain.cpython-310-x86_64-linux-gnu.so"]["origin"] == "pkg/_plain.so"
    assert {loss["path"] for loss in document["inputs"][0]["lost"]} == {"pkg/data.bin", "pkg/gone.txt"}
    assert document["inputs"][0]["modes"] == {"pkg/same.py": 0o100600}


@pytest.mark.parametrize("name, change", [
    ("merge", {"ok": "yes"}),
    ("merge", {"schema": "wheelfuse/merge/2"}),
    ("merge", {"surprise": 1}),
    ("merge", {"targets": []}),
])  # fmt: skip
def test_the_schema_refuses_other_documents(
    wheels: list[Path], tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    _, stdout, _ = command("merge", *wheels, "-o", tmp_path / "out", "--json", "--dry-run", *SETTLED)
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        validator(name)(json.loads(stdout) | change)


def test_every_schema_says_what_it_is_for() -> None:
    for path in SCHEMAS.iterdir():
        schema = json.loads(path.read_text())
        assert schema["title"]
        assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert {path.name for path in SCHEMAS.iterdir()} == {
        "merge-1.json",
        "split-1.json",
        "provenance-1.json",
        "audit-1.json",
        "verify-1.json",
        "build-1.json",
        "doctor-1.json",
        "compile-1.json",
        "pythons-1.json",
        "survey-answer-1.json",
    }
