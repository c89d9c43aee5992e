"""The rules about loading: undefined symbols, libraries out of reach, and versions that they lack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.auditing.images import LIBRARY, OTHER, OUT_OF_REACH, M, image, module_image, subject
from tests.native import library, module
from tests.wheels import build_wheel
from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.loading import load
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.report import Outcome
from wheelfuse.auditing.rules.loading import library_out_of_reach, missing_version, undefined_symbol
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target

CP312 = Target(12)


def found(rule: object, wheel: Subject) -> list[Finding]:
    items = list(rule.check(wheel))  # type: ignore[attr-defined]
    assert all(isinstance(item, Finding) and item.code == rule.RULE.code for item in items)  # type: ignore[attr-defined]
    return items


def linked_module(directory: Path, source: str, **files: bytes) -> Subject:
    """A real wheel: a module that was linked to a library, and the library that it comes with."""
    target = Target(12)
    made_against = library("int spam(void) { return 1; } int eggs(void) { return 2; }", "libspam.so.1")
    built = module(
        "_m",
        target,
        body="spam(); eggs();",
        declare="int spam(void); int eggs(void);",
        beside={"libspam.so.1": made_against},
    )
    contents = {"pkg/__init__.py": b"", M: built, "pkg/libspam.so.1": library(source, "libspam.so.1")}
    return read_subject(build_wheel(directory, "cp312", contents | files))


def test_a_symbol_that_the_library_lacks(tmp_path: Path) -> None:
    good = linked_module(tmp_path / "good", "int spam(void) { return 1; } int eggs(void) { return 2; }")
    assert found(undefined_symbol, good) == []
    assert load(good, M, CP312).outcome is Outcome.LOADS

    (finding,) = found(undefined_symbol, linked_module(tmp_path / "bad", "int spam(void) { return 1; }"))
    assert finding.message == "import fails: undefined symbol eggs"
    assert (finding.path, finding.severity, finding.details) == (M, Severity.ERROR, ("eggs",))
    assert finding.todo.startswith("Link what defines it")


def test_the_library_that_should_have_the_symbol_is_named() -> None:
    needs = {"libspam.so.1": "SPAM_1"}
    files = {
        path: module_image("eggs@SPAM_1 ham@SPAM_1", exports=f"PyInit_{name}", needed="libspam.so.1", runpath="$ORIGIN",
                           needs=needs)
        for name, path in (("_m", M), ("_n", OTHER))
    }  # fmt: skip
    wheel = subject(
        {**files, "pkg/libspam.so.1": replace(LIBRARY, version_definitions=frozenset({"SPAM_1"}))}
    )
    (finding,) = found(undefined_symbol, wheel)
    assert finding.message == (
        "import fails: undefined symbol eggs and 1 more in 2 files; libspam.so.1 should have it"
    )
    assert finding.details == ("eggs (libspam.so.1)", "ham (libspam.so.1)", M, OTHER)


def test_a_symbol_that_only_an_unlinked_library_has() -> None:
    files = {M: module_image("eggs"), "pkg/libeggs.so": image("eggs")}
    (finding,) = found(undefined_symbol, subject(files))
    assert finding.message == "import fails: undefined symbol eggs; pkg/libeggs.so has it, but is not linked"
    assert finding.severity is Severity.ERROR
    (finding,) = found(undefined_symbol, subject(files, preloads=True))
    assert (
        finding.message == "import may fail: undefined symbol eggs; pkg/libeggs.so has it, but is not linked"
    )
    assert finding.severity is Severity.WARNING


def test_no_undefined_symbol_is_claimed_where_a_library_is_unknown() -> None:
    """Nor one of CPython, which rules of their own report, nor one in a file that no CPython imports."""
    assert found(undefined_symbol, subject({M: module_image("eggs", needed="libcudart.so.12")})) == []
    assert found(undefined_symbol, subject({M: module_image("eggs", needed="libgone-0123abcd.so")})) == []
    assert found(undefined_symbol, subject({M: module_image("PyThreadState_GetUnchecked")})) == []
    assert found(undefined_symbol, subject({M: module_image(), "pkg/plugin.so": image(imports="eggs")})) == []


def test_a_library_out_of_reach_is_found() -> None:
    fine = {**OUT_OF_REACH, M: module_image(needed="libspam.so.1", runpath="$ORIGIN/../pkg.libs")}
    assert found(library_out_of_reach, subject(fine)) == []
    (finding,) = found(library_out_of_reach, subject(OUT_OF_REACH))
    assert finding.message == (
        "import fails: it needs libspam.so.1, which is at pkg.libs/libspam.so.1, where nothing makes the linker look"
    )
    assert (finding.path, finding.severity) == (M, Severity.ERROR)
    assert "RUNPATH" in finding.todo
    two = {**OUT_OF_REACH, OTHER: module_image(exports="PyInit__n", needed="libspam.so.1")}
    (finding,) = found(library_out_of_reach, subject(two, preloads=True))
    assert finding.message.startswith(
        "import fails unless something loads the library before: 2 files need libspam.so.1, which is at "
    )
    assert (finding.details, finding.severity) == ((M, OTHER), Severity.WARNING)


def test_a_library_that_is_no_elf_file_is_out_of_reach(tmp_path: Path) -> None:
    wheel = linked_module(tmp_path, "int spam;", **{"pkg/libspam.so.1": b"libspam.so.1.0"})
    (finding,) = found(library_out_of_reach, wheel)
    assert finding.message == (
        "import fails: it needs libspam.so.1, but pkg/libspam.so.1 is no shared object that can be read"
    )


def test_a_version_that_the_library_lacks() -> None:
    def wheel(versions: str) -> Subject:
        asked = module_image(
            needed="libspam.so.1", runpath="$ORIGIN", needs={"libspam.so.1": "SPAM_2 SPAM_3"}
        )
        brought = replace(LIBRARY, version_definitions=frozenset(versions.split()))
        return subject({M: asked, "pkg/libspam.so.1": brought})

    assert found(missing_version, wheel("SPAM_1 SPAM_2 SPAM_3")) == []
    (finding,) = found(missing_version, wheel("SPAM_1"))
    assert finding.message == (
        "import fails: it needs version SPAM_2 and 1 more of pkg/libspam.so.1, which does not define it"
    )
    assert (finding.path, finding.details, finding.severity) == (M, ("SPAM_2", "SPAM_3"), Severity.ERROR)
