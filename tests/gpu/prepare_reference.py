"""Make what `tests.gpu.reference` needs: the reference package for every CPython and torch, with its CUDA kernels.

It is built against the torch of the tests, with a target version that is older (`TORCH_TARGET_VERSION`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.reference.building import build


def main(directory: Path) -> None:
    """Write the wheel to *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    print(shutil.copy2(build("torch-stable", cuda="required"), directory))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
