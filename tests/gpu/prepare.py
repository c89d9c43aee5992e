"""Make what `tests.gpu.compare` needs: fused wheels with shared GPU code, as CPython 3.12 sees them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import wheelfuse
from tests.cuda import wheel, wheel_of_names
from tests.interpreters import available, uv
from wheelfuse import MergeOptions, Target
from wheelfuse.abi.modules import parse_module
from wheelfuse.fuse.options import Share

PYTHON = Target(12)
TARGETS = tuple(map(Target, (11, 12, 13)))


def main(directory: Path, cupy: list[Path]) -> None:
    """Write ``carry.tar.xz`` to *directory*."""
    shutil.rmtree(directory, ignore_errors=True)
    own = [wheel(directory / "wheels", target) for target in TARGETS]
    # One directory for each build, so that the code differs in names; the newest one's is not the one that is kept.
    names = [wheel_of_names(directory / "names", target, f"build-{target}") for target in TARGETS]
    inputs_of: dict[str, tuple[list[Path], Share]] = {
        "own": (own, True),
        "names": (names, "names"),
        "cupy": (cupy, True),
    }
    for name, (inputs, share) in inputs_of.items():
        outcome = wheelfuse.merge(
            inputs, directory / "fused" / name, MergeOptions(expect=TARGETS, share_device_code=share)
        )
        assert outcome.written and outcome.plan.sharing.carrier, "nothing was shared"
        assert bool(outcome.plan.sharing.renamed) == (share == "names"), (
            "names were not changed as they should be"
        )
        print(
            outcome.written.path.name,
            outcome.written.sha256,
            outcome.written.size,
            outcome.plan.sharing.saved,
        )
        install(outcome.written.path, directory / "carry" / name)
    with tarfile.open(directory / "carry.tar.xz", "w:xz") as archive:
        archive.add(directory / "carry", arcname="carry")


def install(path: Path, tree: Path) -> None:
    """Install a wheel into a directory, without the modules of other CPythons."""
    command = [uv(), "pip", "install", "--no-config", "--no-cache", "--offline", "--no-deps"]
    command += ["--python", str(available()[PYTHON]), "--target", str(tree), str(path)]
    subprocess.run(command, check=True)
    for file in list(tree.rglob("*.so")):
        module = parse_module(file.name)
        if module and module.target not in (None, PYTHON):
            file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), list(map(Path, sys.argv[2:])))
