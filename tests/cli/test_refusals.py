"""Every refusal of `wheelfuse merge`: what it says, its exit code, and that it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fuse.merging import command
from tests.wheels import build_wheel, compile_library

Make = Callable[[Path], list[Path]]


def matrix(*targets: str, files: object = None, **how: object) -> Make:
    """Wheels for these targets; *files* are everybody's, or a function of the target."""

    def make(directory: Path) -> list[Path]:
        return [
            build_wheel(directory, target, files(target) if callable(files) else files, **how)  # type: ignore[arg-type]
            for target in targets
        ]

    return make


def both(*makers: Make) -> Make:
    return lambda directory: [
        path for number, make in enumerate(makers) for path in make(directory / str(number))
    ]


def differing(path: str) -> Callable[[str], dict[str, str]]:
    """A file whose content is another one for each target."""
    return lambda target: {path: f"for {target}\n"}


def only(target: str, *paths: str) -> Callable[[str], dict[str, str]]:
    """Files that only the wheel for *target* has."""
    return lambda current: dict.fromkeys(paths, "x = 1\n") if current == target else {}


PAIR = matrix("cp310", "cp311")
TRIO = matrix("cp310", "cp311", "cp312")


@dataclass(frozen=True)
class Refusal:
    """Wheels, arguments, the exit code, and texts that the message must hold."""

    make: Make
    code: int
    texts: tuple[str, ...]
    arguments: tuple[str, ...] = ()


CASES = {
    # The same thing?
    "distribution": Refusal(
        both(matrix("cp310"), matrix("cp311", name="other")), 4,
        ("not builds of one release", "distribution", "pkg: pkg-1.0-cp310-cp310", "other: other-1.0-cp311-cp311"),
    ),
    "version": Refusal(both(matrix("cp310"), matrix("cp311", version="1.1")), 4, ("version", "1.0: pkg", "1.1: pkg")),
    "build tag": Refusal(both(matrix("cp310"), matrix("cp311", build="2")), 4, ("build tag", "none: pkg", "2: pkg")),
    "purelib": Refusal(both(matrix("cp310"), matrix("cp311", purelib=True)), 4, ("Root-Is-Purelib", "true: pkg")),
    "machine": Refusal(
        both(matrix("cp310"), matrix("cp311", platform="manylinux_2_17_aarch64")), 4,
        ("machine and libc", "x86_64", "aarch64"),
    ),
    "libc": Refusal(
        both(matrix("cp310"), matrix("cp311", platform="musllinux_1_2_x86_64")), 4, ("machine and libc", "musl"),
    ),
    "every difference in one run": Refusal(
        both(matrix("cp310"), matrix("cp311", version="2", build="3")), 4, ("version", "build tag"),
    ),
    "two for one target": Refusal(
        both(PAIR, matrix("cp311", platform="manylinux_2_28_x86_64")), 4,
        ("2 wheels for cp311", "manylinux_2_28_x86_64.whl", "Give one of them."),
    ),
    "PyPy": Refusal(
        both(PAIR, matrix("cp39", tag="pp310-pypy310_pp73")), 3, ("pkg-1.0-pp310-pypy310_pp73", "CPython"),
    ),
    "CPython 2": Refusal(both(PAIR, matrix("cp39", tag="cp27-cp27mu")), 3, ("pkg-1.0-cp27-cp27mu", "CPython")),
    "macOS": Refusal(
        matrix("cp312", platform="macosx_11_0_arm64"), 3,
        ("pkg-1.0-cp312-cp312-macosx_11_0_arm64.whl", "wheels for macOS cannot be fused yet"),
    ),
    "Windows": Refusal(
        matrix("cp312", platform="win_amd64"), 3,
        ("pkg-1.0-cp312-cp312-win_amd64.whl", "wheels for Windows cannot be fused yet"),
    ),
    # Coverage
    "a missing target": Refusal(
        matrix("cp310", "cp311", "cp313"), 4,
        ("cp312 is missing", "--expect cp310,cp311,cp313", "--allow-missing cp312"),
    ),
    "missing ones up to the upper bound": Refusal(
        matrix("cp310", "cp311", requires_python=">=3.10,<3.14"), 4,
        ("cp312, cp313 are missing", "Requires-Python >=3.10,<3.14", "--allow-missing cp312,cp313"),
    ),
    "expected, but missing": Refusal(PAIR, 4, ("cp312 is missing", "--expect"), ("--expect", "cp310,cp311,cp312")),
    "there, but not expected": Refusal(TRIO, 4, ("cp312", "--expect does not name it"), ("--expect", "cp310,cp311")),
    "no Requires-Python that can be read": Refusal(
        matrix("cp310", "cp311", requires_python="three"), 3, ("pkg-1.0-cp310-cp310", "three"),
    ),
    # Differences
    "data": Refusal(
        matrix("cp310", "cp311", files=differing("pkg/table.bin")), 4,
        ("pkg/table.bin", "differing data", "in cp310", "in cp311", "-for cp310", "+for cp311",
         "--resolve 'pkg/table.bin=newest'  cp311's for all", "--resolve 'pkg/table.bin=oldest'  cp310's for all"),
    ),
    "header": Refusal(matrix("cp310", "cp311", files=differing("pkg/api.h")), 4, ("pkg/api.h", "headers")),
    "stubs": Refusal(matrix("cp310", "cp311", files=differing("pkg/a.pyi")), 4, ("pkg/a.pyi", "type stubs")),
    "pth": Refusal(matrix("cp310", "cp311", files=differing("a.pth")), 4, ("a.pth", "run", "at start-up")),
    "pth of one": Refusal(
        matrix("cp310", "cp311", files=only("cp310", "a-3.10.pth")), 4, ("a-3.10.pth", "not in cp311"),
    ),
    "script": Refusal(matrix("cp310", "cp311", files=differing("pkg-1.0.data/scripts/run")), 4, ("scripts/run",)),
    "one-sided module": Refusal(
        matrix("cp310", "cp311", "cp312", files=only("cp310", "pkg/old.py")), 4,
        ("pkg/old.py", "in cp310", "not in cp311, cp312", "--resolve 'pkg/old.py=keep'", "--resolve 'pkg/old.py=drop'"),
    ),
    "a directory of one, in one line": Refusal(
        matrix("cp310", "cp311", files=lambda target: differing("pkg/config.py")(target)
               | only("cp310", *(f"pkg/distutils/{n}/m{n}.py" for n in range(40)))(target)), 4,
        ("40 files", "--resolve 'pkg/distutils/**=drop'"),
    ),
    "all conflicts in one run": Refusal(
        matrix("cp310", "cp311", files=lambda target: differing("pkg/a.bin")(target) | only("cp311", "b.py")(target)
               | differing("pkg/c.h")(target)), 4,
        ("pkg/a.bin=newest", "b.py=keep", "pkg/c.h=newest"),
    ),
    "conflicts together with missing targets": Refusal(
        matrix("cp310", "cp312", files=differing("pkg/a.bin")), 4, ("pkg/a.bin=newest", "cp311 is missing"),
    ),
    # Options
    "unknown strategy": Refusal(
        PAIR, 2, ("--resolve '*=guess'", "unknown strategy 'guess'", "keep, drop, newest"), ("--resolve", "*=guess"),
    ),
    "no strategy": Refusal(PAIR, 2, ("--resolve 'pkg/**' is not GLOB=STRATEGY",), ("--resolve", "pkg/**")),
    "strategy of a target that did not come": Refusal(
        matrix("cp310", "cp311", files=differing("pkg/a.bin")), 4, ("no such wheel came, only cp310, cp311",),
        ("--resolve", "pkg/a.bin=cp312"),
    ),
    "no target": Refusal(PAIR, 2, ("'3.12'", "cp313t"), ("--expect", "3.12")),
    "no hole": Refusal(PAIR, 2, ("'new'",), ("--allow-missing", "new")),
    "unknown option": Refusal(PAIR, 2, ("--frobnicate",), ("--frobnicate",)),
    "output of another name": Refusal(
        PAIR, 2, ("must be called pkg-1.0-cp310.cp311-cp310.cp311-", "installers go by the tags"),
        ("-o", "{out}/pkg.whl"),
    ),
    "no such wheel": Refusal(lambda directory: [directory / "none.whl"], 2, ("none.whl", "no such file or directory")),
    "no wheel name": Refusal(
        lambda directory: [build_wheel(directory, "cp310").rename(directory / "pkg.whl")], 3,
        ("pkg.whl", "not a wheel file name"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Refusal) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    wheels = case.make(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    arguments = [argument.format(out=out) for argument in case.arguments]
    code, stdout, message = command("merge", *wheels, "-o", out, *arguments)
    unwrapped = " ".join(message.split())
    assert code == case.code, message
    assert stdout == ""
    for text in case.texts:
        assert " ".join(text.split()) in unwrapped, f"{text!r} is not in: {message}"
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    code, _, message = command("merge", tmp_path)
    assert code == 2
    assert f"{tmp_path}: no wheel in this directory" in message


def test_an_existing_output_is_kept_unless_forced(tmp_path: Path) -> None:
    wheels = PAIR(tmp_path / "in")
    code, first, _ = command("merge", *wheels, "-o", tmp_path / "out", "-q")
    assert code == 0
    output = Path(first.strip())
    output.write_bytes(b"mine")
    code, stdout, message = command("merge", *wheels, "-o", tmp_path / "out", "-q")
    assert (code, stdout) == (2, "")
    assert "exists already" in message and "--force" in message and str(output) in message
    assert output.read_bytes() == b"mine"
    code, _, _ = command("merge", *wheels, "-o", tmp_path / "out", "-q", "--force")
    assert code == 0
    assert output.read_bytes() != b"mine"
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("through", ["name", "symlink", "hard link"])
def test_an_input_is_never_replaced_even_with_force(tmp_path: Path, through: str) -> None:
    _, fused, _ = command("merge", *PAIR(tmp_path / "in"), "-o", tmp_path / "fused", "-q")
    given = Path(fused.strip())
    place = given.parent
    if through != "name":
        place = tmp_path / "out"
        place.mkdir()
        link = place / given.name
        link.symlink_to(given) if through == "symlink" else link.hardlink_to(given)
    before = given.read_bytes()
    code, _, message = command("merge", given, "-o", place, "--force")
    assert code == 2
    assert "the output would replace an input" in message
    assert given.read_bytes() == before


def test_strict_refuses_what_would_be_collapsed(tmp_path: Path) -> None:
    library = {
        target: compile_library(tmp_path / "lib.so", f'const char *made = "{target}"; int f(void) {{ return 1; }}')
        for target in ("cp310", "cp311")
    }  # fmt: skip
    wheels = matrix("cp310", "cp311", files=lambda target: {"pkg.libs/libf.so": library[target]})(
        tmp_path / "in"
    )
    code, _, _ = command("merge", *wheels, "-o", tmp_path / "loose", "-q")
    assert code == 0
    code, _, message = command("merge", *wheels, "-o", tmp_path / "strict", "--strict")
    assert code == 4
    assert "pkg.libs/libf.so" in message and "--strict" in message
    assert not (tmp_path / "strict").exists()


def test_a_rule_that_settles_nothing_is_a_warning(tmp_path: Path) -> None:
    code, _, message = command(
        "merge", *PAIR(tmp_path / "in"), "-o", tmp_path / "out", "--resolve", "pkg/**=drop"
    )
    assert code == 0
    assert "warning: --resolve pkg/**=drop matched no difference" in message


@pytest.mark.parametrize("text, expected", [
    ("[tool.wheelfuse.merge]\nresolv = []\n", "unknown keys: resolv"),
    ("[tool.wheelfuse.merge]\nresolve = 'a=b'\n", "resolve must be"),
    ("[tool.wheelfuse.merge]\nstrict = 1\n", "strict must be true or false"),
    ("[tool.wheelfuse.merge]\nexpect = ['3.10']\n", "'3.10'"),
    ("[tool.wheelfuse.merge\n", "pyproject.toml: "),
])  # fmt: skip
def test_a_pyproject_that_makes_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(text)
    code, stdout, message = command("merge", *PAIR(tmp_path / "in"), "-o", tmp_path / "out")
    assert (code, stdout) == (2, "")
    assert expected in message
    assert not (tmp_path / "out").exists()


SPLITS = {
    "not fused": (PAIR, (), 2, "not a fused wheel"),
    "no such target": (PAIR, ("--target", "cp314"), 2, "no cp314 in this wheel; it holds cp310, cp311"),
    "no target": (PAIR, ("--target", "3.14"), 2, "'3.14'"),
}


@pytest.mark.parametrize("make, arguments, code, text", SPLITS.values(), ids=SPLITS)
def test_refusals_of_split(
    tmp_path: Path, make: Make, arguments: tuple[str, ...], code: int, text: str
) -> None:
    wheels = make(tmp_path / "in")
    _, fused, _ = command("merge", *wheels, "-o", tmp_path / "fused", "-q")
    given = fused.strip() if arguments else wheels[0]
    found, stdout, message = command("split", given, "-d", tmp_path / "out", *arguments)
    assert (found, stdout) == (code, "")
    assert text in message
    assert not (tmp_path / "out").exists()


def test_split_keeps_existing_files_unless_forced(tmp_path: Path) -> None:
    _, fused, _ = command("merge", *PAIR(tmp_path / "in"), "-o", tmp_path / "fused", "-q")
    _, written, _ = command("split", fused.strip(), "-d", tmp_path / "out", "-q")
    first, second = map(Path, written.split())
    first.unlink()
    second.write_bytes(b"mine")
    code, stdout, message = command("split", fused.strip(), "-d", tmp_path / "out")
    assert (code, stdout) == (2, "")
    assert f"{second}: exists already" in message
    assert not first.exists()
    assert second.read_bytes() == b"mine"
    code, _, _ = command("split", fused.strip(), "-d", tmp_path / "out", "--force")
    assert code == 0
    assert first.exists() and second.read_bytes() != b"mine"


def test_split_of_a_damaged_wheel(tmp_path: Path) -> None:
    _, fused, _ = command("merge", *PAIR(tmp_path / "in"), "-o", tmp_path / "fused", "-q")
    path = Path(fused.strip())
    path.write_bytes(path.read_bytes()[:-30])
    code, _, message = command("split", path, "-d", tmp_path / "out")
    assert code == 3
    assert f"{path.name}: not a zip file" in message
    assert not (tmp_path / "out").exists()
