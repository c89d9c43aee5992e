"""What the dynamic linker and CPython make of a file: each rule of theirs on images made by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.auditing.images import LIBRARY, OTHER, OUT_OF_REACH, WHEEL, M, image, module_image, subject
from tests.elf.symbols import SymbolObject
from tests.native import library, soabi
from tests.wheels import build_wheel
from wheelfuse.auditing.linking import linker
from wheelfuse.auditing.loading import load
from wheelfuse.auditing.python_sources import PythonSources
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.report import Outcome
from wheelfuse.auditing.subject import Against, Kind, SharedObject, Subject
from wheelfuse.elf.image import Image
from wheelfuse.errors import Problem
from wheelfuse.target import Target

LOADS, SUPPLIED, FAILS = Outcome.LOADS, Outcome.SUPPLIED, Outcome.FAILS
UNPROVED, MISSING = Outcome.UNPROVED, Outcome.MISSING
CP312 = Target(12)


def outcome(files: dict[str, Image], path: str = M, target: Target = CP312) -> Outcome:
    return load(subject(files), path, target).outcome


@pytest.mark.parametrize(
    ("runpath", "place", "expected"),
    [
        ("$ORIGIN", "pkg/libspam.so.1", LOADS),
        ("${ORIGIN}/.", "pkg/libspam.so.1", LOADS),
        ("/usr/lib:$ORIGIN/../pkg.libs", "pkg.libs/libspam.so.1", LOADS),
        ("$ORIGIN/nowhere:$ORIGIN/lib", "pkg/lib/libspam.so.1", LOADS),
        ("$ORIGIN/../../../..", "pkg-1.0.data/data/libspam.so.1", LOADS),
        ("$ORIGIN/../../../../lib", "pkg-1.0.data/data/lib/libspam.so.1", LOADS),
        ("$ORIGIN", "pkg-1.0.data/platlib/pkg/libspam.so.1", LOADS),
        ("$ORIGIN", "pkg.libs/libspam.so.1", FAILS),
        ("", "pkg/libspam.so.1", FAILS),
        ("lib", "lib/libspam.so.1", FAILS),
        # only the name of the file counts, not what it calls itself
        ("$ORIGIN", "pkg/libspam-1.so", FAILS),
    ],
)
def test_where_a_library_is_looked_for(runpath: str, place: str, expected: Outcome) -> None:
    files = {M: module_image("spam", needed="libspam.so.1", runpath=runpath), place: LIBRARY}
    assert outcome(files) is expected


@pytest.mark.parametrize(
    ("of_module", "of_library", "expected"),
    [
        ({"runpath": "$ORIGIN"}, {}, FAILS),  # RUNPATH is not inherited
        ({"runpath": "$ORIGIN", "rpath": True}, {}, LOADS),  # RPATH is
        ({"runpath": "$ORIGIN", "rpath": True}, {"runpath": "$ORIGIN/x"}, FAILS),  # not past a RUNPATH
        ({"runpath": "$ORIGIN", "rpath": True}, {"runpath": "$ORIGIN/x", "rpath": True}, LOADS),
        ({"runpath": "$ORIGIN"}, {"runpath": "$ORIGIN"}, LOADS),
    ],
)
def test_what_libraries_inherit(
    of_module: dict[str, object], of_library: dict[str, object], expected: Outcome
) -> None:
    files = {
        M: module_image(needed="liba.so", **of_module),
        "pkg/liba.so": image(needed="libb.so", **of_library),  # type: ignore[arg-type]
        "pkg/libb.so": image(),
    }
    assert outcome(files) is expected


@pytest.mark.parametrize("first", ["liba.so", "other/liba.so"])
def test_what_is_loaded_already_is_not_looked_for(first: str) -> None:
    """The module finds both; what it loads first satisfies the second, which has no RUNPATH."""
    files = {
        M: module_image(needed="liba.so libb.so", runpath="$ORIGIN"),
        "pkg/liba.so": image(soname="libreal.so.1"),
        "pkg/libb.so": image(needed="liba.so libreal.so.1"),
    }
    assert outcome(files) is LOADS


def test_a_file_for_another_machine_is_passed_over() -> None:
    files = {
        M: module_image(needed="libspam.so.1", runpath="$ORIGIN/a:$ORIGIN/b"),
        "pkg/a/libspam.so.1": image(machine="EM_AARCH64"),
        "pkg/b/libspam.so.1": LIBRARY,
    }
    assert outcome(files) is LOADS
    del files["pkg/b/libspam.so.1"]
    assert load(subject(files), M, CP312).reasons == (
        f"{M} needs libspam.so.1, which is nowhere to be found",
    )


def test_a_library_that_is_no_elf_file_ends_the_search() -> None:
    files = {M: module_image(needed="libspam.so.1", runpath="$ORIGIN/a:$ORIGIN"), "pkg/libspam.so.1": LIBRARY}
    wheel = subject(files)
    damaged = replace(wheel, sizes={**wheel.sizes, "pkg/a/libspam.so.1": 9})
    assert load(wheel, M, CP312).outcome is LOADS
    assert load(damaged, M, CP312).outcome is FAILS
    assert "pkg/a/libspam.so.1 is no shared object that can be read" in load(damaged, M, CP312).reasons[0]
    # A directory holds symbolic links, which are not among its files.
    tree = replace(damaged, kind=Kind.DIRECTORY)
    assert load(tree, M, CP312).outcome is LOADS


@pytest.mark.parametrize(
    ("needed", "wheel", "expected"),
    [
        ("libc.so.6 libstdc++.so.6 ld-linux-x86-64.so.2 libX11.so.6", WHEEL, LOADS),
        ("libc.musl-x86_64.so.1", WHEEL.replace("manylinux_2_17", "musllinux_1_2"), LOADS),
        ("libc.musl-x86_64.so.1", WHEEL, FAILS),
        ("libX11.so.6", WHEEL.replace("manylinux_2_17", "musllinux_1_2"), UNPROVED),
        ("libspam.so.1", WHEEL, FAILS),
        ("libspam.so.1", WHEEL.replace("manylinux_2_17", "linux"), UNPROVED),
        ("libspam-0123abcd.so.1", WHEEL.replace("manylinux_2_17", "linux"), FAILS),  # auditwheel's own
        ("libEGL.so.1", WHEEL, UNPROVED),  # of desktops, which PySide counts on
        ("libEGL-0123abcd.so.1", WHEEL, FAILS),
        ("libcudart.so.12", WHEEL, SUPPLIED),
        ("libpython3.12.so.1.0", WHEEL, UNPROVED),
    ],
)
def test_a_library_that_is_not_in_the_wheel(needed: str, wheel: str, expected: Outcome) -> None:
    path = M.replace("gnu", "musl") if "musl" in wheel else M
    assert load(subject({path: module_image(needed=needed)}, wheel), path, CP312).outcome is expected


def test_another_distribution_may_bring_a_library() -> None:
    files = {M: module_image(needed="libspam.so.1", runpath="$ORIGIN/../spam/lib")}
    assert load(subject(files), M, CP312).outcome is FAILS
    assert load(subject(files, requires="spam"), M, CP312).outcome is UNPROVED
    inside = {M: module_image(needed="libspam.so.1", runpath="$ORIGIN/../pkg.libs")}
    assert load(subject(inside, requires="spam"), M, CP312).outcome is FAILS
    assert load(subject(inside, requires="spam", preloads=True), M, CP312).outcome is UNPROVED


def test_a_single_file_cannot_tell_what_lies_beside_it() -> None:
    alone = Subject("x", Kind.FILE, files={M: SharedObject(M, 1, module_image(needed="libx-0123abcd.so"))})
    verdict = load(alone, M, CP312)
    assert (verdict.outcome, verdict.reasons) == (
        UNPROVED,
        (f"{M} needs libx-0123abcd.so, and only this file was given",),
    )


def test_a_library_with_a_known_supplier_is_assumed() -> None:
    verdict = load(subject({M: module_image("PyList_New cudaMalloc", needed="libcudart.so.12")}), M, CP312)
    assert verdict.outcome is SUPPLIED
    assert verdict.assumed == ("libcudart.so.12 (nvidia-cuda-runtime-cu12)",)
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("exports", "expected"),
    [("cudaMalloc", LOADS), ("cudaMalloc cudaFree", LOADS), ("cudaFree", FAILS)],
)
def test_with_real_libraries_nothing_is_assumed(exports: str, expected: Outcome) -> None:
    found = {"libcudart.so.12": image(exports, "dlopen@GLIBC_2.2.5", needed="libc.so.6")}
    wheel = subject(
        {M: module_image("cudaMalloc", needed="libcudart.so.12")}, against=Against(libraries=found)
    )
    verdict = load(wheel, M, CP312)
    assert (verdict.outcome, verdict.assumed) == (expected, ())


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("torch_get_thread_idx", SUPPLIED),
        ("aoti_torch_get_data_ptr", SUPPLIED),
        ("_ZN2at6nothingEv", UNPROVED),  # of a torch that the table does not know
        ("spam", UNPROVED),
    ],
)
def test_what_torch_exports_is_known(symbol: str, expected: Outcome) -> None:
    verdict = load(subject({M: module_image(symbol, needed="libtorch.so libc10.so")}), M, CP312)
    assert verdict.outcome is expected
    assert verdict.assumed == ("libtorch.so (torch)", "libc10.so (torch)")


def test_a_library_out_of_reach_fails_unless_something_may_have_loaded_it() -> None:
    reason = f"{M} needs libspam.so.1, which is at pkg.libs/libspam.so.1, where nothing makes the linker look"
    for preloads, expected in ((False, FAILS), (True, UNPROVED)):
        verdict = load(subject(OUT_OF_REACH, preloads=preloads), M, CP312)
        assert (verdict.outcome, verdict.reasons) == (expected, (reason,))
    finds_it = module_image(exports="PyInit__n", needed="libspam.so.1", runpath="$ORIGIN/../pkg.libs")
    assert outcome({**OUT_OF_REACH, OTHER: finds_it}) is UNPROVED


def test_a_file_that_holds_the_name_of_a_library_may_open_it() -> None:
    wheel = subject({**OUT_OF_REACH, "pkg/opener.so": image()})
    opener = wheel.files["pkg/opener.so"]
    named = replace(opener, producers=replace(opener.producers, opens=("libspam.so.1",)))
    assert load(replace(wheel, files={**wheel.files, "pkg/opener.so": named}), M, CP312).outcome is UNPROVED


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ("spam", LOADS),
        ("eggs", FAILS),
        ("eggs?", LOADS),  # weak
        ("spam@SPAM_1", LOADS),
        ("eggs@SPAM_1", FAILS),
        ("sqrt dlopen pthread_create", LOADS),  # what every CPython has loaded
        ("nosuch@GLIBC_2.2.5", LOADS),  # the matter of the platform rules
        ("inflate", FAILS),  # nobody has loaded libz
        ("_ZSt4cout", FAILS),
    ],
)
def test_symbols_in_sight(imports: str, expected: Outcome) -> None:
    needs = {"libspam.so.1": "SPAM_1", "libc.so.6": "GLIBC_2.2.5"}
    files = {
        M: module_image(imports, needed="libspam.so.1 libc.so.6", runpath="$ORIGIN", needs=needs),
        "pkg/libspam.so.1": replace(LIBRARY, version_definitions=frozenset({"SPAM_1"})),
        "pkg/libeggs.so": image("eggs"),
    }
    assert outcome(files) is expected


@pytest.mark.parametrize(
    ("needed", "symbol", "expected"),
    [
        ("libz.so.1", "inflate", LOADS),
        ("libz.so.1", "spam", FAILS),
        ("libstdc++.so.6", "_ZNSt6thread4joinEv", UNPROVED),
        ("libstdc++.so.6", "__cxa_throw", UNPROVED),
        ("libstdc++.so.6", "_ZN4spam4eggsEv", FAILS),
        ("libX11.so.6", "XOpenDisplay", UNPROVED),
    ],
)
def test_symbols_without_version_of_system_libraries(needed: str, symbol: str, expected: Outcome) -> None:
    assert outcome({M: module_image(symbol, needed=needed)}) is expected


def test_a_copy_of_a_system_library_in_the_wheel_counts_instead() -> None:
    files = {
        M: module_image(
            "new@GLIBCXX_3.4.30",
            needed="libstdc++.so.6",
            runpath="$ORIGIN",
            needs={"libstdc++.so.6": "GLIBCXX_3.4.30"},
        ),
        "pkg/libstdc++.so.6": image("old", versions="GLIBCXX_3.4", soname="libstdc++.so.6"),
    }
    assert load(subject(files), M, CP312).reasons == (
        f"{M} needs GLIBCXX_3.4.30 of pkg/libstdc++.so.6, which does not define it",
        f"undefined symbol new in {M}",
    )


def test_symbols_of_a_library_are_sought_in_all_that_the_module_brings_in() -> None:
    files = {
        M: module_image(needed="liba.so libb.so", runpath="$ORIGIN", exports="PyInit__m of_module"),
        "pkg/liba.so": image(imports="of_b of_module"),
        "pkg/libb.so": image("of_b"),
    }
    assert outcome(files) is LOADS
    assert load(subject(files), "pkg/liba.so", CP312).outcome is FAILS  # opened by itself


@pytest.mark.parametrize(("versions", "expected"), [("SPAM_1 SPAM_2", LOADS), ("SPAM_1", FAILS), ("", LOADS)])
def test_versions_are_asked_only_of_libraries_that_define_some(versions: str, expected: Outcome) -> None:
    files = {
        M: module_image(needed="libspam.so.1", runpath="$ORIGIN", needs={"libspam.so.1": "SPAM_2"}),
        "pkg/libspam.so.1": replace(LIBRARY, version_definitions=frozenset(versions.split())),
    }
    assert outcome(files) is expected


@pytest.mark.parametrize(
    ("symbol", "target", "expected"),
    [
        ("_PyThreadState_UncheckedGet", 12, LOADS),
        ("_PyThreadState_UncheckedGet", 13, FAILS),
        ("PyThreadState_GetUnchecked", 12, FAILS),
        ("_PyNobody_KnowsThis", 12, UNPROVED),  # a later micro release may
        ("PyNobody_KnowsThis", 12, FAILS),
        ("PyList_New", 17, UNPROVED),  # no table
    ],
)
def test_symbols_of_the_interpreter(symbol: str, target: int, expected: Outcome) -> None:
    path = soabi("pkg/_m", Target(target))
    assert outcome({path: module_image(symbol)}, path, Target(target)) is expected


def test_what_a_library_defines_is_not_asked_of_the_interpreter() -> None:
    files = {
        M: module_image("PyGreenlet_Type", needed="libspam.so.1", runpath="$ORIGIN"),
        "pkg/libspam.so.1": image("PyGreenlet_Type"),
    }
    assert outcome(files) is LOADS


@pytest.mark.parametrize(
    ("file", "target", "exports", "expected"),
    [
        ("_m.cpython-312-x86_64-linux-gnu.so", "cp312", "PyInit__m", LOADS),
        ("_m.cpython-312-x86_64-linux-gnu.so", "cp313", "PyInit__m", MISSING),
        ("_m.cpython-312-aarch64-linux-gnu.so", "cp312", "PyInit__m", MISSING),
        ("_m.cpython-312.so", "cp312", "PyInit__m", MISSING),
        ("_m.cpython-312-x86_64-linux-gnu.so", "cp312", "PyInit__n", FAILS),
        ("_m.cpython-312-x86_64-linux-gnu.so", "cp312", "PyModExport__m", FAILS),
        ("_m.cpython-315-x86_64-linux-gnu.so", "cp315", "PyModExport__m", LOADS),
        ("_m.abi3.so", "cp310", "PyInit__m", LOADS),
        ("_m.abi3.so", "cp314t", "PyInit__m", FAILS),
        ("_m.abi3.so", "cp315t", "PyInit__m", MISSING),
        ("_m.abi3t.so", "cp315t", "PyModExport__m", LOADS),
        ("_m.abi3t.so", "cp314t", "PyModExport__m", MISSING),
        ("_m.so", "cp312", "PyInit__m", LOADS),
        ("_m.so", "cp312", "PyModExport__m", FAILS),
        ("_ñ.so", "cp312", "PyInitU__ida", LOADS),
    ],
)
def test_what_import_wants_of_the_file_itself(
    file: str, target: str, exports: str, expected: Outcome
) -> None:
    path = f"pkg/{file}"
    assert outcome({path: module_image(exports=exports)}, path, Target.parse(target)) is expected


def test_what_nothing_can_import_is_judged_as_a_library() -> None:
    """torch.ops.load_library opens such files, whatever they are called."""
    path = "pkg/lib/libspam.abi3.so"
    assert outcome({path: image("spam")}, path) is LOADS
    assert outcome({path: image("spam", "PyList_New")}, path) is FAILS


def test_a_file_for_another_machine_or_a_program_is_refused() -> None:
    assert load(subject({M: module_image(machine="EM_AARCH64")}), M, CP312).reasons == (
        "a 64-bit file for EM_AARCH64, not for the machine of the tags",
    )
    assert outcome({M: module_image(kind="ET_EXEC")}) is FAILS


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("", FAILS),
        ("unreadable ELF file: ValueError: a segment reaches beyond the end of the file", FAILS),
        ("unreadable ELF file: ValueError: the section headers reach beyond the end of the file", UNPROVED),
    ],
)
def test_a_file_that_cannot_be_read(problem: str, expected: Outcome) -> None:
    """Loaders do without section headers: kiwisolver cut in half still loads."""
    unreadable = (Problem(problem, "", M),) if problem else ()
    assert load(subject({}, unreadable=unreadable), M, CP312).outcome is expected
    assert load(subject({}, unreadable=unreadable), M, Target(13)).outcome is MISSING


def test_names_like_pythons_may_be_those_of_another_distribution() -> None:
    """PySide's modules ask libshiboken6, which another wheel brings, for PyNobody_... of its own."""
    extension = module_image("PyList_New PyRun_Nobody", needed="libspam.so.1", runpath="$ORIGIN/../spam/lib")
    assert load(subject({M: extension}, requires="spam"), M, CP312).outcome is UNPROVED
    assert load(subject({M: module_image("PyList_New PyRun_Nobody")}), M, CP312).outcome is FAILS


def test_a_library_that_is_opened_for_all_to_see_may_define_a_symbol() -> None:
    wheel = subject({M: module_image("spam")}, requires="spam", preloads=True)
    assert load(wheel, M, CP312).outcome is FAILS
    assert load(replace(wheel, opens_globally=True), M, CP312).outcome is UNPROVED


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("ctypes.CDLL(path)", True),
        ("from ctypes import cdll", True),
        ("ffi.dlopen(name)", True),
        ("sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_NOW)", True),
        ("numpy.ctypeslib.load_library('x', '.')", True),
        ("import ctypes\nctypes.c_int(3)", False),
        ("torch.cuda.is_available()", False),
    ],
)
def test_python_code_that_opens_libraries(source: str, expected: bool, tmp_path: Path) -> None:
    sources = PythonSources()
    for place in range(0, len(source), 3):
        sources.update(source[place : place + 3].encode())
    assert sources.open_libraries is expected
    wheel = build_wheel(tmp_path, "cp312", {"pkg/a.py": source, "pkg/b.py": "", "pkg/text": "ctypes.CDLL"})
    assert read_subject(wheel).preloads is expected


@pytest.mark.parametrize(
    ("source", "opens", "for_all"),
    [
        (b"import os", False, False),
        (b"ctypes.CDLL(path)", True, False),
        (b"ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)", True, True),
        (b"sys.setdlopenflags(0x102)", True, False),
    ],
)
def test_what_python_code_opens_is_seen_wherever_a_chunk_ends(
    source: bytes, opens: bool, for_all: bool
) -> None:
    for at in range(len(source)):
        sources = PythonSources()
        sources.update(source[:at])
        sources.update(source[at:])
        assert (sources.open_libraries, sources.open_globally) == (opens, for_all)


def test_the_linker_of_a_subject_is_made_once() -> None:
    wheel = subject({M: module_image()})
    assert linker(wheel) is linker(wheel)
    assert linker(replace(wheel)) is not linker(wheel)


# -- held against the linker of this machine

SPAM = "int spam(void) { return 1; }"
A = "int spam(void); int a(void) { return spam(); }"
OLD = "-Wl,--disable-new-dtags"
FOREIGN = SymbolObject(64, "<", 183).build(exports=["spam"], soname="libspam.so")


def versioned(directory: Path, version: str) -> bytes:
    script = directory / version
    script.write_text(f"{version} {{ global: *; }};")
    return library(SPAM, "libspam.so", f"-Wl,--version-script={script}")


def layouts(directory: Path) -> dict[str, dict[str, bytes]]:
    """Files of wheels, by what they try; ``pkg/top.so`` is what is opened."""
    spam = library(SPAM, "libspam.so")
    plain = library(A, "liba.so", beside={"libspam.so": spam})

    def top(*flags: str, runpath: str = "$ORIGIN", **beside: bytes) -> bytes:
        libraries = {f"{name}.so": content for name, content in beside.items()}
        return library(
            "int spam(void); int (*use)(void) = spam;", "", *flags, runpath=runpath, beside=libraries
        )

    through_a = library(
        "int a(void); int (*use)(void) = a;", "", runpath="$ORIGIN/lib", beside={"liba.so": plain}
    )
    by_rpath = library(
        "int a(void); int (*use)(void) = a;", "", f"{OLD},-rpath,$ORIGIN/lib", beside={"liba.so": plain}
    )
    a_with_runpath = library(A, "liba.so", runpath="$ORIGIN/x", beside={"libspam.so": spam})
    v1, v2 = versioned(directory, "SPAM_1"), versioned(directory, "SPAM_2")
    two = {"pkg/lib/liba.so": plain, "pkg/lib/libspam.so": spam}
    return {
        "found by RUNPATH": {"pkg/top.so": top(libspam=spam), "pkg/libspam.so": spam},
        "not on RUNPATH": {"pkg/top.so": top(libspam=spam), "pkg/lib/libspam.so": spam},
        "RUNPATH is not inherited": {"pkg/top.so": through_a, **two},
        "RPATH is inherited": {"pkg/top.so": by_rpath, **two},
        "RUNPATH ends RPATH": {"pkg/top.so": by_rpath, **two, "pkg/lib/liba.so": a_with_runpath},
        "loaded already, by soname": {
            "pkg/top.so": top(libother=library("int x;", "libother.so"), libspam=spam),
            "pkg/libother.so": spam,
            "elsewhere/libspam.so": spam,
        },
        "named by a path": {"pkg/top.so": top(libspam=library(SPAM)), "pkg/libspam.so": spam},
        "for another machine, then right": {
            "pkg/top.so": top(runpath="$ORIGIN/x:$ORIGIN", libspam=spam),
            "pkg/x/libspam.so": FOREIGN,
            "pkg/libspam.so": spam,
        },
        "for another machine": {"pkg/top.so": top(libspam=spam), "pkg/libspam.so": FOREIGN},
        "no ELF file, then right": {
            "pkg/top.so": top(runpath="$ORIGIN/x:$ORIGIN", libspam=spam),
            "pkg/x/libspam.so": b"libspam.so.1",
            "pkg/libspam.so": spam,
        },
        "version there": {"pkg/top.so": top(libspam=v1), "pkg/libspam.so": v1},
        "other version": {"pkg/top.so": top(libspam=v1), "pkg/libspam.so": v2},
        "no version at all": {"pkg/top.so": top(libspam=v1), "pkg/libspam.so": spam},
        "version not asked": {"pkg/top.so": top(libspam=spam), "pkg/libspam.so": v1},
        "undefined": {"pkg/top.so": library("int none(void); int (*use)(void) = none;")},
        "undefined in a library": {"pkg/top.so": top(libspam=spam), "pkg/libspam.so": library(f"{SPAM}{A[:16]}"
            "int none(void); int (*use)(void) = none;", "libspam.so")},
        "weak": {"pkg/top.so": library("__attribute__((weak)) int none(void); int (*use)(void) = none;")},
        "of libm, not linked": {"pkg/top.so": library("double tgamma(double); double (*use)(double) = tgamma;")},
        "of libz, not linked": {"pkg/top.so": library("int inflateMark(void); int (*use)(void) = inflateMark;")},
        "hidden in the library": {
            "pkg/top.so": top(libspam=spam),
            "pkg/libspam.so": library(f'__attribute__((visibility("hidden"))) {SPAM}', "libspam.so"),
        },
    }  # fmt: skip


def test_the_linker_of_this_machine_agrees(tmp_path: Path) -> None:
    probe = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)"
    agreed = {}
    for number, (what, files) in enumerate(layouts(tmp_path).items()):
        root = tmp_path / str(number)
        wheel = read_subject(build_wheel(root, "cp312", {**files, "pkg/__init__.py": ""}))
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-c", probe, root / "pkg/top.so"], capture_output=True, text=True
        )
        happened = FAILS if done.returncode else LOADS
        verdict = load(wheel, "pkg/top.so", CP312)
        assert verdict.outcome is happened, (what, verdict.reasons, done.stderr)
        agreed[what] = happened
    assert {what for what, happened in agreed.items() if happened is FAILS} == {
        "not on RUNPATH",
        "named by a path",
        "RUNPATH is not inherited",
        "RUNPATH ends RPATH",
        "for another machine",
        "no ELF file, then right",
        "other version",
        "undefined",
        "undefined in a library",
        "of libz, not linked",
        "hidden in the library",
    }
