"""What others do meanwhile, or did and left behind: inputs that change, other merges, processes that were killed."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.injection import counted
from tests.faults.merging import merged, without_privileges
from tests.faults.soundness import hidden, require_installable, snapshot
from tests.fuse.merging import command
from tests.wheels import build_wheel, compile_library, extension_source
from wheelfuse.temporary import LeftBehind, scratch
from wheelfuse.wheel.outputs import Unsettled, WriteFailed, replacing, together
from wheelfuse.wheel.writer import ZipWriter


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
