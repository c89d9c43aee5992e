"""Files with hostile names in them through every command, as a pipe reads it and as a terminal shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.building.projects import project, pythons
from tests.cli.test_output import in_a_terminal
from tests.native import library, module, soabi
from tests.odd_names import forbidden, orders
from tests.report.sarif import sarif_validator
from tests.report.test_json import valid
from tests.verifying.wheels import RUNNING, wheel
from tests.wheels import build_wheel, contents, wheelfuse
from wheelfuse.elf.image import read_image
from wheelfuse.escape import printable
from wheelfuse.target import Target

EVIL = "\x1b[2J\x9b8m\u202e::error::x##[error]y%0A"
"""For what may hold anything."""

UNSEEN = "::error::x\ufe0f\u3164\u034f[red]<img src=x>##[error]`%0A'$HOME' |é"
"""For names of members, in which wheels must have no control characters; these are invisible all the same."""

OF_BARS = re.compile(r"\x1b\[(?:\?25[lh]|2?K|1A)")
"""What a progress bar of rich sends besides colours: to hide the cursor, to go back to the line, and to clear it."""
OURS = re.compile(r"\x1b\[(?:0|1|2|3\d|4[09]|9\d|38;5;\d+)(?:;(?:1|2|3\d|49|38;5;\d+))*m")


def replaced(content: bytes, **names: str) -> bytes:
    """A shared object in which names stand in the place of others, of the same length in bytes at least."""
    for placeholder, name in names.items():
        assert placeholder.encode() in content
        content = content.replace(placeholder.encode(), name.encode().ljust(len(placeholder), b"_"))
    return content


def hostile_module(name: str, target: Target) -> bytes:
    """A module whose DT_NEEDED, soname and undefined symbol hold what a terminal obeys."""
    needed, soname, symbol = (f"{letter}{'_' * 60}{letter}" for letter in "NOP")
    made = module(
        name,
        target,
        symbol,
        flags=(f"-Wl,-soname,{soname}",),
        beside={f"{needed}.so": library("", f"{needed}.so")},
    )
    return replaced(made, **{needed: f"lib{EVIL}", soname: f"so{EVIL}", symbol: f"_Py{EVIL}"})


def files(target: Target, *, same: bool = True) -> Mapping[str, str | bytes]:
    return {
        soabi(f"pkg/_m{UNSEEN.replace('.', '')}", target): hostile_module("_m", target),
        soabi("pkg/_n", target): hostile_module("_n", target),
        f"pkg/{UNSEEN}.txt": "x" if same else str(target),
        f"pkg/{target}{UNSEEN}.txt": "only here",
        "pkg/text.py": f"x = {str(target)!r}  # {UNSEEN}\n",
    }


def hostile_wheels(directory: Path, *, same: bool = True) -> list[Path]:
    return [
        build_wheel(
            directory, str(target), files(target, same=same), metadata_extra=f"Summary: {EVIL}\nX-{target}: {EVIL}",
            requires_python="", platform="linux_x86_64",
        )
        for target in (Target(10), Target(11))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return hostile_wheels(tmp_path_factory.mktemp("wheels"), same=False)


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]) -> Path:
    """Made of them, with all conflicts settled."""
    out = tmp_path_factory.mktemp("fused")
    done = wheelfuse("merge", *wheels, "-o", out, "--resolve", "**=newest", "-q")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def checked(done: subprocess.CompletedProcess[str], *codes: int, may_order: bool = False) -> str:
    """What was printed, after it was seen to be harmless."""
    assert done.returncode in codes, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for text in (done.stdout, done.stderr):
        assert forbidden(text) == []
        assert may_order or orders(text) == []
    return done.stdout + done.stderr


def seen(*arguments: object, **env: str) -> str:
    """What a terminal shows, after all that begins with ESC was seen to be of wheelfuse."""
    shown = in_a_terminal(*arguments, **env)
    text = OURS.sub("", OF_BARS.sub("", shown)).replace("\r\n", "\n").replace("\r", "")
    assert forbidden(text) == []
    assert orders(text) == []
    return text


def pasted(text: str) -> list[str]:
    """The --resolve options of a message, as a shell reads them."""
    line = " ".join(re.findall(r"^ +(--resolve .*?=(?:newest|keep)')", text, re.MULTILINE))
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env={})
    return done.stdout.decode().split("\0")[:-1]


def test_the_files_are_as_hostile_as_meant(wheels: list[Path]) -> None:
    members = contents(wheels[0])
    image = read_image(next(content for path, content in members.items() if path.endswith(".so")))
    symbols = [symbol.name for symbol in image.imports]
    assert all(any("\x1b[2J" in name for name in found) for found in (image.needed, [image.soname], symbols))
    assert "\x1b[2J" in members["pkg-1.0.dist-info/METADATA"].decode()
    assert any("\u3164" in path for path in members)


def test_a_merge_that_is_refused_and_the_lines_that_settle_it(wheels: list[Path], tmp_path: Path) -> None:
    refused = wheelfuse("merge", *wheels, "-o", tmp_path)
    text = checked(refused, 4)
    shown = printable(UNSEEN.partition("[")[0])  # as a glob, in which brackets have brackets
    assert shown in text and shown in seen("merge", *wheels, "-o", tmp_path, COLUMNS="1000")
    document = valid("merge", wheelfuse("merge", *wheels, "-o", tmp_path, "--json").stdout)
    glob = f"pkg/{UNSEEN.replace('[', '[[]')}.txt"
    assert glob in [error["member"] for error in document["errors"]]
    rules = pasted(text)
    assert f"{glob}=newest" in rules
    done = wheelfuse("merge", *wheels, "-o", tmp_path, *rules)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--json",), ("--dry-run", "--json"), ("-q",)])
def test_a_merge(wheels: list[Path], tmp_path: Path, arguments: tuple[str, ...]) -> None:
    rule = ("--resolve", "**=newest", "--resolve", f"no/{EVIL}=drop")
    text = checked(wheelfuse("merge", *wheels, "-o", tmp_path / "out", *rule, *arguments), 0)
    assert "-q" in arguments or "\\u3164" in text
    seen("merge", *wheels, "-o", tmp_path / "seen", *rule, *arguments)


@pytest.mark.parametrize("arguments", [(), ("--json",), ("-q",)])
def test_a_split(fused: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    text = checked(wheelfuse("split", fused, "-d", tmp_path / "a", *arguments), 0)
    assert "-q" in arguments or "\\u3164" in text
    seen("split", fused, "-d", tmp_path / "b", *arguments)


@pytest.mark.parametrize("form", ["text", "json", "sarif", "markdown", "github", "junit"])
def test_an_audit(fused: Path, wheels: list[Path], form: str) -> None:
    arguments = (
        "audit",
        fused,
        *wheels,
        "--format",
        form,
        "--ignore",
        f"WF3:{EVIL}={EVIL}",
        "--road-to-abi3",
        "-v",
    )
    done = wheelfuse(*arguments, COLUMNS="1000")
    text = checked(done, 0, 1, may_order=form == "github")
    assert "u202e" in text
    if form == "json":
        valid("audit", done.stdout)
    elif form == "sarif":
        sarif_validator()(json.loads(done.stdout))
    elif form == "junit":
        ElementTree.fromstring(done.stdout)
    elif form == "github":
        assert all(
            re.match(r"::(?:error|warning|notice) file=[^:]*,title=[^:]*::", line)
            for line in orders(done.stdout)
        )
    else:
        seen(*arguments)


def test_an_audit_on_other_encodings_is_whole(wheels: list[Path]) -> None:
    for form, read in (("json", json.loads), ("junit", ElementTree.fromstring)):
        done = wheelfuse("audit", *wheels, "--format", form, PYTHONIOENCODING="ascii")
        assert read(done.stdout) is not None and done.stdout.isascii()
    assert "\\xe9" in wheelfuse("audit", *wheels, PYTHONIOENCODING="ascii").stdout


def test_a_verification(tmp_path: Path) -> None:
    body = f'PyErr_SetString(PyExc_ValueError, "{c_string(EVIL)}"); return -1;'
    declare = "extern void *PyExc_ValueError; extern void PyErr_SetString(void *, const char *);"
    crying = module("_cry", RUNNING, body=body, declare=declare)
    path = wheel(tmp_path, {soabi("pkg/_cry", RUNNING): crying, soabi(f"pkg/{UNSEEN}", RUNNING): crying})
    here = ("--python", str(RUNNING), "--offline", "--command", f"printf '%s\\n' '{EVIL}' >&2; exit 3")
    for arguments in ((), ("--json",), ("-q",)):
        text = checked(wheelfuse("verify", path, *here, *arguments, COLUMNS="1000"), 5)
        assert "-q" in arguments or "\\u202e" in text
    seen("verify", path, *here)


def c_string(text: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in text.encode())


def test_a_build_that_fails(tmp_path: Path) -> None:
    body = f"print({EVIL!r}, '\\n::error::z'); raise SystemExit({EVIL!r})"
    sources, target = project(tmp_path / "p", body), pythons(Target(12))
    for arguments in ((), ("--json",), ("-q",)):
        text = checked(wheelfuse("build", sources, "-d", tmp_path / "w", *target, *arguments), 5)
        assert "\\u202e" in text
    seen("build", sources, "-d", tmp_path / "w", *target)


def test_a_file_that_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text(f"#error {EVIL.replace('##', '')}\n", encoding="utf-8")
    arguments = (
        "compile",
        tmp_path / "a.cpp",
        "-o",
        tmp_path / "o",
        "--target",
        sys.executable,
        "-D",
        f"X={EVIL}",
    )
    for more in ((), ("--json",)):
        assert "u202e" in checked(wheelfuse(*arguments, *more), 5)
    assert "\\u202e" in seen(*arguments)


def wheel_with(directory: Path, file: str, text: str) -> Path:
    return build_wheel(directory, "cp310", dist_info={file: text})


def told_apart(directory: Path) -> list[Path]:
    """Two wheels whose entry points no parser takes."""
    texts = {target: f"[{EVIL}]\n{EVIL}{target}" for target in ("cp310", "cp311")}
    return [
        build_wheel(directory, target, dist_info={"entry_points.txt": text}) for target, text in texts.items()
    ]


NAME = '[project]\nrequires-python = ">=3.10"\nname = '
REFUSED: Mapping[str, Callable[[Path], tuple[object, ...]]] = {
    "no such file": lambda d: ("merge", d / f"{EVIL}.whl"),
    "no wheel's name": lambda d: ("merge", named(d / f"{EVIL}.whl", "x")),
    "no zip file": lambda d: ("merge", named(d / "pkg-1.0-cp310-cp310-linux_x86_64.whl", "x")),
    "a member's name": lambda d: ("merge", build_wheel(d, "cp310", {f"pkg/{EVIL}": ""})),
    "RECORD": lambda d: ("merge", build_wheel(d, "cp310", record=f'{EVIL},sha256=x,1\n"{EVIL}",{EVIL},{EVIL}\n')),
    "Requires-Python": lambda d: ("merge", build_wheel(d, "cp310", requires_python=f">={EVIL}")),
    "METADATA": lambda d: ("merge", wheel_with(d, "METADATA", f"Name: {EVIL}\nVersion: {EVIL}\n{EVIL}")),
    "WHEEL": lambda d: ("merge", wheel_with(d, "WHEEL", f"Wheel-Version: {EVIL}\nTag: {EVIL}\n")),
    "entry points": lambda d: ("merge", *told_apart(d)),
    "an option": lambda d: ("merge", "--resolve", EVIL, "x"),
    "an option that click refuses": lambda d: ("merge", f"--{EVIL}", "x"),
    "a value that click refuses": lambda d: ("audit", "--baseline", d / EVIL, "--with", d / EVIL, "x"),
    "a rule": lambda d: ("explain", EVIL),
    "a baseline": lambda d: ("audit", "x", "--baseline", named(d / "b", f'{{"schema": "{EVIL!a}"')),
    "an output": lambda d: ("merge", build_wheel(d / EVIL, "cp310"), "-o", d / EVIL),
    "settings": lambda d: (
        "merge", "x", "--config", named(d / "p.toml", f"[tool.wheelfuse.merge]\n{in_toml(EVIL)} = 1"),
    ),
    "a project": lambda d: ("ci", "github", "--project", named(d / "pyproject.toml", f"{NAME}{in_toml(EVIL)}")),
    "an interpreter": lambda d: (
        "pythons", "--project", named(d / "pyproject.toml", f"{NAME}'a'"), "--python", d / EVIL,
    ),
}  # fmt: skip
"""Arguments whose refusal would show what is hostile in them."""


def named(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def in_toml(text: str) -> str:
    return f'"{"".join(f"{chr(92)}U{ord(letter):08x}" for letter in text)}"'


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal(case: str, tmp_path: Path) -> None:
    arguments = REFUSED[case](tmp_path)
    done = wheelfuse(*arguments)
    text = checked(done, 2, 3, 4, 5)
    assert "u202e" in text or case in ("a baseline", "WHEEL", "no zip file"), text
    assert done.stderr
    seen(*arguments)


def test_the_path_for_a_program_is_what_it_is(tmp_path: Path, wheels: list[Path]) -> None:
    directory = tmp_path / "a\u202eb\x1b"
    done = wheelfuse("merge", *wheels, "-o", directory, "--resolve", "**=newest", "-q")
    assert done.stdout.startswith(f"{directory}/pkg-1.0-")
    assert Path(done.stdout.rstrip("\n")).is_file()


def test_nothing_else_prints() -> None:
    import wheelfuse as package

    room = Path(package.__file__).parent / "cli"
    printing = {
        path.name
        for path in room.glob("*.py")
        if re.search(r"click\.s?echo|\bprint\(|(?<!formatter)\.write\(", path.read_text())
    }
    assert printing - {"ci.py", "destinations.py"} == {"terminal.py"}  # these two write files
    assert not re.search(
        r"click\.s?echo|\bprint\(", (room / "ci.py").read_text() + (room / "destinations.py").read_text()
    )
