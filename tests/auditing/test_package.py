"""The rules about the package: inputs, RECORD, METADATA, tags, the index, over-claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.auditing import facts
from tests.auditing.wheel_subjects import found, lines, loose, shared, wheel
from tests.native import module, soabi
from tests.wheels import build_wheel, digest
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.rules.inputs import broken_wheel, damaged_file, not_a_shared_object, unreadable_input
from wheelfuse.auditing.rules.package import (
    index_rejects,
    index_size,
    members,
    metadata,
    over_claim,
    purelib,
    record,
    tag_order,
    unportable_names,
    unusable,
    wheel_tags,
)

GOOD = wheel("cp312-cp312", shared("pkg/_x.cpython-312-x86_64-linux-gnu.so"))
ALL = (
    unreadable_input, broken_wheel, damaged_file, not_a_shared_object, record, members, metadata, wheel_tags,
    tag_order, index_rejects, index_size, over_claim, unusable, purelib, unportable_names,
)  # fmt: skip


@pytest.mark.parametrize("rule", ALL)
def test_a_good_wheel_has_no_findings(rule: object, tmp_path: Path) -> None:
    assert lines(rule, GOOD) == []  # type: ignore[arg-type]
    files = {f"pkg/{soabi('_x', 'cp312')}": module("_x", "cp312"), "pkg/__init__.py": ""}
    assert lines(rule, read_subject(build_wheel(tmp_path, "cp312", files))) == []  # type: ignore[arg-type]


def test_an_input_that_is_not_there_or_something_else(tmp_path: Path) -> None:
    (item,) = found(unreadable_input, read_subject(tmp_path / "none.so"))
    assert item.message == "cannot be read: No such file or directory"
    (tmp_path / "text.txt").write_text("text")
    (item,) = found(unreadable_input, read_subject(tmp_path / "text.txt"))
    assert item.message == "neither a wheel, a zip file with wheels, a directory, nor a shared object"
    assert item.severity is Severity.ERROR


def test_a_wheel_file_that_cannot_be_trusted(tmp_path: Path) -> None:
    path = build_wheel(tmp_path, "cp312")
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    (item,) = found(broken_wheel, read_subject(path))
    assert (
        item.message == "bytes before the zip archive, or around its directory, that belong to no member"
        and item.severity is Severity.ERROR
    )
    assert found(damaged_file, read_subject(path)) == []
    other = tmp_path / "name.whl"
    other.write_bytes(build_wheel(tmp_path / "b", "cp312").read_bytes())
    (item,) = found(broken_wheel, read_subject(other))
    assert item.message.startswith("not a wheel file name")


def test_a_damaged_elf_file_is_named_and_the_others_are_still_known(tmp_path: Path) -> None:
    good = module("_x", "cp312")
    files = {f"pkg/{soabi('_x', 'cp312')}": good, f"pkg/{soabi('_y', 'cp312')}": good[: len(good) // 2]}
    subject = read_subject(build_wheel(tmp_path, "cp312", files))
    (item,) = found(damaged_file, subject)
    assert item.path == f"pkg/{soabi('_y', 'cp312')}"
    assert item.message.startswith("unreadable ELF file: ")
    assert list(subject.files) == [f"pkg/{soabi('_x', 'cp312')}"]
    assert found(not_a_shared_object, subject) == []


def test_a_file_named_as_a_module_that_is_none() -> None:
    path = "pkg/_x.cpython-312-x86_64-linux-gnu.so"
    assert lines(not_a_shared_object, wheel("cp312-cp312", others={path: 132})) == [
        f"error {path}: named as an extension module, but not a shared object (132 bytes)"
    ]
    mac = {"pkg/_x.cpython-312-darwin.so": 132, "pkg/lib.so": 5}
    assert lines(not_a_shared_object, wheel("cp312-cp312", others=mac)) == []


def test_record_against_the_files(tmp_path: Path) -> None:
    files = {"pkg/a.py": "a = 1\n", "pkg/b.py": "b = 1\n", "pkg/c.py": "c = 1\n"}
    path = build_wheel(tmp_path, "cp312", files)
    assert found(record, read_subject(path)) == []
    row = f"pkg/a.py,{digest(b'a = 2')},6\npkg-1.0.dist-info/RECORD,,\npkg/gone.py,{digest(b'')},0\n"
    items = found(record, read_subject(build_wheel(tmp_path, "cp312", files, record=row)))
    messages = {item.message: item for item in items}
    assert set(messages) == {
        "4 files: not listed in RECORD",
        "listed in RECORD, but not in the wheel",
        "its sha256 digest is not the one in RECORD",
    }
    assert messages["4 files: not listed in RECORD"].details == (
        "pkg-1.0.dist-info/METADATA", "pkg-1.0.dist-info/WHEEL", "pkg/b.py", "pkg/c.py",
    )  # fmt: skip
    assert messages["its sha256 digest is not the one in RECORD"].path == "pkg/a.py"


def test_a_symbolic_link_out_of_the_wheel(tmp_path: Path) -> None:
    path = build_wheel(tmp_path, "cp312", {"pkg/data": "../../../etc"}, modes={"pkg/data": 0o120777})
    assert lines(members, read_subject(path)) == [
        "error pkg/data: symbolic link out of the wheel, to '../../../etc'"
    ]


def test_metadata_against_the_file_name(tmp_path: Path) -> None:
    broken = {"METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.0\nRequires-Python: three\n"}
    path = "pkg-1.0.dist-info/METADATA"
    assert lines(metadata, read_subject(build_wheel(tmp_path, "cp312", dist_info=broken))) == [
        f"error {path}: Name is other, but the file name says pkg",
        f"error {path}: Requires-Python: Invalid specifier: 'three'",
    ]
    no_version = {"WHEEL": "Root-Is-Purelib: false\nTag: cp312-cp312-any\n"}
    (item,) = found(metadata, read_subject(build_wheel(tmp_path, "cp312", dist_info=no_version)))
    assert item.path == "pkg-1.0.dist-info/WHEEL" and "Wheel-Version" in item.message


def test_tags_of_wheel_and_file_name() -> None:
    vllm = wheel("cp38-abi3", platform="manylinux_2_28_x86_64", tags=("cp38-abi3-linux_x86_64",))
    assert lines(wheel_tags, vllm) == [
        "warning pkg-1.0.dist-info/WHEEL: WHEEL says cp38-abi3-linux_x86_64, "
        "the file name cp38-abi3-manylinux_2_28_x86_64"
    ]
    assert lines(wheel_tags, wheel("py2.py3-none", tags=(f"py3-none-{'manylinux_2_17_x86_64'}",))) == [
        "info pkg-1.0.dist-info/WHEEL: WHEEL does not say py2-none-manylinux_2_17_x86_64, "
        "as the file name does"
    ]
    assert lines(wheel_tags, wheel("cp312-cp312", tags=())) == [
        "warning pkg-1.0.dist-info/WHEEL: WHEEL states no tag"
    ]


def test_a_blank_line_in_wheel_hides_its_tags(tmp_path: Path) -> None:
    text = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n\nTag: cp311-cp311-{0}\nTag: cp312-cp312-{0}\n"
    hidden = {"WHEEL": text.format("manylinux_2_17_x86_64")}
    path = build_wheel(tmp_path, tag="cp311.cp312-cp311.cp312", dist_info=hidden)
    (item,) = found(wheel_tags, read_subject(path))
    assert item.message == "WHEEL states no tag: nobody reads the 2 lines after its blank line"
    assert item.severity is Severity.WARNING
    assert item.details == (
        "not read: Tag: cp311-cp311-manylinux_2_17_x86_64",
        "not read: Tag: cp312-cp312-manylinux_2_17_x86_64",
    )


def test_pairs_of_tags_that_no_interpreter_asks_for_are_only_noted() -> None:
    tags = ("cp311-cp311-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_x86_64")
    (item,) = found(wheel_tags, wheel("cp311.cp312-cp311.cp312", tags=tags))
    assert item.severity is Severity.INFO
    (item,) = found(wheel_tags, wheel("cp311.cp312-cp311.cp312", tags=tags[:1]))
    assert item.severity is Severity.WARNING


def test_the_order_of_compressed_tag_sets() -> None:
    assert lines(tag_order, wheel("cp39.cp310-abi3")) == [
        "info : cp39.cp310 is not in the order of PEP 425: cp310.cp39"
    ]
    assert lines(tag_order, wheel("cp310.cp39-abi3")) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"platform": "linux_x86_64"}, "platform tag linux_x86_64: only manylinux and musllinux are taken"),
        ({"version": "1.0+cu130"}, "local version 1.0+cu130: these are for private indexes (PEP 440)"),
        (
            {"version": "1.0.1234", "platform": ".".join(f"manylinux_2_{n}_x86_64" for n in range(17, 27))},
            "file name of 248 bytes, more than 246",
        ),
        (
            {"others": {"pkg/zeros": 100 << 20}, "size": 1 << 20},
            "inflates to 104857600 bytes, 100 times its size, where at most 50 are taken",
        ),
    ],
)
def test_what_the_index_would_reject(fields: dict[str, object], message: str) -> None:
    assert lines(index_rejects, wheel("cp312-cp312", **fields)) == [f"warning : {message}"]  # type: ignore[arg-type]


def test_ratio_and_length_at_their_limits() -> None:
    assert lines(index_rejects, wheel("py3-none", others={"a": 64 << 20}, size=1000)) == []
    assert lines(index_rejects, wheel("py3-none", others={"a": 100 << 20}, size=2 << 20)) == []


def test_the_size_that_the_index_takes_by_default() -> None:
    assert lines(index_size, wheel("py3-none", size=100 << 20)) == []
    (item,) = found(
        index_size, wheel("py3-none", size=101 << 20, others={"big": 300 << 20, "small": 1 << 20})
    )
    assert item.message == "101 MiB, more than the 100 MiB that are taken by default"
    assert item.details == ("big: 300.0 MiB inflated", "small: 1.0 MiB inflated")


def matrix(*suffixes: str, name: str = "pkg/_x") -> list[object]:
    return [shared(f"{name}.cpython-{suffix}-x86_64-linux-gnu.so") for suffix in suffixes]


GIL = ("310", "311", "312", "313", "314", "315")


def test_a_py3_none_wheel_promises_itself_to_free_threaded_builds() -> None:
    (item,) = found(over_claim, wheel("py3-none", *matrix(*GIL, "314t", "315t")))  # type: ignore[arg-type]
    assert item.message == (
        "cp313t would install it (py3-none, Requires-Python >=3.10,<3.16), but find no file of its extension "
        "module pkg._x; there for cp310, cp311, cp312, cp313, cp314, cp314t, cp315, cp315t"
    )
    assert item.severity is Severity.ERROR
    assert "Requires-Python cannot keep free-threaded builds out" in item.todo
    full = wheel("py3-none", *matrix(*GIL, "313t", "314t", "315t"))  # type: ignore[arg-type]
    assert found(over_claim, full) == []


@pytest.mark.usefixtures("known_until_3_15")
def test_holes_by_requires_python_and_those_not_released() -> None:
    files = matrix(*GIL, "313t", "314t", "315t")
    (item,) = found(over_claim, wheel("py3-none", *files, requires_python=">=3.10,<3.18"))  # type: ignore[arg-type]
    assert item.message.startswith("cp316, cp316t, cp317, cp317t (not released yet) would install it")
    assert item.severity is Severity.WARNING
    (item,) = found(over_claim, wheel("py3-none", *files, requires_python=">=3.9,<3.16"))  # type: ignore[arg-type]
    assert item.message.startswith("cp39 would install it") and item.severity is Severity.WARNING
    (item,) = found(over_claim, wheel("py3-none", *matrix(*GIL[1:]), requires_python=">=3.10,<3.17"))  # type: ignore[arg-type]
    assert item.message.startswith(
        "cp310, cp313t, cp314t, cp315t and cp316, cp316t (not released yet) would install it"
    )


def test_a_compressed_tag_set_that_implies_abi3_for_all() -> None:
    files = [*matrix("310"), shared("pkg/_x.abi3t.so", exports=("PyModExport__x",))]
    (item,) = found(over_claim, wheel("cp310.cp315-cp310.abi3.abi3t", *files))  # type: ignore[arg-type]
    assert item.message.startswith("cp311, cp312, cp313, cp313t, cp314, cp314t would install it (its tags,")


def test_a_wheel_whose_files_are_all_for_others() -> None:
    (item,) = found(over_claim, wheel("cp312-cp312", *matrix("313", "314t")))  # type: ignore[arg-type]
    assert item.message.endswith(
        "but find no file of its extension module pkg._x; its files are for cp313, cp314t"
    )
    assert "the tags that are true (cp313-cp313 and so on)" in item.todo
    (item,) = found(over_claim, wheel("cp39-abi3", *matrix("312")))  # type: ignore[arg-type]
    assert item.message.endswith("there for cp312") and "the tags that are true (cp312-cp312)" in item.todo
    (item,) = found(over_claim, wheel("cp312-cp312", *matrix("314t")))  # type: ignore[arg-type]
    assert "(cp314-cp314t)" in item.todo


def test_libraries_that_are_opened_by_name_leave_no_holes() -> None:
    libraries = [shared("pkg/libx.so", exports=("x",)), shared("pkg/_C.abi3.so", exports=("x",))]
    assert found(over_claim, wheel("py3-none", *libraries)) == []
    assert found(over_claim, wheel("py3-none")) == []
    assert found(over_claim, loose(*libraries)) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cvcuda_cu12-0.19.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "cp313t would install it (py3-none, Requires-Python >=3.10, <3.15), but find no file of its extension "
            "module cvcuda._cvcuda; there for cp310, cp311, cp312, cp313, cp314, cp314t",
        ),
        (
            "nvidia_dali_cuda120-2.4.0-py3-none-manylinux_2_28_x86_64.whl",
            "cp313t would install it (py3-none, Requires-Python >=3.10, <3.16), but find no file of its "
            "2 extension modules; there for cp310, cp311, cp312, cp313, cp314, cp314t, cp315, cp315t",
        ),
    ],
)
def test_the_holes_of_published_wheels_are_named(name: str, message: str) -> None:
    (item,) = found(over_claim, facts.subject(name))
    assert item.message == message and item.severity is Severity.ERROR


def test_depthai_hides_its_tags_behind_a_blank_line() -> None:
    tag = ".".join(f"cp3{minor}" for minor in range(9, 16))
    subject = facts.subject(f"depthai-3.12.0-{tag}-{tag}-manylinux_2_28_x86_64.whl")
    assert lines(wheel_tags, subject) == [
        "warning depthai-3.12.0.dist-info/WHEEL: WHEEL states no tag: "
        "nobody reads the 7 lines after its blank line"
    ]
    assert lines(over_claim, subject) == []


@pytest.mark.parametrize(
    "name",
    [
        "vllm-0.21.0-1-cp38-abi3-manylinux_2_24_x86_64.whl",
        "vllm-0.31.0-cp38-abi3-manylinux_2_28_x86_64.whl",
    ],
)
def test_vllm_says_linux_inside_and_manylinux_outside(name: str) -> None:
    (item,) = found(wheel_tags, facts.subject(name))
    assert (
        item.message
        == f"WHEEL says cp38-abi3-linux_x86_64, the file name {'-'.join(name[:-4].split('-')[-3:])}"
    )


def test_a_wheel_that_requires_python_keeps_from_everybody() -> None:
    subject = wheel("cp310-cp310", *matrix("310"), requires_python=">=3.11")  # type: ignore[arg-type]
    assert lines(unusable, subject) == [
        "error : Requires-Python >=3.11 keeps out all that the tags let in: cp310"
    ]
    assert lines(unusable, wheel("pp310-pypy310_pp73")) == []


def test_modules_in_a_wheel_that_calls_itself_pure() -> None:
    path = "pkg/_x.cpython-312-x86_64-linux-gnu.so"
    assert lines(purelib, wheel("cp312-cp312", shared(path), purelib=True)) == [
        "warning pkg-1.0.dist-info/WHEEL: Root-Is-Purelib is true, but there are extension modules: pkg._x"
    ]
    at_home = shared(f"pkg-1.0.data/platlib/{path}")
    assert lines(purelib, wheel("cp312-cp312", at_home, purelib=True)) == []


@pytest.mark.parametrize(
    ("platforms", "severity"),
    [
        ("manylinux_2_17_x86_64", Severity.INFO),
        ("linux_x86_64", Severity.INFO),
        ("any", Severity.WARNING),
        ("win_amd64", Severity.WARNING),
    ],
)
def test_names_that_only_linux_takes(tmp_path: Path, platforms: str, severity: Severity) -> None:
    files = {"pkg/A.h": "", "pkg/a.h": "", "pkg/nul.txt": "", "pkg/fine.h": ""}
    subject = read_subject(build_wheel(tmp_path, "cp312", files, platform=platforms))
    alike, reserved = found(unportable_names, subject)
    assert (alike.severity, reserved.severity) == (severity, severity)
    assert alike.message.startswith("2 names differ in case only")
    assert alike.details == ("pkg/A.h", "pkg/a.h")
    assert (reserved.path, reserved.message.startswith("a name reserved on Windows")) == ("pkg/nul.txt", True)
