"""`wheelfuse compile`: modules that import, on interpreters that have nothing; and every way in which it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.building.extensions import BINDING, KERNEL, PYTHONS, imported, libraries_of_torch
from tests.fuse.merging import command
from tests.report.test_json import valid
from wheelfuse import ExtensionOptions, JobFailed, UsageError, compile_extension
from wheelfuse.building.commands import Toolchain, compile_commands, link_command
from wheelfuse.building.toolchain import Cuda
from wheelfuse.building.torch import Torch
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import read_image
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.target import Target

GOOD = BINDING.replace(
    "int doubled(int);",
    "int doubled(int x);\n#ifndef ELSEWHERE\nint doubled(int x) { return 2 * x; }\n#endif",
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with sources, and a directory for temporary files beside it, which must be empty again."""
    for name in ("tree", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    Path("good.cpp").write_text(GOOD)
    Path("kernel.cu").write_text(KERNEL)
    return tmp_path / "tree"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("target", PYTHONS, ids=str)
def test_a_module_is_made_for_a_bare_interpreter(tree: Path, target: Target) -> None:
    made = compile_extension("good.cpp", "out", PYTHONS[target])
    assert (made.target, made.path) == (target, Path(f"out/_C.{target.soabi_tag}-x86_64-linux-gnu.so"))
    number, version = imported(target, Path("out")).split()
    assert (number, version[:5]) == ("42", f"0x3{target.minor:02x}")
    assert names(tree.parent / "tmp") == []


def test_a_target_stands_for_the_interpreter_found_here(tree: Path) -> None:
    assert compile_extension("good.cpp", "out", "cp312").target == Target(12)
    assert compile_extension("good.cpp", "out", Target(12)).path.exists()


def test_the_name_says_where_the_module_lies(tree: Path) -> None:
    made = compile_extension("good.cpp", "out", "cp312", ExtensionOptions(name="pkg.sub._C"))
    assert made.path == Path("out/pkg/sub/_C.cpython-312-x86_64-linux-gnu.so")
    assert made.path.stat().st_mode & 0o777 == 0o755


def test_kernels_are_compiled_for_the_gpus_that_are_asked_for(tree: Path) -> None:
    options = ExtensionOptions(cuda_architectures=("8.0", "9.0a+PTX"), definitions=("ELSEWHERE",))
    made = compile_extension(["good.cpp", "kernel.cu"], "out", "cp312", options)
    data = made.path.read_bytes()
    found = read_device_code(data, read_image(data)).architectures
    assert sorted(found) == ["compute_90a", "sm_80", "sm_90a"]
    assert imported(Target(12), Path("out")).startswith("42")


def test_one_file_for_several_cpythons(tree: Path) -> None:
    with_gil = [target for target in PYTHONS if not target.free_threaded]
    options = ExtensionOptions(stable_abi=with_gil[0].python_version)
    made = compile_extension("good.cpp", "out", PYTHONS[with_gil[-1]], options)
    assert made.path == Path("out/_C.abi3.so")
    for target in with_gil:
        assert imported(target, Path("out"), "print(_C.doubled(21))") == "42"


def test_the_same_tree_elsewhere_gives_the_same_bytes(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GOOD.replace("return 2 * x;", "return 2 * x + hidden(__FILE__);")
    text = "namespace { int hidden(const char *name) { return !name[0]; } }\n" + text
    digests = set()
    for directory in (tree / "one", tree / "a" / "longer"):
        (directory / "src").mkdir(parents=True)
        (directory / "src" / "x.cpp").write_text(text)
        monkeypatch.chdir(directory)
        made = compile_extension("src/x.cpp", "out", "cp312")
        digests.add(made.sha256)
        assert str(tree).encode() not in made.path.read_bytes()
    assert len(digests) == 1


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_whoever_may_read_the_module_may_run_it(tree: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        made = compile_extension("good.cpp", "out", "cp312")
    finally:
        os.umask(before)
    assert made.path.stat().st_mode & 0o777 == 0o777 & ~mask


def fake_torch(directory: Path, cuda: str = "") -> Path:
    """An interpreter that says it has a torch: one that is made up of a header and libraries."""
    libraries_of_torch(directory)
    answer = {
        "version": "2.13.0", "directory": str(directory), "cmake_prefix": str(directory), "cxx11_abi": False,
        "cuda": cuda, "hip": "",
    }  # fmt: skip
    python = directory / "python"
    python.write_text(f"#!/bin/sh\necho 'wheelfuse-torch:{json.dumps(answer)}'\n")
    python.chmod(0o755)
    return python


WITH_TORCH = GOOD.replace("#ifndef", "#include <torch/library.h>\n#ifndef").replace("2 * x", "of_torch(x)")


def test_torch_is_that_of_the_driver_and_supplied_at_run_time(tree: Path) -> None:
    Path("torch.cpp").write_text(WITH_TORCH.replace("PyInit__C", "INIT(TORCH_EXTENSION_NAME)").replace(
        "#include <Python.h>", "#include <Python.h>\n#define JOIN(a, b) a##b\n#define INIT(name) JOIN(PyInit_, name)"
    ))  # fmt: skip
    made = compile_extension(
        "torch.cpp", "out", "cp312", ExtensionOptions(torch_python=fake_torch(tree / "torch"))
    )
    image = read_image(made.path.read_bytes())
    assert [name for name in image.needed if "torch" in name or "c10" in name] == [
        "libtorch.so",
        "libtorch_cpu.so",
    ]
    assert image.runpath == ()
    for flag in (
        "-DTORCH_EXTENSION_NAME=_C",
        "-DTORCH_API_INCLUDE_EXTENSION_H",
        "-D_GLIBCXX_USE_CXX11_ABI=0",
    ):
        assert flag in made.commands[0].split()


INTERPRETER = Interpreter(
    Path("/py"),
    Target(12),
    "3.12.1",
    "cpython-312-x",
    ".cpython-312-x.so",
    None,
    Path("/py/include"),  # type: ignore[arg-type]
)
CUDA = Cuda(
    Path("/cuda/bin/nvcc"),
    "13.0",
    (Path("/cuda/include"),),
    (Path("/cuda/lib"),),
    Path("/cuda/lib/libcudart.so.13"),
)
TORCH = Torch(Path("/t/python"), "2.13.0", Path("/t/torch"), Path("/t/share"), True)


def linked(tools: Toolchain, **options: object) -> list[str]:
    words = link_command([Path("a.o")], ExtensionOptions(**options), tools, Path("out.so")).words  # type: ignore[arg-type]
    return [word for word in words if word.startswith("-l") or ".so." in word]


def test_a_torch_for_cuda_brings_the_run_time_library() -> None:
    cxx = ("c++",)
    own = ["-lcudart_static", "-ldl", "-lrt", "-lpthread"]
    cpu = ["-ltorch", "-ltorch_cpu", "-lc10", "-ltorch_python"]
    gpu = Torch(TORCH.python, TORCH.version, TORCH.directory, TORCH.cmake_prefix, True, "13.0")
    assert linked(Toolchain(INTERPRETER, cxx)) == []
    assert linked(Toolchain(INTERPRETER, cxx, cuda=CUDA)) == own
    assert linked(Toolchain(INTERPRETER, cxx, torch=TORCH)) == cpu
    assert linked(Toolchain(INTERPRETER, cxx, torch=TORCH), stable_abi="3.10") == cpu[:3]
    assert linked(Toolchain(INTERPRETER, cxx, cuda=CUDA, torch=TORCH)) == [*cpu, *own]
    shared = [*cpu, "-ltorch_cuda", "-lc10_cuda", "/cuda/lib/libcudart.so.13"]
    assert linked(Toolchain(INTERPRETER, cxx, cuda=CUDA, torch=gpu)) == shared
    assert linked(Toolchain(INTERPRETER, cxx, cuda=CUDA, torch=gpu), cudart="static") == [*shared[:-1], *own]
    assert linked(Toolchain(INTERPRETER, cxx, cuda=CUDA), cudart="shared") == shared[-1:]
    assert linked(Toolchain(INTERPRETER, cxx), libraries=("nvrtc", "x/libm.so.6")) == [
        "-lnvrtc",
        "x/libm.so.6",
    ]


def test_flags_of_the_user_come_last() -> None:
    options = ExtensionOptions(
        definitions=("A=1",), cxx_flags=("-O0",), nvcc_flags=("-lineinfo",), cuda_architectures=("9.0a",),
        include_directories=(Path("inc"),),
    )  # fmt: skip
    tools = Toolchain(INTERPRETER, ("c++",), cache=Path("/bin/ccache"), cuda=CUDA)
    sources = [Path("a.cpp"), Path("/src/sub/b.cu")]
    first, second = (
        command.words for command in compile_commands(sources, options, tools, Path("/src"), Path("/x"))
    )
    assert first[:2] == ("/bin/ccache", "c++")
    assert first[-5:] == ("-O0", "-c", "a.cpp", "-o", "/x/0-a.cpp.o")
    assert {"-DA=1", "-Iinc", "-I/py/include", "-frandom-seed=a.cpp", "-ffile-prefix-map=/src=."} < set(first)
    assert second[:3] == ("/bin/ccache", "/cuda/bin/nvcc", "-ccbin=c++")
    assert second[-5:] == ("-lineinfo", "-c", "/src/sub/b.cu", "-o", "/x/1-b.cu.o")
    assert {"-gencode=arch=compute_90a,code=sm_90a", "-Xcompiler=-frandom-seed=sub/b.cu"} < set(second)


def script(text: str) -> str:
    path = Path("compiler")
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path.absolute())


@dataclass(frozen=True)
class Failure:
    """A source, how it is compiled, and what the message must say. *environ* is a function, run in the tree."""

    texts: tuple[str, ...]
    source: str = GOOD
    target: str = "cp312"
    options: ExtensionOptions = field(default_factory=ExtensionOptions)
    environ: Callable[[], dict[str, str]] = dict


FAILURES = {
    "a header is missing": Failure(
        ("x.cpp: header absent.h is missing", "fatal error: absent.h"), "#include <absent.h>\n" + GOOD
    ),
    "a compile error": Failure(
        ("x.cpp:5:1", "nonsense", "exit status 1", "-c x.cpp"), "\n\n\n\nnonsense;\n" + GOOD
    ),
    "a library is missing": Failure(
        ("-lnowhere", "cannot find"), options=ExtensionOptions(libraries=("nowhere",))
    ),
    "a symbol is missing": Failure(
        ("WF601", "undefined symbol", "doubled"), options=ExtensionOptions(definitions=("ELSEWHERE",))
    ),
    "another name": Failure(("WF306", "PyInit_other"), options=ExtensionOptions(name="other")),
    "abi3 by name alone": Failure(
        ("_C.abi3.so", "PyInterpreterState_Main"),
        GOOD.replace("return 2 * x", "return 2 * x + !PyInterpreterState_Main()"),
        options=ExtensionOptions(stable_abi="3.10", cxx_flags=("-UPy_LIMITED_API",)),
    ),
    "newer than the stable ABI": Failure(
        ("would not load on cp310", "PyType_GetName"),
        GOOD.replace("return 2 * x", "return 2 * x + !PyType_GetName(nullptr)"),
        options=ExtensionOptions(stable_abi="3.10", cxx_flags=("-UPy_LIMITED_API", "-DPy_LIMITED_API=0x030B0000")),
    ),
    "no compiler": Failure(("no C++ compiler: CXX is nowhere",), environ=lambda: {"CXX": "nowhere"}),
    "no nvcc": Failure(
        ("no nvcc where CUDA_HOME says: /nowhere",),
        options=ExtensionOptions(cuda=True),
        environ=lambda: {"CUDA_HOME": "/nowhere"},
    ),
    "no torch": Failure(
        ("torch could not be imported", "No module named 'torch'"),
        options=ExtensionOptions(torch_python=PYTHONS[Target(12)]),
    ),
    "no such interpreter": Failure(("/nowhere/python3: does not exist",), target="/nowhere/python3"),
    "no interpreter": Failure(("does not run",), target="/bin/false"),
    "no CPython of that version": Failure(("cp39t: there is no interpreter for it on this machine",), target="cp39t"),
    "a killed compiler": Failure(
        ("was killed by SIGKILL",), environ=lambda: {"CXX": script("kill -9 $$")}
    ),
    "a compiler that hangs": Failure(
        ("did not end within", "was killed"),
        options=ExtensionOptions(timeout=0.3),
        environ=lambda: {"CXX": script("sleep 60")},
    ),
    "a compiler that makes nothing": Failure(
        ("cannot be read",), environ=lambda: {"CXX": script("exit 0")}
    ),
    "a full disk": Failure(
        ("the disk is full", "No space left on device"),
        environ=lambda: {"CXX": script("echo '/tmp/a.s: fatal error: error writing: No space left on device'; exit 1")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_explained_and_leaves_nothing(
    tree: Path, monkeypatch: pytest.MonkeyPatch, failure: Failure
) -> None:
    Path("x.cpp").write_text(failure.source)
    for name, value in failure.environ().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(JobFailed) as caught:
        compile_extension(["x.cpp"], "out", failure.target, failure.options)
    assert [text for text in failure.texts if text not in str(caught.value)] == [], str(caught.value)
    assert caught.value.exit_code == 5
    assert not Path("out").exists()
    assert names(tree.parent / "tmp") == []


def test_all_that_is_missing_is_told_at_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "nowhere")
    monkeypatch.setenv("CUDA_HOME", "/nowhere")
    with pytest.raises(JobFailed) as caught:
        compile_extension(
            ["good.cpp", "kernel.cu"], "out", "cp312", ExtensionOptions(torch_python=Path("/bin/false"))
        )
    assert len(caught.value.problems) == 3


def test_headers_that_are_missing_are_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = Interpreter(
        PYTHONS[Target(12)],
        Target(12),
        "3.12.1",
        "s",
        ".s.so",
        None,
        None,
        "is cp312, but there is no Python.h in /x",  # type: ignore[arg-type]
    )
    monkeypatch.setattr("wheelfuse.building.extension.probe", lambda path: without)
    with pytest.raises(JobFailed, match=r"there is no Python\.h in /x"):
        compile_extension("good.cpp", "out", PYTHONS[Target(12)])


def test_a_module_that_cannot_be_written_leaves_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        compile_extension("good.cpp", "out", "cp312")
    assert not Path("out").exists()


def test_a_module_that_was_there_stays_if_its_successor_fails(tree: Path) -> None:
    made = compile_extension("good.cpp", "out", "cp312")
    Path("good.cpp").write_text("nonsense")
    with pytest.raises(JobFailed):
        compile_extension("good.cpp", "out", "cp312")
    assert made.path.stat().st_size == made.size
    assert names(Path("out")) == [made.path.name]


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([], {}, "nothing to compile"),
        (["absent.cpp", "good.cpp"], {}, "absent.cpp: no such file"),
        (["README.md"], {}, "README.md: is not a source file"),
        (["good.cpp"], {"name": "pkg/_C"}, "'pkg/_C' is no dotted name"),
        (["good.cpp"], {"stable_abi": "cp310"}, "'cp310' is no version"),
        (["good.cpp"], {"stable_abi": "3.13"}, "3.13 does not go with the headers of cp312"),
        (["good.cpp"], {"cudart": "dynamic"}, "'dynamic' is neither static nor shared"),
        (["good.cpp"], {"cuda_architectures": ("sm_90",)}, "'sm_90' is not written as 9.0"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    tree: Path, sources: list[str], options: dict[str, object], message: str
) -> None:
    Path("README.md").touch()
    with pytest.raises(UsageError, match=message):
        compile_extension(sources, "out", "cp312", ExtensionOptions(**options))  # type: ignore[arg-type]


def test_the_command_line_prints_the_path(tree: Path) -> None:
    code, stdout, _ = command(
        "compile", "good.cpp", "-o", "out", "--target", "cp312", "--name", "pkg._C", "-q"
    )
    assert (code, stdout) == (0, "out/pkg/_C.cpython-312-x86_64-linux-gnu.so\n")


def test_the_command_line_shows_what_the_audit_says(tree: Path) -> None:
    code, stdout, _ = command("compile", "good.cpp", "-o", "out", "--target", "cp312", "-v")
    assert code == 0
    assert "compiled 1 file for cp312" in stdout
    assert "loads on CPython 3.12" in stdout
    assert "-c good.cpp" in stdout


def test_json_is_as_its_schema_says(tree: Path) -> None:
    arguments = ("-o", "out", "--target", "cp312", "--json")
    code, stdout, _ = command("compile", "good.cpp", *arguments)
    document = valid("compile", stdout)
    assert (code, document["ok"], document["target"]) == (0, True, "cp312")
    assert Path(document["path"]).stat().st_size == document["size"]
    code, stdout, stderr = command("compile", "good.cpp", *arguments, "-DELSEWHERE")
    document = valid("compile", stdout)
    assert (code, document["ok"]) == (5, False)
    assert "undefined symbol" in document["errors"][0]["what"] and "undefined symbol" in stderr


def test_a_compilation_that_is_ended_leaves_nothing(tree: Path) -> None:
    env = {**os.environ, "CXX": script("echo $$ > started; sleep 60"), "TMPDIR": str(tree.parent / "tmp")}
    arguments = ("compile", "good.cpp", "-o", "out", "--target", str(PYTHONS[Target(12)]))
    with subprocess.Popen([sys.executable, "-m", "wheelfuse", *arguments], env=env, cwd=tree) as process:
        wait_for(lambda: Path("started").exists() and Path("started").read_text())
        process.terminate()
        assert process.wait(30) == 143
    assert not Path("out").exists()
    assert names(tree.parent / "tmp") == []
    compiler = Path("started").read_text().strip()
    wait_for(lambda: not Path("/proc", compiler).exists())


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
