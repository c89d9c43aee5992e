"""An interpreter is what it answers, and what does not answer has a reason."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.interpreters import available
from tests.pythons.machines import fake, headers, script
from wheelfuse.interpreters.probe import Interpreter, Unusable, probe
from wheelfuse.target import Target

RUNNING = Path(sys.executable)
MODULE = """\
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "probed", 0, -1, 0};
PyMODINIT_FUNC PyInit_probed(void) { return PyModule_Create(&definition); }
"""


def asked(path: Path, **options: Any) -> Interpreter:
    answer = probe(path, **options)
    assert isinstance(answer, Interpreter), answer
    return answer


def refused(path: Path, **options: Any) -> str:
    answer = probe(path, **options)
    assert isinstance(answer, Unusable), answer
    assert answer.path == path
    return answer.reason


@pytest.mark.parametrize("target", available(), ids=str)
def test_a_module_made_by_the_answer_is_imported_by_the_interpreter(target: Target, tmp_path: Path) -> None:
    interpreter = asked(available()[target], source="here")
    source, module = tmp_path / "probed.c", tmp_path / f"probed{interpreter.ext_suffix}"
    source.write_text(MODULE)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-I{interpreter.include}", source, "-o", module], check=True, timeout=60
    )
    code = "import sys, probed; print(probed.__file__, '%d.%d.%d' % sys.version_info[:3])"
    env = {"PYTHONPATH": str(tmp_path), "PATH": os.defpath}
    printed = subprocess.run(
        [interpreter.path, "-c", code], env=env, check=True, capture_output=True, text=True
    )
    assert printed.stdout.split() == [str(module), interpreter.release.base_version]
    assert (interpreter.target, interpreter.source) == (target, "here")
    assert interpreter.ext_suffix == f".{interpreter.soabi}.so"


def test_the_environment_of_the_caller_does_not_mislead_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asked(RUNNING)
    for name in ("PYTHONHOME", "PYTHONPATH", "_PYTHON_SYSCONFIGDATA_NAME", "_PYTHON_HOST_PLATFORM"):
        monkeypatch.setenv(name, "/nowhere")
    assert asked(RUNNING) == before


def test_machine_and_c_library_are_told() -> None:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
    assert libc, "these tests run on glibc"
    platform = asked(RUNNING).platform
    assert f"{platform.libc} {platform.version[0]}.{platform.version[1]}" == libc
    assert platform.machine == os.uname().machine


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        ({"platform": "linux-x86_64", "bits": 32}, ("i686", "glibc")),
        ({"platform": "linux-aarch64", "bits": 64}, ("aarch64", "glibc")),
        ({"platform": "linux-x86_64", "libc": "", "triplet": "x86_64-alpine-linux-musl"}, ("x86_64", "musl")),
        ({"platform": "linux-x86_64", "libc": "", "triplet": "x86_64-pc-linux"}, ("x86_64", "unknown")),
    ],
)
def test_other_machines_and_c_libraries_are_told(
    tmp_path: Path, answer: dict[str, Any], family: tuple[str, str]
) -> None:
    platform = asked(fake(tmp_path / "python3", **{"bits": 64, **answer})).platform
    assert (platform.machine, platform.libc) == family


@pytest.mark.parametrize(
    ("level", "version"),
    [("alpha", "3.17.0a1"), ("beta", "3.17.0b1"), ("candidate", "3.17.0rc1"), ("final", "3.17.0")],
)
def test_versions_are_spelt_as_pep_440_does(tmp_path: Path, level: str, version: str) -> None:
    interpreter = asked(fake(tmp_path / "python3", level=level))
    assert interpreter.version == version == str(interpreter.release)


def test_what_else_it_prints_does_no_harm(tmp_path: Path) -> None:
    path = fake(tmp_path / "python3", free_threaded=True)
    noise = "echo warning: locale; echo warning: site >&2"
    script(path, f"{noise}\n{path.read_text()}\n{noise}")
    assert asked(path).target == Target(17, free_threaded=True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"name": "pypy"}, "is pypy, not CPython"),
        ({"name": "graalpy"}, "is graalpy, not CPython"),
        ({"minor": 7, "suffix": ".cpython-37m-x86_64-linux-gnu.so"}, "is CPython 3.7.0, older than 3.8"),
        ({"suffix": ".cpython-317d-x86_64-linux-gnu.so", "debug": True}, "is a debug build of cp317"),
        ({"imports": []}, "imports no extension modules at all"),
        ({"imports": [".x.so"]}, "imports .x.so, and not its EXT_SUFFIX .cpython-317"),
        ({"suffix": ".cpython-316-x86_64-linux-gnu.so"}, "is cp317, but its modules are named .cpython-316-"),
        ({"suffix": ".so"}, "is cp317, but its modules are named .so"),
        ({"platform": "macosx-11.0-arm64"}, "is for macosx-11.0-arm64, not for Linux"),
        ({"version": [2, 7, 18, "final", 0]}, "is CPython 2.7.18, older than 3.8"),
        ({"version": []}, "did not answer as a Python 3 does"),
        ({"platform": 1}, "did not answer as a Python 3 does"),
        ({"soabi": None, "version": [3, 17, 0, "gamma", 0]}, "did not answer as a Python 3 does"),
    ],
)
def test_what_modules_cannot_be_built_for_is_refused(
    tmp_path: Path, answer: dict[str, Any], reason: str
) -> None:
    assert reason in refused(fake(tmp_path / "python3", **answer))


def test_a_refused_interpreter_that_answered_has_its_target(tmp_path: Path) -> None:
    answer = probe(fake(tmp_path / "python3", name="pypy"))
    assert isinstance(answer, Unusable)
    assert answer.target == Target(17)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "does not run: it ended with exit status 3"),
        ("echo no such thing >&2; exit 127", "ended with exit status 127: no such thing"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("echo hello", "did not answer as a Python 3 does: hello"),
        ("", "did not answer as a Python 3 does"),
        ("head -c 3000000 /dev/zero", "did not answer as a Python 3 does"),
        ("echo 'wheelfuse asks: {rubbish'", "did not answer as a Python 3 does: {rubbish"),
        ("echo 'wheelfuse asks: []'", "did not answer as a Python 3 does: []"),
        (f"echo 'wheelfuse asks: {'[' * 20_000}'", "did not answer as a Python 3 does: [["),
    ],
)
def test_a_program_that_does_not_answer_has_a_reason(tmp_path: Path, text: str, reason: str) -> None:
    found = refused(script(tmp_path / "python3", text))
    assert reason in re.sub(r" after [0-9.]+ s", "", found)
    assert len(found) < 300


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    path = script(tmp_path / "python3", f"sleep 600 & echo $$ $! > {pids}; wait")
    assert "did not end within" in refused(path, timeout=1)
    alive = [pid for pid in pids.read_text().split() if _runs(int(pid))]
    assert alive == []


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie; what was just killed may need a moment."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def test_a_file_that_is_no_program_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "text").write_text("hello")
    assert refused(tmp_path / "none") == "does not exist"
    assert refused(tmp_path / "link") == "is a broken symbolic link to gone"
    assert refused(tmp_path / "text") == "is not executable"
    assert refused(tmp_path) == "is a directory, not an interpreter"


def test_a_program_for_another_machine_has_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "python3"
    foreign = 0xFEED  # no machine that there is an emulator for
    path.write_bytes(struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, foreign, 1, *[0] * 10))
    path.chmod(0o755)
    assert refused(path) == "cannot be run: Exec format error"


def test_a_program_whose_loader_is_missing_has_a_reason(tmp_path: Path) -> None:
    path = script(tmp_path / "python3", "")
    path.write_text("#!/nowhere/python\n")
    assert "the loader that it names, or the program of its first line, is missing" in refused(path)


def test_headers_are_looked_for_where_the_interpreter_says(tmp_path: Path) -> None:
    include = headers(tmp_path / "include", 17)
    assert asked(fake(tmp_path / "python3", include=(include,))).include == include
    moved = asked(fake(tmp_path / "python3", include=(Path("/nowhere"), include)))
    assert (moved.include, moved.no_headers) == (include, "")


@pytest.mark.parametrize("gone", ["Python.h", "pyconfig.h", "patchlevel.h"])
def test_an_interpreter_without_headers_says_what_is_missing(tmp_path: Path, gone: str) -> None:
    include = headers(tmp_path / "include", 17)
    (include / gone).unlink()
    interpreter = asked(fake(tmp_path / "python3", include=(include,)))
    assert interpreter.include is None
    assert interpreter.no_headers.startswith(f"is cp317, but there is no {gone} in {include} ")


def test_the_headers_of_another_python_are_none(tmp_path: Path) -> None:
    interpreter = asked(fake(tmp_path / "python3", include=(headers(tmp_path / "include", 11),)))
    assert interpreter.include is None
    assert "are those of Python 3.11" in interpreter.no_headers
