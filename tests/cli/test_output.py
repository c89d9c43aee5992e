"""How the command line behaves: what it takes, where it prints what, and what it does when it cannot print or write."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuse.merging import command
from tests.wheels import build_wheel, compile_library, extension_source, wheelfuse

TARGETS = ("cp310", "cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight wheels with two modules, Python source that differs, and a member that only some have to be kept."""
    directory = tmp_path_factory.mktemp("wheels")
    modules = {
        name: compile_library(directory / f"{name}.so", extension_source(name))
        for name in ("_fast", "_a_module_with_quite_a_long_name")
    }
    return [
        build_wheel(
            directory,
            target,
            {f"pkg/{name}.cpython-{target[2:]}-x86_64-linux-gnu.so": module for name, module in modules.items()}
            | {"pkg/config.py": f"TARGET = {target!r}\n", "pkg/data.bin": b"\0" * 50_000 + target.encode()},
        )
        for target in TARGETS
    ]  # fmt: skip


KEEP = ("--resolve", "pkg/data.bin=newest")


def merged(
    wheels: list[Path], out: Path, *arguments: object, **how: object
) -> subprocess.CompletedProcess[str]:
    return wheelfuse("merge", *wheels, "-o", out, *KEEP, *arguments, **how)  # type: ignore[arg-type]


def test_stdout_is_the_result_and_stderr_the_messages(wheels: list[Path], tmp_path: Path) -> None:
    done = merged(wheels, tmp_path / "out", "--resolve", "none/**=drop")
    [output] = (tmp_path / "out").iterdir()
    assert done.returncode == 0
    assert done.stderr == "warning: --resolve none/**=drop matched no difference\n    Remove it.\n"
    assert "pkg 1.0: 8 wheels fused into one" in done.stdout
    assert output.name in done.stdout.splitlines()
    assert "pkg._fast" in done.stdout
    assert "times the largest input" in done.stdout
    assert re.search(r"^sha256 [0-9a-f]{64}$", done.stdout, re.M)


def test_quiet_prints_nothing_but_the_path(wheels: list[Path], tmp_path: Path) -> None:
    done = merged(wheels, tmp_path / "out", "-q", "--resolve", "none/**=drop")
    [output] = (tmp_path / "out").iterdir()
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{output}\n", "")


def test_a_directory_and_standard_input_name_wheels(wheels: list[Path], tmp_path: Path) -> None:
    directory = wheels[0].parent
    paths = "".join(f"{path}\n\n" for path in wheels)
    outputs = []
    for number, (arguments, stdin) in enumerate(
        [((directory,), None), (("-",), paths), ((directory, *wheels), None)]
    ):
        done = wheelfuse("merge", *arguments, "-o", tmp_path / str(number), "-q", *KEEP, stdin=stdin)
        assert done.returncode == 0, done.stderr
        outputs.append(Path(done.stdout.strip()).read_bytes())
    assert len(set(outputs)) == 1


def test_the_shell_expands_globs(wheels: list[Path], tmp_path: Path) -> None:
    given = f"{wheels[0].parent}/*-cp31[01]-*.whl"
    line = f"{sys.executable} -m wheelfuse merge {given} -o {tmp_path}/out -q {' '.join(KEEP)}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pkg-1.0-cp310.cp311-cp310.cp311-" in done.stdout


def from_stdin(names: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "wheelfuse", *arguments, "-"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    return subprocess.run(line, input=names, capture_output=True, env=environment)


@pytest.mark.parametrize("command", ["merge", "audit", "verify"])
def test_names_from_standard_input_are_bytes_and_hold_no_nul(tmp_path: Path, command: str) -> None:
    there = os.path.join(os.fsencode(tmp_path), b"a\xff.whl")  # noqa: PTH118
    Path(os.fsdecode(there)).write_bytes(b"no zip file")
    done = from_stdin(there + b"\n", command)
    assert b"not a zip file" in done.stdout + done.stderr
    assert b"a\\udcff.whl" in done.stdout + done.stderr and b"Traceback" not in done.stderr
    done = from_stdin(b"a\0b\0", command)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"error: standard input: a NUL byte in a name: 'a\\x00b" in done.stderr
    assert b"One name a line: find -print, not -print0." in done.stderr


def test_a_standard_input_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    handle = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    line = [sys.executable, "-m", "wheelfuse", "audit", "-"]
    done = subprocess.run(line, stdin=handle, capture_output=True, text=True)
    os.close(handle)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: standard input: cannot be read: Bad file descriptor\n"


def test_empty_standard_input_is_refused() -> None:
    done = wheelfuse("merge", "-", stdin="")
    assert done.returncode == 2
    assert "no wheels were given" in done.stderr


def test_the_output_goes_to_this_directory_unless_told_otherwise(wheels: list[Path], tmp_path: Path) -> None:
    done = wheelfuse("merge", *wheels, "-q", *KEEP, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [done.stdout.strip()]


def test_a_dry_run_writes_nothing(wheels: list[Path], tmp_path: Path) -> None:
    done = merged(wheels, tmp_path / "out", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "would be fused into one (dry run)" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_dry_run_exits_as_the_merge_would(wheels: list[Path], tmp_path: Path) -> None:
    done = wheelfuse("merge", *wheels, "-o", tmp_path / "out", "--dry-run")
    assert done.returncode == 4
    assert "pkg/data.bin" in done.stderr and "--resolve 'pkg/data.bin=newest'" in done.stderr
    assert "cannot be fused into one (dry run)" in done.stdout
    assert not (tmp_path / "out").exists()


def test_the_line_that_a_refusal_prints_settles_it(wheels: list[Path], tmp_path: Path) -> None:
    done = wheelfuse("merge", *wheels, "-o", tmp_path / "out")
    assert done.returncode == 4
    [rule] = re.findall(r"--resolve '([^']+=newest)'", done.stderr)
    assert wheelfuse("merge", *wheels, "-o", tmp_path / "out", "--resolve", rule).returncode == 0


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_lines_fit_the_terminal(wheels: list[Path], tmp_path: Path, columns: int) -> None:
    done = merged(wheels, tmp_path / "out", COLUMNS=str(columns))
    assert done.returncode == 0
    # Of these nothing may be broken: they are for copying.
    for_copying = re.compile(r"pkg-1.0-|sha256 |in     | *pkg/\S+:?$|\s+\S+$")
    too_long = [
        line for line in done.stdout.splitlines() if len(line) > columns and not for_copying.match(line)
    ]
    assert too_long == []
    assert "…" not in done.stdout
    for label in TARGETS:
        assert re.search(rf"\b{label}\b", done.stdout), f"{label} cannot be read"
    assert len(re.findall(r"\bown\b", done.stdout)) == 2 * len(TARGETS)


def in_a_terminal(*arguments: object, **env: str) -> str:
    """What the command prints on a terminal."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "100"} | env
    main, side = pty.openpty()
    line = [sys.executable, "-m", "wheelfuse", *map(str, arguments)]
    with subprocess.Popen(line, stdin=side, stdout=side, stderr=side, env=environment) as process:
        os.close(side)
        chunks = []
        try:
            while chunk := os.read(main, 65536):
                chunks.append(chunk)
        except OSError:  # how Linux says that the other side is closed
            pass
        process.wait()
    os.close(main)
    return b"".join(chunks).decode()


COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


def test_a_terminal_gets_colour(wheels: list[Path], tmp_path: Path) -> None:
    shown = in_a_terminal("merge", *wheels, "-o", tmp_path / "out", *KEEP)
    assert COLOURS.search(shown)


def test_colour_can_be_forced_into_a_pipe(wheels: list[Path], tmp_path: Path) -> None:
    forced = merged(wheels, tmp_path / "1", FORCE_COLOR="1")
    assert COLOURS.search(forced.stdout) or "\x1b[1;32m" in forced.stdout
    for more in ({"NO_COLOR": "1"}, {"WHEELFUSE_PLAIN": "1"}, {"FORCE_COLOR": "0"}):
        shown = merged(wheels, tmp_path / str(more), **{"FORCE_COLOR": "1", **more})
        assert ESCAPE not in shown.stdout + shown.stderr


@pytest.mark.parametrize("variable", [{"TERM": "dumb"}, {"WHEELFUSE_PLAIN": "1"}])
def test_a_terminal_that_obeys_nothing_gets_no_escape_codes(
    wheels: list[Path], tmp_path: Path, variable: dict[str, str]
) -> None:
    assert ESCAPE not in in_a_terminal("merge", *wheels, "-o", tmp_path / "out", *KEEP, **variable)


def test_no_color_is_honoured(wheels: list[Path], tmp_path: Path) -> None:
    shown = in_a_terminal("merge", *wheels, "-o", tmp_path / "out", *KEEP, NO_COLOR="1")
    assert not COLOURS.search(shown)
    refused = in_a_terminal("merge", *wheels, "-o", tmp_path / "other", NO_COLOR="1")
    assert "error: " in refused
    assert not COLOURS.search(refused)


@pytest.mark.parametrize("variable", ["CLICOLOR_FORCE", "TERM"])
def test_a_pipe_gets_no_escape_codes(wheels: list[Path], tmp_path: Path, variable: str) -> None:
    done = merged(wheels, tmp_path / "out", **{variable: "xterm-256color" if variable == "TERM" else "1"})
    refused = wheelfuse("merge", *wheels, "-o", tmp_path / "out")
    assert ESCAPE not in done.stdout + done.stderr + refused.stdout + refused.stderr
    assert "verifying" not in done.stderr


def test_a_reader_that_has_enough_is_no_error(wheels: list[Path], tmp_path: Path) -> None:
    line = [sys.executable, "-m", "wheelfuse", "merge", *map(str, wheels), "-o", str(tmp_path / "out"), *KEEP]
    for arguments in ([], ["--json"]):
        with subprocess.Popen(
            [*line, "--force", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout and process.stderr
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 141


def test_a_standard_output_that_is_full_is_told_but_the_wheel_is_there(
    wheels: list[Path], tmp_path: Path
) -> None:
    line = [sys.executable, "-m", "wheelfuse", "merge", *map(str, wheels), "-o", str(tmp_path / "out"), *KEEP]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 5
    assert done.stderr == "error: No space left on device\n"
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_large_wheel_is_a_warning(
    wheels: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wheelfuse.fuse.api.INDEX_LIMIT", 1000)
    code, _, message = command("merge", *wheels, "-o", tmp_path / "out", *KEEP)
    assert code == 0
    assert re.search(
        r"warning: pkg-1\.0-\S+\.whl: \d+ MiB: the public index takes more than 100 MiB only", message
    )


def test_paths_are_shown_as_they_are(wheels: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "[red]:smile:"
    done = merged(wheels, place)
    assert f"in     {place}" in done.stdout


def test_split_tells_what_it_wrote(wheels: list[Path], tmp_path: Path) -> None:
    fused = merged(wheels, tmp_path / "fused", "-q").stdout.strip()
    done = wheelfuse("split", fused, "-d", tmp_path / "out", "--target", "cp312,cp314t")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name.split("-")[3] for path in (tmp_path / "out").iterdir()) == ["cp312", "cp314t"]
    assert "not restorable: 1 file (--resolve pkg/data.bin=newest)\n        pkg/data.bin\n" in done.stdout
    quiet = wheelfuse("split", fused, "-d", tmp_path / "quiet", "-q")
    assert [Path(line).exists() for line in quiet.stdout.splitlines()] == [True] * len(TARGETS)


def test_version_and_help() -> None:
    assert re.fullmatch(r"wheelfuse, version \d+\.\d+\S*\n", wheelfuse("--version").stdout)
    shown = wheelfuse("--help").stdout
    assert "merge" in shown and "split" in shown and "Exit codes" in shown
    for name in ("merge", "split"):
        assert wheelfuse(name).returncode in (0, 2)
        assert "Usage:" in wheelfuse(name, "--help").stdout
    assert wheelfuse("frobnicate").returncode == 2
