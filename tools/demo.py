"""``make demo``: fuse the wheels of the C fixture into one, and import that on all CPythons found here."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename

from tests import interpreters
from wheelfuse.target import Target

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
INPUTS = "fixtures/wheels/wheelfuse_fixture_c-*.whl"
IMPORT = "import fusec._native as native; assert native.gcd(12, 18) == 6; print(native.__file__)"


@dataclass(frozen=True)
class Row:
    """What became of one CPython: the file it loaded, or why it loaded none."""

    target: str
    python: str
    loaded: str
    outcome: str


def fuse() -> Path:
    """Run the main job; returns the one wheel that came of it."""
    shutil.rmtree(DEMO, ignore_errors=True)
    print(f"$ wheelfuse merge {INPUTS} -o demo/ --force", flush=True)
    wheels = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(INPUTS))
    program = Path(sys.executable).with_name("wheelfuse")
    done = subprocess.run([program, "merge", *wheels, "-o", "demo/", "--force"], cwd=ROOT)
    if done.returncode:
        sys.exit(f"demo: wheelfuse ended with exit status {done.returncode}")
    (fused,) = DEMO.glob("*.whl")
    return fused


def covers(wheel: Path, target: Target) -> bool:
    """Whether the tags of *wheel* admit *target*."""
    tags = parse_wheel_filename(wheel.name)[3]
    return any((tag.interpreter, tag.abi) == (target.python_tag, str(target)) for tag in tags)


def try_on(target: Target, wheel: Path, directory: Path) -> Row:
    """Install *wheel* into a fresh environment of *target* and import it."""
    python = str(interpreters.available()[target])
    if not covers(wheel, target):
        return Row(str(target), python, "-", "not a target of the wheel")
    try:
        env_python = interpreters.environment(target, directory / str(target))
        interpreters.install(env_python, wheel)
        loaded = interpreters.run_python(env_python, IMPORT).strip()
        return Row(str(target), python, Path(loaded).name, "ok")
    except interpreters.CommandFailed as error:
        print(error, file=sys.stderr)
        return Row(str(target), python, "-", "FAILED")


def table(rows: list[Row]) -> str:
    """The rows as text in columns."""
    lines = [("target", "interpreter", "loaded file", ""), *map(astuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main() -> int:
    wheel = fuse()
    targets = list(interpreters.available())
    print(f"\nCPythons found on this machine: {', '.join(map(str, targets))}", flush=True)
    if len(targets) == 1:
        print("Only one was found: the wheel is installed on this one only. Name more in WHEELFUSE_PYTHONS.")
    with tempfile.TemporaryDirectory() as scratch:
        log_commands({str(wheel): "demo/*.whl", interpreters.uv(): "uv", scratch: "environments"})
        rows = [try_on(target, wheel, Path(scratch)) for target in targets]
    loaded = sum(row.outcome == "ok" for row in rows)
    print(f"\n{table(rows)}\n\n{loaded} of {len(rows)} CPythons loaded it from {wheel.relative_to(ROOT)}")
    return 0 if loaded and not any(row.outcome == "FAILED" for row in rows) else 1


def log_commands(shorter: dict[str, str]) -> None:
    """Print the commands that make environments, install and import; *shorter* names replace long paths."""

    class Shortened(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            text = f"$ {super().format(record)}"
            for long, short in shorter.items():
                text = text.replace(long, short)
            return text

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Shortened())
    logger = logging.getLogger(interpreters.__name__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
