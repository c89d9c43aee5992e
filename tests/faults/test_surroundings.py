"""What others do meanwhile, and what the machine does not give: other merges, changing inputs, full disks, signals."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kills import SIGNALS, Killing
from tests.faults.soundness import hidden, require_installable, snapshot
from tests.fuse.merging import command
from tests.native import library
from tests.wheels import build_wheel, wheelfuse
from wheelfuse.building.placing import possible_way
from wheelfuse.temporary import scratch
from wheelfuse.wheel.outputs import replacing, together
from wheelfuse.wheel.writer import ZipWriter

TARGETS = ("cp310", "cp311", "cp312")
NOISE = bytes(range(256)) * 400


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Wheels of which much is copied as it lies there."""
    noise = b"".join(os.urandom(50_000) for _ in range(2))
    for target in TARGETS:
        build_wheel(tmp_path / "in", target, {"pkg/config.py": f"N = {target!r}\n", "pkg/noise.bin": noise})
    return tmp_path / "in"


def merged(wheels: Path, out: Path, *arguments: object) -> Path:
    code, printed, err = command("merge", wheels, "-o", out, "-q", *arguments)
    assert code == 0, err
    require_installable(Path(printed.strip()))
    return Path(printed.strip())


def script(body: str, *arguments: object) -> list[str]:
    """A command line of wheelfuse in a Python that runs *body* before."""
    start = "from wheelfuse.__main__ import run\nrun()"
    return [sys.executable, "-c", f"{body}\n{start}", *map(str, arguments)]


class TestFullDisks:
    @pytest.mark.parametrize("room", [0, 1, 100, 5_000, 50_000, 100_000, 101_000])
    @pytest.mark.parametrize("there_before", [False, True])
    def test_a_limit_on_the_size_of_files(
        self, wheels: Path, tmp_path: Path, room: int, there_before: bool
    ) -> None:
        out = tmp_path / "out"
        if there_before:
            merged(wheels, out)
        before = snapshot(out)

        def little_room() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

        # CPython before 3.12.8 takes a .pyc file that was cut by the limit for a whole one, and would not start again.
        line = [sys.executable, "-B", "-m", "wheelfuse", "merge", str(wheels), "-o", str(out), "--force"]
        done = subprocess.run(
            line, stderr=subprocess.PIPE, text=True, preexec_fn=little_room, stdout=subprocess.DEVNULL
        )
        assert done.returncode == 5
        assert (
            "could not write: " in done.stderr
            and "ulimit -f" in done.stderr
            and "Traceback" not in done.stderr
        )
        assert str(out) in done.stderr
        assert snapshot(out) == before
        assert there_before or not out.exists()

    @pytest.mark.skipif(not possible_way(), reason="this machine lets nobody mount")
    @pytest.mark.parametrize("pages", [1, 8, 25])
    def test_a_small_file_system(self, wheels: Path, tmp_path: Path, pages: int) -> None:
        out = tmp_path / "out"
        out.mkdir()
        mount = f'mount -t tmpfs -o size={pages * 4}k none "$0" && {{ "$@"; c=$?; ls -A "$0"; exit $c; }}'
        line = [sys.executable, "-m", "wheelfuse", "merge", str(wheels), "-o", str(out)]
        done = subprocess.run(
            [*possible_way(), "sh", "-c", mount, str(out), *line], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (5, "")
        assert "No space left on device" in done.stderr and "Free some space" in done.stderr

    def test_no_directory_for_temporary_files_but_the_usual_ones(self, wheels: Path, tmp_path: Path) -> None:
        expected = merged(wheels, tmp_path / "there").read_bytes()
        done = wheelfuse("merge", wheels, "-o", tmp_path / "out", "-q", TMPDIR=str(tmp_path / "missing"))
        assert (done.returncode, done.stderr) == (0, "")
        assert Path(done.stdout.strip()).read_bytes() == expected

    def test_no_directory_for_temporary_files_at_all(
        self, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wheelfuse.content.IN_MEMORY", 100)
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "missing")])
        code, _, err = command("merge", wheels, "-o", tmp_path / "out")
        assert code == 5
        assert "could not write temporary files: No usable temporary directory found" in err
        assert "set TMPDIR to another directory" in err
        assert not (tmp_path / "out").exists()


def without_privileges() -> None:
    """Let the rights of files count, even for root (capabilities(7))."""
    drop_from_bounding_set, override, search = 24, 1, 2
    for capability in (override, search):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)


class TestRights:
    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "wheelfuse", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, preexec_fn=without_privileges)

    def test_a_directory_that_may_not_be_written_to(self, wheels: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        before = merged(wheels, out).read_bytes()
        out.chmod(0o555)
        done = self.run("merge", wheels, "-o", out, "--force")
        assert done.returncode == 5
        assert f"could not write: {out}/pkg-1.0-" in done.stderr and "Permission denied" in done.stderr
        assert "Choose a directory that you may write to." in done.stderr
        assert list(snapshot(out).values()) == [before]

    def test_a_directory_that_may_not_be_made(self, wheels: Path, tmp_path: Path) -> None:
        (tmp_path / "closed").mkdir(mode=0o555)
        done = self.run("merge", wheels, "-o", tmp_path / "closed" / "out")
        assert done.returncode == 5
        assert f"could not write: {tmp_path}/closed/out: Permission denied" in done.stderr

    def test_a_directory_that_may_be_written_to_but_not_read(self, wheels: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out").chmod(0o333)
        done = self.run("merge", wheels, "-o", tmp_path / "out", "-q")
        assert (done.returncode, done.stderr) == (0, "")
        require_installable(Path(done.stdout.strip()))

    def test_an_input_that_may_not_be_read(self, wheels: Path, tmp_path: Path) -> None:
        first = min(wheels.iterdir())
        first.chmod(0)
        done = self.run("merge", wheels, "-o", tmp_path / "out")
        assert done.returncode == 3
        assert f"{first}: cannot be opened: Permission denied" in done.stderr
        assert "See that it is there, and that you may read it." in done.stderr

    def test_what_an_audit_cannot_look_into_is_not_passed(self, tmp_path: Path) -> None:
        for closed in (tmp_path / "a", tmp_path / "b" / "c"):
            closed.mkdir(parents=True)
            (closed / "x.py").touch()
            closed.chmod(0)
        for given, code, path in (("a", "WF001", ""), ("b", "WF003", "c")):
            done = self.run("audit", tmp_path / given, "--format", "json")
            assert (done.returncode, done.stderr) == (1, "")
            (finding,) = json.loads(done.stdout)["subjects"][0]["findings"]
            assert (finding["code"], finding["path"]) == (code, path)
            assert finding["message"] == "cannot be read: Permission denied"
        tmp_path.joinpath("with", "lib").mkdir(parents=True)
        (tmp_path / "with" / "lib").chmod(0)
        (tmp_path / "x.so").write_bytes(library("int one;"))
        done = self.run("audit", tmp_path / "x.so", "--with", tmp_path / "with")
        assert (done.returncode, done.stdout) == (3, "")
        assert f"error: {tmp_path}/with/lib: cannot be read: Permission denied\n" in done.stderr

    def test_an_input_of_an_audit_that_cannot_be_looked_at_leaves_the_others_their_say(
        self, wheels: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "closed").mkdir()
        (tmp_path / "closed").chmod(0)
        first = min(wheels.iterdir())
        for name in ("x.whl", "x.so", "x.zip", "*.whl"):
            done = self.run("audit", tmp_path / "closed" / name, first, "--jobs", "2")
            assert (done.returncode, done.stderr) == (1, "")
            assert "Permission denied" in done.stdout and first.name in done.stdout


def test_the_output_and_temporary_files_may_lie_on_other_file_systems(wheels: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != tmp_path.stat().st_dev
        here = merged(wheels, tmp_path / "out").read_bytes()
        assert merged(wheels, Path(elsewhere, "out")).read_bytes() == here
        done = wheelfuse("merge", wheels, "-o", tmp_path / "again", "-q", TMPDIR=elsewhere)
        assert Path(done.stdout.strip()).read_bytes() == here


class TestInputsThatChange:
    """While their bytes are copied, long after they were verified."""

    def fused(
        self, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], wheels: Path, out: Path
    ) -> tuple[int, str]:
        acts, copy = [act], ZipWriter.copy

        def later(*arguments: Any) -> None:
            while acts:
                acts.pop()()
            copy(*arguments)

        monkeypatch.setattr(ZipWriter, "copy", later)
        code, _, err = command("merge", wheels, "-o", out)
        return code, err

    def test_bytes_that_are_written_over(
        self, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = max(wheels.iterdir())

        def overwrite() -> None:
            data = path.read_bytes()
            with path.open("r+b") as file:
                file.write(bytes(len(data)))

        code, err = self.fused(monkeypatch, overwrite, wheels, tmp_path / "out")
        assert code == 3
        assert f"{path.name}: changed while it was read" in err and "Run again" in err
        assert not (tmp_path / "out").exists()

    def test_a_file_that_shrinks(self, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def cut() -> None:
            for path in wheels.iterdir():
                os.truncate(path, 50)

        code, err = self.fused(monkeypatch, cut, wheels, tmp_path / "out")
        assert code == 3
        assert "pkg-1.0-cp31" in err and ("became shorter while it was read" in err or "changed while" in err)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
    def test_a_name_that_is_gone_is_no_matter(
        self, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        expected = merged(wheels, tmp_path / "before").read_bytes()

        def act() -> None:
            for path in list(wheels.iterdir()):
                if how == "replaced":
                    (wheels / "other").write_bytes(b"other")
                    (wheels / "other").replace(path)
                else:
                    path.unlink() if how == "removed" else path.rename(path.with_suffix(".old"))

        code, err = self.fused(monkeypatch, act, wheels, tmp_path / "out")
        assert code == 0, err
        assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [expected]

    def test_an_input_of_split(self, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fused = merged(wheels, tmp_path / "fused")
        copy = ZipWriter.copy

        def later(*arguments: Any) -> None:
            os.utime(fused)
            copy(*arguments)

        monkeypatch.setattr(ZipWriter, "copy", later)
        code, _, err = command("split", fused, "-d", tmp_path / "out")
        assert code == 3
        assert f"{fused.name}: changed while it was read" in err
        assert not (tmp_path / "out").exists()


class TestTwoAtOnce:
    def test_the_second_that_is_done_does_not_replace_the_first(
        self, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, first = os.link, []

        def link(*arguments: Any, **named: Any) -> None:
            monkeypatch.setattr(os, "link", real)
            first.append(merged(wheels, tmp_path / "out"))
            real(*arguments, **named)

        monkeypatch.setattr(os, "link", link)
        code, _, err = command("merge", wheels, "-o", tmp_path / "out")
        assert code == 2
        assert f"{first[0]}: exists already" in err and "--force" in err
        require_installable(first[0])
        assert list((tmp_path / "out").iterdir()) == first

    @pytest.mark.parametrize("force", [True, False])
    def test_many_at_the_same_time(self, wheels: Path, tmp_path: Path, force: bool) -> None:
        out = tmp_path / "out"
        line = [sys.executable, "-m", "wheelfuse", "merge", str(wheels), "-o", str(out), "-q"]
        line += ["--force"] if force else []
        running = [
            subprocess.Popen(line, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
            for _ in range(6)
        ]
        ends = [(process.communicate()[1], process.returncode) for process in running]
        assert [code for _, code in ends].count(0) == (6 if force else 1), ends
        assert all(code == 0 or (code == 2 and "exists already" in err) for err, code in ends), ends
        [output] = out.iterdir()
        require_installable(output)


HOLD = """
import sys, time
from pathlib import Path
from wheelfuse.temporary import beside, scratch
with {what} as found:
    print(found if isinstance(found, Path) else found[0], flush=True)
    time.sleep(1000)
"""


class Holder:
    """Another process that has a temporary file or directory, until it is killed."""

    def __init__(self, what: str, **environment: str) -> None:
        line = [sys.executable, "-c", HOLD.format(what=what)]
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        assert self.process.stdout
        self.path = Path(self.process.stdout.readline().strip())

    def __enter__(self) -> Holder:
        return self

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def __exit__(self, *_: object) -> None:
        self.kill()


class TestLeftovers:
    def test_a_partial_file_goes_once_its_process_is_killed_and_not_before(self, tmp_path: Path) -> None:
        with Holder(f"beside(Path({str(tmp_path / 'x.whl')!r}))") as other:
            for there in (True, False):
                with replacing(tmp_path / "mine", overwrite=True):
                    assert other.path.exists() == there
                other.kill()
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_a_scratch_directory_goes_once_its_process_is_killed_and_not_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with Holder("scratch()", TMPDIR=str(tmp_path)) as other:
            (other.path / "big").write_bytes(b"data")
            for there in (True, False):
                with scratch() as mine:
                    assert mine.is_dir()
                    assert other.path.exists() == there
                other.kill()
        assert list(tmp_path.iterdir()) == []

    def test_what_is_not_ours_stays(self, tmp_path: Path) -> None:
        hexadecimal = "0123456789ab"
        (tmp_path / f"x.{hexadecimal}.partial").touch()  # not hidden
        (tmp_path / ".x.partial").touch()
        (tmp_path / f".x.{hexadecimal}.partial.unlocked").touch()
        (tmp_path / "precious").write_bytes(b"kept")
        (tmp_path / f".x.{hexadecimal}.partial").symlink_to("precious")
        os.mkfifo(tmp_path / f".y.{hexadecimal}.partial")
        before = {path.name for path in tmp_path.iterdir()}
        with replacing(tmp_path / "mine", overwrite=True):
            pass
        assert {path.name for path in tmp_path.iterdir()} == {*before, "mine"}

    def test_a_file_that_is_taken_for_stale_before_it_is_locked_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, taken = fcntl.flock, []

        def flock(descriptor: int, how: int) -> None:
            if not taken:
                taken.extend(hidden(tmp_path))
                taken[0].unlink()
            real(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", flock)
        with replacing(tmp_path / "file", overwrite=False) as file:
            file.write(b"whole")
        assert taken
        assert snapshot(tmp_path) == {"file": b"whole"}

    @pytest.mark.parametrize("name", ["ü" * 100, "名" * 80, "x" * 255])
    def test_a_name_of_any_length_can_be_written(self, tmp_path: Path, name: str) -> None:
        with replacing(tmp_path / name, overwrite=True) as file:
            file.write(b"whole")
        assert snapshot(tmp_path) == {name: b"whole"}


class TestSeveralFiles:
    def test_those_that_are_new_are_taken_back_when_one_cannot_be_placed(self, tmp_path: Path) -> None:
        (tmp_path / "b").write_bytes(b"old")
        with pytest.raises(FileExistsError) as raised, together(overwrite=False) as add:
            for name in "abc":
                add(tmp_path / name).write(b"new")
        assert raised.value.filename == str(tmp_path / "b")
        assert snapshot(tmp_path) == {"b": b"old"}

    def test_those_that_were_replaced_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        (tmp_path / "b").mkdir()
        with pytest.raises(OSError, match=r"replaced before that, each by a whole one: .*/a"), \
                together(overwrite=True) as add:  # fmt: skip
            for name in "ab":
                add(tmp_path / name).write(b"new")
        assert snapshot(tmp_path) == {"a": b"new"}


class TestSignals:
    def test_kills_at_random_instants(self, wheels: Path, tmp_path: Path) -> None:
        tally = Killing(sorted(wheels.iterdir()), tmp_path / "killed").run(25, seed=1)
        assert tally.failures == []
        assert tally.kills == sum(tally.by_signal.values()) == 25

    @pytest.mark.parametrize("numbers", [
        *([number] for number in sorted({*SIGNALS} - {signal.SIGKILL})),
        [signal.SIGTERM, signal.SIGHUP], [signal.SIGINT, signal.SIGINT, signal.SIGTERM],
    ])  # fmt: skip
    def test_one_or_more_while_the_wheel_is_written(
        self, wheels: Path, tmp_path: Path, numbers: list[signal.Signals]
    ) -> None:
        body = (
            "import os, signal\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            f"signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"for number in ({signal.SIGTERM}, {signal.SIGHUP}): signal.signal(number, signal.SIG_DFL)\n"
            f"def copy(*_):\n    for number in {[int(number) for number in numbers]}:\n"
            "        try: os.kill(os.getpid(), number)\n"
            "        except SystemExit as error: ended = error\n"
            "    raise ended\n"
            "ZipWriter.copy = copy"
        )
        done = subprocess.run(
            script(body, "merge", wheels, "-o", tmp_path / "out"), capture_output=True, text=True
        )
        assert done.returncode == 128 + numbers[0], done.stderr
        assert (done.stdout, done.stderr) == ("", "")
        assert not (tmp_path / "out").exists()

    def test_one_that_comes_where_python_ignores_exceptions(self, wheels: Path, tmp_path: Path) -> None:
        """In a finaliser, or in a callback of the import system, an exit is printed and forgotten."""
        body = (
            "import os, signal, time\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            "class Dying:\n"
            f"    def __del__(self): os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "def copy(*_):\n    Dying()\n    time.sleep(60)\n"
            "ZipWriter.copy = copy"
        )
        line = script(body, "merge", wheels, "-o", tmp_path / "out")
        done = subprocess.run(line, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
        assert not (tmp_path / "out").exists()

    def test_one_of_which_python_makes_another_exception(self, wheels: Path, tmp_path: Path) -> None:
        """As CPython 3.11 does where a class is made."""
        body = (
            "import os, signal\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            "def copy(*_):\n"
            f"    try: os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "    except SystemExit as error: raise RuntimeError('Error calling __set_name__') from error\n"
            "ZipWriter.copy = copy"
        )
        done = subprocess.run(
            script(body, "merge", wheels, "-o", tmp_path / "out"), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
        assert not (tmp_path / "out").exists()


class TestWorkers:
    BODY = (
        "import os, signal, time\n"
        "from wheelfuse.auditing.inputs import Input\n"
        "main, read = os.getpid(), Input.read\n"
        "def reading(self, threads=1):\n"
        "    if os.getpid() != main:\n        {act}\n"
        "    return read(self, threads)\n"
        "reading.__name__ = 'read'\n"  # workers find it by its name
        "Input.read = reading"
    )

    def test_one_that_is_killed(self, wheels: Path, tmp_path: Path) -> None:
        body = self.BODY.replace("{act}", "os.kill(os.getpid(), signal.SIGKILL)")
        report = tmp_path / "report.json"
        line = script(body, "audit", wheels, "--jobs", 3, "--format", f"json={report}")
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 5
        assert done.stderr.startswith("error: a process that read the inputs was killed\n")
        assert "run again with --jobs 1" in done.stderr
        assert not report.exists()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_they_end_with_the_process_that_started_them(
        self, wheels: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        """As after Ctrl-C at a terminal, all of them get the signal, unless it is SIGKILL."""
        notes = tmp_path / "notes"
        notes.mkdir()
        act = f"open(f'{notes}/{{os.getpid()}}', 'w').close(); time.sleep(1000)"
        line = script(self.BODY.replace("{act}", act), "audit", wheels, "--jobs", 3)
        process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True)
        limit = time.monotonic() + 30
        while len(list(notes.iterdir())) < 2:
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        process.kill() if number == signal.SIGKILL else os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
        assert process.returncode in (-number, 128 + number)
        assert "Traceback" not in err
        for note in notes.iterdir():
            while _alive(int(note.name)):
                assert time.monotonic() < limit, "a worker goes on alone"
                time.sleep(0.02)


def _alive(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_a_refusal_as_json_names_the_file_and_what_to_do(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out, _ = command("split", merged(wheels, tmp_path / "f"), "-d", tmp_path / "file" / "x", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (5, False)
    assert str(tmp_path / "file") in str(document["errors"])
