"""Where compilers are looked for, and what nvcc says of itself."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.cuda import nvcc
from wheelfuse.building import toolchain
from wheelfuse.building.toolchain import (
    find_cache,
    find_cuda,
    find_cxx,
    find_nvcc,
    through_cache,
    without_cache,
)
from wheelfuse.errors import JobFailed


def test_an_open_quote_is_told(machine: Path) -> None:
    with pytest.raises(JobFailed, match="CXX is not the command of a program: No closing quotation"):
        find_cxx({"CXX": "c++ '-O2"})
    nvcc = program(machine / "bin" / "nvcc", """echo "#\\$ INCLUDES=-I/it's" """)
    with pytest.raises(JobFailed, match="nvcc: what it says of its directories makes no sense: No closing"):
        find_cuda({"CUDACXX": str(nvcc)})


def program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for programs, on a machine that has none of them elsewhere."""
    monkeypatch.setattr(toolchain, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "site-packages"))
    return tmp_path


def test_nvcc_is_the_first_of_its_places(machine: Path) -> None:
    variables = {
        "CUDACXX": str(machine / "named" / "nvcc-13"),
        "CUDA_HOME": str(machine / "home"),
        "CUDA_PATH": str(machine / "path"),
        "PATH": f"/nowhere:{machine}/onpath",
    }
    places = [
        program(machine / "named" / "nvcc-13"),
        program(machine / "home" / "bin" / "nvcc"),
        program(machine / "path" / "bin" / "nvcc"),
        program(machine / "site-packages" / "nvidia" / "cu13" / "bin" / "nvcc"),
        program(machine / "onpath" / "nvcc"),
        program(machine / "installed" / "bin" / "nvcc"),
    ]
    for place, variable in zip(places, [*list(variables)[:3], None, "PATH", None], strict=True):
        assert find_nvcc(variables) == place
        place.unlink()
        if variable:
            del variables[variable]
    assert find_nvcc(variables) is None


@pytest.mark.parametrize("variable", ["CUDACXX", "CUDA_HOME", "CUDA_PATH"])
def test_what_is_named_is_binding(machine: Path, variable: str) -> None:
    program(machine / "onpath" / "nvcc")
    environ = {variable: f"{machine}/empty", "PATH": f"{machine}/onpath"}
    assert find_nvcc(environ) is None
    with pytest.raises(JobFailed, match=f"no nvcc where {variable} says: {machine}/empty"):
        find_cuda(environ)


def test_the_newest_of_the_packages_counts(machine: Path) -> None:
    for version in ("cu12", "cu13"):
        program(machine / "site-packages" / "nvidia" / version / "bin" / "nvcc")
    assert find_nvcc({}) == machine / "site-packages" / "nvidia" / "cu13" / "bin" / "nvcc"


def test_cuda_is_as_nvcc_says() -> None:
    cuda = find_cuda()
    said = subprocess.run([nvcc(), "--version"], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"release {re.escape(cuda.version)}\b", said)
    assert any((directory / "cuda_runtime.h").is_file() for directory in cuda.include_directories)
    assert any((directory / "libcudart_static.a").is_file() for directory in cuda.library_directories)
    assert cuda.runtime and cuda.runtime.name.startswith("libcudart.so")


def test_libraries_of_the_packages_are_found(machine: Path) -> None:
    """nvcc looks in lib64 alone, they have lib; the shared library is there under its soname alone."""
    home = machine / "home"
    for file in ("include/cuda_runtime.h", "lib/libcudart.so.13", "lib/stubs/libcuda.so"):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()
    said = f"""#$ TOP={home}/bin/..
#$ INCLUDES="-I{home}/bin/../include"
#$ SYSTEM_INCLUDES="-isystem" "{home}/bin/../include/cccl"
#$ LIBRARIES=  "-L{home}/bin/../lib64/stubs" "-L{home}/bin/../lib64"
"""
    program(home / "bin" / "nvcc", f"cat >&2 <<'END'\n{said}END\necho 'V: release 13.1, V13.1.5'")
    cuda = find_cuda({"CUDA_HOME": str(home)})
    assert cuda.version == "13.1"
    assert cuda.include_directories == (home / "include",)
    assert cuda.library_directories == (home / "lib",)
    assert cuda.runtime == home / "lib" / "libcudart.so.13"


def test_an_nvcc_that_does_not_run_is_told(machine: Path) -> None:
    program(machine / "bin" / "nvcc", "echo no licence; exit 3")
    with pytest.raises(JobFailed, match=r"(?s)bin/nvcc: ended with exit status 3.*no licence"):
        find_cuda({"CUDA_HOME": str(machine)})


def test_the_cxx_compiler_is_the_one_that_is_named(machine: Path) -> None:
    for name in ("c++", "g++", "mine"):
        program(machine / "bin" / name)
    path = {"PATH": str(machine / "bin")}
    assert find_cxx(path) == (str(machine / "bin" / "c++"),)
    assert find_cxx({**path, "CXX": "mine -m64"}) == (str(machine / "bin" / "mine"), "-m64")
    with pytest.raises(JobFailed, match=r"no C\+\+ compiler: CXX is another"):
        find_cxx({**path, "CXX": "another"})
    with pytest.raises(JobFailed, match=r"no C\+\+ compiler on PATH"):
        find_cxx({"PATH": str(machine)})


def test_compilers_run_through_a_cache_once(machine: Path) -> None:
    path = {"PATH": str(machine / "bin")}
    assert find_cache(path) is None
    sccache = program(machine / "bin" / "sccache")
    assert find_cache(path) == sccache
    ccache = program(machine / "bin" / "ccache")
    assert find_cache(path) == ccache
    assert through_cache(("/usr/bin/c++",), ccache) == (str(ccache), "/usr/bin/c++")
    assert through_cache((str(ccache), "c++"), ccache) == (str(ccache), "c++")
    assert through_cache(("/usr/bin/c++",), None) == ("/usr/bin/c++",)
    assert without_cache((str(ccache), "/usr/bin/c++")) == ("/usr/bin/c++",)
    (machine / "bin" / "c++").symlink_to(ccache)  # as distributions put them into /usr/lib/ccache
    link = (str(machine / "bin" / "c++"),)
    assert through_cache(link, ccache) == without_cache(link) == link
