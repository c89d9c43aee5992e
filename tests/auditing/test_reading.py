"""From paths to subjects: what is read, what is claimed, and that bad content never raises."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interpreters import available, environment, install
from tests.native import library, module, soabi
from tests.wheels import build_wheel, compile_library, contents, extension_source
from wheelfuse.auditing.inputs import read_all
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.errors import UsageError
from wheelfuse.target import Target

CP312 = Target(12)


def told(**changes: str) -> str:
    """What an interpreter answers, with other values, spelt as in JSON."""
    values = {"implementation": '"cpython"', "version": "[3, 12]", "free_threaded": "false", "path": "[]"}
    return "{" + ", ".join(f'"{key}": {value}' for key, value in {**values, **changes}.items()) + "}"


def wheel(directory: Path, **more: object) -> Path:
    files = {f"pkg/{soabi('_x', CP312)}": module("_x", CP312), "pkg/__init__.py": "", **more.pop("files", {})}  # type: ignore[dict-item]
    return build_wheel(directory, "cp312", files, **more)  # type: ignore[arg-type]


def test_a_wheel_gives_its_claims_its_sizes_and_its_shared_objects(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    subject = read_subject(path)
    assert (subject.label, subject.kind, subject.size) == (path.name, Kind.WHEEL, path.stat().st_size)
    assert subject.targets == (CP312,) == subject.known_targets
    assert list(subject.files) == [f"pkg/{soabi('_x', CP312)}"]
    assert list(subject.modules) == ["pkg/_x"]
    assert subject.sizes["pkg/__init__.py"] == 0
    assert (subject.problems, subject.unreadable) == ((), ())
    assert subject.requires_python == ">=3.10"
    assert subject.release == ("pkg", "1")


def test_a_digest_that_is_not_the_one_in_record_is_a_problem_and_the_rest_is_read(tmp_path: Path) -> None:
    good = read_subject(wheel(tmp_path / "good"))
    path = wheel(tmp_path, record="pkg/__init__.py,sha256=AAAA,0\npkg-1.0.dist-info/RECORD,,\n")
    subject = read_subject(path)
    whats = {(problem.member, problem.what) for problem in subject.problems}
    assert ("pkg/__init__.py", "its sha256 digest is not the one in RECORD") in whats
    assert any(what == "not listed in RECORD" for _, what in whats)
    assert subject.files.keys() == good.files.keys()


@pytest.mark.parametrize("algorithm", ["nonsense", "md5"])
def test_a_digest_that_proves_nothing_is_a_problem(tmp_path: Path, algorithm: str) -> None:
    path = wheel(tmp_path, record=f"pkg/__init__.py,{algorithm}=AAAA,0\npkg-1.0.dist-info/RECORD,,\n")
    assert any(f"digest by {algorithm}" in problem.what for problem in read_subject(path).problems)


@pytest.mark.parametrize("missing", ["RECORD", "WHEEL", "METADATA"])
def test_a_wheel_without_one_of_its_statements_is_still_read(tmp_path: Path, missing: str) -> None:
    path = wheel(tmp_path)
    members = {name: data for name, data in contents(path).items() if not name.endswith(f"/{missing}")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    subject = read_subject(path)
    assert any(problem.member.endswith(missing) for problem in subject.problems)
    assert subject.modules


def test_a_damaged_shared_object_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    broken = module("_x", CP312)[:3000]
    subject = read_subject(wheel(tmp_path, files={f"pkg/{soabi('_broken', CP312)}": broken}))
    assert [problem.member for problem in subject.unreadable] == [f"pkg/{soabi('_broken', CP312)}"]
    assert list(subject.modules) == ["pkg/_x"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("pkg-1.0-cp312-cp312-linux_x86_64.whl", b"", "not a zip file that can be read"),
        ("pkg-1.0-cp312-cp312-linux_x86_64.whl", b"PK\3\4 nonsense", "not a zip file that can be read"),
        ("nonsense.whl", None, "not a wheel file name"),
        ("text.txt", b"text", "neither a wheel"),
        ("empty.so", b"", "neither a wheel"),
        ("broken.so", b"\x7fELF", "unreadable ELF file"),
        ("object.o", b"\x7fELF\2\1\1" + bytes(9) + b"\1\0\x3e\0" + bytes(200), "nor a shared object"),
    ],
)
def test_what_cannot_be_read_is_told_not_raised(
    tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    path = tmp_path / name
    if content is None:
        wheel(tmp_path).rename(path)
    else:
        path.write_bytes(content)
    subject = read_subject(path)
    assert [what in problem.what for problem in subject.unreadable] == [True], subject.unreadable
    assert not subject.files


def test_a_path_that_does_not_exist_is_told_beside_the_others(tmp_path: Path) -> None:
    good, absent = read_all([wheel(tmp_path), tmp_path / "absent.whl"])
    assert good.modules
    assert "No such file" in absent.unreadable[0].what


def test_a_directory_without_wheels_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / soabi("_x", CP312)).write_bytes(module("_x", CP312))
    (tmp_path / "pkg" / "libpkg.so").write_bytes(library("int one;"))
    (tmp_path / "pkg" / "linked.so").symlink_to("libpkg.so")
    (tmp_path / "pkg" / "dangling.so").symlink_to("nowhere.so")
    (subject,) = read_all(tmp_path)
    assert subject.kind is Kind.DIRECTORY
    assert sorted(subject.files) == [f"pkg/{soabi('_x', CP312)}", "pkg/libpkg.so"]
    assert subject.targets == (CP312,)


def test_an_unpacked_wheel_claims_what_its_wheel_file_says(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel(tmp_path / "in")) as archive:
        archive.extractall(tmp_path / "out")
    (subject,) = read_all(tmp_path / "out")
    assert subject.interpreter_tags == (("cp312", "cp312"),)
    assert subject.platforms == ("manylinux_2_17_x86_64",)
    assert subject.requires_python == ">=3.10"
    assert subject.dist_info == "pkg-1.0.dist-info"


def test_a_directory_of_wheels_stands_for_them(tmp_path: Path) -> None:
    first, second = wheel(tmp_path), wheel(tmp_path, version="2.0")
    assert [subject.label for subject in read_all(tmp_path)] == [first.name, second.name]


def test_a_pattern_that_no_shell_expanded_is_expanded(tmp_path: Path) -> None:
    first, _ = wheel(tmp_path, version="1.0"), wheel(tmp_path, version="2.0")
    assert [subject.label for subject in read_all(tmp_path / "pkg-1*.whl")] == [first.name]
    (absent,) = read_all(tmp_path / "other-*.whl")
    assert absent.unreadable


def test_the_wheels_in_a_zip_artifact_are_inputs(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    with zipfile.ZipFile(tmp_path / "wheels.zip", "w") as archive:
        archive.write(path, f"dist/{path.name}")
        archive.writestr("dist/notes.txt", "")
        archive.writestr("dist/bad-1.0-py3-none-any.whl", b"nonsense")
    bad, good = read_all(tmp_path / "wheels.zip")
    assert good.label == f"wheels.zip/dist/{path.name}"
    assert good.modules
    assert bad.unreadable


def test_a_zip_without_wheels_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "")
    (subject,) = read_all(tmp_path / "a.zip")
    assert "neither a wheel" in subject.unreadable[0].what


def test_the_same_input_twice_is_read_once_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    first, second = wheel(tmp_path / "a"), wheel(tmp_path / "b")
    assert len(read_all([first, first])) == 1
    assert [subject.label for subject in read_all([first, second])] == [first.name, f"{first.name} (2)"]


def test_several_processes_read_the_same_as_one(tmp_path: Path) -> None:
    paths = [wheel(tmp_path, version=f"{number}.0") for number in range(3)]
    told: list[tuple[int, int]] = []
    many = read_all(paths, jobs=2, progress=lambda done, total: told.append((done, total)))
    assert many == read_all(paths)
    total = sum(path.stat().st_size for path in paths)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {of for _, of in told} == {total}
    assert (told[0], told[-1]) == ((0, total), (total, total))


def test_several_threads_read_the_same_as_one(tmp_path: Path) -> None:
    files: dict[str, object] = {f"pkg/{number}.bin": bytes([number]) * (300 << 10) for number in range(9)}
    files |= {
        "pkg/a.py": "import ctypes; ctypes.CDLL(name)",
        f"pkg/{soabi('_cut', CP312)}": library("int x;")[:999],
    }
    record = "pkg/3.bin,sha256=AAAA,307200\npkg/0.bin,sha256=AAAA,307200\npkg-1.0.dist-info/RECORD,,\n"
    path = wheel(tmp_path, files=files, record=record)
    one, many = read_subject(path), read_subject(path, threads=3)
    assert many == one
    assert list(many.files) == list(one.files) and one.preloads
    wrong = [problem.member for problem in many.problems if "digest is not" in problem.what]
    assert wrong == [path for path in many.sizes if path in ("pkg/0.bin", "pkg/3.bin")]


def test_subjects_are_prepared_as_they_come_and_stay_in_order(tmp_path: Path) -> None:
    paths = [wheel(tmp_path, version=f"{number}.0") for number in range(4)]
    prepared: list[str] = []

    def prepare(subject: Subject) -> Subject:
        prepared.append(subject.label)
        return replace(subject, preloads=not subject.preloads)

    found = read_all(paths, jobs=2, prepare=prepare)
    assert sorted(prepared) == [subject.label for subject in found] == [path.name for path in paths]
    assert [subject.preloads for subject in found] == [not s.preloads for s in read_all(paths)]


def test_nothing_to_audit_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nothing to audit"):
        read_all([])
    with pytest.raises(UsageError, match="--installed"):
        read_all(["x.whl"], python=sys.executable)


@pytest.mark.parametrize("target", list(available()), ids=str)
def test_an_installed_distribution_is_read_without_importing_it(tmp_path: Path, target: Target) -> None:
    files = {
        f"pkg/{soabi('_x', target)}": module("_x", target),
        "pkg/__init__.py": "raise SystemExit('imported')",
    }
    python = environment(target, tmp_path / "env")
    install(python, build_wheel(tmp_path, str(target), files))
    (subject,) = read_all([], installed=["PKG"], python=str(python))
    assert subject.label == f"pkg 1.0 (installed for {target})"
    assert subject.targets == (target,)
    assert list(subject.modules) == ["pkg/_x"]
    assert subject.interpreter_tags == ((target.python_tag, str(target)),)
    (by_venv,) = read_all([], installed=["pkg"], python=str(tmp_path / "env"))
    assert by_venv == subject


def test_a_distribution_that_is_not_installed_is_told() -> None:
    (subject,) = read_all([], installed=["no-such-distribution"])
    assert "not installed for" in subject.unreadable[0].what


def test_an_interpreter_that_cannot_be_run_is_a_usage_error(tmp_path: Path) -> None:
    failing = answering(tmp_path / "failing", "exit 3")
    for python, what in ((tmp_path / "absent", "cannot be run"), (failing, "exit status 3: no message")):
        with pytest.raises(UsageError, match=what):
            read_all([], installed=["pip"], python=str(python))


def answering(path: Path, command: str) -> Path:
    """A program of the shell."""
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    "answer",
    [
        "hello",
        "\\377",
        "[]",
        "{}",
        "[" * 20_000,
        told(version="[3]"),
        told(version="[3, 12, 1]"),
        told(version='[3, "12"]'),
        told(version="[3, 1e999]"),
        told(path="3"),
        told(path="[3]"),
    ],
)
def test_an_answer_that_no_interpreter_gives_is_a_usage_error(tmp_path: Path, answer: str) -> None:
    python = answering(tmp_path / "python", f"printf '{answer}'")
    with pytest.raises(UsageError, match="is no Python interpreter: it does not answer as one"):
        read_all([], installed=["pip"], python=str(python))


@pytest.mark.parametrize("answer", [told(implementation='"pypy"'), told(version="[2, 7]")])
def test_another_interpreter_is_a_usage_error(tmp_path: Path, answer: str) -> None:
    python = answering(tmp_path / "python", f"printf '{answer}'")
    with pytest.raises(UsageError, match="is no CPython 3"):
        read_all([], installed=["pip"], python=str(python))


def installation(tmp_path: Path, **replaced: bytes) -> Path:
    """An interpreter that finds one distribution; files of its ``.dist-info`` may be *replaced*."""
    with zipfile.ZipFile(wheel(tmp_path / "in")) as archive:
        archive.extractall(tmp_path / "site")
    for name, content in replaced.items():
        (tmp_path / "site" / "pkg-1.0.dist-info" / name).write_bytes(content)
    paths = json.dumps([str(tmp_path / "absent"), str(tmp_path / "site"), "a\0b"]).replace("\\", "\\\\")
    return answering(tmp_path / "python", f"printf '{told(path=paths)}'")


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (b"\xff,,\n", "RECORD cannot be read"),
        (b"a,b,c,d,e\n", "RECORD line 1 is not"),
        (b"a\0b,,\n", "RECORD "),
        (b"a,,xx\n", "RECORD line 1 is not"),
        (b"a,,\na,,\n", "listed twice in RECORD"),
    ],
)
def test_a_record_of_an_installed_distribution_that_makes_no_sense_is_told(
    tmp_path: Path, record: bytes, what: str
) -> None:
    (subject,) = read_all([], installed=["pkg"], python=str(installation(tmp_path, RECORD=record)))
    (problem,) = subject.unreadable
    assert what in problem.what
    assert (problem.member, problem.todo) == (
        "a" if "twice" in what else "pkg-1.0.dist-info/RECORD",
        "Install it again.",
    )


def test_a_record_that_is_no_file_is_told(tmp_path: Path) -> None:
    python = installation(tmp_path)
    record = tmp_path / "site" / "pkg-1.0.dist-info" / "RECORD"
    record.unlink()
    for make, what in ((lambda: None, "has no RECORD"), (record.mkdir, "not a regular file")):
        make()
        (subject,) = read_all([], installed=["pkg"], python=str(python))
        assert [what in problem.what for problem in subject.unreadable] == [True]


def test_metadata_of_an_installed_distribution_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    (subject,) = read_all([], installed=["PKG"], python=str(installation(tmp_path, METADATA=b"\xff")))
    assert subject.label == "PKG (installed for cp312)"
    assert [problem.member for problem in subject.problems] == ["pkg-1.0.dist-info/METADATA"]
    assert list(subject.modules) == ["pkg/_x"]


def test_files_of_an_installed_distribution_that_are_gone_are_told_but_for_bytecode(tmp_path: Path) -> None:
    record = b"pkg/__pycache__/a.cpython-312.pyc,,\npkg/gone.so,,\n../../bin/tool,,\n/etc/passwd,,\npkg,,\n"
    (subject,) = read_all([], installed=["pkg"], python=str(installation(tmp_path, RECORD=record)))
    assert [problem.member for problem in subject.unreadable] == ["pkg/gone.so"]
    assert list(subject.sizes) == ["pkg"]


def test_what_was_installed_in_another_way_has_no_record(tmp_path: Path) -> None:
    python = installation(tmp_path)
    (tmp_path / "site" / "Other.Name-1.0-py3.12.egg-info").touch()
    (subject,) = read_all([], installed=["other_name"], python=str(python))
    assert "has no RECORD" in subject.unreadable[0].what


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in")
    code = f"import wheelfuse; wheelfuse.audit({str(path)!r})"
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=cwd)
    assert list(cwd.iterdir()) == []
    assert sorted(entry.name for entry in (tmp_path / "in").iterdir()) == [path.name]


def test_the_loaders_of_a_library_are_those_of_the_modules_that_link_it(tmp_path: Path) -> None:
    shared = library("int one(void) { return 1; }", "libone.so")
    extension = module(
        "_x", CP312, declare="extern int one(void);", body="one();", beside={"libone.so": shared}
    )
    alone = compile_library(tmp_path / "alone.so", extension_source("other"))
    files = {f"pkg/{soabi('_x', CP312)}": extension, "pkg/libone.so": shared, "pkg/plugin.so": alone}
    subject = read_subject(build_wheel(tmp_path, "cp312", files))
    assert subject.loaders == {f"pkg/{soabi('_x', CP312)}": (CP312,), "pkg/libone.so": (CP312,)}
