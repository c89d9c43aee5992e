"""Broken targets: each failure has its own message, exit code 5, and nothing half-made is left."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.building.projects import TARGETS, command_line, project, pythons
from tests.fuse.merging import command
from tests.test_processes import gone
from wheelfuse.building.jobs import TAIL
from wheelfuse.building.placing import possible_way

BROKEN, WHOLE = TARGETS[1], TARGETS[0]
ONLY = f"if TARGET == {str(BROKEN)!r}:\n    "


@dataclass(frozen=True)
class Failure:
    """What the backend does for one of the targets, and texts of its message."""

    body: str
    texts: tuple[str, ...]


def in_source(line: str) -> str:
    return ONLY + f"open('native.c', 'a').write({line!r})"


FAILURES = {
    "header missing": Failure(
        in_source('\n#include "no/such.h"\n'), ("header no/such.h is missing (", "native.c:", "exit status 1")
    ),
    "compile error": Failure(in_source("\nint x = y;\n"), ("compile error: ", "native.c:", "undeclared")),
    "killed job": Failure(ONLY + "import signal; os.kill(os.getpid(), signal.SIGKILL)", ("killed by SIGKILL",)),
    "crash": Failure(ONLY + "import signal; os.kill(os.getpid(), signal.SIGSEGV)", ("killed by SIGSEGV",)),
    "a module that is not there": Failure(
        ONLY + "import no_such_module", ("needs the module no_such_module while it builds",)
    ),
    "no wheel": Failure(ONLY + "return 'none.whl'", ("exactly one wheel", "left none")),
    "two wheels": Failure(
        ONLY + "write_wheel(directory, files, 'py3-none-any')", ("exactly one wheel", "py3-none-any")
    ),
    "another's wheel": Failure(
        ONLY + "return write_wheel(directory, files, 'cp311-cp311-linux_x86_64')",
        ("is for cp311, and not for cp312",),
    ),
    "damaged wheel": Failure(
        ONLY + "open(directory + '/tiny-1.0-py3-none-any.whl', 'w').write('no zip'); return 'x'",
        ("the wheel that was built is damaged",),
    ),
    "a file too large": Failure(
        ONLY
        + "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
        + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); open('big', 'wb').write(bytes(2 << 20))",
        ("a file became too large",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_one_broken_target(failure: Failure, tmp_path: Path) -> None:
    sources, wheelhouse = project(tmp_path / "p", failure.body), tmp_path / "w"
    code, out, err = command(
        "build", sources, "-d", wheelhouse, "--merge", "-o", tmp_path / "d", *pythons(WHOLE, BROKEN)
    )
    assert code == 5, err
    told = err[err.index("error: ") :]
    for text in (str(BROKEN), *failure.texts):
        assert text in told
    assert f"{BROKEN}: FAILED after" in err
    assert "FAILED" in out
    assert {path.name for path in wheelhouse.iterdir()} == {
        "tiny-1.0-cp310-cp310-linux_x86_64.whl",
        "logs",
    }
    assert not (tmp_path / "d").exists()


def test_a_job_that_hangs_is_given_up(tmp_path: Path) -> None:
    body = "import time; print('before the end', flush=True); time.sleep(1000)"
    sources, wheelhouse = project(tmp_path / "p", body), tmp_path / "w"
    code, _, err = command("build", sources, "-d", wheelhouse, "--timeout", "3", *pythons(WHOLE))
    assert code == 5
    assert "not done within --timeout 3 s" in err
    assert "before the end" in err
    assert [path.name for path in wheelhouse.iterdir()] == ["logs"]


def test_the_end_of_the_log_is_shown_and_where_the_rest_is(tmp_path: Path) -> None:
    body = "[print('line', n) for n in range(100)]; sys.exit(3)"
    code, _, err = command("build", project(tmp_path / "p", body), "-d", tmp_path / "w", *pythons(WHOLE))
    assert code == 5
    assert "line 99" in err
    assert f"line {99 - TAIL}" not in err
    log = tmp_path / "w" / "logs" / f"{WHOLE}.log"
    assert f"The whole log: {log}" in err
    assert "line 0" in log.read_text()


def test_no_such_interpreter(tmp_path: Path) -> None:
    sources = project(tmp_path / "p")
    code, out, err = command("build", sources, "-d", tmp_path / "w", "--include", "3.17", *pythons(WHOLE))
    assert code == 5
    assert "cp317: there is no interpreter for it on this machine" in err
    assert "Install one, by --provision or otherwise" in err
    assert len(list((tmp_path / "w").glob("*.whl"))) == 1
    code, out, err = command(
        "build", sources, "-d", tmp_path / "w", "--include", "3.17", "--dry-run", *pythons(WHOLE)
    )
    assert (code, "# cp317: there is no interpreter" in out) == (5, True)
    assert "Install one, by --provision or otherwise" in err


def test_a_fused_wheel_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = command(
        "build", project(tmp_path / "p"), "-d", tmp_path / "w", "--json",
        "--merge", "-o", tmp_path / "file" / "dist", *pythons(WHOLE, BROKEN),
    )  # fmt: skip
    document = json.loads(out)
    assert (code, document["ok"], document["merge"]["ok"]) == (5, False, False)
    assert [job["state"] for job in document["jobs"]] == ["built", "built"]
    assert "could not write" in err


def test_what_it_needs_to_build_cannot_be_installed(tmp_path: Path) -> None:
    sources = project(tmp_path / "p", requires='"wheelfuse-no-such-project==7"')
    code, _, err = command("build", sources, "-d", tmp_path / "w", *pythons(WHOLE))
    assert code == 5
    assert "the installation of what it needs to build (wheelfuse-no-such-project==7) ended with" in err


def test_a_backend_that_is_not_there(tmp_path: Path) -> None:
    sources = project(tmp_path / "p")
    text = (sources / "pyproject.toml").read_text()
    (sources / "pyproject.toml").write_text(text.replace('"backend"', '"gone"'))
    code, _, err = command("build", sources, "-d", tmp_path / "w", *pythons(WHOLE))
    assert code == 5
    assert "build backend gone is not installed" in err


BIG = "files['tiny/big'] = os.urandom(16 << 20)"


def test_a_full_disk(tmp_path: Path) -> None:
    """A wheelhouse of 4 MiB, where the machine lets us mount one; else a limit on the size of files."""
    sources, wheelhouse = project(tmp_path / "p", BIG), tmp_path / "w"
    wheelhouse.mkdir()
    build = command_line(sources, "-d", wheelhouse, *pythons(WHOLE))
    limit: Callable[[], None] | None = None
    if way := possible_way():
        script = 'w=$1; shift; mount -t tmpfs -o size=4m none "$w" && { "$@"; c=$?; ls -A "$w"; exit $c; }'
        build = [*way, "sh", "-c", script, "sh", str(wheelhouse), *build]
    else:

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    done = subprocess.run(build, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 5, done.stderr
    assert ("the disk is full" if way else "too large") in done.stderr
    left = done.stdout.split() if way else [path.name for path in wheelhouse.iterdir()]
    assert "logs" in left
    assert not [name for name in left if name == ".work" or name.endswith((".whl", ".partial"))]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_ends_all_jobs(number: signal.Signals, code: int, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    body = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"open({str(notes)!r} + '/' + TARGET + '.new', 'w').write('%d %d' % (os.getpid(), child.pid))\n"
        f"os.rename({str(notes)!r} + '/' + TARGET + '.new', {str(notes)!r} + '/' + TARGET)\n"
        "time.sleep(1000)"
    )
    sources, wheelhouse = project(tmp_path / "p", body), tmp_path / "w"
    build = command_line(sources, "-d", wheelhouse, "--jobs", 2, *pythons(WHOLE, BROKEN))

    def as_at_a_terminal() -> None:
        signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does

    with subprocess.Popen(build, stderr=subprocess.PIPE, text=True, preexec_fn=as_at_a_terminal) as parent:
        while {path.name for path in notes.iterdir()} != {str(WHOLE), str(BROKEN)}:
            assert parent.poll() is None
            time.sleep(0.05)
        parent.send_signal(number)
        _, err = parent.communicate(timeout=60)
    assert parent.returncode == code, err
    pids = [int(pid) for path in notes.iterdir() for pid in path.read_text().split()]
    assert len(pids) == 4
    assert all(map(gone, pids))
    assert [path.name for path in wheelhouse.iterdir()] == ["logs"]


def test_a_failure_as_json(tmp_path: Path) -> None:
    body = FAILURES["header missing"].body
    code, out, _ = command(
        "build", project(tmp_path / "p", body), "-d", tmp_path / "w", "--json", *pythons(WHOLE, BROKEN)
    )
    document = json.loads(out)
    assert (code, document["ok"]) == (5, False)
    states = {job["target"]: job["state"] for job in document["jobs"]}
    assert states == {str(WHOLE): "built", str(BROKEN): "failed"}
    assert [error["wheel"] for error in document["errors"]] == [str(BROKEN)]
