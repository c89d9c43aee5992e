"""What a wheel needs of the platform, and the rules WF501 to WF513 about it."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.wheels import build_wheel, compile_library, extension_source, metadata
from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.platform import needs
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.subject import Against, Kind, SharedObject, Subject
from wheelfuse.elf.image import Hardening, Image
from wheelfuse.elf.symbols import Import, VersionNeed
from wheelfuse.wheel.metadata import parse_headers

MODULE = "pkg/_x.cpython-312-x86_64-linux-gnu.so"
OTHER = "pkg/_y.cpython-312-x86_64-linux-gnu.so"
GOOD = Hardening(relro="full")


def elf(
    *needed: str,
    libc: str = "libc.so.6",
    machine: str = "EM_X86_64",
    runpath: tuple[str, ...] = (),
    imports: Iterable[tuple[str, str]] = (),
    library: str = "libc.so.6",
    hardening: Hardening = GOOD,
    kind: str = "ET_DYN",
    soname: str = "",
) -> Image:
    """A file that needs these libraries and a C library; *imports* are symbols with the versions of *library*."""
    symbols = tuple(Import(name, version, False) for name, version in imports)
    versions = tuple(sorted({symbol.version for symbol in symbols}))
    return Image(
        machine,
        64,
        True,
        kind,
        soname=soname,
        needed=(*needed, *((libc,) if libc else ())),
        runpath=runpath,
        imports=symbols,
        version_needs=(VersionNeed(library, versions),) if versions else (),
        hardening=hardening,
    )


def wheel(files: dict[str, Image], *platforms: str, requires: tuple[str, ...] = ()) -> Subject:
    extra = "\n".join(f"Requires-Dist: {name}" for name in requires)
    return Subject(
        "pkg-1.0.whl",
        Kind.WHEEL,
        interpreter_tags=(("cp312", "cp312"),),
        platforms=platforms or ("manylinux_2_17_x86_64",),
        metadata=parse_headers(metadata(extra=extra).encode()),
        files={path: SharedObject(path, 1000, image) for path, image in files.items()},
    )


def checked(rule: str, subject: Subject) -> list[Any]:
    module = importlib.import_module(f"wheelfuse.auditing.rules.platform.{rule}")
    check: Callable[[Subject], Iterable[Finding | NotRun]] = module.check
    return list(check(subject))


def only(rule: str, subject: Subject) -> Finding:
    (finding,) = checked(rule, subject)
    assert isinstance(finding, Finding) and finding.todo
    return finding


RULES = (
    "glibc_too_new",
    "wider_tag",
    "unknown_library",
    "undeclared_provider",
    "libpython",
    "runpath",
    "executable_stack",
    "text_relocations",
    "writable_code",
    "missing_relro",
    "foreign_machine",
    "mixed_libc",
    "gpu_driver",
)

HEALTHY = wheel(
    {
        MODULE: elf("libz-1a2b.so.1", imports=[("memcpy", "GLIBC_2.14")], runpath=("$ORIGIN/../pkg.libs",)),
        "pkg.libs/libz-1a2b.so.1": elf(soname="libz-1a2b.so.1"),
    }
)


@pytest.mark.parametrize("rule", RULES)
def test_a_healthy_wheel_gives_no_finding(rule: str) -> None:
    assert checked(rule, HEALTHY) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_wheel_without_shared_objects_gives_no_finding(rule: str) -> None:
    assert checked(rule, wheel({}, "any")) == []


class TestNeeds:
    def test_the_file_that_needs_the_newest_glibc_decides(self) -> None:
        subject = wheel(
            {MODULE: elf(imports=[("memcpy", "GLIBC_2.14")]), OTHER: elf(imports=[("stat", "GLIBC_2.33")])}
        )
        (deciding,) = needs(subject).deciding
        assert (deciding.path, deciding.floor.decisive) == (OTHER, "GLIBC_2.33")
        assert needs(subject).libc == ("glibc 2.33 x86_64",)

    def test_each_machine_has_its_floor(self) -> None:
        files = {MODULE: elf(imports=[("memcpy", "GLIBC_2.14")]), "pkg/arm.so": elf(machine="EM_AARCH64")}
        subject = wheel(files, "manylinux_2_17_x86_64", "manylinux_2_17_aarch64")
        assert needs(subject).libc == ("glibc 2.17 aarch64", "glibc 2.14 x86_64")

    def test_a_version_that_no_tag_allows_is_said(self) -> None:
        subject = wheel({MODULE: elf(imports=[("f", "GLIBCXX_3.4.99")], library="libc.so.6")})
        expected = "glibc x86_64 with GLIBCXX_3.4.99 of libc.so.6, which no tag allows"
        assert needs(subject).libc == (expected,)

    def test_musl_tells_no_version(self) -> None:
        subject = wheel({MODULE: elf(libc="libc.musl-x86_64.so.1")}, "musllinux_1_2_x86_64")
        assert needs(subject).libc == ("musl x86_64",)

    def test_versions_of_a_library_in_the_wheel_do_not_count(self) -> None:
        own = elf(
            "libstdc++.so.6",
            imports=[("f", "GLIBCXX_3.4.33")],
            library="libstdc++.so.6",
            runpath=("$ORIGIN",),
        )
        beside = {MODULE: own, "pkg/libstdc++.so.6": elf(soname="libstdc++.so.6")}
        assert needs(wheel(beside)).libc == ("glibc 2.5 x86_64",)
        elsewhere = {MODULE: own, "other/libstdc++.so.6": elf(soname="libstdc++.so.6")}
        assert needs(wheel(elsewhere)).libc == ("glibc 2.39 x86_64",)

    def test_libraries_from_elsewhere_are_named_with_their_providers(self) -> None:
        image = elf("libtorch.so", "libcudart.so.13", "libcuda.so.1", "libfoo.so.1")
        assert needs(wheel({MODULE: image})).assumed == (
            "libcuda.so.1 (the GPU driver)",
            "libcudart.so.13 (nvidia-cuda-runtime)",
            "libfoo.so.1 (no known provider)",
            "libtorch.so (torch)",
        )

    def test_of_several_providers_the_one_for_the_same_cuda_is_meant(self) -> None:
        alone = needs(wheel({MODULE: elf("libcudnn.so.9")})).assumed
        assert alone == ("libcudnn.so.9 (nvidia-cudnn-cu13 or nvidia-cudnn-cu12 or nvidia-cudnn-cu11)",)
        beside = needs(wheel({MODULE: elf("libcudnn.so.9", "libcudart.so.12")})).assumed
        assert beside == ("libcudart.so.12 (nvidia-cuda-runtime-cu12)", "libcudnn.so.9 (nvidia-cudnn-cu12)")

    def test_of_several_providers_the_required_one_is_meant(self) -> None:
        subject = wheel({MODULE: elf("libmpi.so.12")}, requires=("impi-rt",))
        assert needs(subject).assumed == ("libmpi.so.12 (impi-rt)",)

    def test_files_for_other_machines_and_gpu_code_have_no_say(self) -> None:
        files = {
            MODULE: elf(),
            "pkg/arm/tool": elf("libfoo.so.1", machine="EM_AARCH64", imports=[("f", "GLIBC_2.38")]),
            "pkg/kernel.cubin": Image("EM_CUDA", 64, True, "ET_EXEC"),
            "pkg/x.o": Image("EM_X86_64", 64, True, "ET_REL"),
        }
        found = needs(wheel(files))
        assert [file.path for file in found.files] == [MODULE] and found.assumed == ()


class TestGlibcTooNew:
    def test_the_deciding_symbols_are_named(self) -> None:
        imports = [("stat", "GLIBC_2.33"), ("pthread_create", "GLIBC_2.34"), ("memcpy", "GLIBC_2.14")]
        finding = only("glibc_too_new", wheel({MODULE: elf(imports=imports)}))
        assert (finding.code, finding.severity, finding.path) == ("WF501", Severity.ERROR, MODULE)
        assert finding.message == (
            "needs GLIBC_2.34 of libc.so.6, which manylinux tags allow from 2_34 on, "
            "but the tag is manylinux_2_17_x86_64"
        )
        assert finding.details == (f"{MODULE}: GLIBC_2.34 (pthread_create), GLIBC_2.33 (stat)",)
        assert finding.todo.startswith("Tag the wheel manylinux_2_34_x86_64")

    def test_versions_of_libstdcxx_count_by_the_compilers_of_the_tag(self) -> None:
        image = elf("libstdc++.so.6", imports=[("_ZSt4cout", "GLIBCXX_3.4.32")], library="libstdc++.so.6")
        finding = only("glibc_too_new", wheel({MODULE: image}, "manylinux_2_28_x86_64"))
        assert "GLIBCXX_3.4.32 of libstdc++.so.6, which manylinux tags allow from 2_39 on" in finding.message
        assert checked("glibc_too_new", wheel({MODULE: image}, "manylinux_2_39_x86_64")) == []

    def test_many_files_are_one_finding_that_begins_with_the_worst(self) -> None:
        worse, bad = elf(imports=[("f", "GLIBC_2.38")]), elf(imports=[("g", "GLIBC_2.34")])
        finding = only("glibc_too_new", wheel({MODULE: bad, OTHER: worse, "pkg/_z.so": bad}))
        assert finding.path == OTHER and finding.message.endswith("; 2 more files need too much")
        assert finding.details == (f"{OTHER}: GLIBC_2.38 (f)", f"{MODULE}, pkg/_z.so: GLIBC_2.34 (g)")

    def test_of_several_tags_the_lowest_counts(self) -> None:
        files = {MODULE: elf(imports=[("f", "GLIBC_2.27")])}
        assert checked("glibc_too_new", wheel(files, "manylinux_2_27_x86_64", "manylinux_2_28_x86_64")) == []
        finding = only("glibc_too_new", wheel(files, "manylinux2014_x86_64", "manylinux_2_28_x86_64"))
        assert finding.message.endswith("but the tag is manylinux2014_x86_64")

    def test_a_library_of_later_policies_counts(self) -> None:
        finding = only("glibc_too_new", wheel({MODULE: elf("libmvec.so.1")}))
        assert finding.message.startswith("needs libmvec.so.1, which manylinux tags allow from 2_24 on")
        assert finding.details == (f"{MODULE}: libmvec.so.1",)

    def test_a_version_that_no_tag_allows(self) -> None:
        image = elf("libstdc++.so.6", imports=[("f", "GLIBCXX_3.4.99")], library="libstdc++.so.6")
        finding = only("glibc_too_new", wheel({MODULE: image}))
        assert "which no manylinux tag allows, but the tag is" in finding.message

    def test_a_tag_below_the_first_policy_of_a_machine_is_judged_by_the_symbols(self) -> None:
        old = elf(machine="EM_RISCV", imports=[("f", "GLIBC_2.27")])
        assert checked("glibc_too_new", wheel({MODULE: old}, "manylinux_2_27_riscv64")) == []
        new = elf(machine="EM_RISCV", imports=[("f", "GLIBC_2.32")])
        assert "GLIBC_2.32" in only("glibc_too_new", wheel({MODULE: new}, "manylinux_2_27_riscv64")).message

    @pytest.mark.parametrize("tag", ["linux_x86_64", "any", "musllinux_1_2_x86_64"])
    def test_tags_that_promise_no_glibc_cannot_be_broken(self, tag: str) -> None:
        assert checked("glibc_too_new", wheel({MODULE: elf(imports=[("f", "GLIBC_2.38")])}, tag)) == []


class TestWiderTag:
    @pytest.mark.parametrize("tag", ["linux_x86_64", "manylinux_2_28_x86_64"])
    def test_the_tag_that_would_be_true(self, tag: str) -> None:
        finding = only("wider_tag", wheel({MODULE: elf(imports=[("memcpy", "GLIBC_2.14")])}, tag))
        assert (finding.code, finding.severity) == ("WF502", Severity.INFO)
        assert finding.message == (
            f"tagged {tag}, though its files keep manylinux_2_17_x86_64: the most is GLIBC_2.14 of libc.so.6"
        )

    @pytest.mark.parametrize(
        "tags", [("manylinux_2_17_x86_64", "manylinux_2_28_x86_64"), ("manylinux_2_12_x86_64",)]
    )
    def test_the_lowest_tag_of_the_name_is_what_counts(self, tags: tuple[str, ...]) -> None:
        assert checked("wider_tag", wheel({MODULE: elf(imports=[("memcpy", "GLIBC_2.14")])}, *tags)) == []

    def test_no_tag_is_advised_while_a_library_is_missing(self) -> None:
        assert checked("wider_tag", wheel({MODULE: elf("libfoo.so.1")}, "linux_x86_64")) == []

    def test_nothing_is_said_of_musl(self) -> None:
        subject = wheel({MODULE: elf(libc="libc.musl-x86_64.so.1")}, "musllinux_1_2_x86_64")
        assert checked("wider_tag", subject) == []


class TestUnknownLibrary:
    def test_a_library_that_nobody_supplies(self) -> None:
        finding = only("unknown_library", wheel({MODULE: elf("libfoo.so.1", "libbar.so.2")}))
        assert (finding.code, finding.severity, finding.path) == ("WF503", Severity.ERROR, MODULE)
        assert finding.message == (
            "needs libbar.so.2, libfoo.so.1, found in neither the wheel nor any platform policy, "
            "and of no known distribution"
        )

    def test_files_that_miss_the_same_are_one_finding(self) -> None:
        finding = only("unknown_library", wheel({MODULE: elf("libfoo.so.1"), OTHER: elf("libfoo.so.1")}))
        assert finding.path == "" and finding.message.startswith("2 files need libfoo.so.1, found in neither")
        assert finding.details == (f"libfoo.so.1 for {MODULE}, {OTHER}",)

    def test_files_that_miss_different_libraries_are_one_finding(self) -> None:
        files = {f"pkg/_m{n}.abi3.so": elf("libfoo.so.1", "libbar.so.1") for n in range(5)}
        finding = only("unknown_library", wheel(files | {MODULE: elf("libfoo.so.1")}))
        assert finding.message.startswith("6 files need libbar.so.1, libfoo.so.1, found in neither")
        shown = "pkg/_m0.abi3.so, pkg/_m1.abi3.so, pkg/_m2.abi3.so"
        assert finding.details[0] == f"libbar.so.1 for {shown} and 2 more"

    def test_a_library_that_a_linked_one_misses_is_an_error_too(self) -> None:
        files = {MODULE: elf("libown.so", runpath=("$ORIGIN",)), "pkg/libown.so": elf("libfoo.so.1")}
        finding = only("unknown_library", wheel(files))
        assert (finding.severity, finding.path) == (Severity.ERROR, "pkg/libown.so")

    def test_a_copy_of_auditwheel_that_got_lost(self) -> None:
        finding = only("unknown_library", wheel({MODULE: elf("libjpeg-6dc8d115.so.62.4.0")}))
        assert finding.todo == (
            "Build the wheel again: a name with such a hash is that of a copy which auditwheel put into it, "
            "and the copy is gone"
        )

    def test_payload_is_one_warning(self) -> None:
        files = {MODULE: elf(), "pkg/a.so": elf("libone.so"), "pkg/b.so": elf("libtwo.so")}
        finding = only("unknown_library", wheel(files))
        assert finding.severity is Severity.WARNING and finding.message.startswith(
            "2 files need libone.so, libtwo.so"
        )
        assert finding.details == ("libone.so for pkg/a.so", "libtwo.so for pkg/b.so")

    def test_a_tag_that_promises_nothing_makes_it_a_warning(self) -> None:
        assert (
            only("unknown_library", wheel({MODULE: elf("libfoo.so.1")}, "linux_x86_64")).severity
            is Severity.WARNING
        )

    def test_of_a_lone_file_it_is_merely_noted(self) -> None:
        subject = replace(wheel({"_x.so": elf("libfoo.so.1")}), kind=Kind.FILE, platforms=())
        finding = only("unknown_library", subject)
        assert finding.severity is Severity.INFO and "found in neither the file nor" in finding.message

    def test_what_with_finds_is_not_missing(self) -> None:
        subject = wheel({MODULE: elf("libfoo.so.1")})
        assert (
            checked("unknown_library", replace(subject, against=Against(libraries={"libfoo.so.1": elf()})))
            == []
        )

    def test_musl_allows_less(self) -> None:
        image = elf("libstdc++.so.6", libc="libc.musl-x86_64.so.1")
        finding = only("unknown_library", wheel({MODULE: image}, "musllinux_1_2_x86_64"))
        assert finding.message.startswith("needs libstdc++.so.6, found in neither")

    @pytest.mark.parametrize(
        "soname", ["ld-linux-x86-64.so.2", "libcudart.so.13", "libcuda.so.1", "libtorch.so"]
    )
    def test_the_loader_and_known_libraries_are_no_finding(self, soname: str) -> None:
        assert checked("unknown_library", wheel({MODULE: elf(soname)})) == []

    def test_libgomp_is_there_once_torch_is(self) -> None:
        files = {MODULE: elf("libtorch.so", "libgomp.so.1")}
        assert checked("unknown_library", wheel(files, requires=("torch>=2.9",))) == []
        assert "libgomp.so.1" in only("unknown_library", wheel(files)).message


class TestUndeclaredProvider:
    FILES: ClassVar = {MODULE: elf("libtorch.so", "libcudart.so.13"), OTHER: elf("libtorch.so")}

    def test_the_distributions_are_named(self) -> None:
        finding = only("undeclared_provider", wheel(self.FILES))
        assert (finding.code, finding.severity, finding.path) == ("WF504", Severity.WARNING, "")
        assert finding.message == (
            "needs libraries of nvidia-cuda-runtime, torch, but METADATA requires none that brings them"
        )
        assert finding.details == (
            f"libcudart.so.13 (nvidia-cuda-runtime) for {MODULE}",
            f"libtorch.so (torch) for {MODULE} and 1 more",
        )

    @pytest.mark.parametrize(
        "requires", [("Torch>=2.9",), ("torch ; extra == 'gpu'",), ("torch", "cuda-toolkit[cudart]")]
    )
    def test_a_requirement_that_brings_them_is_enough(self, requires: tuple[str, ...]) -> None:
        assert checked("undeclared_provider", wheel(self.FILES, requires=requires)) == []

    def test_a_wheel_is_not_told_to_require_itself(self) -> None:
        files = {MODULE: elf("libQt6Pdf.so.6"), OTHER: elf("libshiboken6.abi3.so.6.12")}
        subject = wheel(files, requires=("shiboken6==6.12.0",))
        itself = metadata("PySide6_Essentials", extra="Requires-Dist: shiboken6==6.12.0")
        own = replace(subject, metadata=parse_headers(itself.encode()))
        assert "or pyside6-essentials or" in only("undeclared_provider", subject).message
        assert only("undeclared_provider", own).message == (
            "needs libraries of pyqt6-qt6 or pyside6-addons, but METADATA requires none that brings them"
        )

    def test_what_only_payload_needs_beside_modules_is_merely_noted(self) -> None:
        files = {MODULE: elf("libfoo.so"), "pkg/libplugin.so": elf("libtbb.so.12")}
        assert only("undeclared_provider", wheel(files)).severity is Severity.INFO
        assert only("undeclared_provider", wheel({"pkg/libown.so": elf("libtbb.so.12")})).severity is (
            Severity.WARNING
        )

    def test_another_cuda_is_not(self) -> None:
        subject = wheel({MODULE: elf("libcudart.so.13")}, requires=("nvidia-cuda-runtime-cu12",))
        assert "nvidia-cuda-runtime," in only("undeclared_provider", subject).message

    def test_without_metadata_nothing_is_known(self) -> None:
        (item,) = checked("undeclared_provider", replace(wheel(self.FILES), metadata=None))
        assert isinstance(item, NotRun) and "METADATA cannot be read" in item.reason

    @pytest.mark.parametrize("kind", [Kind.FILE, Kind.DIRECTORY])
    def test_a_file_has_no_metadata_to_look_at(self, kind: Kind) -> None:
        assert checked("undeclared_provider", replace(wheel(self.FILES), kind=kind, metadata=None)) == []


class TestLibpython:
    def test_a_module_that_links_it(self) -> None:
        finding = only("libpython", wheel({MODULE: elf("libpython3.12.so.1.0")}))
        assert (finding.code, finding.severity, finding.path) == ("WF505", Severity.ERROR, MODULE)
        assert finding.message == "links libpython3.12.so.1.0, which many CPythons do not have"

    def test_milder_where_nothing_is_promised_or_only_a_program_needs_it(self) -> None:
        files = {MODULE: elf("libpython3.12.so.1.0")}
        assert only("libpython", wheel(files, "linux_x86_64")).severity is Severity.WARNING
        program = {MODULE: elf(), "pkg/tool": elf("libpython3.12.so.1.0")}
        assert only("libpython", wheel(program)).severity is Severity.WARNING

    def test_it_may_be_in_the_wheel(self) -> None:
        files = {
            "pkg/tool": elf("libpython3.12.so.1.0", runpath=("$ORIGIN",)),
            "pkg/libpython3.12.so.1.0": elf(),
        }
        assert checked("libpython", wheel(files)) == []


class TestRunpath:
    @pytest.mark.parametrize(
        ("entry", "severity", "words"),
        [
            ("/home/ci/build/lib", Severity.WARNING, "a path of the machine that built it"),
            ("/opts/lib", Severity.WARNING, "a path of the machine that built it"),
            ("lib", Severity.WARNING, "relative to the current directory of the process"),
            (".", Severity.WARNING, "relative to the current directory of the process"),
            ("$ORIGINAL/lib", Severity.WARNING, "relative to the current directory of the process"),
            ("$ORIGIN/../../../../../lib", Severity.WARNING, "outside of the environment"),
            ("$ORIGIN/../../..", Severity.INFO, "in the environment, but not in site-packages"),
            ("/usr/local/cuda/lib64", Severity.INFO, "a directory of the system"),
            ("/opt/rocm/lib/", Severity.INFO, "a directory of the system"),
        ],
    )
    def test_a_way_out_of_the_wheel(self, entry: str, severity: Severity, words: str) -> None:
        finding = only("runpath", wheel({MODULE: elf(runpath=("$ORIGIN", entry))}))
        assert (finding.code, finding.severity, finding.path) == ("WF506", severity, MODULE)
        assert finding.message == f"looks for libraries in {entry.rstrip('/')}: {words}"

    @pytest.mark.parametrize(
        "entry",
        [
            "$ORIGIN",
            "${ORIGIN}/",
            "$ORIGIN/../pkg.libs",
            "$ORIGIN/../nvidia/cublas/lib",
            "$ORIGIN/..",
        ],
    )
    def test_ways_within_site_packages_are_no_finding(self, entry: str) -> None:
        assert checked("runpath", wheel({MODULE: elf(runpath=(entry,))})) == []

    def test_ways_to_other_distributions_are_no_finding(self) -> None:
        image = elf("libtorch.so", runpath=("$ORIGIN/../../torch/lib", "$ORIGIN/../../nvidia/cublas/lib"))
        assert checked("runpath", wheel({"pkg/sub/_x.so": image})) == []

    def test_files_in_platlib_lie_in_site_packages(self) -> None:
        path = "pkg-1.0.data/platlib/pkg/_x.so"
        assert checked("runpath", wheel({path: elf(runpath=("$ORIGIN/../torch/lib",))})) == []
        assert only("runpath", wheel({path: elf(runpath=("$ORIGIN/../../lib",))})).severity is Severity.INFO

    def test_where_a_lone_file_will_lie_is_not_known(self) -> None:
        subject = replace(wheel({"_x.so": elf(runpath=("$ORIGIN/../lib", "/home/ci"))}), kind=Kind.FILE)
        assert only("runpath", subject).message.startswith("looks for libraries in /home/ci:")

    def test_many_files_are_one_finding_for_each_way(self) -> None:
        image = elf(runpath=("/home/ci/a", "/home/ci/b", "/usr/lib"))
        bad, mild = checked("runpath", wheel({MODULE: image, OTHER: image}))
        assert bad.message.startswith(
            "2 files look for libraries in /home/ci/a, /home/ci/b: a path of the machine"
        )
        assert bad.details == (f"{MODULE}: /home/ci/a, /home/ci/b", f"{OTHER}: /home/ci/a, /home/ci/b")
        assert mild.severity is Severity.INFO and "/usr/lib:" in mild.message

    def test_the_long_paths_of_conda_are_cut_short(self) -> None:
        finding = only("runpath", wheel({MODULE: elf(runpath=("/home/" + "placehold_" * 25,))}))
        assert len(finding.message) < 130 and "…" in finding.message


class TestHardening:
    @pytest.mark.parametrize(
        ("rule", "hardening", "code", "severity", "message"),
        [
            (
                "executable_stack",
                Hardening(executable_stack=True),
                "WF507",
                Severity.ERROR,
                "asks for an executable stack, so glibc 2.41 and later do not load it",
            ),
            (
                "text_relocations",
                Hardening(text_relocations=True),
                "WF508",
                Severity.WARNING,
                "has text relocations, which SELinux forbids",
            ),
            (
                "writable_code",
                Hardening(writable_code=True),
                "WF509",
                Severity.WARNING,
                "has a segment that is writable and executable at once",
            ),
            ("missing_relro", Hardening(), "WF510", Severity.INFO, "is linked without RELRO"),
        ],
    )
    def test_a_file_that_lacks_it(
        self, rule: str, hardening: Hardening, code: str, severity: Severity, message: str
    ) -> None:
        finding = only(rule, wheel({MODULE: elf(hardening=hardening), OTHER: elf()}))
        assert (finding.code, finding.severity, finding.path) == (code, severity, MODULE)
        assert finding.message == message

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            (
                "executable_stack",
                "2 files ask for an executable stack, so glibc 2.41 and later do not load them",
            ),
            ("text_relocations", "2 files have text relocations, which SELinux forbids"),
            ("writable_code", "2 files have a segment that is writable and executable at once"),
            ("missing_relro", "2 files are linked without RELRO"),
        ],
    )
    def test_several_files_are_one_finding(self, rule: str, message: str) -> None:
        bad = elf(hardening=Hardening(True, True, True, "none"))
        finding = only(rule, wheel({MODULE: bad, OTHER: bad}))
        assert (finding.message, finding.path, finding.details) == (message, "", (MODULE, OTHER))

    def test_the_executable_stack_of_a_program_or_under_musl_is_milder(self) -> None:
        stack = Hardening(executable_stack=True, relro="full")
        program = only("executable_stack", wheel({"pkg/tool": elf(hardening=stack, kind="ET_EXEC")}))
        assert (program.severity, program.message) == (Severity.WARNING, "asks for an executable stack")
        musl = wheel({MODULE: elf(hardening=stack, libc="libc.musl-x86_64.so.1")}, "musllinux_1_2_x86_64")
        assert only("executable_stack", musl).severity is Severity.WARNING

    def test_partial_relro_is_enough(self) -> None:
        assert checked("missing_relro", wheel({MODULE: elf(hardening=Hardening(relro="partial"))})) == []

    def test_a_static_program_has_no_table_to_protect(self) -> None:
        assert checked("missing_relro", wheel({"pkg/tool": elf(libc="", hardening=Hardening())})) == []


class TestForeignMachine:
    ARM = elf(machine="EM_AARCH64")

    def test_a_module_for_another_machine(self) -> None:
        finding = only("foreign_machine", wheel({MODULE: self.ARM, OTHER: elf()}))
        assert (finding.code, finding.severity, finding.path) == ("WF511", Severity.ERROR, MODULE)
        assert finding.message == "is for aarch64, but the platform tag is manylinux_2_17_x86_64"

    def test_a_library_that_a_module_links(self) -> None:
        files = {MODULE: elf("libown.so", runpath=("$ORIGIN",)), "pkg/libown.so": self.ARM}
        finding = only("foreign_machine", wheel(files))
        assert (finding.severity, finding.path) == (Severity.ERROR, "pkg/libown.so")

    def test_payload_for_other_machines_is_merely_noted(self) -> None:
        finding = only(
            "foreign_machine", wheel({MODULE: elf(), "pkg/arm/run": self.ARM, "pkg/arm/x.so": self.ARM})
        )
        assert finding.severity is Severity.INFO
        assert finding.message == "2 files are for aarch64, but the platform tag is manylinux_2_17_x86_64"
        assert finding.details == ("pkg/arm/run", "pkg/arm/x.so")

    def test_any_promises_every_machine(self) -> None:
        finding = only("foreign_machine", wheel({MODULE: elf()}, "any"))
        assert (finding.severity, finding.message) == (
            Severity.ERROR,
            "is for x86_64, but the platform tag is any",
        )

    def test_a_machine_without_a_tag_is_named_as_elf_does(self) -> None:
        finding = only("foreign_machine", wheel({MODULE: elf(machine="EM_MIPS")}))
        assert finding.message.startswith("is for MIPS (64 bits), but")

    @pytest.mark.parametrize(
        "tags", [("manylinux_2_17_x86_64", "manylinux_2_17_aarch64"), ("linux_aarch64",)]
    )
    def test_each_machine_of_the_tags_is_fine(self, tags: tuple[str, ...]) -> None:
        assert checked("foreign_machine", wheel({"pkg/_x.so": self.ARM}, *tags)) == []

    def test_gpu_code_and_object_files_are_for_no_machine(self) -> None:
        files = {
            "pkg/a.cubin": Image("EM_CUDA", 64, True, "ET_EXEC"),
            "pkg/a.o": Image("EM_AARCH64", 64, True, "ET_REL"),
        }
        assert checked("foreign_machine", wheel(files)) == []

    def test_what_is_not_known_is_not_judged(self) -> None:
        assert checked("foreign_machine", wheel({MODULE: self.ARM}, "linux_armv6l")) == []
        assert checked("foreign_machine", wheel({MODULE: self.ARM}, "macosx_11_0_arm64")) == []


class TestMixedLibc:
    MUSL = elf(libc="libc.musl-x86_64.so.1")

    def test_a_file_for_glibc_in_a_wheel_for_musl(self) -> None:
        finding = only("mixed_libc", wheel({MODULE: elf(), OTHER: self.MUSL}, "musllinux_1_2_x86_64"))
        assert (finding.code, finding.severity, finding.path) == ("WF512", Severity.ERROR, MODULE)
        assert finding.message == "needs glibc, but the platform tag musllinux_1_2_x86_64 means musl"

    def test_a_file_for_musl_in_a_wheel_for_glibc(self) -> None:
        finding = only("mixed_libc", wheel({MODULE: self.MUSL}))
        assert finding.message == "needs musl, but the platform tag manylinux_2_17_x86_64 means glibc"

    def test_with_both_tags_every_file_that_tells_one_is_wrong(self) -> None:
        found = checked("mixed_libc", wheel({MODULE: elf()}, "manylinux_2_17_x86_64", "musllinux_1_2_x86_64"))
        assert [item.message for item in found] == [
            "needs glibc, but the platform tag musllinux_1_2_x86_64 means musl"
        ]
        neither = wheel({MODULE: elf(libc="")}, "manylinux_2_17_x86_64", "musllinux_1_2_x86_64")
        assert checked("mixed_libc", neither) == []

    def test_payload_is_a_warning(self) -> None:
        subject = wheel({MODULE: self.MUSL, "pkg/tool": elf()}, "musllinux_1_2_x86_64")
        assert only("mixed_libc", subject).severity is Severity.WARNING


class TestGpuDriver:
    def test_a_file_that_links_it(self) -> None:
        finding = only("gpu_driver", wheel({MODULE: elf("libcuda.so.1")}))
        assert (finding.code, finding.severity, finding.path) == ("WF513", Severity.INFO, MODULE)
        assert finding.message == "links libcuda.so.1, so the GPU driver has to be there to load it"

    def test_the_runtime_is_not_the_driver(self) -> None:
        assert checked("gpu_driver", wheel({MODULE: elf("libcudart.so.13")})) == []


def test_compiled_files_are_seen_as_they_are(tmp_path: Path) -> None:
    """From flags of the linker to findings, through a wheel on disk."""
    compile_library(tmp_path / "libfoo.so.1", "int foo(void) { return 1; }", "-Wl,-soname,libfoo.so.1")
    bad = compile_library(
        tmp_path / "bad.so",
        extension_source("bad", body="extern int foo(void); int use(void) { return foo(); }"),
        str(tmp_path / "libfoo.so.1"),
        "-Wl,-z,execstack",
        "-Wl,-z,norelro",
        "-Wl,--enable-new-dtags,-rpath,/home/ci/lib",
    )
    good = compile_library(
        tmp_path / "good.so", extension_source("good"), "-Wl,-z,relro", "-Wl,-z,noexecstack"
    )
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    path = build_wheel(
        tmp_path, files={"pkg/bad.so": bad, "pkg/good.so": good}, platform=f"manylinux_2_39_{machine}"
    )
    subject = read_subject(path)
    expected = {
        "executable_stack": "WF507",
        "missing_relro": "WF510",
        "runpath": "WF506",
        "unknown_library": "WF503",
    }
    for rule, code in expected.items():
        finding = only(rule, subject)
        assert (finding.code, finding.path) == (code, "pkg/bad.so")
    for rule in ("text_relocations", "writable_code", "foreign_machine", "mixed_libc", "libpython"):
        assert checked(rule, subject) == []
