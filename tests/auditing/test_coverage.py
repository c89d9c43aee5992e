"""The rules about coverage: the matrix of extension modules and CPythons, also against a project."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.auditing.wheel_subjects import found, lines, loose, not_run, shared, wheel
from wheelfuse.auditing.coverage import matrix, names
from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.rules.coverage import (
    missing_module,
    no_extension_module,
    project,
    requires_python,
    stale_module,
)
from wheelfuse.auditing.rules.package import over_claim
from wheelfuse.auditing.subject import Against, Kind, SharedObject, Subject
from wheelfuse.target import Target

RULES = (missing_module, stale_module, requires_python, no_extension_module)


def on(*suffixes: str, name: str = "pkg/_x") -> list[SharedObject]:
    return [shared(f"{name}.cpython-{suffix}-x86_64-linux-gnu.so") for suffix in suffixes]


def targets(*tags: str) -> tuple[Target, ...]:
    return tuple(map(Target.parse, tags))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "subject",
    [
        wheel("cp312-cp312", *on("312"), *on("312", name="pkg/_y")),
        wheel("cp311.cp312-cp311.cp312", *on("311", "312")),
        wheel("cp39-abi3", shared("pkg/_x.abi3.so")),
        wheel("cp39-abi3", shared("pkg/_x.so")),
        wheel("cp315-abi3.abi3t", shared("pkg/_x.abi3t.so", exports=("PyModExport__x",))),
    ],
)
def test_full_coverage_has_no_findings(rule: object, subject: Subject) -> None:
    assert lines(rule, subject) == []  # type: ignore[arg-type]


def test_the_matrix_of_a_wheel() -> None:
    subject = wheel(
        "cp311.cp312.cp313-cp311.cp312.cp313.cp313t",
        *on("311", "312", "313", "313t"),
        *on("312", name="pkg/_y"),
    )
    rows = {row.name: row for row in matrix(subject)}
    assert rows["pkg._x"].present == targets("cp311", "cp312", "cp313", "cp313t")
    assert rows["pkg._x"].missing == ()
    assert rows["pkg._y"].present == targets("cp312")
    assert rows["pkg._y"].missing == targets("cp311", "cp313", "cp313t")


def test_a_module_that_some_cpythons_lack() -> None:
    subject = wheel("cp311.cp312-cp311.cp312", *on("311", "312"), *on("312", name="pkg/_y"))
    assert lines(missing_module, subject) == [
        "error pkg/_y.cpython-312-x86_64-linux-gnu.so: extension module pkg._y is missing for cp311; "
        "there for cp312"
    ]
    (item,) = found(missing_module, subject)
    assert item.todo == "Build it for cp311, or let no other CPython install the wheel."


def test_a_library_of_operators_may_be_opened_whatever_its_suffix() -> None:
    """torchao finds its files by a pattern, torch_scatter by the suffix: both leave the init function out."""
    operators = shared("pkg/_ops.cpython-310-x86_64-linux-gnu.so", exports=("ops",))
    subject = wheel("cp310-abi3", operators, requires_python=">=3.10,<3.12")
    (item,) = found(over_claim, subject)
    assert item.severity is Severity.WARNING
    assert item.message.endswith(
        "there for cp310; it has no init function, so the package may open it by any name"
    )
    (item,) = found(
        missing_module, wheel("cp310-abi3", operators, shared("pkg/_C.abi3.so"), requires_python="<3.12")
    )
    assert item.severity is Severity.WARNING
    assert item.message.endswith(
        "there for cp310; it has no init function, so the package may open it by any name"
    )


def test_modules_with_the_same_holes_are_one_finding() -> None:
    subject = wheel(
        "cp311.cp312-cp311.cp312", *on("311", "312"), *on("312", name="pkg/_y"), *on("312", name="pkg/_z")
    )
    (item,) = found(missing_module, subject)
    assert item.message == "2 extension modules are missing for cp311; there for cp312"
    assert item.details[:2] == ("pkg._y: cp312", "pkg._z: cp312")


def test_a_file_for_one_cpython_in_a_wheel_tagged_abi3() -> None:
    """What vLLM shipped: other CPythons silently fell back."""
    subject = wheel(
        "cp38-abi3", shared("pkg/_C.abi3.so"), *on("312", name="pkg/deep/_C"), requires_python=">=3.10,<3.14"
    )
    assert lines(missing_module, subject) == [
        "error pkg/deep/_C.cpython-312-x86_64-linux-gnu.so: extension module pkg.deep._C is missing for cp310, "
        "cp311, cp313; there for cp312"
    ]
    assert found(over_claim, subject) == []


def test_free_threaded_builds_count() -> None:
    subject = wheel("cp314-cp314.cp314t", *on("314", "314t"), *on("314", name="pkg/_y"))
    (item,) = found(missing_module, subject)
    assert item.message == "extension module pkg._y is missing for cp314t; there for cp314"


def test_cpythons_without_any_module_are_told_of_once() -> None:
    subject = wheel("cp311.cp312-cp311.cp312", *on("312"), *on("312", name="pkg/_y"))
    assert found(missing_module, subject) == []
    assert len(found(over_claim, subject)) == 1


def test_files_of_a_module_that_no_cpython_finds_are_not_called_left_over() -> None:
    """The missing module is told of by another rule, which says what its files are for."""
    renamed = wheel("cp312-cp312", *on("313"))
    assert found(stale_module, renamed) == [] and len(found(over_claim, renamed)) == 1
    half = wheel("cp312-cp312", *on("312"), *on("313", name="pkg/_y"))
    assert found(stale_module, half) == [] and len(found(missing_module, half)) == 1


@pytest.mark.usefixtures("known_until_3_15")
def test_holes_that_nobody_falls_into_yet_are_warnings() -> None:
    files = [shared("pkg/_x.abi3.so"), *on("312", "313", "314", "315", name="pkg/_y")]
    (item,) = found(missing_module, wheel("cp312-abi3", *files, requires_python=">=3.12,<3.18"))
    assert item.severity is Severity.WARNING
    assert "missing for cp316, cp317 (not released yet)" in item.message
    assert names(targets("cp316", "cp315")) == "cp315 and cp316 (not released yet)"


def test_a_directory_is_held_against_the_suffixes_in_it() -> None:
    assert lines(missing_module, loose(*on("311", "312"), *on("312", name="pkg/_y"))) == [
        "error pkg/_y.cpython-312-x86_64-linux-gnu.so: extension module pkg._y is missing for cp311; "
        "there for cp312"
    ]
    assert found(missing_module, loose(shared("_C.abi3.so"))) == []


def test_an_installed_wheel_is_asked_about_its_own_cpython() -> None:
    fused = wheel("cp311.cp312-cp311.cp312", *on("311", "312"), *on("312", name="pkg/_y"))
    installed = replace(fused, kind=Kind.DISTRIBUTION, only=Target(12))
    assert found(missing_module, installed) == [] and found(stale_module, installed) == []
    (item,) = found(missing_module, replace(installed, only=Target(11)))
    assert "pkg._y is missing for cp311" in item.message


def test_wheels_for_other_systems_are_not_called_fine() -> None:
    (item,) = not_run(missing_module, wheel("cp313-cp313", platform="macosx_11_0_arm64"))
    assert item.reason == "made for macosx_11_0_arm64: only files for Linux (ELF) can be looked into"


@pytest.mark.parametrize(
    ("subject", "path", "why"),
    [
        (
            wheel("cp312-cp312", *on("311", "312")),
            "pkg/_x.cpython-311-x86_64-linux-gnu.so",
            "no tag lets cp311 in, only cp312",
        ),
        (
            wheel("cp310.cp311-cp310.cp311", *on("310", "311"), requires_python=">=3.11"),
            "pkg/_x.cpython-310-x86_64-linux-gnu.so",
            "Requires-Python >=3.11 keeps cp310 out",
        ),
        (
            wheel("cp312-cp312", *on("312"), shared("pkg/_x.abi3t.so")),
            "pkg/_x.abi3t.so",
            ".abi3t.so is not a suffix of cp312",
        ),
        (
            wheel("cp312-cp312", *on("312"), shared("pkg/_x.so")),
            "pkg/_x.so",
            "cp312 find another file of the module before it",
        ),
    ],
)
def test_files_that_no_cpython_imports(subject: Subject, path: str, why: str) -> None:
    assert lines(stale_module, subject) == [f"warning {path}: never imported: {why}"]


def test_files_for_several_machines_are_not_stale() -> None:
    both = [shared(f"pkg/_x.cpython-312-{machine}-linux-gnu.so") for machine in ("x86_64", "aarch64")]
    assert found(stale_module, wheel("cp312-cp312", *both)) == []


def test_stale_files_with_one_reason_are_one_finding() -> None:
    subject = wheel("cp312-cp312", *on("311", "312"), *on("311", "312", name="pkg/_y"))
    (item,) = found(stale_module, subject)
    assert item.message == "2 files that are never imported: no tag lets cp311 in, only cp312"
    assert len(item.details) == 2


def asked(subject: Subject, python: str) -> Subject:
    return replace(subject, against=Against("pyproject.toml", python))


def for_project(python: str, *subjects: Subject) -> list[Finding]:
    items = project.check_release(tuple(asked(subject, python) for subject in subjects))
    return [item for item in items if isinstance(item, Finding)]


def test_a_project_whose_cpythons_are_all_served() -> None:
    each = [wheel(f"cp3{minor}-cp3{minor}", *on(str(minor))) for minor in ("10", "11", "12")]
    assert for_project(">=3.10,<3.13", *each) == []
    assert for_project("", *each) == []
    assert for_project(">=3.10,<3.13", wheel("cp310-abi3", shared("pkg/_x.abi3.so"))) == []
    assert for_project(">=3.9,<3.11", each[0]) == []  # 3.9 is past its end of life


def test_a_cpython_that_the_project_promises_and_nobody_serves() -> None:
    each = [wheel(f"cp3{minor}-cp3{minor}", *on(str(minor))) for minor in ("10", "12")]
    (item,) = for_project(">=3.10,<3.14", *each)
    assert (
        item.message
        == "cp311, cp313 served by nothing here on x86_64, glibc, but pyproject.toml says >=3.10,<3.14"
    )
    assert item.severity is Severity.ERROR and item.subject == each[0].label
    assert item.details[0] == f"cp311: {each[0].label} is not for it"


def test_a_wheel_without_a_file_of_one_module_does_not_serve() -> None:
    fused = wheel("cp311.cp312-cp311.cp312", *on("311", "312"), *on("312", name="pkg/_y"))
    (item,) = for_project(">=3.11,<3.13", fused)
    assert item.details == (f"cp311: {fused.label} has no file of pkg._y",)


def test_machines_are_looked_at_apart() -> None:
    x86 = [wheel(f"cp3{minor}-cp3{minor}", *on(str(minor))) for minor in ("11", "12")]
    arm = wheel("cp312-cp312", platform="manylinux_2_17_aarch64")
    (item,) = for_project(">=3.11,<3.13", *x86, arm)
    assert item.message.startswith("cp311 served by nothing here on aarch64, glibc")
    assert item.subject == arm.label


def test_a_directory_against_a_project() -> None:
    """The counterpart of a script that looked for one ``_C.cpython-XY-*.so`` for each Python."""
    built = loose(*on("310", "311", "312", name="deep_gemm/_C"))
    assert for_project(">=3.10,<3.13", built) == []
    (item,) = for_project(">=3.10,<3.14", built)
    assert item.details == ("cp313: lib has no file of deep_gemm._C",)


def test_an_installed_wheel_against_a_project() -> None:
    fused = wheel("cp38-abi3", shared("pkg/_C.abi3.so"), *on("310", "311", name="pkg/deep/_C"))
    installed = replace(fused, kind=Kind.DISTRIBUTION, only=Target(11))
    (item,) = for_project(">=3.10,<3.13", installed)
    assert item.message.startswith("cp312 served by nothing here")
    own = replace(wheel("cp312-cp312", *on("312")), kind=Kind.DISTRIBUTION, only=Target(12))
    assert for_project(">=3.10,<3.13", own) == []


def test_requires_python_of_wheel_and_project() -> None:
    subject = wheel("cp312-cp312", requires_python=">=3.10,<3.14")
    assert found(requires_python, asked(subject, "<3.14,>=3.10")) == []
    (item,) = found(requires_python, asked(subject, ">=3.11,<3.15"))
    assert item.message == "Requires-Python is >=3.10,<3.14, but pyproject.toml says >=3.11,<3.15"
    assert item.details == (
        "lets in, against the project: cp310",
        "keeps out, against the project: cp314",
    )
    assert item.severity is Severity.WARNING


def test_a_wheel_in_which_no_extension_module_was_found() -> None:
    assert lines(no_extension_module, wheel("cp312-cp312")) == [
        "warning : tagged for the ABI cp312, but there is no shared object in it"
    ]
    assert lines(no_extension_module, wheel("py3-none")) == [
        "info : Root-Is-Purelib is false, but there is no shared object in it"
    ]
    (item,) = found(no_extension_module, wheel("cp312-cp312", shared("pkg/libx.so", exports=("x",))))
    assert item.severity is Severity.INFO and item.details == ("pkg/libx.so",)
    assert found(no_extension_module, wheel("py3-none", purelib=True)) == []
    assert found(no_extension_module, wheel("pp310-pypy310_pp73")) == []
