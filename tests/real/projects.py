"""The projects that are fused, and what tests must know of each beyond its wheels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.real.download import pins, sets
from wheelfuse.target import Target

_USE = Path(__file__).with_name("use")


@dataclass(frozen=True)
class Project:
    """One release of a project.

    *needs* are the projects that have to be there to import it. *options* are given to ``wheelfuse merge``, and
    *resolve* is the strategy for what it refuses to decide by itself. Modules in *may_fail* cannot be imported
    everywhere, whether fused or not. One that is *bulky* takes long to install: each CPython gets it from one
    installer, by turns, instead of both.
    """

    key: str
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    resolve: str = ""
    may_fail: tuple[str, ...] = ()
    bulky: bool = False

    @property
    def targets(self) -> tuple[Target, ...]:
        """The CPythons that its wheels are for."""
        return tuple(Target.parse(pin.tags[1]) for pin in pins("projects", self.key))

    @property
    def use(self) -> str:
        """A program that uses the project, and ends with an error if what it does is wrong."""
        name, _ = pins("projects", self.key)[0].release
        return (_USE / f"{name}.py").read_text(encoding="utf-8")


_SPECIAL = (
    Project(
        "aiohttp",
        needs=(
            *("aiohappyeyeballs", "aiosignal", "async-timeout", "attrs", "frozenlist", "idna", "multidict"),
            *("propcache", "typing-extensions", "yarl"),
        ),
    ),
    Project("cffi", needs=("pycparser",)),
    Project(
        "cupy-cuda12x",
        needs=("numpy", "cuda-pathfinder"),
        options=("--expect", "cp311,cp312"),
        # Linked to libraries of CUDA 12 that no wheel here brings.
        may_fail=(
            *("cupy.cuda.cufft", "cupy.cuda.jitify", "cupyx._cusolver", "cupyx._cutensor"),
            *("cupy_backends.cuda.libs.cublas", "cupy_backends.cuda.libs.curand"),
            *("cupy_backends.cuda.libs.cusolver", "cupy_backends.cuda.libs.cusparse"),
            *("cupy_backends.cuda.libs.cutensor", "cupy_backends.cuda.libs.nccl"),
        ),
        bulky=True,
    ),
    Project(
        "faiss-gpu-cu12",
        needs=("numpy", "packaging", "nvidia-cuda-runtime-cu12", "nvidia-cublas-cu12"),
        bulky=True,
    ),
    # Its tests need psutil, of which there is no wheel for cp315t.
    Project(
        "greenlet",
        needs=("psutil",),
        may_fail=("greenlet.tests._test_extension", "greenlet.tests._test_extension_cpp"),
    ),
    Project("jaxlib", needs=("jax", "ml-dtypes", "numpy", "opt-einsum"), bulky=True),
    # numpy.distutils is there for CPython below 3.12 only. Kept for all, it breaks numpy's own tests above.
    Project("numpy-2.2.6", resolve="drop"),
    Project("numpy-2.3.5", resolve="drop"),
    Project("pandas", needs=("numpy", "python-dateutil", "pytz", "six", "tzdata")),
    Project("pyarrow", needs=("numpy",)),
)
PROJECTS = {key: Project(key) for key in sets("projects")} | {project.key: project for project in _SPECIAL}
"""All that are fused, by the name that they have in ``pins.toml``."""
