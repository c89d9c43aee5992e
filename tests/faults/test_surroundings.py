"""What others do meanwhile, and what the machine does not give: other merges, changing inputs, full disks, signals."""

from __future__ import annotations

import ctypes
import errno
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
from threading import Thread
from typing import Any

import pytest

from tests.faults.injection import counted
from tests.faults.kills import SIGNALS, Killing
from tests.faults.soundness import hidden, require_installable, snapshot
from tests.faults.test_every_call import PROJECT
from tests.fuse.merging import command
from tests.native import library
from tests.wheels import build_wheel, compile_library, extension_source, wheelfuse
from wheelfuse.building.placing import possible_way
from wheelfuse.temporary import LeftBehind, scratch
from wheelfuse.wheel.outputs import Unsettled, WriteFailed, replacing, together
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

    def mounted(
        self, wheels: Path, out: Path, options: str, before: str = "true"
    ) -> subprocess.CompletedProcess[str]:
        """Merge into a tmpfs, in which *before* was run; prints what is there after that."""
        out.mkdir()
        mount = (
            f'cd "$0" && mount -t tmpfs {options} none . && cd . && {{ {before}; }} || exit 99; '
            '"$@"; c=$?; cd "$0"; for file in $(ls -A); do echo "$file: $(cat $file)"; done; exit $c'
        )
        line = [sys.executable, "-m", "wheelfuse", "merge", str(wheels), "-o", str(out), "--force"]
        return subprocess.run(
            [*possible_way(), "sh", "-c", mount, str(out), *line], capture_output=True, text=True
        )

    @pytest.mark.skipif(not possible_way(), reason="this machine lets nobody mount")
    @pytest.mark.parametrize("pages", [2, 8, 25])
    @pytest.mark.parametrize("there_before", [False, True])
    def test_a_small_file_system(self, wheels: Path, tmp_path: Path, pages: int, there_before: bool) -> None:
        name = merged(wheels, tmp_path / "elsewhere").name
        before = f'cd "$0"; echo old > {name}' if there_before else "true"
        done = self.mounted(wheels, tmp_path / "out", f"-o size={pages * 4}k", before)
        assert (done.returncode, done.stdout) == (5, f"{name}: old\n" if there_before else "")
        assert "No space left on device" in done.stderr and "Free some space" in done.stderr

    @pytest.mark.skipif(not possible_way(), reason="this machine lets nobody mount")
    def test_a_file_system_for_reading_only(self, wheels: Path, tmp_path: Path) -> None:
        done = self.mounted(wheels, tmp_path / "out", "-r")
        assert (done.returncode, done.stdout) == (5, "")
        assert f"could not write: {tmp_path}/out/pkg-1.0-" in done.stderr
        assert ": Read-only file system; nothing there has changed" in done.stderr
        assert "Choose a directory that you may write to." in done.stderr

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

    def test_a_file_that_may_not_be_written_to_is_replaced(self, wheels: Path, tmp_path: Path) -> None:
        """As with every rename, the rights of the directory count."""
        path = merged(wheels, tmp_path / "out")
        path.write_bytes(b"old")
        path.chmod(0o444)
        done = self.run("merge", wheels, "-o", tmp_path / "out", "--force", "-q")
        assert (done.returncode, done.stderr) == (0, "")
        require_installable(path)

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

    @pytest.mark.parametrize(
        ("arguments", "code", "what"),
        [
            (("merge", "{closed}/x.whl"), 3, "{closed}/x.whl: cannot be read: Permission denied"),
            (("merge", "{closed}"), 3, "{closed}: cannot be read: Permission denied"),
            (("merge", "{long}"), 3, "{long}: cannot be read: File name too long"),
            (("merge", "{loop}"), 3, "{loop}: cannot be read: Too many levels of symbolic links"),
            (("split", "{closed}/x.whl"), 3, "{closed}/x.whl: cannot be read: Permission denied"),
            (("verify", "{closed}/x.whl"), 3, "{closed}/x.whl: cannot be read: Permission denied"),
            (("verify", "{closed}"), 3, "{closed}: cannot be read: Permission denied"),
            (("verify", "{absent}"), 3, "{absent}: cannot be opened: No such file or directory"),
            (
                ("compile", "{closed}/x.cpp", "-o", "{absent}", "--target", "cp311"),
                3,
                "{closed}/x.cpp: cannot be read: Permission",
            ),
            (("pythons", "--project", "{closed}/x"), 2, "{closed}/x: cannot be read: Permission denied"),
            (("ci", "github", "--project", "{closed}/x"), 2, "{closed}/x: cannot be read: Permission denied"),
        ],
        ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
    )
    def test_inputs_that_cannot_be_looked_at(
        self, tmp_path: Path, arguments: tuple[str, ...], code: int, what: str
    ) -> None:
        places = {name: str(tmp_path / name) for name in ("closed", "loop", "absent")}
        places["long"] = str(tmp_path / ("x" * 300))
        (tmp_path / "closed").mkdir()
        (tmp_path / "closed").chmod(0)
        (tmp_path / "loop").symlink_to("loop")
        done = self.run(*(argument.format(**places) for argument in arguments))
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"error: {what.format(**places)}")
        assert "could not write" not in done.stderr

    def test_a_link_to_itself_in_a_directory_of_wheels(self, wheels: Path, tmp_path: Path) -> None:
        (wheels / "x.whl").symlink_to("x.whl")
        done = self.run("merge", wheels, "-o", tmp_path / "out")
        assert done.returncode == 3
        assert f"{wheels}/x.whl: cannot be opened: Too many levels of symbolic links" in done.stderr
        done = self.run("audit", wheels / "x.whl")
        assert (done.returncode, done.stderr) == (1, "")
        assert "Too many levels of symbolic links" in done.stdout

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


class TestPlacesThatCannotBe:
    @pytest.mark.parametrize(
        ("name", "named", "todo"),
        [
            ("file/out", "file", "Choose another directory: what is to be one is a file."),
            ("x" * 300, "x" * 300, "Choose a directory with a shorter path."),
            ("loop/out", "loop", "Choose another directory: a symbolic link leads back to itself."),
        ],
        ids=["a file", "a long name", "a link to itself"],
    )
    def test_a_directory(self, wheels: Path, tmp_path: Path, name: str, named: str, todo: str) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "loop").symlink_to("loop")
        code, printed, err = command("merge", wheels, "-o", tmp_path / name)
        assert (code, printed) == (5, "")
        assert err.startswith(f"error: could not write: {tmp_path / named}")
        assert "; nothing there has changed\n" in err and err.endswith(f"    {todo}\n")

    def test_a_file_where_there_is_a_directory(self, wheels: Path, tmp_path: Path) -> None:
        code, _, err = command("audit", wheels, "--format", f"json={tmp_path}")
        assert code == 5
        assert err == (
            f"error: could not write: {tmp_path}: Is a directory; nothing there has changed\n"
            "    Choose another name: it is that of a directory.\n"
        )


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
        (tmp_path / f".z.{hexadecimal}.partial").mkdir()  # we make no directories of that name
        before = {path.name for path in tmp_path.iterdir()}
        with replacing(tmp_path / "mine", overwrite=True):
            pass
        assert {path.name for path in tmp_path.iterdir()} == {*before, "mine"}

    def test_a_file_with_the_name_of_a_directory_for_temporary_files_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        (tmp_path / "wheelfuse-0123456789ab").write_bytes(b"kept")
        with scratch():
            pass
        assert snapshot(tmp_path) == {"wheelfuse-0123456789ab": b"kept"}

    def test_what_a_program_made_read_only_goes_with_the_directory(self, tmp_path: Path) -> None:
        for name in ("tmp", "other"):
            (tmp_path / name).mkdir()
        (tmp_path / "other").chmod(0o555)
        program = (
            "import sys\nfrom pathlib import Path\nfrom wheelfuse.temporary import scratch\n"
            "with scratch() as place:\n"
            "    (place / 'a' / 'b').mkdir(parents=True)\n"
            "    (place / 'a' / 'b' / 'file').touch()\n"
            "    (place / 'a' / 'link').symlink_to(sys.argv[1])\n"
            "    (place / 'a' / 'b').chmod(0)\n"
            "    (place / 'a').chmod(0o555)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "other")], capture_output=True, text=True,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, preexec_fn=without_privileges,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert list((tmp_path / "tmp").iterdir()) == []
        assert (tmp_path / "other").stat().st_mode & 0o777 == 0o555

    def test_a_directory_that_stays_is_named_and_goes_with_the_next(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        told = pytest.warns(LeftBehind, match=r"/wheelfuse-\w+ could not be removed: Permission denied")
        with told, counted(("rmdir",), 0, onwards=True), scratch():
            pass
        assert len(list(tmp_path.iterdir())) == 1
        with scratch():
            pass
        assert list(tmp_path.iterdir()) == []

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
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_those_that_are_new_are_taken_back_when_one_cannot_be_placed(
        self, tmp_path: Path, overwrite: bool
    ) -> None:
        (tmp_path / "b").mkdir()
        with pytest.raises(OSError) as raised, together() as add:
            for name in ("a", "new/c", "b"):
                add(tmp_path / name, overwrite=overwrite).write(b"new")
        assert (raised.value.filename, raised.type) == (
            str(tmp_path / "b"), WriteFailed if overwrite else FileExistsError,
        )  # fmt: skip
        assert [path.name for path in tmp_path.iterdir()] == ["b"]

    def test_those_that_were_replaced_are_named_and_the_others_taken_back(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        (tmp_path / "b").mkdir()
        with pytest.raises(Unsettled) as raised, together() as add:
            for name in "0ab1":
                add(tmp_path / name, overwrite=True).write(b"new")
        assert str(raised.value.strerror).endswith(f"replaced before that, each by a whole one: {tmp_path}/a")
        assert snapshot(tmp_path) == {"a": b"new"}

    def test_what_another_put_there_meanwhile_is_not_taken_back(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        real = os.replace

        def replace(*arguments: Any, **named: Any) -> None:
            (tmp_path / "other").write_bytes(b"of another")
            real(tmp_path / "other", tmp_path / "a")
            real(*arguments, **named)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(WriteFailed), together() as add:
            for name in "ab":
                add(tmp_path / name, overwrite=True).write(b"new")
            patch.setattr(os, "replace", replace)
        assert snapshot(tmp_path) == {"a": b"of another"}

    def test_one_may_be_closed_when_all_is_in_it(self, tmp_path: Path) -> None:
        with together() as add:
            for name in "ab":
                with add(tmp_path / name, overwrite=False) as file:
                    file.write(b"whole")
        assert snapshot(tmp_path) == {"a": b"whole", "b": b"whole"}


class TestOutputsThatAreNoFiles:
    """Devices and named pipes: they are written to, and stay what they are."""

    COMMANDS = (
        ("audit", "{wheels}", "-q", "--fail-on", "never", "--format", "json={out}"),
        ("audit", "{wheels}", "-q", "--write-baseline", "{out}"),
        ("ci", "github", "--force", "-o", "{out}"),
    )

    def run(self, arguments: tuple[str, ...], wheels: Path, out: Path) -> subprocess.CompletedProcess[bytes]:
        (wheels.parent / "pyproject.toml").write_text(PROJECT)
        line = [argument.format(wheels=wheels, out=out) for argument in arguments]
        return subprocess.run(
            [sys.executable, "-m", "wheelfuse", *line], cwd=wheels.parent, capture_output=True
        )

    @pytest.mark.parametrize("arguments", COMMANDS)
    @pytest.mark.parametrize("name", ["pipe", "link to a pipe", "/dev/stdout"])
    def test_a_named_pipe(self, wheels: Path, tmp_path: Path, arguments: tuple[str, ...], name: str) -> None:
        expected = tmp_path / "file"
        assert self.run(arguments, wheels, expected).returncode == 0
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        (tmp_path / "link to a pipe").symlink_to("pipe")
        if name == "/dev/stdout":
            assert self.run(arguments, wheels, Path(name)).stdout.startswith(expected.read_bytes())
            return
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            done = self.run(arguments, wheels, tmp_path / name)
            if done.returncode or not pipe.is_fifo():
                reader.kill()
            assert reader.communicate()[0] == expected.read_bytes(), done.stderr
        assert pipe.is_fifo() and (tmp_path / "link to a pipe").is_symlink()

    @pytest.mark.parametrize("arguments", COMMANDS)
    def test_a_device(self, wheels: Path, arguments: tuple[str, ...]) -> None:
        main, side = os.openpty()
        terminal = Path(os.ttyname(side))
        shown: list[bytes] = []

        def show() -> None:
            with suppress(OSError):  # how Linux says that the other side is closed
                while data := os.read(main, 1 << 16):
                    shown.append(data)

        reader = Thread(target=show)
        reader.start()
        done = self.run(arguments, wheels, terminal)
        still_there = terminal.is_char_device()
        os.close(side)
        reader.join()
        os.close(main)
        assert done.returncode == 0, done.stderr
        assert still_there and shown

    def test_a_link_to_a_file_stays_and_the_file_is_replaced(self, wheels: Path, tmp_path: Path) -> None:
        for number, arguments in enumerate(self.COMMANDS):
            target, link = tmp_path / f"target{number}", tmp_path / f"link{number}"
            target.write_bytes(b"old")
            link.symlink_to(target)
            assert self.run(arguments, wheels, link).returncode == 0
            assert link.is_symlink() and target.stat().st_size > 3

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_a_wheel_replaces_only_files(
        self, wheels: Path, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        path = merged(wheels, tmp_path / "out")
        path.unlink()
        make(path)
        mode = path.stat().st_mode
        code, _, err = command("merge", wheels, "-o", tmp_path / "out", "--force")
        assert code == 2
        assert f"{path}: exists already, and is no file" in err
        assert path.stat().st_mode == mode


class TestDebugFiles:
    """Two merges of the same wheels with one directory for debug files."""

    @pytest.fixture
    def debuggable(self, tmp_path: Path) -> Path:
        for name, target in (("a", "cp310"), ("b", "cp311")):
            built = compile_library(
                tmp_path / f"{name}.so", extension_source(f"_{name}"), "-g", "-Wl,--build-id"
            )
            build_wheel(tmp_path / "in", target, {f"pkg/_m.cpython-{target[2:]}-x86_64-linux-gnu.so": built})
        return tmp_path / "in"

    def line(self, wheels: Path, out: Path) -> tuple[object, ...]:
        return (
            "merge", wheels, "-o", out, "-q", "--strip-debug", "--debug-files", out.parent / "debug",
            "--allow-missing", "cp310", "--allow-missing", "cp311",
        )  # fmt: skip

    def test_at_the_same_time(self, debuggable: Path, tmp_path: Path) -> None:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "wheelfuse", *map(str, self.line(debuggable, tmp_path / f"out{n}"))],
                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            )
            for n in range(4)
        ]  # fmt: skip
        ends = [(process.communicate()[1], process.returncode) for process in running]
        assert ends == [("", 0)] * 4
        assert len(snapshot(tmp_path / "debug")) == 2
        assert len({content for n in range(4) for content in snapshot(tmp_path / f"out{n}").values()}) == 1

    @pytest.mark.parametrize("failing", [False, True])
    def test_one_that_is_done_while_another_places_its_files(
        self, debuggable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
    ) -> None:
        real = os.link

        def link(source: Any, target: Any, **named: Any) -> None:
            if str(target).endswith(".whl") and failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(source, target, **named)

        def first(*arguments: Any, **named: Any) -> None:
            monkeypatch.setattr(os, "link", real)
            assert command(*self.line(debuggable, tmp_path / "first"))[0] == 0
            monkeypatch.setattr(os, "link", link)
            link(*arguments, **named)

        monkeypatch.setattr(os, "link", first)
        code, _, err = command(*self.line(debuggable, tmp_path / "second"))
        assert code == (5 if failing else 0), err
        assert ("replaced before that" in err) == failing
        assert (tmp_path / "second").exists() != failing
        assert len(snapshot(tmp_path / "debug")) == 2
        assert hidden(tmp_path) == []

    def test_a_merge_that_fails_leaves_the_old_ones(
        self, debuggable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert command(*self.line(debuggable, tmp_path / "out"))[0] == 0
        for path in (tmp_path / "debug").rglob("*.debug"):
            path.write_bytes(b"the old one")
        before = snapshot(tmp_path)

        def copy(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(ZipWriter, "put", copy)
        code, _, _ = command(*self.line(debuggable, tmp_path / "out"), "--force")
        assert code != 0
        assert snapshot(tmp_path) == before

    def test_a_directory_that_is_not_confirmed_keeps_what_is_in_it(
        self, debuggable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.fsync

        def fsync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if ".build-id" in path.parts and path.is_dir():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        code, _, err = command(*self.line(debuggable, tmp_path / "out"))
        assert code == 5 and "is there, and whole" in err
        assert len(snapshot(tmp_path / "debug")) == 2
        [wheel] = (tmp_path / "out").iterdir()
        require_installable(wheel)


class TestStandardStreams:
    def shell(self, end: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "wheelfuse", *map(str, arguments)]
        return subprocess.run(["sh", "-c", f'"$@" {end}', "sh", *line], capture_output=True, text=True)

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_some_are_closed(self, wheels: Path, tmp_path: Path, closed: str) -> None:
        done = self.shell(closed, "merge", wheels, "-o", tmp_path / "out")
        assert (done.returncode, done.stderr) == (0, "")
        [wheel] = (tmp_path / "out").iterdir()
        require_installable(wheel)

    @pytest.mark.parametrize("closed", [">&-", "2>&-"])
    def test_a_refusal_while_some_are_closed(self, tmp_path: Path, closed: str) -> None:
        assert self.shell(closed, "merge", tmp_path / "missing").returncode == 2

    def test_names_from_a_closed_one(self) -> None:
        done = self.shell("<&-", "merge", "-")
        assert done.returncode == 2
        assert "no wheels were given" in done.stderr

    @pytest.mark.parametrize("end", ["2>/dev/full", "2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}"])
    @pytest.mark.parametrize("arguments", [("merge", "/missing"), ("merge", "--unknown"), ("nonsense",)])
    def test_messages_that_nobody_reads(self, end: str, arguments: tuple[str, ...]) -> None:
        line = [sys.executable, "-m", "wheelfuse", *arguments]
        done = subprocess.run(["bash", "-c", f'"$@" {end}', "bash", *line], stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("kind", [RuntimeError, RecursionError, MemoryError, KeyError])
def test_a_fault_has_an_exit_code_of_its_own(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def copy(*_: object) -> None:
        raise kind("::error::\x1b]0;deep")

    monkeypatch.setattr(ZipWriter, "copy", copy)
    code, out, err = command("merge", wheels, "-o", tmp_path / "out")
    assert (code, out) == (70, "")
    assert err.startswith("Traceback (most recent call last):\n")
    assert kind.__name__ in err and "\x1b" not in err and "\n::error" not in err
    assert err.splitlines()[-2:] == [
        "error: this is a fault of wheelfuse, not yours",
        "    Please report it, with the lines above and the command that you gave.",
    ]
    assert not (tmp_path / "out").exists()


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

    def test_what_it_does_to_others_may_be_told_first(self, wheels: Path, tmp_path: Path) -> None:
        """A worker that it killed is no reason of its own, if Python ignored the signal here for a moment."""
        body = (
            "import os, signal\n"
            "from wheelfuse.errors import JobFailed\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            "class Dying:\n"
            f"    def __del__(self): os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "def copy(*_):\n    Dying()\n    raise JobFailed('a process was killed')\n"
            "ZipWriter.copy = copy"
        )
        line = script(body, "merge", wheels, "-o", tmp_path / "out")
        done = subprocess.run(line, capture_output=True, text=True, timeout=30)
        assert done.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), done.stderr
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
