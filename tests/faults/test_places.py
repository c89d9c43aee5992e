"""Places that outputs and temporary files cannot go to, or not as a plain file: full disks, rights, devices."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.faults.merging import merged, without_privileges
from tests.faults.soundness import require_installable, snapshot
from tests.faults.test_every_call import PROJECT
from tests.fuse.merging import command
from tests.native import library
from tests.wheels import wheelfuse
from wheelfuse.building.placing import possible_way


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


def test_a_refusal_as_json_names_the_file_and_what_to_do(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out, _ = command("split", merged(wheels, tmp_path / "f"), "-d", tmp_path / "file" / "x", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (5, False)
    assert str(tmp_path / "file") in str(document["errors"])
